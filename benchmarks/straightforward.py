"""The obvious way to run such a model, as users of the public code do: the yardstick of `benchmarks.vla`.

transformers' Qwen3-VL generates with `num_return_sequences`, which repeats images and prompt for every sample, on a
dynamic cache; the expert is transformers' text model called eagerly on that cache, which is cropped after each step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from cordillera.policy.vla.config import DecoderConfig
from cordillera.policy.vla.layout import text_values
from cordillera.policy.vla.load import pieces
from cordillera.policy.vla.model import VLA
from cordillera.policy.vla.prompt import Inputs


def released_tensors(model: VLA) -> dict[str, Tensor]:
    """Our weights under the released names."""
    state = model.state_dict()
    return {piece.name: state[piece.parameter][piece.rows].reshape(piece.shape) for piece in pieces(model)}


def text_config(decoder: DecoderConfig, vocab: int) -> dict[str, Any]:
    """Our decoder's shape in transformers' words."""
    return text_values(decoder) | {"vocab_size": vocab, "max_position_embeddings": 16384}


class Straightforward:
    """transformers' model and expert with the weights of ours."""

    def __init__(self, model: VLA) -> None:
        config = model.config
        vision = {name: getattr(config.vision, name) for name in config.vision.__dataclass_fields__}
        vision["deepstack_visual_indexes"] = list(config.vision.deepstack_visual_indexes)
        shape = Qwen3VLConfig(
            text_config=text_config(config.text, config.vocab_size),
            vision_config=vision,
            image_token_id=config.ids.image,
            vision_start_token_id=config.ids.vision_start,
            tie_word_embeddings=config.tie_embeddings,
        )
        held = released_tensors(model)
        if config.tie_embeddings:
            held["vlm.lm_head.weight"] = model.text.lm_head.weight
        with torch.device(model.device):
            self.vlm: Any = Qwen3VLForConditionalGeneration(shape)
            self.expert: Any = Qwen3VLTextModel(Qwen3VLTextConfig(**text_config(config.expert, 8)))
        self.vlm, self.expert = self.vlm.to(model.dtype).eval(), self.expert.to(model.dtype).eval()
        self.vlm.load_state_dict({k[4:]: v for k, v in held.items() if k.startswith("vlm.")})
        del self.expert.embed_tokens
        self.expert.load_state_dict({k[7:]: v for k, v in held.items() if k.startswith("expert.")})
        self.model = model

    def images(self, inputs: Inputs, samples: int) -> dict[str, Tensor]:
        """Patches and grids, repeated for each sample, as transformers names them."""
        device = self.model.device
        patches = torch.cat([torch.from_numpy(p) for p in inputs.patches if p is not None]).to(device, self.model.dtype)
        grids = torch.tensor([[1, *grid] for grid in inputs.grids], device=device)
        return {"pixel_values": patches.repeat(samples, 1), "image_grid_thw": grids.repeat(samples, 1)}

    @torch.inference_mode()
    def see(self, inputs: Inputs, samples: int) -> object:
        """Run the vision tower, once for each sample, as `generate` does."""
        images = self.images(inputs, samples)
        return self.vlm.model.visual(images["pixel_values"], grid_thw=images["image_grid_thw"])

    @torch.inference_mode()
    def generate(self, inputs: Inputs, samples: int, tokens: int) -> DynamicCache:
        """Prompt and images of every sample -> the cache after `tokens` new tokens."""
        ids = torch.from_numpy(inputs.ids)[None].to(self.model.device).repeat(samples, 1)
        out = self.vlm.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **self.images(inputs, samples),
            do_sample=True,
            temperature=1.0,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            return_dict_in_generate=True,
        )
        return out.past_key_values

    @torch.inference_mode()
    def act(self, inputs: Inputs, cache: DynamicCache, noise: Tensor, tokens: int, steps: int) -> Tensor:
        """The cache and noise (K, N, 2) -> actions (K, N, 2) by eager calls of the expert."""
        ours = self.model.expert
        samples, held = len(noise), cache.get_seq_length()
        start = inputs.next_position + tokens
        position = (start + torch.arange(ours.tokens, device=noise.device)).expand(3, samples, -1)
        mask = torch.zeros(samples, 1, ours.tokens, held + ours.tokens, device=noise.device, dtype=self.model.dtype)
        state = self.model.states([inputs])
        state = None if state is None else state.expand(samples, -1)
        x, times = noise, torch.linspace(0.0, 1.0, steps + 1, device=noise.device)
        for i in range(steps):
            embedded = ours.action_in_proj(x.reshape(samples, ours.tokens, -1), times[i].expand(samples), state)
            out = self.expert(
                inputs_embeds=embedded,
                position_ids=position,
                past_key_values=cache,
                attention_mask=mask,
                use_cache=True,
                is_causal=False,
            )
            cache.crop(held)
            x = x + (times[i + 1] - times[i]) * ours.action_out_proj(out.last_hidden_state).reshape(x.shape)
        return x
