"""One drive as a job: a scenario and a policy in; a video, a page and the records out. And what a map holds."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cordillera.data.rollouts import write_rollout
from cordillera.evaluate.metrics import all_metrics
from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.presets.policies import policy_of, seen_by
from cordillera.presets.remote import Remote, remote_policy
from cordillera.runtime.driver import DriverConfig, Policy, SafeDriver
from cordillera.runtime.track import TrackConfig
from cordillera.sensors import warm
from cordillera.sensors.imaging import NOISY, ImagingConfig
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer, RenderConfig
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.types import MetricResult, Observation, RoadMap, Rollout, Scenario, Step, Weather
from cordillera.viewer.page import write_page
from cordillera.viewer.record import DriveVideo
from cordillera.world.maps import bundled_maps, load_map
from cordillera.world.roads import compile_map
from cordillera.world.spawn import make_scenario
from cordillera.world.vehicle import VehicleConfig
from cordillera.world.world import World

SENSORS = {"ideal": ImagingConfig(), "noisy": NOISY}


@dataclass(frozen=True)
class DriveJob:
    """One drive: where, under which conditions, by whom, for how long."""

    map: str = "karlsruhe"
    seed: int = 0
    policy: str = "expert"  # or "nano", or the folder of a trained model
    driver: Remote | None = None  # drives instead of the policy
    reasoning: str = "always"  # of a trained model; "adaptive" or "off"
    cameras: tuple[str, ...] = ()
    size: tuple[int, int] = (384, 216)  # of a camera's picture
    sensor: str = "ideal"  # or "noisy"
    weather: Weather = Weather.CLEAR
    hour: float = 12.0
    duration_s: float = 40.0
    output: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the results go."""
        plain = Path(self.map).name.split(".")[0] if "built:" not in self.map else self.map.replace(":", "-")
        who = "driver" if self.driver else Path(self.policy).name
        return self.output or Path("runs") / f"{plain}-{who}-{self.seed}"


@dataclass(frozen=True, eq=False)
class DriveResult:
    folder: Path
    rollout: Rollout
    metrics: tuple[MetricResult, ...]
    page: Path
    setup_s: float  # reading the map, finding a route, compiling
    loop_s: float  # driving, drawing and encoding
    total_s: float


def drive(job: DriveJob, console: Console | None = None) -> DriveResult:
    """One job -> a driven scenario and its folder: rollout.npz, drive.mp4 and index.html.

    Shows progress. Ctrl-C ends the drive after the step in hand and keeps what was driven. Raises ValueError for a
    map that cannot be read or driven, ConnectionError for a driver that does not answer or refuses the cameras.
    """
    console = console or Console()
    started = time.perf_counter()
    policy = remote_policy(job.driver) if job.driver else policy_of(job.policy, job.reasoning)
    job = with_its_cameras(job, policy)
    aside = warm.begin() if job.cameras else None
    once = "; the first run compiles the kernels, which takes one to two minutes" if aside else ""
    with console.status(f"reading {job.map}{once}") as status:
        road_map = load_map(job.map)
        scenario = make_scenario(job.map, job.seed, job.duration_s, job.weather, job.hour)
        world = World(scenario)
        track = TrackConfig(vehicle=VehicleConfig(spec=scenario.vehicle))
        driver = SafeDriver(policy, DriverConfig(track=track))
        if aside:  # a step of a blind drive compiles the world while the other process compiles the renderer
            status.update("compiling the world on one core and the renderer on another (once)")
            roll_out(replace(scenario, duration_s=0.1), world, Observer(), SafeDriver(RuleExpert()))
            aside.wait()
        observer = observer_of(job, scenario, road_map)
        if job.driver:
            remote_policy(job.driver).try_cameras(observer.cameras)
    job.folder.mkdir(parents=True, exist_ok=True)
    ready = time.perf_counter()
    with (
        interrupts() as stop,
        DriveVideo(job.folder / "drive.mp4", scenario, road_map) as video,
        Progress(
            TextColumn("{task.completed:5.1f} s"), BarColumn(24), TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"), console=console, transient=True,
        ) as progress,
    ):  # fmt: skip
        task = progress.add_task("driving", total=job.duration_s, said="the first run compiles")

        def on_step(step: Step, observation: Observation) -> None:
            video.add(step, observation)
            trace = step.output.decision.reasoning
            driven_s = (step.state.t_us - scenario.initial.t_us) * 1e-6 + 0.1
            progress.update(task, completed=driven_s, said=trace.text if trace else "")
            if stop.is_set():
                raise KeyboardInterrupt

        rollout = roll_out(scenario, world, observer, driver, on_step)
        loop_s = time.perf_counter() - ready
    metrics = all_metrics(rollout, road_map)
    write_rollout(rollout, job.folder / "rollout.npz")
    page = write_page(rollout, road_map, metrics, job.folder, video="drive.mp4")
    total_s = time.perf_counter() - started
    result = DriveResult(job.folder, rollout, metrics, page, ready - started, loop_s, total_s)
    tell(result, console)
    return result


