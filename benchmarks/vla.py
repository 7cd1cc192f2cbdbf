"""Random weights -> milliseconds of each stage beside the straightforward path; `python -m benchmarks.vla`.

The straightforward path is transformers' Qwen3-VL with its dynamic cache on the same weights in the same run: its
`generate` reads images and prompt once for each sample, and the expert is called eagerly on that cache.

    python -m benchmarks.vla                                        CPU: nano and small, K = 1, 6, 16
    python -m benchmarks.vla --device cuda --presets 10b --cameras 2 --size 320 576 --tokens 40 --steps 10
    ... the same with --bits 8                                      8-bit weights; --compile fuses the layers
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.straightforward import Straightforward
from benchmarks.windows import observe
from cordillera.policy.vla.config import PRESETS, VlaConfig
from cordillera.policy.vla.fast import StaticLoops
from cordillera.policy.vla.generate import Sampling
from cordillera.policy.vla.model import VLA, new_vla
from cordillera.policy.vla.prompt import Inputs, rotary_positions, to_patches
from cordillera.policy.vla.state import plan_state
from cordillera.runtime.quantize import QuantConfig, quantise


@dataclass(frozen=True)
class Row:
    """Median milliseconds of the stages of one decision, and the peak memory of its path."""

    vision: float
    prefill: float
    token: float
    flow: float
    total: float
    memory_gib: float

    def text(self) -> str:
        stages = (self.vision, self.prefill, self.token, self.flow, self.total)
        return " ".join(f"{value:9.2f}" for value in stages) + f" {self.memory_gib:8.2f}"


def inputs_of(config: VlaConfig, cameras: int, frames: int, size: tuple[int, int]) -> Inputs:
    """A prompt of the released length without a tokenizer: images, 60 tokens of text, 48 of history."""
    observation = observe(0, cameras, frames, size)
    merge, patch = config.vision.spatial_merge_size, config.vision.patch_size
    patches, grids, keys, ids = [], [], [], list(range(20))
    for camera, images in zip(observation.cameras, observation.images, strict=True):
        for number, image in enumerate(images):
            patches.append(to_patches(image, config.vision, config.prompt))
            unit = patch * merge
            height, width = image.shape[:2]
            tall = max(unit, round((len(patches[-1]) * patch**2 * height / width) ** 0.5 / unit) * unit)
            grids.append((tall // patch, len(patches[-1]) // (tall // patch)))
            keys.append((camera.name, number, 0))
            ids += [config.ids.vision_start, *[config.ids.image] * (len(patches[-1]) // merge**2), 1]
    ids += [*range(config.history_start, config.history_start + 48), *range(40)]

    fused = np.array(ids, np.int64)
    positions, free = rotary_positions(fused, grids, config.ids.image, merge)
    xyz, rotation = observation.ego_history.xyz, np.tile(np.eye(3), (16, 1, 1))
    state = plan_state(fused, xyz, rotation, config) if config.action_proj.state else None
    return Inputs(fused, positions, free, tuple(grids), tuple(patches), tuple(keys), xyz, rotation, state=state)


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """A function -> the median of its milliseconds after one call to warm up: CPU time on one thread, else elapsed."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    found = []
    for round_number in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        begin = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if round_number:
            found.append(1e3 * (clock() - begin))
    return statistics.median(found)


