"""How drivers differ: identities in, time gaps, speeds, accelerations and manners out, by hash of a seed.

The median and spread of the time gap are those of the recorded motorway (US-101: log-normal about 1.5 s, 0.6 to 3.7 s),
less what the standstill distance adds to it when driving; `tests/test_traffic_recorded.py` holds the outcome to the
recording. Reaction times follow Treiber, Kesting and Helbing (Physica A 360, 71, 2006).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.types import Float
from cordillera.world.chance import draw, draw_by, key_of
from cordillera.world.kernel import kernel
from cordillera.world.roads_net import Table
from cordillera.world.traffic_state import BICYCLE, BUS, VEHICLE

EGO_STYLE = {
    "gap_s": 1.5, "accel_max": 1.6, "brake": 2.5, "gap_m": 2.0, "factor": 1.0, "top": 60.0, "patience": 4.0,
    "ease": 4.0,
}  # fmt: skip
# slots of the array of Manners
GAP_MEDIAN, GAP_SIGMA, RED, ROLL, SPEEDING, WANDER, DELAY, CHANGES, MIDBLOCK = range(9)


@dataclass(frozen=True)
class Manners:
    """How drivers and people behave; shares and rates are of drivers, drawn by their identity."""

    gap_median_s: float = 1.13  # of the IDM's time gap
    gap_sigma: float = 0.67  # of its logarithm
    late_red: float = 0.02  # of drivers and lights: passes at late amber, or in the first second or so of red
    rolling_stop: float = 0.1  # does not quite stand at stop signs
    speeding: float = 0.08  # drives 8 to 20 % faster than allowed
    wander_m: float = 0.32  # amplitude about the lane's centre; half of it is the standard deviation
    delay_s: float = 0.6  # mean reaction time
    lane_changes: bool = True
    midblock: float = 0.15  # of people: cross away from crossings

    def array(self) -> Float:
        """The slots that kernels read."""
        values = (
            self.gap_median_s, self.gap_sigma, self.late_red, self.rolling_stop, self.speeding, self.wander_m,
            self.delay_s, self.lane_changes, self.midblock,
        )  # fmt: skip
        return np.array(values, dtype=np.float64)


@kernel
def normal(seed: int, a: int, b: int) -> float:
    """Three whole numbers -> a standard normal draw, as the sum of twelve uniform ones (Irwin-Hall)."""
    total = -6.0
    for k in range(12):
        total += draw(seed, a, b, k)
    return total


@kernel
def smooth_noise(key: np.uint64, ident: int, tick: int, bits: int) -> float:
    """Noise in time without memory: a draw in [-1, 1) every 2**bits ticks, joined by cubics; RMS about 0.5."""
    moved = tick + 7 * ident
    knot = moved >> bits
    t = (moved - (knot << bits)) / float(1 << bits)
    before, after = 2.0 * draw_by(key, knot) - 1.0, 2.0 * draw_by(key, knot + 1) - 1.0
    return before + (after - before) * t * t * (3.0 - 2.0 * t)


@kernel
def set_styles(movers: Table, seed: int, manners: Float) -> None:
    """Draw how each one drives, by hash of the seed and its identity; the ego's record is left alone."""
    for i in range(len(movers) - 1):
        me = movers[i]
        ident = me.ident
        if me.role != VEHICLE:
            continue
        gap = manners[GAP_MEDIAN] * math.exp(manners[GAP_SIGMA] * normal(seed, 51, ident))
        me.gap_s = min(max(gap, 0.4), 4.0)
        me.accel_max = 1.1 + 1.3 * draw(seed, 52, ident, 0)
        me.brake = 2.0 + draw(seed, 52, ident, 1)
        me.gap_m = 2.0 + draw(seed, 52, ident, 2)
        me.factor = min(max(0.96 + 0.06 * normal(seed, 53, ident), 0.8), 1.06)
        me.top = 60.0
        me.patience = 4.0 + 3.0 * draw(seed, 52, ident, 4)
        me.delay_s = manners[DELAY] * (0.6 + 0.8 * draw(seed, 52, ident, 5))
        me.lag_s = 0.15 + 0.2 * draw(seed, 52, ident, 6)
        me.wander = manners[WANDER] * (0.5 + draw(seed, 52, ident, 7))
        me.polite = 0.5 * draw(seed, 52, ident, 8)
        me.rolls = 1 if draw(seed, 54, ident, 0) < manners[ROLL] else 0
        if draw(seed, 54, ident, 1) < manners[SPEEDING]:
            me.factor = 1.08 + 0.12 * draw(seed, 54, ident, 2)
        if me.kind == BICYCLE:
            me.top, me.accel_max = 5.2 + 0.9 * max(min(normal(seed, 55, ident), 2.0), -2.0), 0.8
            me.wander, me.gap_m = 0.5 * me.wander, 1.5
        elif me.kind == BUS:
            me.accel_max, me.top = 1.1, 22.0
        elif me.siren:
            me.factor, me.accel_max = 1.25, 2.2
        me.ease = 2.0 * math.sqrt(me.accel_max * me.brake)
        me.way_key, me.red_key = key_of(seed, 21, ident), key_of(seed, 24, ident)
        me.wander_key, me.pace_key = key_of(seed, 56, ident), key_of(seed, 57, ident)
