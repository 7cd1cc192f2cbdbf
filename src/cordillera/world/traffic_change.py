"""Where across its lane everyone drives: lane changes, passing what stands aside, making way, riding at the edge.

Lane changes follow MOBIL (Kesting, Treiber and Helbing, Transportation Research Record 1999, 86, 2007): change where
the own gain, and that of the drivers behind weighed by politeness, exceeds a threshold and nobody has to brake hard.
A driver looks once a second, sets the blinker, and goes if it still holds at the next look. From then on he belongs to
the new lane, far off its centre, and moves over; until he is there he stands on both lanes' lists.
"""

from __future__ import annotations

import math

from cordillera.types import Int
from cordillera.world.kernel import inlined, inner, kernel
from cordillera.world.roads_net import Table
from cordillera.world.traffic_gaps import idm
from cordillera.world.traffic_net import BIKING, BUS_LANE, TrafficNet
from cordillera.world.traffic_paths import next_lane
from cordillera.world.traffic_state import AHEAD, BICYCLE, BUS, DRIVE, FAR, PRESENT, THING, VEHICLE, Scratch
from cordillera.world.traffic_style import smooth_noise

LOOK_TICKS = 10
THRESHOLD_MPS2 = 0.25
SAFE_BRAKE_MPS2 = 2.5
URGENT_MPS2 = 4.0  # what it is worth to leave a lane that ends
LEAST_GAP_M = 3.0
CLEAR_OF_JUNCTION_M = 40.0
SIDE_ACCEL_MPS2, SIDE_SPEED_MPS = 1.1, 1.1
SIDE_RATE = 0.9  # 1/s, of the critically damped approach
SLOPE = 0.25  # most sideways way for each metre ahead
BIKE_CLEAR_M, CLEAR_M, SIREN_CLEAR_M = 1.0, 0.6, 0.25  # beside what is passed
KEEP_OFF_M = 0.35
OVER_LINE_M = 2.2  # as far one goes over the line to pass
STAND_OFF_M = 7.0  # behind what one waits to pass
SIREN_BEHIND_M = 80.0
ASIDE_MPS = 4.0


@inner
def move_across(me: Table, dt: float) -> None:
    """Move a vehicle towards its aim across the lane: a damped spring with bounded acceleration, speed and slope."""
    pull = SIDE_RATE * SIDE_RATE * (me.aim - me.lateral) - 2.0 * SIDE_RATE * me.drift
    drift = me.drift + min(max(pull, -SIDE_ACCEL_MPS2), SIDE_ACCEL_MPS2) * dt
    most = min(SIDE_SPEED_MPS, SLOPE * me.speed)
    me.drift = min(max(drift, -most), most)
    me.lateral += me.drift * dt


@kernel
def around(
    tracks: Table, nexts: Int, movers: Table, head: Int, rows: Table, lane: int, s: float, i: int
) -> tuple[float, float, int, float, int]:  # fmt: skip
    """A place on a lane -> gap to, speed and row of what mover i has ahead there, gap to and row of what follows."""
    me = movers[i]
    ahead, lead, leader, behind, follower = FAR, 0.0, -1, FAR, -1
    start, at = 0.0, lane
    for hop in range(4):
        r = head[at]
        while r >= 0:
            row = rows[r]
            r = row.next
            if row.who == i:
                continue
            apart = start + row.at - s
            gap = abs(apart) - me.half - row.half
            if apart >= 0.0:
                if row.what != AHEAD and gap < ahead:
                    ahead, lead, leader = gap, row.speed, row.who
            elif hop == 0 and gap < behind and movers[row.who].role == VEHICLE:
                behind, follower = gap, row.who
        start += tracks[at].length
        at = next_lane(tracks, nexts, me, at)
        if at < 0 or ahead < FAR or start - s > 100.0:
            break
    return ahead, lead, leader, behind, follower


