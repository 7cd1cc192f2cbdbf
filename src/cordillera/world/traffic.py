"""Other road users: agents, the ego and lights now in, agents 0.1 s later out; a function of these and a seed.

Vehicles keep to their lane's centre, follow the Intelligent Driver Model, obey lights and signs and give way as the map
says; people walk over crossings. Drivers differ by hash of the seed and their identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit

from cordillera.geometry import yaw_of
from cordillera.types import AgentKind, Agents, EgoState, Float, Int, Route, VehicleSpec
from cordillera.world.chance import draw
from cordillera.world.roads import Roads
from cordillera.world.roads_kernels import lane_point
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_gaps import STANDING_MPS, acceleration
from cordillera.world.traffic_net import TrafficNet, compile_traffic
from cordillera.world.traffic_paths import MOVER, THING, VEHICLE, WALKER, blinker_of, claim, next_lane
from cordillera.world.traffic_scene import enter_vehicles, walk_people

TICK_US = 100_000
UNDER_WAY_MPS = 1.5
LEVEL_M = 2.5
EGO_WAIT_S = 2.5  # a standing ego counts as having waited so long: long enough to be let go, or passed, in a jam
EGO_STYLE = {"gap_s": 1.5, "accel_max": 1.6, "brake": 2.5, "gap_m": 2.0, "factor": 1.0, "patience": 4.0}
_ROLES = np.full(70, THING)
_ROLES[: AgentKind.FIRE_ENGINE + 1] = VEHICLE
_ROLES[[AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR]] = WALKER
_ROLES[[AgentKind.ANIMAL, AgentKind.TRAILER]] = THING

# kind, share, length, width, height in m
FLEET = (
    (AgentKind.CAR, 0.78, 4.5, 1.82, 1.50),
    (AgentKind.VAN, 0.12, 5.4, 2.00, 2.30),
    (AgentKind.TRUCK, 0.06, 7.6, 2.40, 3.10),
    (AgentKind.MOTORCYCLE, 0.04, 2.2, 0.80, 1.45),
)


@dataclass(frozen=True)
class TrafficConfig:
    """How many road users live within what distance of the ego."""

    vehicles: int = 24
    people: int = 6
    radius_m: float = 180.0
    near_m: float = 90.0  # nobody enters the scene closer than this


class Traffic:
    """The road users of one scenario; holds what never changes and no state."""

    def __init__(self, roads: Roads, seed: int, route: Route, vehicle: VehicleSpec, config: TrafficConfig) -> None:
        self.roads, self.seed, self.vehicle, self.config = roads, seed, vehicle, config
        self.rules: TrafficNet = compile_traffic(roads.map, roads.net)
        self._ego_next = np.full(len(roads.map.lanes), -1, dtype=np.int64)
        for lane, after in pairwise(route.lanes):
            if after in roads.map.lanes[lane].successors:
                self._ego_next[lane] = after
        self._route_lanes = frozenset(route.lanes)

    def step(self, agents: Agents, ego: EgoState, signals: Int, t_us: int, dt_s: float = 0.1) -> Agents:
        """Agents and ego at `t_us`, what the signals show -> the agents after `dt_s`."""
        movers, extra = self._movers(agents, ego)
        config = self.config
        after = step_all(
            self.roads.net, self.rules, movers, signals, extra, self._ego_next, config.near_m, config.radius_m,
            self.seed, t_us // TICK_US, dt_s,
        )  # fmt: skip
        return _agents_of(agents, after)

    def populate(self, ego: EgoState, t_us: int) -> Agents:
        """The agents of a scenario's start: vehicles around the ego, but not closer than 25 m; people yet to come."""
        agents = fleet(self.seed, self.config)
        movers, _ = self._movers(agents, ego)
        for attempt in range(24):
            tick = t_us // TICK_US - 1 - attempt
            enter_vehicles(self.roads.net, self.rules, movers, 25.0, self.config.radius_m, self.seed, tick)
        place_all(self.roads.net, movers)
        return _agents_of(agents, movers)

    def _movers(self, agents: Agents, ego: EgoState) -> tuple[Table, Float]:
        """All that takes up room, the ego last, and where it stands beside its own lane: lane, mover, place (K, 3)."""
        count = len(agents.id)
        movers = np.zeros(count + 1, MOVER)
        size = agents.size_lwh
        columns = (
            ("x", agents.xyz[:, 0]), ("y", agents.xyz[:, 1]), ("z", agents.xyz[:, 2]), ("yaw", agents.yaw_rad),
            ("speed", agents.speed_mps), ("accel", agents.accel_mps2), ("s", agents.s_m), ("wait", agents.wait_s),
            ("ident", agents.id), ("valid", agents.valid), ("lane", agents.lane), ("crossing", agents.crossing),
            ("blinker", agents.blinker), ("role", _ROLES[np.clip(agents.kind, 0, len(_ROLES) - 1)]),
        )  # fmt: skip
        for name, column in columns:
            movers[name][:count] = column
        movers["half"][:count] = 0.5 * np.where(movers["role"][:count] == VEHICLE, size[:, 0], size[:, :2].max(axis=1))
        set_styles(movers, self.seed)
        lane, s, extra = self._ego_place(ego, count)
        me = movers[count]
        me["x"], me["y"] = _center_of(ego, self.vehicle)
        me["z"], me["yaw"], me["speed"] = ego.xyz[2], yaw_of(ego.quat_xyzw), max(ego.speed_mps, 0.0)
        me["wait"] = EGO_WAIT_S if me["speed"] < STANDING_MPS else 0.0
        me["half"], me["ident"], me["valid"], me["lane"], me["s"] = 0.5 * self.vehicle.length_m, -1, 1, lane, s
        me["role"], me["crossing"] = VEHICLE, -1
        for name, value in EGO_STYLE.items():
            me[name] = value
        blocks = agents.valid & (agents.crossing < 0) & ~((movers["role"][:count] == VEHICLE) & (agents.lane >= 0))
        for row in np.flatnonzero(blocks):
            x, y, z = agents.xyz[row]
            extra += [(lane, int(row), self.roads.project(lane, x, y)[0]) for lane in self._lanes_at(x, y, z)]
        return movers, np.array(extra, dtype=np.float64).reshape(-1, 3)

    def _lanes_at(self, x: float, y: float, z: float) -> list[int]:
        """The lanes for driving that hold a point, those of other levels left out."""
        roads = self.roads
        inside = [i for i in roads.inside_lanes(x, y) if roads.net.lanes["routable"][i]]
        return [i for i in inside if abs(roads.pose(i, roads.project(i, x, y)[0])[0][2] - z) < LEVEL_M]

    def _ego_place(self, ego: EgoState, row: int) -> tuple[int, float, list[tuple[int, int, float]]]:
        """The ego's lane (its route's, where it is on it), place along it, and rows for other lanes it reaches into."""
        x, y = _center_of(ego, self.vehicle)
        yaw, z = float(yaw_of(ego.quat_xyzw)), float(ego.xyz[2])
        inside = [i for i in self._lanes_at(x, y, z) if self._runs_along(i, x, y, yaw)]
        main = next((i for i in inside if i in self._route_lanes), inside[0] if inside else -1)
        if main < 0:
            near = self.roads.nearest(x, y, yaw, 6.0, z)
            main = near.lane if near else -1
        s = self.roads.project(main, x, y)[0] if main >= 0 else 0.0
        c, n = math.cos(yaw), math.sin(yaw)
        length, width = 0.45 * self.vehicle.length_m, 0.45 * self.vehicle.width_m
        others: set[int] = set(inside)
        for a, b in ((length, width), (length, -width), (-length, width), (-length, -width)):
            others.update(self._lanes_at(x + a * c - b * n, y + a * n + b * c, z))
        others.discard(main)
        return main, s, [(i, row, self.roads.project(i, x, y)[0]) for i in sorted(others)]

    def _runs_along(self, lane: int, x: float, y: float, yaw: float) -> bool:
        s, _ = self.roads.project(lane, x, y)
        return math.cos(self.roads.pose(lane, s)[1] - yaw) > 0.7


