"""Reference lines and profiles of OpenDRIVE against closed forms, quadrature and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from cordillera.world.opendrive.curves import ARC, LINE, POLY, SPIRAL, Piece, Profile, ReferenceLine


def at(piece: Piece, s: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stations = np.atleast_1d(np.asarray(s, dtype=np.float64))
    return ReferenceLine.of([piece]).at(stations, piece.s, piece.s + piece.length)


def test_line_and_quarter_circle_end_where_they_must():
    x, y, hdg = at(Piece(0.0, 1.0, 2.0, math.pi / 2, 10.0, LINE), 10.0)
    assert (x[0], y[0], hdg[0]) == pytest.approx((1.0, 12.0, math.pi / 2))
    x, y, hdg = at(Piece(0.0, 0.0, 0.0, 0.0, 5.0 * math.pi, ARC, (0.1,)), 5.0 * math.pi)
    assert (x[0], y[0], hdg[0]) == pytest.approx((10.0, 10.0, math.pi / 2))
    x, y, _ = at(Piece(0.0, 0.0, 0.0, 0.0, 5.0 * math.pi, ARC, (-0.1,)), 5.0 * math.pi)
    assert (x[0], y[0]) == pytest.approx((10.0, -10.0))


@pytest.mark.parametrize("k0", [0.0, 1e-9, 0.02, -0.05])
@pytest.mark.parametrize("k1", [0.0, 0.03, -0.04, 0.02 + 1e-10])
def test_spiral_is_the_integral_of_a_linear_curvature(k0: float, k1: float):
    length = 60.0
    x, y, hdg = at(Piece(0.0, 3.0, -1.0, 0.7, length, SPIRAL, (k0, k1)), np.array([0.0, 17.0, 60.0]))

    def heading(d: float) -> float:
        return 0.7 + k0 * d + 0.5 * (k1 - k0) / length * d * d

    for i, s in enumerate((0.0, 17.0, 60.0)):
        assert x[i] == pytest.approx(3.0 + quad(lambda d: math.cos(heading(d)), 0.0, s)[0], abs=1e-6)
        assert y[i] == pytest.approx(-1.0 + quad(lambda d: math.sin(heading(d)), 0.0, s)[0], abs=1e-6)
        assert hdg[i] == pytest.approx(heading(s), abs=1e-12)


def test_poly3_lies_on_its_cubic_at_its_arc_length():
    a, b, c, d = 0.0, 0.1, 0.01, -2e-4
    x, y, hdg = at(Piece(0.0, 0.0, 0.0, 0.0, 40.0, POLY, (0, 1, 0, 0, a, b, c, d, 0.0)), np.array([0.0, 13.0, 40.0]))
    assert y == pytest.approx(a + b * x + c * x**2 + d * x**3, abs=1e-9)
    assert np.tan(hdg) == pytest.approx(b + 2 * c * x + 3 * d * x**2, abs=1e-9)
    for u, s in zip(x, (0.0, 13.0, 40.0), strict=True):
        assert quad(lambda p: math.hypot(1.0, b + 2 * c * p + 3 * d * p * p), 0.0, u)[0] == pytest.approx(s, abs=1e-7)


def test_parametric_cubic_is_walked_by_arc_length_whatever_its_parameter():
    curve = (0.0, 20.0, 5.0, -3.0, 0.0, 0.0, 12.0, -4.0)  # over p in [0, 1], far from unit speed

    def speed(p: float) -> float:
        return math.hypot(20.0 + 10.0 * p - 9.0 * p * p, 24.0 * p - 12.0 * p * p)

    length = quad(speed, 0.0, 1.0)[0]
    s = np.linspace(0.0, length, 9)
    x, y, _ = at(Piece(0.0, 0.0, 0.0, 0.0, length, POLY, (*curve, 1.0)), s)
    assert (x[-1], y[-1]) == pytest.approx((22.0, 8.0))
    scaled = tuple(value / length ** (i % 4) for i, value in enumerate(curve))  # the same over p in [0, length]
    x2, y2, _ = at(Piece(0.0, 0.0, 0.0, 0.0, length, POLY, (*scaled, length)), s)
    assert np.allclose([x, y], [x2, y2], atol=1e-9)
    half = quad(speed, 0.0, 0.5)[0]
    x, y, _ = at(Piece(0.0, 0.0, 0.0, 0.0, length, POLY, (*curve, 1.0)), half)
    assert (x[0], y[0]) == pytest.approx((10.0 + 1.25 - 0.375, 3.0 - 0.5), abs=1e-7)


def test_a_sloppy_length_stretches_the_parameter_so_that_the_end_stays():
    line = ReferenceLine.of([Piece(0.0, 0.0, 0.0, 0.0, 11.0, POLY, (0, 10, 0, 0, 0, 0, 0, 0, 1.0))])
    x, _, _ = line.at(np.array([5.5, 11.0]), 0.0, 11.0)
    assert x == pytest.approx([5.0, 10.0])
    assert line.scale[0] == pytest.approx(10.0 / 11.0)


CURVATURE = st.floats(-0.2, 0.2)
COEFFICIENT = st.floats(-0.3, 0.3)


@st.composite
def pieces(draw) -> Piece:
    kind, length = draw(st.sampled_from([LINE, ARC, SPIRAL, POLY])), draw(st.floats(1.0, 80.0))
    pose = (draw(st.floats(-50.0, 50.0)), draw(st.floats(-50.0, 50.0)), draw(st.floats(-4.0, 4.0)))
    if kind == ARC:
        return Piece(0.0, *pose, length, kind, (draw(CURVATURE),))
    if kind == SPIRAL:
        return Piece(0.0, *pose, length, kind, (draw(CURVATURE), draw(CURVATURE)))
    if kind == POLY:
        shape = (0, 1, 0, 0, 0, 0, draw(COEFFICIENT) / length, draw(COEFFICIENT) / length**2, 0.0)
        return Piece(0.0, *pose, length, kind, shape)
    return Piece(0.0, *pose, length, kind)


@settings(max_examples=60, deadline=None)
@given(pieces())
def test_every_curve_runs_at_unit_speed_along_its_heading(piece: Piece):
    s = np.linspace(0.0, piece.length, 4001)
    x, y, hdg = at(piece, s)
    steps = np.hypot(np.diff(x), np.diff(y))
    assert steps.sum() == pytest.approx(piece.length, rel=1e-5)
    assert np.allclose(steps, s[1], rtol=1e-4)
    middle = 0.5 * (hdg[1:] + hdg[:-1])
    along = np.arctan2(np.diff(y), np.diff(x))
    assert np.abs(np.remainder(along - middle + np.pi, 2.0 * np.pi) - np.pi).max() < 1e-4
    assert (x[0], y[0]) == pytest.approx((piece.x, piece.y))


@settings(max_examples=40, deadline=None)
@given(st.lists(pieces(), min_size=2, max_size=4))
def test_pieces_put_end_to_end_join(chain: list[Piece]):
    placed: list[Piece] = []
    s, x, y, hdg = 0.0, 0.0, 0.0, 0.0
    for piece in chain:
        placed.append(Piece(s, x, y, hdg, piece.length, piece.kind, piece.parameters))
        ends = at(placed[-1], s + piece.length)
        s, (x, y, hdg) = s + piece.length, (float(value[0]) for value in ends)
    line = ReferenceLine.of(placed)
    assert line.end == pytest.approx(s)
    for piece in placed[1:]:
        before = line.at(np.array([piece.s]), 0.0, piece.s)
        behind = line.at(np.array([piece.s]), piece.s, s)
        assert np.allclose(before, behind, atol=1e-6)


def test_profiles_take_the_record_of_their_interval_at_its_ends():
    profile = Profile.of([[0.0, 1.0, 0.5, 0.0, 0.0], [10.0, 3.0, 0.0, 0.1, 0.01]])
    ends = np.array([0.0, 10.0])
    assert profile.at(ends, 0.0, 10.0) == pytest.approx([1.0, 6.0])
    assert profile.at(np.array([10.0, 12.0]), 10.0, 20.0) == pytest.approx([3.0, 3.0 + 0.4 + 0.08])
    assert profile.slope_at(np.array([5.0, 12.0]), 0.0, 20.0) == pytest.approx([0.5, 0.4 + 0.12])
    late = Profile.of([[5.0, 2.0, 1.0, 0.0, 0.0]])
    assert late.at(np.array([0.0, 6.0]), 0.0, 10.0) == pytest.approx([2.0, 3.0])
    assert Profile.of([]).at(ends, 0.0, 10.0) == pytest.approx([0.0, 0.0])
