"""AlpaSim's logs as jobs: a rollout in, an ASL file out; and an ASL file in, a rollout with metrics and a page out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cordillera.data.rollouts import read_rollout, write_rollout
from cordillera.evaluate.metrics import all_metrics
from cordillera.serve.asl_read import AslLog, read_log
from cordillera.serve.asl_rollout import ReadRollout, rollout_of
from cordillera.serve.asl_write import write_asl
from cordillera.serve.controller import blind
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import read_scene
from cordillera.types import MetricResult, Rollout
from cordillera.viewer.page import write_page
from cordillera.viewer.record import DriveVideo
from cordillera.world.maps import load_map

ROLLOUT, FILM = "rollout.npz", "drive.mp4"


@dataclass(frozen=True)
class ReadJob:
    """A log to read: its scene's archive or its map where it does not say itself, and where the results go."""

    source: Path
    folder: Path
    scene: Path | None = None
    map: str = ""
    partial: bool = False  # take what is whole of a damaged file


def write_log(source: Path, target: Path, scene: Path | None = None, console: Console | None = None) -> Path:
    """A rollout file, or the folder of a drive -> the ASL file `target`; ValueError names what is wrong."""
    console = console or Console()
    source = source / ROLLOUT if source.is_dir() else source
    rollout = read_rollout(source)
    recipe: SceneRecipe | None = read_scene(scene).recipe if scene else None
    count = write_asl(rollout, target, recipe)
    size_mb = target.stat().st_size / 1e6
    console.print(
        f"Wrote {target}: {count} records, {len(rollout.steps)} steps, {size_mb:.1f} MB. "
        "Reasons are in it as JSON; pictures are not.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return target


def read_asl(job: ReadJob, console: Console | None = None) -> Rollout:
    """A job -> the log's rollout, and its folder: rollout.npz, drive.mp4 and index.html. Says what the log holds.

    ValueError names what is wrong: a damaged file with the byte, a scene that is not known, steps that are not 0.1 s.
    """
    console = console or Console()
    with console.status(f"reading {job.source} (the first run compiles the kernels)"):
        log = read_log(job.source, job.partial)
        scenario = read_scene(job.scene).recipe.scenario() if job.scene else None
        found = rollout_of(log, scenario, job.map)
        rollout = found.rollout
        road_map = load_map(rollout.scenario.map)
        metrics = all_metrics(rollout, road_map)
        write_rollout(rollout, job.folder / ROLLOUT)
        with DriveVideo(job.folder / FILM, rollout.scenario, road_map) as film:
            for step in rollout.steps:
                film.add(step, blind(step.state.ego))
        page = write_page(rollout, road_map, metrics, job.folder, FILM)
    tell(log, found, metrics, console)
    console.print(f"Open [bold]{page}[/bold]", highlight=False, soft_wrap=True)
    return rollout


def tell(log: AslLog, found: ReadRollout, metrics: tuple[MetricResult, ...], console: Console) -> None:
    """Say what the log holds, what of it could not be used, and how the drive went."""
    counts = Table(box=None, pad_edge=False, show_header=False)
    for kind, count in log.counts.most_common():
        counts.add_row(kind, str(count))
    console.print(counts)
    for line in remarks(log, found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for metric in metrics:
        table.add_row(metric.name, f"{metric.value:.3g}" if metric.valid else "n/a", metric.unit)
    console.print(table)
    rollout = found.rollout
    driven_s = (rollout.final.t_us - rollout.steps[0].state.t_us) * 1e-6
    console.print(f"\n{rollout.scenario.name}: {driven_s:.1f} s ({rollout.ended}).", highlight=False)


def remarks(log: AslLog, found: ReadRollout) -> list[str]:
    """What of a log could not be used, in sentences."""
    out = [f"Read in part. {log.damage}"] if log.damage else []
    if log.counts["unknown"]:
        out.append(f"{log.counts['unknown']} records are of kinds that this program does not know; they were left out.")
    if found.strangers:
        names = ", ".join(found.strangers[:5]) + (", ..." if len(found.strangers) > 5 else "")
        out.append(f"{len(found.strangers)} objects are not of the scene and were left out: {names}.")
    if found.without_plan:
        out.append(
            f"{found.without_plan} steps have no plan that can be driven; what was driven from there stands in, so "
            "metrics of plans flatter the driver."
        )
    return out