@njit(cache=True)
def step_all(
    net: Net, rules: TrafficNet, movers: Table, signals: Int, extra: Float, ego_next: Int, near: float, radius: float,
    seed: int, tick: int, dt: float,
) -> Table:  # fmt: skip
    """Everyone now -> everyone after dt seconds (the ego's record is not moved). Nobody sees another's next step."""
    claims = claim(net, rules, movers, signals, seed, ego_next, extra)
    after = movers.copy()
    for i in range(len(movers) - 1):
        me = after[i]
        if me.role != VEHICLE or not me.valid or me.lane < 0:
            continue
        accel = min(acceleration(net, rules, movers, claims, i), me.accel_max)
        speed = max(me.speed + accel * dt, 0.0)
        me.blinker = blinker_of(net, movers, claims, i)
        me.s += 0.5 * (me.speed + speed) * dt
        while me.s > net.lanes[me.lane].length:
            onward = next_lane(rules, seed, me.ident, me.lane)
            if onward < 0:
                me.valid = 0
                break
            me.s -= net.lanes[me.lane].length
            me.lane = onward
        me.accel = (speed - me.speed) / dt
        me.speed = speed
        # a wait begins at a stand and lasts until one is under way, so that who sets out keeps his turn
        waits = speed < STANDING_MPS or (me.wait > 0.0 and speed < UNDER_WAY_MPS)
        me.wait = me.wait + dt if waits else 0.0
    walk_people(net, rules, movers, claims, after, radius, seed, tick, dt)
    enter_vehicles(net, rules, after, near, radius, seed, tick)
    place_all(net, after)
    return after


