"""The truth and the path -> the scene as the expert looks at it: itself on the path, and everyone relative to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_path import Path
from cordillera.reasoning.kinds import kind_of_agent
from cordillera.types import AgentKind, Agents, Bool, Float, Int, Observation, Truth, VehicleSpec, WorldState
from cordillera.world.roads import Roads, compile_map

AHEAD_M, AHEAD_S, BEHIND_M = 130.0, 8.0, 20.0
LOOK_M = 110.0
FAR_SIDE_M = 60.0
LEVEL_M, STEEPEST = 2.5, 0.12  # what is higher or lower than any slope would bring it is on another road
WALKERS = (
    AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR, AgentKind.ANIMAL, AgentKind.POLICE_OFFICER, AgentKind.FLAGGER,
)  # fmt: skip


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
    def t_us(self) -> int:
        return self.state.t_us

    def kind(self, row: int) -> AgentKind:
        return AgentKind(int(self.agents.kind[row]))

    def target(self, row: int) -> str:
        return f"agent:{int(self.agents.id[row])}"

    def name(self, row: int) -> str:
        """The kind of cause that an agent is."""
        return kind_of_agent(int(self.agents.kind[row]))


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
    return Scene(
        path, compile_map(truth.map), state, vehicle, s, offset, heading, _stood(observation), rows,
        nearest * SPACING_M + c * gap[:, 0] + n * gap[:, 1], c * gap[:, 1] - n * gap[:, 0], turn, reach,
    )  # fmt: skip


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


def corridor(scene: Scene, margin_m: float) -> Bool:
    """Which of the near agents (K,) overlap the strip that the ego's body sweeps along the path."""
    half = 0.5 * scene.vehicle.width_m + margin_m
    return (np.abs(scene.side_m) - scene.reach_m[:, 1] < half) & (np.abs(scene.side_m) < FAR_SIDE_M)


def braking_to(scene: Scene, station_m: float) -> float:
    """The constant braking (m/s2) that stops the front at a station; large where it is passed."""
    left = station_m - scene.front_m
    return scene.speed_mps**2 / (2.0 * max(left, 0.1)) if left > -50.0 else math.inf
