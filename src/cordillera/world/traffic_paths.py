"""Where everyone is going: movers on lanes in, claims on lanes ahead and commitments to junctions out.

A claim is a row on a lane: the mover's centre in that lane's arc length, negative while it is still upstream. Every
mover claims the lanes of its way for some seconds ahead, as far as no red light or stop sign holds it, and those behind
that its tail still covers. Conflicts follow from claims: whoever has a row on the other lane matters.

Zones (stretches shared with other lanes) that leave no room to wait between them form one cluster. A mover waits before
a cluster at its hold point; once past it, or unable to stop before it, the mover is committed and the others wait.
"""

from __future__ import annotations

import math

from cordillera.types import Float, Int
from cordillera.world.chance import draw, draw_by, pick_by
from cordillera.world.kernel import inlined, inner, kernel
from cordillera.world.roads_net import Table
from cordillera.world.traffic_net import BUS_LANE, LEFT_TURN, LIGHT, RIGHT_TURN, STOP_SIGN, TrafficNet
from cordillera.world.traffic_state import (
    AHEAD,
    BESIDE,
    BICYCLE,
    BUS,
    FAR,
    MAX_LANES,
    PARK,
    PRESENT,
    TAIL,
    VEHICLE,
    Scratch,
)  # fmt: skip
from cordillera.world.traffic_style import RED

HOLD_MARGIN_M = 1.5  # between the hold point and the zone
LINE_REACH_M = 30.0  # a stop line this far before a zone is where one waits for it
HARD_BRAKE_MPS2 = 3.0  # who would have to brake harder is committed
AMBER_BRAKE_MPS2 = 2.5  # who would have to brake harder passes at amber
RED_BRAKE_MPS2 = 6.0
STOP_SIGN_S = 0.8  # how long one stands at a stop sign
ROLL_MPS = 1.8  # as slow as this, some take a stop sign for obeyed
DWELL_S, DWELL_SPREAD_S = 10.0, 10.0  # of buses at stops
IN_LANE_M = 1.0
BLINK_M = 35.0  # before a turn


@inlined
def next_lane(tracks: Table, nexts: Int, me: Table, lane: int) -> int:
    """A driver at the end of a lane -> the lane that it takes, always the same one; -1 where the road ends.

    Lanes for buses are left to them where there is another.
    """
    onward = tracks[lane].onward
    if onward > -2:
        return int(onward)
    first = tracks[lane].next
    count = tracks[lane].next_end - first
    taken = int(nexts[first + pick_by(me.way_key, lane, count)])
    if me.kind != BUS and tracks[taken].kind == BUS_LANE:
        for k in range(first, first + count):
            if tracks[nexts[k]].kind != BUS_LANE:
                return int(nexts[k])
    return taken


@inlined
def place_at(tracks: Table, places: Table, lane: int, s: float) -> tuple[int, float]:
    """Lane, arc length -> row of the segment that holds it, and the fraction of it (0..1)."""
    first, last = tracks[lane].pt, tracks[lane].pt_end - 2
    low = first + int(min(max(s * tracks[lane].density, 0.0), float(last - first)))  # points are about evenly spaced
    while low > first and places[low].s > s:
        low -= 1
    while low < last and places[low + 1].s <= s:
        low += 1
    length = places[low + 1].s - places[low].s
    t = (s - places[low].s) / length if length > 0.0 else 0.0
    return low, min(1.0, max(0.0, t))


@inner
def add_claim(
    head: Int, rows: Table, on: Int, count: int, lane: int, who: int, what: int, at: float, lateral: float,
    speed: float, half: float, half_w: float,
) -> int:  # fmt: skip
    """Put a claim on a lane's list -> the new number of claims; one too many is left out."""
    if count >= len(rows):
        return count
    row = rows[count]
    row.at, row.lateral, row.speed, row.half, row.half_w, row.who, row.what = (
        at,
        lateral,
        speed,
        half,
        half_w,
        who,
        what,
    )
    row.next = head[lane]
    head[lane] = count
    on[count] = lane
    return count + 1


@inner
def clear_claims(head: Int, on: Int, count: int) -> None:
    """Empty the lists of all lanes with claims."""
    for k in range(count):
        head[on[k]] = -1


