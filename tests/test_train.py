"""Rows, stores, batches, the objective against the model's own inference, and the loop with its resume."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from train_fixtures import TRACES, config, rows_of, wanted  # noqa: E402

from cordillera.policy.vla.generate import Sampling  # noqa: E402
from cordillera.policy.vla.model import ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.navigation import COUNT, RADII_M, bearings, route_numbers, route_words  # noqa: E402
from cordillera.policy.vla.prompt import BadObservation, Prompt, to_patches  # noqa: E402
from cordillera.reasoning.schema import parse, same_words, write  # noqa: E402
from cordillera.train.batch import IGNORED, Assembly, Batch, assemble, draw_rows, images_to_patches  # noqa: E402
from cordillera.train.samples import (  # noqa: E402
    balance,
    own_grammar,
    own_tokenizer,
    words_of,
)
from cordillera.train.setup import Place  # noqa: E402
from cordillera.train.sft import LOSSES, Objective, SftConfig, Trainer, held_out, rate_at  # noqa: E402
from cordillera.train.store import open_stores, write_store  # noqa: E402

HERE = Place(0, 1, torch.device("cpu"), False)
LOUD = Assembly(draws=2, unsaid=0.0, unsaid_easy=0.0)


@pytest.fixture(scope="module")
def cfg():
    torch.set_num_threads(1)
    return config()


@pytest.fixture(scope="module")
def rows(cfg, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    found = rows_of(16, cfg)
    write_store(folder / "one", found[:9], cfg)
    write_store(folder / "two", found[9:], cfg)
    return open_stores([folder / "one", folder / "two"], cfg)


# ------------------------------------------------------------------- the route


@given(st.floats(-0.015, 0.015), st.floats(0.0, 3.0))
def test_route_words_give_the_line_wherever_it_begins(bend, begin):
    at = np.arange(begin - 2.0, 120.0, 2.0)
    theta = bend * at
    line = np.column_stack([np.sin(theta) / bend, (1 - np.cos(theta)) / bend, 0 * at]) if bend else None
    line = np.column_stack([at, 0 * at, 0 * at]) if line is None or abs(bend) < 1e-6 else line
    numbers = route_numbers(line)
    true = [np.arcsin(0.5 * bend * radius) for radius in RADII_M]  # a chord's angle to the tangent
    half_bin = 0.5 / 127 / (1 - np.tanh(2.0 * np.abs(true)) ** 2)
    assert (np.abs(bearings(numbers) - true) < 1.5 * half_bin + 0.01).all()
    assert route_words(line).count("<i") == COUNT


def test_a_route_that_ends_says_how_much_is_left():
    short, long = (np.column_stack([np.linspace(0, end, 50), np.zeros(50), np.zeros(50)]) for end in (20.0, 180.0))
    assert route_numbers(short)[-1] == round(20 / 200 * 127) and route_numbers(long)[-1] == round(180 / 200 * 127)
    assert (route_numbers(np.zeros((0, 3))) == 64).all()


def test_the_prompt_reads_the_chosen_cameras_and_frames(cfg):
    tokenizer = own_tokenizer(cfg)
    inputs = Prompt(cfg, tokenizer).encode(wanted(0).sample.observation)
    assert len(inputs.keys) == 2 and inputs.keys[1][1] - inputs.keys[0][1] == 300_000
    lacking = replace(cfg, prompt=replace(cfg.prompt, cameras=("camera_rear_tele_30fov",)))
    with pytest.raises(BadObservation, match="rear_tele"):
        Prompt(lacking, tokenizer).encode(wanted(0).sample.observation)


# ----------------------------------------------------------------- what is read


def test_every_piece_of_a_trace_is_one_token_and_follows_the_grammar(cfg):
    tokenizer = own_tokenizer(cfg)
    grammar = own_grammar(tokenizer)
    for trace in TRACES[:3]:
        ids = words_of(trace, tokenizer)
        state = grammar.start()
        for token in ids:
            assert token in grammar.allowed(state)
            state = grammar.advance(state, token)
        assert same_words(parse(tokenizer.decode(ids).split("<|cot_end|>")[0]), trace)
        assert len(ids) <= 16
    assert len(words_of(None, tokenizer)) == 2


def test_balance_draws_rare_classes_more_often():
    classes = [("go", "Japan")] * 90 + [("stop", "Japan")] * 10
    equal = balance(classes, power=1.0)
    assert equal[:90].sum() == pytest.approx(equal[90:].sum())
    assert balance(classes, power=0.0) == pytest.approx(np.ones(100))
    half = balance(classes, power=0.5)
    assert half[-1] / half[0] == pytest.approx(3.0)
    assert balance([("a",)] * 9999 + [("b",)], 1.0, most=8.0).max() == pytest.approx(8.0, rel=0.01)


def test_draws_follow_the_weights_and_the_seed():
    weights = np.array([1.0, 3.0])
    drawn = draw_rows(weights, 20_000, 1, 2)
    assert (drawn == 1).mean() == pytest.approx(0.75, abs=0.01)
    assert (draw_rows(weights, 50, 1, 2) == draw_rows(weights, 50, 1, 2)).all()
    assert (draw_rows(weights, 50, 1, 2) != draw_rows(weights, 50, 1, 3)).any()


def test_patches_on_the_device_are_the_prompts(cfg):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    ours = images_to_patches(torch.from_numpy(image)[None], cfg.vision)[0].numpy()
    assert np.abs(ours - to_patches(image, cfg.vision, cfg.prompt)).max() < 1e-6


def test_stores_give_back_what_was_written(cfg, rows, tmp_path):
    found = rows_of(16, cfg)
    assert len(rows) == 16 and sorted(set(rows.kind)) == ["decision", "driven"]
    for number in (0, 8, 9, 15):
        row = found[number]
        assert (rows.arrays["ids"][number][: len(row.ids)] == row.ids).all()
        assert (rows.pictures(rows.arrays["image_of"][[number]])[0] == np.stack(row.images)).all()
        assert rows.classes[number] == row.classes
    assert rows.arrays["learns"].sum() == 16 - 4 - 1  # four windows without a reason, one of another decision
    kept = rows.only(rows.kind != "decision")
    assert len(kept) == 15 and (kept.arrays["actions"][5] == found[6].actions).all()
    with pytest.raises(ValueError, match="another model"):
        write_store(tmp_path / "other", found, replace(cfg, prompt=replace(cfg.prompt, frames=1)))
        open_stores([tmp_path / "other"], cfg)
    with pytest.raises(ValueError, match=r"store\.json"):
        open_stores([tmp_path], cfg)


def test_targets_are_the_words_and_then_the_future(cfg, rows):
    batch = assemble(rows, np.arange(8), cfg, LOUD, 0)
    for row in range(8):
        held = {name: values[row] for name, values in rows.arrays.items()}
        words, tokens = (batch.targets[k, row][batch.targets[k, row] != IGNORED].tolist() for k in range(2))
        assert words == (held["words"][: held["word_count"] - 1].tolist() if held["learns"] else [])
        assert tokens == held["tokens"].tolist()
        at = torch.nonzero(batch.targets[1, row] != IGNORED)[:, 0]
        assert (batch.ids[row, at + 1] == batch.targets[1, row, at]).all()
        assert not batch.seen[row, at + 1].any() and batch.seen[row, at[0]]
    silent = assemble(rows, np.arange(8), cfg, replace(LOUD, unsaid=1.0, unsaid_easy=1.0), 0)
    learned = (silent.targets[0] != IGNORED).sum(1)
    assert learned.tolist() == rows.arrays["easy"][:8].astype(int).tolist()  # saying nothing is learned there alone


# -------------------------------------------------------------- the objective


def test_the_objective_plans_what_the_model_plans(cfg, rows):
    """The training path and the driving path are the same function: words given, equal noise, equal actions."""
    cfg = replace(cfg, flow_steps=2)
    model = new_vla(cfg, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    tokenizer = own_tokenizer(cfg)
    batch = assemble(rows, np.arange(3), cfg, LOUD, 7)
    with torch.no_grad():
        planned = Objective(model)(batch, 2).numpy()
    for row in range(3):
        sample = wanted(row).sample
        inputs = Prompt(cfg, tokenizer).encode(sample.observation, said=write(sample.reasoning, seed=0))
        thought = model.think(inputs, ThinkOptions(sampling=Sampling(max_new_tokens=0)))
        theirs = model.act(thought, batch.noise[row : row + 1, :2]).actions[0]
        assert np.abs(planned[row] - theirs).max() < 1e-4


def test_no_gradient_of_the_flow_reaches_the_decoder(cfg, rows):
    model = new_vla(cfg)
    losses = dict(zip(LOSSES, Objective(model)(assemble(rows, np.arange(4), cfg, LOUD, 0)), strict=True))
    (losses["flow"] + losses["path"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in (*model.text.parameters(), *model.vision.parameters()))
    assert all(p.grad is not None for p in model.expert.parameters())


def test_the_course_teaches_the_decoder_and_the_eyes(cfg, rows):
    model = new_vla(cfg)
    objective = Objective(model)
    torch.nn.init.normal_(objective.course.head.weight)  # it begins with zeros, which let nothing pass
    losses = dict(zip(LOSSES, objective(assemble(rows, np.arange(4), cfg, LOUD, 0)), strict=True))
    losses["course"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.expert.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.text.layers.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.vision.parameters())


def test_a_blind_batch_has_the_prompt_without_its_pictures(cfg, rows):
    seen = assemble(rows, np.arange(4), cfg, LOUD, 0)
    blind = assemble(rows, np.arange(4), cfg, replace(LOUD, blind=True), 0)
    assert blind.images.shape[1] == 0 and not blind.image_mask.any()
    assert (blind.targets[0] == IGNORED).all()  # what cannot be seen is not to be said
    for row in range(4):
        here, there = seen.seen[row] & ~seen.image_mask[row], blind.seen[row]
        assert torch.equal(seen.ids[row][here], blind.ids[row][there])
        assert torch.equal(seen.positions[:, row][:, here], blind.positions[:, row][:, there])
    assert torch.equal(seen.start, blind.start) and torch.equal(seen.actions, blind.actions)
    losses = dict(zip(LOSSES, Objective(new_vla(cfg))(blind), strict=True))
    assert losses["words"] == 0.0 and losses["sight"] == 0.0
    assert losses["flow"] > 0.0 and losses["course"] > 0.0


# ------------------------------------------------------------------- the loop


def trainer(cfg, rows, output, **changes):
    settings = SftConfig(steps=4, batch=4, warmup=2, save_every=100, look_every=100, assembly=replace(LOUD, unsaid=0.3))
    return Trainer(new_vla(cfg, 1), rows, replace(settings, **changes), HERE, output)


def test_two_and_two_steps_are_four(cfg, rows, tmp_path):
    straight = trainer(cfg, rows, tmp_path / "straight")
    straight.fit(lambda step, figures: None)
    first = trainer(cfg, rows, tmp_path / "halves")
    assert not first.fit(lambda step, figures: None, until=2).finished
    second = trainer(cfg, rows, tmp_path / "halves", loaders=2)  # batches made ahead of time are the same
    assert second.resume() and second.step == 2
    assert second.fit(lambda step, figures: None).finished
    for (name, a), (_, b) in zip(
        straight.objective.named_parameters(), second.objective.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    with pytest.raises(ValueError, match="another rate"):
        trainer(cfg, rows, tmp_path / "halves", rate=1.0).resume()


def test_micro_batches_add_up_to_the_batch(cfg, rows, tmp_path):
    flow_alone = {"word_weight": 0.0, "token_weight": 0.0}
    split = trainer(cfg, rows, tmp_path, micro_batches=2, **flow_alone)
    joined = trainer(cfg, rows, tmp_path, **flow_alone)
    halves = [split.batch(part) for part in range(2)]
    longest = max(half.ids.shape[1] for half in halves)
    both = {}
    for name in vars(halves[0]):
        parts = [getattr(half, name) for half in halves]
        if name in ("ids", "positions", "image_mask", "targets", "seen"):
            parts = [torch.nn.functional.pad(part, (0, longest - part.shape[-1])) for part in parts]
        both[name] = torch.cat(parts, dim=1 if name in ("positions", "targets") else 0)
    joined.batch = lambda part: Batch(**both)
    assert split.advance()["norm"] == pytest.approx(joined.advance()["norm"], rel=1e-4)


def test_the_rate_rises_and_falls():
    settings = SftConfig(steps=100, warmup=10, rate=1.0, rate_end=0.1)
    rates = [rate_at(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.01) and np.all(np.diff(rates[10:]) < 0)


def test_held_out_rows_know_constant_velocity(cfg, rows, tmp_path):
    found = held_out(trainer(cfg, rows, tmp_path), rows.only(rows.clip_id == "clip-0"))
    assert found["coast_ade"] < 0.05 < found["val_ade"]  # clip 0 goes straight on


@pytest.mark.slow
def test_two_processes_share_one_model(cfg, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    write_store(tmp_path / "rows", rows_of(8, cfg), cfg)
    code = (
        "import sys, torch; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from train_fixtures import config\n"
        "from cordillera.policy.vla.model import new_vla\n"
        "from cordillera.train.setup import set_up, shut_down\n"
        "from cordillera.train.sft import SftConfig, Trainer\n"
        "from cordillera.train.store import open_stores\n"
        "place = set_up(1, 'cpu'); out = Path(sys.argv[1])\n"
        "t = Trainer(new_vla(config(), 1), open_stores([out / 'rows'], config()),"
        " SftConfig(steps=1, batch=4, warmup=1), place, out / 'run')\n"
        "t.fit(lambda step, figures: None); t.resume(); shut_down()\n"
    )
    tests = str(Path(__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), tests],
            env=os.environ | {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
                              "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    alone = trainer(cfg, open_stores([tmp_path / "rows"], cfg), tmp_path / "run", steps=1, warmup=1, batch=4)
    alone.config = replace(SftConfig(steps=1, batch=4, warmup=1))
    assert alone.resume() and alone.step == 1
    fresh = dict(new_vla(cfg, 1).named_parameters())
    moved = [n for n, p in alone.whole_weights().items() if not torch.equal(p, fresh[n])]
    assert len(moved) > 0.9 * len(fresh)
