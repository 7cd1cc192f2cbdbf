"""Progress: a rollout and its map in, how far it went, alone and against what was possible, out."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit

from cordillera.evaluate.metrics_rules import route_lines
from cordillera.evaluate.metrics_track import RoadTrack, result, road_track, track_of
from cordillera.geometry import arc_length
from cordillera.types import Float, MetricResult, RoadMap, Rollout

# The free driver: sensible, not slow
ACCEL_MPS2 = 1.5
BRAKE_MPS2 = 2.0
SIDE_ACCEL_MPS2 = 2.0
GAP_M = 3.0  # to a standing leader
TIME_GAP_S = 1.4
STOP_SIGN_S = 2.0
IN_THE_WAY_M = 0.3  # between the free driver's side and a leader's box
MOVED_M = 1.0  # who moves less in a whole drive stands, and is there to be passed
QUEUE_M = 80.0  # before a light
NEVER = 1e9


def progress(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Metres gone along the route."""
    road = road_track(rollout, road_map)
    return result("progress", float(road.progress[-1] - road.progress[0]), "m", "higher")


def route_completion(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Share of the route that was driven, in percent; all of it on arrival."""
    road = road_track(rollout, road_map)
    share = 1.0 if rollout.ended == "arrived" else float(road.progress[-1] - road.progress[0]) / road.length_m
    return result("route completion", 100.0 * min(max(share, 0.0), 1.0), "%", "higher")


def relative_progress(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Progress as a share of what a free driver would have made, in percent, up to 100; not valid where that is 0."""
    could = possible_m(rollout, road_map)
    share = progress_share(rollout, road_map) if could > 0.0 else math.nan
    return result("relative progress", 100.0 * share, "%", "higher")


def progress_share(rollout: Rollout, road_map: RoadMap, floor_m: float = 0.0) -> float:
    """Progress over that of a free driver, 0..1; both are raised to the floor, and 0 of 0 counts as 1."""
    road = road_track(rollout, road_map)
    if rollout.ended == "arrived":
        return 1.0
    went = max(float(road.progress[-1] - road.progress[0]), floor_m)
    could = max(possible_m(rollout, road_map), floor_m)
    return min(max(went / could, 0.0), 1.0) if could > 0.0 else 1.0


def distance(rollout: Rollout) -> MetricResult:
    """Metres driven, on the route or off it."""
    track = track_of(rollout)
    return result("distance", float(np.hypot(np.diff(track.x), np.diff(track.y)).sum()), "m", "")


def standing(rollout: Rollout) -> MetricResult:
    """Share of the time at less than 0.1 m/s, in percent: to be read beside every count of incidents."""
    return result("standing", 100.0 * float(np.mean(np.abs(track_of(rollout).speed) < 0.1)), "%", "")


# ------------------------------------------------------------- the free driver


def possible_m(rollout: Rollout, road_map: RoadMap) -> float:
    """A rollout and its map -> metres that a free driver makes on the same route in the same time.

    It stands in for the expert or the recorded driver of the published scores. It starts with the ego's speed, keeps
    to the speed limit and to 2 m/s2 in bends, accelerates with 1.5 and brakes with 2 m/s2, stops at lights that are
    not green at that moment and for 2 s at stop signs, and follows those recorded agents that move and get in its way.
    It passes what stands for the whole drive, unless that waits before a red light, and it does not wait to give way.
    """
    road = road_track(rollout, road_map)
    return float(free_drive(road)[-1])


def free_drive(road: RoadTrack, first: int = 0, last: int | None = None) -> Float:
    """A drive's track -> the free driver's progress (M,) in m from where the ego was at state `first`, up to `last`."""
    inputs = _INPUTS.get(road)
    if inputs is None:
        lines, closed = route_lines(road)
        inputs = _INPUTS[road] = (*_speed_caps(road), lines, closed, _obstacles(road, lines, closed))
    grid, cap, lines, closed, obstacles = inputs
    span = slice(first, len(closed) if last is None else last + 1)
    start, speed = float(road.progress[first]), max(float(road.track.speed[first]), 0.0)
    front = 0.5 * road.track.length_m + road.track.rear_m
    return _drive(grid, cap, lines, closed[span], obstacles[span], start, speed, front)


_INPUTS: WeakKeyDictionary[RoadTrack, tuple[Float, Float, Float, Float, Float]] = WeakKeyDictionary()


def _speed_caps(road: RoadTrack) -> tuple[Float, Float]:
    """Places every metre along the route -> arc lengths (M,), speeds (M,) that limit and bends allow."""
    line, route = road.guide.route.xyz, road.guide.route
    along = arc_length(np.ascontiguousarray(line[:, :2]))
    grid = np.arange(0.0, road.guide.length_m + 1.0, 1.0)
    step = road.guide.step[np.clip(np.searchsorted(along, grid) - 1, 0, len(road.guide.step) - 1)]
    xy = np.column_stack([np.interp(grid, along, line[:, k]) for k in range(2)])
    cap = np.empty(len(grid))
    for k, (x, y) in enumerate(xy.tolist()):
        lane = route.lanes[step[k]]
        s, _ = road.roads.project(lane, x, y)
        bend = abs(road.roads.curvature(lane, s))
        cap[k] = min(road.roads.speed_limit(lane, s), math.sqrt(SIDE_ACCEL_MPS2 / max(bend, 1e-4)))
    return grid, cap


def _obstacles(road: RoadTrack, lines: Float, closed: Float) -> Float:
    """Agents in the way -> (N, A, 2) arc length of the rear, speed along the route; inf for others."""
    track = road.track
    out = np.full((*track.there.shape, 2), np.inf)
    if not track.ids.size:
        return out
    at, aside = road.agents[:, :, 0], road.agents[:, :, 1]
    high = np.where(track.there[:, :, None], track.pose[:, :, :2], -np.inf).max(axis=0)
    low = np.where(track.there[:, :, None], track.pose[:, :, :2], np.inf).min(axis=0)
    moved = (high - low).max(axis=1) > MOVED_M  # -inf for who is never there
    waits = np.zeros_like(track.there)
    shut = np.equal(closed, 1.0)
    for number, line in enumerate(lines.tolist()):
        waits |= shut[:, number, None] & (at < line) & (at > line - QUEUE_M) & (track.lane >= 0)
    half = 0.5 * (track.width_m + track.size[:, 1]) + IN_THE_WAY_M
    blocks = track.there & (moved | waits) & (np.abs(aside) < half)
    index = np.clip(np.searchsorted(road.guide.s_m, np.where(blocks, at, 0.0)), 1, len(road.guide.s_m) - 1)
    step = np.diff(road.guide.route.xyz[:, :2], axis=0)[index - 1]
    turned = np.cos(track.pose[:, :, 2] - np.arctan2(step[:, :, 1], step[:, :, 0]))
    out[:, :, 0] = np.where(blocks, at - 0.5 * track.size[:, 0] * np.abs(turned), np.inf)
    out[:, :, 1] = np.where(blocks, np.maximum(track.pace * turned, 0.0), np.inf)
    return out


@njit(cache=True)
def _drive(
    grid: Float, cap: Float, lines: Float, closed: Float, obstacles: Float, start: float, speed: float, front: float
) -> Float:
    """Caps along the route, lines, agents, start -> metres gone (N,); braking is always enough, and never limits it."""
    out = np.zeros(len(closed))
    s, v, signs = start, speed, np.zeros(len(lines))
    last = grid[-1]
    for k in range(1, len(closed)):
        # the speed that still allows to meet every cap, line and leader ahead with the usual braking
        allowed = NEVER
        reach = s + v * v / (2.0 * BRAKE_MPS2) + 10.0
        i = max(int(s), 0)
        while i < len(grid) and grid[i] <= reach:
            room = max(grid[i] - s, 0.0)
            allowed = min(allowed, math.sqrt(cap[i] * cap[i] + 2.0 * BRAKE_MPS2 * room))
            i += 1
        for r in range(len(lines)):
            room = lines[r] - s - front
            if room < -0.5:
                continue
            if closed[k, r] == 2.0:
                if room < 1.0 and v < 0.3:
                    signs[r] += 0.1
                if signs[r] >= STOP_SIGN_S:
                    continue
            elif closed[k, r] == 0.0:
                continue
            if room < v * v / (2.0 * 2.0 * BRAKE_MPS2) - 0.5:  # too late to stop, as one is with amber
                continue
            allowed = min(allowed, math.sqrt(2.0 * BRAKE_MPS2 * max(room - 0.2, 0.0)))
        for a in range(obstacles.shape[1]):
            gap = obstacles[k, a, 0] - s - front
            if gap < -front or gap > 200.0:
                continue
            pace = obstacles[k, a, 1]
            safe = -BRAKE_MPS2 * TIME_GAP_S + math.sqrt(
                BRAKE_MPS2 * BRAKE_MPS2 * TIME_GAP_S * TIME_GAP_S
                + pace * pace + 2.0 * BRAKE_MPS2 * max(gap - GAP_M, 0.0)
            )  # fmt: skip
            allowed = min(allowed, max(safe, 0.0))
        after = min(v + ACCEL_MPS2 * 0.1, allowed)
        s = min(s + 0.5 * (v + after) * 0.1 if after > 0.0 else s, last)
        v = after
        out[k] = s - start
    return out
