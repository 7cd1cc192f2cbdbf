"""Comfort: a rollout in, how it felt to ride along out. Bounds are nuPlan's, which NAVSIM and Bench2Drive share."""

from __future__ import annotations

import numpy as np

from cordillera.evaluate.metrics_track import DT_S, result, track_of
from cordillera.types import Bool, Float, MetricResult, Rollout

ACCEL_MPS2 = (-4.05, 2.40)
SIDE_ACCEL_MPS2 = 4.89
JERK_MPS3 = 8.37  # of the whole vector
ALONG_JERK_MPS3 = 4.13
YAW_RATE_RADPS = 0.95
YAW_ACCEL_RADPS2 = 1.93


def motion(rollout: Rollout) -> dict[str, Float]:
    """A rollout of N states -> its accelerations, jerks and yaw rates (N,) by name.

    Acceleration is what the actuators realised; derivatives are central differences over 0.2 s.
    """
    track = track_of(rollout)
    return kinematics_of(track.speed, track.accel, track.yaw)


def kinematics_of(speed: Float, accel: Float, yaw: Float) -> dict[str, Float]:
    """Speed, acceleration along the heading and unwrapped yaw (..., N), 0.1 s apart -> what comfort is judged by."""
    rate = slope(yaw)
    side = speed * rate
    along_jerk, side_jerk = slope(accel), slope(side)
    return {
        "accel": accel,
        "side accel": side,
        "along jerk": along_jerk,
        "jerk": np.hypot(along_jerk - side * rate, side_jerk + accel * rate),
        "yaw rate": rate,
        "yaw accel": slope(rate),
    }


def slope(values: Float) -> Float:
    """Values (..., N) 0.1 s apart -> their time derivative (..., N)."""
    return np.gradient(values, DT_S, axis=-1) if values.shape[-1] > 1 else np.zeros(values.shape)


def comfortable(m: dict[str, Float]) -> Bool:
    """What `motion` gives -> mask (N,): within all six bounds."""
    good = (m["accel"] >= ACCEL_MPS2[0]) & (m["accel"] <= ACCEL_MPS2[1])
    good &= np.abs(m["side accel"]) <= SIDE_ACCEL_MPS2
    good &= (m["jerk"] <= JERK_MPS3) & (np.abs(m["along jerk"]) <= ALONG_JERK_MPS3)
    return good & (np.abs(m["yaw rate"]) <= YAW_RATE_RADPS) & (np.abs(m["yaw accel"]) <= YAW_ACCEL_RADPS2)


def max_accel(rollout: Rollout) -> MetricResult:
    """Strongest acceleration along the heading."""
    return result("max acceleration", max(float(motion(rollout)["accel"].max()), 0.0), "m/s2", "lower")


def max_brake(rollout: Rollout) -> MetricResult:
    """Strongest braking along the heading, as a positive number."""
    return result("max braking", max(float(-motion(rollout)["accel"].min()), 0.0), "m/s2", "lower")


def max_side_accel(rollout: Rollout) -> MetricResult:
    """Strongest acceleration across the heading."""
    return result("max lateral acceleration", float(np.abs(motion(rollout)["side accel"]).max()), "m/s2", "lower")


def max_jerk(rollout: Rollout) -> MetricResult:
    """Strongest jerk along the heading."""
    return result("max jerk", float(np.abs(motion(rollout)["along jerk"]).max()), "m/s3", "lower")


def comfort(rollout: Rollout) -> MetricResult:
    """Share of the time within all six comfort bounds of nuPlan, in percent."""
    return result("comfort", 100.0 * float(comfortable(motion(rollout)).mean()), "%", "higher")
