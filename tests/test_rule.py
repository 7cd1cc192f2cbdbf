"""The expert: what it does in scenes with one thing to heed, and that the cause it names is the cause."""

import dataclasses
import math

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw, yaw_of
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.policy.rule_line import SPACING_M, bends, faired
from cordillera.policy.rule_path import path_of
from cordillera.policy.rule_speed import FOLLOW, HALT, Constraint, SpeedConfig, solve_speed
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import (
    AgentKind,
    Agents,
    Cause,
    Conflict,
    EgoState,
    Lateral,
    LightState,
    Longitudinal,
    Route,
    SignalKind,
    WorldState,
)
from cordillera.world.guide import Guide
from cordillera.world.maps import load_map
from cordillera.world.roads import LanePosition, compile_map
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

EXPERT = RuleExpert()
NOSE = 1.43 + 0.5 * 4.87


class Stage:
    """A built road with the ego on a route, to which things are added."""

    def __init__(self, name, start=20.0, lane=None, seed=0, length=400.0):
        self.map = load_map(name)
        self.roads = compile_map(self.map)
        routable = np.flatnonzero(self.roads.net.lanes["routable"])
        self.lane = int(routable[0]) if lane is None else lane
        self.start = start
        self.route = self.roads.wander(LanePosition(self.lane, start, 0.0), length, seed)
        self.guide = Guide.of(self.roads, self.route)

    def look(self, speed, agents=(), signals=None, progress=0.0, lateral=0.0, stood=False, accel=0.0):
        """Agents as (lane, s, speed) or dicts of columns -> the observation with truth."""
        xy = self.guide.ahead(progress).xyz[0]
        ahead = self.guide.ahead(progress + 1.0).xyz[0]
        yaw = math.atan2(*(ahead - xy)[1::-1])
        xyz = xy + lateral * np.array([-math.sin(yaw), math.cos(yaw), 0.0])
        ego = EgoState(0, xyz, quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]), accel)
        shown = np.zeros(len(self.map.signals), dtype=np.int64) if signals is None else signals
        state = WorldState(0, ego, self.agents(agents), shown)
        observer = Observer()
        window = observer.begin(state)
        if stood:
            still = np.repeat(ego.xyz[None], 16, axis=0)
            window = dataclasses.replace(window, xyz_world=still)
        return observer.observe(window, self.guide.ahead(progress), self.map, self.route)

    def agents(self, rows):
        count = len(rows)
        columns = {
            "id": np.arange(11, 11 + count), "kind": np.zeros(count, dtype=np.int64), "xyz": np.zeros((count, 3)),
            "yaw_rad": np.zeros(count), "speed_mps": np.zeros(count), "accel_mps2": np.zeros(count),
            "size_lwh": np.tile([4.5, 1.8, 1.5], (count, 1)), "lane": np.full(count, -1), "s_m": np.zeros(count),
            "valid": np.ones(count, dtype=bool), "blinker": np.zeros(count, dtype=np.int64),
            "wait_s": np.zeros(count), "crossing": np.full(count, -1),
        }  # fmt: skip
        for i, row in enumerate(rows):
            given = row if isinstance(row, dict) else {"lane": row[0], "s_m": row[1], "speed_mps": row[2]}
            if given.get("lane", -1) >= 0:
                columns["xyz"][i], columns["yaw_rad"][i] = self.roads.pose(given["lane"], given["s_m"])
            for name, value in given.items():
                columns[name][i] = value
        return Agents(**columns)


def ridden(decision):
    """Distance along the plan of the last pose, and the speed over its last step."""
    xy = np.vstack([[0.0, 0.0], decision.trajectory.xyz[:, :2]])
    steps = np.hypot(*np.diff(xy, axis=0).T)
    return float(steps.sum()), float(steps[-1] / 0.1)


