"""What a model of our own is told straight: the state of the car and the line of the route."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vla_fixtures import observe, tiny  # noqa: E402

from cordillera.policy.vla.model import new_vla  # noqa: E402
from cordillera.policy.vla.navigation import COUNT, route_numbers  # noqa: E402
from cordillera.policy.vla.prompt import Prompt, without_route  # noqa: E402
from cordillera.policy.vla.state import SIZE, plan_state  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402


def past(speed_mps, accel_mps2=0.0, yaw_rate_radps=0.0):
    """Sixteen poses at 10 Hz that end at the origin -> positions and rotations, driven along the x axis."""
    t = 0.1 * np.arange(-15, 1)
    xyz = np.zeros((16, 3))
    xyz[:, 0] = speed_mps * t + 0.5 * accel_mps2 * t**2
    yaw = yaw_rate_radps * t
    rotation = np.zeros((16, 3, 3))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(yaw)
    rotation[:, 1, 0], rotation[:, 0, 1] = np.sin(yaw), -np.sin(yaw)
    rotation[:, 2, 2] = 1.0
    return xyz, rotation


def with_line(config):
    return replace(config, prompt=replace(config.prompt, navigation="line"))


def test_speed_and_its_change():
    config, ids = tiny(), np.zeros(4, np.int64)
    state = plan_state(ids, *past(8.0, accel_mps2=-1.5), config)
    assert state.shape == (SIZE,) and state.dtype == np.float32
    assert (state[: COUNT + 1] == 0.0).all()
    np.testing.assert_allclose(state[COUNT + 1 :], [0.8, -0.5, 0.0], atol=0.06)
    turning = plan_state(ids, *past(0.0, yaw_rate_radps=0.25), config)
    np.testing.assert_allclose(turning[COUNT + 1 :], [0.0, 0.0, 0.5], atol=1e-3)


def test_the_line_comes_from_the_prompts_own_tokens():
    config = with_line(tiny())
    angle = np.linspace(0.0, 1.0, 60)
    line = 40.0 * np.stack([np.sin(angle), 1.0 - np.cos(angle), 0.0 * angle], axis=-1)  # a bend to the left, 40 m
    ids = np.concatenate([[1, config.ids.route_start], config.traj_start + route_numbers(line), [config.ids.route_end]])
    state = plan_state(ids, *past(5.0), config)
    assert state[COUNT] == 1.0
    assert (np.diff(state[: COUNT - 2]) > 0.0).all()  # ever more to the left
    assert state[4] == pytest.approx(np.arcsin(26.0 / 80.0), abs=0.02)  # the chord of 26 m
    assert state[COUNT - 1] == pytest.approx(40.0 / 200.0, abs=0.02)
    assert not plan_state(ids, *past(5.0), tiny())[: COUNT + 1].any()  # one that is told a sentence has no line


def test_the_plan_depends_on_the_state_and_guidance_drops_the_route():
    model = new_vla(with_line(tiny()), 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    inputs = Prompt(model.config, build_tokenizer(model.config)).encode(observe())
    assert inputs.state is not None
    thought = model.think(inputs)
    assert thought.prefix.state is not None
    plain = model.act(thought).actions
    thought.prefix.state = thought.prefix.state + 0.5
    assert np.abs(model.act(thought).actions - plain).max() > 1e-3
    thought.prefix.state = None
    with pytest.raises(ValueError, match="state"):
        model.act(thought)
    bare = without_route(inputs, model.config)
    assert bare.state is not None and not bare.state[: COUNT + 1].any()
    np.testing.assert_array_equal(bare.state[COUNT + 1 :], inputs.state[COUNT + 1 :])
