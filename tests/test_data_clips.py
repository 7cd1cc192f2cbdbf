"""Clips: what is written comes back, to us, to the official devkit and to a loader of the published contract."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordillera.data import egomotion, layout
from cordillera.data.check import damaged_files, hub_view
from cordillera.data.clip import Clip, ClipMeta, Film, Said
from cordillera.data.read import ClipSet, open_set
from cordillera.data.video import VideoWriter
from cordillera.data.write import write_chunk, write_index
from cordillera.geometry import invert, quat_from_yaw, rotation_of, transform_of, transform_points, yaw_of
from cordillera.loop import roll_out
from cordillera.policy.baselines import RouteFollower
from cordillera.reasoning.counterfactual import Counterfactual
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.sensors.rig import rig
from cordillera.types import Cause, EgoState, Lateral, Longitudinal, ReasoningTrace, Rollout, Trajectory
from cordillera.world.maps import load_map
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World

MAP = "built:curve"
CAMERAS = ("camera_front_wide_120fov", "camera_front_tele_30fov")
SIZE = (64, 48)


def picture(number: int, shift: int) -> np.ndarray:
    """A smooth picture that tells its number: grey level 40 + number, a bar that moves."""
    image = np.full((SIZE[1], SIZE[0], 3), 40 + number, dtype=np.uint8)
    image[:, 8 + shift : 16 + shift] = 200
    return image


def film(camera, folder: Path, shift: int, offset_us: int) -> Film:
    path = folder / f"{camera.name}.mp4"
    with VideoWriter(path, *SIZE, crf=12) as video:
        for number in range(200):
            video.add(picture(number // 2, shift))
    return Film(camera, offset_us + 100_000 * np.arange(200), path.read_bytes())


def drive(seed: int, duration_s: float = 20.0) -> Rollout:
    scenario = make_scenario(MAP, seed, duration_s)
    rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(RouteFollower()))
    return longer(rollout, duration_s)


def longer(rollout: Rollout, duration_s: float) -> Rollout:
    """A drive that ended early -> the same, with the last state standing until the time is over."""
    steps, last = list(rollout.steps), rollout.final
    while last.t_us < duration_s * 1e6:
        stand = replace(last.ego, velocity_mps=np.zeros(3), accel_mps2=0.0, yaw_rate_radps=0.0)
        steps.append(replace(steps[-1], state=replace(last, ego=stand)))
        last = replace(last, t_us=last.t_us + 100_000, ego=replace(stand, t_us=last.t_us + 100_000))
    return replace(rollout, steps=tuple(steps), final=last)


def trace(text: str, distance_m: float = 12.5) -> ReasoningTrace:
    cause = Cause("lead vehicle", "agent:3", "ahead in the ego lane", 2_000_000, distance_m)
    return ReasoningTrace(Longitudinal.FOLLOW_LEAD, Lateral.LANE_KEEPING, (cause,), text, "expert")


def clip(seed: int, folder: Path) -> Clip:
    cameras = rig(CAMERAS, *SIZE)
    meta = ClipMeta(layout.clip_id_of(MAP, seed), "train", "DE", 6, 12, "clear", "everyday", MAP, seed)
    films = tuple(film(camera, folder, 4 * k + seed, 10_000 * k) for k, camera in enumerate(cameras.cameras))
    said = (Said(2_000_000, trace("Follow."), True), Said(2_500_000, trace("Follow on.", float("nan"))))
    path = Trajectory(100_000 * np.arange(1, 65), np.ones((64, 3)) * seed, quat_from_yaw(np.zeros(64)), "rig")
    other = 2_000_000, Counterfactual(Longitudinal.STOP, None, "", path, "safe", 6.4)
    return Clip(meta, drive(seed), load_map(MAP), cameras, films, said, (other,))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Clip]:
    return [clip(seed, tmp_path_factory.mktemp("films")) for seed in range(3)]


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("set")
    write_chunk(root, 0, clips[:2])
    write_chunk(root, 1, clips[2:])
    assert write_index(root) == 3
    return root


@pytest.fixture(scope="module")
def held(folder) -> ClipSet:
    return open_set(folder, cache=8)


def test_index_and_features(held, clips):
    assert held.clips() == [c.meta.clip_id for c in clips]
    assert held.clips("val") == []
    assert all(held.has(c.meta.clip_id, name) for c in clips for name in ("egomotion", *CAMERAS, "lane_map", "rollout"))
    assert not held.has(clips[0].meta.clip_id, "camera_rear_tele_30fov")


def test_motion_passes_through_the_states(held, clips):
    for made in clips:
        motion, states = held.motion(made.meta.clip_id), made.states
        tf = egomotion.local_frame(states[0].ego)
        t_us = np.array([s.t_us for s in states])
        xyz, quat = egomotion.poses_at(motion, t_us)
        assert np.abs(xyz - transform_points(tf, np.stack([s.ego.xyz for s in states]))).max() < 1e-9
        turned = yaw_of(quat) - (yaw_of(np.stack([s.ego.quat_xyzw for s in states])) - yaw_of(states[0].ego.quat_xyzw))
        assert np.abs(np.angle(np.exp(1j * turned))).max() < 1e-9
        assert np.abs(motion.xyz[0]).max() < 1e-12


def test_motion_between_states_is_the_circle_that_was_driven():
    """A car on a circle of 20 m at 8 m/s: between the states, too, it is within half a millimetre of it."""
    radius, speed = 20.0, 8.0
    states = []
    for k in range(21):
        yaw = speed / radius * 0.1 * k
        xyz = radius * np.array([np.sin(yaw), 1.0 - np.cos(yaw), 0.0])
        states.append(
            EgoState(100_000 * k, xyz, quat_from_yaw(yaw), np.array([speed, 0, 0]), 0.0, 1 / radius, speed / radius)
        )
    motion = egomotion.motion_of(states)
    away = np.hypot(motion.xyz[:, 0], motion.xyz[:, 1] - radius) - radius
    assert np.abs(away).max() < 5e-4
    assert np.abs(yaw_of(motion.quat_xyzw) - speed / radius * motion.t_us * 1e-6).max() < 1e-9
    accel = np.linalg.norm(motion.accel_mps2, axis=-1)
    assert np.abs(accel - speed**2 / radius).max() < 0.01
    middle = egomotion.state_at(motion, 1_005_000)
    assert abs(middle.speed_mps - speed) < 0.01
    assert abs(middle.yaw_rate_radps - speed / radius) < 1e-6


def test_sample_is_in_the_rig_frame_of_its_time(held, clips):
    made = clips[0]
    t0 = 3_000_000
    sample = held.sample(made.meta.clip_id, t0, CAMERAS)
    states = {s.t_us: s.ego for s in made.states}
    tf = invert(transform_of(states[t0].xyz, states[t0].quat_xyzw))
    past, future = sample.observation.ego_history, sample.future
    assert past.xyz.shape == (16, 3)
    assert future.xyz.shape == (64, 3)
    assert np.abs(past.xyz[-1]).max() < 1e-9
    assert past.t_us[-1] == t0
    assert future.t_us[0] == t0 + 100_000
    for k in (0, 30, 63):
        expected = transform_points(tf, states[int(future.t_us[k])].xyz)
        assert np.abs(future.xyz[k] - expected).max() < 1e-9
    assert abs(sample.observation.speed_mps - states[t0].speed_mps) < 1e-6
    route = sample.observation.route.xyz
    assert route[0, 0] >= 0.0
    assert np.hypot(*route[0, :2]) < 5.0
    assert sample.reasoning is None
    assert held.sample(made.meta.clip_id, 2_400_000).reasoning.text == "Follow."


def test_frames_are_the_latest_at_or_before(held, clips):
    sample = held.sample(clips[1].meta.clip_id, 5_000_000, CAMERAS)
    names = [camera.name for camera in sample.observation.cameras]
    assert names == ["camera_front_wide_120fov", "camera_front_tele_30fov"]
    wide, tele = sample.observation.images
    assert wide.shape == (4, SIZE[1], SIZE[0], 3)
    # the wide camera exposes at whole ticks, the tele one 10 ms later, so its frame of now is the one before
    assert sample.observation.image_t_us[0].tolist() == [4_700_000, 4_800_000, 4_900_000, 5_000_000]
    assert sample.observation.image_t_us[1].tolist() == [4_610_000, 4_710_000, 4_810_000, 4_910_000]
    for images, numbers, shift in ((wide, (47, 48, 49, 50), 1), (tele, (46, 47, 48, 49), 5)):
        for image, number in zip(images, numbers, strict=True):
            assert np.abs(image.astype(int) - picture(number // 2, shift)).mean() < 3.0


def test_traces_come_back_equal(held, clips):
    said = held.said(clips[2].meta.clip_id)
    assert [s.t_us for s in said] == [2_000_000, 2_500_000]
    assert [s.keyframe for s in said] == [True, False]
    assert said[0].trace.causes[0].target == "agent:3"
    assert said[0].trace.longitudinal is Longitudinal.FOLLOW_LEAD
    assert np.isnan(said[1].trace.causes[0].distance_m)


def test_rollout_comes_back_equal(held, clips, tmp_path):
    from cordillera.types import same

    assert same(held.rollout(clips[0].meta.clip_id, tmp_path), clips[0].rollout)


def test_the_same_clips_give_the_same_bytes(clips, folder, tmp_path):
    write_chunk(tmp_path, 0, clips[:2])
    ledgers = [(root / "world/chunks/chunk_0000.json").read_bytes() for root in (folder, tmp_path)]
    assert ledgers[0] == ledgers[1]


def test_a_chunk_without_its_ledger_is_not_there(clips, tmp_path):
    write_chunk(tmp_path, 0, clips[:1])
    write_chunk(tmp_path, 1, clips[1:2])
    (tmp_path / "world/chunks/chunk_0001.json").unlink()
    assert write_index(tmp_path) == 1
    assert open_set(tmp_path).clips() == [clips[0].meta.clip_id]


def test_damage_is_found_and_named(clips, tmp_path):
    write_chunk(tmp_path, 0, clips[:1])
    assert all(not wrong for _, wrong in damaged_files(tmp_path))
    broken = tmp_path / "labels/egomotion/egomotion.chunk_0000.zip"
    broken.write_bytes(broken.read_bytes()[:-40])
    (tmp_path / "world/route/route.chunk_0000.zip").unlink()
    wrong = dict(damaged_files(tmp_path))
    assert wrong["labels/egomotion/egomotion.chunk_0000.zip"] == "changed since it was written"
    assert wrong["world/route/route.chunk_0000.zip"] == "missing"
    write_index(tmp_path)
    with pytest.raises(ValueError, match=r"egomotion\.chunk_0000\.zip"):
        open_set(tmp_path).motion(clips[0].meta.clip_id)


def test_errors_name_the_remedy(held, clips, tmp_path):
    clip_id = clips[0].meta.clip_id
    with pytest.raises(ValueError, match=r"features\.csv"):
        open_set(tmp_path)
    with pytest.raises(ValueError, match="no clip"):
        held.motion("nowhere")
    with pytest.raises(ValueError, match="windows fit from 1600000"):
        held.sample(clip_id, 1_000_000)
    with pytest.raises(ValueError, match="no camera"):
        held.sample(clip_id, 2_000_000, ("camera_rear_tele_30fov",))
    with pytest.raises(ValueError, match="each of them once"):
        write_chunk(tmp_path, 0, [clips[0], clips[0]])


def test_public_sets_without_our_features(folder, clips, tmp_path):
    """A set with the public features alone, one with the key `cot`: no route, sentences from the public table."""
    for source in folder.rglob("*"):
        path = source.relative_to(folder)
        if source.is_file() and path.parts[0] != "world":
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(source.read_bytes())
    held = open_set(tmp_path)
    sample = held.sample(clips[0].meta.clip_id, 2_200_000, CAMERAS)
    assert len(sample.observation.route.xyz) == 0
    assert sample.reasoning.text == "Follow."
    assert sample.reasoning.longitudinal is None


DEVKIT = """
import io, json, sys
import numpy as np, physical_ai_av
root, clip, out = sys.argv[1:4]
data = physical_ai_av.PhysicalAIAVDatasetInterface(revision="a" * 40, repo_id="cordillera/test", cache_dir=root)
assert clip in data.clip_index.index
assert bool(data.feature_presence.at[clip, "egomotion"])
motion = data.get_clip_feature(clip, data.features.LABELS.EGOMOTION)
times = np.array([1_005_000, 7_000_000, 19_990_000])
state = motion(times)
video = data.get_clip_feature(clip, data.features.CAMERA.CAMERA_FRONT_TELE_30FOV)
images, stamps = video.decode_images_from_timestamps(np.array([4_999_999, 5_010_000]))
lenses = data.get_clip_feature(clip, data.features.CALIBRATION.CAMERA_INTRINSICS).camera_models
poses = data.get_clip_feature(clip, data.features.CALIBRATION.SENSOR_EXTRINSICS).sensor_poses
size = data.get_clip_feature(clip, data.features.CALIBRATION.VEHICLE_DIMENSIONS)
rays = np.random.default_rng(0).normal(size=(500, 3)); rays[:, 2] = np.abs(rays[:, 2]) + 0.6
lens = lenses["camera_front_wide_120fov"]
np.savez(out, times=times, xyz=state.pose.translation, quat=state.pose.rotation.as_quat(), velocity=state.velocity,
    images=images, stamps=stamps, rays=rays, pixels=lens.ray2pixel(rays), wheelbase=size.wheelbase,
    tele=poses["camera_front_tele_30fov"].as_matrix(),
    other=len(data.get_clip_feature(clip, "obstacle.offline")["obstacle.offline"]))
