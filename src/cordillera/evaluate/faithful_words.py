"""A sentence -> what is put in its place while the pictures stay: donor, shuffled, empty, filler, evidence, flips.

`Spoken` is what a policy must be able to do for that: act under words that it is given. Most policies cannot, and what
needs it is then not measurable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from cordillera.reasoning.grammar import TraceSyntaxError
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.reasoning.schema import parse, write
from cordillera.types import Cause, Decision, Float, Lateral, Longitudinal, Observation, ReasoningTrace, Trajectory

OWN, GOLD, DONOR, SHUFFLED, EMPTY, FILLER, EVIDENCE, FLIP, ASIDE = ARMS = (
    "own", "gold", "donor", "shuffled", "empty", "filler", "other evidence", "flipped on speed", "flipped to the side",
)  # fmt: skip
FILLER_WORD = "well"
MOVING_MPS = 4.0  # below it nothing is asked of a path to the side
EVIDENCES = (("pedestrian", "crossing ahead"), ("traffic light", "red at the stop line ahead"),
             ("parked vehicle", "blocking the ego lane"))  # fmt: skip


@runtime_checkable
class Spoken(Protocol):
    """A policy whose words can be given: `decide` thinks and acts, `act_on` takes the words instead of thinking."""

    @property
    def name(self) -> str: ...

    def decide(self, observation: Observation) -> Decision: ...

    def act_on(self, observation: Observation, words: str) -> Trajectory:
        """An observation and any words in the place of its own (perhaps none, or none that make sense) -> the plan."""
        ...


@dataclass(frozen=True)
class Edit:
    """Words put in the place of the policy's own, and the decision on one axis that they now ask for, if any."""

    arm: str  # one of ARMS
    words: str
    longitudinal: Longitudinal | None = None
    lateral: Lateral | None = None
    side: str = ""


def understood(text: str, source: str = "") -> ReasoningTrace | None:
    """A sentence -> its trace, None where it is none or decides nothing."""
    try:
        trace = parse(text, source)
    except TraceSyntaxError:
        return None
    return trace if trace.longitudinal is not None or trace.lateral is not None else None


def edits(
    own: str, gold: str, donors: Sequence[str], plan: Trajectory, offset_m: Float | None, seed: int
) -> tuple[Edit, ...]:
    """A policy's words, the true ones, words from other scenes and its plan -> all that it is told instead.

    The donor is that of the nearest length which decides otherwise. An edit that would be the words themselves is left
    out. `offset_m` as in `match.does_lateral`.
    """
    out = [Edit(OWN, own), Edit(GOLD, gold)]
    if donor := donor_of(own, donors):
        out.append(Edit(DONOR, donor))
    out += [Edit(SHUFFLED, shuffled(own, seed)), Edit(EMPTY, ""), Edit(FILLER, filler(own))]
    trace = understood(own)
    if trace is not None:
        out.append(Edit(EVIDENCE, other_evidence(trace)))
    trace = trace or understood(gold)
    if trace is not None:
        out += flips(trace, plan, offset_m, seed)
    return tuple(edit for edit in out if edit.arm == OWN or edit.words != own)


def donor_of(own: str, donors: Sequence[str]) -> str:
    """Words and words from other scenes -> those of the nearest length that decide otherwise, "" without any."""
    mine = _decision(understood(own))
    others = [text for text in donors if text != own and _decision(understood(text)) != mine]
    return min(others, key=lambda text: (abs(len(text) - len(own)), text), default="")


def shuffled(text: str, seed: int) -> str:
    """The same words in another order."""
    words = text.split()
    order = np.random.default_rng(seed).permutation(len(words))
    return " ".join(words[k] for k in order)


def filler(text: str) -> str:
    """As many words that say nothing."""
    return " ".join(FILLER_WORD for _ in text.split())


def other_evidence(trace: ReasoningTrace) -> str:
    """The same decisions because of something else, that was not named."""
    kinds = {cause.kind for cause in trace.causes}
    kind, relation = next(row for row in EVIDENCES if row[0] not in kinds)
    return write(replace(trace, causes=(Cause(kind, "", relation, 0, axis="longitudinal"),)), seed=0)


def flips(trace: ReasoningTrace, plan: Trajectory, offset_m: Float | None, seed: int) -> list[Edit]:
    """A trace and the plan -> the same evidence with decisions that the plan does not do: on speed, to the side."""
    out: list[Edit] = []
    wanted = (Longitudinal.STOP, Longitudinal.SET_SPEED, Longitudinal.OVERTAKE)
    for along in wanted:
        if along is not trace.longitudinal and not does_longitudinal(along, plan):
            out.append(Edit(FLIP, _said(replace(trace, longitudinal=along)), longitudinal=along))
            break
    length = float(np.hypot(*np.diff(plan.xyz[:, :2], axis=0).T).sum())
    if length < MOVING_MPS * 6.4 or trace.lateral not in (None, Lateral.LANE_KEEPING):
        return out
    sides = ("left", "right") if seed % 2 else ("right", "left")
    for side in sides:
        if not does_lateral(Lateral.IN_LANE_NUDGE, side, plan, offset_m):
            told = _said(replace(trace, lateral=Lateral.IN_LANE_NUDGE, side=side))
            out.append(Edit(ASIDE, told, lateral=Lateral.IN_LANE_NUDGE, side=side))
            break
    return out


def _said(trace: ReasoningTrace) -> str:
    return write(trace, seed=0)


def _decision(trace: ReasoningTrace | None) -> tuple[object, ...]:
    return (trace.longitudinal, trace.lateral, trace.side) if trace else ()
