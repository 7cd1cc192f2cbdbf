"""Road queries as scalar kernels on a net: a point along a lane, Frenet projection, nearest lane.

A lane's frame follows its centre line with a heading that turns evenly between the points' tangents, so (s, lateral)
is continuous, and `lane_project` inverts `lane_offset_point` wherever the lateral offset stays inside the radius of
the curve. Beyond a lane's ends s is clamped and the lateral offset is measured from the end's tangent.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.kernels import kernel as allocating
from cordillera.types import Float, Int
from cordillera.world.kernel import inner, kernel
from cordillera.world.roads_net import Net, Table

CURVATURE_REACH_M = 2.0
LATERAL_WEIGHT = 0.1  # m a metre off the centre line, inside the lane
HEADING_WEIGHT_M = 3.0
AGAINST_M = 3.0  # further cost of a lane that runs the other way
LEVEL_FREE_M, LEVEL_WEIGHT = 1.0, 3.0


# ---------------------------------------------------------------- along a lane


@inner
def segment_at(net: Net, lane: int, s: float) -> tuple[int, float]:
    """Lane, arc length -> index of the segment that holds it, and the fraction of it (0..1)."""
    low, high = net.pt_ptr[lane], net.pt_ptr[lane + 1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if net.points[middle].s <= s:
            low = middle
        else:
            high = middle
    length = net.points[low + 1].s - net.points[low].s
    t = (s - net.points[low].s) / length if length > 0.0 else 0.0
    return low, min(1.0, max(0.0, t))


@inner
def _direction(points: Table, i: int, t: float) -> tuple[float, float]:
    """Segment and fraction -> unit direction of travel."""
    tx = (1.0 - t) * points[i].along_x + t * points[i + 1].along_x
    ty = (1.0 - t) * points[i].along_y + t * points[i + 1].along_y
    norm = math.sqrt(tx * tx + ty * ty)
    if norm < 1e-9:  # a lane that turns back on the spot
        return points[i].along_x, points[i].along_y
    return tx / norm, ty / norm


@kernel
def lane_offset_point(net: Net, lane: int, s: float, lateral: float) -> tuple[float, float, float, float]:
    """Lane, arc length (clamped), offset to the left in m -> x, y, z, yaw; the inverse of `lane_project`."""
    i, t = segment_at(net, lane, s)
    tx, ty = _direction(net.points, i, t)
    x = net.points[i].x + t * (net.points[i + 1].x - net.points[i].x) - lateral * ty
    y = net.points[i].y + t * (net.points[i + 1].y - net.points[i].y) + lateral * tx
    z = net.points[i].z + t * (net.points[i + 1].z - net.points[i].z)
    return x, y, z, math.atan2(ty, tx)


@kernel
def lane_point(net: Net, lane: int, s: float) -> tuple[float, float, float, float]:
    """Lane, arc length (clamped) -> x, y, z, yaw of its centre line."""
    return lane_offset_point(net, lane, s, 0.0)


@kernel
def lane_width(net: Net, lane: int, s: float) -> tuple[float, float]:
    """Lane, arc length (clamped) -> metres from the centre line to the left and to the right border."""
    i, t = segment_at(net, lane, s)
    left = (1.0 - t) * net.points[i].half_left + t * net.points[i + 1].half_left
    return left, (1.0 - t) * net.points[i].half_right + t * net.points[i + 1].half_right


@kernel
def lane_curvature(net: Net, lane: int, s: float) -> float:
    """Lane, arc length (clamped) -> curvature in 1/m, left positive: the turn over 4 m around it, less at the ends."""
    s = min(net.lanes[lane].length, max(0.0, s))
    s0, s1 = max(0.0, s - CURVATURE_REACH_M), min(net.lanes[lane].length, s + CURVATURE_REACH_M)
    if s1 - s0 < 1e-6:
        return 0.0
    i, t = segment_at(net, lane, s0)
    ax, ay = _direction(net.points, i, t)
    j, u = segment_at(net, lane, s1)
    bx, by = _direction(net.points, j, u)
    return math.atan2(ax * by - ay * bx, ax * bx + ay * by) / (s1 - s0)


@kernel
def speed_limit_at(net: Net, lane: int, s: float) -> float:
    """Lane, arc length -> speed limit there in m/s."""
    row = net.limit_ptr[lane]
    while row + 1 < net.limit_ptr[lane + 1] and net.limits[row + 1].s <= s:
        row += 1
    return net.limits[row].mps


# ------------------------------------------------------------------ projection


@inner
def _project_on(points: Table, first: int, last: int, i: int, x: float, y: float) -> tuple[float, float]:
    """First and last segment of a lane, one near the foot, point -> s, lateral.

    Solves (p - c(t)) . direction(t) = 0, a quadratic in the fraction t.
    """
    came, t = 0, 0.0
    for _ in range(last - first + 2):
        qx, qy = x - points[i].x, y - points[i].y
        ax, ay, bx, by = points[i].along_x, points[i].along_y, points[i + 1].along_x, points[i + 1].along_y
        dx, dy = points[i + 1].x - points[i].x, points[i + 1].y - points[i].y
        before = qx * ax + qy * ay
        after = (qx - dx) * bx + (qy - dy) * by
        if before < 0.0:
            t = 0.0
            if i == first or came > 0:
                break
            came = -1
            i -= 1
        elif after > 0.0:
            t = 1.0
            if i == last or came < 0:
                break
            came = 1
            i += 1
        else:
            a = -(dx * (bx - ax) + dy * (by - ay))
            b = qx * (bx - ax) + qy * (by - ay) - (dx * ax + dy * ay)
            root = -b + math.sqrt(max(0.0, b * b - 4.0 * a * before))
            t = min(1.0, max(0.0, 2.0 * before / root)) if root > 1e-15 else 0.0
            break
    tx, ty = _direction(points, i, t)
    qx = x - points[i].x - t * (points[i + 1].x - points[i].x)
    qy = y - points[i].y - t * (points[i + 1].y - points[i].y)
    return points[i].s + t * (points[i + 1].s - points[i].s), tx * qy - ty * qx


@inner
def _segment_fraction(points: Table, i: int, x: float, y: float) -> tuple[float, float, float]:
    """Segment, point -> fraction of the nearest point on it (clamped), and the gap from there to the point."""
    dx, dy = points[i + 1].x - points[i].x, points[i + 1].y - points[i].y
    qx, qy = x - points[i].x, y - points[i].y
    norm2 = dx * dx + dy * dy
    t = min(1.0, max(0.0, (qx * dx + qy * dy) / norm2)) if norm2 > 0.0 else 0.0
    return t, qx - t * dx, qy - t * dy


@kernel
def lane_project(net: Net, lane: int, x: float, y: float) -> tuple[float, float]:
    """Lane, point -> arc length of its foot on the centre line (nearest one, clamped), offset to the left."""
    best, nearest = net.pt_ptr[lane], np.inf
    for i in range(net.pt_ptr[lane], net.pt_ptr[lane + 1] - 1):
        _, gx, gy = _segment_fraction(net.points, i, x, y)
        gap = gx * gx + gy * gy
        if gap < nearest:
            best, nearest = i, gap
    return _project_on(net.points, net.pt_ptr[lane], net.pt_ptr[lane + 1] - 2, best, x, y)


@kernel
def lane_project_near(net: Net, lane: int, x: float, y: float, s_hint: float) -> tuple[float, float]:
    """As `lane_project`, but searched from `s_hint` downhill: for what moves little between two calls."""
    i, _ = segment_at(net, lane, s_hint)
    return _project_on(net.points, net.pt_ptr[lane], net.pt_ptr[lane + 1] - 2, i, x, y)


# ---------------------------------------------------------------- nearest lane


@kernel
def _segment_cost(
    points: Table, i: int, bidirectional: int, x: float, y: float, z: float,
    cos_yaw: float, sin_yaw: float, use_yaw: bool, worst: float,
) -> tuple[float, float]:  # fmt: skip
    """Segment, pose (z NaN: any level) -> cost in m of taking its lane (inf if above `worst`), distance to its line."""
    t, gx, gy = _segment_fraction(points, i, x, y)
    distance = math.sqrt(gx * gx + gy * gy)
    a, b = points[i], points[i + 1]
    if distance - max(max(a.half_left, b.half_left), max(a.half_right, b.half_right)) > worst:
        return np.inf, distance
    tx, ty = _direction(points, i, t)
    lateral, ahead = tx * gy - ty * gx, tx * gx + ty * gy
    if 0.0 < t < 1.0:  # between its ends the gap stands square to the segment, if not to the direction at t
        lateral, ahead = math.copysign(distance, lateral), 0.0
    half = (1.0 - t) * a.half_left + t * b.half_left if lateral > 0.0 else (1.0 - t) * a.half_right + t * b.half_right
    beyond = max(0.0, abs(lateral) - half)
    cost = math.sqrt(beyond * beyond + ahead * ahead) + LATERAL_WEIGHT * abs(lateral)
    if use_yaw:
        alignment = tx * cos_yaw + ty * sin_yaw
        if bidirectional == 1:
            alignment = abs(alignment)
        cost += HEADING_WEIGHT_M * (1.0 - alignment)
        if alignment < 0.0:
            cost += AGAINST_M
    if not math.isnan(z):
        cost += LEVEL_WEIGHT * max(0.0, abs(z - a.z - t * (b.z - a.z)) - LEVEL_FREE_M)
    return cost, distance


@kernel
def find_lane(
    net: Net, x: float, y: float, z: float, yaw: float, use_yaw: bool, max_distance: float
) -> tuple[int, float, float, float]:
    """Pose (z NaN: any level) -> routable lane or -1, s, lateral, distance to its centre line (<= max_distance).

    Costs are metres outside the lane, a little for being off its centre, and a penalty for the heading which keeps
    every lane that runs against it behind each one that holds the point and runs along. Cells are searched in
    square rings until no further one can hold a cheaper lane. Equal costs go to the lower lane index.
    """
    if not (math.isfinite(x) and math.isfinite(y)):
        return -1, 0.0, 0.0, np.inf
    points, lanes = net.points, net.lanes
    cell, columns, lines = net.grid[2], int(net.grid[3]), int(net.grid[4])
    ci, cj = math.floor((x - net.grid[0]) / cell), math.floor((y - net.grid[1]) / cell)
    cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
    # distance from the point to the nearest side of its own cell: what ring 0 has surely covered
    fx, fy = (x - net.grid[0]) / cell - ci, (y - net.grid[1]) / cell - cj
    margin = cell * min(min(fx, 1.0 - fx), min(fy, 1.0 - fy))
    best, best_lane, best_cost, best_distance = -1, -1, np.inf, np.inf
    for ring in range(int(max_distance / cell) + 2):
        for j in range(max(0, cj - ring), min(lines - 1, cj + ring) + 1):
            edge = j == cj - ring or j == cj + ring
            stride = 1 if edge or ring == 0 else 2 * ring
            for i in range(ci - ring, ci + ring + 1, stride):
                if i < 0 or i >= columns:
                    continue
                row = j * columns + i
                for k in range(net.cell_ptr[row], net.cell_ptr[row + 1]):
                    segment = net.cell_seg[k]
                    lane = points[segment].lane
                    cost, distance = _segment_cost(
                        points, segment, lanes[lane].bidirectional, x, y, z, cos_yaw, sin_yaw, use_yaw, best_cost
                    )
                    if distance <= max_distance and (cost < best_cost or (cost == best_cost and lane < best_lane)):
                        best, best_lane, best_cost, best_distance = segment, lane, cost, distance
        if best_cost <= margin + ring * cell:
            break
    if best < 0:
        return -1, 0.0, 0.0, np.inf
    s, lateral = _project_on(points, net.pt_ptr[best_lane], net.pt_ptr[best_lane + 1] - 2, best, x, y)
    return best_lane, s, lateral, best_distance


@inner
def nearest_lane(net: Net, x: float, y: float, yaw: float, use_yaw: bool) -> tuple[int, float, float]:
    """Pose -> routable lane within 10 m (-1: none), s, lateral; the heading counts if `use_yaw`."""
    lane, s, lateral, _ = find_lane(net, x, y, np.nan, yaw, use_yaw, 10.0)
    return lane, s, lateral


# --------------------------------------------------------------- many at once


@allocating
def nearest_lanes(net: Net, xyz: Float, yaw: Float, use_yaw: bool, max_distance: float) -> tuple[Int, Float]:
    """Points (N, 3) (z NaN: any level), headings (N,) -> lane (N,) or -1; s, lateral, distance (N, 3)."""
    lane, frame = np.empty(len(xyz), dtype=np.int64), np.empty((len(xyz), 3))
    for k in range(len(xyz)):
        lane[k], frame[k, 0], frame[k, 1], frame[k, 2] = find_lane(
            net, xyz[k, 0], xyz[k, 1], xyz[k, 2], yaw[k], use_yaw, max_distance
        )
    return lane, frame


@allocating
def project_all(net: Net, lane: Int, xy: Float) -> Float:
    """Lanes (N,), points (N, 2) -> s, lateral (N, 2)."""
    out = np.empty((len(xy), 2))
    for k in range(len(xy)):
        out[k, 0], out[k, 1] = lane_project(net, lane[k], xy[k, 0], xy[k, 1])
    return out


@allocating
def points_along(net: Net, lane: Int, s: Float, lateral: Float) -> Float:
    """Lanes, arc lengths, offsets to the left (N,) -> x, y, z, yaw (N, 4)."""
    out = np.empty((len(s), 4))
    for k in range(len(s)):
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = lane_offset_point(net, lane[k], s[k], lateral[k])
    return out
