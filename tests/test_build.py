"""Built roads: exact geometry, complete links and rules, mirror images, and a grammar that explains its errors."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordillera.geometry import wrap_angle
from cordillera.types import LaneKind, RoadMap, SignalKind
from cordillera.world.build import KINDS, build_road, parse_road
from cordillera.world.build_shapes import Curve, eased, end_pose, fillet, offset_line
from cordillera.world.build_spec import canonical
from cordillera.world.roads import LanePosition, compile_map

SPECS = (
    "straight", "straight,lanes=3,edge=shoulder,crossing=yes", "curve,radius=20,turn=right", "curve,angle=180,lanes=2",
    "t_junction", "t_junction,control=signals,lanes=2", "four_way", "four_way,control=stop,crossings=no",
    "four_way,lanes=3,corner=12", "roundabout", "roundabout,arms=3,radius=25", "roundabout,arms=6,radius=40",
    "merge", "merge,lanes=3,speed=120", "work_zone", "work_zone,lanes=2,shift=1", "rural", "rural,radius=60,rise=15",
)  # fmt: skip
DRIVABLE = (LaneKind.DRIVING, LaneKind.BUS)


def driving(road_map: RoadMap):
    return [(k, lane) for k, lane in enumerate(road_map.lanes) if lane.kind in DRIVABLE]


def ends(lane, at: int) -> tuple[np.ndarray, float]:
    step = lane.center_xyz[1] - lane.center_xyz[0] if at == 0 else lane.center_xyz[-1] - lane.center_xyz[-2]
    return lane.center_xyz[at], math.atan2(step[1], step[0])


# --------------------------------------------------------------------- geometry


def test_curve_of_line_and_arc_has_its_closed_form():
    curve = Curve(1.0, 2.0, 0.0, ((10.0, 0.0, 0.0), (20.0 * math.pi / 2, 0.05, 0.05)))
    x, y, yaw = end_pose(curve)
    assert (x, y, yaw) == pytest.approx((31.0, 22.0, math.pi / 2), abs=1e-9)
    assert curve.frames([5.0])[0] == pytest.approx((6.0, 2.0, 0.0, 0.0))
    middle = curve.frames([10.0 + 10.0 * math.pi / 2])[0]
    assert middle[:2] == pytest.approx((11.0 + 20.0 * math.sin(math.pi / 4), 22.0 - 20.0 * math.cos(math.pi / 4)))


def test_clothoid_agrees_with_the_fresnel_integrals():
    fresnel = pytest.importorskip("scipy.special").fresnel
    length, k = 80.0, 0.03
    scale = math.sqrt(math.pi * length / k)
    for s in (10.0, 45.0, 80.0):
        sine, cosine = fresnel(s / scale)
        frame = Curve(0.0, 0.0, 0.0, ((length, 0.0, k),)).frames([s])[0]
        assert frame == pytest.approx((scale * cosine, scale * sine, 0.0, 0.5 * k * s * s / length), abs=1e-9)


@given(st.floats(15.0, 400.0), st.floats(0.1, 3.0), st.booleans(), st.floats(1.0, 80.0))
def test_eased_bends_turn_by_the_angle_without_a_jump_of_curvature(radius, angle, left, ease):
    signed = angle if left else -angle
    pieces = eased(radius, signed, ease)
    assert end_pose(Curve(0.0, 0.0, 0.0, pieces))[2] == pytest.approx(signed)
    assert pieces[0][1] == pieces[2][2] == 0.0
    assert pieces[0][2] == pieces[1][1] == pieces[1][2] == pieces[2][1]
    assert all(piece[0] > 0.0 for piece in pieces)


@given(st.floats(-3.0, 3.0), st.floats(5.0, 60.0), st.floats(5.0, 60.0), st.floats(-2.8, 2.8))
def test_fillet_leads_from_pose_to_pose(yaw, before, after, turn):
    if abs(turn) < 0.05:
        return
    corner = before * np.array([math.cos(yaw), math.sin(yaw)])
    end = corner + after * np.array([math.cos(yaw + turn), math.sin(yaw + turn)])
    curve = fillet((0.0, 0.0, yaw), (*end, yaw + turn))
    x, y, out = end_pose(curve)
    assert (x, y) == pytest.approx(tuple(end), abs=1e-6)
    assert wrap_angle(out - yaw - turn) == pytest.approx(0.0, abs=1e-9)


def test_fillet_says_when_there_is_no_way():
    with pytest.raises(ValueError, match="no turn leads from"):
        fillet((0.0, 0.0, 0.0), (-10.0, 5.0, math.pi / 2))


@settings(max_examples=60, deadline=None)
@given(st.floats(10.0, 800.0), st.floats(-10.0, 10.0), st.floats(0.0, 15.0))
def test_sampled_lines_stay_within_5_mm_of_the_true_ones(radius, offset, rise):
    if radius + offset < 3.0:
        return
    curve = Curve(3.0, -2.0, 0.4, ((20.0, 0.0, -1 / radius), (40.0, -1 / radius, -1 / radius)), rise, 300.0)
    line = offset_line(curve.frames(curve.stations(10.0)), offset)
    true = offset_line(curve.frames(np.linspace(0.0, curve.length, 1200)), offset)
    errors = np.full(len(true), np.inf)
    for a, b in pairwise(line):
        t = np.clip((true - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        errors = np.minimum(errors, np.linalg.norm(true - a - t[:, None] * (b - a), axis=1))
    assert errors.max() < 0.005


# --------------------------------------------------------------- complete maps


@pytest.mark.parametrize("spec", SPECS)
def test_links_join_end_to_end_in_both_directions(spec):
    road_map = build_road(spec)
    joined = 0
    for k, lane in driving(road_map):
        for other in lane.successors:
            joined += 1
            after = road_map.lanes[other]
            assert k in after.predecessors
            (p, yaw), (q, yaw_after) = ends(lane, -1), ends(after, 0)
            assert p == pytest.approx(q, abs=1e-6)
            assert abs(wrap_angle(yaw_after - yaw)) < 0.12  # chords of the sampled arcs on both sides
            for side in ("left_xyz", "right_xyz"):
                assert getattr(lane, side)[-1] == pytest.approx(getattr(after, side)[0], abs=1e-6)
        for other in lane.predecessors:
            assert k in road_map.lanes[other].successors
    assert joined or spec.startswith(("straight", "curve", "rural"))


@pytest.mark.parametrize("spec", SPECS)
def test_lanes_have_their_width_and_stand_beside_their_neighbours(spec):
    road_map = build_road(spec)
    width = parse_road(spec)[1].width_m
    for k, lane in driving(road_map):
        gap = np.linalg.norm(lane.left_xyz - lane.right_xyz, axis=1)
        assert gap == pytest.approx(np.full(len(gap), width), abs=1e-6)
        assert lane.center_xyz == pytest.approx(0.5 * (lane.left_xyz + lane.right_xyz))
        if lane.left >= 0:
            other = road_map.lanes[lane.left]
            assert other.right == k
            assert other.change_right == lane.change_left or spec.startswith("merge")
            assert lane.left_xyz == pytest.approx(other.right_xyz, abs=1e-9)
        if lane.oncoming >= 0 and lane.left < 0 and not lane.junction:
            assert lane.left_xyz == pytest.approx(road_map.lanes[lane.oncoming].left_xyz[::-1], abs=1e-6)
    assert len({lane.id for lane in road_map.lanes}) == len(road_map.lanes)
    assert road_map.marks


@pytest.mark.parametrize("control", ["signals", "stop", "give_way", "right_priority", "none"])
def test_control_puts_up_lights_or_signs_and_decides_who_waits(control):
    road_map = build_road(f"four_way,control={control}")
    kinds = [signal.kind for signal in road_map.signals if signal.kind is not SignalKind.SPEED_LIMIT]
    waits = {k for k in range(len(road_map.lanes)) if any(c.yields for c in road_map.conflicts if c.lane == k)}
    names = {road_map.lanes[k].id for k in waits}
    assert any(c.kind == "cross" for c in road_map.conflicts)
    assert any(c.kind == "merge" for c in road_map.conflicts)
    if control == "signals":
        assert kinds == [SignalKind.TRAFFIC_LIGHT] * 4
        groups = [signal.group for signal in road_map.signals if signal.kind is SignalKind.TRAFFIC_LIGHT]
        assert groups[0] == groups[2] != groups[1] == groups[3]
    elif control in ("stop", "give_way"):
        assert sorted(kinds) == sorted([SignalKind(control)] * 2 + [SignalKind.PRIORITY] * 2)
        # whoever comes from the side street waits; on the main road only those who turn left
        assert {"junction:1-3:0", "junction:3-1:0", "junction:1-2:0"} <= names
        assert not names & {"junction:0-2:0", "junction:2-0:0"}
    else:
        assert not kinds
    if control == "none":
        assert not waits
    if control == "right_priority":
        # from +x driving west: who comes from the right, the north, goes first
        assert "junction:0-2:0" in names
    for signal in road_map.signals:
        if signal.stop_lines:
            assert all(road_map.lanes[i].junction for i in signal.lanes)
            line = road_map.stop_lines[signal.stop_lines[0]]
            assert np.linalg.norm(line.xyz.mean(axis=0) - signal.xyz) < 6.0


def test_signs_face_those_whom_they_concern():
    for spec in SPECS:
        road_map = build_road(spec)
        roads = compile_map(road_map)
        for signal in road_map.signals:
            lane = signal.lanes[0]
            if road_map.lanes[lane].junction:
                lane = road_map.lanes[lane].predecessors[0]
            s, lateral = roads.project(lane, signal.xyz[0], signal.xyz[1])
            assert math.cos(signal.yaw_rad - roads.pose(lane, s)[1]) < -0.9, (spec, signal.id)
            assert lateral < -1.75, (spec, signal.id)  # on the right-hand side of the road


@pytest.mark.parametrize("spec", ["t_junction", "four_way,lanes=2", "roundabout", "roundabout,arms=5,radius=30"])
def test_every_arm_leads_to_every_other(spec):
    road_map = build_road(spec)
    roads = compile_map(road_map)
    entries = [k for k, lane in driving(road_map) if lane.id.endswith("backward:driving:0")]
    exits = [k for k, lane in driving(road_map) if lane.id.endswith("forward:driving:0")]
    for start in entries:
        for goal in exits:
            same = road_map.lanes[start].id.split(":")[0] == road_map.lanes[goal].id.split(":")[0]
            if same and "roundabout" not in spec:
                continue
            assert roads.route(LanePosition(start, 0.0, 0.0), goal, 5.0).lanes[-1] == goal


def test_entering_a_roundabout_gives_way_to_the_ring():
    road_map = build_road("roundabout")
    name = {lane.id: k for k, lane in enumerate(road_map.lanes)}
    rows = {(c.lane, c.other): c for c in road_map.conflicts}
    for k in range(4):
        row = rows[name[f"entry{k}"], name[f"ring{k}"]]
        assert (row.kind, row.yields) == ("merge", True)
        assert not rows[name[f"ring{k}"], name[f"entry{k}"]].yields
    rings = [road_map.lanes[name[n]].center_xyz for k in range(4) for n in (f"ring{k}", f"arc{k}")]
    radius = np.hypot(*np.concatenate(rings)[:, :2].T)
    assert radius == pytest.approx(np.full(len(radius), 16.0), abs=1e-9)


def test_merge_ends_its_acceleration_lane_beside_a_lane_to_change_to():
    road_map = build_road("merge")
    accel = next(lane for lane in road_map.lanes if lane.id == "accel:forward:driving:2")
    ramp = next(lane for lane in road_map.lanes if lane.id == "ramp:forward:driving:0")
    assert accel.successors == ()
    assert accel.change_left
    assert not road_map.lanes[accel.left].change_right
    assert road_map.lanes[ramp.successors[0]] is accel
    assert np.linalg.norm(np.diff(accel.center_xyz, axis=0), axis=1).sum() == pytest.approx(180.0)


def test_work_zone_shifts_the_lanes_and_fences_the_works_off():
    road_map = build_road("work_zone,shift=2")
    roads = compile_map(road_map)
    inside = next(k for k, lane in enumerate(road_map.lanes) if lane.id == "works:forward:driving:0")
    lane = road_map.lanes[inside]
    assert lane.center_xyz[0, 1] == lane.center_xyz[-1, 1] == pytest.approx(-1.75)
    assert lane.center_xyz[len(lane.center_xyz) // 2, 1] == pytest.approx(0.25)
    assert roads.speed_limit(inside, 10.0) == pytest.approx(30.0 / 3.6)
    cones = [thing for thing in road_map.objects if thing.kind == "cone"]
    barriers = [thing for thing in road_map.objects if thing.kind == "barrier"]
    assert len(cones) > 15
    assert len(barriers) == 2
    for thing in cones + barriers:
        near = np.interp(thing.xyz[0], lane.right_xyz[:, 0], lane.right_xyz[:, 1])
        assert thing.xyz[1] + 0.5 * thing.size_lwh[1] < near
        assert not any(road_map.lanes[i].kind in DRIVABLE for i in roads.inside_lanes(*thing.xyz[:2]))


def test_rural_road_rolls_and_keeps_its_trees_off_the_road():
    road_map = build_road("rural,rise=8,wave=400,length=900")
    roads = compile_map(road_map)
    lane = road_map.lanes[0]
    assert np.ptp(lane.center_xyz[:, 2]) == pytest.approx(8.0, abs=0.1)
    trees = np.array([thing.xyz[:2] for thing in road_map.objects if thing.kind == "tree"])
    assert len(trees) > 80
    assert not roads.drivable(trees).any()
    turn = [roads.curvature(0, s) for s in np.arange(0.0, roads.length(0), 5.0)]
    assert max(turn) > 0.006
    assert min(turn) < -0.006


# ----------------------------------------------------------------------- mirror


@pytest.mark.parametrize("spec", [*SPECS, "four_way,control=right_priority"])
def test_left_hand_roads_are_exact_mirror_images(spec):
    right, left = build_road(spec), build_road(f"{spec},side=left")
    flip = np.array([1.0, -1.0, 1.0])
    swap = {"left": "right", "right": "left"}
    assert (right.traffic_side, left.traffic_side) == ("right", "left")
    assert (right.region, left.region) == ("DE", "JP")
    assert len(right.lanes) == len(left.lanes)
    for a, b in zip(right.lanes, left.lanes, strict=True):
        assert np.array_equal(a.center_xyz * flip, b.center_xyz)
        assert np.array_equal(a.left_xyz * flip, b.right_xyz)
        assert np.array_equal(a.right_xyz * flip, b.left_xyz)
        assert (a.left, a.right, a.oncoming) == (b.right, b.left, b.oncoming)
        assert (a.change_left, a.change_right) == (b.change_right, b.change_left)
        assert (a.successors, a.predecessors, a.junction) == (b.successors, b.predecessors, b.junction)
        assert swap.get(a.turn, a.turn) == b.turn
        assert (a.id, a.kind, a.speed_limit_mps) == (b.id, b.kind, b.speed_limit_mps)
    for a, b in zip(right.signals, left.signals, strict=True):
        assert np.array_equal(a.xyz * flip, b.xyz)
        assert wrap_angle(a.yaw_rad + b.yaw_rad) == pytest.approx(0.0, abs=1e-12)
        assert (a.kind, a.lanes, a.stop_lines, a.group) == (b.kind, b.lanes, b.stop_lines, b.group)
    for name, field in (("marks", "xyz"), ("stop_lines", "xyz"), ("crossings", "outline_xyz"), ("objects", "xyz")):
        for a, b in zip(getattr(right, name), getattr(left, name), strict=True):
            assert np.array_equal(getattr(a, field) * flip, getattr(b, field))
    mine = {(c.lane, c.other): c for c in right.conflicts}
    theirs = {(c.lane, c.other): c for c in left.conflicts}
    assert mine.keys() == theirs.keys()
    for pair, a in mine.items():
        b = theirs[pair]
        assert (a.kind, a.yields) == (b.kind, b.yields), pair
        assert (*a.s_m, *a.other_s_m) == pytest.approx((*b.s_m, *b.other_s_m), abs=0.51)


# ---------------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("built:four_wya", "unknown kind 'four_wya'; did you mean 'four_way'"),
        ("built:curve,radious=60", "unknown parameter 'radious'; did you mean 'radius'"),
        ("built:curve,radius=round", "radius is 'round', expected a number"),
        ("built:straight,lanes=2.5", "lanes is '2.5', expected a whole number"),
        ("built:straight,lanes=9", "lanes is 9, expected 1 to 4"),
        ("built:straight,length=nan", "length is nan, expected"),
        ("built:t_junction,side=lefft", "side is 'lefft'; did you mean 'left'"),
        ("built:t_junction,control=traffic", "There are: give_way, none, right_priority, signals, stop"),
        ("built:straight,crossing=maybe", "expected yes or no"),
        ("built:straight,length", "'length' is not of the form key=value"),
        ("built:straight,length=50,length=60", "'length' is given twice"),
        ("built:", "unknown kind ''"),
    ],
)
def test_wrong_texts_name_the_nearest_right_one(spec, message):
    with pytest.raises(ValueError, match=r"road 'built:") as caught:
        build_road(spec)
    assert message in str(caught.value)


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(["right", "left"]), st.floats(2.5, 5.0), st.floats(5.0, 130.0))
def test_the_short_text_and_the_parameters_are_one(kind, side, width, speed):
    parameters = parse_road(f"built:{kind},side={side},width={width!r},speed_kmh={speed!r}")
    assert parameters[1].width_m == width
    assert parameters[1].speed_kmh == speed
    assert parse_road(canonical(*parameters)) == parameters


def test_a_map_is_named_by_the_text_that_builds_it():
    road_map = build_road("straight,side=left, lanes=1,length=200.0,crossing=yes")
    assert road_map.name == "built:straight,side=left,length=200,crossing=yes"
    assert build_road(road_map.name).sha256 == road_map.sha256 != build_road("straight").sha256
    assert build_road("straight,region=US").signals[0].code == "US:R2-1"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_junctions_of_all_sizes_can_be_built(data):
    kind = data.draw(st.sampled_from(["t_junction", "four_way", "roundabout"]))
    width, length = data.draw(st.floats(2.5, 5.0)), data.draw(st.floats(110.0, 300.0))
    if kind == "roundabout":
        more = f"radius={data.draw(st.floats(12.0, 60.0))!r},arms={data.draw(st.integers(3, 6))}"
    else:
        more = f"corner={data.draw(st.floats(3.0, 30.0))!r},lanes={data.draw(st.integers(1, 4))}"
    road_map = build_road(f"{kind},width={width!r},length={length!r},{more}")
    for _, lane in driving(road_map):
        for other in lane.successors:
            assert lane.center_xyz[-1] == pytest.approx(road_map.lanes[other].center_xyz[0], abs=1e-6)
