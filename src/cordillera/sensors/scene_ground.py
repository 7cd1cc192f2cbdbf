"""A road map -> the ground: heights, bridge decks, surface classes in tiles, and the meshes that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.spatial import KDTree

from cordillera.geometry import interpolate, resample
from cordillera.sensors.classes import DECK, GROUND, MATTE
from cordillera.sensors.mesh import Mesh
from cordillera.sensors.scene_arrays import Prototype
from cordillera.types import Float, Int, Lane, LaneKind, RoadMap

TILE_M = 32.0
STEP_M = 0.5  # between samples of the surface
NODES = 65  # samples along a tile, both ends included
FINE_M = 0.125  # raster that is blurred into the samples
MARGIN_M = 4.0
MIXED, OPEN_GROUND, ROADWAY = range(3)  # see `plain_cells`
DECK_CLEARANCE_M = 3.0
REACH_M = 1500.0  # the ground goes on that far beyond the map
NEAR_M = 160.0  # from the lanes; farther out the ground is coarse
ROAD_KINDS = {LaneKind.DRIVING, LaneKind.BUS, LaneKind.SHOULDER, LaneKind.PARKING, LaneKind.RESTRICTED, LaneKind.BIKING}
PAVED_KINDS = {LaneKind.SIDEWALK, LaneKind.KERB, LaneKind.BORDER}


class Surface(NamedTuple):
    """Classes of the ground in tiles of 65 x 65 samples 0.5 m apart, for the shader."""

    slot: Int  # (R, C) row of `cover`, -1 where there is only open ground
    cover: NDArray[np.uint8]  # (S, 65, 65, 3) road, paved, bicycle lane; 255 is full
    plain: NDArray[np.uint8]  # (S, 64, 64) see `plain_cells`
    x0: float
    y0: float


@dataclass(frozen=True, eq=False)
class Ground:
    """The ground of a map."""

    surface: Surface
    tree: KDTree  # of the lane points below
    points: Float  # (N, 3) of lanes that lie on the ground
    decks: tuple[tuple[Float, Float], ...]  # left and right edges (N, 3) of stretches that bridge something
    distance: Float  # (R, C) m from each 1 m cell to the nearest lane
    origin: tuple[float, float]  # of `distance`

    def height(self, xy: Float) -> Float:
        """Points (N, 2) -> height of the ground (N,), smooth between the lanes."""
        reach, index = self.tree.query(xy, k=min(6, len(self.points)))
        weight = 1.0 / (reach * reach + 0.3)
        return (weight * self.points[index, 2]).sum(axis=1) / weight.sum(axis=1)

    def clearance(self, xy: Float) -> Float:
        """Points (N, 2) -> distance to the nearest lane (N,), up to the edge of the map and far beyond it."""
        cell = np.floor(xy - np.array(self.origin)).astype(int)
        inside = (cell >= 0).all(axis=1) & (cell < np.array(self.distance.shape[::-1])).all(axis=1)
        out = np.full(len(xy), 1e3)
        out[inside] = self.distance[cell[inside, 1], cell[inside, 0]]
        return out


def build_ground(road_map: RoadMap, pave_m: float) -> Ground:
    """A map, and how wide the pavement is where the map draws none -> its ground."""
    if not road_map.lanes:
        raise ValueError(f"map {road_map.name!r} has no lanes: there is nothing to draw")
    edges = [_edges(lane) for lane in road_map.lanes]
    low = _is_low(edges)
    points = np.concatenate([np.concatenate(pair)[np.concatenate([m, m])] for pair, m in zip(edges, low, strict=True)])
    if not len(points):
        points = np.concatenate([np.concatenate(pair) for pair in edges])
    tree = KDTree(points[:, :2])
    distance, origin = _distance(road_map, points)
    decks = tuple(d for pair, m in zip(edges, low, strict=True) for d in _deck_runs(pair, m))
    return Ground(_surface(road_map, edges, low, pave_m), tree, points, decks, distance, origin)


def _edges(lane: Lane) -> tuple[Float, Float]:
    """A lane -> its left and right edge at equal counts, at most 3 m apart."""
    count = max(2, len(resample(lane.center_xyz, 3.0)))
    u = np.linspace(0.0, 1.0, count)
    out = []
    for line in (lane.left_xyz, lane.right_xyz):
        length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        out.append(interpolate(line, u * length))
    return out[0], out[1]


def _is_low(edges: list[tuple[Float, Float]]) -> list[NDArray[np.bool_]]:
    """Edges of the lanes -> for each pair of points whether nothing lies far below it."""
    every = np.concatenate([np.concatenate(pair) for pair in edges])
    x0, y0 = every[:, :2].min(axis=0)
    cell = np.floor((every[:, :2] - (x0, y0)) / 2.0).astype(int)
    floor = np.full(cell.max(axis=0) + 1, np.inf)
    np.minimum.at(floor, (cell[:, 0], cell[:, 1]), every[:, 2])
    floor = minimum_filter(floor, size=7, mode="constant", cval=np.inf)
    out = []
    for left, right in edges:
        middle = 0.5 * (left + right)
        at = np.floor((middle[:, :2] - (x0, y0)) / 2.0).astype(int).clip(0, np.array(floor.shape) - 1)
        out.append(middle[:, 2] < floor[at[:, 0], at[:, 1]] + DECK_CLEARANCE_M)
    return out


def _deck_runs(pair: tuple[Float, Float], low: NDArray[np.bool_]) -> list[tuple[Float, Float]]:
    """A lane's edges -> the stretches that bridge something, one point longer at both ends."""
    high = np.flatnonzero(~low)
    if not len(high):
        return []
    runs = np.split(high, np.flatnonzero(np.diff(high) > 1) + 1)
    out = []
    for run in runs:
        a, b = max(0, run[0] - 1), min(len(low), run[-1] + 2)
        if b - a >= 2:
            out.append((pair[0][a:b], pair[1][a:b]))
    return out


