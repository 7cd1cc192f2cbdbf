"""Lanes of a road map -> roads for OpenDRIVE: which lanes share a road, its reference line, and the lanes' widths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cordillera.types import Float, Lane, RoadMap
from cordillera.world.opendrive.model import DRIVEN

STEP_M = 2.0  # at most, between two stations
MERGE_M = 0.02  # vertices closer than this are one
SEAM_M = 0.3  # neighbours share a road where their borders agree this well,
ENDS_M = 0.5  # and their ends, which a road cuts off square, this well;
FOOT_ENDS_M = 0.04  # those of lanes without motor traffic, whose links readers judge by distance


@dataclass(frozen=True, eq=False)
class WrittenRoad:
    """One road to write: stations along its reference line, and lanes by number with their offsets there."""

    number: int
    junction: str  # of its lanes, "" outside of junctions
    numbers: dict[int, int]  # lane number -> index into RoadMap.lanes
    forward: dict[int, bool]  # lane number -> whether its traffic runs along s
    xyz: Float  # (M, 3) the reference line's stations, world
    hdg: Float  # (M,) its heading there, unwrapped
    s: Float  # (M,) arc length in the plane
    offset: Float  # (M,) of the lane reference line
    width: dict[int, Float]  # lane number -> (M,)

    def border_t(self, number: int) -> Float:
        """Lateral offset (M,) of the outer border of a lane; of the lane reference line for 0."""
        sign = 1 if number > 0 else -1
        inner = [self.width[sign * k] for k in range(1, abs(number) + 1)]
        return self.offset + sign * np.sum(inner, axis=0) if inner else self.offset

    def place(self, xyz: Float) -> tuple[float, float]:
        """A point (3,) -> its station s and lateral offset t."""
        step = np.diff(self.xyz[:, :2], axis=0)
        length = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
        gap = xyz[:2] - self.xyz[:-1, :2]
        part = np.clip(np.einsum("ij,ij->i", gap, step) / length**2, 0.0, 1.0)
        away = np.linalg.norm(gap - part[:, None] * step, axis=1)
        k = int(np.argmin(away))
        s = float(self.s[k] + part[k] * (self.s[k + 1] - self.s[k]))
        hdg = float(np.interp(s, self.s, self.hdg))
        foot = self.xyz[k, :2] + part[k] * step[k]
        return s, float((xyz[:2] - foot) @ np.array([-np.sin(hdg), np.cos(hdg)]))

    def heading(self, s: float) -> float:
        return float(np.interp(s, self.s, self.hdg))

    def height(self, s: float) -> float:
        return float(np.interp(s, self.s, self.xyz[:, 2]))


def roads_of(road_map: RoadMap) -> list[WrittenRoad]:
    """A map -> its roads; every lane is in exactly one of them.

    Neighbours that end together share a road, with the lanes against them where these lie along the same centre line;
    a lane whose ends or borders do not fit those of its neighbours gets a road of its own, about its own centre line.
    """
    left_hand = road_map.traffic_side == "left"
    taken: set[int] = set()
    roads: list[WrittenRoad] = []
    for first in _inner_lanes(road_map, left_hand):
        if first in taken:
            continue
        ahead = _chain(road_map, first, left_hand, taken)
        inner = _inner(road_map.lanes[first], left_hand)
        other = road_map.lanes[first].oncoming
        behind: list[int] = []
        if other >= 0 and other not in taken and other not in ahead:
            lane = road_map.lanes[other]
            if lane.junction == road_map.lanes[first].junction and _agree(inner, _inner(lane, left_hand)[::-1]):
                behind = _chain(road_map, other, left_hand, taken)
        road = _bundle(road_map, len(roads) + 1, ahead, behind, left_hand)
        taken |= set(road.numbers.values())
        roads.append(road)
    for k in range(len(road_map.lanes)):
        if k not in taken:
            roads.append(_single(road_map, len(roads) + 1, k, left_hand))
    return roads


def _inner_lanes(road_map: RoadMap, left_hand: bool) -> Iterator[int]:
    """The lanes next to the centre: with nothing beside them there, or the last of a ring of neighbours."""
    for k, lane in enumerate(road_map.lanes):
        if (lane.right if left_hand else lane.left) < 0:
            yield k


def _inner(lane: Lane, left_hand: bool) -> Float:
    return lane.right_xyz if left_hand else lane.left_xyz


def _outer(lane: Lane, left_hand: bool) -> Float:
    return lane.left_xyz if left_hand else lane.right_xyz


def _chain(road_map: RoadMap, first: int, left_hand: bool, taken: set[int]) -> list[int]:
    """The lane next to the centre -> it and those farther out that share its course."""
    lanes, out = road_map.lanes, [first]
    while True:
        here = lanes[out[-1]]
        k = here.left if left_hand else here.right
        if k < 0 or k in taken or k in out or here.bidirectional or lanes[k].bidirectional:
            return out
        if (lanes[k].right if left_hand else lanes[k].left) != out[-1] or lanes[k].junction != here.junction:
            return out
        if not _agree(_outer(here, left_hand), _inner(lanes[k], left_hand)):
            return out
        out.append(k)


def _agree(a: Float, b: Float) -> bool:
    """Whether two lines run together from end to end."""
    share = np.linspace(0.0, 1.0, 9)
    ends = max(float(np.linalg.norm((a[i] - b[i])[:2])) for i in (0, -1))
    return ends < SEAM_M and float(np.linalg.norm((_at(a, share) - _at(b, share))[:, :2], axis=1).max()) < SEAM_M


def _at(line: Float, share: Float) -> Float:
    """Points of a line at shares of its length."""
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    return np.stack([np.interp(share * s[-1], s, line[:, i]) for i in range(3)], axis=-1)


def _bundle(road_map: RoadMap, number: int, ahead: list[int], behind: list[int], left_hand: bool) -> WrittenRoad:
    """Lanes of both directions about their common border; those whose ends it cannot reproduce are left out."""
    lanes = road_map.lanes
    if len(ahead) == 1 and not behind:
        return _single(road_map, number, ahead[0], left_hand)
    xyz, hdg = course(_inner(lanes[ahead[0]], left_hand))
    outward = 1 if left_hand else -1
    numbers: dict[int, int] = {}
    width: dict[int, Float] = {}
    for chain, sign, forward in ((ahead, outward, True), (behind, -outward, False)):
        inner = np.zeros(len(xyz))
        for rank, k in enumerate(chain, 1):
            border = _outer(lanes[k], left_hand)
            border = border if forward else border[::-1]
            outer = _cut(xyz, hdg, border)
            near = ENDS_M if lanes[k].kind in DRIVEN else FOOT_ENDS_M
            center = lanes[k].center_xyz if forward else lanes[k].center_xyz[::-1]
            if (sign * (outer - inner)).min() < -0.02 or not _ends_fit(xyz, hdg, 0.5 * (inner + outer), center, near):
                break
            numbers[sign * rank], width[sign * rank] = k, np.maximum(sign * (outer - inner), 0.0)
            inner = outer
    if outward not in numbers:
        return _single(road_map, number, ahead[0], left_hand)
    if len(numbers) == 1:
        return _single(road_map, number, ahead[0], left_hand)
    forwards = {n: n * outward > 0 for n in numbers}
    zero = np.zeros(len(xyz))
    return WrittenRoad(number, lanes[ahead[0]].junction, numbers, forwards, xyz, hdg, _along(xyz, hdg), zero, width)


def _ends_fit(xyz: Float, hdg: Float, t: Float, center: Float, near_m: float) -> bool:
    """Whether a lane's centre at lateral offsets t ends where the lane itself does."""
    points = xyz[:, :2] + t[:, None] * np.stack([-np.sin(hdg), np.cos(hdg)], axis=-1)
    return all(float(np.linalg.norm(points[i] - center[i, :2])) < near_m for i in (0, -1))


