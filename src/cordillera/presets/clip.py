"""One clip of a data set: an order in; a scenario driven, filmed and labelled out."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordillera.data import layout
from cordillera.data.clip import Clip, ClipMeta, Film, Said
from cordillera.data.video import VideoWriter
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleConfig, RuleExpert
from cordillera.policy.rule_speed import SpeedConfig
from cordillera.reasoning.counterfactual import Counterfactual, counterfactuals
from cordillera.reasoning.label import Drive, labels
from cordillera.runtime.driver import DriverConfig, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.looks import looks
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.sensors.visibility import Visibility, visible
from cordillera.types import Rig, RoadMap, Rollout, Scenario, WorldState
from cordillera.world.maps import load_map
from cordillera.world.scenarios import make_family
from cordillera.world.spawn import make_scenario
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World

MAPS = "maps:"  # "maps:town01" is the family of everyday drives through a map
careless = RuleExpert(RuleConfig(speed=SpeedConfig(side_mps2=1e6))).decide  # the expert to whom bends do not matter
ATTEMPTS = 6  # seeds that are tried for a clip before it is given up
COUNTRY = {"US": "United States", "DE": "Germany", "GB": "United Kingdom", "JP": "Japan", "FR": "France"}
Spent = defaultdict[str, float]


@dataclass(frozen=True)
class Order:
    """One clip to be made."""

    family: str
    region: str
    split: str
    seed: int
    cameras: tuple[str, ...]
    size: tuple[int, int]
    crf: int


@dataclass(frozen=True, eq=False)
class Made:
    """What became of an order: a clip or none, why drives and causes were rejected, and where the seconds went."""

    clip: Clip | None
    rejected: tuple[str, ...]
    verdicts: tuple[tuple[str, int], ...]  # of the causes that the labeller tested
    seconds: tuple[tuple[str, float], ...]  # process time of set-up, drive, render, encode and label


@dataclass(eq=False)
class Crew:
    """What films a drive, a file a camera, and knows afterwards what could be seen in it."""

    renderer: CpuRenderer
    cameras: Rig
    writers: list[VideoWriter]
    road_map: RoadMap
    spent: Spent
    cells: list[list[NDArray[np.uint8]]] = field(default_factory=list)  # of each state, of each camera
    _seen: dict[int, Visibility] = field(default_factory=dict)

    def film(self, state: WorldState) -> None:
        """Film one state."""
        start = time.process_time()
        frames = self.renderer.render(state, self.cameras)
        middle = time.process_time()
        for writer, frame in zip(self.writers, frames, strict=True):
            writer.add(frame.rgb)
        self.cells.append([looks(frame, state.signals, self.road_map) for frame in frames])
        self.spent["render"] += middle - start
        self.spent["encode"] += time.process_time() - middle

    def sight(self, state: WorldState, target: str) -> float:
        """A state of the drive and a target -> pixels that it shows in the camera that sees most of it."""
        if state.t_us not in self._seen:
            self._seen[state.t_us] = visible(state, self.renderer, self.cameras)
        found = self._seen[state.t_us]
        row = found.row(target)
        return float(found.area_shown[row].max()) if row >= 0 else 0.0


def scenario_of(order: Order, attempt: int) -> Scenario:
    """An order -> a scenario that lasts as long as a clip."""
    seed = order.seed * ATTEMPTS + attempt
    if order.family.startswith(MAPS):
        splits = ("train", "val", "test")
        number = len(splits) * seed + splits.index(order.split)  # splits share no seed
        return make_scenario(order.family.removeprefix(MAPS), number, layout.CLIP_S, region=order.region)
    return replace(make_family(order.family, seed, order.split, order.region), duration_s=layout.CLIP_S)


def make_clip(order: Order) -> Made:
    """Drive, film and label one clip. Drives that end before their 20 s are rejected, and the next seed is tried.

    The expert needs no pictures, so a drive is filmed after it, once it is known to last.
    """
    rejected: list[str] = []
    spent: Spent = defaultdict(float)
    for attempt in range(ATTEMPTS):
        mark = time.process_time()
        scenario = scenario_of(order, attempt)
        world = World(scenario)
        spent["set-up"] += time.process_time() - mark
        rollout = _drive(scenario, world, spent)
        if rollout.ended != "duration":
            rejected.append(rollout.ended)
            continue
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            mark = time.process_time()
            crew = _crew(order, scenario, world.map, Path(scratch), stack, spent)
            spent["set-up"] += time.process_time() - mark
            films = _films(rollout, crew, stack, Path(scratch))
        said, others, verdicts = _labels(rollout, world, crew, spent)
        cameras = crew.cameras if crew else Rig((), scenario.vehicle)
        clip = Clip(_meta(order, scenario), timeless(rollout), world.map, cameras, films, said, others)
        return Made(clip, tuple(rejected), tuple(verdicts.items()), tuple(spent.items()))
    return Made(None, tuple(rejected), (), tuple(spent.items()))


def _crew(
    order: Order, scenario: Scenario, road_map: RoadMap, folder: Path, stack: ExitStack, spent: Spent
) -> Crew | None:  # fmt: skip
    """What films a scenario into `folder`; None without cameras."""
    if not order.cameras:
        return None
    cameras = rig(order.cameras, *order.size, vehicle=scenario.vehicle)
    writers = [
        stack.enter_context(VideoWriter(folder / f"{c.name}.mp4", c.width, c.height, c.rate_hz, order.crf))
        for c in cameras.cameras
    ]
    return Crew(renderer_of(scenario), cameras, writers, road_map, spent)


def renderer_of(scenario: Scenario) -> CpuRenderer:
    """A scenario -> what draws it."""
    scene = build_scene(load_map(scenario.map), scenario.weather, scenario.hour, scenario.region, scenario.seed)
    return CpuRenderer(scene)


def _drive(scenario: Scenario, world: World, spent: Spent) -> Rollout:
    """The expert's drive."""
    mark = time.process_time()
    driver = SafeDriver(RuleExpert(), DriverConfig(track=TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))))
    rollout = roll_out(scenario, world, Observer(), driver)
    spent["drive"] += time.process_time() - mark
    return rollout


