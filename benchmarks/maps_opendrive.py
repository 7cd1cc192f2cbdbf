"""OpenDRIVE files read by us and by the `carla` wheel -> one row a file: how far centres and widths lie apart.

Points stand every 2 m along every lane. Where the two differ by more than the bound, or carla gives no number, the
point is worked out a third time, below, by plain formulas of the standard (ASAM OpenDRIVE 1.8) on the file's own
numbers: if that agrees with us the point is an exception, listed with what carla does there, else it is a miss.

Run `python -m benchmarks.maps_opendrive [FILES or FOLDER ...]`.
"""

from __future__ import annotations

import math
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import carla
import numpy as np

from cordillera.types import Float, Lane, LaneKind
from cordillera.world.opendrive import read_opendrive
from cordillera.world.opendrive.lanes import build_lanes
from cordillera.world.opendrive.model import DRIVEN
from cordillera.world.opendrive.parse import read_network
from cordillera.world.opendrive.source import Source, parse_tree, read_bytes

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "maps" / "opendrive"
SPACING_M = 2.0
CENTER_M, WIDTH_M, GAP_M = 0.02, 0.05, 0.1
INSET_M = 0.02  # points stay off the very ends of sections, which belong to both sides


@dataclass(frozen=True)
class Row:
    """One file against the oracle; distances in metres."""

    file: str
    lanes: int
    points: int
    center_max_m: float  # over the points that are no exception
    center_p95_m: float
    width_max_m: float
    links: int
    gap_max_m: float
    misses: int  # points beyond the bound that the standard's formulas do not explain, links that gape
    load_s: float
    exceptions: tuple[str, ...]


# ------------------------------------------------------- the standard, once more


def cubic(records: Sequence[Element], at: str, s: float, names: Sequence[str] = "abcd") -> tuple[float, float]:
    """Value and slope of a piecewise cubic at s."""
    starts = [float(e.get(at, 0.0)) for e in records]
    row = bisect_right(starts, s) - 1
    if row < 0:
        return 0.0, 0.0
    a, b, c, d = (float(records[row].get(name, 0.0)) for name in names)
    u = s - starts[row]
    return a + u * (b + u * (c + u * d)), b + u * (2.0 * c + 3.0 * u * d)


def walk(geometry: Element, d: float) -> tuple[float, float, float]:
    """x, y, heading d metres along one <geometry>, by summing 2000 short steps (lines, arcs and spirals alike)."""
    length, shape = float(geometry.attrib["length"]), geometry[0]
    x, y, hdg = (float(geometry.attrib[name]) for name in ("x", "y", "hdg"))
    if shape.tag in {"poly3", "paramPoly3"}:
        u, v, turn = walk_cubic(shape, length, d)
        return x + math.cos(hdg) * u - math.sin(hdg) * v, y + math.sin(hdg) * u + math.cos(hdg) * v, hdg + turn
    k0 = float(shape.get("curvStart", shape.get("curvature", 0.0)))
    rate = (float(shape.get("curvEnd", k0)) - k0) / length
    middle = (np.arange(2000) + 0.5) * (d / 2000)
    heading = hdg + k0 * middle + 0.5 * rate * middle**2
    return (
        x + float(np.cos(heading).mean()) * d,
        y + float(np.sin(heading).mean()) * d,
        hdg + k0 * d + 0.5 * rate * d * d,
    )


def walk_cubic(shape: Element, length: float, d: float) -> tuple[float, float, float]:
    """u, v, turn at the arc length d of a polynomial, by a table of 20,000 chords."""
    if shape.tag == "poly3":
        p = np.linspace(0.0, length, 20001)
        u, v = p, sum(float(shape.attrib[name]) * p**k for k, name in enumerate("abcd"))
    else:
        p = np.linspace(0.0, length if shape.get("pRange") == "arcLength" else 1.0, 20001)
        u, v = (sum(float(shape.attrib[f"{name}{axis}"]) * p**k for k, name in enumerate("abcd")) for axis in "UV")
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(u), np.diff(v)))])
    if shape.tag == "paramPoly3":
        along *= length / along[-1]
    x, y = (np.interp([d - 1e-4, d, d + 1e-4], along, line) for line in (u, v))
    return float(x[1]), float(y[1]), math.atan2(y[2] - y[0], x[2] - x[0])


