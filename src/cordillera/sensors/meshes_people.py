"""Procedural people, two-wheelers, wheelchairs and animals, whose limbs swing with their way."""

from __future__ import annotations

import itertools
import math

import numpy as np

from cordillera.sensors.classes import CLOTH_1, CLOTH_2, HEADLAMP, MATTE, METAL, PAINT, RIDER_CLOTH, TAILLAMP
from cordillera.sensors.mesh import Color, Mesh, blob, box, loft, merge, on_bone, tube
from cordillera.sensors.meshes_vehicles import AMBER_LENS, BLACK, LENS, RED_LENS
from cordillera.sensors.scene_arrays import Prototype

SKIN, HAIR, SHOE = (0.50, 0.32, 0.23), (0.045, 0.03, 0.02), (0.03, 0.03, 0.03)
HIP_Z, KNEE_Z, SHOULDER_Z = 0.90, 0.48, 1.42
# pivot x, pivot z, swing, phase, bias, parent limb
WALK = (
    (0.0, HIP_Z, 0.50, 0.0, 0.0, 0), (0.0, KNEE_Z, 0.45, 2.2, 0.40, 1),
    (0.0, HIP_Z, 0.50, math.pi, 0.0, 0), (0.0, KNEE_Z, 0.45, 2.2 + math.pi, 0.40, 3),
    (0.0, SHOULDER_Z, 0.42, math.pi, 0.0, 0), (0.0, SHOULDER_Z, 0.42, 0.0, 0.0, 0),
)  # fmt: skip
SWITCH_PX = (20.0, 5.0, 0.5)


def _torso(low: float, high: float, x: float, lean: float, material: int, sides: int = 8) -> Mesh:
    """A torso from hips to neck, leaning forward by `lean` m at the top."""
    turn = 2.0 * np.pi * np.arange(sides) / sides
    rings = []
    for u, half_x, half_y in (
        (0.0, 0.13, 0.17),
        (0.35, 0.12, 0.155),
        (0.8, 0.14, 0.215),
        (0.95, 0.10, 0.16),
        (1.0, 0.05, 0.06),
    ):
        z = low + u * (high - low)
        rings.append(np.stack([x + lean * u + half_x * np.cos(turn), half_y * np.sin(turn), 0 * turn + z], axis=-1))
    return loft(np.array(rings), material, crease_deg=70.0)


def _head(x: float, z: float, level: int, helmet: bool = False) -> Mesh:
    """A head with hair, or with a helmet in the second tint."""
    face = blob((x, 0.0, z), (0.095, 0.08, 0.12), level, MATTE, SKIN)
    top = blob((x - 0.02, 0.0, z + 0.035), (0.10, 0.09, 0.105), level, CLOTH_2 if helmet else MATTE, HAIR)
    return merge(face, top)


def person(level: int) -> Mesh:
    """A walker, 1.75 m tall, at one of three levels of detail."""
    sides = (7, 5, 4)[level]
    parts = [_torso(0.86, 1.50, 0.0, 0.0, CLOTH_1, (10, 6, 4)[level]), _head(0.02, 1.63, 1 if level == 0 else 0)]
    for y, thigh, shin, arm in ((0.095, 1, 2, 5), (-0.095, 3, 4, 6)):
        parts.append(on_bone(tube((0, y, HIP_Z + 0.04), (0, y, KNEE_Z), (0.095, 0.07), sides, CLOTH_2), thigh))
        parts.append(on_bone(tube((0, y, KNEE_Z), (0, y, 0.07), (0.068, 0.05), sides, CLOTH_2), shin))
        parts.append(on_bone(box((0.26, 0.10, 0.09), (0.05, y, 0.045), MATTE, SHOE), shin))
        side = 2.4 * y
        parts.append(
            on_bone(tube((0, side, SHOULDER_Z), (0.02, 1.08 * side, 1.10), (0.055, 0.045), sides, CLOTH_1), arm)
        )
        parts.append(
            on_bone(tube((0.02, 1.08 * side, 1.10), (0.07, 1.08 * side, 0.84), (0.042, 0.04), sides, MATTE, SKIN), arm)
        )
    return merge(*parts)


def pedestrian() -> Prototype:
    """A person who walks."""
    return Prototype((person(0), person(1), person(2)), SWITCH_PX, WALK)


