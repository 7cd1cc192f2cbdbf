"""Lanes -> which of them lie in a junction, and in which.

Lanelet2 has no junctions. Autoware's maps name them by an `intersection_area` or at least tag turning lanelets with
`turn_direction`; elsewhere they show in the lanes' shape: lanes cross each other, or part and meet again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cordillera.types import Lane
from cordillera.world.lanelet2.lanes import CHANGEABLE, Course
from cordillera.world.topology import Meeting, meetings, turn_of

LONGEST_M = 120.0  # longer lanes are roads, whatever they cross


def with_junctions(lanes: list[Lane], courses: list[Course]) -> list[Lane]:
    """Lanes and their courses -> the lanes with `junction` filled in: an area's id, else a lanelet's of the cluster."""
    areas = [course.lanelet.tags.get("intersection_area", "") for course in courses]
    tagged = [bool(areas[i] or course.lanelet.tags.get("turn_direction")) for i, course in enumerate(courses)]
    found = [m for m in meetings(tuple(lanes), CHANGEABLE) if not _is_twin(courses, m)]
    inside = _inside(lanes, tagged, found)
    parent = list(range(len(lanes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    by_area: dict[str, int] = {}
    for i in sorted(inside):
        if areas[i]:
            parent[root(i)] = root(by_area.setdefault(areas[i], i))
    for meeting in found:
        a, b = meeting.lanes
        if a in inside and b in inside and (not areas[a] or not areas[b]):
            parent[root(a)] = root(b)
    names: dict[int, str] = {}
    for i in sorted(inside, key=lambda i: (not areas[i], i)):
        names.setdefault(root(i), areas[i] or courses[i].lanelet.id)
    return [replace(lane, junction=names[root(i)]) if i in inside else lane for i, lane in enumerate(lanes)]


def _is_twin(courses: list[Course], meeting: Meeting) -> bool:
    a, b = meeting.lanes
    return courses[a].lanelet is courses[b].lanelet


def _inside(lanes: list[Lane], tagged: list[bool], found: list[Meeting]) -> set[int]:
    """The lanes that lie in junctions: tagged ones, else those that cross others, and turns that part or meet."""
    inside = {i for i, is_tagged in enumerate(tagged) if is_tagged}
    whole = any(tagged)  # a map with tags has tagged all of its junctions
    if whole:
        return inside
    for meeting in found:
        for i in meeting.lanes:
            short = _length(lanes[i]) < LONGEST_M
            if short and (meeting.kind == "cross" or turn_of(lanes[i]) != "straight"):
                inside.add(i)
    for meeting in found:  # the straight lanes that part from a turn, or meet one, belong to the same junction
        a, b = meeting.lanes
        if meeting.kind != "cross" and (a in inside) != (b in inside):
            inside |= {i for i in (a, b) if _length(lanes[i]) < LONGEST_M / 3.0}
    return inside


def _length(lane: Lane) -> float:
    step = lane.center_xyz[1:, :2] - lane.center_xyz[:-1, :2]
    return float(np.hypot(step[:, 0], step[:, 1]).sum())
