"""What the world's services compute: controller, ground, traffic and pictures equal those of our own loop."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from cordillera.geometry import invert, move_trajectory, quat_from_yaw, rotation_of, transform_of, yaw_of
from cordillera.kinematics import roll_plan
from cordillera.presets.world import recorded
from cordillera.runtime.track import track
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.serve.controller import Controller, blind
from cordillera.serve.physics import Ground, on_road
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import EPOCH_US, box_pose
from cordillera.serve.sensorsim import SceneRenderer, encoded, mounted, place_agents
from cordillera.serve.traffic import TrafficSession
from cordillera.types import Decision, EgoState, Rollout, Trajectory, WorldState
from cordillera.world.maps import load_map
from cordillera.world.roads import compile_map
from cordillera.world.vehicle import VehicleConfig, step_vehicle

RECIPE = SceneRecipe("built:four_way", 3, 4.0)


@pytest.fixture(scope="module")
def drive() -> Rollout:
    return recorded(RECIPE)


def states_of(drive: Rollout) -> list[WorldState]:
    return [*(step.state for step in drive.steps), drive.final]


# ------------------------------------------------------------- controller


def plan_from_here(ego: EgoState, accel: float = 0.5, curvature: float = 0.02) -> tuple[Trajectory, Trajectory]:
    """A plan of ours, and the same as the wire has it: with the car's own place as first pose."""
    actions = np.tile([accel, curvature], (64, 1))
    own = roll_plan(actions, ego.speed_mps, ego.t_us)
    wire = Trajectory(
        np.concatenate([[ego.t_us], own.t_us]), np.concatenate([np.zeros((1, 3)), own.xyz]),
        np.concatenate([quat_from_yaw(np.zeros(1)), own.quat_xyzw]), "rig",
    )  # fmt: skip
    return own, wire


def ego_at(speed: float = 8.0, yaw: float = 2.5) -> EgoState:
    return EgoState(3_000_000, np.array([40.0, -7.0, 1.5]), quat_from_yaw(yaw), np.array([speed, 0.0, 0.0]))


def test_one_step_is_the_tracker_and_the_vehicle_model() -> None:
    ego = ego_at()
    own, wire = plan_from_here(ego)
    (after,) = Controller().propagate(ego, wire, ego.t_us + 100_000)
    controls = track(Decision(own, (), None, "", 0.0), blind(ego))
    expected = step_vehicle(ego, controls, 0.1, VehicleConfig())
    assert_allclose(after.xyz, expected.xyz, atol=1e-9)
    assert_allclose(after.quat_xyzw, expected.quat_xyzw, atol=1e-9)
    assert_allclose(after.velocity_mps, expected.velocity_mps, atol=1e-9)
    assert after.t_us == ego.t_us + 100_000


def test_a_plan_is_followed_for_seconds() -> None:
    ego = ego_at()
    _, wire = plan_from_here(ego, 0.0, 0.01)
    states = Controller().propagate(ego, wire, ego.t_us + 3_050_000)
    assert [s.t_us - ego.t_us for s in states] == [*range(100_000, 3_100_000, 100_000), 3_050_000]
    local = move_trajectory(transform_of(ego.xyz, ego.quat_xyzw), wire, "local")
    for state in states[5:]:
        wanted = [np.interp(state.t_us, local.t_us, local.xyz[:, i]) for i in range(2)]
        assert np.hypot(*(state.xyz[:2] - wanted)) < 0.35


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: replace(p, xyz=np.where(np.arange(65)[:, None] == 7, np.nan, p.xyz)), "NaN"),
        (lambda p: replace(p, t_us=p.t_us[::-1].copy()), "do not increase"),
        (lambda p: replace(p, t_us=np.concatenate([p.t_us[:1], p.t_us[:-1]])), "do not increase"),
        (lambda p: replace(p, quat_xyzw=2.0 * p.quat_xyzw), "unit length"),
        (lambda p: replace(p, t_us=p.t_us + 50_000), "starts 0.05 s after"),
        (lambda p: Trajectory(p.t_us[:1], p.xyz[:1], p.quat_xyzw[:1], "rig"), "1 poses"),
        (lambda p: replace(p, t_us=p.t_us - 6_400_000), "before the state"),
    ],
)
def test_plans_that_cannot_be_followed_are_named(change, reason: str) -> None:
    ego = ego_at()
    with pytest.raises(ValueError, match=reason):
        Controller().propagate(ego, change(plan_from_here(ego)[1]), ego.t_us + 100_000)


def test_times_that_cannot_be_reached_are_named() -> None:
    ego = ego_at()
    _, wire = plan_from_here(ego)
    for until_us in (ego.t_us, ego.t_us - 1, ego.t_us + 11_000_000):
        with pytest.raises(ValueError, match="future_time_us"):
            Controller().propagate(ego, wire, until_us)


