"""Actions and tokens -> poses, history -> tokens: what driving needs of the action space, in numpy.

An action is a normalised pair (acceleration, curvature) held for `dt`. Speed integrates acceleration, heading
integrates curvature times distance, position integrates velocity by the trapezoid rule. Frames: the rig at the time
of planning, x forward. The way back, from poses to actions, is training's and stands in `targets`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cordillera.policy.vla.config import ActionSpaceConfig, FutureTokens, HistoryTokens

Array = NDArray[np.floating]


def difference(count: int, order: int) -> Array:
    """Matrix (count - order, count) of forward differences of the given order."""
    out = np.eye(count)
    for _ in range(order):
        out = np.diff(out, axis=0)
    return out


def smoother(count: int, order: int, weight: float, dt: float) -> Array:
    """The penalty weight * |d^order x / dt^order|^2 as a matrix (count, count) of the normal equations."""
    step = difference(count, order)
    return weight / dt ** (2 * order) * step.T @ step


def solve(left: Array, right: Array) -> Array:
    """Symmetric systems (..., N, N) and right sides (..., N) -> solutions (..., N)."""
    return np.linalg.solve(left, right[..., None])[..., 0]


def yaw_of_matrix(rotation: Array) -> Array:
    """Rotation matrices (..., 3, 3) -> heading of their x axis."""
    return np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])


def yaw_matrix(yaw_rad: Array) -> NDArray[np.float64]:
    """Headings (...,) -> rotation matrices (..., 3, 3) about z."""
    out = np.zeros((*yaw_rad.shape, 3, 3), np.float64)
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    out[..., 0, 0], out[..., 0, 1], out[..., 1, 0], out[..., 1, 1], out[..., 2, 2] = cos, -sin, sin, cos, 1.0
    return out


def speed_system(xy: Array, theta: Array, config: ActionSpaceConfig) -> tuple[Array, Array]:
    """Points (..., N + 1, 2) and headings (..., N + 1) -> the normal equations of the N + 1 speeds.

    Each step's displacement is dt / 2 (v_t u_t + v_t+1 u_t+1), u the heading's unit vector.
    """
    count = theta.shape[-1]
    unit = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    target = 2.0 / config.dt * np.diff(xy, axis=-2)
    left = np.zeros((*theta.shape, count))
    here, there = np.arange(count - 1), np.arange(1, count)
    cross = (unit[..., :-1, :] * unit[..., 1:, :]).sum(-1)
    left[..., here, here] += 1.0
    left[..., there, there] += 1.0
    left[..., here, there] = left[..., there, here] = cross
    right = np.zeros_like(theta)
    right[..., :-1] += (target * unit[..., :-1, :]).sum(-1)
    right[..., 1:] += (target * unit[..., 1:, :]).sum(-1)
    return left + smoother(count, 3, config.v_lambda, config.dt), right


def initial_speed(history_xyz: Array, history_rot: Array, config: ActionSpaceConfig) -> Array:
    """History (..., H, 3) and (..., H, 3, 3) -> speed at its last pose (...,) in m/s."""
    theta = np.unwrap(yaw_of_matrix(np.asarray(history_rot, np.float64)), axis=-1)
    left, right = speed_system(np.asarray(history_xyz, np.float64)[..., :2], theta, config)
    return solve(left + config.v_ridge * np.eye(theta.shape[-1]), right)[..., -1]


def to_trajectory(
    action: Array, history_xyz: Array, history_rot: Array, config: ActionSpaceConfig, speed_mps: Array | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalised actions (..., N, 2) and history -> poses (..., N, 3), (..., N, 3, 3), from the origin, heading 0.

    `speed_mps` (...,) replaces the speed that the history implies.
    """
    action = np.asarray(action, np.float64)
    dt = config.dt
    accel = action[..., 0] * config.accel_std + config.accel_mean
    kappa = action[..., 1] * config.curvature_std + config.curvature_mean
    first = initial_speed(history_xyz, history_rot, config) if speed_mps is None else np.asarray(speed_mps, np.float64)
    speed = first[..., None] + np.concatenate([np.zeros_like(accel[..., :1]), np.cumsum(accel * dt, axis=-1)], axis=-1)
    turn = np.cumsum(kappa * (speed[..., :-1] * dt + 0.5 * dt**2 * accel), axis=-1)
    theta = np.concatenate([np.zeros_like(turn[..., :1]), turn], axis=-1)
    xyz = np.zeros((*accel.shape, 3))
    for axis, part in enumerate((np.cos(theta), np.sin(theta))):
        rate = speed * part
        xyz[..., axis] = np.cumsum(0.5 * dt * (rate[..., :-1] + rate[..., 1:]), axis=-1)
    xyz[..., 2] = np.asarray(history_xyz)[..., -1:, 2]
    return xyz, yaw_matrix(theta[..., 1:])


