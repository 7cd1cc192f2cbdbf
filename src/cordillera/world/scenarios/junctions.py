"""Junctions where the driver has to find out whose turn it is."""

from __future__ import annotations

import math

import numpy as np

from cordillera.types import AgentKind, Conflict, LightState, Phase, Scenario, Trigger, When
from cordillera.world.scenarios.cast import FIRST_ID, SIZE, Stage, due, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.places import Place, built
from cordillera.world.scenarios.roads import across_turn, junction, lit_junction, speed_kmh, street

ONCOMING = "oncoming"
VEHICLES = (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK)


def stream(stage: Stage, d: Draw, name: str, count: int, first_s: float, every_s: float, speed_mps: float) -> None:
    """Add vehicles on the lane that the course crosses first, that keep to their right of way.

    Those named `ONCOMING` come the other way. The first is at the conflict `first_s` after the ego would be, the next
    ones `every_s` apart.
    """
    crossing = [c for _, _, c in stage.course.conflicts if c.kind == "cross"] or [c for *_, c in stage.course.conflicts]
    if name == ONCOMING:
        crossing = [c for c in crossing if _comes_towards(stage, c)] or crossing
    for k in range(count if crossing else 0):
        kind = d.choice(f"{name} kind {k}", VEHICLES)
        stage.cross_traffic(crossing[0], 5.0, speed_mps, kind, back_m=120.0, late_s=first_s + k * every_s)


def _comes_towards(stage: Stage, conflict: Conflict) -> bool:
    """Whether the traffic of a conflict drives straight on against the course's direction before the junction."""
    ways = [w.start_m for w in stage.course.ways if w.junction]
    own = stage.spot(ways[0] if ways else 0.0)[1]
    other = stage.roads.pose(conflict.other, 0.0)[1]
    return math.cos(other - own) < -0.7 and stage.roads.map.lanes[conflict.other].turn == "straight"


@family()
def unprotected_turn(d: Draw) -> Scenario:
    """The light is green, the ego turns across the oncoming lane, and vehicles come towards it.

    A good driver pulls up, lets the oncoming ones pass, and turns in the first gap that is large enough. The rule that
    binds: who turns across gives way to oncoming traffic (DE StVO § 9 (3), GB Highway Code rule 180, US UVC 11-402).
    """
    place = lit_junction(d, across_turn(d), real=0.0)
    stage = stage_at(d, place, duration_s=40.0)
    ahead = stage.lights_ahead()
    stage.light(stage.junction_lights(ahead[0][1]), LightState.RED)
    stage.light((ahead[0][1],), LightState.GREEN)
    speed = d.uniform("speed", 8.0, 11.0)
    stream(
        stage,
        d,
        ONCOMING,
        d.choice("count", (2, 3)),
        d.uniform("first_s", -0.3, 0.4),
        d.uniform("every_s", 2.0, 3.0),
        speed,
    )
    return stage.scenario(vehicles=0, people=0)


@family(regions=("US",))
def four_way_stop(d: Draw) -> Scenario:
    """All four approaches have a stop sign; others are at theirs already.

    A good driver stops at the line, lets go who came before, and goes when it is his turn. The rule that binds: first
    come, first served; of two at once the one on the left waits (US UVC 11-403, California Driver Handbook).
    """
    place = junction(d, "stop", real=0.0, minor=True)
    stage = stage_at(d, place, duration_s=50.0)
    stream(
        stage,
        d,
        "earlier",
        d.choice("count", (1, 2)),
        d.uniform("first_s", -0.5, 0.5),
        d.uniform("every_s", 2.5, 3.5),
        6.0,
    )
    return stage.scenario(vehicles=3, people=2)


@family()
def roundabout(d: Draw) -> Scenario:
    """The ego comes to a roundabout on which others drive round.

    A good driver gives way to who is on the ring, enters in a gap, and leaves where the route says. The rule that
    binds: traffic on the ring goes first (DE StVO § 8 (1a), FR Code R415-10, GB Highway Code rule 185).
    """
    radius = d.uniform("radius", 14.0, 22.0)
    out = {"first": (1.8, -110.0), "second": (110.0, -1.8), "third": (1.8, 110.0)}[
        d.choice("exit", ("first", "second", "third"))
    ]
    goal = (-out[0], out[1]) if out[0] < 5.0 and out[1] < 0.0 else out
    course = built(d, "roundabout", (-110.0, -1.75), goal, radius=radius, length=120.0, speed=speed_kmh(d, 30.0, 50.0))
    entry = next(w.start_m for w in course.ways if w.junction)
    stage = stage_at(d, Place(course, entry, True), duration_s=40.0)
    merging = [c for *_, c in stage.course.conflicts]
    for k in range(d.choice("others", (1, 2))):
        stage.cross_traffic(
            merging[0], 4.5, d.uniform(f"speed {k}", 5.0, 6.5), d.choice(f"kind {k}", VEHICLES), back_m=45.0,
            late_s=d.uniform(f"late {k}", -0.4, 0.4) + 2.4 * k,
        )  # fmt: skip
    return stage.scenario(vehicles=2, people=0)


