"""The static loops against the general path."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vla_fixtures import observe, tiny  # noqa: E402

from cordillera.policy.vla.fast import StaticLoops  # noqa: E402
from cordillera.policy.vla.generate import Sampling  # noqa: E402
from cordillera.policy.vla.model import ThinkOptions, new_vla  # noqa: E402
from cordillera.policy.vla.prompt import Prompt  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_static_loops_equal_the_general_path(temperature):
    torch.set_num_threads(1)
    model = new_vla(tiny())
    prompt = Prompt(tiny(), build_tokenizer(tiny()))
    rule = Sampling(temperature=temperature, max_new_tokens=6, seed=3)
    loops = StaticLoops(model, capacity=300, samples=3, tokens=6, rule=rule, steps=2)
    for step in (0, 1):  # the second run must not see the first
        inputs = prompt.encode(observe(step))
        thought = model.think(inputs, ThinkOptions(3, rule))
        with torch.inference_mode():
            said = loops.speak(model.read([inputs], model.see([inputs]))).T.tolist()
        assert said == [path.tokens for path in thought.paths[0]]
        noise = torch.randn(3, 64, 2, generator=torch.Generator().manual_seed(0))
        ours = loops.act(noise).numpy()
        theirs = model.act(thought, noise[None], steps=2).actions[0]
        assert np.abs(ours - theirs).max() < 2e-4
    with pytest.raises(ValueError, match="does not fit"):
        StaticLoops(model, 10, 1, 2, rule, 1).speak(thought.prefix)
