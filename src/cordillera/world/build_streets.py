"""Built roads without a junction: straight, curve, rural road, work zone, motorway merge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cordillera.types import Float, LaneKind, SignalKind
from cordillera.world.build_draft import Draft, Profile, Street
from cordillera.world.build_shapes import Curve, blend, eased, end_pose, offset_line
from cordillera.world.build_spec import KMH, RoadSpec, limits
from cordillera.world.regions import REGIONS

SIGN_ASIDE_M = 0.6  # from a kerb or the outer edge of a shoulder to the pole of a sign
EDGES = {"sidewalk": LaneKind.SIDEWALK, "shoulder": LaneKind.SHOULDER}


@dataclass(frozen=True)
class Straight(RoadSpec):
    """A straight two-way street along +x, starting at the origin."""

    length_m: float = limits(300.0, 20.0, 20_000.0)
    edge: str = limits("sidewalk", choices=tuple(EDGES))
    crossing: bool = False  # a pedestrian crossing half-way


@dataclass(frozen=True)
class CurveRoad(RoadSpec):
    """A two-way street that leads straight into a bend with clothoids, and out of it."""

    radius_m: float = limits(60.0, 12.0, 5000.0)
    angle_deg: float = limits(90.0, 5.0, 180.0)
    turn: str = limits("left", choices=("left", "right"))  # as seen along +x with right-hand traffic
    length_m: float = limits(100.0, 10.0, 5000.0)  # of each straight part
    edge: str = limits("sidewalk", choices=tuple(EDGES))


@dataclass(frozen=True)
class Rural(RoadSpec):
    """A two-way country road with S-curves, hills, trees, delineators and narrow shoulders."""

    width_m: float = limits(3.25, 2.5, 5.0)
    speed_kmh: float = limits(80.0, 5.0, 250.0)
    length_m: float = limits(800.0, 100.0, 20_000.0)
    radius_m: float = limits(150.0, 30.0, 5000.0)  # of the bends
    angle_deg: float = limits(35.0, 5.0, 80.0)  # through which each bend turns
    rise_m: float = limits(8.0, 0.0, 60.0)  # from valley to top
    wave_m: float = limits(400.0, 100.0, 5000.0)  # from valley to valley
    trees: bool = True


@dataclass(frozen=True)
class WorkZone(RoadSpec):
    """A two-way road whose lanes are shifted to the left past works on the right-hand shoulder and lane."""

    length_m: float = limits(150.0, 50.0, 5000.0)  # before and after the zone
    zone_m: float = limits(60.0, 10.0, 2000.0)  # between the tapers
    taper_m: float = limits(30.0, 15.0, 200.0)
    shift_m: float = limits(2.0, 0.5, 2.3)  # onto the shoulder of the oncoming side
    zone_speed_kmh: float = limits(30.0, 5.0, 130.0)


@dataclass(frozen=True)
class Merge(RoadSpec):
    """One carriageway of a motorway, a ramp from the right, and an acceleration lane that ends."""

    lanes: int = limits(2, 1, 4)
    width_m: float = limits(3.75, 2.5, 5.0)
    speed_kmh: float = limits(100.0, 5.0, 250.0)
    ramp_speed_kmh: float = limits(60.0, 5.0, 130.0)
    length_m: float = limits(300.0, 150.0, 5000.0)  # before the ramp joins and after the acceleration lane
    accel_m: float = limits(180.0, 60.0, 1000.0)  # length of the acceleration lane
    ramp_m: float = limits(120.0, 20.0, 2000.0)  # straight part of the ramp


def two_way(spec: RoadSpec, edge: str = "sidewalk", edge_width_m: float = 2.5) -> Profile:
    """Parameters -> the cross-section of a street with as many lanes in each direction."""
    return Profile(
        spec.lanes, spec.lanes, spec.width_m, spec.speed_mps, EDGES[edge], edge_width_m,
        center="broken" if spec.lanes == 1 else "solid solid", color=center_color(spec.country),
    )  # fmt: skip


def center_color(country: str) -> str:
    """A country code -> the colour of the line between the two directions; white where the country is not known."""
    return REGIONS[country].center_color if country in REGIONS else "white"


def speed_signs(draft: Draft, name: str, street: Street, speed_mps: float, aside_m: float) -> None:
    """Limit signs for both directions, 10 m after each beginning of a street, `aside_m` beyond its outer lanes."""
    first, last = street.curve.frames([10.0, street.curve.length - 10.0])
    if street.forward:
        t = -street.half[1] - aside_m
        draft.sign(f"{name}:limit:forward", SignalKind.SPEED_LIMIT, first, t, street.forward, value=speed_mps)
    if street.backward:
        t = street.half[0] + aside_m
        draft.sign(
            f"{name}:limit:backward", SignalKind.SPEED_LIMIT, last, t, street.backward, against=True, value=speed_mps
        )


def straight(spec: Straight) -> Draft:
    """Parameters -> a straight street."""
    draft = Draft(spec.country)
    street = draft.street("road", Curve(0.0, 0.0, 0.0, ((spec.length_m, 0.0, 0.0),)), two_way(spec, spec.edge))
    speed_signs(draft, "road", street, spec.speed_mps, SIGN_ASIDE_M + (2.5 if spec.edge == "shoulder" else 0.0))
    if spec.crossing:
        middle = 0.5 * spec.length_m
        draft.crossing("crossing", street, middle - 2.0, middle + 2.0, street.forward + street.backward)
        for side, lanes, against in ((-1.0, street.forward, False), (1.0, street.backward, True)):
            frame = street.curve.frames([middle + 2.5 * side])[0]
            t = side * (spec.lanes * spec.width_m + SIGN_ASIDE_M)
            draft.sign(f"crossing:sign:{against:d}", SignalKind.CROSSING, frame, t, lanes, against)
    return draft


def curve(spec: CurveRoad) -> Draft:
    """Parameters -> a street with one bend."""
    draft = Draft(spec.country)
    angle = math.radians(spec.angle_deg) * (1.0 if spec.turn == "left" else -1.0)
    line = (spec.length_m, 0.0, 0.0)
    pieces = (line, *eased(spec.radius_m, angle, 0.5 * spec.radius_m), line)
    street = draft.street("road", Curve(0.0, 0.0, 0.0, pieces), two_way(spec, spec.edge))
    speed_signs(draft, "road", street, spec.speed_mps, SIGN_ASIDE_M + (2.5 if spec.edge == "shoulder" else 0.0))
    return draft


def rural(spec: Rural) -> Draft:
    """Parameters -> a country road over hills. Trees stand at fixed, uneven places."""
    draft = Draft(spec.country)
    pieces: list[tuple[float, float, float]] = [(60.0, 0.0, 0.0)]
    side = 1.0
    while sum(piece[0] for piece in pieces) < spec.length_m - 60.0:
        # a bend to one side, back to the other, so that the road keeps its direction
        pieces += eased(spec.radius_m, side * math.radians(spec.angle_deg), 0.4 * spec.radius_m)
        pieces.append((40.0, 0.0, 0.0))
        side = -side
    pieces.append((60.0, 0.0, 0.0))
    line = Curve(0.0, 0.0, 0.0, tuple(pieces), spec.rise_m, spec.wave_m)
    street = draft.street("road", line, two_way(spec, "shoulder", 1.0))
    speed_signs(draft, "road", street, spec.speed_mps, 1.0 + SIGN_ASIDE_M)
    verge = spec.lanes * spec.width_m + 1.0
    for s in np.arange(25.0, line.length, 50.0):
        for t in (verge + 0.5, -verge - 0.5):
            draft.object("pole", line.frames([s])[0], t, (0.12, 0.12, 1.0))
    if spec.trees:
        rng = np.random.default_rng(1)
        for s in np.arange(6.0, line.length - 12.0, 12.0):
            for side in (1.0, -1.0):
                along, away, high = rng.uniform((0.0, 2.5, 6.0), (11.0, 12.0, 12.0))
                frame = line.frames([s + along])[0]
                draft.object("tree", frame, side * (verge + away), (0.5 * high, 0.5 * high, high))
    return draft


# -------------------------------------------------------------------- work zone


def work_zone(spec: WorkZone) -> Draft:
    """Parameters -> a road with works: approach, zone between two tapers, departure."""
    draft = Draft(spec.country)
    zone = (spec.length_m, spec.length_m + 2.0 * spec.taper_m + spec.zone_m)
    line = Curve(0.0, 0.0, 0.0, ((zone[1] + spec.length_m, 0.0, 0.0),))

    def shift(s: Float) -> Float:
        return spec.shift_m * (blend((s - zone[0]) / spec.taper_m) - blend((s - zone[1]) / spec.taper_m + 1.0))

    profile = two_way(spec, "shoulder")
    slow = Profile(
        spec.lanes, spec.lanes, spec.width_m, spec.zone_speed_kmh * KMH, LaneKind.SHOULDER, 2.5, (False, False),
        color="yellow",
    )  # fmt: skip
    before = draft.street("before", line, profile, (0.0, zone[0]))
    inside = draft.street("works", line, slow, zone, shift, step_m=0.5)
    after = draft.street("after", line, profile, (zone[1], line.length))
    for a, b in ((before, inside), (inside, after)):
        for k in range(spec.lanes):
            draft.link(a.forward[k], b.forward[k])
            draft.link(b.backward[k], a.backward[k])
    s = line.stations(0.0, *zone, step_m=0.5)
    frames, half, outer = line.frames(s), spec.lanes * spec.width_m, spec.lanes * spec.width_m + 2.5
    edge = np.full(len(s), outer)
    draft.strip("works:shoulder", LaneKind.SHOULDER, frames, edge, half + shift(s), slow.speed_mps)
    draft.strip("works:closed", LaneKind.RESTRICTED, frames, shift(s) - half, -edge, slow.speed_mps)
    _work_signs(draft, spec, (before, inside, after), zone)
    _work_fence(draft, spec, line, zone, shift)
    return draft


def _work_signs(
    draft: Draft, spec: WorkZone, streets: tuple[Street, Street, Street], zone: tuple[float, float]
) -> None:
    """Warning and limit before the zone and the old limit after it, in both directions."""
    t = streets[0].half[0] + 2.5 + SIGN_ASIDE_M
    code = "DE:123" if spec.country == "DE" else ""
    for ahead, a, b, c in ((True, streets[0], streets[1], streets[2]), (False, streets[2], streets[1], streets[0])):
        lanes = [street.forward if ahead else street.backward for street in (a, b, c)]
        near, far, sign = (zone[0], zone[1], -1.0) if ahead else (zone[1], zone[0], 1.0)
        frames = [streets[0].curve.frames([s])[0] for s in (near + sign * 40.0, near - sign * 0.5, far - sign * 5.0)]
        name, against = f"works:{'forward' if ahead else 'backward'}", not ahead
        draft.sign(f"{name}:warning", SignalKind.OTHER, frames[0], sign * t, lanes[0], against, code=code)
        slow, fast = spec.zone_speed_kmh * KMH, spec.speed_mps
        draft.sign(f"{name}:limit", SignalKind.SPEED_LIMIT, frames[1], sign * t, lanes[1], against, value=slow)
        draft.sign(f"{name}:end", SignalKind.SPEED_LIMIT, frames[2], sign * t, lanes[2], against, value=fast)


def _work_fence(
    draft: Draft, spec: WorkZone, line: Curve, zone: tuple[float, float], shift: Callable[[Float], Float]
) -> None:
    """Cones along the closed area, denser in the tapers, and barriers across both of its ends."""
    half = spec.lanes * spec.width_m
    inner = (zone[0] + spec.taper_m, zone[1] - spec.taper_m)
    places = np.concatenate(
        [np.arange(zone[0], inner[0], 4.0), np.arange(inner[0], inner[1], 8.0), np.arange(inner[1], zone[1] + 0.1, 4.0)]
    )
    for s, aside in zip(places, shift(places), strict=True):
        draft.object("cone", line.frames([s])[0], aside - half - 0.5, (0.4, 0.4, 0.75))
    middle = 0.5 * (spec.shift_m - 0.9 - 2.5) - half
    for s in inner:
        draft.object("barrier", line.frames([s])[0], middle, (0.4, spec.shift_m + 1.2, 1.0))


# ------------------------------------------------------------------------ merge


def merge(spec: Merge) -> Draft:
    """Parameters -> main carriageway along +x (its left edge is y = 0), ramp, acceleration lane, taper."""
    draft = Draft(spec.country)
    n, w = spec.lanes, spec.width_m
    join, close = spec.length_m, spec.length_m + spec.accel_m
    line = Curve(0.0, 0.0, 0.0, ((close + spec.length_m, 0.0, 0.0),))
    pieces = ((spec.ramp_m, 0.0, 0.0), *eased(250.0, -math.radians(12.0), 40.0))
    x, y, yaw = end_pose(Curve(0.0, 0.0, math.radians(12.0), pieces))
    ramp_line = Curve(0.0, 0.0, math.radians(12.0), pieces).turned(-yaw, join - x, -n * w - y)
    beside = ramp_line.frames(np.linspace(0.0, ramp_line.length, 400))
    gore = float(beside[beside[:, 1] < -n * w - 3.0][-1, 0])  # the shoulder ends where the ramp comes too close
    main, narrow, wide = (
        Profile(n + k, 0, w, spec.speed_mps, LaneKind.SHOULDER, 2.5, (True, right))
        for k, right in ((0, True), (0, False), (1, True))
    )
    ramp_profile = Profile(1, 0, w, spec.ramp_speed_kmh * KMH, LaneKind.SHOULDER, 2.0, (False, True))
    parts = [
        draft.street("before", line, main, (0.0, gore)),
        draft.street("gore", line, narrow, (gore, join)),
        draft.street("accel", line, wide, (join, close)),
        draft.street("taper", line, narrow, (close, close + 60.0)),
        draft.street("after", line, main, (close + 60.0, line.length)),
    ]
    ramp = draft.street("ramp", ramp_line, ramp_profile)
    for a, b in pairwise(parts):
        for k in range(n):
            draft.link(a.forward[k], b.forward[k])
    draft.link(ramp.forward[0], parts[2].forward[n])
    draft.set(parts[2].forward[n - 1], change_right=False)
    s = line.stations(0.0, close, close + 60.0, 2.0)
    draft.strip(
        "taper:shoulder", LaneKind.SHOULDER, line.frames(s), np.full(len(s), -n * w),
        -n * w - 2.5 - w * (1.0 - blend((s - close) / 60.0)), spec.speed_mps,
    )  # fmt: skip
    for x0 in np.arange(10.0, line.length, 20.0):
        draft.object("barrier", line.frames([x0])[0], 3.0, (20.0, 0.5, 0.8))
    aside = -n * w - 2.5 - SIGN_ASIDE_M
    draft.sign(
        "before:limit", SignalKind.SPEED_LIMIT, line.frames([10.0])[0], aside, parts[0].forward, value=spec.speed_mps
    )
    ramp_frame = ramp_line.frames([5.0])[0]
    draft.sign(
        "ramp:limit", SignalKind.SPEED_LIMIT, ramp_frame, -w - 2.6, ramp.forward, value=spec.ramp_speed_kmh * KMH
    )
    draft.mark(offset_line(line.frames([join, close]), -n * w), "broken", 0.25)
    return draft
