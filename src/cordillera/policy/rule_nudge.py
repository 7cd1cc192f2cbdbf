"""What stands or crawls in the way -> how the expert goes around it: moves to the side, or a wait until it can."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cordillera.policy.rule_aside import Nudge, evading, making_way
from cordillera.policy.rule_bodies import Body, bodies, waits
from cordillera.policy.rule_groups import (
    AFTER_M,
    OUT_M,
    TIGHT_M,
    Group,
    Offer,
    best_offer,
    first_of,
    groups_of,
    pass_speed,
    tightest,
    whole,
)
from cordillera.policy.rule_scene import WALKERS, Scene, fitting
from cordillera.policy.rule_speed import HALT, LIMIT, Constraint
from cordillera.policy.rule_way import Move
from cordillera.types import Cause, Lateral, LightState, Longitudinal

SIDE_MPS2, SIDE_MAX_MPS2 = 1.6, 2.2  # of a move to the side
GAIN_MPS2 = 1.4  # with which the ego gains speed as it passes
BEFORE_M = 0.6  # from the front bumper to a body while the offset is held
STOP_M = 0.8
TOUCH_M = 0.1  # from a body that the ego moves away from
WAIT_ROOM = 1.35  # times the shortest move out, where one waits for a gap
UNDER_WAY_RAD = 0.08
ASIDE_MPS = 9.0  # on the lane of those who come the other way
ONCOMING_GAP_M, BESIDE_GAP_M = 8.0, 3.0
THEIR_BRAKE_MPS2 = 4.5  # with which those who come can brake for one who is beside the obstacle already
ONCOMING_MPS = 6.0  # the least speed that is expected of them


def nudge_of(scene: Scene) -> Nudge:
    """A scene -> what to do about the bodies in the way ahead."""
    aside = evading(scene)
    if aside is not None:
        return aside
    seen = bodies(scene)
    moves: list[Move] = []
    limits: list[Constraint] = []
    named: tuple[Lateral, Cause | None, str] = (Lateral.LANE_KEEPING, None, "")
    for group in groups_of(scene, seen):
        if waits(scene, group.first) or _red_before(scene, group.s1_m + 10.0):
            break
        group, offer = whole(scene, group, seen)
        plan = _moves(scene, group, offer, moves) if offer else None
        short = offer is None or plan is None
        if short:
            group, offer, plan = _nearer(scene, group, seen, moves)
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
        if short:
            break
    if not moves and not limits:
        return making_way(scene) or Nudge()
    return Nudge(tuple(moves), tuple(limits), *named)


def _nearer(
    scene: Scene, group: Group, seen: list[Body], before: list[Move]
) -> tuple[Group, Offer | None, tuple[Move, Move] | None]:
    """A group that cannot be passed as a whole -> as many of its first bodies as can, with the offset and the moves.

    So a door that opens ahead, and asks for more room, does not undo the way past the cars before it.
    """
    for count in range(len(group.bodies) - 1, 0, -1):
        part = first_of(scene, group, count)
        offer = best_offer(scene, part, seen)
        plan = _moves(scene, part, offer, before) if offer else None
        if plan is not None:
            return part, offer, plan
    return group, None, None


def _red_before(scene: Scene, station_m: float) -> bool:
    """Whether a light that is not green stands between the ego and a station."""
    go = (LightState.GREEN, LightState.OFF, LightState.FLASHING_AMBER, LightState.FLASHING_RED)
    return any(
        scene.front_m - 1.0 < line.s_m < station_m and int(scene.state.signals[line.signal]) not in go
        for line in scene.path.lines
        if line.kind == "traffic_light"
    )


def _moves(scene: Scene, group: Group, offer: Offer, before: list[Move]) -> tuple[Move, Move] | None:
    """Out to the offset and back, by stations of the rear axle; None where there is no room left for the move out."""
    start = before[-1].s1_m if before else -math.inf
    back_from = before[-2].to_m if before else 0.0
    pace = min(pass_speed(scene, group.first), _pace(offer, group))
    by = max(abs(offer.to_m - back_from) if start > group.s0_m - 60.0 else abs(offer.to_m), 0.2)
    length = min(max(pace * math.sqrt(5.77 * by / SIDE_MPS2), tightest(by), 8.0), 40.0)
    if offer.lane == "against":
        length = max(1.2 * tightest(by), 8.0)  # late, when those who come are seen
    s1 = group.s0_m - scene.nose_m - BEFORE_M
    s2 = group.s1_m + scene.tail_m + AFTER_M
    left = abs(offer.to_m - scene.offset_m)
    if left > 0.3 and scene.station_m < s2:
        avail = _unshifted(scene, group, offer.to_m) - scene.nose_m - BEFORE_M - scene.station_m
        if avail < 0.8 * _still(scene, offer.to_m):
            return None
        if s1 < scene.station_m + avail:
            s1 = max(s1, scene.station_m + min(avail, max(tightest(left), 2.0 * scene.speed_mps)))
    gained = math.sqrt(scene.speed_mps**2 + 2.0 * GAIN_MPS2 * max(s2 - scene.station_m, 0.0))
    pace = min(pace, max(gained, 2.0))
    back = min(max(pace * math.sqrt(5.77 * abs(offer.to_m) / SIDE_MPS2), tightest(offer.to_m), 8.0), 35.0)
    return Move(max(s1 - length, start), s1, offer.to_m), Move(s2, s2 + back, 0.0)


def _unshifted(scene: Scene, group: Group, to_m: float) -> float:
    """Where the first body of a group begins that would be struck on the ego's present offset.

    From whom the move to `to_m` leads away, it is enough not to touch him now.
    """
    half, own = 0.5 * scene.vehicle.width_m, scene.offset_m

    def gap(body: Body, offset: float) -> float:
        return max(body.low_m - offset, offset - body.high_m) - half

    met = [b.s0_m for b in group.bodies if gap(b, own) < (TOUCH_M if gap(b, to_m) > gap(b, own) else b.least_m)]
    return max(min(met), group.s0_m) if met else group.s1_m


def _still(scene: Scene, to_m: float) -> float:
    """The length that the ego still needs to an offset: less where it heads there already."""
    by, turn = to_m - scene.offset_m, scene.heading_rad
    needed = tightest(by)
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
    place = group.s0_m - STOP_M - WAIT_ROOM * tightest(offer.to_m)
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
    pace = max(min(pass_speed(scene, group.first), _pace(offer, group)), group.first.speed_mps + 2.5)
    needed = _time(back - scene.front_m, scene.speed_mps, pace)
    half = 0.5 * scene.vehicle.width_m + 0.3
    low, high = min(offer.to_m, 0.0) - half, max(offer.to_m, 0.0) + half
    low = high - 2.0 * half if offer.to_m > 0.0 else low
    high = high if offer.to_m > 0.0 else low + 2.0 * half
    slack = 0.6 if gone else 1.0
    beside = gone and scene.front_m > group.s0_m  # there is no way back: to go on is safest while they can stop
    for i, row in enumerate(scene.rows):
        speed = float(scene.agents.speed_mps[row])
        if abs(scene.turn_rad[i]) < 2.0 or scene.kind(int(row)) >= 64 or scene.kind(int(row)) in WALKERS:
            continue
        side, across = float(scene.side_m[i]), float(scene.reach_m[i, 1])
        nose = float(scene.s_m[i] - scene.reach_m[i, 0])
        if side - across > high + 0.5 or side + across < low - 0.5 or nose < scene.front_m - 2.0:
            continue
        if beside:
            if nose - speed**2 / (2.0 * THEIR_BRAKE_MPS2) < back:
                return i
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
    """How long a distance takes when one speeds up from `speed` to `top` at `GAIN_MPS2`."""
    a = GAIN_MPS2
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
    """What passing a group is called."""
    if abs(offer.to_m) < 0.2:
        return Lateral.LANE_KEEPING, None, ""
    lateral = Lateral.OUT_OF_LANE_NUDGE if offer.lane else Lateral.IN_LANE_NUDGE
    if offer.lane == "along" and abs(offer.to_m) > 2.2:
        lateral = Lateral.LANE_CHANGE
    cause = _cause(scene, group, scene.t_us)
    cause = Cause(cause.kind, cause.target, cause.relation, cause.evidence_t_us, cause.distance_m, "lateral")
    return lateral, cause, "left" if offer.to_m > 0.0 else "right"
