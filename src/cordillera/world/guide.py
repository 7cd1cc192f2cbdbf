"""A route -> where the ego is on it, and what is left of it to drive: line, lanes and the next instruction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cordillera.geometry import arc_length, interpolate
from cordillera.types import Float, Int, Route
from cordillera.world.roads import Roads

BACK_M, AHEAD_M = 5.0, 30.0  # how far the ego may have come since the last look
SHOWN_M = 200.0  # of the route that is left


@dataclass(frozen=True, eq=False)
class Guide:
    """A route with its arc lengths, and the lane at each of its points."""

    roads: Roads
    route: Route
    s_m: Float  # (N,) horizontal arc length of the route's points
    step: Int  # (N,) index into `route.lanes`

    @classmethod
    def of(cls, roads: Roads, route: Route) -> Guide:
        """A route with lanes, in the world frame -> its guide; the same call gives the same object."""
        return _guide(roads, route)

    @property
    def length_m(self) -> float:
        return float(self.s_m[-1])

    def progress(self, x: float, y: float, before_m: float) -> float:
        """World point and the progress at the last look -> arc length of the nearest point of the route near there."""
        first = max(int(np.searchsorted(self.s_m, before_m - BACK_M)) - 1, 0)
        last = min(int(np.searchsorted(self.s_m, before_m + AHEAD_M)) + 1, len(self.s_m) - 1)
        a = self.route.xyz[first:last, :2]
        step = self.route.xyz[first + 1 : last + 1, :2] - a
        length2 = np.maximum(np.einsum("ij,ij->i", step, step), 1e-12)
        t = np.clip(np.einsum("ij,ij->i", np.array([x, y]) - a, step) / length2, 0.0, 1.0)
        gap = a + t[:, None] * step - (x, y)
        best = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        return float(self.s_m[first + best] + t[best] * math.sqrt(length2[best]))

    def ahead(self, progress_m: float) -> Route:
        """Progress -> the route from there on (up to 200 m of line, all lanes), with the next command."""
        first = int(np.searchsorted(self.s_m, progress_m, side="right"))
        last = int(np.searchsorted(self.s_m, progress_m + SHOWN_M)) + 1
        here = interpolate(self.route.xyz, [progress_m]) if first else self.route.xyz[:1]
        rest = self.route.xyz[first:last]
        if len(rest) and np.hypot(*(rest[0, :2] - here[0, :2])) < 0.2:
            rest = rest[1:]
        line = np.concatenate([here, rest])
        if len(line) < 2:  # at the very end: the last direction goes on
            line = np.concatenate([line, line + self.route.xyz[-1] - self.route.xyz[-2]])
        lanes = self.route.lanes[self.step[min(max(first - 1, 0), len(self.step) - 1)] :]
        s, _ = self.roads.project(lanes[0], float(here[0, 0]), float(here[0, 1]))
        end, _ = self.roads.project(lanes[-1], float(self.route.xyz[-1, 0]), float(self.route.xyz[-1, 1]))
        command, text = self.roads.instruction(lanes, s, end)
        return Route(line, command, text, "world", lanes)


@lru_cache(maxsize=16)
def _guide(roads: Roads, route: Route) -> Guide:
    xy = np.ascontiguousarray(route.xyz[:, :2])
    return Guide(roads, route, arc_length(xy), _steps(roads, route.lanes, xy))


def _steps(roads: Roads, lanes: tuple[int, ...], xy: Float) -> Int:
    """Route lanes and points -> which of the lanes each point is on, never going back."""
    out, k = np.zeros(len(xy), dtype=np.int64), 0
    for i, (x, y) in enumerate(xy):
        while k + 1 < len(lanes):
            s, lateral = roads.project(lanes[k], x, y)
            if lanes[k + 1] in roads.map.lanes[lanes[k]].successors:
                passed = s > roads.length(lanes[k]) - 0.05
            else:
                passed = abs(roads.project(lanes[k + 1], x, y)[1]) < abs(lateral)
            if not passed:
                break
            k += 1
        out[i] = k
    return out
