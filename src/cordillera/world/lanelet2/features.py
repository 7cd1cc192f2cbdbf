"""What lies around the lanes: painted lines and kerbs, crossings, and fixed objects."""

from __future__ import annotations

import math

import numpy as np

from cordillera.geometry import points_in_polygon, resample
from cordillera.types import Crossing, Float, Lane, MapObject, RoadMark
from cordillera.world.lanelet2.boxes import Boxes
from cordillera.world.lanelet2.lanelets import Lanelet
from cordillera.world.lanelet2.osm import Osm, Way
from cordillera.world.lanelet2.points import Points
from cordillera.world.lanelet2.tables import AREAS, BARRIERS, COLORS, LINES, STROKES

SPACING_M = 0.5


def build_marks(osm: Osm, points: Points, lanelets: dict[str, Lanelet]) -> list[RoadMark]:
    """A file -> its painted lines, kerbs and road edges."""
    crossing_lines = {way for e in lanelets.values() if e.is_crosswalk for way, _ in (*e.left.ways, *e.right.ways)}
    marks = []
    for way in osm.ways.values():
        line = _line(points, way)
        kind = way.tags.get("type", "")
        if len(line) < 2 or kind not in LINES or _is_area(way):
            continue
        if kind == "pedestrian_marking" and way.id not in crossing_lines:
            continue  # single stripes of a crossing, which its outline stands for
        stroke, width = LINES[kind]
        subtype = way.tags.get("subtype", "")
        if kind in ("line_thin", "line_thick"):
            if subtype not in STROKES:
                osm.notes.add(f"{kind} of subtype {subtype!r}", "a solid line taken", f"way {way.id}")
            stroke = STROKES.get(subtype, stroke)
            width = _positive(way.tags.get("width"), width)
        color = way.tags.get("color", "white").lower()
        marks.append(RoadMark(line, stroke, color if color in COLORS else "white", width))
    untyped = {
        way
        for e in lanelets.values()
        for way, _ in (*e.left.ways, *e.right.ways)
        if way in osm.ways and not osm.ways[way].tags.get("type")
    }
    for way in sorted(untyped):
        osm.notes.add("border lacks type", "no mark drawn, no lane change allowed", f"way {way}")
    return marks


def _line(points: Points, way: Way) -> Float:
    nodes = tuple(i for i in way.nodes if i in points.row)
    return points.line(nodes) if nodes else np.zeros((0, 3))


def _is_area(way: Way) -> bool:
    return way.tags.get("area") in ("yes", "true") or (len(way.nodes) > 3 and way.nodes[0] == way.nodes[-1])


def _positive(text: str | None, default: float) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return default
    return value if 0.0 < value < 5.0 else default


# ------------------------------------------------------------------- crossings


def build_crossings(points: Points, lanelets: dict[str, Lanelet], lanes: list[Lane]) -> list[Crossing]:
    """Crosswalk lanelets -> crossings with the driving lanes that they cover."""
    out = []
    boxes = Boxes.of(lanes)
    for lanelet in lanelets.values():
        if lanelet.is_crosswalk:
            ring = np.concatenate([points.line(lanelet.left.nodes), points.line(lanelet.right.nodes)[::-1]])
            outline = ring[np.any(ring[:, :2] != np.roll(ring, 1, axis=0)[:, :2], axis=1)]
            out.append(Crossing(lanelet.id, outline, tuple(_covered(outline, lanes, boxes))))
    return out


def _covered(outline: Float, lanes: list[Lane], boxes: Boxes) -> list[int]:
    """A closed outline -> the driving lanes of which it covers a part of the centre line or of both borders."""
    height = float(outline[:, 2].mean())
    out = []
    for index in boxes.near(outline, 0.0):
        lane = lanes[index]
        if abs(float(lane.center_xyz[:, 2].mean()) - height) > 4.0:
            continue
        inside = [
            points_in_polygon(resample(line[:, :2], SPACING_M), outline[:, :2]).any()
            for line in (lane.center_xyz, lane.left_xyz, lane.right_xyz)
        ]
        if inside[0] or (inside[1] and inside[2]):
            out.append(index)
    return out


