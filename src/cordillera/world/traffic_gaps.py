"""How hard everyone accelerates: claims in, accelerations out.

Following is the Intelligent Driver Model (Treiber, Hennecke and Helbing, Phys. Rev. E 62, 1805, 2000). Drivers see the
speed of what is ahead as it was a reaction time ago and count on it for the gap (the Human Driver Model's delay with
anticipation: Treiber, Kesting and Helbing, Physica A 360, 71, 2006), taken from speed and acceleration now, so that no
past has to be kept. At conflicts one of each pair of drivers goes first, and both work out the same one: who is inside
goes on; who is committed goes before who can still wait; then emergency vehicles; then the right of way of the map,
unless the gap is long enough; else who comes first. A driver who has waited long before others who stand too goes when
he has waited longest, which undoes every ring of waiting.
"""

from __future__ import annotations

import math
from typing import Any

from cordillera.types import Int
from cordillera.world.kernel import inlined, inner, kernel
from cordillera.world.roads_net import Table
from cordillera.world.traffic_net import TrafficNet
from cordillera.world.traffic_state import AHEAD, BESIDE, FAR, TAIL, Scratch

BRAKE_MAX_MPS2 = 8.0
BRAKE_LIGHTS_MPS2 = -3.0  # who brakes harder is seen to do so at once
THEIR_ACCEL_MPS2 = 0.5  # at which one expects others to come
GAP_BEFORE_S = 1.0  # to clear the zone before the other comes
GAP_AFTER_S = 0.4  # to come after the other has cleared it
STANDING_MPS = 0.3
GIVE_WAY_MPS = 3.0
SIREN_MPS = 8.0  # of emergency vehicles over junctions
LET_WALK_S = 6.0  # who has not set out after so long is not waited for any more
QUEUED_M = 8.0  # who stands so far before the place to wait is kept by someone else
PASS_BY_M = 0.3  # what stands aside by this much more than half the widths is passed


@kernel
def idm(speed: float, desired: float, gap: float, lead: float, me: Any) -> float:
    """Speed, desired speed, gap to and speed of what is ahead -> acceleration, not below -8 m/s2."""
    accel = me.accel_max
    ratio = speed / max(desired, 0.1)
    ratio *= ratio
    free = max(accel * (1.0 - ratio * ratio), -2.5)
    if gap >= 200.0:
        return free
    if gap <= 0.05:
        return -BRAKE_MAX_MPS2
    wanted = me.gap_m + max(0.0, speed * me.gap_s + speed * (speed - lead) / me.ease)
    wanted /= gap
    return max(min(free, accel) - accel * wanted * wanted, -BRAKE_MAX_MPS2)


@kernel
def halt(speed: float, distance: float, me: Any) -> float:
    """Speed and distance from the front to a place to wait at -> acceleration; stands about 1 m before it."""
    left = distance - 1.0
    if left <= 0.0:
        return -min(speed * speed / (2.0 * max(distance, 0.2)) + 1.0, BRAKE_MAX_MPS2)
    needed = speed * speed / (2.0 * left)
    if needed < 0.6 * me.brake:
        # room left: no braking yet, and no more speed than still lets the driver stop in comfort
        return me.accel_max * (1.0 - needed / (0.6 * me.brake))
    return -min(needed + 0.8 * (needed - 0.6 * me.brake), BRAKE_MAX_MPS2)


@kernel
def _arrival(distance: float, speed: float, accel: float, top: float) -> float:
    """Time to cover a distance when accelerating to `top` (at once to it, if already faster)."""
    if distance <= 0.0:
        return 0.0
    if speed >= top:
        return distance / max(speed, 0.1)
    span = (top * top - speed * speed) / (2.0 * accel)
    if span >= distance:
        return (math.sqrt(speed * speed + 2.0 * accel * distance) - speed) / accel
    return (top - speed) / accel + (distance - span) / top


@inner
def seen_speed(movers: Table, who: int, speed: float, delay: float) -> float:
    """Who is ahead and at what speed along the lane -> the speed that a driver acts on after his reaction time."""
    accel = movers[who].accel
    if accel < BRAKE_LIGHTS_MPS2:
        delay *= 0.25
    return speed - accel * delay


