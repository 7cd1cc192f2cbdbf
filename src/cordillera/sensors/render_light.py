"""Light that reaches a point: sun through shadow maps, sky, street lamps and head lamps; and the sky itself."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import DECK, GROUND
from cordillera.sensors.kernels import allocating, inlined, inner, kernel
from cordillera.sensors.light import Light
from cordillera.sensors.render_chunk import FACING, LB, LG, LR, NX, NY, NZ, REACH, F, Single, U, V, W, X, Y, Z
from cordillera.sensors.scene_arrays import Instances, Library
from cordillera.sensors.scene_ground import Surface
from cordillera.sensors.scene_marks import Strokes
from cordillera.types import Float, Int

LAMP_CELL_M = 16.0
LAMP_REACH_M = 30.0
BLOCK_BITS = 3
BLOCK = 1 << BLOCK_BITS  # texels a side of a block of a shadow map


class Shadow(NamedTuple):
    """A picture along the sun's direction: for each texel the nearest caster's height towards the sun."""

    depth: NDArray[np.float32]  # (S, S), -inf where nothing casts
    axes: Float  # (3, 3) rows u, v and w, the direction to the sun
    center: Float  # (2,) u and v in the middle
    per_m: float  # texels a metre
    # least and greatest height that a point of a block of 8 x 8 texels may read; most points need no more than these,
    # and they are small, so in cache
    bounds: NDArray[np.float32]  # (S / 8, S / 8, 2)


class Lamps(NamedTuple):
    """Street lamps in a grid of 16 m cells; each cell knows the lamps that reach it."""

    xyz: Float  # (L, 3)
    first: Int  # (R * C + 1,)
    member: Int
    columns: int
    rows: int
    x0: float
    y0: float


class Tables(NamedTuple):
    """All that the shader looks up."""

    light: Light
    surface: Surface
    strokes: Strokes
    stroke_rgb: Float
    noise: NDArray[np.uint8]  # (2, 256, 256) grain and clouds
    signs: NDArray[np.float32]
    lamps: Lamps
    fixed: Shadow  # cast by what stands
    moving: Shadow  # cast by what moves
    beams: Float  # (B, 6) head lamps: x, y, z, forward x, forward y, power
    t_s: float


@inlined
def sky_at(sky: NDArray[np.float32], x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction -> the colour of the sky there, bilinear in the octahedral map."""
    z = max(z, 0.0)
    k = 1.0 / (abs(x) + abs(y) + z)
    size = sky.shape[0]
    u = min(max(((x + y) * k * 0.5 + 0.5) * size - 0.5, 0.0), size - 1.001)
    v = min(max(((x - y) * k * 0.5 + 0.5) * size - 0.5, 0.0), size - 1.001)
    i, j = np.uint32(v), np.uint32(u)  # unsigned, so that no index can count from the end
    fu, fv = np.float32(u - j), np.float32(v - i)
    one, next_i, next_j = np.float32(1.0), np.uint32(i + 1), np.uint32(j + 1)
    a, b, c, d = (one - fu) * (one - fv), fu * (one - fv), (one - fu) * fv, fu * fv
    p, q, r, s = sky[i, j], sky[i, next_j], sky[next_i, j], sky[next_i, next_j]
    return (
        a * p[0] + b * q[0] + c * r[0] + d * s[0],
        a * p[1] + b * q[1] + c * r[1] + d * s[1],
        a * p[2] + b * q[2] + c * r[2] + d * s[2],
    )


@inlined
def lit_by(shadow: Shadow, u: float, v: float, w: float) -> float:
    """A place in texels and its height -> the share of the sun that reaches it, bilinear over four texels."""
    top, one, zero = F(shadow.depth.shape[0] - 2), F(1.0), F(0.0)
    if not (one <= u < top and one <= v < top):
        return one
    j, i = np.uint32(u), np.uint32(v)
    low, high = shadow.bounds[i >> BLOCK_BITS, j >> BLOCK_BITS]
    if high < w:
        return one
    if low >= w:
        return zero
    fu, fv = u - F(j), v - F(i)
    d, right, below = shadow.depth, np.uint32(j + 1), np.uint32(i + 1)
    out = (one - fu) * (one - fv) if d[i, j] < w else zero
    out += fu * (one - fv) if d[i, right] < w else zero
    out += (one - fu) * fv if d[below, j] < w else zero
    return out + (fu * fv if d[below, right] < w else zero)


