"""Metrics: a rollout (and its map, where roads matter) in, one named value with its unit out; pure functions.

A metric that has no meaning for a rollout says so by `valid`; its value is then NaN. The functions live in the
modules `metrics_*` by theme and are all found here.
"""

from __future__ import annotations

from cordillera.evaluate.metrics_collision import at_fault_collisions
from cordillera.evaluate.metrics_comfort import comfort, max_accel, max_brake, max_jerk, max_side_accel, motion
from cordillera.evaluate.metrics_progress import distance, progress, relative_progress, route_completion, standing
from cordillera.evaluate.metrics_road import lane_offset, off_road, wrong_lane, wrong_way
from cordillera.evaluate.metrics_rules import (
    gestures_ignored,
    max_overspeed,
    mean_speed,
    red_lights,
    speeding,
    stop_signs,
)
from cordillera.evaluate.metrics_safety import close_encounters, collisions, min_gap, time_to_collision
from cordillera.evaluate.metrics_success import failure, success
from cordillera.evaluate.metrics_track import states_of
from cordillera.types import MetricResult, RoadMap, Rollout

__all__ = [
    "all_metrics", "at_fault_collisions", "close_encounters", "collisions", "comfort", "distance", "failure",
    "gestures_ignored", "lane_offset", "max_accel", "max_brake", "max_jerk", "max_overspeed", "max_side_accel",
    "mean_speed", "min_gap", "motion", "off_road", "progress", "red_lights", "relative_progress", "route_completion",
    "speeding", "standing", "states_of", "stop_signs", "success", "time_to_collision", "wrong_lane", "wrong_way",
]  # fmt: skip

OF_ROLLOUT = (
    distance, standing, mean_speed, max_accel, max_brake, max_side_accel, max_jerk, comfort, time_to_collision,
    min_gap, close_encounters,
)  # fmt: skip
OF_ROAD = (
    at_fault_collisions, off_road, wrong_way, wrong_lane, red_lights, stop_signs, gestures_ignored, speeding,
    max_overspeed, lane_offset, progress, route_completion, relative_progress,
)  # fmt: skip


def all_metrics(rollout: Rollout, road_map: RoadMap) -> tuple[MetricResult, ...]:
    """A rollout and its map -> every metric, in the order to show them."""
    return (
        success(rollout, road_map),
        collisions(rollout),
        *(metric(rollout, road_map) for metric in OF_ROAD),
        *(metric(rollout) for metric in OF_ROLLOUT),
    )
