"""A driven path -> what it does at 10 Hz on both axes: its meta actions.

Thresholds are the published ones of the chain-of-causation labels (Alpamayo-R1, arXiv 2511.00088, and its labeller).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

import numpy as np

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.types import Float, Int, Trajectory


class LongitudinalMeta(StrEnum):
    """What a path does along its heading."""

    GENTLE_ACCELERATE = "gentle accelerate"
    STRONG_ACCELERATE = "strong accelerate"
    GENTLE_DECELERATE = "gentle decelerate"
    STRONG_DECELERATE = "strong decelerate"
    MAINTAIN = "maintain speed"
    STOP = "stop"
    REVERSE = "reverse"


class LateralMeta(StrEnum):
    """What a path does across its heading."""

    STRAIGHT = "go straight"
    LEFT = "steer left"
    RIGHT = "steer right"
    SHARP_LEFT = "sharp steer left"
    SHARP_RIGHT = "sharp steer right"
    REVERSE_LEFT = "reverse left"
    REVERSE_RIGHT = "reverse right"


A = TypeVar("A", LongitudinalMeta, LateralMeta)


@dataclass(frozen=True)
class MetaConfig:
    """Thresholds: speeds in m/s, accelerations in m/s2, steering in rad a metre and rad, lengths in ticks."""

    reverse_mps: float = -0.12
    stop_mps: float = 0.12
    gentle_mps2: float = 0.15
    strong_mps2: float = 1.4
    strong_change_mps: float = 0.8
    steer_radpm: float = 0.0015
    steer_rad: float = 0.015
    sharp_radpm: float = 0.05
    sharp_rad: float = 0.2
    shortest: int = 8
    smooth: int = 5  # ticks over which speeds and headings are averaged before they are compared
    creep_mps: float = 0.5  # below it, headings say nothing: the path goes straight


@dataclass(frozen=True)
class Segment:
    """A stretch of ticks [first, last) in which the path does one thing."""

    first: int
    last: int
    action: LongitudinalMeta | LateralMeta


@dataclass(frozen=True, eq=False)
class Motion:
    """A path at its ticks: speed along the heading, acceleration, heading and its change per metre and tick."""

    t_us: Int  # (N,)
    speed_mps: Float  # (N,) signed
    accel_mps2: Float  # (N,)
    yaw_rad: Float  # (N,) unwrapped
    turn_radpm: Float  # (N,) heading change per metre driven, 0 while standing


@dataclass(frozen=True, eq=False)
class MetaActions:
    """What a path does at every tick, and in which segments."""

    t_us: Int  # (N,)
    longitudinal: tuple[LongitudinalMeta, ...]  # (N,)
    lateral: tuple[LateralMeta, ...]  # (N,)

    @property
    def longitudinal_segments(self) -> tuple[Segment, ...]:
        return segments(self.longitudinal)

    @property
    def lateral_segments(self) -> tuple[Segment, ...]:
        return segments(self.lateral)


def motion_of(path: Trajectory, config: MetaConfig | None = None) -> Motion:
    """Poses (N >= 3, any frame that does not move) -> speeds, accelerations and headings; ValueError for fewer."""
    config = config or MetaConfig()
    if len(path.t_us) < 3:
        raise ValueError(f"a path of {len(path.t_us)} poses has no accelerations; give at least 3")
    t = (path.t_us - path.t_us[0]) * 1e-6
    yaw = np.unwrap(yaw_of(path.quat_xyzw))
    step = np.gradient(path.xyz[:, :2], t, axis=0)
    speed = _mean(step[:, 0] * np.cos(yaw) + step[:, 1] * np.sin(yaw), config.smooth)
    accel = np.gradient(speed, t)
    rate = _mean(np.gradient(yaw, t), config.smooth)
    turn = np.where(np.abs(speed) > config.creep_mps, rate / np.maximum(np.abs(speed), config.creep_mps), 0.0)
    return Motion(path.t_us, speed, accel, yaw, turn)


def meta_actions(path: Trajectory, config: MetaConfig | None = None) -> MetaActions:
    """Poses at 10 Hz (N >= 3) -> meta actions on both axes, segments shorter than `shortest` joined to neighbours."""
    config = config or MetaConfig()
    motion = motion_of(path, config)
    along = _settled([_along(motion, k, config) for k in range(len(motion.t_us))], config.shortest)
    along = _strong(along, motion, config)
    across = _settled([_across(motion, k, config) for k in range(len(motion.t_us))], config.shortest)
    across = _sharp(across, motion, config)
    return MetaActions(path.t_us, tuple(along), tuple(across))


def segments(actions: Sequence[LongitudinalMeta | LateralMeta]) -> tuple[Segment, ...]:
    """Actions (N,) -> the runs of equal ones, in order."""
    cuts = [0, *(k for k in range(1, len(actions)) if actions[k] != actions[k - 1]), len(actions)]
    return tuple(Segment(a, b, actions[a]) for a, b in pairwise(cuts) if b > a)


def _along(motion: Motion, k: int, config: MetaConfig) -> LongitudinalMeta:
    speed, accel = motion.speed_mps[k], motion.accel_mps2[k]
    if speed < config.reverse_mps:
        return LongitudinalMeta.REVERSE
    if abs(speed) < config.stop_mps:
        return LongitudinalMeta.STOP
    if accel > config.gentle_mps2:
        return LongitudinalMeta.GENTLE_ACCELERATE
    return LongitudinalMeta.GENTLE_DECELERATE if accel < -config.gentle_mps2 else LongitudinalMeta.MAINTAIN


def _across(motion: Motion, k: int, config: MetaConfig) -> LateralMeta:
    turn, back = motion.turn_radpm[k], motion.speed_mps[k] < config.reverse_mps
    if abs(turn) < config.steer_radpm:
        return LateralMeta.STRAIGHT
    if back:  # per metre of travel backwards: the heading turns left while the car backs to its right
        return LateralMeta.REVERSE_RIGHT if turn > 0.0 else LateralMeta.REVERSE_LEFT
    return LateralMeta.LEFT if turn > 0.0 else LateralMeta.RIGHT


def _strong(actions: list[LongitudinalMeta], motion: Motion, config: MetaConfig) -> list[LongitudinalMeta]:
    """Segments that change speed by enough, and fast enough at their fastest, are strong."""
    stronger = {
        LongitudinalMeta.GENTLE_ACCELERATE: LongitudinalMeta.STRONG_ACCELERATE,
        LongitudinalMeta.GENTLE_DECELERATE: LongitudinalMeta.STRONG_DECELERATE,
    }
    out = list(actions)
    for part in segments(actions):
        more = stronger.get(actions[part.first])
        rows = slice(part.first, part.last)
        change = abs(motion.speed_mps[part.last - 1] - motion.speed_mps[part.first])
        peak = float(np.max(np.abs(motion.accel_mps2[rows])))
        if more and peak > config.strong_mps2 and change > config.strong_change_mps:
            out[rows] = [more] * (part.last - part.first)
    return out


def _sharp(actions: list[LateralMeta], motion: Motion, config: MetaConfig) -> list[LateralMeta]:
    """Steering that hardly turns the heading in all is straight; what turns it much, and fast, is sharp."""
    sharper = {LateralMeta.LEFT: LateralMeta.SHARP_LEFT, LateralMeta.RIGHT: LateralMeta.SHARP_RIGHT}
    out = list(actions)
    for part in segments(actions):
        if part.action is LateralMeta.STRAIGHT:
            continue
        rows = slice(part.first, part.last)
        turned = abs(float(wrap_angle(motion.yaw_rad[part.last - 1] - motion.yaw_rad[part.first])))
        more = sharper.get(actions[part.first])
        if turned < config.steer_rad:
            out[rows] = [LateralMeta.STRAIGHT] * (part.last - part.first)
        elif more and turned > config.sharp_rad and np.max(np.abs(motion.turn_radpm[rows])) > config.sharp_radpm:
            out[rows] = [more] * (part.last - part.first)
    return out


def _settled(actions: list[A], shortest: int) -> list[A]:
    """Runs shorter than `shortest` -> what the longer neighbour does, the shortest run first."""
    out = list(actions)
    while True:
        runs = segments(out)
        short = [r for r in runs if r.last - r.first < shortest]
        if not short or len(runs) == 1:
            return out
        k = runs.index(min(short, key=lambda r: (r.last - r.first, r.first)))
        other = max((runs[n] for n in (k - 1, k + 1) if 0 <= n < len(runs)), key=lambda r: r.last - r.first)
        out[runs[k].first : runs[k].last] = [out[other.first]] * (runs[k].last - runs[k].first)


def _mean(values: Float, width: int) -> Float:
    """A moving average of odd width; at the ends over what there is."""
    half = width // 2
    total = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)
