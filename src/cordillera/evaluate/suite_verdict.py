"""A rollout and its map -> why the drive failed, "" where it passed."""

from __future__ import annotations

from cordillera.evaluate.metrics import off_road, red_lights, route_completion, stop_signs
from cordillera.types import RoadMap, Rollout


def failure(rollout: Rollout, road_map: RoadMap) -> str:
    """The first reason that applies, the gravest first."""
    if rollout.ended in ("collision", "off-road"):
        return rollout.ended
    if red_lights(rollout, road_map).value:
        return "red light"
    if stop_signs(rollout, road_map).value:
        return "stop sign"
    if off_road(rollout, road_map).value:
        return "off-road"
    return "" if route_completion(rollout, road_map).value > 10.0 else "no progress"
