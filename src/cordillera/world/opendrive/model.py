"""What the reader knows of a road after parsing: numbers and ids in the file's own order, nothing derived."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from cordillera.types import LaneKind
from cordillera.world.opendrive.curves import Profile, ReferenceLine

DRIVEN = frozenset({LaneKind.DRIVING, LaneKind.BUS})
WHEELED = DRIVEN | {LaneKind.BIKING, LaneKind.SHOULDER, LaneKind.PARKING, LaneKind.RESTRICTED}


@dataclass(frozen=True)
class MarkSource:
    """One <roadMark>: it holds from `offset` (from the lane's own section start) to the next one."""

    offset: float
    kind: str
    color: str
    width_m: float
    change: str  # "both", "increase", "decrease", "none", or "" where the file does not say


@dataclass(frozen=True)
class LaneSource:
    """One <lane> as written; offsets count from `s0`, the start of the section that wrote it."""

    number: int  # left lanes positive, the centre 0
    s0: float
    kind: LaneKind
    level: bool
    direction: str  # "standard", "reversed" or "both"
    travel: str  # the exporter's word for it: "forward", "backward", or ""
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    width: Profile | None
    border: Profile | None
    heights: tuple[tuple[float, float, float], ...]  # (offset, inner, outer)
    marks: tuple[MarkSource, ...]
    speeds: tuple[tuple[float, float], ...]  # (offset, m/s); NaN: no limit


@dataclass(frozen=True)
class Section:
    """Lanes between two stations of a road, `s1` excluded."""

    s0: float
    s1: float
    lanes: dict[int, LaneSource]
    same_left: bool  # the left lanes go on unchanged from the section before (single-sided sections)
    same_right: bool


@dataclass(frozen=True)
class RoadLink:
    """What a road's end is tied to. `s` is set where it meets a road midway (virtual junctions)."""

    kind: str  # "road" or "junction"
    target: str
    contact: str  # "start", "end", or "" where the file does not say
    s: float | None = None


@dataclass(frozen=True)
class RoadType:
    """What a road is from `s` on: "town", "motorway", ..., its limit (NaN: not said, inf: none) and country."""

    s: float
    kind: str
    limit_mps: float
    country: str


@dataclass(frozen=True, eq=False)
class Road:
    """One <road>."""

    id: str
    length: float
    junction: str  # "" outside of junctions
    left_hand: bool
    line: ReferenceLine
    elevation: Profile
    superelevation: Profile
    crossfall: tuple[Profile, Profile]  # left, right side
    offset: Profile
    sections: tuple[Section, ...]
    links: tuple[RoadLink | None, RoadLink | None]  # before the start, behind the end
    types: tuple[RoadType, ...]
    signals: tuple[Element, ...]  # <signal> and <signalReference>
    objects: tuple[Element, ...]  # <object> and <objectReference>


@dataclass(frozen=True)
class Connection:
    """One <connection> of a junction, or of a direct junction (then `road` is the linked road)."""

    incoming: str
    road: str
    contact: str
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Junction:
    """One <junction>."""

    id: str
    kind: str  # "default", "direct", "virtual", "crossing"
    main_road: str
    connections: tuple[Connection, ...]
    priorities: tuple[tuple[str, str], ...]  # roads (high, low)
    controllers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """All of a file."""

    roads: dict[str, Road]
    junctions: dict[str, Junction]
    controllers: dict[str, tuple[str, ...]]  # controller -> signals
    left_hand: bool
    origin_lat_lon: tuple[float, float] | None
    vendor: str
