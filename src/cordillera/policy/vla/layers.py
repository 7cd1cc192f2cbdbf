"""Tensors -> tensors: the parts that every tower shares. RMS norm, 3-axis rotary, attention on a static cache, MLP.

One layout serves prefill, decoding of K samples and the action expert. A cache row holds one observation; each of
its slots has an owner: the prefix that all samples see, one sample, or nobody. K samples thus share the prefix
without a copy, and samples of unequal length need no padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cordillera.policy.vla.config import DecoderConfig

PREFIX, NOBODY = -1, -2  # owners of cache slots that are not a sample's


class RMSNorm(nn.Module):
    """Features (..., D) -> the same, scaled to unit root mean square in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        if torch.onnx.is_in_onnx_export():  # the exporter has no word for the fused norm
            scaled = wide / torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        else:
            scaled = functional.rms_norm(wide, wide.shape[-1:], None, self.eps)
        return self.weight * scaled.to(x.dtype)


def rotary(positions: Tensor, config: DecoderConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Positions (3, B, S) in time, height, width -> cosines and sines (B, 1, S, head_dim).

    Interleaved sections: of the rotary pairs 0, 1, 2, ... every third, from 1 on, turns with the height and, from 2
    on, with the width, up to three times the section's size; the rest turn with time (Qwen3-VL).
    """
    half = config.head_dim // 2
    powers = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32) / config.head_dim
    angle = positions[..., None].float() * (1.0 / config.rope_theta**powers)  # (3, B, S, half)
    pair = torch.arange(half, device=positions.device)
    mixed = angle[0]
    for axis in (1, 2):
        chosen = (pair % 3 == axis) & (pair < 3 * config.mrope_section[axis])
        mixed = torch.where(chosen, angle[axis], mixed)
    mixed = torch.cat([mixed, mixed], dim=-1).unsqueeze(1)
    return mixed.cos().to(dtype), mixed.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads (..., S, D) -> turned by the rotary angles; the first half of D pairs with the second."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


@dataclass
class Cache:
    """Keys and values of every layer for B observations, `capacity` slots each, of which `length` are in use."""

    keys: Tensor  # (L, B, kv_heads, capacity, head_dim)
    values: Tensor
    owner: Tensor  # (B, capacity) int64
    length: int = 0

    @classmethod
    def empty(cls, config: DecoderConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype) -> Cache:
        """A cache without content; all its slots belong to nobody."""
        shape = (config.num_layers, batch, config.num_kv_heads, capacity, config.head_dim)
        owner = torch.full((batch, capacity), NOBODY, dtype=torch.int64, device=device)
        return cls(
            torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype), owner
        )

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def reserve(self, extra: int) -> None:
        """Grow so that `extra` more slots fit; a cache made with enough capacity is never copied."""
        missing = self.length + extra - self.capacity
        if missing > 0:
            grow = max(missing, self.capacity // 2)
            self.keys = functional.pad(self.keys, (0, 0, 0, grow))
            self.values = functional.pad(self.values, (0, 0, 0, grow))
            self.owner = functional.pad(self.owner, (0, grow), value=NOBODY)

    def visible_to(self, owner: Tensor, slots: Tensor) -> Tensor:
        """Queries' owners (B, Q) and slots (Q,) -> mask (B, 1, Q, length): prefix and own slots, not later ones."""
        held = self.owner[:, None, : self.length]
        seen = (held == PREFIX) | ((held == owner[..., None]) & (held >= 0))
        past = torch.arange(self.length, device=slots.device) <= slots[:, None]
        return (seen & past).unsqueeze(1)


def fold_mask(mask: Tensor, config: DecoderConfig, dtype: torch.dtype) -> Tensor:
    """Mask (B, 1, Q, S) -> the bias (B, 1, group * Q, S) that `attend` takes; made once for all layers."""
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)
    return bias.repeat(1, 1, config.num_heads // config.num_kv_heads, 1)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Grouped-query attention: (B, H, Q, D) on (B, KV, S, D) -> (B, Q, H * D); causal without a bias.

    With a bias (see `fold_mask`) the query heads of one key-value head are folded into the query axis, so that keys
    and values are read once; without one the kernel's own grouping serves.
    """
    batch, heads, count, dim = query.shape
    pairs = key.shape[1]
    if bias is None:
        out = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=heads > pairs)
    else:
        folded = query.reshape(batch, pairs, heads // pairs * count, dim)
        out = functional.scaled_dot_product_attention(folded, key, value, attn_mask=bias)
        out = out.reshape(batch, heads, count, dim)
    return out.transpose(1, 2).reshape(batch, count, heads * dim)


class Attention(nn.Module):
    """Self-attention with fused projections, normalised queries and keys, and an optional past."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        width = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.qkv_proj = nn.Linear(config.hidden_size, width, bias=config.attention_bias)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.attention_bias)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, S, C) -> rotated queries (B, H, S, D), rotated keys and values (B, KV, S, D)."""
        batch, count, _ = x.shape
        heads = self.qkv_proj(x).view(batch, count, -1, self.head_dim)
        query, key, value = heads.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        query = rotate(self.q_norm(query).transpose(1, 2), cos, sin)
        key = rotate(self.k_norm(key).transpose(1, 2), cos, sin)
        return query, key, value.transpose(1, 2)

    def output(self, attended: Tensor) -> Tensor:
        """Heads side by side (B, S, H * D) -> features (B, S, C)."""
        return self.o_proj(attended)


class GatedMLP(nn.Module):
    """Features -> features through a SiLU gate; gate and up projection are one matrix."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(hidden, 2 * intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(functional.silu(gate) * up)


class DecoderLayer(nn.Module):
    """One pre-norm layer of the text decoder or of the expert."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residual stream -> queries, keys, values of this layer."""
        return self.self_attn.project(self.input_layernorm(x), cos, sin)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual stream and attention output -> the next residual stream."""
        x = x + self.self_attn.output(attended)
        return x + self.mlp(self.post_attention_layernorm(x))


class DecoderStack(nn.ModuleList):
    """The layers of one stack, in order."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(DecoderLayer(config) for _ in range(config.num_layers))

    def __iter__(self) -> Iterator[DecoderLayer]:  # type: ignore[override]
        return cast("Iterator[DecoderLayer]", super().__iter__())
