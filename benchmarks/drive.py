"""How fast a drive is, as a multiple of real time, and where the time goes: python -m benchmarks.drive [MAPS].

Medians over steps of process time on one thread of numba; the first drive, which compiles or loads the kernels, is
not counted. "real time" is the baseline: 100 ms a step.
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
from cordillera.types import Step
from cordillera.viewer.record import DriveVideo
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

MAPS = ("karlsruhe", "kashiwanoha", "town01", "town05", "built:four_way")
PARTS = ("observe", "decide", "drive", "step", "draw and encode")


def measure(name: str, seconds: float, folder: Path) -> tuple[np.ndarray, int]:
    """One drive -> milliseconds (steps, len(PARTS)), and the number of other agents. "drive" includes "decide"."""
    scenario = make_scenario(name, 0, seconds)
    world, observer, policy = World(scenario), Observer(), RuleExpert()
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
            rows.append(np.diff(marks) * 1e3)
            state, window = after, observer.push(window, after)
            progress = world.guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), progress)
    return np.array(rows), int(state.agents.valid.sum())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("maps", nargs="*", default=list(MAPS))
    arguments.add_argument("--seconds", type=float, default=20.0)
    given = arguments.parse_args()
    table = Table(title="milliseconds of process time a step (median), and multiples of real time")
    table.add_column("map")
    for column in ("agents", *PARTS, "x real time", "x with video"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        measure(given.maps[0], 2.0, Path(folder))
        for name in given.maps:
            rows, agents = measure(name, given.seconds, Path(folder))
            loop = rows[:, [0, 2, 3]].sum(axis=1)
            pace, filmed = 100.0 / np.median(loop), 100.0 / np.median(loop + rows[:, 4])
            parts = (f"{value:.2f}" for value in np.median(rows, axis=0))
            table.add_row(name, str(agents), *parts, f"{pace:.0f}", f"{filmed:.1f}")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
