"""How fast worlds are stepped: agent steps a second on one core, lights, collisions and the road's edge included.

Beside them highway-env and libsumo, where they are installed (`pip install -e '.[bench]'`), with as many vehicles on a
straight motorway of three lanes. An agent step is one road user that is there, moved by 0.1 s. Times are of this
process's CPU. Run `python -m benchmarks.world`.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from cordillera.types import Scenario
from cordillera.world.maps import load_map
from cordillera.world.roads import compile_map
from cordillera.world.spawn import make_scenario
from cordillera.world.traffic import Traffic, TrafficConfig
from cordillera.world.traffic_batch import EGO_HITS, HITS, OFF, STEPS, Worlds

MOTORWAY = "built:straight,length=4000,lanes=3"
MAPS = (MOTORWAY, "built:four_way,control=signals", "town10hd", "karlsruhe")
AGENTS = 32  # the ego among them
EGO_MPS2 = -6.0  # soon at a stand, before the road bends
ROLLOUT = 600  # ticks after which the worlds start again
SECONDS = 1.5  # of each measurement
REPEATS = 15  # the best counts: what else runs on the machine only ever slows a stretch down


def filled(name: str, seed: int, agents: int) -> tuple[Scenario, TrafficConfig]:
    """A map, a seed and a number of road users, the ego among them -> a scenario with as many as find room."""
    config = TrafficConfig(vehicles=agents - 1, people=0, radius_m=1e6, near_m=0.0)
    scenario = make_scenario(name, seed, 60.0)
    roads = compile_map(load_map(name))
    traffic = Traffic(roads, seed, scenario.route, scenario.vehicle, config)
    state = replace(scenario.initial, agents=traffic.populate(scenario.initial.ego, 0))
    return replace(scenario, initial=state), config


def measure(name: str, agents: int, worlds: int, ticks: int) -> tuple[float, float, float]:
    """Map, road users a world, worlds, ticks a call -> agent steps a second (the best stretch), how many of the road
    users are there on average, collisions and departures from the road of others a million steps. The egos come to a
    stand on the road, where the others queue behind them or pass.
    """
    made = [filled(name, seed, agents) for seed in range(min(worlds, 8))]
    scenarios = [replace(made[k % len(made)][0], seed=k) for k in range(worlds)]
    pool, batch = Worlds.of(compile_map(load_map(name)), scenarios, made[0][1])
    controls = np.zeros((worlds, ticks, 2))
    controls[..., 0] = EGO_MPS2
    pool.step(batch, np.tile(controls[:, :1], (1, 100, 1)))
    start, began = batch.copy(), batch.counts.sum(axis=0)
    best, calls, done = 0.0, 0, np.zeros(5)
    for _ in range(REPEATS):
        spent, steps = 0.0, 0
        while spent < SECONDS / REPEATS:
            if calls * ticks % ROLLOUT == 0:
                for now, first in zip(batch, start, strict=True):
                    now[...] = first
            before, started = int(batch.counts[:, STEPS].sum()), time.process_time()
            pool.step(batch, controls)
            spent += time.process_time() - started
            steps += int(batch.counts[:, STEPS].sum()) - before
            calls += 1
            if calls * ticks % ROLLOUT == 0:
                done += batch.counts.sum(axis=0) - began
        best = max(best, steps / spent)
    done += (batch.counts.sum(axis=0) - began) * (calls * ticks % ROLLOUT != 0)
    there, wrong = done[STEPS] / (calls * ticks * worlds), 1e6 * (done[HITS] - done[EGO_HITS] + done[OFF]) / done[STEPS]
    return best, float(there), float(wrong)


def highway_env(agents: int) -> float:
    """Agent steps a second of highway-env's own road, without observations, rewards and pictures."""
    import gymnasium
    import highway_env  # noqa: F401  registers its environments

    settings = {"vehicles_count": agents - 1, "lanes_count": 3, "simulation_frequency": 10, "policy_frequency": 10}
    env = gymnasium.make("highway-v0", config=settings)
    env.reset(seed=0)
    road = env.unwrapped.road  # pyright: ignore[reportAttributeAccessIssue]

    def step() -> None:
        road.act()
        road.step(0.1)

    return len(road.vehicles) * rate(step)


