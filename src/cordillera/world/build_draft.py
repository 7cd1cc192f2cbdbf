"""A road map in the making: streets along curves, paths over junctions, signs and furniture; and its mirror image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from cordillera.types import (
    Crossing,
    Float,
    Lane,
    LaneKind,
    MapObject,
    RoadMap,
    RoadMark,
    Signal,
    SignalKind,
    StopLine,
)  # fmt: skip
from cordillera.world.build_shapes import Curve, offset_line

EDGE_LINE_M, CENTER_LINE_M, STOP_LINE_M = 0.15, 0.12, 0.5
KERB_GAP_M = 0.3  # edge lines keep this distance from kerbs

# National numbers of the signs that are built, by region and kind.
SIGN_CODES = {
    ("DE", SignalKind.STOP): "DE:206",
    ("DE", SignalKind.GIVE_WAY): "DE:205",
    ("DE", SignalKind.PRIORITY): "DE:306",
    ("DE", SignalKind.SPEED_LIMIT): "DE:274",
    ("JP", SignalKind.STOP): "JP:330-A",
    ("JP", SignalKind.SPEED_LIMIT): "JP:323",
    ("US", SignalKind.STOP): "US:R1-1",
    ("US", SignalKind.GIVE_WAY): "US:R1-2",
    ("US", SignalKind.SPEED_LIMIT): "US:R2-1",
    ("GB", SignalKind.STOP): "GB:601.1",
    ("GB", SignalKind.GIVE_WAY): "GB:602",
    ("GB", SignalKind.SPEED_LIMIT): "GB:670",
}
SIGN_SIZE_M = (0.6, 0.6)
LIGHT_SIZE_M = (0.3, 0.9)


@dataclass(frozen=True)
class Profile:
    """The cross-section of a two-way or one-way street; `backward` lanes run against the curve, left of it."""

    forward: int
    backward: int
    width_m: float
    speed_mps: float
    edge: LaneKind = LaneKind.SIDEWALK  # what lies beyond the outer lanes: sidewalk or shoulder
    edge_width_m: float = 2.5
    edges: tuple[bool, bool] = (True, True)  # whether it lies on the left and on the right
    center: str = "broken"  # mark between the directions
    color: str = "white"


@dataclass(frozen=True, eq=False)
class Street:
    """A built street: its lanes from the centre outwards, and its frames for things to be put beside it."""

    curve: Curve
    forward: tuple[int, ...]
    backward: tuple[int, ...]
    half: tuple[float, float]  # from the reference line to the outer lanes' borders: left, right


@dataclass
class Draft:
    """Collects the parts of a right-hand road map."""

    region: str
    lanes: list[Lane] = field(default_factory=list)
    marks: list[RoadMark] = field(default_factory=list)
    stop_lines: list[StopLine] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    objects: list[MapObject] = field(default_factory=list)

    # ---------------------------------------------------------------- lanes

    def strip(self, name: str, kind: LaneKind, frames: Float, t_left: Float, t_right: Float, speed_mps: float) -> int:
        """Name, frames (N, 4), offsets of the two sides (N,) -> index of the new lane along the frames."""
        left, right = offset_line(frames, t_left), offset_line(frames, t_right)
        self.lanes.append(Lane(name, kind, 0.5 * (left + right), left, right, speed_mps))
        return len(self.lanes) - 1

    def set(self, lane: int, **changes: object) -> None:
        """Change fields of a lane."""
        self.lanes[lane] = replace(self.lanes[lane], **changes)  # type: ignore[arg-type]

    def link(self, before: int, after: int) -> None:
        """Let traffic go on from one lane to another."""
        self.set(before, successors=(*self.lanes[before].successors, after))
        self.set(after, predecessors=(*self.lanes[after].predecessors, before))

    def beside(self, lanes: tuple[int, ...], change: bool = True) -> None:
        """Make lanes, given from left to right, neighbours."""
        for left, right in pairwise(lanes):
            self.set(left, right=right, change_right=change)
            self.set(right, left=left, change_left=change)

    def path(self, name: str, curve: Curve, width_m: float, speed_mps: float, junction: str, turn: str) -> int:
        """A lane of constant width along a curve over a junction -> its index."""
        frames = curve.frames(curve.stations(width_m + 1.0))  # fine enough for a sidewalk beside it
        half = np.full(len(frames), 0.5 * width_m)
        lane = self.strip(name, LaneKind.DRIVING, frames, half, -half, speed_mps)
        self.set(lane, junction=junction, turn=turn)
        return lane

    def street(
        self, name: str, curve: Curve, profile: Profile, part: tuple[float, float] | None = None,
        shift: Callable[[Float], Float] | None = None, step_m: float = 20.0,
    ) -> Street:  # fmt: skip
        """Name, curve, cross-section, part of the curve, lateral shift by arc length -> the street, marks included."""
        begin, end = part or (0.0, curve.length)
        w = profile.width_m
        reach = w * max(profile.forward, profile.backward) + profile.edge_width_m
        s = curve.stations(reach, begin, end, step_m)
        frames, aside = curve.frames(s), np.zeros(len(s)) if shift is None else shift(s)
        backwards = frames[::-1] + np.array([0.0, 0.0, 0.0, math.pi])

        def lane(k: int, kind: LaneKind, width: float, ahead: bool, inner: float) -> int:
            label = f"{name}:{'forward' if ahead else 'backward'}:{kind.value}:{k}"
            if ahead:
                return self.strip(label, kind, frames, aside - inner, aside - inner - width, profile.speed_mps)
            side = -aside[::-1]  # seen against the curve, left and right change places
            return self.strip(label, kind, backwards, side - inner, side - inner - width, profile.speed_mps)

        forward = tuple(lane(k, LaneKind.DRIVING, w, True, k * w) for k in range(profile.forward))
        backward = tuple(lane(k, LaneKind.DRIVING, w, False, k * w) for k in range(profile.backward))
        for lanes, others in ((forward, backward), (backward, forward)):
            self.beside(lanes)
            for index in lanes:
                self.set(index, oncoming=others[0] if others else -1)
        street = Street(curve, forward, backward, (w * profile.backward, w * profile.forward))
        if profile.edges[0]:
            # beyond the left side, which on a one-way street lies at the reference line
            lane(0, profile.edge, profile.edge_width_m, False, street.half[0])
        if profile.edges[1]:
            lane(0, profile.edge, profile.edge_width_m, True, street.half[1])
        self._street_marks(frames, aside, profile, street)
        return street

    # ---------------------------------------------------------------- marks

    def mark(self, line: Float, kind: str, width_m: float = CENTER_LINE_M, color: str = "white") -> None:
        self.marks.append(RoadMark(line, kind, color, width_m))

    def _street_marks(self, frames: Float, aside: Float, profile: Profile, street: Street) -> None:
        kerb = profile.edge is LaneKind.SIDEWALK
        for side, half, has_edge in ((1.0, street.half[0], profile.edges[0]), (-1.0, street.half[1], profile.edges[1])):
            if kerb and has_edge:
                self.mark(offset_line(frames, aside + side * half), "kerb", 0.12)
            inset = KERB_GAP_M if kerb and has_edge else EDGE_LINE_M
            self.mark(offset_line(frames, aside + side * (half - inset)), "solid", EDGE_LINE_M, profile.color)
        for k in range(1, profile.forward):
            self.mark(offset_line(frames, aside - k * profile.width_m), "broken", CENTER_LINE_M, profile.color)
        for k in range(1, profile.backward):
            self.mark(offset_line(frames, aside + k * profile.width_m), "broken", CENTER_LINE_M, profile.color)
        if profile.forward and profile.backward:
            self.mark(offset_line(frames, aside), profile.center, CENTER_LINE_M, profile.color)

    def stop_line(self, name: str, street: Street, s_m: float) -> int:
        """A painted line across the backward lanes of a street at s of its curve -> its index."""
        frame = street.curve.frames([s_m])
        line = np.concatenate([offset_line(frame, t) for t in (street.half[0] - KERB_GAP_M, 0.1)])
        self.mark(line, "solid", STOP_LINE_M)
        self.stop_lines.append(StopLine(name, line, street.backward))
        return len(self.stop_lines) - 1

    def crossing(self, name: str, street: Street, s0: float, s1: float, lanes: tuple[int, ...]) -> None:
        """A pedestrian crossing over a street between two arc lengths of its curve."""
        frames = street.curve.frames([s0, s1])
        left, right = offset_line(frames, street.half[0]), offset_line(frames, -street.half[1])
        self.crossings.append(Crossing(name, np.stack([right[0], right[1], left[1], left[0]]), lanes))

    # ------------------------------------------------- signs and furniture

    def sign(
        self, name: str, kind: SignalKind, frame: Float, t_m: float, lanes: tuple[int, ...], against: bool = False,
        **details: object,
    ) -> None:  # fmt: skip
        """A sign or light at offset t from a frame (4,), on a pole, facing the traffic along it or `against` it."""
        light = kind is SignalKind.TRAFFIC_LIGHT
        ground = offset_line(frame[None], t_m)[0]
        yaw = float(frame[3]) + (0.0 if against else math.pi)
        yaw = math.atan2(math.sin(yaw), math.cos(yaw))
        height = 2.9 if light else 2.3
        code = details.pop("code", SIGN_CODES.get((self.region, kind), ""))
        size = LIGHT_SIZE_M if light else SIGN_SIZE_M
        xyz = ground + np.array([0.0, 0.0, height])
        signal = Signal(name, kind, xyz, yaw, lanes, code=str(code), size_wh=size)
        self.signals.append(replace(signal, **details))  # type: ignore[arg-type]
        pole_size = (0.1, 0.1, height + 0.5 * size[1])
        self.objects.append(MapObject(f"{name}:pole", "pole", ground, yaw, pole_size))

    def object(self, kind: str, frame: Float, t_m: float, size_lwh: tuple[float, float, float]) -> None:
        """A fixed thing at offset t from a frame (4,), turned along it."""
        yaw = math.atan2(math.sin(frame[3]), math.cos(frame[3]))
        name = f"{kind}:{len(self.objects)}"
        self.objects.append(MapObject(name, kind, offset_line(frame[None], t_m)[0], yaw, size_lwh))

    def road_map(self, name: str, sha256: str) -> RoadMap:
        """Everything collected -> a right-hand map, conflicts still empty."""
        return RoadMap(
            name, "right", self.region, tuple(self.lanes), tuple(self.marks), tuple(self.stop_lines),
            tuple(self.signals), tuple(self.crossings), objects=tuple(self.objects), sha256=sha256,
        )  # fmt: skip


_OTHER_SIDE = {"left": "right", "right": "left"}


def mirrored(road_map: RoadMap) -> RoadMap:
    """A map -> its mirror image (y -> -y), which has the other driving side. Indices, arc lengths and names stay."""

    def flip(xyz: Float) -> Float:
        return xyz * np.array([1.0, -1.0, 1.0])

    def lane(e: Lane) -> Lane:
        return replace(
            e, center_xyz=flip(e.center_xyz), left_xyz=flip(e.right_xyz), right_xyz=flip(e.left_xyz),
            turn=_OTHER_SIDE.get(e.turn, e.turn), left=e.right, right=e.left,
            change_left=e.change_right, change_right=e.change_left,
        )  # fmt: skip

    return replace(
        road_map,
        traffic_side=_OTHER_SIDE[road_map.traffic_side],
        lanes=tuple(lane(e) for e in road_map.lanes),
        marks=tuple(replace(e, xyz=flip(e.xyz)) for e in road_map.marks),
        stop_lines=tuple(replace(e, xyz=flip(e.xyz)) for e in road_map.stop_lines),
        signals=tuple(replace(e, xyz=flip(e.xyz), yaw_rad=-e.yaw_rad) for e in road_map.signals),
        crossings=tuple(replace(e, outline_xyz=flip(e.outline_xyz)) for e in road_map.crossings),
        objects=tuple(
            replace(e, xyz=flip(e.xyz), yaw_rad=-e.yaw_rad, outline_xyz=flip(e.outline_xyz)) for e in road_map.objects
        ),
    )
