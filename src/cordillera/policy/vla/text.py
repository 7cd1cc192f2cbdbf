"""Token embeddings and image features -> hidden states and logits: the text decoder on a static cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cordillera.policy.vla.config import DecoderConfig
from cordillera.policy.vla.layers import Cache, DecoderStack, RMSNorm, attend, fold_mask, rotary


@dataclass(frozen=True, eq=False)
class Visual:
    """Image features of a batch: where they stand, and what enters the embeddings and the first layers."""

    mask: Tensor  # (B, S) true at image tokens
    features: Tensor  # (1 + levels, tokens, C) in the order of the mask's true entries

    def only(self, places: Tensor) -> Visual:
        """The part at the given columns of a batch of one."""
        held = torch.zeros_like(self.mask)
        held[:, places] = True
        return Visual(self.mask[:, places], self.features[:, held[self.mask]])


class TextDecoder(nn.Module):
    """The language tower: embeddings, layers, final norm and output head."""

    def __init__(self, config: DecoderConfig, vocab_size: int, tie_embeddings: bool) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(vocab_size, config.hidden_size)
        self.layers = DecoderStack(config)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, vocab_size, bias=False)
        if tie_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def embed(self, ids: Tensor, visual: Visual | None = None) -> Tensor:
        """Ids (B, S) -> embeddings (B, S, C), image tokens replaced by their features."""
        x = self.embed_tokens(ids)
        if visual is not None:
            x = x.masked_scatter(visual.mask[..., None], visual.features[0].to(x.dtype))
        return x

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        cache: Cache,
        slots: Tensor,
        mask: Tensor | None,
        visual: Visual | None = None,
    ) -> Tensor:
        """Embeddings (B, Q, C) at positions (3, B, Q) -> normed hidden states (B, Q, C); fills the cache's `slots`.

        Without a mask the queries are a whole prompt and attend causally among themselves; with a mask
        (B, 1, Q, cache.length) they attend to the cache, their own slots included. The cache receives detached
        keys and values, so what reads it later sends no gradient back.
        """
        cos, sin = rotary(positions, self.config, x.dtype)
        bias = None if mask is None else fold_mask(mask, self.config, x.dtype)
        for number, layer in enumerate(self.layers):
            query, key, value = layer.project(x, cos, sin)
            cache.keys[number].index_copy_(2, slots, key.detach().to(cache.keys.dtype))
            cache.values[number].index_copy_(2, slots, value.detach().to(cache.values.dtype))
            if bias is None:
                attended = attend(query, key, value, None)
            else:
                held = slice(0, cache.length)
                attended = attend(query, cache.keys[number][:, :, held], cache.values[number][:, :, held], bias)
            x = layer.finish(x, attended)
            if visual is not None and number + 1 < len(visual.features):
                x = add_at(x, visual.mask, visual.features[number + 1])
        return self.norm(x)


def add_at(x: Tensor, mask: Tensor, features: Tensor) -> Tensor:
    """Hidden states (B, S, C) -> the same with features (tokens, C) added where the mask (B, S) is true."""
    return x + torch.zeros_like(x).masked_scatter(mask[..., None], features.to(x.dtype))
