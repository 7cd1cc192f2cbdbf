"""Two borders -> the centre line between them, and the borders cut to its count, as kernels.

A lanelet's centre line is by definition of the format what the library computes: rungs are laid from border to
border, each to the nearest later point that can be reached without crossing a border, and the centre line joins
their middles (Lanelet2, `ConstLanelet::centerline`). Here the same rungs are found by plain loops over flat arrays,
and every border point that they skip gets a rung of its own on the way, so that the borders keep their shape.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit

from cordillera.geometry import arc_length, interpolate, project_to_polyline
from cordillera.types import Float, Int

SAME_M = 1e-9


def centre_of(left_xyz: Float, right_xyz: Float) -> tuple[Float, Float, Float]:
    """Borders (A, 3), (B, 3) in the direction of travel -> centre, left, right, each (N, 3)."""
    rungs = _rungs(np.ascontiguousarray(left_xyz[:, :2]), np.ascontiguousarray(right_xyz[:, :2]))
    return _fill(left_xyz, right_xyz, rungs)


def follow_centre(center_xyz: Float, left_xyz: Float, right_xyz: Float) -> tuple[Float, Float, Float]:
    """A given centre line (C, 3) and borders -> the three lines cut at each other's points, (N, 3) each."""
    along = arc_length(center_xyz[:, :2])
    if along[-1] < SAME_M:
        return centre_of(left_xyz, right_xyz)
    cuts = [along / along[-1]]
    feet = []
    for border in (left_xyz, right_xyz):
        s = np.array([project_to_polyline(center_xyz, p[0], p[1])[0] for p in border]) / along[-1]
        s[0], s[-1] = 0.0, 1.0
        s = np.maximum.accumulate(np.clip(s, 0.0, 1.0))
        feet.append(s)
        cuts.append(s)
    t = np.unique(np.round(np.concatenate(cuts), 12))
    left, right = (
        np.stack([np.interp(t, s, border[:, d]) for d in range(3)], axis=-1)
        for s, border in zip(feet, (left_xyz, right_xyz), strict=True)
    )
    centre = np.stack([np.interp(t, along / along[-1], center_xyz[:, d]) for d in range(3)], axis=-1)
    return centre, left, right


def _fill(left: Float, right: Float, rungs: Int) -> tuple[Float, Float, Float]:
    """Borders and rungs (R, 2) of point indices -> centre, left and right with a rung for each point of either."""
    parts = []
    for (a0, b0), (a1, b1) in pairwise(rungs.tolist()):
        ends = [0.5 * (left[a] + right[b]) for a, b in ((a0, b0), (a1, b1))]
        if a1 - a0 <= 1 and b1 - b0 <= 1:
            parts.append((ends[0][None], left[a0 : a0 + 1], right[b0 : b0 + 1]))
            continue
        cuts = [np.array([0.0])]
        for border, low, high in ((left, a0, a1), (right, b0, b1)):
            along = arc_length(border[low : high + 1])
            if along[-1] > SAME_M:
                cuts.append(along[:-1] / along[-1])
        t = np.unique(np.concatenate(cuts))
        sides = [
            interpolate(border[low : high + 1], t * arc_length(border[low : high + 1])[-1])
            if high > low
            else np.repeat(border[low : low + 1], len(t), axis=0)
            for border, low, high in ((left, a0, a1), (right, b0, b1))
        ]
        parts.append((ends[0] + t[:, None] * (ends[1] - ends[0]), *sides))
    parts.append((0.5 * (left[-1:] + right[-1:]), left[-1:], right[-1:]))
    centre, left_out, right_out = (np.concatenate(column) for column in zip(*parts, strict=True))
    return centre, left_out, right_out


# --------------------------------------------------------------------- kernels


@njit(cache=True)
def _side(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> float:
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax)


@njit(cache=True)
def _between(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> bool:
    return min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)


