"""Data sets and a policy -> what it would have planned and said in their windows, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cordillera.data import layout
from cordillera.data.read import open_set
from cordillera.evaluate.open_loop import Answer, answer_of, open_loop
from cordillera.evaluate.report import to_tree
from cordillera.evaluate.suite_stats import Estimate
from cordillera.evaluate.suite_store import write_json
from cordillera.presets.policies import policy_of, seen_by
from cordillera.runtime.driver import Policy
from cordillera.types import Sample


@dataclass(frozen=True)
class ScoreJob:
    """Which policy is asked about which windows."""

    folders: tuple[Path, ...]
    policy: str
    reasoning: str = "always"
    every_s: float = 1.0  # between windows of a clip
    output: Path | None = None  # a JSON file


def score(job: ScoreJob, console: Console | None = None) -> dict[str, Estimate]:
    """One job -> the figures of `evaluate.open_loop`, printed, and written where the job says so.

    Raises ValueError for a set without recorded reasons, a policy that reads the true state, or one whose cameras the
    set lacks.
    """
    console = console or Console()
    policy = policy_of(job.policy, job.reasoning)
    answers: list[Answer] = []
    columns = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        for folder in job.folders:
            clips = open_set(folder).clips()
            for clip in progress.track(clips, description=f"{folder.name}: clips"):
                asked = windows(folder, clip, policy, job)
                answers += [answer_of(sample, policy.decide(sample.observation)) for sample in asked]
    found = open_loop(answers)
    tell(found, job, len({answer.clip_id for answer in answers}), console)
    if job.output is not None:
        facts = {"policy": job.policy, "reasoning": job.reasoning, "every_s": job.every_s}
        facts |= {"sets": [str(folder) for folder in job.folders], "windows": len(answers)}
        job.output.parent.mkdir(parents=True, exist_ok=True)
        write_json(to_tree(facts | {"figures": found}), job.output)
    return found


def windows(folder: Path, clip: str, policy: Policy, job: ScoreJob) -> Iterator[Sample]:
    """A clip -> its windows in which a reason was recorded, with the pictures that the policy reads."""
    held, (cameras, _) = open_set(folder), seen_by(policy)
    step_us = max(round(job.every_s * 1e6), 1)
    for t_us in range(layout.FIRST_T0_US, layout.LAST_T0_US + 1, step_us):
        sample = held.sample(clip, t_us, cameras)
        if sample.reasoning is not None:
            yield sample


def tell(found: dict[str, Estimate], job: ScoreJob, clips: int, console: Console) -> None:
    """Print the figures as a table."""
    count = max(value.count for value in found.values())
    table = Table(title=f"{Path(job.policy).name}, words {job.reasoning}: {count} windows of {clips} clips")
    for name, justify in (("figure", "left"), ("value", "right"), ("95 % interval over clips", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, value in found.items():
        unit = "m" if "ADE" in name else "%"
        table.add_row(name, _shown((value.value,), unit), _shown((value.low, value.high), unit))
    console.print(table)


def _shown(values: Sequence[float], unit: str) -> str:
    if not np.isfinite(values).all():
        return "nothing to measure" if len(values) == 1 else ""
    if unit == "m":
        return " to ".join(f"{value:.2f}" for value in values) + " m"
    return " to ".join(f"{100.0 * value:.1f}" for value in values) + " %"
