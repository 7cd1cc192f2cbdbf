"""What a family of scenarios is, and how a function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from cordillera.types import Scenario
from cordillera.world.regions import REGIONS
from cordillera.world.scenarios.draw import Draw

ALL = tuple(REGIONS)


@dataclass(frozen=True)
class Family:
    """Situations of one kind: a function of draws, and what is said about them."""

    name: str
    doc: str  # what a good driver does, and which rule binds
    everyday: bool  # nothing unusual happens: caution is not free
    regions: tuple[str, ...]  # where it can happen
    build: Callable[[Draw], Scenario]

    def make(self, seed: int, split: str, region: str) -> Scenario:
        """Seed, split and region ("": drawn) -> the scenario; ValueError where the family has no such region."""
        if region and region not in self.regions:
            raise ValueError(
                f"family {self.name!r} does not happen in {region!r}: its regions are {', '.join(self.regions)}"
            )
        if not region:
            region = Draw(self.name, seed, split, self.regions[0]).choice("region", self.regions)
        scenario = self.build(Draw(self.name, seed, split, region))
        tags = ("everyday" if self.everyday else "long-tail", f"split:{split}", *scenario.tags)
        name = f"{self.name}-{region}-{split}-{seed}"
        return replace(scenario, name=name, region=region, family=self.name, tags=tags)


def family(*, everyday: bool = False, regions: tuple[str, ...] = ALL) -> Callable[[Callable[[Draw], Scenario]], Family]:
    """Where a family happens -> a decorator that makes a function of draws, with its docstring, a `Family`."""

    def make(build: Callable[[Draw], Scenario]) -> Family:
        doc = inspect.getdoc(build)
        if not doc:
            raise ValueError(f"family {build.__name__!r} needs a docstring: what a good driver does, which rule binds")
        return Family(build.__name__, doc, everyday, regions, build)

    return make


def families_in(module: ModuleType) -> list[Family]:
    """A module -> its families, in the order in which they stand there."""
    return [value for value in vars(module).values() if isinstance(value, Family)]
