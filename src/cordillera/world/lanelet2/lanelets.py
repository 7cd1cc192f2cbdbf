"""Relations of type lanelet -> lanelets: two borders that run along, who may pass, which rules hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cordillera.geometry import arc_length
from cordillera.types import Float, LaneKind
from cordillera.world.lanelet2.osm import Osm, Relation
from cordillera.world.lanelet2.points import Points
from cordillera.world.lanelet2.tables import KINDS, against_of, kind_of, participants_of

ONE_LINE = tuple[str, bool]  # way id, and whether it is read backwards
SHORTEST_M = 1e-3
LONGEST_M = 5000.0  # between two points of a border; more is a misplaced node


@dataclass(frozen=True)
class Border:
    """One side of a lanelet, in its direction of travel."""

    ways: tuple[ONE_LINE, ...]
    nodes: tuple[str, ...]

    def reversed(self) -> Border:
        return Border(tuple((way, not back) for way, back in self.ways[::-1]), self.nodes[::-1])


@dataclass(frozen=True)
class Lanelet:
    """A lanelet as the file means it, borders put in order."""

    id: str
    left: Border
    right: Border
    center: tuple[str, ...]  # nodes of a written centre line, () where there is none
    tags: dict[str, str]
    rules: tuple[str, ...]  # ids of regulatory elements
    kind: LaneKind
    forward: frozenset[str]  # who may pass along it
    backward: frozenset[str]  # and against it

    @property
    def is_crosswalk(self) -> bool:
        return self.tags.get("subtype") == "crosswalk"


def read_lanelets(osm: Osm, points: Points) -> dict[str, Lanelet]:
    """A file and its points -> its lanelets by id; Lanelet2Error where it has none that can be used."""
    relations = [r for r in osm.relations.values() if r.tags.get("type") == "lanelet"]
    if not relations:
        raise osm.broken("", "no relation of type lanelet", "Give a Lanelet2 map; plain OpenStreetMap has no lanes.")
    found: dict[str, Lanelet] = {}
    faults: list[str] = []
    for relation in relations:
        sides = [_border(osm, points, relation, role) for role in ("left", "right")]
        for side, role in zip(sides, ("left", "right"), strict=True):
            if isinstance(side, str):
                faults.append(f"lanelet {relation.id}: {role} border {side}")
        left, right = sides
        if isinstance(left, str) or isinstance(right, str):
            osm.notes.add(f"lanelet {faults[-1].partition(': ')[2]}", "lanelet left out", f"lanelet {relation.id}")
            continue
        lanelet = _lanelet(osm, points, relation, left, right)
        if _length(points, lanelet) < SHORTEST_M:
            faults.append(f"lanelet {relation.id}: borders leave no length between their ends")
            osm.notes.add("lanelet without length", "lanelet left out", f"lanelet {relation.id}")
            continue
        found[relation.id] = lanelet
    if not found:
        place, _, defect = faults[0].partition(": ")
        raise osm.broken(place, f"{defect}, and no other lanelet can be used", "Add the missing ways or nodes.")
    return found


def _length(points: Points, lanelet: Lanelet) -> float:
    """The length of the longer border, or 0 where lines of two points have their middles in one place."""
    left, right = points.line(lanelet.left.nodes), points.line(lanelet.right.nodes)
    middles = 0.5 * (left[[0, -1]] + right[[0, -1]])
    if max(len(left), len(right)) == 2:
        return float(np.hypot(*(middles[1] - middles[0])[:2]))
    return max(float(arc_length(line[:, :2])[-1]) for line in (left, right))


def _lanelet(osm: Osm, points: Points, relation: Relation, left: Border, right: Border) -> Lanelet:
    left, right = _aligned(points, left, right)
    tags = relation.tags
    subtype = tags.get("subtype", "")
    if "subtype" not in tags:
        osm.notes.add("lanelet lacks subtype", "a road for vehicles taken", f"lanelet {relation.id}")
    elif subtype not in KINDS:
        osm.notes.add(f"lanelet of unknown subtype {subtype!r}", "kept by who may pass", f"lanelet {relation.id}")
    participants = participants_of(tags)
    center = relation.refs("centerline", "way")
    nodes = osm.ways[center[0]].nodes if center and center[0] in osm.ways else ()
    return Lanelet(
        id=relation.id,
        left=left,
        right=right,
        center=tuple(i for i in nodes if i in points.row),
        tags=tags,
        rules=relation.refs("regulatory_element", "relation"),
        kind=kind_of(subtype, participants),
        forward=participants,
        backward=against_of(tags, participants),
    )


# --------------------------------------------------------------------- borders


def _border(osm: Osm, points: Points, relation: Relation, role: str) -> Border | str:
    """One side of a lanelet: its ways chained into one line, or what is wrong with it, in words."""
    refs = relation.refs(role, "way")
    lines = []
    for ref in refs:
        nodes = tuple(i for i in osm.ways[ref].nodes if i in points.row) if ref in osm.ways else ()
        if ref in osm.ways and len(nodes) < len(osm.ways[ref].nodes):
            osm.notes.add("way refers to nodes that are not there", "they were left out", f"way {ref}")
        if nodes:
            lines.append(((ref, False), nodes))
    if not refs:
        return "is missing"
    if not lines:
        return "refers to a way that is not there"
    ways, nodes = (lines[0][0],), lines[0][1]
    for (ref, _), more in lines[1:]:
        if len(ways) == 1 and nodes[-1] not in (more[0], more[-1]) and nodes[0] in (more[0], more[-1]):
            ways, nodes = ((ways[0][0], True),), nodes[::-1]
        back = more[-1] == nodes[-1]
        ways, nodes = (*ways, (ref, back)), (*nodes, *(more[::-1] if back else more)[1:])
    if len(lines) > 1:
        osm.notes.add("border of several ways", "they were joined", f"lanelet {relation.id}")
    line = points.line(nodes)
    if len(line) < 2:
        return "has fewer than two different points"
    if np.hypot(*np.diff(line[:, :2], axis=0).T).max() > LONGEST_M:
        return f"leaps by more than {LONGEST_M / 1000.0:.0f} km between two points"
    return Border(ways, nodes)


def _aligned(points: Points, left: Border, right: Border) -> tuple[Border, Border]:
    """Two borders in any order of points -> both in the direction of travel, each on its side of the other."""
    left_xy, right_xy = points.line(left.nodes)[:, :2], points.line(right.nodes)[:, :2]
    if _side_of(left_xy, _middle(right_xy)) >= 0.0:
        left, left_xy = left.reversed(), left_xy[::-1]
    if _side_of(right_xy, _middle(left_xy)) <= 0.0:
        right = right.reversed()
    return left, right


def _middle(line: Float) -> Float:
    return line[len(line) // 2] if len(line) > 2 else 0.5 * (line[0] + line[-1])


def _side_of(line: Float, point: Float) -> float:
    """Polyline (N, 2) and a point -> positive on its left, negative on its right.

    Where the nearest place is a corner, the corner's mean direction decides, since either segment alone may lie.
    """
    step = np.diff(line, axis=0)
    length = np.maximum(np.linalg.norm(step, axis=1), 1e-12)
    t = np.clip(np.einsum("ij,ij->i", point - line[:-1], step) / length**2, 0.0, 1.0)
    foot = line[:-1] + t[:, None] * step
    gap = np.linalg.norm(point - foot, axis=1)
    best = int(np.argmin(gap))
    ahead = step[best] / length[best]
    if t[best] == 0.0 and best > 0:
        ahead = ahead + step[best - 1] / length[best - 1]
    elif t[best] == 1.0 and best + 1 < len(step):
        ahead = ahead + step[best + 1] / length[best + 1]
    away = point - foot[best]
    return float(ahead[0] * away[1] - ahead[1] * away[0])
