"""The baselines drive as they say: straight on; along the route, through bends, to its end."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cordillera.geometry import arc_length, invert, project_to_polyline, quat_from_yaw, transform_of, transform_points
from cordillera.kinematics import advance
from cordillera.policy.baselines import ConstantVelocity, RouteConfig, RouteFollower, speed_caps
from cordillera.runtime.driver import SafeDriver
from cordillera.types import EgoState, Longitudinal, Observation, Route, Trajectory, same
from cordillera.world.vehicle import VehicleConfig, step_vehicle


def observe(ego: EgoState, route_world: np.ndarray | None = None) -> Observation:
    line = np.zeros((0, 3)) if route_world is None else route_world
    route = Route(transform_points(invert(transform_of(ego.xyz, ego.quat_xyzw)), line), frame="rig")
    stamps = ego.t_us - np.arange(15, -1, -1) * 100_000
    history = Trajectory(stamps, np.zeros((16, 3)), quat_from_yaw(np.zeros(16)), "rig")
    return Observation(ego.t_us, (), (), (), history, ego, route)


def start(speed: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> EgoState:
    return EgoState(0, np.array([0.0, y, 0.0]), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]))


def bent_route(side: float = 1.0) -> np.ndarray:
    """60 m straight, a right angle of 12 m radius with clothoids, 40 m straight."""
    bend = 1.0 / 12.0
    ramp = np.arange(0.5, 8.0) / 8.0 * bend
    curvature = np.concatenate([np.zeros(60), ramp, np.full(11, bend), ramp[::-1], np.zeros(40)]) * side
    x = y = yaw = 0.0
    points = [(x, y, 0.0)]
    for k in curvature:
        x, y, yaw, _ = advance(x, y, yaw, 1.0, 0.0, k, 1.0)
        points.append((x, y, 0.0))
    return np.array(points)


def test_constant_velocity_goes_straight_on():
    decision = ConstantVelocity().decide(observe(start(7.0)))
    assert decision.trajectory.xyz[:, 0] == pytest.approx(0.7 * np.arange(1, 65))
    assert np.abs(decision.trajectory.xyz[:, 1:]).max() == 0.0
    assert np.array_equal(decision.trajectory.t_us, np.arange(1, 65) * 100_000)
    assert decision.reasoning is None and decision.candidates == ()


def test_caps_meet_the_bend_the_end_and_the_set_speed():
    config = RouteConfig(speed_mps=12.0)
    along = np.arange(0.0, 200.5, 0.5)
    curvature = np.where((along > 80.0) & (along < 90.0), 0.05, 0.0)
    caps = speed_caps(along, curvature, 200.0, config)
    assert caps[(along > 80.0) & (along < 90.0)] == pytest.approx(math.sqrt(config.side_accel_mps2 / 0.05))
    assert caps[0] == 12.0 and caps[-1] == 0.0
    assert np.all(np.diff(caps**2) / (2.0 * np.diff(along)) >= -config.brake_mps2 - 1e-9)
    assert caps[along == 191.0] == pytest.approx(math.sqrt(2.0 * config.brake_mps2 * 9.0))


def test_plan_on_a_straight_route_keeps_the_set_speed_without_truth():
    route = np.stack([np.arange(-10.0, 300.0, 2.0), np.zeros(155), np.zeros(155)], axis=-1)
    decision = RouteFollower(RouteConfig(speed_mps=9.0)).decide(observe(start(9.0), route))
    assert decision.trajectory.xyz[:, 0] == pytest.approx(0.9 * np.arange(1, 65), abs=1e-6)
    assert len(decision.trajectory.t_us) == 64 and decision.trajectory.frame == "rig"
    assert decision.reasoning is not None and decision.reasoning.longitudinal is Longitudinal.SET_SPEED
    assert decision.reasoning.causes == () and "do not see" in decision.reasoning.text


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["left", "right"])
def test_drives_a_bent_route_from_beside_it_to_rest_at_its_end(side):
    route, ego, driver = bent_route(side), start(y=1.0 * side), SafeDriver(RouteFollower())
    offsets, side_accel, seen = [], [], set()
    for _ in range(300):
        output = driver.drive(observe(ego, route))
        assert output.verdict.action == "pass"
        assert output.decision.reasoning is not None
        seen.add(output.decision.reasoning.longitudinal)
        ego = step_vehicle(ego, output.controls, 0.1, VehicleConfig())
        s, offset, _ = project_to_polyline(route, ego.xyz[0], ego.xyz[1])
        if s > 20.0:
            offsets.append(offset)
        side_accel.append(abs(ego.speed_mps * ego.yaw_rate_radps))
    assert np.abs(offsets).max() < 0.15
    assert max(side_accel) < 1.25 * RouteConfig().side_accel_mps2
    assert ego.speed_mps == 0.0
    assert project_to_polyline(route, ego.xyz[0], ego.xyz[1])[0] == pytest.approx(arc_length(route)[-1], abs=0.4)
    assert seen == {Longitudinal.SET_SPEED, Longitudinal.SPEED_ADAPTATION, Longitudinal.STOP}


def test_mirrored_routes_give_mirrored_plans():
    flip = np.array([1.0, -1.0, 1.0])
    left = RouteFollower().decide(observe(start(8.0, y=0.5), bent_route(1.0))).trajectory
    right = RouteFollower().decide(observe(start(8.0, y=-0.5), bent_route(-1.0))).trajectory
    assert right.xyz == pytest.approx(left.xyz * flip, abs=1e-6)


def test_brakes_hard_but_possibly_where_the_speed_is_too_high():
    route = bent_route()[45:]
    ego = replace(start(15.0), xyz=route[0])
    xy = RouteFollower().decide(observe(ego, route)).trajectory.xyz[:, :2]
    accel = np.diff(np.linalg.norm(np.diff(xy, axis=0), axis=1)) / 0.1**2
    assert -RouteConfig().hardest_brake_mps2 - 0.1 <= accel.min() < -RouteConfig().brake_mps2


def test_the_same_observation_gives_the_same_decision():
    observation = observe(start(6.0, y=0.3, yaw=0.05), bent_route())
    assert same(RouteFollower().decide(observation), RouteFollower().decide(observation))


@pytest.mark.parametrize("points", [0, 1])
def test_a_route_without_length_is_refused_by_name(points):
    with pytest.raises(ValueError, match=r"Observation\.route"):
        RouteFollower().decide(observe(start(), np.zeros((points, 3))))