@inlined
def acceleration(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, desired: float, passed: int, more: float
) -> float:  # fmt: skip
    """What driver i does now: the least of what road, leaders, lines, crossings and conflicts allow.

    `desired` is the speed wanted here, `passed` the row of whom one passes (-1: nobody), `more` further distance kept.
    """
    tracks, zones, covers = rules.tracks, rules.zones, rules.covers
    me = movers[i]
    speed, half, way = me.speed, me.half, memory.way[i]
    desired = min(desired, math.sqrt(me.slow2))
    if me.siren and me.hold < FAR:
        desired = min(desired, max(SIREN_MPS, math.sqrt(2.0 * me.brake * max(me.hold - half, 0.0))))
    gap, lead, who = leader(tracks, rules.parts, movers, memory.head, memory.rows, way, i, passed)
    gap -= more if gap > more + 1.0 else 0.0
    seen = seen_speed(movers, who, lead, me.delay_s) if who >= 0 else lead
    accel = idm(speed, desired, gap, seen, me)
    if me.stop < FAR:
        accel = min(accel, halt(speed, me.stop - half, me))
    if me.gives and me.hold < FAR:  # comes to a place to give way so that stopping there stays easy
        slow = max(GIVE_WAY_MPS, math.sqrt(2.0 * me.brake * max(me.hold - half, 0.0)))
        accel = min(accel, max((slow - speed) / 0.6, -3.0))
    start = -me.s
    if me.hold < FAR and lead < 1.5 and me.hold < gap + half < me.hold_end + 2.0 * half + 2.0:
        accel = min(accel, halt(speed, me.hold - half, me))  # the exit is blocked
    if speed == 0.0 and accel <= 0.0:
        return accel  # stands and stays, whatever else there is
    people = memory.people[0] > 0
    reach = min(me.stop, 30.0 + 5.0 * speed)
    if not people:
        reach = min(reach, me.hold_end)
    for k in range(me.way_n):
        track = tracks[way[k]]
        if start > reach:
            break
        for c in range(track.cover, track.cover_end):
            ahead = start + covers[c].s0 - half
            if people and ahead > -0.5 and _people_there(covers[c], movers, memory.people, me, ahead):
                accel = min(accel, halt(speed, ahead, me))
        for c in range(track.zone, track.zone_end):
            if start + zones[c].s0 > min(me.hold_end, me.stop):
                break
            if memory.head[zones[c].other] >= 0 and start + zones[c].s1 + half > 0.0:
                accel = min(accel, _zone(zones[c], movers, memory.head, memory.rows, i, track.length, start, desired))
        start += track.length
    return accel


@inlined
def leader(
    tracks: Table, parts: Table, movers: Table, head: Int, rows: Table, way: Int, i: int, passed: int
) -> tuple[float, float, int]:  # fmt: skip
    """Gap to, speed and row of the nearest on the own way, or on a way that parts from it and is not clear yet."""
    me = movers[i]
    start, best, lead, who = -me.s, FAR, 0.0, -1
    half, half_w = me.half, me.half_w
    low, high = min(me.lateral, me.aim), max(me.lateral, me.aim)
    for k in range(me.way_n):
        track = tracks[way[k]]
        r = head[way[k]]
        while r >= 0:
            row = rows[r]
            r = row.next
            apart = start + row.at
            gap = apart - half - row.half
            # one branch instead of five that nobody could foretell
            if (
                (row.who == i) | (row.what == AHEAD) | (gap >= best) | (apart < 0.0)
                | ((apart == 0.0) & (row.who > i))
            ):  # fmt: skip
                continue
            aside = max(row.lateral - high, low - row.lateral)
            if row.what != TAIL and (aside > half_w + row.half_w + PASS_BY_M or row.who == passed):
                continue
            best, lead, who = gap, row.speed, row.who
        for c in range(track.part, track.part_end):
            r = head[parts[c].other]
            while r >= 0:
                row = rows[r]
                r = row.next
                if row.who == i or row.what == AHEAD or row.at - row.half > parts[c].other_s1:
                    continue
                apart = start + row.at
                gap = apart - half - row.half
                if (apart > 0.0 or (apart == 0.0 and row.who < i)) and gap < best:
                    best, lead, who = gap, row.speed, row.who
        start += track.length
        if start > best:
            break
    return best, lead, who


@inner
def _people_there(cover: Any, movers: Table, people: Int, me: Any, ahead: float) -> bool:
    """Whether someone walks, or waits to walk, over a crossing in the way; who cannot stop any more goes on.

    Where lights rule a crossing, nobody waits for those who stand.
    """
    if me.speed * me.speed / (2.0 * max(ahead, 0.2)) > 5.0:
        return False
    for p in range(people[0]):
        someone = movers[people[1 + p]]
        if someone.crossing != cover.crossing:
            continue
        side = (someone.y - cover.y) * cover.cos - (someone.x - cover.x) * cover.sin
        if someone.speed <= 0.0:
            if not cover.lit and abs(side) < 8.0 and someone.wait < LET_WALK_S:
                return True
        else:
            drift = someone.speed * (math.sin(someone.yaw) * cover.cos - math.cos(someone.yaw) * cover.sin)
            if abs(side) < 2.0 or (side * drift < 0.0 and abs(side) < 2.0 + 4.0 * abs(drift)):
                return True
    return False


