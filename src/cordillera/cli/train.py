"""The verbs `cordillera train` and `cordillera pairs`: their arguments, and the jobs that they call."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

Check = Callable[[str], object]
PRESETS = ("tiny", "nano", "small")
LETTERS = ("a", "b", "c")


def add_train(verbs: argparse._SubParsersAction[argparse.ArgumentParser], cameras: Check, seed: Check) -> None:
    """Add `train` and `pairs`; `cameras` and `seed` are the argument types that other verbs use."""
    shape = argparse.ArgumentDefaultsHelpFormatter
    train = verbs.add_parser(
        "train",
        help="train a model on a data set, or adapt a trained one; a stopped run goes on when it is given again",
        epilog="example: cordillera train --preset tiny --data runs/data --output runs/tiny; on several GPUs: "
        "torchrun --nproc-per-node 8 -m cordillera train --preset nano --data runs/data --output runs/nano",
        formatter_class=shape,
    )
    train.add_argument("--preset", choices=PRESETS, default="nano", help="size of a new model")
    train.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of a data set; may be repeated"
    )
    train.add_argument("--held-out", type=Path, action="append", default=[], help="a data set to measure on")
    train.add_argument("--output", type=Path, required=True, help="folder for the model, its state and its metrics")
    train.add_argument("--from", dest="start", type=Path, help="trained model to adapt by low-rank adapters")
    train.add_argument("--without-pairs", type=letters, default=(), help="leave out pairs, of a,b,c")
    train.add_argument("--region", default="", help="of the clips to train on: us, de, uk, jp, fr; none: all")
    train.add_argument("--cameras", type=cameras, default="front-wide,front-tele", help="that the model reads")
    train.add_argument("--frames", type=positive, default=4, help="of each camera, the newest one now")
    train.add_argument("--steps", type=count, default=0, help="0: as the preset says")
    train.add_argument("--batch", type=count, default=0, help="windows a step and process; 0: as the preset says")
    train.add_argument("--micro-batches", type=positive, default=1, help="parts of a batch, one after the other")
    train.add_argument("--minutes", type=float, default=math.inf, help="stop after so long, to be gone on with")
    train.add_argument("--rank", type=positive, default=4, help="of the adapters")
    train.add_argument("--threads", type=count, default=0, help="of the CPU; 0: as torch chooses")
    train.add_argument("--device", choices=("cpu", "cuda"), default=argparse.SUPPRESS, help="default: a GPU if any")
    train.add_argument("--seed", type=seed, default=0, help="the same arguments give the same model")
    train.set_defaults(run=run_train)

    pairs = verbs.add_parser(
        "pairs",
        help="make the windows that tie words to the world: causes changed, and recoveries",
        epilog="example: cordillera pairs runs/data --kinds b,c --workers 2",
        formatter_class=shape,
    )
    pairs.add_argument("folder", type=Path, help="data set whose clips are taken; the pairs go beside its rows")
    pairs.add_argument("--preset", choices=PRESETS, default="nano", help="size of the model that will read them")
    pairs.add_argument("--kinds", type=letters, default="b,c", help="b: causes changed; c: recoveries")
    pairs.add_argument("--policy", default="", help="c: also the states that this trained model reaches by itself")
    pairs.add_argument("--cameras", type=cameras, default="front-wide,front-tele", help="that the model reads")
    pairs.add_argument("--frames", type=positive, default=4, help="of each camera, the newest one now")
    pairs.add_argument("--workers", type=positive, default=1, help="processes")
    pairs.add_argument("--seed", type=seed, default=0, help="the same arguments give the same pairs")
    pairs.set_defaults(run=run_pairs)


def count(word: str) -> int:
    """An argument type for whole numbers from 0 up."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 up")
    return int(word)


def positive(word: str) -> int:
    """An argument type for whole numbers from 1 up."""
    if count(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 up")
    return int(word)


def letters(word: str) -> tuple[str, ...]:
    """ "a,b" -> ("a", "b")."""
    found = tuple(part for part in word.split(",") if part)
    if any(part not in LETTERS for part in found):
        raise argparse.ArgumentTypeError(f"{word!r} does not name pairs; give some of {', '.join(LETTERS)}")
    return found


def run_train(arguments: argparse.Namespace) -> int:
    from cordillera.presets.train import TrainJob, train

    job = TrainJob(
        data=tuple(arguments.data),
        output=arguments.output,
        preset=arguments.preset,
        start=arguments.start,
        without_pairs=arguments.without_pairs,
        region=arguments.region,
        cameras=arguments.cameras,
        frames=arguments.frames,
        held_out=tuple(arguments.held_out),
        steps=arguments.steps,
        batch=arguments.batch,
        micro_batches=arguments.micro_batches,
        minutes=arguments.minutes,
        rank=arguments.rank,
        threads=arguments.threads,
        device=getattr(arguments, "device", ""),
        seed=arguments.seed,
    )
    train(job)
    return 0


def run_pairs(arguments: argparse.Namespace) -> int:
    from cordillera.presets.pairs import PairsJob, make_pairs

    job = PairsJob(
        folder=arguments.folder,
        preset=arguments.preset,
        kinds=arguments.kinds,
        policy=arguments.policy,
        cameras=arguments.cameras,
        frames=arguments.frames,
        workers=arguments.workers,
        seed=arguments.seed,
    )
    make_pairs(job)
    return 0
