"""`egodriver.EgodriverService` for a policy of ours: many sessions at once, each with its own window and seed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from cordillera.runtime.driver import SafeDriver
from cordillera.serve.answer import answer_of
from cordillera.serve.convert import time_of
from cordillera.serve.session import DriveSession, senders_of
from cordillera.serve.sessions import SessionLimits, Sessions
from cordillera.serve.track import StaleError
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.serve.wire.services import RefusedError
from cordillera.types import Camera

Context = grpc.aio.ServicerContext
Result = TypeVar("Result")
API_VERSION = (0, 54, 0)
CONTRACT_KEY = "carla-driver-interface-contract"  # metadata in which others say which camera axes they mean
OPTICAL, BODY = "2", "1"
LONGEST_DATA = 1024 * 1024  # bytes of renderer_data


@dataclass(frozen=True, eq=False)
class Served:
    """A policy as it is served: its name, the cameras it reads, and what makes a driver of its own for a seed."""

    name: str
    make: Callable[[int], SafeDriver]
    cameras: tuple[Camera, ...] = ()
    version: str = "0"


@dataclass(frozen=True)
class ServiceConfig:
    """Limits, and how the wire is read."""

    limits: SessionLimits = field(default_factory=SessionLimits)
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    aliases: Mapping[str, str] = field(default_factory=dict)  # the policy's camera -> the client's
    pickled: bool = False


class DriverService:
    """The service; its methods are the calls of the contract. Run `sessions.reap` beside it to close idle ones."""

    def __init__(self, served: Served, config: ServiceConfig | None = None) -> None:
        self.served, self.config = served, config or ServiceConfig()
        self.sessions: Sessions[DriveSession] = Sessions(self.config.limits)
        # pictures are unpacked beside the policies, not behind them
        self._seeing = ThreadPoolExecutor(self.config.threads, thread_name_prefix="see")
        self._driving = ThreadPoolExecutor(self.config.threads, thread_name_prefix="drive")

    # ------------------------------------------------------------ sessions

    async def start_session(self, request: Any, context: Context) -> common_pb2.SessionRequestStatus:
        """A session with its cameras and seed; ALREADY_EXISTS, RESOURCE_EXHAUSTED, or what `senders_of` finds."""

        async def make() -> DriveSession:
            axes = dict(context.invocation_metadata() or ()).get(CONTRACT_KEY, OPTICAL)
            if axes not in (OPTICAL, BODY):
                raise RefusedError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"metadata {CONTRACT_KEY}={axes!r} is not known; 1 (camera axes are the car's) and 2 (optical) are",
                )
            return await self._aside(self._driving, self._begin, request, axes == BODY)

        await self.sessions.begin(request.session_uuid, make)
        return common_pb2.SessionRequestStatus()

    def _begin(self, request: egodriver_pb2.DriveSessionRequest, body_axes: bool) -> DriveSession:
        declared = list(request.rollout_spec.vehicle.available_cameras)
        senders = senders_of(declared, self.served.cameras, self.config.aliases, body_axes)
        return DriveSession(
            request.session_uuid, self.served.make(int(request.random_seed)), self.served.cameras, senders
        )

    async def close_session(self, request: Any, context: Context) -> common_pb2.Empty:
        """Forget a session; one that is not open is closed already."""
        self.sessions.close(request.session_uuid)
        return common_pb2.Empty()

    # -------------------------------------------------------- observations

    async def submit_image_observation(self, request: Any, context: Context) -> common_pb2.Empty:
        """A camera frame into the session's window."""
        held = self.sessions.find(request.session_uuid)
        await self._aside(self._seeing, held.kept.add_image, request.camera_image)
        return common_pb2.Empty()

    async def submit_egomotion_observation(self, request: Any, context: Context) -> common_pb2.Empty:
        """Poses local_to_rig into the session's track."""
        held = self.sessions.find(request.session_uuid)
        await self._aside(self._seeing, held.kept.add_egomotion, request)
        return common_pb2.Empty()

    async def submit_route(self, request: Any, context: Context) -> common_pb2.Empty:
        """The session's route."""
        self.sessions.find(request.session_uuid).kept.set_route(request.route)
        return common_pb2.Empty()

    async def submit_recording_ground_truth(self, request: Any, context: Context) -> common_pb2.Empty:
        """What the recorded car did. It is not looked at: a driver that sees the answer proves nothing."""
        self.sessions.find(request.session_uuid)
        return common_pb2.Empty()

    # --------------------------------------------------------------- drive

    async def drive(self, request: Any, context: Context) -> egodriver_pb2.DriveResponse:
        """A plan from `time_now_us` on; FAILED_PRECONDITION where the car's place is not known then."""
        held = self.sessions.find(request.session_uuid)
        now_us = time_of(request.time_now_us, "time_now_us")
        if len(request.renderer_data) > LONGEST_DATA:
            raise ValueError(f"renderer_data has {len(request.renderer_data)} bytes; at most {LONGEST_DATA}")
        async with held.turn:
            try:
                return await self._aside(self._driving, self._decide, held.kept, now_us, request.renderer_data)
            except StaleError as error:
                raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
            finally:
                held.heard_s = self.sessions.clock()

    def _decide(self, session: DriveSession, now_us: int, data: bytes) -> egodriver_pb2.DriveResponse:
        observation = session.observation(now_us, data)
        return answer_of(session.driver.drive(observation), observation, self.config.pickled)

    async def get_version(self, request: Any, context: Context) -> common_pb2.VersionId:
        """Who drives, and which contract is spoken."""
        await context.send_initial_metadata(((CONTRACT_KEY, OPTICAL),))
        major, minor, patch = API_VERSION
        return common_pb2.VersionId(
            version_id=f"cordillera {self.served.version} {self.served.name}",
            grpc_api_version=common_pb2.VersionId.APIVersion(major=major, minor=minor, patch=patch),
        )

    # ------------------------------------------------------------- threads

    async def _aside(self, pool: ThreadPoolExecutor, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run work on the service's threads, so that the event loop stays free."""
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)

    def stop(self) -> None:
        """Let go of the threads; work in hand is finished."""
        for pool in (self._seeing, self._driving):
            pool.shutdown(wait=False, cancel_futures=True)
