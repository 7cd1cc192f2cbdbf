"""The benchmark as a job and as a command: one's own policy, results that are used again, what is said of errors."""

import json
import pickle
import sys

import pytest
from rich.console import Console

from cordillera.cli import main
from cordillera.evaluate.suite import Case
from cordillera.policy.baselines import ConstantVelocity
from cordillera.presets import bench as bench_jobs
from cordillera.presets.bench import BenchJob, bench, places_of, policy_maker, scenario_of
from cordillera.types import same
from cordillera.world.scenarios import FAMILIES

OWN = """
from cordillera.policy.baselines import RouteFollower

class Follower(RouteFollower):
    pass

class Crasher:
    def __init__(self):
        raise OSError("weights are missing")
    def decide(self, observation):
        raise AssertionError

def nothing():
    return None
"""
QUIET = Console(quiet=True)


@pytest.fixture
def own_policies(tmp_path, monkeypatch):
    """A working directory with a module of policies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_policies.py").write_text(OWN)
    yield tmp_path
    sys.modules.pop("my_policies", None)


def test_a_policy_is_a_name_or_a_class_of_ones_own(own_policies):
    assert policy_maker("constant-velocity") is ConstantVelocity
    made = policy_maker("my_policies:Follower")
    assert made().name == "route-follower" and pickle.loads(pickle.dumps(made)) is made
    for wrong, words in (
        ("expret", "'expret' is not known: give one of expert, .*module:Class"),
        ("my_policies:Nobody", "no attribute 'Nobody'"),
        ("not_there:Driver", "No module named 'not_there'"),
        ("my_policies:nothing", "no method decide"),
    ):
        with pytest.raises(ValueError, match=words):
            policy_maker(wrong)


def test_splits_of_a_map_share_no_drive():
    def starts(split):
        cases = (Case("p", "maps:town01", "", split, seed) for seed in range(3))
        return {scenario_of(case).initial.ego.xyz.tobytes() for case in cases}

    train, val, test = starts("train"), starts("val"), starts("test")
    assert not train & val and not train & test and not val & test
    case = Case("p", "maps:town01", "", "val", 1)
    assert same(scenario_of(case), scenario_of(case))


def test_families_go_with_the_regions_in_which_they_happen():
    everywhere = [name for name, family in FAMILIES.items() if "JP" in family.regions]
    assert places_of(BenchJob(regions=("JP",))) == [(name, "JP") for name in everywhere]
    assert places_of(BenchJob()) == [(name, "") for name in FAMILIES]
    name = everywhere[0]
    case = Case("p", name, "", "val", 2)
    assert same(scenario_of(case), scenario_of(case)) and scenario_of(case).family == name


def test_a_bench_from_end_to_end_then_again_then_with_more(own_policies, monkeypatch):
    monkeypatch.setattr(bench_jobs, "MAP_DRIVE_S", 2.0)
    driven = []

    def counted(tasks):
        for task in tasks:
            driven.append(task.case)
            yield from bench_jobs.in_this_process([task])

    monkeypatch.setattr(bench_jobs, "executor_of", lambda job: counted)
    families = ("maps:built:straight,length=300", "maps:built:curve")
    policies = ("constant-velocity", "my_policies:Follower", "my_policies:Crasher")
    job = BenchJob(policies=policies, families=families, seeds=1, videos=1, output=own_policies / "out")
    first = bench(job, QUIET)
    assert len(first.report.results) == 6 and first.page.is_file()
    crashed = [r for r in first.report.results if r.case.policy == "my_policies:Crasher"]
    assert all("weights are missing" in r.traceback and not r.success for r in crashed)
    tree = json.loads((job.output / "results.json").read_text())
    assert [row["policy"] for row in tree["policies"]] == [row.policy for row in first.report.policies]
    films = list((job.output / "videos").glob("*.mp4"))
    assert len(films) == 2 and all(film.stat().st_size > 1000 for film in films)

    driven.clear()
    again = bench(job, QUIET)
    assert not driven and same(again.report.results, first.report.results)
    more = bench(BenchJob(policies=policies[:1], families=families, seeds=2, videos=0, output=job.output), QUIET)
    assert {case.seed for case in driven} == {1} and len(more.report.results) == 4
    driven.clear()
    (own_policies / "my_policies.py").write_text(OWN + "\n")
    bench(BenchJob(policies=policies[1:2], families=families, seeds=1, videos=0, output=job.output), QUIET)
    assert len(driven) == 2, "the policy's code has changed, so its drives count no more"


def test_the_command_line_says_what_is_wrong(capsys, tmp_path):
    for words, said in (
        (["--policy", "expret"], "'expret' is not known"),
        (["--families", "maps:nowhere", "--seeds", "1", "--videos", "0"], "nowhere"),
        (["--families", "cut-out"], "cut-out"),
        (["--families", "maps:town01", "--regions", "XX"], "XX"),
    ):
        assert main(["bench", "--output", str(tmp_path), *words]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bench", "--seeds", "0"])
    assert "'0' is not a whole number from 1 up" in capsys.readouterr().err
