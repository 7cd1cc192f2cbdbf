"""A data set in the PhysicalAI-AV layout, ours or the original, in a local folder -> tables, frames and samples.

The input contract is the reference model's: 16 poses up to t0 and 64 after it, 0.1 s apart, in the rig frame of t0, and
four frames a camera, each the latest at or before its time.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cordillera.data import egomotion, layout
from cordillera.data.clip import Columns, Said, counterfactuals_of, looks_of, trace_of
from cordillera.data.egomotion import Motion
from cordillera.data.frames import FrameCache
from cordillera.data.rollouts import read_rollout
from cordillera.data.tables import from_bytes, from_file
from cordillera.data.video import decode_at
from cordillera.geometry import invert, move_trajectory, rotation_of, transform_of, transform_points
from cordillera.reasoning.counterfactual import Counterfactual
from cordillera.types import (
    Camera,
    CameraName,
    Int,
    Observation,
    ReasoningTrace,
    Rig,
    Rollout,
    Route,
    Sample,
    Trajectory,
    VehicleSpec,
)

TICK_US = 100_000
KEPT = 1024  # small tables of clips that are kept read
T = TypeVar("T")
Frames = NDArray[np.uint8]


@dataclass(eq=False)
class ClipSet:
    """A data set in a folder. It keeps open nothing but small tables, and as many decoded windows as `cache` says."""

    folder: Path
    features: dict[str, tuple[str, dict[str, str]]]
    index: dict[str, tuple[int, str]]  # clip -> chunk, split
    cache: int = 0  # windows of frames that are kept decoded
    decoded: FrameCache | None = None  # whole clips decoded on disk, in place of decoding a window at a time
    _tables: dict[Path, dict[str, Any]] = field(default_factory=dict, repr=False)
    _frames: OrderedDict[tuple[str, str, int], tuple[Frames, Int]] = field(default_factory=OrderedDict, repr=False)
    _known: OrderedDict[tuple[str, str], Any] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def clips(self, split: str = "") -> list[str]:
        """The clips of a split, or all."""
        return [clip for clip, (_, part) in self.index.items() if not split or part == split]

    # ---------------------------------------------------------------- files

    def path(self, clip_id: str, feature: str) -> Path:
        """The file that holds a feature of a clip; ValueError for an unknown clip or feature."""
        if clip_id not in self.index:
            raise ValueError(f"{self.folder}: no clip {clip_id!r} in clip_index.parquet")
        if feature not in self.features:
            raise ValueError(f"{self.folder}: features.csv has no feature {feature!r}")
        return self.folder / self.features[feature][0].format(chunk_id=self.index[clip_id][0])

    def has(self, clip_id: str, feature: str) -> bool:
        """Whether a clip has a feature on this disk."""
        if feature not in self.features:
            return False
        path = self.path(clip_id, feature)
        if not path.is_file() or not self.features[feature][1]:
            return path.is_file()
        wanted = next(iter(self.features[feature][1].values())).format(clip_id=clip_id)
        with zipfile.ZipFile(path) as archive:
            return wanted in archive.namelist()

    def member(self, clip_id: str, feature: str, alias: str = "") -> bytes:
        """The bytes of one file of a clip in a feature's zip; ValueError names what is missing."""
        path, files = self.path(clip_id, feature), self.features[feature][1]
        name = files[alias or next(iter(files))].format(clip_id=clip_id)
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.read(name)
        except FileNotFoundError as error:
            raise ValueError(f"{path}: no such file; this folder does not hold {feature!r} of {clip_id}") from error
        except KeyError as error:
            raise ValueError(f"{path}: holds no {name}; the clip has no {feature!r}") from error
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: damaged ({error}); generate or fetch the chunk again") from error

    def table(self, clip_id: str, feature: str) -> Columns:
        """The table of one clip in a zipped feature."""
        return from_bytes(self.member(clip_id, feature), f"{self.path(clip_id, feature)}, clip {clip_id}")

    def rows(self, clip_id: str, feature: str) -> list[Columns]:
        """The rows of one clip in a feature that is a table a chunk."""
        path = self.path(clip_id, feature)
        if path not in self._tables:
            self._tables[path] = from_file(path)
        columns = self._tables[path]
        if "clip_id" not in columns:
            raise ValueError(f"{path}: the table has no column clip_id")
        picked = [k for k, name in enumerate(columns["clip_id"]) if name == clip_id]
        if not picked:
            raise ValueError(f"{path}: no row for clip {clip_id}")
        return [{name: values[k] for name, values in columns.items()} for k in picked]

    # ------------------------------------------------------------- contents

    def motion(self, clip_id: str) -> Motion:
        """The rig's motion over a clip."""
        return egomotion.from_columns(self.table(clip_id, layout.EGOMOTION.name), f"clip {clip_id}")

    def rig(self, clip_id: str) -> Rig:
        """The cameras of a clip as calibrated, and the vehicle."""
        poses = {row["sensor"]: row for row in self.rows(clip_id, layout.EXTRINSICS.name)}
        cameras = {}
        for row in self.rows(clip_id, layout.INTRINSICS.name):
            name = row["camera"]
            if name not in poses:
                raise ValueError(f"clip {clip_id}: camera {name!r} has intrinsics but no extrinsics")
            pose = poses[name]
            tf = transform_of([pose[a] for a in "xyz"], [pose[a] for a in ("qx", "qy", "qz", "qw")])
            polys = [tuple(float(row[f"{p}_poly_{k}"]) for k in range(5)) for p in ("fw", "bw")]
            size = int(row["width"]), int(row["height"])
            cameras[name] = Camera(name, "ftheta", *size, float(row["cx"]), float(row["cy"]), polys[0], polys[1], tf)
        order = [camera.value for camera in CameraName if camera.value in cameras]
        row = self.rows(clip_id, layout.DIMENSIONS.name)[0]
        names = ("length", "width", "height", "rear_axle_to_bbox_center", "wheelbase", "track_width")
        return Rig(tuple(cameras[name] for name in order), VehicleSpec(*(float(row[name]) for name in names)))

    def looks(self, clip_id: str) -> dict[tuple[str, int], NDArray[np.uint8]]:
        """A clip -> what each picture shows by cell (see `sensors.looks`), by camera and time; {} where not known."""
        if not self.has(clip_id, layout.LOOKS.name):
            return {}
        columns = self.table(clip_id, layout.LOOKS.name)
        return {
            (camera, int(t_us)): cells for camera in set(columns["camera"]) for t_us, cells in looks_of(columns, camera)
        }

    def frames(self, clip_id: str, camera: str, t_us: Int) -> tuple[Frames, Int]:
        """Times -> the latest frames at or before each (T, H, W, 3), and the frames' own times (T,)."""
        key = (clip_id, camera, hash(tuple(int(t) for t in t_us)))
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        source = f"{self.path(clip_id, camera)}, clip {clip_id}"
        stamps = self._kept(clip_id, f"{camera} stamps", lambda: self._stamps(clip_id, camera, source))
        rows = np.searchsorted(stamps, t_us, side="right") - 1
        if rows.min() < 0:
            raise ValueError(f"{source}: the first frame is at {stamps[0]} us, asked for {int(np.min(t_us))} us")
        if self.decoded:
            mapped = self.decoded.frames(clip_id, camera, lambda: self.member(clip_id, camera, "video"), source)
            if rows.max() >= len(mapped):
                raise ValueError(f"{source}: the video has {len(mapped)} frames, frame {rows.max()} is missing")
            return np.asarray(mapped[rows]), np.asarray(stamps[rows], dtype=np.int64)
        found = decode_at(io.BytesIO(self.member(clip_id, camera, "video")), rows, source)
        out = found, np.asarray(stamps[rows], dtype=np.int64)
        if self.cache:
            with self._lock:
                self._frames[key] = out
                while len(self._frames) > self.cache:
                    self._frames.popitem(last=False)
        return out

    def _stamps(self, clip_id: str, camera: str, source: str) -> Int:
        stamps = from_bytes(self.member(clip_id, camera, "frame_timestamps"), source).get("timestamp")
        if stamps is None:
            raise ValueError(f"{source}: the frame time stamps have no column 'timestamp'")
        return stamps

    def _kept(self, clip_id: str, what: str, read: Callable[[], T]) -> T:
        """What was read of a clip before, or is read now; that of the latest clips is kept."""
        key = clip_id, what
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = read()
        with self._lock:
            self._known[key] = found
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found

    def said(self, clip_id: str) -> list[Said]:
        """The reasons given in a clip: our full traces, or else the sentences of the public table."""
        if self.has(clip_id, layout.TRACES.name):
            columns = self.table(clip_id, layout.TRACES.name)
            return [trace_of(columns, row) for row in range(len(columns["timestamp_us"]))]
        path = self.folder / layout.OOD
        if not path.is_file():
            return []
        if path not in self._tables:
            self._tables[path] = from_file(path)
        columns = self._tables[path]
        texts = dict(zip(columns["clip_id"], columns["events"], strict=True))
        return [
            Said(
                int(event["event_start_timestamp"]),
                ReasoningTrace(None, None, (), event["coc"] if "coc" in event else event["cot"], "ood_reasoning"),
                True,
            )
            for event in json.loads(texts.get(clip_id, "[]"))
        ]

    def counterfactuals(self, clip_id: str) -> tuple[tuple[int, Counterfactual], ...]:
        """The other decisions that were possible in a clip, each with its time; none where the set has none."""
        if not self.has(clip_id, layout.COUNTERFACTUALS.name):
            return ()
        return counterfactuals_of(self.table(clip_id, layout.COUNTERFACTUALS.name))

    def route(self, clip_id: str) -> NDArray[np.float64]:
        """The route in the clip's local frame (N, 3); empty where the set has none."""
        if not self.has(clip_id, layout.ROUTE.name):
            return np.zeros((0, 3))
        columns = self.table(clip_id, layout.ROUTE.name)
        return np.column_stack([columns[axis] for axis in "xyz"])

    def rollout(self, clip_id: str, scratch: Path) -> Rollout:
        """The whole rollout behind a clip of ours; `scratch` is a folder for the unpacked file."""
        path = scratch / f"{clip_id}.npz"
        path.write_bytes(self.member(clip_id, layout.ROLLOUT.name))
        return read_rollout(path)

    # -------------------------------------------------------------- samples

    def sample(self, clip_id: str, t0_us: int, cameras: Sequence[str] = ()) -> Sample:
        """A clip, a time in [1.6 s, 13.6 s] and cameras (none: no images) -> one training window.

        The reason is the latest one given at or before t0, within half a second.
        """
        if not layout.FIRST_T0_US <= t0_us <= layout.LAST_T0_US:
            raise ValueError(
                f"clip {clip_id}: t0 is {t0_us} us; windows fit from {layout.FIRST_T0_US} to {layout.LAST_T0_US}"
            )
        motion = self._kept(clip_id, "motion", lambda: self.motion(clip_id))
        past = t0_us + TICK_US * np.arange(1 - layout.HISTORY, 1)
        ahead = t0_us + TICK_US * np.arange(1, layout.FUTURE + 1)
        known = (
            {camera.name: camera for camera in self._kept(clip_id, "rig", lambda: self.rig(clip_id)).cameras}
            if cameras
            else {}
        )
        unknown = [name for name in cameras if name not in known]
        if unknown:
            raise ValueError(f"clip {clip_id}: no camera {unknown}; it has {', '.join(known)}")
        picked = [known[camera.value] for camera in CameraName if camera.value in cameras]
        due = t0_us + TICK_US * np.arange(1 - layout.FRAMES, 1)
        shot = [self.frames(clip_id, camera.name, due) for camera in picked]
        ego = egomotion.state_at(motion, t0_us)
        tf = invert(transform_of(ego.xyz, ego.quat_xyzw))
        history, future = (
            move_trajectory(tf, Trajectory(t, *egomotion.poses_at(motion, t), "local"), "rig") for t in (past, ahead)
        )
        observation = Observation(
            t_us=t0_us,
            cameras=tuple(self.decoded.camera(camera) for camera in picked) if self.decoded else tuple(picked),
            images=tuple(images for images, _ in shot),
            image_t_us=tuple(stamps for _, stamps in shot),
            ego_history=history,
            ego=ego,
            route=Route(transform_points(tf, self._ahead(clip_id, ego.xyz, ego.quat_xyzw)), frame="rig"),
        )
        said = self._kept(clip_id, "said", lambda: self.said(clip_id))
        given = [s for s in said if t0_us - 5 * TICK_US < s.t_us <= t0_us]
        return Sample(observation, future, given[-1].trace if given else None, clip_id)

    def _ahead(self, clip_id: str, xyz: NDArray[np.float64], quat: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of the route from the point nearest to the ego on; points behind it are left out."""
        route = self._kept(clip_id, "route", lambda: self.route(clip_id))
        if not len(route):
            return route
        forward = rotation_of(quat)[:, 0]
        away = np.hypot(*(route[:, :2] - xyz[:2]).T)
        nearest = int(away.argmin())
        start = nearest if (route[nearest] - xyz) @ forward >= 0.0 else min(nearest + 1, len(route) - 1)
        return route[start:]


def open_set(folder: Path, cache: int = 0, decoded: FrameCache | None = None) -> ClipSet:
    """A folder in the layout -> the set; ValueError names the file that is missing or broken.

    `cache` windows of frames are kept in memory; with `decoded` whole clips are decoded on disk, and mapped.
    """
    folder = Path(folder)
    features = layout.read_features(folder / layout.FEATURES_CSV)
    columns = from_file(folder / layout.INDEX)
    missing = [name for name in ("clip_id", "chunk", "split") if name not in columns]
    if missing:
        raise ValueError(f"{folder / layout.INDEX}: lacks the columns {missing}")
    valid = columns.get("clip_is_valid", np.ones(len(columns["clip_id"]), dtype=np.bool_))
    rows = zip(columns["clip_id"], columns["chunk"], columns["split"], valid, strict=True)
    index = {clip: (int(chunk), str(split)) for clip, chunk, split, good in rows if good}
    return ClipSet(folder, features, index, cache, decoded)
