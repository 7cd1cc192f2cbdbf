"""Lenses: project and unproject against closed forms, each other, and the data set's own f-theta class."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.sensors.rig import (
    MOUNTS,
    mount_transform,
    pinhole_camera,
    project,
    ray_table,
    rig,
    theta_limit,
    unproject,
)

SEVEN = rig(width=480, height=270).cameras


def test_the_seven_cameras_come_in_the_data_sets_order_and_fill_their_field_of_view():
    assert [c.name.split("_", 1)[1] for c in SEVEN] == [
        "cross_left_120fov", "front_wide_120fov", "cross_right_120fov", "rear_left_70fov",
        "rear_tele_30fov", "rear_right_70fov", "front_tele_30fov",
    ]  # fmt: skip
    for camera in SEVEN:
        edge = unproject(camera, [camera.cx + 0.5 * camera.width, camera.cy])
        half = math.radians(0.5 * MOUNTS[camera.name].fov_deg)
        np.testing.assert_allclose(math.atan2(edge[0], edge[2]), half, atol=1e-12)


@pytest.mark.parametrize("camera", SEVEN, ids=lambda c: c.name)
def test_the_ray_of_a_pixel_projects_onto_the_pixel(camera):
    rays = ray_table(camera)
    pixel, _ = project(camera, rays * 7.5)
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(pixel, np.stack([x, y], -1), atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 1.9), st.floats(-math.pi, math.pi), st.floats(0.1, 300.0))
def test_f_theta_also_inverts_beyond_ninety_degrees(theta, turn, distance):
    camera = SEVEN[1]
    ray = np.array([math.sin(theta) * math.cos(turn), math.sin(theta) * math.sin(turn), math.cos(theta)])
    pixel, angle = project(camera, distance * ray)
    assert angle == pytest.approx(theta, abs=1e-9)
    np.testing.assert_allclose(unproject(camera, pixel), ray, atol=1e-8)
    assert theta_limit(camera) > 1.9


def test_a_pinhole_is_a_perspective_division():
    camera = pinhole_camera("front", 640, 360, 90.0, mount_transform((0.0, 0.0, 1.0), 0.0))
    pixel, _ = project(camera, [[1.0, 0.5, 4.0], [0.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    np.testing.assert_allclose(pixel[0], [camera.cx + 320 * 0.25, camera.cy + 320 * 0.125])
    np.testing.assert_allclose(pixel[1], [camera.cx, camera.cy])
    assert np.isnan(pixel[2]).all()
    ray = unproject(camera, pixel[0])
    np.testing.assert_allclose(ray / ray[2], [0.25, 0.125, 1.0], atol=1e-12)


def test_mounts_look_where_they_say():
    for camera in SEVEN:
        yaw = math.radians(MOUNTS[camera.name].yaw_deg)
        forward = camera.tf_rig_camera[:3, 2]
        np.testing.assert_allclose(math.atan2(forward[1], forward[0]), math.atan2(math.sin(yaw), math.cos(yaw)))
        assert camera.tf_rig_camera[2, 1] < -0.99, "the image's y axis points down"
        np.testing.assert_allclose(np.linalg.det(camera.tf_rig_camera[:3, :3]), 1.0)


def test_rolling_cameras_expose_one_after_another():
    offsets = [c.offset_us for c in rig(width=64, height=36, rolling=True).cameras]
    assert offsets == sorted(offsets) and len(set(offsets)) == 7 and max(offsets) < 100_000


@pytest.mark.parametrize("camera", SEVEN, ids=lambda c: c.name)
def test_projection_agrees_with_the_data_sets_class_within_a_hundredth_of_a_pixel(camera):
    models = pytest.importorskip("physical_ai_av.utils.camera_models", reason="needs physical_ai_av (extra dev)")
    theirs = models.FThetaCameraModel(
        camera.width,
        camera.height,
        np.array([camera.cx, camera.cy]),
        np.polynomial.Polynomial(camera.fw_poly),
        np.polynomial.Polynomial(camera.bw_poly),
    )
    rays = ray_table(camera)[::3, ::3].reshape(-1, 3)
    assert np.abs(project(camera, rays)[0] - theirs.ray2pixel(rays)).max() < 1e-6
    x, y = np.meshgrid(np.arange(0, camera.width, 3), np.arange(0, camera.height, 3))
    back = theirs.pixel2ray(np.stack([x, y], -1).astype(float)).reshape(-1, 3)
    assert np.abs(project(camera, back)[0] - np.stack([x, y], -1).reshape(-1, 2)).max() < 0.01


def test_bad_rigs_say_what_is_wrong():
    with pytest.raises(ValueError, match="camera_front"):
        rig(("front",))
    with pytest.raises(ValueError, match="180"):
        pinhole_camera("x", 64, 36, 190.0, np.eye(4))
