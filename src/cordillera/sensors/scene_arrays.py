"""The scene as flat arrays for the kernels: prototype meshes with levels of detail, and instances of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cordillera.sensors.mesh import Mesh
from cordillera.types import Float, Int

BONES = 8
LODS = 4


class Library(NamedTuple):
    """Prototypes: P of them, each with up to 4 meshes, finest first; all meshes lie one after another."""

    vert: Float  # (V, 3) local frame
    normal: Float  # (V, 3)
    bone: Int  # (V,)
    tri: Int  # (T, 3) into vert
    material: Int  # (T,)
    color: Float  # (T, 3)
    vert_range: Int  # (P, 4, 2)
    tri_range: Int  # (P, 4, 2)
    lods: Int  # (P,) how many
    switch_px: Float  # (P, 4) radius in pixels above which this level is used; the last one is the smallest shown
    center: Float  # (P, 3) of the bounding sphere
    radius: Float  # (P,)
    limb: Float  # (P, 8, 6) pivot x, pivot z, swing (rad), phase (rad), bias (rad), parent limb; unused rows are 0


class Instances(NamedTuple):
    """N placed prototypes; a vertex goes to axes @ (scale * vert) + xyz."""

    proto: Int  # (N,)
    xyz: Float  # (N, 3) world
    axes: Float  # (N, 3, 3) columns: forward, left, up in the world
    scale: Float  # (N, 3)
    tint: Float  # (N, 2, 3) linear RGB
    flags: Int  # (N,)
    seed: Int  # (N,)
    gait: Float  # (N, 2) phase (rad) and swing (0..1) of the limbs
    semantic: Int  # (N,)
    label: Int  # (N,) instance number


class Prototype(NamedTuple):
    """One thing to place: its meshes, finest first, and from which size in pixels (radius) each is used."""

    meshes: tuple[Mesh, ...]
    switch_px: tuple[float, ...]
    limbs: tuple[tuple[float, ...], ...] = ()


def compile_library(prototypes: list[Prototype]) -> Library:
    """Prototypes -> the arrays that the kernels read."""
    count = len(prototypes)
    meshes = [mesh for p in prototypes for mesh in p.meshes]
    vert_range, tri_range = np.zeros((count, LODS, 2), np.int64), np.zeros((count, LODS, 2), np.int64)
    switch, limb = np.zeros((count, LODS)), np.zeros((count, BONES, 6))
    center, radius = np.zeros((count, 3)), np.zeros(count)
    v = t = 0
    tris = []
    for p, prototype in enumerate(prototypes):
        finest = prototype.meshes[0].xyz
        center[p] = 0.5 * (finest.min(axis=0) + finest.max(axis=0))
        radius[p] = np.linalg.norm(finest - center[p], axis=1).max()
        limb[p, : len(prototype.limbs)] = np.array(prototype.limbs).reshape(-1, 6)
        switch[p, : len(prototype.switch_px)] = prototype.switch_px
        for k, mesh in enumerate(prototype.meshes):
            vert_range[p, k] = v, v + len(mesh.xyz)
            tri_range[p, k] = t, t + len(mesh.tri)
            tris.append(mesh.tri + v)
            v, t = v + len(mesh.xyz), t + len(mesh.tri)
    return Library(
        np.concatenate([m.xyz for m in meshes]),
        np.concatenate([m.normal for m in meshes]),
        np.concatenate([m.bone for m in meshes]),
        np.concatenate(tris),
        np.concatenate([m.material for m in meshes]),
        np.concatenate([m.color for m in meshes]),
        vert_range,
        tri_range,
        np.array([len(p.meshes) for p in prototypes], dtype=np.int64),
        switch,
        center,
        radius,
        limb,
    )


def no_instances(count: int) -> Instances:
    """A number -> as many instances, upright at the origin in size 1, to be filled in."""
    return Instances(
        np.zeros(count, np.int64),
        np.zeros((count, 3)),
        np.tile(np.eye(3), (count, 1, 1)),
        np.ones((count, 3)),
        np.full((count, 2, 3), 0.5),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros((count, 2)),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
    )


def joined(parts: list[Instances]) -> Instances:
    """Lists of instances -> one list."""
    return Instances(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def yaw_axes(yaw_rad: Float, pitch_rad: Float | None = None) -> Float:
    """Yaw and pitch (nose up) (N,) -> axes (N, 3, 3), columns forward, left, up."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    pitch = np.zeros_like(c) if pitch_rad is None else pitch_rad
    cp, sp = np.cos(pitch), np.sin(pitch)
    zero = np.zeros_like(c)
    forward = np.stack([c * cp, s * cp, sp], -1)
    left = np.stack([-s, c, zero], -1)
    up = np.stack([-c * sp, -s * sp, cp], -1)
    return np.stack([forward, left, up], axis=-1)
