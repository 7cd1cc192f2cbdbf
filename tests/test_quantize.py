"""Weight-only quantisation: errors that the number of bits explains, and the report on agreement."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from vla_fixtures import grammar, observe, tiny  # noqa: E402

from cordillera.policy.vla.model import ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.prompt import Prompt  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402
from cordillera.runtime.quantize import QuantConfig, agreement, quantise, weight_bytes  # noqa: E402


@pytest.mark.parametrize(("bits", "bound"), [(8, 0.5 / 127), (4, 0.5 / 7)])
def test_weights_are_off_by_at_most_half_a_step(bits, bound):
    torch.manual_seed(0)
    linear = nn.Linear(64, 16)
    holder = nn.Sequential(linear)
    assert quantise(holder, QuantConfig(bits=bits)) == 1
    weight = (holder(torch.eye(64)) - linear.bias).T
    steps = linear.weight.abs().view(16, -1, 64 if bits == 8 else 32).amax(-1, keepdim=True) * bound
    gap = (weight - linear.weight).abs().view(16, steps.shape[1], -1)
    assert (gap <= steps * 1.001).all() and gap.max() > 0


def test_skipped_layers_stay_and_bad_sizes_are_errors():
    model = new_vla(tiny())
    layers = len(model.text.layers)
    assert quantise(model.text, QuantConfig()) == 4 * layers
    assert isinstance(model.text.lm_head, nn.Linear)
    with pytest.raises(ValueError, match="groups of 48"):
        quantise(nn.Sequential(nn.Linear(64, 8)), QuantConfig(bits=4, group=48))
    with pytest.raises(ValueError, match="4 or 8"):
        QuantConfig(bits=3)


def test_agreement_on_numbers_that_one_can_check():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    other = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    share = torch.tensor([2.0, 0.0]).softmax(-1)
    truth = np.zeros((2, 4, 3))
    plans = np.zeros((2, 3, 4, 3))
    plans[:, 1:] += 5.0
    moved = plans.copy()
    moved[..., 0] += 0.3
    report = agreement((logits, other), (("stop", "go"), ("stop", "stop")), (plans, moved), truth)
    assert report.top_agreement == 0.5 and report.decision_agreement == 0.5
    assert report.min_ade_difference_m == pytest.approx(0.3) and report.plan_difference_m == pytest.approx(0.3)
    assert report.logit_divergence == pytest.approx(float((share[0] - share[1]) * 2.0) / 2, rel=1e-5)
    same = agreement((logits, logits), (("a",), ("a",)), (plans, plans), truth)
    assert same.logit_divergence == 0 and same.top_agreement == same.decision_agreement == 1


def test_a_quantised_model_agrees_with_its_original():
    torch.set_num_threads(1)
    model, tokenizer = new_vla(tiny()), build_tokenizer(tiny())
    inputs = Prompt(tiny(), tokenizer).encode(observe())
    noise = torch.randn(1, 3, 64, 2, generator=torch.Generator().manual_seed(0))

    def outputs(built):
        thought = built.think(inputs, ThinkOptions(grammar=grammar(tokenizer)))
        words = thought.texts(tokenizer.decode)[0]
        return thought.prefix.logits, words, built.act(thought, noise, steps=2).xyz

    original = outputs(model)
    found = {}
    for bits in (8, 4):
        small = copy.deepcopy(model)
        quantise(small.text, QuantConfig(bits=bits, group=8))
        quantise(small.expert, QuantConfig(bits=bits, group=8))
        assert weight_bytes(small) < weight_bytes(model)
        logits, words, plans = outputs(small)
        truth = np.zeros((1, 64, 3))
        found[bits] = agreement((original[0], logits), (original[1], words), (original[2], plans), truth)
    assert 0 < found[8].logit_divergence < found[4].logit_divergence < 0.1
    assert found[8].plan_difference_m < found[4].plan_difference_m < 1.0
