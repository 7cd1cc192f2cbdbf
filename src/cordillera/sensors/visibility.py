"""A state and cameras -> how many pixels each agent, signal and map object shows, and how much of it is hidden.

Counted on what the renderer rasterises, without shading: the pixels in which a thing is the nearest, and those that it
would fill if it stood alone. Both are exact, for any lens. Of something far away that fills a few pixels those counts
say little, so small things are measured on a finer grid of rays, against every triangle that could stand before them.
What counts is what the camera's picture is made of: the same meshes at the same level of detail; no glows, no fog.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.sensors.classes import AGENT_BASE, OBJECT_BASE, SIGNAL_BASE
from cordillera.sensors.kernels import kernel
from cordillera.sensors.render import CpuRenderer
from cordillera.sensors.render_chunk import F, Single
from cordillera.sensors.render_geometry import Drawn, View
from cordillera.sensors.render_raster import LARGE_PX, TILE_H, TILE_W, Buffers, Lens, outside
from cordillera.types import Camera, Float, Int, Rig, WorldState

SMALL_PX = 256  # things that fill fewer pixels are measured on the finer grid
SAMPLES = 1024  # about so many rays in the box of a small thing
FINEST = 16  # but at most so many a pixel and direction
LABELS = 65_536


@dataclass(frozen=True, eq=False)
class Visibility:
    """What N things show in C cameras; things that would show nothing even if they stood alone have no row.

    What lies outside the picture is not part of a thing: `hidden` is the share of its image that others cover.
    """

    t_us: int
    cameras: tuple[str, ...]  # (C,) names
    targets: tuple[str, ...]  # (N,) "agent:17" by id, "signal:244" and "object:3" by index in the map
    label: Int  # (N,) instance number in the pictures of that moment
    shown: Int  # (N, C) pixels in which it is the nearest
    alone: Int  # (N, C) pixels that it would fill without anything else
    area_shown: Float  # (N, C) pixels, with fractions where it is small: a light of 0.4 pixels fills none or one
    area_alone: Float  # (N, C)

    @property
    def hidden(self) -> Float:
        """(N, C) share 0..1 of its image that something covers, NaN where it would show nothing."""
        nothing = self.area_alone <= 0.0
        return np.where(nothing, np.nan, 1.0 - self.area_shown / np.where(nothing, 1.0, self.area_alone))

    def row(self, target: str) -> int:
        """A target such as "agent:17" -> its row, -1 if no camera would show it even if it stood alone."""
        return self.targets.index(target) if target in self.targets else -1


def visible(state: WorldState, renderer: CpuRenderer, rig: Rig) -> Visibility:
    """A state, the renderer of its scene, a rig -> what everything shows in each camera; nothing is shaded."""
    moving, standing = renderer.instances(state)
    parts = renderer.parts(moving, standing)
    found = []
    for camera in rig.cameras:
        view, lens = renderer.view(state, camera), renderer.lens(camera)
        room = renderer.draw(view, lens, parts)
        found.append(measured(camera, view, lens, room.drawn, room.buffers))
    label = np.unique(np.concatenate([own for own, _ in found])) if found else np.zeros(0, np.int64)
    counts = np.zeros((4, len(label), len(found)))
    for c, (own, values) in enumerate(found):
        counts[:, np.searchsorted(label, own), c] = values
    some = (counts > 0.0).any(axis=(0, 2))
    label, (shown, alone, area_shown, area_alone) = label[some], counts[:, some]
    return Visibility(
        state.t_us,
        tuple(camera.name for camera in rig.cameras),
        tuple(target_of(int(k), state) for k in label),
        label,
        shown.astype(np.int64),
        alone.astype(np.int64),
        area_shown,
        area_alone,
    )


def target_of(label: int, state: WorldState) -> str:
    """An instance number above 0 and the state of its picture -> who that is."""
    if label >= OBJECT_BASE:
        return f"object:{label - OBJECT_BASE}"
    if label >= SIGNAL_BASE:
        return f"signal:{label - SIGNAL_BASE}"
    return f"agent:{int(state.agents.id[label - AGENT_BASE])}"


def measured(camera: Camera, view: View, lens: Lens, drawn: Drawn, buffers: Buffers) -> tuple[Int, Float]:
    """One rasterised view -> labels (N,) of what it could show, and (4, N): shown, alone, and both as areas."""
    label, runs = runs_of(drawn)
    count = int(drawn.filled[0])
    owner = np.append(drawn.items.label[drawn.owner[:count]], 0)  # -1 takes the last: nothing
    shown = np.bincount(owner[buffers.seen].reshape(-1), minlength=LABELS)[label]
    alone = np.zeros(len(label), np.int64)
    count_alone(drawn, view, lens, buffers, runs, np.full((view.height, view.width), -1, np.int64), alone)
    area_shown, area_alone = shown.astype(np.float64), alone.astype(np.float64)
    for n in np.flatnonzero(alone < SMALL_PX):
        box = drawn.box[slice(*runs[n])]
        if len(box):
            far = (box[:, 1::2] - box[:, ::2]).max(axis=1, keepdims=True) >= LARGE_PX  # may reach across the picture
            low, high = np.where(far, -np.inf, box[:, ::2]).min(axis=0), np.where(far, np.inf, box[:, 1::2]).max(axis=0)
            low, high = np.maximum(low, -0.5), np.minimum(high, [camera.width - 0.5, camera.height - 0.5])
            if (high > low).all():
                area_alone[n], area_shown[n] = _fine(lens, drawn, runs[n], low, high)
    return label, np.stack([shown.astype(np.float64), alone.astype(np.float64), area_shown, area_alone])


def runs_of(drawn: Drawn) -> tuple[Int, Int]:
    """What is drawn -> labels (N,) and the triangles (N, 2) from..to of each; the items of a label are neighbours."""
    items = int(drawn.filled[1])
    label = drawn.items.label[:items]
    edge = np.flatnonzero(np.diff(label, prepend=-1, append=-1))
    first, last = edge[:-1], edge[1:]
    keep = label[first] > 0
    runs = np.stack([drawn.first_tri[first[keep]], drawn.first_tri[last[keep]]], axis=-1)
    return label[first[keep]], runs


@kernel
def cover(
    ray: Single, edge: Single, plane: Single, x0: int, x1: int, y0: int, y1: int, who: int, mark: Int
) -> int:  # fmt: skip
    """Mark the pixels of a box that a triangle covers -> how many of them were not marked yet.

    The arithmetic is that of the rasteriser, so that a pixel in which a thing is seen always counts as covered.
    """
    ax, ay, az = np.float32(edge[0, 0]), np.float32(edge[0, 1]), np.float32(edge[0, 2])
    bx, by, bz = np.float32(edge[1, 0]), np.float32(edge[1, 1]), np.float32(edge[1, 2])
    cx, cy, cz = np.float32(edge[2, 0]), np.float32(edge[2, 1]), np.float32(edge[2, 2])
    px, py, pz = np.float32(plane[0]), np.float32(plane[1]), np.float32(plane[2])
    zero, new = np.float32(0.0), 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            u, v, w = ray[0, y, x], ray[1, y, x], ray[2, y, x]
            if ax * u + ay * v + az * w < zero or bx * u + by * v + bz * w < zero:
                continue
            if cx * u + cy * v + cz * w >= zero and px * u + py * v + pz * w > zero and mark[y, x] != who:
                mark[y, x] = who
                new += 1
    return new


@kernel
def count_alone(drawn: Drawn, view: View, lens: Lens, buffers: Buffers, runs: Int, mark: Int, alone: Int) -> None:
    """Rasterised triangles and runs of them (N, 2) -> `alone` (N,): pixels that each run covers, whatever is before."""
    width, height = view.width, view.height
    for n in range(len(runs)):
        for t in range(runs[n, 0], runs[n, 1]):
            if not buffers.drawn[t]:
                continue
            edge, plane = drawn.edge[t], drawn.plane[t]
            x0, x1, y0, y1 = drawn.box[t, 0], drawn.box[t, 1], drawn.box[t, 2], drawn.box[t, 3]
            if max(x1 - x0, y1 - y0) < LARGE_PX:
                ix0, ix1 = max(0, math.ceil(x0)), min(width, math.floor(x1) + 1)
                iy0, iy1 = max(0, math.ceil(y0)), min(height, math.floor(y1) + 1)
                alone[n] += cover(lens.ray, edge, plane, ix0, ix1, iy0, iy1, n, mark)
                continue
            for i in range(lens.tile.shape[0]):
                for j in range(lens.tile.shape[1]):
                    if not outside(edge, lens.tile[i, j]):
                        fx, fy = j * TILE_W, i * TILE_H
                        lx, ly = min(width, fx + TILE_W), min(height, fy + TILE_H)
                        alone[n] += cover(lens.ray, edge, plane, fx, lx, fy, ly, n, mark)


def _fine(lens: Lens, drawn: Drawn, run: Int, low: Float, high: Float) -> tuple[float, float]:
    """A run of triangles and its box in pixels -> the area that it covers, and that in which it is nearest."""
    size = high - low
    pitch = max(math.sqrt(size[0] * size[1] / SAMPLES), 1.0 / FINEST)
    columns, rows = (max(1, int(n)) for n in np.ceil(size / pitch))
    step = size / np.array([columns, rows])
    rays, nearest = np.empty((rows, columns, 3)), np.zeros((2, rows, columns))
    rays_between(lens.ray, low, step, rays)
    mean = rays.mean(axis=(0, 1))
    axis = mean / np.linalg.norm(mean)
    cosine = float((rays @ axis).min())  # the rays are of length 1, or a little less, which widens the cone
    cone = np.append(axis, math.sqrt(max(0.0, 1.0 - cosine * cosine)) + 1e-6)
    meet_rays(rays, cone, drawn, run, low, step, nearest)
    own = nearest[0] > 0.0
    pixel = float(step[0] * step[1])
    return pixel * int(own.sum()), pixel * int((own & (nearest[0] >= nearest[1])).sum())


@kernel
def rays_between(ray: Single, low: Float, step: Float, out: Float) -> None:
    """A grid of pixels with fractions -> rays (rows, columns, 3), linear between those of the lens' table."""
    for r in range(out.shape[0]):
        y = low[1] + (r + 0.5) * step[1]
        i = min(max(math.floor(y), 0), ray.shape[1] - 2)
        for c in range(out.shape[1]):
            x = low[0] + (c + 0.5) * step[0]
            j = min(max(math.floor(x), 0), ray.shape[2] - 2)
            u, v = x - j, y - i
            for k in range(3):
                top = (1.0 - u) * ray[k, i, j] + u * ray[k, i, j + 1]
                bottom = (1.0 - u) * ray[k, i + 1, j] + u * ray[k, i + 1, j + 1]
                out[r, c, k] = (1.0 - v) * top + v * bottom


