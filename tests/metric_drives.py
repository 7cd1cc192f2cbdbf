"""Drives on a straight road that one can work out in one's head, for the tests of metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import quat_from_yaw
from cordillera.kinematics import plan_of
from cordillera.types import (
    Agents,
    Controls,
    Decision,
    DriveOutput,
    EgoState,
    Rollout,
    Route,
    Scenario,
    Signal,
    SignalKind,
    Step,
    StopLine,
    Verdict,
    WorldState,
)
from cordillera.world.build import build_road
from cordillera.world.roads import compile_map

ROAD = build_road("built:straight,length=300")
LANE = next(i for i, lane in enumerate(ROAD.lanes) if lane.kind == "driving")
NOSE_M = 1.43 + 0.5 * 4.87  # from the rear axle, where a drive's s is, to the front bumper
TAIL_M = 0.5 * 4.87 - 1.43


@dataclass(frozen=True)
class Other:
    """An agent by numbers or arrays over time: along the road, to the left of the lane, speed along its heading."""

    s: object
    lateral: object = 0.0
    speed: object = 0.0
    turned: object = 0.0  # heading less that of the road
    kind: int = 0
    size: tuple[float, float, float] = (4.0, 2.0, 1.5)
    accel: object = 0.0
    lane: int = LANE
    crossing: int = -1

    def at(self, k: int) -> tuple[float, ...]:
        fields = (self.s, self.lateral, self.speed, self.turned, self.accel)
        return tuple(float(f[k]) if np.ndim(f) else float(f) for f in fields)


def place(s, lateral=0.0):
    """A pose on the lane of the test road, which is straight."""
    line = ROAD.lanes[LANE].center_xyz
    step = line[-1, :2] - line[0, :2]
    yaw = float(np.arctan2(step[1], step[0]))
    along = np.array([np.cos(yaw), np.sin(yaw)])
    xy = line[0, :2] + s * along + lateral * np.array([-along[1], along[0]])
    return np.array([*xy, 0.0]), yaw


def agents_at(others, k):
    rows = [other if isinstance(other, Other) else Other(*other) for other in others]
    at = [row.at(k) for row in rows]
    poses = [place(s, lateral) for s, lateral, *_ in at]
    n = len(rows)
    return Agents(
        id=np.arange(1, n + 1),
        kind=np.array([row.kind for row in rows], dtype=np.int64),
        xyz=np.array([p for p, _ in poses]).reshape(-1, 3),
        yaw_rad=np.array([yaw + row[3] for (_, yaw), row in zip(poses, at, strict=True)], dtype=float),
        speed_mps=np.array([row[2] for row in at], dtype=float),
        accel_mps2=np.array([row[4] for row in at], dtype=float),
        size_lwh=np.array([row.size for row in rows], dtype=float).reshape(-1, 3),
        lane=np.array([row.lane for row in rows], dtype=np.int64),
        s_m=np.array([row[0] for row in at], dtype=float),
        valid=np.ones(n, dtype=bool),
        crossing=np.array([row.crossing for row in rows], dtype=np.int64),
    )


def drive(s, speed, accel=None, lateral=None, yaw_off=None, others=(), signals=None, ended="duration", tags=()):
    """Arrays over states 0.1 s apart -> a rollout on the test road; `s` is where the rear axle is."""
    states = []
    for k in range(len(s)):
        xyz, yaw = place(s[k], 0.0 if lateral is None else lateral[k])
        ego = EgoState(
            k * 100_000, xyz, quat_from_yaw(yaw + (0.0 if yaw_off is None else yaw_off[k])),
            np.array([speed[k], 0.0, 0.0]), 0.0 if accel is None else accel[k],
        )  # fmt: skip
        shown = np.zeros(0, dtype=np.int64) if signals is None else np.array([signals[k]])
        states.append(WorldState(k * 100_000, ego, agents_at(others, k), shown))
    output = DriveOutput(
        Decision(plan_of(np.zeros((64, 2)), np.zeros(64), 0), (), None, "test", 0.0),
        Controls(0.0, 0.0),
        Verdict("pass"),
    )
    line = ROAD.lanes[LANE].center_xyz
    route = Route(np.linspace(place(s[0])[0], line[-1], 150), lanes=(LANE,))
    scenario = Scenario("test", 0, "DE", "built:straight,length=300", "", states[0], route, 60.0, tags)
    return Rollout(scenario, tuple(Step(state, output) for state in states[:-1]), states[-1], ended)


def steady(n=51, v=10.0, s0=20.0, **more):
    """A drive at constant speed."""
    return drive(s0 + 0.1 * v * np.arange(n), np.full(n, v), **more)


def motion_of(accel, s0=20.0, v0=10.0):
    """Accelerations a step -> s and speed at each of N + 1 states; a car that brakes to 0 stays."""
    s, v = [s0], [v0]
    for a in accel:
        after = max(v[-1] + 0.1 * a, 0.0)
        s.append(s[-1] + 0.05 * (v[-1] + after))
        v.append(after)
    return np.array(s), np.array(v)


def signalled(kind, at_s=60.0):
    """The test road with a light or sign whose line lies across the lane at `at_s`."""
    (x, y, z), yaw = place(at_s)
    across = np.array([[-np.sin(yaw), np.cos(yaw), 0.0], [np.sin(yaw), -np.cos(yaw), 0.0]])
    line = StopLine("l", np.array([x, y, z]) + across, (LANE,))
    signal = Signal("s", kind, np.array([x, y, 4.0]), yaw + np.pi, (LANE,), (0,))
    return replace(ROAD, stop_lines=(line,), signals=(signal,))


def light_road(at_s=60.0):
    return signalled(SignalKind.TRAFFIC_LIGHT, at_s)


def along_lanes(road_map, lanes, v=10.0, before=(), shown=0, end_s=None, **more):
    """Lanes of any map -> a drive along their centre lines at constant speed; `before`: route lanes behind."""
    line = compile_map(road_map).route_line(tuple(lanes), 0.0, end_s or compile_map(road_map).length(lanes[-1]))
    along = np.r_[0.0, np.cumsum(np.hypot(*np.diff(line[:, :2], axis=0).T))]
    s = np.arange(2.0, along[-1] - 4.0, 0.1 * v)
    xyz = np.column_stack([np.interp(s, along, line[:, k]) for k in range(3)])
    ahead = np.column_stack([np.interp(s + 0.1, along, line[:, k]) for k in range(3)]) - xyz
    rollout = steady(n=len(s), v=v, **more)
    signals = np.full(len(road_map.signals), int(shown))
    states = [
        replace(
            state,
            ego=replace(state.ego, xyz=xyz[k], quat_xyzw=quat_from_yaw(np.arctan2(ahead[k, 1], ahead[k, 0]))),
            signals=signals,
        )
        for k, state in enumerate([*(step.state for step in rollout.steps), rollout.final])
    ]
    route = Route(line[::2], lanes=(*before, *lanes))
    scenario = replace(rollout.scenario, route=route, initial=states[0])
    steps = tuple(replace(step, state=state) for step, state in zip(rollout.steps, states[:-1], strict=True))
    return replace(rollout, scenario=scenario, steps=steps, final=states[-1])
