"""Signals, groups, stop lines and crossings of a road map -> elements of the OpenDRIVE roads that they stand at."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from cordillera.types import RoadMap, Signal, SignalKind
from cordillera.world.opendrive.signs import read_sign
from cordillera.world.opendrive.write_roads import WrittenRoad

# What OpenDRIVE's own catalogue calls them: type and name.
CATALOGUE = {
    SignalKind.TRAFFIC_LIGHT: ("1000001", "traffic light"),
    SignalKind.PEDESTRIAN_LIGHT: ("1000002", "pedestrian light"),
    SignalKind.STOP: ("206", "stop sign"),
    SignalKind.GIVE_WAY: ("205", "give way"),
    SignalKind.PRIORITY: ("306", "priority road"),
    SignalKind.SPEED_LIMIT: ("274", "speed limit"),
    SignalKind.CROSSING: ("350", "pedestrian crossing"),
}
STOP_LINE_M = 0.4


def add_things(road_map: RoadMap, roads: list[WrittenRoad], elements: dict[int, Element], root: Element) -> None:
    """Put a map's signals, stop lines and crossings into the elements of its roads, and its groups into the root.

    A signal stands at the road beside which it is, of those whose lanes it regulates or that lead there; references
    name the other lanes. One that regulates no lane is left out.
    """
    where = {k: (road, n) for road in roads for n, k in road.numbers.items()}
    objects: dict[int, Element] = {}
    signals: dict[int, Element] = {}

    def box(boxes: dict[int, Element], tag: str, road: int) -> Element:
        if road not in boxes:
            boxes[road] = SubElement(elements[road], tag)
        return boxes[road]

    for k, line in enumerate(road_map.stop_lines):
        if line.lanes:
            road, n = where[line.lanes[0]]
            _add_line(box(objects, "objects", road.number), road, n, f"s{k}", line.xyz)
    for k, crossing in enumerate(road_map.crossings):
        if crossing.lanes:
            road, n = where[crossing.lanes[0]]
            parent = box(objects, "objects", road.number)
            middle = crossing.outline_xyz.mean(axis=0)
            item = _object(parent, road, f"c{k}", "crosswalk", "crosswalk", middle)
            _outline(item, road, middle, crossing.outline_xyz)
    groups: dict[str, list[int]] = {}
    for k, signal in enumerate(road_map.signals):
        lanes = [where[lane] for lane in signal.lanes]
        if not lanes:
            continue
        road, n = _stand(road_map, signal, where)
        is_own = (road, n) in lanes
        _add_signal(box(signals, "signals", road.number), road, n, k + 1, signal, n if is_own else 0)
        for other, m in lanes:
            if other is road and m == n:
                continue
            s, t = other.place(signal.xyz)
            reference = SubElement(
                box(signals, "signals", other.number), "signalReference", id=str(k + 1), s=_number(s), t=_number(t),
                orientation="+" if other.forward[m] else "-",
            )  # fmt: skip
            SubElement(reference, "validity", fromLane=str(m), toLane=str(m))
        if signal.group:
            groups.setdefault(signal.group, []).append(k + 1)
    for rank, (name, members) in enumerate(sorted(groups.items()), 1):
        controller = SubElement(root, "controller", id=str(rank), name=name)
        for member in members:
            SubElement(controller, "control", signalId=str(member), type="")


def _number(value: float) -> str:
    return f"{float(value):.12g}"


def _stand(road_map: RoadMap, signal: Signal, where: dict[int, tuple[WrittenRoad, int]]) -> tuple[WrittenRoad, int]:
    """The road and lane to write a signal at: where s and t say best where it stands."""
    behind = [k for lane in signal.lanes for k in road_map.lanes[lane].predecessors]

    def error(lane: int) -> float:
        road = where[lane][0]
        return round(float(np.linalg.norm(_point(road, *road.place(signal.xyz)) - signal.xyz[:2])), 3)

    return where[min((*signal.lanes, *behind), key=error)]


def _add_signal(parent: Element, road: WrittenRoad, n: int, index: int, signal: Signal, valid: int) -> None:
    """A <signal> beside lane n, for the lane `valid`, or by its references alone for 0."""
    s, t = road.place(signal.xyz)
    forward = road.forward[n]
    width, height = signal.size_wh
    lift = max(float(signal.xyz[2]) - road.height(s), 0.0)
    toward = road.heading(s) + (math.pi if forward else 0.0)
    country, code, subtype, name = _sign(signal)
    is_light = signal.kind in (SignalKind.TRAFFIC_LIGHT, SignalKind.PEDESTRIAN_LIGHT)
    element = SubElement(
        parent, "signal", id=str(index), name=name, s=_number(s), t=_number(t),
        zOffset=_number(lift - 0.5 * height), hOffset=_number(math.remainder(signal.yaw_rad - toward, 2.0 * math.pi)),
        orientation="+" if forward else "-", dynamic="yes" if is_light else "no", country=country, type=code,
        subtype=subtype, width=_number(width), height=_number(height), pitch="0", roll="0",
    )  # fmt: skip
    if signal.value == signal.value:
        element.set("value", _number(signal.value))
        element.set("unit", "m/s")
    SubElement(element, "validity", fromLane=str(valid), toLane=str(valid))


def _sign(signal: Signal) -> tuple[str, str, str, str]:
    """A signal -> country, type, subtype and name: its national ones if they say the same, else the catalogue's."""
    country, _, code = signal.code.partition(":")
    code, _, subtype = code.partition("-") if len(country) == 2 and country != "US" else (code, "", "")
    code, subtype = code or "-1", subtype or "-1"
    name = CATALOGUE.get(signal.kind, ("-1", ""))[1]
    if len(country) == 2:
        sign, _ = read_sign(country, code, subtype, name, signal.value, "m/s", False)
        if sign.kind is signal.kind and not sign.painted:
            return country, code, subtype, name
    code, name = CATALOGUE.get(signal.kind, ("-1", ""))
    return "OpenDRIVE", code, "-1", name


