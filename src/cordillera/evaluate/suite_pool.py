"""Items and a function in, its results out as they come: in other processes of this machine, or on a Ray cluster.

The suite drives its tasks so, and data sets are generated so. Which way is chosen changes nothing but the order in
which results come.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from cordillera.evaluate.suite import Outcome, Task, crashed, drive_case

Executor = Callable[[Sequence[Task]], Iterator[Outcome]]
Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE_S = 3600.0


class WorkerDiedError(RuntimeError):
    """The process that drove a case ended without an answer."""


# ------------------------------------------------------------------- the suite


def in_this_process(tasks: Sequence[Task]) -> Iterator[Outcome]:
    """One task after the other."""
    yield from map(drive_case, tasks)


def in_processes(tasks: Sequence[Task], workers: int, patience_s: float = PATIENCE_S) -> Iterator[Outcome]:
    """Tasks on that many fresh processes -> outcomes as they come.

    A process that dies (killed for memory, say) or takes longer than `patience_s` fails the case that it was driving,
    and that case alone.
    """
    for k, outcome in each_in_processes(drive_case, tasks, workers, patience_s):
        yield _settled(tasks[k], outcome)


def on_ray(tasks: Sequence[Task], library: Any = None) -> Iterator[Outcome]:
    """Tasks on a Ray cluster -> outcomes as they come; a case whose worker is lost twice is a failure."""
    for k, outcome in each_on_ray(drive_case, tasks, library):
        yield _settled(tasks[k], outcome)


def _settled(task: Task, outcome: Outcome | Exception) -> Outcome:
    """What came back for a task -> its outcome; what was lost with its worker is a failure."""
    if isinstance(outcome, Outcome):
        return outcome
    result = crashed(task.case, outcome)
    return Outcome(replace(result, reason="timeout") if isinstance(outcome, TimeoutError) else result, None)


# ------------------------------------------------------------------- processes


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    item: int = -1  # what it works on; -1: it waits
    since: float = 0.0


def each_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, patience_s: float = PATIENCE_S
) -> Iterator[tuple[int, Result | Exception]]:
    """A function (importable) and items -> (number of the item, its result), as they come, begun in their order.

    They run in that many fresh processes of one thread each. In place of a result stands the error that the function
    raised, a WorkerDiedError where its process died, or a TimeoutError after `patience_s`. Processes end when this one
    does, also when it is killed.
    """
    waiting = deque(range(len(items)))
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.item >= 0 for worker in crew):
            while waiting and len(crew) < workers:
                crew.append(_hire(function))
            for worker in crew:
                if worker.item < 0 and waiting:
                    worker.item, worker.since = waiting.popleft(), time.monotonic()
                    with suppress(OSError):  # a process that is dead already is found below
                        worker.pipe.send(items[worker.item])
            busy = [worker for worker in crew if worker.item >= 0]
            ready = wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                late = time.monotonic() - worker.since > patience_s
                if worker.pipe not in ready and not late:
                    continue
                try:
                    value = worker.pipe.recv() if worker.pipe in ready else _overdue(patience_s)
                    lost = worker.pipe not in ready
                except (EOFError, OSError):
                    value, lost = _died(worker), True
                number, worker.item = worker.item, -1
                if lost:
                    crew.remove(worker)
                    _dismiss(worker, busy=True)
                yield number, value
    finally:
        for worker in crew:
            _dismiss(worker, worker.item >= 0)


def _hire(function: Callable[[Any], Any]) -> _Worker:
    """Start a process. It is spawned, so that it shares no state, no lock and no thread with this one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), name="cordillera-worker", daemon=True)
    with _one_thread_each():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """A worker's life: items from the pipe, results into it, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one decides
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # a user's module that cannot be imported here: say so for each of its items
            pipe.send(error)
            continue
        try:
            value = function(item)
        except Exception as error:  # it is the answer
            value = error
        pipe.send(value)


def _overdue(patience_s: float) -> Exception:
    return TimeoutError(f"no result after {patience_s:g} s; the process that worked on it was ended")


def _died(worker: _Worker) -> Exception:
    worker.process.join(5.0)
    code = worker.process.exitcode
    return WorkerDiedError(f"the process that worked on it ended with exit code {code}; a negative code is a signal")


def _dismiss(worker: _Worker, busy: bool) -> None:
    worker.pipe.close()
    if busy:
        worker.process.kill()
    worker.process.join(5.0)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within it use one thread, so that workers do not fight for the cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ------------------------------------------------------------------------- Ray


def each_on_ray(
    function: Callable[[Item], Result], items: Sequence[Item], library: Any = None, ahead: int = sys.maxsize
) -> Iterator[tuple[int, Result | Exception]]:
    """A function and items -> (number of the item, its result or error) as they come from a Ray cluster.

    The cluster is that of RAY_ADDRESS, else one on this machine. At most `ahead` items are under way at a time. What a
    lost worker had is tried once more. Raises ValueError where Ray is not installed.
    """
    ray = library or _ray()
    started = not ray.is_initialized()
    if started:
        # Workers find modules where this process does, a user's own policy among them.
        paths = {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        ray.init(log_to_driver=False, include_dashboard=False, runtime_env={"env_vars": paths})
    try:
        remote = ray.remote(num_cpus=1, max_retries=1)(function)
        waiting, running = deque(range(len(items))), {}
        while waiting or running:
            while waiting and len(running) < ahead:
                number = waiting.popleft()
                running[remote.remote(items[number])] = number
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                number = running.pop(reference)
                try:
                    value = ray.get(reference)
                except Exception as error:  # lost nodes and unimportable functions; the caller says what happened
                    value = error
                yield number, value
    finally:
        if started:
            ray.shutdown()


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ValueError("--ray needs Ray, which is not installed: pip install 'cordillera[scale]'") from error
