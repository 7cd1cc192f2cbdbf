"""A map, a seed and the conditions -> a scenario to drive: where the ego starts, its route, and who else is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from cordillera.geometry import arc_length, quat_from_yaw
from cordillera.types import EgoState, Float, LaneKind, Route, Scenario, VehicleSpec, Weather, WorldState
from cordillera.world.chance import draw
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map
from cordillera.world.roads import LanePosition, Roads, compile_map
from cordillera.world.traffic import Traffic, TrafficConfig
from cordillera.world.traffic_net import DEFAULT_LIMIT_MPS, GIVE_WAY, LIGHT, STOP_SIGN, compile_traffic, speed_caps
from cordillera.world.world import on_ground

CANDIDATES = 48  # starts that are weighed against each other
MIN_WIDTH_M = 2.4
EDGE_M = 5.0  # from the rear axle to the end of the road


@dataclass(frozen=True)
class SpawnConfig:
    """What makes a start worth driving."""

    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    per_vehicle_m: float = 120.0  # lane metres for each other vehicle
    min_route_m: float = 25.0


def make_scenario(
    map_name: str | Path,
    seed: int = 0,
    duration_s: float = 60.0,
    weather: Weather = Weather.CLEAR,
    hour: float = 12.0,
    region: str = "",
    config: SpawnConfig | None = None,
) -> Scenario:
    """Map, seed and conditions -> a scenario, the same for the same arguments.

    Of several starts drawn by the seed, the one whose route has most to see (turns, signals, crossings, variety) is
    taken. Raises ValueError where no lane of the map allows a route of 25 m.
    """
    config = config or SpawnConfig()
    road_map = load_map(map_name)
    roads = compile_map(road_map)
    start, route = _choose(roads, seed, duration_s, config)
    region = region or road_map.region or ("GB" if road_map.traffic_side == "left" else "DE")
    ego = _ego_at(roads, start, route)
    signals = compile_lights(road_map, seed, region).states(0)
    traffic = Traffic(roads, seed, route, config.vehicle, density(roads, start, config))
    state = WorldState(0, ego, traffic.populate(ego, 0), signals)
    name = f"{road_map.name}-{seed}"
    return Scenario(
        name, seed, region, str(map_name), road_map.sha256, state, route, duration_s, (), weather, hour, config.vehicle
    )  # fmt: skip


def density(roads: Roads, start: LanePosition, config: SpawnConfig) -> TrafficConfig:
    """As many vehicles as the lanes near the start have room for, at most the configured number."""
    net = roads.net
    xy, _ = roads.pose(start.lane, start.s_m)
    middle = net.points[["x", "y"]][(net.pt_ptr[:-1] + net.pt_ptr[1:]) // 2]
    near = np.hypot(middle["x"] - xy[0], middle["y"] - xy[1]) < config.traffic.radius_m
    near &= net.lanes["routable"] == 1
    room = int(net.lanes["length"][near].sum() / config.per_vehicle_m)
    traffic = config.traffic
    return TrafficConfig(
        min(traffic.vehicles, max(room, 1)),
        traffic.people if roads.map.crossings else 0,
        traffic.radius_m,
        traffic.near_m,
    )


def _choose(roads: Roads, seed: int, duration_s: float, config: SpawnConfig) -> tuple[LanePosition, Route]:
    """The best of the seed's starts and routes."""
    lanes = startable(roads)
    if not len(lanes):
        raise ValueError(f"map {roads.map.name!r} has no driving lane wide and long enough to start on")
    caps = speed_caps(roads.net, 2.0, 1.5)
    best: tuple[float, LanePosition, Route] | None = None
    weight = np.cumsum(roads.net.lanes["length"][lanes])
    for attempt in range(CANDIDATES):
        at = draw(seed, 71, attempt, 0) * weight[-1]
        lane = int(lanes[int(np.searchsorted(weight, at, side="right"))])
        s = (0.1 + 0.6 * draw(seed, 71, attempt, 1)) * roads.length(lane)
        start = LanePosition(lane, s, 0.0)
        wanted = duration_s * 15.0 + 60.0
        route = _off_the_edge(roads, roads.wander(start, wanted, (seed * 1000 + attempt) % 2**63))
        value = _interest(roads, route, caps, duration_s) + _company(roads, route)
        if float(np.hypot(*np.diff(route.xyz[:, :2], axis=0).T).sum()) < config.min_route_m:
            continue
        if best is None or value > best[0]:
            best = value, start, route
    if best is None:
        raise ValueError(
            f"map {roads.map.name!r} has no route of {config.min_route_m:g} m: "
            f"its {len(lanes)} driving lanes end too soon or do not join"
        )
    return best[1], best[2]


def _off_the_edge(roads: Roads, route: Route) -> Route:
    """A route that runs to where the road ends -> the same, cut short so that a car that stops at its end is on it.

    The end of a route is where the rear axle stops.
    """
    if roads.map.lanes[route.lanes[-1]].successors:
        return route
    along = arc_length(route.xyz)
    keep = along < along[-1] - EDGE_M
    return replace(route, xyz=route.xyz[keep]) if keep.sum() >= 2 else route


