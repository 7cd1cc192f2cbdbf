"""The published scores of nuPlan, NAVSIM, Bench2Drive and AlpaSim: a rollout and its map in, one number each out.

Definitions and constants are the publishers'. All of them compare with a driver whom we do not have: the recorded
human, nuPlan's expert or PDM-Closed. The free driver of `metrics_progress.possible_m` stands in for him wherever
`reference_m` (the metres that such a driver made on the same route) is not given. Fault is ours in all of them
(`metrics_collision`), except in AlpaSim's, whose rule goes by the bumper. The numbers are comparable between policies
here; with published tables only as far as the docstrings say.
"""

from __future__ import annotations

import math

import numpy as np

from cordillera.evaluate.metrics_collision import Contact, contacts
from cordillera.evaluate.metrics_comfort import comfortable, motion
from cordillera.evaluate.metrics_incidents import SIRENS, sirens_held_up
from cordillera.evaluate.metrics_plan import APART_STEPS, steady_plans
from cordillera.evaluate.metrics_priority import ON_FOOT, THINGS_FROM
from cordillera.evaluate.metrics_progress import free_drive, possible_m, route_completion
from cordillera.evaluate.metrics_road import against_traffic, off_road
from cordillera.evaluate.metrics_rules import overspeed, red_passages, stop_passages
from cordillera.evaluate.metrics_safety import each_soonest
from cordillera.evaluate.metrics_track import DT_S, RoadTrack, once_a_drive, result, road_track, stretches
from cordillera.types import AgentKind, Bool, Float, MetricResult, RoadMap, Rollout

TRIVIAL_M = 5.0  # a reference that goes no farther counts as full progress
WITHIN = 1e-9  # what binary fractions may cost at a bound


# --------------------------------------------------------------------- AlpaSim


def alpasim_score(rollout: Rollout, road_map: RoadMap, reference_m: float | None = None) -> MetricResult:
    """AlpaSim's scene score: 0 with an at-fault collision or off the road, else min(progress / 0.8, 1).

    At fault is there any contact of the front or a side. Progress is the share of the reference's distance; a reference
    of less than 5 m counts as full progress. Every contact is judged, not only the last one; without a map the score
    is not valid, instead of taking the road for kept. Its boxes are 2 % smaller with round corners, ours are not; and
    it drops what follows 4 m of distance from the recording, which has no meaning without one.
    """
    off = off_road(rollout, road_map)
    hit = any(contact.where != "rear" for contact in contacts(rollout, road_map))
    share = _share(rollout, road_map, reference_m)
    score = 0.0 if hit or off.value > 0.0 else min(share / 0.8, 1.0)
    return result("AlpaSim scene score", score if off.valid else math.nan, "", "higher")


def _share(rollout: Rollout, road_map: RoadMap, reference_m: float | None) -> float:
    """Progress over that of the reference, 0..1; 1 where the reference makes less than 5 m."""
    road = road_track(rollout, road_map)
    could = possible_m(rollout, road_map) if reference_m is None else reference_m
    if could < TRIVIAL_M or rollout.ended == "arrived":
        return 1.0
    return min(max(float(road.progress[-1] - road.progress[0]) / could, 0.0), 1.0)


# ---------------------------------------------------------------------- nuPlan


def nuplan_score(rollout: Rollout, road_map: RoadMap, reference_m: float | None = None) -> MetricResult:
    """nuPlan's closed-loop score, 0..1: product of multipliers times the weighted mean of four measures.

    Multipliers: at-fault collisions (vehicle or person 0, one thing 0.5, two 0), drivable area, progress of at least
    0.2, driving direction. Weights: progress 5, time to collision 5, speed limit 4, comfort 2. Scenarios end at a
    collision here and last 15 s there; the expert's route and progress are those of the scenario and the reference.
    """
    road = road_track(rollout, road_map)
    went = max(float(road.progress[-1] - road.progress[0]), 2.0)
    could = max(possible_m(rollout, road_map) if reference_m is None else reference_m, 2.0)
    share = 1.0 if rollout.ended == "arrived" else min(went / could, 1.0)
    product = _collision_factor([c for c in contacts(rollout, road_map) if c.at_fault])
    product *= float(road.drivable.all()) * float(share >= 0.2 - WITHIN) * _direction_factor(_against_m(road))
    mean = 5.0 * share + 5.0 * float(_moving_ttc(road, 3.0).min() >= 0.95)
    mean += 4.0 * _speed_measure(rollout, road_map) + 2.0 * float(comfortable(motion(rollout)).all())
    return result("nuPlan closed-loop score", product * mean / 16.0, "", "higher")


