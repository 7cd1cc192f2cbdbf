"""The benchmark as a job: policies and families in, a folder with results, a report and the worst drives out."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import cast

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import cordillera
from cordillera.evaluate.report import SuiteReport, make_report, to_tree, worst_first
from cordillera.evaluate.report_page import Clip, write_report_page
from cordillera.evaluate.suite import (
    SPLITS,
    Case,
    CaseResult,
    PolicyMaker,
    Task,
    plan_cases,
    with_cameras,
    without_cameras,
)
from cordillera.evaluate.suite_pool import Executor, in_processes, in_this_process, on_ray
from cordillera.evaluate.suite_stats import Estimate
from cordillera.evaluate.suite_store import Store, plain, run_suite, stamp_of, write_json
from cordillera.presets.policies import NANO, POLICIES, policy_of
from cordillera.presets.remote import Remote, remote_policy
from cordillera.runtime.driver import Policy
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.types import Rollout, Scenario
from cordillera.viewer.birdseye import ViewConfig
from cordillera.viewer.record import DriveVideo
from cordillera.world.guide import Guide
from cordillera.world.maps import load_map
from cordillera.world.regions import REGIONS
from cordillera.world.roads import compile_map
from cordillera.world.scenarios import FAMILIES, make_family
from cordillera.world.spawn import make_scenario

MAPS = "maps:"  # "maps:town01" is the family of drives through a map, by seed
MAP_DRIVE_S = 40.0
FILM = ViewConfig(960, 540, 6.0)
FILM_S = 20.0  # of a drive that is filmed: its end


@dataclass(frozen=True)
class BenchJob:
    """Who drives what, how often, and where the results go."""

    policies: tuple[str, ...] = ("expert",)
    drivers: tuple[Remote, ...] = ()  # behind addresses, beside the policies
    families: tuple[str, ...] = ()  # all
    regions: tuple[str, ...] = ()  # each family's own
    split: str = "val"
    seeds: int = 5
    cameras: tuple[str, ...] = ()
    workers: int = 0  # as many as there are cores
    ray: bool = False
    videos: int = 6  # of the worst drives of each policy
    output: Path = Path("runs/bench")
    patience_s: float = 1800.0  # for one drive


@dataclass(frozen=True, eq=False)
class BenchResult:
    folder: Path
    report: SuiteReport
    page: Path


def bench(job: BenchJob, console: Console | None = None) -> BenchResult:
    """One job -> its folder: results.json, report.html, cases/ with a file each, videos/ of the worst drives.

    Finished cases are in the folder already when the job is given again after it was interrupted or killed, and are
    not driven twice; those of another version of the code are. Raises ValueError for an unknown policy, family or
    split, ConnectionError for a driver that does not answer, KeyboardInterrupt on Ctrl-C, with all finished cases kept.
    """
    console = console or Console()
    places = places_of(job)
    families = list(dict.fromkeys(family for family, _ in places))
    makers: dict[str, PolicyMaker] = {name: policy_maker(name) for name in job.policies}
    makers |= {remote.name: remote.maker for remote in job.drivers}
    versions = {remote.name: _version(remote, job) for remote in job.drivers}
    cases = plan_cases(tuple(makers), places, job.seeds, job.split)
    senses = partial(with_cameras, names=job.cameras) if job.cameras else without_cameras
    tasks = [Task(case, makers[case.policy], scenario_of, senses) for case in cases]
    store = Store(job.output, {name: stamp(job, source_of(name), versions.get(name, "")) for name in makers})
    executor = executor_of(job)
    began = time.perf_counter()
    results = _run(tasks, store, executor, console)
    spent_s = time.perf_counter() - began
    everyday = {family for family in families if family.startswith(MAPS) or FAMILIES[family].everyday}
    report = make_report(list(results.values()), everyday, _provenance(job, len(families), spent_s))
    clips = _film(report, tasks, store, executor, job, console)
    write_json(to_tree(report), job.output / "results.json")
    page = write_report_page(report, clips, job.output)
    tell(report, page, console)
    return BenchResult(job.output, report, page)


def policy_maker(name: str) -> Callable[[], Policy]:
    """A name of `POLICIES`, a trained model's folder, or "module:Class" for one's own -> what makes the policy.

    The module is looked for in the working directory first. Raises ValueError that says what is missing.
    """
    if name in POLICIES:
        return POLICIES[name]
    if name == NANO or Path(name).is_dir():
        return partial(policy_of, name)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(
            f"policy {name!r} is not known: give one of {', '.join(POLICIES)}, or your own as module:Class"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"policy {name!r}: {error}. Give a module that Python finds from {Path.cwd()}, and a class in it"
        ) from error
    if not callable(made) or not callable(getattr(made, "decide", None)):
        raise ValueError(
            f"policy {name!r} has no method decide(observation) -> Decision; a policy needs one and a name"
        )
    return cast(Callable[[], Policy], made)


def _version(remote: Remote, job: BenchJob) -> str:
    """A driver's version; ConnectionError where it does not answer, or refuses the job's cameras."""
    driver = remote_policy(remote)
    driver.try_cameras(rig(job.cameras).cameras if job.cameras else ())
    return driver.version


def stamp(job: BenchJob, own: Path | None = None, version: str = "") -> str:
    """A job, and the file or version of a driver of one's own -> what results must have in common to be used again."""
    return stamp_of(
        [repr(job.cameras), str(MAP_DRIVE_S), *([version] if version else [])],
        [Path(cordillera.__file__).parent, *([own] if own else [])],
    )


