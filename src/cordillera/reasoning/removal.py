"""A cause -> the change that takes it out of the world; how each kind of cause is tested by removing it.

Agents and signs are not there, lights are green, a limit is raised on all lanes that have no higher one, a route leads
another way where it forks and goes on where it ends. A bend cannot be taken away without moving all that lies behind
it: there the planner is asked as one to whom bends do not matter.
"""

from __future__ import annotations

from cordillera.reasoning.intervene import Change, Limit, Remove, Reroute
from cordillera.types import Cause
from cordillera.world.roads import Roads
from cordillera.world.world import World

BENDS = frozenset({"curve", "turn"})  # causes that are the shape of the road
ONWARD_M = 250.0  # how far another route leads on from the place where it leaves the planned one


def removal(cause: Cause, world: World, progress_m: float, faster: float = 1.5) -> Change | None:
    """A cause, the drive's world, how far along its route the ego is -> the change that removes it.

    None for what cannot be removed: the shape of the road, the only way there is, a turn that has begun.
    """
    kind, _, number = cause.target.partition(":")
    if kind in ("agent", "signal"):
        return Remove(cause.target)
    if kind != "lane" or not number.isdigit() or int(number) >= len(world.map.lanes):
        return None
    if cause.kind == "speed limit":
        limit = world.map.lanes[int(number)].speed_limit_mps
        lanes = tuple(i for i, lane in enumerate(world.map.lanes) if lane.speed_limit_mps <= limit)
        return Limit(lanes, faster * limit)
    if cause.kind == "route":
        return _elsewhere(world, int(number), progress_m)
    if cause.kind == "destination":
        lanes = world.scenario.route.lanes
        onward = _onward(world.roads, lanes[-1:])
        return Reroute((*lanes, *onward)) if onward else None
    return None


def _elsewhere(world: World, lane: int, progress_m: float) -> Reroute | None:
    """The route without its turn or change into a lane: another way at that fork, the one most like straight on."""
    guide, lanes = world.guide, world.scenario.route.lanes
    for k in range(1, len(lanes)):
        begun = guide.s_m[int((guide.step < k).sum()) - 1] if (guide.step < k).any() else 0.0
        if lanes[k] != lane or begun < progress_m:
            continue
        before = world.map.lanes[lanes[k - 1]]
        ways = [n for n in before.successors if n != lane and world.map.lanes[n].turn != "u-turn"]
        ways.sort(key=lambda n: (world.map.lanes[n].turn != "straight", n))
        for way in ways:
            if world.roads.length(way) > 0.0 and world.roads.net.lanes["routable"][way]:
                return Reroute((*lanes[:k], way, *_onward(world.roads, (way,))))
        return None
    return None


def _onward(roads: Roads, lanes: tuple[int, ...]) -> tuple[int, ...]:
    """The last of some lanes -> the lanes that follow it for a while, straight on where there is a choice."""
    out, gone, last = [], 0.0, lanes[-1]
    while gone < ONWARD_M:
        ways = [n for n in roads.map.lanes[last].successors if roads.net.lanes["routable"][n] and n not in out]
        if not ways:
            break
        last = min(ways, key=lambda n: (roads.map.lanes[n].turn != "straight", n))
        out.append(last)
        gone += roads.length(last)
    return tuple(out)
