"""Drive the expert over maps and seeds and print how it went.

One line a map: what ended the drives, infractions, progress, comfort, standing time, and the speed of the simulation as
a multiple of real time (process time, compilation apart).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
from rich.console import Console
from rich.table import Table

from cordillera.evaluate.metrics import all_metrics, states_of
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Rollout
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

MAPS = (
    "karlsruhe", "kashiwanoha", "ss2", "virtual_right", "virtual_left", "town01", "town02", "town05", "town07",
    "town10hd", "built:four_way", "built:four_way,side=left", "built:t_junction", "built:roundabout", "built:curve",
    "built:merge", "built:rural", "built:work_zone",
)  # fmt: skip


def drive(name: str, seed: int, duration_s: float) -> tuple[Rollout, dict[str, float], float]:
    """One drive -> the rollout, its metrics by name, and the process time that it took."""
    scenario = make_scenario(name, seed, duration_s)
    world = World(scenario)
    started = time.process_time()
    rollout = roll_out(scenario, world, Observer(), SafeDriver(RuleExpert()))
    spent = time.process_time() - started
    return rollout, {m.name: m.value for m in all_metrics(rollout, world.map)}, spent


def longest_stand_s(rollout: Rollout) -> float:
    """The longest time for which the ego stood."""
    best = run = 0
    for state in states_of(rollout):
        run = run + 1 if state.ego.speed_mps < 0.1 else 0
        best = max(best, run)
    return 0.1 * best


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--maps", nargs="+", default=list(MAPS))
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--duration", type=float, default=60.0)
    given = arguments.parse_args()
    console = Console(width=170)
    table = Table(title=f"expert, {given.seeds} drives of {given.duration:g} s a map")
    columns = "map,ended,hits,off s,red,stop,median m,least m,stand s,brake,side,jerk,comfort %,TTC min,not passed"
    for column in (*columns.split(","), "x real time"):
        table.add_column(column, justify="left" if column in ("map", "ended") else "right")
    drive(given.maps[0], given.first, 2.0)  # compile
    for name in given.maps:
        rows, ends, stands, verdicts, spent, driven = [], Counter(), [], Counter(), 0.0, 0.0
        for seed in range(given.first, given.first + given.seeds):
            rollout, row, cost = drive(name, seed, given.duration)
            rows.append(row)
            ends[rollout.ended] += 1
            stands.append(longest_stand_s(rollout))
            verdicts.update(step.output.verdict.action for step in rollout.steps)
            spent, driven = spent + cost, driven + 0.1 * len(rollout.steps)
            bad = row["collisions"] or row["off road"] or row["red lights run"] or row["stop signs run"]
            if bad or rollout.ended not in ("duration", "arrived") or stands[-1] > 45.0:
                console.print(
                    f"  look at {name} seed {seed}: {rollout.ended}, stood {stands[-1]:.0f} s", highlight=False
                )

        def total(key: str, rows: list[dict[str, float]] = rows) -> str:
            return f"{sum(row[key] for row in rows):.3g}"

        def worst(key: str, rows: list[dict[str, float]] = rows) -> str:
            return f"{max(row[key] for row in rows):.2f}"

        gone = [row["progress"] for row in rows]
        soonest = [row["time to collision"] for row in rows if not np.isnan(row["time to collision"])]
        table.add_row(
            name, " ".join(f"{k} {v}" for k, v in ends.items()), total("collisions"), total("off road"),
            total("red lights run"), total("stop signs run"), f"{np.median(gone):.0f}", f"{min(gone):.0f}",
            f"{max(stands):.0f}", worst("max braking"), worst("max lateral acceleration"), worst("max jerk"),
            f"{np.mean([row['comfort'] for row in rows]):.1f}", f"{min(soonest):.1f}" if soonest else "-",
            str(sum(v for k, v in verdicts.items() if k != "pass")), f"{driven / spent:.0f}",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
