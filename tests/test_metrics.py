"""Metrics on drives that one can work out in one's head."""

import dataclasses

import numpy as np
import pytest
from metric_drives import LANE, ROAD, along_lanes, drive, signalled, steady

from cordillera.evaluate import metrics
from cordillera.evaluate.metrics_track import track_of
from cordillera.types import LightState, SignalKind
from cordillera.world.build import build_road
from cordillera.world.roads import compile_map


def test_collisions_count_agents_and_not_ticks():
    assert metrics.collisions(steady()).value == 0
    # centre of the ego is 1.43 m ahead of its rear axle: it passes through both
    assert metrics.collisions(steady(others=[(40.0, 0.0, 0.0), (55.0, 0.0, 0.0)])).value == 2
    beside = 0.5 * (2.12 + 2.0)
    assert metrics.collisions(steady(others=[(40.0, beside + 0.01, 0.0)])).value == 0
    assert metrics.collisions(steady(others=[(40.0, beside - 0.01, 0.0)])).value == 1


def test_an_agent_on_a_bridge_above_is_not_hit():
    rollout = steady(others=[(40.0, 0.0, 0.0)])
    agents = rollout.final.agents
    above = dataclasses.replace(agents, xyz=agents.xyz + np.array([0.0, 0.0, 6.0]))
    steps = tuple(dataclasses.replace(s, state=dataclasses.replace(s.state, agents=above)) for s in rollout.steps)
    lifted = dataclasses.replace(rollout, steps=steps, final=dataclasses.replace(rollout.final, agents=above))
    assert metrics.collisions(rollout).value == 1 and metrics.collisions(lifted).value == 0
    assert metrics.time_to_collision(rollout).value == 0.0 and not metrics.time_to_collision(lifted).valid


def test_off_road_is_time_with_a_corner_out():
    lane_half = 0.5 * np.linalg.norm(ROAD.lanes[LANE].left_xyz[0] - ROAD.lanes[LANE].right_xyz[0])
    edge = -min(lane_half, 100.0) + 0.5 * 2.12  # its right side is on the right border
    lateral = np.full(51, edge + 0.1)
    assert metrics.off_road(steady(lateral=lateral), ROAD).value == 0.0
    outer = max(abs(lane.right_xyz[:, 1]).max() for lane in ROAD.lanes)
    lateral[20:30] = -outer - 3.0
    assert metrics.off_road(steady(lateral=lateral), ROAD).value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shown", "run"),
    [(LightState.RED, 1), (LightState.RED_AMBER, 1), (LightState.AMBER, 0), (LightState.GREEN, 0), (LightState.OFF, 0)],
)
def test_red_lights_count_when_the_front_crosses_the_line(shown, run):
    rollout = steady(signals=[int(shown)] * 51)
    assert metrics.red_lights(rollout, signalled(SignalKind.TRAFFIC_LIGHT)).value == run


def test_a_light_that_turns_red_behind_the_front_is_not_run():
    # rear axle at 20 + k m, front 3.865 m ahead: it crosses 60 m between k = 36 and 37
    for turns_at, run in ((38, 0), (36, 1)):
        signals = [int(LightState.GREEN if k < turns_at else LightState.RED) for k in range(51)]
        assert metrics.red_lights(steady(signals=signals), signalled(SignalKind.TRAFFIC_LIGHT)).value == run


def test_stop_signs_ask_for_a_stand_near_the_line():
    road_map = signalled(SignalKind.STOP)
    shown = [0] * 100
    s = np.concatenate([np.linspace(20.0, 55.0, 36), np.full(10, 55.0), np.linspace(55.2, 66.0, 54)])
    moving = np.full(100, 5.0)
    stood = moving.copy()
    stood[36:46] = 0.0
    assert metrics.stop_signs(drive(s, stood, signals=shown), road_map).value == 0
    assert metrics.stop_signs(drive(s, moving, signals=shown), road_map).value == 1
    assert metrics.stop_signs(drive(s - 5.0, stood, signals=shown), road_map).value == 1  # stood too far away
    assert metrics.stop_signs(drive(s[:40], moving[:40], signals=shown[:40]), road_map).value == 0  # not reached


