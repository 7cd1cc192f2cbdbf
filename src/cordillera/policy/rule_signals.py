"""A scene in; what signs of officers and buses, lights that are out of order, and bad ground ask of the speed out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cordillera.geometry import wrap_angle
from cordillera.policy.rule_scene import Scene, braking_to
from cordillera.policy.rule_speed import HALT, LIMIT, Constraint
from cordillera.types import PASSABLE_MPS, AgentKind, Cause, Gesture, LightState, Longitudinal, SignalKind

DIRECTING = (AgentKind.POLICE_OFFICER, AgentKind.FLAGGER)
SEEN_M, ASIDE_M = 70.0, 14.0
FACING_RAD = math.radians(80.0)
BEFORE_PERSON_M, BEFORE_BUS_M = 3.0, 9.0
LINE_NEAR_M = 35.0  # an officer's sign is meant for the stop line so far before him
DARK_MPS, AMBER_MPS = 5.0, 7.0
SLOWLY_MPS = 5.0  # what a flagger's "slow" means
EASE_MPS = 0.4  # below what the ground bears
BALL_MPS, BALL_M = 4.0, 9.0


def gesture_constraints(scene: Scene) -> Iterator[Constraint]:
    """Officers and flaggers who face the ego, and school buses: halts while they show stop; slowly past a "slow"."""
    for i, row in enumerate(map(int, scene.rows)):
        shown, kind = int(scene.agents.shows[row]), scene.kind(row)
        if shown not in (Gesture.STOP, Gesture.SLOW) or not _meant(scene, i, row):
            continue
        s, reach = float(scene.s_m[i]), float(scene.reach_m[i, 0])
        target = scene.target(row)
        if shown == Gesture.SLOW:
            cause = Cause(scene.name(row), target, "on the road ahead", scene.t_us, s - scene.front_m)
            if kind in DIRECTING:
                yield Constraint(LIMIT, s - 2.0, cause, Longitudinal.SPEED_ADAPTATION, SLOWLY_MPS, end_m=s + 4.0)
            continue
        bus = kind == AgentKind.SCHOOL_BUS
        place = s - reach - BEFORE_BUS_M if bus else _place(scene, i)
        if place < scene.front_m - 0.5:
            if s < scene.front_m - 1.0 or (bus and place < scene.front_m - 6.0):
                continue
            place = scene.front_m + 0.2
        if braking_to(scene, place) > 7.5:
            continue
        relation = "stopped with its stop arm out" if bus else "signalling stop"
        cause = Cause(scene.name(row), target, relation, scene.t_us, place - scene.front_m)
        yield Constraint(HALT, place, cause, Longitudinal.YIELD)


def _meant(scene: Scene, i: int, row: int) -> bool:
    """Whether someone's sign is for the ego: near, ahead, and turned to it; a bus's arm is for both directions."""
    ahead = float(scene.s_m[i]) - scene.front_m
    if not -3.0 < ahead < SEEN_M or abs(scene.side_m[i]) > ASIDE_M:
        return False
    if scene.kind(row) == AgentKind.SCHOOL_BUS:
        return True
    if scene.kind(row) not in DIRECTING:
        return False
    x, y = scene.agents.xyz[row, :2] - scene.state.ego.xyz[:2]
    to_ego = math.atan2(-float(y), -float(x))
    return abs(float(wrap_angle(to_ego - float(scene.agents.yaw_rad[row])))) < FACING_RAD


def _place(scene: Scene, i: int) -> float:
    """Where one waits for near agent `i` who shows stop: at the stop line before him, else before him."""
    s = float(scene.s_m[i])
    lines = [
        line.s_m for line in scene.path.lines if scene.front_m - 1.5 < line.s_m and 0.0 < s - line.s_m < LINE_NEAR_M
    ]
    own = s - BEFORE_PERSON_M
    return min([*lines, own]) if scene.kind(int(scene.rows[i])) == AgentKind.POLICE_OFFICER else own


def waved_on(scene: Scene) -> bool:
    """Whether an officer or flagger who faces the ego waves it on: that overrules lights and signs."""
    return any(
        scene.agents.shows[row] == Gesture.GO and scene.kind(int(row)) in DIRECTING and _meant(scene, i, int(row))
        for i, row in enumerate(scene.rows)
    )


def disorder_constraints(scene: Scene) -> Iterator[Constraint]:
    """Lights that are dark or flash amber -> slowly over their line, ready to give way."""
    for line in scene.path.lines:
        if line.kind is not SignalKind.TRAFFIC_LIGHT or not -12.0 < line.s_m - scene.front_m < scene.look_m:
            continue
        shown = LightState(int(scene.state.signals[line.signal]))
        if shown not in (LightState.OFF, LightState.FLASHING_AMBER):
            continue
        dark = shown is LightState.OFF
        cause = Cause(
            "traffic light", f"signal:{line.signal}", "dark" if dark else "flashing amber", scene.t_us,
            max(line.s_m - scene.front_m, 0.0),
        )  # fmt: skip
        yield Constraint(
            LIMIT, line.s_m - 3.0, cause, Longitudinal.SPEED_ADAPTATION, DARK_MPS if dark else AMBER_MPS,
            end_m=line.s_m + 6.0,
        )  # fmt: skip


def ground_constraints(scene: Scene) -> Iterator[Constraint]:
    """Potholes and water under the line that is driven -> as slow as they can be crossed; a ball -> a child follows."""
    half = 0.5 * scene.vehicle.width_m
    for i, row in enumerate(map(int, scene.rows)):
        kind, s = scene.kind(row), float(scene.s_m[i])
        aside = abs(float(scene.off_line_m[i])) - float(scene.reach_m[i, 1])
        if s + scene.reach_m[i, 0] < scene.station_m - scene.tail_m or s > scene.front_m + scene.look_m:
            continue
        if kind == AgentKind.BALL and aside < BALL_M and s > scene.front_m - 2.0:
            cause = Cause("ball", scene.target(row), "on the road ahead", scene.t_us, s - scene.front_m)
            yield Constraint(LIMIT, s - 8.0, cause, Longitudinal.SPEED_ADAPTATION, BALL_MPS, end_m=s + 1.0)
        elif kind in (AgentKind.POTHOLE, AgentKind.FLOOD) and aside < half + 0.1:
            name = "pothole" if kind == AgentKind.POTHOLE else "flooded road"
            cause = Cause(name, scene.target(row), "ahead", scene.t_us, s - scene.front_m)
            reach = float(scene.reach_m[i, 0])
            yield Constraint(
                LIMIT, s - reach - 1.0, cause, Longitudinal.SPEED_ADAPTATION, PASSABLE_MPS[kind] - EASE_MPS,
                end_m=s + reach + scene.tail_m + 0.3,
            )  # fmt: skip
