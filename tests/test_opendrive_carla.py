"""OpenDRIVE maps against the carla wheel's map on two small files and one town; skipped where either is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "maps" / "opendrive"


@pytest.mark.parametrize(
    "name", ["esmini_fabriksgatan.xodr", "esmini_lane_offset_intersection.xodr", "carla_Town02.xodr.gz"]
)
def test_centres_widths_and_links_agree(name: str):
    pytest.importorskip("carla", reason="the carla wheel (extra dev) is not installed")
    if not (FOLDER / name).is_file():
        pytest.skip(f"no {name} beside the checkout")
    from benchmarks.maps_opendrive import compare

    row = compare(FOLDER / name)
    assert row.misses == 0
    assert row.points > 300 and row.links > 10
    assert row.center_max_m < 0.02 and row.width_max_m < 0.05 and row.gap_max_m < 0.1
    assert all("lane heights" in text for text in row.exceptions)


def test_every_file_beside_the_checkout_is_read():
    from cordillera.world.opendrive import read_opendrive

    paths = sorted(FOLDER.glob("esmini_*.xodr"))
    if not paths:
        pytest.skip("no OpenDRIVE files beside the checkout")
    for path in paths:
        road_map = read_opendrive(path)
        assert road_map.lanes
        assert road_map.traffic_side == ("left" if "lht" in path.name.lower() else "right")
