"""Queries on a road network: nearest lane, Frenet frame, routes, rules, drivable area; compiled once a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from cordillera.geometry import resample
from cordillera.types import Bool, Conflict, Float, Int, RoadMap, Route, SignalKind
from cordillera.world import roads_areas as areas
from cordillera.world import roads_kernels as kernels
from cordillera.world.roads_gaps import junction_gaps
from cordillera.world.roads_line import route_line
from cordillera.world.roads_net import CONFLICT_KINDS, SIGNAL_KINDS, Net, compile_lines
from cordillera.world.roads_route import endless, instruction, shortest, wander
from cordillera.world.roads_rules import add_rules

ROUTE_SPACING_M = 2.0


@dataclass(frozen=True, eq=False)
class LanePosition:
    """A pose in a lane's frame."""

    lane: int
    s_m: float
    lateral_m: float  # left positive
    yaw_error_rad: float = 0.0  # heading of the pose less that of the lane, in [-pi, pi)
    distance_m: float = 0.0  # to the centre line


@dataclass(frozen=True, eq=False)
class Regulation:
    """Where the traffic of a lane waits, and for what."""

    kind: SignalKind
    signal: int
    stop_line: int  # -1: implied, there is none on the map
    lane: int
    s_m: float  # where to stop along `lane`
    for_lane: int = -1  # only the traffic that goes on to this lane is meant; -1: all of it


