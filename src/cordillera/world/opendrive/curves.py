"""Reference lines and cubic profiles of OpenDRIVE: arc length s in, position and heading out, in numpy arrays.

Formulas: ASAM OpenDRIVE 1.8, sections 8 (geometries) and 10 (elevation, superelevation). s is arc length in the
xy plane, so curves given by another parameter (poly3, paramPoly3) are walked by their true arc length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import fresnel

from cordillera.types import Float, Int

LOOKUP_MARGIN_M = 1e-4  # records that start this close to the end of an interval belong to the next one
CELLS = 32  # of a polynomial's arc-length table
GAUSS_X, GAUSS_W = leggauss(5)
LINE, ARC, SPIRAL, POLY = range(4)


@dataclass(frozen=True, eq=False)
class Profile:
    """A piecewise cubic: record k holds from `start[k]` on, value a + b d + c d^2 + d d^3 with d = s - start[k]."""

    start: Float  # (K,) ascending
    coefficients: Float  # (K, 4)

    @staticmethod
    def of(rows: list[list[float]]) -> Profile:
        """Rows [start, a, b, c, d], sorted by start -> the profile; no rows -> zero everywhere."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        return Profile(table[:, 0].copy(), table[:, 1:].copy())

    def at(self, s: Float, low: float, high: float) -> Float:
        """Values (N,) at s (N,) of one interval [low, high]: at its ends the records inside it count.

        Before its first record a profile keeps that record's first value; without records it is 0.
        """
        if not len(self.start):
            return np.zeros(len(s))
        record = np.searchsorted(self.start, inside(s, low, high), side="right") - 1
        record = np.maximum(record, 0)
        d = np.maximum(s - self.start[record], 0.0)
        a, b, c, e = self.coefficients[record].T
        return a + d * (b + d * (c + d * e))

    def slope_at(self, s: Float, low: float, high: float) -> Float:
        """Derivatives (N,) of `at`."""
        if not len(self.start):
            return np.zeros(len(s))
        record = np.maximum(np.searchsorted(self.start, inside(s, low, high), side="right") - 1, 0)
        d = s - self.start[record]
        _, b, c, e = self.coefficients[record].T
        return np.where(d >= 0.0, b + d * (2.0 * c + 3.0 * d * e), 0.0)

    @property
    def is_zero(self) -> bool:
        """Whether the profile is 0 everywhere."""
        return not self.coefficients.any()


def inside(s: Float, low: float, high: float) -> Float:
    """Stations moved off the ends of their interval, so that a look-up there finds the records inside it."""
    margin = min(LOOKUP_MARGIN_M, 0.25 * (high - low))
    return np.clip(s, low + margin, high - margin)


@dataclass(frozen=True)
class Piece:
    """One <geometry> as written: start pose, length, kind and its parameters.

    ARC: (curvature,); SPIRAL: (curvature at start, at end); POLY: aU..dU, aV..dV and the last parameter value,
    which is 0 where only the length bounds the curve (poly3).
    """

    s: float
    x: float
    y: float
    hdg: float
    length: float
    kind: int
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ReferenceLine:
    """The pieces of one <planView> as columns."""

    s: Float  # (G,) ascending
    pose: Float  # (G, 3) x, y, heading
    length: Float  # (G,)
    kind: Int  # (G,)
    curvature: Float  # (G, 2) at start and end, of lines, arcs and spirals
    cubic: Float  # (G, 2, 4) u and v over the parameter
    table_p: Float  # (G, CELLS + 1) parameter at the knots of the arc-length table
    table_s: Float  # (G, CELLS + 1) arc length there
    scale: Float = field(default_factory=lambda: np.ones(0))  # (G,) true arc length over the length as written

    @staticmethod
    def of(pieces: list[Piece]) -> ReferenceLine:
        """Pieces in ascending order of s -> the line."""
        count = len(pieces)
        curvature, cubic = np.zeros((count, 2)), np.zeros((count, 2, 4))
        last = np.ones(count)
        for row, piece in enumerate(pieces):
            if piece.kind == ARC:
                curvature[row] = piece.parameters[0]
            elif piece.kind == SPIRAL:
                curvature[row] = piece.parameters
            elif piece.kind == POLY:
                cubic[row] = np.reshape(piece.parameters[:8], (2, 4))
                last[row] = piece.parameters[8] or piece.length
        length = np.array([piece.length for piece in pieces])
        table_p = last[:, None] * np.linspace(0.0, 1.0, CELLS + 1)
        cells = _gauss_length(cubic[:, None], table_p[:, :-1], table_p[:, 1:])
        table_s = np.concatenate([np.zeros((count, 1)), np.cumsum(cells, axis=1)], axis=1)
        bounded = np.array([piece.kind == POLY and piece.parameters[8] > 0.0 for piece in pieces])
        return ReferenceLine(
            s=np.array([piece.s for piece in pieces]),
            pose=np.array([(piece.x, piece.y, piece.hdg) for piece in pieces]),
            length=length,
            kind=np.array([piece.kind for piece in pieces], dtype=np.int64),
            curvature=curvature,
            cubic=cubic,
            table_p=table_p,
            table_s=table_s,
            scale=np.where(bounded, table_s[:, -1] / length, 1.0),
        )

    @property
    def end(self) -> float:
        """Where the last piece ends."""
        return float(self.s[-1] + self.length[-1])

    def at(self, s: Float, low: float, high: float) -> tuple[Float, Float, Float]:
        """Stations (N,) of one interval [low, high] -> x, y, heading (N,) each; beyond its ends the line goes on."""
        row = np.maximum(np.searchsorted(self.s, inside(s, low, high), side="right") - 1, 0)
        d = s - self.s[row]
        kind = self.kind[row]
        u, v, turn = d.copy(), np.zeros(len(s)), np.zeros(len(s))
        for number, walk in ((ARC, _walk_arc), (SPIRAL, _walk_spiral)):
            if (mask := kind == number).any():
                k0, k1 = self.curvature[row[mask]].T
                u[mask], v[mask], turn[mask] = walk(d[mask], k0, k1, self.length[row[mask]])
        if (mask := kind == POLY).any():
            u[mask], v[mask], turn[mask] = self._walk_cubic(row[mask], d[mask])
        x, y, hdg = self.pose[row].T
        c, sn = np.cos(hdg), np.sin(hdg)
        return x + c * u - sn * v, y + sn * u + c * v, hdg + turn

    def _walk_cubic(self, row: Int, d: Float) -> tuple[Float, Float, Float]:
        """Rows (M,) and distances (M,) -> u, v, turn: invert the arc length by Newton within its table cell."""
        cubic, knots_s, knots_p = self.cubic[row], self.table_s[row], self.table_p[row]
        target = np.clip(d * self.scale[row], 0.0, knots_s[:, -1])
        cell = np.minimum((knots_s <= target[:, None]).sum(axis=1) - 1, CELLS - 1)
        pick = np.arange(len(row))
        low, high = knots_p[pick, cell], knots_p[pick, cell + 1]
        base, top = knots_s[pick, cell], knots_s[pick, cell + 1]
        p = low + (high - low) * np.divide(target - base, top - base, out=np.zeros(len(row)), where=top > base)
        for _ in range(5):
            speed = np.linalg.norm(_derivative(cubic, p), axis=-1)
            error = base + _gauss_length(cubic, low, p) - target
            step = np.divide(error, speed, out=np.zeros(len(row)), where=speed > 1e-9)
            p = np.clip(p - step, low, high)
        position = np.moveaxis(_value(cubic, p), -1, 0)
        tangent = _derivative(cubic, p)
        turn = np.arctan2(tangent[:, 1], tangent[:, 0])
        rest = d - target / self.scale[row]  # beyond the curve's end: straight on
        return position[0] + rest * np.cos(turn), position[1] + rest * np.sin(turn), turn


