"""The command line: one verb a job. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cordillera import __version__
from cordillera.cli.bench import add_bench
from cordillera.cli.cameras import WORDS, add_render, cameras_of, size_of
from cordillera.cli.channel import channel_arguments, remote_of
from cordillera.cli.check_driver import add_check_driver
from cordillera.cli.data import add_data
from cordillera.cli.faith import add_faith
from cordillera.cli.serve import add_serve
from cordillera.cli.train import add_train
from cordillera.cli.world import add_world
from cordillera.types import Weather

POLICIES = ("expert", "route-follower", "constant-velocity", "nano")
REASONING = ("always", "adaptive", "off")
SENSORS = ("ideal", "noisy")
TIMES = {"dawn": 6.5, "morning": 9.0, "noon": 12.0, "afternoon": 15.5, "dusk": 18.5, "night": 23.0}


def nearest(word: str, allowed: Sequence[str]) -> str:
    """A wrong word and the right ones -> a sentence that names the nearest and lists all."""
    close = difflib.get_close_matches(word.lower(), allowed, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{word!r} is not known; {hint}one of: {', '.join(allowed)}"


def one_of(allowed: Sequence[str], folders: bool = False) -> Callable[[str], str]:
    """An argument type that accepts these words, or folders that exist, and names the nearest for any other."""

    def check(word: str) -> str:
        if word not in allowed and not (folders and Path(word).is_dir()):
            raise argparse.ArgumentTypeError(nearest(word, allowed))
        return word

    return check


def number(low: float, high: float, unit: str) -> Callable[[str], float]:
    """An argument type for a number in [low, high]."""

    def check(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{word!r} is not a number of {unit} from {low:g} to {high:g}")
        return value

    return check


def seed_of(word: str) -> int:
    """An argument type for seeds: whole numbers from 0 to 2^63 - 1."""
    if not word.isdecimal() or int(word) >= 2**63:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to 2^63 - 1")
    return int(word)


def hour_of(word: str) -> float:
    """ "14:30", "14.5" or a name such as "dusk" -> the hour of the day."""
    if word in TIMES:
        return TIMES[word]
    hour, _, minute = word.partition(":")
    try:
        value = float(hour) + (int(minute) / 60.0 if minute else 0.0)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < 24.0 or (minute and not 0 <= int(minute) < 60):
        raise argparse.ArgumentTypeError(f"{word!r} is not a time: write 14:30, or one of {', '.join(TIMES)}")
    return value


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="cordillera",
        description="An open driving stack that sees, says why, and drives.",
        epilog="example: cordillera drive --map kashiwanoha --seed 3",
    )
    top.add_argument("--version", action="version", version=f"cordillera {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    drive = verbs.add_parser(
        "drive",
        help="drive through a road network and write a video, a page and the rollout",
        epilog="example: cordillera drive --map town01 --seed 7 --weather rain --time dusk --duration 30",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    scene_arguments(drive)
    who = f"who drives: {', '.join(POLICIES)}, or the folder of a trained model"
    drive.add_argument("--policy", type=one_of(POLICIES, folders=True), default="expert", help=who)
    drive.add_argument(
        "--driver", metavar="HOST:PORT", default=argparse.SUPPRESS,
        help="drive by a service of AlpaSim's driver contract instead (see: cordillera serve)",
    )  # fmt: skip
    channel_arguments(drive)
    drive.add_argument(
        "--reasoning", type=one_of(REASONING), default="always",
        help="of a trained model: always in words, where it has something to say, or never",
    )  # fmt: skip
    drive.add_argument("--cameras", type=cameras_of, default="front-wide,front-tele", help=f"of {', '.join(WORDS)}")
    drive.add_argument("--size", type=size_of, default="384x216", help="of a camera's picture, as WIDTHxHEIGHT")
    drive.add_argument(
        "--sensor", type=one_of(SENSORS), default="ideal",
        help="ideal: pictures as drawn; noisy: automatic exposure with lag, shot and read noise, lost frames",
    )  # fmt: skip
    drive.add_argument("--duration", type=number(1.0, 3600.0, "seconds"), default=40.0, help="longest drive in seconds")
    drive.add_argument(
        "--output",
        type=Path,
        default=argparse.SUPPRESS,
        help="folder for the results (default: runs/<map>-<policy>-<seed>)",
    )
    drive.set_defaults(run=run_drive)

    add_render(verbs, scene_arguments, number(0.0, 3600.0, "seconds"))
    add_bench(verbs, cameras_of)
    add_data(verbs, cameras_of, seed_of)
    add_train(verbs, cameras_of, seed_of)
    add_world(verbs, scene_arguments, number(1.0, 3600.0, "seconds"))
    add_serve(verbs, number(1.0, 86400.0, "seconds"))
    add_check_driver(verbs, number(0.1, 1e6, "milliseconds"))
    add_faith(verbs, cameras_of, size_of, number(0.0, 60.0, "seconds"))

    maps = verbs.add_parser(
        "maps",
        help="list the bundled maps, or say what is in one map and what its reader assumed",
        epilog="example: cordillera maps path/to/network.xodr",
    )
    maps.add_argument("map", nargs="?", help="a bundled name or an OpenDRIVE or Lanelet2 file")
    maps.set_defaults(run=run_maps)
    return top


def scene_arguments(verb: argparse.ArgumentParser) -> None:
    """The arguments that say which scene: shared by the verbs that need one."""
    verb.add_argument("--map", default="karlsruhe", help="a bundled name (see: cordillera maps), or a map file")
    verb.add_argument("--seed", type=seed_of, default=0, help="the same seed gives the same drive")
    verb.add_argument("--weather", type=one_of([w.value for w in Weather]), default="clear", help="sky and road")
    verb.add_argument("--time", type=hour_of, default="noon", help=f"HH:MM, or one of {', '.join(TIMES)}")


def run_drive(arguments: argparse.Namespace) -> int:
    from cordillera.presets import drive as drive_jobs

    job = drive_jobs.DriveJob(
        map=arguments.map,
        seed=arguments.seed,
        policy=arguments.policy,
        driver=remote_of(arguments.driver, arguments) if hasattr(arguments, "driver") else None,
        reasoning=arguments.reasoning,
        cameras=arguments.cameras,
        size=arguments.size,
        sensor=arguments.sensor,
        weather=Weather(arguments.weather),
        hour=arguments.time,
        duration_s=arguments.duration,
        output=getattr(arguments, "output", None),
    )
    drive_jobs.drive(job)
    return 0


def run_maps(arguments: argparse.Namespace) -> int:
    from cordillera.presets import drive as drive_jobs

    drive_jobs.describe_maps(arguments.map)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Arguments -> exit status: 0 done, 1 a check failed, 2 for input that a person can mend (its reason on stderr)."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError) as error:
        print(f"cordillera {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"cordillera {arguments.verb}: interrupted before there was anything to keep", file=sys.stderr)
        return 130