@dataclass(frozen=True, eq=False)
class Roads:
    """A road map with its compiled net. Arc lengths `s_m` are horizontal, along a lane's centre line."""

    map: RoadMap
    net: Net

    # ------------------------------------------------------------ where am I

    def nearest(
        self, x: float, y: float, yaw_rad: float | None = None, max_distance_m: float = 10.0, z: float = math.nan
    ) -> LanePosition | None:
        """World point, heading and height if known -> place on the best driving or bus lane, or None if too far.

        A lane that holds the point and runs along the heading wins over every lane that runs against it.
        """
        yaw = 0.0 if yaw_rad is None else float(yaw_rad)
        found = kernels.find_lane(
            self.net, float(x), float(y), float(z), yaw, yaw_rad is not None, float(max_distance_m)
        )
        lane, s, lateral, distance = found
        if lane < 0:
            return None
        error = 0.0 if yaw_rad is None else (yaw - self.pose(lane, s)[1] + math.pi) % (2.0 * math.pi) - math.pi
        return LanePosition(lane, s, lateral, error, distance)

    def nearest_many(self, xy: Float, yaw_rad: Float, z: Float | None = None) -> tuple[Int, Float, Float]:
        """World points (N, 2), headings (N,) -> lane (N,), -1 where none lies within 10 m; s (N,); lateral (N,)."""
        level = np.full(len(xy), np.nan) if z is None else z
        xyz = np.column_stack([xy, level]).astype(np.float64)
        lane, frame = kernels.nearest_lanes(self.net, xyz, np.asarray(yaw_rad, dtype=np.float64), True, 10.0)
        return lane, frame[:, 0], frame[:, 1]

    def project(self, lane: int, x: float, y: float) -> tuple[float, float]:
        """Lane, world point -> s (clamped to the lane), offset to the left."""
        return kernels.lane_project(self.net, lane, float(x), float(y))

    def inside_lanes(self, x: float, y: float) -> list[int]:
        """World point -> the lanes of every kind whose area holds it, ascending."""
        out = np.empty(64, dtype=np.int64)
        return sorted(out[: areas.lanes_holding(self.net, float(x), float(y), out)].tolist())

    def drivable(self, xy: Float) -> Bool:
        """World points (N, 2) -> mask (N,): inside a lane that vehicles may use, or in a gap between junction lanes."""
        return areas.drivable_all(self.net, np.ascontiguousarray(xy, dtype=np.float64))

    def box_drivable(self, x: float, y: float, yaw_rad: float, length_m: float, width_m: float) -> bool:
        """A box by its centre -> whether its corners and the middles of its sides are all drivable."""
        return areas.is_box_drivable(self.net, float(x), float(y), float(yaw_rad), float(length_m), float(width_m))

    # ------------------------------------------------------- along one lane

    def pose(self, lane: int, s_m: float) -> tuple[Float, float]:
        """Lane, s (clamped) -> world xyz (3,), heading."""
        x, y, z, yaw = kernels.lane_point(self.net, lane, float(s_m))
        return np.array([x, y, z]), yaw

    def offset_pose(self, lane: int, s_m: float, lateral_m: float) -> tuple[Float, float]:
        """Lane, s (clamped), offset to the left -> world xyz (3,), heading; the inverse of `project`."""
        x, y, z, yaw = kernels.lane_offset_point(self.net, lane, float(s_m), float(lateral_m))
        return np.array([x, y, z]), yaw

    def curvature(self, lane: int, s_m: float) -> float:
        """Lane, s -> curvature of the centre line in 1/m, left positive."""
        return kernels.lane_curvature(self.net, lane, float(s_m))

    def width(self, lane: int, s_m: float) -> tuple[float, float]:
        """Lane, s -> metres from the centre line to the left and to the right border."""
        return kernels.lane_width(self.net, lane, float(s_m))

    def length(self, lane: int) -> float:
        """Lane -> its length in m."""
        return float(self.net.lanes["length"][lane])

    def speed_limit(self, lane: int, s_m: float) -> float:
        """Lane, s -> speed limit in m/s, signs along the lane included."""
        return kernels.speed_limit_at(self.net, lane, float(s_m))

    # ---------------------------------------------------------------- rules

    def regulations(self, lane: int) -> tuple[Regulation, ...]:
        """Lane -> the lights, stop and give-way signs for which its traffic waits on it, by s."""
        rows = self.net.regulations[self.net.reg_ptr[lane] : self.net.reg_ptr[lane + 1]].tolist()
        return tuple(Regulation(SIGNAL_KINDS[kind], signal, line, lane, s, to) for s, kind, signal, line, to in rows)

    def crossings_on(self, lane: int) -> tuple[tuple[int, float, float], ...]:
        """Lane -> (crossing, from s, to s) of the pedestrian crossings over it, by s."""
        rows = self.net.crossings[self.net.cross_ptr[lane] : self.net.cross_ptr[lane + 1]].tolist()
        return tuple((crossing, s0, s1) for s0, s1, crossing in rows)

    def conflicts_of(self, lane: int) -> tuple[Conflict, ...]:
        """Lane -> its conflicts with other lanes."""
        rows = self.net.conflicts[self.net.conf_ptr[lane] : self.net.conf_ptr[lane + 1]].tolist()
        return tuple(
            Conflict(lane, other, CONFLICT_KINDS[kind], (s0, s1), (o0, o1), bool(yields))
            for s0, s1, o0, o1, other, kind, yields in rows
        )

    # --------------------------------------------------------------- routes

    def route(self, start: LanePosition, goal_lane: int, goal_s_m: float) -> Route:
        """Start and goal -> the shortest route, lane changes at a price; ValueError says why there is none."""
        lanes = shortest(self.map, self.net, start.lane, start.s_m, goal_lane, float(goal_s_m))
        return self._route(lanes, start.s_m, float(goal_s_m))

    def wander(self, start: LanePosition, length_m: float, seed: int) -> Route:
        """Start -> a random route of at least that length, or to a dead end; the same for the same seed."""
        lanes = wander(self.net, self._endless, start.lane, start.s_m, float(length_m), seed)
        return self._route(lanes, start.s_m, self.length(lanes[-1]))

    def route_line(self, lanes: tuple[int, ...], start_s: float, end_s: float) -> Float:
        """Route lanes, s on the first and the last -> smooth line (N, 3), points 1 m apart, lane changes blended."""
        return route_line(self.net, lanes, float(start_s), float(end_s))

    def instruction(self, lanes: tuple[int, ...], start_s: float, end_s: float) -> tuple[str, str]:
        """What is left of a route -> command and text of the next thing to do, e.g. ("left", "Turn left in 40 m")."""
        return instruction(self.net, self.map.traffic_side, lanes, float(start_s), float(end_s))

    @cached_property
    def _endless(self) -> np.ndarray:
        return endless(self.net)

    def _route(self, lanes: tuple[int, ...], start_s: float, end_s: float) -> Route:
        line = self.route_line(lanes, start_s, end_s)
        command, text = self.instruction(lanes, start_s, end_s)
        return Route(resample(line, ROUTE_SPACING_M), command, text, "world", lanes)


_NETS: WeakKeyDictionary[RoadMap, Net] = WeakKeyDictionary()


def compile_map(road_map: RoadMap) -> Roads:
    """Road map -> its queries; the net is compiled on the first call for this map object, kept while that lives."""
    net = _NETS.get(road_map)
    if net is None:
        net = add_rules(road_map, compile_lines(road_map))
        net = _NETS[road_map] = net._replace(gaps=junction_gaps(road_map, net.grid[:2]))
    return Roads(road_map, net)
