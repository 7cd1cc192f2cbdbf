"""`RoadMap` -> OpenDRIVE 1.7 text: roads with sampled geometry, junctions, signals, stop lines, crossings."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from scipy.spatial import KDTree

from cordillera.types import Float, LaneKind, RoadMap
from cordillera.world.opendrive.write_links import WrittenLinks, link_roads
from cordillera.world.opendrive.write_roads import WrittenRoad, cubic, roads_of
from cordillera.world.opendrive.write_things import add_things

STRAIGHT_RAD = 1e-9
NEAR_MARK_M = 0.5  # a mark this close to a border is painted on it
KINDS = {LaneKind.KERB: "curb", LaneKind.OTHER: "none"}  # the others bear the same name
NO_COLOR = "standard"


def write_opendrive(road_map: RoadMap) -> str:
    """A road map -> OpenDRIVE text that describes the same lanes, links, limits, marks, signals and crossings.

    Lanes keep their place to a few centimetres (see `write_roads`) and their links all; ids are new. Buildings, trees
    and other furniture are left out.
    """
    roads = roads_of(road_map)
    links = link_roads(road_map, roads)
    root = Element("OpenDRIVE")
    root.append(_header(road_map))
    paint = _Paint(road_map)
    elements = {}
    for road in roads:
        elements[road.number] = _road(road_map, road, links, paint)
        root.append(elements[road.number])
    add_things(road_map, roads, elements, root)
    _junctions(links, root)
    indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def number(value: float) -> str:
    """A number as written: twelve digits, which is a micrometre on any map."""
    return f"{float(value):.12g}"


def _header(road_map: RoadMap) -> Element:
    points = np.concatenate([lane.center_xyz[:, :2] for lane in road_map.lanes])
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    header = Element(
        "header", revMajor="1", revMinor="7", name=road_map.name, version="1.00", vendor="Cordillera",
        north=number(north), south=number(south), east=number(east), west=number(west),
    )  # fmt: skip
    if road_map.origin_lat_lon is not None:
        lat, lon = road_map.origin_lat_lon
        text = (
            f"+proj=tmerc +lat_0={number(lat)} +lon_0={number(lon)} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
        )
        SubElement(header, "geoReference").text = text
    return header


def _road(road_map: RoadMap, road: WrittenRoad, links: WrittenLinks, paint: _Paint) -> Element:
    inside = links.numbers.get(road.junction, -1)
    rule = "LHT" if road_map.traffic_side == "left" else "RHT"
    element = Element(
        "road", name="", id=str(road.number), length=number(road.s[-1]), junction=str(_junction_id(inside)), rule=rule
    )
    link = SubElement(element, "link")
    for side, name in enumerate(("predecessor", "successor")):
        end = (road.number, side)
        if end in links.road:
            other, contact = links.road[end]
            SubElement(link, name, elementType="road", elementId=str(other), contactPoint="end" if contact else "start")
        elif end in links.junction:
            SubElement(link, name, elementType="junction", elementId=str(_junction_id(links.junction[end])))
    kind = SubElement(element, "type", s="0", type="town")
    if road_map.region:
        kind.set("country", road_map.region)
    plan = SubElement(element, "planView")
    _plan(plan, road)
    profile = SubElement(element, "elevationProfile")
    _linear(profile, "elevation", "s", road.s, road.xyz[:, 2])
    SubElement(element, "lateralProfile")
    lanes = SubElement(element, "lanes")
    _linear(lanes, "laneOffset", "s", road.s, road.offset)
    section = SubElement(lanes, "laneSection", s="0")
    for side, chosen in (("left", lambda n: n > 0), ("center", lambda n: n == 0), ("right", lambda n: n < 0)):
        found = sorted((n for n in (0, *road.numbers) if chosen(n)), reverse=True)
        if found:
            group = SubElement(section, side)
            for n in found:
                _lane(group, road_map, road, n, links, paint)
    return element


def _junction_id(index: int) -> int:
    """Junctions count from 1,000,001 on, so that no junction bears a road's id."""
    return 1_000_000 + index if index > 0 else -1


def _plan(plan: Element, road: WrittenRoad) -> None:
    """<geometry> for each piece; straight ones in a row become one <line>."""
    k, last = 0, len(road.s) - 1
    while k < last:
        end = k
        while end < last and _is_straight(road, k, end):
            end += 1
        stop = max(end, k + 1)
        piece = SubElement(
            plan, "geometry", s=number(road.s[k]), x=number(road.xyz[k, 0]), y=number(road.xyz[k, 1]),
            hdg=number(road.hdg[k]), length=number(road.s[stop] - road.s[k]),
        )  # fmt: skip
        if end > k:
            SubElement(piece, "line")
        else:
            names = ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV")
            values = np.concatenate(cubic(road.xyz, road.hdg, k))
            attributes = {name: number(value) for name, value in zip(names, values, strict=True)}
            SubElement(piece, "paramPoly3", {**attributes, "pRange": "normalized"})
        k = stop


