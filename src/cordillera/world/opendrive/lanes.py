"""Sections and links -> `Lane` values in their direction of travel, with neighbours, links and speed limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from cordillera.types import Float, Lane, LaneKind
from cordillera.world.opendrive.links import Key, LaneEnds, join_ends, sections_of, travel_links
from cordillera.world.opendrive.marks import may_cross
from cordillera.world.opendrive.model import DRIVEN, WHEELED, LaneSource, Network, Road, Section
from cordillera.world.opendrive.source import Source
from cordillera.world.opendrive.surface import border_lines, borders_t, frame_at, lane_stations

SHORTEST_SECTION_M = 0.01
NARROWEST_M = 0.01
WIDEST_M = 1000.0  # from the reference line, and
HIGHEST_M = 20_000.0  # beyond which a number is wrong
KMH = 1 / 3.6
USUAL_LIMIT_MPS = {
    "rural": 100 * KMH, "motorway": 130 * KMH, "town": 50 * KMH, "lowSpeed": 30 * KMH, "pedestrian": 10 * KMH,
    "bicycle": 25 * KMH, "townExpressway": 70 * KMH, "townCollector": 50 * KMH, "townArterial": 50 * KMH,
    "townPrivate": 20 * KMH, "townLocal": 30 * KMH, "townPlayStreet": 10 * KMH,
}  # fmt: skip
DEFAULT_LIMIT_MPS = 50 * KMH


@dataclass(frozen=True, eq=False)
class LaneSet:
    """The lanes of a map with where they come from, for all that stands on them."""

    lanes: list[Lane] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)  # lane -> road, section, number
    forward: list[bool] = field(default_factory=list)  # lane -> whether it runs along its road's s
    index: dict[Key, int] = field(default_factory=dict)
    stations: dict[tuple[str, int], Float] = field(default_factory=dict)  # road, section -> (N,), shared by its lanes
    lane_stations: list[Float] = field(default_factory=list)  # lane -> those of them that it has points at, ascending
    by_road: dict[str, list[int]] = field(default_factory=dict)

    def at(self, road: str, s: float) -> list[int]:
        """The lanes of a road at its station s; where two sections meet, those of both."""
        spans = ((lane, self.lane_stations[lane]) for lane in self.by_road.get(road, ()))
        return [lane for lane, span in spans if span[0] - 1e-6 <= s <= span[-1] + 1e-6]

    def along(self, lane: int, s: float) -> float:
        """Arc length along a lane in its direction of travel, at its road's station s."""
        steps = np.linalg.norm(np.diff(self.lanes[lane].center_xyz, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        stations = self.lane_stations[lane]
        if self.forward[lane]:
            return float(np.interp(s, stations, along))
        return float(np.interp(-s, -stations[::-1], along))


def runs_forward(road: Road, lane: LaneSource) -> bool:
    """Whether traffic on a lane runs along its road's s: right lanes do, unless traffic keeps left or is reversed."""
    return ((lane.number < 0) != road.left_hand) != (lane.direction == "reversed")


def build_lanes(network: Network, source: Source) -> LaneSet:
    """The network -> its lanes, linked."""
    lane_set = LaneSet()
    points: dict[Key, Float] = {}
    forward: dict[Key, bool] = {}
    both_ways: set[Key] = set()
    for road, index, section in sections_of(network):
        is_short = section.s1 - section.s0 < SHORTEST_SECTION_M
        if is_short:
            source.notes.add("lane section of length 0", "its lanes only pass links on", f"road {road.id}")
        _check_range(road, index, section, source)
        s = np.array([section.s0, section.s1]) if is_short else lane_stations(road, section)
        lane_set.stations[road.id, index] = s
        borders = border_lines(road, section, s)
        for number in sorted(section.lanes, reverse=True):
            if number == 0:
                continue
            key, lane = (road.id, index, number), section.lanes[number]
            forward[key] = runs_forward(road, lane)
            if lane.direction == "both":
                both_ways.add(key)
            inner, outer = borders[number]
            points[key] = 0.5 * (inner + outer)[[0, -1]]
            if is_short:
                continue
            if np.linalg.norm(outer - inner, axis=-1).max() < NARROWEST_M:
                if lane.kind in WHEELED:
                    source.notes.add("lane of no width", "left out", f"road {road.id}, section {index}, lane {number}")
                continue
            _append(lane_set, road, section, key, inner, outer, forward[key])
    usable = {key for key in points if _source_of(network, key).kind in WHEELED}
    driven = {key for key in usable if _source_of(network, key).kind in DRIVEN}
    joined = join_ends(network, LaneEnds(points, usable, driven), source)
    _link(network, lane_set, travel_links(joined, forward, both_ways, driven, set(lane_set.index), source))
    _fill_limits(network, lane_set, source)
    return lane_set


def _check_range(road: Road, index: int, section: Section, source: Source) -> None:
    """Raise OpenDriveError where a section's widths, offsets or elevations reach beyond anything that is built."""
    frame = frame_at(road, np.linspace(section.s0, section.s1, 17), section.s0, section.s1)
    place = f"road {road.id}, section {index}"
    for number, t in borders_t(road, section, frame).items():
        if not np.abs(t).max() < WIDEST_M:
            found = f"lane {number} reaches {np.abs(t).max():g} m from the reference line"
            raise source.broken(place, found, "Check its <width> or <border> and the <laneOffset>.")
    if not np.abs(frame.xyz[:, 2]).max() < HIGHEST_M:
        raise source.broken(place, f"elevation of {np.abs(frame.xyz[:, 2]).max():g} m", "Check <elevation>.")


def _source_of(network: Network, key: Key) -> LaneSource:
    return network.roads[key[0]].sections[key[1]].lanes[key[2]]


def _append(
    lane_set: LaneSet, road: Road, section: Section, key: Key, inner: Float, outer: Float, forward: bool
) -> None:
    lane = section.lanes[key[2]]
    left, right = (outer, inner) if lane.number > 0 else (inner, outer)
    if not forward:
        left, right = right[::-1], left[::-1]
    index = len(lane_set.lanes)
    lane_set.lane_stations.append(lane_set.stations[key[:2]])
    lane_set.lanes.append(
        Lane(
            id=f"{key[0]}:{key[1]}:{key[2]}",
            kind=LaneKind.RESTRICTED if _is_turning_lane(section, lane) else lane.kind,
            center_xyz=0.5 * (left + right),
            left_xyz=np.ascontiguousarray(left),
            right_xyz=np.ascontiguousarray(right),
            speed_limit_mps=_limit(road, section, lane),
            junction=road.junction,
            bidirectional=lane.direction == "both",
        )
    )
    lane_set.keys.append(key)
    lane_set.forward.append(forward)
    lane_set.index[key] = index
    lane_set.by_road.setdefault(road.id, []).append(index)


def _is_turning_lane(section: Section, lane: LaneSource) -> bool:
    """Whether a lane for both directions only serves turns, since each direction has lanes of its own beside it."""
    if lane.direction != "both" or lane.kind not in DRIVEN:
        return False
    own = {n > 0 for n, other in section.lanes.items() if n and other.kind in DRIVEN and other.direction != "both"}
    return len(own) == 2


def _limit(road: Road, section: Section, lane: LaneSource) -> float:
    """The limit that holds on most of a lane in m/s: the lane's own, else the road's; NaN where neither says."""
    own = [(lane.s0 + offset, value) for offset, value in lane.speeds]
    for records in (own, [(kind.s, kind.limit_mps) for kind in road.types]):
        starts = [s for s, _ in records] + [math.inf]
        shares: dict[float, float] = {}
        for (_, value), low, high in zip(records, starts, starts[1:], strict=False):
            length = min(high, section.s1) - max(low, section.s0)
            if length > 0.0 and not math.isnan(value):
                shares[value] = shares.get(value, 0.0) + length
        if shares:
            return max(shares, key=lambda value: shares[value])
    return math.nan


def _link(network: Network, lane_set: LaneSet, links: tuple[dict[Key, list[Key]], dict[Key, list[Key]]]) -> None:
    """Put successors, predecessors and neighbours into the lanes."""
    successors, predecessors = links
    for index, key in enumerate(lane_set.keys):
        _trim(lane_set, index, bool(predecessors[key]), bool(successors[key]))
    for index, key in enumerate(lane_set.keys):
        left, right, oncoming = _neighbours(network, lane_set, index)
        lane_set.lanes[index] = replace(
            lane_set.lanes[index],
            successors=tuple(lane_set.index[k] for k in successors[key]),
            predecessors=tuple(lane_set.index[k] for k in predecessors[key]),
            left=left,
            right=right,
            oncoming=oncoming,
            change_left=left >= 0 and _may_change(network, lane_set, index, left),
            change_right=right >= 0 and _may_change(network, lane_set, index, right),
        )


def _trim(lane_set: LaneSet, index: int, keep_start: bool, keep_end: bool) -> None:
    """Cut off where a lane has no width yet or no more, at ends that nothing leads to."""
    lane = lane_set.lanes[index]
    wide = np.flatnonzero(np.linalg.norm((lane.left_xyz - lane.right_xyz)[:, :2], axis=1) > NARROWEST_M)
    count = len(lane.center_xyz)
    first = 0 if keep_start else max(int(wide[0]) - 1, 0)
    last = count - 1 if keep_end else min(int(wide[-1]) + 1, count - 1)
    if (first, last) == (0, count - 1) or last - first < 1:
        return
    part = slice(first, last + 1)
    lines = {name: getattr(lane, name)[part].copy() for name in ("center_xyz", "left_xyz", "right_xyz")}
    lane_set.lanes[index] = replace(lane, **lines)
    stations = lane_set.lane_stations[index]
    lane_set.lane_stations[index] = (
        stations[part] if lane_set.forward[index] else stations[count - 1 - last : count - first]
    )


def _neighbours(network: Network, lane_set: LaneSet, index: int) -> tuple[int, int, int]:
    """Lane -> its left and right neighbour of the same travel and the nearest driving lane against it, -1 for none."""
    road, section, number = lane_set.keys[index]
    forward = lane_set.forward[index]
    if lane_set.lanes[index].kind not in WHEELED:
        return -1, -1, -1
    across = sorted(network.roads[road].sections[section].lanes, reverse=True)  # from left to right along s
    across = [n for n in across if n and (road, section, n) in lane_set.index]
    place = across.index(number)

    def beside(step: int) -> int:
        if not 0 <= place + step < len(across):
            return -1
        other = lane_set.index[road, section, across[place + step]]
        fits = lane_set.lanes[other].kind in WHEELED and lane_set.forward[other] == forward
        return other if fits else -1

    against = [
        (abs(rank - place), lane_set.index[road, section, n])
        for rank, n in enumerate(across)
        if lane_set.lanes[lane_set.index[road, section, n]].kind in DRIVEN
        and lane_set.forward[lane_set.index[road, section, n]] != forward
    ]
    left = -1 if forward else 1
    return beside(left), beside(-left), min(against)[1] if against else -1


def _may_change(network: Network, lane_set: LaneSet, lane: int, other: int) -> bool:
    """Whether the marking lets traffic of one driving lane change to its neighbour, somewhere along it."""
    if lane_set.lanes[lane].kind not in DRIVEN or lane_set.lanes[other].kind not in DRIVEN:
        return False
    road, section, number = lane_set.keys[lane]
    target = lane_set.keys[other][2]
    found = network.roads[road].sections[section]
    return may_cross(found, number, target)


def _fill_limits(network: Network, lane_set: LaneSet, source: Source) -> None:
    """Lanes whose road says no limit take it from the lanes before or behind them, else the usual one of the road."""
    lanes = lane_set.lanes
    limits = [lane.speed_limit_mps for lane in lanes]
    missing = [i for i, limit in enumerate(limits) if math.isnan(limit)]
    for _ in range(3):
        for i in missing:
            if math.isnan(limits[i]):
                for links in (lanes[i].predecessors, lanes[i].successors):
                    known = [limits[j] for j in links if not math.isnan(limits[j])]
                    if known:
                        limits[i] = min(known)
                        break
    for i, lane in enumerate(lanes):
        road = network.roads[lane_set.keys[i][0]]
        drives = lane.kind in DRIVEN
        if math.isnan(limits[i]):
            limits[i] = USUAL_LIMIT_MPS.get(road.types[0].kind if road.types else "", DEFAULT_LIMIT_MPS)
            if drives:
                taken = f"{limits[i] / KMH:.0f} km/h taken by the road's type"
                source.notes.add("speed limit missing on a lane and around it", taken, f"road {road.id}")
        elif math.isinf(limits[i]):
            limits[i] = USUAL_LIMIT_MPS["motorway"]
            if drives:
                source.notes.add("road without a speed limit", "130 km/h taken", f"road {road.id}")
        elif drives and math.isnan(lane.speed_limit_mps):
            source.notes.add("speed limit missing on a lane", "that of the lanes it joins taken", f"road {road.id}")
        if limits[i] <= 0.0:
            source.notes.add("speed limit of 0", "50 km/h taken", f"road {road.id}")
            limits[i] = DEFAULT_LIMIT_MPS
        if limits[i] != lane.speed_limit_mps:
            lanes[i] = replace(lane, speed_limit_mps=limits[i])
