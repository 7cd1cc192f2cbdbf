"""Drive the expert for ten seconds through Karlsruhe, and print what it said and how it went."""

from cordillera.evaluate.metrics import all_metrics
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

scenario = make_scenario("karlsruhe", seed=0, duration_s=10.0)
world = World(scenario)
rollout = roll_out(scenario, world, Observer(), SafeDriver(RuleExpert()))

said = None
for step in rollout.steps:
    trace = step.output.decision.reasoning
    if trace and trace.text != said:
        said = trace.text
        print(f"{step.state.t_us * 1e-6:5.1f} s  {said}")
for metric in all_metrics(rollout, world.map):
    print(f"{metric.name:24} {metric.value:8.2f} {metric.unit}" if metric.valid else f"{metric.name:24}      n/a")
