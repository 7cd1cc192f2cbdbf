"""What the world's services share: who they are, and threads for the work that the event loop must not wait for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from cordillera import __version__
from cordillera.serve.driver_service import API_VERSION
from cordillera.serve.wire import common_pb2

Context = grpc.aio.ServicerContext
Result = TypeVar("Result")


class WorldService:
    """A service with threads of its own; `name` is what it calls itself."""

    name = "world"

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=self.name)

    @classmethod
    def version(cls) -> common_pb2.VersionId:
        """Who serves, and which contract is spoken."""
        major, minor, patch = API_VERSION
        return common_pb2.VersionId(
            version_id=f"cordillera {__version__} {cls.name}",
            grpc_api_version=common_pb2.VersionId.APIVersion(major=major, minor=minor, patch=patch),
        )

    async def aside(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run work on the service's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def stop(self) -> None:
        """Let go of the threads; work in hand is finished."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def size_of(box: common_pb2.AABB, what: str) -> tuple[float, float, float]:
    """A box's message -> length, width and height in m; ValueError for what is no box."""
    size = (box.size_x, box.size_y, box.size_z)
    if not all(math.isfinite(side) and 0.0 < side <= 200.0 for side in size):
        raise ValueError(f"the aabb of {what} is {size[0]:g} x {size[1]:g} x {size[2]:g} m; send its sides")
    return size


def few(count: int, most: int, what: str) -> None:
    """ValueError for more of something than a request may hold."""
    if count > most:
        raise ValueError(f"the request has {count} {what}; at most {most}")
