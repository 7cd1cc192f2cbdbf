"""Ways that are blocked: things on the road, works, water."""

from __future__ import annotations

from cordillera.types import AgentKind, Gesture, Heed, Phase, Scenario, Trigger, Weather, When
from cordillera.world.scenarios.cast import Stage, after, near, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import street

LANE_M = 1.75  # half a lane
AHEAD_S = 8.0  # so long before the meeting an oncoming vehicle sets out

ZIPPER_M = 48.0  # before works: where he waits who lets another in
COLUMN_M = 11.0  # from one vehicle of a slow column to the next


@family()
def roadblock(d: Draw) -> Scenario:
    """The road is closed from edge to edge: barriers, cones and a police car with its lights on, an officer before it.

    A good driver stops well before the barriers and waits: there is no way round. The rule that binds: barriers close
    the road (DE StVO § 43 (3), US MUTCD part 6).
    """
    place = street(d, 170.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=30.0)
    at = place.at_m + d.uniform("block_m", 85.0, 115.0)
    low, high = stage.edge_m(at), stage.edge_m(at, "far")
    count = max(round((high - low) / 2.5), 2)
    for k in range(count):
        stage.put(AgentKind.BARRIER, at, low + (k + 0.5) * (high - low) / count)
        stage.put(AgentKind.CONE, at - 2.5, low + (k + 0.2) * (high - low) / count)
    stage.put(AgentKind.POLICE_CAR, at + 7.0, 0.5 * (low + high), turn_deg=d.uniform("turn", 70.0, 110.0), blinker=2)
    if d.chance("officer", 0.6):
        stage.put(AgentKind.POLICE_OFFICER, at - 4.0, 0.5 * (low + high), turn_deg=180.0, shows=Gesture.STOP)
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True, tags=(f"progress:{at - 40.0:.0f}",))


@family()
def fallen_tree(d: Draw) -> Scenario:
    """A tree lies across the ego's lane, and over it into the other one in part of the scenarios.

    A good driver stops before the tree, lets oncoming traffic pass and goes round where there is room; he does not
    drive over branches. The rule that binds: adapt speed to what can be seen; going round on the other side only if
    nobody comes (DE StVO §§ 3, 6).
    """
    place = street(d, 170.0, (40.0, 70.0), edge="shoulder")
    stage = stage_at(d, place, duration_s=55.0)
    at = place.at_m + d.uniform("tree_m", 75.0, 105.0)
    low = stage.edge_m(at)
    reach = d.uniform("reach", 2.4, 3.3)  # into the road
    long = reach + 2.6
    size = (long, d.uniform("thick", 0.9, 1.5), 1.3)
    stage.put(AgentKind.FALLEN_TREE, at, low - 2.6 + 0.5 * long, d.uniform("turn", 70.0, 110.0), size)
    oncoming(stage, d, at, d.uniform("meet_s", -1.0, 1.0))
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def debris(d: Draw) -> Scenario:
    """Pieces of tyre, planks and stones lie on the ego's lane.

    A good driver sees them in time, slows down and steers round within his lane, or over the free part of the other
    one when nobody comes. The rule that binds: adapt speed to sight; do not swerve into others (DE StVO §§ 1, 3).
    """
    place = street(d, 170.0, (40.0, 80.0), edge=d.choice("edge", ("sidewalk", "shoulder")))
    stage = stage_at(d, place, duration_s=55.0)
    at = place.at_m + d.uniform("debris_m", 75.0, 105.0)
    for k in range(d.choice("pieces", (1, 2, 3))):
        size = (d.uniform(f"long {k}", 0.5, 1.4), d.uniform(f"wide {k}", 0.4, 1.0), d.uniform(f"high {k}", 0.2, 0.5))
        aside = (0.0, -0.9, 0.7)[k] + d.uniform(f"aside {k}", -0.3, 0.3)
        stage.put(AgentKind.DEBRIS, at + 1.5 * k, aside, d.uniform(f"turn {k}", 0.0, 180.0), size)
    oncoming(stage, d, at, d.uniform("meet_s", -1.0, 1.5))
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def lost_cargo(d: Draw) -> Scenario:
    """A van ahead loses boxes: they lie in the ego's way a moment later.

    A good driver keeps his distance to badly secured loads, brakes when something falls, and passes the boxes slowly
    where there is room. The rule that binds: a distance that is enough when the one ahead is no longer there (DE StVO
    § 4 (1)).
    """
    place = street(d, 200.0, (40.0, 60.0))
    stage = stage_at(d, place, duration_s=55.0)
    at = place.at_m + d.uniform("falls_m", 80.0, 110.0)
    speed = 0.85 * stage.limit_mps
    ahead = d.uniform("ahead_s", 2.6, 3.2) * speed + 4.0
    stage.speed_mps = speed
    line = stage.line(0.0, stage.course.length_m + 60.0)
    stage.move(AgentKind.VAN, line, Phase(speed_mps=speed), start_m=ahead + 4.0)
    for k in range(d.choice("boxes", (2, 3))):
        spot = at + 1.6 * k
        falls = Phase(near(spot, ahead + d.uniform(f"later {k}", -4.0, 0.0)))
        size = (d.uniform(f"long {k}", 0.7, 1.3), d.uniform(f"wide {k}", 0.7, 1.1), d.uniform(f"high {k}", 0.5, 1.0))
        aside = (-0.5, 0.5, 0.0)[k] + d.uniform(f"aside {k}", -0.3, 0.3)
        turn = d.uniform(f"turn {k}", 0.0, 90.0)
        stage.stand(AgentKind.CARGO, spot, aside, Phase(visible=False), falls, turn_deg=turn, size=size)
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def pothole_field(d: Draw) -> Scenario:
    """Deep potholes across the ego's lane: who hits one faster than 18 km/h damages the car.

    A good driver slows down to a crawl, or steers round them where there is room and nobody comes. The rule that
    binds: adapt speed to the state of the road (DE StVO § 3 (1)).
    """
    place = street(d, 160.0, (30.0, 60.0), edge=d.choice("edge", ("sidewalk", "shoulder")))
    stage = stage_at(d, place, duration_s=45.0)
    at = place.at_m + d.uniform("holes_m", 70.0, 95.0)
    for k in range(d.choice("holes", (5, 6, 7))):
        size = (d.uniform(f"long {k}", 0.6, 1.3), d.uniform(f"wide {k}", 0.6, 1.1), 0.08)
        aside = (-1.0, 0.8, 0.0)[k % 3] + d.uniform(f"aside {k}", -0.3, 0.3)
        stage.put(AgentKind.POTHOLE, at + 2.2 * k, aside, 0.0, size)
    oncoming(stage, d, at, d.uniform("meet_s", -1.0, 2.0))
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)


