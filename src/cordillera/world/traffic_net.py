"""A compiled road map -> what traffic needs beside it: speeds allowed, ways on, right of way seen from both sides,
walkways over crossings, and places where vehicles may enter the scene.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cordillera.kernels import kernel
from cordillera.types import Float, Int, LaneKind, RoadMap
from cordillera.world.chance import draw
from cordillera.world.roads_kernels import lane_point, lane_width
from cordillera.world.roads_net import CONFLICT_KINDS, LANE_KINDS, SIGNAL_KINDS, TURNS, Net, Table, rows_by_lane

CROSS, MERGE, DIVERGE = (CONFLICT_KINDS.index(kind) for kind in ("cross", "merge", "diverge"))
LIGHT, STOP_SIGN, GIVE_WAY = (SIGNAL_KINDS.index(kind) for kind in ("traffic_light", "stop", "give_way"))
DRIVING, BUS_LANE, BIKING, PARKING, SHOULDER = (
    LANE_KINDS.index(kind)
    for kind in (LaneKind.DRIVING, LaneKind.BUS, LaneKind.BIKING, LaneKind.PARKING, LaneKind.SHOULDER)
)
LEFT_TURN, RIGHT_TURN, U_TURN = (TURNS.index(turn) for turn in ("left", "right", "u-turn"))

DEFAULT_LIMIT_MPS = 13.9  # where the map says nothing
LATERAL_MPS2 = 2.0  # comfortable in curves
BRAKE_MPS2 = 1.5  # comfortable before curves
ENTRY_SPACING_M = 12.0
ENTRY_LOOK_M = 120.0
ENTRY_CLEAR_M = 14.0  # between a place of entry and the next conflict
BUS_STOPS = 5  # the seed of the places of bus stops, which belong to the map
BAY_SPACING_M = 14.0


OVER = np.dtype([("s0", np.float64), ("s1", np.float64), ("lane", np.int64)])  # what a crossing covers
ENTRY = np.dtype([(n, np.float64) for n in ("s", "x", "y", "room", "cap")] + [("lane", np.int64)])
# One lane with everything that a driver on it needs; pairs like `rule`, `rule_end` bound rows of the other tables.
TRACK = np.dtype(
    [
        (name, np.float64) for name in ("length", "cap", "stop", "density")
    ]  # cap: at its start; stop: of buses, -1: none; points a metre
    + [
        (name, np.int32)
        for name in (
            *("pt", "pt_end", "next", "next_end", "pred", "pred_end", "rule", "rule_end"),
            *("zone", "zone_end", "part", "part_end", "cover", "cover_end", "bay", "bay_end"),
            *(
                "left",
                "right",
                "oncoming",
                "change_left",
                "change_right",
                "edge",
            ),  # edge: nothing to drive on beside it
            *("turn", "kind", "routable", "junction", "lit", "onward", "leave"),
            # onward: the only lane after it, -1: none, -2: several; leave: ends, change to 1 left, -1 right
        )
    ]
)
PLACE = np.dtype(
    [(n, np.float64) for n in ("s", "x", "y", "z", "along_x", "along_y", "half_left", "half_right", "cap")]
)
ZONE = np.dtype(  # a stretch shared with another lane; `allowed`: speed on that lane there
    [(n, np.float64) for n in ("s0", "s1", "other_s0", "other_s1", "other_length", "allowed")]
    + [(n, np.int32) for n in ("other", "merge", "yields", "back_yields")]
)
PART = np.dtype([("other_s1", np.float64), ("other", np.int64)])  # another lane from the same start, not clear before
RULE = np.dtype([("s", np.float64), ("kind", np.int64), ("signal", np.int64), ("for_lane", np.int64)])
COVER = np.dtype(  # a crossing on a lane, and the lane's pose there
    [(n, np.float64) for n in ("s0", "s1", "x", "y", "cos", "sin")] + [("crossing", np.int32), ("lit", np.int32)]
)


class TrafficNet(NamedTuple):
    """Records over the lanes (L), their points (P), conflicts (C) and crossings (K) of a `Net`, in a driver's order."""

    tracks: Table  # (L,) TRACK
    places: Table  # (P,) PLACE; cap: speed allowed by limit and curves, braking ahead of them within the lane included
    nexts: Int  # successors that traffic takes
    preds: Int
    zones: Table  # ZONE, by s0 in each lane; crossing and merging lanes
    parts: Table  # PART
    rules: Table  # RULE, by s in each lane
    covers: Table  # COVER, by s in each lane
    walk: Float  # (K, 4) x, y of the kerbs between which people walk, NaN where nobody can
    over_ptr: Int  # (K + 1,) lanes that each crossing covers
    over: Table  # OVER
    entries: Table  # (E,) ENTRY, where vehicles may come into the scene
    bike_entries: Table  # ENTRY, where cyclists may
    bays: Table  # ENTRY, where vehicles may stand beside a lane; room: offset from the lane's centre, left positive


_RULES: WeakKeyDictionary[RoadMap, TrafficNet] = WeakKeyDictionary()


