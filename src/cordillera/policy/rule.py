"""The expert: an observation with its truth in, a decision with its true reason out.

It collects constraints (each with its cause), solves the speed profile, and names as cause the constraint that bound
it. Take a cause out of the state and ask again: what it decided because of that cause, it decides no more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.policy.rule_aside import Nudge
from cordillera.policy.rule_change import waiting_for
from cordillera.policy.rule_hazard import hazard_constraints
from cordillera.policy.rule_lateral import manoeuvre, poses
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_nudge import nudge_of
from cordillera.policy.rule_path import path_of
from cordillera.policy.rule_road import (
    curve_cause,
    end_constraint,
    light_constraints,
    people_constraints,
    sign_constraints,
)
from cordillera.policy.rule_scene import Scene, look
from cordillera.policy.rule_signals import disorder_constraints, gesture_constraints, ground_constraints
from cordillera.policy.rule_speed import HALT, Constraint, Profile, SpeedConfig, solve_speed
from cordillera.policy.rule_traffic import lead_constraints, zone_constraints
from cordillera.policy.rule_way import line_of
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.reasoning.schema import sentence
from cordillera.types import (
    Cause,
    Decision,
    Lateral,
    Longitudinal,
    Observation,
    ReasoningTrace,
    Trajectory,
    VehicleSpec,
)  # fmt: skip

BINDS_MPS = 0.15  # what a constraint must take away, in m/s over the plan, to be named


@dataclass(frozen=True)
class RuleConfig:
    """The expert's car and manner."""

    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    speed: SpeedConfig = field(default_factory=SpeedConfig)


@dataclass(frozen=True)
class RuleExpert:
    """A careful driver who knows the state of the world."""

    config: RuleConfig = field(default_factory=RuleConfig)
    name: str = "expert"

    def decide(self, observation: Observation) -> Decision:
        """An observation with truth -> 64 poses and the trace. Raises ValueError where the truth is missing."""
        started = time.perf_counter()
        truth = observation.truth
        if truth is None:
            raise ValueError("the expert reads observation.truth, which is missing; let the observer attach it")
        speed = self.config.speed
        path = path_of(truth.map, truth.route, speed.side_mps2, speed.curve_brake_mps2)
        scene = look(observation, truth, path, self.config.vehicle)
        waiting = waiting_for(scene)
        nudge = nudge_of(scene) if waiting is None else Nudge()
        scene = replace(scene, line=line_of(scene, nudge.moves, waiting.change if waiting else None))
        constraints, profile = self.plan(scene, waiting.constraints if waiting else nudge.constraints)
        plan = poses(scene, profile.s_m)
        trace = self._explain(scene, constraints, profile, nudge, plan)
        latency = (time.perf_counter() - started) * 1e3
        return Decision(plan, (), trace, self.name, latency)

    def plan(self, scene: Scene, gaps: tuple[Constraint, ...]) -> tuple[tuple[Constraint, ...], Profile]:
        """A scene, and what a move to the side asks for -> all constraints, and the speed profile that heeds them."""
        fixed = [
            *gaps,
            *light_constraints(scene), *sign_constraints(scene), *end_constraint(scene), *people_constraints(scene),
            *lead_constraints(scene), *gesture_constraints(scene), *disorder_constraints(scene),
            *ground_constraints(scene),
        ]  # fmt: skip
        base = self._solve(scene, tuple(fixed))
        held = min((c.s_m for c in fixed if c.demand == HALT and c.decision is Longitudinal.STOP), default=np.inf)
        found = (*fixed, *zone_constraints(scene, base, float(held)))
        profile = self._solve(scene, found) if len(found) > len(fixed) else base
        more, profile = hazard_constraints(scene, profile, lambda new: self._solve(scene, (*found, *new)))
        return (*found, *more), profile

    def _solve(self, scene: Scene, constraints: tuple[Constraint, ...]) -> Profile:
        ego = scene.state.ego
        return solve_speed(
            scene.station_m, scene.speed_mps, ego.accel_mps2, scene.nose_m, scene.path.cap, SPACING_M, constraints,
            self.config.speed,
        )  # fmt: skip

    def _explain(
        self, scene: Scene, constraints: tuple[Constraint, ...], profile: Profile, nudge: Nudge, plan: Trajectory
    ) -> ReasoningTrace:
        """The decision and its causes: the constraint that took most from the ride, and the move.

        What the plan does not do is not said: what slows less than the word says adapts the speed, and a move to the
        side that has not begun within the plan, or is over but for the way back, is none.
        """
        most = int(np.argmax(profile.taken))
        if profile.taken[most] < BINDS_MPS or most == 0:
            cause, longitudinal = curve_cause(scene)
        else:
            cause, longitudinal = constraints[most - 1].cause, constraints[most - 1].decision
        adapts = Longitudinal.SPEED_ADAPTATION
        if not does_longitudinal(longitudinal, plan) and does_longitudinal(adapts, plan):
            longitudinal = adapts
        lateral, ways, side = manoeuvre(scene)
        if nudge.cause is not None:
            offset, _ = scene.line.at(profile.s_m)
            moves = does_lateral(nudge.lateral, nudge.side, plan, offset)
            if moves or not does_lateral(Lateral.LANE_KEEPING, "", plan, offset):
                lateral, ways, side = nudge.lateral, (nudge.cause,), nudge.side
        causes: tuple[Cause, ...] = (cause, *ways)
        text = sentence(longitudinal, lateral, causes, side=side)
        return ReasoningTrace(longitudinal, lateral, causes, text, self.name, side)
