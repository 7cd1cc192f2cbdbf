"""A driven scenario with its films and reasons -> the rows of the layout's tables that describe it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordillera.data import egomotion
from cordillera.data.layout import CLASSES, OTHER_CLASS
from cordillera.geometry import quat_from_yaw, quat_multiply, quat_of, transform_points, yaw_of
from cordillera.reasoning.counterfactual import Counterfactual
from cordillera.reasoning.label import Tested
from cordillera.types import (
    AgentKind,
    Camera,
    Cause,
    Float,
    Int,
    Lateral,
    LightState,
    Longitudinal,
    ReasoningTrace,
    Rig,
    RoadMap,
    Rollout,
    Trajectory,
    VehicleSpec,
    WorldState,
)

MAP_REACH_M = 120.0  # lanes that come so near to the driven path go into the clip
Columns = dict[str, Any]


@dataclass(frozen=True)
class ClipMeta:
    """What a clip is, apart from what it shows."""

    clip_id: str
    split: str  # "train", "val" or "test"
    country: str
    month: int
    hour_of_day: int
    weather: str
    family: str
    map: str
    seed: int
    platform_class: str = "simulated"


@dataclass(frozen=True, eq=False)
class Film:
    """One camera's frames over a clip, encoded, with their times from the start of the clip."""

    camera: Camera
    t_us: Int  # (N,)
    mp4: bytes
    looks: NDArray[np.uint8] | None = None  # (N, rows, cols, channels) of `sensors.looks`


@dataclass(frozen=True, eq=False)
class Said:
    """A reason given at a time, whether it stands at a keyframe and at which, and how its causes stood their tests."""

    t_us: int
    trace: ReasoningTrace
    keyframe: bool = False
    event: str = ""
    tested: tuple[Tested, ...] = ()


@dataclass(frozen=True, eq=False)
class Clip:
    """Twenty seconds of driving with all that is known about them."""

    meta: ClipMeta
    rollout: Rollout
    road_map: RoadMap
    rig: Rig
    films: tuple[Film, ...]
    said: tuple[Said, ...]
    counterfactuals: tuple[tuple[int, Counterfactual], ...] = ()  # each with the time of its decision

    @property
    def states(self) -> tuple[WorldState, ...]:
        """All states of the rollout, the last one included."""
        return (*(step.state for step in self.rollout.steps), self.rollout.final)


def motion_columns(clip: Clip) -> Columns:
    """A clip -> its egomotion table."""
    return egomotion.to_columns(egomotion.motion_of([state.ego for state in clip.states]))


def obstacle_columns(clip: Clip) -> Columns:
    """A clip -> its obstacles: one row an agent and state, centre of the box, in the local frame of the clip."""
    states = clip.states
    tf = egomotion.local_frame(states[0].ego)
    turn = quat_of(tf[:3, :3])
    parts = []
    for state in states:
        agents, here = state.agents, state.agents.valid
        size = agents.size_lwh[here]
        center = transform_points(tf, agents.xyz[here] + np.array([0.0, 0.0, 0.5]) * size[:, 2:])
        quat = quat_multiply(turn, quat_from_yaw(agents.yaw_rad[here]))
        stamp = np.full(int(here.sum()), state.t_us - states[0].t_us, dtype=np.int64)
        parts.append((stamp, agents.id[here], center, size, quat, agents.kind[here]))
    stamp, ident, center, size, quat, kind = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns: Columns = {"timestamp_us": stamp, "source": ["simulator"] * len(stamp), "track_id": ident}
    columns |= {f"center_{axis}": center[:, k] for k, axis in enumerate("xyz")}
    columns |= {f"size_{axis}": size[:, k] for k, axis in enumerate("xyz")}
    columns |= {f"orientation_{axis}": quat[:, k] for k, axis in enumerate("xyzw")}
    columns["label_class"] = [CLASSES.get(AgentKind(int(k)), OTHER_CLASS) for k in kind]
    columns["reference_frame"] = ["local"] * len(stamp)
    columns["reference_frame_timestamp_us"] = np.zeros(len(stamp), dtype=np.int64)
    return columns | {"kind": [AgentKind(int(k)).name.lower() for k in kind]}


def intrinsics_rows(clip_id: str, rig: Rig) -> list[Columns]:
    """A rig -> one row a camera for the table of f-theta intrinsics; polynomials of five coefficients."""
    rows = []
    for camera in rig.cameras:
        if camera.model != "ftheta":
            raise ValueError(f"camera {camera.name!r}: the layout holds f-theta cameras, this one is {camera.model!r}")
        row: Columns = {"clip_id": clip_id, "camera": camera.name, "width": camera.width, "height": camera.height}
        row |= {"cx": camera.cx, "cy": camera.cy}
        for name, poly in (("fw_poly", camera.fw_poly), ("bw_poly", camera.bw_poly)):
            if len(poly) > 5:
                raise ValueError(f"camera {camera.name!r}: {name} has {len(poly)} coefficients, the layout holds five")
            row |= {f"{name}_{k}": float(poly[k]) if k < len(poly) else 0.0 for k in range(5)}
        rows.append(row)
    return rows


