"""Rollouts to ASL and back: what the format holds comes back to float32, and damage is named with its byte."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cordillera.cli import main
from cordillera.data.rollouts import read_rollout, write_rollout
from cordillera.evaluate.metrics import all_metrics
from cordillera.geometry import quat_from_yaw, wrap_angle, yaw_of
from cordillera.presets.world import recorded
from cordillera.serve.asl import read_records, write_records
from cordillera.serve.asl_read import read_log
from cordillera.serve.asl_rollout import NOT_LOGGED, rollout_of
from cordillera.serve.asl_write import write_asl
from cordillera.serve.recipe import SceneRecipe, recipe_note, recipe_noted, recipe_of
from cordillera.serve.scene import EPOCH_US
from cordillera.serve.wire import logging_pb2
from cordillera.types import Rollout, WorldState, same
from cordillera.world.maps import load_map

RECIPE = SceneRecipe("built:four_way", 3, 3.0)
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def drive() -> Rollout:
    return recorded(RECIPE)


def states_of(rollout: Rollout) -> list[WorldState]:
    return [*(step.state for step in rollout.steps), rollout.final]


def changed(log: Path, change, to: Path) -> Path:
    """The log with a change made to each entry; None drops one."""
    entries = (change(logging_pb2.LogEntry.FromString(record)) for record in read_records(log))
    write_records(to, [entry.SerializeToString() for entry in entries if entry is not None])
    return to


def test_a_drive_comes_back_with_its_metrics(drive: Rollout, tmp_path: Path) -> None:
    path = tmp_path / "a.asl"
    count = write_asl(drive, path)
    log = read_log(path)
    assert log.counts.total() == count == 2 + 5 * len(drive.steps)
    found = rollout_of(log)
    assert (found.strangers, found.without_plan) == ((), 0)
    again = found.rollout
    assert same(again.scenario, drive.scenario)
    assert again.ended == drive.ended
    for a, b in zip(drive.steps, again.steps, strict=True):
        mine, theirs = a.output.decision, b.output.decision
        assert_allclose(theirs.trajectory.xyz, mine.trajectory.xyz, atol=1e-4)
        assert (theirs.trajectory.t_us == mine.trajectory.t_us).all()
        assert same(theirs.reasoning, mine.reasoning)
        assert len(theirs.candidates) == len(mine.candidates)
        assert same(b.output.verdict, a.output.verdict)
        assert theirs.policy == mine.policy
    road_map = load_map(drive.scenario.map)
    for a, b in zip(all_metrics(drive, road_map), all_metrics(again, road_map), strict=True):
        assert (a.name, a.valid) == (b.name, b.valid)
        if a.valid:
            assert b.value == pytest.approx(a.value, abs=1e-3, rel=1e-3)


@QUICK
@given(data=st.data())
def test_any_rollout_comes_back_to_float32(drive: Rollout, tmp_path: Path, data: st.DataObject) -> None:
    """States with any poses, rates and presence, since a log is of a world that need not be ours."""
    count = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def moved(state: WorldState) -> WorldState:
        agents, size = state.agents, len(state.agents.id)
        ego = replace(
            state.ego, xyz=rng.uniform(-500.0, 500.0, 3), quat_xyzw=quat_from_yaw(rng.uniform(-4.0, 4.0)),
            velocity_mps=rng.uniform(-20.0, 20.0, 3), accel_mps2=rng.uniform(-8.0, 8.0),
            yaw_rate_radps=rng.uniform(-1.0, 1.0),
        )  # fmt: skip
        agents = replace(
            agents, xyz=rng.uniform(-500.0, 500.0, (size, 3)), yaw_rad=rng.uniform(-3.1, 3.1, size),
            valid=rng.random(size) < 0.5,
        )  # fmt: skip
        return replace(state, ego=ego, agents=agents)

    steps = tuple(replace(step, state=moved(step.state)) for step in drive.steps[:count])
    rollout = Rollout(drive.scenario, steps, moved(drive.steps[count].state), "interrupted")
    write_asl(rollout, tmp_path / "b.asl")
    again = rollout_of(read_log(tmp_path / "b.asl")).rollout
    assert len(again.steps) == count
    for a, b in zip(states_of(rollout), states_of(again), strict=True):
        assert a.t_us == b.t_us
        assert_allclose(b.ego.xyz, a.ego.xyz, atol=2e-4)
        assert_allclose(wrap_angle(yaw_of(b.ego.quat_xyzw) - yaw_of(a.ego.quat_xyzw)), 0.0, atol=1e-6)
        assert_allclose(b.ego.velocity_mps, a.ego.velocity_mps, rtol=1e-6)
        assert b.ego.accel_mps2 == pytest.approx(a.ego.accel_mps2, rel=1e-6)
        assert b.ego.yaw_rate_radps == pytest.approx(a.ego.yaw_rate_radps, rel=1e-6)
        assert (b.agents.valid == a.agents.valid).all()
        here = a.agents.valid
        assert (b.agents.id == a.agents.id).all()
        assert_allclose(b.agents.xyz[here], a.agents.xyz[here], atol=1e-4)
        assert_allclose(wrap_angle(b.agents.yaw_rad - a.agents.yaw_rad)[here], 0.0, atol=1e-6)
    for a, b in zip(rollout.steps, again.steps, strict=True):
        plan = a.output.decision.trajectory
        assert_allclose(b.output.decision.trajectory.xyz, plan.xyz, atol=1e-3)


def test_a_rollout_of_the_loop_is_the_same_through_a_file_of_ours(drive: Rollout, tmp_path: Path) -> None:
    write_rollout(drive, tmp_path / "rollout.npz")
    assert main(["asl", str(tmp_path), str(tmp_path / "a.asl")]) == 0
    assert main(["asl", str(tmp_path / "a.asl"), str(tmp_path / "out")]) == 0
    again = read_rollout(tmp_path / "out" / "rollout.npz")
    assert len(again.steps) == len(drive.steps)
    assert (tmp_path / "out" / "index.html").stat().st_size > 10_000
    assert (tmp_path / "out" / "drive.mp4").stat().st_size > 1000


def test_kinds_that_are_not_known_are_counted_and_left_out(
    drive: Rollout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.asl"
    write_asl(drive, path)
    strange = b"\xc2\x01\x03abc"  # field 24, three bytes: a video model's record
    records = list(read_records(path))
    write_records(path, [records[0], strange, *records[1:], strange])
    log = read_log(path)
    assert log.counts["unknown"] == 2
    assert len(rollout_of(log).rollout.steps) == len(drive.steps)
    assert main(["asl", str(path), str(tmp_path / "out")]) == 0
    assert "2 records are of kinds that this program does not know" in capsys.readouterr().out.replace("\n", " ")


def test_a_log_without_a_recipe_needs_its_scene_or_a_map(drive: Rollout, tmp_path: Path) -> None:
    write_asl(drive, tmp_path / "a.asl")
    entries = [logging_pb2.LogEntry.FromString(r) for r in read_records(tmp_path / "a.asl")]
    entries[0].rollout_metadata.session_metadata.nre_runid = "run 7"
    path = tmp_path / "b.asl"
    write_records(path, [entry.SerializeToString() for entry in entries])
    log = read_log(path)
    with pytest.raises(ValueError, match="--scene, or a map"):
        rollout_of(log)
    known = rollout_of(log, drive.scenario).rollout
    assert same(known.scenario, drive.scenario)
    foreign = rollout_of(log, map_name=RECIPE.map).rollout
    assert foreign.scenario.route.lanes
    assert foreign.steps[0].state.t_us == 0
    for a, b in zip(states_of(drive), states_of(foreign), strict=True):
        assert_allclose(b.ego.xyz, a.ego.xyz, atol=1e-4)
        assert a.agents.valid.sum() == b.agents.valid.sum()
    metrics = {m.name: m for m in all_metrics(foreign, load_map(RECIPE.map))}
    assert metrics["collisions"].value == 0.0
    assert metrics["progress"].valid


def test_steps_without_a_plan_are_counted_and_driven_as_they_were(drive: Rollout, tmp_path: Path) -> None:
    write_asl(drive, tmp_path / "a.asl")

    def spoilt(entry):
        if entry.HasField("driver_return"):
            first = entry.driver_return.trajectory.poses[0].timestamp_us
            if first == EPOCH_US + 500_000:
                entry.driver_return.trajectory.poses[3].pose.vec.x = float("nan")
            if first == EPOCH_US + 900_000:
                del entry.driver_return.trajectory.poses[1:]
        return entry

    found = rollout_of(read_log(changed(tmp_path / "a.asl", spoilt, tmp_path / "b.asl")))
    assert found.without_plan == 2
    step = found.rollout.steps[5]
    assert step.output.decision.policy == NOT_LOGGED
    moved = found.rollout.steps[6].state.ego.xyz - step.state.ego.xyz
    assert np.linalg.norm(step.output.decision.trajectory.xyz[0]) == pytest.approx(np.linalg.norm(moved), abs=1e-4)


def test_rates_that_are_not_logged_are_those_of_the_poses(drive: Rollout, tmp_path: Path) -> None:
    write_asl(drive, tmp_path / "a.asl")

    def bare(entry):
        return None if entry.WhichOneof("log_entry") in ("controller_return", "driver_ego_trajectory") else entry

    found = rollout_of(read_log(changed(tmp_path / "a.asl", bare, tmp_path / "b.asl"))).rollout
    for a, b in zip(drive.steps[1:], found.steps[1:], strict=True):
        assert b.state.ego.speed_mps == pytest.approx(a.state.ego.speed_mps, abs=0.1)
        assert b.state.ego.yaw_rate_radps == pytest.approx(a.state.ego.yaw_rate_radps, abs=0.05)


def test_damage_is_named_with_its_byte_and_a_remedy(drive: Rollout, tmp_path: Path) -> None:
    path = tmp_path / "a.asl"
    write_asl(drive, path)
    whole = path.read_bytes()
    records = list(read_records(path))
    start = sum(4 + len(record) for record in records[:-1])
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=rf"record {len(records) - 1} at byte {start} is cut short: .*--partial"):
        read_log(path)
    log = read_log(path, partial=True)
    assert f"byte {start}" in log.damage
    assert len(rollout_of(log).rollout.steps) == len(drive.steps) - 1
    at = 4 + len(records[0])
    path.write_bytes(whole[:at] + struct.pack(">I", 3) + b"\xff\xff\xff" + whole[at:])
    with pytest.raises(ValueError, match=f"record 1 at byte {at} is no LogEntry"):
        read_log(path)
    path.write_bytes(whole[at:])
    with pytest.raises(ValueError, match="no rollout_metadata"):
        read_log(path)
    write_records(path, records[:1])
    with pytest.raises(ValueError, match="0 records of actor_poses"):
        read_log(path)
    kept = [r for r in records if not _poses_at(r, EPOCH_US + 700_000)]
    write_records(path, kept)
    with pytest.raises(ValueError, match="there are no actor_poses"):
        rollout_of(read_log(path))


def _poses_at(record: bytes, t_us: int) -> bool:
    return logging_pb2.LogEntry.FromString(record).actor_poses.timestamp_us == t_us


@QUICK
@given(data=st.data())
def test_no_damage_does_more_than_raise_a_value_error(drive: Rollout, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "c.asl"
    if not path.is_file():
        write_asl(replace(drive, steps=drive.steps[:3], final=drive.steps[3].state), path)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    broken = tmp_path / "d.asl"
    for content in (whole, whole[:cut]):
        broken.write_bytes(content)
        for partial in (False, True):
            try:
                rollout_of(read_log(broken, partial), drive.scenario)
            except ValueError as error:
                assert len(str(error)) > 20


def test_recipes_travel_as_notes(drive: Rollout) -> None:
    for recipe in (
        RECIPE,
        SceneRecipe(seed=4, family="free_road", region="DE"),
        SceneRecipe("x" * 50, 2**62, 1, "rain"),
    ):
        assert recipe_noted(recipe_note(recipe)) == recipe
    assert same(recipe_of(drive.scenario).scenario(), drive.scenario)
    made = SceneRecipe(seed=4, family="free_road").scenario()
    assert same(recipe_of(made).scenario(), made)
    schema = '{"schema": "cordillera.recipe/1", '
    wrong = [schema + rest for rest in ('"seed": "x"}', '"shell": "x"}', '"seed": true}')]
    for text in ("", "run 7", "{", "[]", '{"schema": "other"}', *wrong):
        assert recipe_noted(text) is None


def test_the_verb_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["a.npz", "b"], "ends in .asl"),
        (["a.asl", "b.asl"], "both logs"),
        ([str(tmp_path / "a.asl"), str(tmp_path)], "no such ASL file"),
        ([str(tmp_path / "none.npz"), str(tmp_path / "b.asl")], "no such rollout file"),
    ):
        assert main(["asl", *words]) == 2
        assert said in capsys.readouterr().err
