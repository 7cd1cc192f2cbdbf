"""Linear layers -> weight-only int8 or 4-bit ones, and two models' outputs -> how far they agree.

Weights are rounded symmetrically, each output row (int8) or each group of inputs (4-bit) with its own scale, and
turned back to the activations' type as they are used: `torch.compile` fuses that into the product on a GPU. What is
quantised arrives as an argument; nothing here knows the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class QuantConfig:
    """How many bits a weight takes, and how many inputs share a scale at 4 bits."""

    bits: int = 8
    group: int = 32
    skip: tuple[str, ...] = ("lm_head", "action_in_proj", "action_out_proj")  # parts of names that stay as they are

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ValueError(f"bits must be 4 or 8, not {self.bits}")


class Int8Linear(nn.Module):
    """A linear layer with int8 weights (out, in) and a scale for each output."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        wide = linear.weight.detach().float()
        scale = wide.abs().amax(1).clamp(min=1e-12) / 127.0
        self.register_buffer("weight", torch.round(wide / scale[:, None]).to(torch.int8))
        self.register_buffer("scale", scale.to(linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        out = functional.linear(x, self.weight.to(x.dtype)) * self.scale
        return out if self.bias is None else out + self.bias


class Int4Linear(nn.Module):
    """A linear layer with two 4-bit weights a byte (out, in / 2) and a scale for each group of inputs."""

    packed: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, group: int) -> None:
        super().__init__()
        rows, cols = linear.weight.shape
        if cols % group or group % 2:
            raise ValueError(f"{cols} inputs cannot be split into groups of {group}; choose an even divisor")
        wide = linear.weight.detach().float().view(rows, -1, group)
        scale = wide.abs().amax(2).clamp(min=1e-12) / 7.0
        codes = (torch.round(wide / scale[..., None]) + 8).to(torch.uint8).view(rows, cols)
        self.register_buffer("packed", codes[:, 0::2] | (codes[:, 1::2] << 4))
        self.register_buffer("scale", scale.to(linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        codes = torch.stack([self.packed & 15, self.packed >> 4], dim=-1).flatten(1)
        groups = self.scale.shape[1]
        weight = (codes.to(x.dtype) - 8.0).view(len(codes), groups, -1) * self.scale.to(x.dtype)[..., None]
        return functional.linear(x, weight.flatten(1), self.bias)


def quantise(module: nn.Module, config: QuantConfig) -> int:
    """Replace the linear layers inside a module, in place -> how many; those whose name holds a `skip` part stay."""
    count = 0
    for name, child in list(module.named_children()):
        if any(part in name for part in config.skip):
            continue
        if isinstance(child, nn.Linear):
            small = Int8Linear(child) if config.bits == 8 else Int4Linear(child, config.group)
            setattr(module, name, small)
            count += 1
        else:
            count += quantise(child, config)
    return count


def weight_bytes(module: nn.Module) -> int:
    """Bytes of all parameters and buffers, shared ones counted once."""
    held = {t.data_ptr(): t.nbytes for t in [*module.parameters(), *module.buffers()]}
    return sum(held.values())


@dataclass(frozen=True)
class Agreement:
    """A quantised model against its float original."""

    logit_divergence: float  # mean Kullback-Leibler divergence of the next token, nats, original first
    top_agreement: float  # share of positions where the most likely token is the same
    decision_agreement: float  # share of windows with the same decision in words
    min_ade_difference_m: float  # mean of quantised - original; best sample over the whole horizon
    plan_difference_m: float  # mean distance of plans drawn from the same noise


def agreement(
    logits: tuple[Tensor, Tensor],
    decisions: tuple[Sequence[str], Sequence[str]],
    plans: tuple[NDArray[np.float64], NDArray[np.float64]],
    truth: NDArray[np.float64],
) -> Agreement:
    """Pairs of logits (N, V), decisions (W,) and plans (W, K, T, 3), original first, and true paths (W, T, 3)."""
    first, second = (values.float().log_softmax(-1) for values in logits)
    divergence = (first.exp() * (first - second)).sum(-1).mean()
    same_top = (first.argmax(-1) == second.argmax(-1)).float().mean()
    same_words = np.mean([a == b for a, b in zip(*decisions, strict=True)])
    best = [np.linalg.norm(plan - truth[:, None], axis=-1).mean(-1).min(1) for plan in plans]
    apart = np.linalg.norm(plans[0] - plans[1], axis=-1).mean()
    return Agreement(
        float(divergence), float(same_top), float(same_words), float((best[1] - best[0]).mean()), float(apart)
    )
