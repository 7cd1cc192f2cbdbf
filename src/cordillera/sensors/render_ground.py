"""A point of the ground -> what it is made of and what is painted on it, filtered over the footprint of a pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, inner
from cordillera.sensors.render_chunk import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    A8,
    A9,
    I0,
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    KIND,
    LB,
    LG,
    LR,
    WX,
    WY,
    B,
    D,
    F,
    G,
    R,
    Single,
    U,
    V,
    W,
    Whole,
    X,
    Y,
    Z,
)  # fmt: skip
from cordillera.sensors.render_geometry import View
from cordillera.sensors.render_light import Tables
from cordillera.sensors.scene_ground import MIXED, NODES, OPEN_GROUND, ROADWAY, STEP_M, TILE_M, Surface
from cordillera.sensors.scene_marks import CELL_M, Strokes
from cordillera.types import Float

EDGE_PER_M = 1.1  # slope of the blurred classes across an edge
TILE_BITS = round(math.log2(TILE_M / STEP_M))
ROAD, LANE_MARK, BIKE_LANE, SIDEWALK, TERRAIN = 1, 2, 5, 6, 8  # Semantic


@inlined
def blurred(surface: Surface, i: int, channel: int, tile: int, c: Single, k: Whole) -> float:
    """Ray i's cell of the surface, and how far it is along it -> one class there, 0..1, bilinear."""
    column, row = np.uint32(k[I4 + i] & (NODES - 2)), np.uint32(k[I5 + i] & (NODES - 2))
    cover, right, below = surface.cover[tile], np.uint32(column + 1), np.uint32(row + 1)
    u, v, one = c[LR + i], c[LG + i], F(1.0)
    top = (one - u) * F(cover[row, column, channel]) + u * F(cover[row, right, channel])
    bottom = (one - u) * F(cover[below, column, channel]) + u * F(cover[below, right, channel])
    return F(1.0 / 255.0) * ((one - v) * top + v * bottom)


@inlined
def sharpened(value: float, slope: float) -> float:
    """A blurred class, and how steeply it changes a footprint -> the share that it covers, as if straight-edged."""
    return min(F(1.0), max(F(0.0), F(0.5) + (value - F(0.5)) * slope))


@inlined
def grain(noise: NDArray[np.uint8], layer: int, x: float, y: float, per_m: float) -> float:
    """Noise in 0..1 at a place, nearest sample."""
    return noise[layer, math.floor(y * per_m) & 255, math.floor(x * per_m) & 255] * (1.0 / 255.0)


@inlined
def dashes(s: float, half: float, painted: float, period: float) -> float:
    """The painted share of [s - half, s + half] of a broken line."""
    low, high = (s - half) / period, (s + half) / period
    duty = painted / period
    p, q = np.floor(low), np.floor(high)
    a, b = p * duty + min(low - p, duty), q * duty + min(high - q, duty)
    return (b - a) / (high - low)


@inlined
def stroke_cell(strokes: Strokes, column: int, row: int) -> int:
    """A column and a row -> the cell, -1 where no stroke is."""
    if not (0 <= row < strokes.rows and 0 <= column < strokes.columns):
        return -1
    if strokes.blocks[row >> 2, column >> 2] == 0:
        return -1
    cell = row * strokes.columns + column
    return cell if strokes.first[cell] < strokes.first[cell + 1] else -1


@inlined
def may_touch(strokes: Strokes, cell: int, x: float, y: float, z: float, reach: float) -> bool:
    """A place from the strokes' corner, and half a footprint's extent -> whether paint of the cell may lie in it."""
    for k in range(strokes.first[cell], strokes.first[cell + 1]):
        line = strokes.slim[strokes.member[k]]
        px, py = x - line[0], y - line[1]
        across, along = abs(py * line[2] - px * line[3]), px * line[2] + py * line[3]
        beside = (across > line[5] + reach) | (along < -reach) | (along > line[4] + reach)
        if not (beside | (abs(z - line[6]) > F(1.51))):
            return True
    return False


