"""A policy as a service, as a job: a policy's name and an address in, AlpaSim's driver contract served until Ctrl-C."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

import cordillera
from cordillera.policy.rule import RuleExpert
from cordillera.presets.bench import policy_maker
from cordillera.presets.policies import NANO, PLANS, POLICIES, policy_of, seen_by
from cordillera.runtime.driver import Policy, SafeDriver
from cordillera.sensors.observe import FRAMES, HISTORY, TICK_US
from cordillera.sensors.rig import rig
from cordillera.serve.driver_service import DriverService, Served, ServiceConfig
from cordillera.serve.server import ServerConfig, credentials_of, serve
from cordillera.serve.wire.services import DRIVER
from cordillera.types import EgoState, Observation, Route, Trajectory

SEEDS = 2**62


@dataclass(frozen=True)
class ServeJob:
    """Who is served, what it sees, and where."""

    policy: str
    reasoning: str = "always"
    cameras: tuple[str, ...] = ()  # for policies that do not say themselves which they read
    size: tuple[int, int] = (384, 216)
    threads: int = 1  # of a decision of exported graphs; sessions run beside each other
    server: ServerConfig = field(default_factory=ServerConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)


def serve_policy(job: ServeJob, console: Console | None = None) -> None:
    """A job -> the service, until SIGINT or SIGTERM; then calls in hand are finished.

    Raises ValueError for a policy that cannot be served or an address that needs more protection, OSError for an
    address that is taken.
    """
    console = console or Console()
    credentials_of(job.server)  # a wrong address is said before a model is loaded
    with console.status(f"loading {job.policy} (the first run compiles kernels)"):
        served = served_of(job.policy, job.reasoning, job.cameras, job.size, job.threads)
        if unknown := [ours for ours in job.service.aliases if ours not in {c.name for c in served.cameras}]:
            names = ", ".join(c.name for c in served.cameras) or "none"
            raise ValueError(f"--camera {unknown[0]}=...: {served.name} reads no camera of that name, but: {names}")
        _warm(served)
    service = DriverService(served, job.service)

    def ready(address: str) -> None:
        shown = f" --ca {job.server.tls_cert}" if job.server.tls_cert else ""
        shown += f" --token-file {job.server.token_file}" if job.server.token_file else ""
        reach = "this machine only" if job.server.is_local else "TLS and token"
        reads = ", ".join(f"{c.name} {c.width}x{c.height}" for c in served.cameras) or "no cameras"
        lines = [
            f"{served.name} drives at [bold]{address}[/bold] ({reach}, at most "
            f"{job.service.limits.sessions} sessions); it reads {reads}.",
            f"Check it: cordillera check-driver {address}{shown}    "
            f"Drive it here: cordillera drive --driver {address}{shown}",
            "Ctrl-C ends it.",
        ]
        if job.service.pickled:
            lines.insert(
                1,
                "[yellow]Reasons are sent as pickles. Whoever unpickles runs what the sender likes: do this for a "
                "runtime that reads nothing else, on machines that you trust.[/yellow]",
            )
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)

    try:
        asyncio.run(serve({DRIVER: service}, job.server, ready, (service.sessions.reap,)))
    finally:
        service.stop()
    console.print("Stopped.", highlight=False)


def served_of(name: str, reasoning: str, cameras: tuple[str, ...], size: tuple[int, int], threads: int = 1) -> Served:
    """A policy's name, and the cameras for one that does not say -> what is served; ValueError with the remedy."""
    make, policy = maker_of(name, reasoning, threads)
    names, own_size = seen_by(policy)
    if hasattr(policy, "prompt") and not (names or cameras):
        raise ValueError(f"{name} does not say which cameras it reads: name them with --cameras and --size")
    sees = rig(names or cameras, *(own_size or size)).cameras if names or cameras else ()
    return Served(policy.name, lambda seed: SafeDriver(make(seed)), sees, cordillera.__version__)


def maker_of(name: str, reasoning: str = "always", threads: int = 1) -> tuple[Callable[[int], Policy], Policy]:
    """A policy's name -> what makes one for a session's seed, and one of them.

    A trained model is loaded once; its sessions share the weights. A class of one's own ("module:Class") that takes
    `seed` is given it. ValueError for a policy that is not known, or that reads what the contract does not carry.
    """
    if name == NANO or Path(name).is_dir():
        policy = policy_of(name, reasoning, threads=threads)
        afresh: Callable[[int], Policy] = policy.afresh  # type: ignore[attr-defined]
        # its plans are drawn from the seed, the seed + 1, ...: neighbours among the sessions' seeds must share none
        return lambda seed: afresh(seed * PLANS % SEEDS), policy
    made = policy_maker(name)
    seeded = name not in POLICIES and "seed" in inspect.signature(made).parameters
    make: Callable[[int], Policy] = (lambda seed: made(seed=seed)) if seeded else (lambda seed: made())  # type: ignore[call-arg]
    policy = make(0)
    if isinstance(policy, RuleExpert):
        raise ValueError(
            "the expert reads the true state of our world, which nothing on the wire carries, so it cannot be served. "
            "Serve one that drives by what it is sent (route-follower, constant-velocity, or the folder of a trained "
            "model); the expert itself drives with: cordillera drive --policy expert"
        )
    return make, policy


def _warm(served: Served) -> None:
    """Decide once, so that the first caller does not wait for kernels to compile."""
    stamps = TICK_US * np.arange(1 - HISTORY, 1, dtype=np.int64) + 10 * HISTORY * TICK_US
    now, still = int(stamps[-1]), np.tile([0.0, 0.0, 0.0, 1.0], (HISTORY, 1))
    line = np.stack([np.arange(0.0, 200.0, 2.0), np.zeros(100), np.zeros(100)], axis=-1)
    observation = Observation(
        t_us=now,
        cameras=served.cameras,
        images=tuple(np.zeros((FRAMES, c.height, c.width, 3), dtype=np.uint8) for c in served.cameras),
        image_t_us=tuple(stamps[-FRAMES:] for _ in served.cameras),
        ego_history=Trajectory(stamps, np.zeros((HISTORY, 3)), still, "rig"),
        ego=EgoState(now, np.zeros(3), still[0], np.zeros(3)),
        route=Route(line, "follow", "", "rig"),
    )
    served.make(0).drive(observation)
