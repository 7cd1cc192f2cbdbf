"""An address, and what its server asks of callers -> a channel to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from cordillera.serve.server import MEGABYTE, read_token


@dataclass(frozen=True)
class Endpoint:
    """Where a service is: "HOST:PORT" or "unix:PATH", the certificate to trust, and the token to show."""

    address: str
    ca: Path | None = None  # PEM; without it plain text is spoken
    token_file: Path | None = None
    message_mb: float = 64.0

    def __post_init__(self) -> None:
        host, colon, port = self.address.rpartition(":")
        if not self.address.startswith("unix:") and not (colon and host and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"{self.address!r} is no address; give HOST:PORT, such as 127.0.0.1:50051, or unix:PATH")
        if self.token_file is not None and self.ca is None and not self.address.startswith("unix:"):
            raise ValueError("a token is only sent over TLS: give --ca with the server's certificate")

    @property
    def options(self) -> list[tuple[str, int]]:
        size = round(self.message_mb * MEGABYTE)
        return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]

    def channel(self) -> grpc.Channel:
        """A channel; it connects when it is first used."""
        if self.ca is None:
            channel = grpc.insecure_channel(self.address, self.options)
        else:
            channel = grpc.secure_channel(
                self.address, grpc.ssl_channel_credentials(self.ca.read_bytes()), self.options
            )
        token = read_token(self.token_file) if self.token_file else ""
        return grpc.intercept_channel(channel, _Token(token)) if token else channel


class _Token(grpc.UnaryUnaryClientInterceptor):
    """Adds the token to every call."""

    def __init__(self, token: str) -> None:
        self.entry = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        metadata = (*(client_call_details.metadata or ()), self.entry)
        return continuation(_Details(client_call_details, metadata), request)


class _Details(grpc.ClientCallDetails):
    """A call's details with other metadata."""

    def __init__(self, details: Any, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
        self.method, self.timeout, self.credentials = details.method, details.timeout, details.credentials
        self.wait_for_ready, self.compression, self.metadata = details.wait_for_ready, details.compression, metadata
