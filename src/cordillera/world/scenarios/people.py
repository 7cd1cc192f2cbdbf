"""People and animals where the driver must expect them, or cannot see them yet."""

from __future__ import annotations

from cordillera.types import AgentKind, Heed, Phase, Scenario
from cordillera.world.scenarios.cast import child, due, stage_at, stood
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import street, walk_over


@family()
def jaywalker_behind_bus(d: Draw) -> Scenario:
    """A bus stands at the edge of the road; somebody steps out from behind it into the ego's way and crosses.

    A good driver slows down beside a bus at a stop, covers the brake, stops for whoever comes out, and drives on when
    the way is clear. The rule that binds: drive so that one can stop within what one can see; special care at stopping
    buses (DE StVO § 20, GB Highway Code rule 223).
    """
    place = street(d, 150.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=55.0)
    at = place.at_m + d.uniform("bus_m", 50.0, 80.0)
    stage.park(AgentKind.BUS, at, blinker=2)
    edge = stage.edge_m(at)
    step_out = at + 5.5 + d.uniform("from bus_m", 0.8, 2.0)
    stage.walk(
        step_out, edge - 0.5, stage.edge_m(at, "far") + 1.0, due(step_out, d.uniform("due_s", 2.1, 2.6)),
        speed_mps=d.uniform("pace", 1.5, 2.2),
    )  # fmt: skip
    return stage.scenario(vehicles=4, people=0, clear_oncoming=True)


@family()
def child_after_ball(d: Draw) -> Scenario:
    """A ball rolls onto the road between parked cars, and a child runs after it.

    A good driver brakes for the ball at once, since a child comes behind it, and stops for the child. The rule that
    binds: special care where children may be (DE StVO § 3 (2a), GB Highway Code rule 205).
    """
    place = street(d, 140.0, (30.0, 40.0))
    stage = stage_at(d, place, duration_s=50.0)
    at = place.at_m + d.uniform("at_m", 55.0, 85.0)
    edge = stage.edge_m(at)
    for k, ahead in enumerate((-11.5, -5.0, 4.5)):
        stage.park(d.choice(f"parked {k}", (AgentKind.CAR, AgentKind.VAN)), at + ahead, gap_m=-0.9)
    first_s = d.uniform("ball_s", 3.4, 4.0)
    stage.walk(
        at, edge - 2.0, stage.edge_m(at, "far") - 0.5, due(at, first_s), speed_mps=3.0, kind=AgentKind.BALL
    )  # fmt: skip
    stage.walk(
        at - 0.6, edge - 4.0, stage.edge_m(at, "far") - 1.5, due(at, first_s - d.uniform("behind_s", 0.9, 1.2)),
        speed_mps=d.uniform("run", 2.4, 3.0), size=child(d.uniform("tall", 1.0, 1.3)),
    )  # fmt: skip
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)


