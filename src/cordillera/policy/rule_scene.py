"""The truth and the path -> the scene as the expert looks at it: itself on the path, and everyone relative to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_path import Path
from cordillera.reasoning.kinds import KINDS, kind_of_agent
from cordillera.types import AgentKind, Agents, Bool, Float, Int, Observation, Truth, VehicleSpec, WorldState
from cordillera.world.roads import Roads, compile_map

AHEAD_M, AHEAD_S, BEHIND_M = 130.0, 8.0, 20.0
LOOK_M = 110.0
FAR_SIDE_M = 60.0
ALONG_RAD = 0.5
LEVEL_M, STEEPEST = 2.5, 0.12  # what is higher or lower than any slope would bring it is on another road
WALKERS = (
    AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR, AgentKind.ANIMAL, AgentKind.POLICE_OFFICER, AgentKind.FLAGGER,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Line:
    """What is driven instead of the path: offsets to its left and their slopes, from a station on."""

    station_m: float
    spacing_m: float
    offset_m: Float  # (N,)
    slope: Float  # (N,)

    def at(self, s_m: Float) -> tuple[Float, Float]:
        """Stations (M,) -> offsets and slopes there; the first and the last hold beyond the ends."""
        at = np.clip((s_m - self.station_m) / self.spacing_m, 0.0, len(self.offset_m) - 1.0)
        low = np.minimum(at.astype(np.int64), len(self.offset_m) - 2)
        t = at - low
        mixed = [a[low] + t * (a[low + 1] - a[low]) for a in (self.offset_m, self.slope)]
        return mixed[0], mixed[1]


PLAIN = Line(0.0, 1.0, np.zeros(2), np.zeros(2))


@dataclass(frozen=True, eq=False)
class Scene:
    """The ego and everyone near it, in the frame of the path. Rows of the arrays are those of `rows` in the agents."""

    path: Path
    roads: Roads
    state: WorldState
    vehicle: VehicleSpec
    station_m: float  # of the rear axle
    offset_m: float  # of the rear axle from the path, left positive
    heading_rad: float  # relative to the path
    stood_s: float  # how long the ego has stood, up to the 1.5 s that the window holds
    rows: Int  # (K,) agents that are near
    s_m: Float  # (K,) stations of their centres
    side_m: Float  # (K,) offsets, left positive
    turn_rad: Float  # (K,) headings relative to the path
    reach_m: Float  # (K, 2) half extents along and across the path
    scripted: Bool  # (K,) off the lanes of the traffic: things, people, and vehicles that go their own way
    line: Line = PLAIN  # what is driven

    @property
    def agents(self) -> Agents:
        return self.state.agents

    @property
    def front_m(self) -> float:
        """Station of the front bumper."""
        return self.station_m + self.nose_m

    @property
    def nose_m(self) -> float:
        """From the rear axle to the front bumper."""
        return self.vehicle.rear_axle_to_center_m + 0.5 * self.vehicle.length_m

    @property
    def tail_m(self) -> float:
        """From the rear axle back to the rear bumper."""
        return 0.5 * self.vehicle.length_m - self.vehicle.rear_axle_to_center_m

    @property
    def speed_mps(self) -> float:
        return max(self.state.ego.speed_mps, 0.0)

    @property
    def look_m(self) -> float:
        """How far ahead a place to stop matters: twice the distance of a comfortable stop."""
        return max(LOOK_M, 0.5 * self.speed_mps**2)

    @property
    def off_line_m(self) -> Float:
        """Offsets (K,) of the near agents from the line that is driven, left positive."""
        return self.side_m - self.line.at(self.s_m)[0]

    @property
    def t_us(self) -> int:
        return self.state.t_us

    def kind(self, row: int) -> AgentKind:
        return AgentKind(int(self.agents.kind[row]))

    def target(self, row: int) -> str:
        return f"agent:{int(self.agents.id[row])}"

    def name(self, row: int) -> str:
        """The kind of cause that an agent is."""
        return kind_of_agent(int(self.agents.kind[row]))


def fitting(kind: str, relation: str) -> str:
    """A kind of cause and what one would say of it -> that, or the nearest thing that is said of such a kind."""
    said = KINDS[kind].relations
    return next((r for r in (relation, "blocking the ego lane", "on the road ahead", "ahead") if r in said), said[0])


def look(observation: Observation, truth: Truth, path: Path, vehicle: VehicleSpec) -> Scene:
    """What the expert may know -> its scene."""
    state, ego = truth.state, truth.state.ego
    x, y, yaw = float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw))
    first, last = _window(path, observation)
    s, offset = path.project(x, y, first, last)
    s, offset = float(min(max(s, 0.0), path.length_m)), float(offset)
    heading = float(wrap_angle(yaw - path.yaw[path.index(s)]))
    reach = max(AHEAD_M, AHEAD_S * ego.speed_mps)
    low, high = path.index(s - BEHIND_M), path.index(s + reach) + 1
    agents = state.agents
    rise = np.abs(agents.xyz[:, 2] - ego.xyz[2])
    away = np.hypot(agents.xyz[:, 0] - x, agents.xyz[:, 1] - y)
    near = agents.valid & (away < reach) & (rise < LEVEL_M + STEEPEST * away)
    rows = np.flatnonzero(near)
    gap = agents.xyz[rows, None, :2] - path.xy[None, low:high]
    nearest = np.argmin(np.einsum("ijk,ijk->ij", gap, gap), axis=1) if len(rows) else np.zeros(0, dtype=np.int64)
    gap = gap[np.arange(len(rows)), nearest]
    nearest = nearest + low
    c, n = np.cos(path.yaw[nearest]), np.sin(path.yaw[nearest])
    turn = wrap_angle(agents.yaw_rad[rows] - path.yaw[nearest])
    half = 0.5 * agents.size_lwh[rows, :2]
    along, across = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    reach = np.column_stack([half[:, 0] * along + half[:, 1] * across, half[:, 0] * across + half[:, 1] * along])
    roads = compile_map(truth.map)
    return Scene(
        path, roads, replace(state, agents=_on_lanes(roads, agents, rows)), vehicle, s, offset, heading,
        _stood(observation), rows, nearest * SPACING_M + c * gap[:, 0] + n * gap[:, 1],
        c * gap[:, 1] - n * gap[:, 0], turn, reach, agents.lane[rows] < 0,
    )  # fmt: skip


def _on_lanes(roads: Roads, agents: Agents, rows: Int) -> Agents:
    """Agents -> the same, with the near vehicles that follow no lane put on the lane along which they drive."""
    lane, at = agents.lane.copy(), agents.s_m.copy()
    for row in rows[agents.lane[rows] < 0]:
        kind = AgentKind(int(agents.kind[row]))
        if kind >= AgentKind.CONE or kind in WALKERS:
            continue
        x, y, z = (float(v) for v in agents.xyz[row])
        place = roads.nearest(x, y, float(agents.yaw_rad[row]), 1.0, z)
        if place is not None and abs(place.yaw_error_rad) < ALONG_RAD and abs(place.lateral_m) < 2.2:
            lane[row], at[row] = place.lane, place.s_m
    return replace(agents, lane=lane, s_m=at)


def _window(path: Path, observation: Observation) -> tuple[int, int]:
    """The stations among which the ego is: those of the lanes that are next on the observed route."""
    left = observation.route.lanes
    k = len(path.lanes) - len(left) if left and path.lanes[-len(left) :] == left else 0
    first = int(np.searchsorted(path.step, k - 1, side="left"))
    last = int(np.searchsorted(path.step, k + 2, side="right")) if left else len(path.step)
    first, last = max(first - 20, 0), min(last + 40, len(path.step))
    return (first, last) if last > first else (0, len(path.step))


def _stood(observation: Observation) -> float:
    """How long the ego has not moved, by its history."""
    history = observation.ego_history
    away = np.hypot(history.xyz[:, 0], history.xyz[:, 1])
    moved = np.flatnonzero(away > 0.05)
    first = int(moved[-1]) + 1 if len(moved) else 0
    return float(history.t_us[-1] - history.t_us[min(first, len(away) - 1)]) * 1e-6


def clearances(scene: Scene, line: Line) -> Float:
    """A line -> the least distance (K,) to the side between the ego's body on it and each near agent; negative inside.

    Only the part of the body that passes an agent counts, with its slant.
    """
    if not len(scene.rows):
        return np.zeros(0)
    places = scene.station_m + np.arange(0.0, AHEAD_M, 0.5, dtype=np.float64)
    offset, slope = line.at(places)
    rear, front = scene.s_m - scene.reach_m[:, 0], scene.s_m + scene.reach_m[:, 0]
    u0 = np.maximum(rear[:, None] - places, -scene.tail_m)
    u1 = np.minimum(front[:, None] - places, scene.nose_m)
    y0, y1 = offset + u0 * slope, offset + u1 * slope
    side = scene.side_m[:, None]
    beyond = np.maximum(side - np.maximum(y0, y1), np.minimum(y0, y1) - side)
    beyond = np.where(u0 <= u1, beyond, np.inf).min(axis=1)
    plain = np.abs(scene.off_line_m)
    return np.where(np.isfinite(beyond), beyond, plain) - scene.reach_m[:, 1] - 0.5 * scene.vehicle.width_m


def corridor(scene: Scene, margin_m: float) -> Bool:
    """Which of the near agents (K,) overlap the strip that the ego's body sweeps along the line it drives."""
    return (clearances(scene, scene.line) < margin_m) & (np.abs(scene.side_m) < FAR_SIDE_M)


def braking_to(scene: Scene, station_m: float) -> float:
    """The constant braking (m/s2) that stops the front at a station; large where it is passed."""
    left = station_m - scene.front_m
    return scene.speed_mps**2 / (2.0 * max(left, 0.1)) if left > -50.0 else math.inf
