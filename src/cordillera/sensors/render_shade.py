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
from cordillera.sensors.kernels import fixed, inlined, inner
from cordillera.sensors.render_chunk import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    EB,
    EG,
    ER,
    I0,
    I1,
    MW,
    NX,
    NY,
    NZ,
    WX,
    WY,
    WZ,
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
    filled,
)  # fmt: skip
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_ground import noise_byte, texel
from cordillera.sensors.render_light import Tables
from cordillera.sensors.scene_arrays import Instances, Library
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


@fixed("float64(int64, int64, int64)")
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
def pulse(x: float, half: float, per_span: float, start: float, stop: float) -> float:
    """The share of [x - half, x + half] that lies in [k + start, k + stop] for whole k; per_span is 0.5 / half."""
    low, high = x - half - start, x + half - start
    duty = stop - start
    p, q = np.floor(low), np.floor(high)
    return (q * duty + min(high - q, duty) - p * duty - min(low - p, duty)) * per_span


@inner
def windows(view: View, wall: Wall, c: Single, k: Whole, m: int) -> None:
    """Places on a wall -> bay A0 and floor A1, half a pixel A2 in those, glass A3, frames A4, the foot's band A5.

    A6 is how clean the wall is so high up, I0 the texel of its dirt.
    """
    ax, ay, az = F(wall.across[0]), F(wall.across[1]), F(wall.across[2])
    bx, by, bz = F(wall.up[0]), F(wall.up[1]), F(wall.up[2])
    o = view.origin
    a0 = F(wall.across[0] * o[0] + wall.across[1] * o[1] + wall.across[2] * o[2] - wall.at[0])
    b0 = F(wall.up[0] * o[0] + wall.up[1] * o[1] + wall.up[2] * o[2] - wall.at[1])
    nx, ny, nz, per_focal = F(wall.n[0]), F(wall.n[1]), F(wall.n[2]), F(1.0 / view.focal)
    per_bay, per_floor, shop = F(wall.per_bay), F(wall.per_floor), wall.shop
    left, right, sill, top = F(wall.window[0]), F(wall.window[1]), F(wall.window[2]), F(wall.window[3])
    half, zero, one, least = F(0.5), F(0.0), F(1.0), F(1e-4)
    for i in range(np.uint64(m)):
        x, y, z = c[X + i], c[Y + i], c[Z + i]
        across, up = ax * x + ay * y + az * z + a0, bx * x + by * y + bz * z + b0
        cosine = abs(c[WX + i] * nx + c[WY + i] * ny + c[WZ + i] * nz)
        foot = half * c[D + i] * per_focal / max(F(0.2), cosine)
        u, v = across * per_bay + half, up * per_floor
        half_u, half_v = foot * per_bay + least, foot * per_floor + least
        per_u, per_v = half / half_u, half / half_v
        in_shop = (v < one) & shop
        p, q = F(0.06) if in_shop else left, F(0.94) if in_shop else right
        r, s = F(0.10) if in_shop else sill, F(0.80) if in_shop else top
        glass = pulse(u, half_u, per_u, p, q) * pulse(v, half_v, per_v, r, s)
        rim = F(0.045)
        frame = pulse(u, half_u, per_u, p - rim, q + rim) * pulse(v, half_v, per_v, r - F(0.05), s + F(0.03))
        c[A0 + i], c[A1 + i], c[A2 + i] = u, v, max(half_u, half_v)
        c[A3 + i], c[A4 + i] = glass, max(zero, frame - glass)
        c[A5 + i] = one - F(0.20) * pulse(v, half_v, per_v, zero, F(0.06))
        c[A6 + i] = F(0.775) + F(0.10) * min(one, up * F(0.2))
        k[I0 + i] = texel(across * F(2.0), up * F(2.0))


@inlined
def wall_chunk(
    tables: Tables, view: View, wall: Wall, tint: Float, seed: int, c: Single, k: Whole, n: int, m: int
) -> None:  # fmt: skip
    """A wall and what its rays meet -> colour, light from within, and how much of a mirror it is."""
    windows(view, wall, c, k, m)
    clouds = tables.noise[1]
    for i in range(np.uint64(n)):
        c[A7 + i] = noise_byte(clouds, k[I0 + i])
    r, g, b = F(tint[0, 0]), F(tint[0, 1]), F(tint[0, 2])
    tr, tg, tb = F(tint[1, 0]), F(tint[1, 1]), F(tint[1, 2])
    per, zero = F(0.25 / 255.0), F(0.0)
    for i in range(np.uint64(m)):
        glass, frame = c[A3 + i], c[A4 + i]
        clean = c[A5 + i] * (c[A6 + i] + per * c[A7 + i])
        x, y, z = r * clean, g * clean, b * clean
        x, y, z = x + frame * (tr - x), y + frame * (tg - y), z + frame * (tb - z)
        c[R + i], c[G + i], c[B + i] = x + glass * (F(0.02) - x), y + glass * (F(0.025) - y), z + glass * (F(0.03) - z)
        c[MW + i] = F(1.3) * glass
        c[ER + i] = c[EG + i] = c[EB + i] = zero
    if tables.light.dark > 0.4:
        for i in range(np.uint64(n)):
            u, v, wide = float(c[A0 + i]), float(c[A1 + i]), float(c[A2 + i])
            share = 0.8 if v < 1.0 and wall.shop else 0.34
            bay, floor = math.floor(u), math.floor(v)
            cell = 1.0 if hash01(seed, bay, floor + 11) < share else 0.03
            blur = min(1.0, 2.0 * wide)
            lit = c[A3 + i] * (cell + blur * (share - cell)) * (0.5 + 0.5 * hash01(seed, bay + 5, floor))
            c[ER + i], c[EG + i], c[EB + i] = F(0.34 * lit), F(0.25 * lit), F(0.13 * lit)


