"""Rendered pictures and their state -> what each cell of a coarse grid shows, so that a model can be taught to see.

A cell is a square of pixels. It tells which share of it each class fills, which share is a red, amber or green light
for vehicles, and how near the nearest thing in it is. Shares are of 255, and no less than 1 where there is anything.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cordillera.sensors.classes import OBJECT_BASE, SIGNAL_BASE, Semantic
from cordillera.sensors.render import CameraFrame
from cordillera.types import Int, LightState, RoadMap, SignalKind

CELL_PX = 16
RED, AMBER, GREEN = len(Semantic), len(Semantic) + 1, len(Semantic) + 2
NEARNESS = len(Semantic) + 3  # exp(-depth / NEAR_M) of the nearest thing, 0 where there is none
CHANNELS = len(Semantic) + 4
NEAR_M = 30.0
THINGS = tuple(kind for kind in Semantic if kind >= Semantic.PERSON)
LIT = {
    LightState.RED: RED,
    LightState.FLASHING_RED: RED,
    LightState.RED_AMBER: AMBER,
    LightState.AMBER: AMBER,
    LightState.FLASHING_AMBER: AMBER,
    LightState.GREEN: GREEN,
}


def looks(frame: CameraFrame, signals: Int, road_map: RoadMap) -> NDArray[np.uint8]:
    """A picture, the signals' states at that moment (`WorldState.signals`) and the map -> (rows, cols, CHANNELS).

    Pixels beyond the last whole cell are left out.
    """
    tall, wide = (size // CELL_PX for size in frame.semantic.shape)
    inside = slice(0, tall * CELL_PX), slice(0, wide * CELL_PX)
    semantic, instance, depth = frame.semantic[inside], frame.instance[inside], frame.depth[inside]
    row, col = np.divmod(np.arange(semantic.size), wide * CELL_PX)
    cell = row // CELL_PX * wide + col // CELL_PX
    kind = semantic.reshape(-1).astype(np.int64)
    counts = np.bincount(cell * CHANNELS + kind, minlength=tall * wide * CHANNELS)

    lamps = np.flatnonzero(kind == Semantic.TRAFFIC_LIGHT)
    owner = instance.reshape(-1)[lamps].astype(np.int64)
    ours = (owner >= SIGNAL_BASE) & (owner < OBJECT_BASE)
    lamps, which = lamps[ours], owner[ours] - SIGNAL_BASE
    for number in np.unique(which):
        channel = LIT.get(LightState(int(signals[number])))
        if channel is not None and road_map.signals[number].kind is SignalKind.TRAFFIC_LIGHT:
            np.add.at(counts, cell[lamps[which == number]] * CHANNELS + channel, 1)
    shares = np.where(counts > 0, np.maximum(counts * 255 // CELL_PX**2, 1), 0).reshape(tall * wide, CHANNELS)

    things = np.flatnonzero(np.isin(kind, THINGS))
    nearest = np.full(tall * wide, math.inf)
    np.minimum.at(nearest, cell[things], depth.reshape(-1)[things])
    shares[:, NEARNESS] = np.rint(255.0 * np.exp(-nearest / NEAR_M))
    return shares.astype(np.uint8).reshape(tall, wide, CHANNELS)
