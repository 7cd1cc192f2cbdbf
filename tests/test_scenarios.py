"""Families of scenarios: repeatable, in all their regions and splits, with draws that the splits do not share."""

from __future__ import annotations

import numpy as np
import pytest

from cordillera.types import same
from cordillera.world.maps import load_map
from cordillera.world.regions import REGIONS
from cordillera.world.scenarios import FAMILIES, make_family
from cordillera.world.scenarios.draw import PARTS, SPLITS, Draw
from cordillera.world.scenarios.places import MAPS
from cordillera.world.world import World, colliding


def test_families_say_what_a_good_driver_does():
    for family in FAMILIES.values():
        assert "good driver" in family.doc and "rule" in family.doc, family.name
        assert family.regions and set(family.regions) <= set(REGIONS)


def test_draws_of_the_splits_are_disjoint():
    values = {
        split: np.array([Draw("f", k, split, "DE").uniform("x", 10.0, 20.0) for k in range(300)]) for split in SPLITS
    }
    parts = {split: set(((v - 10.0) // 1.0).astype(int).tolist()) for split, v in values.items()}
    assert parts == {split: set(PARTS[split]) for split in SPLITS}
    assert not parts["test"] & (parts["train"] | parts["val"]) and not parts["train"] & parts["val"]
    assert sorted(part for own in PARTS.values() for part in own) == list(range(10))


def test_maps_and_seeds_of_the_splits_are_disjoint():
    for side in ("right", "left"):
        sets = [set(MAPS[side, split]) for split in SPLITS]
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
        assert all(load_map(name).traffic_side == side for name in MAPS[side, "val"])
    seeds = [{Draw("f", k, split, "DE").seed for k in range(50)} for split in SPLITS]
    assert not seeds[0] & seeds[1] and not seeds[0] & seeds[2] and not seeds[1] & seeds[2]


def test_draws_are_named_once_and_repeat():
    a, b = (Draw("f", 3, "train", "JP") for _ in range(2))
    assert a.uniform("x", 0.0, 1.0) == b.uniform("x", 0.0, 1.0)
    assert a.shuffled("order", range(9)) == b.shuffled("order", range(9))
    with pytest.raises(ValueError, match="'x' twice"):
        a.chance("x", 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jaywalker", 0, "train", ""), "jaywalker_behind_bus"),
        (("light_dark", 0, "dev", ""), "split 'dev'"),
        (("light_dark", 0, "train", "XX"), "'XX'"),
        (("light_dark", -1, "train", ""), "negative"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, int, str, str], message: str):
    with pytest.raises(ValueError, match=message):
        make_family(*arguments)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_makes_sound_scenarios(name: str):
    family = FAMILIES[name]
    region = family.regions[len(name) % len(family.regions)]
    scenario = make_family(name, 3, "train", region)
    assert same(scenario, make_family(name, 3, "train", region))
    assert scenario.family == name and scenario.region == region and "split:train" in scenario.tags
    assert ("everyday" if family.everyday else "long-tail") in scenario.tags
    assert load_map(scenario.map).traffic_side == REGIONS[region].side
    agents = scenario.initial.agents
    assert len(set(agents.id.tolist())) == len(agents.id)
    assert np.isfinite(agents.xyz).all() and np.isfinite(scenario.route.xyz).all()
    world = World(scenario)
    assert world.on_road(scenario.initial.ego), "the ego starts off the road"
    assert colliding(scenario.initial, scenario) is None, "the ego starts in a collision"
    assert world.ended(scenario.initial, 0.0) == ""
    assert world.guide.length_m > 20.0


@pytest.mark.parametrize("seed", range(4))
def test_who_turns_across_meets_those_who_come_the_other_way(seed: int):
    scenario = make_family("unprotected_turn", seed, "train")
    course = scenario.route.xyz[1, :2] - scenario.route.xyz[0, :2]
    for script in scenario.scripts:
        way = script.xyz[1, :2] - script.xyz[0, :2]
        assert float(course @ way) < -0.9 * np.hypot(*course) * np.hypot(*way)