@inlined
def claim(
    rules: TrafficNet, movers: Table, signals: Int, seed: int, manners: Float, ego_next: Int, memory: Scratch,
    count: int,
) -> int:  # fmt: skip
    """Add everyone's claims to the `count` there are -> how many there are now.

    Stop, hold and commitment of each mover are written to its record. `ego_next` (L,) holds
    the lane after each lane of the ego's route, -1 elsewhere.
    """
    tracks, zones, covers = rules.tracks, rules.zones, rules.covers
    head, rows, on = memory.head, memory.rows, memory.on
    n = len(movers)
    for i in range(n):
        me = movers[i]
        me.way_n, me.stop, me.hold, me.hold_end, me.committed, me.gives = 0, FAR, FAR, FAR, 0.0, 0
        if not me.valid or me.lane < 0 or me.role != VEHICLE:
            continue
        way = memory.way[i]
        me.way_n, ruled, shared = _walk(tracks, rules.nexts, me, ego_next, i == n - 1, way)
        outside = abs(me.lateral) - me.half_w > (me.room_left if me.lateral > 0.0 else me.room_right) - 0.1
        if me.task == PARK and outside:
            continue
        if ruled:
            me.stop = _held_by_rule(tracks, rules.rules, me, way, me.way_n, signals, seed, manners[RED])
        me.hold_end = -FAR
        if shared:
            _commit(tracks, rules.rules, zones, covers, me, way, me.way_n)
        at, lateral = me.s, me.lateral
        if me.task != PARK and me.kind != BICYCLE:  # who is still on the way into the lane takes his place in it
            lateral = min(max(lateral, -IN_LANE_M), IN_LANE_M)
        for k in range(me.way_n):
            if -at > me.stop or (k > 0 and me.task == PARK):
                break
            what = PRESENT if k == 0 else AHEAD
            count = add_claim(
                head, rows, on, count, way[k], i, what, at, lateral, me.speed, me.half, me.half_w
            )  # fmt: skip
            at -= tracks[way[k]].length
        if me.s < me.half:
            count = _tail(tracks, rules.preds, me, i, count, head, rows, on)
        if i < n - 1 and abs(me.lateral) + me.half_w >= (me.room_left if me.lateral > 0.0 else me.room_right) + 0.05:
            count = _beside(tracks, me, i, count, head, rows, on)
    return count


@inlined
def _walk(tracks: Table, nexts: Int, me: Table, ego_next: Int, ego: bool, way: Int) -> tuple[int, bool, bool]:
    """Fill a mover's way from its lane on, as far as it looks ahead -> number of lanes, whether any has rules, zones.

    Writes the square of the speed from which he can still brake for the lanes ahead, and which way he turns soon.
    """
    horizon = 30.0 + me.speed * 5.0
    lane, gone, count = me.lane, -me.s, 0
    slow2, turns, ruled, shared = FAR, 0, me.kind == BUS, False
    while lane >= 0 and count < MAX_LANES:
        way[count] = lane
        count += 1
        track = tracks[lane]
        if gone > 0.0:
            cap = me.factor * track.cap
            slow2 = min(slow2, cap * cap + me.brake * gone)
        if turns == 0 and gone <= BLINK_M:
            turns = 1 if track.turn == LEFT_TURN else -1 if track.turn == RIGHT_TURN else 0
        ruled |= track.rule < track.rule_end
        shared |= track.zone < track.zone_end
        gone += track.length
        if gone > horizon:
            break
        lane = ego_next[lane] if ego else next_lane(tracks, nexts, me, lane)
    me.slow2, me.turns = slow2, turns
    return count, ruled, shared


@inlined
def _held_by_rule(
    tracks: Table, rules: Table, me: Table, way: Int, count: int, signals: Int, seed: int, late_red: float
) -> float:  # fmt: skip
    """Where a light, a stop sign or a bus stop holds the mover, from its centre; FAR: nowhere."""
    start, speed = -me.s, me.speed
    if me.siren:
        return FAR
    for k in range(count):
        track = tracks[way[k]]
        if me.kind == BUS and track.stop >= 0.0:
            ahead = start + track.stop - me.half
            dwell = DWELL_S + DWELL_SPREAD_S * draw(seed, 23, me.ident, way[k])
            if ahead > 0.3 and not (me.wait >= dwell and ahead < 3.5) and speed * speed < 6.0 * ahead:
                return start + track.stop
        for r in range(track.rule, track.rule_end):
            ahead = start + rules[r].s - me.half
            if ahead < -1.0 or not _is_meant(rules[r].for_lane, way, k, count):
                continue
            brake = speed * speed / (2.0 * max(ahead, 0.2))
            if rules[r].kind == LIGHT:
                state = signals[rules[r].signal]
                if state == 4 or state == 0 or state == 5:
                    continue
                red_brake, amber_brake = RED_BRAKE_MPS2, AMBER_BRAKE_MPS2
                if late_red > 0.0 and draw_by(me.red_key, rules[r].signal) < late_red:
                    red_brake, amber_brake = 3.0, 0.0
                if (state != 3 and brake < red_brake) or (state == 3 and brake < amber_brake):
                    return start + rules[r].s
            elif rules[r].kind == STOP_SIGN:
                stood = ahead < 3.5 and (me.wait >= STOP_SIGN_S or (me.rolls and speed < ROLL_MPS))
                if not stood and ahead > 0.3 and brake < RED_BRAKE_MPS2 and not track.lit:
                    return start + rules[r].s
        start += track.length
    return FAR


