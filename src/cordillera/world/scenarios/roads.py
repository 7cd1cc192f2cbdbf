"""Roads to put scenes on: a draw in, a place on a real map of its split or on a built road out."""

from __future__ import annotations

from cordillera.types import SignalKind
from cordillera.world.regions import KMH
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.places import Place, bends, built, crossings, find, stop_lines, straights

REAL = 0.4  # of the scenarios take place on a real map where it has such a place
START_M = 20.0  # of built roads: from their beginning to the ego


def across_turn(d: Draw) -> str:
    """The turn that crosses the oncoming traffic: left where one drives on the right."""
    return "left" if d.region.side == "right" else "right"


def near_turn(d: Draw) -> str:
    """The turn that does not cross the oncoming traffic."""
    return "right" if d.region.side == "right" else "left"


def speed_kmh(d: Draw, low: float, high: float) -> float:
    """A limit between two, in km/h, as signs of the region show it."""
    return round(d.region.round_limit_mps(d.uniform("limit", low, high) * KMH) / KMH, 2)


def street(
    d: Draw, length_m: float, kmh: tuple[float, float] = (30.0, 60.0), lanes: int = 1, before_m: float = 10.0,
    real: float = REAL, edge: str = "sidewalk",
) -> Place:  # fmt: skip
    """A straight two-way street that runs on for `length_m` after `at_m`."""
    if d.chance("real road", real):
        fast = kmh[1] / 3.6 + 2.0
        place = find(d, "street", straights(length_m, fastest_mps=fast), before_m, length_m)
        if place is not None:
            return place
    goal = START_M + before_m + length_m
    course = built(
        d, "straight", (START_M, -1.75), (goal, -1.75), lanes=lanes, speed=speed_kmh(d, *kmh), length=goal + 60.0,
        width=d.uniform("lane width", 3.1, 3.7), edge=edge,
    )  # fmt: skip
    return Place(course, before_m, True)


def lit_junction(
    d: Draw, turn: str = "straight", before_m: float = 70.0, after_m: float = 60.0,
    kmh: tuple[float, float] = (30.0, 60.0), real: float = REAL, lanes: int = 1,
) -> Place:  # fmt: skip
    """A junction with lights that the course crosses or turns at; `at_m` is the stop line. `turn`: "straight", ..."""
    if d.chance("real road", real):
        place = find(d, "lights", stop_lines(SignalKind.TRAFFIC_LIGHT, turn), before_m, after_m)
        if place is not None:
            return place
    return _crossroads(d, "signals", turn, before_m, after_m, kmh, lanes)


def junction(
    d: Draw, control: str, turn: str = "straight", before_m: float = 70.0, after_m: float = 60.0,
    kmh: tuple[float, float] = (30.0, 50.0), real: float = REAL, lanes: int = 1, arms: int = 4, minor: bool = True,
) -> Place:  # fmt: skip
    """A junction with "stop", "give_way" or "right_priority" control; `at_m` is its stop line, or where it begins.

    With `minor` the course comes from the road that has to wait, where signs say who has.
    """
    kind = {"stop": SignalKind.STOP, "give_way": SignalKind.GIVE_WAY}.get(control)
    if kind is not None and minor and d.chance("real road", real):
        place = find(d, "junction", stop_lines(kind, turn), before_m, after_m)
        if place is not None:
            return place
    return _crossroads(
        d, control, turn, before_m, after_m, kmh, lanes, "four_way" if arms == 4 else "t_junction", minor
    )


def _crossroads(
    d: Draw, control: str, turn: str, before_m: float, after_m: float, kmh: tuple[float, float], lanes: int,
    kind: str = "four_way", minor: bool = False,
) -> Place:  # fmt: skip
    """A built junction: the course comes along +x, or from -y where it is the minor road, and goes as `turn` says."""
    width, corner = 3.5, d.uniform("corner", 5.0, 9.0)
    reach = lanes * width + corner
    near = 0.5 * width
    name = {"left": "right", "right": "left"}.get(turn, turn) if d.region.side == "left" else turn
    lane = 0.5 * width if name == "left" else (lanes - 0.5) * width
    start = (-(reach + before_m + 8.0), -lane)
    out = reach + after_m
    goals = {"straight": (out, -lane), "left": (near, out), "right": (-(lanes - 0.5) * width, -out)}
    if minor:  # turned by a quarter: -x becomes -y
        start = (-start[1], start[0])
        goals = {key: (-y, x) for key, (x, y) in goals.items()}
    course = built(
        d, kind, start, goals[name], control=control, corner=corner, lanes=lanes, speed=speed_kmh(d, *kmh),
        length=max(before_m, after_m) + 40.0, width=width,
    )  # fmt: skip
    lines = [s for s, rule in course.stops if rule.kind is not SignalKind.OTHER]
    ways = [w.start_m for w in course.ways if w.junction]
    return Place(course, lines[0] if lines else ways[0], True)


def bend(d: Draw, before_m: float = 60.0, after_m: float = 80.0, real: float = REAL) -> Place:
    """A road with a bend that begins at `at_m`."""
    if d.chance("real road", real):
        place = find(d, "bend", bends(), before_m, after_m)
        if place is not None:
            return place
    radius, angle = d.uniform("radius", 25.0, 60.0), d.uniform("angle", 50.0, 100.0)
    turn = d.choice("turn", ("left", "right"))
    limit = speed_kmh(d, 40.0, 60.0)
    length = max(before_m, after_m) + 40.0
    course = built(
        d, "curve", (length - before_m, -1.75), turn=turn, radius=radius, angle=angle, length=length, speed=limit,
        edge=d.choice("edge", ("sidewalk", "shoulder")),
    )  # fmt: skip
    return Place(course, before_m, True)


def walk_over(d: Draw, before_m: float = 60.0, after_m: float = 50.0, real: float = REAL) -> Place:
    """A road with a pedestrian crossing without lights; it begins at `at_m`."""
    if d.chance("real road", real):
        place = find(d, "crossing", crossings(False), before_m, after_m)
        if place is not None:
            return place
    half = START_M + before_m + 2.0
    course = built(
        d, "straight", (START_M, -1.75), (half + after_m, -1.75), length=2.0 * half, crossing=True,
        speed=speed_kmh(d, 30.0, 50.0), width=d.uniform("lane width", 3.1, 3.7),
    )  # fmt: skip
    return Place(course, course.walks[0][0], True)
