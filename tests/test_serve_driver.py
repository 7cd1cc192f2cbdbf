"""The driver's service over real gRPC: what it answers, what it refuses, and that sessions do not touch each other."""

from __future__ import annotations

import math
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("grpc")

import grpc

from cordillera.geometry import transform_of, transform_points
from cordillera.kinematics import roll_plan
from cordillera.sensors.rig import pinhole_camera, rig
from cordillera.serve.convert import camera_message, pose_message, trajectory_of
from cordillera.serve.driver_service import CONTRACT_KEY, DriverService, ServiceConfig
from cordillera.serve.notes import reasons_of
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.session import BODY_FROM_OPTICAL
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.serve.wire.services import DRIVER, Stub
from cordillera.types import Decision
from tests.serve_fixtures import (
    FRONT,
    NOW_US,
    SeeingPolicy,
    drive,
    egomotion,
    frame,
    png,
    route,
    served,
    serving,
    start,
)  # fmt: skip

CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def stub():
    with serving() as address, grpc.insecure_channel(address) as channel:
        yield Stub(channel, DRIVER)


@pytest.fixture(scope="module")
def seeing():
    with serving(served(SeeingPolicy, (FRONT,))) as address, grpc.insecure_channel(address) as channel:
        yield Stub(channel, DRIVER)


def began(stub, cameras=(), seed=0, **facts):
    request = start(cameras, seed)
    stub.start_session(request)
    stub.submit_egomotion_observation(egomotion(request.session_uuid, **facts))
    stub.submit_route(route(request.session_uuid))
    return request.session_uuid


def refused(call, request, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **options)
    return caught.value.code(), caught.value.details()


def picture(value, shape=(54, 96)):
    return np.full((*shape, 3), value, dtype=np.uint8)


# ---------------------------------------------------------------------- plans


def test_the_plan_is_what_the_contract_wants(stub):
    name = began(stub, yaw=0.7)
    answer = stub.drive(drive(name))
    plan = trajectory_of(answer.trajectory, "local")
    assert plan.t_us[0] == NOW_US
    assert (np.diff(plan.t_us) > 0).all()
    assert plan.t_us[-1] - NOW_US >= 5_000_000
    raw = [(p.pose.quat.w, p.pose.quat.x, p.pose.quat.y, p.pose.quat.z) for p in answer.trajectory.poses]
    assert_allclose(np.linalg.norm(raw, axis=1), 1.0, atol=1e-6)
    assert_allclose(plan.xyz[0], 0.0, atol=1e-5)
    # the route leads straight ahead, so in the local frame the plan has the car's heading
    assert_allclose(np.arctan2(plan.xyz[-1, 1], plan.xyz[-1, 0]), 0.7, atol=1e-3)
    assert not answer.terminate_session
    assert len(answer.debug_info.sampled_trajectories) >= 1


def test_reasons_are_json_that_reads_back(stub):
    name = began(stub)
    reasons = reasons_of(stub.drive(drive(name)).debug_info.unstructured_debug_info)
    assert reasons is not None
    assert reasons.verdict.action in ("pass", "clip")
    assert reasons.reasoning is not None and "route" in reasons.reasoning.text


def test_single_poses_after_a_dense_history_are_followed(stub):
    name = began(stub)
    stub.drive(drive(name))
    for step in range(1, 4):
        now = NOW_US + 100_000 * step
        stub.submit_egomotion_observation(one_pose(name, now, 0.8 * step))
        stub.submit_route(route(name, now))
        plan = trajectory_of(stub.drive(drive(name, now)).trajectory, "local")
        assert plan.t_us[0] == now
        assert_allclose(plan.xyz[0], [0.8 * step, 0.0, 0.0], atol=1e-5)


def one_pose(name, now, x):
    message = egomotion(name, now, count=1)
    message.trajectory.poses[0].pose.vec.x = x
    return message


def test_speed_is_found_from_poses_without_rates(stub):
    plans = [trajectory_of(stub.drive(drive(began(stub, rates=r))).trajectory, "local") for r in (True, False)]
    assert_allclose(plans[1].xyz, plans[0].xyz, atol=0.02)


