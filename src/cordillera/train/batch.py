"""Stored rows -> the tensors of one training step, and what of them is learned; randomness is a function of seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cordillera.policy.vla.actions import initial_speed
from cordillera.policy.vla.config import VisionConfig, VlaConfig
from cordillera.policy.vla.state import plan_state
from cordillera.train.samples import DECISION
from cordillera.train.store import Rows

Seen = TypeVar("Seen", bound="Batch | Glance")
IGNORED = -100  # a target that is not learned
CLOSING_TOKENS = 2


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows. A sequence is prompt, words, their closing, and where wanted the future's tokens; padded behind."""

    images: Tensor  # (B, I, H, W, 3) uint8; none of them, I = 0, where the batch is blind
    ids: Tensor  # (B, L)
    positions: Tensor  # (3, B, L) rotary
    image_mask: Tensor  # (B, L)
    targets: Tensor  # (2, B, L) id that follows each place, in words and in the future's tokens; IGNORED elsewhere
    seen: Tensor  # (B, L) what the expert may read: prompt, words and closing
    start: Tensor  # (B,) rotary position of the first action token
    actions: Tensor  # (B, N, 2) normalised
    noise: Tensor  # (B, K, N, 2)
    time: Tensor  # (B, K)
    speed_mps: Tensor  # (B,) at the start of the plan
    state: Tensor  # (B, S) as the expert reads it, see `vla.state`
    looks: Tensor  # (B, I, rows, cols, CHANNELS) uint8, what the pictures show; all 0 where that is not known


@dataclass(frozen=True, eq=False)
class Glance:
    """N pictures and what they show: what the vision tower alone learns from."""

    images: Tensor  # (N, H, W, 3) uint8
    looks: Tensor  # (N, rows, cols, CHANNELS) uint8


@dataclass(frozen=True)
class Assembly:
    """How rows become a batch."""

    draws: int = 4  # noises of the flow for each window: they share the prompt's cost
    early: float = 2.0  # times of the flow are uniform to this power: the first steps decide where it goes
    unsaid: float = 0.3  # share of windows whose words are left out, so that driving without words is learned too
    unsaid_easy: float = 0.5  # the same where there is nothing to say; there, saying nothing is learned
    future_tokens: bool = True
    blind: bool = False  # without pictures, and so without learning words: how plans follow words, route and speed
    fixed_length: bool = False  # pad to the longest that can be, so that compiled graphs see one shape


def draw_rows(weights: NDArray[np.float64], count: int, *seeds: int) -> NDArray[np.int64]:
    """Weights (S,) and seeds -> rows (count,), drawn with replacement; the same for the same seeds."""
    chance = np.random.default_rng(seeds)
    return np.sort(chance.choice(len(weights), count, p=weights / weights.sum()))


