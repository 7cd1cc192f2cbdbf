"""The driver's service under load, and what the wire costs: `python -m benchmarks.serve`.

A server in a process of its own serves nano (random weights, int8 graphs: they cost what trained ones do) to sessions
in this process, each of which sends what AlpaSim's runtime sends a step: two JPEG pictures of the size given, a pose,
a route, a request for a plan. All share the machine's cores, the decoding of pictures and the callers' work included.
The second table is the wire alone: the same decisions in process and through it, one caller, a policy that costs
little. Milliseconds are of the wall clock, so run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cordillera.policy.baselines import RouteFollower
from cordillera.presets.policies import PLANS
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.rig import rig
from cordillera.serve.channel import Endpoint
from cordillera.serve.check_scene import HISTORY, Scene
from cordillera.serve.client import RemoteConfig, RemoteDriver
from cordillera.serve.driver_service import DriverService, Served, ServiceConfig
from cordillera.serve.notes import reasons_of
from cordillera.serve.server import ServerConfig, serve
from cordillera.serve.session import DriveSession, senders_of
from cordillera.serve.wire import egodriver_pb2
from cordillera.serve.wire.services import DRIVER, Stub
from cordillera.types import Observation

NAMES = ("camera_front_wide_120fov", "camera_front_tele_30fov")
SIZE = (224, 128)  # of the pictures that the model reads
LOOP = 20  # steps after which a session's pictures repeat, under new stamps


def write_nano(folder: Path) -> None:
    """Write a nano with random weights as the graphs that are served."""
    from cordillera.policy.vla.config import nano
    from cordillera.policy.vla.export import export
    from cordillera.policy.vla.model import new_vla
    from cordillera.policy.vla.tokenizer import build_tokenizer

    base = nano()
    config = replace(base, prompt=replace(base.prompt, cameras=NAMES, image_size=SIZE))
    export(new_vla(config), build_tokenizer(config), folder, int8=True)


def run_server(folder: str, words: bool) -> None:
    """Serve until told to stop: the folder's model, or the route follower where it is "-"."""
    if folder == "-":
        cameras = rig(NAMES, *SIZE).cameras if words else ()
        served = Served("route-follower", lambda seed: SafeDriver(RouteFollower()), cameras)
    else:
        from benchmarks.windows import trace_grammar
        from cordillera.policy.student import Student, StudentConfig

        config = StudentConfig(samples=PLANS, reason=words, threads=1)
        student = Student(folder, config)
        student.grammar = trace_grammar(student.tokenizer)
        served = Served("nano", lambda seed: SafeDriver(student.afresh(seed)), rig(NAMES, *SIZE).cameras)
    service = DriverService(served, ServiceConfig())
    ready = lambda address: print(address, flush=True)  # noqa: E731 - one line for whoever started this
    asyncio.run(serve({DRIVER: service}, ServerConfig(port=0), ready, (service.sessions.reap,)))


class ServerProcess:
    """A server in a process of its own, as a context manager that gives its address."""

    def __init__(self, folder: str, words: bool) -> None:
        self.command = [sys.executable, "-m", "benchmarks.serve", "--server", folder, *(["--words"] if words else [])]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *facts: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu_s(self) -> float:
        """CPU seconds that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(eq=False)
class Load:
    """What the sessions measured."""

    drive_ms: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    fallbacks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def drive_session(stub: Stub, scene: Scene, number: int, load: Load, until: list[float]) -> None:
    """One session, step after step, from `until[0]` on measured, until `until[1]`."""
    name = str(uuid.uuid4())
    stub.start_session(scene.start(name, number))
    step = 0
    while time.perf_counter() < until[1]:
        frames = [scene.frame(name, camera, step % LOOP) for camera in scene.cameras]
        for each in frames:
            each.camera_image.frame_end_us = each.camera_image.frame_start_us = scene.now_us(step)
        messages = [scene.egomotion(name, step, HISTORY if step == 0 else 1), scene.route(name, step)]
        request = scene.drive(name, step)
        began = time.perf_counter()
        calls = [stub.submit_image_observation.future(each) for each in frames]  # type: ignore[attr-defined]
        for call in calls:
            call.result()
        stub.submit_egomotion_observation(messages[0])
        stub.submit_route(messages[1])
        asked = time.perf_counter()
        answer = stub.drive(request)
        ended = time.perf_counter()
        said = reasons_of(answer.debug_info.unstructured_debug_info)
        step += 1
        if began >= until[0]:
            with load.lock:
                load.drive_ms.append((ended - asked) * 1e3)
                load.step_ms.append((ended - began) * 1e3)
                load.sent += sum(m.ByteSize() for m in (*frames, *messages, request))
                load.received += answer.ByteSize()
                load.fallbacks += said is None or said.verdict.action == "fallback"
    stub.close_session(egodriver_pb2.DriveSessionCloseRequest(session_uuid=name))


def sustained(server: ServerProcess, address: str, scene: Scene, sessions: int, seconds: float) -> None:
    """Drive sessions at once for some seconds, and print what came of it."""
    load = Load()
    with Endpoint(address).channel() as channel, ThreadPoolExecutor(sessions) as pool:
        stub = Stub(channel, DRIVER)
        drive_session(stub, scene, 0, Load(), [0.0, time.perf_counter() + 2.0])
        warm = time.perf_counter() + 3.0
        until = [warm, warm + seconds]
        jobs = [pool.submit(drive_session, stub, scene, k, load, until) for k in range(sessions)]
        time.sleep(max(warm - time.perf_counter(), 0.0))
        before = server.cpu_s()
        for job in jobs:
            job.result()
        cpu_s = server.cpu_s() - before
    count = len(load.drive_ms)
    spent = f"{1e3 * cpu_s / count:7.1f}"
    rows = " ".join(f"{np.percentile(load.drive_ms, p):7.0f}" for p in (50, 95, 99))
    whole = f"{np.percentile(load.step_ms, 50):7.0f}"
    bytes_each = f"{load.sent / count / 1e3:7.0f} {load.received / count / 1e3:7.1f}"
    print(f"{sessions:8} {count / seconds:11.1f} {rows} {whole} {spent} {bytes_each} {load.fallbacks / count:9.0%}")


def overhead(cameras: bool, decisions: int) -> None:
    """Print what a decision costs in process and through the wire: by the wall clock, and of both ends' CPU."""
    moments = observations(Scene(rig(NAMES, *SIZE).cameras if cameras else (), image_format="PNG"), decisions)
    here_ms, here_cpu_ms = timed(SafeDriver(RouteFollower()).drive, moments)
    server = ServerProcess("-", cameras)
    with server as address:
        for kind in ("PNG", "JPEG") if cameras else ("PNG",):
            remote = RemoteDriver(address, RemoteConfig(image_format=kind))
            remote.decide(moments[0])
            at, sent, received = server.cpu_s(), remote.sent_bytes, remote.received_bytes
            wire_ms, cpu_ms = timed(remote.decide, moments[1:])
            count = len(moments) - 1
            cpu_ms += 1e3 * (server.cpu_s() - at) / count
            sent, received = (remote.sent_bytes - sent) / count, (remote.received_bytes - received) / count
            remote.close()
            words = f"2 cameras {SIZE[0]}x{SIZE[1]}, {kind}" if cameras else "no cameras"
            times = f"{here_ms:8.2f} {wire_ms:8.2f} {here_cpu_ms:12.2f} {cpu_ms:12.2f}"
            print(f"{words:26} {times} {sent / 1e3:8.1f} {received / 1e3:8.1f}")