def motion(decision):
    """A plan -> speed, acceleration and curvature between its poses, by finite differences."""
    xy, yaw = decision.trajectory.xyz[:, :2], np.unwrap(yaw_of(decision.trajectory.quat_xyzw))
    length = np.hypot(*np.diff(xy, axis=0).T)
    speed = length / 0.1
    return speed, np.diff(speed) / 0.1, np.diff(yaw) / np.maximum(length, 0.05)


def test_a_free_road_is_driven_at_the_limit():
    stage = Stage("built:straight,length=600,speed=50")
    decision = EXPERT.decide(stage.look(50.0 / 3.6))
    trace = decision.reasoning
    assert decision.policy == "expert" and len(decision.trajectory.t_us) == 64
    assert (trace.longitudinal, trace.lateral) == (Longitudinal.SET_SPEED, Lateral.LANE_KEEPING)
    gone, speed = ridden(decision)
    assert gone == pytest.approx(6.4 * 50.0 / 3.6, rel=0.02) and speed == pytest.approx(50.0 / 3.6, rel=0.02)
    slow = EXPERT.decide(stage.look(5.0))
    assert 8.0 < ridden(slow)[1] <= 14.0


def test_without_truth_or_lanes_it_says_what_is_missing():
    observation = Stage("built:straight,length=300").look(10.0)
    with pytest.raises(ValueError, match="truth"):
        EXPERT.decide(dataclasses.replace(observation, truth=None))
    bare = dataclasses.replace(observation.truth, route=Route(observation.truth.route.xyz))
    with pytest.raises(ValueError, match="lanes"):
        EXPERT.decide(dataclasses.replace(observation, truth=bare))


def test_a_lead_vehicle_is_followed_and_named():
    stage = Stage("built:straight,length=600")
    lead = (stage.lane, stage.start + 35.0, 6.0)
    decision = EXPERT.decide(stage.look(12.0, [lead]))
    cause = decision.reasoning.causes[0]
    assert decision.reasoning.longitudinal is Longitudinal.FOLLOW_LEAD
    assert (cause.kind, cause.target) == ("lead vehicle", "agent:11")
    assert cause.distance_m == pytest.approx(35.0 - 2.25 - NOSE, abs=0.1)
    gone, speed = ridden(decision)
    assert speed < 8.0 and gone < 35.0 + 6.4 * 6.0 - 2.25 - NOSE - 2.0
    free = EXPERT.decide(stage.look(12.0))
    assert free.reasoning.longitudinal is Longitudinal.SET_SPEED and ridden(free)[0] > gone + 10.0


def test_a_car_in_the_next_lane_is_left_alone():
    stage = Stage("built:straight,length=600,lanes=2")
    other = next(i for i in (stage.map.lanes[stage.lane].left, stage.map.lanes[stage.lane].right) if i >= 0)
    s, _ = stage.roads.project(other, *stage.roads.pose(stage.lane, stage.start + 20.0)[0][:2])
    with_it, without = EXPERT.decide(stage.look(12.0, [(other, s, 0.0)])), EXPERT.decide(stage.look(12.0))
    assert with_it.reasoning.causes[0].target == without.reasoning.causes[0].target
    assert np.allclose(with_it.trajectory.xyz, without.trajectory.xyz)


@pytest.mark.parametrize(
    ("shown", "stops"), [("RED", True), ("RED_AMBER", True), ("AMBER", True), ("GREEN", False), ("OFF", False)]
)
def test_lights_are_obeyed(shown, stops):
    stage, line = lit_stage()
    signals = np.zeros(len(stage.map.signals), dtype=np.int64)
    signals[line.signal] = LightState[shown]
    decision = EXPERT.decide(stage.look(9.0, signals=signals, progress=line.s_m - NOSE - 40.0))
    named = decision.reasoning.causes[0].target == f"signal:{line.signal}"
    assert named == (stops or shown == "OFF") and (decision.reasoning.longitudinal is Longitudinal.STOP) == stops
    gone, speed = ridden(decision)
    if shown == "OFF":  # dark: slowly over the line, ready to give way
        assert decision.reasoning.causes[0].relation == "dark" and speed < 6.0
    if stops:
        assert gone < 40.0 and speed < 4.0