@kernel
def wish(rules: TrafficNet, movers: Table, memory: Scratch, i: int, desired: float) -> int:
    """Whether driver i would rather drive on the lane to the left (1) or right (-1) by MOBIL; 0: stays."""
    tracks, nexts, head, rows = rules.tracks, rules.nexts, memory.head, memory.rows
    me = movers[i]
    track = tracks[me.lane]
    if track.junction >= 0 or me.task != DRIVE or me.kind == BICYCLE or me.aside:
        return 0
    if not (track.change_left or track.change_right):
        return 0
    if abs(me.lateral) > 0.6 or min(me.hold, me.stop) < CLEAR_OF_JUNCTION_M + me.half:
        return 0
    ahead, lead, _, behind, follower = around(tracks, nexts, movers, head, rows, me.lane, me.s, i)
    now = idm(me.speed, desired, ahead, lead, me)
    others = 0.0
    if follower >= 0:
        one = movers[follower]
        wanted = max(one.factor * one.allowed, 1.0)
        freed = idm(one.speed, wanted, min(behind + ahead + 2.0 * me.half, FAR), lead, one)
        others = freed - idm(one.speed, wanted, behind, me.speed, one)
    best, found = THRESHOLD_MPS2, 0
    for side in (1, -1):
        to = track.left if side > 0 else track.right
        may = track.change_left if side > 0 else track.change_right
        if not may or to < 0 or not tracks[to].routable or (tracks[to].kind == BUS_LANE and me.kind != BUS):
            continue
        if tracks[to].next == tracks[to].next_end or (track.leave != 0 and track.leave != side):
            continue
        s = me.s * tracks[to].length / track.length
        gap, lead, _, behind, follower = around(tracks, nexts, movers, head, rows, to, s, i)
        if gap < LEAST_GAP_M or behind < LEAST_GAP_M:
            continue
        then = idm(me.speed, desired, gap, lead, me)
        gain = then - now + (URGENT_MPS2 if track.leave == side else 0.0)
        limit = SAFE_BRAKE_MPS2 + (1.0 if track.leave == side else 0.0)
        if then < -limit:
            continue
        theirs = others
        if follower >= 0:
            one = movers[follower]
            wanted = max(one.factor * one.allowed, 1.0)
            after = idm(one.speed, wanted, behind, me.speed, one)
            if after < -limit:
                continue
            theirs += after - idm(one.speed, wanted, min(behind + gap + 2.0 * me.half, FAR), lead, one)
        gain += me.polite * min(theirs, 1.0)
        if gain > best:
            best, found = gain, side
    return found


@inlined
def aim_across(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, desired: float, edge: int, tick: int
) -> tuple[float, int, float]:  # fmt: skip
    """Where driver i wants to be across its lane -> written to `aim`; speed wanted, whom it passes, distance kept more.

    `edge` is the side of the road's edge: 1 left, -1 right. Who is passed is no leader; -1: nobody.
    """
    me = movers[i]
    noise = -edge * me.wander * smooth_noise(me.wander_key, me.ident, tick, 5)  # to the middle of the road is positive
    low, high = -max(me.room_right - me.half_w - 0.15, 0.0), max(me.room_left - me.half_w - 0.15, 0.0)
    track = rules.tracks[me.lane]
    me.aside = 0
    if me.kind == BICYCLE:
        base = 0.0 if track.kind == BIKING or not track.edge else (high if edge > 0 else low)
        me.aim = min(max(base - 0.25 * edge + 0.5 * noise, low), high) if base != 0.0 else noise
        return desired, -1, 0.0
    me.aim = min(max(noise, low), high)
    if me.task != DRIVE:
        return desired, -1, 0.0
    slow, whom, more = desired, -1, 0.0
    nearest, right_of, left_of = FAR, FAR, -FAR
    r = memory.head[me.lane]
    while r >= 0:
        row = memory.rows[r]
        r = row.next
        other = movers[row.who]
        if row.who == i:
            continue
        apart = row.at - me.s
        if other.siren and not me.siren and other.role == VEHICLE and -SIREN_BEHIND_M < apart < 0.0:
            me.aside = 1
        gap = apart - me.half - row.half
        if (gap < 1.0) & (apart > -me.half - row.half - 1.0) & (row.what != AHEAD):  # beside: keep off
            at = other.lateral if row.what == PRESENT else row.lateral
            widths = me.half_w + row.half_w
            if me.lateral - at > widths - 0.1:
                left_of = max(left_of, at + widths + KEEP_OFF_M)
            elif at - me.lateral > widths - 0.1:
                right_of = min(right_of, at - widths - KEEP_OFF_M)
        if not _may_be_passed(movers, row.who, me.siren):
            continue
        passed = gap < -2.0 * (me.half + row.half) - 2.0
        if row.what == AHEAD or passed or gap > max(30.0, 4.0 * me.speed) or gap >= nearest:
            continue
        if row.speed < 0.6 * desired:
            nearest = gap
            slow, whom, more = _pass(
                rules, movers, memory, i, row.who, row.at, row.lateral, row.speed, edge, desired
            )  # fmt: skip
    if me.aside and track.junction < 0:
        inner = track.edge == 0  # with a lane towards the edge beside it: make the corridor between the two
        toward = -edge if inner else edge
        me.aim = (high if toward > 0 else low) + 0.1 * toward
        slow = min(slow, ASIDE_MPS)
    me.aim = min(max(me.aim, left_of), right_of)
    return slow, whom, more


@inner
def _may_be_passed(movers: Table, j: int, siren: int) -> bool:
    """Whether to pass rather than follow someone: a cyclist, who stands aside, a thing, a bus at a stop."""
    other = movers[j]
    if other.role == THING or other.kind == BICYCLE or other.task != DRIVE:
        return True
    if siren and other.role == VEHICLE:
        return other.aside == 1 or abs(other.lateral) > 0.4
    return other.kind == BUS and other.wait > 3.0 and other.stop < 4.0 + other.half


