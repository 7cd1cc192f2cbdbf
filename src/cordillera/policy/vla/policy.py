"""Observation -> Decision: the model as a policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import quat_from_yaw
from cordillera.policy.vla.generate import Sampling
from cordillera.policy.vla.grammar import Grammar, TokenTrie
from cordillera.policy.vla.model import VLA, Prefix, ThinkOptions
from cordillera.policy.vla.prompt import CLOSING, STEP_US, Prompt
from cordillera.policy.vla.stream import Stream
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.types import Decision, Observation, ReasoningTrace, Trajectory


@dataclass(frozen=True)
class PolicyConfig:
    """How a policy thinks and samples."""

    samples: int = 1  # plans
    reason: bool = True  # false: act without words
    silence: float = 1.0  # act without words where the model gives at least this probability to having none
    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=64))
    flow_steps: int | None = None  # None: what the model's configuration says
    guidance_weight: float | None = None  # needs navigation text in the route
    stream: str = "exact"  # or "shift" (see stream)
    seed: int = 0


class UnfinishedReasoning(RuntimeError):  # noqa: N818 - reads as what it is
    """The reasoning did not come to its end within the limit of tokens, so no plan is given."""


def quoted(text: str, source: str) -> ReasoningTrace:
    """Words as they are -> a trace without decisions, for models whose words follow no grammar."""
    return ReasoningTrace(None, None, (), text, source)


def medoid(xyz: NDArray[np.float64]) -> int:
    """Plans (K, N, 3) -> the one with the least mean distance to the others."""
    gap = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1).mean(-1)
    return int(np.argmin(gap.sum(1)))


def trajectories(t_us: int, xyz: NDArray[np.float64], rotation: NDArray[np.float64]) -> tuple[Trajectory, ...]:
    """Plans (K, N, 3), (K, N, 3, 3) made at `t_us` -> trajectories in the rig frame of then."""
    stamps = t_us + STEP_US * np.arange(1, xyz.shape[1] + 1)
    yaw = np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return tuple(Trajectory(stamps, p, q, "rig") for p, q in zip(xyz, quat_from_yaw(yaw), strict=True))


class VlaPolicy:
    """A loaded model and its tokenizer as a policy; `parse` turns the words into a trace."""

    def __init__(
        self,
        model: VLA,
        tokenizer: VlaTokenizer,
        config: PolicyConfig = PolicyConfig(),
        name: str = "vla",
        grammar: Grammar | None = None,
        parse: Callable[[str, str], ReasoningTrace] = quoted,
    ) -> None:
        self.model, self.tokenizer, self.config, self.name = model, tokenizer, config, name
        self.grammar, self.parse = grammar, parse
        self.prompt = Prompt(model.config, tokenizer)
        self.stream = Stream(model, config.stream)

    def afresh(self, seed: int) -> VlaPolicy:
        """Another seed -> a policy on the same weights that has seen nothing yet; both may run at the same time."""
        config = replace(self.config, seed=seed)
        return VlaPolicy(self.model, self.tokenizer, config, self.name, self.grammar, self.parse)

    def has_nothing_to_say(self, prefix: Prefix) -> bool:
        """A prompt that was read -> whether the model would rather end its words than begin them."""
        if self.config.silence >= 1.0 or not self.config.reason:
            return False
        config, logits = self.model.config, prefix.logits[0].float().clone()
        logits[config.traj_start : config.traj_start + config.traj_vocab_size] = -float("inf")
        return bool(logits.softmax(-1)[config.ids.cot_end] >= self.config.silence)

    def decide(self, observation: Observation) -> Decision:
        """An observation -> the plan closest to all sampled ones, with the reason given for it.

        Raises BadObservation for input that the model must not be asked about, UnfinishedReasoning when the words do
        not end, ValueError for numbers that are not finite.
        """
        begin, config = time.perf_counter(), self.config
        said = None if config.reason else ""
        inputs = self.prompt.encode(observation, known=self.stream.known, said=said)
        tokens = config.sampling.max_new_tokens if config.reason else 0
        sampling = Sampling(**(vars(config.sampling) | {"max_new_tokens": tokens}))
        prefix = self.stream.read(inputs, tokens + 2)
        grammar = TokenTrie([self.tokenizer.encode(CLOSING)]) if self.has_nothing_to_say(prefix) else self.grammar
        options = ThinkOptions(1, sampling, grammar, config.guidance_weight is not None and config.reason)
        thought = self.model.think(inputs, options, self.stream.features, prefix)
        if config.reason and not thought.reached.all():
            raise UnfinishedReasoning(f"{self.name}: the reasoning did not end within {tokens} tokens")
        weight = config.guidance_weight if config.reason else None
        plan = self.model.act(thought, config.samples, config.flow_steps, weight, config.seed)
        candidates = trajectories(observation.t_us, plan.xyz[0], plan.rotation[0])
        reasoning = None
        if config.reason:
            words = thought.texts(self.tokenizer.decode)[0][0].split("<|cot_end|>")[0].strip()
            reasoning = self.parse(words, self.name) if words else None
        best = medoid(plan.xyz[0])
        elapsed_ms = 1e3 * (time.perf_counter() - begin)
        return Decision(candidates[best], candidates, reasoning, self.name, elapsed_ms)
