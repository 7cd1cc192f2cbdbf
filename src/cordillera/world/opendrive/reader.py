"""OpenDRIVE text or file -> `RoadMap`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cordillera.types import RoadMap
from cordillera.world.opendrive.lanes import build_lanes
from cordillera.world.opendrive.marks import build_marks
from cordillera.world.opendrive.parse import read_network
from cordillera.world.opendrive.source import Source, parse_tree, read_bytes


def read_opendrive(path: Path) -> RoadMap:
    """An .xodr or .xodr.gz file -> its road network; OpenDriveError (a ValueError) where it is broken.

    The map keeps the file's own coordinates. What the file leaves out or has wrong is repaired where that is
    possible and listed in `RoadMap.assumptions`.
    """
    path = Path(path)
    data = read_bytes(path)
    return parse_opendrive(data, path.name.removesuffix(".gz").removesuffix(".xodr"), path.name)


def parse_opendrive(data: bytes | str, name: str, file: str = "") -> RoadMap:
    """The bytes or text of an OpenDRIVE file -> its road network, called `name`; `file` stands in error messages."""
    data = data.encode() if isinstance(data, str) else data
    source = Source(file or name)
    network = read_network(parse_tree(data, source), source)
    lane_set = build_lanes(network, source)
    return RoadMap(
        name=name,
        traffic_side="left" if network.left_hand else "right",
        region="",
        lanes=tuple(lane_set.lanes),
        marks=tuple(build_marks(network, lane_set.stations)),
        origin_lat_lon=network.origin_lat_lon,
        assumptions=source.notes.lines(),
        sha256=hashlib.sha256(data).hexdigest(),
    )
