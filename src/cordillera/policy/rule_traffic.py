"""What other vehicles demand of the expert: leaders, cut-ins, things in the way, conflicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cordillera.policy.rule_bodies import GROUND, queued, wrong_way
from cordillera.policy.rule_path import Cluster, Upstream, Zone
from cordillera.policy.rule_scene import WALKERS, Scene, braking_to, clearances, corridor, fitting
from cordillera.policy.rule_speed import DT_S, EVER, FOLLOW, HALT, Constraint, Profile
from cordillera.types import AgentKind, Cause, LightState, Longitudinal, SignalKind

SIDE_MARGIN_M, STANDING_MARGIN_M = 0.25, 0.1
CUT_IN_S = 2.5
CLEAR_M = 8.0  # more than behind a leader, before what stands for good
LOOK_M = 80.0
BLINKER_M = 35.0
QUEUED_M = 25.0  # who stands so far before a zone is kept by someone else
COMMITTED_BRAKE_MPS2 = 4.0
GAP_BEFORE_S, GAP_MERGE_S, GAP_AFTER_S = 1.0, 1.5, 0.4
THEIR_ACCEL_MPS2, THEIR_BRAKE_MPS2 = 0.5, 3.5
INSIDE_M, ROOM_M = 1.2, 5.5  # before a zone inside a junction, and for the car behind that place
OWN_WALK_M = 7.0  # a crossing so far behind one's stop line is shut while one has green
DEADLOCK_S = 2.5
RED = (LightState.RED, LightState.RED_AMBER, LightState.FLASHING_RED)


def lead_constraints(scene: Scene) -> Iterator[Constraint]:
    """Vehicles and things in the strip ahead, and vehicles about to come into it -> gaps to keep."""
    apart, off_line = clearances(scene, scene.line), scene.off_line_m
    half = 0.5 * scene.vehicle.width_m + SIDE_MARGIN_M
    for i, row in enumerate(map(int, scene.rows)):
        rear, kind = float(scene.s_m[i] - scene.reach_m[i, 0]), scene.kind(row)
        if kind in WALKERS or scene.s_m[i] < scene.station_m + 1.0 or rear < scene.front_m - 2.5:
            continue
        if kind == AgentKind.BALL or kind >= GROUND:
            continue
        turn, speed = float(scene.turn_rad[i]), float(scene.agents.speed_mps[row])
        drift, side = speed * math.sin(turn), float(off_line[i])
        if apart[i] < (SIDE_MARGIN_M if speed > 0.3 or not scene.scripted[i] else STANDING_MARGIN_M):
            yield _in_the_way(scene, i, rear, turn, speed, half)
            continue
        outside = abs(side) - float(scene.reach_m[i, 1]) - half
        if side * drift < 0.0 and abs(turn) < math.radians(30.0) and outside < CUT_IN_S * abs(drift):
            cause = Cause("cut-in vehicle", scene.target(row), _beside(side), scene.t_us, rear - scene.front_m)
            yield Constraint(
                FOLLOW, rear, cause, Longitudinal.FOLLOW_LEAD, speed * math.cos(turn), 0.0, outside / abs(drift)
            )  # fmt: skip


def _beside(side: float) -> str:
    return f"moving into the ego lane from the {'left' if side > 0.0 else 'right'}"


def _in_the_way(scene: Scene, i: int, rear: float, turn: float, speed: float, half: float) -> Constraint:
    """Near agent i, which overlaps the strip ahead -> what to do about it."""
    row = int(scene.rows[i])
    target, gap = scene.target(row), rear - scene.front_m
    along, drift = speed * math.cos(turn), speed * math.sin(turn)
    if abs(drift) > 0.5 and abs(turn) > math.radians(40.0) and abs(turn) < math.radians(140.0):
        clear = (
            half + float(scene.reach_m[i, 1]) + math.copysign(float(scene.off_line_m[i]), scene.off_line_m[i] * drift)
        ) / abs(drift)
        cause = Cause("cross-traffic vehicle", target, "crossing ahead", scene.t_us, gap)
        return Constraint(HALT, rear - 1.0, cause, Longitudinal.YIELD, until_s=max(clear, 0.2))
    if along < -0.5 or wrong_way(scene, i):
        kind = "wrong-way driver" if wrong_way(scene, i) else "oncoming vehicle"
        cause = Cause(kind, target, "coming the other way in the ego lane", scene.t_us, gap)
        if along < -0.5:
            return Constraint(FOLLOW, rear, cause, Longitudinal.YIELD, along)
        return Constraint(HALT, rear - CLEAR_M, cause, Longitudinal.YIELD)  # room for it to move over
    moves = int(scene.agents.kind[row]) < 64 and (speed > 0.3 or not scene.scripted[i] or queued(scene, i))
    kind, relation = (
        ("lead vehicle", "ahead in the ego lane")
        if moves
        else (scene.name(row), fitting(scene.name(row), "blocking the ego lane"))
    )
    decision = Longitudinal.FOLLOW_LEAD if moves else Longitudinal.STOP
    if not moves and scene.scripted[i]:  # far enough from it to get out again
        rear = max(min(rear, rear - CLEAR_M), min(rear, scene.front_m + 3.2 + 0.09 * scene.speed_mps**2))
    return Constraint(
        FOLLOW, rear, Cause(kind, target, relation, scene.t_us, gap), decision, max(along, 0.0),
        float(np.clip(scene.agents.accel_mps2[row], -4.0, 1.0)),
    )  # fmt: skip


# ------------------------------------------------------------------- conflicts


@dataclass(frozen=True)
class _Other:
    """A vehicle that may come to a zone on its other lane."""

    row: int
    near_i: int  # row among the near agents
    speed: float
    into_m: float  # its front to the zone, negative once inside
    out_m: float  # its rear to the zone's end
    end_m: float  # its centre to the end of the other lane
    half_m: float


def zone_constraints(scene: Scene, base: Profile, held_m: float) -> Iterator[Constraint]:
    """Conflicts ahead and the ride that all else allows -> halts and gaps for those who go first.

    `held_m` is the station where a light or sign already stops the ego; nothing beyond it matters yet.
    """
    rows = [(i, int(row)) for i, row in enumerate(scene.rows) if scene.agents.lane[row] >= 0]
    for cluster in scene.path.clusters:
        if cluster.end_m < scene.station_m - scene.tail_m:
            continue
        if cluster.hold_m > min(scene.front_m + LOOK_M, held_m - 0.5):
            break
        committed = scene.front_m > cluster.hold_m - 0.3 or braking_to(scene, cluster.hold_m) > COMMITTED_BRAKE_MPS2
        if not committed:
            yield from _blocked_exit(scene, cluster)
        for zone in cluster.zones:
            if zone.s1_m < scene.station_m - scene.tail_m:
                continue
            for i, row in rows:
                up = zone.by_lane.get(int(scene.agents.lane[row]))
                other = _other(scene, zone, up, i, row) if up else None
                if other is not None:
                    found = (_merge if zone.conflict.kind == "merge" else _cross)(
                        scene, base, cluster, zone, other, committed
                    )
                    if found is not None:
                        yield found


def _blocked_exit(scene: Scene, cluster: Cluster) -> Iterator[Constraint]:
    """A queue that leaves no room behind a junction -> a halt before it."""
    inside = corridor(scene, 0.0)
    need = cluster.end_m + scene.vehicle.length_m + 1.0
    for i, row in enumerate(scene.rows):
        rear = float(scene.s_m[i] - scene.reach_m[i, 0])
        slow = scene.agents.speed_mps[row] < 1.5 and scene.agents.accel_mps2[row] < 0.3
        if inside[i] and slow and cluster.hold_m < rear < need and abs(scene.turn_rad[i]) < 1.0:
            cause = Cause(
                "lead vehicle", scene.target(row), "standing behind the junction, which must stay clear", scene.t_us,
                rear - scene.front_m,
            )  # fmt: skip
            yield Constraint(HALT, cluster.hold_m, cause, Longitudinal.FOLLOW_LEAD)


def _other(scene: Scene, zone: Zone, up: Upstream, i: int, row: int) -> _Other | None:
    """Agent `row` on a lane that leads to a zone -> its place, or None if it does not come, or has passed."""
    agents = scene.agents
    at = float(agents.s_m[row]) - up.before_m
    half = 0.5 * float(agents.size_lwh[row, 0])
    conflict = zone.conflict
    out = conflict.other_s_m[1] - at + half
    if agents.speed_mps[row] < 0.2 and conflict.other_s_m[0] - at - half > QUEUED_M:
        return None
    if out <= 0.0 or not _comes(scene, zone, up, row) or _held(scene, zone, up, row):
        return None
    return _Other(
        row, i, float(agents.speed_mps[row]), conflict.other_s_m[0] - at - half, out, zone.other_length_m - at, half
    )


def _comes(scene: Scene, zone: Zone, up: Upstream, row: int) -> bool:
    """Whether an agent's blinker fits the way from its lane to the zone."""
    ahead = -float(scene.agents.s_m[row])
    wanted, lane = 0, up
    while ahead < BLINKER_M:
        turn = scene.roads.map.lanes[lane.lane].turn
        if turn in ("left", "right"):
            wanted = 1 if turn == "left" else -1
            break
        if lane.onward < 0:
            return True  # straight on to the zone; what it does behind it does not matter
        ahead += scene.roads.length(lane.lane)
        lane = zone.by_lane[lane.onward]
    return wanted == int(scene.agents.blinker[row])


