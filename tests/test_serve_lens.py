"""Lenses of the contract against OpenCV, and pictures resampled from one lens to another."""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

pytest.importorskip("grpc")

from cordillera.sensors.rig import mount_transform, pinhole_camera, project, ray_table, rig
from cordillera.serve.convert import camera_message
from cordillera.serve.lens import Lens, Resampler, decode
from cordillera.serve.wire import sensorsim_pb2
from cordillera.types import Camera

FRONT = "camera_front_wide_120fov"


def lens_of(camera: Camera) -> Lens:
    return Lens(camera_message(camera).intrinsics, camera.name)


def rays(count=200, spread=0.8):
    found = np.random.default_rng(3).uniform((-spread, -spread, 0.7), (spread, spread, 1.5), (count, 3))
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def test_our_own_lenses_are_themselves():
    for camera in (rig((FRONT,), 320, 180).cameras[0], pinhole_camera("p", 320, 180, 60.0, np.eye(4))):
        pixel, seen = lens_of(camera).project(rays())
        assert seen.all()
        assert_allclose(pixel, project(camera, rays())[0], atol=0.01)


def test_a_distorted_pinhole_is_that_of_opencv():
    spec = sensorsim_pb2.CameraSpec(resolution_w=640, resolution_h=480)
    lens = spec.opencv_pinhole_param
    lens.principal_point_x, lens.principal_point_y, lens.focal_length_x, lens.focal_length_y = (
        322.0,
        239.0,
        400.0,
        410.0,
    )
    lens.radial_coeffs.extend((-0.2, 0.05, -0.01, 0.02, 0.01, 0.003))
    lens.tangential_coeffs.extend((0.003, -0.002))
    lens.thin_prism_coeffs.extend((0.001, -0.002, 0.0005, 0.001))
    matrix = np.array([[400.0, 0, 322], [0, 410, 239], [0, 0, 1]])
    terms = np.array([-0.2, 0.05, 0.003, -0.002, -0.01, 0.02, 0.01, 0.003, 0.001, -0.002, 0.0005, 0.001])
    expected, _ = cv2.projectPoints(rays(), np.zeros(3), np.zeros(3), matrix, terms)
    pixel, seen = Lens(spec, "p").project(rays())
    assert seen.all()
    assert_allclose(pixel + 0.5, expected[:, 0], atol=0.05)


def test_a_fisheye_with_two_focal_lengths_is_that_of_opencv():
    spec = sensorsim_pb2.CameraSpec(resolution_w=640, resolution_h=480)
    lens = spec.opencv_fisheye_param
    lens.principal_point_x, lens.principal_point_y, lens.focal_length_x, lens.focal_length_y = (
        322.0,
        239.0,
        200.0,
        210.0,
    )
    lens.radial_coeffs.extend((0.02, -0.01, 0.003, -0.001))
    matrix = np.array([[200.0, 0, 322], [0, 210, 239], [0, 0, 1]])
    expected, _ = cv2.fisheye.projectPoints(
        rays()[:, None], np.zeros(3), np.zeros(3), matrix, np.array(lens.radial_coeffs)
    )
    assert_allclose(Lens(spec, "f").project(rays())[0] + 0.5, expected[:, 0], atol=0.01)


def scene(camera: Camera) -> np.ndarray:
    """What a camera sees of a world that is all sky, its colours a smooth function of the direction."""
    found = ray_table(camera) @ camera.tf_rig_camera[:3, :3].T
    waves = 0.5 + 0.5 * np.sin(found * np.array([9.0, 12.0, 15.0]) + np.array([0.0, 1.0, 2.0]))
    return np.rint(255.0 * waves).astype(np.uint8)


def turn_between(sender: Camera, target: Camera) -> np.ndarray:
    return sender.tf_rig_camera[:3, :3].T @ target.tf_rig_camera[:3, :3]


