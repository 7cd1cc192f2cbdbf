"""A triangle and a ray -> its colour and class there: materials, textures and light."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cordillera.sensors.classes import (
    BEACON,
    BEACONS_ON,
    BLINKER_LEFT,
    BLINKER_RIGHT,
    BRAKING,
    CLOTH_1,
    CLOTH_2,
    DECK,
    FOLIAGE,
    GLASS,
    HEADLAMP,
    INDICATES_LEFT,
    INDICATES_RIGHT,
    LAMPS_ON,
    LENS_BOTTOM,
    LENS_MIDDLE,
    LENS_TOP,
    LIT_BOTTOM,
    LIT_MIDDLE,
    LIT_TOP,
    METAL,
    PAINT,
    PAINT_2,
    RETRO,
    RIDER_CLOTH,
    ROOF,
    SIGN,
    STREET_LAMP,
    TAILLAMP,
    Semantic,
)
from cordillera.sensors.kernels import inlined
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_ground import grain, ground_at
from cordillera.sensors.render_light import Tables, light_at, sky_at
from cordillera.sensors.render_raster import Buffers
from cordillera.sensors.scene_arrays import Library
from cordillera.types import Float

Triple = tuple[float, float, float]
RIDER, SIGN_PX = int(Semantic.RIDER), 64


@inlined
def blinks(t_s: float, seed: int, hertz: float) -> bool:
    """A time -> whether a flashing light is on."""
    phase = t_s * hertz + 0.137 * (seed % 7)
    return phase - math.floor(phase) < 0.5


@inlined
def emission(material: int, flags: int, seed: int, t_s: float, color: Float) -> tuple[float, float, float]:
    """A lamp's material, the flags of its owner, time -> the light that it gives off, (0, 0, 0) when it is off."""
    if material == HEADLAMP:
        return (7.0, 7.0, 6.6) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    if material == TAILLAMP:
        if flags & BRAKING:
            return 3.5, 0.03, 0.02
        return (0.22, 0.004, 0.003) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    if material in (BLINKER_LEFT, BLINKER_RIGHT):
        on = flags & (INDICATES_LEFT if material == BLINKER_LEFT else INDICATES_RIGHT)
        return (3.0, 0.75, 0.01) if on and blinks(t_s, 0, 1.5) else (0.0, 0.0, 0.0)
    if material == BEACON:
        on = flags & BEACONS_ON and blinks(t_s, seed + (0 if color[2] > color[0] else 3), 2.3)
        return (6.0 * color[0], 6.0 * color[1], 6.0 * color[2]) if on else (0.0, 0.0, 0.0)
    if material == STREET_LAMP:
        return (6.0, 4.8, 3.0) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    lit = flags & (LIT_TOP if material == LENS_TOP else LIT_MIDDLE if material == LENS_MIDDLE else LIT_BOTTOM)
    return (2.2 * color[0], 2.2 * color[1], 2.2 * color[2]) if lit else (0.0, 0.0, 0.0)


@inlined
def sign_color(tables: Tables, tile: int, y: float, z: float, px: float) -> tuple[float, float, float]:
    """A place on a sign's face (-0.5..0.5 to the viewer's right and up), its size in pixels -> the picture's colour."""
    size, row = SIGN_PX, 0
    while size > px * 1.3 and size > 4:
        row, size = row + size, size // 2
    u = min(max((y + 0.5) * size - 0.5, 0.0), size - 1.001)
    v = min(max((0.5 - z) * size - 0.5, 0.0), size - 1.001)
    j, i = int(u), int(v)
    fu, fv = u - j, v - i
    picture = tables.signs[tile]
    p, q, s, t = picture[row + i, j], picture[row + i, j + 1], picture[row + i + 1, j], picture[row + i + 1, j + 1]
    a, b, c, d = (1.0 - fu) * (1.0 - fv), fu * (1.0 - fv), (1.0 - fu) * fv, fu * fv
    return (
        a * p[0] + b * q[0] + c * s[0] + d * t[0],
        a * p[1] + b * q[1] + c * s[1] + d * t[1],
        a * p[2] + b * q[2] + c * s[2] + d * t[2],
    )


@inlined
def pulse(x: float, half: float, per_span: float, start: float, stop: float) -> float:
    """The share of [x - half, x + half] that lies in [k + start, k + stop] for whole k; per_span is 0.5 / half."""
    low, high = x - half - start, x + half - start
    duty = stop - start
    p, q = np.floor(low), np.floor(high)
    return (q * duty + min(high - q, duty) - p * duty - min(low - p, duty)) * per_span


