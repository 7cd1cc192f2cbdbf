"""The poses that a session was told -> where the car was at any time: a history in the local frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cordillera.geometry import quat_multiply, rotate, transform_of
from cordillera.serve.convert import FASTEST
from cordillera.types import EgoState, Float, Int, Trajectory

KEPT_US = 10_000_000
MOST_STATES = 20_000
STALE_US = 150_000  # the car's place may be carried on so far past the newest pose
LEAST_MPS, LEAST_RADPS = 0.5, 1e-4
RATES_OVER_US = 50_000  # a velocity that is not told is taken over at least so long, where there are poses


class StaleError(ValueError):
    """There is no pose near the time that was asked for."""


@dataclass(eq=False)
class Track:
    """Poses and, where they were told, rates; in order of time."""

    states: list[EgoState] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)  # whether the velocity of each was
    _known: tuple[Int, Float, Float, Float] | None = None  # what `_arrays` made of the states

    def extend(self, poses: Trajectory, states: list[EgoState] | None) -> int:
        """Poses in order, and their states if they came with rates -> how many were new.

        Those not newer than the newest one are skipped: runtimes send the pose at a step's boundary twice.
        """
        newest = self.states[-1].t_us if self.states else -1
        added = 0
        for k, t in enumerate(poses.t_us):
            if int(t) <= newest:
                continue
            state = states[k] if states else EgoState(int(t), poses.xyz[k], poses.quat_xyzw[k], np.zeros(3))
            self.states.append(state)
            self.told.append(states is not None)
            added += 1
        self._forget()
        self._known = None
        return added

    def _forget(self) -> None:
        if self.states:
            oldest = self.states[-1].t_us - KEPT_US
            keep = max(sum(1 for s in self.states if s.t_us < oldest) - 1, len(self.states) - MOST_STATES, 0)
            del self.states[:keep], self.told[:keep]

    def now(self, t_us: int) -> EgoState:
        """The vehicle's state at a time; StaleError where no pose is near."""
        if not self.states:
            raise StaleError("no egomotion has come yet; send submit_egomotion_observation before drive")
        times = self._times()
        newest, oldest = int(times[-1]), int(times[0])
        if t_us - newest > STALE_US or oldest - t_us > STALE_US:
            raise StaleError(
                f"the egomotion known is from {oldest} to {newest} us, but the time asked about is {t_us} us; "
                f"send a pose at time_now_us before drive (at most {STALE_US // 1000} ms away)"
            )
        at = max(int(np.searchsorted(times, t_us, side="right")) - 1, 0)
        state = self.states[at]
        velocity = state.velocity_mps if self.told[at] else self._velocity(at)
        if np.abs(velocity).max() > FASTEST["velocity"]:
            speed = float(np.linalg.norm(velocity))
            raise ValueError(f"the poses say that the car goes at {speed:g} m/s; send metres and microseconds")
        xyz, quat = self.poses(np.array([t_us]))
        yaw_rate, curvature = state.yaw_rate_radps, state.curvature_1pm
        if yaw_rate == 0.0:  # not told, or straight on; the poses know which
            yaw_rate = self._yaw_rate(at)
            curvature = yaw_rate / float(velocity[0]) if abs(float(velocity[0])) > LEAST_MPS else 0.0
        return EgoState(t_us, xyz[0], quat[0], velocity, state.accel_mps2, curvature, yaw_rate)

    def poses(self, t_us: Int) -> tuple[Float, Float]:
        """Times (N,) -> positions (N, 3) and quaternions (N, 4) in local; beyond the ends at constant velocity."""
        times, xyz, quat, told_quat = self._arrays()
        clock = t_us.astype(np.float64)
        known = times.astype(np.float64)
        out = np.stack([np.interp(clock, known, xyz[:, d]) for d in range(3)], axis=-1)
        turned = np.stack([np.interp(clock, known, quat[:, d]) for d in range(4)], axis=-1)
        exact = np.clip(np.searchsorted(times, t_us), 0, len(times) - 1)
        same = times[exact] == t_us
        out[same], turned[same] = xyz[exact[same]], told_quat[exact[same]]
        for end in (0, len(times) - 1):
            state = self.states[end]
            velocity = rotate(state.quat_xyzw, state.velocity_mps if self.told[end] else self._velocity(end))
            beyond = t_us < times[0] if end == 0 else t_us > times[-1]
            out[beyond] = state.xyz + velocity * ((t_us[beyond] - state.t_us) * 1e-6)[:, None]
        return out, turned / np.linalg.norm(turned, axis=1, keepdims=True)

    def pose_near(self, t_us: int) -> Float | None:
        """A time -> tf_local_rig then, or None where no pose is near."""
        times = self._times()
        if not len(times) or t_us < times[0] - STALE_US or t_us > times[-1] + STALE_US:
            return None
        xyz, quat = self.poses(np.array([t_us]))
        return transform_of(xyz[0], quat[0])

    def _times(self) -> Int:
        return self._arrays()[0]

    def _arrays(self) -> tuple[Int, Float, Float, Float]:
        """Times, positions, quaternions without jumps of sign, and quaternions as they were told."""
        if self._known is None:
            times = np.array([s.t_us for s in self.states], dtype=np.int64)
            xyz = np.array([s.xyz for s in self.states]).reshape(-1, 3)
            quat = np.array([s.quat_xyzw for s in self.states]).reshape(-1, 4)
            flips = np.einsum("ij,ij->i", quat[1:], quat[:-1]) < 0.0
            sign = np.where(np.append(0, np.cumsum(flips)) % 2 == 1, -1.0, 1.0)[: len(quat)]
            self._known = times, xyz, quat * sign[:, None], quat
        return self._known

    def _other(self, at: int) -> EgoState | None:
        """The pose by which rates at a pose are found: one before it, or the one after the first; None of one pose."""
        state = self.states[at]
        others = [s for s in self.states[:at] if state.t_us - s.t_us >= RATES_OVER_US] or self.states[:at]
        return others[-1] if others else (self.states[at + 1] if at + 1 < len(self.states) else None)

    def _yaw_rate(self, at: int) -> float:
        """The yaw rate at a pose in rad/s, by another pose; 0 where float32 does not tell it from none."""
        state, other = self.states[at], self._other(at)
        if other is None:
            return 0.0
        turned = quat_multiply(other.quat_xyzw * np.array([-1.0, -1.0, -1.0, 1.0]), state.quat_xyzw)
        rate = 2.0 * float(np.arctan(turned[2] / turned[3])) / ((state.t_us - other.t_us) * 1e-6)
        return rate if abs(rate) > LEAST_RADPS else 0.0

    def _velocity(self, at: int) -> Float:
        """The velocity in the rig frame at a pose, by another pose; 0 of a single pose."""
        state, other = self.states[at], self._other(at)
        if other is None:
            return np.zeros(3)
        gone = (state.xyz - other.xyz) / ((state.t_us - other.t_us) * 1e-6)
        return rotate(state.quat_xyzw * np.array([-1.0, -1.0, -1.0, 1.0]), gone)
