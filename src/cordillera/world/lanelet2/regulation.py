"""Regulatory elements -> signals, stop lines, right of way and speed limits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import arc_length, interpolate, project_to_polyline, resample
from cordillera.types import Float, Lane, Signal, SignalKind, StopLine
from cordillera.world.lanelet2.boxes import Boxes
from cordillera.world.lanelet2.lanes import Course
from cordillera.world.lanelet2.osm import Osm, Relation
from cordillera.world.lanelet2.points import Points
from cordillera.world.lanelet2.tables import LIGHTS_FOR_PEDESTRIANS, sign_kind, sign_speed
from cordillera.world.topology_priority import wrap

LIGHT_SIZE_M = (0.3, 0.9)
LIGHT_HEIGHT_M = 3.5  # lower edge above the ground where the file has no heights
SIGN_SIZE_M = (0.6, 0.6)
SIGN_HEIGHT_M = 2.2
ON_LINE_M = 0.7  # a stop line comes at least this close to the centre lines of its lanes
ENTRY_M = 1.0
BESIDE_M = 15.0  # signs stand this close to the lanes that they are for
CROSSING_RAD = math.radians(30.0)  # and meets them at this angle at least
STOPS = (SignalKind.STOP, SignalKind.GIVE_WAY)


@dataclass(frozen=True)
class Regulated:
    """What the rules of a file come to."""

    lanes: list[Lane]
    stop_lines: list[StopLine]
    signals: list[Signal]
    yields: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class _Element:
    """A regulatory element, with the lanes (indices) that name it."""

    relation: Relation
    subtype: str
    lanes: tuple[int, ...]


def regulate(osm: Osm, points: Points, courses: list[Course], lanes: list[Lane]) -> Regulated:
    """A file and its lanes -> lanes with the limits of its speed-limit elements, stop lines, signals, right of way."""
    elements = _elements(osm, courses)
    lanes = _limited(osm, elements, lanes)
    stop_lines = _stop_lines(osm, points, elements, lanes)
    line_of = {line.id: index for index, line in enumerate(stop_lines)}
    by_id: dict[str, list[int]] = {}
    for index, course in enumerate(courses):
        by_id.setdefault(course.lanelet.id, []).append(index)
    signals = _lights(osm, points, elements, lanes, stop_lines, line_of)
    signals += _signs(osm, points, elements, lanes, stop_lines, line_of, by_id)
    return Regulated(lanes, stop_lines, signals, _yields(elements, lanes, by_id))


def _elements(osm: Osm, courses: list[Course]) -> list[_Element]:
    named: dict[str, list[int]] = {}
    for index, course in enumerate(courses):
        if course.back:
            continue  # a rule is written for the lanelet's own direction
        for rule in course.lanelet.rules:
            if rule not in osm.relations:
                osm.notes.add("regulatory element that is not there", "left out", f"lanelet {course.lanelet.id}")
            named.setdefault(rule, []).append(index)
    return [
        _Element(r, r.tags.get("subtype", ""), tuple(named.get(r.id, ())))
        for r in osm.relations.values()
        if r.tags.get("type") == "regulatory_element"
    ]


def _limited(osm: Osm, elements: list[_Element], lanes: list[Lane]) -> list[Lane]:
    lanes = list(lanes)
    for element in elements:
        if element.subtype != "speed_limit":
            continue
        limit = _element_speed(osm, element)
        if math.isnan(limit):
            osm.notes.add("speed_limit element without a speed", "left out", f"relation {element.relation.id}")
            continue
        for index in element.lanes:
            lanes[index] = replace(lanes[index], speed_limit_mps=limit)
    return lanes


def _element_speed(osm: Osm, element: _Element) -> float:
    codes = [element.relation.tags.get("sign_type", "")]
    codes += [_code(osm, ref) for ref in element.relation.refs("refers", "way")]
    speeds = [sign_speed(code, element.relation.tags) for code in codes]
    return next((speed for speed in speeds if not math.isnan(speed)), math.nan)


def _code(osm: Osm, ref: str) -> str:
    return osm.ways[ref].tags.get("subtype", "") if ref in osm.ways else ""


# ------------------------------------------------------------------ stop lines


def _stop_lines(osm: Osm, points: Points, elements: list[_Element], lanes: list[Lane]) -> list[StopLine]:
    """Ways of type stop_line and those that elements refer to as such -> stop lines with their lanes."""
    named = {ref for element in elements for ref in element.relation.refs("ref_line", "way")}
    boxes = Boxes.of(lanes)
    out = []
    for way in osm.ways.values():
        if way.id in named or way.tags.get("type") == "stop_line":
            line = points.line(tuple(i for i in way.nodes if i in points.row))
            if len(line) > 1:
                out.append(StopLine(way.id, line, tuple(_stopped(line, lanes, boxes))))
    return out


def _stopped(line: Float, lanes: list[Lane], boxes: Boxes) -> list[int]:
    """A stop line -> the driving lanes that it crosses; where it lies on a joint, the lane that ends there."""
    found = []
    points = resample(line[:, :2], max(0.25, float(arc_length(line[:, :2])[-1]) / 400.0))
    across = line[-1, :2] - line[0, :2]
    angle = math.atan2(across[1], across[0])
    for index in boxes.near(points, ON_LINE_M):
        center = lanes[index].center_xyz[:, :2]
        start, step = center[:-1], np.diff(center, axis=0)
        length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
        offset = points[:, None] - start
        t = np.clip(np.einsum("pij,ij->pi", offset, step) / length**2, 0.0, 1.0)
        gap = np.linalg.norm(offset - t[..., None] * step, axis=-1)
        at, i = np.unravel_index(int(gap.argmin()), gap.shape)
        turned = abs(wrap(math.atan2(step[i, 1], step[i, 0]) - angle))
        if gap[at, i] < ON_LINE_M and CROSSING_RAD < turned < math.pi - CROSSING_RAD:
            found.append((index, float(length[:i].sum() + t[at, i] * length[i])))
    names = {index for index, _ in found}
    return [i for i, s in found if s > ENTRY_M or not names.intersection(lanes[i].predecessors)]


def _lines_for(
    element: _Element, lanes: Iterable[int], road: list[Lane], stop_lines: list[StopLine], line_of: dict[str, int]
) -> tuple[int, ...]:
    """The stop lines of an element; where it names none, those on the lanes or right before them."""
    named = tuple(line_of[ref] for ref in element.relation.refs("ref_line", "way") if ref in line_of)
    if named:
        return named
    near = {i for lane in lanes for i in (lane, *road[lane].predecessors)}
    return tuple(index for index, line in enumerate(stop_lines) if near.intersection(line.lanes))


# --------------------------------------------------------------- lights, signs


def _lights(
    osm: Osm,
    points: Points,
    elements: list[_Element],
    lanes: list[Lane],
    stop_lines: list[StopLine],
    line_of: dict[str, int],
) -> list[Signal]:
    """Traffic lights, one for each light; lights of one element, and elements that share a light, form a group."""
    users: dict[str, list[_Element]] = {}
    for element in elements:
        if element.subtype == "traffic_light":
            for ref in element.relation.refs("refers", "way"):
                if ref in osm.ways:
                    users.setdefault(ref, []).append(element)
    groups = _groups(users)
    boxes = Boxes.of(lanes)
    out = []
    for ref, using in users.items():
        line = points.line(tuple(i for i in osm.ways[ref].nodes if i in points.row))
        if not len(line):
            continue
        regulated = tuple(sorted({i for element in using for i in element.lanes}))
        lines = tuple(sorted({i for e in using for i in _lines_for(e, e.lanes, lanes, stop_lines, line_of)}))
        subtype = osm.ways[ref].tags.get("subtype", "")
        for_walkers = subtype in LIGHTS_FOR_PEDESTRIANS
        height = _metres(osm.ways[ref].tags.get("height"), LIGHT_SIZE_M[1])
        xyz = _middle(line)
        if points.has_height:
            xyz[2] += 0.5 * height  # the way is the lower edge
        else:
            osm.notes.add("height of traffic light unknown", f"{LIGHT_HEIGHT_M} m taken", f"way {ref}")
            xyz[2] += LIGHT_HEIGHT_M + 0.5 * height
        width = float(np.hypot(*(line[-1] - line[0])[:2]))
        out.append(
            Signal(
                id=ref,
                kind=SignalKind.PEDESTRIAN_LIGHT if for_walkers else SignalKind.TRAFFIC_LIGHT,
                xyz=xyz,
                yaw_rad=_facing(
                    line, [stop_lines[i] for i in lines], [lanes[i] for i in regulated or boxes.near(line, BESIDE_M)]
                ),
                lanes=() if for_walkers else regulated,
                stop_lines=() if for_walkers else lines,
                group=groups[ref],
                code=subtype,
                size_wh=(width if 0.1 < width < 3.0 else LIGHT_SIZE_M[0], height),
            )
        )
    return out


def _groups(users: dict[str, list[_Element]]) -> dict[str, str]:
    """Lights with the elements that use them -> each light's group: the first element of those that hang together."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for using in users.values():
        for element in using[1:]:
            parent[root(element.relation.id)] = root(using[0].relation.id)
    return {ref: root(using[0].relation.id) for ref, using in users.items()}


