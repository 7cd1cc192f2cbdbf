"""The ego vehicle: state and commands in, state after dt out; pure, on flat ground, at the rear axle.

Two models behind one signature. "kinematic": the rear axle follows the steered curvature as long as the road holds the
lateral acceleration. "dynamic": a single-track model with lateral tyre forces that saturate, load transfer under
acceleration and braking, and the friction left beside the longitudinal force; it slips, understeers and spins as its
tyres say. In both, commands pass through first-order actuator lags with limits on value and rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cordillera.geometry import quat_from_yaw, yaw_of
from cordillera.kernels import inner, kernel
from cordillera.kinematics import advance
from cordillera.types import Controls, EgoState, VehicleSpec

GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class VehicleConfig:
    """Limits, lags and masses of the car; the defaults are a mid-size SUV on dry asphalt.

    Cornering stiffness is that of a whole axle at its load at rest, and scales with the load. The front axle's share
    of the weight says where the centre of mass lies: that share of the wheelbase ahead of the rear axle.
    """

    spec: VehicleSpec = field(default_factory=VehicleSpec)
    model: str = "kinematic"  # or "dynamic"
    accel_min_mps2: float = -8.0
    accel_max_mps2: float = 4.0
    jerk_max_mps3: float = 30.0  # of the actuator; a firm brake builds up within 0.3 s
    accel_lag_s: float = 0.2
    steer_max_rad: float = 0.58  # of the middle front wheel: a turning circle of 11.8 m between kerbs
    curvature_rate_max_1pms: float = 0.2
    curvature_lag_s: float = 0.1
    friction: float = 0.9
    mass_kg: float = 1900.0
    yaw_inertia_kgm2: float = 3200.0
    front_load: float = 0.54  # share of the weight on the front axle at rest
    mass_height_m: float = 0.62
    front_stiffness_npr: float = 125_000.0
    rear_stiffness_npr: float = 150_000.0
    substep_s: float = 0.01

    def __post_init__(self) -> None:
        if self.model not in ("kinematic", "dynamic"):
            raise ValueError(f'VehicleConfig.model is "{self.model}"; use "kinematic" or "dynamic"')
        if not self.accel_min_mps2 < 0.0 < self.accel_max_mps2:
            raise ValueError("VehicleConfig: accel_min_mps2 must be negative and accel_max_mps2 positive")
        for name in ("accel_lag_s", "curvature_lag_s"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"VehicleConfig.{name} is {getattr(self, name)}; a lag is zero or more seconds")
        for name in (
            "substep_s",
            "jerk_max_mps3",
            "curvature_rate_max_1pms",
            "friction",
            "mass_kg",
            "yaw_inertia_kgm2",
        ):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"VehicleConfig.{name} is {getattr(self, name)}; it must be positive")

    @property
    def curvature_max_1pm(self) -> float:
        """The tightest curvature of the rear axle, at full steering."""
        return math.tan(self.steer_max_rad) / self.spec.wheelbase_m

    @property
    def understeer_s2pm2(self) -> float:
        """K in path curvature = steered curvature / (1 + K v2): the linear understeer of the dynamic model, else 0.

        Rajamani, Vehicle Dynamics and Control, 2nd ed., section 3.3: K = m / L2 (l_r / C_f - l_f / C_r).
        """
        if self.model == "kinematic":
            return 0.0
        rear_m = self.front_load * self.spec.wheelbase_m
        front_m = self.spec.wheelbase_m - rear_m
        balance = rear_m / self.front_stiffness_npr - front_m / self.rear_stiffness_npr
        return self.mass_kg / self.spec.wheelbase_m**2 * balance


def step_vehicle(ego: EgoState, controls: Controls, dt_s: float, config: VehicleConfig) -> EgoState:
    """State, commands and a time in seconds -> the state after it, in substeps of at most `config.substep_s`.

    Height is kept; roll, pitch and vertical speed come back as zero (the caller knows the ground). The car has no
    reverse gear: speed ends at zero, and a car held by its brakes reports zero acceleration.
    Raises ValueError where a command or the time is not finite or the time is not positive.
    """
    if not (math.isfinite(controls.accel_mps2) and math.isfinite(controls.curvature_1pm)):
        raise ValueError(f"controls are not finite: {controls}; check the tracker or the driver that made them")
    if not (math.isfinite(dt_s) and dt_s > 0.0):
        raise ValueError(f"dt_s is {dt_s}; a step takes a positive time")
    grip = config.friction * GRAVITY_MPS2
    accel = min(max(controls.accel_mps2, config.accel_min_mps2, -grip), config.accel_max_mps2, grip)
    limit = config.curvature_max_1pm
    curvature = min(max(controls.curvature_1pm, -limit), limit)
    count = max(1, math.ceil(dt_s / config.substep_s - 1e-9))
    state = np.array(
        [
            ego.xyz[0], ego.xyz[1], float(yaw_of(ego.quat_xyzw)), max(ego.velocity_mps[0], 0.0), ego.velocity_mps[1],
            ego.yaw_rate_radps, ego.accel_mps2, ego.curvature_1pm,
        ]
    )  # fmt: skip
    _substeps(state, accel, curvature, dt_s / count, count, _parameters(config))
    x, y, yaw, forward, left, yaw_rate, accel, curvature = (float(value) for value in state)
    return EgoState(
        t_us=ego.t_us + round(dt_s * 1e6),
        xyz=np.array([x, y, ego.xyz[2]]),
        quat_xyzw=quat_from_yaw(yaw),
        velocity_mps=np.array([forward, left, 0.0]),
        accel_mps2=accel,
        curvature_1pm=curvature,
        yaw_rate_radps=yaw_rate,
    )


def path_response(ego: EgoState, config: VehicleConfig) -> tuple[float, float, float]:
    """State -> how the course follows the steering: (gain, lag in s, curvature of the path that is under way in 1/m).

    A held command u turns the course by speed x (gain u t - deficit), once everything has settled. The first-order lag
    that starts from the third value has the same deficit: the actuator's lag, and what yaw inertia and the slip at
    the rear axle take. Linear tyres: with x = (lateral speed of the centre of mass, yaw rate) and x' = A x + b u, the
    integral of x_end - x is A^-1 (x - x_end). For the kinematic model (1, curvature lag, steered curvature); so too at
    walking pace, and for an oversteering car near its critical speed, where nothing settles.
    """
    speed = ego.speed_mps
    if config.model == "kinematic" or speed < 1.0 or config.understeer_s2pm2 * speed**2 < -0.8:
        return 1.0, config.curvature_lag_s, ego.curvature_1pm
    base, mass, inertia = config.spec.wheelbase_m, config.mass_kg, config.yaw_inertia_kgm2
    rear = config.front_load * base
    front, stiff_f, stiff_r = base - rear, config.front_stiffness_npr, config.rear_stiffness_npr
    moment = front * stiff_f - rear * stiff_r
    matrix = np.array(
        [
            [-(stiff_f + stiff_r) / (mass * speed), -speed - moment / (mass * speed)],
            [-moment / (inertia * speed), -(front**2 * stiff_f + rear**2 * stiff_r) / (inertia * speed)],
        ]
    )
    inverse = np.linalg.inv(matrix)
    end = -inverse @ np.array([stiff_f * base / mass, front * stiff_f * base / inertia])  # for u = 1
    now = np.array([ego.velocity_mps[1] + rear * ego.yaw_rate_radps, ego.yaw_rate_radps])
    gain = float(end[1]) / speed
    left_end, left_now = float(end[0] - rear * end[1]), float(ego.velocity_mps[1])
    # deficit of the course in m per unit of speed, split into what goes with the command and what is under way
    of_command = config.curvature_lag_s * gain - float((inverse @ end)[1]) / speed - left_end / speed**2
    under_way = config.curvature_lag_s * gain * ego.curvature_1pm - float((inverse @ now)[1]) / speed
    under_way -= left_now / speed**2
    lag = of_command / gain
    return gain, lag, under_way / lag


# --------------------------------------------------------------------- kernels

# rows of the parameter array
_DYNAMIC, _ACCEL_LAG, _CURVATURE_LAG, _JERK, _CURVATURE_RATE, _FRICTION = 0, 1, 2, 3, 4, 5
_MASS, _INERTIA, _FRONT_M, _REAR_M, _HEIGHT, _FRONT_C, _REAR_C = 6, 7, 8, 9, 10, 11, 12


def _parameters(config: VehicleConfig) -> np.ndarray:
    """The configuration as the flat array that the kernels read."""
    rear_m = config.front_load * config.spec.wheelbase_m
    return np.array(
        [
            float(config.model == "dynamic"), config.accel_lag_s, config.curvature_lag_s, config.jerk_max_mps3,
            config.curvature_rate_max_1pms, config.friction, config.mass_kg, config.yaw_inertia_kgm2,
            config.spec.wheelbase_m - rear_m, rear_m, config.mass_height_m, config.front_stiffness_npr,
            config.rear_stiffness_npr,
        ]
    )  # fmt: skip


@inner
def _actuate(value: float, command: float, lag: float, rate_max: float, h: float) -> float:
    """An actuator's value after h seconds: exact first-order lag, then the rate limit."""
    change = (command - value) * (1.0 - math.exp(-h / lag) if lag > 0.0 else 1.0)
    return value + min(max(change, -rate_max * h), rate_max * h)


