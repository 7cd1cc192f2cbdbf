"""What was measured <-> files of a folder, one an event, so that a run that was killed goes on where it was.

    OUTPUT/events/FAMILY/REGION-SPLIT-SEED-TICK.json
    OUTPUT/survey/FAMILY/REGION-SPLIT-SEED.json

Files are written under a temporary name and renamed. Each carries a stamp of code and settings; others are not used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cordillera.evaluate.faithful import Arm, ClosedLoop, Event, Measured, WordArm
from cordillera.evaluate.faithful_doses import Dose
from cordillera.evaluate.faithful_events import Found
from cordillera.evaluate.faithful_heard import Truth
from cordillera.evaluate.suite_store import plain, write_json


@dataclass(frozen=True)
class FaithStore:
    """The folder of one policy's run, and the stamps under which its surveys and its events are valid."""

    folder: Path
    survey_stamp: str
    stamp: str

    def put(self, measured: Measured) -> None:
        """Write what was measured at an event."""
        self._write(self._event_path(measured.event), {"stamp": self.stamp, **to_json(measured)})

    def get(self, event: Event) -> Measured | None:
        """What was measured at an event by this code and these settings, or None; ValueError for a damaged file."""
        path = self._event_path(event)
        tree = self._read(path, self.stamp)
        return None if tree is None else _checked(path, lambda: measured_of(tree))

    def put_survey(self, where: Event, found: Sequence[Found]) -> None:
        """Write what was found in a drive."""
        rows = [{"event": asdict(f.event), "text": f.text} for f in found]
        self._write(self._survey_path(where), {"stamp": self.survey_stamp, "found": rows})

    def get_survey(self, where: Event) -> tuple[Found, ...] | None:
        """What was found in a drive, or None; ValueError for a damaged file."""
        path = self._survey_path(where)
        tree = self._read(path, self.survey_stamp)
        if tree is None:
            return None
        return _checked(path, lambda: tuple(Found(Event(**row["event"]), row["text"]) for row in tree["found"]))

    def _event_path(self, event: Event) -> Path:
        name = f"{plain(event.region or 'any')}-{event.split}-{event.seed}-{event.k}.json"
        return self.folder / "events" / plain(event.family) / name

    def _survey_path(self, where: Event) -> Path:
        name = f"{plain(where.region or 'any')}-{where.split}-{where.seed}.json"
        return self.folder / "survey" / plain(where.family) / name

    @staticmethod
    def _write(path: Path, tree: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(tree, path)

    @staticmethod
    def _read(path: Path, stamp: str) -> dict[str, Any] | None:
        if not path.is_file():
            return None
        tree = _checked(path, lambda: json.loads(path.read_text(encoding="utf-8")))
        return tree if _checked(path, lambda: tree["stamp"]) == stamp else None


def _checked(path: Path, read: Any) -> Any:
    try:
        return read()
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a file of this program ({error!r}); delete it and run again") from error


def to_json(measured: Measured) -> dict[str, Any]:
    """What was measured -> a tree of JSON; numbers that are not finite become words."""
    return _plain(asdict(measured))


def measured_of(tree: dict[str, Any]) -> Measured:
    """The inverse of `to_json`."""
    row = {name: tree[name] for name in Measured.__dataclass_fields__}
    truth: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in row["causes"].items()}
    closed = row["closed"]
    return Measured(**{
        **row,
        "event": Event(**row["event"]),
        "causes": Truth(**truth),
        "arms": tuple(Arm(**a) for a in row["arms"]),
        "words": tuple(WordArm(**w) for w in row["words"]),
        "doses": tuple(
            Dose(d["axis"], d["what"], tuple(d["levels"]), tuple(d["strength"]), tuple(d["effect_mps"]))
            for d in row["doses"]
        ),
        "closed": ClosedLoop(**closed) if closed else None,
        "plans": tuple((name, tuple((x, y) for x, y in points)) for name, points in row["plans"]),
        "blind_m": float(row["blind_m"]),
        "null_m": float(row["null_m"]),
    })  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
