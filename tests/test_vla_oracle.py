"""The model against transformers' Qwen3-VL on the same weights: the wiring, without any recorded vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from vla_fixtures import observe, tiny  # noqa: E402

from benchmarks.straightforward import Straightforward  # noqa: E402
from benchmarks.vla import inputs_of, ours, theirs  # noqa: E402
from cordillera.policy.vla.generate import Sampling  # noqa: E402
from cordillera.policy.vla.model import ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.prompt import Prompt  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402

SHAPES = {
    "grouped heads, one deepstack level": tiny(),
    "four waypoints a token": tiny(per_token=4),
    "no grouping, two levels, other depths": replace(
        tiny(),
        vision=replace(tiny().vision, depth=3, deepstack_visual_indexes=(0, 2), hidden_size=32, num_heads=4),
        text=replace(tiny().text, num_layers=4, num_kv_heads=4),
        expert=replace(tiny().expert, num_layers=4, num_kv_heads=4, num_heads=4),
        tie_embeddings=False,
    ),
}


@pytest.fixture(scope="module", params=SHAPES)
def pair(request):
    torch.set_num_threads(1)
    model = new_vla(SHAPES[request.param])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5.0)
    return model, Straightforward(model)


def test_prefill_and_flow_equal_transformers(pair):
    model, path = pair
    inputs = Prompt(model.config, build_tokenizer(model.config)).encode(observe(cameras=2, size=(64, 128)), said="")
    with torch.inference_mode():
        features = model.see([inputs])
        merged, levels = path.see(inputs, 1)
        mine = torch.cat([features[key] for key in inputs.keys], dim=1)
        torch.testing.assert_close(mine, torch.stack([merged, *levels]), rtol=0.0, atol=2e-4)
        hidden, _ = model.hidden([inputs], features, 0)
        ids = torch.from_numpy(inputs.ids)[None]
        logits = path.vlm(input_ids=ids, attention_mask=torch.ones_like(ids), **path.images(inputs, 1)).logits
        torch.testing.assert_close(model.text.lm_head(hidden), logits, rtol=0.0, atol=1e-3)
    noise = torch.randn(3, 64, 2, generator=torch.Generator().manual_seed(0))
    thought = model.think(inputs, ThinkOptions(sampling=Sampling(max_new_tokens=0)))
    plan = model.act(thought, noise[None], steps=1)
    flow = path.act(inputs, path.generate(inputs, 3, 1), noise, 0, 1)
    torch.testing.assert_close(torch.from_numpy(plan.actions[0]), flow, rtol=0.0, atol=1e-3)


def test_the_benchmark_times_both_paths():
    model = new_vla(tiny())
    inputs = inputs_of(model.config, 2, 2, (64, 96))
    for path in (ours, theirs):
        row = path(model, inputs, 2, 3, 1, 1)
        assert min(row.vision, row.flow, row.total) > 0.0