def test_a_stop_may_be_made_with_the_bumper_just_over_the_line():
    # front at s + 3.865: it crosses 60 m at s = 56.135 and stands at 60.765 or at 61.865
    for stand, run in ((56.9, 0), (58.0, 1)):
        s = np.concatenate([np.linspace(20.0, stand, 40), np.full(10, stand), np.linspace(stand, 80.0, 50)])
        speed = np.r_[np.full(40, 5.0), np.zeros(10), np.full(50, 5.0)]
        assert metrics.stop_signs(drive(s, speed, signals=[0] * 100), signalled(SignalKind.STOP)).value == run


def test_lines_of_one_signal_in_a_row_are_one():
    """A sign with two lines 5 m apart asks for one stand; a light that turns red between its lines is not run."""

    def two(kind):
        road = signalled(kind)
        (line,), (signal,) = road.stop_lines, road.signals
        step = ROAD.lanes[LANE].center_xyz[-1] - ROAD.lanes[LANE].center_xyz[0]
        further = dataclasses.replace(line, id="m", xyz=line.xyz + 5.0 * step / np.linalg.norm(step))
        return dataclasses.replace(
            road, stop_lines=(line, further), signals=(dataclasses.replace(signal, stop_lines=(0, 1)),)
        )

    s = np.concatenate([np.linspace(20.0, 55.0, 36), np.full(10, 55.0), np.linspace(55.2, 76.0, 54)])
    stood = np.r_[np.full(36, 5.0), np.zeros(10), np.full(54, 5.0)]
    assert metrics.stop_signs(drive(s, stood, signals=[0] * 100), two(SignalKind.STOP)).value == 0
    assert metrics.stop_signs(drive(s, np.full(100, 5.0), signals=[0] * 100), two(SignalKind.STOP)).value == 1
    turns = [int(LightState.GREEN if k < 39 else LightState.RED) for k in range(51)]
    assert metrics.red_lights(steady(signals=turns), two(SignalKind.TRAFFIC_LIGHT)).value == 0
    assert metrics.red_lights(steady(signals=[int(LightState.RED)] * 51), two(SignalKind.TRAFFIC_LIGHT)).value == 1


def test_a_light_meant_for_another_branch_holds_nobody_else():
    """Only what comes after the line counts: a route may have used the branch that a light is meant for before."""
    road = build_road("built:four_way")
    arm = next(i for i in range(len(road.lanes)) if compile_map(road).regulations(i))
    light = compile_map(road).regulations(arm)[0].signal
    meant, other = road.lanes[arm].successors[:2]
    signals = list(road.signals)
    signals[light] = dataclasses.replace(signals[light], lanes=(meant,))
    road = dataclasses.replace(road, signals=tuple(signals))
    assert [rule.for_lane for rule in compile_map(road).regulations(arm)] == [meant]
    for way, before, run in ((meant, (), 1), (other, (), 0), (other, (meant,), 0)):
        rollout = along_lanes(road, (arm, way), before=before, shown=LightState.RED)
        assert metrics.red_lights(rollout, road).value == run


def in_region(rollout, code):
    return dataclasses.replace(rollout, scenario=dataclasses.replace(rollout.scenario, region=code))


def test_a_dark_light_is_an_all_way_stop_in_the_us():
    light, dark = signalled(SignalKind.TRAFFIC_LIGHT), [int(LightState.OFF)] * 100
    s = np.concatenate([np.linspace(20.0, 55.0, 36), np.full(10, 55.0), np.linspace(55.2, 66.0, 54)])
    stood = np.r_[np.full(36, 5.0), np.zeros(10), np.full(54, 5.0)]
    for code, run in (("US", 1), ("DE", 0), ("ZZ", 0)):
        assert metrics.stop_signs(in_region(drive(s, np.full(100, 5.0), signals=dark), code), light).value == run
        assert metrics.stop_signs(in_region(drive(s, stood, signals=dark), code), light).value == 0


@pytest.mark.parametrize(("turn", "code", "stands", "run"), [
    ("right", "US", True, 0), ("right", "US", False, 1), ("left", "US", True, 1), ("right", "DE", True, 1),
])  # fmt: skip
def test_turning_right_on_red_is_allowed_after_a_stand_in_the_us(turn, code, stands, run):
    road = build_road("built:four_way")
    arm = next(i for i in range(len(road.lanes)) if compile_map(road).regulations(i))
    way = next(i for i in road.lanes[arm].successors if road.lanes[i].turn == turn)
    rollout = in_region(along_lanes(road, (arm, way), shown=LightState.RED), code)
    before = metrics.red_lights(rollout, road).value
    assert before == 1  # driven through
    track = track_of(rollout)
    line, yaw = compile_map(road).pose(arm, compile_map(road).regulations(arm)[0].s_m)
    left = (line[0] - track.x) * np.cos(yaw) + (line[1] - track.y) * np.sin(yaw) - 0.5 * 4.87
    slow = int(np.flatnonzero(left > 0.0)[-1])
    steps = list(rollout.steps)
    if stands:
        state = steps[slow].state
        steps[slow] = dataclasses.replace(steps[slow], state=dataclasses.replace(state, ego=still(state.ego)))
    rollout = dataclasses.replace(rollout, steps=tuple(steps))
    assert metrics.red_lights(rollout, road).value == run


