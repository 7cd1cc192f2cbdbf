"""Pairs as a job: windows that tie words to the world, made from the clips of a data set by asking its expert again.

(b) the binding cause is removed, shifted, or something to stop for is put in the way: other pictures, another trace,
another path. (c) the car stands aside of its lane, askew, too fast or too slow, or where a trained model has driven
itself, and the expert says what to do from there. Kind (a), the same pictures with another decision, needs no new
pictures and is read from the clips (see `train.samples`).
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from cordillera.data import layout
from cordillera.data.read import ClipSet, open_set
from cordillera.geometry import arc_length, interpolate, move_trajectory, quat_from_yaw, rotate, transform_of, yaw_of
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.prompt import Prompt
from cordillera.presets.clip import COUNTRY, renderer_of
from cordillera.presets.policies import policy_of
from cordillera.presets.train import BOTH, TrainJob, model_config
from cordillera.reasoning.intervene import PAST, Change, Changes, Insert, Remove, Shift, changed_map, changed_state
from cordillera.reasoning.intervene import observation_at as asked_at
from cordillera.reasoning.label import Drive, LabelConfig
from cordillera.runtime.driver import DriverConfig, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.observe import FRAMES, Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.train.samples import CAUSE, RECOVERY, Row, Wanted, encode_row, own_tokenizer
from cordillera.train.store import FACTS, digest, write_store
from cordillera.types import AgentKind, Cause, Observation, Rig, Rollout, Sample, Step, WorldState
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World, colliding

TICK_US = 100_000
OWN_EVERY_US = 500_000  # between the states of its own that a model is told about
GROUP = 8  # clips of one store: what an interruption can lose
CAR_LWH = (4.5, 1.9, 1.5)


@dataclass(frozen=True)
class PairsJob:
    """Which pairs to make of which clips, for which model."""

    folder: Path
    preset: str = "nano"
    kinds: tuple[str, ...] = ("b", "c")
    policy: str = ""  # a trained model whose own states are relabelled too
    cameras: tuple[str, ...] = BOTH
    frames: int = 4
    workers: int = 1
    every_s: float = 2.0  # between recovery starts
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip's drive, ready to be asked about and drawn again."""

    clip_id: str
    drive: Drive
    rollout: Rollout
    rig: Rig
    renderer: CpuRenderer
    frames: int = FRAMES  # of each camera that are drawn, the newest now

    @property
    def region(self) -> str:
        scenario = self.rollout.scenario
        return COUNTRY.get(scenario.region, scenario.region)


def make_pairs(job: PairsJob, console: Console | None = None) -> list[Path]:
    """One job -> the stores of its pairs, beside the rows of the clips; those that are there are kept."""
    console = console or Console()
    place = job.folder / "training" / digest(config_of(job))
    clips = open_set(job.folder).clips()
    tasks = []
    dagger = {f"dagger-{Path(job.policy).parent.name}": ("dagger",)} if job.policy else {}
    wanted = ({"".join(job.kinds): job.kinds} if job.kinds else {}) | dagger
    for name, kinds in wanted.items():
        for n, at in enumerate(range(0, len(clips), GROUP)):
            store = place / f"pairs-{name}-{n:04d}"
            if not (store / FACTS).is_file():
                tasks.append((job, kinds, tuple(clips[at : at + GROUP]), store))
    if job.workers <= 1:
        done = [make_store(*task) for task in track(tasks, "pairs", console=console, transient=True)]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(job.workers, mp_context=context) as pool:
            waiting = [pool.submit(make_store, *task) for task in tasks]
            ready = track(as_completed(waiting), "pairs", len(waiting), console=console, transient=True)
            done = [future.result() for future in ready]
    console.print(f"{sum(done)} windows in {len(done)} new stores under {place}", highlight=False, soft_wrap=True)
    return sorted(path.parent for path in place.glob(f"pairs-*/{FACTS}"))


def config_of(job: PairsJob) -> VlaConfig:
    """A job -> the configuration of the model that will read its windows."""
    return model_config(TrainJob((), Path(), job.preset, cameras=job.cameras, frames=job.frames))


