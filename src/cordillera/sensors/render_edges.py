"""Edges in a picture -> rays beside the middle of their pixels, and the picture with those mixed in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import SIGN
from cordillera.sensors.kernels import inlined, inner
from cordillera.sensors.render_chunk import F, Shaded, Single, Whole, room_for_rays
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_pixels import THINGS, Groups, room_for_groups
from cordillera.sensors.render_raster import Buffers, Lens
from cordillera.types import Int

WIDE = 8
FOUR_Y, FOUR_Z, FOUR_DEPTH, FOUR_WHO = (np.uint64(WIDE * k) for k in range(1, 5))


@inlined
def differs(own: int, other: int, a: float, b: float) -> bool:
    """What two neighbouring pixels see, and how near -> whether the edge between them should be smoothed."""
    return (own != other) | (a > F(1.2) * b) | (b > F(1.2) * a)


@inner
def mark_edges(thing: Whole, inverse: Single, width: int, height: int, edge: NDArray[np.uint8]) -> None:
    """What pixels see and how near (H * W,) -> whether an edge to be smoothed is beside each; not for the outermost."""
    wide = np.uint64(width)
    for y in range(1, height - 1):
        first = np.uint64(y * width)
        for x in range(np.uint64(1), np.uint64(width - 1)):
            n = first + x
            own, near = thing[n], inverse[n]
            left, right, up, down = n - np.uint64(1), n + np.uint64(1), n - wide, n + wide
            edge[n] = np.uint8(
                differs(own, thing[left], near, inverse[left])
                | differs(own, thing[right], near, inverse[right])
                | differs(own, thing[up], near, inverse[up])
                | differs(own, thing[down], near, inverse[down])
            )


@inlined
def probe(edge: Single, plane: Single, who: int, four: Single) -> None:
    """A triangle -> what is nearest on four rays; `four` (5 * WIDE,): x, y, z of the rays, inverse distance, triangle.

    The rows are as wide as a vector, and their end is empty: so the loop over them is one instruction after another.
    """
    ax, ay, az, bx, by, bz = edge[0, 0], edge[0, 1], edge[0, 2], edge[1, 0], edge[1, 1], edge[1, 2]
    cx, cy, cz, px, py, pz = edge[2, 0], edge[2, 1], edge[2, 2], plane[0], plane[1], plane[2]
    number, zero = F(who), F(0.0)
    for s in range(np.uint64(WIDE * (len(four) // (5 * WIDE)))):
        u, v, w = four[s], four[FOUR_Y + s], four[FOUR_Z + s]
        inside = (
            (ax * u + ay * v + az * w >= zero) & (bx * u + by * v + bz * w >= zero) & (cx * u + cy * v + cz * w >= zero)
        )
        depth = px * u + py * v + pz * w
        depth = depth if inside else zero
        old, own = four[FOUR_DEPTH + s], four[FOUR_WHO + s]
        four[FOUR_DEPTH + s] = max(old, depth)
        four[FOUR_WHO + s] = own + (number - own) * F(depth > old)


@inlined
def around(seen: Whole, n: int, width: int, near: Int, where: Int) -> int:
    """What pixel n and the eight around it see -> `near`, each once, its own first; returns how many.

    `where`: a pixel that sees it, beside n rather than across its corner.
    """
    own = last = seen[n]
    near[0], where[0], count = own, n, 1
    for step in (-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1):
        t = seen[n + step]
        if t in (own, last):  # most are
            continue
        c, last = 1, t
        while c < count and near[c] != t:
            c += 1
        if c == count:
            near[count], where[count] = t, n + step
            count += 1
    return count


@inlined
def spread(ray: Single, n: int, width: int, size: int, four: Single) -> None:
    """A pixel -> its four rays, turned to a side in the pixel as the table's neighbours say."""
    for k in range(3):
        r = ray[k * size + n]
        du = F(0.0625) * (ray[k * size + n + 1] - ray[k * size + n - 1])
        dv = F(0.0625) * (ray[k * size + n + width] - ray[k * size + n - width])
        row = WIDE * k
        four[row], four[row + 1] = r + du + F(3.0) * dv, r - F(3.0) * du + dv
        four[row + 2], four[row + 3] = r + F(3.0) * du - dv, r - du - F(3.0) * dv


class Samples(NamedTuple):
    """Rays beside the middle of pixels on edges, and what they meet."""

    pixel: NDArray[np.int32]  # (N,) row * width + column
    share: NDArray[np.float32]  # (N,) of the pixel
    source: NDArray[np.int32]  # (N,) the pixel whose colour it has; below 0 a ray of its own: -1 - its number
    ray: NDArray[np.float32]  # (3, N) of signs, whose pictures are finer than a pixel
    signs: Groups  # those rays by triangle
    mixed: NDArray[np.float32]  # (N, 3)
    scratch: Int  # (4, 10)
    four: Single  # (5 * WIDE,) see `probe`
    thing: NDArray[np.int32]  # (H, W) what each pixel sees
    edge: NDArray[np.uint8]  # (H, W) see `mark_edges`
    groups: Groups  # (H * W,) the pixels by triangle
    shaded: Shaded  # (N,) what the rays bring back
    linear: NDArray[np.float32]  # (H, W, 3) see Picture
    mirror: NDArray[np.float32]  # (H, W)