@inlined
def paint_at(
    strokes: Strokes, cell: int, x: float, y: float, z: float, ux: float, uy: float, vx: float, vy: float
) -> tuple[float, int, int]:  # fmt: skip
    """A place in a cell, and the two sides of a pixel's footprint -> painted share, colour, and the paint's class."""
    bare, most, color, kind = 1.0, 0.0, 0, LANE_MARK
    reach = abs(ux) + abs(uy) + abs(vx) + abs(vy) + 0.008
    for k in range(strokes.first[cell], strokes.first[cell + 1]):
        m = strokes.member[k]
        line = strokes.line[m]
        dx, dy, length = line[2], line[3], line[4]
        px, py = x - line[0], y - line[1]
        across = abs(py * dx - px * dy)
        if across > line[7] + 0.5 * reach or abs(line[5] - z) > 1.5:
            continue
        wide = max(0.5 * (abs(uy * dx - ux * dy) + abs(vy * dx - vx * dy)), 0.004)
        cover = min(across + wide, line[7]) - max(across - wide, -line[7])
        if cover <= 0.0:
            continue
        cover /= 2.0 * wide
        along = px * dx + py * dy
        deep = max(0.5 * (abs(ux * dx + uy * dy) + abs(vx * dx + vy * dy)), 0.004)
        share = min(along + deep, length) - max(along - deep, 0.0)
        if share <= 0.0:
            continue
        cover *= share / (2.0 * deep)
        if line[9] > 0.0:
            cover *= dashes(line[6] + along, deep, line[8], line[9])
        bare *= 1.0 - min(cover, 1.0)
        if cover > most:
            most, color, kind = cover, int(strokes.color[m]), int(strokes.semantic[m])
    return 1.0 - bare, color, kind


@inlined
def ground_chunk(tables: Tables, view: View, plane: Float, deck: bool, c: Single, k: Whole, n: int, m: int) -> None:
    """A triangle of the ground and what its rays meet -> colour, KIND, and, where wet, how much it mirrors in A3."""
    footprints(view, plane, c, m)
    look_ups(tables, view.origin, c, k, m)
    grains, clouds = tables.noise[0], tables.noise[1]
    for i in range(np.uint64(n)):
        c[A1 + i] = noise_byte(grains, k[I0 + i])
        c[A2 + i] = noise_byte(clouds, k[I1 + i]) + noise_byte(clouds, k[I2 + i])
        c[A3 + i] = noise_byte(clouds, k[I3 + i])
        classes(tables.surface, deck, i, c, k)
    mix_ground(view.origin, c, k, m)
    painted(tables, view.origin, c, k, n)
    if tables.light.wet > 0.0:
        wet_chunk(tables, view.origin, plane, c, n)


@inlined
def classes(surface: Surface, deck: bool, i: int, c: Single, k: Whole) -> None:
    """Ray i -> how much road, pavement and bicycle lane is where it meets the ground, blurred, in LB, V and W."""
    one, zero = F(1.0), F(0.0)
    if deck:
        c[LB + i], c[V + i], c[W + i] = one, one, zero
        return
    row, column = k[I5 + i] >> TILE_BITS, k[I4 + i] >> TILE_BITS
    tile = -1
    if 0 <= row < surface.slot.shape[0] and 0 <= column < surface.slot.shape[1]:
        tile = surface.slot[row, column]
    plain = OPEN_GROUND if tile < 0 else surface.plain[tile, k[I5 + i] & (NODES - 2), k[I4 + i] & (NODES - 2)]
    if plain == MIXED:
        c[LB + i], c[V + i] = blurred(surface, i, 0, tile, c, k), blurred(surface, i, 1, tile, c, k)
        c[W + i] = blurred(surface, i, 2, tile, c, k)
    else:
        all_road = one if plain == ROADWAY else zero
        c[LB + i], c[V + i], c[W + i] = all_road, all_road, zero


