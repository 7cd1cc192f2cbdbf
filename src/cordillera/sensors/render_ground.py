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
    WX,
    WY,
    B,
    D,
    F,
    G,
    R,
    Single,
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
def cell_of(surface: Surface, x: float, y: float) -> tuple[int, int, int, float, float]:
    """A place -> its tile, -1 for none, the row and column of its cell there, and how far it is along the cell."""
    u, v = (x - surface.x0) / STEP_M, (y - surface.y0) / STEP_M
    j, i = math.floor(u), math.floor(v)
    row, column = i >> TILE_BITS, j >> TILE_BITS
    if not (0 <= row < surface.slot.shape[0] and 0 <= column < surface.slot.shape[1]):
        return -1, 0, 0, 0.0, 0.0
    return surface.slot[row, column], i & (NODES - 2), j & (NODES - 2), u - j, v - i


@inlined
def surface_at(surface: Surface, tile: int, r: int, c: int, fu: float, fv: float) -> tuple[float, float, float]:
    """A place in its cell (see `cell_of`) -> how much road, pavement and bicycle lane is there, blurred."""
    if tile < 0:
        return 0.0, 0.0, 0.0
    cover = surface.cover[tile]
    p, q, s, t = (1.0 - fu) * (1.0 - fv), fu * (1.0 - fv), (1.0 - fu) * fv, fu * fv
    w, e, n, m = cover[r, c], cover[r, c + 1], cover[r + 1, c], cover[r + 1, c + 1]
    k = 1.0 / 255.0
    return (
        (p * w[0] + q * e[0] + s * n[0] + t * m[0]) * k,
        (p * w[1] + q * e[1] + s * n[1] + t * m[1]) * k,
        (p * w[2] + q * e[2] + s * n[2] + t * m[2]) * k,
    )


@inlined
def sharpened(value: float, slope: float) -> float:
    """A blurred class, and how steeply it changes a footprint -> the share that it covers, as if straight-edged."""
    return min(1.0, max(0.0, 0.5 + (value - 0.5) * slope))


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
def open_ground(tables: Tables, x: float, y: float, fine: float, broad: float) -> tuple[float, float, float]:
    """A place off all roads, and its noise -> colour of grass and earth."""
    tint = grain(tables.noise, 1, y, x, 0.23) - 0.5
    r, g, b = 0.105 + 0.09 * tint + 0.05 * broad, 0.140 + 0.05 * tint + 0.05 * broad, 0.048 + 0.02 * tint
    return r * fine, g * fine, b * fine


@inlined
def mixed_ground(
    tables: Tables, x: float, y: float, fine: float, broad: float, narrow: float, wide: float,
    covers: tuple[float, float, float],
) -> tuple[float, float, float, int, float]:  # fmt: skip
    """A place where classes may meet, their blurred shares -> colour, semantic class, and the share of road."""
    road, paved, bike = covers
    slope = 1.0 / wide
    on_road, on_paved = sharpened(road, slope), sharpened(paved, slope)
    r, g, b = open_ground(tables, x, y, fine, broad)
    if on_paved > 0.0:
        joint = 1.0
        if narrow < 0.12:
            fx, fy = abs(x * 1.6 - math.floor(x * 1.6) - 0.5), abs(y * 1.6 - math.floor(y * 1.6) - 0.5)
            joint = 0.80 if max(fx, fy) > 0.475 else 1.0
        stone = (0.30 + 0.10 * broad) * joint * (0.7 + 0.3 * fine)
        r, g, b = r + on_paved * (stone - r), g + on_paved * (0.97 * stone - g), b + on_paved * (0.92 * stone - b)
    if on_road > 0.0:
        tar = (0.098 + 0.05 * broad) * fine
        r, g, b = r + on_road * (tar - r), g + on_road * (tar - g), b + on_road * (1.03 * tar - b)
        on_bike = sharpened(bike, slope)
        if on_bike > 0.0:
            r, g, b = r + on_bike * (0.16 * fine - r), g + on_bike * (0.060 * fine - g), b + on_bike * (0.05 * fine - b)
    kind = TERRAIN
    if on_road > 0.5:
        kind = BIKE_LANE if bike > 0.5 else ROAD
    elif on_paved > 0.5:
        kind = SIDEWALK
    return r, g, b, kind, on_road