def test_turning_is_found_from_poses_where_rates_tell_nothing_of_it(stub):
    """Others fill in linear_velocity alone; a car on a circle then seems to go straight, and plans from there."""
    plans = []
    for told in (True, False):
        request = start()
        stub.start_session(request)
        message = egomotion(request.session_uuid)
        for k, (stamped, state) in enumerate(zip(message.trajectory.poses, message.dynamic_states, strict=True)):
            yaw = 0.02 * 0.8 * (k - 15)  # 8 m/s on a radius of 50 m
            quat = (0.0, 0.0, math.sin(0.5 * yaw), math.cos(0.5 * yaw))
            stamped.pose.CopyFrom(pose_message((50.0 * math.sin(yaw), 50.0 * (1.0 - math.cos(yaw)), 0.0), quat))
            state.angular_velocity.z = 0.16 if told else 0.0
        stub.submit_egomotion_observation(message)
        bend = route(request.session_uuid)
        for k, point in enumerate(bend.route.waypoints):
            point.x, point.y = 50.0 * math.sin(0.08 * k), 50.0 * (1.0 - math.cos(0.08 * k))
        stub.submit_route(bend)
        plans.append(trajectory_of(stub.drive(drive(request.session_uuid)).trajectory, "local").xyz)
    assert_allclose(plans[1], plans[0], atol=2e-3)
    assert plans[0][20, 1] > 2.0


def test_a_route_of_an_earlier_time_is_moved_to_now(stub):
    """Waypoints are in the rig frame of their own stamp; the car has moved 8 m since."""
    plans = []
    for moved in (False, True):
        name = began(stub, now_us=NOW_US)
        later = NOW_US + 1_000_000
        for step in range(1, 11):
            stub.submit_egomotion_observation(one_pose(name, NOW_US + 100_000 * step, 0.8 * step))
        bend = route(name, NOW_US if moved else later)
        for k, point in enumerate(bend.route.waypoints):
            x, y = 4.0 * (k + 1), 0.004 * (4.0 * (k + 1)) ** 2
            point.x, point.y = (x, y) if moved else (x - 8.0, y)
        stub.submit_route(bend)
        plans.append(trajectory_of(stub.drive(drive(name, later)).trajectory, "local"))
    assert_allclose(plans[1].xyz, plans[0].xyz, atol=1e-3)
    assert plans[0].xyz[-1, 1] > 5.0


def test_padding_says_that_the_route_ends_and_no_padding_that_it_goes_on(stub):
    lengths = []
    for padding in (0, 10):
        name = began(stub)
        stub.submit_route(route(name, count=10, padding=padding))
        lengths.append(trajectory_of(stub.drive(drive(name)).trajectory, "local").xyz[-1, 0])
    assert lengths[0] > 50.0
    assert lengths[1] == pytest.approx(40.0, abs=1.0)


def test_a_route_of_nothing_but_padding_stops_the_car_and_says_why(stub):
    name = began(stub)
    stub.submit_route(route(name, count=0, padding=20))
    answer = stub.drive(drive(name))
    plan = trajectory_of(answer.trajectory, "local")
    assert_allclose(plan.xyz[-1], plan.xyz[-2], atol=1e-4)
    reasons = reasons_of(answer.debug_info.unstructured_debug_info)
    assert reasons is not None and reasons.verdict.action == "fallback"
    assert "route" in reasons.verdict.reasons[0]


def test_ground_truth_changes_nothing(stub):
    answers = []
    for told in (False, True):
        name = began(stub)
        if told:
            truth = egodriver_pb2.GroundTruth(timestamp_us=NOW_US)
            truth.trajectory.poses.add(timestamp_us=NOW_US, pose=pose_message((9, 9, 9), (0, 0, 0, 1)))
            stub.submit_recording_ground_truth(egodriver_pb2.GroundTruthRequest(session_uuid=name, ground_truth=truth))
        answers.append(stub.drive(drive(name)).trajectory)
    assert answers[0] == answers[1]


# --------------------------------------------------------------------- images


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_images_of_any_size_reach_the_policy(seeing, kind):
    wide = rig((FRONT.name,), 640, 360).cameras[0]
    plans = []
    for camera, shape in ((FRONT, (54, 96)), (wide, (360, 640))):
        name = began(seeing, (camera,))
        seeing.submit_image_observation(frame(name, picture(200, shape), kind=kind))
        plans.append(trajectory_of(seeing.drive(drive(name)).trajectory, "local"))
    assert_allclose(plans[0].xyz, plans[1].xyz, atol=1e-3)
    assert abs(plans[0].xyz[-1, 1]) > 0.1  # the picture steers


