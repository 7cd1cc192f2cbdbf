"""What stands beside the roads: kerbs, houses, trees, lamps, rails where there is room, and the map's own objects."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

import cv2
import numpy as np

from cordillera.geometry import points_in_polygon, resample
from cordillera.sensors.classes import LAMPS_ON, OBJECT_BASE, Semantic
from cordillera.sensors.scene_arrays import Instances, no_instances, yaw_axes
from cordillera.sensors.scene_ground import Ground
from cordillera.types import Float, MapObject, RoadMap

WALLS = np.array(
    [
        (0.52, 0.47, 0.38),
        (0.58, 0.56, 0.52),
        (0.36, 0.15, 0.09),
        (0.46, 0.34, 0.22),
        (0.40, 0.42, 0.44),
        (0.60, 0.50, 0.30),
        (0.28, 0.26, 0.25),
        (0.50, 0.38, 0.34),
        (0.30, 0.12, 0.08),
        (0.55, 0.55, 0.50),
    ]
)
TRIMS = np.array([(0.62, 0.61, 0.58), (0.22, 0.21, 0.20), (0.35, 0.12, 0.08), (0.18, 0.13, 0.10)])
ROOFS = np.array([(0.30, 0.10, 0.06), (0.16, 0.15, 0.16), (0.24, 0.12, 0.08)])
LEAVES = np.array([(0.065, 0.125, 0.028), (0.085, 0.135, 0.030), (0.050, 0.105, 0.032), (0.110, 0.140, 0.035)])
LAMP_SPACING_M, TREE_SPACING_M = 27.0, 9.0

Row = tuple[int, tuple[float, float, float], float, tuple[float, float, float], Float, int, int, int, int]


class Placer:
    """Collects instances, and remembers in 8 m cells what is taken."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.rows: list[Row] = []
        self.cells: dict[tuple[int, int], list[tuple[float, float, float]]] = {}

    def free(self, xy: Float, radius_m: float) -> bool:
        """Whether nothing that was taken lies within a radius."""
        i, j, n = int(xy[0] // 8), int(xy[1] // 8), 1 + int((radius_m + 16.0) // 8)
        for a in range(i - n, i + n + 1):
            for b in range(j - n, j + n + 1):
                for x, y, r in self.cells.get((a, b), ()):
                    if math.hypot(x - xy[0], y - xy[1]) < radius_m + r:
                        return False
        return True

    def take(self, xy: Float, radius_m: float) -> None:
        self.cells.setdefault((int(xy[0] // 8), int(xy[1] // 8)), []).append((float(xy[0]), float(xy[1]), radius_m))

    def put(
        self,
        proto: int,
        xy: Float,
        yaw: float,
        scale: tuple[float, float, float],
        semantic: int,
        tint: Float | None = None,
        seed: int = 0,
        flags: int = 0,
        label: int = 0,
        z: float | None = None,
    ) -> None:
        """Add one instance, on the ground unless a height is given."""
        height = float(self.ground.height(xy[None, :2])[0]) if z is None else z
        place = (float(xy[0]), float(xy[1]), height)
        self.rows.append(
            (proto, place, yaw, scale, np.full((2, 3), 0.5) if tint is None else tint, semantic, seed, flags, label)
        )

    def instances(self) -> Instances:
        """All that was put."""
        out = no_instances(len(self.rows))
        for k, (proto, place, yaw, scale, tint, semantic, seed, flags, label) in enumerate(self.rows):
            out.proto[k], out.xyz[k], out.scale[k], out.tint[k] = proto, place, scale, tint
            out.axes[k] = yaw_axes(np.array([yaw]))[0]
            out.semantic[k], out.seed[k], out.flags[k], out.label[k] = semantic, seed, flags, label
        return out


def roadside(road_map: RoadMap, ground: Ground, every_m: float) -> tuple[Float, Float]:
    """A map -> places along the outer edges of its lanes (N, 2) and the directions away from the road (N, 2)."""
    places, away = [], []
    for lane in road_map.lanes:
        for line, side in ((lane.left_xyz, 1.0), (lane.right_xyz, -1.0)):
            points = resample(line[:, :2], every_m)
            if len(points) < 3:
                continue
            step = np.gradient(points, axis=0)
            step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
            places.append(points)
            away.append(side * np.stack([-step[:, 1], step[:, 0]], axis=-1))
    xy, out = np.concatenate(places), np.concatenate(away)
    free = ground.clearance(xy + 2.5 * out) > 1.6
    return xy[free], out[free]


def place_roadside(
    road_map: RoadMap, ground: Ground, names: dict[str, int], region: str, seed: int, rural: bool, lamps_on: bool
) -> tuple[Float, Instances]:  # fmt: skip
    """Map, seed, kind of country -> where the lamps' heads hang (L, 3), and all that stands along the roads."""
    rng = np.random.default_rng(seed + 4242)
    placer = Placer(ground)
    xy, away = roadside(road_map, ground, 3.0)
    for signal in road_map.signals:
        placer.take(signal.xyz[:2], 3.0)
    heads: list[tuple[float, float, float]] = []
    lamp_spots: list[Float] = []
    order = np.arange(len(xy))
    for k in order if not rural else order[:0]:
        spot = xy[k] + 0.9 * away[k]
        if all(np.hypot(*(spot - other)) > LAMP_SPACING_M for other in lamp_spots) and placer.free(spot, 1.0):
            yaw = math.atan2(-away[k, 1], -away[k, 0])
            placer.put(names["lamp"], spot, yaw, (1.0, 1.0, 1.0), Semantic.POLE, flags=LAMPS_ON if lamps_on else 0)
            z = placer.rows[-1][1][2]
            heads.append((spot[0] - 1.75 * away[k, 0], spot[1] - 1.75 * away[k, 1], z + 7.9))
            lamp_spots.append(spot)
            placer.take(spot, 1.0)
    rng.shuffle(order)
    for setback, share in ((6.5, 0.25 if rural else 0.92), (27.0, 0.0 if rural else 0.6)):
        for k in order:
            if rng.random() < share:
                _house(placer, xy[k], away[k], setback, names, rng, rural)
    reach = (3.5, 45.0) if rural else (1.8, 14.0)
    for k in order:
        deep = reach[0] + (reach[1] - reach[0]) * rng.random() ** 2
        spot = xy[k] + deep * away[k]
        if ground.clearance(spot[None, :])[0] < min(deep, 3.2) - 1.4 or not placer.free(spot, 0.5 * TREE_SPACING_M):
            continue
        _plant(placer, spot, names, rng)
        placer.take(spot, 0.0 if rural else 0.45 * TREE_SPACING_M)
    _kerbs(road_map, placer, names)
    if rural:
        _rails(xy, away, placer, names, rng)
    return np.array(heads).reshape(-1, 3), placer.instances()


def _plant(placer: Placer, spot: Float, names: dict[str, int], rng: np.random.Generator) -> None:
    """A tree or a bush."""
    leaf = LEAVES[rng.integers(len(LEAVES))] * (0.8 + 0.4 * rng.random())
    size = 0.65 + 0.55 * rng.random()
    low = rng.random() < 0.3
    name = f"bush{rng.integers(4)}" if low else f"tree{rng.integers(4)}"
    scale = (size, size, size * (0.9 + 0.3 * rng.random()))
    placer.put(names[name], spot, 6.28 * rng.random(), scale, Semantic.VEGETATION, np.stack([leaf, leaf]))


def _house(
    placer: Placer,
    xy: Float,
    away: Float,
    setback_m: float,
    names: dict[str, int],
    rng: np.random.Generator,
    rural: bool,
) -> None:
    """A house that faces the road, if there is room for it."""
    gabled = rural or rng.random() < 0.3
    length, depth = 9.0 + 13.0 * rng.random(), 8.0 + 5.0 * rng.random()
    floors = int(rng.integers(1, 3)) if gabled else int(rng.integers(2, 7))
    if setback_m > 20.0:
        floors, length = floors + int(rng.integers(0, 8)), length * 1.2
    setback = setback_m + 5.0 * rng.random()
    middle = xy + (setback + 0.5 * depth) * away
    along = np.array([-away[1], away[0]])
    u, v = np.meshgrid(np.linspace(-0.55, 0.55, 7), np.linspace(-0.55, 0.55, 5))
    foot = middle + u.reshape(-1, 1) * length * along + v.reshape(-1, 1) * depth * away
    if placer.ground.clearance(foot).min() < 4.0 or not placer.free(middle, 0.5 * math.hypot(length, depth) * 0.93):
        return
    placer.take(middle, 0.5 * math.hypot(length, depth) * 0.93)
    wall, trim = WALLS[rng.integers(len(WALLS))] * (0.8 + 0.35 * rng.random()), TRIMS[rng.integers(len(TRIMS))]
    trim = ROOFS[rng.integers(len(ROOFS))] if gabled else trim
    seed = int(rng.integers(1, 100_000))
    name = "house" if gabled else "building"
    z = float(placer.ground.height(foot).min()) - 0.1
    size = (length, depth, floors * 3.2 + 0.6)
    placer.put(
        names[name], middle, math.atan2(along[1], along[0]), size, Semantic.BUILDING, np.stack([wall, trim]), seed, z=z
    )


def _kerbs(road_map: RoadMap, placer: Placer, names: dict[str, int]) -> None:
    """Kerbstones along the map's kerb lines, and along the inner edges of its pavements where it draws none."""
    lines = [mark.xyz for mark in road_map.marks if mark.kind.split()[0] in ("kerb", "curb")]
    for line in lines:
        points = resample(line, 5.0)
        for a, b in itertools.pairwise(points):
            step = b - a
            length = float(np.hypot(step[0], step[1]))
            if length > 0.05:
                yaw = math.atan2(step[1], step[0])
                placer.put(
                    names["kerb"],
                    0.5 * (a + b),
                    yaw,
                    (length + 0.02, 1.0, 1.0),
                    Semantic.KERB,
                    z=float(0.5 * (a[2] + b[2])),
                )


def _rails(xy: Float, away: Float, placer: Placer, names: dict[str, int], rng: np.random.Generator) -> None:
    """Guard rails along some stretches of country roads."""
    for k in range(0, len(xy), 1):
        if math.sin(0.021 * (xy[k, 0] + xy[k, 1])) * math.cos(0.013 * (xy[k, 0] - xy[k, 1])) > 0.55:
            spot = xy[k] + 0.8 * away[k]
            yaw = math.atan2(away[k, 0], -away[k, 1])
            if placer.ground.clearance(spot[None, :])[0] > 0.3:
                placer.put(names["rail"], spot, yaw, (0.8, 1.0, 1.0), Semantic.GUARD_RAIL)


def place_objects(
    road_map: RoadMap, ground: Ground, names: dict[str, int], seed: int, placed: Collection[int] = ()
) -> Instances:
    """The map's own objects: houses, barriers, plants and poles, but those that are `placed` already, by index."""
    placer = Placer(ground)
    rng = np.random.default_rng(seed + 99)
    for k, thing in enumerate(road_map.objects):
        label = OBJECT_BASE + k if OBJECT_BASE + k < 65_536 else 0
        if thing.kind == "building":
            middle, yaw, size = _rectangle(thing)
            wall = WALLS[rng.integers(len(WALLS))]
            tint = np.stack([wall, TRIMS[rng.integers(len(TRIMS))]])
            height = size[2] if size[2] > 2.5 else 9.8
            placer.put(
                names["building"], middle, yaw, (size[0], size[1], height), Semantic.BUILDING, tint, k + 1, label=label
            )
        elif thing.kind == "barrier" and len(thing.outline_xyz) > 1:
            _rail_along(placer, thing.outline_xyz, names, label)
        elif thing.kind == "barrier" and thing.size_lwh[0] > 0.0:
            scale = (max(thing.size_lwh[0], 0.5) / 4.0, 1.0, 1.0)
            placer.put(
                names["rail"], thing.xyz, thing.yaw_rad, scale, Semantic.GUARD_RAIL, label=label, z=float(thing.xyz[2])
            )
        elif thing.kind in ("pole", "streetlamp", "lamp") and k not in placed:
            height = thing.size_lwh[2] if thing.size_lwh[2] > 0.5 else 4.0
            placer.put(
                names["pole"], thing.xyz, 0.0, (0.07, 0.07, height), Semantic.POLE, label=label, z=float(thing.xyz[2])
            )
        elif thing.kind in ("tree", "vegetation"):
            for spot in _spots(thing, rng):
                if ground.clearance(spot[None, :])[0] > 0.8:
                    _plant(placer, spot, names, rng)
    return placer.instances()


def _rectangle(thing: MapObject) -> tuple[Float, float, tuple[float, float, float]]:
    """An object -> middle, heading and size of the smallest rectangle around it."""
    if len(thing.outline_xyz) < 3:
        return thing.xyz, thing.yaw_rad, thing.size_lwh
    (x, y), (w, h), angle = cv2.minAreaRect((thing.outline_xyz[:, :2] - thing.xyz[:2]).astype(np.float32))
    middle = np.array([x + thing.xyz[0], y + thing.xyz[1], thing.xyz[2]])
    return middle, math.radians(angle), (max(w, 1.0), max(h, 1.0), thing.size_lwh[2])


def _rail_along(placer: Placer, line: Float, names: dict[str, int], label: int) -> None:
    """Guard rail along a polyline."""
    points = resample(line, 4.0)
    for a, b in itertools.pairwise(points):
        step = b - a
        length = float(np.hypot(step[0], step[1]))
        if length > 0.05:
            yaw = math.atan2(step[1], step[0])
            middle = 0.5 * (a + b)
            placer.put(
                names["rail"],
                middle,
                yaw,
                (length / 4.0, 1.0, 1.0),
                Semantic.GUARD_RAIL,
                label=label,
                z=float(middle[2]),
            )


def _spots(thing: MapObject, rng: np.random.Generator) -> list[Float]:
    """A plant or a planted area -> where its plants stand."""
    if len(thing.outline_xyz) < 3:
        return [thing.xyz[:2]]
    outline = thing.outline_xyz[:, :2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    count = int(min(40.0, 1.0 + float(np.prod(high - low)) / 25.0))
    spots = low + (high - low) * rng.random((count, 2))
    return list(spots[points_in_polygon(spots, outline)])
