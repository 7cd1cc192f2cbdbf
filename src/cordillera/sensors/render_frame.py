"""Visibility -> pictures: each pixel shaded once, edges smoothed, wet roads, fog, glows and rain over it, in 8 bits."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, kernel
from cordillera.sensors.render_geometry import Drawn, View, project_vertex
from cordillera.sensors.render_light import Tables, sky_at
from cordillera.sensors.render_pixels import Shaded, room_for_rays, shade_rays
from cordillera.sensors.render_raster import Buffers, Lens
from cordillera.sensors.render_shade import emission, hash01
from cordillera.sensors.scene_arrays import Instances, Library
from cordillera.types import Float, Int

SKY, TERRAIN = 15, 8  # Semantic
TONES = 4096
TONE_MAX = 6.0
TONE_STEP = math.sqrt(TONE_MAX) / TONES


class Picture(NamedTuple):
    """The channels of a frame while they are made."""

    linear: NDArray[np.float32]  # (H, W, 3)
    semantic: NDArray[np.uint8]  # (H, W)
    instance: NDArray[np.uint16]  # (H, W)
    depth: NDArray[np.float32]  # (H, W) along the ray, inf for the sky
    mirror: NDArray[np.float32]  # (H, W) wet road


@cache
def tone_table(exposure: float) -> NDArray[np.uint8]:
    """An exposure -> sRGB bytes (4096,) for linear light 0..6 in steps of its square root, with a soft shoulder.

    The square root makes the steps fine in dark places: what is near black would show in bands otherwise.
    """
    x = ((np.arange(TONES) + 0.5) * TONE_STEP) ** 2 * exposure
    y = x * (1.0 + x / 9.0) / (1.0 + 0.72 * x)  # close to the identity in the shadows, slowly into white
    y = np.clip(y * 1.02, 0.0, 1.0)
    srgb = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1.0 / 2.4) - 0.055)
    return np.round(255.0 * srgb).astype(np.uint8)


def empty_picture(view: View) -> Picture:
    """A view -> its picture before anything is shaded."""
    shape = (view.height, view.width)
    return Picture(
        np.empty((*shape, 3), np.float32),
        np.empty(shape, np.uint8),
        np.empty(shape, np.uint16),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
    )


@inlined
def differs(own: int, other: int, a: float, b: float) -> bool:
    """What two neighbouring pixels see, and how near -> whether the edge between them should be smoothed."""
    ratio = np.float32(1.2)
    return bool((own != other) | (a > ratio * b) | (b > ratio * a))


@kernel
def mark_things(
    drawn: Drawn, seen: NDArray[np.int32], thing: NDArray[np.int32], instance: NDArray[np.uint16]
) -> None:  # fmt: skip
    """The triangles that pixels see -> their instances, and a number for material and instance together."""
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            t = seen[y, x]
            both = drawn.thing[t] if t >= 0 else np.int32(-1)
            thing[y, x], instance[y, x] = both, max(both, np.int32(0)) >> 6


@kernel
def mark_edges(thing: NDArray[np.int32], inverse: NDArray[np.float32], edge: NDArray[np.uint8]) -> None:
    """What pixels see and how near -> (2, H, W) whether an edge to be smoothed is right of a pixel, and below it."""
    height, width = thing.shape
    for y in range(height - 1):
        for x in range(width - 1):
            edge[0, y, x] = differs(thing[y, x], thing[y, x + 1], inverse[y, x], inverse[y, x + 1])
        for x in range(width - 1):
            edge[1, y, x] = differs(thing[y, x], thing[y + 1, x], inverse[y, x], inverse[y + 1, x])


@inlined
def probe(edge: Float, plane: Float, t: int, four: Float) -> None:
    """A triangle -> what is nearest on four rays; `four` (5, 4): x, y and z of the rays, inverse distance, triangle."""
    ax, ay, az, bx, by, bz = edge[0, 0], edge[0, 1], edge[0, 2], edge[1, 0], edge[1, 1], edge[1, 2]
    cx, cy, cz, px, py, pz = edge[2, 0], edge[2, 1], edge[2, 2], plane[0], plane[1], plane[2]
    who = float(t)
    for s in range(4):
        u, v, w = four[0, s], four[1, s], four[2, s]
        depth = px * u + py * v + pz * w
        inside = (
            (ax * u + ay * v + az * w >= 0.0)
            & (bx * u + by * v + bz * w >= 0.0)
            & (cx * u + cy * v + cz * w >= 0.0)
            & (depth > four[3, s])
        )
        four[3, s] = depth if inside else four[3, s]
        four[4, s] = who if inside else four[4, s]


@inlined
def around(seen: NDArray[np.int32], y: int, x: int, near: NDArray[np.int64]) -> int:
    """What the nine pixels around a place see -> `near`, each once, that of the place first; returns how many."""
    near[0], count = seen[y, x], 1
    for i in range(y - 1, y + 2):
        for j in range(x - 1, x + 2):
            t, c = seen[i, j], 0
            while c < count and near[c] != t:
                c += 1
            if c == count:
                near[count] = t
                count += 1
    return count


@inlined
def spread(ray: NDArray[np.float32], y: int, x: int, four: Float) -> None:
    """A pixel -> its four rays, turned to a side in the pixel as the table's neighbours say."""
    for k in range(3):
        r = float(ray[k, y, x])
        du, dv = 0.5 * (ray[k, y, x + 1] - ray[k, y, x - 1]), 0.5 * (ray[k, y + 1, x] - ray[k, y - 1, x])
        four[k, 0], four[k, 1] = r + 0.125 * du + 0.375 * dv, r - 0.375 * du + 0.125 * dv
        four[k, 2], four[k, 3] = r + 0.375 * du - 0.125 * dv, r - 0.125 * du - 0.375 * dv


