"""Road maps against the readers of others: prints one table for Lanelet2 and one for OpenDRIVE, with load times.

Lanelet2 files are held against the `lanelet2` 1.2.3 wheel, OpenDRIVE files against `carla` 0.9.16; both are
development dependencies. Run `python -m benchmarks.maps [--folder F]`, F being a folder of maps, by default
`../shared/maps` beside the repository or, where that is absent, the maps inside the package. Load times are CPU
seconds after one warm-up file, so that they leave out the loading of compiled code.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import maps_lanelet2, maps_opendrive
from cordillera.world.maps import load_map

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "maps"
BUNDLED = ROOT / "src" / "cordillera" / "assets" / "maps"


def main() -> int:
    """Prints the tables; 1 where something differs that is no listed exception."""
    parser = argparse.ArgumentParser(description="Compare our map readers with those of others.")
    parser.add_argument("--folder", type=Path, default=SHARED if SHARED.is_dir() else BUNDLED, help="folder of maps")
    folder: Path = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"{folder} is no folder; give one with .osm or .xodr files")
    load_map("kashiwanoha")
    load_map("town02")
    lanelet2 = maps_lanelet2.rows(_within(folder, "lanelet2"))
    print(
        f"Lanelet2 against the lanelet2 wheel, {len(lanelet2)} files\n\n{maps_lanelet2.table(lanelet2)}\n", flush=True
    )
    opendrive = maps_opendrive.rows(_within(folder, "opendrive"))
    print(f"OpenDRIVE against the carla wheel, {len(opendrive)} files\n\n{maps_opendrive.table(opendrive)}")
    return int(any(row.misses for row in (*lanelet2, *opendrive)))


def _within(folder: Path, name: str) -> Path:
    """The subfolder of that name where there is one, else the folder."""
    return folder / name if (folder / name).is_dir() else folder


if __name__ == "__main__":
    raise SystemExit(main())
