"""Prompts -> reasoning text and a cache (`VLA.think`), cache and noise -> trajectories (`VLA.act`).

`think` reads the prompt once for all samples and lets each sample reason on; `act` lets the expert plan on what was
thought. They are separate calls: reasoning may run rarely and acting often, or with another number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cordillera.policy.vla.actions import to_trajectory
from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.expert import ActionExpert, Context
from cordillera.policy.vla.generate import Path, Rules, Sampling, generate
from cordillera.policy.vla.grammar import Grammar
from cordillera.policy.vla.layers import NOBODY, PREFIX, Cache
from cordillera.policy.vla.prompt import ImageKey, Inputs, without_route
from cordillera.policy.vla.text import TextDecoder, Visual
from cordillera.policy.vla.vision import VisionTower

Features = dict[ImageKey, Tensor]  # (1 + levels, tokens, C) of each image


@dataclass
class Prefix:
    """A prompt that has been read: its cache, the logits after it and where the generated tokens go on."""

    cache: Cache
    logits: Tensor  # (B, V) after the last token of each prompt
    next_position: Tensor  # (B,)
    state: Tensor | None = None  # (B, S) where the expert reads it


@dataclass
class Thought:
    """What `think` leaves for `act`: caches with every sample's reasoning in them."""

    inputs: tuple[Inputs, ...]
    prefix: Prefix
    paths: list[list[Path]]  # B x samples
    unguided: Prefix | None = None  # the same reasoning behind the prompt without its route

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(B, samples): whether the reasoning came to its end rather than to the limit of tokens."""
        return np.array([[path.stop >= 0 for path in row] for row in self.paths])

    def texts(self, decode) -> list[list[str]]:
        """Every sample's text up to the stop token, decoded by `decode(ids)`."""
        return [[decode(path.tokens[: path.stop] if path.stop >= 0 else path.tokens) for path in row]
                for row in self.paths]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Sampled plans in the rig frame of now."""

    actions: NDArray[np.float32]  # (B, K, N, 2) normalised
    xyz: NDArray[np.float64]  # (B, K, N, 3)
    rotation: NDArray[np.float64]  # (B, K, N, 3, 3)


@dataclass(frozen=True)
class ThinkOptions:
    """How to think: samples and their drawing, a grammar that binds the words, and whether guidance will be used."""

    samples: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    grammar: Grammar | None = None
    guidance: bool = False


GREEDY, ONE_GREEDY = Sampling(), ThinkOptions()


class VLA(nn.Module):
    """Vision tower, text decoder and action expert."""

    def __init__(self, config: VlaConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision)
        self.text = TextDecoder(config.text, config.vocab_size, config.tie_embeddings)
        self.expert = ActionExpert(config.expert, config.action_proj, config.action_space.n_waypoints)

    @property
    def device(self) -> torch.device:
        return self.text.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.text.norm.weight.dtype

    def see(self, batch: Sequence[Inputs], known: Features | None = None) -> Features:
        """The features of every image of the batch; those in `known` are not computed again."""
        found: Features = dict(known or {})
        new: list[tuple[ImageKey, NDArray[np.float32], tuple[int, int]]] = []
        for inputs in batch:
            for key, patches, grid in zip(inputs.keys, inputs.patches, inputs.grids, strict=True):
                if key in found or any(key == other[0] for other in new):
                    continue
                if patches is None:
                    raise ValueError(f"image {key} has neither patches nor known features")
                new.append((key, patches, grid))
        if new:
            stacked = np.concatenate([patches for _, patches, _ in new])
            if not np.isfinite(stacked).all():
                raise ValueError("pixel values hold NaN or infinite numbers")
            pixels = torch.from_numpy(stacked).to(self.device, self.dtype)
            for (key, _, _), out in zip(new, self.vision(pixels, [grid for _, _, grid in new]), strict=True):
                found[key] = out
        return found

    def collate(self, batch: Sequence[Inputs], features: Features) -> tuple[Tensor, Tensor, Tensor, Visual | None]:
        """Prompts -> ids (B, S), positions (3, B, S), owners (B, S), image features; padded on the right."""
        longest = max(len(inputs.ids) for inputs in batch)
        ids = torch.full((len(batch), longest), self.config.ids.pad, dtype=torch.long)
        positions = torch.zeros((3, len(batch), longest), dtype=torch.long)
        owner = torch.full((len(batch), longest), NOBODY, dtype=torch.long)
        for row, inputs in enumerate(batch):
            count = len(inputs.ids)
            ids[row, :count] = torch.from_numpy(inputs.ids)
            positions[:, row, :count] = torch.from_numpy(inputs.positions)
            owner[row, :count] = PREFIX
        ids, positions, owner = ids.to(self.device), positions.to(self.device), owner.to(self.device)
        stacked = [features[key] for inputs in batch for key in inputs.keys]
        visual = Visual(ids == self.config.ids.image, torch.cat(stacked, dim=1)) if stacked else None
        return ids, positions, owner, visual

    def hidden(self, batch: Sequence[Inputs], features: Features, room: int) -> tuple[Tensor, Cache]:
        """Prompts -> normed hidden states (B, S, C) and the filled cache with room for `room` more tokens."""
        ids, positions, owner, visual = self.collate(batch, features)
        count = ids.shape[1]
        cache = Cache.empty(self.config.text, len(batch), count + room, self.device, self.dtype)
        cache.owner[:, :count], cache.length = owner, count
        x = self.text.embed(ids, visual)
        return self.text(x, positions, cache, torch.arange(count, device=self.device), None, visual), cache

    def read(self, batch: Sequence[Inputs], features: Features, room: int = 0) -> Prefix:
        """Prompts -> the prefix that thinking and acting go on from; one pass, whatever the number of samples."""
        hidden, cache = self.hidden(batch, features, room)
        last = torch.tensor([len(inputs.ids) - 1 for inputs in batch], device=self.device)
        logits = self.text.lm_head(hidden[torch.arange(len(batch), device=self.device), last])
        free = torch.tensor([inputs.next_position for inputs in batch], device=self.device)
        return Prefix(cache, logits, free, self.states(batch))

    def states(self, batch: Sequence[Inputs]) -> Tensor | None:
        """Prompts -> the states that the expert reads beside them (B, S), if it reads any."""
        held = [inputs.state for inputs in batch if inputs.state is not None]
        return torch.from_numpy(np.stack(held)).to(self.device) if held else None

    def feed(self, prefix: Prefix, chunks: list[list[list[int]]], offsets: list[list[int]]) -> Tensor:
        """Every sample's next tokens (B x samples lists) -> logits after each non-empty chunk (N, V), in order."""
        rows = [[(token, k, offsets[b][k] + j) for k, chunk in enumerate(row) for j, token in enumerate(chunk)]
                for b, row in enumerate(chunks)]  # fmt: skip
        count = max(len(row) for row in rows)
        table = np.full((3, len(rows), count), 0, np.int64)
        table[0], table[1] = self.config.ids.pad, NOBODY
        for b, row in enumerate(rows):
            if row:
                table[:, b, : len(row)] = np.array(row).T
        ids, owner, offset = torch.from_numpy(table).to(self.device)
        ends = [(b, sum(len(other) for other in row[: k + 1]) - 1)
                for b, row in enumerate(chunks) for k, chunk in enumerate(row) if chunk]  # fmt: skip
        cache = prefix.cache
        cache.reserve(count)
        slots = torch.arange(cache.length, cache.length + count, device=self.device)
        cache.owner[:, slots] = owner
        cache.length += count
        positions = (prefix.next_position[:, None] + offset).expand(3, -1, -1)
        mask = cache.visible_to(owner, slots)
        hidden = self.text(self.text.embed_tokens(ids), positions, cache, slots, mask)
        at = torch.tensor(ends, device=self.device)
        return self.text.lm_head(hidden[at[:, 0], at[:, 1]])

    def rules(self, options: ThinkOptions, answering: bool) -> Rules:
        """What ends a text: the trajectory's start for reasoning, the answer's end for a question."""
        ids = self.config.ids
        banned = slice(self.config.traj_start, self.config.traj_start + self.config.traj_vocab_size)
        stops = frozenset() if answering else frozenset({ids.future_start})
        ends = frozenset({ids.eos, ids.answer_end}) if answering else frozenset()
        return Rules(options.sampling, stops, ends, banned, options.grammar)

    @torch.inference_mode()
    def think(
        self,
        inputs: Inputs | Sequence[Inputs],
        options: ThinkOptions = ONE_GREEDY,
        features: Features | None = None,
        prefix: Prefix | None = None,
    ) -> Thought:
        """Prompts -> reasoning of `options.samples` paths each, and the caches that `act` reads.

        `features` are image features that are known already, `prefix` a prompt already read (streaming).
        With temperature 0 all paths are the same: think with one and let `act` share it. With no new tokens allowed
        nothing is generated: the prompt says all (`Prompt.encode(said=...)`).
        """
        batch = (inputs,) if isinstance(inputs, Inputs) else tuple(inputs)
        room = options.samples * (options.sampling.max_new_tokens + 2)
        seen = features if prefix is not None and not options.guidance else self.see(batch, features)
        if prefix is None:
            prefix = self.read(batch, seen or {}, room)
        if options.sampling.max_new_tokens == 0:
            return Thought(batch, prefix, [[Path(done=True) for _ in range(options.samples)] for _ in batch])
        paths = generate(
            prefix.logits, options.samples, self.rules(options, False), lambda c, o: self.feed(prefix, c, o)
        )
        unguided = None
        if options.guidance:
            bare = [without_route(item, self.config) for item in batch]
            unguided = self.read(bare, seen or {}, room)
            said = [[path.tokens[: path.stop + 1] if path.stop >= 0 else path.tokens for path in row] for row in paths]
            if any(tokens for row in said for tokens in row):
                self.feed(unguided, said, [[0] * options.samples for _ in batch])
        return Thought(batch, prefix, paths, unguided)

    @torch.inference_mode()
    def answer(self, inputs: Inputs | Sequence[Inputs], sampling: Sampling = GREEDY) -> list[list[int]]:
        """Prompts with a question -> the tokens of one answer each, without the token that ends it."""
        batch = (inputs,) if isinstance(inputs, Inputs) else tuple(inputs)
        prefix = self.read(batch, self.see(batch), sampling.max_new_tokens + 2)
        rules = self.rules(ThinkOptions(sampling=sampling), True)
        paths = generate(prefix.logits, 1, rules, lambda c, o: self.feed(prefix, c, o))
        return [[token for token in row[0].tokens if token not in rules.ends] for row in paths]

    def context(self, thought: Thought, samples: int, guided: bool = True) -> Context:
        """A thought -> what the expert reads for `samples` flows; flow k follows path k * paths // samples."""
        paths = len(thought.paths[0])
        if samples % paths:
            raise ValueError(f"{samples} plans cannot be shared evenly by {paths} paths of reasoning")
        prefix = thought.prefix if guided else thought.unguided
        if prefix is None:
            raise ValueError("guidance needs a thought made with ThinkOptions(guidance=True)")
        owner = torch.arange(samples, device=self.device) * paths // samples
        said = [[path.stop + 1 if path.stop >= 0 else len(path.tokens) for path in row] for row in thought.paths]
        start = prefix.next_position[:, None] + torch.tensor(said, device=self.device)[:, owner.cpu()]
        return self.expert.context(prefix.cache, owner.expand(len(said), -1), start, prefix.state)

    @torch.inference_mode()
    def act(
        self,
        thought: Thought,
        noise: Tensor | int = 1,
        steps: int | None = None,
        guidance_weight: float | None = None,
        seed: int = 0,
    ) -> Plan:
        """A thought and noise (B, K, N, 2), or a number K of samples to draw -> plans.

        Drawn noise comes from one generator for each sample, seeded `seed + k`, so it does not depend on K.
        """
        if not isinstance(noise, Tensor):
            shape = (self.config.action_space.n_waypoints, 2)
            drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed + k)) for k in range(noise)]
            noise = torch.stack(drawn).expand(len(thought.inputs), -1, -1, -1)
        noise = noise.to(self.device, torch.float32)
        guided = self.context(thought, noise.shape[1])
        unguided = None if guidance_weight is None else self.context(thought, noise.shape[1], guided=False)
        weight = 1.0 if guidance_weight is None else guidance_weight
        actions = self.expert.sample(noise, guided, steps or self.config.flow_steps, unguided, weight)
        return self.plan(thought.inputs, actions.float().cpu().numpy())

    def plan(self, inputs: Sequence[Inputs], actions: NDArray[np.float32]) -> Plan:
        """Actions (B, K, N, 2) on the inputs' histories -> plans; ValueError if the model produced NaN."""
        if not np.isfinite(actions).all():
            raise ValueError("the model produced NaN or infinite actions; check the weights and their type")
        count = actions.shape[1]
        xyz = np.repeat(np.stack([item.history_xyz for item in inputs])[:, None], count, axis=1)
        rotation = np.repeat(np.stack([item.history_rot for item in inputs])[:, None], count, axis=1)
        return Plan(actions, *to_trajectory(actions, xyz, rotation, self.config.action_space))


