"""Policies and scenario families in, one judged result a drive out: what is driven, and how one case of it is driven.

A case is one policy in one scenario. All that it needs travels in its `Task`, so that a case gives the same result in
this process, in another, or on another machine, and however many are driven beside it.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from cordillera.evaluate.metrics import all_metrics, failure, states_of
from cordillera.loop import roll_out
from cordillera.runtime.driver import DriverConfig, Policy, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.types import MetricResult, Rollout, Scenario
from cordillera.world.maps import load_map
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World

SPLITS = ("train", "val", "test")
PolicyMaker = Callable[[], Policy]


@dataclass(frozen=True, order=True)
class Case:
    """One policy in one scenario. `region` is "" where the family chooses it."""

    policy: str
    family: str
    region: str
    split: str
    seed: int

    @property
    def situation(self) -> tuple[str, str, str, int]:
        """What is driven, whoever drives: two policies are compared on equal situations."""
        return self.family, self.region, self.split, self.seed


@dataclass(frozen=True)
class Task:
    """A case and all that it takes to drive it; its functions must be importable, so that processes can pass it."""

    case: Case
    policy: PolicyMaker
    scenario: Callable[[Case], Scenario]
    observer: Callable[[Scenario], Observer]
    keep: bool = False  # the rollout also of a success


@dataclass(frozen=True)
class CaseResult:
    """One drive, judged. `success` is false for every drive that did not end well, crashed programs included."""

    case: Case
    success: bool
    reason: str  # why it failed, one of a small set of words; "" for a success
    ended: str  # how the rollout ended, "crashed" where there is none
    region: str  # of the scenario
    map: str
    tags: tuple[str, ...]
    driven_s: float
    metrics: tuple[MetricResult, ...]
    fallbacks: int  # steps in which the driver had to replace the policy's plan
    digest: str  # of every state: equal digests are equal drives
    traceback: str  # where the program crashed
    latency_ms: float  # median of the policy's decisions; a measurement, not a result
    took_s: float  # process time of the case, set-up included; a measurement, not a result


@dataclass(frozen=True, eq=False)
class Outcome:
    """What comes back from a task: its result, and the rollout where it is worth keeping."""

    result: CaseResult
    rollout: Rollout | None


def plan_cases(
    policies: Sequence[str], places: Sequence[tuple[str, str]], seeds: int, split: str
) -> tuple[Case, ...]:  # fmt: skip
    """Policies, (family, region) pairs, a number of seeds and a split -> every case; policies are paired seed by seed.

    Raises ValueError for nothing to drive, an unknown split, or what is given twice.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not known: give one of {', '.join(SPLITS)}")
    if not policies or not places or seeds < 1:
        raise ValueError("a suite needs at least one policy, one family and one seed")
    for what, names in (("policy", policies), ("family", places)):
        if twice := [name for name in names if list(names).count(name) > 1]:
            raise ValueError(f"{what} {twice[0]!r} is given twice: name each once")
    return tuple(
        Case(policy, family, region, split, seed)
        for seed in range(seeds)
        for family, region in places
        for policy in policies
    )


def without_cameras(scenario: Scenario) -> Observer:
    """A scenario -> senses that give odometry and route alone."""
    return Observer()


def with_cameras(scenario: Scenario, names: tuple[str, ...], width: int = 480, height: int = 270) -> Observer:
    """A scenario, names of cameras and a size of picture -> senses whose pictures are drawn on the CPU."""
    scene = build_scene(
        load_map(scenario.map), scenario.weather, scenario.hour, scenario.region, scenario.seed
    )  # fmt: skip
    return Observer(rig(names, width, height, vehicle=scenario.vehicle), CpuRenderer(scene))


def drive_case(task: Task) -> Outcome:
    """A task -> its outcome. A program that crashes anywhere in the case is a failure with its traceback.

    Raises only KeyboardInterrupt, so that an interrupted drive is not taken for a finished one.
    """
    began = time.process_time()
    try:
        scenario = task.scenario(task.case)
        world = World(scenario)
        track = TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))
        driver = SafeDriver(task.policy(), DriverConfig(track=track))
        rollout = roll_out(scenario, world, task.observer(scenario), driver)
        if rollout.ended == "interrupted":
            raise KeyboardInterrupt
        result = judge(task.case, rollout, world)
    except Exception as error:  # another's policy may raise anything; it is counted and shown, never passed over
        return Outcome(replace(crashed(task.case, error), took_s=time.process_time() - began), None)
    result = replace(result, took_s=time.process_time() - began)
    return Outcome(result, rollout if task.keep or not result.success else None)


def judge(case: Case, rollout: Rollout, world: World) -> CaseResult:
    """A case and its rollout -> the result, with every metric."""
    reason = failure(rollout, world.map)
    scenario, latencies = rollout.scenario, [step.output.decision.latency_ms for step in rollout.steps]
    return CaseResult(
        case=case,
        success=not reason,
        reason=reason,
        ended=rollout.ended,
        region=scenario.region,
        map=scenario.map,
        tags=scenario.tags,
        driven_s=(rollout.final.t_us - scenario.initial.t_us) * 1e-6,
        metrics=all_metrics(rollout, world.map),
        fallbacks=sum(step.output.verdict.action == "fallback" for step in rollout.steps),
        digest=digest(rollout),
        traceback="",
        latency_ms=float(np.median(latencies)) if latencies else 0.0,
        took_s=0.0,
    )


def crashed(case: Case, error: BaseException) -> CaseResult:
    """A case whose program crashed -> its result: a failure, with the traceback kept."""
    text = "".join(traceback.format_exception(error))
    reason = f"crash: {type(error).__name__}"
    return CaseResult(case, False, reason, "crashed", case.region, "", (), 0.0, (), 0, "", text, 0.0, 0.0)


def digest(rollout: Rollout) -> str:
    """A rollout -> SHA-256 over its scenario's name and all fields of all its states; latencies do not count."""
    sha = hashlib.sha256()
    for value in (rollout.scenario.name, rollout.scenario.map_sha256, rollout.ended, *states_of(rollout)):
        _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: Any, value: Any) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            _feed(sha, getattr(value, f.name))
    elif isinstance(value, np.ndarray):
        sha.update(f"{value.dtype.str}{value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, tuple):
        sha.update(f"({len(value)})".encode())
        for item in value:
            _feed(sha, item)
    else:
        sha.update(repr(value).encode())
