"""One step of everybody in one world: records now in, records 0.1 s later out, in place.

All decide on what is there now, then all move; so the order of rows does not matter to what anyone sees.
"""

from __future__ import annotations

import math

from cordillera.types import Float, Int
from cordillera.world.kernel import inlined, kernel
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_bodies import claim_bodies, claim_ego
from cordillera.world.traffic_change import (
    LOOK_TICKS,
    aim_across,
    change_lane,
    move_across,
    road_end,
    straddled,
    wish,
)  # fmt: skip
from cordillera.world.traffic_gaps import STANDING_MPS, acceleration, halt, idm
from cordillera.world.traffic_net import TrafficNet
from cordillera.world.traffic_paths import claim, clear_claims, next_lane, place_at
from cordillera.world.traffic_scene import come_and_go, decide_walk, enter_vehicle, park
from cordillera.world.traffic_state import BICYCLE, DRIVE, FAR, PARK, VEHICLE, WALKER, Scratch
from cordillera.world.traffic_style import CHANGES, smooth_noise

UNDER_WAY_MPS = 1.5
SPEED_NOISE = 0.06
NEAR, RADIUS, EDGE = 9, 10, 11  # slots of the knobs after those of the manners


@kernel
def tick_world(
    net: Net, rules: TrafficNet, movers: Table, signals: Int, on_route: Int, ego_next: Int, knobs: Float,
    memory: Scratch, seed: int, tick: int, dt: float,
) -> None:  # fmt: skip
    """Everyone now -> everyone after dt seconds, in place; the ego's record (the last) keeps its pose.

    Yaws of vehicles on lanes are left to `face_all`, since few need them while a world goes on.
    """
    n = len(movers)
    for i in range(n):
        me = movers[i]
        me.want, me.aim, me.change, me.signals, me.aside, me.walks = 0.0, me.lateral, 0, 0, 0, 0
    count = claim_ego(net, movers, on_route, memory, 0)
    count = claim_bodies(net, movers, memory, count)
    count = claim(rules, movers, signals, seed, knobs, ego_next, memory, count)
    edge = int(knobs[EDGE])
    for i in range(n - 1):
        if movers[i].role == WALKER:
            decide_walk(net, rules, movers, memory, i, tick, seed)
        elif movers[i].valid and movers[i].role == VEHICLE and movers[i].lane >= 0:
            decide(rules, movers, memory, i, knobs, edge, seed, tick)
    for i in range(n - 1):
        if movers[i].valid and movers[i].role == VEHICLE and movers[i].lane >= 0:
            drive_on(rules, movers, i, dt)
    come_and_go(net, rules, movers, knobs[NEAR], knobs[RADIUS], edge, knobs, seed, tick, dt)
    for i in range(n - 1):
        put_on_road(rules, movers[i], True)
    clear_claims(memory.head, memory.on, count)


@inlined
def decide(
    rules: TrafficNet, movers: Table, memory: Scratch, i: int, knobs: Float, edge: int, seed: int, tick: int
) -> None:  # fmt: skip
    """Write what driver i wants: acceleration, place across the lane, task, lane change and blinker."""
    me = movers[i]
    looks = (tick + me.ident) % LOOK_TICKS == 0
    if me.task == PARK and me.speed < 0.1 and me.wait > 0.0 and not looks:
        me.want = -0.5
        return
    desired = min(me.factor * me.allowed * (1.0 + SPEED_NOISE * smooth_noise(me.pace_key, me.ident, tick, 6)), me.top)
    desired, passed, more = aim_across(rules, movers, memory, i, desired, edge, tick)
    stop_in = FAR
    if len(rules.bays) > 0 and (me.task != DRIVE or looks):
        stop_in = park(rules, movers, memory, i, edge, seed, tick)
    if me.task == PARK and me.speed < 0.1 and me.wait > 0.0:
        me.want = -0.5
        return
    accel = acceleration(rules, movers, memory, i, desired, passed, more)
    if me.speed > 0.0 or accel > 0.0:
        if stop_in < FAR:
            accel = min(accel, halt(me.speed, stop_in - me.half, me))
        gap, lead = straddled(rules, movers, memory, i)
        if gap < FAR:
            accel = min(accel, idm(me.speed, desired, gap, lead, me))
        end = road_end(rules.tracks, me)
        if end < FAR:
            accel = min(accel, halt(me.speed, end, me))
    if knobs[CHANGES] > 0.0 and me.way_n > 0:
        if looks:
            side = wish(rules, movers, memory, i, desired)
            me.change = side if side == me.blinker else 0
            me.signals = side
        elif me.blinker != 0 and me.hold == FAR:
            me.signals = me.blinker
    me.want = min(accel, me.accel_max)


