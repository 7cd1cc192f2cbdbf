"""Scripted agents and lights: a scenario's scripts and the state now in, where they are 0.1 s later out.

A script is a line and phases; a phase begins when its trigger fires and says how fast the agent goes, how far beside
its line, for whom it brakes and what it shows. All that it remembers stands in its row of `Agents`, so a state can be
saved, branched and continued: `s_m` and `lateral_m` are its place, `task` is 10 + its phase, `wait_s` that phase's
clock. Traffic sees scripted agents as bodies and never moves them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cordillera.geometry import arc_length, resample, wrap_angle, yaw_of
from cordillera.types import (
    PASSABLE_MPS,
    AgentKind,
    Agents,
    EgoState,
    Float,
    Heed,
    Int,
    LightScript,
    Phase,
    Scenario,
    Script,
    Trigger,
    VehicleSpec,
    When,
    WorldState,
)  # fmt: skip
from cordillera.world.lights import LightPlan

SCRIPTED = 10  # `task` of the first phase
SPACING_M = 0.5
STANDS_MPS = 0.3
BEFORE_M, AFTER_M, ASIDE_M = 160.0, 60.0, 8.0  # of a place on the route: where the ego counts as approaching it
HARD_MPS2 = 8.0
ROOM_M = 2.0  # to those it heeds
LOOK_S = 2.5  # it foresees so long where someone crosses its line
VIEW_M = 60.0
LEVEL_M = 2.5
AS_TRAFFIC = {  # what the traffic takes scripted kinds for
    AgentKind.SCHOOL_BUS: AgentKind.BUS, AgentKind.TRACTOR: AgentKind.TRUCK, AgentKind.TRAIN: AgentKind.TRAM,
    AgentKind.POLICE_OFFICER: AgentKind.PEDESTRIAN, AgentKind.FLAGGER: AgentKind.PEDESTRIAN,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Line:
    """A script's line, sampled every 0.5 m, with headings."""

    xyz: Float  # (N, 3)
    yaw: Float  # (N,) of the line, smoothed over 2 m
    length_m: float

    @classmethod
    def of(cls, xyz: Float) -> Line:
        """Points (M, 3) -> the line through them; ValueError where it has no length."""
        points = np.ascontiguousarray(xyz, dtype=np.float64)
        if len(points) < 2 or float(arc_length(points[:, :2])[-1]) < 0.01:
            raise ValueError("a script's line needs two points that are apart")
        dense = resample(points, SPACING_M)
        lag = 2
        ahead = dense[np.minimum(np.arange(len(dense)) + lag, len(dense) - 1), :2]
        behind = dense[np.maximum(np.arange(len(dense)) - lag, 0), :2]
        step = ahead - behind
        return cls(dense, np.unwrap(np.arctan2(step[:, 1], step[:, 0])), float(arc_length(dense[:, :2])[-1]))

    def pose(self, s_m: float) -> tuple[float, float, float, float]:
        """Arc length -> x, y, z and heading there."""
        at = min(max(s_m / self.length_m, 0.0), 1.0) * (len(self.xyz) - 1)
        i = min(int(at), len(self.xyz) - 2)
        t = at - i
        x, y, z = self.xyz[i] + t * (self.xyz[i + 1] - self.xyz[i])
        return float(x), float(y), float(z), float(self.yaw[i] + t * (self.yaw[i + 1] - self.yaw[i]))


