"""Conflicts, their intervals, turns and priority, on lanes that one can draw by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cordillera.types import Lane, LaneKind, RoadMap, Signal, SignalKind
from cordillera.world.topology import finish, heading_change, meetings, turn_of
from cordillera.world.topology_overlap import INSET_M

WIDTH_M = 3.0


def lane(
    name: str, points, kind: LaneKind = LaneKind.DRIVING, width_m: float = WIDTH_M, z: float = 0.0, **fields
) -> Lane:
    """A lane along points, mitred at corners."""
    line = np.array(points, dtype=float)
    step = np.diff(line, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    mean = np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    lean = np.concatenate([[1.0], np.einsum("ij,ij->i", mean[1:-1], step[1:]), [1.0]])
    normal = np.column_stack([-mean[:, 1], mean[:, 0]]) * (0.5 * width_m / lean)[:, None]
    high = np.full((len(line), 1), z)
    lines = [np.hstack([p, high]) for p in (line, line + normal, line - normal)]
    return Lane(name, kind, *lines, speed_limit_mps=13.9, **fields)


def arc(center, radius_m: float, start_deg: float, end_deg: float):
    angle = np.radians(np.linspace(start_deg, end_deg, 33))
    return np.column_stack([center[0] + radius_m * np.cos(angle), center[1] + radius_m * np.sin(angle)])


def done(*lanes: Lane, side: str = "right", region: str = "", signals=(), yields=frozenset()) -> RoadMap:
    return finish(RoadMap("hand", side, region, tuple(lanes), signals=tuple(signals)), frozenset(yields))


def waiting(road_map: RoadMap) -> list[str]:
    return [road_map.lanes[c.lane].id for c in road_map.conflicts if c.yields]


EAST = [(-30, 0), (30, 0)]
NORTH = [(0, -20), (0, 40)]
WEST = [(30, 4), (-30, 4)]


def test_square_crossing_has_the_interval_of_the_drawn_in_areas():
    road_map = done(lane("east", EAST), lane("north", NORTH))
    half = 0.5 * WIDTH_M - INSET_M
    first, second = road_map.conflicts
    assert (first.lane, first.other, second.lane, second.other) == (0, 1, 1, 0)
    assert first.kind == second.kind == "cross"
    assert first.s_m == pytest.approx((30 - half, 30 + half)) == second.other_s_m
    assert second.s_m == pytest.approx((20 - half, 20 + half)) == first.other_s_m


def test_slanted_crossing():
    angle = math.radians(30.0)
    far = (60 * math.cos(angle), 60 * math.sin(angle))
    road_map = done(lane("east", EAST), lane("slant", [(-far[0], -far[1]), far]))
    half = 0.5 * WIDTH_M - INSET_M
    reach = half / math.sin(angle) + half / math.tan(angle)
    assert road_map.conflicts[0].s_m == pytest.approx((30 - reach, 30 + reach))


def test_lanes_that_touch_follow_or_lie_above_do_not_conflict():
    assert not done(lane("a", EAST), lane("b", [(-30, 3), (30, 3)])).conflicts
    assert not done(lane("a", EAST, successors=(1,)), lane("b", [(30, 0), (60, 0)], predecessors=(0,))).conflicts
    assert not done(lane("low", EAST), lane("bridge", NORTH, z=5.0)).conflicts
    assert not done(lane("road", EAST), lane("walk", NORTH, kind=LaneKind.SIDEWALK)).conflicts


def test_merge_and_diverge_reach_to_their_common_end():
    straight, turn = lane("straight", [(0, 0), (20, 0)]), lane("turn", arc((0, 20), 20, -90, 0))
    fork = done(straight, turn)
    assert [c.kind for c in fork.conflicts] == ["diverge", "diverge"] and not waiting(fork)
    assert fork.conflicts[0].s_m[0] == pytest.approx(0.0)
    half = 0.5 * WIDTH_M - INSET_M  # they part where the turn's right border leaves the straight lane's left one
    assert fork.conflicts[0].s_m[1] == pytest.approx(math.sqrt((20 + half) ** 2 - (20 - half) ** 2), abs=0.1)
    back = [lane(e.id, e.center_xyz[::-1, :2]) for e in (straight, turn)]
    join = done(*back)
    assert [c.kind for c in join.conflicts] == ["merge", "merge"]
    assert waiting(join) == ["straight"]  # the turning lane comes from its right
    assert join.conflicts[0].s_m[1] == pytest.approx(20.0)
    assert join.conflicts[0].s_m[0] == pytest.approx(20.0 - fork.conflicts[0].s_m[1], abs=1e-6)


def test_each_pair_has_one_row_in_each_order_and_one_waits():
    road_map = done(lane("a", EAST), lane("b", NORTH), lane("c", [(-30, -20), (30, 40)]), lane("d", WEST))
    pairs = [(c.lane, c.other) for c in road_map.conflicts]
    assert len(pairs) == len(set(pairs)) and pairs == sorted(pairs)
    rows = {(c.lane, c.other): c for c in road_map.conflicts}
    assert all(rows[b, a].yields != row.yields for (a, b), row in rows.items())
    assert all(rows[b, a].s_m == row.other_s_m for (a, b), row in rows.items())


# -------------------------------------------------------------------- priority


@pytest.mark.parametrize(
    ("side", "region", "first"),
    [
        ("right", "", "north"),
        ("right", "DE", "north"),
        ("left", "JP", "east"),
        ("left", "", "east"),
        ("left", "GB", "north"),
    ],
)
def test_priority_to_the_side_of_the_country(side, region, first):
    """Northbound traffic comes from the right of eastbound traffic."""
    road_map = done(lane("east", EAST), lane("north", NORTH), side=side, region=region)
    assert waiting(road_map) == [{"east": "north", "north": "east"}[first]]


@pytest.mark.parametrize("kind", [SignalKind.STOP, SignalKind.GIVE_WAY])
def test_signs_before_the_junction_beat_the_priority_rule(kind):
    sign = Signal("s", kind, np.zeros(3), 0.0, (0,))
    lanes = [
        lane("approach", [(0, -40), (0, -20)], successors=(1,)),
        lane("north", NORTH, junction="j", predecessors=(0,)),
        lane("east", EAST, junction="j"),
    ]
    assert waiting(done(*lanes, signals=[sign])) == ["north"]
    assert waiting(done(*lanes)) == ["east"]


def test_priority_sign_beats_no_sign_and_named_pairs_beat_signs():
    sign = Signal("s", SignalKind.PRIORITY, np.zeros(3), 0.0, (0,))
    lanes = [lane("east", EAST), lane("north", NORTH)]
    assert waiting(done(*lanes, signals=[sign])) == ["north"]
    assert waiting(done(*lanes, signals=[sign], yields={(0, 1)})) == ["east"]
    assert waiting(done(*lanes, signals=[sign], yields={(0, 1), (1, 0)})) == ["north"]  # contradictory: signs decide


@pytest.mark.parametrize(("side", "mirror"), [("right", 1.0), ("left", -1.0)])
def test_turn_across_oncoming_traffic_waits(side, mirror):
    def at(points):
        return [(x, mirror * y) for x, y in points]

    turn = lane("turn", at(arc((-10, 10), 10, -90, 0)), junction="j")  # comes from the west, leaves to the north
    through = lane("through", at([(20, 4), (-20, 4)]), junction="j")
    road_map = done(turn, through, side=side)
    assert road_map.lanes[0].turn == ("left" if side == "right" else "right")
    assert waiting(road_map) == ["turn"]


def test_trams_go_first_and_u_turns_last():
    assert waiting(done(lane("tram", EAST, kind=LaneKind.RAIL), lane("car", NORTH))) == ["car"]
    loop = np.concatenate([[(-20.0, -6.0)], arc((0, -3), 3, -90, 90), [(-20.0, 0.0)]])
    road_map = done(lane("back", loop, junction="j"), lane("through", [(20, 0), (-20, 0)], junction="j"))
    assert road_map.lanes[0].turn == "u-turn" and waiting(road_map) == ["back"]


def test_cycle_path_waits_for_the_road_but_not_for_turning_cars():
    path = lane("path", NORTH, kind=LaneKind.BIKING)
    assert waiting(done(path, lane("road", EAST))) == ["path"]
    turning = lane("road", [(-12, 5), (-6, 5), (0, 8), (6, 14)], junction="j")
    assert waiting(done(path, turning)) == ["road"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_roundabout_traffic_goes_first(side):
    """Four quarters of a circle of 12 m radius; the entry comes from its kerb side, from where priority is due."""
    mirror = 1.0 if side == "right" else -1.0
    quarters = [
        lane(
            f"circle{k}",
            arc((0, 0), 12, 90 * k, 90 * k + 90) * [1, mirror],
            successors=((k + 1) % 4,),
            predecessors=((k - 1) % 4,),
            junction="j",
        )
        for k in range(4)
    ]
    entry = lane(
        "entry", np.array([(22, 2), (17, 6), (14, 10), (12 * math.cos(1.2), 12 * math.sin(1.2))]) * [1, mirror]
    )
    assert set(waiting(done(*quarters, entry, side=side))) == {"entry"}


# ----------------------------------------------------------------------- turns


@pytest.mark.parametrize(("end_deg", "turn"), [(-70, "straight"), (-30, "left"), (0, "left"), (85, "u-turn")])
def test_turn_by_change_of_heading(end_deg, turn):
    bent = lane("bent", arc((0, 10), 10, -90, end_deg))
    assert turn_of(bent) == turn
    assert heading_change(bent.center_xyz) == pytest.approx(math.radians(end_deg + 90), abs=0.1)
    assert turn_of(lane("mirrored", arc((0, 10), 10, -90, end_deg) * [1, -1])) == turn.replace("left", "right")


def test_written_turns_stay_and_roads_outside_junctions_go_straight():
    bend = arc((0, 10), 10, -90, 0)
    kept = done(lane("a", bend, turn="right", junction="j"), lane("b", bend + 50, turn=""), lane("c", bend - 50))
    assert [e.turn for e in kept.lanes] == ["right", "straight", "straight"]


def test_many_lanes_take_a_moment_only():
    """A grid of 40 x 40 crossing roads: 1600 crossings of 80 lanes, all found."""
    east = [lane(f"e{k}", [(-10, 10 * k), (410, 10 * k)]) for k in range(40)]
    north = [lane(f"n{k}", [(10 * k, -10), (10 * k, 410)]) for k in range(40)]
    assert len(meetings((*east, *north))) == 1600