@kernel
def meet_rays(
    rays: Float, cone: Float, drawn: Drawn, run: Int, low: Float, step: Float,
    nearest: Float,
) -> None:  # fmt: skip
    """A grid of rays, and their cone -> inverse distances (2, rows, columns): of the run's nearest, and of the rest's.

    Ray (r, c) is that of the pixel low + (c + 0.5, r + 0.5) * step.
    """
    rows, columns = rays.shape[0], rays.shape[1]
    right, bottom = low[0] + columns * step[0], low[1] + rows * step[1]
    for t in range(drawn.filled[0]):
        x0, x1, y0, y1 = drawn.box[t, 0], drawn.box[t, 1], drawn.box[t, 2], drawn.box[t, 3]
        if max(x1 - x0, y1 - y0) >= LARGE_PX:
            x0, x1, y0, y1 = -F(math.inf), F(math.inf), -F(math.inf), F(math.inf)
        if x1 < low[0] or x0 > right or y1 < low[1] or y0 > bottom or outside(drawn.edge[t], cone):
            continue
        c0, c1 = int((max(x0, low[0]) - low[0]) / step[0]), int((min(x1, right) - low[0]) / step[0]) + 1
        r0, r1 = int((max(y0, low[1]) - low[1]) / step[1]), int((min(y1, bottom) - low[1]) / step[1]) + 1
        e, p = drawn.edge[t], drawn.plane[t]
        side = 0 if run[0] <= t < run[1] else 1
        for r in range(r0, min(r1, rows)):
            for c in range(c0, min(c1, columns)):
                u, v, w = rays[r, c, 0], rays[r, c, 1], rays[r, c, 2]
                if e[0, 0] * u + e[0, 1] * v + e[0, 2] * w < 0.0 or e[1, 0] * u + e[1, 1] * v + e[1, 2] * w < 0.0:
                    continue
                if e[2, 0] * u + e[2, 1] * v + e[2, 2] * w >= 0.0:
                    nearest[side, r, c] = max(nearest[side, r, c], p[0] * u + p[1] * v + p[2] * w)