def _held(scene: Scene, zone: Zone, up: Upstream, row: int) -> bool:
    """Whether a red light stops the agent before the zone."""
    agents = scene.agents
    start, lane = -float(agents.s_m[row]) - 0.5 * float(agents.size_lwh[row, 0]), up
    while True:
        for rule in scene.roads.regulations(lane.lane):
            left = start + rule.s_m
            if rule.kind is not SignalKind.TRAFFIC_LIGHT or left < -1.0:
                continue
            if lane.onward < 0 and rule.s_m > zone.conflict.other_s_m[0]:
                continue
            if rule.for_lane >= 0 and rule.for_lane not in zone.by_lane:
                continue
            shown = scene.state.signals[rule.signal]
            brake = float(agents.speed_mps[row]) ** 2 / (2.0 * max(left, 0.2))
            if shown in RED and brake < 5.0:
                return True
            if shown == LightState.AMBER and brake < 2.5:
                return True
        if lane.onward < 0:
            return False
        start += scene.roads.length(lane.lane)
        lane = zone.by_lane[lane.onward]


def _merge(
    scene: Scene, base: Profile, cluster: Cluster, zone: Zone, other: _Other, committed: bool
) -> Constraint | None:  # fmt: skip
    """Who goes first where two lanes become one."""
    mine = zone.s1_m - scene.station_m - scene.vehicle.rear_axle_to_center_m
    first = other.end_m < mine
    must_yield = zone.conflict.yields and not zone.other_yields
    t_in = _when(base, scene, zone.s0_m)
    target = scene.target(other.row)
    if _let_go(scene, other, committed) and scene.agents.wait_s[other.row] > DEADLOCK_S:
        return None  # it stands there for the ego; what is in the way is the leaders' matter
    comes = _arrival(other.into_m, other.speed, max(other.speed, zone.other_speed_mps))
    equal = zone.conflict.yields == zone.other_yields
    if first and (other.into_m < 0.0 or must_yield or (equal and comes < t_in)):
        rear = zone.s1_m - other.end_m - other.half_m
        if rear < scene.front_m - 3.0 and other.into_m > 0.0:
            return None
        cause = Cause("merging vehicle", target, "entering the same lane ahead", scene.t_us, rear - scene.front_m)
        if not committed and rear - scene.front_m < 3.0 + scene.speed_mps:  # too close to fall in behind: let it pass
            return Constraint(HALT, _hold(scene, cluster, zone), cause, Longitudinal.YIELD, until_s=_leaves(other))
        return Constraint(FOLLOW, rear, cause, Longitudinal.YIELD, other.speed)
    if committed or not (must_yield or (equal and comes < t_in)):
        return None
    if comes > t_in + GAP_MERGE_S or _let_go(scene, other):
        return None
    cause = Cause("merging vehicle", target, "has priority on the lane to be joined", scene.t_us, other.into_m)
    return Constraint(HALT, _hold(scene, cluster, zone), cause, Longitudinal.YIELD, until_s=_leaves(other))


