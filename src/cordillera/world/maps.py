"""A map's name, file or specification -> its road network, read once a process."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path

from cordillera.types import RoadMap
from cordillera.world.build import build_road
from cordillera.world.commonroad import PREFIX, read_commonroad, recording_path
from cordillera.world.lanelet2 import read_lanelet2
from cordillera.world.opendrive import read_opendrive

BUILT = "built:"
READERS = {
    ".osm": read_lanelet2,
    ".osm.gz": read_lanelet2,
    ".xodr": read_opendrive,
    ".xodr.gz": read_opendrive,
    ".xml": read_commonroad,
    ".xml.gz": read_commonroad,
}


def load_map(name: str | Path) -> RoadMap:
    """A bundled name, a path of .osm, .xodr (or .gz of these), or "built:..." -> its road map; ValueError if wrong.

    The same call gives the same object, until the file changes.
    """
    text = str(name)
    if text.startswith(BUILT):
        return _built(text)
    if text.startswith(PREFIX):
        return load_map(recording_path(text))
    if text in bundled_maps():
        return _read(_bundled()[text], 0, 0)
    path = Path(name)
    if suffix_of(path.name):
        if not path.is_file():
            raise ValueError(f"map {text!r}: no such file. Give an existing file or one of {_names()}")
        stat = path.stat()
        return _read(path.resolve(), stat.st_mtime_ns, stat.st_size)
    if path.exists():
        raise ValueError(f"map {text!r}: a map's name ends in {', '.join(READERS)}. Rename the file or convert it")
    near = difflib.get_close_matches(text.lower(), [*bundled_maps(), BUILT], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    kinds = ", ".join(READERS)
    raise ValueError(
        f"unknown map {text!r}. {hint}Maps are {_names()}, a file ({kinds}) or 'built:...' for a built road"
    )


def bundled_maps() -> tuple[str, ...]:
    """The names of the maps inside the package, in alphabetical order."""
    return tuple(_bundled())


def suffix_of(file: str) -> str:
    """A file's name -> the suffix by which it is read, "" if there is none."""
    return max((s for s in READERS if file.lower().endswith(s)), key=len, default="")


def _names() -> str:
    return ", ".join(bundled_maps())


@cache
def _bundled() -> dict[str, Path]:
    folder = Path(str(resources.files("cordillera"))) / "assets" / "maps"
    files = sorted(path for path in folder.iterdir() if suffix_of(path.name))
    return {path.name[: -len(suffix_of(path.name))].lower(): path for path in files}


@cache
def _built(spec: str) -> RoadMap:
    return build_road(spec)


@cache
def _read(path: Path, mtime_ns: int, size: int) -> RoadMap:
    """Read a file; its time and size are part of the key, so that a changed file is read again."""
    return READERS[suffix_of(path.name)](path)
