"""Lanelet2 reader: features on small maps in text, errors, tolerance, and agreement with the reference library."""

from __future__ import annotations

import gzip
import math
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanelet2_text import Sketch

from cordillera.types import LaneKind, SignalKind
from cordillera.world.lanelet2 import Lanelet2Error, parse_lanelet2, read_lanelet2
from cordillera.world.lanelet2.projection import lat_lon_of, utm_of, utm_zone
from cordillera.world.lanelet2.rungs import centre_of, follow_centre
from cordillera.world.lanelet2.tables import may_change, sign_speed, speed_of

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "maps" / "lanelet2"
BUNDLED = Path(__file__).resolve().parents[1] / "src" / "cordillera" / "assets" / "maps"


def read(sketch: Sketch):
    return parse_lanelet2(sketch.text(), "sketch", "sketch.osm")


def two_lanes(middle: dict[str, str] | None = None, **tags: str):
    """Two lanes to the east, 100 m long, 3 m wide each; the border between them as said."""
    s = Sketch()
    top = s.way((0, 6), (100, 6), type="road_border")
    between = s.way((0, 3), (100, 3), **(middle or {"type": "line_thin", "subtype": "dashed"}))
    low = s.way((0, 0), (100, 0), type="line_thin", subtype="solid")
    left = s.lanelet(top, between, **tags)
    right = s.lanelet(between, low, **tags)
    return s, left, right


def lanes_of(road_map):
    return {lane.id: lane for lane in road_map.lanes}


# -------------------------------------------------------------------- geometry


def test_lines_and_neighbours_of_two_lanes():
    s, left, right = two_lanes(speed_limit="30")
    road_map = read(s)
    lanes = lanes_of(road_map)
    np.testing.assert_allclose(lanes[left].center_xyz, [[0, 4.5, 1], [50, 4.5, 1], [100, 4.5, 1]])
    np.testing.assert_allclose(lanes[right].left_xyz, [[0, 3, 1], [50, 3, 1], [100, 3, 1]])
    np.testing.assert_allclose(lanes[right].right_xyz, [[0, 0, 1], [50, 0, 1], [100, 0, 1]])
    assert road_map.lanes[lanes[right].left].id == left and road_map.lanes[lanes[left].right].id == right
    assert lanes[right].right == lanes[left].left == lanes[left].oncoming == -1
    assert lanes[left].change_right and lanes[right].change_left and not lanes[right].change_right
    assert lanes[left].speed_limit_mps == pytest.approx(30 / 3.6)
    assert {(mark.kind, mark.width_m) for mark in road_map.marks} == {("edge", 0.1), ("broken", 0.12), ("solid", 0.12)}


@pytest.mark.parametrize("flip", [(True, False), (False, True), (True, True)])
def test_borders_drawn_in_any_direction_make_the_same_lane(flip):
    s = Sketch()
    lines = [[(0.0, 3.0), (40.0, 5.0), (90.0, 3.0)], [(0.0, 0.0), (90.0, 0.0)]]
    left, right = (s.way(*(line[::-1] if back else line)) for line, back in zip(lines, flip, strict=True))
    name = s.lanelet(left, right)
    lane = lanes_of(read(s))[name]
    np.testing.assert_allclose(lane.left_xyz[[0, -1], :2], [[0, 3], [90, 3]])
    np.testing.assert_allclose(lane.right_xyz[[0, -1], :2], [[0, 0], [90, 0]])


def test_rungs_keep_every_border_point_and_share_one_count():
    left = np.array([[0, 2, 0], [3, 2, 0], [4, 2.5, 0], [5, 2, 0], [10, 2, 0]], dtype=float)
    right = np.array([[0, -2, 0], [10, -2, 0]], dtype=float)
    centre, left_out, right_out = centre_of(left, right)
    assert len(centre) == len(left_out) == len(right_out)
    assert {tuple(p) for p in left} <= {tuple(p) for p in left_out}
    np.testing.assert_allclose(centre[[0, -1]], [[0, 0, 0], [10, 0, 0]])
    given, left_out, right_out = follow_centre(np.array([[0, 1, 0], [10, 1, 0.0]]), left, right)
    np.testing.assert_allclose(given[:, 1], 1.0)
    assert len(given) == len(left_out) == len(right_out) and left_out[:, 1].max() == 2.5


