"""Videos: whole files or none, frames and times as written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cordillera.data.video import VideoWriter, frame_at, read_frames


def frame(k: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture that moves with k, so that codec loss stays small and frames differ."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 80 * np.sin(0.1 * x + k), 128 + 60 * np.cos(0.08 * y + 0.5 * k), np.full(x.shape, 12.0 * k)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def write(path: Path, count: int) -> None:
    with VideoWriter(path, 64, 48, rate_hz=10.0) as video:
        for k in range(count):
            video.add(frame(k))


def test_frames_come_back_in_time_and_within_the_codec_loss(tmp_path: Path):
    write(tmp_path / "a.mp4", 12)
    back = list(read_frames(tmp_path / "a.mp4"))
    assert [t for t, _ in back] == [100_000 * k for k in range(12)]
    for k, (_, picture) in enumerate(back):
        assert picture.shape == (48, 64, 3)
        loss = [np.abs(picture.astype(int) - frame(j)).mean() for j in range(12)]
        assert int(np.argmin(loss)) == k and loss[k] < 6.0
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_the_frame_at_a_time_is_the_latest_before_it(tmp_path: Path):
    write(tmp_path / "a.mp4", 5)
    frames = [picture for _, picture in read_frames(tmp_path / "a.mp4")]
    for t_us, k in ((-1, 0), (0, 0), (199_999, 1), (200_000, 2), (10_000_000, 4)):
        assert (frame_at(tmp_path / "a.mp4", t_us) == frames[k]).all()


def test_the_same_frames_give_the_same_bytes(tmp_path: Path):
    write(tmp_path / "a.mp4", 8)
    write(tmp_path / "b.mp4", 8)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_interrupted_video_is_whole_and_shorter(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 64, 48) as video:
        for k in range(9):
            if k == 4:
                raise KeyboardInterrupt
            video.add(frame(k))
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 4


def test_no_frame_leaves_no_file_and_old_files_stay_until_the_end(tmp_path: Path):
    path = tmp_path / "a.mp4"
    write(path, 3)
    before = path.read_bytes()
    with VideoWriter(path, 64, 48) as video:
        video.add(frame(0))
        assert path.read_bytes() == before
    with VideoWriter(tmp_path / "b.mp4", 64, 48):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(ValueError, match="closed"):
        video.add(frame(0))


def test_wrong_sizes_and_files_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"a\.mp4: width and height of a video must be even"):
        VideoWriter(tmp_path / "a.mp4", 63, 48)
    with pytest.raises(ValueError, match=r"frame 0 is \(48, 62, 3\)"), VideoWriter(tmp_path / "a.mp4", 64, 48) as video:
        video.add(frame(0)[:, :62])
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4: not a readable video"):
        list(read_frames(tmp_path / "text.mp4"))
