"""A trained model can be given words: they change its plan, and its own words give its own plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_vla_model import model, tokenizer  # noqa: F401
from vla_fixtures import grammar, observe

from cordillera.evaluate.faithful_scene import moved_m
from cordillera.policy.vla.policy import PolicyConfig, VlaPolicy
from cordillera.presets.faith_case import SpokenModel


@pytest.fixture(scope="module")
def spoken(model, tokenizer) -> SpokenModel:  # noqa: F811
    return SpokenModel(VlaPolicy(model, tokenizer, PolicyConfig(flow_steps=2), "tiny", grammar(tokenizer)))


def test_own_words_give_the_own_plan_and_others_another(spoken):
    assert all(hasattr(spoken, name) for name in ("name", "decide", "act_on"))
    decided = spoken.decide(observe(1))
    assert decided.reasoning is not None
    own = spoken.act_on(observe(1), decided.reasoning.text)
    assert moved_m(decided.trajectory, own) < 1e-3
    other = spoken.act_on(observe(1), decided.reasoning.text + " " + decided.reasoning.text)
    assert moved_m(own, other) > 1e-6
    assert np.array_equal(own.xyz, spoken.act_on(observe(1), decided.reasoning.text).xyz), "the null arm of words"
    assert spoken.policy.config.reason, "the policy itself is as it was"


def test_another_picture_at_the_same_time_is_seen(spoken):
    seen = observe(1)
    decided = spoken.decide(seen)
    dark = replace(seen, images=tuple(np.zeros_like(images) for images in seen.images))
    assert moved_m(decided.trajectory, spoken.decide(dark).trajectory) > 1e-6
    assert moved_m(decided.trajectory, spoken.decide(seen).trajectory) == 0.0, "the null arm"
