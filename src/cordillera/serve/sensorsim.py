"""A camera's pose and the poses of all who move in, a picture as PNG or JPEG out: our renderer for other runtimes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cordillera.geometry import invert, quat_of, yaw_of
from cordillera.sensors.render import CpuRenderer, RenderConfig
from cordillera.sensors.scene import build_scene
from cordillera.serve.scene import EPOCH_US
from cordillera.types import Agents, Camera, EgoState, Float, Scenario, WorldState
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map

FORMATS = {1: "PNG", 2: "JPEG"}
LARGEST_PX = 4096


@dataclass(eq=False)
class SceneRenderer:
    """Draws one scenario's scene for cameras and road users placed by somebody else."""

    scenario: Scenario
    config: RenderConfig = field(default_factory=RenderConfig)
    _renderer: CpuRenderer = field(init=False)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.map = load_map(scenario.map)
        scene = build_scene(self.map, scenario.weather, scenario.hour, scenario.region, scenario.seed)
        self.lights = compile_lights(self.map, scenario.seed, scenario.region)
        self._renderer = CpuRenderer(scene, self.config)

    def picture(
        self, camera: Camera, tf_world_rig: Float, t_us: int, placed: Mapping[str, tuple[Float, Float]]
    ) -> NDArray[np.uint8]:
        """A camera on a rig, where that is, the wire's time, and box poses by object -> a picture (H, W, 3).

        Objects bear the ids of the scene's tracks ("17", or "17.2" for a second visit); they look as the scenario says.
        Raises ValueError for an object that the scenario does not know, and for a picture too large.
        """
        if not 8 <= camera.width <= LARGEST_PX or not 8 <= camera.height <= LARGEST_PX:
            raise ValueError(f"a picture of {camera.width} x {camera.height} was asked for; 8 to {LARGEST_PX} a side")
        return self._renderer.one(self.state(tf_world_rig, t_us, placed), camera)

    def state(self, tf_world_rig: Float, t_us: int, placed: Mapping[str, tuple[Float, Float]]) -> WorldState:
        """Where everybody is -> the state of the world that shows it, at the wire's time `t_us`."""
        now_us = t_us - EPOCH_US
        ego = EgoState(now_us, tf_world_rig[:3, 3].copy(), quat_of(tf_world_rig[:3, :3]), np.zeros(3))
        signals = self.lights.states(now_us)
        return WorldState(now_us, ego, place_agents(self.scenario.initial.agents, placed), signals)


def place_agents(agents: Agents, placed: Mapping[str, tuple[Float, Float]]) -> Agents:
    """A scenario's agents and box poses by object -> the agents there; those not named are not."""
    row_of = {int(k): row for row, k in enumerate(agents.id)}
    xyz, yaw, valid = agents.xyz.copy(), agents.yaw_rad.copy(), np.zeros(len(agents.id), dtype=np.bool_)
    for name, (centre, quat) in placed.items():
        word = name.partition(".")[0]
        row = row_of.get(int(word)) if word.isdecimal() else None
        if row is None:
            raise ValueError(f"object {name!r} is not in the scene; objects bear the ids of the scene's tracks")
        if not (np.isfinite(centre).all() and np.isfinite(quat).all()):
            raise ValueError(f"the pose of object {name!r} holds NaN or infinity; give a finite pose")
        xyz[row] = centre - np.array([0.0, 0.0, 0.5 * agents.size_lwh[row, 2]])
        yaw[row], valid[row] = float(yaw_of(quat)), True
    return replace(agents, xyz=xyz, yaw_rad=yaw, valid=valid)


def mounted(camera: Camera, tf_world_rig: Float, tf_world_camera: Float) -> Camera:
    """A camera whose place in the world is given -> the same on a rig that stands elsewhere."""
    return replace(camera, tf_rig_camera=invert(tf_world_rig) @ tf_world_camera)


def encoded(picture: NDArray[np.uint8], image_format: int, quality: float) -> bytes:
    """A picture, the wire's format and quality (0 to 100, 0: 95) -> the bytes of an image file."""
    if image_format not in FORMATS:
        raise ValueError(f"image_format {image_format} is not offered; ask for PNG (1) or JPEG (2)")
    if not 0.0 <= quality <= 100.0:
        raise ValueError(f"image_quality is {quality:g}; give 1 to 100, or 0 for 95")
    out = io.BytesIO()
    kind = FORMATS[image_format]
    options = {"quality": round(quality) or 95, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()