def _signs(
    osm: Osm,
    points: Points,
    elements: list[_Element],
    lanes: list[Lane],
    stop_lines: list[StopLine],
    line_of: dict[str, int],
    by_id: dict[str, list[int]],
) -> list[Signal]:
    """Traffic signs: those that elements refer to, with the lanes that they hold for, then the others."""
    out, done = [], set()
    boxes = Boxes.of(lanes)
    for element in elements:
        if element.subtype not in ("traffic_sign", "right_of_way", "speed_limit"):
            continue
        for ref in element.relation.refs("refers", "way"):
            code = element.relation.tags.get("sign_type") or _code(osm, ref)
            kind = SignalKind.SPEED_LIMIT if element.subtype == "speed_limit" else sign_kind(code)
            held = element.lanes
            if element.subtype == "right_of_way":
                role = "right_of_way" if kind is SignalKind.PRIORITY else "yield"
                held = tuple(i for name in element.relation.refs(role, "relation") for i in by_id.get(name, ())[:1])
            lines = _lines_for(element, held, lanes, stop_lines, line_of) if kind in STOPS else ()
            value = _element_speed(osm, element) if kind is SignalKind.SPEED_LIMIT else math.nan
            sign = _sign(osm, points, ref, kind, code, value, held, lines, lanes, stop_lines, boxes)
            if sign is not None:
                done.add(ref)
                out.append(replace(sign, group=element.relation.id))
    for way in osm.ways.values():
        if way.tags.get("type") == "traffic_sign" and way.id not in done:
            code = way.tags.get("subtype", "")
            sign = _sign(
                osm, points, way.id, sign_kind(code), code, sign_speed(code, way.tags), (), (), lanes, [], boxes
            )
            out += [sign] if sign is not None else []
    return out


