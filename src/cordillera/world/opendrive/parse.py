"""The XML tree of an OpenDRIVE file -> `Network`: roads, junctions, controllers, driving side, origin."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

from cordillera.world.opendrive.curves import ARC, LINE, POLY, SPIRAL, Piece, Profile, ReferenceLine
from cordillera.world.opendrive.georeference import origin_of
from cordillera.world.opendrive.lane_source import limit_mps, read_sections
from cordillera.world.opendrive.model import Connection, Junction, Network, Road, RoadLink, RoadType, Section
from cordillera.world.opendrive.source import Source

SHORTEST_M = 1e-6  # pieces and roads below are none
LONGEST_M = 1e6
TIGHTEST_1PM = 20.0  # of any curve that a road can have
MISFIT = 100.0  # times that a parametric curve may be longer or shorter than its length says
NO_JUNCTION = {"", "-1", "none"}


def read_network(root: Element, source: Source) -> Network:
    """The root element -> the network; OpenDriveError where no road can be read."""
    roads: dict[str, Road] = {}
    for element in root.findall("road"):
        road = _read_road(element, source)
        if road is None:
            continue
        if road.id in roads:
            source.notes.add("road id used twice", "the first road kept", f"road {road.id}")
            continue
        roads[road.id] = road
    if not roads:
        raise source.broken("", "no <road> with lanes", "Give a file that holds a road network.")
    junctions = {j.id: j for e in root.findall("junction") if (j := _read_junction(e, source))}
    controllers = {
        e.get("id") or e.get("name") or "": tuple(c.get("signalId") or "" for c in e.findall("control"))
        for e in root.findall("controller")
    }
    header = root.find("header")
    if header is None:
        source.notes.add("<header> missing", "no origin and no vendor known")
    scene = header.find("userData/vectorScene") if header is not None else None
    vendor = " ".join(
        text
        for text in (
            (header.get("vendor") if header is not None else ""),
            (scene.get("program") if scene is not None else ""),
        )
        if text
    )
    left_m = sum(road.length for road in roads.values() if road.left_hand)
    return Network(
        roads,
        junctions,
        controllers,
        left_m > 0.5 * sum(road.length for road in roads.values()),
        origin_of(header, source),
        vendor,
    )


def _read_road(element: Element, source: Source) -> Road | None:
    road_id = element.get("id")
    if road_id is None:
        name = element.get("name") or "?"
        raise source.broken(f"road '{name}'", "<road> lacks attribute 'id'", "Give every road an id of its own.")
    place = f"road {road_id}"
    line = _read_plan(element, source, place)
    if line is None:
        return None
    length = source.number(element, "length", line.end, place)
    if length <= SHORTEST_M or abs(length - line.end) > max(1.0, 0.05 * line.end):
        source.notes.add("road length disagrees with its planView", "the planView's taken", place)
        length = line.end
    elif abs(length - line.end) > 0.01:
        source.notes.add("road length off its planView by over 1 cm", "the road's taken", place)
    lanes = element.find("lanes")
    sections = read_sections(lanes, length, source, place) if lanes is not None else ()
    if lanes is None or not any(n for section in sections for n in section.lanes):
        source.notes.add("road without lanes", "road skipped", place)
        return None
    junction = (element.get("junction") or "").strip()
    fall = [
        Profile.of(
            source.records(
                (e for e in element.findall("lateralProfile/crossfall") if e.get("side", "both") in {side, "both"}),
                "s",
                "abcd",
                place,
            )
        )
        for side in ("left", "right")
    ]
    if element.find("lateralProfile/shape") is not None:
        source.notes.add("lateral shape", "left out: the surface taken as superelevation says", place)
    return Road(
        id=road_id,
        length=length,
        junction="" if junction in NO_JUNCTION else junction,
        left_hand=_left_hand(element, sections, source, place),
        line=line,
        elevation=Profile.of(source.records(element.findall("elevationProfile/elevation"), "s", "abcd", place)),
        superelevation=Profile.of(source.records(element.findall("lateralProfile/superelevation"), "s", "abcd", place)),
        crossfall=(fall[0], fall[1]),
        offset=Profile.of(source.records(lanes.findall("laneOffset"), "s", "abcd", place)),
        sections=sections,
        links=(_read_link(element, "predecessor", source, place), _read_link(element, "successor", source, place)),
        types=_read_types(element, source, place),
        signals=tuple(e for tag in ("signal", "signalReference") for e in element.findall(f"signals/{tag}")),
        objects=tuple(e for tag in ("object", "objectReference") for e in element.findall(f"objects/{tag}")),
    )


def _read_plan(road: Element, source: Source, place: str) -> ReferenceLine | None:
    pieces = []
    for index, element in enumerate(road.findall("planView/geometry")):
        where = f"{place}, geometry {index}"
        x, y, hdg, length = (source.need(element, name, where) for name in ("x", "y", "hdg", "length"))
        if not element.get("s"):
            source.notes.add("geometry without s", "the end of the one before taken", where)
            element.set("s", repr(pieces[-1].s + pieces[-1].length) if pieces else "0")
        s = source.need(element, "s", where)
        if length < 0.0:
            raise source.broken(where, f"length {length:g} is negative", "Write a length above 0.")
        if length > LONGEST_M:
            raise source.broken(where, f"length {length:g} m is beyond any road", "Write lengths in metres.")
        if length <= SHORTEST_M:
            source.notes.add("geometry of length 0", "dropped", where)
            continue
        kind, parameters = _read_shape(element, source, where)
        pieces.append(Piece(s, x, y, hdg, length, kind, parameters))
    if not pieces:
        source.notes.add("road without geometry", "road skipped", place)
        return None
    pieces.sort(key=lambda piece: piece.s)
    line = ReferenceLine.of(pieces)
    for piece, scale in zip(pieces, line.scale, strict=True):
        if not 1.0 / MISFIT < scale < MISFIT:
            found = f"paramPoly3 at s {piece.s:g} is {scale * piece.length:g} m long, not {piece.length:g} m"
            raise source.broken(place, found, "Check its coefficients and its pRange.")
        if abs(scale - 1.0) * piece.length > 0.01:
            source.notes.add(
                "paramPoly3 longer or shorter than its length says", "its parameter stretched to fit", place
            )
    return line


def _read_shape(element: Element, source: Source, place: str) -> tuple[int, tuple[float, ...]]:
    """The child of a <geometry> -> its kind and parameters; what is unknown counts as a line."""
    for child in element:
        if child.tag == "line":
            return LINE, ()
        if child.tag == "arc":
            return ARC, (_curvature(child, "curvature", source, place),)
        if child.tag == "spiral":
            return SPIRAL, tuple(_curvature(child, name, source, place) for name in ("curvStart", "curvEnd"))
        if child.tag == "poly3":
            return POLY, (0.0, 1.0, 0.0, 0.0, *(source.need(child, name, place) for name in "abcd"), 0.0)
        if child.tag == "paramPoly3":
            names = ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV")
            coefficients = tuple(source.need(child, name, place) for name in names)
            # The standard's default for a missing pRange is "normalized".
            by_length = (child.get("pRange") or "normalized").strip() == "arcLength"
            last = source.need(element, "length", place) if by_length else 1.0
            return POLY, (*coefficients, last)
    source.notes.add("geometry without a shape", "a line taken", place)
    return LINE, ()


def _curvature(element: Element, name: str, source: Source, place: str) -> float:
    value = source.need(element, name, place)
    if abs(value) > TIGHTEST_1PM:
        raise source.broken(place, f"{name} {value:g} 1/m is beyond any road", "Write curvatures in 1/m, not radii.")
    return value


def _left_hand(element: Element, sections: tuple[Section, ...], source: Source, place: str) -> bool:
    """Whether traffic keeps left: by `rule`, else by what the exporter wrote on its driving lanes, else no."""
    rule = (element.get("rule") or "").strip().upper()
    if rule in {"LHT", "RHT"}:
        return rule == "LHT"
    votes = Counter(
        (lane.travel == "forward") == (n > 0)
        for section in sections
        for n, lane in section.lanes.items()
        if n and lane.travel in {"forward", "backward"}
    )
    if votes[True] > votes[False] and votes[False] == 0:
        source.notes.add("road without a rule whose lanes say left-hand traffic", "left-hand traffic", place)
        return True
    return False


def _read_link(road: Element, name: str, source: Source, place: str) -> RoadLink | None:
    element = road.find(f"link/{name}")
    if element is None or not element.get("elementId"):
        return None
    kind = (element.get("elementType") or "").lower()
    if kind not in {"road", "junction"}:
        kind = "road" if element.get("contactPoint") else "junction"
        source.notes.add(f"{name} without elementType", f"{kind} taken", place)
    at = element.get("elementS")
    midway = source.number(element, "elementS", 0.0, place) if at is not None else None
    return RoadLink(kind, element.get("elementId") or "", (element.get("contactPoint") or "").lower(), midway)


def _read_types(road: Element, source: Source, place: str) -> tuple[RoadType, ...]:
    types = []
    for element in road.findall("type"):
        speed = element.find("speed")
        limit = float("nan") if speed is None else limit_mps(speed, "max", source, place)
        s = source.number(element, "s", 0.0, place)
        types.append(RoadType(s, element.get("type") or "unknown", limit, element.get("country") or ""))
    return tuple(sorted(types, key=lambda kind: kind.s))


def _read_junction(element: Element, source: Source) -> Junction | None:
    junction_id = element.get("id")
    if junction_id is None:
        source.notes.add("junction without an id", "junction skipped", element.get("name") or "")
        return None
    place = f"junction {junction_id}"
    connections = []
    for child in element.findall("connection"):
        road = child.get("connectingRoad") or child.get("linkedRoad")
        incoming = child.get("incomingRoad")
        if road is None or incoming is None:
            source.notes.add("junction connection without its two roads", "connection skipped", place)
            continue
        pairs = (
            tuple(source.number(e, name, float("nan"), place) for name in ("from", "to"))
            for e in child.findall("laneLink")
        )
        lanes = tuple((int(a), int(b)) for a, b in pairs if a == a and b == b)
        connections.append(Connection(incoming, road, (child.get("contactPoint") or "").lower(), lanes))
    return Junction(
        id=junction_id,
        kind=(element.get("type") or "default").lower(),
        main_road=element.get("mainRoad") or "",
        connections=tuple(connections),
        priorities=tuple((e.get("high") or "", e.get("low") or "") for e in element.findall("priority")),
        controllers=tuple(e.get("id") or "" for e in element.findall("controller")),
    )