@inner
def sun_chunk(fixed: Shadow, moving: Shadow, origin: Float, c: Single, n: int, m: int, bias_m: float) -> None:
    """Places, normals and how they face the sun -> REACH past all casters; both maps look along the same axes."""
    a, per = fixed.axes, fixed.per_m
    rest = 0.5 * fixed.depth.shape[0] - 0.5
    u0 = (a[0, 0] * origin[0] + a[0, 1] * origin[1] + a[0, 2] * origin[2] - fixed.center[0]) * per + rest
    v0 = (a[1, 0] * origin[0] + a[1, 1] * origin[1] + a[1, 2] * origin[2] - fixed.center[1]) * per + rest
    w0 = F(a[2, 0] * origin[0] + a[2, 1] * origin[1] + a[2, 2] * origin[2] + bias_m)
    ratio, other = moving.per_m / per, 0.5 * moving.depth.shape[0] - 0.5
    mu = F((fixed.center[0] - moving.center[0] - rest / per) * moving.per_m + other)
    mv = F((fixed.center[1] - moving.center[1] - rest / per) * moving.per_m + other)
    ux, uy, uz = F(per * a[0, 0]), F(per * a[0, 1]), F(per * a[0, 2])
    vx, vy, vz = F(per * a[1, 0]), F(per * a[1, 1]), F(per * a[1, 2])
    wx, wy, wz, su, sv, scale = F(a[2, 0]), F(a[2, 1]), F(a[2, 2]), F(u0), F(v0), F(ratio)
    off, zero, one = F(0.12), F(0.0), F(1.0)
    for i in range(np.uint64(m)):
        x, y, z = c[X + i] + off * c[NX + i], c[Y + i] + off * c[NY + i], c[Z + i] + off * c[NZ + i]
        c[U + i], c[V + i] = ux * x + uy * y + uz * z + su, vx * x + vy * y + vz * z + sv
        c[W + i] = wx * x + wy * y + wz * z + w0
    for i in range(np.uint64(n)):
        reach = one
        if c[FACING + i] > zero or c[NZ + i] > F(0.7):
            u, v, w = c[U + i], c[V + i], c[W + i]
            reach = lit_by(fixed, u, v, w)
            reach = reach * lit_by(moving, scale * u + mu, scale * v + mv, w) if reach > zero else zero
        c[REACH + i] = reach