def _walk_arc(d: Float, k0: Float, _k1: Float, _length: Float) -> tuple[Float, Float, Float]:
    """Distances (M,) along arcs of curvature k0 -> u, v, turn in the start frame."""
    turn = k0 * d
    half = 0.5 * turn
    chord = d * np.sinc(half / np.pi)
    return chord * np.cos(half), chord * np.sin(half), turn


def _walk_spiral(d: Float, k0: Float, k1: Float, length: Float) -> tuple[Float, Float, Float]:
    """Distances (M,) along clothoids whose curvature runs from k0 to k1 over `length` -> u, v, turn.

    The heading k0 d + c d^2 / 2 is completed to a square, which turns the integrals into Fresnel's; where the
    curvature hardly changes (by less than 1e-6 rad over the piece) an arc of the mean curvature is exact enough.
    """
    rate = (k1 - k0) / length
    turn = k0 * d + 0.5 * rate * d * d
    flat = np.abs(rate) * length * length < 1e-6
    u, v, _ = _walk_arc(d, k0 + 0.5 * rate * d, k1, length)
    bent = ~flat
    if bent.any():
        c, k, s = rate[bent], k0[bent], d[bent]
        root = np.sqrt(np.abs(c) / math.pi)
        z0, z1 = k / np.abs(c) * root, (k / np.abs(c) + np.sign(c) * s) * root
        sin0, cos0 = fresnel(z0)
        sin1, cos1 = fresnel(z1)
        phase = -0.5 * k * k / c
        du, dv = (cos1 - cos0) / root * np.sign(c), (sin1 - sin0) / root
        u[bent] = np.cos(phase) * du - np.sin(phase) * dv
        v[bent] = np.sin(phase) * du + np.cos(phase) * dv
    return u, v, turn


def _value(cubic: Float, p: Float) -> Float:
    """Cubics (..., 2, 4) at parameters (...) -> (..., 2)."""
    p = p[..., None]
    return cubic[..., 0] + p * (cubic[..., 1] + p * (cubic[..., 2] + p * cubic[..., 3]))


def _derivative(cubic: Float, p: Float) -> Float:
    """Derivatives of cubics (..., 2, 4) by their parameter (...) -> (..., 2)."""
    p = p[..., None]
    return cubic[..., 1] + p * (2.0 * cubic[..., 2] + 3.0 * p * cubic[..., 3])


def _gauss_length(cubic: Float, p0: Float, p1: Float) -> Float:
    """Arc length of cubics (..., 2, 4) between parameters p0 and p1 (...), by five-point Gauss-Legendre."""
    middle, half = 0.5 * (p0 + p1), 0.5 * (p1 - p0)
    p = middle[..., None] + half[..., None] * GAUSS_X
    speed = np.linalg.norm(_derivative(cubic[..., None, :, :], p), axis=-1)
    return half * (speed @ GAUSS_W)
