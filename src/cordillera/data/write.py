"""Clips -> a data set in the PhysicalAI-AV layout, chunk by chunk; a chunk is on disk whole or not at all.

The files of a chunk are written into a folder of their own and renamed into place; its ledger, which names the files
with their SHA-256, comes last. So after a kill at any moment every chunk with a ledger is whole, and a chunk without
one is made again. The set's index tables are rebuilt from the ledgers, never appended to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cordillera.data import clip as tables
from cordillera.data import layout
from cordillera.data.clip import Clip
from cordillera.data.layout import Feature
from cordillera.data.rollouts import write_rollout
from cordillera.data.tables import to_bytes

Ledger = dict[str, Any]
_DATE = (1980, 1, 1, 0, 0, 0)  # so that the same clips give the same bytes
PARTS = {
    layout.EGOMOTION: tables.motion_columns,
    layout.OBSTACLES: tables.obstacle_columns,
    layout.LANE_MAP: tables.lane_columns,
    layout.SIGNAL_STATES: tables.signal_columns,
    layout.ROUTE: tables.route_columns,
    layout.TRACES: tables.trace_columns,
    layout.COUNTERFACTUALS: tables.counterfactual_columns,
}


def write_chunk(folder: Path, chunk: int, clips: Sequence[Clip]) -> Ledger:
    """Write the clips of one chunk under `folder` and return its ledger.

    Raises ValueError for no clips, for the same clip twice, and for what the layout cannot hold.
    """
    names = [clip.meta.clip_id for clip in clips]
    if not clips or len(set(names)) < len(names):
        raise ValueError(f"{folder}: chunk {chunk} needs one clip or more, each of them once; got {names}")
    part = folder / f".chunk_{chunk:04d}.part"
    shutil.rmtree(part, ignore_errors=True)
    for path, data in _files(chunk, clips):
        target = part / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    files = {}
    for source in sorted(p for p in part.rglob("*") if p.is_file()):
        path = source.relative_to(part)
        files[path.as_posix()] = sha256_of(source)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        source.replace(folder / path)
    shutil.rmtree(part)
    ledger = {"chunk": chunk, "clips": [_entry(clip) for clip in clips], "files": files}
    put(ledger_path(folder, chunk), json.dumps(ledger, indent=1).encode())
    return ledger


def ledger_path(folder: Path, chunk: int) -> Path:
    return folder / layout.LEDGER / f"chunk_{chunk:04d}.json"


def read_ledgers(folder: Path) -> list[Ledger]:
    """The ledgers of all finished chunks, in order; ValueError names one that is broken."""
    out = []
    for path in sorted((folder / layout.LEDGER).glob("chunk_*.json")):
        try:
            out.append(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: broken ledger ({error}); delete it, and the chunk is made again") from error
    return out


def write_index(folder: Path) -> int:
    """Write the set's own tables from the ledgers of its finished chunks; returns the number of clips."""
    rows = [(ledger["chunk"], entry) for ledger in read_ledgers(folder) for entry in ledger["clips"]]
    if not rows:
        raise ValueError(f"{folder}: no finished chunk, so there is nothing to index")
    ids = [entry["clip_id"] for _, entry in rows]

    def column(name: str) -> list[Any]:
        return [entry[name] for _, entry in rows]

    index = {
        "clip_id": ids,
        "chunk": np.array([chunk for chunk, _ in rows], dtype=np.int64),
        "split": column("split"),
        "clip_is_valid": np.ones(len(rows), dtype=np.bool_),
    }
    collection = {"clip_id": ids} | {
        name: column(name)
        for name in ("country", "month", "hour_of_day", "platform_class", "weather", "family", "map", "seed")
    }
    names = [feature.name for feature in layout.FEATURES]
    presence = {"clip_id": ids} | {name: np.array([name in e["features"] for _, e in rows]) for name in names}
    reasoning = {
        "clip_id": ids,
        "event_cluster": column("family"),
        "split": column("split"),
        "events": [json.dumps(entry["events"]) for _, entry in rows],
    }
    put(folder / layout.FEATURES_CSV, layout.features_csv().encode())
    for path, columns in (
        (layout.PRESENCE, presence), (layout.COLLECTION, collection), (layout.OOD, reasoning), (layout.INDEX, index),
    ):  # fmt: skip
        put(folder / path, to_bytes(columns, ("clip_id",)))
    return len(rows)


