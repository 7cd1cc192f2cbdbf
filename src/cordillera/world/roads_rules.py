"""A road map and its net -> the rules by lane: speed limits, where to stop for what, conflicts, crossings.

A light or sign names the lanes that it regulates, often those inside a junction, while one waits before them. So each
regulation is put where its stop line crosses a lane: the regulated lane itself, or a lane upstream of it, in which
case it is meant for the traffic that goes on to the regulated lane.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cordillera.geometry import points_in_polygon, resample
from cordillera.types import Float, Int, RoadMap, Signal, SignalKind
from cordillera.world.roads_kernels import lane_point, lane_project
from cordillera.world.roads_net import (
    CONFLICT,
    CONFLICT_KINDS,
    CROSSING,
    LIMIT,
    REGULATION,
    SIGNAL_KINDS,
    Net,
    Table,
    rows_by_lane,
)

STOPPING = (SignalKind.TRAFFIC_LIGHT, SignalKind.STOP, SignalKind.GIVE_WAY)
UPSTREAM_M = 60.0  # how far before a regulated lane its stop line may lie
DOWNSTREAM_M = 20.0  # and after the end of the lane that a sign stands on
ON_LANE_M = 1.0  # a stop line comes at least this close to the centre line of a lane that it stops
ENTRY_M = 0.5  # a line this close to the start of a lane belongs to the lane before


def add_rules(road_map: RoadMap, net: Net) -> Net:
    """Road map, its net without rules -> the net with limits, regulations, conflicts and crossings."""
    count = len(road_map.lanes)
    limits = sorted(_limits(road_map, net))
    stops = sorted(_regulations(road_map, net), key=lambda row: (row[0], row[1][0], row[1][2], row[1][4]))
    crossings = sorted(_crossings(road_map))
    conflicts = [
        (c.lane, (*c.s_m, *c.other_s_m, c.other, CONFLICT_KINDS.index(c.kind), c.yields)) for c in road_map.conflicts
    ]
    conflicts.sort(key=lambda row: row[0])
    parts = ((limits, LIMIT), (stops, REGULATION), (conflicts, CONFLICT), (crossings, CROSSING))
    columns = [column for rows, dtype in parts for column in _table(rows, dtype, count)]
    names = ("limit_ptr", "limits", "reg_ptr", "regulations", "conf_ptr", "conflicts", "cross_ptr", "crossings")
    return net._replace(**dict(zip(names, columns, strict=True)))


def _table(rows: list, dtype: np.dtype, count: int) -> tuple[Int, Table]:
    """Rows (lane, record) in the order of lanes, number of lanes -> pointers (count + 1,), records."""
    _, pointers = rows_by_lane(np.array([row[0] for row in rows], dtype=np.int64), count)
    return pointers, np.array([row[1] for row in rows], dtype=dtype)


# ---------------------------------------------------------------- speed limits


def _limits(road_map: RoadMap, net: Net) -> Iterator[tuple[int, tuple]]:
    """Yields lane, LIMIT: the lane's own from its start, then those of the signs that stand along it."""
    for index, lane in enumerate(road_map.lanes):
        yield index, (0.0, float(lane.speed_limit_mps))
    for signal in road_map.signals:
        if signal.kind is SignalKind.SPEED_LIMIT and signal.value > 0.0:
            for lane in signal.lanes:
                s, _ = lane_project(net, lane, signal.xyz[0], signal.xyz[1])
                if 0.0 < s < net.lanes["length"][lane]:
                    yield lane, (s, float(signal.value))


# ------------------------------------------------------------------- crossings


def _crossings(road_map: RoadMap) -> Iterator[tuple[int, tuple]]:
    """Yields lane, CROSSING: what part of a lane each crossing covers, within 0.25 m."""
    for index, crossing in enumerate(road_map.crossings):
        outline = crossing.outline_xyz[:, :2]
        for number in crossing.lanes:
            lane = road_map.lanes[number]
            lines = (lane.center_xyz, lane.left_xyz, lane.right_xyz)
            low, high = np.inf, -np.inf
            length = float(np.hypot(*np.diff(lane.center_xyz[:, :2], axis=0).T).sum())
            for line in lines:
                points = resample(line[:, :2], 0.25)
                inside = np.flatnonzero(points_in_polygon(points, outline))
                if len(inside):
                    low = min(low, length * inside[0] / (len(points) - 1))
                    high = max(high, length * inside[-1] / (len(points) - 1))
            if low <= high:
                yield number, (low, high, index)


# ----------------------------------------------------------------- regulations


