"""Data sets as jobs: generate clips of the expert's driving, and say what is in a set and whether it is whole."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cordillera.data import layout
from cordillera.data.read import open_set
from cordillera.data.write import ledger_path, put, read_ledgers, write_chunk, write_index
from cordillera.evaluate.suite_pool import each_in_processes, each_on_ray
from cordillera.presets.clip import MAPS, Made, Order, Spent, make_clip
from cordillera.world.scenarios import FAMILIES

AHEAD = 256  # clips under way on a cluster: what is made waits in memory for its chunk
PLAN = Path("world/plan.json")  # what the set is made of: it rebuilds the set, and keeps two plans from mixing


@dataclass(frozen=True)
class DataJob:
    """What to generate. The same job gives the same bytes."""

    output: Path
    clips: int = 25
    families: tuple[str, ...] = ("maps:karlsruhe",)
    regions: tuple[str, ...] = ("",)  # "" is each family's own
    split: str = "train"
    cameras: tuple[str, ...] = ("camera_front_wide_120fov", "camera_front_tele_30fov")
    size: tuple[int, int] = (256, 160)
    seed: int = 0
    workers: int = 1
    ray: bool = False  # on a Ray cluster instead of this machine's processes
    crf: int = 20
    chunk_clips: int = layout.CHUNK_CLIPS


@dataclass(frozen=True)
class DataResult:
    folder: Path
    clips: int
    made: int  # in this call
    rejected: tuple[tuple[str, int], ...]
    verdicts: tuple[tuple[str, int], ...]  # of the causes that the labeller tested
    seconds: tuple[tuple[str, float], ...]


def orders_of(job: DataJob) -> list[Order]:
    """A job -> its clips in order: families and regions take turns, every clip with a seed of its own.

    A family takes only those of the regions in which it happens; ValueError where none of them has any.
    """
    if job.clips < 1 or not job.families:
        raise ValueError(f"data: {job.clips} clips of {len(job.families)} families; give at least one of each")
    places = [(family, _regions(family, job.regions or ("",))) for family in job.families]
    places = [(family, regions) for family, regions in places if regions]
    if not places:
        raise ValueError(f"data: no family of {', '.join(job.families)} happens in {', '.join(job.regions)}")
    orders = []
    for k in range(job.clips):
        turn, n = divmod(k, len(places))
        family, regions = places[n]
        region = regions[(n + turn) % len(regions)]  # so that few clips of many families meet all regions
        seed = job.seed * 1_000_000 + k
        orders.append(Order(family, region, job.split, seed, job.cameras, job.size, job.crf))
    return orders


def _regions(family: str, regions: Sequence[str]) -> list[str]:
    """The regions in which a family happens; a map's own traffic is taken anywhere."""
    if family.startswith(MAPS):
        return list(regions)
    if family not in FAMILIES:
        raise ValueError(f"family {family!r} is not known: give {MAPS}NAME or some of {', '.join(FAMILIES)}")
    return [region for region in regions if not region or region in FAMILIES[family].regions]


# ---------------------------------------------------------------------- a set


