"""World states -> camera frames: the renderer that every other one can stand in for, and the one on the CPU."""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cordillera.geometry import transform_of, yaw_of
from cordillera.sensors import render_frame as frame
from cordillera.sensors.render_edges import Samples, room_for_samples
from cordillera.sensors.render_geometry import Drawn, Part, View, part_of, room_for, view_of
from cordillera.sensors.render_light import Shadow, Tables, cast, shadow_map, tighten
from cordillera.sensors.render_raster import Buffers, Lens, lens_of, look, room_for_buffers
from cordillera.sensors.scene import Scene
from cordillera.sensors.scene_agents import agent_instances
from cordillera.sensors.scene_arrays import Instances, joined
from cordillera.sensors.scene_marks import COLORS
from cordillera.sensors.scene_signals import light_flags
from cordillera.sensors.textures import noise_table, sign_table
from cordillera.types import AgentKind, Camera, Float, Rig, WorldState

HEADLAMP_KINDS = {k for k in AgentKind if k < 64} - {
    AgentKind.PEDESTRIAN,
    AgentKind.WHEELCHAIR,
    AgentKind.ANIMAL,
    AgentKind.BICYCLE,
}


ROOM = 20_000  # triangles that a frame has room for at first


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """What one camera sees at one time."""

    camera: Camera
    t_us: int
    rgb: NDArray[np.uint8]  # (H, W, 3) sRGB
    semantic: NDArray[np.uint8]  # (H, W) sensors.classes.Semantic
    instance: NDArray[np.uint16]  # (H, W) see sensors.classes: agents, signals, objects, 0 for the rest
    depth: NDArray[np.float32]  # (H, W) m along the ray, inf for the sky


class Renderer(Protocol):
    """Anything that turns world states into frames: this rasteriser, one on a GPU, a reconstructed scene of splats."""

    def render(self, state: WorldState, rig: Rig) -> tuple[CameraFrame, ...]:
        """A state -> one frame a camera of the rig, in its order. The same state gives the same bytes."""
        ...


@dataclass(frozen=True)
class RenderConfig:
    """How far and how finely the CPU renderer draws."""

    max_range_m: float = 1600.0
    shadow_texels: int = 1024
    shadow_texel_m: float = 0.20
    moving_texels: int = 640
    moving_texel_m: float = 0.16
    snap_m: float = 24.0  # the map of standing shadows is made anew when the ego leaves a cell of this size
    beams: int = 10  # head lamps of vehicles that light the road
    threads: int = 1  # cameras drawn at the same time


class Scratch(NamedTuple):
    """Working memory of a camera, used again from frame to frame."""

    drawn: Drawn
    buffers: Buffers
    samples: Samples