@inner
def _is_meant(target: int, way: Int, k: int, count: int) -> bool:
    """Whether a regulation for the traffic towards lane `target` (-1: all) holds for a way."""
    if target < 0:
        return True
    found = False
    for j in range(k, count):
        found = found or way[j] == target
    return found


@inlined
def _commit(tracks: Table, rules: Table, zones: Table, covers: Table, me: Table, way: Int, count: int) -> None:
    """Write hold point and end of the first cluster for which one may still wait, and how far one is committed."""
    start, half, speed = -me.s, me.half, me.speed
    hold, end, committed, line, light = FAR, -FAR, 0.0, -FAR, -FAR
    done = False
    for k in range(count):
        track = tracks[way[k]]
        reg = track.rule
        for c in range(track.zone, track.zone_end):
            zone = zones[c]
            low, high = start + zone.s0, start + zone.s1
            if high + half < 0.0:
                continue
            if low > me.stop:
                done = True
                break
            while reg < track.rule_end and start + rules[reg].s <= low:
                line = start + rules[reg].s
                light = line if rules[reg].kind == LIGHT else light
                reg += 1
            if low - HOLD_MARGIN_M - 2.0 * half > end:  # room to wait before it: a new cluster
                if hold < FAR:
                    done = True
                    break
                place = _off_crossings(tracks, covers, way, k, start, low - HOLD_MARGIN_M, half)
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
            if hold < FAR and light < low - LINE_REACH_M and (zone.yields or not zone.back_yields):
                me.gives = 1
        if done:
            break
        while reg < track.rule_end:
            line = start + rules[reg].s
            light = line if rules[reg].kind == LIGHT else light
            reg += 1
        start += track.length
    me.hold, me.hold_end, me.committed = hold, end, committed


@inner
def _off_crossings(tracks: Table, covers: Table, way: Int, k: int, start: float, place: float, half: float) -> float:
    """A place to wait on lane k of a way, `start` being that lane's -> the same, or before a crossing that one would
    stand on.
    """
    for back in range(min(k, 2) + 1):
        track = tracks[way[k - back]]
        if back > 0:
            start -= track.length
        for c in range(track.cover, track.cover_end):
            from_m, to_m = start + covers[c].s0, start + covers[c].s1
            if from_m < place and place - 2.0 * half < to_m and from_m - 0.5 > half:
                place = from_m - 0.5
    return place


@inner
def _tail(tracks: Table, preds: Int, me: Table, i: int, count: int, head: Int, rows: Table, on: Int) -> int:
    """Add claims on the lanes before the mover's own that its tail still covers -> new number of claims."""
    first, k = count, count
    lane, at = me.lane, me.s
    while at < me.half:
        for p in range(tracks[lane].pred, tracks[lane].pred_end):
            before = preds[p]
            if count - first < 7 and tracks[before].routable:
                count = add_claim(
                    head, rows, on, count, before, i, TAIL, at + tracks[before].length, me.lateral, me.speed, me.half,
                    me.half_w,
                )  # fmt: skip
        if k >= count:
            break
        lane, at = on[k], rows[k].at
        k += 1
    return count


@kernel
def _beside(tracks: Table, me: Table, i: int, count: int, head: Int, rows: Table, on: Int) -> int:
    """Add the claim on the lane beside its own, or the oncoming one, that a mover reaches into."""
    left = me.lateral > 0.0
    room = me.room_left if left else me.room_right
    track = tracks[me.lane]
    lane = track.left if left else track.right
    if lane >= 0 and tracks[lane].routable:
        at = me.s * tracks[lane].length / track.length
        lateral = me.lateral - math.copysign(2.0 * room, me.lateral)
        return add_claim(head, rows, on, count, lane, i, BESIDE, at, lateral, me.speed, me.half, me.half_w)
    lane = track.oncoming
    if lane >= 0 and tracks[lane].routable and abs(me.lateral) + me.half_w > room + 0.2:
        at = tracks[lane].length * (1.0 - me.s / track.length)
        return add_claim(
            head, rows, on, count, lane, i, BESIDE, at, math.copysign(2.0 * room, me.lateral) - me.lateral, -me.speed,
            me.half, me.half_w,
        )  # fmt: skip
    return count