@family()
def flooded_road(d: Draw) -> Scenario:
    """Water stands across the whole road after rain.

    A good driver cannot see how deep it is: he drives through at walking pace (at most 10 km/h) or not at all. The
    rule that binds: adapt speed to the state of the road (DE StVO § 3 (1), GB Highway Code rule 121).
    """
    place = street(d, 160.0, (40.0, 60.0))
    stage = stage_at(d, place, duration_s=45.0)
    at = place.at_m + d.uniform("water_m", 75.0, 95.0)
    low, high = stage.edge_m(at), stage.edge_m(at, "far")
    size = (d.uniform("long", 6.0, 12.0), high - low + 1.0, 0.1)
    stage.put(AgentKind.FLOOD, at, 0.5 * (low + high), 0.0, size)
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True, weather=Weather.RAIN)


@family()
def lane_closure(d: Draw) -> Scenario:
    """Cones taper the ego's lane away at works; a machine stands behind them. Traffic comes on the other lane.

    A good driver slows down, gives way to oncoming traffic and passes on the other side when it is clear. The rule
    that binds: who has the obstacle on his side waits (DE StVO § 6, GB Highway Code rule 163).
    """
    place = street(d, 190.0, (30.0, 50.0), lanes=1)
    stage = stage_at(d, place, duration_s=50.0)
    at = place.at_m + d.uniform("works_m", 75.0, 95.0)
    works(stage, at, d.uniform("long", 12.0, 22.0))
    oncoming(stage, d, at, d.uniform("meet_s", -3.5, -2.5))
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def work_zone_with_flagger(d: Draw) -> Scenario:
    """Works leave one lane for both directions; a flagger stops the ego, lets the others through, then waves it on.

    A good driver obeys the flagger: he stops before him, waits for those who come, and passes slowly on the other side
    when he is waved on. The rule that binds: signals of flaggers are orders (US MUTCD 6E, DE StVO § 36).
    """
    place = street(d, 200.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=55.0)
    at = place.at_m + d.uniform("works_m", 80.0, 95.0)
    works(stage, at, d.uniform("long", 12.0, 18.0))
    stop = at - 16.0
    stands = Phase(Trigger(When.EGO_STANDS, 25.0, stop), shows=Gesture.STOP)
    go = Phase(after(d.uniform("wait_s", 7.0, 10.0)), shows=Gesture.SLOW)
    stage.stand(AgentKind.FLAGGER, stop + 2.0, stage.edge_m(stop) - 0.4, Phase(shows=Gesture.STOP), stands, go)
    oncoming(stage, d, at, d.uniform("meet_s", -3.5, -2.5))
    oncoming(stage, d, at, d.uniform("next_s", -1.0, 0.0), "second")
    return stage.scenario(vehicles=0, people=0, clear_oncoming=True)


