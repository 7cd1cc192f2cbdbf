"""Left is right in a mirror: on mirrored maps, mirrored starts give mirrored drives."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cordillera.loop import roll_out
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.world.maps import load_map
from cordillera.world.spawn import SpawnConfig, make_scenario
from cordillera.world.traffic import TrafficConfig
from cordillera.world.world import World, WorldConfig

MIRROR = np.array([1.0, -1.0, 1.0])
ALONE = TrafficConfig(vehicles=0, people=0)


def drive(name, seed, duration_s=25.0, alone=False):
    config = SpawnConfig(traffic=ALONE) if alone else SpawnConfig()
    scenario = make_scenario(name, seed, duration_s, region="US", config=config)
    world = World(scenario, WorldConfig(traffic=config.traffic))
    return roll_out(scenario, world, Observer(), SafeDriver(RuleExpert()))


def states(rollout):
    return [step.state for step in rollout.steps] + [rollout.final]


@pytest.mark.parametrize("road", ["roundabout", "merge", "rural,rise=10", "work_zone", "curve,radius=25"])
@pytest.mark.parametrize("seed", [0, 1])
def test_built_roads_are_driven_alike_on_either_side_with_traffic(road, seed):
    right, left = drive(f"built:{road}", seed), drive(f"built:{road},side=left", seed)
    assert right.ended == left.ended and len(right.steps) == len(left.steps) > 50
    for a, b in zip(states(right), states(left), strict=True):
        # in roundabouts traffic's own sums differ in the last bits, which a drive of 25 s makes millimetres
        assert np.allclose(a.ego.xyz * MIRROR, b.ego.xyz, atol=1e-3)
        assert a.ego.speed_mps == pytest.approx(b.ego.speed_mps, abs=1e-3)
        assert a.ego.curvature_1pm == pytest.approx(-b.ego.curvature_1pm, abs=1e-3)
        assert np.array_equal(a.agents.valid, b.agents.valid)
        assert np.allclose(a.agents.xyz * MIRROR, b.agents.xyz, atol=0.02)
        assert np.array_equal(a.agents.blinker, -b.agents.blinker)
    for a, b in zip(right.steps, left.steps, strict=True):
        one, other = a.output.decision, b.output.decision
        assert np.allclose(one.trajectory.xyz * MIRROR, other.trajectory.xyz, atol=0.02)
        assert one.reasoning is not None and other.reasoning is not None
        assert one.reasoning.longitudinal == other.reasoning.longitudinal
        assert one.reasoning.lateral == other.reasoning.lateral
        assert [c.target for c in one.reasoning.causes] == [c.target for c in other.reasoning.causes]


@pytest.mark.parametrize("road", ["four_way", "t_junction", "four_way,control=stop,lanes=2"])
def test_junctions_are_driven_alike_on_either_side_alone(road):
    right, left = drive(f"built:{road}", 0, alone=True), drive(f"built:{road},side=left", 0, alone=True)
    assert right.ended == left.ended and len(right.steps) == len(left.steps) > 50
    turned = 0.0
    for a, b in zip(states(right), states(left), strict=True):
        assert np.allclose(a.ego.xyz * MIRROR, b.ego.xyz, atol=1e-6)
        turned = max(turned, abs(a.ego.curvature_1pm))
    assert turned > 0.03


TWINS = Path(__file__).resolve().parents[1].parent / "shared" / "maps" / "opendrive"


def mirrored(scenario, name):
    """A scenario without others -> its mirror image on the twin map, lanes matched by their mirrored ends."""
    lanes, twins = load_map(scenario.map).lanes, load_map(name).lanes
    ends = np.array([lane.center_xyz[[0, -1]] * MIRROR for lane in lanes])
    far = np.array([[np.abs(end - lane.center_xyz[[0, -1]]).max() for lane in twins] for end in ends])
    assert far.min(axis=1)[list(scenario.route.lanes)].max() < 0.01
    route = dataclasses.replace(
        scenario.route, xyz=scenario.route.xyz * MIRROR, lanes=tuple(int(far[i].argmin()) for i in scenario.route.lanes)
    )
    ego = scenario.initial.ego
    flipped = dataclasses.replace(ego, xyz=ego.xyz * MIRROR, quat_xyzw=ego.quat_xyzw * np.array([-1.0, 1.0, -1.0, 1.0]))
    initial = dataclasses.replace(scenario.initial, ego=flipped)
    return dataclasses.replace(scenario, map=name, map_sha256="", route=route, initial=initial)


@pytest.mark.skipif(not TWINS.is_dir(), reason="the shared folder with the twin maps is not there")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_twin_pair_of_map_files_is_driven_alike(seed):
    """The one pair of files that is an exact mirror image; the other twins share their geometry and swap directions."""
    names = [str(TWINS / f"esmini_simple_3way_intersection{side}.xodr") for side in ("", "_lht")]
    scenario = make_scenario(names[0], seed, 25.0, region="US", config=SpawnConfig(traffic=ALONE))
    right, left = (
        roll_out(s, World(s, WorldConfig(traffic=ALONE)), Observer(), SafeDriver(RuleExpert()))
        for s in (scenario, mirrored(scenario, names[1]))
    )
    assert right.ended == left.ended and len(right.steps) == len(left.steps) > 50
    for a, b in zip(states(right), states(left), strict=True):
        assert np.allclose(a.ego.xyz * MIRROR, b.ego.xyz, atol=1e-3)  # lanes are sampled along each file's direction
