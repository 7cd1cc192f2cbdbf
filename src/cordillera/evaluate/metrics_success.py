"""A rollout and its map in, whether the drive was a success, and if not why, out.

A drive passes when it has no collision through a fault of its own, never leaves the road, runs no red light and no
stop sign, drives against nobody, heeds those who direct traffic, and gets on. In a scenario of a family a collision
through another's fault is no pass either, for a good driver foresees it, nor is holding up an emergency vehicle. How
far a drive has to get:

* where the scenario states a least progress (a tag "progress:80", in metres), it makes that or arrives;
* else, in a scenario of a family, it arrives if a free driver could have done so in 60 % of the time, and makes at
  least 85 % of that driver's way if not, so that nobody passes who stops half-way and stays there;
* else it makes at least 30 % of the way of a free driver.

The free driver (`metrics_progress.possible_m`) waits at red lights and behind moving traffic, so waiting is no failure
where it has to be done, and standing still is one where the road is free.
"""

from __future__ import annotations

import math

from cordillera.evaluate.metrics_collision import at_fault_collisions
from cordillera.evaluate.metrics_incidents import sirens_held_up
from cordillera.evaluate.metrics_progress import free_drive
from cordillera.evaluate.metrics_road import off_road, wrong_way_stretches
from cordillera.evaluate.metrics_rules import gestures_ignored, red_lights, stop_signs
from cordillera.evaluate.metrics_track import result, road_track
from cordillera.types import MetricResult, RoadMap, Rollout

SHARE, FAMILY_SHARE = 0.3, 0.85  # of the free driver's way
IN_TIME = 0.6  # a free driver that needs no more of the time leaves enough for others to arrive
ARRIVE_M = 8.0  # as the world counts arrival
LEAST_M = 10.0  # where a free driver gets no farther, nothing is asked
PROGRESS_TAG = "progress:"


def success(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """1 where the drive passed, 0 where it failed; `failure` says why."""
    return result("success", float(not failure(rollout, road_map)), "", "higher")


def failure(rollout: Rollout, road_map: RoadMap) -> str:
    """Why a drive failed, the gravest reason first; "" where it passed.

    One of "error", "interrupted", "collision", "off-road", "red light", "wrong way", "stop sign", "gesture ignored",
    "struck", "siren held up", "not arrived", "no progress".
    """
    if rollout.ended.startswith("error"):
        return "error"
    if rollout.ended == "interrupted":
        return "interrupted"
    if at_fault_collisions(rollout, road_map).value:
        return "collision"
    if rollout.ended == "off-road" or off_road(rollout, road_map).value > 0.0:
        return "off-road"
    if red_lights(rollout, road_map).value:
        return "red light"
    if wrong_way_stretches(rollout, road_map):
        return "wrong way"
    if stop_signs(rollout, road_map).value:
        return "stop sign"
    if gestures_ignored(rollout, road_map).value:
        return "gesture ignored"
    if rollout.scenario.family and rollout.ended == "collision":
        return "struck"
    if rollout.scenario.family and sirens_held_up(rollout, road_map).value:
        return "siren held up"
    return _too_short(rollout, road_map)


def _too_short(rollout: Rollout, road_map: RoadMap) -> str:
    """Why the way made does not suffice, "" where it does."""
    if rollout.ended == "arrived":
        return ""
    road = road_track(rollout, road_map)
    made = float(road.progress[-1] - road.progress[0])
    asked = asked_m(rollout, road_map)
    if made >= asked:
        return ""
    return "not arrived" if asked >= road.length_m - ARRIVE_M else "no progress"


def asked_m(rollout: Rollout, road_map: RoadMap) -> float:
    """How far a drive has to go to pass, in m along its route; see the top of this module."""
    road, scenario = road_track(rollout, road_map), rollout.scenario
    stated = [float(tag.removeprefix(PROGRESS_TAG)) for tag in scenario.tags if tag.startswith(PROGRESS_TAG)]
    if stated:
        return min(stated[0], road.length_m - ARRIVE_M)
    free = free_drive(road)
    could = float(free[-1])
    if could < LEAST_M:
        return 0.0
    if not scenario.family:
        return SHARE * could
    soon = math.floor(IN_TIME * (len(free) - 1))
    return road.length_m - ARRIVE_M if free[soon] >= road.length_m - ARRIVE_M else FAMILY_SHARE * could