@pytest.mark.parametrize("backwards", [False, True])
def test_a_written_centre_line_is_kept(backwards):
    s = Sketch()
    left, right = s.way((0, 3), (50, 3)), s.way((0, 0), (50, 0))
    line = [(0.0, 1.0), (25.0, 1.2), (50.0, 1.0)]
    centre = s.way(*(line[::-1] if backwards else line))
    members = [("left", "way", left), ("right", "way", right), ("centerline", "way", centre)]
    s.relation(members, type="lanelet", subtype="road")
    lane = read(s).lanes[0]
    np.testing.assert_allclose(lane.center_xyz[:, :2], line)
    np.testing.assert_allclose(lane.left_xyz[:, :2], [(0, 3), (25, 3), (50, 3)], atol=1e-9)


@given(st.floats(-79, 83), st.floats(-179, 179))
def test_projection_and_its_inverse(lat, lon):
    zone = utm_zone(lat, lon)
    back = lat_lon_of(utm_of(np.array([lat, lon]), zone), zone)
    np.testing.assert_allclose(back, [lat, lon], atol=1e-10)


def test_projection_agrees_with_the_reference():
    lanelet2 = pytest.importorskip("lanelet2")
    for lat, lon in ((49.0, 8.4), (35.9, 139.93), (-33.9, 18.4), (60.4, 5.3), (0.01, -77.0)):
        projector = lanelet2.projection.UtmProjector(lanelet2.io.Origin(lat, lon))
        for d_lat, d_lon in ((0.01, 0.02), (-0.03, 0.01)):
            there = projector.forward(lanelet2.core.GPSPoint(lat + d_lat, lon + d_lon, 0.0))
            zone = utm_zone(lat, lon)
            here = utm_of(np.array([lat + d_lat, lon + d_lon]), zone) - utm_of(np.array([lat, lon]), zone)
            if utm_zone(lat + d_lat, lon + d_lon) == zone and (lat > 0) == (lat + d_lat > 0):
                np.testing.assert_allclose(here, [there.x, there.y], atol=1e-6)


def test_far_local_coordinates_are_moved_and_said():
    s = Sketch()
    s.lanelet(s.way((86600, 45003), (86700, 45003)), s.way((86600, 45000), (86700, 45000)))
    road_map = read(s)
    assert np.abs(road_map.lanes[0].center_xyz[:, :2]).max() <= 100.0
    assert any("86600" in line or "86700" in line for line in road_map.assumptions)


# ------------------------------------------------------------- links, directions


def test_following_lanes_share_their_end_points():
    s = Sketch()
    a = s.lanelet(s.way((0, 3), (50, 3)), s.way((0, 0), (50, 0)))
    b = s.lanelet(s.way((50, 3), (90, 3)), s.way((50, 0), (90, 0)))
    c = s.lanelet(s.way((50, 3), (80, 30)), s.way((50, 0), (83, 28)))
    walk = s.lanelet(s.way((90, 3), (99, 3)), s.way((90, 0), (99, 0)), subtype="walkway")
    road_map = read(s)
    lanes = lanes_of(road_map)
    assert {road_map.lanes[i].id for i in lanes[a].successors} == {b, c}
    assert [road_map.lanes[i].id for i in lanes[c].predecessors] == [a]
    assert lanes[b].successors == () and lanes[walk].kind is LaneKind.SIDEWALK
    assert {(x.kind, x.yields) for x in road_map.conflicts} == {("diverge", False)}


