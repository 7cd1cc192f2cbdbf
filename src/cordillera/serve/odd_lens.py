"""A lens that our renderer does not draw -> a camera that it does draw, and the way from that one's pictures.

Distorted and sheared lenses, and those with two focal lengths, see smoothly bent versions of what an f-theta camera
with the same axis sees. So that is drawn, a little finer, and each pixel is read where the lens looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.serve.lens import Lens
from cordillera.types import Camera, Float

GRID_PX = 8  # the way is found at every so many pixels and is straight between
NEWTON_STEPS = 12
NEAR_PX = 0.05  # a pixel is found if it is met so closely
FINER = 1.2  # pixels of what is drawn for one of what is asked for
LARGEST_PX = 4096
Picture = NDArray[np.uint8]


@dataclass(eq=False)
class OddLens:
    """The way from pictures of `drawn` to pictures of a lens, at the size that its specification says."""

    lens: Lens
    drawn: Camera = field(init=False)

    def __post_init__(self) -> None:
        width, height = int(self.lens.spec.resolution_w), int(self.lens.spec.resolution_h)
        if max(width, height) > LARGEST_PX:
            raise ValueError(f"camera {self.lens.name!r} has {width} x {height} pixels; at most {LARGEST_PX} a side")
        across, down = (max(2, math.ceil(side / GRID_PX) + 1) for side in (width, height))
        x, y = np.linspace(-0.5, width - 0.5, across), np.linspace(-0.5, height - 0.5, down)
        pixels = np.stack(np.meshgrid(x, y), axis=-1)
        angles, met = looks(self.lens, pixels)
        if met.mean() < 0.5:
            raise ValueError(
                f"camera {self.lens.name!r}: its lens does not reach most of its pixels; check its numbers"
            )
        self.drawn = self._camera(angles[met], width)
        seen = angles * self.drawn.fw_poly[1] + (self.drawn.cx, self.drawn.cy)
        seen = np.where(met[..., None], seen, -1e4)
        # nodes lie on the picture's outer corners; pixels are read between them
        u = np.interp(np.arange(width), x, np.arange(across))
        v = np.interp(np.arange(height), y, np.arange(down))
        at = np.meshgrid(u.astype(np.float32), v.astype(np.float32))
        self._x, self._y = (
            cv2.remap(seen[..., k].astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for k in range(2)
        )

    def _camera(self, angles: Float, width: int) -> Camera:
        """Angles that are looked at (N, 2) -> an f-theta camera that sees them all and is fine enough."""
        low, span = angles.min(axis=0), np.maximum(np.ptp(angles, axis=0), 1e-3)
        focal = min(FINER * width / float(span[0]), (LARGEST_PX - 8) / float(span.max()))
        across, down = (max(8, math.ceil(focal * float(side)) + 4) for side in span)
        cx, cy = (1.5 - focal * float(least) for least in low)
        return Camera(self.lens.name, "ftheta", across, down, cx, cy, (0.0, focal), (0.0, 1.0 / focal), np.eye(4))

    def picture(self, drawn: Picture) -> Picture:
        """A picture of `drawn` -> the picture of the lens; what the lens does not reach is black."""
        found = cv2.remap(drawn, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(found, dtype=np.uint8)


def looks(lens: Lens, pixels: Float) -> tuple[Float, NDArray[np.bool_]]:
    """A lens and pixels (..., 2) -> where they look (..., 2), and whether that was found (...).

    A direction is its angle from the axis times its direction in the picture. Newton's method with differences, from
    the axis outwards.
    """

    def shown(angles: Float) -> Float:
        theta = np.hypot(angles[..., 0], angles[..., 1])
        rays = np.concatenate([angles * np.sinc(theta / np.pi)[..., None], np.cos(theta)[..., None]], axis=-1)
        return lens.project(rays)[0]

    h = 1e-5
    right, below = np.array([h, 0.0]), np.array([0.0, h])
    angles = np.zeros(pixels.shape)
    for _ in range(NEWTON_STEPS):
        here = shown(angles)
        along_x = (shown(angles + right) - here) / h
        along_y = (shown(angles + below) - here) / h
        determinant = along_x[..., 0] * along_y[..., 1] - along_y[..., 0] * along_x[..., 1]
        determinant = np.where(np.abs(determinant) > 1e-9, determinant, np.inf)
        gap = pixels - here
        step = np.stack(
            [
                (along_y[..., 1] * gap[..., 0] - along_y[..., 0] * gap[..., 1]) / determinant,
                (along_x[..., 0] * gap[..., 1] - along_x[..., 1] * gap[..., 0]) / determinant,
            ],
            axis=-1,
        )
        angles = angles + step / np.maximum(np.linalg.norm(step, axis=-1, keepdims=True) / 0.3, 1.0)
    met = np.linalg.norm(shown(angles) - pixels, axis=-1) < NEAR_PX
    return angles, met & (np.hypot(angles[..., 0], angles[..., 1]) < np.pi)
