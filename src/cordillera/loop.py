"""The one closed loop: scenario, world, observer and driver in, rollout out."""

from __future__ import annotations

from collections.abc import Callable

from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Observation, Rollout, Scenario, Step
from cordillera.world.world import World

OnStep = Callable[[Step, Observation], None]


def roll_out(
    scenario: Scenario, world: World, observer: Observer, driver: SafeDriver, on_step: OnStep | None = None
) -> Rollout:
    """Observe, drive, step and record until the drive is over.

    It is over on a collision, off the road, on arrival or after the scenario's duration; `Rollout.ended` says which.
    `on_step` sees every step and its observation. Ctrl-C (also raised by `on_step`) ends it with "interrupted" and
    what was driven so far; before the first step there is nothing to keep, and it is raised again.
    """
    state = world.reset()
    end_us = state.t_us + round(scenario.duration_s * 1e6)
    steps: list[Step] = []
    ended = "duration"
    try:
        window = observer.begin(state)
        progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), 0.0)
        while state.t_us < end_us:
            observation = observer.observe(window, world.guide.ahead(progress), world.map, scenario.route)
            step = Step(state, driver.drive(observation))
            after = world.step(state, step.output.controls)
            steps.append(step)
            state = after
            if on_step is not None:
                on_step(step, observation)
            window = observer.push(window, state)
            progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), progress)
            reason = world.ended(state, progress)
            if reason:
                ended = reason
                break
    except KeyboardInterrupt:
        if not steps or steps[0].state is state:
            raise
        ended = "interrupted"
    return Rollout(scenario, tuple(step for step in steps if step.state.t_us < state.t_us), state, ended)
