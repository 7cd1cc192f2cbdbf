"""What drivers and people do besides following: change lanes, pass, make way, stop at stops, park, cross anywhere."""

import dataclasses

import numpy as np
import pytest
from test_traffic import FAR_AWAY, put, run, traffic_on
from traffic_ring import ring_traffic

from cordillera.types import AgentKind, Route, VehicleSpec
from cordillera.world.chance import key_of
from cordillera.world.maps import load_map
from cordillera.world.roads import compile_map
from cordillera.world.traffic import Traffic, TrafficConfig
from cordillera.world.traffic_style import Manners, smooth_noise

CALM = TrafficConfig(vehicles=4, people=0, radius_m=1e6, near_m=1e6, manners=Manners(wander_m=0.0, speeding=0.0))


def of_kind(agents, kinds, sizes=None):
    size = agents.size_lwh.copy()
    for row, length_width in (sizes or {}).items():
        size[row, :2] = length_width
    return dataclasses.replace(agents, kind=np.array(kinds), size_lwh=size)


def edge_lane(traffic):
    tracks = traffic.rules.tracks
    return int(np.flatnonzero((tracks["routable"] == 1) & (tracks["edge"] == 1) & (tracks["junction"] < 0))[0])


def test_noise_is_smooth_and_a_function_of_time():
    values = np.array([smooth_noise(key_of(3, 1, 7), 7, tick, 5) for tick in range(4000)])
    assert np.abs(values).max() < 1.0
    assert np.abs(np.diff(values)).max() < 0.1
    assert 0.35 < values.std() < 0.6
    assert values[1234] == smooth_noise(key_of(3, 1, 7), 7, 1234, 5)


def test_a_fast_car_passes_a_slow_truck_by_a_lane_change_over_seconds():
    traffic, _ = ring_traffic(1.0, manners=CALM.manners)
    lane = 1
    agents = of_kind(put(traffic, [(lane, 100.0, 20.0), (lane, 160.0, 3.0)]), [AgentKind.CAR, AgentKind.TRUCK])
    states = run(traffic, agents, 25.0)
    lanes = np.array([a.lane[0] % 3 for a in states])
    changed = int(np.flatnonzero(lanes != lane)[0])
    lateral = np.array([a.lateral_m[0] for a in states])[changed:]
    assert abs(lateral[0]) > 2.5  # in its new lane's frame it starts from the old one
    assert np.abs(np.diff(lateral[: 1 + 10 * 3])).max() < 0.15  # no jump
    across = np.flatnonzero(np.abs(lateral) < 0.4)[0] * 0.1
    assert 2.0 < across < 8.0
    blinker = np.array([a.blinker[0] for a in states])
    assert (blinker[changed - 8 : changed] != 0).all()  # shown before


def test_solid_lines_keep_lanes():
    traffic, agents = ring_traffic(30.0)
    traffic.rules.tracks["change_left"][:] = 0
    traffic.rules.tracks["change_right"][:] = 0
    states = run(traffic, agents, 20.0)
    assert np.array_equal(states[-1].lane % 3, agents.lane % 3)


def test_cyclists_ride_at_the_edge_and_are_passed_with_room():
    traffic = traffic_on("built:straight,length=600", CALM)
    lane = edge_lane(traffic)
    agents = of_kind(
        put(traffic, [(lane, 60.0, 12.0), (lane, 110.0, 4.5)]), [0, AgentKind.BICYCLE], {1: (1.8, 0.65)}
    )  # fmt: skip
    states = run(traffic, agents, 40.0)
    bicycle = np.array([a.lateral_m[1] for a in states if a.valid[1]])
    assert bicycle[-1] < -0.5 or bicycle.min() < -0.5  # right-hand traffic
    gap = np.array([a.s_m[0] - a.s_m[1] for a in states if a.valid.all()])
    assert gap[0] < 0.0 < gap.max()
    beside = [a.lateral_m[0] - a.lateral_m[1] for a in states if a.valid.all() and abs(a.s_m[0] - a.s_m[1]) < 2.0]
    assert min(beside) > 0.5 * (1.8 + 0.65) + 0.5


