"""An exported model as a policy: observation -> Decision by ONNX Runtime and numpy, without torch.

The student keeps the cache in numpy and hands the graphs what they may see. It shares with the torch model the
prompt, the tables, the action space and the grammars; what it does with them is the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cordillera.geometry import quat_from_yaw
from cordillera.policy.vla.actions import to_trajectory
from cordillera.policy.vla.config import DecoderConfig
from cordillera.policy.vla.grammar import Grammar, TokenTrie, forced
from cordillera.policy.vla.layout import read_config
from cordillera.policy.vla.prompt import CLOSING, STEP_US, ImageKey, Inputs, Prompt
from cordillera.policy.vla.reuse import reusable
from cordillera.policy.vla.tables import text_rotary, turn_keys, vision_tables
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.types import Decision, Observation, ReasoningTrace, Trajectory

Array = NDArray[np.float32]
FORMAT = 2  # of the folder
GROUP = 3  # plans of one evaluation: more cost their mask of each other, fewer read the weights oftener
HIDDEN = np.float32(-1e9)  # bias of a slot that a token must not see


@dataclass(frozen=True)
class StudentConfig:
    """How a student thinks and samples."""

    samples: int = 1  # plans
    reason: bool = True  # false: act without words
    silence: float = 1.0  # act without words where the model gives at least this probability to having none
    max_new_tokens: int = 64
    temperature: float = 0.0
    flow_steps: int | None = None
    stream: str = "exact"  # or "shift": old frames' keys and values move with the window (see vla.stream)
    refresh: int = 10  # in shift mode, windows between two that are read from scratch
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Memory:
    """Keys and values of the tokens read so far, one array (1, KV, S, D) a layer."""

    keys: list[Array]
    values: list[Array]

    @property
    def length(self) -> int:
        """S, the number of tokens."""
        return self.keys[0].shape[2]

    def chosen(self, places: NDArray[np.int64]) -> Memory:
        """The tokens at the given places, in that order."""
        return Memory([k.take(places, axis=2) for k in self.keys], [v.take(places, axis=2) for v in self.values])

    def first(self, count: int) -> Memory:
        """The first tokens alone."""
        if count == self.length:
            return self
        return Memory([k[:, :, :count] for k in self.keys], [v[:, :, :count] for v in self.values])

    def feeds(self, layers: int) -> dict[str, Array]:
        """The first layers' keys and values under the names of the graphs' inputs."""
        return {f"k{n}": self.keys[n] for n in range(layers)} | {f"v{n}": self.values[n] for n in range(layers)}


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one decision's parts."""

    prompt_ms: float
    vision_ms: float
    prefill_ms: float
    words_ms: float
    flow_ms: float
    tokens: int  # generated
    reused: int  # prompt tokens taken from the last window


