"""Stills as a job: a map, a seed, conditions and cameras in; pictures with classes, instances, depth and a JSON out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer, warm_up
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.sensors.stills import write_stills
from cordillera.sensors.visibility import visible
from cordillera.types import RoadMap, Scenario, Weather, WorldState
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


@dataclass(frozen=True)
class RenderJob:
    """One moment to look at: where, when, under which conditions, through which cameras."""

    map: str = "karlsruhe"
    seed: int = 0
    cameras: tuple[str, ...] = ("camera_front_wide_120fov", "camera_front_tele_30fov")
    size: tuple[int, int] = (960, 540)
    weather: Weather = Weather.CLEAR
    hour: float = 12.0
    at_s: float = 0.0  # of a drive by the expert
    output: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the files go."""
        plain = Path(self.map).name.split(".")[0] if "built:" not in self.map else self.map.replace(":", "-")
        return self.output or Path("runs") / f"{plain}-{self.seed}-stills"


def render(job: RenderJob, console: Console | None = None) -> list[Path]:
    """One job -> the files that it wrote. Shows progress; raises ValueError for a map that cannot be read or driven."""
    console = console or Console()
    with console.status(f"reading {job.map}"):
        road_map = load_map(job.map)
        scenario = make_scenario(job.map, job.seed, max(job.at_s, 1.0), job.weather, job.hour)
        state = moment(scenario, job.at_s)
    with console.status("building the scene; the first run compiles the kernels, which takes up to a minute"):
        renderer = scene_renderer(scenario, road_map)
        cameras = rig(job.cameras, *job.size, vehicle=scenario.vehicle)
        warm_up(renderer, state, cameras.cameras[0], lambda text: console.print(text, highlight=False))
    start = time.perf_counter()
    frames = renderer.render(state, cameras)
    drawn_ms = 1e3 * (time.perf_counter() - start)
    about = {
        "map": job.map, "seed": job.seed, "weather": job.weather.value, "hour": job.hour, "at_s": job.at_s,
        "region": scenario.region,
    }  # fmt: skip
    files = write_stills(job.folder, frames, visible(state, renderer, cameras), state, road_map, {**about})
    console.print(f"Drew {len(frames)} cameras in {drawn_ms:.0f} ms; {len(files)} files.", highlight=False)
    console.print(f"Open [bold]{files[-1].parent}[/bold]", highlight=False, soft_wrap=True)
    return files


def moment(scenario: Scenario, at_s: float) -> WorldState:
    """A scenario and a time -> its state then, driven by the expert; where the drive ended earlier, its last."""
    if at_s <= 0.0:
        return scenario.initial
    scenario = replace(scenario, duration_s=at_s)
    return roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert())).final


def scene_renderer(scenario: Scenario, road_map: RoadMap) -> CpuRenderer:
    """A scenario and its map -> the renderer of its scene."""
    return CpuRenderer(build_scene(road_map, scenario.weather, scenario.hour, scenario.region, scenario.seed))
