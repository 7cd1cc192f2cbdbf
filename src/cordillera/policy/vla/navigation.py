"""A route's line in the rig frame -> words of the small vocabulary that say where it leads: directions and length.

A sentence such as "Turn left in 40 m" says which way to go but not where the lane is. Models of our own may be told the
line instead: the bearing of the points where the route leaves circles around the car, and how much of it is left. The
circles make it independent of where the line begins. Each number is one of the tokens <i0>.., so all routes are equally
long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import arc_length, resample

RADII_M = (4.0, 8.0, 12.0, 18.0, 26.0, 36.0, 50.0, 75.0)
BINS = 128
FARTHEST_M = 200.0
SHARPNESS = 2.0  # bearings are binned by their tanh: finest straight ahead, 0.45 degrees
COUNT = len(RADII_M) + 1


def route_numbers(xyz_rig: NDArray[np.float64]) -> NDArray[np.int64]:
    """A line (N, 3) in the rig frame -> bins (9,): the bearing at each radius, then the length that is left.

    Radii that the line does not reach have the bearing of its end. A line of fewer than two points is straight ahead.
    """
    if len(xyz_rig) < 2:
        return np.full(COUNT, BINS // 2, np.int64)
    line = resample(np.asarray(xyz_rig, np.float64)[:, :2], 0.5)
    away = np.hypot(*line.T)
    nearest = int(away[: 1 + int(10.0 / 0.5)].argmin())
    line, away = line[nearest:], away[nearest:]
    at = [int(np.argmax(away >= radius)) if (away >= radius).any() else len(line) - 1 for radius in RADII_M]
    bearing = np.arctan2(line[at, 1], line[at, 0])
    left = min(float(arc_length(line)[-1]) if len(line) > 1 else 0.0, FARTHEST_M) / FARTHEST_M
    unit = np.append(0.5 + 0.5 * np.tanh(SHARPNESS * bearing), left)
    return np.clip(np.rint(unit * (BINS - 1)), 0, BINS - 1).astype(np.int64)


def bearings(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """The bins of `route_numbers` -> the bearings (8,) in rad: their inverse, up to half a bin."""
    unit = numbers[:-1] / (BINS - 1)
    return np.arctanh(np.clip(2.0 * unit - 1.0, -0.9999, 0.9999)) / SHARPNESS


def route_words(xyz_rig: NDArray[np.float64]) -> str:
    """A line (N, 3) in the rig frame -> its numbers as tokens, "<i61><i60>..."."""
    return "".join(f"<i{number}>" for number in route_numbers(xyz_rig))
