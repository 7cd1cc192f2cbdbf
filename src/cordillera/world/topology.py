"""What the geometry of lanes implies: a map as read in, the map with turns, conflicts and priorities filled in."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from itertools import product

import numpy as np
from numba import njit

from cordillera.geometry import arc_length, wrap_angle
from cordillera.types import Bool, Conflict, Float, Int, Lane, LaneKind, RoadMap, SignalKind

VEHICLE_KINDS = frozenset({LaneKind.DRIVING, LaneKind.BUS})
STATION_M = 0.5  # spacing of the cross-sections that are tested for overlap
ACROSS = (0.1, 0.3, 0.5, 0.7, 0.9)  # where on a cross-section, from right border to left: shared borders do not count
SAME_END_M = 0.6  # two lanes whose centre lines end this close, and with one heading, merge
BRIDGE_M = 3.0  # lanes farther apart in height pass over each other
CELL_M = 25.0
TURN_RAD = math.radians(35.0)
U_TURN_RAD = math.radians(150.0)


def finish(road_map: RoadMap, yields: frozenset[tuple[int, int]] = frozenset()) -> RoadMap:
    """Fill what the reader left empty: the turns of junction lanes, conflicts, and who yields.

    `yields` holds ordered pairs (lane, other) for which the file itself says that `lane` gives way; they overrule
    signs and the rules of `_gives_way`. Conflicts that the map already has are replaced.
    """
    lanes = tuple(_with_turn(lane) for lane in road_map.lanes)
    rows = find_conflicts(lanes)
    sign = _sign_ranks(road_map)
    left_hand = road_map.traffic_side == "left"
    conflicts = []
    for row in rows:
        pair, back = (row.lane, row.other), (row.other, row.lane)
        if row.kind == "diverge":
            must = False
        elif pair in yields or back in yields:
            must = pair in yields and (back not in yields or pair < back)
        else:
            must = _gives_way(lanes[row.lane], lanes[row.other], sign[row.lane], sign[row.other], left_hand)
        conflicts.append(replace(row, yields=must))
    return replace(road_map, lanes=lanes, conflicts=tuple(conflicts))


def heading(lane: Lane, at_end: bool) -> float:
    """The lane's direction of travel at its start or end, in radians."""
    step = lane.center_xyz[-1] - lane.center_xyz[-2] if at_end else lane.center_xyz[1] - lane.center_xyz[0]
    return math.atan2(step[1], step[0])


def heading_change(lane: Lane) -> float:
    """How far a lane turns from start to end, radians, positive to the left, not wrapped."""
    steps = np.diff(lane.center_xyz[:, :2], axis=0)
    steps = steps[np.hypot(steps[:, 0], steps[:, 1]) > 1e-6]
    if len(steps) < 2:
        return 0.0
    return float(wrap_angle(np.diff(np.arctan2(steps[:, 1], steps[:, 0]))).sum())


def _with_turn(lane: Lane) -> Lane:
    if not lane.junction or lane.turn != "straight":
        return lane
    change = heading_change(lane)
    if abs(change) < TURN_RAD:
        return lane
    if abs(change) > U_TURN_RAD:
        return replace(lane, turn="u-turn")
    return replace(lane, turn="left" if change > 0.0 else "right")


# ------------------------------------------------------------------- conflicts


def find_conflicts(lanes: tuple[Lane, ...]) -> list[Conflict]:
    """Lanes -> every ordered pair of vehicle lanes whose areas overlap, with `yields` false.

    Neighbours and lanes that follow each other do not count. An interval runs from the first to the last
    cross-section of the one lane that reaches into the other, one station wide at least.
    """
    areas = {i: _outline(lane) for i, lane in enumerate(lanes) if lane.kind in VEHICLE_KINDS}
    sections = {i: _cross_sections(lanes[i]) for i in areas}
    rows = []
    for i, j in sorted(_near_pairs(areas)):
        if _linked(lanes, i, j) or _on_two_levels(lanes[i], lanes[j]):
            continue
        mine = _reach(sections[i], areas[j])
        theirs = _reach(sections[j], areas[i])
        if mine is None or theirs is None:
            continue
        kind = _kind(lanes[i], lanes[j])
        rows.append(Conflict(i, j, kind, mine, theirs, False))
        rows.append(Conflict(j, i, kind, theirs, mine, False))
    return sorted(rows, key=lambda row: (row.lane, row.s_m[0], row.other))


