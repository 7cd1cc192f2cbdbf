"""How long the world's services take: `python -m benchmarks.serve_world` prints milliseconds a call over the wire.

One scene, two cameras, everything on this machine; pictures as JPEG and PNG at several sizes, then one step of the
other services: the controller with a plan of 64 poses, physics and traffic for everybody around.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np

from cordillera.geometry import transform_of
from cordillera.kinematics import roll_plan
from cordillera.presets.serve_world import world_services
from cordillera.sensors.rig import rig
from cordillera.serve.convert import camera_message, pose_message, state_message, trajectory_message, transform_message
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import EPOCH_US, box_pose
from cordillera.serve.scenes import HostedScene, Scenes, made
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.wire import controller_pb2, physics_pb2, sensorsim_pb2, traffic_pb2
from cordillera.serve.wire.services import CONTROLLER, PHYSICS, SENSORSIM, TRAFFIC, Stub
from cordillera.types import Camera

CAMERAS = ("camera_front_wide_120fov", "camera_front_tele_30fov")
SIZES = ((384, 216), (960, 540), (1920, 1080))
FORMATS: dict[str, Any] = {"JPEG": 2, "PNG": 1}


def timed(calls: int, call: Callable[[int], Any]) -> tuple[float, float, Any]:
    """How often, and what (given the number of the call) -> median and 95th percentile in ms, and the last answer."""
    spent, answer = [], call(0)
    for k in range(calls):
        began = time.perf_counter()
        answer = call(k + 1)
        spent.append((time.perf_counter() - began) * 1e3)
    return float(np.median(spent)), float(np.percentile(spent, 95)), answer


def picture_request(scene: HostedScene, camera: Camera, image_format: Any) -> sensorsim_pb2.RGBRenderRequest:
    """A scene and a camera -> the request for a picture of how the scene starts, with everybody in it."""
    state = scene.scenario.initial
    ego = state.ego
    pose = transform_message(transform_of(ego.xyz, ego.quat_xyzw) @ camera.tf_rig_camera)
    request = sensorsim_pb2.RGBRenderRequest(
        scene_id=scene.source.scene_id, frame_start_us=EPOCH_US, frame_end_us=EPOCH_US, image_quality=95,
        camera_intrinsics=camera_message(camera).intrinsics, image_format=image_format,
        sensor_pose=sensorsim_pb2.PosePair(start_pose=pose, end_pose=pose),
    )  # fmt: skip
    for row in np.flatnonzero(state.agents.valid):
        there = pose_message(*box_pose(state.agents, int(row)))
        pair = sensorsim_pb2.PosePair(start_pose=there, end_pose=there)
        request.dynamic_objects.add(track_id=str(int(state.agents.id[row])), pose_pair=pair)
    return request


def pictures(scene: HostedScene, channel: grpc.Channel, calls: int) -> None:
    """Print a row for each size and format: one picture, and a batch of both cameras."""
    sensorsim = Stub(channel, SENSORSIM)
    print(f"{'pictures':24}{'one, ms':>10}{'p95':>8}{'a batch of two, ms':>22}{'kB each':>10}")
    for size in SIZES:
        cameras = rig(CAMERAS, *size).cameras
        for name, image_format in FORMATS.items():
            requests = [picture_request(scene, camera, image_format) for camera in cameras]
            batch = sensorsim_pb2.BatchRGBRenderRequest()
            for camera, request in zip(cameras, requests, strict=True):
                batch.items.add(camera_name=camera.name, request=request)
            one, slow, _ = timed(calls, lambda k, r=requests[0]: sensorsim.render_rgb(r))
            both, _, answer = timed(calls, lambda k, b=batch: sensorsim.batch_render_rgb(b))
            mean_kb = np.mean([len(item.result.image_bytes) for item in answer.items]) / 1e3
            print(f"{f'{size[0]} x {size[1]} {name}':24}{one:10.1f}{slow:8.1f}{both:22.1f}{mean_kb:10.0f}")


def steps(scene: HostedScene, channel: grpc.Channel, calls: int) -> None:
    """Print a row for each of the other services, for one step of 0.1 s."""
    state, spec = scene.scenario.initial, scene.scenario.vehicle
    rows = np.flatnonzero(state.agents.valid)
    print(f"\n{f'a step with {len(rows)} others':24}{'ms':>10}{'p95':>8}")

    controller = Stub(channel, CONTROLLER)
    controller.start_session(controller_pb2.VDCSessionRequest(session_uuid="bench"))
    plan = roll_plan(np.zeros((64, 2)), state.ego.speed_mps, EPOCH_US - 100_000)
    drive = controller_pb2.RunControllerAndVehicleModelRequest(
        session_uuid="bench", future_time_us=EPOCH_US + 100_000, planned_trajectory_in_rig=trajectory_message(plan)
    )
    drive.state.timestamp_us = EPOCH_US
    drive.state.pose.CopyFrom(pose_message(state.ego.xyz, state.ego.quat_xyzw))
    drive.state.state.CopyFrom(state_message(state.ego))
    told("controller", timed(calls, lambda k: controller.run_controller_and_vehicle(drive)))
    controller.close_session(controller_pb2.VDCSessionCloseRequest(session_uuid="bench"))

    physics = Stub(channel, PHYSICS)
    ground = physics_pb2.PhysicsGroundIntersectionRequest(scene_id=scene.source.scene_id)
    for row in rows:
        x, y, z = (float(side) for side in state.agents.size_lwh[row])
        other = ground.other_objects.add()
        other.aabb.size_x, other.aabb.size_y, other.aabb.size_z = x, y, z
        other.pose_pair.future_pose.CopyFrom(pose_message(*box_pose(state.agents, int(row))))
    told("physics, all others", timed(calls, lambda k: physics.ground_intersection(ground)))

    traffic = Stub(channel, TRAFFIC)
    begin = traffic_pb2.TrafficSessionRequest(session_uuid="bench", scene_id=scene.source.scene_id)
    for row in rows:
        begin.logged_object_trajectories.add(object_id=str(int(state.agents.id[row])))
    traffic.start_session(begin)
    box = state.ego.xyz + np.array([spec.rear_axle_to_center_m, 0.0, 0.5 * spec.height_m])

    def simulate(k: int) -> Any:
        request = traffic_pb2.TrafficRequest(session_uuid="bench", time_query_us=EPOCH_US + 100_000 * (k + 1))
        ego = request.object_trajectory_updates.add(object_id="EGO")
        ego.trajectory.poses.add(timestamp_us=request.time_query_us, pose=pose_message(box, state.ego.quat_xyzw))
        return traffic.simulate(request)

    told("traffic", timed(calls, simulate))
    traffic.close_session(traffic_pb2.TrafficSessionCloseRequest(session_uuid="bench"))


def told(name: str, measured: tuple[float, float, Any]) -> None:
    print(f"{name:24}{measured[0]:10.2f}{measured[1]:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="town01")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    scenes = Scenes([made(SceneRecipe(arguments.map, arguments.seed), rig(CAMERAS))], renderers=arguments.threads)
    services = world_services(scenes, arguments.threads)
    options = [("grpc.max_receive_message_length", 64 << 20)]
    config = ServerConfig(port=0, message_mb=64.0)
    with Background(services, config) as address, grpc.insecure_channel(address, options) as channel:
        scene = scenes.get(scenes.ids[0])
        pictures(scene, channel, arguments.calls)
        steps(scene, channel, arguments.calls)


if __name__ == "__main__":
    main()
