"""A compiled road map -> what traffic needs beside it: speeds allowed, ways on, right of way seen from both sides,
walkways over crossings, and places where vehicles may enter the scene.
"""

from __future__ import annotations

import math
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cordillera.types import Float, Int, RoadMap
from cordillera.world.roads_kernels import lane_point
from cordillera.world.roads_net import CONFLICT_KINDS, SIGNAL_KINDS, TURNS, Net, Table, rows_by_lane

CROSS, MERGE, DIVERGE = (CONFLICT_KINDS.index(kind) for kind in ("cross", "merge", "diverge"))
LIGHT, STOP_SIGN, GIVE_WAY = (SIGNAL_KINDS.index(kind) for kind in ("traffic_light", "stop", "give_way"))
LEFT_TURN, RIGHT_TURN, U_TURN = (TURNS.index(turn) for turn in ("left", "right", "u-turn"))

DEFAULT_LIMIT_MPS = 13.9  # where the map says nothing
LATERAL_MPS2 = 2.0  # comfortable in curves
BRAKE_MPS2 = 1.5  # comfortable before curves
ENTRY_SPACING_M = 12.0
ENTRY_LOOK_M = 120.0
ENTRY_CLEAR_M = 14.0  # between a place of entry and the next conflict


OVER = np.dtype([("s0", np.float64), ("s1", np.float64), ("lane", np.int64)])  # what a crossing covers
ENTRY = np.dtype([("s", np.float64), ("x", np.float64), ("y", np.float64), ("room", np.float64), ("lane", np.int64)])


class TrafficNet(NamedTuple):
    """Flat arrays over the lanes (L), points (P), conflicts (C) and crossings (K) of a `Net`."""

    cap_mps: Float  # (P,) speed allowed by limit and curves, braking ahead of them within the lane included
    next_ptr: Int  # (L + 1,) successors that traffic takes
    next_idx: Int
    by_start: Int  # (C,) each lane's conflicts in the order of their starts
    back_yields: NDArray[np.uint8]  # (C,) whether the other lane gives way to this one
    walk: Float  # (K, 4) x, y of the kerbs between which people walk, NaN where nobody can
    over_ptr: Int  # (K + 1,) lanes that each crossing covers
    over: Table  # OVER
    entries: Table  # (E,) ENTRY, where vehicles may come into the scene


_RULES: WeakKeyDictionary[RoadMap, TrafficNet] = WeakKeyDictionary()


def compile_traffic(road_map: RoadMap, net: Net) -> TrafficNet:
    """Road map and its net -> the tables of traffic, worked out once for each map object."""
    if road_map not in _RULES:
        _RULES[road_map] = _compile(road_map, net)
    return _RULES[road_map]


def _compile(road_map: RoadMap, net: Net) -> TrafficNet:
    next_ptr, next_idx = _ways_on(net)
    cap = speed_caps(net, LATERAL_MPS2, BRAKE_MPS2)
    walk = _walkways(road_map, net)
    entries = _entries(net, next_ptr, next_idx)
    lane = np.repeat(np.arange(len(net.lanes)), np.diff(net.conf_ptr))
    by_start = np.lexsort((net.conflicts["s0"], lane)).astype(np.int64)
    return TrafficNet(
        cap, next_ptr, next_idx, by_start, _back_yields(net), walk, *_lanes_under(net, len(walk)), entries
    )


@njit(cache=True)
def speed_caps(net: Net, lateral: float, brake: float) -> Float:
    """Net, lateral acceleration and braking in m/s2 -> (P,) speed allowed at each lane point.

    Curvature is the change of heading over 8 m around the point, so that kinks of surveyed lines do not stop anyone.
    """
    cap = np.empty(len(net.points))
    for lane in range(len(net.lanes)):
        first, end = net.pt_ptr[lane], net.pt_ptr[lane + 1]
        low = high = first
        row = net.limit_ptr[lane]
        for i in range(first, end):
            while net.points[i].s - net.points[low].s > 4.0:
                low += 1
            while high < end - 1 and net.points[high].s - net.points[i].s < 4.0:
                high += 1
            a, b = net.points[low], net.points[high]
            turn = math.atan2(
                a.along_x * b.along_y - a.along_y * b.along_x, a.along_x * b.along_x + a.along_y * b.along_y
            )
            curvature = abs(turn) / max(net.points[high].s - net.points[low].s, 2.0)
            while row + 1 < net.limit_ptr[lane + 1] and net.limits[row + 1].s <= net.points[i].s:
                row += 1
            limit = net.limits[row].mps if row < net.limit_ptr[lane + 1] else DEFAULT_LIMIT_MPS
            limit = limit if limit > 0.1 and limit < 100.0 else DEFAULT_LIMIT_MPS
            cap[i] = min(limit, math.sqrt(lateral / max(curvature, 1e-6)))
        for i in range(end - 2, first - 1, -1):
            reach = math.sqrt(cap[i + 1] ** 2 + 2.0 * brake * (net.points[i + 1].s - net.points[i].s))
            cap[i] = min(cap[i], reach)
    return cap


