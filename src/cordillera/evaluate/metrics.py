"""Metrics: a rollout (and its map, where roads matter) in, one named value with its unit out; pure functions.

A metric that has no meaning for a rollout says so by `valid`; its value is then NaN. The functions live in the
modules `metrics_*` by theme and are all found here.
"""

from __future__ import annotations

from cordillera.evaluate.metrics_collision import at_fault_collisions
from cordillera.evaluate.metrics_comfort import comfort, max_accel, max_brake, max_jerk, max_side_accel, motion
from cordillera.evaluate.metrics_incidents import (
    distance_per_incident,
    hard_brakes_caused,
    incidents,
    pooled_distance_per_incident,
    sirens_held_up,
)
from cordillera.evaluate.metrics_plan import plan_errors
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
from cordillera.evaluate.metrics_scores import (
    alpasim_score,
    bench2drive_success,
    driving_score,
    epdm_score,
    nuplan_score,
    pdm_score,
)
from cordillera.evaluate.metrics_success import failure, success
from cordillera.evaluate.metrics_track import states_of
from cordillera.types import MetricResult, RoadMap, Rollout

__all__ = [
    "all_metrics", "alpasim_score", "at_fault_collisions", "bench2drive_success", "close_encounters", "collisions",
    "comfort", "distance", "distance_per_incident", "driving_score", "epdm_score", "failure", "gestures_ignored",
    "hard_brakes_caused", "incidents", "lane_offset", "max_accel", "max_brake", "max_jerk", "max_overspeed",
    "max_side_accel", "mean_speed", "min_gap", "motion", "nuplan_score", "off_road", "pdm_score", "plan_errors",
    "pooled_distance_per_incident", "progress", "red_lights", "relative_progress", "route_completion",
    "sirens_held_up", "speeding", "standing", "states_of", "stop_signs", "success", "time_to_collision", "wrong_lane",
    "wrong_way",
]  # fmt: skip

OF_ROAD = (
    off_road, red_lights, stop_signs, gestures_ignored, wrong_way, wrong_lane, hard_brakes_caused, sirens_held_up,
    incidents, distance_per_incident, speeding, max_overspeed, progress, route_completion, relative_progress,
    lane_offset,
)  # fmt: skip
OF_ROLLOUT = (
    distance, standing, mean_speed, max_accel, max_brake, max_side_accel, max_jerk, comfort, time_to_collision,
    min_gap, close_encounters,
)  # fmt: skip
SCORES = (alpasim_score, nuplan_score, pdm_score, epdm_score, driving_score, bench2drive_success)


def all_metrics(rollout: Rollout, road_map: RoadMap) -> tuple[MetricResult, ...]:
    """A rollout and its map -> every metric, in the order to show them."""
    return (
        success(rollout, road_map),
        collisions(rollout),
        at_fault_collisions(rollout, road_map),
        *(metric(rollout, road_map) for metric in OF_ROAD),
        *(metric(rollout) for metric in OF_ROLLOUT),
        *plan_errors(rollout),
        *(score(rollout, road_map) for score in SCORES),
    )