def test_two_way_lanelet_becomes_two_lanes_that_oppose_each_other():
    s, left, right = two_lanes(one_way="no")
    road_map = read(s)
    lanes = lanes_of(road_map)
    assert len(road_map.lanes) == 4
    back = lanes[f"{left}:back"]
    np.testing.assert_array_equal(back.center_xyz, lanes[left].center_xyz[::-1])
    np.testing.assert_array_equal(back.left_xyz, lanes[left].right_xyz[::-1])
    assert road_map.lanes[back.left].id == f"{right}:back"
    assert road_map.lanes[lanes[right].left].id == left
    pair = {(x.lane, x.other): x for x in road_map.conflicts}
    i = [lane.id for lane in road_map.lanes].index(left)
    assert pair[i, i + 1].yields != pair[i + 1, i].yields


@pytest.mark.parametrize(("keeps", "opposite"), [("right", True), ("left", False)])
def test_traffic_side_from_opposite_lanes(keeps, opposite):
    """Eastbound below westbound is right-hand traffic."""
    s = Sketch()
    low, mid, top = (s.way((0, y), (100, y), type="line_thin", subtype="solid") for y in (0, 3, 6))
    s.way((100, 9), (0, 9))
    lower, upper = (mid, low), (top, mid)
    back_low, back_top = s.way((100, 0), (0, 0)), s.way((100, 6), (0, 6))
    back_mid = mid
    if opposite:  # the lower lane runs east, the upper one west
        a = s.lanelet(*lower)
        b = s.relation([("left", "way", back_mid), ("right", "way", back_top)], type="lanelet", subtype="road")
    else:
        a = s.relation([("left", "way", back_low), ("right", "way", back_mid)], type="lanelet", subtype="road")
        b = s.lanelet(*upper)
    road_map = read(s)
    lanes = lanes_of(road_map)
    assert road_map.traffic_side == keeps
    assert road_map.lanes[lanes[a].oncoming].id == b and road_map.lanes[lanes[b].oncoming].id == a
    assert lanes[a].left == lanes[a].right == -1


def test_kinds_follow_subtype_and_participants():
    s = Sketch()
    wanted = {}
    for row, (subtype, tags, kind) in enumerate(
        (
            ("highway", {}, LaneKind.DRIVING),
            ("bus_lane", {}, LaneKind.BUS),
            ("bicycle_lane", {}, LaneKind.BIKING),
            ("road_shoulder", {}, LaneKind.SHOULDER),
            ("rail", {}, LaneKind.RAIL),
            ("road", {"participant__bicycle": "yes"}, LaneKind.BIKING),
            ("road", {"participant__vehicle__bus": "yes"}, LaneKind.BUS),
            ("bicycle_lane", {"participant__vehicle": "yes"}, LaneKind.DRIVING),
            ("something", {}, LaneKind.OTHER),
        )
    ):
        y = 10.0 * row
        wanted[s.lanelet(s.way((0, y + 3), (9, y + 3)), s.way((0, y), (9, y)), subtype=subtype, **tags)] = kind
    road_map = read(s)
    assert {lane.id: lane.kind for lane in road_map.lanes} == wanted
    assert any("something" in line for line in road_map.assumptions)


@pytest.mark.parametrize(
    ("tags", "back", "sides"),
    [
        ({"type": "line_thin", "subtype": "dashed"}, False, (True, True)),
        ({"type": "line_thick", "subtype": "solid"}, False, (False, False)),
        ({"type": "line_thin", "subtype": "dashed_solid"}, False, (False, True)),
        ({"type": "line_thin", "subtype": "dashed_solid"}, True, (True, False)),
        ({"type": "line_thin", "subtype": "solid", "lane_change": "yes"}, False, (True, True)),
        ({"type": "line_thin", "subtype": "dashed", "lane_change": "no"}, False, (False, False)),
        ({"type": "virtual", "lane_change:left": "no", "lane_change:right": "yes"}, False, (False, True)),
        ({"type": "curbstone", "subtype": "low"}, False, (False, False)),
    ],
)
def test_lane_change_rules(tags, back, sides):
    assert may_change(tags, back) == sides


