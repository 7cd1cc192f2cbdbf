"""The verb `cordillera bench`: its arguments, and the job that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cordillera.cli.channel import channel_arguments, remote_of

Check = Callable[[str], object]


def add_bench(verbs: argparse._SubParsersAction[argparse.ArgumentParser], cameras: Check) -> None:
    """Add `bench`; `cameras` is the argument type that other verbs use."""
    bench = verbs.add_parser(
        "bench",
        help="drive policies through scenario families by seed, and report which passes what and which is better",
        epilog="example: cordillera bench --policy expert --policy route-follower --seeds 5; run it again to go on "
        "after a stop",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    bench.add_argument(
        "--policy",
        action="append",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="who drives: a bundled policy, or your own as module:Class; give it again to compare (default: expert, "
        "unless --driver is given)",
    )
    bench.add_argument(
        "--driver", action="append", metavar="HOST:PORT", default=argparse.SUPPRESS,
        help="a service of AlpaSim's driver contract to drive by (see: cordillera serve); may be repeated",
    )  # fmt: skip
    channel_arguments(bench)
    bench.add_argument(
        "--seeds", type=count_from(1), default=5, help="drives of each family, the same for every policy"
    )
    bench.add_argument("--split", choices=("train", "val", "test"), default="val", help="which scenarios to draw from")
    families = "families joined by commas, or all; maps:NAME is everyday driving on a map, and may hold no comma"
    bench.add_argument("--families", type=words, default="all", help=families)
    bench.add_argument("--regions", type=words, default="own", help="joined by commas, or own: each family's own")
    bench.add_argument("--cameras", type=cameras, default="none", help="camera names joined by commas, or none")
    bench.add_argument("--workers", type=count_from(0), default=0, help="processes; 0: one a core")
    bench.add_argument("--ray", action="store_true", help="drive on a Ray cluster (needs the extra: scale)")
    bench.add_argument("--videos", type=count_from(0), default=6, help="films of each policy's worst drives")
    bench.add_argument("--output", type=Path, default=Path("runs/bench"), help="folder; finished drives in it are kept")
    bench.set_defaults(run=run_bench)


def count_from(least: int) -> Callable[[str], int]:
    """An argument type for whole numbers from `least` up."""

    def check(word: str) -> int:
        if not word.isdecimal() or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from {least} up")
        return int(word)

    return check


def words(word: str) -> tuple[str, ...]:
    """Words joined by commas; "all" and "own" are none, which leaves the choice to the job."""
    return () if word in ("", "all", "own") else tuple(part.strip() for part in word.split(",") if part.strip())


def run_bench(arguments: argparse.Namespace) -> int:
    from cordillera.presets import bench as bench_jobs

    drivers = tuple(remote_of(address, arguments) for address in dict.fromkeys(getattr(arguments, "driver", ())))
    policies = getattr(arguments, "policy", [] if drivers else ["expert"])
    job = bench_jobs.BenchJob(
        policies=tuple(dict.fromkeys(policies)),
        drivers=drivers,
        families=arguments.families,
        regions=arguments.regions,
        split=arguments.split,
        seeds=arguments.seeds,
        cameras=arguments.cameras,
        workers=arguments.workers,
        ray=arguments.ray,
        videos=arguments.videos,
        output=arguments.output,
    )
    bench_jobs.bench(job)
    return 0
