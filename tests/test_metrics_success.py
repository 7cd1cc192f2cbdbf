"""When a drive passes, and why it fails; and the free driver that says how far one could have come."""

import dataclasses

import numpy as np
import pytest
from metric_drives import NOSE_M, ROAD, Other, drive, light_road, signalled, steady

from cordillera.evaluate import metrics
from cordillera.evaluate.metrics_progress import possible_m, progress_share
from cordillera.evaluate.metrics_success import asked_m, failure, success
from cordillera.types import AgentKind, Gesture, LightState, SignalKind

N = 301  # 30 s
T = 0.1 * np.arange(N)
STILL = np.full(N, 20.0), np.zeros(N)
RED, GREEN = int(LightState.RED), int(LightState.GREEN)


def reason(rollout, road_map=ROAD):
    why = failure(rollout, road_map)
    assert success(rollout, road_map).value == (why == "")
    return why


def test_the_free_driver_accelerates_keeps_the_limit_and_stops_at_a_red_light():
    limit = ROAD.lanes[0].speed_limit_mps
    assert possible_m(drive(STILL[0][:41], STILL[1][:41]), ROAD) == pytest.approx(0.5 * 1.5 * 4.0**2, rel=0.02)
    spent = limit / 1.5
    assert possible_m(drive(STILL[0][:201], STILL[1][:201]), ROAD) == pytest.approx(
        0.5 * limit * spent + limit * (20.0 - spent), rel=0.02
    )
    to_line = 60.0 - 20.0 - NOSE_M
    red = drive(*STILL, signals=[RED] * N)
    assert to_line - 1.5 < possible_m(red, light_road()) < to_line + 0.1
    turns = drive(*STILL, signals=[RED] * 150 + [GREEN] * (N - 150))
    assert possible_m(turns, light_road()) == pytest.approx(
        to_line + 0.5 * limit * spent + limit * (15.0 - spent), abs=4.0
    )


def test_the_free_driver_follows_who_moves_and_passes_who_stands():
    slow = Other(40.0 + 3.0 * T, speed=3.0)
    assert possible_m(drive(*STILL, others=[slow]), ROAD) == pytest.approx(
        20.0 + 3.0 * 30.0 - 2.0 - NOSE_M - 3.0 - 3.0 * 1.4, abs=5.0
    )
    assert possible_m(drive(*STILL, others=[Other(40.0)]), ROAD) == pytest.approx(possible_m(drive(*STILL), ROAD))
    beside = Other(40.0 + 3.0 * T, 3.5, 3.0)
    assert possible_m(drive(*STILL, others=[beside]), ROAD) == pytest.approx(possible_m(drive(*STILL), ROAD))


def test_progress_share_has_a_floor_and_counts_nothing_of_nothing_as_all():
    red = drive(np.full(N, 60.0 - NOSE_M - 0.4), np.zeros(N), signals=[RED] * N)
    assert possible_m(red, light_road()) < 0.5
    assert progress_share(red, light_road(), floor_m=2.0) == 1.0
    assert progress_share(drive(*STILL), ROAD) == 0.0
    assert metrics.relative_progress(steady(), ROAD).value == pytest.approx(100.0 * 50.0 / possible_m(steady(), ROAD))


def test_a_plain_drive_passes_and_standing_still_fails():
    assert reason(steady()) == ""
    assert reason(drive(*STILL)) == "no progress"
    assert reason(drive(*STILL, others=[Other(40.0)])) == "no progress"  # a parked car is there to be passed


def test_waiting_where_one_has_to_is_no_failure():
    waits = np.full(N, 60.0 - NOSE_M - 1.0), np.zeros(N)
    assert reason(drive(*waits, signals=[RED] * N), light_road()) == ""
    assert reason(drive(*waits, signals=[RED] * 100 + [GREEN] * 201), light_road()) == "no progress"
    queue = [Other(s) for s in (56.0, 50.0, 44.0)]
    in_queue = np.full(N, 42.0 - NOSE_M - 1.5), np.zeros(N)
    assert reason(drive(*in_queue, others=queue, signals=[RED] * N), light_road()) == ""
    assert reason(drive(*in_queue, others=queue, signals=[GREEN] * N), light_road()) == "no progress"


def test_being_struck_from_behind_is_no_failure_but_striking_is():
    fast = Other(-5.0 + 22.0 * T[:51], speed=22.0)
    assert reason(steady(others=[fast], ended="collision")) == ""
    assert reason(steady(others=[Other(60.0)], ended="collision")) == "collision"


def test_rules_of_the_road():
    assert reason(steady(signals=[RED] * 51), light_road()) == "red light"
    assert reason(steady(signals=[0] * 51), signalled(SignalKind.STOP)) == "stop sign"
    assert reason(steady(lateral=np.full(51, 3.5))) == "wrong way"
    assert reason(steady(lateral=np.full(51, -9.0))) == "off-road"
    assert reason(dataclasses.replace(steady(), ended="error: out of memory")) == "error"
    assert reason(dataclasses.replace(steady(), ended="interrupted")) == "interrupted"


