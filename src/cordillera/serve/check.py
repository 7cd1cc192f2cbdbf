"""An address of any egodriver service in, a report out: named checks, what was seen, why it matters, how to mend it.

What AlpaSim's runtime does with an answer was tried out on the runtime itself; `required` are the checks whose failure
it answers with a failed rollout, or, worse, with a wrong score.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from cordillera.serve.channel import Endpoint
from cordillera.serve.check_scene import HISTORY, Scene
from cordillera.serve.driver_service import CONTRACT_KEY, OPTICAL
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.serve.wire.services import DRIVER, Stub
from cordillera.types import Float

PASS, FAIL, SKIP = "pass", "fail", "skip"


class FaultError(Exception):
    """A check that failed; the text says what was seen."""


class SkipError(Exception):
    """A check that cannot be made; the text says why."""


@dataclass(frozen=True)
class CheckConfig:
    """What is sent, how often, and how fast an answer is wanted."""

    scene: Scene = field(default_factory=Scene)
    steps: int = 30  # of the ordinary drive
    sessions: int = 4  # side by side
    budget_ms: float = 100.0  # one control period
    timeout_s: float = 60.0
    seed: int = 7


@dataclass(frozen=True)
class Finding:
    """One check's outcome."""

    name: str
    outcome: str  # "pass", "fail" or "skip"
    required: bool
    seen: str
    why: str
    mend: str


@dataclass(frozen=True)
class CheckReport:
    """All outcomes, and how long answers took."""

    address: str
    version: str
    findings: tuple[Finding, ...]
    first_ms: float  # the first decision, which often pays for a warm-up
    drive_ms: tuple[float, ...]  # the later ones

    def failed(self, strict: bool = False) -> tuple[Finding, ...]:
        """The required checks that failed; with `strict` the advised ones, too."""
        return tuple(f for f in self.findings if f.outcome == FAIL and (f.required or strict))

    def latency_ms(self, percentile: float) -> float:
        """A percentile of `drive_ms`, NaN where no call was answered."""
        return float(np.percentile(self.drive_ms, percentile)) if self.drive_ms else float("nan")


@dataclass(frozen=True)
class Answered:
    """An answer of the ordinary drive, or the fault in its place."""

    step: int
    response: egodriver_pb2.DriveResponse | None
    fault: str
    ms: float


