"""`traffic.TrafficService`: where the ego is in, where everybody else is out; each session has a world of its own.

Until the handover everybody is where the session's request logged them; from then on our traffic drives them. Our
archives log our own traffic, so that nobody jumps then. A session's seed is its scene's: the request's is not read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cordillera.geometry import quat_from_yaw, rotate, wrap_angle, yaw_of
from cordillera.serve.convert import pose_message, time_of, trajectory_of
from cordillera.serve.scene import EPOCH_US
from cordillera.serve.scenes import HostedScene, Scenes
from cordillera.serve.sensorsim import EGO, agent_of
from cordillera.serve.service import Context, WorldService, few
from cordillera.serve.sessions import SessionLimits, Sessions
from cordillera.serve.traffic import TrafficSession
from cordillera.serve.wire import common_pb2, traffic_pb2
from cordillera.types import EgoState, Float, Int, Trajectory
from cordillera.world.world import DT_US

MOST_OBJECTS = 4096
MOST_POSES = 200_000  # of a session's request in all
KNOWN_M = 0.5  # so near to where the scenario starts, the ego is taken to start as the scenario says

log = logging.getLogger(__name__)


@dataclass(eq=False)
class EgoTrack:
    """Poses of the ego's box as they arrive -> the ego at any time; rates are by differences of poses."""

    rear_axle_to_center_m: float
    half_height_m: float
    start: EgoState  # the scenario's
    t_us: Int = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # of the world
    xyz: Float = field(default_factory=lambda: np.zeros((0, 3)))  # of the rig
    yaw_rad: Float = field(default_factory=lambda: np.zeros(0))

    def extend(self, boxes: Trajectory) -> None:
        """Poses of the ego's box at the wire's times; they take the place of what was known from their first on."""
        if not len(boxes.t_us):
            return
        t_us = boxes.t_us - EPOCH_US
        offset = np.array([self.rear_axle_to_center_m, 0.0, self.half_height_m])
        xyz = boxes.xyz - rotate(boxes.quat_xyzw, np.broadcast_to(offset, boxes.xyz.shape))
        keep = self.t_us < t_us[0]
        yaw = np.concatenate([self.yaw_rad[keep], yaw_of(boxes.quat_xyzw)])
        self.t_us = np.concatenate([self.t_us[keep], t_us])
        self.xyz = np.concatenate([self.xyz[keep], xyz])
        self.yaw_rad = np.unwrap(yaw)

    def at(self, t_us: int) -> EgoState:
        """A time of the world -> the ego; before and after what is known it stands where it was seen."""
        if not len(self.t_us):
            raise ValueError(f'nothing is known of where the ego is; send an update of the object "{EGO}"')
        x, y, z, yaw = self._pose(t_us)
        if t_us == self.start.t_us and np.hypot(x - self.start.xyz[0], y - self.start.xyz[1]) < KNOWN_M:
            return self.start
        first, last = int(self.t_us[0]), int(self.t_us[-1])
        before, after = max(t_us - DT_US, min(first, t_us)), min(t_us + DT_US, max(last, t_us))
        speed, turn, accel = 0.0, 0.0, 0.0
        if after > before:
            a, b = self._pose(before), self._pose(after)
            seconds = (after - before) * 1e-6
            speed = float((b[0] - a[0]) * np.cos(yaw) + (b[1] - a[1]) * np.sin(yaw)) / seconds
            turn = float(wrap_angle(b[3] - a[3])) / seconds
            if before < t_us < after:
                gone = [np.hypot(x - a[0], y - a[1]), np.hypot(b[0] - x, b[1] - y)]
                accel = float(gone[1] / (after - t_us) - gone[0] / (t_us - before)) * 1e6 / (0.5 * seconds)
        curvature = turn / speed if abs(speed) > 0.5 else 0.0
        velocity = np.array([speed, 0.0, 0.0])
        return EgoState(t_us, np.array([x, y, z]), quat_from_yaw(yaw), velocity, accel, curvature, turn)

    def _pose(self, t_us: int) -> tuple[float, float, float, float]:
        x, y, z = (float(np.interp(t_us, self.t_us, self.xyz[:, d])) for d in range(3))
        return x, y, z, float(np.interp(t_us, self.t_us, self.yaw_rad))


@dataclass(eq=False)
class TrafficRun:
    """One session: its world, the ego as told, and what was logged of the others."""

    scene: HostedScene
    logged: dict[str, Trajectory]  # local_to_aabb at the wire's times, in the order of the request
    ego: EgoTrack
    handover_us: int
    world: TrafficSession = field(init=False)
    undeclared: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.world = TrafficSession(self.scene.scenario)

    def advance(self, t_us: int, boxes: Trajectory) -> list[traffic_pb2.ObjectTrajectoryUpdate]:
        """The wire's time and the ego's newest poses -> where everybody is then whom the session declared."""
        self.ego.extend(boxes)
        placed = {each.object_id: (each.xyz, each.quat_xyzw) for each in self.world.simulate(self.ego.at, t_us)}
        if new := placed.keys() - self.logged.keys() - self.undeclared:
            log.info("not declared in start_session, so not told: %s", ", ".join(sorted(new)))
            self.undeclared |= new
        if t_us <= self.handover_us:
            placed = {name: pose for name, track in self.logged.items() if (pose := pose_at(track, t_us)) is not None}
        return [update_message(name, t_us, *placed[name]) for name in self.logged if name in placed]