def _hold(scene: Scene, cluster: Cluster, zone: Zone) -> float:
    """Where the front waits to give way in a zone: at green inside the junction, where nobody is obstructed there.

    Who turns across oncoming traffic would otherwise never get through while there is any.
    """
    line = cluster.line
    if line is None or line.kind is not SignalKind.TRAFFIC_LIGHT:
        return cluster.hold_m
    if scene.state.signals[line.signal] != LightState.GREEN or zone.other_yields or not zone.conflict.yields:
        return cluster.hold_m
    place = zone.s0_m - INSIDE_M
    for other in sorted(cluster.zones, key=lambda z: -z.s0_m):
        if not other.conflict.yields or other.other_yields or _is_shut(scene, other):
            continue
        if other.s0_m < place + INSIDE_M < other.s1_m + ROOM_M:
            place = other.s0_m - INSIDE_M
    tail = place - scene.vehicle.length_m
    if any(walk.s0_m < place and max(tail, line.s_m + OWN_WALK_M) < walk.s1_m for walk in scene.path.walks):
        return cluster.hold_m
    return max(place, cluster.hold_m)


def _is_shut(scene: Scene, zone: Zone) -> bool:
    """Whether a red light keeps all from a zone's other lane."""
    rules = [
        rule for lane in zone.by_lane for rule in scene.roads.regulations(lane)
        if rule.kind is SignalKind.TRAFFIC_LIGHT and (rule.for_lane < 0 or rule.for_lane == zone.conflict.other)
    ]  # fmt: skip
    return bool(rules) and all(scene.state.signals[rule.signal] in RED for rule in rules)


