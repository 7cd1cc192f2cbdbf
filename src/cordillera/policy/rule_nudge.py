"""What stands or crawls in the way -> how the expert goes around it: moves to the side, or a wait until it can.

Bodies that leave no room between them form a group, which is passed on one offset. The least offset that clears all of
them, on ground that may be driven, is taken; where it leads over another lane, that lane must be free for the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cordillera.policy.rule_bodies import Body, bodies, waits
from cordillera.policy.rule_room import room_of, whose
from cordillera.policy.rule_scene import WALKERS, Scene, fitting
from cordillera.policy.rule_speed import HALT, LIMIT, Constraint
from cordillera.policy.rule_way import Move
from cordillera.types import Cause, Lateral, LightState, Longitudinal

LOOK_M = 100.0
JOIN_M = 22.0  # bodies nearer to each other than this are passed together
GRID_M = 0.25
EDGE_M = 0.05  # between body and edge of the road
SIDE_MPS2, SIDE_MAX_MPS2 = 1.6, 2.2  # of a move to the side
TIGHT_M = 6.0  # radius of the tightest bend of a move
BEFORE_M, AFTER_M = 0.6, 0.8  # between bumpers and a body while the offset is held
STOP_M = 0.8
WAIT_ROOM = 1.35  # times the shortest move out, where one waits for a gap
UNDER_WAY_RAD = 0.08
PASS_MPS = 5.0  # faster than who is overtaken
ASIDE_MPS = 9.0  # on the lane of those who come the other way
ONCOMING_GAP_M, BESIDE_GAP_M = 8.0, 3.0
ONCOMING_MPS = 6.0  # the least speed that is expected of them
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


@dataclass(frozen=True, eq=False)
class Nudge:
    """Moves to the side with what they ask of the speed, and what they are called."""

    moves: tuple[Move, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    lateral: Lateral = Lateral.LANE_KEEPING
    cause: Cause | None = None
    side: str = ""


def nudge_of(scene: Scene) -> Nudge:
    """A scene -> what to do about the bodies in the way ahead."""
    seen = bodies(scene)
    moves: list[Move] = []
    limits: list[Constraint] = []
    named: tuple[Lateral, Cause | None, str] = (Lateral.LANE_KEEPING, None, "")
    for group in _groups(scene, seen):
        if waits(scene, group.first) or _red_before(scene, group.s1_m + 10.0):
            break
        group, offer = _whole(scene, group, seen)
        plan = _moves(scene, group, offer, moves) if offer else None
        if offer is None or plan is None:
            break
        held = tuple(_held(scene, group, offer, plan))
        if held:
            limits += held
            break
        moves = [*moves, *plan]
        limits += _paced(scene, group, offer, plan)
        if named[1] is None:
            named = _named(scene, group, offer)
    return Nudge(tuple(moves), tuple(limits), *named)


# ---------------------------------------------------------------------- groups


def _needs(scene: Scene, body: Body) -> bool:
    """Whether a body is nearer to the path than it should be passed, or stands where a car that is out comes back."""
    half, own = 0.5 * scene.vehicle.width_m, scene.offset_m
    if abs(own) > OUT_M and body.speed_mps == 0.0 and body.s0_m < scene.front_m + max(_tightest(own), 8.0):
        least = half + body.least_m
        if body.low_m < max(own, 0.0) + least and body.high_m > min(own, 0.0) - least:
            return True
    wide = 0.25 if scene.kind(body.row) not in WALKERS else 0.4
    margin = min(body.margin_m, wide) if body.speed_mps == 0.0 else body.margin_m
    return body.low_m < half + margin and body.high_m > -half - margin


def _groups(scene: Scene, seen: list[Body]) -> Iterator[Group]:
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
        pace = max(_pass_speed(scene, got[0]) - speed, 1.5)
        s0 += speed * max(s0 - scene.front_m - 6.0, 0.0) / pace
        s1 += speed * max(s1 - scene.station_m + scene.tail_m + 2.0, 0.0) / pace
    return Group(got[0], tuple(got), s0, s1)


def _pass_speed(scene: Scene, body: Body) -> float:
    allowed = float(scene.path.cap[scene.path.index(body.s0_m)])
    return min(allowed, body.speed_mps + PASS_MPS) if body.speed_mps > 0.0 else allowed


def _red_before(scene: Scene, station_m: float) -> bool:
    """Whether a light that is not green stands between the ego and a station."""
    go = (LightState.GREEN, LightState.OFF, LightState.FLASHING_AMBER, LightState.FLASHING_RED)
    return any(
        scene.front_m - 1.0 < line.s_m < station_m and int(scene.state.signals[line.signal]) not in go
        for line in scene.path.lines
        if line.kind == "traffic_light"
    )


# ---------------------------------------------------------------------- offers


def _whole(scene: Scene, group: Group, seen: list[Body]) -> tuple[Group, Offer | None]:
    """A group -> the same with the bodies that stand where the ego would come back, and the offset for all of them."""
    offer = _best(scene, group, seen)
    while offer is not None:
        half = 0.5 * scene.vehicle.width_m
        low, high = min(offer.to_m, 0.0) - half, max(offer.to_m, 0.0) + half
        back = group.s1_m + scene.tail_m + AFTER_M + max(_tightest(offer.to_m), 8.0)
        after = [
            b for b in seen
            if group.s1_m < b.s1_m and group.s0_m < b.s0_m < back and b.speed_mps == 0.0 and b not in group.bodies
            and b.low_m < high + b.least_m and b.high_m > low - b.least_m
        ]  # fmt: skip
        if not after:
            break
        longer = replace(group, bodies=(*group.bodies, *after), s1_m=max(b.s1_m for b in after))
        other = _best(scene, longer, seen)
        if other is None:
            break
        group, offer = longer, other
    return group, offer


def _best(scene: Scene, group: Group, seen: list[Body]) -> Offer | None:
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
    return beside and between and body.s0_m - scene.front_m < 0.8 * _tightest(to - own)


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


def _moves(scene: Scene, group: Group, offer: Offer, before: list[Move]) -> tuple[Move, Move] | None:
    """Out to the offset and back, by stations of the rear axle; None where there is no room left for the move out."""
    start = before[-1].s1_m if before else -math.inf
    back_from = before[-2].to_m if before else 0.0
    pace = min(_pass_speed(scene, group.first), _pace(offer, group))
    by = max(abs(offer.to_m - back_from) if start > group.s0_m - 60.0 else abs(offer.to_m), 0.2)
    length = min(max(pace * math.sqrt(5.77 * by / SIDE_MPS2), _tightest(by), 8.0), 40.0)
    if offer.lane == "against":
        length = max(1.2 * _tightest(by), 8.0)  # late, when those who come are seen
    s1 = group.s0_m - scene.nose_m - BEFORE_M
    s2 = group.s1_m + scene.tail_m + AFTER_M
    left = abs(offer.to_m - scene.offset_m)
    if left > 0.3 and scene.station_m < s2:
        avail = _unshifted(scene, group) - scene.nose_m - BEFORE_M - scene.station_m
        if avail < 0.8 * _still(scene, offer.to_m):
            return None
        if s1 < scene.station_m + avail:
            s1 = max(s1, scene.station_m + min(avail, max(_tightest(left), 2.0 * scene.speed_mps)))
    back = min(max(pace * math.sqrt(5.77 * abs(offer.to_m) / SIDE_MPS2), _tightest(offer.to_m), 8.0), 35.0)
    return Move(max(s1 - length, start), s1, offer.to_m), Move(s2, s2 + back, 0.0)


def _unshifted(scene: Scene, group: Group) -> float:
    """Where the first body of a group begins that would be struck on the ego's present offset."""
    half, own = 0.5 * scene.vehicle.width_m, scene.offset_m
    met = [b.s0_m for b in group.bodies if max(b.low_m - own, own - b.high_m) - half < b.least_m]
    return max(min(met), group.s0_m) if met else group.s1_m


