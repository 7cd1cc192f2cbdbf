"""Exact road geometry: curves of straight lines, arcs and clothoids with hills, sampled to within 5 mm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cordillera.geometry import wrap_angle
from cordillera.types import Float

TOLERANCE_M = 0.003  # of lines sampled on a curve; leaves room for what others do with them
MAX_STEP_M = 20.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Curve:
    """A reference line: pieces of linearly changing curvature, one after the other, over evenly rolling hills."""

    x: float
    y: float
    yaw_rad: float
    pieces: tuple[tuple[float, float, float], ...]  # length in m, curvature in 1/m at its start and end
    rise_m: float = 0.0  # height of the hills above the plane
    wave_m: float = 1.0  # from one valley to the next; the curve starts in one

    @property
    def length(self) -> float:
        return float(sum(piece[0] for piece in self.pieces))

    def frames(self, s_m: ArrayLike) -> Float:
        """Ascending arc lengths (N,) -> x, y, z, yaw (N, 4). Gauss-Legendre over steps that turn little: exact."""
        wanted = np.asarray(s_m, dtype=np.float64)
        bounds = np.concatenate([[0.0], np.cumsum([piece[0] for piece in self.pieces])])
        fine = np.unique(np.concatenate([wanted, bounds, np.arange(0.0, bounds[-1], 2.0)]))
        yaw, xy = np.empty(len(fine)), np.empty((len(fine), 2))
        yaw[0], xy[0] = self.yaw_rad, (self.x, self.y)
        piece = np.clip(np.searchsorted(bounds, 0.5 * (fine[:-1] + fine[1:])) - 1, 0, len(self.pieces) - 1)
        length, k0, k1 = np.array(self.pieces)[piece].T
        slope = (k1 - k0) / length
        start = k0 + slope * (fine[:-1] - bounds[piece])
        step = np.diff(fine)
        np.cumsum(start * step + 0.5 * slope * step**2, out=yaw[1:])
        yaw[1:] += self.yaw_rad
        along = 0.5 * step[:, None] * (_NODES + 1.0)
        heading = yaw[:-1, None] + start[:, None] * along + 0.5 * slope[:, None] * along**2
        xy[1:, 0] = self.x + np.cumsum(0.5 * step * (np.cos(heading) @ _WEIGHTS))
        xy[1:, 1] = self.y + np.cumsum(0.5 * step * (np.sin(heading) @ _WEIGHTS))
        row = np.searchsorted(fine, wanted)
        z = 0.5 * self.rise_m * (1.0 - np.cos(2.0 * np.pi * wanted / self.wave_m))
        return np.column_stack([xy[row], z, yaw[row]])

    def stations(self, reach_m: float, s0: float = 0.0, s1: float | None = None, step_m: float = MAX_STEP_M) -> Float:
        """Farthest offset drawn, part of the curve, widest step -> arc lengths that keep lines within tolerance."""
        s1 = self.length if s1 is None else s1
        bend = 0.5 * self.rise_m * (2.0 * math.pi / self.wave_m) ** 2
        parts, begin = [np.array([s0])], 0.0
        for length, k0, k1 in self.pieces:
            low, high = max(s0, begin), min(s1, begin + length)
            begin += length
            if high - low < 1e-9:
                continue
            # an offset line of radius R + reach is the longer one: chord error = k (1 + k reach) step^2 / 8
            k = max(abs(k0), abs(k1))
            step = min(step_m, math.sqrt(8.0 * TOLERANCE_M / max(k * (1.0 + k * reach_m) + bend, 1e-12)))
            parts.append(np.linspace(low, high, max(1, math.ceil((high - low) / step - 1e-9)) + 1)[1:])
        return np.concatenate(parts)

    def turned(self, by_rad: float, x: float, y: float) -> Curve:
        """The same curve turned about the origin and then moved by x, y."""
        c, s = math.cos(by_rad), math.sin(by_rad)
        moved = (c * self.x - s * self.y + x, s * self.x + c * self.y + y)
        return Curve(*moved, self.yaw_rad + by_rad, self.pieces, self.rise_m, self.wave_m)


def offset_line(frames: Float, t_m: ArrayLike) -> Float:
    """Frames (N, 4) of a curve, offset to the left (scalar or (N,)) -> points (N, 3)."""
    t = np.broadcast_to(np.asarray(t_m, dtype=np.float64), (len(frames),))
    xyz = frames[:, :3].copy()
    xyz[:, 0] -= t * np.sin(frames[:, 3])
    xyz[:, 1] += t * np.cos(frames[:, 3])
    return xyz


def blend(u: ArrayLike) -> Float:
    """0..1 (clamped) -> 0..1 without kink or jump of curvature at the ends (quintic)."""
    u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
    return u * u * u * (10.0 + u * (-15.0 + 6.0 * u))


def fillet(start: ArrayLike, end: ArrayLike) -> Curve:
    """Two poses (x, y, yaw) -> line, arc, line from one to the other, with the largest radius that fits.

    Raises ValueError if their lines do not meet ahead of the first and behind the second.
    """
    (x0, y0, yaw0), (x1, y1, yaw1) = (np.asarray(pose, dtype=np.float64)[:3] for pose in (start, end))
    dx, dy = x1 - x0, y1 - y0
    turn = float(wrap_angle(yaw1 - yaw0))
    c0, s0, c1, s1 = math.cos(yaw0), math.sin(yaw0), math.cos(yaw1), math.sin(yaw1)
    if abs(turn) < 1e-9 and abs(c0 * dy - s0 * dx) < 1e-6:
        return Curve(x0, y0, yaw0, ((math.hypot(dx, dy), 0.0, 0.0),))
    cross = c0 * s1 - s0 * c1
    before = (dx * s1 - dy * c1) / cross if abs(cross) > 1e-9 else -1.0
    after = (c0 * dy - s0 * dx) / cross if abs(cross) > 1e-9 else -1.0
    if before <= 0.0 or after <= 0.0:
        raise ValueError(f"no turn leads from ({x0:.2f}, {y0:.2f}) to ({x1:.2f}, {y1:.2f})")
    tangent = min(before, after)
    radius = tangent / math.tan(0.5 * abs(turn))
    k = math.copysign(1.0 / radius, turn)
    pieces = ((before - tangent, 0.0, 0.0), (radius * abs(turn), k, k), (after - tangent, 0.0, 0.0))
    return Curve(x0, y0, yaw0, tuple(piece for piece in pieces if piece[0] > 1e-6))


def eased(radius_m: float, angle_rad: float, ease_m: float) -> tuple[tuple[float, float, float], ...]:
    """Radius, signed angle, wanted clothoid length -> clothoid, arc, clothoid that turn by the angle in all."""
    ease = min(ease_m, 0.6 * radius_m * abs(angle_rad))  # each clothoid turns by ease / (2 radius)
    k = math.copysign(1.0 / radius_m, angle_rad)
    return ((ease, 0.0, k), (radius_m * abs(angle_rad) - ease, k, k), (ease, k, 0.0))


def end_pose(curve: Curve) -> tuple[float, float, float]:
    """Curve -> x, y, yaw at its end."""
    x, y, _, yaw = curve.frames([curve.length])[0]
    return float(x), float(y), float(yaw)
