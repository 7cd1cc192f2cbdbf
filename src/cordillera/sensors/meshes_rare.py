"""Procedural meshes of what is met seldom: officers, flaggers, school buses, trains, tractors, work sites, lost loads.

People who show something to the traffic have a mesh for each gesture; they face along x.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.sensors.classes import BEACON, CLOTH_1, CLOTH_2, GLASS, MATTE, METAL, PAINT, RETRO
from cordillera.sensors.mesh import Color, Mesh, blob, box, disc, loft, make, merge, moved, tube
from cordillera.sensors.meshes_people import HAIR, HIP_Z, KNEE_Z, SHOE, SHOULDER_Z, SKIN
from cordillera.sensors.meshes_vehicles import BLACK, DARK, WINDOW, lamps, wheel, windows
from cordillera.sensors.scene_arrays import Prototype

YELLOW, LIME, ORANGE = (0.78, 0.42, 0.015), (0.45, 0.80, 0.04), (0.90, 0.22, 0.02)
WHITE, RED, RUST = (0.82, 0.82, 0.82), (0.62, 0.02, 0.02), (0.24, 0.12, 0.07)
RED_LAMP, AMBER_LAMP = (1.0, 0.03, 0.02), (1.0, 0.42, 0.02)
SILVER = (0.75, 0.77, 0.78)


def worker(vest: Color, cap: Color, gesture: str) -> Prototype:
    """A person in a vest, 1.75 m tall, who shows "stop", "go" or "slow" by hand, or as "paddle-stop", ... by a sign."""
    parts = [
        _trunk(0.86, 1.12, 0.17, CLOTH_1, (0.5, 0.5, 0.5)),
        _trunk(1.08, 1.46, 0.205, MATTE, vest),
        _trunk(1.20, 1.26, 0.212, RETRO, SILVER),
        _trunk(1.36, 1.40, 0.212, RETRO, SILVER),
        blob((0.02, 0.0, 1.61), (0.095, 0.08, 0.12), 1, MATTE, SKIN),
        blob((0.0, 0.0, 1.67), (0.115, 0.10, 0.085), 1, MATTE, cap),
        box((0.14, 0.15, 0.02), (0.10, 0.0, 1.66), MATTE, cap),
        tube((0.0, 0.0, 1.44), (0.0, 0.0, 1.54), (0.055, 0.05), 6, MATTE, SKIN),
        blob((-0.02, 0.0, 1.59), (0.085, 0.082, 0.10), 0, MATTE, HAIR),
    ]
    for y in (0.10, -0.10):
        parts.append(tube((0, y, HIP_Z), (0, y, KNEE_Z), (0.095, 0.07), 6, CLOTH_2))
        parts.append(tube((0, y, KNEE_Z), (0, y, 0.07), (0.07, 0.055), 6, CLOTH_2))
        parts.append(box((0.27, 0.10, 0.09), (0.05, y, 0.045), MATTE, SHOE))
    hands = {
        "stop": ((0.42, -0.30, 1.74), (0.04, 0.30, 0.86)),
        "go": ((0.35, -0.45, 1.32), (0.10, 0.72, 1.40)),
        "slow": ((0.42, -0.32, 1.05), (0.04, 0.30, 0.86)),
    }
    right, left = hands.get(gesture, ((0.06, -0.29, 0.86), (0.06, 0.29, 0.86)))
    if gesture.startswith("paddle"):
        right = (0.30, -0.36, 1.22)
        parts.append(_paddle(right, gesture))
    for hand, side in ((right, -0.22), (left, 0.22)):
        shoulder = np.array([0.0, side, SHOULDER_Z])
        wrist = shoulder + 0.86 * (np.array(hand) - shoulder)
        parts.append(tube(tuple(shoulder), tuple(wrist), (0.06, 0.045), 6, MATTE, vest))
        parts.append(tube(tuple(wrist), hand, (0.045, 0.045), 6, MATTE, WHITE if gesture == "stop" else SKIN))
    return Prototype((merge(*parts),), (0.4,))


def _trunk(low: float, high: float, half_y: float, material: int, color: Color) -> Mesh:
    """A part of a trunk: an upright elliptic drum."""
    turn = 2.0 * np.pi * np.arange(10) / 10
    rings = [np.stack([0.66 * half_y * np.cos(turn), half_y * np.sin(turn), 0 * turn + z], -1) for z in (low, high)]
    return loft(np.array(rings), material, color, crease_deg=61.0)


def _paddle(hand: Color, gesture: str) -> Mesh:
    """A sign on a staff in a hand: a red octagon to stop, an orange diamond to slow, a green disc to go."""
    x, y, z = hand
    color, sides = {"paddle-stop": (RED, 8), "paddle-slow": (ORANGE, 4), "paddle-go": ((0.02, 0.40, 0.12), 16)}[gesture]
    staff = tube((x, y, 0.75), (x, y, 1.80), (0.016, 0.016), 5, METAL, (0.6, 0.6, 0.6))
    turn = 0.25 * math.pi if sides == 4 else 0.0
    plates = (disc((0.0, 0.0, 0.0), 0.30, yaw, sides, RETRO, color) for yaw in (0.0, math.pi))
    face = [moved(plate, (x + dx, y, z + 0.78), roll=turn) for plate, dx in zip(plates, (0.02, -0.02), strict=True)]
    bar = box((0.01, 0.36, 0.09), (x + 0.03, y, z + 0.78), RETRO, WHITE)
    return merge(staff, *face, *([bar] if gesture == "paddle-stop" else []))


def school_bus(stop: bool) -> Prototype:
    """A school bus, 11 m, with its arm folded or out and its upper lamps for that."""
    hull = box((9.2, 2.45, 2.35), (-0.85, 0.0, 1.85), MATTE, YELLOW)
    hood = box((1.7, 2.1, 1.05), (4.6, 0.0, 1.2), MATTE, YELLOW)
    skirt = box((9.0, 2.3, 0.35), (-0.9, 0.0, 0.55), MATTE, DARK)
    bands = [box((9.1, 2.47, 0.07), (-0.85, 0.0, z), MATTE, BLACK) for z in (1.0, 1.45, 1.75)]
    bumper = [box((0.2, 2.4, 0.28), (x, 0.0, 0.6), MATTE, BLACK) for x in (5.45, -5.45)]
    shield = box((0.06, 2.0, 0.85), (3.76, 0.0, 2.25), GLASS, WINDOW)
    back = box((0.06, 1.8, 0.8), (-5.46, 0.0, 2.2), GLASS, WINDOW)
    upper = [
        box((0.08, 0.22, 0.22), (x, y, 2.86), BEACON, RED_LAMP) for x in (3.76, -5.46) for y in (0.85, -0.85)
    ]  # fmt: skip
    body = [hull, hood, skirt, *bands, *bumper, shield, back, *upper, windows(-5.2, 3.4, 1.85, 2.55, 2.45, 8)]
    body += [lamps(11.0, 2.3, 0.95, 1.05, 1.0), *(wheel(x, y, 0.48, 0.3) for x in (-3.6, 4.1) for y in (1.08, -1.08))]
    if stop:
        for facing in (0.0, math.pi):
            x = 2.6 + 0.03 * math.cos(facing)
            body.append(disc((x, 1.75, 1.45), 0.30, facing, 8, RETRO, RED))
            body.append(box((0.01, 0.34, 0.08), (x + 0.01 * math.cos(facing), 1.75, 1.45), RETRO, WHITE))
            body += [box((0.05, 0.10, 0.10), (x, 1.75, 1.45 + dz), BEACON, RED_LAMP) for dz in (0.20, -0.20)]
        body.append(box((0.05, 0.5, 0.05), (2.6, 1.45, 1.45), METAL, (0.5, 0.5, 0.5)))
    return Prototype((merge(*body), merge(hull, hood, shield, back, *upper, *body[-3:])), (12.0, 0.5))


def train() -> Prototype:
    """A railcar of three parts, 60 m."""
    parts = []
    for x in (-20.2, 0.0, 20.2):
        parts.append(box((19.6, 2.85, 3.0), (x, 0.0, 2.4), PAINT))
        parts.append(box((19.0, 2.87, 0.45), (x, 0.0, 1.15), MATTE, RED))
        parts.append(windows(x - 9.2, x + 9.2, 2.1, 3.1, 2.85, 8))
        parts.append(box((18.6, 2.3, 0.25), (x, 0.0, 4.0), MATTE, (0.25, 0.25, 0.26)))
        parts += [box((3.0, 2.0, 0.55), (x + bogie, 0.0, 0.55), MATTE, DARK) for bogie in (-6.8, 6.8)]
    parts += [box((0.8, 2.3, 2.8), (x, 0.0, 2.3), MATTE, DARK) for x in (-10.1, 10.1)]
    parts += [box((0.08, 2.3, 1.1), (s * 30.0, 0.0, 2.9), GLASS, WINDOW) for s in (1.0, -1.0)]
    parts.append(lamps(60.1, 2.6, 1.4, 1.4))
    return Prototype((merge(*parts),), (0.5,))


def tractor() -> Prototype:
    """A farm tractor, 4.4 m, with a beacon."""
    parts = [
        box((1.9, 0.85, 0.75), (0.95, 0.0, 1.15), PAINT),
        box((0.06, 0.7, 0.5), (1.92, 0.0, 1.15), MATTE, BLACK),
        box((2.6, 0.6, 0.5), (0.2, 0.0, 0.75), MATTE, DARK),
        box((1.35, 1.45, 1.15), (-0.75, 0.0, 1.95), GLASS, WINDOW, 0.9),
        box((1.45, 1.5, 0.14), (-0.75, 0.0, 2.58), PAINT),
        tube((0.7, 0.36, 1.5), (0.7, 0.36, 2.3), (0.05, 0.05), 6, MATTE, BLACK),
        tube((-1.1, 0.45, 2.64), (-1.1, 0.45, 2.80), (0.09, 0.08), 8, BEACON, AMBER_LAMP),
        lamps(4.3, 1.5, 1.1, 1.35, 0.6),
    ]
    for y in (0.85, -0.85):
        parts += [wheel(-1.15, y, 0.82, 0.45), wheel(1.4, 0.85 * y, 0.55, 0.35)]
        parts.append(box((1.2, 0.42, 0.08), (-1.15, y, 1.70), PAINT))
    return Prototype((merge(*parts),), (0.5,))


def work_machine() -> Prototype:
    """An excavator, 6 m, with its arm to the front and a beacon."""
    parts = [box((3.2, 0.55, 0.75), (-0.9, y, 0.40), MATTE, DARK) for y in (1.0, -1.0)]
    parts += [
        box((2.6, 2.3, 0.95), (-1.1, 0.0, 1.35), MATTE, YELLOW),
        box((1.2, 0.95, 1.15), (-0.3, 0.62, 2.2), GLASS, WINDOW, 0.92),
        box((1.25, 1.0, 0.1), (-0.3, 0.62, 2.82), MATTE, YELLOW),
        box((0.7, 2.2, 0.6), (-2.1, 0.0, 1.75), MATTE, DARK),
        moved(box((2.3, 0.32, 0.4), (0.0, 0.0, 0.0), MATTE, YELLOW), (1.0, -0.2, 2.1), pitch=-0.65),
        moved(box((1.7, 0.28, 0.34), (0.0, 0.0, 0.0), MATTE, YELLOW), (2.35, -0.2, 1.95), pitch=1.15),
        box((0.75, 0.9, 0.6), (2.55, -0.2, 0.75), METAL, (0.25, 0.25, 0.25), 0.75),
        tube((-1.4, 0.0, 1.83), (-1.4, 0.0, 2.02), (0.10, 0.09), 8, BEACON, AMBER_LAMP),
    ]
    return Prototype((merge(*parts),), (0.5,))


def cargo() -> Prototype:
    """A lost load 1.2 m long: boxes on a pallet, one beside it."""
    card, wood = (0.42, 0.27, 0.14), (0.32, 0.22, 0.12)
    parts = [box((1.2, 0.10, 0.12), (0.0, y, 0.06), MATTE, wood) for y in (-0.45, 0.0, 0.45)]
    parts.append(box((1.2, 1.0, 0.03), (0.0, 0.0, 0.135), MATTE, wood))
    parts.append(box((0.58, 0.48, 0.40), (-0.28, 0.22, 0.35), MATTE, card))
    parts.append(moved(box((0.55, 0.45, 0.38), (0.0, 0.0, 0.0), MATTE, (0.50, 0.34, 0.19)), (0.3, -0.2, 0.34), yaw=0.3))
    parts.append(moved(box((0.42, 0.36, 0.3), (0.0, 0.0, 0.0), MATTE, card), (-0.2, 0.1, 0.70), yaw=-0.4, roll=0.1))
    return Prototype((merge(*parts),), (0.4,))


def door() -> Prototype:
    """The open door of a car: it stands out along y, 1 m wide, thin along x."""
    panel = box((0.12, 1.0, 0.65), (0.0, 0.0, 0.62), PAINT)
    pane = box((0.04, 0.8, 0.42), (0.0, -0.05, 1.15), GLASS, WINDOW)
    frame = box((0.06, 0.9, 0.05), (0.0, -0.03, 1.37), PAINT)
    lamp = box((0.13, 0.05, 0.12), (0.0, 0.46, 0.45), RETRO, RED)
    return Prototype((merge(panel, pane, frame, lamp),), (0.4,))


def gate() -> Prototype:
    """The closed boom of a rail crossing: 6 m along y, striped, with its stand at the left end."""
    parts = [box((0.30, 0.30, 1.15), (0.0, 2.9, 0.575), METAL, (0.45, 0.45, 0.46))]
    for k in range(9):
        color = RED if k % 2 == 0 else WHITE
        parts.append(box((0.06, 0.64, 0.14), (0.0, 2.55 - 0.64 * k, 1.0), RETRO, color))
    parts += [box((0.09, 0.12, 0.12), (0.0, y, 1.14), BEACON, RED_LAMP) for y in (2.0, 0.0, -2.4)]
    return Prototype((merge(*parts),), (0.4,))


def ball() -> Prototype:
    """A ball of 0.25 m."""
    half = blob((0.0, 0.0, 0.125), (0.125, 0.125, 0.125), 1, MATTE, (0.75, 0.05, 0.03))
    band = tube((0.0, 0.0, 0.095), (0.0, 0.0, 0.155), (0.127, 0.127), 12, MATTE, WHITE, caps=False)
    return Prototype((merge(half, band),), (0.25,))


def patch(color: Color, rim: Color, material: int) -> Prototype:
    """An uneven flat spot of 1 x 1 m on the ground, with a rim: a pothole or standing water."""
    turn = 2.0 * np.pi * np.arange(14) / 14
    wave = 0.44 + 0.04 * np.sin(3.0 * turn + 0.6) + 0.02 * np.cos(5.0 * turn)
    rings = [np.stack([k * wave * np.cos(turn), k * wave * np.sin(turn), 0 * turn + z], -1)
             for k, z in ((1.08, 0.008), (0.88, 0.020))]  # fmt: skip
    outer, inner = np.vstack(rings), np.vstack([rings[1], [(0.0, 0.0, 0.021)]])
    k = np.arange(14)
    after = (k + 1) % 14
    edge = np.concatenate([np.stack([k, after, after + 14], 1), np.stack([k, after + 14, k + 14], 1)])
    middle = np.stack([k, after, np.full(14, 14)], 1)
    return Prototype((merge(make(outer, edge, MATTE, rim), make(inner, middle, material, color)),), (0.4,))
