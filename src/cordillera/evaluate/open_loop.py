"""Recorded windows and what a policy answers to them -> how near its plans come, how true its words are, and whether
the plan does what the words say.

minADE takes, of the policy's samples, the one that is best over the whole 6.4 s, and reports prefixes of it. F1 is the
mean over the decisions that occur in the recording ("macro"), none being one of them. A cause counts as found by its
kind: the same kind twice must be named twice. What cannot be read as a decision is wrong, and inconsistent. Intervals
are bootstrapped over clips, for windows of one clip are alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cordillera.evaluate.metrics_plan import HORIZON_STEPS, PLAN_STEPS, min_ade_whole
from cordillera.evaluate.suite_stats import LEVEL, Estimate
from cordillera.kinematics import roll_plan
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.types import Decision, Float, Longitudinal, ReasoningTrace, Sample

RESAMPLES = 2_000
NONE = "none"  # the decision of an axis on which nothing is decided
SPOKEN = ("decision on speed, macro-F1", "decision to the side, macro-F1", "causes, precision", "causes, recall",
          "words and plan agree", "said stop, went on")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One window: what was driven and said in it, and what the policy planned and said."""

    clip_id: str
    min_ade_m: float  # of all samples, 6.4 s
    min_ade_3s_m: float
    ade_m: float  # of the plan that would be driven
    steady_ade_m: float  # of going on at constant speed and curvature zero
    decisions: tuple[tuple[str, str], tuple[str, str]]  # (speed, side) as recorded, and as said
    causes: tuple[tuple[str, ...], tuple[str, ...]]  # kinds, as recorded and as said
    spoke: bool  # the policy gave words, readable or not
    agrees: bool  # the plan does what the words say, on both axes
    said_stop: bool
    went_on: bool


def answer_of(sample: Sample, decision: Decision) -> Answer:
    """A recorded window and the decision of a policy on its observation -> their comparison.

    Raises ValueError where a plan is shorter than 6.4 s or the window has no recorded reason.
    """
    if sample.reasoning is None:
        raise ValueError(f"clip {sample.clip_id}: no reason was recorded at {sample.observation.t_us} us")
    future = sample.future.xyz[:PLAN_STEPS, :2]
    plans = decision.candidates or (decision.trajectory,)
    if any(len(plan.xyz) < PLAN_STEPS for plan in plans):
        raise ValueError(f"{decision.policy}: a plan is shorter than {PLAN_STEPS} poses at 10 Hz")
    samples = np.array([plan.xyz[:PLAN_STEPS, :2] for plan in plans])
    steady = roll_plan(np.zeros((PLAN_STEPS, 2)), sample.observation.ego.speed_mps, sample.observation.t_us)
    said, true = decision.reasoning, sample.reasoning
    stop = said is not None and said.longitudinal is Longitudinal.STOP
    does = said is not None and _readable(said) and _done(said, decision)
    return Answer(
        sample.clip_id,
        min_ade_whole(samples, future, PLAN_STEPS),
        min_ade_whole(samples, future, HORIZON_STEPS),
        min_ade_whole(decision.trajectory.xyz[None, :PLAN_STEPS, :2], future, PLAN_STEPS),
        min_ade_whole(steady.xyz[None, :, :2], future, PLAN_STEPS),
        (_decisions(true), _decisions(said)),
        (_kinds(true), _kinds(said)),
        said is not None,
        does,
        stop,
        stop and not does_longitudinal(Longitudinal.STOP, decision.trajectory),
    )


def _readable(trace: ReasoningTrace) -> bool:
    return trace.longitudinal is not None or trace.lateral is not None


def _done(trace: ReasoningTrace, decision: Decision) -> bool:
    plan = decision.trajectory
    return does_longitudinal(trace.longitudinal, plan) and does_lateral(trace.lateral, trace.side, plan)


def _decisions(trace: ReasoningTrace | None) -> tuple[str, str]:
    if trace is None:
        return NONE, NONE
    return str(trace.longitudinal or NONE), " ".join(filter(None, (str(trace.lateral or NONE), trace.side)))


