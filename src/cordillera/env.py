"""Driving as an environment for reinforcement learning: actions in, observations and rewards out, after Gymnasium.

    gymnasium.make("cordillera/Drive-v0", observation="state", action="controls")
    gymnasium.make_vec("cordillera/Drive-v0", num_envs=8, vectorization_mode="async")

after `import cordillera.env`. It is the loop of `cordillera.loop`, with the policy outside: the same world, the same
senses, and for plans the same driver with its checks and its tracker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from cordillera.evaluate.metrics import collisions, comfort, off_road, red_lights
from cordillera.evaluate.suite import with_cameras, without_cameras
from cordillera.geometry import invert, resample, transform_of, transform_points, wrap_angle, yaw_of
from cordillera.kinematics import plan_of, roll_plan
from cordillera.loop import Moment, advance, begin, observe
from cordillera.runtime.driver import DriverConfig, SafeDriver, clip_controls
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.observe import Observer
from cordillera.types import (
    CameraName,
    Controls,
    Decision,
    DriveOutput,
    Float,
    LightState,
    Observation,
    Rollout,
    Scenario,
    SignalKind,
    Step,
    Trajectory,
    Verdict,
)
from cordillera.world.scenarios import make_family
from cordillera.world.spawn import make_scenario
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World

ROUTE_POINTS, ROUTE_STEP_M = 20, 4.0
LOCAL_M = 15.0  # of route behind the ego that a step's metrics are given
AGENTS, AGENT_RANGE_M = 16, 80.0
PLAN, RANGE = 64, 500.0
ACCEL_MPS2, BRAKE_MPS2, CURVATURE_1PM = 3.0, 8.0, 0.2  # what actions of 1, -1 and 1 mean
REWARDS = {"progress": 0.1, "comfort": 0.0002, "collisions": -20.0, "off road": -20.0, "red lights run": -10.0}

RewardTerm = Callable[[Rollout, World, float], float]
# Each is the metric of the same name over the one step; progress in m, comfort in %, the others are counts.
TERMS: dict[str, RewardTerm] = {
    "progress": lambda rollout, world, progress_m: progress_m,
    "comfort": lambda rollout, world, progress_m: comfort(rollout).value,
    "collisions": lambda rollout, world, progress_m: collisions(rollout).value,
    "off road": lambda rollout, world, progress_m: float(off_road(rollout, world.map).value > 0.0),
    "red lights run": lambda rollout, world, progress_m: red_lights(rollout, world.map).value,
}


@dataclass
class _Given:
    """A policy that decides what it was given: how an action gets into the driver."""

    plan: Trajectory | None = None
    name: str = "agent"

    def decide(self, observation: Observation) -> Decision:
        if self.plan is None:
            raise ValueError("no plan was given")
        return Decision(self.plan, (), None, self.name, 0.0)


class DriveEnv(gymnasium.Env[Any, Any]):
    """One drive an episode; terminated on a collision, off the road or on arrival, truncated after its duration.

    Drives are of a scenario `family` (its train split), else on `map`, else what `scenario` makes from a seed.
    Observations are "state" (ego, route, nearest agents, next light, all in the rig frame), "camera" (C, H, W, 3) or
    "both"; pictures are those of `cameras` in `size` (width, height), or of the senses that `observer` gives a
    scenario. Actions are "controls", two numbers in [-1, 1] for acceleration (1 is 3, -1 is -8 m/s2) and curvature
    (1 is 0.2 1/m, to the left), or "trajectory", 64 rows of x, y (m) and yaw (rad) at 10 Hz in the rig frame. The
    reward is the sum of the step's metrics times `rewards`.
    """

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        map: str = "town01",  # noqa: A002
        family: str = "",
        duration_s: float = 30.0,
        observation: str = "state",
        action: str = "controls",
        rewards: Mapping[str, float] | None = None,
        cameras: tuple[str, ...] = (CameraName.FRONT_WIDE.value,),
        size: tuple[int, int] = (160, 90),
        scenario: Callable[[int], Scenario] | None = None,
        observer: Callable[[Scenario], Observer] | None = None,
    ) -> None:
        self.rewards = dict(REWARDS if rewards is None else rewards)
        _check("observation", observation, ("state", "camera", "both"))
        _check("action", action, ("controls", "trajectory"))
        for name in self.rewards:
            _check("reward", name, tuple(TERMS))
        self._seen, self._acts = observation, action
        self._scenario = scenario or partial(_scenario, map, family, duration_s)
        drawn = (
            without_cameras
            if observation == "state"
            else partial(with_cameras, names=cameras, width=size[0], height=size[1])
        )
        self._observer_of = observer or drawn
        self._policy = _Given()
        self._start(0)
        self.observation_space = self._space()
        shape, most = ((2,), 1.0) if action == "controls" else ((PLAN, 3), RANGE)
        self.action_space = spaces.Box(-most, most, shape, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Start the next drive; a seed makes it and all that follow the same again."""
        super().reset(seed=seed)
        self._start(int(self.np_random.integers(0, 2**31)))
        return self._observe(), {"scenario": self._world.scenario.name}

    def step(self, action: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """An action -> what is seen 0.1 s later, the reward, whether it ended, whether time is up, and the parts."""
        if self._moment.ended:
            raise RuntimeError(f"the drive has ended ({self._moment.ended}); call reset() first")
        before = self._moment
        output = self._output(np.asarray(action, dtype=np.float64), before)
        after = advance(self._world, self._observer, before, output.controls)
        rollout = Rollout(self._here(before), (Step(before.state, output),), after.state, after.ended)
        gone_m = after.progress_m - before.progress_m
        parts = {name: weight * TERMS[name](rollout, self._world, gone_m) for name, weight in self.rewards.items()}
        self._moment = after
        info = {"rewards": parts, "ended": after.ended, "verdict": output.verdict.action}
        truncated = after.ended == "duration"
        return self._observe(), float(sum(parts.values())), bool(after.ended) and not truncated, truncated, info

    def _start(self, seed: int) -> None:
        scenario = self._scenario(seed)
        self._world, self._observer = World(scenario), self._observer_of(scenario)
        track = TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))
        self._driver = SafeDriver(self._policy, DriverConfig(track=track))
        self._moment = begin(self._world, self._observer)
        self._local, self._local_m = scenario, 0.0

    def _here(self, moment: Moment) -> Scenario:
        """The scenario with the route from about here on, since metrics look for the ego at a route's beginning."""
        if moment.progress_m - self._local_m > LOCAL_M:
            self._local_m = moment.progress_m
            self._local = replace(self._world.scenario, route=self._world.guide.ahead(moment.progress_m))
        return self._local

    def _output(self, action: Float, moment: Moment) -> DriveOutput:
        """An action -> decision, controls and verdict, as a policy's decision would give them."""
        state = moment.state
        if self._acts == "trajectory":
            self._policy.plan = plan_of(action[:, :2], action[:, 2], state.t_us)
            return self._driver.drive(observe(self._world, self._observer, moment))
        accel, curvature = np.clip(action, -1.0, 1.0)
        asked = Controls(float(accel * (ACCEL_MPS2 if accel > 0.0 else BRAKE_MPS2)), float(curvature * CURVATURE_1PM))
        controls, reasons = clip_controls(asked, state.ego.speed_mps, self._driver.config)
        actions = np.tile([controls.accel_mps2, controls.curvature_1pm], (PLAN, 1))
        plan = roll_plan(actions, max(state.ego.speed_mps, 0.0), state.t_us)
        verdict = Verdict("clip", reasons) if reasons else Verdict("pass")
        return DriveOutput(Decision(plan, (), None, "agent", 0.0), controls, verdict)

    # -------------------------------------------------------------- observations

    def _space(self) -> spaces.Dict:
        shapes = {"ego": (4,), "route": (ROUTE_POINTS, 2), "agents": (AGENTS, 8), "light": (6,)}
        out: dict[str, spaces.Space[Any]] = {}
        if self._seen != "camera":
            out |= {name: spaces.Box(-RANGE, RANGE, shape, np.float32) for name, shape in shapes.items()}
        if self._seen != "state":
            sizes = {(camera.height, camera.width) for camera in self._observer.cameras}
            if len(sizes) != 1:
                raise ValueError(f"observation={self._seen!r} needs cameras of one size, these have {sorted(sizes)}")
            (size,) = sizes
            out["camera"] = spaces.Box(0, 255, (len(self._observer.cameras), *size, 3), np.uint8)
        return spaces.Dict(out)

    def _observe(self) -> dict[str, NDArray[Any]]:
        out: dict[str, NDArray[Any]] = {}
        if self._seen != "camera":
            state = state_arrays(self._world, self._moment)
            out |= {name: np.clip(value, -RANGE, RANGE).astype(np.float32) for name, value in state.items()}
        if self._seen != "state":
            images = observe(self._world, self._observer, self._moment).images
            out["camera"] = np.stack([frames[-1] for frames in images])
        return out