"""


def test_the_official_devkit_reads_what_we_wrote(folder, clips, tmp_path):
    pytest.importorskip("physical_ai_av")
    hub_view(folder, tmp_path / "hub", "cordillera/test", "a" * 40)
    made, out = clips[1], tmp_path / "seen.npz"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", DEVKIT, str(tmp_path / "hub"), made.meta.clip_id, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = np.load(out)
    ours = open_set(folder).motion(made.meta.clip_id)
    xyz, quat = egomotion.poses_at(ours, seen["times"])
    assert np.abs(seen["xyz"] - xyz).max() < 1e-3
    angle = 2.0 * np.arccos(np.clip(np.abs((seen["quat"] * quat).sum(-1)), -1.0, 1.0))
    assert np.degrees(angle).max() < 0.01
    assert seen["stamps"].tolist() == [4_910_000, 5_010_000]
    for image, number in zip(seen["images"], (49, 50), strict=True):
        assert np.abs(image.astype(int) - picture(number // 2, 5)).mean() < 3.0
    from cordillera.sensors.rig import project

    wide, tele = made.rig.cameras
    pixels, theta = project(wide, seen["rays"])
    off = (theta > 0.01) & (theta < 1.2)
    assert np.abs(pixels - seen["pixels"])[off].max() < 0.01
    assert np.abs(seen["tele"] - tele.tf_rig_camera).max() < 1e-9
    assert seen["wheelbase"] == made.rig.vehicle.wheelbase_m
    assert seen["other"] == sum(int(s.agents.valid.sum()) for s in made.states)


class Adapter:
    """The published loader's contract over a set of ours: `features` and `get_clip_feature`, no more."""

    class features:  # noqa: N801
        class CAMERA:
            CAMERA_FRONT_WIDE_120FOV = "camera_front_wide_120fov"

        class LABELS:
            EGOMOTION = "egomotion"

    def __init__(self, held: ClipSet) -> None:
        self.held = held

    def get_clip_feature(self, clip_id, feature, maybe_stream=False):
        if feature == "egomotion":
            return self.held.motion(clip_id)
        return lambda t_us: self.held.frames(clip_id, feature, t_us)


