"""The frame cache: what it gives is what decoding gives, at another size with the camera to match, and never stale."""

from __future__ import annotations

import numpy as np
import pytest
from test_data_clips import CAMERAS, SIZE, clip, clips, film, folder, held  # noqa: F401

from cordillera.data.frames import FrameCache, scaled
from cordillera.data.read import open_set
from cordillera.sensors.rig import rig
from cordillera.types import same


def test_cached_windows_are_those_that_decoding_gives(folder, clips, held, tmp_path):  # noqa: F811
    cached = open_set(folder, decoded=FrameCache(tmp_path))
    for made in clips[:2]:
        for t0_us in (1_600_000, 7_350_000, 13_600_000):
            plain, quick = (s.sample(made.meta.clip_id, t0_us, CAMERAS) for s in (held, cached))
            assert same(plain, quick)
    assert len(list(tmp_path.rglob("*.npy"))) == 4 and not list(tmp_path.rglob("*.part"))
    again = open_set(folder, decoded=FrameCache(tmp_path))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}
    assert same(again.sample(clips[0].meta.clip_id, 2_000_000, CAMERAS),
                held.sample(clips[0].meta.clip_id, 2_000_000, CAMERAS))  # fmt: skip
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")}, "what is there is not made again"


def test_at_another_size_the_cameras_fit_the_pictures(folder, clips, tmp_path):  # noqa: F811
    small = open_set(folder, decoded=FrameCache(tmp_path, (32, 24)))
    sample = small.sample(clips[0].meta.clip_id, 3_000_000, CAMERAS)
    assert [images.shape for images in sample.observation.images] == [(4, 24, 32, 3)] * 2
    assert [(c.width, c.height) for c in sample.observation.cameras] == [(32, 24)] * 2
    # The bar of the picture, columns 8 to 16 of 64 and 200 bright, is in columns 4 to 8 of 32.
    assert (sample.observation.images[0][-1][12, 5:7].mean(axis=-1) > 180).all()
    assert sample.observation.images[0][-1][12, 10:].max() < 110


def test_a_scaled_camera_sees_a_ray_at_the_scaled_place():
    camera = rig(CAMERAS, 480, 270).cameras[0]
    half = scaled(camera, 240, 135)
    for theta in (0.1, 0.5, 0.9):
        r = sum(c * theta**k for k, c in enumerate(camera.fw_poly))
        small = sum(c * theta**k for k, c in enumerate(half.fw_poly))
        assert small == pytest.approx(0.5 * r, rel=1e-12)
        back = sum(c * small**k for k, c in enumerate(half.bw_poly))
        assert back == pytest.approx(sum(c * r**k for k, c in enumerate(camera.bw_poly)), rel=1e-9)
    # The left edge of the picture, half a pixel before the centre of its first pixel, stays its edge.
    assert half.cx + 0.5 == pytest.approx(0.5 * (camera.cx + 0.5))
    with pytest.raises(ValueError, match="without distortion"):
        scaled(camera, 240, 240)


def test_a_video_that_changed_is_decoded_again(tmp_path):
    camera = rig(CAMERAS, *SIZE).cameras[0]
    (tmp_path / "films").mkdir()
    one, other = (film(camera, tmp_path / "films", shift, 0).mp4 for shift in (0, 20))
    first = FrameCache(tmp_path / "cache").frames("clip", camera.name, lambda: one, "test")
    second = FrameCache(tmp_path / "cache").frames("clip", camera.name, lambda: other, "test")
    assert first.shape == second.shape == (200, SIZE[1], SIZE[0], 3)
    assert np.abs(first[5].astype(int) - second[5]).max() > 80
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1, "the old one is gone"
    with pytest.raises(ValueError, match="not a readable video"):
        FrameCache(tmp_path / "bad").frames("clip", camera.name, lambda: b"no video", "test")
