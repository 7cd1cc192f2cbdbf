"""Chance without state: integers in, the same pseudo-random number out on every run and machine."""

from __future__ import annotations

import numpy as np

from cordillera.kernels import inner, typed


@inner
def _mix(z: np.uint64) -> np.uint64:
    """A 64-bit finaliser (Stafford's variant 13, the one of SplitMix64): every input bit stirs every output bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@typed("uint64(int64, int64, int64)")
def key_of(seed: int, a: int, b: int) -> np.uint64:
    """Three whole numbers -> a key to draw with: `draw_by` of it is `draw` of them, at a quarter of the work."""
    step = np.uint64(0x9E3779B97F4A7C15)
    z = _mix(np.uint64(seed) + step)
    z = _mix(z ^ (np.uint64(a) + step))
    return _mix(z ^ (np.uint64(b) + step))


@typed("float64(uint64, int64)")
def draw_by(key: np.uint64, c: int) -> float:
    """A key and a whole number -> a number in [0, 1), uniform over any of them."""
    z = _mix(key ^ (np.uint64(c) + np.uint64(0x9E3779B97F4A7C15)))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@typed("float64(int64, int64, int64, int64)")
def draw(seed: int, a: int, b: int, c: int) -> float:
    """Four whole numbers -> a number in [0, 1), uniform over any of them."""
    return draw_by(key_of(seed, a, b), c)


@typed("int64(uint64, int64, int64)")
def pick_by(key: np.uint64, c: int, count: int) -> int:
    """A key and a whole number -> one of 0 .. count - 1."""
    return min(int(draw_by(key, c) * count), count - 1)


@typed("int64(int64, int64, int64, int64, int64)")
def pick(seed: int, a: int, b: int, c: int, count: int) -> int:
    """Four whole numbers -> one of 0 .. count - 1."""
    return min(int(draw(seed, a, b, c) * count), count - 1)
