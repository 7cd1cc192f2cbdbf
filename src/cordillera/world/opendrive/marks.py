"""Road marks as written -> painted lines in the world, and whether a lane change may cross them."""

from __future__ import annotations

import numpy as np

from cordillera.types import RoadMark
from cordillera.world.opendrive.links import sections_of
from cordillera.world.opendrive.model import MarkSource, Network, Road, Section
from cordillera.world.opendrive.surface import border_lines

SHORTEST_M = 0.01
UNBROKEN = {"solid", "kerb", "edge", "grass"}


def build_marks(network: Network, stations: dict[tuple[str, int], np.ndarray]) -> list[RoadMark]:
    """The network and the stations of its sections -> marks, each over one lane's record (equal neighbours merged).

    A line runs so that a mark of two parts reads from its left to its right: along s at the centre and on the
    right side, against s on the left side, as the standard orders the parts from the inner to the outer.
    """
    marks: list[RoadMark] = []
    for road, index, section in sections_of(network):
        if (road.id, index) in stations and section.s1 - section.s0 >= SHORTEST_M:
            marks += _section_marks(road, section, stations[road.id, index])
    return marks


def _section_marks(road: Road, section: Section, stations: np.ndarray) -> list[RoadMark]:
    spans = {number: _spans(section, number) for number in section.lanes}
    cuts = [cut for found in spans.values() for low, high, _ in found for cut in (low, high)]
    if not cuts:
        return []
    s = np.unique(np.concatenate([stations, cuts]))
    borders = border_lines(road, section, s)
    out = []
    for number, found in spans.items():
        for low, high, mark in found:
            line = borders[number][1][(s >= low) & (s <= high)]
            if len(line) < 2:
                continue
            line = line[::-1] if number > 0 else line
            out.append(RoadMark(np.ascontiguousarray(line), mark.kind, mark.color, mark.width_m))
    return out


def _spans(section: Section, number: int) -> list[tuple[float, float, MarkSource]]:
    """A lane's painted records as (from, to, mark) within the section, equal ones that follow each other as one."""
    lane = section.lanes[number]
    out: list[tuple[float, float, MarkSource]] = []
    starts = [lane.s0 + mark.offset for mark in lane.marks] + [section.s1]
    for mark, low, high in zip(lane.marks, starts, starts[1:], strict=False):
        low, high = max(low, section.s0), min(high, section.s1)
        if high - low < SHORTEST_M or mark.kind == "none":
            continue
        look = (mark.kind, mark.color, mark.width_m)
        if out and out[-1][1] == low and (out[-1][2].kind, out[-1][2].color, out[-1][2].width_m) == look:
            out[-1] = (out[-1][0], high, mark)
        else:
            out.append((low, high, mark))
    return out


def may_cross(section: Section, number: int, target: int) -> bool:
    """Whether the marks between two lanes that lie side by side allow the change from one to the other, anywhere.

    The line between them belongs to the lane nearer the centre, or to the centre itself. `laneChange` decides;
    without it the line does: a solid one forbids, and of two parts the one nearer the vehicle counts.
    """
    owner = 0 if number * target < 0 else min(number, target, key=abs)
    between = section.lanes.get(owner)
    spans = []
    if between is not None:
        starts = [between.s0 + mark.offset for mark in between.marks] + [section.s1]
        spans = [
            mark
            for mark, low, high in zip(between.marks, starts, starts[1:], strict=False)
            if min(high, section.s1) - max(low, section.s0) >= SHORTEST_M
        ]
    return not spans or any(_allows(mark, owner, number, target) for mark in spans)


def _allows(mark: MarkSource, owner: int, number: int, target: int) -> bool:
    if mark.change in {"both", "none", "increase", "decrease"}:
        return mark.change == "both" or mark.change == ("increase" if target > number else "decrease")
    first, *rest = mark.kind.split(" ") if mark.kind != "botts dots" else ["dots"]
    outer = rest[0] if rest else first
    inside_first = (
        number == owner if owner else number > 0
    )  # the parts count from the inside, at the centre from the left
    return (first if inside_first else outer) not in UNBROKEN