@inlined
def drive_on(rules: TrafficNet, movers: Table, i: int, dt: float) -> None:
    """Move vehicle i along and across its lane as it decided."""
    me = movers[i]
    turn = me.turns
    aside = me.aim - me.lateral
    if turn == 0:
        turn = me.signals
        if abs(aside) > 1.0 and me.kind != BICYCLE:
            turn = 1 if aside > 0.0 else -1
    if me.task == PARK and me.speed < STANDING_MPS and abs(aside) < 0.3:
        turn = 0
    me.blinker = turn
    if me.change != 0:
        change_lane(rules, movers, i)
        me.aim, me.placed = 0.0, 0
    # feet and engine follow the wish with a lag, braking sooner, and at once in need
    lag = me.lag_s if me.want > me.accel else 0.5 * me.lag_s
    accel = me.want if me.want < -4.0 else me.accel + (me.want - me.accel) * min(dt / max(lag, dt), 1.0)
    speed = max(me.speed + accel * dt, 0.0)
    if me.speed > 0.0 or speed > 0.0:
        me.placed = 0
    me.s += 0.5 * (me.speed + speed) * dt
    me.accel = (speed - me.speed) / dt
    me.speed = speed
    move_across(me, dt)
    while me.s > rules.tracks[me.lane].length:
        onward = next_lane(rules.tracks, rules.nexts, me, me.lane)
        if onward < 0:
            me.valid = 0
            break
        me.s -= rules.tracks[me.lane].length
        me.lane = onward
    # a wait begins at a stand and lasts until one is under way, so that who sets out keeps his turn
    waits = speed < STANDING_MPS or (me.wait > 0.0 and speed < UNDER_WAY_MPS)
    me.wait = me.wait + dt if waits else 0.0


@inlined
def put_on_road(rules: TrafficNet, me: Table, moved: bool) -> None:
    """Work out the room and speed that a vehicle has where it is on its lane and, where it moved, its pose."""
    if not me.valid or me.role != VEHICLE or me.lane < 0 or (moved and me.placed):
        return
    places = rules.places
    k, t = place_at(rules.tracks, places, me.lane, me.s)
    a, b = places[k], places[k + 1]
    me.room_left = a.half_left + t * (b.half_left - a.half_left)
    me.room_right = a.half_right + t * (b.half_right - a.half_right)
    me.allowed = a.cap + t * (b.cap - a.cap)
    if not moved:
        return
    tx, ty = a.along_x + t * (b.along_x - a.along_x), a.along_y + t * (b.along_y - a.along_y)
    norm = math.sqrt(tx * tx + ty * ty)
    if norm < 1e-9:
        tx, ty, norm = a.along_x, a.along_y, 1.0
    tx, ty = tx / norm, ty / norm
    me.x = a.x + t * (b.x - a.x) - me.lateral * ty
    me.y = a.y + t * (b.y - a.y) + me.lateral * tx
    me.z = a.z + t * (b.z - a.z)
    lean = me.drift / me.speed if me.speed > 0.2 else 0.0
    me.head_x, me.head_y = tx - lean * ty, ty + lean * tx
    me.placed, me.off, me.turned = 1, -1, 1


@kernel
def face_all(movers: Table) -> None:
    """Work out the yaw of everyone who has turned since it was last."""
    for i in range(len(movers) - 1):
        me = movers[i]
        if me.turned:
            me.yaw, me.turned = math.atan2(me.head_y, me.head_x), 0


@kernel
def enter_all(rules: TrafficNet, movers: Table, near: float, radius: float, seed: int, first: int, count: int) -> None:
    """Let vehicles enter a world that starts, in `count` tries before the tick `first`."""
    for attempt in range(count):
        for i in range(len(movers) - 1):
            if not movers[i].valid and movers[i].role == VEHICLE:
                enter_vehicle(rules, movers, i, near, radius, seed, first - 1 - attempt)
    for i in range(len(movers) - 1):
        put_on_road(rules, movers[i], True)
    face_all(movers)


@kernel
def look_around(rules: TrafficNet, movers: Table) -> None:
    """Write the room and speed that every vehicle has where it is."""
    for i in range(len(movers) - 1):
        put_on_road(rules, movers[i], False)
