"""One session of the contract: what a client submits in, observations of our policies out.

A session has its own window of frames, its own track and route and its own driver, so sessions cannot touch each other.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import invert, move_trajectory, transform_of, transform_points
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import FRAMES, HISTORY, TICK_US
from cordillera.serve.convert import ego_of, time_of, trajectory_of, transform_from, vec_of
from cordillera.serve.lens import Lens, Resampler, decode
from cordillera.serve.notes import navigation_of
from cordillera.serve.route import MOST_WAYPOINTS, route_of, waypoints_of
from cordillera.serve.sessions import LONGEST_NAME
from cordillera.serve.track import Track
from cordillera.serve.wire import egodriver_pb2, sensorsim_pb2
from cordillera.types import Camera, Float, Observation, Trajectory

Picture = NDArray[np.uint8]
AvailableCamera = sensorsim_pb2.AvailableCamerasReturn.AvailableCamera
MOST_CAMERAS = 64
MOST_POSES = 5000  # of a message
FRAMES_KEPT = 32  # of a camera
LEAST_SHARE = 0.2  # of the policy's picture that the sender's camera must see

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sender:
    """A camera that a client declared, and for which of the policy's cameras it stands."""

    name: str
    resamplers: tuple[tuple[str, Resampler], ...]  # name of the policy's camera, and the way to its pictures


@dataclass(eq=False)
class DriveSession:
    """What a client submitted in one session. Methods may be called from several threads at once."""

    uuid: str
    driver: SafeDriver
    cameras: tuple[Camera, ...]  # that the policy reads
    senders: dict[str, Sender]
    track: Track = field(default_factory=Track)
    frames: dict[str, list[tuple[int, Picture]]] = field(default_factory=dict)
    line: Float = field(default_factory=lambda: np.zeros((0, 3)))
    line_ends: bool = True
    line_t_us: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_image(self, message: egodriver_pb2.RolloutCameraImage.CameraImage) -> None:
        """A camera frame; ValueError for an unknown camera, a picture that cannot be read, or impossible times."""
        sender = self.senders.get(message.logical_id)
        if sender is None:
            known = ", ".join(sorted(self.senders)) or "none"
            raise ValueError(
                f"camera {message.logical_id[:LONGEST_NAME]!r} was not declared in start_session; declared: {known}"
            )
        start = time_of(message.frame_start_us, f"the frame of {sender.name!r}")
        end = time_of(message.frame_end_us, f"the frame of {sender.name!r}")
        if end < start:
            raise ValueError(f"the frame of {sender.name!r} ends at {end} us, before it starts at {start} us")
        image = decode(message.image_bytes, f"{sender.name!r} at {end} us")
        for name, resampler in sender.resamplers:
            picture = resampler.picture(image)
            with self.lock:
                frames = self.frames.setdefault(name, [])
                frames[:] = sorted([*(f for f in frames if f[0] != end), (end, picture)], key=lambda f: f[0])
                del frames[:-FRAMES_KEPT]

    def add_egomotion(self, message: egodriver_pb2.RolloutEgoTrajectory) -> None:
        """A dense history or a single pose local_to_rig, with or without rates; ValueError for what is not sound."""
        poses, rates = message.trajectory, message.dynamic_states
        if len(poses.poses) > MOST_POSES:
            raise ValueError(f"the trajectory has {len(poses.poses)} poses; at most {MOST_POSES} a message")
        if len(rates) not in (0, len(poses.poses)):
            raise ValueError(f"{len(poses.poses)} poses but {len(rates)} dynamic_states; send one a pose, or none")
        trajectory = trajectory_of(poses, "local", "the egomotion")
        states = None
        if rates:
            stamped = zip(trajectory.t_us, poses.poses, rates, strict=True)
            states = [ego_of(int(t), p.pose, rate, f"the egomotion at {t} us") for t, p, rate in stamped]
        with self.lock:
            self.track.extend(trajectory, states)

    def set_route(self, message: egodriver_pb2.Route) -> None:
        """Waypoints in the rig frame of their time, padded with NaN; ValueError for infinite ones or too many."""
        if len(message.waypoints) > MOST_WAYPOINTS:
            raise ValueError(f"the route has {len(message.waypoints)} waypoints; at most {MOST_WAYPOINTS}")
        t_us = time_of(message.timestamp_us, "the route")
        points = np.array([vec_of(p) for p in message.waypoints]).reshape(-1, 3)
        line, ends = waypoints_of(points)
        with self.lock:
            self.line, self.line_ends, self.line_t_us = line, ends, t_us

    def observation(self, now_us: int, renderer_data: bytes = b"") -> Observation:
        """The window at a time -> what the policy is shown; StaleError where the car's place is not known then."""
        note = navigation_of(renderer_data)
        with self.lock:
            ego = self.track.now(now_us)
            stamps = now_us - TICK_US * np.arange(HISTORY - 1, -1, -1, dtype=np.int64)
            xyz, quat = self.track.poses(stamps)
            line, ends, line_t_us = self.line, self.line_ends, self.line_t_us
            tf_local_then = self.track.pose_near(line_t_us)
            picked = [_picked(self.frames.get(camera.name, []), now_us) for camera in self.cameras]
        tf_rig_local = invert(transform_of(ego.xyz, ego.quat_xyzw))
        if tf_local_then is not None and line_t_us != now_us:
            line = transform_points(tf_rig_local @ tf_local_then, line)
        if note is not None and math.isfinite(note.curvature_1pm):
            ego = replace(ego, curvature_1pm=note.curvature_1pm)
        return Observation(
            t_us=now_us,
            cameras=self.cameras,
            images=tuple(_stacked(frames, c) for frames, c in zip(picked, self.cameras, strict=True)),
            image_t_us=tuple(np.array([t for t, _ in frames], dtype=np.int64) for frames in picked),
            ego_history=move_trajectory(tf_rig_local, Trajectory(stamps, xyz, quat, "local"), "rig"),
            ego=ego,
            route=route_of(line, ends, note),
        )


