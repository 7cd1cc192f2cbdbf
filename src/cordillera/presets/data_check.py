"""A data set of ours -> whether its files are as they were written, and whether its reasons are true.

A clip holds its whole rollout, so everything that a trace claims can be asked of the world again: the scene is built
anew for what the cameras could see, and the expert is asked again for what a cause changed.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cordillera.data import layout
from cordillera.data.check import damaged_files
from cordillera.data.clip import Said
from cordillera.data.read import ClipSet, open_set
from cordillera.policy.rule import RuleExpert
from cordillera.presets.clip import Crew, careless, renderer_of
from cordillera.reasoning.grammar import TraceSyntaxError
from cordillera.reasoning.label import Drive
from cordillera.reasoning.match import does_lateral, does_longitudinal, offsets
from cordillera.reasoning.schema import parse, same_words
from cordillera.reasoning.verify import CHECKS, NECESSARY, Failed, verify
from cordillera.sensors.observe import Observer
from cordillera.types import ReasoningTrace, Rollout, Trajectory, WorldState
from cordillera.world.maps import load_map
from cordillera.world.world import World

SENTENCE = "sentence tells the trace"
AHEAD = layout.FUTURE
SAME_M = 0.05  # plans that differ by less are the same
EXPERT = RuleExpert().decide


@dataclass(eq=False)
class Found:
    """What was checked of the traces of a set."""

    traces: int = 0
    sound: int = 0  # traces without a failed check
    failed: Counter[str] = field(default_factory=Counter)  # by name of the check
    examples: list[tuple[str, float, str, Failed]] = field(default_factory=list)  # clip, s, text, what failed
    driven: Counter[str] = field(default_factory=Counter)  # "paths", "longitudinal", "lateral", "both"
    skipped: int = 0  # clips without a rollout
    changed: int = 0  # traces at whose moment the expert of today plans otherwise


def verify_set(folder: Path, console: Console | None = None, reasons: bool = True) -> bool:
    """Check the files of a set, and every trace of every clip; print what fails; returns whether nothing does."""
    console = console or Console()
    results = list(damaged_files(folder))
    if not results:
        raise ValueError(f"{folder}: holds no finished chunk of a set made here")
    wrong = [(name, fault) for name, fault in results if fault]
    for name, fault in wrong:
        console.print(f"{name}: {fault}", highlight=False)
    console.print(f"{len(results) - len(wrong)} of {len(results)} files are as they were written", highlight=False)
    if wrong or not reasons:
        return not wrong
    found = _all(open_set(folder), console)
    tell(found, console)
    return not found.failed


def _all(held: ClipSet, console: Console) -> Found:
    """Every clip of a set, with progress."""
    found = Found()
    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[said]}"))  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("clips", total=len(held.clips()), said="")
        for clip in held.clips():
            check_clip(held, clip, found)
            progress.update(bar, advance=1, said=f"{sum(found.failed.values())} checks of {found.traces} traces failed")
    return found


def check_clip(held: ClipSet, clip: str, found: Found) -> None:
    """Put every trace of a clip through the checks and add what comes out."""
    if not held.has(clip, layout.ROLLOUT.name):
        found.skipped += 1
        return
    with tempfile.TemporaryDirectory() as scratch:
        rollout = held.rollout(clip, Path(scratch))
    drive = Drive.of(rollout, World(rollout.scenario), Observer())
    crew = crew_of(held, clip, rollout)

    def sight(state: WorldState, target: str) -> float:
        return crew.sight(state, target) if crew else float("inf")

    for said in held.said(clip):
        k = round(said.t_us / 1e5)
        trace = _dated(said, rollout)
        plan = rollout.steps[k].output.decision.trajectory
        failed = [*_sentence(trace), *verify(trace, plan, drive, k, EXPERT, sight, careless=careless)]
        if not np.allclose(plan.xyz, drive.ask(EXPERT, k).trajectory.xyz, atol=SAME_M):
            found.changed += 1  # another version planned this, and what it would have done without a cause is not known
            failed = [f for f in failed if f.check != NECESSARY]
        found.traces += 1
        found.sound += not failed
        found.failed.update({f.check for f in failed})
        found.examples += [(clip, said.t_us * 1e-6, trace.text, f) for f in failed]
        found.driven.update(_driven(trace, drive, k))


def crew_of(held: ClipSet, clip: str, rollout: Rollout) -> Crew | None:
    """A clip and its rollout -> what sees its scene again; None for a clip without cameras."""
    if not held.has(clip, layout.INTRINSICS.name):
        return None
    scenario = rollout.scenario
    return Crew(renderer_of(scenario), held.rig(clip), [], load_map(scenario.map), defaultdict(float))


def _dated(said: Said, rollout: Rollout) -> ReasoningTrace:
    """A reason of a clip -> its trace with evidence times as the states count them."""
    start = rollout.scenario.initial.t_us
    causes = tuple(replace(c, evidence_t_us=c.evidence_t_us + start) for c in said.trace.causes)
    return replace(said.trace, causes=causes)


def _sentence(trace: ReasoningTrace) -> Iterator[Failed]:
    """Whether the sentence says what the trace says."""
    try:
        if not same_words(parse(trace.text), trace):
            yield Failed(SENTENCE, "", f"{trace.text!r} says something else")
    except TraceSyntaxError as error:
        yield Failed(SENTENCE, "", str(error))


def _driven(trace: ReasoningTrace, drive: Drive, k: int) -> Iterator[str]:
    """Whether what was driven afterwards still does what was decided; plans may change, so this is no check."""
    states = drive.states[k : k + AHEAD + 1]
    if len(states) <= AHEAD:
        return
    path = Trajectory(
        np.array([s.t_us for s in states]),
        np.stack([s.ego.xyz for s in states]),
        np.stack([s.ego.quat_xyzw for s in states]),
        "world",
    )
    yield "paths"
    along = does_longitudinal(trace.longitudinal, path)
    across = does_lateral(trace.lateral, trace.side, path, offsets(path, states[0].ego, drive.world))
    yield from (name for name, holds in (("longitudinal", along), ("lateral", across), ("both", along and across))
                if holds)  # fmt: skip


def tell(found: Found, console: Console, examples: int = 12) -> None:
    """Say what failed, by name, with some examples."""
    table = Table(box=None, pad_edge=False)
    for name in ("check", "failed", "of traces"):
        table.add_column(name, justify="left" if name == "check" else "right")
    for check in (SENTENCE, *CHECKS):
        count = found.failed[check]
        table.add_row(check, str(count), f"{100 * count / max(found.traces, 1):.1f} %")
    console.print(table)
    for clip, at_s, text, fault in found.examples[:examples]:
        console.print(
            f"{clip[:8]} {at_s:5.1f} s  {fault.check}: {fault.cause} {fault.why}\n    {text!r}", highlight=False
        )
    console.print(f"{found.sound} of {found.traces} traces pass every check", highlight=False)
    if paths := found.driven["paths"]:
        shares = ", ".join(f"{100 * found.driven[n] / paths:.1f} % {n}" for n in ("longitudinal", "lateral", "both"))
        console.print(f"What was then driven for 6.4 s does what was decided: {shares} of {paths}", highlight=False)
    if found.changed:
        text = f"At {found.changed} the expert plans otherwise today; whether their causes were necessary is not known"
        console.print(text, highlight=False)
    if found.skipped:
        console.print(f"{found.skipped} clips hold no rollout, so their reasons cannot be asked again", highlight=False)
