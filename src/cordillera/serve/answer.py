"""What a driver decided -> the contract's answer: the plan in the local frame, from now on, with its alternatives."""

from __future__ import annotations

import pickle

import numpy as np

from cordillera.geometry import move_trajectory, transform_of
from cordillera.serve.convert import trajectory_message
from cordillera.serve.notes import reasons_note
from cordillera.serve.wire import egodriver_pb2
from cordillera.types import DriveOutput, Observation, Trajectory

MOST_SAMPLES = 64


def local_plan(plan: Trajectory, observation: Observation) -> Trajectory:
    """A plan in the rig frame of now -> the same in the local frame, with the car's own pose now before it."""
    ego = observation.ego
    ahead = plan.t_us > observation.t_us
    kept = Trajectory(plan.t_us[ahead], plan.xyz[ahead], plan.quat_xyzw[ahead], "rig")
    local = move_trajectory(transform_of(ego.xyz, ego.quat_xyzw), kept, "local")
    quat = np.concatenate([ego.quat_xyzw[None], local.quat_xyzw])
    return Trajectory(
        np.concatenate([[observation.t_us], local.t_us]).astype(np.int64),
        np.concatenate([ego.xyz[None], local.xyz]),
        quat / np.linalg.norm(quat, axis=1, keepdims=True),
        "local",
    )


def answer_of(output: DriveOutput, observation: Observation, pickled: bool = False) -> egodriver_pb2.DriveResponse:
    """An output and its observation -> the answer; with `pickled`, reasons as AlpaSim's own drivers send them.

    `SafeDriver` vouches for the plan. Of the candidates those are sent that are finite, and the plan itself where
    there are none.
    """
    decision = output.decision
    sound = [c for c in decision.candidates if np.isfinite(c.xyz).all() and np.isfinite(c.quat_xyzw).all()]
    samples = [local_plan(c, observation) for c in sound[:MOST_SAMPLES] if c.frame == "rig"]
    plan = local_plan(decision.trajectory, observation)
    note = pickled_note(output) if pickled else reasons_note(output)
    return egodriver_pb2.DriveResponse(
        trajectory=trajectory_message(plan),
        debug_info=egodriver_pb2.DriveResponse.DebugInfo(
            unstructured_debug_info=note,
            sampled_trajectories=[trajectory_message(sample) for sample in samples or [plan]],
        ),
        terminate_session=False,
    )


def pickled_note(output: DriveOutput) -> bytes:
    """What a driver decided -> a pickle of a flat dict of builtins, for runtimes that read nothing else."""
    trace = output.decision.reasoning
    said = {
        "policy_name": output.decision.policy,
        "reasoning_text": trace.text if trace else "",
        "command": trace.longitudinal.value if trace and trace.longitudinal else "",
        "verdict": output.verdict.action,
    }
    return pickle.dumps(said)
