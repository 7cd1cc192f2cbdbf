"""`physics.PhysicsService`: boxes of a scene in, the same boxes on its roads out; stateless."""

from __future__ import annotations

from typing import Any

import numpy as np

from cordillera.serve.convert import pose_message, pose_of, time_of
from cordillera.serve.physics import Ground, on_road
from cordillera.serve.scenes import HostedScene, Scenes
from cordillera.serve.service import Context, WorldService, few, size_of
from cordillera.serve.wire import common_pb2, physics_pb2

MOST_POSES = 5000  # of the ego's trajectory
MOST_OBJECTS = 4096


class PhysicsService(WorldService):
    """The service; its methods are the calls of the contract."""

    name = "physics"

    def __init__(self, scenes: Scenes, threads: int = 1) -> None:
        super().__init__(threads)
        self.scenes = scenes

    async def ground_intersection(self, request: Any, context: Context) -> physics_pb2.PhysicsGroundIntersectionReturn:
        """Every pose of the ego and every other object's future pose, with the height and tilt of the road there.

        Poses are those of box centres. A box that cannot be placed comes back as it was, and its status says why.
        """
        few(len(request.ego_data.ego_trajectory_aabb.poses), MOST_POSES, "poses of the ego")
        few(len(request.other_objects), MOST_OBJECTS, "objects")
        self.scenes.source(request.scene_id)
        return await self.aside(self._placed, request)

    def _placed(self, request: physics_pb2.PhysicsGroundIntersectionRequest) -> Any:
        scene = self.scenes.get(request.scene_id)
        answer: Any = physics_pb2.PhysicsGroundIntersectionReturn()
        if request.HasField("ego_data"):
            size = size_of(request.ego_data.aabb, "the ego")
            for k, stamped in enumerate(request.ego_data.ego_trajectory_aabb.poses):
                t_us = time_of(stamped.timestamp_us, f"pose {k} of the ego")
                pose, done = placed(scene, stamped.pose, size, f"pose {k} of the ego")
                answer.ego_trajectory_aabb.poses.append(common_pb2.PoseAtTime(timestamp_us=t_us, pose=pose))
                answer.ego_status.append(int(done))
        for k, other in enumerate(request.other_objects):
            what = f"object {k}"
            if not other.pose_pair.HasField("future_pose"):
                raise ValueError(f"{what} has no pose_pair.future_pose; send where its box will be")
            pose, done = placed(scene, other.pose_pair.future_pose, size_of(other.aabb, what), what)
            answer.other_poses.add(pose=pose, status=int(done))
        return answer

    async def get_available_scenes(self, request: Any, context: Context) -> common_pb2.AvailableScenesReturn:
        """The scenes that are served."""
        return common_pb2.AvailableScenesReturn(scene_ids=self.scenes.ids)

    async def get_version(self, request: Any, context: Context) -> common_pb2.VersionId:
        """Who serves."""
        return self.version()


def placed(
    scene: HostedScene, pose: common_pb2.Pose, size_lwh: tuple[float, float, float], what: str
) -> tuple[common_pb2.Pose, Ground]:
    """A box's pose and size -> its pose on the scene's roads, and what was done."""
    xyz, quat, done = on_road(scene.roads, *pose_of(pose, what), np.array(size_lwh))
    return pose_message(xyz, quat), done