def test_going_around_what_stands_is_not_driving_against_traffic():
    """The lane is left for a parked van; metres against traffic are still counted."""
    around = 3.5 * np.clip(1.0 - np.abs(T[:51] - 2.5) / 1.5, 0.0, 0.6) / 0.6
    van = Other(45.0, kind=int(AgentKind.VAN))
    assert reason(steady(lateral=around, others=[van])) == ""
    assert reason(steady(lateral=around)) == "wrong way"
    assert metrics.wrong_way(steady(lateral=around, others=[van]), ROAD).value > 5.0


def gesturing(kind, gesture, turned=np.pi, **more):
    """A drive past somebody who shows a gesture, facing the ego, at 70 m beside the lane."""
    rollout = steady(others=[Other(70.0, 2.5, turned=turned, kind=int(kind), size=(0.5, 0.5, 1.8))], **more)
    states = [
        dataclasses.replace(s, agents=dataclasses.replace(s.agents, shows=np.array([int(gesture)])))
        for s in [*(step.state for step in rollout.steps), rollout.final]
    ]
    steps = tuple(dataclasses.replace(step, state=s) for step, s in zip(rollout.steps, states, strict=False))
    return dataclasses.replace(rollout, steps=steps, final=states[-1])


def test_people_who_direct_traffic_are_obeyed_and_overrule_lights():
    officer, flagger = AgentKind.POLICE_OFFICER, AgentKind.FLAGGER
    red = {"signals": [RED] * 51}
    green = {"signals": [GREEN] * 51}
    assert reason(gesturing(officer, Gesture.GO, **red), light_road()) == ""
    assert reason(gesturing(officer, Gesture.SLOW, **red), light_road()) == "red light"
    assert reason(gesturing(officer, Gesture.STOP, **green), light_road()) == "gesture ignored"
    assert reason(gesturing(flagger, Gesture.STOP, n=61)) == "gesture ignored"
    assert reason(gesturing(flagger, Gesture.STOP, n=41)) == ""  # not reached
    assert reason(gesturing(flagger, Gesture.SLOW, n=61)) == ""


@pytest.mark.parametrize(
    ("code", "oncoming", "behind"), [("US", True, True), ("DE", False, True), ("GB", False, False)]
)
def test_a_school_bus_stops_whom_the_region_says(code, oncoming, behind):
    for turned, stops in ((np.pi, oncoming), (0.0, behind)):
        rollout = gesturing(AgentKind.SCHOOL_BUS, Gesture.STOP, turned, n=61)
        rollout = dataclasses.replace(rollout, scenario=dataclasses.replace(rollout.scenario, region=code))
        assert reason(rollout) == ("gesture ignored" if stops else "")


def test_potholes_are_things_to_go_around_also_at_a_crawl():
    """They are no obstacles to a slow ego, but still a reason to leave the lane."""
    n = 301
    t = 0.1 * np.arange(n)
    around = 3.5 * np.clip(1.0 - np.abs(t - 10.0) / 6.0, 0.0, 0.5) / 0.5
    hole = Other(50.0, kind=int(AgentKind.POTHOLE), size=(1.0, 1.0, 0.1))
    assert reason(steady(n=n, v=3.0, lateral=around, others=[hole])) == ""
    assert reason(steady(n=n, v=3.0, lateral=around)) == "wrong way"


def test_what_a_family_asks():
    def family(rollout, tags=()):
        scenario = dataclasses.replace(rollout.scenario, family="cut-in", tags=tags)
        return dataclasses.replace(rollout, scenario=scenario)

    length = 300.0 - 20.0
    slow = steady(n=551, v=4.0)  # the free driver arrives within 25 s
    assert asked_m(family(slow), ROAD) == pytest.approx(length - 8.0, abs=1.0)
    assert reason(family(slow)) == "not arrived" and reason(slow) == ""
    assert reason(family(steady(n=551, v=0.5), ("everyday", "progress:25"))) == ""
    assert reason(family(steady(n=551, v=0.4), ("progress:25",))) == "no progress"
    assert reason(family(drive(*STILL), ("progress:0",))) == ""
    short = steady(n=101, v=4.0)  # too short a time to arrive
    assert asked_m(family(short), ROAD) == pytest.approx(0.85 * possible_m(short, ROAD))
    assert reason(dataclasses.replace(family(slow), ended="arrived")) == ""
    fast = Other(-5.0 + 22.0 * T[:51], speed=22.0)
    assert reason(family(steady(others=[fast], ended="collision"))) == "struck"


def test_in_a_family_half_the_way_and_then_none_is_no_pass():
    way = np.minimum(20.0 + 10.0 * T[:151], 130.0)
    halts = drive(way, np.where(way < 130.0, 10.0, 0.0), signals=[GREEN] * 151)
    scenario = dataclasses.replace(halts.scenario, family="lights_straight")
    assert 0.5 * possible_m(halts, light_road()) < 110.0 < 0.8 * possible_m(halts, light_road())
    assert reason(halts, light_road()) == ""
    assert reason(dataclasses.replace(halts, scenario=scenario), light_road()) == "no progress"


def test_braking_to_a_stand_at_a_stop_sign_costs_the_free_driver_two_seconds():
    sign = possible_m(drive(*STILL, signals=[0] * N), signalled(SignalKind.STOP))
    limit = ROAD.lanes[0].speed_limit_mps
    free = possible_m(drive(*STILL), ROAD)
    assert 2.0 * limit < free - sign < 2.0 * limit + 2.5 * limit**2 / 2.0