def _single(road_map: RoadMap, number: int, k: int, left_hand: bool) -> WrittenRoad:
    """One lane about its own centre line, which is kept exactly."""
    lane = road_map.lanes[k]
    xyz, hdg = course(lane.center_xyz)
    s = _along(xyz, hdg)
    normal = np.stack([-np.sin(hdg), np.cos(hdg)], axis=-1)
    own = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lane.center_xyz[:, :2], axis=0), axis=1))])
    across = (lane.left_xyz - lane.right_xyz)[:, :2]
    at = np.stack([np.interp(s, own, across[:, i]) for i in range(2)], axis=-1)
    width = np.abs(np.einsum("ij,ij->i", at, normal))
    sign = 1 if left_hand else -1
    return WrittenRoad(
        number, lane.junction, {sign: k}, {sign: True}, xyz, hdg, s, -0.5 * sign * width, {sign: width}
    )  # fmt: skip


def course(line: Float) -> tuple[Float, Float]:
    """A sampled line (N, 3) -> stations (M, 3) at most `STEP_M` apart, and the heading (M,) of a smooth curve there."""
    length = np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1)
    keep = [0]
    gone = 0.0
    for k, step in enumerate(length, 1):
        gone += step
        if gone > MERGE_M:
            keep.append(k)
            gone = 0.0
    if len(keep) == 1:
        keep.append(len(line) - 1)
    keep[-1] = len(line) - 1
    points = line[keep]
    length = np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1)
    parts = np.maximum(np.ceil(length / STEP_M), 1).astype(np.int64)
    rows = [
        a + (b - a) * np.linspace(0.0, 1.0, n + 1)[:-1, None]
        for a, b, n in zip(points, points[1:], parts, strict=False)
    ]
    xyz = np.concatenate([*rows, points[-1:]])
    step = np.diff(xyz[:, :2], axis=0)
    length = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
    turn = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    if len(turn) == 1:
        return xyz, np.array([turn[0], turn[0]])
    middle = (turn[:-1] * length[1:] + turn[1:] * length[:-1]) / (length[1:] + length[:-1])
    return xyz, np.concatenate([[turn[0] + (turn[0] - middle[0])], middle, [turn[-1] + (turn[-1] - middle[-1])]])


