"""Instances and a camera -> the triangles that it can see, in its frame and projected, at the right level of detail."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import inlined, inner, kernel
from cordillera.sensors.render_chunk import LANES, F, Single
from cordillera.sensors.rig import PINHOLE
from cordillera.sensors.scene_arrays import Instances, Library, no_instances
from cordillera.types import Camera, Float, Int

# arctan u = u (c0 + c1 u^2 + ...) for u in 0..1 with the least largest error
ARCTAN = (
    0.999999886384, -0.333325970314, 0.199859068016, -0.141612293722, 0.104989465688, -0.0723485814938,
    0.0397812307137, -0.0144013614061, 0.00245672528859,
)  # fmt: skip

VERTICES = 128  # that are placed at a time, see `render_chunk`
ROW_Y, ROW_Z, CAM_X, CAM_Y, CAM_Z = (np.uint64(VERTICES * k) for k in range(1, 6))
RADIUS, THETA = ROW_Z, CAM_X  # rows of the single numbers


class View(NamedTuple):
    """A posed camera for the kernels."""

    axes: Float  # (3, 3) rows: the camera's x, y, z axis in the world
    origin: Float  # (3,) world
    poly: Float  # (K,) forward polynomial
    cx: float
    cy: float
    pinhole: bool
    theta_edge: float  # angle of the farthest corner
    theta_limit: float  # up to where the lens maps one to one
    focal: float  # pixels a radian on the axis
    width: int
    height: int


class Drawn(NamedTuple):
    """What is drawn: triangles that face the camera, and the instances that they belong to; `filled` says how much."""

    edge: Single  # (T, 3, 3) edge functions in the camera's frame, positive inside
    plane: Single  # (T, 3) r . plane is the inverse distance along the ray r
    box: Single  # (T, 4) x from..to and y from..to in pixels, all that there is where the triangle may reach far
    face: Int  # (T,) triangle of the library
    owner: Int  # (T,) row of `items`
    thing: NDArray[np.int32]  # (T,) 64 times the instance number, plus the material
    items: Instances
    first_tri: Int  # (N + 1,) the triangles of item k are first_tri[k] .. first_tri[k + 1]
    filled: Int  # (4,) triangles, items, triangles in visible range, and whether there was no room
    cam: Float  # (V, 3) vertices of one instance in the camera's frame
    pixel: Single  # (V, 2) NaN where the lens does not reach
    chunk: Float  # (6 * VERTICES,) working memory
    single: Single  # (4 * VERTICES,)


class Part(NamedTuple):
    """Instances, and a sphere around each."""

    items: Instances
    ball: Float  # (N, 4) middle in the world and radius


def part_of(library: Library, items: Instances) -> Part:
    """Instances -> them with their spheres."""
    ball = np.empty((len(items.proto), 4))
    balls(library, items, ball)
    return Part(items, ball)


def view_of(camera: Camera, tf_world_camera: Float, theta_edge: float, theta_limit: float) -> View:
    """A camera, its pose in the world, and the angles of its lens (see `Lens`) -> the view."""
    return View(
        np.ascontiguousarray(tf_world_camera[:3, :3].T),
        tf_world_camera[:3, 3].copy(),
        np.array(camera.fw_poly, dtype=np.float64),
        float(camera.cx),
        float(camera.cy),
        camera.model == PINHOLE,
        theta_edge,
        theta_limit,
        float(camera.fw_poly[1]),
        camera.width,
        camera.height,
    )


def room_for(triangles: int, items: int, vertices: int) -> Drawn:
    """Capacities, and the vertices of the largest mesh -> an empty list of what is drawn."""
    return Drawn(
        np.empty((triangles, 3, 3), np.float32),
        np.empty((triangles, 3), np.float32),
        np.empty((triangles, 4), np.float32),
        np.empty(triangles, np.int64),
        np.empty(triangles, np.int64),
        np.empty(triangles, np.int32),
        no_instances(items),
        np.zeros(items + 1, np.int64),
        np.zeros(4, np.int64),
        np.empty((vertices, 3)),
        np.empty((vertices, 2), np.float32),
        np.zeros(6 * VERTICES),
        np.zeros(4 * VERTICES, np.float32),
    )


@inlined
def pixel_radius(view: View, theta: float) -> float:
    """An angle from the axis -> its distance from the principal point in pixels."""
    if view.pinhole:
        return view.poly[1] * math.tan(theta)
    r = 0.0
    for k in range(len(view.poly) - 1, -1, -1):
        r = r * theta + view.poly[k]
    return r


@kernel
def balls(lib: Library, inst: Instances, out: Float) -> None:
    """Instances -> (N, 4) middle in the world and radius of a sphere around each."""
    for i in range(len(inst.proto)):
        p, a, scale = inst.proto[i], inst.axes[i], inst.scale[i]
        x, y, z = lib.center[p, 0] * scale[0], lib.center[p, 1] * scale[1], lib.center[p, 2] * scale[2]
        for r in range(3):
            out[i, r] = inst.xyz[i, r] + a[r, 0] * x + a[r, 1] * y + a[r, 2] * z
        out[i, 3] = lib.radius[p] * max(scale[0], scale[1], scale[2])


@inlined
def level_of(lib: Library, p: int, ball: Float, view: View, cone: tuple[float, float], max_range_m: float) -> int:
    """The level of detail in which a view shows prototype p in a ball (4,), -1 for none; cone: its cosine and sine."""
    dx, dy, dz = ball[0] - view.origin[0], ball[1] - view.origin[1], ball[2] - view.origin[2]
    radius = ball[3]
    d2, r2 = dx * dx + dy * dy + dz * dz, radius * radius
    if d2 > (max_range_m + radius) ** 2:
        return -1
    size = math.inf
    if d2 > r2:
        # outside the cone of the image: its angle plus the sphere's is less than that of the middle, all by cosines
        forward = view.axes[2, 0] * dx + view.axes[2, 1] * dy + view.axes[2, 2] * dz
        cosine, sine = cone
        if forward < cosine * math.sqrt(d2 - r2) - sine * radius and (cosine > 0.0 or r2 < d2 * sine * sine):
            return -1
        size = view.focal * radius / math.sqrt(d2)
    for k in range(lib.lods[p]):
        if size >= lib.switch_px[p, k]:
            return k
    return -1


@inlined
def limb_moves(limb: Float, bone: int, gait: Float, x: float, z: float) -> tuple[float, float]:
    """A vertex's local x and z -> where its limb, and that limb's parents, have swung it."""
    while bone > 0:
        row = limb[bone - 1]
        angle = gait[1] * (row[4] + row[2] * math.sin(gait[0] + row[3]))
        c, s = math.cos(angle), math.sin(angle)
        dx, dz = x - row[0], z - row[1]
        x, z = row[0] + c * dx + s * dz, row[1] - s * dx + c * dz
        bone = int(row[5])
    return x, z


@inlined
def copy_item(inst: Instances, i: int, items: Instances, k: int) -> None:
    """Instance i of one list becomes row k of another."""
    items.proto[k], items.flags[k], items.seed[k] = inst.proto[i], inst.flags[i], inst.seed[i]
    items.semantic[k], items.label[k] = inst.semantic[i], inst.label[i]
    for r in range(3):
        items.xyz[k, r], items.scale[k, r] = inst.xyz[i, r], inst.scale[i, r]
        items.tint[k, 0, r], items.tint[k, 1, r] = inst.tint[i, 0, r], inst.tint[i, 1, r]
        for c in range(3):
            items.axes[k, r, c] = inst.axes[i, r, c]
    items.gait[k, 0], items.gait[k, 1] = inst.gait[i, 0], inst.gait[i, 1]


@inlined
def angle_of(side: float, z: float) -> float:
    """A distance from the axis and one along it -> the angle between, atan2(side, z), within 2e-8 rad."""
    low, high = min(side, abs(z)), max(side, abs(z), 1e-300)
    u = low / high
    v = u * u
    c = ARCTAN
    angle = c[4] + v * (c[5] + v * (c[6] + v * (c[7] + v * c[8])))
    angle = c[0] + v * (c[1] + v * (c[2] + v * (c[3] + v * angle)))
    angle *= u
    angle = 0.5 * math.pi - angle if side > abs(z) else angle
    return math.pi - angle if z < 0.0 else angle


@inlined
def project_vertex(view: View, x: float, y: float, z: float) -> tuple[float, float]:
    """A point in the camera frame -> its pixel, NaN where the lens does not reach."""
    side = math.sqrt(x * x + y * y)
    theta = angle_of(side, z)
    if theta >= view.theta_limit:
        return math.nan, math.nan
    k = pixel_radius(view, theta) / side if side > 1e-12 else 0.0
    return view.cx + k * x, view.cy + k * y


@inlined
def place_vertices(lib: Library, inst: Instances, i: int, v0: int, v1: int, view: View, out: Drawn) -> None:
    """Vertices v0 <= v < v1 of instance i -> out.cam and out.pixel."""
    c, axes, scale, at = out.chunk, inst.axes[i], inst.scale[i], inst.xyz[i]
    gait, limb = inst.gait[i], lib.limb[inst.proto[i]]
    ox, oy, oz = at[0] - view.origin[0], at[1] - view.origin[1], at[2] - view.origin[2]
    swings = gait[1] != 0.0
    for first in range(v0, v1, VERTICES):
        n = min(VERTICES, v1 - first)
        m = (n + LANES - 1) & -LANES
        for v in range(n):
            x, y, z = lib.vert[first + v, 0], lib.vert[first + v, 1], lib.vert[first + v, 2]
            if swings and lib.bone[first + v] > 0:
                x, z = limb_moves(limb, lib.bone[first + v], gait, x, z)
            c[v], c[VERTICES + v], c[2 * VERTICES + v] = scale[0] * x, scale[1] * y, scale[2] * z
        for r in range(3):
            a = view.axes[r, 0] * axes[0, 0] + view.axes[r, 1] * axes[1, 0] + view.axes[r, 2] * axes[2, 0]
            b = view.axes[r, 0] * axes[0, 1] + view.axes[r, 1] * axes[1, 1] + view.axes[r, 2] * axes[2, 1]
            d = view.axes[r, 0] * axes[0, 2] + view.axes[r, 1] * axes[1, 2] + view.axes[r, 2] * axes[2, 2]
            e = view.axes[r, 0] * ox + view.axes[r, 1] * oy + view.axes[r, 2] * oz
            row = CAM_X if r == 0 else CAM_Y if r == 1 else CAM_Z
            for v in range(np.uint64(m)):
                c[row + v] = a * c[v] + b * c[ROW_Y + v] + d * c[ROW_Z + v] + e
        project_chunk(view, c, out.single, m)
        for v in range(n):
            j = first - v0 + v
            out.cam[j, 0], out.cam[j, 1], out.cam[j, 2] = c[3 * VERTICES + v], c[4 * VERTICES + v], c[5 * VERTICES + v]
            out.pixel[j, 0], out.pixel[j, 1] = out.single[v], out.single[VERTICES + v]


@inner
def project_chunk(view: View, c: Float, p: Single, m: int) -> None:
    """Points in the camera's frame -> pixels in the first two rows of `p`, NaN where the lens does not reach.

    Single precision: within a thousandth of a pixel, which is enough for the box of a triangle.
    """
    one, nothing, half_turn = F(1.0), F(math.nan), F(math.pi)
    limit, cx, cy = F(view.theta_limit), F(view.cx), F(view.cy)
    c0, c1, c2, c3, c4 = F(ARCTAN[0]), F(ARCTAN[1]), F(ARCTAN[2]), F(ARCTAN[3]), F(ARCTAN[4])
    c5, c6, c7, c8 = F(ARCTAN[5]), F(ARCTAN[6]), F(ARCTAN[7]), F(ARCTAN[8])
    for v in range(np.uint64(m)):
        x, y, z = F(c[CAM_X + v]), F(c[CAM_Y + v]), F(c[CAM_Z + v])
        side = np.sqrt(x * x + y * y)
        low, high = min(side, abs(z)), max(max(side, abs(z)), F(1e-30))
        u = low / high
        w = u * u
        angle = c4 + w * (c5 + w * (c6 + w * (c7 + w * c8)))
        angle = u * (c0 + w * (c1 + w * (c2 + w * (c3 + w * angle))))
        angle = F(0.5) * half_turn - angle if side > abs(z) else angle
        angle = half_turn - angle if z < F(0.0) else angle
        p[RADIUS + v] = F(0.0)
        p[THETA + v] = angle
        p[v] = one / max(side, F(1e-12))
    if view.pinhole:
        focal = F(view.poly[1])
        for v in range(np.uint64(m)):
            z = F(c[CAM_Z + v])
            p[v] = focal / z if p[THETA + v] < limit else nothing
    else:
        for k in range(len(view.poly) - 1, -1, -1):
            factor = F(view.poly[k])
            for v in range(np.uint64(m)):
                p[RADIUS + v] = p[RADIUS + v] * p[THETA + v] + factor
        for v in range(np.uint64(m)):
            p[v] = p[RADIUS + v] * p[v] if p[THETA + v] < limit else nothing
    for v in range(np.uint64(m)):
        scale = p[v]
        p[v], p[ROW_Y + v] = cx + scale * F(c[CAM_X + v]), cy + scale * F(c[CAM_Y + v])


@inlined
def setup(cam: Float, a: int, b: int, c: int, edge: Single, plane: Single) -> bool:
    """Three vertices -> edge functions and plane of the triangle; False if it is seen from behind or edge-on."""
    ax, ay, az = cam[a, 0], cam[a, 1], cam[a, 2]
    bx, by, bz = cam[b, 0], cam[b, 1], cam[b, 2]
    cx, cy, cz = cam[c, 0], cam[c, 1], cam[c, 2]
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


@inlined
def box_of(pixel: Single, a: int, b: int, c: int, bend: float, box: Single) -> None:
    """Three projected vertices -> the box of the triangle, widened for curved edges and for rounding."""
    x0, x1 = min(pixel[a, 0], pixel[b, 0], pixel[c, 0]), max(pixel[a, 0], pixel[b, 0], pixel[c, 0])
    y0, y1 = min(pixel[a, 1], pixel[b, 1], pixel[c, 1]), max(pixel[a, 1], pixel[b, 1], pixel[c, 1])
    size = (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)
    pad = F(4e-3) + F(0.5) * bend * size
    box[0], box[1], box[2], box[3] = x0 - pad, x1 + pad, y0 - pad, y1 + pad
    nan = pixel[a, 0] + pixel[b, 0] + pixel[c, 0]  # of which min and max may lose one
    if nan != nan:
        box[0], box[1], box[2], box[3] = -F(math.inf), F(math.inf), -F(math.inf), F(math.inf)


@inner
def gather(lib: Library, inst: Instances, ball: Float, view: View, max_range_m: float, out: Drawn) -> None:
    """Append to `out` all that the view can see of instances in their balls; sets out.filled[3] where room lacks."""
    cone = (math.cos(view.theta_edge), math.sin(view.theta_edge))
    bend, right, bottom = F(1.0 / view.focal), F(view.width - 0.5), F(view.height - 0.5)
    edge_px = F(-0.5)
    for i in range(len(inst.proto)):
        p = inst.proto[i]
        level = level_of(lib, p, ball[i], view, cone, max_range_m)
        if level < 0:
            continue
        v0, t0, t1 = lib.vert_range[p, level, 0], lib.tri_range[p, level, 0], lib.tri_range[p, level, 1]
        n, k = out.filled[0], out.filled[1]
        if n + t1 - t0 > len(out.face) or k + 1 >= len(out.first_tri):
            out.filled[3] = 1
            return
        place_vertices(lib, inst, i, v0, lib.vert_range[p, level, 1], view, out)
        label = np.int32(inst.label[i] * 64)
        for t in range(t0, t1):
            a, b, c = lib.tri[t, 0] - v0, lib.tri[t, 1] - v0, lib.tri[t, 2] - v0
            box = out.box[n]
            box_of(out.pixel, a, b, c, bend, box)
            if box[0] > right or box[1] < edge_px or box[2] > bottom or box[3] < edge_px:
                continue
            if setup(out.cam, a, b, c, out.edge[n], out.plane[n]):
                out.face[n], out.owner[n], out.thing[n] = t, k, label + np.int32(lib.material[t])
                n += 1
        copy_item(inst, i, out.items, k)
        out.first_tri[k + 1] = n
        out.filled[0], out.filled[1] = n, k + 1
        out.filled[2] += t1 - t0
