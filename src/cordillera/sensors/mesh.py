"""Building triangle meshes: boxes, prisms, lofts and blobs in, merged meshes with smooth normals out.

Local frame: x forward, y left, z up, the origin on the ground under the middle. Triangles are counter-clockwise as
seen from outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cordillera.sensors.classes import MATTE
from cordillera.types import Float, Int

Color = tuple[float, float, float]  # linear RGB, 0..1


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with a material and a colour each; `bone` names the limb that a vertex swings with, 0 for none."""

    xyz: Float  # (V, 3)
    tri: Int  # (T, 3)
    material: Int  # (T,)
    color: Float  # (T, 3)
    normal: Float  # (V, 3)
    bone: Int  # (V,)


def make(xyz: Float, tri: Int, material: int = MATTE, color: Color = (0.5, 0.5, 0.5), crease_deg: float = 40.0) -> Mesh:
    """Vertices (V, 3) and triangles (T, 3) of one material -> a mesh whose edges sharper than the crease stay sharp."""
    xyz, tri = np.asarray(xyz, dtype=np.float64), np.asarray(tri, dtype=np.int64)
    face = np.cross(xyz[tri[:, 1]] - xyz[tri[:, 0]], xyz[tri[:, 2]] - xyz[tri[:, 0]])
    area = np.linalg.norm(face, axis=1)
    tri, face, area = tri[area > 1e-12], face[area > 1e-12], area[area > 1e-12]
    unit = face / area[:, None]
    corner_normal = np.zeros((len(tri), 3, 3))
    limit = math.cos(math.radians(crease_deg))
    _, place = np.unique(np.round(xyz, 6), axis=0, return_inverse=True)  # vertices at one place share their normal
    around: dict[int, list[int]] = {}
    for t, corners in enumerate(place.reshape(-1)[tri]):
        for v in corners:
            around.setdefault(int(v), []).append(t)
    for t in range(len(tri)):
        for k in range(3):
            faces = around[int(place.reshape(-1)[tri[t, k]])]
            near = [f for f in faces if unit[f] @ unit[t] >= limit]
            corner_normal[t, k] = face[near].sum(axis=0)
    corner_normal /= np.linalg.norm(corner_normal, axis=-1, keepdims=True)
    rows = np.concatenate([xyz[tri].reshape(-1, 3), corner_normal.reshape(-1, 3)], axis=1)
    rows, inverse = np.unique(np.round(rows, 9), axis=0, return_inverse=True)
    return Mesh(
        rows[:, :3].copy(),
        inverse.reshape(-1, 3),
        np.full(len(tri), material, dtype=np.int64),
        np.tile(np.asarray(color, dtype=np.float64), (len(tri), 1)),
        rows[:, 3:].copy(),
        np.zeros(len(rows), dtype=np.int64),
    )


def merge(*meshes: Mesh) -> Mesh:
    """Any number of meshes -> one mesh."""
    offsets = np.cumsum([0, *(len(m.xyz) for m in meshes)])
    return Mesh(
        np.concatenate([m.xyz for m in meshes]),
        np.concatenate([m.tri + offset for m, offset in zip(meshes, offsets, strict=False)]),
        np.concatenate([m.material for m in meshes]),
        np.concatenate([m.color for m in meshes]),
        np.concatenate([m.normal for m in meshes]),
        np.concatenate([m.bone for m in meshes]),
    )


