"""A recorded drive and a planner -> labels: what it decides at a moment, and the causes that stand three tests.

A cause counts if it could be seen in the last 1.6 s, if it was there before the decision, and if the planner, asked
again with the cause removed and all else equal, drives differently. Where another cause lies behind it and would have
sufficed alone, removing one changes little: each is then tested with the other away, and both are marked. Nothing
later than the moment is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import arc_length
from cordillera.reasoning.intervene import Change, Changes, Limit, Remove, observation_at, progress_along, states_of
from cordillera.reasoning.keyframes import Keyframe, keyframes
from cordillera.reasoning.schema import axis_of, write
from cordillera.sensors.observe import HISTORY, TICK_US, Observer
from cordillera.types import (
    Cause,
    Decision,
    Float,
    Observation,
    ReasoningTrace,
    RoadMap,
    Rollout,
    Trajectory,
    WorldState,
)
from cordillera.world.world import World

Planner = Callable[[Observation], Decision]
Sight = Callable[[WorldState, str], float]  # a state and a target -> pixels that it shows, in the camera with most

DT_S = TICK_US * 1e-6
KEPT, UNSEEN, LATE, IDLE, FIXED = "kept", "unseen", "late", "not necessary", "cannot be removed"


@dataclass(frozen=True)
class LabelConfig:
    """When a cause counts as seen and as necessary, and how often labels are made."""

    pixels: float = 4.0
    effect_mps: float = 0.3  # mean difference of the plan's speed, or half as much aside in metres
    share: float = 0.5  # of the effect of all causes together that a necessary one has alone
    aside_mps: float = 0.5  # a metre aside counts as so much speed
    every: int = 5  # ticks: 2 Hz
    look: int = 5  # ticks between the moments at which visibility is tested
    deep: int = 3  # causes behind causes that are looked for
    faster: float = 1.5  # by how much a removed limit is raised


@dataclass(frozen=True, eq=False)
class Tested:
    """One cause and how it stood the tests; `effect_mps` is what its removal changes, NaN where it was not removed."""

    cause: Cause
    verdict: str  # KEPT, UNSEEN, LATE, IDLE or FIXED
    pixels: float  # the most that any camera showed in the window; inf for what is no object
    effect_mps: float


@dataclass(frozen=True, eq=False)
class Label:
    """A decision at a moment, with the causes that counted, and all that were tested."""

    t_us: int
    event: str  # of the keyframe, "" at 2 Hz
    trace: ReasoningTrace
    decision: Decision
    tested: tuple[Tested, ...]


@dataclass(frozen=True, eq=False)
class Drive:
    """A recorded drive, ready to be asked about: its world, its senses, and where it was on its route."""

    world: World
    states: tuple[WorldState, ...]
    progress_m: Float
    observer: Observer

    @classmethod
    def of(cls, rollout: Rollout, world: World, observer: Observer) -> Drive:
        """A rollout, its world and observer (one without cameras will do for a planner that needs none)."""
        states = states_of(rollout)
        return cls(world, states, progress_along(world.guide, states), observer)

    def ask(self, planner: Planner, k: int, changes: Changes = ()) -> Decision:
        """What the planner decides at the k-th state, had the changes been there."""
        return planner(observation_at(self.states, k, self.world, self.observer, float(self.progress_m[k]), changes))


def labels(
    rollout: Rollout, drive: Drive, planner: Planner, sight: Sight, config: LabelConfig | None = None
) -> Iterator[Label]:
    """Labels at 2 Hz and at every keyframe, in order of time; proactive keyframes give their first moment."""
    config = config or LabelConfig()
    last = len(rollout.steps) - 1
    moments: dict[int, str] = dict.fromkeys(range(0, last + 1, config.every), "")
    for frame in keyframes(rollout):
        moments[_row(rollout, frame)] = frame.event
    for k in sorted(moments):
        yield label_at(drive, k, planner, sight, moments[k], config)


def label_at(
    drive: Drive, k: int, planner: Planner, sight: Sight, event: str = "", config: LabelConfig | None = None
) -> Label:
    """The decision at the k-th state and its causes, tested."""
    config = config or LabelConfig()
    decision = drive.ask(planner, k)
    trace = decision.reasoning
    if trace is None:
        raise ValueError(f"planner {decision.policy!r} gives no reasoning; labels need one that names its causes")
    tested: list[Tested] = []
    for cause in trace.causes:
        if not any(cause.target == t.cause.target and cause.kind == t.cause.kind for t in tested):
            tested += _chain(drive, k, planner, decision, cause, sight, config)
    kept = tuple(t.cause for t in tested if t.verdict == KEPT)
    clean = replace(trace, causes=kept)
    return Label(drive.states[k].t_us, event, replace(clean, text=write(clean)), decision, tuple(tested))


def removal(cause: Cause, road_map: RoadMap, faster: float = 1.5) -> Change | None:
    """The change that takes a cause out of the world; None for what cannot be: the shape of the road, the route."""
    kind, _, number = cause.target.partition(":")
    if kind in ("agent", "signal"):
        return Remove(cause.target)
    if kind == "lane" and cause.kind == "speed limit":
        limit = road_map.lanes[int(number)].speed_limit_mps
        lanes = tuple(i for i, lane in enumerate(road_map.lanes) if lane.speed_limit_mps <= limit)
        return Limit(lanes, faster * limit)
    return None


def effect_mps(a: Trajectory, b: Trajectory, aside_mps: float = 0.5) -> float:
    """Two plans of one moment (rig frame) -> how differently they drive: mean difference of speed plus offset."""
    return float(np.mean(np.abs(_speeds(a) - _speeds(b)))) + aside_mps * _aside(a, b)


def _chain(
    drive: Drive, k: int, planner: Planner, decision: Decision, cause: Cause, sight: Sight, config: LabelConfig
) -> list[Tested]:
    """One named cause, and those behind it that would have sufficed alone -> all of them tested, the nearest first."""
    first = _seen(drive, k, cause, sight, config)
    change = removal(cause, drive.world.map, config.faster)
    if first.verdict != KEPT or change is None:
        return [first if change is not None or first.verdict != KEPT else replace(first, verdict=FIXED)]
    behind, changes = [(cause, change)], (change,)
    answer = drive.ask(planner, k, changes)
    effects = [_effect(decision, answer, config)]
    while len(behind) < config.deep:
        nxt = _next(answer, decision, cause, behind, drive, config)
        if nxt is None:
            break
        behind.append(nxt)
        changes = (*changes, nxt[1])
        answer = drive.ask(planner, k, changes)
        effects.append(_effect(decision, answer, config))
    alone, everything = effects[0], max(effects)
    if everything < config.effect_mps:
        return [replace(first, verdict=IDLE, effect_mps=alone)]
    if len(behind) == 1 or alone >= config.share * everything:
        return [replace(first, effect_mps=alone)]
    return _joint(drive, k, planner, answer, behind, changes, sight, config, everything)


def _next(
    answer: Decision, decision: Decision, cause: Cause, behind: Sequence[tuple[Cause, Change]], drive: Drive,
    config: LabelConfig,
) -> tuple[Cause, Change] | None:  # fmt: skip
    """What binds once the causes so far are away: the next of the same axis that can be removed, or None."""
    trace, asked = answer.reasoning, decision.reasoning
    if trace is None or asked is None:
        return None
    axis = axis_of(cause, asked.longitudinal, asked.lateral)
    for other in trace.causes:
        change = removal(other, drive.world.map, config.faster)
        known = any(other.target == c.target for c, _ in behind)
        if axis_of(other, trace.longitudinal, trace.lateral) == axis and change is not None and not known:
            return None if isinstance(change, Limit) else (other, change)
    return None


def _joint(
    drive: Drive, k: int, planner: Planner, without: Decision, behind: Sequence[tuple[Cause, Change]],
    changes: Changes, sight: Sight, config: LabelConfig, everything: float,
) -> list[Tested]:  # fmt: skip
    """Causes of which each may suffice -> each tested with all the others away; the nearer first, then marked."""
    out: list[Tested] = []
    for cause, change in behind:
        alone = drive.ask(planner, k, tuple(c for c in changes if c != change))
        effect = _effect(alone, without, config)
        seen = _seen(drive, k, cause, sight, config)
        enough = effect >= config.share * everything and effect >= config.effect_mps
        out.append(replace(seen, effect_mps=effect) if enough or seen.verdict != KEPT else
                   replace(seen, verdict=IDLE, effect_mps=effect))  # fmt: skip
    out.sort(key=lambda t: (t.verdict != KEPT, t.cause.distance_m))
    return [t if n == 0 or t.verdict != KEPT else replace(t, cause=replace(t.cause, jointly=True))
            for n, t in enumerate(out)]  # fmt: skip


def _seen(drive: Drive, k: int, cause: Cause, sight: Sight, config: LabelConfig) -> Tested:
    """The first two tests: visible in the window, and evident no later than the decision; the evidence is dated."""
    now = drive.states[k].t_us
    if not cause.target.startswith(("agent:", "signal:")):
        return Tested(cause, KEPT if cause.evidence_t_us <= now else LATE, np.inf, np.nan)
    most, since = 0.0, now
    for n in range(k, max(k - HISTORY, -1), -config.look):
        pixels = sight(drive.states[n], cause.target)
        most = max(most, pixels)
        if pixels >= config.pixels:
            since = drive.states[n].t_us
    if most < config.pixels:
        return Tested(cause, UNSEEN, most, np.nan)
    verdict = LATE if cause.evidence_t_us > now else KEPT
    return Tested(replace(cause, evidence_t_us=since), verdict, most, np.nan)


def _effect(a: Decision, b: Decision, config: LabelConfig) -> float:
    return effect_mps(a.trajectory, b.trajectory, config.aside_mps)


def _speeds(plan: Trajectory) -> Float:
    """Speeds (N,) between the poses of a plan, from the rig's origin on."""
    return np.hypot(*np.diff(plan.xyz[:, :2], axis=0, prepend=0.0).T) / DT_S


def _aside(a: Trajectory, b: Trajectory) -> float:
    """How far the shorter plan's end lies beside the longer plan's line, in metres."""
    lines = [np.vstack([np.zeros((1, 2)), plan.xyz[:, :2]]) for plan in (a, b)]
    short, long = sorted(lines, key=lambda xy: float(arc_length(xy)[-1]))
    far, end = arc_length(long), float(arc_length(short)[-1])
    at = np.array([np.interp(end, far, long[:, axis]) for axis in (0, 1)])
    return float(np.hypot(*(short[-1] - at)))


def _row(rollout: Rollout, frame: Keyframe) -> int:
    """The step at which a keyframe begins, the first one at the earliest."""
    start = rollout.steps[0].state.t_us
    row = round((frame.t0_us - start) * 1e-6 / DT_S)
    return min(max(row, 0), len(rollout.steps) - 1)