def generate(job: DataJob, console: Console | None = None) -> DataResult:
    """One job -> a data set in its folder.

    Chunks that are finished are kept when the job is given again after an interruption or a kill. Raises ValueError
    where the folder holds a set of another job.
    """
    console = console or Console()
    orders = orders_of(job)
    _claim(job)
    chunks = [orders[k : k + job.chunk_clips] for k in range(0, len(orders), job.chunk_clips)]
    todo = [k for k in range(len(chunks)) if not ledger_path(job.output, k).is_file()]
    rejected, verdicts, made = Counter[str](), Counter[str](), 0
    spent: Spent = defaultdict(float)
    columns = (
        TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("clips", total=len(orders), said="the first run compiles")
        progress.update(bar, completed=sum(len(chunks[k]) for k in range(len(chunks)) if k not in todo))
        for k, outcomes in _in_chunks(chunks, todo, job, lambda said: progress.update(bar, advance=1, said=said)):
            for outcome in outcomes:
                rejected.update(outcome.rejected)
                verdicts.update(dict(outcome.verdicts))
                for name, seconds in outcome.seconds:
                    spent[name] += seconds
            clips = [outcome.clip for outcome in outcomes if outcome.clip is not None]
            if not clips:
                raise ValueError(f"data: none of the {len(outcomes)} clips of chunk {k} lasted 20 s: {dict(rejected)}")
            mark = time.process_time()
            write_chunk(job.output, k, clips)
            made += len(clips)
            if k % (1 + len(chunks) // 100) == 0:  # a set can be read while it grows
                write_index(job.output)
            spent["write"] += time.process_time() - mark
    total = write_index(job.output)
    result = DataResult(job.output, total, made, tuple(rejected.items()), tuple(verdicts.items()), tuple(spent.items()))
    tell(result, console)
    return result


def _claim(job: DataJob) -> None:
    """Write the job's plan into its folder, or compare it with the one that is there."""
    plan = json.loads(json.dumps(_what(dataclasses.asdict(replace(job, output=Path())))))
    path = job.output / PLAN
    if path.is_file() and _what(json.loads(path.read_text())) != plan:
        raise ValueError(f"{path}: this folder holds another set; give another --output, or delete it")
    put(path, json.dumps(plan, indent=1).encode())


def _what(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan without where and how it is made, which is no part of what is made."""
    return {name: value for name, value in plan.items() if name not in ("output", "workers", "ray")}


def _in_chunks(
    chunks: Sequence[Sequence[Order]], todo: Sequence[int], job: DataJob, tick: Callable[[str], object]
) -> Iterator[tuple[int, list[Made]]]:
    """Orders by chunk -> each chunk's outcomes when all of them are there, in the order of the orders.

    Raises ValueError for a clip that could not be made; the chunks before it are kept.
    """
    waiting = [(k, n) for k in todo for n in range(len(chunks[k]))]
    held: dict[int, dict[int, Made]] = {}
    for number, outcome in _made([chunks[k][n] for k, n in waiting], job):
        k, n = waiting[number]
        order = chunks[k][n]
        if isinstance(outcome, Exception):
            what = f"{order.family}, region {order.region or 'its own'}, seed {order.seed}"
            raise ValueError(f"data: the clip {what} could not be made: {outcome!r}") from outcome
        held.setdefault(k, {})[n] = outcome
        tick(outcome.clip.meta.family if outcome.clip else f"given up: {', '.join(outcome.rejected)}")
        if len(held[k]) == len(chunks[k]):
            outcomes = held.pop(k)
            yield k, [outcomes[m] for m in range(len(chunks[k]))]


def _made(orders: Sequence[Order], job: DataJob) -> Iterator[tuple[int, Made | Exception]]:
    """Orders -> what became of each, with its number, as they come: here, in processes, or on a cluster."""
    if job.ray:
        return each_on_ray(make_clip, orders, ahead=AHEAD)
    if job.workers > 1:
        return each_in_processes(make_clip, orders, job.workers)
    return ((number, make_clip(order)) for number, order in enumerate(orders))


def tell(result: DataResult, console: Console) -> None:
    """Say what was made and where the time went."""
    console.print(f"{result.made} clips made, {result.clips} in [bold]{result.folder}[/bold]", highlight=False)
    if result.made:
        total = sum(seconds for _, seconds in result.seconds)
        parts = ", ".join(f"{name} {100 * seconds / total:.0f} %" for name, seconds in result.seconds)
        console.print(f"{3600 * result.made / total:.0f} clips an hour of one core; {parts}.", highlight=False)
    if result.verdicts:
        tests = ", ".join(f"{count} {verdict}" for verdict, count in result.verdicts)
        console.print(f"Causes tested: {tests}.", highlight=False)
    if result.rejected:
        ends = ", ".join(f"{count} {ended}" for ended, count in result.rejected)
        console.print(f"Rejected drives, which ended before their 20 s: {ends}.", highlight=False)


# ------------------------------------------------------------------ look at it


def inspect(folder: Path, console: Console | None = None) -> None:
    """Print what each clip of a set holds."""
    console = console or Console()
    held = open_set(folder)
    table = Table(box=None, pad_edge=False)
    for column in ("clip", "split", "family", "country", "hour", "weather", "reasons", "keyframes", "features"):
        table.add_column(column)
    entries = {e["clip_id"]: e for ledger in read_ledgers(folder) for e in ledger["clips"]}
    for clip in held.clips():
        said = held.said(clip)
        entry = entries.get(clip, {})
        words = [str(entry.get(name, "")) for name in ("family", "country", "hour_of_day", "weather")]
        count = sum(held.has(clip, name) for name in held.features)
        table.add_row(
            clip[:8], held.index[clip][1], *words, str(len(said)), str(sum(s.keyframe for s in said)), str(count)
        )  # fmt: skip
    console.print(table)


def stats(folder: Path, console: Console | None = None) -> None:
    """Print how a set is balanced over decisions, causes, families and regions."""
    console = console or Console()
    held = open_set(folder)
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("longitudinal", "lateral", "causes", "keyframes")}
    for clip in held.clips():
        for said in held.said(clip):
            trace = said.trace
            counts["longitudinal"][trace.longitudinal.value if trace.longitudinal else "none"] += 1
            counts["lateral"][trace.lateral.value if trace.lateral else "none"] += 1
            counts["causes"].update(cause.kind for cause in trace.causes)
            if said.keyframe:
                counts["keyframes"][trace.longitudinal.value if trace.longitudinal else "none"] += 1
    for name in ("family", "country", "weather", "split"):
        counts[name] = Counter(str(e[name]) for ledger in read_ledgers(folder) for e in ledger["clips"])
    for name, counter in counts.items():
        total = sum(counter.values())
        table = Table(box=None, pad_edge=False, title=f"{name} ({total})", title_justify="left")
        table.add_column(name)
        table.add_column("count", justify="right")
        table.add_column("share", justify="right")
        for key, count in counter.most_common():
            table.add_row(key, str(count), f"{100 * count / max(total, 1):.1f} %")
        console.print(table)
