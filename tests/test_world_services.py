"""The world's services under a small runtime: they agree with our own loop, keep sessions apart, and name faults."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from cordillera.cli import main
from cordillera.geometry import invert, transform_of, yaw_of
from cordillera.loop import roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.presets.serve_world import ServeWorldJob, servers_of, sources_of, world_services
from cordillera.presets.world import recorded, xodr_of
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.serve.client import contract_route
from cordillera.serve.convert import camera_message, pose_message, transform_message
from cordillera.serve.recipe import SceneRecipe, scene_id_of
from cordillera.serve.route import route_of, waypoints_of
from cordillera.serve.scene import EPOCH_US, SceneArchive, read_scene, write_scene
from cordillera.serve.scenes import Scenes, archived, made
from cordillera.serve.sensorsim import scaled
from cordillera.serve.sensorsim_service import Views, shot_of
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.wire import (
    common_pb2,
    controller_pb2,
    physics_pb2,
    sensorsim_pb2,
    traffic_pb2,
)
from cordillera.serve.wire.services import CONTROLLER, PHYSICS, SENSORSIM, TRAFFIC, Stub
from cordillera.types import Decision, Observation, Rollout
from cordillera.world.maps import load_map
from cordillera.world.world import World
from tests.runtime_client import Runtime
from tests.serve_fixtures import serving

RECIPE = SceneRecipe("built:four_way", 3, 4.0)
CAMERA = "camera_front_wide_120fov"
SIZE = (96, 54)
STEPS = 40


@dataclass(frozen=True)
class ThroughContract:
    """The route follower on the route as the wire has it: 20 waypoints 4 m apart."""

    name: str = "route-follower"

    def decide(self, observation: Observation) -> Decision:
        line, ends = waypoints_of(contract_route(observation.route).astype(np.float32).astype(np.float64))
        return RouteFollower().decide(replace(observation, route=route_of(line, ends, None)))


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene that is served, and what is known of it."""

    path: Path
    archive: SceneArchive
    scenes: Scenes
    drive: Rollout  # the recorded one
    own: Rollout  # the route follower's, in our loop
    world: str
    driver: str

    def runtime(self, **changes) -> Runtime:
        scenario = self.drive.scenario
        roads = self.scenes.get(self.archive.scene_id).roads
        return Runtime(
            self.world, self.driver, self.archive, roads, scenario.route, scenario.vehicle,
            scenario.initial.ego.speed_mps, SIZE, **changes,
        )  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    drive = recorded(RECIPE)
    path = tmp_path_factory.mktemp("scenes") / "scene.usdz"
    write_scene(path, drive, load_map(RECIPE.map), xodr_of(RECIPE.map), RECIPE, rig((CAMERA,), 192, 108))
    scenario = drive.scenario
    own = roll_out(scenario, World(scenario), Observer(), SafeDriver(ThroughContract()))
    scenes = Scenes([archived(path)])
    with Background(world_services(scenes)) as world, serving() as driver:
        yield Stage(path, read_scene(path), scenes, drive, own, world, driver)


# ------------------------------------------------------------ the runtime's part


def test_a_rollout_over_the_wire_is_the_one_of_our_loop(stage: Stage) -> None:
    """Ego within 5 cm and 0.05 m/s, others within 5 cm over 4 s; what differs is float32 and velocities told late."""
    journey = stage.runtime().drive(STEPS)
    states = [*(step.state for step in stage.own.steps), stage.own.final]
    assert len(journey.tf) == len(states) == STEPS + 1
    moved = 0.0
    for k, state in enumerate(states):
        agents = state.agents
        assert journey.t_us[k] == state.t_us + EPOCH_US
        assert_allclose(journey.tf[k][:3, 3], state.ego.xyz, atol=0.05)
        turn = np.arctan2(journey.tf[k][1, 0], journey.tf[k][0, 0]) - yaw_of(state.ego.quat_xyzw)
        assert abs(np.sin(turn)) < 0.005
        assert journey.speed[k] == pytest.approx(state.ego.speed_mps, abs=0.05)
        rows = {str(int(agents.id[row])): row for row in np.flatnonzero(agents.valid)}
        assert set(journey.others[k]) == set(rows) & set(stage.archive.tracks)
        for name, (xyz, _) in journey.others[k].items():
            assert_allclose(xyz[:2], agents.xyz[rows[name], :2], atol=0.05)
    moved = float(np.linalg.norm(journey.tf[-1][:2, 3] - journey.tf[0][:2, 3]))
    assert moved > 10.0  # it drove
    assert len(journey.image_bytes) == STEPS


