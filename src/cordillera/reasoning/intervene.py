"""Recorded drives and changes to them -> what would have been: objects and rules removed, inserted, shifted.

A change is data; applying it is a pure function of a state or a map. The past is observed again with the change in it,
and the drive goes on from there in closed loop. Rows and identities of agents stay as they are, and the traffic draws
by identity, so everyone else keeps his random numbers. Without a change the original comes out, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

import numpy as np

from cordillera.geometry import resample
from cordillera.sensors.observe import HISTORY, Observer, Window
from cordillera.types import (
    AgentKind,
    Agents,
    Controls,
    Float,
    Lane,
    LightState,
    Observation,
    RoadMap,
    Rollout,
    Route,
    Scenario,
    SignalKind,
    WorldState,
)
from cordillera.world.guide import Guide
from cordillera.world.lights import light_groups
from cordillera.world.roads import ROUTE_SPACING_M, compile_map
from cordillera.world.world import World, WorldConfig

PAST = HISTORY + 4  # states before now that an observation can hold anything of
OUT_OF_SIGHT_M = 1000.0  # a sign that is gone is so far below the ground


@dataclass(frozen=True)
class Remove:
    """An agent or sign is not there, a light shows green; `target` as in `Cause`: "agent:17", "signal:3"."""

    target: str


@dataclass(frozen=True)
class Insert:
    """One more agent, standing or moving along its heading off the lanes, or on a lane as traffic."""

    identity: int  # not yet in use
    kind: AgentKind
    xyz: tuple[float, float, float]  # world, centre of the footprint, on the ground
    yaw_rad: float
    size_lwh: tuple[float, float, float]
    speed_mps: float = 0.0
    lane: int = -1
    s_m: float = 0.0


@dataclass(frozen=True)
class Shift:
    """An agent stands elsewhere or has another speed: forward along its lane or heading, to its left, and faster."""

    target: str
    forward_m: float = 0.0
    left_m: float = 0.0
    faster_mps: float = 0.0


@dataclass(frozen=True)
class Show:
    """A light, and those that change with it, shows a state and keeps it."""

    target: str
    state: LightState


@dataclass(frozen=True)
class Limit:
    """Lanes have another speed limit."""

    lanes: tuple[int, ...]
    speed_mps: float


@dataclass(frozen=True)
class Reroute:
    """The route runs over other lanes: it begins where it did, and ends at the end of the last of them; () as it is.

    `longer_m`: the last lane goes straight on so far beyond its end, for roads that end with the route.
    """

    lanes: tuple[int, ...]
    longer_m: float = 0.0


Change = Remove | Insert | Shift | Show | Limit | Reroute
Changes = tuple[Change, ...]


# ---------------------------------------------------------------- states and maps


def changed_state(state: WorldState, changes: Changes, road_map: RoadMap) -> WorldState:
    """A state and changes -> the changed state; the very same one without changes. ValueError for unknown targets."""
    for change in changes:
        if isinstance(change, Remove | Show):
            state = _held(state, change, road_map)
        elif isinstance(change, Insert):
            state = replace(state, agents=_with(state.agents, change))
        elif isinstance(change, Shift):
            state = replace(state, agents=_shifted(state.agents, change, road_map))
    return state


def changed_map(road_map: RoadMap, changes: Changes) -> RoadMap:
    """A map and changes -> the map without the removed signs and with other limits; the same one where none apply."""
    lasting = tuple(
        c
        for c in changes
        if isinstance(c, Limit)
        or (isinstance(c, Remove) and _is_sign(road_map, c.target))
        or (isinstance(c, Reroute) and c.longer_m)
    )
    return _rebuilt(road_map, lasting) if lasting else road_map


@lru_cache(maxsize=16)
def _rebuilt(road_map: RoadMap, changes: Changes) -> RoadMap:
    lanes, signals, conflicts = list(road_map.lanes), list(road_map.signals), road_map.conflicts
    for change in changes:
        if isinstance(change, Limit):
            for lane in change.lanes:
                lanes[lane] = replace(lanes[lane], speed_limit_mps=change.speed_mps)
            ruled = set(change.lanes)
            for at, signal in enumerate(signals):
                if signal.kind is SignalKind.SPEED_LIMIT and ruled & set(signal.lanes):
                    signals[at] = replace(signal, value=change.speed_mps)
        elif isinstance(change, Reroute):
            last = change.lanes[-1]
            lanes[last] = _longer(lanes[last], change.longer_m)
        elif isinstance(change, Remove):
            at = int(_number(change.target, "signal", len(signals)))
            ruled = set(signals[at].lanes) | {n for lane in signals[at].lanes for n in lanes[lane].successors}
            if signals[at].kind is SignalKind.GIVE_WAY:
                conflicts = tuple(replace(c, yields=False) if c.lane in ruled else c for c in conflicts)
            sunk = signals[at].xyz - np.array([0.0, 0.0, OUT_OF_SIGHT_M])
            signals[at] = replace(
                signals[at], kind=SignalKind.OTHER, xyz=sunk, lanes=(), stop_lines=(), code="", value=float("nan")
            )
    return replace(road_map, lanes=tuple(lanes), signals=tuple(signals), conflicts=conflicts)


def _longer(lane: Lane, metres: float) -> Lane:
    """A lane -> the same, straight on beyond its end."""
    ahead = lane.center_xyz[-1] - lane.center_xyz[-2]
    step = metres * ahead / np.linalg.norm(ahead)
    center, left, right = (
        np.vstack([line, line[-1] + step]) for line in (lane.center_xyz, lane.left_xyz, lane.right_xyz)
    )
    return replace(lane, center_xyz=center, left_xyz=left, right_xyz=right)


def changed_route(route: Route, changes: Changes, original: RoadMap, road_map: RoadMap) -> Route:
    """A route and changes -> the route for the changed map; the same one where neither it nor the map is changed.

    Planners may keep what they worked out with a route, so a route on a changed map is an object of its own.
    """
    lanes = next((c.lanes for c in reversed(changes) if isinstance(c, Reroute)), None)
    own = lanes is not None or road_map is not original
    return _route_over(route, lanes or (), road_map) if own else route


@lru_cache(maxsize=16)
def _route_over(route: Route, lanes: tuple[int, ...], road_map: RoadMap) -> Route:
    if not lanes:
        return replace(route)
    roads = compile_map(road_map)
    start, _ = roads.project(lanes[0], float(route.xyz[0, 0]), float(route.xyz[0, 1]))
    line = roads.route_line(lanes, start, roads.length(lanes[-1]))
    return replace(route, xyz=resample(line, ROUTE_SPACING_M), lanes=lanes)


def _is_sign(road_map: RoadMap, target: str) -> bool:
    if not target.startswith("signal:"):
        return False
    kind = road_map.signals[_number(target, "signal", len(road_map.signals))].kind
    return kind not in (SignalKind.TRAFFIC_LIGHT, SignalKind.PEDESTRIAN_LIGHT)


def _held(state: WorldState, change: Remove | Show, road_map: RoadMap) -> WorldState:
    """A state -> the same with an agent away or lights showing something; applied again after every step."""
    if change.target.startswith("agent:"):
        row = _row(state.agents, change.target)
        valid, kind = state.agents.valid.copy(), state.agents.kind.copy()
        valid[row], kind[row] = False, AgentKind.CONE  # a thing that is not there never enters the scene
        return replace(state, agents=replace(state.agents, valid=valid, kind=kind))
    at = _number(change.target, "signal", len(road_map.signals))
    if isinstance(change, Remove) and _is_sign(road_map, change.target):
        return state
    signals = state.signals.copy()
    signals[list(_together(road_map, at))] = change.state if isinstance(change, Show) else LightState.GREEN
    return replace(state, signals=signals)


@lru_cache(maxsize=64)
def _together(road_map: RoadMap, signal: int) -> tuple[int, ...]:
    """The lights that change with one."""
    return next((group for group in light_groups(road_map) if signal in group), (signal,))


def _with(agents: Agents, new: Insert) -> Agents:
    if new.identity in agents.id.tolist():
        raise ValueError(f"agent {new.identity} is there already; insert it under another identity")
    row = {
        "id": new.identity, "kind": int(new.kind), "xyz": new.xyz, "yaw_rad": new.yaw_rad, "speed_mps": new.speed_mps,
        "accel_mps2": 0.0, "size_lwh": new.size_lwh, "lane": new.lane, "s_m": new.s_m, "valid": True, "blinker": 0,
        "wait_s": 0.0, "crossing": -1, "lateral_m": 0.0, "lateral_mps": 0.0, "task": 0, "shows": 0,
    }  # fmt: skip
    grown = {}
    for name, value in row.items():
        column = getattr(agents, name)
        grown[name] = np.concatenate([column, np.asarray([value], dtype=column.dtype if len(column) else None)])
    return Agents(**grown)


def _shifted(agents: Agents, change: Shift, road_map: RoadMap) -> Agents:
    row = _row(agents, change.target)
    xyz, s, speed = agents.xyz.copy(), agents.s_m.copy(), agents.speed_mps.copy()
    yaw, lateral = agents.yaw_rad.copy(), agents.lateral_m.copy()
    c, n = np.cos(yaw[row]), np.sin(yaw[row])
    speed[row] = max(speed[row] + change.faster_mps, 0.0)
    xyz[row, :2] += change.forward_m * np.array([c, n]) + change.left_m * np.array([-n, c])
    s[row] += change.forward_m
    lateral[row] += change.left_m
    lane = int(agents.lane[row])
    if lane >= 0 and change.forward_m:
        roads = compile_map(road_map)
        s[row] = min(max(s[row], 0.0), roads.length(lane))
        center, heading = roads.pose(lane, float(s[row]))
        xyz[row] = np.asarray(center) + lateral[row] * np.array([-np.sin(heading), np.cos(heading), 0.0])
        yaw[row] = heading
    return replace(agents, xyz=xyz, s_m=s, speed_mps=speed, yaw_rad=yaw, lateral_m=lateral)


def _row(agents: Agents, target: str) -> int:
    kind, _, number = target.partition(":")
    rows = np.flatnonzero(agents.id == int(number)) if kind == "agent" and number.lstrip("-").isdigit() else ()
    if len(rows) == 0:
        raise ValueError(f"there is no {target!r} in the state; targets of agents are 'agent:' and an identity in it")
    return int(rows[0])


def _number(target: str, kind: str, count: int) -> int:
    found, _, number = target.partition(":")
    if found != kind or not number.isdigit() or int(number) >= count:
        raise ValueError(f"there is no {target!r} on the map; expected '{kind}:' and a number below {count}")
    return int(number)


# ---------------------------------------------------------------- the past, observed again


def states_of(rollout: Rollout) -> tuple[WorldState, ...]:
    """All states of a rollout in order, the final one included."""
    return (*(step.state for step in rollout.steps), rollout.final)


def progress_along(guide: Guide, states: Sequence[WorldState]) -> Float:
    """States from the start of a drive on -> progress along the route at each (N,), as the loop reckons it."""
    out, before = np.zeros(len(states)), 0.0
    for k, state in enumerate(states):
        before = out[k] = guide.progress(float(state.ego.xyz[0]), float(state.ego.xyz[1]), before)
    return out


def window_at(states: Sequence[WorldState], k: int, observer: Observer, changes: Changes, road_map: RoadMap) -> Window:
    """States of a drive -> what was sensed up to the k-th, had the changes been there all the time."""
    first = max(k - PAST, 0)
    window = observer.begin(changed_state(states[first], changes, road_map))
    if first:
        window = replace(window, tf_local_world=observer.begin(states[0]).tf_local_world)
    for state in states[first + 1 : k + 1]:
        window = observer.push(window, changed_state(state, changes, road_map))
    return window


def observation_at(
    states: Sequence[WorldState], k: int, world: World, observer: Observer, progress_m: float, changes: Changes = (),
    known: Window | None = None,
) -> Observation:  # fmt: skip
    """The k-th state of a drive -> the observation of then with its truth, had the changes been there.

    `world` is the drive's own; `observer` renders the changed scene where signs are changed. `known` is what was
    sensed without changes, if it is known: without cameras no change touches the past, which is the ego's alone.
    """
    road_map = changed_map(world.map, changes)
    if known is None or observer.cameras:
        window = window_at(states, k, observer, changes, world.map)
    else:
        window = replace(known, state=changed_state(states[k], changes, world.map))
    route = changed_route(world.scenario.route, changes, world.map, road_map)
    guide = world.guide if route.lanes == world.scenario.route.lanes else Guide.of(compile_map(road_map), route)
    return observer.observe(window, guide.ahead(progress_m), road_map, route)


# ---------------------------------------------------------------- going on from there


@dataclass(frozen=True, eq=False)
class _From(Guide):
    """A guide whose first look is where the drive goes on."""

    from_m: float = 0.0

    def progress(self, x: float, y: float, before_m: float) -> float:
        return super().progress(x, y, before_m or self.from_m)


class Branch(World):
    """The world of a drive from its k-th state on, with changes that last; `reset` gives that state."""

    def __init__(self, rollout: Rollout, k: int, changes: Changes = (), config: WorldConfig | None = None) -> None:
        states = states_of(rollout)
        super().__init__(rollout.scenario, config)
        self.original = self.map
        road_map = changed_map(self.original, changes)
        route = changed_route(rollout.scenario.route, changes, self.original, road_map)
        if route is not rollout.scenario.route:
            super().__init__(replace(rollout.scenario, route=route), config, road_map)
        before = progress_along(self.guide, states[:k])
        guide = self.guide
        self.guide = _From(guide.roads, guide.route, guide.s_m, guide.step, float(before[-1]) if k else 0.0)
        self.changes = tuple(c for c in changes if isinstance(c, Remove | Show))
        self.begin = changed_state(states[k], changes, self.original)

    def reset(self) -> WorldState:
        """The state in which the branch begins."""
        return self.begin

    def step(self, state: WorldState, controls: Controls) -> WorldState:
        """As the world's, with the changes made again."""
        return changed_state(super().step(state, controls), self.changes, self.original)


@dataclass(frozen=True, eq=False)
class Resumed(Observer):
    """An observer whose drive goes on: it begins with a past that it has seen."""

    past: Window | None = field(default=None)

    def begin(self, state: WorldState) -> Window:
        """The past, whose last state is `state`."""
        if self.past is None or self.past.state.t_us != state.t_us:
            raise ValueError("the observer resumes another moment than the one that the world begins with")
        return self.past


def branch(
    rollout: Rollout, k: int, observer: Observer, changes: Changes = (), config: WorldConfig | None = None
) -> tuple[Scenario, Branch, Resumed]:
    """The k-th state of a drive and changes -> what `loop.roll_out` takes to drive on from there.

    `observer` is the drive's own, or, where signs are changed, one that renders them so. `config` must be the drive's.
    """
    world = Branch(rollout, k, changes, config)
    past = window_at(states_of(rollout), k, observer, changes, world.original)
    senses = {f.name: getattr(observer, f.name) for f in fields(Observer)}
    return world.scenario, world, Resumed(**senses, past=past)
