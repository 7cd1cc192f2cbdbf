"""Triangles -> which one each pixel sees, exactly for any lens, on unit rays.

For vertices a, b, c in the camera frame a ray r meets the triangle if r.(b x c), r.(c x a) and r.(a x b) have the sign
of the triple product a.(b x c); its distance along the ray is that product over r.N, N = (b - a) x (c - a). Neither
needs a projection, so lenses beyond 90 degrees are exact too. Projected vertices only bound the pixels to be tested.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, inner, kernel
from cordillera.sensors.render_chunk import F, Single
from cordillera.sensors.render_geometry import Drawn, Part, View, gather
from cordillera.sensors.rig import ray_table, theta_limit, unproject
from cordillera.sensors.scene_arrays import Library
from cordillera.types import Camera, Float

TILE_W, TILE_H = 32, 16
PART_W, PART_H = 8, 4  # tiles on an edge of a triangle go by parts of this size
LARGE_PX = 48.0  # triangles whose boxes are larger go by tiles


class Lens(NamedTuple):
    """Tables of a lens: the pixels' rays, and the cones that hold those of tiles: axis, and sine of the half angle."""

    ray: Single  # (3, H, W)
    tile: Float  # (R, C, 4)
    part: Float  # (4 R, 4 C, 4)
    theta_edge: float  # the image's largest angle from the axis
    theta_limit: float  # to where the lens maps one to one


class Buffers(NamedTuple):
    """The visibility of a view."""

    inverse: Single  # (H, W) inverse distance along the ray, 0 where nothing is
    seen: NDArray[np.int32]  # (H, W) triangle, -1 for none
    drawn: NDArray[np.uint8]  # (T,) whether the triangle was rasterised
    rays: NDArray[np.int32]  # (T + 1,) zeros, for `sort_rays` to count in


def lens_of(camera: Camera) -> Lens:
    """A camera -> its tables."""
    rays = ray_table(camera)
    w, h = camera.width, camera.height
    corners = unproject(camera, [[-0.5, -0.5], [w - 0.5, -0.5], [-0.5, h - 0.5], [w - 0.5, h - 0.5]])
    edge = float(np.arccos(np.clip(corners[:, 2], -1.0, 1.0)).max()) + 1e-6
    table = np.ascontiguousarray(np.moveaxis(rays, -1, 0), dtype=np.float32)
    tile, part = cones_of(rays, TILE_H, TILE_W), cones_of(rays, PART_H, PART_W)
    return Lens(table, tile, part, edge, theta_limit(camera))


