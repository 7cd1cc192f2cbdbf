"""The verb `cordillera serve`: its arguments, and the job that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cordillera.cli.bench import count_from
from cordillera.cli.cameras import SHORT, WORDS, cameras_of, size_of

Verbs = argparse._SubParsersAction
Check = Callable[[str], object]
EXTRA = "the services need gRPC: pip install 'cordillera[serve]'"


def add_serve(verbs: Verbs[argparse.ArgumentParser], seconds: Check) -> None:
    """Add `serve`; `seconds` is an argument type."""
    verb = verbs.add_parser(
        "serve",
        help="serve a policy to AlpaSim, or to any other caller of its driver contract, over gRPC",
        epilog="example: cordillera serve --policy route-follower; then, elsewhere: cordillera check-driver "
        "127.0.0.1:50051",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    who = "who drives: nano, the folder of a trained model, route-follower, constant-velocity, or module:Class"
    verb.add_argument("--policy", required=True, metavar="NAME", help=who)
    verb.add_argument("--reasoning", choices=("always", "adaptive", "off"), default="always", help="of a trained model")
    verb.add_argument(
        "--cameras", type=cameras_of, default="none",
        help=f"that a policy of your own reads, of {', '.join(WORDS)}; a trained model says so itself",
    )  # fmt: skip
    verb.add_argument("--size", type=size_of, default="384x216", help="of their pictures, as WIDTHxHEIGHT")
    verb.add_argument(
        "--camera", type=alias_of, action="append", default=[], metavar="OURS=THEIRS",
        help="the caller's name of a camera, where it differs; front-wide=camera_front, say; may be repeated",
    )  # fmt: skip
    address_arguments(verb)
    verb.add_argument("--sessions", type=count_from(1), default=64, help="at once")
    verb.add_argument(
        "--threads", type=count_from(1), default=1, help="of one decision of a model; more for few sessions"
    )
    verb.add_argument("--idle", type=seconds, default=600.0, help="seconds after which a silent session is closed")
    verb.add_argument(
        "--unsafe-pickle", action="store_true",
        help="send reasons as a pickle, for runtimes that read nothing else; whoever unpickles trusts the sender",
    )  # fmt: skip
    verb.set_defaults(run=run_serve)


def address_arguments(verb: argparse.ArgumentParser) -> None:
    """The arguments that say where a server listens and who may call."""
    verb.add_argument("--host", default="127.0.0.1", help="address, or unix:PATH; others than this machine need TLS")
    verb.add_argument("--port", type=port_of, default=50051, help="0: one that is free")
    verb.add_argument("--tls-cert", type=Path, help="certificate of the server, PEM")
    verb.add_argument("--tls-key", type=Path, help="its key, PEM")
    verb.add_argument("--token-file", type=Path, help="file with the token that callers must show")
    verb.add_argument("--message-mb", type=megabytes_of, default=16.0, help="largest message")


def server_config(arguments: argparse.Namespace) -> Any:
    """Arguments of `address_arguments` -> the configuration of a server; ValueError where gRPC is missing."""
    try:
        from cordillera.serve.server import ServerConfig
    except ImportError as error:
        raise ValueError(EXTRA) from error
    return ServerConfig(
        host=arguments.host,
        port=arguments.port,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        token_file=arguments.token_file,
        message_mb=arguments.message_mb,
    )


def port_of(word: str) -> int:
    """An argument type for ports."""
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port: a whole number from 0 to 65535")
    return int(word)


def megabytes_of(word: str) -> float:
    """An argument type for sizes of messages."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 2000.0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of megabytes from 0.01 to 2000")
    return value


def alias_of(word: str) -> tuple[str, str]:
    """ "front-wide=camera_front" -> the policy's camera and the caller's name for it."""
    ours, equals, theirs = word.partition("=")
    if not (equals and ours and theirs):
        raise argparse.ArgumentTypeError(f"{word!r} is no pair: write the policy's camera=the caller's")
    return SHORT.get(ours, ours), theirs


def run_serve(arguments: argparse.Namespace) -> int:
    server = server_config(arguments)
    from cordillera.presets.serve import ServeJob, serve_policy
    from cordillera.serve.driver_service import ServiceConfig
    from cordillera.serve.sessions import SessionLimits

    service = ServiceConfig(
        SessionLimits(arguments.sessions, arguments.idle),
        aliases=dict(arguments.camera),
        pickled=arguments.unsafe_pickle,
    )
    job = ServeJob(
        arguments.policy, arguments.reasoning, arguments.cameras, arguments.size, arguments.threads, server, service
    )
    serve_policy(job)
    return 0