def state_arrays(world: World, moment: Moment) -> dict[str, Float]:
    """A moment -> what matters now, in the rig frame, SI units.

    ego (4,): speed, acceleration, curvature, yaw rate. route (20, 2): points 4 m apart. agents (16, 8), the nearest
    first: 1 for present, x, y, cos and sin of the heading, speed, length, width. light (6,), the next on the route:
    1 for present, x and y of its stop line, 1 for red, amber, green.
    """
    ego, agents = moment.state.ego, moment.state.agents
    to_rig = invert(transform_of(ego.xyz, ego.quat_xyzw))
    route = world.guide.ahead(moment.progress_m)
    line = _in_rig(to_rig, resample(route.xyz[:, :2], ROUTE_STEP_M)[:ROUTE_POINTS], float(ego.xyz[2]))
    xy = _in_rig(to_rig, agents.xyz[:, :2], float(ego.xyz[2]))
    far = np.where(agents.valid, np.hypot(*xy.T), math.inf)
    near = np.argsort(far, kind="stable")[:AGENTS]
    near = near[far[near] < AGENT_RANGE_M]
    rows = np.zeros((AGENTS, 8))
    yaw = wrap_angle(agents.yaw_rad[near] - float(yaw_of(ego.quat_xyzw)))
    columns = (np.ones(len(near)), *xy[near].T, np.cos(yaw), np.sin(yaw), agents.speed_mps[near])
    rows[: len(near)] = np.column_stack([*columns, agents.size_lwh[near, :2]])
    return {
        "ego": np.array([ego.speed_mps, ego.accel_mps2, ego.curvature_1pm, ego.yaw_rate_radps]),
        "route": np.pad(line, ((0, ROUTE_POINTS - len(line)), (0, 0)), mode="edge"),
        "agents": rows,
        "light": _next_light(world, moment, route.lanes, to_rig),
    }