# ----------------------------------------------------------------- ground


@pytest.mark.parametrize("lift", [-1.0, 0.0, 0.8])
def test_a_box_is_put_on_the_road(lift: float) -> None:
    road_map = load_map("karlsruhe")
    roads = compile_map(road_map)
    size = np.array([4.5, 1.8, 1.5])
    lane = max(range(len(road_map.lanes)), key=lambda k: abs(float(np.ptp(road_map.lanes[k].center_xyz[:, 2]))))
    xyz, yaw = roads.pose(lane, 0.5 * roads.length(lane))
    start = xyz + np.array([0.0, 0.0, 0.75 + lift])
    centre, quat, done = on_road(roads, start, quat_from_yaw(yaw), size)
    assert done is Ground.PLACED
    assert_allclose(centre[:2], xyz[:2], atol=0.3)
    foot = centre - rotation_of(quat) @ np.array([0.0, 0.0, 0.75])
    assert foot[2] == pytest.approx(xyz[2], abs=0.1)
    assert math.cos(float(yaw_of(quat)) - yaw) > 0.9999


def test_a_slope_tilts_the_box_forward() -> None:
    roads = compile_map(_sloped(0.1))
    centre, quat, done = on_road(roads, np.array([50.0, -1.75, 5.9]), quat_from_yaw(0.0), np.array([4.0, 1.8, 1.6]))
    assert done is Ground.PLACED
    forward = rotation_of(quat)[:, 0]
    assert forward[2] == pytest.approx(math.sin(math.atan(0.1)), abs=1e-3)
    assert centre[2] == pytest.approx(5.0 + 0.8 * math.cos(math.atan(0.1)), abs=0.02)


def _sloped(grade: float):
    """The straight built road, raised by a grade along x from x = 0."""
    road_map = load_map("built:straight")

    def raised(line: np.ndarray) -> np.ndarray:
        return np.column_stack([line[:, :2], line[:, 2] + grade * line[:, 0]])

    lanes = tuple(
        replace(k, center_xyz=raised(k.center_xyz), left_xyz=raised(k.left_xyz), right_xyz=raised(k.right_xyz))
        for k in road_map.lanes
    )
    return replace(road_map, lanes=lanes)


def test_off_the_roads_a_box_stays_and_says_so() -> None:
    roads = compile_map(load_map("built:straight"))
    size, quat = np.array([4.0, 2.0, 1.5]), quat_from_yaw(0.0)
    far = np.array([0.0, 500.0, 3.0])
    centre, _, done = on_road(roads, far, quat, size)
    assert done is Ground.NO_ROAD
    assert_allclose(centre, far)
    high = np.array([10.0, -1.75, 30.0])
    centre, _, done = on_road(roads, high, quat, size)
    assert done in (Ground.TOO_FAR, Ground.NO_ROAD)
    assert_allclose(centre, high)


# ---------------------------------------------------------------- traffic


def test_traffic_with_the_recorded_ego_is_the_recorded_traffic(drive: Rollout) -> None:
    states = states_of(drive)
    by_time = {state.t_us: state.ego for state in states}
    session = TrafficSession(drive.scenario)
    for state in states[1::7]:
        found = {p.object_id: p for p in session.simulate(by_time.__getitem__, state.t_us + EPOCH_US)}
        rows = np.flatnonzero(state.agents.valid)
        assert set(found) == {str(int(state.agents.id[row])) for row in rows}
        for row in rows:
            centre, quat = box_pose(state.agents, int(row))
            assert_allclose(found[str(int(state.agents.id[row]))].xyz, centre, atol=1e-9)
            assert_allclose(found[str(int(state.agents.id[row]))].quat_xyzw, quat, atol=1e-9)


def test_traffic_reacts_to_the_ego(drive: Rollout) -> None:
    states = states_of(drive)
    by_time = {state.t_us: state.ego for state in states}
    agents = drive.final.agents
    moving = [r for r in np.flatnonzero(agents.valid & (agents.speed_mps > 3.0)) if agents.kind[r] < 5]
    row = int(moving[0])
    ahead = agents.xyz[row] + 12.0 * np.array([math.cos(agents.yaw_rad[row]), math.sin(agents.yaw_rad[row]), 0.0])
    wall = EgoState(0, ahead, quat_from_yaw(float(agents.yaw_rad[row])), np.zeros(3))
    free, blocked = TrafficSession(drive.scenario), TrafficSession(drive.scenario)
    end_us = drive.final.t_us + EPOCH_US
    for session in (free, blocked):
        session.simulate(by_time.__getitem__, end_us)
    name = str(int(agents.id[row]))
    aside = replace(drive.final.ego, velocity_mps=np.zeros(3))
    past = {p.object_id: p.xyz for p in free.simulate(lambda t: replace(aside, t_us=t), end_us + 1_500_000)}
    stopped = {p.object_id: p.xyz for p in blocked.simulate(lambda t: replace(wall, t_us=t), end_us + 1_500_000)}
    assert np.linalg.norm(past[name] - agents.xyz[row]) > np.linalg.norm(stopped[name] - agents.xyz[row]) + 0.5


