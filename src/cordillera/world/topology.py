"""A road map as read -> what its geometry implies: turns of junction lanes, and conflicts with who gives way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cordillera.types import Conflict, Float, Lane, LaneKind, RoadMap
from cordillera.world.topology_overlap import (
    AREA,
    FIRST0,
    FIRST1,
    LAST0,
    LAST1,
    SMALLEST_M2,
    close_pairs,
    overlaps,
    strips_of,
)
from cordillera.world.topology_priority import Priorities, end_heading, start_heading, wrap

TRAVELLED = (LaneKind.DRIVING, LaneKind.BUS, LaneKind.BIKING, LaneKind.RAIL)
STRAIGHT_RAD = math.radians(35.0)
U_TURN_RAD = math.radians(150.0)
SAME_PLACE_M = 0.6
SAME_WAY_RAD = math.radians(60.0)
AT_END_M = 2.0  # an overlap that comes this close to an end of a lane reaches it


def finish(road_map: RoadMap, yields: frozenset[tuple[int, int]] = frozenset()) -> RoadMap:
    """A map and pairs (lane that gives way, other lane) known from the file -> the map with turns and conflicts.

    `turn` is filled in on junction lanes where it is empty or "straight" against a clear bend, conflicts where the
    map has none. Each pair of lanes whose areas overlap gives two rows, one for either order, of which at most one
    yields: by the pairs given, else by signs, else by the rules in `world/topology_priority.py`.
    """
    lanes = tuple(_with_turn(lane) for lane in road_map.lanes)
    road_map = replace(road_map, lanes=lanes)
    if road_map.conflicts:
        return road_map
    found = meetings(lanes)
    priorities = Priorities(road_map, yields)
    rows = []
    for meeting in found:
        a, b = meeting.lanes
        a_yields, b_yields = priorities.decide(a, b, meeting.kind)
        rows.append(Conflict(a, b, meeting.kind, meeting.s_m[0], meeting.s_m[1], a_yields))
        rows.append(Conflict(b, a, meeting.kind, meeting.s_m[1], meeting.s_m[0], b_yields))
    rows.sort(key=lambda row: (row.lane, row.other))
    return replace(road_map, conflicts=tuple(rows))


@dataclass(frozen=True)
class Meeting:
    """Two lanes a < b whose areas overlap, how, and where along each."""

    lanes: tuple[int, int]
    kind: str  # "cross", "merge" or "diverge"
    s_m: tuple[tuple[float, float], tuple[float, float]]


def meetings(lanes: tuple[Lane, ...], kinds: tuple[LaneKind, ...] = TRAVELLED) -> list[Meeting]:
    """Lanes -> the pairs of some kinds that overlap, in ascending order; followers and neighbours do not count."""
    which = np.array([i for i, lane in enumerate(lanes) if lane.kind in kinds], dtype=np.int64)
    pointers, rungs = strips_of(lanes, which)
    pairs = close_pairs(pointers, rungs)
    pairs = pairs[[_may_conflict(lanes, int(which[a]), int(which[b])) for a, b in pairs]] if len(pairs) else pairs
    along = overlaps(pointers, rungs, pairs)
    hits = along[:, AREA] > SMALLEST_M2
    table = {(int(which[a]), int(which[b])): row for (a, b), row in zip(pairs[hits], along[hits], strict=True)}
    out = []
    for (a, b), row in sorted(table.items(), key=lambda item: item[0]):
        other = table.get((b, a))
        if a < b and other is not None:
            kind = _kind(lanes[a], lanes[b], row, other)
            out.append(Meeting((a, b), kind, (_interval(kind, row), _interval(kind, other))))
    return out


def _may_conflict(lanes: tuple[Lane, ...], a: int, b: int) -> bool:
    lane = lanes[a]
    return b not in lane.successors and b not in lane.predecessors and b not in (lane.left, lane.right)


def _interval(kind: str, row: Float) -> tuple[float, float]:
    """The stretch that counts: from the common start, to the common end, or all that lies between."""
    if kind == "diverge":
        return float(row[FIRST0]), float(row[FIRST1])
    if kind == "merge":
        return float(row[LAST0]), float(row[LAST1])
    return float(row[FIRST0]), float(row[LAST1])


def _kind(a: Lane, b: Lane, a_row: Float, b_row: Float) -> str:
    lengths = [_length(a), _length(b)]
    ends = a_row[LAST1] > lengths[0] - AT_END_M and b_row[LAST1] > lengths[1] - AT_END_M
    if ends and _together(a.center_xyz[-1], b.center_xyz[-1], end_heading(a), end_heading(b)):
        return "merge"
    starts = a_row[FIRST0] < AT_END_M and b_row[FIRST0] < AT_END_M
    if starts and _together(a.center_xyz[0], b.center_xyz[0], start_heading(a), start_heading(b)):
        return "diverge"
    return "cross"


def _together(p: Float, q: Float, p_heading: float, q_heading: float) -> bool:
    near = math.hypot(p[0] - q[0], p[1] - q[1]) < SAME_PLACE_M
    return near and abs(wrap(p_heading - q_heading)) < SAME_WAY_RAD


def _length(lane: Lane) -> float:
    return float(np.hypot(*np.diff(lane.center_xyz[:, :2], axis=0).T).sum())


# ----------------------------------------------------------------------- turns


def _with_turn(lane: Lane) -> Lane:
    """A lane -> the same with its turn; outside of junctions every lane goes straight on."""
    if not lane.junction:
        return lane if lane.turn else replace(lane, turn="straight")
    if lane.turn not in ("", "straight"):
        return lane
    turn = turn_of(lane)
    return lane if turn == lane.turn else replace(lane, turn=turn)


def turn_of(lane: Lane) -> str:
    """A lane -> where it leads by its change of heading: below 35 degrees straight, from 150 degrees a U-turn."""
    change = heading_change(lane.center_xyz)
    if abs(change) < STRAIGHT_RAD:
        return "straight"
    if abs(change) > U_TURN_RAD:
        return "u-turn"
    return "left" if change > 0.0 else "right"


def heading_change(line: Float) -> float:
    """Polyline (N, 2 or 3) -> the sum of its turns in the plane, left positive, so that a loop counts in full."""
    step = np.diff(line[:, :2], axis=0)
    step = step[np.hypot(step[:, 0], step[:, 1]) > 1e-3]
    heading = np.arctan2(step[:, 1], step[:, 0])
    return float(((np.diff(heading) + np.pi) % (2.0 * np.pi) - np.pi).sum())
