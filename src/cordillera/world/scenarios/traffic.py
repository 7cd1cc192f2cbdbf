"""Other drivers who do what they should not, or what one must expect of them."""

from __future__ import annotations

import math

from cordillera.types import AgentKind, Heed, LightState, Phase, Scenario, Trigger, When
from cordillera.world.scenarios.cast import after, due, near, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.lights import cross_from_the_side
from cordillera.world.scenarios.places import Place, built
from cordillera.world.scenarios.roads import START_M, lit_junction, speed_kmh, street

DRIVERS = (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN)


@family()
def cut_in(d: Draw) -> Scenario:
    """A vehicle on the lane beside moves in just before the ego and slows down.

    A good driver sees it drift or blink, lets it in, and opens the gap again without a hard stop. The rule that binds:
    keep a safe distance, also to one who has just moved in (DE StVO § 4, GB Highway Code rule 126).
    """
    place = street(d, 320.0, (50.0, 70.0), lanes=2, real=0.0)
    stage = stage_at(d, place, duration_s=45.0)
    aside = stage.lane_m(place.at_m, -1)
    pace = stage.speed_mps
    ahead = d.uniform("ahead_m", 17.0, 22.0)
    begin = place.at_m + d.uniform("begin_m", 40.0, 80.0)
    stage.move(
        d.choice("kind", DRIVERS),
        stage.line(0.0, stage.course.length_m - 5.0, aside),
        Phase(speed_mps=1.3 * pace, pace_m=ahead),
        Phase(
            near(begin, 0.0), pace * d.uniform("slower", 0.15, 0.35), brake_mps2=d.uniform("brake", 3.0, 4.5),
            aside_m=-aside * stage.middle, aside_mps=d.uniform("drift", 1.2, 2.0), blinker=round(stage.middle),
        ),
        start_m=stage.course.s_m[0] + ahead, speed_mps=pace,
    )  # fmt: skip
    return stage.scenario(vehicles=5, people=0)


@family()
def hard_braking_lead(d: Draw) -> Scenario:
    """The vehicle in front brakes hard to a stand, without a reason that the ego can see, and drives on later.

    A good driver keeps a gap from which he can stop, and stops. The rule that binds: keep so far behind that one can
    stop when the one in front brakes suddenly (DE StVO § 4 (1), US UVC 11-310).
    """
    place = street(d, 300.0, (40.0, 70.0), lanes=1)
    stage = stage_at(d, place, duration_s=45.0)
    gap = stage.speed_mps * d.uniform("gap_s", 1.7, 2.3) + 5.0
    brake = place.at_m + d.uniform("brake_at_m", 50.0, 90.0)
    stage.move(
        d.choice("kind", (*DRIVERS, AgentKind.TRUCK)),
        stage.line(0.0, stage.course.length_m),
        Phase(speed_mps=stage.speed_mps),
        Phase(Trigger(When.REACHED, brake + gap), 0.0, brake_mps2=d.uniform("brake", 5.0, 7.5)),
        Phase(Trigger(When.STOOD, d.uniform("stands_s", 3.0, 6.0)), 0.9 * stage.speed_mps),
        start_m=gap,
    )  # fmt: skip
    return stage.scenario(vehicles=4, people=0)


@family()
def tailgater(d: Draw) -> Scenario:
    """Somebody follows much too close while the light ahead is red.

    A good driver is not hurried: he begins to brake early and gently, so that the one behind can stop too, and stops at
    the line. The rule that binds: the light; one's own distance makes up for another's.
    """
    place = lit_junction(d, before_m=100.0)
    stage = stage_at(d, place, duration_s=35.0)
    lights = stage.lights_ahead()
    stage.light((lights[0][1],), LightState.RED, until_s=d.uniform("red_s", 13.0, 18.0))
    stage.light((lights[0][1],), LightState.GREEN, from_s=18.0)
    stage.move(
        d.choice("kind", DRIVERS),
        stage.line(-60.0, stage.course.length_m),
        Phase(speed_mps=1.15 * stage.speed_mps, brake_mps2=5.0, heeds=Heed.EVERYONE),
        start_m=60.0 - d.uniform("behind_m", 8.0, 10.0), speed_mps=stage.speed_mps,
    )  # fmt: skip
    return stage.scenario(vehicles=4, people=2)


