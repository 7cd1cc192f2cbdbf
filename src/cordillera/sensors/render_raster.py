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

from cordillera.sensors.kernels import inlined, kernel
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.rig import ray_table, theta_limit, unproject
from cordillera.types import Camera, Float

Single = NDArray[np.float32]
TILE_W, TILE_H = 16, 8
LARGE_PX = 48.0  # triangles whose edges are longer go by tiles


class Lens(NamedTuple):
    """Tables of a lens: rays of the pixels, and the cones that hold the rays of a tile of 16 x 8 pixels."""

    ray: Single  # (3, H, W)
    cone_axis: Float  # (R, C, 3)
    cone_sin: Float  # (R, C) sine of the half angle
    corner_ratio: Float  # (1,) largest curvature of a projected straight edge, per pixel
    theta_edge: float  # the image's largest angle from the axis
    theta_limit: float  # to where the lens maps one to one


class Buffers(NamedTuple):
    """The visibility of a view."""

    inverse: Single  # (H, W) inverse distance along the ray, 0 where nothing is
    seen: NDArray[np.int32]  # (H, W) triangle, -1 for none
    plane: Float  # (T, 3) r . plane is the inverse distance
    edge: Float  # (T, 3, 3) edge functions, positive inside
    drawn: NDArray[np.uint8]  # (T,) whether the triangle was rasterised


def lens_of(camera: Camera) -> Lens:
    """A camera -> its tables."""
    rays = ray_table(camera)
    rows, columns = -(-camera.height // TILE_H), -(-camera.width // TILE_W)
    axis, sine = np.zeros((rows, columns, 3)), np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            part = rays[i * TILE_H : (i + 1) * TILE_H, j * TILE_W : (j + 1) * TILE_W].reshape(-1, 3)
            mean = part.mean(axis=0)
            axis[i, j] = mean / np.linalg.norm(mean)
            cosine = float((part @ axis[i, j]).min())
            sine[i, j] = math.sqrt(max(0.0, 1.0 - cosine * cosine)) + 1e-6
    bend = np.array([1.0 / camera.fw_poly[1]])
    w, h = camera.width, camera.height
    corners = unproject(camera, [[-0.5, -0.5], [w - 0.5, -0.5], [-0.5, h - 0.5], [w - 0.5, h - 0.5]])
    edge = float(np.arccos(np.clip(corners[:, 2], -1.0, 1.0)).max()) + 1e-6
    table = np.ascontiguousarray(np.moveaxis(rays, -1, 0), dtype=np.float32)
    return Lens(table, axis, sine, bend, edge, theta_limit(camera))


def empty_buffers(view: View, triangles: int) -> Buffers:
    """A view and a number of triangles -> buffers in which nothing is seen yet."""
    return Buffers(
        np.zeros((view.height, view.width), np.float32),
        np.full((view.height, view.width), -1, np.int32),
        np.empty((triangles, 3)),
        np.empty((triangles, 3, 3)),
        np.zeros(triangles, np.uint8),
    )


@inlined
def setup(cam: Float, a: int, b: int, c: int, edge: Float, plane: Float) -> bool:
    """Three vertices -> edge functions and plane of the triangle; False if it is seen from behind or edge-on."""
    ax, ay, az = cam[a]
    bx, by, bz = cam[b]
    cx, cy, cz = cam[c]
    nx = (by - ay) * (cz - az) - (bz - az) * (cy - ay)
    ny = (bz - az) * (cx - ax) - (bx - ax) * (cz - az)
    nz = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    det = ax * nx + ay * ny + az * nz
    if det > -1e-12:
        return False
    plane[0], plane[1], plane[2] = nx / det, ny / det, nz / det
    edge[0, 0], edge[0, 1], edge[0, 2] = cy * bz - cz * by, cz * bx - cx * bz, cx * by - cy * bx
    edge[1, 0], edge[1, 1], edge[1, 2] = ay * cz - az * cy, az * cx - ax * cz, ax * cy - ay * cx
    edge[2, 0], edge[2, 1], edge[2, 2] = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
    return True


@kernel
def fill(
    ray: Single,
    edge: Float,
    plane: Float,
    t: int,
    x0: int,
    x1: int,
    y0: int,
    y1: int,
    inverse: Single,
    seen: NDArray[np.int32],
) -> None:
    """Test the pixels x0 <= x < x1, y0 <= y < y1 against one triangle and keep it where it is nearest."""
    ax, ay, az = np.float32(edge[0, 0]), np.float32(edge[0, 1]), np.float32(edge[0, 2])
    bx, by, bz = np.float32(edge[1, 0]), np.float32(edge[1, 1]), np.float32(edge[1, 2])
    cx, cy, cz = np.float32(edge[2, 0]), np.float32(edge[2, 1]), np.float32(edge[2, 2])
    px, py, pz = np.float32(plane[0]), np.float32(plane[1]), np.float32(plane[2])
    zero = np.float32(0.0)
    k = np.int32(t)
    # unsigned, so that no index can count from the end: only then is the loop made into vector instructions
    for y in range(np.uint64(y0), np.uint64(y1)):
        for x in range(np.uint64(x0), np.uint64(x1)):
            u, v, w = ray[0, y, x], ray[1, y, x], ray[2, y, x]
            depth = px * u + py * v + pz * w
            inside = (
                (ax * u + ay * v + az * w >= zero)
                & (bx * u + by * v + bz * w >= zero)
                & (cx * u + cy * v + cz * w >= zero)
                & (depth > inverse[y, x])
            )
            inverse[y, x] = depth if inside else inverse[y, x]
            seen[y, x] = k if inside else seen[y, x]


@inlined
def length_of(edge: Float, k: int) -> float:
    """The length of one edge function's vector."""
    return math.sqrt(edge[k, 0] * edge[k, 0] + edge[k, 1] * edge[k, 1] + edge[k, 2] * edge[k, 2])


@inlined
def beyond(edge: Float, k: int, axis: Float, reach: float) -> bool:
    """Whether a cone of rays lies wholly on the outer side of an edge; `reach`: sine of the cone times the length."""
    return edge[k, 0] * axis[0] + edge[k, 1] * axis[1] + edge[k, 2] * axis[2] < -reach


@inlined
def outside(edge: Float, axis: Float, sine: float) -> bool:
    """Whether a cone of rays lies wholly on the outer side of one of a triangle's edges."""
    return (
        beyond(edge, 0, axis, sine * length_of(edge, 0))
        or beyond(edge, 1, axis, sine * length_of(edge, 1))
        or beyond(edge, 2, axis, sine * length_of(edge, 2))
    )


@inlined
def tiles(low: float, high: float, step: int, count: int) -> tuple[int, int]:
    """An interval of pixels (not finite: all) -> first and last + 1 of the tiles that it touches."""
    if not (-1e6 < low < 1e6 and -1e6 < high < 1e6):
        return 0, count
    return max(0, math.floor(low / step)), min(count, math.floor(high / step) + 1)


@inlined
def bounds(pixel: Float, a: int, b: int, c: int, bend: float) -> tuple[float, float, float, float, float]:
    """Three projected vertices -> the box of the triangle, widened for curved edges, and its longest side."""
    x0, x1 = min(pixel[a, 0], pixel[b, 0], pixel[c, 0]), max(pixel[a, 0], pixel[b, 0], pixel[c, 0])
    y0, y1 = min(pixel[a, 1], pixel[b, 1], pixel[c, 1]), max(pixel[a, 1], pixel[b, 1], pixel[c, 1])
    size = math.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))
    pad = 1e-3 + 0.5 * bend * size * size
    return x0 - pad, x1 + pad, y0 - pad, y1 + pad, size


