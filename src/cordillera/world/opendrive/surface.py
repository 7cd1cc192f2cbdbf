"""Where the lanes of a road lie: cross sections at any stations, and stations dense enough for straight segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cordillera.types import Float
from cordillera.world.opendrive.curves import Profile
from cordillera.world.opendrive.model import LaneSource, Road, Section

TOLERANCE_M = 0.004  # of the sampling, under the 5 mm that `Lane` promises, since it is tested at three points
PROBES = np.array([0.25, 0.5, 0.75])
SHORTEST_STEP_M = 0.002
JUMP_M = 0.005
MOST_ROUNDS = 12
MOST_STATIONS = 100_000  # of one section; what would need more stays coarser


@dataclass(frozen=True, eq=False)
class Frame:
    """The road's own axes at stations (N,) of one interval [low, high]."""

    s: Float
    low: float
    high: float
    xyz: Float  # (N, 3) on the reference line
    lateral: Float  # (N, 3) unit vector to the left in the road's surface
    flat: Float  # (N, 3) the same, horizontal
    hdg: Float  # (N,)


def frame_at(road: Road, s: Float, low: float, high: float) -> Frame:
    """Stations (N,) within [low, high] -> the road's axes there.

    Superelevation turns the surface about the tangent (positive: the right side falls); the tangent itself is
    pitched by the elevation, so a rolled road moves a little along its course as well.
    """
    x, y, hdg = road.line.at(s, low, high)
    z = road.elevation.at(s, low, high)
    sin_h, cos_h, zero = np.sin(hdg), np.cos(hdg), np.zeros(len(s))
    flat = np.stack([-sin_h, cos_h, zero], axis=-1)
    lateral = flat
    if not road.superelevation.is_zero:
        roll = road.superelevation.at(s, low, high)
        pitch = np.arctan(road.elevation.slope_at(s, low, high))
        up = np.stack([-np.sin(pitch) * cos_h, -np.sin(pitch) * sin_h, np.cos(pitch)], axis=-1)
        lateral = np.cos(roll)[:, None] * flat + np.sin(roll)[:, None] * up
    return Frame(s, low, high, np.stack([x, y, z], axis=-1), lateral, flat, hdg)


def surface_points(road: Road, frame: Frame, t: Float) -> Float:
    """Lateral offsets t (N,) at a frame's stations -> points (N, 3) on the road's surface, lanes' heights aside."""
    xyz = frame.xyz + t[:, None] * frame.lateral
    for fall, side in zip(road.crossfall, (t > 0.0, t <= 0.0), strict=True):
        if not fall.is_zero:
            xyz[:, 2] -= np.where(side, np.abs(t) * np.tan(fall.at(frame.s, frame.low, frame.high)), 0.0)
    return xyz


def borders_t(road: Road, section: Section, frame: Frame) -> dict[int, Float]:
    """Lane number -> lateral offset (N,) of its outer border; number 0 is the lane reference line."""
    offset = road.offset.at(frame.s, frame.low, frame.high)
    out = {0: offset}
    for sign in (1, -1):
        inner = offset
        for number in sorted((n for n in section.lanes if n * sign > 0), key=abs):
            lane = section.lanes[number]
            if lane.border is not None:
                inner = offset + _relative(lane.border, lane, frame)
            elif lane.width is not None:
                inner = inner + sign * np.maximum(_relative(lane.width, lane, frame), 0.0)
            out[number] = inner
    return out


def _relative(profile: Profile, lane: LaneSource, frame: Frame) -> Float:
    return profile.at(frame.s - lane.s0, frame.low - lane.s0, frame.high - lane.s0)


def border_lines(road: Road, section: Section, s: Float) -> dict[int, tuple[Float, Float]]:
    """Stations (N,) -> lane number -> its inner and outer border (N, 3) each; for 0 both are the lane reference line.

    Lanes marked `level` stay horizontal from their inner border outwards; lane heights lift a lane's two edges.
    """
    frame = frame_at(road, s, section.s0, section.s1)
    t = borders_t(road, section, frame)
    middle = surface_points(road, frame, t[0])
    out = {0: (middle, middle)}
    for sign in (1, -1):
        inner, inner_t, is_level = middle, t[0], False
        for number in sorted((n for n in section.lanes if n * sign > 0), key=abs):
            lane = section.lanes[number]
            is_level = is_level or lane.level
            if is_level:
                outer = inner + (t[number] - inner_t)[:, None] * frame.flat
            else:
                outer = surface_points(road, frame, t[number])
            out[number] = _lifted(lane, s, inner, outer)
            inner, inner_t = outer, t[number]
    return out


