"""The suite: paired cases, equal results on repeated and parallel runs, resuming after a kill, crashes as failures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cordillera.evaluate import suite_pool
from cordillera.evaluate.suite import Case, Task, crashed, drive_case, plan_cases, without_cameras
from cordillera.evaluate.suite_pool import in_processes, in_this_process, on_ray
from cordillera.evaluate.suite_store import Store, plain, run_suite, stamp_of
from cordillera.policy.baselines import ConstantVelocity, RouteFollower
from cordillera.types import Decision, Observation, Scenario, same
from cordillera.world.spawn import make_scenario


def short_drive(case: Case) -> Scenario:
    """A fake family: its name is the map, drives last 2 s."""
    if case.family == "broken":
        raise RuntimeError("this family cannot be made")
    return make_scenario(case.family, case.seed, 2.0)


@dataclass(frozen=True)
class Killer:
    """A policy that ends its process, as the kernel does when memory runs out."""

    name: str = "killer"

    def decide(self, observation: Observation) -> Decision:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class Sleeper:
    name: str = "sleeper"

    def decide(self, observation: Observation) -> Decision:
        time.sleep(60.0)
        raise AssertionError


MAKERS = {"route-follower": RouteFollower, "constant-velocity": ConstantVelocity, "killer": Killer, "sleeper": Sleeper}


def tasks_of(policies, families, seeds=2) -> list[Task]:
    cases = plan_cases(policies, [(family, "") for family in families], seeds, "val")
    return [Task(case, MAKERS[case.policy], short_drive, without_cameras) for case in cases]


def stamps(stamp):
    return dict.fromkeys(MAKERS, stamp)


def settled(result):
    """A result without its measurements of time."""
    return replace(result, took_s=0.0, latency_ms=0.0)


def by_case(outcomes):
    return {o.result.case: settled(o.result) for o in outcomes}


def equal(a, b):
    return a.keys() == b.keys() and all(same(a[case], b[case]) for case in a)


TASKS = tasks_of(["route-follower", "constant-velocity"], ["built:straight,length=300", "built:curve"])


@pytest.fixture(scope="module")
def serial():
    return by_case(in_this_process(TASKS))


def test_cases_are_paired_and_checked():
    places = [("f", "DE"), ("f", "JP"), ("g", "")]
    cases = plan_cases(["a", "b"], places, 3, "test")
    assert len(cases) == 2 * 3 * 3 and len(set(cases)) == len(cases)
    assert {c.situation for c in cases if c.policy == "a"} == {c.situation for c in cases if c.policy == "b"}
    for wrong, said in (
        ((["a"], places, 1, "tset"), "split 'tset'"),
        (([], places, 1, "val"), "at least one policy"),
        ((["a", "a"], places, 1, "val"), "'a' is given twice"),
        ((["a"], [("f", ""), ("f", "")], 1, "val"), "is given twice"),
    ):
        with pytest.raises(ValueError, match=said):
            plan_cases(*wrong)


def test_the_same_seed_gives_the_same_result_again_and_in_parallel(serial):
    assert equal(by_case(in_this_process(TASKS)), serial)
    assert equal(by_case(in_processes(list(reversed(TASKS)), workers=2)), serial)
    assert len({result.digest for result in serial.values()}) == len(TASKS), "every drive differs from every other"


def test_a_crash_is_a_failure_with_its_traceback(serial):
    (outcome,) = in_this_process(tasks_of(["route-follower"], ["broken"], 1))
    assert not outcome.result.success and outcome.result.reason == "crash: RuntimeError"
    assert "this family cannot be made" in outcome.result.traceback and "short_drive" in outcome.result.traceback


def test_a_worker_that_dies_or_hangs_fails_its_own_case_alone(serial):
    plain_tasks = TASKS[:2]
    tasks = [*tasks_of(["killer"], ["built:curve"], 1), *plain_tasks]
    results = by_case(in_processes(tasks, workers=2))
    killed = results.pop(tasks[0].case)
    assert killed.reason == "crash: WorkerDiedError" and "exit code -9" in killed.traceback
    assert equal(results, {task.case: serial[task.case] for task in plain_tasks})


def test_a_case_that_takes_too_long_is_ended():
    tasks = tasks_of(["sleeper"], ["built:curve"], 1)
    (outcome,) = in_processes(tasks, workers=1, patience_s=2.0)
    assert outcome.result.reason == "timeout" and not outcome.result.success


class FakeRay:
    """Ray's calls as far as the suite makes them: runs tasks late and out of order, and loses some."""

    def __init__(self, lose: int = -1) -> None:
        self.lose, self.up, self.calls = lose, False, []

    def is_initialized(self) -> bool:
        return self.up

    def init(self, **options: object) -> None:
        self.up = True

    def shutdown(self) -> None:
        self.up = False

    def remote(self, **options: object):
        outer = self

        class Remote:
            def __call__(self, function):
                self.function = function
                return self

            def remote(self, task):
                outer.calls.append((self.function, task))
                return len(outer.calls) - 1

        return Remote()

    def wait(self, references, num_returns):
        return [references[-1]], references[:-1]

    def get(self, reference):
        if reference == self.lose:
            raise ConnectionError("the node is gone")
        function, task = self.calls[reference]
        return function(task)


