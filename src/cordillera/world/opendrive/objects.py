"""<object> elements -> crossings, fixed things, and the lines, words and boards that regulate traffic."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

import numpy as np

from cordillera.types import Crossing, Float, MapObject
from cordillera.world.opendrive.crossed import DrivenLines
from cordillera.world.opendrive.model import Road
from cordillera.world.opendrive.place import Site

KINDS = (
    (r"tree", "tree"),
    (r"vegetation|bush|hedge|grass", "vegetation"),
    (r"guard.?rail|railing|barrier|wall|fence|jersey", "barrier"),
    (r"pole|post|lamp|light|bollard|pillar|mast", "pole"),
    (r"building|house", "building"),
    (r"parking", "parking"),
    (r"island", "island"),
    (r"gantry", "gantry"),
    (r"arrow", "arrow"),
    (r"stencil|road.?mark|chevron|crosshatch|line|solid|broken|speed|patch|legend", "marking"),
    (r"obstacle", "obstacle"),
)
FLAT = {"parking", "arrow", "marking", "island"}
USUAL_SIZE_M = {
    "tree": (0.6, 0.6, 6.0), "vegetation": (1.0, 1.0, 1.0), "barrier": (2.0, 0.2, 0.8), "pole": (0.15, 0.15, 3.0),
    "building": (10.0, 10.0, 6.0), "gantry": (0.5, 10.0, 6.0),
}  # fmt: skip
PIECE_M = 8.0  # continuous objects become boxes of at most this length
SAG_M = 0.05
MOST_COPIES = 20_000  # of one repeated object


@dataclass(frozen=True)
class Painted:
    """A stop line on the road: its two ends (2, 3), and the element and road that placed it."""

    id: str
    xyz: Float
    road: Road
    element: Element


@dataclass(frozen=True)
class Found:
    """What the objects of a file are."""

    objects: list[MapObject] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    stop_lines: list[Painted] = field(default_factory=list)
    stop_words: list[tuple[Road, Element]] = field(default_factory=list)  # "STOP" painted on a lane
    boards: list[tuple[Road, Element]] = field(default_factory=list)  # signs that were written as objects


@dataclass(frozen=True)
class Stand:
    """Where and how large one copy of an object is."""

    s: float
    t: float
    z: float
    length: float
    width: float
    height: float
    shift_s: float = 0.0  # of a copy against the original, for outlines in road coordinates
    shift_t: float = 0.0


def read_objects(site: Site, driven: DrivenLines) -> Found:
    """All objects of the file, sorted by what they are."""
    found = Found()
    for road in site.network.roads.values():
        for element in road.objects:
            if element.tag == "object":
                _read_object(site, driven, road, element, found)
    return found


def _read_object(site: Site, driven: DrivenLines, road: Road, element: Element, found: Found) -> None:
    kind, name = (element.get("type") or "").strip(), (element.get("name") or "").strip()
    kind = "" if kind in {"-1", "none"} else kind
    label = f"{kind} {element.get('subtype') or ''} {name}".lower().strip()
    if re.match(r"(speed_\d+|stop_?sign)$", name.lower()):
        found.boards.append((road, element))
        return
    if "stencil_stop" in name.lower():
        found.stop_words.append((road, element))
    for number, stand in enumerate(_stands(site, road, element)):
        item_id = (element.get("id") or "") + (f".{number}" if number else "")
        outline, outline_height = _outline(site, road, element, stand)
        if kind.lower() == "crosswalk" or "crosswalk" in label:
            _add_crossing(site, driven, road, element, stand, outline, item_id, found)
        elif (line := _stop_line(site, road, element, label, stand, outline)) is not None:
            found.stop_lines.append(Painted(item_id, line, road, element))
        else:
            stand = replace(stand, height=stand.height or outline_height)
            found.objects.append(_map_object(site, road, element, label, kind, stand, outline, item_id))


def _stands(site: Site, road: Road, element: Element) -> Iterator[Stand]:
    """An object's own place, or the places of its copies; continuous ones are cut into short boxes."""
    place = f"road {road.id}, object {element.get('id')}"

    def value(source: Element, name: str, default: float) -> float:
        return site.source.number(source, name, default, place)

    radius = value(element, "radius", 0.0)
    size = [value(element, name, 2.0 * radius) for name in ("length", "width")] + [value(element, "height", 0.0)]
    own = Stand(value(element, "s", 0.0), value(element, "t", 0.0), value(element, "zOffset", 0.0), *size)
    repeats = element.findall("repeat")
    if not repeats:
        yield own
    for repeat in repeats:
        s0, reach = value(repeat, "s", own.s), max(0.0, value(repeat, "length", 0.0))
        s0, reach = min(max(s0, 0.0), road.length), min(reach, road.length - min(max(s0, 0.0), road.length))
        step = value(repeat, "distance", 0.0)
        if 1e-6 < step < reach / MOST_COPIES:
            site.source.notes.add("object repeated too often", f"{MOST_COPIES} copies taken", place)
            step = reach / MOST_COPIES
        bounds = (
            np.linspace(0.0, reach, max(1, math.ceil(reach / _piece_length(site, road, s0, reach))) + 1)
            if step <= 1e-6
            else np.arange(0.0, reach + 1e-6, step)
        )
        starts = bounds if step > 1e-6 else 0.5 * (bounds[:-1] + bounds[1:])
        piece = 0.0 if step > 1e-6 else float(bounds[1] - bounds[0]) if len(bounds) > 1 else 0.0
        for d in starts:
            share = d / reach if reach > 0.0 else 0.0

            def at(name: str, default: float, repeat: Element = repeat, share: float = share) -> float:
                a = value(repeat, f"{name}Start", default)
                return a + share * (value(repeat, f"{name}End", a) - a)

            t = at("t", own.t)
            length = piece or at("length", own.length)
            yield Stand(
                s0 + float(d), t, at("zOffset", own.z), length, at("width", own.width), at("height", own.height),
                s0 + float(d) - own.s, t - own.t,
            )  # fmt: skip


