"""Drives of the expert -> the moments that a policy is asked about: balanced over decisions and kinds of cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from cordillera.evaluate.faithful import Event
from cordillera.evaluate.faithful_heard import STANDS
from cordillera.reasoning.schema import axis_of
from cordillera.types import Lateral, ReasoningTrace, Rollout

FIRST_TICK = 20  # before it, the observed past would lie before the drive
SETTLED = 3  # ticks that a decision must hold to be one, and after which it is asked about
EVERYDAY = 0.25  # share of events in which nothing in the world asks for anything


@dataclass(frozen=True)
class Found:
    """A moment of a drive that can be asked about, and what the expert said then."""

    event: Event
    text: str


def moments(rollout: Rollout, event: Event) -> tuple[Found, ...]:
    """A drive of the expert and where it is -> one moment of each decision with its kind of cause: its first onset."""
    found: dict[tuple[str, str], Found] = {}
    steps = rollout.steps
    at = 0
    for what, run in groupby(steps, key=lambda step: _what(step.output.decision.reasoning)):
        length = len(list(run))
        k = max(at + SETTLED, FIRST_TICK)
        if what is not None and k < at + length and what not in found:
            trace = steps[k].output.decision.reasoning
            asked = Event(event.family, event.region, event.split, event.seed, k, *what)
            found[what] = Found(asked, trace.text if trace else "")
        at += length
    return tuple(found.values())


def _what(trace: ReasoningTrace | None) -> tuple[str, str] | None:
    """A trace -> the decision that a thing in the world caused, and its kind; without one, the decision on speed."""
    if trace is None:
        return None
    for cause in trace.causes:
        if cause.target.startswith(STANDS):
            lateral = axis_of(cause, trace.longitudinal, trace.lateral) == "lateral"
            return str((trace.lateral if lateral else trace.longitudinal) or ""), cause.kind
    if trace.lateral not in (None, Lateral.LANE_KEEPING):
        return str(trace.lateral), ""
    return str(trace.longitudinal or ""), ""


def choose(found: Sequence[Found], count: int) -> tuple[Event, ...]:
    """Moments -> so many of them: a quarter everyday, the rest in turns over decisions and kinds, rare ones first.

    Of equal moments the one of the drive that was used least is taken. ValueError without any.
    """
    if not found:
        raise ValueError("no moment was found to ask about: give more seeds or other families")
    everyday = [f.event for f in found if not f.event.kind]
    others = [f.event for f in found if f.event.kind]
    quiet = min(round(EVERYDAY * count), len(everyday))
    used: Counter[tuple[str, str, int]] = Counter()
    chosen = [*_in_turns(others, count - quiet, used), *_in_turns(everyday, quiet, used)]
    return tuple(sorted(chosen))


def _in_turns(events: Sequence[Event], count: int, used: Counter[tuple[str, str, int]]) -> list[Event]:
    groups: dict[tuple[str, str], list[Event]] = {}
    for event in sorted(events):
        groups.setdefault((event.decision, event.kind), []).append(event)
    order = sorted(groups, key=lambda key: (len(groups[key]), key))
    chosen: list[Event] = []
    while len(chosen) < count and any(groups.values()):
        for key in order:
            if groups[key] and len(chosen) < count:
                best = min(
                    groups[key], key=lambda e: (used[e.family, e.region, e.seed], used[e.family, "", -1], e.seed)
                )
                groups[key].remove(best)
                used[_drive(best)] += 1
                used[best.family, "", -1] += 1
                chosen.append(best)
    return chosen


def _drive(event: Event) -> tuple[str, str, int]:
    return event.family, event.region, event.seed


def donors(found: Sequence[Found], event: Event, count: int = 40) -> tuple[str, ...]:
    """All moments and an event -> true sentences from other families, each once."""
    texts = dict.fromkeys(f.text for f in found if f.event.family != event.family and f.text)
    names = sorted(texts)
    return tuple(names[:: max(len(names) // count, 1)][:count])