def libsumo(agents: int) -> float:
    """Agent steps a second of SUMO in the same process, on a straight edge of three lanes."""
    import libsumo as sumo

    length = 200_000.0
    lanes = "".join(
        f'<lane id="e_{k}" index="{k}" speed="30" length="{length}" shape="0,{3.5 * k} {length},{3.5 * k}"/>'
        for k in range(3)
    )
    ends = "".join(
        f'<junction id="{name}" type="dead_end" x="{x}" y="0" incLanes="{inc}" intLanes="" shape="{x},0 {x},10"/>'
        for name, x, inc in (("a", 0.0, ""), ("b", length, "e_0 e_1 e_2"))
    )
    net = f'<net version="1.20"><edge id="e" from="a" to="b">{lanes}</edge>{ends}</net>'
    cars = "".join(
        f'<vehicle id="v{k}" type="t" route="r" depart="0" departLane="{k % 3}" departPos="{40 + 40 * (k // 3)}"'
        ' departSpeed="15"/>'
        for k in range(agents)
    )
    routes = f'<routes><vType id="t" carFollowModel="IDM" sigma="0.5"/><route id="r" edges="e"/>{cars}</routes>'
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "net.xml", Path(folder) / "routes.xml"]
        for file, text in zip(files, (net, routes), strict=True):
            file.write_text(text)
        quiet = ["--no-step-log", "true", "--no-warnings", "true", "--step-length", "0.1"]
        sumo.start(["sumo", "-n", str(files[0]), "-r", str(files[1]), "--collision.action", "none", *quiet])
        for _ in range(20):
            sumo.simulationStep()
        count = sumo.vehicle.getIDCount()
        result = count * rate(sumo.simulationStep)
        sumo.close()
    return result


def rate(step: Callable[[], object]) -> float:
    """Something to call -> calls a second, the best stretch."""
    best = 0.0
    for _ in range(REPEATS):
        calls, spent, started = 0, 0.0, time.process_time()
        while spent < SECONDS / REPEATS:
            step()
            calls += 1
            spent = time.process_time() - started
        best = max(best, calls / spent)
    return best


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="the motorway and the others' simulators only")
    given = arguments.parse_args()
    console = Console(width=120)
    table = Table(title=f"{AGENTS} road users a world, 16 worlds, one core")
    for column in ("world", "million agent steps a second", "there on average", "mishaps a million steps"):
        table.add_column(column, justify="left" if column == "world" else "right")
    for name in MAPS[:1] if given.quick else MAPS:
        speed, there, wrong = measure(name, AGENTS, 16, 50)
        table.add_row(name, f"{speed / 1e6:.2f}", f"{there:.1f}", f"{wrong:.1f}")
    for module, function in (("highway_env", highway_env), ("libsumo", libsumo)):
        if importlib.util.find_spec(module) is None:
            table.add_row(module, "not installed", "", "")
        else:
            table.add_row(module, f"{function(AGENTS) / 1e6:.4f}", "", "")
    console.print(table)
    if given.quick:
        return
    table = Table(title="as the number of road users and worlds grows: million agent steps a second")
    for column in ("map", "road users a world", "worlds", "50 ticks a call", "1 tick a call"):
        table.add_column(column, justify="left" if column == "map" else "right")
    for name, agents, worlds in (
        *(("town05", agents, 4) for agents in (32, 64, 128, 256, 512)),
        *((MOTORWAY, AGENTS, worlds) for worlds in (1, 4, 16, 64, 256)),
    ):
        many, one = measure(name, agents, worlds, 50), measure(name, agents, worlds, 1)
        table.add_row(name, f"{many[1]:.0f} of {agents}", str(worlds), f"{many[0] / 1e6:.2f}", f"{one[0] / 1e6:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
