"""Built junctions: T, four-way and roundabout, with control by lights, stop, give-way or no signs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.types import Lane, LaneKind, MapObject, SignalKind
from cordillera.world.build_draft import Draft, Street
from cordillera.world.build_shapes import Curve, fillet, offset_line
from cordillera.world.build_spec import RoadSpec, limits
from cordillera.world.build_streets import SIGN_ASIDE_M, speed_signs, two_way

# right_priority: no signs, the rule of the region decides (right before left; left before right in Japan);
# none: nobody yields by rule
CONTROLS = ("signals", "stop", "give_way", "right_priority", "none")
CROSSING_M = (1.0, 4.0)  # from the end of the junction, along the arm
STOP_M = 5.0
WALK_M = 2.5  # width of sidewalks


@dataclass(frozen=True)
class FourWay(RoadSpec):
    """Two streets that cross at the origin; the one along x has priority where signs say who has."""

    length_m: float = limits(120.0, 30.0, 5000.0)  # of each arm
    corner_m: float = limits(6.0, 3.0, 30.0)  # radius of the kerb
    control: str = limits("signals", choices=CONTROLS)
    crossings: bool = True


@dataclass(frozen=True)
class TJunction(RoadSpec):
    """A street along x, and one that ends there from -y (at the right hand of those who drive along +x)."""

    length_m: float = limits(120.0, 30.0, 5000.0)
    corner_m: float = limits(6.0, 3.0, 30.0)
    control: str = limits("give_way", choices=CONTROLS)
    crossings: bool = True


@dataclass(frozen=True)
class Roundabout(RoadSpec):
    """A ring of one lane around the origin with evenly spread arms; entering traffic gives way."""

    lanes: int = limits(1, 1, 1)
    length_m: float = limits(120.0, 40.0, 5000.0)  # from the origin to the end of each arm
    radius_m: float = limits(16.0, 12.0, 60.0)  # of the ring's centre line
    arms: int = limits(4, 3, 6)
    control: str = limits("give_way", choices=("give_way", "none"))


def four_way(spec: FourWay) -> Draft:
    """Parameters -> a crossing of two streets."""
    return _crossroads(spec, (0, 1, 2, 3))


def t_junction(spec: TJunction) -> Draft:
    """Parameters -> a T-junction."""
    return _crossroads(spec, (0, 2, 3))


# ------------------------------------------------------------------ crossroads


def _crossroads(spec: FourWay | TJunction, quarters: tuple[int, ...]) -> Draft:
    """Parameters, directions of the arms in quarter turns -> streets outwards from the origin, and the ways between."""
    draft = Draft(spec.country)
    reach = spec.lanes * spec.width_m + spec.corner_m
    arms: dict[int, Street] = {}
    for quarter in quarters:
        line = Curve(reach, 0.0, 0.0, ((spec.length_m, 0.0, 0.0),)).turned(0.5 * math.pi * quarter, 0.0, 0.0)
        arms[quarter] = draft.street(f"arm{quarter}", line, two_way(spec))
        speed_signs(draft, f"arm{quarter}", arms[quarter], spec.speed_mps, SIGN_ASIDE_M)
    ways: dict[int, list[int]] = {quarter: [] for quarter in quarters}
    for start in quarters:
        for goal in quarters:
            turn = {1: "right", 2: "straight", 3: "left"}.get((goal - start) % 4)
            if turn is not None:
                ways[start] += _ways(draft, spec, arms[start], arms[goal], f"{start}-{goal}", turn)
    for quarter in quarters:
        _corner(draft, spec, arms, quarter)
        if spec.crossings:
            lanes = arms[quarter].forward + arms[quarter].backward
            draft.crossing(f"arm{quarter}:crossing", arms[quarter], *CROSSING_M, lanes)
        _control(draft, spec, arms[quarter], quarter, tuple(ways[quarter]), minor=quarter in (1, 3))
    return draft


def _ways(draft: Draft, spec: FourWay | TJunction, start: Street, goal: Street, name: str, turn: str) -> list[int]:
    """The lanes from one arm to another: one for a turn, from the lane next to it, and all of them straight on."""
    count = spec.lanes
    lanes = {"left": [0], "right": [count - 1], "straight": list(range(count))}[turn]
    built = []
    for k in lanes:
        t = (k + 0.5) * spec.width_m
        entry, leave = start.curve.frames([0.0])[0], goal.curve.frames([0.0])[0]
        a, b = offset_line(entry[None], t)[0], offset_line(leave[None], -t)[0]
        path = fillet((a[0], a[1], entry[3] + math.pi), (b[0], b[1], leave[3]))
        lane = draft.path(f"junction:{name}:{k}", path, spec.width_m, spec.speed_mps, "junction", turn)
        draft.link(start.backward[k], lane)
        draft.link(lane, goal.forward[k])
        built.append(lane)
    if turn == "straight":
        draft.beside(tuple(built), change=False)
    return built


def _corner(draft: Draft, spec: FourWay | TJunction, arms: dict[int, Street], quarter: int) -> None:
    """Kerb, edge of the road and sidewalk from an arm on to the next one counter-clockwise."""
    following = next(q % 4 for q in range(quarter + 1, quarter + 5) if q % 4 in arms)
    edge = spec.lanes * spec.width_m
    a, b = arms[quarter].curve.frames([0.0])[0], arms[following].curve.frames([0.0])[0]
    start, end = offset_line(a[None], edge)[0], offset_line(b[None], -edge)[0]
    line = fillet((start[0], start[1], a[3] + math.pi), (end[0], end[1], b[3]))
    frames = line.frames(line.stations(WALK_M))
    # the road lies to the left of this line
    walk = draft.strip(
        f"junction:sidewalk:{quarter}", LaneKind.SIDEWALK, frames, np.zeros(len(frames)),
        np.full(len(frames), -WALK_M), spec.speed_mps,
    )  # fmt: skip
    draft.set(walk, junction="junction")
    draft.mark(offset_line(frames, 0.0), "kerb", 0.12)


def _control(
    draft: Draft, spec: FourWay | TJunction, arm: Street, quarter: int, ways: tuple[int, ...], minor: bool
) -> None:
    """Stop line and light or sign of one arm, as far as the kind of control has them."""
    if spec.control in ("right_priority", "none"):
        return
    name, frame = f"arm{quarter}", arm.curve.frames([STOP_M])[0]
    t = arm.half[0] + SIGN_ASIDE_M
    if spec.control == "signals":
        line = draft.stop_line(f"{name}:stop_line", arm, STOP_M)
        group = f"junction:{'minor' if minor else 'major'}"
        draft.sign(
            f"{name}:light", SignalKind.TRAFFIC_LIGHT, frame, t, ways, against=True, stop_lines=(line,), group=group
        )
    elif minor:
        kind = SignalKind.STOP if spec.control == "stop" else SignalKind.GIVE_WAY
        line = draft.stop_line(f"{name}:stop_line", arm, STOP_M)
        draft.sign(f"{name}:{kind.value}", kind, frame, t, ways, against=True, stop_lines=(line,))
    else:
        frame = arm.curve.frames([STOP_M + 15.0])[0]
        draft.sign(f"{name}:priority", SignalKind.PRIORITY, frame, t, ways, against=True)


# ------------------------------------------------------------------- roundabout


def roundabout(spec: Roundabout) -> Draft:
    """Parameters -> a roundabout, driven counter-clockwise."""
    draft = Draft(spec.country)
    r, w = spec.radius_m, spec.width_m
    spread = 2.0 * math.pi / spec.arms
    reach = r + 0.5 * w + 12.0
    # angle on the ring between an arm's axis and the points where its exit leaves and its entry joins
    delta = min(0.42 * spread, math.radians(40.0), math.acos(r / (reach - 7.0)))
    rings = []
    for k in range(spec.arms):
        for label, begin, turn in ((f"ring{k}", -delta, 2.0 * delta), (f"arc{k}", delta, spread - 2.0 * delta)):
            angle = k * spread + begin
            line = Curve(r * math.cos(angle), r * math.sin(angle), angle + 0.5 * math.pi, ((r * turn, 1 / r, 1 / r),))
            junction = f"junction{k}" if label.startswith("ring") else ""
            rings.append(draft.path(label, line, w, min(spec.speed_mps, 30.0 / 3.6), junction, "straight"))
    for k in range(spec.arms):
        draft.link(rings[2 * k], rings[2 * k + 1])
        draft.link(rings[2 * k + 1], rings[(2 * k + 2) % len(rings)])
        line = Curve(reach, 0.0, 0.0, ((spec.length_m - reach, 0.0, 0.0),)).turned(k * spread, 0.0, 0.0)
        arm = draft.street(f"arm{k}", line, two_way(spec))
        speed_signs(draft, f"arm{k}", arm, spec.speed_mps, SIGN_ASIDE_M)
        entry = _slip(draft, spec, arm, k, delta, into=True)
        leave = _slip(draft, spec, arm, k, delta, into=False)
        draft.link(arm.backward[0], entry)
        draft.link(entry, rings[2 * k + 1])
        draft.link(rings[2 * k - 1], leave)
        draft.link(leave, arm.forward[0])
        if spec.control == "give_way":
            stop = draft.stop_line(f"arm{k}:stop_line", arm, 1.0)
            frame, t = arm.curve.frames([1.0])[0], arm.half[0] + SIGN_ASIDE_M
            draft.sign(f"arm{k}:give_way", SignalKind.GIVE_WAY, frame, t, (entry,), against=True, stop_lines=(stop,))
    for index, lane in enumerate(list(draft.lanes)):
        if (lane.junction and not lane.id.startswith("ring")) or lane.id.startswith("arc"):
            _verge(draft, index)
    _island(draft, r - 0.5 * w)
    return draft


def _verge(draft: Draft, index: int) -> None:
    """Kerb and sidewalk along the right border of a lane."""
    lane = draft.lanes[index]
    across = lane.right_xyz - lane.left_xyz
    outer = lane.right_xyz + WALK_M * across / np.linalg.norm(across, axis=1, keepdims=True)
    middle = 0.5 * (lane.right_xyz + outer)
    draft.lanes.append(
        Lane(f"{lane.id}:sidewalk", LaneKind.SIDEWALK, middle, lane.right_xyz, outer, lane.speed_limit_mps)
    )
    draft.mark(lane.right_xyz, "kerb", 0.12)


def _slip(draft: Draft, spec: Roundabout, arm: Street, k: int, delta: float, into: bool) -> int:
    """The lane from an arm into the ring, or out of it."""
    axis = 2.0 * math.pi * k / spec.arms
    angle = axis + (delta if into else -delta)
    on_ring = (spec.radius_m * math.cos(angle), spec.radius_m * math.sin(angle), angle + 0.5 * math.pi)
    frame = arm.curve.frames([0.0])
    x, y, _ = offset_line(frame, (0.5 if into else -0.5) * spec.width_m)[0]
    line = fillet((x, y, axis + math.pi), on_ring) if into else fillet(on_ring, (x, y, axis))
    name = f"{'entry' if into else 'exit'}{k}"
    return draft.path(name, line, spec.width_m, min(spec.speed_mps, 30.0 / 3.6), f"junction{k}", "right")


def _island(draft: Draft, radius_m: float) -> None:
    """The green in the middle of a roundabout, with its kerb."""
    angle = np.linspace(0.0, 2.0 * math.pi, 145)
    rim = np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle), np.zeros(len(angle))], axis=1)
    draft.mark(rim, "kerb", 0.12)
    size = (2.0 * radius_m - 1.0, 2.0 * radius_m - 1.0, 0.4)
    inner = rim[:-1:3] * ((radius_m - 0.5) / radius_m)
    draft.objects.append(MapObject("island", "vegetation", np.zeros(3), 0.0, size, inner))
