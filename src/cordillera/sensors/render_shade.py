"""A triangle and a ray -> its colour and class there: materials, textures and light."""

from __future__ import annotations

import math

from numba import njit

from cordillera.sensors import classes as C
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_ground import grain, ground_at
from cordillera.sensors.render_light import Tables, light_at, sky_at
from cordillera.sensors.render_raster import Buffers
from cordillera.sensors.scene_arrays import Library
from cordillera.types import Float

GROUND, DECK, PAINT, PAINT_2, GLASS, SIGN, FACADE, ROOF, FOLIAGE = (
    C.GROUND, C.DECK, C.PAINT, C.PAINT_2, C.GLASS, C.SIGN, C.FACADE, C.ROOF, C.FOLIAGE,
)  # fmt: skip
CLOTH_1, CLOTH_2, RIDER_CLOTH, HEADLAMP, TAILLAMP, BEACON, METAL, RETRO, STREET_LAMP = (
    C.CLOTH_1, C.CLOTH_2, C.RIDER_CLOTH, C.HEADLAMP, C.TAILLAMP, C.BEACON, C.METAL, C.RETRO, C.STREET_LAMP,
)  # fmt: skip
BLINKER_LEFT, BLINKER_RIGHT, LENS_TOP, LENS_MIDDLE, LENS_BOTTOM = (
    C.BLINKER_LEFT, C.BLINKER_RIGHT, C.LENS_TOP, C.LENS_MIDDLE, C.LENS_BOTTOM,
)  # fmt: skip
BRAKING, LAMPS_ON, BEACONS_ON = C.BRAKING, C.LAMPS_ON, C.BEACONS_ON
INDICATES_LEFT, INDICATES_RIGHT = C.INDICATES_LEFT, C.INDICATES_RIGHT
LIT_TOP, LIT_MIDDLE, LIT_BOTTOM = C.LIT_TOP, C.LIT_MIDDLE, C.LIT_BOTTOM
RIDER, SIGN_PX = int(C.Semantic.RIDER), 64


@njit(cache=True, nogil=True, forceinline=True)
def blinks(t_s: float, seed: int, hertz: float) -> bool:
    """A time -> whether a flashing light is on."""
    phase = t_s * hertz + 0.137 * (seed % 7)
    return phase - math.floor(phase) < 0.5


@njit(cache=True, nogil=True, forceinline=True)
def emission(material: int, flags: int, seed: int, t_s: float, color: Float) -> tuple[float, float, float]:
    """A lamp's material, the flags of its owner, time -> the light that it gives off, (0, 0, 0) when it is off."""
    if material == HEADLAMP:
        return (7.0, 7.0, 6.6) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    if material == TAILLAMP:
        if flags & BRAKING:
            return 4.5, 0.10, 0.06
        return (0.9, 0.02, 0.015) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    if material == BLINKER_LEFT or material == BLINKER_RIGHT:
        on = flags & (INDICATES_LEFT if material == BLINKER_LEFT else INDICATES_RIGHT)
        return (4.0, 1.5, 0.05) if on and blinks(t_s, 0, 1.5) else (0.0, 0.0, 0.0)
    if material == BEACON:
        on = flags & BEACONS_ON and blinks(t_s, seed + (0 if color[2] > color[0] else 3), 2.3)
        return (6.0 * color[0], 6.0 * color[1], 6.0 * color[2]) if on else (0.0, 0.0, 0.0)
    if material == STREET_LAMP:
        return (6.0, 4.8, 3.0) if flags & LAMPS_ON else (0.0, 0.0, 0.0)
    lit = flags & (LIT_TOP if material == LENS_TOP else LIT_MIDDLE if material == LENS_MIDDLE else LIT_BOTTOM)
    return (5.0 * color[0], 5.0 * color[1], 5.0 * color[2]) if lit else (0.0, 0.0, 0.0)


@njit(cache=True, nogil=True, forceinline=True)
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


@njit(cache=True, nogil=True, forceinline=True)
def pulse(x: float, half: float, start: float, stop: float) -> float:
    """The share of [x - half, x + half] that lies in [k + start, k + stop] for whole k."""
    low, high = x - half - start, x + half - start
    duty = stop - start
    a = math.floor(low) * duty + min(low - math.floor(low), duty)
    b = math.floor(high) * duty + min(high - math.floor(high), duty)
    return (b - a) / (high - low)


