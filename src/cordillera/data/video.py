"""Frames <-> H.264 in MP4, through PyAV. The only module that knows the codec."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.container
import av.error
import numpy as np
from numpy.typing import NDArray

from cordillera.types import Int


class VideoWriter:
    """Frames (H, W, 3) uint8 RGB at a fixed rate -> an MP4 that browsers play; use it as a context manager.

    It writes to a temporary name beside `path` and renames when it is closed, also after Ctrl-C, so that a file
    under the final name is always whole. If no frame was added, no file appears. Raises ValueError for a size that
    is odd (4:2:0 chroma needs even sides) and for frames of another size.
    """

    def __init__(
        self, path: Path, width: int, height: int, rate_hz: float = 10.0, crf: int = 23, preset: str = "veryfast"
    ) -> None:
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise ValueError(f"{path}: width and height of a video must be even, got {width} x {height}")
        self.path, self.size, self.frames = Path(path), (height, width), 0
        self._part = self.path.with_name(f".{self.path.name}.part")
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        container = av.open(str(self._part), "w", format="mp4", options=options)
        self._container: av.container.OutputContainer | None = container
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # One key frame a second keeps seeking exact; with a fixed number of threads the bytes are the same anywhere.
        stream.options = {"crf": str(crf), "preset": preset, "g": str(max(1, round(rate_hz))), "threads": "2"}
        stream.codec_context.color_range = 1
        self._stream = stream

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (H, W, 3)."""
        if frame.shape != (*self.size, 3) or frame.dtype != np.uint8:
            expected = f"({self.size[0]}, {self.size[1]}, 3) uint8"
            raise ValueError(f"{self.path}: frame {self.frames} is {frame.shape} {frame.dtype}, expected {expected}")
        if self._container is None:
            raise ValueError(f"{self.path}: the video is closed")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.frames
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing."""
        if self._container is None:
            return
        if self.frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None
        if self.frames:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_frames(path: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """An MP4 -> its frames in order: time since the start in microseconds, and the picture (H, W, 3) RGB.

    Raises ValueError that names the file where it is missing or no video.
    """
    path = Path(path)
    try:
        container = av.open(str(path))
    except (OSError, av.error.FFmpegError) as error:
        raise ValueError(f"{path}: not a readable video ({error}); write it again") from error
    with container:
        if not container.streams.video:
            raise ValueError(f"{path}: the file holds no video stream")
        base = container.streams.video[0].time_base
        for frame in container.decode(video=0):
            if frame.pts is not None and base is not None:
                yield round(frame.pts * base * 1_000_000), np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def decode_at(video: io.BytesIO, rows: Int, source: str) -> NDArray[np.uint8]:
    """An MP4 in memory and numbers of frames (T,) -> these frames (T, H, W, 3), decoded from the key frame before.

    Raises ValueError that names `source` if it is no video or ends too soon.
    """
    wanted, found = {int(row) for row in rows}, {}
    try:
        with av.open(video, "r") as container:
            stream = container.streams.video[0]
            rate, base = stream.average_rate, stream.time_base
            if rate is None or base is None:
                raise ValueError(f"{source}: the video has no constant frame rate")
            stream.thread_count = 1
            start = stream.start_time or 0
            container.seek(start + int(min(wanted) / rate / base), stream=stream, backward=True)
            for frame in container.decode(stream):
                number = round(((frame.pts or 0) - start) * base * rate)
                if number in wanted:
                    found[number] = frame.to_ndarray(format="rgb24")
                if number >= max(wanted):
                    break
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise ValueError(f"{source}: not a readable video ({error}); generate or fetch the chunk again") from error
    if len(found) < len(wanted):
        raise ValueError(f"{source}: the video lacks the frames {sorted(wanted - found.keys())}")
    return np.stack([found[int(row)] for row in rows])


def decode_all(video: io.BytesIO, source: str, size: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """An MP4 in memory -> all its frames (N, H, W, 3), resized by area to (width, height) unless that is (0, 0).

    Raises ValueError that names `source` if it is no video.
    """
    width, height = (side or None for side in size)
    frames = []
    try:
        with av.open(video, "r") as container:
            container.streams.video[0].thread_count = 1
            frames = [
                frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
                for frame in container.decode(video=0)
            ]
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise ValueError(f"{source}: not a readable video ({error}); generate or fetch the chunk again") from error
    if not frames:
        raise ValueError(f"{source}: the video holds no frame; generate or fetch the chunk again")
    return np.stack(frames).astype(np.uint8, copy=False)


def frame_at(path: Path, t_us: int) -> NDArray[np.uint8]:
    """The latest frame at or before a time since the start; the first one for earlier times."""
    latest = None
    for stamp, frame in read_frames(path):
        if latest is not None and stamp > t_us:
            break
        latest = frame
    if latest is None:
        raise ValueError(f"{path}: the video holds no frame")
    return latest
