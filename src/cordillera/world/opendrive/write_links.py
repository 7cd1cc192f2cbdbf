"""Lane links between written roads -> the links of road ends, of lanes, and the junctions that tie the rest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from cordillera.types import RoadMap
from cordillera.world.opendrive.write_roads import WrittenRoad

End = tuple[int, int]  # road, 0 its start or 1 its end
Pairs = dict[tuple[End, End], set[tuple[int, int]]]  # ordered ends -> lane numbers that meet


@dataclass(frozen=True)
class WrittenConnection:
    """One <connection>: lane numbers (of the incoming, of the connecting or linked road)."""

    incoming: int
    road: int
    contact: int
    lanes: tuple[tuple[int, int], ...]


@dataclass
class WrittenLinks:
    """What is written at the ends of roads."""

    road: dict[End, End] = field(default_factory=dict)
    junction: dict[End, int] = field(default_factory=dict)
    lanes: dict[tuple[End, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    connections: dict[int, list[WrittenConnection]] = field(default_factory=lambda: defaultdict(list))
    direct: set[int] = field(default_factory=set)  # junctions without roads of their own
    numbers: dict[str, int] = field(default_factory=dict)  # junction of the map -> of the file


def link_roads(road_map: RoadMap, roads: list[WrittenRoad]) -> WrittenLinks:
    """A map and its roads -> links such that every successor of a lane is told by one of them.

    Two road ends that meet only each other are linked. Where more meet, or one belongs to a junction, a junction ties
    them: the map's own, or a direct one (OpenDRIVE 1.7), which has no roads inside.
    """
    pairs, entering = _meetings(road_map, roads)
    links = WrittenLinks()
    names = sorted({road.junction for road in roads} - {""})
    links.numbers = {name: k for k, name in enumerate(names, 1)}
    inside = {road.number: links.numbers[road.junction] for road in roads if road.junction}
    partners: dict[End, list[End]] = defaultdict(list)
    for a, b in sorted(pairs):
        partners[a].append(b)
    for end, others in partners.items():
        alone = len(others) == 1 and others[0][0] not in inside and len(partners[others[0]]) == 1
        if end[0] in inside or alone:
            links.road[end] = others[0]
    _tie(links, partners, inside, len(names))
    for end, other in links.road.items():
        for mine, theirs in sorted(pairs[end, other]):
            links.lanes[end, mine].append(theirs)
    for a, b in sorted(pairs):
        is_told = links.road.get(a) == b or links.road.get(b) == a
        is_entry = b[0] in inside and a[0] not in inside and (a, b) in entering
        if is_entry or (not is_told and ((a, b) in entering or (b, a) not in entering)):
            junction = inside.get(b[0]) or links.junction.get(a) or inside.get(a[0]) or links.junction[b]
            told = tuple(sorted(pairs[a, b]))
            links.connections[junction].append(WrittenConnection(a[0], b[0], b[1], told))
    return links


def _meetings(road_map: RoadMap, roads: list[WrittenRoad]) -> tuple[Pairs, set[tuple[End, End]]]:
    """All road ends that meet with their lanes, in both orders; and those orders in which traffic passes."""
    where = {k: (road, n) for road in roads for n, k in road.numbers.items()}
    pairs: Pairs = defaultdict(set)
    entering: set[tuple[End, End]] = set()
    for k, lane in enumerate(road_map.lanes):
        road, n = where[k]
        leaves = (road.number, 1 if road.forward[n] else 0)
        for successor in lane.successors:
            other, m = where[successor]
            enters = (other.number, 0 if other.forward[m] else 1)
            pairs[leaves, enters].add((n, m))
            pairs[enters, leaves].add((m, n))
            entering.add((leaves, enters))
    return pairs, entering


def _tie(links: WrittenLinks, partners: dict[End, list[End]], inside: dict[int, int], count: int) -> None:
    """Give the ends that no other road's end alone follows a junction: the one behind them, or a new direct one."""
    open_ends = [end for end in sorted(partners) if end[0] not in inside and end not in links.road]
    for end in open_ends:
        if end in links.junction:
            continue
        group, front = {end}, [end]
        while front:
            for other in partners[front.pop()]:
                if other not in group and other[0] not in inside:
                    group.add(other)
                    front.append(other)
        for each in sorted(group):
            behind = [inside[other[0]] for other in partners[each] if other[0] in inside]
            if behind:
                links.junction[each] = max(sorted(set(behind)), key=behind.count)
        bare = [each for each in sorted(group) if each not in links.junction]
        if bare:
            count += 1
            links.direct.add(count)
            links.junction.update(dict.fromkeys(bare, count))
