"""Families of scenarios: a name, a seed, a split and a region in, a scenario out.

How to write a family. It is a function of a `Draw`, decorated with `@family(...)`, in the file of its theme:

    @family(regions=("US", "DE"))
    def slow_van(d: Draw) -> Scenario:
        \"""What happens. A good driver does so and so. The rule that binds: ...\"""
        place = street(d, 160.0)                        # places.py, roads.py: where; a real map or a built road
        stage = stage_at(d, place, duration_s=25.0)     # cast.py: the ego at the start of the place's course
        at = place.at_m + d.uniform("gap_m", 60.0, 90.0)
        stage.park(AgentKind.BUS, at)                   # at the near edge of the road
        stage.walk(at + 6.0, stage.edge_m(at) - 1.0, 8.0, due(at, d.uniform("due_s", 1.8, 2.4)))
        return stage.scenario(vehicles=6)

* All that varies is drawn by name: `d.uniform(name, low, high)`, `d.choice(name, options)`, `d.chance(name, share)`.
  A name is used once. Ranges and real maps are divided among train, val and test; choices are not.
* `at_m` is metres along the ego's course, `aside_m` metres beside it: positive to the middle of the road, negative to
  the near edge. So the same lines serve both sides of traffic. `stage.edge_m(at)` is the near edge (negative),
  `stage.edge_m(at, "far")` the far one, `stage.lane_m(at, 1)` the middle of the next lane towards the middle.
* `stage.put` things that stay, `stage.park` vehicles at an edge, `stage.walk` people across, `stage.move` anyone along
  a line in phases, `stage.cross_traffic` vehicles on a lane that conflicts with the course, `stage.light` signals.
* Triggers: `due(at, s)` (the ego would be at the place within s seconds), `near(at, m)`, `after(s)`, or any `Trigger`.
* A driver who goes on as if nothing were there must fail (collide, run a light, leave the road); a good one must pass.
"""

from __future__ import annotations

from difflib import get_close_matches

from cordillera.types import Scenario
from cordillera.world.scenarios import blocked, emergency, everyday, junctions, lights, people, sight, traffic
from cordillera.world.scenarios.family import Family, families_in

THEMES = (everyday, lights, blocked, people, traffic, junctions, emergency, sight)  # in the order of the tables
FAMILIES: dict[str, Family] = {family.name: family for theme in THEMES for family in families_in(theme)}


def make_family(name: str, seed: int, split: str = "train", region: str = "") -> Scenario:
    """A family's name, seed, split and region ("": drawn) -> the scenario, the same for the same arguments.

    Raises ValueError that names what is wrong: an unknown family, split or region, or a region the family has not.
    """
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"scenario family {name!r} is not known; {hint}There are: {', '.join(FAMILIES)}")
    return FAMILIES[name].make(seed, split, region)