def _films(rollout: Rollout, crew: Crew | None, stack: ExitStack, folder: Path) -> tuple[Film, ...]:
    """The drive, filmed by the crew whose files `stack` closes."""
    if crew is None:
        return ()
    for step in rollout.steps:
        crew.film(step.state)
    stack.close()
    start = rollout.scenario.initial.t_us
    stamps = np.array([step.state.t_us - start for step in rollout.steps], dtype=np.int64)
    return tuple(
        Film(camera, stamps, (folder / f"{camera.name}.mp4").read_bytes(), np.stack([row[c] for row in crew.cells]))
        for c, camera in enumerate(crew.cameras.cameras)
    )


def _labels(
    rollout: Rollout, world: World, crew: Crew | None, spent: Spent
) -> tuple[tuple[Said, ...], tuple[tuple[int, Counterfactual], ...], dict[str, int]]:  # fmt: skip
    """The expert's decisions with their tested causes, other decisions at the keyframes, and the tests' verdicts.

    Without cameras nothing is hidden.
    """
    mark = time.process_time()
    planner = RuleExpert().decide
    drive = Drive.of(rollout, world, Observer())
    sight = crew.sight if crew else lambda state, target: float("inf")
    said, others = [], []
    verdicts: dict[str, int] = defaultdict(int)
    for label in labels(rollout, drive, planner, sight, careless=careless):
        said.append(Said(label.t_us, label.trace, bool(label.event), label.event, label.tested))
        for tested in label.tested:
            verdicts[tested.verdict] += 1
        if label.event:
            k = next(n for n, state in enumerate(drive.states) if state.t_us == label.t_us)
            others += [(label.t_us, other) for other in counterfactuals(drive, k, planner, label.decision)]
    spent["label"] += time.process_time() - mark
    return tuple(said), tuple(others), dict(verdicts)


def _meta(order: Order, scenario: Scenario) -> ClipMeta:
    parts = (order.family, scenario.region, order.split, order.seed, *order.cameras, *order.size, order.crf)
    country = COUNTRY.get(scenario.region, scenario.region)
    month = 1 + scenario.seed % 12
    return ClipMeta(
        layout.clip_id_of(*parts), order.split, country, month, int(scenario.hour), scenario.weather.value,
        order.family, scenario.map, scenario.seed,
    )  # fmt: skip


def timeless(rollout: Rollout) -> Rollout:
    """A rollout -> the same without the latencies of its decisions: they belong to the machine, not to the clip."""
    steps = []
    for step in rollout.steps:
        decision = replace(step.output.decision, latency_ms=0.0)
        steps.append(replace(step, output=replace(step.output, decision=decision)))
    return replace(rollout, steps=tuple(steps))
