"""Rays and the triangles that they meet -> light, class, distance: one kernel each for sky, ground and things.

One kernel for all would be a third slower: the compiler runs out of registers over the sum of their branches.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import DECK, GROUND, Semantic
from cordillera.sensors.kernels import inlined, kernel
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_light import Tables, sky_at
from cordillera.sensors.render_raster import Buffers
from cordillera.sensors.render_shade import shade_ground, shade_thing
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
def fogged(
    tables: Tables, r: float, g: float, b: float, distance: float
) -> tuple[float, float, float]:  # fmt: skip
    """A colour and its distance -> the colour seen through the air."""
    clear = math.exp(-distance * tables.light.fog_per_m)
    fog = tables.light.fog
    return fog[0] + clear * (r - fog[0]), fog[1] + clear * (g - fog[1]), fog[2] + clear * (b - fog[2])


@inlined
def background(view: View, tables: Tables, rx: float, ry: float, rz: float) -> tuple[float, float, float, int]:
    """A ray that meets nothing -> the sky, or far ground below the horizon."""
    a = view.axes
    wx = a[0, 0] * rx + a[1, 0] * ry + a[2, 0] * rz
    wy = a[0, 1] * rx + a[1, 1] * ry + a[2, 1] * rz
    wz = a[0, 2] * rx + a[1, 2] * ry + a[2, 2] * rz
    if wz < -0.004:
        up = tables.light.sky_up
        r, g, b = fogged(tables, 0.10 * up[0], 0.12 * up[1], 0.06 * up[2], FAR_M)
        return r, g, b, TERRAIN
    r, g, b = sky_at(tables.light.sky, wx, wy, wz)
    return r, g, b, SKY


def shade_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, seen: Seen, ray: Single, out: Shaded
) -> None:  # fmt: skip
    """Rays (3, N) and the triangles that they meet (N,), -1 for none -> what they bring back through the air."""
    sky_rays(view, tables, seen, ray, out)
    ground_rays(lib, drawn, buffers, view, tables, seen, ray, out)
    thing_rays(lib, drawn, buffers, view, tables, seen, ray, out)


@kernel
def sky_rays(view: View, tables: Tables, seen: Seen, ray: Single, out: Shaded) -> None:
    """The rays that meet nothing."""
    for n in range(len(seen)):
        if seen[n] >= 0:
            continue
        r, g, b, semantic = background(view, tables, float(ray[0, n]), float(ray[1, n]), float(ray[2, n]))
        out.rgb[n, 0], out.rgb[n, 1], out.rgb[n, 2] = r, g, b
        out.kind[n], out.depth[n], out.mirror[n] = semantic, math.inf, 0.0


@kernel
def ground_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, seen: Seen, ray: Single, out: Shaded
) -> None:  # fmt: skip
    """The rays that meet the ground."""
    for n in range(len(seen)):
        t = seen[n]
        if t < 0:
            continue
        material = lib.material[drawn.face[t]]
        if material not in (GROUND, DECK):
            continue
        rx, ry, rz = float(ray[0, n]), float(ray[1, n]), float(ray[2, n])
        r, g, b, semantic, distance, wet = shade_ground(lib, drawn, buffers, view, tables, t, rx, ry, rz)
        r, g, b = fogged(tables, r, g, b, distance)
        out.rgb[n, 0], out.rgb[n, 1], out.rgb[n, 2] = r, g, b
        out.kind[n], out.depth[n], out.mirror[n] = semantic, distance, wet


@kernel
def thing_rays(
    lib: Library, drawn: Drawn, buffers: Buffers, view: View, tables: Tables, seen: Seen, ray: Single, out: Shaded
) -> None:  # fmt: skip
    """The rays that meet anything else."""
    for n in range(len(seen)):
        t = seen[n]
        if t < 0:
            continue
        material = lib.material[drawn.face[t]]
        if material in (GROUND, DECK):
            continue
        rx, ry, rz = float(ray[0, n]), float(ray[1, n]), float(ray[2, n])
        r, g, b, semantic, distance = shade_thing(lib, drawn, buffers, view, tables, t, rx, ry, rz)
        r, g, b = fogged(tables, r, g, b, distance)
        out.rgb[n, 0], out.rgb[n, 1], out.rgb[n, 2] = r, g, b
        out.kind[n], out.depth[n], out.mirror[n] = semantic, distance, 0.0