@inner
def mix_ground(origin: Float, c: Single, k: Whole, m: int) -> None:
    """Classes, footprints and noise -> colour and KIND; A0 the share of road, A1 grain and A2 clouds of noise."""
    half, one, per, none = F(0.5), F(1.0), F(1.0 / 255.0), F(0.0)
    slab, sx, sy = F(1.6), F(origin[0] * 1.6 % 1.0), F(origin[1] * 1.6 % 1.0)
    for i in range(np.uint64(m)):
        fine = one + c[A0 + i] * (c[A1 + i] * per - half) * F(0.7)
        broad, tint = half * per * c[A2 + i] - half, c[A3 + i] * per - half
        slope = one / c[A9 + i]
        road, paved, bike = sharpened(c[LB + i], slope), sharpened(c[V + i], slope), sharpened(c[W + i], slope)
        r = fine * (F(0.105) + F(0.09) * tint + F(0.05) * broad)
        g = fine * (F(0.140) + F(0.05) * tint + F(0.05) * broad)
        b = fine * (F(0.048) + F(0.02) * tint)
        u, v = c[X + i] * slab + sx, c[Y + i] * slab + sy
        gap = max(abs(u - np.floor(u) - half), abs(v - np.floor(v) - half))  # between the slabs of a pavement
        joint = F(0.80) if (gap > F(0.475)) & (c[A8 + i] < F(0.12)) else one
        stone = (F(0.30) + F(0.10) * broad) * joint * (F(0.7) + F(0.3) * fine)
        r, g, b = r + paved * (stone - r), g + paved * (F(0.97) * stone - g), b + paved * (F(0.92) * stone - b)
        tar = (F(0.098) + F(0.05) * broad) * fine
        r, g, b = r + road * (tar - r), g + road * (tar - g), b + road * (F(1.03) * tar - b)
        bike = bike if road > none else none
        r, g, b = r + bike * (F(0.16) * fine - r), g + bike * (F(0.060) * fine - g), b + bike * (F(0.05) * fine - b)
        c[R + i], c[G + i], c[B + i], c[A0 + i], c[A1 + i], c[A2 + i] = r, g, b, road, fine, broad
        beside = np.int32(SIDEWALK) if paved > half else np.int32(TERRAIN)
        drivable = np.int32(BIKE_LANE) if c[W + i] > half else np.int32(ROAD)
        k[KIND + i] = drivable if road > half else beside


@inner
def footprints(view: View, plane: Float, c: Single, m: int) -> None:
    """Distances and rays -> the footprint's sides (ux, uy, vx, vy) in A4 to A7, A8 narrow, A9 wide, A0 near, U reach.

    The sides are the image's axes, moved along the ray until they lie in the plane. The cosine between ray and normal
    is the inverse distance over the plane's length.
    """
    size = math.sqrt(plane[0] * plane[0] + plane[1] * plane[1] + plane[2] * plane[2])
    length, per_focal = F(size), F(1.0 / view.focal)
    slope_u, slope_v = F(-plane[0] / size), F(-plane[1] / size)
    ax, ay, bx, by = F(view.axes[0, 0]), F(view.axes[0, 1]), F(view.axes[1, 0]), F(view.axes[1, 1])
    half, one = F(0.5), F(1.0)
    for i in range(np.uint64(m)):
        distance, wx, wy = c[D + i], c[WX + i], c[WY + i]
        per_cosine, step = min(distance * length, F(1e4)), distance * per_focal
        ku, kv = slope_u * per_cosine, slope_v * per_cosine
        ux, uy, vx, vy = step * (ax + ku * wx), step * (ay + ku * wy), step * (bx + kv * wx), step * (by + kv * wy)
        foot = half * (abs(ux) + abs(uy) + abs(vx) + abs(vy))
        c[U + i] = foot + F(0.01)
        narrow = np.sqrt(min(ux * ux + uy * uy, vx * vx + vy * vy))
        c[A4 + i], c[A5 + i], c[A6 + i], c[A7 + i], c[A8 + i] = ux, uy, vx, vy, narrow
        c[A9 + i] = F(EDGE_PER_M) * max(half * (narrow + min(foot, one)), F(0.05))
        c[A0 + i] = one / (one + F(8.0) * narrow)


@inlined
def texel(u: float, v: float) -> np.int32:
    """A place in the noise -> row * 256 + column; both repeat."""
    return ((np.int32(np.floor(v)) & np.int32(255)) << np.int32(8)) | (np.int32(np.floor(u)) & np.int32(255))


@inlined
def noise_byte(noise: NDArray[np.uint8], place: np.int32) -> float:
    """A place as `texel` gives it -> 0..255."""
    return F(noise[np.uint32(place) >> np.uint32(8), np.uint32(place) & np.uint32(255)])


