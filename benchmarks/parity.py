"""Folder of parity vectors -> the largest error of each item; `python -m benchmarks.parity FOLDER` exits 1 on a miss.

The folder holds a checkpoint in the released layout (any sizes), `vectors.json` with the cases and
`vectors.safetensors` with what the reference implementation computed on the CPU in float32.

A flow with random weights can be chaotic: the Fourier features turn a change of 1e-7 of the noise into another plan
within a few steps, so that even the reference, run on another processor, does not reproduce its own actions. Each
flow is therefore also run on noise moved by 1e-6. Where that alone moves the result beyond the bound, the item is
marked "chaotic": it is still a miss, unless `--allow-chaotic` is given. Then it is judged by its mean difference from
the reference, which must not exceed 1.3 times the mean difference that the nudge makes. Poses of a chaotic flow are
compared for the reference's own actions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from cordillera.policy.vla import actions, targets
from cordillera.policy.vla.generate import Sampling
from cordillera.policy.vla.load import load_vla
from cordillera.policy.vla.model import VLA, ThinkOptions
from cordillera.policy.vla.prompt import Inputs, fuse_history, rotary_positions
from cordillera.policy.vla.tokenizer import VlaTokenizer

Vectors = dict[str, NDArray[Any]]
LOGITS, PLANS, SPACE = 1e-4, 1e-4, 1e-5


@dataclass(frozen=True)
class Line:
    """One item's largest error against its bound; relative to the largest magnitude of the reference."""

    item: str
    error: float
    bound: float
    mean: float = 0.0  # mean error, and below the mean spread by nudged noise; looked at where the flow is chaotic
    spread: float = 0.0
    chaotic: bool = False

    def passed(self, strict: bool) -> bool:
        """Whether the item agrees; false for NaN."""
        if self.chaotic and not strict:
            return self.mean <= 1.3 * self.spread
        return self.error <= self.bound


