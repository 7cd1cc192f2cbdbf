"""What tests of the services share: a served policy, the messages of a drive, and a camera policy without a model."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cordillera.kinematics import roll_plan
from cordillera.policy.baselines import RouteFollower
from cordillera.runtime.driver import Policy, SafeDriver
from cordillera.sensors.rig import rig
from cordillera.serve.convert import camera_message, pose_message, vec_message
from cordillera.serve.driver_service import DriverService, Served, ServiceConfig
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.serve.wire.services import DRIVER
from cordillera.types import Camera, Decision, Observation, ReasoningTrace

FRONT = rig(("camera_front_wide_120fov",), 96, 54).cameras[0]
NOW_US = 5_000_000


@dataclass(frozen=True)
class SeeingPolicy:
    """Turns by what it sees and by its seed: every pixel of every frame, and the seed, move the plan."""

    seed: int = 0
    name: str = "seeing"

    def decide(self, observation: Observation) -> Decision:
        seen = [float(np.mean(frames, dtype=np.float64)) for frames in observation.images if len(frames)]
        turn = 1e-3 * (sum(seen) / 255.0 - 0.5) + 1e-4 * (self.seed % 17)
        actions = np.tile([0.5, turn], (64, 1))
        plan = roll_plan(actions, max(observation.speed_mps, 0.0), observation.t_us)
        other = roll_plan(actions * [0.5, 1.0], max(observation.speed_mps, 0.0), observation.t_us)
        count = sum(len(frames) for frames in observation.images)
        trace = ReasoningTrace(None, None, (), f"I see {count} frames.", self.name)
        return Decision(plan, (plan, other), trace, self.name, 0.0)


def served(make: Callable[[int], Policy] | None = None, cameras: tuple[Camera, ...] = ()) -> Served:
    maker = make or (lambda seed: RouteFollower())
    return Served(maker(0).name, lambda seed: SafeDriver(maker(seed)), cameras, "test")


def serving(
    one: Served | None = None, config: ServiceConfig | None = None, server: ServerConfig | None = None
) -> Background:
    """A context manager that gives the address of a running service."""
    service = DriverService(one or served(), config)
    return Background(
        {DRIVER: service}, server or ServerConfig(port=0, grace_s=2.0), (service.sessions.reap,), service.stop
    )


def png(image: np.ndarray, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


def start(cameras: tuple[Camera, ...] = (), seed: int = 0, name: str = "") -> egodriver_pb2.DriveSessionRequest:
    request = egodriver_pb2.DriveSessionRequest(session_uuid=name or str(uuid.uuid4()), random_seed=seed)
    request.rollout_spec.vehicle.available_cameras.extend(camera_message(c) for c in cameras)
    return request


def egomotion(
    name: str, now_us: int = NOW_US, count: int = 16, speed: float = 8.0, rates: bool = True, yaw: float = 0.0
) -> egodriver_pb2.RolloutEgoTrajectory:
    """A straight past at constant speed up to `now_us`, at x = 0 then."""
    request = egodriver_pb2.RolloutEgoTrajectory(session_uuid=name)
    for k in range(count - 1, -1, -1):
        x = -0.1 * k * speed
        quat = (0.0, 0.0, np.sin(0.5 * yaw), np.cos(0.5 * yaw))
        pose = pose_message((x * np.cos(yaw), x * np.sin(yaw), 0.0), quat)
        request.trajectory.poses.append(common_pb2.PoseAtTime(timestamp_us=now_us - 100_000 * k, pose=pose))
        if rates:
            request.dynamic_states.append(common_pb2.DynamicState(linear_velocity=vec_message((speed, 0.0, 0.0))))
    return request


def route(name: str, now_us: int = NOW_US, count: int = 20, padding: int = 0) -> egodriver_pb2.RouteRequest:
    points = [vec_message((4.0 * k, 0.0, 0.0)) for k in range(1, count + 1)]
    points += [vec_message((np.nan,) * 3)] * padding
    return egodriver_pb2.RouteRequest(
        session_uuid=name, route=egodriver_pb2.Route(timestamp_us=now_us, waypoints=points)
    )


def frame(
    name: str, image: np.ndarray, t_us: int = NOW_US, camera: str = FRONT.name, kind: str = "PNG"
) -> egodriver_pb2.RolloutCameraImage:
    data = egodriver_pb2.RolloutCameraImage.CameraImage(
        frame_start_us=t_us, frame_end_us=t_us, image_bytes=png(image, kind), logical_id=camera
    )
    return egodriver_pb2.RolloutCameraImage(session_uuid=name, camera_image=data)


def drive(name: str, now_us: int = NOW_US, data: bytes = b"") -> egodriver_pb2.DriveRequest:
    return egodriver_pb2.DriveRequest(
        session_uuid=name, time_now_us=now_us, time_query_us=now_us + 100_000, renderer_data=data
    )
