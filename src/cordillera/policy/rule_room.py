"""A path and the roads around it -> the room beside the path: how far a body may move, and over whose lane.

Offsets are metres from the path to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from cordillera.geometry import wrap_angle
from cordillera.policy.rule_path import Path
from cordillera.types import Float
from cordillera.world.roads import Roads

REACH_M, GRID_M = 8.0, 0.25  # how far out the road is probed, and how finely
EVERY = 4  # stations from one probe to the next
ALIGNED_RAD = 1.2
SLACK_M = 0.2


@dataclass(frozen=True, eq=False)
class Room:
    """Over the stations of a path (N,): how far the drivable area and the route's own lane reach to either side."""

    left: Float
    right: Float
    lane_left: Float
    lane_right: Float

    def span(self, path: Path, s0_m: float, s1_m: float) -> tuple[float, float, float, float]:
        """A stretch of the path -> the least of each: drivable to left and right, own lane to left and right."""
        a, b = path.index(s0_m), path.index(s1_m) + 1
        return (
            float(self.left[a:b].min()), float(self.right[a:b].min()),
            float(self.lane_left[a:b].min()), float(self.lane_right[a:b].min()),
        )  # fmt: skip


_ROOMS: WeakKeyDictionary[Path, Room] = WeakKeyDictionary()


def room_of(roads: Roads, path: Path) -> Room:
    """Roads and path -> the room beside it; worked out once and kept as long as the path lives."""
    room = _ROOMS.get(path)
    if room is None:
        room = _ROOMS[path] = _measure(roads, path)
    return room


def _measure(roads: Roads, path: Path) -> Room:
    count = len(path.xy)
    at = np.arange(0, count, EVERY)
    normal = np.column_stack([-np.sin(path.yaw[at]), np.cos(path.yaw[at])])
    steps = np.arange(0.0, REACH_M + 0.5 * GRID_M, GRID_M)
    found = []
    for sign in (1.0, -1.0):
        probes = path.xy[at, None] + sign * steps[None, :, None] * normal[:, None]
        free = roads.drivable(probes.reshape(-1, 2)).reshape(len(at), len(steps))
        free[:, 0] = True
        first_shut = np.where(free.all(axis=1), len(steps), np.argmin(free, axis=1))
        found.append((first_shut - 1) * GRID_M)
    own = np.array([_own(roads, path, int(i)) for i in at])
    everywhere = np.minimum(np.arange(count) // EVERY, len(at) - 1)
    return Room(found[0][everywhere], found[1][everywhere], own[everywhere, 0], own[everywhere, 1])


def _own(roads: Roads, path: Path, i: int) -> tuple[float, float]:
    """Station -> distance from the path to the left and right border of the route's lane there."""
    lane = path.lanes[path.step[i]]
    s, lateral = roads.project(lane, float(path.xy[i, 0]), float(path.xy[i, 1]))
    left, right = roads.width(lane, s)
    return left - lateral, right + lateral


def whose(roads: Roads, path: Path, s_m: float, offset_m: float) -> str:
    """A place beside the path -> "along" or "against" by the way its lanes run, "" where no driving lane is."""
    i = path.index(s_m)
    yaw = float(path.yaw[i])
    x = float(path.xy[i, 0]) - offset_m * math.sin(yaw)
    y = float(path.xy[i, 1]) + offset_m * math.cos(yaw)
    place = roads.nearest(x, y, None, 6.0)
    if place is None:
        return ""
    left, right = roads.width(place.lane, place.s_m)
    if not -right - SLACK_M < place.lateral_m < left + SLACK_M:
        return ""
    turn = float(wrap_angle(roads.pose(place.lane, place.s_m)[1] - yaw))
    return "along" if abs(turn) < ALIGNED_RAD else "against"