def standard_lane(road: Element, number: int, s: float) -> tuple[Float, float, Element, Element]:
    """Centre (3,) and width of a lane at s, the <geometry> and the <lane> there."""
    plan = road.findall("planView/geometry")
    geometry = plan[max(bisect_right([float(g.attrib["s"]) for g in plan], s) - 1, 0)]
    x, y, hdg = walk(geometry, s - float(geometry.attrib["s"]))
    z, climb = cubic(road.findall("elevationProfile/elevation"), "s", s)
    roll, _ = cubic(road.findall("lateralProfile/superelevation"), "s", s)
    sections = road.findall("lanes/laneSection")
    section = sections[max(bisect_right([float(e.attrib["s"]) for e in sections], s) - 1, 0)]
    lanes = {int(lane.attrib["id"]): lane for lane in section.iter("lane")}
    ds, sign = s - float(section.attrib["s"]), 1 if number > 0 else -1
    widths = [max(cubic(lanes[sign * k].findall("width"), "sOffset", ds)[0], 0.0) for k in range(1, abs(number) + 1)]
    offset, _ = cubic(road.findall("lanes/laneOffset"), "s", s)
    t = offset + sign * (sum(widths) - 0.5 * widths[-1])
    pitch = math.atan(climb)
    side = np.array([-math.sin(hdg), math.cos(hdg), 0.0])
    up = np.array([-math.sin(pitch) * math.cos(hdg), -math.sin(pitch) * math.sin(hdg), math.cos(pitch)])
    center = np.array([x, y, z]) + t * (math.cos(roll) * side + math.sin(roll) * up)
    heights = lanes[number].findall("height")
    center[2] += 0.5 * sum(cubic(heights, "sOffset", ds, names=(name, "", "", ""))[0] for name in ("inner", "outer"))
    return center, widths[-1], geometry, lanes[number]


def reason(road: Element, number: int, s: float, theirs: Float) -> str:
    """What carla does at a point where it departs from the standard."""
    _, _, geometry, lane = standard_lane(road, number, s)
    if geometry[0].tag == "spiral":
        k0, k1 = (float(geometry[0].attrib[name]) for name in ("curvStart", "curvEnd"))
        if not np.isfinite(theirs).all():
            return "carla gives NaN on spirals that start and end with one curvature"
        if abs(k1 - k0) < 1e-6:
            return "carla breaks down on spirals whose curvature hardly changes"
    if cubic(road.findall("lateralProfile/superelevation"), "s", s)[0]:
        return "carla leaves out superelevation"
    if lane.find("height") is not None:
        return "carla leaves out lane heights"
    return "carla departs from the standard's formulas"


# ---------------------------------------------------------------- the comparison


def lane_points(lane: Lane, stations: Float, forward: bool) -> tuple[Float, Float, Float]:
    """A lane, its road's stations -> stations (N,) every 2 m, centres (N, 3) and widths (N,) there."""
    s = np.arange(stations[0] + INSET_M, stations[-1] - INSET_M, SPACING_M)
    order = slice(None) if forward else slice(None, None, -1)
    center = np.stack([np.interp(s, stations, lane.center_xyz[order, d]) for d in range(3)], axis=-1)
    across = np.linalg.norm(lane.left_xyz - lane.right_xyz, axis=1)[order]
    return s, center, np.interp(s, stations, across)