class Cast:
    """The scripts of one scenario, compiled; holds what never changes and no state."""

    def __init__(self, scenario: Scenario) -> None:
        self.scripts, self.vehicle = scenario.scripts, scenario.vehicle
        ids = scenario.initial.agents.id.tolist()
        for script in self.scripts:
            if script.agent not in ids or not script.phases:
                raise ValueError(f"scenario {scenario.name!r}: script of agent {script.agent} has no agent or no phase")
        self.rows = [ids.index(script.agent) for script in self.scripts]
        self.row_of = dict(zip((script.agent for script in self.scripts), self.rows, strict=True))
        self.lines = [Line.of(script.xyz) for script in self.scripts]
        self.start_us = scenario.initial.t_us
        self.route = np.ascontiguousarray(scenario.route.xyz[:, :2])
        self.route_m = arc_length(self.route)
        self._masked = bool(self.scripts) or bool(np.isin(scenario.initial.agents.kind, list(PASSABLE_MPS)).any())

    def for_traffic(self, agents: Agents) -> Agents:
        """Agents -> the same as the traffic is to take them: scripted ones as bodies without a lane or task of theirs.

        Those that are not in the scene are made things, so that nobody lets them enter; ground is no body.
        """
        if not self._masked:
            return agents
        kind, valid, lane = agents.kind.copy(), agents.valid.copy(), agents.lane.copy()
        s, wait, task = agents.s_m.copy(), agents.wait_s.copy(), agents.task.copy()
        for row in self.rows:
            kind[row] = _as_traffic(int(kind[row])) if valid[row] else int(AgentKind.CONE)
            lane[row], s[row], wait[row], task[row] = -1, 0.0, 0.0, 0
        for row in np.flatnonzero((kind >= AgentKind.SCHOOL_BUS) & (kind < AgentKind.CONE)):
            kind[row] = _as_traffic(int(kind[row]))
        valid &= ~np.isin(agents.kind, list(PASSABLE_MPS))
        return replace(agents, kind=kind, valid=valid, lane=lane, s_m=s, wait_s=wait, task=task)

    def step(self, state: WorldState, after: Agents, dt_s: float) -> Agents:
        """The state now, and the agents as the traffic has moved them -> the agents after `dt_s`, scripted ones too."""
        if not self._masked:
            return after
        now = state.agents
        fixed = np.flatnonzero(np.isin(now.kind, list(PASSABLE_MPS)))
        columns = {
            name: getattr(after, name).copy()
            for name in ("xyz", "yaw_rad", "speed_mps", "accel_mps2", "lane", "s_m", "valid", "blinker", "wait_s",
                         "lateral_m", "lateral_mps", "task")
        }  # fmt: skip
        columns["shows"] = now.shows.copy()
        for name in columns:
            columns[name][fixed] = getattr(now, name)[fixed]
        for k, row in enumerate(self.rows):
            self._move(k, row, state, columns, dt_s)
        return replace(after, kind=now.kind, **columns)

    # --------------------------------------------------------------- one script

    def _move(self, k: int, row: int, state: WorldState, columns: dict[str, np.ndarray], dt_s: float) -> None:
        """Write where the agent of script k is after `dt_s`."""
        script, line, now = self.scripts[k], self.lines[k], state.agents
        index, clock = self._phase(script, row, state)
        phase = script.phases[index]
        if not phase.visible and index == 0:  # yet to come: it will set out with the speed that it has
            for name, column in columns.items():
                column[row] = getattr(now, name)[row]
            columns["wait_s"][row] = clock + dt_s
            return
        s, speed = float(now.s_m[row]), abs(float(now.speed_mps[row]))
        accel = self._accel(script, phase, line, row, state, s, speed, dt_s)
        fresh = max(speed + accel * dt_s, 0.0)
        s += 0.5 * (speed + fresh) * dt_s
        valid = phase.visible
        if s >= min(line.length_m, phase.stop_at_m) - 1e-3:
            gone = script.at_end == "vanish" and s >= line.length_m - 1e-3
            s, fresh, valid = min(s, line.length_m, max(phase.stop_at_m, float(now.s_m[row]))), 0.0, valid and not gone
        lateral, drift = _aside(float(now.lateral_m[row]), phase, fresh, dt_s)
        put(columns, row, script, line, s, lateral, drift, fresh)
        columns["accel_mps2"][row] = (fresh - speed) / dt_s
        columns["valid"][row], columns["lane"][row] = valid, -1
        counts = _next_waits_standing(script, index) and fresh > STANDS_MPS
        columns["task"][row], columns["wait_s"][row] = SCRIPTED + index, clock if counts else clock + dt_s
        columns["blinker"][row], columns["shows"][row] = phase.blinker, phase.shows

    def _phase(self, script: Script, row: int, state: WorldState) -> tuple[int, float]:
        """The phase that a script is in now, and what its clock shows."""
        index = min(max(int(state.agents.task[row]) - SCRIPTED, 0), len(script.phases) - 1)
        clock = float(state.agents.wait_s[row])
        while index + 1 < len(script.phases) and self._fires(script.phases[index + 1].trigger, row, clock, state):
            index, clock = index + 1, 0.0
        return index, clock

    def _fires(self, trigger: Trigger, row: int, clock_s: float, state: WorldState) -> bool:
        when, value = trigger.when, trigger.value
        if when is When.ALWAYS:
            return True
        if when is When.TIME:
            return (state.t_us - self.start_us) * 1e-6 >= value - 1e-9
        if when in (When.AFTER, When.STOOD):
            return clock_s >= value - 1e-9
        if when is When.REACHED:
            return float(state.agents.s_m[row]) >= value - 0.05
        if when is When.PHASE_OF:
            if trigger.other not in self.row_of:
                raise ValueError(f"a trigger names agent {trigger.other}, which has no script")
            return int(state.agents.task[self.row_of[trigger.other]]) - SCRIPTED >= value
        left, speed = self.ego_before(trigger.at_m, state.ego), state.ego.speed_mps
        if when is When.EGO_NEAR:
            return left <= value
        if when is When.EGO_DUE:
            return left <= value * max(speed, 0.0)
        return abs(speed) < STANDS_MPS and -2.0 <= left <= value

    def ego_before(self, at_m: float, ego: EgoState) -> float:
        """How far the ego's front is before a place on its route (negative past it), inf where it is not near it."""
        first = max(int(np.searchsorted(self.route_m, at_m - BEFORE_M)) - 1, 0)
        last = min(int(np.searchsorted(self.route_m, at_m + AFTER_M)) + 1, len(self.route_m) - 1)
        yaw = float(yaw_of(ego.quat_xyzw))
        nose = self.vehicle.rear_axle_to_center_m + 0.5 * self.vehicle.length_m
        front = ego.xyz[:2] + nose * np.array([math.cos(yaw), math.sin(yaw)])
        a = self.route[first:last]
        step = self.route[first + 1 : last + 1] - a
        length2 = np.maximum(np.einsum("ij,ij->i", step, step), 1e-12)
        t = np.clip(np.einsum("ij,ij->i", front - a, step) / length2, 0.0, 1.0)
        gap = a + t[:, None] * step - front
        away2 = np.einsum("ij,ij->i", gap, gap)
        best = int(np.argmin(away2))
        if away2[best] > ASIDE_M**2:
            return math.inf
        return at_m - float(self.route_m[first + best] + t[best] * math.sqrt(length2[best]))

    def _accel(
        self, script: Script, phase: Phase, line: Line, row: int, state: WorldState, s: float, speed: float, dt_s: float
    ) -> float:
        """What the agent's feet do: towards its speed or pace, in time for its end, and for those it heeds."""
        wanted = phase.speed_mps
        if not math.isnan(phase.pace_m):
            ego_s = _station(line, _center(state.ego, self.vehicle))
            wanted = min(max(state.ego.speed_mps + 0.4 * (ego_s + phase.pace_m - s), 0.0), phase.speed_mps)
        end = min(phase.stop_at_m, line.length_m if script.at_end == "stop" else math.inf)
        left = end - s
        if left < math.inf:  # the speed from which the brakes still stop it there
            wanted = min(wanted, math.sqrt(2.0 * 0.9 * phase.brake_mps2 * max(left - 0.5 * speed * dt_s, 0.0)))
        accel = min(max((wanted - speed) / dt_s, -phase.brake_mps2), phase.accel_mps2)
        if phase.heeds is not Heed.NOBODY:
            accel = min(accel, self._heed(script, phase, line, row, state, s, speed))
        return accel

    def _heed(
        self, script: Script, phase: Phase, line: Line, row: int, state: WorldState, s: float, speed: float
    ) -> float:
        """The acceleration that leaves room to those on its line, and to the ego where it is about to cross it."""
        agents, size = state.agents, state.agents.size_lwh[row]
        x, y, yaw = *_center(state.ego, self.vehicle), float(yaw_of(state.ego.quat_xyzw))
        v = state.ego.speed_mps
        bodies: list[tuple[float, ...]] = [(x, y, yaw, v, self.vehicle.length_m, self.vehicle.width_m)]
        here = line.pose(s)[3]
        if abs(math.sin(yaw - here)) > 0.5:
            for t in np.arange(0.5, LOOK_S + 0.1, 0.5):
                ahead = (x + v * t * math.cos(yaw), y + v * t * math.sin(yaw))
                bodies.append((*ahead, yaw, 0.0, self.vehicle.length_m, self.vehicle.width_m))
        if phase.heeds is Heed.EVERYONE:
            apart = np.hypot(agents.xyz[:, 0] - agents.xyz[row, 0], agents.xyz[:, 1] - agents.xyz[row, 1])
            level = np.abs(agents.xyz[:, 2] - agents.xyz[row, 2]) < LEVEL_M
            near = agents.valid & level & (apart < VIEW_M) & ~np.isin(agents.kind, list(PASSABLE_MPS))
            for other in np.flatnonzero(near):
                if other != row:
                    box = agents.size_lwh[other]
                    pose = (*agents.xyz[other, :2], agents.yaw_rad[other], agents.speed_mps[other])
                    bodies.append((*map(float, pose), float(box[0]), float(box[1])))
        worst = math.inf
        offset = float(agents.lateral_m[row])
        for gap, along in _gaps(line, s, offset, size, bodies):
            room = max(gap, 0.05)
            wish = ROOM_M + 0.8 * speed + max(speed * (speed - along), 0.0) / (2.0 * math.sqrt(2.0 * 3.0))
            worst = min(worst, 2.0 * (1.0 - (speed / max(phase.speed_mps, 0.1)) ** 4 - (wish / room) ** 2))
        return max(worst, -HARD_MPS2)