@inner
def _secant_stiffness(slip: float, stiffness: float, force_max: float) -> float:
    """Lateral tyre force over slip for Fiala's brush model: `stiffness` at zero slip, force_max / slip when sliding."""
    grip = abs(slip) * stiffness
    if grip >= 3.0 * force_max:
        return force_max / abs(slip)
    ratio = grip / (3.0 * force_max)
    return stiffness * (1.0 - ratio + ratio * ratio / 3.0)


@inner
def _slide(speed: float, left: float, yaw_rate: float, accel: float, curvature: float, h: float, p: np.ndarray):
    """Lateral speed at the rear axle and yaw rate after h seconds, by tyre forces.

    The single-track equations with each tyre's force written as its secant stiffness times its slip, one implicit
    Euler step, both rows multiplied by the speed: so the step is stable at every speed and its limit at standstill
    is the kinematic model, with no switch between the two.
    """
    front, rear, mass, inertia = p[_FRONT_M], p[_REAR_M], p[_MASS], p[_INERTIA]
    base = front + rear
    transfer = mass * accel * p[_HEIGHT] / base
    least = 0.01 * mass * GRAVITY_MPS2  # a wheel that lifts keeps the equations solvable
    load_f = max(mass * GRAVITY_MPS2 * rear / base - transfer, least)
    load_r = max(mass * GRAVITY_MPS2 * front / base + transfer, least)
    # the share of each axle's friction that the longitudinal force leaves; all four wheels share that force by load
    used = min(abs(accel) / (p[_FRICTION] * GRAVITY_MPS2), 0.995)
    left_over = p[_FRICTION] * math.sqrt(1.0 - used * used)
    steer_tan = curvature * base
    safe = max(speed, 0.1)
    slip_f = (left + base * yaw_rate) / safe - steer_tan
    slip_r = left / safe
    stiff_f = _secant_stiffness(slip_f, p[_FRONT_C] * load_f * base / (mass * GRAVITY_MPS2 * rear), left_over * load_f)
    stiff_r = _secant_stiffness(slip_r, p[_REAR_C] * load_r * base / (mass * GRAVITY_MPS2 * front), left_over * load_r)
    stiff_f /= math.sqrt(1.0 + steer_tan * steer_tan)  # across the car, not across the wheel
    middle = left + rear * yaw_rate  # lateral speed of the centre of mass
    moment = front * stiff_f - rear * stiff_r
    a11 = mass * speed + h * (stiff_f + stiff_r)
    a12 = h * (mass * speed * speed + moment)
    a21 = h * moment
    a22 = inertia * speed + h * (front * front * stiff_f + rear * rear * stiff_r)
    b1 = speed * (mass * middle + h * stiff_f * steer_tan)
    b2 = speed * (inertia * yaw_rate + h * front * stiff_f * steer_tan)
    determinant = a11 * a22 - a12 * a21
    middle = (b1 * a22 - a12 * b2) / determinant
    yaw_rate = (a11 * b2 - a21 * b1) / determinant
    return middle - rear * yaw_rate, yaw_rate


