"""An observation in, controls out, whatever the policy does: ask it, check its plan, track it or stop.

The same driver runs in the simulator, behind the service and in the car.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from cordillera.geometry import arc_length, interpolate, project_to_polyline
from cordillera.kinematics import arcs_of, plan_of, roll_plan
from cordillera.runtime.track import TrackConfig, Tracker, plan_in_rig
from cordillera.types import Controls, Decision, DriveOutput, Float, Observation, Trajectory, Verdict


class Policy(Protocol):
    """What drives: an observation in, a decision out, and nothing kept in between."""

    @property
    def name(self) -> str: ...

    def decide(self, observation: Observation) -> Decision: ...


@dataclass(frozen=True)
class DriverConfig:
    """What a plan must be to be driven, what controls may be, and how to stop without a plan."""

    track: TrackConfig = field(default_factory=TrackConfig)
    least_duration_s: float = 5.0
    start_gap_m: float = 2.5
    speed_max_mps: float = 70.0
    accel_max_mps2: float = 12.0  # of a plan, over half a second
    side_accel_max_mps2: float = 12.0
    curvature_max_1pm: float = 0.4
    slip_max: float = 0.35  # sideways over forward distance, over half a second
    control_accel_mps2: tuple[float, float] = (-8.0, 3.0)
    control_side_accel_mps2: float = 6.0
    stop_accel_mps2: float = -3.5  # firm, and still kind to those who stand in a bus
    route_gap_m: float = 1.5  # the route is a guide for the stop if the car is this near and this well aligned
    route_angle_rad: float = 0.35


class SafeDriver:
    """Drives by a policy; keeps no state, so the same observation gives the same controls.

    The verdict is "pass"; "clip" where controls met the driver's limits; or "fallback" where there is no plan to
    drive: the policy raised, returned something else than a decision, or gave a plan that no car can follow. Then
    the car brakes to a stop along the route if it is on it, else along its present curvature. This is the one place
    of the stack that catches every exception of another's code: a car cannot refuse to be driven. Type and message
    go into the reasons. `clock` gives seconds for the latency, which is a measurement and varies from run to run.
    """

    def __init__(
        self, policy: Policy, config: DriverConfig | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.policy = policy
        self.config = config or DriverConfig()
        self.clock = clock
        self.tracker = Tracker(self.config.track)

    def drive(self, observation: Observation) -> DriveOutput:
        """What the car senses -> decision, controls and verdict. With "fallback" the decision is the driver's own
        stop, and the policy's plan is among the candidates if it can be drawn."""
        began = self.clock()
        try:
            decision = self.policy.decide(observation)
        except Exception as error:
            reason = f"The policy {self.policy.name} raised {type(error).__name__}: {error}"
            return self._stop(observation, (reason,), (), (self.clock() - began) * 1e3)
        latency_ms = (self.clock() - began) * 1e3
        if not isinstance(decision, Decision):
            reason = f"The policy {self.policy.name} returned {type(decision).__name__} instead of a Decision."
            return self._stop(observation, (reason,), (), latency_ms)
        faults = form_faults(decision.trajectory, observation, self.config)
        if faults:
            return self._stop(observation, faults, (), latency_ms)
        faults = motion_faults(decision.trajectory, observation, self.config)
        if faults:
            return self._stop(observation, faults, (decision.trajectory,), latency_ms)
        controls = self.tracker.controls(decision, observation)
        controls, reasons = clip_controls(controls, observation.speed_mps, self.config)
        verdict = Verdict("clip", reasons) if reasons else Verdict("pass")
        return DriveOutput(replace(decision, latency_ms=latency_ms), controls, verdict)

    def _stop(
        self, observation: Observation, reasons: tuple[str, ...], seen: tuple[Trajectory, ...], latency_ms: float
    ) -> DriveOutput:
        plan = stop_plan(observation, self.config)
        decision = Decision(plan, seen, None, "fallback", latency_ms)
        controls, clips = clip_controls(
            self.tracker.controls(decision, observation), observation.speed_mps, self.config
        )
        return DriveOutput(decision, controls, Verdict("fallback", reasons + clips))