@pytest.mark.parametrize(
    ("text", "mps"),
    [
        ("50", 50 / 3.6),
        ("30 km/h", 30 / 3.6),
        ("30mph", 13.4112),
        ("13.9 m/s", 13.9),
        ("", math.nan),
        ("fast", math.nan),
    ],
)
def test_speeds(text, mps):
    np.testing.assert_allclose(speed_of(text), mps, equal_nan=True)


def test_speeds_of_signs():
    assert sign_speed("de274-70", {}) == pytest.approx(70 / 3.6)
    assert sign_speed("de274_1", {}) == pytest.approx(30 / 3.6)
    assert sign_speed("40 km/h", {}) == pytest.approx(40 / 3.6)
    assert math.isnan(sign_speed("de301", {}))


# ------------------------------------------------------------------ regulation


def test_light_stop_line_and_limit():
    s, *_ = two_lanes()
    stop = s.way((98, 6), (98, 3), type="stop_line")
    lamp = s.way((110, 5), (110, 4), type="traffic_light", subtype="red_yellow_green", height="0.9")
    light = s.relation(
        [("refers", "way", lamp), ("ref_line", "way", stop)], type="regulatory_element", subtype="traffic_light"
    )
    sign = s.way((60, 7), (60, 7.5), type="traffic_sign", subtype="de274-30")
    limit = s.relation([("refers", "way", sign)], type="regulatory_element", subtype="speed_limit")
    top, mid = s.way((0, 16), (100, 16)), s.way((0, 13), (100, 13))
    name = s.lanelet(s.way((0, 6), (100, 6)), s.way((0, 3), (100, 3)), rules=(light, limit))
    other = s.lanelet(top, mid)
    road_map = read(s)
    lanes = lanes_of(road_map)
    lamps = {signal.id: signal for signal in road_map.signals}
    found = lamps[lamp]
    assert found.kind is SignalKind.TRAFFIC_LIGHT and found.group == light
    assert [road_map.lanes[i].id for i in found.lanes] == [name]
    assert abs(found.yaw_rad) == pytest.approx(math.pi)  # looks west, at those who come from there
    np.testing.assert_allclose(found.xyz, [110, 4.5, 1.45])
    assert [road_map.stop_lines[i].id for i in found.stop_lines] == [stop]
    assert name in {road_map.lanes[i].id for i in road_map.stop_lines[0].lanes}
    assert other not in {road_map.lanes[i].id for i in road_map.stop_lines[0].lanes}
    assert lanes[name].speed_limit_mps == pytest.approx(30 / 3.6) == lamps[sign].value
    assert lamps[sign].kind is SignalKind.SPEED_LIMIT and lamps[sign].code == "DE:274-30"


def crossroads(**element: str):
    """An eastbound and a northbound lane that cross, and a right-of-way element that names them."""
    s = Sketch()
    east = s.lanelet(s.way((-20, 3), (20, 3)), s.way((-20, 0), (20, 0)))
    north = s.lanelet(s.way((0, -20), (0, 20)), s.way((3, -20), (3, 20)))
    if element:
        names = {"east": east, "north": north}
        s.relation(
            [(role, "relation", names[name]) for role, name in element.items()],
            type="regulatory_element",
            subtype="right_of_way",
        )
    return s, east, north


@pytest.mark.parametrize(
    ("element", "waits"),
    [({}, "east"), ({"yield": "north", "right_of_way": "east"}, "north")],
    ids=["the northbound lane comes from the right", "the element says otherwise"],
)
def test_right_of_way(element, waits):
    s, east, north = crossroads(**element)
    road_map = read(s)
    lanes = [lane.id for lane in road_map.lanes]
    assert [lanes[c.lane] for c in road_map.conflicts if c.yields] == [east if waits == "east" else north]
    assert len(road_map.conflicts) == 2 and {c.kind for c in road_map.conflicts} == {"cross"}
    assert {lane.junction for lane in road_map.lanes} == {east}
    for row in road_map.conflicts:
        assert row.s_m == pytest.approx((20.15, 22.85)) and row.other_s_m == pytest.approx((20.15, 22.85))


