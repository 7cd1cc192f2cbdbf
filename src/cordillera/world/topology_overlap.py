"""Lanes as strips of triangles -> where the areas of two lanes overlap, as arc lengths along each. Kernels.

A lane's area is the strip between its borders, drawn in by a little so that lanes that only touch do not overlap.
Overlaps are exact intersections of triangles, clipped against each other, not samples.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.kernels import inner, kernel
from cordillera.types import Float, Int, Lane

INSET_M = 0.15  # how far the strip is drawn in on each side
TOLERANCE_M = 0.03  # strips are thinned out to this
LONGEST_M = 12.0  # and no segment gets longer
LEVEL_M = 2.5  # lanes farther apart in height pass under each other
GAP_M = 1.5  # shorter gaps do not end an overlap
SMALLEST_M2 = 0.05

# Columns of a strip's rungs: left x, y, right x, y, centre x, y, z, and arc length.
LX, LY, RX, RY, CX, CY, CZ, S = range(8)
# Columns of the result of an ordered pair: area, first and last stretch of overlap along the lane.
AREA, FIRST0, FIRST1, LAST0, LAST1 = range(5)


def strips_of(lanes: tuple[Lane, ...], which: Int) -> tuple[Int, Float]:
    """Lanes and the indices (K,) of those wanted -> pointers (K + 1,) and rungs (P, 8), thinned out, drawn in."""
    rungs, pointers = [], [0]
    for index in which:
        lane = lanes[index]
        step = np.hypot(*np.diff(lane.center_xyz[:, :2], axis=0).T)
        s = np.concatenate([[0.0], np.cumsum(step)])
        rows = np.column_stack([lane.left_xyz[:, :2], lane.right_xyz[:, :2], lane.center_xyz, s])
        rows = rows[_thin(rows)]
        _draw_in(rows)
        rungs.append(rows)
        pointers.append(pointers[-1] + len(rows))
    return np.array(pointers, dtype=np.int64), np.concatenate(rungs) if rungs else np.zeros((0, 8))


def close_pairs(pointers: Int, rungs: Float) -> Int:
    """Strips -> ordered pairs (M, 2) of different strips whose bounding boxes meet."""
    count = len(pointers) - 1
    if count < 2:
        return np.zeros((0, 2), dtype=np.int64)
    ends = pointers[:-1]
    low = np.stack([np.minimum.reduceat(np.minimum(rungs[:, a], rungs[:, b]), ends) for a, b in ((LX, RX), (LY, RY))])
    high = np.stack([np.maximum.reduceat(np.maximum(rungs[:, a], rungs[:, b]), ends) for a, b in ((LX, RX), (LY, RY))])
    parts = []
    for i in range(count):
        meets = (low[:, i, None] <= high).all(axis=0) & (low <= high[:, i, None]).all(axis=0)
        others = np.flatnonzero(meets)
        others = others[others != i]
        parts.append(np.column_stack([np.full(len(others), i), others]))
    return np.concatenate(parts).astype(np.int64)


@kernel
def _thin(rows: Float) -> Int:
    """Rungs (N, 8) -> the indices to keep so that both borders stay within the tolerance."""
    keep = np.zeros(len(rows), dtype=np.int64)
    count, start, n = 1, 0, len(rows)
    while start < n - 1:
        end = start + 1
        while end + 1 < n and rows[end + 1, S] - rows[start, S] <= LONGEST_M and _is_straight(rows, start, end + 1):
            end += 1
        keep[count] = end
        count += 1
        start = end
    return keep[:count]


@inner
def _is_straight(rows: Float, first: int, last: int) -> bool:
    """Whether the rungs between two lie on the strip that is drawn between those two alone."""
    for column in (LX, RX, CX):
        ax, ay = rows[first, column], rows[first, column + 1]
        dx, dy = rows[last, column] - ax, rows[last, column + 1] - ay
        norm = math.sqrt(dx * dx + dy * dy)
        for i in range(first + 1, last):
            px, py = rows[i, column] - ax, rows[i, column + 1] - ay
            off = abs(dx * py - dy * px) / norm if norm > 1e-9 else math.sqrt(px * px + py * py)
            if off > TOLERANCE_M:
                return False
    return True


def _draw_in(rows: Float) -> None:
    """Move the borders towards the centre line by INSET_M, at most to a fifth of their distance."""
    for x, y in ((LX, LY), (RX, RY)):
        offset = rows[:, [x, y]] - rows[:, [CX, CY]]
        half = np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9)
        rows[:, [x, y]] = rows[:, [CX, CY]] + offset * np.maximum(1.0 - INSET_M / half, 0.2)


# ------------------------------------------------------------------- clipping


@inner
def _clip(polygon: Float, count: int, ax: float, ay: float, bx: float, by: float, out: Float) -> int:
    """Convex polygon -> its part on the left of the line ab, in `out`; the number of its corners is returned."""
    kept = 0
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        px, py, qx, qy = polygon[i, 0], polygon[i, 1], polygon[j, 0], polygon[j, 1]
        p = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
        q = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
        if p >= 0.0:
            out[kept, 0], out[kept, 1] = px, py
            kept += 1
        if (p > 0.0 and q < 0.0) or (p < 0.0 and q > 0.0):
            t = p / (p - q)
            out[kept, 0], out[kept, 1] = px + t * (qx - px), py + t * (qy - py)
            kept += 1
    return kept


@inner
def _triangle(rungs: Float, i: int, second: bool, out: Float) -> None:
    """Segment i of a strip -> one of its two triangles, counter-clockwise, into `out` (3, 2)."""
    if second:
        out[0, 0], out[0, 1] = rungs[i, RX], rungs[i, RY]
        out[1, 0], out[1, 1] = rungs[i + 1, RX], rungs[i + 1, RY]
    else:
        out[0, 0], out[0, 1] = rungs[i, LX], rungs[i, LY]
        out[1, 0], out[1, 1] = rungs[i, RX], rungs[i, RY]
    out[2, 0], out[2, 1] = rungs[i + 1, LX], rungs[i + 1, LY]
    if (out[1, 0] - out[0, 0]) * (out[2, 1] - out[0, 1]) - (out[1, 1] - out[0, 1]) * (out[2, 0] - out[0, 0]) < 0.0:
        for k in range(2):
            out[0, k], out[1, k] = out[1, k], out[0, k]


@kernel
def _apart(rungs: Float, i: int, j: int) -> bool:
    """Whether the bounding boxes of two segments do not meet, or their heights lie far apart."""
    for a, b in ((LX, RX), (LY, RY)):
        i_low = min(min(rungs[i, a], rungs[i, b]), min(rungs[i + 1, a], rungs[i + 1, b]))
        i_high = max(max(rungs[i, a], rungs[i, b]), max(rungs[i + 1, a], rungs[i + 1, b]))
        j_low = min(min(rungs[j, a], rungs[j, b]), min(rungs[j + 1, a], rungs[j + 1, b]))
        j_high = max(max(rungs[j, a], rungs[j, b]), max(rungs[j + 1, a], rungs[j + 1, b]))
        if i_low > j_high or j_low > i_high:
            return True
    return abs(rungs[i, CZ] + rungs[i + 1, CZ] - rungs[j, CZ] - rungs[j + 1, CZ]) > 2.0 * LEVEL_M


@inner
def _segment_overlap(rungs: Float, i: int, j: int, work: Float) -> tuple[float, float, float]:
    """Segments i and j -> area of their overlap, and its first and last arc length along segment i."""
    area, low, high = 0.0, np.inf, -np.inf
    dx, dy = rungs[i + 1, CX] - rungs[i, CX], rungs[i + 1, CY] - rungs[i, CY]
    norm2 = max(dx * dx + dy * dy, 1e-12)
    length = rungs[i + 1, S] - rungs[i, S]
    mine, theirs, front, back = work[0], work[1], work[2], work[3]
    for first in (False, True):
        _triangle(rungs, i, first, mine)
        for second in (False, True):
            _triangle(rungs, j, second, theirs)
            n = _clip(mine, 3, theirs[0, 0], theirs[0, 1], theirs[1, 0], theirs[1, 1], front)
            n = _clip(front, n, theirs[1, 0], theirs[1, 1], theirs[2, 0], theirs[2, 1], back)
            n = _clip(back, n, theirs[2, 0], theirs[2, 1], theirs[0, 0], theirs[0, 1], front)
            twice = 0.0
            for k in range(1, n - 1):
                ux, uy = front[k, 0] - front[0, 0], front[k, 1] - front[0, 1]
                vx, vy = front[k + 1, 0] - front[0, 0], front[k + 1, 1] - front[0, 1]
                twice += ux * vy - uy * vx
            if twice < 1e-9:
                continue
            area += 0.5 * twice
            for k in range(n):
                t = ((front[k, 0] - rungs[i, CX]) * dx + (front[k, 1] - rungs[i, CY]) * dy) / norm2
                s = rungs[i, S] + min(1.0, max(0.0, t)) * length
                low, high = min(low, s), max(high, s)
    return area, low, high


@kernel
def overlaps(pointers: Int, rungs: Float, pairs: Int) -> Float:
    """Strips and ordered pairs (M, 2) -> (M, 5): area, first and last stretch of overlap along the first lane."""
    out = np.zeros((len(pairs), 5))
    work = np.zeros((4, 9, 2))
    for row in range(len(pairs)):
        a, b = pairs[row]
        run0, run1, count = 0.0, 0.0, 0
        for i in range(pointers[a], pointers[a + 1] - 1):
            low, high = np.inf, -np.inf
            for j in range(pointers[b], pointers[b + 1] - 1):
                if _apart(rungs, i, j):
                    continue
                area, s0, s1 = _segment_overlap(rungs, i, j, work)
                out[row, AREA] += area
                low, high = min(low, s0), max(high, s1)
            if high < low:
                continue
            if count == 0 or low > run1 + GAP_M:
                count += 1
                run0, run1 = low, high
            else:
                run0, run1 = min(run0, low), max(run1, high)
            if count == 1:
                out[row, FIRST0], out[row, FIRST1] = run0, run1
            out[row, LAST0], out[row, LAST1] = run0, run1
    return out