def _tightest(by_m: float) -> float:
    """The length of the shortest move by an offset."""
    return max(math.sqrt(5.77 * abs(by_m) * TIGHT_M), 3.0 * abs(by_m))


def _still(scene: Scene, to_m: float) -> float:
    """The length that the ego still needs to an offset: less where it heads there already."""
    by, turn = to_m - scene.offset_m, scene.heading_rad
    needed = _tightest(by)
    if by * turn > 0.0 and abs(turn) > UNDER_WAY_RAD:
        arc = min(TIGHT_M * (1.0 - math.cos(turn)), abs(by))
        needed = min(needed, TIGHT_M * math.sin(abs(turn)) + (abs(by) - arc) / math.tan(abs(turn)))
    return needed


# ----------------------------------------------------------------------- speed


def _pace(offer: Offer, group: Group) -> float:
    """How fast a group is passed: at walking pace where it is tight."""
    people = 0.0 if group.first.margin_m < 1.0 else 0.4
    pace = 3.0 + 9.0 * max(offer.gap_m - people, 0.0)
    return min(pace, ASIDE_MPS) if offer.lane == "against" else pace


def _paced(scene: Scene, group: Group, offer: Offer, plan: tuple[Move, Move]) -> Iterator[Constraint]:
    """The limits of speed that go with passing a group."""
    pace = max(_pace(offer, group), group.first.speed_mps + 2.5)
    cause = _cause(scene, group, scene.t_us)
    yield Constraint(
        LIMIT, group.s0_m - 4.0, cause, Longitudinal.SPEED_ADAPTATION, pace, end_m=group.s1_m + scene.tail_m
    )
    out = plan[0]
    left, avail = abs(offer.to_m - scene.offset_m), out.s1_m - max(scene.station_m, out.s0_m)
    if left > 0.4 and avail > 0.0:
        yield Constraint(
            LIMIT, max(out.s0_m + scene.nose_m, scene.front_m), cause, Longitudinal.SPEED_ADAPTATION,
            max(avail / math.sqrt(5.77 * left / SIDE_MAX_MPS2), 2.0), end_m=out.s1_m,
        )  # fmt: skip