# ---------------------------------------------------------------------- checks


def form_faults(plan: Trajectory, observation: Observation, config: DriverConfig) -> tuple[str, ...]:
    """A plan -> sentences on what is wrong with its form: shapes, numbers, stamps, quaternions, frame, time."""
    count = len(plan.t_us)
    if count < 5 or plan.xyz.shape != (count, 3) or plan.quat_xyzw.shape != (count, 4):
        shapes = f"{plan.xyz.shape} positions and {plan.quat_xyzw.shape} quaternions"
        return (f"The plan has {count} stamps, {shapes}; it needs at least 5 poses, (N, 3) and (N, 4).",)
    if plan.frame != "rig":
        return (f'The plan is in the frame "{plan.frame}" instead of "rig".',)
    finite = np.isfinite(plan.xyz).all(axis=1) & np.isfinite(plan.quat_xyzw).all(axis=1)
    if not finite.all():
        return (f"{int((~finite).sum())} of {count} poses are not finite, the first is pose {int(np.argmin(finite))}.",)
    faults = []
    steps = np.diff(plan.t_us)
    if steps.min() <= 0:
        faults.append(
            f"The stamps do not increase: {int(steps.min())} us from pose {int(np.argmin(steps))} to the next."
        )
    norms = np.linalg.norm(plan.quat_xyzw, axis=1)
    worst = int(np.argmax(np.abs(norms - 1.0)))
    if abs(norms[worst] - 1.0) > 1e-3:
        faults.append(f"The quaternion of pose {worst} has length {norms[worst]:.4f} instead of 1.")
    ends_s = (plan.t_us[-1] - observation.t_us) * 1e-6
    if ends_s < config.least_duration_s:
        faults.append(f"The plan ends {ends_s:.1f} s from now; {config.least_duration_s:.1f} s are needed.")
    planned_us = 2 * plan.t_us[0] - plan.t_us[1]
    ahead_s = (planned_us - observation.t_us) * 1e-6
    oldest_s = (observation.ego_history.t_us[0] - observation.t_us) * 1e-6
    if not oldest_s - 1e-3 <= ahead_s <= 1e-3:
        faults.append(f"The plan is of {ahead_s:+.2f} s from now; the driver can use {oldest_s:+.2f} to +0.00 s.")
    return tuple(faults)


def motion_faults(plan: Trajectory, observation: Observation, config: DriverConfig) -> tuple[str, ...]:
    """A plan of sound form -> sentences on what no car can do: where it starts, speeds, accelerations, bends.

    Rates are taken over half a second, so that the small jitter of a learned plan does not count.
    """
    times, xy, yaw = plan_in_rig(plan, observation)
    speed_now = observation.speed_mps
    start = int(np.argmax(times > 0.0))
    times, xy, yaw = times[start:], xy[start:], yaw[start:]
    gap = float(np.linalg.norm(xy[0] - (speed_now * times[0], 0.0)))
    faults = []
    if gap > config.start_gap_m:
        where = f"({xy[0, 0]:.1f}, {xy[0, 1]:.1f}) m in {times[0]:.2f} s"
        faults.append(f"The plan is at {where}, {gap:.1f} m from where the car will be at {speed_now:.1f} m/s.")
    windows = np.searchsorted(times, np.arange(times[0], times[-1] - 0.25, 0.5) - 1e-6)
    windows = np.unique(np.append(windows, len(times) - 1))
    length, turn = arcs_of(xy, yaw)
    mean_yaw = yaw[:-1] + 0.5 * turn
    step = np.diff(xy, axis=0)
    slip = step[:, 1] * np.cos(mean_yaw) - step[:, 0] * np.sin(mean_yaw)
    way, turned, aside = (np.add.reduceat(a, windows[:-1]) for a in (length, turn, slip))
    seconds = np.diff(times[windows])
    speed = way / seconds
    middle = 0.5 * (times[windows[:-1]] + times[windows[1:]])
    accel = np.diff(np.append(speed_now, speed)) / np.maximum(np.diff(np.append(0.0, middle)), 0.25)
    limits = (
        ("reaches", speed, "m/s", config.speed_max_mps),
        ("goes backwards with", np.minimum(speed, 0.0), "m/s", 0.5),
        ("needs an acceleration of", accel, "m/s2", config.accel_max_mps2),
        ("needs a lateral acceleration of", speed * turned / seconds, "m/s2", config.side_accel_max_mps2),
        ("needs a curvature of", turned / np.maximum(np.abs(way), 1.0), "1/m", config.curvature_max_1pm),
        ("slides sideways by a share of", aside / np.maximum(np.abs(way), 1.0), "of the way", config.slip_max),
    )
    for words, values, unit, limit in limits:
        k = int(np.argmax(np.abs(values)))
        if abs(values[k]) > limit:
            faults.append(
                f"The plan {words} {values[k]:.2f} {unit} {middle[k]:.1f} s from now; the limit is {limit:g}."
            )
    return tuple(faults)