def test_under_force_the_recording_drives_and_the_others_are_where_they_were(stage: Stage) -> None:
    journey = stage.runtime(force_gt_us=1_700_000, cameras=False).drive(20)
    for k in range(18):
        assert_allclose(journey.tf[k][:2, 3], stage.archive.tf_world_rig[k][:2, 3], atol=1e-3)
        for name, (xyz, _) in journey.others[k].items():
            rows = stage.archive.tracks[name][2]
            assert_allclose(xyz[:2], rows[rows[:, 0] == journey.t_us[k]][0, 1:3], atol=1e-3)
    # after the handover nobody jumps
    for before, after in zip(journey.others[16:-1], journey.others[17:], strict=True):
        for name in before.keys() & after.keys():
            assert np.linalg.norm(after[name][0] - before[name][0]) < 2.5
    gone = np.linalg.norm(journey.tf[-1][:2, 3] - journey.tf[17][:2, 3])
    assert gone == pytest.approx(0.3 * journey.speed[17], abs=0.3)


def test_sessions_do_not_meet(stage: Stage) -> None:
    alone = stage.runtime(cameras=False).drive(8)
    first, second = stage.runtime(cameras=False), stage.runtime(cameras=False, force_gt_us=3_000_000)
    first.start()
    second.start()
    for k in range(8):
        first.step()
        if k < 5:
            second.step()
        if k == 5:
            second.close()
    first.close()
    for a, b in zip(alone.tf, first.journey.tf, strict=True):
        assert (a == b).all()
    for a, b in zip(alone.others, first.journey.others, strict=True):
        assert a.keys() == b.keys()
        assert all((a[name][0] == b[name][0]).all() for name in a)


# ------------------------------------------------------------------- pictures


@pytest.fixture
def channel(stage: Stage) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stage.world) as channel:
        yield channel


def shot(stage: Stage, width: int = 192, height: int = 108, image_format: int = 1) -> sensorsim_pb2.RGBRenderRequest:
    """A picture of where the recorded drive starts."""
    camera = stage.archive.cameras[0]
    ego = stage.drive.scenario.initial.ego
    pose = transform_message(transform_of(ego.xyz, ego.quat_xyzw) @ camera.tf_rig_camera)
    request = sensorsim_pb2.RGBRenderRequest(
        scene_id=stage.archive.scene_id, resolution_h=height, resolution_w=width, frame_start_us=EPOCH_US - 30_000,
        frame_end_us=EPOCH_US, camera_intrinsics=camera_message(camera).intrinsics, image_format=image_format,
        sensor_pose=sensorsim_pb2.PosePair(start_pose=pose, end_pose=pose),
    )  # fmt: skip
    for name, (_, _, rows) in stage.archive.tracks.items():
        if rows[0, 0] == EPOCH_US:
            there = pose_message(rows[0, 1:4], rows[0, 4:])
            pair = sensorsim_pb2.PosePair(start_pose=there, end_pose=there)
            request.dynamic_objects.add(track_id=name, pose_pair=pair)
    return request


def picture_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_a_picture_over_the_wire_is_the_one_of_our_renderer(stage: Stage, channel: grpc.Channel) -> None:
    sensorsim = Stub(channel, SENSORSIM)
    scene = stage.scenes.get(stage.archive.scene_id)
    expected = CpuRenderer(scene.eyes.scene).one(stage.drive.scenario.initial, stage.archive.cameras[0])
    found = picture_of(sensorsim.render_rgb(shot(stage)).image_bytes)
    assert found.shape == (108, 192, 3)
    # float32 poses move an edge here and there, and brake lights are not on the wire
    assert (np.abs(found - expected).max(axis=-1) > 8).mean() < 0.02
    planes = sensorsim.render_rgb(shot(stage, image_format=4)).image_bytes
    assert (np.frombuffer(planes, dtype=np.uint8).reshape(3, 108, 192).transpose(1, 2, 0) == found).all()


