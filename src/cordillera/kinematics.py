"""The unicycle driven by (acceleration, curvature): actions -> poses, and poses -> actions.

The model of the whole stack: speed changes by the acceleration, heading by speed times curvature, and the rear
axle moves along the heading. Both actions are constant within a step, so every step is an exact circular arc.
Actions are (acceleration in m/s2, curvature in 1/m, positive to the left). A car that brakes stops and stays; it does
not reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cordillera.kernels import kernel
from cordillera.types import Float, Trajectory

# --------------------------------------------------------------------- forward


@kernel
def advance(
    x: float, y: float, yaw: float, speed: float, accel: float, curvature: float, dt: float
) -> tuple[float, float, float, float]:
    """Pose (m, m, rad), forward speed (m/s), constant action, time (s) -> x, y, yaw, speed after it, exactly.

    Where braking would carry the speed below zero, the car stands from that moment on. Yaw is not wrapped.
    """
    moving = dt
    end_speed = speed + accel * dt
    if speed >= 0.0 and end_speed < 0.0:
        moving = speed / -accel
        end_speed = 0.0
    distance = 0.5 * (speed + end_speed) * moving
    half = 0.5 * distance * curvature
    # chord of an arc: length times sin(h)/h with h half the turn, along the mean heading
    chord = distance * (1.0 - half * half / 6.0 if abs(half) < 1e-4 else math.sin(half) / half)
    mean_yaw = yaw + half
    return x + chord * math.cos(mean_yaw), y + chord * math.sin(mean_yaw), yaw + 2.0 * half, end_speed


@kernel
def _roll(actions: Float, speed: Float, dt: float) -> Float:
    """Actions (B, N, 2), first speeds (B,) -> (B, N, 4) x, y, yaw, speed after each action."""
    out = np.empty((actions.shape[0], actions.shape[1], 4))
    for b in range(actions.shape[0]):
        x, y, yaw, v = 0.0, 0.0, 0.0, speed[b]
        for i in range(actions.shape[1]):
            x, y, yaw, v = advance(x, y, yaw, v, actions[b, i, 0], actions[b, i, 1], dt)
            out[b, i, 0], out[b, i, 1], out[b, i, 2], out[b, i, 3] = x, y, yaw, v
    return out


def roll(actions: ArrayLike, speed_mps: ArrayLike, dt_s: float = 0.1) -> tuple[Float, Float, Float]:
    """Actions (..., N, 2) and the speed before them (...) -> xy_rig (..., N, 2), yaw (..., N), speed (..., N).

    The start is the origin of the rig frame; row i is the state after action i.
    """
    actions = np.asarray(actions, dtype=np.float64)
    batch, count = actions.shape[:-2], actions.shape[-2]
    speed = np.broadcast_to(np.asarray(speed_mps, dtype=np.float64), batch)
    flat = _roll(np.ascontiguousarray(actions.reshape(-1, count, 2)), np.ascontiguousarray(speed.reshape(-1)), dt_s)
    out = flat.reshape(*batch, count, 4)
    return out[..., :2], out[..., 2], out[..., 3]


def roll_plan(actions: ArrayLike, speed_mps: float, t_us: int, dt_s: float = 0.1) -> Trajectory:
    """Actions (N, 2), speed and time now -> the plan of N poses at t+dt, t+2dt, ... in the rig frame of now."""
    xy, yaw, _ = roll(actions, speed_mps, dt_s)
    return plan_of(xy, yaw, t_us, dt_s)


def plan_of(xy_rig: Float, yaw_rad: Float, t_us: int, dt_s: float = 0.1) -> Trajectory:
    """Positions (N, 2) and headings (N,) in the rig frame of `t_us` -> a trajectory stamped t+dt, t+2dt, ..."""
    stamps = t_us + np.round(np.arange(1, len(yaw_rad) + 1) * dt_s * 1e6).astype(np.int64)
    still = np.zeros(len(yaw_rad))
    quat = np.stack([still, still, np.sin(0.5 * yaw_rad), np.cos(0.5 * yaw_rad)], axis=-1)
    return Trajectory(stamps, np.concatenate([xy_rig, still[:, None]], axis=1), quat, "rig")


# --------------------------------------------------------------------- inverse


def arcs_of(xy: Float, yaw_rad: Float) -> tuple[Float, Float]:
    """Poses (..., N, 2) and (..., N) -> the N - 1 arcs between them: signed length (m) and turn (rad).

    The length is that of the circular arc whose chord, seen along the mean heading, is the displacement; what lies
    across the mean heading (slip, noise) does not count.
    """
    turn = (np.diff(yaw_rad, axis=-1) + np.pi) % (2.0 * np.pi) - np.pi
    mean_yaw = yaw_rad[..., :-1] + 0.5 * turn
    step = np.diff(xy, axis=-2)
    forward = step[..., 0] * np.cos(mean_yaw) + step[..., 1] * np.sin(mean_yaw)
    return forward / np.sinc(0.5 * turn / np.pi), turn


def _from_origin(xy_rig: ArrayLike, yaw_rad: ArrayLike) -> tuple[Float, Float]:
    """Poses after each step -> the arcs from the rig origin through them, (..., N) lengths and turns."""
    xy, yaw = np.asarray(xy_rig, dtype=np.float64), np.asarray(yaw_rad, dtype=np.float64)
    xy = np.concatenate([np.zeros_like(xy[..., :1, :]), xy], axis=-2)
    yaw = np.concatenate([np.zeros_like(yaw[..., :1]), yaw], axis=-1)
    return arcs_of(xy, yaw)


def exact_actions(xy_rig: ArrayLike, yaw_rad: ArrayLike, speed_mps: ArrayLike, dt_s: float = 0.1) -> Float:
    """Poses after each step (..., N, 2), (..., N) and the speed at the origin (...) -> the actions (..., N, 2).

    The inverse of `roll`, exact for poses that `roll` can make, stops included; a standing car has curvature 0. On
    measured poses it alternates between too fast and too slow, as any exact inverse does: use `fit_actions` there.
    """
    length, turn = _from_origin(xy_rig, yaw_rad)
    speed = np.broadcast_to(np.asarray(speed_mps, dtype=np.float64), length.shape[:-1]).copy()
    actions = np.zeros((*length.shape, 2))
    for i in range(length.shape[-1]):
        ds = length[..., i]
        rolling = 2.0 * (ds - speed * dt_s) / dt_s**2
        stops = (ds > 0.0) & (speed + rolling * dt_s < 0.0)
        stopping = -(speed**2) / np.where(stops, 2.0 * ds, 1.0)
        actions[..., i, 0] = np.where(stops, stopping, rolling)
        speed = np.where(stops, 0.0, speed + rolling * dt_s)
    moved = np.abs(length) > 1e-9
    actions[..., 1] = np.where(moved, turn, 0.0) / np.where(moved, length, 1.0)
    return actions


@dataclass(frozen=True)
class FitConfig:
    """Weights of `fit_actions`: on the squared second difference (`smooth`) and the squared size (`ridge`).

    They stand beside squared residuals of speed in (m/s)2 and of yaw rate in (rad/s)2, per step.
    """

    accel_smooth: float = 1.0
    accel_ridge: float = 1e-4
    curvature_smooth: float = 300.0
    curvature_ridge: float = 1e-3


def fit_actions(
    xy_rig: ArrayLike, yaw_rad: ArrayLike, speed_mps: ArrayLike, dt_s: float = 0.1, config: FitConfig | None = None
) -> Float:
    """Noisy poses after each step (..., N, 2), (..., N), speed at the origin (...) -> smooth actions (..., N, 2).

    Two linear least-squares problems with Tikhonov terms: accelerations whose integral matches the mean speed of
    each step, then curvatures that, times that speed, match the yaw rate. Curvature at a standstill follows its
    neighbours in time.
    """
    config = config or FitConfig()
    length, turn = _from_origin(xy_rig, yaw_rad)
    count = length.shape[-1]
    start = np.broadcast_to(np.asarray(speed_mps, dtype=np.float64), length.shape[:-1])[..., None]
    difference = np.diff(np.eye(count), n=2, axis=0)
    smoothness = difference.T @ difference
    # mean speed of step i: v0 + dt (a_0 + ... + a_{i-1} + a_i / 2)
    to_speed = dt_s * (np.tri(count, k=-1) + 0.5 * np.eye(count))
    normal: Float = to_speed.T @ to_speed + config.accel_smooth * smoothness + config.accel_ridge * np.eye(count)
    accel = np.linalg.solve(normal, ((length / dt_s - start) @ to_speed)[..., None])[..., 0]
    speed = start + accel @ to_speed.T
    normal = np.zeros((*length.shape, count))
    normal[..., np.arange(count), np.arange(count)] = speed**2 + config.curvature_ridge
    normal += config.curvature_smooth * smoothness
    curvature = np.linalg.solve(normal, (speed * turn / dt_s)[..., None])[..., 0]
    return np.stack([accel, curvature], axis=-1).astype(np.float64, copy=False)
