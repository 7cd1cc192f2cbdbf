"""How hard everyone accelerates: claims in, accelerations out.

Following is the Intelligent Driver Model (Treiber, Hennecke and Helbing, Phys. Rev. E 62, 1805, 2000). At conflicts one
of each pair of drivers goes first, and both work out the same one: who is inside goes on; who is committed goes before
who can still wait; then the right of way of the map, unless the gap is long enough; else who comes first. A driver who
has waited long before others who stand too goes when he has waited longest, which undoes every ring of waiting.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from cordillera.world.roads_kernels import lane_point
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_net import DIVERGE, LIGHT, MERGE, TrafficNet
from cordillera.world.traffic_paths import AHEAD, BESIDE, FAR, Claims

BRAKE_MAX_MPS2 = 8.0
THEIR_ACCEL_MPS2 = 0.5  # at which one expects others to come
GAP_BEFORE_S = 1.0  # to clear the zone before the other comes
GAP_AFTER_S = 0.4  # to come after the other has cleared it
STANDING_MPS = 0.3
GIVE_WAY_MPS = 3.0
LET_WALK_S = 6.0  # who has not set out after so long is not waited for any more
QUEUED_M = 8.0  # who stands so far before the place to wait is kept by someone else


@njit(cache=True)
def idm(speed: float, desired: float, gap: float, lead: float, me: Any) -> float:
    """Speed, desired speed, gap to and speed of what is ahead -> acceleration, not below -8 m/s2."""
    accel, brake = me.accel_max, me.brake
    free = 1.0 - (speed / max(desired, 0.1)) ** 4
    free = max(accel * free, -2.5)
    if gap >= 200.0:
        return free
    if gap <= 0.05:
        return -BRAKE_MAX_MPS2
    wanted = me.gap_m + max(0.0, speed * me.gap_s + speed * (speed - lead) / (2.0 * math.sqrt(accel * brake)))
    return max(min(free, accel) - accel * (wanted / gap) ** 2, -BRAKE_MAX_MPS2)


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def desired_speed(net: Net, rules: TrafficNet, lane: int, s: float) -> float:
    """Speed allowed at a place on a lane."""
    low, high = net.pt_ptr[lane], net.pt_ptr[lane + 1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if net.points[middle].s <= s:
            low = middle
        else:
            high = middle
    length = net.points[high].s - net.points[low].s
    t = min(1.0, max(0.0, (s - net.points[low].s) / length)) if length > 0.0 else 0.0
    return float((1.0 - t) * rules.cap_mps[low] + t * rules.cap_mps[high])


@njit(cache=True)
def acceleration(net: Net, rules: TrafficNet, movers: Table, claims: Claims, i: int) -> float:
    """What driver i does now: the least of what road, leaders, lines, crossings and conflicts allow."""
    me, speed, half = movers[i], movers[i].speed, movers[i].half
    desired = me.factor * desired_speed(net, rules, movers[i].lane, movers[i].s)
    brake = 0.5 * me.brake
    start = -movers[i].s
    for k in range(movers[i].way_n):
        if start > 0.0:
            cap = me.factor * rules.cap_mps[net.pt_ptr[claims.way[i, k]]]
            desired = min(desired, math.sqrt(cap * cap + 2.0 * brake * start))
        start += net.lanes[claims.way[i, k]].length
    gap, lead = _leader(net, movers, claims, i)
    accel = idm(speed, desired, gap, lead, me)
    if movers[i].stop < FAR:
        accel = min(accel, halt(speed, movers[i].stop - half, me))
    if me.gives and me.hold < FAR:  # comes to a place to give way so that stopping there stays easy
        slow = max(GIVE_WAY_MPS, math.sqrt(2.0 * me.brake * max(me.hold - half, 0.0)))
        accel = min(accel, max((slow - speed) / 0.6, -3.0))
    start = -movers[i].s
    blocked_exit = movers[i].hold < FAR and lead < 1.5 and gap + half < movers[i].hold_end + 2.0 * half + 2.0
    if blocked_exit and gap + half > movers[i].hold:
        accel = min(accel, halt(speed, movers[i].hold - half, me))
    for k in range(movers[i].way_n):
        lane = claims.way[i, k]
        if start > min(movers[i].stop, 30.0 + 5.0 * speed):
            break
        for c in range(net.cross_ptr[lane], net.cross_ptr[lane + 1]):
            ahead = start + net.crossings[c].s0 - half
            if ahead > -0.5 and _people_there(net, movers, lane, c, speed, ahead):
                accel = min(accel, halt(speed, ahead, me))
        for c in range(net.conf_ptr[lane], net.conf_ptr[lane + 1]):
            if start + net.conflicts[c].s1 + half > 0.0 and net.conflicts[c].kind != DIVERGE:
                accel = min(accel, _zone(net, rules, movers, claims, i, lane, start, c, desired))
        start += net.lanes[lane].length
    return accel


@njit(cache=True)
def _leader(net: Net, movers: Table, claims: Claims, i: int) -> tuple[float, float]:
    """Gap to and speed of the nearest on the own way, or on a way that parts from it and is not clear yet."""
    start, best, lead = -movers[i].s, FAR, 0.0
    for k in range(movers[i].way_n):
        lane = claims.way[i, k]
        for r in range(claims.ptr[lane], claims.ptr[lane + 1]):
            j = claims.rows[r].who
            if j == i or claims.rows[r].what == AHEAD:
                continue
            apart = start + claims.rows[r].at
            gap = apart - movers[i].half - movers[j].half
            if (apart > 0.0 or (apart == 0.0 and j < i)) and gap < best:
                best, lead = gap, movers[j].speed
        for c in range(net.conf_ptr[lane], net.conf_ptr[lane + 1]):
            if net.conflicts[c].kind != DIVERGE:
                continue
            other = net.conflicts[c].other
            for r in range(claims.ptr[other], claims.ptr[other + 1]):
                j = claims.rows[r].who
                if (
                    j == i
                    or claims.rows[r].what == AHEAD
                    or claims.rows[r].at - movers[j].half > net.conflicts[c].other_s1
                ):
                    continue
                apart = start + claims.rows[r].at
                gap = apart - movers[i].half - movers[j].half
                if (apart > 0.0 or (apart == 0.0 and j < i)) and gap < best:
                    best, lead = gap, movers[j].speed
        start += net.lanes[lane].length
        if start > best:
            break
    return best, lead


@njit(cache=True)
def _people_there(net: Net, movers: Table, lane: int, c: int, speed: float, ahead: float) -> bool:
    """Whether someone walks, or waits to walk, over a crossing in the way; who cannot stop any more goes on."""
    if speed * speed / (2.0 * max(ahead, 0.2)) > 5.0:
        return False
    lit = False
    for r in range(net.reg_ptr[lane], net.reg_ptr[lane + 1]):
        lit = lit or net.regulations[r].kind == LIGHT
    crossing = net.crossings[c]
    for p in range(len(movers)):
        someone = movers[p]
        if not someone.valid or someone.crossing != crossing.crossing:
            continue
        x, y, _, yaw = lane_point(net, lane, 0.5 * (crossing.s0 + crossing.s1))
        side = (someone.y - y) * math.cos(yaw) - (someone.x - x) * math.sin(yaw)
        drift = someone.speed * math.sin(someone.yaw - yaw)
        if someone.speed <= 0.0:
            if not lit and abs(side) < 8.0 and someone.wait < LET_WALK_S:
                return True
        elif abs(side) < 2.0 or (side * drift < 0.0 and abs(side) < 2.0 + 4.0 * abs(drift)):
            return True
    return False


@njit(cache=True)
def _zone(
    net: Net, rules: TrafficNet, movers: Table, claims: Claims, i: int, lane: int, start: float, c: int, desired: float
) -> float:  # fmt: skip
    """What one zone on the way lets driver i do, given everyone who claims the other lane."""
    speed, half, me = movers[i].speed, movers[i].half, movers[i]
    low, high = start + net.conflicts[c].s0, start + net.conflicts[c].s1
    if low > movers[i].hold_end or low > movers[i].stop:
        return FAR
    merge = net.conflicts[c].kind == MERGE
    mine = low <= movers[i].committed
    # where to wait: at the hold point, or, once past it, right before the zone
    wait = movers[i].hold - half if not mine else max(low - half - 0.5, 0.0)
    accel = FAR
    other = net.conflicts[c].other
    for r in range(claims.ptr[other], claims.ptr[other + 1]):
        j = claims.rows[r].who
        if j == i:
            continue
        j_low, j_high = net.conflicts[c].other_s0 - claims.rows[r].at, net.conflicts[c].other_s1 - claims.rows[r].at
        if (j_high + movers[j].half <= 0.0 and not merge) or j_low > min(movers[j].hold_end, movers[j].stop):
            continue
        if movers[j].speed < STANDING_MPS and QUEUED_M < movers[j].hold - movers[j].half < FAR / 2.0:
            continue  # stands behind others; those count
        i_end, j_end = start + net.lanes[lane].length, net.lanes[other].length - claims.rows[r].at
        behind = i_end > j_end or (i_end == j_end and i > j)
        j_in = j_low - movers[j].half <= 0.0
        if claims.rows[r].what == BESIDE and (not j_in or j_high + movers[j].half <= 0.0):
            continue
        i_in = low - half <= 0.0
        if merge and behind and (j_in or j_low <= movers[j].committed):
            behind_j = idm(speed, desired, i_end - j_end - half - movers[j].half, movers[j].speed, me)
            # who can still wait need not brake harder than for that
            accel = min(accel, behind_j if mine else max(behind_j, halt(speed, wait, me)))
            if not i_in and j_in and movers[j].speed < 1.0 and not mine:
                accel = min(accel, halt(speed, wait, me))
            continue
        if i_in or (merge and j_high + movers[j].half <= 0.0):
            continue
        if j_in and not merge:
            clear = (j_high + movers[j].half) / max(movers[j].speed, 0.5)
            if _arrival(low - half, speed, me.accel_max, desired) < clear + GAP_AFTER_S:
                accel = min(accel, halt(speed, wait, me))
            continue
        allowed = desired_speed(net, rules, other, net.conflicts[c].other_s0)
        yields_i, yields_j = net.conflicts[c].yields == 1, rules.back_yields[c] == 1
        if not _goes_first(
            movers, i, j, low, high, j_low, j_high, mine, yields_i, yields_j, merge, desired, allowed
        ):  # fmt: skip
            accel = min(accel, halt(speed, wait, me))
    return accel


@njit(cache=True)
def _goes_first(
    movers: Table, i: int, j: int, low: float, high: float, j_low: float, j_high: float,
    mine: bool, yields_i: bool, yields_j: bool, merge: bool, desired: float, allowed: float,
) -> bool:  # fmt: skip
    """Whether driver i passes a zone before driver j, none of them being inside. `allowed`: speed on j's lane there."""
    theirs = j_low <= movers[j].committed
    speed_i, speed_j, half_i, half_j = movers[i].speed, movers[j].speed, movers[i].half, movers[j].half
    top_i, top_j = max(desired, 3.0), max(speed_j, allowed)
    accel_i = movers[i].accel_max
    i_comes = _arrival(low - half_i, speed_i, accel_i, top_i)
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
    stands_i, stands_j = movers[i].wait > 0.0, movers[j].wait > 0.0
    if stands_i and stands_j and movers[i].wait > movers[i].patience and movers[j].wait > 2.0:
        return movers[i].wait > movers[j].wait or (movers[i].wait == movers[j].wait and i < j)
    if yields_i and not yields_j:
        i_clears = _arrival(high + half_i, speed_i, 0.8 * accel_i, top_i)
        margin = GAP_BEFORE_S + (1.0 if merge else 0.0)
        j_clears = (j_high + half_j) / max(speed_j, 0.5)
        return i_clears + margin < j_comes or (not merge and i_comes > j_clears + GAP_AFTER_S)
    if yields_j and not yields_i:
        return True
    if stands_i and stands_j:
        return movers[i].wait > movers[j].wait or (movers[i].wait == movers[j].wait and i < j)
    return before
