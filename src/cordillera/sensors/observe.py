"""World states in, observations out: what the car senses now and sensed in the last 1.6 s, and where it is to go.

A window is a frozen value that the loop carries from step to step; the observer itself remembers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cordillera.geometry import (
    invert,
    move_trajectory,
    quat_multiply,
    quat_of,
    rotate,
    transform_of,
    transform_points,
    wrap_angle,
)
from cordillera.sensors.imaging import Image, ImagingConfig, develop, dropped, first_ev, metered
from cordillera.types import (
    Camera,
    EgoState,
    Float,
    Int,
    Observation,
    Rig,
    RoadMap,
    Route,
    Trajectory,
    Truth,
    WorldState,
)

if TYPE_CHECKING:  # a drive without cameras loads no renderer
    from cordillera.sensors.render import Renderer

HISTORY = 16  # ego poses, 0.1 s apart, the last one now
FRAMES = 4  # camera frames, 0.1 s apart, the last one now or as late as the camera gave one
TICK_US = 100_000


@dataclass(frozen=True, eq=False)
class Window:
    """The last 1.6 s: ego poses in the world, the frames of each camera with their times, and where it all began."""

    state: WorldState
    t_us: Int  # (16,)
    xyz_world: Float  # (16, 3)
    quat_world: Float  # (16, 4)
    frames: tuple[tuple[tuple[int, Image], ...], ...]  # per camera, oldest first, with their times
    ev: Float  # (C,) exposure of each camera's next frame, in stops
    tf_local_world: Float  # (4, 4) local: the first pose of the drive


@dataclass(frozen=True, eq=False)
class Observer:
    """The senses of a vehicle: its rig and the renderer of its cameras; without either, odometry and route alone.

    Cameras that expose at the same instant are drawn together. A frame that is dropped leaves the older one, with its
    older time, in the observation.
    """

    rig: Rig | None = None
    renderer: Renderer | None = None
    imaging: ImagingConfig = field(default_factory=ImagingConfig)

    def __post_init__(self) -> None:
        if (self.rig is None) != (self.renderer is None):
            raise ValueError("an observer needs a rig and a renderer, or neither of them")

    @property
    def cameras(self) -> tuple[Camera, ...]:
        return self.rig.cameras if self.rig else ()

    def begin(self, state: WorldState) -> Window:
        """The first state of a drive -> a window whose past is this state run backwards at constant velocity."""
        past = [rewind(state, (HISTORY - 1 - k) * TICK_US) for k in range(HISTORY)]
        local = invert(transform_of(state.ego.xyz, state.ego.quat_xyzw))
        window = Window(
            state,
            np.array([s.t_us for s in past], dtype=np.int64),
            np.stack([s.ego.xyz for s in past]),
            np.stack([s.ego.quat_xyzw for s in past]),
            tuple(() for _ in self.cameras),
            np.full(len(self.cameras), first_ev(self.imaging)),
            local,
        )
        for before, after in zip(past[-FRAMES - 1 : -1], past[-FRAMES:], strict=True):
            window = self._exposed(window, before, after)
        return window

    def push(self, window: Window, state: WorldState) -> Window:
        """A window and the state one step later -> the window moved on, with what the cameras took in between."""
        moved = replace(
            window,
            state=state,
            t_us=np.append(window.t_us[1:], state.t_us),
            xyz_world=np.vstack([window.xyz_world[1:], state.ego.xyz]),
            quat_world=np.vstack([window.quat_world[1:], state.ego.quat_xyzw]),
        )
        return self._exposed(moved, window.state, state)

    def observe(
        self, window: Window, route: Route, road_map: RoadMap | None = None, whole: Route | None = None
    ) -> Observation:
        """A window and the route ahead (world frame) -> the observation of now, everything in the rig frame of now.

        With a map, and the route as a whole, the truth is attached for those who may read it.
        """
        ego = window.state.ego
        tf_rig_world = invert(transform_of(ego.xyz, ego.quat_xyzw))
        history = Trajectory(window.t_us, window.xyz_world, window.quat_world, "world")
        picked = [self._pick(frames, window.state.t_us) for frames in window.frames]
        quat_local = quat_multiply(quat_of(window.tf_local_world[:3, :3]), ego.quat_xyzw)
        local = replace(ego, xyz=transform_points(window.tf_local_world, ego.xyz), quat_xyzw=quat_local)
        return Observation(
            t_us=window.state.t_us,
            cameras=self.cameras,
            images=tuple(images for images, _ in picked),
            image_t_us=tuple(stamps for _, stamps in picked),
            ego_history=move_trajectory(tf_rig_world, history, "rig"),
            ego=local,
            route=replace(route, xyz=transform_points(tf_rig_world, route.xyz), frame="rig"),
            truth=Truth(window.state, road_map, whole or route) if road_map is not None else None,
        )

    def _exposed(self, window: Window, before: WorldState, after: WorldState) -> Window:
        """Append what the cameras take in (before, after], and drop what no later observation can need."""
        if self.rig is None or self.renderer is None:
            return window
        due: dict[int, list[int]] = {}
        for c, camera in enumerate(self.cameras):
            for stamp in _stamps(camera, before.t_us, after.t_us):
                if not (window.frames[c] and dropped(self.imaging, camera, stamp)):  # the first always arrives
                    due.setdefault(stamp, []).append(c)
        frames, ev = list(window.frames), window.ev.copy()
        for stamp, which in sorted(due.items()):
            shots = self.renderer.render(between(before, after, stamp), replace(self.rig, cameras=self._some(which)))
            for c, shot in zip(which, shots, strict=True):
                camera = self.cameras[c]
                frames[c] = (*frames[c], (stamp, develop(self.imaging, camera, stamp, shot.rgb, float(ev[c]))))
                ev[c] = metered(self.imaging, shot.rgb, float(ev[c]), 1.0 / camera.rate_hz)
        oldest = after.t_us - (FRAMES - 1) * TICK_US
        return replace(window, frames=tuple(_needed(taken, oldest) for taken in frames), ev=ev)

    def _some(self, which: list[int]) -> tuple[Camera, ...]:
        return tuple(self.cameras[c] for c in which)

    def _pick(self, frames: tuple[tuple[int, Image], ...], now_us: int) -> tuple[Image, Int]:
        """The frames of one camera -> the latest at each of the last four ticks (T, H, W, 3), with their times."""
        chosen = []
        for k in range(FRAMES):
            due = now_us - (FRAMES - 1 - k) * TICK_US
            chosen.append(next((f for f in reversed(frames) if f[0] <= due), frames[0]))
        return np.stack([image for _, image in chosen]), np.array([stamp for stamp, _ in chosen], dtype=np.int64)


def _needed(taken: tuple[tuple[int, Image], ...], oldest_us: int) -> tuple[tuple[int, Image], ...]:
    """The frames of one camera -> without those that are older than the latest at the oldest tick in use."""
    first = max((k for k, (stamp, _) in enumerate(taken) if stamp <= oldest_us), default=0)
    return taken[first:]


def _stamps(camera: Camera, after_us: int, until_us: int) -> list[int]:
    """The times in (after, until] at which a camera exposes: its offset plus whole periods."""
    period = 1e6 / camera.rate_hz
    first = int(np.floor((after_us - camera.offset_us) / period + 1e-9)) + 1
    last = int(np.floor((until_us - camera.offset_us) / period + 1e-9))
    return [camera.offset_us + round(k * period) for k in range(first, last + 1)]


def rewind(state: WorldState, back_us: int) -> WorldState:
    """A state -> where all of it was that long before, had it moved at constant velocity; lights as they are."""
    if back_us == 0:
        return state
    dt = back_us * 1e-6
    ego, agents = state.ego, state.agents
    step = agents.speed_mps * dt
    xyz = agents.xyz - np.column_stack([step * np.cos(agents.yaw_rad), step * np.sin(agents.yaw_rad), 0.0 * step])
    moved = replace(
        ego, t_us=ego.t_us - back_us, xyz=ego.xyz - dt * rotate(ego.quat_xyzw, ego.velocity_mps)
    )  # fmt: skip
    return WorldState(state.t_us - back_us, moved, replace(agents, xyz=xyz), state.signals)


def between(before: WorldState, after: WorldState, t_us: int) -> WorldState:
    """Two states and a time between them -> the state then: poses interpolated, the rest as it was before."""
    if t_us >= after.t_us:
        return after
    u = (t_us - before.t_us) / (after.t_us - before.t_us)
    a, b = before.agents, after.agents
    same = a.valid & b.valid & (np.hypot(*(b.xyz[:, :2] - a.xyz[:, :2]).T) < 10.0)
    xyz = np.where(same[:, None], a.xyz + u * (b.xyz - a.xyz), b.xyz)
    yaw = np.where(same, a.yaw_rad + u * wrap_angle(b.yaw_rad - a.yaw_rad), b.yaw_rad)
    quat = before.ego.quat_xyzw + u * (
        after.ego.quat_xyzw * np.sign(before.ego.quat_xyzw @ after.ego.quat_xyzw or 1.0) - before.ego.quat_xyzw
    )
    ego = EgoState(
        t_us=t_us,
        xyz=before.ego.xyz + u * (after.ego.xyz - before.ego.xyz),
        quat_xyzw=quat / np.linalg.norm(quat),
        velocity_mps=before.ego.velocity_mps + u * (after.ego.velocity_mps - before.ego.velocity_mps),
        accel_mps2=before.ego.accel_mps2,
        curvature_1pm=before.ego.curvature_1pm,
        yaw_rate_radps=before.ego.yaw_rate_radps,
    )
    return WorldState(t_us, ego, replace(b, xyz=xyz, yaw_rad=yaw), before.signals)
