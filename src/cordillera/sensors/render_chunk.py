"""Rays that meet one triangle, some dozens at a time: what all materials share, in loops that become vector code.

A chunk's numbers lie in one flat array, row after row, each row CHUNK long: the compiler knows then that no two rows
overlap, and makes vector instructions of a loop over them. For the same reason the numbers are single, the indices
unsigned, and what needs a branch or a look-up has a loop of its own. Places are relative to the camera, so that single
precision is enough anywhere on earth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, inner
from cordillera.sensors.light import Light
from cordillera.types import Float

CHUNK = 64
LANES = 32  # loops go on to a multiple of this, so that none has a rest to do one by one
F: Any = np.float32
Single = NDArray[np.float32]
Whole = NDArray[np.int32]

ROWS = [np.uint64(CHUNK * k) for k in range(38)]
# distance; direction of the ray, place and normal in the world; colour; light given off; strength and light of a mirror
D, WX, WY, WZ, X, Y, Z, NX, NY, NZ, R, G, B, ER, EG, EB, MW, MR, MG, MB = ROWS[:20]
LR, LG, LB, U, V, W, FACING, REACH = ROWS[20:28]  # light that arrives; place in the shadow maps, and what it says
A0, A1, A2, A3, A4, A5, A6, A7, A8, A9 = ROWS[28:]  # of a material's own
KIND, I0, I1, I2, I3, I4, I5, I6, I7 = ROWS[:9]  # semantic class, and whole numbers of a pass's own


class Chunk(NamedTuple):
    """Working memory of the shader: rows of numbers, see above."""

    f: Single  # (len(ROWS) * CHUNK,)
    k: Whole  # (9 * CHUNK,)


class Shaded(NamedTuple):
    """What N rays bring back."""

    rgb: Single  # (N, 3) linear
    kind: NDArray[np.uint8]  # (N,) Semantic
    depth: Single  # (N,) m along the ray, inf for the sky
    mirror: Single  # (N,) wet ground that mirrors, 0..1


def room_for_chunk() -> Chunk:
    """Nothing -> working memory."""
    return Chunk(np.zeros(len(ROWS) * CHUNK, np.float32), np.zeros(9 * CHUNK, np.int32))


def room_for_rays(n: int) -> Shaded:
    """A number of rays -> room for what they bring back."""
    return Shaded(np.empty((n, 3), np.float32), np.empty(n, np.uint8), np.empty(n, np.float32), np.zeros(n, np.float32))


@inlined
def filled(c: Single, row: int, m: int, value: float) -> None:
    """One number -> a row."""
    for i in range(np.uint64(m)):
        c[row + i] = value


@inner
def fetch(ray: Single, axes: Float, plane: Float, order: Whole, first: int, n: int, m: int, c: Single) -> None:
    """Rays order[first : first + n] of one triangle -> D and W, and X, Y, Z; the last is repeated up to m."""
    for i in range(n):
        j = np.uint64(order[first + i])
        for k in range(3):
            c[A0 + np.uint64(k * CHUNK + i)] = ray[k, j]
    for k in range(3):
        last = c[A0 + np.uint64(k * CHUNK + n - 1)]
        for i in range(n, m):
            c[A0 + np.uint64(k * CHUNK + i)] = last
    a, b, d = F(axes[0, 0]), F(axes[1, 0]), F(axes[2, 0])
    e, f, g = F(axes[0, 1]), F(axes[1, 1]), F(axes[2, 1])
    h, o, q = F(axes[0, 2]), F(axes[1, 2]), F(axes[2, 2])
    px, py, pz = F(plane[0]), F(plane[1]), F(plane[2])
    for i in range(np.uint64(m)):
        x, y, z = c[A0 + i], c[A1 + i], c[A2 + i]
        distance = F(1.0) / max(px * x + py * y + pz * z, F(1e-6))
        wx, wy, wz = a * x + b * y + d * z, e * x + f * y + g * z, h * x + o * y + q * z
        c[D + i], c[WX + i], c[WY + i], c[WZ + i] = distance, wx, wy, wz
        c[X + i], c[Y + i], c[Z + i] = distance * wx, distance * wy, distance * wz


@inner
def sky_chunk(sky: Single, c: Single, k: Whole, n: int, m: int) -> None:
    """Directions A0, A1, A2 -> the sky's colour there in MR, MG, MB where MW > 0, bilinear in the octahedral map."""
    size, top = F(sky.shape[0]), F(sky.shape[0] - 1.001)
    half, zero = F(0.5), F(0.0)
    for i in range(np.uint64(m)):
        x, y, z = c[A0 + i], c[A1 + i], max(c[A2 + i], zero)
        per = half / (abs(x) + abs(y) + z)
        u = min(max(((x + y) * per + half) * size - half, zero), top)
        v = min(max(((x - y) * per + half) * size - half, zero), top)
        a, b = np.int32(u), np.int32(v)
        k[I0 + i], k[I1 + i] = a, b
        c[A3 + i], c[A4 + i] = u - F(a), v - F(b)
    one = F(1.0)
    for i in range(np.uint64(n)):
        if c[MW + i] <= zero:
            continue
        fu, fv = c[A3 + i], c[A4 + i]
        row, column = np.uint32(k[I1 + i]), np.uint32(k[I0 + i])
        a, b, d, e = (one - fu) * (one - fv), fu * (one - fv), (one - fu) * fv, fu * fv
        below, right = np.uint32(row + 1), np.uint32(column + 1)
        p, q, r, s = sky[row, column], sky[row, right], sky[below, column], sky[below, right]
        c[MR + i] = a * p[0] + b * q[0] + d * r[0] + e * s[0]
        c[MG + i] = a * p[1] + b * q[1] + d * r[1] + e * s[1]
        c[MB + i] = a * p[2] + b * q[2] + d * r[2] + e * s[2]


