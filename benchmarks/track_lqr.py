"""A tracking problem in, its commands out, by finite-horizon LQR with preview: the rival of `runtime.mpc.solve`.

The Riccati recursion for the same `Chain`. It knows no bounds: its feedback law meets them step by step on the way.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cordillera.runtime.mpc import Chain, predict, step_matrices
from cordillera.types import Float


@njit(cache=True)
def _feedback(chain_gain: Float, drift: Float, weight: Float, rate_weight: Float, lag: float, dt: float) -> Float:
    """The Riccati recursion, last step first -> (N, 4): command = row[:3] . state + row[3]."""
    count = len(chain_gain)
    policy = np.empty((count, 4))
    # value of a state z: z' P z + 2 p' z
    P, p = np.zeros((3, 3)), np.zeros(3)
    A, B = np.eye(3), np.empty(3)
    for k in range(count - 1, -1, -1):
        A[0, 1], A[0, 2], A[1, 2], A[2, 2], B[0], B[1], B[2] = step_matrices(chain_gain[k], lag, dt)
        P[0, 0] += weight[0]
        P[1, 1] += weight[1]
        rate = rate_weight[k] * (B[2] / dt) ** 2
        PA, PB, shifted = np.zeros((3, 3)), np.zeros(3), np.zeros(3)
        for i in range(3):
            for j in range(3):
                PB[i] += P[i, j] * B[j]
                for m in range(3):
                    PA[i, m] += P[i, j] * A[j, m]
            shifted[i] = p[i] + P[i, 0] * drift[k, 0] + P[i, 1] * drift[k, 1]
        cost, cross, linear = rate, np.zeros(3), 0.0
        cross[2] = -rate
        for i in range(3):
            cost += B[i] * PB[i]
            linear += B[i] * shifted[i]
            for j in range(3):
                cross[i] += PB[j] * A[j, i]
        for i in range(3):
            policy[k, i] = -cross[i] / cost
        policy[k, 3] = -linear / cost
        for i in range(3):
            p[i] = policy[k, i] * linear
            for j in range(3):
                p[i] += A[j, i] * shifted[j]
                P[i, j] = -cross[i] * cross[j] / cost
                for m in range(3):
                    P[i, j] += A[m, i] * PA[m, j]
        P[2, 2] += rate
    return policy


@njit(cache=True)
def _roll_policy(
    policy: Float, start: Float, gain: Float, drift: Float, lag: float, dt: float,
    lower: Float, upper: Float, rate: float,
) -> Float:  # fmt: skip
    """Feedback rows -> the commands (N,) that they give along their own prediction, kept within the bounds."""
    commands = np.empty(len(gain))
    state = start.copy()
    for k in range(len(gain)):
        reach = rate * dt / (1.0 - (math.exp(-dt / lag) if lag > 0.0 else 0.0))
        wish = policy[k, 0] * state[0] + policy[k, 1] * state[1] + policy[k, 2] * state[2] + policy[k, 3]
        wish = min(max(wish, state[2] - reach), state[2] + reach)
        commands[k] = min(max(wish, lower[k]), upper[k])
        state = predict(state, gain[k : k + 1], drift[k : k + 1], commands[k : k + 1], lag, dt)[1]
    return commands


def solve_lqr(chain: Chain) -> Float:
    """A tracking problem -> the commands (N,), optimal where no bound is active.

    Where one is, the feedback law meets the bounds step by step on the way, so the prediction stays possible.
    """
    c = chain
    policy = _feedback(c.gain, c.drift, c.weight, c.rate_weight, c.lag_s, c.dt_s)
    return _roll_policy(policy, c.start, c.gain, c.drift, c.lag_s, c.dt_s, c.lower, c.upper, c.rate_max)
