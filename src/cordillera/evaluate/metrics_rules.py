"""Traffic rules: a rollout and its map in, lines crossed against a light or sign, and speeding, out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cordillera.evaluate.metrics_track import (
    DT_S,
    RoadTrack,
    Track,
    once_a_drive,
    project_all,
    result,
    road_track,
    track_of,
)
from cordillera.geometry import arc_length
from cordillera.types import AgentKind, Float, Gesture, LightState, MetricResult, RoadMap, Rollout, SignalKind
from cordillera.world.regions import REGIONS, Region, region_of
from cordillera.world.roads import Regulation

SIGN_REACH_M = 3.5  # a stop counts this far before the line
SIGN_PAST_M = 1.0  # and with the bumper this far over it
SIGN_SPEED_MPS = 0.3  # and this slow
SIGN_LOOK_S = 30.0  # back from the crossing
ROW_M = 15.0  # apart at most, lines of one signal are one
AHEAD_LANES = 8  # of the route, on which the lane that a rule is meant for may come
BESIDE_M = 2.0  # a line holds this far to a side on which no lane runs the same way
GESTURE_M, BESIDE_GESTURE_M, GESTURE_S = 45.0, 12.0, 2.0
OVERSPEED_MPS = 2.23  # nuPlan's tolerance
WORKING = (LightState.RED, LightState.RED_AMBER, LightState.AMBER, LightState.GREEN)
RED = (LightState.RED, LightState.RED_AMBER, LightState.FLASHING_RED)


@dataclass(frozen=True)
class Passage:
    """The ego's front over a line of one regulation: `k` is the last state before it."""

    rule: Regulation
    k: int
    gaps: Float  # (N,) metres from the front to the line, negative behind it, inf where the ego heads elsewhere