def clip_controls(controls: Controls, speed_mps: float, config: DriverConfig) -> tuple[Controls, tuple[str, ...]]:
    """Controls at a speed -> controls within the driver's limits, and a sentence for each that was not."""
    reasons = []
    lowest, highest = config.control_accel_mps2
    accel = min(max(controls.accel_mps2, lowest), highest)
    if accel != controls.accel_mps2:
        reasons.append(f"An acceleration of {controls.accel_mps2:.2f} m/s2 was asked for; {accel:.2f} was let through.")
    limit = config.control_side_accel_mps2 / max(speed_mps, 0.1) ** 2
    curvature = min(max(controls.curvature_1pm, -limit), limit)
    if curvature != controls.curvature_1pm:
        side = abs(controls.curvature_1pm) * speed_mps**2
        reasons.append(
            f"A curvature of {controls.curvature_1pm:.4f} 1/m at {speed_mps:.1f} m/s means {side:.1f} m/s2 sideways; "
            f"{curvature:.4f} ({config.control_side_accel_mps2:.1f} m/s2) was let through."
        )
    return Controls(accel, curvature), tuple(reasons)


# -------------------------------------------------------------------- fallback


def stop_plan(observation: Observation, config: DriverConfig) -> Trajectory:
    """What the car senses -> 64 poses at 10 Hz that brake to a stop, along the route if the car is on it."""
    actions = np.tile([config.stop_accel_mps2, observation.ego.curvature_1pm], (64, 1))
    plan = roll_plan(actions, max(observation.speed_mps, 0.0), observation.t_us)
    line = observation.route.xyz[:, :2]
    if observation.route.frame != "rig" or len(line) < 2 or not np.isfinite(line).all():
        return plan
    s, offset, i = project_to_polyline(line, 0.0, 0.0)
    heading = float(np.arctan2(line[i + 1, 1] - line[i, 1], line[i + 1, 0] - line[i, 0]))
    stop_m = observation.speed_mps**2 / (-2.0 * config.stop_accel_mps2)
    on_route = abs(offset) <= config.route_gap_m and abs(heading) <= config.route_angle_rad
    if not on_route or s + stop_m + 2.0 > arc_length(line)[-1]:
        return plan
    straight = roll_plan(actions * np.array([1.0, 0.0]), max(observation.speed_mps, 0.0), observation.t_us)
    return _along(line, s + straight.xyz[:, 0], observation.t_us)


def _along(line: Float, s_m: Float, t_us: int) -> Trajectory:
    """A line (N, 2) and arc lengths (M,) -> the plan through them, headings over 2 m of the line."""
    ahead, behind = interpolate(line, s_m + 1.0), interpolate(line, np.maximum(s_m - 1.0, 0.0))
    yaw = np.arctan2(ahead[:, 1] - behind[:, 1], ahead[:, 0] - behind[:, 0])
    return plan_of(interpolate(line, s_m), yaw, t_us)