def lit_stage():
    road_map = load_map("built:four_way,control=signals")
    roads = compile_map(road_map)
    lane = next(
        i for i in range(len(road_map.lanes)) if any(r.kind is SignalKind.TRAFFIC_LIGHT for r in roads.regulations(i))
    )
    stage = Stage("built:four_way,control=signals", start=5.0, lane=lane, length=200.0)
    path = path_of(stage.map, stage.route, 2.0, 1.2)
    return stage, next(n for n in path.lines if n.kind is SignalKind.TRAFFIC_LIGHT)


def test_amber_is_passed_where_stopping_would_be_hard():
    stage, line = lit_stage()
    signals = np.zeros(len(stage.map.signals), dtype=np.int64)
    signals[line.signal] = LightState.AMBER
    decision = EXPERT.decide(stage.look(12.0, signals=signals, progress=line.s_m - NOSE - 15.0))
    assert decision.reasoning.longitudinal is not Longitudinal.STOP
    assert ridden(decision)[0] > 20.0


def test_the_binding_cause_is_the_one_that_changes_the_plan():
    """A red light behind a stopped car: the car binds; without it the light does; without both nothing does."""
    stage, line = lit_stage()
    red, none = np.full((2, len(stage.map.signals)), int(LightState.GREEN), dtype=np.int64)
    red[line.signal] = LightState.RED
    at = line.s_m - NOSE - 35.0
    car = (stage.lane, stage.start + line.s_m - 10.0, 0.0)
    targets = [
        EXPERT.decide(stage.look(9.0, agents, signals, progress=at)).reasoning.causes[0].target
        for agents, signals in (([car], red), ([], red), ([car], none), ([], none))
    ]
    assert targets[:3] == ["agent:11", f"signal:{line.signal}", "agent:11"]
    assert targets[3] not in targets[:3]


def test_stop_signs_are_stood_at_and_then_left():
    road_map = load_map("built:four_way,control=stop")
    roads = compile_map(road_map)
    lane = next(i for i in range(len(road_map.lanes)) if any(r.kind is SignalKind.STOP for r in roads.regulations(i)))
    stage = Stage("built:four_way,control=stop", start=5.0, lane=lane, length=200.0)
    line = next(n for n in path_of(stage.map, stage.route, 2.0, 1.2).lines if n.kind is SignalKind.STOP)
    coming = EXPERT.decide(stage.look(8.0, progress=line.s_m - NOSE - 25.0))
    assert coming.reasoning.causes[0].kind == "stop sign" and ridden(coming)[0] < 25.0
    arrived = EXPERT.decide(stage.look(0.0, progress=line.s_m - NOSE - 0.8))
    gone = EXPERT.decide(stage.look(0.0, progress=line.s_m - NOSE - 0.8, stood=True))
    assert arrived.reasoning.causes[0].kind != "stop sign" and gone.reasoning.causes[0].kind != "stop sign"
    assert ridden(gone)[0] > 5.0


def test_curves_are_taken_at_a_comfortable_speed():
    stage = Stage("built:curve,radius=25,length=120,speed=70", start=70.0)
    decision = EXPERT.decide(stage.look(15.0))
    assert decision.reasoning.longitudinal is Longitudinal.SPEED_ADAPTATION
    assert decision.reasoning.causes[0].kind in ("curve", "turn")
    speed, accel, curvature = motion(decision)
    assert np.abs(speed**2 * curvature).max() < 2.6
    assert accel.min() > -3.0


