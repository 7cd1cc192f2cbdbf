"""Data, training, export and model card of `nano`, in stages that can be stopped; `python -m recipes.train_nano STAGE`.

    generate  clips of all families and regions, everyday driving at least half, on all cores
    pairs     causes changed and recoveries, of every clip
    train     the model, on the GPU if there is one
    dagger    the states that the trained model reaches by itself, relabelled, and training goes on with them
    pack      int8 graphs (at most 16 MB), float safetensors, the model card
    all       one after the other, each as long as the minutes allow

Every stage keeps what it has done and goes on when it is given again, so that a machine lent for minutes serves.
`--minutes` bounds one call. Nothing is downloaded. `--laptop` is the recipe for two cores and an evening: one frame a
camera, fewer clips, small batches. With `--small` all of it runs in minutes, as a test.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from cordillera.data.write import read_ledgers, write_index
from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.load import load_vla, save_vla
from cordillera.presets.data import DataJob, generate
from cordillera.presets.pairs import PairsJob, make_pairs
from cordillera.presets.train import BOTH, TrainJob, model_config, pack, prepare, train
from cordillera.train.batch import Assembly
from cordillera.train.samples import own_tokenizer
from cordillera.world.maps import bundled_maps
from cordillera.world.scenarios import FAMILIES

LARGEST_FILE = 15_500_000  # bytes; whoever fetches the results takes files of 16 MiB at most
STAGES = ("generate", "pairs", "train", "dagger", "pack")


@dataclass(frozen=True)
class Recipe:
    """One run of the recipe: where, how much, and for how long."""

    place: Path
    minutes: float = math.inf
    workers: int = 16
    clips: int = 800
    held_clips: int = 48
    preset: str = "nano"
    steps: int = 5_000
    batch: int = 256
    rate: float = 8e-4  # learning rate
    glances: int = 1_000  # first steps, for the vision tower alone
    pictures: int = 512  # of each of them
    blind: int = 500  # steps after those, on windows without their pictures
    future_tokens: bool = True  # whether the text decoder learns the future as tokens too
    recovery_s: float = 3.0  # between recovery starts
    cameras: tuple[str, ...] = BOTH
    frames: int = 4
    size: tuple[int, int] = (224, 128)
    group: int = 4  # clips of one chunk: what an interruption can lose
    device: str = ""
    families: tuple[str, ...] = ()
    threads: int = 0
    loaders: int = 6

    @property
    def train_set(self) -> Path:
        return self.place / "train"

    @property
    def held_set(self) -> Path:
        return self.place / "val"

    @property
    def run(self) -> Path:
        return self.place / "run"


def everyday_and_rare(everyday: list[str], rare: list[str]) -> tuple[str, ...]:
    """Maps and families -> a list in which they take turns, so that however far it is driven half is everyday."""
    turns = max(len(everyday), len(rare))
    pairs = [(everyday[k % len(everyday)], rare[k % len(rare)]) for k in range(turns)]
    return tuple(name for pair in pairs for name in pair)


def chosen_families(recipe: Recipe) -> tuple[str, ...]:
    """The recipe's families, or every map beside every family."""
    return recipe.families or everyday_and_rare([f"maps:{name}" for name in bundled_maps()], list(FAMILIES))


def make_data(recipe: Recipe, console: Console) -> bool:
    """Generate both sets; a call that runs out of time is stopped after a round of clips and gives False."""
    began = time.perf_counter()
    families = chosen_families(recipe)
    # a round is a set of its own, so that time can be looked at between rounds, and a finished round is never touched
    for folder, split, clips in (
        (recipe.held_set, "val", recipe.held_clips),
        (recipe.train_set, "train", recipe.clips),
    ):
        per_round = min(clips, recipe.workers * recipe.group)
        for number in range(math.ceil(clips / per_round)):
            output = folder / f"round-{number:03d}"
            if (output / "done").is_file():
                continue
            if (time.perf_counter() - began) / 60.0 > recipe.minutes:
                return False
            turn = number * per_round % len(families)
            job = DataJob(
                output, min(per_round, clips - number * per_round), families[turn:] + families[:turn], split=split,
                cameras=recipe.cameras, size=recipe.size, seed=number, workers=recipe.workers, chunk_clips=recipe.group,
            )  # fmt: skip
            generate(job, console)
            write_index(output)
            (output / "done").touch()
    return True