def extrinsics_rows(clip_id: str, rig: Rig) -> list[Columns]:
    """A rig -> one row a camera for the table of poses, sensor to rig."""
    rows = []
    for camera in rig.cameras:
        quat = quat_of(camera.tf_rig_camera[:3, :3])
        row: Columns = {"clip_id": clip_id, "sensor": camera.name}
        row |= {name: float(quat[k]) for k, name in enumerate(("qx", "qy", "qz", "qw"))}
        rows.append(row | {axis: float(camera.tf_rig_camera[k, 3]) for k, axis in enumerate("xyz")})
    return rows


def dimensions_row(clip_id: str, vehicle: VehicleSpec) -> Columns:
    """A vehicle -> its row in the table of dimensions."""
    return {
        "clip_id": clip_id,
        "length": vehicle.length_m,
        "width": vehicle.width_m,
        "height": vehicle.height_m,
        "rear_axle_to_bbox_center": vehicle.rear_axle_to_center_m,
        "wheelbase": vehicle.wheelbase_m,
        "track_width": vehicle.track_m,
    }


def lane_columns(clip: Clip) -> Columns:
    """A clip -> the lanes near its path, one row a lane; lines are flat lists x, y, z in the clip's local frame."""
    states = clip.states
    tf = egomotion.local_frame(states[0].ego)
    path = np.stack([state.ego.xyz[:2] for state in states])
    low, high = path.min(axis=0) - MAP_REACH_M, path.max(axis=0) + MAP_REACH_M
    near = [
        (k, lane)
        for k, lane in enumerate(clip.road_map.lanes)
        if (lane.center_xyz[:, :2].max(axis=0) > low).all() and (lane.center_xyz[:, :2].min(axis=0) < high).all()
    ]

    def line(xyz: Float) -> list[float]:
        return [round(float(v), 3) for v in transform_points(tf, xyz).ravel()]

    return {
        "lane": [k for k, _ in near],
        "lane_id": [lane.id for _, lane in near],
        "kind": [lane.kind.value for _, lane in near],
        "junction": [lane.junction for _, lane in near],
        "turn": [lane.turn for _, lane in near],
        "speed_limit_mps": [lane.speed_limit_mps for _, lane in near],
        "successors": [list(lane.successors) for _, lane in near],
        "center_xyz": [line(lane.center_xyz) for _, lane in near],
        "left_xyz": [line(lane.left_xyz) for _, lane in near],
        "right_xyz": [line(lane.right_xyz) for _, lane in near],
    }


def signal_columns(clip: Clip) -> Columns:
    """A clip -> what its traffic lights show: one row for each light at the start and whenever it changes."""
    states = clip.states
    t0 = states[0].t_us
    tf = egomotion.local_frame(states[0].ego)
    rows: list[tuple[int, int, str]] = []
    last: Int | None = None
    for state in states:
        changed = np.flatnonzero(state.signals if last is None else state.signals != last)
        rows += [(state.t_us - t0, int(k), LightState(int(state.signals[k])).name.lower()) for k in changed]
        last = state.signals
    xyz = [transform_points(tf, clip.road_map.signals[k].xyz) for _, k, _ in rows]
    return {
        "timestamp_us": np.array([row[0] for row in rows], dtype=np.int64),
        "signal": np.array([row[1] for row in rows], dtype=np.int64),
        "signal_id": [clip.road_map.signals[k].id for _, k, _ in rows],
        "state": [row[2] for row in rows],
        **{axis: np.array([float(p[k]) for p in xyz]) for k, axis in enumerate("xyz")},
    }


def route_columns(clip: Clip) -> Columns:
    """A clip -> its route in the local frame."""
    xyz = transform_points(egomotion.local_frame(clip.states[0].ego), clip.rollout.scenario.route.xyz)
    return {axis: xyz[:, k] for k, axis in enumerate("xyz")}


def trace_columns(clip: Clip) -> Columns:
    """A clip -> the reasons given over it; causes as JSON, times from the start of the clip."""
    t0 = clip.states[0].t_us
    return {
        "timestamp_us": np.array([said.t_us - t0 for said in clip.said], dtype=np.int64),
        "keyframe": np.array([said.keyframe for said in clip.said], dtype=np.bool_),
        "longitudinal": [_value(said.trace.longitudinal) for said in clip.said],
        "lateral": [_value(said.trace.lateral) for said in clip.said],
        "side": [said.trace.side for said in clip.said],
        "causes": [json.dumps([_cause(cause, t0) for cause in said.trace.causes]) for said in clip.said],
        "text": [said.trace.text for said in clip.said],
        "source": [said.trace.source for said in clip.said],
        "event": [said.event for said in clip.said],
        "tested": [json.dumps([_tested(tested, t0) for tested in said.tested]) for said in clip.said],
    }