def test_people_on_a_crossing_are_let_over():
    road_map = load_map("built:four_way")
    roads = compile_map(road_map)
    lane = next(i for i in range(len(road_map.lanes)) if any(s0 > 50.0 for _, s0, _ in roads.crossings_on(i)))
    stage = Stage("built:four_way", start=5.0, lane=lane, length=200.0)
    path = path_of(stage.map, stage.route, 2.0, 1.2)
    walk = path.walks[0]
    i = path.index(0.5 * (walk.s0_m + walk.s1_m))
    side = np.array([-math.sin(path.yaw[i]), math.cos(path.yaw[i])])
    place = np.array([*(path.xy[i] - 2.5 * side), 0.0])
    walker = {
        "kind": int(AgentKind.PEDESTRIAN), "xyz": place, "yaw_rad": path.yaw[i] + math.pi / 2, "speed_mps": 1.3,
        "size_lwh": (0.5, 0.6, 1.7), "crossing": walk.crossing,
    }  # fmt: skip
    at = walk.s0_m - NOSE - 25.0
    decision = EXPERT.decide(stage.look(9.0, [walker], progress=at))
    assert decision.reasoning.longitudinal is Longitudinal.YIELD
    assert decision.reasoning.causes[0].target == "agent:11" and decision.reasoning.causes[0].kind == "pedestrian"
    away = dict(walker, yaw_rad=path.yaw[i] - math.pi / 2, xyz=np.array([*(path.xy[i] - 4.0 * side), 0.0]))
    passed = EXPERT.decide(stage.look(9.0, [away], progress=at))
    assert passed.reasoning.causes[0].target != "agent:11"


def give_way_stage():
    """A route over a lane that yields to another that it crosses, with both."""
    name = "built:t_junction,control=give_way"
    road_map = load_map(name)
    roads = compile_map(road_map)
    for conflict in road_map.conflicts:
        if conflict.kind == "cross" and conflict.yields:
            before = road_map.lanes[conflict.lane].predecessors[0]
            for seed in range(30):
                stage = Stage(name, start=roads.length(before) - 60.0, lane=before, seed=seed, length=150.0)
                if conflict.lane in stage.route.lanes:
                    return stage, conflict
    raise AssertionError("the junction has no such conflict")


def coming(stage, conflict: Conflict, seconds, speed=9.0):
    """A car on the other lane's approach that reaches the conflict after that time, blinker as its way asks."""
    before = stage.map.lanes[conflict.other].predecessors[0]
    s = stage.roads.length(before) + conflict.other_s_m[0] - 2.25 - seconds * speed
    turn = stage.map.lanes[conflict.other].turn
    return {"lane": before, "s_m": s, "speed_mps": speed, "blinker": {"left": 1, "right": -1}.get(turn, 0)}


def test_who_has_priority_is_let_pass_and_who_is_far_is_not_waited_for():
    stage, conflict = give_way_stage()
    path = path_of(stage.map, stage.route, 2.0, 1.2)
    hold = next(c.hold_m for c in path.clusters if any(z.conflict.other == conflict.other for z in c.zones))
    at = hold - NOSE - 8.0
    decisions = [
        EXPERT.decide(stage.look(4.0, [coming(stage, conflict, t)], progress=at)) for t in (3.0, 4.0, 5.0, 11.0)
    ]
    waits = [d.reasoning.longitudinal is Longitudinal.YIELD for d in decisions]
    assert waits == [True, True, True, False]  # the last is far off
    near = decisions[2]
    assert near.reasoning.causes[0].target == "agent:11"
    alone = EXPERT.decide(stage.look(4.0, progress=at))
    assert alone.reasoning.longitudinal is not Longitudinal.YIELD
    assert ridden(alone)[0] > ridden(near)[0] + 3.0
    elsewhere = coming(stage, conflict, 5.0)
    elsewhere["blinker"] = -1 if elsewhere["blinker"] == 0 else 0  # it will turn off before the conflict
    assert EXPERT.decide(stage.look(4.0, [elsewhere], progress=at)).reasoning.longitudinal is not Longitudinal.YIELD


def test_an_offset_from_the_route_fades_without_a_kink():
    stage = Stage("built:straight,length=600")
    decision = EXPERT.decide(stage.look(10.0, lateral=0.6))
    xy = decision.trajectory.xyz[:, :2]
    assert xy[-1, 1] == pytest.approx(-0.6, abs=0.02) and abs(xy[0, 1]) < 0.01
    assert np.all(np.diff(xy[:, 1]) < 1e-6)
    _, _, curvature = motion(decision)
    assert np.abs(curvature).max() < 0.03 and np.abs(np.diff(curvature)).max() < 0.006


