"""The sentences of reasoning traces: meanings -> English, English -> meanings, and what may come next.

The grammar is data: right-linear productions, each "in this state this text may come, it means this, and that state
follows". Writer, parser and constrained decoding all walk the same table, so they cannot disagree.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from cordillera.reasoning.kinds import KINDS
from cordillera.reasoning.relations import RELATIONS
from cordillera.types import Lateral, Longitudinal

MAX_CAUSES = 4  # in one sentence, for either decision
BUCKETS_M = (5, 10, 20, 40, 80)  # distances that a sentence tells, each "about"
LINKS = (" since", " because", " as")

# "|" divides words of the vocabulary. After "+" the object of the action may or must follow: the first cause.
LONGITUDINAL: dict[Longitudinal | None, tuple[str, ...]] = {
    None: ("Drive on", "Go on"),
    Longitudinal.SET_SPEED: ("Keep the set speed", "Drive at the set speed", "Hold the speed"),
    Longitudinal.FOLLOW_LEAD: ("Keep a safe gap", "Keep a safe gap| to+", "Follow+"),
    Longitudinal.SPEED_ADAPTATION: ("Adapt the speed", "Adapt the speed| to+", "Adjust the speed", "Slow down| for+"),
    Longitudinal.GAP_SEARCH: ("Look for a gap", "Search for a gap"),
    Longitudinal.OVERTAKE: ("Accelerate to pass", "Accelerate to pass+", "Speed up to overtake"),
    Longitudinal.YIELD: ("Yield", "Yield| to+", "Give way", "Give way| to+"),
    Longitudinal.STOP: ("Stop", "Stop| for+", "Come to a stop"),
}
LATERAL: dict[Lateral, tuple[str, ...]] = {
    Lateral.LANE_KEEPING: ("keep the lane", "stay in the lane"),
    Lateral.MERGE_SPLIT: ("merge", "merge| to the {side}"),
    Lateral.OUT_OF_LANE_NUDGE: ("move| across the lane line", "move| to the {side}| across the lane line"),
    Lateral.IN_LANE_NUDGE: ("move| within the lane", "move| to the {side}| within the lane"),
    Lateral.LANE_CHANGE: ("change lanes", "change lanes| to the {side}", "change to the {side} lane"),
    Lateral.PULL_OVER: ("pull over", "pull over| to the {side}"),
    Lateral.TURN: ("turn", "take the turn", "turn| {side}", "take the turn| to the {side}"),
    Lateral.ABORT: ("break off the manoeuvre", "abort the manoeuvre"),
}

State = tuple[str | int, ...]
Meaning = tuple[str, object]  # ("longitudinal" | "lateral" | "side" | "kind" | "relation" | "distance" | "also", value)
START: State = ("start",)
END: State = ("end",)


class TraceSyntaxError(ValueError):
    """A text that is no trace: `position` is where it goes wrong, `expected` what could stand there."""

    def __init__(self, text: str, position: int, expected: Sequence[str]) -> None:
        self.position, self.expected = position, tuple(expected)
        shown = ", ".join(repr(piece) for piece in self.expected[:8]) + (", ..." if len(expected) > 8 else "")
        found = repr(text[position : position + 24]) if position < len(text) else "the end of the text"
        super().__init__(f"not a reasoning trace: at position {position} found {found}, expected {shown}")


@dataclass(frozen=True)
class Production:
    """In `state` the text may come; it has these meanings, and `then` follows."""

    state: State
    text: str
    means: tuple[Meaning, ...]
    then: State


def _chain(state: State, words: str, means: tuple[Meaning, ...], then: State) -> Iterator[Production]:
    """Words divided by "|" -> productions one after the other; the meaning comes with the last."""
    pieces = words.split("|")
    for k, piece in enumerate(pieces):
        last = k == len(pieces) - 1
        follows = then if last else (*state, "|".join(pieces[: k + 1]), *(str(value) for _, value in means))
        yield Production(state, piece, means if last else (), follows)
        state = follows


def _decisions() -> Iterator[Production]:
    """The decision on speed, or the lateral one alone; a lateral one may follow."""
    for decision, texts in LONGITUDINAL.items():
        for text in texts:
            then: State = ("object",) if text.endswith("+") else ("said", "longitudinal")
            yield from _chain(START, text.removesuffix("+"), (("longitudinal", decision),), then)
    for decision, texts in LATERAL.items():
        for text in texts:
            for side in ("left", "right") if "{side}" in text else ("",):
                words = text.format(side=side)
                means: tuple[Meaning, ...] = (("lateral", decision), ("side", side))
                said: State = ("said", "lateral")
                yield from _chain(START, words[0].upper() + words[1:], (("longitudinal", None), *means), said)
                yield from _chain(("second",), f" {words}", means, said)


def _objects() -> Iterator[Production]:
    """The first cause as the object of the action on speed: "to the cyclist since it ..."."""
    for kind, row in KINDS.items():
        yield Production(("object",), f" the {row.noun}", (("kind", kind),), ("named", kind))
        for link in LINKS:
            yield Production(("named", kind), link, (), ("it", kind))
        yield Production(("it", kind), " it", (), ("relation", "longitudinal", 0, kind))


def _causes(axis: str) -> Iterator[Production]:
    """The causes of one decision, up to the full stop."""
    for link in LINKS:
        yield Production(("said", axis), link, (), ("subject", axis, 0))
        for n in range(1, MAX_CAUSES):
            yield Production(("also", axis, n), link, (("also", True),), ("subject", axis, n))
    for kind, row in KINDS.items():
        means: tuple[Meaning, ...] = (("kind", kind),)
        for n in range(MAX_CAUSES):
            subject: State = ("relation", axis, n, kind)
            yield Production(("subject", axis, n), f" the {row.noun}", means, subject)
            if n:
                yield Production(("and", axis, n), f" the {row.noun}", means, subject)
            for key in row.relations:
                for text in RELATIONS[key].en:
                    yield from _chain(subject, f" {text}", (("relation", key),), ("told", axis, n + 1))
    for n in range(1, MAX_CAUSES + 1):
        for metres in BUCKETS_M:
            yield Production(("told", axis, n), f", about {metres} m away", (("distance", metres),), ("far", axis, n))
        for name in ("told", "far"):
            if n < MAX_CAUSES:
                yield Production((name, axis, n), " and", (), ("and", axis, n))
            yield from _closing((name, axis, n), axis)
        if n < MAX_CAUSES:
            yield Production(("and", axis, n), " also", (), ("also", axis, n))
    yield from _closing(("said", axis), axis)


def _closing(state: State, axis: str) -> Iterator[Production]:
    """The full stop, or the second decision."""
    yield Production(state, ".", (), END)
    if axis == "longitudinal":
        yield Production(state, ", and", (), ("second",))


def _table() -> dict[State, tuple[Production, ...]]:
    rows: dict[State, dict[Production, None]] = {}
    for production in (*_decisions(), *_objects(), *_causes("longitudinal"), *_causes("lateral")):
        rows.setdefault(production.state, {})[production] = None
    return {state: tuple(found) for state, found in rows.items()}


PRODUCTIONS: dict[State, tuple[Production, ...]] = _table()


# ---------------------------------------------------------------- meanings -> text


def phrase(meanings: Sequence[Meaning], seed: int = 0) -> str:
    """Meanings in the order of a sentence -> one wording, chosen by the seed; ValueError where there is none."""
    found = _walk(START, tuple(meanings), seed)
    if found is None:
        raise ValueError(f"no sentence says {list(meanings)}; see reasoning/kinds.py for what a cause may be and do")
    return found


def _walk(state: State, left: tuple[Meaning, ...], seed: int, depth: int = 0) -> str | None:
    """The text from a state to the end that means exactly what is left to say; depth first, in the seed's order."""
    if state == END:
        return None if left else ""
    options = [p for p in PRODUCTIONS[state] if p.means == left[: len(p.means)]]
    for option in sorted(options, key=lambda p: zlib.crc32(f"{seed}/{depth}/{p.text}/{p.then}".encode())):
        rest = _walk(option.then, left[len(option.means) :], seed, depth + 1)
        if rest is not None:
            return option.text + rest
    return None