def _moving_ttc(road: RoadTrack, horizon_s: float) -> Float:
    """Time to collision of each state (N,): inf where the ego stands; who was touched before is left out, as there."""
    each = each_soonest(road.track, horizon_s)
    touched = np.logical_or.accumulate(road.track.contact, axis=0)
    still = np.abs(road.track.speed) < 0.01
    return np.where(touched | still[:, None], np.inf, each).min(axis=1, initial=np.inf)


def _collision_factor(faults: list[Contact]) -> float:
    """nuPlan's: a vehicle or a person 0, one thing 0.5, two things 0."""
    things = sum(contact.kind >= THINGS_FROM for contact in faults)
    return 0.0 if things < len(faults) or things > 1 else 0.5 if things else 1.0


def _against_m(road: RoadTrack) -> float:
    """The most metres driven against traffic within any second."""
    gone = np.where(against_traffic(road), np.maximum(road.track.speed, 0.0) * DT_S, 0.0)
    return float(np.convolve(gone, np.ones(round(1.0 / DT_S))).max())


def _direction_factor(against_m: float) -> float:
    return 1.0 if against_m <= 2.0 + WITHIN else 0.5 if against_m <= 6.0 + WITHIN else 0.0


def _speed_measure(rollout: Rollout, road_map: RoadMap) -> float:
    """max(0, 1 - integral of overspeed / (2.23 T)); where there is no lane, none is counted."""
    over = np.nan_to_num(overspeed(rollout, road_map))
    return max(0.0, 1.0 - float(over.mean()) / 2.23)


# ---------------------------------------------------------------------- NAVSIM

WINDOW_STEPS = 40  # 4 s
EVERY_STEPS = 10  # a window begins each second
NAVSIM_TTC_S = 1.0
LANE_KEEPING_M, LANE_KEEPING_S = 0.5, 2.0


