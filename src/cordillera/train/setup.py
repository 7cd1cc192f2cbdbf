"""Environment -> where and how training runs: device, type of numbers, seeds, one process or several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, its device, and the type of its matrix products."""

    rank: int
    world: int
    device: torch.device
    half: bool  # bfloat16 products, float32 weights

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


def set_up(threads: int = 0, device: str = "") -> Place:
    """The environment that torchrun sets, or none -> this process's place; joins the others if there are any.

    `device` forces one, such as "cpu"; `threads` of 0 leaves torch's choice.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.device(chosen, int(os.environ.get("LOCAL_RANK", "0"))) if chosen == "cuda" else torch.device(chosen)
    if where.type == "cuda":
        torch.cuda.set_device(where)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if threads:
        torch.set_num_threads(threads)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    return Place(rank, world, where, where.type == "cuda")


@contextmanager
def first_the_leader(place: Place) -> Iterator[None]:
    """What the leading process does inside is done when the others begin with it."""
    if not place.leads:
        wait_for_all(place)
    yield
    if place.leads:
        wait_for_all(place)


def wait_for_all(place: Place) -> None:
    """Go on when every process has come to here."""
    if place.world > 1:
        dist.barrier()


def shut_down() -> None:
    """Leave the others, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def sharded(module: nn.Module, place: Place) -> nn.Module:
    """A module -> the same on its device, its parameters and their optimiser's state divided among the processes."""
    module = module.to(place.device)
    if place.world == 1:
        return module
    mesh = dist.device_mesh.init_device_mesh(place.device.type, (place.world,))
    half = torch.bfloat16 if place.half else None
    fully_shard(module, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32))
    return module


def whole(tensor: Tensor) -> Tensor:
    """A parameter or its state, perhaps divided -> all of it on the CPU; every process must ask."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().clone()


def part_of(full: Tensor, like: Tensor) -> Tensor:
    """A whole tensor -> divided and placed like another."""
    full = full.to(like.device, like.dtype)
    return distribute_tensor(full, like.device_mesh, like.placements) if isinstance(like, DTensor) else full


def agreed(value: float, place: Place) -> float:
    """A number of each process -> their mean."""
    if place.world == 1:
        return value
    total = torch.tensor(value, device=place.device)
    dist.all_reduce(total)
    return float(total) / place.world
