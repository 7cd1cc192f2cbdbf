"""Throughput of the reinforcement learning environment: python -m benchmarks.env.

Steps a second, for one environment and for vectors of them in processes, by kind of observation and action. Random
actions close to none, so that episodes last; a reset counts as it comes. Process time of this process for one
environment, wall time for vectors; the first episode, which compiles or loads the kernels, is not counted.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

import cordillera.env  # noqa: F401 - registers the environment
from cordillera.types import Scenario
from cordillera.world.spawn import make_scenario

NAME = "cordillera/Drive-v0"


def drive_on(name: str, seconds: float, seed: int) -> Scenario:
    return make_scenario(name, seed, seconds)


def alone(steps: int, **choices: Any) -> float:
    """Steps a second of process time of one environment."""
    env = gymnasium.make(NAME, disable_env_checker=True, **choices)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    env.step(_action(env.action_space, rng))
    began = time.process_time()
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(_action(env.action_space, rng))
        if terminated or truncated:
            env.reset()
    spent = time.process_time() - began
    env.close()
    return steps / spent


def together(count: int, steps: int, **choices: Any) -> float:
    """Steps a second of wall time of that many environments, a process each."""
    envs = gymnasium.make_vec(
        NAME, num_envs=count, vectorization_mode="async", vector_kwargs={"context": "spawn"}, **choices
    )
    rng = np.random.default_rng(0)
    envs.reset(seed=0)
    envs.step(np.zeros(envs.action_space.shape or (), dtype=np.float32))
    began = time.perf_counter()
    for _ in range(steps):
        envs.step(_action(envs.action_space, rng))
    spent = time.perf_counter() - began
    envs.close()
    return count * steps / spent


def _action(space: gymnasium.Space[Any], rng: np.random.Generator) -> np.ndarray:
    """Small controls, or a plan straight ahead at 5 m/s: (2,) or (64, 3), with a leading count for vectors."""
    shape = list(space.shape or ())
    if shape[-1] == 2:
        return rng.uniform(-0.02, 0.05, shape).astype(np.float32)
    plan = np.zeros(shape, dtype=np.float32)
    plan[..., 0] = 0.5 * np.arange(1, shape[-2] + 1)
    return plan


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--map", default="town01")
    arguments.add_argument("--steps", type=int, default=1000)
    arguments.add_argument("--envs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    table = Table(title=f"steps a second on {given.map}, one step is 0.1 s")
    for column in ("observation", "action", "1 environment", f"{given.envs} in processes"):
        table.add_column(column, justify="left" if column in ("observation", "action") else "right")
    scenario = partial(drive_on, given.map, 30.0)
    for observation, action, size in (
        ("state", "controls", None), ("state", "trajectory", None), ("camera", "controls", (160, 90)),
        ("camera", "controls", (320, 180)),
    ):  # fmt: skip
        choices = {"observation": observation, "action": action, "scenario": scenario, "size": size or (1, 1)}
        steps = given.steps // 10 if size else given.steps
        rates = alone(steps, **choices), together(given.envs, steps, **choices)
        label = f"{observation} {size[0]} x {size[1]}" if size else observation
        table.add_row(label, action, *(f"{rate:,.0f}" for rate in rates))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