@family()
def wrong_way_driver(d: Draw) -> Scenario:
    """Somebody comes towards the ego on the ego's own lane, notices late, stops, and moves back to the other side.

    A good driver slows down at once, keeps to the near edge, stops in time, lets the other clear the lane, and goes on.
    The rule that binds: whoever has the right of way must not insist on it (DE StVO § 1 (2), § 11 (3)).
    """
    place = street(d, 320.0, (40.0, 70.0))
    stage = stage_at(d, place, duration_s=60.0)
    far = stage.lane_m(place.at_m, 1)
    from_m = min(place.at_m + d.uniform("from_m", 200.0, 280.0), stage.course.length_m - 5.0)
    speed, sees = d.uniform("speed", 8.0, 12.0), d.uniform("sees_at_m", 50.0, 70.0)
    notices = speed * (from_m - sees) / (speed + stage.speed_mps)  # so far it has come when the ego is `sees` away
    back = {"aside_m": -far * stage.middle, "heeds": Heed.EGO}
    stage.move(
        d.choice("kind", DRIVERS), stage.line(from_m, 0.0),
        Phase(speed_mps=speed, heeds=Heed.EGO),
        Phase(Trigger(When.REACHED, notices), 0.0, brake_mps2=5.0, heeds=Heed.EGO),
        Phase(
            Trigger(When.STOOD, d.uniform("stands_s", 9.0, 12.0)), 2.0, aside_mps=1.5, blinker=round(-stage.middle),
            **back,
        ),
        Phase(after(4.0), 8.0, **back),
    )  # fmt: skip
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def red_light_runner(d: Draw) -> Scenario:
    """The ego's light is green, and somebody from the side drives through his red one.

    A good driver looks to the sides also on green, sees that the other does not slow down, brakes, and lets him pass.
    The rule that binds: green does not free one of care (GB Highway Code rule 176, US UVC 11-202 (a)).
    """
    place = lit_junction(d)
    stage = stage_at(d, place, duration_s=30.0)
    ahead = stage.lights_ahead()
    stage.light(stage.junction_lights(ahead[0][1]), LightState.RED)
    stage.light((ahead[0][1],), LightState.GREEN)
    cross_from_the_side(stage, d, "runner", d.uniform("late_s", -0.1, 0.5))
    return stage.scenario(vehicles=3, people=0)


@family()
def double_parked_van(d: Draw) -> Scenario:
    """A van stands on the ego's lane with its hazard lights on, and vehicles come the other way.

    A good driver stops behind it with room to steer, lets the oncoming ones pass, then drives round it slowly. The rule
    that binds: who has the obstacle on his side waits (DE StVO § 6, GB Highway Code rule 163).
    """
    place = street(d, 260.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=60.0)
    at = place.at_m + d.uniform("van_m", 70.0, 110.0)
    stage.put(AgentKind.VAN, at, stage.edge_m(at) + d.uniform("from edge", 1.3, 1.5), blinker=2)
    far = stage.lane_m(at, 1)
    for k in range(d.choice("oncoming", (1, 2, 3))):
        back = at + 25.0 + 14.0 * k + d.uniform(f"gap {k}", 0.0, 8.0)
        stage.move(
            d.choice(f"kind {k}", DRIVERS), stage.line(back + 60.0, 0.0, far), Phase(),
            Phase(near(at, 65.0), d.uniform(f"speed {k}", 6.0, 9.0), heeds=Heed.EVERYONE),
        )  # fmt: skip
    return stage.scenario(vehicles=0, people=2, clear_oncoming=True)


@family()
def vehicle_reversing_out(d: Draw) -> Scenario:
    """A car backs out of a drive, across the road, into the drive opposite.

    A good driver sees the lamps or the movement, brakes, and waits until it is across. The rule that binds: who
    backs out must endanger nobody, but the other must still not hit him (DE StVO § 1, § 9 (5)).
    """
    place = street(d, 240.0, (30.0, 50.0), edge="sidewalk")
    stage = stage_at(d, place, duration_s=35.0)
    at = place.at_m + d.uniform("drive_m", 60.0, 100.0)
    edge = stage.edge_m(at)
    line = stage.across(at, edge - 3.2, stage.edge_m(at, "far") + 3.4)
    stage.move(
        d.choice("kind", DRIVERS), line, Phase(),
        Phase(due(at, d.uniform("due_s", 3.2, 4.0)), d.uniform("pace", 1.6, 2.2), accel_mps2=1.5), backwards=True,
    )  # fmt: skip
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def door_opening(d: Draw) -> Scenario:
    """A row of cars is parked at the edge; the door of one opens into the lane.

    A good driver keeps a door's width away from parked cars, or goes slowly enough to stop, and moves out only if the
    other side is free. The rule that binds: distance to parked vehicles (DE StVO § 1, § 14; GB Highway Code rule 163).
    """
    place = street(d, 240.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=45.0)
    at = place.at_m + d.uniform("door_m", 60.0, 100.0)
    wide = 1.82
    aside = stage.edge_m(at) + d.uniform("in lane", -0.6, -0.2)
    for k in range(-2, 3):
        stage.put(AgentKind.CAR, at + 6.3 * k, aside)
    hinge = aside + 0.5 * wide
    stage.move(
        AgentKind.DOOR, stage.line(at + 0.4, at + 1.4, hinge + 0.45), Phase(visible=False),
        Phase(due(at, d.uniform("due_s", 2.2, 2.8))), at_end="stop",
    )  # fmt: skip
    return stage.scenario(vehicles=1, people=0, clear_oncoming=True)


