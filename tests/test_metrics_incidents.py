"""What the ego does to others, and counts over whole drives."""

import dataclasses

import numpy as np
import pytest
from metric_drives import ROAD, Other, drive, light_road, steady

from cordillera.evaluate.metrics_incidents import (
    braked_for_ego,
    distance_per_incident,
    hard_brakes_caused,
    incidents,
    pooled_distance_per_incident,
    sirens_held_up,
)
from cordillera.evaluate.metrics_safety import close_encounters, ego_hit_by, min_gap
from cordillera.evaluate.metrics_track import track_of
from cordillera.types import AgentKind, LightState

N = 41
T = 0.1 * np.arange(N)


def follower(accel_at, hard, offset=-12.0, v=15.0):
    """A car that comes from behind on the lane and brakes from some state on."""
    accel = np.where(np.arange(N) >= accel_at, hard, 0.0)
    speed = np.maximum(v + np.r_[0.0, np.cumsum(0.1 * accel)[:-1]], 0.0)
    return Other(20.0 + offset + np.r_[0.0, np.cumsum(0.1 * speed)[:-1]], 0.0, speed, accel=accel)


def test_a_cut_in_that_makes_another_brake_hard():
    """The ego, at 8 m/s, moves from beside the lane in front of a car that comes at 15 m/s."""
    lateral = -3.5 * np.clip(1.0 - T / 1.5, 0.0, 1.0)
    ego = {"s": 20.0 + 8.0 * T, "speed": np.full(N, 8.0)}
    assert braked_for_ego(drive(**ego, lateral=lateral, others=[follower(12, -6.0)]), ROAD) == [(1, 12)]
    assert hard_brakes_caused(drive(**ego, lateral=lateral, others=[follower(12, -3.0)]), ROAD).value == 0
    # who drove there all along has the right of way: the follower should have kept its distance
    assert hard_brakes_caused(drive(**ego, others=[follower(12, -6.0)]), ROAD).value == 0
    # far behind there is no danger, whatever the other brakes for
    assert hard_brakes_caused(drive(**ego, lateral=lateral, others=[follower(12, -6.0, -60.0)]), ROAD).value == 0


def test_when_an_agent_would_drive_into_the_ego():
    behind = Other(0.0 + 15.0 * T, speed=15.0)
    hits = ego_hit_by(track_of(drive(20.0 + 10.0 * T, np.full(N, 10.0), others=[behind])))[:, 0]
    # rear bumper at 20 - 1.005, its front at 2: 16.995 m at 5 m/s is beyond 3 s at first, within from k = 4 on
    assert np.isinf(hits[:3]).all() and hits[10] == pytest.approx(16.995 / 5.0 - 1.0, abs=0.11)
    ahead = Other(80.0 + 10.0 * T, speed=10.0)
    assert np.isinf(ego_hit_by(track_of(drive(20.0 + 15.0 * T, np.full(N, 15.0), others=[ahead])))).all()


def test_emergency_vehicles_held_up():
    n = 151
    t = 0.1 * np.arange(n)
    behind = Other(8.0 + 5.0 * t, speed=5.0, kind=int(AgentKind.AMBULANCE))
    assert sirens_held_up(steady(n=n, v=5.0, others=[behind]), ROAD).value == 1
    aside = np.where(t < 4.0, 0.0, -2.5)
    assert sirens_held_up(steady(n=n, v=5.0, others=[behind], lateral=aside), ROAD).value == 0
    assert sirens_held_up(steady(n=n, v=5.0, others=[dataclasses.replace(behind, kind=0)]), ROAD).value == 0


def test_every_incident_counts_also_after_the_first():
    """AlpaSim drops what follows the first incident."""
    red = [int(LightState.RED)] * 51
    once = steady(signals=red)
    assert incidents(once, light_road()).value == 1
    twice = steady(signals=red, others=[Other(66.0)])
    assert incidents(twice, light_road()).value == 2
    assert distance_per_incident(twice, light_road()).value == pytest.approx(25.0)
    assert not distance_per_incident(steady(), ROAD).valid
    pooled = pooled_distance_per_incident([(50.0, 2.0), (150.0, 0.0)])
    assert pooled.valid and pooled.value == 100.0
    assert not pooled_distance_per_incident([(50.0, 0.0)]).valid


def test_close_encounters_need_speed_and_nearness():
    def passing(gap, v=10.0, kind=0, size=(4.0, 2.0, 1.5)):
        other = Other(40.0, 0.5 * 2.12 + gap + 0.5 * size[1], kind=int(kind), size=size)
        return steady(n=101, v=v, s0=20.0, others=[other])

    assert close_encounters(passing(0.25)).value == 1 and close_encounters(passing(0.35)).value == 0
    assert close_encounters(passing(0.25, v=1.5)).value == 0
    person = {"kind": AgentKind.PEDESTRIAN, "size": (0.5, 0.5, 1.8)}
    assert close_encounters(passing(0.7, **person)).value == 1 and close_encounters(passing(0.9, **person)).value == 0
    assert min_gap(passing(0.7)).value == pytest.approx(0.7)
    assert not min_gap(steady()).valid
