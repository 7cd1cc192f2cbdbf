"""Our worlds as services, as a job: archives or recipes of scenes in, four services of AlpaSim's contract out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from cordillera.sensors.rig import rig
from cordillera.serve.controller_service import ControllerService
from cordillera.serve.physics_service import PhysicsService
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import EPOCH_US
from cordillera.serve.scenes import Scenes, SceneSource, archived, made
from cordillera.serve.sensorsim_service import SensorsimService
from cordillera.serve.server import ServerConfig, credentials_of, serve_all
from cordillera.serve.service import WorldService
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.traffic_service import TrafficService
from cordillera.serve.wire.services import CONTROLLER, PHYSICS, SENSORSIM, TRAFFIC


@dataclass(frozen=True)
class ServeWorldJob:
    """Which scenes are served, how, and where."""

    archives: tuple[Path, ...] = ()  # of `cordillera export-scene`, or folders of them
    recipes: tuple[SceneRecipe, ...] = ()
    cameras: tuple[str, ...] = ("camera_front_wide_120fov", "camera_front_tele_30fov")  # of the recipes' scenes
    size: tuple[int, int] = (1920, 1080)
    server: ServerConfig = field(default_factory=lambda: ServerConfig(message_mb=64.0))
    limits: SessionLimits = field(default_factory=SessionLimits)
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    loaded: int = 8  # scenes in memory
    split: bool = False  # each service on a port of its own, counted from the server's
    warm: bool = True  # draw a picture of each scene first


def serve_world(job: ServeWorldJob, console: Console | None = None) -> None:
    """Serve until SIGINT or SIGTERM; ValueError for scenes that are none, OSError for an address that is taken."""
    console = console or Console()
    credentials_of(job.server)  # a wrong address is said before scenes are made
    with console.status("reading the scenes"):
        scenes = Scenes(sources_of(job), job.loaded, job.threads)
    if job.warm:
        with console.status("drawing each scene once (the first run compiles the kernels, which takes a minute)"):
            for scene_id in scenes.ids[: job.loaded]:
                warm(scenes, scene_id)
    services = world_services(scenes, job.threads, job.limits)
    servers = servers_of(services, job.server, job.split)
    names = [", ".join(name.rpartition(".")[2] for name in group) for group, _ in servers]

    def ready(addresses: list[str]) -> None:
        reach = "this machine only" if job.server.is_local else "TLS and token"
        pairs = zip(names, addresses, strict=True)
        lines = [f"[bold]{address}[/bold] serves {name} ({reach})" for name, address in pairs]
        lines += [f"  scene {scene_id}" for scene_id in scenes.ids]
        for line in (*lines, "Ctrl-C ends it."):
            console.print(line, highlight=False, soft_wrap=True)

    try:
        asyncio.run(serve_all(servers, ready, tuple(reapers(services))))
    finally:
        for service in services.values():
            service.stop()
    console.print("Stopped.", highlight=False)


def sources_of(job: ServeWorldJob) -> list[SceneSource]:
    """A job -> the sources of its scenes, archives first; ValueError where there are none."""
    sources = [archived(path) for given in job.archives for path in _files(given)]
    if job.recipes:
        cameras = rig(job.cameras, *job.size)
        sources += [made(recipe, cameras) for recipe in job.recipes]
    return sources


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = sorted(given.glob("*.usdz"))
    if not found:
        raise ValueError(f"{given}: no .usdz archive in this folder; write one with cordillera export-scene")
    return found


def warm(scenes: Scenes, scene_id: str) -> None:
    """Make a scene and draw it once, so that the first caller does not wait for meshes and kernels."""
    scene = scenes.get(scene_id)
    camera = replace(scene.source.rig.cameras[0], name="warm")
    tf = np.eye(4)
    tf[:3, 3] = scene.scenario.initial.ego.xyz
    scene.eyes.picture(camera, tf, EPOCH_US, {})


def world_services(
    scenes: Scenes, threads: int = 1, limits: SessionLimits | None = None
) -> dict[str, WorldService]:  # fmt: skip
    """Scenes -> the four services by their names on the wire."""
    return {
        SENSORSIM: SensorsimService(scenes, threads),
        PHYSICS: PhysicsService(scenes, threads),
        TRAFFIC: TrafficService(scenes, threads, limits),
        CONTROLLER: ControllerService(None, threads, limits),
    }


def servers_of(
    services: dict[str, WorldService], config: ServerConfig, split: bool
) -> list[tuple[dict[str, WorldService], ServerConfig]]:
    """Services, an address and whether to split them -> what each server serves, and where."""
    if not split:
        return [(services, config)]
    if config.host.startswith("unix:"):
        return [
            ({name: service}, replace(config, host=f"{config.host}.{service.name}"))
            for name, service in services.items()
        ]
    return [
        ({name: service}, replace(config, port=config.port + k if config.port else 0))
        for k, (name, service) in enumerate(services.items())
    ]


def reapers(services: dict[str, WorldService]) -> list[Callable]:
    """Services -> what closes their idle sessions, to run beside them."""
    return [s.sessions.reap for s in services.values() if isinstance(s, TrafficService | ControllerService)]
