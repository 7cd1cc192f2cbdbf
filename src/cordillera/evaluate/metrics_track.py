"""A rollout in, the same as arrays over time out: the ego, every agent in a column of its own, and the ego on the road.

All metrics read these; they are made once a rollout and kept while it lives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit

from cordillera.geometry import arc_length, wrap_angle, yaw_of
from cordillera.types import PASSABLE_MPS, Bool, Float, Int, MetricResult, RoadMap, Rollout, WorldState
from cordillera.world.guide import Guide
from cordillera.world.roads import Roads, compile_map
from cordillera.world.world import LEVEL_M

T = TypeVar("T")
DT_S = 0.1
OFF_ROAD_M = 0.3  # a corner this far out counts
EDGE_M = 0.2
ON_ROUTE_M = 2.5  # so near to a lane of the route one is on it


def states_of(rollout: Rollout) -> tuple[WorldState, ...]:
    """Every state of a rollout in order, the last one included."""
    return (*(step.state for step in rollout.steps), rollout.final)


def result(name: str, value: float, unit: str, better: str) -> MetricResult:
    """A measured value -> its result; NaN says that it has no meaning here."""
    return MetricResult(name, float(value), not math.isnan(value), unit, better)


def stretches(mask: Bool) -> list[tuple[int, int]]:
    """A mask over time (N,) -> the half-open index ranges in which it holds without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int64)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def once_a_drive(compute: Callable[[Rollout, RoadMap], T]) -> Callable[[Rollout, RoadMap], T]:
    """A pure function of a rollout and its map -> the same, computed on the first call for each pair only."""
    kept: WeakKeyDictionary[RoadTrack, T] = WeakKeyDictionary()

    @wraps(compute)
    def recall(rollout: Rollout, road_map: RoadMap) -> T:
        road = road_track(rollout, road_map)
        if road not in kept:
            kept[road] = compute(rollout, road_map)
        return kept[road]

    return recall


# ------------------------------------------------------------------- who moves


@dataclass(frozen=True, eq=False)
class Track:
    """N states: the ego's box by its centre, and A agents by ascending id; what is not `there` is zero."""

    t_s: Float  # (N,) from 0
    x: Float  # (N,) centre of the box, world
    y: Float
    z: Float
    yaw: Float  # (N,) unwrapped
    speed: Float  # (N,) forward, m/s
    accel: Float  # (N,) realised, m/s2
    length_m: float
    width_m: float
    rear_m: float  # from the rear axle forward to the centre of the box
    ids: Int  # (A,)
    kind: Int  # (A,) AgentKind
    size: Float  # (A, 3)
    present: Bool  # (N, A) on the ego's level
    there: Bool  # (N, A) present, and nothing that may be driven over at the ego's speed
    pose: Float  # (N, A, 3) x, y, yaw
    pace: Float  # (N, A) speed along the heading
    push: Float  # (N, A) acceleration along the heading
    lane: Int  # (N, A) followed, -1 for none
    s_m: Float  # (N, A) along it
    crossing: Int  # (N, A) being walked over, -1 for none
    shows: Int  # (N, A) Gesture
    signals: Int  # (N, S) LightState

    @property
    def ego(self) -> Float:
        """(N, 4) x, y, yaw, speed."""
        return np.column_stack([self.x, self.y, self.yaw, self.speed])

    @cached_property
    def contact(self) -> Bool:
        """(N, A) whether the boxes share a point."""
        return self.gap <= 0.0

    @cached_property
    def gap(self) -> Float:
        """(N, A) metres between the ego's box and the agent's, 0 in contact, inf beyond 10 m or when not there."""
        return box_gaps(self.ego, self.pose, self.size, self.there, self.length_m, self.width_m, 10.0)


_TRACKS: WeakKeyDictionary[Rollout, Track] = WeakKeyDictionary()


def track_of(rollout: Rollout) -> Track:
    """A rollout -> its track; made on the first call for this rollout."""
    track = _TRACKS.get(rollout)
    if track is None:
        track = _TRACKS[rollout] = _track(rollout)
    return track


