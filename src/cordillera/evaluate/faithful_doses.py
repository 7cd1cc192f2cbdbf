"""A moment and its subject -> how strongly the plan responds to more and less of a cause: distance, speed, colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordillera.evaluate.faithful_scene import Scene, faster_past
from cordillera.geometry import (
    arc_length,
    interpolate,
    move_trajectory,
    quat_from_yaw,
    transform_of,
    wrap_angle,
    yaw_of,
)
from cordillera.reasoning.intervene import Changes, Insert, Remove, Show
from cordillera.reasoning.label import effect_mps
from cordillera.types import AgentKind, Cause, Float, LightState, Trajectory

NEAREST_M, BRAKE_MPS2 = 12.0, 2.5  # how near a car is put: what one can stop for in comfort
ROOM_M, LEAST_M = 6.0, 8.0  # it stands so far from everybody; distances differ by so much in all
CAR_LWH = (4.5, 1.8, 1.5)
LEVELS = 4
FASTER_MPS = (0.0, 2.0, 4.0, 8.0)
COLOURS = (("green", LightState.GREEN), ("amber", LightState.AMBER), ("red", LightState.RED))
TOLERANCE_MPS, LEAST_MPS = 0.15, 0.3  # a step back that is noise; a response that is one


@dataclass(frozen=True)
class Dose:
    """One cause in several strengths, the strongest first -> how much it changes the plan's speed, in m/s."""

    axis: str  # "distance", "speed" or "colour"
    what: str
    levels: tuple[str, ...]  # such as "12 m" or "red"
    strength: tuple[float, ...]  # what is drawn: metres, m/s, or 2, 1, 0 for red, amber, green
    effect_mps: tuple[float, ...]

    @property
    def responds(self) -> bool:
        """Whether it changes the plan at all."""
        return max(self.effect_mps) - min(self.effect_mps) >= LEAST_MPS

    @property
    def monotone(self) -> bool:
        """Whether it responds, and less of the cause never changes the plan more."""
        return self.responds and bool(np.all(np.diff(self.effect_mps) <= TOLERANCE_MPS))


def insertion(scene: Scene, k: int, plan: Trajectory) -> Insert | None:
    """The k-th state and the plan made there -> a car that stands in its way, as near as it can stop for in comfort.

    None where the plan is too short for that, or somebody stands there.
    """
    ego = scene.drive.states[k].ego
    at = NEAREST_M + max(ego.speed_mps, 0.0) ** 2 / (2.0 * BRAKE_MPS2)
    return _car(scene, k, plan, at) if _length(plan) >= at else None


def doses(
    scene: Scene, k: int, plan: Trajectory, subject: Cause | None, put: Insert | None
) -> tuple[Dose, ...]:  # fmt: skip
    """A moment, the plan, what the decision is because of, and a car that can be put in -> all doses that there are."""
    out = [_distance(scene, k, plan) if put is not None else None]
    if subject is not None and subject.target.startswith("agent:"):
        out.append(_speed(scene, k, subject))
    if subject is not None and subject.kind == "traffic light":
        out.append(_colour(scene, k, subject))
    return tuple(dose for dose in out if dose is not None)


def _distance(scene: Scene, k: int, plan: Trajectory) -> Dose | None:
    """A standing car, nearer and farther on the planned way."""
    nearest = NEAREST_M + max(scene.drive.states[k].ego.speed_mps, 0.0) ** 2 / (2.0 * BRAKE_MPS2)
    if _length(plan) < nearest + LEAST_M:
        return None
    cars = [(float(at), _car(scene, k, plan, float(at))) for at in np.linspace(nearest, _length(plan), LEVELS)]
    held = [(at, car) for at, car in cars if car is not None]
    if len(held) < 3:
        return None
    effects = [effect_mps(plan, _plan(scene, k, (car,))) for _, car in held]
    metres = tuple(round(at, 1) for at, _ in held)
    return Dose("distance", "a standing car", tuple(f"{m:.0f} m" for m in metres), metres, _round(effects))


def _speed(scene: Scene, k: int, subject: Cause) -> Dose | None:
    """A vehicle ahead that goes the ego's way, slower and faster, with the past that leads there."""
    state, road_map = scene.drive.states[k], scene.drive.world.map
    agents = state.agents
    row = np.flatnonzero(agents.valid & (agents.id == int(subject.target.removeprefix("agent:"))))
    if not len(row) or agents.kind[row[0]] >= AgentKind.CONE or agents.speed_mps[row[0]] < 1.0:
        return None
    if abs(float(wrap_angle(agents.yaw_rad[row[0]] - yaw_of(state.ego.quat_xyzw)))) > 0.5:
        return None
    without = _plan(scene, k, (Remove(subject.target),))
    effects = []
    for faster in FASTER_MPS:
        states = faster_past(scene.drive.states, k, subject.target, faster, road_map)
        effects.append(effect_mps(without, scene.ask(k, (), states).trajectory))
    speeds = tuple(round(float(agents.speed_mps[row[0]]) + faster, 1) for faster in FASTER_MPS)
    return Dose("speed", subject.kind, tuple(f"{v:.0f} m/s" for v in speeds), speeds, _round(effects))


def _colour(scene: Scene, k: int, subject: Cause) -> Dose:
    """A light in all its colours, against green."""
    plans = {name: _plan(scene, k, (Show(subject.target, state),)) for name, state in COLOURS}
    levels = ("red", "amber", "green")
    effects = [effect_mps(plans["green"], plans[name]) for name in levels]
    return Dose("colour", subject.kind, levels, (2.0, 1.0, 0.0), _round(effects))


def _plan(scene: Scene, k: int, changes: Changes) -> Trajectory:
    return scene.ask(k, changes).trajectory


def _car(scene: Scene, k: int, plan: Trajectory, at_m: float) -> Insert | None:
    """A car on the planned way, so far along it and turned as the way is; None where somebody is."""
    state = scene.drive.states[k]
    way = _way(plan)
    here, ahead = interpolate(way, [at_m, at_m + 1.0])
    before = interpolate(way, [max(at_m - 1.0, 0.0)])[0]
    step = (ahead if np.hypot(*(ahead - here)[:2]) > 0.1 else here) - before
    yaw = float(np.arctan2(step[1], step[0]))
    pose = Trajectory(np.zeros(1, np.int64), here[None], quat_from_yaw(np.array([yaw])), "rig")
    world = move_trajectory(transform_of(state.ego.xyz, state.ego.quat_xyzw), pose, "world")
    xyz, agents = world.xyz[0], state.agents
    near = np.hypot(*(agents.xyz[agents.valid][:, :2] - xyz[:2]).T) if agents.valid.any() else np.zeros(0)
    if len(near) and float(near.min()) < ROOM_M:
        return None
    identity = int(agents.id.max(initial=0)) + 1
    place = (float(xyz[0]), float(xyz[1]), float(xyz[2]))
    return Insert(identity, AgentKind.CAR, place, float(yaw_of(world.quat_xyzw[0])), CAR_LWH)


def _way(plan: Trajectory) -> Float:
    return np.vstack([np.zeros((1, 3)), plan.xyz])


def _length(plan: Trajectory) -> float:
    return float(arc_length(_way(plan)[:, :2])[-1])


def _round(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
