"""Rays and the triangles that they meet -> light, class, distance: sky, ground, facades and things, each by triangle.

One kernel for all would be a third slower: the compiler runs out of registers over the sum of their branches.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import DECK, FACADE, GROUND, Semantic
from cordillera.sensors.kernels import inlined, inner
from cordillera.sensors.render_chunk import (
    A0,
    A1,
    A2,
    A3,
    CHUNK,
    EB,
    EG,
    ER,
    KIND,
    LANES,
    LB,
    LG,
    LR,
    MB,
    MG,
    MR,
    MW,
    NX,
    NY,
    NZ,
    WX,
    WY,
    WZ,
    B,
    Chunk,
    D,
    F,
    G,
    R,
    Shaded,
    Single,
    Whole,
    air_chunk,
    clear_air,
    fetch,
    filled,
    mirror_chunk,
    put,
    room_for_chunk,
    sky_chunk,
)  # fmt: skip
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_ground import ground_chunk
from cordillera.sensors.render_light import Tables, light_chunk
from cordillera.sensors.render_shade import thing_chunk, thing_of, wall_chunk, wall_of
from cordillera.sensors.scene_arrays import Library

SKY, TERRAIN = int(Semantic.SKY), int(Semantic.TERRAIN)
FAR_M = 2500.0  # of ground beyond all meshes
SKIES, GROUNDS, WALLS, THINGS = range(4)  # kernels that shade


class Groups(NamedTuple):
    """Rays in the order of the triangles that they meet."""

    order: Whole  # (N,) numbers of rays
    group: Whole  # (4, N, 3) for each kernel: triangle, and its first and last + 1 place in `order`
    used: Whole  # (4,) groups
    run: Whole  # (N, 3) neighbours that meet the same: triangle, first and last + 1 ray
    here: Whole  # (N,) triangles that are met
    chunk: Chunk


def room_for_groups(n: int) -> Groups:
    """A number of rays -> room to sort them."""
    return Groups(
        np.empty(n, np.int32), np.empty((4, n, 3), np.int32), np.zeros(4, np.int32), np.empty((n, 3), np.int32),
        np.empty(n, np.int32), room_for_chunk(),
    )  # fmt: skip


@inner
def sort_rays(
    thing: Whole, seen: Whole, rays: Whole, groups: Groups, both: Whole, instance: NDArray[np.uint16]
) -> None:  # fmt: skip
    """The triangles that pixels meet (N,) -> them in groups, what each sees (`both`, see Drawn), and its instance.

    `rays` (T + 1,) is zero before and after, and counts the rays of each triangle, and of none in the first place.
    """
    run, here, runs, met, first = groups.run, groups.here, 0, 0, 0
    for n in range(1, len(seen) + 1):
        t = seen[first]
        if n < len(seen) and seen[n] == t:
            continue
        run[runs, 0], run[runs, 1], run[runs, 2] = t, first, n
        if rays[t + 1] == 0:
            here[met] = t
            met += 1
        rays[t + 1] += n - first
        who = thing[t] if t >= 0 else np.int32(-1)
        label = np.uint16(max(who, np.int32(0)) >> np.int32(6))
        for i in range(np.uint64(first), np.uint64(n)):
            both[i], instance[i] = who, label
        runs, first = runs + 1, n
    groups.used[:] = 0
    place = 0
    for i in range(met):
        t = here[i]
        material = thing[t] & 63 if t >= 0 else -1
        kernel = GROUNDS if material in (GROUND, DECK) else WALLS if material == FACADE else THINGS
        kernel = SKIES if t < 0 else kernel
        g = groups.group[kernel, groups.used[kernel]]
        groups.used[kernel] += 1
        g[0], g[1], g[2] = t, place, place + rays[t + 1]
        rays[t + 1], place = place, g[2]
    for i in range(runs):
        t, a, b = run[i, 0], run[i, 1], run[i, 2]
        to = rays[t + 1]
        for n in range(a, b):
            groups.order[to + n - a] = n
        rays[t + 1] = to + b - a
    for i in range(met):
        rays[here[i] + 1] = 0


@inner
def sky_rays(view: View, tables: Tables, order: Whole, group: Whole, ray: Single, chunk: Chunk, out: Shaded) -> None:
    """The rays that meet nothing: the sky, or far ground below the horizon."""
    c, k, light = chunk.f, chunk.k, tables.light
    clear = clear_air(F(FAR_M * light.fog_per_m))
    up, fog, one = light.sky_up, light.fog, F(1.0)
    gr = F(fog[0]) + clear * (F(0.10 * up[0]) - F(fog[0]))
    gg = F(fog[1]) + clear * (F(0.12 * up[1]) - F(fog[1]))
    gb = F(fog[2]) + clear * (F(0.06 * up[2]) - F(fog[2]))
    for g in range(len(group)):
        for first in range(group[g, 1], group[g, 2], CHUNK):
            n = min(CHUNK, group[g, 2] - first)
            m = (n + LANES - 1) & -LANES
            fetch(ray, view.axes, c[:3], order, first, n, m, c)
            for i in range(np.uint64(m)):
                c[A0 + i], c[A1 + i], c[A2 + i], c[MW + i] = c[WX + i], c[WY + i], c[WZ + i], one
            sky_chunk(light.sky, c, k, n, m)
            for i in range(np.uint64(m)):
                is_ground = c[WZ + i] < F(-0.004)
                c[R + i], c[G + i] = gr if is_ground else c[MR + i], gg if is_ground else c[MG + i]
                c[B + i], c[D + i] = gb if is_ground else c[MB + i], F(math.inf)
                k[KIND + i] = np.int32(TERRAIN) if is_ground else np.int32(SKY)
            put(c, k, order, first, n, out)


@inlined
def lit(
    tables: Tables, view: View, chunk: Chunk, order: Whole, first: int, n: int, m: int, bias_m: float, shine: float,
    out: Shaded,
) -> None:  # fmt: skip
    """A chunk of colours -> under their light, with what they mirror, through the air, at the places of their rays."""
    c, k = chunk.f, chunk.k
    light_chunk(tables, view.origin, c, n, m, bias_m)
    if shine > 0.0:
        mirror_chunk(tables.light, c, k, n, m)
    air_chunk(tables.light, c, m)
    put(c, k, order, first, n, out)


@inner
def ground_rays(
    drawn: Drawn, view: View, tables: Tables, order: Whole, group: Whole, ray: Single, chunk: Chunk,
    out: Shaded,
) -> None:  # fmt: skip
    """The rays that meet the ground."""
    c, k, axes, zero, wet = chunk.f, chunk.k, view.axes, F(0.0), tables.light.wet > 0.0
    for row in (ER, EG, EB, MW, MR, MG, MB):
        filled(c, row, CHUNK, zero)
    for g in range(len(group)):
        plane, deck = drawn.plane[group[g, 0]], (drawn.thing[group[g, 0]] & 63) == DECK
        per = -1.0 / math.sqrt(plane[0] * plane[0] + plane[1] * plane[1] + plane[2] * plane[2])
        filled(c, NX, CHUNK, F((axes[0, 0] * plane[0] + axes[1, 0] * plane[1] + axes[2, 0] * plane[2]) * per))
        filled(c, NY, CHUNK, F((axes[0, 1] * plane[0] + axes[1, 1] * plane[1] + axes[2, 1] * plane[2]) * per))
        filled(c, NZ, CHUNK, F((axes[0, 2] * plane[0] + axes[1, 2] * plane[1] + axes[2, 2] * plane[2]) * per))
        for first in range(group[g, 1], group[g, 2], CHUNK):
            n = min(CHUNK, group[g, 2] - first)
            m = (n + LANES - 1) & -LANES
            fetch(ray, axes, plane, order, first, n, m, c)
            ground_chunk(tables, view, plane, deck, c, k, n, m)
            if wet:
                for i in range(n):
                    out.mirror[order[first + i]] = c[int(A3) + i]
            lit(tables, view, chunk, order, first, n, m, 0.02, 0.0, out)


@inner
def wall_rays(
    lib: Library, drawn: Drawn, view: View, tables: Tables, order: Whole, group: Whole, ray: Single,
    chunk: Chunk, out: Shaded,
) -> None:  # fmt: skip
    """The rays that meet facades of houses."""
    c, k = chunk.f, chunk.k
    for g in range(len(group)):
        t = group[g, 0]
        wall = wall_of(lib, drawn, t)
        filled(c, NX, CHUNK, F(wall.n[0]))
        filled(c, NY, CHUNK, F(wall.n[1]))
        filled(c, NZ, CHUNK, F(wall.n[2]))
        filled(k, KIND, CHUNK, np.int32(drawn.items.semantic[wall.k]))
        for first in range(group[g, 1], group[g, 2], CHUNK):
            n = min(CHUNK, group[g, 2] - first)
            m = (n + LANES - 1) & -LANES
            fetch(ray, view.axes, drawn.plane[t], order, first, n, m, c)
            wall_chunk(tables, view, wall, drawn.items.tint[wall.k], drawn.items.seed[wall.k], c, k, n, m)
            lit(tables, view, chunk, order, first, n, m, 0.25, 1.0, out)


@inner
def thing_rays(
    lib: Library, drawn: Drawn, view: View, tables: Tables, order: Whole, group: Whole, ray: Single,
    chunk: Chunk, out: Shaded,
) -> None:  # fmt: skip
    """The rays that meet anything else."""
    c, k, zero = chunk.f, chunk.k, F(0.0)
    for g in range(len(group)):
        t = group[g, 0]
        thing = thing_of(lib, drawn, tables, t)
        shines = thing.lamp[0] + thing.lamp[1] + thing.lamp[2] > 0.0
        filled(k, KIND, CHUNK, np.int32(thing.kind))
        for first in range(group[g, 1], group[g, 2], CHUNK):
            n = min(CHUNK, group[g, 2] - first)
            m = (n + LANES - 1) & -LANES
            fetch(ray, view.axes, drawn.plane[t], order, first, n, m, c)
            if shines:
                for row in (R, G, B, MW, MR, MG, MB, LR, LG, LB):
                    filled(c, row, m, zero)
                filled(c, ER, m, F(thing.lamp[0]))
                filled(c, EG, m, F(thing.lamp[1]))
                filled(c, EB, m, F(thing.lamp[2]))
                air_chunk(tables.light, c, m)
                put(c, k, order, first, n, out)
                continue
            thing_chunk(lib, drawn.items, tables, view, thing, drawn.edge[t], c, k, n, m)
            lit(tables, view, chunk, order, first, n, m, 0.25, thing.shine, out)
