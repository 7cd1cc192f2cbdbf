"""Small areas inside junctions that no lane covers: a road map -> the fine cells that are drivable all the same.

The lanes over a junction leave gaps between their curves which are asphalt like the rest. Such a gap is enclosed by
lanes and nowhere wider than 3 m; what is larger counts as an island.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.types import Float, Int, Lane, RoadMap
from cordillera.world.roads_net import DRIVABLE, GAP_CELL_M, GAP_STRIDE

GAP_RADIUS_M = 1.5
MARGIN_M = 2.0
MAX_PIXELS = 4_000_000  # a junction larger than this many fine cells is left as it is
SUBPIXEL_BITS = 6


def junction_gaps(road_map: RoadMap, low_xy: Float) -> Int:
    """Road map, origin of the cells -> keys row * GAP_STRIDE + column, ascending, of cells in or at gaps."""
    outlines = [_outline(lane) for lane in road_map.lanes if lane.kind in DRIVABLE]
    if not outlines:
        return np.zeros(0, dtype=np.int64)
    low = np.array([outline.min(axis=0) for outline in outlines])
    high = np.array([outline.max(axis=0) for outline in outlines])
    keys = [np.zeros(0, dtype=np.int64)]
    for begin, end in _areas(road_map):
        first = np.floor((begin - low_xy) / GAP_CELL_M).astype(np.int64)
        size = np.ceil((end - low_xy) / GAP_CELL_M).astype(np.int64) - first
        if size.prod() > MAX_PIXELS:
            continue
        near = np.flatnonzero((low < end).all(axis=1) & (high > begin).all(axis=1))
        origin = low_xy + first * GAP_CELL_M
        rows, columns = np.nonzero(_gaps([outlines[k] - origin for k in near], size))
        keys.append((rows + first[1]) * GAP_STRIDE + columns + first[0])
    return np.unique(np.concatenate(keys))


def _outline(lane: Lane) -> Float:
    return np.concatenate([lane.left_xyz, lane.right_xyz[::-1]])[:, :2]


def _areas(road_map: RoadMap) -> list[tuple[Float, Float]]:
    """Low and high corner of the area of each junction."""
    points: dict[str, list[Float]] = {}
    for lane in road_map.lanes:
        if lane.junction and lane.kind in DRIVABLE:
            points.setdefault(lane.junction, []).append(_outline(lane))
    stacked = [np.concatenate(rows) for rows in points.values()]
    return [(rows.min(axis=0) - MARGIN_M, rows.max(axis=0) + MARGIN_M) for rows in stacked]


def _gaps(outlines: list[Float], size: Int) -> NDArray[np.bool_]:
    """Lane outlines in m from the low corner, columns and rows -> mask (rows, columns) of gaps and the cells around."""
    free = np.ones((int(size[1]), int(size[0])), dtype=np.uint8)
    scale = (1 << SUBPIXEL_BITS) / GAP_CELL_M
    half = 1 << (SUBPIXEL_BITS - 1)  # pixel centres are whole numbers for the rasteriser
    for outline in outlines:
        corners = np.round(outline * scale).astype(np.int32) - half
        cv2.fillPoly(free, [corners], (0,), cv2.LINE_8, SUBPIXEL_BITS)
    count, label, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * GAP_CELL_M
    gap = np.zeros(free.shape, dtype=np.uint8)
    for k in range(1, count):
        x, y, wide, high, _ = (int(v) for v in stats[k])
        touches_rim = x == 0 or y == 0 or x + wide == free.shape[1] or y + high == free.shape[0]
        if not touches_rim:
            part = (slice(y, y + high), slice(x, x + wide))
            inside = label[part] == k
            if distance[part][inside].max() <= GAP_RADIUS_M:
                gap[part][inside] = 1
    return cv2.dilate(gap, np.ones((3, 3), dtype=np.uint8)) > 0
