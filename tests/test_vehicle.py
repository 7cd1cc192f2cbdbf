"""The vehicle against formulas that one can check by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cordillera.geometry import quat_from_euler, quat_from_yaw, yaw_of
from cordillera.types import Controls, EgoState, VehicleSpec, same
from cordillera.world.vehicle import VehicleConfig, step_vehicle

KINEMATIC = VehicleConfig()
DYNAMIC = VehicleConfig(model="dynamic")
BOTH = pytest.mark.parametrize("config", [KINEMATIC, DYNAMIC], ids=["kinematic", "dynamic"])


def ego(speed: float = 0.0, curvature: float = 0.0, accel: float = 0.0, yaw: float = 0.0) -> EgoState:
    return EgoState(
        0, np.zeros(3), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]), accel, curvature, speed * curvature
    )


def drive(state: EgoState, controls: Controls, seconds: float, config: VehicleConfig, dt: float = 0.1) -> EgoState:
    for _ in range(round(seconds / dt)):
        state = step_vehicle(state, controls, dt, config)
    return state


def test_constant_curvature_drives_a_circle_of_its_radius():
    radius, speed = 15.0, 6.0
    state = ego(speed, curvature=1.0 / radius)
    center = np.array([0.0, radius])
    for _ in range(200):
        state = step_vehicle(state, Controls(0.0, 1.0 / radius), 0.1, KINEMATIC)
        assert np.linalg.norm(state.xyz[:2] - center) == pytest.approx(radius, abs=1e-9)
    assert state.yaw_rate_radps == pytest.approx(speed / radius)
    assert state.t_us == 20_000_000


def test_braking_distance_is_v2_over_2a_without_lag():
    config = replace(KINEMATIC, accel_lag_s=0.0, jerk_max_mps3=1e9, substep_s=0.001)
    state = drive(ego(20.0, accel=-5.0), Controls(-5.0, 0.0), 6.0, config)
    assert state.xyz[0] == pytest.approx(20.0**2 / 10.0, abs=1e-6)
    assert state.speed_mps == 0.0


def test_lag_adds_its_time_constant_to_the_braking_distance():
    config = replace(KINEMATIC, jerk_max_mps3=1e9, substep_s=0.001)
    state = drive(ego(20.0), Controls(-5.0, 0.0), 8.0, config)
    # v(t) = v0 - a (t - lag (1 - e^(-t/lag))): the stop is about 4.2 s = 21 lags away, so e^(-t/lag) is gone
    lag, v, a = config.accel_lag_s, 20.0, 5.0
    stop_s = v / a + lag
    distance = v * stop_s - a * (0.5 * stop_s**2 - lag * stop_s + lag**2)
    assert state.xyz[0] == pytest.approx(distance, abs=2e-3)


@BOTH
def test_actuators_reach_63_percent_after_one_time_constant(config):
    config = replace(config, jerk_max_mps3=1e9, curvature_rate_max_1pms=1e9)
    state = drive(ego(10.0), Controls(2.0, 0.05), config.accel_lag_s, config, dt=0.05)
    assert state.accel_mps2 == pytest.approx(2.0 * (1.0 - math.exp(-1.0)))
    state = drive(ego(10.0), Controls(2.0, 0.05), config.curvature_lag_s, config, dt=0.05)
    assert state.curvature_1pm == pytest.approx(0.05 * (1.0 - math.exp(-1.0)))


@BOTH
def test_limits_hold_at_every_step(config):
    state = ego(15.0)
    for i in range(120):
        sign = 1.0 if (i // 20) % 2 == 0 else -1.0
        after = step_vehicle(state, Controls(50.0 * sign, 5.0 * sign), 0.1, config)
        assert config.accel_min_mps2 <= after.accel_mps2 <= config.accel_max_mps2
        assert abs(after.curvature_1pm) <= config.curvature_max_1pm + 1e-12
        assert abs(after.curvature_1pm - state.curvature_1pm) <= config.curvature_rate_max_1pms * 0.1 + 1e-12
        if after.speed_mps > 0.0:
            assert abs(after.accel_mps2 - state.accel_mps2) <= config.jerk_max_mps3 * 0.1 + 1e-9
        assert np.isfinite(after.xyz).all() and np.isfinite(after.velocity_mps).all()
        state = after
    assert 1.0 / config.curvature_max_1pm == pytest.approx(4.35, abs=0.01)


def test_the_road_holds_only_so_much_lateral_acceleration():
    for config in (KINEMATIC, replace(KINEMATIC, friction=0.3)):
        state = drive(ego(25.0), Controls(0.0, 0.2), 2.0, config)
        assert state.speed_mps * state.yaw_rate_radps == pytest.approx(config.friction * 9.81, rel=1e-6)
    icy = drive(ego(25.0), Controls(-8.0, 0.0), 1.5, replace(KINEMATIC, friction=0.3))
    assert icy.accel_mps2 == pytest.approx(-0.3 * 9.81, rel=1e-3)


@BOTH
def test_stops_dead_and_stays(config):
    state = drive(ego(8.0, curvature=0.05), Controls(-6.0, 0.05), 3.0, config)
    assert state.speed_mps == 0.0 and state.velocity_mps[1] == 0.0
    assert state.yaw_rate_radps == 0.0 and state.accel_mps2 == 0.0
    later = drive(state, Controls(-6.0, 0.05), 5.0, config)
    assert np.array_equal(later.xyz, state.xyz) and np.array_equal(later.quat_xyzw, state.quat_xyzw)


@BOTH
def test_starts_from_standstill_with_the_wheels_turned(config):
    state = step_vehicle(ego(0.0, curvature=0.2), Controls(0.0, 0.2), 0.1, config)
    assert np.array_equal(state.xyz, np.zeros(3)) and np.isfinite(state.quat_xyzw).all()
    state = drive(state, Controls(1.0, 0.2), 3.0, config)
    assert np.isfinite(state.xyz).all()
    assert float(yaw_of(state.quat_xyzw)) == pytest.approx(0.2 * 0.5 * 1.0 * (3.0 - config.accel_lag_s) ** 2, rel=0.05)


@BOTH
def test_mirrored_commands_give_the_mirrored_motion(config):
    rng = np.random.default_rng(3)
    left = right = ego(18.0)
    for _ in range(60):
        accel, curvature = rng.uniform(-6.0, 3.0), rng.uniform(-0.1, 0.1)
        left = step_vehicle(left, Controls(accel, curvature), 0.1, config)
        right = step_vehicle(right, Controls(accel, -curvature), 0.1, config)
    assert right.xyz == pytest.approx(left.xyz * np.array([1.0, -1.0, 1.0]), abs=1e-12)
    assert right.velocity_mps == pytest.approx(left.velocity_mps * np.array([1.0, -1.0, 1.0]), abs=1e-12)
    assert right.yaw_rate_radps == pytest.approx(-left.yaw_rate_radps, abs=1e-12)


def test_steady_dynamic_turn_follows_the_linear_understeer_formula():
    # gentle, so that the tyres stay linear
    for front, rear in ((125e3, 150e3), (150e3, 150e3), (200e3, 120e3)):
        config = replace(DYNAMIC, front_stiffness_npr=front, rear_stiffness_npr=rear)
        for speed in (5.0, 15.0, 25.0):
            curvature = 0.05 / speed**2
            state = drive(ego(speed), Controls(0.0, curvature), 6.0, config)
            path = state.yaw_rate_radps / speed
            assert path == pytest.approx(curvature / (1.0 + config.understeer_s2pm2 * speed**2), rel=0.01)
    assert DYNAMIC.understeer_s2pm2 > 0.0 and KINEMATIC.understeer_s2pm2 == 0.0


def test_steady_rear_slip_balances_the_rear_axles_share_of_the_side_force():
    speed, curvature = 20.0, 0.0008
    state = drive(ego(speed), Controls(0.0, curvature), 6.0, DYNAMIC)
    side_force = DYNAMIC.mass_kg * speed * state.yaw_rate_radps
    slip = -side_force * (1.0 - DYNAMIC.front_load) / DYNAMIC.rear_stiffness_npr
    assert state.velocity_mps[1] / speed == pytest.approx(slip, rel=0.02)


def test_dynamic_tends_to_kinematic_as_the_tyres_stiffen():
    controls = [Controls(1.0, 0.03)] * 30 + [Controls(-1.0, -0.03)] * 30
    gaps = []
    for stiffness in (1e5, 1e6, 1e7, 1e9):
        config = replace(DYNAMIC, front_stiffness_npr=stiffness, rear_stiffness_npr=stiffness, friction=50.0)
        a = b = ego(8.0)
        for command in controls:
            a = step_vehicle(a, command, 0.1, config)
            b = step_vehicle(b, command, 0.1, replace(config, model="kinematic"))
        gaps.append(float(np.linalg.norm(a.xyz - b.xyz)))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[-1] < 0.05


def test_tyres_saturate_at_friction_and_share_it_with_braking():
    def side_accel(friction: float, accel: float) -> tuple[float, float]:
        """Largest and last lateral acceleration of the centre of mass in a hard turn, from its velocity."""
        config = replace(DYNAMIC, friction=friction, accel_min_mps2=-12.0)
        ahead = config.front_load * config.spec.wheelbase_m
        state, found = drive(ego(25.0), Controls(0.0, 0.03), 0.5, config), []
        for _ in range(150):
            after = step_vehicle(state, Controls(accel, 0.03), 0.01, config)
            change = after.velocity_mps[1] - state.velocity_mps[1]
            change += ahead * (after.yaw_rate_radps - state.yaw_rate_radps)
            found.append(abs(change / 0.01 + state.speed_mps * after.yaw_rate_radps))
            state = after
        return max(found), found[-1]

    for friction in (0.9, 0.4):
        grip = friction * 9.81
        assert 0.85 * grip < side_accel(friction, 0.0)[0] < 1.02 * grip
        # braking with 80 % of the friction leaves 60 % to the side, braking with all of it hardly any
        assert side_accel(friction, -0.8 * grip)[1] < 0.62 * grip
        assert side_accel(friction, -grip)[1] < 0.15 * grip


def test_braking_loads_the_front_axle_and_tightens_the_turn():
    high = replace(DYNAMIC, mass_height_m=1.0)
    low = replace(DYNAMIC, mass_height_m=0.0)
    rates = [drive(ego(20.0), Controls(-3.0, 0.005), 1.5, c).yaw_rate_radps for c in (low, high)]
    assert rates[1] > 1.02 * rates[0] > 0.0


@BOTH
def test_shorter_substeps_converge(config):
    def end(substep: float) -> EgoState:
        cut = replace(config, substep_s=substep)
        state = drive(ego(15.0), Controls(1.5, 0.02), 1.0, cut)
        return drive(state, Controls(-3.0, -0.02), 1.5, cut)

    reference = end(0.1 / 1024)
    gaps = [float(np.linalg.norm(end(0.1 / n).xyz - reference.xyz)) for n in (5, 10, 20, 40)]
    assert gaps[0] > 1.7 * gaps[1] > 1.7**2 * gaps[2] > 1.7**3 * gaps[3] > 0.0
    assert gaps[1] < 0.05


@BOTH
def test_stable_from_walking_pace_to_motorway_speed(config):
    rng = np.random.default_rng(0)
    for speed in (0.0, 1e-9, 1e-3, 0.1, 1.0, 5.0, 40.0):
        state = ego(speed)
        for _ in range(50):
            state = step_vehicle(state, Controls(rng.uniform(-8, 4), rng.uniform(-0.25, 0.25)), 0.1, config)
            assert np.isfinite(state.xyz).all() and np.isfinite(state.velocity_mps).all()
            assert abs(state.yaw_rate_radps) < 5.0 and state.speed_mps >= 0.0


def test_pure_and_on_flat_ground():
    state = replace(ego(10.0), xyz=np.array([1.0, 2.0, 3.5]), quat_xyzw=quat_from_euler(0.02, -0.05, 0.7))
    before = replace(state, xyz=state.xyz.copy(), quat_xyzw=state.quat_xyzw.copy())
    a, b = (step_vehicle(state, Controls(1.0, 0.01), 0.1, DYNAMIC) for _ in range(2))
    assert same(a, b) and same(state, before)
    assert a.xyz[2] == 3.5 and a.velocity_mps[2] == 0.0
    assert a.quat_xyzw[:2] == pytest.approx([0.0, 0.0])
    assert float(yaw_of(a.quat_xyzw)) == pytest.approx(0.7, abs=0.02)


def test_a_longer_wheelbase_turns_less_tightly():
    van = VehicleConfig(spec=VehicleSpec(wheelbase_m=3.7))
    assert van.curvature_max_1pm == pytest.approx(KINEMATIC.curvature_max_1pm * 2.85 / 3.7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "bicycle"}, "bicycle"),
        ({"substep_s": 0.0}, "substep_s"),
        ({"accel_lag_s": -0.1}, "accel_lag_s"),
        ({"accel_min_mps2": 1.0}, "accel_min_mps2"),
    ],
)
def test_bad_configuration_names_its_field(change, words):
    with pytest.raises(ValueError, match=words):
        VehicleConfig(**change)


def test_bad_commands_are_refused():
    with pytest.raises(ValueError, match="finite"):
        step_vehicle(ego(5.0), Controls(float("nan"), 0.0), 0.1, KINEMATIC)
    with pytest.raises(ValueError, match="dt_s"):
        step_vehicle(ego(5.0), Controls(0.0, 0.0), 0.0, KINEMATIC)
