"""The records that traffic kernels work on: everyone's row, and agents <-> rows.

All that lasts from one step to the next stands in the columns of `Agents`; the other fields are worked out anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cordillera.types import AgentKind, Agents, Float, Int
from cordillera.world.roads_net import Table

FAR = 1e9
MAX_LANES = 14  # of one way
VEHICLE, WALKER, THING = 0, 1, 2  # roles
DRIVE, PARK, PULL_OUT = 0, 1, 2  # tasks: on the way, beside the lane or on the way there, coming back
BICYCLE, BUS, MOTORCYCLE = int(AgentKind.BICYCLE), int(AgentKind.BUS), int(AgentKind.MOTORCYCLE)
FIRST_SIREN = int(AgentKind.AMBULANCE)  # the kinds from here to the fire engine have right of way
LAST_SIREN = int(AgentKind.FIRE_ENGINE)

_STATE = ("x", "y", "z", "yaw", "speed", "accel", "s", "wait", "lateral", "drift")
_STYLE = (
    *("gap_s", "accel_max", "brake", "gap_m", "factor", "top", "patience", "delay_s", "lag_s", "wander", "polite"),
    "ease",  # 2 sqrt(accel_max brake), of the IDM
)
# set in each step: distances from the centre (FAR for none), half widths of the lane, acceleration and offset wanted
_PLAN = ("slow2", "stop", "hold", "hold_end", "committed", "room_left", "room_right", "allowed", "want", "aim")
_HEADING = ("head_x", "head_y")  # of a vehicle on its lane, some length; `yaw` is worked out where `turned` says so
_CODES = ("role", "kind", "valid", "lane", "crossing", "blinker", "task")
_FLAGS = ("way_n", "turns", "gives", "rolls", "siren", "change", "signals", "walks", "aside")
# what is still known of who has not moved: that his pose is that of his place (the ego: and that he is in no other
# lane), that his height is (the ego's), and whether he is off the road, -1 for unknown
_KNOWN = ("placed", "settled", "off", "turned")
_KEYS = ("way_key", "red_key", "pace_key", "wander_key")  # to draw with, by seed and identity
# Everyone, one record each, the ego last. Vehicles, people and things share the columns that they have in common.
MOVER = np.dtype(
    [(name, np.float64) for name in (*_STATE, *_STYLE, *_PLAN, *_HEADING, "half", "half_w")]
    + [(name, np.uint64) for name in _KEYS]
    + [("ident", np.int64)]
    + [(name, np.int32) for name in (*_CODES, *_FLAGS, *_KNOWN)]
)
# Somebody on a lane, in its frame: `at` is the centre's arc length, negative while upstream; speed along the lane.
CLAIM = np.dtype(
    [(name, np.float64) for name in ("at", "lateral", "speed", "half", "half_w")]
    + [(name, np.int64) for name in ("who", "what", "next")]
)
# what a claim says: will come, is here, its tail is here, reaches in from beside and goes another way
AHEAD, PRESENT, TAIL, BESIDE = 0, 1, 2, 3


class Scratch(NamedTuple):
    """Memory that kernels write before they read it; every list of claims is empty between steps."""

    head: Int  # (L,) first claim on each lane, -1 for none
    rows: Table  # CLAIM
    on: Int  # (rows,) the lane of each claim
    way: Int  # (movers, MAX_LANES) everyone's lanes from his own on
    held: Int  # (16,) lanes that hold a point
    people: Int  # (1 + movers,) how many walk or wait at crossings, and who


def scratch_for(lanes: int, movers: int) -> Scratch:
    """Numbers of lanes and movers -> empty scratch memory."""
    count = movers * (MAX_LANES + 16)
    return Scratch(
        np.full(lanes, -1), np.zeros(count, CLAIM), np.zeros(count, dtype=np.int64),
        np.full((movers, MAX_LANES), -1), np.zeros(16, dtype=np.int64),
        np.zeros(movers + 1, dtype=np.int64),
    )  # fmt: skip


_ROLES = np.full(70, THING)
_ROLES[: AgentKind.FIRE_ENGINE + 1] = VEHICLE
_ROLES[[AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR]] = WALKER
_ROLES[[AgentKind.ANIMAL, AgentKind.TRAILER]] = THING


def movers_of(agents: Agents) -> Table:
    """Agents -> MOVER records (A + 1,), the last one, the ego's, still blank; styles are not drawn yet."""
    count = len(agents.id)
    movers = np.zeros(count + 1, MOVER)
    rows = movers[:count]
    columns = (
        ("x", agents.xyz[:, 0]), ("y", agents.xyz[:, 1]), ("z", agents.xyz[:, 2]), ("yaw", agents.yaw_rad),
        ("speed", agents.speed_mps), ("accel", agents.accel_mps2), ("s", agents.s_m), ("wait", agents.wait_s),
        ("ident", agents.id), ("valid", agents.valid), ("lane", agents.lane), ("crossing", agents.crossing),
        ("blinker", agents.blinker), ("kind", agents.kind), ("lateral", agents.lateral_m),
        ("drift", agents.lateral_mps), ("task", agents.task),
        ("role", _ROLES[np.clip(agents.kind, 0, len(_ROLES) - 1)]),
    )  # fmt: skip
    for name, column in columns:
        rows[name] = column
    size = agents.size_lwh
    rows["half"] = 0.5 * np.where(rows["role"] == VEHICLE, size[:, 0], size[:, :2].max(axis=1))
    rows["half_w"] = 0.5 * np.where(rows["role"] == VEHICLE, size[:, 1], size[:, :2].max(axis=1))
    rows["siren"] = (rows["kind"] >= FIRST_SIREN) & (rows["kind"] <= LAST_SIREN)
    return movers


def agents_of(agents: Agents, movers: Table) -> Agents:
    """The agents before, and everyone after a step -> the agents after it; rows that are away are blank."""
    rows = movers[:-1]
    here = rows["valid"] > 0
    xyz = np.where(here[:, None], np.column_stack([rows["x"], rows["y"], rows["z"]]), 0.0)

    def real(name: str) -> Float:
        return np.where(here, rows[name], 0.0)

    def code(name: str, away: int) -> Int:
        return np.where(here, rows[name].astype(np.int64), away)

    return Agents(
        id=agents.id, kind=agents.kind, xyz=xyz, yaw_rad=real("yaw"), speed_mps=real("speed"),
        accel_mps2=real("accel"), size_lwh=agents.size_lwh, lane=code("lane", -1), s_m=real("s"), valid=here,
        blinker=code("blinker", 0), wait_s=real("wait"), crossing=code("crossing", -1), lateral_m=real("lateral"),
        lateral_mps=real("drift"), task=code("task", 0),
    )  # fmt: skip
