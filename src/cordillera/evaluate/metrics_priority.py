"""Who had the right of way: a drive, a moment and an agent in, "ego", "agent" or "" and the rule that says so out.

Rules in order: lights and stop signs run, people on crossings, driving against traffic, the map's priorities where
ways meet, changes of lane, keeping one's distance, entering from beside the road. The order in which drivers came to
an all-way stop is not judged; there the map's priorities hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.evaluate.metrics_road import against_traffic
from cordillera.evaluate.metrics_rules import RED, red_passages, stop_passages
from cordillera.evaluate.metrics_track import DT_S, RoadTrack, road_track
from cordillera.geometry import points_in_polygon, wrap_angle
from cordillera.types import AgentKind, Conflict, Int, RoadMap, Rollout, SignalKind

RECENT_S = 6.0  # a light or sign run so long ago still counts
LANES_S = 3.0  # lanes used over so long
CHANGE_S = 2.0
CHANGE_M = 0.8  # moved aside within that time
MEET_M = 10.0  # a contact so near to where two ways meet belongs to it
ALONG_RAD, AGAINST_RAD = math.radians(45.0), math.radians(120.0)
ON_FOOT = (
    AgentKind.PEDESTRIAN, AgentKind.WHEELCHAIR, AgentKind.ANIMAL, AgentKind.POLICE_OFFICER, AgentKind.FLAGGER,
)  # fmt: skip
FIRST = (
    AgentKind.TRAM, AgentKind.TRAIN, AgentKind.AMBULANCE, AgentKind.FIRE_ENGINE, AgentKind.POLICE_CAR,
)  # fmt: skip
THINGS_FROM = AgentKind.CONE


@dataclass(frozen=True)
class Right:
    """Who had the right of way ("" where no rule says), and why."""

    who: str
    why: str


def right_of_way(rollout: Rollout, road_map: RoadMap, k: int, column: int) -> Right:
    """A rollout, its map, a state and an agent's column -> who had the right of way there, and why."""
    road = road_track(rollout, road_map)
    since = k - round(RECENT_S / DT_S)
    if any(since <= at <= k for at in red_passages(rollout, road_map)):
        return Right("agent", "the ego ran a red light")
    if any(since <= at <= k for at in stop_passages(rollout, road_map)):
        return Right("agent", "the ego ran a stop sign")
    kind = int(road.track.kind[column])
    if kind >= THINGS_FROM:
        return Right("", "a thing on the road")
    if kind in ON_FOOT:
        return _on_foot(road, k, column)
    if kind in FIRST and abs(float(wrap_angle(road.track.pose[k, column, 2] - road.track.yaw[k]))) > ALONG_RAD:
        return Right("agent", "rails and sirens go first")
    if _ran_red(road, k, column):
        return Right("ego", "the other ran a red light")
    if against_traffic(road)[max(k - 10, 0) : k + 1].any():
        return Right("agent", "the ego drove against traffic")
    if _agent_against(road, k, column):
        return Right("ego", "the other came against traffic")
    return _by_map(road, k, column) or _by_lane(road, k, column)


# --------------------------------------------------------------- people on foot


def _on_foot(road: RoadTrack, k: int, column: int) -> Right:
    track, road_map = road.track, road.roads.map
    crossing = int(track.crossing[k, column])
    point = track.pose[k : k + 1, column, :2]
    if crossing < 0:
        on = [i for i, c in enumerate(road_map.crossings) if points_in_polygon(point, c.outline_xyz[:, :2])[0]]
        crossing = on[0] if on else -1
    if crossing < 0:
        return Right("ego", "somebody off a crossing")
    lights = [
        i
        for i, signal in enumerate(road_map.signals)
        if signal.kind is SignalKind.PEDESTRIAN_LIGHT and set(signal.lanes) & set(road_map.crossings[crossing].lanes)
    ]
    since = max(k - round(LANES_S / DT_S), 0)
    if lights and all(np.isin(track.signals[since : k + 1, i], RED).all() for i in lights):
        return Right("ego", "somebody on a crossing against the light")
    return Right("agent", "somebody on a crossing")


# ------------------------------------------------------------- the other's rules


def _ran_red(road: RoadTrack, k: int, column: int) -> bool:
    """Whether an agent crossed a line at red within the last 6 s; where lights on a lane differ, none may be green."""
    track, roads = road.track, road.roads
    since = max(k - round(RECENT_S / DT_S), 0)
    pose, length = track.pose[since : k + 1, column], track.size[column, 0]
    present = track.there[since : k + 1, column]
    front_x = pose[:, 0] + 0.5 * length * np.cos(pose[:, 2])
    front_y = pose[:, 1] + 0.5 * length * np.sin(pose[:, 2])
    run: dict[int, bool] = {}
    for lane in _near_lanes(road, k, column, RECENT_S):
        for rule in roads.regulations(lane):
            if rule.kind is not SignalKind.TRAFFIC_LIGHT:
                continue
            (x, y, _), yaw = roads.pose(lane, rule.s_m)
            gap = (x - front_x) * math.cos(yaw) + (y - front_y) * math.sin(yaw)
            side = np.abs((front_y - y) * math.cos(yaw) - (front_x - x) * math.sin(yaw))
            along = (np.cos(pose[:, 2] - yaw) > 0.5) & (side < 2.0) & present
            over = (gap[:-1] > 0.0) & (gap[1:] <= 0.0) & along[:-1] & along[1:]
            for i in np.flatnonzero(over).tolist():
                red = bool(np.isin(track.signals[since + i, rule.signal], RED))
                run[lane] = run.get(lane, True) and red
    return any(run.values())