def make_store(job: PairsJob, kinds: Sequence[str], clips: Sequence[str], store: Path) -> int:
    """Some clips -> the store of their pairs of some kinds; gives the number of windows, 0 where there are none."""
    config = config_of(job)
    prompt = Prompt(config, own_tokenizer(config))
    rows = (row for clip in clips for row in rows_of(job, kinds, clip, prompt))
    first = next(rows, None)
    if first is None:
        return 0

    def all_rows() -> Iterator[Row]:
        yield first
        yield from rows

    return write_store(store, all_rows(), config)


def rows_of(job: PairsJob, kinds: Sequence[str], clip: str, prompt: Prompt) -> Iterator[Row]:
    """A clip -> the rows of its pairs of some kinds; its scene, which costs most, is made once."""
    held = open_set(job.folder)
    scene = replace(scene_of(held, clip, job.cameras), frames=1 if job.frames == 1 else FRAMES)
    scenario = scene.rollout.scenario
    for kind in kinds:
        if kind == "b":
            samples, label = changed_causes(scene, held), CAUSE
        elif kind == "c":
            samples, label = recoveries(scene, job.every_s, job.seed), RECOVERY
        else:
            samples, label = own_states(scene, job.policy), RECOVERY
        for sample in samples:
            yield encode_row(Wanted(sample, label, scene.region, scenario.weather.value), prompt)


def scene_of(held: ClipSet, clip: str, cameras: Sequence[str]) -> Scene:
    """A clip of ours -> its drive with its world, cameras and renderer; ValueError for cameras that it lacks."""
    with tempfile.TemporaryDirectory() as scratch:
        rollout = held.rollout(clip, Path(scratch))
    whole = held.rig(clip)
    rig = replace(whole, cameras=tuple(camera for camera in whole.cameras if camera.name in cameras))
    if len(rig.cameras) < len(cameras):
        raise ValueError(f"clip {clip}: lacks some of the cameras {', '.join(cameras)}")
    return scene_from(clip, rollout, rig)


def scene_from(clip: str, rollout: Rollout, rig: Rig) -> Scene:
    """A rollout and a rig -> the scene."""
    drive = Drive.of(rollout, World(rollout.scenario), Observer())
    return Scene(clip, drive, rollout, rig, renderer_of(rollout.scenario))


def asked(scene: Scene, states: Sequence[WorldState], k: int, changes: Changes = ()) -> Sample:
    """States, the k-th of which is now, and changes -> what is seen, what the expert would drive, and why."""
    world = scene.drive.world
    blind = asked_at(states, k, world, Observer(), float(scene.drive.progress_m[k]), changes)
    decision = RuleExpert().decide(blind)
    shown = [changed_state(state, changes, world.map) for state in states[k - scene.frames + 1 : k + 1]]
    seen = replace(pictured(blind, shown, scene), truth=None)
    return Sample(seen, decision.trajectory, decision.reasoning, scene.clip_id)


def pictured(observation: Observation, states: Sequence[WorldState], scene: Scene) -> Observation:
    """An observation without cameras and the last states -> the same with what the cameras saw of them."""
    shots = [scene.renderer.render(state, scene.rig) for state in states]
    stamps = np.array([state.t_us for state in states], np.int64)
    images = tuple(np.stack([shot[c].rgb for shot in shots]) for c in range(len(scene.rig.cameras)))
    return replace(
        observation, cameras=scene.rig.cameras, images=images, image_t_us=tuple(stamps for _ in images)
    )  # fmt: skip


# ----------------------------------------------------------------- (b) causes


def changed_causes(scene: Scene, held: ClipSet) -> Iterator[Sample]:
    """A clip -> at its keyframes: each cause away, a cause that moves shifted, and something put in the way."""
    for said in held.said(scene.clip_id):
        k = round(said.t_us / TICK_US)
        if not said.keyframe or not PAST <= k < len(scene.drive.states):
            continue
        for changes in changes_at(scene, k, said.trace.causes):
            yield asked(scene, scene.drive.states, k, changes)