@kernel
def rasterise(drawn: Drawn, view: View, lens: Lens, first: int, last: int, out: Buffers) -> None:
    """Triangles first <= t < last -> the buffers, nearest triangle a pixel."""
    width, height = view.width, view.height
    for t in range(first, last):
        a, b, c = drawn.tri[t]
        x0, x1, y0, y1, size = bounds(drawn.pixel, a, b, c, lens.corner_ratio[0])
        small = size < LARGE_PX  # false for NaN too
        ix0, ix1, iy0, iy1 = 0, 0, 0, 0
        if small:
            ix0, ix1 = max(0, math.ceil(x0)), min(width, math.floor(x1) + 1)
            iy0, iy1 = max(0, math.ceil(y0)), min(height, math.floor(y1) + 1)
            if ix0 >= ix1 or iy0 >= iy1:
                continue
        if not setup(drawn.cam, a, b, c, out.edge[t], out.plane[t]):
            continue
        out.drawn[t] = 1
        if small:
            fill(lens.ray, out.edge[t], out.plane[t], t, ix0, ix1, iy0, iy1, out.inverse, out.seen)
            continue
        edge = out.edge[t]
        e0, e1, e2 = length_of(edge, 0), length_of(edge, 1), length_of(edge, 2)
        i0, i1 = tiles(y0, y1, TILE_H, lens.cone_sin.shape[0])
        j0, j1 = tiles(x0, x1, TILE_W, lens.cone_sin.shape[1])
        for i in range(i0, i1):
            for j in range(j0, j1):
                axis, sine = lens.cone_axis[i, j], lens.cone_sin[i, j]
                if (
                    beyond(edge, 0, axis, sine * e0)
                    or beyond(edge, 1, axis, sine * e1)
                    or beyond(edge, 2, axis, sine * e2)
                ):
                    continue
                fx, fy = j * TILE_W, i * TILE_H
                lx, ly = min(width, fx + TILE_W), min(height, fy + TILE_H)
                fill(lens.ray, out.edge[t], out.plane[t], t, fx, lx, fy, ly, out.inverse, out.seen)