def put(
    columns: dict[str, np.ndarray], row: int, script: Script, line: Line, s: float, lateral: float, drift: float,
    speed: float,
) -> None:  # fmt: skip
    """Write pose and place of a scripted agent to its row of the columns."""
    x, y, z, yaw = line.pose(s)
    lean = math.atan2(drift, speed) if speed > 0.2 else 0.0
    heading = yaw + (-lean + math.pi if script.backwards else lean)
    columns["xyz"][row] = (x - lateral * math.sin(yaw), y + lateral * math.cos(yaw), z)
    columns["yaw_rad"][row] = float(wrap_angle(heading))
    columns["speed_mps"][row] = -speed if script.backwards else speed
    columns["s_m"][row], columns["lateral_m"][row], columns["lateral_mps"][row] = s, lateral, drift


def _aside(lateral: float, phase: Phase, speed: float, dt_s: float) -> tuple[float, float]:
    """Offset from the line, phase and speed -> the offset after `dt_s` and its rate; nobody moves sideways at rest."""
    most = min(phase.aside_mps, 0.7 * speed)
    gap = phase.aside_m - lateral
    rate = max(min(gap / dt_s, most, math.sqrt(4.0 * abs(gap)) + 0.05), -most, -math.sqrt(4.0 * abs(gap)) - 0.05)
    return lateral + rate * dt_s, rate


