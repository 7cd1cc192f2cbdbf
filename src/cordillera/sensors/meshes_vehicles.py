"""Procedural vehicles: kind in, prototypes with three levels of detail out, in the size of a reference vehicle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.sensors.classes import (
    BEACON,
    BLINKER_LEFT,
    BLINKER_RIGHT,
    GLASS,
    HEADLAMP,
    MATTE,
    METAL,
    PAINT,
    PAINT_2,
    TAILLAMP,
)
from cordillera.sensors.mesh import Color, Mesh, box, loft, make, merge, tube
from cordillera.sensors.scene_arrays import Prototype
from cordillera.types import Float

BLACK, DARK, PLATE = (0.012, 0.012, 0.013), (0.03, 0.03, 0.032), (0.62, 0.62, 0.58)
WINDOW, STEEL, LENS, RED_LENS, AMBER_LENS = (
    (0.015, 0.018, 0.02), (0.35, 0.35, 0.36), (0.75, 0.77, 0.80), (0.30, 0.012, 0.012), (0.45, 0.17, 0.02),
)  # fmt: skip
SWITCH_PX = (26.0, 7.0, 0.6)
BLUE_LIGHT, RED_LIGHT = (0.05, 0.20, 1.0), (1.0, 0.05, 0.04)


@dataclass(frozen=True)
class Shape:
    """The outline of a car: the body's side line and the cabin, in m; x from the middle, z from the ground."""

    size_lwh: tuple[float, float, float]
    deck: tuple[tuple[float, float], ...]  # x, height of bonnet, belt line and boot from rear to front
    cabin: tuple[float, float, float, float]  # x: rear bottom, rear top, front top, front bottom
    wheel_m: float = 0.33
    axles: tuple[float, ...] = (-1.35, 1.38)


SEDAN = Shape(
    (4.60, 1.82, 1.46),
    (
        (-2.30, 0.80),
        (-2.22, 0.98),
        (-1.55, 1.02),
        (-0.6, 0.98),
        (0.7, 0.96),
        (1.05, 0.94),
        (1.95, 0.82),
        (2.22, 0.70),
        (2.30, 0.58),
    ),
    (-1.80, -0.95, 0.25, 1.15),
)
HATCH = Shape(
    (4.10, 1.78, 1.52),
    (
        (-2.05, 0.85),
        (-2.0, 1.0),
        (-1.5, 1.04),
        (-0.6, 1.01),
        (0.6, 0.99),
        (0.95, 0.97),
        (1.72, 0.85),
        (1.98, 0.72),
        (2.05, 0.6),
    ),
    (-1.98, -1.45, 0.15, 1.05),
    0.32,
    (-1.25, 1.25),
)
SUV = Shape(
    (4.70, 1.92, 1.70),
    (
        (-2.35, 0.95),
        (-2.3, 1.12),
        (-1.6, 1.16),
        (-0.6, 1.13),
        (0.7, 1.12),
        (1.05, 1.10),
        (2.0, 1.0),
        (2.28, 0.86),
        (2.35, 0.7),
    ),
    (-2.28, -1.85, 0.20, 1.12),
    0.37,
    (-1.40, 1.42),
)
VAN = Shape(
    (5.30, 2.00, 2.25),
    (
        (-2.65, 1.10),
        (-2.63, 1.22),
        (-1.6, 1.24),
        (-0.6, 1.24),
        (0.9, 1.24),
        (1.55, 1.22),
        (2.25, 1.08),
        (2.55, 0.92),
        (2.65, 0.7),
    ),
    (-2.62, -2.52, 1.05, 2.05),
    0.35,
    (-1.65, 1.75),
)


def _body(shape: Shape, stations: int) -> Mesh:
    """The painted lower body, lofted from rear to front."""
    length, width, _ = shape.size_lwh
    xs = np.array([x for x, _ in shape.deck])
    tops = np.array([z for _, z in shape.deck])
    pick = xs if stations >= len(xs) else np.interp(np.linspace(0, len(xs) - 1, stations), np.arange(len(xs)), xs)
    rings = []
    for x in pick:
        top = float(np.interp(x, xs, tops))
        end = min(1.0, (0.5 * length - abs(x)) / 0.45)  # corners are rounded seen from above
        w = 0.5 * width * (0.86 + 0.14 * math.sqrt(max(end, 0.0)))
        low = 0.30 - 0.08 * max(end, 0.0)
        mid = low + 0.55 * (top - low)
        rings.append(
            [
                (x, w, mid),
                (x, 0.95 * w, top - 0.07),
                (x, 0.80 * w, top),
                (x, -0.80 * w, top),
                (x, -0.95 * w, top - 0.07),
                (x, -w, mid),
                (x, -0.94 * w, low),
                (x, 0.94 * w, low),
            ]
        )
    return loft(np.array(rings), PAINT, (0.5, 0.5, 0.5), crease_deg=38.0)