def _distance(road_map: RoadMap, points: Float) -> tuple[Float, tuple[float, float]]:
    """Lanes -> distance field in cells of 1 m with 60 m around the map, and its origin."""
    low, high = points[:, :2].min(axis=0) - 60.0, points[:, :2].max(axis=0) + 60.0
    size = np.ceil(high - low).astype(int)
    free = np.ones((size[1], size[0]), np.uint8)
    for lane in road_map.lanes:
        outline = np.concatenate([lane.left_xyz, lane.right_xyz[::-1]])[:, :2] - low
        cv2.fillPoly(free, [np.round(outline * 16.0).astype(np.int32)], (0,), shift=4)
    field = cv2.distanceTransform(free, cv2.DIST_L2, 5)
    return field.astype(np.float64), (float(low[0]), float(low[1]))


def _surface(
    road_map: RoadMap, edges: list[tuple[Float, Float]], low: list[NDArray[np.bool_]], pave_m: float
) -> Surface:
    """Outlines of the lanes on the ground -> classes in tiles."""
    shapes: list[tuple[int, Float]] = []  # channel, outline
    for lane, pair, mask in zip(road_map.lanes, edges, low, strict=True):
        channel = 0 if lane.kind in ROAD_KINDS else 1 if lane.kind in PAVED_KINDS else -1
        if channel < 0 or mask.sum() < 2:
            continue
        outline = np.concatenate([lane.left_xyz, lane.right_xyz[::-1]])[:, :2]
        if not mask.all():
            outline = np.concatenate([pair[0][mask], pair[1][mask][::-1]])[:, :2]
        shapes.append((2 if lane.kind == LaneKind.BIKING else channel, outline))
    for thing in road_map.objects:
        if thing.kind in ("island", "sidewalk") and len(thing.outline_xyz) > 2:
            shapes.append((1, thing.outline_xyz[:, :2]))
        elif thing.kind == "parking" and len(thing.outline_xyz) > 2:
            shapes.append((0, thing.outline_xyz[:, :2]))
    every = np.concatenate([outline for _, outline in shapes])
    x0, y0 = (float(v) for v in np.floor(every.min(axis=0) / TILE_M) * TILE_M)
    columns, rows = (int(v) for v in np.floor((every.max(axis=0) - (x0, y0)) / TILE_M) + 1)
    by_tile: dict[tuple[int, int], list[int]] = {}
    for k, (_, outline) in enumerate(shapes):
        first = np.floor((outline.min(axis=0) - MARGIN_M - (x0, y0)) / TILE_M).astype(int).clip(0)
        last = np.floor((outline.max(axis=0) + MARGIN_M - (x0, y0)) / TILE_M).astype(int)
        for j in range(first[0], min(last[0], columns - 1) + 1):
            for i in range(first[1], min(last[1], rows - 1) + 1):
                by_tile.setdefault((i, j), []).append(k)
    slot = np.full((rows, columns), -1, dtype=np.int64)
    cover = np.zeros((len(by_tile), NODES, NODES, 3), np.uint8)
    for n, ((i, j), members) in enumerate(sorted(by_tile.items())):
        slot[i, j] = n
        corner = np.array([x0 + j * TILE_M - MARGIN_M, y0 + i * TILE_M - MARGIN_M])
        cover[n] = _tile([(shapes[k][0], shapes[k][1] - corner) for k in members], pave_m)
    return Surface(slot, cover, plain_cells(cover), x0, y0)


