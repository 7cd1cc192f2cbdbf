"""A model's towers -> ONNX graphs in ONNX Runtime's fused operators: few kernels a layer, no work on shapes.

At nano's size a plain graph spends as much time between its hundreds of small operators as in its matrix products.
So the graphs are written node by node: norms, rotary turns and attention are one operator each. The query heads that
share keys are folded into the queries, by the order of the projections' rows, so that keys and values are read once
and nothing is moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from cordillera.policy.vla.expert import ActionExpert
from cordillera.policy.vla.layers import DecoderLayer, RMSNorm
from cordillera.policy.vla.text import TextDecoder
from cordillera.policy.vla.vision import PatchMerger, VisionBlock, VisionTower

CONTRIB = "com.microsoft"
OPSET, IR_VERSION = 23, 10
TOP = 63  # of a weight as an integer: two products with a byte then fit 16 bits, in which AVX2 adds them and saturates


def values(tensor: Tensor) -> NDArray[np.float32]:
    """A weight -> its numbers."""
    return tensor.detach().float().numpy()


@dataclass
class Sketch:
    """A graph in the making. Names of tensors are strings; an absent input is the empty string."""

    int8: bool  # matrix products with int8 weights, a scale for each output, activations quantised on the fly
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        """Append an operator; the names of its outputs."""
        names = [f"{kind}{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names

    def one(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append an operator with one output; its name."""
        return self.op(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def const(self, array: NDArray) -> str:
        """A constant's name."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ints(self, *numbers: int) -> str:
        """A constant list of integers."""
        return self.const(np.array(numbers, np.int64))

    def shaped(self, x: str, *sizes: int) -> str:
        return self.one("Reshape", x, self.ints(*sizes))

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """x (..., K), weight (N, K) and bias (N,) -> (..., N)."""
        if self.int8:
            scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / np.float32(TOP)
            rounded = np.rint(weight / scale[:, None]).astype(np.int8).T
            zero = np.zeros(len(scale), np.int8)
            inputs = [self.const(rounded), self.const(scale), self.const(zero)]
            inputs += [] if bias is None else [self.const(bias)]
            return self.one("DynamicQuantizeMatMul", x, *inputs, domain=CONTRIB)
        return self.exact(x, weight, bias)

    def exact(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """The same with float weights whatever the graph's."""
        y = self.one("MatMul", x, self.const(weight.T))
        return y if bias is None else self.one("Add", y, self.const(bias))

    def norm(self, x: str, scale: NDArray[np.float32], eps: float) -> str:
        """Root mean square norm over the last axis."""
        return self.one("SimplifiedLayerNormalization", x, self.const(scale), axis=-1, epsilon=eps, stash_type=1)

    def added(self, x: str, more: str, norm: RMSNorm) -> tuple[str, str]:
        """A residual sum -> the sum and its norm."""
        total = self.one("Add", x, more)
        return total, self.norm(total, values(norm.weight), norm.eps)

    def turned(self, x: str, cos: str, sin: str, heads: int) -> str:
        """x (B, S, heads * D) turned by the tables (S, D / 2): the first half of each head pairs with the second."""
        return self.one("RotaryEmbedding", x, self.ints(0), cos, sin, domain=CONTRIB, num_heads=heads)

    def model(self, inputs: dict[str, tuple[int | str, ...]], outputs: dict[str, str]) -> ModelProto:
        """Inputs' shapes by name, and the tensors that leave under other names -> the model; "tail" is an integer."""
        kinds = {"tail": TensorProto.INT64}
        ends = [helper.make_node("Identity", [tensor], [name]) for name, tensor in outputs.items()]
        graph: GraphProto = helper.make_graph(
            [*self.nodes, *ends],
            "graph",
            [
                helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
                for name, shape in inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


# ---------------------------------------------------------------------- decoder layers


@dataclass(frozen=True)
class Tables:
    """What the layers of one decoder take alike: rotary tables (Q, D / 2), mask (group * Q, P + Q) as a bias."""

    cos: str
    sin: str
    bias: str


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A decoder layer's attention weights, query heads ordered by their place in the group, then by their pair."""

    query: NDArray[np.float32]
    key: NDArray[np.float32]
    value: NDArray[np.float32]
    biases: tuple[NDArray[np.float32], ...]  # of the three, or none
    norm: NDArray[np.float32]  # (heads + pairs, D)
    output: NDArray[np.float32]

    @classmethod
    def of(cls, layer: DecoderLayer) -> LayerWeights:
        attention = layer.self_attn
        heads, pairs, dim = attention.heads, attention.kv_heads, attention.head_dim
        order = np.arange(heads).reshape(pairs, -1).T.reshape(-1)
        rows = (order[:, None] * dim + np.arange(dim)).reshape(-1)
        cuts = [heads * dim, (heads + pairs) * dim]
        query, key, value = np.split(values(attention.qkv_proj.weight), cuts)
        biases: tuple[NDArray[np.float32], ...] = ()
        if attention.qkv_proj.bias is not None:
            first, second, third = np.split(values(attention.qkv_proj.bias), cuts)
            biases = (first[rows], second, third)
        norm = np.concatenate([
            np.tile(values(attention.q_norm.weight), (heads, 1)), np.tile(values(attention.k_norm.weight), (pairs, 1))
        ])  # fmt: skip
        return cls(query[rows], key, value, biases, norm, values(attention.o_proj.weight)[:, rows])


def attention(sketch: Sketch, layer: DecoderLayer, x: str, tables: Tables, number: int) -> tuple[str, list[str]]:
    """Normed features (1, Q, C) and layer `number`'s past -> output before the residual, present keys and values."""
    own, weights = layer.self_attn, LayerWeights.of(layer)
    heads, pairs, dim = own.heads, own.kv_heads, own.head_dim
    joined = np.concatenate([weights.query, weights.key])
    bias = np.concatenate(weights.biases[:2]) if weights.biases else None
    both = sketch.linear(x, joined, bias)
    value = sketch.linear(x, weights.value, weights.biases[2] if weights.biases else None)
    both = _normed(sketch, both, weights.norm, own.q_norm.eps)
    both = sketch.turned(both, tables.cos, tables.sin, heads + pairs)
    query, key = sketch.op("Split", both, sketch.ints(heads * dim, pairs * dim), outputs=2, axis=2)
    return _attended(sketch, layer, query, [key, value], tables.bias, number)


def last_attention(sketch: Sketch, layer: DecoderLayer, x: str, tables: Tables, number: int) -> tuple[str, list[str]]:
    """The same with the tail's output alone, which is all that is read behind the last layer."""
    own, weights = layer.self_attn, LayerWeights.of(layer)
    heads, pairs = own.heads, own.kv_heads
    query_bias, key_bias, value_bias = weights.biases or (None, None, None)
    query = sketch.linear(tail(sketch, x, 1), weights.query, query_bias)
    query = _normed(sketch, query, weights.norm[:heads], own.q_norm.eps)
    query = sketch.turned(query, tail(sketch, tables.cos, 0), tail(sketch, tables.sin, 0), heads)
    key = _normed(sketch, sketch.linear(x, weights.key, key_bias), weights.norm[heads:], own.k_norm.eps)
    key = sketch.turned(key, tables.cos, tables.sin, pairs)
    value = sketch.linear(x, weights.value, value_bias)
    bias = tail(sketch, tables.bias, 0, heads // pairs)
    return _attended(sketch, layer, query, [key, value], bias, number)


def tail(sketch: Sketch, x: str, axis: int, each: int = 1) -> str:
    """The tail's places along an axis, of which every token has `each`; the input "tail" holds minus its length."""
    start = "tail" if each == 1 else sketch.one("Mul", "tail", sketch.ints(each))
    return sketch.one("Slice", x, start, sketch.ints(2**31 - 1), sketch.ints(axis))


def _normed(sketch: Sketch, x: str, scale: NDArray[np.float32], eps: float) -> str:
    """Heads side by side (1, Q, H * D), scales (H, D) -> each head's norm."""
    heads, dim = scale.shape
    normed = sketch.norm(sketch.shaped(x, 1, -1, heads, dim), np.ones(dim, np.float32), eps)
    return sketch.shaped(sketch.one("Mul", normed, sketch.const(scale)), 1, -1, heads * dim)


def _attended(
    sketch: Sketch, layer: DecoderLayer, query: str, pair: list[str], bias: str, number: int
) -> tuple[str, list[str]]:
    own = layer.self_attn
    folded = sketch.shaped(query, 1, -1, own.kv_heads * own.head_dim)
    names = [folded, *pair, bias, f"k{number}", f"v{number}"]
    heads: dict[str, Any] = {"q_num_heads": own.kv_heads, "kv_num_heads": own.kv_heads}
    out, key, value = sketch.op("Attention", *names, outputs=3, **heads)
    out = sketch.shaped(out, 1, -1, own.heads * own.head_dim)
    bias_out = None if own.o_proj.bias is None else values(own.o_proj.bias)
    return sketch.linear(out, LayerWeights.of(layer).output, bias_out), [key, value]


def gated(sketch: Sketch, layer: DecoderLayer, x: str) -> str:
    """The gated MLP of a layer, before the residual sum."""
    gate, up = np.split(values(layer.mlp.gate_up_proj.weight), 2)
    opened = sketch.one("QuickGelu", sketch.linear(x, gate), domain=CONTRIB, alpha=1.0)
    return sketch.linear(sketch.one("Mul", opened, sketch.linear(x, up)), values(layer.mlp.down_proj.weight))


def past_shapes(layer: DecoderLayer, count: int) -> dict[str, tuple[int | str, ...]]:
    """The inputs that hold `count` layers' keys and values, (1, KV, P, D) each."""
    shape = (1, layer.self_attn.kv_heads, "past", layer.self_attn.head_dim)
    return {f"{kind}{n}": shape for kind in "kv" for n in range(count)}


def table_shapes(layer: DecoderLayer) -> dict[str, tuple[int | str, ...]]:
    """The inputs of `Tables`."""
    half = layer.self_attn.head_dim // 2
    return {"cos": ("q", half), "sin": ("q", half), "bias": ("rows", "all")}


# ---------------------------------------------------------------------- the three graphs


def text_graph(text: TextDecoder, levels: int, int8: bool) -> ModelProto:
    """x (1, Q, C), deep0.. (1, Q, C), tail (1,), tables, past -> logits (1, -tail, V), present keys and values.

    Logits are those after the last tokens: minus `tail` of them.
    """
    sketch, tables = Sketch(int8), Tables("cos", "sin", "bias")
    layers = list(text.layers)
    x, end = "x", len(layers) - 1
    h = sketch.norm(x, values(layers[0].input_layernorm.weight), layers[0].input_layernorm.eps)
    presents: dict[str, str] = {}
    for number, layer in enumerate(layers):
        attend = last_attention if number == end else attention
        out, pair = attend(sketch, layer, h, tables, number)
        presents |= {f"new_k{number}": pair[0], f"new_v{number}": pair[1]}
        x = tail(sketch, x, 1) if number == end else x
        x, h = sketch.added(x, out, layer.post_attention_layernorm)
        more = gated(sketch, layer, h)
        if number < levels:
            deep = tail(sketch, f"deep{number}", 1) if number == end else f"deep{number}"
            more = sketch.one("Add", more, deep)
        x, h = sketch.added(x, more, text.norm if number == end else layers[number + 1].input_layernorm)
    wide = text.config.hidden_size
    inputs: dict[str, tuple[int | str, ...]] = {"x": (1, "q", wide), "tail": (1,)}
    inputs |= {f"deep{n}": (1, "q", wide) for n in range(levels)} | table_shapes(layers[0])
    logits = sketch.exact(h, values(text.lm_head.weight))
    return sketch.model(inputs | past_shapes(layers[0], len(layers)), {"logits": logits} | presents)


def action_graph(expert: ActionExpert, int8: bool) -> ModelProto:
    """actions (K, N, 2), time (1,), the state (1, S) if there is one, tables, past -> the flow (K, N, 2)."""
    sketch, tables = Sketch(int8), Tables("cos", "sin", "bias")
    layers = list(expert.layers)
    x = _projected(sketch, expert)
    h = sketch.norm(x, values(layers[0].input_layernorm.weight), layers[0].input_layernorm.eps)
    for number, layer in enumerate(layers):
        out, _ = attention(sketch, layer, h, tables, number)
        x, h = sketch.added(x, out, layer.post_attention_layernorm)
        following = expert.norm if number == len(layers) - 1 else layers[number + 1].input_layernorm
        x, h = sketch.added(x, gated(sketch, layer, h), following)
    head = expert.action_out_proj
    flow = sketch.shaped(sketch.exact(h, values(head.weight), values(head.bias)), -1, expert.waypoints, expert.dims)
    inputs: dict[str, tuple[int | str, ...]] = {"actions": ("k", expert.waypoints, expert.dims), "time": (1,)}
    if expert.action_in_proj.state is not None:
        inputs["state"] = (1, cast("nn.Linear", expert.action_in_proj.state[0]).in_features)
    inputs |= table_shapes(layers[0]) | past_shapes(layers[0], len(layers))
    return sketch.model(inputs, {"flow": flow})


def _projected(sketch: Sketch, expert: ActionExpert) -> str:
    """Actions and time -> the expert's tokens (1, K * T, C). A cosine is a sine a quarter turn on."""
    projection, numbers = expert.action_in_proj, expert.dims * expert.per_token
    waves = projection.waves
    rates = np.logspace(projection.low, projection.top, waves, dtype=np.float32) * np.float32(2.0 * math.pi)
    rates = sketch.const(np.tile(rates, 2))
    ahead = sketch.const(np.repeat(np.array([0.0, math.pi / 2], np.float32), waves))

    def features(x: str) -> str:
        return sketch.one("Sin", sketch.one("Add", sketch.one("Mul", x, rates), ahead))

    layers: list[nn.Module] = list(projection.trunk)
    first = layers[0]
    if not isinstance(first, nn.Linear):
        raise TypeError("the projection's trunk must begin with a linear layer")
    weight = values(first.weight) * np.float32(math.sqrt(2.0))
    wide = numbers * 2 * waves
    moment = sketch.exact(features("time"), weight[:, wide:], values(first.bias))
    wave = sketch.shaped(features(sketch.shaped("actions", 1, -1, numbers, 1)), 1, -1, wide)
    x = sketch.one("Add", sketch.exact(wave, weight[:, :wide]), moment)
    for part in layers[1:]:
        if isinstance(part, nn.SiLU):
            x = sketch.one("QuickGelu", x, domain=CONTRIB, alpha=1.0)
        elif isinstance(part, RMSNorm):
            x = sketch.norm(x, values(part.weight), part.eps)
        elif isinstance(part, nn.Linear):
            x = sketch.exact(x, values(part.weight), values(part.bias))
        else:
            raise TypeError(f"no operator for {type(part).__name__} in the projection of actions")
    if projection.state is not None:
        enter, leave = cast("nn.Linear", projection.state[0]), cast("nn.Linear", projection.state[2])
        state = sketch.exact("state", values(enter.weight), values(enter.bias))
        state = sketch.one("QuickGelu", state, domain=CONTRIB, alpha=1.0)
        state = sketch.exact(state, values(leave.weight), values(leave.bias))
        width = expert.config.hidden_size
        by_sample = sketch.shaped(x, -1, expert.tokens, width)
        x = sketch.shaped(sketch.one("Add", by_sample, sketch.shaped(state, 1, -1, width)), 1, -1, width)
    norm = projection.norm
    return sketch.one(
        "LayerNormalization", x, sketch.const(values(norm.weight)), sketch.const(values(norm.bias)), epsilon=norm.eps
    )


def single_frame(tower: VisionTower) -> NDArray[np.float32]:
    """The patch embedding's weight for patches whose frames are all the same: (C, channels * size * size)."""
    config = tower.config
    shape = (-1, config.in_channels, config.temporal_patch_size, config.patch_size**2)
    return values(tower.patch_embed.weight).reshape(shape).sum(axis=2).reshape(config.hidden_size, -1)


def vision_graph(tower: VisionTower, int8: bool) -> ModelProto:
    """patches (I, N, values of one frame), place (N, C), cos, sin (N, D / 2) -> level0.. (I, tokens, C)."""
    sketch, config = Sketch(int8), tower.config
    x = sketch.one("Add", sketch.linear("patches", single_frame(tower)), "place")
    blocks, deepstack = cast("list[VisionBlock]", list(tower.blocks)), cast("list[PatchMerger]", list(tower.deepstack))
    h = _layer_norm(sketch, x, blocks[0].norm1)
    levels: dict[str, str] = {}
    for number, block in enumerate(blocks):
        x, h = _vision_attention(sketch, block, x, h)
        more = _gelu(sketch, block, sketch.linear(h, values(block.fc1.weight)))
        more = sketch.linear(more, values(block.fc2.weight), values(block.fc2.bias))
        following = tower.merger.norm if number == len(blocks) - 1 else blocks[number + 1].norm1
        x, h = _added(sketch, x, more, following)
        if number in config.deepstack_visual_indexes:
            place = config.deepstack_visual_indexes.index(number)
            levels[f"level{place + 1}"] = _merged(sketch, deepstack[place], x)
    merged = _merged(sketch, tower.merger, h)
    half = config.hidden_size // config.num_heads // 2
    per_frame = config.patch_values // config.temporal_patch_size
    inputs: dict[str, tuple[int | str, ...]] = {"patches": ("images", "patch", per_frame)}
    inputs |= {"place": ("patch", config.hidden_size), "cos": ("patch", half), "sin": ("patch", half)}
    return sketch.model(inputs, {"level0": merged} | dict(sorted(levels.items())))


def _layer_norm(sketch: Sketch, x: str, norm: nn.LayerNorm) -> str:
    names = [x, sketch.const(values(norm.weight)), sketch.const(values(norm.bias))]
    return sketch.one("LayerNormalization", *names, epsilon=norm.eps)


def _added(sketch: Sketch, x: str, more: str, norm: nn.LayerNorm) -> tuple[str, str]:
    """A residual sum -> the sum and its norm."""
    total = sketch.one("Add", x, more)
    return total, _layer_norm(sketch, total, norm)


def _vision_attention(sketch: Sketch, block: VisionBlock, x: str, h: str) -> tuple[str, str]:
    """Residual stream and its norm -> the same behind the block's attention."""
    weight, bias = values(block.qkv.weight), values(block.qkv.bias)
    wide = len(bias) // 3
    both = sketch.linear(h, weight[: 2 * wide], bias[: 2 * wide])
    value = sketch.linear(h, weight[2 * wide :], bias[2 * wide :])
    both = sketch.turned(both, "cos", "sin", 2 * block.heads)
    query, key = sketch.op("Split", both, sketch.ints(wide, wide), outputs=2, axis=2)
    heads: dict[str, Any] = {"q_num_heads": block.heads, "kv_num_heads": block.heads}
    out = sketch.one("Attention", query, key, value, **heads)
    return _added(sketch, x, sketch.linear(out, values(block.proj.weight), values(block.proj.bias)), block.norm2)


def _gelu(sketch: Sketch, block: VisionBlock, x: str) -> str:
    kind = "FastGelu" if block.approximate == "tanh" else "BiasGelu"
    return sketch.one(kind, x, sketch.const(values(block.fc1.bias)), domain=CONTRIB)


def _merged(sketch: Sketch, merger: PatchMerger, x: str) -> str:
    """Features (I, N, C), those of the last merger normed already -> (I, tokens, width of the text decoder)."""
    x = sketch.shaped(x, 0, -1, merger.block)
    if merger.norm_after_merge:
        x = _layer_norm(sketch, x, merger.norm)
    x = sketch.linear(x, values(merger.linear_fc1.weight))
    x = sketch.one("BiasGelu", x, sketch.const(values(merger.linear_fc1.bias)), domain=CONTRIB)
    return sketch.linear(x, values(merger.linear_fc2.weight), values(merger.linear_fc2.bias))