def test_a_cluster_gives_the_same_results_and_a_lost_node_is_a_failure(serial):
    assert equal(by_case(on_ray(TASKS, FakeRay())), serial)
    ray = FakeRay(lose=1)
    results = by_case(on_ray(TASKS[:2], ray))
    assert results[TASKS[1].case].reason == "crash: ConnectionError" and not ray.up
    assert same(results[TASKS[0].case], serial[TASKS[0].case])


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"cordillera\[scale\]"):
        next(on_ray(TASKS))


@pytest.mark.slow
def test_real_ray_gives_the_same_results(serial):
    pytest.importorskip("ray")
    assert equal(by_case(on_ray(TASKS[:2])), {task.case: serial[task.case] for task in TASKS[:2]})


# ------------------------------------------------------------------------ store


def test_results_and_rollouts_come_back_from_the_folder(tmp_path, serial):
    store = Store(tmp_path, stamps("s1"))
    for task in TASKS[:2]:
        outcome = drive_case(replace(task, keep=True))
        store.put(outcome)
        assert same(store.get(task.case), outcome.result)
        assert same(store.rollout(task.case), outcome.rollout)
    lost = crashed(TASKS[2].case, ValueError("no"))
    store.put(suite_pool.Outcome(lost, None))
    assert same(store.get(TASKS[2].case), lost) and store.rollout(TASKS[2].case) is None
    assert Store(tmp_path, stamps("s2")).get(TASKS[0].case) is None, "results of other code or settings do not count"
    store.path(TASKS[0].case).write_text("{}")
    with pytest.raises(ValueError, match="delete it and run again"):
        store.get(TASKS[0].case)


def test_finished_cases_are_not_driven_again(tmp_path, serial):
    store, driven, told = Store(tmp_path, stamps("s")), [], []

    def watch(tasks) -> Iterator[suite_pool.Outcome]:
        for task in tasks:
            driven.append(task.case)
            yield drive_case(task)

    def stop_after_two(tasks):
        for k, outcome in enumerate(watch(tasks)):
            if k == 2:
                raise KeyboardInterrupt
            yield outcome

    with pytest.raises(KeyboardInterrupt):
        run_suite(TASKS[:4], store, stop_after_two, lambda result, new: None)
    driven.clear()
    results = run_suite(TASKS[:4], store, watch, lambda result, new: told.append(new))
    assert driven == [task.case for task in TASKS[2:4]] and sorted(told) == [False, False, True, True]
    assert equal({c: settled(r) for c, r in results.items()}, {t.case: serial[t.case] for t in TASKS[:4]})


def test_names_of_files_are_plain_and_differ():
    names = ["town01", "maps:town01", "maps/town01", "../../etc", "", "built:curve,side=left", "module:Class"]
    safe = [plain(name) for name in names]
    assert len(set(safe)) == len(names) and safe[0] == "town01"
    assert not any("/" in s or s.startswith(".") or not s for s in safe)


def test_the_stamp_changes_with_code_and_settings(tmp_path):
    code = tmp_path / "a.py"
    code.write_text("x = 1\n")
    first = stamp_of(["10 s"], [tmp_path])
    assert stamp_of(["10 s"], [tmp_path]) == first == stamp_of(["10 s"], [code])
    assert stamp_of(["20 s"], [tmp_path]) != first
    code.write_text("x = 2\n")
    assert stamp_of(["10 s"], [tmp_path]) != first


KILLED = """
import sys
from pathlib import Path
from tests.test_suite import TASKS, stamps
from cordillera.evaluate.suite_pool import in_processes
from cordillera.evaluate.suite_store import Store, run_suite

if __name__ == "__main__":
    store = Store(Path(sys.argv[1]), stamps("s"))
    run_suite(TASKS, store, lambda tasks: in_processes(tasks, 2), lambda result, new: None)
"""


def test_a_killed_run_keeps_what_is_finished_and_leaves_no_process(tmp_path, serial):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    files = tmp_path / "cases"
    deadline = time.monotonic() + 240.0
    while not list(files.rglob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    workers = children(process.pid)
    process.kill()
    process.wait()
    kept = list(files.rglob("[!.]*.json"))
    assert kept and all(json.loads(path.read_text())["digest"] for path in kept)
    driven = []

    def watch(tasks):
        driven.extend(task.case for task in tasks)
        return in_this_process(tasks)

    results = run_suite(TASKS, Store(tmp_path, stamps("s")), watch, lambda result, new: None)
    assert len(driven) == len(TASKS) - len(kept)
    assert equal({c: settled(r) for c, r in results.items()}, serial)
    deadline = time.monotonic() + 30.0
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def children(pid: int) -> list[int]:
    """The child processes of a process; none where the system does not tell."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
