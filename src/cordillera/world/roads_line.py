"""A sequence of lanes -> one smooth line to drive along, with lane changes blended in.

The raw line follows the lanes' centres and jumps sideways where a lane change has its middle. Each jump is spread
over a window: before the jump the line leans towards the new lane, after it what is left of the old one fades. The
window reaches as far as wanted, but not past lanes that have no neighbour on that side, nor into a junction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cordillera.geometry import arc_length, resample
from cordillera.types import Float
from cordillera.world.roads_kernels import lane_point, lane_project, points_along, speed_limit_at
from cordillera.world.roads_net import Net

SPACING_M = 1.0
CHANGE_S = 4.5  # a lane change takes about this long
CHANGE_MIN_M, CHANGE_MAX_M = 20.0, 90.0


@dataclass(frozen=True)
class _Piece:
    lane: int
    s0: float
    s1: float
    changes_to: int = -1  # the neighbour lane to which the line jumps at s1


@dataclass(frozen=True)
class _Jump:
    at_m: float  # arc length on the raw line
    side_m: float  # to the left
    room: tuple[float, float]  # m before and after that the blend may use
    wish_m: float


def route_line(net: Net, lanes: tuple[int, ...], start_s: float, end_s: float) -> Float:
    """Net, lanes that follow or neighbour one another, s on the first and the last -> points (N, 3), 1 m apart.

    Raises ValueError if a lane neither follows nor neighbours the one before it.
    """
    pieces = _pieces(net, lanes, start_s, end_s)
    lane, s, piece = _samples(pieces)
    pose = points_along(net, lane, s, np.zeros(len(s)))
    step = np.hypot(*np.diff(pose[:, :2], axis=0).T)
    step[np.array([pieces[k].changes_to >= 0 for k in piece[:-1]], dtype=bool) & (np.diff(piece) > 0)] = 0.0
    along = np.concatenate([[0.0], np.cumsum(step)])
    offset = np.zeros(len(s))
    for jump, last in _jumps(net, pieces, along, piece):
        before, after = _window(jump)
        u = np.clip((along - jump.at_m + before) / max(before + after, 1e-9), 0.0, 1.0)
        weight = u * u * u * (10.0 + u * (-15.0 + 6.0 * u))  # quintic: no kink and no jump of curvature at its ends
        offset += jump.side_m * np.where(piece <= last, weight, weight - 1.0)
    xyz = pose[:, :3].copy()
    xyz[:, 0] -= offset * np.sin(pose[:, 3])
    xyz[:, 1] += offset * np.cos(pose[:, 3])
    keep = np.concatenate([[True], np.hypot(*np.diff(xyz[:, :2], axis=0).T) > 0.02])
    if keep.sum() < 2:
        return xyz[[0, -1]]
    if not keep[-1]:
        keep[np.flatnonzero(keep)[-1]] = keep.sum() == 1
        keep[-1] = True
    return _smooth(resample(xyz[keep], SPACING_M))


def _pieces(net: Net, lanes: tuple[int, ...], start_s: float, end_s: float) -> list[_Piece]:
    """Lanes -> the parts of them that the raw line runs along; lane changes of one stretch share its length evenly."""
    if not lanes:
        raise ValueError("a route line needs at least one lane")
    stretches: list[list[int]] = [[lanes[0]]]
    for before, lane in pairwise(lanes):
        if lane in net.succ_idx[net.succ_ptr[before] : net.succ_ptr[before + 1]]:
            stretches.append([lane])
        elif lane in (net.lanes["left"][before], net.lanes["right"][before]):
            stretches[-1].append(lane)
        else:
            raise ValueError(f"lane {lane} neither follows lane {before} nor runs beside it")
    pieces = []
    for number, stretch in enumerate(stretches):
        first, last = stretch[0], stretch[-1]
        f0 = start_s / net.lanes["length"][first] if number == 0 else 0.0
        f1 = end_s / net.lanes["length"][last] if number == len(stretches) - 1 else 1.0
        s = f0 * net.lanes["length"][first]
        for k, lane in enumerate(stretch[:-1]):
            middle = (f0 + (f1 - f0) * (k + 0.5) / (len(stretch) - 1)) * net.lanes["length"][lane]
            pieces.append(_Piece(lane, s, max(s, middle), stretch[k + 1]))
            x, y, _, _ = lane_point(net, lane, max(s, middle))
            s, _ = lane_project(net, stretch[k + 1], x, y)
        pieces.append(_Piece(last, s, max(s, f1 * net.lanes["length"][last])))
    return pieces


def _samples(pieces: list[_Piece]) -> tuple[np.ndarray, Float, np.ndarray]:
    """Pieces -> lane, s and piece number of points about 1 m apart, the ends of each piece included."""
    parts = [np.linspace(p.s0, p.s1, max(2, int(np.ceil((p.s1 - p.s0) / SPACING_M)) + 1)) for p in pieces]
    counts = [len(part) for part in parts]
    lane = np.repeat(np.array([p.lane for p in pieces], dtype=np.int64), counts)
    return lane, np.concatenate(parts), np.repeat(np.arange(len(pieces)), counts)


def _jumps(net: Net, pieces: list[_Piece], along: Float, piece: np.ndarray) -> list[tuple[_Jump, int]]:
    """Pieces and their samples -> each sideways jump with the number of the piece that ends there."""
    ends = [float(along[np.flatnonzero(piece == k)[-1]]) for k in range(len(pieces))]
    changes = [k for k, p in enumerate(pieces) if p.changes_to >= 0]
    jumps = []
    for n, k in enumerate(changes):
        x, y, _, _ = lane_point(net, pieces[k].lane, pieces[k].s1)
        _, lateral = lane_project(net, pieces[k].changes_to, x, y)
        to_left = bool(net.lanes["left"][pieces[k].lane] == pieces[k].changes_to)
        low = 0.5 * (ends[changes[n - 1]] + ends[k]) if n > 0 else 0.0
        high = 0.5 * (ends[changes[n + 1]] + ends[k]) if n + 1 < len(changes) else ends[-1]
        low = max(low, _reach(net, pieces, ends, k, -1, to_left))
        high = min(high, _reach(net, pieces, ends, k + 1, 1, not to_left))
        limit = speed_limit_at(net, pieces[k].lane, pieces[k].s1)
        wish = min(CHANGE_MAX_M, max(CHANGE_MIN_M, CHANGE_S * limit))
        jumps.append((_Jump(ends[k], -lateral, (ends[k] - low, high - ends[k]), wish), k))
    return jumps


def _reach(net: Net, pieces: list[_Piece], ends: list[float], k: int, step: int, left: bool) -> float:
    """Arc length up to which the pieces from k on, backwards or forwards, have a neighbour on the given side."""
    while True:
        bound = ends[k] if step > 0 else (ends[k - 1] if k > 0 else 0.0)
        following = k + step
        if not 0 <= following < len(pieces):
            return bound
        lane = pieces[following].lane
        neighbour = net.lanes["left"][lane] if left else net.lanes["right"][lane]
        if neighbour < 0 or not net.lanes["drivable"][neighbour] or net.lanes["junction"][lane] >= 0:
            return bound
        k = following


def _window(jump: _Jump) -> tuple[float, float]:
    """Jump -> metres before and after it that the blend takes: half the wish each, more where the other lacks room."""
    half = 0.5 * jump.wish_m
    before = min(jump.room[0], half + max(0.0, half - jump.room[1]))
    after = min(jump.room[1], jump.wish_m - before)
    return before, after


def _smooth(points: Float) -> Float:
    """Points (N, 3) at equal steps -> the same with kinks rounded; ends and straight lines stay, curves do not shrink.

    Binomial filter with its own loss added back (Taubin, 1995), ends continued by point reflection.
    """
    if len(points) < 5:
        return points
    once = _binomial(points)
    smoothed = once + (once - _binomial(once))
    return resample(smoothed, SPACING_M) if arc_length(smoothed)[-1] > 0.0 else smoothed


def _binomial(points: Float) -> Float:
    for _ in range(3):
        padded = np.concatenate([2.0 * points[:1] - points[1:2], points, 2.0 * points[-1:] - points[-2:-1]])
        points = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return points
