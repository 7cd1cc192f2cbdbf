"""Procedural street furniture: lights, signs, lamps, poles, rails, cones, barriers, debris, trees and houses."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import (
    FACADE,
    FOLIAGE,
    LENS_BOTTOM,
    LENS_MIDDLE,
    LENS_TOP,
    MATTE,
    METAL,
    RETRO,
    ROOF,
    SIGN,
    STREET_LAMP,
)
from cordillera.sensors.mesh import Color, Mesh, blob, box, disc, loft, make, merge, painted, tube
from cordillera.sensors.scene_arrays import Prototype

ZINC, BARK, SOOT = (0.32, 0.33, 0.34), (0.085, 0.060, 0.042), (0.012, 0.013, 0.014)
# saturated, because bright lamps lose colour in the shoulder of the tone curve
RED, AMBER, GREEN = (1.0, 0.008, 0.005), (1.0, 0.13, 0.0), (0.02, 0.95, 0.10)


def traffic_light(lenses: int, lying: bool, plate: bool) -> Prototype:
    """Two or three lenses, upright or lying (red farthest from the kerb), with or without a back plate -> a light.

    It looks along +x; its middle is the origin; one lens takes 1/lenses of a height of 1.
    """
    step = 1.0 / lenses
    materials = (LENS_TOP, LENS_MIDDLE, LENS_BOTTOM) if lenses == 3 else (LENS_TOP, LENS_BOTTOM)
    colors = (RED, AMBER, GREEN) if lenses == 3 else (RED, GREEN)
    parts = [box((0.22, 0.36, 1.0), (-0.11, 0.0, 0.0), MATTE, SOOT)]
    if plate:
        parts.append(box((0.02, 0.62, 1.26), (-0.10, 0.0, 0.0), MATTE, SOOT))
    for k in range(lenses):
        z = 0.5 - (k + 0.5) * step
        radius = min(0.15, 0.44 * step)
        dim = painted(disc((0.012, 0.0, z), radius, 0.0, 12), materials[k], colors[k])
        parts.append(dim)
        turn = np.linspace(0.15 * math.pi, 0.85 * math.pi, 6)  # the visor: the upper part of a tube
        arc = np.stack([0 * turn, 1.04 * radius * np.cos(turn), z + 1.04 * radius * np.sin(turn)], -1)
        rows = np.concatenate([arc, arc + np.array([0.20, 0.0, 0.0])])
        n = len(arc)
        i = np.arange(n - 1)
        outer = np.concatenate([np.stack([i, i + n, i + n + 1], 1), np.stack([i, i + n + 1, i + 1], 1)])
        if not lying:
            parts.append(make(rows, np.concatenate([outer, outer[:, ::-1]]), MATTE, SOOT))
    mesh = merge(*parts)
    if lying:  # top goes to the driver's right: +y for someone who looks along -x
        xyz, normal = mesh.xyz.copy(), mesh.normal.copy()
        for rows in (xyz, normal):
            rows[:, 1], rows[:, 2] = rows[:, 2].copy(), -rows[:, 1]
        mesh = Mesh(xyz, mesh.tri, mesh.material, mesh.color, normal, mesh.bone)
    return Prototype((mesh,), (0.25,))


def sign(alpha: NDArray[np.uint8]) -> Prototype:
    """The outline of a sign's picture (64, 64) -> a plate of that outline, 1 m high, that looks along +x."""
    solid = (alpha > 127).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    outline = cv2.approxPolyDP(hull, 0.7, True)[:, 0, :].astype(np.float64)
    size = alpha.shape[0]
    y, z = (outline[:, 0] + 0.5) / size - 0.5, 0.5 - (outline[:, 1] + 0.5) / size
    if np.sum(y * np.roll(z, -1) - z * np.roll(y, -1)) < 0.0:
        y, z = y[::-1], z[::-1]
    k = np.arange(1, len(y) - 1)
    fan = np.stack([0 * k, k, k + 1], 1)
    front = make(np.stack([0 * y + 0.012, 1.01 * y, 1.01 * z], -1), fan, SIGN, (1.0, 1.0, 1.0))
    back = make(np.stack([0 * y, 1.01 * y, 1.01 * z], -1), fan[:, ::-1], METAL, (0.22, 0.22, 0.22))
    return Prototype((merge(front, back),), (0.4,))