def test_crossing_objects_and_areas():
    s, left, right = two_lanes()
    zebra = s.lanelet(s.way((40, -1), (40, 7)), s.way((44, -1), (44, 7)), subtype="crosswalk")
    ring = [(0, 20), (10, 20), (10, 30), (0, 30), (0, 20)]
    half_a, half_b = s.way(*ring[:3]), s.way(*ring[2:])
    house = s.relation([("outer", "way", half_a), ("outer", "way", half_b)], type="multipolygon", subtype="building")
    fence = s.way((0, 10), (50, 10), type="fence")
    road_map = read(s)
    crossing = road_map.crossings[0]
    assert crossing.id == zebra and len(road_map.lanes) == 2
    assert {road_map.lanes[i].id for i in crossing.lanes} == {left, right}
    things = {thing.id: thing for thing in road_map.objects}
    assert things[house].kind == "building" and len(things[house].outline_xyz) == 4
    np.testing.assert_allclose(things[house].xyz, [5, 25, 1])
    assert things[fence].kind == "barrier" and things[fence].size_lwh == pytest.approx((50, 0.06, 1.2))


# ----------------------------------------------------------- tolerance, errors


def test_repairs_are_listed():
    s, *_ = two_lanes()
    s.relation([("left", "way", "9999")], type="lanelet", subtype="road")
    s.lanelet(s.way((0, 60), (5, 60)), s.way((0, 57), (5, 57)), rules=("777",))
    road_map = read(s)
    assert len(road_map.lanes) == 3
    said = "\n".join(road_map.assumptions)
    assert "refers to a way that is not there" in said or "is missing" in said
    assert "regulatory element that is not there" in said
    assert "speed limit missing" in said and "50 km/h" in said


def test_a_border_of_two_ways_is_joined():
    s = Sketch()
    first, second = s.way((0, 3), (40, 3)), s.way((90, 3), (40, 3))
    low = s.way((0, 0), (90, 0))
    name = s.relation(
        [("left", "way", first), ("left", "way", second), ("right", "way", low)], type="lanelet", subtype="road"
    )
    lane = lanes_of(read(s))[name]
    np.testing.assert_allclose(lane.left_xyz[[0, -1], 0], [0, 90])
    assert np.abs(lane.left_xyz[:, 0] - 40.0).min() < 1e-9


GOOD = '<node id="1" lat="49.0" lon="8.4"/><node id="2" lat="49.001" lon="8.4"/>'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("not xml", ["map.osm", "not well-formed"]),
        ("<OpenDRIVE/>", ["map.osm", "<OpenDRIVE>", "Lanelet2"]),
        ("<osm></osm>", ["map.osm", "no way"]),
        (f'<osm>{GOOD}<way id="3"><nd ref="1"/><nd ref="2"/></way></osm>', ["map.osm", "no relation of type lanelet"]),
        ('<osm><node id="7" lat="abc" lon="8.4"/></osm>', ["map.osm", "node 7", "lat", "abc"]),
        ('<osm><node id="7" lat="100" lon="8.4"/></osm>', ["map.osm", "node 7", "100"]),
        ('<osm><node id="7"/><way id="3"><nd ref="7"/></way></osm>', ["map.osm", "node 7", "local_x"]),
        (
            f'<osm>{GOOD}<way id="3"><nd ref="1"/><nd ref="2"/></way><relation id="8"><member type="way" role="left" '
            'ref="3"/><tag k="type" v="lanelet"/></relation></osm>',
            ["map.osm", "lanelet 8", "right border", "Add"],
        ),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><osm/>", ["map.osm", "entities"]),
    ],
)
def test_broken_files_name_the_place(text, parts):
    with pytest.raises(Lanelet2Error) as error:
        parse_lanelet2(text, "map", "map.osm")
    for part in parts:
        assert part in str(error.value)


