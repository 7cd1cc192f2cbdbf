"""A rollout, its map and its metrics in; the plain values that the page draws out, ready for JSON.

Positions are metres east and north of `origin`, the whole metre nearest to the first position of the car. An index
into the states is called a frame; the last frame is the state after the last decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cordillera.evaluate.metrics import motion, states_of
from cordillera.geometry import arc_length, simplify, yaw_of
from cordillera.types import (
    AgentKind,
    Float,
    LightState,
    MetricResult,
    ReasoningTrace,
    RoadMap,
    Rollout,
    SignalKind,
    Step,
    WorldState,
)
from cordillera.world.roads import compile_map

Json = dict[str, Any]
MPH_REGIONS = ("US", "GB")
AGENT_RADIUS_M = 120.0
MAP_RADIUS_M = 150.0
TOLERANCE_M = 0.05
ENDINGS = {
    "duration": ("Drove the full time", "good"),
    "arrived": ("Arrived at the goal", "good"),
    "collision": ("Ended in a collision", "bad"),
    "off-road": ("Ended off the road", "bad"),
    "interrupted": ("Stopped by hand", "plain"),
}


def page_data(rollout: Rollout, road_map: RoadMap, metrics: Sequence[MetricResult]) -> Json:
    """Everything that the page shows, as lists, numbers, strings and None."""
    states = states_of(rollout)
    start_us = rollout.scenario.initial.t_us
    path = np.array([state.ego.xyz[:2] for state in states])
    origin = np.round(path[0])
    mph = (rollout.scenario.region or road_map.region) in MPH_REGIONS
    return {
        "origin": origin.tolist(),
        "t": [round((state.t_us - start_us) * 1e-6, 3) for state in states],
        "speedUnit": "mph" if mph else "km/h",
        "speedFactor": 2.236936 if mph else 3.6,
        "ego": _ego(rollout, road_map, origin),
        "route": _flat(_thin(rollout.scenario.route.xyz[:, :2]), origin),
        "agents": _agents(states, origin),
        "map": _map(road_map, path, origin),
        "signals": _signals(road_map, states, path, origin),
        "longitudinal": _runs(rollout.steps, lambda step: _word(_trace(step), "longitudinal")),
        "lateral": _runs(rollout.steps, lambda step: _word(_trace(step), "lateral")),
        "verdicts": _runs(rollout.steps, lambda step: (step.output.verdict.action, step.output.verdict.reasons)),
        "said": _said(rollout),
        "metrics": [_metric(metric) for metric in metrics],
    }


def facts(rollout: Rollout, road_map: RoadMap) -> list[tuple[str, str]]:
    """What the head of the page says of the scenario: label and text."""
    scenario = rollout.scenario
    minutes = round(scenario.hour * 60.0) % (24 * 60)
    states = states_of(rollout)
    driven_s = (states[-1].t_us - scenario.initial.t_us) * 1e-6
    driven_m = float(arc_length(np.array([state.ego.xyz[:2] for state in states]))[-1])
    policy = rollout.steps[0].output.decision.policy if rollout.steps else ""
    mph = (scenario.region or road_map.region) in MPH_REGIONS
    distance = f"{driven_m / 1609.344:.2f} mi" if mph else f"{driven_m:,.0f} m".replace(",", "\u202f")
    rows = [
        ("Driver", policy or "unknown"),
        ("Driven", f"{driven_s:.1f} s, {distance}"),
        ("Seed", str(scenario.seed)),
        ("Region", scenario.region or road_map.region or "unknown"),
        ("Traffic", f"{road_map.traffic_side}-hand"),
        ("Weather", str(scenario.weather.value)),
        ("Local time", f"{minutes // 60:02d}:{minutes % 60:02d}"),
    ]
    return [*rows, ("Tags", ", ".join(scenario.tags))] if scenario.tags else rows


def title(rollout: Rollout) -> str:
    """The name of the map, without folders and extensions; a built road's specification as it is."""
    name = rollout.scenario.map
    return name if name.startswith("built:") else Path(name).name or name


def ending(rollout: Rollout) -> tuple[str, str]:
    """How the drive ended: in words, and "good", "bad" or "plain"."""
    if rollout.ended.startswith("error"):
        return f"Stopped by an {rollout.ended}", "bad"
    return ENDINGS.get(rollout.ended, (rollout.ended, "plain"))


