"""A recorded drive and a policy -> what the policy decides at a moment, had the world been otherwise; and drives on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.geometry import arc_length, project_to_polyline
from cordillera.loop import advance, begin, observe
from cordillera.reasoning.intervene import (
    Changes,
    Remove,
    Shift,
    branch,
    changed_map,
    changed_route,
    changed_state,
    window_at,
)
from cordillera.reasoning.label import Drive, Planner, Sight
from cordillera.runtime.driver import DriverConfig, Policy, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.observe import FRAMES, HISTORY, Observer, Window
from cordillera.types import Decision, Float, Observation, RoadMap, Rollout, Step, Trajectory, WorldState
from cordillera.world.guide import Guide
from cordillera.world.roads import compile_map
from cordillera.world.vehicle import VehicleConfig

Eyes = Callable[[RoadMap], Observer]  # the policy's senses in the scene of a map
SHORT_M = 3.0  # of a plan that is hardly a line


@dataclass(frozen=True, eq=False)
class DrivenOn:
    """Some seconds of driving: the steps, the poses in the world, and how it ended ("" where it would go on)."""

    steps: tuple[Step, ...]
    path: Trajectory
    ended: str


@dataclass(eq=False)
class Scene:
    """One drive with who is measured in it, who knows the truth, and what cameras see."""

    rollout: Rollout
    drive: Drive  # without cameras
    policy: Policy
    eyes: Eyes
    planner: Planner
    careless: Planner  # the planner as one to whom bends do not matter
    sight: Sight
    _observers: dict[int, tuple[RoadMap, Observer]] = field(default_factory=dict)

    def ask(self, k: int, changes: Changes = (), states: Sequence[WorldState] | None = None) -> Decision:
        """What the policy decides at the k-th state, had the changes been there; asked afresh every time."""
        return self.policy.decide(self.seen(k, changes, states))

    def seen(self, k: int, changes: Changes = (), states: Sequence[WorldState] | None = None) -> Observation:
        """The k-th state (of other states, if given) -> what the policy senses, with the pictures drawn again."""
        states, world = states or self.drive.states, self.drive.world
        road_map = changed_map(world.map, changes)
        observer = self.observer(road_map)
        window = window_at(states, k, Observer(), changes, world.map)
        if observer.cameras:
            window = self._filmed(window, observer, states, k, changes)
        route = changed_route(world.scenario.route, changes, world.map, road_map)
        same = route.lanes == world.scenario.route.lanes
        guide = world.guide if same else Guide.of(compile_map(road_map), route)
        return observer.observe(window, guide.ahead(float(self.drive.progress_m[k])), road_map, route)

    def blind(self, k: int) -> Observation:
        """What the policy senses with its cameras blanked; for those who read the truth, nobody is there."""
        world, state = self.drive.world, self.drive.states[k]
        gone = tuple(Remove(f"agent:{int(i)}") for i in state.agents.id[state.agents.valid])
        lights = tuple(Remove(f"signal:{n}") for n, s in enumerate(world.map.signals) if "light" in str(s.kind))
        base = self.seen(k) if self.observer(world.map).cameras else None
        empty = Scene(self.rollout, self.drive, self.policy, lambda _: Observer(), self.planner, self.careless,
                      self.sight).seen(k, (*gone, *lights))  # fmt: skip
        if base is None:
            return empty
        dark = tuple(np.zeros_like(images) for images in base.images)
        return replace(empty, cameras=base.cameras, images=dark, image_t_us=base.image_t_us)

    def observer(self, road_map: RoadMap) -> Observer:
        """The policy's senses where the map is this one."""
        if id(road_map) not in self._observers:
            self._observers[id(road_map)] = (road_map, self.eyes(road_map))
        return self._observers[id(road_map)][1]

    def _filmed(
        self, window: Window, observer: Observer, states: Sequence[WorldState], k: int, changes: Changes
    ) -> Window:
        """A window of odometry -> the same with the pictures of the last states, drawn with the changes."""
        first, original = max(k - FRAMES - 1, 0), self.drive.world.map
        film = observer.begin(changed_state(states[first], changes, original))
        for state in states[first + 1 : k + 1]:
            film = observer.push(film, changed_state(state, changes, original))
        return replace(window, frames=film.frames, ev=film.ev)

    def drive_on(self, k: int, changes: Changes, seconds: float, policy: Policy | None = None) -> DrivenOn:
        """The policy (or another) drives on from the k-th state with lasting changes -> what was driven."""
        road_map = changed_map(self.drive.world.map, changes)
        scenario, world, observer = branch(self.rollout, k, self.observer(road_map), changes)
        track = TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))
        driver = SafeDriver(policy or self.policy, DriverConfig(track=track), clock=lambda: 0.0)
        moment, steps = begin(world, observer), []
        egos = [moment.state.ego]
        while len(steps) < round(seconds * 10) and not moment.ended:
            output = driver.drive(observe(world, observer, moment))
            steps.append(Step(moment.state, output))
            moment = advance(world, observer, moment, output.controls)
            egos.append(moment.state.ego)
        stamps = np.array([e.t_us for e in egos], dtype=np.int64)
        poses = Trajectory(stamps, np.stack([e.xyz for e in egos]), np.stack([e.quat_xyzw for e in egos]), "world")
        return DrivenOn(tuple(steps), poses, moment.ended)


def faster_past(
    states: Sequence[WorldState], k: int, target: str, faster_mps: float, road_map: RoadMap
) -> tuple[WorldState, ...]:
    """States of a drive -> the same with an agent that comes to where it is at the k-th at another speed."""
    out = list(states)
    for n in range(max(k - HISTORY - 4, 0), k + 1):
        back_m = faster_mps * (n - k) * 0.1
        if (states[n].agents.valid & (states[n].agents.id == int(target.removeprefix("agent:")))).any():
            out[n] = changed_state(states[n], (Shift(target, back_m, 0.0, faster_mps),), road_map)
    return tuple(out)


def moved_m(a: Trajectory, b: Trajectory) -> float:
    """Two plans of one moment -> the mean distance of their poses at equal times, in metres."""
    count = min(len(a.t_us), len(b.t_us))
    return float(np.mean(np.hypot(*(a.xyz[:count, :2] - b.xyz[:count, :2]).T)))


def sideways_m(a: Trajectory, b: Trajectory) -> float:
    """Two plans of one moment (rig frame) -> the farthest that the shorter one leaves the longer one's line, in m."""
    lines = [np.vstack([np.zeros((1, 2)), plan.xyz[:, :2]]) for plan in (a, b)]
    short, long = sorted(lines, key=lambda xy: float(arc_length(xy)[-1]))
    if float(arc_length(short)[-1]) < SHORT_M:
        return 0.0
    line = _apart(long)
    return max(abs(project_to_polyline(line, float(x), float(y))[1]) for x, y in short[::4])


def _apart(xy: Float) -> Float:
    """Points (N, 2) -> those that differ from the one before."""
    return xy[np.concatenate([[True], np.hypot(*np.diff(xy, axis=0).T) > 1e-6])]
