"""Driving as on most days: nothing unusual happens, and whoever dawdles without cause makes no progress."""

from __future__ import annotations

from cordillera.types import AgentKind, Heed, Phase, Scenario
from cordillera.world.scenarios.cast import Stage, after, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.places import built
from cordillera.world.scenarios.roads import (
    across_turn,
    bend,
    junction,
    lit_junction,
    near_turn,
    speed_kmh,
    street,
    walk_over,
)


@family(everyday=True)
def free_road(d: Draw) -> Scenario:
    """An open road with hardly anyone on it.

    A good driver drives at the limit, in the middle of his lane, and does not dawdle. The rule that binds: nobody may
    drive so slowly without reason that he holds up others (DE StVO § 3 (2)).
    """
    place = street(d, 220.0, (30.0, 80.0))
    return stage_at(d, place, duration_s=25.0).scenario(vehicles=2, people=0)


@family(everyday=True)
def following(d: Draw) -> Scenario:
    """A vehicle ahead drives somewhat more slowly than allowed, slows down for a while and speeds up again.

    A good driver follows at a time gap of about two seconds and neither crowds it nor falls back. The rule that binds:
    keep a sufficient distance (DE StVO § 4, GB Highway Code rule 126).
    """
    place = street(d, 200.0, (40.0, 60.0))
    stage = stage_at(d, place, duration_s=30.0)
    speed = d.uniform("share", 0.6, 0.85) * stage.limit_mps
    slow = d.uniform("slow", 0.4, 0.7) * speed
    line = stage.line(0.0, stage.course.length_m + 80.0)
    phases = (
        Phase(speed_mps=speed, heeds=Heed.EVERYONE),
        Phase(after(d.uniform("then_s", 4.0, 7.0)), slow, brake_mps2=1.5, heeds=Heed.EVERYONE),
        Phase(after(d.uniform("again_s", 4.0, 7.0)), speed, 1.5, heeds=Heed.EVERYONE),
    )
    kind = d.choice("kind", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK, AgentKind.BUS))
    stage.move(kind, line, *phases, start_m=4.0 + d.uniform("gap_m", 20.0, 35.0))
    return stage.scenario(vehicles=4, people=0)


@family(everyday=True)
def lights_straight(d: Draw) -> Scenario:
    """A junction with working lights, straight on.

    A good driver stops at red, at amber if he can, and sets off at green. The rule that binds: DE StVO § 37 (2).
    """
    place = lit_junction(d, "straight")
    return stage_at(d, place, duration_s=50.0).scenario(vehicles=12, people=4)


@family(everyday=True)
def lights_turn(d: Draw) -> Scenario:
    """A junction with working lights, where the course turns off.

    A good driver waits for green, gives way to oncoming traffic and to people on the crossing, and turns slowly. The
    rule that binds: DE StVO § 9 (3), US UVC 11-402.
    """
    place = lit_junction(d, d.choice("turn", ("left", "right")))
    return stage_at(d, place, duration_s=60.0).scenario(vehicles=10, people=4)


@family(everyday=True)
def near_turn_at_junction(d: Draw) -> Scenario:
    """A turn from a minor road towards the near side, at a stop or give-way sign.

    A good driver stops at the stop sign, gives way to the main road, and joins it briskly in a gap. The rule that
    binds: stop and give-way signs (DE StVO § 8).
    """
    place = junction(d, d.choice("control", ("stop", "give_way")), near_turn(d))
    return stage_at(d, place, duration_s=40.0).scenario(vehicles=8, people=2)


@family(everyday=True)
def across_turn_from_main_road(d: Draw) -> Scenario:
    """A turn off the main road across the oncoming lane, with little traffic.

    A good driver indicates, lets oncoming traffic and people on the crossing pass, and turns. The rule that binds:
    who turns across gives way to oncoming traffic (DE StVO § 9 (3)).
    """
    place = junction(d, "give_way", across_turn(d), minor=False)
    return stage_at(d, place, duration_s=45.0).scenario(vehicles=6, people=2)


@family(everyday=True)
def roundabout_everyday(d: Draw) -> Scenario:
    """Through a roundabout, off at the first, second or third exit.

    A good driver slows down, gives way to who is in the ring, and leaves without stopping. The rule that binds: traffic
    in the roundabout goes first (DE StVO § 8 (1a), GB Highway Code rule 185).
    """
    radius = d.uniform("radius", 14.0, 24.0)
    exit_xy = d.choice("exit", ((-1.75, -90.0), (90.0, -1.75), (1.75, 90.0)))
    course = built(
        d, "roundabout", (-radius - 70.0, -1.75), exit_xy, radius=radius, speed=speed_kmh(d, 30.0, 50.0),
        length=radius + 100.0,
    )  # fmt: skip
    return Stage(d, course, duration_s=45.0).scenario(vehicles=8, people=2)


@family(everyday=True)
def merging(d: Draw) -> Scenario:
    """From a ramp over an acceleration lane onto a motorway with some traffic.

    A good driver accelerates to the speed of the traffic, picks a gap and changes over without forcing anyone to brake.
    The rule that binds: traffic on the carriageway goes first (DE StVO § 18 (3)).
    """
    ramp_mps = d.region.round_limit_mps(d.uniform("ramp limit", 15.0, 21.0))
    lanes, accel = d.choice("lanes", (1, 2)), d.uniform("accel_m", 180.0, 260.0)
    before, ramp = 300.0, 120.0
    course = built(
        d, "merge", (before - 60.0, -3.75 * lanes - 9.0), (before + accel + 150.0, -3.75 * (lanes - 0.5)), lanes=lanes,
        accel=accel, speed=speed_kmh(d, 80.0, 110.0), ramp_speed=3.6 * ramp_mps, ramp=ramp, length=before,
    )  # fmt: skip
    return Stage(d, course, duration_s=35.0).scenario(vehicles=8, people=0, clear_m=(-30.0, 60.0))


@family(everyday=True)
def curves(d: Draw) -> Scenario:
    """A country road with bends and hills, or a street with one bend.

    A good driver slows down before each bend to a speed that is comfortable in it, keeps to his lane, and speeds up
    out of it. The rule that binds: adapt speed to the road (DE StVO § 3 (1)).
    """
    if d.chance("country road", 0.5):
        course = built(
            d, "rural", (30.0, -1.6), radius=d.uniform("radius", 80.0, 200.0), angle=d.uniform("angle", 25.0, 50.0),
            length=500.0, rise=d.uniform("rise", 2.0, 10.0), speed=speed_kmh(d, 60.0, 90.0),
        )  # fmt: skip
        return Stage(d, course, duration_s=35.0).scenario(vehicles=4, people=0)
    return stage_at(d, bend(d), duration_s=30.0).scenario(vehicles=4, people=0)


@family(everyday=True)
def quiet_crossing(d: Draw) -> Scenario:
    """A pedestrian crossing without lights: sometimes somebody crosses, often nobody does.

    A good driver looks for people, lets them cross, and passes an empty crossing without stopping. The rule that binds:
    DE StVO § 26, GB Highway Code rule H2.
    """
    place = walk_over(d)
    return stage_at(d, place, duration_s=30.0).scenario(vehicles=4, people=6)
