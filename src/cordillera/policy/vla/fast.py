"""Prefix -> tokens and plans by static loops: each step works on the same tensors, so a GPU replays it as one graph.

Decoding leaves no decision to the host: the step draws its token, writes it where the next step reads it and moves
its own counters. The flow is one loop over all its steps. On a CPU the same steps are called one by one. One
observation, a fixed number of tokens, no grammar: the path for speed; `VLA.think` and `act` are the general one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cordillera.policy.vla.generate import Sampling, probabilities
from cordillera.policy.vla.layers import NOBODY, Cache
from cordillera.policy.vla.model import VLA, Prefix


class Replay:
    """A function on static tensors -> a call of it: captured once as a CUDA graph on a GPU, plain on a CPU."""

    def __init__(self, work: Callable[[], None], device: torch.device) -> None:
        self.work, self.on_gpu = work, device.type == "cuda"
        self.graph: torch.cuda.CUDAGraph | None = None

    def capture(self, prepare: Callable[[], None]) -> None:
        """Warm up and capture; `prepare` puts the static tensors back to a valid start before each run."""
        if not self.on_gpu or self.graph is not None:
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                prepare()
                self.work()
        torch.cuda.current_stream().wait_stream(side)
        prepare()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.work()

    def __call__(self) -> None:
        if self.graph is None:
            self.work()
        else:
            self.graph.replay()


class StaticLoops:
    """One model's decoding and flow for a fixed prompt capacity, number of samples, tokens and flow steps."""

    def __init__(self, model: VLA, capacity: int, samples: int, tokens: int, rule: Sampling, steps: int) -> None:
        self.model, self.samples, self.count, self.rule, self.steps = model, samples, tokens, rule, steps
        device = model.device
        self.prompt_room = capacity
        self.cache = Cache.empty(model.config.text, 1, capacity + samples * tokens, device, model.dtype)
        self.cache.length = self.cache.capacity  # every step sees all slots; the mask knows which are in use
        self.owner = torch.arange(samples, device=device)
        self.ids = torch.zeros(1, samples, dtype=torch.long, device=device)
        self.position = torch.zeros(1, samples, dtype=torch.long, device=device)
        self.slots = torch.zeros(samples, dtype=torch.long, device=device)
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.said = torch.zeros(tokens, samples, dtype=torch.long, device=device)
        self.chance = torch.zeros(tokens, samples, device=device)
        waypoints = model.config.action_space.n_waypoints
        self.noise = torch.zeros(1, samples, waypoints, 2, device=device)
        self.actions = torch.zeros_like(self.noise)
        size = model.config.action_proj.state
        self.state = torch.zeros(1, size, device=device) if size else None
        self.decode, self.flow = Replay(self._step, device), Replay(self._flow, device)

    def _draw(self, logits: Tensor) -> Tensor:
        """Logits (K, V) -> tokens (K,) without a look from the host."""
        config = self.model.config
        logits = logits.float().clone()
        logits[:, config.traj_start : config.traj_start + config.traj_vocab_size] = -torch.inf
        if self.rule.temperature <= 0.0:
            return logits.argmax(-1)
        total = probabilities(logits, self.rule).cumsum(-1)
        aim = self.chance.index_select(0, self.at)[0] * total[:, -1]
        return torch.searchsorted(total, aim[:, None], right=True).clamp(max=logits.shape[-1] - 1)[:, 0]

    def _put(self, tokens: Tensor) -> None:
        """Note the drawn tokens and make them the next step's input."""
        self.said.index_copy_(0, self.at, tokens[None])
        self.ids.copy_(tokens[None])
        self.at += 1

    def _step(self) -> None:
        text, owner = self.model.text, self.owner[None]
        self.cache.owner.index_copy_(1, self.slots, owner)
        mask = self.cache.visible_to(owner, self.slots)
        where = self.position.expand(3, -1, -1)
        hidden = text(text.embed_tokens(self.ids), where, self.cache, self.slots, mask)
        self._put(self._draw(text.lm_head(hidden[0])))
        self.position += 1
        self.slots += self.samples

    def _flow(self) -> None:
        # The last drawn token has a position, though it is not in the cache: the plan starts behind it.
        context = self.model.expert.context(self.cache, self.owner[None], self.position + 1, self.state)
        self.actions.copy_(self.model.expert.sample(self.noise, context, self.steps))

    def _start(self, prefix: Prefix) -> None:
        held = prefix.cache.length
        if held > self.prompt_room:
            raise ValueError(
                f"a prompt of {held} tokens does not fit the {self.prompt_room} that the loops were made for"
            )
        self.cache.keys[:, :, :, :held].copy_(prefix.cache.keys[:, :, :, :held])
        self.cache.values[:, :, :, :held].copy_(prefix.cache.values[:, :, :, :held])
        self.cache.owner.fill_(NOBODY)
        self.cache.owner[:, :held] = prefix.cache.owner[:, :held]
        self.position.copy_(prefix.next_position[:, None].expand(-1, self.samples))
        self.slots.copy_(self.prompt_room + self.owner)
        self.at.zero_()
        if self.state is not None and prefix.state is not None:
            self.state.copy_(prefix.state)
        self._put(self._draw(prefix.logits.expand(self.samples, -1)))

    @torch.inference_mode()
    def speak(self, prefix: Prefix) -> Tensor:
        """A prefix of one observation -> tokens (count, K); all but the last are in the cache afterwards."""
        for k in range(self.samples):
            source = torch.Generator().manual_seed(self.rule.seed + k)
            self.chance[:, k] = torch.rand(self.count, generator=source)
        self.decode.capture(lambda: self._start(prefix))
        self._start(prefix)
        for _ in range(self.count - 1):
            self.decode()
        return self.said

    @torch.inference_mode()
    def act(self, noise: Tensor) -> Tensor:
        """Noise (K, N, 2), after `speak` -> normalised actions (K, N, 2)."""
        self.noise.copy_(noise[None])
        self.flow.capture(lambda: None)
        self.flow()
        return self.actions[0]
