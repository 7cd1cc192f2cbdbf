"""Counterfactual decisions: the other things that could have been done, and what would have come of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_reasoning_label import straight

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.reasoning.counterfactual import COLLISION, OFF_ROAD, SAFE, counterfactuals, outcome
from cordillera.reasoning.intervene import Insert, changed_state
from cordillera.reasoning.label import Drive
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import AgentKind, Lateral, Longitudinal
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World, empty_agents


@pytest.fixture(scope="module")
def drive() -> Drive:
    """A drive of 2 s along a straight road with two lanes a direction, without others."""
    scenario = make_scenario("built:straight,lanes=2", seed=1, duration_s=2.0)
    scenario = replace(scenario, initial=replace(scenario.initial, agents=empty_agents()))
    world = World(scenario)
    rollout = roll_out(scenario, world, Observer(), SafeDriver(RuleExpert(), clock=lambda: 0.0))
    return Drive.of(rollout, world, Observer())


def with_car(drive: Drive, ahead_m: float) -> Drive:
    """The same drive behind a standing car."""
    ego = drive.states[-1].ego
    c, s = 1.0 - 2.0 * ego.quat_xyzw[2] ** 2, 2.0 * ego.quat_xyzw[2] * ego.quat_xyzw[3]
    x, y = ego.xyz[0] + ahead_m * c, ego.xyz[1] + ahead_m * s
    car = Insert(900, AgentKind.CAR, (float(x), float(y), 0.0), float(np.arctan2(s, c)), (4.5, 1.8, 1.5))
    return replace(drive, states=tuple(changed_state(state, (car,), drive.world.map) for state in drive.states))


def test_outcomes_of_known_paths(drive: Drive):
    k = len(drive.states) - 1
    assert outcome(drive, k, straight(6.0)) == (SAFE, pytest.approx(6.4))
    how, when = outcome(with_car(drive, 30.0), k, straight(8.0))
    nose, rear = 1.43 + 0.5 * 4.87, 30.0 - 2.25
    assert how == COLLISION and when == pytest.approx((rear - nose) / 8.0, abs=0.11)
    away = replace(straight(6.0), xyz=straight(6.0).xyz + np.outer(np.linspace(0.0, 1.0, 64), [0.0, -40.0, 0.0]))
    assert outcome(drive, k, away)[0] == OFF_ROAD


def test_behind_a_standing_car_going_on_collides_and_stopping_does_not(drive: Drive):
    k, expert = len(drive.states) - 1, RuleExpert()
    ready = with_car(drive, 40.0)
    decision = ready.ask(expert.decide, k)
    assert decision.reasoning is not None and outcome(ready, k, decision.trajectory)[0] == SAFE
    others = counterfactuals(ready, k, expert.decide, decision)
    going = [c for c in others if c.longitudinal is Longitudinal.SET_SPEED]
    assert going and {c.outcome for c in going} == {COLLISION} and all(1.0 < c.ended_s < 6.4 for c in going)
    keys = [(c.longitudinal, c.lateral, c.side) for c in others]
    taken = decision.reasoning
    assert len(set(keys)) == len(keys) and (taken.longitudinal, taken.lateral, taken.side) not in keys


def test_on_a_free_road_one_can_stop_nudge_and_change_lanes_where_there_is_one(drive: Drive):
    k, expert = len(drive.states) - 1, RuleExpert()
    others = counterfactuals(drive, k, expert.decide, drive.ask(expert.decide, k))
    stop = next(c for c in others if c.longitudinal is Longitudinal.STOP)
    assert does_longitudinal(Longitudinal.STOP, stop.trajectory) and stop.outcome == SAFE
    ego = drive.states[k].ego
    place = drive.world.roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]))
    assert place is not None
    lane = drive.world.map.lanes[place.lane]
    changes = [c for c in others if c.lateral is Lateral.LANE_CHANGE]
    allowed = [s for s, n, ok in (("left", lane.left, lane.change_left), ("right", lane.right, lane.change_right))
               if n >= 0 and ok]  # fmt: skip
    assert sorted(c.side for c in changes) == sorted(allowed) and allowed
    assert all(does_lateral(c.lateral, c.side, c.trajectory) and c.outcome == SAFE for c in changes)
    assert {c.side for c in others if c.lateral is Lateral.IN_LANE_NUDGE} == {"left", "right"}
