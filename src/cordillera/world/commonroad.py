"""CommonRoad XML (2018b and 2020a) -> a road map of its lanelets, and the vehicles that were recorded on them.

Format: https://commonroad.in.tum.de. Read are lanelets with limits, marks, stop lines and lights, and dynamic obstacles
with their states; planning problems, occupancy sets and predictions are not.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from cordillera.types import (
    AgentKind,
    Float,
    Lane,
    LaneKind,
    LightScript,
    LightState,
    RoadMap,
    RoadMark,
    Signal,
    SignalKind,
    StopLine,
)
from cordillera.world.topology import finish

KINDS = {
    "car": AgentKind.CAR, "truck": AgentKind.TRUCK, "bus": AgentKind.BUS, "motorcycle": AgentKind.MOTORCYCLE,
    "bicycle": AgentKind.BICYCLE, "pedestrian": AgentKind.PEDESTRIAN, "priorityVehicle": AgentKind.AMBULANCE,
    "taxi": AgentKind.CAR, "parkedVehicle": AgentKind.CAR, "train": AgentKind.TRAM,
}  # fmt: skip
HEIGHT_M = {AgentKind.CAR: 1.5, AgentKind.TRUCK: 3.4, AgentKind.BUS: 3.1, AgentKind.PEDESTRIAN: 1.75}
COUNTRY = {"USA": "US", "DEU": "DE", "GBR": "GB", "JPN": "JP", "FRA": "FR"}
COLORS = {
    "red": LightState.RED, "yellow": LightState.AMBER, "green": LightState.GREEN, "redYellow": LightState.RED_AMBER,
    "inactive": LightState.OFF,
}  # fmt: skip
UNKNOWN_LIMIT_MPS = 65.0 * 0.44704  # of the recorded motorways that state none
LIGHT_HEIGHT_M = 5.0
PREFIX = "log:"  # of the names of clips inside the package


@dataclass(frozen=True, eq=False)
class Track:
    """One recorded vehicle, as written: poses of the centre of its box at whole ticks of `dt_s`."""

    id: int
    kind: AgentKind
    size_lwh: tuple[float, float, float]
    tick: np.ndarray  # (N,) int64, increasing
    xy: Float  # (N, 2)
    yaw_rad: Float  # (N,)
    speed_mps: Float  # (N,)


def read_commonroad(path: Path) -> RoadMap:
    """A file -> its road map; ValueError names the file and what is wrong."""
    data, root = _root(path, *_stamp(path))
    found = root.findall("lanelet")
    if not found:
        raise ValueError(f"{path}: holds no lanelet; give a CommonRoad scenario with its road network")
    row = {lanelet.get("id", ""): k for k, lanelet in enumerate(found)}
    limits = _sign_limits(root)
    crossing = _intersections(root)
    assumed: list[str] = []
    lanes = tuple(_lane(path, lanelet, row, limits, crossing, assumed) for lanelet in found)
    stop_lines, signals = _lights(root, found, lanes)
    marks = tuple(mark for lanelet, lane in zip(found, lanes, strict=True) for mark in _marks(lanelet, lane))
    region = COUNTRY.get(root.get("benchmarkID", "")[:3], "")
    if assumed:
        limit = f"{UNKNOWN_LIMIT_MPS:.1f} m/s"
        assumed = [f"{len(assumed)} lanelets state no speed limit; taken as {limit}"]
    return finish(
        RoadMap(
            name_of(path), "left" if region in ("GB", "JP") else "right", region, lanes, marks, stop_lines, signals,
            assumptions=tuple(assumed), sha256=hashlib.sha256(data).hexdigest(),
        )
    )  # fmt: skip


def read_tracks(path: Path) -> tuple[tuple[Track, ...], float]:
    """A file -> the vehicles that were recorded, and the seconds of a tick."""
    _, root = _root(path, *_stamp(path))
    obstacles = [o for o in root if o.tag in ("obstacle", "dynamicObstacle")]
    moving = [o for o in obstacles if o.findtext("role", "dynamic") == "dynamic"]
    return tuple(_track(path, obstacle) for obstacle in moving), float(root.get("timeStepSize", "0.1"))


def light_scripts(path: Path, road_map: RoadMap, duration_s: float) -> tuple[LightScript, ...]:
    """A file, its map and a time -> what its lights showed, for as long."""
    _, root = _root(path, *_stamp(path))
    dt = float(root.get("timeStepSize", "0.1"))
    index = {signal.id: k for k, signal in enumerate(road_map.signals)}
    out = []
    for light in root.findall("trafficLight"):
        cycle = light.find("cycle") if light.find("cycle") is not None else light.find("trafficLightCycle")
        if cycle is None or light.get("id", "") not in index:
            continue
        parts = [
            (int(e.findtext("duration", "0")), e.findtext("color", "inactive")) for e in cycle.iter("cycleElement")
        ]
        period = sum(length for length, _ in parts)
        t = -(-int(cycle.findtext("timeOffset", "0")) % max(period, 1))  # when the cycle that runs at 0 began
        while period and t * dt < duration_s:
            for length, color in parts:
                if (t + length) > 0 and t * dt < duration_s:
                    shows = COLORS.get(color, LightState.OFF)
                    signal = (index[light.get("id", "")],)
                    out.append(LightScript(signal, shows, from_s=max(t * dt, 0.0), until_s=(t + length) * dt))
                t += length
    return tuple(out)


def recordings() -> dict[str, Path]:
    """The recorded clips inside the package by name."""
    folder = Path(str(resources.files("cordillera"))) / "assets" / "logs"
    return {name_of(path): path for path in sorted(folder.glob("*.xml.gz"))}


def recording_path(name: str) -> Path:
    """ "log:NAME" of a clip inside the package, or the path of a CommonRoad file -> its path."""
    bundled = recordings()
    plain = name.removeprefix(PREFIX)
    if plain in bundled:
        return bundled[plain]
    path = Path(plain)
    if not path.is_file():
        raise ValueError(f"recording {name!r}: no such file; give a CommonRoad file, or one of {', '.join(bundled)}")
    return path


def name_of(path: Path) -> str:
    """A file's name without its suffixes, in lower case."""
    return path.name.lower().removesuffix(".gz").removesuffix(".xml")


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@cache
def _root(path: Path, mtime_ns: int, size: int) -> tuple[bytes, ET.Element]:
    """The bytes of a file and their tree; its time and size are part of the key, so a changed file is read again."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.name.endswith(".gz") else data
        root = ET.fromstring(data)
    except (ET.ParseError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not readable XML ({error})") from error
    if root.tag != "commonRoad":
        raise ValueError(f"{path}: the root element is <{root.tag}>, expected <commonRoad>")
    return data, root


def _points(path: Path, bound: ET.Element | None, owner: str) -> Float:
    if bound is None:
        raise ValueError(f"{path}: {owner} lacks a bound")
    try:
        rows = [
            (float(p.findtext("x", "")), float(p.findtext("y", "")), float(p.findtext("z", "0")))
            for p in bound.findall("point")
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {owner} has a point without numbers ({error})") from error
    if len(rows) < 2:
        raise ValueError(f"{path}: {owner} has a bound of {len(rows)} points; two are the least")
    return np.array(rows)


def _lane(
    path: Path, lanelet: ET.Element, row: dict[str, int], limits: dict[str, float], crossing: dict[str, str],
    assumed: list[str],
) -> Lane:  # fmt: skip
    """One lanelet; its two bounds have one count of points, and the centre lies halfway."""
    ident = lanelet.get("id", "")
    left, right = (_points(path, lanelet.find(side), f"lanelet {ident}") for side in ("leftBound", "rightBound"))
    if len(left) != len(right):
        raise ValueError(f"{path}: lanelet {ident} has {len(left)} points on the left and {len(right)} on the right")

    def links(tag: str) -> tuple[int, ...]:
        return tuple(row[link.get("ref", "")] for link in lanelet.findall(tag) if link.get("ref") in row)

    def beside(tag: str, way: str) -> int:
        link = lanelet.find(tag)
        return row.get(link.get("ref", ""), -1) if link is not None and link.get("drivingDir") == way else -1

    signed = [limits[s.get("ref", "")] for s in lanelet.findall("trafficSignRef") if s.get("ref") in limits]
    own = lanelet.findtext("speedLimit")
    if own is None and not signed:
        assumed.append(ident)
    kind = lanelet.findtext("laneletType", "urban")
    limit = float(own) if own is not None else min(signed, default=UNKNOWN_LIMIT_MPS)
    free = [lanelet.findtext(f"{side}/lineMarking", "dashed") != "solid" for side in ("leftBound", "rightBound")]
    return Lane(
        id=ident,
        kind={"sidewalk": LaneKind.SIDEWALK, "busLane": LaneKind.BUS, "bicycleLane": LaneKind.BIKING}.get(
            kind, LaneKind.DRIVING
        ),
        center_xyz=0.5 * (left + right),
        left_xyz=left,
        right_xyz=right,
        speed_limit_mps=limit,
        junction=crossing.get(ident, ""),
        successors=links("successor"),
        predecessors=links("predecessor"),
        left=beside("adjacentLeft", "same"),
        right=beside("adjacentRight", "same"),
        oncoming=beside("adjacentLeft", "opposite"),
        change_left=free[0] and beside("adjacentLeft", "same") >= 0,
        change_right=free[1] and beside("adjacentRight", "same") >= 0,
    )


def _marks(lanelet: ET.Element, lane: Lane) -> list[RoadMark]:
    """The lines that a lanelet's bounds are painted with; without a word, broken between lanes and solid elsewhere."""
    out = []
    for side, xyz, neighbour in (("leftBound", lane.left_xyz, lane.left), ("rightBound", lane.right_xyz, lane.right)):
        word = lanelet.findtext(f"{side}/lineMarking") or ("dashed" if neighbour >= 0 else "solid")
        kind = {"solid": "solid", "dashed": "broken", "broad_solid": "solid", "broad_dashed": "broken"}.get(word)
        if kind and not (side == "leftBound" and neighbour >= 0):  # the neighbour paints the line between
            out.append(RoadMark(xyz, kind, "white", 0.25 if word.startswith("broad") else 0.12))
    return out


