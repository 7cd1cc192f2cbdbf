"""A rollout, its map and metrics -> one HTML page that needs nothing else: video, map, plots, decisions, metrics."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from cordillera.geometry import simplify, yaw_of
from cordillera.types import EgoState, LaneKind, MetricResult, ReasoningTrace, RoadMap, Rollout, SignalKind, Step
from cordillera.world.roads import compile_map

EMBED_BYTES = 25_000_000  # a larger video is linked, not embedded
AROUND_M = 160.0  # how much of the map the page keeps around the driven path
NEAR_M = 120.0  # agents farther from the ego than this are left out
MILES = ("US", "GB")
WALKS = (LaneKind.SIDEWALK, LaneKind.BIKING, LaneKind.MEDIAN, LaneKind.BORDER, LaneKind.KERB)
OUTCOMES = {
    "duration": ("good", "Drove to the end"),
    "arrived": ("good", "Arrived"),
    "collision": ("bad", "Collision"),
    "off-road": ("bad", "Left the road"),
    "interrupted": ("warn", "Interrupted by hand"),
}


def write_page(
    rollout: Rollout, road_map: RoadMap, metrics: Sequence[MetricResult], folder: Path, video: str = "drive.mp4"
) -> Path:
    """Write `folder/index.html` and return its path; `video` is the name of an MP4 in the same folder, or "".

    The video is embedded unless it is larger than 25 MB. Raises ValueError for a rollout without steps.
    """
    if not rollout.steps:
        raise ValueError(f"{folder}: a rollout without steps has nothing to show")
    page = _template("page.html")
    data = json.dumps(page_data(rollout, road_map, metrics), separators=(",", ":"), allow_nan=False)
    # "<" cannot end the script element from inside JSON once it is written as an escape.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    filling = {
        "TITLE": html.escape(f"{road_map.name} · Cordillera"),
        "STYLE": _template("page.css"),
        "VIDEO": _video(folder, video),
        "DATA": data,
        "SCRIPT": _template("page.js"),
    }
    pieces = page.split("@@")
    text = "".join(filling[piece] if k % 2 else piece for k, piece in enumerate(pieces))
    path = folder / "index.html"
    part = folder / ".index.html.part"
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def page_data(rollout: Rollout, road_map: RoadMap, metrics: Sequence[MetricResult]) -> dict[str, Any]:
    """Everything that the page's script reads, as plain values; arrays have one entry a step."""
    steps, scenario = rollout.steps, rollout.scenario
    egos = [step.state.ego for step in steps]
    miles = scenario.region in MILES
    factor = 2.23694 if miles else 3.6
    t0 = steps[0].state.t_us
    speed = np.array([ego.speed_mps for ego in egos])
    side = speed * np.array([ego.yaw_rate_radps for ego in egos])
    path = np.array([ego.xyz[:2] for ego in egos])
    spec = scenario.vehicle
    dt = (steps[1].state.t_us - t0) * 1e-6 if len(steps) > 1 else 0.1
    return {
        **_head(rollout, road_map),
        "dt": dt,
        "t": _numbers([(step.state.t_us - t0) * 1e-6 for step in steps], 2),
        "unit": "mph" if miles else "km/h",
        "x": _numbers(path[:, 0], 2),
        "y": _numbers(path[:, 1], 2),
        "yaw": _numbers([float(yaw_of(ego.quat_xyzw)) for ego in egos], 3),
        "mps": _numbers(speed, 2),
        "speed": _numbers(speed * factor, 2),
        "limit": _numbers([limit * factor for limit in _limits(egos, road_map)], 1),
        "accel": _numbers([ego.accel_mps2 for ego in egos], 3),
        "side": _numbers(side, 3),
        "curvature": _numbers([ego.curvature_1pm for ego in egos], 5),
        "ego": [spec.length_m, spec.width_m, spec.rear_axle_to_center_m],
        "agents": [_agents(step) for step in steps],
        "signals": _signals(steps, road_map, path),
        "lanes": _lanes(road_map, path),
        "route": _line(scenario.route.xyz[:, :2], 0.1),
        "said": _said(steps),
        "longitudinal": _runs(steps, lambda r: r.longitudinal.value if r and r.longitudinal else "none"),
        "lateral": _runs(steps, lambda r: r.lateral.value if r and r.lateral else "none"),
        "verdicts": _verdicts(steps),
        "metrics": [_metric(metric) for metric in metrics],
    }


def _head(rollout: Rollout, road_map: RoadMap) -> dict[str, Any]:
    scenario, steps = rollout.scenario, rollout.steps
    minutes = round(scenario.hour * 60) % (24 * 60)
    driven = (rollout.final.t_us - steps[0].state.t_us) * 1e-6
    facts = (
        f"seed {scenario.seed}",
        f"region {scenario.region or 'unknown'}, {road_map.traffic_side}-hand traffic",
        scenario.weather.value,
        f"{minutes // 60:02d}:{minutes % 60:02d}",
        f"driver: {steps[0].output.decision.policy}",
        f"{driven:.1f} s",
    )
    outcome = OUTCOMES.get(rollout.ended, ("bad", rollout.ended))
    footer = f"Map {scenario.map}, SHA-256 {scenario.map_sha256[:16] or 'none'}. Made by Cordillera."
    return {"title": road_map.name, "facts": " · ".join(facts), "outcome": outcome, "footer": footer}


