"""People, vehicles and things put on the scene, relative to the ego's course; a `Stage` in, a `Scenario` out.

Places are given as `at_m`, metres along the ego's course, and `aside_m`, metres from the ego's line: positive towards
the middle of the road, negative towards the near edge. So a family reads the same for both sides of traffic.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.geometry import interpolate, quat_from_yaw, wrap_angle
from cordillera.types import (
    AgentKind,
    Agents,
    Conflict,
    EgoState,
    Float,
    Gesture,
    Int,
    LaneKind,
    LightScript,
    LightState,
    Phase,
    Scenario,
    Script,
    SignalKind,
    Trigger,
    VehicleSpec,
    Weather,
    When,
    WorldState,
)  # fmt: skip
from cordillera.world.lights import compile_lights
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.places import Course, Place
from cordillera.world.scripts import light_states, start_row
from cordillera.world.spawn import on_ground
from cordillera.world.traffic import Traffic, TrafficConfig

SIZE: dict[AgentKind, tuple[float, float, float]] = {
    AgentKind.CAR: (4.5, 1.82, 1.5), AgentKind.VAN: (5.4, 2.0, 2.3), AgentKind.TRUCK: (7.6, 2.4, 3.1),
    AgentKind.BUS: (11.0, 2.5, 3.1), AgentKind.MOTORCYCLE: (2.2, 0.8, 1.45), AgentKind.BICYCLE: (1.8, 0.65, 1.7),
    AgentKind.PEDESTRIAN: (0.5, 0.6, 1.75), AgentKind.WHEELCHAIR: (1.1, 0.7, 1.35), AgentKind.ANIMAL: (1.1, 0.45, 0.8),
    AgentKind.TRAM: (28.0, 2.4, 3.4), AgentKind.TRAILER: (6.0, 2.3, 2.8), AgentKind.AMBULANCE: (5.9, 2.1, 2.6),
    AgentKind.POLICE_CAR: (4.7, 1.85, 1.6), AgentKind.FIRE_ENGINE: (8.2, 2.5, 3.3), AgentKind.CONE: (0.4, 0.4, 0.75),
    AgentKind.BARRIER: (0.5, 2.4, 1.0), AgentKind.DEBRIS: (0.9, 0.7, 0.35), AgentKind.WARNING_TRIANGLE: (0.3, 0.5, 0.5),
    AgentKind.FALLEN_TREE: (8.0, 1.1, 1.2), AgentKind.SCHOOL_BUS: (10.5, 2.5, 3.1),
    AgentKind.POLICE_OFFICER: (0.5, 0.6, 1.8), AgentKind.FLAGGER: (0.5, 0.6, 1.8), AgentKind.TRAIN: (60.0, 2.8, 3.9),
    AgentKind.TRACTOR: (5.0, 2.3, 2.9), AgentKind.CARGO: (1.2, 1.0, 0.9), AgentKind.DOOR: (0.12, 1.0, 1.2),
    AgentKind.GATE: (0.2, 5.0, 1.1), AgentKind.WORK_MACHINE: (5.5, 2.3, 2.8), AgentKind.BALL: (0.25, 0.25, 0.25),
    AgentKind.POTHOLE: (0.9, 0.8, 0.08), AgentKind.FLOOD: (12.0, 6.0, 0.1),
}  # fmt: skip
FIRST_ID = 1001  # of the cast; traffic counts from 1
START_BRAKE_MPS2 = 2.5
CLEAR_M = 12.0  # no traffic starts closer to the cast
EDGE_STEP_M, EDGE_MOST_M = 0.1, 20.0
WALKS_MPS = 1.4
SIDE_MPS2 = 2.0  # in bends at the start


class Stage:
    """A scene under construction: the ego on its course, and everyone who is put there."""

    def __init__(self, d: Draw, course: Course, speed_mps: float = math.nan, duration_s: float = 30.0) -> None:
        self.d, self.course, self.roads, self.duration_s = d, course, course.roads, duration_s
        self.region = d.region
        self.middle = 1.0 if self.roads.map.traffic_side == "right" else -1.0  # sign of "left" towards the middle
        self.limit_mps = course.limit_mps(0.0)
        self.speed_mps = 0.9 * self.limit_mps if math.isnan(speed_mps) else speed_mps
        bend = float(np.abs(course.curvature_1pm[:20]).max()) if len(course.s_m) > 8 else 0.0
        self.speed_mps = min(self.speed_mps, math.sqrt(SIDE_MPS2 / max(bend, 1e-6)))
        self.vehicle = VehicleSpec()
        self._rows: list[tuple[AgentKind, tuple[float, float, float], dict[str, np.ndarray]]] = []
        self._scripts: list[Script] = []
        self._lights: list[LightScript] = []

    # -------------------------------------------------------------- geometry

    def spot(self, at_m: float, aside_m: float = 0.0) -> tuple[Float, float]:
        """Place -> world xyz (3,), heading of the course there. Beyond its ends the course goes on straight."""
        course = self.course
        at = min(max(at_m, 0.0), course.length_m)
        xyz = interpolate(course.xyz, [at])[0]
        yaw = float(np.interp(at, course.s_m, course.yaw))
        c, n, left = math.cos(yaw), math.sin(yaw), aside_m * self.middle
        return xyz + np.array([(at_m - at) * c - left * n, (at_m - at) * n + left * c, 0.0]), yaw

    def line(self, from_m: float, to_m: float, aside_m: float = 0.0) -> Float:
        """The line (N, 3) beside the course from one place to another; against it where `to_m` is the smaller."""
        count = max(int(abs(to_m - from_m)), 1) + 1
        return np.stack([self.spot(at, aside_m)[0] for at in np.linspace(from_m, to_m, count)])

    def across(self, at_m: float, from_m: float, to_m: float) -> Float:
        """The line (2, 3) across the road at a place, from one offset to another."""
        return np.stack([self.spot(at_m, from_m)[0], self.spot(at_m, to_m)[0]])

    def edge_m(self, at_m: float, side: str = "near") -> float:
        """Offset of the carriageway's edge at a place: "near" (negative), "far" beyond all lanes, "middle" between."""
        step = -EDGE_STEP_M if side == "near" else EDGE_STEP_M
        aside = 0.0
        while abs(aside) < EDGE_MOST_M and self._is_lane(at_m, aside + step, side == "middle"):
            aside += step
        return aside

    def _is_lane(self, at_m: float, aside_m: float, same_way: bool) -> bool:
        xyz, yaw = self.spot(at_m, aside_m)
        for lane in self.roads.inside_lanes(float(xyz[0]), float(xyz[1])):
            if self.roads.map.lanes[lane].kind in (LaneKind.DRIVING, LaneKind.BUS, LaneKind.BIKING):
                s, _ = self.roads.project(lane, float(xyz[0]), float(xyz[1]))
                turn = float(wrap_angle(self.roads.pose(lane, s)[1] - yaw))
                if not same_way or abs(turn) < 0.5 * math.pi:
                    return True
        return False

    def lane_m(self, at_m: float, number: int) -> float:
        """Offset of the middle of another lane: 1 is the next towards the middle of the road, -1 towards the edge."""
        way, _ = self.course.way_at(at_m)
        lane, steps = way.lane, abs(number)
        xyz, yaw = self.spot(at_m)
        for _ in range(steps):
            record = self.roads.map.lanes[lane]
            inner, outer = (record.left, record.right) if self.middle > 0.0 else (record.right, record.left)
            lane = (inner if inner >= 0 else record.oncoming) if number > 0 else outer
            if lane < 0:
                raise ValueError(f"{self.course.map}: there is no lane {number} beside the course at {at_m:.0f} m")
        s, _ = self.roads.project(lane, float(xyz[0]), float(xyz[1]))
        gap = self.roads.pose(lane, s)[0] - xyz
        return float(gap[1] * math.cos(yaw) - gap[0] * math.sin(yaw)) * self.middle

    # ------------------------------------------------------------------ cast

    def put(
        self, kind: AgentKind, at_m: float, aside_m: float, turn_deg: float = 0.0,
        size: tuple[float, float, float] | None = None, shows: Gesture = Gesture.NONE, blinker: int = 0,
    ) -> int:  # fmt: skip
        """Someone or something that stays where it is, turned to the middle of the road by `turn_deg` -> its id."""
        xyz, yaw = self.spot(at_m, aside_m)
        heading = float(wrap_angle(yaw + math.radians(turn_deg) * self.middle))
        row = {
            "xyz": xyz[None], "yaw_rad": np.array([heading]), "speed_mps": np.zeros(1), "accel_mps2": np.zeros(1),
            "s_m": np.zeros(1), "lateral_m": np.zeros(1), "lateral_mps": np.zeros(1), "wait_s": np.zeros(1),
            "lane": np.full(1, -1), "task": np.zeros(1, dtype=np.int64), "blinker": np.full(1, blinker),
            "shows": np.full(1, int(shows)), "valid": np.ones(1, dtype=np.bool_),
        }  # fmt: skip
        return self._add(kind, size, row)

    def park(
        self, kind: AgentKind, at_m: float, side: str = "near", gap_m: float = 0.3, blinker: int = 0,
        turn_deg: float = 0.0,
    ) -> int:  # fmt: skip
        """A vehicle that stands `gap_m` inside the near or far edge of the road -> its id; far ones head against us."""
        edge, half = self.edge_m(at_m, side), 0.5 * SIZE[kind][1]
        aside = edge + half + gap_m if side == "near" else edge - half - gap_m
        return self.put(kind, at_m, aside, turn_deg + (0.0 if side == "near" else 180.0), blinker=blinker)

    def stand(
        self, kind: AgentKind, at_m: float, aside_m: float, *phases: Phase, turn_deg: float = 180.0,
        size: tuple[float, float, float] | None = None,
    ) -> int:  # fmt: skip
        """Someone who stays where he is and shows things in phases, facing the ego at 180 degrees -> its id."""
        xyz, yaw = self.spot(at_m, aside_m)
        heading = yaw + math.radians(turn_deg) * self.middle
        ahead = xyz + np.array([math.cos(heading), math.sin(heading), 0.0])
        return self.move(kind, np.stack([xyz, ahead]), *phases, size=size, at_end="stop", speed_mps=0.0)

    def move(
        self, kind: AgentKind, line: Float, *phases: Phase, start_m: float = 0.0, speed_mps: float = math.nan,
        size: tuple[float, float, float] | None = None, at_end: str = "vanish", backwards: bool = False,
    ) -> int:  # fmt: skip
        """Someone who follows a line in phases, from `start_m` of it on -> its id. It begins with its first speed."""
        script = Script(FIRST_ID + len(self._rows), np.asarray(line), phases, at_end, backwards)
        self._scripts.append(script)
        speed = next(p for p in phases if p.visible).speed_mps if math.isnan(speed_mps) else speed_mps
        return self._add(kind, size, start_row(script, start_m, speed))

    def walk(
        self, at_m: float, from_m: float, to_m: float, trigger: Trigger, speed_mps: float = WALKS_MPS,
        kind: AgentKind = AgentKind.PEDESTRIAN, size: tuple[float, float, float] | None = None, **phase: object,
    ) -> int:  # fmt: skip
        """Someone who stands aside at `from_m` and, on the trigger, crosses to `to_m` -> its id."""
        go = Phase(trigger, speed_mps, accel_mps2=3.0, **phase)  # pyright: ignore[reportArgumentType]
        return self.move(kind, self.across(at_m, from_m, to_m), Phase(), go, size=size, at_end="stop")

    def cross_traffic(
        self, conflict: Conflict, trigger_s: float, speed_mps: float, kind: AgentKind = AgentKind.CAR,
        back_m: float = 60.0, late_s: float = 0.0, **phase: object,
    ) -> int:  # fmt: skip
        """A vehicle on the lane that the course conflicts with: it is there `late_s` after the ego would be -> its id.

        It comes in sight when the ego is `trigger_s` from the conflict, at the distance that it needs at its speed.
        """
        line, there = self.conflict_line(conflict, back_m)
        at = self.conflict_at(conflict)
        start = max(there - speed_mps * (trigger_s + late_s), 0.0)
        wait = max(trigger_s + late_s - (there - start) / speed_mps, 0.0)
        due = Phase(Trigger(When.EGO_DUE, trigger_s - wait, at), speed_mps, **phase)  # pyright: ignore[reportArgumentType]
        return self.move(kind, line, Phase(visible=False), due, start_m=start, speed_mps=speed_mps)

    def conflict_at(self, conflict: Conflict) -> float:
        """Where along the course a conflict begins."""
        return next(a for a, _, c in self.course.conflicts if c is conflict)

    def conflict_line(self, conflict: Conflict, back_m: float = 60.0, on_m: float = 60.0) -> tuple[Float, float]:
        """The line of the traffic on a conflicting lane, `back_m` before it and on after it; where it conflicts."""
        roads = self.roads
        chain, before = [conflict.other], 0.0
        while before < back_m and roads.map.lanes[chain[0]].predecessors:
            chain.insert(0, roads.map.lanes[chain[0]].predecessors[0])
            before += roads.length(chain[0])
        after = 0.0
        while after < on_m and roads.map.lanes[chain[-1]].successors:
            chain.append(roads.map.lanes[chain[-1]].successors[0])
            after += roads.length(chain[-1])
        skip = max(before - back_m, 0.0)
        skip = min(skip, roads.length(chain[0]) - 1.0)
        end = roads.length(chain[-1])
        line = roads.route_line(tuple(chain), skip, end)
        return line, before - skip + conflict.other_s_m[0]

    def _add(self, kind: AgentKind, size: tuple[float, float, float] | None, row: dict[str, np.ndarray]) -> int:
        self._rows.append((kind, size or SIZE[kind], row))
        return FIRST_ID + len(self._rows) - 1

    # ---------------------------------------------------------------- lights

    def lights_ahead(self, kind: SignalKind = SignalKind.TRAFFIC_LIGHT) -> list[tuple[float, int]]:
        """The lights (or signs) of the course: where one stops for them, and their index."""
        return [(s, rule.signal) for s, rule in self.course.stops if rule.kind is kind]

    def junction_lights(self, signal: int) -> tuple[int, ...]:
        """A light -> all vehicle and pedestrian lights of its junction."""
        plan = compile_lights(self.roads.map, self.d.seed, self.region.code)
        if plan.junction[signal] < 0:
            return (signal,)
        return tuple(np.flatnonzero(plan.junction == plan.junction[signal]).tolist())

    def light(
        self, signals: tuple[int, ...], shows: LightState | None, from_s: float = 0.0, until_s: float = math.inf,
        late_s: float = 0.0,
    ) -> None:  # fmt: skip
        """Let signals show something else than their programme for a time; None: the programme, `late_s` later."""
        self._lights.append(LightScript(signals, shows, late_s, from_s, until_s))

    # -------------------------------------------------------------- scenario

    def scenario(
        self, vehicles: int = 6, people: int = 2, clear_m: tuple[float, float] = (-30.0, math.inf),
        clear_oncoming: bool = False, tags: tuple[str, ...] = (), weather: Weather | None = None,
        hour: float = math.nan,
    ) -> Scenario:  # fmt: skip
        """What was put on the stage, with that much traffic around -> the scenario.

        No traffic starts on the ego's lane between the two places of `clear_m`, nor, if asked, on the oncoming ones.
        Weather and hour are drawn where they are not given.
        """
        d, roads = self.d, self.roads
        route = self.course.route()
        step = route.xyz[1, :2] - route.xyz[0, :2]
        lights = light_states(compile_lights(roads.map, d.seed, self.region.code), tuple(self._lights), 0)
        speed = np.array([self._start_mps(lights), 0.0, 0.0])
        ego = EgoState(0, route.xyz[0].copy(), quat_from_yaw(math.atan2(step[1], step[0])), speed)
        ego = on_ground(roads, ego)
        config = TrafficConfig(vehicles, people if roads.map.crossings else 0)
        others = Traffic(roads, d.seed, route, self.vehicle, config).populate(ego, 0)
        agents = self._agents(others, clear_m, clear_oncoming)
        state = WorldState(0, ego, agents, lights)
        return Scenario(
            d.family, d.seed, self.region.code, self.course.map, roads.map.sha256, state, route, self.duration_s, tags,
            weather if weather is not None else d.weather(), d.hour() if math.isnan(hour) else hour, self.vehicle,
            scripts=tuple(self._scripts), light_scripts=tuple(self._lights),
        )  # fmt: skip

    def _start_mps(self, lights: Int) -> float:
        """States of the signals at the start -> the ego's speed there: one from which it can still heed them."""
        speed, nose = self.speed_mps, self.vehicle.rear_axle_to_center_m + 0.5 * self.vehicle.length_m
        for at, rule in self.course.stops:
            shut = rule.kind is SignalKind.TRAFFIC_LIGHT and lights[rule.signal] != LightState.GREEN
            if rule.kind is SignalKind.STOP or shut:
                speed = min(speed, math.sqrt(2.0 * START_BRAKE_MPS2 * max(at - nose - 1.0, 0.0)))
        return speed

    def _agents(self, others: Agents, clear_m: tuple[float, float], oncoming: bool) -> Agents:
        """Traffic that is not in the way, and the cast."""
        keep = np.ones(len(others.id), dtype=np.bool_)
        cast = np.concatenate([row["xyz"] for _, _, row in self._rows]) if self._rows else np.zeros((0, 3))
        course = self.course
        for i in np.flatnonzero(others.valid):
            gap = course.xyz[:, :2] - others.xyz[i, :2]
            near = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
            c, n = math.cos(course.yaw[near]), math.sin(course.yaw[near])
            aside = -float(gap[near, 1] * c - gap[near, 0] * n) * self.middle
            at = float(course.s_m[near]) - float(gap[near, 0] * c + gap[near, 1] * n)
            away = float(np.hypot(*gap[near]))
            on_lane = abs(aside) < 1.7 or (oncoming and 0.0 < aside < 6.0)
            if on_lane and away < 7.0 and clear_m[0] <= at <= clear_m[1]:
                keep[i] = False
            if len(cast) and np.hypot(*(cast[:, :2] - others.xyz[i, :2]).T).min() < CLEAR_M:
                keep[i] = False
        names = ("xyz", "yaw_rad", "speed_mps", "accel_mps2", "lane", "s_m", "valid", "blinker", "wait_s", "lateral_m",
                 "lateral_mps", "task", "shows")  # fmt: skip
        columns = {
            name: np.concatenate([getattr(others, name)[keep], *(row[name] for _, _, row in self._rows)])
            for name in names
        }
        kinds = np.array([int(kind) for kind, _, _ in self._rows], dtype=np.int64)
        sizes = np.array([size for _, size, _ in self._rows], dtype=np.float64).reshape(-1, 3)
        ids = np.concatenate([others.id[keep], FIRST_ID + np.arange(len(self._rows))])
        crossing = np.concatenate([others.crossing[keep], np.full(len(self._rows), -1)])
        return Agents(
            id=ids, kind=np.concatenate([others.kind[keep], kinds]), crossing=crossing,
            size_lwh=np.concatenate([others.size_lwh[keep], sizes]), **columns,
        )  # fmt: skip


def stage_at(d: Draw, place: Place, speed_mps: float = math.nan, duration_s: float = 30.0) -> Stage:
    """A draw and a place -> the stage there."""
    return Stage(d, place.course, speed_mps, duration_s)


def due(at_m: float, seconds: float) -> Trigger:
    """When the ego's front would be at a place within so many seconds."""
    return Trigger(When.EGO_DUE, seconds, at_m)


def near(at_m: float, metres: float) -> Trigger:
    """When the ego's front is within so many metres of a place, or past it."""
    return Trigger(When.EGO_NEAR, metres, at_m)


def after(seconds: float) -> Trigger:
    """So long after the phase before began."""
    return Trigger(When.AFTER, seconds)


def stood(seconds: float) -> Trigger:
    """When the agent has stood for so long in the phase before."""
    return Trigger(When.STOOD, seconds)


def child(height_m: float = 1.15) -> tuple[float, float, float]:
    """Height -> the size of a child."""
    return 0.4, 0.45, height_m