def _next_light(world: World, moment: Moment, lanes: tuple[int, ...], to_rig: Float) -> Float:
    for lane in lanes:
        for rule in world.roads.regulations(lane):
            if rule.kind is SignalKind.TRAFFIC_LIGHT and (rule.for_lane < 0 or rule.for_lane in lanes):
                xyz, _ = world.roads.pose(lane, rule.s_m)
                x, y = _in_rig(to_rig, np.asarray(xyz)[None, :2], float(xyz[2]))[0]
                if x > 0.0:
                    shown = moment.state.signals[rule.signal]
                    stop, go = shown in (LightState.RED, LightState.RED_AMBER), shown == LightState.GREEN
                    return np.array([1.0, x, y, stop, shown == LightState.AMBER, go])
    return np.zeros(6)


def _in_rig(to_rig: Float, xy: Float, z: float) -> Float:
    return transform_points(to_rig, np.column_stack([xy, np.full(len(xy), z)]))[:, :2]


def _scenario(map_name: str, family: str, duration_s: float, seed: int) -> Scenario:
    return make_family(family, seed, "train") if family else make_scenario(map_name, seed, duration_s)


def _check(what: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ValueError(f"{what} {word!r} is not known: give one of {', '.join(known)}")


gymnasium.register("cordillera/Drive-v0", entry_point="cordillera.env:DriveEnv")
