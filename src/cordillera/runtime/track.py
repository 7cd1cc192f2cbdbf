"""A plan and the present motion in, commands to the actuators out: path and speed tracking with preview.

First the speed problem: where along the plan the car is, and the accelerations that bring it to where the plan is when
it is there. Its prediction says how fast the path comes towards the car, and so gives the steering problem its gains.
Both look past the actuators' lags. The tracker keeps no state: all that it knows is in its two arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cordillera.geometry import project_to_polyline, quat_from_yaw, transform_of, transform_points, yaw_of
from cordillera.kinematics import arcs_of
from cordillera.runtime.mpc import Chain, predict, solve
from cordillera.types import Controls, Decision, Float, Observation, Trajectory
from cordillera.world.vehicle import VehicleConfig, path_response


@dataclass(frozen=True)
class TrackConfig:
    """The car that is steered, the horizon, and the weights of the squared errors; chosen with `benchmarks.track`."""

    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    horizon_s: float = 3.0
    dt_s: float = 0.1
    along_weight: float = 1.0  # on m2
    speed_weight: float = 1.0  # on (m/s)2
    jerk_weight: float = 0.05  # on (m/s3)2
    offset_weight: float = 1.0  # on m2
    heading_weight: float = 4.0  # on rad2
    lateral_jerk_weight: float = 0.003  # on (m/s3)2
    steer_rate_weight: float = 0.3  # on (1/m/s)2: what is left of the weight on lateral jerk at walking pace
    hold_speed_mps: float = 0.3  # slower than this, and with a plan that hardly moves, the car is held by its brakes
    hold_distance_m: float = 0.15
    hold_ahead_s: float = 2.0
    hold_accel_mps2: float = -1.0


@dataclass(frozen=True, eq=False)
class Reference:
    """A plan as the car meets it: a path by arc length, and where along it the plan is at now + k dt, k = 0..N."""

    xy_rig: Float  # (M, 2) points of the path, continued behind its start and beyond its end
    yaw_rig: Float  # (M,) continuous
    s_m: Float  # (M,) strictly increasing
    plan_s_m: Float  # (N+1,)
    plan_speed_mps: Float  # (N+1,)


@dataclass(frozen=True)
class Tracker:
    """Controls for a decision, by a solver of tracking problems; stateless."""

    config: TrackConfig = field(default_factory=TrackConfig)
    solver: Callable[[Chain], Float] = solve

    def controls(self, decision: Decision, observation: Observation) -> Controls:
        """A plan of at least 5 poses and the observation now -> commands for the next 0.1 s.

        The plan is in the rig frame of its own time, one step before its first stamp. It may be older than the
        observation by as much as `ego_history` reaches back: it is then followed from where the car now is, at the
        plan's own times. Beyond its end it goes on at its last speed and curvature. A plan that starts off the car
        is approached. One that stands, or goes backwards, holds the car at rest.
        Raises ValueError for a plan that is too short, from the future, wholly past, or older than the history.
        """
        config, ego = self.config, observation.ego
        reference = reference_of(decision.trajectory, observation, config)
        ahead = min(round(config.hold_ahead_s / config.dt_s), len(reference.plan_s_m) - 1)
        remains = reference.plan_s_m[ahead] - reference.plan_s_m[1]
        if len(reference.s_m) == 0 or (ego.speed_mps < config.hold_speed_mps and remains < config.hold_distance_m):
            # the last centimetres per second end softly; brakes held at rest cost no comfort
            brake = -0.2 - ego.speed_mps if ego.speed_mps > 0.0 else config.hold_accel_mps2
            return Controls(max(brake, config.vehicle.accel_min_mps2), ego.curvature_1pm)
        s_now, offset, heading = _place(reference, observation)
        accel, s_ahead = self._speed(reference, s_now, observation)
        return Controls(accel, self._steer(reference, s_ahead, offset, heading, observation))

    def _speed(self, reference: Reference, s_now: float, observation: Observation) -> tuple[float, Float]:
        """Where the car is along the path -> the acceleration to command, and where it will be (N + 1,)."""
        config, vehicle, ego = self.config, self.config.vehicle, observation.ego
        s, speed = reference.plan_s_m, reference.plan_speed_mps
        ones = np.ones(len(s) - 1)
        chain = Chain(
            start=np.array([s_now - s[0], ego.speed_mps - speed[0], ego.accel_mps2]),
            gain=ones,
            drift=np.stack([speed[:-1] * config.dt_s - np.diff(s), -np.diff(speed)], axis=-1),
            weight=np.array([config.along_weight, config.speed_weight]),
            rate_weight=config.jerk_weight * ones,
            lag_s=vehicle.accel_lag_s,
            dt_s=config.dt_s,
            lower=vehicle.accel_min_mps2 * ones,
            upper=vehicle.accel_max_mps2 * ones,
            rate_max=vehicle.jerk_max_mps3,
        )
        commands = self.solver(chain)
        states = predict(chain.start, chain.gain, chain.drift, commands, chain.lag_s, chain.dt_s)
        return float(commands[0]), np.maximum.accumulate(s + states[:, 0])

    def _steer(
        self, reference: Reference, s_ahead: Float, offset: float, heading: float, observation: Observation
    ) -> float:
        """Where the car will be along the path, and its errors now -> the curvature to command."""
        config, vehicle = self.config, self.config.vehicle
        dt = config.dt_s
        travel = np.diff(s_ahead)
        speed = travel / dt
        turn = np.diff(np.interp(s_ahead, reference.s_m, reference.yaw_rig))
        gain, lag_s, under_way = path_response(observation.ego, vehicle)
        limit = np.full(len(speed), vehicle.curvature_max_1pm * gain)
        chain = Chain(
            start=np.array([offset, heading, under_way]),
            gain=speed,
            drift=np.stack([-0.5 * travel * turn, -turn], axis=-1),
            weight=np.array([config.offset_weight, config.heading_weight]),
            rate_weight=config.lateral_jerk_weight * speed**4 + config.steer_rate_weight,
            lag_s=lag_s,
            dt_s=dt,
            lower=-limit,
            upper=limit,
            rate_max=vehicle.curvature_rate_max_1pms * gain,
        )
        return float(self.solver(chain)[0]) / gain


def track(decision: Decision, observation: Observation, config: TrackConfig | None = None) -> Controls:
    """A plan and the observation now -> commands for the next 0.1 s; see `Tracker.controls`."""
    return Tracker(config or TrackConfig()).controls(decision, observation)


# ------------------------------------------------------------------- reference


def plan_in_rig(trajectory: Trajectory, observation: Observation) -> tuple[Float, Float, Float]:
    """A plan -> its times from now (N,) in s, positions (N, 2) and headings (N,) in the rig frame of now.

    Raises ValueError for a frame other than "rig", for fewer than 5 poses, and for a plan whose own time lies in the
    future, before the observation's history, or so far back that the plan has ended.
    """
    stamps = trajectory.t_us
    if trajectory.frame != "rig":
        raise ValueError(f'Decision.trajectory.frame is "{trajectory.frame}"; a plan is given in "rig"')
    if len(stamps) < 5:
        raise ValueError(f"Decision.trajectory has {len(stamps)} poses; tracking needs at least 5")
    planned_us = int(2 * stamps[0] - stamps[1])
    age_s = (observation.t_us - planned_us) * 1e-6
    xyz, yaw = trajectory.xyz, np.unwrap(yaw_of(trajectory.quat_xyzw))
    if age_s < -1e-3:
        raise ValueError(f"the plan was made {-age_s:.2f} s after the observation; give the observation of its time")
    if stamps[-1] <= observation.t_us:
        raise ValueError(f"the plan ended {(observation.t_us - stamps[-1]) * 1e-6:.2f} s ago; plan again")
    if age_s > 1e-3:
        history = observation.ego_history
        if planned_us < history.t_us[0]:
            raise ValueError(f"the plan is {age_s:.2f} s old and the observation's history is shorter; plan again")
        then = np.array([np.interp(planned_us, history.t_us, history.xyz[:, d]) for d in range(3)])
        turned = float(np.interp(planned_us, history.t_us, np.unwrap(yaw_of(history.quat_xyzw))))
        xyz = transform_points(transform_of(then, quat_from_yaw(turned)), xyz)
        yaw = yaw + turned
    return (stamps - observation.t_us).astype(np.float64) * 1e-6, xyz[:, :2], yaw


def reference_of(trajectory: Trajectory, observation: Observation, config: TrackConfig) -> Reference:
    """A plan and the observation now -> the reference over the horizon; without path points if the plan stands."""
    times, xy, yaw = plan_in_rig(trajectory, observation)
    length, _ = arcs_of(xy, yaw)
    # poses that jitter or go back do not make the path longer
    s = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(length)]))
    count = round(config.horizon_s / config.dt_s)
    plan_s, plan_speed = _sample(times, s, np.linspace(0.0, count * config.dt_s, count + 1, dtype=np.float64))
    keep = [0]
    for i in range(1, len(s)):
        if s[i] - s[keep[-1]] >= 0.2:
            keep.append(i)
    if len(keep) == 1:
        if s[-1] < 0.02:
            nothing = np.zeros(0)
            return Reference(np.zeros((0, 2)), nothing, nothing, plan_s, plan_speed)
        keep.append(len(s) - 1)
    return Reference(*_continue(xy[keep], yaw[keep], s[keep], config), plan_s, plan_speed)


def _sample(times: Float, s: Float, at: Float) -> tuple[Float, Float]:
    """Arc length s (N,) at times (N,) -> arc length and speed at other times: before the first by the acceleration
    of the first steps, beyond the last at the last speed."""
    first, second = (s[1] - s[0]) / (times[1] - times[0]), (s[2] - s[1]) / (times[2] - times[1])
    change = (second - first) / (times[2] - times[0])
    early = np.minimum(at - times[0], 0.0)
    last = (s[-1] - s[-4]) / (times[-1] - times[-4])
    late = np.maximum(at - times[-1], 0.0)
    speed0 = max(first - change * (times[1] - times[0]), 0.0)
    along = np.interp(at, times, s) + early * (speed0 + change * early) + last * late
    speed = np.gradient(along, at, edge_order=2)
    return along, np.maximum(speed, 0.0)


def _continue(xy: Float, yaw: Float, s: Float, config: TrackConfig) -> tuple[Float, Float, Float]:
    """A path (M >= 2) -> positions, headings, arc lengths with 8 m more behind it and 60 m more beyond it.

    Both ends go on as arcs of their own curvature, taken over the outermost 2 m.
    """
    limit = config.vehicle.curvature_max_1pm
    near = min(int(np.searchsorted(s, s[0] + 2.0)), len(s) - 1)
    far = max(int(np.searchsorted(s, s[-1] - 2.0, side="right")) - 1, 0)
    first = np.clip((yaw[near] - yaw[0]) / (s[near] - s[0]), -limit, limit)
    last = np.clip((yaw[-1] - yaw[far]) / (s[-1] - s[far]), -limit, limit)
    behind, beyond = np.arange(-8.0, 0.0), np.arange(1.0, 61.0)

    def arc(start_xy: Float, start_yaw: float, curvature: float, way: Float) -> tuple[Float, Float]:
        half = 0.5 * curvature * way
        chord, angle = way * np.sinc(half / np.pi), start_yaw + half
        return start_xy + np.stack([chord * np.cos(angle), chord * np.sin(angle)], axis=-1), start_yaw + 2.0 * half

    xy0, yaw0 = arc(xy[0], yaw[0], first, behind)
    xy1, yaw1 = arc(xy[-1], yaw[-1], last, beyond)
    return (
        np.concatenate([xy0, xy, xy1]),
        np.concatenate([yaw0, yaw, yaw1]),
        np.concatenate([s[0] + behind, s, s[-1] + beyond]),
    )


def _place(reference: Reference, observation: Observation) -> tuple[float, float, float]:
    """The car on the path, near where the plan is now -> arc length, offset to the left (m), course error (rad)."""
    window = 8.0 + observation.ego.speed_mps
    lower, upper = np.searchsorted(reference.s_m, reference.plan_s_m[0] + np.array([-window, window]))
    near = slice(max(int(lower) - 1, 0), int(upper) + 1)
    xy, yaw, s = reference.xy_rig[near], reference.yaw_rig[near], reference.s_m[near]
    along, lateral, i = project_to_polyline(xy, 0.0, 0.0)
    chord = np.linalg.norm(np.diff(xy, axis=0), axis=-1)
    part = float(np.clip((along - chord[:i].sum()) / chord[i], 0.0, 1.0))
    turn, length = yaw[i + 1] - yaw[i], s[i + 1] - s[i]
    # the path bulges to the right of its chord in a left turn: by length x turn x part x (1 - part) / 2
    lateral += 0.5 * turn * length * part * (1.0 - part)
    forward, left = observation.ego.velocity_mps[0], observation.ego.velocity_mps[1]
    course = float(np.arctan2(left, forward)) if forward > 1.0 else 0.0
    heading = (course - yaw[i] - part * turn + np.pi) % (2.0 * np.pi) - np.pi
    return float(s[i] + part * length), lateral, float(heading)