def pdm_score(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """NAVSIM v1, PDMS = NC x DAC x (5 EP + 5 TTC + 2 C) / 12, mean over 4 s windows of the drive, one each second.

    The original tracks one plan of 4 s by LQR among agents that replay their recording. Here each window is what was
    driven in the closed loop, so agents react, and the plan is renewed meanwhile. EP compares with the free driver's
    way from the same state on instead of PDM-Closed's; below 5 m it is 1. Not valid for drives of less than 4 s.
    """
    windows = _windows(rollout, road_map)
    scores = [w["NC"] * w["DAC"] * (5.0 * w["EP"] + 5.0 * w["TTC"] + 2.0 * w["C"]) / 12.0 for w in windows]
    return result("NAVSIM PDMS", float(np.mean(scores)) if scores else math.nan, "", "higher")


def epdm_score(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """NAVSIM v2, EPDMS = NC x DAC x DDC x TLC x (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16, mean over 4 s windows.

    Windows as in `pdm_score`. LK fails with more than 0.5 m from the lane's centre for 2 s without a break, junctions
    apart; EC compares plans 0.5 s apart. There is no human whose own failures would be forgiven, and no second stage
    of synthetic views.
    """
    factors, weights = ("NC", "DAC", "DDC", "TLC"), {"EP": 5.0, "TTC": 5.0, "LK": 2.0, "C": 2.0, "EC": 2.0}
    scores = [
        math.prod(w[name] for name in factors) * sum(weight * w[name] for name, weight in weights.items()) / 16.0
        for w in _windows(rollout, road_map)
    ]
    return result("NAVSIM EPDMS", float(np.mean(scores)) if scores else math.nan, "", "higher")


@once_a_drive
def _windows(rollout: Rollout, road_map: RoadMap) -> list[dict[str, float]]:
    """Each 4 s window of a drive -> its NAVSIM measures by name."""
    road = road_track(rollout, road_map)
    count = len(road.track.x)
    starts = range(0, count - WINDOW_STEPS, EVERY_STEPS)
    if not starts:
        return []
    faults = [contact for contact in contacts(rollout, road_map) if contact.at_fault]
    reds = red_passages(rollout, road_map)
    near = _moving_ttc(road, NAVSIM_TTC_S)
    smooth, agreed = comfortable(motion(rollout)), steady_plans(rollout)
    against = np.where(against_traffic(road), np.maximum(road.track.speed, 0.0) * DT_S, 0.0)
    away = (road.lane >= 0) & ~road.in_junction & (np.abs(road.lateral_m) > LANE_KEEPING_M)
    out = []
    for first in starts:
        span = slice(first, first + WINDOW_STEPS + 1)
        inside = range(first, first + WINDOW_STEPS + 1)
        went = float(road.progress[first + WINDOW_STEPS] - road.progress[first])
        could = float(free_drive(road, first, first + WINDOW_STEPS)[-1])
        second = np.convolve(against[span], np.ones(round(1.0 / DT_S))).max()
        out.append(
            {
                "NC": _collision_factor([c for c in faults if c.k in inside]),
                "DAC": float(road.drivable[span].all()),
                "DDC": _direction_factor(float(second)),
                "TLC": float(not any(k in inside for k in reds)),
                "EP": min(max(went / could, 0.0), 1.0) if could > TRIVIAL_M else 1.0,
                "TTC": float(not np.isfinite(near[span]).any()),
                "LK": _keeps_lane(away[span]),
                "C": float(smooth[span].all()),
                "EC": float(agreed[first : first + WINDOW_STEPS - APART_STEPS].all()),
            }
        )
    return out


def _keeps_lane(away: Bool) -> float:
    return float(not any((b - a) * DT_S > LANE_KEEPING_S + WITHIN for a, b in stretches(away)))


# ----------------------------------------------------------------- Bench2Drive

BLOCKED_S = 240.0
STANDING_MPS = 0.1
PENALTIES: dict[str, float] = {
    "person": 0.5, "vehicle": 0.6, "thing": 0.65, "red light": 0.7, "stop sign": 0.8, "time-out": 0.7, "siren": 0.7,
}  # fmt: skip


def driving_score(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Bench2Drive's driving score, 0..100: route completion in percent times a penalty for each event.

    Contact with a person 0.5, a vehicle 0.6, a thing 0.65, whoever is at fault; red light 0.7, stop sign 0.8; standing
    for the four minutes after which CARLA's scenarios let go 0.7; an emergency vehicle held up 0.7. CARLA's sensors
    count a contact again after a while and its route deviation ends a drive; here each agent counts once and leaving
    the road ends it. The part of the way driven off the lanes is not deducted from the completion.
    """
    events = driving_events(rollout, road_map)
    product = math.prod(PENALTIES[name] ** count for name, count in events.items())
    return result("Bench2Drive driving score", route_completion(rollout, road_map).value * product, "", "higher")


def bench2drive_success(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """Bench2Drive's success: the route completed without any event (minimum speed is none of them)."""
    clean = not any(driving_events(rollout, road_map).values()) and not off_road(rollout, road_map).value > 0.0
    done = rollout.ended == "arrived" or route_completion(rollout, road_map).value >= 100.0 - WITHIN
    return result("Bench2Drive success", float(clean and done), "", "higher")


def driving_events(rollout: Rollout, road_map: RoadMap) -> dict[str, int]:
    """A rollout and its map -> how often each event of `PENALTIES` happened."""
    people = (*ON_FOOT, AgentKind.BICYCLE)
    kinds = [contact.kind for contact in contacts(rollout, road_map)]
    track = road_track(rollout, road_map).track
    stands: Float = np.abs(track.speed)
    return {
        "person": sum(kind in people for kind in kinds),
        "vehicle": sum(kind not in people and kind < THINGS_FROM for kind in kinds),
        "thing": sum(kind >= THINGS_FROM for kind in kinds),
        "red light": len(red_passages(rollout, road_map)),
        "stop sign": len(stop_passages(rollout, road_map)),
        "time-out": sum((b - a) * DT_S >= BLOCKED_S for a, b in stretches(stands < STANDING_MPS)),
        "siren": int(sirens_held_up(rollout, road_map).value) if np.isin(track.kind, SIRENS).any() else 0,
    }
