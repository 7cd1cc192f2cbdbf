"""Which lanes for motor traffic a line or an outline lies across, and where along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cordillera.geometry import arc_length, points_in_polygon
from cordillera.types import Float, Int
from cordillera.world.opendrive.lanes import LaneSet
from cordillera.world.opendrive.model import DRIVEN

LEVEL_M = 2.5  # what lies farther above or below a lane is on another storey
PROBE_M = 0.5


@dataclass(frozen=True, eq=False)
class DrivenLines:
    """The centre lines of all lanes for motor traffic as one table of segments."""

    lane: Int  # (M,)
    start: Float  # (M, 3)
    end: Float  # (M, 3)
    along: Float  # (M,) arc length at each start
    length: dict[int, float]
    boxes: Float  # (L, 4) least and greatest x and y of each driven lane with its borders
    box_lane: Int  # (L,)

    @staticmethod
    def of(lane_set: LaneSet) -> DrivenLines:
        """The lanes -> the table."""
        rows = [(i, lane) for i, lane in enumerate(lane_set.lanes) if lane.kind in DRIVEN]
        along = {i: arc_length(lane.center_xyz) for i, lane in rows}
        empty = [np.zeros((0, 3))]
        corners = [np.concatenate([lane.left_xyz, lane.right_xyz])[:, :2] for _, lane in rows]
        return DrivenLines(
            lane=np.concatenate([np.full(len(lane.center_xyz) - 1, i) for i, lane in rows] or [np.zeros(0, np.int64)]),
            start=np.concatenate([lane.center_xyz[:-1] for _, lane in rows] or empty),
            end=np.concatenate([lane.center_xyz[1:] for _, lane in rows] or empty),
            along=np.concatenate([along[i][:-1] for i, _ in rows] or [np.zeros(0)]),
            length={i: float(line[-1]) for i, line in along.items()},
            boxes=np.array([(*c.min(axis=0), *c.max(axis=0)) for c in corners]).reshape(-1, 4),
            box_lane=np.array([i for i, _ in rows], dtype=np.int64),
        )

    def cut_by(self, a_xyz: Float, b_xyz: Float) -> list[tuple[int, float]]:
        """A segment -> the lanes whose centre line it cuts, with the arc length where it does."""
        d, e = (b_xyz - a_xyz)[:2], (self.end - self.start)[:, :2]
        offset = self.start[:, :2] - a_xyz[:2]
        cross = d[0] * e[:, 1] - d[1] * e[:, 0]
        safe = np.where(np.abs(cross) < 1e-12, 1.0, cross)
        on_line = (offset[:, 0] * e[:, 1] - offset[:, 1] * e[:, 0]) / safe
        on_lane = (offset[:, 0] * d[1] - offset[:, 1] * d[0]) / safe
        level = np.abs(self.start[:, 2] - 0.5 * (a_xyz[2] + b_xyz[2])) < LEVEL_M
        hit = (np.abs(cross) > 1e-12) & (on_line >= 0) & (on_line <= 1) & (on_lane >= 0) & (on_lane <= 1) & level
        length = np.hypot(e[:, 0], e[:, 1])
        found: dict[int, float] = {}
        for row in np.flatnonzero(hit):
            found.setdefault(int(self.lane[row]), float(self.along[row] + on_lane[row] * length[row]))
        return sorted(found.items())

    def under(self, lane_set: LaneSet, outline_xyz: Float) -> dict[int, tuple[float, float]]:
        """An outline (M, 3) -> the lanes that it overlaps, with the arc lengths where the overlap begins and ends."""
        low, high = outline_xyz[:, :2].min(axis=0), outline_xyz[:, :2].max(axis=0)
        near = (self.boxes[:, :2] <= high).all(axis=1) & (self.boxes[:, 2:] >= low).all(axis=1)
        out = {}
        for index in self.box_lane[near]:
            lane = lane_set.lanes[index]
            count = max(2, int(self.length[int(index)] / PROBE_M) + 2)
            knots = arc_length(lane.center_xyz)
            s = np.linspace(0.0, knots[-1], count)
            inside = np.zeros(count, dtype=bool)
            for line in (
                lane.center_xyz,
                0.9 * lane.left_xyz + 0.1 * lane.center_xyz,
                lane.right_xyz * 0.9 + 0.1 * lane.center_xyz,
            ):
                points = np.stack([np.interp(s, knots, line[:, d]) for d in range(3)], axis=-1)
                level = np.abs(points[:, 2] - outline_xyz[:, 2].mean()) < LEVEL_M
                inside |= points_in_polygon(points[:, :2], outline_xyz[:, :2]) & level
            if inside.any():
                first, last = np.flatnonzero(inside)[[0, -1]]
                out[int(index)] = (float(s[first]), float(s[last]))
        return out


def point_on(lane_set: LaneSet, lane: int, s: float) -> tuple[Float, Float, Float]:
    """A lane at arc length s -> its left border, centre and right border there, (3,) each."""
    value = lane_set.lanes[lane]
    knots = arc_length(value.center_xyz)
    left, center, right = (
        np.array([np.interp(s, knots, line[:, d]) for d in range(3)])
        for line in (value.left_xyz, value.center_xyz, value.right_xyz)
    )
    return left, center, right