@family(regions=("DE", "FR", "US"))
def priority_to_the_right(d: Draw) -> Scenario:
    """A junction without signs; somebody comes from the right.

    A good driver slows down so that he can see into the road on the right, and gives way. The rule that binds: priority
    to the right (DE StVO § 8 (1), FR Code R415-5, US UVC 11-401).
    """
    place = junction(d, "right_priority", real=0.0, minor=False)
    stage = stage_at(d, place, duration_s=35.0)
    roads = stage.roads
    right = [
        c for _, _, c in stage.course.conflicts
        if c.yields and c.kind == "cross" and roads.map.lanes[c.other].turn == "straight"
    ]  # fmt: skip
    if right:
        stage.cross_traffic(
            right[0],
            4.5,
            d.uniform("speed", 7.0, 10.0),
            d.choice("kind", VEHICLES),
            late_s=d.uniform("late", -0.3, 0.5),
        )
    return stage.scenario(vehicles=2, people=2)


@family()
def give_way_to_main_road(d: Draw) -> Scenario:
    """The ego comes from a side road to a main road on which vehicles pass.

    A good driver stops at the line where he must, waits for a gap, and crosses or turns without making another brake.
    The rule that binds: the sign (give way, or stop: a full stop even where nobody comes).
    """
    control = d.choice("sign", ("give_way", "stop"))
    place = junction(d, control, real=0.0, minor=True)
    stage = stage_at(d, place, duration_s=40.0)
    stream(
        stage,
        d,
        "main",
        d.choice("count", (2, 3)),
        d.uniform("first_s", -0.3, 0.5),
        d.uniform("every_s", 2.0, 2.8),
        d.uniform("speed", 9.0, 12.0),
    )
    return stage.scenario(vehicles=2, people=2)


@family()
def rail_crossing(d: Draw) -> Scenario:
    """A railway crosses the road; the gates close, a train comes.

    A good driver stops before the gate, waits until the train has passed and the gate is open, and drives on. The rule
    that binds: rail traffic goes first (DE StVO § 19, GB Highway Code rule 293, US UVC 11-701).
    """
    gate = FIRST_ID + 1  # the second of the cast, after the train, which sets out when the gate is down
    comes_s = d.uniform("comes_s", 6.0, 7.3)
    down = Trigger(When.PHASE_OF, 1.0, 0.0, gate)
    stage, at = _track(d, AgentKind.TRAIN, d.uniform("speed", 14.0, 20.0), comes_s, down)
    edge, far = stage.edge_m(at), stage.edge_m(at, "far")
    spots = [stage.spot(at - back, 0.5 * (edge + far))[0] for back in (6.0, 5.9)]
    train = FIRST_ID
    stage.move(
        AgentKind.GATE, np.stack(spots), Phase(visible=False), Phase(due(at, 6.0)),
        Phase(Trigger(When.PHASE_OF, 2.0, 0.0, train), visible=False), size=(0.2, far - edge, 1.1), at_end="stop",
    )  # fmt: skip
    return stage.scenario(vehicles=2, people=0, clear_oncoming=True)


@family()
def tram_crossing(d: Draw) -> Scenario:
    """A tram line crosses the road without gates; a tram comes from the side.

    A good driver looks along the track, stops before it, and lets the tram pass. The rule that binds: trams go first
    where they cross (DE StVO § 2 (3), § 9 (3); FR Code R422-3).
    """
    stage, _ = _track(d, AgentKind.TRAM, d.uniform("speed", 8.0, 11.0), d.uniform("comes_s", 4.2, 5.0))
    return stage.scenario(vehicles=3, people=2, clear_oncoming=True)


def _track(
    d: Draw, kind: AgentKind, speed_mps: float, comes_s: float, sets_out: Trigger | None = None
) -> tuple[Stage, float]:
    """A street that a rail vehicle crosses `comes_s` after it set out -> the stage, and where it crosses.

    It sets out on the trigger, or when the ego is 4.5 s away.
    """
    place = street(d, 260.0, (30.0, 50.0), real=0.0)
    stage = stage_at(d, place, duration_s=60.0)
    at = place.at_m + d.uniform("track_m", 80.0, 120.0)
    side = d.choice("comes from", (-1.0, 1.0))
    reach = comes_s * speed_mps + 5.0
    line = stage.across(at, side * reach, -side * (reach + 80.0))
    past = reach + 0.5 * SIZE[kind][0] + 8.0
    stage.move(
        kind, line, Phase(visible=False), Phase(sets_out or due(at, 4.5), speed_mps),
        Phase(Trigger(When.REACHED, past), speed_mps), start_m=5.0, speed_mps=speed_mps,
    )  # fmt: skip
    return stage, at
