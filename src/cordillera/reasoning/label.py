"""A recorded drive and a planner -> labels: what it decides at a moment, and the causes that stand three tests.

A cause counts if it could be seen in the last 1.6 s, if it was there before the decision, and if the planner, asked
again with the cause removed and all else equal, drives differently. Where another cause lies behind it and would have
sufficed alone, removing one changes little: each is then tested with the other away, and both are marked. Nothing
later than the moment is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.geometry import arc_length
from cordillera.reasoning.grammar import MAX_CAUSES
from cordillera.reasoning.intervene import (
    Change,
    Changes,
    Limit,
    Remove,
    Reroute,
    observation_at,
    progress_along,
    states_of,
    window_at,
)
from cordillera.reasoning.keyframes import Keyframe, keyframes
from cordillera.reasoning.match import does_lateral, does_longitudinal, offsets
from cordillera.reasoning.removal import BENDS, around, plain_cause, removal
from cordillera.reasoning.schema import axis_of, write
from cordillera.sensors.observe import HISTORY, TICK_US, Observer, Window
from cordillera.types import (
    Cause,
    Decision,
    Float,
    Lateral,
    Longitudinal,
    Observation,
    ReasoningTrace,
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
    _known: dict[int, Window] = field(default_factory=dict, repr=False)  # what was sensed at the last moment

    @classmethod
    def of(cls, rollout: Rollout, world: World, observer: Observer) -> Drive:
        """A rollout, its world and observer (one without cameras will do for a planner that needs none)."""
        states = states_of(rollout)
        return cls(world, states, progress_along(world.guide, states), observer)

    def ask(self, planner: Planner, k: int, changes: Changes = ()) -> Decision:
        """What the planner decides at the k-th state, had the changes been there."""
        if k not in self._known:
            self._known.clear()
            self._known[k] = window_at(self.states, k, self.observer, (), self.world.map)
        progress = float(self.progress_m[k])
        return planner(observation_at(self.states, k, self.world, self.observer, progress, changes, self._known[k]))

    def removal(self, k: int, cause: Cause, config: LabelConfig) -> Change | None:
        """What takes a cause out of the world at the k-th state; None for what cannot be."""
        return removal(cause, self.world, float(self.progress_m[k]), config.faster)


def labels(
    rollout: Rollout, drive: Drive, planner: Planner, sight: Sight, config: LabelConfig | None = None,
    careless: Planner | None = None,
) -> Iterator[Label]:  # fmt: skip
    """Labels at 2 Hz and at every keyframe, in order of time; proactive keyframes give their first moment.

    `careless` is the planner as one to whom bends do not matter; without it a bend is a cause that cannot be removed.
    """
    config = config or LabelConfig()
    last = len(rollout.steps) - 1
    moments: dict[int, str] = dict.fromkeys(range(0, last + 1, config.every), "")
    for frame in keyframes(rollout):
        moments[_row(rollout, frame)] = frame.event
    for k in sorted(moments):
        yield label_at(drive, k, planner, sight, moments[k], config, careless)


def label_at(
    drive: Drive, k: int, planner: Planner, sight: Sight, event: str = "", config: LabelConfig | None = None,
    careless: Planner | None = None,
) -> Label:  # fmt: skip
    """The decision at the k-th state and its causes, tested."""
    config = config or LabelConfig()
    decision = drive.ask(planner, k)
    trace = decision.reasoning
    if trace is None:
        raise ValueError(f"planner {decision.policy!r} gives no reasoning; labels need one that names its causes")
    tested: list[Tested] = []
    for cause in trace.causes:
        if not any(cause.target == t.cause.target and cause.kind == t.cause.kind for t in tested):
            if cause.kind in BENDS and careless is not None:
                tested.append(_bend(drive, k, careless, decision, cause, sight, config))
            else:
                tested += _chain(drive, k, planner, decision, cause, sight, config)
    speed = [t for t in tested if axis_of(t.cause, trace.longitudinal, trace.lateral) == "longitudinal"]
    if all(t.verdict == IDLE for t in speed):
        longitudinal, found = _unnamed(drive, k, planner, decision, sight, config)
        known = {t.cause.target for t in found}
        trace = replace(trace, longitudinal=longitudinal)
        tested = [*found, *(t for t in tested if t.cause.target not in known)]
    kept = [t.cause for t in tested if t.verdict == KEPT]
    axes = [axis_of(c, trace.longitudinal, trace.lateral) for c in kept]
    told = tuple(c for n, c in enumerate(kept) if axes[:n].count(axes[n]) < MAX_CAUSES)
    clean = _done(replace(trace, causes=told), decision.trajectory, drive, k)
    return Label(drive.states[k].t_us, event, replace(clean, text=write(clean)), decision, tuple(tested))


def _done(trace: ReasoningTrace, plan: Trajectory, drive: Drive, k: int) -> ReasoningTrace:
    """A trace -> the same with decisions that the plan does: what slows less than the word says adapts the speed, and
    a manoeuvre that is not to be seen in the plan yet, or no more, is not its decision, nor are its causes causes."""
    adapts, keeps = Longitudinal.SPEED_ADAPTATION, Lateral.LANE_KEEPING
    along = does_longitudinal(trace.longitudinal, plan) or not does_longitudinal(adapts, plan)
    where = offsets(plan, drive.states[k].ego, drive.world)
    across = does_lateral(trace.lateral, trace.side, plan, where) or not does_lateral(keeps, "", plan, where)
    if not across:
        speed = tuple(c for c in trace.causes if axis_of(c, trace.longitudinal, trace.lateral) == "longitudinal")
        trace = replace(trace, lateral=keeps, side="", causes=speed)
    return trace if along else replace(trace, longitudinal=adapts)


def effect_mps(a: Trajectory, b: Trajectory, aside_mps: float = 0.5) -> float:
    """Two plans of one moment (rig frame) -> how differently they drive: mean difference of speed plus offset."""
    return float(np.mean(np.abs(_speeds(a) - _speeds(b)))) + aside_mps * _aside(a, b)


def effect_of(cause: Cause, a: Decision, b: Decision, config: LabelConfig) -> float:
    """What a cause changes between two decisions, in m/s; another lateral decision is an effect, however it begins."""
    effect = effect_mps(a.trajectory, b.trajectory, config.aside_mps)
    one, two = a.reasoning, b.reasoning
    if one is None or two is None or axis_of(cause, one.longitudinal, one.lateral) != "lateral":
        return effect
    return effect if (one.lateral, one.side) == (two.lateral, two.side) else max(effect, config.effect_mps)


def bend_mps(drive: Drive, k: int, careless: Planner, decision: Decision) -> float:
    """How much faster one goes to whom bends do not matter: mean difference of speed over the plan."""
    faster = drive.ask(careless, k, (Reroute(()),)).trajectory  # planners may keep speeds for a route: one of its own
    return float(np.mean(np.abs(_speeds(decision.trajectory) - _speeds(faster))))


def _bend(
    drive: Drive, k: int, careless: Planner, decision: Decision, cause: Cause, sight: Sight, config: LabelConfig
) -> Tested:
    """A bend of the road, tested on the planner to whom bends do not matter."""
    first = _seen(drive, k, cause, sight, config)
    if first.verdict != KEPT:
        return first
    effect = bend_mps(drive, k, careless, decision)
    return replace(first, verdict=KEPT if effect >= config.effect_mps else IDLE, effect_mps=effect)


def _chain(
    drive: Drive, k: int, planner: Planner, decision: Decision, cause: Cause, sight: Sight, config: LabelConfig
) -> list[Tested]:
    """One named cause, and those behind it that would have sufficed alone -> all of them tested, the nearest first."""
    first = _seen(drive, k, cause, sight, config)
    change = drive.removal(k, cause, config)
    if first.verdict != KEPT or change is None:
        return [first if change is not None or first.verdict != KEPT else replace(first, verdict=FIXED)]
    behind, changes = [(cause, change)], (change,)
    answer = drive.ask(planner, k, changes)
    effects = [effect_of(cause, decision, answer, config)]
    while len(behind) < config.deep:
        nxt = _next(answer, decision, cause, behind, drive, k, config)
        if nxt is None:
            break
        behind.append(nxt)
        changes = (*changes, nxt[1])
        answer = drive.ask(planner, k, changes)
        effects.append(effect_of(cause, decision, answer, config))
    alone, everything = effects[0], max(effects)
    if everything < config.effect_mps:
        return [replace(first, verdict=IDLE, effect_mps=alone)]
    if len(behind) == 1 or alone >= config.share * everything:
        return [replace(first, effect_mps=alone)]
    return _joint(drive, k, planner, answer, behind, changes, sight, config, everything)


def _next(
    answer: Decision, decision: Decision, cause: Cause, behind: Sequence[tuple[Cause, Change]], drive: Drive,
    k: int, config: LabelConfig,
) -> tuple[Cause, Change] | None:  # fmt: skip
    """What binds once the causes so far are away: the next of the same axis that can be removed, or None."""
    trace, asked = answer.reasoning, decision.reasoning
    if trace is None or asked is None:
        return None
    axis = axis_of(cause, asked.longitudinal, asked.lateral)
    for other in trace.causes:
        change = drive.removal(k, other, config)
        known = any(other.target == c.target for c, _ in behind)
        if axis_of(other, trace.longitudinal, trace.lateral) == axis and change is not None and not known:
            return None if isinstance(change, Limit | Reroute) else (other, change)
    return None


def _joint(
    drive: Drive, k: int, planner: Planner, without: Decision, behind: Sequence[tuple[Cause, Change]],
    changes: Changes, sight: Sight, config: LabelConfig, everything: float,
) -> list[Tested]:  # fmt: skip
    """Causes of which each may suffice -> each tested with all the others away; the nearer first, then marked."""
    out: list[Tested] = []
    for cause, change in behind:
        alone = drive.ask(planner, k, tuple(c for c in changes if c != change))
        effect = effect_of(cause, alone, without, config)
        seen = _seen(drive, k, cause, sight, config)
        enough = effect >= config.share * everything and effect >= config.effect_mps
        out.append(replace(seen, effect_mps=effect) if enough or seen.verdict != KEPT else
                   replace(seen, verdict=IDLE, effect_mps=effect))  # fmt: skip
    out.sort(key=lambda t: (t.verdict != KEPT, t.cause.distance_m))
    return [t if n == 0 or t.verdict != KEPT else replace(t, cause=replace(t.cause, jointly=True))
            for n, t in enumerate(out)]  # fmt: skip


def _unnamed(
    drive: Drive, k: int, planner: Planner, decision: Decision, sight: Sight, config: LabelConfig
) -> tuple[Longitudinal | None, list[Tested]]:
    """A decision on speed whose named causes change nothing -> the decision and the causes that the planner left out.

    Two things that ask for the same hide each other. So all that is around is taken away, then put back, the farthest
    first, as long as the plan stays free; what may not be put back are the causes. Each is named as the planner names
    it where it is the only one left.
    """
    named = decision.reasoning.longitudinal if decision.reasoning else None
    away = around(drive.world, drive.states[k])
    free = drive.ask(planner, k, tuple(Remove(name) for name in away))
    everything = effect_mps(decision.trajectory, free.trajectory, config.aside_mps)
    if everything < config.effect_mps:
        return named, []
    for name in reversed(away):
        rest = [n for n in away if n != name]
        answer = drive.ask(planner, k, tuple(Remove(n) for n in rest))
        if effect_mps(decision.trajectory, answer.trajectory, config.aside_mps) >= config.share * everything:
            away, free = rest, answer
    out: list[tuple[Longitudinal | None, Tested]] = []
    for name in away:
        alone = drive.ask(planner, k, tuple(Remove(n) for n in away if n != name))
        told = alone.reasoning
        cause = next((c for c in told.causes if c.target == name), None) if told else None
        longitudinal = told.longitudinal if told and cause else Longitudinal.STOP if "signal" in name else named
        seen = _seen(drive, k, cause or plain_cause(name, drive.world.map, drive.states[k]), sight, config)
        effect = effect_mps(alone.trajectory, free.trajectory, config.aside_mps)
        idle = seen.verdict == KEPT and effect < config.effect_mps
        out.append((longitudinal, replace(seen, verdict=IDLE if idle else seen.verdict, effect_mps=effect)))
    out.sort(key=lambda row: (row[1].verdict != KEPT, row[1].cause.distance_m))
    tested = [t if n == 0 or t.verdict != KEPT else replace(t, cause=replace(t.cause, jointly=True))
              for n, (_, t) in enumerate(out)]  # fmt: skip
    return (out[0][0] if out and tested[0].verdict == KEPT else named), tested


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
