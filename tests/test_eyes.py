"""Heads that teach the vision tower: the order of patches, pictures of which nothing is known, balance."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cordillera.presets.train import tiny  # noqa: E402
from cordillera.sensors.looks import CHANNELS, NEARNESS, RED  # noqa: E402
from cordillera.train.batch import images_to_patches  # noqa: E402
from cordillera.train.eyes import Eyes, in_patch_order, rarity_of  # noqa: E402


def test_cells_come_in_the_order_of_the_patches():
    config = tiny().vision
    rows, cols, size = 4, 6, config.patch_size
    cell = np.arange(rows * cols, dtype=np.uint8).reshape(rows, cols)
    image = np.repeat(np.repeat(cell, size, 0), size, 1)
    patches = images_to_patches(torch.from_numpy(np.stack([image] * 3, -1))[None], config)[0]
    of_patch = np.rint((patches[:, 0].numpy() * 0.5 + 0.5) * 255.0)
    looks = torch.from_numpy(np.repeat(cell[None, ..., None], CHANNELS, -1))
    ordered = in_patch_order(looks, config.spatial_merge_size).reshape(-1, CHANNELS)
    np.testing.assert_array_equal(ordered[:, 0].numpy(), of_patch)


def test_pictures_of_which_nothing_is_known_teach_nothing():
    config = tiny().vision
    eyes = Eyes(config)
    torch.nn.init.normal_(eyes.heads[0].weight)
    features = torch.randn(2, 3, 6, config.out_hidden_size, requires_grad=True)
    looks = torch.zeros(3, 4, 6, CHANNELS, dtype=torch.uint8)
    assert eyes(features, looks).item() == 0.0
    looks[1] = 200
    alone = eyes(features[:, 1:2], looks[1:2])
    torch.testing.assert_close(eyes(features, looks), alone)
    alone.backward()
    assert features.grad is not None
    assert (features.grad[:, 1] != 0).any()
    assert (features.grad[:, [0, 2]] == 0).all()


def test_the_right_answer_costs_least():
    config = tiny().vision
    eyes = Eyes(config)
    looks = torch.zeros(1, 2, 2, CHANNELS, dtype=torch.uint8)
    looks[..., 1], looks[0, 0, 0, RED], looks[..., NEARNESS] = 255, 255, 128
    wanted = in_patch_order(looks, 2).float()[0, 0]
    near = torch.arange(len(wanted)) % CHANNELS == NEARNESS
    right = torch.where(near, torch.logit(wanted / 255.0, 1e-6), torch.where(wanted > 0, 12.0, -12.0))
    features = torch.zeros(2, 1, 1, config.out_hidden_size)

    def loss(said):
        with torch.no_grad():
            for head in eyes.heads:
                head.bias.copy_(said)
        return eyes(features, looks).item()

    best = loss(right)
    assert best < 0.05
    assert loss(torch.zeros_like(right)) > 0.5
    hits, false, missed = eyes.counts(features, looks)[0].tolist()
    assert (hits, false, missed) == (0, 0, 1)
    loss(right)
    assert eyes.counts(features, looks)[0].tolist() == [1, 0, 0]


def test_what_is_rare_counts_more():
    looks = torch.zeros(100, CHANNELS, dtype=torch.uint8)
    looks[:, 1] = 255
    looks[:4, 2] = 255
    balance = rarity_of(looks)
    assert balance[1] == 1.0
    assert balance[2].item() == pytest.approx((0.96 / 0.04) ** 0.5)
    assert balance[3] == 10.0
