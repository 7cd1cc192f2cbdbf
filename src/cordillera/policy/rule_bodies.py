"""A scene -> the bodies that may be gone around: what stands in or beside the way, and what is slow there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cordillera.policy.rule_scene import WALKERS, Scene
from cordillera.types import AgentKind

STANDS_MPS = 0.3
SLOW_KINDS = (AgentKind.BICYCLE, AgentKind.TRACTOR, AgentKind.WHEELCHAIR, AgentKind.WORK_MACHINE)
SLOW_MPS, SLOW_SHARE = 7.5, 0.6  # who is slower than this, also as a share of what the road allows, may be passed
LONG_S = 20.0  # a vehicle of the traffic that has stood so long, with nothing to wait for, stands for good
GROUND = int(AgentKind.POTHOLE)  # from this code on agents are no bodies but ground
SIDE_M = 9.0
AGAINST_RAD = math.radians(150.0)
LANE_M, QUEUE_GAP_M = 0.9, 14.0  # so near to the lane's middle, and to the next one, vehicles that stand are a queue


@dataclass(frozen=True)
class Body:
    """Near agent `i` as something to go around: its interval along the path and across it (left positive), now."""

    i: int
    row: int
    s0_m: float
    s1_m: float
    low_m: float
    high_m: float
    speed_mps: float  # along the path
    margin_m: float  # to keep from it at ease
    least_m: float  # to keep from it when going at walking pace

    def at(self, s_m: float) -> bool:
        return self.s0_m <= s_m <= self.s1_m


def bodies(scene: Scene) -> list[Body]:
    """What may be gone around, nearest first: things, standing vehicles that wait for nothing, slow ones, people."""
    found = []
    for i, row in enumerate(scene.rows):
        if scene.s_m[i] + scene.reach_m[i, 0] < scene.station_m - 12.0 or abs(scene.side_m[i]) > SIDE_M:
            continue
        manner = _manner(scene, i, int(row))
        if manner is None:
            continue
        along = float(scene.agents.speed_mps[row]) * math.cos(float(scene.turn_rad[i]))
        s, side = float(scene.s_m[i]), float(scene.side_m[i])
        reach, across = float(scene.reach_m[i, 0]), float(scene.reach_m[i, 1])
        found.append(
            Body(i, int(row), s - reach, s + reach, side - across, side + across,
                 along if abs(along) > STANDS_MPS else 0.0, *manner)
        )  # fmt: skip
    return sorted(found, key=lambda body: (body.s0_m, body.row))


def _manner(scene: Scene, i: int, row: int) -> tuple[float, float] | None:
    """A near agent -> the distance to keep from it, at ease and at least; None if it is not to be gone around."""
    agents, kind = scene.agents, scene.kind(row)
    speed, turn = float(agents.speed_mps[row]), abs(float(scene.turn_rad[i]))
    if kind == AgentKind.BALL:
        return None
    if kind >= GROUND:
        return 0.1, 0.0
    if kind >= AgentKind.CONE:
        return (0.6, 0.3) if kind == AgentKind.DOOR else (0.45, 0.25)
    if kind in WALKERS:
        return (1.0, 0.5) if speed < STANDS_MPS or abs(math.sin(turn)) * speed < 0.3 else None
    if kind in SLOW_KINDS and STANDS_MPS <= speed < SLOW_MPS:
        allowed = float(scene.path.cap[scene.path.index(float(scene.s_m[i]))])
        return (1.2, 0.8) if turn < math.radians(35.0) and speed < SLOW_SHARE * allowed else None
    if speed >= STANDS_MPS or queued(scene, i) or wrong_way(scene, i):
        return None
    if scene.scripted[i] or agents.task[row] == 1 or agents.wait_s[row] > LONG_S:
        return 0.8, 0.3
    return None


def queued(scene: Scene, i: int) -> bool:
    """Whether near agent `i` stands in a queue: in mid-lane, its hazard lights off, with another such one next to it.

    Whoever stands in a queue goes on when those before him do; parked and broken-down vehicles do not.
    """
    if not _in_line(scene, i):
        return False
    for k in range(len(scene.rows)):
        apart = abs(float(scene.s_m[k] - scene.s_m[i])) - float(scene.reach_m[k, 0] + scene.reach_m[i, 0])
        if k != i and apart < QUEUE_GAP_M and _in_line(scene, k):
            return True
    return False


def wrong_way(scene: Scene, i: int) -> bool:
    """Whether near agent `i` is a vehicle in mid-lane that heads, or has come to a stand, against the ego's way.

    Those with their hazard lights on have broken down there.
    """
    row = int(scene.rows[i])
    vehicle = scene.kind(row) < AgentKind.CONE and scene.kind(row) not in (*WALKERS, AgentKind.BICYCLE)
    against = abs(float(scene.turn_rad[i])) > AGAINST_RAD and abs(float(scene.side_m[i])) < LANE_M
    return bool(vehicle and against and scene.scripted[i] and scene.agents.blinker[row] != 2)


def _in_line(scene: Scene, i: int) -> bool:
    row = int(scene.rows[i])
    vehicle = scene.kind(row) < AgentKind.CONE and scene.kind(row) not in WALKERS
    stands = scene.agents.speed_mps[row] < STANDS_MPS and scene.agents.blinker[row] != 2
    along = abs(float(scene.side_m[i])) < LANE_M and abs(float(scene.turn_rad[i])) < 0.5
    return bool(vehicle and stands and along and scene.scripted[i])


def waits(scene: Scene, body: Body) -> bool:
    """Whether a standing vehicle may be in a queue: there is a light, a crossing or a junction right before it."""
    if scene.kind(body.row) >= AgentKind.CONE or body.speed_mps > 0.0:
        return False
    path, nose = scene.path, body.s1_m
    lights = any(-2.0 < line.s_m - nose < 30.0 for line in path.lines)
    return lights and scene.agents.blinker[body.row] != 2