def _next_waits_standing(script: Script, index: int) -> bool:
    return index + 1 < len(script.phases) and script.phases[index + 1].trigger.when is When.STOOD


def _as_traffic(kind: int) -> int:
    return int(AS_TRAFFIC.get(AgentKind(kind), kind))


def _center(ego: EgoState, vehicle: VehicleSpec) -> tuple[float, float]:
    yaw = float(yaw_of(ego.quat_xyzw))
    aft = vehicle.rear_axle_to_center_m
    return float(ego.xyz[0]) + aft * math.cos(yaw), float(ego.xyz[1]) + aft * math.sin(yaw)


def _station(line: Line, xy: tuple[float, float]) -> float:
    """Point -> arc length of the line's nearest place; beyond its ends it goes on along them."""
    gap = line.xyz[:, :2] - xy
    i = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
    c, n = math.cos(line.yaw[i]), math.sin(line.yaw[i])
    return i * line.length_m / (len(line.xyz) - 1) - float(gap[i, 0] * c + gap[i, 1] * n)


def _gaps(
    line: Line, s: float, offset: float, size: Float, bodies: list[tuple[float, ...]]
) -> list[tuple[float, float]]:  # fmt: skip
    """Boxes (x, y, yaw, speed, length, width) -> gap along the line and speed along it, of those in the way ahead."""
    step = line.length_m / (len(line.xyz) - 1)
    first = max(int(s / step) - 4, 0)
    part = line.xyz[first : first + int(VIEW_M / step), :2]
    if not len(part):
        return []
    found = []
    for x, y, yaw, speed, length, width in bodies:
        gap = part - (x, y)
        i = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        heading = float(line.yaw[first + i])
        c, n = math.cos(heading), math.sin(heading)
        along = (first + i) * step - float(gap[i, 0] * c + gap[i, 1] * n)
        aside = float(gap[i, 0] * n - gap[i, 1] * c) - offset
        ca, na = abs(math.cos(yaw - heading)), abs(math.sin(yaw - heading))
        across = 0.5 * (length * na + width * ca)
        if along > s and abs(aside) < across + 0.5 * float(size[1]) + 0.4:
            room = along - s - 0.5 * (length * ca + width * na) - 0.5 * float(size[0])
            found.append((room, speed * math.cos(yaw - heading)))
    return found