def _sign_limits(root: ET.Element) -> dict[str, float]:
    """Signs that state a speed limit -> it in m/s."""
    out = {}
    for sign in root.findall("trafficSign"):
        for element in sign.findall("trafficSignElement"):
            if element.findtext("trafficSignID", "") in ("274", "R2-1", "maxSpeed"):
                out[sign.get("id", "")] = float(element.findtext("additionalValue", "nan"))
    return {ident: limit for ident, limit in out.items() if math.isfinite(limit)}


def _intersections(root: ET.Element) -> dict[str, str]:
    """Lanelets that cross an intersection -> its identity."""
    return {
        link.get("ref", ""): crossing.get("id", "")
        for crossing in root.findall("intersection")
        for incoming in crossing.findall("incoming")
        for link in incoming
        if link.tag.startswith("successors")
    }


def _lights(
    root: ET.Element, found: list[ET.Element], lanes: tuple[Lane, ...]
) -> tuple[tuple[StopLine, ...], tuple[Signal, ...]]:  # fmt: skip
    """The lights, each with a stop line at the end of every lane that it rules."""
    stop_lines: list[StopLine] = []
    signals = []
    for light in root.findall("trafficLight"):
        ident = light.get("id", "")
        ruled = tuple(
            k for k, lanelet in enumerate(found) if any(r.get("ref") == ident for r in lanelet.iter("trafficLightRef"))
        )
        if not ruled:
            continue
        first = len(stop_lines)
        stop_lines += [
            StopLine(f"{ident}:{lanes[k].id}", np.stack([lanes[k].left_xyz[-1], lanes[k].right_xyz[-1]]), (k,))
            for k in ruled
        ]
        end = lanes[ruled[0]].center_xyz
        yaw = math.atan2(end[-2, 1] - end[-1, 1], end[-2, 0] - end[-1, 0])
        place = light.find("position/point")
        x, y = (
            (float(place.findtext("x", "0")), float(place.findtext("y", "0")))
            if place is not None
            else (float(end[-1, 0]), float(end[-1, 1]))
        )
        xyz = np.array([x, y, end[-1, 2] + LIGHT_HEIGHT_M])
        lines = tuple(range(first, len(stop_lines)))
        signals.append(Signal(ident, SignalKind.TRAFFIC_LIGHT, xyz, yaw, ruled, lines))
    return tuple(stop_lines), tuple(signals)


