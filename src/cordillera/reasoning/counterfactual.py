"""A moment of a drive -> the other decisions that were possible there, each with its path and how it would have ended.

What the planner would do under another decision it is asked: with its causes away it goes on, with something in its
way it stops. Decisions to the side are its path, moved aside as smoothly as a lane change is driven. The outcome is
found by driving the path in the world, whose traffic reacts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import interpolate, move_trajectory, quat_from_yaw, transform_of, wrap_angle, yaw_of
from cordillera.reasoning.intervene import Changes, Insert
from cordillera.reasoning.label import DT_S, Drive, LabelConfig, Planner
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.types import (
    AgentKind,
    Controls,
    Decision,
    EgoState,
    Lateral,
    Longitudinal,
    Trajectory,
    WorldState,
)
from cordillera.world.world import colliding

SAFE, COLLISION, OFF_ROAD = "safe", "collision", "off-road"
BRAKE_MPS2, REACT_M = 2.5, 12.0  # how far ahead something must lie for the planner to stop for it in comfort
ASIDE_S = 4.0  # a lane change takes so long
NUDGE_M = 0.5
CLOSED_M = 16.0  # what it is to stop for is so wide that there is no way around
SIDE_MPS2 = 3.0  # a move aside that asks for more is not possible
LEAST_MPS = 2.0


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """A decision that was not taken: its path in the rig frame of the moment, and what would have come of it."""

    longitudinal: Longitudinal | None
    lateral: Lateral | None
    side: str
    trajectory: Trajectory
    outcome: str  # SAFE, COLLISION or OFF_ROAD
    ended_s: float  # when it ended so; 6.4 where it was safe


def counterfactuals(drive: Drive, k: int, planner: Planner, decision: Decision) -> tuple[Counterfactual, ...]:
    """The decision at the k-th state -> every other one that is possible, once each, with path and outcome."""
    taken = decision.reasoning
    found: dict[tuple[str, str, str], Counterfactual] = {}
    for longitudinal, lateral, side, path in _options(drive, k, planner, decision):
        key = (str(longitudinal), str(lateral), side)
        if taken and key == (str(taken.longitudinal), str(taken.lateral), taken.side):
            continue
        if key not in found:
            found[key] = Counterfactual(longitudinal, lateral, side, path, *outcome(drive, k, path))
    return tuple(found.values())


def outcome(drive: Drive, k: int, path: Trajectory) -> tuple[str, float]:
    """A path (rig frame of the k-th state) -> how it ends if driven exactly, and after how many seconds."""
    state, scenario = drive.states[k], drive.world.scenario
    world_path = move_trajectory(transform_of(state.ego.xyz, state.ego.quat_xyzw), path, "world")
    for n in range(len(path.t_us)):
        ego = _placed(state, world_path, n)
        state = replace(drive.world.step(state, Controls(0.0, 0.0)), ego=ego)
        if colliding(state, scenario) is not None:
            return COLLISION, (n + 1) * DT_S
        if not drive.world.on_road(ego):
            return OFF_ROAD, (n + 1) * DT_S
    return SAFE, len(path.t_us) * DT_S


def _placed(before: WorldState, path: Trajectory, n: int) -> EgoState:
    """The ego at the n-th pose of a path in the world, moving as the path does."""
    ego = before.ego
    speed = float(np.hypot(*(path.xyz[n, :2] - ego.xyz[:2]))) / DT_S
    rate = float(wrap_angle(yaw_of(path.quat_xyzw[n]) - yaw_of(ego.quat_xyzw))) / DT_S
    return EgoState(
        before.t_us + round(DT_S * 1e6), path.xyz[n], path.quat_xyzw[n], np.array([speed, 0.0, 0.0]),
        (speed - ego.speed_mps) / DT_S, rate / max(speed, 1.0), rate,
    )  # fmt: skip


Option = tuple[Longitudinal | None, Lateral | None, str, Trajectory]


def _options(drive: Drive, k: int, planner: Planner, decision: Decision) -> Iterator[Option]:
    """What else could be decided, by the planner itself where it can be brought to it, and to the sides."""
    taken = decision.reasoning
    free = decision
    if taken is not None:
        away = tuple(c for c in (drive.removal(k, cause, LabelConfig()) for cause in taken.causes) if c is not None)
        free = drive.ask(planner, k, away) if away else decision
        if free.reasoning is not None and away:
            yield free.reasoning.longitudinal, free.reasoning.lateral, free.reasoning.side, free.trajectory
    lateral, side = (taken.lateral, taken.side) if taken else (None, "")
    block = _block(drive, k, free)
    if block is not None:
        stopped = drive.ask(planner, k, block)
        if does_longitudinal(Longitudinal.STOP, stopped.trajectory):
            yield Longitudinal.STOP, lateral, side, stopped.trajectory
    yield from _aside(drive, k, decision)


def _block(drive: Drive, k: int, free: Decision) -> Changes | None:
    """Something to stop for on the planner's way, as near as it can stop for in comfort; None where there is no way."""
    ego, agents = drive.states[k].ego, drive.states[k].agents
    way = np.vstack([np.zeros((1, 3)), free.trajectory.xyz])
    at = REACT_M + ego.speed_mps**2 / (2.0 * BRAKE_MPS2)
    length = float(np.hypot(*np.diff(way[:, :2], axis=0).T).sum())
    if length < at:
        return None
    here = move_trajectory(
        transform_of(ego.xyz, ego.quat_xyzw),
        Trajectory(np.zeros(1, np.int64), interpolate(way, [at]), np.array([[0.0, 0.0, 0.0, 1.0]]), "rig"),
        "world",
    ).xyz[0]
    identity = int(agents.id.max(initial=0)) + 1
    place = (float(here[0]), float(here[1]), float(here[2]))
    return (Insert(identity, AgentKind.BARRIER, place, float(yaw_of(ego.quat_xyzw)), (0.5, CLOSED_M, 1.0)),)