def _picked(frames: list[tuple[int, Picture]], now_us: int) -> list[tuple[int, Picture]]:
    """Frames of a camera in order -> the latest at each of the last ticks, without repetition; none from the future."""
    chosen: dict[int, Picture] = {}
    past = [frame for frame in frames if frame[0] <= now_us]
    for k in range(FRAMES if past else 0):
        due = now_us - (FRAMES - 1 - k) * TICK_US
        t, picture = next((f for f in reversed(past) if f[0] <= due), past[0])
        chosen[t] = picture
    return sorted(chosen.items())


def _stacked(frames: list[tuple[int, Picture]], camera: Camera) -> Picture:
    if not frames:
        return np.zeros((0, camera.height, camera.width, 3), dtype=np.uint8)
    return np.stack([picture for _, picture in frames])


# ----------------------------------------------------------------------- begin


def senders_of(
    declared: list[AvailableCamera], wanted: tuple[Camera, ...], aliases: Mapping[str, str], body_axes: bool = False
) -> dict[str, Sender]:
    """Declared cameras -> senders by name; ValueError where one that the policy needs is missing or looks elsewhere.

    A policy's camera takes the pictures of the declared camera of its own name, or of the one that `aliases` names.
    With `body_axes` the declared poses have the car's axes (x along the optical axis, y left, z up).
    """
    if len(declared) > MOST_CAMERAS:
        raise ValueError(f"{len(declared)} cameras are declared; at most {MOST_CAMERAS}")
    by_name: dict[str, AvailableCamera] = {}
    for camera in declared:
        name = camera.logical_id or camera.intrinsics.logical_id
        if not name or len(name) > LONGEST_NAME:
            raise ValueError(f"a camera has the logical_id {name[:40]!r}; give each one of 1 to {LONGEST_NAME} letters")
        if name in by_name:
            raise ValueError(f"camera {name!r} is declared twice; send each once")
        by_name[name] = camera
    reads: dict[str, list[tuple[str, Resampler]]] = {name: [] for name in by_name}
    for camera in wanted:
        source = aliases.get(camera.name, camera.name)
        if source not in by_name:
            names = ", ".join(sorted(by_name)) or "none"
            raise ValueError(
                f"this policy needs the camera {source!r}; declared are: {names}. Declare it, or start the server "
                f"with --camera {camera.name}=NAME to take the pictures of another"
            )
        reads[source].append((camera.name, _resampler(by_name[source], camera, body_axes)))
    return {name: Sender(name, tuple(reads[name])) for name in by_name}


BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def _resampler(declared: AvailableCamera, camera: Camera, body_axes: bool) -> Resampler:
    name = declared.logical_id or declared.intrinsics.logical_id
    lens = Lens(declared.intrinsics, name)
    if lens.ignored:
        log.warning("%s", lens.ignored)
    turn = np.eye(3)
    if declared.HasField("rig_to_camera"):
        mounted = transform_from(declared.rig_to_camera, f"rig_to_camera of {name!r}")[:3, :3]
        if body_axes:
            mounted = mounted @ BODY_FROM_OPTICAL
        turn = mounted.T @ camera.tf_rig_camera[:3, :3]
    resampler = Resampler(lens, camera, turn)
    if resampler.share < LEAST_SHARE:
        raise ValueError(
            f"camera {name!r} sees {100.0 * resampler.share:.0f} % of what {camera.name!r} must see; check "
            "rig_to_camera (optical axes: x right, y down, z forward) and the lens"
        )
    return resampler
