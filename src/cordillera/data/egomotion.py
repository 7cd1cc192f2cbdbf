"""States at 10 Hz <-> the layout's egomotion: poses, velocities, accelerations, curvature at 100 Hz in a local frame.

The local frame has its origin at the rig's first pose: its x axis along the first heading, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cordillera.data.layout import MOTION_HZ
from cordillera.geometry import (
    invert,
    quat_conjugate,
    quat_from_yaw,
    quat_multiply,
    quat_of,
    rotate,
    transform_of,
    transform_points,
    wrap_angle,
    yaw_of,
)
from cordillera.types import EgoState, Float, Int

STEP_US = 1_000_000 // MOTION_HZ
COLUMNS = ("qx", "qy", "qz", "qw", "x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "curvature")


@dataclass(frozen=True, eq=False)
class Motion:
    """The rig's motion over a clip in the clip's local world frame."""

    t_us: Int  # (N,) from the start of the clip
    xyz: Float  # (N, 3)
    quat_xyzw: Float  # (N, 4)
    velocity_mps: Float  # (N, 3) local world
    accel_mps2: Float  # (N, 3) local world
    curvature_1pm: Float  # (N,)


def local_frame(first: EgoState) -> Float:
    """The first state of a clip -> tf_local_world (4, 4): origin at its rear axle, turned by its yaw alone."""
    return invert(transform_of(first.xyz, quat_from_yaw(yaw_of(first.quat_xyzw))))


def motion_of(states: Sequence[EgoState]) -> Motion:
    """Ego states in the world, in order -> their motion every 10 ms from the first to the last.

    Positions and headings follow cubic Hermite curves through the states with the states' own velocities and yaw
    rates, so that what lies between them is as smooth as what was driven; roll and pitch are blended linearly.
    """
    tf = local_frame(states[0])
    turn = quat_of(tf[:3, :3])
    t = np.array([s.t_us for s in states], dtype=np.float64) - states[0].t_us
    due = np.arange(0, int(t[-1]) + 1, STEP_US)
    xyz = transform_points(tf, np.stack([s.xyz for s in states]))
    quat = quat_multiply(turn, np.stack([s.quat_xyzw for s in states]))
    velocity = rotate(quat, np.stack([s.velocity_mps for s in states]))
    rate = np.array([s.yaw_rate_radps for s in states])
    yaw = np.unwrap(yaw_of(quat))
    position, heading = _hermite(t, xyz, velocity, due), _hermite(t, yaw[:, None], rate[:, None], due)[:, 0]
    tilt = quat_multiply(quat_conjugate(quat_from_yaw(yaw)), quat)
    tilt = _linear(t, _one_sided(tilt), due)
    tilt /= np.linalg.norm(tilt, axis=-1, keepdims=True)
    along = np.array([s.accel_mps2 for s in states])
    side = np.array([s.speed_mps for s in states]) * rate
    accel = rotate(quat, np.stack([along, side, 0.0 * side], axis=-1))
    curvature = np.array([s.curvature_1pm for s in states])
    return Motion(
        due,
        position,
        quat_multiply(quat_from_yaw(heading), tilt),
        _linear(t, velocity, due),
        _linear(t, accel, due),
        _linear(t, curvature[:, None], due)[:, 0],
    )


def to_columns(motion: Motion) -> dict[str, Any]:
    """Motion -> the columns of the egomotion table."""
    values = np.column_stack(
        [motion.quat_xyzw, motion.xyz, motion.velocity_mps, motion.accel_mps2, motion.curvature_1pm]
    )
    return {"timestamp": motion.t_us.astype(np.int64), **{name: values[:, k] for k, name in enumerate(COLUMNS)}}


def from_columns(columns: dict[str, Any], source: str) -> Motion:
    """Columns of an egomotion table -> motion; ValueError names the table and what is wrong in it."""
    missing = [name for name in ("timestamp", *COLUMNS) if name not in columns]
    if missing:
        raise ValueError(f"{source}: egomotion lacks the columns {missing}")
    values = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in COLUMNS])
    t_us = np.asarray(columns["timestamp"], dtype=np.int64)
    if len(t_us) < 2 or (np.diff(t_us) <= 0).any():
        raise ValueError(f"{source}: egomotion needs two rows or more with strictly increasing timestamps")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{source}: egomotion row {row} has no finite {COLUMNS[column]}")
    quat = values[:, :4] / np.linalg.norm(values[:, :4], axis=-1, keepdims=True)
    return Motion(t_us, values[:, 4:7], quat, values[:, 7:10], values[:, 10:13], values[:, 13])


def poses_at(motion: Motion, t_us: ArrayLike) -> tuple[Float, Float]:
    """Motion and times (M,) -> positions (M, 3) and quaternions (M, 4), linear and by the shorter way round.

    Raises ValueError for times outside the motion.
    """
    due = np.asarray(t_us, dtype=np.float64)
    if due.min() < motion.t_us[0] or due.max() > motion.t_us[-1]:
        raise ValueError(
            f"poses are known from {motion.t_us[0]} to {motion.t_us[-1]} us, asked for {due.min():g} to {due.max():g}"
        )
    t = motion.t_us.astype(np.float64)
    quat = _linear(t, _one_sided(motion.quat_xyzw), due)
    return _linear(t, motion.xyz, due), quat / np.linalg.norm(quat, axis=-1, keepdims=True)


def state_at(motion: Motion, t_us: int) -> EgoState:
    """Motion and a time -> the ego state then, in the clip's local world frame."""
    xyz, quat = poses_at(motion, [t_us])
    t = motion.t_us.astype(np.float64)
    velocity = rotate(quat_conjugate(quat[0]), _linear(t, motion.velocity_mps, np.array([t_us]))[0])
    accel = rotate(quat_conjugate(quat[0]), _linear(t, motion.accel_mps2, np.array([t_us]))[0])
    curvature = float(np.interp(t_us, t, motion.curvature_1pm))
    low, high = max(t_us - STEP_US, int(t[0])), min(t_us + STEP_US, int(t[-1]))
    _, turned = poses_at(motion, [low, high])
    rate = float(wrap_angle(yaw_of(turned[1]) - yaw_of(turned[0]))) / ((high - low) * 1e-6)
    return EgoState(t_us, xyz[0], quat[0], velocity, float(accel[0]), curvature, rate)


