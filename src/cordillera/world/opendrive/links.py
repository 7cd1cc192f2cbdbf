"""Links of sections, roads and junctions -> which lane ends meet, seen along the road's course, not the traffic's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from cordillera.types import Float
from cordillera.world.opendrive.model import Connection, Junction, Network, Road, RoadLink, Section
from cordillera.world.opendrive.source import Source

Key = tuple[str, int, int]  # road, section, lane
End = tuple[Key, int]  # 0: where the lane starts along s, 1: where it ends
MEET_M = 0.1  # ends without links that lie this close belong together
APART_M = 1.0  # links of driven lanes whose ends lie farther apart than this are wrong


class LaneEnds:
    """The end points of all lanes, by which doubtful links are judged."""

    def __init__(self, points: dict[Key, Float], usable: set[Key], driven: set[Key]) -> None:
        self.points = points  # key -> (2, 3) centre at start and end
        self.usable = usable  # lanes that may be joined without being told
        self.driven = driven  # lanes for motor traffic, whose routes matter more than a gap

    def gap(self, a: End, b: End) -> float:
        """Distance in metres between two lane ends in the plane."""
        return float(np.linalg.norm((self.points[a[0]][a[1]] - self.points[b[0]][b[1]])[:2]))


def join_ends(network: Network, ends: LaneEnds, source: Source) -> set[tuple[End, End]]:
    """Every pair of lane ends that the file ties together, each pair once with the smaller end first."""
    joined: set[tuple[End, End]] = set()
    for a, b, place in _all_pairs(network, ends, source):
        if a[0] not in ends.points or b[0] not in ends.points:
            source.notes.add("link to a lane that is not there", "dropped", place)
        elif ends.gap(a, b) > (APART_M if {a[0], b[0]} <= ends.driven else MEET_M):
            source.notes.add("link between lane ends far apart", "dropped", place)
        else:
            pair = (min(a, b), max(a, b))
            if pair not in joined and ends.gap(a, b) > MEET_M:
                source.notes.add(f"link between lane ends {MEET_M:g} to {APART_M:g} m apart", "kept", place)
            joined.add(pair)
    return joined


def _all_pairs(network: Network, ends: LaneEnds, source: Source) -> Iterator[tuple[End, End, str]]:
    for road in network.roads.values():
        yield from _within(road, ends)
        for end in (0, 1):
            yield from _between(network, road, end, ends, source)
    for junction in network.junctions.values():
        for connection in junction.connections:
            yield from _through(network, junction, connection, ends, source)


def _end_section(road: Road, end: int) -> int:
    return 0 if end == 0 else len(road.sections) - 1


def _within(road: Road, ends: LaneEnds) -> Iterator[tuple[End, End, str]]:
    """Pairs between the sections of one road."""
    for index in range(len(road.sections) - 1):
        here, there = road.sections[index], road.sections[index + 1]
        pairs = set()
        for number in here.lanes:
            if number and (there.same_left if number > 0 else there.same_right):
                pairs.add((number, number))
                continue
            pairs |= {(number, other) for other in here.lanes[number].successors}
        for number, lane in there.lanes.items():
            if number and not (there.same_left if number > 0 else there.same_right):
                pairs |= {(other, number) for other in lane.predecessors}
        pairs = {pair for pair in pairs if 0 not in pair}
        place = f"road {road.id}, sections {index} and {index + 1}"
        for a, b in sorted(pairs or _guess(road, index, 1, road, index + 1, 0, ends)):
            yield ((road.id, index, a), 1), ((road.id, index + 1, b), 0), place


def _between(network: Network, road: Road, end: int, ends: LaneEnds, source: Source) -> Iterator[tuple[End, End, str]]:
    """Pairs at one end of a road that is linked to another road."""
    link = road.links[end]
    if link is None or link.kind != "road":
        return
    place = f"road {road.id}, {'successor' if end else 'predecessor'}"
    other = network.roads.get(link.target)
    if other is None:
        source.notes.add("link to a road that is not there", "dropped", place)
        return
    if link.s is not None:
        source.notes.add("road that leaves another midway (virtual junction)", "left unlinked there", place)
        return
    there = _contact(road, end, other, link, ends, source, place)
    mine, theirs = _end_section(road, end), _end_section(other, there)
    lanes = road.sections[mine].lanes
    pairs = {
        (number, target)
        for number, lane in lanes.items()
        for target in (lane.successors if end else lane.predecessors)
        if number and target
    }
    if not pairs and not _linked_back(other, there, theirs, road):
        pairs = _guess(road, mine, end, other, theirs, there, ends)
    for a, b in sorted(pairs):
        yield ((road.id, mine, a), end), ((other.id, theirs, b), there), place


def _linked_back(other: Road, end: int, section: int, road: Road) -> bool:
    """Whether the other road's lanes name links towards this one, which then stand in its own pairs."""
    link = other.links[end]
    lanes = other.sections[section].lanes.values()
    return link is not None and link.target == road.id and any(x.successors if end else x.predecessors for x in lanes)


