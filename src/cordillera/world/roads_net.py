"""A road map -> flat arrays that every kernel reads: lane lines, links, rules, and a uniform grid of lane segments.

All lanes' points stand one after the other; segment i runs from point i to point i + 1 of the same lane. Lines keep
every vertex of the map and get further ones so that no segment is longer than 2 m, which bounds what a grid cell holds
and keeps interpolated headings local. Arc lengths are horizontal, as in OpenDRIVE.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cordillera.types import Float, Int, Lane, LaneKind, RoadMap, SignalKind

Table = Any  # NDArray of records of one of the types below; their fields are unknown to type checkers

MAX_SEGMENT_M = 2.0
CELL_M = 8.0
MAX_CELLS = 4_000_000
GAP_CELL_M = 0.25
GAP_STRIDE = 1 << 31  # the key of a fine cell is row * stride + column, from the grid's low corner
GRID_MARGIN_M = 0.5  # room for the seam tolerance and for borders that do not stand square to the centre line

LANE_KINDS = tuple(LaneKind)
ROUTABLE = (LaneKind.DRIVING, LaneKind.BUS)
DRIVABLE = (*ROUTABLE, LaneKind.SHOULDER, LaneKind.PARKING, LaneKind.BIKING)
TURNS = ("straight", "left", "right", "u-turn")
CONFLICT_KINDS = ("cross", "merge", "diverge")
SIGNAL_KINDS = tuple(SignalKind)


POINT = np.dtype(
    [
        (name, np.float64)
        for name in (
            *("x", "y", "z"),  # centre
            *("left_x", "left_y", "left_z", "right_x", "right_y", "right_z"),  # borders
            "s",  # horizontal arc length along the centre
            *("along_x", "along_y"),  # unit direction of travel
            *("half_left", "half_right"),  # from the centre line to the borders
        )
    ]
    + [("lane", np.int64)]  # of the segment that starts here, -1 at a lane's last point
)
LANE = np.dtype(
    [("length", np.float64)]
    + [
        (name, np.int64)
        for name in (
            *("kind", "turn"),  # codes: positions in LANE_KINDS and TURNS
            "routable",  # a vehicle's route may run here
            "drivable",  # a vehicle may stand here
            "bidirectional",
            "junction",  # its number, -1 outside
            *("left", "right", "oncoming"),
            *("change_left", "change_right"),
        )
    ]
)
LIMIT = np.dtype([("s", np.float64), ("mps", np.float64)])  # holds from s on
# `kind` is a position in SIGNAL_KINDS; `for_lane`: only the traffic that goes on to this lane is meant, -1: all
REGULATION = np.dtype([("s", np.float64)] + [(n, np.int64) for n in ("kind", "signal", "stop_line", "for_lane")])
# `kind` is a position in CONFLICT_KINDS
CONFLICT = np.dtype(
    [(n, np.float64) for n in ("s0", "s1", "other_s0", "other_s1")]
    + [(n, np.int64) for n in ("other", "kind", "yields")]
)
CROSSING = np.dtype([("s0", np.float64), ("s1", np.float64), ("crossing", np.int64)])


class Net(NamedTuple):
    """A compiled road map: L lanes, P points. Rows of lane i in `points` are `pt_ptr[i]:pt_ptr[i + 1]`, and so on.

    Columns are fields of records, since the time that numba takes for a kernel grows with the number of arrays.
    """

    pt_ptr: Int  # (L + 1,)
    points: Table  # (P,) POINT
    lanes: Table  # (L,) LANE
    succ_ptr: Int
    succ_idx: Int
    pred_ptr: Int
    pred_idx: Int
    limit_ptr: Int
    limits: Table  # LIMIT, by s in each lane, at least one row a lane
    reg_ptr: Int
    regulations: Table  # REGULATION, by s in each lane
    conf_ptr: Int
    conflicts: Table  # CONFLICT
    cross_ptr: Int
    crossings: Table  # CROSSING, by s in each lane
    grid: Float  # (5,) low x, low y, cell size, columns, rows; cell (i, j) is number j * columns + i
    cell_ptr: Int
    cell_seg: Int  # first points of the segments of routable lanes that touch a cell, ascending
    rest_ptr: Int
    rest_seg: Int  # those of all other lanes
    gaps: Int  # ascending keys of the fine cells that close gaps between lanes inside junctions


def rows_by_lane(lane: Int, count: int) -> tuple[Int, Int]:
    """Lane of each row, number of lanes -> stable order of the rows by lane, pointers (count + 1,) into that order."""
    order = np.argsort(lane, kind="stable")
    pointers = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(lane, minlength=count), out=pointers[1:])
    return order.astype(np.int64), pointers


def _links(rows: list[tuple[int, ...]]) -> tuple[Int, Int]:
    pointers = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=pointers[1:])
    return pointers, np.array([i for row in rows for i in row], dtype=np.int64)


def _concatenate(lanes: tuple[Lane, ...]) -> tuple[Float, Int]:
    """Lanes -> centre, left and right side by side (Q, 9) and the lane of each row, repeated points left out."""
    if not lanes:
        return np.zeros((0, 9)), np.zeros(0, dtype=np.int64)
    rows = np.concatenate([np.concatenate([e.center_xyz, e.left_xyz, e.right_xyz], axis=1) for e in lanes])
    lane = np.repeat(np.arange(len(lanes)), [len(e.center_xyz) for e in lanes])
    step = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    keep = np.concatenate([[True], (step > 1e-6) | (lane[1:] != lane[:-1])])
    count = np.bincount(lane[keep], minlength=len(lanes))
    for index in np.flatnonzero(count < 2):  # no length at all: kept as it is
        keep[np.flatnonzero(lane == index)[-1]] = True
    return rows[keep], lane[keep]


def _densify(rows: Float, lane: Int) -> tuple[Float, Int]:
    """Rows (Q, 9) of lines -> the same lines with segments of at most MAX_SEGMENT_M."""
    if not len(rows):
        return rows, lane
    step = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    inner = lane[1:] == lane[:-1]
    pieces = np.ones(len(rows), dtype=np.int64)
    pieces[:-1][inner] = np.maximum(1, np.ceil(step[inner] / MAX_SEGMENT_M - 1e-9)).astype(np.int64)
    source = np.repeat(np.arange(len(rows)), pieces)
    first = np.cumsum(pieces) - pieces
    t = ((np.arange(len(source)) - first[source]) / pieces[source])[:, None]
    following = np.minimum(source + 1, len(rows) - 1)
    return np.where(t > 0.0, rows[source] + t * (rows[following] - rows[source]), rows[source]), lane[source]


def _tangents(xy: Float, lane: Int) -> tuple[Float, Float]:
    """Points (P, 2) of all lanes -> unit tangents (P, 2), lengths of the segments that start there (0 at lane ends).

    An inner tangent weighs each neighbouring direction by the other one's length, which is exact on circles; an end
    continues the turn of its segment.
    """
    count = len(xy)
    inner = lane[1:] == lane[:-1]
    step = np.diff(xy, axis=0)
    length = np.where(inner, np.hypot(*step.T), 0.0)
    direction = np.where(inner[:, None], step / np.maximum(length, 1e-12)[:, None], 0.0)
    before, after = np.zeros((count, 2)), np.zeros((count, 2))
    before[1:], after[:-1] = direction, direction
    length_before, length_after = np.zeros(count), np.zeros(count)
    length_before[1:], length_after[:-1] = length, length
    tangent = before * length_after[:, None] + after * length_before[:, None]
    starts, ends = length_before == 0.0, length_after == 0.0
    for edge, own, shift in ((starts, after, 1), (ends, before, -1)):
        index = np.flatnonzero(edge)
        near = tangent[np.clip(index + shift, 0, count - 1)]
        near = near / np.maximum(np.hypot(*near.T), 1e-12)[:, None]
        chord = own[index]
        # reflect the neighbour's tangent in the chord; two-point lanes have no neighbour's tangent
        mirrored = 2.0 * np.einsum("ij,ij->i", near, chord)[:, None] * chord - near
        alone = edge[np.clip(index + shift, 0, count - 1)]
        tangent[index] = np.where(alone[:, None], chord, mirrored)
    norm = np.hypot(*tangent.T)
    tangent = np.where(norm[:, None] > 1e-12, tangent / np.maximum(norm, 1e-12)[:, None], after + before)
    tangent[np.hypot(*tangent.T) < 1e-9] = (1.0, 0.0)
    return tangent / np.hypot(*tangent.T)[:, None], length_after


def _grid(road_xy: Float) -> Float:
    if not len(road_xy):
        return np.array([0.0, 0.0, CELL_M, 1.0, 1.0])
    low = road_xy.min(axis=0) - GRID_MARGIN_M
    span = road_xy.max(axis=0) + GRID_MARGIN_M - low
    cell = max(CELL_M, float(np.sqrt(span[0] * span[1] / MAX_CELLS)))
    return np.array([*low, cell, *(np.floor(span / cell) + 1.0)])


def _fill_cells(corners: Float, segments: Int, grid: Float) -> tuple[Int, Int]:
    """Outlines (M, K, 2) of segments (M,) -> pointers (cells + 1,) and the segments of each cell, ascending."""
    shape = grid[3:].astype(np.int64)
    low = np.floor((corners.min(axis=1) - GRID_MARGIN_M - grid[:2]) / grid[2]).astype(np.int64)
    high = np.floor((corners.max(axis=1) + GRID_MARGIN_M - grid[:2]) / grid[2]).astype(np.int64)
    low, high = np.clip(low, 0, shape - 1), np.clip(high, 0, shape - 1)
    wide = high - low + 1
    count = wide[:, 0] * wide[:, 1]
    source = np.repeat(np.arange(len(segments)), count)
    number = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    i = low[source, 0] + number % wide[source, 0]
    j = low[source, 1] + number // wide[source, 0]
    order, pointers = rows_by_lane(j * shape[0] + i, int(shape[0] * shape[1]))
    return pointers, segments[source[order]]


def compile_lines(road_map: RoadMap) -> Net:
    """Road map -> its net without rules: limits, regulations, conflicts, crossings, gaps are empty."""
    lanes = road_map.lanes
    rows, lane = _densify(*_concatenate(lanes))
    count = np.bincount(lane, minlength=len(lanes))
    pt_ptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    points, corners = _points(rows, lane, pt_ptr)
    table = _lane_table(lanes)
    table["length"] = points["s"][pt_ptr[1:] - 1] if len(rows) else 0.0
    segments = np.flatnonzero(points["lane"] >= 0)
    grid = _grid(corners[segments].reshape(-1, 2))
    on_route = table["routable"][lane[segments]] == 1
    cell_ptr, cell_seg = _fill_cells(corners[segments[on_route]], segments[on_route], grid)
    rest_ptr, rest_seg = _fill_cells(corners[segments[~on_route]], segments[~on_route], grid)
    none = np.zeros(len(lanes) + 1, dtype=np.int64)
    return Net(
        pt_ptr, points, table,
        *_links([e.successors for e in lanes]), *_links([e.predecessors for e in lanes]),
        none, np.zeros(0, LIMIT), none, np.zeros(0, REGULATION),
        none, np.zeros(0, CONFLICT), none, np.zeros(0, CROSSING),
        grid, cell_ptr, cell_seg, rest_ptr, rest_seg, np.zeros(0, dtype=np.int64),
    )  # fmt: skip


def _points(rows: Float, lane: Int, pt_ptr: Int) -> tuple[Table, Float]:
    """Lines (P, 9), lanes (P,), pointers -> POINT records (P,); corners (P, 10, 2) around the segment at each point."""
    points = np.zeros(len(rows), dtype=POINT)
    if not len(rows):
        return points, np.zeros((0, 10, 2))
    tangent, step = _tangents(rows[:, :2], lane)
    along = np.concatenate([[0.0], np.cumsum(step)])[: len(step)]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    half = [np.abs(np.einsum("ij,ij->i", rows[:, c : c + 2] - rows[:, :2], normal)) for c in (3, 6)]
    names = POINT.names[:9] if POINT.names else ()
    for k, name in enumerate(names):
        points[name] = rows[:, k]
    points["s"] = along - np.repeat(along[pt_ptr[:-1]], np.diff(pt_ptr))
    points["along_x"], points["along_y"] = tangent.T
    points["half_left"], points["half_right"] = half
    points["lane"] = lane
    points["lane"][pt_ptr[1:] - 1] = -1
    edges = [rows[:, c : c + 2] for c in (0, 3, 6)]
    edges += [rows[:, :2] + normal * half[0][:, None], rows[:, :2] - normal * half[1][:, None]]
    following = np.minimum(np.arange(len(rows)) + 1, len(rows) - 1)
    return points, np.stack([corner for edge in edges for corner in (edge, edge[following])], axis=1)


def _lane_table(lanes: tuple[Lane, ...]) -> Table:
    """Lanes -> LANE records, lengths still 0."""
    junctions: dict[str, int] = {}
    table = np.zeros(len(lanes), dtype=LANE)
    for k, lane in enumerate(lanes):
        junction = junctions.setdefault(lane.junction, len(junctions)) if lane.junction else -1
        table[k] = (
            0.0, LANE_KINDS.index(lane.kind), TURNS.index(lane.turn), lane.kind in ROUTABLE, lane.kind in DRIVABLE,
            lane.bidirectional, junction, lane.left, lane.right, lane.oncoming, lane.change_left, lane.change_right,
        )  # fmt: skip
    return table