@inner
def _pass(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, j: int, at: float, lateral: float, speed: float,
    edge: int, desired: float,
) -> tuple[float, int, float]:  # fmt: skip
    """Driver i and the one to pass -> speed wanted, whom it passes (-1: waits), distance kept more; writes `aim`."""
    me, other = movers[i], movers[j]
    inner = -edge
    beside = CLEAR_M
    if other.kind == BICYCLE:
        beside = BIKE_CLEAR_M
    if me.siren:
        beside = SIREN_CLEAR_M
    need = inner * lateral + other.half_w + me.half_w + beside
    if need <= inner * me.aim:
        return desired, j, 0.0
    room = (me.room_left if inner > 0 else me.room_right) - me.half_w
    gap = at - me.s - me.half - other.half
    going = inner * me.lateral > 0.5 * need and gap < 15.0  # once out, one goes on
    if need > room - 0.1:
        if need > room + OVER_LINE_M or me.hold < max(gap, 0.0) + 20.0 or rules.tracks[me.lane].junction >= 0:
            return desired, -1, 0.0
        if not going and not _inner_is_free(rules, movers, memory, i, inner, gap, speed, other.half):
            return desired, -1, STAND_OFF_M
    over = need - inner * me.lateral
    if over > 0.2 and gap > 0.0 and gap < over / SLOPE - 1.0:
        return desired, -1, 0.0  # too close to swing out
    me.aim = inner * need
    if over > 0.2 and gap > 0.0:
        desired = min(desired, max(speed, 0.0) + max(0.7 * (gap - 1.0) / over, 1.5))
    return min(desired, max(speed, 0.0) + 8.0), j, 0.0


@inner
def _inner_is_free(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, inner: int, gap: float, speed: float, half: float,
) -> bool:  # fmt: skip
    """Whether the lane towards the middle of the road leaves time to pass someone at `gap` who drives at `speed`."""
    tracks, me = rules.tracks, movers[i]
    track = tracks[me.lane]
    lane = track.left if inner > 0 else track.right
    if lane >= 0 and tracks[lane].routable:
        s = me.s * tracks[lane].length / track.length
        ahead, _, _, behind, follower = around(tracks, rules.nexts, movers, memory.head, memory.rows, lane, s, i)
        chase = movers[follower].speed if follower >= 0 else 0.0
        return ahead > max(gap, 0.0) + 10.0 and behind > 4.0 + 2.0 * max(chase - me.speed, 0.0) + chase
    lane = track.oncoming
    if lane < 0 or not tracks[lane].routable:
        return False
    mine = max(me.speed, 4.0)
    time = (max(gap, 0.0) + 2.0 * half + 2.0 * me.half + 10.0) / max(mine - max(speed, 0.0), 1.5)
    s = tracks[lane].length * (1.0 - me.s / track.length)
    if time * mine > min(track.length - me.s, 120.0):  # not over the next junction
        return False
    r = memory.head[lane]
    while r >= 0:
        row = memory.rows[r]
        r = row.next
        apart = s - row.at
        if row.who != i and apart > -row.half - me.half and apart < (mine + max(row.speed, 3.0)) * time + 10.0:
            return False
    return True


@inner
def change_lane(rules: TrafficNet, movers: Table, i: int) -> None:
    """Put vehicle i on the lane that its `change` names, unless someone just went there; it keeps its place."""
    tracks, me = rules.tracks, movers[i]
    track = tracks[me.lane]
    to = track.left if me.change > 0 else track.right
    s = me.s * tracks[to].length / track.length
    for j in range(i):
        if movers[j].valid and movers[j].lane == to and movers[j].change != 0 and abs(movers[j].s - s) < 12.0 + me.half:
            return
    me.lateral -= me.change * 2.0 * (me.room_left if me.change > 0 else me.room_right)
    me.lane, me.s = to, s


@inlined
def straddled(rules: TrafficNet, movers: Table, memory: Scratch, i: int) -> tuple[float, float]:
    """Gap to and speed of what is ahead on the lane beside, or the oncoming one, that vehicle i still reaches into.

    FAR: nothing. Who comes towards it has a negative speed.
    """
    tracks, me = rules.tracks, movers[i]
    track = tracks[me.lane]
    room = me.room_left if me.lateral > 0.0 else me.room_right
    if abs(me.lateral) + me.half_w < room + 0.05:
        return FAR, 0.0
    lane = track.left if me.lateral > 0.0 else track.right
    along = lane >= 0 and tracks[lane].routable == 1
    if not along:
        lane = track.oncoming
    if lane < 0 or not tracks[lane].routable:
        return FAR, 0.0
    s = tracks[lane].length * (me.s / track.length if along else 1.0 - me.s / track.length)
    way = 1.0 if along else -1.0
    lateral = way * (me.lateral - math.copysign(2.0 * room, me.lateral))
    best, lead = FAR, 0.0
    r = memory.head[lane]
    while r >= 0:
        row = memory.rows[r]
        r = row.next
        apart = way * (row.at - s)
        gap = apart - me.half - row.half
        if row.who == i or row.what == AHEAD or apart <= 0.0 or gap >= best:
            continue
        if abs(row.lateral - lateral) < me.half_w + row.half_w + 0.2:
            best, lead = gap, way * row.speed
    return best, lead


@inner
def road_end(tracks: Table, me: Table) -> float:
    """Distance from the front to where a lane ends that one has to leave; FAR for other lanes."""
    return tracks[me.lane].length - me.s - me.half if tracks[me.lane].leave != 0 else FAR
