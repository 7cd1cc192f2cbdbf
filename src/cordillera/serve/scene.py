"""A driven rollout and its map -> the scene archive that AlpaSim's runtime loads, and back.

The archive is a zip called .usdz: metadata.yaml, rig_trajectories.json, sequence_tracks.json, map.xodr and the road's
surface as meshes. It carries no pictures: our sensor service draws them from `cordillera.json`, which says how the
scene is made. Stamps of the archive are those of our world plus `EPOCH_US`, since the wire has no negative times.
"""

from __future__ import annotations

import json
import math
import re
import uuid
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cordillera import __version__
from cordillera.geometry import quat_from_yaw, transform_of
from cordillera.serve.recipe import SceneRecipe, recipe_note, scene_id_of
from cordillera.types import AgentKind, Agents, Camera, Float, Rig, RoadMap, Rollout, WorldState

EPOCH_US = 1_000_000
SHUTTER_US = 30_000
CORNER_PX = 0.5  # from the first pixel's outer corner, where the wire counts from, to its centre
FORMAT = "cordillera-scene"
VERSION = 2  # 1 had principal points half a pixel off
MAX_BYTES = 256 * 1024 * 1024  # of one member, unpacked
EARTH_M, FLATTENING = 6378137.0, 1.0 / 298.257223563  # WGS 84
LABELS = {
    AgentKind.CAR: "automobile", AgentKind.VAN: "automobile", AgentKind.POLICE_CAR: "automobile",
    AgentKind.TRUCK: "heavy_truck", AgentKind.FIRE_ENGINE: "heavy_truck", AgentKind.AMBULANCE: "heavy_truck",
    AgentKind.TRACTOR: "heavy_truck", AgentKind.BUS: "bus", AgentKind.SCHOOL_BUS: "bus",
    AgentKind.MOTORCYCLE: "rider", AgentKind.BICYCLE: "rider", AgentKind.PEDESTRIAN: "person",
    AgentKind.WHEELCHAIR: "person", AgentKind.POLICE_OFFICER: "person", AgentKind.FLAGGER: "person",
    AgentKind.ANIMAL: "animal", AgentKind.TRAM: "train_or_tram_car", AgentKind.TRAIN: "train_or_tram_car",
    AgentKind.TRAILER: "trailer",
}  # fmt: skip
OTHER_LABEL = "protruding_object"


@dataclass(frozen=True, eq=False)
class SceneArchive:
    """What an archive holds, as read."""

    scene_id: str
    recipe: SceneRecipe
    map_sha256: str
    cameras: tuple[Camera, ...]
    ego_t_us: tuple[int, ...]
    tf_world_rig: Float  # (T, 4, 4)
    tracks: dict[str, tuple[str, Float, Float]]  # id -> label, size (3,), rows (N, 8): t_us, xyz, quaternion xyzw
    xodr: str


