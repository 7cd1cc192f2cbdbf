"""Exported nano with random weights on the CPU -> milliseconds of each stage; `python -m benchmarks.student`.

Two cameras of 320 x 180, four frames each, sliding by one frame a decision. The words come from a grammar whose
texts have at most 16 tokens; the plan takes five flow steps. Words that are the last decision's again take one
evaluation, others one for each choice: "as before" and "new" (the student is made to forget what it said). Medians over
the decisions after the first ones.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from benchmarks.windows import observe, trace_grammar
from cordillera.policy.student import Student, StudentConfig, Timing
from cordillera.policy.vla.config import PRESETS
from cordillera.policy.vla.export import export
from cordillera.policy.vla.model import new_vla
from cordillera.policy.vla.tokenizer import build_tokenizer

STAGES = [field.name for field in fields(Timing)]


def measure(student: Student, decisions: int, forgets: bool) -> tuple[dict[str, float], float]:
    """A student, which may forget its words each time -> the median of each stage, and of the whole decision, in ms."""
    rows, totals = [], []
    for step in range(decisions):
        student.said = [] if forgets else student.said
        decision = student.decide(observe(step))
        if step >= 2 and student.timing is not None:
            rows.append(student.timing)
            totals.append(decision.latency_ms)
    return {name: statistics.median(getattr(row, name) for row in rows) for name in STAGES}, statistics.median(totals)


def agreement(full: Student, small: Student, windows: int = 5) -> dict[str, float]:
    """Float and int8 students -> how far the prefill logits and the plans differ on the same noise."""
    logits, gaps = [], []
    for step in range(windows):
        found = []
        for student in (full, small):
            inputs = student.prompt.encode(observe(step), said="")
            student.last, student.features = None, {}
            student.see(inputs)
            out, memory, _ = student.read(inputs)
            noise = np.random.default_rng(step).standard_normal((6, 64, 2)).astype(np.float32)
            found.append((out, student.act(inputs, memory, inputs.next_position, noise)))
        (a, x), (b, y) = found
        logits.append(float(np.abs(a - b).max() / np.abs(a).max()))
        gaps.append(float(np.abs(x - y).mean()))
    return {"largest logit difference, relative": max(logits), "mean action difference": float(np.mean(gaps))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="nano", choices=("nano", "small"))
    parser.add_argument("--decisions", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=1)
    arguments = parser.parse_args()
    config = PRESETS[arguments.preset]()
    tokenizer = build_tokenizer(config)
    model = new_vla(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{arguments.preset}: {count / 1e6:.1f} M parameters, {arguments.threads} threads, {arguments.samples} plans")
    print(f"{'graphs':8} {'stream':6} {'words':9} " + " ".join(f"{name:>10}" for name in STAGES) + f" {'total_ms':>10}")
    base = StudentConfig(threads=arguments.threads, samples=arguments.samples, flow_steps=5, refresh=10**9)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"float": Path(scratch) / "float", "int8": Path(scratch) / "int8"}
        for kind, folder in folders.items():
            export(model, tokenizer, folder, int8=kind == "int8")
        for kind, folder in folders.items():
            for stream in ("exact", "shift"):
                for words in ("as before", "new", "none"):
                    settings = replace(base, reason=words != "none", stream=stream)
                    student = Student(folder, settings, trace_grammar(tokenizer))
                    parts, total = measure(student, arguments.decisions, words == "new")
                    row = " ".join(f"{parts[name]:10.2f}" for name in STAGES)
                    print(f"{kind:8} {stream:6} {words:9} {row} {total:10.2f}", flush=True)
        for name, value in agreement(Student(folders["float"], base), Student(folders["int8"], base)).items():
            print(f"int8 against float: {name}: {value:.4f}")


if __name__ == "__main__":
    main()