# ---------------------------------------------------------------------- the car


def _ego(rollout: Rollout, road_map: RoadMap, origin: Float) -> Json:
    states = states_of(rollout)
    moved = motion(rollout)
    xy = np.array([state.ego.xyz[:2] for state in states])
    yaw = np.unwrap([float(yaw_of(state.ego.quat_xyzw)) for state in states])
    spec = rollout.scenario.vehicle
    return {
        "x": _numbers(xy[:, 0] - origin[0]),
        "y": _numbers(xy[:, 1] - origin[1]),
        "yaw": _numbers(yaw, 3),
        "speed": _numbers([state.ego.speed_mps for state in states]),
        "limit": _limits(road_map, xy, yaw, np.array([state.ego.xyz[2] for state in states])),
        "along": _numbers(moved["accel"]),
        "side": _numbers(moved["side accel"]),
        "curvature": _numbers([state.ego.curvature_1pm for state in states], 4),
        "size": [spec.length_m, spec.width_m, spec.rear_axle_to_center_m],
    }


def _limits(road_map: RoadMap, xy: Float, yaw: Float, z: Float) -> list[float | None]:
    if not road_map.lanes:
        return [None] * len(xy)
    roads = compile_map(road_map)
    lane, along, _ = roads.nearest_many(xy, yaw, z)
    known = [roads.speed_limit(int(k), float(s)) if k >= 0 else math.nan for k, s in zip(lane, along, strict=True)]
    return _numbers(known)


# ------------------------------------------------------------------ other agents


def _agents(states: Sequence[WorldState], origin: Float) -> list[Json]:
    """One track for each stretch of frames in which an agent is near; a standing one is sent once."""
    open_tracks: dict[int, Json] = {}
    tracks: list[Json] = []
    for frame, state in enumerate(states):
        agents = state.agents
        near = agents.valid & (np.hypot(*(agents.xyz[:, :2] - state.ego.xyz[:2]).T) < AGENT_RADIUS_M)
        seen: dict[int, Json] = {}
        for k in np.flatnonzero(near):
            identity = int(agents.id[k])
            track = open_tracks.get(identity)
            if track is None:
                length, width = (round(float(v), 2) for v in agents.size_lwh[k, :2])
                kind = AgentKind(int(agents.kind[k])).name.lower()
                track = {"id": identity, "kind": kind, "size": [length, width], "from": frame, "poses": []}
                tracks.append(track)
            track["poses"].append((*(agents.xyz[k, :2] - origin), agents.yaw_rad[k], agents.speed_mps[k]))
            seen[identity] = track
        open_tracks = seen
    for track in tracks:
        poses = np.array(track.pop("poses"), dtype=np.float64)
        track["count"] = len(poses)
        poses[:, 2] = np.unwrap(poses[:, 2])
        if np.ptp(poses, axis=0).max() < 0.005:
            poses = poses[:1]
        for column, (name, digits) in enumerate((("x", 2), ("y", 2), ("yaw", 2), ("speed", 1))):
            track[name] = _numbers(poses[:, column], digits)
    return tracks


# ----------------------------------------------------------------------- the map


def _near(xyz: Float, path: Float, radius_m: float = MAP_RADIUS_M) -> bool:
    """Whether a line comes near the driven path; the path is thinned, so the radius is not exact."""
    if len(xyz) == 0:
        return False
    gap = xyz[:, None, :2] - path[None, :, :]
    return bool((gap * gap).sum(axis=-1).min() < radius_m**2)


