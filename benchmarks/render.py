"""How fast cameras are drawn: python -m benchmarks.render [--map M ...] [--all].

Four f-theta cameras at 320x180 with colour, semantics, instances and depth, along a drive; CPU milliseconds a set
(process time, so all threads count) and wall milliseconds, medians over the states of the drive. "triangles" are those
in visible range: at the level of detail that is drawn and within the cameras' fields of view, four cameras together;
"drawn" are those that face a camera. The first call's time is taken in a fresh process with an empty cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer, RenderConfig
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.types import CameraName, Rig, Scenario, Weather, WorldState
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

FOUR = (CameraName.CROSS_LEFT, CameraName.FRONT_WIDE, CameraName.CROSS_RIGHT, CameraName.FRONT_TELE)
AIM_MS = 35.0
FIRST = """
import time
from benchmarks.render import FOUR, one_state
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.world.maps import load_map
scenario = one_state("built:four_way")
scene = build_scene(load_map("built:four_way"), scenario.weather, scenario.hour, scenario.region, 0)
start = time.perf_counter()
CpuRenderer(scene).render(scenario.initial, rig(tuple(c.value for c in FOUR), 320, 180))
print(time.perf_counter() - start)
"""


def one_state(name: str, weather: Weather = Weather.CLEAR, hour: float = 12.0) -> Scenario:
    """A scenario to draw the start of."""
    return make_scenario(name, 0, 12.0, weather, hour)


def states_of(scenario: Scenario) -> list[WorldState]:
    """A scenario -> the states of its drive by the expert."""
    rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert()))
    return [step.state for step in rollout.steps]


def triangles(renderer: CpuRenderer, state: WorldState, cameras: Rig) -> tuple[int, int]:
    """Triangles in visible range, and those that were rasterised, over all cameras of a rig."""
    moving, standing = renderer.instances(state)
    seen = drawn = 0
    for camera in cameras.cameras:
        room = renderer.draw(renderer.view(state, camera), renderer.lens(camera), renderer.parts(moving, standing))
        seen += int(room.drawn.filled[2])
        drawn += int(room.buffers.drawn[: room.drawn.filled[0]].sum())
    return seen, drawn


def measure(renderer: CpuRenderer, states: list[WorldState], cameras: Rig) -> tuple[float, float]:
    """Median CPU and wall milliseconds a set over the states; the first state warms up."""
    renderer.render(states[0], cameras)
    cpu, wall = [], []
    for state in states:
        a, b = time.process_time(), time.perf_counter()
        renderer.render(state, cameras)
        cpu.append(1e3 * (time.process_time() - a))
        wall.append(1e3 * (time.perf_counter() - b))
    return statistics.median(cpu), statistics.median(wall)


def first_call() -> float:
    """Seconds of the first set in a fresh process with an empty cache of compiled kernels."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True
        )  # fmt: skip
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", nargs="+", default=["karlsruhe", "town10hd", "built:four_way"])
    parser.add_argument("--all", action="store_true", help="also other sizes, lights and weathers, on the first map")
    parser.add_argument("--no-first", action="store_true", help="leave out the first call, which takes a minute")
    arguments = parser.parse_args()
    jobs = [(name, (320, 180), Weather.CLEAR, 12.0) for name in arguments.map]
    if arguments.all:
        name = arguments.map[0]
        jobs += [(name, size, Weather.CLEAR, 12.0) for size in ((256, 160), (480, 270), (640, 360))]
        jobs += [(name, (320, 180), Weather.CLEAR, 22.0), (name, (320, 180), Weather.RAIN, 14.0)]
    table = Table(title="four f-theta cameras a set", box=None, pad_edge=False)
    for column in ("map", "size", "weather", "hour", "triangles", "drawn", "CPU ms", "wall 1", "wall 2", "speed-up"):
        table.add_column(column, justify="left" if column in ("map", "weather") else "right")
    console = Console()
    with console.status("") as status:
        for name, size, weather, hour in jobs:
            status.update(f"{name} {size[0]}x{size[1]} {weather} {hour:g} h")
            scenario = one_state(name, weather, hour)
            states = states_of(scenario)[::2]
            cameras = rig(tuple(camera.value for camera in FOUR), *size)
            scene = build_scene(load_map(name), weather, hour, scenario.region, 0)
            alone = CpuRenderer(scene)
            counts = np.median([triangles(alone, state, cameras) for state in states[::10]], axis=0)
            cpu, wall = measure(alone, states, cameras)
            _, both = measure(CpuRenderer(scene, RenderConfig(threads=2)), states, cameras)
            table.add_row(
                name, f"{size[0]}x{size[1]}", weather.value, f"{hour:g}", f"{counts[0]:,.0f}", f"{counts[1]:,.0f}",
                f"{cpu:.1f}", f"{wall:.1f}", f"{both:.1f}", f"{wall / both:.2f}",
            )  # fmt: skip
        first = None if arguments.no_first else first_call()
    console.print(table)
    console.print(f"Aim: at most {AIM_MS:g} CPU ms a set at 320x180 with about 25,000 triangles.", highlight=False)
    if first is not None:
        console.print(f"First set with an empty cache: {first:.0f} s (aim: at most 60).", highlight=False)


if __name__ == "__main__":
    main()
