"""Observation in, decision out, with nothing in between worth the name: the marks that a policy has to beat.

`ConstantVelocity` goes on as it goes. `RouteFollower` steers along the route at a set speed and brakes for its bends
and its end; it sees neither cars nor people nor lights. Neither reads images or ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import BSpline, splprep

from cordillera.geometry import arc_length, project_to_polyline, resample
from cordillera.kinematics import plan_of, roll_plan
from cordillera.types import Cause, Decision, Float, Lateral, Longitudinal, Observation, ReasoningTrace

STEPS, DT_S = 64, 0.1


@dataclass(frozen=True)
class ConstantVelocity:
    """Straight on at the present speed."""

    name: str = "constant-velocity"

    def decide(self, observation: Observation) -> Decision:
        """An observation -> 64 poses straight ahead; no reason is given, for there is none."""
        plan = roll_plan(np.zeros((STEPS, 2)), max(observation.speed_mps, 0.0), observation.t_us, DT_S)
        return Decision(plan, (), None, self.name, 0.0)


@dataclass(frozen=True)
class RouteConfig:
    """How a route is driven; the comfort bounds of nuPlan hold with room to spare."""

    speed_mps: float = 10.0
    accel_mps2: float = 1.5
    brake_mps2: float = 2.0
    hardest_brake_mps2: float = 5.0  # where the speed now is too high for what comes
    side_accel_mps2: float = 2.0
    approach_s: float = 2.5  # time in which an offset from the route is made good
    approach_least_m: float = 8.0
    smoothing_m: float = 0.02  # how far, RMS, the driven line may leave the route's points


@dataclass(frozen=True)
class RouteFollower:
    """Along the route at a set speed, slower in bends, to rest at its end; blind to everything else."""

    config: RouteConfig = field(default_factory=RouteConfig)
    name: str = "route-follower"

    def decide(self, observation: Observation) -> Decision:
        """An observation with a route in the rig frame -> 64 poses along it, and an honest trace.

        The end of the route's line is where the rear axle stops, so a line that is cut off in the distance must reach
        farther than the braking distance. Raises ValueError for a route in another frame, with fewer than two points
        or shorter than 1 m.
        """
        config, route = self.config, observation.route
        if route.frame != "rig" or len(route.xyz) < 2 or arc_length(route.xyz[:, :2])[-1] < 1.0:
            length = arc_length(route.xyz[:, :2])[-1] if len(route.xyz) else 0.0
            raise ValueError(
                f'Observation.route has {len(route.xyz)} points over {length:.1f} m in the frame "{route.frame}"; '
                "the route follower needs at least 2 points and 1 m in the rig frame"
            )
        line = _line_from_car(observation, config)
        caps = speed_caps(line.along_m, line.curvature, line.ends_m, config)
        s = _travel(line.along_m, caps, max(observation.speed_mps, 0.0), config)
        xy = np.stack([np.interp(s, line.along_m, line.xy[:, d]) for d in range(2)], axis=-1)
        plan = plan_of(xy, np.interp(s, line.along_m, line.yaw), observation.t_us, DT_S)
        return Decision(plan, (), self._trace(observation, line, float(s[29])), self.name, 0.0)

    def _trace(self, observation: Observation, line: _Line, reach_m: float) -> ReasoningTrace:
        """What bounds the speed within the next 3 s: the end of the route, a bend, or the set speed."""
        config, now = self.config, observation.t_us
        ends_m, curvature, along = max(line.ends_m, 0.0), line.route_curvature, line.along_m
        stop_m = max(observation.speed_mps, 1.0) ** 2 / (2.0 * config.brake_mps2) + 1.0
        bends = np.abs(curvature) * config.speed_mps**2 > config.side_accel_mps2
        near = bends & (along <= max(reach_m, stop_m))
        if ends_m <= stop_m:
            cause = Cause("route end", "route", "ahead on the route", now, ends_m)
            text = f"Stop at the end of the route in {ends_m:.0f} m. I do not see other road users."
            return ReasoningTrace(Longitudinal.STOP, Lateral.LANE_KEEPING, (cause,), text, self.name)
        if near.any():
            distance = float(along[int(np.argmax(near))])
            side = "left" if curvature[int(np.argmax(near))] > 0.0 else "right"
            cause = Cause("curve", "route", f"bend to the {side} ahead on the route", now, distance)
            text = (
                f"Adapt the speed to the {side} bend of the route in {distance:.0f} m. I do not see other road users."
            )
            return ReasoningTrace(Longitudinal.SPEED_ADAPTATION, Lateral.LANE_KEEPING, (cause,), text, self.name)
        text = f"Follow the route at {config.speed_mps:.1f} m/s. I do not see other road users."
        return ReasoningTrace(Longitudinal.SET_SPEED, Lateral.LANE_KEEPING, (), text, self.name)


def speed_caps(along_m: Float, curvature_1pm: Float, ends_m: float, config: RouteConfig) -> Float:
    """A line's arc lengths, curvatures (N,) and end -> the speed (N,) from which every bend and the end can be met."""
    caps = np.minimum(config.speed_mps, np.sqrt(config.side_accel_mps2 / np.maximum(np.abs(curvature_1pm), 1e-6)))
    caps = np.minimum(caps, np.sqrt(2.0 * config.brake_mps2 * np.maximum(ends_m - along_m, 0.0)))
    for i in range(len(caps) - 2, -1, -1):
        reach = caps[i + 1] ** 2 + 2.0 * config.brake_mps2 * (along_m[i + 1] - along_m[i])
        caps[i] = min(caps[i], np.sqrt(reach))
    return caps


