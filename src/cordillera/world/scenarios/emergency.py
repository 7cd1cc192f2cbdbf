"""Emergency vehicles and school buses: others for whom one stops or makes way."""

from __future__ import annotations

from cordillera.types import AgentKind, Gesture, Heed, LightState, Phase, Scenario, Trigger, When
from cordillera.world.scenarios.cast import SIZE, after, child, near, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.lights import cross_from_the_side
from cordillera.world.scenarios.roads import lit_junction, street

WAITS_M = 40.0  # whoever stands so far before a school bus waits for it
SIRENS = (AgentKind.AMBULANCE, AgentKind.POLICE_CAR, AgentKind.FIRE_ENGINE)


@family()
def emergency_from_behind(d: Draw) -> Scenario:
    """An emergency vehicle with siren comes from behind while the ego nears a red light.

    A good driver moves to the near edge, lets it pass, does not run the red light in front of cross traffic, and goes
    on after it. The rule that binds: make way at once (DE StVO § 38, GB Highway Code rule 219, US UVC 11-405).
    """
    place = lit_junction(d, before_m=110.0)
    stage = stage_at(d, place, duration_s=60.0)
    ahead = stage.lights_ahead()
    stage.light((ahead[0][1],), LightState.RED, until_s=d.uniform("red_s", 14.0, 18.0))
    stage.light((ahead[0][1],), LightState.GREEN, from_s=18.0)
    kind = d.choice("kind", SIRENS)
    aside = (
        0.5 * (stage.vehicle.width_m + SIZE[kind][1]) + 0.15
    )  # past a car at the near edge, not past one in mid-lane
    stage.move(
        kind, stage.line(-90.0, stage.course.length_m, aside),
        Phase(speed_mps=stage.speed_mps + d.uniform("faster", 3.0, 6.0), brake_mps2=5.0, heeds=Heed.EVERYONE),
        start_m=d.uniform("from_m", 0.0, 30.0),
    )  # fmt: skip
    return stage.scenario(vehicles=2, people=2, clear_oncoming=True)


@family()
def emergency_crossing(d: Draw) -> Scenario:
    """The ego's light is green; an emergency vehicle with siren crosses on red.

    A good driver hears or sees it, stops before the junction although he has green, and lets it pass. The rule that
    binds: emergency vehicles with siren go first, whatever the light (DE StVO § 38 (1), US UVC 11-405).
    """
    place = lit_junction(d)
    stage = stage_at(d, place, duration_s=32.0)
    ahead = stage.lights_ahead()
    stage.light(stage.junction_lights(ahead[0][1]), LightState.RED)
    stage.light((ahead[0][1],), LightState.GREEN)
    crossing = [c for _, _, c in stage.course.conflicts if c.kind == "cross"]
    straight = [c for c in crossing if stage.roads.map.lanes[c.other].turn == "straight"] or crossing
    if straight:
        stage.cross_traffic(
            straight[0], 5.0, d.uniform("speed", 8.0, 12.0), d.choice("kind", SIRENS), back_m=80.0,
            late_s=d.uniform("late_s", -0.2, 0.6),
        )  # fmt: skip
    else:
        cross_from_the_side(stage, d, "siren", 0.0)
    return stage.scenario(vehicles=3, people=0)


@family(regions=("US",))
def school_bus(d: Draw) -> Scenario:
    """A school bus stands with its arm out, on the ego's side or the other one; a child runs across the road.

    A good driver stops well before the bus and stays until the arm is in, child or no child. The rule that binds: both
    directions stop for a school bus (US UVC 11-706).
    """
    place = street(d, 260.0, (30.0, 50.0), real=0.2)
    stage = stage_at(d, place, duration_s=60.0)
    at = place.at_m + d.uniform("bus_m", 80.0, 110.0)
    onward = d.chance("on our side", 0.5)
    aside = 0.0 if onward else stage.lane_m(at, 1)
    stays = d.uniform("stays_s", 5.0, 8.0)
    line = stage.line(at, stage.course.length_m, aside) if onward else stage.line(at, 0.0, aside)
    stage.move(
        AgentKind.SCHOOL_BUS, line, Phase(shows=Gesture.STOP, blinker=2),
        Phase(Trigger(When.EGO_STANDS, WAITS_M, at), shows=Gesture.STOP, blinker=2),
        Phase(after(stays), 8.0, accel_mps2=1.2, heeds=Heed.EVERYONE),
    )  # fmt: skip
    crossing = at + (-8.5 if not onward else 8.0)
    start, end = stage.edge_m(crossing) - 0.8, stage.edge_m(crossing, "far") + 1.0
    stage.walk(
        crossing, *((end, start) if d.chance("from far", 0.5) else (start, end)),
        near(crossing, d.uniform("near_m", 24.0, 30.0)), d.uniform("runs", 1.8, 2.6), size=child(),
    )  # fmt: skip
    return stage.scenario(vehicles=1, people=0, clear_oncoming=True)
