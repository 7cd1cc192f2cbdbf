"""Recorded traffic as scenarios: a clip and a vehicle in, a scenario in which the ego takes that vehicle's place out.

Each recorded vehicle follows its recording until what it did would no longer make sense: when its recorded way of the
next two seconds meets the ego where it met nobody in the recording, or meets a vehicle that has left its own. From then
on it is traffic like any other. Which ones have left stands in `Agents.task`, so a state is complete. A vehicle whose
recording ends while others go on has left the recorded area, and the scene; when all end, the traffic takes over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from cordillera.geometry import boxes_overlap, quat_from_yaw, yaw_of
from cordillera.types import (
    AgentKind,
    Agents,
    EgoState,
    Float,
    RoadMap,
    Route,
    Scenario,
    VehicleSpec,
    Weather,
    WorldState,
)
from cordillera.world.commonroad import PREFIX, light_scripts, read_commonroad, read_tracks, recording_path
from cordillera.world.lights import compile_lights
from cordillera.world.roads import LanePosition, Roads, compile_map

FOLLOWS = 5  # Agents.task: follows its recording
TICK_US = 100_000
SMOOTH = 11  # ticks of 0.1 s over which noisy positions are smoothed, by cubics
LOOK_S = (0.3, 0.6, 1.0, 1.5, 2.0)  # ahead, for what a recorded way would meet
ROOM_M = (1.5, 0.3)  # that its box needs beyond its own length and width
NEAR_LANE_M = 4.0
SLOW_MPS = 0.5  # below, a recorded heading says more than the way between two positions


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded vehicle, smoothed, every 0.1 s."""

    id: int
    kind: AgentKind
    size_lwh: tuple[float, float, float]
    first: int  # tick of the first pose
    xyz: Float  # (N, 3) centre of the box on the ground
    yaw_rad: Float  # (N,)
    speed_mps: Float  # (N,)
    accel_mps2: Float  # (N,)

    @property
    def last(self) -> int:
        return self.first + len(self.xyz) - 1


@cache
def recorded(path: Path) -> tuple[Recorded, ...]:
    """A CommonRoad file -> its vehicles, smoothed, every 0.1 s; those seen for less than half a second are left out."""
    tracks, dt = read_tracks(path)
    out = []
    for track in tracks:
        t = track.tick * dt
        if len(t) < 3 or t[-1] - t[0] < 0.5:
            continue
        ticks = np.arange(math.ceil(t[0] / 0.1 - 1e-6), math.floor(t[-1] / 0.1 + 1e-6) + 1)
        at = ticks * 0.1
        xy = np.stack([np.interp(at, t, column) for column in track.xy.T], axis=-1)
        window = min(SMOOTH, len(at) - (1 - len(at) % 2))
        order = min(3, window - 1)
        xy = _smoothed(xy, window, order)
        rate = _smoothed(xy, window, order, 1)
        speed = np.hypot(*rate.T)
        yaw = np.interp(at, t, track.yaw_rad)
        moving = speed > SLOW_MPS
        yaw = np.where(moving, yaw + np.angle(np.exp(1j * (np.arctan2(rate[:, 1], rate[:, 0]) - yaw))), yaw)
        yaw = _smoothed(np.unwrap(yaw), window, min(2, order))
        out.append(
            Recorded(
                track.id, track.kind, track.size_lwh, int(ticks[0]), np.column_stack([xy, np.zeros(len(xy))]), yaw,
                speed, np.gradient(speed, 0.1),
            )
        )  # fmt: skip
    return tuple(out)


def _smoothed(values: Float, window: int, order: int, derivative: int = 0) -> Float:
    """Columns every 0.1 s -> the same, or their rate a second: least squares in a sliding window (Savitzky-Golay)."""
    return np.asarray(savgol_filter(values, window, order, deriv=derivative, delta=0.1, axis=0), dtype=np.float64)


