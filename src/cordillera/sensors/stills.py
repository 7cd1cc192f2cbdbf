"""Frames of one moment -> files: colour, classes, instances and depth of each camera, and a JSON that explains them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture

from cordillera.sensors.classes import PALETTE, Semantic
from cordillera.sensors.render import CameraFrame
from cordillera.sensors.visibility import Visibility
from cordillera.types import AgentKind, Camera, LightState, RoadMap, WorldState

Json = dict[str, object]


def write_stills(
    folder: Path, frames: tuple[CameraFrame, ...], seen: Visibility, state: WorldState, road_map: RoadMap, about: Json
) -> list[Path]:  # fmt: skip
    """Frames, what they show, the state of that moment and its map -> the files written, stills.json last.

    Of each camera: NAME.png (colour), NAME.semantic.png (8 bits: the class, with its colour as palette),
    NAME.instance.png (16 bits: the instance number), NAME.depth.npz ("depth": float32 metres along the ray, inf for
    the sky). `about` goes into the JSON as it is. A file is whole or not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for frame in frames:
        name = frame.camera.name
        written += [
            _put(folder / f"{name}.png", lambda part, f=frame: Picture.fromarray(f.rgb).save(part, "PNG")),
            _put(folder / f"{name}.semantic.png", lambda part, f=frame: _indexed(f).save(part, "PNG")),
            _put(folder / f"{name}.instance.png", lambda part, f=frame: part.write_bytes(_png16(f))),
            _put(folder / f"{name}.depth.npz", lambda part, f=frame: _depth(part, f)),
        ]
    text = json.dumps(described(frames, seen, state, road_map, about), indent=1)
    return [*written, _put(folder / "stills.json", lambda part: part.write_text(text + "\n", encoding="utf-8"))]


def described(
    frames: tuple[CameraFrame, ...], seen: Visibility, state: WorldState, road_map: RoadMap, about: Json
) -> Json:  # fmt: skip
    """The same -> what the JSON says: the moment, the legend of classes, the cameras, and everything that they show."""
    ego = state.ego
    return {
        **about,
        "t_us": state.t_us,
        "ego": {"xyz_world": ego.xyz.tolist(), "quat_xyzw_world": ego.quat_xyzw.tolist(), "speed_mps": ego.speed_mps},
        "classes": {kind.name.lower(): {"code": int(kind), "rgb": PALETTE[kind].tolist()} for kind in Semantic},
        "cameras": [calibration(frame.camera) for frame in frames],
        "things": [
            {
                "target": target,
                "instance": int(seen.label[k]),
                **_thing(target, state, road_map),
                "cameras": {
                    name: {
                        "pixels": int(seen.shown[k, c]),
                        "pixels_alone": int(seen.alone[k, c]),
                        "area_px": round(float(seen.area_shown[k, c]), 3),
                        "area_alone_px": round(float(seen.area_alone[k, c]), 3),
                        "hidden": round(float(seen.hidden[k, c]), 4),
                    }
                    for c, name in enumerate(seen.cameras)
                    if seen.area_alone[k, c] > 0.0
                },
            }
            for k, target in enumerate(seen.targets)
        ],
    }


def calibration(camera: Camera) -> Json:
    """A camera -> its intrinsics and its pose on the rig, in plain values."""
    return {
        "name": camera.name,
        "model": camera.model,
        "width": camera.width,
        "height": camera.height,
        "cx": camera.cx,
        "cy": camera.cy,
        "fw_poly": list(camera.fw_poly),
        "bw_poly": list(camera.bw_poly),
        "tf_rig_camera": camera.tf_rig_camera.tolist(),
    }


def _thing(target: str, state: WorldState, road_map: RoadMap) -> Json:
    """A target -> its kind and where it is."""
    what, number = target.split(":")
    if what == "agent":
        agents = state.agents
        row = int(np.flatnonzero(agents.id == int(number))[0])
        return {
            "kind": AgentKind(int(agents.kind[row])).name.lower(),
            "xyz_world": agents.xyz[row].tolist(),
            "yaw_rad": float(agents.yaw_rad[row]),
            "size_lwh": agents.size_lwh[row].tolist(),
        }
    if what == "object":
        thing = road_map.objects[int(number)]
        return {"kind": thing.kind, "id": thing.id, "xyz_world": thing.xyz.tolist(), "yaw_rad": thing.yaw_rad}
    signal = road_map.signals[int(number)]
    place: Json = {"xyz_world": signal.xyz.tolist(), "yaw_rad": signal.yaw_rad}
    if signal.kind.value.endswith("light"):
        place["state"] = LightState(int(state.signals[int(number)])).name.lower()
    return {"kind": signal.kind.value, "id": signal.id, "code": signal.code, **place}


def _put(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file under a temporary name, then give it its own."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    part.replace(path)
    return path


def _indexed(frame: CameraFrame) -> Picture.Image:
    """Classes as a picture with a palette."""
    picture = Picture.fromarray(frame.semantic)
    picture.putpalette(PALETTE.reshape(-1).tolist())
    return picture


def _png16(frame: CameraFrame) -> bytes:
    """Instance numbers as a PNG of 16 bits."""
    return cv2.imencode(".png", frame.instance)[1].tobytes()


def _depth(part: Path, frame: CameraFrame) -> None:
    with part.open("wb") as file:
        np.savez_compressed(file, depth=frame.depth)