def _track(rollout: Rollout) -> Track:
    states, spec = states_of(rollout), rollout.scenario.vehicle
    rear = np.array([state.ego.xyz for state in states], dtype=np.float64)
    yaw = np.unwrap(yaw_of(np.array([state.ego.quat_xyzw for state in states])))
    count = [len(state.agents.id) for state in states]
    when = np.repeat(np.arange(len(states)), count)
    flat = {
        name: np.concatenate([getattr(state.agents, name) for state in states])
        for name in ("id", "kind", "xyz", "yaw_rad", "speed_mps", "accel_mps2", "size_lwh", "lane", "s_m", "valid")
    }
    for name in ("crossing", "shows"):
        flat[name] = np.concatenate([getattr(state.agents, name) for state in states])
    keep = flat.pop("valid")
    when, flat = when[keep], {name: column[keep] for name, column in flat.items()}
    ids, first, column = np.unique(flat["id"], return_index=True, return_inverse=True)

    def grid(values: Any, fill: float = 0.0) -> Any:
        out = np.full((len(states), len(ids), *values.shape[1:]), fill, dtype=values.dtype)
        out[when, column] = values
        return out

    present = np.zeros((len(states), len(ids)), dtype=np.bool_)
    present[when, column] = np.abs(flat["xyz"][:, 2] - rear[when, 2]) < LEVEL_M
    speed, kind = np.array([state.ego.speed_mps for state in states]), flat["kind"][first]
    there = present.copy()
    for passable, limit in PASSABLE_MPS.items():
        there &= ~((np.abs(speed) <= limit)[:, None] & (kind == passable))
    return Track(
        t_s=np.array([state.t_us - states[0].t_us for state in states]) * 1e-6,
        x=rear[:, 0] + spec.rear_axle_to_center_m * np.cos(yaw),
        y=rear[:, 1] + spec.rear_axle_to_center_m * np.sin(yaw),
        z=rear[:, 2],
        yaw=yaw,
        speed=speed,
        accel=np.array([state.ego.accel_mps2 for state in states], dtype=np.float64),
        length_m=spec.length_m,
        width_m=spec.width_m,
        rear_m=spec.rear_axle_to_center_m,
        ids=ids,
        kind=kind,
        size=flat["size_lwh"][first].reshape(len(ids), 3),
        present=present,
        there=there,
        pose=grid(np.column_stack([flat["xyz"][:, :2], flat["yaw_rad"]])),
        pace=grid(flat["speed_mps"]),
        push=grid(flat["accel_mps2"]),
        lane=grid(flat["lane"], -1),
        s_m=grid(flat["s_m"]),
        crossing=grid(flat["crossing"], -1),
        shows=grid(flat["shows"]),
        signals=np.array([state.signals for state in states], dtype=np.int64).reshape(len(states), -1),
    )


# -------------------------------------------------------------------- on which road


@dataclass(frozen=True, eq=False)
class RoadTrack:
    """Where the ego was on the road at each of N states."""

    roads: Roads
    guide: Guide
    progress: Float  # (N,) along the route, m
    lane: Int  # (N,) beneath the centre of the box: of the route where it is on it; -1 for none
    s_m: Float  # (N,) along that lane
    lateral_m: Float  # (N,) left positive
    yaw_error: Float  # (N,) heading less the lane's, in [-pi, pi); 0 without a lane
    drivable: Bool  # (N,) no corner more than 0.3 m out
    track: Track

    @property
    def length_m(self) -> float:
        """Of the route, from where the ego began."""
        return max(self.guide.length_m - float(self.progress[0]), 1e-9)

    @cached_property
    def limit(self) -> Float:
        """(N,) speed limit in m/s, NaN without a lane."""
        pairs = zip(self.lane.tolist(), self.s_m.tolist(), strict=True)
        return np.array([self.roads.speed_limit(lane, s) if lane >= 0 else math.nan for lane, s in pairs])

    @cached_property
    def held(self) -> Bool:
        """(N,) whether the centre of the box is on that lane, or within 0.2 m of it, and not just nearest to it."""
        out = np.zeros(len(self.lane), dtype=np.bool_)
        for k, (lane, s, lateral) in enumerate(zip(self.lane.tolist(), self.s_m, self.lateral_m, strict=True)):
            if lane >= 0:
                left, right = self.roads.width(lane, float(s))
                out[k] = -right - EDGE_M < lateral < left + EDGE_M
        return out

    @cached_property
    def in_junction(self) -> Bool:
        """(N,) whether the lane beneath crosses a junction."""
        return (self.lane >= 0) & (self.roads.net.lanes["junction"][self.lane] >= 0)

    @cached_property
    def aside(self) -> Float:
        """(N,) the ego's offset from the line of the route, to the left."""
        line, xy = np.ascontiguousarray(self.guide.route.xyz[:, :2]), np.column_stack([self.track.x, self.track.y])
        return project_all(xy, np.ones(len(xy), dtype=np.bool_), line, arc_length(line))[:, 1]

    @cached_property
    def agents(self) -> Float:
        """(N, A, 2) each agent's arc length on the route and its offset to the left; inf where it is not present."""
        track, line = self.track, np.ascontiguousarray(self.guide.route.xyz[:, :2])
        points = np.ascontiguousarray(track.pose[:, :, :2].reshape(-1, 2))
        out = project_all(points, track.present.ravel(), line, arc_length(line))
        return out.reshape(*track.there.shape, 2)