def with_its_cameras(job: DriveJob, policy: Policy) -> DriveJob:
    """A job -> the same with the cameras and the size of pictures that a trained model was trained on."""
    names, size = seen_by(policy)
    return replace(job, cameras=names or job.cameras, size=size or job.size)


def observer_of(job: DriveJob, scenario: Scenario, road_map: RoadMap) -> Observer:
    """A job, its scenario and its map -> the senses: the cameras that it names, or odometry and route alone."""
    if not job.cameras:
        return Observer()
    scene = build_scene(road_map, scenario.weather, scenario.hour, scenario.region, scenario.seed)
    cameras = rig(job.cameras, *job.size, vehicle=scenario.vehicle)
    renderer = CpuRenderer(scene, RenderConfig(threads=min(len(job.cameras), os.cpu_count() or 1)))
    return Observer(cameras, renderer, replace(SENSORS[job.sensor], seed=job.seed))


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking into the step in hand; the second Ctrl-C breaks off at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def tell(result: DriveResult, console: Console) -> None:
    """Say how the drive went and where to look."""
    rollout = result.rollout
    driven_s = (rollout.final.t_us - rollout.scenario.initial.t_us) * 1e-6
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for metric in result.metrics:
        table.add_row(metric.name, f"{metric.value:.3g}" if metric.valid else "n/a", metric.unit)
    console.print(table)
    verdicts = Counter(step.output.verdict.action for step in rollout.steps)
    said = ", ".join(f"{count} {action}" for action, count in verdicts.most_common())
    console.print(f"\nDrove {driven_s:.1f} s ({rollout.ended}); verdicts: {said}.", highlight=False)
    stopped = next((step for step in rollout.steps if step.output.verdict.action == "fallback"), None)
    if stopped is not None:
        at_s = (stopped.state.t_us - rollout.scenario.initial.t_us) * 1e-6
        why = stopped.output.verdict.reasons[0]
        console.print(f"[yellow]First fallback after {at_s:.1f} s:[/yellow] {escape(why)}", highlight=False)
    pace = driven_s / max(result.loop_s, 1e-9)
    console.print(
        f"Ready after {result.setup_s:.1f} s, {pace:.1f} times real time with video, {result.total_s:.1f} s in all.",
        highlight=False,
    )
    console.print(f"Open [bold]{result.page}[/bold]", highlight=False, soft_wrap=True)


def describe_maps(name: str | None, console: Console | None = None) -> None:
    """Print a table of the bundled maps, or what is in one map and what its reader took for what the file left out."""
    console = console or Console()
    names = bundled_maps() if name is None else (name,)
    table = Table(box=None, pad_edge=False)
    for column in ("map", "side", "lanes", "lane km", "junction lanes", "signals", "stop lines", "crossings"):
        table.add_column(column, justify="left" if column in ("map", "side") else "right")
    for each in names:
        road_map = load_map(each)
        table.add_row(each, road_map.traffic_side, *_counts(road_map))
    console.print(table)
    if name is not None:
        for line in load_map(name).assumptions:
            console.print(f"  assumed: {line}", highlight=False, markup=False)


def _counts(road_map: RoadMap) -> tuple[str, ...]:
    roads = compile_map(road_map)
    vehicle = [k for k, lane in enumerate(road_map.lanes) if lane.kind in ("driving", "bus")]
    km = sum(roads.length(k) for k in vehicle) * 1e-3
    junction = sum(1 for k in vehicle if road_map.lanes[k].junction)
    counts = (len(road_map.lanes), f"{km:.1f}", junction, len(road_map.signals), len(road_map.stop_lines))
    return (*map(str, counts), str(len(road_map.crossings)))
