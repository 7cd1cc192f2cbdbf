"""Training as a job: data sets in, a trained model in a folder out; a stopped job goes on when it is given again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from cordillera.policy.vla.adapters import add_adapters, merge_adapters, save_adapters
from cordillera.policy.vla.config import DecoderConfig, VisionConfig, VlaConfig, nano, small
from cordillera.policy.vla.export import export
from cordillera.policy.vla.load import load_vla, save_vla
from cordillera.policy.vla.model import VLA, new_vla
from cordillera.policy.vla.prompt import Prompt
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.presets.clip import COUNTRY
from cordillera.train.batch import Assembly
from cordillera.train.journal import Journal
from cordillera.train.samples import PAIRS, encode_row, own_tokenizer, windows_of
from cordillera.train.setup import Place, first_the_leader, set_up, shut_down
from cordillera.train.sft import SftConfig, SftResult, Trainer, Weights, held_out
from cordillera.train.store import FACTS, Rows, digest, open_stores, write_store

FRONT = ("camera_front_wide_120fov",)
BOTH = ("camera_front_wide_120fov", "camera_front_tele_30fov")
REGIONS = {code.lower(): name for code, name in COUNTRY.items()} | {"uk": COUNTRY["GB"]}


def tiny() -> VlaConfig:
    """Nano's vocabulary around towers of a tenth of its size: it over-fits a few clips within minutes on a CPU."""
    text = DecoderConfig(3, 96, 256, 3, 1, 32, (6, 5, 5))
    base = nano()
    return replace(
        base,
        vision=VisionConfig(2, 64, 192, 2, 96, (0,), num_position_embeddings=64),
        text=text,
        expert=replace(text, hidden_size=64, num_heads=2, intermediate_size=192),
        action_proj=replace(base.action_proj, hidden_size=64, waypoints_per_token=4),
        prompt=replace(base.prompt, min_pixels=6 * 1024, max_pixels=8 * 1024),
    )


MODELS: dict[str, Callable[[], VlaConfig]] = {"tiny": tiny, "nano": nano, "small": small}
RECIPES = {
    "tiny": SftConfig(steps=400, batch=16, rate=2e-3, warmup=20, save_every=100, look_every=50, power=0.25,
                      assembly=Assembly(unsaid=0.2, unsaid_easy=0.3, future_tokens=False)),
    "nano": SftConfig(steps=20_000, batch=256, rate=8e-4, warmup=500, save_every=500, look_every=500),
    "small": SftConfig(steps=20_000, batch=256, rate=4e-4, warmup=1000, save_every=500, look_every=500),
}  # fmt: skip
ADAPTING = SftConfig(steps=300, batch=16, rate=1e-3, warmup=20, decay=0.0, save_every=100, look_every=100,
                     assembly=Assembly(future_tokens=False))  # fmt: skip


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what, and where it goes."""

    data: tuple[Path, ...]
    output: Path
    preset: str = "nano"
    start: Path | None = None  # a trained model to go on from, by low-rank adapters
    begin: Path | None = None  # a trained model whose weights are where all of the new one begins
    without_pairs: tuple[str, ...] = ()  # of "a", "b", "c"
    region: str = ""
    cameras: tuple[str, ...] = BOTH
    frames: int = 4
    held_out: tuple[Path, ...] = ()
    steps: int = 0  # 0: the recipe's
    batch: int = 0
    micro_batches: int = 1
    minutes: float = math.inf
    rank: int = 4
    threads: int = 0
    device: str = ""
    seed: int = 0
    changes: dict[str, object] = field(default_factory=dict)  # further fields of the recipe


@dataclass(frozen=True, eq=False)
class TrainResult:
    folder: Path
    training: SftResult
    looked: dict[str, float]  # at held-out rows
    parameters: int
    trained: int


def model_config(job: TrainJob) -> VlaConfig:
    """A job -> its model's configuration: the preset, reading the job's cameras and frames, and the route's line."""
    if job.preset not in MODELS:
        raise ValueError(f"preset {job.preset!r} is not one of {', '.join(MODELS)}")
    config = MODELS[job.preset]()
    prompt = replace(config.prompt, cameras=job.cameras, frames=job.frames, navigation="line")
    return replace(config, prompt=prompt)


