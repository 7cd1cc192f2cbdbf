"""One tracking problem over a horizon in, the commands for it out: linear model-predictive control.

Speed and steering are the same problem: a command passes a first-order lag, is integrated to an error of speed or
heading, and that to an error of position. `Chain` states it; `solve` answers it as a dense quadratic programme over the
commands, with the bounds on command and actuator rate as constraints, by DAQP (Arnström, Bemporad and Axehill, IEEE
TAC 2022), an exact dual active-set method.

Chosen over a finite-horizon LQR with preview by `python -m benchmarks.track`: with no bound active the two give the
same commands, the LQR in two thirds of the time; round a hairpin at full lock, with tyres, the LQR misses the path by
4.6 m and this one by 0.5 m, since only it turns in early where it will not be able to turn in faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import daqp
import numpy as np

from cordillera.kernels import kernel
from cordillera.types import Float


@dataclass(frozen=True, eq=False)
class Chain:
    """Errors driven by a lagging actuator, over N steps of `dt_s`, and what an error and a hasty command cost.

    The state is (e0, e1, a): error of position, error of speed or heading, actuator. Within step k
    e0' = gain_k e1, e1' = gain_k a, a' = (command - a) / lag, and at its end `drift_k` is added to (e0, e1): minus
    what the reference did. Cost: sum of weight . (e0^2, e1^2) after each step + rate_weight_k (mean rate of a)^2.
    """

    start: Float  # (3,)
    gain: Float  # (N,) 1 for speed, the predicted speed for steering
    drift: Float  # (N, 2)
    weight: Float  # (2,)
    rate_weight: Float  # (N,) positive
    lag_s: float
    dt_s: float
    lower: Float  # (N,) bounds of the command
    upper: Float  # (N,)
    rate_max: float  # bound of the actuator's mean rate


@kernel
def step_matrices(gain: float, lag: float, dt: float) -> tuple[float, float, float, float, float, float, float]:
    """Gain, lag, step -> (a01, a02, a12, a22, b0, b1, b2): the exact discrete chain, other entries 0 or 1.

    next e0 = e0 + a01 e1 + a02 a + b0 u, next e1 = e1 + a12 a + b1 u, next a = a22 a + b2 u.
    """
    keep = math.exp(-dt / lag) if lag > 0.0 else 0.0
    once = lag * (1.0 - keep)  # integral of the actuator's own decay
    twice = lag * (dt - once)
    return (
        gain * dt,
        gain * gain * twice,
        gain * once,
        keep,
        gain * gain * (0.5 * dt * dt - twice),
        gain * (dt - once),
        1.0 - keep,
    )


@kernel
def predict(start: Float, gain: Float, drift: Float, commands: Float, lag: float, dt: float) -> Float:
    """Start (3,) and commands (N,) -> the states (N + 1, 3) that the chain goes through."""
    states = np.empty((len(commands) + 1, 3))
    states[0] = start
    for k in range(len(commands)):
        e0, e1, a = states[k]
        a01, a02, a12, a22, b0, b1, b2 = step_matrices(gain[k], lag, dt)
        states[k + 1, 0] = e0 + a01 * e1 + a02 * a + b0 * commands[k] + drift[k, 0]
        states[k + 1, 1] = e1 + a12 * a + b1 * commands[k] + drift[k, 1]
        states[k + 1, 2] = a22 * a + b2 * commands[k]
    return states


@kernel
def response(gain: Float, lag: float, dt: float) -> Float:
    """Gains (N,) -> (N, 3, N): how much each of the states after steps 1..N moves with each command."""
    count = len(gain)
    out = np.zeros((count, 3, count))
    for k in range(count):
        a01, a02, a12, a22, b0, b1, b2 = step_matrices(gain[k], lag, dt)
        for j in range(k):
            e0, e1, a = out[k - 1, 0, j], out[k - 1, 1, j], out[k - 1, 2, j]
            out[k, 0, j] = e0 + a01 * e1 + a02 * a
            out[k, 1, j] = e1 + a12 * a
            out[k, 2, j] = a22 * a
        out[k, 0, k], out[k, 1, k], out[k, 2, k] = b0, b1, b2
    return out


def solve(chain: Chain) -> Float:
    """A tracking problem -> the commands (N,) that minimise its cost within its bounds.

    An actuator that starts outside the bounds of the command may return as fast as that takes, so there always is a
    solution. Raises RuntimeError with DAQP's exit flag where it finds none, as for weights that are not finite.
    """
    c = chain
    outside = max(c.lower.max() - c.start[2], c.start[2] - c.upper.min())
    rate_max = max(c.rate_max, outside / c.dt_s)
    free = predict(c.start, c.gain, c.drift, np.zeros(len(c.gain)), c.lag_s, c.dt_s)
    moves = response(c.gain, c.lag_s, c.dt_s)
    rate = np.diff(moves[:, 2], axis=0, prepend=0.0) / c.dt_s
    free_rate = np.diff(free[:, 2]) / c.dt_s
    scale = np.sqrt(np.stack([np.full(len(c.gain), c.weight[0]), np.full(len(c.gain), c.weight[1]), c.rate_weight]))
    jacobian = (scale[:, :, None] * np.stack([moves[:, 0], moves[:, 1], rate])).reshape(-1, len(c.gain))
    residual = (scale * np.stack([free[1:, 0], free[1:, 1], free_rate])).reshape(-1)
    solution, _, flag, _ = daqp.solve(
        jacobian.T @ jacobian,
        jacobian.T @ residual,
        rate,
        np.concatenate([c.upper, rate_max - free_rate]),
        np.concatenate([c.lower, -rate_max - free_rate]),
    )
    if flag < 1:
        raise RuntimeError(f"DAQP ended with exit flag {flag}; look at the chain's numbers")
    return np.asarray(solution, dtype=np.float64)
