"""One piece of a faithfulness run, for a process of its own: a drive surveyed, or an event measured."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from cordillera.evaluate.faithful import Event, FaithConfig, Measured, measure
from cordillera.evaluate.faithful_events import Found, moments
from cordillera.evaluate.faithful_known import Misplaced, Monotone, Obedient, Parrot, Talker
from cordillera.evaluate.faithful_scene import Scene
from cordillera.evaluate.suite import Case
from cordillera.loop import roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.policy.rule import RuleExpert
from cordillera.presets import policies
from cordillera.presets.bench import policy_maker, scenario_of
from cordillera.presets.clip import careless
from cordillera.reasoning.label import Drive
from cordillera.runtime.driver import DriverConfig, Policy, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.sensors.visibility import Visibility, visible
from cordillera.types import Decision, Observation, RoadMap, Rollout, Scenario, Step, Trajectory, WorldState
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World

CONSTANT = "Keep the set speed since the speed limit sets the speed here, and keep the lane."
KNOWN = ("expert", "misplaced", "talker", "monotone", "parrot")  # policies of whom one knows how faithful they are


@dataclass(frozen=True)
class Asking:
    """Who is asked, how it sees, and how it is judged: the same for all events of a run."""

    policy: str
    cameras: tuple[str, ...] = ()
    size: tuple[int, int] = (384, 216)
    config: FaithConfig = field(default_factory=FaithConfig)


@dataclass(frozen=True)
class FaithTask:
    """One event to be measured, with true sentences from elsewhere."""

    asking: Asking
    event: Event
    donors: tuple[str, ...]


@dataclass(frozen=True)
class _Says:
    """A model's prompt in which certain words stand already."""

    prompt: Any
    words: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prompt, name)

    def encode(self, observation: Observation, **options: Any) -> Any:
        """As the prompt, with the words where the model's own would be."""
        return self.prompt.encode(observation, **{**options, "said": self.words})


@dataclass(frozen=True)
class SpokenModel:
    """A trained model (VlaPolicy or Student) that can be given words: they are read as if it had thought them.

    It forgets between questions. A model keeps features of pictures by camera and time, and in another world the same
    camera shows another picture at the same time; and what is reused is equal but for rounding, which is not zero.
    """

    policy: Any

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def prompt(self) -> Any:
        return self.policy.prompt

    def decide(self, observation: Observation) -> Decision:
        """Think, then act."""
        return self._forgetful().decide(observation)

    def act_on(self, observation: Observation, words: str) -> Trajectory:
        """Act under words; the same noise as in `decide`."""
        told = self._forgetful()
        told.config = replace(self.policy.config, reason=False)  # it does not think of its own
        told.prompt = _Says(self.policy.prompt, words)
        return told.decide(observation).trajectory

    def _forgetful(self) -> Any:
        """The model with nothing remembered."""
        fresh = copy(self.policy)
        if hasattr(fresh, "stream"):
            fresh.stream = type(fresh.stream)(fresh.stream.model, fresh.stream.mode)
        else:
            fresh.features, fresh.last, fresh.windows = {}, None, 0
        return fresh


def policy_of(name: str, sentences: Sequence[str] = ()) -> Policy:
    """A name of KNOWN, of a bundled policy, a model's folder, or "module:Class" -> the policy.

    `sentences` are those that one may misplace.
    The expert can be given words: it then drives the decision that they tell.
    """
    expert = RuleExpert()
    known: dict[str, Callable[[], Policy]] = {
        "expert": lambda: Obedient(expert),
        "misplaced": lambda: Misplaced(expert, tuple(sentences) or (CONSTANT,)),
        "talker": lambda: Talker(RouteFollower(), expert),
        "monotone": lambda: Monotone(expert, CONSTANT),
        "parrot": lambda: Parrot(expert),
    }
    if name in known:
        return known[name]()
    if ":" in name:
        return policy_maker(name)()
    made = policies.policy_of(name)
    return SpokenModel(made) if policies.seen_by(made)[0] else made


def survey(event: Event) -> tuple[Found, ...]:
    """Where to drive (the tick does not count) -> the moments of the expert's drive that can be asked about."""
    return moments(past_of(event, None), event)


def measured(task: FaithTask) -> Measured:
    """A task -> what was measured. A policy that crashes is one that fails everything, with its traceback kept."""
    began = time.process_time()
    try:
        scene = scene_of(task)
        found = measure(scene, task.event, task.donors, task.asking.config)
    except Exception as error:  # another's policy may raise anything; it is counted and shown, never passed over
        found = Measured(task.event, error="".join(traceback.format_exception(error)))
    return replace(found, took_s=time.process_time() - began)


def scene_of(task: FaithTask) -> Scene:
    """A task -> the scene of its event: the expert's drive up to it, and the policy that is asked."""
    rollout = past_of(task.event, task.event.k)
    scenario, asking = rollout.scenario, task.asking
    drive = Drive.of(rollout, World(scenario), Observer())
    policy = policy_of(asking.policy, task.donors)

    def eyes(road_map: RoadMap) -> Observer:
        if not asking.cameras:
            return Observer()
        return Observer(rig(asking.cameras, *asking.size, vehicle=scenario.vehicle), renderer_of(scenario, road_map))

    return Scene(rollout, drive, policy, eyes, RuleExpert().decide, careless, sight_of(eyes(drive.world.map)))


def past_of(event: Event, until: int | None) -> Rollout:
    """An event -> the expert's drive of its scenario, whole, or just until a tick."""
    scenario = scenario_of(Case("expert", event.family, event.region, event.split, event.seed))
    steps = 0

    def on_step(step: Step, observation: Observation) -> None:
        nonlocal steps
        steps += 1
        if until is not None and steps > until + 1:
            raise KeyboardInterrupt  # how a drive is ended from outside: what was driven stays

    track = TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))
    driver = SafeDriver(RuleExpert(), DriverConfig(track=track), clock=lambda: 0.0)
    return roll_out(scenario, World(scenario), Observer(), driver, on_step)


def renderer_of(scenario: Scenario, road_map: RoadMap) -> CpuRenderer:
    """A scenario and its map, perhaps with signs changed -> what draws it."""
    return CpuRenderer(build_scene(road_map, scenario.weather, scenario.hour, scenario.region, scenario.seed))


def sight_of(observer: Observer) -> Callable[[WorldState, str], float]:
    """Senses -> the pixels that a target shows in a state, in the camera with most; without cameras all is seen."""
    renderer, cameras = observer.renderer, observer.rig
    if not isinstance(renderer, CpuRenderer) or cameras is None:
        return lambda state, target: float("inf")

    @lru_cache(maxsize=64)
    def seen(state: WorldState) -> Visibility:
        return visible(state, renderer, cameras)

    def sight(state: WorldState, target: str) -> float:
        found = seen(state)
        row = found.row(target)
        return float(found.area_shown[row].max()) if row >= 0 else 0.0

    return sight
