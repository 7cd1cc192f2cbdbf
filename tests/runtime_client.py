"""A small runtime for tests: it plays AlpaSim's part towards our services, written from the contract's description.

Each step: pictures of all cameras, then egomotion, route and `drive`; the plan to the controller, the new pose to
physics, then traffic, and the others to physics. Velocities for the controller are differences of poses, as there.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

import grpc
import numpy as np

from cordillera.geometry import invert, move_trajectory, transform_of, transform_points
from cordillera.serve.client import contract_route
from cordillera.serve.convert import (
    pose_message,
    pose_of,
    trajectory_message,
    trajectory_of,
    transform_from,
    transform_message,
    vec_message,
)
from cordillera.serve.driver_service import CONTRACT_KEY, OPTICAL
from cordillera.serve.scene import SceneArchive
from cordillera.serve.wire import (
    common_pb2,
    controller_pb2,
    egodriver_pb2,
    physics_pb2,
    sensorsim_pb2,
    traffic_pb2,
)
from cordillera.serve.wire.services import CONTROLLER, DRIVER, PHYSICS, SENSORSIM, TRAFFIC, Stub
from cordillera.types import Float, Route, Trajectory, VehicleSpec
from cordillera.world.guide import Guide
from cordillera.world.roads import Roads

STEP_US, SHUTTER_US = 100_000, 30_000
Poses = dict[str, tuple[Float, Float]]


@dataclass
class Journey:
    """What was driven: times, ego poses tf_local_rig, speeds, and the others' boxes, one of each a step."""

    t_us: list[int] = field(default_factory=list)
    tf: list[Float] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    others: list[Poses] = field(default_factory=list)
    image_bytes: list[int] = field(default_factory=list)
    ms: dict[str, list[float]] = field(default_factory=dict)
    pictures: list[bytes] = field(default_factory=list)  # of the last step


