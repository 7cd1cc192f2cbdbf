"""A sliding window of observations -> prefixes that reuse what the last window left.

Exact: image features of frames seen before (frames do not see each other in the vision tower), and the cache up to
the first token that differs in id, position or image. Since images stand camera by camera, oldest first, a window
that slides by one frame differs from its first image on: then only the system text's cache is reused, while cameras
that bring no new frame extend the reuse. `mode="exact"` does no more, and equals reading from scratch up to rounding.

Approximate: `mode="shift"` also keeps keys and values of old frames, keys turned to their new positions. Turning is
exact (rotary positions add up); what is not is the context: the kept tokens were computed behind the frames that
stood before them then, not now. All other tokens, labels and history included, are computed anew on the mixed cache.
After `refresh` windows the cache is read from scratch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cordillera.policy.vla.layers import PREFIX, Cache, rotary, rotate
from cordillera.policy.vla.model import VLA, Features, Prefix
from cordillera.policy.vla.prompt import ImageKey, Inputs
from cordillera.policy.vla.reuse import reusable


@dataclass
class Stream:
    """Memory of one model's last window. It speeds `read` up; in exact mode it does not change what comes out."""

    model: VLA
    mode: str = "exact"  # "exact" or "shift"
    refresh: int = 10  # in shift mode, windows between two that are read from scratch

    def __post_init__(self) -> None:
        if self.mode not in ("exact", "shift"):
            raise ValueError(f"mode {self.mode!r} is neither 'exact' nor 'shift'")
        self.features: Features = {}
        self.last: tuple[Inputs, Cache] | None = None
        self.count = 0
        self.reused = 0  # tokens of the last window that were not computed

    @property
    def known(self) -> frozenset[ImageKey]:
        """Images whose features are held, for `Prompt.encode(known=...)`."""
        return frozenset(self.features)

    @torch.inference_mode()
    def read(self, inputs: Inputs, room: int = 0) -> Prefix:
        """A prompt -> its prefix, for `VLA.think(prefix=...)`."""
        seen = self.model.see([inputs], self.features)
        self.features = {key: seen[key] for key in inputs.keys}
        scratch = self.last is None or (self.mode == "shift" and self.count % self.refresh == 0)
        source = np.full(len(inputs.ids), -1, np.int64)
        if self.last is not None and not scratch:
            source = reusable(inputs, self.last[0], self.model.config.ids.image, self.mode == "shift")
        self.count += 1
        self.reused = int((source >= 0).sum())
        if self.last is None or not self.reused:
            prefix = self.model.read([inputs], self.features, room)
        else:
            prefix = self._resume(inputs, self.last[0], self.last[1], source, room)
        self.last = (inputs, prefix.cache)
        return prefix

    def _resume(self, inputs: Inputs, old: Inputs, held: Cache, source: NDArray[np.int64], room: int) -> Prefix:
        """Take over the reusable part of the held cache and compute the rest of the prompt."""
        model, device, total = self.model, self.model.device, len(inputs.ids)
        cache = Cache.empty(model.config.text, 1, total + room, device, model.dtype)
        cache.owner[:, :total], cache.length = PREFIX, total
        into, rest = np.flatnonzero(source >= 0), np.flatnonzero(source < 0)
        delta = inputs.positions[:, into] - old.positions[:, source[into]]
        to, origin = torch.from_numpy(into).to(device), torch.from_numpy(source[into]).to(device)
        keys = held.keys[:, :, :, origin]
        if delta.any():
            cos, sin = rotary(torch.from_numpy(delta)[:, None].to(device), model.config.text, torch.float32)
            keys = rotate(keys.float(), cos, sin).to(model.dtype)
        cache.keys[:, :, :, to], cache.values[:, :, :, to] = keys, held.values[:, :, :, origin]

        ids, positions, owner, visual = model.collate([inputs], self.features)
        slots = torch.from_numpy(rest).to(device)
        mask = cache.visible_to(owner[:, slots], slots)
        x = model.text.embed(ids, visual)[:, slots]
        partial = None if visual is None else visual.only(slots)
        hidden = model.text(x, positions[:, :, slots], cache, slots, mask, partial)
        free = torch.tensor([inputs.next_position], device=device)
        return Prefix(cache, model.text.lm_head(hidden[:, -1]), free, model.states([inputs]))
