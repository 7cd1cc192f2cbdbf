"""Waypoints of the contract -> the route of an observation, with words made from its line where none were sent."""

from __future__ import annotations

import numpy as np

from cordillera.geometry import arc_length, resample
from cordillera.serve.notes import Navigation
from cordillera.types import Float, Route

SHOWN_M = 200.0  # as far as our own routes are shown
MOST_WAYPOINTS = 5000
LONGEST_M = 10_000.0
AHEAD_M = (0.5, 30.0)  # a line that begins so far ahead of the car is carried back to it
BEND_OVER_M = 20.0
BEND_RAD = 0.6  # within that length: a turn
LOOK_AHEAD_M = 150.0


def waypoints_of(xyz: Float) -> tuple[Float, bool]:
    """Waypoints (N, 3) with rows of NaN as padding -> those that count (M, 3), and whether the route ends there.

    The contract's list has a fixed length and is padded where the route is shorter: a padded route ends, one that is
    not goes on. Points that repeat the one before are left out. Infinite numbers are refused with a ValueError, and so
    is a line longer than any drive, which would be sampled point by point.
    """
    if np.isinf(xyz).any():
        raise ValueError("a waypoint is infinite; pad with NaN")
    if (np.abs(xyz) > LONGEST_M).any():
        raise ValueError(f"a waypoint is {np.nanmax(np.abs(xyz)):g} m away; {LONGEST_M:g} m is the farthest")
    finite = np.asarray(np.isfinite(xyz).all(axis=1))
    ends = len(xyz) > 0 and not bool(finite[-1])
    line = xyz[finite]
    if len(line) > 1:
        moved = np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-3
        line = line[np.concatenate([[True], moved])]
        if arc_length(line)[-1] > LONGEST_M:
            raise ValueError(f"the route is {arc_length(line)[-1]:.0f} m long; send at most {LONGEST_M:g} m ahead")
    return line, ends


def carried_on(line: Float, ends: bool) -> Float:
    """A line (N, 3) in the rig frame -> the same from beside the car on, and to 200 m where the route goes on so far.

    The contract's waypoints may begin some metres ahead of the car, and end where the message does; our policies take
    a line's begin for the place beside the car, and its end for the place to stop. Both ends are carried on straight.
    """
    if len(line) < 2:
        return line
    step = line[1] - line[0]
    ahead_m = float(line[0] @ step / np.linalg.norm(step))
    if AHEAD_M[0] < ahead_m < AHEAD_M[1]:
        line = np.concatenate([line[:1] - ahead_m * step / np.linalg.norm(step), line])
    step = line[-1] - line[-2]
    missing = SHOWN_M - float(arc_length(line)[-1])
    if ends or missing <= 0.0:
        return line
    ways = np.append(np.arange(2.0, missing, 2.0), missing)
    return np.concatenate([line, line[-1] + ways[:, None] * step / np.linalg.norm(step)])


def route_of(line: Float, ends: bool, note: Navigation | None) -> Route:
    """A line (N, 3) in the rig frame, whether it ends there, and words if they were sent -> the route."""
    command, text = (note.command, note.text) if note else words_of(line, ends)
    return Route(line if note and note.whole else carried_on(line, ends), command, text, "rig")


def words_of(line: Float, ends: bool) -> tuple[str, str]:
    """A line (N, 3) in the rig frame -> command and text of the next thing to do on it, as our own routes word them."""
    if len(line) < 2 or arc_length(line)[-1] < 1.0:
        return "follow", ""
    points = resample(line[:, :2], 2.0)
    along = arc_length(points)
    yaw = np.unwrap(np.arctan2(np.diff(points[:, 1]), np.diff(points[:, 0])))
    ahead = np.minimum(np.searchsorted(along, along[:-1] + BEND_OVER_M), len(yaw) - 1)
    turn = yaw[ahead] - yaw
    bends = np.flatnonzero(np.abs(turn) > BEND_RAD)
    if len(bends):
        first = int(bends[0])
        # the window opens before the bend does: where half of its turn is done, the car is in it
        into = first + int(np.argmax(np.abs(yaw[first:] - yaw[first]) > 0.25 * abs(turn[first])))
        side = "left" if turn[first] > 0.0 else "right"
        return side, f"Turn {side} {_in(float(along[into]))}"
    if ends and along[-1] <= LOOK_AHEAD_M:
        return "arrive", f"You arrive {_in(float(along[-1]))}"
    return "follow", "Follow the road"


def _in(distance_m: float) -> str:
    return "now" if distance_m < 5.0 else f"in {5 * round(distance_m / 5)} m"