# ---------------------------------------------------------------- text -> meanings


def readings(text: str) -> tuple[tuple[Meaning, ...], ...]:
    """A sentence -> every way to read it (one, as the tests show). Raises TraceSyntaxError."""
    places, _ = _read(text)
    found = tuple(dict.fromkeys(means for state, means in places.get(len(text), ()) if state == END))
    if not found:
        raise TraceSyntaxError(text, *_fault(text, places))
    return found


def _read(text: str) -> tuple[dict[int, list[tuple[State, tuple[Meaning, ...]]]], set[str]]:
    """A text -> the states (with meanings) that are reached at each position, and what may come at its end."""
    places: dict[int, list[tuple[State, tuple[Meaning, ...]]]] = {0: [(START, ())]}
    onward: set[str] = set()
    for at in range(len(text) + 1):
        for state, means in places.get(at, ()):
            if at == len(text) and state == END:
                onward.add("")
            for p in PRODUCTIONS.get(state, ()):
                if text.startswith(p.text, at):
                    places.setdefault(at + len(p.text), []).append((p.then, (*means, *p.means)))
                elif p.text.startswith(text[at:]):
                    onward.add(p.text[len(text) - at :])
    return places, onward


def _fault(text: str, places: dict[int, list[tuple[State, tuple[Meaning, ...]]]]) -> tuple[int, list[str]]:
    """Where a text stops being a beginning of any sentence, and the pieces that could go on there."""
    farthest, expected = 0, dict[str, None]()
    for at, reached in places.items():
        for state, _ in reached:
            for piece in (p.text for p in PRODUCTIONS.get(state, ())) if state != END else ("",):
                agrees = sum(1 for _ in _common(piece, text[at:]))
                if at + agrees > farthest:
                    farthest, expected = at + agrees, {}
                if at + agrees == farthest:
                    expected[piece[agrees:] or "the end of the text"] = None
    return farthest, list(expected)


def _common(a: str, b: str) -> Iterator[str]:
    """The common beginning of two texts, letter by letter."""
    for x, y in zip(a, b, strict=False):
        if x != y:
            return
        yield x


# ---------------------------------------------------------------- constrained decoding


def following(text: str) -> tuple[str, ...]:
    """The beginning of a sentence -> the pieces that may come next, "" where it is complete; for `TextGrammar`.

    No piece is the beginning of another. Raises TraceSyntaxError where the text begins no sentence.
    """
    places, onward = _read(text)
    if not onward:
        raise TraceSyntaxError(text, *_fault(text, places))
    return tuple(sorted(onward))


@cache
def vocabulary() -> tuple[str, ...]:
    """Every piece of every sentence, once: as single tokens they make a small tokenizer's traces short."""
    return tuple(dict.fromkeys(p.text for row in PRODUCTIONS.values() for p in row))


def pieces(text: str) -> tuple[str, ...]:
    """A sentence -> its pieces in order. Raises TraceSyntaxError."""
    readings(text)
    out, at = [], 0
    while at < len(text):
        out.append(next(piece for piece in following(text[:at]) if piece and text.startswith(piece, at)))
        at += len(out[-1])
    return tuple(out)
