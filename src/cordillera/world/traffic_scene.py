"""Who comes and goes: people who cross, at crossings and elsewhere; vehicles that enter out of sight, park, set out.

Nobody remembers anything: whether someone enters, where, and which way he walks is drawn by hash of seed, row and time.
"""

from __future__ import annotations

import math

from cordillera.types import Float
from cordillera.world.chance import draw, pick
from cordillera.world.kernel import inner, kernel
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_bodies import kerb_to_kerb, may_walk, start_beside
from cordillera.world.traffic_change import around
from cordillera.world.traffic_net import TrafficNet
from cordillera.world.traffic_paths import place_at
from cordillera.world.traffic_state import (
    BICYCLE,
    BUS,
    DRIVE,
    FAR,
    MOTORCYCLE,
    PARK,
    PULL_OUT,
    VEHICLE,
    WALKER,
    Scratch,
)  # fmt: skip
from cordillera.world.traffic_style import MIDBLOCK

WALK_MPS = 1.35
PATIENCE_S = 25.0  # who waits longer to walk gives up
TRIES = 12
PARKED = 0.15  # of the vehicles that come, where there are bays
PARK_RATE, LEAVE_RATE = 0.015, 0.03  # a second
STOOD_S = 15.0
STILL_MPS = 0.1
KERB_M = 0.6
MIDBLOCK_LIMIT_MPS = 16.0


@inner
def decide_walk(net: Net, rules: TrafficNet, movers: Table, memory: Scratch, i: int, tick: int, seed: int) -> None:
    """Write whether person i, at the kerb, sets out now."""
    me = movers[i]
    me.walks = 0
    if not me.valid or me.speed > 0.0:
        return
    if me.crossing >= 0:
        me.walks = 1 if _is_safe(rules, movers, memory, me.crossing) else 0
    elif me.s > 0.0 and (tick + me.ident) % 5 == 0:
        me.walks = 1 if may_walk(net, memory, me, pace_of(seed, me.ident)) else 0


@inner
def pace_of(seed: int, ident: int) -> float:
    """Who -> walking speed."""
    return WALK_MPS * (0.8 + 0.4 * draw(seed, 33, ident, 0))


@kernel
def walk(
    net: Net, rules: TrafficNet, movers: Table, i: int, radius: float, edge: int, midblock: float, seed: int, tick: int,
    dt: float,
) -> None:  # fmt: skip
    """Move person i, or let it come to the kerb."""
    me = movers[i]
    if not me.valid:
        period = 120 + pick(seed, 31, me.ident, 0, 200)
        if (tick + pick(seed, 32, me.ident, 0, period)) % period == 0:
            if draw(seed, 36, me.ident, tick) < midblock:
                _come_midblock(net, rules, movers, i, radius, edge, seed, tick)
            else:
                _come(rules, movers, i, radius, seed, tick)
    elif me.speed > 0.0 and (me.crossing >= 0 or me.s > 0.0):
        me.x += me.speed * math.cos(me.yaw) * dt
        me.y += me.speed * math.sin(me.yaw) * dt
        if me.crossing >= 0:
            kerbs = rules.walk[me.crossing]
            forth = (kerbs[2] - kerbs[0]) * math.cos(me.yaw) + (kerbs[3] - kerbs[1]) * math.sin(me.yaw) > 0.0
            end = 2 if forth else 0
            left = (kerbs[end] - me.x) * math.cos(me.yaw) + (kerbs[end + 1] - me.y) * math.sin(me.yaw)
            if left < -0.7:
                me.valid = 0
        else:
            me.s -= me.speed * dt
            if me.s <= 0.0:
                me.valid = 0
    elif me.walks:
        me.speed, me.wait = pace_of(seed, me.ident), 0.0
    elif me.crossing >= 0 or me.s > 0.0:
        me.wait += dt
        if me.wait > PATIENCE_S:
            me.valid = 0


@inner
def _come(rules: TrafficNet, movers: Table, i: int, radius: float, seed: int, tick: int) -> None:
    """Put person i to one end of a crossing within the radius, but not under the ego's nose."""
    me, ego = movers[i], movers[len(movers) - 1]
    kerbs = rules.walk
    for attempt in range(TRIES):
        k = pick(seed, 34 + 100 * attempt, me.ident, tick, max(len(kerbs), 1))
        if k >= len(kerbs) or math.isnan(kerbs[k, 0]):
            continue
        a = 2 * pick(seed, 35 + 100 * attempt, me.ident, tick, 2)
        x, y = kerbs[k, a], kerbs[k, a + 1]
        apart = math.hypot(x - ego.x, y - ego.y)
        if apart < 25.0 or apart > radius:
            continue
        me.x, me.y, me.z = x, y, ego.z
        me.yaw = math.atan2(kerbs[k, 3 - a] - y, kerbs[k, 2 - a] - x)
        me.speed, me.accel, me.wait, me.s = 0.0, 0.0, 0.0, 0.0
        me.crossing, me.valid = k, 1
        return