def _object(parent: Element, road: WrittenRoad, item: str, kind: str, name: str, xyz: np.ndarray) -> Element:
    s, t = road.place(xyz)
    z = float(xyz[2]) - road.height(s)
    return SubElement(
        parent, "object", id=item, type=kind, name=name, s=_number(s), t=_number(t), zOffset=_number(z), hdg="0",
        orientation="none",
    )  # fmt: skip


def _outline(item: Element, road: WrittenRoad, middle: np.ndarray, points: np.ndarray) -> None:
    s, t = road.place(middle)
    yaw = road.heading(s)
    c, d = math.cos(yaw), math.sin(yaw)
    base = _point(road, s, t)
    outline = SubElement(SubElement(item, "outlines"), "outline", id="0", closed="true")
    for k, point in enumerate(points):
        x, y = point[:2] - base
        SubElement(
            outline, "cornerLocal", id=str(k), u=_number(c * x + d * y), v=_number(-d * x + c * y),
            z=_number(float(point[2] - middle[2])), height="0",
        )  # fmt: skip


def _point(road: WrittenRoad, s: float, t: float) -> np.ndarray:
    """Where s and t are in the plane, along the road's stations."""
    yaw = road.heading(s)
    foot = np.array([np.interp(s, road.s, road.xyz[:, i]) for i in range(2)])
    return foot + t * np.array([-math.sin(yaw), math.cos(yaw)])


def _add_line(parent: Element, road: WrittenRoad, n: int, item: str, xyz: np.ndarray) -> None:
    """A painted stop line: an object across the road with its ends as outline."""
    middle = xyz[[0, -1]].mean(axis=0)
    element = _object(parent, road, item, "roadMark", "stop line", middle)
    element.set("orientation", "+" if road.forward[n] else "-")
    element.set("length", _number(STOP_LINE_M))
    element.set("width", _number(float(np.linalg.norm((xyz[-1] - xyz[0])[:2]))))
    _outline(element, road, middle, xyz[[0, -1]])
