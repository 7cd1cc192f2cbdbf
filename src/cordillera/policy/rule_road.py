"""What the road demands of the expert: lights, stop signs, the end of the route, people on crossings and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cordillera.policy.rule_path import Line, Walk
from cordillera.policy.rule_scene import WALKERS, Scene, braking_to
from cordillera.policy.rule_signals import waved_on
from cordillera.policy.rule_speed import EVER, HALT, Constraint
from cordillera.types import Cause, LightState, Longitudinal, SignalKind

AMBER_BRAKE_MPS2 = 2.8  # who would have to brake harder passes at amber
RED_BRAKE_MPS2 = 7.0
STOOD_S = 0.5
STOP_REACH_M = 3.0  # one has stopped at a line if one stood this close to it
WALK_LOOK_M = 60.0
LET_WALK_S = 6.0  # who has not set out after so long is not waited for any more
KERB_M = 2.5  # who waits this close to a crossing wants to cross
RED = (LightState.RED, LightState.RED_AMBER)


def lines_ahead(scene: Scene) -> Iterator[Line]:
    """The lines that the front has not passed by more than 1 m, nearest first."""
    for line in scene.path.lines:
        if -1.0 < line.s_m - scene.front_m < scene.look_m:
            yield line


def light_constraints(scene: Scene) -> Iterator[Constraint]:
    """Red lights, and amber ones before which one can stop in comfort -> halts at their lines.

    One halt a line: of two equal ones, for two faces of a light, neither would take anything from the ride.
    """
    if waved_on(scene):
        return
    told: set[float] = set()
    for line in lines_ahead(scene):
        if line.kind is not SignalKind.TRAFFIC_LIGHT:
            continue
        shown = LightState(int(scene.state.signals[line.signal]))
        brake = braking_to(scene, line.s_m)
        shut = (shown in RED and brake < RED_BRAKE_MPS2) or (shown is LightState.AMBER and brake < AMBER_BRAKE_MPS2)
        if shut and round(line.s_m, 1) not in told:
            told.add(round(line.s_m, 1))
            word = "amber" if shown is LightState.AMBER else "red"
            cause = Cause(
                "traffic light", f"signal:{line.signal}", f"{word} at the stop line ahead", scene.t_us,
                line.s_m - scene.front_m,
            )  # fmt: skip
            yield Constraint(HALT, line.s_m, cause, Longitudinal.STOP)


def sign_constraints(scene: Scene) -> Iterator[Constraint]:
    """Stop signs, and lights that flash red, at which the ego has not stood yet -> halts at their lines.

    Lights that work overrule signs, and those who direct traffic overrule all.
    """
    if waved_on(scene):
        return
    lines = list(lines_ahead(scene))
    lit = [line.s_m for line in lines if line.kind is SignalKind.TRAFFIC_LIGHT and scene.state.signals[line.signal]]
    told: set[float] = set()
    for line in lines:
        flashes = line.kind is SignalKind.TRAFFIC_LIGHT and scene.state.signals[line.signal] == LightState.FLASHING_RED
        if not flashes and (line.kind is not SignalKind.STOP or any(abs(s - line.s_m) < 10.0 for s in lit)):
            continue
        left = line.s_m - scene.front_m
        if (scene.stood_s >= STOOD_S and left < STOP_REACH_M) or left < -0.3 or _pulled_off(scene, left):
            continue
        if round(line.s_m, 1) in told:
            continue
        told.add(round(line.s_m, 1))
        kind, relation = ("traffic light", "flashing red") if flashes else ("stop sign", "regulates the lane ahead")
        cause = Cause(kind, f"signal:{line.signal}", relation, scene.t_us, left)
        yield Constraint(HALT, line.s_m, cause, Longitudinal.STOP)


def _pulled_off(scene: Scene, left_m: float) -> bool:
    """Whether the ego, close to a line, is accelerating from rest: it has stood there and goes."""
    return left_m < STOP_REACH_M and scene.state.ego.accel_mps2 > 0.2 and scene.speed_mps < 3.0


def end_constraint(scene: Scene) -> Iterator[Constraint]:
    """The end of the route -> a halt with the front there: the road may end as well."""
    left = scene.path.length_m - scene.front_m
    if left < scene.look_m:
        lane = scene.path.lanes[-1]
        cause = Cause("destination", f"lane:{lane}", "at the end of the route", scene.t_us, left)
        yield Constraint(HALT, scene.path.length_m, cause, Longitudinal.STOP)


# ---------------------------------------------------------------------- people


def people_constraints(scene: Scene) -> Iterator[Constraint]:
    """People on, or about to step on, crossings ahead, and people in or walking into the way elsewhere -> halts."""
    agents, off_line = scene.agents, scene.off_line_m
    for i, row in enumerate(scene.rows):
        if (
            scene.kind(row) not in WALKERS
            or scene.s_m[i] < scene.station_m
            or scene.s_m[i] > scene.front_m + WALK_LOOK_M
        ):
            continue
        walk = _crossing_of(scene, i)
        drift = float(agents.speed_mps[row] * math.sin(scene.turn_rad[i]))
        side = float(off_line[i])
        inside = 0.5 * scene.vehicle.width_m + 0.6
        away = abs(side) - float(scene.reach_m[i, 1])
        coming = side * drift < 0.0
        clear_s = EVER if abs(drift) < 0.1 else (inside + (abs(side) if coming else -abs(side))) / abs(drift)
        if walk is not None:
            waits = agents.speed_mps[row] < 0.2 and not _lit(scene, walk) and agents.wait_s[row] < LET_WALK_S
            enters_s = max(away - inside, 0.0) / max(abs(drift), 0.1)
            if not (away < inside or (coming and enters_s < 5.0) or (waits and away < 8.0)):
                continue
            place, relation = walk.s0_m - 1.0, "waiting at the crossing" if waits else "on the crossing ahead"
            kind, target = scene.name(int(row)), scene.target(int(row))
        else:
            enters_s = max(away - inside, 0.0) / max(abs(drift), 0.1)
            if not (away < inside - 0.2 or (coming and enters_s < 3.0)):
                continue
            place, relation = float(scene.s_m[i] - scene.reach_m[i, 0]) - 2.0, "on the road ahead"
            kind, target = scene.name(int(row)), scene.target(int(row))
        left = place - scene.front_m
        if left < -1.0 or braking_to(scene, place) > 8.0:
            place = max(place, scene.front_m + 0.3)
            if scene.s_m[i] - scene.reach_m[i, 0] < scene.front_m + 0.3:
                continue
        cause = Cause(kind, target, relation, scene.t_us, float(scene.s_m[i]) - scene.front_m)
        yield Constraint(HALT, place, cause, Longitudinal.YIELD, until_s=max(clear_s, 0.3) if clear_s < EVER else EVER)


def _crossing_of(scene: Scene, i: int) -> Walk | None:
    """The crossing of the route that near agent i is on or waits at, if its front has not reached it yet."""
    row = scene.rows[i]
    for walk in scene.path.walks:
        if walk.s1_m < scene.front_m - 0.5 or walk.s0_m > scene.front_m + WALK_LOOK_M:
            continue
        named = int(scene.agents.crossing[row]) == walk.crossing
        near = walk.s0_m - KERB_M < scene.s_m[i] < walk.s1_m + KERB_M and abs(scene.side_m[i]) < 12.0
        if near and (named or scene.agents.crossing[row] < 0):
            return walk
    return None


def _lit(scene: Scene, walk: Walk) -> bool:
    """Whether a light that works regulates the route before a crossing."""
    return any(
        line.kind is SignalKind.TRAFFIC_LIGHT
        and walk.s0_m - 25.0 < line.s_m <= walk.s0_m + 2.0
        and int(scene.state.signals[line.signal]) != LightState.OFF
        for line in scene.path.lines
    )


def curve_cause(scene: Scene) -> tuple[Cause, Longitudinal]:
    """Why the road itself sets the speed here: the curve, turn or limit that does -> cause and decision."""
    path = scene.path
    here = path.index(scene.station_m + max(scene.speed_mps, 0.5))
    by = int(path.cap_by[here])
    distance = max(by * 0.5 - scene.station_m, 0.0)
    lane = path.lanes[path.step[by]]
    if path.curved[by] < path.limit[by] - 0.1:
        turning = next(
            (s for s in path.stretches if s.s0_m - 5.0 <= by * 0.5 <= s.s1_m + 5.0 and "change" not in s.what), None
        )
        kind = "turn" if turning else "curve"
        bend = "left" if path.curvature[by] > 0.0 else "right"
        return Cause(kind, f"lane:{lane}", f"bends to the {bend}", scene.t_us, distance), Longitudinal.SPEED_ADAPTATION
    if by > here and path.limit[by] < path.limit[here] - 0.1:
        return Cause("speed limit", f"lane:{lane}", "lower ahead", scene.t_us, distance), Longitudinal.SPEED_ADAPTATION
    return Cause("speed limit", f"lane:{lane}", "sets the speed", scene.t_us, distance), Longitudinal.SET_SPEED
