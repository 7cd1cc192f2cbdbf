"""Maps by name, file and specification; every bundled map loads and holds together."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from cordillera.types import LaneKind
from cordillera.world.maps import bundled_maps, load_map

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "src" / "cordillera" / "assets" / "maps"
WANTED = {"karlsruhe", "kashiwanoha", "town01", "town02"}


def test_the_bundle_has_what_is_promised():
    assert set(bundled_maps()) >= WANTED
    assert list(bundled_maps()) == sorted(bundled_maps())


@pytest.mark.parametrize("name", bundled_maps())
def test_bundled_map_loads_and_its_indices_hold(name):
    road_map = load_map(name)
    assert road_map.name == name and re.fullmatch("[0-9a-f]{64}", road_map.sha256)
    assert sum(lane.kind is LaneKind.DRIVING for lane in road_map.lanes) >= 50
    assert road_map.traffic_side == (
        "left" if name in {"kashiwanoha", "ss2", "virtual_left", "virtual_city"} else "right"
    )
    count = len(road_map.lanes)
    for index, lane in enumerate(road_map.lanes):
        assert len(lane.center_xyz) == len(lane.left_xyz) == len(lane.right_xyz) >= 2
        assert np.isfinite(lane.center_xyz).all() and np.isfinite(lane.left_xyz).all() and lane.speed_limit_mps > 0
        assert all(-1 <= i < count for i in (lane.left, lane.right, lane.oncoming))
        assert all(index in road_map.lanes[i].predecessors for i in lane.successors)
        assert all(index in road_map.lanes[i].successors for i in lane.predecessors)
        assert lane.turn in {"straight", "left", "right", "u-turn"}
        for i in lane.successors:
            if lane.kind in (LaneKind.DRIVING, LaneKind.BUS):
                assert np.linalg.norm(road_map.lanes[i].center_xyz[0] - lane.center_xyz[-1]) < 0.1
    rows = {(c.lane, c.other): c for c in road_map.conflicts}
    assert len(rows) == len(road_map.conflicts)
    for (a, b), row in rows.items():
        assert rows[b, a].kind == row.kind and not (row.yields and rows[b, a].yields)
        assert row.s_m[0] <= row.s_m[1]
    for signal in road_map.signals:
        assert all(0 <= i < count for i in signal.lanes)
        assert all(0 <= i < len(road_map.stop_lines) for i in signal.stop_lines)


def test_twins_are_one_junction_driven_on_either_side():
    """The same surface in both files: drawn by the same border ways, with left and right exchanged."""
    left, right = load_map("virtual_left"), load_map("virtual_right")
    assert (left.traffic_side, right.traffic_side) == ("left", "right")
    by_left, by_right = ({lane.id: lane for lane in m.lanes} for m in (left, right))
    shared = by_left.keys() & by_right.keys()
    assert len(shared) >= 55
    swapped = 0
    for name in shared:
        a, b = by_left[name], by_right[name]
        swapped += bool(np.allclose(a.center_xyz[[0, -1]], b.center_xyz[[-1, 0]], atol=1e-9))
    assert swapped >= 50


def test_same_call_same_object_and_a_changed_file_is_read_again(tmp_path):
    assert load_map("karlsruhe") is load_map("karlsruhe")
    packed = (FOLDER / "kashiwanoha.osm.gz").read_bytes()
    plain = tmp_path / "copy.osm"
    plain.write_bytes(gzip.decompress(packed))
    first = load_map(plain)
    assert first is load_map(str(plain)) and first.name == "copy"
    assert first.sha256 == load_map("kashiwanoha").sha256
    plain.write_bytes(gzip.decompress(packed).replace(b'v="10"', b'v="20"'))
    os.utime(plain, ns=(1, 1))
    assert load_map(plain).lanes[0].speed_limit_mps == pytest.approx(20 / 3.6)


def test_built_roads_are_maps_as_well():
    assert load_map("built:straight").lanes


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("karlsruh", ["'karlsruh'", "'karlsruhe'", "town01"]),
        ("Town1", ["'town01'"]),
        ("zzz", ["zzz", "kashiwanoha", "built:"]),
        ("nowhere/map.osm", ["nowhere/map.osm", "no such file"]),
        ("nowhere/map.xodr.gz", ["no such file"]),
    ],
)
def test_wrong_names_get_the_nearest_right_one(name, parts):
    with pytest.raises(ValueError) as error:
        load_map(name)
    for part in parts:
        assert part in str(error.value)


def test_files_of_the_wrong_kind(tmp_path):
    text = tmp_path / "map.txt"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"\.osm, \.osm\.gz, \.xodr, \.xodr\.gz"):
        load_map(text)
    for name in ("bad.osm.gz", "bad.xodr.gz"):
        (tmp_path / name).write_bytes(gzip.compress(os.urandom(4000))[:2000])
        with pytest.raises(ValueError, match=re.escape(name)):
            load_map(tmp_path / name)


def test_every_bundled_file_is_credited_and_packed_for_good():
    table = (FOLDER / "MAPS.md").read_text(encoding="utf-8")
    third_party = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.gz"):
        name = path.name.split(".")[0]
        assert f"| `{name}` |" in table and name in third_party
        assert path.read_bytes()[4:8] == b"\0\0\0\0", "packed with a time stamp: not the same bytes on every run"