def put(path: Path, data: bytes) -> None:
    """Write bytes under a temporary name beside `path`, then rename: the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(chunk: int, clips: Sequence[Clip]) -> Iterable[tuple[Path, bytes]]:
    """The files of a chunk: zips of what every clip has, tables of what is a row or a few a clip."""
    for feature, columns_of in PARTS.items():
        alias = feature.files[0][0]
        members = [(feature.member(alias, c.meta.clip_id), to_bytes(columns_of(c))) for c in clips]
        yield feature.path(chunk), _zip(members)
    yield layout.ROLLOUT.path(chunk), _zip([_rollout(c) for c in clips])
    looked = [c for c in clips if has_looks(c)]
    if looked:
        members = [
            (layout.LOOKS.member("looks", c.meta.clip_id), to_bytes(tables.looks_columns(c))) for c in looked
        ]  # fmt: skip
        yield layout.LOOKS.path(chunk), _zip(members)
    for name, feature in layout.CAMERAS.items():
        members = [member for c in clips for member in _film(feature, name, c)]
        if members:
            yield feature.path(chunk), _zip(members)
    for feature, rows, index in (
        (layout.INTRINSICS, [r for c in clips for r in tables.intrinsics_rows(c.meta.clip_id, c.rig)], "camera"),
        (layout.EXTRINSICS, [r for c in clips for r in tables.extrinsics_rows(c.meta.clip_id, c.rig)], "sensor"),
        (layout.DIMENSIONS, [tables.dimensions_row(c.meta.clip_id, c.rig.vehicle) for c in clips], ""),
    ):
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            yield feature.path(chunk), to_bytes(columns, ("clip_id", index) if index else ("clip_id",))


def _film(feature: Feature, name: str, clip: Clip) -> list[tuple[str, bytes]]:
    """A clip's video and time stamps of one camera, nothing where it has none."""
    return [
        member
        for film in clip.films
        if film.camera.name == name
        for member in (
            (feature.member("video", clip.meta.clip_id), film.mp4),
            (feature.member("frame_timestamps", clip.meta.clip_id), to_bytes({"timestamp": film.t_us})),
        )
    ]


def _rollout(clip: Clip) -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rollout.npz"
        write_rollout(clip.rollout, path)
        return layout.ROLLOUT.member("rollout", clip.meta.clip_id), path.read_bytes()


def has_looks(clip: Clip) -> bool:
    """Whether it is known of a clip's pictures what they show."""
    return any(film.looks is not None for film in clip.films)


def _zip(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Members -> a store-only zip: readers seek in the videos without unpacking them."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return sink.getvalue()


def _entry(clip: Clip) -> Ledger:
    """What the index tables hold of a clip. Events are its keyframes, under both names that readers know."""
    start = clip.states[0].t_us
    rate = clip.rig.cameras[0].rate_hz if clip.rig.cameras else 10.0
    events = [
        {
            "event_start_timestamp": said.t_us - start,
            "event_start_frame": round((said.t_us - start) * 1e-6 * rate),
            "coc": said.trace.text,
            "cot": said.trace.text,
        }
        for said in clip.said
        if said.keyframe
    ]
    absent = {name for name in layout.CAMERAS if name not in {film.camera.name for film in clip.films}}
    if not has_looks(clip):
        absent.add(layout.LOOKS.name)
    if not clip.rig.cameras:
        absent |= {layout.INTRINSICS.name, layout.EXTRINSICS.name}
    features = [feature.name for feature in layout.FEATURES if feature.name not in absent]
    return dataclasses.asdict(clip.meta) | {"events": events, "features": features, "ended": clip.rollout.ended}
