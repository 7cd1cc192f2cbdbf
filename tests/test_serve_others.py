"""Judged by others' code: `carla-driver-interface` drives our server, and its drivers drive in our world."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

pytest.importorskip("grpc")
pytest.importorskip("carla_driver_interface")

import grpc
from carla_driver_interface import contract, geometry, protocol
from carla_driver_interface.driver import BaseDriver, DriveResult
from carla_driver_interface.policies.constant_speed import ConstantSpeedPolicy
from carla_driver_interface.policies.route_follower import RouteFollowerPolicy
from carla_driver_interface.server import serving as they_serve
from carla_driver_interface.testing import FakeCamera, FakeLoop

from cordillera.loop import roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import pinhole_camera, project, rig
from cordillera.serve.channel import Endpoint
from cordillera.serve.check import CheckConfig, run_checks
from cordillera.serve.check_list import CHECKS
from cordillera.serve.check_scene import Scene
from cordillera.serve.client import RemoteDriver
from cordillera.serve.convert import camera_of
from cordillera.serve.wire import sensorsim_pb2
from cordillera.types import Camera
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World
from tests.serve_fixtures import FRONT, SeeingPolicy, served, serving
from tests.test_serve_client import seen

NAME = "camera_front"
THEIRS = FakeCamera(NAME, 320, 180, 70.0, x=1.8, z=1.5, pitch_down_deg=4.0, yaw_left_deg=3.0)


class Watcher(SeeingPolicy):
    """Goes on straight, and keeps what it was shown."""

    shown: list = []  # noqa: RUF012 - one list for all, that is the point

    def decide(self, observation):
        self.shown.append(observation)
        return super().decide(observation)


@pytest.fixture
def shown():
    Watcher.shown.clear()
    return Watcher.shown


# ------------------------------------------------------- their runtime, our server


def test_their_loop_drives_our_route_follower_back_to_its_lane():
    with (
        serving(served(lambda seed: RouteFollower())) as address,
        FakeLoop(address, [THEIRS], initial_speed_mps=8.0, initial_lateral_offset_m=0.6) as loop,
    ):
        result = loop.run(80, seed=3)
    assert result.steps == 80 and not result.terminated_by_policy
    assert abs(result.lateral_offsets_m[-1]) < 0.1
    assert result.ego.positions[-1, 0] > 60.0
    assert (np.diff(result.ego.positions[:, 0]) > 0.0).all()


def test_their_loop_from_a_standstill_and_at_an_angle():
    with (
        serving(served(lambda seed: RouteFollower())) as address,
        FakeLoop(address, [THEIRS], initial_heading_rad=0.15) as loop,
    ):
        result = loop.run(100)
    assert result.ego.positions[-1, 0] > 20.0 and abs(result.ego.poses[-1].yaw) < 0.05


def our_view() -> Camera:
    """Their camera, by our own formulas."""
    yaw, pitch = np.radians(THEIRS.yaw_left_deg), np.radians(THEIRS.pitch_down_deg)
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    tf = np.eye(4)
    tf[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    tf[:3, 3] = (1.8, 0.0, 1.5)
    return pinhole_camera(NAME, 320, 180, 70.0, tf)


def test_their_camera_reads_as_the_same_camera():
    theirs = sensorsim_pb2.AvailableCamerasReturn.AvailableCamera.FromString(
        THEIRS.available_camera().SerializeToString()
    )
    read, ours = camera_of(theirs), our_view()
    assert_allclose(read.tf_rig_camera, ours.tf_rig_camera, atol=1e-6)
    assert_allclose([read.cx, read.cy, read.fw_poly[1]], [ours.cx, ours.cy, ours.fw_poly[1]], atol=1e-4)


@pytest.mark.parametrize("revision", [1, 2])
def test_their_road_is_where_our_camera_looks(revision, shown, monkeypatch):
    """Their renderer paints lane markings; in our policy's picture they lie where our own camera model puts them.

    Revision 1 declares the axes of the camera's body and says so in the metadata; a mistake turns the view away.
    """
    tell = contract.contract_metadata(revision)
    monkeypatch.setattr("carla_driver_interface.testing.negotiate", lambda stub, timeout=None: (None, revision))
    monkeypatch.setattr("carla_driver_interface.testing.contract_metadata", lambda revision: tell)
    camera = our_view()
    with (
        serving(served(Watcher, (camera,))) as address,
        FakeLoop(address, [THEIRS], image_format="png") as loop,
    ):
        loop.run(1)
    image = shown[0].images[0][-1].astype(int)
    y = np.array([-1.75, 1.75])
    marking = np.array([[4.0 + 12.0 * k + d, side, 0.0] for k in (1, 2) for d in (0.0, 0.5) for side in y])
    beside = marking + np.array([0.0, 1.0, 0.0])
    for points, bright in ((marking, True), (beside, False)):
        inside = points @ camera.tf_rig_camera[:3, :3] - camera.tf_rig_camera[:3, 3] @ camera.tf_rig_camera[:3, :3]
        pixel, _ = project(camera, inside)
        for (u, v), point in zip(np.round(pixel).astype(int), points, strict=True):
            patch = image[v - 1 : v + 2, u - 1 : u + 2].max()
            assert (patch > 200) == bright, (point, u, v, patch)


def test_our_answers_in_their_types():
    with serving(served(lambda seed: RouteFollower())) as address, grpc.insecure_channel(address) as channel:
        stub = protocol.EgodriverServiceStub(channel)
        version, revision = contract.negotiate(stub)
        assert revision == contract.CONTRACT_REVISION and version.version_id == "cordillera test route-follower"
        request = protocol.DriveSessionRequest(session_uuid="theirs", random_seed=1)
        stub.start_session(request)
        pose = geometry.Pose.from_xyz_yaw(100.0, 50.0, 2.0, 1.1)
        moving = protocol.RolloutEgoTrajectory(session_uuid="theirs")
        moving.trajectory.CopyFrom(geometry.Trajectory([7_000_000], [pose]).to_proto())
        moving.dynamic_states.append(protocol.DynamicState(linear_velocity=protocol.Vec3(x=8.0)))
        stub.submit_egomotion_observation(moving)
        line = geometry.waypoints_to_proto(np.array([[4.0 * k, 0.0, 0.0] for k in range(1, 21)]))
        route = protocol.Route(timestamp_us=7_000_000, waypoints=line)
        stub.submit_route(protocol.RouteRequest(session_uuid="theirs", route=route))
        answer = stub.drive(protocol.DriveRequest(session_uuid="theirs", time_now_us=7_000_000))
        plan = geometry.Trajectory.from_proto(answer.trajectory)  # checks order and quaternions
        assert plan.timestamps_us[0] == 7_000_000 and len(plan) == 65
        there = pose.inverse().transform_points(plan.positions)
        assert_allclose(there[:, 1], 0.0, atol=1e-3)
        assert (np.diff(there[:, 0]) > 0.0).all()
        assert protocol.unpack_debug_info(answer.debug_info.unstructured_debug_info) is None  # JSON is not theirs
        with pytest.raises(grpc.RpcError) as refused:
            stub.drive(protocol.DriveRequest(session_uuid="nobody", time_now_us=1))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


# ------------------------------------------------------- their drivers, our world


@pytest.mark.parametrize("mode", ["carla", "alpasim"])
def test_their_route_follower_drives_in_our_world(mode):
    scenario = make_scenario("built:curve", 1, 8.0)
    with they_serve(RouteFollowerPolicy(), 0, "127.0.0.1", mode=mode) as port:
        remote = RemoteDriver(f"127.0.0.1:{port}")
        rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(remote))
        remote.close()
    assert remote.version.startswith("route_follower-carla-driver-interface")
    assert rollout.ended in ("duration", "arrived")
    assert {step.output.verdict.action for step in rollout.steps} <= {"pass", "clip"}
    assert sum(s.state.ego.speed_mps for s in rollout.steps) * 0.1 > 20.0


def test_their_drivers_plan_is_read_to_float32():
    moment = seen(cameras=())
    with they_serve(ConstantSpeedPolicy(6.0), 0, "127.0.0.1") as port:
        remote = RemoteDriver(f"127.0.0.1:{port}")
        plan = remote.decide(moment).trajectory
        remote.close()
    assert_allclose(plan.xyz[:, 0], 0.6 * np.arange(1, 65), atol=1e-3)  # behind its 4 s it goes on as it went
    assert_allclose(plan.xyz[:, 1:], 0.0, atol=1e-3)


def test_their_driver_is_shown_our_cameras_and_pictures():
    """Contract revision 2 both ways: the pose that they read has optical axes, and the picture is ours."""

    class Looker(BaseDriver):
        name = "looker"
        frame_history_length = 8
        sessions: list = []  # noqa: RUF012

        def drive(self, ctx):
            self.sessions.append(ctx.session)
            plan = geometry.Trajectory.empty()
            for k in range(1, 50):
                plan.append(ctx.time_now_us + 100_000 * k, geometry.Pose.from_xyz_yaw(0.8 * k, 0.0, 0.0, 0.0))
            return DriveResult(plan)

    cameras = rig((FRONT.name, "camera_rear_left_70fov"), 96, 54).cameras
    moment = seen(2, cameras)
    with they_serve(Looker(), 0, "127.0.0.1") as port:
        remote = RemoteDriver(f"127.0.0.1:{port}")
        remote.try_cameras(cameras)
        remote.decide(moment)
        remote.close()
    session = Looker.sessions[0]
    for camera, images in zip(cameras, moment.images, strict=True):
        pose = geometry.Pose.from_proto(session.cameras[camera.name].rig_to_camera)
        assert_allclose(pose.as_matrix(), camera.tf_rig_camera, atol=1e-6)
        frames = session.frame_history[camera.name]
        assert len(frames) == 4
        got = np.asarray(Image.open(io.BytesIO(frames[-1].image_bytes)))
        assert np.array_equal(got, images[-1])
    assert session.speed_mps() == pytest.approx(8.0, abs=1e-5)
    assert len(session.ego_trajectory) == 16
    assert_allclose(session.ego_trajectory.last_pose.position, moment.ego.xyz, atol=1e-4)
    assert session.route_waypoints_in_rig.shape == (20, 3)


def test_their_drivers_under_our_checks():
    """What their reference driver does not hold of the battery, by name."""
    checks = tuple(c for c in CHECKS if c.name != "drive_is_fast")
    failed = {}
    for mode in ("carla", "alpasim"):
        with they_serve(RouteFollowerPolicy(), 0, "127.0.0.1", mode=mode) as port:
            config = CheckConfig(Scene((FRONT,)), steps=3, sessions=3)
            report = run_checks(Endpoint(f"127.0.0.1:{port}"), config, checks, lambda finding: None)
        failed[mode] = {f.name: f.seen for f in report.findings if f.outcome == "fail"}
    both = {"route_is_padded", "samples_are_filled", "nan_egomotion_is_refused"}
    assert set(failed["carla"]) == both and set(failed["alpasim"]) == both | {"notes_are_no_pickles"}
    assert "1 of 20 waypoints" in failed["carla"]["route_is_padded"]
    assert "zero norm quaternions" in failed["carla"]["route_is_padded"]
