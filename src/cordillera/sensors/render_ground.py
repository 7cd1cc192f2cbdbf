"""A point of the ground -> what it is made of and what is painted on it, filtered over the footprint of a pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined
from cordillera.sensors.render_light import Tables
from cordillera.sensors.scene_ground import MIXED, NODES, OPEN_GROUND, ROADWAY, STEP_M, TILE_M, Surface
from cordillera.sensors.scene_marks import CELL_M, Strokes

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
def paint_at(
    strokes: Strokes, x: float, y: float, z: float, ux: float, uy: float, vx: float, vy: float
) -> tuple[float, int, int]:  # fmt: skip
    """A place, and the two sides of a pixel's footprint -> painted share, colour, and the class of the paint."""
    j, i = math.floor((x - strokes.x0) / CELL_M), math.floor((y - strokes.y0) / CELL_M)
    if not (0 <= i < strokes.rows and 0 <= j < strokes.columns):
        return 0.0, 0, LANE_MARK
    if strokes.blocks[i >> 2, j >> 2] == 0:
        return 0.0, 0, LANE_MARK
    cell = i * strokes.columns + j
    if strokes.first[cell] == strokes.first[cell + 1]:
        return 0.0, 0, LANE_MARK
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


@inlined
def ground_at(
    tables: Tables, x: float, y: float, z: float, ux: float, uy: float, vx: float, vy: float, deck: bool
) -> tuple[float, float, float, int, float]:  # fmt: skip
    """A place on the ground and a pixel's footprint -> colour, semantic class, and how smooth it is for reflections."""
    foot = 0.5 * (abs(ux) + abs(uy) + abs(vx) + abs(vy))
    narrow = math.sqrt(min(ux * ux + uy * uy, vx * vx + vy * vy))
    wide = EDGE_PER_M * max(0.5 * (narrow + min(foot, 1.0)), 0.05)
    near = 1.0 / (1.0 + 8.0 * narrow)
    fine = 1.0 + near * (grain(tables.noise, 0, x, y, 34.0) - 0.5) * 0.7
    broad = 0.5 * (grain(tables.noise, 1, x, y, 3.1) + grain(tables.noise, 1, y, -x, 0.9)) - 0.5
    tile, row, column, fu, fv = cell_of(tables.surface, x, y)
    plain = MIXED
    if wide <= 1.0:  # else the footprint reaches into the next cells
        open_or_cell = int(tables.surface.plain[tile, row, column]) if tile >= 0 else OPEN_GROUND
        plain = ROADWAY if deck else open_or_cell
    if plain == ROADWAY:
        r = g = (0.098 + 0.05 * broad) * fine
        b, kind, on_road = 1.03 * r, ROAD, 1.0
    elif plain == OPEN_GROUND:
        r, g, b = open_ground(tables, x, y, fine, broad)
        kind, on_road = TERRAIN, 0.0
    else:
        covers = (1.0, 1.0, 0.0) if deck else surface_at(tables.surface, tile, row, column, fu, fv)
        r, g, b, kind, on_road = mixed_ground(tables, x, y, fine, broad, narrow, wide, covers)
    cover, color, mark = paint_at(tables.strokes, x, y, z, ux, uy, vx, vy)
    if cover > 0.0:
        worn = cover * (0.93 + 0.25 * (fine - 1.0) + 0.4 * min(broad, 0.0))
        rgb = tables.stroke_rgb[color]
        r, g, b = r + worn * (rgb[0] - r), g + worn * (rgb[1] - g), b + worn * (rgb[2] - b)
        if cover > 0.5:
            kind = mark
    return r, g, b, kind, on_road