def _cabin(shape: Shape, solid_rear: bool) -> Mesh:
    """Windows and roof: glass all round, a painted roof and pillars."""
    _, width, height = shape.size_lwh
    rb, rt, ft, fb = shape.cabin
    xs, tops = [x for x, _ in shape.deck], [z for _, z in shape.deck]
    zb = [float(np.interp(x, xs, tops)) - 0.02 for x in (rb, fb)]
    wb, wt = 0.44 * width, 0.36 * width
    bottom = np.array([(rb, wb, zb[0]), (fb, wb, zb[1]), (fb, -wb, zb[1]), (rb, -wb, zb[0])])
    top = np.array(
        [(rt, wt, height - 0.05), (ft, wt, height - 0.05), (ft, -wt, height - 0.05), (rt, -wt, height - 0.05)]
    )
    xyz = np.concatenate([bottom, top])
    sides = [(0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0)]
    glass = make(xyz, np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))]), GLASS, WINDOW)
    crown = np.array(
        [
            (rt + 0.12, 0.8 * wt, height),
            (ft - 0.15, 0.8 * wt, height),
            (ft - 0.15, -0.8 * wt, height),
            (rt + 0.12, -0.8 * wt, height),
        ]
    )
    edge = np.concatenate([top, crown])
    quads = [(0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0), (4, 7, 6, 5)]
    roof = make(edge, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]), PAINT, crease_deg=50.0)
    pillars = []
    for y in (1.0, -1.0):
        for k, (xb, xt) in enumerate(
            ((rb, rt), (0.45 * rb + 0.55 * fb - 0.35, 0.45 * rt + 0.55 * ft - 0.12), (fb, ft))
        ):
            z = zb[0] if xb == rb else zb[1]
            wide = 0.5 * (0.22 if k == 0 else 0.10) * (1.0 if not (solid_rear and k == 0) else 6.0)
            pillars.append(
                loft(
                    np.array(
                        [
                            [
                                (xb - wide, y * wb - 0.03, z),
                                (xb + wide, y * wb - 0.03, z),
                                (xb + wide, y * wb + 0.03, z),
                                (xb - wide, y * wb + 0.03, z),
                            ],
                            [
                                (xt - wide, y * wt - 0.03, height - 0.04),
                                (xt + wide, y * wt - 0.03, height - 0.04),
                                (xt + wide, y * wt + 0.03, height - 0.04),
                                (xt - wide, y * wt + 0.03, height - 0.04),
                            ],
                        ]
                    ),
                    PAINT,
                )
            )
    return merge(glass, roof, *pillars)


def wheel(x: float, y: float, radius: float, width: float, sides: int = 12) -> Mesh:
    """A wheel with its rim, its middle at the height of its radius."""
    tyre = tube((x, y - 0.5 * width, radius), (x, y + 0.5 * width, radius), (radius, radius), sides, MATTE, BLACK)
    out = math.copysign(0.5 * width + 0.01, y)
    rim = tube((x, y, radius), (x, y + out, radius), (0.62 * radius, 0.60 * radius), sides, METAL, STEEL)
    return merge(tyre, rim)


def lamps(length: float, width: float, z_front: float, z_rear: float, big: float = 1.0) -> Mesh:
    """Head lamps, tail lamps and indicators at the corners, and the number plates."""
    parts = []
    for side, blinker in ((1.0, BLINKER_LEFT), (-1.0, BLINKER_RIGHT)):
        y = side * (0.5 * width - 0.26)
        x = 0.5 * length
        parts.append(box((0.14, 0.34 * big, 0.13 * big), (x - 0.075, y, z_front), HEADLAMP, LENS))
        parts.append(box((0.12, 0.12, 0.10), (x - 0.12, side * (0.5 * width - 0.07), z_front), blinker, AMBER_LENS))
        parts.append(box((0.12, 0.26 * big, 0.16 * big), (-x + 0.055, y, z_rear), TAILLAMP, RED_LENS))
        parts.append(box((0.12, 0.12, 0.12), (-x + 0.08, side * (0.5 * width - 0.09), z_rear), blinker, AMBER_LENS))
    parts.append(box((0.03, 0.50, 0.11), (-0.5 * length, 0.0, z_rear - 0.22), MATTE, PLATE))
    parts.append(box((0.03, 0.50, 0.11), (0.5 * length, 0.0, z_front - 0.25), MATTE, PLATE))
    return merge(*parts)


