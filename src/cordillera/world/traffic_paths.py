"""Where everyone is going: movers on lanes in, claims on lanes ahead and commitments to junctions out.

A claim is a row (lane, mover, position): the mover's centre in that lane's arc length, negative while it is still
upstream. Every mover claims the lanes of its way for some seconds ahead, as far as no red light or stop sign holds it,
and those behind that its tail still covers. Conflicts follow from claims: whoever has a row on the other lane matters.

Zones (stretches shared with other lanes) that leave no room to wait between them form one cluster. A mover waits before
a cluster at its hold point; once past it, or unable to stop before it, the mover is committed and the others wait.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from cordillera.types import Float, Int
from cordillera.world.chance import pick
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_net import DIVERGE, LEFT_TURN, LIGHT, RIGHT_TURN, STOP_SIGN, TrafficNet

MAX_LANES = 14  # of one way
# what a claim says: will come, is here, its tail is here, reaches in from beside and goes another way
AHEAD, PRESENT, TAIL, BESIDE = 0, 1, 2, 3

HOLD_MARGIN_M = 1.5  # between the hold point and the zone
LINE_REACH_M = 30.0  # a stop line this far before a zone is where one waits for it
HARD_BRAKE_MPS2 = 3.0  # who would have to brake harder is committed
AMBER_BRAKE_MPS2 = 2.5  # who would have to brake harder passes at amber
RED_BRAKE_MPS2 = 6.0
STOP_SIGN_S = 0.8  # how long one stands at a stop sign
FAR = 1e9


# Everyone, one record each, the ego last. Vehicles, people and things share the columns that they have in common.
MOVER = np.dtype(
    [
        (name, np.float64)
        for name in (
            *("x", "y", "z", "yaw", "speed", "accel", "s", "wait", "length", "half"),  # half: of the length
            *("gap_s", "accel_max", "brake", "gap_m", "factor", "patience"),  # how one drives
            *("stop", "hold", "hold_end", "committed"),  # set by `claim`: distances from the centre, FAR for none
        )
    ]
    + [(name, np.int64) for name in ("ident", "role", "valid", "lane", "crossing", "blinker", "way_n", "gives")]
)
VEHICLE, WALKER, THING = 0, 1, 2  # roles
CLAIM = np.dtype([("at", np.float64), ("who", np.int64), ("what", np.int64)])


class Claims(NamedTuple):
    """Claims sorted by lane, and everyone's way as a run of lanes."""

    ptr: Int  # (L + 1,) rows of each lane
    rows: Table  # CLAIM; `at`: centre of the mover in the lane's arc length
    way: Int  # (n, MAX_LANES)


@njit(cache=True)
def next_lane(rules: TrafficNet, seed: int, ident: int, lane: int) -> int:
    """A driver at the end of a lane -> the lane that it takes, always the same one; -1 where the road ends."""
    first = rules.next_ptr[lane]
    count = rules.next_ptr[lane + 1] - first
    if count == 0:
        return -1
    return int(rules.next_idx[first + pick(seed, 21, ident, lane, count)])


@njit(cache=True)
def claim(
    net: Net, rules: TrafficNet, movers: Table, signals: Int, seed: int, ego_next: Int, extra: Float
) -> Claims:  # fmt: skip
    """Everyone's claims; stop, hold and commitment of each mover are written to its record.

    `ego_next` (L,) holds the lane after each lane of the ego's route, -1 elsewhere. `extra` (K, 3) says lane, mover and
    place of what stands on lanes beside its own.
    """
    n, lanes = len(movers), len(net.lanes)
    rows = np.empty(n * (MAX_LANES + 8) + len(extra), CLAIM)
    on = np.empty(len(rows), np.int64)
    way = np.full((n, MAX_LANES), -1)
    count = 0
    for k in range(len(extra)):
        on[count] = int(extra[k, 0])
        rows[count].who, rows[count].at, rows[count].what = int(extra[k, 1]), extra[k, 2], BESIDE
        count += 1
    for i in range(n):
        me = movers[i]
        me.way_n, me.stop, me.hold, me.hold_end, me.committed = 0, FAR, FAR, FAR, 0.0
        if not me.valid or me.lane < 0 or me.role != VEHICLE:
            continue
        me.way_n = _walk(net, rules, movers, i, seed, ego_next, way[i])
        me.stop = _held_by_rule(net, movers, i, way[i], me.way_n, signals)
        me.hold, me.hold_end, me.committed = _commitment(net, rules, movers, i, way[i], me.way_n)
        at = me.s
        for k in range(me.way_n):
            if -at > me.stop:
                break
            on[count] = way[i, k]
            rows[count].who, rows[count].at, rows[count].what = i, at, PRESENT if k == 0 else AHEAD
            count += 1
            at -= net.lanes[way[i, k]].length
        count = _tail(net, movers, i, count, on, rows)
    ptr, order = _by_lane(on[:count], lanes)
    return Claims(ptr, rows[order], way)


