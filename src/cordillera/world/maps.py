"""A map's name, file or specification -> the `RoadMap`; every map is read once a process."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from cordillera.types import RoadMap
from cordillera.world.build import build_road
from cordillera.world.lanelet2 import read_lanelet2
from cordillera.world.opendrive import read_opendrive

BUILT = "built:"
OPENDRIVE = (".xodr", ".xodr.gz")
LANELET2 = (".osm", ".osm.gz")


def bundled_maps() -> tuple[str, ...]:
    """The names of the maps that the package carries, sorted."""
    return tuple(sorted(_stem(entry.name) for entry in _folder().iterdir() if _suffix(entry.name)))


@lru_cache(maxsize=32)
def load_map(name: str | Path) -> RoadMap:
    """A bundled name, an .xodr, .xodr.gz, .osm or .osm.gz file, or "built:<kind>,<key>=<value>" -> the map.

    Raises ValueError that names the nearest bundled map for an unknown name, and what is wrong for a broken file.
    """
    if str(name).startswith(BUILT):
        return build_road(str(name))
    if str(name) in bundled_maps():
        return _read(next(Path(str(e)) for e in _folder().iterdir() if _stem(e.name) == str(name)))
    path = Path(name)
    if not _suffix(path.name) and not path.exists():
        close = difflib.get_close_matches(str(name).lower(), bundled_maps(), n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"there is no map {str(name)!r}; {hint}bundled maps: {', '.join(bundled_maps())}; "
            f"or give a file ({', '.join(OPENDRIVE + LANELET2)}) or a specification such as 'built:four_way'"
        )
    if not path.is_file():
        raise ValueError(f"{path}: no such map file")
    return _read(path)


def _read(path: Path) -> RoadMap:
    suffix = _suffix(path.name)
    if suffix in OPENDRIVE:
        return read_opendrive(path)
    if suffix in LANELET2:
        return read_lanelet2(path)
    known = ", ".join(OPENDRIVE + LANELET2)
    raise ValueError(f"{path}: maps are read from {known}; rename the file if it is one of these formats")


def _folder() -> Path:
    return Path(str(files("cordillera") / "assets" / "maps"))


def _suffix(name: str) -> str:
    return next((suffix for suffix in OPENDRIVE + LANELET2 if name.lower().endswith(suffix)), "")


def _stem(name: str) -> str:
    return name[: len(name) - len(_suffix(name))]
