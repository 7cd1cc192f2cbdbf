"""Other road users: agents, the ego and lights now in, agents 0.1 s later out; a function of these and a seed.

Vehicles follow the Intelligent Driver Model along their lanes, change lanes by MOBIL, obey lights and signs (nearly all
of them), give way as the map says, park, make way for sirens; cyclists ride at the edge; people walk over crossings and
elsewhere. Drivers differ by hash of the seed and their identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cordillera.geometry import yaw_of
from cordillera.types import AgentKind, Agents, EgoState, Float, Int, Route, VehicleSpec
from cordillera.world.chance import draw
from cordillera.world.roads import Roads
from cordillera.world.roads_net import Table
from cordillera.world.traffic_net import TrafficNet, compile_traffic
from cordillera.world.traffic_state import VEHICLE, agents_of, movers_of, scratch_for
from cordillera.world.traffic_step import enter_all, face_all, look_around, tick_world
from cordillera.world.traffic_style import EGO_STYLE, Manners, set_styles

TICK_US = 100_000
START_NEAR_M = 25.0
START_TRIES = 24

# kind, share, length, width, height in m
FLEET = (
    (AgentKind.CAR, 0.69, 4.5, 1.82, 1.50),
    (AgentKind.VAN, 0.11, 5.4, 2.00, 2.30),
    (AgentKind.TRUCK, 0.06, 7.6, 2.40, 3.10),
    (AgentKind.MOTORCYCLE, 0.03, 2.2, 0.80, 1.45),
    (AgentKind.BICYCLE, 0.06, 1.8, 0.65, 1.70),
    (AgentKind.BUS, 0.04, 11.0, 2.50, 3.10),
    (AgentKind.AMBULANCE, 0.01, 5.9, 2.10, 2.60),
)


@dataclass(frozen=True)
class TrafficConfig:
    """How many road users live within what distance of the ego, and how they behave."""

    vehicles: int = 24
    people: int = 6
    radius_m: float = 180.0
    near_m: float = 90.0  # nobody enters the scene closer than this
    manners: Manners = field(default_factory=Manners)


class Traffic:
    """The road users of one scenario; holds what never changes and no state."""

    def __init__(self, roads: Roads, seed: int, route: Route, vehicle: VehicleSpec, config: TrafficConfig) -> None:
        self.roads, self.seed, self.vehicle, self.config = roads, seed, vehicle, config
        self.rules: TrafficNet = compile_traffic(roads.map, roads.net)
        lanes = len(roads.map.lanes)
        self.ego_next = np.full(lanes, -1, dtype=np.int64)
        for lane, after in pairwise(route.lanes):
            if after in roads.map.lanes[lane].successors:
                self.ego_next[lane] = after
        self.on_route = np.zeros(lanes, dtype=np.int64)
        self.on_route[list(route.lanes)] = 1
        edge = -1.0 if roads.map.traffic_side == "right" else 1.0
        self.knobs: Float = np.concatenate([config.manners.array(), [config.near_m, config.radius_m, edge]])

    def step(self, agents: Agents, ego: EgoState, signals: Int, t_us: int, dt_s: float = 0.1) -> Agents:
        """Agents and ego at `t_us`, what the signals show -> the agents after `dt_s`."""
        movers = self.movers(agents, ego)
        memory = scratch_for(len(self.roads.map.lanes), len(movers))
        tick_world(
            self.roads.net, self.rules, movers, signals, self.on_route, self.ego_next, self.knobs, memory, self.seed,
            t_us // TICK_US, dt_s,
        )  # fmt: skip
        face_all(movers)
        return agents_of(agents, movers)

    def populate(self, ego: EgoState, t_us: int) -> Agents:
        """The agents of a scenario's start: vehicles around the ego, but not closer than 25 m; people yet to come."""
        agents = fleet(self.seed, self.config)
        movers = self.movers(agents, ego)
        radius = self.config.radius_m
        enter_all(self.rules, movers, START_NEAR_M, radius, self.seed, t_us // TICK_US, START_TRIES)
        return agents_of(agents, movers)

    def movers(self, agents: Agents, ego: EgoState) -> Table:
        """Agents and ego -> MOVER records (A + 1,) with their styles, the ego last."""
        movers = movers_of(agents)
        set_styles(movers, self.seed, self.knobs)
        set_ego(movers[-1:], ego, self.vehicle)
        look_around(self.rules, movers)
        return movers


def set_ego(record: Table, ego: EgoState, vehicle: VehicleSpec) -> None:
    """Write the ego's state to its MOVER record (1,)."""
    yaw = float(yaw_of(ego.quat_xyzw))
    x, y = ego.xyz[:2] + vehicle.rear_axle_to_center_m * np.array([math.cos(yaw), math.sin(yaw)])
    values = {
        "x": x, "y": y, "z": ego.xyz[2], "yaw": yaw, "speed": max(ego.speed_mps, 0.0), "half": 0.5 * vehicle.length_m,
        "half_w": 0.5 * vehicle.width_m, "ident": -1, "valid": 1, "lane": -1, "crossing": -1, "role": VEHICLE,
        "accel": ego.accel_mps2, **EGO_STYLE,
    }  # fmt: skip
    for name, value in values.items():
        record[name] = value


def fleet(seed: int, config: TrafficConfig) -> Agents:
    """Seed -> the road users of a scenario, none of them in the scene yet: vehicles first, then people."""
    count = config.vehicles + config.people
    kind, size = np.empty(count, dtype=np.int64), np.empty((count, 3))
    for i in range(count):
        if i >= config.vehicles:
            kind[i], size[i] = AgentKind.PEDESTRIAN, (0.5, 0.6, 1.6 + 0.3 * draw(seed, 61, i, 2))
            continue
        share, choice = draw(seed, 61, i, 0), FLEET[0]
        for row in FLEET:
            choice = row
            share -= row[1]
            if share < 0.0:
                break
        stretch = 0.95 + 0.1 * draw(seed, 61, i, 1)
        kind[i], size[i] = choice[0], (choice[2] * stretch, choice[3], choice[4] * stretch)
    zeros = np.zeros(count)
    return Agents(
        id=np.arange(1, count + 1), kind=kind, xyz=np.zeros((count, 3)), yaw_rad=zeros, speed_mps=zeros,
        accel_mps2=zeros, size_lwh=size, lane=np.full(count, -1), s_m=zeros, valid=np.zeros(count, dtype=np.bool_),
    )  # fmt: skip