def _piece_length(site: Site, road: Road, s0: float, reach: float) -> float:
    """How long straight pieces of a continuous object may be where the road bends most."""
    s = np.linspace(s0, s0 + reach, max(8, int(reach / 2.0)))
    _, _, hdg = road.line.at(s, 0.0, road.length)
    bend = np.abs(np.diff(np.unwrap(hdg))).max() / max(float(s[1] - s[0]), 1e-6)
    return min(PIECE_M, math.sqrt(8.0 * SAG_M / bend)) if bend > 1e-6 else PIECE_M


def _outline(site: Site, road: Road, element: Element, stand: Stand) -> tuple[Float, float]:
    """The outer outline of an object's copy -> points (M, 3), none where it has none, and its height."""
    outlines = [*element.findall("outlines/outline"), *element.findall("outline")]
    outer = [o for o in outlines if (o.get("outer") or "true").lower() != "false"]
    if not outer:
        return np.zeros((0, 3)), 0.0
    place = f"road {road.id}, object {element.get('id')}"
    number = site.source.number
    corners = outer[0].findall("cornerRoad")
    height = max((number(c, "height", 0.0, place) for c in outer[0]), default=0.0)
    if corners:
        s = np.array([number(c, "s", 0.0, place) for c in corners]) + stand.shift_s
        t = np.array([number(c, "t", 0.0, place) for c in corners]) + stand.shift_t
        points = site.points(road, np.clip(s, 0.0, road.length), t)
        points[:, 2] += [number(c, "dz", 0.0, place) for c in corners]
    else:
        uvz = np.array([[number(c, a, 0.0, place) for a in "uvz"] for c in outer[0].findall("cornerLocal")]).reshape(
            -1, 3
        )
        xyz, hdg = site.pose(road, stand.s, stand.t)
        yaw = hdg + number(element, "hdg", 0.0, place)
        c, s = math.cos(yaw), math.sin(yaw)
        points = xyz + uvz @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) + np.array([0.0, 0.0, stand.z])
    if len(points) > 2 and np.linalg.norm(points[0, :2] - points[-1, :2]) < 1e-3:
        points = points[:-1]
    return points, height


def _box(site: Site, road: Road, element: Element, stand: Stand) -> tuple[Float, float]:
    """A copy's centre on the ground (3,) and the direction of its length."""
    xyz, hdg = site.pose(road, min(max(stand.s, 0.0), road.length), stand.t)
    xyz[2] += stand.z
    return xyz, math.remainder(hdg + site.source.number(element, "hdg", 0.0), 2.0 * math.pi)