@inlined
def lamp_light(tables: Tables, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> float:
    """A point with its normal -> the light of the street lamps around it, 1 right below one."""
    lamps = tables.lamps
    j, i = int((x - lamps.x0) // LAMP_CELL_M), int((y - lamps.y0) // LAMP_CELL_M)
    if not (0 <= i < lamps.rows and 0 <= j < lamps.columns):
        return 0.0
    out = 0.0
    cell = i * lamps.columns + j
    for k in range(lamps.first[cell], lamps.first[cell + 1]):
        lamp = lamps.xyz[lamps.member[k]]
        dx, dy, dz = lamp[0] - x, lamp[1] - y, lamp[2] - z
        d2 = dx * dx + dy * dy + dz * dz + 1.0
        facing = (nx * dx + ny * dy + nz * dz) / math.sqrt(d2)
        down = max(0.0, dz / math.sqrt(d2))
        fade = max(0.0, 1.0 - d2 / (LAMP_REACH_M * LAMP_REACH_M))
        out += max(0.15, facing) * math.sqrt(down) * fade * 100.0 / (d2 + 60.0)  # lamps throw most light sideways
    return out


@inlined
def beam_light(tables: Tables, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> float:
    """A point with its normal -> the light of all dipped head lamps: wide, cut off at the height of the lamp."""
    out = 0.0
    for k in range(len(tables.beams)):
        b = tables.beams[k]
        dx, dy, dz = x - b[0], y - b[1], z - b[2]
        ahead = dx * b[3] + dy * b[4]
        if ahead < 0.3 or ahead > 90.0:
            continue
        side = (dx * b[4] - dy * b[3]) / ahead
        rise = dz / ahead
        wide = 1.0 / (1.0 + (side / 0.33) ** 4)
        cut = min(1.0, max(0.06, 0.5 - (rise + 0.004) * 45.0))
        d2 = ahead * ahead + dz * dz + (side * ahead) ** 2
        facing = -(nx * dx + ny * dy + nz * dz) / math.sqrt(d2 + 1e-9)
        # the grazing ground of a real road sends light back; half of the facing term keeps it visible
        near = min(1.0, 0.15 + ahead / 16.0)  # least in front of the bumper
        out += b[5] * wide * cut * near * (0.25 + max(0.0, facing)) * 150.0 / (d2 + 60.0)
    return out


@inlined
def light_chunk(tables: Tables, origin: Float, c: Single, n: int, m: int, bias_m: float) -> None:
    """Places and normals -> the light on them, LR, LG and LB."""
    light = tables.light
    sx, sy, sz = F(light.sun_dir[0]), F(light.sun_dir[1]), F(light.sun_dir[2])
    zero, half = F(0.0), F(0.5)
    for i in range(np.uint64(m)):
        c[FACING + i] = max(zero, sx * c[NX + i] + sy * c[NY + i] + sz * c[NZ + i])
        c[REACH + i] = F(1.0)
    if light.dark < 1.0:
        sun_chunk(tables.fixed, tables.moving, origin, c, n, m, bias_m)
    r, g, b = F(light.sun[0]), F(light.sun[1]), F(light.sun[2])
    ur, ug, ub = F(light.sky_up[0]), F(light.sky_up[1]), F(light.sky_up[2])
    dr, dg, db = F(light.sky_down[0]), F(light.sky_down[1]), F(light.sky_down[2])
    for i in range(np.uint64(m)):
        reach = c[REACH + i]
        direct, hidden = c[FACING + i] * reach, F(0.62) + F(0.38) * reach  # what hides the sun hides some sky too
        up = half + half * c[NZ + i]
        down = hidden - up * hidden
        up = up * hidden
        c[LR + i] = r * direct + ur * up + dr * down
        c[LG + i] = g * direct + ug * up + dg * down
        c[LB + i] = b * direct + ub * up + db * down
    if light.lamps:
        lamps_chunk(tables, origin, c, n)


@inner
def lamps_chunk(tables: Tables, origin: Float, c: Single, n: int) -> None:
    """Places and normals -> the light of head and street lamps, added to LR, LG and LB."""
    dark = tables.light.dark
    for i in range(np.uint64(n)):
        x, y, z = origin[0] + c[X + i], origin[1] + c[Y + i], origin[2] + c[Z + i]
        nx, ny, nz = float(c[NX + i]), float(c[NY + i]), float(c[NZ + i])
        beam = beam_light(tables, x, y, z, nx, ny, nz) * (0.15 + 0.85 * dark)
        lamp = 0.40 * dark * lamp_light(tables, x, y, z, nx, ny, nz) if dark > 0.3 else 0.0
        c[LR + i] += F(0.95 * beam + 1.0 * lamp)
        c[LG + i] += F(0.97 * beam + 0.76 * lamp)
        c[LB + i] += F(1.00 * beam + 0.45 * lamp)


@allocating
def cast(lib: Library, inst: Instances, shadow: Shadow, reach_m: float, around: Float) -> None:
    """Draw instances near a point into a shadow map, at their coarsest level but one."""
    a, size = shadow.axes, shadow.depth.shape[0]
    flat = np.empty((4096, 3))
    for i in range(len(inst.proto)):
        p = inst.proto[i]
        if lib.material[lib.tri_range[p, 0, 0]] in (GROUND, DECK):  # would cast on itself
            continue
        big = lib.radius[p] * max(inst.scale[i, 0], inst.scale[i, 1], inst.scale[i, 2])
        if max(abs(inst.xyz[i, 0] - around[0]), abs(inst.xyz[i, 1] - around[1])) > reach_m + big + 40.0:
            continue
        level = min(1, lib.lods[p] - 1)
        v0, v1 = lib.vert_range[p, level]
        if v1 - v0 > 4096:
            continue
        for v in range(v0, v1):
            for r in range(3):
                flat[v - v0, r] = 0.0
            for c in range(3):
                axis = inst.axes[i]
                w = axis[c, 0] * inst.scale[i, 0] * lib.vert[v, 0] + axis[c, 1] * inst.scale[i, 1] * lib.vert[v, 1]
                w += axis[c, 2] * inst.scale[i, 2] * lib.vert[v, 2] + inst.xyz[i, c]
                for r in range(3):
                    flat[v - v0, r] += a[r, c] * w
            flat[v - v0, 0] = (flat[v - v0, 0] - shadow.center[0]) * shadow.per_m + 0.5 * size - 0.5
            flat[v - v0, 1] = (flat[v - v0, 1] - shadow.center[1]) * shadow.per_m + 0.5 * size - 0.5
        for t in range(lib.tri_range[p, level, 0], lib.tri_range[p, level, 1]):
            cast_triangle(flat, lib.tri[t, 0] - v0, lib.tri[t, 1] - v0, lib.tri[t, 2] - v0, shadow.depth, shadow.bounds)


@kernel
def cast_triangle(
    flat: Float, a: int, b: int, c: int, depth: NDArray[np.float32], bounds: NDArray[np.float32]
) -> None:  # fmt: skip
    """One triangle in texels -> the shadow map; only the side that looks at the sun is drawn."""
    ax, ay, bx, by, cx, cy = flat[a, 0], flat[a, 1], flat[b, 0], flat[b, 1], flat[c, 0], flat[c, 1]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area < 1e-9:
        return
    x0, x1 = max(0, math.ceil(min(ax, bx, cx))), min(depth.shape[1] - 1, math.floor(max(ax, bx, cx)))
    y0, y1 = max(0, math.ceil(min(ay, by, cy))), min(depth.shape[0] - 1, math.floor(max(ay, by, cy)))
    top = np.float32(max(flat[a, 2], flat[b, 2], flat[c, 2]) + 1e-3)  # above all that rounding may make of it
    for i in range(max(y0 - 1, 0) >> BLOCK_BITS, (y1 >> BLOCK_BITS) + 1):  # a point reads the texel before it too
        for j in range(max(x0 - 1, 0) >> BLOCK_BITS, (x1 >> BLOCK_BITS) + 1):
            bounds[i, j, 1] = max(bounds[i, j, 1], top)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            u = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            v = (cx - bx) * (y - by) - (cy - by) * (x - bx)
            w = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
            if u >= 0.0 and v >= 0.0 and w >= 0.0:
                height = np.float32((v * flat[a, 2] + w * flat[b, 2] + u * flat[c, 2]) / area)
                if height > depth[y, x]:
                    depth[y, x] = height


def shadow_map(sun_dir: Float, xyz: Float, size: int, texel_m: float, old: Shadow | None = None) -> Shadow:
    """Direction to the sun, a point in the middle -> an empty shadow map, snapped to whole texels; `old` is wiped."""
    w = sun_dir / np.linalg.norm(sun_dir)
    u = np.cross([0.0, 1.0, 0.0] if abs(w[1]) < 0.9 else [1.0, 0.0, 0.0], w)
    u /= np.linalg.norm(u)
    axes = np.stack([u, np.cross(w, u), w])
    center = np.round(axes[:2] @ xyz / texel_m) * texel_m
    if old is not None:
        wipe(old.depth, old.bounds)
        return old._replace(axes=axes, center=center)
    blocks = -(-size // BLOCK)
    bounds = np.full((blocks, blocks, 2), -np.inf, np.float32)
    return Shadow(np.full((size, size), -np.inf, np.float32), axes, center, 1.0 / texel_m, bounds)


@kernel
def wipe(depth: Single, bounds: Single) -> None:
    """A map that was drawn on -> empty again; only blocks that something reached are touched."""
    for i in range(bounds.shape[0]):
        for j in range(bounds.shape[1]):
            if bounds[i, j, 1] == -np.inf:
                continue
            bounds[i, j, 0] = bounds[i, j, 1] = -np.inf
            for y in range(i * BLOCK, min((i + 1) * BLOCK, depth.shape[0])):
                for x in range(j * BLOCK, min((j + 1) * BLOCK, depth.shape[1])):
                    depth[y, x] = -np.inf


def tighten(shadow: Shadow) -> None:
    """A map in which all is drawn -> the exact bounds of its blocks, each one texel wider for points at its edge."""
    blocks = len(shadow.bounds)
    size = blocks * BLOCK + 1
    padded = np.full((size, size), -np.inf, np.float32)
    padded[: len(shadow.depth), : len(shadow.depth)] = shadow.depth
    for side, extreme in ((0, np.minimum), (1, np.maximum)):
        pair = extreme(padded[:, :-1], padded[:, 1:])
        pair = extreme(pair[:-1], pair[1:])
        shadow.bounds[..., side] = extreme.reduce(pair.reshape(blocks, BLOCK, blocks, BLOCK), axis=(1, 3))