@inner
def _come_midblock(
    net: Net, rules: TrafficNet, movers: Table, i: int, radius: float, edge: int, seed: int, tick: int
) -> None:  # fmt: skip
    """Put person i to the kerb of a slow road away from junctions, at least 25 m from the ego."""
    me, ego = movers[i], movers[len(movers) - 1]
    tracks, entries = rules.tracks, rules.entries
    for attempt in range(TRIES):
        if not len(entries):
            return
        entry = entries[pick(seed, 37 + 100 * attempt, me.ident, tick, len(entries))]
        apart = math.hypot(entry.x - ego.x, entry.y - ego.y)
        place, _ = place_at(tracks, rules.places, entry.lane, entry.s)
        slow = rules.places[place].cap < MIDBLOCK_LIMIT_MPS
        if apart < 25.0 or apart > radius or not slow or not tracks[entry.lane].edge:
            continue
        width = rules.places[place].half_left + rules.places[place].half_right
        start_beside(net, me, entry.lane, entry.s, 0.5 * width + KERB_M, edge)
        me.speed, me.accel, me.wait, me.crossing, me.lane = 0.0, 0.0, 0.0, -1, -1
        me.s = kerb_to_kerb(tracks, entry.lane, edge, width) + 2.0 * KERB_M
        me.valid = 1
        return


@inner
def _is_safe(rules: TrafficNet, movers: Table, memory: Scratch, k: int) -> bool:
    """Whether nobody on the lanes of crossing k would be in the way of, or could not stop for, who walks now."""
    for o in range(rules.over_ptr[k], rules.over_ptr[k + 1]):
        over = rules.over[o]
        lit = rules.tracks[over.lane].lit
        r = memory.head[over.lane]
        while r >= 0:
            row = memory.rows[r]
            r = row.next
            other = movers[row.who]
            front = over.s0 - row.at - row.half
            if row.at - row.half > over.s1:
                continue
            if other.siren or front < 0.5 or (lit and front < 15.0 + 8.0 * other.speed):
                return False
            if other.speed > 0.3 and other.speed * other.speed / (2.0 * max(front - 1.0, 0.1)) > 1.5:
                return False
    return True


@inner
def enter_vehicle(
    rules: TrafficNet, movers: Table, i: int, near: float, radius: float, seed: int, tick: int
) -> None:  # fmt: skip
    """Let vehicle i, which is away, enter between `near` and `radius` from the ego, or stand in a bay there."""
    me, ego = movers[i], movers[len(movers) - 1]
    cyclist = me.kind == BICYCLE
    parks = not cyclist and me.kind != BUS and not me.siren and draw(seed, 43, me.ident, tick) < PARKED
    parks = parks and me.half < 3.0 and len(rules.bays) > 0
    table = rules.bike_entries if cyclist else rules.bays if parks else rules.entries
    if len(table) == 0:
        return
    for attempt in range(TRIES):
        entry = table[pick(seed, 41 + 100 * attempt, me.ident, tick, len(table))]
        dx, dy = entry.x - ego.x, entry.y - ego.y
        if dx * dx + dy * dy < near * near or dx * dx + dy * dy > radius * radius:
            continue
        speed = min(0.85 * entry.cap, me.top)
        if cyclist:
            speed = 0.8 * me.top
        elif parks:
            speed = 0.0
        else:
            speed = min(speed, math.sqrt(2.0 * max(entry.room - 7.0, 1.0)))
        clear = 3.0 + me.half if parks else 15.0 + 1.5 * speed + me.half
        if not _is_free(movers, entry.x, entry.y, clear):
            continue
        me.valid, me.lane, me.x, me.y, me.s = 1, entry.lane, entry.x, entry.y, entry.s
        me.speed, me.accel, me.wait, me.drift, me.blinker, me.placed = speed, 0.0, 0.0, 0.0, 0, 0
        me.lateral, me.task = (entry.room, PARK) if parks else (0.0, DRIVE)
        return