def _video(folder: Path, name: str) -> str:
    path = folder / name
    if not name or not path.is_file():
        return ""
    source = html.escape(name, quote=True)
    if path.stat().st_size <= EMBED_BYTES:
        source = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<video controls playsinline preload="auto" src="{source}"></video>'


def _limits(egos: list[EgoState], road_map: RoadMap) -> list[float]:
    """The speed limit where the ego is, in m/s; NaN off the lanes."""
    roads = compile_map(road_map)
    limits = []
    for ego in egos:
        at = roads.nearest(float(ego.xyz[0]), float(ego.xyz[1]), float(yaw_of(ego.quat_xyzw)))
        limits.append(roads.speed_limit(at.lane, at.s_m) if at else math.nan)
    return limits


def _agents(step: Step) -> list[list[float | None]]:
    """The agents near the ego: x, y, yaw, length, width."""
    agents, ego = step.state.agents, step.state.ego
    near = np.hypot(*(agents.xyz[:, :2] - ego.xyz[:2]).T) < NEAR_M
    rows = np.flatnonzero(agents.valid & near)
    table = np.column_stack([agents.xyz[rows, :2], agents.yaw_rad[rows], agents.size_lwh[rows, :2]])
    return [_numbers(row, 2) for row in table]


def _signals(steps: tuple[Step, ...], road_map: RoadMap, path: np.ndarray) -> list[dict[str, Any]]:
    """The lights near the path: place, stop lines, and the steps at which they change."""
    out = []
    for k, signal in enumerate(road_map.signals):
        if signal.kind != SignalKind.TRAFFIC_LIGHT or not _is_near(signal.xyz[None, :2], path):
            continue
        shown = [int(step.state.signals[k]) for step in steps]
        states = [[i, v] for i, v in enumerate(shown) if i == 0 or v != shown[i - 1]]
        lines = [_line(road_map.stop_lines[s].xyz[:, :2], 0.05) for s in signal.stop_lines]
        x, y = _numbers(signal.xyz[:2], 2)
        out.append({"x": x, "y": y, "lines": lines, "states": states})
    return out


def _lanes(road_map: RoadMap, path: np.ndarray) -> list[list[Any]]:
    """Surfaces near the path as outlines, walks first: "w" walk or verge, "j" junction, "d" other carriageway."""
    rows = []
    for lane in road_map.lanes:
        walk = lane.kind in WALKS
        if lane.kind == LaneKind.OTHER or not _is_near(lane.center_xyz[:, :2], path):
            continue
        right, left = (edge[simplify(edge[:, :2], 0.1)][:, :2] for edge in (lane.right_xyz, lane.left_xyz))
        outline = _numbers(np.concatenate([right, left[::-1]]).ravel(), 2)
        rows.append((not walk, ["w" if walk else "j" if lane.junction else "d", outline]))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def _is_near(points: np.ndarray, path: np.ndarray) -> bool:
    low, high = path.min(axis=0) - AROUND_M, path.max(axis=0) + AROUND_M
    return bool((points.max(axis=0) >= low).all() and (points.min(axis=0) <= high).all())


def _said(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """The sentences with the steps over which each was said, and its causes in words."""
    out, at = [], 0
    for text, group in groupby(steps, key=lambda step: r.text if (r := step.output.decision.reasoning) else ""):
        members = list(group)
        trace = members[0].output.decision.reasoning
        causes = [_cause(c.kind, c.relation, c.distance_m) for c in trace.causes] if trace else []
        out.append({"from": at, "to": at + len(members), "text": text, "causes": causes})
        at += len(members)
    return out


def _cause(kind: str, relation: str, distance_m: float) -> str:
    away = f" ({distance_m:.0f} m)" if math.isfinite(distance_m) else ""
    return f"{kind}: {relation}{away}"


def _runs(steps: tuple[Step, ...], label: Callable[[ReasoningTrace | None], str]) -> list[dict[str, Any]]:
    """A channel of the decisions as runs of steps with one label."""
    out, at = [], 0
    for word, group in groupby(label(step.output.decision.reasoning) for step in steps):
        count = len(list(group))
        out.append({"from": at, "to": at + count, "label": word})
        at += count
    return out


def _verdicts(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """The runs of steps at which the runtime stepped in, with its reasons."""
    out, at = [], 0
    for verdict, group in groupby(step.output.verdict for step in steps):
        count = len(list(group))
        if verdict.action != "pass":
            last = out[-1] if out and out[-1]["to"] == at and out[-1]["label"] == verdict.action else None
            if last:
                last["to"] = at + count
            else:
                reasons = f"{verdict.action}: {'; '.join(verdict.reasons)}"
                out.append({"from": at, "to": at + count, "label": verdict.action, "reasons": reasons})
        at += count
    return out


def _metric(metric: MetricResult) -> list[str]:
    value = f"{metric.value:.4g}" if metric.valid and math.isfinite(metric.value) else "n/a"
    return [metric.name, value, metric.unit, metric.better]


def _line(xy: np.ndarray, tolerance_m: float) -> list[float | None]:
    return _numbers(xy[simplify(xy, tolerance_m)].ravel(), 2) if len(xy) > 1 else []


def _numbers(values: Any, digits: int) -> list[float | None]:
    """Numbers rounded for the page; what is not finite becomes null."""
    return [round(float(v), digits) if math.isfinite(v) else None for v in values]


def _template(name: str) -> str:
    return (files("cordillera") / "viewer" / name).read_text(encoding="utf-8")
