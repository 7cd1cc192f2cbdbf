"""Where things can happen: a draw and what the road must be like in, a place on a real map or a built road out.

A `Course` is a stretch of road that the ego can drive, with everything along it by arc length. Real maps are surveyed
once a process: courses from many starts. `find` takes those that fit a question (a straight of 150 m, a light where
the course turns left, ...) and cuts the drawn one so that the place in question lies `at_m` after its start. Built
roads become courses in the same way, so a family asks both alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from cordillera.geometry import arc_length, resample, wrap_angle
from cordillera.types import Conflict, Float, LaneKind, Route, SignalKind
from cordillera.world.maps import load_map
from cordillera.world.roads import ROUTE_SPACING_M, LanePosition, Regulation, Roads, compile_map
from cordillera.world.scenarios.draw import Draw
from cordillera.world.spawn import startable

# Who may draw which real map; a test holds the sets apart.
MAPS = {
    ("right", "train"): ("town01", "town03", "town10hd"),
    ("right", "val"): ("town07",),
    ("right", "test"): ("town02", "town05", "karlsruhe", "virtual_right"),
    ("left", "train"): ("virtual_city",),
    ("left", "val"): ("kashiwanoha",),
    ("left", "test"): ("ss2", "virtual_left"),
}
STARTS, LENGTH_M = 40, 420.0  # of a survey's courses
END_M = 5.0  # before a road's end a course ends, so that a car that stops there is on the road


@dataclass(frozen=True)
class Way:
    """One lane of a course, between two arc lengths."""

    lane: int
    start_m: float
    end_m: float
    turn: str  # "straight", "left", "right", "u-turn"
    junction: str  # "" outside of junctions


@dataclass(frozen=True, eq=False)
class Course:
    """A way through a map that the ego can drive: lanes one after another without lane changes."""

    map: str
    roads: Roads
    lanes: tuple[int, ...]
    start_s: float  # on the first lane
    end_s: float  # on the last lane
    xyz: Float  # (N, 3) 1 m apart
    s_m: Float  # (N,)

    @classmethod
    def of(cls, name: str, lanes: tuple[int, ...], start_s: float, end_s: float) -> Course:
        """Map, lanes, and where on the first and last of them it begins and ends -> the course."""
        roads = compile_map(load_map(name))
        xyz = roads.route_line(lanes, start_s, end_s)
        return cls(name, roads, lanes, start_s, end_s, xyz, arc_length(xyz[:, :2]))

    @property
    def length_m(self) -> float:
        return float(self.s_m[-1])

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The lanes with their places."""
        out, at = [], -self.start_s
        for lane in self.lanes:
            record, length = self.roads.map.lanes[lane], self.roads.length(lane)
            turn = record.turn if record.junction else "straight"
            out.append(Way(lane, max(at, 0.0), min(at + length, self.length_m), turn, record.junction))
            at += length
        return tuple(out)

    @cached_property
    def stops(self) -> tuple[tuple[float, Regulation], ...]:
        """Lights, stop and give-way signs that regulate the course, with the arc lengths of their lines."""
        out, at = [], -self.start_s
        for k, lane in enumerate(self.lanes):
            meant = [r for r in self.roads.regulations(lane) if r.for_lane < 0 or r.for_lane in self.lanes[k : k + 4]]
            out += [(at + rule.s_m, rule) for rule in meant if 0.0 <= at + rule.s_m <= self.length_m]
            at += self.roads.length(lane)
        return tuple(sorted(out, key=lambda item: item[0]))

    @cached_property
    def walks(self) -> tuple[tuple[float, float, int], ...]:
        """Pedestrian crossings: from, to, and their index in the map."""
        out, at = [], -self.start_s
        for lane in self.lanes:
            spans = [(at + a, at + b, crossing) for crossing, a, b in self.roads.crossings_on(lane)]
            out += [span for span in spans if span[0] >= 0.0 and span[1] <= self.length_m]
            at += self.roads.length(lane)
        return tuple(sorted(out))

    @cached_property
    def conflicts(self) -> tuple[tuple[float, float, Conflict], ...]:
        """Where other lanes cross or merge: from, to, and the conflict."""
        out, at = [], -self.start_s
        for lane in self.lanes:
            found = [c for c in self.roads.conflicts_of(lane) if c.kind != "diverge"]
            out += [(at + c.s_m[0], at + c.s_m[1], c) for c in found if 0.0 <= at + c.s_m[0] <= self.length_m]
            at += self.roads.length(lane)
        return tuple(sorted(out, key=lambda item: item[:2]))

    @cached_property
    def yaw(self) -> Float:
        """(N,) heading of the line, continuous."""
        step = np.gradient(self.xyz[:, :2], axis=0)
        return np.unwrap(np.arctan2(step[:, 1], step[:, 0]))

    @cached_property
    def curvature_1pm(self) -> Float:
        """(N,) smoothed over 9 m, left positive."""
        turn = np.gradient(self.yaw, self.s_m)
        return np.convolve(np.pad(turn, 4, mode="edge"), np.full(9, 1.0 / 9.0), mode="valid")

    def way_at(self, at_m: float) -> tuple[Way, float]:
        """Arc length -> the lane there, and the arc length along that lane."""
        way = next((w for w in self.ways if at_m <= w.end_m), self.ways[-1])
        offset = self.start_s if way is self.ways[0] else 0.0
        return way, at_m - way.start_m + offset

    def limit_mps(self, at_m: float) -> float:
        """The speed limit at a place; 13.9 where the map gives none."""
        way, s = self.way_at(at_m)
        limit = self.roads.speed_limit(way.lane, s)
        return limit if 0.1 < limit < 100.0 else 13.9

    def cut(self, from_m: float, to_m: float) -> Course:
        """The course between two arc lengths."""
        first, start_s = self.way_at(max(from_m, 0.0))
        last, end_s = self.way_at(min(to_m, self.length_m))
        i, j = self.ways.index(first), self.ways.index(last)
        return Course.of(self.map, self.lanes[i : j + 1], start_s, end_s)

    def route(self) -> Route:
        """The course as the ego's route."""
        command, text = self.roads.instruction(self.lanes, self.start_s, self.end_s)
        return Route(resample(self.xyz, ROUTE_SPACING_M), command, text, "world", self.lanes)

    def straight_m(self, from_m: float) -> float:
        """How far from a place on it runs on without bend (radius under 250 m), junction or stop line."""
        rest = self.s_m >= from_m
        bent = self.s_m[rest][np.abs(self.curvature_1pm[rest]) > 1.0 / 250.0]
        ends = [float(bent[0])] if len(bent) else []
        ends += [w.start_m for w in self.ways if w.junction and w.end_m > from_m]
        ends += [s for s, _ in self.stops if s > from_m]
        return max(min([self.length_m, *ends]) - from_m, 0.0)

    def has_oncoming(self, at_m: float) -> bool:
        """Whether the lane beside, across the centre line, travels the other way."""
        way, _ = self.way_at(at_m)
        lane = self.roads.map.lanes[way.lane].oncoming
        return lane >= 0 and self.roads.map.lanes[lane].kind == LaneKind.DRIVING


