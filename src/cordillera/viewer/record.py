"""Steps of a drive in, one MP4 out: the view from above, with the cameras' pictures above it."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.data.video import VideoWriter
from cordillera.types import Observation, RoadMap, Scenario, Step
from cordillera.viewer.birdseye import BirdsEye, ViewConfig
from cordillera.viewer.hud import label, lay

Image = NDArray[np.uint8]
GAP = 8
GROUND = (18, 22, 28)
TALLEST = 360


class DriveVideo:
    """The video of one drive; a context manager, so that it is whole however the drive ends."""

    def __init__(self, path: Path, scenario: Scenario, road_map: RoadMap, config: ViewConfig | None = None) -> None:
        self._path = path
        self._view = BirdsEye(scenario, road_map, config)
        self._writer: VideoWriter | None = None

    def add(self, step: Step, observation: Observation) -> Image:
        """Draw and append one step; returns the frame (H, W, 3)."""
        frame = self._view.draw(step)
        names = [camera.name for camera in observation.cameras]
        if names:
            latest = [images[-1] for images in observation.images]
            frame = np.concatenate([camera_strip(names, latest, frame.shape[1]), frame], axis=0)
        if self._writer is None:
            self._writer = VideoWriter(self._path, frame.shape[1], frame.shape[0])
        self._writer.add(frame)
        return frame

    def __enter__(self) -> DriveVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()


def camera_strip(names: list[str], images: list[Image], width: int) -> Image:
    """Pictures (H, W, 3) side by side, at most four in a row, each under its name: (h, width, 3), h even."""
    columns = min(4, len(images))
    rows = [list(range(k, min(k + columns, len(images)))) for k in range(0, len(images), columns)]
    strips = []
    for row in rows:
        cell = (width - GAP * (columns + 1)) // columns
        tall = min(TALLEST, max(round(cell * images[k].shape[0] / images[k].shape[1]) for k in row))
        strip = np.empty((tall + GAP, width, 3), dtype=np.uint8)
        strip[:] = GROUND
        for place, k in enumerate(row):
            scale = min(cell / images[k].shape[1], tall / images[k].shape[0])
            size = round(images[k].shape[1] * scale), round(images[k].shape[0] * scale)
            method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
            picture = np.asarray(cv2.resize(images[k], size, interpolation=method), dtype=np.uint8)
            lay(picture, label(_title(names[k])), 8, 8)
            x = GAP + place * (cell + GAP) + (cell - size[0]) // 2
            strip[GAP : GAP + size[1], x : x + size[0]] = picture[:tall]
        strips.append(strip)
    out = np.concatenate(strips, axis=0)
    return out if len(out) % 2 == 0 else np.concatenate([out, out[-1:]], axis=0)


def _title(name: str) -> str:
    """A camera's name -> what a person calls it: "front wide" for "camera_front_wide_120fov"."""
    return re.sub(r"_\d+fov$", "", name.removeprefix("camera_")).replace("_", " ")