@njit(cache=True)
def _by_lane(lane: Int, lanes: int) -> tuple[Int, Int]:
    """Counting sort, stable: pointers (lanes + 1,) and the order of the rows."""
    ptr = np.zeros(lanes + 1, np.int64)
    for k in range(len(lane)):
        ptr[lane[k] + 1] += 1
    for k in range(lanes):
        ptr[k + 1] += ptr[k]
    place, order = ptr[:-1].copy(), np.empty(len(lane), np.int64)
    for k in range(len(lane)):
        order[place[lane[k]]] = k
        place[lane[k]] += 1
    return ptr, order


@njit(cache=True)
def _walk(net: Net, rules: TrafficNet, movers: Table, i: int, seed: int, ego_next: Int, way: Int) -> int:
    """Fill a mover's way from its lane on, as far as it looks ahead -> number of lanes."""
    horizon = 30.0 + movers[i].speed * 5.0
    lane, gone, count = movers[i].lane, -movers[i].s, 0
    ego = i == len(movers.lane) - 1
    while lane >= 0 and count < MAX_LANES:
        way[count] = lane
        count += 1
        gone += net.lanes[lane].length
        if gone > horizon:
            break
        lane = ego_next[lane] if ego else next_lane(rules, seed, movers[i].ident, lane)
    return count


@njit(cache=True)
def _held_by_rule(net: Net, movers: Table, i: int, way: Int, count: int, signals: Int) -> float:
    """Where a light or stop sign holds the mover, from its centre; FAR: nowhere."""
    start, speed = -movers[i].s, movers[i].speed
    for k in range(count):
        for r in range(net.reg_ptr[way[k]], net.reg_ptr[way[k] + 1]):
            ahead = start + net.regulations[r].s - movers[i].half
            if ahead < -1.0 or not _is_meant(net.regulations[r].for_lane, way, k, count):
                continue
            brake = speed * speed / (2.0 * max(ahead, 0.2))
            state = signals[net.regulations[r].signal]
            if net.regulations[r].kind == LIGHT:
                red = state == 1 or state == 2 or state == 6
                if (red and brake < RED_BRAKE_MPS2) or (state == 3 and brake < AMBER_BRAKE_MPS2):
                    return start + net.regulations[r].s
            elif net.regulations[r].kind == STOP_SIGN:
                stood = movers[i].wait >= STOP_SIGN_S and ahead < 3.5
                if not stood and ahead > 0.3 and brake < RED_BRAKE_MPS2 and not _light_there(net, way, k):
                    return start + net.regulations[r].s
        start += net.lanes[way[k]].length
    return FAR


@njit(cache=True)
def _is_meant(target: int, way: Int, k: int, count: int) -> bool:
    """Whether a regulation for the traffic towards lane `target` (-1: all) holds for a way."""
    if target < 0:
        return True
    found = False
    for j in range(k, count):
        found = found or way[j] == target
    return found


@njit(cache=True)
def _light_there(net: Net, way: Int, k: int) -> bool:
    """Whether a light regulates the same lane: signs below lights do not count while these work."""
    found = False
    for r in range(net.reg_ptr[way[k]], net.reg_ptr[way[k] + 1]):
        found = found or net.regulations[r].kind == LIGHT
    return found


