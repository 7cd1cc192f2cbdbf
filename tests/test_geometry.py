"""Geometry by its laws: round trips, group laws, brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from cordillera.geometry import (
    arc_length,
    box_corners,
    boxes_overlap,
    interpolate,
    invert,
    move_trajectory,
    points_in_polygon,
    project_to_polyline,
    quat_conjugate,
    quat_from_euler,
    quat_from_yaw,
    quat_multiply,
    quat_of,
    resample,
    rotate,
    rotation_of,
    simplify,
    transform_of,
    transform_points,
    wrap_angle,
    yaw_of,
)
from cordillera.types import Trajectory

ANGLE = st.floats(-10.0, 10.0)
POINT = arrays(np.float64, 3, elements=st.floats(-1e3, 1e3))
QUAT = (
    arrays(np.float64, 4, elements=st.floats(-1.0, 1.0))
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)
# corners may repeat: maps do hold the same point twice
LINE = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=12).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


def near_rotation(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(np.abs(np.sum(a * b)) - 1.0) < 1e-9)


# ------------------------------------------------------------------- rotations


@given(angle=st.floats(-1e4, 1e4))
@example(angle=math.pi)
@example(angle=-math.pi)
@example(angle=np.nextafter(-math.pi, -4.0))
@example(angle=np.nextafter(math.pi, 0.0))
@example(angle=-1e-17 - math.pi)
@settings(deadline=None)
def test_wrapped_angles_keep_their_direction_within_half_a_turn(angle):
    wrapped = float(wrap_angle(angle))
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped - angle) == pytest.approx(1.0, abs=1e-12)


@given(yaw=st.floats(-3.1, 3.1))
@settings(deadline=None)
def test_yaw_round_trips(yaw):
    assert float(yaw_of(quat_from_yaw(yaw))) == pytest.approx(yaw)


@given(roll=st.floats(-3.0, 3.0), pitch=st.floats(-1.5, 1.5), yaw=st.floats(-3.0, 3.0))
@settings(deadline=None)
def test_euler_agrees_with_scipy_and_keeps_the_heading(roll, pitch, yaw):
    quat = quat_from_euler(roll, pitch, yaw)
    assert near_rotation(quat, Rotation.from_euler("xyz", [roll, pitch, yaw]).as_quat())
    assert math.cos(float(yaw_of(quat)) - yaw) == pytest.approx(1.0, abs=1e-9)


@given(quat=QUAT)
@settings(deadline=None)
def test_rotation_matrices_round_trip_and_agree_with_scipy(quat):
    matrix = rotation_of(quat)
    assert matrix == pytest.approx(Rotation.from_quat(quat).as_matrix(), abs=1e-12)
    back = quat_of(matrix)
    assert back[3] >= 0.0 and np.linalg.norm(back) == pytest.approx(1.0)
    assert near_rotation(back, quat)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 1)])
def test_half_turns_round_trip(axis):
    quat = np.array([*axis, 0.0]) / np.linalg.norm(axis)
    assert near_rotation(quat_of(rotation_of(quat)), quat)


@given(a=QUAT, b=QUAT, point=POINT)
@settings(deadline=None)
def test_products_compose_and_conjugates_undo(a, b, point):
    assert rotate(quat_multiply(a, b), point) == pytest.approx(rotate(a, rotate(b, point)), abs=1e-8)
    assert rotate(quat_conjugate(a), rotate(a, point)) == pytest.approx(point, abs=1e-8)


def test_rotations_batch():
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(3, 5, 4))
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    points = rng.normal(size=(3, 5, 3))
    turned = rotate(quats, points)
    assert turned[2, 4] == pytest.approx(rotate(quats[2, 4], points[2, 4]))
    assert quat_of(rotation_of(quats)).shape == (3, 5, 4)
    assert yaw_of(quats).shape == (3, 5)


# ------------------------------------------------------------------ transforms


@given(a=QUAT, b=QUAT, p=POINT, q=POINT, point=POINT)
@settings(deadline=None)
def test_transforms_invert_and_compose(a, b, p, q, point):
    tf_a, tf_b = transform_of(p, a), transform_of(q, b)
    assert invert(tf_a) @ tf_a == pytest.approx(np.eye(4), abs=1e-9)
    there = transform_points(tf_a, transform_points(tf_b, point))
    assert transform_points(tf_a @ tf_b, point) == pytest.approx(there, abs=1e-8)
    assert transform_points(invert(tf_a), transform_points(tf_a, point)) == pytest.approx(point, abs=1e-8)


def test_transform_is_the_pose_of_the_inner_frame_in_the_outer():
    tf = transform_of(np.array([1.0, 2.0, 3.0]), quat_from_yaw(math.pi / 2))
    assert transform_points(tf, np.array([1.0, 0.0, 0.0])) == pytest.approx([1.0, 3.0, 3.0])


def test_moved_trajectories_come_back_and_turn_with_the_frame():
    rng = np.random.default_rng(1)
    yaw = np.linspace(0.0, 2.0, 7)
    path = Trajectory(np.arange(7) * 100_000, rng.normal(size=(7, 3)), quat_from_yaw(yaw), "rig")
    tf = transform_of(np.array([5.0, -3.0, 1.0]), quat_from_yaw(0.7))
    moved = move_trajectory(tf, path, "world")
    assert moved.frame == "world"
    assert yaw_of(moved.quat_xyzw) == pytest.approx(wrap_angle(yaw + 0.7))
    back = move_trajectory(invert(tf), moved, "rig")
    assert back.xyz == pytest.approx(path.xyz)
    assert np.abs(np.sum(back.quat_xyzw * path.quat_xyzw, axis=1)) == pytest.approx(np.ones(7))


# ------------------------------------------------------------------- polylines


@given(line=LINE, part=st.floats(0.0, 1.0))
@settings(deadline=None)
def test_points_on_a_line_project_to_themselves(line, part):
    length = arc_length(line)[-1]
    assume(length > 0.0)
    point = interpolate(line, [part * length])[0]
    s, offset, i = project_to_polyline(line, point[0], point[1])
    assert offset == pytest.approx(0.0, abs=1e-6)
    assert interpolate(line, [s])[0] == pytest.approx(point, abs=1e-6)
    assert 0 <= i < len(line) - 1


@given(line=LINE, x=st.floats(-25.0, 25.0), y=st.floats(-25.0, 25.0))
@example(line=np.array([[0.0, 0.0], [0.0, 0.0], [10.0, 0.0]]), x=0.0, y=3.0)
@example(line=np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 0.0]]), x=10.0, y=3.0)
@settings(max_examples=200, deadline=None)
def test_projection_finds_the_nearest_point(line, x, y):
    length = arc_length(line)[-1]
    assume(length > 0.0)
    s, offset, i = project_to_polyline(line, x, y)
    found = np.linalg.norm(interpolate(line, [s])[0] - (x, y))
    samples = interpolate(line, np.linspace(0.0, length, 2000))
    nearest = np.linalg.norm(samples - (x, y), axis=1).min()
    assert found <= nearest + 1e-6
    # the offset is measured from the line of the segment, so never farther than the point itself
    assert abs(offset) <= found + 1e-6
    start, step = line[i], line[i + 1] - line[i]
    inside = 1e-6 < (np.array([x, y]) - start) @ step < step @ step - 1e-6
    if inside:
        assert abs(offset) == pytest.approx(found, abs=1e-6)
    assert step @ step > 0.0, "a segment without length has no direction to measure an offset from"
    gap = np.array([x, y]) - start
    assert offset == pytest.approx((step[0] * gap[1] - step[1] * gap[0]) / np.linalg.norm(step), abs=1e-6)


def test_offset_is_positive_to_the_left():
    line = np.array([[0.0, 0.0, 5.0], [10.0, 0.0, 6.0]])
    assert project_to_polyline(line, 4.0, 2.0) == (4.0, 2.0, 0)
    assert project_to_polyline(line, 12.0, -1.0) == (10.0, -1.0, 0)


@given(line=LINE, spacing=st.floats(0.1, 10.0))
@settings(deadline=None)
def test_resampling_keeps_ends_and_spacing(line, spacing):
    assume(arc_length(line)[-1] > 0.0)
    points = resample(line, spacing)
    assert points[0] == pytest.approx(line[0]) and points[-1] == pytest.approx(line[-1])
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() <= spacing * (1.0 + 1e-9)


def test_resampling_a_straight_line_is_even():
    points = resample(np.array([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]]), 2.5)
    assert points[:, 0] == pytest.approx([0.0, 2.5, 5.0, 7.5, 10.0])
    assert arc_length(points) == pytest.approx([0.0, 2.5, 5.0, 7.5, 10.0])


@given(line=LINE, tolerance=st.floats(0.0, 10.0))
@settings(deadline=None)
def test_simplified_lines_stay_within_the_tolerance(line, tolerance):
    kept = simplify(line, tolerance)
    assert kept[0] == 0 and kept[-1] == len(line) - 1 and np.all(np.diff(kept) > 0)
    for first, last in itertools.pairwise(kept):
        chord = line[last] - line[first]
        for point in line[first + 1 : last]:
            along = np.clip((point - line[first]) @ chord / max(chord @ chord, 1e-12), 0.0, 1.0)
            assert np.linalg.norm(point - line[first] - along * chord) <= tolerance + 1e-9


# ----------------------------------------------------------------------- boxes

BOX = st.tuples(
    st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.floats(0.2, 5.0), st.floats(0.2, 3.0)
)


def clipped_area(subject: np.ndarray, clip: np.ndarray) -> float:
    """The area that two convex outlines share, by Sutherland and Hodgman; both counter-clockwise."""
    points = list(subject)
    for a, b in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        before, points = points, []
        side = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in before]
        for i in range(len(before)):
            j = (i + 1) % len(before)
            if side[i] >= 0.0:
                points.append(before[i])
            if (side[i] > 0.0 > side[j]) or (side[i] < 0.0 < side[j]):
                points.append(before[i] + (before[j] - before[i]) * side[i] / (side[i] - side[j]))
        if not points:
            return 0.0
    x, y = np.array(points).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


@given(a=BOX, b=BOX)
@settings(max_examples=300, deadline=None)
def test_overlap_agrees_with_the_shared_area(a, b):
    shared = clipped_area(box_corners(*a), box_corners(*b))
    assert boxes_overlap(*a, *b) == boxes_overlap(*b, *a)
    if shared > 1e-6:
        assert boxes_overlap(*a, *b)
    grown = clipped_area(box_corners(*a[:3], a[3] + 1e-3, a[4] + 1e-3), box_corners(*b))
    if grown == 0.0:
        assert not boxes_overlap(*a, *b)


def test_boxes_that_touch_share_a_point():
    assert boxes_overlap(0.0, 0.0, 0.0, 4.0, 2.0, 4.0, 0.0, 0.0, 4.0, 2.0)
    assert not boxes_overlap(0.0, 0.0, 0.0, 4.0, 2.0, 4.0 + 1e-9, 0.0, 0.0, 4.0, 2.0)
    # corner against a face, turned by 45 degrees: their outlines part by less than their circles
    assert not boxes_overlap(0.0, 0.0, 0.0, 2.0, 2.0, 1.01 + math.sqrt(0.5), 0.0, math.pi / 4, 1.0, 1.0)
    assert boxes_overlap(0.0, 0.0, 0.0, 2.0, 2.0, 0.99 + math.sqrt(0.5), 0.0, math.pi / 4, 1.0, 1.0)


def test_corners_go_counter_clockwise_from_the_front_left():
    corners = box_corners(1.0, 2.0, math.pi / 2, 4.0, 2.0)
    assert corners == pytest.approx(np.array([[0.0, 4.0], [0.0, 0.0], [2.0, 0.0], [2.0, 4.0]]))


@given(box=BOX, x=st.floats(-6.0, 6.0), y=st.floats(-6.0, 6.0))
@settings(deadline=None)
def test_points_in_a_turned_box(box, x, y):
    cx, cy, yaw, length, width = box
    c, s = math.cos(yaw), math.sin(yaw)
    u, v = abs((x - cx) * c + (y - cy) * s), abs((y - cy) * c - (x - cx) * s)
    assume(abs(u - 0.5 * length) > 1e-9 and abs(v - 0.5 * width) > 1e-9)
    inside = bool(points_in_polygon(np.array([[x, y]]), box_corners(*box))[0])
    assert inside == (u < 0.5 * length and v < 0.5 * width)


def test_points_in_an_outline_with_a_notch():
    outline = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    points = np.array([[2.0, 0.5], [2.0, 2.0], [0.5, 2.0], [3.5, 2.0], [5.0, 1.0]])
    assert points_in_polygon(points, outline).tolist() == [True, False, True, True, False]