@dataclass(eq=False)
class Runtime:
    """One rollout over a scene's archive."""

    world: str  # address
    driver: str
    scene: SceneArchive
    roads: Roads
    route: Route
    vehicle: VehicleSpec
    start_speed: float
    size: tuple[int, int] = (96, 54)
    image_format: int = 1
    force_gt_us: int = 0
    whole: bool = False  # the whole route in place of the contract's 20 waypoints
    cameras: bool = True

    def __post_init__(self) -> None:
        options = [("grpc.max_receive_message_length", 64 << 20)]
        self.channels = [grpc.insecure_channel(a, options) for a in (self.world, self.driver)]
        world, driver = self.channels
        self.sensorsim, self.physics = Stub(world, SENSORSIM), Stub(world, PHYSICS)
        self.traffic, self.controller, self.egodriver = (
            Stub(world, TRAFFIC),
            Stub(world, CONTROLLER),
            Stub(driver, DRIVER),
        )
        self.uuid = str(uuid.uuid4())
        self.guide = Guide.of(self.roads, self.route)
        self.progress_m = 0.0
        half = np.array([self.vehicle.rear_axle_to_center_m, 0.0, 0.5 * self.vehicle.height_m])
        self.tf_rig_box = transform_of(half, np.array([0.0, 0.0, 0.0, 1.0]))
        self.recorded = Trajectory(
            np.array(self.scene.ego_t_us), self.scene.tf_world_rig[:, :3, 3],
            np.stack([pose_of(transform_message(tf))[1] for tf in self.scene.tf_world_rig]), "local",
        )  # fmt: skip
        self.box = common_pb2.AABB(
            size_x=self.vehicle.length_m, size_y=self.vehicle.width_m, size_z=self.vehicle.height_m
        )
        self.journey = Journey()

    def drive(self, steps: int) -> Journey:
        """Start all sessions, step, and close them, whatever happens."""
        self.start()
        try:
            for _ in range(steps):
                self.step()
        finally:
            self.close()
        return self.journey

    # ---------------------------------------------------------------- begin

    def start(self) -> None:
        available = self.sensorsim.get_available_cameras(
            sensorsim_pb2.AvailableCamerasRequest(scene_id=self.scene.scene_id)
        )
        self.available = list(available.available_cameras) if self.cameras else []
        self.sensorsim.get_available_ego_masks(common_pb2.Empty())
        assert self.scene.scene_id in self.physics.get_available_scenes(common_pb2.Empty()).scene_ids
        self.controller.start_session(controller_pb2.VDCSessionRequest(session_uuid=self.uuid))
        request = egodriver_pb2.DriveSessionRequest(session_uuid=self.uuid, random_seed=0)
        request.rollout_spec.vehicle.available_cameras.extend(self.available)
        self.egodriver.start_session(request, metadata=((CONTRACT_KEY, OPTICAL),))
        assert self.scene.scene_id in self.traffic.get_metadata(common_pb2.Empty()).supported_map_ids
        logged = [traffic_pb2.ObjectTrajectory(object_id="EGO", aabb=self.box, trajectory=self.boxes(self.recorded))]
        for name, (label, size, rows) in self.scene.tracks.items():
            track = Trajectory(rows[:, 0].astype(np.int64), rows[:, 1:4], rows[:, 4:], "local")
            box = common_pb2.AABB(size_x=size[0], size_y=size[1], size_z=size[2])
            logged.append(
                traffic_pb2.ObjectTrajectory(
                    object_id=name, aabb=box, trajectory=trajectory_message(track), label_class=label
                )
            )
        start_us = self.scene.ego_t_us[0]
        self.traffic.start_session(
            traffic_pb2.TrafficSessionRequest(
                session_uuid=self.uuid, scene_id=self.scene.scene_id, logged_object_trajectories=logged,
                handover_time_us=start_us + self.force_gt_us,
            )
        )  # fmt: skip
        self.sizes = {name: size for name, (_, size, _) in self.scene.tracks.items()}
        others = {
            name: (rows[0, 1:4], rows[0, 4:])
            for name, (_, _, rows) in self.scene.tracks.items()
            if rows[0, 0] == start_us
        }
        self.commit(start_us, self.scene.tf_world_rig[0], self.start_speed, others)
        self.rates = common_pb2.DynamicState(linear_velocity=vec_message((self.start_speed, 0.0, 0.0)))

    def boxes(self, rig: Trajectory) -> common_pb2.Trajectory:
        """Poses of the rig -> poses of its box."""
        tf = transform_of(rig.xyz, rig.quat_xyzw) @ self.tf_rig_box
        return trajectory_message(Trajectory(rig.t_us, tf[:, :3, 3], rig.quat_xyzw, rig.frame))

    def close(self) -> None:
        """Close every session, twice: a runtime that lost an answer asks again."""
        for _ in range(2):
            self.egodriver.close_session(egodriver_pb2.DriveSessionCloseRequest(session_uuid=self.uuid))
            self.controller.close_session(controller_pb2.VDCSessionCloseRequest(session_uuid=self.uuid))
            self.traffic.close_session(traffic_pb2.TrafficSessionCloseRequest(session_uuid=self.uuid))
        for channel in self.channels:
            channel.close()

    def commit(self, t_us: int, tf: Float, speed: float, others: Poses) -> None:
        journey = self.journey
        journey.t_us.append(t_us)
        journey.tf.append(tf)
        journey.speed.append(speed)
        journey.others.append(others)

    # ----------------------------------------------------------------- step

    def step(self) -> None:
        now_us, tf = self.journey.t_us[-1], self.journey.tf[-1]
        self.timed("pictures", self.look, now_us, tf)
        plan = self.timed("drive", self.decide, now_us, tf)
        tf_next = self.timed("controller", self.move, now_us, tf, plan)
        next_us = now_us + STEP_US
        forced = next_us <= self.scene.ego_t_us[0] + self.force_gt_us
        if forced:
            tf_next = self.scene.tf_world_rig[self.scene.ego_t_us.index(next_us)]
        tf_next = self.timed("physics", self.ground, next_us, tf, tf_next)
        others = self.timed("traffic", self.others, next_us, tf_next)
        speed = float((invert(tf) @ tf_next)[0, 3] / (STEP_US * 1e-6)) if forced else self.rates.linear_velocity.x
        self.commit(next_us, tf_next, speed, others)

    def timed(self, name, work, *arguments):
        began = time.perf_counter()
        out = work(*arguments)
        self.journey.ms.setdefault(name, []).append((time.perf_counter() - began) * 1e3)
        return out

    def look(self, now_us: int, tf: Float) -> None:
        """All cameras at once, each picture on to the driver."""
        pending = []
        for camera in self.available:
            pose = transform_message(tf @ transform_from(camera.rig_to_camera))
            request = sensorsim_pb2.RGBRenderRequest(
                scene_id=self.scene.scene_id, resolution_h=self.size[1], resolution_w=self.size[0],
                camera_intrinsics=camera.intrinsics, frame_start_us=now_us - SHUTTER_US, frame_end_us=now_us,
                sensor_pose=sensorsim_pb2.PosePair(start_pose=pose, end_pose=pose), image_format=self.image_format,
                image_quality=95,
            )  # fmt: skip
            for name, (xyz, quat) in self.journey.others[-1].items():
                there = pose_message(xyz, quat)
                pair = sensorsim_pb2.PosePair(start_pose=there, end_pose=there)
                request.dynamic_objects.add(track_id=name, pose_pair=pair)
            pending.append(self.sensorsim.render_rgb.future(request))
        self.journey.pictures = [each.result().image_bytes for each in pending]
        self.journey.image_bytes += map(len, self.journey.pictures)
        sent = []
        for camera, data in zip(self.available, self.journey.pictures, strict=True):
            frame = egodriver_pb2.RolloutCameraImage.CameraImage(
                frame_start_us=now_us - SHUTTER_US, frame_end_us=now_us, image_bytes=data, logical_id=camera.logical_id
            )
            message = egodriver_pb2.RolloutCameraImage(session_uuid=self.uuid, camera_image=frame)
            sent.append(self.egodriver.submit_image_observation.future(message))
        for each in sent:
            each.result()

    def decide(self, now_us: int, tf: Float) -> Trajectory:
        """Egomotion, route, drive -> the plan in local."""
        request = egodriver_pb2.RolloutEgoTrajectory(session_uuid=self.uuid, dynamic_states=[self.rates])
        request.trajectory.poses.add(timestamp_us=now_us, pose=transform_message(tf))
        self.egodriver.submit_egomotion_observation(request)
        self.progress_m = self.guide.progress(tf[0, 3], tf[1, 3], self.progress_m)
        ahead = self.guide.ahead(self.progress_m)
        rig = Route(transform_points(invert(tf), ahead.xyz), frame="rig")
        points = rig.xyz if self.whole else contract_route(rig)
        route = egodriver_pb2.Route(waypoints=[vec_message(p) for p in points], timestamp_us=now_us)
        self.egodriver.submit_route(egodriver_pb2.RouteRequest(session_uuid=self.uuid, route=route))
        answer = self.egodriver.drive(
            egodriver_pb2.DriveRequest(session_uuid=self.uuid, time_now_us=now_us, time_query_us=now_us + STEP_US)
        )
        return trajectory_of(answer.trajectory, "local", "the plan")

    def move(self, now_us: int, tf: Float, plan: Trajectory) -> Float:
        """The plan to the controller -> the next pose of the rig."""
        request = controller_pb2.RunControllerAndVehicleModelRequest(
            session_uuid=self.uuid, future_time_us=now_us + STEP_US, pose_reporting_interval_us=STEP_US,
            planned_trajectory_in_rig=trajectory_message(move_trajectory(invert(tf), plan, "rig")),
            coerce_dynamic_state=now_us < self.scene.ego_t_us[0] + self.force_gt_us,
        )  # fmt: skip
        request.state.timestamp_us = now_us
        request.state.pose.CopyFrom(transform_message(tf))
        velocity, turn = (self.journey.speed[-1], 0.0, 0.0), 0.0
        if len(self.journey.tf) > 1:
            gone = invert(self.journey.tf[-2]) @ tf
            velocity = gone[:3, 3] / (STEP_US * 1e-6)
            turn = float(np.arctan2(gone[1, 0], gone[0, 0])) / (STEP_US * 1e-6)
        request.state.state.linear_velocity.CopyFrom(vec_message(velocity))
        request.state.state.angular_velocity.CopyFrom(vec_message((0.0, 0.0, turn)))
        (state,) = self.controller.run_controller_and_vehicle(request).states
        assert state.timestamp_us == now_us + STEP_US
        self.rates = state.dynamic_state_estimated
        return transform_from(state.pose_local_to_rig)

    def ground(self, next_us: int, tf: Float, tf_next: Float) -> Float:
        """A pose of the rig -> the same on the road."""
        request = physics_pb2.PhysicsGroundIntersectionRequest(
            scene_id=self.scene.scene_id, now_us=next_us - STEP_US, future_us=next_us
        )
        request.ego_data.aabb.CopyFrom(self.box)
        request.ego_data.ego_trajectory_aabb.poses.add(
            timestamp_us=next_us, pose=transform_message(tf_next @ self.tf_rig_box)
        )
        answer = self.physics.ground_intersection(request)
        assert list(answer.ego_status) == [0]
        return transform_from(answer.ego_trajectory_aabb.poses[0].pose) @ invert(self.tf_rig_box)

    def others(self, next_us: int, tf_next: Float) -> Poses:
        """Where the ego will be -> where the others will be, on the road."""
        ego = traffic_pb2.ObjectTrajectoryUpdate(object_id="EGO")
        ego.trajectory.poses.add(timestamp_us=next_us, pose=transform_message(tf_next @ self.tf_rig_box))
        answer = self.traffic.simulate(
            traffic_pb2.TrafficRequest(session_uuid=self.uuid, time_query_us=next_us, object_trajectory_updates=[ego])
        )
        request = physics_pb2.PhysicsGroundIntersectionRequest(
            scene_id=self.scene.scene_id, now_us=next_us - STEP_US, future_us=next_us
        )
        names = []
        for update in answer.object_trajectory_updates:
            (stamped,) = update.trajectory.poses
            assert stamped.timestamp_us == next_us
            names.append(update.object_id)
            size = self.sizes[update.object_id]
            other = request.other_objects.add()
            other.aabb.CopyFrom(common_pb2.AABB(size_x=size[0], size_y=size[1], size_z=size[2]))
            other.pose_pair.now_pose.CopyFrom(stamped.pose)
            other.pose_pair.future_pose.CopyFrom(stamped.pose)
        placed = self.physics.ground_intersection(request).other_poses
        return {name: pose_of(each.pose) for name, each in zip(names, placed, strict=True)}
