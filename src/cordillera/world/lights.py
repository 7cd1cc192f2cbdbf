"""Traffic lights: map and seed in, what every signal shows at any time out.

Lights that change together are a group; groups whose lanes conflict form a junction and take turns. The programs are
fixed in time, so the state of all lights is a function of the clock and needs no memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from cordillera.geometry import arc_length
from cordillera.types import Float, Int, RoadMap, SignalKind
from cordillera.world.chance import draw, pick
from cordillera.world.regions import REGIONS

REACH_M = 40.0  # from the lanes of a light to the start of the last lane that it guards


@dataclass(frozen=True)
class LightTimes:
    """The intervals of a region's lights in seconds."""

    red_amber_s: float = 0.0
    all_red_s: float = 2.0
    green_min_s: float = 10.0
    green_max_s: float = 16.0
    cycle_green_s: float = 32.0  # all greens of a cycle together, where that leaves each one 6 s
    walk_clearance_s: float = 7.0  # pedestrians see red this long before vehicles move

    @classmethod
    def of_region(cls, region: str) -> LightTimes:
        """A country code -> its intervals, with the red-amber that `regions` gives it; Austria shows 1 s as Germany."""
        rules = REGIONS.get({"AT": "DE"}.get(region, region))
        return cls(red_amber_s=rules.red_amber_s if rules else 0.0)

    @staticmethod
    def amber_s(speed_limit_mps: float) -> float:
        """The amber before red: 3 s to 50 km/h, 4 s to 60 km/h, 5 s above (RiLSA 2015)."""
        kmh = speed_limit_mps * 3.6
        return 3.0 if kmh <= 51.0 else 4.0 if kmh <= 61.0 else 5.0


@dataclass(frozen=True, eq=False)
class LightPlan:
    """Programs of all signals, one row each: within its period a light is green from `start`, then amber, then red."""

    period_us: Int  # (S,) 0 where the signal is no light
    start_us: Int  # (S,) the green begins, within the period
    green_us: Int  # (S,)
    amber_us: Int  # (S,)
    red_amber_us: Int  # (S,) before the green
    phase: Int  # (S,) which turn of its junction, -1 where the signal is no light
    junction: Int  # (S,) which junction, -1 for none

    def states(self, t_us: int) -> Int:
        """Time -> LightState of every signal (S,); OFF for what is no light."""
        return _states(self.period_us, self.start_us, self.green_us, self.amber_us, self.red_amber_us, t_us)


@njit(cache=True)
def light_state(period: int, start: int, green: int, amber: int, red_amber: int, t: int) -> int:
    """One light's program and the time, all in microseconds -> its LightState code."""
    return light_at(period, green, amber, red_amber, (t - start) % period if period > 0 else 0)


@njit(cache=True)
def light_at(period: int, green: int, amber: int, red_amber: int, phase: int) -> int:
    """One light's program and the time since the start of its period, in microseconds -> its LightState code."""
    if period <= 0:
        return 0  # OFF
    if phase < green:
        return 4  # GREEN
    if phase < green + amber:
        return 3  # AMBER
    if phase >= period - red_amber:
        return 2  # RED_AMBER
    return 1  # RED


@njit(cache=True)
def _states(period: Int, start: Int, green: Int, amber: Int, red_amber: Int, t: int) -> Int:
    out = np.empty(len(period), dtype=np.int64)
    for i in range(len(period)):
        out[i] = light_state(period[i], start[i], green[i], amber[i], red_amber[i], t)
    return out


# ----------------------------------------------------------------- compilation


def compile_lights(road_map: RoadMap, seed: int, region: str = "") -> LightPlan:
    """A map, a seed and a region ("" takes the map's) -> the programs of its lights; drawn by hash, so repeatable."""
    times = LightTimes.of_region(region or road_map.region)
    conflicts = _conflicts_by_lane(road_map)
    groups = light_groups(road_map)
    lit = {lane for group in groups for i in group for lane in road_map.signals[i].lanes}
    moves = [_movements(road_map, group, lit) for group in groups]
    rows = np.zeros((7, len(road_map.signals)), dtype=np.int64)
    rows[5:] = -1
    for number, junction in enumerate(_junctions(road_map, conflicts, groups, moves)):
        turns = _turns(conflicts, junction, moves)
        _programme(road_map, times, seed, number, [[groups[g] for g in turn] for turn in turns], rows)
    _pedestrian_lights(road_map, times, groups, moves, rows)
    return LightPlan(*rows)


