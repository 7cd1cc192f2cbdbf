"""The scene archive: what is in it, that it reads back, and that broken ones are refused with a reason."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cordillera.cli import main
from cordillera.geometry import transform_of
from cordillera.presets.world import recorded, xodr_of
from cordillera.sensors.rig import rig
from cordillera.serve.convert import camera_message
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import EPOCH_US, read_scene, tf_ecef_map, write_scene
from cordillera.types import Rollout, same
from cordillera.world.maps import load_map
from cordillera.world.opendrive.reader import parse_opendrive
from cordillera.world.scenarios import FAMILIES, make_family

RECIPE = SceneRecipe("built:four_way", 3, 4.0)
CAMERAS = ("camera_front_wide_120fov", "camera_front_tele_30fov")


@pytest.fixture(scope="module")
def drive() -> Rollout:
    return recorded(RECIPE)


@pytest.fixture(scope="module")
def archive(drive: Rollout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.usdz"
    cameras = rig(CAMERAS, 320, 180, vehicle=drive.scenario.vehicle)
    return write_scene(path, drive, load_map(RECIPE.map), xodr_of(RECIPE.map), RECIPE, cameras)


def test_the_archive_reads_back_as_the_drive(archive: Path, drive: Rollout) -> None:
    scene = read_scene(archive)
    states = [*(step.state for step in drive.steps), drive.final]
    assert scene.recipe == RECIPE
    assert same(scene.recipe.scenario(), drive.scenario)
    assert scene.ego_t_us == tuple(state.t_us + EPOCH_US for state in states)
    for tf, state in zip(scene.tf_world_rig, states, strict=True):
        assert_allclose(tf, transform_of(state.ego.xyz, state.ego.quat_xyzw), atol=1e-12)
    agents = drive.final.agents
    checked = 0
    for row in np.flatnonzero(agents.valid):
        name = str(int(agents.id[row]))
        if name in scene.tracks and scene.tracks[name][2][-1, 0] == drive.final.t_us + EPOCH_US:
            _, size, rows = scene.tracks[name]
            assert_allclose(size, agents.size_lwh[row])
            assert_allclose(rows[-1, 1:3], agents.xyz[row, :2])
            assert_allclose(rows[-1, 3], agents.xyz[row, 2] + 0.5 * size[2])
            checked += 1
    assert checked > 3


def test_cameras_come_back_and_are_where_the_runtime_takes_them_to_be(archive: Path, drive: Rollout) -> None:
    cameras = rig(CAMERAS, 320, 180, vehicle=drive.scenario.vehicle).cameras
    found = read_scene(archive).cameras
    assert len(found) == len(cameras)
    for a, b in zip(found, cameras, strict=True):
        assert same(replace(a, cx=b.cx, cy=b.cy), b)
        assert_allclose((a.cx, a.cy), (b.cx, b.cy), atol=1e-12)
    with zipfile.ZipFile(archive) as members:
        calibrations = json.loads(members.read("rig_trajectories.json"))["camera_calibrations"].values()
    for calibration, camera in zip(calibrations, cameras, strict=True):
        x, y = calibration["camera_model"]["parameters"]["principal_point"]
        # the first pixel's outer corner is (0, 0) there, its centre here: a picture's middle is half of its size
        assert (x, y) == (camera.cx + 0.5, camera.cy + 0.5)
        message = camera_message(camera).intrinsics.ftheta_param
        assert (x, y) == (message.principal_point_x, message.principal_point_y)


def test_a_family_is_a_recipe_too() -> None:
    name = next(iter(FAMILIES))
    scenario = SceneRecipe(seed=2, family=name).scenario()
    assert scenario.family == name
    assert same(scenario, make_family(name, 2, "test"))


def test_the_map_in_the_archive_is_the_road_network(archive: Path) -> None:
    before, after = load_map(RECIPE.map), parse_opendrive(read_scene(archive).xodr, "again")
    assert len(after.lanes) == len(before.lanes)
    assert sum(len(lane.successors) for lane in after.lanes) == sum(len(lane.successors) for lane in before.lanes)


def test_maps_from_opendrive_keep_their_file() -> None:
    text = xodr_of("town01")
    assert parse_opendrive(text, "town01").sha256 == load_map("town01").sha256


def test_members_are_what_the_runtime_reads(archive: Path, drive: Rollout) -> None:
    with zipfile.ZipFile(archive) as members:
        meta = json.loads(members.read("metadata.yaml"))
        rigs = json.loads(members.read("rig_trajectories.json"))
        mesh = members.read("mesh_ground.ply")
    assert meta["sensors"]["camera_ids"] == [*CAMERAS]
    (trajectory,) = rigs["rig_trajectories"]
    for name, frames in trajectory["cameras_frame_timestamps_us"].items():
        assert rigs["camera_calibrations"][name]["logical_sensor_name"] in CAMERAS
        assert all(isinstance(a, int) and 0 <= a < b for a, b in frames)
        assert [b for _, b in frames] == trajectory["T_rig_world_timestamps_us"]
    spec = drive.scenario.vehicle
    assert trajectory["rig_bbox"]["dim"] == [spec.length_m, spec.width_m, spec.height_m]
    vertices = sum(2 * len(lane.left_xyz) for lane in load_map(RECIPE.map).lanes)
    assert f"element vertex {vertices}\n".encode() in mesh


def test_the_same_drive_gives_the_same_bytes(archive: Path, drive: Rollout, tmp_path: Path) -> None:
    cameras = rig(CAMERAS, 320, 180, vehicle=drive.scenario.vehicle)
    other = write_scene(tmp_path / "b.usdz", drive, load_map(RECIPE.map), xodr_of(RECIPE.map), RECIPE, cameras)
    assert other.read_bytes() == archive.read_bytes()


def test_the_tangent_plane_of_a_geo_reference() -> None:
    text = "<geoReference><![CDATA[+proj=tmerc +lat_0=0 +lon_0=90 +k=1]]></geoReference>"
    tf = tf_ecef_map(text)
    assert_allclose(tf[:3, 3], [0.0, 6378137.0, 0.0], atol=1e-6)
    assert_allclose(tf[:3, :3], [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], atol=1e-12)
    pole = tf_ecef_map("<geoReference>+lat_0=90 +lon_0=0</geoReference>")
    assert_allclose(pole[:3, 3], [0.0, 0.0, 6356752.314245], atol=1e-5)
    assert_allclose(tf_ecef_map("<OpenDRIVE/>"), np.eye(4))


def test_broken_archives_are_refused_with_a_reason(archive: Path, drive: Rollout, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such scene archive"):
        read_scene(tmp_path / "none.usdz")
    cut = tmp_path / "cut.usdz"
    cut.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ValueError, match="damaged"):
        read_scene(cut)
    bare = tmp_path / "bare.usdz"
    with zipfile.ZipFile(bare, "w") as members:
        members.writestr("metadata.yaml", "{}")
    with pytest.raises(ValueError, match="not a scene of ours"):
        read_scene(bare)
    with pytest.raises(ValueError, match=r"\.usdz"):
        cameras = rig(CAMERAS, 320, 180)
        write_scene(tmp_path / "a.zip", drive, load_map(RECIPE.map), "", RECIPE, cameras)


def test_the_verb_writes_an_archive_and_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a.usdz"
    words = ["export-scene", "--map", "built:four_way", "--duration", "2", "--seed", "5"]
    assert main([*words, "--output", str(output)]) == 0
    assert read_scene(output).recipe == SceneRecipe("built:four_way", 5, 2.0)
    assert main([*words, "--output", str(tmp_path / "a.zip")]) == 2
    assert "ends in .usdz" in capsys.readouterr().err
    assert main([*words, "--cameras", "none", "--output", str(output)]) == 2
    assert "at least one camera" in capsys.readouterr().err
