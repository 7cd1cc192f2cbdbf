"""Who gives way where two lanes meet: signs on the approach, then the rules of the road.

In this order, traffic lights aside:

1. pairs named by the file (right-of-way elements, junction priorities);
2. trams go first;
3. signs: traffic behind a stop or give-way sign waits for traffic that has none, and a priority sign beats no sign;
4. traffic on a roundabout goes first, then traffic that leaves it;
5. a U-turn waits for everybody;
6. from the same direction the lane that bends more waits; if neither does, the one on the kerb's side;
7. from opposite directions the one that turns across oncoming traffic waits (left turns where traffic keeps right);
8. a cycle path that crosses a road from the side waits for traffic that goes straight on, not for traffic that turns;
9. from the side else, the priority rule: to the right where traffic keeps right, and in Great Britain, Ireland,
   Australia and New Zealand as well (Australian Road Rules 72; the others have no general rule, so drivers settle on
   the right); to the left elsewhere where traffic keeps left, as Japan's Road Traffic Act, article 36, says.

So a pair never waits for each other. Lanes that diverge do not wait: what is ahead is ahead.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.types import Float, Lane, LaneKind, RoadMap, SignalKind

SAME_RAD = math.radians(45.0)
OPPOSITE_RAD = math.radians(135.0)
BEND_RAD = math.radians(15.0)
HEADING_M = 2.0  # headings are taken over this stretch
RANKS = {SignalKind.STOP: -1, SignalKind.GIVE_WAY: -1, SignalKind.PRIORITY: 1}
RIGHT_FIRST_ON_THE_LEFT = {"GB", "IE", "AU", "NZ"}
ROUNDABOUT_M = 250.0  # around
ROUNDABOUT_RADIUS_M = 60.0


class Priorities:
    """Decides pairs of lanes of one map."""

    def __init__(self, road_map: RoadMap, yields: frozenset[tuple[int, int]]) -> None:
        self.lanes = road_map.lanes
        self.yields = yields
        self.keeps_right = road_map.traffic_side == "right"
        self.right_first = self.keeps_right or road_map.region in RIGHT_FIRST_ON_THE_LEFT
        self.rank = _ranks(road_map)
        self._circles: dict[int, bool] = {}

    def decide(self, a: int, b: int, kind: str) -> tuple[bool, bool]:
        """Two lanes and how they meet -> whether the first gives way, whether the second does."""
        if kind == "diverge":
            return False, False
        waits = self._order(a, b)
        return waits > 0, waits < 0

    def _order(self, a: int, b: int) -> int:
        """1 if a waits, -1 if b waits."""
        if ((a, b) in self.yields) != ((b, a) in self.yields):
            return 1 if (a, b) in self.yields else -1
        first, second = self.lanes[a], self.lanes[b]
        rails = (first.kind is LaneKind.RAIL) - (second.kind is LaneKind.RAIL)
        for waits in (
            -rails,
            self.rank[b] - self.rank[a],
            self._circle_rank(b) - self._circle_rank(a),
            (first.turn == "u-turn") - (second.turn == "u-turn"),
        ):
            if waits:
                return 1 if waits > 0 else -1
        return self._by_direction(first, second) or 1 - 2 * (a < b)

    def _by_direction(self, a: Lane, b: Lane) -> int:
        """Rules 6 to 9; 0 where they leave it open."""
        turned = wrap(start_heading(b) - start_heading(a))
        if abs(turned) < SAME_RAD:
            bends = [abs(wrap(end_heading(lane) - start_heading(lane))) for lane in (a, b)]
            if abs(bends[0] - bends[1]) > BEND_RAD:
                return 1 if bends[0] > bends[1] else -1
            return self._kerb_side(a, b)
        if abs(turned) > OPPOSITE_RAD:
            across = "left" if self.keeps_right else "right"
            costs = [0 if lane.turn == "straight" else 2 if lane.turn == across else 1 for lane in (a, b)]
            return (costs[0] > costs[1]) - (costs[0] < costs[1])
        if (a.kind is LaneKind.BIKING) != (b.kind is LaneKind.BIKING):
            car, sign = (b, 1) if a.kind is LaneKind.BIKING else (a, -1)
            return sign if car.turn == "straight" else -sign
        b_from_right = turned > 0.0
        return 1 if b_from_right == self.right_first else -1

    def _kerb_side(self, a: Lane, b: Lane) -> int:
        """1 if a starts nearer the kerb than b, -1 if farther, 0 if side by side cannot be told."""
        heading = start_heading(b)
        gap = a.center_xyz[0] - b.center_xyz[0]
        to_left = math.cos(heading) * gap[1] - math.sin(heading) * gap[0]
        if abs(to_left) < 0.1:
            return 0
        return 1 if (to_left < 0.0) == self.keeps_right else -1

    # ------------------------------------------------------------- roundabouts

    def _circle_rank(self, index: int) -> int:
        """2 on a roundabout, 1 on the way out of it, 0 elsewhere."""
        if self._on_circle(index):
            return 2
        return int(any(self._on_circle(i) for i in self.lanes[index].predecessors))

    def _on_circle(self, index: int) -> bool:
        if index not in self._circles:
            self._circles[index] = self._bends_on(index) and self._comes_back(index)
        return self._circles[index]

    def _bends_on(self, index: int) -> bool:
        """Whether a lane bends the way of a roundabout: to the left where traffic keeps right."""
        lane = self.lanes[index]
        length = float(np.hypot(*np.diff(lane.center_xyz[:, :2], axis=0).T).sum())
        bend = wrap(end_heading(lane) - start_heading(lane)) * (1.0 if self.keeps_right else -1.0)
        return bend > (length - 6.0) / ROUNDABOUT_RADIUS_M and bend > -0.2

    def _comes_back(self, start: int) -> bool:
        """Whether lanes that keep bending lead back to where one starts."""
        front, seen = [(start, 0.0)], set()
        while front:
            at, gone = front.pop()
            line = self.lanes[at].center_xyz
            gone += float(np.hypot(*np.diff(line[:, :2], axis=0).T).sum())
            if gone > ROUNDABOUT_M:
                continue
            for other in self.lanes[at].successors:
                if other == start:
                    return True
                if other not in seen and self._bends_on(other):
                    seen.add(other)
                    front.append((other, gone))
        return False


def _ranks(road_map: RoadMap) -> list[int]:
    """Each lane's rank by the signs on it or, in a junction, on the lanes before it."""
    own: list[set[int]] = [set() for _ in road_map.lanes]
    for signal in road_map.signals:
        if signal.kind in RANKS:
            for lane in signal.lanes:
                own[lane].add(RANKS[signal.kind])
    out = []
    for index, lane in enumerate(road_map.lanes):
        ranks = set(own[index])
        if lane.junction:
            ranks = ranks.union(*(own[i] for i in lane.predecessors))
        out.append(min(ranks, default=0))
    return out


def wrap(angle_rad: float) -> float:
    """An angle -> the same direction in [-pi, pi)."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi


def start_heading(lane: Lane) -> float:
    """The direction in which a lane begins, over its first 2 m."""
    return _heading(lane.center_xyz)


def end_heading(lane: Lane) -> float:
    """The direction in which a lane ends, over its last 2 m."""
    return wrap(_heading(lane.center_xyz[::-1]) + math.pi)


def _heading(line: Float) -> float:
    """Polyline -> the direction from its first point to the first one at least 2 m away, else to its last."""
    gap = np.hypot(line[:, 0] - line[0, 0], line[:, 1] - line[0, 1])
    far = int(np.argmax(gap >= HEADING_M)) if gap.max() >= HEADING_M else len(line) - 1
    return math.atan2(line[far, 1] - line[0, 1], line[far, 0] - line[0, 0])
