"""Reasoning traces <-> sentences: what a trace says, in English, German and Japanese, and English read back.

A sentence carries both decisions, the side of the lateral one, and of every cause the kind, the relation, whether it
would have sufficed beside the one before it, and on request the distance, rounded to 5, 10, 20, 40 or 80 m. It does not
carry identities, evidence times, exact distances and the source: `spoken` gives what it carries, and `parse` of
`write` gives exactly that back. Of which decision a cause is the cause follows from its place in the sentence.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np

from cordillera.reasoning.grammar import BUCKETS_M, Meaning, phrase, readings
from cordillera.reasoning.kinds import KINDS, LATERAL_KINDS
from cordillera.types import Cause, Lateral, Longitudinal, ReasoningTrace

AXES = ("longitudinal", "lateral")


def axis_of(cause: Cause, longitudinal: Longitudinal | None, lateral: Lateral | None) -> str:
    """A cause and the decisions of its trace -> the decision that it caused, "longitudinal" or "lateral"."""
    if lateral is None or (longitudinal is not None and lateral is Lateral.LANE_KEEPING and not cause.axis):
        return "longitudinal"
    if longitudinal is None:
        return "lateral"
    return cause.axis or ("lateral" if cause.kind in LATERAL_KINDS else "longitudinal")


def bucket(distance_m: float) -> float:
    """A distance -> the one that a sentence tells for it: the nearest of 5, 10, 20, 40, 80 m by ratio; NaN stays."""
    if not math.isfinite(distance_m):
        return math.nan
    return float(min(BUCKETS_M, key=lambda b: abs(math.log(max(distance_m, 1.0) / b))))


def spoken(trace: ReasoningTrace, distances: bool = False) -> ReasoningTrace:
    """A trace -> what its sentence carries, in the sentence's order; identities, times and source are left out."""
    causes = []
    for axis in AXES:
        first = True
        for cause in trace.causes:
            if axis_of(cause, trace.longitudinal, trace.lateral) != axis:
                continue
            far = bucket(cause.distance_m) if distances else math.nan
            causes.append(Cause(cause.kind, "", cause.relation, 0, far, axis, cause.jointly and not first))
            first = False
    side = trace.side if _has_side(trace.lateral) else ""
    return ReasoningTrace(trace.longitudinal, trace.lateral, tuple(causes), "", "", side)


def same_words(a: ReasoningTrace, b: ReasoningTrace, distances: bool = False) -> bool:
    """Whether two traces would be told alike."""
    return _meanings(spoken(a, distances)) == _meanings(spoken(b, distances))


def write(trace: ReasoningTrace, seed: int | None = None, distances: bool = False) -> str:
    """A trace -> one English sentence; its wording follows the seed, or, without one, who and what is meant.

    Raises ValueError where a kind or relation is not in the vocabulary, or there are more causes than a sentence holds.
    """
    for cause in trace.causes:
        row = KINDS.get(cause.kind)
        if row is None:
            raise ValueError(f"unknown kind of cause {cause.kind!r}; known are {', '.join(KINDS)}")
        if cause.relation not in row.relations:
            raise ValueError(f"a {cause.kind} is not {cause.relation!r}; it may be {', '.join(row.relations)}")
    return phrase(_meanings(spoken(trace, distances)), identity(trace) if seed is None else seed)


def identity(trace: ReasoningTrace) -> int:
    """A trace -> a number for its decisions and who causes them, the same as long as these stay, however far away."""
    told = "|".join(
        (str(trace.longitudinal), str(trace.lateral), *(f"{c.kind}{c.target}{c.relation}" for c in trace.causes))
    )
    return zlib.crc32(told.encode())


def parse(text: str, source: str = "") -> ReasoningTrace:
    """A sentence -> the trace that it tells (causes without identity and time); raises grammar.TraceSyntaxError."""
    longitudinal: Longitudinal | None = None
    lateral: Lateral | None = None
    side, axis, also = "", "longitudinal", False
    causes: list[Cause] = []
    for slot, value in readings(text)[0]:
        if slot == "longitudinal":
            longitudinal = Longitudinal(value) if isinstance(value, str) else None
        elif slot == "lateral":
            lateral, axis = Lateral(str(value)), "lateral"
        elif slot == "side":
            side = str(value)
        elif slot == "also":
            also = True
        elif slot == "kind":
            causes.append(Cause(str(value), "", "", 0, axis=axis, jointly=also))
            also = False
        elif slot == "relation":
            causes[-1] = replace(causes[-1], relation=str(value))
        elif slot == "distance":
            causes[-1] = replace(causes[-1], distance_m=float(str(value)))
    return ReasoningTrace(longitudinal, lateral, tuple(causes), text, source, side)


def sentence(
    longitudinal: Longitudinal | None, lateral: Lateral | None, causes: tuple[Cause, ...], side: str = ""
) -> str:
    """Decisions and causes, the one of the speed first -> a sentence; one and the same for the same arguments."""
    return write(ReasoningTrace(longitudinal, lateral, causes, "", "", side))


def _has_side(lateral: Lateral | None) -> bool:
    return lateral not in (None, Lateral.LANE_KEEPING, Lateral.ABORT)


def _meanings(trace: ReasoningTrace) -> tuple[Meaning, ...]:
    """What a sentence carries -> its meanings in the order of the sentence."""
    out: list[Meaning] = [("longitudinal", trace.longitudinal)]
    for axis in AXES:
        if axis == "lateral":
            if trace.lateral is None:
                continue
            out += [("lateral", trace.lateral), ("side", trace.side)]
        for cause in trace.causes:
            if cause.axis != axis:
                continue
            out += [("also", True)] if cause.jointly else []
            out += [("kind", cause.kind), ("relation", cause.relation)]
            if np.isfinite(cause.distance_m):
                out.append(("distance", int(cause.distance_m)))
    return tuple(out)
