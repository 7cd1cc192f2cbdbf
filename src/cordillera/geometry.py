"""Rigid transforms, angles, polylines and boxes: arrays in, arrays out.

Quaternions are (x, y, z, w). Functions accept any leading batch shape unless they say otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from cordillera.kernels import kernel
from cordillera.types import Bool, Float, Int, Trajectory

# ------------------------------------------------------------------- rotations


def wrap_angle(angle_rad: ArrayLike) -> Float:
    """Angles in radians -> the same directions in [-pi, pi)."""
    wrapped = (np.asarray(angle_rad, dtype=np.float64) + np.pi) % (2.0 * np.pi) - np.pi
    return np.where(wrapped >= np.pi, -np.pi, wrapped)  # rounding may reach the open end


def quat_from_yaw(yaw_rad: ArrayLike) -> Float:
    """Yaw (...,) -> quaternions (..., 4) that turn about +z."""
    half = 0.5 * np.asarray(yaw_rad, dtype=np.float64)
    zero = np.zeros_like(half)
    return np.stack([zero, zero, np.sin(half), np.cos(half)], axis=-1)


def quat_from_euler(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Float:
    """Roll, pitch, yaw (about x, then y, then z of the fixed frame) -> quaternion (4,)."""
    cr, sr = math.cos(0.5 * roll_rad), math.sin(0.5 * roll_rad)
    cp, sp = math.cos(0.5 * pitch_rad), math.sin(0.5 * pitch_rad)
    cy, sy = math.cos(0.5 * yaw_rad), math.sin(0.5 * yaw_rad)
    return np.array(
        [
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ]
    )


def yaw_of(quat_xyzw: ArrayLike) -> Float:
    """Quaternions (..., 4) -> the heading of their x axis in the xy plane (...,)."""
    x, y, z, w = np.moveaxis(np.asarray(quat_xyzw, dtype=np.float64), -1, 0)
    return np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def rotation_of(quat_xyzw: ArrayLike) -> Float:
    """Unit quaternions (..., 4) -> rotation matrices (..., 3, 3)."""
    x, y, z, w = np.moveaxis(np.asarray(quat_xyzw, dtype=np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quat_of(rotation: ArrayLike) -> Float:
    """Rotation matrices (..., 3, 3) -> unit quaternions (..., 4) with w >= 0.

    The eigenvector of Bar-Itzhack (2000), stable for every angle.
    """
    m = np.asarray(rotation, dtype=np.float64)
    k = np.empty((*m.shape[:-2], 4, 4))
    k[..., 0, 0] = m[..., 0, 0] - m[..., 1, 1] - m[..., 2, 2]
    k[..., 1, 1] = m[..., 1, 1] - m[..., 0, 0] - m[..., 2, 2]
    k[..., 2, 2] = m[..., 2, 2] - m[..., 0, 0] - m[..., 1, 1]
    k[..., 3, 3] = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    k[..., 0, 1] = k[..., 1, 0] = m[..., 0, 1] + m[..., 1, 0]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 0, 2] + m[..., 2, 0]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 1, 2] + m[..., 2, 1]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 1, 0] - m[..., 0, 1]
    quat = np.linalg.eigh(k)[1][..., :, -1]
    return quat * np.where(quat[..., 3:] < 0.0, -1.0, 1.0)


def quat_multiply(a_xyzw: ArrayLike, b_xyzw: ArrayLike) -> Float:
    """Hamilton product of quaternions (..., 4): rotate by b, then by a."""
    ax, ay, az, aw = np.moveaxis(np.asarray(a_xyzw, dtype=np.float64), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(b_xyzw, dtype=np.float64), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def quat_conjugate(quat_xyzw: ArrayLike) -> Float:
    """Unit quaternions (..., 4) -> their inverses."""
    return np.asarray(quat_xyzw, dtype=np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])


def rotate(quat_xyzw: ArrayLike, xyz: ArrayLike) -> Float:
    """Turn points (..., 3) by quaternions (..., 4); shapes broadcast."""
    return np.einsum("...ij,...j->...i", rotation_of(quat_xyzw), np.asarray(xyz, dtype=np.float64))


# ------------------------------------------------------------ rigid transforms


def transform_of(xyz: ArrayLike, quat_xyzw: ArrayLike) -> Float:
    """Poses (..., 3) and (..., 4) -> homogeneous matrices (..., 4, 4)."""
    xyz = np.asarray(xyz, dtype=np.float64)
    tf = np.zeros((*xyz.shape[:-1], 4, 4))
    tf[..., :3, :3] = rotation_of(quat_xyzw)
    tf[..., :3, 3] = xyz
    tf[..., 3, 3] = 1.0
    return tf


def invert(tf: ArrayLike) -> Float:
    """Rigid matrices (..., 4, 4) -> their inverses."""
    tf = np.asarray(tf, dtype=np.float64)
    out = np.zeros_like(tf)
    rotation_t = np.swapaxes(tf[..., :3, :3], -1, -2)
    out[..., :3, :3] = rotation_t
    out[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation_t, tf[..., :3, 3])
    out[..., 3, 3] = 1.0
    return out


def transform_points(tf: Float, xyz: ArrayLike) -> Float:
    """One matrix (4, 4) and points (..., 3) -> the moved points."""
    return np.asarray(xyz, dtype=np.float64) @ tf[:3, :3].T + tf[:3, 3]


def move_trajectory(tf_to_from: Float, trajectory: Trajectory, frame: str) -> Trajectory:
    """Express a trajectory in another frame, whose name goes into the result."""
    quat = quat_multiply(quat_of(tf_to_from[:3, :3]), trajectory.quat_xyzw)
    return Trajectory(trajectory.t_us, transform_points(tf_to_from, trajectory.xyz), quat, frame)


# ------------------------------------------------------------------- polylines


def arc_length(points: Float) -> Float:
    """Polyline (N, D) -> the length along it at each point (N,), starting at 0."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def interpolate(points: Float, s_m: ArrayLike) -> Float:
    """Polyline (N, D) and arc lengths (M,) -> points (M, D); clamped to the ends."""
    along = arc_length(points)
    s = np.asarray(s_m, dtype=np.float64)
    return np.stack([np.interp(s, along, points[:, d]) for d in range(points.shape[1])], axis=-1)