@njit(cache=True)
def segments_meet(
    ax: float, ay: float, bx: float, by: float, cx: float, cy: float, dx: float, dy: float
) -> bool:  # fmt: skip
    """Segments ab and cd -> whether they share a point, touching included."""
    c, d = _side(ax, ay, bx, by, cx, cy), _side(ax, ay, bx, by, dx, dy)
    a, b = _side(cx, cy, dx, dy, ax, ay), _side(cx, cy, dx, dy, bx, by)
    if ((c > 0.0 and d < 0.0) or (c < 0.0 and d > 0.0)) and ((a > 0.0 and b < 0.0) or (a < 0.0 and b > 0.0)):
        return True
    return (
        (c == 0.0 and _between(ax, ay, bx, by, cx, cy))
        or (d == 0.0 and _between(ax, ay, bx, by, dx, dy))
        or (a == 0.0 and _between(cx, cy, dx, dy, ax, ay))
        or (b == 0.0 and _between(cx, cy, dx, dy, bx, by))
    )


@njit(cache=True)
def _step_leaves(left: Float, right: Float, px: float, py: float, qx: float, qy: float) -> bool:
    """A step p -> q of the centre line -> whether it crosses a border, or leaves by the first or the last rung."""
    for border in (left, right):
        for i in range(len(border) - 1):
            ax, ay = border[i]
            bx, by = border[i + 1]
            if (ax != px or ay != py) and segments_meet(px, py, qx, qy, ax, ay, bx, by):
                return True
    ax, ay = right[0]
    bx, by = left[0]
    if segments_meet(px, py, qx, qy, ax, ay, bx, by) and _side(ax, ay, bx, by, qx, qy) > 0.0:
        return True
    ax, ay = left[-1]
    bx, by = right[-1]
    return segments_meet(px, py, qx, qy, ax, ay, bx, by) and _side(ax, ay, bx, by, qx, qy) > 0.0


@njit(cache=True)
def _rung_crosses(border: Float, px: float, py: float, own: int, ox: float, oy: float) -> bool:
    """A rung from p to point `own` (at o) of a border -> whether it meets a segment that does not end there."""
    for i in range(len(border) - 1):
        ax, ay = border[i]
        bx, by = border[i + 1]
        if (ax == ox and ay == oy) or (bx == ox and by == oy):
            continue
        if segments_meet(px, py, ox, oy, ax, ay, bx, by):
            return True
    return False


@njit(cache=True)
def _next_point(border: Float, first: int, other: Float, at: int, left: Float, right: Float, px: float, py: float):
    """Border, its first point allowed, the other border and the point at which it stands, the centre's last point.

    Returns the nearest point to `other[at]` that a rung may reach, or -1, and its squared distance.
    """
    ox, oy = other[at]
    best, nearest = -1, np.inf
    for i in range(first, len(border)):
        x, y = border[i]
        gap = (x - ox) ** 2 + (y - oy) ** 2
        if gap >= nearest:
            continue
        if _step_leaves(left, right, px, py, 0.5 * (x + ox), 0.5 * (y + oy)):
            continue
        if _rung_crosses(border, ox, oy, i, x, y) or _rung_crosses(other, x, y, at, ox, oy):
            continue
        best, nearest = i, gap
    return best, nearest


@njit(cache=True)
def _rungs(left: Float, right: Float) -> Int:
    """Borders (A, 2), (B, 2) -> rungs (R, 2) of point indices, from the first pair of points to the last."""
    out = np.zeros((len(left) + len(right) + 2, 2), dtype=np.int64)
    a, b, count = 0, 0, 1
    px, py = 0.5 * (left[0, 0] + right[0, 0]), 0.5 * (left[0, 1] + right[0, 1])
    if left[0, 0] == right[0, 0] and left[0, 1] == right[0, 1]:
        a = 1  # closed at the start: the first rung has no length
    while True:
        i, left_gap = _next_point(left, a + 1, right, b, left, right, px, py)
        j, right_gap = _next_point(right, b + 1, left, a, left, right, px, py)
        if i < 0 and j < 0:
            break
        if i >= 0 and (j < 0 or left_gap <= right_gap):
            a = i
        else:
            b = j
        px, py = 0.5 * (left[a, 0] + right[b, 0]), 0.5 * (left[a, 1] + right[b, 1])
        out[count, 0], out[count, 1] = a, b
        count += 1
    if a != len(left) - 1 or b != len(right) - 1:
        out[count, 0], out[count, 1] = len(left) - 1, len(right) - 1
        count += 1
    return out[:count]