def _map(road_map: RoadMap, path: Float, origin: Float) -> Json:
    spots = path[:: max(1, len(path) // 60)]
    lanes = []
    for lane in road_map.lanes:
        if _near(lane.center_xyz, spots):
            outline = np.concatenate([_thin(lane.left_xyz[:, :2]), _thin(lane.right_xyz[:, :2])[::-1]])
            lanes.append([str(lane.kind.value), bool(lane.junction), _flat(outline, origin)])
    marks = [
        [mark.kind, mark.color, _flat(_thin(mark.xyz[:, :2]), origin)]
        for mark in road_map.marks
        if _near(mark.xyz, spots)
    ]
    areas = [
        [thing.kind, _flat(_thin(thing.outline_xyz[:, :2], 0.2), origin)]
        for thing in road_map.objects
        if thing.kind == "building" and len(thing.outline_xyz) > 2 and _near(thing.outline_xyz, spots)
    ]
    crossings = [_flat(c.outline_xyz[:, :2], origin) for c in road_map.crossings if _near(c.outline_xyz, spots)]
    stops = [_flat(line.xyz[:, :2], origin) for line in road_map.stop_lines if _near(line.xyz, spots)]
    return {"lanes": lanes, "marks": marks, "areas": areas, "crossings": crossings, "stops": stops}


def _signals(road_map: RoadMap, states: Sequence[WorldState], path: Float, origin: Float) -> list[Json]:
    """Lights with the frames at which they change, and the signs that rule the way."""
    spots = path[:: max(1, len(path) // 60)]
    shown = (SignalKind.TRAFFIC_LIGHT, SignalKind.STOP, SignalKind.GIVE_WAY, SignalKind.SPEED_LIMIT)
    out = []
    for k, signal in enumerate(road_map.signals):
        if signal.kind not in shown or not _near(signal.xyz[None, :], spots):
            continue
        states_of_k = [int(state.signals[k]) if k < len(state.signals) else 0 for state in states]
        changes = [
            [frame, LightState(value).name.lower()]
            for frame, value in enumerate(states_of_k)
            if frame == 0 or value != states_of_k[frame - 1]
        ]
        x, y = _numbers(signal.xyz[:2] - origin)
        lines = [
            _flat(road_map.stop_lines[i].xyz[:, :2], origin)
            for i in signal.stop_lines
            if 0 <= i < len(road_map.stop_lines)
        ]
        value = None if math.isnan(signal.value) else round(signal.value, 3)
        out.append({"index": k, "kind": str(signal.kind.value), "x": x, "y": y, "value": value} | {
            "changes": changes, "lines": lines,
        })  # fmt: skip
    return out


# ------------------------------------------------------------------ what was said


def _trace(step: Step) -> ReasoningTrace | None:
    return step.output.decision.reasoning


def _word(trace: ReasoningTrace | None, channel: str) -> str | None:
    choice = getattr(trace, channel) if trace else None
    return None if choice is None else str(choice.value)


def _runs(steps: Sequence[Step], key: Callable[[Step], Hashable]) -> list[Json]:
    """Stretches of frames [from, to) over which the key stays the same."""
    runs: list[Json] = []
    for frame, step in enumerate(steps):
        value = key(step)
        if runs and runs[-1]["value"] == value:
            runs[-1]["to"] = frame + 1
        else:
            runs.append({"from": frame, "to": frame + 1, "value": value})
    return runs


def _said(rollout: Rollout) -> list[Json]:
    """Stretches over which the sentence stays the same, with the causes as they stood at the first frame."""
    out = []
    start_us = rollout.scenario.initial.t_us
    for run in _runs(rollout.steps, lambda step: trace.text if (trace := _trace(step)) else None):
        trace = _trace(rollout.steps[run["from"]])
        if trace is None:
            continue
        causes = [
            {
                "kind": cause.kind,
                "target": cause.target,
                "relation": cause.relation,
                "distance": _number(cause.distance_m, 1),
                "evident": _number((cause.evidence_t_us - start_us) * 1e-6, 1),
            }
            for cause in trace.causes
        ]
        words = {"longitudinal": _word(trace, "longitudinal"), "lateral": _word(trace, "lateral")}
        out.append({"from": run["from"], "to": run["to"], "text": trace.text, "source": trace.source} | words | {
            "causes": causes,
        })  # fmt: skip
    return out


def _metric(metric: MetricResult) -> Json:
    value = _number(metric.value, 4) if metric.valid else None
    return {"name": metric.name, "value": value, "unit": metric.unit, "better": metric.better}


# ------------------------------------------------------------------------ numbers


def _thin(xy: Float, tolerance_m: float = TOLERANCE_M) -> Float:
    return xy[simplify(xy, tolerance_m)] if len(xy) > 2 else xy


def _flat(xy: Float, origin: Float) -> list[float | None]:
    return _numbers((xy - origin).ravel())


def _numbers(values: Any, digits: int = 2) -> list[float | None]:
    return [_number(float(value), digits) for value in values]


def _number(value: float, digits: int) -> float | None:
    """Rounded; None for what JSON cannot hold."""
    return round(value, digits) + 0.0 if math.isfinite(value) else None
