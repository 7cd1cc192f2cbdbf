"""Two borders -> the centre line between them, and all three lines cut at the same places across the lane.

A lanelet's centre line is by definition of the format what the library computes: rungs are laid from border to
border, each to the nearest later point that can be reached without crossing a border, and the centre line joins
their middles (Lanelet2, `ConstLanelet::centerline`). Here the same rungs are found by plain loops over flat arrays.
Rungs may lie aslant, so afterwards the borders are cut where they are nearest to the centre line's points.
"""

from __future__ import annotations

import numpy as np

from cordillera.geometry import arc_length
from cordillera.kernels import inner, kernel
from cordillera.types import Float, Int

SAME_M = 1e-9
SLACK = 0.25  # how far a border may run ahead of the centre line, as a part of the whole
CLOSE_M = 0.02  # cuts closer than this are one


def centre_of(left_xyz: Float, right_xyz: Float) -> tuple[Float, Float, Float]:
    """Borders (A, 3), (B, 3) in the direction of travel -> centre, left, right, each (N, 3)."""
    rungs = _rungs(np.ascontiguousarray(left_xyz[:, :2]), np.ascontiguousarray(right_xyz[:, :2]))
    return follow_centre(0.5 * (left_xyz[rungs[:, 0]] + right_xyz[rungs[:, 1]]), left_xyz, right_xyz)


def follow_centre(center_xyz: Float, left_xyz: Float, right_xyz: Float) -> tuple[Float, Float, Float]:
    """A centre line (C, 3) and borders -> the three lines cut at each other's points, (N, 3) each."""
    along = arc_length(center_xyz[:, :2])
    whole = max(float(along[-1]), SAME_M)
    feet = [_feet(border[:, :2], center_xyz[:, :2], along) for border in (left_xyz, right_xyz)]
    s = np.unique(np.concatenate([along, *feet]))
    own = np.isin(s, along)
    keep = [0]
    for i in range(1, len(s)):  # a cut that nearly repeats another one is left out, but none of the centre line
        if own[i] or s[i] - s[keep[-1]] > CLOSE_M:
            if own[i] and not own[keep[-1]] and s[i] - s[keep[-1]] <= CLOSE_M:
                keep.pop()
            keep.append(i)
    s = s[keep]
    s[-1] = whole
    lines = ((along, center_xyz), (feet[0], left_xyz), (feet[1], right_xyz))
    cut = [np.stack([np.interp(s, place, line[:, d]) for d in range(3)], axis=-1) for place, line in lines]
    return cut[0], cut[1], cut[2]


def _feet(border: Float, center: Float, along: Float) -> Float:
    """Border (A, 2), centre line (C, 2), its arc lengths -> arc lengths (A,) along the centre of the border's points.

    That is the foot of each point on the centre line; segments far ahead or behind do not count, so that the arms of
    a hairpin are kept apart. Feet rise strictly, since at the outside of a corner several points share one foot.
    """
    start, step = center[:-1], np.diff(center, axis=0)
    length, whole = np.diff(along), max(float(along[-1]), SAME_M)
    offset = border[:, None] - start
    t = np.clip(np.einsum("pij,ij->pi", offset, step) / np.maximum(length, SAME_M) ** 2, 0.0, 1.0)
    gap = np.linalg.norm(offset - t[..., None] * step, axis=-1)
    place = along[:-1] + t * length
    own = arc_length(border)[:, None] * (whole / max(float(arc_length(border)[-1]), SAME_M))
    gap = gap + np.maximum(np.abs(place - own) - SLACK * whole, 0.0)
    feet = np.take_along_axis(place, gap.argmin(axis=1)[:, None], axis=1)[:, 0]
    nearest = along[np.abs(feet[:, None] - along).argmin(axis=1)]
    feet = np.where(np.abs(feet - nearest) < CLOSE_M, nearest, feet)
    feet[0], feet[-1] = 0.0, whole
    apart = min(2.0 * CLOSE_M, 0.5 * whole / len(feet)) * np.arange(len(feet))
    feet = np.maximum.accumulate(feet - apart) + apart
    feet = np.minimum.accumulate((np.minimum(feet, whole) - apart)[::-1])[::-1] + apart
    return np.asarray(feet, dtype=np.float64)


# --------------------------------------------------------------------- kernels


@inner
def _side(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> float:
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax)


@kernel
def _between(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> bool:
    return min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)


@inner
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


@inner
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


@inner
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


@inner
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


@kernel
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