def _held(scene: Scene, group: Group, offer: Offer, plan: tuple[Move, Move]) -> Iterator[Constraint]:
    """What forbids to pass a group now -> a halt before it, with room to get out again."""
    if not offer.lane:
        return
    gone = offer.to_m * scene.offset_m > 0.0 and abs(scene.offset_m) > OUT_M
    blocker = _oncoming(scene, group, offer, plan, gone) if offer.lane == "against" else _beside(scene, plan, offer)
    if blocker is None or (gone and offer.lane == "along"):
        return
    row = int(scene.rows[blocker])
    place = group.s0_m - STOP_M - WAIT_ROOM * _tightest(offer.to_m)
    if offer.lane == "against":
        kind, relation, decision = "oncoming vehicle", "coming the other way", Longitudinal.YIELD
    else:
        side = "left" if offer.to_m > 0.0 else "right"
        kind, relation, decision = "adjacent vehicle", f"beside the gap in the {side} lane", Longitudinal.GAP_SEARCH
    cause = Cause(kind, scene.target(row), relation, scene.t_us, abs(float(scene.s_m[blocker]) - scene.front_m))
    if place < scene.front_m - 1.0:
        place = max(place, min(scene.front_m + 0.3, group.s0_m - 1.5))
    yield Constraint(HALT, place, cause, decision)


def _oncoming(scene: Scene, group: Group, offer: Offer, plan: tuple[Move, Move], gone: bool) -> int | None:
    """The near agent that comes the other way before the ego would be back on its lane."""
    back = plan[1].s0_m + 0.6 * (plan[1].s1_m - plan[1].s0_m) + scene.nose_m
    pace = max(min(_pass_speed(scene, group.first), _pace(offer, group)), group.first.speed_mps + 2.5)
    needed = _time(back - scene.front_m, scene.speed_mps, pace)
    half = 0.5 * scene.vehicle.width_m + 0.3
    low, high = min(offer.to_m, 0.0) - half, max(offer.to_m, 0.0) + half
    low = high - 2.0 * half if offer.to_m > 0.0 else low
    high = high if offer.to_m > 0.0 else low + 2.0 * half
    slack = 0.6 if gone else 1.0
    for i, row in enumerate(scene.rows):
        speed = float(scene.agents.speed_mps[row])
        if abs(scene.turn_rad[i]) < 2.0 or scene.kind(int(row)) >= 64 or scene.kind(int(row)) in WALKERS:
            continue
        side, across = float(scene.side_m[i]), float(scene.reach_m[i, 1])
        nose = float(scene.s_m[i] - scene.reach_m[i, 0])
        if side - across > high + 0.5 or side + across < low - 0.5 or nose < scene.front_m - 2.0:
            continue
        if speed < 0.3:
            if nose < back + 3.0 and (scene.scripted[i] or nose > group.s1_m):
                return i
            continue
        if nose - max(speed, ONCOMING_MPS) * needed * slack < back + ONCOMING_GAP_M * slack:
            return i
    return None


