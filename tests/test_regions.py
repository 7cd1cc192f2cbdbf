"""Countries as data: the facts that differ, and that lights, paint and built roads follow them."""

from __future__ import annotations

import pytest

from cordillera.types import LightState
from cordillera.world.lights import compile_lights
from cordillera.world.maps import load_map
from cordillera.world.regions import MPH, REGIONS, region_of


def test_the_five_countries_differ_as_they_should():
    assert set(REGIONS) == {"US", "DE", "GB", "JP", "FR"}
    assert {code for code, region in REGIONS.items() if region.left_hand} == {"GB", "JP"}
    assert {code for code, region in REGIONS.items() if region.unit == "mph"} == {"US", "GB"}
    assert {code for code, region in REGIONS.items() if region.turn_on_red} == {"US"}
    assert {code for code, region in REGIONS.items() if region.red_amber_s > 0.0} == {"DE", "GB"}
    assert {code for code, region in REGIONS.items() if region.center_color == "yellow"} == {"US", "JP"}
    assert REGIONS["JP"].unsigned_priority == "left" and REGIONS["FR"].unsigned_priority == "right"
    for region in REGIONS.values():
        limits = region.limit_mps
        assert limits["residential"] <= limits["urban"] < limits["rural"] < limits["motorway"]


@pytest.mark.parametrize(
    ("code", "speed_mps", "shown"), [("DE", 14.2, 50 / 3.6), ("US", 14.2, 30 * MPH), ("GB", 17.0, 40 * MPH)]
)
def test_limits_are_those_that_signs_show(code: str, speed_mps: float, shown: float):
    assert REGIONS[code].round_limit_mps(speed_mps) == pytest.approx(shown)


@pytest.mark.parametrize("code", sorted(REGIONS))
def test_lights_show_red_amber_where_the_country_has_it(code: str):
    region = REGIONS[code]
    road_map = load_map(f"built:four_way,side={region.side},region={code}")
    plan = compile_lights(road_map, 1, code)
    light = next(i for i, s in enumerate(road_map.signals) if s.kind == "traffic_light")
    shown = [int(plan.states(k * 100_000)[light]) for k in range(int(plan.period_us[light]) // 100_000)]
    assert shown.count(LightState.RED_AMBER) * 0.1 == pytest.approx(region.red_amber_s, abs=0.11)


@pytest.mark.parametrize("code", sorted(REGIONS))
def test_built_roads_are_painted_as_in_the_country(code: str):
    region = REGIONS[code]
    road_map = load_map(f"built:straight,side={region.side},region={code}")
    colors = {mark.color for mark in road_map.marks if mark.kind == "broken"}
    assert colors == {region.center_color} and road_map.traffic_side == region.side


def test_unknown_regions_are_named():
    assert region_of("", "left").code == "JP" and region_of("GB").name == "United Kingdom"
    with pytest.raises(ValueError, match="'XX'"):
        region_of("XX")