class Thing(NamedTuple):
    """A triangle of anything but the ground and facades."""

    face: int  # triangle of the library
    k: int  # row of the items
    material: int
    kind: int  # Semantic
    rgb: Triple
    shine: float
    glow: float  # light that it gives back, as a share of its colour
    lamp: Triple  # light that it gives off; then nothing else counts


@inlined
def thing_of(lib: Library, drawn: Drawn, tables: Tables, t: int) -> Thing:
    """A drawn triangle -> what all its pixels have in common."""
    face, k, items = int(drawn.face[t]), int(drawn.owner[t]), drawn.items
    material, kind = int(lib.material[face]), int(items.semantic[k])
    lamp = (0.0, 0.0, 0.0)
    if (material >= HEADLAMP and material <= BEACON) or (material >= LENS_TOP and material <= STREET_LAMP):
        lamp = emission(material, items.flags[k], items.seed[k], tables.t_s, lib.color[face])
    color = lib.color[face]
    shine, glow = 0.0, 0.0
    if material in (PAINT, CLOTH_1, RIDER_CLOTH):
        color = items.tint[k, 0]
        shine = 1.0 if material == PAINT else 0.0
    elif material in (PAINT_2, CLOTH_2, ROOF):
        color = items.tint[k, 1]
        shine = 1.0 if material == PAINT_2 else 0.0
    elif material in (GLASS, METAL):
        shine = 1.6 if material == GLASS else 0.5
    elif material == RETRO:
        glow = 0.6 if tables.light.lamps else 0.12
    r, g, b = color[0], color[1], color[2]
    if material in (LENS_TOP, LENS_MIDDLE, LENS_BOTTOM):
        r, g, b = 0.12 * r, 0.12 * g, 0.12 * b  # dark glass: only a lit lens may look lit
    elif material == FOLIAGE:
        r, g, b = r * items.tint[k, 0, 0], g * items.tint[k, 0, 1], b * items.tint[k, 0, 2]
    kind = RIDER if material == RIDER_CLOTH else kind
    return Thing(face, k, material, kind, (r, g, b), shine, glow, lamp)


@inlined
def corner_normal(lib: Library, items: Instances, k: int, vertex: int) -> Triple:
    """A vertex of the library and an item -> its normal in the world, in a scale that the item's vertices share."""
    scale, a = items.scale[k], items.axes[k]
    sx, sy, sz = scale[0], scale[1], scale[2]
    sign = math.copysign(1.0, sx * sy * sz)
    px, py, pz = sign * lib.normal[vertex, 0] * (sy * sz), sign * lib.normal[vertex, 1] * (sx * sz), 0.0
    pz = sign * lib.normal[vertex, 2] * (sx * sy)
    return (
        a[0, 0] * px + a[0, 1] * py + a[0, 2] * pz,
        a[1, 0] * px + a[1, 1] * py + a[1, 2] * pz,
        a[2, 0] * px + a[2, 1] * py + a[2, 2] * pz,
    )


@inlined
def normals(lib: Library, items: Instances, thing: Thing, edge: Float, c: Single, m: int) -> None:
    """A triangle, its rays in the camera's frame in A0 to A2 -> instead the weights of its corners there; normals."""
    p = corner_normal(lib, items, thing.k, lib.tri[thing.face, 0])
    q = corner_normal(lib, items, thing.k, lib.tri[thing.face, 1])
    r = corner_normal(lib, items, thing.k, lib.tri[thing.face, 2])
    per = 1e-30
    for j in range(3):
        per = max(per, abs(edge[j, 0]), abs(edge[j, 1]), abs(edge[j, 2]))
    per = 1.0 / per
    ax, ay, az = F(per * edge[0, 0]), F(per * edge[0, 1]), F(per * edge[0, 2])
    bx, by, bz = F(per * edge[1, 0]), F(per * edge[1, 1]), F(per * edge[1, 2])
    dx, dy, dz = F(per * edge[2, 0]), F(per * edge[2, 1]), F(per * edge[2, 2])
    px, py, pz, qx, qy, qz = F(p[0]), F(p[1]), F(p[2]), F(q[0]), F(q[1]), F(q[2])
    rx, ry, rz, zero = F(r[0]), F(r[1]), F(r[2]), F(0.0)
    for i in range(np.uint64(m)):
        x, y, z = c[A0 + i], c[A1 + i], c[A2 + i]
        u, v = max(ax * x + ay * y + az * z, zero), max(bx * x + by * y + bz * z, zero)
        w = max(dx * x + dy * y + dz * z, zero)
        nx, ny, nz = u * px + v * qx + w * rx, u * py + v * qy + w * ry, u * pz + v * qz + w * rz
        unit = F(1.0) / np.sqrt(max(nx * nx + ny * ny + nz * nz, F(1e-36)))
        c[NX + i], c[NY + i], c[NZ + i] = unit * nx, unit * ny, unit * nz
        c[A0 + i], c[A1 + i], c[A2 + i] = u, v, w


