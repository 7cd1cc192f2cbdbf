"""The road network as data: lanes, marks, signals, crossings, conflicts, and the map that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cordillera.types.arrays import Float
from cordillera.types.kinds import LaneKind, SignalKind


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane between two cuts, in its direction of travel; the three lines share one count N >= 2.

    Lines are sampled so densely that straight segments stay within 5 mm of the true curve.
    `left` and `right` are the neighbours that travel the same way, `oncoming` the nearest lane across the centre
    line that travels the other way. Neighbours and links are indices into `RoadMap.lanes`, -1 for none.
    """

    id: str  # identity in the source file, e.g. "12:0:-1" (road:section:lane) or a lanelet id
    kind: LaneKind
    center_xyz: Float  # (N, 3) world
    left_xyz: Float  # (N, 3) world
    right_xyz: Float  # (N, 3) world
    speed_limit_mps: float
    turn: str = "straight"  # "straight", "left", "right" or "u-turn"; by geometry inside junctions
    junction: str = ""  # identity of the junction that the lane crosses, "" outside of junctions
    successors: tuple[int, ...] = ()
    predecessors: tuple[int, ...] = ()
    left: int = -1
    right: int = -1
    oncoming: int = -1
    change_left: bool = False  # the marking allows a lane change to `left` (anywhere along the lane)
    change_right: bool = False
    bidirectional: bool = False  # traffic may run against the lane's direction too


@dataclass(frozen=True, eq=False)
class RoadMark:
    """A painted line: solid, broken, "solid solid", "broken solid", "botts dots", kerb, ... and its colour."""

    xyz: Float  # (N, 3) world
    kind: str
    color: str  # "white", "yellow", "blue", "red", "orange", "green"
    width_m: float


@dataclass(frozen=True, eq=False)
class StopLine:
    """Where vehicles of `lanes` wait. Painted or implied by its signal; the line runs across the lane."""

    id: str
    xyz: Float  # (M, 3) world
    lanes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Signal:
    """A traffic light or sign. `yaw_rad` is the direction in which its face looks, towards the drivers."""

    id: str
    kind: SignalKind
    xyz: Float  # (3,) world, centre of the face
    yaw_rad: float
    lanes: tuple[int, ...]  # the lanes it regulates: the connecting lanes of a junction, or the lanes it stands on
    stop_lines: tuple[int, ...] = ()  # indices into RoadMap.stop_lines
    group: str = ""  # lights of one group change together (controller, regulatory element)
    value: float = float("nan")  # speed in m/s for a limit, else NaN
    code: str = ""  # national type as written in the file, e.g. "DE:274.1-50"
    size_wh: tuple[float, float] = (0.0, 0.0)  # m; (0, 0) where the file does not say


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where people cross the road: a closed outline, first point not repeated."""

    id: str
    outline_xyz: Float  # (M, 3) world
    lanes: tuple[int, ...]  # driving lanes that it overlaps


@dataclass(frozen=True, eq=False)
class MapObject:
    """A fixed thing beside or on the road: "building", "tree", "pole", "barrier", "vegetation", "parking", ..."""

    id: str
    kind: str
    xyz: Float  # (3,) world, centre of the footprint on the ground
    yaw_rad: float
    size_lwh: tuple[float, float, float]
    outline_xyz: Float = field(default_factory=lambda: np.zeros((0, 3)))  # (M, 3) world, empty: a box


@dataclass(frozen=True, eq=False)
class Conflict:
    """Two lanes whose areas overlap: "cross", "merge" (same end) or "diverge" (same start).

    The intervals are arc lengths along the two centre lines. Exactly one row per ordered pair, so each pair stands
    twice. `yields` is true where traffic of `lane` must give way to `other` by sign or rule, lights aside.
    """

    lane: int
    other: int
    kind: str
    s_m: tuple[float, float]
    other_s_m: tuple[float, float]
    yields: bool


@dataclass(frozen=True, eq=False)
class RoadMap:
    """A road network as data; queries live in `world.roads`. Tuples are indexed by the integers used above."""

    name: str
    traffic_side: str  # "right" or "left"
    region: str  # ISO country code, "" where unknown
    lanes: tuple[Lane, ...]
    marks: tuple[RoadMark, ...] = ()
    stop_lines: tuple[StopLine, ...] = ()
    signals: tuple[Signal, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    objects: tuple[MapObject, ...] = ()
    origin_lat_lon: tuple[float, float] | None = None
    assumptions: tuple[str, ...] = ()  # what the file left out and what was taken instead
    sha256: str = ""  # of the source bytes
