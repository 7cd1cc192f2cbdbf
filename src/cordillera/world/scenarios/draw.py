"""A family, a seed and a split in, named draws out: what varies from one scenario of a family to the next.

The splits are disjoint by construction. A range is cut into ten equal parts: parts 3 and 8 belong to `test`, part 6 to
`val`, the rest to `train`; real maps are divided in `places`; the seeds that worlds are made with differ modulo 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from cordillera.types import Weather
from cordillera.world.regions import REGIONS, Region

SPLITS = ("train", "val", "test")
PARTS = {"train": (0, 1, 3, 4, 6, 8, 9), "val": (5,), "test": (2, 7)}  # tenths of a range
T = TypeVar("T")


class Draw:
    """A source of draws that gives the same value for the same family, split, region, seed and name."""

    def __init__(self, family: str, seed: int, split: str, region: str) -> None:
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is not known: give one of {', '.join(SPLITS)}")
        if region not in REGIONS:
            raise ValueError(f"region {region!r} is not known: give one of {', '.join(REGIONS)}")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative: give 0 or more")
        self.family, self.number, self.split = family, seed, split
        self.region: Region = REGIONS[region]
        self.seed = 4 * (seed % 2**60) + SPLITS.index(split)  # of the scenario: its traffic and appearance
        self._names: set[str] = set()

    def unit(self, name: str) -> float:
        """A name, new in this scenario -> a number in [0, 1), alike in all splits. ValueError for a name used twice."""
        if name in self._names:
            raise ValueError(f"family {self.family!r} draws {name!r} twice: give each draw a name of its own")
        self._names.add(name)
        text = f"{self.family}|{self.split}|{self.number}|{name}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2.0**64

    def uniform(self, name: str, low: float, high: float) -> float:
        """A name and a range -> a number of those parts of the range that belong to the split."""
        parts = PARTS[self.split]
        at = self.unit(name) * len(parts)
        part = parts[int(at)]
        return low + (high - low) * (part + at - int(at)) / 10.0

    def choice(self, name: str, options: Sequence[T]) -> T:
        """A name and options -> one of them, alike in all splits."""
        return options[int(self.unit(name) * len(options))]

    def chance(self, name: str, share: float) -> bool:
        """A name and a probability -> whether it happens, alike in all splits."""
        return self.unit(name) < share

    def shuffled(self, name: str, options: Sequence[T]) -> list[T]:
        """A name and options -> the options in a drawn order."""
        keyed = [(self.unit(f"{name}#{k}"), k) for k in range(len(options))]
        return [options[k] for _, k in sorted(keyed)]

    def weather(self) -> Weather:
        """The weather: clear or cloudy mostly, rain, seldom fog."""
        fair, dull = (Weather.CLEAR,) * 4, (Weather.CLOUDY,) * 3
        return self.choice("weather", (*fair, *dull, Weather.RAIN, Weather.RAIN, Weather.FOG))

    def hour(self) -> float:
        """The hour: by day mostly, sometimes at dusk or in the night."""
        if self.chance("is day", 0.75):
            return self.uniform("hour", 8.0, 17.0)
        return (self.uniform("hour", 17.0, 29.0)) % 24.0
