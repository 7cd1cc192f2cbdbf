"""Messages <-> our types: round trips, refusals, and agreement with another package's copy of the contract."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

pytest.importorskip("grpc")

from cordillera.sensors.rig import MOUNTS, ftheta_camera, mount_transform, pinhole_camera, project, rig, unproject
from cordillera.serve import convert
from cordillera.serve.wire import common_pb2, egodriver_pb2, sensorsim_pb2
from cordillera.serve.wire.pool import FOLDER, POOL
from cordillera.serve.wire.services import DRIVER, methods_of
from cordillera.types import EgoState, Trajectory

NUMBER = st.floats(-1e4, 1e4, width=32)


def quaternions():
    parts = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)
    return parts.map(lambda q: np.array(q) / np.linalg.norm(q))


@given(st.tuples(NUMBER, NUMBER, NUMBER), quaternions())
def test_poses_survive_the_wire_to_float32(xyz, quat):
    message = common_pb2.Pose.FromString(convert.pose_message(xyz, quat).SerializeToString())
    back_xyz, back_quat = convert.pose_of(message)
    assert_allclose(back_xyz, xyz, rtol=1e-6, atol=1e-9)
    assert_allclose(back_quat, quat, atol=2e-7)
    assert np.linalg.norm(back_quat) == pytest.approx(1.0, abs=1e-12)


@given(st.integers(1, 20), st.integers(0, 2**61))
@settings(max_examples=20)
def test_trajectories_survive_and_keep_their_microseconds(count, start):
    t_us = start + np.cumsum(np.arange(1, count + 1), dtype=np.int64)
    sent = Trajectory(t_us, np.ones((count, 3)), np.tile([0.0, 0.0, 0.6, 0.8], (count, 1)), "local")
    message = convert.trajectory_message(sent)
    back = convert.trajectory_of(common_pb2.Trajectory.FromString(message.SerializeToString()), "local")
    assert back.t_us.tolist() == t_us.tolist()
    assert_allclose(back.quat_xyzw, sent.quat_xyzw, atol=1e-7)


@pytest.mark.parametrize(
    ("xyz", "quat", "word"),
    [
        ((math.nan, 0, 0), (0, 0, 0, 1), "not finite"),
        ((0, 0, 0), (0, 0, math.inf, 1), "not finite"),
        ((0, 0, 0), (0, 0, 0, 2), "length 2"),
        ((0, 0, 0), (0, 0, 0, 0), "length 0"),
    ],
)
def test_bad_poses_are_refused_by_name(xyz, quat, word):
    with pytest.raises(ValueError, match=f"pose 7 .*{word}"):
        convert.pose_of(convert.pose_message(xyz, quat), "pose 7")


def test_unsorted_and_impossible_stamps_are_refused():
    poses = [common_pb2.PoseAtTime(timestamp_us=t, pose=convert.pose_message((0, 0, 0), (0, 0, 0, 1))) for t in (5, 5)]
    with pytest.raises(ValueError, match="do not increase"):
        convert.trajectory_of(common_pb2.Trajectory(poses=poses), "local")
    poses[1].timestamp_us = 2**63
    with pytest.raises(ValueError, match="no time"):
        convert.trajectory_of(common_pb2.Trajectory(poses=poses), "local")


def test_states_survive_and_curvature_is_yaw_rate_over_speed():
    ego = EgoState(5, np.zeros(3), np.array([0.0, 0, 0, 1]), np.array([8.0, 0.5, 0.0]), -1.5, 0.05, 0.4)
    back = convert.ego_of(5, convert.pose_message(ego.xyz, ego.quat_xyzw), convert.state_message(ego))
    assert_allclose(back.velocity_mps, ego.velocity_mps)
    assert (back.accel_mps2, back.yaw_rate_radps) == (pytest.approx(-1.5), pytest.approx(0.4))
    assert back.curvature_1pm == pytest.approx(0.05)


@pytest.mark.parametrize("name", list(MOUNTS))
def test_ftheta_cameras_survive(name):
    camera = rig((name,), 320, 180).cameras[0]
    back = convert.camera_of(convert.camera_message(camera))
    assert (back.name, back.model, back.width, back.height) == (camera.name, "ftheta", 320, 180)
    assert (back.cx, back.cy, back.fw_poly, back.bw_poly) == (camera.cx, camera.cy, camera.fw_poly, camera.bw_poly)
    assert_allclose(back.tf_rig_camera, camera.tf_rig_camera, atol=1e-6)


def test_a_pinhole_survives():
    camera = pinhole_camera("front", 640, 360, 52.0, mount_transform((1.7, 0.0, 1.5), 3.0))
    back = convert.camera_of(convert.camera_message(camera))
    assert (back.model, back.cx, back.cy, back.fw_poly) == ("pinhole", camera.cx, camera.cy, camera.fw_poly)


def test_a_lens_that_is_given_backwards_only_is_inverted():
    camera = ftheta_camera("c", MOUNTS["camera_front_wide_120fov"], 640, 360)
    message = convert.camera_message(camera)
    del message.intrinsics.ftheta_param.angle_to_pixeldist_poly[:]
    back = convert.camera_of(message)
    rays = unproject(camera, np.random.default_rng(0).uniform((0, 0), (639, 359), (200, 2)))
    assert_allclose(project(back, rays)[0], project(camera, rays)[0], atol=0.2)


def test_a_fisheye_is_the_polynomial_of_opencv():
    spec = sensorsim_pb2.CameraSpec(resolution_w=800, resolution_h=600, logical_id="f")
    lens = spec.opencv_fisheye_param
    lens.principal_point_x, lens.principal_point_y, lens.focal_length_x, lens.focal_length_y = (
        400.0,
        300.0,
        300.0,
        300.0,
    )
    lens.radial_coeffs.extend((0.02, -0.01, 0.003, -0.001))
    cv2 = pytest.importorskip("cv2")
    points = np.random.default_rng(1).uniform((-1, -1, 0.5), (1, 1, 2), (50, 3))
    matrix = np.array([[300.0, 0, 400], [0, 300, 300], [0, 0, 1]])
    expected, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(lens.radial_coeffs)
    )
    pixel, _ = project(convert.lens_of(spec, "f"), points)
    assert_allclose(pixel + 0.5, expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda spec: spec.ClearField("ftheta_param"), "no lens"),
        (lambda spec: setattr(spec, "resolution_w", 0), "resolution_w"),
        (lambda spec: setattr(spec.ftheta_param.linear_cde, "linear_e", 0.1), "linear_cde"),
        (lambda spec: setattr(spec.ftheta_param, "principal_point_x", math.nan), "finite"),
        (lambda spec: spec.ftheta_param.angle_to_pixeldist_poly.__setitem__(1, -3.0), "f > 0"),
    ],
)
def test_lenses_that_are_none_are_refused(change, word):
    message = convert.camera_message(rig(("camera_front_wide_120fov",), 320, 180).cameras[0])
    change(message.intrinsics)
    with pytest.raises(ValueError, match=word):
        convert.camera_of(message)


# ------------------------------------------------------------- against others


def facts_of(descriptor, out):
    """A message type -> its fields as others can compare them, and those of the types within."""
    out[descriptor.full_name] = {
        (f.number, f.name, f.type, f.is_repeated, f.message_type and f.message_type.full_name)
        for f in descriptor.fields
    }
    for nested in descriptor.nested_types:
        facts_of(nested, out)
    return out


def test_the_contract_is_the_one_that_others_carry():
    protocol = pytest.importorskip("carla_driver_interface._proto.egodriver_pb2")
    from carla_driver_interface._proto import common_pb2 as their_common
    from carla_driver_interface._proto import sensorsim_pb2 as their_sensorsim

    ours, theirs = {}, {}
    for stem, module in (("common", their_common), ("egodriver", protocol), ("sensorsim", their_sensorsim)):
        for message in POOL.FindFileByName(f"{FOLDER}/{stem}.proto").message_types_by_name.values():
            facts_of(message, ours)
        for message in module.DESCRIPTOR.message_types_by_name.values():
            facts_of(message, theirs)
    unused = {"egodriver.DriveRequest.RolloutDriveRequest"}
    assert set(theirs) - set(ours) == unused
    for name, fields in theirs.items():
        if name not in unused:
            assert fields <= ours[name], name
    service = protocol.DESCRIPTOR.services_by_name["EgodriverService"]
    assert [m.name for m in methods_of(DRIVER)] == [m.name for m in service.methods]


def test_messages_of_both_packages_are_the_same_bytes():
    theirs = pytest.importorskip("carla_driver_interface.protocol")
    ours = egodriver_pb2.DriveRequest(session_uuid="s", time_now_us=7, time_query_us=9, renderer_data=b"x")
    assert theirs.DriveRequest.FromString(ours.SerializeToString()).time_query_us == 9
    same = theirs.DriveRequest(session_uuid="s", time_now_us=7, time_query_us=9, renderer_data=b"x")
    assert same.SerializeToString(deterministic=True) == ours.SerializeToString(deterministic=True)


def test_both_packages_load_in_either_order():
    pytest.importorskip("carla_driver_interface")
    for first, second in (("a", "b"), ("b", "a")):
        lines = {
            "a": "import cordillera.serve.wire.logging_pb2, cordillera.serve.wire.egodriver_pb2",
            "b": "import carla_driver_interface.protocol",
        }
        subprocess.run([sys.executable, "-c", f"{lines[first]}\n{lines[second]}"], check=True)


def test_what_is_compiled_is_what_the_proto_files_say():
    pytest.importorskip("grpc_tools")
    from recipes.wire import WIRE, compiled

    for name, content in compiled().items():
        assert (WIRE / name).read_bytes() == content, f"{name} is old: python -m recipes.wire"
