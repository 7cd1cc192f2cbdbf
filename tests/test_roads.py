"""Road queries against closed forms, brute force and each other, on built roads and bundled maps."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.geometry import arc_length, points_in_polygon, project_to_polyline, wrap_angle
from cordillera.types import Lane, LaneKind, RoadMap, Signal, SignalKind, StopLine
from cordillera.world.build import build_road
from cordillera.world.maps import load_map
from cordillera.world.roads import LanePosition, Roads, compile_map
from cordillera.world.roads_areas import is_box_drivable, is_box_drivable_near, is_side_drivable
from cordillera.world.roads_kernels import _segment_cost, find_lane, lane_project_near
from cordillera.world.roads_net import DRIVABLE

BUILT = ("built:curve,radius=30", "built:four_way,lanes=2", "built:roundabout,side=left", "built:merge", "built:rural")
REAL = ("karlsruhe", "kashiwanoha", "town01")
MAPS = {name: compile_map(load_map(name)) for name in (*BUILT, *REAL)}
NAMES = st.sampled_from(sorted(MAPS))
UNIT = st.floats(0.0, 1.0)


def lane_along(xyz, width=3.5, **fields) -> Lane:
    """A lane of constant width along a line (N, 2)."""
    xy = np.asarray(xyz, dtype=float)
    step = np.gradient(xy, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    lines = [np.column_stack([xy + t * normal, np.zeros(len(xy))]) for t in (0.0, 0.5 * width, -0.5 * width)]
    return Lane(fields.pop("id", "lane"), fields.pop("kind", LaneKind.DRIVING), *lines, 13.9, **fields)


def routable(roads: Roads) -> list[int]:
    return np.flatnonzero(roads.net.lanes["routable"]).tolist()


def any_lane(roads: Roads, u: float) -> int:
    lanes = routable(roads)
    return lanes[min(len(lanes) - 1, int(u * len(lanes)))]


def near_road(roads: Roads, rng: np.random.Generator, count: int, aside: float) -> np.ndarray:
    """Random points around lane centres, as x, y, yaw of the lane."""
    lanes = rng.choice(routable(roads), count)
    out = []
    for lane in lanes.tolist():
        xyz, yaw = roads.pose(lane, rng.uniform(0.0, roads.length(lane)))
        out.append((*(xyz[:2] + rng.uniform(-aside, aside, 2)), yaw))
    return np.array(out)


# ----------------------------------------------------------------- Frenet frame


@settings(max_examples=150, deadline=None)
@given(NAMES, UNIT, UNIT, st.floats(-0.9, 0.9))
def test_projection_inverts_offset_points(name, u, v, w):
    roads = MAPS[name]
    lane = any_lane(roads, u)
    s = v * roads.length(lane)
    radius = 1.0 / max(abs(k) for k in (roads.curvature(lane, s + d) for d in (-2.0, 0.0, 2.0)) for k in (k, 1e-3))
    lateral = w * min(2.0, 0.4 * radius)
    xyz, yaw = roads.offset_pose(lane, s, lateral)
    s_back, lateral_back = roads.project(lane, xyz[0], xyz[1])
    # surveyed lines have kinks, where a point has several feet; another foot must then be as near
    again, _ = roads.offset_pose(lane, s_back, lateral_back)
    assert again[:2] == pytest.approx(xyz[:2], abs=1e-6) or abs(lateral_back) < abs(lateral) + 1e-6
    if name.startswith("built"):
        assert (s_back, lateral_back) == pytest.approx((s, lateral), abs=1e-6)
        assert lane_project_near(roads.net, lane, xyz[0], xyz[1], s + 3.0) == pytest.approx((s, lateral), abs=1e-6)
    assert -math.pi <= yaw <= math.pi


@settings(max_examples=100, deadline=None)
@given(NAMES, UNIT, UNIT, st.floats(-4.0, 4.0), st.floats(-4.0, 4.0))
def test_projection_finds_the_foot_that_a_search_over_the_polyline_finds(name, u, v, dx, dy):
    roads = MAPS[name]
    lane = any_lane(roads, u)
    center = roads.map.lanes[lane].center_xyz
    x, y = roads.pose(lane, v * roads.length(lane))[0][:2] + np.array([dx, dy])
    s, lateral = roads.project(lane, x, y)
    s_plain, lateral_plain, _ = project_to_polyline(center, x, y)
    foot = roads.pose(lane, s)[0][:2]
    plain = np.array([np.interp(s_plain, arc_length(center[:, :2]), center[:, k]) for k in (0, 1)])
    distance = math.hypot(*(np.array([x, y]) - plain))
    # headings turn evenly within a segment instead of at its ends: the foot shifts by at most lateral times the turn
    assert math.hypot(*(np.array([x, y]) - foot)) <= distance + 0.35 * abs(lateral) + 1e-6
    if 0.0 < s < roads.length(lane):
        assert abs(lateral) == pytest.approx(math.hypot(*(np.array([x, y]) - foot)), abs=1e-6)
        assert np.sign(lateral) == np.sign(lateral_plain) or distance < 0.1


def test_circle_has_its_radius_length_and_offsets():
    radius, angle = 25.0, np.linspace(0.0, 1.5, 60)
    circle = np.stack([radius * np.sin(angle), radius * (1.0 - np.cos(angle))], axis=1)
    roads = compile_map(RoadMap("circle", "right", "", (lane_along(circle),)))
    assert roads.length(0) == pytest.approx(1.5 * radius, abs=2e-3)
    for s in np.linspace(0.5, 37.0, 20):
        xyz, yaw = roads.pose(0, s)
        assert xyz[:2] == pytest.approx((radius * math.sin(s / radius), radius * (1 - math.cos(s / radius))), abs=5e-3)
        assert yaw == pytest.approx(s / radius, abs=2e-3)
        assert roads.curvature(0, s) == pytest.approx(1.0 / radius, rel=0.01)
        assert roads.width(0, s) == pytest.approx((1.75, 1.75), abs=5e-3)
    inside = (radius - 1.0) * np.array([math.sin(0.7), -math.cos(0.7)]) + (0.0, radius)
    assert roads.project(0, *inside) == pytest.approx((0.7 * radius, 1.0), abs=5e-3)


def test_beyond_the_ends_s_is_clamped_and_the_offset_keeps_its_side():
    roads = compile_map(RoadMap("line", "right", "", (lane_along([[0, 0], [10, 0]]),)))
    assert roads.project(0, -3.0, 1.0) == pytest.approx((0.0, 1.0))
    assert roads.project(0, 14.0, -2.0) == pytest.approx((10.0, -2.0))


def test_lines_with_repeated_points_and_kinks_are_tolerated():
    line = [[0, 0], [0, 0], [5, 0], [5, 0], [5, 5], [5, 5]]
    lane = replace(lane_along([[0, 0], [5, 0], [5, 5]]), center_xyz=np.array([[*p, 0.0] for p in line], dtype=float))
    lane = replace(
        lane, left_xyz=lane.center_xyz + np.array([0, 1.0, 0]), right_xyz=lane.center_xyz - np.array([0, 1.0, 0])
    )
    roads = compile_map(RoadMap("kinked", "right", "", (lane,)))
    assert roads.length(0) == pytest.approx(10.0)
    assert roads.pose(0, 7.5)[0][:2] == pytest.approx((5.0, 2.5))
    empty = compile_map(RoadMap("empty", "right", "", ()))
    assert empty.nearest(0.0, 0.0) is None
    assert not empty.drivable(np.zeros((1, 2))).any()


# ----------------------------------------------------------------- nearest lane


def cost_of(net, i: int, x: float, y: float, yaw: float, use_yaw: bool) -> tuple[float, float]:
    both_ways = net.lanes["bidirectional"][net.points["lane"][i]]
    return _segment_cost(net.points, i, both_ways, x, y, math.nan, math.cos(yaw), math.sin(yaw), use_yaw, math.inf)


@pytest.mark.parametrize("name", sorted(MAPS))
def test_nearest_lane_is_the_cheapest_of_all_segments(name):
    roads, rng = MAPS[name], np.random.default_rng(0)
    net = roads.net
    segments = np.flatnonzero((net.points["lane"] >= 0) & (net.lanes["routable"][net.points["lane"]] == 1))
    for x, y, lane_yaw in near_road(roads, rng, 25, 9.0):
        for use_yaw in (False, True):
            yaw = lane_yaw + rng.normal(0.0, 1.0)
            costs = np.array([cost_of(net, i, x, y, yaw, use_yaw) for i in segments.tolist()])
            costs[costs[:, 1] > 10.0, 0] = np.inf
            lane, s, _, distance = find_lane(net, x, y, math.nan, yaw, use_yaw, 10.0)
            if not np.isfinite(costs[:, 0]).any():
                assert lane == -1
                continue
            best = costs[:, 0].min()
            ties = net.points["lane"][segments[costs[:, 0] == best]]
            assert lane == ties.min()
            assert distance in costs[costs[:, 0] == best, 1]
            assert 0.0 <= s <= roads.length(lane)


@settings(max_examples=200, deadline=None)
@given(NAMES, UNIT, UNIT, st.floats(-1.4, 1.4), st.floats(-1.5, 1.5))
def test_a_lane_that_holds_the_point_and_runs_along_beats_those_that_run_against(name, u, v, aside, turn):
    roads = MAPS[name]
    lane = any_lane(roads, u)
    xyz, yaw = roads.offset_pose(lane, v * roads.length(lane), aside)
    found = roads.nearest(xyz[0], xyz[1], yaw + turn)
    assert found is not None
    holding = [i for i in roads.inside_lanes(xyz[0], xyz[1]) if i in routable(roads)]
    along = [i for i in holding if abs(wrap_angle(yaw + turn - heading(roads, i, xyz))) < 1.5]
    if along:
        assert abs(found.yaw_error_rad) < 0.5 * math.pi + 0.05 or roads.map.lanes[found.lane].bidirectional


def heading(roads: Roads, lane: int, xyz) -> float:
    return roads.pose(lane, roads.project(lane, xyz[0], xyz[1])[0])[1]


def test_nearest_tells_levels_apart_and_respects_the_distance():
    low, high = lane_along([[-50, 0], [50, 0]], id="low"), lane_along([[0, -50], [0, 50]], id="high")
    lines = {name: getattr(high, name) + np.array([0, 0, 6.0]) for name in ("center_xyz", "left_xyz", "right_xyz")}
    roads = compile_map(RoadMap("bridge", "right", "", (low, replace(high, **lines))))
    assert roads.nearest(0.3, 0.3, math.pi / 4, z=0.0).lane == 0
    assert roads.nearest(0.3, 0.3, math.pi / 4, z=6.0).lane == 1
    assert roads.nearest(20.0, 9.9).distance_m == pytest.approx(9.9)
    assert roads.nearest(20.0, 10.1) is None
    assert roads.nearest(20.0, 10.1, max_distance_m=11.0).lane == 0
    assert roads.nearest(math.nan, 0.0) is None


def test_many_at_once_equals_one_at_a_time():
    roads, rng = MAPS["town01"], np.random.default_rng(3)
    points = near_road(roads, rng, 40, 6.0)
    lane, s, lateral = roads.nearest_many(points[:, :2], points[:, 2])
    for k, (x, y, yaw) in enumerate(points):
        one = roads.nearest(x, y, yaw)
        assert (one.lane if one else -1) == lane[k]
        if one:
            assert (one.s_m, one.lateral_m) == (s[k], lateral[k])


# ------------------------------------------------------------------------ areas


@pytest.mark.parametrize("name", sorted(MAPS))
def test_drivable_area_is_the_union_of_vehicle_lanes(name):
    roads, rng = MAPS[name], np.random.default_rng(1)
    points = near_road(roads, rng, 300, 8.0)[:, :2]
    inside = np.zeros(len(points), dtype=bool)
    border = np.full(len(points), np.inf)
    for lane in roads.map.lanes:
        if lane.kind not in DRIVABLE:
            continue
        outline = np.concatenate([lane.left_xyz, lane.right_xyz[::-1]])[:, :2]
        inside |= points_in_polygon(points, outline)
        border = np.minimum(border, outline_distance(points, outline))
    clear = border > 0.06
    assert clear.mean() > 0.7
    found = roads.drivable(points)
    assert found[clear & inside].all()
    strays = points[clear & ~inside & found]
    assert len(roads.net.gaps) or not len(strays)
    for x, y in strays:  # gaps inside junctions: lanes on all sides, none farther than the widest gap
        around = [(x + 3.5 * math.cos(a), y + 3.5 * math.sin(a)) for a in np.linspace(0.0, 2 * math.pi, 16)]
        assert roads.drivable(np.array(around)).mean() > 0.4


def outline_distance(points, outline):
    best = np.full(len(points), np.inf)
    for a, b in pairwise(np.concatenate([outline, outline[:1]])):
        step = b - a
        t = np.clip((points - a) @ step / max(float(step @ step), 1e-18), 0.0, 1.0)
        best = np.minimum(best, np.hypot(*(points - a - t[:, None] * step).T))
    return best


def test_a_gap_between_junction_lanes_is_road_and_an_island_is_not():
    def ring(size: float) -> RoadMap:
        half = 0.5 * size + 1.5
        corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
        sides = []
        for k in range(4):
            a, b = corners[k], corners[(k + 1) % 4]
            along = 1.5 * (b - a) / np.hypot(*(b - a))
            sides.append(lane_along([a - along, b + along], 3.0, id=str(k), junction="j"))
        return RoadMap("ring", "right", "", tuple(sides))

    assert compile_map(ring(2.4)).drivable(np.zeros((1, 2))).all()
    assert not compile_map(ring(4.0)).drivable(np.zeros((1, 2))).any()
    assert not compile_map(ring(2.4)).drivable(np.array([[10.0, 0.0], [1e9, 0.0], [math.nan, 0.0]])).any()


def test_boxes_leave_the_road_by_their_corners():
    roads = MAPS["built:curve,radius=30"]
    xyz, yaw = roads.pose(0, 50.0)
    assert roads.box_drivable(xyz[0], xyz[1], yaw, 4.8, 2.0)
    assert not roads.box_drivable(xyz[0], xyz[1] - 1.2, yaw, 4.8, 2.0)
    assert not roads.box_drivable(xyz[0], xyz[1], yaw + 1.2, 4.8, 2.0)
    assert roads.inside_lanes(xyz[0], xyz[1]) == [0]
    assert roads.inside_lanes(xyz[0], xyz[1] + 3.5) == [1]


# ----------------------------------------------------------------------- routes


def lane_named(roads: Roads, name: str) -> int:
    return next(k for k, lane in enumerate(roads.map.lanes) if lane.id == name)


def test_route_takes_the_turn_and_changes_lanes_in_time():
    roads = MAPS["built:four_way,lanes=2"]
    start = lane_named(roads, "arm2:backward:driving:1")  # rightmost lane, towards +x
    goal = lane_named(roads, "arm1:forward:driving:0")
    route = roads.route(LanePosition(start, 10.0, 0.0), goal, 50.0)
    assert [roads.map.lanes[i].id for i in route.lanes] == [
        "arm2:backward:driving:1", "arm2:backward:driving:0", "junction:2-1:0", "arm1:forward:driving:0",
    ]  # fmt: skip
    assert (route.command, route.text) == ("change-left", "Change to the left lane")
    assert roads.instruction(route.lanes[1:], 80.0, 50.0) == ("left", "Turn left in 40 m")
    assert roads.instruction(route.lanes[3:], 0.0, 50.0) == ("arrive", "You arrive in 50 m")
    assert roads.instruction(route.lanes[2:3], 0.0, 500.0) == ("follow", "Follow the road")
    assert route.xyz[0] == pytest.approx(roads.pose(start, 10.0)[0])
    assert route.xyz[-1] == pytest.approx(roads.pose(goal, 50.0)[0], abs=1e-6)


@pytest.mark.parametrize("name", ["town01", "kashiwanoha"])
def test_route_cost_equals_relaxation_over_all_edges(name):
    """Bellman-Ford over the same edges, without priority queue or early end."""
    roads, rng = MAPS[name], np.random.default_rng(2)
    lanes, length = routable(roads), roads.net.lanes["length"]
    start = int(rng.choice(lanes))
    cost = np.full(len(length), np.inf)
    cost[start] = 0.0
    for _ in range(len(lanes)):
        before = cost.copy()
        for i in lanes:
            lane = roads.map.lanes[i]
            for j in lane.successors:
                if j in lanes:
                    cost[j] = min(cost[j], cost[i] + length[i])
            for j, may in ((lane.left, lane.change_left), (lane.right, lane.change_right)):
                if may and j in lanes:
                    cost[j] = min(cost[j], cost[i] + 20.0 + max(0.0, 60.0 - length[i]))
        if np.array_equal(before, cost):
            break
    for goal in rng.choice(lanes, 25).tolist():
        if not np.isfinite(cost[goal]):
            with pytest.raises(ValueError, match="no route from lane"):
                roads.route(LanePosition(start, 0.0, 0.0), goal, 0.0)
            continue
        found = roads.route(LanePosition(start, 0.0, 0.0), goal, 0.0).lanes
        total = 0.0
        for a, b in pairwise(found):
            beside = b in (roads.map.lanes[a].left, roads.map.lanes[a].right)
            total += 20.0 + max(0.0, 60.0 - length[a]) if beside else length[a]
        assert total == pytest.approx(cost[goal])


def test_a_goal_behind_the_start_is_reached_around_the_block():
    roads = MAPS["town01"]
    lane = next(i for i in routable(roads) if roads.length(i) > 100.0)
    ahead = roads.route(LanePosition(lane, 20.0, 0.0), lane, 80.0)
    around = roads.route(LanePosition(lane, 80.0, 0.0), lane, 20.0)
    assert ahead.lanes == (lane,)
    assert arc_length(ahead.xyz)[-1] == pytest.approx(60.0, abs=0.5)
    assert around.lanes[0] == around.lanes[-1] == lane
    assert len(around.lanes) > 2


def test_routes_that_cannot_be_say_why():
    roads = MAPS["built:curve,radius=30"]
    walk = next(k for k, lane in enumerate(roads.map.lanes) if lane.kind is LaneKind.SIDEWALK)
    with pytest.raises(ValueError, match=r"no route from lane 'road:forward:driving:0' .* only 1 of 2 driving lanes"):
        roads.route(LanePosition(0, 0.0, 0.0), 1, 10.0)
    with pytest.raises(ValueError, match="is a sidewalk lane"):
        roads.route(LanePosition(0, 0.0, 0.0), walk, 10.0)
    with pytest.raises(ValueError, match=r"goal: s = 9999\.00 m is not on lane"):
        roads.route(LanePosition(0, 0.0, 0.0), 0, 9999.0)
    with pytest.raises(ValueError, match="start: lane 77 is not one of the 4 lanes"):
        roads.route(LanePosition(77, 0.0, 0.0), 0, 0.0)
    with pytest.raises(ValueError, match="neither follows lane"):
        roads.route_line((0, walk), 0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(NAMES, UNIT, st.integers(0, 1000))
def test_wandering_follows_links_is_repeatable_and_long_enough(name, u, seed):
    roads = MAPS[name]
    start = LanePosition(any_lane(roads, u), 0.0, 0.0)
    route = roads.wander(start, 400.0, seed)
    assert route.lanes == roads.wander(start, 400.0, seed).lanes
    for a, b in pairwise(route.lanes):
        lane = roads.map.lanes[a]
        beside = [lane.left] * lane.change_left + [lane.right] * lane.change_right
        assert b in lane.successors or b in beside
    last = roads.map.lanes[route.lanes[-1]]
    dead_end = not any(roads.net.lanes["routable"][i] for i in last.successors)
    assert dead_end or arc_length(route.xyz)[-1] > 380.0


@settings(max_examples=40, deadline=None)
@given(NAMES, UNIT, st.integers(0, 1000))
def test_route_lines_are_smooth_even_and_on_the_road(name, u, seed):
    roads = MAPS[name]
    route = roads.wander(LanePosition(any_lane(roads, u), 0.0, 0.0), 300.0, seed)
    line = roads.route_line(route.lanes, 0.0, roads.length(route.lanes[-1]))
    step = np.diff(line[:, :2], axis=0)
    length = np.hypot(*step.T)
    assert length == pytest.approx(np.full(len(length), length.mean()), abs=0.03)
    assert 0.5 < length.mean() <= 1.001 or len(line) < 4
    turn = np.abs(wrap_angle(np.diff(np.arctan2(step[:, 1], step[:, 0]))))
    assert turn.max(initial=0.0) < (0.25 if name.startswith("built") else 0.6)
    assert roads.drivable(line[:, :2]).mean() > 0.99


def test_lane_changes_take_the_room_there_is():
    road = compile_map(build_road("straight,lanes=2,length=300,speed=50"))
    line = road.route_line((0, 1), 20.0, 280.0)
    lateral = line[:, 1] + 1.75  # from the left lane's centre to the right: 0 .. -3.5
    moving = line[(lateral < -0.02) & (lateral > -3.48), 0]
    assert 40.0 < np.ptp(moving) < 65.0  # 4.5 s at 50 km/h, its ends hardly visible
    assert moving.mean() == pytest.approx(150.0, abs=1.5)
    assert np.diff(lateral).max() < 1e-3
    assert np.abs(np.diff(lateral)).max() < 1.875 * 3.5 / 62.5 + 0.002  # the steepest slope of the quintic
    short = road.route_line((0, 1), 140.0, 160.0)
    assert short[0, 1] == pytest.approx(-1.75)
    assert short[-1, 1] == pytest.approx(-5.25)
    there_and_back = road.route_line((0, 1, 0), 0.0, 300.0)
    assert there_and_back[:, 1].min() == pytest.approx(-5.25, abs=0.01)
    assert there_and_back[-1, 1] == pytest.approx(-1.75)


def test_smoothing_keeps_curves_in_place():
    roads = MAPS["built:four_way,lanes=2"]
    lanes = tuple(lane_named(roads, n) for n in ("arm2:backward:driving:1", "junction:2-3:1", "arm3:forward:driving:1"))
    line = roads.route_line(lanes, 60.0, 60.0)
    off = [min(abs(roads.project(lane, x, y)[1]) for lane in lanes) for x, y, _ in line]
    assert max(off) < 0.12  # right turn of 7.75 m radius that begins at once


# ------------------------------------------------------------------------ rules


def test_lights_are_found_on_the_approach_at_the_painted_line():
    roads = MAPS["built:four_way,lanes=2"]
    for arm in range(4):
        for k in (0, 1):
            lane = lane_named(roads, f"arm{arm}:backward:driving:{k}")
            (rule,) = roads.regulations(lane)
            assert rule.kind is SignalKind.TRAFFIC_LIGHT
            assert roads.map.signals[rule.signal].id == f"arm{arm}:light"
            assert rule.s_m == pytest.approx(roads.length(lane) - 5.0, abs=0.05)
            assert rule.for_lane == -1
        assert not roads.regulations(lane_named(roads, f"arm{arm}:forward:driving:0"))
    assert not any(roads.regulations(i) for i, lane in enumerate(roads.map.lanes) if lane.junction)


def branching(signal: dict, line_x: float | None) -> Roads:
    """An approach of 50 m along +x that leads into two ways over a junction, and a light for the first of them."""
    approach = lane_along([[0, 0], [50, 0]], id="approach", successors=(1, 2))
    ahead = lane_along([[50, 0], [80, 0]], id="ahead", junction="j", predecessors=(0,))
    bend = lane_along([[50, 0], [60, 2], [70, 10]], id="bend", junction="j", predecessors=(0,), turn="left")
    lines = () if line_x is None else (StopLine("line", np.array([[line_x, -2.0, 0], [line_x, 2.0, 0]]), (0,)),)
    light = Signal("light", SignalKind.TRAFFIC_LIGHT, np.array([52.0, -4.0, 3.0]), math.pi, **signal)
    return compile_map(RoadMap("branch", "right", "", (approach, ahead, bend), stop_lines=lines, signals=(light,)))


def test_a_light_for_one_way_of_two_is_meant_for_that_way_only():
    roads = branching({"lanes": (1,), "stop_lines": (0,)}, 46.0)
    (rule,) = roads.regulations(0)
    assert (rule.s_m, rule.stop_line, rule.for_lane) == (pytest.approx(46.0), 0, 1)
    assert not roads.regulations(1)
    (rule,) = branching({"lanes": (1, 2), "stop_lines": (0,)}, 46.0).regulations(0)
    assert rule.for_lane == -1
    (rule,) = branching({"lanes": (0,), "stop_lines": (0,)}, 46.0).regulations(0)
    assert (rule.s_m, rule.for_lane) == (pytest.approx(46.0), -1)


def test_without_a_line_one_waits_before_the_junction_and_a_line_inside_holds_there():
    (rule,) = branching({"lanes": (2,)}, None).regulations(0)
    assert (rule.s_m, rule.stop_line, rule.for_lane) == (pytest.approx(50.0), -1, 2)
    inside = branching({"lanes": (1,), "stop_lines": (0,)}, 53.0)
    assert not inside.regulations(0)
    (rule,) = inside.regulations(1)
    assert rule.s_m == pytest.approx(3.0)
    # a line where the way over the junction ends stops nobody there
    (rule,) = branching({"lanes": (1,), "stop_lines": (0,)}, 79.9).regulations(0)
    assert (rule.s_m, rule.stop_line) == (pytest.approx(50.0), -1)


@pytest.mark.parametrize("name", REAL)
def test_every_light_of_a_real_map_holds_someone_before_a_junction(name):
    roads = MAPS[name]
    held = {rule.signal for i in range(len(roads.map.lanes)) for rule in roads.regulations(i)}
    for k, signal in enumerate(roads.map.signals):
        if signal.kind is SignalKind.TRAFFIC_LIGHT and signal.lanes:
            assert k in held, signal.id
    for i in range(len(roads.map.lanes)):
        rules = roads.regulations(i)
        assert [rule.s_m for rule in rules] == sorted(rule.s_m for rule in rules)
        assert all(0.0 <= rule.s_m <= roads.length(i) for rule in rules)


def test_speed_limits_change_at_the_sign():
    lane = lane_along([[0, 0], [100, 0]])
    sign = Signal("30", SignalKind.SPEED_LIMIT, np.array([40.0, -3.0, 2.0]), math.pi, (0,), value=8.0)
    roads = compile_map(RoadMap("limits", "right", "", (lane,), signals=(sign,)))
    assert [roads.speed_limit(0, s) for s in (0.0, 39.9, 40.1, 100.0)] == [13.9, 13.9, 8.0, 8.0]


def test_crossings_and_conflicts_stand_on_their_lanes():
    roads = MAPS["built:four_way,lanes=2"]
    lane = lane_named(roads, "arm0:backward:driving:0")
    ((crossing, s0, s1),) = roads.crossings_on(lane)
    assert roads.map.crossings[crossing].id == "arm0:crossing"
    end = roads.length(lane)
    assert (s0, s1) == (pytest.approx(end - 4.0, abs=0.26), pytest.approx(end - 1.0, abs=0.26))
    for i in range(len(roads.map.lanes)):
        mine = [c for c in roads.map.conflicts if c.lane == i]
        assert [(c.other, c.kind, c.s_m, c.yields) for c in roads.conflicts_of(i)] == [
            (c.other, c.kind, c.s_m, c.yields) for c in mine
        ]


def test_compiling_is_done_once_a_map():
    road_map = build_road("straight")
    assert compile_map(road_map).net is compile_map(road_map).net
    assert compile_map(build_road("straight")).net is not compile_map(road_map).net


@settings(max_examples=200, deadline=None)
@given(
    name=NAMES, u=UNIT, along=UNIT, aside=st.floats(-6.0, 6.0), turn=st.floats(-3.2, 3.2), length=st.floats(0.5, 15.0)
)
def test_a_box_is_drivable_alike_with_and_without_a_segment_near_and_where_both_sides_are(
    name, u, along, aside, turn, length
):
    roads = MAPS[name]
    lane = any_lane(roads, u)
    s = along * roads.net.lanes[lane]["length"]
    (x, y, _), yaw = roads.pose(lane, s)
    box = (x - aside * math.sin(yaw), y + aside * math.cos(yaw), yaw + turn, length, 2.0)
    first, end = roads.net.pt_ptr[lane], roads.net.pt_ptr[lane + 1]
    segment = min(int(np.searchsorted(roads.net.points["s"][first:end], s)) + first, end - 2)
    drivable = is_box_drivable(roads.net, *box)
    assert is_box_drivable_near(roads.net, *box, lane, segment) == drivable
    sides = [is_side_drivable(roads.net, *box, side) for side in (1.0, -1.0)]
    assert all(sides) or not drivable
