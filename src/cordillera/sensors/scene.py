"""A road map and the conditions -> the scene: everything that stands still, and the tables by which it is drawn."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from cordillera.sensors import meshes_street as street
from cordillera.sensors.classes import STREET_LAMP
from cordillera.sensors.light import Light, light_of
from cordillera.sensors.mesh import Mesh
from cordillera.sensors.render_light import LAMP_CELL_M, LAMP_REACH_M, Lamps
from cordillera.sensors.scene_agents import agent_prototypes
from cordillera.sensors.scene_arrays import Instances, Library, Prototype, compile_library, joined, no_instances
from cordillera.sensors.scene_ground import Ground, build_ground, deck_blocks, ground_blocks
from cordillera.sensors.scene_marks import Strokes, build_strokes
from cordillera.sensors.scene_place import place_objects, place_roadside
from cordillera.sensors.scene_signals import SignalLayout, own_posts, place_signals
from cordillera.sensors.textures import sign_pixels
from cordillera.types import Float, LaneKind, RoadMap, Weather

PAVEMENT_M = 2.4


@dataclass(frozen=True, eq=False)
class Scene:
    """All that does not change in a drive."""

    map: RoadMap
    region: str
    library: Library
    names: dict[str, int]  # prototype by name
    fixed: Instances
    signals: SignalLayout
    ground: Ground
    strokes: Strokes
    light: Light
    lamps: Lamps
    lamp_spots: dict[int, Float]  # prototype -> its lamps (N, 7): xyz, facing xy, radius, library triangle


def build_scene(
    road_map: RoadMap, weather: Weather = Weather.CLEAR, hour: float = 12.0, region: str = "", seed: int = 0
) -> Scene:
    """A map, weather, local hour, region ("" for the map's own) and a seed -> its scene; same input, same scene."""
    region = region or road_map.region or ("GB" if road_map.traffic_side == "left" else "US")
    drawn_pavement = any(lane.kind == LaneKind.SIDEWALK for lane in road_map.lanes)
    ground = build_ground(road_map, 0.0 if drawn_pavement or is_rural(road_map) else PAVEMENT_M)
    light = light_of(weather, hour, seed)
    prototypes: dict[str, Prototype] = {**agent_prototypes(), **street_prototypes()}
    blocks = [*ground_blocks(ground), *deck_blocks(ground)]
    names = {name: k for k, name in enumerate(prototypes)}
    parts = [_blocks(blocks, len(prototypes))]
    library = compile_library([*prototypes.values(), *(p for _, p in blocks)])
    spots, kerbs_and_rest = place_roadside(road_map, ground, names, region, seed, is_rural(road_map), light.lamps)
    parts += [kerbs_and_rest, place_objects(road_map, ground, names, seed, set(own_posts(road_map).values()))]
    layout, posts = place_signals(road_map, ground, names, region)
    parts.append(posts)
    fixed = joined([p for p in parts if len(p.proto)])
    return Scene(
        road_map, region, library, names, fixed, layout, ground, build_strokes(road_map, region), light,
        lamp_grid(spots), {k: lamp_spots(prototypes[name].meshes[0], library, k) for name, k in names.items()},
    )  # fmt: skip


def is_rural(road_map: RoadMap) -> bool:
    """Whether a map shows open country: few crossings, lights and pavements for its length of road."""
    driving = [lane for lane in road_map.lanes if lane.kind == LaneKind.DRIVING]
    length = sum(float(np.linalg.norm(np.diff(lane.center_xyz, axis=0), axis=1).sum()) for lane in driving)
    paved = sum(lane.kind == LaneKind.SIDEWALK for lane in road_map.lanes)
    lights = sum(s.kind.value.endswith("light") for s in road_map.signals)
    return (paved == 0 and (len(road_map.crossings) + lights) * 700.0 < length) or "rural" in road_map.name


@functools.cache  # made once a process, and only read
def street_prototypes() -> dict[str, Prototype]:
    """Nothing -> what stands beside roads, by name; signs are "sign:0", "sign:1", ... by place in the atlas."""
    out = {
        "light3": street.traffic_light(3, False, True),
        "light3-bare": street.traffic_light(3, False, False),
        "light3-lying": street.traffic_light(3, True, False),
        "light2": street.traffic_light(2, False, False),
        "pole": street.pole(),
        "arm": street.arm(),
        "lamp": street.street_lamp(),
        "building": street.building(False),
        "house": street.building(True),
        "rail": street.guard_rail(),
        "kerb": Prototype((street.kerb(True), street.kerb(False)), (9.0, 3.0)),
    }
    for k in range(4):
        out[f"tree{k}"] = street.tree(11 + k, k == 3)
        out[f"bush{k}"] = street.bush(31 + k)
    for k, picture in enumerate(sign_pixels()):
        out[f"sign:{k}"] = street.sign(picture[..., 3])
    return out


def _blocks(blocks: list[tuple[Float, Prototype]], first: int) -> Instances:
    """Blocks with their centres -> instances of prototypes numbered from `first`."""
    out = no_instances(len(blocks))
    out.proto[:] = first + np.arange(len(blocks))
    out.xyz[:] = np.stack([centre for centre, _ in blocks])
    return out


def lamp_grid(xyz: Float) -> Lamps:
    """Places of street lamps (L, 3) -> the lamps in their grid."""
    if not len(xyz):
        return Lamps(np.zeros((0, 3)), np.zeros(2, np.int64), np.zeros(0, np.int64), 1, 1, 0.0, 0.0)
    low = xyz[:, :2].min(axis=0) - LAMP_REACH_M
    columns, rows = (int(v) for v in (xyz[:, :2].max(axis=0) + LAMP_REACH_M - low) // LAMP_CELL_M + 1)
    first, member = [0], []
    for i in range(rows):
        for j in range(columns):
            middle = low + (np.array([j, i]) + 0.5) * LAMP_CELL_M
            near = np.flatnonzero(np.linalg.norm(xyz[:, :2] - middle, axis=1) < LAMP_REACH_M + 0.71 * LAMP_CELL_M)
            member += near.tolist()
            first.append(len(member))
    return Lamps(
        xyz, np.array(first, np.int64), np.array(member, np.int64), columns, rows, float(low[0]), float(low[1])
    )  # fmt: skip


def lamp_spots(mesh: Mesh, library: Library, proto: int) -> Float:
    """A mesh -> its lamps (N, 7): middle, facing in the plane, radius, triangle of the library with its material."""
    rows = []
    first = int(library.tri_range[proto, 0, 0])
    for material in (*range(4, 9), *range(17, 20), STREET_LAMP):
        mine = np.flatnonzero(mesh.material == material)
        if not len(mine):
            continue
        corners = mesh.xyz[mesh.tri[mine]]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = 0.5 * np.linalg.norm(cross, axis=1)
        middle = corners.mean(axis=1)
        normal = cross / np.maximum(2.0 * area[:, None], 1e-12)
        for side in (1.0, -1.0, 0.0):
            here = (np.sign(np.round(middle[:, 1], 2)) == side) if material < 9 else np.full(len(mine), side == 0.0)
            if not here.any():
                continue
            out = {4: (1.0, 0.0), 5: (-1.0, 0.0), 17: (1.0, 0.0), 18: (1.0, 0.0), 19: (1.0, 0.0)}.get(
                material, (0.0, 0.0)
            )
            front = here & ((normal[:, :2] @ np.array(out) > 0.9) if any(out) else True)
            if not front.any():
                continue
            weight = area[front] / area[front].sum()
            radius = float(np.sqrt(area[front].sum() / np.pi)) * (1.0 if any(out) else 0.4)
            rows.append((*(weight @ middle[front]), *out, radius, first + int(mine[front][0])))
    return np.array(rows, dtype=np.float64).reshape(-1, 7)
