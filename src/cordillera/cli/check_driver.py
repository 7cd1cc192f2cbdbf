"""The verb `cordillera check-driver`: its arguments, and the job that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cordillera.cli.bench import count_from
from cordillera.cli.cameras import SHORT, size_of
from cordillera.cli.channel import channel_arguments, remote_of
from cordillera.cli.serve import EXTRA

Verbs = argparse._SubParsersAction
Check = Callable[[str], object]


def add_check_driver(verbs: Verbs[argparse.ArgumentParser], milliseconds: Check) -> None:
    """Add `check-driver`; `milliseconds` is an argument type."""
    verb = verbs.add_parser(
        "check-driver",
        help="try a driver service of AlpaSim's contract: what passes, what fails, why it matters, how to mend it",
        epilog="example: cordillera check-driver 127.0.0.1:50051 --cameras camera_front --size 640x360; the exit "
        "status is 1 where a required check fails",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    verb.add_argument("address", metavar="HOST:PORT", help="where the driver is; or unix:PATH")
    channel_arguments(verb)
    verb.add_argument(
        "--cameras", type=names_of, default="all",
        help="to declare, joined by commas: of our rig, or any other name for a pinhole camera ahead; all, or none",
    )  # fmt: skip
    verb.add_argument("--size", type=size_of, default="480x270", help="of their pictures, as WIDTHxHEIGHT")
    verb.add_argument("--steps", type=count_from(2), default=30, help="of the drive that is measured")
    verb.add_argument("--sessions", type=count_from(2), default=4, help="at once")
    verb.add_argument("--budget", type=milliseconds, default=100.0, help="milliseconds that a decision may take")
    verb.add_argument("--strict", action="store_true", help="let the checks that are only advised count, too")
    verb.add_argument("--json", action="store_true", help="print the report as JSON")
    verb.set_defaults(run=run_check_driver)


def names_of(word: str) -> tuple[str, ...]:
    """ "front-wide,camera_front", "all" or "none" -> names of cameras."""
    if word in ("", "none"):
        return ()
    if word == "all":
        return tuple(SHORT.values())
    return tuple(dict.fromkeys(SHORT.get(part.strip(), part.strip()) for part in word.split(",") if part.strip()))


def run_check_driver(arguments: argparse.Namespace) -> int:
    try:
        from cordillera.presets.check_driver import CheckJob, check_driver
    except ImportError as error:
        raise ValueError(EXTRA) from error
    job = CheckJob(
        remote=remote_of(arguments.address, arguments),
        cameras=arguments.cameras,
        size=arguments.size,
        steps=arguments.steps,
        sessions=arguments.sessions,
        budget_ms=arguments.budget,
        strict=arguments.strict,
        as_json=arguments.json,
    )
    return check_driver(job)
