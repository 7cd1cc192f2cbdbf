"""Lanelet2 files read by us and by the `lanelet2` 1.2.3 wheel -> one row a file: how far the two agree.

The wheel reads the file with its UTM projector about our origin, so coordinates are compared as they are. Its routing
graphs (German traffic rules, for vehicles and for bicycles) tell which lanelets follow each other, flank each other
and may be changed between; lanelets that a participant may pass in both directions count once for each.

Run `python -m benchmarks.maps_lanelet2 [FILES or FOLDER ...]`.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lanelet2
import numpy as np

from cordillera.geometry import resample
from cordillera.types import Float, Lane, LaneKind, RoadMap
from cordillera.world.lanelet2 import read_lanelet2

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "maps" / "lanelet2"
CENTER_M, GAP_M = 0.02, 0.1
PARTICIPANTS = ("vehicle", "bicycle")
SPACING_M = 0.25


@dataclass
class Count:
    """How many relations there are on either side, and what differs, in words."""

    total: int = 0
    differing: list[str] = field(default_factory=list)

    def compare(self, what: str, ours: object, theirs: object) -> None:
        self.total += 1
        if ours != theirs:
            self.differing.append(f"{what}: {ours} here, {theirs} there")

    def __str__(self) -> str:
        return f"{self.total - len(self.differing)}/{self.total}"


@dataclass(frozen=True)
class Row:
    """One file against the oracle; distances in metres."""

    file: str
    lanelets: int  # ours: lanes (without those that run back) and crossings
    oracle_lanelets: int
    center_max_m: float
    following: Count
    neighbours: Count
    changes: Count
    links: int
    gap_max_m: float
    load_s: float
    misses: int
    exceptions: tuple[str, ...]


def compare(path: Path) -> Row:
    """A Lanelet2 file -> its row."""
    begin = time.process_time()
    road_map = read_lanelet2(path)
    load_s = time.process_time() - begin
    with _unpacked(path) as plain:
        origin = lanelet2.io.Origin(*(road_map.origin_lat_lon or (0.0, 0.0)))
        oracle, _ = lanelet2.io.loadRobust(str(plain), lanelet2.projection.UtmProjector(origin))
    lanes = {lane.id: lane for lane in road_map.lanes}
    lanelets = {str(e.id) for e in oracle.laneletLayer}
    own = {lane.id for lane in road_map.lanes if not lane.id.endswith(":back")} | {c.id for c in road_map.crossings}
    problems = [f"lanelet {i} is only {'there' if i in lanelets else 'here'}" for i in sorted(own ^ lanelets)]
    apart = {e.id: _apart(lanes[str(e.id)], e) for e in oracle.laneletLayer if str(e.id) in lanes}
    problems += [f"lanelet {i}: centre lines {d:.3f} m apart" for i, d in apart.items() if d > CENTER_M]
    following, neighbours, changes = Count(), Count(), Count()
    for participant in PARTICIPANTS:
        _compare_relations(road_map, lanes, oracle, participant, following, neighbours, changes)
    gaps = list(link_gaps(road_map.lanes))
    problems += [f"link {a} -> {b}: ends {d:.2f} m apart" for a, b, d in gaps if d > GAP_M]
    problems += following.differing + neighbours.differing + changes.differing
    return Row(
        path.name, len(own), len(lanelets), max(apart.values(), default=0.0), following, neighbours, changes,
        len(gaps), max((d for *_, d in gaps), default=0.0), load_s, len(problems), tuple(problems),
    )  # fmt: skip


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A file -> the path of its unpacked copy, since the oracle reads no gzip."""
    if path.suffix != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        yield plain


# -------------------------------------------------------------------- geometry


def _apart(lane: Lane, lanelet: Any) -> float:
    """Largest distance from either centre line to the other, in the plane."""
    theirs = np.array([[p.x, p.y] for p in lanelet.centerline])
    ours = lane.center_xyz[:, :2]
    if len(theirs) < 2:
        return 0.0
    return max(_beyond(ours, theirs), _beyond(theirs, ours))