def _regulations(road_map: RoadMap, net: Net) -> Iterator[tuple[int, tuple]]:
    """Yields lane, REGULATION for each lane on which traffic waits for a light or sign, without repetition."""
    lines = [resample(line.xyz[:, :2], 0.25) if len(line.xyz) > 1 else line.xyz[:, :2] for line in road_map.stop_lines]
    for number, signal in enumerate(road_map.signals):
        if signal.kind not in STOPPING:
            continue
        kind = SIGNAL_KINDS.index(signal.kind)
        places: dict[tuple[int, int], set[int]] = {}  # (lane, line) -> the regulated lanes behind it
        where: dict[tuple[int, int], float] = {}
        for lane in signal.lanes:
            if not net.lanes["routable"][lane]:
                continue
            for at, line, s in _places(net, signal, lane, lines):
                places.setdefault((at, line), set()).add(lane)
                where[at, line] = s
        for (at, line), meant in places.items():
            everyone = at in meant or _covers(net, at, meant)
            for target in (-1,) if everyone else sorted(meant):
                yield at, (where[at, line], kind, number, line, target)


def _covers(net: Net, lane: int, meant: set[int], depth: int = 2) -> bool:
    """Whether all traffic of a lane goes on to one of the lanes meant, within `depth` lanes."""
    following = _neighbours(net, lane, upstream=False)
    return bool(following) and all(i in meant or (depth > 1 and _covers(net, i, meant, depth - 1)) for i in following)


def _places(net: Net, signal: Signal, lane: int, lines: list[Float]) -> Iterator[tuple[int, int, float]]:
    """Net, signal, a lane it regulates, stop lines -> (lane to wait on, stop line or -1, s)."""
    found = False
    for line in signal.stop_lines:
        for at, s in _crossed(net, lane, lines[line]):
            found = True
            yield at, line, s
    if found:
        return
    if net.lanes["junction"][lane] >= 0:
        before = _neighbours(net, lane, upstream=True)
        for at in before:
            yield at, -1, float(net.lanes["length"][at])
        if not before:
            yield lane, -1, 0.0
        return
    s, _ = lane_project(net, lane, signal.xyz[0], signal.xyz[1])
    following = net.succ_idx[net.succ_ptr[lane] : net.succ_ptr[lane + 1]]
    into_junction = bool(np.any(net.lanes["junction"][following] >= 0))
    yield lane, -1, float(net.lanes["length"][lane]) if into_junction else s


def _neighbours(net: Net, lane: int, upstream: bool) -> list[int]:
    ptr, idx = (net.pred_ptr, net.pred_idx) if upstream else (net.succ_ptr, net.succ_idx)
    return [int(i) for i in idx[ptr[lane] : ptr[lane + 1]] if net.lanes["routable"][i]]


def _crossed(net: Net, lane: int, line_xy: Float) -> list[tuple[int, float]]:
    """Where a stop line for a lane lies: on the lane, else on each branch upstream, else downstream.

    A line at the end of a way over a junction stops nobody there; some files put it so.
    """
    inside = net.lanes["junction"][lane] >= 0
    s = _crossing_s(net, lane, line_xy)
    if s is not None and inside and s > net.lanes["length"][lane] - ENTRY_M:
        return []
    if s is not None and s > ENTRY_M:
        return [(lane, s)]
    found = _search(net, lane, line_xy, upstream=True, reach_m=UPSTREAM_M)
    if not found and s is not None:
        found = [(lane, s)]
    if not found and not inside:
        found = _search(net, lane, line_xy, upstream=False, reach_m=DOWNSTREAM_M)
    return found


def _search(net: Net, lane: int, line_xy: Float, upstream: bool, reach_m: float) -> list[tuple[int, float]]:
    found, seen = [], {lane}
    front = [(i, 0.0) for i in _neighbours(net, lane, upstream)]
    while front:
        at, gone = front.pop()
        if at in seen:
            continue
        seen.add(at)
        s = _crossing_s(net, at, line_xy)
        if s is not None:
            found.append((at, s))
        elif gone + net.lanes["length"][at] < reach_m:
            front += [(i, gone + float(net.lanes["length"][at])) for i in _neighbours(net, at, upstream)]
    return sorted(found)


def _crossing_s(net: Net, lane: int, line_xy: Float) -> float | None:
    """Lane, points along a stop line (M, 2) -> arc length at which it meets the lane's centre line, or None."""
    best, at = ON_LANE_M, None
    points = net.points[net.pt_ptr[lane] : net.pt_ptr[lane + 1]]
    x0, x1 = points["x"].min() - ON_LANE_M, points["x"].max() + ON_LANE_M
    y0, y1 = points["y"].min() - ON_LANE_M, points["y"].max() + ON_LANE_M
    for x, y in line_xy:
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            continue
        s, _ = lane_project(net, lane, x, y)
        px, py, _, _ = lane_point(net, lane, s)
        gap = float(np.hypot(x - px, y - py))
        if gap < best:
            best, at = gap, float(s)
    return at
