"""OpenDRIVE text or file -> `RoadMap`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cordillera.types import RoadMap
from cordillera.world.opendrive.crossed import DrivenLines
from cordillera.world.opendrive.lanes import LaneSet, build_lanes
from cordillera.world.opendrive.marks import build_marks
from cordillera.world.opendrive.model import DRIVEN, Network
from cordillera.world.opendrive.objects import read_objects
from cordillera.world.opendrive.parse import read_network
from cordillera.world.opendrive.place import Site
from cordillera.world.opendrive.signals import SignalReader
from cordillera.world.opendrive.signs import country_code
from cordillera.world.opendrive.source import Source, parse_tree, read_bytes
from cordillera.world.topology import finish


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
    site, driven = Site(network, lane_set, source), DrivenLines.of(lane_set)
    found = read_objects(site, driven)
    reader = SignalReader(site, driven, found)
    signals, stops = reader.read()
    road_map = RoadMap(
        name=name,
        traffic_side="left" if network.left_hand else "right",
        region=_region(network, reader.countries),
        lanes=tuple(lane_set.lanes),
        marks=tuple(build_marks(network, lane_set.stations)),
        stop_lines=tuple(stops.lines),
        signals=tuple(signals),
        crossings=tuple(found.crossings),
        objects=tuple(found.objects),
        origin_lat_lon=network.origin_lat_lon,
        assumptions=source.notes.lines(),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return finish(road_map, yields=frozenset(_yields(network, lane_set)))


def _region(network: Network, signs: Counter[str]) -> str:
    """The country that most roads name, else that of most signs, "" where none is named."""
    roads = Counter(
        code for road in network.roads.values() for kind in road.types if (code := country_code(kind.country))
    )
    most = (roads or signs).most_common(1)
    return most[0][0] if most else ""


def _yields(network: Network, lane_set: LaneSet) -> Iterator[tuple[int, int]]:
    """The junctions' priorities -> pairs of their lanes (giving way, going first).

    A priority names connecting roads, or incoming roads, which then stand for the connecting roads behind them.
    """
    for junction in network.junctions.values():
        for high, low in junction.priorities:
            first, second = (_junction_lanes(junction.id, road, lane_set) for road in (high, low))
            yield from ((b, a) for a in first for b in second if a != b)


def _junction_lanes(junction: str, road: str, lane_set: LaneSet) -> list[int]:
    lanes = lane_set.lanes
    own = [i for i in lane_set.by_road.get(road, ()) if lanes[i].kind in DRIVEN]
    inside = [i for i in own if lanes[i].junction == junction]
    return inside or [j for i in own for j in lanes[i].successors if lanes[j].junction == junction]
