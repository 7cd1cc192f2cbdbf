"""A log of AlpaSim's runtime, or one of ours -> a rollout for our metrics and page.

Poses, plans, reasons and sizes are read. What the format has no place for is found again: rates from the controller's
answers or by differences, lanes on the map, lights by their programme, commands from what the car then did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cordillera.geometry import invert, quat_of
from cordillera.serve.asl_read import AslLog
from cordillera.serve.asl_write import EGO, tf_rig_box
from cordillera.serve.client import AnswerError, rig_plan
from cordillera.serve.controller import blind
from cordillera.serve.convert import ego_of, trajectory_of, transform_from, transform_message
from cordillera.serve.notes import reasons_of
from cordillera.serve.recipe import recipe_noted
from cordillera.serve.scene import EPOCH_US, LABELS
from cordillera.serve.sensorsim import agent_of
from cordillera.serve.wire import egodriver_pb2
from cordillera.types import (
    AgentKind,
    Agents,
    Controls,
    Decision,
    DriveOutput,
    EgoState,
    Float,
    Rollout,
    Route,
    Scenario,
    Step,
    Trajectory,
    VehicleSpec,
    Verdict,
    WorldState,
)  # fmt: skip
from cordillera.world.guide import Guide
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map
from cordillera.world.roads import Roads, compile_map
from cordillera.world.scripts import light_states
from cordillera.world.world import DT_US, World

SLACK_US = 1000
KINDS = {label: kind for kind, label in reversed(LABELS.items())}
NOT_LOGGED = "not logged"


@dataclass(frozen=True, eq=False)
class ReadRollout:
    """A rollout from a log, and what of the log did not go into it."""

    rollout: Rollout
    strangers: tuple[str, ...]  # objects that the scene does not know
    without_plan: int  # steps for which no plan that can be driven was logged; what was driven stands in


def rollout_of(log: AslLog, scenario: Scenario | None = None, map_name: str | Path = "") -> ReadRollout:
    """A log, and its scenario or at least its map -> the rollout.

    Without either, the log must carry the recipe of one of our scenes. A log over another map is taken as its own
    scenario: the ego's recorded drive is the route. Raises ValueError where a map is missing, or steps are not 0.1 s.
    """
    times = step_times(log)
    scenario = scenario or _noted(log)
    epoch_us = EPOCH_US if scenario else times[0]
    roads = compile_map(load_map(scenario.map if scenario else _needed(map_name, log)))
    spec = scenario.vehicle if scenario else vehicle_of(log)
    egos = [replace(ego, t_us=ego.t_us - epoch_us) for ego in egos_of(log, times, spec)]
    table = _Table(log, scenario)
    agents = table.agents(log, times, roads)
    scenario = scenario or _foreign(log, str(map_name), roads, egos, agents[0], spec)
    lights = compile_lights(roads.map, scenario.seed, scenario.region)
    states = []
    for ego, there in zip(egos, agents, strict=True):
        shown = light_states(lights, scenario.light_scripts, ego.t_us, scenario.initial.t_us)
        states.append(WorldState(ego.t_us, ego, there, shown))
    if states[0].t_us != scenario.initial.t_us:
        scenario = replace(scenario, initial=states[0])
    steps, missing = [], 0
    for k, state in enumerate(states[:-1]):
        decision, verdict = _decided(log, times[k], epoch_us, egos[k:])
        missing += decision.policy == NOT_LOGGED
        controls = Controls(egos[k + 1].accel_mps2, egos[k + 1].curvature_1pm)
        steps.append(Step(state, DriveOutput(decision, controls, verdict)))
    rollout = Rollout(scenario, tuple(steps), states[-1], _ended(scenario, states))
    return ReadRollout(rollout, table.strangers, missing)


def step_times(log: AslLog) -> list[int]:
    """A log -> the wire's times of its steps, 0.1 s apart; ValueError where one is missing."""
    stamps = sorted(log.poses)
    times = [stamps[0]]
    for stamp in stamps[1:]:
        gap_us = stamp - times[-1]
        if gap_us > DT_US + SLACK_US:
            raise ValueError(
                f"{log.path}: from {times[-1]} us to {stamp} us there are no actor_poses; our metrics read steps of "
                "0.1 s: log with control_timestep_us 100000"
            )
        if gap_us >= DT_US - SLACK_US:
            times.append(stamp)
    if len(times) < 2:
        raise ValueError(f"{log.path}: its actor_poses span less than 0.1 s; give the log of a rollout")
    return times


