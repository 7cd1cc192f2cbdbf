"""Tasks in, outcomes out as they come: in this process, in others of this machine, or on a Ray cluster.

Which of them is chosen changes nothing but the order in which outcomes come.
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
from typing import Any

from cordillera.evaluate.suite import Outcome, Task, crashed, drive_case

Executor = Callable[[Sequence[Task]], Iterator[Outcome]]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE_S = 3600.0


class WorkerDiedError(RuntimeError):
    """The process that drove a case ended without an answer."""


def in_this_process(tasks: Sequence[Task]) -> Iterator[Outcome]:
    """One task after the other."""
    yield from map(drive_case, tasks)


# ------------------------------------------------------------------- processes


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    since: float = 0.0


def in_processes(tasks: Sequence[Task], workers: int, patience_s: float = PATIENCE_S) -> Iterator[Outcome]:
    """Tasks on that many fresh processes of one thread each -> outcomes as they come.

    A process that dies (killed for memory, say) or takes longer than `patience_s` fails the case that it was driving,
    and that case alone. Processes end when this one does, also when it is killed.
    """
    waiting = deque(tasks)
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.task for worker in crew):
            while waiting and len(crew) < workers:
                crew.append(_hire())
            for worker in crew:
                if worker.task is None and waiting:
                    worker.task, worker.since = waiting.popleft(), time.monotonic()
                    with suppress(OSError):  # a process that is dead already is found below
                        worker.pipe.send(worker.task)
            busy = [worker for worker in crew if worker.task]
            ready = wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                task = worker.task
                assert task is not None
                late = time.monotonic() - worker.since > patience_s
                if worker.pipe not in ready and not late:
                    continue
                outcome = _answer(worker, task) if worker.pipe in ready else None
                if outcome is None:
                    crew.remove(worker)
                    outcome = _lost(worker, task, patience_s if late else None)
                worker.task = None
                yield outcome
    finally:
        for worker in crew:
            _dismiss(worker)


def _hire() -> _Worker:
    """Start a process. It is spawned, so that it shares no state, no lock and no thread with this one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), name="cordillera-bench", daemon=True)
    with _one_thread_each():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection) -> None:
    """A worker's life: tasks from the pipe, outcomes into it, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one decides
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # a policy's module that cannot be imported here: say so for each of its cases
            pipe.send(error)
            continue
        pipe.send(drive_case(task))


def _answer(worker: _Worker, task: Task) -> Outcome | None:
    """What came through a worker's pipe, None where the worker is dead."""
    try:
        value = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    return Outcome(crashed(task.case, value), None) if isinstance(value, BaseException) else value


def _lost(worker: _Worker, task: Task, patience_s: float | None) -> Outcome:
    """The outcome of a case whose worker gave no answer; the worker is ended."""
    if patience_s is not None:
        error: Exception = TimeoutError(f"no result after {patience_s:g} s; the process that drove it was ended")
    else:
        worker.process.join(5.0)
        code = worker.process.exitcode
        error = WorkerDiedError(f"the process that drove it ended with exit code {code}; a negative code is a signal")
    _dismiss(worker)
    result = crashed(task.case, error)
    return Outcome(replace(result, reason="timeout") if patience_s is not None else result, None)


def _dismiss(worker: _Worker) -> None:
    worker.pipe.close()
    if worker.task is not None:
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


def on_ray(tasks: Sequence[Task], library: Any = None) -> Iterator[Outcome]:
    """Tasks on a Ray cluster (that of RAY_ADDRESS, else one on this machine) -> outcomes as they come.

    Raises ValueError where Ray is not installed. A worker that dies is tried once more, then its case is a failure.
    """
    ray = library or _ray()
    started = not ray.is_initialized()
    if started:
        # Workers find modules where this process does, a user's own policy among them.
        paths = {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        ray.init(log_to_driver=False, include_dashboard=False, runtime_env={"env_vars": paths})
    try:
        remote = ray.remote(num_cpus=1, max_retries=1)(drive_case)
        tasks_of = {remote.remote(task): task for task in tasks}
        while tasks_of:
            done, _ = ray.wait(list(tasks_of), num_returns=1)
            for reference in done:
                task = tasks_of.pop(reference)
                try:
                    outcome = ray.get(reference)
                except Exception as error:  # lost nodes and unimportable policies; the case says what happened
                    outcome = Outcome(crashed(task.case, error), None)
                yield outcome
    finally:
        if started:
            ray.shutdown()


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ValueError("--ray needs Ray, which is not installed: pip install 'cordillera[scale]'") from error
