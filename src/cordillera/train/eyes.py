"""Features of the vision tower -> what each patch shows: heads that teach a model to see, and are not part of it.

Words and plans say little about a picture: a few tokens for thousands of pixels. The simulator knows what every cell
of it shows (`sensors.looks`), so each picture gives a target for every patch: which classes are in it, which colour a
light there has, and how near the nearest thing is. That is what a tower needs that starts from nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cordillera.policy.vla.config import VisionConfig
from cordillera.sensors.classes import Semantic
from cordillera.sensors.looks import CHANNELS, GREEN, NEARNESS, RED

FULL = 6.0  # of 255: a class that fills so much of a cell, six pixels of 256, counts as wholly there
SCORED = {
    "red": (RED,),
    "green": (GREEN,),
    "vehicle": (Semantic.CAR, Semantic.TRUCK, Semantic.BUS),
    "person": (Semantic.PERSON, Semantic.RIDER),
}


def in_patch_order(looks: Tensor, merge: int) -> Tensor:
    """Cells (N, rows, cols, CHANNELS), one a patch -> (N, tokens, merge**2 * CHANNELS) in the tower's order."""
    count, rows, cols, channels = looks.shape
    blocks = looks.reshape(count, rows // merge, merge, cols // merge, merge, channels).permute(0, 1, 3, 2, 4, 5)
    return blocks.reshape(count, rows // merge * (cols // merge), -1)


class Eyes(nn.Module):
    """One linear head a level of features, and the balance of the classes that they were made for."""

    rarity: Tensor

    def __init__(self, config: VisionConfig, rarity: Tensor | None = None) -> None:
        super().__init__()
        self.merge = config.spatial_merge_size
        out = self.merge**2 * CHANNELS
        levels = 1 + len(config.deepstack_visual_indexes)
        self.heads = nn.ModuleList(nn.Linear(config.out_hidden_size, out) for _ in range(levels))
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)
        rarity = torch.ones(CHANNELS) if rarity is None else rarity
        self.register_buffer("rarity", rarity.repeat(self.merge**2), persistent=False)

    def forward(self, features: Tensor, looks: Tensor) -> Tensor:
        """Features (levels, N, tokens, C) and cells (N, rows, cols, CHANNELS) uint8 -> loss; cells of 0: not known."""
        target = in_patch_order(looks, self.merge).float()
        known = target.sum((1, 2)) > 0
        if not bool(known.any()):
            return features.sum() * 0.0
        target = target[known]
        near = torch.arange(target.shape[-1], device=target.device) % CHANNELS == NEARNESS
        there, near_to = (target[..., ~near] / FULL).clamp(max=1.0), target[..., near] / 255.0
        weight = 1.0 + there * (self.rarity[~near] - 1.0)
        total = features.new_zeros(())
        for head, level in zip(self.heads, features, strict=True):
            said = head(level[known]).float()
            total = total + functional.binary_cross_entropy_with_logits(said[..., ~near], there, weight)
            total = total + 4.0 * functional.mse_loss(said[..., near].sigmoid(), near_to)
        return total / len(self.heads)

    @torch.no_grad()
    def counts(self, features: Tensor, looks: Tensor) -> Tensor:
        """The same -> (len(SCORED), 3): of SCORED's groups of classes hits, false alarms and misses, by patch."""
        target = in_patch_order(looks, self.merge).reshape(-1, CHANNELS)
        said = self.heads[0](features[0]).reshape(-1, CHANNELS) > 0.0
        there = target >= FULL / 2.0
        rows = []
        for group in SCORED.values():
            held, named = there[:, list(group)].any(-1), said[:, list(group)].any(-1)
            rows.append(torch.stack([(held & named).sum(), (~held & named).sum(), (held & ~named).sum()]))
        return torch.stack(rows)


def rarity_of(looks: Tensor) -> Tensor:
    """Cells (N, CHANNELS) -> how much more a class counts where it is than where it is not (CHANNELS,), 1 to 10."""
    share = ((looks.float() / FULL).clamp(max=1.0)).mean(0).clamp(min=1e-6)
    return ((1.0 - share) / share).sqrt().clamp(1.0, 10.0)
