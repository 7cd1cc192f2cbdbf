"""Who struck whom, who had the right of way, and whether it could have been avoided: on drives done in one's head."""

import dataclasses

import numpy as np
import pytest
from metric_drives import NOSE_M, ROAD, TAIL_M, Other, along_lanes, drive, motion_of, steady

from cordillera.evaluate.metrics_avoid import BRAKE_MPS2, REACTION_S, avoidable, evident_from
from cordillera.evaluate.metrics_collision import at_fault_collisions, contacts
from cordillera.evaluate.metrics_priority import right_of_way
from cordillera.evaluate.metrics_track import box_gap, track_of
from cordillera.types import AgentKind, LightState
from cordillera.world.build import build_road
from cordillera.world.roads import compile_map

T = 0.1 * np.arange(101)


def only(rollout, road_map=ROAD):
    (contact,) = contacts(rollout, road_map)
    assert at_fault_collisions(rollout, road_map).value == contact.at_fault
    return contact


def test_gap_between_boxes():
    assert box_gap(0, 0, 0, 4, 2, 10, 0, 0, 4, 2) == pytest.approx(6.0)
    assert box_gap(0, 0, 0, 4, 2, 10, 5, 0, 4, 2) == pytest.approx(np.hypot(6.0, 3.0))
    # the corner of a square turned by 45 degrees looks at the box's side
    assert box_gap(0, 0, 0, 4, 2, 0, 5, np.pi / 4, 2, 2) == pytest.approx(5.0 - 1.0 - np.sqrt(2.0))
    assert box_gap(0, 0, 0.3, 4, 2, 1, 1, 2.0, 4, 2) == 0.0


def test_driving_into_a_standing_car_is_the_egos_fault():
    contact = only(steady(others=[(60.0, 0.0, 0.0)]))
    assert (contact.where, contact.struck_by, contact.right_of_way) == ("front", "ego", "agent")
    assert contact.avoidable and contact.at_fault


def test_being_hit_from_behind_is_not():
    # the ego drives at 10 m/s; another comes at 20 m/s
    other = Other(0.0 + 20.0 * T[:51], speed=20.0)
    contact = only(steady(others=[other]))
    assert (contact.where, contact.struck_by, contact.right_of_way) == ("rear", "agent", "ego")
    assert not contact.at_fault
    standing = only(drive(np.full(51, 60.0), np.zeros(51), others=[other]))
    assert not standing.at_fault and standing.where == "rear"


def test_braking_hard_for_nothing_before_a_follower_is():
    accel = np.where(T[:-1] < 1.0, 0.0, -7.0)
    s, v = motion_of(accel, s0=40.0, v0=15.0)
    behind = Other(40.0 - TAIL_M - 2.0 - 8.0 + 15.0 * T, speed=15.0)
    contact = only(drive(s, v, accel=np.r_[accel, 0.0], others=[behind]))
    assert contact.where == "rear" and contact.at_fault
    # the same for somebody who stands in the way
    person = Other(60.0, kind=int(AgentKind.PEDESTRIAN), size=(0.5, 0.5, 1.8))
    contact = next(
        c for c in contacts(drive(s, v, accel=np.r_[accel, 0.0], others=[behind, person]), ROAD) if c.agent == 1
    )
    assert not contact.at_fault


@pytest.mark.parametrize(("margin", "could"), [(0.6, True), (-0.6, False)])
def test_avoidable_means_reaction_time_and_braking_distance(margin, could):
    """Somebody steps onto the road and stands there; the ego, at 12 m/s, needs 12 * 1.0 + 12**2 / (2 * 6) = 24 m."""
    v, need = 12.0, 12.0 * REACTION_S + 12.0**2 / (2.0 * BRAKE_MPS2)
    appears = 20  # state
    nose = 20.0 + v * 0.1 * appears + NOSE_M
    at = nose + need + 0.25 + margin
    lateral = np.where(np.arange(101) < appears, -8.0, 0.0)
    person = Other(at, lateral, 0.0, kind=int(AgentKind.PEDESTRIAN), size=(0.5, 0.5, 1.8))
    rollout = drive(20.0 + v * T, np.full(101, v), others=[person])
    contact = only(rollout)
    assert contact.right_of_way == "ego" and "off a crossing" in contact.why
    assert evident_from(track_of(rollout), ROAD, contact.k, 0) == appears
    assert contact.avoidable is could and contact.at_fault is could


def test_who_comes_out_from_behind_a_truck_is_evident_only_then():
    """The way of a walker is plain from far off, but a parked truck hides him until shortly before the contact."""
    walk = Other(70.0, -6.0 + 1.5 * T, 1.5, np.pi / 2, int(AgentKind.PEDESTRIAN), (0.5, 0.5, 1.8))
    van = Other(65.0, -4.2, kind=int(AgentKind.TRUCK), size=(8.0, 4.0, 3.0))
    late = drive(24.0 + 12.0 * T[:61], np.full(61, 12.0), others=[walk, van])
    clear = drive(24.0 + 12.0 * T[:61], np.full(61, 12.0), others=[walk])
    hidden, seen = contacts(late, ROAD)[0], contacts(clear, ROAD)[0]
    assert hidden.agent == seen.agent == 1 and hidden.k == seen.k
    assert evident_from(track_of(late), ROAD, hidden.k, 0) > evident_from(track_of(clear), ROAD, seen.k, 0) + 5
    assert seen.at_fault and not hidden.at_fault


