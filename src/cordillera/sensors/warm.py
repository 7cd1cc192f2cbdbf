"""Compile the renderer on another core: `python -m cordillera.sensors.warm` draws one small frame and ends.

numba compiles one function at a time in a process. A process beside it, which leaves what it compiled in numba's cache,
halves the wait of a first drive: the one compiles the world, the other the renderer.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from cordillera.sensors import render_frame as frame
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.types import AgentKind, Agents, CameraName, EgoState, Lane, LaneKind, RoadMap, Weather, WorldState


def is_compiled() -> bool:
    """Whether an earlier run has left the last kernel of a frame in numba's cache; it may be out of date."""
    kernel = frame.develop
    return any(Path(kernel.stats.cache_path).glob(f"*{kernel.py_func.__name__}-*.nbi"))


def begin() -> subprocess.Popen[bytes] | None:
    """Nothing -> a process that compiles the renderer, or None where that has been done; `wait` for it."""
    if is_compiled():
        return None
    return subprocess.Popen([sys.executable, "-m", "cordillera.sensors.warm"], stdout=subprocess.DEVNULL)


def draw_a_road() -> None:
    """Draw a car on a bare road in rain at dusk, which takes every kernel of a frame."""
    s = np.arange(0.0, 201.0, 5.0)
    center, left, right = (np.stack([s, np.full_like(s, y), np.zeros_like(s)], axis=1) for y in (0.0, 1.75, -1.75))
    road = RoadMap("road", "right", "US", (Lane("1", LaneKind.DRIVING, center, left, right, 13.9),))
    scene = build_scene(road, Weather.RAIN, 19.0, "US", 0)
    ego = EgoState(0, np.array([20.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))
    one, flat = np.zeros(1, np.int64), np.zeros(1)
    place, size = np.array([[40.0, 0.0, 0.0]]), np.array([[4.5, 1.8, 1.5]])
    cars = Agents(one + 1, one + int(AgentKind.CAR), place, flat, flat, flat, size, one, flat, one == 0)
    state = WorldState(0, ego, cars, np.zeros(0, np.int64))
    CpuRenderer(scene).render(state, rig((CameraName.FRONT_WIDE.value,), 64, 36))


if __name__ == "__main__":
    draw_a_road()
