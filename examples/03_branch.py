"""A world can be branched: drive on from a moment, once as it was and once without the car that the driver named."""

from dataclasses import replace

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Longitudinal, Rollout, Scenario, Step
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


def drive(scenario: Scenario) -> Rollout:
    return roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert()))


def said(step: Step) -> str:
    trace = step.output.decision.reasoning
    return trace.text if trace else ""


def named(step: Step) -> str:
    """The first cause of a step that follows somebody, or nothing."""
    trace = step.output.decision.reasoning
    return trace.causes[0].target if trace and trace.longitudinal is Longitudinal.FOLLOW_LEAD else ""


drives = (drive(make_scenario("karlsruhe", seed=seed, duration_s=20.0)) for seed in range(20))
whole, moment = next((d, step) for d in drives for step in d.steps if named(step).startswith("agent:"))
cause = int(named(moment).removeprefix("agent:"))
print(f"{moment.state.t_us * 1e-6:.1f} s: {said(moment)}")

branch = replace(whole.scenario, initial=moment.state, duration_s=4.0)
agents = moment.state.agents
without = replace(moment.state, agents=replace(agents, valid=agents.valid & (agents.id != cause)))
for name, scenario in (("as it was", branch), ("without it", replace(branch, initial=without))):
    end = drive(scenario)
    print(f"{name:12} {end.final.ego.speed_mps:5.2f} m/s after 4 s; at first: {said(end.steps[0])}")
