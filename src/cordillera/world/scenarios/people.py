"""People and animals where the driver must expect them, or cannot see them yet."""

from __future__ import annotations

from cordillera.types import AgentKind, Scenario
from cordillera.world.scenarios.cast import due, stage_at
from cordillera.world.scenarios.draw import Draw
from cordillera.world.scenarios.family import family
from cordillera.world.scenarios.roads import street


@family()
def jaywalker_behind_bus(d: Draw) -> Scenario:
    """A bus stands at the edge of the road; somebody steps out from behind it into the ego's way and crosses.

    A good driver slows down beside a bus at a stop, covers the brake, stops for whoever comes out, and drives on when
    the way is clear. The rule that binds: drive so that one can stop within what one can see; special care at stopping
    buses (DE StVO § 20, GB Highway Code rule 223).
    """
    place = street(d, 150.0, (30.0, 50.0))
    stage = stage_at(d, place, duration_s=30.0)
    at = place.at_m + d.uniform("bus_m", 50.0, 80.0)
    stage.park(AgentKind.BUS, at, blinker=2)
    edge = stage.edge_m(at)
    step_out = at + 5.5 + d.uniform("from bus_m", 0.8, 2.0)
    stage.walk(
        step_out, edge - 0.5, stage.edge_m(at, "far") + 1.0, due(step_out, d.uniform("due_s", 2.1, 2.6)),
        speed_mps=d.uniform("pace", 1.5, 2.2),
    )  # fmt: skip
    return stage.scenario(vehicles=4, people=0, clear_oncoming=True)
