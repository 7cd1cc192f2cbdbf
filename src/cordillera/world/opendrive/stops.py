"""Where traffic waits: painted lines matched to the lanes that they stop, and lines implied where none is painted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cordillera.types import Crossing, Float, StopLine
from cordillera.world.opendrive.crossed import DrivenLines, point_on
from cordillera.world.opendrive.objects import Painted
from cordillera.world.opendrive.place import Site

BEFORE_JUNCTION_M = 30.0  # a painted line this far before a junction or nearer is meant for it
INTO_JUNCTION_M = 10.0  # and so is one this far behind the seam of the junction's lanes
ASTRAY_M = 15.0  # how far from a light or sign amid a road its painted line may lie
BEFORE_END_M = 0.3  # an implied line, before the end of the lane
BEFORE_CROSSING_M = 1.0
CROSSING_REACH_M = 20.0


@dataclass(eq=False)
class StopLines:
    """The stop lines of a map, growing as lights and signs ask for theirs."""

    site: Site
    driven: DrivenLines
    crossings: list[Crossing]
    lines: list[StopLine] = field(default_factory=list)
    on_lane: dict[int, list[tuple[float, int]]] = field(default_factory=dict)  # lane -> (arc length, painted line)
    implied: dict[tuple[int, int], int] = field(default_factory=dict)  # lane, decimetre -> line
    crossed: dict[int, list[float]] = field(default_factory=dict)  # lane -> where its crossings begin

    def __post_init__(self) -> None:
        for crossing in self.crossings:
            for lane, (low, _) in self.driven.under(self.site.lane_set, crossing.outline_xyz).items():
                self.crossed.setdefault(lane, []).append(low)

    def add_painted(self, painted: Painted, told: list[int] | None = None) -> None:
        """Add a painted line for the lanes told, else for those that it crosses shortly before or in a junction."""
        cuts = self.driven.cut_by(*_longer(painted.xyz))
        if told is not None:
            cuts = [(lane, s) for lane, s in cuts if lane in told]
        else:
            facing = self.site.runs_along(painted.element)
            lane_set = self.site.lane_set
            own = [(lane, s) for lane, s in cuts if lane_set.keys[lane][0] == painted.road.id]
            against = {lane for lane, _ in own if facing is not None and lane_set.forward[lane] != facing}
            cuts = [(lane, s) for lane, s in cuts if lane not in against]
            near = [(lane, s) for lane, s in cuts if self._is_entry(lane, s)]
            cuts = near or cuts
        if not cuts:
            self.site.source.notes.add("stop line across no lane", "left out", f"road {painted.road.id}")
            return
        for lane, s in cuts:
            self.on_lane.setdefault(lane, []).append((s, len(self.lines)))
        self.lines.append(StopLine(painted.id, painted.xyz, tuple(lane for lane, _ in cuts)))

    def _is_entry(self, lane: int, s: float) -> bool:
        """Whether a place on a lane lies shortly before a junction or just within it."""
        lanes = self.site.lane_set.lanes
        if lanes[lane].junction:
            return s <= INTO_JUNCTION_M and not any(lanes[i].junction for i in lanes[lane].predecessors)
        open_lanes, seen = [(lane, self.driven.length[lane] - s)], set()
        while open_lanes:
            at, gone = open_lanes.pop()
            if at in seen or gone > BEFORE_JUNCTION_M:
                continue
            seen.add(at)
            following = [i for i in lanes[at].successors if i in self.driven.length]
            if any(lanes[i].junction for i in following):
                return True
            open_lanes += [(i, gone + self.driven.length[i]) for i in following]
        return False

    def before_junction(self, approach: int, inside: tuple[int, ...]) -> int:
        """The line at the end of a lane that leads into a junction's lanes: painted near the seam, else implied."""
        length = self.driven.length[approach]
        lanes = self.site.lane_set.lanes
        painted = [
            (abs(length - s), line) for s, line in self.on_lane.get(approach, ()) if length - s < BEFORE_JUNCTION_M
        ]
        painted += [(s, line) for lane in inside for s, line in self.on_lane.get(lane, ()) if s < INTO_JUNCTION_M]
        if not painted and length < BEFORE_JUNCTION_M:
            for lane in lanes[approach].predecessors:
                reach = BEFORE_JUNCTION_M - length
                behind = ((self.driven.length[lane] - s, line) for s, line in self.on_lane.get(lane, ()))
                painted += [(gap, line) for gap, line in behind if gap < reach and not lanes[lane].junction]
        return min(painted)[1] if painted else self.implied_at(approach, length - BEFORE_END_M)

    def amid(self, lane: int, s: float) -> int:
        """The line for a light or sign that stands amid a road: painted nearby, else implied where it stands."""
        painted = [(abs(at - s), line) for at, line in self.on_lane.get(lane, ()) if abs(at - s) < ASTRAY_M]
        return min(painted)[1] if painted else self.implied_at(lane, s - BEFORE_END_M)

    def implied_at(self, lane: int, s: float) -> int:
        """A line across a lane at s, or before the crossing that lies there."""
        for low in sorted(self.crossed.get(lane, ()), reverse=True):
            if s - CROSSING_REACH_M < low <= s + BEFORE_CROSSING_M:
                s = low - BEFORE_CROSSING_M
        s = min(max(s, 0.2), self.driven.length[lane])
        key = (lane, round(10.0 * s))
        if key not in self.implied:
            left, _, right = point_on(self.site.lane_set, lane, s)
            self.implied[key] = len(self.lines)
            name = f"implied:{self.site.lane_set.lanes[lane].id}"
            self.lines.append(StopLine(name, np.stack([left, right]), (lane,)))
            self.site.source.notes.add("light or sign without a painted stop line", "a line implied across its lane")
        return self.implied[key]


def _longer(xyz: Float) -> tuple[Float, Float]:
    """The ends of a painted line, 10 cm farther out."""
    a, b = xyz
    step = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    return a - 0.1 * step, b + 0.1 * step