def compare(path: Path) -> Row:
    """One file -> its row."""
    data = read_bytes(path)
    source = Source(path.name)
    root = parse_tree(data, source)
    lane_set = build_lanes(read_network(root, source), source)
    read_opendrive(path)  # so that no compiling is timed
    start = time.process_time()
    road_map = read_opendrive(path)
    load_s = time.process_time() - start
    roads = {e.get("id"): e for e in root.findall("road")}
    oracle = carla.Map(path.name, data.decode())
    centers: list[float] = [0.0]
    widths: list[float] = [0.0]
    exceptions: Counter[str] = Counter()
    misses = points = 0
    for index, lane in enumerate(road_map.lanes):
        road, _, number = lane_set.keys[index]
        for s, ours, width in zip(
            *lane_points(lane, lane_set.lane_stations[index], lane_set.forward[index]), strict=True
        ):
            points += 1
            found = oracle.get_waypoint_xodr(int(road), number, float(s))
            if found is None:
                theirs, their_width = np.full(3, np.nan), math.nan
            else:
                at = found.transform.location
                theirs, their_width = np.array([at.x, -at.y, at.z]), found.lane_width
            error, width_error = float(np.linalg.norm(theirs - ours)), abs(their_width - width)
            if error <= CENTER_M and width_error <= WIDTH_M:
                centers.append(error)
                widths.append(width_error)
                continue
            exact, exact_width, *_ = standard_lane(roads[road], number, float(s))
            if np.linalg.norm(exact - ours) <= CENTER_M and abs(exact_width - width) <= WIDTH_M:
                exceptions[reason(roads[road], number, float(s), theirs)] += 1
            else:
                misses += 1
                exceptions[f"MISS on lane {lane.id}, {error:.3f} m, width {width_error:.3f} m"] += 1
    gaps = link_gaps(road_map.lanes)
    wide = sum(gap > GAP_M for gap in gaps)
    if wide:
        exceptions[f"links that gape in the file, up to {max(gaps):.2f} m"] = wide
    return Row(
        file=path.name,
        lanes=len(road_map.lanes),
        points=points,
        center_max_m=max(centers),
        center_p95_m=float(np.percentile(centers, 95)),
        width_max_m=max(widths),
        links=len(gaps),
        gap_max_m=max(gaps, default=0.0),
        misses=misses + sum(gap > GAP_M for gap in link_gaps(road_map.lanes, DRIVEN)),
        load_s=load_s,
        exceptions=tuple(f"{count} x {text}" for text, count in exceptions.most_common(8)),
    )


def link_gaps(lanes: Sequence[Lane], kinds: frozenset[LaneKind] | None = None) -> list[float]:
    """How far each lane's end, of the kinds asked for, lies from the start of each lane that follows it."""
    return [
        float(np.linalg.norm(lane.center_xyz[-1] - lanes[other].center_xyz[0]))
        for lane in lanes
        if kinds is None or lane.kind in kinds
        for other in lane.successors
    ]


def rows(folder: Path = FOLDER) -> list[Row]:
    """All .xodr and .xodr.gz files of a folder -> their rows."""
    return [compare(path) for path in sorted(folder.iterdir()) if path.name.endswith((".xodr", ".xodr.gz"))]


def table(found: Iterable[Row]) -> str:
    """Rows -> a table in Markdown, exceptions below it."""
    lines = [
        "| file | lanes | points | centre max / 95 % (mm) | width max (mm) | links, gap (mm) | misses | load (s) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    notes = []
    for row in found:
        center = f"{1e3 * row.center_max_m:.1f} / {1e3 * row.center_p95_m:.1f}"
        width, gap = f"{1e3 * row.width_max_m:.1f}", f"{row.links}, {1e3 * row.gap_max_m:.1f}"
        cells = (row.file, row.lanes, row.points, center, width, gap, row.misses, f"{row.load_s:.2f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        notes += [f"{row.file}: {text}" for text in row.exceptions]
    return "\n".join([*lines, "", "Exceptions:", *(notes or ["none"])])


def main(arguments: Sequence[str]) -> int:
    """Files or folders -> the table on the screen; 1 where there is a miss."""
    paths = [Path(a) for a in arguments] or [FOLDER]
    found = [row for path in paths for row in (rows(path) if path.is_dir() else [compare(path)])]
    print(table(found))
    return int(any(row.misses for row in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