def test_between_steps_places_are_between(drive: Rollout) -> None:
    by_time = {state.t_us: state.ego for state in states_of(drive)}
    session = TrafficSession(drive.scenario)
    found = [session.simulate(by_time.__getitem__, EPOCH_US + t) for t in (1_000_000, 1_040_000, 1_100_000)]
    a, b, c = ({p.object_id: p.xyz for p in each} for each in found)
    for name in a.keys() & b.keys() & c.keys():
        assert_allclose(b[name], a[name] + 0.4 * (c[name] - a[name]), atol=1e-9)
    with pytest.raises(ValueError, match="times that increase"):
        session.simulate(by_time.__getitem__, EPOCH_US + 500_000)
    with pytest.raises(ValueError, match="at most 60 s"):
        session.simulate(by_time.__getitem__, EPOCH_US + 100_000_000)


# --------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def eyes(drive: Rollout) -> SceneRenderer:
    return SceneRenderer(drive.scenario)


def test_a_picture_is_the_one_of_our_own_loop(drive: Rollout, eyes: SceneRenderer) -> None:
    scenario, state = drive.scenario, drive.final
    camera = rig(("camera_front_wide_120fov",), 192, 108).cameras[0]
    scene = build_scene(load_map(scenario.map), scenario.weather, scenario.hour, scenario.region, scenario.seed)
    expected = CpuRenderer(scene).one(state, camera)
    tf = transform_of(state.ego.xyz, state.ego.quat_xyzw)
    agents = state.agents
    placed = {str(int(agents.id[row])): box_pose(agents, int(row)) for row in np.flatnonzero(agents.valid)}
    found = eyes.picture(camera, tf, state.t_us + EPOCH_US, placed)
    # brake lights and blinkers are not on the wire, so a handful of pixels may differ
    assert (np.abs(found.astype(int) - expected).max(axis=-1) > 8).mean() < 0.01
    empty = eyes.picture(camera, tf, state.t_us + EPOCH_US, {})
    assert (np.abs(empty.astype(int) - found).max(axis=-1) > 8).mean() > 0.0
    again = np.asarray(Image.open(io.BytesIO(encoded(found, 1, 0.0))))
    assert (again == found).all()
    jpeg = np.asarray(Image.open(io.BytesIO(encoded(found, 2, 95.0)))).astype(int)
    assert np.abs(jpeg - found).mean() < 4.0
    with pytest.raises(ValueError, match="image_format 5"):
        encoded(found, 5, 0.0)
    with pytest.raises(ValueError, match="image_quality"):
        encoded(found, 2, 400.0)


def test_a_camera_is_where_its_pose_says(drive: Rollout) -> None:
    camera = rig(("camera_front_tele_30fov",), 64, 36).cameras[0]
    ego = drive.final.ego
    tf = transform_of(ego.xyz, ego.quat_xyzw)
    assert_allclose(mounted(camera, tf, tf @ camera.tf_rig_camera).tf_rig_camera, camera.tf_rig_camera, atol=1e-12)
    other = mounted(camera, np.eye(4), tf @ camera.tf_rig_camera)
    assert_allclose(invert(other.tf_rig_camera) @ tf, invert(camera.tf_rig_camera), atol=1e-9)


def test_unknown_or_broken_objects_are_named(drive: Rollout, eyes: SceneRenderer) -> None:
    agents = drive.scenario.initial.agents
    here = (np.zeros(3), quat_from_yaw(0.0))
    for name in ("somebody", "999999", ""):
        with pytest.raises(ValueError, match="is not in the scene"):
            place_agents(agents, {name: here})
    with pytest.raises(ValueError, match="NaN"):
        place_agents(agents, {str(int(agents.id[0])): (np.full(3, np.nan), here[1])})
    second = place_agents(agents, {f"{int(agents.id[1])}.2": here})
    assert second.valid.tolist() == [k == 1 for k in range(len(agents.id))]
    camera = replace(rig(("camera_front_tele_30fov",), 64, 36).cameras[0], width=100_000)
    with pytest.raises(ValueError, match="100000 x 36"):
        eyes.picture(camera, np.eye(4), EPOCH_US, {})
