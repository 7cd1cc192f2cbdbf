"""Traffic lights that do not do what they should: dark, flashing, stuck, overruled, hidden."""

from __future__ import annotations

import math

from cordillera.types import AgentKind, Gesture, LightState, Phase, Scenario, Trigger, When
from cordillera.world.lights import compile_lights
from cordillera.world.scenarios.cast import Stage, after, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import lit_junction

WAYS = ("straight", "straight", "left", "right")
AMBER_S = 3.0


@family()
def light_dark(d: Draw) -> Scenario:
    """All lights of a junction are out, and somebody crosses from the side.

    A good driver sees that the lights are dead, approaches ready to stop, gives way as signs or the priority rule say
    (in the US: treats it as an all-way stop) and lets go who is there already. The rule that binds: DE StVO §§ 8, 37;
    US UVC 11-202 (four-way stop).
    """
    place = lit_junction(d, d.choice("turn", WAYS))
    stage = stage_at(d, place, duration_s=50.0)
    stage.light(stage.junction_lights(stage.lights_ahead()[0][1]), LightState.OFF)
    cross_from_the_side(stage, d, "first", d.uniform("first late", -0.3, 0.4))
    if d.chance("second comes", 0.5):
        cross_from_the_side(stage, d, "second", d.uniform("second late", 2.0, 3.0))
    return stage.scenario(vehicles=4, people=2)


@family()
def light_flashing(d: Draw) -> Scenario:
    """The lights of a junction flash: amber for all, or in the US red for the ego and amber for those who cross.

    A good driver treats flashing amber as no light at all: signs or the priority rule decide; at flashing red he stops
    as at a stop sign. The rule that binds: DE StVO § 38 (3); US UVC 11-204.
    """
    place = lit_junction(d, d.choice("turn", WAYS))
    stage = stage_at(d, place, duration_s=50.0)
    own, others = two_sides(stage)
    red = d.region.code == "US" and d.chance("flashing red", 0.6)
    stage.light(own, LightState.FLASHING_RED if red else LightState.FLASHING_AMBER)
    stage.light(others, LightState.FLASHING_AMBER)
    cross_from_the_side(stage, d, "first", d.uniform("first late", -0.3, 0.4))
    return stage.scenario(vehicles=3, people=1)


@family()
def light_stuck(d: Draw) -> Scenario:
    """A light is stuck: at red for far longer than usual, or at green while the crossing traffic has green as well.

    A good driver waits at the red light until it works again; at green he still watches who crosses, and brakes for
    one who does. The rule that binds: red means stop (DE StVO § 37 (2)); green means go only if the way is clear.
    """
    place = lit_junction(d, "straight")
    stage = stage_at(d, place, duration_s=45.0)
    own, others = two_sides(stage)
    if d.chance("at red", 0.4):
        stage.light(own, LightState.RED, until_s=d.uniform("repaired_s", 20.0, 26.0))
        stage.light(own, LightState.GREEN, from_s=26.0)
        stage.light(others, LightState.RED)
    else:
        stage.light(own + others, LightState.GREEN)
        cross_from_the_side(stage, d, "first", d.uniform("first late", -0.3, 0.4))
    return stage.scenario(vehicles=0, people=0)


@family()
def light_against_officer(d: Draw) -> Scenario:
    """The light is green, but a police officer in the junction stops the ego and lets the crossing traffic go.

    A good driver obeys the officer, not the light: he stops at the line and goes when he is waved on. The rule that
    binds: signals of officers take precedence over lights and signs (DE StVO § 36, US UVC 11-103, GB Highway Code 105).
    """
    place = lit_junction(d, "straight")
    stage = stage_at(d, place, duration_s=45.0)
    own, others = two_sides(stage)
    stage.light(own, LightState.GREEN)
    stage.light(others, LightState.RED)
    stop = stage.lights_ahead()[0][0]
    ways = [w for w in stage.course.ways if w.junction and w.end_m > stop]
    at = min(ways[0].start_m + 4.0 if ways else stop + 8.0, stop + 14.0)
    wave = Phase(after(d.uniform("wait_s", 5.0, 9.0)), shows=Gesture.GO)
    stands = Phase(Trigger(When.EGO_STANDS, 22.0, stop), shows=Gesture.STOP)
    stage.stand(AgentKind.POLICE_OFFICER, at, 2.2, Phase(shows=Gesture.STOP), stands, wave)
    cross_from_the_side(stage, d, "first", d.uniform("first late", -0.2, 0.4))
    cross_from_the_side(stage, d, "second", d.uniform("second late", 1.6, 2.4))
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def light_hidden_by_truck(d: Draw) -> Scenario:
    """The ego follows a high truck that hides the light; the light turns red as the truck passes under it.

    A good driver keeps a distance at which he sees the light, expects that it may have changed, and stops. The rule
    that binds: red means stop, seen late or not (DE StVO § 37); keep a sufficient distance (§ 4).
    """
    place = lit_junction(d, "straight", before_m=d.uniform("before", 70.0, 95.0), kmh=(40.0, 60.0))
    stage = stage_at(d, place, duration_s=40.0)
    own, others = two_sides(stage)
    stop = stage.lights_ahead()[0][0]
    speed = min(stage.speed_mps, 12.0)
    stage.speed_mps = speed
    gap = d.uniform("gap_m", 16.0, 20.0)
    arrive_s = (stop - stage.vehicle.rear_axle_to_center_m - 0.5 * stage.vehicle.length_m) / speed
    amber_s, red_s = arrive_s - d.uniform("amber before", 3.7, 4.2), arrive_s - d.uniform("red before", 0.5, 1.0)
    again_s = red_s + d.uniform("red for", 9.0, 12.0)
    stage.light(own, LightState.GREEN)
    stage.light(own, LightState.AMBER, from_s=amber_s)
    stage.light(own, LightState.RED, from_s=red_s)
    stage.light(own, LightState.GREEN, from_s=again_s)
    stage.light(others, LightState.RED)
    line = stage.line(0.0, stage.course.length_m + 60.0)
    stage.move(AgentKind.TRUCK, line, Phase(speed_mps=speed), start_m=gap + 4.0)
    return stage.scenario(vehicles=2, people=0)


def two_sides(stage: Stage) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A stage -> the lights that are green together with the course's first one, and all others of its junction."""
    first = stage.lights_ahead()[0][1]
    plan = compile_lights(stage.roads.map, stage.d.seed, stage.region.code)
    all_of = stage.junction_lights(first)
    own = tuple(i for i in all_of if plan.phase[i] == plan.phase[first])
    return own, tuple(i for i in all_of if i not in own)


def cross_from_the_side(stage: Stage, d: Draw, name: str, late_s: float) -> None:
    """Add a vehicle that crosses the course where another lane does, `late_s` after the ego would be there.

    It brakes for nobody. Of several lanes those to which the ego must give way come first, then those that go straight.
    """
    lanes = stage.roads.map.lanes
    stop = stage.lights_ahead()[0][0] if stage.lights_ahead() else -math.inf
    found = [c for a, _, c in stage.course.conflicts if a > stop]
    found.sort(key=lambda c: (lanes[c.other].turn != "straight", c.kind != "cross", not c.yields))
    if found:
        kind = d.choice(f"{name} kind", (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK))
        speed = d.uniform(f"{name} speed", 7.0, 11.0)
        stage.cross_traffic(found[0], 4.5, speed, kind, late_s=late_s)
