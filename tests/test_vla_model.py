"""The model against itself: cached and full, batched and single, K samples and one, streaming and from scratch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vla_fixtures import following, grammar, observe, tiny  # noqa: E402

from cordillera.policy.vla import actions, targets  # noqa: E402
from cordillera.policy.vla.config import PRESETS, ActionSpaceConfig, nano, ten_b  # noqa: E402
from cordillera.policy.vla.generate import Sampling, draw, probabilities  # noqa: E402
from cordillera.policy.vla.model import VLA, ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.policy import PolicyConfig, UnfinishedReasoning, VlaPolicy, medoid  # noqa: E402
from cordillera.policy.vla.prompt import Prompt  # noqa: E402
from cordillera.policy.vla.stream import Stream  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402
from cordillera.types import same  # noqa: E402

PARITY = Path(__file__).resolve().parents[1].parent / "shared" / "parity"
CLOSE = {"rtol": 0.0, "atol": 2e-5}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lively(config):
    """An untrained model with matrices so large that what it reads matters to what it says."""
    model = new_vla(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
    return model


@pytest.fixture(scope="module")
def model():
    return lively(tiny())


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(tiny())


@pytest.fixture(scope="module")
def prompt(tokenizer):
    return Prompt(tiny(), tokenizer)


def logits_of(model, inputs, extra=()):
    """Every position's logits in one pass over the prompt with tokens appended to it."""
    count = len(extra)
    free = inputs.next_position + np.arange(count)
    longer = replace(
        inputs,
        ids=np.concatenate([inputs.ids, np.array(extra, np.int64)]),
        positions=np.concatenate([inputs.positions, np.tile(free, (3, 1))], axis=1),
    )
    with torch.inference_mode():
        hidden, _ = model.hidden([longer], model.see([longer]), 0)
        return model.text.lm_head(hidden)[0, len(inputs.ids) - 1 :]


def test_cached_decoding_equals_the_full_pass(model, prompt):
    inputs, tokens = prompt.encode(observe()), [7, 300, 41, 12, 99]
    full = logits_of(model, inputs, tokens)
    with torch.inference_mode():
        prefix = model.read([inputs], model.see([inputs]), 4)  # too little room: the cache must grow
        steps = [prefix.logits[0]]
        steps += [model.feed(prefix, [[[token]]], [[i]])[0] for i, token in enumerate(tokens[:3])]
        steps.append(model.feed(prefix, [[tokens[3:]]], [[3]])[0])  # two at once
    torch.testing.assert_close(torch.stack(steps), full[[0, 1, 2, 3, 5]], **CLOSE)


def test_a_batch_with_padding_equals_singles(model, prompt):
    batch = [prompt.encode(observe(3, cameras=1)), prompt.encode(observe(9, cameras=3, frames=2, text="Turn left"))]
    options = ThinkOptions(samples=2, sampling=Sampling(temperature=1.0, max_new_tokens=7, seed=3))
    noise = torch.randn(2, 4, 64, 2, generator=torch.Generator().manual_seed(0))
    together = model.think(batch, options)
    plans = model.act(together, noise, steps=1)
    for row, inputs in enumerate(batch):
        alone = model.think(inputs, options)
        torch.testing.assert_close(together.prefix.logits[row], alone.prefix.logits[0], **CLOSE)
        assert [path.tokens for path in together.paths[row]] == [path.tokens for path in alone.paths[0]]
        plan = model.act(alone, noise[row : row + 1], steps=1)
        assert np.abs(plan.actions[0] - plans.actions[row]).max() < 2e-4