def pole() -> Prototype:
    """A round post of radius 1 and height 1, standing on the origin."""
    fine = tube((0, 0, 0), (0, 0, 1), (1.0, 0.85), 8, METAL, ZINC)
    return Prototype((fine, tube((0, 0, 0), (0, 0, 1), (1.0, 0.85), 4, METAL, ZINC)), (30.0, 1.2))


def arm() -> Prototype:
    """A round bar of radius 1 from the origin to x = 1."""
    return Prototype((tube((0, 0, 0), (1, 0, 0), (1.0, 0.8), 6, METAL, ZINC),), (2.0,))


def street_lamp() -> Prototype:
    """A lamp post 8 m high whose head hangs 1.8 m ahead (+x)."""
    head = box((0.62, 0.26, 0.10), (1.75, 0, 7.98), METAL, ZINC)
    glow = box((0.50, 0.20, 0.05), (1.75, 0, 7.91), STREET_LAMP, (0.85, 0.83, 0.78))
    post = tube((0, 0, 0), (0, 0, 7.6), (0.10, 0.06), 7, METAL, ZINC)
    bow = tube((0, 0, 7.6), (1.5, 0, 8.0), (0.05, 0.045), 6, METAL, ZINC)
    thin = tube((0, 0, 0), (0, 0, 7.6), (0.10, 0.06), 3, METAL, ZINC)
    return Prototype((merge(post, bow, head, glow), merge(thin, head, glow)), (60.0, 3.0))


def tree(seed: int, conifer: bool) -> Prototype:
    """A tree 8 m high; its crown takes the first tint."""
    rng = np.random.default_rng(seed)
    if conifer:
        cones, coarse = [], []
        for k, z in enumerate((1.2, 2.9, 4.5, 5.9)):
            radius = 2.1 - 0.45 * k
            cones.append(_skirt(z, radius, 2.6, 9, rng))
            coarse.append(_skirt(z, radius, 2.6, 5, rng))
        trunk = tube((0, 0, 0), (0, 0, 3), (0.17, 0.12), 6, MATTE, BARK)
        return Prototype((merge(trunk, *cones), merge(*coarse[::2])), (30.0, 2.0))
    blobs = [(0.0, 0.0, 5.6, 1.9)]
    for k in range(6):
        turn = 2.0 * math.pi * (k + rng.random()) / 6.0
        reach = 0.9 + 0.8 * rng.random()
        blobs.append(
            (reach * math.cos(turn), reach * math.sin(turn), 4.3 + 2.2 * rng.random(), 1.0 + 0.6 * rng.random())
        )
    crown = [
        blob((x, y, z), (r, r, 0.85 * r), 1, FOLIAGE, _leaf(rng), 0.34, seed + n)
        for n, (x, y, z, r) in enumerate(blobs)
    ]
    trunk = tube((0, 0, 0), (0, 0, 4.6), (0.20, 0.11), 7, MATTE, BARK)
    limbs = [tube((0, 0, 2.6), (b[0], b[1], b[2] - 0.3), (0.09, 0.05), 4, MATTE, BARK, caps=False) for b in blobs[1:4]]
    middle = [
        blob((x, y, z), (r, r, 0.85 * r), 0, FOLIAGE, _leaf(rng), 0.2, seed + n) for n, (x, y, z, r) in enumerate(blobs)
    ]
    far = blob((0.0, 0.0, 5.2), (2.3, 2.3, 2.3), 0, FOLIAGE, (0.8, 0.9, 0.8), 0.25, seed)
    stick = tube((0, 0, 0), (0, 0, 4.0), (0.20, 0.14), 3, MATTE, BARK, caps=False)
    return Prototype((merge(trunk, *limbs, *crown), merge(stick, *middle), merge(stick, far)), (70.0, 22.0, 1.6))


