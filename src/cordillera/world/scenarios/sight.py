"""What is seen late: behind bends, in the dark, in fog, against the sun."""

from __future__ import annotations

from cordillera.types import AgentKind, Scenario
from cordillera.world.scenarios.cast import stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import bend


@family()
def stopped_vehicle_behind_bend(d: Draw) -> Scenario:
    """A broken-down vehicle stands on the lane, hidden by a bend until late.

    A good driver takes the bend at a speed at which he can stop within sight, brakes for the vehicle, lets oncoming
    traffic pass and drives round it. The rule that binds: stop within the visible distance (DE StVO § 3 (1)).
    """
    place = bend(d, 60.0, 110.0)
    stage = stage_at(d, place, duration_s=40.0)
    at = place.at_m + d.uniform("beyond_m", 40.0, 70.0)
    kind = d.choice("vehicle", (AgentKind.CAR, AgentKind.VAN, AgentKind.TRUCK))
    stage.put(kind, at, d.uniform("aside", -0.3, 0.3), blinker=2)
    if d.chance("triangle", 0.5):
        stage.put(AgentKind.WARNING_TRIANGLE, at - 15.0, stage.edge_m(at - 15.0) + 0.3)
    return stage.scenario(vehicles=3, people=0, clear_oncoming=True)
