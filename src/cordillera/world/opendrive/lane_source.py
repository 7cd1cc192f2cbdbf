"""<lanes> of one road -> sections of lanes as written, with what is missing filled in and noted."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from cordillera.types import LaneKind
from cordillera.world.opendrive.curves import Profile
from cordillera.world.opendrive.model import LaneSource, MarkSource, Section
from cordillera.world.opendrive.source import Source

KINDS = {
    **dict.fromkeys(
        ("driving", "entry", "exit", "onramp", "offramp", "connectingramp", "sliplane", "bidirectional", "shared",
         "mwyentry", "mwyexit", "hov"),
        LaneKind.DRIVING,
    ),
    **dict.fromkeys(("bus", "taxi"), LaneKind.BUS),
    **dict.fromkeys(("biking", "bike", "bicycle"), LaneKind.BIKING),
    **dict.fromkeys(("sidewalk", "walking"), LaneKind.SIDEWALK),
    **dict.fromkeys(("shoulder", "stop", "emergency"), LaneKind.SHOULDER),
    **dict.fromkeys(("tram", "rail"), LaneKind.RAIL),
    **dict.fromkeys(("restricted", "roadworks"), LaneKind.RESTRICTED),
    **dict.fromkeys(("none", "special1", "special2", "special3"), LaneKind.OTHER),
    "parking": LaneKind.PARKING,
    "median": LaneKind.MEDIAN,
    "border": LaneKind.BORDER,
    "curb": LaneKind.KERB,
}  # fmt: skip
COLORS = {"standard": "white", "grey": "white", "gray": "white", "black": "white", "violet": "blue"}
KNOWN_COLORS = {"white", "yellow", "blue", "red", "orange", "green"}
MARK_WIDTH_M = {"standard": 0.12, "bold": 0.25}
UNITS_MPS = {"m/s": 1.0, "mps": 1.0, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6, "mph": 0.44704, "kn": 1852 / 3600}
FASTEST_BARE_MPS = 45.0  # a bare number above it is taken as km/h: 162 km/h stands on no sign


def limit_mps(element: Element, value_name: str, source: Source, place: str) -> float:
    """A speed with its unit -> m/s; inf for "no limit", NaN where it says nothing. Bare numbers are m/s."""
    text = (element.get(value_name) or "").strip().lower()
    if text in {"no limit", "unlimited", "none"}:
        return float("inf")
    if text in {"", "undefined"}:
        return float("nan")
    value = source.number(element, value_name, float("nan"), place)
    unit = (element.get("unit") or "").strip().lower()
    if unit in UNITS_MPS:
        return value * UNITS_MPS[unit]
    if unit:
        source.notes.add(f"unknown speed unit '{unit}'", "km/h taken", place)
        return value / 3.6
    if value > FASTEST_BARE_MPS:
        source.notes.add("speed without a unit and too fast for m/s", "km/h taken", place)
        return value / 3.6
    return value


def read_sections(lanes: Element, length: float, source: Source, place: str) -> tuple[Section, ...]:
    """<lanes> of a road of `length` -> its sections in ascending order, single-sided ones merged."""
    cuts: list[tuple[float, bool, dict[int, LaneSource]]] = []
    for index, element in enumerate(lanes.findall("laneSection")):
        where = f"{place}, section {index}"
        if element.get("s") is None:
            source.notes.add("<laneSection> lacks s", "0 taken", where)
        s0 = source.number(element, "s", 0.0, where)
        found = _read_section(element, s0, source, where)
        cuts.append((s0, (element.get("singleSide") or "").lower() in {"true", "1"}, found))
    cuts.sort(key=lambda cut: cut[0])
    if cuts and cuts[0][0] > 1e-6:
        source.notes.add("the first lane section starts behind the road's start", "it starts with the road", place)
    merged: list[Section] = []
    sides: dict[bool, dict[int, LaneSource]] = {True: {}, False: {}}
    for index, (s0, single, found) in enumerate(cuts):
        s1 = cuts[index + 1][0] if index + 1 < len(cuts) else length
        kept = {side: single and not any((n > 0) == side for n in found if n) for side in (True, False)}
        for side in (True, False):
            if not kept[side]:
                sides[side] = {n: lane for n, lane in found.items() if n and (n > 0) == side}
        lanes_now = {**sides[True], **sides[False]}
        if 0 in found:
            lanes_now[0] = found[0]
        merged.append(Section(s0 if index else 0.0, min(s1, length), lanes_now, kept[True], kept[False]))
    return tuple(merged)


def _read_section(section: Element, s0: float, source: Source, place: str) -> dict[int, LaneSource]:
    """One <laneSection> -> lanes by number, numbered without gaps from the centre outwards."""
    lanes: dict[int, LaneSource] = {}
    for side in ("left", "center", "right"):
        for element in section.findall(f"{side}/lane"):
            number = int(source.need(element, "id", place))
            where = f"{place}, lane {number}"
            if number in lanes:
                source.notes.add("lane number used twice in a section", "the first kept", where)
                continue
            lanes[number] = _read_lane(element, number, s0, source, where)
    for sign in (1, -1):
        numbers = sorted(abs(n) for n in lanes if n * sign > 0)
        if numbers != list(range(1, len(numbers) + 1)):
            source.notes.add("lane numbers with gaps", "lanes taken to lie side by side", place)
    return lanes


def _read_lane(element: Element, number: int, s0: float, source: Source, place: str) -> LaneSource:
    raw = (element.get("type") or "").strip()
    kind = KINDS.get(raw.lower().replace("_", "").replace(" ", ""))
    if kind is None:
        source.notes.add(f"unknown lane type '{raw}'", "drawn, not driven", place)
        kind = LaneKind.OTHER
    direction = (element.get("direction") or "standard").lower()
    if raw == "bidirectional":
        direction = "both"
    width = source.records(element.findall("width"), "sOffset", "abcd", place)
    border = source.records(element.findall("border"), "sOffset", "abcd", place)
    if number and not width and not border:
        source.notes.add("lane without width or border", "width 0 taken", place)
    if width and border:
        source.notes.add("lane with both widths and borders", "widths taken", place)
    if width and width[0][0] > 1e-6:
        source.notes.add("first lane width starts behind its section", "its first value taken before", place)
    vector = element.find("userData/vectorLane")
    speeds = (
        (source.number(e, "sOffset", 0.0, place), limit_mps(e, "max", source, place)) for e in element.findall("speed")
    )
    heights = (
        tuple(source.number(e, name, 0.0, place) for name in ("sOffset", "inner", "outer"))
        for e in element.findall("height")
    )
    return LaneSource(
        number=number,
        s0=s0,
        kind=_by_access(kind, element),
        level=(element.get("level") or "").lower() in {"true", "1"},
        direction=direction,
        travel=(vector.get("travelDir") or "") if vector is not None else "",
        predecessors=_linked(element, "predecessor", source, place),
        successors=_linked(element, "successor", source, place),
        width=Profile.of(width) if width or not border else None,
        border=Profile.of(border) if border and not width else None,
        heights=tuple(sorted((h[0], h[1], h[2]) for h in heights)),
        marks=tuple(sorted(_read_marks(element, source, place), key=lambda mark: mark.offset)),
        speeds=tuple(sorted(speeds)),
    )


def _by_access(kind: LaneKind, element: Element) -> LaneKind:
    """A driving lane that only buses may use is a bus lane; one closed to cars is restricted."""
    if kind is not LaneKind.DRIVING:
        return kind
    allowed, denied = set(), set()
    for access in element.findall("access"):
        names = {access.get("restriction") or ""} | {r.get("type") or "" for r in access.findall("restriction")}
        (denied if access.get("rule") == "deny" else allowed).update(name.lower() for name in names - {""})
    if allowed and allowed <= {"bus", "taxi", "publictransport", "emergency"}:
        return LaneKind.BUS
    if denied & {"passengercar", "motorvehicle", "car", "autonomoustraffic", "none"} and not allowed:
        return LaneKind.RESTRICTED
    return kind


def _linked(element: Element, name: str, source: Source, place: str) -> tuple[int, ...]:
    numbers = []
    for link in element.findall(f"link/{name}"):
        value = source.number(link, "id", float("nan"), place)
        if value != value:
            source.notes.add(f"lane {name} without an id", "link dropped", place)
        else:
            numbers.append(int(value))
    return tuple(numbers)


def _read_marks(lane: Element, source: Source, place: str) -> list[MarkSource]:
    marks = []
    for element in lane.findall("roadMark"):
        kind = re.sub(r"[\s_-]+", " ", (element.get("type") or "none").strip().lower())
        kind = {"curb": "kerb", "bottsdots": "botts dots", "botts dots": "botts dots"}.get(kind, kind)
        lines = [*element.findall("type/line"), *element.findall("explicit/line")]
        width = source.number(element, "width", 0.0, place)
        if width <= 0.0:
            width = max((source.number(line, "width", 0.0, place) for line in lines), default=0.0)
        if width <= 0.0:
            width = MARK_WIDTH_M.get((element.get("weight") or "standard").lower(), MARK_WIDTH_M["standard"])
            if kind != "none":
                source.notes.add("roadMark width missing", f"{width:.2f} m taken", place)
        color = (element.get("color") or next((c for line in lines if (c := line.get("color"))), "standard")).lower()
        color = COLORS.get(color, color)
        if color not in KNOWN_COLORS:
            source.notes.add(f"unknown roadMark colour '{color}'", "white taken", place)
            color = "white"
        change = (element.get("laneChange") or "").strip().lower()
        marks.append(MarkSource(source.number(element, "sOffset", 0.0, place), kind, color, width, change))
    return marks