def _outline(lane: Lane) -> Float:
    return np.ascontiguousarray(np.concatenate([lane.right_xyz[:, :2], lane.left_xyz[::-1, :2]]))


def _cross_sections(lane: Lane) -> tuple[Float, Float]:
    """Stations (M,) along the centre line, and points (M, len(ACROSS), 2) across the lane there."""
    along = arc_length(lane.center_xyz[:, :2])
    count = max(2, math.ceil(along[-1] / STATION_M) + 1)
    s = np.linspace(0.0, along[-1], count)
    right = np.stack([np.interp(s, along, lane.right_xyz[:, d]) for d in (0, 1)], axis=-1)
    left = np.stack([np.interp(s, along, lane.left_xyz[:, d]) for d in (0, 1)], axis=-1)
    across = np.array(ACROSS)[None, :, None]
    return s, right[:, None, :] * (1.0 - across) + left[:, None, :] * across


def _near_pairs(areas: dict[int, Float]) -> set[tuple[int, int]]:
    """Pairs (i < j) whose bounding boxes overlap, by way of a uniform grid."""
    boxes = {i: (area.min(axis=0), area.max(axis=0)) for i, area in areas.items()}
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (low, high) in boxes.items():
        first, last = np.floor(low / CELL_M).astype(int), np.floor(high / CELL_M).astype(int)
        for cell in product(range(first[0], last[0] + 1), range(first[1], last[1] + 1)):
            cells[cell].append(i)
    pairs = set()
    for members in cells.values():
        for k, i in enumerate(members):
            low, high = boxes[i]
            for j in members[k + 1 :]:
                if (boxes[j][0] <= high).all() and (boxes[j][1] >= low).all():
                    pairs.add((i, j) if i < j else (j, i))
    return pairs


def _linked(lanes: tuple[Lane, ...], i: int, j: int) -> bool:
    a, b = lanes[i], lanes[j]
    follows = j in a.successors or j in a.predecessors or i in b.successors or i in b.predecessors
    beside = j in (a.left, a.right, a.oncoming) or i in (b.left, b.right, b.oncoming)
    return follows or beside


def _on_two_levels(a: Lane, b: Lane) -> bool:
    low = a.center_xyz[:, 2].min() - b.center_xyz[:, 2].max()
    high = b.center_xyz[:, 2].min() - a.center_xyz[:, 2].max()
    return max(low, high) > BRIDGE_M


def _reach(sections: tuple[Float, Float], area: Float) -> tuple[float, float] | None:
    """The interval of stations whose cross-section has a point inside the outline, or None."""
    s, points = sections
    inside = _inside(points.reshape(-1, 2), area).reshape(len(s), -1).any(axis=1)
    if not inside.any():
        return None
    hits = np.flatnonzero(inside)
    return float(max(0.0, s[hits[0]] - 0.5 * STATION_M)), float(min(s[-1], s[hits[-1]] + 0.5 * STATION_M))


