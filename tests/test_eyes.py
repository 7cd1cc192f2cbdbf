"""Heads that teach the vision tower: the order of patches, pictures of which nothing is known, balance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train_fixtures import config, rows_of  # noqa: E402

from cordillera.policy.vla.model import new_vla  # noqa: E402
from cordillera.presets.train import tiny  # noqa: E402
from cordillera.sensors.classes import Semantic  # noqa: E402
from cordillera.sensors.looks import CELL_PX, CHANNELS, NEARNESS, RED  # noqa: E402
from cordillera.train.batch import images_to_patches  # noqa: E402
from cordillera.train.eyes import Eyes, in_patch_order, rarity_of  # noqa: E402
from cordillera.train.setup import Place  # noqa: E402
from cordillera.train.sft import SftConfig, Trainer  # noqa: E402
from cordillera.train.store import open_stores, write_store  # noqa: E402


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


# ------------------------------------------------------------------ in training


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Rows whose pictures are half sky and half road, the bright half being the sky, and the configuration."""
    torch.set_num_threads(1)
    cfg, chance = config(), np.random.default_rng(0)
    rows = []
    for row in rows_of(4, cfg):
        tall, wide = row.images[0].shape[:2]
        upper = chance.random(len(row.images)) < 0.5
        images, looks = [], []
        for top in upper:
            bright = (np.arange(tall) < tall // 2) == top
            images.append(np.broadcast_to(np.where(bright, 220, 40)[:, None, None], (tall, wide, 3)).astype(np.uint8))
            cells = np.zeros((tall // CELL_PX, wide // CELL_PX, CHANNELS), np.uint8)
            cells[..., Semantic.ROAD] = np.where(bright[::CELL_PX], 0, 255)[:, None]
            cells[..., Semantic.SKY] = np.where(bright[::CELL_PX], 255, 0)[:, None]
            looks.append(cells)
        rows.append(replace(row, images=tuple(images), looks=tuple(looks)))
    folder = tmp_path_factory.mktemp("seen") / "store"
    write_store(folder, rows, cfg)
    return open_stores([folder], cfg), cfg


def test_a_store_keeps_what_pictures_show(seen):
    rows, _ = seen
    numbers = rows.arrays["image_of"]
    sky = rows.shown(numbers)[..., Semantic.SKY] > 0
    bright = rows.pictures(numbers)[..., ::CELL_PX, ::CELL_PX, 0] > 128
    np.testing.assert_array_equal(sky, bright)


def test_glances_teach_the_tower_and_nothing_else(seen, tmp_path):
    rows, cfg = seen
    model = new_vla(cfg, 1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    recipe = SftConfig(steps=40, batch=4, warmup=2, rate=3e-3, glances=40, pictures=8, save_every=100, look_every=100)
    trainer = Trainer(model, rows, recipe, Place(0, 1, torch.device("cpu"), False), tmp_path)
    losses = [trainer.advance() for _ in range(40)]
    assert all(loss["words"] == loss["flow"] == 0.0 for loss in losses)
    assert losses[-1]["sight"] < 0.2 * losses[0]["sight"]
    changed = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"vision"}
    assert set(trainer.whole_weights()) == set(before)  # the heads are no part of the model