def test_a_picture_of_another_size_shows_the_same(stage: Stage, channel: grpc.Channel) -> None:
    sensorsim = Stub(channel, SENSORSIM)
    large = picture_of(sensorsim.render_rgb(shot(stage, 384, 216)).image_bytes)
    small = picture_of(sensorsim.render_rgb(shot(stage)).image_bytes)
    shrunk = large.reshape(108, 2, 192, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 4.0
    camera = stage.archive.cameras[0]
    half = scaled(camera, 96, 54)
    assert (half.cx + 0.5, half.cy + 0.5) == pytest.approx((0.5 * (camera.cx + 0.5), 0.5 * (camera.cy + 0.5)))
    theta = np.linspace(0.0, 0.9, 20)
    r = np.polynomial.polynomial.polyval(theta, np.array(half.fw_poly))
    assert_allclose(2.0 * r, np.polynomial.polynomial.polyval(theta, np.array(camera.fw_poly)), rtol=1e-12)
    back = np.polynomial.polynomial.polyval(r, np.array(half.bw_poly))
    assert_allclose(back, np.polynomial.polynomial.polyval(2.0 * r, np.array(camera.bw_poly)), rtol=1e-9)
    with pytest.raises(grpc.RpcError, match="ask for its shape"):
        sensorsim.render_rgb(shot(stage, 200, 200))


def test_in_a_batch_one_that_fails_spoils_no_other(stage: Stage, channel: grpc.Channel) -> None:
    sensorsim = Stub(channel, SENSORSIM)
    bad = shot(stage)
    bad.dynamic_objects.add(track_id="somebody", pose_pair=bad.dynamic_objects[0].pose_pair)
    request = sensorsim_pb2.BatchRGBRenderRequest()
    for name, each in (("a", shot(stage)), ("b", bad), ("c", shot(stage, image_format=2))):
        request.items.add(camera_name=name, request=each)
    items = sensorsim.batch_render_rgb(request).items
    assert [(item.camera_name, item.success) for item in items] == [("a", True), ("b", False), ("c", True)]
    assert "'somebody' is not in the scene" in items[1].error_message
    assert items[0].result.image_bytes == sensorsim.render_rgb(shot(stage)).image_bytes
    together = sensorsim.render_aggregated(sensorsim_pb2.AggregatedRenderRequest(rgb_requests=[shot(stage)]))
    assert together.rgb_returns[0].image_bytes == items[0].result.image_bytes


def test_what_there_is(stage: Stage, channel: grpc.Channel) -> None:
    empty, scene_id = common_pb2.Empty(), stage.archive.scene_id
    sensorsim, physics = Stub(channel, SENSORSIM), Stub(channel, PHYSICS)
    assert list(sensorsim.get_available_scenes(empty).scene_ids) == [scene_id]
    assert list(physics.get_available_scenes(empty).scene_ids) == [scene_id]
    assert [s.scene_id for s in sensorsim.get_loaded_scenes(empty).scenes] == [scene_id]
    (camera,) = sensorsim.get_available_cameras(
        sensorsim_pb2.AvailableCamerasRequest(scene_id=scene_id)
    ).available_cameras
    assert camera == camera_message(stage.archive.cameras[0])
    (found,) = sensorsim.get_available_trajectories(
        sensorsim_pb2.AvailableTrajectoriesRequest(scene_id=scene_id)
    ).available_trajectories
    assert [p.timestamp_us for p in found.trajectory.poses] == list(stage.archive.ego_t_us)
    assert not sensorsim.get_available_ego_masks(empty).ego_mask_metadata
    versions = [s.get_version(empty) for s in (sensorsim, physics, Stub(channel, CONTROLLER))]
    versions.append(Stub(channel, TRAFFIC).get_metadata(empty).version_id)
    assert [v.version_id.split()[0] for v in versions] == ["cordillera"] * 4
    assert all((v.grpc_api_version.major, v.grpc_api_version.minor) == (0, 54) for v in versions)


# ----------------------------------------------------------------- controller


def control(
    name: str = "s", speed: float = 8.0, until_us: int = 100_000
) -> controller_pb2.RunControllerAndVehicleModelRequest:
    request = controller_pb2.RunControllerAndVehicleModelRequest(session_uuid=name, future_time_us=EPOCH_US + until_us)
    request.state.timestamp_us = EPOCH_US
    request.state.pose.CopyFrom(pose_message((5.0, 2.0, 0.5), (0.0, 0.0, 0.0, 1.0)))
    request.state.state.linear_velocity.x = speed
    for k in range(65):
        pose = pose_message((0.1 * k * speed, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        request.planned_trajectory_in_rig.poses.add(timestamp_us=EPOCH_US + 100_000 * k, pose=pose)
    return request


def test_the_controller_reports_as_often_as_it_is_asked(channel: grpc.Channel) -> None:
    controller = Stub(channel, CONTROLLER)
    controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="s"))
    try:
        request = control(until_us=330_000)
        for every, times in ((0, [330]), (100_000, [100, 200, 300, 330]), (50_000, [*range(50, 330, 50), 330])):
            request.pose_reporting_interval_us = every
            answer = controller.run_controller_and_vehicle(request)
            assert [s.timestamp_us - EPOCH_US for s in answer.states] == [1000 * t for t in times]
            assert answer.pose_local_to_rig.pose == answer.states[-1].pose_local_to_rig
            assert answer.states[-1].pose_local_to_rig.vec.x == pytest.approx(5.0 + 0.33 * 8.0, abs=0.02)
        request.pose_reporting_interval_us = 5
        with pytest.raises(grpc.RpcError, match="pose_reporting_interval_us is 5"):
            controller.run_controller_and_vehicle(request)
        request = control(until_us=1_000_000)
        request.direct_control.longitudinal_acceleration_mps2 = -2.0
        request.direct_control.front_wheel_steering_angle_rad = 0.05
        last = controller.run_controller_and_vehicle(request).states[-1]
        assert last.dynamic_state.linear_velocity.x == pytest.approx(8.0 - 2.0 * 0.8, abs=0.1)  # the lag is 0.2 s
        assert last.pose_local_to_rig.vec.y > 2.1
        short = control()
        del short.planned_trajectory_in_rig.poses[2:]
        assert controller.run_controller_and_vehicle(short).states[-1].pose_local_to_rig.vec.x == pytest.approx(
            5.8, abs=0.02
        )
    finally:
        controller.close_session(controller_pb2.VDCSessionCloseRequest(session_uuid="s"))


def test_a_session_keeps_the_car_whose_rates_come_late(channel: grpc.Channel) -> None:
    controller = Stub(channel, CONTROLLER)

    def second(told_mps: float, coerce: bool) -> float:
        controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="late"))
        request = control("late")
        for pose in request.planned_trajectory_in_rig.poses:
            pose.pose.vec.x *= 0.3  # it brakes hard
        first = controller.run_controller_and_vehicle(request).states[-1]
        request.state.timestamp_us = first.timestamp_us
        request.state.pose.CopyFrom(first.pose_local_to_rig)
        request.state.state.linear_velocity.x = told_mps
        request.coerce_dynamic_state = coerce
        request.future_time_us = first.timestamp_us + 100_000
        states = controller.run_controller_and_vehicle(request).states
        controller.close_session(controller_pb2.VDCSessionCloseRequest(session_uuid="late"))
        return states[-1].dynamic_state.linear_velocity.x

    assert second(7.9, False) == second(8.1, False)
    assert second(7.9, True) != second(8.1, True)
    assert second(3.0, False) < 3.1  # far from what was answered: another car