def changes_at(scene: Scene, k: int, causes: Sequence[Cause]) -> Iterator[Changes]:
    """A moment and its causes -> the changes whose effect can be drawn: signs stay, for they are part of the scene."""
    world, state = scene.drive.world, scene.drive.states[k]
    for cause in causes:
        change: Change | None = scene.drive.removal(k, cause, LabelConfig())
        if change is None or (isinstance(change, Remove) and changed_map(world.map, (change,)) is not world.map):
            continue
        yield (change,)
        if cause.target.startswith("agent:"):
            yield (Shift(cause.target, forward_m=15.0),)
    block = in_the_way(scene, k)
    if block is not None:
        ego = replace(state, agents=changed_state(state, (block,), world.map).agents)
        if colliding(ego, scene.rollout.scenario) is None:
            yield (block,)


def in_the_way(scene: Scene, k: int) -> Insert | None:
    """A moment -> a standing car on the planned path, as near as can be stopped for; None where the path is short."""
    state = scene.drive.states[k]
    plan = scene.drive.ask(RuleExpert().decide, k).trajectory
    way = move_trajectory(transform_of(state.ego.xyz, state.ego.quat_xyzw), plan, "world")
    ahead_m = 10.0 + state.ego.speed_mps**2 / 5.0
    along = arc_length(way.xyz[:, :2])
    if along[-1] < ahead_m:
        return None
    x, y, z = (float(value) for value in interpolate(way.xyz, [ahead_m])[0])
    yaw = float(yaw_of(way.quat_xyzw[int(np.searchsorted(along, ahead_m))]))
    identity = int(max(s.agents.id.max(initial=0) for s in scene.drive.states)) + 1
    return Insert(identity, AgentKind.CAR, (x, y, z), yaw, CAR_LWH)


# ------------------------------------------------------------- (c) recoveries


def recoveries(scene: Scene, every_s: float, seed: int) -> Iterator[Sample]:
    """A clip -> windows in which the car is off its line, askew, and at another speed, where that is on the road."""
    states, world = scene.drive.states, scene.drive.world
    chance = np.random.default_rng((seed, scene.rollout.scenario.seed))
    for k in range(PAST, len(states), max(round(every_s / 0.1), 1)):
        aside = float(chance.choice((-1.0, 1.0)) * chance.uniform(0.2, 1.2))
        askew = float(chance.normal(0.0, 0.05))
        faster = float(chance.uniform(0.6, 1.3))
        moved = displaced(states[: k + 1], aside, askew, faster)
        if world.on_road(moved[-1].ego) and colliding(moved[-1], scene.rollout.scenario) is None:
            yield asked(scene, moved, k)


def displaced(states: Sequence[WorldState], aside_m: float, askew_rad: float, faster: float) -> list[WorldState]:
    """States of a drive -> the same with the car's last seconds moved: to the left, turned left, faster by a factor.

    In the rig frame of now the past keeps its form, so that only the cameras and the route tell what is wrong.
    """
    now = states[-1].ego
    turn = quat_from_yaw(np.array(askew_rad))
    here = now.xyz + rotate(now.quat_xyzw, np.array([0.0, aside_m, 0.0]))
    out = list(states)
    for n in range(max(len(states) - PAST - 1, 0), len(states)):
        ego = states[n].ego
        xyz = here + faster * rotate(turn, ego.xyz - now.xyz)
        yaw = float(yaw_of(ego.quat_xyzw)) + askew_rad
        out[n] = replace(states[n], ego=replace(
            ego, xyz=xyz, quat_xyzw=quat_from_yaw(np.array(yaw)), velocity_mps=faster * ego.velocity_mps
        ))  # fmt: skip
    return out


def own_states(scene: Scene, policy: str) -> Iterator[Sample]:
    """A clip's scenario, driven by a trained model -> the states that it reaches, with what the expert would do."""
    scenario = scene.rollout.scenario
    config = DriverConfig(track=TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle)))
    found: list[Sample] = []

    def on_step(step: Step, observation: Observation) -> None:
        driven_us = observation.t_us - scenario.initial.t_us
        if driven_us >= layout.FIRST_T0_US and driven_us % OWN_EVERY_US == 0:
            decision = RuleExpert().decide(observation)
            seen = replace(observation, truth=None)
            found.append(Sample(seen, decision.trajectory, decision.reasoning, scene.clip_id))

    driver = SafeDriver(policy_of(policy), config)
    roll_out(scenario, World(scenario), Observer(scene.rig, scene.renderer), driver, on_step)
    yield from found
