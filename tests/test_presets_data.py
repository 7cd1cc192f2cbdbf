"""Data sets as jobs: the same job gives the same bytes, a killed one goes on, and what is said is what was driven."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from test_suite import FakeRay

from cordillera.cli import main
from cordillera.data.read import ClipSet, open_set
from cordillera.evaluate import suite_pool
from cordillera.presets import data as data_jobs
from cordillera.presets.clip import scenario_of
from cordillera.presets.data import DataJob, generate, inspect, orders_of, stats
from cordillera.presets.data_check import SENTENCE, Found, check_clip, verify_set
from cordillera.reasoning.schema import write
from cordillera.reasoning.verify import EXISTS, PRECEDES
from cordillera.types import Cause, Longitudinal
from cordillera.world.scenarios import FAMILIES


def job(folder: Path, **changes) -> DataJob:
    families = ("maps:karlsruhe", "maps:virtual_city")
    return replace(DataJob(folder, clips=3, families=families, cameras=(), chunk_clips=2), **changes)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    result = generate(job(folder), quiet())
    assert result.clips == result.made == 3
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_job_goes_on_after_a_kill_and_gives_the_same_bytes(made, tmp_path, monkeypatch):
    """Interrupted in its second chunk, the job keeps the first one and makes the rest as if nothing had been."""
    calls = []

    def until_the_third(order):
        calls.append(order)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(order)

    make = data_jobs.make_clip
    monkeypatch.setattr(data_jobs, "make_clip", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate(job(tmp_path), quiet())
    assert (tmp_path / "world/chunks/chunk_0000.json").is_file()
    assert not (tmp_path / "world/chunks/chunk_0001.json").exists()
    monkeypatch.setattr(data_jobs, "make_clip", make)
    assert generate(job(tmp_path), quiet()).made == 1
    assert files(tmp_path) == files(made)
    assert generate(job(tmp_path), quiet()).made == 0


def test_another_job_in_the_same_folder_is_refused(made):
    with pytest.raises(ValueError, match="another set"):
        generate(job(made, seed=1), quiet())


def test_every_clip_has_a_seed_of_its_own_and_splits_share_none():
    train = orders_of(job(Path("x"), clips=40))
    assert len({order.seed for order in train}) == 40
    seeds = {
        split: {scenario_of(replace(order, split=split), 0).seed for order in train[:6]}
        for split in ("train", "val", "test")
    }
    assert not seeds["train"] & seeds["val"]
    assert not seeds["train"] & seeds["test"]
    assert not seeds["val"] & seeds["test"]
    with pytest.raises(ValueError, match="at least one"):
        orders_of(job(Path("x"), families=()))


def test_reasons_come_at_two_hertz_and_at_keyframes(made):
    held = open_set(made)
    for clip in held.clips():
        said = held.said(clip)
        times = {s.t_us for s in said}
        assert times >= set(range(0, 20_000_000, 500_000))
        assert len(times) == len(said)
        assert all(isinstance(s.trace.longitudinal, Longitudinal) for s in said if s.trace.longitudinal)
        for s in said:
            if s.keyframe:
                sample = held.sample(clip, s.t_us) if 1_600_000 <= s.t_us <= 13_600_000 else None
                assert sample is None or sample.reasoning.text == s.trace.text


def test_looking_into_a_set(made):
    console = quiet()
    inspect(made, console)
    stats(made, console)
    assert verify_set(made, console, reasons=False)
    text = console.file.getvalue()
    assert "maps:karlsruhe" in text
    assert "longitudinal" in text
    assert "files are as they were written" in text


def test_every_trace_is_asked_of_the_world_again(made):
    """What was written stands; a sentence, a cause, a time that are changed on the way fail by name."""
    held, found = open_set(made), Found()
    clip = held.clips()[0]
    check_clip(held, clip, found)
    assert found.traces == len(held.said(clip)) > 40
    assert found.sound == found.traces and not found.failed and not found.changed
    assert found.driven["paths"] > 20

    class Forged(ClipSet):
        def said(self, clip_id: str):
            return [replace(s, trace=forge(s.trace)) for s in super().said(clip_id)]

    def failures() -> set[str]:
        forged, found = Forged(held.folder, held.features, held.index), Found()
        check_clip(forged, clip, found)
        return set(found.failed)

    def forge(trace):
        return replace(trace, text="Stop.", longitudinal=Longitudinal.SET_SPEED)

    assert SENTENCE in failures()

    def forge(trace):  # noqa: F811
        late = tuple(replace(c, evidence_t_us=10**9) for c in trace.causes)
        return replace(trace, causes=late)

    assert failures() == {PRECEDES}

    def forge(trace):  # noqa: F811
        nobody = Cause("lead vehicle", "agent:424242", "stopped ahead", 0, 9.0, "longitudinal")
        trace = replace(trace, causes=(nobody,))
        return replace(trace, text=write(trace))

    assert failures() == {EXISTS}


def test_a_cluster_gives_the_same_bytes_and_a_lost_clip_is_told(made, tmp_path, monkeypatch):
    """Clips come back out of order; a chunk is written when all of its clips are there."""
    monkeypatch.setattr(suite_pool, "_ray", FakeRay)
    assert generate(job(tmp_path / "a", ray=True), quiet()).made == 3
    assert files(tmp_path / "a") == files(made)
    monkeypatch.setattr(suite_pool, "_ray", lambda: FakeRay(lose=2))
    with pytest.raises(ValueError, match="maps:karlsruhe, region its own, seed 2 could not be made: ConnectionError"):
        generate(job(tmp_path / "b", ray=True), quiet())


def test_families_take_turns_over_the_regions_in_which_they_happen():
    regions = ("US", "DE", "JP")
    orders = orders_of(job(Path("x"), clips=60, families=("curves", "four_way_stop", "rail_crossing"), regions=regions))
    assert {o.region for o in orders if o.family == "curves"} == set(regions)
    assert all(o.region in FAMILIES[o.family].regions for o in orders)
    assert len({(o.family, o.region) for o in orders[:9]}) >= 7
    with pytest.raises(ValueError, match="not known"):
        orders_of(job(Path("x"), families=("no such",)))


def test_the_verbs_verify_and_view_answer_by_their_exit_code(made, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    assert main(["data", "verify", str(copy), "--files"]) == 0
    spoilt = next(copy.rglob("egomotion.chunk_0000.zip"))
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    assert main(["data", "verify", str(copy), "--files"]) == 1
    assert "changed since it was written" in capsys.readouterr().out
    assert main(["data", "view", str(made), "--clip", "no such", "--output", str(tmp_path)]) != 0
    assert "0 clips begin with 'no such'" in capsys.readouterr().err
