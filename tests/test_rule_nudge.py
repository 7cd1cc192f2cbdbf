"""The expert beside the path: what it goes around, for whom it waits first, and whom it sees coming."""

import dataclasses

import numpy as np
import pytest

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.policy.rule_path import path_of
from cordillera.policy.rule_room import room_of, whose
from cordillera.policy.rule_speed import LIMIT, Constraint, SpeedConfig, solve_speed
from cordillera.reasoning.match import does_lateral, does_longitudinal, offsets
from cordillera.runtime.driver import DriverConfig, SafeDriver, motion_faults
from cordillera.sensors.observe import Observer
from cordillera.types import AgentKind, Agents, Cause, Gesture, Lateral, Longitudinal
from cordillera.world.maps import load_map
from cordillera.world.roads import LanePosition, compile_map
from cordillera.world.scenarios import make_family
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

ROAD = "built:straight,length=400,speed=50"
EXPERT = RuleExpert()


def sight(rows, speed=8.0):
    """Agents as (kind, metres ahead of the rear axle, metres to the left, size, columns) -> observation with truth."""
    road_map = load_map(ROAD)
    roads = compile_map(road_map)
    lane = next(i for i, row in enumerate(road_map.lanes) if row.center_xyz[1, 0] > row.center_xyz[0, 0])
    route = roads.wander(LanePosition(lane, 20.0, 0.0), 330.0, 0)
    state = make_scenario(ROAD, 0, 5.0).initial
    ego = dataclasses.replace(
        state.ego,
        xyz=route.xyz[0].copy(),
        quat_xyzw=np.array([0.0, 0.0, 0.0, 1.0]),
        velocity_mps=np.array([speed, 0, 0]),
    )
    count = len(rows)
    columns = {
        "id": np.arange(11, 11 + count), "kind": np.array([int(r[0]) for r in rows], dtype=np.int64),
        "xyz": (ego.xyz + np.array([(r[1], r[2], 0.0) for r in rows]).reshape(-1, 3)).reshape(-1, 3),
        "yaw_rad": np.zeros(count),
        "speed_mps": np.zeros(count), "accel_mps2": np.zeros(count),
        "size_lwh": np.array([r[3] for r in rows], dtype=np.float64).reshape(-1, 3), "lane": np.full(count, -1),
        "s_m": np.zeros(count), "valid": np.ones(count, dtype=bool), "shows": np.zeros(count, dtype=np.int64),
        "blinker": np.zeros(count, dtype=np.int64),
    }  # fmt: skip
    for i, row in enumerate(rows):
        for name, value in (row[4] if len(row) > 4 else {}).items():
            columns[name][i] = value
    observer = Observer()
    state = dataclasses.replace(state, ego=ego, agents=Agents(**columns))
    return observer.observe(observer.begin(state), route, road_map, route)


def drive(observation):
    """The decision, which no car would refuse."""
    decision = EXPERT.decide(observation)
    assert not motion_faults(decision.trajectory, observation, DriverConfig())
    return decision


CONE, VAN, CAR = (0.4, 0.4, 0.7), (5.2, 2.0, 2.4), (4.5, 1.8, 1.5)


def test_a_cone_at_the_edge_is_passed_within_the_lane():
    decision = drive(sight([(AgentKind.CONE, 24.0, -1.0, CONE)]))
    trace, xyz = decision.reasoning, decision.trajectory.xyz
    assert (trace.lateral, trace.side) == (Lateral.IN_LANE_NUDGE, "left") and trace.causes[-1].kind == "cone"
    there = np.interp(24.0, xyz[:, 0], xyz[:, 1])
    assert there - 1.06 > -0.8 + 0.2 and there + 1.06 < 1.75 + 0.2
    assert drive(sight([(AgentKind.CONE, 24.0, -2.2, CONE)])).reasoning.lateral is Lateral.LANE_KEEPING


