"""Draw docs/images/cameras.jpg, what the cameras see: python recipes/contact_sheet.py [--output FILE].

Four columns: all seven cameras once by day and once by night, every shipped map with a light and a weather of its own
through the wide and the tele camera, and a last row of rare road users and obstacles, placed by hand.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from cordillera.geometry import quat_from_yaw
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.rig import rig
from cordillera.sensors.scene import Scene, build_scene
from cordillera.sensors.scene_agents import REFERENCE, mesh_name
from cordillera.types import AgentKind, Agents, CameraName, EgoState, Gesture, LaneKind, Weather, WorldState
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, SIZE, GAP = 4, (397, 223), 4
WIDE, TELE = CameraName.FRONT_WIDE, CameraName.FRONT_TELE
SHOTS = (  # map, seed, weather, hour, cameras
    ("karlsruhe", 0, Weather.CLEAR, 12.0, (WIDE, TELE, CameraName.CROSS_LEFT, CameraName.CROSS_RIGHT)),
    (
        "town10hd", 0, Weather.CLEAR, 22.0,
        (WIDE, CameraName.REAR_LEFT, CameraName.REAR_TELE, CameraName.REAR_RIGHT),
    ),
    ("town01", 0, Weather.CLEAR, 9.0, (WIDE, TELE)),
    ("town02", 1, Weather.CLOUDY, 15.0, (WIDE, TELE)),
    ("town03", 0, Weather.CLEAR, 17.5, (WIDE, TELE)),
    ("town05", 0, Weather.CLEAR, 18.6, (WIDE, TELE)),
    ("town07", 0, Weather.FOG, 10.0, (WIDE, TELE)),
    ("kashiwanoha", 0, Weather.RAIN, 14.0, (WIDE, TELE)),
    ("ss2", 0, Weather.CLEAR, 9.0, (WIDE, TELE)),
    ("virtual_left", 0, Weather.CLOUDY, 12.0, (WIDE, TELE)),
    ("virtual_right", 0, Weather.RAIN, 21.0, (WIDE, TELE)),
    ("virtual_city", 0, Weather.CLEAR, 7.0, (WIDE, TELE)),
)  # fmt: skip
K = AgentKind
STAGED = (  # caption, weather, hour, agents as (kind, metres ahead, metres to the left, yaw from ours, gesture)
    (
        "emergency", Weather.CLEAR, 18.8,
        (
            (K.POLICE_CAR, 14.0, 3.6, 2.9, 0), (K.AMBULANCE, 20.0, 0.3, 0.25, 0), (K.FIRE_ENGINE, 33.0, 3.4, 3.0, 0),
            (K.WARNING_TRIANGLE, 9.0, -1.0, 3.14, 0), (K.POLICE_OFFICER, 11.0, 1.1, 3.0, Gesture.STOP),
        ),
    ),
    (
        "school", Weather.CLEAR, 10.0,
        (
            (K.SCHOOL_BUS, 20.0, 3.5, 3.14, Gesture.STOP), (K.PEDESTRIAN, 12.0, 0.4, -1.5, 0),
            (K.PEDESTRIAN, 13.5, -1.1, -1.6, 0), (K.BICYCLE, 9.0, 2.6, 3.1, 0), (K.WHEELCHAIR, 12.0, -4.6, 3.0, 0),
            (K.BALL, 8.0, -0.6, 0.0, 0),
        ),
    ),
    (
        "road works", Weather.CLOUDY, 14.0,
        (
            (K.WORK_MACHINE, 20.0, -0.8, 2.2, 0), *((K.CONE, 9.0 + 2.4 * k, -1.6 + 0.62 * k, 0.0, 0) for k in range(5)),
            (K.BARRIER, 15.5, -0.4, 0.0, 0), (K.FLAGGER, 9.5, 1.8, 3.1, Gesture.SLOW), (K.TRACTOR, 24.0, 3.5, 3.14, 0),
            (K.POTHOLE, 7.0, 1.5, 0.0, 0),
        ),
    ),
    (
        "country road", Weather.RAIN, 15.0,
        (
            (K.FALLEN_TREE, 17.0, 0.8, 0.3, 0), (K.ANIMAL, 11.0, 1.4, 1.8, 0), (K.MOTORCYCLE, 13.0, 3.4, 3.14, 0),
            (K.TRUCK, 34.0, 3.5, 3.14, 0), (K.CARGO, 9.0, -1.2, 0.7, 0), (K.FLOOD, 8.0, 1.6, 0.0, 0),
        ),
    ),
)  # fmt: skip


def staged(scene: Scene, placed: tuple[tuple[AgentKind, float, float, float, int], ...]) -> WorldState:
    """A scene of one straight road, and agents in the ego's frame -> the state that shows them."""
    lane = next(lane for lane in scene.map.lanes if lane.kind == LaneKind.DRIVING)
    start, end = lane.center_xyz[0], lane.center_xyz[-1]
    forward = (end - start) / np.linalg.norm(end - start)
    left, yaw = np.array([-forward[1], forward[0], 0.0]), math.atan2(forward[1], forward[0])
    at = start + 90.0 * forward
    flat = {AgentKind.FLOOD: (4.0, 2.5, 0.1), AgentKind.POTHOLE: (0.9, 0.7, 0.1)}
    sizes = [flat.get(k) or REFERENCE[mesh_name(k, 1, np.array([4.6, 1.8, 1.4]))] for k, *_ in placed]
    n = len(placed)
    agents = Agents(
        id=np.arange(3, 3 + n), kind=np.array([int(k) for k, *_ in placed]),
        xyz=np.array([at + ahead * forward + side * left for _, ahead, side, *_ in placed]),
        yaw_rad=np.array([yaw + turn for *_, turn, _ in placed]), speed_mps=np.full(n, 1.2), accel_mps2=np.zeros(n),
        size_lwh=np.array(sizes), lane=np.full(n, -1), s_m=np.zeros(n), valid=np.ones(n, dtype=bool),
        shows=np.array([int(gesture) for *_, gesture in placed]),
    )  # fmt: skip
    ego = EgoState(100_000, at, quat_from_yaw(yaw), np.zeros(3))
    return WorldState(100_000, ego, agents, np.zeros(len(scene.map.signals), np.int64))


