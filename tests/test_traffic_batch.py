"""Many worlds at once: the same bytes as one world at a time, saved and branched; collisions and the road's edge."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.geometry import boxes_overlap
from cordillera.types import Agents, Controls, same
from cordillera.world.spawn import make_scenario
from cordillera.world.traffic_batch import EGO_HITS, EGO_OFF, HITS, OFF, Worlds
from cordillera.world.traffic_bodies import hits
from cordillera.world.traffic_state import MOVER
from cordillera.world.world import World


def controls_for(worlds, ticks, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([random.uniform(-0.5, 0.8, (worlds, ticks)), random.uniform(-0.01, 0.01, (worlds, ticks))], axis=2)


def scenarios_on(name, count):
    made = [make_scenario(name, seed) for seed in range(3 * count)]
    size = len(made[0].initial.agents.id)
    return [s for s in made if len(s.initial.agents.id) == size][:count]


@pytest.fixture(scope="module", params=["built:four_way", "karlsruhe", "town10hd"])
def batch_of(request):
    scenarios = scenarios_on(request.param, 3)
    world = World(scenarios[0])
    return scenarios, *Worlds.of(world.roads, scenarios)


def test_a_batch_equals_single_worlds_byte_for_byte(batch_of):
    scenarios, worlds, start = batch_of
    batch, singles = start.copy(), [World(s) for s in scenarios]
    ticks = 60
    controls = controls_for(len(scenarios), ticks)
    agents = [s.initial.agents for s in scenarios]
    states = [s.initial for s in scenarios]
    for k in range(ticks):
        egos = [worlds.ego(batch, w) if k else s.initial.ego for w, s in enumerate(scenarios)]
        worlds.step(batch, controls[:, k : k + 1])
        for w, single in enumerate(singles):
            t_us = scenarios[w].initial.t_us + 100_000 * k
            agents[w] = worlds.traffic[w].step(agents[w], egos[w], single.lights.states(t_us), t_us)
            assert same(agents[w], worlds.agents(batch, w, agents[w])), (k, w)
            states[w] = single.step(states[w], Controls(float(controls[w, k, 0]), float(controls[w, k, 1])))
    for w, state in enumerate(states):
        ego = worlds.ego(batch, w)
        assert np.allclose(ego.xyz, state.ego.xyz, atol=1e-6)
        assert abs(ego.quat_xyzw @ state.ego.quat_xyzw) == pytest.approx(1.0, abs=1e-9)


def test_many_ticks_in_one_call_equal_single_calls_and_branches_go_on_alike(batch_of):
    scenarios, worlds, start = batch_of
    controls = controls_for(len(scenarios), 80, seed=2)
    whole, parts = start.copy(), start.copy()
    worlds.step(whole, controls)
    worlds.step(parts, controls[:, :33])
    branch = parts.copy()
    worlds.step(parts, controls[:, 33:])
    for a, b in zip(whole, parts, strict=True):
        assert a.tobytes() == b.tobytes()
    other = branch.copy()
    worlds.step(other, -controls[:, 33:])
    assert other.movers.tobytes() != whole.movers.tobytes()
    worlds.step(branch, controls[:, 33:])
    assert branch.movers.tobytes() == whole.movers.tobytes()


@settings(max_examples=8, deadline=None)
@given(at=st.integers(1, 300), seed=st.integers(0, 10**6))
def test_a_world_goes_on_from_its_agents_alone(batch_of, at, seed):
    """Everything that lasts is in the columns of the agents: saved, restored, and the same bytes from then on."""
    scenarios, worlds, start = batch_of
    twin, batch = start.copy(), start.copy()
    first = controls_for(len(scenarios), at, seed)
    worlds.step(twin, first)
    worlds.step(batch, first)
    for w, scenario in enumerate(scenarios):
        before = scenario.initial.agents
        saved = io.BytesIO()
        agents = worlds.agents(batch, w, before)
        np.savez(saved, **{f.name: getattr(agents, f.name) for f in dataclasses.fields(agents)})
        saved.seek(0)
        restored = Agents(**dict(np.load(saved)))
        ego = batch.movers[w, -1].copy()
        batch.movers[w] = worlds.traffic[w].movers(restored, worlds.ego(batch, w))
        batch.movers[w, -1] = ego
    rest = controls_for(len(scenarios), 60, seed + 1)
    worlds.step(batch, rest)
    worlds.step(twin, rest)
    for w, scenario in enumerate(scenarios):
        before = scenario.initial.agents
        assert same(worlds.agents(batch, w, before), worlds.agents(twin, w, before))
    assert batch.egos.tobytes() == twin.egos.tobytes()


def test_what_goes_wrong_is_counted():
    scenario = make_scenario("built:straight", 0)
    world = World(scenario)
    worlds, batch = Worlds.of(world.roads, [scenario])
    assert not batch.counts.any()
    worlds.step(batch, np.tile([0.0, 0.15], (1, 60, 1)))  # off the road in a circle
    assert batch.counts[0, EGO_OFF] > 10
    assert batch.counts[0, OFF] == 0
    worlds, batch = Worlds.of(world.roads, [scenario])
    ego = batch.movers[0, -1]
    batch.movers[0, 0] = ego
    batch.movers[0, 0]["lane"], batch.movers[0, 0]["ident"] = -1, 1
    worlds.step(batch, np.zeros((1, 1, 2)))
    assert batch.counts[0, HITS] == 1 and batch.counts[0, EGO_HITS] == 1


def test_a_batch_wants_equally_many_agents_and_commands_for_all():
    scenario = make_scenario("built:straight", 0)
    world = World(scenario)
    more = dataclasses.replace(make_scenario("built:four_way", 0), map=scenario.map)
    if len(more.initial.agents.id) != len(scenario.initial.agents.id):
        with pytest.raises(ValueError, match="same number"):
            Worlds.of(world.roads, [scenario, more])
    worlds, batch = Worlds.of(world.roads, [scenario])
    with pytest.raises(ValueError, match="2 worlds"):
        worlds.step(batch, np.zeros((2, 1, 2)))


def test_hits_are_those_of_the_separating_axes():
    random = np.random.default_rng(1)
    for _ in range(20):
        movers = np.zeros(30, MOVER)
        movers["x"], movers["y"] = random.uniform(0.0, 25.0, (2, 30))
        movers["yaw"] = random.uniform(-3.1, 3.1, 30)
        movers["half"], movers["half_w"] = random.uniform(0.5, 4.0, 30), random.uniform(0.3, 1.2, 30)
        movers["valid"] = random.uniform(0.0, 1.0, 30) < 0.8
        boxes = np.zeros((6, 30))
        wanted, flagged = 0, np.zeros(30)
        for i in range(30):
            for j in range(i):
                a, b = movers[i], movers[j]
                if a["valid"] and b["valid"] and boxes_overlap(
                    a["x"], a["y"], a["yaw"], 2 * a["half"], 2 * a["half_w"],
                    b["x"], b["y"], b["yaw"], 2 * b["half"], 2 * b["half_w"],
                ):  # fmt: skip
                    wanted += 1
                    flagged[[i, j]] = 1.0
        assert hits(movers, boxes) == wanted
        assert np.array_equal(boxes[3], flagged)