@dataclass(eq=False)
class Caller:
    """The service, as the checks see it."""

    channel: grpc.Channel
    config: CheckConfig
    ordinary: list[Answered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stub: Any = Stub(self.channel, DRIVER)

    def call(self, name: str, request: Any, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
        """One call; FaultError with its code and sentence where it fails."""
        try:
            return getattr(self.stub, name)(request, timeout=self.config.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise FaultError(words_of(name, error)) from error

    def begin(self, seed: int | None = None, scene: Scene | None = None) -> str:
        """A new session -> its name."""
        name = str(uuid.uuid4())
        scene = scene or self.config.scene
        request = scene.start(name, self.config.seed if seed is None else seed)
        self.call("start_session", request, ((CONTRACT_KEY, OPTICAL),))
        return name

    def end(self, name: str) -> None:
        self.call("close_session", egodriver_pb2.DriveSessionCloseRequest(session_uuid=name))

    def images(self, name: str, step: int, scene: Scene | None = None) -> None:
        """Every camera's frame of a step at once, as the runtime sends them."""
        scene = scene or self.config.scene
        frames = [scene.frame(name, camera, step) for camera in scene.cameras]
        calls = [self.stub.submit_image_observation.future(f, timeout=self.config.timeout_s) for f in frames]
        for call in calls:
            try:
                call.result()
            except grpc.RpcError as error:
                raise FaultError(words_of("submit_image_observation", error)) from error

    def observe(self, name: str, step: int, scene: Scene | None = None, pictures: bool = True) -> None:
        """What comes before a decision: images, egomotion, route."""
        scene = scene or self.config.scene
        if pictures:
            self.images(name, step, scene)
        self.call("submit_egomotion_observation", scene.egomotion(name, step, HISTORY if step == 0 else 1))
        self.call("submit_route", scene.route(name, step))

    def step(self, name: str, step: int, scene: Scene | None = None, pictures: bool = True) -> Any:
        """One whole step of a session -> the answer."""
        self.observe(name, step, scene, pictures)
        return self.call("drive", (scene or self.config.scene).drive(name, step))

    def driven(self, steps: int, seed: int | None = None, scene: Scene | None = None) -> list[Any]:
        """A session of its own, some steps long -> its answers."""
        name = self.begin(seed, scene)
        answers = [self.step(name, k, scene) for k in range(steps)]
        self.end(name)
        return answers

    def drive_ordinary(self) -> None:
        """The drive that most checks look at; a step that fails is noted and the next one tried."""
        name = self.begin()
        for k in range(self.config.steps):
            response, fault = None, ""
            try:
                self.observe(name, k)
                began = time.perf_counter()
                response = self.call("drive", self.config.scene.drive(name, k))
            except FaultError as error:
                fault, began = str(error), time.perf_counter()
            self.ordinary.append(Answered(k, response, fault, (time.perf_counter() - began) * 1e3))
        self.end(name)

    def answers(self) -> list[tuple[int, egodriver_pb2.DriveResponse]]:
        """The answers of the ordinary drive with their steps; SkipError where there is none."""
        answered = [(a.step, a.response) for a in self.ordinary if a.response is not None]
        if not answered:
            raise SkipError("no drive call was answered")
        return answered


@dataclass(frozen=True)
class Check:
    """A check: its name, whether the runtime insists on it, why it matters, how to mend it, and how it is made."""

    name: str
    required: bool
    why: str
    mend: str
    run: Callable[[Caller], str]  # -> what was seen; raises FaultError or SkipError


def run_checks(
    endpoint: Endpoint, config: CheckConfig, checks: tuple[Check, ...], on_check: Callable[[Finding], None]
) -> CheckReport:
    """A service's address and checks in order -> the report; `on_check` sees each finding as it is made.

    The first check is the session itself: where it fails, the others are skipped. ConnectionError where nobody answers.
    """
    with endpoint.channel() as channel:
        caller = Caller(channel, config)
        version = version_of(caller, endpoint)
        findings: list[Finding] = []
        for check in checks:
            stopped = findings and findings[0].outcome == FAIL
            outcome, seen = (SKIP, "no session could be had") if stopped else _made(check, caller)
            findings.append(Finding(check.name, outcome, check.required, seen, check.why, check.mend))
            on_check(findings[-1])
    times = tuple(a.ms for a in caller.ordinary if a.response is not None)
    first = times[0] if times else float("nan")
    return CheckReport(endpoint.address, version, tuple(findings), first, times[1:])


def _made(check: Check, caller: Caller) -> tuple[str, str]:
    try:
        return PASS, check.run(caller)
    except FaultError as fault:
        return FAIL, str(fault)
    except SkipError as reason:
        return SKIP, str(reason)


def version_of(caller: Caller, endpoint: Endpoint) -> str:
    """Who answers; ConnectionError where nobody does, "" for a service that does not say."""
    try:
        return caller.stub.get_version(common_pb2.Empty(), timeout=caller.config.timeout_s).version_id
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:  # type: ignore[attr-defined]
            words = f"nobody answers at {endpoint.address} ({words_of('get_version', error)}); start the driver first"
            raise ConnectionError(words) from error
        return ""


def words_of(name: str, error: Any) -> str:
    """A failed call -> its code and sentence."""
    return f"{name} was answered with {error.code().name}: {error.details() or 'no words'}"


# ----------------------------------------------------------------------- plans


def numbers_of(response: egodriver_pb2.DriveResponse) -> tuple[np.ndarray, Float, Float]:
    """An answer -> its plan as it came: stamps (N,), positions (N, 3), quaternions (N, 4) as x, y, z, w."""
    poses = response.trajectory.poses
    t_us = np.array([p.timestamp_us for p in poses], dtype=np.uint64)
    xyz = np.array([(p.pose.vec.x, p.pose.vec.y, p.pose.vec.z) for p in poses], dtype=np.float64).reshape(-1, 3)
    quat = [(p.pose.quat.x, p.pose.quat.y, p.pose.quat.z, p.pose.quat.w) for p in poses]
    return t_us, xyz, np.array(quat, dtype=np.float64).reshape(-1, 4)


def apart_m(one: egodriver_pb2.DriveResponse, other: egodriver_pb2.DriveResponse) -> float:
    """Two answers -> the largest distance between their plans' poses, infinite where stamps differ or NaN is there."""
    (t_a, xyz_a, _), (t_b, xyz_b, _) = numbers_of(one), numbers_of(other)
    if len(t_a) != len(t_b) or (t_a != t_b).any():
        return float("inf")
    gap = float(np.abs(xyz_a - xyz_b).max()) if len(t_a) else 0.0
    return gap if np.isfinite(gap) else float("inf")
