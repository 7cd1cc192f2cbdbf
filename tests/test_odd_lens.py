"""Lenses that are not drawn directly: a pixel of the picture shows what the lens sees there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cordillera.sensors.rig import project, unproject
from cordillera.serve.lens import Lens
from cordillera.serve.odd_lens import OddLens, looks
from cordillera.serve.sensorsim_service import view_of
from cordillera.serve.wire import sensorsim_pb2

WIDTH, HEIGHT = 320, 180


def spec(kind: str = "pinhole", **values) -> sensorsim_pb2.CameraSpec:
    out = sensorsim_pb2.CameraSpec(logical_id="c", resolution_w=WIDTH, resolution_h=HEIGHT)
    if kind == "pinhole":
        lens = {"focal_length_x": 200.0, "focal_length_y": 200.0} | values
        out.opencv_pinhole_param.CopyFrom(
            sensorsim_pb2.OpenCVPinholeCameraParam(principal_point_x=155.0, principal_point_y=92.0, **lens)
        )
    else:
        out.ftheta_param.CopyFrom(
            sensorsim_pb2.FthetaCameraParam(
                principal_point_x=160.0, principal_point_y=90.0, angle_to_pixeldist_poly=(0.0, 150.0, 0.0, -4.0),
                reference_poly=sensorsim_pb2.FthetaCameraParam.ANGLE_TO_PIXELDIST,
                linear_cde=sensorsim_pb2.LinearCde(linear_c=1.02, linear_d=0.01, linear_e=-0.015),
            )
        )  # fmt: skip
    return out


ODD = {
    "barrel": spec(radial_coeffs=(-0.25, 0.08), tangential_coeffs=(0.002, -0.001)),
    "two focal lengths": spec(focal_length_y=230.0),
    "sheared f-theta": spec("ftheta"),
}


@pytest.mark.parametrize("name", ODD)
def test_each_pixel_is_read_where_the_lens_looks(name: str) -> None:
    """What is drawn is a chart that says, by colour, where each of its pixels looks; the picture must say the same."""
    lens = Lens(ODD[name], "c")
    odd = OddLens(lens)
    x, y = np.meshgrid(np.arange(odd.drawn.width), np.arange(odd.drawn.height))
    rays = unproject(odd.drawn, np.stack([x, y], axis=-1))
    chart = np.clip(128.0 + 100.0 * rays, 0.0, 255.0)
    found = odd.picture(np.round(chart).astype(np.uint8)).astype(float)
    assert found.shape == (HEIGHT, WIDTH, 3)
    said = (found - 128.0) / 100.0
    said /= np.linalg.norm(said, axis=-1, keepdims=True)
    pixel, seen = lens.project(said)
    assert seen.all()
    expected = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1)
    assert np.abs(pixel - expected).mean() < 1.5  # colours are whole numbers: 0.01 rad is 2 pixels
    assert np.abs((pixel - expected).mean(axis=(0, 1))).max() < 0.15  # and so the mean is much finer


@pytest.mark.parametrize("name", ODD)
def test_where_a_lens_looks_is_the_inverse_of_where_it_shows(name: str) -> None:
    lens = Lens(ODD[name], "c")
    pixels = np.stack(np.meshgrid(np.linspace(0, WIDTH, 9), np.linspace(0, HEIGHT, 7)), axis=-1)
    angles, met = looks(lens, pixels)
    assert met.all()
    theta = np.hypot(angles[..., 0], angles[..., 1])[..., None]
    rays = np.concatenate([angles * np.sinc(theta / np.pi), np.cos(theta)], axis=-1)
    assert_allclose(lens.project(rays)[0], pixels, atol=0.05)


def test_a_lens_that_is_drawn_directly_sees_the_same_through_the_detour() -> None:
    plain = spec()
    view = view_of(plain, WIDTH, HEIGHT)
    assert view.odd is None
    odd = OddLens(Lens(plain, "c"))
    rays = unproject(view.camera, np.array([[20.0, 30.0], [155.0, 92.0], [300.0, 170.0]]))
    at, _ = project(odd.drawn, rays)
    for (u, v), (x, y) in zip(at, ((20, 30), (155, 92), (300, 170)), strict=True):
        assert odd._x[y, x] == pytest.approx(u, abs=0.3)
        assert odd._y[y, x] == pytest.approx(v, abs=0.3)


def test_a_picture_may_have_another_size() -> None:
    view = view_of(ODD["barrel"], 160, 90)
    assert view.odd is not None
    drawn = np.zeros((view.camera.height, view.camera.width, 3), dtype=np.uint8)
    assert view.picture(drawn).shape == (90, 160, 3)


def test_what_is_no_lens_is_named() -> None:
    folded = spec(radial_coeffs=(-9.0,))
    with pytest.raises(ValueError, match="does not reach most of its pixels"):
        view_of(folded, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="ask for its shape"):
        view_of(ODD["barrel"], 100, 100)
    with pytest.raises(ValueError, match="has no lens"):
        view_of(sensorsim_pb2.CameraSpec(resolution_h=90, resolution_w=90), 90, 90)
