"""Lanes -> which driving lanes come near a place, found by their bounding boxes, so that large maps load quickly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cordillera.types import Float, Int, Lane, LaneKind


@dataclass(frozen=True, eq=False)
class Boxes:
    """The bounding boxes of a map's driving lanes, borders included."""

    index: Int  # (K,) lanes
    low: Float  # (K, 2)
    high: Float  # (K, 2)

    @classmethod
    def of(cls, lanes: list[Lane]) -> Boxes:
        """Lanes -> the boxes of those on which vehicles drive."""
        index = [i for i, lane in enumerate(lanes) if lane.kind in (LaneKind.DRIVING, LaneKind.BUS)]
        if not index:
            return cls(np.zeros(0, dtype=np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
        both = [np.concatenate([lanes[i].left_xyz, lanes[i].right_xyz, lanes[i].center_xyz])[:, :2] for i in index]
        low, high = np.stack([b.min(axis=0) for b in both]), np.stack([b.max(axis=0) for b in both])
        return cls(np.array(index, dtype=np.int64), low, high)

    def near(self, points: Float, margin_m: float) -> list[int]:
        """Points (N, 2 or 3) -> lanes whose boxes meet that of the points, widened by a margin."""
        low, high = points[:, :2].min(axis=0) - margin_m, points[:, :2].max(axis=0) + margin_m
        return self.index[((self.low <= high) & (low <= self.high)).all(axis=1)].tolist()