def rounds(folder: Path) -> tuple[Path, ...]:
    """The finished rounds of a set."""
    return tuple(sorted(path.parent for path in folder.glob("round-*/done")))


def make_rows(recipe: Recipe, kinds: tuple[str, ...], policy: str, console: Console) -> bool:
    """Rows of the clips of every finished round, and their pairs; False where the time ran out between rounds."""
    began = time.perf_counter()
    config = model_config(TrainJob((), Path(), recipe.preset, cameras=recipe.cameras, frames=recipe.frames))
    folders = (*rounds(recipe.train_set), *rounds(recipe.held_set))
    with ProcessPoolExecutor(recipe.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for made in [pool.submit(prepare_alone, folder, config) for folder in folders]:
            made.result()
    for folder in rounds(recipe.train_set):
        if (time.perf_counter() - began) / 60.0 > recipe.minutes:
            return False
        job = PairsJob(
            folder, recipe.preset, kinds, policy, recipe.cameras, recipe.frames, recipe.workers, recipe.recovery_s
        )  # fmt: skip
        make_pairs(job, console)
    return True


def prepare_alone(folder: Path, config: VlaConfig) -> None:
    """The rows of one round, in a process of its own."""
    prepare(folder, config, own_tokenizer(config), Console(quiet=True))


def fit(recipe: Recipe, console: Console, name: str = "run", begin: Path | None = None) -> bool:
    """Train, or go on with it; False where the time ran out. From a model's weights it takes a third of the steps."""
    early: dict[str, object] = {"glances": recipe.glances, "blind": recipe.blind, "blind_batch": 2 * recipe.batch}
    changes: dict[str, object] = {
        "save_every": 200, "look_every": 500, "loaders": recipe.loaders, "pictures": recipe.pictures,
        "rate": recipe.rate * 0.4 if begin else recipe.rate, **({} if begin else early),
        "assembly": Assembly(future_tokens=recipe.future_tokens),
    }  # fmt: skip
    job = TrainJob(
        rounds(recipe.train_set), recipe.place / name, recipe.preset, cameras=recipe.cameras, frames=recipe.frames,
        held_out=rounds(recipe.held_set), steps=recipe.steps // 3 if begin else recipe.steps, batch=recipe.batch,
        minutes=recipe.minutes, device=recipe.device, threads=recipe.threads, changes=changes, begin=begin,
    )  # fmt: skip
    return train(job, console).training.finished


def ship(recipe: Recipe, console: Console) -> Path:
    """The newest trained model -> `release/`: int8 graphs, float weights in shards, the model card."""
    run = recipe.place / "run-dagger"
    run = run if (run / "model" / "config.json").is_file() else recipe.run
    release = recipe.place / "release"
    shutil.rmtree(release, ignore_errors=True)
    pack(run / "model", release / "nano", int8=True)
    model, tokenizer = load_vla(run / "model")
    save_vla(model, tokenizer, release / "float", shard_bytes=LARGEST_FILE)
    sizes = {p: p.stat().st_size for p in release.rglob("*") if p.is_file()}
    graphs = sum(size for path, size in sizes.items() if path.suffix == ".onnx")
    (release / "MODEL_CARD.md").write_text(card(recipe, run, graphs, sum(p.numel() for p in model.parameters())))
    console.print(f"{release}: {sum(sizes.values()) / 1e6:.1f} MB, graphs {graphs / 1e6:.1f} MB", highlight=False)
    return release


def card(recipe: Recipe, run: Path, graph_bytes: int, parameters: int) -> str:
    """A finished run -> its model card: what it was trained on and how, what it measured, and what it cannot do."""
    facts = json.loads((run / "model" / "training.json").read_text())
    ledgers = [ledger for folder in rounds(recipe.train_set) for ledger in read_ledgers(folder)]
    clips = [clip for ledger in ledgers for clip in ledger["clips"]]
    everyday = sum(str(clip["family"]).startswith("maps:") for clip in clips)
    measured = [f"| {name} | {value:.3g} |" for name, value in facts["held_out"].items()]
    return "\n".join([
        f"# {recipe.preset}",
        "",
        f"{parameters / 1e6:.1f} M parameters; int8 graphs of {graph_bytes / 1e6:.1f} MB. Licence: Apache-2.0.",
        "",
        "## Data",
        f"{len(clips)} clips of 20 s ({len(clips) / 180:.1f} hours) driven by the rule expert in this package's own "
        f"simulator, {everyday} of them everyday drives; cameras {', '.join(recipe.cameras)} at "
        f"{recipe.size[0]}x{recipe.size[1]}, {recipe.frames} frames each. `world/plan.json` of each round rebuilds it.",
        "",
        "## Recipe",
        f"`python -m recipes.train_nano`, {facts['step']} steps of {facts['recipe']['batch']} windows; losses at the "
        f"end: {', '.join(f'{k} {v:.3g}' for k, v in facts['losses'].items())}. Left out: "
        f"{', '.join(facts['without_pairs']) or 'nothing'}.",
        "",
        "## Measured on held-out clips, words given (coast: constant velocity)",
        "| figure | value |",
        "| --- | --- |",
        *measured,
        "",
        "## Limits",
        "Trained on drawn pictures of one simulator and never on a real road: it must not drive a real car. It is told "
        "the route's line, so a blank camera still leaves it the way. Its words come from a closed grammar.",
        "",
    ])  # fmt: skip


def run_stage(stage: str, recipe: Recipe, console: Console) -> bool:
    """One stage -> whether it is finished."""
    console.rule(stage)
    if stage == "generate":
        return make_data(recipe, console)
    if stage == "pairs":
        return make_rows(recipe, ("b", "c"), "", console)
    if stage == "train":
        return fit(recipe, console)
    if stage == "dagger":
        done = make_rows(recipe, (), str(recipe.run / "model"), console)
        return done and fit(recipe, console, "run-dagger", recipe.run / "model")
    ship(recipe, console)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=(*STAGES, "all"))
    parser.add_argument("--place", type=Path, default=Path("runs/nano"), help="folder of everything")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of this call, about")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--preset", choices=("nano", "small", "tiny"), default="nano")
    parser.add_argument("--laptop", action="store_true", help="what two cores can do in hours instead")
    parser.add_argument("--small", action="store_true", help="a few clips and steps of the smallest model, on the CPU")
    arguments = parser.parse_args()
    recipe = Recipe(
        arguments.place, arguments.minutes, arguments.workers, arguments.clips, preset=arguments.preset,
        steps=arguments.steps, batch=arguments.batch,
    )  # fmt: skip
    if arguments.laptop:
        recipe = replace(
            recipe, workers=2, clips=112, held_clips=16, steps=2_500, batch=16, rate=1e-3, glances=250, pictures=64,
            blind=220, frames=1, group=8, recovery_s=1.5, loaders=1, threads=2, device="cpu", future_tokens=False,
        )  # fmt: skip
    if arguments.small:
        recipe = replace(
            recipe, clips=2, held_clips=1, preset="tiny", steps=6, batch=4, workers=1, group=1, device="cpu",
            threads=1, loaders=1, glances=2, pictures=4, blind=1, families=("maps:town01", "cut_in"), cameras=BOTH[:1],
            frames=2,
        )  # fmt: skip
    console, began = Console(), time.perf_counter()
    for stage in STAGES if arguments.stage == "all" else (arguments.stage,):
        left = arguments.minutes - (time.perf_counter() - began) / 60.0
        if left <= 0 or not run_stage(stage, replace(recipe, minutes=left), console):
            console.print(f"{stage} is not finished; give the same command again", highlight=False)
            break


if __name__ == "__main__":
    main()
