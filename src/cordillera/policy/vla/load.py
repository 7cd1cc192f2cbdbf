"""A folder or hub id in the released layout -> model and tokenizer, and back.

Weights come from safetensors alone, memory-mapped and copied tensor by tensor into their place on the device, so no
second copy of the model ever exists. Fused projections are rows of one matrix here and separate tensors on disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.layout import read_config, write_config
from cordillera.policy.vla.model import VLA
from cordillera.policy.vla.tokenizer import VlaTokenizer

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DERIVED = re.compile(r"(\.freqs|inv_freq|^action_space\..*|^diffusion\..*)$")  # buffers that the configuration implies
SHARD_BYTES = 4_500_000_000
RENAMES = (
    (r"^text\.lm_head\.", "vlm.lm_head."),
    (r"^text\.", "vlm.model.language_model."),
    (r"^vision\.patch_embed\.", "vlm.model.visual.patch_embed.proj."),
    (r"^vision\.deepstack\.", "vlm.model.visual.deepstack_merger_list."),
    (r"^vision\.(blocks\.\d+)\.(qkv|proj)\.", r"vlm.model.visual.\1.attn.\2."),
    (r"^vision\.(blocks\.\d+)\.fc([12])\.", r"vlm.model.visual.\1.mlp.linear_fc\2."),
    (r"^vision\.", "vlm.model.visual."),
    (r"^expert\.action_in_proj\.trunk\.", "action_in_proj.encoder.trunk."),
    (r"^expert\.action_in_proj\.state\.", "action_in_proj.encoder.state."),
    (r"^expert\.action_(in|out)_proj\.", r"action_\1_proj."),
)


@dataclass(frozen=True)
class Piece:
    """One tensor on disk: its name, and which rows of which parameter it is; `shape` is its shape on disk."""

    name: str
    parameter: str
    rows: slice
    shape: tuple[int, ...]


class CheckpointError(ValueError):
    """A checkpoint that does not fit; the text names the tensors and files."""


def pieces(model: VLA) -> Iterator[Piece]:
    """A model -> every tensor of the released layout, fused parameters split into their parts."""
    config = model.config
    for parameter, tensor in model.state_dict().items():
        if parameter == "text.lm_head.weight" and config.tie_embeddings:
            continue
        name = parameter
        for pattern, form in RENAMES:
            name, count = re.subn(pattern, form, name)
            if count:
                break
        tower = config.expert if parameter.startswith("expert.") else config.text
        parts: list[tuple[str, int]] = [("", tensor.shape[0])]
        if ".qkv_proj." in parameter:
            query, other = tower.num_heads * tower.head_dim, tower.num_kv_heads * tower.head_dim
            parts = [("q_proj", query), ("k_proj", other), ("v_proj", other)]
        elif ".gate_up_proj." in parameter:
            parts = [("gate_proj", tower.intermediate_size), ("up_proj", tower.intermediate_size)]
        at = 0
        for label, count in parts:
            shape = (count, *tensor.shape[1:])
            if parameter == "vision.patch_embed.weight":
                vision = config.vision
                shape = (count, vision.in_channels, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
            final = re.sub(r"(qkv_proj|gate_up_proj)", label, name) if label else name
            yield Piece(final, parameter, slice(at, at + count), shape)
            at += count


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, by its index where it has one; pickles are refused."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{index} lists files that are not there: {', '.join(missing)}")
        return [folder / name for name in names]
    found = sorted(folder.glob("model*.safetensors"))
    if not found:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES) if folder.is_dir() else []
        if pickles:
            raise CheckpointError(f"{folder}: refuses pickled weights ({', '.join(pickles)}); convert to safetensors")
        raise CheckpointError(f"{folder}: no model*.safetensors file")
    return found


def resolve(source: str | Path) -> Path:
    """A folder, or a hub id such as "nvidia/Alpamayo-R1-10B" -> a local folder, downloaded if it must be."""
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise CheckpointError(f"{source}: neither a folder nor a hub id of the form owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:
        raise CheckpointError(f"{source}: neither a local folder nor to be had from the hub: {error}") from error


def load_tokenizer(folder: Path, config: VlaConfig) -> VlaTokenizer:
    """The checkpoint's tokenizer, completed by the trajectory and special tokens, checked against config.json."""
    places = [folder / name / "tokenizer.json" for name in ("tokenizer", ".", "vlm")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise CheckpointError(
            f"{folder}: no tokenizer.json in it, in tokenizer/ or in vlm/; the 10B checkpoints take the one of their "
            "backbone (Qwen/Qwen3-VL-8B-Instruct): copy its tokenizer.json to tokenizer/"
        )
    tokenizer = VlaTokenizer.from_file(path, config.traj_vocab_size, config.family)
    start = tokenizer.id("<i0>")
    if start != config.traj_start or tokenizer.size > config.vocab_size:
        raise CheckpointError(
            f"{path}: <i0> is {start} and the size {tokenizer.size}, config.json says {config.traj_start} "
            f"and {config.vocab_size}; this is another model's tokenizer"
        )
    return tokenizer


def load_vla(
    source: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[VLA, VlaTokenizer]:
    """A folder or hub id -> model in evaluation mode and tokenizer. `dtype` None keeps the type on disk."""
    folder = resolve(source)
    config = read_config(folder)
    tokenizer = load_tokenizer(folder, config)
    files = weight_files(folder)
    held = tensor_places(files)
    tied = config.tie_embeddings and "vlm.lm_head.weight" not in held
    config = replace(config, ids=tokenizer.token_ids(), tie_embeddings=tied)
    with torch.device("meta"):
        model = VLA(config)
    wanted = {piece.name: piece for piece in pieces(model)}
    check_names(folder, set(wanted), {name for name in held if not DERIVED.search(name)})
    if dtype is None:
        with safe_open(held["expert.norm.weight"], "pt") as file:
            dtype = file.get_tensor("expert.norm.weight").dtype
    model = model.to(dtype).to_empty(device=device)
    if tied:
        model.text.lm_head.weight = model.text.embed_tokens.weight
    fill(model, files, wanted, torch.device(device))
    return model.eval(), tokenizer


def tensor_places(files: list[Path]) -> dict[str, Path]:
    """Files -> which of them holds each tensor; a file that is no safetensors file is an error."""
    held: dict[str, Path] = {}
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                held |= dict.fromkeys(file.keys(), path)
        except Exception as error:
            raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from error
    return held


def check_names(folder: Path, wanted: set[str], held: set[str]) -> None:
    """Raise CheckpointError that lists what is missing and what is too much."""
    lines = []
    for label, names in (("missing", sorted(wanted - held)), ("unexpected", sorted(held - wanted))):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"{label}: {', '.join(names[:5])}{more}")
    if lines:
        raise CheckpointError(f"{folder}: the tensors do not fit config.json; {'; '.join(lines)}")


def fill(model: VLA, files: list[Path], wanted: dict[str, Piece], device: torch.device) -> None:
    """Copy every tensor from its file into its rows, one at a time."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    where = "cpu" if device.type == "cpu" else str(device)
    for path in files:
        with safe_open(path, "pt", device=where) as file:
            for name in file.keys():  # noqa: SIM118 - the handle is not iterable
                piece = wanted.get(name)
                if piece is None:
                    continue
                shape = tuple(file.get_slice(name).get_shape())
                if shape != piece.shape:
                    raise CheckpointError(f"{path}: {name} has shape {shape}, config.json implies {piece.shape}")
                place = parameters[piece.parameter].data[piece.rows]
                place.copy_(file.get_tensor(name).reshape(place.shape))


def save_vla(
    model: VLA, tokenizer: VlaTokenizer, folder: str | Path, shard_bytes: int = SHARD_BYTES
) -> None:  # fmt: skip
    """Write a model in the released layout: config.json, vlm/config.json, tokenizer/ and (sharded) safetensors."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(model.config, folder)
    tokenizer.save(folder / "tokenizer")
    state = model.state_dict()
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for piece in pieces(model):
        tensor = state[piece.parameter][piece.rows].detach().cpu().reshape(piece.shape).contiguous().clone()
        if size and size + tensor.nbytes > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][piece.name] = tensor
        size += tensor.nbytes
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))]
        places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": sum(t.nbytes for shard in shards for t in shard.values())}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index | {"weight_map": places}, indent=1))
    for name, shard in zip(names, shards, strict=True):
        part = folder / f"{name}.part"
        save_file(shard, part)
        part.replace(folder / name)