def _leaf(rng: np.random.Generator) -> Color:
    k = 0.8 + 0.4 * float(rng.random())
    return (k, k * (0.95 + 0.1 * float(rng.random())), k)


def _skirt(z: float, radius: float, height: float, sides: int, rng: np.random.Generator) -> Mesh:
    """One storey of a conifer."""
    turn = 2.0 * np.pi * (np.arange(sides) + rng.random()) / sides
    r = radius * (0.85 + 0.3 * rng.random(sides))
    ring = np.stack([r * np.cos(turn), r * np.sin(turn), z - 0.2 * rng.random(sides)], -1)
    xyz = np.concatenate([ring, [(0.0, 0.0, z + height), (0.0, 0.0, z + 0.3)]])
    k = np.arange(sides)
    up = np.stack([k, (k + 1) % sides, 0 * k + sides], 1)
    down = np.stack([(k + 1) % sides, k, 0 * k + sides + 1], 1)
    return make(xyz, np.concatenate([up, down]), FOLIAGE, (0.55, 0.75, 0.62), 80.0)


def bush(seed: int) -> Prototype:
    """A bush 1.2 m high."""
    rng = np.random.default_rng(seed)
    parts = [
        blob(
            (0.5 * (rng.random() - 0.5) + x, 0.6 * (rng.random() - 0.5), 0.5),
            (0.62, 0.6, 0.62),
            1,
            FOLIAGE,
            _leaf(rng),
            0.3,
            seed + k,
        )
        for k, x in enumerate((-0.4, 0.4))
    ]
    return Prototype(
        (merge(*parts), blob((0, 0, 0.5), (0.9, 0.7, 0.65), 0, FOLIAGE, (1, 1, 1), 0.2, seed)), (24.0, 1.5)
    )


