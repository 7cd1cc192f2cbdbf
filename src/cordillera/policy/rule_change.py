"""Lane changes of the route: whether the gap is there, what to do for it, and where to drive until it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cordillera.policy.rule_path import Change
from cordillera.policy.rule_scene import WALKERS, Scene
from cordillera.policy.rule_speed import FOLLOW, HALT, Constraint
from cordillera.types import Cause, Float, Longitudinal

LOOK_S, LOOK_MIN_M = 5.0, 30.0  # how far before its middle a change is prepared
GAP_M = 2.0  # between bumpers, besides what the speeds ask for
AHEAD_GAP_S, BEHIND_GAP_S = 0.4, 0.6
TIMES_S = (0.0, 1.5, 3.0)
SOFT_BRAKE_MPS2 = 1.5  # for a gap; there is still a lane to stay in
CROSSED_M = 1.0  # so far out of its lane's middle the car has begun to change, and goes on
BEHIND_M = 4.0  # centres behind the rear axle by more than this are behind
END_M = 4.0  # of the source lane that is left free


@dataclass(frozen=True, eq=False)
class Waiting:
    """A change whose gap is not there: stay in its source lane."""

    change: Change
    constraints: tuple[Constraint, ...]


def waiting_for(scene: Scene) -> Waiting | None:
    """The change that must wait, with what to do about it; None where the way is free."""
    reach = max(LOOK_S * scene.speed_mps, LOOK_MIN_M)
    for change in scene.path.changes:
        if not -10.0 < change.middle_m - scene.station_m < reach or _begun(scene, change):
            continue
        blockers = [i for i in _beside(scene, change) if not _is_clear(scene, i)]
        if blockers:
            return Waiting(change, tuple(_gaps(scene, change, blockers)))
        return None
    return None


def _begun(scene: Scene, change: Change) -> bool:
    """Whether the car is already leaving the source lane."""
    x, y = scene.state.ego.xyz[:2]
    _, lateral = scene.roads.project(change.source, float(x), float(y))
    outwards = lateral if change.side == "left" else -lateral
    return outwards > CROSSED_M or scene.station_m > change.middle_m + 8.0


def _beside(scene: Scene, change: Change) -> Iterator[int]:
    """Near agents on the target lane."""
    for i, row in enumerate(scene.rows):
        on = int(scene.agents.lane[row])
        if scene.kind(row) not in WALKERS and on in change.around and abs(scene.turn_rad[i]) < 1.0:
            yield i


def _is_clear(scene: Scene, i: int) -> bool:
    """Whether near agent i leaves room for the ego beside it, now and for the next seconds at constant speeds."""
    row = scene.rows[i]
    speed, own = float(scene.agents.speed_mps[row]), scene.speed_mps
    apart = float(scene.s_m[i]) - scene.station_m - scene.vehicle.rear_axle_to_center_m
    room = 0.5 * scene.vehicle.length_m + float(scene.reach_m[i, 0]) + GAP_M
    before = apart > 0.0
    for t in TIMES_S:
        then = apart + (speed - own) * t
        need = room + (AHEAD_GAP_S * own if before else BEHIND_GAP_S * speed)
        if (then if before else -then) < need:
            return False
    return True


def _gaps(scene: Scene, change: Change, blockers: list[int]) -> Iterator[Constraint]:
    """Fall in behind the foremost blocker that is not clearly behind; do not run out of lane meanwhile."""
    for i in blockers:
        row = int(scene.rows[i])
        rear = float(scene.s_m[i] - scene.reach_m[i, 0])
        if scene.s_m[i] < scene.station_m - BEHIND_M:
            continue  # behind: it comes by, or falls back, by itself
        cause = Cause(
            "adjacent vehicle", scene.target(row), f"beside the gap in the {change.side} lane", scene.t_us,
            rear - scene.front_m,
        )  # fmt: skip
        yield Constraint(
            FOLLOW, rear, cause, Longitudinal.GAP_SEARCH, float(scene.agents.speed_mps[row]), softest=SOFT_BRAKE_MPS2
        )
    if change.until_m < scene.path.length_m - 1.0:
        row = int(scene.rows[blockers[0]])
        cause = Cause(
            "adjacent vehicle", scene.target(row), f"in the {change.side} lane where this lane ends",
            scene.t_us, change.until_m - scene.front_m,
        )  # fmt: skip
        yield Constraint(HALT, change.until_m - END_M, cause, Longitudinal.GAP_SEARCH)


def stay(scene: Scene, change: Change, s_m: Float) -> Float:
    """Stations (N,) -> offsets to the left that keep the car on the source lane's centre."""
    path = scene.path
    out = np.empty(len(s_m))
    for k, s in enumerate(s_m):
        x, y = path.xy[path.index(s)]
        out[k] = -scene.roads.project(change.source, float(x), float(y))[1]
    return out