@njit(cache=True)
def _commitment(net: Net, rules: TrafficNet, movers: Table, i: int, way: Int, count: int) -> tuple[float, float, float]:
    """A way -> hold point and end of the first cluster for which one may still wait, and how far one is committed."""
    start, half, speed = -movers[i].s, movers[i].half, movers[i].speed
    hold, end, committed, line, light = FAR, -FAR, 0.0, -FAR, -FAR
    movers[i].gives = 0
    for k in range(count):
        lane = way[k]
        reg = net.reg_ptr[lane]
        for row in range(net.conf_ptr[lane], net.conf_ptr[lane + 1]):
            c = rules.by_start[row]
            if net.conflicts[c].kind == DIVERGE:
                continue
            low, high = start + net.conflicts[c].s0, start + net.conflicts[c].s1
            if high + half < 0.0:
                continue
            if low > movers[i].stop:
                return hold, end, committed
            while reg < net.reg_ptr[lane + 1] and start + net.regulations[reg].s <= low:
                line = start + net.regulations[reg].s
                light = line if net.regulations[reg].kind == LIGHT else light
                reg += 1
            if low - HOLD_MARGIN_M - 2.0 * half > end:  # room to wait before it: a new cluster
                if hold < FAR:
                    return hold, end, committed
                place = _off_crossings(net, way, k, start, low - HOLD_MARGIN_M, half)
                if line > max(end, low - LINE_REACH_M):
                    place = min(place, line)
                left = place - half
                if left < 0.3 or speed * speed / (2.0 * left) > HARD_BRAKE_MPS2:
                    committed = high
                else:
                    hold = place
                end = high
            else:
                end = max(end, high)
                if hold == FAR:
                    committed = end
            if hold < FAR and light < low - LINE_REACH_M and (net.conflicts[c].yields or not rules.back_yields[c]):
                movers[i].gives = 1
        while reg < net.reg_ptr[lane + 1]:
            line = start + net.regulations[reg].s
            light = line if net.regulations[reg].kind == LIGHT else light
            reg += 1
        start += net.lanes[lane].length
    return hold, end, committed


@njit(cache=True)
def _off_crossings(net: Net, way: Int, k: int, start: float, place: float, half: float) -> float:
    """A place to wait on lane k of a way, `start` being that lane's -> the same, or before a crossing that one would
    stand on.
    """
    for back in range(min(k, 2) + 1):
        lane = way[k - back]
        if back > 0:
            start -= net.lanes[lane].length
        for c in range(net.cross_ptr[lane], net.cross_ptr[lane + 1]):
            from_m, to_m = start + net.crossings[c].s0, start + net.crossings[c].s1
            if from_m < place and place - 2.0 * half < to_m and from_m - 0.5 > half:
                place = from_m - 0.5
    return place


@njit(cache=True)
def _tail(net: Net, movers: Table, i: int, count: int, on: Int, rows: Table) -> int:
    """Add claims on the lanes before the mover's own that its tail still covers -> new number of claims."""
    first, k = count, count
    half, lane, at = movers[i].half, movers[i].lane, movers[i].s
    while at < half:
        for p in range(net.pred_ptr[lane], net.pred_ptr[lane + 1]):
            before = net.pred_idx[p]
            if count - first < 7 and net.lanes[before].routable:
                on[count] = before
                rows[count].who, rows[count].at, rows[count].what = i, at + net.lanes[before].length, TAIL
                count += 1
        if k >= count:
            break
        lane, at = on[k], rows[k].at
        k += 1
    return count


@njit(cache=True)
def blinker_of(net: Net, movers: Table, claims: Claims, i: int) -> int:
    """A mover with its way -> 1 where it turns left within 35 m, -1 to the right, else 0."""
    start = -movers[i].s
    for k in range(movers[i].way_n):
        if start > 35.0:
            break
        turn = net.lanes[claims.way[i, k]].turn
        if turn == LEFT_TURN:
            return 1
        if turn == RIGHT_TURN:
            return -1
        start += net.lanes[claims.way[i, k]].length
    return 0