@pytest.mark.parametrize("kind", ["ftheta", "pinhole", "fisheye"])
def test_pictures_are_what_the_other_camera_would_have_taken(kind):
    target = rig(("camera_front_tele_30fov",), 192, 108).cameras[0]
    if kind == "ftheta":
        sender = rig((FRONT,), 1280, 720).cameras[0]
        lens = lens_of(sender)
    else:
        sender = pinhole_camera("p", 1280, 720, 80.0, mount_transform((1.7, 0.0, 1.5), 4.0, 2.0))
        lens = lens_of(sender)
    if kind == "fisheye":
        spec = sensorsim_pb2.CameraSpec(resolution_w=1280, resolution_h=720)
        fish = spec.opencv_fisheye_param
        fish.focal_length_x = fish.focal_length_y = 700.0
        fish.principal_point_x, fish.principal_point_y = 640.0, 360.0
        lens = Lens(spec, "fish")
        sender = Camera(
            "fish", "ftheta", 1280, 720, 639.5, 359.5, (0.0, 700.0), (0.0, 1 / 700.0), sender.tf_rig_camera
        )  # fmt: skip
    resampler = Resampler(lens, target, turn_between(sender, target))
    assert resampler.share == 1.0
    error = np.abs(resampler.picture(scene(sender)).astype(int) - scene(target).astype(int))
    assert error.mean() < 1.0
    assert np.percentile(error, 99) <= 4


def test_the_same_camera_passes_pictures_as_they_are():
    camera = rig((FRONT,), 192, 108).cameras[0]
    resampler = Resampler(lens_of(camera), camera, np.eye(3))
    image = np.random.default_rng(0).integers(0, 256, (108, 192, 3), dtype=np.uint8)
    assert resampler.as_is
    assert resampler.picture(image) is image


def test_what_the_sender_does_not_see_is_black():
    target, sender = rig((FRONT,), 192, 108).cameras[0], pinhole_camera("p", 640, 360, 50.0, np.eye(4))
    resampler = Resampler(lens_of(sender), target, np.eye(3))
    picture = resampler.picture(np.full((360, 640, 3), 200, np.uint8))
    assert 0.05 < resampler.share < 0.3
    assert (picture[54, 96] == 200).all()
    assert (picture[0, 0] == 0).all()


def test_pictures_may_be_smaller_than_the_lens_says_but_of_its_shape():
    camera = rig((FRONT,), 192, 108).cameras[0]
    sender = rig((FRONT,), 1920, 1080).cameras[0]
    resampler = Resampler(lens_of(sender), camera, np.eye(3))
    small = scene(rig((FRONT,), 960, 540).cameras[0])
    assert np.abs(resampler.picture(small).astype(int) - scene(camera).astype(int)).mean() < 2.0
    with pytest.raises(ValueError, match="shape"):
        resampler.picture(np.zeros((540, 540, 3), np.uint8))


def test_a_lens_may_be_given_by_its_backward_polynomial():
    camera = rig((FRONT,), 320, 180).cameras[0]
    message = camera_message(camera).intrinsics
    message.ftheta_param.reference_poly = sensorsim_pb2.FthetaCameraParam.PIXELDIST_TO_ANGLE
    assert_allclose(Lens(message, "c").project(rays())[0], project(camera, rays())[0], atol=0.2)


@pytest.mark.parametrize("change", ["none", "size", "nan", "falls", "focal"])
def test_what_is_no_lens_is_refused(change):
    spec = camera_message(rig((FRONT,), 320, 180).cameras[0]).intrinsics
    if change == "none":
        spec.ClearField("ftheta_param")
    elif change == "size":
        spec.resolution_h = 100_000
    elif change == "nan":
        spec.ftheta_param.angle_to_pixeldist_poly[1] = math.nan
    elif change == "falls":
        spec.ftheta_param.angle_to_pixeldist_poly[1] = -5.0
    else:
        spec.opencv_fisheye_param.focal_length_x = 100.0
    with pytest.raises(ValueError, match="'c'"):
        Lens(spec, "c")


def test_broken_and_foreign_files_are_refused():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    assert (decode(out.getvalue(), "x") == image).all()
    for data in (b"", b"nonsense", out.getvalue()[:200]):
        with pytest.raises(ValueError, match="image_bytes of x"):
            decode(data, "x")
    gif = io.BytesIO()
    Image.fromarray(image).save(gif, "GIF")
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        decode(gif.getvalue(), "x")


def test_a_small_file_that_unpacks_to_a_huge_picture_is_refused():
    out = io.BytesIO()
    Image.new("L", (8000, 8000)).save(out, "PNG")
    with pytest.raises(ValueError, match="8000 x 8000"):
        decode(out.getvalue(), "bomb")
