"""<signal>, <signalReference> and <controller> -> lights and signs with the lanes that they regulate."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from cordillera.types import Crossing, Float, Signal, SignalKind
from cordillera.world.opendrive.crossed import DrivenLines, point_on
from cordillera.world.opendrive.model import Road
from cordillera.world.opendrive.objects import Found, Painted
from cordillera.world.opendrive.place import Site, validities
from cordillera.world.opendrive.signs import Sign, country_code, read_sign
from cordillera.world.opendrive.stops import StopLines

STOPPING = (SignalKind.TRAFFIC_LIGHT, SignalKind.STOP, SignalKind.GIVE_WAY)
AHEAD_M = 50.0  # a light or sign this far before a junction is meant for it
FACE_M = {SignalKind.TRAFFIC_LIGHT: 3.0, SignalKind.PEDESTRIAN_LIGHT: 2.3}  # usual height of the centre of a face
SIGN_FACE_M = 2.2
TALLEST_FACE_M = 1.6  # what is taller is a face with its post


@dataclass(frozen=True)
class Regulated:
    """What a signal regulates: the lanes it means, and the lanes or places where their traffic waits."""

    lanes: tuple[int, ...]
    stop_lines: tuple[int, ...]


class SignalReader:
    """Reads the signals of one file; its `stops` and `crossings` grow by what signals paint on the road."""

    def __init__(self, site: Site, driven: DrivenLines, found: Found) -> None:
        self.site, self.driven, self.found = site, driven, found
        self.signals: list[Signal] = []
        self.countries: Counter[str] = Counter()
        self.group = {s: name for name, signals in site.network.controllers.items() for s in signals}
        self.references: dict[str, list[tuple[Road, Element]]] = {}
        self.bodies: list[tuple[Road, Element, Sign]] = []
        for road in site.network.roads.values():
            for element in road.signals:
                if element.tag == "signalReference":
                    self.references.setdefault(element.get("id") or "", []).append((road, element))
                else:
                    self.bodies.append((road, element, self._sign(road, element)))

    def read(self) -> tuple[list[Signal], StopLines]:
        """All signals, and the stop lines that they and the paint on the road make."""
        crosswalks = [body for body in self.bodies if body[2].painted == "crossing"]
        self.found.crossings.extend(self._crossing(road, element) for road, element, _ in crosswalks)
        stops = StopLines(self.site, self.driven, self.found.crossings)
        for painted in self.found.stop_lines:
            stops.add_painted(painted)
        for road, element, sign in self.bodies:
            if sign.painted == "stop line" and (line := self._painted_line(road, element)):
                stops.add_painted(*line)
        for road, element, sign in self.bodies:
            if not sign.painted:
                self._add(road, element, sign, stops)
        for road, element in self.found.boards:
            self._add_board(road, element, stops)
        for road, element in self.found.stop_words:
            self._add_stop_word(road, element, stops)
        return self.signals, stops

    def _number(self, element: Element, name: str, default: float = 0.0) -> float:
        return self.site.source.number(element, name, default, f"signal {element.get('id')}")

    def _place(self, road: Road, element: Element) -> tuple[float, float]:
        s = self._number(element, "s")
        if not -1.0 <= s <= road.length + 1.0:
            self.site.source.notes.add("signal off the ends of its road", "moved to its end", f"road {road.id}")
        return min(max(s, 0.0), road.length), self._number(element, "t")

    def _sign(self, road: Road, element: Element) -> Sign:
        country = element.get("country") or ""
        if code := country_code(country):
            self.countries[code] += 1
        dynamic = (element.get("dynamic") or "no").lower() in {"yes", "true", "1"}
        name = element.get("name") or ""
        value, unit = self._number(element, "value", float("nan")), element.get("unit") or ""
        sign, assumed = read_sign(
            country, element.get("type") or "", element.get("subtype") or "", name, value, unit, dynamic
        )
        if assumed:
            self.site.source.notes.add("speed sign without a unit", f"{assumed} taken", f"road {road.id}")
        return sign

    def _add(self, road: Road, element: Element, sign: Sign, stops: StopLines) -> None:
        """Append the signal of one <signal> element."""
        s, t = self._place(road, element)
        height, width = self._number(element, "height"), self._number(element, "width")
        xyz, _ = self.site.pose(road, s, t)
        z_offset, z_known = self._number(element, "zOffset"), element.get("zOffset") is not None
        if height > TALLEST_FACE_M:
            lift, width, height = max(z_offset + height - 0.5, 0.0), 0.0, 0.0
        elif z_known and z_offset + 0.5 * height > 1.0:
            lift = z_offset + 0.5 * height
        else:
            lift = FACE_M.get(sign.kind, SIGN_FACE_M)
            self.site.source.notes.add("signal without the height of its face", f"{lift:g} m taken", f"road {road.id}")
        xyz[2] += lift
        regulated = self._regulated(self._marked_lanes(road, element), sign.kind, stops)
        if not regulated.lanes and sign.kind in STOPPING:
            self.site.source.notes.add(f"{sign.kind.value} that means no lane", "kept without lanes", f"road {road.id}")
        self.signals.append(
            Signal(
                id=element.get("id") or "",
                kind=sign.kind,
                xyz=xyz,
                yaw_rad=self.site.face_yaw(road, element, s, t, self._number(element, "hOffset")),
                lanes=regulated.lanes,
                stop_lines=regulated.stop_lines,
                group=self.group.get(element.get("id") or "", ""),
                value=sign.value_mps,
                code=sign.code,
                size_wh=(width, height) if width > 0.0 and height > 0.0 else (0.0, 0.0),
            )
        )

    def _marked_lanes(self, road: Road, element: Element) -> list[tuple[int, float]]:
        """The lanes that a signal and its references name, with the arc length along each where it is placed."""
        places = [(road, element), *self.references.get(element.get("id") or "", ())]
        silent = element.find("validity") is not None and not validities(element)
        if silent and len(places) > 1:
            places = places[1:]
        elif silent:
            self.site.source.notes.add(
                "signal valid for lane 0 alone", "the lanes that its orientation means taken", f"road {road.id}"
            )
        out: dict[int, float] = {}
        for at_road, at in places:
            s, _ = self._place(at_road, at)
            for lane in self.site.valid_lanes(at_road, at, s):
                out.setdefault(lane, self.site.lane_set.along(lane, s))
        return sorted(out.items())

    def _regulated(self, marked: list[tuple[int, float]], kind: SignalKind, stops: StopLines) -> Regulated:
        """Lanes as marked -> what is regulated: on roads that lead to a junction its lanes, else those marked."""
        if kind not in (*STOPPING, SignalKind.PRIORITY):
            return Regulated(tuple(lane for lane, _ in marked), ())
        lanes: set[int] = set()
        lines: set[int] = set()
        for lane, s in marked:
            entries = self._entries(lane, s)
            for approach, inside in entries:
                lanes |= {lane} if self.site.lane_set.lanes[lane].junction else set(inside)
                if kind in STOPPING:
                    lines.add(stops.before_junction(approach, inside))
            if not entries:
                lanes.add(lane)
                if kind in STOPPING:
                    lines.add(stops.amid(lane, s))
        return Regulated(tuple(sorted(lanes)), tuple(sorted(lines)))

    def _entries(self, lane: int, s: float) -> list[tuple[int, tuple[int, ...]]]:
        """A lane and a place on it -> the lanes that lead into the junction there, each with the junction's lanes."""
        lanes, length = self.site.lane_set.lanes, self.driven.length
        out: list[tuple[int, tuple[int, ...]]] = []
        seen: set[int] = set()
        if lanes[lane].junction:
            front = [lane]
            while front:
                at = front.pop()
                for before in lanes[at].predecessors:
                    if before in seen or before not in length:
                        continue
                    seen.add(before)
                    if lanes[before].junction:
                        front.append(before)
                    else:
                        out.append((before, (at,)))
            return sorted(out)
        ahead = [(lane, length[lane] - s)]
        while ahead:
            at, gone = ahead.pop()
            if at in seen or gone > AHEAD_M:
                continue
            seen.add(at)
            following = [i for i in lanes[at].successors if i in length]
            if inside := tuple(i for i in following if lanes[i].junction):
                out.append((at, inside))
            ahead += [(i, gone + length[i]) for i in following if not lanes[i].junction]
        return sorted(out)

    def _add_board(self, road: Road, element: Element, stops: StopLines) -> None:
        """A sign that stands in the file as an object: the name says which ("Speed_30", "StopSign")."""
        name = (element.get("name") or "").lower()
        sign, _ = read_sign("", "206" if "stop" in name else "274", "", name, float("nan"), "", False)
        if sign.kind is SignalKind.SPEED_LIMIT:
            self.site.source.notes.add("speed sign written as an object", "read as km/h", f"road {road.id}")
        s, t = self._place(road, element)
        xyz, _ = self.site.pose(road, s, t)
        xyz[2] += max(self._number(element, "zOffset"), 0.0) + SIGN_FACE_M
        regulated = self._regulated(self._marked_lanes(road, element), sign.kind, stops)
        yaw = self.site.face_yaw(road, element, s, t, self._number(element, "hdg"))
        self.signals.append(
            Signal(
                element.get("id") or "", sign.kind, xyz, yaw, regulated.lanes, regulated.stop_lines,
                value=sign.value_mps, code=f"OpenDRIVE:{element.get('name')}",
            )
        )  # fmt: skip

    def _add_stop_word(self, road: Road, element: Element, stops: StopLines) -> None:
        """ "STOP" on a lane's surface means a stop sign, unless a light or sign regulates that way already."""
        s, t = self._place(road, element)
        xyz, _ = self.site.pose(road, s, t)
        lanes = self.site.lane_set.lanes
        near = [
            (float(np.linalg.norm(point_on(self.site.lane_set, i, self.site.lane_set.along(i, s))[1] - xyz)), i)
            for i in self.site.driven(road.id, s)
        ]
        if not near or min(near)[0] > 2.0:
            return
        lane = min(near)[1]
        at = self.site.lane_set.along(lane, s)
        inside = {i for _, found in self._entries(lane, at) for i in found}
        regulated = {i for signal in self.signals if signal.kind in STOPPING for i in signal.lanes}
        if (inside or {lane}) & regulated:
            return
        self.site.source.notes.add('"STOP" painted without a sign', "taken as a stop sign", f"road {road.id}")
        result = self._regulated([(lane, at)], SignalKind.STOP, stops)
        line = lanes[lane].center_xyz
        row = min(int(np.argmin(np.linalg.norm(line - xyz, axis=1))), len(line) - 2)
        yaw = math.atan2(*(line[row] - line[row + 1])[[1, 0]])
        self.signals.append(
            Signal(
                element.get("id") or "", SignalKind.STOP, xyz, yaw, result.lanes, result.stop_lines,
                code=f"OpenDRIVE:{element.get('name')}",
            )
        )  # fmt: skip

    def _painted_line(self, road: Road, element: Element) -> tuple[Painted, list[int]] | None:
        """A stop line written as a signal -> the line over the lanes that it means, and those lanes.

        Its width counts around t; a line at the road's centre spans all lanes of its direction.
        """
        s, t = self._place(road, element)
        half = 0.5 * max(self._number(element, "width"), 0.5)
        lanes = self.site.valid_lanes(road, element, s)
        edges = {lane: self._lateral(road, lane, s) for lane in lanes}
        lying = [lane for lane in lanes if edges[lane][0] < t + half - 0.3 and edges[lane][1] > t - half + 0.3]
        lanes = lying if lying and abs(t) > 0.3 else lanes
        if not lanes:
            self.site.source.notes.add("stop line across no lane", "left out", f"road {road.id}")
            return None
        low, high = min(edges[lane][0] for lane in lanes), max(edges[lane][1] for lane in lanes)
        ends = self.site.points(road, np.array([s, s]), np.array([low, high]))
        return Painted(element.get("id") or "", ends, road, element), lanes

    def _lateral(self, road: Road, lane: int, s: float) -> tuple[float, float]:
        """A lane's right and left edge at s as lateral offsets of its road."""
        left, _, right = point_on(self.site.lane_set, lane, self.site.lane_set.along(lane, s))
        xyz, hdg = self.site.pose(road, s, 0.0)
        normal = np.array([-math.sin(hdg), math.cos(hdg)])
        a, b = float((left - xyz)[:2] @ normal), float((right - xyz)[:2] @ normal)
        return min(a, b), max(a, b)

    def _crossing(self, road: Road, element: Element) -> Crossing:
        """A crosswalk written as a signal: its width across the road around t, `value` metres along it from s on."""
        s, t = self._place(road, element)
        length = self._number(element, "value", 4.0)
        length = length if length > 0.0 else 4.0
        half = 0.5 * (self._number(element, "width") or 8.0)
        first = s - length if (element.get("orientation") or "+") == "-" else s
        first = min(max(first, 0.0), max(road.length - length, 0.0))
        corners: Float = np.array([(0.0, half), (0.0, -half), (length, -half), (length, half)])
        outline = self.site.points(road, np.minimum(first + corners[:, 0], road.length), t + corners[:, 1])
        return Crossing(element.get("id") or "", outline, tuple(sorted(self.driven.under(self.site.lane_set, outline))))