def light_groups(road_map: RoadMap) -> tuple[tuple[int, ...], ...]:
    """A map -> its vehicle lights in groups that change together.

    A group is what the file calls one. Lights without a group join those that regulate the same lane, and those at
    the same junction whose lanes enter it in the same direction (within 30 degrees).
    """
    lights = [i for i, s in enumerate(road_map.signals) if s.kind == SignalKind.TRAFFIC_LIGHT]
    union = _Union(len(road_map.signals))
    by_name: dict[str, int] = {}
    by_lane: dict[int, int] = {}
    for i in lights:
        signal = road_map.signals[i]
        if signal.group:
            union.join(by_name.setdefault(signal.group, i), i)
        for lane in signal.lanes:
            union.join(by_lane.setdefault(lane, i), i)
    loose = [i for i in lights if not road_map.signals[i].group and road_map.signals[i].lanes]
    for n, i in enumerate(loose):
        for j in loose[:n]:
            same_place = _place(road_map, i) == _place(road_map, j)
            turn = math.remainder(_heading(road_map, i) - _heading(road_map, j), 2.0 * math.pi)
            if same_place and abs(turn) < math.radians(30.0):
                union.join(j, i)
    return union.sets(lights)


class _Union:
    """Disjoint sets over 0 .. count - 1; the least member stands for its set, so the order of joins does not show."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        a, b = self.root(i), self.root(j)
        self._parent[max(a, b)] = min(a, b)

    def sets(self, members: list[int]) -> tuple[tuple[int, ...], ...]:
        found: dict[int, list[int]] = {}
        for i in members:
            found.setdefault(self.root(i), []).append(i)
        return tuple(tuple(found[root]) for root in sorted(found))


def _place(road_map: RoadMap, signal: int) -> str:
    """The junction that a light guards: of its lanes, or of the lanes after them; its own number if there is none."""
    for lane in road_map.signals[signal].lanes:
        for step in (lane, *road_map.lanes[lane].successors):
            if road_map.lanes[step].junction:
                return road_map.lanes[step].junction
    return f"signal {signal}"


def _heading(road_map: RoadMap, signal: int) -> float:
    """The direction in which the first regulated lane sets out, or ends where it leads to the junction."""
    lane = road_map.lanes[road_map.signals[signal].lanes[0]]
    step = lane.center_xyz[1] - lane.center_xyz[0] if lane.junction else lane.center_xyz[-1] - lane.center_xyz[-2]
    return math.atan2(step[1], step[0])


def _conflicts_by_lane(road_map: RoadMap) -> dict[int, set[int]]:
    """Lane -> the lanes that cross it or merge with it."""
    found: dict[int, set[int]] = {}
    for conflict in road_map.conflicts:
        if conflict.kind != "diverge":
            found.setdefault(conflict.lane, set()).add(conflict.other)
    return found


def _movements(road_map: RoadMap, group: tuple[int, ...], lit: set[int]) -> set[int]:
    """A group -> the lanes on which its green lets traffic run: its own and what follows, as far as a junction reaches.

    Lanes in `lit` have lights; where they come after the group's own, those lights rule.
    """
    own = {lane for i in group for lane in road_map.signals[i].lanes}
    moves: set[int] = set()
    front = [(lane, 0.0) for lane in sorted(own)]
    while front:
        lane, gone = front.pop()
        moves.add(lane)
        if gone < REACH_M:
            after = [i for i in road_map.lanes[lane].successors if i not in moves and i not in lit]
            front += [(i, gone + float(arc_length(road_map.lanes[i].center_xyz[:, :2])[-1])) for i in after]
    return moves


def _at_odds(conflicts: dict[int, set[int]], a: set[int], b: set[int]) -> bool:
    return any(not conflicts.get(lane, set()).isdisjoint(b) for lane in a)


def _junctions(
    road_map: RoadMap, conflicts: dict[int, set[int]], groups: tuple[tuple[int, ...], ...], moves: list[set[int]]
) -> list[list[int]]:
    """Groups that conflict, or stand at one junction, take turns together -> lists of group numbers."""
    union = _Union(len(groups))
    places = [{_place(road_map, i) for i in group} for group in groups]
    for a in range(len(groups)):
        for b in range(a):
            if places[a] & places[b] or _at_odds(conflicts, moves[a], moves[b]):
                union.join(b, a)
    return [list(members) for members in union.sets(list(range(len(groups))))]


def _turns(conflicts: dict[int, set[int]], junction: list[int], moves: list[set[int]]) -> list[list[int]]:
    """The groups of a junction -> turns without conflicts, by greedy colouring from the group with most conflicts."""
    odds = {g: {h for h in junction if h != g and _at_odds(conflicts, moves[g], moves[h])} for g in junction}
    turns: list[list[int]] = []
    for g in sorted(junction, key=lambda g: (-len(odds[g]), g)):
        free = next((turn for turn in turns if odds[g].isdisjoint(turn)), None)
        if free is None:
            turns.append([g])
        else:
            free.append(g)
    return turns


def _programme(
    road_map: RoadMap, times: LightTimes, seed: int, number: int, turns: list[list[tuple[int, ...]]], rows: Int
) -> None:
    """Write the rows of one junction's lights: its turns one after the other, each green, amber, all red."""
    second = 1_000_000
    clock, marks = 0, []
    for turn, groups in enumerate(turns):
        lanes = [road_map.lanes[lane] for group in groups for i in group for lane in road_map.signals[i].lanes]
        limit = max((lane.speed_limit_mps for lane in lanes if math.isfinite(lane.speed_limit_mps)), default=13.9)
        span = times.green_max_s - times.green_min_s
        share = times.cycle_green_s / len(turns)
        green = round(max(min(times.green_min_s + span * draw(seed, 11, number, turn), share), 6.0)) * second
        amber = round(LightTimes.amber_s(limit) * second)
        marks.append((clock, green, amber))
        clock += green + amber + round(max(times.all_red_s, times.red_amber_s) * second)
    if len(turns) == 1:  # a light that never turns red is none: it rests for pedestrians or unseen traffic
        clock += 12 * second
    shift = pick(seed, 12, number, 0, clock)
    for turn, (groups, (start, green, amber)) in enumerate(zip(turns, marks, strict=True)):
        for i in (i for group in groups for i in group):
            rows[:, i] = (
                clock, (start + shift) % clock, green, amber, round(times.red_amber_s * second), turn, number,
            )  # fmt: skip


