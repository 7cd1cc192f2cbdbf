"""Lights, signs, stop lines, crossings and objects of OpenDRIVE texts: where they stand and what they regulate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from opendrive_text import by_id, junction_file, lane, plan, read, road, section

from cordillera.types import RoadMap, SignalKind
from cordillera.world.opendrive import parse_opendrive
from cordillera.world.opendrive.signs import country_code, read_sign

NAN = float("nan")


def signal(
    number: int, s: float, t: float, code: str, orientation: str = "+", inside: str = "", more: str = "",
    tag: str = "signal",
) -> str:  # fmt: skip
    return (
        f'<{tag} id="{number}" s="{s}" t="{t}" orientation="{orientation}" type="{code}" country="DE" subtype="-1" '
        f"{more}>{inside}</{tag}>"
    )


def light(number: int, s: float, t: float, orientation: str = "+", inside: str = "", more: str = "") -> str:
    return signal(number, s, t, "1000001", orientation, inside, f'dynamic="yes" zOffset="3" height="0.8" {more}')


def signals(*texts: str) -> str:
    return f"<signals>{''.join(texts)}</signals>"


def thing(number: int, s: float, t: float, kind: str, more: str = "", inside: str = "") -> str:
    return f'<object id="{number}" type="{kind}" s="{s}" t="{t}" zOffset="0" {more}>{inside}</object>'


def objects(*texts: str) -> str:
    return f"<objects>{''.join(texts)}</objects>"


def ids(road_map: RoadMap, lanes: tuple[int, ...]) -> set[str]:
    return {road_map.lanes[i].id for i in lanes}


def yaw(angle: float) -> pytest.approx:
    return pytest.approx(angle, abs=1e-9)


# ------------------------------------------------------------------------- lights


def test_a_light_on_the_approach_regulates_the_junction_and_implies_a_line():
    road_map = parse_opendrive(
        junction_file(
            on_1=signals(light(5, 98, -4)), extra='<controller id="c1"><control signalId="5" type="0"/></controller>'
        ),
        "j",
    )
    (found,) = road_map.signals
    assert (found.kind, found.code, found.group) == (SignalKind.TRAFFIC_LIGHT, "DE:1000001", "c1")
    assert ids(road_map, found.lanes) == {"10:0:-1"}
    assert found.xyz == pytest.approx([98.0, -4.0, 3.4])
    assert abs(found.yaw_rad) == yaw(math.pi)
    (line,) = (road_map.stop_lines[i] for i in found.stop_lines)
    assert ids(road_map, line.lanes) == {"1:0:-1"}
    assert line.xyz[:, 0] == pytest.approx(99.7)
    assert sorted(line.xyz[:, 1]) == pytest.approx([-3.5, 0.0])


def test_the_other_orientation_means_the_other_traffic():
    back = parse_opendrive(junction_file(on_2=signals(light(6, 2, 4, "-"))), "j")
    assert ids(back, back.signals[0].lanes) == {"11:0:1"}
    assert back.signals[0].yaw_rad == yaw(0.0)
    both = parse_opendrive(junction_file(on_1=signals(signal(7, 40, -4, "274", "none", more='value="30"'))), "j")
    assert ids(both, both.signals[0].lanes) == {"1:0:-1", "1:0:1"}


def test_a_reference_places_a_light_and_a_lane_of_zero_silences_its_post():
    post = light(5, 10, -4, inside='<validity fromLane="0" toLane="0"/>')
    there = signal(5, 0.5, 0, "", "+", '<validity fromLane="-1" toLane="-1"/>', tag="signalReference")
    road_map = parse_opendrive(junction_file(on_2=signals(post), on_10=signals(there)), "j")
    (found,) = road_map.signals
    assert ids(road_map, found.lanes) == {"10:0:-1"}
    assert ids(road_map, road_map.stop_lines[found.stop_lines[0]].lanes) == {"1:0:-1"}
    assert found.xyz[0] == pytest.approx(130.0)


def test_files_with_turned_orientations_are_recognised():
    turned = signals(
        light(1, 98, -4, "-", '<validity fromLane="-1" toLane="-1"/>', 'hOffset="0.1"'),
        signal(2, 40, -4, "206", "-"),
        signal(3, 60, 4, "206", "+", more='hOffset="3.14159265358979"'),
    )
    road_map = parse_opendrive(junction_file(on_1=turned), "j")
    first, second, third = road_map.signals
    assert ids(road_map, first.lanes) == {"10:0:-1"}
    assert first.yaw_rad == yaw(0.1 - math.pi)
    assert ids(road_map, second.lanes) == {"1:0:-1"}
    assert ids(road_map, third.lanes) == {"1:0:1"}
    assert third.yaw_rad == yaw(0.0)
    assert any("orientation" in line for line in road_map.assumptions)


def test_a_light_amid_a_road_stops_traffic_where_it_stands():
    road_map = read(road(more=signals(light(1, 40, -4))))
    (found,) = road_map.signals
    assert ids(road_map, found.lanes) == {"1:0:-1"}
    assert road_map.stop_lines[found.stop_lines[0]].xyz[:, 0] == pytest.approx(39.7)


def test_implied_lines_keep_clear_of_crossings():
    walk = thing(9, 96, 0, "crosswalk", 'length="8" width="3" hdg="1.570796326794897"')
    road_map = parse_opendrive(junction_file(on_1=objects(walk) + signals(light(5, 98, -4))), "j")
    (crossing,) = road_map.crossings
    assert ids(road_map, crossing.lanes) == {"1:0:-1", "1:0:1"}
    assert crossing.outline_xyz[:, 0].min() == pytest.approx(94.5)
    at = road_map.stop_lines[road_map.signals[0].stop_lines[0]].xyz[:, 0]
    assert at == pytest.approx(93.5, abs=0.5)


# -------------------------------------------------------------- lines on the road


def test_painted_stop_lines_serve_their_lights():
    painted = signal(8, 95, -1.75, "294", more='width="3.5"')
    road_map = parse_opendrive(junction_file(on_1=signals(light(5, 98, -4), painted)), "j")
    (line,) = road_map.stop_lines
    assert line.id == "8" and line.xyz[:, 0] == pytest.approx(95.0)
    assert road_map.signals[0].stop_lines == (0,)
    assert len(road_map.signals) == 1


def test_stop_lines_drawn_as_objects():
    corner = '<outline><cornerLocal u="-1.7" v="0" z="0"/><cornerLocal u="1.7" v="0" z="0"/></outline>'
    line = thing(3, 97, -1.75, "-1", 'name="StopLine" hdg="-1.5707963267949" orientation="+"', corner)
    edge = thing(4, 50, -3.5, "-1", 'name="SolidSingleWhite" hdg="0" length="5" width="0.1"')
    road_map = parse_opendrive(junction_file(on_1=objects(line, edge) + signals(signal(1, 97, -4, "206"))), "j")
    assert [found.id for found in road_map.stop_lines] == ["3"]
    assert ids(road_map, road_map.stop_lines[0].lanes) == {"1:0:-1"}
    assert road_map.signals[0].kind is SignalKind.STOP and road_map.signals[0].stop_lines == (0,)
    assert [(found.id, found.kind) for found in road_map.objects] == [("4", "marking")]


def test_stop_painted_on_a_lane_is_a_stop_sign_unless_a_light_rules_there():
    word = thing(3, 94, -1.75, "-1", 'name="Stencil_STOP" length="2.5" width="2"')
    alone = parse_opendrive(junction_file(on_1=objects(word)), "j")
    assert [found.kind for found in alone.signals] == [SignalKind.STOP]
    assert ids(alone, alone.signals[0].lanes) == {"10:0:-1"}
    assert abs(alone.signals[0].yaw_rad) == yaw(math.pi)
    ruled = parse_opendrive(junction_file(on_1=objects(word) + signals(light(5, 98, -4))), "j")
    assert [found.kind for found in ruled.signals] == [SignalKind.TRAFFIC_LIGHT]


# -------------------------------------------------------------------------- signs


@pytest.mark.parametrize(
    ("country", "code", "subtype", "name", "value", "unit", "kind", "kmh"),
    [
        ("DE", "206", "-1", "", NAN, "", "stop", NAN),
        ("OpenDRIVE", "205", "", "", NAN, "", "give_way", NAN),
        ("DEU", "306", "", "", NAN, "", "priority", NAN),
        ("DE", "350", "10", "", NAN, "", "crossing", NAN),
        ("DE", "274", "-1", "", 80.0, "km/h", "speed_limit", 80.0),
        ("DE", "274", "56", "", -1.0, "", "speed_limit", 60.0),
        ("DE", "274", "70", "", NAN, "", "speed_limit", 70.0),
        ("DE", "274.1", "", "", NAN, "", "speed_limit", 30.0),
        ("se", "c", "31", "speed_50", 5.0, "", "speed_limit", 50.0),
        ("se", "b", "2", "", NAN, "", "stop", NAN),
        ("SWE", "B1", "1", "", NAN, "", "give_way", NAN),
        ("US", "R2-1", "", "", 35.0, "", "speed_limit", 56.327),
        ("US", "R1", "2", "", NAN, "", "give_way", NAN),
        ("USA", "R1-1", "", "", NAN, "", "stop", NAN),
        ("JP", "330", "", "", NAN, "", "stop", NAN),
        ("", "-1", "", "Sign_Yield", NAN, "", "give_way", NAN),
        ("", "", "", "Speed_30", NAN, "", "speed_limit", 30.0),
        ("FR", "xyz", "", "parking", NAN, "", "other", NAN),
    ],
)
def test_national_signs(country, code, subtype, name, value, unit, kind, kmh):
    sign, _ = read_sign(country, code, subtype, name, value, unit, dynamic=False)
    assert sign.kind == kind
    assert sign.value_mps * 3.6 == pytest.approx(kmh, abs=1e-3, nan_ok=True)


def test_lights_and_paint_among_signals():
    assert read_sign("", "1000001", "-1", "", NAN, "", True)[0].kind is SignalKind.TRAFFIC_LIGHT
    assert read_sign("", "1000002", "-1", "", NAN, "", True)[0].kind is SignalKind.PEDESTRIAN_LIGHT
    assert read_sign("", "x", "", "trafficLight", NAN, "", True)[0].kind is SignalKind.TRAFFIC_LIGHT
    assert read_sign("DE", "294", "", "", NAN, "", False)[0].painted == "stop line"
    assert read_sign("", "1000003", "", "SgRMCrosswalk-2Lanes", 4.0, "", False)[0].painted == "crossing"
    assert read_sign("US", "294", "", "", NAN, "", False)[0].painted == ""
    assert [country_code(name) for name in ("deu", "Sweden", "US", "OpenDRIVE", "")] == ["DE", "SE", "US", "", ""]


def test_a_give_way_sign_yields_and_its_country_names_the_region():
    crossing = road(
        12, section([lane(0, "none"), lane(-1)]), plan(20, x=110, y=-10, hdg=math.pi / 2), 20.0, junction="7"
    )
    text = junction_file(on_1=signals(signal(1, 97, -4, "205")), more_roads=crossing)
    road_map = parse_opendrive(text, "j")
    lanes = by_id(road_map)
    assert road_map.region == "DE"
    rows = {(c.lane, c.other): c.yields for c in road_map.conflicts}
    assert rows[lanes["10:0:-1"], lanes["12:0:-1"]] is True


def test_boards_written_as_objects_are_signs():
    board = thing(3, 30, -4, "-1", 'name="Speed_60" orientation="+" hdg="0"')
    road_map = read(road(more=objects(board)))
    (found,) = road_map.signals
    assert (found.kind, found.value * 3.6) == (SignalKind.SPEED_LIMIT, pytest.approx(60.0))
    assert ids(road_map, found.lanes) == {"1:0:-1"} and not road_map.objects


# ------------------------------------------------------------------------- objects


def test_objects_stand_turned_and_sized_as_written():
    tree = thing(1, 10, -8, "tree", 'radius="0.4" height="7" hdg="0.3"')
    house = thing(
        2, 50, 20, "building", 'height="9"',
        '<outlines><outline><cornerLocal u="-5" v="-3" z="0"/><cornerLocal u="5" v="-3" z="0"/>'
        '<cornerLocal u="5" v="3" z="0"/><cornerLocal u="-5" v="3" z="0"/></outline></outlines>',
    )  # fmt: skip
    lot = thing(
        3, 0, 0, "parkingSpace", "",
        '<outline><cornerRoad s="60" t="-4" dz="0"/><cornerRoad s="65" t="-4" dz="0"/>'
        '<cornerRoad s="65" t="-6" dz="0"/><cornerRoad s="60" t="-6" dz="0"/></outline>',
    )  # fmt: skip
    hdg = math.pi / 2
    road_map = read(road(geometry=plan(100, hdg=hdg), more=objects(tree, house, lot)))
    first, second, third = road_map.objects
    assert (first.kind, second.kind, third.kind) == ("tree", "building", "parking")
    assert first.xyz == pytest.approx([8.0, 10.0, 0.0]) and first.yaw_rad == yaw(hdg + 0.3)
    assert first.size_lwh == pytest.approx((0.8, 0.8, 7.0))
    assert second.size_lwh == pytest.approx((10.0, 6.0, 9.0)) and second.xyz == pytest.approx([-20.0, 50.0, 0.0])
    assert third.outline_xyz[0] == pytest.approx([4.0, 60.0, 0.0])
    assert third.xyz[:2] == pytest.approx([5.0, 62.5])


def test_repeated_objects_are_copied_or_cut_into_boxes():
    spread = 's="10" length="40" distance="20" tStart="-5" tEnd="-7" heightStart="3" heightEnd="5"'
    poles = thing(1, 0, -5, "pole", 'radius="0.1" height="3"', f"<repeat {spread}/>")
    along = 's="0" length="60" distance="0" tStart="5" tEnd="5" zOffsetStart="0" zOffsetEnd="0"'
    rail = thing(2, 0, 5, "guardRail", 'width="0.3" height="0.8"', f"<repeat {along}/>")
    road_map = read(road(geometry=plan(100, shape='<arc curvature="0.05"/>'), more=objects(poles, rail)))
    copies = [found for found in road_map.objects if found.kind == "pole"]
    assert [found.id for found in copies] == ["1", "1.1", "1.2"]
    assert [found.size_lwh[2] for found in copies] == pytest.approx([3.0, 4.0, 5.0])
    pieces = [found for found in road_map.objects if found.kind == "barrier"]
    assert sum(found.size_lwh[0] for found in pieces) == pytest.approx(60.0)
    radius = [np.hypot(found.xyz[0], found.xyz[1] - 20.0) for found in pieces]
    assert radius == pytest.approx([15.0] * len(pieces))
    assert max(found.size_lwh[0] for found in pieces) < 3.0


def test_crossings_by_band_and_without_any_size():
    band = thing(
        1, 0, 0, "crosswalk", "",
        '<outlines><outline><cornerRoad s="30" t="-4" dz="0"/><cornerRoad s="30" t="4" dz="0"/></outline></outlines>'
        '<markings><marking width="5"/></markings>',
    )  # fmt: skip
    road_map = read(road(more=objects(band, thing(2, 70, 0, "crosswalk"))))
    first, second = road_map.crossings
    assert np.ptp(first.outline_xyz, axis=0)[:2] == pytest.approx([5.0, 8.0])
    assert np.ptp(second.outline_xyz, axis=0)[:2] == pytest.approx([3.0, 8.0])
    assert any("crosswalk without outline" in line for line in road_map.assumptions)