def cubic(xyz: Float, hdg: Float, k: int) -> tuple[Float, Float]:
    """The piece from station k to k + 1 -> coefficients u (4,) and v (4,) over 0..1, in the frame of its start."""
    turn = hdg[k + 1] - hdg[k]
    step = xyz[k + 1, :2] - xyz[k, :2]
    c, s = np.cos(hdg[k]), np.sin(hdg[k])
    du, dv = c * step[0] + s * step[1], -s * step[0] + c * step[1]
    m = float(np.hypot(du, dv)) * (1.0 + turn**2 / 24.0)
    out_u, out_v = m * np.cos(turn), m * np.sin(turn)
    u = np.array([0.0, m, 3.0 * du - 2.0 * m - out_u, m + out_u - 2.0 * du])
    v = np.array([0.0, 0.0, 3.0 * dv - out_v, out_v - 2.0 * dv])
    return u, v


def _along(xyz: Float, hdg: Float) -> Float:
    """Arc length (M,) of the written curve at its stations."""
    x, w = np.polynomial.legendre.leggauss(5)
    p = 0.5 * (x + 1.0)
    s = [0.0]
    for k in range(len(xyz) - 1):
        u, v = cubic(xyz, hdg, k)
        speed = np.hypot(u[1] + p * (2 * u[2] + 3 * p * u[3]), v[1] + p * (2 * v[2] + 3 * p * v[3]))
        s.append(s[-1] + 0.5 * float(w @ speed))
    return np.array(s)


def _cut(xyz: Float, hdg: Float, border: Float) -> Float:
    """Where the normals at stations (M,) cut a border (N, 3) -> lateral offsets (M,), positive to the left.

    A normal before the border's start or behind its end cuts the border's straight continuation.
    """
    t = np.empty(len(xyz))
    line = border[:, :2]
    for k in range(len(xyz)):
        c, s = np.cos(hdg[k]), np.sin(hdg[k])
        gap = line - xyz[k, :2]
        u, v = gap @ np.array([c, s]), gap @ np.array([-s, c])
        low, high = u[:-1], u[1:]
        rows = np.flatnonzero((low <= 0.0) & (high > 0.0))
        if len(rows):
            cut = v[rows] + (v[rows + 1] - v[rows]) * (-u[rows] / (u[rows + 1] - u[rows]))
            t[k] = cut[np.argmin(np.abs(cut))]
            continue
        i, j = (0, 1) if u[0] > 0.0 else (-1, -2)
        run = u[j] - u[i]
        slope = (v[j] - v[i]) / run if abs(run) > 1e-6 else 0.0
        t[k] = v[i] - np.clip(slope, -2.0, 2.0) * u[i]
    return t
