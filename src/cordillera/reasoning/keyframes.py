"""A recorded drive -> its keyframes: the moments at which a decision shows, by the published rules.

Reactive keyframes lie 0.5 s before the ego changes what it does; at a light, not before it turned; at a cut-in, where
the other first blinks or leaves its centre. Proactive ones are ranges in which a decision is prepared or upheld.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cordillera.reasoning.meta import LongitudinalMeta, Segment, meta_actions
from cordillera.types import AgentKind, Cause, Lateral, Longitudinal, ReasoningTrace, Rollout, Step, Trajectory

LEAD_US = 500_000
LEAVES_CENTRE_M = 0.3  # off the middle of its lane
VULNERABLE = ("pedestrian", "child", "wheelchair", "cyclist", "animal")
SLOWING = (LongitudinalMeta.GENTLE_DECELERATE, LongitudinalMeta.STRONG_DECELERATE, LongitudinalMeta.STOP)
GOING = (LongitudinalMeta.GENTLE_ACCELERATE, LongitudinalMeta.STRONG_ACCELERATE)
NUDGES = (Lateral.IN_LANE_NUDGE, Lateral.OUT_OF_LANE_NUDGE)


@dataclass(frozen=True)
class Keyframe:
    """What happens and when: reactive ones are a moment (t0 = t1), proactive ones a range."""

    event: str
    t0_us: int
    t1_us: int
    reactive: bool


def path_of(rollout: Rollout) -> Trajectory:
    """The poses that the ego drove, the final one included, in the world."""
    egos = [*(step.state.ego for step in rollout.steps), rollout.final.ego]
    return Trajectory(
        np.array([e.t_us for e in egos], dtype=np.int64),
        np.stack([e.xyz for e in egos]),
        np.stack([e.quat_xyzw for e in egos]),
        "world",
    )


def keyframes(rollout: Rollout) -> tuple[Keyframe, ...]:
    """A rollout with the traces of its driver -> keyframes in order of time; none before its start."""
    steps = rollout.steps
    if len(steps) < 3:
        return ()
    found = [*_speed_changes(steps, path_of(rollout)), *_manoeuvres(steps), *_cut_ins(steps), *_ranges(steps)]
    start = steps[0].state.t_us
    kept = {k for k in found if k.t1_us >= start}
    return tuple(sorted(kept, key=lambda k: (k.t0_us, k.event)))


def trace_of(step: Step) -> ReasoningTrace | None:
    return step.output.decision.reasoning


def _speed_changes(steps: Sequence[Step], path: Trajectory) -> Iterator[Keyframe]:
    """Onsets of slowing down, stopping and setting off, named by the decision that holds then."""
    segments = meta_actions(path).longitudinal_segments
    for before, part in pairwise(segments):
        if part.first >= len(steps):
            continue
        onset = steps[part.first].state.t_us
        if before.action is LongitudinalMeta.STOP and part.action in GOING:
            yield _moment("resume", onset - LEAD_US)
        elif part.action in SLOWING and before.action not in SLOWING:
            yield from _slowing(steps, part, onset)


def _slowing(steps: Sequence[Step], part: Segment, onset: int) -> Iterator[Keyframe]:
    trace = trace_of(steps[part.first])
    cause = _first(trace)
    if trace is None or cause is None:
        return
    if cause.kind == "traffic light":
        yield _moment("stop for light", max(onset - LEAD_US, _turned(steps, cause, part.first)))
    elif cause.kind == "stop sign":
        yield _moment("stop for sign", onset - LEAD_US)
    elif cause.kind in VULNERABLE and trace.longitudinal in (Longitudinal.YIELD, Longitudinal.STOP):
        yield _moment("yield to vulnerable road user", onset - LEAD_US)
    elif trace.longitudinal is Longitudinal.FOLLOW_LEAD and cause.kind != "cut-in vehicle":
        yield _moment("slow or stop for lead", onset - LEAD_US)
    elif cause.kind == "speed bump":
        yield _moment("speed bump", onset - LEAD_US)
    elif trace.longitudinal in (Longitudinal.YIELD, Longitudinal.STOP, Longitudinal.GAP_SEARCH):
        yield _moment(f"{trace.longitudinal}: {cause.kind}", onset - LEAD_US)


def _turned(steps: Sequence[Step], cause: Cause, row: int) -> int:
    """When the light of a cause last changed, up to a row; long ago where it did not."""
    signal = int(cause.target.removeprefix("signal:"))
    for k in range(row, 0, -1):
        if steps[k].state.signals[signal] != steps[k - 1].state.signals[signal]:
            return steps[k].state.t_us
    return steps[0].state.t_us - 10_000_000


def _manoeuvres(steps: Sequence[Step]) -> Iterator[Keyframe]:
    """Onsets of lateral decisions that move the ego aside: lane changes, nudges, the way around works."""
    for before, step in pairwise(steps):
        was, trace = trace_of(before), trace_of(step)
        lateral = trace.lateral if trace else None
        if lateral is None or (was and was.lateral is lateral):
            continue
        cause = next((c for c in trace.causes if c.axis == "lateral"), None) if trace else None
        if lateral is Lateral.LANE_CHANGE:
            yield _moment("lane change", step.state.t_us - LEAD_US)
        elif lateral in NUDGES:
            works = cause is not None and cause.kind in ("work zone", "cone", "barrier", "work machine")
            yield _moment("bypass of works" if works else "nudge", step.state.t_us - LEAD_US)


def _cut_ins(steps: Sequence[Step]) -> Iterator[Keyframe]:
    """For each vehicle that cuts in: when it first blinked or left its lane's centre, whichever was first."""
    seen: set[str] = set()
    for k, step in enumerate(steps):
        trace = trace_of(step)
        for cause in trace.causes if trace else ():
            if cause.kind != "cut-in vehicle" or cause.target in seen:
                continue
            seen.add(cause.target)
            identity, first = int(cause.target.removeprefix("agent:")), k
            while first > 0 and _leaving(steps[first - 1], identity):
                first -= 1
            yield _moment("cut-in", steps[first].state.t_us)