def test_a_van_on_the_lane_is_passed_only_when_nobody_comes():
    van = (AgentKind.VAN, 26.0, 0.0, VAN)
    free = drive(sight([van], 6.0))
    assert (free.reasoning.lateral, free.reasoning.side) == (Lateral.OUT_OF_LANE_NUDGE, "left")
    assert free.trajectory.xyz[-1, 1] > 1.0
    comes = (AgentKind.CAR, 90.0, 3.5, CAR, {"yaw_rad": np.pi, "speed_mps": 10.0})
    waits = drive(sight([van, comes], 6.0))
    assert waits.reasoning.longitudinal is Longitudinal.YIELD
    assert (waits.reasoning.causes[0].kind, waits.reasoning.causes[0].target) == ("oncoming vehicle", "agent:12")
    assert np.abs(waits.trajectory.xyz[:, 1]).max() < 0.3
    assert waits.trajectory.xyz[-1, 0] + 3.87 < 26.0 - 2.6 - 5.0  # far enough from it to get out


def test_who_runs_across_is_braked_for_and_who_has_passed_is_not():
    def person(aside, way):
        row = (AgentKind.PEDESTRIAN, 30.0, aside, (0.5, 0.6, 1.7), {"yaw_rad": way * 0.5 * np.pi, "speed_mps": 2.0})
        return drive(sight([row], 10.0))

    meets = person(-5.0, 1.0)
    assert meets.reasoning.longitudinal is Longitudinal.YIELD and meets.reasoning.causes[0].kind == "pedestrian"
    gone = person(-5.0, -1.0)
    assert gone.reasoning.longitudinal is Longitudinal.SET_SPEED


@pytest.mark.parametrize(("kind", "most"), [(AgentKind.POTHOLE, 5.0), (AgentKind.FLOOD, 2.8)])
def test_bad_ground_across_the_road_is_crossed_slowly(kind, most):
    xyz = drive(sight([(kind, 25.0, 1.75, (4.0, 9.0, 0.1))])).trajectory.xyz
    speed = np.diff(xyz[:, 0]) / 0.1
    over = (xyz[1:, 0] + 3.87 > 23.0) & (xyz[1:, 0] - 1.0 < 27.0)
    assert over.any() and speed[over].max() < most


def test_an_officer_who_shows_stop_is_obeyed_if_he_faces_the_ego():
    officer = (AgentKind.POLICE_OFFICER, 35.0, 2.5, (0.5, 0.6, 1.8), {"yaw_rad": np.pi, "shows": int(Gesture.STOP)})
    stop = drive(sight([officer]))
    assert stop.reasoning.causes[0].relation == "signalling stop" and stop.trajectory.xyz[-1, 0] + 3.87 < 33.0
    away = (*officer[:4], {"yaw_rad": 0.0, "shows": int(Gesture.STOP)})
    assert drive(sight([away])).reasoning.causes[0].kind != "police officer"


def test_the_room_beside_the_path():
    observation = sight([])
    truth, speed = observation.truth, SpeedConfig()
    path, roads = path_of(truth.map, truth.route, speed.side_mps2, speed.curve_brake_mps2), compile_map(truth.map)
    left, right, own_left, own_right = room_of(roads, path).span(path, 40.0, 80.0)
    assert left == pytest.approx(5.25, abs=0.26) and right == pytest.approx(1.75, abs=0.26)
    assert own_left == pytest.approx(1.75, abs=0.01) == own_right
    assert [whose(roads, path, 50.0, y) for y in (0.0, 2.3, 3.5, 4.8, -9.0)] == [
        "along",
        "against",
        "against",
        "against",
        "",
    ]


def test_a_limit_holds_between_its_stations():
    limit = Constraint(
        LIMIT, 40.0, Cause("flooded road", "agent:1", "ahead", 0), Longitudinal.SPEED_ADAPTATION, 3.0, end_m=50.0
    )
    ride = solve_speed(0.0, 10.0, 0.0, 3.9, np.full(400, 13.0), 0.5, (limit,), SpeedConfig())
    over = (ride.s_m + 3.9 > 40.0) & (ride.s_m < 50.0)
    assert over.any() and ride.speed_mps[over].max() < 3.3 and ride.accel_mps2.min() > -3.5


