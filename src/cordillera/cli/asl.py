"""The verb `cordillera asl`: AlpaSim's logs to rollouts and back."""

from __future__ import annotations

import argparse
from pathlib import Path

Verbs = argparse._SubParsersAction


def add_asl(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "asl",
        help="read a log of AlpaSim (.asl) into a rollout with metrics and a page, or write a rollout as one",
        epilog="examples: cordillera asl run.asl runs/from-alpasim; cordillera asl runs/karlsruhe-expert-0 drive.asl",
    )
    verb.add_argument("source", type=Path, metavar="FROM", help="a log (.asl); or a rollout.npz, or a drive's folder")
    verb.add_argument("target", type=Path, metavar="TO", help="the folder for rollout, film and page; or a log (.asl)")
    verb.add_argument("--scene", type=Path, help="the scene's archive, for a log that does not say how it is made")
    verb.add_argument("--map", default="", help="for a log of another scene: a map in the log's frame")
    verb.add_argument("--partial", action="store_true", help="take what is whole of a damaged log")
    verb.set_defaults(run=run_asl)


def run_asl(arguments: argparse.Namespace) -> int:
    from cordillera.presets.asl import ReadJob, read_asl, write_log

    reads, writes = (path.suffix.lower() == ".asl" for path in (arguments.source, arguments.target))
    if reads and writes:
        raise ValueError(f"{arguments.source} and {arguments.target} are both logs; give a folder to read one into")
    if not (reads or writes):
        raise ValueError(f"neither {arguments.source} nor {arguments.target} is a log; a log's name ends in .asl")
    if reads:
        read_asl(ReadJob(arguments.source, arguments.target, arguments.scene, arguments.map, arguments.partial))
    else:
        write_log(arguments.source, arguments.target, arguments.scene)
    return 0