@dataclass(frozen=True, eq=False)
class _Line:
    """What is driven: from the car's rear axle onto the route and past its end, points about 0.5 m apart."""

    xy: Float  # (M, 2)
    along_m: Float  # (M,)
    yaw: Float  # (M,) continuous
    curvature: Float  # (M,)
    route_curvature: Float  # (M,) of the route beside each point
    ends_m: float  # where the route ends


def _line_from_car(observation: Observation, config: RouteConfig) -> _Line:
    """A route in the rig frame -> the line to drive.

    The offset from the route fades as the quintic that starts with the car's own offset, direction and curvature and
    ends with none; planned anew at every step it goes to zero like an exponential.
    """
    points = resample(observation.route.xyz[:, :2], 2.0)
    degree = min(3, len(points) - 1)
    knots, coefficients, degree = splprep(points.T, k=degree, s=len(points) * config.smoothing_m**2)[0]
    curve = BSpline(knots, np.stack(coefficients, axis=-1), degree)
    dense = resample(curve(np.linspace(0.0, 1.0, 8 * len(points))), 0.5)
    onward = (dense[-1] - dense[-2]) / np.linalg.norm(dense[-1] - dense[-2])
    ends_m = float(arc_length(dense)[-1])
    dense = np.concatenate([dense, dense[-1] + np.arange(0.5, 5.1, 0.5)[:, None] * onward])
    along, _, bend = _shape(dense)
    start_m, offset, _ = project_to_polyline(dense, 0.0, 0.0)
    start_m = min(start_m, ends_m + 3.0)
    rest = np.append(start_m, along[along > start_m + 0.1])
    line = np.stack([np.interp(rest, along, dense[:, d]) for d in range(2)], axis=-1)
    _, yaw, _ = _shape(line)
    route_curvature = np.interp(rest, along, bend)
    reach = max(config.approach_least_m, config.approach_s * observation.speed_mps)
    slope = np.tan(np.clip(-yaw[0], -0.8, 0.8))
    sharpness = observation.ego.curvature_1pm - route_curvature[0]
    fade = _fade(offset, float(slope), float(sharpness), reach, rest - start_m)
    xy = line + fade[:, None] * np.stack([-np.sin(yaw), np.cos(yaw)], axis=-1)
    return _Line(xy, *_shape(xy), route_curvature, ends_m - start_m)


def _fade(offset: float, slope: float, sharpness: float, reach: float, at_m: Float) -> Float:
    """Value and first two derivatives at 0 -> the quintic (M,) that has none of them from `reach` on."""
    u = np.minimum(at_m / reach, 1.0)
    d0, d1, d2 = offset, slope * reach, 0.5 * sharpness * reach**2
    cubic = -10.0 * d0 - 6.0 * d1 - 3.0 * d2
    quartic = 15.0 * d0 + 8.0 * d1 + 3.0 * d2
    quintic = -6.0 * d0 - 3.0 * d1 - d2
    return d0 + u * (d1 + u * (d2 + u * (cubic + u * (quartic + u * quintic))))


def _shape(xy: Float) -> tuple[Float, Float, Float]:
    """A line (M >= 2, 2) -> arc length, continuous heading, curvature, (M,) each."""
    along = arc_length(xy)
    yaw = np.unwrap(np.arctan2(np.gradient(xy[:, 1]), np.gradient(xy[:, 0])))
    return along, yaw, np.gradient(yaw, along)


def _travel(along_m: Float, caps_mps: Float, speed_mps: float, config: RouteConfig) -> Float:
    """Speed caps along a line -> the arc length (64,) after each step, within the accelerations of the config."""
    fine = 5
    dt = DT_S / fine
    s, speed, out = 0.0, speed_mps, np.empty(STEPS)
    for i in range(STEPS * fine):
        cap = float(np.interp(s + speed * dt, along_m, caps_mps))
        after = min(max(cap, speed - config.hardest_brake_mps2 * dt, 0.0), speed + config.accel_mps2 * dt)
        s = min(s + 0.5 * (speed + after) * dt, float(along_m[-1]))
        speed = after
        out[i // fine] = s
    return out
