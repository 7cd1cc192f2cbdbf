"""Prompts, tokenizers and grammars: what the model is asked, and what it must never be asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.policy.vla.actions import history_to_tokens, to_trajectory, tokens_to_history
from cordillera.policy.vla.config import ActionSpaceConfig, HistoryTokens, PromptConfig, nano, ten_b
from cordillera.policy.vla.grammar import TextGrammar, TokenTrie, forced
from cordillera.policy.vla.prompt import (
    BadObservation,
    Prompt,
    prompt_text,
    rotary_positions,
    target_size,
    to_patches,
    without_route,
)
from cordillera.policy.vla.tokenizer import SPECIAL_TOKENS, build_tokenizer, special_names
from cordillera.types import Trajectory

from vla_fixtures import grammar, observe, tiny  # isort: skip

CONFIG = tiny()
TOKENIZER = build_tokenizer(CONFIG)
PROMPT = Prompt(CONFIG, TOKENIZER)


def test_the_prompt_reads_as_the_released_one():
    text = prompt_text([("Front camera: ", [2, 2]), ("Rear camera: ", [1])], 2, "Turn left in 11m")
    assert text == (
        "<|im_start|>system\nYou are a driving assistant that generates safe and accurate actions.<|im_end|>\n"
        "<|im_start|>user\nFront camera: frame 0 <|vision_start|><|image_pad|><|image_pad|><|vision_end|>"
        "frame 1 <|vision_start|><|image_pad|><|image_pad|><|vision_end|>"
        "Rear camera: frame 0 <|vision_start|><|image_pad|><|vision_end|>"
        "<|traj_history_start|><|traj_history|><|traj_history|><|traj_history_end|>"
        "<|route_start|>Turn left in 11m<|route_end|>"
        "output the chain-of-thought reasoning of the driving process, then output the future trajectory.<|im_end|>\n"
        "<|im_start|>assistant\n<|cot_start|>"
    )
    asked = prompt_text([("", [1])], 2, "", question="What is ahead?")
    assert asked.endswith(
        "<|question_start|>What is ahead?<|question_end|><|im_end|>\n<|im_start|>assistant\n<|answer_start|>"
    )
    assert "traj_history" not in asked and "frame" not in asked


def test_positions_follow_the_image_rule_worked_by_hand():
    # two text tokens, an image of 2 x 3 tokens, one text token, an image of 1 x 2, two text tokens
    ids = np.array([9, 9, 5, 5, 5, 5, 5, 5, 9, 5, 5, 9, 9])
    positions, free = rotary_positions(ids, [(4, 6), (2, 4)], image=5, merge=2)
    assert positions[0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 6, 8, 9]
    assert positions[1].tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 6, 8, 9]
    assert positions[2].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 9]
    assert free == 10
    with pytest.raises(ValueError, match="2 runs"):
        rotary_positions(ids, [(4, 6)], image=5, merge=2)


@pytest.mark.parametrize(("cameras", "frames"), [(1, 1), (1, 4), (2, 2), (3, 4)])
def test_any_subset_of_cameras_and_frames_makes_a_prompt(cameras, frames):
    inputs = PROMPT.encode(observe(cameras=cameras, frames=frames))
    assert len(inputs.keys) == cameras * frames == (inputs.ids == CONFIG.ids.vision_start).sum()
    tokens = sum(rows * cols // 4 for rows, cols in inputs.grids)
    assert (inputs.ids == CONFIG.ids.image).sum() == tokens
    history = inputs.ids[(inputs.ids >= CONFIG.history_start) & (inputs.ids < CONFIG.history_start + 256)]
    assert len(history) == 48
    text = TOKENIZER.decode(inputs.ids)
    assert text.count("camera: ") == cameras and text.count(f"frame {frames - 1} ") == cameras


def test_a_camera_without_frames_is_left_out():
    full, empty = observe(cameras=2), observe(cameras=2, frames=0)
    mixed = replace(
        full, images=(full.images[0], empty.images[1]), image_t_us=(full.image_t_us[0], empty.image_t_us[1])
    )
    assert np.array_equal(PROMPT.encode(mixed).ids, PROMPT.encode(observe(cameras=1)).ids)


def test_the_route_can_be_taken_out_again():
    inputs = PROMPT.encode(observe(text="Turn left in 40 m"))
    bare = without_route(inputs, CONFIG)
    plain = PROMPT.encode(observe())
    assert np.array_equal(bare.ids, plain.ids) and np.array_equal(bare.positions, plain.positions)
    assert bare.next_position == plain.next_position
    with pytest.raises(ValueError, match=r"route\.text"):
        without_route(plain, CONFIG)


def test_a_target_is_words_and_poses():
    future = Trajectory(np.arange(64), np.ones((64, 3)), np.tile([0.0, 0, 0, 1], (64, 1)), "rig")
    target = PROMPT.encode(observe(), target=("Stop", future)).target
    assert TOKENIZER.decode(target.ids) == "Stop<|cot_end|><|traj_future_start|>"
    assert target.future_rot.shape == (64, 3, 3)
    said = PROMPT.encode(observe(), said="Stop")
    assert np.array_equal(said.ids, np.concatenate([PROMPT.encode(observe()).ids, target.ids]))


def history(**changes):
    base = observe()
    return replace(base, ego_history=replace(base.ego_history, **changes))


def changed(array, index, value):
    out = np.array(array)
    out[index] = value
    return out


GOOD = observe().ego_history
BAD_HISTORIES = {
    "NaN": {"xyz": changed(GOOD.xyz, (3, 0), np.nan)},
    "increase": {"t_us": changed(GOOD.t_us, 4, GOOD.t_us[3])},
    "jumps": {"xyz": changed(GOOD.xyz, (3, 0), 100.0)},
    "rig frame": {"frame": "world"},
    "unit length": {"quat_xyzw": 2.0 * GOOD.quat_xyzw},
    "shapes": {"xyz": GOOD.xyz[:, :2]},
    "gap": {"t_us": GOOD.t_us[6:], "xyz": GOOD.xyz[6:], "quat_xyzw": GOOD.quat_xyzw[6:]},
    "origin": {"xyz": GOOD.xyz + 3.0},
    "end now": {"t_us": GOOD.t_us - 90_000},
}


@pytest.mark.parametrize("what", BAD_HISTORIES)
def test_a_bad_history_is_refused_by_name(what):
    with pytest.raises(BadObservation, match=rf"ego_history.*{what}"):
        PROMPT.encode(history(**BAD_HISTORIES[what]))


def test_jittering_stamps_are_resampled_to_the_grid():
    t, shake = GOOD.t_us, np.random.default_rng(0).integers(-30_000, 30_000, 16)
    shake[-1] = 0
    seconds = (t + shake - t[-1]) / 1e6
    xyz = np.stack([8.0 * seconds, np.zeros(16), np.zeros(16)], axis=-1)
    straight = history(xyz=np.stack([8.0 * (t - t[-1]) / 1e6, np.zeros(16), np.zeros(16)], axis=-1))
    jittery = history(t_us=t + shake, xyz=xyz)
    ours, true = PROMPT.encode(jittery), PROMPT.encode(straight)
    assert np.abs(ours.history_xyz[1:] - true.history_xyz[1:]).max() < 1e-9  # linear motion: exact but for the first


BAD_IMAGES = {
    "NaN": lambda o: replace(o, images=(np.full(o.images[0].shape, np.nan), o.images[1])),
    "need uint8": lambda o: replace(o, images=(o.images[0].astype(np.int32), o.images[1])),
    "frames, height": lambda o: replace(o, images=(o.images[0][..., :2], o.images[1])),
    "image arrays": lambda o: replace(o, images=o.images[:1]),
    "stamps must": lambda o: replace(o, image_t_us=(o.image_t_us[0][::-1], o.image_t_us[1])),
    "blind": lambda o: observe(frames=0),
    "elongated": lambda o: observe(size=(2, 500)),
    "stamps of shape": lambda o: replace(o, image_t_us=(o.image_t_us[0][:2], o.image_t_us[1])),
}


@pytest.mark.parametrize("what", BAD_IMAGES)
def test_bad_images_are_refused_by_name(what):
    with pytest.raises(BadObservation, match=what):
        PROMPT.encode(BAD_IMAGES[what](observe()))


def test_a_prompt_that_is_too_long_names_its_length():
    long = replace(CONFIG, prompt=replace(CONFIG.prompt, max_tokens=100))
    with pytest.raises(BadObservation, match=r"\d+ tokens, more than 100"):
        Prompt(long, TOKENIZER).encode(observe())


def test_text_cannot_smuggle_special_tokens():
    with pytest.raises(BadObservation, match=r"route\.text"):
        PROMPT.encode(observe(text="go <|traj_future_start|>"))


@given(height=st.integers(300, 2000), width=st.integers(300, 2000))
@settings(max_examples=100, deadline=None)
def test_resized_images_are_whole_tokens_within_the_bounds(height, width):
    vision, prompt = nano().vision, PromptConfig()
    tall, wide = target_size(height, width, vision, prompt)
    assert tall % 32 == 0 and wide % 32 == 0
    assert prompt.min_pixels - 32 * (tall + wide) <= tall * wide <= prompt.max_pixels + 32 * (tall + wide)
    assert abs(np.log(tall / wide * width / height)) < 0.35


def test_patches_hold_their_pixels_in_merged_order():
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    patches = to_patches(image, CONFIG.vision, CONFIG.prompt).reshape(-1, 3, 2, 16, 16)
    pixels = image.astype(np.float32) / 127.5 - 1.0
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]  # first two blocks of 2 x 2 patches
    for patch, (row, col) in zip(patches, order, strict=False):
        block = pixels[16 * row : 16 * row + 16, 16 * col : 16 * col + 16].transpose(2, 0, 1)
        assert np.allclose(patch[:, 0], block, atol=1e-6) and np.array_equal(patch[:, 0], patch[:, 1])


def test_the_small_vocabulary_writes_every_text_and_keeps_traces_short():
    for text in ("Grüße, 東京! <b>", "Yield to the pedestrian since it is crossing ahead of the right turn path."):
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    trace = "Turn right at the intersection since the right-turn traffic light is green."
    assert len(TOKENIZER.encode(trace)) <= 24
    assert len(TOKENIZER.encode("Stop since the traffic light is red<|cot_end|><|traj_future_start|>")) <= 10
    assert TOKENIZER.token_ids() == CONFIG.ids and TOKENIZER.size == CONFIG.vocab_size
    with pytest.raises(ValueError, match="phrases do not fit"):
        build_tokenizer(CONFIG, [f"phrase {n}" for n in range(300)])


def test_special_tokens_of_both_families_stand_in_one_order():
    new, old = special_names("alpamayo1_5"), special_names("alpamayo_r1")
    assert len(new) == len(old) == len(SPECIAL_TOKENS) == 29
    assert old[3] == "<|image_pre_tkn|>" and old[10] == "<|meta_action_start|>" and new[12] == old[12]
    assert [a == b for a, b in zip(new, old, strict=True)].count(False) == 9
    ids = ten_b().ids  # 151,669 + 4,000 trajectory tokens, then the special ones without <|image_pad|>
    behind = [name for name in new if name != "<|image_pad|>"]
    assert ids.route_start - 155_669 == behind.index("<|route_start|>")
    assert ids.future_start - 155_669 == behind.index("<|traj_future_start|>")
    assert 155_669 + len(behind) == ten_b().vocab_size


def test_history_tokens_come_back_within_half_a_bin():
    config = HistoryTokens(num_bins=1000)
    xyz = np.cumsum(np.random.default_rng(1).uniform(-2, 2, (5, 16, 3)), axis=1)
    back = tokens_to_history(history_to_tokens(xyz, np.tile(np.eye(3), (5, 16, 1, 1)), config), config)
    steps = np.abs(np.diff(back - xyz, axis=1, prepend=0.0))
    assert (steps.max((0, 1)) <= np.array([8, 8, 20]) / 999 / 2 + 1e-6).all()


def test_constant_actions_drive_a_circle():
    space = ActionSpaceConfig(accel_mean=0.0, accel_std=1.0, curvature_mean=0.0, curvature_std=1.0)
    action = np.tile([0.0, 0.05], (1, 64, 1))
    xyz, rotation = to_trajectory(
        action, np.zeros((1, 16, 3)), np.tile(np.eye(3), (1, 16, 1, 1)), space, np.array([10.0])
    )
    angle = 0.05 * 10.0 * 0.1 * np.arange(1, 65)
    circle = 20.0 * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)
    assert np.abs(xyz[0, :, :2] - circle).max() < 0.01  # the trapezoid rule's error
    assert np.allclose(np.arctan2(rotation[0, :, 1, 0], rotation[0, :, 0, 0]), np.arctan2(np.sin(angle), np.cos(angle)))


def test_a_grammar_allows_its_texts_and_forces_what_has_no_choice():
    bound = grammar(TOKENIZER)
    state, tokens, draws = bound.start(), [], 0
    while choice := bound.allowed(state):
        sure, state = forced(bound, state)
        tokens += sure
        if not sure:
            draws += 1
            tokens.append(choice[-1])
            state = bound.advance(state, choice[-1])
    assert TOKENIZER.decode(tokens) == "Keep the gap to the bus<|cot_end|><|traj_future_start|>"
    assert draws == 2
    with pytest.raises(ValueError, match="beginning of another"):
        TokenTrie([[1, 2, 3], [1, 2]])
    with pytest.raises(ValueError, match="begin another piece"):
        TextGrammar(lambda text: ("ab", "abc"), lambda text: list(text.encode()), [0]).start()
