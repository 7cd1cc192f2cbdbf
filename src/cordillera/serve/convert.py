"""Our types <-> the contract's messages: poses, trajectories, states, cameras.

Geometry is float32 on the wire and float64 here; times are whole microseconds. Quaternions are (w, x, y, z) there and
(x, y, z, w) here. What comes from the wire is checked: a pose that is not finite, or whose quaternion is not of unit
length, is refused with a ValueError that says where it stands.

Pixels: on the wire the first pixel's outer corner is (0, 0), in `Camera` its centre is, so principal points differ by
half a pixel. Cameras have optical axes (x right, y down, z forward) on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.polynomial import polynomial

from cordillera.geometry import quat_of, transform_of
from cordillera.serve.wire import common_pb2, sensorsim_pb2
from cordillera.types import Camera, EgoState, Float, Trajectory

HALF_PIXEL = 0.5
NORM_SLACK = 1e-2  # how far a quaternion's length may be from 1; float32 loses 1e-7
T_MAX_US = 2**62
FARTHEST_M = 1e7  # of a pose from its frame's origin; float32 is coarser than 1 m there
FASTEST = {"velocity": 200.0, "angular velocity": 50.0, "acceleration": 1000.0}  # m/s, rad/s, m/s2


def vec_message(xyz: Iterable[float]) -> common_pb2.Vec3:
    """A vector (3,) -> its message."""
    x, y, z = (float(value) for value in xyz)
    return common_pb2.Vec3(x=x, y=y, z=z)


def vec_of(message: common_pb2.Vec3) -> Float:
    """A message -> the vector (3,); it may hold NaN."""
    return np.array([message.x, message.y, message.z], dtype=np.float64)


def pose_message(xyz: Iterable[float], quat_xyzw: Iterable[float]) -> common_pb2.Pose:
    """A position (3,) and a unit quaternion (4,) -> the message."""
    x, y, z, w = (float(value) for value in quat_xyzw)
    return common_pb2.Pose(vec=vec_message(xyz), quat=common_pb2.Quat(w=w, x=x, y=y, z=z))


def pose_of(message: common_pb2.Pose, what: str = "pose") -> tuple[Float, Float]:
    """A message -> position (3,) and unit quaternion (4,); ValueError names `what` and the fault."""
    xyz = vec_of(message.vec)
    quat = np.array([message.quat.x, message.quat.y, message.quat.z, message.quat.w], dtype=np.float64)
    if not (np.isfinite(xyz).all() and np.isfinite(quat).all()):
        raise ValueError(f"{what} is not finite: {xyz.tolist()}, {quat.tolist()}; send numbers, or leave it out")
    if np.abs(xyz).max() > FARTHEST_M:
        raise ValueError(f"{what} is at {xyz.tolist()} m; {FARTHEST_M:g} m from the origin is the farthest")
    norm = float(np.linalg.norm(quat))
    if abs(norm - 1.0) > NORM_SLACK:
        raise ValueError(f"{what} has a quaternion of length {norm:.3f}; send one of length 1")
    return xyz, quat / norm


def transform_message(tf: Float) -> common_pb2.Pose:
    """A rigid matrix (4, 4) -> the pose of its inner frame in its outer one."""
    return pose_message(tf[:3, 3], quat_of(tf[:3, :3]))


def transform_from(message: common_pb2.Pose, what: str = "pose") -> Float:
    """A message -> the rigid matrix (4, 4); errors as `pose_of`."""
    return transform_of(*pose_of(message, what))


def trajectory_message(trajectory: Trajectory) -> common_pb2.Trajectory:
    """A trajectory -> its message; the frame is the receiver's to know."""
    pose, vec, quat = common_pb2.Pose, common_pb2.Vec3, common_pb2.Quat  # looked up once: plans have many poses
    rows = zip(trajectory.t_us.tolist(), trajectory.xyz.tolist(), trajectory.quat_xyzw.tolist(), strict=True)
    poses = [
        common_pb2.PoseAtTime(timestamp_us=t, pose=pose(vec=vec(x=x, y=y, z=z), quat=quat(w=q_w, x=q_x, y=q_y, z=q_z)))
        for t, (x, y, z), (q_x, q_y, q_z, q_w) in rows
    ]
    return common_pb2.Trajectory(poses=poses)


