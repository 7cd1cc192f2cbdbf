"""A vehicle state and a planned trajectory in, the states on the way to a later time out: our tracker and our car."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from cordillera.geometry import invert, quat_from_yaw, transform_of, transform_points, yaw_of
from cordillera.runtime.track import TrackConfig, Tracker
from cordillera.types import Controls, Decision, EgoState, Observation, Route, Trajectory
from cordillera.world.vehicle import step_vehicle

STEP_US = 100_000
PLAN_STEPS = 64
LEAST_AHEAD_US = 3_000_000  # that the tracker looks ahead


@dataclass(frozen=True)
class ControllerLimits:
    """What a request may ask for."""

    longest_us: int = 10_000_000  # from the state to the time asked for
    most_poses: int = 1000  # of a plan


@dataclass(frozen=True, eq=False)
class Controller:
    """One car with its tracker; stateless: the actuators' state is part of `EgoState`."""

    config: TrackConfig = field(default_factory=TrackConfig)
    limits: ControllerLimits = field(default_factory=ControllerLimits)

    def propagate(
        self, ego: EgoState, plan: Trajectory, until_us: int, report_us: int = STEP_US
    ) -> tuple[EgoState, ...]:
        """A state, a plan in the rig frame of its first pose's time, and a time -> the states on the way there.

        The plan's first pose is where the car is at that time (the rig's own origin); the tracker plans anew every
        0.1 s, for the rest of the plan. States are given every `report_us` (0: none on the way) and at `until_us`.
        A plan that ends too soon goes on at its last speed. Raises ValueError for a plan or a time that it cannot
        follow: NaN, unsorted stamps, fewer than two poses, a plan that starts later than the state or is over.
        """
        faults = plan_faults(plan, ego.t_us, self.limits)
        if faults:
            raise ValueError(faults)
        plan = lengthened(plan, max(until_us, ego.t_us) + LEAST_AHEAD_US)
        tf_local_plan = self._plan_frame(ego, plan)
        xyz_local = transform_points(tf_local_plan, plan.xyz)
        yaw_local = np.unwrap(yaw_of(plan.quat_xyzw)) + math.atan2(tf_local_plan[1, 0], tf_local_plan[0, 0])
        tracker = Tracker(self.config)
        return self._driven(
            ego, until_us, report_us, lambda now: self._controls(tracker, now, plan.t_us, xyz_local, yaw_local)
        )

    def steer(
        self, ego: EgoState, wheel_rad: float, accel_mps2: float, until_us: int, report_us: int = STEP_US
    ) -> tuple[EgoState, ...]:
        """A state, the front wheel's angle, an acceleration and a time -> the states on the way there, as above."""
        curvature = math.tan(wheel_rad) / self.config.vehicle.spec.wheelbase_m
        return self._driven(ego, until_us, report_us, lambda now: Controls(accel_mps2, curvature))

    def _driven(
        self, ego: EgoState, until_us: int, report_us: int, decide: Callable[[EgoState], Controls]
    ) -> tuple[EgoState, ...]:
        """A state, a time and what commands the car every 0.1 s -> the states to report."""
        start_us = ego.t_us
        if not start_us < until_us <= start_us + self.limits.longest_us:
            raise ValueError(
                f"future_time_us is {(until_us - start_us) * 1e-6:g} s after the state; ask for more than 0 and at "
                f"most {self.limits.longest_us * 1e-6:g} s"
            )
        reports = set(range(start_us + report_us, until_us, report_us)) if report_us else set()
        reports.add(until_us)
        ticks = set(range(start_us, until_us, STEP_US))
        states, controls = [], Controls(0.0, 0.0)
        stops = sorted(reports | ticks)
        for now_us, next_us in pairwise(stops):
            if now_us in ticks:
                controls = decide(ego)
            after = step_vehicle(ego, controls, (next_us - now_us) * 1e-6, self.config.vehicle)
            ego = replace(after, t_us=next_us)
            if next_us in reports:
                states.append(ego)
        return tuple(states)

    @staticmethod
    def _plan_frame(ego: EgoState, plan: Trajectory) -> np.ndarray:
        """Pose of the plan's frame in the local frame; a plan that began before now is laid so that it passes here."""
        tf = transform_of(ego.xyz, quat_from_yaw(float(yaw_of(ego.quat_xyzw))))
        age_us = ego.t_us - int(plan.t_us[0])
        if age_us <= 0:
            return tf
        now = np.array([np.interp(ego.t_us, plan.t_us, plan.xyz[:, i]) for i in range(3)])
        yaw = float(np.interp(ego.t_us, plan.t_us, np.unwrap(yaw_of(plan.quat_xyzw))))
        return tf @ invert(transform_of(now, quat_from_yaw(yaw)))

    @staticmethod
    def _controls(
        tracker: Tracker, ego: EgoState, t_us: np.ndarray, xyz_local: np.ndarray, yaw_local: np.ndarray
    ) -> Controls:
        count = min(PLAN_STEPS, int(t_us[-1] - ego.t_us) // STEP_US)
        at = ego.t_us + STEP_US * np.arange(1, count + 1)
        tf_rig_local = invert(transform_of(ego.xyz, quat_from_yaw(float(yaw_of(ego.quat_xyzw)))))
        points = np.stack([np.interp(at, t_us, xyz_local[:, i]) for i in range(3)], axis=-1)
        yaw = np.interp(at, t_us, yaw_local) - float(yaw_of(ego.quat_xyzw))
        rig = Trajectory(at.astype(np.int64), transform_points(tf_rig_local, points), quat_from_yaw(yaw), "rig")
        return tracker.controls(Decision(rig, (), None, "wire", 0.0), blind(ego))


def blind(ego: EgoState) -> Observation:
    """A state -> an observation with nothing but odometry, which is all that a tracker reads of a fresh plan."""
    here = Trajectory(np.array([ego.t_us]), np.zeros((1, 3)), quat_from_yaw(np.zeros(1)), "rig")
    return Observation(ego.t_us, (), (), (), here, ego, Route(np.zeros((0, 3)), frame="rig"))


def lengthened(plan: Trajectory, until_us: int) -> Trajectory:
    """A plan of at least two poses and a time -> the plan up to that time, straight on at its last speed."""
    if plan.t_us[-1] >= until_us:
        return plan
    velocity = (plan.xyz[-1] - plan.xyz[-2]) / float(plan.t_us[-1] - plan.t_us[-2])
    end = plan.xyz[-1] + velocity * float(until_us - plan.t_us[-1])
    return Trajectory(
        np.append(plan.t_us, until_us), np.vstack([plan.xyz, end]), np.vstack([plan.quat_xyzw, plan.quat_xyzw[-1]]),
        plan.frame,
    )  # fmt: skip


def plan_faults(plan: Trajectory, now_us: int, limits: ControllerLimits) -> str:
    """A plan -> what is wrong with it in a sentence, "" where nothing is."""
    if not 2 <= len(plan.t_us) <= limits.most_poses:
        return f"the planned trajectory has {len(plan.t_us)} poses; give 2 to {limits.most_poses}"
    if not (np.isfinite(plan.xyz).all() and np.isfinite(plan.quat_xyzw).all()):
        return "the planned trajectory holds NaN or infinity; give finite poses"
    if (np.diff(plan.t_us) <= 0).any():
        return "the planned trajectory's stamps do not increase; sort them and drop duplicates"
    if np.abs(np.linalg.norm(plan.quat_xyzw, axis=1) - 1.0).max() > 1e-2:
        return "the planned trajectory holds a quaternion that is not of unit length; normalise it"
    if plan.t_us[-1] <= now_us:
        return f"the planned trajectory ends {(now_us - int(plan.t_us[-1])) * 1e-6:g} s before the state; plan anew"
    if plan.t_us[0] > now_us:
        return f"the planned trajectory starts {(int(plan.t_us[0]) - now_us) * 1e-6:g} s after the state; start at it"
    return ""
