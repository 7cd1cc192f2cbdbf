"""Where to go: the shortest route over lanes, a random walk along them, and the next instruction in words."""

from __future__ import annotations

import heapq

import numpy as np

from cordillera.types import RoadMap
from cordillera.world.roads_net import TURNS, Net

CHANGE_COST_M = 20.0  # a lane change is worth this detour,
CHANGE_ROOM_M = 60.0  # and each metre less than this that is left for it is worth one more
LOOK_AHEAD_M = 150.0  # instructions name what comes within this distance
WANDER_CHANGE = 0.1  # chance to change lanes on a lane that is long enough


def following(net: Net, lane: int) -> list[int]:
    """Lane -> the lanes that a vehicle can go on to at its end."""
    return [int(i) for i in net.succ_idx[net.succ_ptr[lane] : net.succ_ptr[lane + 1]] if net.lanes["routable"][i]]


def beside(net: Net, lane: int) -> list[int]:
    """Lane -> the neighbours, left first, to which the marking lets a vehicle change."""
    pairs = (
        (net.lanes["change_left"][lane], net.lanes["left"][lane]),
        (net.lanes["change_right"][lane], net.lanes["right"][lane]),
    )
    return [int(i) for allowed, i in pairs if allowed and i >= 0 and net.lanes["routable"][i]]


def _change_cost(room_m: float) -> float:
    return CHANGE_COST_M + max(0.0, CHANGE_ROOM_M - room_m)


def shortest(road_map: RoadMap, net: Net, start: int, start_s: float, goal: int, goal_s: float) -> tuple[int, ...]:
    """Net, start and goal as lane and s -> the lanes of the cheapest route (metres plus lane changes).

    A lane change lists both lanes. Raises ValueError naming why there is no route.
    """
    _check_end(road_map, net, start, start_s, "start")
    _check_end(road_map, net, goal, goal_s, "goal")
    # A node is (lane, fresh): fresh lanes were entered at their beginning, others abreast of the start.
    begun = start_s / net.lanes["length"][start] if net.lanes["length"][start] > 0.0 else 0.0
    cost: dict[tuple[int, bool], float] = {(start, False): 0.0}
    came: dict[tuple[int, bool], tuple[int, bool]] = {}
    done: set[tuple[int, bool]] = set()
    heap: list[tuple[float, int, bool, bool]] = [(0.0, start, False, False)]
    while heap:
        spent, lane, fresh, arrived = heapq.heappop(heap)
        node = (lane, fresh)
        if arrived:
            return _trace(came, node)
        if node in done:
            continue
        done.add(node)
        gone = 0.0 if fresh else begun * net.lanes["length"][lane]
        if lane == goal and goal_s >= gone - 1e-9:
            heapq.heappush(heap, (spent + goal_s - gone, lane, fresh, True))
        rest = net.lanes["length"][lane] - gone
        edges = [(i, True, rest) for i in following(net, lane)]
        edges += [(i, fresh, _change_cost(rest)) for i in beside(net, lane)]
        for target, anew, price in edges:
            if spent + price < cost.get((target, anew), np.inf):
                cost[target, anew] = spent + price
                came[target, anew] = node
                heapq.heappush(heap, (spent + price, target, anew, False))
    names = f"from lane {road_map.lanes[start].id!r} to lane {road_map.lanes[goal].id!r} of map {road_map.name!r}"
    reached = len({lane for lane, _ in done})
    raise ValueError(
        f"no route {names}: only {reached} of {int(net.lanes['routable'].sum())} driving lanes can be reached"
    )


def _check_end(road_map: RoadMap, net: Net, lane: int, s: float, what: str) -> None:
    if not 0 <= lane < len(road_map.lanes):
        raise ValueError(
            f"route {what}: lane {lane} is not one of the {len(road_map.lanes)} lanes of {road_map.name!r}"
        )
    if not net.lanes["routable"][lane]:
        kind = road_map.lanes[lane].kind.value
        raise ValueError(f"route {what}: lane {road_map.lanes[lane].id!r} is a {kind} lane, not for driving")
    length = float(net.lanes["length"][lane])
    if not -1e-6 <= s <= length + 1e-6:
        raise ValueError(f"route {what}: s = {s:.2f} m is not on lane {road_map.lanes[lane].id!r}, {length:.2f} m long")


def _trace(came: dict[tuple[int, bool], tuple[int, bool]], node: tuple[int, bool]) -> tuple[int, ...]:
    lanes = [node[0]]
    while node in came:
        node = came[node]
        lanes.append(node[0])
    return tuple(reversed(lanes))