# ------------------------------------------------------------- what is refused


def code_of(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()  # type: ignore[attr-defined]


def test_malformed_requests_get_a_code_and_a_sentence(stage: Stage, channel: grpc.Channel) -> None:
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    sensorsim, physics, traffic, controller = (Stub(channel, n) for n in (SENSORSIM, PHYSICS, TRAFFIC, CONTROLLER))
    scene_id = stage.archive.scene_id

    def drawn(change) -> tuple[grpc.StatusCode, str]:
        request = shot(stage)
        change(request)
        return code_of(lambda: sensorsim.render_rgb(request))

    def changed(**values):
        return lambda request: [setattr(request, name, value) for name, value in values.items()]

    def simulated(name: str) -> tuple[grpc.StatusCode, str]:
        request = traffic_pb2.TrafficRequest(session_uuid=name, time_query_us=2 * EPOCH_US)
        return code_of(lambda: traffic.simulate(request))

    lidar = sensorsim_pb2.LidarRenderRequest()
    nan = pose_message((np.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    bad_box = physics_pb2.PhysicsGroundIntersectionRequest(scene_id=scene_id)
    bad_box.other_objects.add().pose_pair.future_pose.CopyFrom(nan)
    unknown = traffic_pb2.TrafficSessionRequest(session_uuid="x", scene_id=scene_id)
    unknown.logged_object_trajectories.add(object_id="somebody")
    blind = traffic_pb2.TrafficSessionRequest(session_uuid="blind", scene_id=scene_id)
    traffic.start_session(blind)
    controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="again"))
    try:
        cases = [
            (drawn(changed(scene_id=scene_id[:-2])), missing, f"did you mean '{scene_id}'"),
            (drawn(changed(image_format=5)), invalid, "image_format 5"),
            (drawn(changed(insert_ego_mask=True)), invalid, "no ego masks"),
            (drawn(changed(frame_end_us=5)), invalid, "scenes begin at"),
            (drawn(changed(resolution_w=19200, resolution_h=10800)), invalid, "8 to 4096"),
            (drawn(lambda r: r.ClearField("camera_intrinsics")), invalid, "resolution_w"),
            (drawn(lambda r: r.ClearField("sensor_pose")), invalid, "sensor_pose has no pose"),
            (drawn(lambda r: r.sensor_pose.end_pose.CopyFrom(nan)), invalid, "not finite"),
            (drawn(lambda r: r.dynamic_objects.append(r.dynamic_objects[0])), invalid, "given twice"),
            (code_of(lambda: physics.ground_intersection(bad_box)), invalid, "aabb of object 0"),
            (code_of(lambda: traffic.start_session(unknown)), invalid, "'somebody' is not in the scene"),
            (code_of(lambda: traffic.start_session(blind)), grpc.StatusCode.ALREADY_EXISTS, "is open already"),
            (simulated("blind"), invalid, 'send an update of the object "EGO"'),
            (simulated("no"), missing, "start_session"),
            (code_of(lambda: controller.run_controller_and_vehicle(control("no"))), missing, "start_session"),
            (
                code_of(lambda: controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="again"))),
                grpc.StatusCode.ALREADY_EXISTS, "is open already",
            ),
            (code_of(lambda: controller.start_session(controller_pb2.VDCSessionRequest())), invalid, "session_uuid"),
            (code_of(lambda: sensorsim.render_lidar(lidar)), grpc.StatusCode.UNIMPLEMENTED, ""),
        ]  # fmt: skip
    finally:
        traffic.close_session(traffic_pb2.TrafficSessionCloseRequest(session_uuid="blind"))
        controller.close_session(controller_pb2.VDCSessionCloseRequest(session_uuid="again"))
    for (code, sentence), expected, words in cases:
        assert code is expected, sentence
        assert words in sentence
    # and the service is as well as before
    assert sensorsim.render_rgb(shot(stage)).image_bytes


