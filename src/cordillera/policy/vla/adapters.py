"""A model -> the same with low-rank adapters, the only parts that are trained; adapters <-> a file; merged weights.

An adapter adds B A x to a linear map, A (rank, in) and B (out, rank), B zero at first (Hu et al. 2021,
arXiv 2106.09685). Merged, the model is of its old shape again and as fast.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cordillera.policy.vla.model import VLA

NAMES = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "qkv", "proj", "fc1", "fc2")  # of the layers' linear maps
MOST = 0.05  # share of the model's parameters


class Adapted(nn.Module):
    """A frozen linear map and what is added to it."""

    def __init__(self, base: nn.Linear, rank: int, seed: int) -> None:
        super().__init__()
        self.base = base
        source = torch.Generator().manual_seed(seed)
        down = torch.randn((rank, base.in_features), generator=source) * base.in_features**-0.5
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros((base.out_features, rank)))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + nn.functional.linear(nn.functional.linear(x, self.down), self.up)

    def merged(self) -> nn.Linear:
        """The linear map with the adapter in its weight."""
        with torch.no_grad():
            self.base.weight += self.up @ self.down
        return self.base.requires_grad_(True)


def add_adapters(model: VLA, rank: int = 4, seed: int = 0) -> int:
    """Freeze a model and adapt the linear maps of all its layers; gives how many parameters are trained.

    Raises ValueError where that is more than a twentieth of the model: take a lower rank.
    """
    held = sum(parameter.numel() for parameter in model.parameters())
    model.requires_grad_(False)
    found = [
        (module, name, child)
        for module in list(model.modules())
        for name, child in module.named_children()
        if name in NAMES and isinstance(child, nn.Linear)
    ]
    for number, (module, name, child) in enumerate(found):
        setattr(module, name, Adapted(child, rank, seed + number))
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if count > MOST * held:
        raise ValueError(f"adapters of rank {rank} have {count} parameters, over {MOST:.0%} of the model's {held}")
    return count


def adapted(model: VLA) -> list[tuple[nn.Module, str, Adapted]]:
    """A model -> its adapters, each with the module that holds it and its name there."""
    return [
        (module, name, child)
        for module in list(model.modules())
        for name, child in module.named_children()
        if isinstance(child, Adapted)
    ]


def merge_adapters(model: VLA) -> VLA:
    """A model with adapters -> the same model, the adapters in its weights."""
    for module, name, child in adapted(model):
        setattr(module, name, child.merged())
    return model


def save_adapters(model: VLA, path: Path) -> None:
    """The adapters of a model -> a safetensors file."""
    tensors = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    rank = next(child.down.shape[0] for _, _, child in adapted(model))
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"adapters": json.dumps({"rank": rank})})
    part.replace(path)


def load_adapters(model: VLA, path: Path) -> VLA:
    """A model and a file of adapters -> the model with them merged; ValueError where they do not fit."""
    with safe_open(path, "pt") as file:
        facts = (file.metadata() or {}).get("adapters")
        if facts is None:
            raise ValueError(f"{path}: holds no adapters")
        add_adapters(model, json.loads(facts)["rank"])
        own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if set(own) != set(file.keys()):
            raise ValueError(f"{path}: its adapters are not those of this model")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(file.get_tensor(name))
    return merge_adapters(model).eval()
