"""Other road users: following, lines, right of way, people, and that nobody drives through anybody."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest

from cordillera.geometry import boxes_overlap, quat_from_yaw
from cordillera.types import AgentKind, EgoState, LightState, Route, SignalKind, VehicleSpec, same
from cordillera.world.build import build_road
from cordillera.world.chance import draw, pick
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map
from cordillera.world.roads import compile_map
from cordillera.world.traffic import Traffic, TrafficConfig, fleet
from cordillera.world.traffic_gaps import halt, idm
from cordillera.world.traffic_net import compile_traffic, speed_caps
from cordillera.world.traffic_state import MOVER
from cordillera.world.traffic_style import Manners, set_styles

FAR_AWAY = EgoState(0, np.array([1e4, 1e4, 0.0]), quat_from_yaw(0.0), np.zeros(3))
OPEN = TrafficConfig(vehicles=12, people=0, radius_m=1e6, near_m=1e6)  # nobody comes or goes


def traffic_on(name, config=OPEN, seed=1):
    roads = compile_map(load_map(name))
    route = Route(np.zeros((2, 3)), lanes=())
    return Traffic(roads, seed, route, VehicleSpec(), config)


def put(traffic, rows):
    """Rows (lane, s, speed) -> agents that stand there, cars all."""
    agents = fleet(traffic.seed, dataclasses.replace(traffic.config, vehicles=len(rows), people=0))
    count = len(rows)
    poses = [traffic.roads.pose(lane, s) for lane, s, _ in rows]
    return dataclasses.replace(
        agents, kind=np.zeros(count, dtype=np.int64), size_lwh=np.tile([4.5, 1.8, 1.5], (count, 1)),
        xyz=np.array([p for p, _ in poses]), yaw_rad=np.array([y for _, y in poses]),
        speed_mps=np.array([v for _, _, v in rows], dtype=float), lane=np.array([lane for lane, _, _ in rows]),
        s_m=np.array([s for _, s, _ in rows], dtype=float), valid=np.ones(count, dtype=bool),
    )  # fmt: skip


def run(traffic, agents, seconds, signals=None, ego=FAR_AWAY, t_us=0):
    states = [agents]
    shown = np.zeros(len(traffic.roads.map.signals), dtype=np.int64)
    for k in range(round(seconds * 10)):
        now = shown if signals is None else signals(0.1 * k)
        states.append(traffic.step(states[-1], ego, now, t_us + 100_000 * k))
    return states


def driver():
    me = np.zeros(1, MOVER)
    me["gap_s"], me["accel_max"], me["brake"], me["gap_m"], me["factor"] = 1.5, 1.5, 2.0, 2.0, 1.0
    me["ease"] = 2.0 * math.sqrt(1.5 * 2.0)
    return me[0]


def test_idm_is_at_rest_at_its_equilibrium():
    me = driver()
    for speed in (0.0, 5.0, 10.0, 20.0):
        wanted = 2.0 + 1.5 * speed
        gap = wanted / math.sqrt(1.0 - (speed / 30.0) ** 4)
        assert idm(speed, 30.0, gap, speed, me) == pytest.approx(0.0, abs=1e-9)
        assert idm(speed, 30.0, gap * 1.2, speed, me) > 0.0 > idm(speed, 30.0, gap * 0.8, speed, me)
    assert idm(0.0, 30.0, 1e9, 0.0, me) == pytest.approx(1.5)
    assert idm(30.0, 30.0, 1e9, 0.0, me) == pytest.approx(0.0)
    assert idm(10.0, 30.0, 0.0, 0.0, me) == -8.0


def test_halt_stops_before_its_place_without_haste():
    me = driver()
    for speed in (3.0, 8.0, 15.0):
        left, v, hardest = 4.0 + speed * speed / 2.0, speed, 0.0
        for _ in range(600):
            accel = min(halt(v, left, me), idm(v, 20.0, 1e9, 0.0, me))
            hardest = min(hardest, accel)
            after = max(v + 0.1 * accel, 0.0)
            left -= 0.05 * (v + after)
            v = after
        assert v == 0.0 and 0.3 < left < 1.6
        assert hardest > -2.5


def test_a_platoon_on_a_straight_road_keeps_its_distances():
    traffic = traffic_on("built:straight,length=3000")
    lane = int(np.flatnonzero(traffic.roads.net.lanes["routable"])[0])
    states = run(traffic, put(traffic, [(lane, 100.0 + 12.0 * k, 12.0) for k in range(8)]), 60.0)
    for agents in states:
        gaps = np.diff(agents.s_m) - 4.5
        assert gaps.min() > 1.0
    last = states[-1]
    assert last.valid.all() and last.speed_mps.min() > 8.0
    assert np.abs(last.lateral_m).max() < 0.8
    limit = traffic.roads.speed_limit(lane, 0.0)
    assert last.speed_mps.max() <= 1.25 * limit


def test_cars_stop_for_an_ego_that_stands_in_their_lane():
    traffic = traffic_on("built:straight,length=600")
    lane = int(np.flatnonzero(traffic.roads.net.lanes["routable"])[0])
    xyz, yaw = traffic.roads.pose(lane, 300.0)
    ego = EgoState(0, xyz, quat_from_yaw(yaw), np.zeros(3))
    states = run(traffic, put(traffic, [(lane, 150.0, 13.0), (lane, 180.0, 13.0)]), 40.0, ego=ego)
    rear = 300.0 + 1.43 - 0.5 * 4.87
    front = states[-1].s_m.max() + 2.25
    assert states[-1].speed_mps.max() < 0.05 and 1.0 < rear - front < 4.5
    assert min(a.accel_mps2.min() for a in states) > -4.0
    # once it is gone they go on
    on = run(traffic, states[-1], 10.0)
    assert on[-1].speed_mps.min() > 5.0


def test_cars_wait_at_red_and_go_at_green():
    traffic = traffic_on("built:four_way,control=signals")
    net = traffic.roads.net
    lights = [i for i, s in enumerate(traffic.roads.map.signals) if s.kind is SignalKind.TRAFFIC_LIGHT]
    lane, rule = next(
        (i, r)
        for i in range(len(net.lanes))
        for r in traffic.roads.regulations(i)
        if r.kind is SignalKind.TRAFFIC_LIGHT
    )

    def signals(t):
        shown = np.zeros(len(traffic.roads.map.signals), dtype=np.int64)
        shown[lights] = LightState.RED if t < 20.0 else LightState.GREEN
        return shown

    states = run(traffic, put(traffic, [(lane, 5.0, 10.0)]), 30.0, signals)
    at_red = states[200]
    assert at_red.lane[0] == lane and at_red.speed_mps[0] < 0.05
    assert 0.3 < rule.s_m - (at_red.s_m[0] + 2.25) < 3.0
    assert states[300].lane[0] != lane or states[300].s_m[0] > rule.s_m


@pytest.mark.parametrize("control", ["signals", "stop", "give_way", "none"])
@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_drives_through_anybody_and_nobody_waits_for_ever(control, seed):
    config = TrafficConfig(vehicles=14, people=4, radius_m=1e6, near_m=0.0)
    traffic = traffic_on(f"built:four_way,control={control}", config, seed)
    agents = traffic.populate(FAR_AWAY, 0)
    assert agents.valid.sum() >= 8
    plan = compile_lights(traffic.roads.map, seed)
    states = run(traffic, agents, 90.0, lambda t: plan.states(round(t * 1e6)))
    moved = np.zeros(len(agents.id))
    for agents in states:
        cars = np.flatnonzero(agents.valid & (agents.kind < 64) & (agents.kind != AgentKind.PEDESTRIAN))
        for n, i in enumerate(cars):
            for j in cars[:n]:
                if np.abs(agents.xyz[i, :2] - agents.xyz[j, :2]).max() < 10.0:
                    a, b = agents.size_lwh[i], agents.size_lwh[j]
                    assert not boxes_overlap(
                        *agents.xyz[i, :2], agents.yaw_rad[i], a[0], a[1],
                        *agents.xyz[j, :2], agents.yaw_rad[j], b[0], b[1],
                    ), (agents.id[i], agents.id[j])  # fmt: skip
        assert agents.wait_s[agents.kind != AgentKind.PEDESTRIAN].max() < 75.0
        moved += agents.speed_mps * 0.1
    assert np.median(moved[: config.vehicles]) > 150.0


def test_the_one_with_the_right_of_way_goes_first():
    traffic = traffic_on("built:t_junction,control=give_way")
    roads = traffic.roads
    pair = next(
        (c.lane, c.other, c)
        for i in range(len(roads.net.lanes))
        for c in roads.conflicts_of(i)
        if c.kind == "cross" and c.yields
    )
    before = {k: roads.map.lanes[lane].predecessors[0] for k, lane in enumerate(pair[:2])}
    start = {k: roads.length(lane) - 30.0 for k, lane in before.items()}
    for seed in range(40):  # a seed whose two drivers take these ways
        traffic.seed = seed
        states = run(traffic, put(traffic, [(before[0], start[0], 8.0), (before[1], start[1], 8.0)]), 15.0)
        ways = [{int(a.lane[k]) for a in states} for k in (0, 1)]
        if pair[0] in ways[0] and pair[1] in ways[1]:
            break
    else:
        pytest.fail("no seed takes both ways")
    enters = [
        next(k for k, a in enumerate(states) if a.lane[i] == pair[i] and a.s_m[i] > s)
        for i, s in ((0, pair[2].s_m[0]), (1, pair[2].other_s_m[1]))
    ]
    assert enters[1] <= enters[0]


def test_people_cross_and_cars_let_them():
    config = TrafficConfig(vehicles=10, people=8, radius_m=1e6, near_m=0.0)
    traffic = traffic_on("kashiwanoha", config, 3)
    ego = EgoState(0, np.array([200.0, 0.0, 0.0]), quat_from_yaw(0.0), np.zeros(3))
    states = run(traffic, traffic.populate(ego, 0), 90.0, ego=ego)
    walked = set()
    for agents in states:
        people = agents.valid & (agents.kind == AgentKind.PEDESTRIAN) & (agents.speed_mps > 0.0)
        walked.update(agents.id[people].tolist())
        for i in np.flatnonzero(people):
            for j in np.flatnonzero(agents.valid & (agents.kind != AgentKind.PEDESTRIAN)):
                hit = boxes_overlap(
                    *agents.xyz[i, :2], agents.yaw_rad[i], 0.5, 0.6,
                    *agents.xyz[j, :2], agents.yaw_rad[j], *agents.size_lwh[j, :2],
                )  # fmt: skip
                assert not (hit and agents.speed_mps[j] > 0.5)
    assert len(walked) >= 3


def test_vehicles_that_leave_come_back_out_of_sight():
    config = TrafficConfig(vehicles=12, people=0, radius_m=120.0, near_m=60.0)
    traffic = traffic_on("town02", config, 0)
    entry = traffic.rules.entries[0]
    ego = EgoState(0, np.array([entry["x"], entry["y"], 0.0]), quat_from_yaw(0.0), np.zeros(3))
    states = run(traffic, traffic.populate(ego, 0), 60.0, ego=ego)
    came = 0
    for before, after in pairwise(states):
        jump = np.hypot(*(after.xyz - before.xyz)[:, :2].T) > 5.0
        fresh = after.valid & (~before.valid | jump)
        distance = np.hypot(*(after.xyz[fresh, :2] - ego.xyz[:2]).T)
        assert (distance > 55.0).all() and (distance < 125.0).all()
        came += int(fresh.sum())
    assert came > 0
    assert all(np.hypot(*(a.xyz[a.valid, :2] - ego.xyz[:2]).T).max(initial=0.0) < 142.0 for a in states)


def test_a_step_is_a_function_of_its_arguments():
    traffic = traffic_on("town02", TrafficConfig(vehicles=16, people=4, radius_m=1e6, near_m=0.0), 5)
    agents = run(traffic, traffic.populate(FAR_AWAY, 0), 5.0)[-1]
    shown = np.full(len(traffic.roads.map.signals), int(LightState.GREEN))
    assert same(traffic.step(agents, FAR_AWAY, shown, 7), traffic.step(agents, FAR_AWAY, shown, 7))


def test_drivers_differ_as_their_hash_says():
    movers = np.zeros(4001, MOVER)
    movers["ident"] = np.arange(4001)
    manners = Manners()
    set_styles(movers, 9, manners.array())
    again = movers.copy()
    set_styles(again, 9, manners.array())
    assert np.array_equal(movers, again)
    drivers = movers[:-1]
    assert np.median(drivers["gap_s"]) == pytest.approx(manners.gap_median_s, rel=0.05)
    assert np.std(np.log(drivers["gap_s"])) == pytest.approx(manners.gap_sigma, rel=0.1)
    assert drivers["gap_s"].min() >= 0.4 and drivers["gap_s"].max() <= 4.0
    fast = drivers["factor"] > 1.06
    assert fast.mean() == pytest.approx(manners.speeding, abs=0.02)
    assert drivers["factor"].min() >= 0.8 and drivers["factor"].max() <= 1.2
    assert drivers["rolls"].mean() == pytest.approx(manners.rolling_stop, abs=0.02)


def test_draws_are_uniform_and_depend_on_every_argument():
    values = np.array([draw(1, 2, 3, k) for k in range(4000)])
    assert values.min() >= 0.0 and values.max() < 1.0
    assert np.abs(np.histogram(values, 8, (0.0, 1.0))[0] - 500).max() < 90
    base = draw(1, 2, 3, 4)
    assert all(draw(*args) != base for args in ((2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)))
    assert {pick(5, 0, 0, k, 3) for k in range(50)} == {0, 1, 2}


def test_curves_limit_the_speed_and_are_braked_for():
    road_map = build_road("built:curve,radius=20,length=100,speed=50")
    roads = compile_map(road_map)
    cap = speed_caps(roads.net, 2.0, 1.5)
    lane = next(i for i in range(len(road_map.lanes)) if roads.net.lanes["routable"][i])
    rows = slice(roads.net.pt_ptr[lane], roads.net.pt_ptr[lane + 1])
    tightest = max(abs(roads.curvature(lane, s)) for s in roads.net.points["s"][rows])
    assert cap[rows].min() == pytest.approx(math.sqrt(2.0 / tightest), rel=0.05)
    squared = cap[rows] ** 2
    assert np.all(np.diff(squared) / np.maximum(np.diff(roads.net.points["s"][rows]), 1e-9) > -3.0 - 1e-6)
    assert compile_traffic(road_map, roads.net) is compile_traffic(road_map, roads.net)
