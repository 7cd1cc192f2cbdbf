"""Model -> a folder that runs without torch: three ONNX graphs, the embeddings, the configuration, the tokenizer.

vision.onnx   patches of images of one grid, and the grid's tables       -> features
text.onnx     embeddings, rotary tables, mask, past keys and values      -> logits, new keys and values
action.onnx   noisy actions, time, mask, rotary tables, past              -> flow

The text graph serves prefill, partial prefill and decoding; the caller keeps the cache and decides by the mask which
past slots a token sees. Sampling, grammar and the flow's loop live outside (`policy.student`). Int8 quantises the
weights of all matrix products, activations on the fly.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cordillera.policy.student import quantise_graph
from cordillera.policy.vla.config import DecoderConfig, VlaConfig
from cordillera.policy.vla.layers import DecoderLayer
from cordillera.policy.vla.layout import write_config
from cordillera.policy.vla.model import VLA
from cordillera.policy.vla.tables import vision_tables
from cordillera.policy.vla.tokenizer import VlaTokenizer


class PlainLayer(nn.Module):
    """A decoder layer for a batch of one, in few and fixed operations: no shape is computed at run time.

    Keys arrive and leave transposed, (KV, D, S); the softmax's scale stands in the queries' norm.
    """

    def __init__(self, layer: DecoderLayer) -> None:
        super().__init__()
        attention = layer.self_attn
        self.layer, self.attention = layer, attention
        self.queries, self.pairs, self.dim = attention.heads, attention.kv_heads, attention.head_dim
        query = attention.q_norm.weight.detach() * self.dim**-0.5
        key = attention.k_norm.weight.detach()
        scale = torch.cat([query.expand(self.queries, -1), key.expand(self.pairs, -1)])
        self.scale = nn.Parameter(scale.clone(), requires_grad=False)
        self.eps = attention.q_norm.eps

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, past_k: Tensor, past_v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (Q, C), tables (Q, 1, D), bias (group * Q, P + Q), past (KV, D, P), (KV, P, D) -> x and new pairs."""
        turned = self.queries + self.pairs
        heads = self.attention.qkv_proj(self.layer.input_layernorm(x)).reshape(-1, turned + self.pairs, self.dim)
        both, value = heads.split([turned, self.pairs], dim=1)
        both = both / torch.sqrt(both.pow(2).mean(-1, keepdim=True) + self.eps) * self.scale
        first, second = both.split(self.dim // 2, dim=-1)
        both = both * cos + torch.cat([second, first], dim=-1) * sin
        query, key = both.split([self.queries, self.pairs], dim=1)
        key, value = key.permute(1, 2, 0), value.transpose(0, 1)
        query = query.transpose(0, 1).reshape(self.pairs, -1, self.dim)
        score = torch.matmul(query, torch.cat([past_k, key], dim=2)) + bias
        out = torch.matmul(score.softmax(-1), torch.cat([past_v, value], dim=1))
        out = out.reshape(self.queries, -1, self.dim).transpose(0, 1).reshape(-1, self.queries * self.dim)
        return self.layer.finish(x, out), key, value


class VisionGraph(nn.Module):
    """Patches (I, N, values) and the grid's tables -> features (1 + levels, I, tokens, C)."""

    def __init__(self, model: VLA) -> None:
        super().__init__()
        self.tower = model.vision

    def forward(self, patches: Tensor, index: Tensor, weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return self.tower.same_grid(patches, index, weight, cos, sin)


class TextGraph(nn.Module):
    """One step of the text decoder over any number of tokens."""

    def __init__(self, model: VLA) -> None:
        super().__init__()
        self.norm, self.lm_head = model.text.norm, model.text.lm_head
        self.layers = nn.ModuleList(PlainLayer(layer) for layer in model.text.layers)
        self.levels = len(model.config.vision.deepstack_visual_indexes)

    def forward(self, x: Tensor, deep: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, *past: Tensor) -> list[Tensor]:
        """x (Q, C), deep (levels, Q, C); past holds keys, then values of each layer. Logits of the last token first."""
        keys, values = [], []
        for number, layer in enumerate(self.layers):
            x, key, value = layer(x, cos, sin, bias, past[number], past[len(self.layers) + number])
            keys.append(key)
            values.append(value)
            if number < self.levels:
                x = x + deep[number]
        return [self.lm_head(self.norm(x[-1:]))[0], *keys, *values]


class ActionGraph(nn.Module):
    """One evaluation of the flow for K samples."""

    def __init__(self, model: VLA) -> None:
        super().__init__()
        self.expert = model.expert
        self.layers = nn.ModuleList(PlainLayer(layer) for layer in model.expert.layers)

    def forward(self, actions: Tensor, time: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, *past: Tensor) -> Tensor:
        """actions (K, N, 2), time (K,); past as in the text graph, for the expert's layers -> flow (K, N, 2)."""
        expert = self.expert
        tokens = actions.reshape(-1, expert.tokens, expert.per_token * expert.dims)
        x = expert.action_in_proj(tokens, time).reshape(-1, expert.config.hidden_size)
        for number, layer in enumerate(self.layers):
            x, _, _ = layer(x, cos, sin, bias, past[number], past[len(self.layers) + number])
        return expert.action_out_proj(expert.norm(x)).reshape(-1, expert.waypoints, expert.dims)


@dataclass(frozen=True)
class Example:
    """What the exporter needs to know of a graph's inputs and outputs."""

    inputs: tuple[Tensor, ...]
    axes: dict[str, dict[int, str]]  # by input, in order: the dynamic axes
    outputs: dict[str, dict[int, str]]


def examples(config: VlaConfig) -> dict[str, Example]:
    """A configuration -> an example for each graph."""
    merge, levels = config.vision.spatial_merge_size, len(config.vision.deepstack_visual_indexes)
    tables = [torch.from_numpy(table) for table in vision_tables(config.vision, 2 * merge, 3 * merge)]
    patches = torch.randn(2, 6 * merge**2, config.vision.patch_values)
    vision_axes = {"patches": {0: "images", 1: "patch"}, "index": {1: "patch"}, "weight": {1: "patch"}}
    vision_axes |= {"cos": {0: "patch"}, "sin": {0: "patch"}}
    count, held, samples, dim = 5, 7, 2, config.text.head_dim
    axes = {"cos": {0: "q"}, "sin": {0: "q"}, "bias": {0: "rows", 1: "all"}}

    def shared(decoder: DecoderConfig, tokens: int) -> tuple[tuple[Tensor, ...], dict[str, dict[int, str]]]:
        group, pairs, layers = decoder.num_heads // decoder.num_kv_heads, decoder.num_kv_heads, decoder.num_layers
        keys = [torch.randn(pairs, dim, held) for _ in range(layers)]
        values = [torch.randn(pairs, held, dim) for _ in range(layers)]
        bias = torch.zeros(group * tokens, held + tokens)
        names = {f"k{n}": {2: "past"} for n in range(layers)} | {f"v{n}": {1: "past"} for n in range(layers)}
        return (torch.randn(tokens, 1, dim), torch.randn(tokens, 1, dim), bias, *keys, *values), axes | names

    text, text_axes = shared(config.text, count)
    text = (torch.randn(count, config.text.hidden_size), torch.randn(levels, count, config.text.hidden_size), *text)
    action, action_axes = shared(config.expert, samples * config.action_tokens)
    action = (torch.randn(samples, config.action_space.n_waypoints, 2), torch.rand(samples), *action)
    layers = range(config.text.num_layers)
    pairs = {f"new_k{n}": {2: "q"} for n in layers} | {f"new_v{n}": {1: "q"} for n in layers}
    return {
        "vision": Example((patches, *tables), vision_axes, {"features": {1: "images", 2: "token"}}),
        "text": Example(text, {"x": {0: "q"}, "deep": {1: "q"}} | text_axes, {"logits": {}} | pairs),
        "action": Example(action, {"actions": {0: "k"}, "time": {0: "k"}} | action_axes, {"flow": {0: "k"}}),
    }


def write_graph(graph: nn.Module, name: str, config: VlaConfig, path: Path) -> None:
    """One graph -> an ONNX file, written to a temporary name first."""
    example = examples(config)[name]
    part = path.with_suffix(".part")
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            example.inputs,
            str(part),
            input_names=list(example.axes),
            output_names=list(example.outputs),
            dynamic_axes=example.axes | example.outputs,
            opset_version=17,
            dynamo=False,
        )
    part.replace(path)


def export(model: VLA, tokenizer: VlaTokenizer, folder: str | Path, int8: bool = False) -> None:
    """A float32 model on the CPU -> the folder that `policy.student.Student` loads; `int8` quantises the weights."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.float()
    graphs = {"vision": VisionGraph(model), "text": TextGraph(model), "action": ActionGraph(model)}
    for name, graph in graphs.items():
        path = folder / f"{name}.onnx"
        if not int8:
            write_graph(graph, name, model.config, path)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            full = Path(scratch) / path.name
            write_graph(graph, name, model.config, full)
            quantise_graph(full, path)
    table = model.text.embed_tokens.weight.detach().numpy()
    np.save(folder / "embeddings.npy", table)
    write_config(model.config, folder)
    tokenizer.save(folder / "tokenizer")
    facts = {"format": 1, "int8": int8, "ids": asdict(model.config.ids)}
    (folder / "student.json").write_text(json.dumps(facts, indent=1))
