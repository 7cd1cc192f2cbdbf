"""`cordillera serve-world` from its start to SIGTERM, and another's driver under our small runtime in our world."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest

from cordillera.cli import main
from cordillera.loop import roll_out
from cordillera.presets.serve_world import world_services
from cordillera.presets.world import recorded, xodr_of
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.serve.client import RemoteDriver
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import read_scene, write_scene
from cordillera.serve.scenes import Scenes, archived
from cordillera.serve.server import Background
from cordillera.serve.wire import common_pb2
from cordillera.serve.wire.services import SENSORSIM, TRAFFIC, Stub
from cordillera.world.maps import load_map
from cordillera.world.world import World
from tests.runtime_client import Runtime

RECIPE = SceneRecipe("built:curve", 1, 4.0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "curve.usdz"
    cameras = rig(("camera_front_wide_120fov",), 64, 36)
    return write_scene(path, recorded(RECIPE), load_map(RECIPE.map), xodr_of(RECIPE.map), RECIPE, cameras)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_verb_serves_until_it_is_told_to_stop(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, seen = free_port() & ~3, {}

    def ask() -> None:
        try:
            for name, service, at in ((SENSORSIM, "get_available_scenes", port), (TRAFFIC, "get_metadata", port + 2)):
                with grpc.insecure_channel(f"127.0.0.1:{at}") as channel:
                    call = getattr(Stub(channel, name), service)
                    seen[name] = call(common_pb2.Empty(), wait_for_ready=True, timeout=60.0)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        assert main(["serve-world", str(archive.parent), "--port", str(port), "--split"]) == 0
    finally:
        asker.join()
        signal.signal(signal.SIGTERM, before)
    scene_id = read_scene(archive).scene_id
    assert list(seen[SENSORSIM].scene_ids) == list(seen[TRAFFIC].supported_map_ids) == [scene_id]
    said = capsys.readouterr().out
    assert f"127.0.0.1:{port} serves SensorsimService (this machine only)" in said
    assert f"127.0.0.1:{port + 3} serves VDCService" in said
    assert f"scene {scene_id}" in said and said.rstrip().endswith("Stopped.")


def test_a_driver_of_others_drives_the_same_under_the_runtime_as_in_our_loop(archive: Path) -> None:
    """`carla-driver-interface`'s route follower, over the world's services and in our own loop: within 0.2 m in 4 s."""
    policies = pytest.importorskip("carla_driver_interface.policies.route_follower")
    serving = pytest.importorskip("carla_driver_interface.server").serving
    scenes = Scenes([archived(archive)])
    scene = scenes.get(scenes.ids[0])
    scenario = scene.scenario
    with serving(policies.RouteFollowerPolicy(), 0, "127.0.0.1", mode="alpasim") as port:
        driver = f"127.0.0.1:{port}"
        remote = RemoteDriver(driver)
        own = roll_out(scenario, World(scenario), Observer(), SafeDriver(remote))
        remote.close()
        with Background(world_services(scenes)) as world:
            runtime = Runtime(
                world, driver, read_scene(archive), scene.roads, scenario.route, scenario.vehicle,
                scenario.initial.ego.speed_mps, (64, 36),
            )  # fmt: skip
            journey = runtime.drive(len(own.steps))
    states = [*(step.state for step in own.steps), own.final]
    apart = [np.linalg.norm(tf[:2, 3] - s.ego.xyz[:2]) for tf, s in zip(journey.tf, states, strict=True)]
    assert max(apart) < 0.2
    assert np.linalg.norm(journey.tf[-1][:2, 3] - journey.tf[0][:2, 3]) > 5.0