def _noted(log: AslLog) -> Scenario | None:
    recipe = recipe_noted(log.metadata.session_metadata.nre_runid)
    return recipe.scenario() if recipe else None


def _needed(map_name: str | Path, log: AslLog) -> str | Path:
    if map_name:
        return map_name
    raise ValueError(
        f"{log.path}: the log of scene {log.metadata.session_metadata.scene_id!r} does not say how our world makes it; "
        "give its archive with --scene, or a map in the log's frame with --map"
    )


# ------------------------------------------------------------------------- ego


def vehicle_of(log: AslLog) -> VehicleSpec:
    """A log -> the ego's dimensions, as far as it tells them."""
    spec = VehicleSpec()
    box = next((a.aabb for a in log.metadata.actor_definitions.actor_aabb if a.actor_id == EGO), None)
    if box is not None and min(box.size_x, box.size_y, box.size_z) > 0.0:
        spec = replace(spec, length_m=box.size_x, width_m=box.size_y, height_m=box.size_z)
    if log.metadata.HasField("transform_ego_coords_rig_to_aabb"):
        spec = replace(spec, rear_axle_to_center_m=float(log.metadata.transform_ego_coords_rig_to_aabb.vec.x))
    return spec


def egos_of(log: AslLog, times: list[int], spec: VehicleSpec) -> list[EgoState]:
    """A log, the wire's times and the ego's dimensions -> its states at the rear axle, at those times."""
    tf_box_rig = invert(tf_rig_box(spec))
    if log.metadata.HasField("transform_ego_coords_rig_to_aabb"):
        tf_box_rig = invert(transform_from(log.metadata.transform_ego_coords_rig_to_aabb, "rig_to_aabb"))
    tfs = []
    for t in times:
        found = next((a for a in log.poses[t].actor_poses if a.actor_id == EGO), None)
        if found is None:
            raise ValueError(f"{log.path}: the actor_poses at {t} us have no {EGO}; give the log of a rollout")
        tfs.append(transform_from(found.actor_pose, f"the pose of {EGO} at {t} us") @ tf_box_rig)
    out = []
    for k, (t, tf) in enumerate(zip(times, tfs, strict=True)):
        rates = log.rates.get(t) or log.told.get(t)
        if rates is not None:
            out.append(ego_of(t, transform_message(tf), rates, f"the ego at {t} us"))
            out[-1] = replace(out[-1], xyz=tf[:3, 3].copy(), quat_xyzw=quat_of(tf[:3, :3]))
            continue
        a, b = max(k - 1, 0), min(k + 1, len(times) - 1)
        gone = invert(tfs[a]) @ tfs[b]
        seconds = (times[b] - times[a]) * 1e-6
        turn = float(np.arctan2(gone[1, 0], gone[0, 0])) / seconds
        speed = float((invert(tf)[:3, :3] @ (tfs[b] - tfs[a])[:3, 3])[0]) / seconds
        curvature = turn / speed if abs(speed) > 0.5 else 0.0
        velocity = np.array([speed, 0.0, 0.0])
        out.append(EgoState(t, tf[:3, 3].copy(), quat_of(tf[:3, :3]), velocity, 0.0, curvature, turn))
    return out


# ---------------------------------------------------------------------- others