@inlined
def thing_chunk(
    lib: Library, items: Instances, tables: Tables, view: View, thing: Thing, edge: Float, c: Single, k: Whole, n: int,
    m: int,
) -> None:  # fmt: skip
    """A triangle and what its rays meet -> normals, colour, light that it gives back or off, strength of its mirror."""
    normals(lib, items, thing, edge, c, m)
    filled(c, R, m, F(thing.rgb[0]))
    filled(c, G, m, F(thing.rgb[1]))
    filled(c, B, m, F(thing.rgb[2]))
    filled(c, MW, m, F(thing.shine))
    if thing.material == SIGN:
        sign_chunk(lib, items, tables, view, thing, c, n)
        return
    if thing.material == FOLIAGE or thing.material == ROOF:
        grown_or_tiled(tables, view, thing.material == ROOF, c, k, n, m)
    for j, row in enumerate((ER, EG, EB)):
        filled(c, row, m, F(thing.glow * thing.rgb[j]))


@inner
def sign_chunk(
    lib: Library, items: Instances, tables: Tables, view: View, thing: Thing, c: Single, n: int
) -> None:  # fmt: skip
    """Weights of a sign's corners -> the colours of its picture, and the ego's lamps, which come straight back."""
    i, j, m = lib.tri[thing.face, 0], lib.tri[thing.face, 1], lib.tri[thing.face, 2]
    high, seed, light = items.scale[thing.k, 2], items.seed[thing.k], tables.light
    for s in range(np.uint64(n)):
        wa, wb, wc, distance = float(c[A0 + s]), float(c[A1 + s]), float(c[A2 + s]), float(c[D + s])
        per = 1.0 / max(wa + wb + wc, 1e-30)
        y = per * (wa * lib.vert[i, 1] + wb * lib.vert[j, 1] + wc * lib.vert[m, 1])
        z = per * (wa * lib.vert[i, 2] + wb * lib.vert[j, 2] + wc * lib.vert[m, 2])
        r, g, b = sign_color(tables, seed, y, z, high * view.focal / distance)
        glow = (0.12 + 0.60 * light.dark) * max(0.0, 1.0 - distance / 120.0) if light.lamps else 0.0
        c[R + s], c[G + s], c[B + s] = F(r), F(g), F(b)
        c[ER + s], c[EG + s], c[EB + s] = F(glow * r), F(glow * g), F(glow * b)


@inlined
def grown_or_tiled(tables: Tables, view: View, is_roof: bool, c: Single, k: Whole, n: int, m: int) -> None:
    """Places on leaves, or on a roof -> their colour, which varies."""
    o = view.origin
    ax, ay = (o[0] + o[2]) * 9.0 % 256.0, o[1] * 9.0 % 256.0
    bx = by = 0.0
    if not is_roof:
        ax, ay = (o[0] + 0.7 * o[2]) * 11.0 % 256.0, (o[1] + 0.7 * o[2]) * 11.0 % 256.0
        bx, by = (o[0] + o[2]) * 14.0 % 256.0, (o[1] - o[2]) * 14.0 % 256.0
    fx, fy, gx, gy = F(ax), F(ay), F(bx), F(by)
    grains, clouds = tables.noise[0], tables.noise[1]
    per_m, lean, drop = (F(9.0), F(1.0), F(0.0)) if is_roof else (F(11.0), F(0.7), F(0.7))
    for i in range(np.uint64(m)):
        x, y, z = c[X + i], c[Y + i], c[Z + i]
        k[I0 + i] = texel((x + lean * z) * per_m + fx, (y + drop * z) * per_m + fy)
        k[I1 + i] = texel((x + z) * F(14.0) + gx, (y - z) * F(14.0) + gy)
    for i in range(np.uint64(n)):
        c[A3 + i], c[A4 + i] = noise_byte(grains, k[I0 + i]), noise_byte(clouds, k[I1 + i])
    per_focal, one, half, per = F(1.0 / view.focal), F(1.0), F(0.5), F(1.0 / 255.0)
    for i in range(np.uint64(m)):
        near = one / (one + F(6.0) * c[D + i] * per_focal)
        leaf = one + near * F(1.1) * (c[A3 + i] * per - half)
        leaf = leaf * (F(0.62) + F(0.76) * per * c[A4 + i])
        shade = F(0.48) + F(0.30) * (c[A3 + i] * per - half) if is_roof else leaf
        c[R + i], c[G + i], c[B + i] = shade * c[R + i], shade * c[G + i], shade * c[B + i]