@inlined
def _zone(
    zone: Any, movers: Table, head: Int, rows: Table, i: int, length: float, start: float, desired: float
) -> float:  # fmt: skip
    """What one zone on the way lets driver i do, given everyone who claims the other lane."""
    me = movers[i]
    speed, half = me.speed, me.half
    low, high = start + zone.s0, start + zone.s1
    merge = zone.merge == 1
    mine = low <= me.committed
    # where to wait: at the hold point, or, once past it, right before the zone
    wait = me.hold - half if not mine else max(low - half - 0.5, 0.0)
    accel = FAR
    i_in = low - half <= 0.0
    r = head[zone.other]
    while r >= 0:
        row = rows[r]
        r = row.next
        j = row.who
        if j == i:
            continue
        other = movers[j]
        j_low, j_high = zone.other_s0 - row.at, zone.other_s1 - row.at
        if (j_high + row.half <= 0.0 and not merge) or j_low > min(other.hold_end, other.stop):
            continue
        if other.speed < STANDING_MPS and QUEUED_M < other.hold - row.half < FAR / 2.0:
            continue  # stands behind others; those count
        i_end, j_end = start + length, zone.other_length - row.at
        behind = i_end > j_end or (i_end == j_end and i > j)
        j_in = j_low - row.half <= 0.0
        if row.what == BESIDE and (not j_in or j_high + row.half <= 0.0):
            continue
        if merge and behind and (j_in or j_low <= other.committed):
            behind_j = idm(speed, desired, i_end - j_end - half - row.half, other.speed, me)
            # who can still wait need not brake harder than for that
            accel = min(accel, behind_j if mine else max(behind_j, halt(speed, wait, me)))
            if not i_in and j_in and other.speed < 1.0 and not mine:
                accel = min(accel, halt(speed, wait, me))
            continue
        if i_in or (merge and j_high + row.half <= 0.0):
            continue
        if j_in and not merge:
            clear = (j_high + row.half) / max(other.speed, 0.5)
            if _arrival(low - half, speed, me.accel_max, desired) < clear + GAP_AFTER_S:
                accel = min(accel, halt(speed, wait, me))
            continue
        if not _goes_first(zone, movers, i, j, low, high, j_low, j_high, mine, desired):
            accel = min(accel, halt(speed, wait, me))
    return accel


@inlined
def _goes_first(
    zone: Any, movers: Table, i: int, j: int, low: float, high: float, j_low: float, j_high: float,
    mine: bool, desired: float,
) -> bool:  # fmt: skip
    """Whether driver i passes a zone before driver j, none of them being inside."""
    me, other, merge = movers[i], movers[j], zone.merge == 1
    theirs = j_low <= other.committed
    speed_i, speed_j, half_i, half_j = me.speed, other.speed, me.half, other.half
    top_i, top_j = max(desired, 3.0), max(speed_j, zone.allowed)
    i_comes = _arrival(low - half_i, speed_i, me.accel_max, top_i)
    j_comes = _arrival(j_low - half_j, speed_j, THEIR_ACCEL_MPS2, top_j)
    if mine != theirs:
        if mine:
            return True
        j_clears = (j_high + half_j) / max(speed_j, 0.5)
        return not merge and i_comes > j_clears + GAP_AFTER_S
    # the first to come, the same by either's count
    i_first, j_first = (low - half_i) / max(speed_i, 1.0), (j_low - half_j) / max(speed_j, 1.0)
    before = i_first < j_first or (i_first == j_first and i < j)
    if mine:  # both committed
        return before
    if me.siren != other.siren:
        return me.siren == 1
    stands_i, stands_j = me.wait > 0.0, other.wait > 0.0
    if stands_i and stands_j and me.wait > me.patience and other.wait > 2.0:
        return me.wait > other.wait or (me.wait == other.wait and i < j)
    yields_i, yields_j = zone.yields == 1, zone.back_yields == 1
    if yields_i and not yields_j:
        i_clears = _arrival(high + half_i, speed_i, 0.8 * me.accel_max, top_i)
        margin = GAP_BEFORE_S + (1.0 if merge else 0.0)
        j_clears = (j_high + half_j) / max(speed_j, 0.5)
        return i_clears + margin < j_comes or (not merge and i_comes > j_clears + GAP_AFTER_S)
    if yields_j and not yields_i:
        return True
    if stands_i and stands_j:
        return me.wait > other.wait or (me.wait == other.wait and i < j)
    return before