def source_of(policy: str) -> Path | None:
    """The file of a policy given as "module:Class", None for those of `POLICIES`."""
    file = getattr(sys.modules.get(policy.partition(":")[0]), "__file__", None)
    return Path(file) if ":" in policy and file else None


def places_of(job: BenchJob) -> list[tuple[str, str]]:
    """The families of a job ("": all of `FAMILIES`), each with the regions asked for in which it happens.

    Raises ValueError for a family, region or map that is not known, before anything is driven.
    """
    if unknown := [region for region in job.regions if region not in REGIONS]:
        raise ValueError(f"region {unknown[0]!r} is not known: give some of {', '.join(REGIONS)}")
    places = []
    for name in job.families or FAMILIES:
        if name.startswith(MAPS):
            load_map(name.removeprefix(MAPS))
            places += [(name, region) for region in job.regions or ("",)]
        elif name in FAMILIES:
            places += [(name, region) for region in job.regions if region in FAMILIES[name].regions]
            places += [(name, "")] * (not job.regions)
        else:
            near = get_close_matches(name, FAMILIES, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"family {name!r} is not known. {hint}Give {MAPS}NAME or some of {', '.join(FAMILIES)}")
    if not places:
        raise ValueError(f"no family of {', '.join(job.families)} happens in {', '.join(job.regions)}")
    return places


def scenario_of(case: Case) -> Scenario:
    """A case -> its scenario."""
    if case.family.startswith(MAPS):
        seed = len(SPLITS) * case.seed + SPLITS.index(case.split)  # splits share no seed
        return make_scenario(case.family.removeprefix(MAPS), seed, MAP_DRIVE_S, region=case.region)
    return make_family(case.family, case.seed, case.split, case.region)


def executor_of(job: BenchJob) -> Executor:
    """How the tasks of a job are driven."""
    if job.ray:
        return on_ray
    workers = job.workers or os.cpu_count() or 1
    return in_this_process if workers == 1 else lambda tasks: in_processes(tasks, workers, job.patience_s)


# -------------------------------------------------------------------- progress


