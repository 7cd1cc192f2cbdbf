"""Traffic lights that do not do what they should: dark, flashing, stuck, overruled, hidden."""

from __future__ import annotations

from cordillera.types import AgentKind, LightState, Scenario
from cordillera.world.scenarios.cast import Stage, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import lit_junction


@family()
def light_dark(d: Draw) -> Scenario:
    """All lights of a junction are out, and somebody crosses from the side that has the right of way.

    A good driver sees that the lights are dead, approaches ready to stop, gives way as signs or the priority rule say
    (in the US: treats it as an all-way stop) and lets go who is there already. The rule that binds: DE StVO §§ 8, 37;
    US UVC 11-202 (four-way stop).
    """
    place = lit_junction(d, d.choice("turn", ("straight", "straight", "left", "right")))
    stage = stage_at(d, place, duration_s=35.0)
    lights = stage.lights_ahead()
    stage.light(stage.junction_lights(lights[0][1]), LightState.OFF)
    cross_from_the_side(stage, d, "first", d.uniform("first late", -0.4, 0.6))
    if d.chance("second comes", 0.5):
        cross_from_the_side(stage, d, "second", d.uniform("second late", 1.5, 2.5))
    return stage.scenario(vehicles=4, people=2)


def cross_from_the_side(stage: Stage, d: Draw, name: str, late_s: float) -> None:
    """Add a vehicle that crosses the course where another lane first does, `late_s` after the ego would be there.

    It brakes for nobody.
    """
    crossing = [c for _, _, c in stage.course.conflicts if c.kind == "cross"] or [c for *_, c in stage.course.conflicts]
    straight = [c for c in crossing if stage.roads.map.lanes[c.other].turn == "straight"] or crossing
    if straight:
        kind = d.choice(f"{name} kind", (AgentKind.CAR, AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK))
        speed = d.uniform(f"{name} speed", 7.0, 11.0)
        stage.cross_traffic(straight[0], 4.5, speed, kind, late_s=late_s)
