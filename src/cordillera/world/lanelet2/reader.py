"""Lanelet2 file -> `RoadMap`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cordillera.types import RoadMap
from cordillera.world.lanelet2.features import build_crossings, build_marks, build_objects
from cordillera.world.lanelet2.junctions import with_junctions
from cordillera.world.lanelet2.lanelets import Lanelet, read_lanelets
from cordillera.world.lanelet2.lanes import Course, build_lanes, courses_of, traffic_side_votes
from cordillera.world.lanelet2.osm import Osm, parse_osm, read_bytes
from cordillera.world.lanelet2.points import place_points
from cordillera.world.lanelet2.regulation import regulate
from cordillera.world.topology import finish

# Countries by a box of latitude and longitude, for files that name none; rough, and only where no border is near.
BOXES = {
    "JP": (30.0, 45.6, 129.3, 146.0),
    "GB": (50.0, 58.7, -5.5, 1.8),
    "AU": (-43.7, -10.6, 113.0, 153.7),
    "NZ": (-47.4, -34.3, 166.4, 178.6),
    "SG": (1.21, 1.44, 103.6, 104.0),
}
LEFT_HAND = {
    *("AU", "BD", "CY", "FJ", "GB", "HK", "ID", "IE", "IN", "JM", "JP", "KE", "LK", "MO", "MT", "MU", "MY", "MZ"),
    *("NA", "NP", "NZ", "PG", "PK", "SG", "TH", "TT", "TZ", "UG", "ZA", "ZM", "ZW"),
}


def read_lanelet2(path: Path) -> RoadMap:
    """An .osm or .osm.gz file of Lanelet2 -> its road network; Lanelet2Error (a ValueError) where it is broken.

    World x, y are the file's local metres, else UTM metres from the middle of the map. What the file leaves out or
    has wrong is repaired where that is possible and listed in `RoadMap.assumptions`.
    """
    path = Path(path)
    return parse_lanelet2(read_bytes(path), path.name.removesuffix(".gz").removesuffix(".osm"), path.name)


def parse_lanelet2(data: bytes | str, name: str, file: str = "") -> RoadMap:
    """The bytes or text of a Lanelet2 file -> its road network, called `name`; `file` stands in error messages."""
    data = data.encode() if isinstance(data, str) else data
    osm = parse_osm(data, file or name)
    points = place_points(osm)
    lanelets = read_lanelets(osm, points)
    courses = courses_of(lanelets)
    side, region = _place(osm, lanelets, courses, points.origin_lat_lon)
    lanes = with_junctions(build_lanes(osm, points, courses, side), courses)
    rules = regulate(osm, points, courses, lanes)
    road_map = RoadMap(
        name=name,
        traffic_side=side,
        region=region,
        lanes=tuple(rules.lanes),
        marks=tuple(build_marks(osm, points, lanelets)),
        stop_lines=tuple(rules.stop_lines),
        signals=tuple(rules.signals),
        crossings=tuple(build_crossings(points, lanelets, rules.lanes)),
        objects=tuple(build_objects(osm, points)),
        origin_lat_lon=points.origin_lat_lon,
        assumptions=osm.notes.lines(),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return finish(road_map, rules.yields)


def _place(
    osm: Osm, lanelets: dict[str, Lanelet], courses: list[Course], origin: tuple[float, float] | None
) -> tuple[str, str]:
    """Which side traffic keeps, and the country: by the tag `region`, by opposite lanes, by the position."""
    named = [e.tags["region"].upper()[:2] for e in lanelets.values() if e.tags.get("region")]
    region = max(sorted(set(named)), key=named.count) if named else ""
    if not region and origin is not None:
        lat, lon = origin
        region = next((c for c, (s, n, w, e) in BOXES.items() if s <= lat <= n and w <= lon <= e), "")
        if region:
            osm.notes.add("region is not tagged", f"{region} taken by position")
    keep_right, keep_left = traffic_side_votes(courses)
    by_region = ("left" if region in LEFT_HAND else "right") if region else ""
    if keep_right != keep_left:
        side = "right" if keep_right > keep_left else "left"
        if by_region and side != by_region:
            osm.notes.add(f"opposite lanes keep {side}, unlike in {region}", f"traffic keeps {side}, region unknown")
            region = ""
    elif by_region:
        side = by_region
        osm.notes.add("no lanes in opposite directions share a line", f"traffic keeps {side} as in {region}")
    else:
        side = "right"
        osm.notes.add("nothing tells which side traffic keeps", "right taken")
    return side, region
