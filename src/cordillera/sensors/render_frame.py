"""Visibility -> pictures: each pixel shaded once, edges smoothed, wet roads, fog, glows and rain over it, in 8 bits."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, inner, kernel
from cordillera.sensors.render_chunk import Shaded
from cordillera.sensors.render_edges import Samples, blend_samples, edge_samples, mark_edges
from cordillera.sensors.render_geometry import Drawn, View, project_vertex
from cordillera.sensors.render_light import Tables, sky_at
from cordillera.sensors.render_pixels import (
    GROUNDS,
    SKIES,
    THINGS,
    WALLS,
    ground_rays,
    sky_rays,
    sort_rays,
    thing_rays,
    wall_rays,
)
from cordillera.sensors.render_raster import Buffers, Lens
from cordillera.sensors.render_shade import emission, hash01
from cordillera.sensors.scene_arrays import Instances, Library
from cordillera.types import Float, Int

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


class Spots(NamedTuple):
    """All lamps of all prototypes."""

    lamp: Float  # (N, 7) see `lamp_spots`
    first: Int  # (P + 1,) the first of each prototype


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


def empty_picture(view: View, samples: Samples) -> Picture:
    """A view and its working memory -> its picture before anything is shaded; what a frame keeps is new."""
    shape = (view.height, view.width)
    return Picture(
        samples.linear,
        np.empty(shape, np.uint8),
        np.empty(shape, np.uint16),
        np.empty(shape, np.float32),
        samples.mirror,
    )


@kernel
def develop(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, lens: Lens, tables: Tables, spots: Spots,
    samples: Samples, tone: NDArray[np.uint8], salt: int, out: Picture, rgb: NDArray[np.uint8],
) -> None:  # fmt: skip
    """What every pixel sees -> the picture: shaded, edges smoothed, wet roads, glows, bytes.

    One call from Python for all of it: to take apart tuples of arrays costs as much as a pass over the picture.
    """
    light, groups, signs = tables.light, samples.groups, samples.signs
    flat = Shaded(out.linear.reshape(-1, 3), out.semantic.reshape(-1), out.depth.reshape(-1), out.mirror.reshape(-1))
    ray, seen = lens.ray.reshape(3, -1), buffers.seen.reshape(-1)
    sort_rays(drawn.thing, seen, buffers.rays, groups, samples.thing.reshape(-1), out.instance.reshape(-1))
    if light.wet > 0.0:
        flat.mirror[:] = np.float32(0.0)
    used, group, order, chunk = groups.used, groups.group, groups.order, groups.chunk
    sky_rays(view, tables, order, group[SKIES, : used[SKIES]], ray, chunk, flat)
    ground_rays(drawn, view, tables, order, group[GROUNDS, : used[GROUNDS]], ray, chunk, flat)
    wall_rays(lib, drawn, view, tables, order, group[WALLS, : used[WALLS]], ray, chunk, flat)
    thing_rays(lib, drawn, view, tables, order, group[THINGS, : used[THINGS]], ray, chunk, flat)
    mark_edges(
        samples.thing.reshape(-1), buffers.inverse.reshape(-1), view.width, view.height, samples.edge.reshape(-1)
    )  # fmt: skip
    count = edge_samples(drawn, buffers, view, lens, samples)
    mine = signs.group[THINGS, : signs.used[THINGS]]
    thing_rays(lib, drawn, view, tables, signs.order, mine, samples.ray, groups.chunk, samples.shaded)
    blend_samples(samples, samples.shaded.rgb, count, flat.rgb)
    if light.wet > 0.0:
        wet_roads(view, lens, tables, out)
    glows(lib, spots, drawn, view, tables, out)
    finish(view, tables, tone, salt, out, rgb)


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


@inner
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


@inner
def glows(lib: Library, spots: Spots, drawn: Drawn, view: View, tables: Tables, out: Picture) -> None:
    """What is drawn, and the lamps of prototypes -> their light.

    A lamp smaller than a pixel is drawn as a spot of about one pixel, so that far lights stay legible; by night lamps
    have a halo.
    """
    items, first = drawn.items, spots.first
    for k in range(drawn.filled[1]):
        if items.flags[k] == 0 or items.proto[k] >= len(first) - 1:
            continue
        for n in range(first[items.proto[k]], first[items.proto[k] + 1]):
            glow(lib, spots.lamp, n, items, k, view, tables, out)


@inner
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
    linear, flat = out.linear.reshape(-1), rgb.reshape(-1)
    for n in range(np.uint64(len(flat))):
        flat[n] = table[np.uint32(min(scale * np.sqrt(max(linear[n], np.float32(0.0))), top))]