def compile_traffic(road_map: RoadMap, net: Net) -> TrafficNet:
    """Road map and its net -> the tables of traffic, worked out once for each map object."""
    if road_map not in _RULES:
        _RULES[road_map] = _compile(road_map, net)
    return _RULES[road_map]


def _compile(road_map: RoadMap, net: Net) -> TrafficNet:
    next_ptr, next_idx = _ways_on(net)
    places = np.zeros(len(net.points), PLACE)
    for name in PLACE.names or ():
        places[name] = speed_caps(net, LATERAL_MPS2, BRAKE_MPS2) if name == "cap" else net.points[name]
    zones, zone_ptr, parts, part_ptr = _conflicts(net, places)
    rules = np.zeros(len(net.regulations), RULE)
    for name in RULE.names or ():
        rules[name] = net.regulations[name]
    walk = _walkways(road_map, net)
    tracks = _tracks(road_map, net, places, next_ptr, next_idx)
    pointers = (("zone", zone_ptr), ("part", part_ptr), ("cover", net.cross_ptr), ("rule", net.reg_ptr))
    for name, pointer in (*pointers, ("pt", net.pt_ptr), ("next", next_ptr), ("pred", net.pred_ptr)):
        tracks[name], tracks[name + "_end"] = pointer[:-1], pointer[1:]
    ways = tracks["next_end"] - tracks["next"]
    tracks["onward"] = np.where(ways == 0, -1, -2)
    tracks["onward"][ways == 1] = next_idx[tracks["next"][ways == 1]]
    bays = _bays(road_map, net, places)
    tracks["bay"] = np.searchsorted(bays["lane"], np.arange(len(tracks)), side="left")
    tracks["bay_end"] = np.searchsorted(bays["lane"], np.arange(len(tracks)), side="right")
    for lane in range(len(tracks)):
        rows = rules[net.reg_ptr[lane] : net.reg_ptr[lane + 1]]
        tracks["lit"][lane] = (rows["kind"] == LIGHT).any()
    over_ptr, over = _lanes_under(net, len(walk))
    covers = _covers(net)
    lit = [tracks["lit"][over["lane"][a:b]].any() for a, b in pairwise(over_ptr)]
    covers["lit"] = np.array(lit, dtype=np.int64)[covers["crossing"]] if len(covers) else 0
    return TrafficNet(
        tracks, places, next_idx, net.pred_idx, zones, parts, rules, covers, walk,
        over_ptr, over, _entries(net, places, next_ptr, next_idx), _bike_entries(net, places, next_ptr),
        bays,
    )  # fmt: skip


def _tracks(road_map: RoadMap, net: Net, places: Table, next_ptr: Int, next_idx: Int) -> Table:
    """Net -> TRACK records, their row numbers still 0."""
    lanes, tracks = net.lanes, np.zeros(len(net.lanes), TRACK)
    for name in ("length", "left", "right", "oncoming", "change_left", "change_right", "turn", "kind", "junction"):
        tracks[name] = lanes[name]
    tracks["routable"], tracks["stop"] = lanes["routable"], -1.0
    tracks["density"] = (np.diff(net.pt_ptr) - 1) / np.maximum(tracks["length"], 1e-3)
    tracks["cap"] = places["cap"][net.pt_ptr[:-1]] if len(lanes) else 0.0
    outer = "right" if road_map.traffic_side == "right" else "left"
    for k in range(len(lanes)):
        beside = lanes[outer][k]
        tracks["edge"][k] = beside < 0 or not lanes["routable"][beside]
        if next_ptr[k] == next_ptr[k + 1]:
            for side, way in (("left", 1), ("right", -1)):
                to = lanes[side][k]
                if lanes["change_" + side][k] and to >= 0 and lanes["routable"][to] and next_ptr[to] < next_ptr[to + 1]:
                    tracks["leave"][k] = way
        plain = tracks["edge"][k] and lanes["routable"][k] and lanes["junction"][k] < 0 and lanes["length"][k] > 60.0
        if plain and draw(BUS_STOPS, k, 0, 0) < 0.5 and net.conf_ptr[k] == net.conf_ptr[k + 1]:
            tracks["stop"][k] = (0.4 + 0.3 * draw(BUS_STOPS, k, 1, 0)) * lanes["length"][k]
    return tracks


def _conflicts(net: Net, places: Table) -> tuple[Table, Int, Table, Int]:
    """Net -> zones by start and lane with pointers (L + 1,), and the same for lanes that part."""
    count = len(net.lanes)
    lane = np.repeat(np.arange(count), np.diff(net.conf_ptr))
    back = _back_yields(net)
    order = np.lexsort((net.conflicts["s0"], lane))
    order = order[net.conflicts["kind"][order] != DIVERGE]
    rows = net.conflicts[order]
    zones = np.zeros(len(rows), ZONE)
    for name in ("s0", "s1", "other_s0", "other_s1", "other", "yields"):
        zones[name] = rows[name]
    zones["merge"], zones["back_yields"] = rows["kind"] == MERGE, back[order]
    zones["other_length"] = net.lanes["length"][rows["other"]]
    for k in range(len(rows)):
        first, end = net.pt_ptr[rows["other"][k]], net.pt_ptr[rows["other"][k] + 1]
        part = places[first:end]
        zones["allowed"][k] = np.interp(rows["other_s0"][k], part["s"], part["cap"])
    zone_ptr = np.concatenate([[0], np.cumsum(np.bincount(lane[order], minlength=count))]).astype(np.int64)
    away = np.flatnonzero(net.conflicts["kind"] == DIVERGE)
    parts = np.zeros(len(away), PART)
    parts["other"], parts["other_s1"] = net.conflicts["other"][away], net.conflicts["other_s1"][away]
    part_ptr = np.concatenate([[0], np.cumsum(np.bincount(lane[away], minlength=count))]).astype(np.int64)
    return zones, zone_ptr, parts, part_ptr


