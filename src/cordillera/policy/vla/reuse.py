"""Two prompts -> which tokens of the new one may take their cache entries from the old one (see `stream`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cordillera.policy.vla.prompt import ImageKey, Inputs


def image_spans(inputs: Inputs, image: int) -> dict[ImageKey, slice]:
    """A prompt -> where each image's tokens stand."""
    at = np.flatnonzero(inputs.ids == image)
    breaks = np.flatnonzero(np.diff(inputs.positions[0, at], prepend=-1)) if len(at) else np.zeros(0, np.int64)
    ends = np.append(breaks[1:], len(at))
    return {
        key: slice(int(at[first]), int(at[last - 1]) + 1)
        for key, first, last in zip(inputs.keys, breaks, ends, strict=True)
    }


def reusable(new: Inputs, old: Inputs, image: int, shift: bool) -> NDArray[np.int64]:
    """Two prompts -> for each new token (S,) the old token whose cache entry it may take, or -1.

    The last token is always computed, because its logits are needed.
    """
    source = np.full(len(new.ids), -1, np.int64)
    spans, before = image_spans(new, image), image_spans(old, image)
    count = min(len(new.ids), len(old.ids))
    same = (new.ids[:count] == old.ids[:count]) & (new.positions[:, :count] == old.positions[:, :count]).all(0)
    for key, span in spans.items():
        if before.get(key) != span:
            same[span.start : span.stop] = False
    common = count if same.all() else int(np.argmin(same))
    source[:common] = np.arange(common)
    if shift:
        for key, span in spans.items():
            if key in before and before[key].stop - before[key].start == span.stop - span.start:
                source[span] = np.arange(before[key].start, before[key].stop)
    source[-1] = -1
    return source
