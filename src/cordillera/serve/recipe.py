"""How a scene is made, as a value: a map and a seed, or a family, <-> a scenario, and <-> a note in JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields

from cordillera.types import Scenario, Weather
from cordillera.world.scenarios import make_family
from cordillera.world.spawn import make_scenario

SCHEMA = "cordillera.recipe/1"
LONGEST_NOTE = 4096


@dataclass(frozen=True)
class SceneRecipe:
    """How a scene is made: what `make_scenario` takes, or `make_family` where a family is named.

    A family draws its own place, weather, hour and duration, so only `seed`, `split` and `region` count beside it.
    """

    map: str = ""
    seed: int = 0
    duration_s: float = 20.0
    weather: str = "clear"
    hour: float = 12.0
    family: str = ""
    split: str = "test"
    region: str = ""

    def scenario(self) -> Scenario:
        """The scenario; ValueError for a map that cannot be read or driven, or a family that is not known."""
        if self.family:
            return make_family(self.family, self.seed, self.split, self.region)
        return make_scenario(self.map, self.seed, self.duration_s, Weather(self.weather), self.hour, self.region)


def recipe_of(scenario: Scenario) -> SceneRecipe:
    """A scenario -> the recipe that makes it again, if it was made by one."""
    drawn = scenario.name.removeprefix(f"{scenario.family}-").split("-")  # a family's name ends in what it was drawn by
    if scenario.family and len(drawn) == 3 and drawn[2].isdecimal():
        region, split, seed = drawn
        return SceneRecipe(seed=int(seed), family=scenario.family, split=split, region=region)
    return SceneRecipe(
        scenario.map, scenario.seed, scenario.duration_s, scenario.weather.value, scenario.hour, region=scenario.region
    )


def recipe_note(recipe: SceneRecipe) -> str:
    """A recipe -> a note in JSON."""
    return json.dumps({"schema": SCHEMA} | asdict(recipe))


def recipe_noted(text: str) -> SceneRecipe | None:
    """Text that may be a recipe's note -> the recipe, or None where it is none."""
    if len(text) > LONGEST_NOTE or not text.startswith("{"):
        return None
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
        return None
    kinds = {field.name: type(field.default) for field in fields(SceneRecipe)}
    for name, value in tree.items():
        wanted = kinds.get(name)
        if (
            wanted is None
            or isinstance(value, bool)
            or not isinstance(value, (float, int) if wanted is float else wanted)
        ):
            return None
    return SceneRecipe(**tree)


def scene_id_of(scenario: Scenario) -> str:
    """A scenario -> the name by which the wire calls its scene."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"cordillera-{scenario.name}-{scenario.weather.value}-{scenario.hour:g}h")
