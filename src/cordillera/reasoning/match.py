"""Decisions and a path -> whether the path does what the decisions say, on either axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cordillera.geometry import move_trajectory, project_to_polyline, transform_of, yaw_of
from cordillera.reasoning.meta import LongitudinalMeta, MetaConfig, meta_actions, motion_of
from cordillera.types import EgoState, Float, Lateral, Longitudinal, Trajectory
from cordillera.world.world import World

SLOWER = frozenset(
    {LongitudinalMeta.GENTLE_DECELERATE, LongitudinalMeta.STRONG_DECELERATE, LongitudinalMeta.STOP}
)  # fmt: skip
FASTER = frozenset({LongitudinalMeta.GENTLE_ACCELERATE, LongitudinalMeta.STRONG_ACCELERATE})
STANDS_MPS = 1.0
KEEPS_M, LEAVES_M, NUDGE_M = 1.2, 0.5, 0.1  # offsets from where the path began, to the side
REACH_M = 120.0  # of the lane ahead
TURN_RAD, SHORT_M = 0.3, 15.0  # a path shorter than this may not have reached its turn


def does_longitudinal(decision: Longitudinal | None, path: Trajectory, config: MetaConfig | None = None) -> bool:
    """Whether a path does what a decision on speed says; no decision asks for nothing.

    To stop is to come to a stand or to lose half the speed on the way there; to yield is to slow down or stay at rest.
    """
    if decision is None:
        return True
    config = config or MetaConfig()
    motion = motion_of(path, config)
    speed, actions = motion.speed_mps, frozenset(meta_actions(path, config).longitudinal)
    start, low, end = float(speed[0]), float(speed.min()), float(speed[-1])
    stays = start < STANDS_MPS and float(speed[: max(len(speed) // 3, 1)].max()) < STANDS_MPS
    rules: dict[Longitudinal, Callable[[], bool]] = {
        Longitudinal.STOP: lambda: low < config.stop_mps or low < 0.5 * start or stays,
        Longitudinal.YIELD: lambda: stays or (bool(actions & SLOWER) and low < 0.9 * start),
        Longitudinal.OVERTAKE: lambda: bool(actions & FASTER),
        Longitudinal.FOLLOW_LEAD: lambda: LongitudinalMeta.REVERSE not in actions,
        Longitudinal.GAP_SEARCH: lambda: LongitudinalMeta.REVERSE not in actions,
        Longitudinal.SPEED_ADAPTATION: lambda: not actions <= {LongitudinalMeta.STOP, LongitudinalMeta.REVERSE},
        Longitudinal.SET_SPEED: lambda: end > 0.6 * start and not actions <= {LongitudinalMeta.STOP},
    }
    return rules[decision]()


def does_lateral(decision: Lateral | None, side: str, path: Trajectory, offset_m: Float | None = None) -> bool:
    """Whether a path does what a lateral decision says.

    `offset_m` (N,): how far the path is from the centre of the lane in which it begins, left positive; without it
    the first heading takes the lane's place. A path too short to have reached its manoeuvre is not held against it.
    Who comes back to the centre of his lane keeps it.
    """
    if decision is None:
        return True
    motion = motion_of(path)
    if offset_m is None:
        delta = path.xyz[:, :2] - path.xyz[0, :2]
        offset_m = delta[:, 1] * np.cos(motion.yaw_rad[0]) - delta[:, 0] * np.sin(motion.yaw_rad[0])
    offset = np.asarray(offset_m)
    away = offset - offset[0]
    sign = {"left": 1.0, "right": -1.0}.get(side)
    toward = float((away * sign).max()) if sign else float(np.abs(away).max())
    against = float((-away * sign).max()) if sign else 0.0
    turned = float(motion.yaw_rad[-1] - motion.yaw_rad[0])
    driven = float(np.hypot(*np.diff(path.xyz[:, :2], axis=0).T).sum())
    rules: dict[Lateral, Callable[[], bool]] = {
        Lateral.LANE_KEEPING: lambda: float(np.abs(away).max()) < KEEPS_M or _comes_back(offset),
        Lateral.TURN: lambda: (turned * sign if sign else abs(turned)) > (TURN_RAD if driven > SHORT_M else -TURN_RAD),
        Lateral.LANE_CHANGE: lambda: toward > LEAVES_M or (driven < SHORT_M and against < LEAVES_M),
        Lateral.MERGE_SPLIT: lambda: against < KEEPS_M,
        Lateral.OUT_OF_LANE_NUDGE: lambda: toward > LEAVES_M or driven < SHORT_M,
        Lateral.IN_LANE_NUDGE: lambda: (toward > NUDGE_M or driven < SHORT_M) and toward < KEEPS_M,
        Lateral.PULL_OVER: lambda: toward > LEAVES_M or driven < SHORT_M,
        Lateral.ABORT: lambda: float(np.abs(offset[-1])) < KEEPS_M,
    }
    return rules[decision]()


def _comes_back(offset: Float) -> bool:
    return abs(float(offset[-1])) < LEAVES_M and float(np.abs(offset).max()) < abs(float(offset[0])) + LEAVES_M


def offsets(path: Trajectory, ego: EgoState, world: World) -> Float | None:
    """A path driven from an ego state on -> offsets (N,) from the centre of the ego's lane, left positive.

    The lane goes on along the route where it forks. None off the lanes. The path is in the rig frame or in the world.
    """
    roads = world.roads
    if path.frame == "rig":
        path = move_trajectory(transform_of(ego.xyz, ego.quat_xyzw), path, "world")
    place = roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw)), 6.0, float(ego.xyz[2]))
    if place is None:
        return None
    lanes, route = [place.lane], set(world.scenario.route.lanes)
    while sum(roads.length(lane) for lane in lanes) - place.s_m < REACH_M:
        after = [n for n in world.map.lanes[lanes[-1]].successors if n not in lanes]
        if not after:
            break
        lanes.append(next((n for n in after if n in route), after[0]))
    line = np.vstack([world.map.lanes[lane].center_xyz[:, :2] for lane in lanes])
    line = line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-6])]
    return np.array([project_to_polyline(line, float(x), float(y))[1] for x, y in path.xyz[:, :2]])