class Replay:
    """The recording of one scenario, compiled; holds what never changes and no state."""

    def __init__(self, scenario: Scenario, roads: Roads) -> None:
        self.roads, self.vehicle = roads, scenario.vehicle
        tracks = {track.id: track for track in recorded(recording_path(scenario.recording))}
        if scenario.recorded_ego not in tracks:
            raise ValueError(f"scenario {scenario.name!r}: its recording has no vehicle {scenario.recorded_ego}")
        self.ego = tracks[scenario.recorded_ego]
        self.start_us = scenario.initial.t_us
        self.end = max(track.last for track in tracks.values())
        self.tracks = [tracks.get(int(ident)) for ident in scenario.initial.agents.id]

    def for_traffic(self, agents: Agents) -> Agents:
        """Agents -> as the traffic is to take them: recorded ones as bodies; those that are away let nobody in."""
        follows = agents.task == FOLLOWS
        kind = np.where(follows & ~agents.valid, int(AgentKind.CONE), agents.kind)
        return replace(agents, kind=kind, task=np.where(follows, 0, agents.task))

    def step(self, state: WorldState, after: Agents) -> Agents:
        """The state now and the agents as the traffic has moved them -> the agents 0.1 s later, recorded ones too."""
        now = state.agents
        tick = (state.t_us - self.start_us) // TICK_US + 1
        names = (
            "xyz",
            "yaw_rad",
            "speed_mps",
            "accel_mps2",
            "lane",
            "s_m",
            "valid",
            "lateral_m",
            "lateral_mps",
            "task",
        )
        columns = {name: getattr(after, name).copy() for name in names}
        free = [
            (after.xyz[k], float(after.yaw_rad[k]), float(after.speed_mps[k]), after.size_lwh[k])
            for k in np.flatnonzero(after.valid & (now.task != FOLLOWS))
        ]
        for k in np.flatnonzero(now.task == FOLLOWS):
            track = self.tracks[k]
            if track is None:
                continue
            here = track.first <= tick <= track.last
            columns["lane"][k], columns["task"][k], columns["valid"][k] = -1, FOLLOWS, here
            if here:
                n = tick - track.first
                columns["xyz"][k], columns["yaw_rad"][k] = track.xyz[n], track.yaw_rad[n]
                columns["speed_mps"][k], columns["accel_mps2"][k] = track.speed_mps[n], track.accel_mps2[n]
            ends = tick == track.last == self.end
            if here and (ends or self._meets(track, tick, state.ego, free)):
                self._release(int(k), columns)
        return replace(after, kind=now.kind, **columns)

    def _meets(self, track: Recorded, tick: int, ego: EgoState, free: list[tuple[Float, float, float, Float]]) -> bool:
        """Whether a recorded way meets the ego where it did not in the recording, or one who has left the recording."""
        box = track.size_lwh[0] + ROOM_M[0], track.size_lwh[1] + ROOM_M[1]
        yaw = float(yaw_of(ego.quat_xyzw))
        aft = self.vehicle.rear_axle_to_center_m
        center = ego.xyz[:2] + aft * np.array([math.cos(yaw), math.sin(yaw)])
        size = np.array([self.vehicle.length_m, self.vehicle.width_m])
        for ahead in LOOK_S:
            n = min(tick + round(ahead * 10.0), track.last) - track.first
            own = (*track.xyz[n, :2], float(track.yaw_rad[n]), *box)
            if _overlaps(own, center, yaw, ego.speed_mps * ahead, size):
                m = min(max(tick + round(ahead * 10.0), self.ego.first), self.ego.last) - self.ego.first
                there = self.ego.xyz[m, :2]
                if not _overlaps(own, there, float(self.ego.yaw_rad[m]), 0.0, np.array(self.ego.size_lwh[:2])):
                    return True
            for xyz, heading, speed, lwh in free:
                if _overlaps(own, xyz[:2], heading, speed * ahead, lwh):
                    return True
        return False

    def _release(self, k: int, columns: dict[str, np.ndarray]) -> None:
        """Let row k go: it joins the traffic on the lane that it is on; off every lane it is gone."""
        x, y = columns["xyz"][k, :2]
        place = self.roads.nearest(float(x), float(y), float(columns["yaw_rad"][k]), NEAR_LANE_M)
        columns["task"][k] = 0
        if place is None:
            columns["valid"][k] = False
            return
        columns["lane"][k], columns["s_m"][k] = place.lane, place.s_m
        columns["lateral_m"][k], columns["lateral_mps"][k] = place.lateral_m, 0.0


def _overlaps(
    own: tuple[float, float, float, float, float], xy: Float, yaw: float, run_m: float, size: Float
) -> bool:  # fmt: skip
    """A box, and another one that goes straight on for some metres -> whether they meet at its end."""
    x, y = float(xy[0]) + run_m * math.cos(yaw), float(xy[1]) + run_m * math.sin(yaw)
    if abs(x - own[0]) + abs(y - own[1]) > 2.0 * (own[3] + float(size[0])):
        return False
    return boxes_overlap(*own, x, y, yaw, float(size[0]), float(size[1]))


# ------------------------------------------------------------------- scenarios