def trajectory_of(message: common_pb2.Trajectory, frame: str, what: str = "trajectory") -> Trajectory:
    """A message -> the trajectory, perhaps empty; ValueError for bad poses and for stamps that do not increase."""
    count = len(message.poses)
    stamps, rows = [], []
    for stamped in message.poses:
        vec, quat = stamped.pose.vec, stamped.pose.quat
        stamps.append(stamped.timestamp_us)
        rows.append((vec.x, vec.y, vec.z, quat.x, quat.y, quat.z, quat.w))
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 7)
    norms = np.linalg.norm(numbers[:, 3:], axis=1, keepdims=True)
    sound = (np.abs(numbers[:, :3]) <= FARTHEST_M).all(axis=1) & (np.abs(norms[:, 0] - 1.0) <= NORM_SLACK)
    for k in np.flatnonzero(~sound):
        pose_of(message.poses[int(k)].pose, f"pose {k} of {what}")  # raises, and says what is wrong
    t_us = np.array([time_of(t, f"pose {k} of {what}") for k, t in enumerate(stamps)], dtype=np.int64)
    if count and (np.diff(t_us) <= 0).any():
        k = int(np.argmax(np.diff(t_us) <= 0))
        raise ValueError(
            f"the stamps of {what} do not increase: pose {k} is at {t_us[k]} us, the next at {t_us[k + 1]} us; "
            "send each time once, in order"
        )
    return Trajectory(t_us, numbers[:, :3], numbers[:, 3:] / norms, frame)


def time_of(stamp: int, what: str) -> int:
    """A stamp of the wire (uint64) -> int64 microseconds; ValueError for one that cannot be a time."""
    if stamp >= T_MAX_US:
        raise ValueError(f"{what} is stamped {stamp} us, which is no time; send microseconds")
    return int(stamp)


def state_message(ego: EgoState) -> common_pb2.DynamicState:
    """A vehicle's state -> its rates in the rig frame."""
    return common_pb2.DynamicState(
        angular_velocity=vec_message((0.0, 0.0, ego.yaw_rate_radps)),
        linear_velocity=vec_message(ego.velocity_mps),
        linear_acceleration=vec_message((ego.accel_mps2, ego.speed_mps * ego.yaw_rate_radps, 0.0)),
        angular_acceleration=vec_message((0.0, 0.0, 0.0)),
    )


def ego_of(t_us: int, pose: common_pb2.Pose, state: common_pb2.DynamicState, what: str = "state") -> EgoState:
    """A time, a pose local_to_rig and rates in the rig frame -> the vehicle's state; ValueError for what is not finite.

    The curvature is the yaw rate over the speed, and 0 below 0.5 m/s, where the wire does not tell it.
    """
    xyz, quat = pose_of(pose, f"the pose of {what}")
    velocity, rates, accel = (
        vec_of(v) for v in (state.linear_velocity, state.angular_velocity, state.linear_acceleration)
    )
    for name, values in (("velocity", velocity), ("angular velocity", rates), ("acceleration", accel)):
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} of {what} is not finite: {values.tolist()}; send numbers, or leave it out")
        if np.abs(values).max() > FASTEST[name]:
            raise ValueError(f"the {name} of {what} is {values.tolist()}, which no car has; send m, s and rad")
    speed, yaw_rate = float(velocity[0]), float(rates[2])
    curvature = yaw_rate / speed if abs(speed) > 0.5 else 0.0
    return EgoState(t_us, xyz, quat, velocity, float(accel[0]), curvature, yaw_rate)


# --------------------------------------------------------------------- cameras


def camera_message(camera: Camera) -> sensorsim_pb2.AvailableCamerasReturn.AvailableCamera:
    """A camera -> what a renderer declares of it: lens, size, place on the rig."""
    x, y = camera.cx + HALF_PIXEL, camera.cy + HALF_PIXEL
    spec = sensorsim_pb2.CameraSpec(
        logical_id=camera.name,
        resolution_h=camera.height,
        resolution_w=camera.width,
        shutter_type=sensorsim_pb2.GLOBAL,
    )
    if camera.model == "pinhole":
        focal = camera.fw_poly[1]
        spec.opencv_pinhole_param.CopyFrom(
            sensorsim_pb2.OpenCVPinholeCameraParam(
                principal_point_x=x, principal_point_y=y, focal_length_x=focal, focal_length_y=focal
            )
        )
    else:
        spec.ftheta_param.CopyFrom(
            sensorsim_pb2.FthetaCameraParam(
                principal_point_x=x,
                principal_point_y=y,
                reference_poly=sensorsim_pb2.FthetaCameraParam.ANGLE_TO_PIXELDIST,
                angle_to_pixeldist_poly=camera.fw_poly,
                pixeldist_to_angle_poly=camera.bw_poly,
                max_angle=_widest(camera),
                linear_cde=sensorsim_pb2.LinearCde(linear_c=1.0),
            )
        )
    return sensorsim_pb2.AvailableCamerasReturn.AvailableCamera(
        intrinsics=spec, rig_to_camera=transform_message(camera.tf_rig_camera), logical_id=camera.name
    )


