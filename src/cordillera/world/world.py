"""The world: state and controls in, the state 0.1 s later out; a pure function of scenario, state and controls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.geometry import boxes_overlap, quat_from_euler, yaw_of
from cordillera.types import PASSABLE_MPS, AgentKind, Agents, Controls, EgoState, RoadMap, Scenario, WorldState
from cordillera.world.guide import Guide
from cordillera.world.lights import LightPlan, compile_lights
from cordillera.world.maps import load_map
from cordillera.world.replay import Replay
from cordillera.world.roads import Roads, compile_map
from cordillera.world.scripts import Cast, light_states
from cordillera.world.traffic import Traffic, TrafficConfig
from cordillera.world.vehicle import VehicleConfig, step_vehicle

DT_S = 0.1
DT_US = 100_000
LEVEL_M = 2.5  # what is farther above or below is on another road


@dataclass(frozen=True)
class WorldConfig:
    """How the ego moves, how many others there are, and when a drive is over."""

    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    arrive_m: float = 8.0  # so close to the route's end, and nearly at rest or past it, one has arrived
    off_road_m: float = 0.3  # a corner this far from the drivable area is off the road


class World:
    """A scenario's roads, lights and traffic; holds what never changes. States hold the rest."""

    def __init__(self, scenario: Scenario, config: WorldConfig | None = None, road_map: RoadMap | None = None) -> None:
        """`road_map` takes the place of the scenario's own map, for roads on which something was changed."""
        config = config or WorldConfig()
        self.scenario = scenario
        self.config = replace(config, vehicle=replace(config.vehicle, spec=scenario.vehicle))
        self.map: RoadMap = road_map or load_map(scenario.map)
        if road_map is None and scenario.map_sha256 and self.map.sha256 and scenario.map_sha256 != self.map.sha256:
            raise ValueError(
                f"scenario {scenario.name!r} was made for another version of map {scenario.map!r} "
                f"(sha256 {scenario.map_sha256[:12]}, now {self.map.sha256[:12]}); make the scenario again"
            )
        self.roads: Roads = compile_map(self.map)
        self.lights: LightPlan = compile_lights(self.map, scenario.seed, scenario.region)
        self.guide = Guide.of(self.roads, scenario.route)
        self._cast = Cast(scenario)
        self._replay = Replay(scenario, self.roads) if scenario.recording else None
        self._traffic = Traffic(self.roads, scenario.seed, scenario.route, scenario.vehicle, self.config.traffic)

    def reset(self) -> WorldState:
        """The state in which the scenario starts."""
        return self.scenario.initial

    def step(self, state: WorldState, controls: Controls) -> WorldState:
        """State and commands -> the state 0.1 s later, ego, agents and lights. Pure: same input, same bytes."""
        t_us = state.t_us + DT_US
        ego = on_ground(self.roads, step_vehicle(state.ego, controls, DT_S, self.config.vehicle), state.ego)
        others = self._cast.for_traffic(state.agents)
        others = self._replay.for_traffic(others) if self._replay else others
        agents = self._traffic.step(others, state.ego, state.signals, state.t_us, DT_S)
        agents = self._replay.step(state, agents) if self._replay else agents
        agents = self._cast.step(state, agents, DT_S)
        start_us = self.scenario.initial.t_us
        return WorldState(t_us, ego, agents, light_states(self.lights, self.scenario.light_scripts, t_us, start_us))

    # ------------------------------------------------------ how a drive ends

    def ended(self, state: WorldState, progress_m: float) -> str:
        """State and progress along the route -> "collision", "off-road", "arrived" or "" if the drive goes on."""
        if colliding(state, self.scenario) is not None:
            return "collision"
        if not self.on_road(state.ego):
            return "off-road"
        left = self.guide.length_m - progress_m
        if left < 0.5 or (left < self.config.arrive_m and state.ego.speed_mps < 0.2):
            return "arrived"
        return ""

    def on_road(self, ego: EgoState) -> bool:
        """Whether every corner of the ego is in the drivable area, or within `off_road_m` of it."""
        spec, slack = self.scenario.vehicle, self.config.off_road_m
        x, y, yaw = ego_box(ego, spec.rear_axle_to_center_m)
        return self.roads.box_drivable(x, y, yaw, spec.length_m - 2.0 * slack, spec.width_m - 2.0 * slack)


def ego_box(ego: EgoState, rear_axle_to_center_m: float) -> tuple[float, float, float]:
    """Ego state -> x, y of the centre of its box and its heading, in the world."""
    yaw = float(yaw_of(ego.quat_xyzw))
    x = float(ego.xyz[0]) + rear_axle_to_center_m * math.cos(yaw)
    return x, float(ego.xyz[1]) + rear_axle_to_center_m * math.sin(yaw), yaw


def colliding(state: WorldState, scenario: Scenario) -> int | None:
    """State -> row of the first agent whose box shares a point with the ego's, or None.

    What may be driven over at the ego's speed (a ball, a pothole at a crawl) is not struck; see `PASSABLE_MPS`.
    """
    spec, agents = scenario.vehicle, state.agents
    x, y, yaw = ego_box(state.ego, spec.rear_axle_to_center_m)
    reach = 0.5 * (spec.length_m + spec.width_m)
    level = np.abs(agents.xyz[:, 2] - state.ego.xyz[2]) < LEVEL_M
    near = agents.valid & level & (np.hypot(agents.xyz[:, 0] - x, agents.xyz[:, 1] - y) < reach + agents.size_lwh[:, 0])
    for row in np.flatnonzero(near):
        if abs(state.ego.speed_mps) <= PASSABLE_MPS.get(AgentKind(int(agents.kind[row])), -1.0):
            continue
        ax, ay = agents.xyz[row, :2]
        length, width = agents.size_lwh[row, :2]
        if boxes_overlap(x, y, yaw, spec.length_m, spec.width_m, ax, ay, agents.yaw_rad[row], length, width):
            return int(row)
    return None


def on_ground(roads: Roads, ego: EgoState, before: EgoState | None = None) -> EgoState:
    """An ego state -> the same with height and pitch of the lane beneath (unchanged height where there is none)."""
    yaw = float(yaw_of(ego.quat_xyzw))
    level = float(before.xyz[2]) if before is not None else math.nan
    place = roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]), yaw, 15.0, z=level)
    if place is None:
        return ego
    rise = math.cos(place.yaw_error_rad)
    low = roads.pose(place.lane, place.s_m - 1.0)[0]
    high = roads.pose(place.lane, place.s_m + 1.0)[0]
    run = max(float(np.hypot(*(high[:2] - low[:2]))), 0.1)
    pitch = -math.atan2(float(high[2] - low[2]) * rise, run)
    z = float(roads.pose(place.lane, place.s_m)[0][2])
    return replace(
        ego, xyz=np.array([ego.xyz[0], ego.xyz[1], z]), quat_xyzw=quat_from_euler(0.0, pitch, yaw)
    )  # fmt: skip


def empty_agents() -> Agents:
    """No agents at all."""
    none, flat = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Agents(
        none, none, np.zeros((0, 3)), flat, flat, flat, np.zeros((0, 3)), none, flat, np.zeros(0, dtype=np.bool_)
    )
