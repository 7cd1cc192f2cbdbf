"""An address of a driver service -> a policy that asks it: one connection in a process, ended with the process."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a drive without a service needs no gRPC
    from cordillera.serve.client import RemoteDriver

EXTRA = "a driver behind an address needs gRPC: pip install 'cordillera[serve]'"


@dataclass(frozen=True)
class Remote:
    """Where a driver is, the certificate to trust (none: plain text), and the file with the token to show."""

    address: str
    ca: Path | None = None
    token_file: Path | None = None

    @property
    def name(self) -> str:
        """What results call it."""
        return f"driver {self.address}"

    @property
    def maker(self) -> partial[RemoteDriver]:
        """What gives the policy, also in another process."""
        return partial(remote_policy, self)


@cache
def remote_policy(remote: Remote) -> RemoteDriver:
    """A driver's place -> the policy; ConnectionError where nobody answers, ValueError for an address that is none.

    It goes from session to session, so a process that drives many scenarios holds one session open, not many.
    """
    try:
        from cordillera.serve.channel import Endpoint
        from cordillera.serve.client import RemoteDriver
    except ImportError as error:
        raise ValueError(EXTRA) from error
    driver = RemoteDriver(Endpoint(remote.address, remote.ca, remote.token_file), name=remote.name)
    driver.connect()
    atexit.register(driver.close)
    return driver