def camera_of(message: sensorsim_pb2.AvailableCamerasReturn.AvailableCamera) -> Camera:
    """What is declared -> the camera; ValueError for a lens that `Camera` does not hold, with the field's name.

    It holds f-theta lenses, pinholes with one focal length and no distortion, and OpenCV's fisheye, which is f-theta
    with odd powers, with one focal length. `lens.Lens` reads all of them, for pictures that are only resampled.
    """
    camera = lens_of(message.intrinsics, message.logical_id or message.intrinsics.logical_id)
    name = f"rig_to_camera of {camera.name!r}"
    return replace(camera, tf_rig_camera=transform_from(message.rig_to_camera, name))


def lens_of(spec: sensorsim_pb2.CameraSpec, name: str) -> Camera:
    """A camera's specification -> the camera at the rig's origin; errors as `camera_of`."""
    width, height = int(spec.resolution_w), int(spec.resolution_h)
    if width < 1 or height < 1:
        raise ValueError(f"camera {name!r} has {width} x {height} pixels; set resolution_w and resolution_h")
    kind = spec.WhichOneof("camera_param")
    if kind == "ftheta_param":
        lens = spec.ftheta_param
        cde = (lens.linear_cde.linear_c, lens.linear_cde.linear_d, lens.linear_cde.linear_e)
        if cde not in ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)):
            raise ValueError(f"camera {name!r}: ftheta_param.linear_cde {cde} shears the picture; (1, 0, 0) is held")
        forward, backward = tuple(lens.angle_to_pixeldist_poly), tuple(lens.pixeldist_to_angle_poly)
        forward = forward or fitted_inverse(backward, math.hypot(width, height), name)
        model = "ftheta"
    elif kind == "opencv_pinhole_param":
        lens = spec.opencv_pinhole_param
        if any((*lens.radial_coeffs, *lens.tangential_coeffs, *lens.thin_prism_coeffs)):
            raise ValueError(f"camera {name!r}: opencv_pinhole_param is distorted; send an undistorted pinhole")
        forward, backward, model = (0.0, _focal(lens, name)), (0.0, 1.0 / _focal(lens, name)), "pinhole"
    elif kind == "opencv_fisheye_param":
        lens = spec.opencv_fisheye_param
        focal, odd = _focal(lens, name), (1.0, *lens.radial_coeffs)
        forward = tuple(focal * odd[k // 2] if k % 2 else 0.0 for k in range(2 * len(odd)))
        backward, model = (), "ftheta"
    else:
        raise ValueError(f"camera {name!r} has no lens; set ftheta_param, opencv_pinhole_param or opencv_fisheye_param")
    centre = (lens.principal_point_x - HALF_PIXEL, lens.principal_point_y - HALF_PIXEL)
    values = np.array([*centre, *forward, *backward])
    if not np.isfinite(values).all() or len(forward) < 2 or forward[1] <= 0.0:
        raise ValueError(f"camera {name!r}: {kind} is no lens: {values.tolist()}; its numbers must be finite, f > 0")
    backward = backward or fitted_inverse(forward, math.pi / 2, name)
    return Camera(name, model, width, height, *centre, forward, backward, np.eye(4))


def fitted_inverse(poly: tuple[float, ...], reach: float, name: str) -> tuple[float, ...]:
    """A polynomial through 0 that rises from 0 on -> one that inverts it up to `reach`, or as far as it rises."""
    if len(poly) < 2 or not np.isfinite(poly).all() or poly[1] <= 0.0:
        raise ValueError(f"camera {name!r}: the polynomial {poly} is no lens; it must rise from 0")
    x = np.linspace(0.0, reach, 2000)
    y = polynomial.polyval(x, np.asarray(poly))
    falling = np.flatnonzero(np.diff(y) <= 0.0)
    if len(falling):
        x, y = x[: falling[0]], y[: falling[0]]
    if len(x) < 10:
        raise ValueError(f"camera {name!r}: the polynomial {poly} is no lens; it must rise from 0")
    scale = float(y[-1])
    basis = np.stack([(y / scale) ** k for k in range(1, 7)], axis=-1)
    solution = np.linalg.lstsq(basis, x, rcond=None)[0]
    return (0.0, *(float(c / scale**k) for k, c in enumerate(solution, start=1)))


def _focal(lens: sensorsim_pb2.OpenCVPinholeCameraParam | sensorsim_pb2.OpenCVFisheyeCameraParam, name: str) -> float:
    across, down = lens.focal_length_x, lens.focal_length_y
    if not (across > 0.0 and abs(across - down) <= 1e-6 * across):
        raise ValueError(f"camera {name!r} has the focal lengths {across} and {down}; one positive length is held")
    return across


def _widest(camera: Camera) -> float:
    """An f-theta camera -> the angle a pixel beyond its farthest corner."""
    side = max(camera.cx, camera.width - camera.cx) + 1.0, max(camera.cy, camera.height - camera.cy) + 1.0
    return float(np.clip(polynomial.polyval(math.hypot(*side), np.asarray(camera.bw_poly)), 0.0, math.pi))
