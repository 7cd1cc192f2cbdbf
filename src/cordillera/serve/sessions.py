"""Names of sessions -> what the service keeps for each: begun, found, closed, and let go of when nothing comes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc

from cordillera.serve.wire.services import RefusedError

LONGEST_NAME = 256
Kept = TypeVar("Kept")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions a service keeps, and for how long without a call."""

    sessions: int = 64
    idle_s: float = 600.0


@dataclass(eq=False)
class Held(Generic[Kept]):
    """What is kept for a session, when it was last heard of, and whose turn it is."""

    kept: Kept
    heard_s: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions(Generic[Kept]):
    """The sessions of one service. All methods belong to the event loop's thread."""

    def __init__(self, limits: SessionLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self.clock = limits or SessionLimits(), clock
        self._held: dict[str, Held[Kept] | None] = {}  # None while one is being made

    def __len__(self) -> int:
        return len(self._held)

    async def begin(self, name: str, make: Callable[[], Awaitable[Kept]]) -> None:
        """A name and what makes a session -> it is open; ALREADY_EXISTS, RESOURCE_EXHAUSTED, or what `make` raises."""
        if not name or len(name) > LONGEST_NAME:
            raise ValueError(f"session_uuid has {len(name)} letters; give 1 to {LONGEST_NAME}")
        if name in self._held:
            raise RefusedError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"session {name!r} is open already; close it or take another session_uuid",
            )
        if len(self._held) >= self.limits.sessions:
            raise RefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{len(self._held)} sessions are open, which is the limit; close some, or serve with --sessions",
            )
        self._held[name] = None
        try:
            kept = await make()
        except BaseException:
            self._held.pop(name, None)
            raise
        self._held[name] = Held(kept, self.clock())

    def find(self, name: str) -> Held[Kept]:
        """A name -> its session, heard of now; NOT_FOUND where none is open."""
        held = self._held.get(name)
        if held is None:
            raise RefusedError(
                grpc.StatusCode.NOT_FOUND,
                f"session {name[:64]!r} is not open; call start_session first (sessions close after "
                f"{self.limits.idle_s:g} s without a call)",
            )
        held.heard_s = self.clock()
        return held

    def close(self, name: str) -> None:
        """Forget a session; one that is not open is closed already."""
        if self._held.get(name) is not None:
            del self._held[name]

    def close_idle(self) -> tuple[str, ...]:
        """Forget those from which nothing came for too long; their names."""
        oldest = self.clock() - self.limits.idle_s
        idle = tuple(
            name for name, held in self._held.items() if held and held.heard_s < oldest and not held.turn.locked()
        )
        for name in idle:
            log.warning("session %s is closed: nothing came from it for %g s", name, self.limits.idle_s)
            del self._held[name]
        return idle

    async def reap(self) -> None:
        """Close idle sessions, for ever."""
        while True:
            await asyncio.sleep(min(self.limits.idle_s / 4.0, 30.0))
            self.close_idle()
