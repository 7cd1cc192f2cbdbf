"""A vehicle state and a planned trajectory in, the states on the way to a later time out: our tracker and our car."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.geometry import invert, quat_from_yaw, transform_of, transform_points, yaw_of
from cordillera.runtime.track import TrackConfig, Tracker
from cordillera.types import Controls, Decision, EgoState, Observation, Route, Trajectory
from cordillera.world.vehicle import step_vehicle

STEP_US = 100_000
PLAN_STEPS = 64


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

    def propagate(self, ego: EgoState, plan: Trajectory, until_us: int) -> tuple[EgoState, ...]:
        """A state, a plan in the rig frame of its first pose's time, and a time -> the states each 0.1 s up to it.

        The plan's first pose is where the car is now (the rig's own origin); the tracker plans anew every 0.1 s, for
        the rest of the plan. The last state is at `until_us`. Raises ValueError for a plan or a time that it cannot
        follow: NaN, unsorted stamps, fewer than two poses, a plan that starts later than the state or is over.
        """
        faults = plan_faults(plan, ego.t_us, self.limits)
        if faults:
            raise ValueError(faults)
        if not ego.t_us < until_us <= ego.t_us + self.limits.longest_us:
            asked = (until_us - ego.t_us) * 1e-6
            raise ValueError(
                f"future_time_us is {asked:g} s after the state; ask for more than 0 and at most "
                f"{self.limits.longest_us * 1e-6:g} s"
            )
        tf_local_plan = self._plan_frame(ego, plan)
        xyz_local = transform_points(tf_local_plan, plan.xyz)
        yaw_local = np.unwrap(yaw_of(plan.quat_xyzw)) + float(yaw_of(ego.quat_xyzw))
        states = []
        tracker = Tracker(self.config)
        while ego.t_us < until_us:
            step_us = min(STEP_US, until_us - ego.t_us)
            controls = self._controls(tracker, ego, plan.t_us, xyz_local, yaw_local)
            after = step_vehicle(ego, controls, step_us * 1e-6, self.config.vehicle)
            ego = replace(after, t_us=ego.t_us + step_us)
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
        if count < 5:
            raise ValueError(
                f"the plan ends {(int(t_us[-1]) - ego.t_us) * 1e-6:g} s after the state to be controlled; the tracker "
                "needs 0.5 s or more: plan farther ahead"
            )
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
    if plan.t_us[0] > now_us:
        return f"the planned trajectory starts {(int(plan.t_us[0]) - now_us) * 1e-6:g} s after the state; start at it"
    return ""
