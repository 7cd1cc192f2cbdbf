"""The exported graphs against the torch model, and the student as a policy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from vla_fixtures import grammar, observe, tiny  # noqa: E402

from cordillera.policy.student import Student, StudentConfig  # noqa: E402
from cordillera.policy.vla.export import export  # noqa: E402
from cordillera.policy.vla.generate import Sampling  # noqa: E402
from cordillera.policy.vla.graphs import Sketch  # noqa: E402
from cordillera.policy.vla.model import ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.prompt import BadObservation, Prompt  # noqa: E402
from cordillera.policy.vla.stream import Stream  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402
from cordillera.types import same  # noqa: E402

TOKENIZER = build_tokenizer(tiny())


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    built = new_vla(tiny(per_token=2), 2)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
    return built


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("student")
    export(model, TOKENIZER, place)
    return place


@pytest.fixture(scope="module")
def int8(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("int8")
    export(model, TOKENIZER, place, int8=True)
    return place


def build(folder, **changes):
    config = StudentConfig(threads=1, flow_steps=1, **changes)
    return Student(folder, config, grammar(TOKENIZER))


def test_prefill_words_and_actions_equal_torch(model, folder):
    student = build(folder)
    inputs = Prompt(model.config, TOKENIZER).encode(observe(text="Turn left"))
    student.see(inputs)
    logits, memory, reused = student.read(inputs)
    thought = model.think(inputs, ThinkOptions(grammar=grammar(TOKENIZER)))
    assert reused == 0
    assert np.abs(logits - thought.prefix.logits[0].numpy()).max() < 1e-3
    tokens, memory = student.speak(logits, memory, inputs.next_position)
    assert tokens == thought.paths[0][0].tokens
    held = thought.prefix.cache
    order = held.owner[0, : held.length] >= -1
    assert np.abs(np.concatenate(memory.keys) - held.keys[:, 0, :, : held.length][:, :, order].numpy()).max() < 1e-3
    noise = np.random.default_rng(0).standard_normal((5, 64, 2)).astype(np.float32)
    ours = student.act(inputs, memory, inputs.next_position + len(tokens), noise)
    theirs = model.act(thought, torch.from_numpy(noise)[None], steps=1).actions[0]
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("mode", ["exact", "shift"])
def test_streaming_equals_the_torch_stream(model, folder, mode):
    student, stream = build(folder, stream=mode), Stream(model, mode)
    prompt = Prompt(model.config, TOKENIZER)
    for step in range(3):
        inputs = prompt.encode(observe(step))
        student.see(inputs)
        logits, _, reused = student.read(inputs)
        theirs = stream.read(inputs)
        assert reused == stream.reused and (step == 0 or reused > 0)
        assert np.abs(logits - theirs.logits[0].numpy()).max() < 1e-3


def test_the_student_decides_repeatably(folder):
    student = build(folder, samples=3)
    first, _ = student.decide(observe(1)), student.decide(observe(2))
    fresh = build(folder, samples=3).decide(observe(1))
    assert first.trajectory.xyz.shape == (64, 3) and len(first.candidates) == 3
    assert first.reasoning.text == fresh.reasoning.text != ""
    assert same(first.trajectory, fresh.trajectory)
    assert student.timing.tokens > 0 and student.timing.reused > 0
    silent = build(folder, reason=False).decide(observe(1))
    assert silent.reasoning is None and silent.policy == "student"


def test_more_threads_give_the_same_decision(folder):
    one = build(folder, samples=7).decide(observe(1))
    config = StudentConfig(threads=2, flow_steps=1, samples=7)
    two = Student(folder, config, grammar(TOKENIZER)).decide(observe(1))
    assert all(np.abs(a.xyz - b.xyz).max() < 1e-3 for a, b in zip(one.candidates, two.candidates, strict=True))
    assert one.reasoning is not None and same(one.reasoning, two.reasoning)


def test_words_do_not_depend_on_the_guess_that_speeds_them_up(folder):
    student = build(folder)
    inputs = student.prompt.encode(observe(2))
    student.see(inputs)
    logits, memory, _ = student.read(inputs)
    tokens, held = student.speak(logits, memory, inputs.next_position)
    other = TOKENIZER.encode("Keep the gap to the")
    for guess in (tokens, tokens[:-2] + other, tokens + other, other, tokens[:1] + other):
        student.said = guess
        again, kept = student.speak(logits, memory, inputs.next_position)
        assert again == tokens == student.said and kept.length == held.length == memory.length + len(tokens)
        gaps = [np.abs(a - b).max() for a, b in zip(kept.keys + kept.values, held.keys + held.values, strict=True)]
        assert max(gaps) < 1e-4
    assert student.afresh(1).said == []


def test_bad_input_and_endless_words_give_no_trajectory(folder, tmp_path):
    student = build(folder)
    bad = observe()
    with pytest.raises(BadObservation, match="NaN"):
        student.decide(replace(bad, ego_history=replace(bad.ego_history, xyz=np.full((16, 3), np.nan))))
    with pytest.raises(RuntimeError, match="did not end within 2"):
        build(folder, max_new_tokens=2).decide(observe())
    with pytest.raises(ValueError, match=r"student\.json"):
        Student(tmp_path)


def test_int8_is_smaller_and_agrees(model, folder, int8):
    sizes = [sum(p.stat().st_size for p in place.glob("*.onnx")) for place in (folder, int8)]
    inputs = Prompt(model.config, TOKENIZER).encode(observe())
    found = []
    for place in (folder, int8):
        student = build(place)
        student.see(inputs)
        found.append(student.read(inputs)[0])
    agreement = np.corrcoef(*found)[0, 1]
    assert sizes[1] < sizes[0] and 0.9 < agreement < 1.0


def test_int8_products_do_not_saturate():
    weight = np.ones((4, 64), np.float32)
    weight[:, ::3] = -0.5
    x = np.random.default_rng(0).uniform(0.5, 1.0, (5, 64)).astype(np.float32)
    sketch = Sketch(int8=True)
    graph = sketch.model({"x": (5, 64)}, {"y": sketch.linear("x", weight)})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"x": x})[0] - x @ weight.T).max() < 0.5


def test_the_student_runs_without_torch(folder):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cordillera.policy.student import Student, StudentConfig\n"
        f"Student({str(folder)!r}, StudentConfig(reason=False, threads=1))\n"
        "print('ok')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.strip() == "ok", run.stderr


def test_thinking_with_no_tokens_acts_at_once(model, folder):
    prompt = Prompt(model.config, TOKENIZER)
    inputs = prompt.encode(observe(), said="")
    student = build(folder, reason=False)
    student.see(inputs)
    _, memory, _ = student.read(inputs)
    noise = np.zeros((1, 64, 2), np.float32)
    ours = student.act(inputs, memory, inputs.next_position, noise)
    thought = model.think(inputs, ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    assert np.abs(ours - model.act(thought, torch.from_numpy(noise)[None], steps=1).actions[0]).max() < 1e-3