def _corners(xyz: Float, yaw: float, length: float, width: float) -> Float:
    c, s = math.cos(yaw), math.sin(yaw)
    u = 0.5 * length * np.array([1.0, -1.0, -1.0, 1.0])
    v = 0.5 * width * np.array([1.0, 1.0, -1.0, -1.0])
    return xyz + np.stack([c * u - s * v, s * u + c * v, np.zeros(4)], axis=-1)


def _add_crossing(
    site: Site,
    driven: DrivenLines,
    road: Road,
    element: Element,
    stand: Stand,
    outline: Float,
    item_id: str,
    found: Found,
) -> None:
    """A crossing by its outline, by a band along its only edge, or by its box."""
    place = f"road {road.id}, object {element.get('id')}"
    if len(outline) == 2:
        marking = element.find("markings/marking")
        band = site.source.number(marking, "width", 3.0, place) if marking is not None else 3.0
        along = outline[1] - outline[0]
        side = np.array([-along[1], along[0], 0.0]) * 0.5 * band / max(float(np.hypot(along[0], along[1])), 1e-9)
        outline = np.stack([outline[0] + side, outline[0] - side, outline[1] - side, outline[1] + side])
    elif len(outline) < 3:
        xyz, yaw = _box(site, road, element, stand)
        if stand.length <= 0.0 or stand.width <= 0.0:
            site.source.notes.add("crosswalk without outline or size", "3 m by 8 m across the road taken", place)
            stand, yaw = replace(stand, length=8.0, width=3.0), yaw + 0.5 * math.pi
        outline = _corners(xyz, yaw, stand.length, stand.width)
    lanes = tuple(sorted(driven.under(site.lane_set, outline)))
    found.crossings.append(Crossing(item_id, outline, lanes))


def _stop_line(site: Site, road: Road, element: Element, label: str, stand: Stand, outline: Float) -> Float | None:
    """An object that is a line painted across the road -> its ends (2, 3), else None."""
    named = re.search(r"stop.?line|wait.?line|yield.?line", label) is not None
    if not named and "solidsinglewhite" not in label.replace(" ", "").replace("_", ""):
        return None
    xyz, yaw = _box(site, road, element, stand)
    if len(outline) >= 2:
        gaps = np.linalg.norm(outline[:, None, :2] - outline[None, :, :2], axis=-1)
        i, j = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
        ends = outline[[i, j]]
    else:
        length, yaw = max((stand.length, yaw), (stand.width, yaw + 0.5 * math.pi))
        half = 0.5 * length * np.array([math.cos(yaw), math.sin(yaw), 0.0])
        ends = np.stack([xyz - half, xyz + half])
    step = ends[1] - ends[0]
    _, hdg = site.pose(road, min(max(stand.s, 0.0), road.length), stand.t)
    slant = abs(math.sin(math.atan2(step[1], step[0]) - hdg))
    is_across = slant > math.sin(math.radians(50.0)) and float(np.hypot(step[0], step[1])) > 1.0
    return ends if is_across else None


def _map_object(
    site: Site, road: Road, element: Element, label: str, kind: str, stand: Stand, outline: Float, item_id: str
) -> MapObject:
    known = (ours for text in (kind.lower(), label) for pattern, ours in KINDS if re.search(pattern, text))
    name = next(known, kind.lower() or "object")
    if name == "arrow":
        name = {"l": "arrow left", "r": "arrow right", "s": "arrow straight"}.get(label.strip()[-1:], "arrow")
    xyz, yaw = _box(site, road, element, stand)
    size = [stand.length, stand.width, stand.height]
    if len(outline) >= 3:
        c, s = math.cos(yaw), math.sin(yaw)
        local = (outline[:, :2] - xyz[:2]) @ np.array([[c, -s], [s, c]])
        low, high = local.min(axis=0), local.max(axis=0)
        middle = 0.5 * (low + high)
        size[:2] = (high - low).tolist()
        xyz = np.array([*(xyz[:2] + np.array([[c, -s], [s, c]]) @ middle), outline[:, 2].min()])
    usual = USUAL_SIZE_M.get(name)
    if usual and not all(size):
        missing = [i for i in range(3) if not size[i]]
        site.source.notes.add(
            "object without its full size", "that usual for its kind taken", f"road {road.id}, {name}"
        )
        for i in missing:
            size[i] = usual[i]
    return MapObject(
        item_id, name, xyz, yaw, (size[0], size[1], size[2]), outline if len(outline) >= 3 else np.zeros((0, 3))
    )