def tiles() -> list[tuple[Image.Image, str]]:
    """Nothing -> the pictures of the sheet with their captions, in order."""
    out = []
    for name, seed, weather, hour, cameras in track(SHOTS, description="maps"):
        scenario = make_scenario(name, seed, 12.0, weather, hour)
        renderer = CpuRenderer(build_scene(load_map(name), weather, hour, scenario.region, seed))
        for camera in cameras:  # twice the size, then halved: what a larger camera would show
            (frame,) = renderer.render(scenario.initial, rig((camera.value,), 2 * SIZE[0], 2 * SIZE[1]))
            lens = camera.value.removeprefix("camera_").rsplit("_", 1)[0].replace("_", " ")
            out.append(
                (
                    Image.fromarray(frame.rgb).resize(SIZE, Image.Resampling.BOX),
                    f"{name}, {lens}, {_sky(weather, hour)}",
                )
            )
    for caption, weather, hour, placed in track(STAGED, description="rare"):
        scene = build_scene(load_map("built:straight"), weather, hour, "US", 5)
        cameras = rig((WIDE.value,), 4 * SIZE[0], 4 * SIZE[1])
        (frame,) = CpuRenderer(scene).render(staged(scene, placed), cameras)
        w, h = SIZE
        middle = Image.fromarray(frame.rgb[int(1.2 * h) : int(3.2 * h), w : 3 * w])
        out.append((middle.resize(SIZE, Image.Resampling.BOX), f"{caption}, {_sky(weather, hour)}"))
    return out


def _sky(weather: Weather, hour: float) -> str:
    """Weather and hour -> as a caption says it."""
    return f"{weather.value}, {int(hour)}:{round(60.0 * (hour % 1.0)):02d}"


def sheet(pictures: list[tuple[Image.Image, str]]) -> Image.Image:
    """Pictures with captions -> one picture, four in a row."""
    rows = -(-len(pictures) // COLUMNS)
    out = Image.new("RGB", (COLUMNS * (SIZE[0] + GAP) - GAP, rows * (SIZE[1] + GAP) - GAP), "white")
    font = ImageFont.truetype(str(ROOT / "src/cordillera/assets/fonts/Inter-SemiBold.otf"), 13)
    for k, (picture, caption) in enumerate(pictures):
        draw = ImageDraw.Draw(picture)
        draw.text((7, SIZE[1] - 20), caption, fill="white", font=font, stroke_width=2, stroke_fill=(0, 0, 0))
        out.paste(picture, ((k % COLUMNS) * (SIZE[0] + GAP), (k // COLUMNS) * (SIZE[1] + GAP)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "cameras.jpg")
    parser.add_argument("--quality", type=int, default=78)
    arguments = parser.parse_args()
    picture = sheet(tiles())
    part = arguments.output.with_suffix(".part.jpg")
    picture.save(part, quality=arguments.quality, optimize=True)
    part.replace(arguments.output)
    print(f"{arguments.output}: {picture.width} x {picture.height}, {arguments.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
