"""Text cache and noise -> actions: the action expert, its projections, and flow matching with guidance.

The flow runs from noise at t = 0 to actions at t = 1: a_t = t a + (1 - t) noise, the expert predicts a - noise, and
Euler steps integrate it (Lipman et al. 2023, arXiv 2210.02747). Guidance mixes a second prediction made on the cache
of a prompt without the route: (1 - w) unguided + w guided (Zheng et al. 2023, arXiv 2311.13443, eq. 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cordillera.policy.vla.config import ActionProjConfig, DecoderConfig
from cordillera.policy.vla.layers import PREFIX, Cache, DecoderStack, RMSNorm, attend, fold_mask, rotary


@dataclass(frozen=True, eq=False)
class Context:
    """What one flow reads: a cache, which slots each action token may see, and the tokens' rotary tables."""

    cache: Cache
    bias: Tensor  # (B, 1, group * K * T, cache.length + K * T) from `fold_mask`
    cos: Tensor  # (B, 1, K * T, head_dim)
    sin: Tensor
    state: Tensor | None = None  # (B * K, S) where the projection takes it


class ActionProjection(nn.Module):
    """Noisy actions (N, T, D) and times (N,) -> tokens (N, T, C) by Fourier features and a small MLP.

    Where the configuration has a state, a second MLP adds what it means for each of the `tokens` tokens.
    """

    def __init__(self, config: ActionProjConfig, action_dims: int, hidden: int, tokens: int = 1) -> None:
        super().__init__()
        half = config.num_fourier_feats // 2
        self.waves, self.low, self.top = half, math.log10(config.min_freq), math.log10(config.max_freq)
        width = config.hidden_size
        layers: list[nn.Module] = [nn.Linear((action_dims + 1) * 2 * half, width), nn.SiLU()]
        for _ in range(config.num_enc_layers - 1):
            layers += [RMSNorm(width, 1e-5), nn.Linear(width, width), nn.SiLU()]
        self.trunk = nn.Sequential(*layers, RMSNorm(width, 1e-5), nn.Linear(width, hidden))
        self.norm = nn.LayerNorm(hidden)
        self.state: nn.Sequential | None = None
        if config.state:
            inner = width // 2
            self.state = nn.Sequential(nn.Linear(config.state, inner), nn.SiLU(), nn.Linear(inner, tokens * hidden))

    def features(self, x: Tensor) -> Tensor:
        """Numbers (...,) -> sines and cosines (..., 2 * waves) at frequencies log-spaced from lowest to highest."""
        rates = torch.logspace(self.low, self.top, self.waves, device=x.device, dtype=torch.float32).to(x.dtype)
        angle = x[..., None] * rates * 2.0 * math.pi
        return torch.cat([angle.sin(), angle.cos()], dim=-1) * math.sqrt(2.0)

    def forward(self, actions: Tensor, time: Tensor, state: Tensor | None = None) -> Tensor:
        """Actions (N, T, D), times (N,) and, if the configuration has one, the state (N, S) -> tokens (N, T, C)."""
        waves = self.features(actions).flatten(-2)
        moment = self.features(time)[:, None].expand(-1, actions.shape[1], -1)
        joined = torch.cat([waves, moment], dim=-1).to(self.norm.weight.dtype)
        tokens = self.trunk(joined)
        if self.state is not None:
            if state is None:
                raise ValueError("this expert reads the car's state, and none was given")
            tokens = tokens + self.state(state.to(tokens.dtype)).unflatten(-1, (-1, tokens.shape[-1]))
        return self.norm(tokens)


class ActionExpert(nn.Module):
    """The second, narrower stack: action tokens attend to the text cache and, within their sample, to each other."""

    def __init__(self, config: DecoderConfig, proj: ActionProjConfig, waypoints: int, dims: int = 2) -> None:
        super().__init__()
        self.config, self.waypoints, self.dims = config, waypoints, dims
        self.per_token = proj.waypoints_per_token
        self.tokens = waypoints // self.per_token
        self.layers = DecoderStack(config)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.action_in_proj = ActionProjection(proj, dims * self.per_token, config.hidden_size, self.tokens)
        self.action_out_proj = nn.Linear(config.hidden_size, dims * self.per_token)

    def context(self, cache: Cache, owner: Tensor, start: Tensor, state: Tensor | None = None) -> Context:
        """Samples' owners in the cache (B, K), first positions (B, K), states (B, S) -> what the flow needs, once.

        Not causal: every action token sees the prefix, its owner's generated tokens and its own sample.
        """
        batch, samples = owner.shape
        device, tokens = cache.keys.device, self.tokens
        held = cache.owner[:, None, : cache.length]
        past = (held == PREFIX) | ((held == owner[..., None]) & (held >= 0))  # (B, K, length)
        past = past.repeat_interleave(tokens, dim=1)
        sample = torch.arange(samples, device=device).repeat_interleave(tokens)
        own = (sample[:, None] == sample).expand(batch, -1, -1)
        position = (start[..., None] + torch.arange(tokens, device=device)).reshape(1, batch, -1).expand(3, -1, -1)
        cos, sin = rotary(position, self.config, self.action_out_proj.weight.dtype)
        bias = fold_mask(torch.cat([past, own], dim=-1).unsqueeze(1), self.config, cos.dtype)
        state = None if state is None else state.repeat_interleave(samples, dim=0)
        return Context(cache, bias, cos, sin, state)

    def velocity(self, actions: Tensor, time: Tensor, context: Context) -> Tensor:
        """Noisy actions (B, K, N, D) at times (B, K) -> the flow's direction (B, K, N, D)."""
        batch, samples = actions.shape[:2]
        grouped = actions.reshape(batch * samples, self.tokens, -1)
        x = self.action_in_proj(grouped, time.reshape(-1), context.state).reshape(batch, samples * self.tokens, -1)
        cache = context.cache
        for number, layer in enumerate(self.layers):
            query, key, value = layer.project(x, context.cos, context.sin)
            key = torch.cat([cache.keys[number][:, :, : cache.length], key], dim=2)
            value = torch.cat([cache.values[number][:, :, : cache.length], value], dim=2)
            x = layer.finish(x, attend(query, key, value, context.bias))
        return self.action_out_proj(self.norm(x)).reshape(actions.shape)

    def sample(
        self,
        noise: Tensor,
        context: Context,
        steps: int,
        unguided: Context | None = None,
        weight: float = 1.0,
    ) -> Tensor:
        """Noise (B, K, N, D) -> normalised actions (B, K, N, D) by `steps` Euler steps."""
        times = torch.linspace(0.0, 1.0, steps + 1, device=noise.device)
        x = noise
        for i in range(steps):
            now = times[i].expand(noise.shape[:2])
            flow = self.velocity(x, now, context)
            if unguided is not None:
                flow = (1.0 - weight) * self.velocity(x, now, unguided) + weight * flow
            x = x + (times[i + 1] - times[i]) * flow
        return x