@inner
def _is_free(movers: Table, x: float, y: float, clear: float) -> bool:
    for j in range(len(movers)):
        dx, dy, reach = movers[j].x - x, movers[j].y - y, clear + movers[j].half
        if movers[j].valid and dx * dx + dy * dy < reach * reach:
            return False
    return True


@inner
def bay_ahead(track: Table, bays: Table, s: float, reach: float) -> int:
    """The first bay of a lane from a place on, -1 where there is none within reach."""
    for k in range(track.bay, track.bay_end):
        if bays[k].s >= s:
            return k if bays[k].s - s < reach else -1
    return -1


@kernel
def park(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, edge: int, seed: int, tick: int
) -> float:  # fmt: skip
    """Begin, go on with, or end parking of vehicle i: writes its task and aim -> distance to stop in, FAR for none."""
    me = movers[i]
    track = rules.tracks[me.lane]
    looks = (tick + me.ident) % 10 == 0
    if me.task == DRIVE:
        fits = me.half < 3.0 and me.kind != BICYCLE and me.kind != MOTORCYCLE and not me.siren and me.kind != BUS
        if not looks or not fits or track.bay == track.bay_end or me.speed > 14.0:
            return FAR
        if not track.edge or draw(seed, 44, me.ident, tick) > PARK_RATE:
            return FAR
        bay = bay_ahead(track, rules.bays, me.s + 8.0 + 0.4 * me.speed * me.speed, 30.0)
        if bay < 0 or not _is_free_of_others(movers, i, rules.bays[bay].x, rules.bays[bay].y, 40.0):
            return FAR
        me.task = PARK
    if me.task == PARK:
        outside = abs(me.lateral) > 1.5
        if outside and looks and me.wait > STOOD_S and draw(seed, 45, me.ident, tick) < LEAVE_RATE:
            ahead, _, _, behind, follower = around(
                rules.tracks, rules.nexts, movers, memory.head, memory.rows, me.lane, me.s, i
            )  # fmt: skip
            chase = movers[follower].speed if follower >= 0 else 0.0
            if ahead > 6.0 and behind > 5.0 + 3.5 * chase:
                me.task = PULL_OUT
        if me.task == PARK:
            bay = bay_ahead(track, rules.bays, me.s, 60.0)
            while bay >= 0 and not _is_free_of_others(movers, i, rules.bays[bay].x, rules.bays[bay].y, 7.0):
                further = bay_ahead(track, rules.bays, rules.bays[bay].s + 0.01, 60.0)
                bay = further if further > bay else -1
            if bay < 0 and not outside:  # others were faster
                me.task = DRIVE
                return FAR
            me.aim = rules.bays[bay].room if bay >= 0 else me.lateral
            if me.speed < STILL_MPS and me.lateral * edge > 0.3:
                me.aim = me.lateral
            return rules.bays[bay].s - me.s + me.half + 1.0 if bay >= 0 else me.half
    if me.task == PULL_OUT and abs(me.lateral) < 0.6:
        me.task = DRIVE
    return FAR


@inner
def _is_free_of_others(movers: Table, i: int, x: float, y: float, moving_m: float) -> bool:
    """Whether nobody else stands parked within 7 m of a place, or is about to park and within `moving_m` of it."""
    for j in range(len(movers) - 1):
        other = movers[j]
        if j != i and other.valid and other.role == VEHICLE and other.task == PARK:
            reach = 7.0 if other.speed < STILL_MPS else moving_m
            if math.hypot(other.x - x, other.y - y) < reach:
                return False
    return True


@inner
def come_and_go(
    net: Net, rules: TrafficNet, movers: Table, near: float, radius: float, edge: int, knobs: Float, seed: int,
    tick: int, dt: float,
) -> None:  # fmt: skip
    """Walk the people, take away vehicles beyond the radius around the ego, and let those that are away enter."""
    ego = movers[len(movers) - 1]
    for i in range(len(movers) - 1):
        me = movers[i]
        if me.role == WALKER:
            walk(net, rules, movers, i, radius, edge, knobs[MIDBLOCK], seed, tick, dt)
        elif me.role == VEHICLE:
            dx, dy, most = me.x - ego.x, me.y - ego.y, radius + 20.0
            if me.valid and me.lane >= 0 and dx * dx + dy * dy > most * most:
                me.valid = 0
            if not me.valid and (tick + me.ident) % 4 == 0:
                enter_vehicle(rules, movers, i, near, radius, seed, tick)
