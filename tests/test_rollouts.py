"""Rollouts on disk: equal after a round trip, and clear about damage."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordillera.data.rollouts import _Reader, _Writer, read_rollout, write_rollout
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Cause, LightState, MetricResult, Rollout, Route, Verdict, Weather, same
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    scenario = make_scenario("built:four_way", seed=3, duration_s=2.0)
    return roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert()))


arrays = hnp.arrays(
    st.sampled_from([np.float64, np.int64, np.bool_, np.uint8, np.float32]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
)
floats = st.floats(allow_nan=True, allow_infinity=True)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    floats,
    st.text(max_size=6),
    st.sampled_from([*Weather, *LightState]),
    arrays,
    floats.map(np.float64),
    st.builds(Cause, st.text(max_size=4), st.just("agent:1"), st.just(""), st.integers(0, 9), floats),
    st.builds(Route, hnp.arrays(np.float64, st.tuples(st.integers(0, 3), st.just(3)))),
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)


def test_a_drive_reloads_to_equal_values(rollout: Rollout, tmp_path: Path):
    path = tmp_path / "sub" / "rollout.npz"
    write_rollout(rollout, path)
    back = read_rollout(path)
    assert same(back, rollout) and len(back.steps) == 20
    assert [p.name for p in path.parent.iterdir()] == ["rollout.npz"]  # no temporary file is left


def test_the_same_rollout_gives_the_same_bytes(rollout: Rollout, tmp_path: Path):
    write_rollout(rollout, tmp_path / "a.npz")
    write_rollout(rollout, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=5))
def test_any_column_of_values_reloads(column: list[object]):
    writer = _Writer()
    node = json.loads(json.dumps(writer.column(column, "x")))
    reader = _Reader(Path("memory"), archive=None)  # type: ignore[arg-type]
    reader._load = lambda key, where: writer.arrays[key]  # type: ignore[method-assign]
    back = reader.column(node, "x")
    assert len(back) == len(column) and all(same(a, b) for a, b in zip(back, column, strict=True))


def test_values_without_a_place_are_named(rollout: Rollout, tmp_path: Path):
    bad = replace(rollout, ended={"why": "a dict"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rollout\.ended: a dict"):
        write_rollout(bad, tmp_path / "x.npz")
    objects = replace(rollout, final=replace(rollout.final, signals=np.array([None])))
    with pytest.raises(ValueError, match=r"rollout\.final\.signals: arrays of object"):
        write_rollout(objects, tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())


def rewrite(path: Path, change) -> None:
    """Rewrite the manifest of a file in place; arrays whose name `change` maps to None are dropped."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest, members)
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, a: m.update(version=99), "version 99"),
        (lambda m, a: m["tree"].update(type="Rollup"), "unknown type 'Rollup'"),
        (lambda m, a: m["tree"]["fields"].pop("ended"), "Rollout lacks its field 'ended'"),
        (lambda m, a: m["tree"]["fields"].update(mood=m["tree"]["fields"]["ended"]), "no field 'mood'"),
        (lambda m, a: m["tree"]["fields"]["ended"].update(kind="song"), "unknown kind 'song'"),
        (lambda m, a: a.pop("a3.npy"), "a3.npy is missing"),
        (lambda m, a: m.pop("tree"), "does not describe a rollout"),
    ],
)
def test_damage_is_named_with_the_file(rollout: Rollout, tmp_path: Path, change, message: str):
    path = tmp_path / "rollout.npz"
    write_rollout(rollout, path)
    rewrite(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read_rollout(path)
    assert "rollout.npz" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 4000])
def test_a_file_that_was_cut_short_is_named(rollout: Rollout, tmp_path: Path, keep: int):
    path = tmp_path / "rollout.npz"
    write_rollout(rollout, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged or cut short"):
        read_rollout(path)
    with pytest.raises(ValueError, match="no such rollout"):
        read_rollout(tmp_path / "absent.npz")


def test_same_sees_small_differences():
    assert same(MetricResult("a", float("nan"), True, "", ""), MetricResult("a", float("nan"), True, "", ""))
    assert not same(Verdict("pass"), Verdict("clip"))
    assert not same(np.zeros(2), np.zeros(2, dtype=np.float32)) and not same((1.0,), (1.0, 2.0)) and not same(1, 1.0)