@njit(cache=True)
def place_all(net: Net, movers: Table) -> None:
    """Put every vehicle on its lane's centre."""
    for i in range(len(movers) - 1):
        me = movers[i]
        if me.valid and me.role == VEHICLE and me.lane >= 0:
            me.x, me.y, me.z, me.yaw = lane_point(net, me.lane, me.s)


@njit(cache=True)
def set_styles(movers: Table, seed: int) -> None:
    """Draw how each one drives, by hash of the seed and its identity."""
    for i in range(len(movers)):
        me = movers[i]
        # a normal draw as the sum of twelve uniform ones (Irwin-Hall)
        normal = -6.0
        for k in range(12):
            normal += draw(seed, 51, me.ident, k)
        me.gap_s = min(max(1.5 * math.exp(0.4 * normal), 0.8), 3.0)
        me.accel_max = 1.2 + 0.8 * draw(seed, 52, me.ident, 0)
        me.brake = 2.0 + draw(seed, 52, me.ident, 1)
        me.gap_m = 2.0 + draw(seed, 52, me.ident, 2)
        me.factor = 0.85 + 0.2 * draw(seed, 52, me.ident, 3)
        me.patience = 4.0 + 3.0 * draw(seed, 52, me.ident, 4)


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


def _agents_of(agents: Agents, movers: Table) -> Agents:
    """The agents before, and everyone after a step -> the agents after it; rows that are away are blank."""
    rows = movers[:-1]
    here = rows["valid"] > 0
    xyz = np.where(here[:, None], np.column_stack([rows["x"], rows["y"], rows["z"]]), 0.0)

    def column(name: str, away: float) -> Float:
        return np.where(here, rows[name], away)

    return Agents(
        id=agents.id, kind=agents.kind, xyz=xyz, yaw_rad=column("yaw", 0.0), speed_mps=column("speed", 0.0),
        accel_mps2=column("accel", 0.0), size_lwh=agents.size_lwh, lane=np.where(here, rows["lane"], -1),
        s_m=column("s", 0.0), valid=here, blinker=np.where(here, rows["blinker"], 0), wait_s=column("wait", 0.0),
        crossing=np.where(here, rows["crossing"], -1),
    )  # fmt: skip


def _center_of(ego: EgoState, vehicle: VehicleSpec) -> Float:
    """The centre of the ego's box (2,)."""
    yaw = float(yaw_of(ego.quat_xyzw))
    return ego.xyz[:2] + vehicle.rear_axle_to_center_m * np.array([math.cos(yaw), math.sin(yaw)])