def startable(roads: Roads) -> np.ndarray:
    """The lanes on which a drive may begin: for driving, outside junctions, wide enough."""
    net, lanes = roads.net, roads.map.lanes
    across = net.points["half_left"] + net.points["half_right"]
    wide = [float(np.median(across[a:b])) for a, b in pairwise(net.pt_ptr)]
    good = [
        i
        for i, lane in enumerate(lanes)
        if lane.kind == LaneKind.DRIVING
        and not lane.junction
        and wide[i] >= MIN_WIDTH_M
        and net.lanes["length"][i] > 8.0
    ]
    free = [i for i in good if net.conf_ptr[i] == net.conf_ptr[i + 1]]
    return np.array(free or good, dtype=np.int64)


# what one of each is worth, and how many count
WORTH = {"turn": (2.0, 2), "light": (1.5, 2), "stop": (1.0, 2), "give": (0.7, 2), "walk": (0.7, 2), "change": (0.5, 1)}
WORTH_PER_M, WORTH_MAX_M = 0.005, 400.0  # of road not seen before
COMPANY_M = 150.0
WORTH_PER_S = -0.03  # of the time that is left when the route ends


def _interest(roads: Roads, route: Route, caps: Float, duration_s: float) -> float:
    """How much there is to see on the part of a route that is driven in the time: the more kinds, the better."""
    net = roads.net
    left_s, new_m, seen = duration_s, 0.0, set()
    count = dict.fromkeys(WORTH, 0)
    for k, lane in enumerate(route.lanes):
        row = net.lanes[lane]
        mean = float(np.clip(caps[net.pt_ptr[lane] : net.pt_ptr[lane + 1]].mean(), 1.0, 20.0))
        left_s -= float(row["length"]) / mean
        if lane not in seen:
            new_m += float(row["length"])
            count["turn"] += int(row["turn"] != 0)
            for rule in net.regulations[net.reg_ptr[lane] : net.reg_ptr[lane + 1]]:
                if rule["for_lane"] < 0 or rule["for_lane"] in route.lanes[k : k + 4]:
                    kind = {LIGHT: "light", STOP_SIGN: "stop", GIVE_WAY: "give"}[int(rule["kind"])]
                    count[kind] += 1
            count["give"] += int(net.conflicts["yields"][net.conf_ptr[lane] : net.conf_ptr[lane + 1]].any())
            count["walk"] += int(net.cross_ptr[lane + 1] - net.cross_ptr[lane])
            count["change"] += int(k + 1 < len(route.lanes) and route.lanes[k + 1] in (row["left"], row["right"]))
        seen.add(lane)
        if left_s <= 0.0:
            break
    kinds = sum(worth * min(count[kind], most) for kind, (worth, most) in WORTH.items())
    return kinds + WORTH_PER_M * min(new_m, WORTH_MAX_M) + WORTH_PER_S * max(left_s, 0.0)


def _company(roads: Roads, route: Route) -> float:
    """What it is worth that others can drive nearby: half a point each place of entry, up to five."""
    entries = compile_traffic(roads.map, roads.net).entries
    near = np.hypot(entries["x"] - route.xyz[0, 0], entries["y"] - route.xyz[0, 1]) < COMPANY_M
    return 0.5 * min(int(near.sum()), 5)


def _ego_at(roads: Roads, start: LanePosition, route: Route) -> EgoState:
    """The ego at the start of its route, at four fifths of the speed that is allowed there and the curve permits."""
    step = route.xyz[1, :2] - route.xyz[0, :2]
    yaw = math.atan2(step[1], step[0])
    limit = roads.speed_limit(start.lane, start.s_m)
    limit = limit if 0.1 < limit < 100.0 else DEFAULT_LIMIT_MPS
    bend = max(abs(roads.curvature(start.lane, start.s_m + d)) for d in (0.0, 5.0, 10.0, 15.0))
    room = math.sqrt(2.0 * 1.2 * max(_first_wait(roads, route.lanes, start.s_m) - 8.0, 0.5))
    speed = min(0.8 * limit, math.sqrt(1.5 / max(bend, 1e-6)), room, 10.0)
    ego = EgoState(0, route.xyz[0].copy(), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]))
    return on_ground(roads, ego)


def _first_wait(roads: Roads, lanes: tuple[int, ...], start_s: float) -> float:
    """Metres from the start to the first line, crossing or conflict on the route, or to its end."""
    gone = -start_s
    for k, lane in enumerate(lanes):
        places = [rule.s_m for rule in roads.regulations(lane)] + [a for _, a, _ in roads.crossings_on(lane)]
        places += [c.s_m[0] for c in roads.conflicts_of(lane) if c.kind != "diverge"]
        ahead = [gone + s for s in places if gone + s > 0.0]
        if ahead:
            return min(ahead)
        if k + 1 < len(lanes) and lanes[k + 1] in roads.map.lanes[lane].successors:
            gone += roads.length(lane)
        if gone > 150.0:
            break
    return max(gone, 10.0)