@dataclass(eq=False)
class CpuRenderer:
    """Draws one scene. It remembers lens tables and standing shadows, which depend on nothing but their key.

    One renderer serves one thread of callers; its own threads each draw another camera.
    """

    scene: Scene
    config: RenderConfig = field(default_factory=RenderConfig)
    _lenses: dict[int, tuple[Camera, Lens]] = field(default_factory=dict, repr=False)
    _shadows: dict[tuple[int, int], Shadow] = field(default_factory=dict, repr=False)
    _moving: Shadow | None = field(default=None, repr=False)
    _scratch: dict[int, Scratch] = field(default_factory=dict, repr=False)  # a camera's working memory

    def __post_init__(self) -> None:
        spots = self.scene.lamp_spots
        rows = [spots[k] for k in range(len(spots))]
        first = np.cumsum([0, *(len(part) for part in rows)], dtype=np.int64)
        self._spots = frame.Spots(np.concatenate([np.zeros((0, 7)), *rows]), first)
        library = self.scene.library
        self._fixed, self._standing = part_of(library, self.scene.fixed), part_of(library, self.scene.signals.items)
        self._vertices = int((library.vert_range[..., 1] - library.vert_range[..., 0]).max())

    def render(self, state: WorldState, rig: Rig) -> tuple[CameraFrame, ...]:
        """A state and a rig -> colour, semantics, instances and depth of every camera."""
        moving, standing = self.instances(state)
        tables = self.tables(state, moving)
        parts = self.parts(moving, standing)
        pose = transform_of(state.ego.xyz, state.ego.quat_xyzw)
        work = [(camera, self._view(pose, camera), parts, tables, state) for camera in rig.cameras]
        if self.config.threads > 1 and len(work) > 1:
            with ThreadPoolExecutor(self.config.threads) as pool:
                return tuple(pool.map(lambda job: self._frame(*job), work))
        return tuple(self._frame(*job) for job in work)

    def one(self, state: WorldState, camera: Camera) -> NDArray[np.uint8]:
        """A state and one camera -> its colour picture (H, W, 3): the `render` that an Observer takes."""
        return self.render(state, Rig((camera,)))[0].rgb

    def instances(self, state: WorldState) -> tuple[Instances, Instances]:
        """A state -> agents, and lights and signs, as instances."""
        scene = self.scene
        agents = agent_instances(state.agents, scene.names, bool(scene.light.lamps), self._slopes(state))
        layout = scene.signals
        return agents, layout.items._replace(flags=light_flags(layout, state.signals, state.t_us))

    def _slopes(self, state: WorldState) -> Float:
        """The slope of the ground under each agent along its heading."""
        agents = state.agents
        if not len(agents.id):
            return np.zeros(0)
        half = 0.4 * agents.size_lwh[:, :1] * np.stack([np.cos(agents.yaw_rad), np.sin(agents.yaw_rad)], -1)
        ends = np.concatenate([agents.xyz[:, :2] + half, agents.xyz[:, :2] - half])
        front, back = np.split(self.scene.ground.height(ends), 2)
        slope = np.arctan2(front - back, 0.8 * agents.size_lwh[:, 0])
        return np.where(np.abs(slope) < 0.25, slope, 0.0)

    def lens(self, camera: Camera) -> Lens:
        """A camera -> its tables, made once."""
        if id(camera) not in self._lenses:
            self._lenses[id(camera)] = (camera, lens_of(camera))  # holding the camera keeps its id its own
        return self._lenses[id(camera)][1]

    def view(self, state: WorldState, camera: Camera) -> View:
        """A state -> the posed camera."""
        return self._view(transform_of(state.ego.xyz, state.ego.quat_xyzw), camera)

    def _view(self, tf_world_rig: Float, camera: Camera) -> View:
        lens = self.lens(camera)
        return view_of(camera, tf_world_rig @ camera.tf_rig_camera, lens.theta_edge, lens.theta_limit)

    def parts(self, moving: Instances, standing: Instances) -> tuple[Part, Part, Part]:
        """What `instances` gives -> all that can be drawn, with its spheres: what stands, lights and signs, agents."""
        return self._fixed, Part(standing, self._standing.ball), part_of(self.scene.library, moving)

    def draw(self, view: View, lens: Lens, parts: tuple[Part, Part, Part], room: Scratch | None = None) -> Scratch:
        """A view and all that can be drawn -> what each pixel sees; `room` of an earlier frame is used again."""
        room = room or self._room(view, ROOM)
        while True:
            look(self.scene.library, *parts, view, lens, self.config.max_range_m, room.drawn, room.buffers)
            if not room.drawn.filled[3]:
                return room
            room = self._room(view, 2 * len(room.drawn.face))

    def _room(self, view: View, triangles: int) -> Scratch:
        drawn = room_for(triangles, triangles // 2, self._vertices)
        return Scratch(drawn, room_for_buffers(view, triangles), room_for_samples(view))

    def tables(self, state: WorldState, moving: Instances) -> Tables:
        """A state -> all that the shader looks up: standing and moving shadows, lamps and beams."""
        scene, config = self.scene, self.config
        fixed = self._standing_shadow(state.ego.xyz)
        middle, texels = state.ego.xyz, (config.moving_texels, config.moving_texel_m)
        shadow = self._moving = shadow_map(scene.light.sun_dir, middle, *texels, self._moving)
        if len(moving.proto):
            reach = 0.5 * config.moving_texels * config.moving_texel_m
            cast(scene.library, moving, shadow, reach, state.ego.xyz)
        beams = self._beams(state) if scene.light.lamps else np.zeros((0, 6))
        return Tables(
            scene.light,
            scene.ground.surface,
            scene.strokes,
            COLORS,
            _noise_bytes(),
            sign_table(),
            scene.lamps,
            fixed,
            shadow,
            beams,
            state.t_us * 1e-6,
        )

    def _standing_shadow(self, xyz: Float) -> Shadow:
        """The shadows of what stands around a place, snapped to a cell, so that they are drawn rarely."""
        key = (round(float(xyz[0]) / self.config.snap_m), round(float(xyz[1]) / self.config.snap_m))
        if key not in self._shadows:
            while len(self._shadows) >= 4:
                self._shadows.pop(next(iter(self._shadows)))
            middle = np.array([key[0] * self.config.snap_m, key[1] * self.config.snap_m, xyz[2]])
            middle[2] = float(self.scene.ground.height(middle[None, :2])[0])
            shadow = shadow_map(self.scene.light.sun_dir, middle, self.config.shadow_texels, self.config.shadow_texel_m)
            reach = 0.5 * self.config.shadow_texels * self.config.shadow_texel_m
            for part in (self.scene.fixed, self.scene.signals.items):
                cast(self.scene.library, part, shadow, reach, middle)
            tighten(shadow)
            self._shadows[key] = shadow
        return self._shadows[key]

    def _beams(self, state: WorldState) -> Float:
        """Head lamps as beams (B, 6): the ego's, and those of the nearest vehicles."""
        ego, agents = state.ego, state.agents
        yaw = float(yaw_of(ego.quat_xyzw))
        c, s = math.cos(yaw), math.sin(yaw)
        rows = [(ego.xyz[0] + 3.6 * c, ego.xyz[1] + 3.6 * s, ego.xyz[2] + 0.72, c, s, 1.0)]
        gap = np.hypot(agents.xyz[:, 0] - ego.xyz[0], agents.xyz[:, 1] - ego.xyz[1])
        for k in np.argsort(np.where(agents.valid, gap, np.inf), kind="stable")[: 3 * self.config.beams]:
            if len(rows) >= self.config.beams or not agents.valid[k] or gap[k] > 110.0:
                break
            if AgentKind(int(agents.kind[k])) in HEADLAMP_KINDS:
                c, s = math.cos(agents.yaw_rad[k]), math.sin(agents.yaw_rad[k])
                half = 0.5 * agents.size_lwh[k, 0]
                rows.append(
                    (agents.xyz[k, 0] + half * c, agents.xyz[k, 1] + half * s, agents.xyz[k, 2] + 0.7, c, s, 0.7)
                )
        return np.array(rows)

    def _frame(
        self, camera: Camera, view: View, parts: tuple[Part, Part, Part], tables: Tables, state: WorldState
    ) -> CameraFrame:  # fmt: skip
        """Everything of one camera."""
        scene, lens = self.scene, self.lens(camera)
        room = self._scratch[id(camera)] = self.draw(view, lens, parts, self._scratch.get(id(camera)))
        out = frame.empty_picture(view, room.samples)
        rgb = np.empty((camera.height, camera.width, 3), np.uint8)
        salt = (state.t_us // 1000 + zlib.crc32(camera.name.encode())) % 1_000_003
        frame.develop(
            scene.library, room.drawn, room.buffers, view, lens, tables, self._spots, room.samples,
            frame.tone_table(scene.light.exposure), salt, out, rgb,
        )  # fmt: skip
        return CameraFrame(camera, state.t_us, rgb, out.semantic, out.instance, out.depth)


@cache
def _noise_bytes() -> NDArray[np.uint8]:
    """Nothing -> the noise in bytes, a quarter of the size: the shader's reads of it miss the cache less often."""
    return np.round(255.0 * noise_table()).astype(np.uint8)


def warm_up(
    renderer: CpuRenderer, state: WorldState, camera: Camera, say: Callable[[str], None] | None = None
) -> float:
    """Compile the kernels by drawing one frame -> seconds that it took; says so before and after if it is long."""
    say = say or (lambda text: print(text, file=sys.stderr))
    compiled = bool(frame.develop.signatures)
    start = time.perf_counter()
    if not compiled:
        say("compiling the renderer (once; kept in numba's cache) ...")
    renderer.render(state, Rig((camera,)))
    seconds = time.perf_counter() - start
    if not compiled and seconds > 3.0:
        say(f"compiled in {seconds:.0f} s")
    return seconds


def everything(scene: Scene, moving: Instances, standing: Instances) -> Instances:
    """All instances of a moment in one list."""
    return joined([scene.fixed, standing, moving])