def pose_at(track: Trajectory, t_us: int) -> tuple[Float, Float] | None:
    """A track and a time -> position (3,) and quaternion (4,) then; None outside of the track."""
    if not len(track.t_us) or not track.t_us[0] <= t_us <= track.t_us[-1]:
        return None
    k = min(int(np.searchsorted(track.t_us, t_us, side="right")), len(track.t_us) - 1)
    j = max(k - 1, 0)
    share = (t_us - int(track.t_us[j])) / max(int(track.t_us[k] - track.t_us[j]), 1)
    a, b = track.quat_xyzw[j], track.quat_xyzw[k]
    quat = a + share * ((b if a @ b >= 0.0 else -b) - a)
    return track.xyz[j] + share * (track.xyz[k] - track.xyz[j]), quat / np.linalg.norm(quat)


def update_message(name: str, t_us: int, xyz: Float, quat_xyzw: Float) -> traffic_pb2.ObjectTrajectoryUpdate:
    """Where an object is at a time -> its message."""
    pose = common_pb2.PoseAtTime(timestamp_us=t_us, pose=pose_message(xyz, quat_xyzw))
    return traffic_pb2.ObjectTrajectoryUpdate(object_id=name, trajectory=common_pb2.Trajectory(poses=[pose]))


def boxes_of(updates: Iterable[Any], what: str) -> Trajectory:
    """Objects with trajectories -> the ego's, perhaps empty; ValueError where there are two, or one is not sound."""
    found = [each for each in updates if each.object_id == EGO]
    if len(found) > 1:
        raise ValueError(f'{what} holds the object "{EGO}" {len(found)} times; send it once')
    message = found[0].trajectory if found else common_pb2.Trajectory()
    return trajectory_of(message, "local", f"the ego in {what}")


class TrafficService(WorldService):
    """The service; its methods are the calls of the contract. Run `sessions.reap` beside it to close idle ones."""

    name = "traffic"

    def __init__(self, scenes: Scenes, threads: int = 1, limits: SessionLimits | None = None) -> None:
        super().__init__(threads)
        self.scenes = scenes
        self.sessions: Sessions[TrafficRun] = Sessions(limits)

    async def start_session(self, request: Any, context: Context) -> common_pb2.SessionRequestStatus:
        """A session over a scene, with the objects that the caller knows; these must be of the scene."""
        self.scenes.source(request.scene_id)
        few(len(request.logged_object_trajectories), MOST_OBJECTS, "logged_object_trajectories")
        few(sum(len(o.trajectory.poses) for o in request.logged_object_trajectories), MOST_POSES, "logged poses")
        await self.sessions.begin(request.session_uuid, lambda: self.aside(self._begun, request))
        return common_pb2.SessionRequestStatus()

    def _begun(self, request: traffic_pb2.TrafficSessionRequest) -> TrafficRun:
        scene = self.scenes.get(request.scene_id)
        scenario = scene.scenario
        ids = {int(k) for k in scenario.initial.agents.id}
        logged: dict[str, Trajectory] = {}
        for each in request.logged_object_trajectories:
            if each.object_id == EGO:
                continue
            name = each.object_id[:64]
            if agent_of(each.object_id) not in ids:
                raise ValueError(f"object {name!r} is not in the scene; objects bear the ids of the scene's tracks")
            if each.object_id in logged:
                raise ValueError(f"object {name!r} is declared twice; declare each once")
            logged[each.object_id] = trajectory_of(each.trajectory, "local", f"the log of object {name!r}")
        spec = scenario.vehicle
        ego = EgoTrack(spec.rear_axle_to_center_m, 0.5 * spec.height_m, scenario.initial.ego)
        ego.extend(boxes_of(request.logged_object_trajectories, "logged_object_trajectories"))
        handover = time_of(request.handover_time_us, "handover_time_us") if request.HasField("handover_time_us") else 0
        return TrafficRun(scene, logged, ego, handover)

    async def close_session(self, request: Any, context: Context) -> common_pb2.Empty:
        """Forget a session; one that is not open is closed already."""
        self.sessions.close(request.session_uuid)
        return common_pb2.Empty()

    async def simulate(self, request: Any, context: Context) -> traffic_pb2.TrafficReturn:
        """A time and where the ego is then -> a pose at that time of every declared object that is there."""
        held = self.sessions.find(request.session_uuid)
        few(len(request.object_trajectory_updates), MOST_OBJECTS, "object_trajectory_updates")
        t_us = time_of(request.time_query_us, "time_query_us")
        boxes = boxes_of(request.object_trajectory_updates, "object_trajectory_updates")
        async with held.turn:
            updates = await self.aside(held.kept.advance, t_us, boxes)
        return traffic_pb2.TrafficReturn(object_trajectory_updates=updates)

    async def get_metadata(self, request: Any, context: Context) -> traffic_pb2.TrafficModuleMetadata:
        """Who serves, and over which scenes; no history is needed."""
        return traffic_pb2.TrafficModuleMetadata(version_id=self.version(), supported_map_ids=self.scenes.ids)
