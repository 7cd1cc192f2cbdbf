"""Metrics: a rollout (and its map, where roads matter) in, one named value with its unit out; pure functions.

A metric that has no meaning for a rollout says so by `valid`; its value is then NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numba import njit

from cordillera.geometry import boxes_overlap, wrap_angle, yaw_of
from cordillera.types import (
    EgoState,
    Float,
    LightState,
    MetricResult,
    RoadMap,
    Rollout,
    SignalKind,
    WorldState,
)
from cordillera.world.guide import Guide
from cordillera.world.roads import Regulation, Roads, compile_map
from cordillera.world.world import LEVEL_M, colliding, ego_box

DT_S = 0.1

# comfort bounds of nuPlan, which NAVSIM and Bench2Drive share
ACCEL_MPS2 = (-4.05, 2.40)
SIDE_ACCEL_MPS2 = 4.89
JERK_MPS3 = 8.37  # of the whole vector
ALONG_JERK_MPS3 = 4.13
YAW_RATE_RADPS = 0.95
YAW_ACCEL_RADPS2 = 1.93

OFF_ROAD_M = 0.3  # a corner this far out counts
TTC_HORIZON_S = 3.0
SIGN_REACH_M = 3.5  # a stop counts this far before the line, and this slow
SIGN_SPEED_MPS = 0.3


def all_metrics(rollout: Rollout, road_map: RoadMap) -> tuple[MetricResult, ...]:
    """A rollout and its map -> every metric of this module, in the order to show them."""
    return (
        collisions(rollout),
        off_road(rollout, road_map),
        red_lights(rollout, road_map),
        stop_signs(rollout, road_map),
        progress(rollout, road_map),
        route_completion(rollout, road_map),
        mean_speed(rollout),
        max_accel(rollout),
        max_brake(rollout),
        max_side_accel(rollout),
        max_jerk(rollout),
        comfort(rollout),
        time_to_collision(rollout),
    )


def states_of(rollout: Rollout) -> tuple[WorldState, ...]:
    """Every state of a rollout in order, the last one included."""
    return (*(step.state for step in rollout.steps), rollout.final)


def _result(name: str, value: float, unit: str, better: str) -> MetricResult:
    return MetricResult(name, float(value), not math.isnan(value), unit, better)


# ------------------------------------------------------------------ infractions


def collisions(rollout: Rollout) -> MetricResult:
    """How many different agents the ego's box touched."""
    touched = {
        int(state.agents.id[row])
        for state in states_of(rollout)
        if (row := colliding(state, rollout.scenario)) is not None
    }
    return _result("collisions", len(touched), "", "lower")