def cones_of(rays: Float, high: int, wide: int) -> Float:
    """Unit rays (H, W, 3) -> for each tile the cone that holds its rays (rows, columns, 4)."""
    rows, columns = -(-rays.shape[0] // high), -(-rays.shape[1] // wide)
    short = ((0, rows * high - rays.shape[0]), (0, columns * wide - rays.shape[1]), (0, 0))
    tiles = np.pad(rays, short, mode="edge").reshape(rows, high, columns, wide, 3).swapaxes(1, 2)
    axis = tiles.mean(axis=(2, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    cosine = np.einsum("rchwk,rck->rchw", tiles, axis).min(axis=(2, 3))
    return np.concatenate([axis, np.sqrt(np.maximum(0.0, 1.0 - cosine**2))[..., None] + 1e-6], axis=-1)


def room_for_buffers(view: View, triangles: int) -> Buffers:
    """A view and the most triangles -> its buffers."""
    shape = (view.height, view.width)
    return Buffers(
        np.empty(shape, np.float32), np.empty(shape, np.int32), np.empty(triangles, np.uint8),
        np.zeros(triangles + 1, np.int32),
    )  # fmt: skip


@inner
def fill(
    ray: Single, edge: Single, plane: Single, t: int, x0: int, blocks: int, y0: int, y1: int, width: int,
    inverse: Single, seen: NDArray[np.int32],
) -> None:  # fmt: skip
    """Test `blocks` times 8 pixels from x0 on in the rows y0 <= y < y1 against one triangle; keep it where nearest.

    Always whole blocks: what lies beside the triangle's box fails the test, and no rest is done one by one.
    """
    ax, ay, az = edge[0, 0], edge[0, 1], edge[0, 2]
    bx, by, bz = edge[1, 0], edge[1, 1], edge[1, 2]
    cx, cy, cz = edge[2, 0], edge[2, 1], edge[2, 2]
    px, py, pz = plane[0], plane[1], plane[2]
    zero, k, size = F(0.0), np.int32(t), np.uint64(len(inverse))
    # unsigned, so that no index can count from the end: only then is the loop made into vector instructions
    for y in range(y0, y1):
        first = np.uint64(y * width + x0)
        for i in range(np.uint64(8 * blocks)):
            n = first + i
            u, v, w = ray[n], ray[size + n], ray[size + size + n]
            inside = (
                (ax * u + ay * v + az * w >= zero)
                & (bx * u + by * v + bz * w >= zero)
                & (cx * u + cy * v + cz * w >= zero)
            )
            depth = px * u + py * v + pz * w
            depth = depth if inside else zero
            old, who = inverse[n], seen[n]
            nearer = -np.int32(depth > old)  # no branch, so that both are plain stores: those under a mask are slow
            inverse[n] = max(old, depth)
            seen[n] = who ^ ((who ^ k) & nearer)


@inlined
def fill_box(
    ray: Single, edge: Single, plane: Single, t: int, x0: int, x1: int, y0: int, y1: int, width: int, inverse: Single,
    seen: NDArray[np.int32],
) -> None:  # fmt: skip
    """`fill` for x0 <= x < x1, moved to the left where whole blocks would leave the picture (at least 8 wide)."""
    blocks = (x1 - x0 + 7) >> 3
    if x0 + 8 * blocks > width:
        x0 = width - 8 * blocks
        if x0 < 0:
            fill(ray, edge, plane, t, width - 8, min(blocks, 1), y0, y1, width, inverse, seen)
            x0, blocks = 0, width >> 3
    fill(ray, edge, plane, t, x0, blocks, y0, y1, width, inverse, seen)


@inlined
def length_of(edge: Single) -> float:
    """The length of one edge function's vector."""
    return math.sqrt(edge[0] * edge[0] + edge[1] * edge[1] + edge[2] * edge[2])


@inlined
def beyond(edge: Single, cone: Float, length: float) -> int:
    """An edge function, its length, a cone of rays -> 1 if all lie on the outer side, -1 if on the inner one, or 0."""
    to_side = edge[0] * cone[0] + edge[1] * cone[1] + edge[2] * cone[2]
    reach = cone[3] * length
    return 1 if to_side < -reach else -1 if to_side > reach else 0


@inlined
def outside(edge: Single, cone: Float) -> bool:
    """Whether a cone of rays lies wholly on the outer side of one of a triangle's edges."""
    return (
        beyond(edge[0], cone, length_of(edge[0])) > 0
        or beyond(edge[1], cone, length_of(edge[1])) > 0
        or beyond(edge[2], cone, length_of(edge[2])) > 0
    )


@inlined
def tiles(low: float, high: float, step: float, count: int) -> tuple[int, int]:
    """An interval of pixels (not finite: all) -> first and last + 1 of the tiles that it touches."""
    if not (-1e6 < low < 1e6 and -1e6 < high < 1e6):
        return 0, count
    return max(0, math.floor(low / step)), min(count, math.floor(high / step) + 1)


@inner
def rasterise(drawn: Drawn, view: View, lens: Lens, out: Buffers) -> None:
    """All triangles -> the buffers, nearest triangle a pixel."""
    width, height, count = view.width, view.height, drawn.filled[0]
    ray, inverse, seen = lens.ray.reshape(-1), out.inverse.reshape(-1), out.seen.reshape(-1)
    inverse[:] = F(0.0)
    seen[:] = -1
    for t in range(count):
        x0, x1, y0, y1 = drawn.box[t, 0], drawn.box[t, 1], drawn.box[t, 2], drawn.box[t, 3]
        edge, plane = drawn.edge[t], drawn.plane[t]
        if max(x1 - x0, y1 - y0) < LARGE_PX:
            ix0, ix1 = max(0, math.ceil(x0)), min(width, math.floor(x1) + 1)
            iy0, iy1 = max(0, math.ceil(y0)), min(height, math.floor(y1) + 1)
            out.drawn[t] = ix0 < ix1 and iy0 < iy1
            if out.drawn[t]:
                fill_box(ray, edge, plane, t, ix0, ix1, iy0, iy1, width, inverse, seen)
            continue
        out.drawn[t] = 1
        by_tiles(lens, drawn, t, ray, width, height, inverse, seen)


@inner
def by_tiles(
    lens: Lens, drawn: Drawn, t: int, ray: Single, width: int, height: int, inverse: Single, seen: NDArray[np.int32]
) -> None:  # fmt: skip
    """A large triangle -> the buffers: tiles that lie inside are filled, those on its edges by parts."""
    box, edge, plane = drawn.box[t], drawn.edge[t], drawn.plane[t]
    e0, e1, e2 = length_of(edge[0]), length_of(edge[1]), length_of(edge[2])
    i0, i1 = tiles(box[2], box[3], float(TILE_H), lens.tile.shape[0])
    j0, j1 = tiles(box[0], box[1], float(TILE_W), lens.tile.shape[1])
    p0, p1 = tiles(box[2], box[3], float(PART_H), lens.part.shape[0])
    q0, q1 = tiles(box[0], box[1], float(PART_W), lens.part.shape[1])
    down, along = TILE_H // PART_H, TILE_W // PART_W
    for i in range(i0, i1):
        for j in range(j0, j1):
            cone = lens.tile[i, j]
            a, b, c = beyond(edge[0], cone, e0), beyond(edge[1], cone, e1), beyond(edge[2], cone, e2)
            if max(a, b, c) > 0:
                continue
            x, y = j * TILE_W, i * TILE_H
            if a + b + c == -3:
                x1, y1 = min(width, x + TILE_W), min(height, y + TILE_H)
                fill_box(ray, edge, plane, t, x, x1, y, y1, width, inverse, seen)
                continue
            for p in range(max(p0, down * i), min(p1, down * (i + 1))):
                y = p * PART_H
                first, last = max(q0, along * j), min(q1, along * (j + 1))
                while first < last and outside_parts(edge, lens.part[p, first], e0, e1, e2):
                    first += 1
                while first < last and outside_parts(edge, lens.part[p, last - 1], e0, e1, e2):
                    last -= 1
                if first < last:
                    x0, x1, y1 = first * PART_W, min(width, last * PART_W), min(height, y + PART_H)
                    fill_box(ray, edge, plane, t, x0, x1, y, y1, width, inverse, seen)


@inlined
def outside_parts(edge: Single, cone: Float, e0: float, e1: float, e2: float) -> bool:
    """`outside` where the lengths of the edges are known."""
    return beyond(edge[0], cone, e0) > 0 or beyond(edge[1], cone, e1) > 0 or beyond(edge[2], cone, e2) > 0


@kernel
def look(
    lib: Library, fixed: Part, standing: Part, moving: Part, view: View, lens: Lens, max_range_m: float, drawn: Drawn,
    out: Buffers,
) -> None:  # fmt: skip
    """Instances in their balls -> the triangles that a view can see, and which one each of its pixels sees."""
    drawn.filled[:] = 0
    gather(lib, fixed.items, fixed.ball, view, max_range_m, drawn)
    gather(lib, standing.items, standing.ball, view, max_range_m, drawn)
    gather(lib, moving.items, moving.ball, view, max_range_m, drawn)
    if drawn.filled[3] == 0:
        rasterise(drawn, view, lens, out)
