"""Roads, lanes, links, marks and limits of OpenDRIVE texts; what is broken fails clearly, what is sloppy is listed."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opendrive_text import LINE, MARK, TWO_WAY, by_id, junction_file, lane, plan, read, road, section, xodr

from cordillera.types import LaneKind
from cordillera.world.opendrive import OpenDriveError, parse_opendrive, read_opendrive
from cordillera.world.opendrive.curves import inside
from cordillera.world.opendrive.lanes import build_lanes
from cordillera.world.opendrive.parse import read_network
from cordillera.world.opendrive.source import Source, parse_tree
from cordillera.world.opendrive.surface import border_lines

# ------------------------------------------------------------------ where lanes lie


def test_lanes_run_as_traffic_does_on_either_side():
    for rule, sign in (("RHT", 1.0), ("LHT", -1.0)):
        road_map = read(road(attributes=f'rule="{rule}"'))
        right, left = (road_map.lanes[by_id(road_map)[f"1:0:{n}"]] for n in (-1, 1))
        assert road_map.traffic_side == ("right" if sign > 0 else "left")
        assert right.center_xyz[0] == pytest.approx([50.0 - sign * 50.0, -1.75, 0.0])
        assert right.center_xyz[-1] == pytest.approx([50.0 + sign * 50.0, -1.75, 0.0])
        assert left.center_xyz[0] == pytest.approx([50.0 + sign * 50.0, 1.75, 0.0])
        for found in road_map.lanes:
            step = found.center_xyz[1] - found.center_xyz[0]
            across = found.left_xyz[0] - found.right_xyz[0]
            assert step[0] * across[1] - step[1] * across[0] > 0.0
        assert road_map.lanes[right.oncoming] is left
        assert road_map.lanes[left.oncoming] is right


def test_offset_width_border_and_elevation_follow_their_records():
    wide = '<width sOffset="0" a="3" b="0.01" c="0" d="0"/><width sOffset="50" a="4" b="0" c="0" d="0"/>'
    edge = '<border sOffset="0" a="-3" b="-0.02" c="0" d="0"/>'
    found = section([lane(1, width=wide), lane(0, "none"), lane(-1, width=edge)])
    climb = '<elevationProfile><elevation s="0" a="2" b="0.1" c="0" d="0"/></elevationProfile>'
    road_map = read(road(sections=found, before=climb, offset='<laneOffset s="0" a="0.5" b="0" c="0" d="0"/>'))
    left, right = (road_map.lanes[by_id(road_map)[f"1:0:{n}"]] for n in (1, -1))
    y = np.interp([10.0, 49.9, 50.1, 90.0], left.right_xyz[::-1, 0], left.right_xyz[::-1, 1])
    assert y == pytest.approx([3.6, 4.0, 4.5, 4.5], abs=0.01)
    assert right.right_xyz[[0, -1], 1] == pytest.approx([-2.5, -4.5])
    assert right.center_xyz[[0, -1], 2] == pytest.approx([2.0, 12.0])


def test_superelevation_turns_and_crossfall_tilts_the_surface():
    roll = '<lateralProfile><superelevation s="0" a="0.1" b="0" c="0" d="0"/></lateralProfile>'
    right = read(road(before=roll)).lanes[1]
    assert right.right_xyz[0] == pytest.approx([0.0, -3.5 * math.cos(0.1), -3.5 * math.sin(0.1)])
    fall = '<lateralProfile><crossfall side="right" s="0" a="0.02" b="0" c="0" d="0"/></lateralProfile>'
    left, right = read(road(before=fall)).lanes
    assert right.right_xyz[0, 2] == pytest.approx(-3.5 * math.tan(0.02))
    assert left.right_xyz[0, 2] == 0.0


def test_level_lanes_stay_flat_and_heights_lift_them():
    roll = '<lateralProfile><superelevation s="0" a="0.1" b="0" c="0" d="0"/></lateralProfile>'
    walk = lane(-2, "sidewalk", 2.0, more='<height sOffset="0" inner="0.12" outer="0.15"/>')
    road_map = read(road(sections=section([lane(0, "none"), lane(-1), walk.replace("false", "true")]), before=roll))
    side = road_map.lanes[by_id(road_map)["1:0:-2"]]
    base = -3.5 * math.sin(0.1)
    assert side.left_xyz[0, 2] == pytest.approx(base + 0.12)
    assert side.right_xyz[0, 2] == pytest.approx(base + 0.15)


CUBIC = '<paramPoly3 pRange="normalized" aU="0" bU="40" cU="6" dU="-3" aV="0" bV="0" cV="30" dV="-22"/>'
SHAPES = ('<arc curvature="{}"/>', '<spiral curvStart="0.0" curvEnd="{}"/>', CUBIC, "<line/>")


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.floats(-0.08, 0.08),
    st.floats(-0.05, 0.05),
    st.floats(-4e-4, 4e-4),
    st.floats(0.0, 3e-3),
)
def test_straight_segments_stay_within_5_mm_of_the_road(
    shape: str, bend: float, grade: float, sag: float, widen: float
):
    records = f'<width sOffset="0" a="3" b="0" c="{widen}" d="{-widen / 60}"/>'
    text = xodr(
        road(
            sections=section([lane(1), lane(0, "none"), lane(-1, width=records)]),
            geometry=plan(45, shape=shape.format(bend)),
            length=45.0,
            before=f'<elevationProfile><elevation s="0" a="0" b="{grade}" c="{sag}" d="0"/></elevationProfile>',
        )
    )
    source = Source("test")
    network = read_network(parse_tree(text.encode(), source), source)
    lane_set = build_lanes(network, source)
    (only,) = network.roads.values()
    s = np.linspace(0.0, only.length, 2000)
    exact = border_lines(only, only.sections[0], s)
    for number in (1, -1):
        index = lane_set.index["1", 0, number]
        found, stations = lane_set.lanes[index], lane_set.lane_stations[index]
        for line, curve in ((found.left_xyz, exact[number][0]), (found.right_xyz, exact[number][1])):
            line = line if number < 0 else line[::-1]
            segment = np.clip(np.searchsorted(stations, inside(s, 0.0, only.length)) - 1, 0, len(stations) - 2)
            chord = line[segment + 1] - line[segment]
            along = np.einsum("ij,ij->i", curve - line[segment], chord) / np.einsum("ij,ij->i", chord, chord)
            gap = line[segment] + np.clip(along, 0.0, 1.0)[:, None] * chord - curve
            assert np.linalg.norm(gap, axis=1).max() < 0.005


# ------------------------------------------------------------------- what links what


def names(road_map, index: int, links: str) -> set[str]:
    return {road_map.lanes[i].id for i in getattr(road_map.lanes[index], links)}


def test_sections_and_roads_follow_their_links_both_ways():
    first = section([lane(1), lane(0, "none"), lane(-1, inside='<successor id="-2"/>')])
    widths = '<width sOffset="0" a="0" b="0.1" c="0" d="0"/>'
    second = section([lane(1, inside='<predecessor id="1"/>'), lane(0, "none"), lane(-1, width=widths), lane(-2)], 60.0)
    to_2 = '<successor elementType="road" elementId="2" contactPoint="end"/>'
    road_map = read(
        road(1, first + second, links=to_2),
        road(2, geometry=plan(50, x=150, hdg=math.pi), length=50.0, links=to_2.replace('"2"', '"1"')),
    )
    lanes = by_id(road_map)
    assert names(road_map, lanes["1:0:-1"], "successors") == {"1:1:-2"}
    assert names(road_map, lanes["1:1:1"], "successors") == {"1:0:1"}
    # Road 2 comes from the other side, so its lane 1 carries on what road 1's lane 1 receives.
    assert names(road_map, lanes["2:0:-1"], "successors") == {"1:1:1"}
    assert names(road_map, lanes["1:1:1"], "predecessors") == {"2:0:-1"}


def test_junctions_link_through_connecting_roads_from_either_end():
    road_map = parse_opendrive(junction_file(), "j")
    lanes = by_id(road_map)
    assert names(road_map, lanes["1:0:-1"], "successors") == {"10:0:-1"}
    assert names(road_map, lanes["10:0:-1"], "successors") == {"2:0:-1"}
    assert names(road_map, lanes["2:0:1"], "successors") == {"11:0:1"}
    assert names(road_map, lanes["11:0:1"], "successors") == {"1:0:1"}
    assert road_map.lanes[lanes["10:0:-1"]].junction == "7"
    assert road_map.lanes[lanes["1:0:-1"]].junction == ""
    for found in road_map.lanes:
        for other in found.successors:
            assert found.center_xyz[-1] == pytest.approx(road_map.lanes[other].center_xyz[0])


def test_what_links_leave_out_is_found_by_where_lanes_meet():
    text = junction_file().replace(' contactPoint="start"', "").replace(' contactPoint="end"', "")
    text = text.replace('<laneLink from="-1" to="-1"/>', "").replace('<laneLink from="1" to="1"/>', "")
    road_map = parse_opendrive(text, "j")
    lanes = by_id(road_map)
    assert names(road_map, lanes["1:0:-1"], "successors") == {"10:0:-1"}
    assert names(road_map, lanes["2:0:1"], "successors") == {"11:0:1"}
    said = " ".join(road_map.assumptions)
    assert "without contactPoint" in said and "without lane links" in said


def test_direct_junctions_link_roads_themselves():
    split = (
        '<junction id="9" type="direct"><connection id="0" incomingRoad="1" linkedRoad="2" contactPoint="start">'
        '<laneLink from="-1" to="-1"/></connection></junction>'
    )
    to_9 = '<{} elementType="junction" elementId="9"/>'
    road_map = read(
        road(1, links=to_9.format("successor")),
        road(2, geometry=plan(100, x=100), links=to_9.format("predecessor")),
        split,
    )
    lanes = by_id(road_map)
    assert names(road_map, lanes["1:0:-1"], "successors") == {"2:0:-1"}
    assert all(found.junction == "" for found in road_map.lanes)


def test_virtual_junctions_leave_the_main_road_whole():
    side = road(
        3, geometry=plan(20, x=50, y=-20, hdg=math.pi / 2), length=20.0, junction="5",
        links='<successor elementType="road" elementId="1" elementS="50" elementDir="+"/>',
    )  # fmt: skip
    text = (
        '<junction id="5" type="virtual" mainRoad="1" sStart="45" sEnd="55"><connection id="0" incomingRoad="1" '
        'connectingRoad="3" contactPoint="end"><laneLink from="-1" to="-1"/></connection></junction>'
    )
    road_map = read(road(1), side, text)
    assert len(road_map.lanes) == 4
    assert any("virtual junction" in line for line in road_map.assumptions)
    assert not any(found.successors for found in road_map.lanes)


def test_single_sided_sections_keep_the_other_side_going():
    left = section([lane(1, width=4.0), lane(0, "none")], 40.0, 'singleSide="true"')
    road_map = read(road(sections=TWO_WAY + left))
    lanes = by_id(road_map)
    assert sorted(lanes) == ["1:0:-1", "1:0:1", "1:1:-1", "1:1:1"]
    assert names(road_map, lanes["1:0:-1"], "successors") == {"1:1:-1"}
    assert np.ptp(road_map.lanes[lanes["1:1:1"]].left_xyz[:, 1] - road_map.lanes[lanes["1:1:1"]].right_xyz[:, 1]) == 0.0


def test_sections_of_no_length_pass_links_on():
    link = '<predecessor id="-1"/><successor id="-1"/>'
    parts = [section([lane(0, "none"), lane(-1, inside=link)], s) for s in (0.0, 50.0, 50.001)]
    road_map = read(road(sections="".join(parts)))
    lanes = by_id(road_map)
    assert sorted(lanes) == ["1:0:-1", "1:2:-1"]
    assert names(road_map, lanes["1:0:-1"], "successors") == {"1:2:-1"}
    assert any("section of length 0" in line for line in road_map.assumptions)


def test_priorities_say_who_yields():
    crossing = road(
        12, section([lane(0, "none"), lane(-1)]), plan(20, x=110, y=-10, hdg=math.pi / 2), 20.0, junction="7"
    )  # fmt: skip
    text = junction_file(more_roads=crossing).replace('name="j">', 'name="j"><priority high="12" low="10"/>')
    road_map = parse_opendrive(text, "j")
    lanes = by_id(road_map)
    rows = {(c.lane, c.other): c.yields for c in road_map.conflicts}
    assert rows[lanes["10:0:-1"], lanes["12:0:-1"]] is True
    assert rows[lanes["12:0:-1"], lanes["10:0:-1"]] is False


# ----------------------------------------------------------- kinds, marks and limits


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("driving", "driving"), ("onRamp", "driving"), ("slipLane", "driving"), ("mwyEntry", "driving"), ("bus", "bus"),
        ("biking", "biking"), ("sidewalk", "sidewalk"), ("walking", "sidewalk"), ("stop", "shoulder"), ("curb", "kerb"),
        ("parking", "parking"), ("median", "median"), ("tram", "rail"), ("roadWorks", "restricted"), ("none", "other"),
        ("hoverLane", "other"),
    ],
)  # fmt: skip
def test_lane_types(word: str, kind: str):
    road_map = read(road(sections=section([lane(0, "none"), lane(-1, word)])))
    assert road_map.lanes[0].kind == kind
    assert any("hoverLane" in line for line in road_map.assumptions) == (word == "hoverLane")


def test_access_narrows_a_driving_lane():
    bus = lane(-1, more='<access sOffset="0" rule="allow" restriction="bus"/>')
    closed = lane(-2, more='<access sOffset="0" rule="deny"><restriction type="passengerCar"/></access>')
    road_map = read(road(sections=section([lane(0, "none"), bus, closed])))
    assert [found.kind for found in road_map.lanes] == [LaneKind.BUS, LaneKind.RESTRICTED]


def test_reversed_and_two_way_lanes():
    reverse = lane(-1).replace("<lane ", '<lane direction="reversed" ')
    road_map = read(road(sections=section([lane(0, "none"), reverse, lane(-2)])))
    lanes = by_id(road_map)
    first, second = (road_map.lanes[lanes[f"1:0:{n}"]] for n in (-1, -2))
    assert first.center_xyz[0, 0] == pytest.approx(100.0)
    assert second.oncoming == lanes["1:0:-1"] and second.left == -1
    alone = read(road(sections=section([lane(0, "none"), lane(-1, "bidirectional")]))).lanes[0]
    assert alone.bidirectional and alone.kind is LaneKind.DRIVING
    middle = read(road(sections=section([lane(1), lane(0, "none"), lane(-1, "bidirectional"), lane(-2)])))
    assert middle.lanes[by_id(middle)["1:0:-1"]].kind is LaneKind.RESTRICTED


def marked(kind: str, change: str = "", side: int = -1) -> tuple[bool, bool]:
    """Two lanes of one direction with a mark between -> may the inner change outwards, the outer inwards?"""
    word = f'laneChange="{change}"' if change else ""
    mark = f'<roadMark sOffset="0" type="{kind}" color="white" width="0.12" {word}/>'
    road_map = read(road(sections=section([lane(0, "none"), lane(side, more=mark), lane(2 * side)])))
    lanes = by_id(road_map)
    inner, outer = road_map.lanes[lanes[f"1:0:{side}"]], road_map.lanes[lanes[f"1:0:{2 * side}"]]
    assert (inner.right, outer.left) == (lanes[f"1:0:{2 * side}"], lanes[f"1:0:{side}"])
    return inner.change_right, outer.change_left


def test_lane_changes_follow_the_mark_between():
    for side in (-1, 1):
        assert marked("broken", side=side) == (True, True)
        assert marked("solid", side=side) == (False, False)
        assert marked("none", side=side) == (True, True)
        assert marked("botts dots", side=side) == (True, True)
        assert marked("solid broken", side=side) == (False, True)
        assert marked("broken solid", side=side) == (True, False)
        assert marked("solid", "both", side=side) == (True, True)
        assert marked("broken", "none", side=side) == (False, False)
    assert marked("solid", "decrease") == (True, False)
    assert marked("solid", "increase") == (False, True)
    assert marked("solid", "increase", side=1) == (True, False)


def test_marks_are_cut_where_they_change_and_filled_in_where_they_are_silent():
    records = (
        '<roadMark sOffset="0" type="solid" color="yellow"/><roadMark sOffset="30" type="none" color="white"/>'
        '<roadMark sOffset="40" type="solid broken" color="standard" width="0.2"/>'
        '<roadMark sOffset="70" type="solid broken" color="standard" width="0.2"/>'
    )
    road_map = read(road(sections=section([lane(1, more=records), lane(0, "none"), lane(-1, more=MARK)])))
    solid, double = (mark for mark in road_map.marks if mark.kind != "broken")
    assert (solid.kind, solid.color, solid.width_m) == ("solid", "yellow", 0.12)
    assert sorted(solid.xyz[[0, -1], 0]) == pytest.approx([0.0, 30.0])
    assert (double.color, double.width_m) == ("white", 0.2)
    # On the left side the parts count from the centre outwards, so the line runs against s.
    assert double.xyz[[0, -1], 0] == pytest.approx([100.0, 40.0])
    assert double.xyz[:, 1] == pytest.approx(3.5)
    assert any("roadMark width missing (once" in line and "0.12 m" in line for line in road_map.assumptions)


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ('<speed max="50" unit="km/h"/>', 50.0),
        ('<speed max="30" unit="mph"/>', 48.28),
        ('<speed max="10" unit="m/s"/>', 36.0),
        ('<speed max="13.89"/>', 50.0),
        ('<speed max="80"/>', 80.0),
        ('<speed max="no limit"/>', 130.0),
        ("", 30.0),
    ],
)
def test_speed_limits_of_roads(text: str, kmh: float):
    road_map = read(road(before=f'<type s="0" type="townLocal">{text}</type>'))
    assert road_map.lanes[0].speed_limit_mps * 3.6 == pytest.approx(kmh, abs=0.01)


def test_speed_limits_of_lanes_and_of_what_says_none():
    own = lane(-1, more='<speed sOffset="0" max="20" unit="km/h"/><speed sOffset="10" max="60" unit="km/h"/>')
    road_map = read(road(sections=section([lane(0, "none"), own])))
    assert road_map.lanes[0].speed_limit_mps == pytest.approx(60 / 3.6)
    town = '<type s="0" type="town"><speed max="40" unit="km/h"/></type>'
    text = junction_file().replace('<planView><geometry s="0" x="0"', town + '<planView><geometry s="0" x="0"', 1)
    joined = parse_opendrive(text, "j")
    assert joined.lanes[by_id(joined)["10:0:-1"]].speed_limit_mps == pytest.approx(40 / 3.6)
    assert any("that of the lanes it joins" in line for line in joined.assumptions)


# ------------------------------------------------------------- files as they come


def test_files_come_packed_with_namespaces_and_without_headers(tmp_path):
    text = xodr(road(), header="", root='<OpenDRIVE xmlns="http://code.asam.net/simulation/standard/opendrive_schema">')
    path = tmp_path / "town.xodr.gz"
    path.write_bytes(gzip.compress(text.encode()))
    road_map = read_opendrive(path)
    assert (road_map.name, len(road_map.lanes)) == ("town", 2)
    assert any("<header> missing" in line for line in road_map.assumptions)
    plain = tmp_path / "town.xodr"
    plain.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_opendrive(plain).lanes[0].id == "1:0:1"


def origin(text: str, offset: str = "") -> tuple[float, float] | None:
    header = f"<header><geoReference><![CDATA[{text}]]></geoReference>{offset}</header>"
    return read(road(), header=header).origin_lat_lon


def test_origins_come_from_the_georeference():
    assert origin("+proj=tmerc +lat_0=48.5 +lon_0=9 +k=1 +x_0=0 +y_0=0") == pytest.approx((48.5, 9.0))
    # Eastings and northings of zone 32 by the UTM projector (GeographicLib) of the lanelet2 wheel.
    for lat_lon, x, y in (
        ((49.0069, 8.4037), 456391.2464, 5428394.1066),
        ((35.9, 7.1), 328531.6847, 3974524.5280),
        ((59.3, 11.2), 625279.1411, 6575526.4587),
    ):
        found = origin("+proj=utm +zone=32 +datum=WGS84", f'<offset x="{x}" y="{y}" z="0" hdg="0"/>')
        assert found == pytest.approx(lat_lon, abs=1e-8)
        same = f"+proj=tmerc +lat_0=0 +lon_0=9 +k=0.9996 +x_0={500000 - x} +y_0={-y}"
        assert origin(same) == pytest.approx(lat_lon, abs=1e-8)
    assert origin("+proj=utm +zone=32 +datum=WGS84") is None
    assert origin("+proj=utm +lat_0=37.3 +lon_0=-122.1 +zone=32") == pytest.approx((37.3, -122.1))
    assert origin("EPSG:4326") is None
    assert origin("") is None


def test_far_coordinates_keep_their_precision():
    found = read(road(geometry=plan(100, x=691000.25, y=5335000.5, shape='<arc curvature="0.01"/>'))).lanes[1]
    assert found.left_xyz[-1, 0] == pytest.approx(691000.25 + 100 * math.sin(1.0), abs=1e-6)


BROKEN = {
    "not well-formed": "<OpenDRIVE><road>",
    "not <OpenDRIVE>": "<osm></osm>",
    "no <road> with lanes": xodr(),
    "lacks attribute 'x'": xodr(road(7, geometry=LINE.replace('x="0" ', ""))),
    'hdg="north"': xodr(road(7, geometry=LINE.replace('hdg="0"', 'hdg="north"'))),
    "is not a finite number": xodr(road(7, geometry=LINE.replace('y="0"', 'y="nan"'))),
    "length -5 is negative": xodr(road(7, geometry=LINE.replace('"100"', '"-5"'))),
    "length 1e+09 m is beyond any road": xodr(road(7, geometry=LINE.replace('"100"', '"1e9"'))),
    "curvature 99 1/m": xodr(road(7, geometry=plan(100, shape='<arc curvature="99"/>'))),
    "curvature": xodr(road(7, geometry=plan(100, shape="<arc/>"))),
    "XML entities": '<!DOCTYPE x [<!ENTITY a "b">]>' + xodr(road()).partition("?>")[2],
}


@pytest.mark.parametrize("says", BROKEN)
def test_broken_files_say_where_and_what(says: str):
    with pytest.raises(OpenDriveError) as error:
        parse_opendrive(BROKEN[says], "t", "t.xodr")
    assert says in str(error.value) and str(error.value).startswith("t.xodr")
    assert ("road 7, geometry 0" in str(error.value)) == ('id="7"' in BROKEN[says])


def test_numbers_beyond_any_road_name_their_lane():
    for text, says in (
        (
            xodr(road(7, section([lane(0, "none"), lane(-1, width=5000.0)]))),
            "road 7, section 0: lane -1 reaches 5000 m",
        ),
        (xodr(road(7, before='<elevationProfile><elevation s="0" a="1e7"/></elevationProfile>')), "elevation of 1e"),
        (xodr(road(7, geometry=plan(100, shape=CUBIC.replace("40", "4e6")))), "paramPoly3 at s 0 is"),
    ):
        with pytest.raises(OpenDriveError, match=says):
            parse_opendrive(text, "t")


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(OpenDriveError, match="no such file"):
        read_opendrive(tmp_path / "none.xodr")
    torn = tmp_path / "torn.xodr.gz"
    torn.write_bytes(gzip.compress(xodr(road()).encode())[:-20])
    with pytest.raises(OpenDriveError, match="gzip"):
        read_opendrive(torn)


def test_sloppy_files_are_read_and_the_repairs_listed():
    dot = '<geometry s="100" x="100" y="0" hdg="0" length="0"><line/></geometry>'
    road_map = read(
        road(1, geometry=LINE + dot, links='<successor elementType="road" elementId="99" contactPoint="start"/>'),
        road(1, geometry=plan(100, y=50)),
        road(2, geometry=plan(100, y=20), length=140.0),
        road(3, geometry=""),
        road(4, sections="", geometry=plan(100, y=80)),
        road(5, section([lane(0, "none"), lane(-1, width=""), lane(-3)]), plan(10, y=99), length=10.0),
        road(6, geometry=plan(60, y=150).replace('s="0" ', "") + plan(40, x=60, y=150).replace('s="0" ', "")),
        '<junction id="1"><connection id="0" incomingRoad="1" connectingRoad="88" contactPoint="start"/></junction>',
    )
    assert {found.id for found in road_map.lanes} == {"1:0:1", "1:0:-1", "2:0:1", "2:0:-1", "5:0:-3", "6:0:1", "6:0:-1"}
    said = "\n".join(road_map.assumptions)
    for words in (
        "geometry of length 0", "link to a road that is not there", "road id used twice", "length disagrees",
        "road without geometry", "road without lanes", "lane without width or border", "lane numbers with gaps",
        "connection to a road that is not there", "lane of no width", "geometry without s",
    ):  # fmt: skip
        assert words in said
    assert road_map.lanes[by_id(road_map)["2:0:-1"]].center_xyz[-1, 0] == pytest.approx(100.0)


def test_lanes_begin_where_they_have_width():
    grow = '<width sOffset="0" a="0" b="0" c="0" d="0"/><width sOffset="60" a="0" b="0.1" c="0" d="0"/>'
    road_map = read(road(sections=section([lane(0, "none"), lane(-1), lane(-2, width=grow)])))
    late = road_map.lanes[by_id(road_map)["1:0:-2"]]
    assert 59.0 < late.center_xyz[0, 0] < 60.5
    assert late.center_xyz[-1, 0] == pytest.approx(100.0)