@njit(cache=True, nogil=True, forceinline=True)
def hash01(a: int, b: int, c: int) -> float:
    """Three whole numbers -> a number in 0..1 that looks random."""
    h = (a * 374761393 + b * 668265263 + c * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@njit(cache=True, nogil=True, forceinline=True)
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
        cell = 1.0 if hash01(seed, int(math.floor(u)), int(math.floor(v)) + 11) < share else 0.03
        blur = min(1.0, 2.0 * max(half_u, half_v))
        lit = (
            glass
            * (cell + blur * (share - cell))
            * (0.5 + 0.5 * hash01(seed, int(math.floor(u)) + 5, int(math.floor(v))))
        )
    return r, g, b2, glass, lit


@njit(cache=True, nogil=True, forceinline=True)
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


@njit(cache=True, nogil=True, forceinline=True)
def shade(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, t: int, rx: float, ry: float, rz: float
) -> tuple[float, float, float, int, float, float]:  # fmt: skip
    """A triangle and a unit ray in the camera frame -> linear RGB, class, distance, and wet road that mirrors (0..1)."""
    plane, axes = buffers.plane[t], view.axes
    facing = plane[0] * rx + plane[1] * ry + plane[2] * rz
    distance = 1.0 / max(facing, 1e-6)
    wx = axes[0, 0] * rx + axes[1, 0] * ry + axes[2, 0] * rz
    wy = axes[0, 1] * rx + axes[1, 1] * ry + axes[2, 1] * rz
    wz = axes[0, 2] * rx + axes[1, 2] * ry + axes[2, 2] * rz
    x, y, z = view.origin[0] + distance * wx, view.origin[1] + distance * wy, view.origin[2] + distance * wz
    face, k = drawn.face[t], drawn.owner[t]
    material = lib.material[face]
    norm = math.sqrt(plane[0] * plane[0] + plane[1] * plane[1] + plane[2] * plane[2])
    if material == GROUND or material == DECK:
        r, g, b, kind, road = on_ground(
            tables, view, plane, facing, norm, distance, wx, wy, wz, x, y, z, material == DECK
        )
        return r, g, b, kind, distance, road
    e = buffers.edge[t]
    wa = e[0, 0] * rx + e[0, 1] * ry + e[0, 2] * rz
    wb = e[1, 0] * rx + e[1, 1] * ry + e[1, 2] * rz
    wc = e[2, 0] * rx + e[2, 1] * ry + e[2, 2] * rz
    wa, wb, wc = max(wa, 0.0), max(wb, 0.0), max(wc, 0.0)
    total = max(wa + wb + wc, 1e-30)
    wa, wb, wc = wa / total, wb / total, wc / total
    i, j, m = lib.tri[face, 0], lib.tri[face, 1], lib.tri[face, 2]
    scale, turn = drawn.items.scale[k], drawn.items.axes[k]
    px = (wa * lib.normal[i, 0] + wb * lib.normal[j, 0] + wc * lib.normal[m, 0]) / scale[0]
    py = (wa * lib.normal[i, 1] + wb * lib.normal[j, 1] + wc * lib.normal[m, 1]) / scale[1]
    pz = (wa * lib.normal[i, 2] + wb * lib.normal[j, 2] + wc * lib.normal[m, 2]) / scale[2]
    length = max(math.sqrt(px * px + py * py + pz * pz), 1e-12)
    px, py, pz = px / length, py / length, pz / length
    nx = turn[0, 0] * px + turn[0, 1] * py + turn[0, 2] * pz
    ny = turn[1, 0] * px + turn[1, 1] * py + turn[1, 2] * pz
    nz = turn[2, 0] * px + turn[2, 1] * py + turn[2, 2] * pz
    lx = wa * lib.vert[i, 0] + wb * lib.vert[j, 0] + wc * lib.vert[m, 0]
    ly = wa * lib.vert[i, 1] + wb * lib.vert[j, 1] + wc * lib.vert[m, 1]
    lz = wa * lib.vert[i, 2] + wb * lib.vert[j, 2] + wc * lib.vert[m, 2]
    foot = distance / view.focal
    kind = drawn.items.semantic[k]
    flags, seed = drawn.items.flags[k], drawn.items.seed[k]
    if material >= HEADLAMP and material <= BEACON or material >= LENS_TOP and material <= STREET_LAMP:
        er, eg, eb = emission(material, flags, seed, tables.t_s, lib.color[face])
        if er + eg + eb > 0.0:
            return er, eg, eb, kind, distance, 0.0
    lr, lg, lb = light_at(tables, x, y, z, nx, ny, nz, 0.25)
    r, g, b = lib.color[face, 0], lib.color[face, 1], lib.color[face, 2]
    shine, glow = 0.0, 0.0
    if material == PAINT or material == CLOTH_1 or material == RIDER_CLOTH:
        tint = drawn.items.tint[k, 0]
        r, g, b = tint[0], tint[1], tint[2]
        shine = 1.0 if material == PAINT else 0.0
        kind = RIDER if material == RIDER_CLOTH else kind
    elif material == PAINT_2 or material == CLOTH_2:
        tint = drawn.items.tint[k, 1]
        r, g, b = tint[0], tint[1], tint[2]
        shine = 1.0 if material == PAINT_2 else 0.0
    elif material == GLASS or material == METAL:
        shine = 1.6 if material == GLASS else 0.5
    elif material == SIGN:
        r, g, b = sign_color(tables, seed, ly, lz, scale[2] / foot)
        glow = 0.02 + 0.10 * tables.light.dark if tables.light.lamps else 0.0  # retroreflection of the ego's lamps
        glow *= max(0.0, 1.0 - distance / 120.0) * 6.0
    elif material == RETRO:
        glow = 0.6 if tables.light.lamps else 0.12
    elif material == FACADE:
        across = lx * scale[0] if abs(py) > abs(px) else ly * scale[1]
        r, g, b, glass, glow = facade(
            tables, seed, across, lz * scale[2], foot / max(0.2, abs(wx * nx + wy * ny + wz * nz)), drawn.items.tint[k, 0],
            drawn.items.tint[k, 1],
        )  # fmt: skip
        r, g, b = r + glass * (0.02 - r), g + glass * (0.025 - g), b + glass * (0.03 - b)
        shine = 1.3 * glass
    elif material == ROOF:
        tint = drawn.items.tint[k, 1]
        dirt = 0.8 + 0.5 * (grain(tables.noise, 0, x + z, y, 9.0) - 0.5)
        r, g, b = 0.6 * tint[0] * dirt, 0.6 * tint[1] * dirt, 0.6 * tint[2] * dirt
    elif material == FOLIAGE:
        fine = 1.0 / (1.0 + 6.0 * foot)
        leaf = 1.0 + fine * 1.1 * (grain(tables.noise, 0, x + 0.7 * z, y + 0.7 * z, 11.0) - 0.5)
        leaf *= 0.62 + 0.76 * grain(tables.noise, 1, x + z, y - z, 14.0)
        tint = drawn.items.tint[k, 0]
        r, g, b = r * tint[0] * leaf, g * tint[1] * leaf, b * tint[2] * leaf
    r, g, b = r * (lr + glow), g * (lg + glow), b * (lb + glow)
    if material == FACADE and glow > 0.0:
        r, g, b = r + 0.34 * glow, g + 0.25 * glow, b + 0.13 * glow
    if shine > 0.0:
        mr, mg, mb, fresnel = mirrored_sky(tables, wx, wy, wz, nx, ny, nz)
        weight = min(1.0, shine * fresnel)
        r, g, b = r + weight * (mr - r), g + weight * (mg - g), b + weight * (mb - b)
    return r, g, b, kind, distance, 0.0


@njit(cache=True, nogil=True, forceinline=True)
def on_ground(
    tables: Tables, view: View, plane: Float, facing: float, norm: float, distance: float, wx: float, wy: float, wz: float,
    x: float, y: float, z: float, deck: bool,
) -> tuple[float, float, float, int, float]:  # fmt: skip
    """A hit on the ground -> lit colour, class, and how much it mirrors when wet."""
    axes = view.axes
    nx = -(axes[0, 0] * plane[0] + axes[1, 0] * plane[1] + axes[2, 0] * plane[2]) / norm
    ny = -(axes[0, 1] * plane[0] + axes[1, 1] * plane[1] + axes[2, 1] * plane[2]) / norm
    nz = -(axes[0, 2] * plane[0] + axes[1, 2] * plane[1] + axes[2, 2] * plane[2]) / norm
    cosine = min(-(nx * wx + ny * wy + nz * wz), -1e-4) if facing < 0.0 else max(-(nx * wx + ny * wy + nz * wz), 1e-4)
    step = distance / view.focal
    # the footprint's sides: the image's axes, moved along the ray until they lie in the plane
    ku = (nx * axes[0, 0] + ny * axes[0, 1] + nz * axes[0, 2]) / cosine
    kv = (nx * axes[1, 0] + ny * axes[1, 1] + nz * axes[1, 2]) / cosine
    ux, uy = step * (axes[0, 0] + ku * wx), step * (axes[0, 1] + ku * wy)
    vx, vy = step * (axes[1, 0] + kv * wx), step * (axes[1, 1] + kv * wy)
    r, g, b, kind, road = ground_at(tables, x, y, z, ux, uy, vx, vy, deck)
    lr, lg, lb = light_at(tables, x, y, z, nx, ny, nz, 0.02)
    wet = tables.light.wet
    mirror = 0.0
    if wet > 0.0:
        r, g, b = r * (1.0 - 0.45 * wet), g * (1.0 - 0.45 * wet), b * (1.0 - 0.45 * wet)
        puddle = grain(tables.noise, 1, x, y, 1.7)
        mirror = wet * (0.35 + 0.65 * road) * min(1.0, max(0.15, 2.2 * (puddle - 0.30)))
        mirror *= 0.03 + 0.97 * (1.0 - cosine) ** 4
    return r * lr, g * lg, b * lb, kind, mirror
