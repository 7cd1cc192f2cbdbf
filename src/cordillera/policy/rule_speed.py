"""Constraints in, speed profile out: how fast the expert goes over the next 6.4 s, and which constraint makes it so.

The profile is the ride of a careful driver, simulated: at each tick every constraint says how hard it lets the car
accelerate, the least wins, and the change of acceleration is limited. What each constraint takes away from the ride is
added up while it is the one that binds, so the binding constraint is a result of the plan and not a story about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from cordillera.types import Cause, Float, Longitudinal

STEPS, DT_S = 64, 0.1
FOLLOW, HALT, LIMIT = 1.0, 2.0, 3.0
EVER = 1e9


@dataclass(frozen=True)
class SpeedConfig:
    """The manner of driving."""

    accel_mps2: float = 1.8
    brake_mps2: float = 2.0  # comfortable
    time_gap_s: float = 1.4
    gap_m: float = 3.0  # at standstill
    side_mps2: float = 2.3
    curve_brake_mps2: float = 1.2
    jerk_mps3: float = 2.2
    brake_jerk_mps3: float = 2.5
    hard_jerk_mps3: float = 12.0  # when less would not do
    brake_max_mps2: float = 8.0


@dataclass(frozen=True)
class Constraint:
    """One thing that limits the speed: what it is, what heeding it is called, and what it demands.

    FOLLOW: keep behind something whose rear is at station `s_m` now, at `speed_mps` and `accel_mps2`.
    HALT: keep the front before station `s_m`.
    LIMIT: go at most `speed_mps` while the front is beyond station `s_m` and the rear axle before `end_m`.
    All hold from `from_s` until `until_s`.
    """

    demand: float  # FOLLOW, HALT or LIMIT
    s_m: float
    cause: Cause
    decision: Longitudinal
    speed_mps: float = 0.0
    accel_mps2: float = 0.0
    from_s: float = 0.0
    until_s: float = EVER
    softest: float = EVER  # never brake harder than this for it, m/s2
    end_m: float = EVER


@dataclass(frozen=True, eq=False)
class Profile:
    """The ride: station of the rear axle, speed and acceleration after each tick (64,), and who made it so."""

    s_m: Float
    speed_mps: Float
    accel_mps2: Float
    taken: Float  # (1 + M,) m/s2 s that the road itself (row 0) and each constraint took away while it bound


def solve_speed(
    station_m: float, speed_mps: float, accel_mps2: float, front_m: float, cap: Float, spacing_m: float,
    constraints: tuple[Constraint, ...], config: SpeedConfig,
) -> Profile:  # fmt: skip
    """Where the rear axle is, its motion, distance to the front, speeds allowed along the path -> the profile."""
    rows = np.array(
        [(c.demand, c.s_m, c.speed_mps, c.accel_mps2, c.from_s, c.until_s, c.softest, c.end_m) for c in constraints],
        dtype=np.float64,
    ).reshape(-1, 8)
    manner = np.array(
        [
            config.accel_mps2, config.brake_mps2, config.time_gap_s, config.gap_m, config.jerk_mps3,
            config.brake_jerk_mps3, config.hard_jerk_mps3, config.brake_max_mps2,
        ]
    )  # fmt: skip
    out, taken = _ride(station_m, speed_mps, accel_mps2, front_m, cap, spacing_m, rows, manner)
    return Profile(out[:, 0].copy(), out[:, 1].copy(), out[:, 2].copy(), taken)


@njit(cache=True)
def _cap_at(cap: Float, spacing: float, s: float) -> float:
    at = min(max(s / spacing, 0.0), len(cap) - 1.0)
    low = min(int(at), len(cap) - 2)
    return cap[low] + (at - low) * (cap[low + 1] - cap[low])


@njit(cache=True)
def _free(s: float, v: float, cap: Float, spacing: float, accel: float) -> tuple[float, float]:
    """What an empty straight road would allow, and what this road allows, by its limits and curves."""
    ahead = 1.0  # s
    target = _cap_at(cap, spacing, s + max(v, 0.5) * ahead)
    here = max(_cap_at(cap, spacing, s), 0.3)
    road = accel * (1.0 - (v / here) ** 4) if v < here else 0.0
    return accel, min(road, (target * target - v * v) / (2.0 * max(v, 0.5) * ahead))


@njit(cache=True)
def _slow(left: float, v: float, limit: float, brake: float) -> float:
    """The acceleration with which one comes down to a limit that begins `left` metres ahead."""
    if left > 0.0 and v > limit:
        needed = (v * v - limit * limit) / (2.0 * left)
        return 1e9 if needed < 0.45 * brake else -(needed + 0.7 * (needed - 0.55 * brake))
    met = math.sqrt(limit * limit + 1.2 * brake * max(left, 0.0))
    return (met - v) / 0.8 if left <= 0.0 else (met - v) / 0.4


@njit(cache=True)
def _allowed(row: Float, t: float, s: float, front: float, v: float, road: float, manner: Float) -> float:
    """The acceleration that one constraint allows at time t with the rear axle at s and the front at `front`."""
    if t < row[4] or t >= row[5]:
        return 1e9
    accel, brake = manner[0], manner[1]
    if row[0] == 3.0:
        return 1e9 if s > row[7] else max(_slow(row[1] - front, v, row[2], brake), -manner[7])
    if row[0] == 2.0:
        left = row[1] - front - 0.6
        if left <= 0.0:
            return -min(v * v / (2.0 * max(left + 0.6, 0.2)) + 0.5, manner[7])
        needed = v * v / (2.0 * left)
        start = 0.55 * brake
        if needed < start:
            return accel * (1.0 - needed / start)
        return -min(needed + 1.0 * (needed - start), manner[7])
    # the leader: keeps its acceleration for a second, then its speed
    a, v0 = row[3], row[2]
    held = min(t, 1.0)
    if a < 0.0:
        held = min(t, min(-v0 / a, 2.0)) if v0 > 0.0 else 0.0
    lead = max(v0 + a * held, 0.0) if v0 >= 0.0 else v0
    moved = v0 * t if v0 < 0.0 else 0.5 * (v0 + lead) * held + lead * (t - held)
    gap = row[1] + moved - front
    if gap <= 0.2:
        return -manner[7]
    wanted = manner[3] + max(0.0, v * manner[2] + v * (v - lead) / (2.0 * math.sqrt(accel * brake)))
    return max(max(road, -1.0) - accel * (wanted / gap) ** 2, -manner[7])


@njit(cache=True)
def _ride(
    s: float, v: float, a: float, front: float, cap: Float, spacing: float, rows: Float, manner: Float
) -> tuple[Float, Float]:
    out, taken = np.empty((STEPS, 3)), np.zeros(len(rows) + 1)
    v = max(v, 0.0)
    for k in range(STEPS):
        t = k * DT_S
        empty, road = _free(s, v, cap, spacing, manner[0])
        least, who = min(empty, road), 0
        second, nearest = empty, 1e9
        for m in range(len(rows)):
            this = max(_allowed(rows[m], t, s, s + front, v, road, manner), -rows[m, 6])
            if v < 0.1 and this <= 0.0:  # standing: the first thing ahead is the reason, however many follow
                if rows[m, 1] < nearest:
                    second, least, who, nearest = min(least, second), min(least, this), m + 1, rows[m, 1]
            elif this < least:
                second, least, who = least, this, m + 1
            elif this < second:
                second = this
        taken[who] += max(min(second, empty) - least, 0.0) * 0.96**k * DT_S
        jerk = manner[6] if least < -3.0 else manner[5] if least < a else manner[4]
        if a < -1.0 and least > a and v < 1.5:
            jerk = 2.0 * manner[4]  # the brakes are eased as the car comes to rest
        a += min(max(least - a, -jerk * DT_S), jerk * DT_S)
        a = max(a, -manner[7])
        after = v + a * DT_S
        if after <= 0.0:
            s += 0.5 * v * v / max(-a, 1e-6) if a < 0.0 else 0.0
            v = 0.0
            a = max(a, 0.0) if least > 0.0 else 0.0
        else:
            s += 0.5 * (v + after) * DT_S
            v = after
        out[k, 0], out[k, 1], out[k, 2] = s, v, a
    return out, taken