@inlined
def mirror_chunk(light: Light, c: Single, k: Whole, n: int, m: int) -> None:
    """Directions of view and normals -> what a clear coat mirrors; MW becomes its share (Schlick's approximation)."""
    zero, one, two = F(0.0), F(1.0), F(2.0)
    for i in range(np.uint64(m)):
        wx, wy, wz, nx, ny, nz = c[WX + i], c[WY + i], c[WZ + i], c[NX + i], c[NY + i], c[NZ + i]
        cosine = -(wx * nx + wy * ny + wz * nz)
        c[A0 + i], c[A1 + i] = wx + two * cosine * nx, wy + two * cosine * ny
        c[A2 + i] = wz + two * cosine * nz
        weak = one - max(zero, cosine)
        fresnel = F(0.04) + F(0.96) * (weak * weak) * (weak * weak) * weak
        c[MW + i] = min(one, c[MW + i] * fresnel)
    sky_chunk(light.sky, c, k, n, m)
    dr, dg, db = F(0.5 * light.sky_down[0]), F(0.5 * light.sky_down[1]), F(0.5 * light.sky_down[2])
    for i in range(np.uint64(m)):  # below the horizon lies the ground
        share = min(one, max(zero, (F(0.05) - c[A2 + i]) * F(6.0)))
        r, g, b = c[MR + i], c[MG + i], c[MB + i]
        c[MR + i] = min(r + share * (dr - r), F(3.0))
        c[MG + i] = min(g + share * (dg - g), F(3.0))
        c[MB + i] = min(b + share * (db - b), F(3.0))


@inlined
def clear_air(thick: float) -> float:
    """The optical thickness of air -> exp(-thick), within 2e-4: the series for a sixteenth, squared four times."""
    one = F(1.0)
    x = min(thick, F(16.0)) * F(0.0625)
    k = one - x * (one - x * (F(0.5) - x * (F(1.0 / 6.0) - x * F(1.0 / 24.0))))
    k = k * k
    k = k * k
    k = k * k
    return k * k


@inlined
def air_chunk(light: Light, c: Single, m: int) -> None:
    """Colours under their light, with what they give off and mirror -> R, G, B as they arrive through the air."""
    thick = F(light.fog_per_m)
    fr, fg, fb = F(light.fog[0]), F(light.fog[1]), F(light.fog[2])
    for i in range(np.uint64(m)):
        r = c[R + i] * c[LR + i] + c[ER + i]
        g = c[G + i] * c[LG + i] + c[EG + i]
        b = c[B + i] * c[LB + i] + c[EB + i]
        mirror = c[MW + i]
        r, g, b = r + mirror * (c[MR + i] - r), g + mirror * (c[MG + i] - g), b + mirror * (c[MB + i] - b)
        clear = clear_air(c[D + i] * thick)
        c[R + i], c[G + i], c[B + i] = fr + clear * (r - fr), fg + clear * (g - fg), fb + clear * (b - fb)


@inner
def put(c: Single, k: Whole, order: Whole, first: int, n: int, out: Shaded) -> None:
    """A chunk -> the places of its rays; MW becomes the mirror of wet ground."""
    for i in range(np.uint64(n)):
        j = np.uint64(order[np.uint64(first) + i])
        out.rgb[j, 0], out.rgb[j, 1], out.rgb[j, 2] = c[R + i], c[G + i], c[B + i]
        out.kind[j], out.depth[j] = k[KIND + i], c[D + i]