def images_to_patches(images: Tensor, config: VisionConfig) -> Tensor:
    """Images (N, H, W, 3) uint8 at the model's size -> patches (N, rows * columns, values), as `prompt.to_patches`."""
    size, merge = config.patch_size, config.spatial_merge_size
    count, tall, wide, _ = images.shape
    pixels = (images.float() / 255.0 - 0.5) / 0.5
    blocks = pixels.reshape(count, tall // size // merge, merge, size, wide // size // merge, merge, size, 3)
    blocks = blocks.permute(0, 1, 4, 2, 5, 7, 3, 6)
    frames = blocks[:, :, :, :, :, :, None].expand(*blocks.shape[:6], config.temporal_patch_size, size, size)
    return frames.reshape(count, -1, config.patch_values)


def assemble(rows: Rows, which: NDArray[np.int64], config: VlaConfig, how: Assembly, *seeds: int) -> Batch:
    """Rows by number -> a batch on the CPU; words left out, noise and times are drawn from the seeds."""
    chance = np.random.default_rng((*seeds, 1))
    held = {name: values[which] for name, values in rows.arrays.items()}
    if how.blind:
        held |= without_images(held, config)
    share = np.where(held["easy"], how.unsaid_easy, how.unsaid)
    silent = (chance.random(len(which)) < share) & (rows.kind[which] != DECISION)
    extra = held["tokens"].shape[1] if how.future_tokens else 0
    said = np.where(silent, CLOSING_TOKENS, held["word_count"])
    longest = held["ids"].shape[1] + held["words"].shape[1] if how.fixed_length else int((held["count"] + said).max())
    shape = (len(which), longest + extra)
    ids, seen = np.full(shape, config.ids.pad, np.int64), np.zeros(shape, bool)
    positions, targets = np.zeros((3, *shape), np.int64), np.full((2, *shape), IGNORED, np.int64)
    for row, (first, count) in enumerate(zip(held["count"], said, strict=True)):
        words = held["words"][row, : held["word_count"][row]][-count:]
        end = first + count
        ids[row, :first], ids[row, first:end] = held["ids"][row, :first], words
        positions[:, row, :first] = held["positions"][row, :, :first]
        positions[:, row, first : end + extra] = held["next_position"][row] + np.arange(count + extra)
        seen[row, :end] = True
        if not how.blind and held["learns"][row] and (not silent[row] or held["easy"][row]):
            # after the closing was chosen its second token is sure
            targets[0, row, first - 1 : end - 2] = words[:-1]
        if extra:
            ids[row, end : end + extra] = held["tokens"][row]
            targets[1, row, end - 1 : end + extra - 1] = held["tokens"][row]
    noise = torch.Generator().manual_seed(int(chance.integers(2**62)))
    count, points = len(which), held["actions"].shape[1]
    speed = initial_speed(held["history_xyz"], held["history_rot"], config.action_space)
    past = zip(held["ids"], held["history_xyz"], held["history_rot"], strict=True)
    state = np.stack([plan_state(*row, config) for row in past])
    tensor = torch.from_numpy
    return Batch(
        images=tensor(rows.pictures(held["image_of"])),
        ids=tensor(ids),
        positions=tensor(positions),
        image_mask=tensor(ids == config.ids.image),
        targets=tensor(targets),
        seen=tensor(seen),
        start=tensor(held["next_position"] + said),
        actions=tensor(held["actions"]),
        noise=torch.randn((count, how.draws, points, 2), generator=noise),
        time=torch.rand((count, how.draws), generator=noise) ** how.early,
        speed_mps=tensor(speed.astype(np.float32)),
        state=tensor(state),
        looks=tensor(rows.shown(held["image_of"])),
    )


def without_images(held: dict[str, NDArray[Any]], config: VlaConfig) -> dict[str, NDArray[Any]]:
    """Rows' columns -> those that change where the image tokens are taken out of the prompt; positions stay."""
    kept = held["ids"] != config.ids.image
    order = np.argsort(~kept, axis=1, kind="stable")[:, : kept.sum(1).max()]
    count = (kept & (np.arange(kept.shape[1]) < held["count"][:, None])).sum(1)
    positions = np.take_along_axis(held["positions"], order[:, None], axis=2)
    return {
        "ids": np.take_along_axis(held["ids"], order, axis=1), "positions": positions, "count": count,
        "image_of": held["image_of"][:, :0],
    }  # fmt: skip


def glance(rows: Rows, count: int, *seeds: int) -> Glance:
    """Rows, how many and seeds -> pictures drawn from all of them; the same for the same seeds."""
    which = np.sort(np.random.default_rng(seeds).integers(rows.image_count, size=count))
    return Glance(torch.from_numpy(rows.pictures(which)), torch.from_numpy(rows.shown(which)))


def moved(batch: Seen, device: torch.device) -> Seen:
    """A batch or glance -> the same on a device."""
    if device.type == "cpu":
        return batch
    return type(batch)(**{k: value.pin_memory().to(device, non_blocking=True) for k, value in vars(batch).items()})