def building(gabled: bool) -> Prototype:
    """A house of size 1 x 1 x 1, long side along x: walls with windows, and a flat or gabled roof."""
    walls = box((1.0, 1.0, 1.0), (0.0, 0.0, 0.5))
    side = np.abs(walls.normal[walls.tri[:, 0], 2]) < 0.5
    skin = Mesh(walls.xyz, walls.tri[side], walls.material[side], walls.color[side], walls.normal, walls.bone)
    skin = painted(skin, FACADE)
    if gabled:
        top = np.array(
            [
                (-0.53, -0.54, 0.98),
                (0.53, -0.54, 0.98),
                (0.53, 0.54, 0.98),
                (-0.53, 0.54, 0.98),
                (-0.53, 0, 1.38),
                (0.53, 0, 1.38),
            ]
        )
        tri = np.array([(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (1, 2, 5), (3, 0, 4), (0, 3, 2), (0, 2, 1)])
        return Prototype((merge(skin, make(top, tri, ROOF)),), (3.0,))
    roof = box((1.02, 1.02, 0.035), (0.0, 0.0, 1.0), ROOF)
    shaft = box((0.16, 0.22, 0.09), (0.2, -0.1, 1.06), ROOF)
    return Prototype((merge(skin, roof, shaft), merge(skin, roof)), (60.0, 3.0))


def cone() -> Prototype:
    """A traffic cone 0.75 m high with two reflective bands."""
    orange, white = (0.85, 0.16, 0.02), (0.8, 0.8, 0.8)
    turn = 2.0 * np.pi * np.arange(10) / 10
    parts = [box((0.40, 0.40, 0.04), (0, 0, 0.02), MATTE, orange)]
    for z0, z1, color, material in (
        (0.04, 0.28, orange, MATTE),
        (0.28, 0.40, white, RETRO),
        (0.40, 0.54, orange, MATTE),
        (0.54, 0.62, white, RETRO),
        (0.62, 0.75, orange, MATTE),
    ):
        rings = [
            np.stack([r * np.cos(turn), r * np.sin(turn), 0 * turn + z], -1)
            for z, r in ((z0, 0.15 - 0.17 * z0), (z1, 0.15 - 0.17 * z1))
        ]
        parts.append(loft(np.array(rings), material, color, crease_deg=61.0))
    return Prototype((merge(*parts),), (0.4,))


def barrier() -> Prototype:
    """A work-site barrier 2 m wide (along y), 1 m high: two striped boards on feet."""
    parts = []
    for y in (-0.8, 0.8):
        parts.append(box((0.05, 0.06, 1.0), (0, y, 0.5), METAL, ZINC))
        parts.append(box((0.60, 0.12, 0.08), (0, y, 0.04), MATTE, SOOT))
    for z in (0.88, 0.48):
        for k in range(8):
            color = (0.75, 0.02, 0.02) if k % 2 == 0 else (0.8, 0.8, 0.8)
            parts.append(box((0.04, 0.25, 0.22), (0.03, -0.875 + 0.25 * k, z), RETRO, color))
    return Prototype((merge(*parts),), (0.4,))


def debris() -> Prototype:
    """Something lost on the road: a broken crate and a tyre's tread, about 1 m."""
    wood = (0.28, 0.18, 0.09)
    parts = [box((0.55, 0.40, 0.32), (0.1, 0.05, 0.16), MATTE, (0.36, 0.25, 0.14))]
    for x, y, yaw in ((-0.35, 0.2, 0.4), (-0.25, -0.3, -0.7), (0.35, -0.28, 1.2)):
        c, s = math.cos(yaw), math.sin(yaw)
        parts.append(
            tube((x - 0.3 * c, y - 0.3 * s, 0.03), (x + 0.3 * c, y + 0.3 * s, 0.05), (0.05, 0.04), 4, MATTE, wood)
        )
    return Prototype((merge(*parts),), (0.4,))


def warning_triangle() -> Prototype:
    """A warning triangle 0.45 m high that looks along x, both ways."""
    parts = []
    corners = [(0.0, 0.25, 0.04), (0.0, -0.25, 0.04), (0.0, 0.0, 0.45)]
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        parts.append(tube(a, b, (0.035, 0.035), 4, RETRO, (0.95, 0.03, 0.015)))
    parts.append(tube((-0.15, 0, 0.03), (0.15, 0, 0.03), (0.015, 0.015), 4, MATTE, SOOT))
    return Prototype((merge(*parts),), (0.3,))


def fallen_tree() -> Prototype:
    """A tree that lies along y, 8 m long."""
    parts = [tube((0, -4, 0.25), (0, 2.5, 0.3), (0.28, 0.16), 7, MATTE, BARK)]
    for k, (x, y, r) in enumerate(((0.3, 2.4, 1.0), (-0.5, 3.1, 0.9), (0.2, 1.4, 0.8), (-0.2, 3.6, 0.7))):
        parts.append(blob((x, y, 0.7), (r, r, 0.7 * r), 1, FOLIAGE, (0.9, 1.0, 0.9), 0.4, 90 + k))
    return Prototype((merge(*parts),), (0.4,))


def guard_rail() -> Prototype:
    """Four metres of guard rail along x."""
    rail = box((4.0, 0.06, 0.31), (0.0, 0.0, 0.62), METAL, (0.40, 0.41, 0.42))
    posts = [box((0.10, 0.08, 0.62), (x, -0.08, 0.31), METAL, ZINC) for x in (-1.0, 1.0)]
    return Prototype((merge(rail, *posts), rail), (20.0, 2.0))


def kerb(fine: bool) -> Mesh:
    """One metre of kerbstone along x, 0.2 m wide and 0.12 m high."""
    stone = (0.36, 0.35, 0.33)
    if fine:
        return box((1.0, 0.20, 0.12), (0.0, 0.0, 0.06), MATTE, stone)
    y, z = 0.1, 0.12
    xyz = np.array([(-0.5, -y, 0), (0.5, -y, 0), (0.5, 0, z), (-0.5, 0, z), (0.5, y, 0), (-0.5, y, 0)])
    return make(xyz, np.array([(0, 1, 2), (0, 2, 3), (3, 2, 4), (3, 4, 5)]), MATTE, stone)
