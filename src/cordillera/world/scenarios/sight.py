"""What is seen late: behind bends, in the dark, in fog, against the sun."""

from __future__ import annotations

import math

from cordillera.types import AgentKind, LightState, Phase, Scenario, Weather
from cordillera.world.scenarios.cast import Stage, due, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.lights import two_sides
from cordillera.world.scenarios.places import Course, Place
from cordillera.world.scenarios.roads import bend, street, walk_over


@family()
def stopped_vehicle_behind_bend(d: Draw) -> Scenario:
    """A broken-down vehicle stands on the lane, hidden by a bend until late.

    A good driver takes the bend at a speed at which he can stop within sight, brakes for the vehicle, lets oncoming
    traffic pass and drives round it. The rule that binds: stop within the visible distance (DE StVO § 3 (1)).
    """
    place = bend(d, 60.0, 110.0)
    stage = stage_at(d, place, duration_s=60.0)
    at = place.at_m + d.uniform("beyond_m", 40.0, 70.0)
    kind = d.choice("vehicle", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK))
    stage.put(kind, at, d.uniform("aside", -0.3, 0.3), blinker=2)
    if d.chance("triangle", 0.5):
        stage.put(AgentKind.WARNING_TRIANGLE, at - 15.0, stage.edge_m(at - 15.0) + 0.3)
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)


@family()
def low_sun(d: Draw) -> Scenario:
    """The sun stands low ahead and blinds; somebody crosses the road, or a vehicle stands on the lane.

    A good driver slows down when he is blinded, expects what he cannot see, and stops. The rule that binds: drive so
    that one can stop within what one sees (DE StVO § 3 (1), GB Highway Code rule 237).
    """
    place = walk_over(d, 65.0) if d.chance("at a crossing", 0.5) else street(d, 150.0, (40.0, 60.0))
    stage = stage_at(d, place, duration_s=35.0)
    if stage.lights_ahead():  # whoever waits at red meets nobody
        own, others = two_sides(stage)
        stage.light(own, LightState.GREEN)
        stage.light(others, LightState.RED)
    _surprise(stage, d, place)
    hour = _hour_of_sun_ahead(place.course, d.uniform("low", 0.0, 1.0))
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True, weather=Weather.CLEAR, hour=hour)


@family()
def dense_fog(d: Draw) -> Scenario:
    """Dense fog; a vehicle crawls or stands on the lane, or somebody crosses.

    A good driver drives so slowly that he can stop within what he sees: at 50 m of sight no more than 50 km/h. The rule
    that binds: DE StVO § 3 (1), FR Code de la route R413-4.
    """
    place = street(d, 170.0, (50.0, 80.0), edge="shoulder")
    stage = stage_at(d, place, speed_mps=13.0, duration_s=40.0)
    at = place.at_m + d.uniform("at_m", 80.0, 110.0)
    if d.chance("it crawls", 0.5):
        line = stage.line(at - 20.0, stage.course.length_m + 60.0)
        kind = d.choice("slow kind", (AgentKind.TRACTOR, AgentKind.TRUCK, AgentKind.CAR))
        stage.move(kind, line, Phase(speed_mps=d.uniform("crawls", 2.0, 4.0)), start_m=4.0)
    else:
        stage.put(d.choice("kind", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK)), at, 0.0, blinker=0)
    return stage.scenario(
        vehicles=2, people=0, clear_oncoming=True, weather=Weather.FOG, hour=d.uniform("hour", 7.0, 11.0)
    )


@family()
def glare_at_night(d: Draw) -> Scenario:
    """At night the lights of an oncoming vehicle dazzle; behind it somebody in dark clothes crosses the road.

    A good driver looks past the lights to the edge of his lane, slows down, and stops for who appears behind them. The
    rule that binds: stop within sight (DE StVO § 3 (1), GB Highway Code rule 115).
    """
    place = street(d, 160.0, (40.0, 60.0))
    stage = stage_at(d, place, duration_s=35.0)
    at = place.at_m + d.uniform("at_m", 80.0, 105.0)
    far = stage.edge_m(at, "far")
    if far > 3.4:
        speed = d.uniform("oncoming", 8.0, 12.0)
        line = stage.line(at + 6.0 * speed, -40.0, min(far - 1.75, 3.5))
        stage.move(
            d.choice("dazzles", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK)), line, Phase(visible=False),
            Phase(due(at, 6.0), speed), speed_mps=speed,
        )  # fmt: skip
    pace = d.uniform("pace", 1.2, 1.7)
    stage.walk(at, far + 0.8, stage.edge_m(at) - 1.0, due(at, (far + 0.6) / pace + d.uniform("late", 0.2, 0.6)), pace)
    return stage.scenario(
        vehicles=2, people=0, clear_oncoming=True, weather=Weather.CLEAR, hour=d.uniform("hour", 21.0, 28.0) % 24.0
    )


def _surprise(stage: Stage, d: Draw, place: Place) -> None:
    """Somebody who crosses at the crossing or in mid-road, or a vehicle that stands."""
    if stage.course.walks and abs(stage.course.walks[0][0] - place.at_m) < 5.0:
        at = 0.5 * sum(stage.course.walks[0][:2])
    else:
        at = place.at_m + d.uniform("at_m", 75.0, 105.0)
        if d.chance("it is a vehicle", 0.5):
            stage.put(d.choice("kind", (AgentKind.CAR, AgentKind.VAN)), at, d.uniform("aside", -0.3, 0.3), blinker=2)
            return
    pace = d.uniform("pace", 1.2, 1.5)
    start = stage.edge_m(at) - 2.2
    due_s = -start / pace + d.uniform("late", 0.3, 0.7)
    stage.walk(at, start, stage.edge_m(at, "far") + 1.0, due(at, due_s), pace)


def _hour_of_sun_ahead(course: Course, low: float) -> float:
    """The hour at which the sun stands low and as much ahead of the course as it can: morning east, evening west."""
    east = math.cos(float(course.yaw[len(course.yaw) // 2])) > 0.0
    return 6.8 + 0.8 * low if east else 17.2 - 0.8 * low
