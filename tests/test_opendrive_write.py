"""A map written as OpenDRIVE and read back by our own reader is the same road network."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from scipy.spatial import KDTree

from cordillera.geometry import resample
from cordillera.types import RoadMap
from cordillera.world.maps import load_map
from cordillera.world.opendrive.reader import parse_opendrive
from cordillera.world.opendrive.write import write_opendrive

MAPS = ("built:four_way", "built:roundabout,side=left", "built:merge", "virtual_left", "virtual_right")


@pytest.fixture(scope="module", params=MAPS)
def pair(request: pytest.FixtureRequest) -> tuple[RoadMap, RoadMap]:
    before = load_map(request.param)
    return before, parse_opendrive(write_opendrive(before), "again")


def matched(before: RoadMap, after: RoadMap) -> list[int]:
    """Each lane of the first map -> the lane of the second that starts, passes and ends where it does."""

    def key(lane) -> np.ndarray:
        return resample(lane.center_xyz[:, :2], 1e9)[[0, -1]].ravel().tolist() + _middle(lane.center_xyz)

    tree = KDTree(np.array([key(lane) for lane in after.lanes]))
    return [int(tree.query(np.array(key(lane)))[1]) for lane in before.lanes]


def _middle(line: np.ndarray) -> list[float]:
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1))])
    return [float(np.interp(0.5 * s[-1], s, line[:, i])) for i in range(2)]


def test_every_lane_comes_back_with_its_kind_and_limit(pair: tuple[RoadMap, RoadMap]) -> None:
    before, after = pair
    twin = matched(before, after)
    assert len(after.lanes) == len(before.lanes)
    assert sorted(twin) == list(range(len(after.lanes)))
    assert after.traffic_side == before.traffic_side
    for lane, k in zip(before.lanes, twin, strict=True):
        assert after.lanes[k].kind is lane.kind
        assert after.lanes[k].speed_limit_mps == pytest.approx(lane.speed_limit_mps, abs=1e-6)
        assert bool(after.lanes[k].junction) == bool(lane.junction)


def test_links_are_the_same_where_lanes_meet(pair: tuple[RoadMap, RoadMap]) -> None:
    before, after = pair
    twin = matched(before, after)
    for k, lane in enumerate(before.lanes):
        ends = {j: np.linalg.norm((before.lanes[j].center_xyz[0] - lane.center_xyz[-1])[:2]) for j in lane.successors}
        found = set(after.lanes[twin[k]].successors)
        assert found <= {twin[j] for j in lane.successors}
        assert found >= {twin[j] for j, gap in ends.items() if gap < 0.3}


def test_center_lines_stay_where_they_were(pair: tuple[RoadMap, RoadMap]) -> None:
    before, after = pair
    tree = KDTree(np.concatenate([resample(lane.center_xyz, 0.1) for lane in after.lanes]))
    away = np.concatenate([tree.query(lane.center_xyz)[0] for lane in before.lanes])
    assert np.percentile(away, 99) < 0.1  # half of which is the spacing of the points compared with
    assert away.max() < 0.5


def test_lanes_of_a_built_road_keep_width_neighbours_and_height() -> None:
    for name in ("built:merge", "built:four_way", "built:roundabout,side=left"):
        before = load_map(name)
        after = parse_opendrive(write_opendrive(before), "again")
        for lane, k in zip(before.lanes, matched(before, after), strict=True):
            other = after.lanes[k]
            assert (other.left >= 0, other.right >= 0) == (lane.left >= 0, lane.right >= 0)
            assert (other.change_left, other.change_right) == (lane.change_left, lane.change_right)
            assert (other.oncoming >= 0) == (lane.oncoming >= 0)
            for line, twin in ((lane.left_xyz, other.left_xyz), (lane.right_xyz, other.right_xyz)):
                away = KDTree(resample(twin, 0.05)).query(line)[0]
                assert away.max() < 0.25


def test_signals_regulate_the_same_lanes() -> None:
    before = load_map("built:four_way")
    after = parse_opendrive(write_opendrive(before), "again")
    twin = matched(before, after)
    assert Counter(s.kind for s in after.signals) == Counter(s.kind for s in before.signals)
    for signal in before.signals:
        near = min(after.signals, key=lambda s: float(np.linalg.norm(s.xyz - signal.xyz)) + (s.kind != signal.kind))
        assert np.linalg.norm(near.xyz - signal.xyz) < 0.2
        assert near.kind is signal.kind
        assert np.cos(near.yaw_rad - signal.yaw_rad) > 0.999
        assert set(near.lanes) == {twin[k] for k in signal.lanes}
        assert near.value == pytest.approx(signal.value, nan_ok=True)
    assert len(after.stop_lines) == len(before.stop_lines)
    for line in before.stop_lines:
        middle = line.xyz.mean(axis=0)
        assert min(float(np.linalg.norm(other.xyz.mean(axis=0) - middle)) for other in after.stop_lines) < 0.2
    assert len(after.crossings) == len(before.crossings)


def test_the_text_is_plain_opendrive() -> None:
    root = fromstring(write_opendrive(load_map("built:four_way")))
    assert root.tag == "OpenDRIVE"
    roads = {road.get("id") for road in root.findall("road")}
    junctions = {junction.get("id") for junction in root.findall("junction")}
    assert roads and junctions and not roads & junctions
    for connection in root.findall("junction/connection"):
        assert {connection.get("incomingRoad"), connection.get("connectingRoad")} <= roads
    for road in root.findall("road"):
        pieces = road.findall("planView/geometry")
        length = sum(float(piece.get("length", "nan")) for piece in pieces)
        assert length == pytest.approx(float(road.get("length", "nan")), abs=1e-6)
        for link in road.findall("link/*"):
            assert link.get("elementId") in (junctions if link.get("elementType") == "junction" else roads)


@pytest.mark.parametrize("name", ["built:four_way", "built:merge"])
def test_another_reader_finds_the_same_lanes_and_drives_on(name: str) -> None:
    carla = pytest.importorskip("carla")
    road_map = load_map(name)
    found = carla.Map(name, write_opendrive(road_map)).generate_waypoints(1.0)
    theirs = np.array([(p.transform.location.x, -p.transform.location.y) for p in found])
    driven = [lane for lane in road_map.lanes if lane.kind == "driving"]
    ours = np.concatenate([resample(lane.center_xyz[:, :2], 0.1) for lane in driven])
    assert KDTree(ours).query(theirs)[0].max() < 0.1
    assert KDTree(theirs).query(ours)[0].max() < 1.1  # they are a metre apart
    if name == "built:four_way":  # libcarla knows no direct junctions, which tie the lanes of the merge
        ends = sum(1 for lane in driven if not lane.successors)
        assert sum(not p.next(1.5) for p in found) <= 2 * ends
