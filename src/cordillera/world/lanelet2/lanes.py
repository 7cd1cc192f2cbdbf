"""Lanelets -> lanes with centre lines, links and neighbours.

A lanelet that may be driven in both directions becomes two lanes, `ID` and `ID:back`, that run against each other on
the same ground and are each other's `oncoming`. So links, routes and conflicts need no second kind of traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cordillera.types import Lane, LaneKind
from cordillera.world.lanelet2.lanelets import Border, Lanelet
from cordillera.world.lanelet2.osm import Osm
from cordillera.world.lanelet2.points import Points
from cordillera.world.lanelet2.rungs import centre_of, follow_centre
from cordillera.world.lanelet2.tables import kind_of, may_change, speed_of, usual_limit

WHEELED = (LaneKind.DRIVING, LaneKind.BUS, LaneKind.BIKING, LaneKind.SHOULDER, LaneKind.PARKING, LaneKind.RAIL)
CHANGEABLE = (LaneKind.DRIVING, LaneKind.BUS)
TURNS = {"left": "left", "right": "right", "straight": "straight", "u_turn": "u-turn", "uturn": "u-turn"}


@dataclass(frozen=True)
class Course:
    """One direction of a lanelet: the lane that it becomes."""

    lanelet: Lanelet
    back: bool
    left: Border
    right: Border
    who: frozenset[str]
    kind: LaneKind

    @property
    def id(self) -> str:
        return f"{self.lanelet.id}:back" if self.back else self.lanelet.id


def courses_of(lanelets: dict[str, Lanelet]) -> list[Course]:
    """Lanelets -> their directions of travel, crosswalks left out; those against come right after those along."""
    out = []
    for lanelet in lanelets.values():
        if lanelet.is_crosswalk:
            continue
        out.append(Course(lanelet, False, lanelet.left, lanelet.right, lanelet.forward, lanelet.kind))
        kind = kind_of(lanelet.tags.get("subtype", ""), lanelet.backward)
        if lanelet.backward and lanelet.kind in WHEELED and kind in WHEELED:
            left, right = lanelet.right.reversed(), lanelet.left.reversed()
            out.append(Course(lanelet, True, left, right, lanelet.backward, kind))
    return out


def build_lanes(osm: Osm, points: Points, courses: list[Course], traffic_side: str) -> list[Lane]:
    """A file's courses -> lanes in the same order, all fields but `junction` filled."""
    lines = _lines(points, courses)
    successors = _follow(courses)
    predecessors: list[list[int]] = [[] for _ in courses]
    for index, following in enumerate(successors):
        for other in following:
            predecessors[other].append(index)
    beside = _Beside(courses, traffic_side)
    lanes = []
    for index, course in enumerate(courses):
        center, left, right = lines[index]
        left_lane, right_lane = beside.left(index), beside.right(index)
        tags = course.lanelet.tags
        two_way = bool(course.lanelet.backward) and not beside.twin(index) >= 0
        lanes.append(
            Lane(
                id=course.id,
                kind=course.kind,
                center_xyz=center,
                left_xyz=left,
                right_xyz=right,
                speed_limit_mps=_limit(osm, course),
                turn="" if course.back else TURNS.get(tags.get("turn_direction", "").lower(), ""),
                successors=tuple(successors[index]),
                predecessors=tuple(predecessors[index]),
                left=left_lane,
                right=right_lane,
                oncoming=beside.oncoming(index),
                change_left=_may_change(osm, courses, index, left_lane, True),
                change_right=_may_change(osm, courses, index, right_lane, False),
                bidirectional=two_way,
            )
        )
    return lanes


def _lines(points: Points, courses: list[Course]) -> list[tuple]:
    """Courses -> centre, left, right of each; a course against its lanelet has the same lines reversed."""
    out: list[tuple] = []
    for course in courses:
        if course.back:
            center, left, right = out[-1]
            out.append((center[::-1].copy(), right[::-1].copy(), left[::-1].copy()))
            continue
        left, right = points.line(course.left.nodes), points.line(course.right.nodes)
        given = points.line(course.lanelet.center) if len(course.lanelet.center) > 1 else left[:1]
        if len(given) < 2:
            out.append(centre_of(left, right))
            continue
        start = 0.5 * (left[0] + right[0])
        backwards = np.linalg.norm(given[0] - start) > np.linalg.norm(given[-1] - start)
        out.append(follow_centre(given[::-1] if backwards else given, left, right))
    return out