def looks_columns(clip: Clip) -> Columns:
    """A clip -> what its pictures show, cell by cell: one row a picture."""
    rows = [
        (film.camera.name, int(t_us), cells.shape, cells.tobytes())
        for film in clip.films
        if film.looks is not None
        for t_us, cells in zip(film.t_us, film.looks, strict=True)
    ]
    names, stamps, shapes, cells = zip(*rows, strict=True) if rows else ((), (), (), ())
    return {
        "camera": list(names),
        "timestamp": np.array(stamps, dtype=np.int64),
        "shape": [list(shape) for shape in shapes],
        "cells": list(cells),
    }


def looks_of(columns: Columns, camera: str) -> list[tuple[int, NDArray[np.uint8]]]:
    """The table of looks and a camera -> times and what the pictures show (rows, cols, channels)."""
    rows = [n for n, name in enumerate(columns["camera"]) if name == camera]
    return [
        (int(columns["timestamp"][n]), np.frombuffer(columns["cells"][n], np.uint8).reshape(columns["shape"][n]))
        for n in rows
    ]


def counterfactual_columns(clip: Clip) -> Columns:
    """A clip -> other decisions that were possible in it, with the path under each in the rig frame of its time."""
    t0, rows = clip.states[0].t_us, clip.counterfactuals
    return {
        "timestamp_us": np.array([t_us - t0 for t_us, _ in rows], dtype=np.int64),
        "longitudinal": [_value(other.longitudinal) for _, other in rows],
        "lateral": [_value(other.lateral) for _, other in rows],
        "side": [other.side for _, other in rows],
        "outcome": [other.outcome for _, other in rows],
        "ended_s": np.array([other.ended_s for _, other in rows], dtype=np.float64),
        "xyz_rig": [other.trajectory.xyz.ravel().tolist() for _, other in rows],
        "yaw_rad": [yaw_of(other.trajectory.quat_xyzw).tolist() for _, other in rows],
    }


def counterfactuals_of(columns: Columns) -> tuple[tuple[int, Counterfactual], ...]:
    """The table of other decisions -> them, each with its time from the start; inverse of the writer."""
    out = []
    for row in range(len(columns["timestamp_us"])):
        t_us = int(columns["timestamp_us"][row])
        xyz = np.asarray(columns["xyz_rig"][row], dtype=np.float64).reshape(-1, 3)
        yaw = np.asarray(columns["yaw_rad"][row], dtype=np.float64)
        path = Trajectory(t_us + 100_000 * np.arange(1, len(xyz) + 1), xyz, quat_from_yaw(yaw), "rig")
        along, across = columns["longitudinal"][row], columns["lateral"][row]
        other = Counterfactual(
            Longitudinal(along) if along else None, Lateral(across) if across else None, columns["side"][row],
            path, columns["outcome"][row], float(columns["ended_s"][row]),
        )  # fmt: skip
        out.append((t_us, other))
    return tuple(out)


def trace_of(columns: Columns, row: int) -> Said:
    """A row of the table of traces -> the reason; the inverse of `trace_columns`, times from the clip's start."""
    longitudinal, lateral = columns["longitudinal"][row], columns["lateral"][row]
    causes = tuple(_cause_of(cause) for cause in json.loads(columns["causes"][row]))
    tested = tuple(
        Tested(_cause_of(t["cause"]), t["verdict"], _number(t["pixels"], np.inf), _number(t["effect_mps"]))
        for t in (json.loads(columns["tested"][row]) if "tested" in columns else ())
    )
    trace = ReasoningTrace(
        Longitudinal(longitudinal) if longitudinal else None,
        Lateral(lateral) if lateral else None,
        causes,
        columns["text"][row],
        columns["source"][row],
        columns["side"][row],
    )
    event = columns["event"][row] if "event" in columns else ""
    return Said(int(columns["timestamp_us"][row]), trace, bool(columns["keyframe"][row]), event, tested)


def _value(decision: Longitudinal | Lateral | None) -> str:
    return decision.value if decision else ""


def _cause(cause: Cause, t0: int) -> Columns:
    return {
        "kind": cause.kind,
        "target": cause.target,
        "relation": cause.relation,
        "evidence_t_us": cause.evidence_t_us - t0,
        "distance_m": _finite(cause.distance_m),
        "axis": cause.axis,
        "jointly": cause.jointly,
    }


def _cause_of(c: Columns) -> Cause:
    return Cause(
        c["kind"], c["target"], c["relation"], c["evidence_t_us"], _number(c["distance_m"]), c["axis"], c["jointly"]
    )


def _tested(tested: Tested, t0: int) -> Columns:
    return {
        "cause": _cause(tested.cause, t0),
        "verdict": tested.verdict,
        "pixels": _finite(tested.pixels),
        "effect_mps": _finite(tested.effect_mps),
    }


def _finite(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if np.isfinite(value) else None


def _number(value: float | None, missing: float = float("nan")) -> float:
    return missing if value is None else float(value)
