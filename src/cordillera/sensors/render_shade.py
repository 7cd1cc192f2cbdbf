"""A triangle and a ray -> its colour and class there: materials, textures and light."""

from __future__ import annotations

import math

from cordillera.sensors.classes import (
    BEACON,
    BEACONS_ON,
    BLINKER_LEFT,
    BLINKER_RIGHT,
    BRAKING,
    CLOTH_1,
    CLOTH_2,
    DECK,
    FACADE,
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
def pulse(x: float, half: float, start: float, stop: float) -> float:
    """The share of [x - half, x + half] that lies in [k + start, k + stop] for whole k."""
    low, high = x - half - start, x + half - start
    duty = stop - start
    a = math.floor(low) * duty + min(low - math.floor(low), duty)
    b = math.floor(high) * duty + min(high - math.floor(high), duty)
    return (b - a) / (high - low)


@inlined
def hash01(a: int, b: int, c: int) -> float:
    """Three whole numbers -> a number in 0..1 that looks random."""
    h = (a * 374761393 + b * 668265263 + c * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@inlined
def facade(
    tables: Tables, seed: int, across: float, up: float, foot: float, wall: Float, trim: Float
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """A place on a house wall (m), footprint (m) -> colour of the wall, share of glass, and light from within."""
    floor_m = 3.0 + 0.5 * hash01(seed, 1, 0)
    bay_m = 2.3 + 2.2 * hash01(seed, 2, 0)
    wide, sill = 0.38 + 0.38 * hash01(seed, 3, 0), 0.26 + 0.10 * hash01(seed, 4, 0)
    u, v = across / bay_m + 0.5, up / floor_m
    half_u, half_v = 0.5 * foot / bay_m + 1e-4, 0.5 * foot / floor_m + 1e-4
    shop = v < 1.0 and hash01(seed, 5, 0) < 0.5
    a, b = 0.5 - 0.5 * wide, 0.5 + 0.5 * wide
    top = 0.86
    if shop:
        a, b, sill, top = 0.06, 0.94, 0.10, 0.80
    glass = pulse(u, half_u, a, b) * pulse(v, half_v, sill, top)
    frame = pulse(u, half_u, a - 0.045, b + 0.045) * pulse(v, half_v, sill - 0.05, top + 0.03) - glass
    band = 1.0 - 0.20 * pulse(v, half_v, 0.0, 0.06)
    dirt = 0.90 + 0.25 * (grain(tables.noise, 1, across, up, 2.0) - 0.5) + 0.10 * min(1.0, up / 5.0)
    r, g, b2 = wall[0] * band * dirt, wall[1] * band * dirt, wall[2] * band * dirt
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
    fresnel = 0.04 + 0.96 * weak**5
    r, g, b = sky_at(tables.light.sky, rx, ry, rz)
    if rz < 0.05:  # below the horizon lies the ground
        k = min(1.0, (0.05 - rz) * 6.0)
        down = tables.light.sky_down
        r, g, b = r + k * (0.5 * down[0] - r), g + k * (0.5 * down[1] - g), b + k * (0.5 * down[2] - b)
    return min(r, 3.0), min(g, 3.0), min(b, 3.0), fresnel


@inlined
def weights_at(edge: Float, rx: float, ry: float, rz: float) -> tuple[float, float, float]:
    """A triangle's edge functions and a ray -> barycentric weights of its corners; clamped where the ray misses it."""
    a = max(edge[0, 0] * rx + edge[0, 1] * ry + edge[0, 2] * rz, 0.0)
    b = max(edge[1, 0] * rx + edge[1, 1] * ry + edge[1, 2] * rz, 0.0)
    c = max(edge[2, 0] * rx + edge[2, 1] * ry + edge[2, 2] * rz, 0.0)
    total = max(a + b + c, 1e-30)
    return a / total, b / total, c / total


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
    px: float,
    py: float,
    x: float,
    y: float,
    z: float,
    foot: float,
    cosine: float,
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
    elif material in (SIGN, FACADE):
        ly = wa * lib.vert[i, 1] + wb * lib.vert[j, 1] + wc * lib.vert[m, 1]
        lz = wa * lib.vert[i, 2] + wb * lib.vert[j, 2] + wc * lib.vert[m, 2]
        if material == SIGN:
            r, g, b = sign_color(tables, items.seed[k], ly, lz, scale[2] / foot)
            # the ego's lamps come straight back from a sign's face
            glow = (0.12 + 0.60 * light.dark) * max(0.0, 1.0 - distance / 120.0) if light.lamps else 0.0
        else:
            lx = wa * lib.vert[i, 0] + wb * lib.vert[j, 0] + wc * lib.vert[m, 0]
            across = lx * scale[0] if abs(py) > abs(px) else ly * scale[1]
            r, g, b, glass, glow = facade(tables, items.seed[k], across, lz * scale[2], foot / cosine, tint, other)
            r, g, b = r + glass * (0.02 - r), g + glass * (0.025 - g), b + glass * (0.03 - b)
            shine = 1.3 * glass
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


@inlined
def shade_ground(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, t: int, rx: float, ry: float, rz: float
) -> tuple[float, float, float, int, float, float]:  # fmt: skip
    """A triangle of the ground and a ray -> linear RGB, class, distance, wet ground that mirrors (0..1)."""
    distance, wx, wy, wz, x, y, z = hit(buffers, view, t, rx, ry, rz)
    deck = lib.material[drawn.face[t]] == DECK
    r, g, b, kind, mirror, nx, ny, nz = on_ground(
        tables, view, buffers.plane[t], distance, wx, wy, wz, x, y, z, deck
    )  # fmt: skip
    lr, lg, lb = light_at(tables, x, y, z, nx, ny, nz, 0.02)
    return r * lr, g * lg, b * lb, kind, distance, mirror


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
    px = (wa * lib.normal[i, 0] + wb * lib.normal[j, 0] + wc * lib.normal[m, 0]) / scale[0]
    py = (wa * lib.normal[i, 1] + wb * lib.normal[j, 1] + wc * lib.normal[m, 1]) / scale[1]
    pz = (wa * lib.normal[i, 2] + wb * lib.normal[j, 2] + wc * lib.normal[m, 2]) / scale[2]
    length = max(math.sqrt(px * px + py * py + pz * pz), 1e-12)
    px, py, pz = px / length, py / length, pz / length
    nx = turn[0, 0] * px + turn[0, 1] * py + turn[0, 2] * pz
    ny = turn[1, 0] * px + turn[1, 1] * py + turn[1, 2] * pz
    nz = turn[2, 0] * px + turn[2, 1] * py + turn[2, 2] * pz
    cosine = max(0.2, abs(wx * nx + wy * ny + wz * nz))
    r, g, b, shine, glow = textured(
        lib, drawn, tables, face, k, wa, wb, wc, px, py, x, y, z, distance / view.focal, cosine, distance
    )  # fmt: skip
    kind = RIDER if material == RIDER_CLOTH else kind
    lr, lg, lb = light_at(tables, x, y, z, nx, ny, nz, 0.25)
    if material == FACADE:
        r, g, b = r * lr + 0.34 * glow, g * lg + 0.25 * glow, b * lb + 0.13 * glow
    else:
        r, g, b = r * (lr + glow), g * (lg + glow), b * (lb + glow)
    if shine > 0.0:
        mr, mg, mb, fresnel = mirrored_sky(tables, wx, wy, wz, nx, ny, nz)
        weight = min(1.0, shine * fresnel)
        r, g, b = r + weight * (mr - r), g + weight * (mg - g), b + weight * (mb - b)
    return r, g, b, kind, distance


@inlined
def on_ground(
    tables: Tables,
    view: View,
    plane: Float,
    distance: float,
    wx: float,
    wy: float,
    wz: float,
    x: float,
    y: float,
    z: float,
    deck: bool,
) -> tuple[float, float, float, int, float, float, float, float]:
    """A hit on the ground -> colour, class, how much it mirrors when wet, and the normal."""
    axes = view.axes
    norm = math.sqrt(plane[0] * plane[0] + plane[1] * plane[1] + plane[2] * plane[2])
    nx = -(axes[0, 0] * plane[0] + axes[1, 0] * plane[1] + axes[2, 0] * plane[2]) / norm
    ny = -(axes[0, 1] * plane[0] + axes[1, 1] * plane[1] + axes[2, 1] * plane[2]) / norm
    nz = -(axes[0, 2] * plane[0] + axes[1, 2] * plane[1] + axes[2, 2] * plane[2]) / norm
    cosine = max(-(nx * wx + ny * wy + nz * wz), 1e-4)
    step = distance / view.focal
    # the footprint's sides: the image's axes, moved along the ray until they lie in the plane
    ku = (nx * axes[0, 0] + ny * axes[0, 1] + nz * axes[0, 2]) / cosine
    kv = (nx * axes[1, 0] + ny * axes[1, 1] + nz * axes[1, 2]) / cosine
    ux, uy = step * (axes[0, 0] + ku * wx), step * (axes[0, 1] + ku * wy)
    vx, vy = step * (axes[1, 0] + kv * wx), step * (axes[1, 1] + kv * wy)
    r, g, b, kind, road = ground_at(tables, x, y, z, ux, uy, vx, vy, deck)
    wet = tables.light.wet
    mirror = 0.0
    if wet > 0.0:
        r, g, b = r * (1.0 - 0.45 * wet), g * (1.0 - 0.45 * wet), b * (1.0 - 0.45 * wet)
        puddle = grain(tables.noise, 1, x, y, 1.7)
        mirror = wet * (0.35 + 0.65 * road) * min(1.0, max(0.15, 2.2 * (puddle - 0.30)))
        mirror *= 0.03 + 0.60 * (1.0 - cosine) ** 4  # asphalt breaks the film of water: less than a smooth surface
    return r, g, b, kind, mirror, nx, ny, nz
