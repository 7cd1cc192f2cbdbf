"""The verbs of `cordillera data`: their arguments, and the jobs that they call."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Check = Callable[[str], object]


def add_data(verbs: argparse._SubParsersAction[argparse.ArgumentParser], cameras: Check, seed: Check) -> None:
    """Add `data` with its own verbs; `cameras` and `seed` are the argument types that other verbs use."""
    data = verbs.add_parser("data", help="generate data sets of clips, and look into them")
    jobs = data.add_subparsers(dest="job", required=True, metavar="JOB")

    generate = jobs.add_parser(
        "generate",
        help="drive and film clips into a set in the PhysicalAI-AV layout",
        epilog="example: cordillera data generate --clips 50 --families maps:karlsruhe,maps:town03 --workers 2",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    generate.add_argument("--clips", type=positive, default=25, help="how many clips of 20 s")
    families = "scenario families joined by commas, or all; maps:NAME is everyday driving on a map"
    generate.add_argument(
        "--families", type=words, default="maps:karlsruhe,maps:town03,maps:kashiwanoha", help=families
    )
    generate.add_argument("--regions", type=words, default="", help="joined by commas; none: each family's own")
    generate.add_argument("--split", choices=("train", "val", "test"), default="train", help="of scenarios")
    generate.add_argument("--cameras", type=cameras, default="front-wide,front-tele", help="joined by commas, or none")
    generate.add_argument("--size", type=size, default="256x160", help="width x height of the pictures, both even")
    generate.add_argument("--seed", type=seed, default=0, help="the same arguments give the same bytes")
    generate.add_argument("--workers", type=positive, default=1, help="processes")
    generate.add_argument("--ray", action="store_true", help="on a Ray cluster (RAY_ADDRESS) instead of processes here")
    generate.add_argument("--output", type=Path, default=Path("runs/data"), help="folder of the set")
    generate.set_defaults(run=run_generate)

    for name, text in (
        ("inspect", "list the clips of a set"),
        ("stats", "how a set is balanced over decisions, causes, families and countries"),
    ):
        job = jobs.add_parser(name, help=text, epilog=f"example: cordillera data {name} runs/data")
        job.add_argument("folder", type=Path, help="folder of the set")
        job.set_defaults(run=run_look)

    add_score(jobs)
    verify = jobs.add_parser(
        "verify",
        help="whether all files of a set are as they were written, and all its reasons true",
        epilog="example: cordillera data verify runs/data",
    )
    verify.add_argument("folder", type=Path, help="folder of the set")
    verify.add_argument("--files", action="store_true", help="check the files alone, not the reasons")
    verify.set_defaults(run=run_verify)

    pages = jobs.add_parser(
        "view",
        help="write pages with a clip's videos, its map, and its reasons on a timeline",
        epilog="example: cordillera data view runs/data --clip 3f2a --output runs/view",
    )
    pages.add_argument("folder", type=Path, help="folder of the set")
    pages.add_argument("--clip", action="append", default=[], help="how a clip's id begins; without it all clips")
    pages.add_argument("--output", type=Path, default=Path("runs/view"), help="folder of the pages")
    pages.set_defaults(run=run_view)

    view = jobs.add_parser("hub-view", help="link a set into a hub cache, where the official devkit finds it offline")
    view.add_argument("folder", type=Path, help="folder of the set")
    view.add_argument("--cache", type=Path, required=True, help="cache folder that the devkit is given")
    view.add_argument("--repository", default="cordillera/clips", help="owner/name that the devkit is given")
    view.add_argument("--revision", default="0" * 40, help="40 hexadecimal digits")
    view.set_defaults(run=run_hub_view)


def add_score(jobs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data score`."""
    score = jobs.add_parser(
        "score",
        help="what a policy would have planned and said in the windows of sets: errors in m, F1, agreement",
        epilog="example: cordillera data score runs/data --policy nano --every 1",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    score.add_argument("folder", type=Path, nargs="+", help="folders of sets")
    score.add_argument("--policy", default="nano", help="a policy by name, or the folder of a trained model")
    score.add_argument(
        "--reasoning", choices=("always", "adaptive", "off"), default="always", help="of a trained model"
    )
    score.add_argument("--every", type=seconds, default=1.0, help="seconds between windows of a clip")
    score.add_argument("--output", type=Path, default=argparse.SUPPRESS, help="JSON file for the figures")
    score.set_defaults(run=run_score)


def positive(word: str) -> int:
    """An argument type for whole numbers from 1 up."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 up")
    return int(word)


def seconds(word: str) -> float:
    """An argument type for seconds from 0.1 to 12."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 12.0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds from 0.1 to 12")
    return value


def words(word: str) -> tuple[str, ...]:
    """ "a,b" -> ("a", "b"), "" -> ()."""
    return tuple(part for part in word.split(",") if part)


def size(word: str) -> tuple[int, int]:
    """ "256x160" -> (256, 160)."""
    width, _, height = word.partition("x")
    if (
        not (width.isdecimal() and height.isdecimal())
        or int(width) % 2
        or int(height) % 2
        or min(int(width), int(height)) < 16
    ):
        raise argparse.ArgumentTypeError(f"{word!r} is not a size: write 256x160, both even and at least 16")
    return int(width), int(height)


def run_generate(arguments: argparse.Namespace) -> int:
    from cordillera.presets import data as data_jobs

    families = arguments.families
    if families == ("all",):
        from cordillera.world.scenarios import FAMILIES

        families = tuple(FAMILIES)
    job = data_jobs.DataJob(
        arguments.output, arguments.clips, families, arguments.regions or ("",), arguments.split, arguments.cameras,
        arguments.size, arguments.seed, arguments.workers, arguments.ray,
    )  # fmt: skip
    data_jobs.generate(job)
    return 0


def run_look(arguments: argparse.Namespace) -> int:
    from cordillera.presets import data as data_jobs

    {"inspect": data_jobs.inspect, "stats": data_jobs.stats}[arguments.job](arguments.folder)
    return 0


def run_score(arguments: argparse.Namespace) -> int:
    from cordillera.presets.data_score import ScoreJob, score

    output = getattr(arguments, "output", None)
    score(ScoreJob(tuple(arguments.folder), arguments.policy, arguments.reasoning, arguments.every, output))
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    from cordillera.presets.data_check import verify_set

    return 0 if verify_set(arguments.folder, reasons=not arguments.files) else 1


def run_view(arguments: argparse.Namespace) -> int:
    from cordillera.presets.data_view import view_clips

    print(view_clips(arguments.folder, arguments.clip, arguments.output))
    return 0


def run_hub_view(arguments: argparse.Namespace) -> int:
    from cordillera.data.check import hub_view

    print(hub_view(arguments.folder, arguments.cache, arguments.repository, arguments.revision))
    return 0
