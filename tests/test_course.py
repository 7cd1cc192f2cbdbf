"""Paths of actions in torch, and the loss in metres that ties plans to the road."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from cordillera.policy.vla.actions import to_trajectory  # noqa: E402
from cordillera.policy.vla.config import ActionSpaceConfig  # noqa: E402
from cordillera.policy.vla.model import new_vla, ordered  # noqa: E402
from cordillera.presets.train import tiny  # noqa: E402
from cordillera.train.course import KNOT, Course, miss, path_of  # noqa: E402

SPACE = ActionSpaceConfig()
N = SPACE.n_waypoints


def held(accel_mps2, kappa_per_m):
    """One acceleration and curvature kept -> normalised actions (1, N, 2)."""
    pair = [
        (accel_mps2 - SPACE.accel_mean) / SPACE.accel_std,
        (kappa_per_m - SPACE.curvature_mean) / SPACE.curvature_std,
    ]
    return torch.tensor(pair).expand(1, N, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 30.0))
def test_the_path_is_that_of_the_action_space(seed, speed):
    actions = np.random.default_rng(seed).normal(size=(2, N, 2))
    still = np.zeros((2, 16, 3)), np.broadcast_to(np.eye(3), (2, 16, 3, 3))
    xyz, rotation = to_trajectory(actions, *still, SPACE, np.full(2, speed))
    ours = path_of(torch.from_numpy(actions), torch.full((2,), speed), SPACE).numpy()
    np.testing.assert_allclose(ours[..., :2], xyz[..., :2], atol=2e-3)
    np.testing.assert_allclose(np.cos(ours[..., 2]), rotation[..., 0, 0], atol=2e-3)


def test_misses_are_measured_along_and_across_the_driven_path():
    speed = torch.tensor([10.0])
    straight, bent = held(0.0, 0.0), held(0.0, 1.0 / 30.0)
    assert miss(bent, bent, speed, SPACE).item() == 0.0
    # 1 % more speed on a bend of 30 m is a miss along the path alone, wherever that leads: little, but not nothing
    near = miss(bent + torch.tensor([0.05, 0.0]), bent, speed, SPACE).item()
    assert 0.0 < near < 0.2 * miss(straight, bent, speed, SPACE).item()
    # as a plan for where to drive, a curvature that is off by a tenth of its spread is a coarse error
    flow_sees = 0.1**2 / 2
    assert miss(straight + torch.tensor([0.0, 0.1]), straight, speed, SPACE).item() > 50.0 * flow_sees


def test_the_loss_finds_the_way_to_the_driven_path():
    wanted, speed = held(-1.0, 0.02), torch.tensor([8.0])
    actions = held(0.5, -0.01).clone().requires_grad_()
    descent = torch.optim.Adam([actions], 0.05)
    first = miss(actions, wanted, speed, SPACE).item()
    for _ in range(150):
        descent.zero_grad()
        miss(actions, wanted, speed, SPACE).backward()
        descent.step()
    assert miss(actions, wanted, speed, SPACE).item() < 0.05 * first


def test_a_course_is_read_from_the_state():
    course = Course(8, SPACE)
    torch.manual_seed(0)
    states, speed = torch.randn(4, 8), torch.full((4,), 6.0)
    wanted = torch.cat([held(a, k) for a, k in ((0.0, 0.0), (-1.5, 0.0), (0.0, 0.05), (1.0, -0.03))])
    descent = torch.optim.Adam(course.parameters(), 0.05)
    losses = []
    for _ in range(300):
        descent.zero_grad()
        loss = course(states, wanted, speed)
        loss.backward()
        descent.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    with pytest.raises(ValueError, match="multiple"):
        Course(8, ActionSpaceConfig(n_waypoints=KNOT * 4 + 1))


def test_numbers_begin_as_neighbours():
    table = ordered(512, 256, torch.Generator().manual_seed(0))
    assert table.std().item() == pytest.approx(0.02, rel=0.2)
    unit = torch.nn.functional.normalize(table, dim=-1)
    likeness = unit @ unit.T
    steps = [likeness.diagonal(step).mean().item() for step in (1, 4, 16, 64)]
    assert steps == sorted(steps, reverse=True)
    assert 0.5 < steps[0] < 0.95  # near, and yet told apart
    config = tiny()
    numbers = new_vla(config).text.embed_tokens.weight[config.traj_start :][: config.traj_vocab_size].detach()
    near = torch.nn.functional.cosine_similarity(numbers[:-1], numbers[1:]).mean()
    assert near.item() > 0.5
