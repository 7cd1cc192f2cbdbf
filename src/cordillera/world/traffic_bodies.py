"""What is on the lanes without following them: the ego, things, people between crossings; places in, claims out."""

from __future__ import annotations

import math

from cordillera.types import Float, Int
from cordillera.world.kernel import inner, kernel
from cordillera.world.roads_areas import _cell_of, _in_segment
from cordillera.world.roads_kernels import find_lane, lane_point, lane_project_near
from cordillera.world.roads_net import Net, Table
from cordillera.world.traffic_paths import add_claim
from cordillera.world.traffic_state import BESIDE, VEHICLE, WALKER, Scratch

UNKNOWN = 2.0  # no cosine
LEVEL_M = 2.5
ALONG = 0.7  # cosine of the angle to a lane that one still drives along
EGO_WAIT_S = 2.5  # a standing ego counts as having waited so long: long enough to be let go, or passed, in a jam
STANDING_MPS = 0.3
STRIDE_S = 1.0  # who walks on the road is expected where he will be so much later, and twice that


@inner
def lanes_under(net: Net, x: float, y: float, z: float, held: Int, count: int) -> int:
    """Add the driving lanes that hold a point at its level to the `count` in `held` -> how many there are now.

    A lane stands with its segment: two numbers each, lane after lane.
    """
    cell = _cell_of(net.grid, x, y)
    if cell < 0:
        return count
    for k in range(net.cell_ptr[cell], net.cell_ptr[cell + 1]):
        segment = net.cell_seg[k]
        lane = net.points[segment].lane
        known = False
        for m in range(count):
            known = known or held[2 * m] == lane
        if known or 2 * count >= len(held) or not _in_segment(net.points, segment, x, y, 0.0):
            continue
        if abs(net.points[segment].z - z) < LEVEL_M:
            held[2 * count], held[2 * count + 1] = lane, segment
            count += 1
    return count


@inner
def _claim_under(net: Net, memory: Scratch, count: int, who: int, me: Table, k: int) -> int:
    """Claim lane k of the list for mover `who` as something that reaches in -> new number of claims."""
    lane, segment = memory.held[2 * k], memory.held[2 * k + 1]
    s, lateral = lane_project_near(net, lane, me.x, me.y, net.points[segment].s)
    point = net.points[segment]
    speed = me.speed * (point.along_x * math.cos(me.yaw) + point.along_y * math.sin(me.yaw))
    return add_claim(
        memory.head, memory.rows, memory.on, count, lane, who, BESIDE, s, lateral, speed, me.half, me.half_w
    )


@inner
def claim_ego(net: Net, movers: Table, on_route: Int, memory: Scratch, count: int) -> int:
    """Write the ego's lane (its route's, where it is on it), claim the others it reaches into -> number of claims."""
    who = len(movers) - 1
    me, held = movers[who], memory.held
    me.wait = EGO_WAIT_S if me.speed < STANDING_MPS else 0.0
    if me.placed:
        return count
    c, n = math.cos(me.yaw), math.sin(me.yaw)
    inside = lanes_under(net, me.x, me.y, me.z, held, 0)
    main, s, lateral, routed = -1, 0.0, 0.0, False
    for k in range(inside):
        lane, point = held[2 * k], net.points[held[2 * k + 1]]
        along = point.along_x * c + point.along_y * n > ALONG
        if along and (main < 0 or (on_route[lane] and not routed)):
            main, routed = lane, on_route[lane] == 1
            s, lateral = lane_project_near(net, lane, me.x, me.y, point.s)
    if main < 0:
        main, s, lateral, _ = find_lane(net, me.x, me.y, me.z, me.yaw, True, 6.0)
    me.lane, me.s, me.lateral = main, max(s, 0.0), lateral
    me.aim = lateral
    length, width = 0.9 * me.half, 0.9 * me.half_w
    for a in (1.0, -1.0):
        for b in (1.0, -1.0):
            dx, dy = a * length, b * width
            inside = lanes_under(net, me.x + dx * c - dy * n, me.y + dx * n + dy * c, me.z, held, inside)
    before = count
    for k in range(inside):
        if held[2 * k] != main:
            count = _claim_under(net, memory, count, who, me, k)
    me.placed = int(count == before)
    return count


@inner
def claim_bodies(net: Net, movers: Table, memory: Scratch, count: int) -> int:
    """Claim the lanes under things, vehicles without a lane and people between crossings -> number of claims.

    The people at crossings are listed in `memory.people`.
    """
    memory.people[0] = 0
    for i in range(len(movers) - 1):
        me = movers[i]
        if not me.valid or (me.role == VEHICLE and me.lane >= 0):
            continue
        if me.crossing >= 0:
            memory.people[0] += 1
            memory.people[memory.people[0]] = i
            continue
        c, n = math.cos(me.yaw), math.sin(me.yaw)
        inside = 0
        if me.role != WALKER:
            inside = lanes_under(net, me.x, me.y, me.z, memory.held, 0)
            for a in (1.0, -1.0):
                dx, dy = 0.9 * a * me.half, 0.9 * a * me.half_w
                inside = lanes_under(net, me.x + dx * c, me.y + dx * n, me.z, memory.held, inside)
                inside = lanes_under(net, me.x - dy * n, me.y + dy * c, me.z, memory.held, inside)
        elif me.speed > 0.0:
            for k in range(3):
                gone = min(k * STRIDE_S * me.speed, max(me.s, 0.0))
                inside = lanes_under(net, me.x + gone * c, me.y + gone * n, me.z, memory.held, inside)
        for k in range(inside):
            count = _claim_walker(net, memory, count, i, me, k) if me.role == WALKER else _claim_under(
                net, memory, count, i, me, k
            )  # fmt: skip
    return count


