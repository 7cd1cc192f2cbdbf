"""Noise, sky and sign pictures as arrays for the shader; all but the signs are made from a seed."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from cordillera.types import Float

NOISE = 256
SKY = 512
SIGN_PX = 64


@cache
def noise_table() -> NDArray[np.float32]:
    """Nothing -> (2, 256, 256) tileable noise in 0..1 with mean 0.5: fine grain, and soft clouds."""
    rng = np.random.default_rng(7)
    white = rng.random((NOISE, NOISE))
    grain = gaussian_filter(white, 0.6, mode="wrap") + 0.8 * gaussian_filter(
        rng.random((NOISE, NOISE)), 2.0, mode="wrap"
    )
    cloud = np.zeros((NOISE, NOISE))
    for octave in range(5):
        cloud += 0.5**octave * _unit(gaussian_filter(rng.random((NOISE, NOISE)), 32.0 / 2**octave, mode="wrap"))
    return np.stack([_level(grain), _level(cloud)]).astype(np.float32)


def _unit(field: Float) -> Float:
    return (field - field.mean()) / field.std()


def _level(field: Float) -> Float:
    """A field -> 0.5 with a standard deviation of a sixth, clipped to 0..1."""
    return np.clip(0.5 + _unit(field) / 6.0, 0.0, 1.0)


def sky_directions() -> Float:
    """Nothing -> the unit direction of each texel (512, 512, 3) of a sky, an octahedral map of the upper half."""
    s = (np.arange(SKY) + 0.5) / SKY * 2.0 - 1.0
    a, b = np.meshgrid(s, s)
    x, y = 0.5 * (a + b), 0.5 * (a - b)
    z = np.maximum(1.0 - np.abs(x) - np.abs(y), 0.0)
    d = np.stack([x, y, z], axis=-1)
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def sky_picture(
    horizon: Float,
    zenith: Float,
    sun_dir: Float,
    glow: Float,
    cover: float,
    cloud_light: Float,
    hills: Float,
    seed: int,
) -> NDArray[np.float32]:
    """Colours of the sky, direction and glow of the sun, cloudiness 0..1 -> linear RGB (512, 512, 3)."""
    d = sky_directions()
    up = d[..., 2:]
    sky = horizon + (zenith - horizon) * np.sqrt(np.clip(up, 0.0, 1.0)) ** 1.2
    toward = np.clip(d @ sun_dir, 0.0, 1.0)[..., None]
    sky = sky + glow * (0.30 * toward**6 + 1.2 * toward**60 + 9.0 * np.clip((toward - 0.99985) / 0.0001, 0.0, 1.0))
    plane = d[..., :2] / (up + 0.12) * 34.0 + np.random.default_rng(seed).random(2) * NOISE
    puff = 0.7 * _soft(noise_table()[1], plane) + 0.3 * _soft(noise_table()[1], plane * 3.1)
    density = np.clip((puff - (0.72 - 0.45 * cover)) / 0.16, 0.0, 1.0) * np.clip(up[..., 0] / 0.06, 0.0, 1.0)
    shade = cloud_light * (1.05 - 0.55 * density[..., None] * (1.0 - 0.6 * toward**2))
    sky = sky + (shade - sky) * (0.92 * density)[..., None]
    azimuth = np.arctan2(d[..., 1], d[..., 0])
    rng = np.random.default_rng(seed + 1)
    ridge = np.full(azimuth.shape, 0.016)
    for k in (1, 2, 3, 5, 8, 13, 21, 40, 71):
        ridge += 0.012 / k**0.75 * np.sin(k * azimuth + rng.random() * 2.0 * np.pi)
    far = np.clip((np.maximum(ridge, 0.004) - up[..., 0]) / 0.003, 0.0, 1.0)[..., None]
    return (sky + (hills - sky) * far).astype(np.float32)


def _soft(table: Float, at: Float) -> Float:
    """A tileable table and positions (..., 2) -> bilinear samples."""
    low = np.floor(at).astype(int)
    u, v = np.moveaxis(at - low, -1, 0)
    x, y = np.moveaxis(low % NOISE, -1, 0)
    x1, y1 = (x + 1) % NOISE, (y + 1) % NOISE
    return (table[y, x] * (1 - u) + table[y, x1] * u) * (1 - v) + (table[y1, x] * (1 - u) + table[y1, x1] * u) * v


@cache
def sign_names() -> dict[str, int]:
    """Nothing -> the signs of the atlas by name, in order."""
    return {name: k for k, name in enumerate(json.loads((_folder() / "signs.json").read_text()))}


@cache
def sign_pixels() -> NDArray[np.uint8]:
    """Nothing -> the atlas (N, 64, 64, 4), sRGB with its outline in alpha."""
    sheet = np.asarray(Image.open(_folder() / "signs.png").convert("RGBA"))
    rows, columns = sheet.shape[0] // SIGN_PX, sheet.shape[1] // SIGN_PX
    tiles = sheet.reshape(rows, SIGN_PX, columns, SIGN_PX, 4).swapaxes(1, 2).reshape(-1, SIGN_PX, SIGN_PX, 4)
    return np.ascontiguousarray(tiles[: len(sign_names())])


@cache
def sign_table() -> NDArray[np.float32]:
    """Nothing -> linear RGB of the signs (N, 2 * 64, 64, 3): the picture above its halves, quarters and eighths."""
    pixels = sign_pixels()
    color, alpha = (pixels[..., :3] / 255.0) ** 2.2, pixels[..., 3:] / 255.0
    soft = [gaussian_filter(part, (0, 6, 6, 0)) for part in (color * alpha, alpha)]
    spread = soft[0] / np.maximum(soft[1], 1e-4)  # the edge's colour goes on outside, so that no dark rim shows
    level = color * alpha + spread * (1.0 - alpha)
    out = np.zeros((len(pixels), 2 * SIGN_PX, SIGN_PX, 3), np.float32)
    row, size = 0, SIGN_PX
    while size >= 4:
        out[:, row : row + size, :size] = level
        row, size = row + size, size // 2
        level = level.reshape(len(level), size, 2, size, 2, 3).mean(axis=(2, 4))
    return out


def _folder() -> Path:
    return Path(str(resources.files("cordillera"))) / "assets" / "signs"