@dataclass(frozen=True, eq=False)
class Place:
    """A course whose point of interest lies `at_m` after its start."""

    course: Course
    at_m: float
    built: bool


Fits = Callable[[Course], list[float]]


@cache
def survey(name: str) -> tuple[Course, ...]:
    """A map -> courses from starts all over it, the same in every process."""
    roads = compile_map(load_map(name))
    lanes = startable(roads)
    out = []
    step = max(len(lanes) // STARTS, 1)
    for k, lane in enumerate(lanes[::step][:STARTS]):
        start = LanePosition(int(lane), min(2.0, 0.2 * roads.length(int(lane))), 0.0)
        route = roads.wander(start, LENGTH_M, 1000 + k)
        chain = [route.lanes[0]]
        for after in route.lanes[1:]:
            if after not in roads.map.lanes[chain[-1]].successors:
                break
            chain.append(after)
        end = roads.length(chain[-1]) - (0.0 if roads.map.lanes[chain[-1]].successors else END_M)
        if end > 5.0 and (len(chain) > 1 or end - start.s_m > 20.0):
            course = Course.of(name, tuple(chain), start.s_m, end)
            if course.length_m > 60.0 and math.isfinite(course.length_m):
                out.append(course)
    return tuple(out)


def find(d: Draw, name: str, fits: Fits, before_m: float, after_m: float) -> Place | None:
    """A draw and a question -> a place on a real map of the draw's split, or None where no map has one.

    `fits` gives the arc lengths of a course that are such places; before and after them there must be as much road.
    """
    for map_name in d.shuffled(f"{name} map", MAPS[d.region.side, d.split]):
        spots = [
            (course, at)
            for course in survey(map_name)
            for at in fits(course)
            if at >= before_m and at + after_m <= course.length_m
        ]
        if spots:
            course, at = spots[int(d.unit(f"{name} on {map_name}") * len(spots))]
            return Place(course.cut(at - before_m, at + after_m), before_m, False)
    return None


def built(
    d: Draw, kind: str, start_xy: tuple[float, float], goal_xy: tuple[float, float] | None = None, **values: object
) -> Course:  # fmt: skip
    """A kind of built road with its parameters, start and goal near points of it -> the course between them.

    Without a goal it follows the road to its end. Points are given for right-hand traffic; where traffic keeps left
    they are mirrored with the road.
    """
    sign = 1.0 if d.region.side == "right" else -1.0
    given = {"side": d.region.side, "region": d.region.code, **values}
    name = ",".join([f"built:{kind}", *(f"{key}={_text(value)}" for key, value in given.items())])
    roads = compile_map(load_map(name))
    start = _lane_near(roads, start_xy[0], sign * start_xy[1])
    if goal_xy is not None:
        goal = _lane_near(roads, goal_xy[0], sign * goal_xy[1])
        route = roads.route(start, goal.lane, goal.s_m)
        return Course.of(name, route.lanes, start.s_m, goal.s_m)
    lanes = [start.lane]
    while onward := roads.map.lanes[lanes[-1]].successors:
        lanes.append(onward[0])
    return Course.of(name, tuple(lanes), start.s_m, roads.length(lanes[-1]) - END_M)


def _lane_near(roads: Roads, x: float, y: float) -> LanePosition:
    found = roads.nearest(x, y, None, 30.0)
    if found is None:
        raise ValueError(f"{roads.map.name}: no lane near ({x:g}, {y:g})")
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------- questions


def straights(length_m: float, oncoming: bool = True, slowest_mps: float = 6.0, fastest_mps: float = 40.0) -> Fits:
    """Where a straight of that length begins, with a lane of the other direction beside it if asked."""

    def fits(course: Course) -> list[float]:
        return [
            s
            for s in np.arange(0.0, course.length_m - length_m, 10.0).tolist()
            if course.straight_m(s) >= length_m
            and slowest_mps <= course.limit_mps(s) <= fastest_mps
            and (not oncoming or (course.has_oncoming(s) and course.has_oncoming(s + length_m)))
        ]

    return fits


def stop_lines(kind: SignalKind, turn: str = "") -> Fits:
    """Where lights or signs of a kind stop the course, before a turn ("left", "right", "straight"; "": any)."""

    def fits(course: Course) -> list[float]:
        out = []
        for s, rule in course.stops:
            ahead = [w.turn for w in course.ways if w.junction and w.end_m > s and w.start_m < s + 25.0]
            if rule.kind is kind and ahead and (not turn or ahead[0] == turn):
                out.append(s)
        return out

    return fits


def crossings(lit: bool = False) -> Fits:
    """Where a pedestrian crossing begins, with or without a light before it."""

    def fits(course: Course) -> list[float]:
        lights = [s for s, rule in course.stops if rule.kind is SignalKind.TRAFFIC_LIGHT]
        return [a for a, _, _ in course.walks if any(-1.0 < a - s < 40.0 for s in lights) == lit]

    return fits


def bends(sharpest_m: float = 15.0, widest_m: float = 90.0, turn_rad: float = 0.6) -> Fits:
    """Where a bend outside junctions begins that turns by so much on a radius within bounds."""

    def fits(course: Course) -> list[float]:
        bent = np.abs(course.curvature_1pm) > 1.0 / widest_m
        starts = np.flatnonzero(bent[1:] & ~bent[:-1]) + 1
        out = []
        for i in starts:
            j = i + int(np.argmin(bent[i:])) if not bent[i:].all() else len(bent) - 1
            inside = [w for w in course.ways if w.junction and w.start_m < course.s_m[j] and w.end_m > course.s_m[i]]
            sharp = float(np.abs(course.curvature_1pm[i : j + 1]).max()) > 1.0 / sharpest_m
            if not inside and not sharp and abs(float(wrap_angle(course.yaw[j] - course.yaw[i]))) >= turn_rad:
                out.append(float(course.s_m[i]))
        return out

    return fits


def turns(way: str) -> Fits:
    """Where the course begins to turn left, right or goes straight through a junction."""

    def fits(course: Course) -> list[float]:
        return [
            w.start_m for k, w in enumerate(course.ways)
            if w.junction and w.turn == way and (k == 0 or not course.ways[k - 1].junction)
        ]  # fmt: skip

    return fits