# --------------------------------------------------------------------- objects


def build_objects(osm: Osm, points: Points) -> list[MapObject]:
    """A file -> areas (relations of type multipolygon, closed ways), parking spaces, and walls and fences."""
    out = []
    for relation in osm.relations.values():
        if relation.tags.get("type") == "multipolygon":
            ring = _ring(osm, points, relation.refs("outer", "way"))
            if len(ring) < 3:
                osm.notes.add("area whose border does not close", "left out", f"relation {relation.id}")
            elif relation.tags.get("subtype") in AREAS:
                kind, height = AREAS[relation.tags["subtype"]]
                out.append(_object(relation.id, kind, ring, height))
    for way in osm.ways.values():
        line, kind = _line(points, way), way.tags.get("type", "")
        if kind in BARRIERS and len(line) > 1:
            thickness, height = BARRIERS[kind]
            out.append(_object(way.id, "barrier", _thick(line, thickness), height))
        elif kind == "parking_space" and len(line) == 2 and "width" in way.tags:
            out.append(_object(way.id, "parking", _thick(line, _positive_width(way)), 0.0))
        elif kind in AREAS and _is_area(way) and len(line) > 2:
            ring = line[:-1] if np.array_equal(line[0], line[-1]) else line
            out.append(_object(way.id, AREAS[kind][0], ring, AREAS[kind][1]))
    return out


def _positive_width(way: Way) -> float:
    try:
        width = float(way.tags["width"])
    except ValueError:
        width = math.nan
    return width if 0.5 < width < 20.0 else 2.5


def _ring(osm: Osm, points: Points, refs: tuple[str, ...]) -> Float:
    """Ways that together go around an area -> its outline (M, 3), empty where they do not close."""
    lines = [tuple(i for i in osm.ways[ref].nodes if i in points.row) for ref in refs if ref in osm.ways]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return np.zeros((0, 3))
    chain, rest = lines[0], lines[1:]
    while rest and chain[0] != chain[-1]:
        joint = next((line for line in rest if chain[-1] in (line[0], line[-1])), None)
        if joint is None:
            return np.zeros((0, 3))
        rest.remove(joint)
        chain += (joint if joint[0] == chain[-1] else joint[::-1])[1:]
    ring = points.line(chain)
    return ring[:-1] if np.array_equal(ring[0], ring[-1]) else ring


def _thick(line: Float, width_m: float) -> Float:
    """A line (N, 3) -> the outline (2 N, 3) of a strip of that width along it."""
    step = np.diff(line[:, :2], axis=0)
    along = step / np.linalg.norm(step, axis=1, keepdims=True)
    mean = np.concatenate([along[:1], along[:-1] + along[1:], along[-1:]])
    norm = np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    normal = np.column_stack([-mean[:, 1], mean[:, 0]]) / norm * 0.5 * width_m
    offset = np.column_stack([normal, np.zeros(len(line))])
    return np.concatenate([line + offset, (line - offset)[::-1]])


def _object(name: str, kind: str, ring: Float, height_m: float) -> MapObject:
    """An outline -> the object, its box by the outline's longest side."""
    side = np.roll(ring, -1, axis=0) - ring
    longest = side[int(np.argmax(np.hypot(side[:, 0], side[:, 1])))]
    yaw = math.atan2(longest[1], longest[0])
    ahead, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
    along, across = ring[:, :2] @ ahead, ring[:, :2] @ left
    middle = 0.5 * (along.min() + along.max()) * ahead + 0.5 * (across.min() + across.max()) * left
    size = float(np.ptp(along)), float(np.ptp(across)), height_m
    return MapObject(name, kind, np.array([*middle, float(ring[:, 2].mean())]), yaw, size, ring)
