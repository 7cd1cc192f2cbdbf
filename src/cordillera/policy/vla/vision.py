"""Pixel patches -> image tokens: the vision tower, and the deepstack features that enter the first text layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cordillera.policy.vla.config import VisionConfig
from cordillera.policy.vla.tables import vision_tables

ACTIVATIONS = {"gelu_pytorch_tanh": "tanh", "gelu": "none"}


class VisionBlock(nn.Module):
    """A pre-norm transformer block; patches attend within their own image."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_heads
        self.approximate = ACTIVATIONS[config.hidden_act]
        self.norm1 = nn.LayerNorm(size, eps=1e-6)
        self.norm2 = nn.LayerNorm(size, eps=1e-6)
        self.qkv = nn.Linear(size, 3 * size)
        self.proj = nn.Linear(size, size)
        self.fc1 = nn.Linear(size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(images, N, C) with rotary tables (N, D) -> (images, N, C)."""
        images, count, size = x.shape
        qkv = self.qkv(self.norm1(x)).view(images, count, 3, self.heads, size // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(turn(query, cos, sin), turn(key, cos, sin), value)
        x = x + self.proj(out.transpose(1, 2).reshape(images, count, size))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x)), approximate=self.approximate))


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads (..., N, D) -> rotated in float32, as the reference does, and back in their own type."""
    first, second = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


class PatchMerger(nn.Module):
    """Blocks of merge x merge patches -> one token of the text decoder's width."""

    def __init__(self, config: VisionConfig, norm_after_merge: bool) -> None:
        super().__init__()
        self.block = config.hidden_size * config.spatial_merge_size**2
        self.norm_after_merge = norm_after_merge
        self.norm = nn.LayerNorm(self.block if norm_after_merge else config.hidden_size, eps=1e-6)
        self.linear_fc1 = nn.Linear(self.block, self.block)
        self.linear_fc2 = nn.Linear(self.block, config.out_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        images = x.shape[0]
        if self.norm_after_merge:
            x = self.norm(x.reshape(images, -1, self.block))
        else:
            x = self.norm(x).reshape(images, -1, self.block)
        return self.linear_fc2(functional.gelu(self.linear_fc1(x)))


class VisionTower(nn.Module):
    """Flattened patches of images -> features (1 + deepstack levels, tokens, width of the text decoder)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        if config.hidden_act not in ACTIVATIONS:
            raise ValueError(f"vision hidden_act {config.hidden_act!r} is not one of {sorted(ACTIVATIONS)}")
        self.config = config
        self.patch_embed = nn.Linear(config.patch_values, config.hidden_size)
        self.pos_embed = nn.Embedding(config.num_position_embeddings, config.hidden_size)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config, norm_after_merge=False)
        self.deepstack = nn.ModuleList(
            PatchMerger(config, norm_after_merge=True) for _ in config.deepstack_visual_indexes
        )

    def same_grid(self, patches: Tensor, index: Tensor, weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Patches (images, N, values) of one grid and its tables -> features (1 + levels, images, N / merge^2, C)."""
        x = self.patch_embed(patches)
        x = x + (self.pos_embed(index) * weight[..., None].to(x.dtype)).sum(0)
        levels: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x = block(x, cos, sin)
            if number in self.config.deepstack_visual_indexes:
                levels.append(self.deepstack[self.config.deepstack_visual_indexes.index(number)](x))
        return torch.stack([self.merger(x), *levels])

    def tables(self, rows: int, cols: int, device: torch.device) -> list[Tensor]:
        """A grid -> position indices and weights, rotary cosines and sines, on the device."""
        return [torch.from_numpy(table).to(device) for table in vision_tables(self.config, rows, cols)]

    def forward(self, patches: Tensor, grids: list[tuple[int, int]]) -> list[Tensor]:
        """Patches (sum of rows * cols, values) and grids -> features (1 + levels, tokens, C) of each image.

        Images of one grid run as one batch.
        """
        counts = [rows * cols for rows, cols in grids]
        if sum(counts) != len(patches):
            raise ValueError(f"{len(patches)} patches do not fit the grids {grids}")
        pieces = patches.to(self.patch_embed.weight.dtype).split(counts)
        features: list[Tensor | None] = [None] * len(grids)
        for grid in dict.fromkeys(grids):
            members = [i for i, other in enumerate(grids) if other == grid]
            batch = torch.stack([pieces[i] for i in members])
            out = self.same_grid(batch, *self.tables(*grid, patches.device))
            for place, i in enumerate(members):
                features[i] = out[:, place]
        return [feature for feature in features if feature is not None]
