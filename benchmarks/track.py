"""LQR against MPC as trajectory trackers: `python -m benchmarks.track` prints the table.

Every case drives the simulated vehicle along a fixed trajectory in the world: at each 0.1 s the tracker gets the next
6.4 s of it in the rig frame of now. Errors therefore add up, unlike with a policy that plans anew from where it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.track_lqr import solve_lqr
from cordillera.geometry import quat_from_yaw, yaw_of
from cordillera.kinematics import plan_of, roll
from cordillera.runtime.mpc import Chain, solve
from cordillera.runtime.track import TrackConfig, Tracker
from cordillera.types import Decision, EgoState, Float, Observation, Route, Trajectory
from cordillera.world.vehicle import VehicleConfig, step_vehicle

DT_S = 0.1


@dataclass(frozen=True, eq=False)
class Case:
    """A trajectory to follow, at 10 Hz from the start on: x, y, yaw, speed; and where the car starts beside it."""

    name: str
    poses: Float  # (N, 4)
    offset_m: float = 0.0
    steps: int = 100


def _case(name: str, accel: Float, curvature: Float, speed_mps: float, **options: float) -> Case:
    """Actions at 10 Hz -> the case that they drive, continued by 7 s of its last speed."""
    fill = np.zeros((70, 2))
    actions = np.concatenate([np.stack([accel, curvature], axis=-1), fill])
    xy, yaw, speed = roll(actions, speed_mps)
    start = np.array([[0.0, 0.0, 0.0, speed_mps]])
    poses = np.concatenate([start, np.concatenate([xy, yaw[:, None], speed[:, None]], axis=-1)])
    return Case(name, poses, steps=len(accel), **options)


def lane_change(name: str, speed_mps: float, shift_m: float, seconds: float, **options: float) -> Case:
    """A shift to the left along y = shift (10 u^3 - 15 u^4 + 6 u^5) at constant speed."""
    t = (np.arange(round((seconds + 4.0) / DT_S)) + 0.5) * DT_S
    u = np.clip((t - 1.0) / seconds, 0.0, 1.0)
    slope = shift_m / seconds / speed_mps * 30.0 * u**2 * (1.0 - u) ** 2
    bend = shift_m / (seconds * speed_mps) ** 2 * 60.0 * u * (1.0 - u) * (1.0 - 2.0 * u)
    return _case(name, np.zeros(len(t)), bend / (1.0 + slope**2) ** 1.5, speed_mps, **options)


def hairpin(name: str, radius_m: float, ramp: int) -> Case:
    """From 10 m/s down to 5, by 180 degrees round a bend with clothoids of `ramp` steps at its ends, and up again."""
    accel = np.concatenate([np.zeros(10), np.full(25, -2.0), np.zeros(60), np.full(25, 1.5)])
    tight = 1.0 / radius_m
    hold = round((np.pi / tight / 5.0) / DT_S - ramp)
    profile = np.concatenate(
        [np.linspace(0.0, tight, ramp + 1)[1:], np.full(hold, tight), np.linspace(tight, 0.0, ramp + 1)[1:]]
    )
    curvature = np.zeros(len(accel))
    curvature[37 : 37 + len(profile)] = profile
    return _case(name, accel, curvature, 10.0)


def stop(name: str, brake_mps2: float) -> Case:
    """From 14 m/s to rest with the brake built up and let off over 1 s, then 4 s of standing."""
    ramp = np.linspace(0.0, brake_mps2, 11)[1:]
    firm = round((-14.0 / brake_mps2 - 1.0) / DT_S)
    accel = np.concatenate([np.zeros(10), ramp, np.full(firm, brake_mps2), ramp[::-1], np.full(40, 0.1 * brake_mps2)])
    return _case(name, accel, np.zeros(len(accel)), 14.0)


def cases() -> tuple[Case, ...]:
    """The drives of the table."""
    return (
        lane_change("lane change", 25.0, 3.5, 4.0),
        lane_change("swerve", 20.0, 3.0, 2.0),
        lane_change("off by 0.5 m", 15.0, 0.0, 4.0, offset_m=0.5),
        hairpin("hairpin", 7.0, 15),
        hairpin("tight hairpin", 4.4, 9),  # at full lock, and its clothoids ask for 26 % more than the steering's rate
        stop("stop", -2.5),
        stop("hard stop", -7.9),
    )


@dataclass(frozen=True)
class Setting:
    """What is driven and how well it is sensed."""

    name: str
    vehicle: VehicleConfig
    position_noise_m: float = 0.0
    yaw_noise_rad: float = 0.0
    speed_noise_mps: float = 0.0


def settings() -> tuple[Setting, ...]:
    """Kinematic with lag, dynamic with lag, and the latter with noise in plan and odometry."""
    dynamic = VehicleConfig(model="dynamic")
    return (
        Setting("kinematic", VehicleConfig()),
        Setting("dynamic", dynamic),
        Setting("dynamic, noise", dynamic, 0.03, 0.005, 0.05),
    )


def _observe(ego: EgoState, case: Case, step: int, setting: Setting, rng: np.random.Generator):
    """The state at a step -> decision and observation: the next 6.4 s of the trajectory, seen from the car."""
    rows = case.poses[np.minimum(np.arange(step + 1, step + 65), len(case.poses) - 1)]
    yaw = float(yaw_of(ego.quat_xyzw))
    gap = rows[:, :2] - ego.xyz[:2]
    xy = np.stack([gap @ (np.cos(yaw), np.sin(yaw)), gap @ (-np.sin(yaw), np.cos(yaw))], axis=-1)
    xy = xy + rng.normal(0.0, 1.0, xy.shape) * setting.position_noise_m
    turned = rows[:, 2] - yaw + rng.normal(0.0, 1.0, len(rows)) * setting.yaw_noise_rad
    plan = plan_of(xy, turned, ego.t_us)
    sensed = max(ego.speed_mps + rng.normal() * setting.speed_noise_mps, 0.0) if ego.speed_mps > 0.0 else 0.0
    seen = replace(ego, velocity_mps=np.array([sensed, ego.velocity_mps[1], 0.0]))
    history = Trajectory(np.array([ego.t_us]), np.zeros((1, 3)), quat_from_yaw(np.zeros(1)), "rig")
    route = Route(np.zeros((2, 3)), frame="rig")
    return Decision(plan, (), None, "reference", 0.0), Observation(ego.t_us, (), (), (), history, seen, route)


def drive(case: Case, setting: Setting, solver: Callable[[Chain], Float], config: TrackConfig) -> dict[str, float]:
    """One case under one setting -> the figures of its row."""
    tracker = Tracker(replace(config, vehicle=setting.vehicle), solver)
    x, y, yaw, speed = case.poses[0]
    ego = EgoState(0, np.array([x, y - case.offset_m, 0.0]), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]))
    rng = np.random.default_rng(7)
    log, spent = [], []
    for step in range(case.steps):
        decision, observation = _observe(ego, case, step, setting, rng)
        began = time.process_time()
        controls = tracker.controls(decision, observation)
        spent.append(time.process_time() - began)
        ego = step_vehicle(ego, controls, DT_S, setting.vehicle)
        want = case.poses[step + 1]
        gap = ego.xyz[:2] - want[:2]
        across = gap @ (-np.sin(want[2]), np.cos(want[2]))
        along = gap @ (np.cos(want[2]), np.sin(want[2]))
        side = ego.speed_mps * ego.yaw_rate_radps
        log.append((across, along, ego.speed_mps - want[3], ego.accel_mps2, side))
    across, along, speed_error, accel, side = np.array(log).T
    jerk, side_jerk = np.diff(accel) / DT_S, np.diff(side) / DT_S
    return {
        "lateral RMS m": _rms(across),
        "lateral max m": float(np.abs(across).max()),
        "along RMS m": _rms(along),
        "speed RMS m/s": _rms(speed_error),
        "jerk RMS": _rms(jerk),
        "jerk max": float(np.abs(jerk).max()),
        "lat. jerk RMS": _rms(side_jerk),
        "lat. jerk max": float(np.abs(side_jerk).max()),
        "ms": float(np.median(spent) * 1e3),
    }


def _rms(values: Float) -> float:
    return float(np.sqrt(np.mean(values**2)))


def main() -> None:
    """Print the comparison."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config = TrackConfig()
    solvers = {"MPC": solve, "LQR": solve_lqr}
    for solver in solvers.values():
        drive(cases()[0], settings()[0], solver, config)  # compile
    table = Table(title="Trackers: errors against the trajectory, comfort (m/s3), CPU time per call")
    for column in ("case", "vehicle", "tracker"):
        table.add_column(column)
    totals: dict[str, list[dict[str, float]]] = {name: [] for name in solvers}
    for case in cases():
        for setting in settings():
            for name, solver in solvers.items():
                row = drive(case, setting, solver, config)
                totals[name].append(row)
                if len(table.columns) == 3:
                    for column in row:
                        table.add_column(column, justify="right")
                table.add_row(case.name, setting.name, name, *(f"{value:.3f}" for value in row.values()))
        table.add_section()
    for name, rows in totals.items():
        means = [f"{np.mean([row[column] for row in rows]):.3f}" for column in rows[0]]
        table.add_row("mean", "", name, *means)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
