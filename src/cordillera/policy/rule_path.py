"""A route -> the expert's view of it, worked out once: a smooth line with speeds, and all that lies along it in order.

Stations are arc lengths along the route in metres. What lies along it: stop lines with their lights and signs,
crossings, zones shared with other lanes in clusters that leave no room to wait inside, turns and lane changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from cordillera.policy.rule_line import SPACING_M, drive_line
from cordillera.types import Conflict, Float, Int, RoadMap, Route, SignalKind
from cordillera.world.guide import Guide
from cordillera.world.roads import Roads, compile_map
from cordillera.world.traffic_net import BRAKE_MPS2, LATERAL_MPS2, speed_caps

UPSTREAM_M = 100.0  # how far back from a zone others are looked for
HOLD_MARGIN_M = 1.5  # between the place to wait and a zone
LINE_REACH_M = 30.0
CAR_M = 5.0
ROOM_M = 6.5  # a car that waits between two zones needs as much
DEFAULT_LIMIT_MPS = 13.9


@dataclass(frozen=True)
class Line:
    """Where the route's traffic waits for a light or sign."""

    kind: SignalKind
    signal: int
    s_m: float
    lane: int


@dataclass(frozen=True)
class Walk:
    """A pedestrian crossing over the route."""

    crossing: int
    s0_m: float
    s1_m: float
    lane: int


@dataclass(frozen=True)
class Upstream:
    """A lane that leads to a zone's other lane: how far its start is before that lane's start, and what follows it."""

    lane: int
    before_m: float
    onward: int  # -1: the other lane itself


@dataclass(frozen=True, eq=False)
class Zone:
    """A stretch of the route that another lane crosses or joins."""

    s0_m: float
    s1_m: float
    conflict: Conflict
    other_yields: bool
    other_length_m: float
    other_speed_mps: float  # that limit and curves allow where the other lane comes in
    by_lane: dict[int, Upstream]  # the other lane and those that lead to it


@dataclass(frozen=True, eq=False)
class Cluster:
    """Zones without room between them: one waits before all of them, with the front at `hold_m`."""

    hold_m: float
    end_m: float
    zones: tuple[Zone, ...]
    line: Line | None


@dataclass(frozen=True)
class Stretch:
    """A part of the route on which one turns ("left", "right", "u-turn") or changes lanes ("change-left", ...)."""

    s0_m: float
    s1_m: float
    what: str
    lane: int


@dataclass(frozen=True, eq=False)
class Change:
    """A lane change of the route: the line crosses from lane `source` to lane `target` at `middle_m`."""

    middle_m: float
    until_m: float  # where the source lane ends or may not be left any more
    side: str  # "left" or "right"
    source: int
    target: int
    around: frozenset[int]  # the target lane and the lanes before and after it


@dataclass(frozen=True, eq=False)
class Path:
    """A route worked out; arrays are over stations `SPACING_M` apart."""

    lanes: tuple[int, ...]
    xy: Float  # (N, 2)
    yaw: Float  # (N,) continuous
    curvature: Float  # (N,)
    step: Int  # (N,) index into `lanes`
    limit: Float  # (N,) speed limit
    cap: Float  # (N,) speed allowed here in view of limit, curve, and braking for what comes
    cap_by: Int  # (N,) the station whose limit or curve sets it
    curved: Float  # (N,) speed that the curve alone allows
    lines: tuple[Line, ...]
    walks: tuple[Walk, ...]
    clusters: tuple[Cluster, ...]
    stretches: tuple[Stretch, ...]
    changes: tuple[Change, ...]

    @property
    def length_m(self) -> float:
        return SPACING_M * (len(self.xy) - 1)

    def index(self, s_m: float) -> int:
        return min(max(round(s_m / SPACING_M), 0), len(self.xy) - 1)

    def project(self, x: float, y: float, first: int, last: int) -> tuple[float, float]:
        """World point, range of stations -> arc length of the nearest point in the range, offset to the left."""
        near = self.xy[first:last]
        gap = near - (x, y)
        i = first + int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        c, s = math.cos(self.yaw[i]), math.sin(self.yaw[i])
        dx, dy = x - self.xy[i, 0], y - self.xy[i, 1]
        return i * SPACING_M + c * dx + s * dy, c * dy - s * dx


_PATHS: WeakKeyDictionary[Route, Path] = WeakKeyDictionary()


