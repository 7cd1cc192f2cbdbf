"""The unicycle forward and back: circles, stops, round trips, noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cordillera.geometry import yaw_of
from cordillera.kinematics import (
    advance,
    arcs_of,
    exact_actions,
    fit_actions,
    plan_of,
    roll,
    roll_plan,
)

ACTIONS = arrays(
    np.float64,
    (64, 2),
    elements=st.floats(-1.0, 1.0, width=32),
).map(lambda unit: unit * np.array([4.0, 0.2]))


def test_constant_speed_and_curvature_drive_a_circle():
    radius, speed = 20.0, 8.0
    around = 2.0 * math.pi * radius / speed
    for part in (0.25, 0.5, 1.0):
        x, y, yaw, v = advance(3.0, -2.0, 0.0, speed, 0.0, 1.0 / radius, part * around)
        angle = 2.0 * math.pi * part
        assert (x, y) == pytest.approx((3.0 + radius * math.sin(angle), -2.0 + radius * (1.0 - math.cos(angle))))
        assert yaw == pytest.approx(angle)
        assert v == speed


@given(
    speed=st.floats(0.0, 40.0),
    accel=st.floats(-9.0, 5.0),
    curvature=st.floats(-0.3, 0.3),
    dt=st.floats(0.01, 3.0),
    cut=st.floats(0.05, 0.95),
)
@settings(deadline=None)
def test_one_step_equals_two_shorter_steps(speed, accel, curvature, dt, cut):
    once = advance(0.0, 0.0, 0.3, speed, accel, curvature, dt)
    first = advance(0.0, 0.0, 0.3, speed, accel, curvature, cut * dt)
    twice = advance(*first, accel, curvature, (1.0 - cut) * dt)
    assert twice == pytest.approx(once, rel=1e-9, abs=1e-8)


def test_braking_stops_after_v2_over_2a_and_stays():
    x, y, yaw, v = advance(0.0, 0.0, 0.0, 10.0, -4.0, 0.0, 60.0)
    assert (x, y, yaw, v) == pytest.approx((10.0**2 / 8.0, 0.0, 0.0, 0.0))
    assert advance(x, y, yaw, v, -4.0, 0.1, 1.0) == (x, y, yaw, 0.0)


def test_straight_line_is_the_limit_of_the_arc():
    straight = advance(0.0, 0.0, 0.1, 10.0, 1.0, 0.0, 2.0)
    nearly = advance(0.0, 0.0, 0.1, 10.0, 1.0, 1e-12, 2.0)
    assert nearly == pytest.approx(straight, abs=1e-9)
    # both sides of the switch to the series, 11 m along: half the turn is just under and just over 1e-4
    below, above = (advance(0.0, 0.0, 0.0, 10.0, 1.0, k, 1.05)[:2] for k in (1.8e-5, 1.81e-5))
    assert above == pytest.approx(below, abs=1e-5)


@given(actions=ACTIONS, speed=st.floats(0.0, 30.0))
@settings(max_examples=40, deadline=None)
def test_exact_actions_remake_the_poses(actions, speed):
    xy, yaw, _ = roll(actions, speed)
    back_xy, back_yaw, _ = roll(exact_actions(xy, yaw, speed), speed)
    # an exact inverse passes the rounding of one step on to all later ones, growing linearly with their number
    assert np.abs(back_xy - xy).max() < 1e-6
    assert np.abs(back_yaw - yaw).max() < 1e-5


def test_exact_actions_are_the_actions_where_the_car_moves():
    rng = np.random.default_rng(5)
    actions = np.stack([rng.uniform(-0.5, 1.0, (3, 64)), rng.uniform(-0.1, 0.1, (3, 64))], axis=-1)
    speed = np.array([8.0, 12.0, 20.0])
    xy, yaw, _ = roll(actions, speed)
    assert np.abs(exact_actions(xy, yaw, speed) - actions).max() < 1e-6


def test_a_stop_within_a_step_round_trips():
    actions = np.array([[-3.0, 0.05]] * 10)
    xy, yaw, speed = roll(actions, 1.0)
    assert speed[3] == 0.0 and np.ptp(xy[4:], axis=0).max() == 0.0
    back = exact_actions(xy, yaw, 1.0)
    assert back[:4] == pytest.approx(actions[:4], abs=1e-9)
    assert back[4:] == pytest.approx(np.zeros((6, 2)), abs=1e-9)


def test_batches_equal_single_rows():
    rng = np.random.default_rng(1)
    actions = rng.normal(size=(2, 3, 64, 2)) * np.array([1.0, 0.05])
    speed = rng.uniform(0.0, 20.0, (2, 3))
    xy, yaw, v = roll(actions, speed)
    assert xy.shape == (2, 3, 64, 2) and yaw.shape == v.shape == (2, 3, 64)
    one = roll(actions[1, 2], speed[1, 2])
    assert np.array_equal(one[0], xy[1, 2]) and np.array_equal(one[1], yaw[1, 2])
    fitted = fit_actions(xy, yaw, speed)
    assert fitted[1, 2] == pytest.approx(fit_actions(xy[1, 2], yaw[1, 2], speed[1, 2]))


def _smooth_drive() -> tuple[np.ndarray, float]:
    t = np.arange(64) * 0.1
    return np.stack([1.2 * np.sin(0.9 * t), 0.04 * np.sin(0.7 * t + 0.4)], axis=-1), 9.0


def test_fit_recovers_smooth_actions_and_their_poses():
    actions, speed = _smooth_drive()
    xy, yaw, _ = roll(actions, speed)
    fitted = fit_actions(xy, yaw, speed)
    assert np.abs(fitted[:, 0] - actions[:, 0]).max() < 0.08
    assert np.abs(fitted[:, 1] - actions[:, 1]).max() < 0.0005
    again, _, _ = roll(fitted, speed)
    assert np.linalg.norm(again - xy, axis=-1).max() < 0.01


def test_fit_beats_the_exact_inverse_on_noise_by_far():
    actions, speed = _smooth_drive()
    xy, yaw, _ = roll(actions, speed)
    rng = np.random.default_rng(0)
    xy, yaw = xy + rng.normal(0.0, 0.02, xy.shape), yaw + rng.normal(0.0, 0.003, yaw.shape)
    fitted, exact = fit_actions(xy, yaw, speed), exact_actions(xy, yaw, speed)
    rms = np.sqrt(np.mean((fitted - actions) ** 2, axis=0))
    rms_exact = np.sqrt(np.mean((exact - actions) ** 2, axis=0))
    assert rms[0] < 0.3 and rms[1] < 0.0015
    assert rms[0] < 0.01 * rms_exact[0] and rms[1] < 0.3 * rms_exact[1]
    again, _, _ = roll(fitted, speed)
    assert np.linalg.norm(again - xy, axis=-1).max() < 0.1


def test_fit_carries_curvature_through_a_standstill():
    actions = np.zeros((64, 2))
    actions[:, 1] = 0.08
    actions[:20, 0] = -2.5
    actions[44:, 0] = 1.5
    xy, yaw, speed = roll(actions, 5.0)
    assert speed[25:44].max() == 0.0
    fitted = fit_actions(xy, yaw, 5.0)
    assert np.isfinite(fitted).all()
    assert fitted[25:44, 1] == pytest.approx(np.full(19, 0.08), abs=0.01)


def test_arcs_count_only_motion_along_the_heading():
    length, turn = arcs_of(np.array([[0.0, 0.0], [3.0, 1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 0.0]))
    assert length == pytest.approx([3.0, -2.0]) and turn == pytest.approx([0.0, 0.0])
    quarter, _ = arcs_of(np.array([[0.0, 0.0], [5.0, 5.0]]), np.array([0.0, math.pi / 2]))
    assert quarter == pytest.approx([5.0 * math.pi / 2])


def test_plans_are_stamped_from_one_step_after_now():
    actions = np.tile([1.0, 0.05], (64, 1))
    plan = roll_plan(actions, 5.0, t_us=1_000_000)
    xy, yaw, _ = roll(actions, 5.0)
    assert plan.frame == "rig" and plan.t_us[0] == 1_100_000 and plan.t_us[-1] == 7_400_000
    assert np.array_equal(plan.xyz[:, :2], xy) and np.abs(plan.xyz[:, 2]).max() == 0.0
    assert np.unwrap(yaw_of(plan.quat_xyzw)) == pytest.approx(yaw)
    quick = plan_of(np.zeros((5, 2)), np.zeros(5), 0, dt_s=0.02)
    assert quick.t_us.tolist() == [20_000, 40_000, 60_000, 80_000, 100_000]
