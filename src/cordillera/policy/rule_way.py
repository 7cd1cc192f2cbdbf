"""A plan across the road: where the expert leaves its path to either side, as a line of offsets to drive.

A way is a row of moves; between its stations a move takes the car from the offset before to its own. The line joins the
car's present pose smoothly, and is worked out anew at every step from that pose, so that nothing has to be remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.policy.rule_change import stay
from cordillera.policy.rule_path import Change
from cordillera.policy.rule_scene import Line, Scene
from cordillera.types import Float

APPROACH_S = 2.2  # time in which an offset from the path is made good
APPROACH_MIN_M, APPROACH_MAX_M = 7.0, 35.0
MOVE_MIN_M = 5.0
GRID_M, REACH_M = 0.5, 140.0


@dataclass(frozen=True)
class Move:
    """Between two stations of the rear axle, to an offset from the path, left positive."""

    s0_m: float
    s1_m: float
    to_m: float


def line_of(scene: Scene, moves: tuple[Move, ...], wait: Change | None = None) -> Line:
    """A scene, moves in order, and a lane change that has to wait -> the line of offsets that is driven."""
    places = scene.station_m + np.arange(0.0, REACH_M + GRID_M, GRID_M)
    if wait is not None:
        aside = stay(scene, wait, places)
        slope = np.gradient(aside, GRID_M)
        length = _approach(scene)
    else:
        aside, slope, length = _moved(scene, moves, places)
    offset, tilt = _fade(scene, places - scene.station_m, float(aside[0]), float(slope[0]), length)
    return Line(scene.station_m, GRID_M, aside + offset, slope + tilt)


def _approach(scene: Scene) -> float:
    return min(max(APPROACH_S * scene.speed_mps, APPROACH_MIN_M), APPROACH_MAX_M)


def _moved(scene: Scene, moves: tuple[Move, ...], places: Float) -> tuple[Float, Float, float]:
    """Moves, stations -> offsets and slopes there, and the length over which the car's own offset fades into them.

    The move in which the car is counts as done: the fade, which ends where the move ends, is the move.
    """
    aside, slope = np.zeros(len(places)), np.zeros(len(places))
    length, before = _approach(scene), 0.0
    for move in moves:
        if move.s0_m <= scene.station_m:
            aside[:], slope[:] = move.to_m, 0.0
            if scene.station_m < move.s1_m:
                length = max(move.s1_m - scene.station_m, MOVE_MIN_M)
        else:
            span = max(move.s1_m - move.s0_m, 1.0)
            u = np.clip((places - move.s0_m) / span, 0.0, 1.0)
            by = move.to_m - before
            aside = aside + by * u**3 * (10.0 - 15.0 * u + 6.0 * u * u)
            slope = slope + by * 30.0 * u * u * (1.0 - u) ** 2 / span
        before = move.to_m
    return aside, slope, length


def _fade(scene: Scene, away: Float, aside: float, aside_slope: float, length: float) -> tuple[Float, Float]:
    """Distances along the path -> offset to the left of the line to drive and its slope there."""
    path, here = scene.path, scene.path.index(scene.station_m)
    d0 = scene.offset_m - aside
    length = max(length, 3.2 * math.sqrt(abs(d0) * max(abs(d0), 1.5)), scene.speed_mps * math.sqrt(2.0 * abs(d0)))
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