def _cross(
    scene: Scene, base: Profile, cluster: Cluster, zone: Zone, other: _Other, committed: bool
) -> Constraint | None:  # fmt: skip
    """Who goes first where two lanes cross."""
    if scene.front_m > zone.s0_m - 0.2:
        return None
    t_in, t_out = _when(base, scene, zone.s0_m), _when(base, scene, zone.s1_m + scene.vehicle.length_m)
    clears = _leaves(other)
    wait = _hold(scene, cluster, zone) if not committed else max(zone.s0_m - 0.7, scene.front_m + 0.1)
    if t_in > clears + GAP_AFTER_S:
        return None
    if other.into_m <= 0.0:
        return Constraint(HALT, wait, _crossing_cause(scene, other, ""), Longitudinal.YIELD, until_s=clears)
    comes = _arrival(other.into_m, other.speed, max(other.speed, zone.other_speed_mps))
    cannot_stop = other.speed**2 / (2.0 * max(other.into_m - 0.5, 0.1)) > THEIR_BRAKE_MPS2
    if t_out + GAP_BEFORE_S * (0.4 if committed else 1.0) < comes:
        return None
    must_yield = zone.conflict.yields and not zone.other_yields
    has_priority = zone.other_yields and not zone.conflict.yields
    if has_priority and not cannot_stop:
        return None
    if committed and not (cannot_stop or must_yield):
        return None
    if not must_yield and not cannot_stop and (t_in < comes - 0.2 or _let_go(scene, other, committed)):
        return None
    if must_yield and not cannot_stop and _let_go(scene, other, committed):
        return None
    relation = "has the right of way" if must_yield else "arriving first at the junction"
    return Constraint(HALT, wait, _crossing_cause(scene, other, relation), Longitudinal.YIELD, until_s=clears)


def _let_go(scene: Scene, other: _Other, committed: bool = False) -> bool:
    """Whether both have stood for a while and the other does not set out: somebody has to go.

    Who is in the junction already goes on when only the other has stood, so that it does not stop again at once.
    """
    still = other.speed < 0.2 and float(scene.agents.accel_mps2[other.row]) < 0.05
    return still and (scene.stood_s >= 1.4 or (committed and float(scene.agents.wait_s[other.row]) > DEADLOCK_S))


def _crossing_cause(scene: Scene, other: _Other, relation: str) -> Cause:
    """Another vehicle of a junction, and why it goes first ("": it is in there already) -> the cause."""
    turn, side = float(scene.turn_rad[other.near_i]), float(scene.side_m[other.near_i])
    if abs(turn) > math.radians(140.0):
        kind, where, there = "oncoming vehicle", "coming the other way", "coming the other way"
    else:
        kind, where, there = "cross-traffic vehicle", f"from the {'left' if side > 0.0 else 'right'}", "crossing ahead"
    gap = math.hypot(float(scene.s_m[other.near_i]) - scene.front_m, side)
    return Cause(kind, scene.target(other.row), f"{where}, {relation}" if relation else there, scene.t_us, gap)


def _when(base: Profile, scene: Scene, station_m: float) -> float:
    """When the front reaches a station on the ride `base`; beyond its end, at its last speed."""
    place = station_m - scene.nose_m
    if place <= scene.station_m:
        return 0.0
    k = int(np.searchsorted(base.s_m, place))
    if k < len(base.s_m):
        return (k + 1) * DT_S
    return len(base.s_m) * DT_S + (place - float(base.s_m[-1])) / max(float(base.speed_mps[-1]), 0.3)


def _arrival(distance: float, speed: float, top: float) -> float:
    """The earliest time at which another is at a distance: it may speed up to `top`."""
    if distance <= 0.0:
        return 0.0
    a = THEIR_ACCEL_MPS2
    span = max(top * top - speed * speed, 0.0) / (2.0 * a)
    if span >= distance:
        return (math.sqrt(speed * speed + 2.0 * a * distance) - speed) / a
    return max(top - speed, 0.0) / a + (distance - span) / max(top, 0.1)


def _leaves(other: _Other) -> float:
    """When another has left the zone at its present speed; a slow one is given time to speed up."""
    if other.speed < 0.3 and other.into_m > 0.0:
        return EVER
    return other.out_m / max(other.speed, 1.0) + 0.3
