"""Arguments that say how a driver behind an address is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def channel_arguments(verb: argparse.ArgumentParser) -> None:
    """The arguments that say how a driver behind an address is called."""
    verb.add_argument(
        "--ca", type=Path, default=argparse.SUPPRESS, help="certificate to trust, PEM; without it, plain text"
    )
    verb.add_argument("--token-file", type=Path, default=argparse.SUPPRESS, help="file with the token to show to it")


def remote_of(address: str, arguments: argparse.Namespace) -> Any:
    """An address and the arguments of `channel_arguments` -> where the driver is."""
    from cordillera.presets.remote import Remote

    return Remote(address, getattr(arguments, "ca", None), getattr(arguments, "token_file", None))