def _bar(x: float, z: float, width: float) -> Mesh:
    """A light bar: blue and red (blue alone looks the same where red is not used, since they alternate)."""
    left = box((0.28, 0.5 * width, 0.14), (x, 0.26 * width, z), BEACON, BLUE_LIGHT)
    right = box((0.28, 0.5 * width, 0.14), (x, -0.26 * width, z), BEACON, RED_LIGHT)
    return merge(left, right)


def car(shape: Shape, bar: bool = False, stripe: bool = False, solid_rear: bool = False) -> Prototype:
    """The outline of a car -> a prototype; with a light bar and stripes for the emergency services."""
    length, width, height = shape.size_lwh
    front_z, rear_z = shape.deck[-3][1] - 0.12, shape.deck[1][1] - 0.14
    extra = [_bar(0.0, height + 0.06, 1.1)] if bar else []
    if stripe:
        extra += [box((0.7 * length, width + 0.02, 0.16), (0.0, 0.0, 0.78), PAINT_2)]
    lights = lamps(length, width, front_z, rear_z)
    r = shape.wheel_m
    wheels = [wheel(x, y, r, 0.22) for x in shape.axles for y in (0.5 * width - 0.10, -0.5 * width + 0.10)]
    trim = [
        box((0.16, 0.86 * width, 0.20), (0.5 * length - 0.06, 0.0, 0.36), MATTE, DARK),
        box((0.16, 0.86 * width, 0.20), (-0.5 * length + 0.06, 0.0, 0.38), MATTE, DARK),
        box((0.04, 0.50 * width, 0.12), (0.5 * length - 0.01, 0.0, front_z - 0.06), MATTE, BLACK),
        box((0.20, 0.12, 0.13), (shape.cabin[3] - 0.35, 0.5 * width + 0.05, shape.deck[5][1] + 0.08), PAINT),
        box((0.20, 0.12, 0.13), (shape.cabin[3] - 0.35, -0.5 * width - 0.05, shape.deck[5][1] + 0.08), PAINT),
    ]
    cabin = _cabin(shape, solid_rear)
    coarse = [wheel(x, y, r, 0.22, 6) for x in shape.axles for y in (0.5 * width - 0.12, -0.5 * width + 0.12)]
    fine = merge(_body(shape, 99), cabin, lights, *wheels, *trim, *extra)
    middle = merge(_body(shape, 5), cabin, lights, *coarse, *extra)
    return Prototype((fine, middle, _block(shape.size_lwh, shape.cabin, front_z, rear_z, extra)), SWITCH_PX)


def _block(
    size: tuple[float, float, float], cabin: tuple[float, ...], front_z: float, rear_z: float, extra: list[Mesh]
) -> Mesh:
    """A car from far away: two boxes and its lamps."""
    length, width, height = size
    belt = max(front_z, rear_z) + 0.1
    lower = box((length, width, belt - 0.25), (0.0, 0.0, 0.5 * (belt + 0.25)), PAINT)
    upper = box(
        (cabin[3] - cabin[0], 0.86 * width, height - belt),
        (0.5 * (cabin[0] + cabin[3]), 0, 0.5 * (belt + height)),
        GLASS,
        WINDOW,
        0.8,
    )
    parts = [lower, upper]
    for side in (1.0, -1.0):
        y = side * (0.5 * width - 0.22)
        parts.append(_plate(0.5 * length + 0.01, y, front_z, 0.36, 0.16, 1.0, HEADLAMP, LENS))
        parts.append(_plate(-0.5 * length - 0.01, y, rear_z, 0.30, 0.20, -1.0, TAILLAMP, RED_LENS))
    return merge(*parts, *extra)


def _plate(x: float, y: float, z: float, wide: float, high: float, facing: float, material: int, color: Color) -> Mesh:
    """A flat plate that looks forward (1) or backward (-1)."""
    w, h = 0.5 * wide * facing, 0.5 * high
    xyz = np.array([(x, y - w, z - h), (x, y + w, z - h), (x, y + w, z + h), (x, y - w, z + h)])
    return make(xyz, np.array([(0, 1, 2), (0, 2, 3)]), material, color)


def windows(x0: float, x1: float, z0: float, z1: float, width: float, count: int) -> Mesh:
    """Rows of windows along both sides of a bus or tram."""
    step = (x1 - x0) / count
    size, z = (step * 0.88, width + 0.03, z1 - z0), 0.5 * (z0 + z1)
    return merge(*(box(size, (x0 + (k + 0.5) * step, 0.0, z), GLASS, WINDOW) for k in range(count)))


