"""The world: purity, branches, ground, endings; and scenarios made from a map and a seed."""

import dataclasses
import math

import numpy as np
import pytest

from cordillera.geometry import quat_from_yaw, rotation_of, yaw_of
from cordillera.types import Controls, EgoState, Lane, LaneKind, RoadMap, WorldState, same
from cordillera.world import spawn
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World, colliding, on_ground

CONTROLS = [Controls(0.8 * math.sin(0.3 * k) + 0.3, 0.01 * math.cos(0.2 * k)) for k in range(60)]


def run(world, state, controls):
    states = [state]
    for control in controls:
        states.append(world.step(states[-1], control))
    return states


def test_a_branch_from_the_middle_continues_to_the_same_bytes():
    scenario = make_scenario("built:four_way", seed=2)
    states = run(World(scenario), scenario.initial, CONTROLS)
    assert any(agent for agent in states[30].agents.valid)
    again = run(World(make_scenario("built:four_way", seed=2)), states[30], CONTROLS[30:])
    assert all(same(a, b) for a, b in zip(states[30:], again, strict=True))
    other = run(World(scenario), states[30], [Controls(-3.0, 0.0)] * 30)
    assert not same(other[-1], states[60])


def test_a_step_leaves_its_state_alone_and_advances_the_clock():
    scenario = make_scenario("town02", seed=1)
    world = World(scenario)
    before = world.reset()
    kept = dataclasses.replace(before, agents=dataclasses.replace(before.agents, xyz=before.agents.xyz.copy()))
    after = world.step(before, Controls(1.0, 0.0))
    assert same(before, kept)
    assert (after.t_us, after.ego.t_us) == (100_000, 100_000)
    assert np.array_equal(after.signals, world.lights.states(100_000))


def test_the_ego_follows_hills_with_height_and_pitch():
    scenario = make_scenario("built:rural,rise=20,wave=200", seed=0)
    world = World(scenario)
    slopes = []
    state = world.reset()
    for _ in range(150):
        state = world.step(state, Controls(0.5, state.ego.curvature_1pm))
        place = world.roads.nearest(*state.ego.xyz[:2], float(yaw_of(state.ego.quat_xyzw)))
        if place is None:
            break
        low, high = (world.roads.pose(place.lane, place.s_m + d)[0] for d in (-0.5, 0.5))
        assert state.ego.xyz[2] == pytest.approx(world.roads.pose(place.lane, place.s_m)[0][2], abs=1e-6)
        forward = rotation_of(state.ego.quat_xyzw)[:, 0]
        slope = (high[2] - low[2]) / np.hypot(*(high[:2] - low[:2])) * math.cos(place.yaw_error_rad)
        assert math.tan(math.asin(forward[2])) == pytest.approx(slope, abs=0.02)
        slopes.append(slope)
    assert max(np.abs(slopes)) > 0.02


def moved(world, state, x, y, yaw=None):
    heading = float(yaw_of(state.ego.quat_xyzw)) if yaw is None else yaw
    ego = EgoState(state.t_us, np.array([x, y, 0.0]), quat_from_yaw(heading), np.zeros(3))
    return dataclasses.replace(state, ego=on_ground(world.roads, ego))


def test_a_drive_ends_by_collision_off_road_or_arrival():
    scenario = make_scenario("built:straight,length=300", seed=0)
    world = World(scenario)
    state = world.reset()
    assert world.ended(state, 0.0) == ""
    row = int(np.flatnonzero(state.agents.valid)[0])
    hit = moved(world, state, *state.agents.xyz[row, :2])
    assert colliding(hit, scenario) == row and world.ended(hit, 0.0) == "collision"
    assert world.ended(moved(world, state, 1000.0, 1000.0), 0.0) == "off-road"
    assert world.ended(state, world.guide.length_m) == "arrived"
    standing = dataclasses.replace(state, ego=dataclasses.replace(state.ego, velocity_mps=np.zeros(3)))
    assert world.ended(standing, world.guide.length_m - 5.0) == "arrived"
    assert world.ended(state, world.guide.length_m - 5.0) == ""


def test_scenarios_are_the_same_for_the_same_seed_alone():
    assert same(make_scenario("town02", seed=4), make_scenario("town02", seed=4))
    assert not same(make_scenario("town02", seed=4).route, make_scenario("town02", seed=5).route)
    big = make_scenario("town02", seed=2**63 - 1)
    assert big.seed == 2**63 - 1 and big.initial.agents.valid.any()


@pytest.mark.parametrize("name", ["karlsruhe", "kashiwanoha", "town01", "built:roundabout,side=left"])
def test_a_scenario_starts_on_its_route_clear_of_everyone(name):
    for seed in range(3):
        scenario = make_scenario(name, seed)
        world = World(scenario)
        assert world.ended(scenario.initial, 0.0) == ""
        assert np.allclose(scenario.initial.ego.xyz, scenario.route.xyz[0], atol=0.05)
        assert scenario.initial.agents.valid.any()
        xy = scenario.initial.agents.xyz[scenario.initial.agents.valid, :2]
        apart = np.hypot(*(xy[:, None] - xy[None]).T) + 1e3 * np.eye(len(xy))
        assert apart.min() > 10.0
        assert np.hypot(*(xy - scenario.initial.ego.xyz[:2]).T).min() > 15.0


def test_the_default_drive_has_something_to_see():
    scenario = make_scenario("karlsruhe", 0)
    world = World(scenario)
    near = scenario.route.lanes[:12]
    assert any(world.map.lanes[i].turn in ("left", "right") for i in near)
    gives_way = any(c.yields for i in near for c in world.roads.conflicts_of(i))
    assert gives_way or any(world.roads.regulations(i) for i in near)
    assert scenario.initial.agents.valid.sum() >= 5


def test_a_map_without_a_route_says_so(monkeypatch):
    def nowhere(kind):
        line = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
        lane = Lane("a", kind, line, line + np.array([0, 1.75, 0]), line - np.array([0, 1.75, 0]), 10.0)
        return RoadMap("nowhere", "right", "DE", (lane,))

    for kind, words in ((LaneKind.SIDEWALK, "no driving lane"), (LaneKind.DRIVING, "no route of 25 m")):
        road_map = nowhere(kind)
        monkeypatch.setattr(spawn, "load_map", lambda name, road_map=road_map: road_map)
        with pytest.raises(ValueError, match=words):
            make_scenario("nowhere")


def test_a_scenario_of_another_map_is_refused():
    scenario = make_scenario("town02", 0)
    with pytest.raises(ValueError, match="another version"):
        World(dataclasses.replace(scenario, map_sha256="0" * 64))


def test_states_hold_all_that_changes():
    scenario = make_scenario("built:four_way", seed=7)
    world = World(scenario)
    states = run(world, scenario.initial, CONTROLS[:20])
    copy = WorldState(states[-1].t_us, states[-1].ego, states[-1].agents, states[-1].signals)
    assert same(world.step(copy, CONTROLS[20]), world.step(states[-1], CONTROLS[20]))