def _is_straight(road: WrittenRoad, first: int, k: int) -> bool:
    """Whether the piece from station k on goes straight on in the heading of station `first`."""
    step = road.xyz[k + 1, :2] - road.xyz[k, :2]
    chord = math.atan2(step[1], step[0])
    turns = (chord - road.hdg[first], road.hdg[k] - road.hdg[first], road.hdg[k + 1] - road.hdg[first])
    return all(abs(math.remainder(turn, 2.0 * math.pi)) < STRAIGHT_RAD for turn in turns)


def _linear(parent: Element, tag: str, station: str, s: Float, values: Float) -> None:
    """Values at stations as straight pieces; those that go on as the one before are left out."""
    slope = np.diff(values) / np.maximum(np.diff(s), 1e-9)
    for k in range(len(slope)):
        goes_on = k and abs(slope[k] - slope[k - 1]) < 1e-9
        if not goes_on:
            SubElement(
                parent, tag, {station: number(s[k]), "a": number(values[k]), "b": number(slope[k]), "c": "0", "d": "0"}
            )


def _lane(group: Element, road_map: RoadMap, road: WrittenRoad, n: int, links: WrittenLinks, paint: _Paint) -> None:
    kind, lane = "none", None
    if n:
        lane = road_map.lanes[road.numbers[n]]
        kind = KINDS.get(lane.kind, lane.kind.value)
    element = SubElement(group, "lane", id=str(n), type=kind, level="false")
    if lane is not None:
        if lane.bidirectional:
            element.set("direction", "both")
        link = SubElement(element, "link")
        for side, name in enumerate(("predecessor", "successor")):
            for other in links.lanes.get(((road.number, side), n), ()):
                SubElement(link, name, id=str(other))
        _linear(element, "width", "sOffset", road.s, road.width[n])
    kind, color, width = paint.on(road, n)
    SubElement(
        element, "roadMark", sOffset="0", type=kind, weight="standard", color=color, width=number(width),
        laneChange=_change(road_map, road, n),
    )  # fmt: skip
    if lane is not None:
        SubElement(element, "speed", sOffset="0", max=number(lane.speed_limit_mps), unit="m/s")


def _change(road_map: RoadMap, road: WrittenRoad, n: int) -> str:
    """Which way the mark on the outer border of lane n may be crossed, in the direction of lane numbers."""
    beyond = n + (1 if n > 0 else -1)
    if not n or beyond not in road.numbers:
        return "none"
    allowed = {}
    for at, to in ((n, beyond), (beyond, n)):
        lane, other = road_map.lanes[road.numbers[at]], road.numbers[to]
        allowed["increase" if to > at else "decrease"] = (lane.left == other and lane.change_left) or (
            lane.right == other and lane.change_right
        )
    words = [word for word, is_allowed in allowed.items() if is_allowed]
    return "both" if len(words) == 2 else words[0] if words else "none"


class _Paint:
    """Finds the mark that is painted on a border."""

    def __init__(self, road_map: RoadMap) -> None:
        self.marks = road_map.marks
        points, owner = [], []
        for k, mark in enumerate(road_map.marks):
            steps = np.linalg.norm(np.diff(mark.xyz, axis=0), axis=1)
            s = np.concatenate([[0.0], np.cumsum(steps)])
            at = np.linspace(0.0, s[-1], max(int(s[-1] / 0.5), 1) + 1)
            points.append(np.stack([np.interp(at, s, mark.xyz[:, i]) for i in range(2)], axis=-1))
            owner.append(np.full(len(at), k))
        self.tree = KDTree(np.concatenate(points)) if points else None
        self.owner = np.concatenate(owner) if owner else np.zeros(0, dtype=np.int64)

    def on(self, road: WrittenRoad, n: int) -> tuple[str, str, float]:
        """Kind, colour and width of the mark along most of a lane's outer border (0: along the middle)."""
        none = ("none", NO_COLOR, 0.0)
        if self.tree is None or (n == 0 and len(road.numbers) == 1):
            return none
        normal = np.stack([-np.sin(road.hdg), np.cos(road.hdg)], axis=-1)
        away, row = self.tree.query(road.xyz[:, :2] + road.border_t(n)[:, None] * normal)
        near = away < NEAR_MARK_M
        if near.mean() < 0.5:
            return none
        mark = self.marks[int(np.bincount(self.owner[np.asarray(row)[near]]).argmax())]
        return {"kerb": "curb"}.get(mark.kind, mark.kind), mark.color, mark.width_m


def _junctions(links: WrittenLinks, root: Element) -> None:
    for junction in sorted({*links.numbers.values(), *links.direct}):
        kind = "direct" if junction in links.direct else "default"
        element = SubElement(root, "junction", id=str(_junction_id(junction)), name="", type=kind)
        for k, connection in enumerate(links.connections.get(junction, ())):
            where = {
                "incomingRoad": str(connection.incoming),
                "connectingRoad": str(connection.road),
                "contactPoint": "end" if connection.contact else "start",
            }
            if kind == "direct":  # beside the other, which readers of earlier versions look for
                where["linkedRoad"] = str(connection.road)
            child = SubElement(element, "connection", {**where, "id": str(k)})
            for a, b in connection.lanes:
                SubElement(child, "laneLink", {"from": str(a), "to": str(b)})