def relative(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest difference over the reference's largest magnitude (at least 1); infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max())))


def unequal(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """How many integers differ; infinite if the shapes differ."""
    return float((ours != theirs).sum()) if ours.shape == theirs.shape else float("inf")


def case_inputs(name: str, vectors: Vectors, model: VLA) -> Inputs:
    """The vectors of a case -> a prompt with our own history tokens and positions."""
    config = model.config
    xyz, rotation = vectors[f"{name}.ego_history_xyz"], vectors[f"{name}.ego_history_rot"]
    tokens = actions.history_to_tokens(xyz, rotation, config.history_tokens)
    ids = fuse_history(vectors[f"{name}.input_ids"][0], tokens, config)
    grids = tuple((int(rows), int(cols)) for _, rows, cols in vectors[f"{name}.image_grid_thw"])
    positions, free = rotary_positions(ids, grids, config.ids.image, config.vision.spatial_merge_size)
    ends = np.cumsum([rows * cols for rows, cols in grids])[:-1]
    patches = tuple(np.split(vectors[f"{name}.pixel_values"], ends))
    keys = tuple((name, i, 0) for i in range(len(grids)))
    return Inputs(ids, positions, free, grids, patches, keys, xyz, rotation)


def case_lines(case: dict[str, Any], vectors: Vectors, model: VLA, tokenizer: VlaTokenizer) -> Iterator[Line]:
    """One case -> lines for its prompt, logits, greedy sequences, actions and trajectories, and guidance."""
    name, samples = case["name"], case["num_traj_samples"]
    inputs = case_inputs(name, vectors, model)
    plain = np.array([tokenizer.encode(case["text"])])
    yield Line(f"{name} prompt ids", unequal(plain, vectors[f"{name}.input_ids"]), 0)
    yield Line(f"{name} fused ids", unequal(inputs.ids[None], vectors[f"{name}.fused_input_ids"]), 0)

    with torch.inference_mode():
        hidden, _ = model.hidden([inputs], model.see([inputs]), 0)
        logits = model.text.lm_head(hidden)[0]
    last = vectors[f"{name}.prefill_logits_last"]
    yield Line(f"{name} logits, last", relative(logits[-1:].numpy(), last), LOGITS)
    sums = vectors[f"{name}.prefill_logits_sum"]
    yield Line(f"{name} logits, sums", relative(logits.double().sum(-1)[None].numpy(), sums), LOGITS)

    guided = "cfg" in case
    sampling = Sampling(max_new_tokens=case["max_new_tokens"])
    thought = model.think(inputs, ThinkOptions(samples=samples, sampling=sampling, guidance=guided))
    said = [np.concatenate([inputs.ids, path.tokens]) for path in thought.paths[0]]
    sequences = vectors[f"{name}.sequences"]
    same = all(len(row) == sequences.shape[1] for row in said)
    yield Line(f"{name} greedy sequences", unequal(np.stack(said), sequences) if same else float("inf"), 0)
    if "reached_traj_future_start" in case:
        yield Line(f"{name} reached", float(thought.reached.all() != case["reached_traj_future_start"]), 0)
    yield from plan_lines(name, vectors, model, thought, {})
    if guided:
        options = {"steps": case["cfg"]["steps"], "guidance_weight": case["cfg"]["guidance_weight"]}
        yield from plan_lines(f"{name}.cfg", vectors, model, thought, options)


def plan_lines(name: str, vectors: Vectors, model: VLA, thought: Any, options: dict[str, Any]) -> Iterator[Line]:
    """A thought and the reference's noise -> lines for actions and trajectories."""
    noise = torch.from_numpy(vectors[f"{name}.noise"])[None]
    nudge = 1e-6 * torch.randn(noise.shape, generator=torch.Generator().manual_seed(0))
    plan, other = model.act(thought, noise, **options), model.act(thought, noise + nudge, **options)
    action = vectors[f"{name}.action"]
    chaotic = relative(other.actions, plan.actions) > PLANS
    spread, mean = (float(np.abs(plan.actions[0] - x).mean()) for x in (other.actions[0], action))
    yield Line(f"{name} actions", relative(plan.actions[0], action), PLANS, mean, spread, chaotic)
    label = ""
    if chaotic:  # other actions give other poses, so the poses of the reference's own actions are compared
        plan, label = model.plan(thought.inputs, action[None]), " (its actions)"
    yield Line(f"{name} trajectories{label}", relative(plan.xyz, vectors[f"{name}.pred_xyz"]), PLANS)
    yield Line(f"{name} rotations{label}", relative(plan.rotation, vectors[f"{name}.pred_rot"]), PLANS)


def space_lines(vectors: Vectors, model: VLA) -> Iterator[Line]:
    """Lines for the action space forward and inverse, both tokenizers and the action input projection."""
    config, space = model.config, model.config.action_space
    names = ("history_xyz", "history_rot", "future_xyz", "future_rot")
    poses = [vectors[f"action_space.{name}"] for name in names]
    past, turned = poses[:2]
    a, b, c, d = (torch.from_numpy(pose) for pose in poses)
    yield Line(
        "action space, v0", relative(actions.initial_speed(past, turned, space), vectors["action_space.v0"]), SPACE
    )
    inverse = targets.from_trajectory(a, b, c, d, space).numpy()
    yield Line("action space, inverse", relative(inverse, vectors["action_space.action"]), SPACE)
    xyz, rotation = actions.to_trajectory(vectors["action_space.action"], past, turned, space)
    yield Line("action space, forward xyz", relative(xyz, vectors["action_space.xyz"]), SPACE)
    yield Line("action space, forward rot", relative(rotation, vectors["action_space.rot"]), SPACE)

    tokens = targets.future_to_tokens(a, b, c, d, config.future_tokens).numpy()
    yield Line("future tokens", unequal(tokens, vectors["future_tokens"]), 0)
    xyz, rotation = actions.tokens_to_future(vectors["future_tokens"], past, turned, config.future_tokens)
    yield Line("future tokens back, xyz", relative(xyz, vectors["future_tokens.xyz"]), SPACE)
    yield Line("future tokens back, rot", relative(rotation, vectors["future_tokens.rot"]), SPACE)
    history = actions.history_to_tokens(past, turned, config.history_tokens)
    yield Line("history tokens", unequal(history, vectors["history_tokens"]), 0)

    with torch.inference_mode():
        x, t = (torch.from_numpy(vectors[f"action_in_proj.{name}"]) for name in ("x", "t"))
        out = model.expert.action_in_proj(x, t.reshape(-1)).numpy()
    yield Line("action input projection", relative(out, vectors["action_in_proj.out"]), SPACE)


def check(folder: Path, report: Callable[[Line], None], strict: bool = True) -> bool:
    """A folder -> whether every item is within its bound; each line goes to `report` as it is known."""
    model, tokenizer = load_vla(folder, dtype=torch.float32)
    facts = json.loads((folder / "vectors.json").read_text())
    vectors = load_file(folder / "vectors.safetensors")
    passed = True
    lines = [space_lines(vectors, model), *(case_lines(case, vectors, model, tokenizer) for case in facts["cases"])]
    for group in lines:
        for line in group:
            report(line)
            passed = passed and line.passed(strict)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoint with vectors.json and vectors.safetensors")
    parser.add_argument("--allow-chaotic", action="store_true", help="judge chaotic flows by their spread")
    arguments = parser.parse_args()
    strict = not arguments.allow_chaotic

    def show(line: Line) -> None:
        chaos = f"  chaotic: mean {line.mean:.3g}, by nudged noise {line.spread:.3g}" if line.chaotic else ""
        verdict = "" if line.passed(strict) else "   MISS"
        print(f"{line.item:38} {line.error:10.3g}  (at most {line.bound:g}){chaos}{verdict}")

    try:
        passed = check(arguments.folder, show, strict)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("all within bounds" if passed else "NOT within bounds")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