@inlined
def hash01(a: int, b: int, c: int) -> float:
    """Three whole numbers -> a number in 0..1 that looks random."""
    h = (a * 374761393 + b * 668265263 + c * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


class Wall(NamedTuple):
    """One side of one house, whose normal is the same everywhere on it."""

    k: int  # row of the items
    n: Triple  # normal
    across: Triple  # along the wall
    up: Triple
    at: tuple[float, float]  # of the house's foot along both
    per_bay: float  # bays a metre
    per_floor: float
    window: tuple[float, float, float, float]  # left, right, sill and top in a bay and floor
    shop: bool  # the ground floor has a shop


@inlined
def wall_of(lib: Library, drawn: Drawn, t: int) -> Wall:
    """A drawn triangle of a facade -> the wall that it is part of."""
    face, k, items = drawn.face[t], drawn.owner[t], drawn.items
    v, a, scale, at, seed = lib.tri[face, 0], items.axes[k], items.scale[k], items.xyz[k], items.seed[k]
    px, py, pz = lib.normal[v, 0] / scale[0], lib.normal[v, 1] / scale[1], lib.normal[v, 2] / scale[2]
    norm = 1.0 / max(math.sqrt(px * px + py * py + pz * pz), 1e-12)
    px, py, pz = px * norm, py * norm, pz * norm
    n = (
        a[0, 0] * px + a[0, 1] * py + a[0, 2] * pz,
        a[1, 0] * px + a[1, 1] * py + a[1, 2] * pz,
        a[2, 0] * px + a[2, 1] * py + a[2, 2] * pz,
    )
    c = 0 if abs(py) > abs(px) else 1
    across, up = (a[0, c], a[1, c], a[2, c]), (a[0, 2], a[1, 2], a[2, 2])
    foot = (
        across[0] * at[0] + across[1] * at[1] + across[2] * at[2],
        up[0] * at[0] + up[1] * at[1] + up[2] * at[2],
    )
    bay_m, floor_m = 2.3 + 2.2 * hash01(seed, 2, 0), 3.0 + 0.5 * hash01(seed, 1, 0)
    wide, sill = 0.38 + 0.38 * hash01(seed, 3, 0), 0.26 + 0.10 * hash01(seed, 4, 0)
    window = (0.5 - 0.5 * wide, 0.5 + 0.5 * wide, sill, 0.86)
    return Wall(k, n, across, up, foot, 1.0 / bay_m, 1.0 / floor_m, window, hash01(seed, 5, 0) < 0.5)


@inlined
def facade(
    tables: Tables, wall: Wall, seed: int, across: float, up: float, foot: float, paint: Float, trim: Float
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """A place on a house wall (m), footprint (m) -> colour of the wall, share of glass, and light from within."""
    u, v = across * wall.per_bay + 0.5, up * wall.per_floor
    half_u, half_v = 0.5 * foot * wall.per_bay + 1e-4, 0.5 * foot * wall.per_floor + 1e-4
    per_u, per_v = 0.5 / half_u, 0.5 / half_v
    shop = v < 1.0 and wall.shop
    a, b, sill, top = wall.window
    if shop:
        a, b, sill, top = 0.06, 0.94, 0.10, 0.80
    glass = pulse(u, half_u, per_u, a, b) * pulse(v, half_v, per_v, sill, top)
    frame = pulse(u, half_u, per_u, a - 0.045, b + 0.045) * pulse(v, half_v, per_v, sill - 0.05, top + 0.03) - glass
    band = 1.0 - 0.20 * pulse(v, half_v, per_v, 0.0, 0.06)
    dirt = 0.90 + 0.25 * (grain(tables.noise, 1, across, up, 2.0) - 0.5) + 0.10 * min(1.0, up * 0.2)
    r, g, b2 = paint[0] * band * dirt, paint[1] * band * dirt, paint[2] * band * dirt
    frame = max(0.0, frame)
    r, g, b2 = r + frame * (trim[0] - r), g + frame * (trim[1] - g), b2 + frame * (trim[2] - b2)
    lit = 0.0
    if tables.light.dark > 0.4:
        share = 0.34 if not shop else 0.8
        cell = 1.0 if hash01(seed, math.floor(u), math.floor(v) + 11) < share else 0.03
        blur = min(1.0, 2.0 * max(half_u, half_v))
        lit = glass * (cell + blur * (share - cell)) * (0.5 + 0.5 * hash01(seed, math.floor(u) + 5, math.floor(v)))
    return r, g, b2, glass, lit


@inlined
def mirrored_sky(
    tables: Tables, wx: float, wy: float, wz: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float, float]:  # fmt: skip
    """Direction of view and normal -> what a clear coat mirrors, and how strongly (Schlick's approximation)."""
    cosine = -(wx * nx + wy * ny + wz * nz)
    rx, ry, rz = wx + 2.0 * cosine * nx, wy + 2.0 * cosine * ny, wz + 2.0 * cosine * nz
    weak = 1.0 - max(0.0, cosine)
    fresnel = 0.04 + 0.96 * (weak * weak) * (weak * weak) * weak
    r, g, b = sky_at(tables.light.sky, rx, ry, rz)
    if rz < 0.05:  # below the horizon lies the ground
        k = min(1.0, (0.05 - rz) * 6.0)
        down = tables.light.sky_down
        r, g, b = r + k * (0.5 * down[0] - r), g + k * (0.5 * down[1] - g), b + k * (0.5 * down[2] - b)
    return min(r, 3.0), min(g, 3.0), min(b, 3.0), fresnel


@inlined
def weights_at(edge: Float, rx: float, ry: float, rz: float) -> tuple[float, float, float]:
    """A triangle's edge functions and a ray -> weights of its corners in any scale; clamped where the ray misses it."""
    a = max(edge[0, 0] * rx + edge[0, 1] * ry + edge[0, 2] * rz, 0.0)
    b = max(edge[1, 0] * rx + edge[1, 1] * ry + edge[1, 2] * rz, 0.0)
    c = max(edge[2, 0] * rx + edge[2, 1] * ry + edge[2, 2] * rz, 0.0)
    return a, b, c


@inlined
def textured(
    lib: Library,
    drawn: Drawn,
    tables: Tables,
    face: int,
    k: int,
    wa: float,
    wb: float,
    wc: float,
    x: float,
    y: float,
    z: float,
    foot: float,
    distance: float,
) -> tuple[float, float, float, float, float]:
    """A place on a thing -> colour, strength of its mirror, and light that it gives back or lets out."""
    material, items, light = lib.material[face], drawn.items, tables.light
    i, j, m = lib.tri[face, 0], lib.tri[face, 1], lib.tri[face, 2]
    r, g, b = lib.color[face, 0], lib.color[face, 1], lib.color[face, 2]
    scale, tint, other = items.scale[k], items.tint[k, 0], items.tint[k, 1]
    shine, glow = 0.0, 0.0
    if material in (PAINT, CLOTH_1, RIDER_CLOTH):
        r, g, b = tint[0], tint[1], tint[2]
        shine = 1.0 if material == PAINT else 0.0
    elif material in (PAINT_2, CLOTH_2):
        r, g, b = other[0], other[1], other[2]
        shine = 1.0 if material == PAINT_2 else 0.0
    elif material in (GLASS, METAL):
        shine = 1.6 if material == GLASS else 0.5
    elif material in (LENS_TOP, LENS_MIDDLE, LENS_BOTTOM):
        r, g, b = 0.12 * r, 0.12 * g, 0.12 * b  # dark glass: only a lit lens may look lit
    elif material == RETRO:
        glow = 0.6 if light.lamps else 0.12
    elif material == ROOF:
        dirt = 0.6 * (0.8 + 0.5 * (grain(tables.noise, 0, x + z, y, 9.0) - 0.5))
        r, g, b = other[0] * dirt, other[1] * dirt, other[2] * dirt
    elif material == FOLIAGE:
        fine = 1.0 / (1.0 + 6.0 * foot)
        leaf = 1.0 + fine * 1.1 * (grain(tables.noise, 0, x + 0.7 * z, y + 0.7 * z, 11.0) - 0.5)
        leaf *= 0.62 + 0.76 * grain(tables.noise, 1, x + z, y - z, 14.0)
        r, g, b = r * tint[0] * leaf, g * tint[1] * leaf, b * tint[2] * leaf
    elif material == SIGN:
        per = 1.0 / max(wa + wb + wc, 1e-30)
        ly = per * (wa * lib.vert[i, 1] + wb * lib.vert[j, 1] + wc * lib.vert[m, 1])
        lz = per * (wa * lib.vert[i, 2] + wb * lib.vert[j, 2] + wc * lib.vert[m, 2])
        r, g, b = sign_color(tables, items.seed[k], ly, lz, scale[2] / foot)
        # the ego's lamps come straight back from a sign's face
        glow = (0.12 + 0.60 * light.dark) * max(0.0, 1.0 - distance / 120.0) if light.lamps else 0.0
    return r, g, b, shine, glow


@inlined
def hit(
    buffers: Buffers, view: View, t: int, rx: float, ry: float, rz: float
) -> tuple[float, float, float, float, float, float, float]:  # fmt: skip
    """A triangle and a unit ray in the camera frame -> distance, the ray in the world, and the point that it meets."""
    plane, axes = buffers.plane[t], view.axes
    distance = 1.0 / max(plane[0] * rx + plane[1] * ry + plane[2] * rz, 1e-6)
    wx = axes[0, 0] * rx + axes[1, 0] * ry + axes[2, 0] * rz
    wy = axes[0, 1] * rx + axes[1, 1] * ry + axes[2, 1] * rz
    wz = axes[0, 2] * rx + axes[1, 2] * ry + axes[2, 2] * rz
    x, y, z = view.origin[0] + distance * wx, view.origin[1] + distance * wy, view.origin[2] + distance * wz
    return distance, wx, wy, wz, x, y, z


class Slab(NamedTuple):
    """A triangle of the ground as its pixels need it."""

    plane: Triple  # in the camera's frame: r . plane is the inverse distance
    length: float  # of the plane
    n: Triple  # normal in the world
    ku: float  # how far the image's axes must go along the ray to lie in the triangle, a metre of distance
    kv: float
    deck: bool


@inlined
def slab_of(buffers: Buffers, view: View, t: int, material: int) -> Slab:
    """A drawn triangle of the ground -> what all its pixels have in common."""
    p, axes = buffers.plane[t], view.axes
    length = math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    per = -1.0 / length
    n = (
        (axes[0, 0] * p[0] + axes[1, 0] * p[1] + axes[2, 0] * p[2]) * per,
        (axes[0, 1] * p[0] + axes[1, 1] * p[1] + axes[2, 1] * p[2]) * per,
        (axes[0, 2] * p[0] + axes[1, 2] * p[1] + axes[2, 2] * p[2]) * per,
    )
    return Slab((p[0], p[1], p[2]), length, n, p[0] * per, p[1] * per, material == DECK)


@inlined
def shade_ground(
    view: View, tables: Tables, slab: Slab, rx: float, ry: float, rz: float
) -> tuple[float, float, float, int, float, float]:  # fmt: skip
    """A triangle of the ground and a ray -> linear RGB, class, distance, wet ground that mirrors (0..1)."""
    axes, p, n = view.axes, slab.plane, slab.n
    distance = 1.0 / max(p[0] * rx + p[1] * ry + p[2] * rz, 1e-6)
    wx = axes[0, 0] * rx + axes[1, 0] * ry + axes[2, 0] * rz
    wy = axes[0, 1] * rx + axes[1, 1] * ry + axes[2, 1] * rz
    wz = axes[0, 2] * rx + axes[1, 2] * ry + axes[2, 2] * rz
    x, y, z = view.origin[0] + distance * wx, view.origin[1] + distance * wy, view.origin[2] + distance * wz
    # the footprint's sides: the image's axes, moved along the ray until they lie in the plane. The cosine between ray
    # and normal is the inverse distance over the plane's length.
    per_cosine = min(distance * slab.length, 1e4)
    step, ku, kv = distance / view.focal, slab.ku * per_cosine, slab.kv * per_cosine
    ux, uy = step * (axes[0, 0] + ku * wx), step * (axes[0, 1] + ku * wy)
    vx, vy = step * (axes[1, 0] + kv * wx), step * (axes[1, 1] + kv * wy)
    r, g, b, kind, road = ground_at(tables, x, y, z, ux, uy, vx, vy, slab.deck)
    wet, mirror = tables.light.wet, 0.0
    if wet > 0.0:
        r, g, b = r * (1.0 - 0.45 * wet), g * (1.0 - 0.45 * wet), b * (1.0 - 0.45 * wet)
        puddle = grain(tables.noise, 1, x, y, 1.7)
        mirror = wet * (0.35 + 0.65 * road) * min(1.0, max(0.15, 2.2 * (puddle - 0.30)))
        weak = 1.0 - 1.0 / per_cosine  # asphalt breaks the film of water: less than a smooth surface
        mirror *= 0.03 + 0.60 * (weak * weak) * (weak * weak)
    lr, lg, lb = light_at(tables, x, y, z, n[0], n[1], n[2], 0.02)
    return r * lr, g * lg, b * lb, kind, distance, mirror


@inlined
def shade_facade(
    drawn: Drawn, buffers: Buffers, view: View, tables: Tables, wall: Wall, t: int, rx: float, ry: float, rz: float
) -> tuple[float, float, float, int, float]:  # fmt: skip
    """A triangle of a facade and a ray -> linear RGB, class, distance."""
    items, k, n = drawn.items, wall.k, wall.n
    distance, wx, wy, wz, x, y, z = hit(buffers, view, t, rx, ry, rz)
    across = wall.across[0] * x + wall.across[1] * y + wall.across[2] * z - wall.at[0]
    up = wall.up[0] * x + wall.up[1] * y + wall.up[2] * z - wall.at[1]
    foot = distance / (view.focal * max(0.2, abs(wx * n[0] + wy * n[1] + wz * n[2])))
    r, g, b, glass, glow = facade(tables, wall, items.seed[k], across, up, foot, items.tint[k, 0], items.tint[k, 1])
    r, g, b = r + glass * (0.02 - r), g + glass * (0.025 - g), b + glass * (0.03 - b)
    lr, lg, lb = light_at(tables, x, y, z, n[0], n[1], n[2], 0.25)
    r, g, b = r * lr + 0.34 * glow, g * lg + 0.25 * glow, b * lb + 0.13 * glow
    if glass > 0.0:
        mr, mg, mb, fresnel = mirrored_sky(tables, wx, wy, wz, n[0], n[1], n[2])
        weight = min(1.0, 1.3 * glass * fresnel)
        r, g, b = r + weight * (mr - r), g + weight * (mg - g), b + weight * (mb - b)
    return r, g, b, int(items.semantic[k]), distance


@inlined
def shade_thing(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, t: int, rx: float, ry: float, rz: float
) -> tuple[float, float, float, int, float]:  # fmt: skip
    """A triangle of anything but the ground and a ray -> linear RGB, class, distance."""
    items = drawn.items
    distance, wx, wy, wz, x, y, z = hit(buffers, view, t, rx, ry, rz)
    face, k = drawn.face[t], drawn.owner[t]
    material, kind = lib.material[face], int(items.semantic[k])
    if (material >= HEADLAMP and material <= BEACON) or (material >= LENS_TOP and material <= STREET_LAMP):
        er, eg, eb = emission(material, items.flags[k], items.seed[k], tables.t_s, lib.color[face])
        if er + eg + eb > 0.0:
            return er, eg, eb, kind, distance
    wa, wb, wc = weights_at(buffers.edge[t], rx, ry, rz)
    i, j, m = lib.tri[face, 0], lib.tri[face, 1], lib.tri[face, 2]
    scale, turn = items.scale[k], items.axes[k]
    sx, sy, sz = scale[0], scale[1], scale[2]
    px = (wa * lib.normal[i, 0] + wb * lib.normal[j, 0] + wc * lib.normal[m, 0]) * (sy * sz)
    py = (wa * lib.normal[i, 1] + wb * lib.normal[j, 1] + wc * lib.normal[m, 1]) * (sx * sz)
    pz = (wa * lib.normal[i, 2] + wb * lib.normal[j, 2] + wc * lib.normal[m, 2]) * (sx * sy)
    per = math.copysign(1.0 / max(math.sqrt(px * px + py * py + pz * pz), 1e-30), sx * sy * sz)
    px, py, pz = per * px, per * py, per * pz
    nx = turn[0, 0] * px + turn[0, 1] * py + turn[0, 2] * pz
    ny = turn[1, 0] * px + turn[1, 1] * py + turn[1, 2] * pz
    nz = turn[2, 0] * px + turn[2, 1] * py + turn[2, 2] * pz
    r, g, b, shine, glow = textured(
        lib, drawn, tables, face, k, wa, wb, wc, x, y, z, distance / view.focal, distance
    )  # fmt: skip
    kind = RIDER if material == RIDER_CLOTH else kind
    lr, lg, lb = light_at(tables, x, y, z, nx, ny, nz, 0.25)
    r, g, b = r * (lr + glow), g * (lg + glow), b * (lb + glow)
    if shine > 0.0:
        mr, mg, mb, fresnel = mirrored_sky(tables, wx, wy, wz, nx, ny, nz)
        weight = min(1.0, shine * fresnel)
        r, g, b = r + weight * (mr - r), g + weight * (mg - g), b + weight * (mb - b)
    return r, g, b, kind, distance