def _contact(road: Road, end: int, other: Road, link: RoadLink, ends: LaneEnds, source: Source, place: str) -> int:
    """Which end of the other road a link means: as written, else the nearer one."""
    if link.contact in {"start", "end"}:
        return 0 if link.contact == "start" else 1
    source.notes.add("road link without contactPoint", "the nearer end taken", place)
    return _nearer_end(road, end, other)


def _reference_end(road: Road, end: int) -> Float:
    s = np.array([0.0 if end == 0 else road.length])
    x, y, _ = road.line.at(s, 0.0, road.length)
    return np.array([x[0], y[0]])


def _nearer_end(road: Road, end: int, other: Road) -> int:
    here = _reference_end(road, end)
    gaps = [float(np.linalg.norm(_reference_end(other, e) - here)) for e in (0, 1)]
    return int(gaps[1] < gaps[0])


def _through(
    network: Network, junction: Junction, connection: Connection, ends: LaneEnds, source: Source
) -> Iterator[tuple[End, End, str]]:
    """Pairs between an incoming road and the connecting (or, in direct junctions, the linked) road."""
    place = f"junction {junction.id}, roads {connection.incoming} to {connection.road}"
    incoming, road = network.roads.get(connection.incoming), network.roads.get(connection.road)
    if incoming is None or road is None:
        source.notes.add("junction connection to a road that is not there", "dropped", place)
        return
    if junction.kind == "virtual" and connection.incoming == junction.main_road:
        source.notes.add("road that leaves another midway (virtual junction)", "left unlinked there", place)
        return
    contact = {"start": 0, "end": 1}.get(connection.contact)
    tied = [e for e in (0, 1) if (link := incoming.links[e]) and link.kind == "junction" and link.target == junction.id]
    if contact is None:
        source.notes.add("junction connection without contactPoint", "the nearer end taken", place)
        contact = _nearer_end(incoming, tied[0], road) if len(tied) == 1 else _closest(incoming, road)[1]
    if len(tied) == 1:
        side = tied[0]
    else:
        side = _nearer_end(road, contact, incoming)
        if not tied:
            source.notes.add("incoming road that does not name its junction", "the nearer end taken", place)
    mine, theirs = _end_section(incoming, side), _end_section(road, contact)
    pairs = set(connection.lanes) or _guess(incoming, mine, side, road, theirs, contact, ends)
    if not connection.lanes:
        source.notes.add("junction connection without lane links", "lanes that meet joined", place)
    for a, b in sorted(pairs):
        if a and b:
            yield ((incoming.id, mine, a), side), ((road.id, theirs, b), contact), place


def _closest(a: Road, b: Road) -> tuple[int, int]:
    pairs = [(i, j) for i in (0, 1) for j in (0, 1)]
    gaps = [float(np.linalg.norm(_reference_end(a, i) - _reference_end(b, j))) for i, j in pairs]
    return pairs[int(np.argmin(gaps))]


def _guess(
    a: Road, a_section: int, a_end: int, b: Road, b_section: int, b_end: int, ends: LaneEnds
) -> set[tuple[int, int]]:
    """Lanes of two road ends that meet within 10 cm, for files that link roads but no lanes."""
    out = set()
    for m in a.sections[a_section].lanes:
        for n in b.sections[b_section].lanes:
            x, y = ((a.id, a_section, m), a_end), ((b.id, b_section, n), b_end)
            if m and n and x[0] in ends.usable and y[0] in ends.usable and ends.gap(x, y) < MEET_M:
                out.add((m, n))
    return out


def travel_links(
    joined: set[tuple[End, End]],
    forward: dict[Key, bool],
    both_ways: set[Key],
    driven: set[Key],
    kept: set[Key],
    source: Source,
) -> tuple[dict[Key, list[Key]], dict[Key, list[Key]]]:
    """Joined ends and each lane's direction -> successors and predecessors of the kept lanes.

    A lane that is not kept (of no length) passes traffic on to what lies behind it.
    """
    nexts: dict[Key, set[Key]] = defaultdict(set)
    for (a, a_end), (b, b_end) in sorted(joined):
        a_leaves, b_leaves = (a_end == 1) == forward[a], (b_end == 1) == forward[b]
        if a_leaves != b_leaves:
            first, second = (a, b) if a_leaves else (b, a)
            nexts[first].add(second)
        elif {a, b} <= driven and not {a, b} & both_ways:
            source.notes.add("link between lanes of opposite travel", "dropped", f"road {a[0]}, lane {a[2]}")
    successors: dict[Key, list[Key]] = {key: [] for key in kept}
    predecessors: dict[Key, list[Key]] = {key: [] for key in kept}
    for key in sorted(kept):
        open_keys, seen = sorted(nexts[key]), {key}
        while open_keys:
            other = open_keys.pop(0)
            if other in seen and other != key:
                continue
            seen.add(other)
            if other in kept:
                successors[key].append(other)
                predecessors[other].append(key)
            else:
                open_keys += sorted(nexts[other])
    return successors, predecessors


def sections_of(network: Network) -> Iterator[tuple[Road, int, Section]]:
    """Every section of every road with its index."""
    for road in network.roads.values():
        for index, section in enumerate(road.sections):
            yield road, index, section