@family()
def zipper_merge(d: Draw) -> Scenario:
    """The ego's lane ends at works; on the lane beside it a slow column passes, and one of its drivers leaves a gap.

    A good driver goes on to the end of his lane, waits there for the gap that he is given, and moves over into it, one
    after another; he neither forces his way in nor stands for good. The rule that binds: where a lane ends, the columns
    take turns right before its end (DE StVO § 7 (4), GB Highway Code rule 134).
    """
    place = street(d, 330.0, (50.0, 70.0), lanes=2, real=0.0)
    stage = stage_at(d, place, speed_mps=12.0, duration_s=60.0)
    at = place.at_m + d.uniform("works_m", 90.0, 110.0)
    for k in range(5):
        stage.put(AgentKind.CONE, at - 12.0 + 3.0 * k, 1.5 - 2.9 * k / 4.0)
    stage.put(AgentKind.BARRIER, at + 2.0, 0.0)
    stage.put(AgentKind.WORK_MACHINE, at + 7.0, 0.2)
    for k in range(1, 4):
        stage.put(AgentKind.CONE, at + 5.0 * k, -1.4)
    pace, before = d.uniform("column_mps", 4.0, 5.5), round(d.uniform("before", 3.0, 6.0))
    line = stage.line(0.0, stage.course.length_m - 5.0, stage.lane_m(place.at_m, -1))
    gives = at - ZIPPER_M
    first = gives - d.uniform("gives_way_m", 15.0, 30.0)
    for k in range(-before, 4):
        goes = Phase(speed_mps=pace, heeds=Heed.EVERYONE)
        waits = Phase(speed_mps=pace, stop_at_m=gives, heeds=Heed.EVERYONE)
        phases = (waits, Phase(near(at + 4.0, 0.0), pace, heeds=Heed.EVERYONE)) if k == 0 else (goes,)
        kind = d.choice(f"kind {k}", (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN))
        stage.move(kind, line, *phases, start_m=max(first - COLUMN_M * k, 5.0 + 8.0 * (3 - k)))
    return stage.scenario(vehicles=0, people=0, clear_m=(-40.0, 60.0))


def works(stage: Stage, at_m: float, long_m: float) -> None:
    """Close the ego's lane for a length from a place on: a taper of cones, barriers, a machine, cones along it."""
    low = stage.edge_m(at_m)
    inner = LANE_M - 0.2
    for k in range(5):
        stage.put(AgentKind.CONE, at_m - 12.0 + 3.0 * k, low + 0.3 + (inner - low - 0.3) * k / 4.0)
    stage.put(AgentKind.BARRIER, at_m + 2.0, 0.5 * (low + inner))
    stage.put(AgentKind.WORK_MACHINE, at_m + 7.0, 0.5 * (low + inner) - 0.3)
    count = max(round(long_m / 4.0), 1)
    for k in range(1, count + 1):
        stage.put(AgentKind.CONE, at_m + k * long_m / count, inner)


def oncoming(stage: Stage, d: Draw, at_m: float, late_s: float, name: str = "first") -> None:
    """A vehicle on the other lane that meets at a place, or so much later, an ego that does not slow down.

    It sets out by where the ego is, not by how fast it goes, so that one who brakes sees it come from afar and lets it
    pass, and nobody meets it out of nowhere. It brakes for the ego. Where there is no lane for it none comes.
    """
    far = stage.edge_m(at_m, "far")
    if far < 3.4:
        return
    aside = min(far - LANE_M, 3.5)
    speed = d.uniform(f"{name} oncoming mps", 8.0, 12.0)
    reach = min(AHEAD_S + late_s, (stage.course.length_m - 3.0 - at_m) / speed)
    line = stage.line(at_m + speed * reach, -40.0, aside)
    kind = d.choice(f"{name} oncoming", (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN, AgentKind.BUS))
    sets_out = near(at_m, max(reach - late_s, 0.0) * stage.speed_mps)
    stage.move(kind, line, Phase(visible=False), Phase(sets_out, speed, heeds=Heed.EGO), speed_mps=speed)