def room_for_samples(view: View) -> Samples:
    """A view -> room for as many samples as it can need."""
    n = 4 * view.width * view.height
    return Samples(
        np.empty(n, np.int32),
        np.empty(n, np.float32),
        np.empty(n, np.int32),
        np.empty((3, n), np.float32),
        room_for_groups(n),
        np.empty((n, 3), np.float32),
        np.empty((4, 10), np.int64),
        np.zeros(5 * WIDE, np.float32),
        np.empty((view.height, view.width), np.int32),
        np.zeros((view.height, view.width), np.uint8),
        room_for_groups(view.width * view.height),
        room_for_rays(n),
        np.empty((view.height, view.width, 3), np.float32),
        np.zeros((view.height, view.width), np.float32),
    )


@inner
def edge_samples(drawn: Drawn, buffers: Buffers, view: View, lens: Lens, out: Samples) -> int:
    """Pixels on edges -> four rays each, tested against what the nine pixels around see; returns the samples.

    Rays of a pixel that meet one triangle are one sample, with the colour of a neighbour that sees that triangle in
    its middle; only the pictures of signs are looked at anew. What meets the pixel's own triangle has its colour.
    """
    ray, edge, width, seen = lens.ray.reshape(-1), out.edge.reshape(-1), view.width, buffers.seen.reshape(-1)
    near, where, found, place, four = out.scratch[0], out.scratch[1], out.scratch[2], out.scratch[3], out.four
    total = rays = 0
    out.signs.used[:] = 0
    for n in range(len(edge)):
        if edge[n] == 0:
            continue
        count = around(seen, n, width, near, where)
        if count == 1:
            continue
        spread(ray, n, width, len(edge), four)
        sky = 0
        for s in range(3 * WIDE, 5 * WIDE):
            four[s] = F(0.0)
        for c in range(count):
            if near[c] < 0:
                sky = c
            else:
                probe(drawn.edge[near[c]], drawn.plane[near[c]], c, four)
        kinds = 0
        for s in range(4):
            hit = sky if four[3 * WIDE + s] == F(0.0) else int(four[4 * WIDE + s])
            if hit == 0:
                continue
            again = -1
            for c in range(kinds):
                again = place[c] if found[c] == hit else again
            if again >= 0:
                out.share[again] += np.float32(0.25)
                continue
            found[kinds], place[kinds] = hit, total
            kinds += 1
            t = near[hit]
            out.pixel[total], out.share[total], out.source[total] = n, 0.25, where[hit]
            if t >= 0 and drawn.thing[t] & 63 == SIGN:
                out.ray[0, rays], out.ray[1, rays], out.ray[2, rays] = four[s], four[WIDE + s], four[2 * WIDE + s]
                add_ray(out.signs, t, rays)
                out.source[total] = -1 - rays
                rays += 1
            total += 1
    return total


@inlined
def add_ray(groups: Groups, t: int, ray: int) -> None:
    """The next ray, and the triangle of a sign that it meets -> the groups."""
    count = groups.used[THINGS]
    groups.order[ray] = ray
    if count > 0 and groups.group[THINGS, count - 1, 0] == t:
        groups.group[THINGS, count - 1, 2] = ray + 1
        return
    row = groups.group[THINGS, count]
    row[0], row[1], row[2] = t, ray, ray + 1
    groups.used[THINGS] = count + 1


@inner
def blend_samples(samples: Samples, rgb: NDArray[np.float32], count: int, out: NDArray[np.float32]) -> None:
    """Samples, the colours of their own rays (N, 3) -> into the picture (H * W, 3), each with its share of its pixel.

    Lamps are far brighter than white; without a limit one sample of four would own the pixel's colour.
    """
    limit, one = np.float32(4.0), np.float32(1.0)
    for n in range(count):  # first all, since pixels on edges are each other's source
        source = samples.source[n]
        for c in range(3):
            samples.mixed[n, c] = min(out[source, c] if source >= 0 else rgb[-1 - source, c], limit)
    first = 0
    while first < count:
        last, rest, p = first, one, samples.pixel[first]
        while last < count and samples.pixel[last] == p:
            rest -= samples.share[last]
            last += 1
        for c in range(3):
            mixed = rest * min(out[p, c], limit)
            for n in range(first, last):
                mixed += samples.share[n] * samples.mixed[n, c]
            out[p, c] = mixed
        first = last
