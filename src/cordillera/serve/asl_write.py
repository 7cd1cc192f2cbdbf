"""A rollout of ours -> the entries of an ASL file, as AlpaSim's runtime logs one: who was where, what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cordillera import __version__
from cordillera.geometry import transform_of
from cordillera.serve.answer import answer_of
from cordillera.serve.asl import write_records
from cordillera.serve.controller import blind
from cordillera.serve.convert import pose_message, state_message, trajectory_message, transform_message
from cordillera.serve.recipe import SceneRecipe, recipe_note, recipe_of, scene_id_of
from cordillera.serve.scene import EPOCH_US, Visits, box_pose, label_of
from cordillera.serve.wire import common_pb2, logging_pb2
from cordillera.types import DriveOutput, Float, Rollout, Trajectory, VehicleSpec, WorldState
from cordillera.world.world import DT_US

EGO = "EGO"


def write_asl(rollout: Rollout, path: Path, recipe: SceneRecipe | None = None) -> int:
    """A rollout -> the ASL file at `path`; how many records it has. ValueError for a rollout without steps.

    `recipe` says how its scenario is made (by default: what the scenario says of itself); it travels with the log, so
    that the log can be read without a scene's archive.
    """
    if not rollout.steps:
        raise ValueError(f"the rollout of {rollout.scenario.name!r} has no steps, so there is nothing to log")
    return write_records(path, (entry.SerializeToString() for entry in entries_of(rollout, recipe)))


def entries_of(rollout: Rollout, recipe: SceneRecipe | None = None) -> Iterator[logging_pb2.LogEntry]:
    """A rollout -> entries: the metadata, then of each step poses, egomotion, request, plan, and what the car did."""
    entry = logging_pb2.LogEntry
    states = [*(step.state for step in rollout.steps), rollout.final]
    names = named(states)
    uuid = f"{scene_id_of(rollout.scenario)}-{rollout.steps[0].output.decision.policy}"
    yield entry(rollout_metadata=_metadata(rollout, states, names, recipe or recipe_of(rollout.scenario), uuid))
    for k, (state, step) in enumerate(zip(states, rollout.steps, strict=False)):
        yield entry(actor_poses=_poses(state, names[k], rollout.scenario.vehicle))
        ego = replace(state.ego, t_us=state.t_us + EPOCH_US)
        egomotion = entry().driver_ego_trajectory
        egomotion.session_uuid = uuid
        pose = transform_message(transform_of(ego.xyz, ego.quat_xyzw))
        egomotion.trajectory.poses.add(timestamp_us=ego.t_us, pose=pose)
        egomotion.dynamic_states.append(state_message(ego))
        yield entry(driver_ego_trajectory=egomotion)
        request = entry().driver_request
        request.session_uuid, request.time_now_us, request.time_query_us = uuid, ego.t_us, ego.t_us + DT_US
        yield entry(driver_request=request)
        yield entry(driver_return=answer_of(on_the_wire(step.output), blind(ego)))
        after = states[k + 1].ego
        moved = entry().controller_return
        pose, rates = pose_message(after.xyz, after.quat_xyzw), state_message(after)
        moved.states.add(
            timestamp_us=states[k + 1].t_us + EPOCH_US, pose_local_to_rig=pose, pose_local_to_rig_estimated=pose,
            dynamic_state=rates, dynamic_state_estimated=rates,
        )  # fmt: skip
        yield entry(controller_return=moved)
    yield entry(actor_poses=_poses(rollout.final, names[-1], rollout.scenario.vehicle))


def named(states: list[WorldState]) -> list[dict[int, str]]:
    """States in order -> the track's name of each agent that is there, by its id."""
    visits = Visits()
    return [visits.names(state.agents) for state in states]


def on_the_wire(output: DriveOutput) -> DriveOutput:
    """An output -> the same at the wire's times."""
    decision = output.decision

    def moved(plan: Trajectory) -> Trajectory:
        return replace(plan, t_us=plan.t_us + EPOCH_US)

    trace = decision.reasoning
    if trace is not None:
        causes = tuple(replace(cause, evidence_t_us=cause.evidence_t_us + EPOCH_US) for cause in trace.causes)
        trace = replace(trace, causes=causes)
    candidates = tuple(moved(candidate) for candidate in decision.candidates)
    decision = replace(decision, trajectory=moved(decision.trajectory), candidates=candidates, reasoning=trace)
    return replace(output, decision=decision)


def tf_rig_box(vehicle: VehicleSpec) -> Float:
    """A vehicle -> the pose of its box's centre in its rig frame."""
    return transform_of(
        np.array([vehicle.rear_axle_to_center_m, 0.0, 0.5 * vehicle.height_m]), np.array([0, 0, 0, 1.0])
    )


def _poses(state: WorldState, names: dict[int, str], vehicle: VehicleSpec) -> logging_pb2.ActorPoses:
    out = logging_pb2.ActorPoses(timestamp_us=state.t_us + EPOCH_US)
    ego = transform_of(state.ego.xyz, state.ego.quat_xyzw) @ tf_rig_box(vehicle)
    out.actor_poses.add(actor_id=EGO, actor_pose=transform_message(ego))
    agents = state.agents
    for row in np.flatnonzero(agents.valid):
        pose = pose_message(*box_pose(agents, int(row)))
        out.actor_poses.add(actor_id=names[int(agents.id[row])], actor_pose=pose)
    return out


def _metadata(
    rollout: Rollout, states: list[WorldState], names: list[dict[int, str]], recipe: SceneRecipe, uuid: str
) -> logging_pb2.RolloutMetadata:
    out = logging_pb2.RolloutMetadata()
    session = out.session_metadata
    session.session_uuid, session.scene_id = uuid, scene_id_of(rollout.scenario)
    session.batch_size, session.n_sim_steps = 1, len(rollout.steps)
    session.start_timestamp_us, session.control_timestep_us = states[0].t_us + EPOCH_US, DT_US
    session.nre_version, session.nre_runid = f"cordillera {__version__}", recipe_note(recipe)
    version = common_pb2.VersionId(version_id=f"cordillera {__version__}")
    for field in ("runtime", "egodriver", "sensorsim", "physics", "traffic", "controller"):
        getattr(out.version_ids, f"{field}_version").CopyFrom(version)
    spec = rollout.scenario.vehicle
    box = common_pb2.AABB(size_x=spec.length_m, size_y=spec.width_m, size_z=spec.height_m)
    out.actor_definitions.actor_aabb.add(actor_id=EGO, aabb=box, actor_label="automobile")
    seen: set[str] = set()
    for state, here in zip(states, names, strict=True):
        agents = state.agents
        for row in np.flatnonzero(agents.valid):
            name = here[int(agents.id[row])]
            if name not in seen:
                seen.add(name)
                x, y, z = (float(side) for side in agents.size_lwh[row])
                label = label_of(int(agents.kind[row]))
                box = common_pb2.AABB(size_x=x, size_y=y, size_z=z)
                out.actor_definitions.actor_aabb.add(actor_id=name, aabb=box, actor_label=label)
    out.transform_ego_coords_rig_to_aabb.CopyFrom(transform_message(tf_rig_box(spec)))
    times = np.array([state.t_us + EPOCH_US for state in states], dtype=np.int64)
    driven = Trajectory(
        times, np.stack([s.ego.xyz for s in states]), np.stack([s.ego.quat_xyzw for s in states]), "local"
    )  # fmt: skip
    out.ego_rig_recorded_ground_truth_trajectory.CopyFrom(trajectory_message(driven))
    return out