def _covers(net: Net) -> Table:
    """Net -> COVER records, in the order of its crossings."""
    covers = np.zeros(len(net.crossings), COVER)
    lane = np.repeat(np.arange(len(net.lanes)), np.diff(net.cross_ptr))
    for k, row in enumerate(net.crossings):
        x, y, _, yaw = lane_point(net, int(lane[k]), float(0.5 * (row["s0"] + row["s1"])))
        covers[k] = (row["s0"], row["s1"], x, y, math.cos(yaw), math.sin(yaw), row["crossing"], 0)
    return covers


@kernel
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
        if net.lanes["kind"][lane] == BIKING:
            open_ = [int(i) for i in after if net.lanes["kind"][i] == BIKING and i != lane] or open_
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


def _entries(net: Net, places: Table, next_ptr: Int, next_idx: Int) -> Table:
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
                rows.append((float(s), x, y, min(room, ENTRY_LOOK_M), _cap(net, places, int(lane), s), int(lane)))
    return np.array(rows, dtype=ENTRY)


def _cap(net: Net, places: Table, lane: int, s: float) -> float:
    """The speed allowed where the segment starts that holds a place on a lane."""
    rows = places[net.pt_ptr[lane] : net.pt_ptr[lane + 1] - 1]
    return float(rows["cap"][max(int(np.searchsorted(rows["s"], s, side="right")) - 1, 0)])


def _busy(net: Net, lane: int, offset: float) -> list[tuple[float, float]]:
    """Intervals of a lane, moved by `offset`, that other lanes or people use."""
    conflicts = net.conflicts[net.conf_ptr[lane] : net.conf_ptr[lane + 1]]
    crossings = net.crossings[net.cross_ptr[lane] : net.cross_ptr[lane + 1]]
    return [(offset + float(row["s0"]), offset + float(row["s1"])) for part in (conflicts, crossings) for row in part]


def _bike_entries(net: Net, places: Table, next_ptr: Int) -> Table:
    """Places for cyclists to start: on biking lanes, and on edge lanes of slow roads that go on."""
    rows = []
    for lane in range(len(net.lanes)):
        kind, length = net.lanes["kind"][lane], float(net.lanes["length"][lane])
        slow = net.limits["mps"][net.limit_ptr[lane]] < 17.0 and net.lanes["junction"][lane] < 0
        road = kind == DRIVING and slow and next_ptr[lane] < next_ptr[lane + 1]
        if length > 20.0 and (kind == BIKING or road) and net.conf_ptr[lane] == net.conf_ptr[lane + 1]:
            for s in np.arange(8.0, length - 8.0, 3.0 * ENTRY_SPACING_M):
                x, y, _, _ = lane_point(net, lane, float(s))
                rows.append((float(s), x, y, 0.0, _cap(net, places, lane, s), lane))
    return np.array(rows, dtype=ENTRY)


def _bays(road_map: RoadMap, net: Net, places: Table) -> Table:
    """Places beside driving lanes where a vehicle may stand: on a parking lane or a shoulder that is wide enough."""
    outer, sign = ("right", -1.0) if road_map.traffic_side == "right" else ("left", 1.0)
    rows = []
    for lane in np.flatnonzero((net.lanes["kind"] == DRIVING) & (net.lanes["junction"] < 0)):
        beside, length = int(net.lanes[outer][lane]), float(net.lanes["length"][lane])
        if beside < 0 or net.lanes["kind"][beside] not in (PARKING, SHOULDER) or length < 50.0:
            continue
        busy = _busy(net, int(lane), 0.0)
        for s in np.arange(20.0, length - 25.0, BAY_SPACING_M):
            x, y, _, _ = lane_point(net, int(lane), float(s))
            width = sum(lane_width(net, beside, float(s * net.lanes["length"][beside] / length)))
            near = lane_width(net, int(lane), float(s))[0 if sign > 0.0 else 1]
            limit = net.limits["mps"][net.limit_ptr[lane]]
            if width > 1.9 and limit < 20.0 and all(s + 12.0 < a or s - 8.0 > b for a, b in busy):
                room = sign * (near + min(0.5 * width, 1.3))
                rows.append((float(s), x, y, room, _cap(net, places, int(lane), s), int(lane)))
    return np.array(rows, dtype=ENTRY)
