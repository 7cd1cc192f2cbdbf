"""Where things stand: road coordinates in, world points and lanes out; whether a file turned its orientations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from xml.etree.ElementTree import Element

import numpy as np

from cordillera.types import Float
from cordillera.world.opendrive.lanes import LaneSet
from cordillera.world.opendrive.model import DRIVEN, Network, Road
from cordillera.world.opendrive.source import Source
from cordillera.world.opendrive.surface import frame_at, surface_points

ON_ROAD_M = 0.3  # a point at the very centre line tells nothing of a side


@dataclass(frozen=True, eq=False)
class Site:
    """The built lanes and the network behind them, for all that stands on or beside a road."""

    network: Network
    lane_set: LaneSet
    source: Source

    def pose(self, road: Road, s: float, t: float) -> tuple[Float, float]:
        """Road coordinates -> the point (3,) on the road's surface and the heading of its s axis."""
        frame = frame_at(road, np.array([s]), 0.0, road.length)
        return surface_points(road, frame, np.array([t]))[0], float(frame.hdg[0])

    def points(self, road: Road, s: Float, t: Float) -> Float:
        """Road coordinates (N,) -> points (N, 3) on the road's surface."""
        if len(s) == 0:
            return np.zeros((0, 3))
        frame = frame_at(road, s, 0.0, road.length)
        return surface_points(road, frame, t)

    def driven(self, road: str, s: float) -> list[int]:
        """The lanes for motor traffic of a road at its station s."""
        return [i for i in self.lane_set.at(road, s) if self.lane_set.lanes[i].kind in DRIVEN]

    def valid_lanes(self, road: Road, element: Element, s: float) -> list[int]:
        """The lanes for motor traffic that a signal, reference or object at s means, by validity, else orientation.

        A validity of lane 0 alone means no lane: exporters write it on the post of lights that references place.
        """
        lanes = self.driven(road.id, s)
        spans = validities(element)
        number = {lane: self.lane_set.keys[lane][2] for lane in lanes}
        if spans:
            lanes = [lane for lane in lanes if any(a <= number[lane] <= b for a, b in spans)]
        along = {lane: self.lane_set.forward[lane] for lane in lanes}
        if spans and len(set(along.values())) < 2:
            return lanes
        facing = self.runs_along(element)
        return lanes if facing is None else [lane for lane in lanes if along[lane] == facing]

    def runs_along(self, element: Element) -> bool | None:
        """Whether the traffic that an element is meant for runs along s; None for both directions."""
        word = (element.get("orientation") or "none").strip().lower()
        if word in {"+", "1", "positive", "forward"}:
            return not self.is_turned
        if word in {"-", "-1", "negative", "backward"}:
            return self.is_turned
        return None

    @cached_property
    def is_turned(self) -> bool:
        """Whether the file writes "+" for traffic against s, as some exporters do.

        Told by elements whose lanes are known otherwise: by validity, by lying on a lane, or else, where all of at
        least four say so, by standing on the near side.
        """
        told, seen = [0, 0], [0, 0]
        for road in self.network.roads.values():
            for element in (*road.signals, *road.objects):
                word = (element.get("orientation") or "").strip()
                if word not in {"+", "-"}:
                    continue
                along, certain = self._told_direction(road, element)
                if along is not None:
                    (told if certain else seen)[along != (word == "+")] += 1
        turned = told[1] > 2 * told[0] or (not any(told) and seen[1] >= 4 and seen[0] == 0)
        if turned:
            self.source.notes.add('orientation "+" stands for traffic against s', "taken the other way round")
        return turned

    def _told_direction(self, road: Road, element: Element) -> tuple[bool | None, bool]:
        """The direction that an element's lanes run, as told by other things than its orientation; and how sure."""
        s = self.source.number(element, "s", 0.0)
        t = self.source.number(element, "t", 0.0)
        lanes = self.driven(road.id, min(max(s, 0.0), road.length))
        numbers = [self.lane_set.keys[lane][2] for lane in lanes]
        forward = [self.lane_set.forward[lane] for lane in lanes]
        if spans := validities(element):
            found = {f for n, f in zip(numbers, forward, strict=True) if any(a <= n <= b for a, b in spans)}
            return (found.pop(), True) if len(found) == 1 else (None, False)
        is_paint = element.get("type") in {"294", "341"} or "stop" in (element.get("name") or "").lower()
        if abs(t) < ON_ROAD_M or not (element.tag == "signal" or is_paint) or not lanes:
            return None, False
        near = {f for n, f in zip(numbers, forward, strict=True) if (n > 0) == (t > 0.0)}
        if len(near) != 1:
            return None, False
        return near.pop(), is_paint and self._lies_on_lane(lanes, road, s, t)

    def _lies_on_lane(self, lanes: list[int], road: Road, s: float, t: float) -> bool:
        xyz, _ = self.pose(road, s, t)
        for lane in lanes:
            center = self.lane_set.lanes[lane].center_xyz
            step = np.diff(center[:, :2], axis=0)
            along = np.einsum("ij,ij->i", xyz[:2] - center[:-1, :2], step) / np.maximum((step**2).sum(axis=1), 1e-12)
            gap = center[:-1, :2] + np.clip(along, 0.0, 1.0)[:, None] * step - xyz[:2]
            if np.linalg.norm(gap, axis=1).min() < 1.0:
                return True
        return False

    def face_yaw(self, road: Road, element: Element, s: float, t: float, offset_rad: float) -> float:
        """The direction in which a sign looks: against the traffic that it is meant for, turned by its own offset.

        Files with turned orientations (see `is_turned`) give the offset from the road's heading alone.
        """
        _, hdg = self.pose(road, s, t)
        along = self.runs_along(element)
        if along is None:
            right_hand_side = t < 0.0
            along = right_hand_side != road.left_hand
        toward = hdg + (math.pi if along or self.is_turned else 0.0) + offset_rad
        return math.remainder(toward, 2.0 * math.pi)


def validities(element: Element) -> list[tuple[int, int]]:
    """The lane ranges of an element's <validity> children, lane 0 alone left out."""
    out = []
    for child in element.findall("validity"):
        try:
            low, high = sorted((int(float(child.get("fromLane", "0"))), int(float(child.get("toLane", "0")))))
        except ValueError:
            continue
        if (low, high) != (0, 0):
            out.append((low, high))
    return out
