"""Poses -> actions and tokens: the regularised inverse of the action space, for training and for measuring.

Heading, speed, acceleration and curvature each solve a Tikhonov-regularised least squares with a penalty on the
second or third difference. Everything is float32 and keeps the released order of operations: differencing speeds
over 0.1 s amplifies rounding to 1e-4, so another order or float64 would not reproduce the released numbers to 1e-5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cordillera.policy.vla.config import ActionSpaceConfig, FutureTokens


def penalty(count: int, order: int, weight: float, dt: float) -> Tensor:
    """The penalty weight * |d^order x / dt^order|^2 as a matrix (count, count) of the normal equations."""
    step = torch.eye(count)
    for _ in range(order):
        step = torch.diff(step, dim=0)
    return weight / dt ** (2 * order) * (step.T @ step)


def solve(left: Tensor, right: Tensor) -> Tensor:
    """Positive definite systems (..., N, N) and right sides (..., N) -> solutions (..., N), by Cholesky."""
    return torch.cholesky_solve(right[..., None], torch.linalg.cholesky(left))[..., 0]


def headings(rotation: Tensor) -> Tensor:
    """Rotation matrices (..., T, 3, 3) -> unwrapped headings (..., T)."""
    yaw = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    turn = torch.diff(yaw, dim=-1)
    turn = torch.atan2(turn.sin(), turn.cos())
    return torch.cat([yaw[..., :1], yaw[..., :1] + turn.cumsum(-1)], dim=-1)


def speed_rows(xy: Tensor, theta: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Points (..., N + 1, 2), headings (..., N + 1) -> matrix (..., 2 N, N + 1) and right side (..., 2 N) for speeds.

    Each step's displacement is dt / 2 (v_t u_t + v_t+1 u_t+1), u the heading's unit vector.
    """
    steps = theta.shape[-1] - 1
    at = torch.arange(steps)
    rows = torch.zeros(*theta.shape[:-1], 2 * steps, steps + 1)
    for offset, part in enumerate((theta.cos(), theta.sin())):
        rows[..., 2 * at + offset, at] = part[..., :-1]
        rows[..., 2 * at + offset, at + 1] = part[..., 1:]
    return rows, (2 / dt * torch.diff(xy, dim=-2)).flatten(-2)


def gram(a: Tensor, b: Tensor) -> Tensor:
    """(..., I, J), (..., I, K) -> (..., J, K)."""
    return torch.einsum("...ij,...ik->...jk", a, b)


def project(a: Tensor, b: Tensor) -> Tensor:
    """(..., I, J), (..., I) -> (..., J)."""
    return torch.einsum("...ij,...i->...j", a, b)


def initial_speed(history_xyz: Tensor, history_rot: Tensor, config: ActionSpaceConfig) -> Tensor:
    """History (..., H, 3), (..., H, 3, 3) in float32 -> speed at its last pose (...,) in m/s."""
    theta = headings(history_rot)
    rows, target = speed_rows(history_xyz[..., :2], theta, config.dt)
    count = theta.shape[-1]
    left = gram(rows, rows) + penalty(count, 3, config.v_lambda, config.dt) + config.v_ridge * torch.eye(count)
    return solve(left, project(rows, target))[..., -1]


def from_trajectory(
    history_xyz: Tensor, history_rot: Tensor, future_xyz: Tensor, future_rot: Tensor, config: ActionSpaceConfig
) -> Tensor:
    """History (B, H, 3) and future (B, N, 3) with rotations, float32 on the CPU -> normalised actions (B, N, 2).

    The last pose of the history is the origin of the plan.
    """
    count, dt = future_xyz.shape[-2], config.dt
    if count != config.n_waypoints:
        raise ValueError(f"future has {count} poses, the action space needs {config.n_waypoints}")
    lead, eye = future_xyz.shape[:-2], torch.eye(count)
    yaw = headings(future_rot)
    smooth = penalty(count + 1, 3, config.theta_lambda, dt)
    theta = solve((eye + smooth[1:, 1:] + config.theta_ridge * eye).expand(*lead, -1, -1), yaw)
    theta = torch.cat([torch.zeros_like(theta[..., :1]), theta], dim=-1)

    first = initial_speed(history_xyz, history_rot, config)
    xy = torch.cat([history_xyz[..., -1:, :], future_xyz], dim=-2)[..., :2]
    rows, target = speed_rows(xy, theta, dt)
    normal, smooth = gram(rows, rows), penalty(count + 1, 3, config.v_lambda, dt)
    right = project(rows[..., 1:], target) - normal[..., 1:, 0] * first[..., None] - smooth[1:, 0] * first[..., None]
    speed = solve(normal[..., 1:, 1:] + smooth[1:, 1:] + config.v_ridge * eye, right)
    speed = torch.cat([first[..., None], speed], dim=-1)

    smooth = penalty(count, 2, config.a_lambda, dt)
    accel = solve((eye + smooth + config.a_ridge * eye).expand(*lead, -1, -1), torch.diff(speed, dim=-1) / dt)
    length = torch.diag_embed(dt * speed[..., :-1] + dt**2 / 2.0 * accel)
    smooth = penalty(count, 2, config.kappa_lambda, dt)
    kappa = solve(gram(length, length) + smooth + config.kappa_ridge * eye, project(length, torch.diff(theta, dim=-1)))
    accel = (accel - torch.tensor(config.accel_mean)) / torch.tensor(config.accel_std)
    kappa = (kappa - torch.tensor(config.curvature_mean)) / torch.tensor(config.curvature_std)
    return torch.stack([accel, kappa], dim=-1)


def future_to_tokens(
    history_xyz: Tensor, history_rot: Tensor, future_xyz: Tensor, future_rot: Tensor, config: FutureTokens
) -> Tensor:
    """History and future poses as in `from_trajectory` -> tokens (B, N * 2), the binned actions."""
    action = from_trajectory(history_xyz, history_rot, future_xyz, future_rot, config.action_space)
    low, high = torch.tensor(config.dims_min), torch.tensor(config.dims_max)
    bins = ((action - low) / (high - low) * (config.num_bins - 1)).round().long()
    return bins.clamp(0, config.num_bins - 1).flatten(-2)