class Samples(NamedTuple):
    """Rays beside the middle of pixels on edges, and what they meet."""

    pixel: Int  # (N,) row * width + column
    share: NDArray[np.float32]  # (N,) of the pixel
    seen: NDArray[np.int32]  # (N,)
    ray: NDArray[np.float32]  # (3, N)
    scratch: Int  # (3, 10)
    four: Float  # (5, 4) see `probe`
    thing: NDArray[np.int32]  # (H, W) what each pixel sees
    edge: NDArray[np.uint8]  # (2, H, W) see `mark_edges`
    order: NDArray[np.int32]  # (4, N + 1) see `shade_rays`
    shaded: Shaded  # (N,) what the rays bring back


def room_for_samples(view: View) -> Samples:
    """A view -> room for as many samples as it can need."""
    n = 4 * view.width * view.height
    return Samples(
        np.empty(n, np.int64),
        np.empty(n, np.float32),
        np.empty(n, np.int32),
        np.empty((3, n), np.float32),
        np.empty((3, 10), np.int64),
        np.empty((5, 4)),
        np.empty((view.height, view.width), np.int32),
        np.empty((2, view.height, view.width), np.uint8),
        np.empty((4, n + 1), np.int32),
        room_for_rays(n),
    )


@kernel
def edge_samples(buffers: Buffers, view: View, lens: Lens, out: Samples) -> int:
    """Pixels on edges -> four rays each, tested against what the nine pixels around see; returns how many to shade.

    Rays of a pixel that meet one triangle are one sample; what meets the triangle in its middle is shaded already.
    """
    seen, ray, edge = buffers.seen, lens.ray, out.edge
    near, found, place, four = out.scratch[0], out.scratch[1], out.scratch[2], out.four
    total = 0
    for y in range(1, view.height - 1):
        for x in range(1, view.width - 1):
            if not (edge[0, y, x - 1] | edge[0, y, x] | edge[1, y - 1, x] | edge[1, y, x]):
                continue
            count = around(seen, y, x, near)
            if count == 1:
                continue
            spread(ray, y, x, four)
            own, sky = near[0], False
            for s in range(4):
                four[3, s], four[4, s] = 0.0, float(own)
            for c in range(count):
                if near[c] < 0:
                    sky = True
                else:
                    probe(buffers.edge[near[c]], buffers.plane[near[c]], near[c], four)
            kinds = 0
            for s in range(4):
                t = -1 if sky and four[3, s] == 0.0 else int(four[4, s])
                if t == own:
                    continue
                again = -1
                for c in range(kinds):
                    again = place[c] if found[c] == t else again
                if again >= 0:
                    out.share[again] += np.float32(0.25)
                    continue
                found[kinds], place[kinds] = t, total
                kinds += 1
                out.pixel[total], out.share[total], out.seen[total] = y * view.width + x, 0.25, t
                out.ray[0, total], out.ray[1, total], out.ray[2, total] = four[0, s], four[1, s], four[2, s]
                total += 1
    return total


@kernel
def blend_samples(samples: Samples, rgb: NDArray[np.float32], count: int, out: NDArray[np.float32]) -> None:
    """Shaded samples (N, 3) -> into the picture (H * W, 3), each with its share of its pixel.

    Lamps are far brighter than white; without a limit one sample of four would own the pixel's colour.
    """
    first = 0
    while first < count:
        last, rest, p = first, 1.0, samples.pixel[first]
        while last < count and samples.pixel[last] == p:
            rest -= samples.share[last]
            last += 1
        for c in range(3):
            mixed = rest * min(out[p, c], np.float32(4.0))
            for n in range(first, last):
                mixed += samples.share[n] * min(rgb[n, c], np.float32(4.0))
            out[p, c] = mixed
        first = last


