"""How fast a drive is, as a multiple of real time, and where the time goes: python -m benchmarks.drive [MAPS].

Medians over steps of process time on one thread of numba; the first drive, which compiles or loads the kernels, is
not counted. "real time" is the baseline: 100 ms a step. "cameras" is drawing front-wide and front-tele at 256x160 with
colour, semantics, instances and depth; its share is of the closed loop of observing, deciding, driving, stepping and
drawing the cameras, without the video.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.types import CameraName, Step
from cordillera.viewer.record import DriveVideo
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

MAPS = ("karlsruhe", "kashiwanoha", "town01", "town05", "built:four_way")
PARTS = ("observe", "decide", "drive", "step", "draw and encode", "cameras")
CAMERAS, SIZE = (CameraName.FRONT_WIDE.value, CameraName.FRONT_TELE.value), (256, 160)


def measure(name: str, seconds: float, folder: Path) -> tuple[np.ndarray, int]:
    """One drive -> milliseconds (steps, len(PARTS)), and the number of other agents. "drive" includes "decide"."""
    scenario = make_scenario(name, 0, seconds)
    world, policy = World(scenario), RuleExpert()
    scene = build_scene(world.map, scenario.weather, scenario.hour, scenario.region, scenario.seed)
    observer = Observer(rig(CAMERAS, *SIZE), CpuRenderer(scene))
    driver, state = SafeDriver(policy), world.reset()
    window = observer.begin(state)
    progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), 0.0)
    rows = []
    with DriveVideo(folder / "drive.mp4", scenario, world.map) as video:
        while state.t_us < scenario.duration_s * 1e6 and not world.ended(state, progress):
            marks = [time.process_time()]
            observation = observer.observe(window, world.guide.ahead(progress), world.map, scenario.route)
            marks.append(time.process_time())
            policy.decide(observation)
            marks.append(time.process_time())
            output = driver.drive(observation)
            marks.append(time.process_time())
            after = world.step(state, output.controls)
            marks.append(time.process_time())
            video.add(Step(state, output), observation)
            marks.append(time.process_time())
            state, window = after, observer.push(window, after)
            marks.append(time.process_time())
            rows.append(np.diff(marks) * 1e3)
            progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), progress)
    return np.array(rows), int(state.agents.valid.sum())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("maps", nargs="*", default=list(MAPS))
    arguments.add_argument("--seconds", type=float, default=20.0)
    given = arguments.parse_args()
    table = Table(title="milliseconds of process time a step (median), and multiples of real time")
    table.add_column("map")
    for column in ("agents", *PARTS, "cameras' share", "x without cameras", "x real time", "x with video"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        measure(given.maps[0], 2.0, Path(folder))
        for name in given.maps:
            rows, agents = measure(name, given.seconds, Path(folder))
            loop = rows[:, [0, 2, 3]].sum(axis=1)
            seeing = loop + rows[:, 5]
            blind, pace, filmed = (100.0 / np.median(part) for part in (loop, seeing, seeing + rows[:, 4]))
            parts = (f"{value:.2f}" for value in np.median(rows, axis=0))
            share = np.median(rows[:, 5] / seeing)
            table.add_row(name, str(agents), *parts, f"{share:.0%}", f"{blind:.0f}", f"{pace:.1f}", f"{filmed:.1f}")
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
