"""Drivers of whom one knows how faithful they are: what the bench must tell apart before it may judge others.

Each drives as another policy does and speaks in its own way. `Obedient` is the only one that heeds the words it is
given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cordillera.evaluate.faithful_words import understood
from cordillera.geometry import arc_length, interpolate, quat_from_yaw, yaw_of
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.reasoning.schema import write
from cordillera.runtime.driver import Policy
from cordillera.types import (
    Decision,
    Float,
    Lateral,
    Longitudinal,
    Observation,
    ReasoningTrace,
    Trajectory,
)

DT_S, BRAKE_MPS2, GO_MPS2, GO_MPS = 0.1, 2.5, 1.5, 8.0
YIELDS_TO = 0.7  # share of the speed that is left when giving way
ASIDE_M, ASIDE_S = {Lateral.IN_LANE_NUDGE: 0.5, Lateral.OUT_OF_LANE_NUDGE: 1.2, Lateral.LANE_CHANGE: 3.5}, 4.0


@dataclass(frozen=True)
class Obedient:
    """Drives and speaks as another policy; given words, it drives the decision that they tell, else as it wanted."""

    policy: Policy

    @property
    def name(self) -> str:
        return self.policy.name

    def decide(self, observation: Observation) -> Decision:
        """As the other policy."""
        return self.policy.decide(observation)

    def act_on(self, observation: Observation, words: str) -> Trajectory:
        """Words -> the plan that does what they say, along its own or along the route; its own where that does it."""
        own, told = self.decide(observation), understood(words)
        if told is None or own.reasoning is None:
            return own.trajectory
        plan, was = own.trajectory, own.reasoning
        if told.longitudinal is not was.longitudinal and not does_longitudinal(told.longitudinal, plan):
            plan = paced(plan, told.longitudinal, observation)
        aside = ASIDE_M.get(told.lateral, 0.0) if told.lateral is not None else 0.0
        if aside and (told.lateral, told.side) != (was.lateral, was.side):
            plan = moved_aside(plan, aside if told.side == "left" else -aside)
        return plan


@dataclass(frozen=True)
class _Deaf:
    """Drives as one policy, and speaks in a way that subclasses say; words that it is given change nothing."""

    driver: Policy

    def decide(self, observation: Observation) -> Decision:
        """The driver's plan with this one's words."""
        decision = self.driver.decide(observation)
        return replace(decision, reasoning=self.say(observation, decision), policy=self.name)

    def act_on(self, observation: Observation, words: str) -> Trajectory:
        """The driver's plan, whatever is said."""
        return self.driver.decide(observation).trajectory

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def say(self, observation: Observation, decision: Decision) -> ReasoningTrace | None:
        """An observation and the driver's decision -> the reason that is given for it."""
        return decision.reasoning


