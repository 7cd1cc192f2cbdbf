"""A road map -> everything painted on the road as straight strokes, in a grid by which the shader finds them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import arc_length, simplify
from cordillera.sensors.classes import Semantic
from cordillera.types import Crossing, Float, Int, MapObject, RoadMap, RoadMark

CELL_M = 2.0
MARGIN_M = 0.7  # a stroke is found from this far outside of it
LONGEST_M = 24.0
COLORS = np.array(
    [
        (0.72, 0.72, 0.70),
        (0.75, 0.50, 0.07),
        (0.08, 0.20, 0.60),
        (0.55, 0.06, 0.05),
        (0.80, 0.30, 0.04),
        (0.07, 0.35, 0.12),
    ]
)
COLOR_OF = {"white": 0, "yellow": 1, "blue": 2, "red": 3, "orange": 4, "green": 5}
# metres painted and metres a period of broken lines, by region (towns; the customary sizes of each country)
DASHES = {"US": (3.0, 12.0), "JP": (5.0, 10.0), "GB": (2.0, 6.0), "": (3.0, 9.0)}


class Strokes(NamedTuple):
    """N straight strokes, and for each 2 m cell those that may touch it."""

    line: Float  # (N, 10) ax, ay, direction, length, z, s at a, half width, painted and period of dashes (0: solid)
    slim: NDArray[np.float32]  # (N, 7) for a quick look: ax and ay from the corner, direction, length, half width, z
    color: Int  # (N,)
    semantic: Int  # (N,)
    first: NDArray[np.int32]  # (R * C + 1,)
    member: NDArray[np.int32]  # (M,)
    blocks: NDArray[np.uint8]  # (ceil(R / 4), ceil(C / 4)) whether any of 4 x 4 cells has a stroke: small, so in cache
    columns: int
    rows: int
    x0: float
    y0: float


def build_strokes(road_map: RoadMap, region: str) -> Strokes:
    """A map and its region -> its paint."""
    rows: list[tuple[float, ...]] = []
    for mark in road_map.marks:
        _add_mark(rows, mark, DASHES.get(region, DASHES[""]))
    for crossing in road_map.crossings:
        _add_crossing(rows, crossing)
    for stop in road_map.stop_lines:
        _add_line(rows, stop.xyz, 0.0, 0.40, (0.0, 0.0), 0, Semantic.STOP_LINE)
    for thing in road_map.objects:
        if thing.kind.startswith("arrow"):
            _add_arrow(rows, thing)
        elif thing.kind == "parking" and len(thing.outline_xyz) > 2:
            closed = np.concatenate([thing.outline_xyz, thing.outline_xyz[:1]])
            _add_line(rows, closed, 0.0, 0.10, (0.0, 0.0), 0, Semantic.LANE_MARK)
    table = np.array(rows, dtype=np.float64).reshape(-1, 11)
    return _in_grid(table, _lower_left(road_map, table))


def _lower_left(road_map: RoadMap, table: Float) -> tuple[float, float]:
    if not len(table):
        return float(road_map.lanes[0].center_xyz[0, 0]), float(road_map.lanes[0].center_xyz[0, 1])
    x = np.minimum(table[:, 0], table[:, 2]).min() - 4.0
    y = np.minimum(table[:, 1], table[:, 3]).min() - 4.0
    return float(x), float(y)


def _in_grid(table: Float, corner: tuple[float, float]) -> Strokes:
    """Strokes (N, 11) and the lower left corner of all -> strokes with their grid."""
    x0, y0 = corner
    reach = table[:, 6] + MARGIN_M
    low = np.floor((np.minimum(table[:, 0:2], table[:, 2:4]) - reach[:, None] - (x0, y0)) / CELL_M).astype(int)
    high = np.floor((np.maximum(table[:, 0:2], table[:, 2:4]) + reach[:, None] - (x0, y0)) / CELL_M).astype(int)
    columns, rows = (int(v) for v in high.max(axis=0) + 1) if len(table) else (1, 1)
    cells: list[Int] = []
    owners: list[Int] = []
    for k in range(len(table)):
        i, j = np.meshgrid(np.arange(low[k, 1], high[k, 1] + 1), np.arange(low[k, 0], high[k, 0] + 1), indexing="ij")
        i, j = i.ravel(), j.ravel()
        centre = np.stack([x0 + (j + 0.5) * CELL_M, y0 + (i + 0.5) * CELL_M], axis=-1)
        a, b = table[k, 0:2], table[k, 2:4]
        along = np.clip((centre - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-12), 0.0, 1.0)
        gap = np.linalg.norm(centre - a - along[:, None] * (b - a), axis=1)
        near = gap < reach[k] + 0.7072 * CELL_M
        cells.append((i * columns + j)[near])
        owners.append(np.full(int(near.sum()), k))
    cell = np.concatenate(cells) if cells else np.zeros(0, int)
    owner = np.concatenate(owners) if owners else np.zeros(0, int)
    order = np.argsort(cell, kind="stable")
    first = np.zeros(rows * columns + 1, np.int64)
    np.add.at(first, cell + 1, 1)
    step = table[:, 2:4] - table[:, 0:2]
    length = np.linalg.norm(step, axis=1)
    blocks = np.zeros((-(-rows // 4), -(-columns // 4)), np.uint8)
    blocks[cell // columns // 4, cell % columns // 4] = 1
    line = np.column_stack([table[:, :2], step / np.maximum(length, 1e-9)[:, None], length, table[:, 4:9]])
    slim = np.column_stack([line[:, :2] - corner, line[:, 2:5], line[:, 7], line[:, 5]]).astype(np.float32)
    return Strokes(
        line,
        slim,
        table[:, 9].astype(np.int64),
        table[:, 10].astype(np.int64),
        np.cumsum(first).astype(np.int32),
        owner[order].astype(np.int32),
        blocks,
        columns,
        rows,
        x0,
        y0,
    )


def _add_line(
    rows: list[tuple[float, ...]],
    xyz: Float,
    offset_m: float,
    width_m: float,
    dash: tuple[float, float],
    color: int,
    semantic: int,
) -> None:
    """Append a polyline, shifted to the left by the offset."""
    if len(xyz) < 2:
        return
    line = xyz[simplify(xyz, 0.02)]
    if offset_m:
        step = np.gradient(line[:, :2], axis=0)
        step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
        line = line + offset_m * np.stack([-step[:, 1], step[:, 0], 0.0 * step[:, 0]], axis=-1)
    along = arc_length(line)
    for a, b, s in zip(line[:-1], line[1:], along[:-1], strict=True):
        length = float(np.linalg.norm(b - a))
        pieces = max(1, math.ceil(length / LONGEST_M))
        for k in range(pieces):
            u, v = a + (b - a) * (k / pieces), a + (b - a) * ((k + 1) / pieces)
            z = 0.5 * (u[2] + v[2])
            rows.append((u[0], u[1], v[0], v[1], z, s + length * k / pieces, 0.5 * width_m, *dash, color, semantic))


def _add_mark(rows: list[tuple[float, ...]], mark: RoadMark, dash: tuple[float, float]) -> None:
    """Append a road mark: one or two lines, solid or broken. Kerbs are meshes and get no paint."""
    color = COLOR_OF.get(mark.color, 0)
    width = mark.width_m if mark.width_m > 0.0 else 0.12
    words = mark.kind.split()
    if words[0] in ("kerb", "curb", "none", "grass"):
        return
    if len(words) == 2 and words[0] in ("solid", "broken") and words[1] in ("solid", "broken"):
        for word, side in ((words[0], 1.0), (words[1], -1.0)):
            pattern = dash if word == "broken" else (0.0, 0.0)
            _add_line(rows, mark.xyz, side * max(width, 0.12), width, pattern, color, Semantic.LANE_MARK)
        return
    pattern = dash if words[0] in ("broken", "dashed") else (0.2, 1.2) if words[0] == "botts" else (0.0, 0.0)
    _add_line(rows, mark.xyz, 0.0, width, pattern, color, Semantic.LANE_MARK)


def _add_crossing(rows: list[tuple[float, ...]], crossing: Crossing) -> None:
    """Append the bars of a crossing: across the way of walking, 0.5 m wide and 1 m apart."""
    xyz = crossing.outline_xyz
    middle = xyz.mean(axis=0)
    side = np.roll(xyz, -1, axis=0)[:, :2] - xyz[:, :2]
    longest = side[int(np.argmax(np.linalg.norm(side, axis=1)))]
    walk = longest / max(float(np.linalg.norm(longest)), 1e-9)
    across = np.array([-walk[1], walk[0]])
    along = (xyz[:, :2] - middle[:2]) @ walk
    wide = (xyz[:, :2] - middle[:2]) @ across
    count = max(1, int((along.max() - along.min()) / 1.0))
    start = 0.5 * (along.max() + along.min()) - 0.5 * (count - 1)
    for k in range(count):
        span = _span(along, wide, start + k)
        if span is None:
            continue
        base = middle[:2] + (start + k) * walk
        a, b = base + (span[0] + 0.1) * across, base + (span[1] - 0.1) * across
        rows.append((a[0], a[1], b[0], b[1], middle[2], 0.0, 0.25, 0.0, 0.0, 0, Semantic.CROSSING))


def _span(along: Float, wide: Float, at: float) -> tuple[float, float] | None:
    """An outline in two coordinates, a place along it -> where a line across enters and leaves it."""
    hits = []
    for k in range(len(along)):
        a, b = along[k], along[(k + 1) % len(along)]
        if (a <= at) != (b <= at):
            hits.append(wide[k] + (wide[(k + 1) % len(along)] - wide[k]) * (at - a) / (b - a))
    return (min(hits), max(hits)) if len(hits) >= 2 and max(hits) - min(hits) > 0.5 else None


def _add_arrow(rows: list[tuple[float, ...]], thing: MapObject) -> None:
    """Append a painted arrow: shaft, bend and head, 4 m long."""
    c, s = math.cos(thing.yaw_rad), math.sin(thing.yaw_rad)
    bend = 1.0 if "left" in thing.kind else -1.0 if "right" in thing.kind else 0.0
    tip = (0.9, bend) if bend else (2.0, 0.0)
    parts = [((-2.0, 0.0), (0.7 if bend else 1.4, 0.0), 0.15)]
    if bend:
        parts.append(((0.6, 0.0), (0.9, 0.8 * bend), 0.15))
        parts += [((0.9 - 0.5, 0.7 * bend), tip, 0.10), ((0.9 + 0.5, 0.7 * bend), tip, 0.10)]
    else:
        parts += [((1.2, 0.45), tip, 0.12), ((1.2, -0.45), tip, 0.12)]
    for (ax, ay), (bx, by), half in parts:
        xa, ya = thing.xyz[0] + c * ax - s * ay, thing.xyz[1] + s * ax + c * ay
        xb, yb = thing.xyz[0] + c * bx - s * by, thing.xyz[1] + s * bx + c * by
        rows.append((xa, ya, xb, yb, float(thing.xyz[2]), 0.0, half, 0.0, 0.0, 0, Semantic.LANE_MARK))