def endless(net: Net) -> np.ndarray:
    """Net -> mask (L,) of the lanes from which one can drive on for ever, lane changes included."""
    onward = [following(net, lane) + beside(net, lane) for lane in range(len(net.lanes))]
    behind: list[list[int]] = [[] for _ in onward]
    for lane, targets in enumerate(onward):
        for target in targets:
            behind[target].append(lane)
    exits = [len(targets) for targets in onward]
    alive = net.lanes["routable"] == 1
    # neighbours keep each other alive only if one of them leads on
    stack = [lane for lane in range(len(exits)) if alive[lane] and not _leads_on(net, lane, alive)]
    while stack:
        lane = stack.pop()
        if not alive[lane] or _leads_on(net, lane, alive):
            continue
        group = _abreast(net, lane)
        for member in group:
            alive[member] = False
        stack += [i for member in group for i in behind[member] if alive[i]]
    return alive


def _abreast(net: Net, lane: int) -> list[int]:
    """Lane -> itself and all lanes that can be reached from it by lane changes alone."""
    group, stack = {lane}, [lane]
    while stack:
        for i in beside(net, stack.pop()):
            if i not in group:
                group.add(i)
                stack.append(i)
    return sorted(group)


def _leads_on(net: Net, lane: int, alive: np.ndarray) -> bool:
    return any(alive[i] for member in _abreast(net, lane) for i in following(net, member))


def wander(net: Net, alive: np.ndarray, start: int, start_s: float, length_m: float, seed: int) -> tuple[int, ...]:
    """Net, `endless` mask, start, wanted length, seed -> lanes of a random route of at least that length.

    Dead ends are avoided where there is a choice, and so are u-turns; at a dead end the route stops short.
    """
    rng = np.random.default_rng(seed)
    lanes, room, gone = [start], float(net.lanes["length"][start] - start_s), 0.0
    while gone + room < length_m:
        lane = lanes[-1]
        onward = _preferred(net, alive, following(net, lane))
        aside = [i for i in beside(net, lane) if i not in lanes[-3:] and _preferred(net, alive, following(net, i))]
        lively = [i for i in aside if any(alive[j] for j in following(net, i))]
        stuck = not onward or (not alive[onward[0]] and bool(lively))
        if aside and (stuck or (room > CHANGE_ROOM_M and rng.random() < WANDER_CHANGE)):
            choice = lively or aside
            lanes.append(choice[int(rng.integers(len(choice)))])
            room *= float(net.lanes["length"][lanes[-1]] / net.lanes["length"][lane])
            if not stuck:
                onward = _preferred(net, alive, following(net, lanes[-1]))
            else:
                continue
        if not onward:
            break
        gone += room
        lanes.append(onward[int(rng.integers(len(onward)))])
        room = float(net.lanes["length"][lanes[-1]])
    return tuple(lanes)


def _preferred(net: Net, alive: np.ndarray, lanes: list[int]) -> list[int]:
    lively = [i for i in lanes if alive[i]] or lanes
    return [i for i in lively if TURNS[net.lanes["turn"][i]] != "u-turn"] or lively


def instruction(net: Net, traffic_side: str, lanes: tuple[int, ...], start_s: float, end_s: float) -> tuple[str, str]:
    """Route lanes, s on the first and last lane -> command and text of the next thing to do within 150 m."""
    distance = -start_s
    for k, lane in enumerate(lanes):
        last = k + 1 == len(lanes)
        if k > 0 and TURNS[net.lanes["turn"][lane]] != "straight":
            return _turn(TURNS[net.lanes["turn"][lane]], traffic_side, distance)
        if k > 0 and net.lanes["junction"][lane] >= 0 and len(following(net, lanes[k - 1])) > 1:
            return "straight", f"Go straight on {_in(distance)}"
        if last:
            distance += end_s
            break
        if lanes[k + 1] in (net.lanes["left"][lane], net.lanes["right"][lane]):
            side = "left" if lanes[k + 1] == net.lanes["left"][lane] else "right"
            return f"change-{side}", f"Change to the {side} lane"
        distance += float(net.lanes["length"][lane])
        if distance > LOOK_AHEAD_M:
            return "follow", "Follow the road"
    if distance > LOOK_AHEAD_M:
        return "follow", "Follow the road"
    return "arrive", f"You arrive {_in(distance)}"


def _turn(turn: str, traffic_side: str, distance: float) -> tuple[str, str]:
    if turn == "u-turn":
        return ("left" if traffic_side == "right" else "right"), f"Make a U-turn {_in(distance)}"
    return turn, f"Turn {turn} {_in(distance)}"


def _in(distance: float) -> str:
    return "now" if distance < 5.0 else f"in {5 * round(distance / 5)} m"
