"""Checks of a driver service as a job: an address in; findings on the terminal or as JSON, and a verdict out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cordillera.presets.remote import Remote
from cordillera.sensors.rig import MOUNTS, pinhole_camera, rig
from cordillera.serve.channel import Endpoint
from cordillera.serve.check import FAIL, PASS, CheckConfig, CheckReport, Finding, run_checks
from cordillera.serve.check_list import CHECKS
from cordillera.serve.check_scene import Scene
from cordillera.types import Camera

MARKS = {PASS: "[green]pass[/green]", FAIL: "[red]FAIL[/red]"}
PINHOLE_FOV_DEG = 90.0


@dataclass(frozen=True)
class CheckJob:
    """Which driver, with which cameras, how long, and in which form the report is wanted."""

    remote: Remote
    cameras: tuple[str, ...] = ()  # of the rig; any other name is a pinhole camera that looks ahead
    size: tuple[int, int] = (480, 270)
    steps: int = 30
    sessions: int = 4
    budget_ms: float = 100.0
    strict: bool = False
    as_json: bool = False


def check_driver(job: CheckJob, console: Console | None = None) -> int:
    """A job -> 0 where every required check passes (with `strict`: every check), else 1; the report is printed.

    Raises ConnectionError where nobody answers.
    """
    console = console or Console()
    scene = Scene(cameras_named(job.cameras, job.size))
    config = CheckConfig(scene, job.steps, job.sessions, job.budget_ms)
    endpoint = Endpoint(job.remote.address, job.remote.ca, job.remote.token_file)
    if job.as_json:
        report = run_checks(endpoint, config, CHECKS, lambda finding: None)
        console.file.write(json.dumps(tree_of(report, job.strict), indent=1) + "\n")
    else:
        with console.status("calling the driver"):
            report = run_checks(endpoint, config, CHECKS, lambda finding: _tell(finding, console))
        _sum_up(report, job, console)
    return 1 if report.failed(job.strict) else 0


def cameras_named(names: tuple[str, ...], size: tuple[int, int]) -> tuple[Camera, ...]:
    """Names -> cameras: those of our rig as they are, others as pinholes in the place of the front camera."""
    ours = tuple(name for name in names if name in MOUNTS)
    cameras = rig(ours, *size).cameras if ours else ()
    if len(ours) == len(names):
        return cameras
    place = rig(("camera_front_wide_120fov",), *size).cameras[0].tf_rig_camera
    others = [pinhole_camera(name, *size, PINHOLE_FOV_DEG, place) for name in names if name not in MOUNTS]
    return (*cameras, *others)


def tree_of(report: CheckReport, strict: bool) -> dict[str, object]:
    """A report -> the JSON tree for machines."""
    latency = {f"p{p}": _number(report.latency_ms(p)) for p in (50, 95, 99)}
    return {
        "schema": "cordillera.check-driver/1",
        "address": report.address,
        "version": report.version,
        "passed": not report.failed(strict),
        "drive_ms": {"first": _number(report.first_ms), **latency},
        "checks": [asdict(finding) for finding in report.findings],
    }


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _tell(finding: Finding, console: Console) -> None:
    """One finding as it is made; of a failure also why it matters and how to mend it."""
    mark = MARKS.get(finding.outcome, "[dim]skip[/dim]")
    if finding.outcome == FAIL and not finding.required:
        mark = "[yellow]weak[/yellow]"
    table = Table.grid(padding=(0, 2))
    table.add_column(width=4)
    table.add_column(width=28)
    table.add_column()
    table.add_row(mark, finding.name, escape(finding.seen))
    if finding.outcome == FAIL:
        table.add_row("", "", f"[dim]why:[/dim] {finding.why}")
        table.add_row("", "", f"[dim]mend:[/dim] {finding.mend}")
    console.print(table)


def _sum_up(report: CheckReport, job: CheckJob, console: Console) -> None:
    count = {outcome: sum(f.outcome == outcome for f in report.findings) for outcome in (PASS, FAIL, "skip")}
    failed = report.failed(job.strict)
    console.print(
        f"\n{report.version or 'A driver without a version'} at {report.address}: {count[PASS]} checks passed, "
        f"{count[FAIL]} failed ({len(failed)} of them count), {count['skip']} could not be made.",
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip
    if math.isfinite(report.first_ms):
        p50, p95, p99 = (report.latency_ms(p) for p in (50, 95, 99))
        console.print(
            f"A decision takes {p50:.1f} ms (median), {p95:.1f} (95 %), {p99:.1f} (99 %); "
            f"the first took {report.first_ms:.1f}.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    word = "[red]AlpaSim's runtime would fail with this driver, or score it wrongly.[/red]"
    console.print(word if report.failed() else "[green]AlpaSim's runtime can drive with it.[/green]", highlight=False)