def new_vla(config: VlaConfig, seed: int = 0) -> VLA:
    """A configuration -> an untrained model: matrices normal with standard deviation 0.02, norms one, biases zero.

    The tokens that are numbers begin as neighbours of each other, see `ordered`.
    """
    model = VLA(config)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                # a dozen inputs need larger weights than hundreds
                wide = parameter.shape[1] ** -0.5 if name.endswith("action_in_proj.state.0.weight") else 0.02
                parameter.normal_(0.0, wide, generator=source)
            elif name.endswith("bias"):
                parameter.zero_()
        numbers = slice(config.traj_start, config.traj_start + config.traj_vocab_size)
        table = model.text.embed_tokens.weight
        table[numbers] = ordered(config.traj_vocab_size, table.shape[1], source).to(table)
    return model.eval()


def ordered(count: int, width: int, source: torch.Generator) -> Tensor:
    """How many numbers -> their first embeddings (count, width), like those of words in size, but near for near ones.

    A random mixture of sines and cosines of the number, 4 to 512 of them to a period. From embeddings that know no
    order every bin of a bearing or a speed would have to be learned by itself.
    """
    rates = 2.0 * math.pi / torch.logspace(math.log10(4.0), math.log10(512.0), 16)
    angle = torch.arange(count)[:, None] * rates
    waves = torch.cat([angle.sin(), angle.cos()], dim=-1) / math.sqrt(len(rates))
    return 0.02 * waves @ torch.randn((waves.shape[1], width), generator=source)