def test_a_cut_in_is_the_others_fault_and_a_lane_change_the_egos():
    n = 40
    t = T[:n]
    into = -3.5 * np.clip((t - 1.0) / 1.2, 0.0, 1.0)
    cutter = Other(25.0 + 10.0 * t, 3.5 + into, 10.0)
    contact = only(drive(20.0 + 10.0 * t, np.full(n, 10.0), others=[cutter]))
    assert contact.right_of_way == "ego" and not contact.at_fault and contact.where in ("front", "left")
    straight = Other(21.0 + 10.0 * t, -3.5, 10.0)
    contact = only(drive(20.0 + 10.0 * t, np.full(n, 10.0), lateral=into, others=[straight]))
    assert contact.right_of_way == "agent" and contact.at_fault and "moved into" in contact.why


def test_after_a_cut_in_there_is_time_to_open_the_gap():
    """Another moves in 6 m ahead at the same speed and brakes 2 s later: 1 s behind it the ego has been warned."""
    into = 3.5 * np.clip(1.0 - T / 1.2, 0.0, 1.0)
    _, speed = motion_of(np.where(T[:-1] < 3.2, 0.0, -5.0), v0=10.0)
    cutter = Other(20.0 + NOSE_M + 8.0 + np.r_[0.0, np.cumsum(0.1 * speed)[:-1]], into, speed)
    contact = only(drive(20.0 + 10.0 * T, np.full(101, 10.0), others=[cutter]))
    assert contact.where == "front" and contact.avoidable and contact.at_fault


def test_every_contact_counts_in_any_order_of_agents():
    """The judgement of AlpaSim's evaluator depends on the order of actors: only the last contact counts there."""
    ahead, behind = Other(60.0), Other(0.0 + 22.0 * T[:51], speed=22.0)
    for others in ((ahead, behind), (behind, ahead)):
        rollout = steady(others=others)
        found = contacts(rollout, ROAD)
        assert len(found) == 2 and sum(c.at_fault for c in found) == 1
        assert at_fault_collisions(rollout, ROAD).value == 1
    side = Other(60.0, 2.3, size=(8.0, 2.0, 1.5))
    for others in ((ahead, side, behind), (side, behind, ahead)):
        assert at_fault_collisions(steady(lateral=np.linspace(0.0, 0.5, 51), others=others), ROAD).value >= 1


def test_what_may_be_driven_over_is_no_contact():
    for kind, v, hit in ((AgentKind.BALL, 10.0, 0), (AgentKind.POTHOLE, 4.0, 0), (AgentKind.POTHOLE, 10.0, 1)):
        thing = Other(50.0, kind=int(kind), size=(0.6, 0.6, 0.3))
        rollout = steady(n=101, v=v, others=[thing])
        assert len(contacts(rollout, ROAD)) == hit
    assert contacts(rollout, ROAD)[0].at_fault and contacts(rollout, ROAD)[0].right_of_way == ""


def crossing_drive(shown, other_lane, ego_lane):
    """Two cars over one junction, so timed that they meet, on the lanes given."""
    road = build_road("built:four_way")
    own = next(p for p in road.lanes[ego_lane].predecessors)
    rollout = along_lanes(road, (own, ego_lane), shown=shown)
    line = compile_map(road)
    conflict = next(c for c in line.conflicts_of(ego_lane) if c.other == other_lane)
    middle = 0.5 * (conflict.s_m[0] + conflict.s_m[1])
    track = track_of(rollout)
    meet = int(np.argmin(np.hypot(*(np.column_stack([track.x, track.y]) - line.pose(ego_lane, middle)[0][:2]).T)))
    theirs = 0.5 * sum(conflict.other_s_m)
    states = [*(step.state for step in rollout.steps), rollout.final]
    for k, state in enumerate(states):
        s = theirs + (k - meet) * 1.0
        (x, y, _), yaw = line.pose(other_lane, max(s, 0.0))
        back = min(s, 0.0)
        agents = track_agents(x + back * np.cos(yaw), y + back * np.sin(yaw), yaw, other_lane, max(s, 0.0))
        states[k] = dataclasses.replace(state, agents=agents)
    steps = tuple(dataclasses.replace(step, state=state) for step, state in zip(rollout.steps, states, strict=False))
    return dataclasses.replace(rollout, steps=steps, final=states[-1]), road


def track_agents(x, y, yaw, lane, s):
    agents = steady(n=2, others=[(60.0, 0.0, 0.0)]).final.agents
    return dataclasses.replace(
        agents, xyz=np.array([[x, y, 0.0]]), yaw_rad=np.array([yaw]), speed_mps=np.array([10.0]),
        lane=np.array([lane]), s_m=np.array([s]),
    )  # fmt: skip


def yielding_pair():
    """A lane over the junction that has to give way, and the one it gives way to."""
    road = build_road("built:four_way")
    return next((c.lane, c.other) for c in road.conflicts if c.yields and c.kind == "cross")


def test_right_of_way_where_ways_meet_follows_the_map():
    yields, goes = yielding_pair()
    rollout, road = crossing_drive(LightState.GREEN, goes, yields)
    contact = only(rollout, road)
    assert contact.right_of_way == "agent" and "give way" in contact.why and contact.at_fault
    rollout, road = crossing_drive(LightState.GREEN, yields, goes)
    right = right_of_way(rollout, road, contacts(rollout, road)[0].k, 0)
    assert right.who == "ego" and "give way" in right.why


def test_who_runs_a_red_light_has_no_right_of_way():
    yields, goes = yielding_pair()
    rollout, road = crossing_drive(LightState.RED, yields, goes)
    contact = only(rollout, road)
    assert contact.right_of_way == "agent" and "red light" in contact.why and contact.at_fault


def test_nothing_is_avoidable_without_time():
    wall = Other(20.0 + NOSE_M + 5.0, size=(1.0, 6.0, 2.0), kind=int(AgentKind.BARRIER))
    rollout = steady(others=[wall])
    contact = only(rollout)
    assert not avoidable(track_of(rollout), ROAD, contact.k, 0) and not contact.at_fault