def _aside(drive: Drive, k: int, decision: Decision) -> Iterator[Option]:
    """Lane changes to neighbours that may be entered, and moves within the lane, along the planner's path."""
    ego, roads = drive.states[k].ego, drive.world.roads
    place = roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw)), 4.0, float(ego.xyz[2]))
    speed = ego.speed_mps
    if place is None or speed < LEAST_MPS:
        return
    lane = drive.world.map.lanes[place.lane]
    longitudinal = decision.reasoning.longitudinal if decision.reasoning else None
    for side, sign, neighbour, allowed in (
        ("left", 1.0, lane.left, lane.change_left), ("right", -1.0, lane.right, lane.change_right),
    ):  # fmt: skip
        moves = [(Lateral.IN_LANE_NUDGE, NUDGE_M)]
        if neighbour >= 0 and allowed:
            x, y = float(ego.xyz[0]), float(ego.xyz[1])
            moves.append((Lateral.LANE_CHANGE, abs(roads.project(neighbour, x, y)[1] - place.lateral_m)))
        for lateral, metres in moves:
            if 5.8 * metres / ASIDE_S**2 > SIDE_MPS2:  # the peak acceleration of the quintic
                continue
            path = _moved(decision.trajectory, sign * metres)
            if does_lateral(lateral, side, path):
                yield longitudinal, lateral, side, path


def _moved(path: Trajectory, aside_m: float) -> Trajectory:
    """A path in the rig frame -> the same moved to the left by the quintic that starts and ends at rest, in 4 s."""
    t = np.minimum(np.arange(1, len(path.t_us) + 1) * DT_S / ASIDE_S, 1.0)
    offset = aside_m * (10.0 * t**3 - 15.0 * t**4 + 6.0 * t**5)
    yaw = yaw_of(path.quat_xyzw)
    xyz = path.xyz + offset[:, None] * np.column_stack([-np.sin(yaw), np.cos(yaw), 0.0 * yaw])
    step = np.diff(xyz[:, :2], axis=0, prepend=np.zeros((1, 2)))
    heading = np.where(np.hypot(*step.T) > 0.05, np.arctan2(step[:, 1], step[:, 0]), yaw)
    return replace(path, xyz=xyz, quat_xyzw=quat_from_yaw(heading))
