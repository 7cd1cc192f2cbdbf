"""Countries as data: side of traffic, limits, lights, paint and the rules that differ; a country code in.

Sources: DE StVO, RiLSA; GB Highway Code, TSRGD 2016; FR Code de la route; JP Road Traffic Act; US Uniform Vehicle
Code, MUTCD (2023), where states differ the commonest rule.
"""

from __future__ import annotations

from dataclasses import dataclass

KMH = 1.0 / 3.6
MPH = 0.44704


@dataclass(frozen=True)
class Region:
    """One country's rules of the road, as far as they differ."""

    code: str  # ISO 3166
    name: str
    side: str  # "right" or "left": on which side traffic keeps
    unit: str  # of speed on signs: "km/h" or "mph"
    limit_mps: dict[str, float]  # default limits: "residential", "urban", "rural", "motorway"
    turn_on_red: bool  # after a stop, towards the near side (to the right in the US)
    unsigned_priority: str  # without signs one gives way to traffic from the "right", the "left" (Japan), or "none"
    signs: str  # sign set: "vienna", "mutcd", "japan"
    lights_lie: bool  # lenses side by side
    back_plates: bool
    red_amber_s: float  # red with amber before green; 0: there is none
    dark_light: str  # a light that is out: "signs" (signs and priority rule) or "all-way stop"
    center_color: str  # between the two directions: "white" or "yellow"
    crossing_right: str  # vehicles give way at crossings to who is "on" them, or also to who "waits" there
    school_bus: str  # for whom a school bus with its signals on stops traffic: "both" directions, "behind", "none"
    emergency: str  # how one makes way: "near side" (pull over), "corridor" (to both sides of a lane boundary)

    @property
    def left_hand(self) -> bool:
        """Whether traffic keeps to the left."""
        return self.side == "left"

    def limit_kmh(self, road: str) -> float:
        """Class of road -> its default limit in km/h, whatever the signs' unit."""
        return self.limit_mps[road] / KMH

    def round_limit_mps(self, speed_mps: float) -> float:
        """A speed -> the nearest limit that signs of this country show: steps of 10 km/h or 5 mph (10 mph in GB)."""
        step = 10.0 * KMH if self.unit == "km/h" else (10.0 if self.code == "GB" else 5.0) * MPH
        return max(round(speed_mps / step), 1) * step


def _limits(unit: float, residential: float, urban: float, rural: float, motorway: float) -> dict[str, float]:
    names = ("residential", "urban", "rural", "motorway")
    return {name: unit * value for name, value in zip(names, (residential, urban, rural, motorway), strict=True)}


REGIONS: dict[str, Region] = {
    region.code: region
    for region in (
        Region(
            "US", "United States", "right", "mph", _limits(MPH, 25, 30, 55, 65), True, "right", "mutcd", False, True,
            0.0, "all-way stop", "yellow", "on", "both", "near side",
        ),
        Region(
            "DE", "Germany", "right", "km/h", _limits(KMH, 30, 50, 100, 130), False, "right", "vienna", False, False,
            1.0, "signs", "white", "waits", "behind", "corridor",
        ),
        Region(
            "GB", "United Kingdom", "left", "mph", _limits(MPH, 20, 30, 60, 70), False, "none", "vienna", False, True,
            2.0, "signs", "white", "waits", "none", "near side",
        ),
        Region(
            "JP", "Japan", "left", "km/h", _limits(KMH, 30, 40, 60, 100), False, "left", "japan", True, False,
            0.0, "signs", "yellow", "waits", "none", "near side",
        ),
        Region(
            "FR", "France", "right", "km/h", _limits(KMH, 30, 50, 80, 130), False, "right", "vienna", False, False,
            0.0, "signs", "white", "waits", "none", "near side",
        ),
    )
}  # fmt: skip


def region_of(code: str, side: str = "right") -> Region:
    """A country code, or "" with the side of traffic -> its rules; ValueError names those that are known."""
    if not code:
        return REGIONS["DE" if side == "right" else "JP"]
    if code not in REGIONS:
        raise ValueError(f"region {code!r} is not known: give one of {', '.join(REGIONS)}")
    return REGIONS[code]