def _follow(courses: list[Course]) -> list[list[int]]:
    """Courses -> those that start at the two points at which each ends, where somebody may pass both."""
    starts: dict[tuple[str, str], list[int]] = {}
    for index, course in enumerate(courses):
        starts.setdefault((course.left.nodes[0], course.right.nodes[0]), []).append(index)
    return [
        [
            other
            for other in starts.get((course.left.nodes[-1], course.right.nodes[-1]), ())
            if courses[other].lanelet is not course.lanelet and _share(course.who, courses[other].who)
        ]
        for course in courses
    ]


def _share(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether somebody may pass both: "vehicle" stands for every kind of vehicle."""
    return any(x == y or x.startswith(f"{y}:") or y.startswith(f"{x}:") for x in a for y in b)


class _Beside:
    """Who lies beside whom: courses that share a border, by the border and its direction."""

    def __init__(self, courses: list[Course], traffic_side: str) -> None:
        self.courses = courses
        self.sides = ("left", "right") if traffic_side == "right" else ("right", "left")
        self.by_left: dict[tuple, list[int]] = {}
        self.by_right: dict[tuple, list[int]] = {}
        for index, course in enumerate(courses):
            self.by_left.setdefault(course.left.ways, []).append(index)
            self.by_right.setdefault(course.right.ways, []).append(index)

    def left(self, index: int) -> int:
        return self._best(index, self.by_right.get(self.courses[index].left.ways, ()))

    def right(self, index: int) -> int:
        return self._best(index, self.by_left.get(self.courses[index].right.ways, ()))

    def twin(self, index: int) -> int:
        """The same lanelet in the other direction."""
        for other in (index - 1, index + 1):
            if 0 <= other < len(self.courses) and self.courses[other].lanelet is self.courses[index].lanelet:
                return other
        return -1

    def oncoming(self, index: int) -> int:
        """The nearest course beyond the lanes of the same direction that runs against them, else the twin."""
        for side in self.sides:
            at, seen = index, {index}
            while (further := self.left(at) if side == "left" else self.right(at)) >= 0 and further not in seen:
                at = further
                seen.add(at)
            border = (self.courses[at].left if side == "left" else self.courses[at].right).reversed().ways
            found = self._best(index, (self.by_left if side == "left" else self.by_right).get(border, ()))
            if found >= 0:
                return found
        return self.twin(index)

    def _best(self, index: int, others: list[int] | tuple[int, ...]) -> int:
        """Of the courses on the other side of a border: wheeled ones only, of the same traffic before others."""
        own = self.courses[index]
        if own.kind not in WHEELED:
            return -1
        fit = [i for i in others if self.courses[i].kind in WHEELED and self.courses[i].lanelet is not own.lanelet]
        return min(fit, key=lambda i: (not _share(own.who, self.courses[i].who), self.courses[i].back, i), default=-1)


def _may_change(osm: Osm, courses: list[Course], index: int, other: int, to_left: bool) -> bool:
    own = courses[index]
    if other < 0 or own.kind not in CHANGEABLE or courses[other].kind not in CHANGEABLE:
        return False
    border = own.left if to_left else own.right
    return all(may_change(osm.ways[way].tags, back)[0 if to_left else 1] for way, back in border.ways)


def _limit(osm: Osm, course: Course) -> float:
    """The limit in m/s that the tags write, else the usual one of the kind."""
    tags, place = course.lanelet.tags, f"lanelet {course.lanelet.id}"
    text = tags.get("speed_limit:vehicle", tags.get("speed_limit"))
    limit = speed_of(text)
    if math.isfinite(limit) and limit > 0.0:
        return limit
    usual = usual_limit(tags, course.kind)
    if course.kind in CHANGEABLE and not course.back:
        said = "speed limit missing" if text is None else f"speed limit {text!r} is no speed"
        osm.notes.add(said, f"{usual * 3.6:.0f} km/h taken by subtype and location", place)
    return usual


def traffic_side_votes(courses: list[Course]) -> tuple[int, int]:
    """Courses -> how often vehicles keep right and left, counted on borders between opposite one-way courses."""
    lefts = [c.left.ways for c in _one_way(courses)]
    rights = [c.right.ways for c in _one_way(courses)]
    shared_left, shared_right = set(lefts), set(rights)

    def opposite(ways: tuple) -> tuple:
        return tuple((way, not back) for way, back in ways[::-1])

    return sum(opposite(w) in shared_left for w in lefts) // 2, sum(opposite(w) in shared_right for w in rights) // 2


def _one_way(courses: list[Course]) -> Iterator[Course]:
    return (c for c in courses if c.kind is LaneKind.DRIVING and not c.lanelet.backward)