def _sign(
    osm: Osm,
    points: Points,
    ref: str,
    kind: SignalKind,
    code: str,
    value_mps: float,
    held: tuple[int, ...],
    lines: tuple[int, ...],
    lanes: list[Lane],
    stop_lines: list[StopLine],
    boxes: Boxes,
) -> Signal | None:
    line = (
        points.line(tuple(i for i in osm.ways[ref].nodes if i in points.row)) if ref in osm.ways else np.zeros((0, 3))
    )
    if not len(line):
        return None
    xyz = _middle(line)
    if not points.has_height:
        xyz[2] += SIGN_HEIGHT_M
    yaw = _facing(line, [stop_lines[i] for i in lines], [lanes[i] for i in held or boxes.near(line, BESIDE_M)])
    value = value_mps if kind is SignalKind.SPEED_LIMIT else math.nan
    return Signal(ref, kind, xyz, yaw, held, lines, "", value, _national(code), SIGN_SIZE_M)


def _national(code: str) -> str:
    """ "de274_1" -> "DE:274.1": the country and its number; other codes stay as they are."""
    if len(code) > 2 and code[:2].isalpha() and code[2].isdigit():
        return f"{code[:2].upper()}:{code[2:].replace('_', '.')}"
    return code


def _metres(text: str | None, default: float) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return default
    return value if 0.05 < value < 5.0 else default


def _middle(line: Float) -> Float:
    return 0.5 * (line[0] + line[-1])


def _facing(line: Float, stop_lines: list[StopLine], lanes: list[Lane]) -> float:
    """A signal's way, its stop lines and lanes -> yaw of the face: square to the way, towards who has to see it.

    Those stand at the stop lines; without one, they come along that of the lanes which is nearest.
    """
    place = _middle(line)[:2]
    against = _against(place, lanes)
    step = line[-1, :2] - line[0, :2]
    if np.hypot(*step) < 1e-3:
        return against
    yaw = math.atan2(step[1], step[0]) + 0.5 * math.pi
    if stop_lines:
        towards = np.mean([stop.xyz.mean(axis=0)[:2] for stop in stop_lines], axis=0) - place
        if np.hypot(*towards) > 1.0:
            against = math.atan2(towards[1], towards[0])
    return wrap(yaw if math.cos(yaw - against) > 0.0 else yaw + math.pi)


def _against(place: Float, lanes: list[Lane]) -> float:
    """A place (2,) and lanes -> the direction from which the traffic of the nearest lane comes."""
    best, yaw = math.inf, 0.0
    for lane in lanes:
        line = lane.center_xyz[:, :2]
        s, _, i = project_to_polyline(line, float(place[0]), float(place[1]))
        gap = float(np.hypot(*(interpolate(line, [s])[0] - place)))
        if gap < best:
            back = line[i] - line[i + 1]
            best, yaw = gap, math.atan2(back[1], back[0])
    return yaw


# ---------------------------------------------------------------- right of way


def _yields(elements: list[_Element], lanes: list[Lane], by_id: dict[str, list[int]]) -> frozenset[tuple[int, int]]:
    """Right-of-way elements -> pairs (lane that gives way, lane that goes first).

    An element may name the lanes before a junction, so those inside that follow are meant as well, unless they are
    named themselves.
    """
    pairs: set[tuple[int, int]] = set()
    wider: set[tuple[int, int]] = set()
    for element in elements:
        if element.subtype != "right_of_way":
            continue
        named = [
            {i for name in element.relation.refs(role, "relation") for i in by_id.get(name, ())}
            for role in ("yield", "right_of_way")
        ]
        pairs |= {(a, b) for a in named[0] for b in named[1] if a != b}
        both = named[0] | named[1]
        reach = [side | {j for i in side for j in lanes[i].successors if lanes[j].junction} - both for side in named]
        wider |= {(a, b) for a in reach[0] for b in reach[1] if a != b}
    pairs |= {(a, b) for a, b in wider if (b, a) not in pairs and (b, a) not in wider}
    return frozenset(pairs)
