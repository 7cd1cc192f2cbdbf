"""Areas of a net as scalar kernels: which lanes hold a point, and where vehicles may stand."""

from __future__ import annotations

import math

import numpy as np

from cordillera.kernels import kernel as allocating
from cordillera.types import Bool, Float, Int
from cordillera.world.kernel import inlined, inner, kernel
from cordillera.world.roads_net import GAP_CELL_M, GAP_STRIDE, Net, Table

REACH = 3  # segments before and behind in which the corners of a box are looked for first
SEAM_M = 0.05  # lanes that touch may leave slits of this half width: links join within 10 cm


@inner
def _edge_gap2(x: float, y: float, ax: float, ay: float, bx: float, by: float) -> float:
    dx, dy = bx - ax, by - ay
    norm2 = dx * dx + dy * dy
    t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / norm2)) if norm2 > 0.0 else 0.0
    gx, gy = x - ax - t * dx, y - ay - t * dy
    return gx * gx + gy * gy


@inner
def _in_segment(points: Table, i: int, x: float, y: float, slack: float) -> bool:
    """Segment, point -> whether it lies between the borders of the segment (even-odd) or within `slack` of them."""
    a, b = points[i], points[i + 1]
    if (
        x < min(min(a.left_x, b.left_x), min(a.right_x, b.right_x)) - slack
        or x > max(max(a.left_x, b.left_x), max(a.right_x, b.right_x)) + slack
        or y < min(min(a.left_y, b.left_y), min(a.right_y, b.right_y)) - slack
        or y > max(max(a.left_y, b.left_y), max(a.right_y, b.right_y)) + slack
    ):
        return False
    inside = _crosses(x, y, a.left_x, a.left_y, b.left_x, b.left_y)
    inside ^= _crosses(x, y, b.left_x, b.left_y, b.right_x, b.right_y)
    inside ^= _crosses(x, y, b.right_x, b.right_y, a.right_x, a.right_y)
    inside ^= _crosses(x, y, a.right_x, a.right_y, a.left_x, a.left_y)
    if inside or slack <= 0.0:
        return inside
    gap2 = _edge_gap2(x, y, a.left_x, a.left_y, b.left_x, b.left_y)
    gap2 = min(gap2, _edge_gap2(x, y, b.left_x, b.left_y, b.right_x, b.right_y))
    gap2 = min(gap2, _edge_gap2(x, y, b.right_x, b.right_y, a.right_x, a.right_y))
    gap2 = min(gap2, _edge_gap2(x, y, a.right_x, a.right_y, a.left_x, a.left_y))
    return gap2 <= slack * slack


@inner
def _crosses(x: float, y: float, ax: float, ay: float, bx: float, by: float) -> bool:
    """Point, edge -> whether a ray from the point towards +x crosses the edge."""
    return (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax)


@inner
def _cell_of(grid: Float, x: float, y: float) -> int:
    """Point -> its grid cell, -1 outside of the grid (also for NaN)."""
    i, j = (x - grid[0]) / grid[2], (y - grid[1]) / grid[2]
    if not (0.0 <= i < grid[3] and 0.0 <= j < grid[4]):
        return -1
    return int(j) * int(grid[3]) + int(i)


@inlined
def is_drivable(net: Net, x: float, y: float) -> bool:
    """Point -> whether vehicles may stand there: in a driving, bus, shoulder, parking or biking lane, or in a gap
    between lanes inside a junction. Slits where lanes touch are closed.
    """
    cell = _cell_of(net.grid, x, y)
    if cell < 0:
        return False
    for k in range(net.cell_ptr[cell], net.cell_ptr[cell + 1]):
        if _in_segment(net.points, net.cell_seg[k], x, y, SEAM_M):
            return True
    for k in range(net.rest_ptr[cell], net.rest_ptr[cell + 1]):
        segment = net.rest_seg[k]
        if net.lanes[net.points[segment].lane].drivable and _in_segment(net.points, segment, x, y, SEAM_M):
            return True
    return _in_gap(net.gaps, net.grid, x, y)


@inner
def _in_gap(gaps: Int, grid: Float, x: float, y: float) -> bool:
    column, row = int((x - grid[0]) / GAP_CELL_M), int((y - grid[1]) / GAP_CELL_M)
    key = row * GAP_STRIDE + column
    low, high = 0, len(gaps)
    while low < high:
        middle = (low + high) // 2
        if gaps[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < len(gaps) and gaps[low] == key


@inner
def _is_drivable_at(
    net: Net, x: float, y: float, yaw: float, length: float, width: float, right: int, left: int, low: int, high: int
) -> bool:  # fmt: skip
    """Box by centre, yaw, size -> whether its corners and the middles of its sides from `right` to `left` (-1 .. 1) are
    drivable; segments `low` to `high`, of driving lanes, are looked at first.
    """
    c, s = math.cos(yaw), math.sin(yaw)
    for i in range(-1, 2):
        for j in range(right, left + 1):
            if i == 0 and j == 0:
                continue
            dx, dy = 0.5 * i * length, 0.5 * j * width
            px, py, held = x + c * dx - s * dy, y + s * dx + c * dy, False
            for k in range(low, high + 1):
                held = held or _in_segment(net.points, k, px, py, 0.0)
            if not held and not is_drivable(net, px, py):
                return False
    return True


@kernel
def is_box_drivable(net: Net, x: float, y: float, yaw: float, length: float, width: float) -> bool:
    """Box by centre, yaw, size -> whether its corners and the middles of its sides are all drivable."""
    return _is_drivable_at(net, x, y, yaw, length, width, -1, 1, 0, -1)


@kernel
def is_box_drivable_near(
    net: Net, x: float, y: float, yaw: float, length: float, width: float, lane: int, segment: int
) -> bool:
    """As `is_box_drivable`, faster where a driving lane holds most of the box; `segment` is one of its near."""
    low, high = max(segment - REACH, net.pt_ptr[lane]), min(segment + REACH, net.pt_ptr[lane + 1] - 2)
    return _is_drivable_at(net, x, y, yaw, length, width, -1, 1, low, high)


@kernel
def is_side_drivable(net: Net, x: float, y: float, yaw: float, length: float, width: float, side: float) -> bool:
    """Box by centre, yaw, size; 1 (left) or -1 -> whether both corners and the middle of that side are drivable."""
    return _is_drivable_at(net, x, y, yaw, length, width, int(side), int(side), 0, -1)


@kernel
def lanes_holding(net: Net, x: float, y: float, out: Int) -> int:
    """Point -> how many lanes of any kind hold it; their indices stand in `out`, as far as it reaches."""
    cell = _cell_of(net.grid, x, y)
    count = 0
    if cell < 0:
        return 0
    routable = net.cell_ptr[cell + 1] - net.cell_ptr[cell]
    previous = -1
    for k in range(routable + net.rest_ptr[cell + 1] - net.rest_ptr[cell]):
        if k < routable:
            segment = int(net.cell_seg[net.cell_ptr[cell] + k])
        else:
            segment = int(net.rest_seg[net.rest_ptr[cell] + k - routable])
        lane = net.points[segment].lane  # segments ascend, so those of a lane are neighbours
        if lane != previous and count < len(out) and _in_segment(net.points, segment, x, y, 0.0):
            out[count] = lane
            count += 1
            previous = lane
    return count


@allocating
def drivable_all(net: Net, xy: Float) -> Bool:
    """Points (N, 2) -> mask (N,) of those that are drivable."""
    out = np.empty(len(xy), dtype=np.bool_)
    for k in range(len(xy)):
        out[k] = is_drivable(net, xy[k, 0], xy[k, 1])
    return out
