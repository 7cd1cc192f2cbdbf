"""Our worlds for other simulators as jobs: a map and a seed in, the archive of a driven scene out."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import write_scene
from cordillera.types import Rollout
from cordillera.world.maps import load_map
from cordillera.world.opendrive.write import write_opendrive
from cordillera.world.world import World


@dataclass(frozen=True)
class ExportJob:
    """One scene to export: how it is made, which cameras it has, and where it goes."""

    recipe: SceneRecipe
    cameras: tuple[str, ...]
    size: tuple[int, int]
    output: Path


def export_scene(job: ExportJob, console: Console | None = None) -> Path:
    """A job -> the scene archive, with a drive by the expert as the recorded one; ValueError for a map that is none."""
    console = console or Console()
    where = job.recipe.family or job.recipe.map
    with console.status(f"reading {where} and driving it once (the first run compiles the kernels)"):
        rollout = recorded(job.recipe)
        name = rollout.scenario.map
        cameras = rig(job.cameras, *job.size, vehicle=rollout.scenario.vehicle)
        path = write_scene(job.output, rollout, load_map(name), xodr_of(name), job.recipe, cameras)
    driven_s = (rollout.final.t_us - rollout.scenario.initial.t_us) * 1e-6
    console.print(
        f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB): {driven_s:.1f} s driven ({rollout.ended}).",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return path


def recorded(recipe: SceneRecipe) -> Rollout:
    """A recipe -> a drive through its scene by the expert, without cameras."""
    scenario = recipe.scenario()
    return roll_out(scenario, World(scenario), Observer(), SafeDriver(RuleExpert()))


def xodr_of(name: str) -> str:
    """A map's name or file -> OpenDRIVE text: its own where it came from OpenDRIVE, else written from the map."""
    bundled = Path(str(resources.files("cordillera"))) / "assets" / "maps" / f"{name}.xodr.gz"
    for path in (bundled, Path(name)):
        if path.is_file() and path.name.lower().endswith((".xodr", ".xodr.gz")):
            data = path.read_bytes()
            return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", "replace")
    return write_opendrive(load_map(name))
