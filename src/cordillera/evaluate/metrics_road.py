"""Where the ego drove: a rollout and its map in, time off the road, in wrong lanes and against traffic out."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import numpy as np

from cordillera.evaluate.metrics_track import DT_S, RoadTrack, once_a_drive, result, road_track, stretches
from cordillera.geometry import wrap_angle
from cordillera.types import Bool, MetricResult, RoadMap, Rollout
from cordillera.world.world import LEVEL_M

AGAINST_RAD = 0.5 * math.pi
PASSED_AHEAD_M, PASSED_BEHIND_M = 60.0, 35.0  # one may go around what stands or is slow so near
BLOCKS_M = 2.3  # from the route's line to the centre of what stands in its way
STANDING_MPS, SLOW = 0.5, 0.6  # the latter as a share of the speed limit
WRONG_WAY_M = 5.0  # of one stretch against traffic; less is a corner cut


def off_road(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Seconds with a corner or side of the ego more than 0.3 m outside the drivable area; not valid without a map."""
    road = road_track(rollout, road_map)
    known = bool(np.any(road.roads.net.lanes["drivable"])) if len(road_map.lanes) else False
    out = float(np.count_nonzero(~road.drivable)) * DT_S
    return result("off road", out if known else math.nan, "s", "lower")


def against_traffic(road: RoadTrack) -> Bool:
    """Mask (N,): the ego's centre lies in lanes that run against its heading, in none that does not, and off its route.

    Angles are compared as differences wrapped to half a turn.
    """
    if road not in _AGAINST:
        _AGAINST[road] = _against(road)
    return _AGAINST[road]


_AGAINST: WeakKeyDictionary[RoadTrack, Bool] = WeakKeyDictionary()


def _against(road: RoadTrack) -> Bool:
    """As `against_traffic`, computed."""
    roads, track = road.roads, road.track
    out = np.zeros(len(track.x), dtype=np.bool_)
    for k in np.flatnonzero(~_on_route(road)).tolist():
        x, y, yaw = float(track.x[k]), float(track.y[k]), float(track.yaw[k])
        turned = []
        for lane in roads.inside_lanes(x, y):
            xyz, along = roads.pose(lane, roads.project(lane, x, y)[0])
            if roads.net.lanes["routable"][lane] and abs(float(xyz[2]) - float(track.z[k])) < LEVEL_M:
                both = roads.map.lanes[lane].bidirectional
                turned.append(0.0 if both else abs(float(wrap_angle(yaw - along))))
        out[k] = bool(turned) and min(turned) > AGAINST_RAD
    return out


def _on_route(road: RoadTrack) -> Bool:
    """Mask (N,): on a lane of the route and along it."""
    own = np.isin(road.lane, np.array(road.guide.route.lanes, dtype=np.int64))
    return own & road.held & (np.abs(road.yaw_error) < AGAINST_RAD)


def passing(road: RoadTrack) -> Bool:
    """Mask (N,): something on the route near the ego stands or is slow, so that there is a reason to leave the lane."""
    track = road.track
    if not track.ids.size:
        return np.zeros(len(track.x), dtype=np.bool_)
    ahead = road.agents[:, :, 0] - road.progress[:, None]
    near = (ahead > -PASSED_BEHIND_M) & (ahead < PASSED_AHEAD_M) & track.present
    reach = BLOCKS_M + 0.5 * np.maximum(track.size[:, 1] - 1.0, 0.0)
    slow = np.maximum(SLOW * np.nan_to_num(road.limit), STANDING_MPS)[:, None]
    return np.any(near & (np.abs(road.agents[:, :, 1]) < reach) & (np.abs(track.pace) < slow), axis=1)


@once_a_drive
def wrong_way_stretches(rollout: Rollout, road_map: RoadMap) -> list[tuple[int, int]]:
    """A rollout and its map -> index ranges of driving against traffic for 5 m or more without anything to pass."""
    road = road_track(rollout, road_map)
    track = road.track
    moving = np.maximum(track.speed, 0.0) * DT_S
    against = against_traffic(road) & ~passing(road)
    return [(a, b) for a, b in stretches(against) if moving[a:b].sum() > WRONG_WAY_M]


def wrong_way(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Metres driven against the direction of the lanes beneath, around obstacles included."""
    road = road_track(rollout, road_map)
    gone = np.maximum(road.track.speed, 0.0) * DT_S
    return result("wrong way", float(gone[against_traffic(road)].sum()), "m", "lower")


def wrong_lane(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Seconds on lanes that are neither of the route nor beside one of its lanes in the same direction."""
    road = road_track(rollout, road_map)
    fine = np.array(sorted(_lanes_beside(road)), dtype=np.int64)
    right = np.isin(road.lane, fine) & (np.abs(road.yaw_error) < AGAINST_RAD)
    wrong = (road.held & ~right) | against_traffic(road)
    return result("wrong lane", float(wrong.sum()) * DT_S, "s", "lower")


def _lanes_beside(road: RoadTrack) -> set[int]:
    """The lanes of the route and all that run the same way beside them."""
    lanes, out = road.roads.map.lanes, set()
    front = list(road.guide.route.lanes)
    while front:
        lane = front.pop()
        if lane >= 0 and lane not in out:
            out.add(lane)
            front += [lanes[lane].left, lanes[lane].right]
    return out


def lane_offset(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Mean distance from the centre of the lane, outside junctions."""
    road = road_track(rollout, road_map)
    known = (road.lane >= 0) & ~road.in_junction
    return result("lane offset", float(np.abs(road.lateral_m[known]).mean()) if known.any() else math.nan, "m", "lower")
