"""A wrong-way driver ahead, or a siren behind -> the move to the near edge of the lane that makes room for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cordillera.policy.rule_bodies import wrong_way
from cordillera.policy.rule_room import room_of
from cordillera.policy.rule_scene import Scene
from cordillera.policy.rule_speed import LIMIT, Constraint
from cordillera.policy.rule_way import Move
from cordillera.types import AgentKind, Cause, Lateral, Longitudinal

EVADE_M = 90.0  # how near a wrong-way driver is evaded
EDGE_M = 0.15  # left between the body and the lane's edge
LEAST_M = 0.2  # a smaller move makes no room
SIREN_M, PAST_M = 70.0, 3.0  # from how far behind an emergency vehicle one makes way for it, until it is so far ahead
SIREN_RAD, SIREN_SIDE_M = 0.6, 5.0
SIREN_MPS = 4.5  # while it comes by
MOVES_MPS = 1.0
FROM_BEHIND = "approaching from behind with its siren on"
SIRENS = (AgentKind.AMBULANCE, AgentKind.POLICE_CAR, AgentKind.FIRE_ENGINE)


@dataclass(frozen=True, eq=False)
class Nudge:
    """Moves to the side with what they ask of the speed, and what they are called."""

    moves: tuple[Move, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    lateral: Lateral = Lateral.LANE_KEEPING
    cause: Cause | None = None
    side: str = ""


def evading(scene: Scene) -> Nudge | None:
    """A wrong-way driver near ahead -> to the near edge of the lane, None without one."""
    for i, row in enumerate(map(int, scene.rows)):
        gap = float(scene.s_m[i] - scene.reach_m[i, 0]) - scene.front_m
        if not 0.0 < gap < EVADE_M or not wrong_way(scene, i):
            continue
        relation = "coming the other way in the ego lane"
        cause = Cause("wrong-way driver", scene.target(row), relation, scene.t_us, gap, "lateral")
        to = _edge(scene, scene.front_m + gap)
        return _to(scene, to, cause) if to else None
    return None


def making_way(scene: Scene) -> Nudge | None:
    """An emergency vehicle that comes from behind -> to the near edge, slowly, until it is past; None without one."""
    for i, row in enumerate(map(int, scene.rows)):
        if scene.kind(row) not in SIRENS or not _comes_by(scene, i, row):
            continue
        to = _edge(scene, scene.front_m + 10.0)
        gap = max(scene.station_m - scene.tail_m - float(scene.s_m[i] + scene.reach_m[i, 0]), 0.0)
        slow = Cause("emergency vehicle", scene.target(row), FROM_BEHIND, scene.t_us, gap)
        limit = Constraint(LIMIT, scene.front_m + 8.0, slow, Longitudinal.YIELD, SIREN_MPS)
        if not to:
            return Nudge((), (limit,))
        nudge = _to(scene, to, replace(slow, axis="lateral"))
        return replace(nudge, constraints=(limit,))
    return None


def _comes_by(scene: Scene, i: int, row: int) -> bool:
    """Whether near agent `i` drives along the ego's way, close behind or beside it."""
    rear, front = (float(scene.s_m[i] + sign * scene.reach_m[i, 0]) for sign in (-1.0, 1.0))
    near = front > scene.station_m - SIREN_M and rear < scene.front_m + PAST_M
    along = abs(float(scene.turn_rad[i])) < SIREN_RAD and abs(float(scene.side_m[i])) < SIREN_SIDE_M
    return near and along and float(scene.agents.speed_mps[row]) > MOVES_MPS


def _edge(scene: Scene, until_m: float) -> float:
    """How far to the left the body may go to the near edge of its lane up to a station; 0 where there is no room."""
    left, right, lane_left, lane_right = room_of(scene.roads, scene.path).span(scene.path, scene.station_m, until_m)
    on_left = scene.roads.map.traffic_side == "left"
    edge = min(left, lane_left) if on_left else min(right, lane_right)
    free = edge - 0.5 * scene.vehicle.width_m - EDGE_M
    return 0.0 if free < LEAST_M else free if on_left else -free


def _to(scene: Scene, to_m: float, cause: Cause) -> Nudge:
    move = Move(scene.station_m - 0.1, scene.station_m + max(2.0 * scene.speed_mps, 8.0), to_m)
    return Nudge((move,), (), Lateral.IN_LANE_NUDGE, cause, "left" if to_m > 0.0 else "right")
