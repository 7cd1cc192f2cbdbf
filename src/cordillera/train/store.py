"""Rows <-> a folder of memory-mapped arrays, so that training is not bound by decoding video.

Pictures lie one after the other in one file, each once however many windows see it; the rest are arrays with a row a
window. A training set is any number of such folders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordillera.policy.vla.config import VlaConfig
from cordillera.sensors.looks import CELL_PX, CHANNELS
from cordillera.train.samples import WORDS, Row

FACTS, FORMAT = "store.json", 2
ARRAYS = (
    "image_of", "ids", "count", "positions", "next_position", "words", "word_count", "learns", "easy", "tokens",
    "actions", "history_xyz", "history_rot", "future_xyz",
)  # fmt: skip


def digest(config: VlaConfig) -> str:
    """What rows depend on of a configuration -> a short name: equal ones may read the same stores."""
    parts = [
        asdict(replace(config.prompt, image_size=(0, 0))),
        asdict(config.action_space),
        asdict(config.history_tokens),
    ]
    parts += [asdict(config.future_tokens), asdict(config.ids), config.traj_start, config.vocab_size]
    parts += [config.vision.patch_size, config.vision.spatial_merge_size]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def write_store(folder: Path, rows: Iterable[Row], config: VlaConfig) -> int:
    """Rows -> a store in a folder, complete or not at all; gives how many rows it holds."""
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[Any]] = {name: [] for name in ARRAYS}
    notes: dict[str, list[Any]] = {"classes": [], "kind": [], "clip_id": []}
    places: dict[tuple[str, str, str, int], int] = {}
    size: tuple[int, ...] = (0, 0, 3)
    with (part / "images.bin").open("wb") as file, (part / "looks.bin").open("wb") as seen:
        for row in rows:
            index = []
            for image, key, looks in zip(row.images, row.image_keys, row.looks, strict=True):
                # pictures of changed worlds look otherwise than those of the clip at the same time
                name = (row.clip_id, hashlib.sha256(image.tobytes()).hexdigest()[:16], *key)
                if name not in places:
                    places[name] = len(places)
                    file.write(np.ascontiguousarray(image).data)
                    size = image.shape
                    unknown = np.zeros((size[0] // CELL_PX, size[1] // CELL_PX, CHANNELS), np.uint8)
                    seen.write(np.ascontiguousarray(unknown if looks is None else looks).data)
                index.append(places[name])
            values = {"image_of": index, "count": len(row.ids), "word_count": len(row.words)}
            for column in ARRAYS:
                columns[column].append(values[column] if column in values else getattr(row, column))
            for note, found in notes.items():
                found.append(getattr(row, note))
    total = len(columns["count"])
    if total == 0:
        raise ValueError(f"{folder}: no rows to store")
    longest = max(columns["count"])
    columns["ids"] = [np.pad(ids, (0, longest - len(ids)), constant_values=config.ids.pad) for ids in columns["ids"]]
    columns["positions"] = [np.pad(p, ((0, 0), (0, longest - p.shape[1]))) for p in columns["positions"]]
    pad = config.ids.pad
    columns["words"] = [np.pad(w, (0, WORDS - len(w)), constant_values=pad) for w in columns["words"]]
    for name, found in columns.items():
        np.save(part / f"{name}.npy", np.stack([np.asarray(value) for value in found]))
    facts = {"format": FORMAT, "digest": digest(config), "rows": total, "images": len(places), "size": list(size)}
    (part / FACTS).write_text(json.dumps(facts | notes))
    part.replace(folder)
    return total


@dataclass(frozen=True, eq=False)
class Rows:
    """Stored rows, side by side; `arrays` as in `samples.Row`, padded."""

    images: tuple[NDArray[np.uint8], ...]  # one (N, H, W, 3) a store, memory-mapped
    looks: tuple[NDArray[np.uint8], ...]  # one (N, rows, cols, CHANNELS) a store, memory-mapped; all 0: not known
    first_image: NDArray[np.int64]  # (stores,) number of the first image of each store
    arrays: dict[str, NDArray[Any]]
    classes: list[tuple[str, ...]]
    kind: NDArray[np.str_]
    clip_id: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def image_count(self) -> int:
        """Pictures of all stores."""
        return sum(len(images) for images in self.images)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return int(self.images[0].shape[2]), int(self.images[0].shape[1])

    def pictures(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Numbers of images (...,) -> the images (..., H, W, 3)."""
        return self._picked(self.images, numbers)

    def shown(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Numbers of images (...,) -> what they show (..., rows, cols, CHANNELS); all 0 where that is not known."""
        return self._picked(self.looks, numbers)

    def _picked(self, stores: tuple[NDArray[np.uint8], ...], numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        flat = numbers.reshape(-1)
        out = np.empty((len(flat), *stores[0].shape[1:]), np.uint8)
        store = np.searchsorted(self.first_image, flat, side="right") - 1
        for which in np.unique(store):
            here = store == which
            out[here] = stores[which][flat[here] - self.first_image[which]]
        return out.reshape(*numbers.shape, *out.shape[1:])

    def only(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows where `keep` is true."""
        arrays = {name: values[keep] for name, values in self.arrays.items()}
        classes = [c for c, kept in zip(self.classes, keep, strict=True) if kept]
        return Rows(self.images, self.looks, self.first_image, arrays, classes, self.kind[keep], self.clip_id[keep])


def open_stores(folders: Sequence[Path], config: VlaConfig) -> Rows:
    """Folders of stores -> all their rows; ValueError for none, or one that was written for another model."""
    if not folders:
        raise ValueError("no stores to train on; prepare a data set first")
    images, looks, first, columns, notes, at = [], [], [], [], [], 0
    for folder in folders:
        if not (folder / FACTS).is_file():
            raise ValueError(f"{folder}: no {FACTS}; this is no store of training rows")
        facts = json.loads((folder / FACTS).read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"{folder}: format {facts['format']}, not {FORMAT}; delete it and prepare the data again")
        if facts["digest"] != digest(config):
            raise ValueError(f"{folder}: made for another model or prompt; delete it and prepare the data again")
        shape = (facts["images"], *facts["size"])
        images.append(np.memmap(folder / "images.bin", np.uint8, "r", shape=shape))
        tall, wide = (size // CELL_PX for size in facts["size"][:2])
        cells = facts["images"], tall, wide, CHANNELS
        looks.append(np.memmap(folder / "looks.bin", np.uint8, "r", shape=cells))
        first.append(at)
        held = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        held["image_of"] = held["image_of"] + at
        columns.append(held)
        notes.append(facts)
        at += facts["images"]
    if len({image.shape[1:] for image in images}) > 1:
        raise ValueError("the stores hold pictures of different sizes; prepare them at one size")
    longest = max(held["ids"].shape[1] for held in columns)
    arrays = {}
    for name in ARRAYS:
        parts = [held[name] for held in columns]
        if name in ("ids", "positions"):
            fill = config.ids.pad if name == "ids" else 0
            parts = [_widened(part, longest, fill) for part in parts]
        arrays[name] = np.concatenate(parts)
    return Rows(
        tuple(images),
        tuple(looks),
        np.array(first),
        arrays,
        [tuple(c) for facts in notes for c in facts["classes"]],
        np.array([k for facts in notes for k in facts["kind"]]),
        np.array([c for facts in notes for c in facts["clip_id"]]),
    )


def _widened(part: NDArray[Any], longest: int, fill: int) -> NDArray[Any]:
    """Rows (S, ..., L) -> (S, ..., longest), filled at the end."""
    margin = [(0, 0)] * (part.ndim - 1) + [(0, longest - part.shape[-1])]
    return np.pad(part, margin, constant_values=fill)
