"""The one closed loop: scenario, world, observer and driver in, rollout out; or step by step, for those who decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer, Window
from cordillera.types import Controls, Observation, Rollout, Scenario, Step, WorldState
from cordillera.world.world import World

OnStep = Callable[[Step, Observation], None]


@dataclass(frozen=True, eq=False)
class Moment:
    """A drive between two steps: the state, what was sensed lately, progress along the route, and how it ended."""

    state: WorldState
    window: Window
    progress_m: float
    ended: str  # "" while it goes on


def begin(world: World, observer: Observer) -> Moment:
    """The first moment of a world's scenario."""
    state = world.reset()
    progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), 0.0)
    return Moment(state, observer.begin(state), progress, "" if world.scenario.duration_s > 0.0 else "duration")


def observe(world: World, observer: Observer, moment: Moment) -> Observation:
    """What is sensed at a moment, with the route from there on."""
    return observer.observe(moment.window, world.guide.ahead(moment.progress_m), world.map, world.scenario.route)


def advance(world: World, observer: Observer, moment: Moment, controls: Controls) -> Moment:
    """A moment and controls -> the next moment, 0.1 s later.

    The drive is over on a collision, off the road, on arrival or after the scenario's duration; `ended` says which.
    """
    state = world.step(moment.state, controls)
    window = observer.push(moment.window, state)
    progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), moment.progress_m)
    late = state.t_us >= world.scenario.initial.t_us + round(world.scenario.duration_s * 1e6)
    return Moment(state, window, progress, world.ended(state, progress) or ("duration" if late else ""))


def roll_out(
    scenario: Scenario, world: World, observer: Observer, driver: SafeDriver, on_step: OnStep | None = None
) -> Rollout:
    """Observe, drive, step and record until the drive is over.

    `on_step` sees every step and its observation. Ctrl-C (also raised by `on_step`) ends it with "interrupted" and
    what was driven so far; before the first step there is nothing to keep, and it is raised again.
    """
    steps: list[Step] = []
    moment = None
    try:
        moment = begin(world, observer)
        while not moment.ended:
            observation = observe(world, observer, moment)
            step = Step(moment.state, driver.drive(observation))
            after = advance(world, observer, moment, step.output.controls)
            steps.append(step)
            moment = after
            if on_step is not None:
                on_step(step, observation)
        ended = moment.ended
    except KeyboardInterrupt:
        if moment is None or not steps or steps[0].state is moment.state:
            raise
        ended = "interrupted"
    return Rollout(scenario, tuple(step for step in steps if step.state.t_us < moment.state.t_us), moment.state, ended)
