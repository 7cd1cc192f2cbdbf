"""A trace, a path and the moment of a drive -> which of its claims fail, by name; and precision and recall of causes.

Works for every source of traces. Causes without identity, as sentences carry them, are held to be whatever of their
kind is there and fits the relation; the nearest one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.reasoning.intervene import Remove
from cordillera.reasoning.kinds import KINDS, kind_of_agent
from cordillera.reasoning.label import Drive, LabelConfig, Planner, Sight, bend_mps, effect_of
from cordillera.reasoning.match import does_lateral, does_longitudinal, offsets
from cordillera.reasoning.removal import BENDS, around
from cordillera.sensors.observe import HISTORY
from cordillera.types import (
    AgentKind,
    Cause,
    LightState,
    ReasoningTrace,
    SignalKind,
    Trajectory,
    WorldState,
)

EXISTS, VISIBLE, PRECEDES, LONGITUDINAL, LATERAL, NECESSARY = CHECKS = (
    "cause exists", "cause was visible", "cause precedes", "path does the longitudinal decision",
    "path does the lateral decision", "cause was necessary",
)  # fmt: skip
REACH_M = 120.0
SIGNS = {
    "traffic light": (SignalKind.TRAFFIC_LIGHT,), "stop sign": (SignalKind.STOP,),
    "give-way sign": (SignalKind.GIVE_WAY,), "rail crossing": (SignalKind.OTHER, SignalKind.TRAFFIC_LIGHT),
}  # fmt: skip
SHOWN = {
    "red at the stop line ahead": (LightState.RED, LightState.RED_AMBER, LightState.FLASHING_RED),
    "amber at the stop line ahead": (LightState.AMBER, LightState.FLASHING_AMBER), "dark": (LightState.OFF,),
    "green": (LightState.GREEN,), "turned green": (LightState.GREEN,), "flashing red": (LightState.FLASHING_RED,),
    "flashing amber": (LightState.FLASHING_AMBER,),
}  # fmt: skip
PEOPLE = frozenset(
    {AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR, AgentKind.POLICE_OFFICER, AgentKind.FLAGGER, AgentKind.ANIMAL}
)
CHILD = frozenset({AgentKind.PEDESTRIAN})


@dataclass(frozen=True)
class Failed:
    """A check that failed, and for which cause ("" where it is about the decision)."""

    check: str  # one of CHECKS
    cause: str  # "lead vehicle agent:7"
    why: str


def verify(
    trace: ReasoningTrace, path: Trajectory, drive: Drive, k: int, planner: Planner, sight: Sight,
    config: LabelConfig | None = None, careless: Planner | None = None,
) -> tuple[Failed, ...]:  # fmt: skip
    """A trace given at the k-th state and the path planned or driven from there -> the checks that failed, by name.

    `path` is in the rig frame of that moment or in the world. The planner is the one whose decision is explained,
    `careless` the same as one to whom bends do not matter; without it bends are not tested for necessity.
    """
    config = config or LabelConfig()
    failed = list(_paths(trace, path, drive, k))
    for cause in trace.causes:
        failed += _cause(cause, drive, k, planner, sight, config, careless)
    return tuple(failed)


def candidates(cause: Cause, state: WorldState, drive: Drive) -> tuple[str, ...]:
    """A cause -> the targets it may mean in a state, the nearest first; or the one that it names, if it is there.

    Roads, routes and the like are there wherever they are named.
    """
    target = KINDS[cause.kind].target if cause.kind in KINDS else "scene"
    if target == "agent":
        return _agents(cause, state)
    if target == "signal":
        return _signals(cause, state, drive)
    return (cause.target or f"{target}:",)


def _agents(cause: Cause, state: WorldState) -> tuple[str, ...]:
    agents, ego = state.agents, state.ego
    away = np.hypot(*(agents.xyz[:, :2] - ego.xyz[:2]).T) if len(agents.id) else np.zeros(0)
    found = []
    for row in np.argsort(away, kind="stable"):
        name = f"agent:{int(agents.id[row])}"
        fits = name == cause.target if cause.target else away[row] < REACH_M and _fits(cause, int(agents.kind[row]))
        if agents.valid[row] and fits:
            found.append(name)
    return tuple(found)


def _fits(cause: Cause, kind: int) -> bool:
    """Whether an agent's kind can be what a cause's kind says; words for roles in traffic fit every vehicle."""
    if cause.kind == kind_of_agent(kind) or (cause.kind == "child" and kind in CHILD):
        return True
    plain = {kind_of_agent(k) for k in AgentKind}
    if cause.kind in plain:
        return cause.kind == "obstacle" and kind >= AgentKind.CONE
    return kind < AgentKind.CONE and kind not in PEOPLE


def _signals(cause: Cause, state: WorldState, drive: Drive) -> tuple[str, ...]:
    shown, kinds = SHOWN.get(cause.relation), SIGNS.get(cause.kind, ())
    near = []
    for n, signal in enumerate(drive.world.map.signals):
        away = float(np.hypot(*(signal.xyz[:2] - state.ego.xyz[:2])))
        fits = f"signal:{n}" == cause.target if cause.target else signal.kind in kinds and away < REACH_M
        if fits and (shown is None or state.signals[n] in shown):
            near.append((away, f"signal:{n}"))
    return tuple(name for _, name in sorted(near))


def _cause(
    cause: Cause, drive: Drive, k: int, planner: Planner, sight: Sight, config: LabelConfig, careless: Planner | None
) -> tuple[Failed, ...]:
    """The four checks of one cause; what does not exist is not asked for more."""
    state = drive.states[k]
    there = candidates(cause, state, drive)
    name = f"{cause.kind} {cause.target}".strip()
    if not there:
        return (Failed(EXISTS, name, f"no {cause.kind} that is {cause.relation} within {REACH_M:.0f} m"),)
    meant = replace(cause, target=there[0])
    failed = []
    if cause.evidence_t_us > state.t_us:
        failed.append(
            Failed(PRECEDES, name, f"its evidence is of {(cause.evidence_t_us - state.t_us) / 1e6:.1f} s later")
        )
    if _stands(meant.target):
        rows = range(k, max(k - HISTORY, -1), -config.look)
        most = max(sight(drive.states[n], meant.target) for n in rows)
        if most < config.pixels:
            failed.append(Failed(VISIBLE, name, f"no camera showed more than {most:.1f} pixels of it in 1.6 s"))
    if not _necessary(meant, drive, k, planner, config, careless):
        failed.append(Failed(NECESSARY, name, "without it the planner drives the same"))
    return tuple(failed)


def _necessary(
    cause: Cause, drive: Drive, k: int, planner: Planner, config: LabelConfig, careless: Planner | None
) -> bool:
    """Whether a cause's removal changes the plan; true for what must stay.

    Where others would do in its place, it is asked with these away, in the end with all that is around away.
    """
    if ":" not in cause.target or cause.target.endswith(":"):
        return True
    if cause.kind in BENDS:
        return careless is None or bend_mps(drive, k, careless, drive.ask(planner, k)) >= config.effect_mps
    change = drive.removal(k, cause, config)
    if change is None:
        return True
    others: list[str] = []
    for _ in range(config.deep + 1):
        away = tuple(Remove(name) for name in others)
        there, without = drive.ask(planner, k, away), drive.ask(planner, k, (*away, change))
        if effect_of(cause, there, without, config) >= config.effect_mps:
            return True
        named = [c.target for c in without.reasoning.causes] if without.reasoning else []
        fresh = [name for name in named if _stands(name) and name != cause.target and name not in others]
        if not fresh:
            break
        others.append(fresh[0])
    among = [name for name in around(drive.world, drive.states[k]) if name != cause.target]
    away = tuple(Remove(name) for name in among)
    there, without = drive.ask(planner, k, away), drive.ask(planner, k, (*away, change))
    return effect_of(cause, there, without, config) >= config.effect_mps


def _stands(target: str) -> bool:
    """Whether a target is something in the world, and not a road."""
    return target.startswith(("agent:", "signal:"))


def _paths(trace: ReasoningTrace, path: Trajectory, drive: Drive, k: int) -> tuple[Failed, ...]:
    """The two checks of the decision."""
    failed = []
    if not does_longitudinal(trace.longitudinal, path):
        failed.append(Failed(LONGITUDINAL, "", f"the path does not do {str(trace.longitudinal)!r}"))
    if not does_lateral(trace.lateral, trace.side, path, offsets(path, drive.states[k].ego, drive.world)):
        failed.append(Failed(LATERAL, "", f"the path does not do {f'{trace.lateral} {trace.side}'.strip()!r}"))
    return tuple(failed)


def nearest_ahead(state: WorldState, within_rad: float = 0.35) -> tuple[Cause, ...]:
    """A state -> the nearest agent ahead of the ego as its cause, or none: a plain guess to compare with."""
    agents, ego = state.agents, state.ego
    if not agents.valid.any():
        return ()
    away = agents.xyz[:, :2] - ego.xyz[:2]
    bearing = np.abs(wrap_angle(np.arctan2(away[:, 1], away[:, 0]) - yaw_of(ego.quat_xyzw)))
    far = np.where(agents.valid & (bearing < within_rad), np.hypot(*away.T), np.inf)
    row = int(np.argmin(far))
    if far[row] > REACH_M:
        return ()
    kind = kind_of_agent(int(agents.kind[row]))
    relation = KINDS[kind].relations[0]
    return (Cause(kind, f"agent:{int(agents.id[row])}", relation, state.t_us, float(far[row]), "longitudinal"),)


@dataclass(frozen=True)
class Score:
    """How well named causes meet the true ones: counts, and the two shares (NaN where there is nothing to share)."""

    hits: int
    named: int
    true: int

    @property
    def precision(self) -> float:
        return self.hits / self.named if self.named else float("nan")

    @property
    def recall(self) -> float:
        return self.hits / self.true if self.true else float("nan")


def score(named: Sequence[Sequence[Cause]], true: Sequence[Sequence[Cause]]) -> Score:
    """Causes named and causes that are true, a sequence for each moment -> their score over all moments.

    Two causes meet if they have the same identity, or, where one has none, the same kind and relation.
    """
    hits = 0
    for said, real in zip(named, true, strict=True):
        left = list(real)
        for cause in said:
            match = next((c for c in left if _meet(cause, c)), None)
            if match is not None:
                left.remove(match)
                hits += 1
    return Score(hits, sum(len(said) for said in named), sum(len(real) for real in true))


def _meet(a: Cause, b: Cause) -> bool:
    if a.target and b.target:
        return a.target == b.target
    return (a.kind, a.relation) == (b.kind, b.relation)