def test_a_service_restarts_clean(stage: Stage) -> None:
    with Background(world_services(stage.scenes)) as address:
        port = int(address.rpartition(":")[2])
        with grpc.insecure_channel(address) as channel:
            Stub(channel, CONTROLLER).start_session(controller_pb2.VDCSessionRequest(session_uuid="s"))
    with (
        Background(world_services(stage.scenes), ServerConfig(port=port)) as again,
        grpc.insecure_channel(again) as channel,
    ):
        controller = Stub(channel, CONTROLLER)
        assert code_of(lambda: controller.run_controller_and_vehicle(control()))[0] is grpc.StatusCode.NOT_FOUND
        controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="s"))
        assert controller.run_controller_and_vehicle(control()).states


def test_sessions_are_limited_and_let_go_of(stage: Stage) -> None:
    services = world_services(stage.scenes, 1, SessionLimits(sessions=2, idle_s=0.2))
    beside = (services[CONTROLLER].sessions.reap,)  # type: ignore[attr-defined]
    with Background(services, beside=beside) as address, grpc.insecure_channel(address) as channel:
        controller = Stub(channel, CONTROLLER)
        for name in ("a", "b"):
            controller.start_session(controller_pb2.VDCSessionRequest(session_uuid=name))
        third = controller_pb2.VDCSessionRequest(session_uuid="c")
        assert code_of(lambda: controller.start_session(third))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(100):
            try:
                controller.start_session(third)
                break
            except grpc.RpcError:
                time.sleep(0.05)
        assert code_of(lambda: controller.run_controller_and_vehicle(control("a")))[0] is grpc.StatusCode.NOT_FOUND