def within_bounds(action: Array, config: ActionSpaceConfig) -> NDArray[np.bool_]:
    """Normalised actions (..., N, 2) -> whether each trajectory (...,) keeps the bounds of both quantities."""
    accel = action[..., 0] * config.accel_std + config.accel_mean
    kappa = action[..., 1] * config.curvature_std + config.curvature_mean
    fits = (accel >= config.accel_bounds[0]) & (accel <= config.accel_bounds[1])
    fits &= (kappa >= config.curvature_bounds[0]) & (kappa <= config.curvature_bounds[1])
    return np.asarray(fits.all(axis=-1))


def quantise(unit: Array, bins: int) -> NDArray[np.int64]:
    """Numbers, 0..1 inside the range -> bin numbers 0..bins - 1, halves to even, ends clamped."""
    return np.clip(np.rint(unit * np.float32(bins - 1)).astype(np.int64), 0, bins - 1)


def history_to_tokens(xyz: Array, rotation: Array, config: HistoryTokens) -> NDArray[np.int64]:
    """Poses (..., H, 3), (..., H, 3, 3) -> tokens (..., H * 3 or 4): binned differences, the first one from zero."""
    xyz = np.asarray(xyz, np.float32)
    low, high = np.array(config.ego_xyz_min, np.float32), np.array(config.ego_xyz_max, np.float32)
    step = np.diff(xyz, axis=-2, prepend=np.zeros_like(xyz[..., :1, :]))
    tokens = quantise((step - low) / (high - low), config.num_bins)
    if config.predict_yaw:
        # The released tokenizer reads the yaw with the opposite sign (element 0, 1); kept so that tokens agree.
        yaw = np.arctan2(rotation[..., 0, 1], rotation[..., 0, 0]).astype(np.float32)
        turn = np.diff(yaw, axis=-1, prepend=np.zeros_like(yaw[..., :1]))
        turn = np.arctan2(np.sin(turn), np.cos(turn))
        unit = (turn - np.float32(config.ego_yaw_min)) / np.float32(config.ego_yaw_max - config.ego_yaw_min)
        tokens = np.concatenate([tokens, quantise(unit, config.num_bins)[..., None]], axis=-1)
    return tokens.reshape(*tokens.shape[:-2], -1)


def tokens_to_history(tokens: NDArray[np.int64], config: HistoryTokens) -> Array:
    """Tokens (..., H * 3 or 4) -> positions (..., H, 3): the inverse of `history_to_tokens` up to half a bin."""
    split = tokens.reshape(*tokens.shape[:-1], -1, 4 if config.predict_yaw else 3)[..., :3]
    low, high = np.array(config.ego_xyz_min), np.array(config.ego_xyz_max)
    return np.cumsum(split / (config.num_bins - 1) * (high - low) + low, axis=-2)


def tokens_to_future(
    tokens: NDArray[np.int64], history_xyz: Array, history_rot: Array, config: FutureTokens
) -> tuple[Array, Array]:
    """Tokens (..., N * 2) and history -> poses: the inverse of `targets.future_to_tokens` to half a bin."""
    low, high = np.array(config.dims_min), np.array(config.dims_max)
    action = tokens.reshape(*tokens.shape[:-1], -1, 2) / (config.num_bins - 1) * (high - low) + low
    return to_trajectory(action, history_xyz, history_rot, config.action_space)