def _beyond(line: Float, other: Float) -> float:
    """Largest distance from points along a line to another line."""
    points = resample(line, SPACING_M)
    start, step = other[:-1], np.diff(other, axis=0)
    norm2 = np.maximum(np.einsum("ij,ij->i", step, step), 1e-18)
    offset = points[:, None] - start
    t = np.clip(np.einsum("pij,ij->pi", offset, step) / norm2, 0.0, 1.0)
    return float(np.linalg.norm(offset - t[..., None] * step, axis=-1).min(axis=1).max())


def link_gaps(lanes: Sequence[Lane]) -> Iterator[tuple[str, str, float]]:
    """Lanes -> for each link: the two lanes, and the distance in m from the end of one to the start of the other."""
    for lane in lanes:
        for i in lane.successors:
            yield lane.id, lanes[i].id, float(np.linalg.norm(lanes[i].center_xyz[0] - lane.center_xyz[-1]))


# ------------------------------------------------------------------- relations


def _compare_relations(
    road_map: RoadMap,
    lanes: dict[str, Lane],
    oracle: Any,
    participant: str,
    following: Count,
    neighbours: Count,
    changes: Count,
) -> None:
    rules = lanelet2.traffic_rules.create(
        lanelet2.traffic_rules.Locations.Germany, getattr(lanelet2.traffic_rules.Participants, participant.title())
    )
    graph = lanelet2.routing.RoutingGraph(oracle, rules)
    passable = {}
    for e in oracle.laneletLayer:
        for lanelet in (e, e.invert()):
            if rules.canPass(lanelet) and _name(lanelet) in lanes:
                passable[_name(lanelet)] = lanelet

    for name, lanelet in passable.items():
        lane = lanes[name]
        what = f"{participant} {name}"
        if lane.kind is LaneKind.SIDEWALK:  # no network is made of sidewalks
            continue
        mine = sorted(i for i in _names(road_map, lane.successors) if i in passable)
        following.compare(f"{what} following", mine, sorted({_name(e) for e in graph.following(lanelet)}))
        for side in ("left", "right"):
            change = getattr(graph, side)(lanelet)
            beside = change or getattr(graph, f"adjacent{side.title()}")(lanelet)
            found = [i for i in _names(road_map, [getattr(lane, side)]) if i in passable]
            neighbours.compare(f"{what} {side}", found, [_name(beside)] if beside else [])
            if participant == "vehicle":
                allowed = bool(found) and getattr(lane, f"change_{side}")
                changes.compare(f"{what} change {side}", allowed, change is not None)


def _name(lanelet: Any) -> str:
    return f"{lanelet.id}:back" if lanelet.inverted() else str(lanelet.id)


def _names(road_map: RoadMap, indices: Iterable[int]) -> list[str]:
    return [road_map.lanes[i].id for i in indices if i >= 0]


# ------------------------------------------------------------------------ table


def rows(folder: Path = FOLDER) -> list[Row]:
    """All .osm and .osm.gz files of a folder -> their rows."""
    return [compare(path) for path in sorted(folder.iterdir()) if path.name.endswith((".osm", ".osm.gz"))]


def table(found: Iterable[Row]) -> str:
    """Rows -> a table in Markdown (agreeing/compared), exceptions below it."""
    lines = [
        "| file | lanelets | centre max (mm) | following | neighbours | changes | links, gap (mm) | misses | load |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    notes = []
    for row in found:
        gap = f"{row.links}, {1e3 * row.gap_max_m:.1f}"
        counts = (f"{row.lanelets}/{row.oracle_lanelets}", f"{1e3 * row.center_max_m:.1f}")
        relations = (row.following, row.neighbours, row.changes)
        cells = (row.file, *counts, *relations, gap, row.misses, f"{row.load_s:.2f}")
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
