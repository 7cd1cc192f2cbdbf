"""Interventions: the untouched arm is the original to the byte; what is changed is changed, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.reasoning.intervene import (
    Insert,
    Limit,
    Remove,
    Shift,
    Show,
    branch,
    changed_map,
    changed_state,
    observation_at,
    progress_along,
    states_of,
)
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import AgentKind, LightState, Rollout, SignalKind, same
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

DRIVER = SafeDriver(RuleExpert(), clock=lambda: 0.0)


@pytest.fixture(scope="module")
def drive() -> tuple[World, Rollout]:
    scenario = make_scenario("built:four_way,control=signals", seed=4, duration_s=9.0)
    world = World(scenario)
    return world, quiet(roll_out(scenario, world, Observer(), DRIVER))


def quiet(rollout: Rollout) -> Rollout:
    """A rollout without the planner's own clock, which measures and so varies."""
    steps = []
    for step in rollout.steps:
        decision = replace(step.output.decision, latency_ms=0.0)
        steps.append(replace(step, output=replace(step.output, decision=decision)))
    return replace(rollout, steps=tuple(steps))


@pytest.mark.parametrize("k", [0, 7, 40])
def test_the_untouched_arm_reproduces_the_original_byte_for_byte(drive, k: int):
    _, rollout = drive
    scenario, world, observer = branch(rollout, k, Observer())
    again = quiet(roll_out(scenario, world, observer, DRIVER))
    assert same(again.steps, rollout.steps[k:]) and same(again.final, rollout.final)
    assert again.ended == rollout.ended


@pytest.mark.parametrize("k", [0, 3, 19, 21, 60])
def test_the_observation_of_then_is_what_the_driver_saw(drive, k: int):
    world, rollout = drive
    states, seen = states_of(rollout), []
    roll_out(rollout.scenario, world, Observer(), DRIVER, lambda step, observation: seen.append(observation))
    progress = progress_along(world.guide, states)
    assert same(observation_at(states, k, world, Observer(), float(progress[k])), seen[k])


def test_removing_one_agent_leaves_all_others_as_they_are_at_that_time(drive):
    world, rollout = drive
    state = states_of(rollout)[20]
    row = int(np.flatnonzero(state.agents.valid)[0])
    gone = changed_state(state, (Remove(f"agent:{state.agents.id[row]}"),), world.map)
    assert not gone.agents.valid[row] and state.agents.valid[row], "the original stays as it was"
    others = np.arange(len(state.agents.id)) != row
    for name in ("id", "xyz", "speed_mps", "valid", "kind", "lane", "s_m"):
        assert np.array_equal(getattr(gone.agents, name)[others], getattr(state.agents, name)[others])


def test_one_who_is_removed_stays_away_and_those_out_of_his_reach_drive_the_same(drive):
    _, rollout = drive
    first = rollout.steps[0].state
    valid = np.flatnonzero(first.agents.valid)
    far = valid[np.argmax(np.hypot(*(first.agents.xyz[valid, :2] - first.ego.xyz[:2]).T))]
    scenario, world, observer = branch(rollout, 0, Observer(), (Remove(f"agent:{first.agents.id[far]}"),))
    other = roll_out(scenario, world, observer, DRIVER)
    for a in states_of(other):
        assert not a.agents.valid[far]
    a, b = states_of(other)[15].agents, states_of(rollout)[15].agents
    apart = np.hypot(*(b.xyz[:, :2] - first.agents.xyz[far, :2]).T) > 100.0
    assert (apart & b.valid).any()
    assert np.array_equal(a.xyz[apart & b.valid], b.xyz[apart & b.valid])


def test_lights_of_a_group_are_shown_together_and_stay_so(drive):
    world, rollout = drive
    lights = [i for i, s in enumerate(world.map.signals) if s.kind is SignalKind.TRAFFIC_LIGHT]
    red = next(i for i in lights if rollout.steps[0].state.signals[i] == LightState.RED)
    for change, shown in (
        (Remove(f"signal:{red}"), LightState.GREEN),
        (Show(f"signal:{red}", LightState.AMBER), LightState.AMBER),
    ):
        scenario, changed, observer = branch(rollout, 0, Observer(), (change,))
        states = states_of(roll_out(scenario, changed, observer, DRIVER))
        assert {int(s.signals[red]) for s in states} == {shown}
        differ = [i for i in lights if states[30].signals[i] != states_of(rollout)[30].signals[i]]
        assert red in differ and len(differ) < len(lights), "its group, and no other"


def test_a_removed_stop_sign_rules_no_more():
    scenario = make_scenario("built:four_way,control=stop", seed=1, duration_s=2.0)
    world = World(scenario)
    at = next(i for i, s in enumerate(world.map.signals) if s.kind is SignalKind.STOP)
    without = changed_map(world.map, (Remove(f"signal:{at}"),))
    assert without.signals[at].kind is SignalKind.OTHER and without.signals[at].lanes == ()
    assert len(without.signals) == len(world.map.signals), "indices stay"
    assert changed_map(world.map, (Remove("agent:1"),)) is world.map
    assert changed_map(world.map, (Limit((0, 2), 5.0),)).lanes[2].speed_limit_mps == 5.0
    rollout = roll_out(scenario, world, Observer(), DRIVER)
    _, changed, _ = branch(rollout, 0, Observer(), (Remove(f"signal:{at}"),))
    assert changed.map is without


def test_insert_and_shift(drive):
    world, rollout = drive
    state = states_of(rollout)[10]
    new = Insert(900, AgentKind.DEBRIS, (1.0, 2.0, 0.0), 0.5, (0.5, 0.4, 0.3))
    more = changed_state(state, (new,), world.map).agents
    assert len(more.id) == len(state.agents.id) + 1 and more.id[-1] == 900 and more.valid[-1]
    assert np.array_equal(more.xyz[:-1], state.agents.xyz)
    scenario, changed, observer = branch(rollout, 10, Observer(), (new,))
    after = roll_out(scenario, changed, observer, DRIVER)
    assert np.array_equal(after.final.agents.xyz[-1], [1.0, 2.0, 0.0]) and after.final.agents.valid[-1]
    row = int(np.flatnonzero(state.agents.valid & (state.agents.lane >= 0))[0])
    target = f"agent:{state.agents.id[row]}"
    moved = changed_state(state, (Shift(target, forward_m=-2.0, faster_mps=-1000.0),), world.map).agents
    assert np.hypot(*(moved.xyz[row, :2] - state.agents.xyz[row, :2])) == pytest.approx(2.0, abs=0.05)
    assert moved.speed_mps[row] == 0.0 and moved.s_m[row] == pytest.approx(state.agents.s_m[row] - 2.0)


@pytest.mark.parametrize("change", [Remove("agent:99999"), Remove("signal:9999"), Shift("lane:3"), Remove("x")])
def test_unknown_targets_are_named(drive, change):
    world, rollout = drive
    with pytest.raises(ValueError, match="there is no"):
        changed_state(rollout.final, (change,), world.map)