def _one_sided(quat: Float) -> Float:
    """Quaternions (N, 4) -> the same rotations, neighbours of one sign: a blend of q and -q would cut through zero."""
    dots = np.einsum("ij,ij->i", quat[1:], quat[:-1])
    signs = np.cumprod(np.append(1.0, np.where(dots < 0.0, -1.0, 1.0)))
    return quat * signs[:, None]


def _linear(t: Float, values: Float, due: Float | Int) -> Float:
    """Columns (N, D) at times (N,) -> the same at others (M, D)."""
    return np.stack([np.interp(due, t, column) for column in values.T], axis=-1)


def _hermite(t: Float, values: Float, rates: Float, due: Int) -> Float:
    """Values (N, D) and their rates of change per second at times (N,) in us -> the cubic through them (M, D)."""
    if len(t) == 1:
        return np.repeat(values, len(due), axis=0)
    k = np.clip(np.searchsorted(t, due, side="right") - 1, 0, len(t) - 2)
    span = (t[k + 1] - t[k])[:, None]
    u, scale = (due[:, None] - t[k][:, None]) / span, span * 1e-6
    a, b = values[k], values[k + 1]
    return (
        (1.0 + 2.0 * u) * (1.0 - u) ** 2 * a
        + u * (1.0 - u) ** 2 * scale * rates[k]
        + u**2 * (3.0 - 2.0 * u) * b
        + u**2 * (u - 1.0) * scale * rates[k + 1]
    )