@inlined
def look_ups(tables: Tables, origin: Float, c: Single, k: Whole, m: int) -> None:
    """Places -> texels of four reads of noise in I0 to I3; columns and rows of the surface and the strokes after."""
    x0, y0 = origin[0], origin[1]
    ax, ay, bx, by = F(x0 * 34.0 % 256.0), F(y0 * 34.0 % 256.0), F(x0 * 3.1 % 256.0), F(y0 * 3.1 % 256.0)
    dx, dy, ex, ey = F(x0 * 0.9 % 256.0), F(y0 * 0.9 % 256.0), F(x0 * 0.23 % 256.0), F(y0 * 0.23 % 256.0)
    surface, strokes = tables.surface, tables.strokes
    u, v = (x0 - surface.x0) / STEP_M, (y0 - surface.y0) / STEP_M
    s, t = (x0 - strokes.x0) / CELL_M, (y0 - strokes.y0) / CELL_M
    fu, fv, fs, ft = F(u - math.floor(u)), F(v - math.floor(v)), F(s - math.floor(s)), F(t - math.floor(t))
    iu, iv, si, ti = np.int32(math.floor(u)), np.int32(math.floor(v)), np.int32(math.floor(s)), np.int32(math.floor(t))
    per_step, per_cell = F(1.0 / STEP_M), F(1.0 / CELL_M)
    for i in range(np.uint64(m)):
        x, y = c[X + i], c[Y + i]
        k[I0 + i] = texel(x * F(34.0) + ax, y * F(34.0) + ay)
        k[I1 + i] = texel(x * F(3.1) + bx, y * F(3.1) + by)
        k[I2 + i] = texel(y * F(0.9) + dy, -(x * F(0.9) + dx))
        k[I3 + i] = texel(y * F(0.23) + ey, x * F(0.23) + ex)
        p, q = x * per_step + fu, y * per_step + fv
        left, low = np.floor(p), np.floor(q)
        k[I4 + i], k[I5 + i], c[LR + i], c[LG + i] = iu + np.int32(left), iv + np.int32(low), p - left, q - low
        k[I6 + i], k[I7 + i] = si + np.int32(np.floor(x * per_cell + fs)), ti + np.int32(np.floor(y * per_cell + ft))


@inlined
def painted(tables: Tables, origin: Float, c: Single, k: Whole, n: int) -> None:
    """Where paint may lie -> colour and KIND."""
    strokes = tables.strokes
    sx, sy, sz = F(origin[0] - strokes.x0), F(origin[1] - strokes.y0), F(origin[2])
    for i in range(np.uint64(n)):
        cell = stroke_cell(strokes, k[I6 + i], k[I7 + i])
        if cell < 0 or not may_touch(strokes, cell, sx + c[X + i], sy + c[Y + i], sz + c[Z + i], c[U + i]):
            continue
        x, y, z = origin[0] + c[X + i], origin[1] + c[Y + i], origin[2] + c[Z + i]
        ux, uy, vx, vy = float(c[A4 + i]), float(c[A5 + i]), float(c[A6 + i]), float(c[A7 + i])
        cover, color, mark = paint_at(strokes, cell, x, y, z, ux, uy, vx, vy)
        worn = F(cover) * (F(0.93) + F(0.25) * (c[A1 + i] - F(1.0)) + F(0.4) * min(c[A2 + i], F(0.0)))
        rgb = tables.stroke_rgb[color]
        c[R + i] += worn * (F(rgb[0]) - c[R + i])
        c[G + i] += worn * (F(rgb[1]) - c[G + i])
        c[B + i] += worn * (F(rgb[2]) - c[B + i])
        if cover > 0.5:
            k[KIND + i] = np.int32(mark)


@inner
def wet_chunk(tables: Tables, origin: Float, plane: Float, c: Single, n: int) -> None:
    """Ground in rain -> darker, and the share that its film of water mirrors in A3."""
    wet = tables.light.wet
    dark, size = F(1.0 - 0.45 * wet), math.sqrt(plane[0] * plane[0] + plane[1] * plane[1] + plane[2] * plane[2])
    for i in range(np.uint64(n)):
        c[R + i], c[G + i], c[B + i] = dark * c[R + i], dark * c[G + i], dark * c[B + i]
        puddle = grain(tables.noise, 1, origin[0] + c[X + i], origin[1] + c[Y + i], 1.7)
        mirror = wet * (0.35 + 0.65 * c[A0 + i]) * min(1.0, max(0.15, 2.2 * (puddle - 0.30)))
        weak = 1.0 - 1.0 / min(c[D + i] * size, 1e4)  # asphalt breaks the film: less than a smooth surface
        c[A3 + i] = F(mirror * (0.03 + 0.60 * (weak * weak) * (weak * weak)))
