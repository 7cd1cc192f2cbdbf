"""The way of the car: path, present pose and stations to be at -> poses that leave the pose smoothly for the path."""

from __future__ import annotations

import math

import numpy as np

from cordillera.kinematics import plan_of
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_path import Stretch
from cordillera.policy.rule_scene import Scene
from cordillera.types import Cause, Float, Lateral, Trajectory


def poses(scene: Scene, s_m: Float) -> Trajectory:
    """Stations of the rear axle after each tick (64,) -> the plan along the scene's line, in the rig frame of now."""
    path = scene.path
    offset, slope = scene.line.at(s_m)
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


def _to_rig(scene: Scene, xy: Float, heading: Float) -> tuple[Float, Float]:
    ego = scene.state.ego
    path = scene.path
    yaw = path.yaw[path.index(scene.station_m)] + scene.heading_rad
    c, s = math.cos(yaw), math.sin(yaw)
    d = xy - ego.xyz[:2]
    return np.column_stack([c * d[:, 0] + s * d[:, 1], c * d[:, 1] - s * d[:, 0]]), heading - yaw


def manoeuvre(scene: Scene) -> tuple[Lateral, tuple[Cause, ...], str]:
    """What the car does across the road now or next by its route, why, and to which side ("" for none)."""
    reach = scene.front_m + max(2.0 * scene.speed_mps, 6.0)
    for stretch in scene.path.stretches:
        if stretch.s1_m < scene.station_m or stretch.s0_m > reach:
            continue
        return _named(scene, stretch)
    return Lateral.LANE_KEEPING, (), ""


def _named(scene: Scene, stretch: Stretch) -> tuple[Lateral, tuple[Cause, ...], str]:
    gap = max(stretch.s0_m - scene.front_m, 0.0)
    cause = Cause("route", f"lane:{stretch.lane}", f"leads {_way(stretch.what)}", scene.t_us, gap)
    lateral = Lateral.LANE_CHANGE if stretch.what.startswith("change") else Lateral.TURN
    side = next((side for side in ("left", "right") if stretch.what.endswith(side)), "")
    return lateral, (cause,), side


def _way(what: str) -> str:
    if what.startswith("change"):
        return f"to the {what.removeprefix('change-')} lane"
    return "back" if what == "u-turn" else f"to the {what}"