def _tile(shapes: list[tuple[int, Float]], pave_m: float) -> NDArray[np.uint8]:
    """Outlines relative to a tile's corner -> its samples: filled finely, gaps in junctions closed, blurred."""
    size = round((TILE_M + 2 * MARGIN_M) / FINE_M)
    layers = np.zeros((3, size, size), np.uint8)
    for channel, outline in shapes:
        corners = np.round((outline / FINE_M - 0.5) * 16.0).astype(np.int32)
        cv2.fillPoly(layers[channel], [corners], (255,), shift=4)
    np.maximum(layers[0], layers[2], out=layers[0])
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
    layers[0] = np.maximum(layers[0], cv2.morphologyEx(layers[0], cv2.MORPH_CLOSE, ball) & ~layers[1])
    if pave_m > 0.0:
        away = cv2.distanceTransform(255 - layers[0], cv2.DIST_L2, 5) * FINE_M
        layers[1][away < pave_m] = 255
    layers[1][layers[0] > 0] = 255  # so that road fades into pavement without open ground between
    start, every = round(MARGIN_M / FINE_M), round(STEP_M / FINE_M)
    out = []
    for layer in layers:
        soft = cv2.GaussianBlur(layer, (0, 0), 0.3 / FINE_M)
        out.append(soft[start - 1 :: every, start - 1 :: every][:NODES, :NODES])
    return np.stack(out, axis=-1)


