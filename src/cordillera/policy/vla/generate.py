"""Logits -> tokens: sampling rules and the decoding loop over all samples of a batch, free or bound by a grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cordillera.policy.vla.grammar import Grammar, forced


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy; sample k of a run with seed s equals sample 0 of seed s + k."""

    temperature: float = 0.0
    top_p: float = 0.98
    top_k: int = 0  # 0: no limit
    max_new_tokens: int = 256
    seed: int = 0


@dataclass
class Path:
    """One sample's generated tokens, and where it stands."""

    tokens: list[int] = field(default_factory=list)  # all of them, the closing one included
    fed: int = 0  # the first `fed` of them are in the cache
    stop: int = -1  # index of the stop token, -1 while there is none
    done: bool = False
    state: Any = None  # of the grammar

    @property
    def pending(self) -> list[int]:
        """Tokens that the model has not been fed yet."""
        return self.tokens[self.fed :]


def probabilities(logits: Tensor, rule: Sampling) -> Tensor:
    """Logits (N, V) -> probabilities (N, V) after temperature, top-k and top-p."""
    scaled = logits.float() / rule.temperature
    if rule.top_k > 0:
        least = scaled.topk(min(rule.top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    if rule.top_p >= 1.0:
        return scaled.softmax(dim=-1)
    ordered, order = scaled.sort(dim=-1, descending=True)
    shares = ordered.softmax(dim=-1)
    beyond = shares.cumsum(-1) - shares >= rule.top_p  # the first token is always kept
    return torch.zeros_like(shares).scatter(-1, order, shares.masked_fill(beyond, 0.0))


def draw(logits: Tensor, rule: Sampling, uniform: Tensor) -> list[int]:
    """Logits (N, V) and uniform numbers (N,) -> one token each, by inversion of the cumulated probabilities."""
    if rule.temperature <= 0.0:
        return logits.argmax(-1).tolist()
    total = probabilities(logits, rule).cumsum(-1)
    aim = uniform.to(total) * total[:, -1]
    return torch.searchsorted(total, aim[:, None], right=True).clamp(max=logits.shape[-1] - 1)[:, 0].tolist()


@dataclass(frozen=True, eq=False)
class Rules:
    """What may be generated and when it ends."""

    sampling: Sampling
    stops: frozenset[int]  # a path ends one token after the first of these
    ends: frozenset[int]  # and at once at one of these
    banned: slice  # ids never drawn: the trajectory tokens
    grammar: Grammar | None = None


Feed = Callable[[list[list[list[int]]], list[list[int]]], Tensor]


def generate(first: Tensor, samples: int, rules: Rules, feed: Feed) -> list[list[Path]]:
    """Logits after the prompt (B, V) and a way to go on -> the paths of each observation, B x samples.

    `feed(chunks, offsets)` takes every path's pending tokens (B x samples lists, perhaps empty) and how many tokens of
    that path precede them, and returns the logits after each chunk that is not empty, in order (N, V).
    Tokens that the grammar forces are appended without a draw and fed with the next free one.
    """
    rule, grammar = rules.sampling, rules.grammar
    batch = first.shape[0]
    paths = [[Path(state=grammar.start() if grammar else None) for _ in range(samples)] for _ in range(batch)]
    flat = [path for row in paths for path in row]
    chance = [torch.Generator().manual_seed(rule.seed + k) for _ in range(batch) for k in range(samples)]
    logits, waiting = first.repeat_interleave(samples, dim=0), list(range(len(flat)))
    while waiting:
        extend(logits, [flat[i] for i in waiting], [chance[i] for i in waiting], rules)
        waiting = [i for i in waiting if not flat[i].done]
        # The stop token itself is fed too: the expert must see it. A path at its limit keeps its last token unfed.
        live = set(waiting)
        chunks = [[path.pending if row * samples + k in live else [] for k, path in enumerate(paths[row])]
                  for row in range(batch)]  # fmt: skip
        if not waiting:
            break
        logits = feed(chunks, [[path.fed for path in row] for row in paths])
        for i in waiting:
            flat[i].fed = len(flat[i].tokens)
        finished = {i for i in waiting if grammar and flat[i].stop >= 0}
        for i in finished:
            flat[i].done = True
        keep = [place for place, i in enumerate(waiting) if i not in finished]
        logits, waiting = logits[keep], [i for i in waiting if i not in finished]
    return paths


def extend(logits: Tensor, paths: list[Path], chance: list[torch.Generator], rules: Rules) -> None:
    """Append to each path the tokens that its grammar forces and one drawn token; mark those that are done."""
    rule, grammar = rules.sampling, rules.grammar
    scores = logits.float().clone()
    scores[:, rules.banned] = -torch.inf
    drawing: list[int] = []
    for i, path in enumerate(paths):
        if grammar is not None:
            sure, path.state = forced(grammar, path.state)
            path.tokens += sure
            if sure:
                settle(path, rules)
                continue  # the model must read the forced tokens before it chooses
            choice = grammar.allowed(path.state)
            if not choice:
                path.done = True
                continue
            allowed = torch.tensor(choice, dtype=torch.long, device=scores.device)
            bound = torch.full_like(scores[i], -torch.inf)
            scores[i] = bound.scatter(0, allowed, scores[i][allowed])
        drawing.append(i)
    if not drawing:
        return
    uniform = torch.stack([torch.rand((), generator=chance[i]) for i in drawing])
    for i, token in zip(drawing, draw(scores[drawing], rule, uniform), strict=True):
        path = paths[i]
        path.tokens.append(token)
        if grammar is not None:
            path.state = grammar.advance(path.state, token)
            sure, path.state = forced(grammar, path.state)
            path.tokens += sure
        settle(path, rules)


def settle(path: Path, rules: Rules) -> None:
    """Note the stop token and whether the path is complete: one token after it, at an end token, or at the limit."""
    if path.stop >= 0:
        path.done = True
        return
    for place in range(path.fed, len(path.tokens)):
        if path.tokens[place] in rules.stops:
            path.stop = place
            return
        if path.tokens[place] in rules.ends:
            path.done = True
            return
    path.done = path.done or len(path.tokens) >= rules.sampling.max_new_tokens