def test_samples_of_one_prefill_equal_separate_runs(model, prompt):
    inputs = prompt.encode(observe())
    noise = torch.randn(1, 6, 64, 2, generator=torch.Generator().manual_seed(1))
    sampling = Sampling(temperature=0.9, max_new_tokens=9, seed=5)
    together = model.think(inputs, ThinkOptions(3, sampling))
    plan = model.act(together, noise, steps=1)
    assert len({tuple(path.tokens) for path in together.paths[0]}) > 1
    for k in range(3):
        alone = model.think(inputs, ThinkOptions(1, replace(sampling, seed=5 + k)))
        assert alone.paths[0][0].tokens == together.paths[0][k].tokens
        own = model.act(alone, noise[:, 2 * k : 2 * k + 2], steps=1)
        assert np.abs(own.actions[0] - plan.actions[0, 2 * k : 2 * k + 2]).max() < 2e-4
    with pytest.raises(ValueError, match="evenly"):
        model.act(together, 4)


def test_drawn_noise_does_not_depend_on_the_number_of_samples(model, prompt):
    thought = model.think(prompt.encode(observe(), said=""), ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    one, many = model.act(thought, 1, steps=1, seed=4), model.act(thought, 3, steps=1, seed=2)
    assert np.abs(one.actions[0, 0] - many.actions[0, 2]).max() < 2e-4


def test_words_given_in_the_prompt_equal_words_fed_one_by_one(model, prompt, tokenizer):
    bound = grammar(tokenizer)
    thought = model.think(prompt.encode(observe()), ThinkOptions(grammar=bound))
    words = thought.texts(tokenizer.decode)[0][0].split("<|cot_end|>")[0]
    given = model.think(prompt.encode(observe(), said=words), ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    noise = torch.zeros(1, 1, 64, 2)
    ours, theirs = model.act(thought, noise, steps=1), model.act(given, noise, steps=1)
    assert thought.reached.all() and np.abs(ours.actions - theirs.actions).max() < 2e-4


@pytest.mark.parametrize("cameras", [1, 2])
def test_streaming_equals_reading_from_scratch(model, prompt, cameras):
    stream = Stream(model)
    for step in range(3):
        inputs = prompt.encode(observe(step, cameras=cameras), known=stream.known)
        assert sum(patches is not None for patches in inputs.patches) == cameras * (4 if step == 0 else 1)
        fresh = prompt.encode(observe(step, cameras=cameras))
        ours = stream.read(inputs)
        with torch.inference_mode():
            theirs = model.read([fresh], model.see([fresh]))
        torch.testing.assert_close(ours.logits, theirs.logits, **CLOSE)
        torch.testing.assert_close(ours.cache.keys, theirs.cache.keys, **CLOSE)
    assert stream.reused > 0


def test_the_same_images_with_other_words_reuse_all_up_to_the_words(model, prompt):
    stream = Stream(model)
    stream.read(prompt.encode(observe()))
    inputs = prompt.encode(observe(text="Turn left"), known=stream.known)
    ours = stream.read(inputs)
    with torch.inference_mode():
        theirs = model.read([prompt.encode(observe(text="Turn left"))], model.see([prompt.encode(observe())]))
    torch.testing.assert_close(ours.logits, theirs.logits, **CLOSE)
    assert stream.reused > 0.8 * len(inputs.ids)


def test_shifted_keys_are_exact_in_the_first_layer(model, prompt):
    stream = Stream(model, "shift")
    for step in range(2):
        inputs = prompt.encode(observe(step), known=stream.known)
        ours = stream.read(inputs)
    assert stream.reused >= (inputs.ids == tiny().ids.image).sum() * 3 // 4
    with torch.inference_mode():
        fresh = prompt.encode(observe(1))
        theirs = model.read([fresh], model.see([fresh]))
    torch.testing.assert_close(ours.cache.keys[0], theirs.cache.keys[0], **CLOSE)
    assert not torch.allclose(ours.cache.keys[2], theirs.cache.keys[2], **CLOSE)  # deeper layers saw another past
    with pytest.raises(ValueError, match="mode"):
        Stream(model, "sometimes")


def test_guidance_of_weight_one_is_no_guidance(model, prompt):
    inputs = prompt.encode(observe(text="Turn left"))
    thought = model.think(inputs, ThinkOptions(guidance=True, sampling=Sampling(max_new_tokens=4)))
    noise = torch.zeros(1, 2, 64, 2)
    plain = model.act(thought, noise, steps=1)
    assert np.abs(model.act(thought, noise, 1, guidance_weight=1.0).actions - plain.actions).max() < 1e-5
    other = model.act(thought, noise, 1, guidance_weight=0.0).actions
    bare = model.think(prompt.encode(observe()), ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    assert np.abs(other - plain.actions).max() > 1e-4 and bare.unguided is None
    with pytest.raises(ValueError, match="guidance"):
        model.act(bare, 1, guidance_weight=2.0)


def test_the_grammar_binds_every_sample_and_saves_steps(model, prompt, tokenizer):
    calls = []
    feed = model.feed
    model.feed = lambda *args: (calls.append(1), feed(*args))[1]
    try:
        options = ThinkOptions(4, Sampling(temperature=3.0, seed=1), grammar(tokenizer))
        thought = model.think(prompt.encode(observe()), options)
    finally:
        del model.feed
    texts = {text.split("<|cot_end|>")[0] for text in thought.texts(tokenizer.decode)[0]}
    allowed = {start + end for start in following("") for end in following(start)}
    assert len(texts) > 1 and texts <= allowed and thought.reached.all()
    assert len(calls) == 2  # two choices a text, all other tokens are forced


def test_an_answer_ends_and_holds_no_trajectory_tokens(model, prompt):
    inputs = prompt.encode(observe(), question="What is ahead?")
    (tokens,) = model.answer(inputs, Sampling(temperature=1.0, max_new_tokens=20, seed=1))
    config = tiny()
    assert 0 < len(tokens) <= 20
    assert not any(config.traj_start <= t < config.traj_start + config.traj_vocab_size for t in tokens)


def test_sampling_keeps_to_top_k_and_top_p():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    assert (probabilities(logits, Sampling(1.0, top_p=1.0, top_k=2)) > 0).tolist() == [[True, True, False, False]]
    assert (probabilities(logits, Sampling(1.0, top_p=0.7)) > 0).tolist() == [[True, True, False, False]]
    assert (probabilities(logits, Sampling(1.0, top_p=0.1)) > 0).sum() == 1
    share = logits.softmax(-1)[0]
    uniform = torch.linspace(0.0, 0.9999, 5000)
    drawn = torch.tensor(draw(logits.expand(5000, -1), Sampling(1.0, top_p=1.0), uniform))
    torch.testing.assert_close(torch.bincount(drawn) / 5000, share, atol=2e-3, rtol=0.0)


def test_the_text_decoder_sends_no_gradient_through_its_cache(model, prompt):
    inputs = prompt.encode(observe())
    hidden, cache = model.hidden([inputs], {k: v.clone() for k, v in model.see([inputs]).items()}, 0)
    assert hidden.requires_grad and not cache.keys.requires_grad
    start = torch.tensor([[inputs.next_position]])
    context = model.expert.context(cache, torch.zeros(1, 1, dtype=torch.long), start, model.states([inputs]))
    flow = model.expert.velocity(torch.zeros(1, 1, 64, 2), torch.zeros(1, 1), context)
    model.zero_grad()
    flow.square().mean().backward()
    assert model.text.embed_tokens.weight.grad is None
    assert model.expert.action_out_proj.weight.grad.abs().max() > 0
    model.zero_grad()


def test_several_waypoints_share_an_action_token(prompt):
    wide = lively(tiny(per_token=4))
    thought = wide.think(prompt.encode(observe(), said=""), ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    assert wide.expert.tokens == 16 and wide.act(thought, 2).xyz.shape == (1, 2, 64, 3)
    with pytest.raises(ValueError, match="multiple"):
        tiny(per_token=5)


def test_the_inverse_of_the_action_space_undoes_it():
    space = ActionSpaceConfig()
    rng = np.random.default_rng(0)
    knots = rng.normal(0, 1, (8, 5, 2)) * [0.5, 0.3]
    smooth = np.stack(
        [np.apply_along_axis(lambda y: np.interp(np.arange(64), np.linspace(0, 63, 5), y), 0, k) for k in knots]
    )
    past = np.stack([np.stack([10.0 * 0.1 * np.arange(-15, 1), np.zeros(16), np.zeros(16)], axis=-1)] * 8)
    turned = np.tile(np.eye(3), (8, 16, 1, 1))
    xyz, rotation = actions.to_trajectory(smooth, past, turned, space)
    back = targets.from_trajectory(
        *(torch.tensor(x, dtype=torch.float32) for x in (past, turned, xyz, rotation)), space
    )
    again, _ = actions.to_trajectory(back.numpy(), past, turned, space)
    assert np.abs(again - xyz).max() < 0.05  # regularised: smoother, yet on the same path
    assert actions.within_bounds(smooth, space).all() and not actions.within_bounds(smooth * 1000, space).any()
    bins = targets.future_to_tokens(
        *(torch.tensor(x, dtype=torch.float32) for x in (past, turned, xyz, rotation)), nano().future_tokens
    )
    assert bins.shape == (8, 128) and bins.min() >= 0 and bins.max() < 256
    with pytest.raises(ValueError, match="63 poses"):
        targets.from_trajectory(
            torch.zeros(1, 16, 3),
            torch.eye(3).expand(1, 16, 3, 3),
            torch.zeros(1, 63, 3),
            torch.eye(3).expand(1, 63, 3, 3),
            space,
        )


def test_the_presets_have_their_published_sizes():
    with torch.device("meta"):
        counts = {name: VLA(preset()) for name, preset in PRESETS.items()}
    total = {name: sum(p.numel() for p in built.parameters()) for name, built in counts.items()}
    assert total["nano"] <= 12e6 and 130e6 < total["small"] < 170e6 and 1.8e9 < total["edge"] < 2.5e9
    assert total["10b"] == pytest.approx(11.08e9, rel=1e-3)
    parts = {name: sum(p.numel() for p in child.parameters()) for name, child in counts["10b"].named_children()}
    assert parts["text"] == pytest.approx(8.2e9, rel=5e-3) and parts["expert"] == pytest.approx(2.3e9, rel=1e-2)
    assert ten_b().action_proj.waypoints_per_token == 1


def test_the_policy_decides_repeatably_and_explains_itself(model, tokenizer):
    policy = VlaPolicy(model, tokenizer, PolicyConfig(samples=3, flow_steps=2), "tiny", grammar(tokenizer))
    first = policy.decide(observe(1))
    policy.decide(observe(2))
    again = VlaPolicy(model, tokenizer, policy.config, "tiny", grammar(tokenizer)).decide(observe(1))
    assert first.trajectory.xyz.shape == (64, 3) and len(first.candidates) == 3 and first.trajectory.frame == "rig"
    assert first.trajectory.t_us[0] == 5_200_000 and first.reasoning.text == again.reasoning.text
    assert same(first.trajectory, again.trajectory)
    silent = VlaPolicy(model, tokenizer, PolicyConfig(reason=False)).decide(observe(1))
    assert silent.reasoning is None
    with pytest.raises(UnfinishedReasoning):
        VlaPolicy(model, tokenizer, PolicyConfig(sampling=Sampling(max_new_tokens=2))).decide(observe(1))


def test_the_medoid_is_the_plan_in_the_middle():
    plans = np.zeros((3, 64, 3))
    plans[:, :, 1] = np.array([5.0, 0.2, 0.0])[:, None]
    assert medoid(plans) == 1


def test_broken_weights_give_an_error_and_no_trajectory(prompt):
    broken = lively(tiny())
    with torch.no_grad():
        broken.expert.norm.weight[0] = torch.nan
    thought = broken.think(prompt.encode(observe(), said=""), ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    with pytest.raises(ValueError, match="NaN"):
        broken.act(thought, 1)


@pytest.mark.skipif(not PARITY.is_dir(), reason="the folder of parity vectors is not there")
def test_parity_with_the_reference():
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.parity", str(PARITY), "--allow-chaotic"],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fused ids" in run.stdout and "MISS" not in run.stdout