def memory_gib(device: torch.device) -> float:
    """Peak memory so far: of the device on a GPU, of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours(model: VLA, inputs: Inputs, samples: int, tokens: int, steps: int, repeats: int) -> Row:
    """The static loops: one prefill for all samples, decoding and flow as graphs on a GPU."""
    device = model.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    rule = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=tokens)
    loops = StaticLoops(model, len(inputs.ids), samples, tokens, rule, steps)
    noise = torch.randn(samples, model.config.action_space.n_waypoints, 2, device=device)
    with torch.inference_mode():
        features = model.see([inputs])
        prefix = model.read([inputs], features)
        vision = timed(lambda: model.see([inputs]), device, repeats)
        prefill = timed(lambda: model.read([inputs], features), device, repeats)
        words = timed(lambda: loops.speak(prefix), device, repeats)
        flow = timed(lambda: loops.act(noise), device, repeats)

        def whole() -> Tensor:
            loops.speak(model.read([inputs], model.see([inputs])))
            return loops.act(noise)

        total = timed(whole, device, repeats)
    return Row(vision, prefill, words / tokens, flow, total, memory_gib(device))


def theirs(model: VLA, inputs: Inputs, samples: int, tokens: int, steps: int, repeats: int) -> Row:
    """The straightforward path on the same weights."""
    device = model.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    path = Straightforward(model)
    noise = torch.randn(samples, model.config.action_space.n_waypoints, 2, device=device)
    vision = timed(lambda: path.see(inputs, samples), device, repeats)
    first = timed(lambda: path.generate(inputs, samples, 1), device, repeats)
    words = timed(lambda: path.generate(inputs, samples, tokens), device, repeats)
    cache = path.generate(inputs, samples, tokens)
    flow = timed(lambda: path.act(inputs, cache, noise, tokens, steps), device, repeats)
    total = timed(
        lambda: path.act(inputs, path.generate(inputs, samples, tokens), noise, tokens, steps), device, repeats
    )
    token = (words - first) / max(1, tokens - 1)
    return Row(vision, first - vision, token, flow, total, memory_gib(device))


def build(name: str, device: torch.device, bits: int, compiled: bool) -> VLA:
    """A preset with random weights on the device: float32 on a CPU, bfloat16 on a GPU, perhaps quantised."""
    config = PRESETS[name]()
    if device.type == "cpu":
        model = new_vla(config)
    else:
        with torch.device("meta"):
            model = VLA(config)
        model = model.to(torch.bfloat16).to_empty(device=device)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.02) if parameter.ndim > 1 else parameter.fill_(1.0)
        if config.tie_embeddings:
            model.text.lm_head.weight = model.text.embed_tokens.weight
    if bits < 16:
        for tower in (model.text, model.expert):
            quantise(tower, QuantConfig(bits=bits, skip=("action_in_proj", "action_out_proj")))
    if compiled:
        for layer in [*model.text.layers, *model.expert.layers]:
            layer.project, layer.finish = torch.compile(layer.project), torch.compile(layer.finish)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["nano", "small"], choices=sorted(PRESETS))
    parser.add_argument("--samples", nargs="+", type=int, default=[1, 6, 16])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--size", nargs=2, type=int, default=(180, 320), help="height and width of the images")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="with 1, CPU time is counted")
    parser.add_argument("--bits", type=int, default=16, choices=(4, 8, 16))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--alone", action="store_true", help="leave the straightforward path out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {options.threads} threads"
    print(f"{where}, torch {torch.__version__}; {options.cameras} cameras x {options.frames} frames, ms (median)")
    print(
        f"{'preset':7} {'K':>3} {'path':15} "
        + " ".join(f"{n:>9}" for n in ("vision", "prefill", "a token", "flow", "total"))
        + "  peak GiB"
    )
    for name in options.presets:
        model = build(name, device, options.bits, options.compile)
        inputs = inputs_of(model.config, options.cameras, options.frames, tuple(options.size))
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"{name}: {count / 1e6:.0f} M parameters, {len(inputs.ids)} prompt tokens")
        for samples in options.samples:
            work = (model, inputs, samples, options.tokens, options.steps, options.repeats)
            mine = ours(*work)
            print(f"{name:7} {samples:3} {'static loops':15} {mine.text()}", flush=True)
            if not options.alone and options.bits == 16 and not options.compile:
                other = theirs(*work)
                print(
                    f"{name:7} {samples:3} {'straightforward':15} {other.text()}  {other.total / mine.total:.1f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
