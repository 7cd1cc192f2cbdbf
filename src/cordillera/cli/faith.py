"""The verb `cordillera faith`: its arguments, and the job that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cordillera.cli.bench import count_from, words

Check = Callable[[str], object]


def add_faith(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], cameras: Check, size: Check, seconds: Check
) -> None:
    """Add `faith`; the checks are the argument types that other verbs use."""
    verb = verbs.add_parser(
        "faith",
        help="ask of a policy's words: was it true, did it matter, does the car obey? and write one page about it",
        epilog="example: cordillera faith --policy expert --events 40; run it again to go on after a stop",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    verb.add_argument(
        "--policy", default="expert",
        help="who is asked: a bundled policy, a model's folder, your own as module:Class, or one of whom the answer is "
        "known: expert, misplaced, talker, monotone, parrot",
    )  # fmt: skip
    verb.add_argument("--events", type=count_from(1), default=40, help="moments of the expert's drives to ask about")
    verb.add_argument("--seeds", type=count_from(0), default=0, help="drives of each family to look through; 0: enough")
    verb.add_argument("--split", choices=("train", "val", "test"), default="test", help="which scenarios to draw from")
    verb.add_argument("--families", type=words, default="all", help="families joined by commas, or all")
    verb.add_argument(
        "--cameras", type=cameras, default="none", help="camera names joined by commas; none: the policy's own"
    )
    verb.add_argument("--size", type=size, default="384x216", help="of a camera's picture, as WIDTHxHEIGHT")
    verb.add_argument("--closed-loop", type=seconds, default=6.0, help="seconds that a removal is driven out; 0: none")
    verb.add_argument("--workers", type=count_from(0), default=0, help="processes; 0: one a core")
    verb.add_argument("--films", type=count_from(0), default=3, help="pairs of films of each kind of failure")
    verb.add_argument("--output", type=Path, default=argparse.SUPPRESS, help="folder (default: runs/faith-POLICY)")
    verb.set_defaults(run=run_faith)


def run_faith(arguments: argparse.Namespace) -> int:
    from cordillera.evaluate.suite_store import plain
    from cordillera.presets import faith as faith_jobs

    job = faith_jobs.FaithJob(
        policy=arguments.policy,
        events=arguments.events,
        families=arguments.families,
        split=arguments.split,
        seeds=arguments.seeds,
        cameras=arguments.cameras,
        size=arguments.size,
        closed_loop_s=arguments.closed_loop,
        workers=arguments.workers,
        films=arguments.films,
        output=getattr(arguments, "output", Path("runs") / f"faith-{plain(arguments.policy)}"),
    )
    faith_jobs.faith(job)
    return 0
