"""A made-up drive as the contract's messages: what the checks of a driver service send, step by step.

A car goes straight on at a constant speed through a plain with a striped road. Where the local frame's origin lies, how
the frame is turned and when it all happens are free: times are as large as a wall clock's, where careless code loses
microseconds in a float.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cordillera.geometry import rotate
from cordillera.sensors.rig import ray_table
from cordillera.serve.convert import camera_message, pose_message, vec_message
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.types import Camera, Float

STEP_US = 100_000
HISTORY = 16
WAYPOINTS, SPACING_M = 20, 80.0 / 19.0
START_US = 1_700_000_000_000_000
SKY, GRASS, ROAD, LINE = (150, 180, 215), (85, 110, 70), (80, 80, 84), (235, 235, 230)


@dataclass(frozen=True, eq=False)
class Scene:
    """Which cameras the car has, how fast it goes, and where the local frame lies."""

    cameras: tuple[Camera, ...] = ()
    speed_mps: float = 8.0
    origin_local: tuple[float, float, float] = (300.0, -200.0, 4.0)  # of the car at step 0
    yaw_local: float = 0.7
    image_format: str = "JPEG"

    def now_us(self, step: int) -> int:
        """A step -> its time."""
        return START_US + STEP_US * step

    def pose(self, step: float) -> tuple[Float, Float]:
        """A step -> the car's position and quaternion in the local frame."""
        quat = np.array([0.0, 0.0, np.sin(0.5 * self.yaw_local), np.cos(0.5 * self.yaw_local)])
        way = np.array([self.speed_mps * step * STEP_US * 1e-6, 0.0, 0.0])
        return np.array(self.origin_local) + rotate(quat, way), quat

    # ------------------------------------------------------------- messages

    def start(self, uuid: str, seed: int) -> egodriver_pb2.DriveSessionRequest:
        """A session's name and seed -> the message that begins it, with the cameras."""
        request = egodriver_pb2.DriveSessionRequest(session_uuid=uuid, random_seed=seed)
        request.debug_info.scene_id = "cordillera-check"
        request.rollout_spec.vehicle.available_cameras.extend(camera_message(c) for c in self.cameras)
        return request

    def frame(self, uuid: str, camera: Camera, step: int) -> egodriver_pb2.RolloutCameraImage:
        """A camera's picture of a step."""
        now = self.now_us(step)
        data = encoded(camera, self.speed_mps * step * STEP_US * 1e-6, self.image_format)
        image = egodriver_pb2.RolloutCameraImage.CameraImage(
            frame_start_us=now - 30_000, frame_end_us=now, image_bytes=data, logical_id=camera.name
        )
        return egodriver_pb2.RolloutCameraImage(session_uuid=uuid, camera_image=image)

    def egomotion(self, uuid: str, step: int, count: int = 1, rates: bool = True) -> egodriver_pb2.RolloutEgoTrajectory:
        """The last `count` poses up to a step; at step 0 the contract sends a dense history, later one pose."""
        request = egodriver_pb2.RolloutEgoTrajectory(session_uuid=uuid)
        for k in range(step - count + 1, step + 1):
            pose = pose_message(*self.pose(k))
            request.trajectory.poses.append(common_pb2.PoseAtTime(timestamp_us=self.now_us(k), pose=pose))
            if rates:
                velocity = vec_message((self.speed_mps, 0.0, 0.0))
                request.dynamic_states.append(common_pb2.DynamicState(linear_velocity=velocity))
        return request

    def route(self, uuid: str, step: int, count: int = WAYPOINTS) -> egodriver_pb2.RouteRequest:
        """`count` waypoints from beside the car straight ahead, padded with NaN to the contract's 20."""
        points = [vec_message((SPACING_M * k, 0.0, 0.0)) for k in range(count)]
        points += [vec_message((np.nan,) * 3)] * (WAYPOINTS - count)
        route = egodriver_pb2.Route(timestamp_us=self.now_us(step), waypoints=points)
        return egodriver_pb2.RouteRequest(session_uuid=uuid, route=route)

    def recording(self, uuid: str, step: int) -> egodriver_pb2.GroundTruthRequest:
        """A recorded future that swerves, which no driver may look at."""
        truth = egodriver_pb2.GroundTruth(timestamp_us=self.now_us(step))
        for k in range(50):
            pose = pose_message((0.8 * k, 0.05 * k, 0.0), (0.0, 0.0, 0.0, 1.0))
            truth.trajectory.poses.append(common_pb2.PoseAtTime(timestamp_us=self.now_us(step + k), pose=pose))
        return egodriver_pb2.GroundTruthRequest(session_uuid=uuid, ground_truth=truth)

    def drive(self, uuid: str, step: int) -> egodriver_pb2.DriveRequest:
        """The request for a plan at a step."""
        now = self.now_us(step)
        return egodriver_pb2.DriveRequest(session_uuid=uuid, time_now_us=now, time_query_us=now + STEP_US)


@lru_cache(maxsize=1024)
def encoded(camera: Camera, driven_m: float, image_format: str) -> bytes:
    """What `picture` draws, as the bytes of an image file; the checks ask for the same ones again and again."""
    out = io.BytesIO()
    Image.fromarray(picture(camera, driven_m)).save(out, image_format)
    return out.getvalue()


def picture(camera: Camera, driven_m: float) -> NDArray[np.uint8]:
    """A camera, and how far the car has come -> what it sees (H, W, 3): sky, grass, a road with a dashed line."""
    rays = ray_table(camera) @ camera.tf_rig_camera[:3, :3].T
    down = rays[..., 2] < -1e-3
    reach = np.where(down, -camera.tf_rig_camera[2, 3] / np.where(down, rays[..., 2], -1.0), 0.0)
    x = camera.tf_rig_camera[0, 3] + reach * rays[..., 0] + driven_m
    y = camera.tf_rig_camera[1, 3] + reach * rays[..., 1]
    out = np.empty((camera.height, camera.width, 3), dtype=np.uint8)
    out[:] = SKY
    out[down] = GRASS
    out[down & (np.abs(y) < 6.0)] = ROAD
    out[down & (np.abs(y - 1.75) < 0.1) & (x % 9.0 < 4.0)] = LINE
    return out
