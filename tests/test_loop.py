"""The loop: what it records, how it ends, and that a drive cut short is a drive."""

import numpy as np
import pytest

from cordillera.loop import roll_out
from cordillera.policy.baselines import ConstantVelocity, RouteFollower
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import same
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


def drive(policy, name="built:t_junction", seed=0, duration_s=5.0, on_step=None, world=None):
    scenario = make_scenario(name, seed, duration_s)
    return roll_out(scenario, world or World(scenario), Observer(), SafeDriver(policy), on_step)


def test_a_drive_records_every_step_until_its_duration():
    seen = []
    rollout = drive(RuleExpert(), on_step=lambda step, observation: seen.append((step, observation)))
    assert rollout.ended == "duration" and len(rollout.steps) == 50 == len(seen)
    assert [step.state.t_us for step in rollout.steps] == [k * 100_000 for k in range(50)]
    assert rollout.final.t_us == 5_000_000
    assert all(a is b for a, (b, _) in zip(rollout.steps, seen, strict=True))
    for step, observation in seen:
        assert observation.t_us == step.state.t_us
        assert step.output.decision.trajectory.t_us[0] == step.state.t_us + 100_000
        assert observation.truth is not None and observation.truth.state is step.state


def test_the_recorded_controls_reproduce_the_drive():
    rollout = drive(RuleExpert(), seed=3)
    world = World(rollout.scenario)
    state = world.reset()
    for step in rollout.steps:
        assert same(state, step.state)
        state = world.step(state, step.output.controls)
    assert same(state, rollout.final)


def test_two_drives_of_a_scenario_are_the_same():
    a, b = drive(RuleExpert(), seed=1), drive(RuleExpert(), seed=1)
    assert same(a.final, b.final)
    assert same(a.steps[30].output.decision.trajectory, b.steps[30].output.decision.trajectory)
    assert same(a.steps[30].output.decision.reasoning, b.steps[30].output.decision.reasoning)


def test_ctrl_c_keeps_what_was_driven():
    def stop(step, observation):
        if step.state.t_us == 2_000_000:
            raise KeyboardInterrupt

    rollout = drive(RuleExpert(), on_step=stop)
    assert rollout.ended == "interrupted"
    assert rollout.steps[-1].state.t_us == 2_000_000 and rollout.final.t_us == 2_100_000
    whole = drive(RuleExpert())
    assert same(whole.steps[21].state, rollout.final)


class Interrupting:
    """A policy that is interrupted while it thinks."""

    name = "interrupting"

    def __init__(self, at):
        self.at, self.calls = at, 0

    def decide(self, observation):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return ConstantVelocity().decide(observation)


def test_ctrl_c_while_thinking_drops_the_unfinished_step():
    rollout = drive(Interrupting(4))
    assert rollout.ended == "interrupted" and len(rollout.steps) == 3
    assert rollout.final.t_us == 300_000
    with pytest.raises(KeyboardInterrupt):
        drive(Interrupting(1))


def test_an_error_of_the_world_is_not_swallowed():
    scenario = make_scenario("built:t_junction", 0, 5.0)

    class Broken(World):
        def step(self, state, controls):
            raise RuntimeError("the road is gone")

    with pytest.raises(RuntimeError, match="the road is gone"):
        drive(RuleExpert(), world=Broken(scenario))


def test_a_policy_that_fails_is_survived():
    class Failing:
        name = "failing"

        def decide(self, observation):
            raise RuntimeError("no idea")

    rollout = drive(Failing())
    assert {step.output.verdict.action for step in rollout.steps} == {"fallback"}
    assert rollout.final.ego.speed_mps < 0.1


def test_driving_straight_on_leaves_the_road_and_ends_the_drive():
    rollout = drive(ConstantVelocity(), "built:curve,radius=30,length=40", duration_s=30.0)
    assert rollout.ended == "off-road"
    assert len(rollout.steps) < 200


def test_the_end_of_the_route_ends_the_drive():
    for policy in (RuleExpert(), RouteFollower()):
        rollout = drive(policy, "built:curve,radius=60,length=40", duration_s=60.0)
        assert rollout.ended == "arrived", policy.name
        gap = np.hypot(*(rollout.final.ego.xyz[:2] - rollout.scenario.route.xyz[-1, :2]))
        assert gap < 9.0