def _pedestrian_lights(
    road_map: RoadMap, times: LightTimes, groups: tuple[tuple[int, ...], ...], moves: list[set[int]], rows: Int
) -> None:
    """Write the rows of pedestrian lights: green while every light whose traffic uses the crossing is safely red."""
    second = 1_000_000
    for i, signal in enumerate(road_map.signals):
        if signal.kind != SignalKind.PEDESTRIAN_LIGHT:
            continue
        lanes = set(signal.lanes) or _crossing_lanes(road_map, signal.xyz)
        over = [group[0] for group, lanes_of in zip(groups, moves, strict=True) if lanes & lanes_of]
        if not over:
            rows[:5, i] = (30 * second, 0, 15 * second, 0, 0)
            continue
        period = int(rows[0, over[0]])
        shared = [g for g in over if rows[6, g] == rows[6, over[0]]]
        busy = sorted((int(rows[1, g]), int(rows[1, g] + rows[2, g] + rows[3, g])) for g in shared)
        start, length = _longest_gap(busy, period)
        walk = length - round((times.walk_clearance_s + 1.0) * second)
        rows[:5, i] = (period, (start + second) % period, max(walk, 0), 0, 0)


def _longest_gap(busy: list[tuple[int, int]], period: int) -> tuple[int, int]:
    """Intervals on a circle of `period`, sorted by start -> start and length of the longest time free of them."""
    best, end = (0, 0), max(b for _, b in busy) - period
    for start, stop in [*busy, (busy[0][0] + period, 0)]:
        if start - end > best[1]:
            best = (end % period, start - end)
        end = max(end, stop)
    return best


def _crossing_lanes(road_map: RoadMap, xyz: Float) -> set[int]:
    """The lanes under the crossing nearest to a point, within 15 m."""
    best, lanes = 15.0, set()
    for crossing in road_map.crossings:
        distance = float(np.linalg.norm(crossing.outline_xyz[:, :2] - xyz[:2], axis=1).min())
        if distance < best:
            best, lanes = distance, set(crossing.lanes)
    return lanes