def _near_lanes(road: RoadTrack, k: int, column: int, back_s: float) -> list[int]:
    """The lanes that an agent used within some time, and those before them."""
    used = set(agent_lanes(road, k, column, back_s)[0].tolist()) - {-1}
    lanes = road.roads.map.lanes
    return sorted(used.union(*(lanes[i].predecessors for i in used)))


def agent_lanes(road: RoadTrack, k: int, column: int, back_s: float = LANES_S) -> tuple[Int, np.ndarray, np.ndarray]:
    """An agent over some time up to state k -> lane beneath (M,), arc length (M,), offset (M,) at each state."""
    track = road.track
    first = max(k - round(back_s / DT_S), 0)
    steps = np.flatnonzero(track.there[first : k + 1, column]) + first
    pose = track.pose[steps, column]
    if not len(road.roads.map.lanes):
        return np.full(len(steps), -1, dtype=np.int64), np.zeros(len(steps)), np.zeros(len(steps))
    lane, s, lateral = road.roads.nearest_many(pose[:, :2], pose[:, 2], track.z[steps])
    followed = track.lane[steps, column]  # what it says itself is sure where ways overlap
    return np.where(followed >= 0, followed, lane), np.where(followed >= 0, track.s_m[steps, column], s), lateral


def _agent_against(road: RoadTrack, k: int, column: int) -> bool:
    """Whether an agent heads against every lane that holds it."""
    roads, (x, y, yaw) = road.roads, road.track.pose[k, column].tolist()
    turned = []
    for lane in roads.inside_lanes(x, y):
        if roads.net.lanes["routable"][lane]:
            both = roads.map.lanes[lane].bidirectional
            along = roads.pose(lane, roads.project(lane, x, y)[0])[1]
            turned.append(0.0 if both else abs(float(wrap_angle(yaw - along))))
    return bool(turned) and min(turned) > AGAINST_RAD


# ------------------------------------------------------------- where ways meet


def _by_map(road: RoadTrack, k: int, column: int) -> Right | None:
    """What the map says of the two ways, or None where they do not meet here."""
    lanes, s, _ = agent_lanes(road, k, column)
    theirs = dict(zip(lanes.tolist(), s.tolist(), strict=True))
    theirs.pop(-1, None)
    first = max(k - round(LANES_S / DT_S), 0)
    mine = dict(zip(road.lane[first : k + 1].tolist(), road.s_m[first : k + 1].tolist(), strict=True))
    mine.pop(-1, None)
    if set(mine) & set(theirs):
        return None
    best: tuple[float, Conflict] | None = None
    for lane, at in mine.items():
        for conflict in road.roads.conflicts_of(lane):
            if conflict.other not in theirs or conflict.kind == "diverge":
                continue
            off = _outside(at, conflict.s_m) + _outside(theirs[conflict.other], conflict.other_s_m)
            if off < MEET_M and (best is None or off < best[0]):
                best = off, conflict
    if best is None:
        return None
    if best[1].yields:
        return Right("agent", "the ego had to give way")
    back = [c for c in road.roads.conflicts_of(best[1].other) if c.other == best[1].lane]
    return Right("ego", "the other had to give way") if any(c.yields for c in back) else None


def _outside(at: float, span: tuple[float, float]) -> float:
    return max(span[0] - at, at - span[1], 0.0)


# -------------------------------------------------------------- lanes and distance


def _by_lane(road: RoadTrack, k: int, column: int) -> Right:
    """Who moved into whose way; else who is behind keeps the distance; who comes from beside the road waits."""
    track = road.track
    x, y, yaw = track.pose[k, column].tolist()
    turned = abs(float(wrap_angle(yaw - track.yaw[k])))
    ego_moved, agent_moved = _moved_aside(road, k, column)
    if ego_moved != agent_moved:
        if ego_moved:
            return Right("agent", "the ego moved into the other's way")
        return Right("ego", "the other moved into the ego's way")
    ahead = (x - track.x[k]) * math.cos(track.yaw[k]) + (y - track.y[k]) * math.sin(track.yaw[k])
    if turned < ALONG_RAD:
        if ahead > 0.0:
            return Right("agent", "the ego did not keep its distance")
        return Right("ego", "the other did not keep its distance")
    lanes, _, _ = agent_lanes(road, k, column)
    if turned < AGAINST_RAD and (not len(lanes) or lanes[-1] < 0 or road.lane[k] >= 0):
        return Right("ego", "the other came from beside the road")
    return Right("", "")


def _moved_aside(road: RoadTrack, k: int, column: int) -> tuple[bool, bool]:
    """Whether the ego, and whether the agent, moved towards the other across the lane within the last 2 s."""
    track = road.track
    first = max(k - round(CHANGE_S / DT_S), 0)
    here = np.flatnonzero(track.there[first : k + 1, column]) + first
    lane = int(road.lane[first])
    if lane >= 0:
        ego = [road.roads.project(lane, float(track.x[i]), float(track.y[i]))[1] for i in (first, k)]
        ends = [road.roads.project(lane, *track.pose[i, column, :2].tolist())[1] for i in (here[0], k)]
    else:
        c, s = math.cos(track.yaw[first]), math.sin(track.yaw[first])
        ego = [c * float(track.y[i]) - s * float(track.x[i]) for i in (first, k)]
        ends = [c * float(track.pose[i, column, 1]) - s * float(track.pose[i, column, 0]) for i in (here[0], k)]
    side = math.copysign(1.0, ends[0] - ego[0])
    moved = (ego[1] - ego[0]) * side, (ends[0] - ends[1]) * side
    return moved[0] > CHANGE_M and moved[0] >= moved[1], moved[1] > CHANGE_M and moved[1] > moved[0]