def _beside(scene: Scene, plan: tuple[Move, Move], offer: Offer) -> int | None:
    """The near agent on the neighbour lane that leaves no gap for the ego to move over."""
    half = 0.5 * scene.vehicle.width_m + 0.2
    due = max(plan[0].s0_m - scene.station_m, 0.0) / max(scene.speed_mps, 2.0)
    if due > 4.0:
        return None
    for i, row in enumerate(scene.rows):
        side, across = float(scene.side_m[i]), float(scene.reach_m[i, 1])
        over = abs(side - offer.to_m) < across + half and abs(side) - across > half - 0.3
        if not over or abs(scene.turn_rad[i]) > 1.0 or scene.kind(int(row)) >= 64:
            continue
        speed, own = float(scene.agents.speed_mps[row]), scene.speed_mps
        apart = float(scene.s_m[i]) - scene.station_m - scene.vehicle.rear_axle_to_center_m
        room = 0.5 * scene.vehicle.length_m + float(scene.reach_m[i, 0]) + BESIDE_GAP_M
        for t in (0.0, 1.5, 3.0):
            then = apart + (speed - own) * t
            if abs(then) < room + (0.2 * own if apart > 0.0 else 0.5 * speed):
                return i
    return None


def _time(distance_m: float, speed: float, top: float) -> float:
    """How long a distance takes when one speeds up from `speed` to `top` at 1.4 m/s2."""
    a = 1.4
    top = max(top, speed, 1.0)
    span = (top * top - speed * speed) / (2.0 * a)
    if span >= distance_m:
        return (math.sqrt(speed * speed + 2.0 * a * max(distance_m, 0.0)) - speed) / a
    return (top - speed) / a + (distance_m - span) / top


def _cause(scene: Scene, group: Group, t_us: int) -> Cause:
    body = group.first
    half = 0.5 * scene.vehicle.width_m
    middle = 0.5 * (body.low_m + body.high_m)
    covers = body.low_m < half - 0.6 and body.high_m > -half + 0.6
    relation = (
        "blocking the ego lane" if covers else f"narrowing the ego lane from the {'left' if middle > 0.0 else 'right'}"
    )
    name = scene.name(body.row)
    if body.speed_mps > 0.0:
        relation = "slower ahead"
    elif scene.kind(body.row) in WALKERS and not covers:
        relation = f"beside the ego lane on the {'left' if middle > 0.0 else 'right'}"
    elif name in ("car", "van", "truck", "bus"):
        relation = "stopped ahead" if covers else relation
    return Cause(name, scene.target(body.row), fitting(name, relation), t_us, body.s0_m - scene.front_m)


def _named(scene: Scene, group: Group, offer: Offer) -> tuple[Lateral, Cause | None, str]:
    """What passing a group is called, once it is near."""
    if group.s0_m - scene.front_m > max(3.5 * scene.speed_mps, 15.0) or abs(offer.to_m) < 0.2:
        return Lateral.LANE_KEEPING, None, ""
    lateral = Lateral.OUT_OF_LANE_NUDGE if offer.lane else Lateral.IN_LANE_NUDGE
    if offer.lane == "along" and abs(offer.to_m) > 2.2:
        lateral = Lateral.LANE_CHANGE
    cause = _cause(scene, group, scene.t_us)
    cause = Cause(cause.kind, cause.target, cause.relation, cause.evidence_t_us, cause.distance_m, "lateral")
    return lateral, cause, "left" if offer.to_m > 0.0 else "right"
