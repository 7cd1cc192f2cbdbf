"""What a policy said -> what that means in the world: which things it names, and how these meet the true causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cordillera.evaluate.faithful_words import understood
from cordillera.reasoning.kinds import KINDS
from cordillera.reasoning.label import Drive, LabelConfig, Sight
from cordillera.reasoning.schema import same_words
from cordillera.reasoning.verify import candidates
from cordillera.sensors.observe import HISTORY
from cordillera.types import Cause, ReasoningTrace, WorldState

STANDS = ("agent:", "signal:")  # targets that are something in the world, and no road or rule


@dataclass(frozen=True, eq=False)
class Heard:
    """A sentence and what it says; the trace is None where the sentence is none.

    Identities of causes are known only to policies that give them with their words; those of others are worked out.
    """

    text: str
    trace: ReasoningTrace | None

    @property
    def causes(self) -> tuple[Cause, ...]:
        return self.trace.causes if self.trace else ()

    @property
    def decision(self) -> tuple[str, str, str]:
        """The decisions on speed and to the side, and which side; all empty where nothing was understood."""
        trace = self.trace
        return (str(trace.longitudinal or ""), str(trace.lateral or ""), trace.side) if trace else ("", "", "")


def hear(reasoning: ReasoningTrace | None) -> Heard:
    """What a decision gives as its reason -> what its words say; the words count, fields that disagree do not."""
    if reasoning is None:
        return Heard("", None)
    said = understood(reasoning.text, reasoning.source)
    if said is None:
        return Heard(reasoning.text, None)
    return Heard(reasoning.text, reasoning if same_words(said, reasoning) else said)


def names(heard: Heard, target: str, state: WorldState, drive: Drive, original: WorldState | None = None) -> bool:
    """Whether a sentence, said in a state, names a target.

    `original`: the target is gone from `state` and was there in this one; what fits another thing names that one.
    """
    for cause in heard.causes:
        if cause.target:
            if cause.target == target:
                return True
        elif original is None:
            if (there := candidates(cause, state, drive)) and there[0] == target:
                return True
        elif not candidates(cause, state, drive) and target in candidates(cause, original, drive)[:1]:
            return True
    return False


def meant(heard: Heard, state: WorldState, drive: Drive) -> tuple[tuple[Cause, str], ...]:
    """A sentence said in a state -> each of its causes with the target that it means, "" where there is none such."""
    return tuple((cause, next(iter(candidates(cause, state, drive)), "")) for cause in heard.causes)


@dataclass(frozen=True)
class Truth:
    """How the causes that were named meet the true ones; each list holds words such as "lead vehicle"."""

    hits: int
    named: int
    true: int
    absent: tuple[str, ...]  # named, but nothing such is there
    unseen: tuple[str, ...]  # named, there, but no camera showed it
    idle: tuple[str, ...]  # named, there and seen, but no cause of the right decision
    missed: tuple[str, ...]  # true and not named


def judge_causes(heard: Heard, true: Sequence[Cause], k: int, drive: Drive, sight: Sight, config: LabelConfig) -> Truth:
    """A sentence said at the k-th state and the causes of the right decision -> what is right in it and what is not.

    Every true cause can be met once. Causes without identity meet one of their own kind that they may mean, or the one
    that is the nearest of all they may mean; roads and rules meet by kind.
    """
    state, left = drive.states[k], list(true)
    hits, absent, unseen, idle = 0, [], [], []
    for cause in heard.causes:
        there = candidates(cause, state, drive)
        if not there:
            absent.append(cause.kind)
            continue
        match = next((c for c in left if _meets(cause, there, c)), None)
        if match is not None:
            left.remove(match)
            hits += 1
        elif not _seen(there[0], k, drive, sight, config):
            unseen.append(cause.kind)
        else:
            idle.append(cause.kind)
    missed = tuple(cause.kind for cause in left)
    return Truth(hits, len(heard.causes), len(true), tuple(absent), tuple(unseen), tuple(idle), missed)


def _meets(said: Cause, there: Sequence[str], true: Cause) -> bool:
    if not true.target.startswith(STANDS):
        return said.kind == true.kind and KINDS[said.kind].target == KINDS[true.kind].target
    if said.target:
        return said.target == true.target
    return (said.kind == true.kind and true.target in there) or there[0] == true.target


def _seen(target: str, k: int, drive: Drive, sight: Sight, config: LabelConfig) -> bool:
    """Whether some camera showed it in the last 1.6 s; roads and rules are taken to be seen."""
    if not target.startswith(STANDS):
        return True
    return any(sight(drive.states[n], target) >= config.pixels for n in range(k, max(k - HISTORY, -1), -config.look))
