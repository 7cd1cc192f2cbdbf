"""Displacement errors of plans by both conventions, and jumps between plans."""

import dataclasses

import numpy as np
import pytest
from metric_drives import steady

from cordillera.evaluate.metrics_plan import (
    displacements,
    min_ade_each,
    min_ade_whole,
    min_fde_each,
    min_fde_whole,
    plan_errors,
    steady_plans,
)
from cordillera.evaluate.metrics_track import states_of
from cordillera.geometry import quat_from_yaw
from cordillera.kinematics import plan_of
from cordillera.types import Trajectory

STILL = np.zeros(64)


def plan(speed, aside=0.0, t_us=0):
    """A straight plan at constant speed, moved aside."""
    ahead = 0.1 * speed * np.arange(1, 65)
    return plan_of(np.column_stack([ahead, np.full(64, aside)]), STILL, t_us)


def with_plans(rollout, make):
    """The rollout with `make(k)` -> (trajectory, candidates) at each step."""
    steps = []
    for k, step in enumerate(rollout.steps):
        trajectory, candidates = make(k)
        decision = dataclasses.replace(step.output.decision, trajectory=trajectory, candidates=candidates)
        steps.append(dataclasses.replace(step, output=dataclasses.replace(step.output, decision=decision)))
    return dataclasses.replace(rollout, steps=tuple(steps))


def test_the_two_conventions_differ_as_they_should():
    future = np.zeros((4, 2))
    early = np.column_stack([[0.0, 0.0, 4.0, 4.0], STILL[:4]])  # good at first, mean 2
    late = np.column_stack([[1.0, 1.0, 1.0, 1.0], STILL[:4]])  # mean 1
    samples = np.array([early, late])
    assert min_ade_whole(samples, future, 2) == 1.0 and min_ade_each(samples, future, 2) == 0.0
    assert min_ade_whole(samples, future, 4) == min_ade_each(samples, future, 4) == 1.0
    assert min_fde_whole(samples, future, 2) == 1.0 and min_fde_each(samples, future, 2) == 0.0
    assert displacements(samples, future).shape == (2, 4)
    with pytest.raises(ValueError, match="same T"):
        displacements(samples, future[:3])


def test_plan_errors_are_finite_and_use_every_candidate():
    """AlpaSim's minADE is always NaN, since it never fills in the sampled trajectories."""
    rollout = steady(n=101)  # 10 m/s
    exact = {r.name: r for r in plan_errors(with_plans(rollout, lambda k: (plan(10.0), ())))}
    assert all(r.valid and r.value == pytest.approx(0.0, abs=1e-9) for r in exact.values())
    # 1 m/s too slow: after t seconds t metres behind; the mean over 3 s of 0.1, 0.2, .. 3.0 is 1.55
    slow = {r.name: r.value for r in plan_errors(with_plans(rollout, lambda k: (plan(9.0), ())))}
    assert slow["minADE 3 s per horizon"] == slow["minADE 3 s by the whole plan"] == pytest.approx(1.55)
    assert slow["minFDE 3 s per horizon"] == pytest.approx(3.0)
    assert slow["minADE 6.4 s"] == pytest.approx(3.25) and slow["minFDE 6.4 s"] == pytest.approx(6.4)
    # candidates: 0.5 m aside all along, or 1 m/s too slow: the first is best over the plan, the second at first
    both = {
        r.name: r.value for r in plan_errors(with_plans(rollout, lambda k: (plan(5.0), (plan(10.0, 0.5), plan(9.0)))))
    }
    assert both["minADE 3 s by the whole plan"] == pytest.approx(0.5)
    assert both["minADE 6.4 s"] == pytest.approx(0.5)


def test_plan_errors_against_a_reference():
    rollout = with_plans(steady(n=101), lambda k: (plan(10.0), ()))
    states = states_of(rollout)
    xyz = np.array([s.ego.xyz for s in states])
    ahead = xyz - xyz[0]
    faster = Trajectory(
        np.array([s.t_us for s in states]), xyz[0] + 1.1 * ahead, quat_from_yaw(np.zeros(len(states))), "world"
    )  # fmt: skip
    errors = {r.name: r.value for r in plan_errors(rollout, faster)}
    # at step k the reference is ahead by 0.1 k and 0.1 a step more: at 3 s by 0.1 k + 3.0, over k = 0..36
    assert errors["minFDE 3 s per horizon"] == pytest.approx(0.1 * 18.0 + 3.0)
    with pytest.raises(ValueError, match="frame 'rig'"):
        plan_errors(rollout, dataclasses.replace(faster, frame="rig"))


def test_without_enough_future_they_are_not_valid():
    assert not any(r.valid for r in plan_errors(with_plans(steady(n=51), lambda k: (plan(10.0), ()))))


def test_plans_that_contradict_each_other_are_no_steady_plans():
    rollout = steady(n=31)
    assert steady_plans(with_plans(rollout, lambda k: (plan(10.0), ()))).all()

    def turning(k):
        rate = 0.15 if k % 10 < 5 else -0.15
        yaw = rate * 0.1 * np.arange(1, 65)
        return plan_of(plan(10.0).xyz[:, :2], yaw, 0), ()

    assert not steady_plans(with_plans(rollout, turning)).any()
    gentle = steady_plans(with_plans(rollout, lambda k: (plan(10.0 + 0.01 * k), ())))
    assert gentle.all() and len(gentle) == 25