def _kinds(trace: ReasoningTrace | None) -> tuple[str, ...]:
    return tuple(sorted(cause.kind for cause in trace.causes)) if trace else ()


# -------------------------------------------------------------------- figures


def open_loop(answers: Sequence[Answer]) -> dict[str, Estimate]:
    """Answers of one policy -> its figures by name, each with its interval; lengths in m, the rest are shares.

    Figures of words are left out for a policy that never speaks. Raises ValueError without answers.
    """
    if not answers:
        raise ValueError("no window to measure on: the set has no recorded reasons in reach of a whole future")
    of_clip: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        of_clip[answer.clip_id].append(answer)
    draws = _draws(len(of_clip))
    count = np.array([len(group) for group in of_clip.values()], np.float64)

    def ratio(top: Callable[[Answer], float], bottom: Callable[[Answer], float]) -> Estimate:
        a, b = (np.array([sum(map(f, group)) for group in of_clip.values()], np.float64) for f in (top, bottom))
        with np.errstate(invalid="ignore", divide="ignore"):
            return _estimate(a.sum() / b.sum(), draws @ a / (draws @ b), int(count.sum()))

    def mean(value: Callable[[Answer], float]) -> Estimate:
        return ratio(value, lambda answer: 1.0)

    found = {
        "minADE 6.4 s": mean(lambda a: a.min_ade_m),
        "minADE 3 s": mean(lambda a: a.min_ade_3s_m),
        "ADE 6.4 s of the plan": mean(lambda a: a.ade_m),
        "ADE 6.4 s of going on as now": mean(lambda a: a.steady_ade_m),
    }
    if any(answer.spoke for answer in answers):
        groups = list(of_clip.values())
        found |= dict(
            zip(
                SPOKEN,
                (
                    _macro_f1(groups, draws, 0), _macro_f1(groups, draws, 1),
                    ratio(_hits, lambda a: len(a.causes[1])), ratio(_hits, lambda a: len(a.causes[0])),
                    ratio(lambda a: a.agrees, lambda a: a.spoke), ratio(lambda a: a.went_on, lambda a: a.said_stop),
                ),
                strict=True,
            )
        )  # fmt: skip
    return found


def _hits(answer: Answer) -> int:
    """Causes that were recorded and said, by kind."""
    return sum((Counter(answer.causes[0]) & Counter(answer.causes[1])).values())


def _macro_f1(groups: Sequence[Sequence[Answer]], draws: Float, axis: int) -> Estimate:
    """Answers by clip, resampled clips (R, clips) and an axis -> F1, the mean over the decisions that were recorded."""
    pairs = [[(a.decisions[0][axis], a.decisions[1][axis]) for a in group] for group in groups]
    names = sorted({true for group in pairs for true, _ in group})
    hits, held, named = (np.zeros((len(groups), len(names))) for _ in range(3))
    for row, group in enumerate(pairs):
        for true, said in group:
            held[row, names.index(true)] += 1
            if said in names:
                named[row, names.index(said)] += 1
                hits[row, names.index(said)] += said == true

    def f1(weight: Float) -> Float:
        """Weights of clips (..., clips) -> F1 (...); a resample without some decision leaves that one out."""
        there = weight @ held > 0
        each = 2.0 * (weight @ hits) / np.maximum(weight @ (held + named), 1e-9)
        return np.where(there, each, 0.0).sum(-1) / np.maximum(there.sum(-1), 1)

    return _estimate(float(f1(np.ones(len(groups)))), f1(draws), sum(map(len, groups)))


def _draws(clips: int) -> Float:
    """So many clips -> how often each is in each resample (RESAMPLES, clips)."""
    chance = np.random.default_rng(clips)
    return chance.multinomial(clips, np.full(clips, 1.0 / clips), RESAMPLES).astype(np.float64)


def _estimate(value: float, resampled: Float, count: int) -> Estimate:
    usable = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or not len(usable):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = np.quantile(usable, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return Estimate(float(value), float(low), float(high), count)
