"""Grids and positions -> the small tables that the towers take as inputs: interpolation, rotary angles. Numpy only."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cordillera.policy.vla.config import DecoderConfig, VisionConfig

Table = NDArray[np.float32]


@lru_cache(maxsize=64)
def vision_tables(config: VisionConfig, rows: int, cols: int) -> tuple[NDArray[np.int64], Table, Table, Table]:
    """A grid of patches -> for its N patches, in the order in which merged blocks are laid out:

    indices (4, N) into the square table of learned positions, their bilinear weights (4, N), and the rotary cosines
    and sines (N, head_dim), half of whose pairs turn with the row and half with the column.
    """
    merge, side = config.spatial_merge_size, int(config.num_position_embeddings**0.5)
    block_row, block_col, row, col = np.indices((rows // merge, cols // merge, merge, merge)).reshape(4, -1)
    row, col = block_row * merge + row, block_col * merge + col

    y = np.linspace(0, side - 1, rows, dtype=np.float32)[row]
    x = np.linspace(0, side - 1, cols, dtype=np.float32)[col]
    top, left = y.astype(np.int64), x.astype(np.int64)
    low, right = np.minimum(top + 1, side - 1), np.minimum(left + 1, side - 1)
    dy, dx = y - top.astype(np.float32), x - left.astype(np.float32)
    index = np.stack([top * side + left, top * side + right, low * side + left, low * side + right])
    weight = np.stack([(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx])

    half = config.hidden_size // config.num_heads // 2
    rates = 1.0 / np.float32(10_000.0) ** (np.arange(0, half, 2, dtype=np.float32) / half)
    angle = np.concatenate([row[:, None] * rates, col[:, None] * rates], axis=-1).astype(np.float32)
    angle = np.concatenate([angle, angle], axis=-1)
    return index, weight.astype(np.float32), np.cos(angle), np.sin(angle)


@lru_cache(maxsize=8)
def _rotary_pairs(config: DecoderConfig) -> tuple[NDArray[np.int64], Table]:
    """For each rotary pair (D / 2,) the axis that turns it, and how fast: see `layers.rotary`."""
    pair = np.arange(config.head_dim // 2)
    axis = np.zeros(len(pair), np.int64)
    for other in (1, 2):
        axis[(pair % 3 == other) & (pair < 3 * config.mrope_section[other])] = other
    powers = np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim
    return axis, (1.0 / np.float32(config.rope_theta) ** powers).astype(np.float32, copy=False)


def text_rotary(positions: NDArray[np.int64], config: DecoderConfig) -> tuple[Table, Table]:
    """Positions (3, S) -> cosines and sines (S, head_dim / 2): `layers.rotary` for one prompt, in numpy.

    Pair i of a head is its components i and i + head_dim / 2.
    """
    axis, rates = _rotary_pairs(config)
    angle = positions[axis].T.astype(np.float32) * rates
    return np.cos(angle), np.sin(angle)


def turn_keys(keys: Table, delta: NDArray[np.int64], config: DecoderConfig) -> Table:
    """Rotated keys (..., S, D) -> the same at positions moved by delta (3, S); rotations add up, so this is exact."""
    if not delta.any():
        return keys
    cos, sin = text_rotary(delta, config)
    first, second = np.split(keys, 2, axis=-1)
    turned = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(np.float32, copy=False)