def _sitting(
    hip: tuple[float, float],
    knee: tuple[float, float],
    foot: tuple[float, float],
    hand: tuple[float, float],
    lean: float,
    material: int,
    helmet: bool,
) -> Mesh:
    """Someone who sits: places are (x, z); legs move with bones 1 to 4."""
    x, z = hip
    parts = [_torso(z, z + 0.60, x, lean, material, 8), _head(x + lean + 0.05, z + 0.74, 1, helmet)]
    for y, thigh, shin in ((0.10, 1, 2), (-0.10, 3, 4)):
        parts.append(on_bone(tube((x, y, z + 0.05), (knee[0], y, knee[1]), (0.09, 0.065), 6, CLOTH_2), thigh))
        parts.append(on_bone(tube((knee[0], y, knee[1]), (foot[0], y, foot[1]), (0.06, 0.05), 6, CLOTH_2), shin))
        parts.append(tube((x + lean * 0.9, 2.1 * y, z + 0.52), (hand[0], 2.3 * y, hand[1]), (0.05, 0.04), 6, material))
    return merge(*parts)


def _ring(x: float, radius: float, width: float, sides: int = 14, color: Color = BLACK) -> Mesh:
    """A thin wheel with spokes hinted at by a hub."""
    parts = []
    turn = 2.0 * np.pi * np.arange(sides + 1) / sides
    for a, b in itertools.pairwise(turn):
        p = (x + radius * math.cos(a), 0.0, radius + radius * math.sin(a))
        q = (x + radius * math.cos(b), 0.0, radius + radius * math.sin(b))
        parts.append(tube(p, q, (width, width), 3, MATTE, color, caps=False))
    for k in range(0, sides, 3):
        q = (x + radius * math.cos(turn[k]), 0.0, radius + radius * math.sin(turn[k]))
        parts.append(tube((x, 0.0, radius), q, (0.008, 0.008), 3, METAL, (0.4, 0.4, 0.4), caps=False))
    return merge(*parts)


def bicycle() -> Prototype:
    """A bicycle with its rider, 1.75 m long."""
    frame = [((-0.52, 0.34), (-0.18, 0.88)), ((-0.18, 0.30), (-0.22, 0.92)), ((-0.2, 0.84), (0.36, 0.84)),
             ((-0.18, 0.30), (0.38, 0.80)), ((-0.52, 0.34), (-0.18, 0.30)), ((0.36, 0.95), (0.54, 0.34))]  # fmt: skip
    parts = [tube((a[0], 0, a[1]), (b[0], 0, b[1]), (0.022, 0.022), 4, PAINT) for a, b in frame]
    parts += [_ring(-0.52, 0.34, 0.02), _ring(0.54, 0.34, 0.02)]
    parts.append(tube((0.36, -0.28, 0.98), (0.36, 0.28, 0.98), (0.018, 0.018), 4, MATTE, BLACK))
    parts.append(box((0.06, 0.07, 0.07), (0.45, 0, 0.86), HEADLAMP, LENS))
    parts.append(box((0.05, 0.07, 0.06), (-0.62, 0, 0.72), TAILLAMP, RED_LENS))
    rider = _sitting((-0.22, 0.95), (0.12, 0.72), (-0.08, 0.28), (0.34, 1.0), 0.30, RIDER_CLOTH, True)
    limbs = ((-0.22, 1.0, 0.32, 0.0, 0.0, 0), (0.12, 0.72, 0.30, 1.6, 0.0, 1),
             (-0.22, 1.0, 0.32, math.pi, 0.0, 0), (0.12, 0.72, 0.30, 1.6 + math.pi, 0.0, 3))  # fmt: skip
    coarse = merge(*parts[:6], _ring(-0.52, 0.34, 0.025, 6), _ring(0.54, 0.34, 0.025, 6), rider)
    return Prototype((merge(*parts, rider), coarse), (14.0, 0.5), limbs)


