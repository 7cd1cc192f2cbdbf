"""A cause -> the change that takes it out of the world; how each kind of cause is tested by removing it.

Agents and signs are not there, lights are green, a limit is raised on all lanes that have no higher one, a route leads
another way where it forks and goes on where it ends, as does the road. A bend cannot be taken away without moving what
lies behind it: there the planner is asked as one to whom bends do not matter.
"""

from __future__ import annotations

import numpy as np

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.reasoning.intervene import Change, Limit, Remove, Reroute
from cordillera.reasoning.kinds import KINDS, kind_of_agent
from cordillera.types import Cause, LightState, RoadMap, SignalKind, WorldState
from cordillera.world.roads import Roads
from cordillera.world.world import World

BENDS = frozenset({"curve", "turn"})  # causes that are the shape of the road
AROUND_M, AROUND = 80.0, 12  # how far and how many things around the ego are tried as causes that nobody named
GOING = (LightState.GREEN, LightState.OFF)
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
        return Reroute((*lanes, *onward), 0.0 if onward else ONWARD_M)
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


def around(world: World, state: WorldState) -> list[str]:
    """A state -> what around the ego might make it slow down, the nearest first: agents, and lights and signs ahead."""
    agents, ego = state.agents, state.ego
    found = [
        (float(np.hypot(*(agents.xyz[row, :2] - ego.xyz[:2]))), f"agent:{int(agents.id[row])}")
        for row in np.flatnonzero(agents.valid)
    ]
    for signal in {rule.signal for lane in world.scenario.route.lanes for rule in world.roads.regulations(lane)}:
        row = world.map.signals[signal]
        if row.kind is not SignalKind.TRAFFIC_LIGHT or state.signals[signal] not in GOING:
            found.append((float(np.hypot(*(row.xyz[:2] - ego.xyz[:2]))), f"signal:{signal}"))
    return [name for far, name in sorted(found) if far < AROUND_M][:AROUND]


def plain_cause(target: str, road_map: RoadMap, state: WorldState) -> Cause:
    """An agent, light or sign in a state -> it as a cause, in the plainest words that there are for it."""
    what, _, number = target.partition(":")
    if what == "agent":
        row = int(np.flatnonzero(state.agents.id == int(number))[0])
        kind, xyz = kind_of_agent(int(state.agents.kind[row])), state.agents.xyz[row]
        turned = abs(float(wrap_angle(state.agents.yaw_rad[row] - yaw_of(state.ego.quat_xyzw))))
        way = "coming the other way" if turned > 2.4 else "crossing ahead" if turned > 0.6 else "ahead in the ego lane"
        relation = way if way in KINDS[kind].relations else KINDS[kind].relations[0]
    else:
        signal = road_map.signals[int(number)]
        xyz, shown = signal.xyz, LightState(int(state.signals[int(number)]))
        kind, relation = (
            {SignalKind.STOP: "stop sign", SignalKind.GIVE_WAY: "give-way sign"}.get(signal.kind, "traffic light"),
            "regulates the lane ahead",
        )
        if kind == "traffic light":
            relation = {
                LightState.AMBER: "amber at the stop line ahead", LightState.FLASHING_RED: "flashing red",
                LightState.FLASHING_AMBER: "flashing amber", LightState.GREEN: "green", LightState.OFF: "dark",
            }.get(shown, "red at the stop line ahead")  # fmt: skip
    far = float(np.hypot(*(xyz[:2] - state.ego.xyz[:2])))
    return Cause(kind, target, relation, state.t_us, far, "longitudinal")