@dataclass(frozen=True)
class Misplaced(_Deaf):
    """Gives reasons that are true of other scenes."""

    sentences: Sequence[str]

    def say(self, observation: Observation, decision: Decision) -> ReasoningTrace | None:
        """One of the sentences, chosen by the time, that does not name what the driver names."""
        own = {cause.kind for cause in decision.reasoning.causes} if decision.reasoning else set()
        for n in range(len(self.sentences)):
            told = understood(self.sentences[(observation.t_us // 100_000 + n) % len(self.sentences)], self.name)
            if told is not None and told.causes and not own & {cause.kind for cause in told.causes}:
                return told
        return understood(self.sentences[0], self.name)


@dataclass(frozen=True)
class Talker(_Deaf):
    """Sees and tells what another policy would decide, and drives blind."""

    seer: Policy

    def say(self, observation: Observation, decision: Decision) -> ReasoningTrace | None:
        """The seer's reason."""
        return self.seer.decide(observation).reasoning


@dataclass(frozen=True)
class Monotone(_Deaf):
    """Always says the same."""

    sentence: str

    def say(self, observation: Observation, decision: Decision) -> ReasoningTrace | None:
        """The sentence."""
        return understood(self.sentence, self.name)


@dataclass(frozen=True)
class Parrot(_Deaf):
    """Reads the decision off its own plan afterwards, and names no cause."""

    def say(self, observation: Observation, decision: Decision) -> ReasoningTrace | None:
        """The first decisions that the plan does."""
        plan = decision.trajectory
        along = next(d for d in (Longitudinal.STOP, Longitudinal.YIELD, Longitudinal.SET_SPEED,
                                 Longitudinal.SPEED_ADAPTATION, Longitudinal.FOLLOW_LEAD, None)
                     if does_longitudinal(d, plan))  # fmt: skip
        ways = ((Lateral.LANE_KEEPING, ""), (Lateral.TURN, "left"), (Lateral.TURN, "right"),
                (Lateral.LANE_CHANGE, "left"), (Lateral.LANE_CHANGE, "right"), (None, ""))  # fmt: skip
        across, side = next((d, s) for d, s in ways if does_lateral(d, s, plan))
        trace = ReasoningTrace(along, across, (), "", self.name, side)
        return replace(trace, text=write(trace))


def paced(plan: Trajectory, decision: Longitudinal | None, observation: Observation) -> Trajectory:
    """A plan -> the same way at the pace of another decision on speed; where it is short, the way is the route's."""
    way = np.vstack([np.zeros((1, 2)), plan.xyz[:, :2]])
    start = max(observation.speed_mps, 0.0)
    count = len(plan.t_us)
    if decision is Longitudinal.STOP:
        speed = np.maximum(start - BRAKE_MPS2 * DT_S * np.arange(1, count + 1), 0.0)
    elif decision is Longitudinal.YIELD:
        speed = np.maximum(start - BRAKE_MPS2 * DT_S * np.arange(1, count + 1), YIELDS_TO * start)
    else:
        wanted = max(start, GO_MPS) + (2.0 if decision is Longitudinal.OVERTAKE else 0.0)
        speed = np.minimum(start + GO_MPS2 * DT_S * np.arange(1, count + 1), wanted)
    s = np.cumsum(speed) * DT_S
    line = way if float(arc_length(way)[-1]) >= s[-1] else _farther(way, observation.route.xyz[:, :2], float(s[-1]))
    xy = interpolate(line, s)
    step = np.diff(np.vstack([np.zeros((1, 2)), xy]), axis=0)
    yaw = np.arctan2(step[:, 1], step[:, 0])
    moving = np.hypot(*step.T) > 1e-3
    yaw = yaw[np.maximum.accumulate(np.where(moving, np.arange(count), 0))] if moving.any() else np.zeros(count)
    return Trajectory(plan.t_us, np.column_stack([xy, np.zeros(count)]), quat_from_yaw(yaw), "rig")


def moved_aside(plan: Trajectory, aside_m: float) -> Trajectory:
    """A plan -> the same moved to the left by the quintic that begins and ends at rest."""
    t = np.minimum(np.arange(1, len(plan.t_us) + 1) * DT_S / ASIDE_S, 1.0)
    yaw = yaw_of(plan.quat_xyzw)
    offset = aside_m * (10.0 * t**3 - 15.0 * t**4 + 6.0 * t**5)
    xyz = plan.xyz + offset[:, None] * np.column_stack([-np.sin(yaw), np.cos(yaw), 0.0 * yaw])
    return replace(plan, xyz=xyz)


def _farther(way: Float, route: Float, length_m: float) -> Float:
    """A way and the route, both from the rig on -> a line of at least this length: the way, then the route, then on."""
    end = way[-1] if float(arc_length(way)[-1]) > 0.5 else np.zeros(2)
    begun = way if float(arc_length(way)[-1]) > 0.5 else np.zeros((1, 2))
    ahead = route[route[:, 0] > end[0] + 1.0]
    line = np.vstack([begun, ahead])
    line = np.vstack([line, line[-1] + np.array([1.0, 0.0])]) if len(line) < 2 else line
    step = line[-1] - line[-2]
    return np.vstack([line, line[-1] + step / max(float(np.hypot(*step)), 1e-6) * (length_m + 10.0)])
