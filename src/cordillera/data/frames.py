"""A clip's videos -> its frames on disk, decoded once: memory-mapped, at the resolution of training.

Decoding a window of four frames means decoding from the key frame before it, every time it is drawn. Here a clip's
frames of one camera are decoded once into one .npy file, which is then mapped into memory; the system's page cache
holds what is used. A file's name holds the checksum of the video that it was made of and its size, so another video or
size is another file, and nothing stale is ever read.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordillera.data.video import decode_all
from cordillera.types import Camera

Frames = NDArray[np.uint8]
OPEN = 512  # maps that are held open


@dataclass(eq=False)
class FrameCache:
    """Decoded frames in a folder; `size` is width and height in training, (0, 0) for the videos' own."""

    folder: Path
    size: tuple[int, int] = (0, 0)
    _maps: OrderedDict[tuple[str, str], Frames] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def frames(self, clip_id: str, camera: str, video: Callable[[], bytes], source: str) -> Frames:
        """One camera of a clip and what reads its MP4 -> all its frames (N, H, W, 3), mapped and read-only.

        The first call of a process checks that the file is of this video, and makes it where there is none.
        """
        key = clip_id, camera
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
                return self._maps[key]
        data = video()
        name = f"{clip_id}.{self.size[0]}x{self.size[1]}"
        path = self.folder / camera / f"{name}.{hashlib.sha256(data).hexdigest()[:16]}.npy"
        if not path.is_file():
            _write(path, decode_all(io.BytesIO(data), source, self.size))
            for old in path.parent.glob(f"{name}.*.npy"):  # of a video that has changed since
                if old != path:
                    old.unlink(missing_ok=True)
        mapped: Frames = np.load(path, mmap_mode="r")
        with self._lock:
            self._maps[key] = mapped
            while len(self._maps) > OPEN:
                self._maps.popitem(last=False)
        return mapped

    def camera(self, camera: Camera) -> Camera:
        """A camera as calibrated -> the same for the cached pictures."""
        return scaled(camera, *self.size) if self.size != (0, 0) else camera


def scaled(camera: Camera, width: int, height: int) -> Camera:
    """A camera -> the one whose pictures are those of the first, resized. ValueError where that would distort them."""
    by = width / camera.width
    if abs(height / camera.height - by) * camera.height > 1.0:
        raise ValueError(
            f"camera {camera.name!r}: {camera.width} x {camera.height} pixels cannot be resized to {width} x {height} "
            "without distortion; give a size of the same shape"
        )
    return replace(
        camera, width=width, height=height, cx=(camera.cx + 0.5) * by - 0.5, cy=(camera.cy + 0.5) * by - 0.5,
        fw_poly=tuple(c * by for c in camera.fw_poly),
        bw_poly=tuple(c / by**k for k, c in enumerate(camera.bw_poly)),
    )  # fmt: skip


def _write(path: Path, frames: Frames) -> None:
    """Under a temporary name of its own first: others may be making the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{threading.get_ident()}.part")
    with part.open("wb") as file:
        np.lib.format.write_array(file, frames, allow_pickle=False)
    part.replace(path)