_ROADS: WeakKeyDictionary[Rollout, tuple[RoadMap, RoadTrack]] = WeakKeyDictionary()


def road_track(rollout: Rollout, road_map: RoadMap) -> RoadTrack:
    """A rollout and its map -> where the ego was on the road; made on the first call for this pair."""
    kept = _ROADS.get(rollout)
    if kept is None or kept[0] is not road_map:
        kept = _ROADS[rollout] = (road_map, _road_track(rollout, compile_map(road_map)))
    return kept[1]


def _road_track(rollout: Rollout, roads: Roads) -> RoadTrack:
    track = track_of(rollout)
    guide = Guide.of(roads, rollout.scenario.route)
    rear = np.column_stack([track.x, track.y])
    rear -= track.rear_m * np.column_stack([np.cos(track.yaw), np.sin(track.yaw)])
    places, at = [], 0.0
    for x, y in rear.tolist():
        at = guide.progress(x, y, at)
        places.append(at)
    xy = np.column_stack([track.x, track.y])
    lane, s, lateral = roads.nearest_many(xy, track.yaw, track.z) if len(roads.map.lanes) else _no_lanes(len(xy))
    centre = np.array(places) + track.rear_m
    step = guide.step[np.clip(np.searchsorted(guide.s_m, centre) - 1, 0, len(guide.step) - 1)]
    error = np.zeros(len(xy))
    for k, (x, y) in enumerate(xy.tolist()):
        for own in rollout.scenario.route.lanes[step[k] : step[k] + 2]:
            own_s, own_lateral = roads.project(own, x, y)
            turned = float(wrap_angle(track.yaw[k] - roads.pose(own, own_s)[1]))
            near = min(ON_ROUTE_M, 0.5 * sum(roads.width(own, own_s)))
            if 0.0 < own_s < roads.length(own) and abs(own_lateral) < near and abs(turned) < 1.0:
                lane[k], s[k], lateral[k] = own, own_s, own_lateral
                break
        if lane[k] >= 0:
            error[k] = float(wrap_angle(track.yaw[k] - roads.pose(int(lane[k]), float(s[k]))[1]))
    length, width = track.length_m - 2.0 * OFF_ROAD_M, track.width_m - 2.0 * OFF_ROAD_M
    boxes = zip(track.x.tolist(), track.y.tolist(), track.yaw.tolist(), strict=True)
    drivable = np.array([roads.box_drivable(x, y, yaw, length, width) for x, y, yaw in boxes])
    return RoadTrack(roads, guide, np.array(places), lane, s, lateral, error, drivable, track)


def _no_lanes(count: int) -> tuple[Int, Float, Float]:
    return np.full(count, -1, dtype=np.int64), np.zeros(count), np.zeros(count)


# --------------------------------------------------------------------- kernels