def test_a_window_of_four_frames_a_tenth_apart(seeing):
    name = began(seeing, (FRONT,))
    said = []
    for step in range(6):
        now = NOW_US + 100_000 * step
        if step:
            seeing.submit_egomotion_observation(one_pose(name, now, 0.8 * step))
        seeing.submit_image_observation(frame(name, picture(10), now))
        reasons = reasons_of(seeing.drive(drive(name, now)).debug_info.unstructured_debug_info)
        assert reasons is not None and reasons.reasoning is not None
        said.append(reasons.reasoning.text)
    assert said == [f"I see {n} frames." for n in (1, 2, 3, 4, 4, 4)]


def test_missing_and_late_frames_are_borne(seeing):
    name = began(seeing, (FRONT,))
    for t in (NOW_US - 300_000, NOW_US - 100_000, NOW_US, NOW_US - 200_000, NOW_US + 50_000):  # one late, one early
        seeing.submit_image_observation(frame(name, picture(10), t))
    reasons = reasons_of(seeing.drive(drive(name)).debug_info.unstructured_debug_info)
    assert reasons is not None and reasons.reasoning is not None
    assert reasons.reasoning.text == "I see 4 frames."


def test_cameras_that_the_policy_does_not_read_may_be_there(seeing):
    tele = rig(("camera_front_tele_30fov",), 96, 54).cameras[0]
    name = began(seeing, (FRONT, tele))
    seeing.submit_image_observation(frame(name, picture(10), camera=tele.name))
    seeing.submit_image_observation(frame(name, picture(10)))
    assert seeing.drive(drive(name)).trajectory.poses


def test_a_camera_that_is_needed_and_missing_is_named(seeing):
    code, words = refused(seeing.start_session, start())
    assert code is CODE.INVALID_ARGUMENT and FRONT.name in words and "--camera" in words


def test_another_camera_may_stand_in():
    other = replace(pinhole_camera("camera_front", 640, 360, 100.0, FRONT.tf_rig_camera))
    config = ServiceConfig(aliases={FRONT.name: "camera_front"})
    with serving(served(SeeingPolicy, (FRONT,)), config) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        name = began(stub, (other,))
        stub.submit_image_observation(frame(name, picture(120, (360, 640)), camera="camera_front"))
        assert stub.drive(drive(name)).trajectory.poses


def test_a_client_that_means_the_cars_axes_says_so(seeing):
    """carla-driver-interface 1.x declares the camera's body; taken for optical axes it looks at the ground."""
    request = start((FRONT,))
    camera = request.rollout_spec.vehicle.available_cameras[0]
    body = FRONT.tf_rig_camera.copy()
    body[:3, :3] = body[:3, :3] @ BODY_FROM_OPTICAL.T
    camera.rig_to_camera.CopyFrom(camera_message(replace(FRONT, tf_rig_camera=body)).rig_to_camera)
    code, words = refused(seeing.start_session, request)
    assert code is CODE.INVALID_ARGUMENT and "optical axes" in words
    seeing.start_session(request, metadata=((CONTRACT_KEY, "1"),))
    code, words = refused(seeing.start_session, start((FRONT,)), metadata=((CONTRACT_KEY, "9"),))
    assert code is CODE.FAILED_PRECONDITION


# ------------------------------------------------------------------- sessions


def test_a_seed_is_the_sessions_own(seeing):
    def plan(seed):
        name = began(seeing, (FRONT,), seed)
        seeing.submit_image_observation(frame(name, picture(50)))
        return seeing.drive(drive(name)).trajectory

    assert plan(3) == plan(3)
    assert plan(3) != plan(4)


def test_sessions_side_by_side_answer_as_alone(seeing):
    def alone(value):
        name = began(seeing, (FRONT,), seed=value)
        answers = []
        for step in range(4):
            now = NOW_US + 100_000 * step
            if step:
                seeing.submit_egomotion_observation(one_pose(name, now, 0.8 * step))
            seeing.submit_image_observation(frame(name, picture(value), now))
            answers.append(seeing.drive(drive(name, now)).trajectory)
        seeing.close_session(egodriver_pb2.DriveSessionCloseRequest(session_uuid=name))
        return answers

    values = list(range(10, 250, 20))
    one_by_one = [alone(value) for value in values]
    with ThreadPoolExecutor(len(values)) as pool:
        together = list(pool.map(alone, values))
    assert together == one_by_one
    assert one_by_one[0] != one_by_one[1]