def test_a_loader_of_the_published_contract(held, clips):
    """History and future from egomotion alone, turned into the frame of t0, equal our samples."""
    data, clip_id, t0 = Adapter(held), clips[0].meta.clip_id, 4_000_000
    motion = data.get_clip_feature(clip_id, data.features.LABELS.EGOMOTION, maybe_stream=True)
    due = t0 + 100_000 * np.arange(-15, 65)
    xyz, quat = egomotion.poses_at(motion, due)
    back = rotation_of(quat[15]).T
    local = (xyz - xyz[15]) @ back.T
    sample = held.sample(clip_id, t0)
    assert np.abs(np.vstack([sample.observation.ego_history.xyz, sample.future.xyz]) - local).max() < 1e-9
    images, stamps = data.get_clip_feature(clip_id, data.features.CAMERA.CAMERA_FRONT_WIDE_120FOV)(due[12:16])
    assert images.shape == (4, SIZE[1], SIZE[0], 3)
    assert stamps.tolist() == due[12:16].tolist()


def test_the_public_reasoning_table_has_both_keys(folder):
    from cordillera.data.tables import from_bytes

    columns = from_bytes(io.BytesIO((folder / layout.OOD).read_bytes()).getvalue(), "ood")
    event = json.loads(columns["events"][0])[0]
    assert event["coc"] == event["cot"] == "Follow."
    assert event["event_start_timestamp"] == 2_000_000
    assert event["event_start_frame"] == 20
