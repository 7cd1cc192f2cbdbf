"""Bodies in the way -> the groups in which they are passed, and the offset on which one passes each.

Bodies that leave no room between them form a group, which is passed on one offset. The least offset that clears all of
them, on ground that may be driven, is taken; where it leads over another lane, that lane must be free for the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cordillera.policy.rule_bodies import Body
from cordillera.policy.rule_room import room_of, whose
from cordillera.policy.rule_scene import WALKERS, Scene

LOOK_M = 100.0
JOIN_M = 22.0  # bodies nearer to each other than this are passed together
GRID_M = 0.25
EDGE_M = 0.05  # between body and edge of the road
TIGHT_M = 6.0  # radius of the tightest bend of a move
AFTER_M = 0.8  # from a body to the rear bumper while the offset is held
PASS_MPS = 5.0  # faster than who is overtaken
OUT_M = 0.9  # so far from the path the car has begun to pass, and goes on


@dataclass(frozen=True)
class Group:
    """Bodies that are passed together: their interval of stations, as it will be then."""

    first: Body
    bodies: tuple[Body, ...]
    s0_m: float
    s1_m: float


@dataclass(frozen=True)
class Offer:
    """One offset for a group: the least distance left to the bodies, and over whose lanes the body would reach."""

    to_m: float
    gap_m: float
    eased: bool  # all keep their full margins
    lane: str  # "": its own, "along", "against"


# ---------------------------------------------------------------------- groups


def _needs(scene: Scene, body: Body) -> bool:
    """Whether a body is nearer to the path than it should be passed, or stands where a car that is out comes back."""
    half, own = 0.5 * scene.vehicle.width_m, scene.offset_m
    if abs(own) > OUT_M and body.speed_mps == 0.0 and body.s0_m < scene.front_m + max(tightest(own), 8.0):
        least = half + body.least_m
        if body.low_m < max(own, 0.0) + least and body.high_m > min(own, 0.0) - least:
            return True
    wide = 0.25 if scene.kind(body.row) not in WALKERS else 0.4
    margin = min(body.margin_m, wide) if body.speed_mps == 0.0 else body.margin_m
    return body.low_m < half + margin and body.high_m > -half - margin


def groups_of(scene: Scene, seen: list[Body]) -> Iterator[Group]:
    """Bodies by station -> those in the way, in groups."""
    got: list[Body] = []
    end = -math.inf
    for body in seen:
        if body.s0_m > scene.front_m + LOOK_M or body.s1_m < scene.station_m - scene.tail_m - AFTER_M:
            continue
        if not _needs(scene, body):
            continue
        if got and body.s0_m > end + JOIN_M:
            yield _group(scene, got)
            got = []
        got.append(body)
        end = max(end, body.s1_m) if len(got) > 1 else body.s1_m
    if got:
        yield _group(scene, got)


def _group(scene: Scene, got: list[Body]) -> Group:
    s0, s1 = min(b.s0_m for b in got), max(b.s1_m for b in got)
    speed = max(b.speed_mps for b in got)
    if speed > 0.0:
        pace = max(pass_speed(scene, got[0]) - speed, 1.5)
        s0 += speed * max(s0 - scene.front_m - 6.0, 0.0) / pace
        s1 += speed * max(s1 - scene.station_m + scene.tail_m + 2.0, 0.0) / pace
    return Group(got[0], tuple(got), s0, s1)


def first_of(scene: Scene, group: Group, count: int) -> Group:
    """A group -> the group of its first bodies by station."""
    return _group(scene, sorted(group.bodies, key=lambda body: (body.s0_m, body.row))[:count])


def pass_speed(scene: Scene, body: Body) -> float:
    allowed = float(scene.path.cap[scene.path.index(body.s0_m)])
    return min(allowed, body.speed_mps + PASS_MPS) if body.speed_mps > 0.0 else allowed


# ---------------------------------------------------------------------- offers


def whole(scene: Scene, group: Group, seen: list[Body]) -> tuple[Group, Offer | None]:
    """A group -> the same with the bodies that stand where the ego would come back, and the offset for all of them."""
    offer = best_offer(scene, group, seen)
    while offer is not None:
        half = 0.5 * scene.vehicle.width_m
        low, high = min(offer.to_m, 0.0) - half, max(offer.to_m, 0.0) + half
        back = group.s1_m + scene.tail_m + AFTER_M + max(tightest(offer.to_m), 8.0)
        after = [
            b for b in seen
            if group.s1_m < b.s1_m and group.s0_m < b.s0_m < back and b.speed_mps == 0.0 and b not in group.bodies
            and b.low_m < high + b.least_m and b.high_m > low - b.least_m
        ]  # fmt: skip
        if not after:
            break
        longer = replace(group, bodies=(*group.bodies, *after), s1_m=max(b.s1_m for b in after))
        other = best_offer(scene, longer, seen)
        if other is None:
            break
        group, offer = longer, other
    return group, offer


def best_offer(scene: Scene, group: Group, seen: list[Body]) -> Offer | None:
    """A group -> the offset on which to pass it, None if there is none."""
    room = room_of(scene.roads, scene.path)
    half = 0.5 * scene.vehicle.width_m
    left, right, lane_left, lane_right = room.span(scene.path, group.s0_m - 3.0, group.s1_m + 3.0)
    low, high = -(right - half - EDGE_M), left - half - EDGE_M
    near = [b for b in seen if b.s1_m > group.s0_m - scene.nose_m and b.s0_m < group.s1_m + scene.tail_m + 1.0]
    best, least = None, math.inf
    for to in GRID_M * np.arange(math.ceil(low / GRID_M), math.floor(high / GRID_M) + 1):
        to = float(to)
        gaps = [(max(b.low_m - to, to - b.high_m) - half, b) for b in near]
        if any(gap < b.least_m or _cut_off(scene, b, to) for gap, b in gaps):
            continue
        eased = all(gap >= b.margin_m for gap, b in gaps)
        short = sum(max(b.margin_m - gap, 0.0) for gap, b in gaps)
        lane = _over(scene, group, to, half, lane_left, lane_right)
        price = abs(to) + 4.0 * short + {"": 0.0, "along": 0.8, "against": 1.6}[lane]
        if scene.offset_m * to > 0.0 and abs(scene.offset_m) > 0.5:
            price -= 1.0
        if price < least:
            best, least = Offer(to, min((gap for gap, _ in gaps), default=math.inf), eased, lane), price
    return best


def _cut_off(scene: Scene, body: Body, to: float) -> bool:
    """Whether a body beside the ego's way stands between its offset and another, too near to cross over before it."""
    own, middle = scene.offset_m, 0.5 * (body.low_m + body.high_m)
    beside = max(body.low_m - own, own - body.high_m) > 0.5 * scene.vehicle.width_m
    between = (middle - own) * (middle - to) < 0.0
    return beside and between and body.s0_m - scene.front_m < 0.8 * tightest(to - own)


def _over(scene: Scene, group: Group, to: float, half: float, lane_left: float, lane_right: float) -> str:
    """Over whose lane the body reaches on an offset."""
    if to + half > lane_left + 0.1:
        inner, outer = lane_left + 0.3, to + half - 0.1
    elif -to + half > lane_right + 0.1:
        inner, outer = -lane_right - 0.3, to - half + 0.1
    else:
        return ""
    places = (group.s0_m, 0.5 * (group.s0_m + group.s1_m), group.s1_m)
    edges = {round(edge, 2) for edge in (inner, 0.5 * (inner + outer), outer) if abs(edge) <= abs(outer)} | {outer}
    ways = {whose(scene.roads, scene.path, s, edge) for s in places for edge in edges}
    return "against" if "against" in ways else "along" if "along" in ways else ""


def tightest(by_m: float) -> float:
    """The length of the shortest move by an offset."""
    return max(math.sqrt(5.77 * abs(by_m) * TIGHT_M), 3.0 * abs(by_m))
