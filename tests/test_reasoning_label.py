"""Labels: causes that stand the three tests, overdetermined decisions, and the expert on a real crossing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cordillera.kinematics import plan_of
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.presets.clip import careless
from cordillera.reasoning.intervene import Insert, Reroute, Shift, changed_state, states_of
from cordillera.reasoning.label import FIXED, IDLE, KEPT, LATE, UNSEEN, Drive, LabelConfig, effect_mps, label_at, labels
from cordillera.reasoning.match import does_longitudinal
from cordillera.reasoning.removal import removal
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import (
    AgentKind,
    Cause,
    Decision,
    Lateral,
    LightState,
    Longitudinal,
    Observation,
    ReasoningTrace,
    Rollout,
    SignalKind,
    Trajectory,
)
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World, empty_agents

CAR = Insert(900, AgentKind.CAR, (0.0, 0.0, 0.0), 0.0, (4.5, 1.8, 1.5))


def straight(speed_mps: float) -> Trajectory:
    x = speed_mps * 0.1 * np.arange(1, 65)
    return plan_of(np.column_stack([x, np.zeros(64)]), np.zeros(64), 0)


@pytest.fixture(scope="module")
def drive() -> tuple[Rollout, Drive]:
    """A drive without others towards lights, with a car standing somewhere, seen only through its row."""
    scenario = make_scenario("built:four_way,control=signals", seed=4, duration_s=4.0)
    world = World(scenario)
    alone = replace(scenario, initial=replace(scenario.initial, agents=empty_agents()))
    rollout = roll_out(alone, World(alone), Observer(), SafeDriver(RuleExpert(), clock=lambda: 0.0))
    plain = Drive.of(rollout, world, Observer())
    return rollout, replace(plain, states=tuple(changed_state(s, (CAR,), world.map) for s in plain.states))


class Simple:
    """Stands for a red light (number `light`) and for agent 900, in this order of preference; else goes at 10 m/s."""

    def __init__(self, light: int, causes: tuple[str, ...], evidence_us: int = 0, fixed: bool = False) -> None:
        self.light, self.causes, self.evidence_us, self.fixed = light, causes, evidence_us, fixed

    def __call__(self, observation: Observation) -> Decision:
        truth = observation.truth
        assert truth is not None
        agents, names = truth.state.agents, []
        there = bool(agents.valid[agents.id == 900].any())
        if "car" in self.causes and there:
            names.append(Cause("lead vehicle", "agent:900", "stopped ahead", self.evidence_us, 8.0))
        if "light" in self.causes and truth.state.signals[self.light] == LightState.RED:
            relation = "red at the stop line ahead"
            names.append(Cause("traffic light", f"signal:{self.light}", relation, self.evidence_us, 14.0))
        named = names[:1]
        if "idle" in self.causes and there:
            named = [Cause("car", "agent:900", "ahead in the ego lane", self.evidence_us, 30.0)]
        if self.fixed:
            named = [Cause("curve", "lane:0", "bends to the left", self.evidence_us, 3.0)]
        what = Longitudinal.STOP if names else Longitudinal.SET_SPEED
        trace = ReasoningTrace(what, Lateral.LANE_KEEPING, tuple(named), "", "simple")
        return Decision(straight(0.0 if names else 10.0), (), trace, "simple", 0.0)


def seen(_state, _target: str) -> float:
    return 100.0


@pytest.fixture(scope="module")
def red(drive) -> int:
    _, ready = drive
    signals, state = ready.world.map.signals, ready.states[20]
    return next(
        i for i, s in enumerate(signals) if s.kind is SignalKind.TRAFFIC_LIGHT and state.signals[i] == LightState.RED
    )


def test_effect_is_the_mean_difference_of_speed_plus_half_the_offset():
    assert effect_mps(straight(10.0), straight(7.0)) == pytest.approx(3.0)
    aside = replace(straight(10.0), xyz=straight(10.0).xyz + np.outer(np.linspace(0.0, 1.0, 64), [0.0, 2.0, 0.0]))
    assert effect_mps(straight(10.0), aside) == pytest.approx(1.0, abs=0.05)
    assert effect_mps(aside, aside) == 0.0


def test_a_cause_alone_is_necessary_and_kept(drive, red):
    label = label_at(drive[1], 20, Simple(red, ("light",)), seen)
    assert [t.verdict for t in label.tested] == [KEPT]
    assert label.tested[0].effect_mps == pytest.approx(10.0)
    assert label.trace.causes[0].target == f"signal:{red}" and "red" in label.trace.text


def test_what_changes_nothing_when_removed_is_rejected(drive, red):
    label = label_at(drive[1], 20, Simple(red, ("idle",)), seen)
    assert [t.verdict for t in label.tested] == [IDLE] and label.trace.causes == ()


def test_what_was_not_seen_is_rejected_and_evidence_is_dated_when_it_first_was(drive, red):
    label = label_at(drive[1], 20, Simple(red, ("light",)), lambda state, target: 1.0)
    assert [t.verdict for t in label.tested] == [UNSEEN] and label.tested[0].pixels == 1.0
    label = label_at(drive[1], 20, Simple(red, ("light",)), lambda state, target: 50.0 * (state.t_us >= 1_500_000))
    assert label.trace.causes[0].evidence_t_us == 1_500_000


def test_evidence_from_the_future_is_rejected(drive, red):
    label = label_at(drive[1], 20, Simple(red, ("light",), evidence_us=2_100_000), seen)
    assert [t.verdict for t in label.tested] == [LATE]


def test_the_shape_of_the_road_cannot_be_removed_and_says_so(drive, red):
    label = label_at(drive[1], 20, Simple(red, (), fixed=True), seen)
    assert [t.verdict for t in label.tested] == [FIXED]


def test_two_causes_of_which_each_suffices_are_both_kept_the_nearer_first(drive, red):
    """A red light behind a standing car: without either the ego still stands, without both it goes."""
    label = label_at(drive[1], 20, Simple(red, ("car", "light")), seen)
    assert [(t.cause.kind, t.verdict) for t in label.tested] == [("lead vehicle", KEPT), ("traffic light", KEPT)]
    assert [c.jointly for c in label.trace.causes] == [False, True]
    assert "also" in label.trace.text
    hidden = label_at(drive[1], 20, Simple(red, ("car", "light")), lambda state, target: 100.0 * target.startswith("a"))
    assert [c.kind for c in hidden.trace.causes] == ["lead vehicle"], "a light that nobody could see is no cause"


def test_no_reasoning_is_an_error(drive, red):
    def mute(observation: Observation) -> Decision:
        return replace(Simple(red, ("light",))(observation), reasoning=None)

    with pytest.raises(ValueError, match="gives no reasoning"):
        label_at(drive[1], 20, mute, seen)


def test_nothing_after_the_moment_is_looked_at(drive, red):
    _, ready = drive
    later = tuple(
        s if n <= 20 else changed_state(s, (Shift("agent:900", 50.0),), ready.world.map)
        for n, s in enumerate(ready.states)
    )
    a = label_at(ready, 20, Simple(red, ("car", "light")), seen)
    b = label_at(replace(ready, states=later), 20, Simple(red, ("car", "light")), seen)
    assert a.trace.text == b.trace.text
    assert [(t.verdict, t.effect_mps) for t in a.tested] == [(t.verdict, t.effect_mps) for t in b.tested]


def test_the_expert_at_lights_at_2_hz_and_at_keyframes():
    scenario = make_scenario("built:four_way,control=signals", seed=4, duration_s=12.0)
    world, expert = World(scenario), RuleExpert()
    rollout = roll_out(scenario, world, Observer(), SafeDriver(expert, clock=lambda: 0.0))
    found = list(labels(rollout, Drive.of(rollout, world, Observer()), expert.decide, seen))
    times = [label.t_us for label in found]
    assert times == sorted(times) and set(range(0, states_of(rollout)[-1].t_us, 500_000)) <= set(times)
    stops = [t for label in found for t in label.tested if t.cause.kind == "traffic light"]
    assert stops and {t.verdict for t in stops} == {KEPT}
    assert all(t.effect_mps > 0.3 for t in stops)
    assert all(label.trace.text for label in found)


class Tied(Simple):
    """As Simple, but with both there each hides the other: it stands, and says that the limit sets its speed."""

    def __call__(self, observation: Observation) -> Decision:
        decision = super().__call__(observation)
        truth, trace = observation.truth, decision.reasoning
        assert truth is not None and trace is not None
        if truth.state.agents.valid[truth.state.agents.id == 900].any() and truth.state.signals[self.light] == 1:
            limit = Cause("speed limit", "lane:0", "sets the speed", 0, 0.0)
            return replace(decision, reasoning=replace(trace, longitudinal=Longitudinal.SET_SPEED, causes=(limit,)))
        return decision


def test_causes_that_hide_each_other_are_found_by_taking_all_away(drive, red):
    assert LightState.RED == 1
    label = label_at(drive[1], 20, Tied(red, ("car", "light")), seen)
    assert {c.kind for c in label.trace.causes} == {"lead vehicle", "traffic light"}
    assert label.trace.longitudinal is Longitudinal.STOP
    assert [t.verdict for t in label.tested] == [KEPT, KEPT, IDLE]


def test_a_decision_that_the_plan_does_not_do_is_told_as_what_it_does(drive, red):
    class Hasty(Simple):
        def __call__(self, observation: Observation) -> Decision:
            decision = super().__call__(observation)
            gone = not observation.truth.state.agents.valid[observation.truth.state.agents.id == 900].any()
            return replace(decision, trajectory=straight(10.0 if gone else 8.0))

    label = label_at(drive[1], 20, Hasty(red, ("car",)), seen)
    assert label.trace.longitudinal is Longitudinal.SPEED_ADAPTATION and len(label.trace.causes) == 1
    assert does_longitudinal(label.trace.longitudinal, label.decision.trajectory)


def test_limits_signs_bends_and_the_end_of_the_route_are_tested_on_the_expert():
    """On a plain road the limit holds the speed, then the end of the route; in a bend the bend does."""
    expert = RuleExpert().decide

    def verdicts(road: str, seed: int) -> dict[str, set[str]]:
        scenario = make_scenario(road, seed=seed, duration_s=14.0)
        alone = replace(scenario, initial=replace(scenario.initial, agents=empty_agents()))
        world = World(alone)
        rollout = roll_out(alone, world, Observer(), SafeDriver(RuleExpert(), clock=lambda: 0.0))
        found: dict[str, set[str]] = {}
        for label in labels(rollout, Drive.of(rollout, world, Observer()), expert, seen, careless=careless):
            for t in label.tested:
                found.setdefault(t.cause.kind, set()).add(t.verdict)
        return found

    assert verdicts("built:straight,length=230", 3)["destination"] == {KEPT}
    assert KEPT in verdicts("built:straight,length=600", 3)["speed limit"]
    bent = verdicts("built:curve", 2)
    assert KEPT in bent["curve"] and FIXED not in bent["curve"]


def test_a_route_is_a_cause_where_the_road_forks(drive):
    """Asked again on a route that leads another way, the expert turns no more; the other route begins as this one."""
    scenario = make_scenario("built:four_way,control=none", seed=0, duration_s=4.0)
    world = World(scenario)
    lanes = scenario.route.lanes
    turn = next(n for n in lanes[1:] if world.map.lanes[n].turn != "straight")
    cause = Cause("route", f"lane:{turn}", "leads to the left", 0, 10.0, "lateral")
    change = removal(cause, world, 0.0)
    assert isinstance(change, Reroute) and change.lanes[0] == lanes[0] and turn not in change.lanes
    assert removal(cause, world, world.guide.length_m) is None, "a turn that lies behind cannot be undone"
    ready = Drive.of(roll_out(scenario, world, Observer(), SafeDriver(RuleExpert())), world, Observer())
    straight_on = ready.ask(RuleExpert().decide, 0, (change,))
    assert straight_on.reasoning is not None and straight_on.reasoning.lateral is not Lateral.TURN


def test_more_causes_than_a_sentence_holds_are_told_up_to_its_room(drive, red):
    """Six cars, each of which would stop it alone: all are tested, the nearest four are told."""
    _, ready = drive
    crowd = tuple(replace(CAR, identity=901 + n, xyz=(float(n), 5.0, 0.0)) for n in range(5))
    states = tuple(changed_state(s, crowd, ready.world.map) for s in ready.states)

    def crowded(observation: Observation) -> Decision:
        truth = observation.truth
        assert truth is not None
        agents = truth.state.agents
        left = [int(i) for i in agents.id[agents.valid & (agents.id >= 900)]]
        causes = tuple(Cause("car", f"agent:{i}", "stopped ahead", 0, float(i - 890)) for i in left[:1])
        what = Longitudinal.STOP if left else Longitudinal.SET_SPEED
        return Decision(
            straight(0.0 if left else 10.0), (), ReasoningTrace(what, None, causes, "", "crowd"), "crowd", 0.0
        )

    label = label_at(replace(ready, states=states), 20, crowded, seen, config=LabelConfig(deep=9))
    assert [t.verdict for t in label.tested] == [KEPT] * 6
    assert [c.target for c in label.trace.causes] == [f"agent:{n}" for n in range(900, 904)]