@family()
def cyclist_swerving(d: Draw) -> Scenario:
    """A cyclist ahead moves out to the middle of the lane, round a parked car, without looking back.

    A good driver sees the parked car as the cyclist does, stays behind, and overtakes later with 1.5 m between. The
    rule that binds: distance when passing (DE StVO § 5 (4), FR Code R414-4, GB Highway Code rule 163).
    """
    place = street(d, 300.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=55.0)
    parked = place.at_m + d.uniform("parked_m", 80.0, 120.0)
    edge = stage.edge_m(parked)
    stage.put(AgentKind.CAR, parked, edge + 0.4)
    rides = d.uniform("rides", 3.5, 5.0)
    keeps = edge + 0.6
    stage.move(
        AgentKind.BICYCLE, stage.line(0.0, stage.course.length_m, keeps),
        Phase(speed_mps=rides, pace_m=math.nan),
        Phase(Trigger(When.REACHED, parked - 14.0), rides, aside_m=stage.middle * 2.1, aside_mps=1.4),
        Phase(Trigger(When.REACHED, parked + 6.0), rides, aside_m=0.0, aside_mps=0.8),
        start_m=parked - d.uniform("ahead_m", 45.0, 55.0),
    )  # fmt: skip
    return stage.scenario(vehicles=2, people=0)


@family()
def cyclist_against_traffic(d: Draw) -> Scenario:
    """A cyclist rides towards the ego on the ego's lane, and gets onto the verge where he cannot go on.

    A good driver slows down, keeps towards the middle where the other side is free, and passes at a distance, or stops.
    The rule that binds: regard for those who can be hurt, whatever they do wrong (DE StVO § 1 (2)).
    """
    place = street(d, 260.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=45.0)
    from_m = place.at_m + d.uniform("from_m", 130.0, 180.0)
    keeps = stage.edge_m(place.at_m) + d.uniform("from edge", 1.0, 1.5)
    onto = keeps - stage.edge_m(place.at_m) + 0.7  # the verge or pavement
    stage.move(
        AgentKind.BICYCLE, stage.line(from_m, 0.0, keeps),
        Phase(speed_mps=d.uniform("rides", 3.0, 5.0), heeds=Heed.EGO),
        Phase(Trigger(When.STOOD, 2.0), 0.8, aside_m=stage.middle * onto, aside_mps=1.2),
    )  # fmt: skip
    return stage.scenario(vehicles=1, people=0, clear_oncoming=True)


@family()
def slow_tractor(d: Draw) -> Scenario:
    """A tractor goes ahead at a walking or cycling pace on a road where one may drive much faster.

    A good driver closes up gently, follows at a distance, and overtakes only where sight and room allow. The rule that
    binds: overtaking without endangering the oncoming traffic (DE StVO § 5 (2)).
    """
    length = 420.0
    course = built(
        d, "straight", (START_M, -1.75), (START_M + length, -1.75), speed=speed_kmh(d, 60.0, 80.0), edge="shoulder",
        length=length + 80.0,
    )  # fmt: skip
    stage = stage_at(d, Place(course, 20.0, True), duration_s=60.0)
    stage.move(
        AgentKind.TRACTOR, stage.line(0.0, length), Phase(speed_mps=d.uniform("pace", 4.5, 7.0)),
        start_m=d.uniform("ahead_m", 90.0, 130.0),
    )  # fmt: skip
    return stage.scenario(vehicles=6, people=0)


@family()
def end_of_queue(d: Draw) -> Scenario:
    """Vehicles stand in a queue on an open road, and begin to move later.

    A good driver sees the brake lamps, stops behind the last one, and follows when it moves. The rule that binds:
    keep so far behind that one can stop (DE StVO § 4).
    """
    place = street(d, 320.0, (50.0, 80.0))
    stage = stage_at(d, place, duration_s=65.0)
    last = place.at_m + d.uniform("queue_m", 110.0, 150.0)
    goes = d.uniform("goes_s", 16.0, 20.0)
    for k in range(4):
        stage.move(
            d.choice(f"kind {k}", (*DRIVERS, AgentKind.TRUCK)), stage.line(0.0, stage.course.length_m), Phase(),
            Phase(Trigger(When.TIME, goes + 1.5 * (3 - k)), 0.8 * stage.speed_mps, heeds=Heed.EVERYONE),
            start_m=last + 11.0 * k,
        )  # fmt: skip
    return stage.scenario(vehicles=2, people=0)


@family(everyday=True)
def short_on_ramp(d: Draw) -> Scenario:
    """A short acceleration lane leads onto a motorway with traffic on its near lane.

    A good driver gains speed, fits himself into a gap, and if there is none waits at the end of the lane. The rule that
    binds: who joins gives way (DE StVO § 18 (3), US UVC 11-404).
    """
    accel = d.uniform("accel", 80.0, 130.0)
    course = built(
        d, "merge", (140.0, -37.0), (540.0, -5.6), lanes=2, length=300.0, accel=round(accel), ramp=120.0,
        speed=speed_kmh(d, 80.0, 110.0),
    )  # fmt: skip
    stage = stage_at(d, Place(course, 150.0, True), speed_mps=13.0, duration_s=35.0)
    return stage.scenario(vehicles=d.choice("traffic", (6, 9, 12)), people=0)
