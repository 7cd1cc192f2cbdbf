"""Float and quantised weights -> sizes and agreement; `python -m benchmarks.quantize [FOLDER]`, else a random nano.

Decisions are compared as words bound by a small grammar, plans as minADE over six samples against a straight drive on
at constant speed (the convention: the best sample by its mean error over the whole horizon).
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.windows import observe, trace_grammar
from cordillera.policy.vla.config import nano
from cordillera.policy.vla.load import load_vla
from cordillera.policy.vla.model import VLA, ThinkOptions, new_vla
from cordillera.policy.vla.prompt import Prompt
from cordillera.policy.vla.tokenizer import VlaTokenizer, build_tokenizer
from cordillera.runtime.quantize import QuantConfig, agreement, quantise, weight_bytes

Outputs = tuple[Tensor, list[str], NDArray[np.float64]]


def outputs(model: VLA, tokenizer: VlaTokenizer, windows: int) -> Outputs:
    """A model -> logits after each prompt (W, V), its words, and six plans a window (W, 6, N, 3) on fixed noise."""
    prompt, grammar = Prompt(model.config, tokenizer), trace_grammar(tokenizer)
    logits, words, plans = [], [], []
    for step in range(windows):
        thought = model.think(prompt.encode(observe(step)), ThinkOptions(grammar=grammar))
        logits.append(thought.prefix.logits)
        words += thought.texts(tokenizer.decode)[0]
        plans.append(model.act(thought, 6, seed=100 * step).xyz[0])
    return torch.cat(logits), words, np.stack(plans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--windows", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.folder is None:
        model, tokenizer = new_vla(nano()), build_tokenizer(nano())
    else:
        model, tokenizer = load_vla(options.folder, dtype=torch.float32)
    original = outputs(model, tokenizer, options.windows)
    steps = model.config.action_space.dt * np.arange(1, model.config.action_space.n_waypoints + 1)
    truth = np.zeros((options.windows, len(steps), 3))
    truth[:, :, 0] = 8.0 * steps
    print(f"float: {weight_bytes(model) / 2**20:.1f} MiB")
    for bits in (8, 4):
        small = copy.deepcopy(model)
        count = sum(quantise(tower, QuantConfig(bits=bits)) for tower in (small.text, small.expert))
        logits, words, plans = outputs(small, tokenizer, options.windows)
        report = agreement((original[0], logits), (original[1], words), (original[2], plans), truth)
        print(f"{bits} bits: {weight_bytes(small) / 2**20:.1f} MiB, {count} layers")
        for name, value in asdict(report).items():
            print(f"    {name:24} {value:.4g}")


if __name__ == "__main__":
    main()
