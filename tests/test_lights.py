"""Traffic lights: groups, turns, intervals, and that conflicting lights are never green together."""

import numpy as np
import pytest

from cordillera.geometry import arc_length
from cordillera.types import Conflict, Lane, LaneKind, LightState, RoadMap, Signal, SignalKind
from cordillera.world.lights import LightTimes, compile_lights, light_groups, light_state
from cordillera.world.maps import load_map

SECOND = 1_000_000


def straight(number, x0, y0, x1, y1, junction=""):
    center = np.array([[x0, y0, 0.0], [x1, y1, 0.0]], dtype=float)
    side = np.array([-(y1 - y0), x1 - x0, 0.0]) / np.hypot(x1 - x0, y1 - y0) * 1.75
    return Lane(str(number), LaneKind.DRIVING, center, center + side, center - side, 13.9, junction=junction)


def light(number, lane, group=""):
    return Signal(str(number), SignalKind.TRAFFIC_LIGHT, np.zeros(3), 0.0, (lane,), group=group)


def crossroads(groups=("", "", "")):
    """Lanes 0 and 1 cross, lane 2 runs beside lane 0 and crosses lane 1 too; one light each."""
    lanes = (
        straight(0, -10, 0, 10, 0, "J"),
        straight(1, 0, -10, 0, 10, "J"),
        straight(2, 10, 4, -10, 4, "J"),
    )
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1)]
    conflicts = tuple(Conflict(a, b, "cross", (8.0, 12.0), (8.0, 12.0), False) for a, b in pairs)
    signals = tuple(light(i, i, group) for i, group in enumerate(groups))
    return RoadMap("crossroads", "right", "US", lanes, signals=signals, conflicts=conflicts)


def test_conflicting_lights_take_turns_and_others_share_one():
    plan = compile_lights(crossroads(), seed=3)
    assert plan.junction[0] == plan.junction[1] == plan.junction[2]
    assert plan.phase[0] == plan.phase[2] != plan.phase[1]
    assert len(set(plan.period_us)) == 1
    shown = np.array([plan.states(t) for t in range(0, int(plan.period_us[0]), SECOND // 2)])
    red = shown == LightState.RED
    assert np.all(red[:, 0] | red[:, 1])
    both_red = red[:, 0] & red[:, 1]
    assert both_red.any() and not both_red.all()
    for i in range(3):
        assert set(shown[:, i]) == {LightState.RED, LightState.AMBER, LightState.GREEN}


@pytest.mark.parametrize(("region", "seconds"), [("US", 0), ("DE", 1), ("GB", 2), ("JP", 0)])
def test_red_amber_is_shown_before_green_where_the_region_has_it(region, seconds):
    plan = compile_lights(crossroads(), seed=0, region=region)
    period, green_at = int(plan.period_us[0]), int(plan.start_us[0])
    states = [int(plan.states(green_at - 1 - k * SECOND // 10)[0]) for k in range(40)]
    assert states.count(LightState.RED_AMBER) == 10 * seconds
    assert states[: seconds * 10] == [LightState.RED_AMBER] * (10 * seconds)
    assert plan.states(green_at + period)[0] == LightState.GREEN


def test_amber_follows_green_for_as_long_as_the_speed_asks():
    assert [LightTimes.amber_s(kmh / 3.6) for kmh in (30, 50, 60, 70)] == [3.0, 3.0, 4.0, 5.0]
    times = [light_state(20, 5, 8, 3, 1, t) for t in range(5, 25)]
    expected = [4] * 8 + [3] * 3 + [1] * 8 + [2]
    assert times == expected
    assert light_state(0, 0, 0, 0, 0, 12345) == LightState.OFF


def test_a_group_of_the_file_changes_as_one():
    assert light_groups(crossroads(("a", "", "a"))) == ((0, 2), (1,))
    assert light_groups(crossroads(("a", "a", ""))) == ((0, 1), (2,))


def test_lights_without_groups_are_grouped_by_the_direction_of_approach():
    # lanes 0 and 2 enter in opposite directions, so each approach is a group of its own
    assert light_groups(crossroads()) == ((0,), (1,), (2,))
    again = crossroads()
    repeated = RoadMap(
        again.name, "right", "US", again.lanes, signals=(*again.signals, light(3, 1)), conflicts=again.conflicts
    )
    assert light_groups(repeated) == ((0,), (1, 3), (2,))


def test_the_seed_decides_and_nothing_else():
    a, b, c = (compile_lights(crossroads(), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))
    assert not np.array_equal(a.start_us, c.start_us) or not np.array_equal(a.green_us, c.green_us)


@pytest.mark.parametrize("name", ["karlsruhe", "ss2", "virtual_right", "town02", "built:four_way,control=signals"])
def test_no_two_conflicting_lanes_of_a_map_have_green_or_amber_together(name):
    road_map = load_map(name)
    plan = compile_lights(road_map, seed=5)
    lights = [i for i, s in enumerate(road_map.signals) if s.kind is SignalKind.TRAFFIC_LIGHT and s.lanes]
    assert lights
    regulated = {i: _movements(road_map, i) for i in lights}
    odds = {(c.lane, c.other) for c in road_map.conflicts if c.kind != "diverge"}
    groups = {i: g for g, members in enumerate(light_groups(road_map)) for i in members}
    pairs = [
        (i, j)
        for i in lights
        for j in lights
        if i < j and groups[i] != groups[j] and any((a, b) in odds for a in regulated[i] for b in regulated[j])
    ]
    for t in range(0, 200 * SECOND, SECOND):
        state = plan.states(t)
        moving = (state == LightState.GREEN) | (state == LightState.AMBER)
        assert not any(moving[i] and moving[j] for i, j in pairs), t


def _movements(road_map, signal):
    """The lanes of a light and those that begin within 30 m behind them, up to the next light."""
    lit = {i for s in road_map.signals if s.kind is SignalKind.TRAFFIC_LIGHT for i in s.lanes}
    lanes, front = set(), [(lane, 0.0) for lane in road_map.signals[signal].lanes]
    while front:
        lane, gone = front.pop()
        lanes.add(lane)
        after = [i for i in road_map.lanes[lane].successors if i not in lanes and i not in lit]
        ends = [(i, gone + arc_length(road_map.lanes[i].center_xyz)[-1]) for i in after]
        front += [(i, end) for i, end in ends if gone < 30.0]
    return lanes


def test_pedestrians_never_have_green_while_vehicles_may_cross():
    road_map = load_map("ss2")
    plan = compile_lights(road_map, seed=1)
    walkers = [i for i, s in enumerate(road_map.signals) if s.kind is SignalKind.PEDESTRIAN_LIGHT]
    assert walkers
    seen = set()
    for t in range(0, 240 * SECOND, SECOND):
        state = plan.states(t)
        for i in walkers:
            lanes = set(road_map.signals[i].lanes)
            for j, signal in enumerate(road_map.signals):
                if signal.kind is SignalKind.TRAFFIC_LIGHT and lanes & _movements(road_map, j):
                    assert not (state[i] == LightState.GREEN and state[j] in (LightState.GREEN, LightState.AMBER))
            seen.add(int(state[i]))
    assert seen == {LightState.RED, LightState.GREEN}