def plain_cells(cover: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Classes at samples (S, N, N, 3) -> (S, N - 1, N - 1) open ground or road alone between four of them, else MIXED.

    Most of the ground is plain, and there the shader need neither blend nor smooth an edge.
    """
    out = np.full((len(cover), cover.shape[1] - 1, cover.shape[2] - 1), MIXED, np.uint8)
    for value, classes in ((OPEN_GROUND, (0, 0, 0)), (ROADWAY, (255, 255, 0))):
        same = (cover == np.array(classes, np.uint8)).all(axis=-1)
        out[same[:, :-1, :-1] & same[:, 1:, :-1] & same[:, :-1, 1:] & same[:, 1:, 1:]] = value
    return out


def ground_blocks(ground: Ground) -> list[tuple[Float, Prototype]]:
    """The ground -> blocks of it: centre (3,) and prototype, fine near the lanes and coarse far away."""
    low, high = ground.points[:, :2].min(axis=0), ground.points[:, :2].max(axis=0)
    size = TILE_M * 2.0 ** math.ceil(math.log2((float((high - low).max()) + 2.0 * REACH_M) / TILE_M))
    corner = np.floor((0.5 * (low + high) - 0.5 * size) / TILE_M) * TILE_M
    out: list[tuple[Float, Prototype]] = []
    stack = [(float(corner[0]), float(corner[1]), size)]
    level = float(np.median(ground.points[:, 2]))
    while stack:
        x, y, side = stack.pop()
        middle = np.array([x + 0.5 * side, y + 0.5 * side])
        near = float(ground.tree.query(middle)[0]) - 0.71 * side < NEAR_M
        if near and side > TILE_M:
            half = 0.5 * side
            stack += [(x, y, half), (x + half, y, half), (x, y + half, half), (x + half, y + half, half)]
            continue
        nodes = 9 if near else 2
        grid = np.linspace(0.0, side, nodes)
        xy = np.stack(np.meshgrid(x + grid, y + grid), axis=-1).reshape(-1, 2)
        z = ground.height(xy).reshape(nodes, nodes)
        if not near:  # far ground sinks to the middle level, so that it never hides the horizon of the map
            far = np.clip((ground.tree.query(xy)[0] - NEAR_M) / 600.0, 0.0, 1.0).reshape(nodes, nodes)
            z = z + far * (np.minimum(level, z) - z)
        centre = np.array([middle[0], middle[1], float(z.mean())])
        meshes = [_relief(grid - 0.5 * side, z - centre[2], tolerance) for tolerance in (0.02, 0.2)]
        same = len(meshes[0].tri) == len(meshes[1].tri)
        out.append((centre, Prototype(tuple(meshes[:1] if same else meshes), (0.0,) if same else (40.0, 0.0))))
    return out


def _relief(grid: Float, z: Float, tolerance_m: float) -> Mesh:
    """Nodes (n,) by heights (n, n) -> a mesh with as few squares as the tolerance allows."""
    quads: list[tuple[int, int, int]] = []
    stack = [(0, 0, len(grid) - 1)]
    while stack:
        i, j, n = stack.pop()
        part = z[i : i + n + 1, j : j + n + 1]
        u = np.linspace(0.0, 1.0, n + 1)
        top = part[0, 0] + (part[0, -1] - part[0, 0]) * u
        bottom = part[-1, 0] + (part[-1, -1] - part[-1, 0]) * u
        flat = top[None, :] * (1.0 - u[:, None]) + bottom[None, :] * u[:, None]
        if n == 1 or float(np.abs(part - flat).max()) < tolerance_m:
            quads.append((i, j, n))
        else:
            h = n // 2
            stack += [(i, j, h), (i + h, j, h), (i, j + h, h), (i + h, j + h, h)]
    xyz, tri = [], []
    for k, (i, j, n) in enumerate(quads):
        xyz += [(grid[b], grid[a], z[a, b]) for a, b in ((i, j), (i, j + n), (i + n, j + n), (i + n, j))]
        tri += [(4 * k, 4 * k + 1, 4 * k + 2), (4 * k, 4 * k + 2, 4 * k + 3)]
    return flat_mesh(np.array(xyz), np.array(tri), GROUND, (0.0, 0.0, 0.0))


def flat_mesh(xyz: Float, tri: Int, material: int, color: tuple[float, float, float]) -> Mesh:
    """Vertices and triangles -> a mesh lit as if it were level."""
    count = len(tri)
    up = np.tile(np.array([0.0, 0.0, 1.0]), (len(xyz), 1))
    return Mesh(
        xyz,
        tri.astype(np.int64),
        np.full(count, material, np.int64),
        np.tile(np.array(color), (count, 1)),
        up,
        np.zeros(len(xyz), np.int64),
    )


def deck_blocks(ground: Ground) -> list[tuple[Float, Prototype]]:
    """The bridges of the ground -> their decks with sides and undersides, each piece with its centre."""
    out = []
    for left, right in ground.decks:
        centre = 0.5 * (left + right).mean(axis=0)
        n = len(left)
        down = np.array([0.0, 0.0, -0.9])
        k = np.arange(n - 1)
        top = np.concatenate([left, right]) - centre
        quads = np.concatenate([np.stack([k, k + n, k + n + 1], 1), np.stack([k, k + n + 1, k + 1], 1)])
        meshes = [flat_mesh(top, quads, DECK, (0.0, 0.0, 0.0))]
        meshes.append(flat_mesh(top + down, quads[:, ::-1], MATTE, (0.30, 0.29, 0.28)))
        for line, flip in ((left, False), (right, True)):
            wall = np.concatenate([line, line + down]) - centre
            meshes.append(flat_mesh(wall, quads[:, ::-1] if flip else quads, MATTE, (0.34, 0.33, 0.32)))
        out.append((centre, Prototype((_stacked(meshes),), (0.0,))))
    return out


def _stacked(meshes: list[Mesh]) -> Mesh:
    offsets = np.cumsum([0, *(len(m.xyz) for m in meshes)])
    return Mesh(
        *(
            np.concatenate(
                [
                    getattr(m, name) + (offset if name == "tri" else 0)
                    for m, offset in zip(meshes, offsets, strict=False)
                ]
            )
            for name in ("xyz", "tri", "material", "color", "normal", "bone")
        )
    )