def motorcycle() -> Prototype:
    """A motorcycle with its rider, 2.1 m long."""
    parts = [
        tube((-0.68, -0.07, 0.32), (-0.68, 0.07, 0.32), (0.32, 0.32), 12, MATTE, BLACK),
        tube((0.70, -0.06, 0.32), (0.70, 0.06, 0.32), (0.32, 0.32), 12, MATTE, BLACK),
        blob((0.15, 0.0, 0.78), (0.38, 0.17, 0.18), 1, PAINT),
        box((0.55, 0.26, 0.34), (0.0, 0.0, 0.45), METAL, (0.10, 0.10, 0.11)),
        box((0.75, 0.22, 0.12), (-0.42, 0.0, 0.80), MATTE, BLACK),
        tube((0.70, 0.0, 0.32), (0.45, 0.0, 0.98), (0.05, 0.05), 5, METAL, (0.3, 0.3, 0.3)),
        box((0.24, 0.30, 0.32), (0.58, 0.0, 0.92), PAINT),
        tube((0.45, -0.36, 1.02), (0.45, 0.36, 1.02), (0.025, 0.025), 4, MATTE, BLACK),
        box((0.08, 0.18, 0.14), (0.72, 0.0, 0.90), HEADLAMP, LENS),
        box((0.08, 0.18, 0.09), (-0.84, 0.0, 0.82), TAILLAMP, RED_LENS),
        box((0.05, 0.05, 0.05), (-0.82, 0.17, 0.76), MATTE, AMBER_LENS),
        box((0.05, 0.05, 0.05), (-0.82, -0.17, 0.76), MATTE, AMBER_LENS),
    ]
    rider = _sitting((-0.25, 0.84), (0.18, 0.66), (-0.08, 0.32), (0.45, 1.02), 0.25, RIDER_CLOTH, True)
    coarse = merge(*parts[:5], parts[6], *parts[8:10], rider)
    return Prototype((merge(*parts, rider), coarse), (12.0, 0.5))


def wheelchair() -> Prototype:
    """A person in a wheelchair."""
    parts = [
        tube((-0.12, 0.27, 0.31), (-0.12, 0.31, 0.31), (0.31, 0.31), 14, MATTE, BLACK),
        tube((-0.12, -0.31, 0.31), (-0.12, -0.27, 0.31), (0.31, 0.31), 14, MATTE, BLACK),
        tube((0.36, 0.22, 0.09), (0.36, 0.26, 0.09), (0.09, 0.09), 8, MATTE, BLACK),
        tube((0.36, -0.26, 0.09), (0.36, -0.22, 0.09), (0.09, 0.09), 8, MATTE, BLACK),
        box((0.46, 0.46, 0.07), (0.02, 0.0, 0.50), MATTE, (0.03, 0.03, 0.05)),
        box((0.06, 0.46, 0.45), (-0.22, 0.0, 0.75), MATTE, (0.03, 0.03, 0.05)),
        tube((-0.3, 0.2, 0.92), (-0.42, 0.2, 0.94), (0.02, 0.02), 4, MATTE, BLACK),
        tube((-0.3, -0.2, 0.92), (-0.42, -0.2, 0.94), (0.02, 0.02), 4, MATTE, BLACK),
    ]
    sitter = _sitting((-0.08, 0.55), (0.36, 0.56), (0.42, 0.16), (0.18, 0.72), 0.0, CLOTH_1, False)
    return Prototype((merge(*parts, sitter),), (0.5,))


def animal() -> Prototype:
    """A deer, which a smaller size turns into a dog: 1.5 m long and 1.4 m tall."""
    coat, pale = (0.24, 0.14, 0.07), (0.42, 0.33, 0.24)
    parts = [
        blob((0.0, 0.0, 0.85), (0.55, 0.19, 0.22), 1, MATTE, coat),
        blob((-0.42, 0.0, 0.88), (0.22, 0.18, 0.22), 1, MATTE, coat),
        tube((0.42, 0.0, 0.95), (0.66, 0.0, 1.28), (0.13, 0.075), 7, MATTE, coat),
        blob((0.76, 0.0, 1.31), (0.17, 0.075, 0.085), 1, MATTE, coat),
        blob((-0.62, 0.0, 0.95), (0.09, 0.05, 0.09), 0, MATTE, pale),
        tube((0.66, 0.06, 1.38), (0.62, 0.14, 1.50), (0.03, 0.01), 4, MATTE, coat),
        tube((0.66, -0.06, 1.38), (0.62, -0.14, 1.50), (0.03, 0.01), 4, MATTE, coat),
    ]
    for k, (x, y) in enumerate(((0.38, 0.11), (0.38, -0.11), (-0.42, 0.11), (-0.42, -0.11))):
        parts.append(on_bone(tube((x, y, 0.78), (x, y, 0.0), (0.075, 0.032), 5, MATTE, coat), k + 1))
    swing = ((0.38, 0.0), (0.38, math.pi), (-0.42, math.pi), (-0.42, 0.0))
    limbs = tuple((x, 0.78, 0.40, phase, 0.0, 0) for x, phase in swing)
    return Prototype((merge(*parts),), (0.5,), limbs)
