"""The text that names a built road <-> its parameters: "built:curve,side=left,radius=60"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

KMH = 1.0 / 3.6


def limits(default: Any, low: float = -math.inf, high: float = math.inf, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with a default value and what it may be."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class RoadSpec:
    """What every built road has. In the text a parameter goes without its unit: `length_m` is `length=200`."""

    side: str = limits("right", choices=("right", "left"))  # side of traffic; left is the exact mirror image
    region: str = ""  # ISO country code, for sign codes; "" means DE for right-hand traffic and JP for left-hand
    lanes: int = limits(1, 1, 4)  # in each direction
    width_m: float = limits(3.5, 2.5, 5.0)  # of a lane
    speed_kmh: float = limits(50.0, 5.0, 250.0)

    @property
    def speed_mps(self) -> float:
        return self.speed_kmh * KMH

    @property
    def country(self) -> str:
        return self.region or ("DE" if self.side == "right" else "JP")


Spec = TypeVar("Spec", bound=RoadSpec)


def _key(name: str) -> str:
    """Field name -> its name in the text, without the unit."""
    return re.sub(r"_(m|kmh|deg)$", "", name)


def nearest_right(wrong: str, right: list[str]) -> str:
    """A wrong word, the right ones -> the end of an error message: the nearest one, and all of them."""
    close = get_close_matches(wrong, right, n=1, cutoff=0.4)
    return (f"; did you mean {close[0]!r}? " if close else "; ") + f"There are: {', '.join(sorted(right))}"


def split(text: str) -> tuple[str, dict[str, str]]:
    """ "built:kind,key=value,..." -> kind and values. The prefix may be left out. Raises ValueError if malformed."""
    kind, *parts = [part.strip() for part in text.removeprefix("built:").split(",")]
    values: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ValueError(f"road {text!r}: {part!r} is not of the form key=value")
        if key.strip() in values:
            raise ValueError(f"road {text!r}: {key.strip()!r} is given twice")
        values[key.strip()] = value.strip()
    return kind, values


def parse(spec_type: type[Spec], values: dict[str, str], text: str) -> Spec:
    """Type of road, values as text -> its parameters. Raises ValueError naming the parameter and what it may be."""
    known = {_key(f.name): f for f in fields(spec_type)}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        entry = known.get(_key(key))
        if entry is None:
            raise ValueError(f"road {text!r}: unknown parameter {key!r}" + nearest_right(key, list(known)))
        arguments[entry.name] = _convert(value, type(entry.default), entry.metadata, f"road {text!r}: {key}")
    return spec_type(**arguments)


def _convert(value: str, kind: type, metadata: Any, where: str) -> Any:
    if kind is bool:
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        if value.lower() not in words:
            raise ValueError(f"{where} is {value!r}, expected yes or no")
        return words[value.lower()]
    if kind is str:
        choices = list(metadata.get("choices", ()))
        if choices and value not in choices:
            raise ValueError(f"{where} is {value!r}" + nearest_right(value, choices))
        return value
    try:
        number = kind(value)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ValueError(f"{where} is {value!r}, expected {expected}") from None
    low, high = metadata.get("low", -math.inf), metadata.get("high", math.inf)
    if not low <= number <= high:
        raise ValueError(f"{where} is {number:g}, expected {low:g} to {high:g}")
    return number


def canonical(kind: str, spec: RoadSpec) -> str:
    """Kind, parameters -> the shortest text that builds the same road again."""
    changed = [(f, getattr(spec, f.name)) for f in fields(spec) if getattr(spec, f.name) != f.default]
    return ",".join([f"built:{kind}", *(f"{_key(f.name)}={_text(value)}" for f, value in changed)])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
