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


def text_rotary(positions: NDArray[np.int64], config: DecoderConfig) -> tuple[Table, Table]:
    """Positions (3, S) -> cosines and signed sines (S, head_dim): `layers.rotary` for one prompt, in numpy.

    The first half of the sines is negated: heads x turn to x * cos + swap(x) * sin, where swap exchanges the halves.
    """
    half = config.head_dim // 2
    rates = 1.0 / np.float32(config.rope_theta) ** (
        np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim
    )
    angle = positions[..., None].astype(np.float32) * rates
    pair = np.arange(half)
    mixed = angle[0]
    for axis in (1, 2):
        mixed = np.where((pair % 3 == axis) & (pair < 3 * config.mrope_section[axis]), angle[axis], mixed)
    cos, sin = np.cos(mixed), np.sin(mixed)
    return np.concatenate([cos, cos], axis=-1), np.concatenate([-sin, sin], axis=-1)


def turn_keys(keys: Table, delta: NDArray[np.int64], config: DecoderConfig) -> Table:
    """Rotated keys (L, KV, D, S) -> the same at positions moved by delta (3, S); rotations add up, so this is exact."""
    if not delta.any():
        return np.ascontiguousarray(keys)
    cos, sin = text_rotary(delta, config)
    first, second = np.split(keys, 2, axis=2)
    turned = keys * cos.T + np.concatenate([second, first], axis=2) * sin.T
    return turned.astype(np.float32, copy=False)