def test_the_speed_solver_keeps_its_promises():
    cap, config = np.full(800, 12.0), SpeedConfig()
    cause = Cause("thing", "thing:1", "ahead", 0)
    free = solve_speed(0.0, 12.0, 0.0, 3.9, cap, 0.5, (), config)
    assert np.allclose(free.speed_mps, 12.0, atol=0.05) and free.taken.shape == (1,)
    halt = Constraint(HALT, 60.0, cause, Longitudinal.STOP)
    stop = solve_speed(0.0, 12.0, 0.0, 3.9, cap, 0.5, (halt,), config)
    assert stop.s_m.max() + 3.9 < 60.0
    assert stop.accel_mps2.min() > -2.5 and np.abs(np.diff(stop.accel_mps2)).max() <= 0.1 * config.hard_jerk_mps3
    assert stop.taken[1] > 2.0 > stop.taken[0]
    lead = Constraint(FOLLOW, 20.0, cause, Longitudinal.FOLLOW_LEAD, 6.0)
    both = solve_speed(0.0, 12.0, 0.0, 3.9, cap, 0.5, (halt, lead), config)
    assert both.taken[2] > both.taken[1]
    later = dataclasses.replace(halt, until_s=2.0)
    released = solve_speed(0.0, 5.0, 0.0, 3.9, cap, 0.5, (later,), config)
    assert released.s_m[-1] > 20.0
    soft = solve_speed(0.0, 12.0, 0.0, 3.9, cap, 0.5, (dataclasses.replace(lead, s_m=8.0, softest=1.0),), config)
    assert soft.accel_mps2.min() >= -1.0 - 1e-9


def test_fairing_keeps_lines_and_circles_and_smooths_kinks():
    straight = np.column_stack([np.arange(100) * SPACING_M, np.zeros(100)])
    assert np.allclose(faired(straight, 8.0), straight, atol=1e-9)
    angle = np.arange(200) * SPACING_M / 30.0
    circle = 30.0 * np.column_stack([np.sin(angle), 1.0 - np.cos(angle)])
    smooth = faired(circle, 8.0)
    assert np.abs(smooth - circle).max() < 0.01
    assert np.allclose(bends(circle)[1][5:-5], 1.0 / 30.0, rtol=1e-3)
    rng = np.random.default_rng(0)
    noisy = straight + np.column_stack([np.zeros(100), 0.1 * rng.standard_normal(100)])
    assert np.abs(np.diff(bends(faired(noisy, 8.0))[1])).max() < 0.05 * np.abs(np.diff(bends(noisy)[1])).max()


@pytest.mark.parametrize(("name", "seed"), [("karlsruhe", 0), ("kashiwanoha", 1), ("town02", 2), ("ss2", 1)])
def test_a_whole_drive_is_safe_and_smooth(name, seed):
    scenario = make_scenario(name, seed, 30.0)
    world = World(scenario)
    rollout = roll_out(scenario, world, Observer(), SafeDriver(EXPERT))
    assert rollout.ended in ("duration", "arrived")
    assert {step.output.verdict.action for step in rollout.steps} == {"pass"}
    accel = np.array([step.state.ego.accel_mps2 for step in rollout.steps])
    assert accel.min() > -4.5 and accel.max() < 2.4
    for step in rollout.steps:
        trace = step.output.decision.reasoning
        assert trace.source == "expert" and trace.text.endswith(".") and trace.causes
        for cause in trace.causes:
            kind, number = cause.target.split(":")
            if kind == "agent":
                row = np.flatnonzero(step.state.agents.id == int(number))
                assert step.state.agents.valid[row].all()
            else:
                assert int(number) < len(world.map.signals if kind == "signal" else world.map.lanes)
            assert cause.evidence_t_us == step.state.t_us
