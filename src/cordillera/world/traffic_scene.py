"""Who comes and goes: people who walk over crossings, and vehicles that enter out of sight.

Nobody remembers anything: whether someone enters, where, and which way he walks is drawn by hash of seed, row and time.
"""

from __future__ import annotations

import math

from numba import njit

from cordillera.world.chance import draw, pick
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_gaps import desired_speed
from cordillera.world.traffic_net import LIGHT, TrafficNet
from cordillera.world.traffic_paths import VEHICLE, WALKER, Claims

WALK_MPS = 1.35
PATIENCE_S = 25.0  # who waits longer to walk gives up
TRIES = 12


@njit(cache=True)
def walk_people(
    net: Net, rules: TrafficNet, before: Table, claims: Claims, movers: Table, radius: float, seed: int, tick: int,
    dt: float,
) -> None:  # fmt: skip
    """Move the people among `movers` (set out when it is safe, as of `before`) and let new ones come to the kerb."""
    for i in range(len(movers) - 1):
        me = movers[i]
        if me.role != WALKER:
            continue
        if not me.valid:
            period = 120 + pick(seed, 31, me.ident, 0, 200)
            if (tick + pick(seed, 32, me.ident, 0, period)) % period == 0:
                _come(rules, movers, i, radius, seed, tick)
        elif me.crossing >= 0 and me.speed > 0.0:
            me.x += me.speed * math.cos(me.yaw) * dt
            me.y += me.speed * math.sin(me.yaw) * dt
            walk = rules.walk[me.crossing]
            forth = (walk[2] - walk[0]) * math.cos(me.yaw) + (walk[3] - walk[1]) * math.sin(me.yaw) > 0.0
            end = 2 if forth else 0
            left = (walk[end] - me.x) * math.cos(me.yaw) + (walk[end + 1] - me.y) * math.sin(me.yaw)
            if left < -0.7:
                me.valid = 0
        elif me.crossing >= 0 and _is_safe(net, rules, before, claims, me.crossing):
            me.speed = WALK_MPS * (0.8 + 0.4 * draw(seed, 33, me.ident, 0))
            me.wait = 0.0
        elif me.crossing >= 0:
            me.wait += dt
            if me.wait > PATIENCE_S:
                me.valid = 0


@njit(cache=True)
def _come(rules: TrafficNet, movers: Table, i: int, radius: float, seed: int, tick: int) -> None:
    """Put person i to one end of a crossing within the radius, but not under the ego's nose."""
    me, ego = movers[i], movers[len(movers) - 1]
    for attempt in range(TRIES):
        k = pick(seed, 34 + 100 * attempt, me.ident, tick, max(len(rules.walk), 1))
        if k >= len(rules.walk) or math.isnan(rules.walk[k, 0]):
            continue
        a = 2 * pick(seed, 35 + 100 * attempt, me.ident, tick, 2)
        x, y = rules.walk[k, a], rules.walk[k, a + 1]
        apart = math.hypot(x - ego.x, y - ego.y)
        if apart < 25.0 or apart > radius:
            continue
        me.x, me.y, me.z = x, y, ego.z
        me.yaw = math.atan2(rules.walk[k, 3 - a] - y, rules.walk[k, 2 - a] - x)
        me.speed, me.accel, me.wait = 0.0, 0.0, 0.0
        me.crossing, me.valid = k, 1
        return


@njit(cache=True)
def _is_safe(net: Net, rules: TrafficNet, movers: Table, claims: Claims, k: int) -> bool:
    """Whether nobody on the lanes of crossing k would be in the way of, or could not stop for, who walks now."""
    for o in range(rules.over_ptr[k], rules.over_ptr[k + 1]):
        over = rules.over[o]
        lit = False
        for r in range(net.reg_ptr[over.lane], net.reg_ptr[over.lane + 1]):
            lit = lit or net.regulations[r].kind == LIGHT
        for r in range(claims.ptr[over.lane], claims.ptr[over.lane + 1]):
            other = movers[claims.rows[r].who]
            front = over.s0 - claims.rows[r].at - other.half
            if claims.rows[r].at - other.half > over.s1:
                continue
            if front < 0.5 or (lit and front < 15.0 + 8.0 * other.speed):
                return False
            if other.speed > 0.3 and other.speed * other.speed / (2.0 * max(front - 1.0, 0.1)) > 1.5:
                return False
    return True


@njit(cache=True)
def enter_vehicles(
    net: Net, rules: TrafficNet, movers: Table, near: float, radius: float, seed: int, tick: int
) -> None:  # fmt: skip
    """Take away vehicles beyond the radius around the ego, and let those that are away enter from `near` to there."""
    ego, count = movers[len(movers) - 1], len(rules.entries)
    for i in range(len(movers) - 1):
        me = movers[i]
        if me.role != VEHICLE:
            continue
        if me.valid and math.hypot(me.x - ego.x, me.y - ego.y) > radius + 20.0:
            me.valid = 0
        if me.valid or count == 0:
            continue
        for attempt in range(TRIES):
            entry = rules.entries[pick(seed, 41 + 100 * attempt, me.ident, tick, count)]
            apart = math.hypot(entry.x - ego.x, entry.y - ego.y)
            speed = min(
                0.85 * desired_speed(net, rules, entry.lane, entry.s), math.sqrt(2.0 * max(entry.room - 7.0, 1.0))
            )
            clear = 15.0 + 1.5 * speed + me.half
            if apart < near or apart > radius or not _is_free(movers, entry.x, entry.y, clear):
                continue
            me.valid, me.lane, me.x, me.y, me.s = 1, entry.lane, entry.x, entry.y, entry.s
            me.speed = speed
            me.accel, me.wait = 0.0, 0.0
            break


@njit(cache=True)
def _is_free(movers: Table, x: float, y: float, clear: float) -> bool:
    for j in range(len(movers)):
        if movers[j].valid and math.hypot(movers[j].x - x, movers[j].y - y) < clear + movers[j].half:
            return False
    return True