def recorded_scenario(name: str, ego: int = -1, seed: int = 0) -> Scenario:
    """A recording, and the vehicle whose place the ego takes (-1: one that `seed` chooses) -> the scenario.

    Only vehicles that are there from the start, on a lane, for two seconds or more can be replaced. Raises ValueError
    where there is none, or `ego` is none of them.
    """
    path = recording_path(name)
    road_map = read_commonroad(path)
    roads = compile_map(road_map)
    tracks = recorded(path)
    able = [track for track in tracks if track.first == 0 and track.last >= 20 and _on(roads, track, 0) is not None]
    chosen = next((t for t in able if t.id == ego), None) if ego >= 0 else able[seed % len(able)] if able else None
    if chosen is None:
        raise ValueError(f"recording {name!r}: vehicle {ego} cannot be replaced; these can: {[t.id for t in able]}")
    duration_s = 0.1 * chosen.last
    scripts = light_scripts(path, road_map, duration_s)
    others = [track for track in tracks if track.id != chosen.id]
    length, width, height = chosen.size_lwh
    spec = replace(
        VehicleSpec(), length_m=length, width_m=width, height_m=height, rear_axle_to_center_m=0.29 * length,
        wheelbase_m=0.58 * length,
    )  # fmt: skip
    yaw = float(chosen.yaw_rad[0])
    back = spec.rear_axle_to_center_m * np.array([math.cos(yaw), math.sin(yaw), 0.0])
    speed = float(chosen.speed_mps[0])
    state = EgoState(
        0, chosen.xyz[0] - back, quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]), float(chosen.accel_mps2[0])
    )
    signals = compile_lights(road_map, seed, road_map.region).states(0)
    for script in scripts:
        if script.from_s <= 0.0 < script.until_s and script.shows is not None:
            signals[list(script.signals)] = int(script.shows)
    route = _route(roads, road_map, chosen)
    initial = WorldState(0, state, _agents(others), signals)
    label, source = f"{road_map.name}-{chosen.id}", f"{PREFIX}{name.removeprefix(PREFIX)}"
    return Scenario(
        label, seed, road_map.region, source, road_map.sha256, initial, route, duration_s,
        ("recorded",), Weather.CLEAR, 12.0, spec, (), scripts, "", source, chosen.id,
    )  # fmt: skip


def _on(roads: Roads, track: Recorded, n: int) -> LanePosition | None:
    x, y = track.xyz[n, :2]
    return roads.nearest(float(x), float(y), float(track.yaw_rad[n]), NEAR_LANE_M)


def _route(roads: Roads, road_map: RoadMap, track: Recorded) -> Route:
    """The way of a recorded vehicle: over the lanes that it was on, then on along them for 200 m or to their end."""
    seen = [place for n in range(0, len(track.xyz), 5) if (place := _on(roads, track, n)) is not None]
    lanes = [seen[0].lane]
    for place in seen[1:]:
        if place.lane != lanes[-1]:
            lanes.append(place.lane)
    linked = all(
        b in road_map.lanes[a].successors or b in (road_map.lanes[a].left, road_map.lanes[a].right)
        for a, b in pairwise(lanes)
    )
    if not linked:
        return roads.wander(seen[0], 0.1 * track.last * 15.0 + 100.0, track.id)
    left = 200.0
    while left > 0.0 and road_map.lanes[lanes[-1]].successors:
        lanes.append(road_map.lanes[lanes[-1]].successors[0])
        left -= roads.length(lanes[-1])
    xyz = roads.route_line(tuple(lanes), seen[0].s_m, roads.length(lanes[-1]))
    return Route(xyz, lanes=tuple(lanes))


def _agents(tracks: list[Recorded]) -> Agents:
    """The recorded vehicles at the start; those that come later are not valid yet."""
    here = np.array([track.first == 0 for track in tracks], dtype=np.bool_)
    count = len(tracks)

    def first(values: list[Float]) -> Float:
        return np.array([float(v[0]) if h else 0.0 for v, h in zip(values, here, strict=True)])

    return Agents(
        id=np.array([track.id for track in tracks], dtype=np.int64),
        kind=np.array([int(track.kind) for track in tracks], dtype=np.int64),
        xyz=np.array([t.xyz[0] if h else np.zeros(3) for t, h in zip(tracks, here, strict=True)]).reshape(-1, 3),
        yaw_rad=first([track.yaw_rad for track in tracks]),
        speed_mps=first([track.speed_mps for track in tracks]),
        accel_mps2=first([track.accel_mps2 for track in tracks]),
        size_lwh=np.array([track.size_lwh for track in tracks]).reshape(-1, 3),
        lane=np.full(count, -1), s_m=np.zeros(count), valid=here, task=np.full(count, FOLLOWS),
    )  # fmt: skip