def recipe(job: TrainJob) -> SftConfig:
    """A job -> how it is trained."""
    base = ADAPTING if job.start else RECIPES[job.preset]
    steps, batch = job.steps or base.steps, job.batch or base.batch
    warmup = min(base.warmup, max(steps // 10, 1))
    config = replace(base, steps=steps, batch=batch, micro_batches=job.micro_batches, warmup=warmup, seed=job.seed)
    return replace(config, **job.changes)


def prepare(folder: Path, config: VlaConfig, tokenizer: VlaTokenizer, console: Console) -> list[Path]:
    """A data set -> its stores for this model: the one of its clips, made if it is not there, and those of its pairs.

    A folder that is itself a store, or holds stores, is taken as it is.
    """
    if (folder / FACTS).is_file():
        return [folder]
    held = sorted(path.parent for path in folder.glob(f"*/{FACTS}"))
    if held:
        return held
    place = folder / "training" / digest(config)
    if not (place / "clips" / FACTS).is_file():
        prompt = Prompt(config, tokenizer)
        with console.status(f"reading {folder}") as status:

            def rows():
                for count, wanted in enumerate(windows_of(folder, config.prompt.cameras)):
                    if count % 50 == 0:
                        status.update(f"reading {folder}: {count} windows")
                    yield encode_row(wanted, prompt)

            total = write_store(place / "clips", rows(), config)
        console.print(f"{total} windows of {folder} in {place / 'clips'}", highlight=False)
    return sorted(path.parent for path in place.glob(f"*/{FACTS}"))


def chosen_rows(rows: Rows, job: TrainJob) -> Rows:
    """All rows -> without the pairs that are left out, and of one region alone if the job names one."""
    unknown = [name for name in job.without_pairs if name not in PAIRS]
    if unknown:
        raise ValueError(f"pairs {', '.join(unknown)} are not known; there are {', '.join(PAIRS)}")
    keep = ~np.isin(rows.kind, [PAIRS[name] for name in job.without_pairs])
    if job.region:
        if job.region not in REGIONS:
            raise ValueError(f"region {job.region!r} is not one of {', '.join(REGIONS)}")
        keep &= np.array([row[2] == REGIONS[job.region] for row in rows.classes])
    if not keep.any():
        raise ValueError(f"no rows are left for region {job.region!r} without pairs {job.without_pairs}")
    return rows.only(keep)


def train(job: TrainJob, console: Console | None = None) -> TrainResult:
    """One job -> `output/model` in the released layout, metrics and the state to go on from beside it."""
    place = set_up(job.threads, job.device)
    console = console or Console(quiet=not place.leads)
    try:
        return _train(job, place, console)
    finally:
        shut_down()


def _train(job: TrainJob, place: Place, console: Console) -> TrainResult:
    model, tokenizer = _model(job)
    with first_the_leader(place):
        rows = chosen_rows(_rows(job.data, model.config, tokenizer, console), job)
        looked_at = _rows(job.held_out, model.config, tokenizer, console) if job.held_out else None
    count = sum(p.numel() for p in model.parameters())
    trained = add_adapters(model, job.rank) if job.start else count
    config = recipe(job)
    trainer = Trainer(model, rows, config, place, job.output)
    if trainer.resume():
        console.print(f"going on from step {trainer.step}", highlight=False)
    kinds = ", ".join(f"{int((rows.kind == kind).sum())} {kind}" for kind in np.unique(rows.kind))
    sizes = f"{trained / 1e6:.2f} of {count / 1e6:.2f} M parameters, {len(rows)} windows ({kinds})"
    console.print(f"{job.preset}: {sizes}, {place.world} x {place.device.type}", highlight=False)
    looked: dict[str, float] = {}

    def look() -> dict[str, float]:
        looked.update(held_out(trainer, looked_at) if looked_at is not None else {})
        return dict(looked)

    with Journal(job.output, place.leads) as journal:
        result = trainer.fit(journal.log, look, job.minutes, console=console)
    if result.finished:
        look()
        weights = trainer.whole_weights()
        if place.leads:
            _keep(job, weights, rows.image_size, config, result, looked)
            console.print(f"Trained [bold]{job.output / 'model'}[/bold]", highlight=False)
    return TrainResult(job.output, result, looked, count, trained)


def _model(job: TrainJob) -> tuple[VLA, VlaTokenizer]:
    """A job -> the model to train, new or given."""
    if job.start:
        return load_vla(job.start)
    config = model_config(job)
    tokenizer = own_tokenizer(config)
    if job.begin is None:
        return new_vla(config, job.seed).train(), tokenizer
    model, _ = load_vla(job.begin)
    told = replace(model.config, prompt=replace(model.config.prompt, image_size=config.prompt.image_size))
    if told != config:
        raise ValueError(f"{job.begin}: a model of another shape or prompt than {job.preset} as asked for; "
                         "begin with one of the same preset, cameras and frames")  # fmt: skip
    model.config = config
    return model.train(), tokenizer


def _rows(folders: Sequence[Path], config: VlaConfig, tokenizer: VlaTokenizer, console: Console) -> Rows:
    return open_stores([s for folder in folders for s in prepare(folder, config, tokenizer, console)], config)


def _keep(
    job: TrainJob, weights: Weights, size: tuple[int, int], config: SftConfig, result: SftResult,
    looked: dict[str, float],
) -> None:  # fmt: skip
    """Write the trained model, its adapters if it has some, and the facts that a model card needs."""
    folder = job.output / "model"
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = _model(job)
    if job.start:
        add_adapters(model, job.rank)
    model.load_state_dict(weights, strict=False)  # tied weights stand in it once
    model.config = replace(model.config, prompt=replace(model.config.prompt, image_size=size))
    if job.start:
        save_adapters(model, folder / "adapters.safetensors")
        merge_adapters(model)
    save_vla(model.eval(), tokenizer, folder)
    facts = {"recipe": asdict(config), "step": result.step, "losses": dict(result.losses), "held_out": looked}
    facts |= {"data": [str(path.name) for path in job.data], "without_pairs": job.without_pairs, "region": job.region}
    (folder / "training.json").write_text(json.dumps(facts, indent=1))


def pack(folder: Path, output: Path, int8: bool = True) -> Path:
    """A trained model -> the folder of ONNX graphs that drives without torch."""
    model, tokenizer = load_vla(folder)
    export(model, tokenizer, output, int8=int8)
    return output