def write_scene(path: Path, rollout: Rollout, road_map: RoadMap, xodr: str, recipe: SceneRecipe, rig: Rig) -> Path:
    """A drive, its map (also as OpenDRIVE text), its recipe and cameras -> the archive at `path` (.usdz).

    The drive is the recorded one that AlpaSim replays at the start and measures progress by.
    """
    path = Path(path)
    if path.suffix != ".usdz":
        raise ValueError(f"{path}: a scene archive's name ends in .usdz; call it {path.stem}.usdz")
    if not rollout.steps:
        raise ValueError(f"scenario {rollout.scenario.name!r}: the drive has no steps; give it a longer duration")
    scene = scene_id_of(rollout.scenario)
    states = [*(step.state for step in rollout.steps), rollout.final]
    origin = {"format": FORMAT, "version": VERSION, "map_sha256": road_map.sha256, "recipe": asdict(recipe)}
    mesh = ground_mesh(road_map)
    members = {
        "metadata.yaml": _json(_metadata(scene, rollout, road_map, rig, recipe)),  # JSON is YAML
        "rig_trajectories.json": _json(_rig_trajectories(scene, states, rig, xodr)),
        "sequence_tracks.json": _json({scene: _tracks(states)}),
        "map.xodr": xodr.encode(),
        "mesh_ground.ply": mesh,
        "mesh.ply": mesh,
        "cordillera.json": _json(origin),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same drive gives the same bytes
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    part.replace(path)
    return path


def read_scene(path: Path) -> SceneArchive:
    """An archive of ours -> what it holds; ValueError names what is missing or broken in it."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such scene archive; write one with cordillera export-scene")
    try:
        with zipfile.ZipFile(path) as archive:
            origin, meta, rigs, tracks = (
                json.loads(_member(archive, name, path))
                for name in ("cordillera.json", "metadata.yaml", "rig_trajectories.json", "sequence_tracks.json")
            )
            xodr = _member(archive, "map.xodr", path).decode()
        if origin["format"] != FORMAT or origin["version"] != VERSION:
            raise ValueError(f"{path}: cordillera.json says {origin['format']} {origin['version']}; export it again")
        (rig,) = rigs["rig_trajectories"]
        (found,) = tracks.values()
        return SceneArchive(
            scene_id=meta["scene_id"],
            recipe=SceneRecipe(**origin["recipe"]),
            map_sha256=origin["map_sha256"],
            cameras=tuple(_camera(calibration) for calibration in rigs["camera_calibrations"].values()),
            ego_t_us=tuple(int(t) for t in rig["T_rig_world_timestamps_us"]),
            tf_world_rig=np.array(rig["T_rig_worlds"], dtype=np.float64),
            tracks=_read_tracks(found),
            xodr=xodr,
        )
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: the archive is damaged ({error}); export the scene again") from error
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: not a scene of ours ({error!r}); export it with cordillera export-scene") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_BYTES:
        raise ValueError(f"{path}: {name} is {info.file_size} bytes unpacked; at most {MAX_BYTES} are read")
    return archive.read(info)


def _read_tracks(found: dict[str, Any]) -> dict[str, tuple[str, Float, Float]]:
    data, sizes = found["tracks_data"], found["cuboidtracks_data"]["cuboids_dims"]
    columns = (data["tracks_id"], data["tracks_label_class"], sizes, data["tracks_timestamps_us"], data["tracks_poses"])
    return {
        track: (label, np.array(size), np.column_stack([np.array(times, dtype=np.float64), np.array(poses)]))
        for track, label, size, times, poses in zip(*columns, strict=True)
    }


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _metadata(scene: str, rollout: Rollout, road_map: RoadMap, rig: Rig, recipe: SceneRecipe) -> dict[str, Any]:
    start_s = (rollout.scenario.initial.t_us + EPOCH_US) * 1e-6
    end_s = (rollout.final.t_us + EPOCH_US) * 1e-6
    return {
        "scene_id": scene,
        "version_string": f"cordillera {__version__}",
        "training_date": "1980-01-01",  # nothing is trained; a fixed date keeps the bytes the same
        "dataset_hash": road_map.sha256,
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cordillera:{scene}:{road_map.sha256}")),
        "is_resumable": False,
        "sensors": {"camera_ids": [camera.name for camera in rig.cameras], "lidar_ids": []},
        "logger": {
            "name": "cordillera",
            "run_id": recipe_note(recipe),
            "run_url": None,
        },  # goes into the runtime's logs
        "time_range": {"start": start_s, "end": end_s},
        "training_step_outputs": {},
    }


def _rig_trajectories(scene: str, states: list[WorldState], rig: Rig, xodr: str) -> dict[str, Any]:
    identity = np.eye(4).tolist()
    unique = {f"{camera.name}@{scene}": camera for camera in rig.cameras}
    times = [state.t_us + EPOCH_US for state in states]
    spec = rig.vehicle
    box = {
        "centroid": [spec.rear_axle_to_center_m, 0.0, 0.5 * spec.height_m],
        "dim": [spec.length_m, spec.width_m, spec.height_m],
        "rot": [0.0, 0.0, 0.0],
    }
    trajectory = {
        "sequence_id": scene,
        "T_rig_world_timestamps_us": times,
        "T_rig_worlds": [transform_of(state.ego.xyz, state.ego.quat_xyzw).tolist() for state in states],
        "cameras_frame_timestamps_us": {name: [[t - SHUTTER_US, t] for t in times] for name in unique},
        "rig_bbox": box,
    }
    calibrations = {name: _calibration(scene, k, camera) for k, (name, camera) in enumerate(unique.items())}
    return {
        "world_to_nre": {"matrix": identity},
        "T_world_base": tf_ecef_map(xodr).tolist(),
        "camera_calibrations": calibrations,
        "rig_trajectories": [trajectory],
    }


def _calibration(scene: str, index: int, camera: Camera) -> dict[str, Any]:
    """A camera -> its calibration; as on the wire, the first pixel's outer corner is (0, 0)."""
    is_ftheta = camera.model == "ftheta"
    parameters: dict[str, Any] = {
        "resolution": [camera.width, camera.height],
        "shutter_type": "GLOBAL",
        "principal_point": [camera.cx + CORNER_PX, camera.cy + CORNER_PX],
    }
    if is_ftheta:
        parameters |= {
            "reference_poly": "ANGLE_TO_PIXELDIST",
            "pixeldist_to_angle_poly": list(camera.bw_poly),
            "angle_to_pixeldist_poly": list(camera.fw_poly),
            "linear_cde": [1.0, 0.0, 0.0],
        }
    else:
        parameters |= {"focal_length": [camera.fw_poly[1], camera.fw_poly[1]]}
    return {
        "sequence_id": scene,
        "logical_sensor_name": camera.name,
        "unique_sensor_idx": index,
        "T_sensor_rig": camera.tf_rig_camera.tolist(),
        "camera_model": {"type": "ftheta" if is_ftheta else "opencv-pinhole", "parameters": parameters},
    }


def _camera(calibration: dict[str, Any]) -> Camera:
    """A calibration as `_calibration` writes it -> the camera."""
    model = calibration["camera_model"]
    values = model["parameters"]
    width, height = values["resolution"]
    x, y = values["principal_point"]
    if model["type"] == "ftheta":
        kind, forward, backward = "ftheta", values["angle_to_pixeldist_poly"], values["pixeldist_to_angle_poly"]
    else:
        focal = values["focal_length"][0]
        kind, forward, backward = "pinhole", (0.0, focal), (0.0, 1.0 / focal)
    tf = np.array(calibration["T_sensor_rig"], dtype=np.float64)
    name = str(calibration["logical_sensor_name"])
    return Camera(
        name, kind, int(width), int(height), x - CORNER_PX, y - CORNER_PX, tuple(forward), tuple(backward), tf
    )


def label_of(kind: int) -> str:
    """A kind of agent -> the class that the wire calls it by."""
    return LABELS.get(AgentKind(kind), OTHER_LABEL)


def box_pose(agents: Agents, row: int) -> tuple[Float, Float]:
    """An agent -> the centre of its box in the world (3,) and its quaternion xyzw (4,)."""
    centre = agents.xyz[row] + np.array([0.0, 0.0, 0.5 * agents.size_lwh[row, 2]])
    return centre, quat_from_yaw(float(agents.yaw_rad[row]))


@dataclass(eq=False)
class Visits:
    """Agents step by step -> the names of their tracks: one that leaves and comes back gets another each time."""

    counts: dict[int, int] = field(default_factory=dict)
    here: set[int] = field(default_factory=set)

    def names(self, agents: Agents) -> dict[int, str]:
        """The agents of the next step -> the name of each that is there, by its id."""
        present = {int(k) for k in agents.id[agents.valid]}
        for agent in present - self.here:
            self.counts[agent] = self.counts.get(agent, 0) + 1
        self.here = present
        return {k: str(k) if self.counts[k] == 1 else f"{k}.{self.counts[k]}" for k in present}


def _tracks(states: list[WorldState]) -> dict[str, Any]:
    """States -> the tracks of all agents that are ever there; one that leaves and comes back gets a track each time."""
    visits = Visits()
    found: dict[str, dict[str, Any]] = {}
    for state in states:
        agents = state.agents
        names = visits.names(agents)
        for row in np.flatnonzero(agents.valid):
            name = names[int(agents.id[row])]
            kind, size = int(agents.kind[row]), agents.size_lwh[row].tolist()
            track = found.setdefault(name, {"id": name, "kind": kind, "size": size, "t": [], "poses": []})
            centre, quat = box_pose(agents, int(row))
            track["t"].append(state.t_us + EPOCH_US)
            track["poses"].append([*centre.tolist(), *quat.tolist()])
    rows = list(found.values())
    rows = [track for track in rows if len(track["t"]) > 1]  # a track of one pose cannot be interpolated
    return {
        "tracks_data": {
            "tracks_id": [track["id"] for track in rows],
            "tracks_label_class": [label_of(track["kind"]) for track in rows],
            "tracks_flags": ["CONTROLLABLE" if track["kind"] < 64 else "NONE" for track in rows],
            "tracks_timestamps_us": [track["t"] for track in rows],
            "tracks_poses": [track["poses"] for track in rows],
        },
        "cuboidtracks_data": {"cuboids_dims": [track["size"] for track in rows]},
    }


def tf_ecef_map(xodr: str) -> Float:
    """OpenDRIVE text -> the pose of its tangent plane at (lat_0, lon_0) in earth-fixed coordinates, or identity.

    The runtime maps a scene onto its map by the plane of the map's geoReference; ours are one frame, so the scene's
    own frame is given as just that plane. Formula: geodetic to ECEF, WGS 84 (NIMA TR8350.2, section 4).
    """
    text = re.search(r"<geoReference>(.*?)</geoReference>", xodr, re.DOTALL)
    found = {k: re.search(rf"\+{k}=(\S+)", text[1]) for k in ("lat_0", "lon_0", "alt_0")} if text else {}
    lat, lon, alt = (_float(found.get(k)) for k in ("lat_0", "lon_0", "alt_0"))
    if lat is None or lon is None:
        return np.eye(4)
    sin_lat, cos_lat = math.sin(math.radians(lat)), math.cos(math.radians(lat))
    sin_lon, cos_lon = math.sin(math.radians(lon)), math.cos(math.radians(lon))
    e2 = FLATTENING * (2.0 - FLATTENING)
    n = EARTH_M / math.sqrt(1.0 - e2 * sin_lat**2)
    h = alt or 0.0
    tf = np.eye(4)
    tf[:3, 0] = [-sin_lon, cos_lon, 0.0]
    tf[:3, 1] = [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat]
    tf[:3, 2] = [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
    tf[:3, 3] = [(n + h) * cos_lat * cos_lon, (n + h) * cos_lat * sin_lon, (n * (1.0 - e2) + h) * sin_lat]
    return tf


def _float(found: re.Match[str] | None) -> float | None:
    try:
        return float(re.sub(r"[\]>]+$", "", found[1])) if found else None
    except ValueError:
        return None


def ground_mesh(road_map: RoadMap) -> bytes:
    """A map -> the surface of its lanes as a binary PLY of triangles."""
    points, faces, base = [], [], 0
    for lane in road_map.lanes:
        count = len(lane.left_xyz)
        points.append(np.stack([lane.left_xyz, lane.right_xyz], axis=1).reshape(-1, 3))
        k = base + 2 * np.arange(count - 1)
        faces.append(np.stack([k, k + 1, k + 2], axis=-1))
        faces.append(np.stack([k + 1, k + 3, k + 2], axis=-1))
        base += 2 * count
    xyz, triangles = np.concatenate(points), np.concatenate(faces)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(xyz)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(triangles), dtype=[("n", "u1"), ("i", "<i4", 3)])
    rows["n"], rows["i"] = 3, triangles
    return header.encode() + xyz.astype("<f4").tobytes() + rows.tobytes()
