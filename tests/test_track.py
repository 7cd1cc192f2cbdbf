"""The tracker: its problem against independent references, and the car that it drives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.optimize import minimize

from benchmarks.track import Setting, cases, drive
from benchmarks.track_lqr import solve_lqr
from cordillera.geometry import invert, move_trajectory, quat_from_yaw, transform_of, yaw_of
from cordillera.kinematics import plan_of, roll, roll_plan
from cordillera.runtime.mpc import Chain, predict, response, solve, step_matrices
from cordillera.runtime.track import TrackConfig, Tracker, track
from cordillera.types import Controls, Decision, EgoState, Observation, Route, Trajectory, same
from cordillera.world.vehicle import VehicleConfig, path_response, step_vehicle

DYNAMIC = VehicleConfig(model="dynamic")


def ego_at(speed: float = 0.0, t_us: int = 0, **fields) -> EgoState:
    return EgoState(t_us, np.zeros(3), quat_from_yaw(0.0), np.array([speed, 0.0, 0.0]), **fields)


def observe(ego: EgoState, history: Trajectory | None = None) -> Observation:
    if history is None:
        stamps = ego.t_us - np.arange(15, -1, -1) * 100_000
        history = Trajectory(stamps, np.zeros((16, 3)), quat_from_yaw(np.zeros(16)), "rig")
    return Observation(ego.t_us, (), (), (), history, ego, Route(np.zeros((0, 3)), frame="rig"))


def decide(plan: Trajectory) -> Decision:
    return Decision(plan, (), None, "test", 0.0)


# -------------------------------------------------------------------- problem


def chain(seed: int, loose: bool, lag: float = 0.15) -> Chain:
    rng = np.random.default_rng(seed)
    count = 12
    bound = np.full(count, 1e3 if loose else 1.0)
    return Chain(
        start=rng.normal(0.0, 0.5, 3) if loose else np.array([0.8, 0.5, 0.9]),
        gain=rng.uniform(0.5, 3.0, count),
        drift=rng.normal(0.0, 0.1, (count, 2)),
        weight=np.array([1.0, 0.5]),
        rate_weight=rng.uniform(0.01, 0.1, count),
        lag_s=lag,
        dt_s=0.1,
        lower=-bound,
        upper=bound,
        rate_max=1e4 if loose else 4.0,
    )


def cost(c: Chain, commands: np.ndarray) -> float:
    states = predict(c.start, c.gain, c.drift, np.ascontiguousarray(commands), c.lag_s, c.dt_s)
    rate = np.diff(states[:, 2]) / c.dt_s
    return float((states[1:, :2] ** 2 @ c.weight).sum() + (c.rate_weight * rate**2).sum())


@given(gain=st.floats(0.0, 30.0), lag=st.floats(0.01, 1.0), dt=st.floats(0.02, 0.5))
@settings(deadline=None)
def test_step_matrices_are_the_matrix_exponential(gain, lag, dt):
    generator = np.zeros((4, 4))
    generator[0, 1], generator[1, 2], generator[2, 2], generator[2, 3] = gain, gain, -1.0 / lag, 1.0 / lag
    full = expm(generator * dt)
    a01, a02, a12, a22, b0, b1, b2 = step_matrices(gain, lag, dt)
    ours = np.array([[1.0, a01, a02, b0], [0.0, 1.0, a12, b1], [0.0, 0.0, a22, b2]])
    assert ours == pytest.approx(full[:3], abs=1e-8, rel=1e-6)


def test_without_lag_the_command_acts_at_once():
    assert step_matrices(2.0, 0.0, 0.1) == pytest.approx((0.2, 0.0, 0.0, 0.0, 0.02, 0.2, 1.0))


def test_response_is_the_derivative_of_the_prediction():
    c = chain(3, loose=True)
    moves = response(c.gain, c.lag_s, c.dt_s)
    rest = predict(np.zeros(3), c.gain, 0.0 * c.drift, np.zeros(12), c.lag_s, c.dt_s)
    for k in range(12):
        moved = predict(np.zeros(3), c.gain, 0.0 * c.drift, np.eye(12)[k], c.lag_s, c.dt_s)
        assert (moved - rest)[1:] == pytest.approx(moves[:, :, k], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lag", [0.0, 0.15])
def test_free_problems_agree_with_the_riccati_recursion(seed, lag):
    c = chain(seed, loose=True, lag=lag)
    assert solve(c) == pytest.approx(solve_lqr(c), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_bounded_problems_agree_with_a_general_optimiser(seed):
    c = chain(seed, loose=False)

    def rates(u):
        return np.diff(predict(c.start, c.gain, c.drift, np.ascontiguousarray(u), c.lag_s, c.dt_s)[:, 2]) / c.dt_s

    found = minimize(
        lambda u: cost(c, u),
        np.zeros(12),
        method="SLSQP",
        bounds=list(zip(c.lower, c.upper, strict=True)),
        constraints=[{"type": "ineq", "fun": lambda u: c.rate_max - rates(u)},
                     {"type": "ineq", "fun": lambda u: c.rate_max + rates(u)}],
        options={"maxiter": 500, "ftol": 1e-12},
    )  # fmt: skip
    ours = solve(c)
    assert np.all(ours <= c.upper + 1e-6) and np.all(ours >= c.lower - 1e-6)
    assert np.abs(rates(ours)).max() <= c.rate_max + 1e-6
    assert np.any(np.isclose(np.abs(ours), 1.0)), "the case should press against a bound"
    assert cost(c, ours) <= found.fun + 1e-6
    assert cost(c, ours) < cost(c, solve_lqr(c)) + 1e-9


def test_an_actuator_outside_the_bounds_comes_back():
    c = replace(chain(0, loose=False), start=np.array([0.0, 0.0, 2.5]))
    states = predict(c.start, c.gain, c.drift, solve(c), c.lag_s, c.dt_s)
    assert abs(states[-1, 2]) <= 1.0 + 1e-6


# ------------------------------------------------------------------- vehicle


@pytest.mark.parametrize("speed", [5.0, 15.0, 30.0])
def test_path_response_predicts_where_the_course_settles(speed):
    # from any state, the turn of the course is speed x gain x (u t - lag (u - under way)) once all has settled
    config = replace(DYNAMIC, curvature_rate_max_1pms=1e9)
    state = ego_at(speed, curvature_1pm=0.1 / speed**2, yaw_rate_radps=0.0)
    command, seconds = 0.2 / speed**2, 4.0
    gain, lag, under_way = path_response(state, config)
    end = state
    for _ in range(40):
        end = step_vehicle(end, Controls(0.0, command), 0.1, config)
    course = float(yaw_of(end.quat_xyzw)) + np.arctan2(end.velocity_mps[1], end.velocity_mps[0])
    deficit = lag * (gain * command - under_way)
    assert course == pytest.approx(speed * (gain * command * seconds - deficit), rel=0.01)


def test_path_response_of_the_kinematic_model_is_its_actuator():
    assert path_response(ego_at(20.0, curvature_1pm=0.01), VehicleConfig()) == (1.0, 0.1, 0.01)
    assert path_response(ego_at(0.0, curvature_1pm=0.01), DYNAMIC) == (1.0, 0.1, 0.01)
    tail_happy = replace(DYNAMIC, front_stiffness_npr=250e3, rear_stiffness_npr=100e3)
    assert path_response(ego_at(5.0, curvature_1pm=0.01), tail_happy)[0] > 1.0
    assert path_response(ego_at(40.0, curvature_1pm=0.01), tail_happy) == (1.0, 0.1, 0.01)


# ------------------------------------------------------------------- closed loop


LIMITS = {  # case: largest lateral error in m for the kinematic and the dynamic car
    "lane change": (0.05, 0.05),
    "swerve": (0.25, 0.2),
    "hairpin": (0.04, 0.05),
    "tight hairpin": (0.2, 0.65),
}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
@pytest.mark.parametrize("model", ["kinematic", "dynamic"])
def test_follows_the_cases_of_the_benchmark(case, model):
    row = drive(case, Setting(model, VehicleConfig(model=model)), solve, TrackConfig())
    if case.name in LIMITS:
        assert row["lateral max m"] < LIMITS[case.name][model == "dynamic"]
    if case.name == "stop":
        assert row["speed RMS m/s"] < 0.1 and row["jerk max"] < 6.0
    if case.name == "off by 0.5 m":
        assert row["lateral RMS m"] < 0.2


def loop(plan_at, ego: EgoState, steps: int, config: VehicleConfig) -> list[EgoState]:
    states = [ego]
    for _ in range(steps):
        ego = step_vehicle(ego, track(decide(plan_at(ego)), observe(ego), TrackConfig(vehicle=config)), 0.1, config)
        states.append(ego)
    return states


def test_a_standing_plan_holds_the_car_without_creep():
    rng = np.random.default_rng(0)

    def jitter(ego: EgoState) -> Trajectory:
        return plan_of(rng.normal(0.0, 0.02, (64, 2)), rng.normal(0.0, 0.01, 64), ego.t_us)

    states = loop(jitter, ego_at(0.0), 100, VehicleConfig())
    assert np.array_equal(states[-1].xyz, np.zeros(3))


def test_a_backward_plan_holds_the_car():
    backwards = plan_of(np.stack([-0.2 * np.arange(1, 65), np.zeros(64)], axis=-1), np.zeros(64), 0)
    assert track(decide(backwards), observe(ego_at(0.0))).accel_mps2 < 0.0


@pytest.mark.parametrize("accel", [0.3, 1.0, 2.5])
def test_starts_from_standstill_as_planned(accel):
    def plan(ego: EgoState) -> Trajectory:
        return roll_plan(np.tile([accel, 0.0], (64, 1)), ego.speed_mps, ego.t_us)

    states = loop(plan, ego_at(0.0), 50, VehicleConfig())
    assert states[-1].speed_mps == pytest.approx(5.0 * accel, rel=0.12)


def test_replanned_stops_come_to_rest():
    def plan(ego: EgoState) -> Trajectory:
        left = max(30.0 - ego.xyz[0], 0.01)
        accel = -(ego.speed_mps**2) / (2.0 * left)
        return roll_plan(np.tile([accel, 0.0], (64, 1)), ego.speed_mps, ego.t_us)

    states = loop(plan, ego_at(10.0), 120, VehicleConfig())
    assert states[-1].speed_mps == 0.0
    assert states[-1].xyz[0] == pytest.approx(30.0, abs=0.5)
    assert min(s.accel_mps2 for s in states) > -3.0


def test_a_plan_beside_the_car_is_approached():
    def plan(ego: EgoState) -> Trajectory:
        ahead = 0.8 * np.arange(1, 65)
        beside = plan_of(np.stack([ego.xyz[0] + ahead, np.full(64, 1.5)], axis=-1), np.zeros(64), ego.t_us)
        return move_trajectory(invert(transform_of(ego.xyz, ego.quat_xyzw)), beside, "rig")

    states = loop(plan, ego_at(8.0), 60, VehicleConfig())
    assert states[-1].xyz[1] == pytest.approx(1.5, abs=0.02)
    assert max(s.xyz[1] for s in states) < 1.65


@pytest.mark.parametrize("count", [5, 10])
def test_short_plans_are_driven_on_at_their_last_speed_and_bend(count):
    actions = np.tile([0.0, 0.05], (64, 1))
    full = track(decide(roll_plan(actions, 6.0, 0)), observe(ego_at(6.0, curvature_1pm=0.05)))
    short = track(decide(roll_plan(actions[:count], 6.0, 0)), observe(ego_at(6.0, curvature_1pm=0.05)))
    assert short.curvature_1pm == pytest.approx(full.curvature_1pm, abs=2e-3)
    assert short.accel_mps2 == pytest.approx(full.accel_mps2, abs=0.05)


def test_an_older_plan_is_followed_from_the_observations_own_ego():
    # the same plan, given 0.4 s late in the older rig frame, and given in the rig frame of now
    actions = np.tile([0.5, 0.04], (64, 1))
    plan = roll_plan(actions, 6.0, 0)
    xy, yaw, speed = roll(actions, 6.0)
    pose = transform_of(np.array([*xy[3], 0.0]), quat_from_yaw(yaw[3]))
    ego = replace(ego_at(float(speed[3]), t_us=400_000), curvature_1pm=0.04, accel_mps2=0.5)
    world = Trajectory(
        np.arange(-11, 5) * 100_000,
        np.concatenate([np.stack([0.6 * np.arange(-11.0, 1.0), np.zeros(12), np.zeros(12)], axis=-1),
                        np.concatenate([xy[:4], np.zeros((4, 1))], axis=1)]),
        quat_from_yaw(np.concatenate([np.zeros(12), yaw[:4]])),
        "world",
    )  # fmt: skip
    late = track(decide(plan), observe(ego, move_trajectory(invert(pose), world, "rig")))
    fresh = move_trajectory(invert(pose), Trajectory(plan.t_us[4:], plan.xyz[4:], plan.quat_xyzw[4:], "rig"), "rig")
    now = track(decide(fresh), observe(ego))
    assert late.curvature_1pm == pytest.approx(now.curvature_1pm, abs=1e-3)
    assert late.accel_mps2 == pytest.approx(now.accel_mps2, abs=0.02)
    assert late.accel_mps2 == pytest.approx(0.5, abs=0.1)


def test_mirrored_plans_give_mirrored_controls():
    rng = np.random.default_rng(2)
    actions = np.stack([rng.normal(0.0, 1.0, 64), rng.normal(0.0, 0.02, 64)], axis=-1)
    for config in (VehicleConfig(), DYNAMIC):
        a = track(decide(roll_plan(actions, 9.0, 0)), observe(ego_at(9.0)), TrackConfig(vehicle=config))
        b = track(decide(roll_plan(actions * [1.0, -1.0], 9.0, 0)), observe(ego_at(9.0)), TrackConfig(vehicle=config))
        assert b.accel_mps2 == pytest.approx(a.accel_mps2, abs=1e-9)
        assert b.curvature_1pm == pytest.approx(-a.curvature_1pm, abs=1e-9)


@given(
    speed=st.floats(0.0, 35.0),
    accel=st.floats(-6.0, 3.0),
    curvature=st.floats(-0.2, 0.2),
    steered=st.floats(-0.2, 0.2),
    dynamic=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_controls_are_finite_and_within_the_cars_limits(speed, accel, curvature, steered, dynamic):
    config = DYNAMIC if dynamic else VehicleConfig()
    plan = roll_plan(np.tile([accel, curvature], (64, 1)), speed, 0)
    controls = track(decide(plan), observe(ego_at(speed, curvature_1pm=steered)), TrackConfig(vehicle=config))
    assert config.accel_min_mps2 - 1e-6 <= controls.accel_mps2 <= config.accel_max_mps2 + 1e-6
    assert abs(controls.curvature_1pm) <= config.curvature_max_1pm + 1e-6
    assert same(
        controls, track(decide(plan), observe(ego_at(speed, curvature_1pm=steered)), TrackConfig(vehicle=config))
    )


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (roll_plan(np.zeros((4, 2)), 5.0, 0), "4 poses"),
        (roll_plan(np.zeros((64, 2)), 5.0, 200_000), "0.20 s after"),
        (roll_plan(np.zeros((10, 2)), 5.0, -1_000_000), "ended 0.00 s ago"),
        (roll_plan(np.zeros((64, 2)), 5.0, -2_000_000), "2.00 s old"),
        (replace(roll_plan(np.zeros((64, 2)), 5.0, 0), frame="world"), '"world"'),
    ],
)
def test_plans_that_cannot_be_tracked_are_refused_by_name(plan, words):
    with pytest.raises(ValueError, match=words):
        Tracker().controls(decide(plan), observe(ego_at(5.0)))