@inner
def ground_chunk(tables: Tables, view: View, plane: Float, deck: bool, c: Single, k: Whole, n: int, m: int) -> None:
    """A triangle of the ground and what its rays meet -> colour, KIND, and, where wet, how much it mirrors in A3."""
    footprints(view, plane, c, m)
    look_ups(tables, view.origin, c, k, m)
    noise, one = tables.noise, F(1.0)
    for i in range(np.uint64(n)):
        c[A1 + i] = noise_byte(noise, 0, k[I0 + i])
        c[A2 + i] = noise_byte(noise, 1, k[I1 + i]) + noise_byte(noise, 1, k[I2 + i])
        c[A3 + i] = noise_byte(noise, 1, k[I3 + i])
        plain = ROADWAY if deck else plain_at(tables.surface, k[I4 + i], k[I5 + i])
        k[I0 + i] = MIXED if c[A9 + i] > one else plain  # a wide footprint reaches into the next cells
    half, per = F(0.5), F(1.0 / 255.0)
    for i in range(np.uint64(m)):
        fine = one + c[A0 + i] * (c[A1 + i] * per - half) * F(0.7)
        broad, tint = half * per * c[A2 + i] - half, c[A3 + i] * per - half
        tar = F(0.098) + F(0.05) * broad
        is_road = k[I0 + i] == ROADWAY
        c[R + i] = fine * (tar if is_road else F(0.105) + F(0.09) * tint + F(0.05) * broad)
        c[G + i] = fine * (tar if is_road else F(0.140) + F(0.05) * tint + F(0.05) * broad)
        c[B + i] = fine * (F(1.03) * tar if is_road else F(0.048) + F(0.02) * tint)
        c[A0 + i], c[A1 + i], c[A2 + i] = one if is_road else F(0.0), fine, broad
        k[KIND + i] = np.int32(ROAD) if is_road else np.int32(TERRAIN)
    mixed_and_painted(tables, view.origin, deck, c, k, n)
    if tables.light.wet > 0.0:
        wet_chunk(tables, view.origin, plane, c, n)


@inner
def footprints(view: View, plane: Float, c: Single, m: int) -> None:
    """Distances and rays -> the footprint's sides (ux, uy, vx, vy) in A4 to A7, A8 narrow, A9 wide, A0 nearness.

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
        narrow = np.sqrt(min(ux * ux + uy * uy, vx * vx + vy * vy))
        c[A4 + i], c[A5 + i], c[A6 + i], c[A7 + i], c[A8 + i] = ux, uy, vx, vy, narrow
        c[A9 + i] = F(EDGE_PER_M) * max(half * (narrow + min(foot, one)), F(0.05))
        c[A0 + i] = one / (one + F(8.0) * narrow)


@inlined
def texel(u: float, v: float) -> np.int32:
    """A place in the noise -> row * 256 + column; both repeat."""
    return ((np.int32(np.floor(v)) & np.int32(255)) << np.int32(8)) | (np.int32(np.floor(u)) & np.int32(255))


@inlined
def noise_byte(noise: NDArray[np.uint8], layer: int, place: np.int32) -> float:
    """A place as `texel` gives it -> 0..255."""
    return F(noise[layer, np.uint32(place) >> np.uint32(8), np.uint32(place) & np.uint32(255)])


@inlined
def plain_at(surface: Surface, column: int, row: int) -> int:
    """A cell of the surface -> what is alone there."""
    i, j = row >> TILE_BITS, column >> TILE_BITS
    if not (0 <= i < surface.slot.shape[0] and 0 <= j < surface.slot.shape[1]):
        return OPEN_GROUND
    tile = surface.slot[i, j]
    return int(surface.plain[tile, row & (NODES - 2), column & (NODES - 2)]) if tile >= 0 else OPEN_GROUND


@inner
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
        k[I4 + i], k[I5 + i] = iu + np.int32(np.floor(x * per_step + fu)), iv + np.int32(np.floor(y * per_step + fv))
        k[I6 + i], k[I7 + i] = si + np.int32(np.floor(x * per_cell + fs)), ti + np.int32(np.floor(y * per_cell + ft))


@inner
def mixed_and_painted(tables: Tables, origin: Float, deck: bool, c: Single, k: Whole, n: int) -> None:
    """Where classes meet, or paint may lie -> colour, KIND, and the share of road in A0."""
    strokes = tables.strokes
    for i in range(np.uint64(n)):
        cell = stroke_cell(strokes, k[I6 + i], k[I7 + i])
        if cell < 0 and k[I0 + i] != MIXED:
            continue
        x, y, z = origin[0] + c[X + i], origin[1] + c[Y + i], origin[2] + c[Z + i]
        fine, broad = float(c[A1 + i]), float(c[A2 + i])
        r, g, b, kind = float(c[R + i]), float(c[G + i]), float(c[B + i]), int(k[KIND + i])
        if k[I0 + i] == MIXED:
            tile, row, column, fu, fv = cell_of(tables.surface, x, y)
            covers = (1.0, 1.0, 0.0) if deck else surface_at(tables.surface, tile, row, column, fu, fv)
            narrow, wide = float(c[A8 + i]), float(c[A9 + i])
            r, g, b, kind, on_road = mixed_ground(tables, x, y, fine, broad, narrow, wide, covers)
            c[A0 + i] = F(on_road)
        if cell >= 0:
            ux, uy, vx, vy = float(c[A4 + i]), float(c[A5 + i]), float(c[A6 + i]), float(c[A7 + i])
            cover, color, mark = paint_at(strokes, cell, x, y, z, ux, uy, vx, vy)
            worn = cover * (0.93 + 0.25 * (fine - 1.0) + 0.4 * min(broad, 0.0))
            rgb = tables.stroke_rgb[color]
            r, g, b = r + worn * (rgb[0] - r), g + worn * (rgb[1] - g), b + worn * (rgb[2] - b)
            kind = mark if cover > 0.5 else kind
        c[R + i], c[G + i], c[B + i], k[KIND + i] = F(r), F(g), F(b), np.int32(kind)


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