def still(ego):
    return dataclasses.replace(ego, velocity_mps=np.zeros(3))


def test_flashing_red_asks_for_a_stand():
    shown = [int(LightState.FLASHING_RED)] * 100
    s = np.concatenate([np.linspace(20.0, 55.0, 36), np.full(10, 55.0), np.linspace(55.2, 66.0, 54)])
    stood = np.r_[np.full(36, 5.0), np.zeros(10), np.full(54, 5.0)]
    light = signalled(SignalKind.TRAFFIC_LIGHT)
    assert metrics.red_lights(drive(s, stood, signals=shown), light).value == 0
    assert metrics.red_lights(drive(s, np.full(100, 5.0), signals=shown), light).value == 1


def test_progress_and_completion():
    rollout = steady()
    assert metrics.progress(rollout, ROAD).value == pytest.approx(50.0, abs=1e-6)
    length = float(np.linalg.norm(ROAD.lanes[LANE].center_xyz[-1] - ROAD.lanes[LANE].center_xyz[0]))
    assert metrics.route_completion(rollout, ROAD).value == pytest.approx(100.0 * 50.0 / (length - 20.0), rel=1e-6)
    arrived = dataclasses.replace(rollout, ended="arrived")
    assert metrics.route_completion(arrived, ROAD).value == 100.0
    assert metrics.mean_speed(rollout).value == pytest.approx(10.0)


def test_comfort_of_a_smooth_brake_and_of_a_rough_one():
    t = 0.1 * np.arange(51)
    smooth = -2.0 * np.sin(np.pi * t / 5.0) ** 2
    rollout = drive(20.0 + 8.0 * t, 10.0 + np.cumsum(smooth) * 0.1, accel=smooth)
    assert metrics.max_brake(rollout).value == pytest.approx(2.0)
    assert metrics.max_accel(rollout).value == 0.0
    assert metrics.max_jerk(rollout).value == pytest.approx(2.0 * np.pi / 5.0, rel=0.01)
    assert metrics.comfort(rollout).value == 100.0
    rough = np.where((t > 2.0) & (t < 3.0), -5.0, 0.0)
    worse = drive(20.0 + 8.0 * t, 10.0 + np.cumsum(rough) * 0.1, accel=rough)
    assert metrics.comfort(worse).value < 85.0
    assert metrics.max_brake(worse).value == pytest.approx(5.0)


def test_lateral_acceleration_is_speed_times_yaw_rate():
    rate = 0.3
    rollout = steady(yaw_off=rate * 0.1 * np.arange(51))
    assert metrics.max_side_accel(rollout).value == pytest.approx(10.0 * rate)
    assert metrics.comfort(rollout).value == 100.0
    assert metrics.comfort(steady(yaw_off=0.6 * 0.1 * np.arange(51))).value == 0.0


def test_time_to_collision_with_what_is_ahead():
    # nose at s + 3.865 (drive starts at 20), rear of the agent at 98: 74.1 m, 10 m/s; after 5 s it is 24.1 m
    result = metrics.time_to_collision(steady(others=[(100.0, 0.0, 0.0)]))
    assert result.valid and result.value == pytest.approx(2.5, abs=0.051)
    assert not metrics.time_to_collision(steady(others=[(100.0, 0.0, 10.0)])).valid
    assert not metrics.time_to_collision(steady(others=[(5.0, 0.0, 30.0)])).valid  # comes from behind
    assert not metrics.time_to_collision(steady()).valid


def test_all_metrics_have_distinct_names_and_units():
    results = metrics.all_metrics(steady(), ROAD)
    assert len({result.name for result in results}) == len(results) > 20
    assert all(result.better in ("higher", "lower", "") for result in results)
    assert all(np.isnan(result.value) != result.valid for result in results)
