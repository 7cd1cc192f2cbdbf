"""Instances and a camera -> the triangles that it can see, in its frame and projected, at the right level of detail."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.kernels import allocating, inlined
from cordillera.sensors.rig import PINHOLE
from cordillera.sensors.scene_arrays import Instances, Library, no_instances
from cordillera.types import Camera, Float, Int

# arctan u = u (c0 + c1 u^2 + ...) for u in 0..1 with the least largest error
ARCTAN = (
    0.999999886384, -0.333325970314, 0.199859068016, -0.141612293722, 0.104989465688, -0.0723485814938,
    0.0397812307137, -0.0144013614061, 0.00245672528859,
)  # fmt: skip


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
    """What is drawn: vertices, triangles and the instances that they belong to; `filled` says how much of it."""

    cam: Float  # (V, 3) camera frame
    pixel: Float  # (V, 2), NaN where the lens does not reach
    tri: Int  # (T, 3) into cam
    face: Int  # (T,) triangle of the library
    owner: Int  # (T,) row of `items`
    thing: NDArray[np.int32]  # (T,) 64 times the instance number, plus the material
    items: Instances
    first_tri: Int  # (N + 1,) the triangles of item k are first_tri[k] .. first_tri[k + 1]
    filled: Int  # (4,) vertices, triangles, items, overflow


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


def room_for(vertices: int, triangles: int, items: int) -> Drawn:
    """Capacities -> an empty list of what is drawn."""
    return Drawn(
        np.empty((vertices, 3)),
        np.empty((vertices, 2)),
        np.empty((triangles, 3), np.int64),
        np.empty(triangles, np.int64),
        np.empty(triangles, np.int64),
        np.empty(triangles, np.int32),
        no_instances(items),
        np.zeros(items + 1, np.int64),
        np.zeros(4, np.int64),
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


@inlined
def level_of(
    lib: Library, inst: Instances, i: int, view: View, cone: tuple[float, float], max_range_m: float
) -> int:  # fmt: skip
    """The level of detail in which a view shows an instance, -1 if it does not; cone: cosine and sine of its angle."""
    p = inst.proto[i]
    scale = inst.scale[i]
    lx, ly, lz = lib.center[p, 0] * scale[0], lib.center[p, 1] * scale[1], lib.center[p, 2] * scale[2]
    a = inst.axes[i]
    dx = inst.xyz[i, 0] + a[0, 0] * lx + a[0, 1] * ly + a[0, 2] * lz - view.origin[0]
    dy = inst.xyz[i, 1] + a[1, 0] * lx + a[1, 1] * ly + a[1, 2] * lz - view.origin[1]
    dz = inst.xyz[i, 2] + a[2, 0] * lx + a[2, 1] * ly + a[2, 2] * lz - view.origin[2]
    radius = lib.radius[p] * max(scale[0], scale[1], scale[2])
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


@allocating
def copy_item(inst: Instances, i: int, items: Instances, k: int) -> None:
    """Instance i of one list becomes row k of another."""
    items.proto[k], items.flags[k], items.seed[k] = inst.proto[i], inst.flags[i], inst.seed[i]
    items.semantic[k], items.label[k] = inst.semantic[i], inst.label[i]
    items.xyz[k], items.axes[k], items.scale[k] = inst.xyz[i], inst.axes[i], inst.scale[i]
    items.tint[k], items.gait[k] = inst.tint[i], inst.gait[i]


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


@allocating
def gather(lib: Library, inst: Instances, view: View, max_range_m: float, out: Drawn) -> None:
    """Append to `out` all instances that the view can see; sets out.filled[3] where there is no room."""
    moved = np.empty((3, 3))
    base = np.empty(3)
    cone = (math.cos(view.theta_edge), math.sin(view.theta_edge))
    for i in range(len(inst.proto)):
        level = level_of(lib, inst, i, view, cone, max_range_m)
        if level < 0:
            continue
        p = inst.proto[i]
        v0, v1 = lib.vert_range[p, level]
        t0, t1 = lib.tri_range[p, level]
        nv, nt, k = out.filled[0], out.filled[1], out.filled[2]
        if nv + v1 - v0 > len(out.cam) or nt + t1 - t0 > len(out.tri) or k + 1 >= len(out.first_tri):
            out.filled[3] = 1
            return
        for r in range(3):
            base[r] = 0.0
            for c in range(3):
                base[r] += view.axes[r, c] * (inst.xyz[i, c] - view.origin[c])
                moved[r, c] = 0.0
                for m in range(3):
                    moved[r, c] += view.axes[r, m] * inst.axes[i, m, c]
                moved[r, c] *= inst.scale[i, c]
        swings = inst.gait[i, 1] != 0.0
        for v in range(v0, v1):
            x, y, z = lib.vert[v, 0], lib.vert[v, 1], lib.vert[v, 2]
            if swings and lib.bone[v] > 0:
                x, z = limb_moves(lib.limb[p], lib.bone[v], inst.gait[i], x, z)
            cx = moved[0, 0] * x + moved[0, 1] * y + moved[0, 2] * z + base[0]
            cy = moved[1, 0] * x + moved[1, 1] * y + moved[1, 2] * z + base[1]
            cz = moved[2, 0] * x + moved[2, 1] * y + moved[2, 2] * z + base[2]
            n = nv + v - v0
            out.cam[n, 0], out.cam[n, 1], out.cam[n, 2] = cx, cy, cz
            out.pixel[n, 0], out.pixel[n, 1] = project_vertex(view, cx, cy, cz)
        shift = nv - v0
        for t in range(t0, t1):
            n = nt + t - t0
            out.tri[n, 0] = lib.tri[t, 0] + shift
            out.tri[n, 1] = lib.tri[t, 1] + shift
            out.tri[n, 2] = lib.tri[t, 2] + shift
            out.face[n] = t
            out.owner[n] = k
            out.thing[n] = inst.label[i] * 64 + lib.material[t]
        copy_item(inst, i, out.items, k)
        out.first_tri[k + 1] = nt + t1 - t0
        out.filled[0], out.filled[1], out.filled[2] = nv + v1 - v0, nt + t1 - t0, k + 1