def bus() -> Prototype:
    """A city bus, 12 m."""
    length, width, height = 12.0, 2.5, 3.1
    hull = box((length, width, height - 0.35), (0.0, 0.0, 0.5 * (height + 0.35)), PAINT)
    skirt = box((length - 0.2, width - 0.1, 0.3), (0.0, 0.0, 0.4), MATTE, DARK)
    glass = windows(-5.6, 5.2, 1.35, 2.55, width, 7)
    front = box((0.06, width - 0.25, 1.45), (0.5 * length, 0.0, 1.95), GLASS, WINDOW)
    back = box((0.06, width - 0.6, 0.9), (-0.5 * length, 0.0, 2.15), GLASS, WINDOW)
    sign = box((0.08, 1.5, 0.28), (0.5 * length, 0.0, 2.85), MATTE, (0.75, 0.42, 0.03))
    lights = lamps(length + 0.04, width, 0.8, 1.0, 1.1)
    wheels = [wheel(x, y, 0.48, 0.3) for x in (-3.2, 3.3) for y in (1.12, -1.12)]
    band = box((length - 0.1, width + 0.015, 0.28), (0.0, 0.0, 1.0), PAINT_2)
    fine = merge(hull, skirt, glass, front, back, sign, lights, band, *wheels)
    return Prototype((fine, merge(hull, windows(-5.6, 5.2, 1.35, 2.55, width, 1), front, lights)), (14.0, 0.6))


def tram() -> Prototype:
    """A tram of three cars, 30 m."""
    parts = []
    for x in (-10.2, 0.0, 10.2):
        parts.append(box((9.6, 2.4, 2.9), (x, 0.0, 1.85), PAINT))
        parts.append(windows(x - 4.5, x + 4.5, 1.5, 2.7, 2.4, 4))
        parts.append(box((9.0, 2.42, 0.4), (x, 0.0, 0.95), PAINT_2))
    parts += [box((0.7, 2.1, 2.7), (x, 0.0, 1.85), MATTE, DARK) for x in (-5.1, 5.1)]
    parts += [box((0.06, 2.0, 1.5), (s * 15.0, 0.0, 2.2), GLASS, WINDOW) for s in (1.0, -1.0)]
    parts.append(lamps(30.1, 2.4, 0.9, 1.1))
    return Prototype((merge(*parts),), (0.6,))


def truck(bar: bool = False) -> Prototype:
    """A lorry with a box body, 8.5 m."""
    length, width, height = 8.5, 2.5, 3.5
    cab = loft(_cab_rings(length, width), PAINT, crease_deg=35.0)
    shield = box((0.06, width - 0.35, 0.95), (0.5 * length - 0.10, 0.0, 2.05), GLASS, WINDOW)
    side = box((0.9, width + 0.02, 0.7), (0.5 * length - 0.95, 0.0, 2.05), GLASS, WINDOW)
    cargo = box((6.3, width, height - 1.05), (-1.1, 0.0, 0.5 * (height + 1.05)), PAINT if bar else PAINT_2)
    frame = box((length - 0.6, 1.1, 0.3), (-0.2, 0.0, 0.85), MATTE, DARK)
    lights = lamps(length, width, 0.85, 0.95, 1.1)
    wheels = [wheel(x, y, 0.50, 0.32) for x in (-3.0, -1.85, 2.9) for y in (1.05, -1.05)]
    extra = [_bar(0.5 * length - 1.0, 2.98, 1.6)] if bar else []
    fine = merge(cab, shield, side, cargo, frame, lights, *wheels, *extra)
    coarse = merge(cargo, box((1.8, width, 2.2), (3.3, 0.0, 1.75), PAINT), shield, frame, lights, *extra)
    return Prototype((fine, coarse), (16.0, 0.6))


def _cab_rings(length: float, width: float) -> Float:
    """The cross sections of a lorry's cab from rear to front."""
    rings = []
    for x, top in (
        (0.5 * length - 1.95, 2.85),
        (0.5 * length - 0.5, 2.85),
        (0.5 * length - 0.12, 2.6),
        (0.5 * length, 1.5),
    ):
        w = 0.5 * width
        rings.append(
            [
                (x, w, 1.6),
                (x, w, top - 0.15),
                (x, w - 0.2, top),
                (x, -w + 0.2, top),
                (x, -w, top - 0.15),
                (x, -w, 1.6),
                (x, -w, 0.45),
                (x, w, 0.45),
            ]
        )
    return np.array(rings)


def trailer() -> Prototype:
    """A semi-trailer without its tractor, 10 m."""
    body = box((10.0, 2.5, 2.7), (0.0, 0.0, 2.45), PAINT_2)
    wheels = [wheel(x, y, 0.48, 0.3) for x in (-4.0, -2.9, -1.8) for y in (1.05, -1.05)]
    frame = box((9.6, 1.1, 0.3), (0.0, 0.0, 0.9), MATTE, DARK)
    lights = lamps(10.0, 2.5, 0.9, 0.95)
    return Prototype((merge(body, frame, lights, *wheels), merge(body, frame, lights)), (12.0, 0.6))