@njit(cache=True)
def point_gap(px: float, py: float, x: float, y: float, cos: float, sin: float, half_l: float, half_w: float) -> float:
    """A point and a box (centre, direction, half sizes) -> metres between them, 0 inside."""
    dx, dy = px - x, py - y
    u = max(abs(dx * cos + dy * sin) - half_l, 0.0)
    v = max(abs(dy * cos - dx * sin) - half_w, 0.0)
    return math.sqrt(u * u + v * v)


@njit(cache=True)
def box_gap(
    ax: float, ay: float, a_yaw: float, a_length: float, a_width: float,
    bx: float, by: float, b_yaw: float, b_length: float, b_width: float,
) -> float:  # fmt: skip
    """Two boxes (centre, yaw, length, width) -> metres between them, 0 where they share a point."""
    dx, dy = bx - ax, by - ay
    ca, sa, cb, sb = math.cos(a_yaw), math.sin(a_yaw), math.cos(b_yaw), math.sin(b_yaw)
    c, s = abs(ca * cb + sa * sb), abs(ca * sb - sa * cb)
    hal, haw, hbl, hbw = 0.5 * a_length, 0.5 * a_width, 0.5 * b_length, 0.5 * b_width
    if (
        abs(dx * ca + dy * sa) <= hal + hbl * c + hbw * s
        and abs(-dx * sa + dy * ca) <= haw + hbl * s + hbw * c
        and abs(dx * cb + dy * sb) <= hbl + hal * c + haw * s
        and abs(-dx * sb + dy * cb) <= hbw + hal * s + haw * c
    ):
        return 0.0
    best = np.inf  # apart, some corner of one is nearest to the other
    for i in range(4):
        u, v = 1.0 - 2.0 * (i // 2), 1.0 - 2.0 * (i % 2)
        px, py = bx + u * hbl * cb - v * hbw * sb, by + u * hbl * sb + v * hbw * cb
        best = min(best, point_gap(px, py, ax, ay, ca, sa, hal, haw))
        px, py = ax + u * hal * ca - v * haw * sa, ay + u * hal * sa + v * haw * ca
        best = min(best, point_gap(px, py, bx, by, cb, sb, hbl, hbw))
    return best


@njit(cache=True)
def box_gaps(ego: Float, pose: Float, size: Float, there: Bool, length: float, width: float, reach: float) -> Float:
    """Ego (N, 4), agents (N, A, 3), (A, 3), (N, A) -> metres between the boxes (N, A), inf beyond `reach`."""
    out = np.full(there.shape, np.inf)
    for k in range(there.shape[0]):
        for a in range(there.shape[1]):
            if not there[k, a]:
                continue
            dx, dy = pose[k, a, 0] - ego[k, 0], pose[k, a, 1] - ego[k, 1]
            near = reach + 0.5 * (length + width + size[a, 0] + size[a, 1])
            if dx * dx + dy * dy > near * near:
                continue
            gap = box_gap(
                ego[k, 0], ego[k, 1], ego[k, 2], length, width,
                pose[k, a, 0], pose[k, a, 1], pose[k, a, 2], size[a, 0], size[a, 1],
            )  # fmt: skip
            if gap <= reach:
                out[k, a] = gap
    return out


@njit(cache=True)
def project_all(points: Float, there: Bool, line: Float, along: Float) -> Float:
    """Points (M, 2), mask (M,), polyline (K, 2), its arc lengths (K,) -> (M, 2) arc length, offset to the left."""
    out = np.full((len(points), 2), np.inf)
    for m in range(len(points)):
        if not there[m]:
            continue
        best = np.inf
        for k in range(len(line) - 1):
            dx, dy = line[k + 1, 0] - line[k, 0], line[k + 1, 1] - line[k, 1]
            qx, qy = points[m, 0] - line[k, 0], points[m, 1] - line[k, 1]
            norm2 = dx * dx + dy * dy
            if norm2 <= 0.0:
                continue
            t = min(1.0, max(0.0, (qx * dx + qy * dy) / norm2))
            gx, gy = qx - t * dx, qy - t * dy
            gap = gx * gx + gy * gy
            if gap < best:
                best = gap
                length = math.sqrt(norm2)
                out[m, 0] = along[k] + t * length
                out[m, 1] = math.copysign(math.sqrt(gap), dx * qy - dy * qx)
    return out
