"""Stored rows -> trained weights: the whole loop of supervised training.

One loss of six parts: the next token of the reasoning; the next token of the future (binned actions); the flow of the
action expert from noise to the driven actions, on draws of noise and time; how far the path to which that flow points
lies from the driven one, and the course that the decoder sees for itself (see `train.course`); and what each patch of
the pictures shows (see `train.eyes`). The expert reads keys and values of the text decoder that carry no gradient, so
the words are not bent to serve the plan. The first steps may be glances: pictures alone, for the vision tower alone;
and after them blind: windows without their pictures, which cost a fraction and teach what a plan owes to the words.

What is random is a function of the seed, the step and the process, so a run that was stopped goes on as if it had not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional

from cordillera.policy.vla.actions import to_trajectory
from cordillera.policy.vla.layers import NOBODY, PREFIX, Cache
from cordillera.policy.vla.model import VLA
from cordillera.policy.vla.text import Visual
from cordillera.train.batch import (
    IGNORED,
    Assembly,
    Batch,
    Glance,
    assemble,
    draw_rows,
    glance,
    images_to_patches,
    moved,
)
from cordillera.train.course import Course, miss
from cordillera.train.eyes import SCORED, Eyes, rarity_of
from cordillera.train.samples import balance
from cordillera.train.setup import Place, agreed, part_of, sharded, wait_for_all, whole
from cordillera.train.store import Rows

STATE = "training.safetensors"
Weights = dict[str, Tensor]
SPARED = ("save_every", "look_every", "loaders")  # what a run may go on with otherwise
LOSSES = ("words", "tokens", "flow", "path", "course", "sight")


@dataclass(frozen=True)
class SftConfig:
    """How to train."""

    steps: int = 1000
    batch: int = 32  # windows a step and process, all micro-batches together
    micro_batches: int = 1
    rate: float = 6e-4  # learning rate at its highest
    rate_end: float = 0.02  # of it that is left at the last step
    warmup: int = 50
    decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0  # norm of the gradient
    word_weight: float = 1.0
    token_weight: float = 0.3
    flow_weight: float = 1.0
    path_weight: float = 0.5
    course_weight: float = 0.5
    sight_weight: float = 1.0
    glances: int = 0  # first steps, in which only the vision tower learns, from pictures alone
    pictures: int = 128  # of such a step and process
    blind: int = 0  # steps after those, in which plans are learned from words, route and speed alone
    blind_batch: int = 64  # windows of such a step and process
    power: float = 0.5  # of the balance over decisions, causes, regions, weather
    assembly: Assembly = field(default_factory=Assembly)
    save_every: int = 200
    look_every: int = 100  # steps between looks at the held-out rows
    seed: int = 0
    compiled: bool = False
    loaders: int = 0  # threads that make batches ahead of time; 0: each when it is needed


@dataclass(frozen=True, eq=False)
class SftResult:
    step: int
    finished: bool  # all steps done, rather than stopped by the clock
    losses: tuple[tuple[str, float], ...]  # of the last step
    samples_per_s: float


class Objective(nn.Module):
    """A batch -> its losses; or, with `plans`, sampled actions for the same context."""

    def __init__(self, model: VLA, rarity: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.eyes = model, Eyes(model.config.vision, rarity)
        self.course = Course(model.config.text.hidden_size, model.config.action_space)

    def features(self, images: Tensor) -> Tensor:
        """Pictures (N, H, W, 3) -> what the vision tower makes of them (levels, N, tokens, C)."""
        vision, config = self.model.vision, self.model.config.vision
        patches = images_to_patches(images, config)
        grid = images.shape[1] // config.patch_size, images.shape[2] // config.patch_size
        return vision.same_grid(patches, *vision.tables(*grid, patches.device))

    def forward(self, batch: Batch | Glance, plans: int = 0) -> Tensor:
        """Losses (6,) as in LOSSES; with `plans`, normalised actions (B, plans, N, 2) from the batch's first noises."""
        if isinstance(batch, Glance):
            seen = self.eyes(self.features(batch.images), batch.looks)
            return torch.stack([*seen.new_zeros(len(LOSSES) - 1), seen])
        model, config = self.model, self.model.config
        count = len(batch.images)
        features, visual = None, None
        if batch.images.shape[1]:
            features = self.features(batch.images.flatten(0, 1))
            visual = Visual(batch.image_mask, features.flatten(1, 2))

        length = batch.ids.shape[1]
        half = torch.is_autocast_enabled(batch.ids.device.type)
        kind = torch.get_autocast_dtype(batch.ids.device.type) if half else model.text.embed_tokens.weight.dtype
        cache = Cache.empty(config.text, count, length, batch.ids.device, kind)
        cache.owner = torch.where(batch.seen, PREFIX, NOBODY)
        cache.length = length
        slots = torch.arange(length, device=batch.ids.device)
        hidden = model.text(model.text.embed(batch.ids, visual), batch.positions, cache, slots, None, visual)

        draws = plans or batch.noise.shape[1]
        owner = torch.zeros((count, draws), dtype=torch.long, device=slots.device)
        context = model.expert.context(cache, owner, batch.start[:, None].expand(-1, draws), batch.state)
        if plans:
            return model.expert.sample(batch.noise[:, :plans], context, config.flow_steps)
        action, moment = batch.actions[:, None], batch.time[..., None, None]
        noisy = moment * action + (1.0 - moment) * batch.noise
        velocity = model.expert.velocity(noisy, batch.time, context).float()
        flow = functional.mse_loss(velocity, action - batch.noise)
        speed, end = batch.speed_mps, batch.seen.sum(1) - 1
        path = miss(noisy + (1.0 - moment) * velocity, action, speed[:, None], config.action_space)
        course = self.course(hidden[torch.arange(count, device=end.device), end], batch.actions, speed)
        sight = flow.new_zeros(()) if features is None else self.eyes(features, batch.looks.flatten(0, 1))
        words = (self.next_token(hidden, target) for target in batch.targets)
        return torch.stack([*words, flow, path, course, sight])

    def next_token(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Hidden states (B, L, C) and the ids that follow -> mean cross-entropy over those that are learned."""
        at = target != IGNORED
        logits = self.model.text.lm_head(hidden[at]).float()
        return functional.cross_entropy(logits, target[at], reduction="sum") / at.sum().clamp(min=1)


def sight_balance(rows: Rows, most: int = 512) -> Tensor:
    """Rows -> the balance of what their pictures show, see `eyes.rarity_of`; all 1 where nothing is known."""
    which = np.linspace(0, rows.image_count - 1, min(most, rows.image_count)).round().astype(np.int64)
    cells = torch.from_numpy(rows.shown(which))
    known = (cells > 0).flatten(1).any(1)
    return rarity_of(cells[known].flatten(0, 2)) if known.any() else torch.ones(cells.shape[-1])


def rate_at(step: int, config: SftConfig) -> float:
    """A step from 0 -> its learning rate: a linear warm-up, then half a cosine down to the end."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.rate * (config.rate_end + (1.0 - config.rate_end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


def optimiser_of(objective: nn.Module, config: SftConfig) -> torch.optim.AdamW:
    """AdamW over what can be trained; matrices decay, norms, biases and embeddings do not."""
    named = [(name, p) for name, p in objective.named_parameters() if p.requires_grad]
    decays = [p for name, p in named if p.ndim > 1 and "embed" not in name]
    rest = [p for name, p in named if p.ndim <= 1 or "embed" in name]
    groups = [{"params": decays, "weight_decay": config.decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas)


class Trainer:
    """Model, rows and where they are -> steps of training, kept in `output`."""

    def __init__(self, model: VLA, rows: Rows, config: SftConfig, place: Place, output: Path) -> None:
        self.config, self.rows, self.place, self.output = config, rows, place, output
        self.objective = sharded(Objective(model, sight_balance(rows)), place)
        self.run = torch.compile(self.objective) if config.compiled else self.objective
        self.optimiser = optimiser_of(self.objective, config)
        self.weights = balance(rows.classes, config.power)
        self.model_config = model.config
        self.step = 0
        self.pool = ThreadPoolExecutor(config.loaders) if config.loaders else None
        self.coming: dict[int, Future[Batch | Glance]] = {}
        said, planned = (config.word_weight, config.token_weight), (config.flow_weight, config.path_weight)
        self.scale = torch.tensor([*said, *planned, config.course_weight, config.sight_weight]).to(place.device)

    # ------------------------------------------------------------------ a step

    def batch(self, part: int) -> Batch | Glance:
        """The micro-batch `part` of this step and process, and those that follow begun if there are loaders."""
        parts, number = self.config.micro_batches, self.step * self.config.micro_batches + part
        if self.pool is None:
            return moved(self.made(number), self.place.device)
        for later in range(number, min(number + 2 * self.config.loaders, self.config.steps * parts)):
            if later not in self.coming:
                self.coming[later] = self.pool.submit(self.made, later)
        return moved(self.coming.pop(number).result(), self.place.device)

    def made(self, number: int) -> Batch | Glance:
        """The micro-batch with a number, on the CPU; a function of the seed, the number and the process."""
        config = self.config
        seeds = (config.seed, *divmod(number, config.micro_batches), self.place.rank)
        if seeds[1] < config.glances:
            return glance(self.rows, config.pictures // config.micro_batches, *seeds)
        blind = seeds[1] < config.glances + config.blind
        count, how = (config.blind_batch if blind else config.batch), replace(config.assembly, blind=blind)
        which = draw_rows(self.weights, count // config.micro_batches, *seeds)
        return assemble(self.rows, which, self.model_config, how, *seeds)

    def advance(self) -> dict[str, float]:
        """One step: accumulate the micro-batches' gradients, clip, update. Gives the losses and the gradient's norm."""
        parts, device = self.config.micro_batches, self.place.device
        rate = rate_at(self.step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        total = torch.zeros(len(LOSSES), device=device)
        for part in range(parts):
            if isinstance(self.objective, FSDPModule):
                self.objective.set_requires_gradient_sync(part == parts - 1)
            narrow = torch.autocast(device.type, torch.bfloat16) if self.place.half else nullcontext()
            with narrow:
                losses = self.run(self.batch(part))
            ((losses * self.scale).sum() / parts).backward()
            total += losses.detach() / parts
        trained = [p for p in self.objective.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(trained, self.config.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        found = dict(zip(LOSSES, total.tolist(), strict=True))
        found = {name: agreed(value, self.place) for name, value in found.items()}
        if not math.isfinite(sum(found.values())):
            raise ValueError(f"step {self.step}: the loss is not finite ({found}); lower the learning rate")
        return found | {"norm": float(whole(norm)), "rate": rate}

    # ------------------------------------------------------------- checkpoints

    def whole_weights(self) -> Weights:
        """The model's parameters by name, on the CPU; every process must ask."""
        named = self.objective.named_parameters()
        return {name.removeprefix("model."): whole(p) for name, p in named if name.startswith("model.")}

    def save(self) -> None:
        """Write weights, optimiser and step to a temporary name, then rename."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.objective.named_parameters():
            tensors[f"weight/{name}"] = whole(parameter)
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = whole(value)
        if self.place.leads:
            self.output.mkdir(parents=True, exist_ok=True)
            part = self.output / f"{STATE}.part"
            facts = {"step": str(self.step), "config": json.dumps(asdict(self.config), sort_keys=True)}
            save_file(tensors, part, metadata=facts)
            part.replace(self.output / STATE)
        wait_for_all(self.place)

    def resume(self) -> bool:
        """Go on from what `output` holds, if anything; ValueError where it was trained otherwise."""
        path = self.output / STATE
        if not path.is_file():
            return False
        with safe_open(path, "pt") as file:
            facts, names = file.metadata(), set(file.keys())
            before, now = json.loads(facts["config"]), json.loads(json.dumps(asdict(self.config), sort_keys=True))
            changed = [key for key in now if now[key] != before.get(key) and key not in SPARED]
            if changed:
                raise ValueError(f"{path}: was trained with another {', '.join(changed)}; give another --output")
            for name, parameter in self.objective.named_parameters():
                if f"weight/{name}" not in names:
                    raise ValueError(f"{path}: has no weight/{name}; it is of another model")
                with torch.no_grad():
                    parameter.copy_(part_of(file.get_tensor(f"weight/{name}"), parameter))
                state = {}
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    if f"{key}/{name}" in names:
                        found = file.get_tensor(f"{key}/{name}")
                        state[key] = found if key == "step" else part_of(found, parameter)
                if state:
                    self.optimiser.state[parameter] = state
            self.step = int(facts["step"])
        return True

    # ---------------------------------------------------------------- the loop

    def fit(
        self, log: Callable[[int, dict[str, float]], None], look: Callable[[], dict[str, float]] | None = None,
        minutes: float = math.inf, until: int | None = None, console: Console | None = None,
    ) -> SftResult:  # fmt: skip
        """Train up to the last step (or `until`), or until the minutes are over; what was done is kept either way."""
        console = console or Console(quiet=not self.place.leads)
        last = min(until or self.config.steps, self.config.steps)
        began, first, found = time.perf_counter(), self.step, dict.fromkeys(LOSSES, math.nan)
        while self.step < last and agreed((time.perf_counter() - began) / 60.0, self.place) < minutes:
            found = self.advance()
            pace = (self.step - first) * self.config.batch * self.place.world / (time.perf_counter() - began)
            if self.step % self.config.look_every == 0 and look is not None:
                found |= look()
            log(self.step, found | {"samples_per_s": pace})
            if self.step % 10 == 0 or self.step == last:
                eta = (last - self.step) * self.config.batch * self.place.world / pace
                parts = " ".join(f"{name} {value:.4g}" for name, value in found.items())
                console.print(f"{self.step}/{last} {parts} | {pace:.1f} samples/s, {eta / 60:.1f} min left",
                              highlight=False, soft_wrap=True)  # fmt: skip
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()
        pace = (self.step - first) * self.config.batch * self.place.world / max(time.perf_counter() - began, 1e-9)
        return SftResult(self.step, self.step >= self.config.steps, tuple((k, found[k]) for k in LOSSES), pace)


# --------------------------------------------------------------- held-out rows


@torch.no_grad()
def held_out(trainer: Trainer, rows: Rows, most: int = 256, plans: int = 6) -> dict[str, float]:
    """Rows that were not trained on -> the losses, and the ADE of sampled plans in m beside constant velocity.

    The plans are made on the words as given. minADE6 takes the best of six by the whole horizon, ADE their mean.
    """
    config, place, objective = trainer.model_config, trainer.place, cast("Objective", trainer.objective)
    how = replace(trainer.config.assembly, unsaid=0.0, unsaid_easy=0.0, draws=max(plans, 4))
    chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    size = max(trainer.config.batch // trainer.config.micro_batches, 1)
    sums: dict[str, list[float]] = {}
    counts = torch.zeros(len(SCORED), 3)
    for at in range(0, len(chosen), size):
        which = chosen[at : at + size]
        batch = moved(assemble(rows, which, config, how, 0, at), place.device)
        narrow = torch.autocast(place.device.type, torch.bfloat16) if place.half else nullcontext()
        with narrow:
            losses = objective(batch)
            actions = objective(batch, plans).float().cpu().numpy()
            features = objective.features(batch.images.flatten(0, 1))
        held = {
            name: rows.arrays[name][which].astype(np.float64) for name in ("history_xyz", "history_rot", "future_xyz")
        }
        past = [np.repeat(held[name][:, None], plans, axis=1) for name in ("history_xyz", "history_rot")]
        xyz, _ = to_trajectory(actions, past[0], past[1], config.action_space)
        still = np.zeros_like(actions[:, :1])
        space = config.action_space
        still -= np.array([space.accel_mean / space.accel_std, space.curvature_mean / space.curvature_std])
        steady, _ = to_trajectory(still, past[0][:, :1], past[1][:, :1], space)
        away = np.linalg.norm(xyz[..., :2] - held["future_xyz"][:, None, :, :2], axis=-1)
        coast = np.linalg.norm(steady[..., :2] - held["future_xyz"][:, None, :, :2], axis=-1)
        best = away[np.arange(len(which)), away.mean(-1).argmin(1)]
        means = {f"val_{name}": value for name, value in zip(LOSSES, losses.tolist(), strict=True)}
        counts += objective.eyes.counts(features, batch.looks.flatten(0, 1)).cpu()
        means |= {"val_ade": away.mean(), "val_minade6": best.mean(), "val_minade6_3s": best[:, :30].mean()}
        means |= {"coast_ade": coast.mean(), "coast_ade_3s": coast[..., :30].mean()}
        for name, value in means.items():
            sums.setdefault(name, []).append(float(value) * len(which))
    found = {name: sum(values) / len(chosen) for name, values in sums.items()}
    for name, (hits, false, missed) in zip(SCORED, counts.tolist(), strict=True):
        if hits + missed > 0:
            found[f"sees_{name}_f1"] = 2.0 * hits / (2.0 * hits + false + missed)
    return found