def test_limits_on_sessions_and_idle_time():
    config = ServiceConfig(SessionLimits(sessions=2, idle_s=0.4))
    with serving(config=config) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        first = began(stub)
        began(stub)
        code, words = refused(stub.start_session, start())
        assert code is CODE.RESOURCE_EXHAUSTED and "--sessions" in words
        time.sleep(0.8)
        code, words = refused(stub.drive, drive(first))
        assert code is CODE.NOT_FOUND and "0.4 s" in words
        began(stub)


def test_session_errors_have_their_codes(stub):
    name = began(stub)
    assert refused(stub.start_session, start(name=name))[0] is CODE.ALREADY_EXISTS
    assert refused(stub.start_session, egodriver_pb2.DriveSessionRequest())[0] is CODE.INVALID_ARGUMENT
    assert refused(stub.drive, drive("nobody"))[0] is CODE.NOT_FOUND
    stub.close_session(egodriver_pb2.DriveSessionCloseRequest(session_uuid=name))
    assert refused(stub.drive, drive(name))[0] is CODE.NOT_FOUND
    stub.close_session(egodriver_pb2.DriveSessionCloseRequest(session_uuid=name))


def test_drive_before_egomotion_and_long_after_it_is_refused(stub):
    request = start()
    stub.start_session(request)
    code, words = refused(stub.drive, drive(request.session_uuid))
    assert code is CODE.FAILED_PRECONDITION and "submit_egomotion_observation" in words
    name = began(stub)
    code, words = refused(stub.drive, drive(name, NOW_US + 400_000))
    assert code is CODE.FAILED_PRECONDITION and "time_now_us" in words
    assert stub.drive(drive(name, NOW_US + 100_000)).trajectory.poses  # carried on at constant velocity


# ------------------------------------------------------------------ malformed


def bad_egomotion(change):
    message = egomotion("s")
    change(message)
    return message


BAD_EGOMOTION = {
    "not finite": lambda m: setattr(m.trajectory.poses[3].pose.vec, "y", math.nan),
    "length": lambda m: setattr(m.trajectory.poses[3].pose.quat, "w", 2.0),
    "do not increase": lambda m: setattr(m.trajectory.poses[3], "timestamp_us", 7),
    "one a pose": lambda m: m.dynamic_states.add(),
    "velocity": lambda m: setattr(m.dynamic_states[0].linear_velocity, "x", math.inf),
    "no time": lambda m: setattr(m.trajectory.poses[15], "timestamp_us", 2**63 + 5),
}


@pytest.mark.parametrize("word", BAD_EGOMOTION)
def test_bad_egomotion_is_refused_and_does_no_harm(stub, word):
    name = began(stub)
    before = stub.drive(drive(name)).trajectory
    message = egomotion(name, NOW_US + 100_000)
    BAD_EGOMOTION[word](message)
    code, words = refused(stub.submit_egomotion_observation, message)
    assert code is CODE.INVALID_ARGUMENT and word in words
    assert stub.drive(drive(name)).trajectory == before


@pytest.mark.parametrize("data", [b"", b"\x89PNG nonsense", png(picture(1))[:60]])
def test_bad_images_are_refused_and_do_no_harm(seeing, data):
    name = began(seeing, (FRONT,))
    seeing.submit_image_observation(frame(name, picture(90)))
    before = seeing.drive(drive(name)).trajectory
    message = frame(name, picture(90))
    message.camera_image.image_bytes = data
    code, words = refused(seeing.submit_image_observation, message)
    assert code is CODE.INVALID_ARGUMENT and FRONT.name in words
    message = frame(name, picture(90), camera="unheard-of")
    code, words = refused(seeing.submit_image_observation, message)
    assert code is CODE.INVALID_ARGUMENT and "declared" in words
    assert seeing.drive(drive(name)).trajectory == before


