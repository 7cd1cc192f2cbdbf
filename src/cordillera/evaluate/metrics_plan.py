"""Plans against what was then driven: a rollout in, displacement errors and jumps between plans out.

Two conventions of minADE are in use and differ by a factor of up to two, so that each name says which one it is:
"by the whole plan" chooses one sample by its mean error over the full 6.4 s and reports prefixes of that sample;
"per horizon" chooses the best sample anew for each horizon.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.evaluate.metrics_comfort import kinematics_of, slope
from cordillera.evaluate.metrics_track import DT_S, result, states_of
from cordillera.geometry import yaw_of
from cordillera.types import Bool, Float, MetricResult, Rollout, Trajectory

PLAN_STEPS = 64
HORIZON_STEPS = 30  # 3 s
# nuPlan's bounds for what may change between two plans made 0.5 s apart (NAVSIM v2, extended comfort)
APART_STEPS = 5
EXTENDED = (("accel", 0.7), ("jerk", 0.5), ("yaw rate", 0.1), ("yaw accel", 0.1))


def displacements(candidates: Float, future: Float) -> Float:
    """Samples (K, T, 2) and the truth (T, 2), in m -> distances (K, T)."""
    if candidates.ndim != 3 or candidates.shape[1:] != future.shape:
        raise ValueError(
            f"candidates have shape {candidates.shape}, the future has {future.shape}: "
            "give (K, T, 2) and (T, 2) with the same T"
        )
    return np.hypot(candidates[:, :, 0] - future[None, :, 0], candidates[:, :, 1] - future[None, :, 1])


def min_ade_whole(candidates: Float, future: Float, steps: int) -> float:
    """Samples (K, T, 2), truth (T, 2) -> mean error over `steps` of the sample that is best over all T."""
    return float(_best(displacements(candidates, future))[:steps].mean())


def min_ade_each(candidates: Float, future: Float, steps: int) -> float:
    """Samples (K, T, 2), truth (T, 2) -> mean error over `steps` of the sample that is best over those."""
    return float(displacements(candidates, future)[:, :steps].mean(axis=1).min())


def min_fde_whole(candidates: Float, future: Float, steps: int) -> float:
    """Samples (K, T, 2), truth (T, 2) -> error at step `steps` of the sample whose mean error over all T is least."""
    return float(_best(displacements(candidates, future))[steps - 1])


def min_fde_each(candidates: Float, future: Float, steps: int) -> float:
    """Samples (K, T, 2), truth (T, 2) -> the least error at step `steps`."""
    return float(displacements(candidates, future)[:, steps - 1].min())


def _best(error: Float) -> Float:
    """Distances (K, T) -> those of the sample with the least mean (T,)."""
    return error[int(np.argmin(error.mean(axis=1)))]


def plan_errors(rollout: Rollout, reference: Trajectory | None = None) -> tuple[MetricResult, ...]:
    """A rollout -> minADE and minFDE at 3 s by both conventions and at 6.4 s, means over its steps, in m.

    The truth is `reference` (world frame, rear axle, 10 Hz, from the first state on), for instance a recorded drive
    or the expert's; without one it is what the rollout itself drove, and the errors say how well plans were kept. A
    decision without candidates is one sample. Steps that lack 6.4 s of future do not count; without any of them the
    results are not valid.
    """
    found = _errors(rollout, reference)
    names = (
        "minADE 3 s by the whole plan", "minADE 3 s per horizon", "minFDE 3 s by the whole plan",
        "minFDE 3 s per horizon", "minADE 6.4 s", "minFDE 6.4 s",
    )  # fmt: skip
    means = np.mean(found, axis=0) if found else np.full(len(names), math.nan)
    return tuple(result(name, float(mean), "m", "lower") for name, mean in zip(names, means, strict=True))


def _errors(rollout: Rollout, reference: Trajectory | None) -> list[tuple[float, ...]]:
    """The six errors of each step with enough future."""
    if reference is not None and reference.frame != "world":
        raise ValueError(f"the reference is in frame {reference.frame!r}: express it in 'world'")
    states = states_of(rollout)
    truth = np.array([s.ego.xyz[:2] for s in states]) if reference is None else reference.xyz[:, :2]
    poses = np.array([[*s.ego.xyz[:2], float(yaw_of(s.ego.quat_xyzw))] for s in states])
    out = []
    for k, step in enumerate(rollout.steps):
        future = truth[k + 1 : k + 1 + PLAN_STEPS]
        plans = step.output.decision.candidates or (step.output.decision.trajectory,)
        if len(future) < PLAN_STEPS or any(len(plan.xyz) < PLAN_STEPS for plan in plans):
            continue
        x, y, yaw = poses[k]
        gap, c, s = future - (x, y), math.cos(yaw), math.sin(yaw)
        rig = np.column_stack([gap[:, 0] * c + gap[:, 1] * s, gap[:, 1] * c - gap[:, 0] * s])
        samples = np.array([plan.xyz[:PLAN_STEPS, :2] for plan in plans])
        error = displacements(samples, rig)
        best = _best(error)
        out.append(
            (
                best[:HORIZON_STEPS].mean(),
                error[:, :HORIZON_STEPS].mean(axis=1).min(),
                best[HORIZON_STEPS - 1],
                error[:, HORIZON_STEPS - 1].min(),
                best.mean(),
                error[:, -1].min(),
            )
        )
    return out


# ------------------------------------------------------------ from plan to plan


def steady_plans(rollout: Rollout) -> Bool:
    """A rollout -> mask over pairs of plans 0.5 s apart: whether where they overlap they agree within NAVSIM's bounds.

    Compared are root mean squares over the overlap of the differences in acceleration (0.7 m/s2), jerk (0.5 m/s3),
    yaw rate (0.1 rad/s) and yaw acceleration (0.1 rad/s2). Plans of unequal length are cut to the shortest.
    """
    plans = [step.output.decision.trajectory for step in rollout.steps]
    length = min((len(plan.xyz) for plan in plans), default=0)
    if len(plans) <= APART_STEPS or length <= APART_STEPS:
        return np.zeros(max(len(plans) - APART_STEPS, 0), dtype=np.bool_)
    found = _profiles(np.array([p.xyz[:length, :2] for p in plans]), np.array([p.quat_xyzw[:length] for p in plans]))
    fine = np.ones(len(plans) - APART_STEPS, dtype=np.bool_)
    for name, bound in EXTENDED:
        difference = found[name][:-APART_STEPS, APART_STEPS:] - found[name][APART_STEPS:, :-APART_STEPS]
        fine &= np.sqrt(np.mean(difference**2, axis=1)) <= bound
    return fine


def _profiles(xy_rig: Float, quat_xyzw: Float) -> dict[str, Float]:
    """Plans at 10 Hz, (P, L, 2) and (P, L, 4) -> acceleration, jerk, yaw rate and yaw acceleration (P, L)."""
    steps = np.diff(xy_rig, axis=1, prepend=0.0)
    speed = np.hypot(steps[:, :, 0], steps[:, :, 1]) / DT_S
    return kinematics_of(speed, slope(speed), np.unwrap(yaw_of(quat_xyzw), axis=1))