def _ways_on(net: Net) -> tuple[Int, Int]:
    """Successors that vehicles may use, without U-turns and ways that end soon where there is another."""
    pointers, ways = [0], []
    for lane in range(len(net.lanes)):
        after = net.succ_idx[net.succ_ptr[lane] : net.succ_ptr[lane + 1]]
        open_ = [int(i) for i in after if net.lanes["routable"][i] and i != lane]
        onward = [i for i in open_ if net.lanes["turn"][i] != U_TURN and _goes_on(net, i, 60.0)]
        ways += onward or [i for i in open_ if _goes_on(net, i, 60.0)] or open_
        pointers.append(len(ways))
    return np.array(pointers, dtype=np.int64), np.array(ways, dtype=np.int64)


def _goes_on(net: Net, lane: int, reach_m: float) -> bool:
    """Whether some way of at least `reach_m` starts with this lane."""
    front, seen = [(lane, reach_m)], {lane}
    while front:
        at, left = front.pop()
        left -= float(net.lanes["length"][at])
        if left <= 0.0:
            return True
        for i in net.succ_idx[net.succ_ptr[at] : net.succ_ptr[at + 1]]:
            if net.lanes["routable"][i] and int(i) not in seen:
                seen.add(int(i))
                front.append((int(i), left))
    return False


def _back_yields(net: Net) -> NDArray[np.uint8]:
    """For each conflict of a lane: whether the row of the other lane says that it yields."""
    lane = np.repeat(np.arange(len(net.lanes)), np.diff(net.conf_ptr)).tolist()
    other, kind = net.conflicts["other"].tolist(), net.conflicts["kind"].tolist()
    flag = dict(zip(zip(lane, other, kind, strict=True), net.conflicts["yields"].tolist(), strict=True))
    return np.array([flag.get((b, a, k), 0) for a, b, k in zip(lane, other, kind, strict=True)], dtype=np.uint8)


def _walkways(road_map: RoadMap, net: Net) -> Float:
    """Each crossing -> the two points between which people walk: across its first lane, to 0.3 m beyond its ends."""
    walk = np.full((len(road_map.crossings), 4), np.nan)
    for k, crossing in enumerate(road_map.crossings):
        outline = crossing.outline_xyz[:, :2]
        middle = 0.5 * (outline.min(axis=0) + outline.max(axis=0))
        lanes = [i for i in crossing.lanes if net.lanes["routable"][i]]
        if not lanes or len(outline) < 3:
            continue
        rows = np.arange(net.pt_ptr[lanes[0]], net.pt_ptr[lanes[0] + 1])
        near = np.hypot(net.points["x"][rows] - middle[0], net.points["y"][rows] - middle[1]).argmin()
        along = np.array([net.points["along_x"][rows[near]], net.points["along_y"][rows[near]]])
        across = (1.0 if road_map.traffic_side == "right" else -1.0) * np.array([-along[1], along[0]])
        reach, shift = outline @ across, outline @ along
        middle = 0.5 * (shift.min() + shift.max()) * along
        ends = middle + (reach.min() - 0.3) * across, middle + (reach.max() + 0.3) * across
        if reach.max() - reach.min() < 40.0:
            walk[k] = (*ends[0], *ends[1])
    return walk


def _lanes_under(net: Net, count: int) -> tuple[Int, Table]:
    """Which crossing covers which routable lane: pointers (K + 1,), rows by crossing."""
    lane = np.repeat(np.arange(len(net.lanes)), np.diff(net.cross_ptr))
    keep = np.flatnonzero(net.lanes["routable"][lane] == 1)
    order, pointers = rows_by_lane(net.crossings["crossing"][keep], count)
    keep = keep[order]
    over = np.empty(len(keep), OVER)
    over["s0"], over["s1"], over["lane"] = net.crossings["s0"][keep], net.crossings["s1"][keep], lane[keep]
    return pointers, over


def _entries(net: Net, next_ptr: Int, next_idx: Int) -> Table:
    """Places on lanes, clear of conflicts and crossings for a while ahead, with a way on."""
    rows = []
    for lane in np.flatnonzero(net.lanes["routable"]):
        length = float(net.lanes["length"][lane])
        if next_ptr[lane] == next_ptr[lane + 1] and length < 60.0:
            continue
        busy, seen, front = [], set(), [(int(lane), 0.0)]
        while front:
            at, offset = front.pop()
            busy += _busy(net, at, offset)
            offset += float(net.lanes["length"][at])
            if offset < length + ENTRY_LOOK_M and at not in seen:
                seen.add(at)
                front += [(int(way), offset) for way in next_idx[next_ptr[at] : next_ptr[at + 1]]]
        for s in np.arange(0.5 * min(ENTRY_SPACING_M, length), length, ENTRY_SPACING_M):
            if all(s + ENTRY_CLEAR_M < a or s - 4.0 > b for a, b in busy):
                x, y, _, _ = lane_point(net, int(lane), float(s))
                room = min((a - s for a, _ in busy if a > s), default=ENTRY_LOOK_M)
                rows.append((float(s), x, y, min(room, ENTRY_LOOK_M), int(lane)))
    return np.array(rows, dtype=ENTRY)


def _busy(net: Net, lane: int, offset: float) -> list[tuple[float, float]]:
    """Intervals of a lane, moved by `offset`, that other lanes or people use."""
    conflicts = net.conflicts[net.conf_ptr[lane] : net.conf_ptr[lane + 1]]
    crossings = net.crossings[net.cross_ptr[lane] : net.cross_ptr[lane + 1]]
    return [(offset + float(row["s0"]), offset + float(row["s1"])) for part in (conflicts, crossings) for row in part]
