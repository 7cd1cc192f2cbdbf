"""Where others will be, and a ride, in; what it takes not to meet them out: a check of the plan against the future.

Everyone is predicted to go on as he goes: along his lane where he follows one, else straight on. Who keeps to lanes and
rules is only looked at for as long as he could no longer stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cordillera.policy.rule_bodies import GROUND, wrong_way
from cordillera.policy.rule_line import SPACING_M
from cordillera.policy.rule_scene import WALKERS, Scene, fitting
from cordillera.policy.rule_speed import DT_S, HALT, STEPS, Constraint, Profile
from cordillera.types import AgentKind, Bool, Cause, Float, Longitudinal

RULED_S, FREE_S = 2.0, 5.0  # how far ahead those who follow rules, and those who do not, are predicted
SIDE_M, AHEAD_M = 0.3, 0.6  # around the ego
WALKER_M = 0.35  # more beside people
LENGTHEN_S, LENGTHEN_MAX_M = 0.7, 6.0  # of where one may be on his way, earlier or later than thought
ROUNDS = 4
REACH_M = 70.0


def hazard_constraints(
    scene: Scene, base: Profile, solve: Callable[[tuple[Constraint, ...]], Profile]
) -> tuple[tuple[Constraint, ...], Profile]:
    """A scene, the ride that all else allows, and how to plan with more constraints -> those needed, and the ride."""
    found: tuple[Constraint, ...] = ()
    profile, given_up = base, set()
    futures = {i: future for i in range(len(scene.rows)) if (future := _future(scene, i)) is not None}
    for _ in range(ROUNDS):
        meeting = _first_meeting(scene, profile, {i: f for i, f in futures.items() if i not in given_up})
        if meeting is None:
            break
        i, k = meeting
        constraint = _brake(scene, profile, futures[i], i, k)
        tried = solve((*found, constraint))
        after = _first_meeting(scene, tried, {i: futures[i]})
        if after is not None and _behind_nose(scene, profile, futures[i], k):
            given_up.add(i)  # it comes from the side upon the ego's tail, and braking does not help
            continue
        found, profile = (*found, constraint), tried
        if after is not None and after[1] <= k:
            given_up.add(i)
    return found, profile


def _future(scene: Scene, i: int) -> Float | None:
    """Near agent -> centres and headings (64, 3) of its next 6.4 s, NaN from where they do not count; None if it is
    not to be met: it stands, follows, leads, or is no body."""
    row = int(scene.rows[i])
    agents, kind = scene.agents, scene.kind(row)
    speed, turn = float(agents.speed_mps[row]), float(scene.turn_rad[i])
    if kind >= GROUND or kind == AgentKind.BALL or speed < 0.25 or abs(scene.side_m[i]) > REACH_M:
        return None
    level = abs(turn) < (0.35 if not scene.scripted[i] else 0.15)
    if level and kind not in WALKERS:
        return None  # leaders, cut-ins and followers
    ruled = not scene.scripted[i]
    horizon = round((RULED_S if ruled else FREE_S) / DT_S)
    out = np.full((STEPS, 3), np.nan)
    ways = np.multiply(speed * DT_S, np.arange(1, horizon + 1), dtype=np.float64)
    if agents.lane[row] >= 0:
        out[:horizon] = _along_lane(scene, row, ways)
    else:
        yaw = float(agents.yaw_rad[row])
        x, y = float(agents.xyz[row, 0]), float(agents.xyz[row, 1])
        out[:horizon, 0], out[:horizon, 1], out[:horizon, 2] = x + ways * math.cos(yaw), y + ways * math.sin(yaw), yaw
    return out


def _along_lane(scene: Scene, row: int, ways: Float) -> Float:
    """An agent on a lane, distances -> its poses (N, 3), with its offset from the lane kept; straight on by choice."""
    roads, agents = scene.roads, scene.agents
    lane, s = int(agents.lane[row]), float(agents.s_m[row])
    lateral = roads.project(lane, float(agents.xyz[row, 0]), float(agents.xyz[row, 1]))[1]
    wanted = {1: "left", -1: "right"}.get(int(agents.blinker[row]), "straight")
    out, gone = np.empty((len(ways), 3)), 0.0
    for k, way in enumerate(ways):
        while s + way - gone > roads.length(lane) and roads.map.lanes[lane].successors:
            gone += roads.length(lane)
            after = roads.map.lanes[lane].successors
            lane = next((n for n in after if roads.map.lanes[n].turn == wanted), after[0])
        beyond = max(s + way - gone - roads.length(lane), 0.0)
        xyz, yaw = roads.offset_pose(lane, s + way - gone, lateral)
        out[k] = xyz[0] + beyond * math.cos(yaw), xyz[1] + beyond * math.sin(yaw), yaw
    return out


def _ego(scene: Scene, s_m: Float) -> Float:
    """Stations of the rear axle -> centres and headings (N, 3) of the ego's body."""
    path = scene.path
    offset, slope = scene.line.at(s_m)
    at = np.clip(s_m / SPACING_M, 0.0, len(path.xy) - 1.001)
    low = at.astype(np.int64)
    t = at - low
    xy = path.xy[low] + t[:, None] * (path.xy[low + 1] - path.xy[low])
    yaw = path.yaw[low] + t * (path.yaw[low + 1] - path.yaw[low])
    xy = xy + offset[:, None] * np.column_stack([-np.sin(yaw), np.cos(yaw)])
    heading = yaw + np.arctan(slope)
    ahead = scene.vehicle.rear_axle_to_center_m
    return np.column_stack([xy[:, 0] + ahead * np.cos(heading), xy[:, 1] + ahead * np.sin(heading), heading])