def timed(decide: Callable[[Observation], object], moments: list[Observation]) -> tuple[float, float]:
    """A driver and what it is shown -> milliseconds a decision: the wall clock's median, the CPU's mean."""
    walls, cpu = [], time.process_time()
    for moment in moments:
        began = time.perf_counter()
        decide(moment)
        walls.append((time.perf_counter() - began) * 1e3)
    return float(np.median(walls)), 1e3 * (time.process_time() - cpu) / len(moments)


def observations(scene: Scene, count: int) -> list[Observation]:
    """The windows of a scene's first steps, as our own loop would give them."""
    declared = list(scene.start("here", 0).rollout_spec.vehicle.available_cameras)
    session = DriveSession("here", SafeDriver(RouteFollower()), scene.cameras, senders_of(declared, scene.cameras, {}))
    out = []
    for step in range(count):
        for camera in scene.cameras:
            session.add_image(scene.frame("here", camera, step).camera_image)
        session.add_egomotion(scene.egomotion("here", step, HISTORY if step == 0 else 1))
        session.set_route(scene.route("here", step).route)
        moment = session.observation(scene.now_us(step))
        past = moment.ego_history
        shift = scene.now_us(0) - 10_000_000  # our own times begin near zero
        out.append(
            replace(
                moment,
                t_us=moment.t_us - shift,
                image_t_us=tuple(t - shift for t in moment.image_t_us),
                ego_history=replace(past, t_us=past.t_us - shift),
                ego=replace(moment.ego, t_us=moment.t_us - shift),
            )
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="the service under load, and what the wire costs")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", default="640x360", help="of the pictures that are sent")
    parser.add_argument("--decisions", type=int, default=60, help="of the second table")
    parser.add_argument("--model", default="", help="folder of exported graphs; default: nano with random weights")
    parser.add_argument("--server", help=argparse.SUPPRESS)
    parser.add_argument("--words", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.server:
        run_server(arguments.server, arguments.words)
        return
    width, height = (int(part) for part in arguments.size.split("x"))
    scene = Scene(rig(NAMES, width, height).cameras)
    for camera in scene.cameras:
        for step in range(LOOP):
            scene.frame("", camera, step)  # drawn and encoded once, before anything is timed
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or scratch
        if not arguments.model:
            write_nano(Path(scratch))
        print(f"{os.cpu_count()} cores for the server and its callers; two {arguments.size} JPEG pictures a step")
        print("sessions decisions/s  p50_ms  p95_ms  p99_ms step_ms  cpu_ms sent_kB   kB_in fallbacks")
        for words in (False, True):
            print("with words of at most 16 tokens:" if words else "without words:")
            server = ServerProcess(folder, words)
            with server as address:
                for sessions in arguments.sessions:
                    sustained(server, address, scene, sessions, arguments.seconds)
    print("\nroute follower              here_ms  wire_ms  here_cpu_ms  wire_cpu_ms  sent_kB   got_kB")
    for cameras in (False, True):
        overhead(cameras, arguments.decisions)


if __name__ == "__main__":
    main()