def moved(mesh: Mesh, offset: Color = (0.0, 0.0, 0.0), yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Mesh:
    """A mesh turned (roll about x, then pitch about y, then yaw about z, radians) and shifted."""
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    turn = rz @ ry @ rx
    return replace(mesh, xyz=mesh.xyz @ turn.T + np.asarray(offset), normal=mesh.normal @ turn.T)


def mirrored(mesh: Mesh) -> Mesh:
    """A mesh -> its mirror image across y = 0."""
    flip = np.array([1.0, -1.0, 1.0])
    return replace(mesh, xyz=mesh.xyz * flip, normal=mesh.normal * flip, tri=mesh.tri[:, ::-1].copy())


def on_bone(mesh: Mesh, bone: int) -> Mesh:
    """A mesh -> the same with all of its vertices on one limb."""
    return replace(mesh, bone=np.full(len(mesh.xyz), bone, dtype=np.int64))


def box(size: Color, center: Color, material: int = MATTE, color: Color = (0.5, 0.5, 0.5), taper: float = 1.0) -> Mesh:
    """Length, width, height and centre -> a box; `taper` scales its top."""
    signs = np.array([(x, y, z) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], dtype=np.float64)
    xyz = 0.5 * signs * np.asarray(size)
    xyz[4:, :2] *= taper
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    tri = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return make(xyz + np.asarray(center), np.array(tri), material, color)


def loft(
    rings: Float, material: int = MATTE, color: Color = (0.5, 0.5, 0.5), caps: bool = True, crease_deg: float = 40.0
) -> Mesh:
    """Closed rings (R, N, 3), counter-clockwise about the way from first to last -> a skin over them."""
    count, n = rings.shape[:2]
    xyz = rings.reshape(-1, 3)
    i, j = np.meshgrid(np.arange(count - 1), np.arange(n), indexing="ij")
    a, b = (i * n + j).ravel(), (i * n + (j + 1) % n).ravel()
    tri = [np.stack([a, b, b + n], 1), np.stack([a, b + n, a + n], 1)]
    if caps:
        k = np.arange(1, n - 1)
        last = (count - 1) * n
        tri += [np.stack([0 * k, k + 1, k], 1), np.stack([0 * k + last, k + last, k + 1 + last], 1)]
    return make(xyz, np.concatenate(tri), material, color, crease_deg)


def tube(
    start: Color,
    end: Color,
    radii: tuple[float, float],
    sides: int = 6,
    material: int = MATTE,
    color: Color = (0.5, 0.5, 0.5),
    caps: bool = True,
) -> Mesh:
    """Two points and a radius at each -> a round bar between them."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    axis = (b - a) / np.linalg.norm(b - a)
    u = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    turn = 2.0 * np.pi * np.arange(sides) / sides
    circle = np.cos(turn)[:, None] * u + np.sin(turn)[:, None] * v
    rings = np.stack([a + radii[0] * circle, b + radii[1] * circle])
    return loft(rings, material, color, caps, 61.0)


def disc(
    center: Color,
    radius: float,
    normal_yaw: float,
    sides: int = 10,
    material: int = MATTE,
    color: Color = (0.5, 0.5, 0.5),
) -> Mesh:
    """An upright round plate that looks along `normal_yaw`."""
    turn = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    y, z = radius * np.cos(turn), radius * np.sin(turn)
    xyz = np.stack([-np.sin(normal_yaw) * y, np.cos(normal_yaw) * y, z], axis=-1) + np.asarray(center)
    k = np.arange(1, sides - 1)
    return make(xyz, np.stack([0 * k, k, k + 1], 1), material, color)


def quad(corners: Float, material: int = MATTE, color: Color = (0.5, 0.5, 0.5)) -> Mesh:
    """Four corners (4, 3), counter-clockwise from the side that shows -> a plate with one side."""
    return make(np.asarray(corners), np.array([(0, 1, 2), (0, 2, 3)]), material, color)


def blob(
    center: Color,
    radii: Color,
    level: int = 1,
    material: int = MATTE,
    color: Color = (0.5, 0.5, 0.5),
    rough: float = 0.0,
    seed: int = 0,
) -> Mesh:
    """An ellipsoid of 20 * 4**level triangles; `rough` pushes its vertices in and out at random."""
    g = 0.5 * (1.0 + math.sqrt(5.0))
    xyz = np.array([(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g), (0, -1, -g), (0, 1, -g),
                    (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)])  # fmt: skip
    tri = np.array([(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2),
                    (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5),
                    (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)])  # fmt: skip
    for _ in range(level):
        corners = xyz[tri]
        mids = 0.5 * (corners + np.roll(corners, -1, axis=1))
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        ab, bc, ca = mids[:, 0], mids[:, 1], mids[:, 2]
        pieces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
        xyz, tri = np.unique(np.round(pieces.reshape(-1, 3), 9), axis=0, return_inverse=True)
        tri = tri.reshape(-1, 3)
    xyz = xyz / np.linalg.norm(xyz, axis=1, keepdims=True)
    push = 1.0 + rough * (np.random.default_rng(seed).random(len(xyz)) - 0.5)
    return make(xyz * push[:, None] * np.asarray(radii) + np.asarray(center), tri, material, color, 180.0)


def painted(mesh: Mesh, material: int, color: Color | None = None) -> Mesh:
    """A mesh -> the same in another material, and colour if one is given."""
    colors = mesh.color if color is None else np.tile(np.asarray(color, dtype=np.float64), (len(mesh.tri), 1))
    return replace(mesh, material=np.full(len(mesh.tri), material, dtype=np.int64), color=colors)