def test_a_queue_is_waited_behind_and_a_broken_down_car_is_passed():
    queue = [(AgentKind.CAR, 60.0, 0.0, CAR), (AgentKind.VAN, 71.0, 0.0, VAN)]
    waiting = drive(sight(queue)).reasoning
    assert waiting is not None
    assert waiting.lateral is Lateral.LANE_KEEPING
    assert (waiting.longitudinal, waiting.causes[0].kind) == (Longitudinal.FOLLOW_LEAD, "lead vehicle")
    near = [(kind, at - 30.0, aside, size) for kind, at, aside, size in queue]
    assert drive(sight(near)).reasoning.lateral is Lateral.LANE_KEEPING
    broken = [(*near[0], {"blinker": 2}), (*near[1], {"blinker": 2})]
    assert drive(sight(broken)).reasoning.lateral is Lateral.OUT_OF_LANE_NUDGE


def test_a_door_that_opens_late_does_not_undo_the_way_past_the_cars_before_it():
    cars = [(AgentKind.CAR, 12.0 + 6.3 * k, -2.2, CAR) for k in range(4)]
    door = (AgentKind.DOOR, 27.3, -0.75, (0.12, 1.0, 1.2))
    plain = drive(sight(cars, speed=7.0)).trajectory.xyz[:, 1]
    opened = drive(sight([*cars, door], speed=7.0)).trajectory.xyz
    assert plain.max() > 0.2
    beside = (opened[:, 0] > 4.0) & (opened[:, 0] < 12.0)
    assert opened[beside, 1].max() > 0.5 * plain.max()


def test_a_wrong_way_driver_is_named_evaded_and_stopped_for():
    row = (AgentKind.CAR, 45.0, 0.1, CAR)
    for speed in (9.0, 0.0):
        decision = drive(sight([(*row, {"yaw_rad": np.pi, "speed_mps": speed})], speed=10.0))
        trace = decision.reasoning
        assert trace is not None
        assert (trace.longitudinal, trace.lateral, trace.side) == (Longitudinal.YIELD, Lateral.IN_LANE_NUDGE, "right")
        assert {cause.kind for cause in trace.causes} == {"wrong-way driver"} and "wrong-way driver" in trace.text
        assert -0.8 < decision.trajectory.xyz[-1, 1] < -0.2
        assert decision.trajectory.xyz[-1, 0] < 35.0
    beside = drive(sight([(AgentKind.CAR, 45.0, 3.4, CAR, {"yaw_rad": np.pi, "speed_mps": 9.0})], speed=10.0))
    assert beside.reasoning is not None and beside.reasoning.lateral is Lateral.LANE_KEEPING


def test_a_siren_behind_is_made_way_for_until_it_is_past():
    def siren(at, kind=AgentKind.AMBULANCE):
        trace_of = drive(sight([(kind, at, 2.1, VAN, {"speed_mps": 14.0})], speed=10.0))
        assert trace_of.reasoning is not None
        return trace_of, trace_of.reasoning

    behind, why = siren(-30.0)
    assert (why.longitudinal, why.lateral, why.side) == (Longitudinal.YIELD, Lateral.IN_LANE_NUDGE, "right")
    assert {cause.relation for cause in why.causes} == {"approaching from behind with its siren on"}
    assert behind.trajectory.xyz[-1, 1] < -0.4
    for _, other in (siren(30.0), siren(-30.0, AgentKind.VAN)):
        assert other.lateral is Lateral.LANE_KEEPING


@pytest.mark.parametrize("family", ["slow_tractor", "debris", "double_parked_van"])
def test_what_the_expert_says_his_plan_does_also_on_the_way_back_and_at_the_end(family):
    scenario = make_family(family, 1, "val")
    world = World(scenario)
    done = []

    class Told:
        name = "told"

        def decide(self, observation):
            decision = EXPERT.decide(observation)
            trace, plan = decision.reasoning, decision.trajectory
            offset = offsets(plan, observation.truth.state.ego, world)
            across = does_lateral(trace.lateral, trace.side, plan, offset)
            done.append(does_longitudinal(trace.longitudinal, plan) and across)
            return decision

    roll_out(scenario, world, Observer(), SafeDriver(Told()))
    assert np.mean(done) > 0.97
