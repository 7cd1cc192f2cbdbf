"""Services and an address in, a running gRPC server out: loopback by default, TLS and a token for anything else."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cordillera.serve.wire.services import handlers_of

LEAST_TOKEN = 16
MEGABYTE = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerConfig:
    """Where a server listens, who may call it, and how much at once."""

    host: str = "127.0.0.1"
    port: int = 50051  # 0: one that is free
    tls_cert: Path | None = None  # PEM
    tls_key: Path | None = None  # PEM
    token_file: Path | None = None  # callers send "authorization: Bearer TOKEN"
    message_mb: float = 16.0
    calls: int = 256  # in hand at once; more are told to come back
    grace_s: float = 10.0  # that calls in hand have when the server stops

    @property
    def is_local(self) -> bool:
        """Whether only this machine can call."""
        if self.host == "localhost" or self.host.startswith("unix:"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def target(self) -> str:
        """What gRPC listens on."""
        if self.host.startswith("unix:"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_token(path: Path) -> str:
    """A file with a token -> the token; ValueError for one that is short or cannot be sent."""
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{path}: a token has at least {LEAST_TOKEN} printable letters without spaces")
    return token


def credentials_of(config: ServerConfig) -> grpc.ServerCredentials | None:
    """A config -> TLS credentials, or None for plain text; ValueError where the address needs more than it has."""
    if (config.tls_cert is None) != (config.tls_key is None):
        raise ValueError("TLS needs both a certificate and its key: give --tls-cert and --tls-key")
    if not config.is_local and (config.tls_cert is None or config.token_file is None):
        raise ValueError(
            f"{config.host} can be reached from other machines: give --tls-cert, --tls-key and --token-file, "
            "or listen on 127.0.0.1"
        )
    if config.tls_cert is None or config.tls_key is None:
        return None
    return grpc.ssl_server_credentials([(config.tls_key.read_bytes(), config.tls_cert.read_bytes())])


class TokenGuard(grpc.aio.ServerInterceptor):
    """Lets only calls with the token pass; the others get UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self.wanted = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        sent = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        given = sent if isinstance(sent, bytes) else str(sent).encode()
        if hmac.compare_digest(given, self.wanted):
            return await continuation(handler_call_details)

        async def refuse(request: bytes, context: grpc.aio.ServicerContext) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "send the metadata authorization: Bearer TOKEN")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Server:
    """Services by name on one port, with `grpc.health.v1`; within an event loop."""

    def __init__(self, services: Mapping[str, object], config: ServerConfig) -> None:
        self.config, self.services = config, services
        credentials = credentials_of(config)
        guards = [TokenGuard(read_token(config.token_file))] if config.token_file else []
        size = round(config.message_mb * MEGABYTE)
        options = [
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", size),
            ("grpc.so_reuseport", 0),  # two servers on one port would share its calls
        ]
        self._server = grpc.aio.server(interceptors=guards, options=options, maximum_concurrent_rpcs=config.calls)
        self._server.add_generic_rpc_handlers(tuple(handlers_of(name, s) for name, s in services.items()))
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            bound = (
                self._server.add_secure_port(config.target, credentials)
                if credentials
                else self._server.add_insecure_port(config.target)
            )
        except RuntimeError as error:
            raise OSError(f"cannot listen on {config.target}: {error}; is the port taken?") from error
        self.address = (
            config.target if config.host.startswith("unix:") else config.target.rpartition(":")[0] + f":{bound}"
        )

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()
        for name in ("", *self.services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Say that no more is served, finish the calls in hand, and end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self.config.grace_s)


async def serve(
    services: Mapping[str, object],
    config: ServerConfig,
    ready: Callable[[str], None],
    beside: tuple[Callable[[], Awaitable[None]], ...] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address, `beside` runs along (reapers, say).

    Raises ValueError for an address that needs more protection than it has, OSError for one that is taken.
    """
    await serve_all([(services, config)], lambda addresses: ready(addresses[0]), beside)


async def serve_all(
    parts: Sequence[tuple[Mapping[str, object], ServerConfig]],
    ready: Callable[[list[str]], None],
    beside: tuple[Callable[[], Awaitable[None]], ...] = (),
) -> None:
    """The same for several servers at once, each with its services and its address."""
    servers = [Server(services, config) for services, config in parts]
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    for server in servers:
        await server.start()
    tasks = [asyncio.ensure_future(work()) for work in beside]
    ready([server.address for server in servers])
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*(server.stop() for server in servers))


class Background:
    """The same in a thread of its own, as a context manager that gives the address: for tests and notebooks."""

    def __init__(
        self,
        services: Mapping[str, object],
        config: ServerConfig | None = None,
        beside: tuple[Callable[[], Awaitable[None]], ...] = (),
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self.services, self.config = services, config or ServerConfig(port=0)
        self.beside, self.after = beside, after
        self._loop = asyncio.new_event_loop()
        self._ready: Future[str] = Future()
        self._ended: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        try:
            server = Server(self.services, self.config)
            await server.start()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        tasks = [asyncio.ensure_future(work()) for work in self.beside]
        self._ready.set_result(server.address)
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await server.stop()

    def __enter__(self) -> str:
        self._thread.start()
        return self._ready.result(timeout=60.0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(self.config.grace_s + 10.0)
        self.after()