def _leaving(step: Step, identity: int) -> bool:
    agents = step.state.agents
    row = np.flatnonzero((agents.id == identity) & agents.valid)
    return bool(
        len(row)
        and agents.kind[row[0]] < AgentKind.CONE
        and (abs(agents.blinker[row[0]]) == 1 or abs(agents.lateral_m[row[0]]) > LEAVES_CENTRE_M)
    )


def _ranges(steps: Sequence[Step]) -> Iterator[Keyframe]:
    """Runs of steps in which a proactive decision holds."""
    names = [_proactive(trace_of(step)) for step in steps]
    begun = 0
    for k in range(1, len(names) + 1):
        if k == len(names) or names[k] != names[begun]:
            if names[begun]:
                yield Keyframe(names[begun], steps[begun].state.t_us, steps[k - 1].state.t_us, False)
            begun = k


def _proactive(trace: ReasoningTrace | None) -> str:
    cause = _first(trace)
    if trace is None:
        return ""
    if trace.longitudinal is Longitudinal.GAP_SEARCH:
        return "lane-change preparation"
    if trace.longitudinal is Longitudinal.SPEED_ADAPTATION and cause is not None and cause.kind == "curve":
        return "curvy road"
    if trace.lateral is Lateral.TURN:
        return "passing an intersection"
    return ""


def _first(trace: ReasoningTrace | None) -> Cause | None:
    """The first cause of the decision on speed."""
    return next((c for c in trace.causes if c.axis in ("", "longitudinal")), None) if trace else None


def _moment(event: str, t_us: int) -> Keyframe:
    return Keyframe(event, t_us, t_us, True)