def test_bytes_that_are_no_message_are_refused(stub):
    with serving() as address, grpc.insecure_channel(address) as channel:
        for method in ("start_session", "drive", "submit_route"):
            code, words = refused(channel.unary_unary(f"/{DRIVER}/{method}"), b"\xff\xff\xff\xff")
            assert code is CODE.INVALID_ARGUMENT and "no egodriver" in words
        assert refused(channel.unary_unary(f"/{DRIVER}/shut_down"), b"")[0] is CODE.UNIMPLEMENTED


def test_a_message_above_the_limit_is_refused():
    with serving(server=ServerConfig(port=0, message_mb=0.1)) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        name = began(stub)
        code, _ = refused(stub.drive, drive(name, data=b"x" * 200_000))
        assert code is CODE.RESOURCE_EXHAUSTED
        assert stub.drive(drive(name)).trajectory.poses


def test_a_plan_with_nan_never_leaves():
    class Broken:
        name = "broken"

        def decide(self, observation):
            plan = roll_plan(np.zeros((64, 2)), 5.0, observation.t_us)
            return Decision(
                replace(plan, xyz=plan.xyz * np.nan), (plan, replace(plan, xyz=plan.xyz * np.nan)), None, "b", 0
            )

    with serving(served(lambda seed: Broken())) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        answer = stub.drive(drive(began(stub)))
        assert np.isfinite(trajectory_of(answer.trajectory, "local").xyz).all()
        reasons = reasons_of(answer.debug_info.unstructured_debug_info)
        assert reasons is not None and "not finite" in reasons.verdict.reasons[0]
        for sample in answer.debug_info.sampled_trajectories:
            trajectory_of(sample, "local")


# --------------------------------------------------------------- the server


def test_version_and_health(stub):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    version, call = stub.get_version.with_call(common_pb2.Empty())
    assert version.version_id == "cordillera test route-follower"
    assert (version.grpc_api_version.major, version.grpc_api_version.minor) == (0, 54)
    assert dict(call.initial_metadata())[CONTRACT_KEY] == "2"
    with serving() as address, grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", DRIVER):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_call_in_hand_is_finished_before_the_server_stops():
    entered, leave = threading.Event(), threading.Event()

    class Slow(SeeingPolicy):
        def decide(self, observation):
            entered.set()
            leave.wait(10.0)
            return super().decide(observation)

    background = serving(served(lambda seed: Slow()), server=ServerConfig(port=0, grace_s=10.0))
    address = background.__enter__()
    with grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        call = stub.drive.future(drive(began(stub)))
        assert entered.wait(10.0)
        stopper = threading.Thread(target=background.__exit__, args=(None, None, None))
        stopper.start()
        time.sleep(0.3)
        leave.set()
        assert call.result(timeout=10.0).trajectory.poses
        stopper.join(10.0)
    assert not stopper.is_alive()


def test_pickles_only_on_request():
    config = ServiceConfig(pickled=True)
    with serving(config=config) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        data = stub.drive(drive(began(stub))).debug_info.unstructured_debug_info
        said = pickle.loads(data)
        assert said["reasoning_text"].startswith("Follow the route")
        assert reasons_of(data) is None


def test_two_servers_do_not_share_a_port():
    with serving() as address:
        port = int(address.rpartition(":")[2])
        with (
            pytest.raises(OSError, match="taken"),
            Background({DRIVER: DriverService(served())}, ServerConfig(port=port)),
        ):
            pass


def test_the_local_frame_may_lie_anywhere(stub):
    """The same drive in a local frame that is turned and moved: the plan turns and moves along."""
    here = trajectory_of(stub.drive(drive(began(stub))).trajectory, "local")
    tf = transform_of(np.array([300.0, -200.0, 40.0]), np.array([0.0, 0.0, np.sin(1.0), np.cos(1.0)]))
    request = start()
    stub.start_session(request)
    message = egomotion(request.session_uuid)
    for stamped in message.trajectory.poses:
        xyz = transform_points(tf, [stamped.pose.vec.x, stamped.pose.vec.y, stamped.pose.vec.z])
        stamped.pose.CopyFrom(pose_message(xyz, (0.0, 0.0, np.sin(1.0), np.cos(1.0))))
    stub.submit_egomotion_observation(message)
    stub.submit_route(route(request.session_uuid))
    there = trajectory_of(stub.drive(drive(request.session_uuid)).trajectory, "local")
    assert_allclose(there.xyz, transform_points(tf, here.xyz), atol=2e-3)