def start_row(script: Script, s_m: float, speed_mps: float) -> dict[str, np.ndarray]:
    """A script, where on its line it begins and how fast -> one-row columns of `Agents` in its first phase."""
    columns = {
        "xyz": np.zeros((1, 3)), "yaw_rad": np.zeros(1), "speed_mps": np.zeros(1), "accel_mps2": np.zeros(1),
        "s_m": np.zeros(1), "lateral_m": np.zeros(1), "lateral_mps": np.zeros(1), "wait_s": np.zeros(1),
        "lane": np.full(1, -1), "task": np.full(1, SCRIPTED), "blinker": np.full(1, script.phases[0].blinker),
        "shows": np.full(1, int(script.phases[0].shows)), "valid": np.full(1, script.phases[0].visible),
    }  # fmt: skip
    put(columns, 0, script, Line.of(script.xyz), s_m, script.phases[0].aside_m, 0.0, speed_mps)
    return columns


def light_states(plan: LightPlan, scripts: tuple[LightScript, ...], t_us: int, start_us: int = 0) -> Int:
    """Programmes, scripts and the time -> LightState of every signal (S,); of two scripts the later rules."""
    out = plan.states(t_us)
    for script in scripts:
        passed = (t_us - start_us) * 1e-6
        if script.from_s <= passed < script.until_s:
            rows = list(script.signals)
            if script.shows is None:
                out[rows] = plan.states(t_us - round(script.late_s * 1e6))[rows]
            else:
                out[rows] = int(script.shows)
    return out