def off_road(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Seconds with a corner or side of the ego more than 0.3 m outside the drivable area."""
    roads, spec = compile_map(road_map), rollout.scenario.vehicle
    length, width = spec.length_m - 2.0 * OFF_ROAD_M, spec.width_m - 2.0 * OFF_ROAD_M
    out = 0
    for state in states_of(rollout):
        x, y, yaw = ego_box(state.ego, spec.rear_axle_to_center_m)
        out += not roads.box_drivable(x, y, yaw, length, width)
    return _result("off road", out * DT_S, "s", "lower")


def red_lights(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many stop lines the ego's front crossed while their light showed red."""
    roads = compile_map(road_map)
    run = {
        (rule.signal, k)
        for rule, k, states in _passed(rollout, roads, SignalKind.TRAFFIC_LIGHT)
        if states[k].signals[rule.signal] in (LightState.RED, LightState.RED_AMBER, LightState.FLASHING_RED)
    }
    return _result("red lights run", len(run), "", "lower")


def stop_signs(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many stop lines of stop signs the ego crossed without having stood before them; lights that work overrule."""
    roads = compile_map(road_map)
    run = set()
    for rule, k, states in _passed(rollout, roads, SignalKind.STOP):
        lit = any(
            other.kind is SignalKind.TRAFFIC_LIGHT and states[k].signals[other.signal] != LightState.OFF
            for other in roads.regulations(rule.lane)
        )
        stood = any(
            state.ego.speed_mps < SIGN_SPEED_MPS and _before_line(rollout, roads, rule, state.ego)[0] < SIGN_REACH_M
            for state in states[max(k - 300, 0) : k + 1]
        )
        if not lit and not stood:
            run.add((rule.signal, k))
    return _result("stop signs run", len(run), "", "lower")


def _passed(
    rollout: Rollout, roads: Roads, kind: SignalKind
) -> Iterator[tuple[Regulation, int, tuple[WorldState, ...]]]:
    """Yields each regulation of a kind whose line the front crossed, and the last state before it did."""
    lanes, states = rollout.scenario.route.lanes, states_of(rollout)
    rules = [rule for lane in dict.fromkeys(lanes) for rule in roads.regulations(lane) if rule.kind is kind]
    for rule in rules:
        if rule.for_lane >= 0 and rule.for_lane not in lanes:
            continue
        (x, y, _), yaw = roads.pose(rule.lane, rule.s_m)
        left, side = np.array([_to_line(rollout, x, y, yaw, state.ego) for state in states]).T
        crossed = (left[:-1] > 0.0) & (left[1:] <= 0.0) & (np.abs(side[1:]) < 2.0) & (left[:-1] < 5.0)
        for k in np.flatnonzero(crossed):
            yield rule, int(k), states


def _to_line(rollout: Rollout, x: float, y: float, yaw: float, ego: EgoState) -> tuple[float, float]:
    """How far the ego's front is before a line through (x, y) across the heading `yaw`, and how far to its left."""
    spec = rollout.scenario.vehicle
    fx, fy, heading = ego_box(ego, spec.rear_axle_to_center_m + 0.5 * spec.length_m)
    if math.cos(heading - yaw) < 0.5:
        return math.inf, math.inf
    dx, dy = x - fx, y - fy
    return math.cos(yaw) * dx + math.sin(yaw) * dy, math.sin(yaw) * dx - math.cos(yaw) * dy


def _before_line(rollout: Rollout, roads: Roads, rule: Regulation, ego: EgoState) -> tuple[float, float]:
    (x, y, _), yaw = roads.pose(rule.lane, rule.s_m)
    return _to_line(rollout, x, y, yaw, ego)


# --------------------------------------------------------------------- progress


def progress(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Metres gone along the route."""
    first, last, _ = _along(rollout, road_map)
    return _result("progress", last - first, "m", "higher")


def route_completion(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Share of the route that was driven, in percent; all of it on arrival."""
    first, last, length = _along(rollout, road_map)
    share = 1.0 if rollout.ended == "arrived" else (last - first) / max(length - first, 1e-9)
    return _result("route completion", 100.0 * min(max(share, 0.0), 1.0), "%", "higher")


def _along(rollout: Rollout, road_map: RoadMap) -> tuple[float, float, float]:
    """Progress of the first and the last state, and length of the route, in metres."""
    guide = Guide.of(compile_map(road_map), rollout.scenario.route)
    places, at = [], 0.0
    for state in states_of(rollout):
        at = guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), at)
        places.append(at)
    return places[0], places[-1], guide.length_m


def mean_speed(rollout: Rollout) -> MetricResult:
    """Mean forward speed over all states."""
    return _result("mean speed", float(np.mean(_speeds(rollout))), "m/s", "")


# ---------------------------------------------------------------------- comfort


def _speeds(rollout: Rollout) -> Float:
    return np.array([state.ego.speed_mps for state in states_of(rollout)])


def motion(rollout: Rollout) -> dict[str, Float]:
    """A rollout of N states -> its accelerations, jerks and yaw rates (N,) by name.

    Acceleration is what the actuators realised; derivatives are central differences over 0.2 s.
    """
    states = states_of(rollout)
    speed = _speeds(rollout)
    accel = np.array([state.ego.accel_mps2 for state in states])
    yaw = np.unwrap([float(yaw_of(state.ego.quat_xyzw)) for state in states])
    rate = _slope(yaw)
    side = speed * rate
    along_jerk, side_jerk = _slope(accel), _slope(side)
    return {
        "accel": accel,
        "side accel": side,
        "along jerk": along_jerk,
        "jerk": np.hypot(along_jerk - side * rate, side_jerk + accel * rate),
        "yaw rate": rate,
        "yaw accel": _slope(rate),
    }


def _slope(values: Float) -> Float:
    return np.gradient(values, DT_S) if len(values) > 1 else np.zeros(len(values))


def max_accel(rollout: Rollout) -> MetricResult:
    """Strongest acceleration along the heading."""
    return _result("max acceleration", max(float(motion(rollout)["accel"].max()), 0.0), "m/s2", "lower")


def max_brake(rollout: Rollout) -> MetricResult:
    """Strongest braking along the heading, as a positive number."""
    return _result("max braking", max(float(-motion(rollout)["accel"].min()), 0.0), "m/s2", "lower")


def max_side_accel(rollout: Rollout) -> MetricResult:
    """Strongest acceleration across the heading."""
    return _result("max lateral acceleration", float(np.abs(motion(rollout)["side accel"]).max()), "m/s2", "lower")


def max_jerk(rollout: Rollout) -> MetricResult:
    """Strongest jerk along the heading."""
    return _result("max jerk", float(np.abs(motion(rollout)["along jerk"]).max()), "m/s3", "lower")


def comfort(rollout: Rollout) -> MetricResult:
    """Share of the time within all six comfort bounds of nuPlan, in percent."""
    m = motion(rollout)
    good = (m["accel"] >= ACCEL_MPS2[0]) & (m["accel"] <= ACCEL_MPS2[1])
    good &= np.abs(m["side accel"]) <= SIDE_ACCEL_MPS2
    good &= (m["jerk"] <= JERK_MPS3) & (np.abs(m["along jerk"]) <= ALONG_JERK_MPS3)
    good &= (np.abs(m["yaw rate"]) <= YAW_RATE_RADPS) & (np.abs(m["yaw accel"]) <= YAW_ACCEL_RADPS2)
    return _result("comfort", 100.0 * float(good.mean()), "%", "higher")


# ------------------------------------------------------------ time to collision


def time_to_collision(rollout: Rollout) -> MetricResult:
    """The shortest time to collision of any state: boxes at constant velocity and heading, agents not behind the ego.

    Looks 3 s ahead in steps of 0.1 s; not valid where nothing would be hit within that.
    """
    spec = rollout.scenario.vehicle
    best = math.inf
    for state in states_of(rollout):
        x, y, yaw = ego_box(state.ego, spec.rear_axle_to_center_m)
        agents = state.agents
        ahead = (agents.xyz[:, 0] - x) * math.cos(yaw) + (agents.xyz[:, 1] - y) * math.sin(yaw) > -0.5 * spec.length_m
        reach = spec.length_m + (abs(state.ego.speed_mps) + agents.speed_mps) * TTC_HORIZON_S + agents.size_lwh[:, 0]
        level = np.abs(agents.xyz[:, 2] - state.ego.xyz[2]) < LEVEL_M
        near = agents.valid & ahead & level & (np.hypot(agents.xyz[:, 0] - x, agents.xyz[:, 1] - y) < reach)
        if near.any():
            rows = np.column_stack(
                [
                    agents.xyz[near, :2],
                    wrap_angle(agents.yaw_rad[near]),
                    agents.speed_mps[near],
                    agents.size_lwh[near, :2],
                ]
            )
            ego = np.array([x, y, yaw, state.ego.speed_mps, spec.length_m, spec.width_m])
            best = min(best, _soonest(ego, rows))
    return _result("time to collision", best if math.isfinite(best) else math.nan, "s", "higher")


@njit(cache=True)
def _soonest(ego: Float, rows: Float) -> float:
    """Ego (6,), agents (K, 6): x, y, yaw, speed, length, width -> the first time at which boxes overlap, or inf."""
    for step in range(31):
        t = 0.1 * step
        x, y = ego[0] + ego[3] * t * math.cos(ego[2]), ego[1] + ego[3] * t * math.sin(ego[2])
        for k in range(len(rows)):
            a, b = (
                rows[k, 0] + rows[k, 3] * t * math.cos(rows[k, 2]),
                rows[k, 1] + rows[k, 3] * t * math.sin(rows[k, 2]),
            )
            if boxes_overlap(x, y, ego[2], ego[4], ego[5], a, b, rows[k, 2], rows[k, 4], rows[k, 5]):
                return t
    return math.inf