def red_lights(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many stop lines the ego's front crossed while their light showed red.

    A flashing red asks for a stand, as a stop sign does, and so does a red light on the way round the near corner
    where the region lets one turn on red. Somebody who waves traffic on overrules the light.
    """
    return result("red lights run", len(red_passages(rollout, road_map)), "", "lower")


@once_a_drive
def red_passages(rollout: Rollout, road_map: RoadMap) -> list[int]:
    """A rollout and its map -> the states before which a red light's line lay, one for each light run.

    Where a light has several lines in a row the first one counts.
    """
    road, region = road_track(rollout, road_map), _region(rollout, road_map)
    run = set()
    for group in _in_a_row(road, SignalKind.TRAFFIC_LIGHT):
        first = group[0]
        shown = road.track.signals[first.k, first.rule.signal]
        may_stand = shown == LightState.FLASHING_RED or (region.turn_on_red and _turns_near(road, first.k, region))
        stood = may_stand and any(_stood(road.track, passage) for passage in group)
        if shown in RED and not stood and not shown_to_ego(road.track, first.k, Gesture.GO, region):
            run.add(first.k)
    return sorted(run)


def _region(rollout: Rollout, road_map: RoadMap) -> Region:
    """The scenario's rules of the road, else the map's; for an unknown country those of its side of traffic."""
    code = rollout.scenario.region or road_map.region
    return region_of(code if code in REGIONS else "", road_map.traffic_side)


def _turns_near(road: RoadTrack, k: int, region: Region) -> bool:
    """Whether the next way over a junction that the ego takes after state k leads round the near corner."""
    after = [lane for lane in road.lane[k + 1 : k + 100].tolist() if lane >= 0 and road.roads.map.lanes[lane].junction]
    return bool(after) and road.roads.map.lanes[after[0]].turn == ("left" if region.left_hand else "right")


def _in_a_row(road: RoadTrack, kind: SignalKind) -> list[list[Passage]]:
    """The passages of a kind, those of one signal within 15 m of each other together, in order."""
    out: list[list[Passage]] = []
    for passage in sorted(passages(road, kind), key=lambda passage: (passage.rule.signal, passage.k)):
        last = out[-1][-1] if out else None
        near = last is not None and road.progress[passage.k] - road.progress[last.k] < ROW_M
        if last is not None and near and last.rule.signal == passage.rule.signal:
            out[-1].append(passage)
        else:
            out.append([passage])
    return out


def stop_signs(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many stop lines the ego crossed without having stood before them; lights that work overrule stop signs.

    Where the region makes a dark light an all-way stop, its line is one.
    """
    return result("stop signs run", len(stop_passages(rollout, road_map)), "", "lower")


@once_a_drive
def stop_passages(rollout: Rollout, road_map: RoadMap) -> list[int]:
    """A rollout and its map -> the states before which the line of a stop sign lay, one for each sign run.

    Where a sign has several lines in a row, a stand at one of them is enough.
    """
    road, region = road_track(rollout, road_map), _region(rollout, road_map)
    run = set()
    groups = _in_a_row(road, SignalKind.STOP)
    if region.dark_light == "all-way stop":
        lights = _in_a_row(road, SignalKind.TRAFFIC_LIGHT)
        groups += [g for g in lights if road.track.signals[g[0].k, g[0].rule.signal] == LightState.OFF]
    for group in groups:
        k = group[0].k
        lit = any(
            other.kind is SignalKind.TRAFFIC_LIGHT and road.track.signals[k, other.signal] in WORKING
            for other in road.roads.regulations(group[0].rule.lane)
        )
        waved = shown_to_ego(road.track, k, Gesture.GO, region)
        if not lit and not waved and not any(_stood(road.track, passage) for passage in group):
            run.add(k)
    return sorted(run)


def shown_to_ego(track: Track, k: int, gesture: Gesture, region: Region) -> list[int]:
    """The columns of those who show a gesture to the ego in state k: within 45 m ahead and facing it.

    A school bus shows it to those behind, to both directions or to nobody, as the region says.
    """
    away = track.pose[k, :, :2] - (track.x[k], track.y[k])
    ahead = away[:, 0] * math.cos(track.yaw[k]) + away[:, 1] * math.sin(track.yaw[k])
    turned = np.cos(track.pose[k, :, 2] - track.yaw[k])
    meant = {"both": np.abs(turned) > 0.5, "behind": turned > 0.5}.get(region.school_bus, np.zeros_like(turned) > 0.0)
    faces = np.where(track.kind == AgentKind.SCHOOL_BUS, meant, turned < -0.5)
    near = (np.hypot(away[:, 0], away[:, 1]) < GESTURE_M) & (ahead > -0.5 * track.length_m)
    return np.flatnonzero(track.there[k] & (track.shows[k] == gesture) & near & faces).tolist()


@once_a_drive
def gestures_ignored(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many of those who told the ego to stop it passed, or whose junction it entered: officer, flagger, school bus.

    What is shown counts from 2 s on.
    """
    road = road_track(rollout, road_map)
    track, told, region = road.track, round(GESTURE_S / DT_S), _region(rollout, road_map)
    passed: set[int] = set()
    for column in np.flatnonzero((track.shows == Gesture.STOP).any(axis=0)).tolist():
        for k in range(told, len(track.x) - 1):
            if column in shown_to_ego(track, k, Gesture.STOP, region) and np.all(
                track.shows[k - told : k, column] == Gesture.STOP
            ):
                passed |= {column} if _passes(track, k, column) else set()
    for kind in (SignalKind.TRAFFIC_LIGHT, SignalKind.STOP):
        for passage in passages(road, kind):
            for column in shown_to_ego(track, passage.k, Gesture.STOP, region):
                long = track.shows[max(passage.k - told, 0) : passage.k, column] == Gesture.STOP
                if track.kind[column] == AgentKind.POLICE_OFFICER and len(long) == told and long.all():
                    passed.add(column)
    return result("gestures ignored", len(passed), "", "lower")


def _passes(track: Track, k: int, column: int) -> bool:
    """Whether the ego's front comes level with an agent, at most 12 m beside it, after state k."""
    front = 0.5 * track.length_m
    ahead = []
    for i in (k, k + 1):
        dx, dy = track.pose[i, column, 0] - track.x[i], track.pose[i, column, 1] - track.y[i]
        ahead.append(dx * math.cos(track.yaw[i]) + dy * math.sin(track.yaw[i]) - front)
        if abs(dy * math.cos(track.yaw[i]) - dx * math.sin(track.yaw[i])) > BESIDE_GESTURE_M:
            return False
    return ahead[0] > 0.0 >= ahead[1]


def _stood(track: Track, passage: Passage) -> bool:
    """Whether the ego came to a stand near the line, before it or hardly over it."""
    first = max(passage.k - round(SIGN_LOOK_S / DT_S), 0)
    gaps, speed = passage.gaps[first:], track.speed[first:]
    before = np.arange(len(gaps)) <= passage.k - first
    near = (gaps < SIGN_REACH_M) & (before | (gaps > -SIGN_PAST_M))
    return bool(np.any(near & (np.abs(speed) < SIGN_SPEED_MPS)))


def passages(road: RoadTrack, kind: SignalKind) -> Iterator[Passage]:
    """Yields the passages of lines at which lights or signs of a kind hold the ego's traffic, on or off its route."""
    roads, track = road.roads, road.track
    front_x = track.x + 0.5 * track.length_m * np.cos(track.yaw)
    front_y = track.y + 0.5 * track.length_m * np.sin(track.yaw)
    for lane in _lanes_near(road):
        for rule in roads.regulations(lane):
            if rule.kind is not kind:
                continue
            (x, y, _), yaw = roads.pose(lane, rule.s_m)
            gaps = (x - front_x) * math.cos(yaw) + (y - front_y) * math.sin(yaw)
            side = (front_y - y) * math.cos(yaw) - (front_x - x) * math.sin(yaw)  # left positive
            gaps = np.where(np.cos(track.yaw - yaw) < 0.5, np.inf, gaps)
            left, right = _reach(road, rule)
            crossed = (
                (gaps[:-1] > 0.0) & (gaps[1:] <= 0.0) & (gaps[:-1] < 5.0) & (side[1:] < left) & (side[1:] > -right)
            )
            for k in np.flatnonzero(crossed).tolist():
                if rule.for_lane < 0 or _goes_to(road, rule, k):
                    yield Passage(rule, k, gaps)


def _lanes_near(road: RoadTrack) -> list[int]:
    """The lanes of the route and those driven on, with the lanes before them: a line may lie at a lane's very end."""
    lanes = dict.fromkeys([*road.guide.route.lanes, *np.unique(road.lane[road.lane >= 0]).tolist()])
    before = [p for lane in lanes for p in road.roads.map.lanes[lane].predecessors]
    return sorted(dict.fromkeys([*lanes, *before]))


def _reach(road: RoadTrack, rule: Regulation) -> tuple[float, float]:
    """How far to the left and to the right of its lane's centre a line holds traffic."""
    left, right = road.roads.width(rule.lane, rule.s_m)
    lane = road.roads.map.lanes[rule.lane]
    return left if lane.left >= 0 else max(left, BESIDE_M), right if lane.right >= 0 else max(right, BESIDE_M)


def _goes_to(road: RoadTrack, rule: Regulation, k: int) -> bool:
    """Whether the ego, at the line in state k, goes on to the lane that the rule is meant for."""
    route = road.guide.route.lanes
    if road.lane[k] in route:
        places = [i for i, lane in enumerate(route) if lane == rule.lane]
        return any(rule.for_lane in route[i + 1 : i + AHEAD_LANES] for i in places)
    return bool(np.any(road.lane[k + 1 : k + 100] == rule.for_lane))


def route_lines(road: RoadTrack) -> tuple[Float, Float]:
    """The stop lines of lights and stop signs along the route -> places (R,), and (N, R): 0 open, 1 shut, 2 sign."""
    route, signals = road.guide.route, road.track.signals
    xy = np.ascontiguousarray(route.xyz[:, :2])
    along = arc_length(xy)
    places, shut, seen = [], [], set()
    for k, lane in enumerate(route.lanes):
        rules = road.roads.regulations(lane)
        lit = any(rule.kind is SignalKind.TRAFFIC_LIGHT for rule in rules)
        for rule in rules:
            if rule.for_lane >= 0 and rule.for_lane not in route.lanes[k + 1 : k + 8]:
                continue
            if rule.kind is SignalKind.TRAFFIC_LIGHT:
                shown = signals[:, rule.signal]
                column = np.isin(shown, (*RED, LightState.AMBER)).astype(np.float64)
            elif rule.kind is SignalKind.STOP and not lit:
                column = np.full(len(signals), 2.0)
            else:
                continue
            (x, y, _), _ = road.roads.pose(lane, rule.s_m)
            on = np.flatnonzero(road.guide.step == k)
            if not len(on):
                continue
            first, last = max(on[0] - 1, 0), min(on[-1] + 1, len(xy) - 1)
            part = slice(first, last + 1)
            at = float(project_all(np.array([[x, y]]), np.ones(1, dtype=np.bool_), xy[part], along[part])[0, 0])
            if (round(at), rule.kind) not in seen:
                seen.add((round(at), rule.kind))
                places.append(at)
                shut.append(column)
    if not places:
        return np.zeros(0), np.zeros((len(signals), 0))
    return np.array(places), np.ascontiguousarray(np.column_stack(shut))


# ----------------------------------------------------------------------- speed


def overspeed(rollout: Rollout, road_map: RoadMap) -> Float:
    """A rollout and its map -> m/s above the limit (N,), 0 below it, NaN where there is no lane."""
    road = road_track(rollout, road_map)
    return np.maximum(road.track.speed - road.limit, 0.0)


def speeding(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Share of the time more than 2.23 m/s (nuPlan's tolerance) above the speed limit, in percent."""
    over = overspeed(rollout, road_map)
    known = np.isfinite(over)
    share = float(np.mean(over[known] > OVERSPEED_MPS)) if known.any() else math.nan
    return result("speeding", 100.0 * share, "%", "lower")


def max_overspeed(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How far above the speed limit at most."""
    over = overspeed(rollout, road_map)
    known = over[np.isfinite(over)]
    return result("max overspeed", float(known.max()) if len(known) else math.nan, "m/s", "lower")


def mean_speed(rollout: Rollout) -> MetricResult:
    """Mean forward speed over all states."""
    return result("mean speed", float(track_of(rollout).speed.mean()), "m/s", "")
