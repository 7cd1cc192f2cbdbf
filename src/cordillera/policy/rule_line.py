"""A route -> the line on which the expert's rear axle runs: even in curvature, the body in the middle of the lane.

The route's line is the lanes' centres, with the kinks of their surveys. The nose of a car sweeps outwards in bends, so
its rear axle runs inside of the centre there, as far as the lane has room.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import solveh_banded

from cordillera.geometry import arc_length
from cordillera.types import Float, Int
from cordillera.world.guide import Guide
from cordillera.world.roads import Roads

SPACING_M = 0.5
WAVE_M, LAST_WAVE_M = 8.0, 5.0  # waves of this length are halved
BALANCE_M2 = 3.7  # a quarter of the squared distance from rear axle to bumper; the inward shift is this by the radius
HALF_WIDTH_M = 1.06
EDGE_M = 0.2  # between body and lane border, where there is room for it
LEAST_ROOM_M = 0.12


def drive_line(roads: Roads, guide: Guide) -> tuple[Float, Float, Float, Int]:
    """Roads and the guide along a route -> stations 0.5 m apart: xy (N, 2), headings, curvatures, route steps (N,)."""
    raw, origin = _stations(guide.route.xyz[:, :2])
    step = _steps_at(guide, origin)
    yaw, curvature = bends(faired(raw, WAVE_M))
    normal = np.column_stack([-np.sin(yaw), np.cos(yaw)])
    right, left = _room(roads, guide.route.lanes, step, raw)
    inward = np.clip(BALANCE_M2 * curvature / (1.0 + np.abs(curvature)), -right, left)
    line = faired(raw + inward[:, None] * normal, WAVE_M)
    offset = np.einsum("ij,ij->i", line - raw, normal)
    line = faired(raw + np.clip(offset, -right, left)[:, None] * normal, LAST_WAVE_M)
    length = arc_length(line)
    even = np.arange(max(2, int(length[-1] / SPACING_M) + 1)) * SPACING_M
    xy = CubicSpline(length, line)(even)
    return xy, *bends(xy), _steps_at(guide, np.interp(even, length, origin))


def _steps_at(guide: Guide, s_m: Float) -> Int:
    return guide.step[np.clip(np.searchsorted(guide.s_m, s_m, side="right") - 1, 0, len(guide.step) - 1)]


def _stations(points: Float) -> tuple[Float, Float]:
    """Route points (M, 2) -> points SPACING_M apart on the spline through them, and their arc lengths on the route."""
    along = arc_length(points)
    keep = np.concatenate([[True], np.diff(along) > 1e-3])
    points, along = points[keep], along[keep]
    if len(points) < 4:
        few = np.linspace(0.0, along[-1], 5)
        points, along = np.column_stack([np.interp(few, along, points[:, d]) for d in (0, 1)]), few
    spline = CubicSpline(along, points)
    fine = np.linspace(0.0, along[-1], max(2, round(along[-1] / 0.1)) + 1)
    length = arc_length(spline(fine))
    count = max(2, int(length[-1] / SPACING_M) + 1)
    at = np.interp(np.arange(count) * SPACING_M, length, fine)
    return spline(at), at


def _room(roads: Roads, lanes: tuple[int, ...], step: Int, xy: Float) -> tuple[Float, Float]:
    """How far the car may leave the line to the right and to the left within its lane, at each station."""
    right, left = np.empty(len(xy)), np.empty(len(xy))
    for i, (x, y) in enumerate(xy):
        lane = lanes[step[i]]
        s, lateral = roads.project(lane, x, y)
        to_left, to_right = roads.width(lane, s)
        left[i], right[i] = to_left - lateral, to_right + lateral
    taken = HALF_WIDTH_M + EDGE_M
    return np.maximum(right - taken, LEAST_ROOM_M), np.maximum(left - taken, LEAST_ROOM_M)


def faired(xy: Float, wave_m: float) -> Float:
    """Stations (N, 2) -> a line near them whose curvature changes evenly; waves of length `wave_m` are halved.

    Whittaker's smoother with third differences: the least squares of distance and of change of curvature.
    """
    count = len(xy)
    if count < 8:
        return xy
    weight = (wave_m / (2.0 * math.pi * SPACING_M)) ** 6
    third = np.array([-1.0, 3.0, -3.0, 1.0])
    bands = np.zeros((4, count))  # upper bands of I + weight D'D
    for i, a in enumerate(third):
        for j in range(i, 4):
            bands[3 - (j - i), j : count - 3 + j] += weight * a * third[j]
    bands[3] += 1.0
    return np.asarray(solveh_banded(bands, xy))


def bends(xy: Float) -> tuple[Float, Float]:
    """Stations (N, 2) -> headings, continuous, and curvatures, the mean over 3 m."""
    slope = np.gradient(xy, axis=0)
    yaw = np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))
    curvature = np.gradient(yaw, SPACING_M)
    padded = np.concatenate([np.full(3, curvature[0]), curvature, np.full(3, curvature[-1])])
    return yaw, np.convolve(padded, np.full(7, 1.0 / 7.0), mode="valid")
