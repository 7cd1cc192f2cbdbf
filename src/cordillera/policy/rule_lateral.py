"""The way of the car: path, present pose and stations to be at -> poses that leave the pose smoothly for the path."""

from __future__ import annotations

import math

import numpy as np

from cordillera.kinematics import plan_of
from cordillera.policy.rule_change import stay
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_path import Change, Stretch
from cordillera.policy.rule_scene import Scene
from cordillera.types import Cause, Float, Lateral, Trajectory

APPROACH_S = 2.2  # time in which an offset from the path is made good
APPROACH_MIN_M, APPROACH_MAX_M = 7.0, 35.0


def poses(scene: Scene, s_m: Float, wait: Change | None = None) -> Trajectory:
    """Stations of the rear axle after each tick (64,) -> the plan in the rig frame of now.

    The offset from the path fades as the quintic that starts with the car's offset, heading and curvature. While a
    lane change has to wait, the car keeps to the lane that it is to leave.
    """
    path = scene.path
    away = np.maximum(s_m - scene.station_m, 0.0)
    aside, aside_slope = _aside(scene, s_m, wait)
    offset, slope = _fade(scene, away, aside[0], aside_slope[0])
    offset, slope = offset + aside[1:], slope + aside_slope[1:]
    at = np.clip(s_m / SPACING_M, 0.0, len(path.xy) - 1.0)
    low = np.minimum(at.astype(np.int64), len(path.xy) - 2)
    t = at - low
    xy = path.xy[low] + t[:, None] * (path.xy[low + 1] - path.xy[low])
    yaw = path.yaw[low] + t * (path.yaw[low + 1] - path.yaw[low])
    beyond = np.maximum(s_m - path.length_m, 0.0)
    heading = yaw + np.arctan2(slope, np.maximum(1.0 - path.curvature[low] * offset, 0.2))
    xy = xy + beyond[:, None] * np.column_stack([np.cos(yaw), np.sin(yaw)])
    xy = xy + offset[:, None] * np.column_stack([-np.sin(yaw), np.cos(yaw)])
    return plan_of(*_to_rig(scene, xy, heading), scene.t_us)


def _aside(scene: Scene, s_m: Float, wait: Change | None) -> tuple[Float, Float]:
    """Offsets and slopes (1 + N,) of what is driven instead of the path: at the car, and at the stations."""
    places = np.concatenate([[scene.station_m], s_m])
    if wait is None:
        return np.zeros(len(places)), np.zeros(len(places))
    offset = stay(scene, wait, places)
    return offset, (stay(scene, wait, places + 1.0) - offset) / 1.0


def _fade(scene: Scene, away: Float, aside: float, aside_slope: float) -> tuple[Float, Float]:
    """Distances along the path -> offset to the left of the line to drive and its slope there."""
    path, here = scene.path, scene.path.index(scene.station_m)
    length = min(max(APPROACH_S * scene.speed_mps, APPROACH_MIN_M), APPROACH_MAX_M)
    d0 = scene.offset_m - aside
    length = max(length, 6.0 * abs(d0))
    heading = min(max(scene.heading_rad, -1.0), 1.0)
    d1 = math.tan(heading) * (1.0 - path.curvature[here] * scene.offset_m) - aside_slope
    bend = scene.state.ego.curvature_1pm if scene.speed_mps > 1.0 else path.curvature[here]
    d2 = min(max(float(bend - path.curvature[here]), -0.05), 0.05)
    # d(u) = quintic in u = away / length with d, d', d'' given at 0 and zero at 1
    a, b, c = d0, d1 * length, 0.5 * d2 * length * length
    k3 = -10.0 * a - 6.0 * b - 3.0 * c
    k4 = 15.0 * a + 8.0 * b + 3.0 * c
    k5 = -6.0 * a - 3.0 * b - c
    u = np.minimum(away / length, 1.0)
    offset = a + u * (b + u * (c + u * (k3 + u * (k4 + u * k5))))
    slope = (b + u * (2.0 * c + u * (3.0 * k3 + u * (4.0 * k4 + u * 5.0 * k5)))) / length
    return offset, slope


def _to_rig(scene: Scene, xy: Float, heading: Float) -> tuple[Float, Float]:
    ego = scene.state.ego
    path = scene.path
    yaw = path.yaw[path.index(scene.station_m)] + scene.heading_rad
    c, s = math.cos(yaw), math.sin(yaw)
    d = xy - ego.xyz[:2]
    return np.column_stack([c * d[:, 0] + s * d[:, 1], c * d[:, 1] - s * d[:, 0]]), heading - yaw


def manoeuvre(scene: Scene) -> tuple[Lateral, tuple[Cause, ...]]:
    """What the car does across the road now or next, and why."""
    reach = scene.front_m + max(2.0 * scene.speed_mps, 6.0)
    for stretch in scene.path.stretches:
        if stretch.s1_m < scene.station_m or stretch.s0_m > reach:
            continue
        return _named(scene, stretch)
    return Lateral.LANE_KEEPING, ()


def _named(scene: Scene, stretch: Stretch) -> tuple[Lateral, tuple[Cause, ...]]:
    gap = max(stretch.s0_m - scene.front_m, 0.0)
    cause = Cause("route", f"lane:{stretch.lane}", f"leads {_way(stretch.what)}", scene.t_us, gap)
    lateral = Lateral.LANE_CHANGE if stretch.what.startswith("change") else Lateral.TURN
    return lateral, (cause,)


def _way(what: str) -> str:
    if what.startswith("change"):
        return f"to the {what.removeprefix('change-')} lane"
    return "back" if what == "u-turn" else f"to the {what}"