def test_vehicles_make_way_for_a_siren():
    traffic = traffic_on("built:straight,length=900", CALM)
    lane = edge_lane(traffic)
    agents = of_kind(
        put(traffic, [(lane, 40.0, 14.0), (lane, 90.0, 10.0), (lane, 130.0, 10.0)]), [AgentKind.AMBULANCE, 0, 0]
    )  # fmt: skip
    states = run(traffic, agents, 12.0)
    assert min(a.lateral_m[1] for a in states) < -0.5 and min(a.lateral_m[2] for a in states) < -0.3
    assert min(a.speed_mps[1] for a in states) < 6.0


def test_buses_stand_at_their_stops():
    traffic = traffic_on("built:straight,length=900", CALM)
    tracks = traffic.rules.tracks
    lane = edge_lane(traffic)
    kept = float(tracks["stop"][lane])
    tracks["stop"][lane] = 200.0
    agents = of_kind(put(traffic, [(lane, 100.0, 10.0)]), [AgentKind.BUS], {0: (11.0, 2.5)})
    states = run(traffic, agents, 60.0)
    tracks["stop"][lane] = kept
    stood = [a.s_m[0] for a in states if a.speed_mps[0] < 0.1]
    assert 9.0 < 0.1 * len(stood) < 25.0
    assert 0.5 < 200.0 - (stood[0] + 5.5) < 3.0
    assert states[-1].s_m[0] > 230.0 or states[-1].lane[0] != lane


def test_some_park_and_some_set_out():
    roads = compile_map(load_map("town10hd"))
    config = TrafficConfig(vehicles=40, people=0, radius_m=1e6, near_m=0.0)
    traffic = Traffic(roads, 2, Route(np.zeros((2, 3)), lanes=()), VehicleSpec(), config)
    assert len(traffic.rules.bays) > 0
    agents = traffic.populate(FAR_AWAY, 0)
    assert (agents.task == 1).any()
    parked = np.flatnonzero(agents.task == 1)
    assert (np.abs(agents.lateral_m[parked]) > 1.5).all()
    green = np.full(len(roads.map.signals), 4)
    states = run(traffic, agents, 90.0, lambda t: green)
    tasks = np.array([a.task for a in states])
    assert (tasks == 2).any()  # somebody pulled out
    assert ((tasks[:-1] == 0) & (tasks[1:] == 1)).any()  # somebody began to park


def test_people_cross_away_from_crossings_when_nobody_comes():
    manners = Manners(midblock=1.0)
    config = TrafficConfig(vehicles=6, people=8, radius_m=1e6, near_m=0.0, manners=manners)
    traffic = traffic_on("town02", config, 1)
    states = run(traffic, traffic.populate(FAR_AWAY, 0), 60.0)
    walked = set()
    for agents in states:
        people = agents.valid & (agents.kind == AgentKind.PEDESTRIAN)
        assert (agents.crossing[people] < 0).all()
        walked.update(agents.id[people & (agents.speed_mps > 0.0)].tolist())
    assert len(walked) >= 2


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_red_light_running(rate):
    manners = Manners(late_red=rate, wander_m=0.0)
    config = dataclasses.replace(CALM, manners=manners)
    traffic = traffic_on("built:four_way,control=signals", config)
    tracks = traffic.rules.tracks
    lane = int(np.flatnonzero(tracks["rule"] < tracks["rule_end"])[0])
    line = float(traffic.rules.rules["s"][tracks["rule"][lane]])
    shown = np.full(len(traffic.roads.map.signals), 3)  # amber, with room to stop
    states = run(traffic, put(traffic, [(lane, line - 40.0, 10.0)]), 6.0, lambda t: shown)
    passed = states[-1].lane[0] != lane
    assert passed == (rate == 1.0)