def _run(tasks: Sequence[Task], store: Store, executor: Executor, console: Console) -> dict[Case, CaseResult]:
    """Drive what is not driven yet, and show it."""
    columns = (
        TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("driving", total=len(tasks), said="the first run compiles")
        failed = 0

        def on_result(result: CaseResult, new: bool) -> None:
            nonlocal failed
            failed += not result.success
            last = f"{result.case.policy} in {result.case.family}: {result.reason or 'passed'}" if new else "found"
            progress.update(bar, advance=1, said=f"{failed} failed; {last}")

        return run_suite(tasks, store, executor, on_result)


def _provenance(job: BenchJob, families: int, spent_s: float) -> tuple[tuple[str, str], ...]:
    """Where the figures come from."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return (
        ("split", job.split),
        ("seeds", str(job.seeds)),
        ("families", str(families)),
        ("regions", ", ".join(job.regions) or "each family's own"),
        ("cameras", ", ".join(job.cameras) or "none"),
        ("program", f"cordillera {cordillera.__version__}, code {stamp(job)}"),
        ("runs on", f"Python {platform.python_version()}, {packages}, {platform.machine()}, {os.cpu_count()} cores"),
        ("finished", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("driving took", f"{spent_s:.0f} s in this call"),
    )


# --------------------------------------------------------------------- videos


def _film(
    report: SuiteReport, tasks: Sequence[Task], store: Store, executor: Executor, job: BenchJob, console: Console
) -> list[Clip]:
    """Films of the worst drives of each policy; drives whose rollout was not kept are driven once more."""
    chosen = [
        result
        for row in report.policies
        for result in worst_first([r for r in report.results if r.case.policy == row.policy])[: job.videos]
    ]
    missing = {r.case: r for r in chosen if store.rollout(r.case) is None}
    with console.status(f"filming {len(chosen)} drives"):
        for outcome in executor([replace(task, keep=True) for task in tasks if task.case in missing]):
            case, first = outcome.result.case, missing[outcome.result.case]
            if outcome.result.digest != first.digest:
                where = f"{case.policy} in {case.family}, seed {case.seed}"
                console.print(f"[yellow]{where}: the same drive went otherwise when driven again[/yellow]")
            store.put(replace(outcome, result=first))
        clips = []
        for result in chosen:
            rollout = store.rollout(result.case)
            if rollout is None:  # it crashed this time
                continue
            case = result.case
            path = (
                job.output
                / "videos"
                / f"{plain(case.policy)}-{plain(case.family)}-{plain(result.region)}-{case.seed}.mp4"
            )
            clips.append(Clip(result, path, film(rollout, path)))
    return clips


def film(rollout: Rollout, path: Path) -> bytes:
    """Draw the last seconds of a rollout as a video; its last frame comes back as a small JPEG."""
    road_map = load_map(rollout.scenario.map)
    steps = rollout.steps[-round(FILM_S / 0.1) :]
    observer = Observer()
    ahead = Guide.of(compile_map(road_map), rollout.scenario.route).ahead(0.0)
    observation = observer.observe(observer.begin(steps[0].state), ahead)
    path.parent.mkdir(parents=True, exist_ok=True)
    with DriveVideo(path, rollout.scenario, road_map, FILM) as video:
        frames = [video.add(step, observation) for step in steps]
    small = cv2.resize(frames[-1], (480, 270), interpolation=cv2.INTER_AREA)[..., ::-1]
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


# ---------------------------------------------------------------------- words


def tell(report: SuiteReport, page: Path, console: Console) -> None:
    """Print the headline, the families and who beats whom."""
    policies = [row.policy for row in report.policies]
    table = Table(box=None, pad_edge=False, title="passed, with 95 % intervals", title_justify="left")
    table.add_column("policy")
    for column in ("all", "interval", "long-tail", "everyday", "drives", "crashes"):
        table.add_column(column, justify="right")
    for row in report.policies:
        drives, span = str(row.rate.count), _span(row.rate)
        table.add_row(
            row.policy,
            _percent(row.rate),
            span,
            _percent(row.long_tail),
            _percent(row.everyday),
            drives,
            str(row.crashes),
        )
    console.print(table)
    for title, groups in (("family", report.families), ("region", report.regions)):
        table = Table(box=None, pad_edge=False)
        table.add_column(title)
        for name in policies:
            table.add_column(name, justify="right")
        for group in groups:
            counts = (f"{p}/{e.count}" for p, e in zip(group.passed, group.estimates, strict=True))
            table.add_row(group.name, *counts)
        console.print(table)
    for pair in report.comparisons:
        d = pair.difference
        winner = {"a": f"{pair.a} beats {pair.b}", "b": f"{pair.b} beats {pair.a}"}.get(pair.verdict)
        words = winner or f"{pair.a} and {pair.b}: no difference proved"
        console.print(f"{words} ({100 * d.value:+.1f} points, {_span(d)}, p = {pair.p_value:.2g})", highlight=False)
    console.print(f"Open [bold]{page}[/bold]", highlight=False, soft_wrap=True)


def _percent(estimate: Estimate) -> str:
    return f"{100.0 * estimate.value:.1f} %" if estimate.count else "-"


def _span(estimate: Estimate) -> str:
    return f"[{100.0 * estimate.low:.1f}, {100.0 * estimate.high:.1f}]" if estimate.low == estimate.low else "-"