@inner
def _claim_walker(net: Net, memory: Scratch, count: int, who: int, me: Table, k: int) -> int:
    """Claim lane k of the list for someone who walks there: all of it across, where he stands or is about to come."""
    lane, segment = memory.held[2 * k], memory.held[2 * k + 1]
    s, lateral = lane_project_near(net, lane, me.x, me.y, net.points[segment].s)
    return add_claim(memory.head, memory.rows, memory.on, count, lane, who, BESIDE, s, 0.5 * lateral, 0.0, 0.4, 1.0)


@inner
def may_walk(net: Net, memory: Scratch, me: Table, pace: float) -> bool:
    """Whether someone at the kerb has time to cross all lanes ahead before anyone comes, at walking speed `pace`."""
    c, n = math.cos(me.yaw), math.sin(me.yaw)
    inside, gone = 0, 0.0
    while gone < me.s:
        inside = lanes_under(net, me.x + gone * c, me.y + gone * n, me.z, memory.held, inside)
        gone += 1.5
    for k in range(inside):
        lane, segment = memory.held[2 * k], memory.held[2 * k + 1]
        at, lateral = lane_project_near(net, lane, me.x, me.y, net.points[segment].s)
        needed = (abs(lateral) + 2.5) / pace + 1.5
        r = memory.head[lane]
        while r >= 0:
            row = memory.rows[r]
            r = row.next
            front = at - row.at - row.half
            if front > -2.0 * row.half - 1.0 and front < 3.0 + max(row.speed, 0.0) * needed:
                return False
    return True


@inner
def kerb_to_kerb(tracks: Table, lane: int, edge: int, width: float) -> float:
    """The outermost lane of a road, the side of its edge, a lane's width -> metres from kerb to kerb."""
    count, at = 1, lane
    for _ in range(6):
        inner = tracks[at].right if edge > 0 else tracks[at].left
        if inner < 0 or not tracks[inner].routable:
            break
        at = inner
        count += 1
    at = tracks[at].oncoming
    for _ in range(6):
        if at < 0 or not tracks[at].routable:
            break
        count += 1
        at = tracks[at].left if edge > 0 else tracks[at].right
    return count * width


@inner
def start_beside(net: Net, me: Table, lane: int, s: float, offset: float, side: int) -> None:
    """Put someone `offset` from a lane's centre on a side (1 left, -1 right), facing across the road."""
    x, y, z, yaw = lane_point(net, lane, s)
    me.x, me.y, me.z = x - side * offset * math.sin(yaw), y + side * offset * math.cos(yaw), z
    across = yaw - side * 0.5 * math.pi
    me.yaw = math.atan2(math.sin(across), math.cos(across))


@kernel
def hits(movers: Table, boxes: Float) -> int:
    """Everyone -> number of pairs of boxes that overlap; row 3 of `boxes` (6, n) becomes 1 for each that does.

    Boxes are compared by their circles first, whose x, y and radius stand in the first rows, then by separating axes,
    whose directions stand in the last two rows once they are needed. Most are near nobody, which a loop without
    branches finds in vector code.
    """
    count, n = 0, len(movers)
    for i in range(n):
        here = movers[i].valid
        boxes[0, i], boxes[1, i] = movers[i].x if here else 1e9 * (i + 1.0), movers[i].y
        boxes[2, i], boxes[3, i], boxes[4, i] = movers[i].half + movers[i].half_w, 0.0, UNKNOWN
    for i in range(n):
        x, y, radius = boxes[0, i], boxes[1, i], boxes[2, i]
        near = 0
        for j in range(i):
            dx, dy, reach = boxes[0, j] - x, boxes[1, j] - y, radius + boxes[2, j]
            near += dx * dx + dy * dy < reach * reach
        if near == 0:
            continue
        for j in range(i):
            dx, dy, reach = boxes[0, j] - x, boxes[1, j] - y, radius + boxes[2, j]
            if dx * dx + dy * dy < reach * reach and _boxes_meet(movers, boxes, i, j, dx, dy):
                boxes[3, i], boxes[3, j] = 1.0, 1.0
                count += 1
    return count


@inner
def _direction(me: Table) -> tuple[float, float]:
    """A mover -> cosine and sine of its yaw."""
    if me.lane < 0 or (me.head_x == 0.0 and me.head_y == 0.0):
        return math.cos(me.yaw), math.sin(me.yaw)
    size = math.sqrt(me.head_x * me.head_x + me.head_y * me.head_y)
    return me.head_x / size, me.head_y / size


@inner
def _boxes_meet(movers: Table, boxes: Float, i: int, j: int, dx: float, dy: float) -> bool:
    """Two movers, `d` from i to j -> whether their boxes share a point, by the separating axis theorem."""
    a, b = movers[i], movers[j]
    if abs(a.z - b.z) > LEVEL_M:
        return False
    if boxes[4, i] == UNKNOWN:
        boxes[4, i], boxes[5, i] = _direction(a)
    if boxes[4, j] == UNKNOWN:
        boxes[4, j], boxes[5, j] = _direction(b)
    ca, na, cb, nb = boxes[4, i], boxes[5, i], boxes[4, j], boxes[5, j]
    c, s = abs(ca * cb + na * nb), abs(ca * nb - na * cb)
    return (
        abs(dx * ca + dy * na) <= a.half + b.half * c + b.half_w * s
        and abs(dy * ca - dx * na) <= a.half_w + b.half * s + b.half_w * c
        and abs(dx * cb + dy * nb) <= b.half + a.half * c + a.half_w * s
        and abs(dy * cb - dx * nb) <= b.half_w + a.half * s + a.half_w * c
    )