def resample(points: Float, spacing_m: float) -> Float:
    """Polyline (N, D) -> points (M, D) at equal distances of at most `spacing_m`, both ends kept."""
    length = float(arc_length(points)[-1])
    count = max(2, math.ceil(length / spacing_m - 1e-9) + 1)
    return interpolate(points, np.linspace(0.0, length, count))


def simplify(points: Float, tolerance_m: float) -> Int:
    """Polyline (N, D) -> the indices (M,) to keep so that no point is farther than the tolerance (Douglas-Peucker)."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    stack = [(0, len(points) - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        offset = points[first + 1 : last] - points[first]
        chord = points[last] - points[first]
        norm2 = float(chord @ chord)
        along = np.clip(offset @ chord / norm2, 0.0, 1.0) if norm2 > 0.0 else np.zeros(len(offset))
        error = np.linalg.norm(offset - along[:, None] * chord, axis=-1)
        worst = int(np.argmax(error))
        if error[worst] > tolerance_m:
            middle = first + 1 + worst
            keep[middle] = True
            stack += [(first, middle), (middle, last)]
    return np.flatnonzero(keep)


def project_to_polyline(points: Float, x: float, y: float) -> tuple[float, float, int]:
    """Polyline (N, 2 or 3) and a point -> arc length in xy, signed lateral offset (left positive), segment index.

    The nearest segment that has a length wins; beyond the ends the offset is measured from the end segment's line.
    """
    start, step = points[:-1, :2], np.diff(points[:, :2], axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    norm2 = np.maximum(length * length, 1e-18)
    offset = np.array([x, y]) - start
    along = np.clip(np.einsum("ij,ij->i", offset, step) / norm2, 0.0, 1.0)
    gap = offset - along[:, None] * step
    best = int(np.argmin(np.where(length > 0.0, np.einsum("ij,ij->i", gap, gap), np.inf)))
    cross = step[best, 0] * offset[best, 1] - step[best, 1] * offset[best, 0]
    s = float(length[:best].sum() + along[best] * length[best])
    return s, float(cross / max(length[best], 1e-9)), best


# ----------------------------------------------------------------------- boxes


def box_corners(x: float, y: float, yaw_rad: float, length_m: float, width_m: float) -> Float:
    """An oriented box by its centre -> corners (4, 2): front left, rear left, rear right, front right."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    dx = 0.5 * length_m * np.array([1.0, -1.0, -1.0, 1.0])
    dy = 0.5 * width_m * np.array([1.0, 1.0, -1.0, -1.0])
    return np.stack([x + c * dx - s * dy, y + s * dx + c * dy], axis=-1)


@kernel
def boxes_overlap(
    ax: float, ay: float, a_yaw: float, a_length: float, a_width: float,
    bx: float, by: float, b_yaw: float, b_length: float, b_width: float,
) -> bool:  # fmt: skip
    """Two oriented boxes (centre, yaw, length, width) -> whether they share a point (separating axes)."""
    dx, dy = bx - ax, by - ay
    ca, sa, cb, sb = math.cos(a_yaw), math.sin(a_yaw), math.cos(b_yaw), math.sin(b_yaw)
    c, s = abs(ca * cb + sa * sb), abs(ca * sb - sa * cb)
    hal, haw, hbl, hbw = 0.5 * a_length, 0.5 * a_width, 0.5 * b_length, 0.5 * b_width
    return (
        abs(dx * ca + dy * sa) <= hal + hbl * c + hbw * s
        and abs(-dx * sa + dy * ca) <= haw + hbl * s + hbw * c
        and abs(dx * cb + dy * sb) <= hbl + hal * c + haw * s
        and abs(-dx * sb + dy * cb) <= hbw + hal * s + haw * c
    )


def points_in_polygon(xy: Float, outline_xy: Float) -> Bool:
    """Points (N, 2) and a closed outline (M, 2) -> mask (N,), by the even-odd rule."""
    x, y = xy[:, 0:1], xy[:, 1:2]
    ax, ay = outline_xy[:, 0], outline_xy[:, 1]
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    straddles = (ay > y) != (by > y)
    rise = np.where(by == ay, 1.0, by - ay)
    crosses = straddles & (x < ax + (y - ay) / rise * (bx - ax))
    return crosses.sum(axis=1) % 2 == 1