def _track(path: Path, obstacle: ET.Element) -> Track:
    """One recorded vehicle."""
    ident = obstacle.get("id", "")
    box = obstacle.find("shape/rectangle")
    if box is None:
        raise ValueError(f"{path}: obstacle {ident} is no rectangle; other shapes are not read")
    kind = KINDS.get(obstacle.findtext("type", "car"), AgentKind.CAR)
    states = [s for s in (obstacle.find("initialState"), *obstacle.findall("trajectory/state")) if s is not None]
    try:
        rows = [(_value(s, "time"), *_place(s), _value(s, "orientation"), _value(s, "velocity")) for s in states]
    except ValueError as error:
        raise ValueError(f"{path}: obstacle {ident} has a state without numbers ({error})") from error
    table = np.array(rows)
    if len(table) and (np.diff(table[:, 0]) <= 0.0).any():
        raise ValueError(f"{path}: obstacle {ident} has states whose times do not increase")
    size = float(box.findtext("length", "4.5")), float(box.findtext("width", "1.8")), HEIGHT_M.get(kind, 1.6)
    return Track(
        int(ident), kind, size, table[:, 0].astype(np.int64), table[:, 1:3], np.unwrap(table[:, 3]), table[:, 4]
    )


def _value(state: ET.Element, name: str) -> float:
    """A state's quantity; where an interval is given, its middle."""
    exact = state.findtext(f"{name}/exact")
    if exact is not None:
        return float(exact)
    return 0.5 * sum(float(state.findtext(f"{name}/{end}", "")) for end in ("intervalStart", "intervalEnd"))


def _place(state: ET.Element) -> tuple[float, float]:
    """A state's position; where a region is given, its centre."""
    for at in ("position/point", "position/rectangle/center", "position/circle/center"):
        place = state.find(at)
        if place is not None:
            return float(place.findtext("x", "")), float(place.findtext("y", ""))
    raise ValueError("no position")