def _lifted(lane: LaneSource, s: Float, inner: Float, outer: Float) -> tuple[Float, Float]:
    if not lane.heights:
        return inner, outer
    table = np.array(lane.heights)
    row = np.maximum(np.searchsorted(table[:, 0], s - lane.s0 + 1e-6, side="right") - 1, 0)
    lift = np.zeros((len(s), 3))
    lift[:, 2] = 1.0
    return inner + table[row, 1:2] * lift, outer + table[row, 2:3] * lift


def lane_stations(road: Road, section: Section) -> Float:
    """Stations (N,) of a section, both ends included, between which every border stays straight within tolerance.

    They are shared by all lanes of the section, so that neighbours share their border point by point.
    """
    knots = _knots(road, section)

    def lines(s: Float) -> Float:
        borders = border_lines(road, section, s)
        return np.stack([outer for _, outer in borders.values()])

    return refined(lines, knots)


def _knots(road: Road, section: Section) -> Float:
    """Stations (K,) where some record of the section starts, both ends included, one more before each jump."""
    low, high = section.s0, section.s1
    starts = [road.line.s, road.offset.start, road.elevation.start, road.superelevation.start]
    starts += [fall.start for fall in road.crossfall]
    for lane in section.lanes.values():
        starts += [p.start + lane.s0 for p in (lane.width, lane.border) if p is not None]
        starts.append(np.array([h[0] for h in lane.heights]) + lane.s0)
    s = np.unique(np.concatenate(starts))
    s = s[(s > low + SHORTEST_STEP_M) & (s < high - SHORTEST_STEP_M)]
    s = s[np.concatenate([[True], np.diff(s) > SHORTEST_STEP_M])] if len(s) else s
    if len(s):
        here = border_lines(road, section, s)
        before = border_lines(road, section, s - SHORTEST_STEP_M / 2)
        step = np.max([np.linalg.norm(here[n][1] - before[n][1], axis=-1) for n in here], axis=0)
        s = np.sort(np.concatenate([s, s[step > JUMP_M] - SHORTEST_STEP_M / 2]))
    return np.concatenate([[low], s, [high]])


def refined(lines: Callable[[Float], Float], s: Float, tolerance_m: float = TOLERANCE_M) -> Float:
    """A sampler of L lines, stations (N,) -> (L, N, 3), and first stations -> stations for straight chords.

    Intervals whose inner points leave their chord by more than the tolerance are cut into as many parts as the
    square root of the excess asks for (the sag of a chord falls with the square of its length), until none is left.
    """
    done: list[Float] = []
    low, high = s[:-1], s[1:]
    for _ in range(MOST_ROUNDS):
        if not len(low) or len(low) > MOST_STATIONS:
            break
        inner = (low + (high - low) * PROBES[:, None]).ravel()
        points = lines(np.concatenate([low, high, inner]))
        count = len(low)
        start, end = points[:, :count], points[:, count : 2 * count]
        probes = points[:, 2 * count :].reshape(len(points), len(PROBES), count, 3)
        sag = _off_chord(start[:, None], end[:, None], probes).max(axis=(0, 1))
        bad = (sag > tolerance_m) & (high - low > 2.0 * SHORTEST_STEP_M)
        done.append(low[~bad])
        parts = np.ceil(np.sqrt(sag[bad] / tolerance_m)).astype(np.int64).clip(2, 64)
        first, step = np.repeat(low[bad], parts), np.repeat((high[bad] - low[bad]) / parts, parts)
        rank = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        low, high = first + rank * step, first + (rank + 1) * step
    return np.concatenate([np.sort(np.concatenate([*done, low])), s[-1:]])


def _off_chord(start: Float, end: Float, points: Float) -> Float:
    """Distances of points (..., 3) from the segments start-end."""
    chord = end - start
    norm2 = np.einsum("...i,...i->...", chord, chord)
    offset = points - start
    along = np.einsum("...i,...i->...", offset, chord) / np.maximum(norm2, 1e-18)
    gap = offset - np.clip(along, 0.0, 1.0)[..., None] * chord
    return np.sqrt(np.einsum("...i,...i->...", gap, gap))
