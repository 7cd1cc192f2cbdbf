"""A motorway without ends for tests: lanes in two half circles, cars spread evenly, and what their drivers do."""

import math

import numpy as np

from cordillera.geometry import quat_from_yaw
from cordillera.types import Agents, EgoState, Lane, LaneKind, RoadMap, Route, VehicleSpec
from cordillera.world.roads import compile_map
from cordillera.world.traffic import Traffic, TrafficConfig
from cordillera.world.traffic_bodies import hits
from cordillera.world.traffic_state import scratch_for
from cordillera.world.traffic_step import tick_world
from cordillera.world.traffic_style import Manners

FAR_AWAY = EgoState(0, np.array([1e5, 1e5, 0.0]), quat_from_yaw(0.0), np.zeros(3))


def ring_map(lanes=3, length_m=3000.0, limit_mps=29.0, width_m=3.6):
    """Lanes of a circle, driven anticlockwise, the inner one first; lanes k and k + `lanes` make one ring."""
    radius, made = length_m / (2.0 * math.pi), []
    for half in range(2):
        angle = np.linspace(half * math.pi, (half + 1) * math.pi, 400)
        circle = np.column_stack([np.cos(angle), np.sin(angle), 0.0 * angle])
        for k in range(lanes):
            index, other, at = half * lanes + k, (1 - half) * lanes + k, radius + k * width_m
            lines = (r * circle for r in (at, at - 0.5 * width_m, at + 0.5 * width_m))
            inner, outer = index - 1 if k > 0 else -1, index + 1 if k < lanes - 1 else -1
            lane = Lane(
                str(index), LaneKind.DRIVING, *lines, limit_mps, successors=(other,), predecessors=(other,), left=inner,
                right=outer, change_left=inner >= 0, change_right=outer >= 0,
            )  # fmt: skip
            made.append(lane)
    return RoadMap("ring", "right", "US", tuple(made))


def ring_traffic(density_per_km, seed=0, lanes=3, manners=None):
    """Vehicles a kilometre and lane -> traffic on a ring of 3 km, and its agents: one truck in twenty."""
    roads = compile_map(ring_map(lanes))
    count = round(density_per_km * 3.0 * lanes)
    config = TrafficConfig(vehicles=count, people=0, radius_m=1e7, near_m=1e7, manners=manners or Manners())
    traffic = Traffic(roads, seed, Route(np.zeros((2, 3)), lanes=()), VehicleSpec(), config)
    row = np.arange(count)
    truck = row % 20 == 7
    half = roads.net.lanes["length"][0]
    at = (row // lanes) * 2.0 * half / math.ceil(count / lanes)
    lane = row % lanes + np.where(at >= half, lanes, 0)
    agents = Agents(
        row + 1, np.where(truck, 2, 0), np.zeros((count, 3)), np.zeros(count), np.full(count, 8.0), np.zeros(count),
        np.where(truck[:, None], [8.0, 2.4, 3.0], [4.5, 1.82, 1.5]), lane, np.where(at >= half, at - half, at),
        np.ones(count, dtype=bool),
    )  # fmt: skip
    return traffic, agents


def flow(traffic, agents, seconds, lanes=3):
    """Traffic on a ring -> rows (speed, gap, acceleration, offset) of every fifth second of the later half, and the
    number of ticks in which boxes overlap.
    """
    net = traffic.roads.net
    movers, memory = traffic.movers(agents, FAR_AWAY), scratch_for(len(net.lanes), len(agents.id) + 1)
    boxes, rows, wrong = np.zeros((6, len(movers))), [], 0
    length, none = net.lanes["length"], np.zeros(1, dtype=np.int64)
    for k in range(10 * seconds):
        tick_world(
            net, traffic.rules, movers, none, traffic.on_route, traffic.ego_next, traffic.knobs, memory, traffic.seed,
            k, 0.1,
        )  # fmt: skip
        wrong += hits(movers, boxes) > 0
        if k < 5 * seconds or k % 50:
            continue
        cars = movers[:-1]
        for lane in range(lanes):
            here = cars[cars["lane"] % lanes == lane]
            at = here["s"] + np.where(here["lane"] >= lanes, length[lane], 0.0)
            order = np.argsort(at)
            here, at = here[order], at[order]
            after = np.roll(here, -1)
            gap = np.diff(np.append(at, at[0] + length[lane] + length[lane + lanes])) - here["half"] - after["half"]
            rows.append(np.column_stack([here["speed"], gap, here["accel"], here["lateral"]]))
    return np.concatenate(rows), wrong
