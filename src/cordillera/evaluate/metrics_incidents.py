"""What the ego did to others, and all incidents together: a rollout and its map in, counts and distances out.

Every incident of a drive counts, also after the first one, and each count is to be read beside the distance: who stands
still has none.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.evaluate.metrics_collision import contacts
from cordillera.evaluate.metrics_priority import right_of_way
from cordillera.evaluate.metrics_progress import distance
from cordillera.evaluate.metrics_road import wrong_way_stretches
from cordillera.evaluate.metrics_rules import gestures_ignored, red_passages, stop_passages
from cordillera.evaluate.metrics_safety import ego_hit_by
from cordillera.evaluate.metrics_track import DT_S, once_a_drive, result, road_track, stretches, track_of
from cordillera.types import AgentKind, MetricResult, RoadMap, Rollout

HARD_BRAKE_MPS2 = 4.0
BEFORE_S = 0.5  # the brake, when the danger was there
SIRENS = (AgentKind.AMBULANCE, AgentKind.POLICE_CAR, AgentKind.FIRE_ENGINE)
SIREN_BEHIND_M = 30.0
SIREN_ROOM_M = 0.3  # that it needs beside the ego
HELD_UP_S = 10.0


def hard_brakes_caused(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many agents with right of way the ego made brake harder than 4 m/s2: give-way, merges and cut-ins."""
    return result("others made to brake hard", len(braked_for_ego(rollout, road_map)), "", "lower")


@once_a_drive
def braked_for_ego(rollout: Rollout, road_map: RoadMap) -> list[tuple[int, int]]:
    """A rollout and its map -> (id, state) of each agent that had to brake hard for an ego without right of way.

    Half a second before, it would have driven into the ego within 3 s had both gone on as they did.
    """
    track = track_of(rollout)
    found = []
    hard = track.there & (track.push < -HARD_BRAKE_MPS2)
    if not hard.any():
        return found
    danger = np.isfinite(ego_hit_by(track))
    back = round(BEFORE_S / DT_S)
    for column in np.flatnonzero(hard.any(axis=0)).tolist():
        for first, _ in stretches(hard[:, column]):
            seen = danger[max(first - back, 0) : first + 1, column]
            if seen.any() and right_of_way(rollout, road_map, first, column).who == "agent":
                found.append((int(track.ids[column]), first))
                break
    return found


def sirens_held_up(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many emergency vehicles drove within 30 m behind the ego, in its way, for more than 10 s."""
    road = road_track(rollout, road_map)
    track, count = road.track, 0
    for column in np.flatnonzero(np.isin(track.kind, SIRENS)).tolist():
        ahead = road.agents[:, column, 0] - road.progress
        behind = track.there[:, column] & (ahead < 0.0) & (ahead > -SIREN_BEHIND_M)
        aside = np.where(behind, road.agents[:, column, 1], 0.0) - road.aside
        room = np.abs(aside) - 0.5 * (track.width_m + float(track.size[column, 1]))
        held = behind & (room < SIREN_ROOM_M)
        count += any((b - a) * DT_S > HELD_UP_S for a, b in stretches(held))
    return result("emergency vehicles held up", count, "", "lower")


def incidents(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """At-fault contacts, stretches off the road or against traffic, lights, signs and gestures ignored, hard brakes."""
    road = road_track(rollout, road_map)
    known = len(road_map.lanes) > 0
    count = sum(contact.at_fault for contact in contacts(rollout, road_map))
    count += len(stretches(~road.drivable)) if known else 0
    count += len(wrong_way_stretches(rollout, road_map))
    count += len(red_passages(rollout, road_map)) + len(stop_passages(rollout, road_map))
    count += int(gestures_ignored(rollout, road_map).value) + len(braked_for_ego(rollout, road_map))
    return result("incidents", count, "", "lower")


def distance_per_incident(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Metres driven for each incident; not valid without one. Over many drives use `pooled_distance_per_incident`."""
    count = incidents(rollout, road_map).value
    return result("distance per incident", distance(rollout).value / count if count else math.nan, "m", "higher")


def pooled_distance_per_incident(drives: list[tuple[float, float]]) -> MetricResult:
    """Metres and incidents of each drive -> all metres over all incidents: drives without any count in full.

    Without a single incident the value is the whole distance, a lower bound, and `valid` is false.
    """
    metres, count = sum(m for m, _ in drives), sum(n for _, n in drives)
    return MetricResult("distance per incident", metres / max(count, 1.0), count > 0, "m", "higher")
