"""Verification: each check fails where it must, and only there; precision and recall by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_reasoning_label import Simple, drive, red, seen, straight  # noqa: F401

from cordillera.geometry import yaw_of
from cordillera.reasoning.label import label_at
from cordillera.reasoning.match import offsets
from cordillera.reasoning.schema import parse
from cordillera.reasoning.verify import (
    EXISTS,
    LATERAL,
    LONGITUDINAL,
    NECESSARY,
    PRECEDES,
    VISIBLE,
    candidates,
    nearest_ahead,
    score,
    verify,
)
from cordillera.types import Cause, Lateral, Longitudinal, ReasoningTrace, Trajectory


def braking() -> Trajectory:
    speed = np.maximum(10.0 - 0.25 * np.arange(64), 0.0)
    return replace(straight(1.0), xyz=np.column_stack([np.cumsum(speed * 0.1), np.zeros(64), np.zeros(64)]))


def failed(trace, path, ready, planner, sight=seen) -> list[str]:
    return [f.check for f in verify(trace, path, ready, 20, planner, sight)]


def stops(cause: Cause) -> ReasoningTrace:
    return ReasoningTrace(Longitudinal.STOP, Lateral.LANE_KEEPING, (cause,), "", "test")


@pytest.fixture
def light(red) -> Cause:  # noqa: F811
    return Cause("traffic light", f"signal:{red}", "red at the stop line ahead", 2_000_000, 14.0)


def test_a_true_trace_fails_nothing(drive, red, light):  # noqa: F811
    assert failed(stops(light), braking(), drive[1], Simple(red, ("light",))) == []
    label = label_at(drive[1], 20, Simple(red, ("light",)), seen)
    assert failed(label.trace, braking(), drive[1], Simple(red, ("light",))) == []


def test_each_false_claim_fails_its_own_check(drive, red, light):  # noqa: F811
    ready, planner = drive[1], Simple(red, ("light",))
    assert failed(stops(light), straight(10.0), ready, planner) == [LONGITUDINAL]
    assert failed(stops(replace(light, relation="green")), braking(), ready, planner) == [EXISTS]
    assert failed(stops(replace(light, evidence_t_us=2_500_000)), braking(), ready, planner) == [PRECEDES]
    assert failed(stops(light), braking(), ready, planner, lambda state, target: 0.0) == [VISIBLE]
    car = Cause("lead vehicle", "agent:900", "stopped ahead", 2_000_000, 8.0)
    assert failed(stops(car), braking(), ready, planner) == [NECESSARY]
    assert failed(stops(replace(car, target="agent:77")), braking(), ready, planner) == [EXISTS]
    turns = replace(stops(light), lateral=Lateral.LANE_CHANGE, side="left")
    assert failed(turns, braking(), ready, planner) == [LATERAL]


def test_what_would_have_sufficed_beside_another_passes_as_necessary(drive, red, light):  # noqa: F811
    both = Simple(red, ("car", "light"))
    car = Cause("lead vehicle", "agent:900", "stopped ahead", 2_000_000, 8.0)
    assert failed(stops(car), braking(), drive[1], both) == []
    assert failed(stops(light), braking(), drive[1], Simple(red, ())) == [NECESSARY], "nobody stops for it"


def test_a_sentence_is_held_to_what_is_there(drive, red):  # noqa: F811
    ready, state = drive[1], drive[1].states[20]
    said = parse("Stop since the traffic light is red, and keep the lane.")
    assert failed(said, braking(), ready, Simple(red, ("light",))) in ([], [NECESSARY])
    assert f"signal:{red}" in candidates(said.causes[0], state, ready)
    assert failed(
        parse("Stop for the pedestrian since it is on the road ahead."), braking(), ready, Simple(red, ())
    ) == [EXISTS]
    near = candidates(parse("Stop for the lead vehicle since it has stopped ahead.").causes[0], state, ready)
    x, y = state.ego.xyz[:2]
    assert near == (("agent:900",) if np.hypot(x, y) < 120.0 else ())


def test_offsets_follow_the_lane(drive):  # noqa: F811
    straight_on = offsets(straight(10.0), drive[1].states[20].ego, drive[1].world)
    assert straight_on is not None and np.abs(straight_on - straight_on[0]).max() < 0.3
    aside = replace(straight(10.0), xyz=straight(10.0).xyz + np.outer(np.linspace(0.0, 1.0, 64), [0.0, 3.0, 0.0]))
    left = offsets(aside, drive[1].states[20].ego, drive[1].world)
    assert left is not None and left[-1] - straight_on[-1] == pytest.approx(3.0, abs=0.2)


def test_precision_and_recall_by_hand():
    a, b, c = (Cause("car", f"agent:{n}", "ahead in the ego lane", 0) for n in (1, 2, 3))
    said = replace(a, target="")
    found = score([[a, c], [b], [said], []], [[a, b], [b], [a], [c]])
    assert (found.hits, found.named, found.true) == (3, 4, 5)
    assert found.precision == 0.75 and found.recall == 0.6
    assert np.isnan(score([[]], [[a]]).precision)
    assert score([[a, a]], [[a]]).hits == 1, "a cause is met once"


def test_the_plain_guess_is_the_nearest_agent_ahead(drive):  # noqa: F811
    state = drive[1].states[20]
    ego, row = state.ego, int(np.flatnonzero(state.agents.id == 900)[0])
    for metres, found in ((30.0, ("agent:900",)), (-30.0, ()), (200.0, ())):
        xyz = state.agents.xyz.copy()
        yaw = float(yaw_of(ego.quat_xyzw))
        xyz[row] = ego.xyz + metres * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        guess = nearest_ahead(replace(state, agents=replace(state.agents, xyz=xyz)))
        assert tuple(c.target for c in guess) == found
