"""See through the cameras: draw a moment in rain, save the pictures, and print who shows how much in which camera."""

import numpy as np
from PIL import Image

from cordillera.sensors.classes import PALETTE
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import build_scene
from cordillera.sensors.visibility import visible
from cordillera.types import CameraName, Weather
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario

scenario = make_scenario("built:four_way", seed=3, weather=Weather.RAIN, hour=18.0)
scene = build_scene(load_map(scenario.map), scenario.weather, scenario.hour, scenario.region, scenario.seed)
cameras = rig((CameraName.FRONT_WIDE.value, CameraName.FRONT_TELE.value), width=480, height=270)
renderer = CpuRenderer(scene)

for frame in renderer.render(scenario.initial, cameras):
    name = frame.camera.name.removeprefix("camera_")
    Image.fromarray(np.hstack([frame.rgb, PALETTE[frame.semantic]])).save(f"{name}.png")
    near = frame.depth[np.isfinite(frame.depth)].min()
    print(f"{name}.png: colour and classes; the nearest thing is {near:.1f} m away")

seen = visible(scenario.initial, renderer, cameras)
print(f"\n{'':12} " + "  ".join(f"{name.removeprefix('camera_'):>28}" for name in seen.cameras))
for target, alone, hidden in zip(seen.targets, seen.area_alone, seen.hidden, strict=True):
    if not target.startswith("object:"):
        cells = (f"{a:12.1f} pixels, {h:4.0%} hidden" if a > 0.0 else "-" for a, h in zip(alone, hidden, strict=True))
        print(f"{target:12} " + "  ".join(f"{cell:>28}" for cell in cells))
