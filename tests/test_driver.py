"""The driver passes sound plans, clips controls, and stops where there is no plan to drive."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from cordillera.geometry import invert, project_to_polyline, quat_from_yaw, transform_of, transform_points
from cordillera.kinematics import roll_plan
from cordillera.runtime.driver import DriverConfig, SafeDriver, clip_controls, stop_plan
from cordillera.types import Controls, Decision, EgoState, Observation, Route, Trajectory, same
from cordillera.world.vehicle import VehicleConfig, step_vehicle


def observe(speed: float = 10.0, route: np.ndarray | None = None, t_us: int = 5_000_000) -> Observation:
    ego = EgoState(t_us, np.zeros(3), quat_from_yaw(0.0), np.array([speed, 0.0, 0.0]))
    return sense(ego, route)


def sense(ego: EgoState, route_world: np.ndarray | None) -> Observation:
    past = np.arange(-15, 1) * 0.1
    xyz = np.stack([past * ego.speed_mps, 0.0 * past, 0.0 * past], axis=-1)
    history = Trajectory(ego.t_us + (past * 1e6).astype(np.int64), xyz, quat_from_yaw(0.0 * past), "rig")
    line = np.zeros((0, 3)) if route_world is None else route_world
    line = transform_points(invert(transform_of(ego.xyz, ego.quat_xyzw)), line)
    return Observation(ego.t_us, (), (), (), history, ego, Route(line, frame="rig"))


@dataclass(frozen=True)
class Fake:
    """A policy that holds its speed, after which `change` works on the plan."""

    change: Callable[[Trajectory], object] = lambda plan: plan
    accel: float = 0.0
    curvature: float = 0.0
    steps: int = 64
    name: str = "fake"

    def decide(self, observation: Observation) -> Decision:
        actions = np.tile([self.accel, self.curvature], (self.steps, 1))
        plan = self.change(roll_plan(actions, observation.speed_mps, observation.t_us))
        return Decision(plan, (), None, self.name, -1.0) if isinstance(plan, Trajectory) else plan  # type: ignore


def edited(field: str, row: int, value: float) -> Callable[[Trajectory], Trajectory]:
    def change(plan: Trajectory) -> Trajectory:
        array = getattr(plan, field).copy()
        array[row] = value
        return replace(plan, **{field: array})

    return change


def test_a_sound_plan_passes_and_is_tracked():
    ticks = iter([1.0, 1.25])
    output = SafeDriver(Fake(accel=1.0, curvature=0.01), clock=lambda: next(ticks)).drive(observe())
    assert output.verdict.action == "pass" and output.verdict.reasons == ()
    assert output.decision.latency_ms == pytest.approx(250.0) and output.decision.policy == "fake"
    assert 0.5 < output.controls.accel_mps2 < 1.5
    assert 0.004 < output.controls.curvature_1pm < 0.02


@pytest.mark.parametrize("speed", [0.0, 0.5, 3.0, 10.0, 35.0])
@pytest.mark.parametrize("accel", [-3.0, 0.0, 2.0])
def test_ordinary_plans_pass_at_every_speed(speed, accel):
    fastest = max(speed + 6.4 * max(accel, 0.0), 1.0)
    output = SafeDriver(Fake(accel=accel, curvature=min(0.1, 2.0 / fastest**2))).drive(observe(speed))
    assert output.verdict.action == "pass", output.verdict.reasons


def test_a_jittering_plan_passes():
    rng = np.random.default_rng(0)

    def shake(plan: Trajectory) -> Trajectory:
        xyz = plan.xyz + rng.normal(0.0, 0.03, plan.xyz.shape)
        return replace(plan, xyz=xyz, quat_xyzw=quat_from_yaw(rng.normal(0.0, 0.01, 64)))

    for speed in (0.0, 2.0, 15.0):
        output = SafeDriver(Fake(change=shake)).drive(observe(speed))
        assert output.verdict.action == "pass", output.verdict.reasons


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edited("xyz", 7, np.nan), "1 of 64 poses are not finite, the first is pose 7"),
        (edited("quat_xyzw", 3, 0.6), "quaternion of pose 3 has length 1.2000"),
        (edited("t_us", 5, 0), "stamps do not increase"),
        (lambda p: replace(p, frame="world"), 'frame "world"'),
        (lambda p: replace(p, xyz=p.xyz[:, :2]), r"\(64, 2\) positions"),
        (lambda p: replace(p, t_us=p.t_us + 300_000), r"\+0\.30 s from now"),
        (lambda p: replace(p, t_us=p.t_us - 3_000_000), r"ends 3\.4 s from now"),
        (lambda p: replace(p, xyz=p.xyz + np.array([0.0, 4.0, 0.0])), r"4\.0 m from where the car will be"),
        (lambda p: replace(p, xyz=3.0 * p.xyz), "needs an acceleration of"),
        (lambda p: replace(p, xyz=-p.xyz), "goes backwards"),
        (lambda p: replace(p, quat_xyzw=quat_from_yaw(np.full(64, 0.8))), "slides sideways"),
        (lambda p: replace(p, quat_xyzw=quat_from_yaw(np.arange(64) * 0.3)), "needs a lateral acceleration"),
        (lambda p: "straight on", "returned str instead of a Decision"),
        (lambda p: 1 / 0, "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_plan_that_no_car_can_drive_gives_a_stop_and_says_why(change, words):
    output = SafeDriver(Fake(change=change)).drive(observe())
    assert output.verdict.action == "fallback"
    assert output.decision.policy == "fallback" and output.decision.reasoning is None
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(" ".join(output.verdict.reasons))
    assert output.controls.accel_mps2 < -1.0
    assert np.isfinite(output.decision.trajectory.xyz).all()


def test_too_short_plans_are_refused_and_the_limit_is_five_seconds():
    assert SafeDriver(Fake(steps=49)).drive(observe()).verdict.action == "fallback"
    assert SafeDriver(Fake(steps=50)).drive(observe()).verdict.action == "pass"
    assert SafeDriver(Fake(steps=2)).drive(observe()).verdict.action == "fallback"


def test_an_impossible_plan_that_can_be_drawn_stays_among_the_candidates():
    output = SafeDriver(Fake(change=lambda p: replace(p, xyz=3.0 * p.xyz))).drive(observe())
    assert len(output.decision.candidates) == 1
    assert output.decision.candidates[0].xyz[0, 0] == pytest.approx(3.0)
    broken = SafeDriver(Fake(change=edited("xyz", 7, np.nan))).drive(observe())
    assert broken.decision.candidates == ()


def test_an_older_plan_is_driven_from_where_the_car_now_is():
    late = SafeDriver(Fake(change=lambda p: roll_plan(np.tile([0.0, 0.0], (64, 1)), 10.0, 4_600_000)))
    output = late.drive(observe(10.0))
    assert output.verdict.action == "pass"
    assert output.controls.accel_mps2 == pytest.approx(0.0, abs=1e-6)


def test_controls_are_clipped_with_the_numbers_in_the_reason():
    config = DriverConfig()
    controls, reasons = clip_controls(Controls(5.0, 0.05), 20.0, config)
    assert controls.accel_mps2 == 3.0 and controls.curvature_1pm == pytest.approx(6.0 / 400.0)
    assert "5.00" in reasons[0] and "20.0 m/s2 sideways" in reasons[1]
    assert clip_controls(Controls(-2.0, 0.1), 5.0, config)[1] == ()
    output = SafeDriver(Fake(accel=3.9)).drive(observe(5.0))
    assert output.verdict.action == "clip" and output.controls.accel_mps2 == 3.0


@pytest.mark.parametrize("speed", [0.0, 3.0, 14.0, 30.0])
def test_without_a_plan_the_car_stops_firmly_and_stays(speed):
    driver, ego, hardest = SafeDriver(Fake(change=lambda p: 1 / 0)), observe(speed).ego, 0.0
    start_m = ego.xyz[0]
    for _ in range(round(speed / 3.5 * 10) + 25):
        ego = step_vehicle(ego, driver.drive(sense(ego, None)).controls, 0.1, VehicleConfig())
        hardest = min(hardest, ego.accel_mps2)
    assert ego.speed_mps == 0.0
    assert hardest > -4.6
    assert ego.xyz[0] - start_m <= speed**2 / 7.0 + 0.35 * speed + 0.3


def test_the_stop_follows_the_route_that_the_car_is_on():
    angle = np.linspace(0.0, 1.6, 80)
    bend = np.stack([60.0 * np.sin(angle), 60.0 * (1.0 - np.cos(angle)), 0.0 * angle], axis=-1)
    driver, ego = SafeDriver(Fake(change=lambda p: 1 / 0)), observe(12.0).ego
    for _ in range(60):
        output = driver.drive(sense(ego, bend))
        ego = step_vehicle(ego, output.controls, 0.1, VehicleConfig())
    assert ego.speed_mps == 0.0 and ego.xyz[0] > 15.0
    assert abs(project_to_polyline(bend, ego.xyz[0], ego.xyz[1])[1]) < 0.3
    # a route beside the car, or one across it, is no guide: the present curvature is
    for line in (
        bend + np.array([0.0, 3.0, 0.0]),
        bend @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    ):
        assert np.abs(stop_plan(observe(12.0, line), DriverConfig()).xyz[:, 1]).max() == 0.0


def test_interrupts_are_not_caught():
    def interrupt(plan: Trajectory) -> Trajectory:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SafeDriver(Fake(change=interrupt)).drive(observe())


def test_drive_is_a_function_of_its_observation():
    driver = SafeDriver(Fake(accel=1.0), clock=lambda: 0.0)
    assert same(driver.drive(observe()), driver.drive(observe()))