def _overlaps(scene: Scene, ego: Float, i: int, other: Float) -> Bool:
    """Poses of the ego and of near agent `i` (N, 3) -> where their boxes, margins and uncertainty included, overlap."""
    row = int(scene.rows[i])
    speed = float(scene.agents.speed_mps[row])
    side = SIDE_M + (WALKER_M if scene.kind(row) in WALKERS else 0.0)
    half_ego = 0.5 * scene.vehicle.length_m + AHEAD_M, 0.5 * scene.vehicle.width_m + side
    size = scene.agents.size_lwh[row]
    half = 0.5 * float(size[0]) + 0.5 * min(LENGTHEN_S * speed, LENGTHEN_MAX_M), 0.5 * float(size[1])
    d = other[:, :2] - ego[:, :2]
    turn = other[:, 2] - ego[:, 2]
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))

    def along(yaw: Float) -> tuple[Float, Float]:
        return (
            np.abs(d[:, 0] * np.cos(yaw) + d[:, 1] * np.sin(yaw)),
            np.abs(d[:, 1] * np.cos(yaw) - d[:, 0] * np.sin(yaw)),
        )

    ex, ey = along(ego[:, 2])
    ox, oy = along(other[:, 2])
    with np.errstate(invalid="ignore"):
        return (
            (ex < half_ego[0] + half[0] * c + half[1] * s)
            & (ey < half_ego[1] + half[0] * s + half[1] * c)
            & (ox < half[0] + half_ego[0] * c + half_ego[1] * s)
            & (oy < half[1] + half_ego[0] * s + half_ego[1] * c)
        )


def _first_meeting(scene: Scene, profile: Profile, futures: dict[int, Float]) -> tuple[int, int] | None:
    """A ride and everyone's future -> who is met first while the ego moves, and at which tick; None if nobody is."""
    ego = _ego(scene, profile.s_m)
    moving = profile.speed_mps > 0.3
    best = None
    for i, future in futures.items():
        met = np.flatnonzero(_overlaps(scene, ego, i, future) & moving)
        if len(met) and (best is None or met[0] < best[1]):
            best = i, int(met[0])
    return best


def _behind_nose(scene: Scene, profile: Profile, future: Float, k: int) -> bool:
    """Whether the other comes upon the ego's rear half at tick k."""
    x, y, yaw = _ego(scene, profile.s_m[k : k + 1])[0]
    return (future[k, 0] - x) * math.cos(yaw) + (future[k, 1] - y) * math.sin(yaw) < 0.0


def _brake(scene: Scene, profile: Profile, future: Float, i: int, k: int) -> Constraint:
    """Whom the ego meets at tick k -> the halt before the place, as long as the other needs to clear it."""
    row = int(scene.rows[i])
    there = np.repeat(_ego(scene, profile.s_m[k : k + 1]), STEPS, axis=0)
    later = np.flatnonzero(_overlaps(scene, there, i, future))
    until = (float(later[-1]) + 3.0) * DT_S if len(later) else (k + 5) * DT_S
    place = max(float(profile.s_m[k]) + scene.nose_m - 0.8, scene.front_m + 0.2)
    return Constraint(HALT, place, _cause(scene, i, row, place), Longitudinal.YIELD, until_s=until)


def _cause(scene: Scene, i: int, row: int, place: float) -> Cause:
    turn, side = float(scene.turn_rad[i]), float(scene.off_line_m[i])
    name, kind, gap = scene.name(row), scene.kind(row), max(place - scene.front_m, 0.0)
    where = "left" if side > 0.0 else "right"
    if kind in WALKERS:
        half = 0.5 * scene.vehicle.width_m
        relation = "on the road ahead" if abs(side) < half + 1.0 else f"stepping onto the road from the {where}"
        return Cause(name, scene.target(row), fitting(name, relation), scene.t_us, gap)
    if name == "emergency vehicle":
        relation = "crossing with its siren on"
    elif wrong_way(scene, i):
        name, relation = "wrong-way driver", "coming the other way in the ego lane"
    elif abs(turn) > math.radians(140.0):
        name, relation = ("cyclist", "riding against the traffic") if name == "cyclist" else (
            "oncoming vehicle", "coming the other way in the ego lane"
        )  # fmt: skip
    else:
        name, relation = ("cyclist" if name == "cyclist" else "cross-traffic vehicle"), "crossing ahead"
    return Cause(name, scene.target(row), fitting(name, relation), scene.t_us, gap)
