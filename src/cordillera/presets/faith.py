"""The faithfulness bench as a job: a policy and a number of events in; a folder with figures, a page and films out."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import cordillera
from cordillera.evaluate.faith_page import write_faith_page
from cordillera.evaluate.faith_report import FaithReport, make_faith_report, telling
from cordillera.evaluate.faith_store import FaithStore, to_json
from cordillera.evaluate.faithful import Event, FaithConfig, Measured
from cordillera.evaluate.faithful_events import Found, choose, donors
from cordillera.evaluate.faithful_stats import Figure, summarise
from cordillera.evaluate.faithful_words import Spoken
from cordillera.evaluate.report import to_tree
from cordillera.evaluate.suite import SPLITS
from cordillera.evaluate.suite_pool import each_in_processes
from cordillera.evaluate.suite_store import stamp_of, write_json
from cordillera.presets.bench import source_of
from cordillera.presets.faith_case import Asking, FaithTask, measured, policy_of, survey
from cordillera.presets.faith_film import film_pair
from cordillera.presets.policies import seen_by
from cordillera.world.scenarios import FAMILIES

MORE = 1.5  # drives that are surveyed for every event that is wanted
SURVEYED = ("world", "policy", "sensors", "runtime", "reasoning", "types", "loop.py", "geometry.py", "kinematics.py")


@dataclass(frozen=True)
class FaithJob:
    """Who is asked about how many events, from where, and where the results go."""

    policy: str = "expert"
    events: int = 40
    families: tuple[str, ...] = ()  # all
    split: str = "test"
    seeds: int = 0  # drives of each family that are looked through; 0: as many as it takes
    cameras: tuple[str, ...] = ()  # those that the policy was trained with; none for one that reads the world's state
    size: tuple[int, int] = (384, 216)
    closed_loop_s: float = 6.0
    workers: int = 0  # as many as there are cores
    films: int = 3  # of each kind of failure
    output: Path = Path("runs/faith")
    patience_s: float = 1800.0  # for one event


@dataclass(frozen=True, eq=False)
class FaithResult:
    folder: Path
    report: FaithReport
    page: Path


def faith(job: FaithJob, console: Console | None = None) -> FaithResult:
    """One job -> its folder: faith.json, faith.html, events/ and survey/ with a file each, videos/.

    What is finished is in the folder when the job is given again after it was interrupted or killed, and is not done
    twice. Raises ValueError for an unknown policy, family or split, NullArmError where asking twice gave two answers,
    KeyboardInterrupt on Ctrl-C.
    """
    console = console or Console()
    policy = policy_of(job.policy)
    cameras, size = seen_by(policy)
    job = replace(job, cameras=job.cameras or cameras, size=size or job.size)
    asking = Asking(job.policy, job.cameras, job.size, FaithConfig(closed_loop_s=job.closed_loop_s))
    store = store_of(job, asking)
    began = time.perf_counter()
    found = _surveyed(job, store, console)
    events = choose(found, job.events)
    tasks = [FaithTask(asking, event, donors(found, event)) for event in events]
    results = _measured(tasks, store, job, console)
    spent_s = time.perf_counter() - began
    summary = summarise(job.policy, results, isinstance(policy, Spoken))
    report = make_faith_report(summary, results, _provenance(job, len(found), results, spent_s))
    write_json(to_tree(report), job.output / "faith.json")
    write_json([to_json(m) for m in results], job.output / "events.json")
    of = {task.event: task for task in tasks}
    shown = telling(results, job.films)
    with console.status(f"filming {len(shown)} events"):
        films = [film_pair(of[case.measured.event], case, job.output / "videos") for case in shown]
    page = write_faith_page(report, films, job.output)
    tell(report, page, console)
    return FaithResult(job.output, report, page)


def store_of(job: FaithJob, asking: Asking) -> FaithStore:
    """A job -> its folder, with the stamps of what made its files."""
    root = Path(cordillera.__file__).parent
    own = source_of(job.policy)
    seen, bench = [root / name for name in SURVEYED], sorted((root / "evaluate").glob("faithful*.py"))
    stamp = stamp_of([repr(asking)], [*seen, *bench, root / "presets" / "faith_case.py", *([own] if own else [])])
    return FaithStore(job.output, stamp_of(["survey"], [*seen, root / "evaluate" / "faithful_events.py"]), stamp)


def places_of(job: FaithJob) -> list[Event]:
    """A job -> the drives that are looked through for moments; ValueError for what is not known."""
    families = job.families or tuple(FAMILIES)
    if unknown := [name for name in families if name not in FAMILIES]:
        raise ValueError(f"family {unknown[0]!r} is not known: give some of {', '.join(FAMILIES)}")
    if job.split not in SPLITS:
        raise ValueError(f"split {job.split!r} is not known: give one of {', '.join(SPLITS)}")
    if job.events < 1:
        raise ValueError("events: give at least 1")
    seeds = job.seeds or max(1, math.ceil(MORE * job.events / len(families)))
    places = [Event(name, "", job.split, seed, 0) for seed in range(seeds) for name in families]
    return places if job.seeds else places[: max(math.ceil(MORE * job.events), len(families))]


def _surveyed(job: FaithJob, store: FaithStore, console: Console) -> list[Found]:
    """The moments of all drives, those of finished ones from the store."""
    places = places_of(job)
    held = {place: found for place in places if (found := store.get_survey(place)) is not None}

    def keep(place: Event, found: tuple[Found, ...] | Exception) -> str:
        if isinstance(found, Exception):
            raise RuntimeError(f"the expert's drive of {place.family}, seed {place.seed}, failed") from found
        store.put_survey(place, found)
        held[place] = found
        return f"{place.family}: {len(found)} moments"

    todo = [place for place in places if place not in held]
    _work(survey, todo, len(places) - len(todo), "looking for moments", keep, job, console)
    return [f for place in places for f in held[place]]


def _measured(tasks: Sequence[FaithTask], store: FaithStore, job: FaithJob, console: Console) -> list[Measured]:
    """All events measured, those in the store taken from there."""
    held = {task.event: found for task in tasks if (found := store.get(task.event)) is not None}

    def keep(task: FaithTask, found: Measured | Exception) -> str:
        if isinstance(found, Exception):
            found = Measured(task.event, error=f"{type(found).__name__}: {found}")
        store.put(found)
        held[task.event] = found
        return f"{task.event.family}: {found.cell or 'crashed'}"

    todo = [task for task in tasks if task.event not in held]
    _work(measured, todo, len(tasks) - len(todo), "asking", keep, job, console)
    return [held[task.event] for task in tasks]


def _work(
    function: Callable[[Any], Any], items: Sequence[Any], done: int, name: str, keep: Callable[[Any, Any], str],
    job: FaithJob, console: Console,
) -> None:  # fmt: skip
    """Items through a function, here or in processes, each kept as it comes, with progress."""
    columns = (
        TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    workers = min(job.workers or os.cpu_count() or 1, len(items))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(name, total=done + len(items), completed=done, said="the first run compiles")
        several = each_in_processes(function, items, workers, job.patience_s) if workers > 1 else _here(function, items)
        for k, value in several:
            progress.update(bar, advance=1, said=keep(items[k], value))


def _here(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    yield from ((k, function(item)) for k, item in enumerate(items))


def _provenance(
    job: FaithJob, moments: int, results: Sequence[Measured], spent_s: float
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    each = sorted(m.took_s for m in results)[len(results) // 2]
    return (
        ("policy", job.policy),
        ("events", f"{len(results)} of {moments} moments of the expert's drives"),
        ("split", job.split),
        ("families", str(len({m.event.family for m in results}))),
        ("cameras", ", ".join(job.cameras) or "none: it reads the state of the world"),
        ("program", f"cordillera {cordillera.__version__}"),
        ("runs on", f"Python {platform.python_version()}, {platform.machine()}"),
        ("an event takes", f"{each:.1f} s of one core (median)"),
        ("finished", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("this call took", f"{spent_s:.0f} s"),
    )


def tell(report: FaithReport, page: Path, console: Console) -> None:
    """Print the table of what the world did and the words say, and the figures."""
    summary = report.summary
    console.print(", ".join(f"{count} {cell}" for cell, count in summary.cells), highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    for column in ("value", "95 % interval", "aim"):
        table.add_column(column, justify="right")
    for figure in summary.figures:
        table.add_row(figure.name, said(figure), _span(figure), report.aims.get(figure.key, ""))
    console.print(table)
    console.print(f"Arm without a change: {summary.null_m:g} m. Crashed: {summary.crashed}.", highlight=False)
    console.print(f"Open [bold]{page}[/bold]", highlight=False, soft_wrap=True)


def said(figure: Figure) -> str:
    """A figure -> its value in words."""
    value = figure.estimate.value
    if math.isnan(value):
        return "not measurable"
    return f"{100 * value:.1f} %" if figure.unit == "share" else f"{value:.2f} {figure.unit}"


def _span(figure: Figure) -> str:
    low, high = figure.estimate.low, figure.estimate.high
    if math.isnan(low):
        return ""
    return f"{100 * low:.1f} to {100 * high:.1f}" if figure.unit == "share" else f"{low:.2f} to {high:.2f}"
