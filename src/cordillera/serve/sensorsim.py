"""A camera's pose and the poses of all who move in, a picture as PNG or JPEG out: our renderer for other runtimes."""

from __future__ import annotations

import io
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cordillera.geometry import invert, quat_of, yaw_of
from cordillera.sensors.render import CpuRenderer, RenderConfig
from cordillera.sensors.scene import build_scene
from cordillera.serve.convert import HALF_PIXEL
from cordillera.serve.scene import EPOCH_US
from cordillera.types import Agents, Camera, EgoState, Float, Rig, Scenario, WorldState
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map
from cordillera.world.scripts import light_states

FORMATS = {1: "PNG", 2: "JPEG"}
PLANAR = 4  # bytes of the red picture, then the green, then the blue one
LARGEST_PX = 4096
MOST_LENSES = 64  # that a renderer keeps tables for
EGO = "EGO"


@dataclass(eq=False)
class SceneRenderer:
    """Draws one scenario's scene for cameras and road users placed by somebody else, for several threads at once."""

    scenario: Scenario
    config: RenderConfig = field(default_factory=RenderConfig)
    renderers: int = 1  # that draw at the same time
    _free: queue.LifoQueue[CpuRenderer] = field(init=False)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.map = load_map(scenario.map)
        self.scene = build_scene(self.map, scenario.weather, scenario.hour, scenario.region, scenario.seed)
        self.lights = compile_lights(self.map, scenario.seed, scenario.region)
        self._free = queue.LifoQueue()
        for _ in range(self.renderers):
            self._free.put(CpuRenderer(self.scene, self.config))

    def picture(
        self, camera: Camera, tf_world_rig: Float, t_us: int, placed: Mapping[str, tuple[Float, Float]]
    ) -> NDArray[np.uint8]:
        """A camera on a rig, where that is, the wire's time, and box poses by object -> a picture (H, W, 3).

        Objects bear the ids of the scene's tracks ("17", or "17.2" for a second visit); they look as the scenario says.
        Raises ValueError for an object that the scenario does not know, and for a picture too large.
        """
        return self.pictures((camera,), tf_world_rig, t_us, placed)[0]

    def pictures(
        self, cameras: Sequence[Camera], tf_world_rig: Float, t_us: int, placed: Mapping[str, tuple[Float, Float]]
    ) -> tuple[NDArray[np.uint8], ...]:
        """The same for several cameras at one time. A camera object is remembered: give the same one again."""
        for camera in cameras:
            check_size(camera.width, camera.height)
        state = self.state(tf_world_rig, t_us, placed)
        with self._renderer() as renderer:
            return tuple(frame.rgb for frame in renderer.render(state, Rig(tuple(cameras))))

    @contextmanager
    def _renderer(self) -> Iterator[CpuRenderer]:
        """A renderer for the time of a drawing; one that has met too many lenses is replaced by a fresh one."""
        renderer = self._free.get()
        try:
            yield renderer
        finally:
            if len(renderer._lenses) > MOST_LENSES:
                renderer = CpuRenderer(self.scene, self.config)
            self._free.put(renderer)

    def state(self, tf_world_rig: Float, t_us: int, placed: Mapping[str, tuple[Float, Float]]) -> WorldState:
        """Where everybody is -> the state of the world that shows it, at the wire's time `t_us`."""
        scenario, now_us = self.scenario, t_us - EPOCH_US
        ego = EgoState(now_us, tf_world_rig[:3, 3].copy(), quat_of(tf_world_rig[:3, :3]), np.zeros(3))
        signals = light_states(self.lights, scenario.light_scripts, now_us, scenario.initial.t_us)
        return WorldState(now_us, ego, place_agents(scenario.initial.agents, placed), signals)


def place_agents(agents: Agents, placed: Mapping[str, tuple[Float, Float]]) -> Agents:
    """A scenario's agents and box poses by object -> the agents there; those not named are not."""
    row_of = {int(k): row for row, k in enumerate(agents.id)}
    xyz, yaw, valid = agents.xyz.copy(), agents.yaw_rad.copy(), np.zeros(len(agents.id), dtype=np.bool_)
    for name, (centre, quat) in placed.items():
        if name == EGO:  # the cameras are on it; it is not seen
            continue
        agent = agent_of(name)
        row = row_of.get(agent) if agent is not None else None
        if row is None:
            raise ValueError(f"object {name[:64]!r} is not in the scene; objects bear the ids of the scene's tracks")
        if not (np.isfinite(centre).all() and np.isfinite(quat).all()):
            raise ValueError(f"the pose of object {name!r} holds NaN or infinity; give a finite pose")
        xyz[row] = centre - np.array([0.0, 0.0, 0.5 * agents.size_lwh[row, 2]])
        yaw[row], valid[row] = float(yaw_of(quat)), True
    return replace(agents, xyz=xyz, yaw_rad=yaw, valid=valid)


def agent_of(name: str) -> int | None:
    """A track's name, such as "17" or "17.2" -> the agent's id, or None where it is no such name."""
    word = name.partition(".")[0]
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 19 else None


def mounted(camera: Camera, tf_world_rig: Float, tf_world_camera: Float) -> Camera:
    """A camera whose place in the world is given -> the same on a rig that stands elsewhere."""
    return replace(camera, tf_rig_camera=invert(tf_world_rig) @ tf_world_camera)


def check_size(width: int, height: int) -> None:
    """A picture's size -> ValueError for one that is not drawn."""
    if not 8 <= width <= LARGEST_PX or not 8 <= height <= LARGEST_PX:
        raise ValueError(f"a picture of {width} x {height} was asked for; 8 to {LARGEST_PX} a side")


def check_shape(name: str, own: tuple[int, int], asked: tuple[int, int]) -> None:
    """A camera's size and the size of the picture that is asked of it -> ValueError where the shapes differ."""
    if abs(asked[0] * own[1] - asked[1] * own[0]) > max(own):
        raise ValueError(
            f"a picture of {asked[0]} x {asked[1]} was asked of the camera {name!r} of {own[0]} x {own[1]}; "
            "ask for its shape, or send the intrinsics of the picture"
        )


def scaled(camera: Camera, width: int, height: int) -> Camera:
    """A camera -> the same view in a picture of another size; ValueError where that has another shape."""
    if (width, height) == (camera.width, camera.height):
        return camera
    check_shape(camera.name, (camera.width, camera.height), (width, height))
    s = width / camera.width
    return replace(
        camera,
        width=width,
        height=height,
        cx=(camera.cx + HALF_PIXEL) * s - HALF_PIXEL,
        cy=(camera.cy + HALF_PIXEL) * height / camera.height - HALF_PIXEL,
        fw_poly=tuple(c * s for c in camera.fw_poly),
        bw_poly=tuple(c / s**k for k, c in enumerate(camera.bw_poly)),
    )


def encoded(picture: NDArray[np.uint8], image_format: int, quality: float) -> bytes:
    """A picture, the wire's format and quality (0 to 100, 0: 95) -> the bytes of an image file, or of the planes."""
    if image_format == PLANAR:
        return np.ascontiguousarray(picture.transpose(2, 0, 1)).tobytes()
    if image_format not in FORMATS:
        raise ValueError(f"image_format {image_format} is not offered; ask for PNG (1), JPEG (2) or RGB planes (4)")
    if not 0.0 <= quality <= 100.0:
        raise ValueError(f"image_quality is {quality:g}; give 1 to 100, or 0 for 95")
    out = io.BytesIO()
    kind = FORMATS[image_format]
    options = {"quality": round(quality) or 95, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()