@kernel
def _substeps(state: np.ndarray, accel_command: float, curvature_command: float, h: float, count: int, p: np.ndarray):
    """Advance [x, y, yaw, forward, left, yaw rate, accel, curvature] in place by `count` steps of h seconds."""
    x, y, yaw, speed, left, yaw_rate, accel, curvature = state
    for _ in range(count):
        next_accel = _actuate(accel, accel_command, p[_ACCEL_LAG], p[_JERK], h)
        next_curvature = _actuate(curvature, curvature_command, p[_CURVATURE_LAG], p[_CURVATURE_RATE], h)
        mean_accel = 0.5 * (accel + next_accel)
        mean_curvature = 0.5 * (curvature + next_curvature)
        if p[_DYNAMIC] > 0.0:
            next_left, next_rate = _slide(speed, left, yaw_rate, mean_accel, mean_curvature, h, p)
            turn = 0.5 * (yaw_rate + next_rate) * h
            next_speed = max(speed + mean_accel * h, 0.0)
            forward_m = 0.5 * (speed + next_speed) * h
            left_m = 0.5 * (left + next_left) * h
            c, s = math.cos(yaw + 0.5 * turn), math.sin(yaw + 0.5 * turn)
            x += forward_m * c - left_m * s
            y += forward_m * s + left_m * c
            yaw += turn
            left, yaw_rate = next_left, next_rate
        else:
            held = p[_FRICTION] * GRAVITY_MPS2 / max(speed * speed, 1e-9)
            path = min(max(mean_curvature, -held), held)
            x, y, yaw, next_speed = advance(x, y, yaw, speed, mean_accel, path, h)
            left = 0.0
            yaw_rate = next_speed * min(max(next_curvature, -held), held)
        speed, accel, curvature = next_speed, next_accel, next_curvature
        if speed <= 0.0 and accel <= 0.0:
            left, yaw_rate, accel = 0.0, 0.0, 0.0
    state[0], state[1], state[2], state[3] = x, y, yaw, speed
    state[4], state[5], state[6], state[7] = left, yaw_rate, accel, curvature