def shade_all(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, lens: Lens, tables: Tables, samples: Samples, out: Picture
) -> None:  # fmt: skip
    """Shade what every pixel sees, then smooth the edges; `samples` is room that is used again from frame to frame."""
    seen, ray = buffers.seen.reshape(-1), lens.ray.reshape(3, -1)
    flat = Shaded(out.linear.reshape(-1, 3), out.semantic.reshape(-1), out.depth.reshape(-1), out.mirror.reshape(-1))
    shade_rays(lib, drawn, buffers, view, tables, seen, ray, samples.order, flat)
    mark_things(drawn, buffers.seen, samples.thing, out.instance)
    mark_edges(samples.thing, buffers.inverse, samples.edge)
    count = edge_samples(buffers, view, lens, samples)
    room = samples.shaded
    extra = Shaded(room.rgb[:count], room.kind[:count], room.depth[:count], room.mirror[:count])
    shade_rays(lib, drawn, buffers, view, tables, samples.seen[:count], samples.ray, samples.order, extra)
    blend_samples(samples, extra.rgb, count, flat.rgb)


@inlined
def pixel_of(view: View, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A point in the world -> its pixel and its distance; NaN where the lens does not reach."""
    dx, dy, dz = x - view.origin[0], y - view.origin[1], z - view.origin[2]
    a = view.axes
    cx = a[0, 0] * dx + a[0, 1] * dy + a[0, 2] * dz
    cy = a[1, 0] * dx + a[1, 1] * dy + a[1, 2] * dz
    cz = a[2, 0] * dx + a[2, 1] * dy + a[2, 2] * dz
    u, v = project_vertex(view, cx, cy, cz)
    return u, v, math.sqrt(dx * dx + dy * dy + dz * dz)


@kernel
def wet_roads(view: View, lens: Lens, tables: Tables, out: Picture) -> None:
    """Mix into wet ground what it mirrors: the picture above it where that is farther away, the sky otherwise."""
    a = view.axes
    height, width = view.height, view.width
    for y in range(height):
        for x in range(width):
            weight = out.mirror[y, x]
            if weight <= 0.01:
                continue
            distance = float(out.depth[y, x])
            rx, ry, rz = lens.ray[0, y, x], lens.ray[1, y, x], lens.ray[2, y, x]
            wx = a[0, 0] * rx + a[1, 0] * ry + a[2, 0] * rz
            wy = a[0, 1] * rx + a[1, 1] * ry + a[2, 1] * rz
            wz = a[0, 2] * rx + a[1, 2] * ry + a[2, 2] * rz
            # ripples of the film of water lean the mirror towards and away from the viewer
            jitter = 0.10 * (hash01(x, y, 3) - 0.5) * min(1.0, 12.0 / distance)
            r, g, b = sky_at(tables.light.sky, wx, wy, -wz + abs(jitter))
            for k in range(5):
                run = distance * (0.15, 0.4, 0.9, 2.0, 4.5)[k]
                px, py = view.origin[0] + (distance + run) * wx, view.origin[1] + (distance + run) * wy
                pz = view.origin[2] + distance * wz + run * (-wz + jitter)
                u, v, far = pixel_of(view, px, py, pz)
                if not (0.0 <= u < width - 1.0 and 0.0 <= v < height - 1.0):
                    continue
                i, j = int(v + 0.5), int(u + 0.5)
                there = out.depth[i, j]
                if out.mirror[i, j] <= 0.01 and there < far * 1.25 and there > distance * 0.98:
                    r, g, b = out.linear[i, j, 0], out.linear[i, j, 1], out.linear[i, j, 2]
                    break
            out.linear[y, x, 0] += weight * (min(r, 4.0) - out.linear[y, x, 0])
            out.linear[y, x, 1] += weight * (min(g, 4.0) - out.linear[y, x, 1])
            out.linear[y, x, 2] += weight * (min(b, 4.0) - out.linear[y, x, 2])


@inlined
def splat(out: Picture, u: float, v: float, sigma: float, r: float, g: float, b: float) -> None:
    """Add a round soft spot of light to the picture."""
    reach = 3.0 * sigma
    height, width = out.depth.shape
    for y in range(max(0, math.ceil(v - reach)), min(height, math.floor(v + reach) + 1)):
        for x in range(max(0, math.ceil(u - reach)), min(width, math.floor(u + reach) + 1)):
            k = math.exp(-((x - u) ** 2 + (y - v) ** 2) / (2.0 * sigma * sigma))
            out.linear[y, x, 0] += k * r
            out.linear[y, x, 1] += k * g
            out.linear[y, x, 2] += k * b


@inlined
def visible_share(out: Picture, u: float, v: float, distance: float) -> float:
    """The share of the nine pixels around a lamp in which nothing stands before it."""
    height, width = out.depth.shape
    clear, count = 0, 0
    for i in range(int(v + 0.5) - 1, int(v + 0.5) + 2):
        for j in range(int(u + 0.5) - 1, int(u + 0.5) + 2):
            if 0 <= i < height and 0 <= j < width:
                count += 1
                clear += out.depth[i, j] > distance - 0.45
    return clear / count if count else 0.0


@inlined
def glow(
    lib: Library, spots: Float, n: int, items: Instances, k: int, view: View, tables: Tables, out: Picture
) -> None:  # fmt: skip
    """Lamp n of instance k -> its light in the picture."""
    a, scale, at = items.axes[k], items.scale[k], items.xyz[k]
    lx, ly, lz = spots[n, 0] * scale[0], spots[n, 1] * scale[1], spots[n, 2] * scale[2]
    x = at[0] + a[0, 0] * lx + a[0, 1] * ly + a[0, 2] * lz
    y = at[1] + a[1, 0] * lx + a[1, 1] * ly + a[1, 2] * lz
    z = at[2] + a[2, 0] * lx + a[2, 1] * ly + a[2, 2] * lz
    u, v, distance = pixel_of(view, x, y, z)
    if not (-2.0 < u < view.width + 1.0 and -2.0 < v < view.height + 1.0) or distance < 0.5:
        return
    dx, dy = (view.origin[0] - x) / distance, (view.origin[1] - y) / distance
    facing = 1.0
    if spots[n, 3] != 0.0 or spots[n, 4] != 0.0:
        fx, fy = a[0, 0] * spots[n, 3] + a[0, 1] * spots[n, 4], a[1, 0] * spots[n, 3] + a[1, 1] * spots[n, 4]
        facing = dx * fx + dy * fy
    if facing < 0.15:
        return
    face = int(spots[n, 6])
    r, g, b = emission(lib.material[face], items.flags[k], items.seed[k], tables.t_s, lib.color[face])
    if r + g + b <= 0.0:
        return
    clear = visible_share(out, u, v, distance) * math.exp(-0.6 * distance * tables.light.fog_per_m)
    if clear <= 0.0:
        return
    size = view.focal * spots[n, 5] * math.sqrt(abs(scale[1] * scale[2])) / distance
    if size < 1.2:  # what the pixels in between have missed
        k0 = 0.55 * clear * min(1.0, 0.35 + size) * min(1.0, 1.2 - 0.5 * size)
        splat(out, u, v, 0.62, k0 * r, k0 * g, k0 * b)
    haze = tables.light.dark + 0.5 * (1.0 - math.exp(-60.0 * tables.light.fog_per_m))
    if haze > 0.1:
        k1 = 0.030 * clear * haze * min(1.0, size + 0.15) * facing / (1.0 + 0.25 * size)
        splat(out, u, v, max(1.6, size + 0.006 * view.focal), k1 * r, k1 * g, k1 * b)


@kernel
def glows(lib: Library, spots: Float, first: Int, drawn: Drawn, view: View, tables: Tables, out: Picture) -> None:
    """What is drawn, and lamps (N, 7, see `lamp_spots`) with the first of each prototype (P + 1,) -> their light.

    A lamp smaller than a pixel is drawn as a spot of about one pixel, so that far lights stay legible; by night lamps
    have a halo.
    """
    items, count = drawn.items, drawn.filled[2]
    for k in range(count):
        if items.flags[k] == 0 or items.proto[k] >= len(first) - 1:
            continue
        for n in range(first[items.proto[k]], first[items.proto[k] + 1]):
            glow(lib, spots, n, items, k, view, tables, out)


@kernel
def finish(
    view: View, tables: Tables, table: NDArray[np.uint8], salt: int, out: Picture, rgb: NDArray[np.uint8]
) -> None:
    """Linear picture -> bytes; rain falls as faint streaks that a time and camera decide."""
    height, width = view.height, view.width
    if tables.light.rain > 0.0:
        fog = tables.light.fog
        for n in range(width * height // 220):
            x0 = hash01(n, salt, 1) * width
            y0 = hash01(n, salt, 2) * height
            depth = 0.3 + 0.7 * hash01(n, salt, 4)
            long = int(0.012 * view.focal * (0.5 + 1.5 * depth)) + 2
            lean = 0.25 * (hash01(salt, 5, n // 64) - 0.5) + 0.05
            for k in range(long):
                x, y = int(x0 + lean * k), int(y0) + k
                if 0 <= x < width and y < height:
                    for c in range(3):
                        out.linear[y, x, c] += 0.11 * depth * (1.15 * fog[c] + 0.02 - out.linear[y, x, c] * 0.6)
    scale, top = np.float32(1.0 / TONE_STEP), np.float32(TONES - 1)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                tone = min(scale * np.sqrt(max(out.linear[y, x, c], np.float32(0.0))), top)
                rgb[y, x, c] = table[np.uint32(tone)]