def path_of(road_map: RoadMap, route: Route, side_mps2: float, brake_mps2: float) -> Path:
    """Map, route in the world frame with lanes, comfort -> its path; kept as long as the route lives."""
    path = _PATHS.get(route)
    if path is None:
        if not route.lanes or route.frame != "world":
            raise ValueError("the expert needs a route in the world frame with its lanes; take it from the scenario")
        path = _PATHS[route] = _build(compile_map(road_map), route, side_mps2, brake_mps2)
    return path


def _build(roads: Roads, route: Route, side_mps2: float, brake_mps2: float) -> Path:
    guide = Guide.of(roads, route)
    xy, yaw, curvature, step = drive_line(roads, guide)
    limit = _limits(roads, route.lanes, step, xy)
    curved = np.sqrt(side_mps2 / np.maximum(np.abs(curvature), 1e-6))
    cap, cap_by = _braked(np.minimum(limit, curved), brake_mps2)
    place = _Placer(roads, route.lanes, step, xy)
    lines = tuple(sorted(_lines(roads, route.lanes, place), key=lambda line: line.s_m))
    walks = tuple(_walks(roads, route.lanes, place))
    zones = sorted(_zones(roads, route.lanes, place), key=lambda zone: zone.s0_m)
    return Path(
        route.lanes, xy, yaw, curvature, step, limit, cap, cap_by, curved, lines,
        walks, tuple(_clusters(zones, lines, walks)),
        tuple(_stretches(roads, route.lanes, step)), tuple(_changes(roads, route.lanes, step, xy)),
    )  # fmt: skip


def _limits(roads: Roads, lanes: tuple[int, ...], step: Int, xy: Float) -> Float:
    """Speed limit at each station."""
    out = np.empty(len(xy))
    for i in range(0, len(xy), 4):
        lane = lanes[step[i]]
        limit = roads.speed_limit(lane, roads.project(lane, xy[i, 0], xy[i, 1])[0])
        out[i : i + 4] = limit if 0.1 < limit < 100.0 else DEFAULT_LIMIT_MPS
    return out


def _braked(allowed: Float, brake_mps2: float) -> tuple[Float, Int]:
    """Speeds allowed at stations -> speeds from which each later one is still met, and the station that sets each."""
    cap, by = allowed.copy(), np.arange(len(allowed))
    for i in range(len(cap) - 2, -1, -1):
        reach = math.sqrt(cap[i + 1] ** 2 + 2.0 * brake_mps2 * SPACING_M)
        if reach < cap[i]:
            cap[i], by[i] = reach, by[i + 1]
    return cap, by


class _Placer:
    """Places on the route's lanes -> stations of the route."""

    def __init__(self, roads: Roads, lanes: tuple[int, ...], step: Int, xy: Float) -> None:
        self._roads, self._lanes, self._xy = roads, lanes, xy
        self.first = np.searchsorted(step, np.arange(len(lanes)), side="left")
        self.last = np.searchsorted(step, np.arange(len(lanes)), side="right")

    def station(self, k: int, s_m: float) -> float | None:
        """Lane number k of the route and arc length along it -> station, None where the route is not on it there."""
        first, last = int(self.first[k]), int(self.last[k])
        if first >= last and (first == 0 or first >= len(self._xy)):
            return None  # before the route's start or behind its end; shorter than the spacing otherwise
        low, high = max(first - 8, 0), min(last + 8, len(self._xy))
        (x, y, _), yaw = self._roads.pose(self._lanes[k], s_m)
        gap = self._xy[low:high] - (x, y)
        i = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        along = float(-gap[i] @ (math.cos(yaw), math.sin(yaw)))
        if math.hypot(*gap[i]) > 6.0:
            return None
        return (low + i) * SPACING_M + min(max(along, -SPACING_M), SPACING_M)


def _lines(roads: Roads, lanes: tuple[int, ...], place: _Placer) -> list[Line]:
    found = []
    for k, lane in enumerate(lanes):
        for rule in roads.regulations(lane):
            station = place.station(k, rule.s_m)
            if station is not None and (rule.for_lane < 0 or rule.for_lane in lanes[k : k + 8]):
                found.append(Line(rule.kind, rule.signal, station, lane))
    return found


def _walks(roads: Roads, lanes: tuple[int, ...], place: _Placer) -> list[Walk]:
    found: dict[tuple[int, int], Walk] = {}
    for k, lane in enumerate(lanes):
        for crossing, s0, s1 in roads.crossings_on(lane):
            a, b = place.station(k, s0), place.station(k, s1)
            if a is not None and b is not None and b > a - 1.0:
                found.setdefault((crossing, round(a / 10.0)), Walk(crossing, a, b, lane))
    return sorted(found.values(), key=lambda walk: walk.s0_m)