def _session(path: Path) -> onnxruntime.InferenceSession:
    """A graph that runs on the thread that calls it: its operators are too small to be shared out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # the graphs are written in fused operators; fusing sums into layer norms as well would make them slower
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Student:
    """A folder written by `vla.export.export` as a policy."""

    def __init__(
        self,
        folder: str | Path,
        config: StudentConfig = StudentConfig(),
        grammar: Grammar | None = None,
        parse: Callable[[str, str], ReasoningTrace] | None = None,
        name: str = "student",
    ) -> None:
        folder = Path(folder)
        facts = folder / "student.json"
        if not facts.is_file() or json.loads(facts.read_text()).get("format") != FORMAT:
            raise ValueError(f"{facts}: missing or of another format; write the folder with vla.export.export")
        self.config, self.grammar, self.parse, self.name = config, grammar, parse, name
        self.model = read_config(folder)
        self.tokenizer = VlaTokenizer.from_file(
            folder / "tokenizer" / "tokenizer.json", self.model.traj_vocab_size, self.model.family
        )
        self.prompt = Prompt(self.model, self.tokenizer)
        self.embeddings: Array = np.load(folder / "embeddings.npy")
        self.places: Array = np.load(folder / "places.npy")
        self.graphs = {name: _session(folder / f"{name}.onnx") for name in ("vision", "text", "action")}
        self.spread = map if config.threads == 1 else ThreadPoolExecutor(config.threads).map  # over images and plans
        self.features: dict[ImageKey, Array] = {}
        self.grids: dict[tuple[int, int], dict[str, Array]] = {}  # what the vision graph takes beside the patches
        self.last: tuple[Inputs, Memory, NDArray[np.int64]] | None = None  # and each prompt token's place in memory
        self.windows = 0
        self.said: list[int] = []  # the last words
        self.timing: Timing | None = None

    def afresh(self, seed: int) -> Student:
        """Another seed -> a student on the same graphs that has seen nothing yet; both may run at the same time."""
        other = copy(self)
        other.config, other.features = replace(self.config, seed=seed), {}
        other.last, other.windows, other.said, other.timing = None, 0, [], None
        return other

    def _run(self, name: str, **inputs: NDArray) -> list[Array]:
        return [np.asarray(out) for out in self.graphs[name].run(None, inputs)]

    def see(self, inputs: Inputs) -> None:
        """Compute the features of images that are not known yet, and forget those that left the window."""
        fresh = [i for i, key in enumerate(inputs.keys) if key not in self.features]
        found = self.spread(self._look, (inputs.patches[i] for i in fresh), (inputs.grids[i] for i in fresh))
        self.features |= dict(zip((inputs.keys[i] for i in fresh), found, strict=True))
        self.features = {key: self.features[key] for key in inputs.keys}

    def _look(self, patches: NDArray[np.float32] | None, grid: tuple[int, int]) -> Array:
        """One image's patches and their rows and columns -> its features (1 + levels, tokens, C)."""
        if patches is None:
            raise ValueError("an image has neither patches nor known features")
        vision = self.model.vision
        frames = patches.reshape(len(patches), vision.in_channels, vision.temporal_patch_size, -1)
        single = frames[:, :, 0].reshape(1, len(patches), -1)  # all frames of a patch are the same
        return np.concatenate(self._run("vision", patches=single, **self._grid(grid)))

    def _grid(self, grid: tuple[int, int]) -> dict[str, Array]:
        """Rows and columns of patches -> their places' features and rotary tables, worked out once."""
        if grid not in self.grids:
            index, weight, cos, sin = vision_tables(self.model.vision, *grid)
            half = cos.shape[1] // 2
            place = (self.places[index] * weight[..., None]).sum(axis=0)
            self.grids[grid] = {"place": place, "cos": cos[:, :half].copy(), "sin": sin[:, :half].copy()}
        return self.grids[grid]

    def text(
        self,
        x: Array,
        deep: Array,
        positions: NDArray[np.int64],
        past: Memory,
        seen: NDArray[np.bool_],
        tail: int = 1,
    ) -> tuple[Array, Memory]:
        """Embeddings (Q, C), deepstack (levels, Q, C), positions (3, Q), past and what each token sees (Q, P + Q).

        Returns the logits after the last tokens (tail, V), and the past with the new tokens behind it.
        """
        levels = {f"deep{n}": level[None] for n, level in enumerate(deep)}
        fixed = self._fixed(positions, past, seen, self.model.text)
        logits, *pairs = self._run("text", x=x[None], tail=np.array([-tail]), **levels, **fixed)
        return logits[0], Memory(pairs[0::2], pairs[1::2])

    def _fixed(
        self, positions: NDArray[np.int64], past: Memory, seen: NDArray[np.bool_], decoder: DecoderConfig
    ) -> dict[str, Array]:
        """What text and action graph take alike: rotary tables, mask as a bias for each query head, the past."""
        cos, sin = text_rotary(positions, decoder)
        bias = np.where(seen, np.float32(0.0), HIDDEN).repeat(decoder.num_heads // decoder.num_kv_heads, axis=0)
        return {"cos": cos, "sin": sin, "bias": bias} | past.feeds(decoder.num_layers)

    def read(self, inputs: Inputs) -> tuple[Array, Memory, int]:
        """A prompt whose images are known -> logits after it (V,), its memory, and how many tokens were reused.

        The reused tokens stand first in the memory: where a token stands does not matter, only what it may see.
        """
        levels = len(self.model.vision.deepstack_visual_indexes)
        total = len(inputs.ids)
        x = self.embeddings[inputs.ids]
        deep = np.zeros((levels, *x.shape), np.float32)
        at = inputs.ids == self.model.ids.image
        stacked = np.concatenate([self.features[key] for key in inputs.keys], axis=1)
        x[at], deep[:, at] = stacked[0], stacked[1:]

        shift = self.config.stream == "shift"
        source = np.full(total, -1, np.int64)
        if self.last is not None and not (shift and self.windows % self.config.refresh == 0):
            source = reusable(inputs, self.last[0], self.model.ids.image, shift)
        self.windows += 1
        into, rest = np.flatnonzero(source >= 0), np.flatnonzero(source < 0)
        past = self._taken(inputs, into, source[into])
        order = np.concatenate([into, rest])
        seen = order[None, :] <= rest[:, None]
        logits, memory = self.text(x[rest], deep[:, rest], inputs.positions[:, rest], past, seen)
        self.last = (inputs, memory, np.argsort(order))
        return logits[-1], memory, len(into)

    def _taken(self, inputs: Inputs, into: NDArray[np.int64], taken: NDArray[np.int64]) -> Memory:
        """The last prompt's tokens `taken`, their keys turned to where the new prompt's tokens `into` stand."""
        decoder = self.model.text
        if self.last is None or not len(into):
            none = np.zeros((1, decoder.num_kv_heads, 0, decoder.head_dim), np.float32)
            return Memory([none] * decoder.num_layers, [none] * decoder.num_layers)
        before, memory, slots = self.last
        past = memory.chosen(slots[taken])
        delta = inputs.positions[:, into] - before.positions[:, taken]
        return Memory([turn_keys(keys, delta, decoder) for keys in past.keys], past.values)

    def has_nothing_to_say(self, logits: Array) -> bool:
        """Logits after the prompt -> whether the model would rather end its words than begin them."""
        if self.config.silence >= 1.0:
            return False
        scores = np.delete(logits.astype(np.float64), self._trajectory_ids())
        share = np.exp(float(logits[self.model.ids.cot_end]) - scores.max()) / np.exp(scores - scores.max()).sum()
        return bool(share >= self.config.silence)

    def _trajectory_ids(self) -> NDArray[np.int64]:
        return np.arange(self.model.traj_start, self.model.traj_start + self.model.traj_vocab_size)

    def speak(self, logits: Array, memory: Memory, position: int) -> tuple[list[int], Memory]:
        """Logits after the prompt -> generated tokens up to <|traj_future_start|>, and the memory with them in it.

        Words change seldom from one decision to the next. So the last ones are read again at once as a guess, and
        kept as far as the model chooses the same tokens anew.
        """
        chance = np.random.default_rng(self.config.seed)
        grammar, guess = self.grammar, self.said
        silent = self.has_nothing_to_say(logits)
        if silent:
            grammar, guess = TokenTrie([self.tokenizer.encode(CLOSING)]), []
        state: Any = grammar.start() if grammar else None
        tokens: list[int] = []
        heard: list[int] = []  # whose keys and values the memory holds
        rows = logits[None]  # the logits after the prompt, then after each token heard
        if guess:
            heard, (rows, memory) = guess, self._hear(guess, rows, memory, position)
        while len(tokens) < self.config.max_new_tokens:
            fresh: list[int] = []
            if grammar:
                fresh, state = forced(grammar, state)
            if not fresh:
                token = self._draw(rows[len(tokens)], state, chance)
                fresh = [token]
                if grammar:
                    more, state = forced(grammar, grammar.advance(state, token))
                    fresh += more
            tokens += fresh
            if tokens != heard[: len(tokens)]:
                differ = [n for n, (a, b) in enumerate(zip(tokens, heard, strict=False)) if a != b]
                same = differ[0] if differ else len(heard)
                memory = memory.first(memory.length - len(heard) + same)
                rows, memory = self._hear(tokens[same:], rows[: same + 1], memory, position + same)
                heard = list(tokens)
            if self.model.ids.future_start in fresh:
                self.said = self.said if silent else tokens
                return tokens, memory.first(memory.length - len(heard) + len(tokens))
        raise RuntimeError(f"{self.name}: the reasoning did not end within {self.config.max_new_tokens} tokens")

    def _hear(self, tokens: list[int], rows: Array, memory: Memory, position: int) -> tuple[Array, Memory]:
        """Words from a position on -> the rows with the logits after each of them, the memory with them in it."""
        count, held = len(tokens), memory.length
        x = self.embeddings[tokens]
        deep = np.zeros((len(self.model.vision.deepstack_visual_indexes), *x.shape), np.float32)
        places = np.broadcast_to(position + np.arange(count), (3, count))
        seen = np.concatenate([np.ones((count, held), bool), np.tri(count, dtype=bool)], axis=1)
        after, memory = self.text(x, deep, places, memory, seen, tail=count)
        return np.concatenate([rows, after]), memory

    def _draw(self, logits: Array, state: object, chance: np.random.Generator) -> int:
        if self.grammar:
            allowed = np.array(self.grammar.allowed(state))
        else:
            allowed = np.setdiff1d(np.arange(len(logits)), self._trajectory_ids())
        scores = logits[allowed].astype(np.float64)
        if self.config.temperature <= 0.0:
            return int(allowed[np.argmax(scores)])
        share = np.exp((scores - scores.max()) / self.config.temperature)
        return int(chance.choice(allowed, p=share / share.sum()))

    def act(self, inputs: Inputs, memory: Memory, position: int, noise: Array) -> Array:
        """Memory, the actions' first position and noise (K, N, 2) -> normalised actions (K, N, 2).

        The plans run in groups, each on a core of its own: that scales better than sharing out single operators.
        """
        groups = [noise[k : k + GROUP] for k in range(0, len(noise), GROUP)]
        actions = np.concatenate(list(self.spread(lambda group: self._flow(inputs, memory, position, group), groups)))
        if not np.isfinite(actions).all():
            raise ValueError(f"{self.name}: the action graph produced NaN or infinite actions")
        return actions

    def _flow(self, inputs: Inputs, memory: Memory, position: int, noise: Array) -> Array:
        """The same for one group of plans."""
        samples, tokens = len(noise), self.model.action_tokens
        steps = self.config.flow_steps or self.model.flow_steps
        places = np.broadcast_to(np.tile(position + np.arange(tokens), samples), (3, samples * tokens))
        sample = np.repeat(np.arange(samples), tokens)
        own = sample[:, None] == sample
        seen = np.concatenate([np.ones((len(own), memory.length), bool), own], axis=1)
        fixed = self._fixed(places, memory, seen, self.model.expert)
        if inputs.state is not None:
            fixed["state"] = inputs.state[None]
        x = noise
        times = np.linspace(0.0, 1.0, steps + 1, dtype=np.float32)
        for i in range(steps):
            x = x + (times[i + 1] - times[i]) * self._run("action", actions=x, time=times[i : i + 1], **fixed)[0]
        return x

    def decide(self, observation: Observation) -> Decision:
        """An observation -> the plan closest to all sampled ones, with the reason given for it.

        Raises BadObservation (a ValueError) for input that the model must not be asked about.
        """
        clock = [time.perf_counter()]
        config, space = self.config, self.model.action_space
        said = None if config.reason else ""
        inputs = self.prompt.encode(observation, known=frozenset(self.features), said=said)
        clock.append(time.perf_counter())
        self.see(inputs)
        clock.append(time.perf_counter())
        logits, memory, reused = self.read(inputs)
        clock.append(time.perf_counter())
        tokens: list[int] = []
        if config.reason:
            tokens, memory = self.speak(logits, memory, inputs.next_position)
        clock.append(time.perf_counter())
        rows = [
            np.random.default_rng(config.seed + k).standard_normal((space.n_waypoints, 2))
            for k in range(config.samples)
        ]
        actions = self.act(inputs, memory, inputs.next_position + len(tokens), np.stack(rows).astype(np.float32))
        clock.append(time.perf_counter())
        parts = [1e3 * (b - a) for a, b in pairwise(clock)]
        self.timing = Timing(*parts, tokens=len(tokens), reused=reused)

        past = np.broadcast_to(inputs.history_xyz, (config.samples, *inputs.history_xyz.shape))
        turned = np.broadcast_to(inputs.history_rot, (config.samples, *inputs.history_rot.shape))
        xyz, rotation = to_trajectory(actions, past, turned, space)
        stamps = observation.t_us + STEP_US * np.arange(1, space.n_waypoints + 1)
        quat = quat_from_yaw(np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0]))
        candidates = tuple(Trajectory(stamps, p, q, "rig") for p, q in zip(xyz, quat, strict=True))
        gap = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1).mean(-1).sum(1)
        return Decision(candidates[int(np.argmin(gap))], candidates, self._trace(tokens), self.name, sum(parts))

    def _trace(self, tokens: list[int]) -> ReasoningTrace | None:
        if not self.config.reason:
            return None
        words = self.tokenizer.decode(tokens).split("<|cot_end|>")[0].strip()
        if not words:
            return None
        if self.parse is None:
            return ReasoningTrace(None, None, (), words, self.name)
        return self.parse(words, self.name)
