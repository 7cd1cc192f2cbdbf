"""A road map -> its drawing from above, in tiles that are painted when they come into view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import arc_length, interpolate
from cordillera.types import Crossing, Float, LaneKind, MapObject, RoadMap

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

PIXELS_PER_M = 8.0
TILE_M = 48.0
SUPERSAMPLE = 2
SHIFT = 4  # fractional bits of OpenCV's coordinates

GROUND: Color = (206, 214, 193)
ROAD: Color = (92, 97, 104)
JUNCTION: Color = (88, 93, 100)
PAINT: dict[str, Color] = {
    "white": (240, 240, 235),
    "yellow": (240, 190, 70),
    "orange": (240, 140, 50),
    "red": (210, 70, 60),
    "blue": (90, 130, 220),
    "green": (80, 160, 90),
}
SURFACE: dict[LaneKind, Color] = {
    LaneKind.DRIVING: ROAD,
    LaneKind.BUS: (104, 92, 92),
    LaneKind.BIKING: (146, 104, 96),
    LaneKind.SIDEWALK: (190, 187, 180),
    LaneKind.SHOULDER: (116, 120, 124),
    LaneKind.PARKING: (106, 110, 118),
    LaneKind.MEDIAN: (168, 184, 148),
    LaneKind.BORDER: (178, 178, 168),
    LaneKind.KERB: (160, 158, 152),
    LaneKind.RAIL: (128, 116, 108),
    LaneKind.RESTRICTED: (120, 122, 124),
}
# What lies below is painted first; lanes of kinds that are not named here are not surfaces and stay unpainted.
ORDER = (
    LaneKind.BORDER,
    LaneKind.MEDIAN,
    LaneKind.SIDEWALK,
    LaneKind.KERB,
    LaneKind.RAIL,
    LaneKind.RESTRICTED,
    LaneKind.SHOULDER,
    LaneKind.PARKING,
    LaneKind.BIKING,
    LaneKind.BUS,
    LaneKind.DRIVING,
)
OBJECTS: dict[str, Color] = {
    "building": (176, 164, 152),
    "vegetation": (150, 178, 122),
    "tree": (112, 152, 92),
    "parking": (112, 116, 124),
    "barrier": (150, 146, 140),
    "wall": (150, 146, 140),
    "pole": (120, 120, 120),
    "traffic_island": (186, 184, 176),
    "cone": (240, 120, 40),
}
ROOFS = ("building", "tree")


@dataclass(frozen=True, eq=False)
class _Shape:
    """One thing to paint: a filled outline, or a line of a width."""

    xy: Float  # (N, 2) world
    color: Color
    width_m: float = 0.0  # 0: filled


class MapLayer:
    """The static picture of a map, x to the right and y up; tiles are painted once and kept."""

    def __init__(self, road_map: RoadMap) -> None:
        self._shapes = _shapes(road_map)
        self._tiles: dict[tuple[int, int], Image] = {}
        self._cells = _index(self._shapes)
        self._patch: tuple[tuple[int, ...], Image] | None = None

    def view(self, tf_screen_world: Float, width: int, height: int) -> Image:
        """The map as an affine view (2, 3) of the world in pixels shows it: (height, width, 3) RGB."""
        inverse = cv2.invertAffineTransform(tf_screen_world)
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ inverse.T
        first = np.floor(corners.min(axis=0) / TILE_M).astype(int)
        last = np.floor(corners.max(axis=0) / TILE_M).astype(int)
        cells = (*first.tolist(), *last.tolist())
        if self._patch is None or self._patch[0] != cells:
            self._patch = cells, self._assemble(*cells)
        patch = self._patch[1]
        x0, y1 = first[0] * TILE_M, (last[1] + 1) * TILE_M
        scale = 1.0 / PIXELS_PER_M
        to_world = np.array([[scale, 0.0, x0], [0.0, -scale, y1], [0.0, 0.0, 1.0]])
        tf_screen_patch = tf_screen_world @ to_world
        return np.asarray(
            cv2.warpAffine(patch, tf_screen_patch, (width, height), flags=cv2.INTER_LINEAR, borderValue=GROUND),
            dtype=np.uint8,
        )

    def _assemble(self, i0: int, j0: int, i1: int, j1: int) -> Image:
        """The tiles of a range of cells in one picture, the upper row first."""
        rows = [[self._tile(i, j) for i in range(i0, i1 + 1)] for j in range(j1, j0 - 1, -1)]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)

    def _tile(self, i: int, j: int) -> Image:
        if (i, j) not in self._tiles:
            self._tiles[i, j] = self._paint(i, j)
        return self._tiles[i, j]

    def _paint(self, i: int, j: int) -> Image:
        scale = PIXELS_PER_M * SUPERSAMPLE
        side = round(TILE_M * scale)
        image = np.empty((side, side, 3), dtype=np.uint8)
        image[:] = GROUND
        origin = np.array([i * TILE_M, (j + 1) * TILE_M])
        for k in self._cells.get((i, j), ()):
            shape = self._shapes[k]
            pixels = (shape.xy - origin) * np.array([scale, -scale]) - 0.5
            points = np.round(pixels * (1 << SHIFT)).astype(np.int32)
            if shape.width_m > 0.0:
                thickness = max(1, round(shape.width_m * scale))
                cv2.polylines(image, [points], False, shape.color, thickness, cv2.LINE_AA, SHIFT)
            else:
                cv2.fillPoly(image, [points], shape.color, cv2.LINE_8, SHIFT)
        small = (side // SUPERSAMPLE, side // SUPERSAMPLE)
        return np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _index(shapes: list[_Shape]) -> dict[tuple[int, int], list[int]]:
    cells: dict[tuple[int, int], list[int]] = {}
    for k, shape in enumerate(shapes):
        margin = shape.width_m + 1.0
        first = np.floor((shape.xy.min(axis=0) - margin) / TILE_M).astype(int)
        last = np.floor((shape.xy.max(axis=0) + margin) / TILE_M).astype(int)
        for cell in product(range(first[0], last[0] + 1), range(first[1], last[1] + 1)):
            cells.setdefault(cell, []).append(k)
    return cells


def _shapes(road_map: RoadMap) -> list[_Shape]:
    """Everything of a map that stands still, in the order of painting."""
    shapes: list[_Shape] = []
    grounds = [o for o in road_map.objects if o.kind not in ROOFS]
    shapes += [shape for thing in grounds if thing.kind in OBJECTS for shape in _object(thing)]
    surfaces = [kind for kind in ORDER if kind in SURFACE]
    for kind in surfaces:
        for lane in road_map.lanes:
            if lane.kind == kind:
                color = JUNCTION if lane.junction and kind == LaneKind.DRIVING else SURFACE[kind]
                outline = np.concatenate([lane.right_xyz, lane.left_xyz[::-1]])[:, :2]
                shapes.append(_Shape(outline, color))
                # Neighbours may leave a hairline between their borders; the rim closes it.
                shapes.append(_Shape(np.concatenate([outline, outline[:1]]), color, 0.08))
    for crossing in road_map.crossings:
        shapes += _zebra(crossing)
    for mark in road_map.marks:
        shapes += _mark(mark.xyz[:, :2], mark.kind, PAINT.get(mark.color, PAINT["white"]), mark.width_m)
    for line in road_map.stop_lines:
        shapes.append(_Shape(line.xyz[:, :2], PAINT["white"], 0.4))
    shapes += [shape for thing in road_map.objects if thing.kind in ROOFS for shape in _object(thing)]
    return shapes


def _mark(xy: Float, kind: str, color: Color, width_m: float) -> list[_Shape]:
    """A line of a marking -> strips: solid, broken or double; kerbs are drawn in stone."""
    width = max(width_m, 0.14)
    if kind in ("kerb", "curb", "edge", "curbstone"):
        return [_Shape(xy, (172, 170, 164), 0.18)]
    if kind == "grass":
        return []
    sides = kind.split(" ")
    if len(sides) == 2 and kind != "botts dots":
        left, right = _shifted(xy, 0.13), _shifted(xy, -0.13)
        return _mark(left, sides[0], color, width) + _mark(right, sides[1], color, width)
    if kind in ("broken", "dashed", "botts dots"):
        dash, gap = (0.2, 1.0) if kind == "botts dots" else (3.0, 4.5)
        return [_Shape(piece, color, width) for piece in _dashes(xy, dash, gap)]
    return [_Shape(xy, color, width)]


def _dashes(xy: Float, dash_m: float, gap_m: float) -> list[Float]:
    length = float(arc_length(xy)[-1])
    # Short lines get whole periods too, so that dashes of lanes that follow each other look alike.
    starts = np.arange(0.5 * gap_m, max(length, 0.0), dash_m + gap_m)
    along = [np.linspace(s, min(s + dash_m, length), 4) for s in starts]
    return [interpolate(xy, s) for s in along if s[-1] - s[0] > 0.1]


def _shifted(xy: Float, left_m: float) -> Float:
    step = np.gradient(xy, axis=0)
    norm = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    return xy + left_m * np.stack([-step[:, 1], step[:, 0]], axis=-1) / norm[:, None]


def _zebra(crossing: Crossing) -> list[_Shape]:
    """Stripes across the longer side of the outline's smallest rectangle, cut to the outline's extent."""
    outline = crossing.outline_xyz[:, :2]
    if len(outline) < 3:
        return []
    middle = outline.mean(axis=0)
    (cx, cy), (w, h), degrees = cv2.minAreaRect((outline - middle).astype(np.float32))
    angle = math.radians(degrees)
    u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    if w < h:
        u, v, w, h = v, u, h, w
    center = middle + np.array([cx, cy])
    count = max(1, int(w / 1.0))
    stripes = []
    for k in range(count):
        at = center + u * ((k + 0.5) * w / count - 0.5 * w)
        corners = [at + 0.25 * a * u + 0.5 * h * b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        stripes.append(_Shape(np.array(corners), PAINT["white"]))
    return stripes


def _object(thing: MapObject) -> list[_Shape]:
    color = OBJECTS.get(thing.kind, (150, 150, 145))
    outline = thing.outline_xyz[:, :2]
    if thing.kind == "tree":
        radius = max(1.2, 0.5 * max(thing.size_lwh[:2]))
        turn = np.linspace(0.0, 2.0 * math.pi, 20, endpoint=False)
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        darker = (color[0] - 26, color[1] - 26, color[2] - 22)
        at = thing.xyz[:2]
        return [
            _Shape(at + radius * ring + np.array([0.4, -0.4]), (170, 180, 156)),
            _Shape(at + radius * ring, darker),
            _Shape(at + 0.7 * radius * ring, color),
        ]
    if len(outline) < 2:
        length, width, _ = thing.size_lwh
        c, s = math.cos(thing.yaw_rad), math.sin(thing.yaw_rad)
        corners = 0.5 * np.array([[length, width], [-length, width], [-length, -width], [length, -width]])
        outline = thing.xyz[:2] + corners @ np.array([[c, s], [-s, c]])
    if len(outline) == 2:
        return [_Shape(outline, color, 0.25)]
    if thing.kind == "building":
        shadow = _Shape(outline + np.array([1.2, -1.2]), (186, 193, 174))
        rim = np.concatenate([outline, outline[:1]])
        return [shadow, _Shape(outline, color), _Shape(rim, (150, 138, 126), 0.3)]
    return [_Shape(outline, color)]