@family()
def animal_on_road(d: Draw) -> Scenario:
    """A deer or a dog runs across the road from the verge; sometimes another one follows, or it stops in mid-lane.

    A good driver brakes firmly and keeps to his lane rather than swerving, and expects a second one. The rule that
    binds: adapt speed to sight where animals cross (DE StVO § 3; sign 142).
    """
    place = street(d, 170.0, (50.0, 80.0), edge="shoulder")
    stage = stage_at(d, place, duration_s=30.0)
    at = place.at_m + d.uniform("at_m", 85.0, 115.0)
    edge, far = stage.edge_m(at), stage.edge_m(at, "far")
    long = d.choice("animal", (1.6, 1.5, 0.9))
    size = (long, 0.3 * long, 0.75 * long)
    start = edge - d.uniform("from", 3.0, 5.0)
    line = stage.across(at, start, far + 6.0)
    pace = d.uniform("pace", 1.7, 2.4)
    due_s = -start / pace + d.uniform("late", 0.1, 0.4)
    phases = [Phase(), Phase(due(at, due_s), pace, accel_mps2=4.0)]
    if d.chance("freezes", 0.5):
        due_s += d.uniform("sooner", 2.6, 3.0)
        freeze = -start + d.uniform("freezes at", -0.5, 0.5)
        phases[1] = Phase(due(at, due_s), pace, accel_mps2=4.0, stop_at_m=freeze)
        phases.append(Phase(stood(d.uniform("frozen_s", 3.5, 4.5)), pace, accel_mps2=4.0))
    stage.move(AgentKind.ANIMAL, line, *phases, size=size, at_end="vanish")
    if d.chance("second", 0.4):
        follows = due(at, due_s - d.uniform("second_s", 0.6, 1.4))
        stage.walk(at + 4.0, start - 1.0, far + 6.0, follows, pace, AgentKind.ANIMAL, size)
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def wheelchair_crossing(d: Draw) -> Scenario:
    """Somebody in a wheelchair crosses slowly at a crossing without lights, and takes longer than others do.

    A good driver lets them cross in full, without pressing, and goes when the way is clear. The rule that binds:
    people on crossings go first, wheelchairs named expressly (DE StVO § 26 (1), GB Highway Code rules H2 and 207).
    """
    place = walk_over(d, 65.0)
    stage = stage_at(d, place, duration_s=40.0)
    begins, ends, _ = stage.course.walks[0]
    at = 0.5 * (begins + ends)
    edge, far = stage.edge_m(at), stage.edge_m(at, "far")
    from_far = d.chance("from the far side", 0.4)
    start, goal = (far + 0.7, edge - 1.0) if from_far else (edge - 0.7, far + 1.0)
    due_s = d.uniform("due_s", 3.4, 4.2) + ((far - 1.75) / 0.9 if from_far else 0.0)
    stage.walk(at, start, goal, due(at, due_s), d.uniform("pace", 0.7, 1.0), AgentKind.WHEELCHAIR)
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)


@family()
def crossing_behind_queue(d: Draw) -> Scenario:
    """Oncoming cars queue across from a crossing; somebody comes out between them onto it.

    A good driver does not trust a crossing that he cannot see whole: he comes slowly and stops for whoever appears. The
    rule that binds: approach crossings at moderate speed; do not overtake there (DE StVO § 26).
    """
    place = walk_over(d, 65.0, real=0.0)
    stage = stage_at(d, place, duration_s=35.0)
    begins, ends, _ = stage.course.walks[0]
    at = 0.5 * (begins + ends)
    far = stage.edge_m(at, "far")
    for k in range(3):
        kind = d.choice(f"queue {k}", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK))
        stage.put(kind, begins - 5.5 - 8.6 * k, far - 1.7, 180.0)
    stage.put(AgentKind.VAN, ends + 4.5, far - 1.7, 180.0)
    stage.walk(
        at, far + 0.6, stage.edge_m(at) - 1.0, due(at, d.uniform("due_s", 3.6, 4.2)), d.uniform("pace", 1.2, 1.6)
    )
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def hesitant_pedestrian(d: Draw) -> Scenario:
    """Somebody steps onto the road away from any crossing, stops in the middle of the lane, and then goes on.

    A good driver brakes as soon as somebody steps out, waits until it is clear what he does, and does not squeeze past.
    The rule that binds: nobody may be endangered, whoever has the right of way (DE StVO § 1).
    """
    place = street(d, 150.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=35.0)
    at = place.at_m + d.uniform("at_m", 65.0, 95.0)
    edge, far = stage.edge_m(at), stage.edge_m(at, "far")
    line = stage.across(at, edge - 0.6, far + 1.0)
    pace = d.uniform("pace", 1.1, 1.6)
    middle = -edge + 0.6 + d.uniform("stops at", -0.6, 0.6)
    due_s = middle / pace + d.uniform("sooner", 2.6, 3.2)
    stage.move(
        AgentKind.PEDESTRIAN, line, Phase(), Phase(due(at, due_s), pace, 3.0, stop_at_m=middle),
        Phase(stood(d.uniform("hesitates_s", 3.5, 4.5)), pace, 3.0, heeds=Heed.EGO), at_end="stop",
    )  # fmt: skip
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)
