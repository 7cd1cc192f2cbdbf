"""Collisions with fault: a rollout and its map in, every contact, who struck whom and whose fault it was, out.

The ego is at fault

* where the other had the right of way, or no rule says and the ego struck or could have stood;
* where it had the right of way itself but could have avoided the contact by braking with 6 m/s2 after a reaction time
  of 1 s from when the danger was evident;
* where it braked hard without need and was struck from behind.

It is not at fault when it stands (unless it has just come into the other's way without right of way), nor when
somebody in its lane drives into its rear. Every contact counts, each agent once, in whatever order agents stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cordillera.evaluate.metrics_avoid import avoidable
from cordillera.evaluate.metrics_priority import THINGS_FROM, Right, right_of_way
from cordillera.evaluate.metrics_rules import route_lines
from cordillera.evaluate.metrics_safety import soonest
from cordillera.evaluate.metrics_track import (
    DT_S,
    RoadTrack,
    Track,
    box_gap,
    once_a_drive,
    result,
    road_track,
    track_of,
)
from cordillera.geometry import wrap_angle
from cordillera.types import Gesture, MetricResult, RoadMap, Rollout

STANDING_MPS = 0.2
JUST_S = 3.0  # before the contact
HARD_BRAKE_MPS2 = 5.0
REASON_TTC_S, REASON_M = 4.0, 60.0
SAME_WAY_RAD = math.radians(60.0)
BUMPER_M = 0.1


@dataclass(frozen=True)
class Contact:
    """The first touch of one agent."""

    agent: int  # id
    column: int  # of the track
    kind: int  # AgentKind
    k: int  # state
    where: str  # on the ego: "front", "rear", "left" or "right"
    struck_by: str  # "ego" or "agent": whose speed towards the other was greater
    right_of_way: str  # "ego", "agent" or ""
    why: str  # the rule that says so
    avoidable: bool  # by braking with 6 m/s2 from 1 s after the danger was evident
    at_fault: bool  # the ego


@once_a_drive
def contacts(rollout: Rollout, road_map: RoadMap) -> tuple[Contact, ...]:
    """A rollout and its map -> its contacts by time, then id; every agent once."""
    track = track_of(rollout)
    touched = np.flatnonzero(track.contact.any(axis=0)).tolist()
    found = [_contact(rollout, road_map, track, int(np.argmax(track.contact[:, column])), column) for column in touched]
    return tuple(sorted(found, key=lambda contact: (contact.k, contact.agent)))


def at_fault_collisions(rollout: Rollout, road_map: RoadMap) -> MetricResult:
    """How many agents the ego touched through a fault of its own."""
    return result("at-fault collisions", sum(c.at_fault for c in contacts(rollout, road_map)), "", "lower")


def _contact(rollout: Rollout, road_map: RoadMap, track: Track, k: int, column: int) -> Contact:
    where = _where(track, k, column)
    right = right_of_way(rollout, road_map, k, column)
    before = max(k - 1, 0)
    speed, yaw = float(track.speed[before]), float(track.yaw[k])
    other_yaw, other_speed = float(track.pose[k, column, 2]), float(track.pace[before, column])
    toward = yaw + {"front": 0.0, "left": 0.5 * math.pi, "rear": math.pi, "right": -0.5 * math.pi}[where]
    mine = speed * math.cos(yaw - toward)
    theirs = -other_speed * math.cos(other_yaw - toward)
    could = avoidable(track, road_map, k, column)
    struck_by = "ego" if mine > theirs else "agent"
    return Contact(
        agent=int(track.ids[column]),
        column=column,
        kind=int(track.kind[column]),
        k=k,
        where=where,
        struck_by=struck_by,
        right_of_way=right.who,
        why=right.why,
        avoidable=could,
        at_fault=_at_fault(road_track(rollout, road_map), k, column, where, struck_by, right, could),
    )


def _at_fault(road: RoadTrack, k: int, column: int, where: str, struck_by: str, right: Right, could: bool) -> bool:
    """Whether a contact is the ego's fault; see the top of this module."""
    track = road.track
    first = max(k - round(JUST_S / DT_S), 0)
    if abs(track.speed[max(k - 1, 0)]) < STANDING_MPS:
        came = bool(np.any(np.abs(track.speed[first : k + 1]) > 1.0))
        return came and right.who == "agent" and struck_by == "agent" and where != "rear"
    if track.kind[column] >= THINGS_FROM:
        return could
    same_way = abs(float(wrap_angle(track.pose[k, column, 2] - track.yaw[k]))) < SAME_WAY_RAD
    if where == "rear" and same_way and right.who != "agent" and track.speed[k] >= 0.0:
        return _braked_for_nothing(road, first, k)
    if right.who == "agent":
        return True
    return could or (right.who == "" and struck_by == "ego")


def _braked_for_nothing(road: RoadTrack, first: int, k: int) -> bool:
    """Whether the ego braked harder than 5 m/s2 with nothing in its way for 4 s, no shut light and no raised hand."""
    track = road.track
    hard = np.flatnonzero(track.accel[first : k + 1] < -HARD_BRAKE_MPS2) + first
    if not len(hard):
        return False
    span = slice(max(int(hard[0]) - 10, 0), int(hard[0]) + 1)
    lines, shut = route_lines(road)
    room = lines[None, :] - road.progress[span, None] - track.rear_m - 0.5 * track.length_m
    light = (shut[span] > 0.0) & (room > -1.0) & (room < REASON_M)
    hand = track.there[span] & (track.shows[span] == Gesture.STOP)
    return not bool(np.isfinite(soonest(track, REASON_TTC_S)[span]).any() or light.any() or hand.any())


def _where(track: Track, k: int, column: int) -> str:
    """Which part of the ego an agent touches: a bumper where one is reached, else a side."""
    x, y, yaw = float(track.x[k]), float(track.y[k]), float(track.yaw[k])
    other_x, other_y, other_yaw = track.pose[k, column].tolist()
    length, width = track.size[column, :2].tolist()
    for name, sign in (("front", 1.0), ("rear", -1.0)):
        at = sign * 0.5 * (track.length_m - BUMPER_M)
        bx, by = x + at * math.cos(yaw), y + at * math.sin(yaw)
        if box_gap(bx, by, yaw, BUMPER_M, track.width_m, other_x, other_y, other_yaw, length, width) <= 0.0:
            return name
    left = (other_y - y) * math.cos(yaw) - (other_x - x) * math.sin(yaw)
    return "left" if left > 0.0 else "right"