def test_a_node_without_local_coordinates_or_height_is_put_in_its_place():
    data = gzip.decompress((BUNDLED / "virtual_left.osm.gz").read_bytes()).decode()
    whole = parse_lanelet2(data, "whole")
    holed = re.sub(
        r'<tag k="local_x" v="[^"]*"/>\s*<tag k="local_y" v="[^"]*"/>\s*<tag k="ele"', '<tag k="ele"', data, count=9
    )
    holed = holed.replace('k="ele" v="100"', 'k="ele" v="high"', 3)
    patched = parse_lanelet2(holed, "holed")
    assert len(patched.assumptions) == len(whole.assumptions) + 3
    for a, b in zip(whole.lanes, patched.lanes, strict=True):
        np.testing.assert_allclose(a.center_xyz[[0, -1]], b.center_xyz[[0, -1]], atol=1e-4)


def damaged(data: bytes, seed: int) -> bytes:
    """A map with some of its elements, tags and references taken away or spoilt."""
    draw = random.Random(seed)
    root = ElementTree.fromstring(data)
    share = draw.choice([0.002, 0.02, 0.1])
    for element in list(root):
        if draw.random() < 0.3 * share:
            root.remove(element)
        for child in list(element):
            if draw.random() >= share:
                continue
            if child.tag == "tag" and draw.random() < 0.7:
                child.set("v", draw.choice(["", "-1", "nan", "yes", "foo", "1e9"]))
            elif child.tag == "member" and draw.random() < 0.4:
                child.set("role", draw.choice(["left", "right", "refers", "", "centerline", "ref_line", "yield"]))
            elif child.get("ref") and draw.random() < 0.5:
                child.set("ref", draw.choice(["1", "120636", "xyz", child.get("ref", "")[::-1]]))
            else:
                element.remove(child)
    return ElementTree.tostring(root)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_maps_are_read_or_refused_in_words(seed):
    data = gzip.decompress((BUNDLED / "kashiwanoha.osm.gz").read_bytes())
    try:
        road_map = parse_lanelet2(damaged(data, seed), "damaged")
    except Lanelet2Error as error:
        assert "damaged" in str(error)
        return
    assert road_map.lanes
    for lane in road_map.lanes:
        assert np.isfinite([lane.center_xyz, lane.left_xyz, lane.right_xyz]).all() and lane.speed_limit_mps > 0.0


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(Lanelet2Error, match="no such file"):
        read_lanelet2(tmp_path / "none.osm")
    damaged = tmp_path / "bad.osm.gz"
    damaged.write_bytes(gzip.compress(b"<osm></osm>" * 100)[:-9])
    with pytest.raises(Lanelet2Error, match="damaged"):
        read_lanelet2(damaged)


# ------------------------------------------------------------------ real files


@pytest.mark.parametrize("name", ["karlsruhe.osm.gz", "kashiwanoha.osm.gz", "ss2.osm.gz"])
def test_agrees_with_the_reference_library(name):
    pytest.importorskip("lanelet2")
    from benchmarks.maps_lanelet2 import compare

    row = compare(BUNDLED / name)
    assert row.exceptions == ()
    assert row.lanelets == row.oracle_lanelets and row.following.total > 100 and row.links > 50
    assert row.center_max_m < 0.002 and row.gap_max_m < 1e-6


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared maps are not beside this checkout")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.osm")), ids=lambda path: path.stem)
def test_every_shared_file_reads(path):
    road_map = read_lanelet2(path)
    assert road_map.lanes and all(np.isfinite(lane.center_xyz).all() for lane in road_map.lanes)
    assert all(len(lane.center_xyz) == len(lane.left_xyz) == len(lane.right_xyz) >= 2 for lane in road_map.lanes)


def test_karlsruhe_has_its_junction_with_lights():
    road_map = read_lanelet2(BUNDLED / "karlsruhe.osm.gz")
    assert (road_map.traffic_side, road_map.region) == ("right", "DE")
    lights = [signal for signal in road_map.signals if signal.kind is SignalKind.TRAFFIC_LIGHT]
    assert len(lights) == 10 and len({light.group for light in lights}) == 6
    assert all(light.lanes and light.stop_lines for light in lights)
    assert sum(signal.kind is SignalKind.GIVE_WAY for signal in road_map.signals) == 5
    assert len(road_map.crossings) == 8
