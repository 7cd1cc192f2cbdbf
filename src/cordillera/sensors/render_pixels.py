"""Rays and the triangles that they meet -> light, class, distance: one kernel each for sky, ground, facades and things.

One kernel for all would be a third slower: the compiler runs out of registers over the sum of their branches.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import DECK, FACADE, GROUND, Semantic
from cordillera.sensors.kernels import inlined, kernel
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_light import Tables, sky_at
from cordillera.sensors.render_raster import Buffers
from cordillera.sensors.render_shade import shade_facade, shade_ground, shade_thing, slab_of, wall_of
from cordillera.sensors.scene_arrays import Library

SKY, TERRAIN = int(Semantic.SKY), int(Semantic.TERRAIN)
FAR_M = 2500.0  # of ground beyond all meshes
Single = NDArray[np.float32]
Seen = NDArray[np.int32]


class Shaded(NamedTuple):
    """What N rays bring back."""

    rgb: Single  # (N, 3) linear
    kind: NDArray[np.uint8]  # (N,) Semantic
    depth: Single  # (N,) m along the ray, inf for the sky
    mirror: Single  # (N,) wet ground that mirrors, 0..1


def room_for_rays(n: int) -> Shaded:
    """A number of rays -> room for what they bring back."""
    return Shaded(np.empty((n, 3), np.float32), np.empty(n, np.uint8), np.empty(n, np.float32), np.zeros(n, np.float32))


@inlined
def clear_air(thick: float) -> float:
    """The optical thickness of air -> exp(-thick), within 2e-4: the series for a sixteenth, squared four times."""
    x = min(thick, 16.0) * 0.0625
    k = 1.0 - x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0))))
    k = k * k
    k = k * k
    k = k * k
    return k * k


@inlined
def put(
    out: Shaded, n: int, tables: Tables, r: float, g: float, b: float, kind: int, distance: float, wet: float
) -> None:  # fmt: skip
    """What a ray brings back, seen through the air -> its place."""
    clear, fog = clear_air(distance * tables.light.fog_per_m), tables.light.fog
    out.rgb[n, 0] = fog[0] + clear * (r - fog[0])
    out.rgb[n, 1] = fog[1] + clear * (g - fog[1])
    out.rgb[n, 2] = fog[2] + clear * (b - fog[2])
    out.kind[n], out.depth[n], out.mirror[n] = kind, distance, wet


@inlined
def background(view: View, tables: Tables, rx: float, ry: float, rz: float) -> tuple[float, float, float, int]:
    """A ray that meets nothing -> the sky, or far ground below the horizon."""
    a = view.axes
    wx = a[0, 0] * rx + a[1, 0] * ry + a[2, 0] * rz
    wy = a[0, 1] * rx + a[1, 1] * ry + a[2, 1] * rz
    wz = a[0, 2] * rx + a[1, 2] * ry + a[2, 2] * rz
    if wz < -0.004:
        up = tables.light.sky_up
        clear, fog = clear_air(FAR_M * tables.light.fog_per_m), tables.light.fog
        r, g, b = 0.10 * up[0], 0.12 * up[1], 0.06 * up[2]
        return fog[0] + clear * (r - fog[0]), fog[1] + clear * (g - fog[1]), fog[2] + clear * (b - fog[2]), TERRAIN
    r, g, b = sky_at(tables.light.sky, wx, wy, wz)
    return r, g, b, SKY


def shade_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, seen: Seen, ray: Single, order: Seen,
    out: Shaded,
) -> None:  # fmt: skip
    """Rays (3, N) and the triangles that they meet (N,), -1 for none -> what they bring back through the air.

    `order` (4, N or more) is room for the numbers of the rays, sorted by the kernel that shades them.
    """
    sky, ground, wall, thing = sort_rays(drawn, seen, order)
    sky_rays(view, tables, order[0, :sky], ray, out)
    ground_rays(drawn, buffers, view, tables, order[1, :ground], seen, ray, out)
    wall_rays(lib, drawn, buffers, view, tables, order[2, :wall], seen, ray, out)
    thing_rays(lib, drawn, buffers, view, tables, order[3, :thing], seen, ray, out)


@kernel
def sort_rays(drawn: Drawn, seen: Seen, order: Seen) -> tuple[int, int, int, int]:
    """The triangles that rays meet -> the numbers of those that meet nothing, ground, facades and the rest; how many.

    Each number is written to all four rows and stays in one: there is no branch to be guessed wrong.
    """
    sky, ground, wall, thing = 0, 0, 0, 0
    for n in range(len(seen)):
        t = seen[n]
        material = drawn.thing[t] & 63 if t >= 0 else 255
        order[0, sky] = order[1, ground] = order[2, wall] = order[3, thing] = n
        is_ground, is_wall = (material == GROUND) | (material == DECK), material == FACADE
        sky += t < 0
        ground += is_ground
        wall += is_wall
        thing += (t >= 0) & (not is_ground) & (not is_wall)
    return sky, ground, wall, thing


@kernel
def sky_rays(view: View, tables: Tables, mine: Seen, ray: Single, out: Shaded) -> None:
    """The rays that meet nothing."""
    for i in range(len(mine)):
        n = mine[i]
        r, g, b, semantic = background(view, tables, float(ray[0, n]), float(ray[1, n]), float(ray[2, n]))
        out.rgb[n, 0], out.rgb[n, 1], out.rgb[n, 2] = r, g, b
        out.kind[n], out.depth[n], out.mirror[n] = semantic, math.inf, 0.0


@kernel
def ground_rays(
    drawn: Drawn, buffers: Buffers, view: View, tables: Tables, mine: Seen, seen: Seen, ray: Single, out: Shaded
) -> None:  # fmt: skip
    """The rays that meet the ground; neighbours mostly meet the same triangle."""
    if len(mine) == 0:
        return
    last = seen[mine[0]]
    slab = slab_of(buffers, view, last, drawn.thing[last] & 63)
    for i in range(len(mine)):
        n = mine[i]
        if seen[n] != last:
            last = seen[n]
            slab = slab_of(buffers, view, last, drawn.thing[last] & 63)
        rx, ry, rz = float(ray[0, n]), float(ray[1, n]), float(ray[2, n])
        r, g, b, semantic, distance, wet = shade_ground(view, tables, slab, rx, ry, rz)
        put(out, n, tables, r, g, b, semantic, distance, wet)


@kernel
def wall_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, mine: Seen, seen: Seen, ray: Single,
    out: Shaded,
) -> None:  # fmt: skip
    """The rays that meet facades of houses."""
    if len(mine) == 0:
        return
    last = seen[mine[0]]
    wall = wall_of(lib, drawn, last)
    for i in range(len(mine)):
        n = mine[i]
        if seen[n] != last:
            last = seen[n]
            wall = wall_of(lib, drawn, last)
        rx, ry, rz = float(ray[0, n]), float(ray[1, n]), float(ray[2, n])
        r, g, b, semantic, distance = shade_facade(drawn, buffers, view, tables, wall, last, rx, ry, rz)
        put(out, n, tables, r, g, b, semantic, distance, 0.0)


@kernel
def thing_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, mine: Seen, seen: Seen, ray: Single,
    out: Shaded,
) -> None:  # fmt: skip
    """The rays that meet anything else."""
    for i in range(len(mine)):
        n = mine[i]
        rx, ry, rz = float(ray[0, n]), float(ray[1, n]), float(ray[2, n])
        r, g, b, semantic, distance = shade_thing(lib, drawn, buffers, view, tables, seen[n], rx, ry, rz)
        put(out, n, tables, r, g, b, semantic, distance, 0.0)
