"""How true labels are: `python recipes/label_table.py FOLDER` prints the tables of a generated data set.

Share of the expert's decisions with a cause that stands the but-for test, what each test rejected, how well a plain
heuristic (the nearest agent ahead) finds these causes, and how decisions, causes and regions are balanced. Everything
is read from the set: how each cause stood its tests is kept with the traces.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cordillera.data.clip import Said
from cordillera.data.read import open_set
from cordillera.reasoning.label import FIXED, IDLE, KEPT, LATE, UNSEEN
from cordillera.reasoning.verify import Score, nearest_ahead, score
from cordillera.types import Cause

THINGS = ("agent:", "signal:")


@dataclass
class Counts:
    """What is counted over a set."""

    clips: int = 0
    decisions: int = 0
    with_cause: int = 0
    with_speed_cause: int = 0  # of the decision on speed
    joint: int = 0  # decisions with two causes or more of which each would do
    verdicts: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind of cause, verdict
    balance: dict[str, Counter[str]] = field(default_factory=dict)
    guessed: list[Sequence[Cause]] = field(default_factory=list)
    true: list[Sequence[Cause]] = field(default_factory=list)

    def add(self, said: Said, guess: Sequence[Cause]) -> None:
        """One label and what the heuristic says at its moment."""
        kept = [t.cause for t in said.tested if t.verdict == KEPT]
        self.decisions += 1
        self.with_cause += bool(kept)
        self.with_speed_cause += any(c.axis != "lateral" and c.kind != "route" for c in kept)
        self.joint += any(c.jointly for c in kept)
        for tested in said.tested:
            self.verdicts[tested.verdict] += 1
            self.by_kind[tested.cause.kind, tested.verdict] += 1
        trace = said.trace
        self.count("longitudinal", trace.longitudinal.value if trace.longitudinal else "none")
        self.count("lateral", trace.lateral.value if trace.lateral else "none")
        for cause in trace.causes:
            self.count("cause", cause.kind)
        if said.keyframe:
            self.count("keyframe", said.event or "keyframe")
        self.guessed.append(guess)
        self.true.append([c for c in kept if c.target.startswith(THINGS)])

    def count(self, table: str, name: str) -> None:
        self.balance.setdefault(table, Counter())[name] += 1


def counted(folder: Path, console: Console) -> Counts:
    """A set -> its counts."""
    held, out = open_set(folder), Counts()
    for clip in track(held.clips(), "clips", console=console, transient=True):
        with tempfile.TemporaryDirectory() as scratch:
            rollout = held.rollout(clip, Path(scratch))
        out.clips += 1
        out.count("region", rollout.scenario.region)
        out.count("family", rollout.scenario.family or rollout.scenario.map)
        start = rollout.scenario.initial.t_us
        states = {step.state.t_us - start: step.state for step in rollout.steps}
        for said in held.said(clip):
            out.add(said, nearest_ahead(states[said.t_us]))
    return out


def shares(title: str, counter: Counter[str], most: int = 60) -> Table:
    """Counts by name -> a table with shares."""
    table = Table(title, "count", "share", box=None)
    for name, count in counter.most_common(most):
        table.add_row(name, str(count), f"{100 * count / sum(counter.values()):.1f} %")
    return table


def told(found: Score) -> str:
    return (
        f"precision {found.precision:.2f}, recall {found.recall:.2f} "
        f"({found.hits} hits, {found.named} guessed, {found.true} true)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set made by `cordillera data generate`")
    console = Console(highlight=False)
    found = counted(parser.parse_args().folder, console)
    console.print(f"{found.clips} clips, {found.decisions} decisions of the expert (2 Hz and keyframes)")
    every = max(found.decisions, 1)
    for text, count in (
        ("with at least one but-for cause", found.with_cause), ("with one for the speed", found.with_speed_cause),
        ("with causes of which each would do", found.joint),
    ):  # fmt: skip
        console.print(f"  {text}: {count} ({100 * count / every:.1f} %)")
    console.print(shares("causes tested", found.verdicts))
    table = Table("kind of cause", KEPT, UNSEEN, LATE, IDLE, FIXED, box=None)
    for kind in sorted({kind for kind, _ in found.by_kind}):
        table.add_row(kind, *(str(found.by_kind[kind, verdict]) for verdict in (KEPT, UNSEEN, LATE, IDLE, FIXED)))
    console.print(table)
    console.print(f"nearest agent ahead, against causes that are things: {told(score(found.guessed, found.true))}")
    agents = [[c for c in causes if c.target.startswith("agent:")] for causes in found.true]
    console.print(f"nearest agent ahead, against causes that are agents: {told(score(found.guessed, agents))}")
    for name, counter in found.balance.items():
        console.print(shares(name, counter))


if __name__ == "__main__":
    main()
