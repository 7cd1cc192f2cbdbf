"""The PhysicalAI-AV layout on disk: which feature lies where, and what its files and columns are called.

A set is a folder. A feature's files for a run of clips (a chunk) are one store-only zip, or one Parquet table where the
feature has a row or a few a clip. What the public layout lacks (lanes, lights, route, traces, whole rollouts) stands in
the directory `world`, so that other readers open the rest as they always do.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

from cordillera.types import AgentKind, CameraName

CLIP_S = 20.0
MOTION_HZ = 100
CHUNK_CLIPS = 25
HISTORY, FUTURE, FRAMES = 16, 64, 4  # poses before and after t0, frames a camera, all 0.1 s apart
FIRST_T0_US, LAST_T0_US = 1_600_000, 13_600_000
_NAMESPACE = uuid.UUID("6d3c6e6a-7f5f-5c3c-9b51-2f0f53d2a9c1")

INDEX, FEATURES_CSV = Path("clip_index.parquet"), Path("features.csv")
PRESENCE, COLLECTION = Path("metadata/feature_presence.parquet"), Path("metadata/data_collection.parquet")
OOD = Path("reasoning/ood_reasoning.parquet")
LEDGER = Path("world/chunks")  # one JSON a finished chunk: its clips, its files and their SHA-256

# agents as the layout's obstacle classes; things that it has no word for are protruding objects
CLASSES = {
    AgentKind.CAR: "automobile",
    AgentKind.VAN: "automobile",
    AgentKind.POLICE_CAR: "automobile",
    AgentKind.TRUCK: "heavy_truck",
    AgentKind.FIRE_ENGINE: "heavy_truck",
    AgentKind.BUS: "bus",
    AgentKind.TRAM: "other_vehicle",
    AgentKind.AMBULANCE: "other_vehicle",
    AgentKind.TRAILER: "trailer",
    AgentKind.PEDESTRIAN: "person",
    AgentKind.WHEELCHAIR: "person",
    AgentKind.MOTORCYCLE: "rider",
    AgentKind.BICYCLE: "rider",
    AgentKind.ANIMAL: "animal",
}
OTHER_CLASS = "protruding_object"


@dataclass(frozen=True)
class Feature:
    """One feature: its directory, and the files of a clip inside its zip; none for a table a chunk."""

    name: str
    directory: str
    files: tuple[tuple[str, str], ...] = ()  # alias and template with {clip_id}

    @property
    def chunk_path(self) -> str:
        """Where a chunk of it lies, as the template that readers format with `chunk_id`."""
        kind = "zip" if self.files else "parquet"
        return f"{self.directory}/{self.name}/{self.name}.chunk_{{chunk_id:04d}}.{kind}"

    def path(self, chunk: int) -> Path:
        return Path(self.chunk_path.format(chunk_id=chunk))

    def member(self, alias: str, clip_id: str) -> str:
        return dict(self.files)[alias].format(clip_id=clip_id)


def _camera(name: str) -> Feature:
    files = (("video", f"{{clip_id}}.{name}.mp4"), ("frame_timestamps", f"{{clip_id}}.{name}.timestamps.parquet"))
    return Feature(name, "camera", files)


def _parquet(name: str, directory: str) -> Feature:
    return Feature(name, directory, ((name, f"{{clip_id}}.{name}.parquet"),))


CAMERAS = {camera.value: _camera(camera.value) for camera in CameraName}
EGOMOTION, OBSTACLES = _parquet("egomotion", "labels"), _parquet("obstacle.offline", "labels")
INTRINSICS, EXTRINSICS = Feature("camera_intrinsics", "calibration"), Feature("sensor_extrinsics", "calibration")
DIMENSIONS = Feature("vehicle_dimensions", "calibration")
LANE_MAP, SIGNAL_STATES = _parquet("lane_map", "world"), _parquet("signal_states", "world")
ROUTE, TRACES = _parquet("route", "world"), _parquet("traces", "world")
COUNTERFACTUALS = _parquet("counterfactuals", "world")
LOOKS = _parquet("looks", "world")  # what each cell of each picture shows, see `sensors.looks`
ROLLOUT = Feature("rollout", "world", (("rollout", "{clip_id}.rollout.npz"),))
WORLD = (LANE_MAP, SIGNAL_STATES, ROUTE, TRACES, COUNTERFACTUALS, LOOKS, ROLLOUT)
FEATURES = (*CAMERAS.values(), EGOMOTION, OBSTACLES, INTRINSICS, EXTRINSICS, DIMENSIONS, *WORLD)
BY_NAME = {feature.name: feature for feature in FEATURES}


def clip_id_of(*parts: object) -> str:
    """What makes a clip (family, seed, split, ...) -> its identity: the same parts give the same UUID."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


def features_csv(features: tuple[Feature, ...] = FEATURES) -> str:
    """The text of `features.csv` that tells readers where each feature lies."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("feature", "directory", "chunk_path", "clip_files_in_zip"))
    for feature in features:
        files = json.dumps(dict(feature.files)) if feature.files else ""
        writer.writerow((feature.name, feature.directory, feature.chunk_path, files))
    return sink.getvalue()


def read_features(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """`features.csv`, ours or another's -> for each feature its chunk path template and the files in its zip."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a data set in the PhysicalAI-AV layout has one at its root")
    out = {}
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                files = row["clip_files_in_zip"]
                out[row["feature"]] = row["chunk_path"], json.loads(files) if files else {}
            except (KeyError, json.JSONDecodeError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected feature, directory, chunk_path and clip_files_in_zip ({error})"
                ) from error
    return out