# -------------------------------------------------------------------- the verb


def test_scenes_come_from_archives_folders_maps_and_families(stage: Stage, tmp_path: Path) -> None:
    recipe = SceneRecipe(seed=1, family="free_road")
    job = ServeWorldJob((stage.path.parent,), (recipe,), (CAMERA,), (192, 108))
    sources = sources_of(job)
    assert [s.scene_id for s in sources] == [stage.archive.scene_id, scene_id_of(recipe.scenario())]
    assert not len(sources[1].recorded.t_us)
    with pytest.raises(ValueError, match=r"no \.usdz archive"):
        sources_of(ServeWorldJob((tmp_path,)))
    with pytest.raises(ValueError, match="given twice"):
        Scenes([sources[0], sources[0]])
    with pytest.raises(ValueError, match="no scene to serve"):
        Scenes([])


def test_scenes_that_are_not_used_are_dropped(stage: Stage) -> None:
    cameras = rig((CAMERA,), 64, 36)
    other = made(SceneRecipe("built:straight", 1, 3.0), cameras)
    scenes = Scenes([archived(stage.path), other], loaded=1)
    scenes.get(stage.archive.scene_id)
    scenes.get(other.scene_id)
    assert scenes.ready == (other.scene_id,)
    stale = Scenes([replace(archived(stage.path), map_sha256="0" * 64)])
    with pytest.raises(Exception, match="another version of the map"):
        stale.get(stage.archive.scene_id)


def test_services_may_have_ports_of_their_own(stage: Stage) -> None:
    services = world_services(stage.scenes)
    parts = servers_of(services, ServerConfig(port=6000), True)
    assert [(list(group), config.port) for group, config in parts] == [
        ([SENSORSIM], 6000), ([PHYSICS], 6001), ([TRAFFIC], 6002), ([CONTROLLER], 6003),
    ]  # fmt: skip
    assert servers_of(services, ServerConfig(port=6000), False) == [(services, ServerConfig(port=6000))]
    assert len({c.target for _, c in servers_of(services, ServerConfig(host="unix:/x/y"), True)}) == 4


def test_the_verb_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        ([], "no scene to serve"),
        (["--map", "built:straight", "--family", "free_road"], "give one of the two"),
        (["--map", "built:straight", "--cameras", "none"], "at least one camera"),
        ([str(tmp_path / "none.usdz")], "no such scene archive"),
        (["--map", "built:straight", "--host", "0.0.0.0"], "give --tls-cert"),
        (["--family", "free_raod"], "did you mean 'free_road'"),
    ):
        assert main(["serve-world", *words]) == 2
        assert said in capsys.readouterr().err


def test_the_rig_of_a_picture_follows_its_pose(stage: Stage) -> None:
    """The pose of the camera rules, wherever the scene says that it is mounted."""
    request, source = shot(stage), stage.scenes.source(stage.archive.scene_id)
    found = shot_of(request, source, Views())
    tf = found.tf_world_rig @ found.view.camera.tf_rig_camera
    ego = stage.drive.scenario.initial.ego
    expected = transform_of(ego.xyz, ego.quat_xyzw) @ stage.archive.cameras[0].tf_rig_camera
    assert_allclose(invert(tf) @ expected, np.eye(4), atol=1e-4)