@njit(cache=True)
def _inside(points: Float, outline: Float) -> Bool:
    """Points (N, 2) and a closed outline (M, 2) -> mask (N,), by the even-odd rule."""
    mask = np.zeros(len(points), dtype=np.bool_)
    low_x, high_x = outline[:, 0].min(), outline[:, 0].max()
    low_y, high_y = outline[:, 1].min(), outline[:, 1].max()
    for k in range(len(points)):
        x, y = points[k, 0], points[k, 1]
        if x < low_x or x > high_x or y < low_y or y > high_y:
            continue
        odd = False
        j = len(outline) - 1
        for i in range(len(outline)):
            yi, yj = outline[i, 1], outline[j, 1]
            if (yi > y) != (yj > y) and x < outline[i, 0] + (y - yi) / (yj - yi) * (outline[j, 0] - outline[i, 0]):
                odd = not odd
            j = i
        mask[k] = odd
    return mask


def _kind(a: Lane, b: Lane) -> str:
    def meet(at_end: bool) -> bool:
        k = -1 if at_end else 0
        gap = np.linalg.norm(a.center_xyz[k, :2] - b.center_xyz[k, :2])
        turn = abs(float(wrap_angle(heading(a, at_end) - heading(b, at_end))))
        return bool(gap < SAME_END_M and turn < math.radians(45.0))

    if set(a.successors) & set(b.successors) or meet(at_end=True):
        return "merge"
    if set(a.predecessors) & set(b.predecessors) or meet(at_end=False):
        return "diverge"
    return "cross"


# -------------------------------------------------------------------- priority


def _sign_ranks(road_map: RoadMap) -> Int:
    """What signs say of each lane and of the lanes that lead into it: 1 priority, 0 nothing, -1 give way or stop."""
    own = np.zeros(len(road_map.lanes), dtype=np.int64)
    for signal in road_map.signals:
        for lane in signal.lanes:
            if signal.kind in (SignalKind.STOP, SignalKind.GIVE_WAY):
                own[lane] = -1
            elif signal.kind == SignalKind.PRIORITY and own[lane] == 0:
                own[lane] = 1
    rank = own.copy()
    for i, lane in enumerate(road_map.lanes):
        if lane.junction and own[i] == 0:
            before = [own[p] for p in lane.predecessors if not road_map.lanes[p].junction]
            rank[i] = min(before, default=0) if any(b < 0 for b in before) else max(before, default=0)
    return rank


def _gives_way(a: Lane, b: Lane, rank_a: int, rank_b: int, left_hand: bool) -> bool:
    """Whether traffic of lane a gives way to lane b, by signs first and then by the general rules.

    Signs: the lower rank yields. A lane outside of junctions goes before one inside. Turning across the oncoming
    side yields to straight on and to the near-side turn. Otherwise the one who comes from the right goes first, in
    left-hand traffic too (Japan, Australia); Great Britain has no such rule, and there it is a convention of ours.
    Ties fall to the lane that turns more, then to the one whose identity sorts later, so that exactly one yields.
    """
    if rank_a != rank_b:
        return rank_a < rank_b
    if bool(a.junction) != bool(b.junction):
        return bool(a.junction)
    across = "right" if left_hand else "left"
    approach = float(wrap_angle(heading(b, at_end=False) - heading(a, at_end=False)))
    if abs(approach) > math.radians(120.0):
        crosses_a, crosses_b = a.turn in (across, "u-turn"), b.turn in (across, "u-turn")
        if crosses_a != crosses_b:
            return crosses_a
    elif abs(approach) > math.radians(30.0):
        return approach > 0.0  # b heads to the left of a, so it comes from the right
    turn_a, turn_b = abs(heading_change(a)), abs(heading_change(b))
    if abs(turn_a - turn_b) > math.radians(5.0):
        return turn_a > turn_b
    return a.id > b.id


def loose_links(road_map: RoadMap, tolerance_m: float) -> list[tuple[int, int, float]]:
    """Lane links whose centre lines do not join end to end: (lane, successor, gap in metres) beyond the tolerance."""
    rows = []
    for i, lane in enumerate(road_map.lanes):
        for j in lane.successors:
            gap = float(np.linalg.norm(lane.center_xyz[-1] - road_map.lanes[j].center_xyz[0]))
            if gap > tolerance_m:
                rows.append((i, j, gap))
    return rows