class _Table:
    """The rows of the agents: those of the scenario, or one for each object of the log."""

    def __init__(self, log: AslLog, scenario: Scenario | None) -> None:
        defined = {a.actor_id: a for a in log.metadata.actor_definitions.actor_aabb if a.actor_id != EGO}
        present = {a.actor_id for poses in log.poses.values() for a in poses.actor_poses} - {EGO}
        names = [*(n for n in defined if n in present), *sorted(present - defined.keys())]
        if scenario:
            agents = scenario.initial.agents
            row_of = {int(agent): row for row, agent in enumerate(agents.id)}
            self.ids, self.kinds, self.sizes = agents.id, agents.kind, agents.size_lwh.copy()
            self.rows = {name: row_of[agent] for name in names if (agent := agent_of(name)) in row_of}
        else:
            self.ids = np.arange(len(names), dtype=np.int64)
            kinds = [KINDS.get(defined[n].actor_label, AgentKind.CAR) if n in defined else AgentKind.CAR for n in names]
            self.kinds = np.array([int(kind) for kind in kinds], dtype=np.int64)
            self.sizes = np.tile([4.5, 1.8, 1.5], (len(names), 1))
            self.rows = {name: row for row, name in enumerate(names)}
        for name, row in self.rows.items():
            if name in defined:
                box = defined[name].aabb
                self.sizes[row] = (box.size_x, box.size_y, box.size_z)
        self.strangers = tuple(sorted(set(names) - self.rows.keys()))

    def agents(self, log: AslLog, times: list[int], roads: Roads) -> list[Agents]:
        """A log and the wire's times -> the agents at those times."""
        count, steps = len(self.ids), len(times)
        xyz, yaw = np.zeros((steps, count, 3)), np.zeros((steps, count))
        valid = np.zeros((steps, count), dtype=np.bool_)
        for k, t in enumerate(times):
            for actor in log.poses[t].actor_poses:
                row = self.rows.get(actor.actor_id)
                if row is not None:
                    tf = transform_from(actor.actor_pose, f"the pose of {actor.actor_id[:64]!r} at {t} us")
                    xyz[k, row] = tf[:3, 3] - 0.5 * self.sizes[row, 2] * tf[:3, 2]
                    yaw[k, row], valid[k, row] = np.arctan2(tf[1, 0], tf[0, 0]), True
        speed = speeds_of(xyz, yaw, valid)
        out = []
        for k in range(steps):
            lane, s, lateral = roads.nearest_many(xyz[k, :, :2].copy(), yaw[k], xyz[k, :, 2].copy())
            lane = np.where(valid[k] & (self.kinds < 64), lane, -1)
            change = speed[min(k + 1, steps - 1)] - speed[max(k - 1, 0)]
            accel = change / (0.1 * max(min(k + 1, steps - 1) - max(k - 1, 0), 1))
            out.append(
                Agents(
                    self.ids, self.kinds, xyz[k], yaw[k], speed[k], accel, self.sizes, lane, s, valid[k],
                    lateral_m=lateral,
                )
            )  # fmt: skip
        return out


def speeds_of(xyz: Float, yaw: Float, valid: np.ndarray) -> Float:
    """Positions (T, A, 3), headings and presence (T, A), 0.1 s apart -> speeds along the heading (T, A)."""
    out, steps = np.zeros(yaw.shape), len(yaw)
    for k in range(steps):
        before, after = max(k - 1, 0), min(k + 1, steps - 1)
        a = np.where(valid[before], before, k)
        b = np.where(valid[after], after, k)
        columns = np.arange(yaw.shape[1])
        gone = xyz[b, columns] - xyz[a, columns]
        seconds = 0.1 * np.maximum(b - a, 1)
        out[k] = np.where(valid[k], (gone[:, 0] * np.cos(yaw[k]) + gone[:, 1] * np.sin(yaw[k])) / seconds, 0.0)
    return out


# ------------------------------------------------------------------- decisions


def _decided(log: AslLog, t_us: int, epoch_us: int, egos: list[EgoState]) -> tuple[Decision, Verdict]:
    """What was decided at one of the wire's times; without a plan, what was driven from there on."""
    answer = log.plans.get(t_us)
    if answer is not None:
        try:
            return _plan(answer, epoch_us, egos[0])
        except ValueError:
            pass  # a plan that cannot be driven was not: what was driven stands in, and is counted
    driven = Trajectory(
        np.array([ego.t_us for ego in egos], dtype=np.int64), np.stack([ego.xyz for ego in egos]),
        np.stack([ego.quat_xyzw for ego in egos]), "local",
    )  # fmt: skip
    return Decision(rig_plan(driven, blind(egos[0]), NOT_LOGGED), (), None, NOT_LOGGED, 0.0), Verdict("pass")


