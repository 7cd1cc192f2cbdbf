"""Boxes in, the same boxes on the road's surface out: height, pitch and roll of the lanes beneath."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from cordillera.geometry import quat_from_euler, rotation_of, yaw_of
from cordillera.types import Float
from cordillera.world.roads import Roads

REACH_M = 15.0  # a lane farther away does not carry a box
HIGHEST_STEP_M = 2.5  # a box is not moved farther than this up or down
STEEPEST_RAD = math.radians(30.0)


class Ground(IntEnum):
    """What was done with a box; the values are those of the wire."""

    PLACED = 0
    NO_ROAD = 2
    TOO_FAR = 3
    TOO_STEEP = 4


def height_at(roads: Roads, x: float, y: float, yaw: float, near_z: float) -> float | None:
    """A point -> the height of the lane beneath or beside it, on the level nearest to `near_z`; None off the roads."""
    place = roads.nearest(x, y, yaw, REACH_M, z=near_z)
    return None if place is None else float(roads.pose(place.lane, place.s_m)[0][2])


def on_road(roads: Roads, center_xyz: Float, quat_xyzw: Float, size_lwh: Float) -> tuple[Float, Float, Ground]:
    """A box by its centre, orientation and size -> centre and orientation on the road, and what was done.

    The box keeps its place in the plane and its heading. Heights are taken where its four corners stand; where no
    road is near, or the box would have to jump or tilt beyond reason, it stays as it is.
    """
    yaw = float(yaw_of(quat_xyzw))
    bottom = float(center_xyz[2]) - 0.5 * float(size_lwh[2])
    forward, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
    heights = []
    for along, aside in ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)):
        point = center_xyz[:2] + 0.5 * along * size_lwh[0] * forward + 0.5 * aside * size_lwh[1] * left
        z = height_at(roads, float(point[0]), float(point[1]), yaw, bottom)
        if z is None:
            return center_xyz, quat_xyzw, Ground.NO_ROAD
        heights.append(z)
    front, back = 0.5 * (heights[0] + heights[1]), 0.5 * (heights[2] + heights[3])
    sides = 0.5 * (heights[0] + heights[2]), 0.5 * (heights[1] + heights[3])
    pitch = -math.atan2(front - back, float(size_lwh[0]))
    roll = math.atan2(sides[0] - sides[1], float(size_lwh[1]))
    if abs(float(np.mean(heights)) - bottom) > HIGHEST_STEP_M:
        return center_xyz, quat_xyzw, Ground.TOO_FAR
    if max(abs(pitch), abs(roll)) > STEEPEST_RAD:
        return center_xyz, quat_xyzw, Ground.TOO_STEEP
    quat = quat_from_euler(roll, pitch, yaw)
    foot = np.array([center_xyz[0], center_xyz[1], float(np.mean(heights))])
    return foot + rotation_of(quat) @ np.array([0.0, 0.0, 0.5 * float(size_lwh[2])]), quat, Ground.PLACED