def _zones(roads: Roads, lanes: tuple[int, ...], place: _Placer) -> list[Zone]:
    caps = speed_caps(roads.net, LATERAL_MPS2, BRAKE_MPS2)

    def allowed(conflict: Conflict) -> float:
        net = roads.net
        rows = slice(net.pt_ptr[conflict.other], net.pt_ptr[conflict.other + 1])
        return float(np.interp(conflict.other_s_m[0], net.points["s"][rows], caps[rows]))

    found = []
    for k, lane in enumerate(lanes):
        for conflict in roads.conflicts_of(lane):
            if conflict.kind == "diverge" or conflict.other in lanes[max(k - 2, 0) : k + 4]:
                continue
            a, b = place.station(k, conflict.s_m[0]), place.station(k, conflict.s_m[1])
            if a is None or b is None or b <= a:
                continue
            back = any(
                c.other == lane and c.kind == conflict.kind and c.yields for c in roads.conflicts_of(conflict.other)
            )
            by_lane = {item.lane: item for item in _upstream(roads, conflict.other, lane)}
            found.append(Zone(a, b, conflict, back, roads.length(conflict.other), allowed(conflict), by_lane))
    return found


def _upstream(roads: Roads, other: int, lane: int) -> list[Upstream]:
    """The lanes within reach before a lane, nearest first, with itself."""
    found, seen, front = [], set(), [Upstream(other, 0.0, -1)]
    while front:
        front.sort(key=lambda item: (item.before_m, item.lane))
        item = front.pop(0)
        if item.lane in seen or item.before_m - roads.length(item.lane) > UPSTREAM_M or item.lane == lane:
            continue
        seen.add(item.lane)
        found.append(item)
        front += [
            Upstream(before, item.before_m + roads.length(before), item.lane)
            for before in roads.map.lanes[item.lane].predecessors
            if roads.net.lanes["routable"][before]
        ]
    return found


def _clusters(zones: list[Zone], lines: tuple[Line, ...], walks: tuple[Walk, ...]) -> list[Cluster]:
    """Zones by station -> clusters, each with the place to wait: its stop line if it has one, else right before it."""
    groups: list[list[Zone]] = []
    end = -math.inf
    for zone in zones:
        if zone.s0_m - HOLD_MARGIN_M - ROOM_M > end:
            groups.append([])
        groups[-1].append(zone)
        end = max(end, zone.s1_m)
    clusters, end = [], -math.inf
    for group in groups:
        start = group[0].s0_m
        line = next((n for n in reversed(lines) if max(end, start - LINE_REACH_M) < n.s_m <= start + 1.0), None)
        hold = start - HOLD_MARGIN_M
        for walk in reversed(walks):  # nobody waits on a crossing
            if walk.s0_m < hold and hold - CAR_M < walk.s1_m and walk.s0_m > end:
                hold = walk.s0_m - 0.5
        hold = min(hold, line.s_m if line else math.inf)
        end = max(zone.s1_m for zone in group)
        clusters.append(Cluster(hold, end, tuple(group), line))
    return clusters


def _stretches(roads: Roads, lanes: tuple[int, ...], step: Int) -> list[Stretch]:
    found = []
    for k, lane in enumerate(lanes):
        here = np.flatnonzero(step == k) * SPACING_M
        row = roads.map.lanes[lane]
        if len(here) and row.turn != "straight":
            found.append(Stretch(float(here[0]), float(here[-1]), row.turn, lane))
        if k + 1 < len(lanes) and lanes[k + 1] in (row.left, row.right) and lanes[k + 1] not in row.successors:
            side = "change-left" if lanes[k + 1] == row.left else "change-right"
            middle = float(np.flatnonzero(step <= k)[-1]) * SPACING_M
            found.append(Stretch(max(middle - 25.0, 0.0), middle + 25.0, side, lanes[k + 1]))
    return found


def _changes(roads: Roads, lanes: tuple[int, ...], step: Int, xy: Float) -> list[Change]:
    found = []
    for k, (source, target) in enumerate(pairwise(lanes)):
        row = roads.map.lanes[source]
        here = np.flatnonzero(step <= k)
        if target not in (row.left, row.right) or target in row.successors or not len(here):
            continue
        x, y = xy[here[-1]]
        middle = float(here[-1]) * SPACING_M
        left = roads.length(source) - roads.project(source, x, y)[0]
        around = {item.lane for item in _upstream(roads, target, source)}
        around |= {
            i for after in roads.map.lanes[target].successors for i in (after, *roads.map.lanes[after].successors)
        }
        side = "left" if target == row.left else "right"
        found.append(Change(middle, middle + left, side, source, target, frozenset(around | {target})))
    return found