def _plan(answer: egodriver_pb2.DriveResponse, epoch_us: int, ego: EgoState) -> tuple[Decision, Verdict]:
    """A driver's answer -> its decision; ValueError for a plan that cannot be driven."""
    seen = blind(ego)

    def rig(message, what: str) -> Trajectory:
        local = trajectory_of(message, "local", what)
        return rig_plan(replace(local, t_us=local.t_us - epoch_us), seen, what)

    plan = rig(answer.trajectory, "the plan")
    samples, sent = [], list(answer.debug_info.sampled_trajectories)
    for message in sent if sent != [answer.trajectory] else ():  # a plan without alternatives is sent as its own
        try:
            samples.append(rig(message, "a sample"))
        except (ValueError, AnswerError):
            continue
    reasons = reasons_of(answer.debug_info.unstructured_debug_info)
    if reasons is None:
        return Decision(plan, tuple(samples), None, "driver", 0.0), Verdict("pass")
    trace = reasons.reasoning
    if trace is not None:
        causes = tuple(replace(cause, evidence_t_us=cause.evidence_t_us - epoch_us) for cause in trace.causes)
        trace = replace(trace, causes=causes)
    return Decision(plan, tuple(samples), trace, reasons.policy, reasons.latency_ms), reasons.verdict


# -------------------------------------------------------------------- scenario


def _foreign(
    log: AslLog, map_name: str, roads: Roads, egos: list[EgoState], agents: Agents, spec: VehicleSpec
) -> Scenario:
    """A log over a map of its own -> its scenario: the recorded drive is the route."""
    recorded = trajectory_of(log.metadata.ego_rig_recorded_ground_truth_trajectory, "local", "the recorded drive")
    xyz = recorded.xyz if len(recorded.xyz) > 1 else np.stack([ego.xyz for ego in egos])
    moved = np.concatenate([[True], np.linalg.norm(np.diff(xyz, axis=0), axis=1) > 1e-3])
    line = xyz[moved]
    if len(line) < 2:
        raise ValueError(f"{log.path}: the recorded drive stands still, so there is no route to measure progress by")
    step = np.diff(line, axis=0)
    yaw = np.arctan2(step[:, 1], step[:, 0])
    lanes, _, _ = roads.nearest_many(line[:, :2].copy(), np.append(yaw, yaw[-1]), line[:, 2].copy())
    lanes = lanes[lanes >= 0]
    if not len(lanes):
        raise ValueError(
            f"{log.path}: none of its recorded drive is on the map {map_name}; give one in the log's frame"
        )
    kept = tuple(int(lane) for k, lane in enumerate(lanes) if k == 0 or lane != lanes[k - 1])
    session = log.metadata.session_metadata
    signals = compile_lights(roads.map, 0, roads.map.region).states(egos[0].t_us)
    initial = WorldState(egos[0].t_us, egos[0], agents, signals)
    return Scenario(
        session.scene_id or "log", 0, roads.map.region, map_name, roads.map.sha256, initial,
        Route(line, lanes=kept), (egos[-1].t_us - egos[0].t_us) * 1e-6, ("log",), vehicle=spec,
    )  # fmt: skip


def _ended(scenario: Scenario, states: list[WorldState]) -> str:
    """A scenario and its states -> how the drive ended, by the rules of our loop."""
    world = World(scenario)
    guide, progress = Guide.of(world.roads, scenario.route), 0.0
    for state in states:
        progress = guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), progress)
    late = states[-1].t_us >= scenario.initial.t_us + round(scenario.duration_s * 1e6)
    return world.ended(states[-1], progress) or ("duration" if late else "interrupted")
