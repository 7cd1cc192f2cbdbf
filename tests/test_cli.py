"""The command: from words on the command line to files in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cordillera.cli import main, parser
from cordillera.data.rollouts import read_rollout
from cordillera.data.video import read_frames
from cordillera.types import CameraName


def test_a_drive_leaves_a_rollout_a_video_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "out"
    command = ["drive", "--map", "built:curve", "--duration", "2", "--time", "dusk", "--size", "96x54"]
    command += ["--sensor", "noisy"]
    status = main([*command, "--output", str(folder)])
    assert status == 0
    assert sorted(p.name for p in folder.iterdir()) == ["drive.mp4", "index.html", "rollout.npz"]
    rollout = read_rollout(folder / "rollout.npz")
    assert len(rollout.steps) == 20 and rollout.scenario.hour == 18.5
    assert len(list(read_frames(folder / "drive.mp4"))) == 20
    said = capsys.readouterr().out
    assert "Drove 2.0 s" in said and "real time" in said and "index.html" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "expret"], "did you mean 'expert'?"),
        (["--weather", "fogg"], "did you mean 'fog'?"),
        (["--cameras", "front-wid"], "did you mean 'front-wide'?"),
        (["--size", "480"], "WIDTHxHEIGHT"),
        (["--time", "noonish"], "write 14:30"),
        (["--time", "24:00"], "write 14:30"),
        (["--duration", "0"], "from 1 to 3600"),
        (["--duration", "nan"], "from 1 to 3600"),
        (["--seed", "-1"], "whole number"),
    ],
)
def test_wrong_words_name_the_right_ones(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["drive", *arguments])
    assert caught.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_wrong_map_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["drive", "--map", "karlsrue"]) == 2
    assert "'karlsruhe'" in capsys.readouterr().err
    broken = tmp_path / "broken.xodr"
    broken.write_text("<OpenDRIVE><road")
    assert main(["drive", "--map", str(broken)]) == 2
    assert "broken.xodr" in capsys.readouterr().err


@pytest.mark.parametrize(("word", "hour"), [("14:30", 14.5), ("7", 7.0), ("0:05", 5 / 60), ("night", 23.0)])
def test_times_of_day(word: str, hour: float):
    assert parser().parse_args(["drive", "--time", word]).time == pytest.approx(hour)


def test_maps_are_listed_and_described(capsys: pytest.CaptureFixture[str]):
    assert main(["maps", "kashiwanoha"]) == 0
    said = capsys.readouterr().out
    assert "kashiwanoha" in said and "left" in said and "assumed:" in said


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_leaves_a_valid_shorter_result(tmp_path: Path):
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "cordillera", "drive", "--map", "built:curve", "--duration", "600"]
    command += ["--cameras", "none"]
    process = subprocess.Popen([*command, "--output", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = folder / ".drive.mp4.part"
    deadline = time.monotonic() + 240.0
    while not part.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    rollout = read_rollout(folder / "rollout.npz")
    assert rollout.ended == "interrupted" and 0 < len(rollout.steps) < 6000
    assert len(list(read_frames(folder / "drive.mp4"))) == len(rollout.steps)
    assert sorted(p.name for p in folder.iterdir()) == ["drive.mp4", "index.html", "rollout.npz"]
    assert b"interrupted" in out


def test_cameras_have_short_names():
    def given(word: str) -> tuple[str, ...]:
        return parser().parse_args(["drive", "--cameras", word]).cameras

    assert given("rear-tele,front-wide") == ("camera_rear_tele_30fov", "camera_front_wide_120fov")
    assert given("camera_front_tele_30fov") == ("camera_front_tele_30fov",)
    assert given("none") == () and sorted(given("all")) == sorted(name.value for name in CameraName)


def test_stills_come_with_classes_instances_depth_and_an_account(tmp_path: Path):
    command = ["render", "--map", "built:four_way", "--seed", "3", "--size", "160x90", "--weather", "fog"]
    assert main([*command, "--cameras", "front-tele", "--at", "0.5", "--output", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "stills.json").read_text())
    (camera,) = told["cameras"]
    assert (camera["name"], camera["width"], told["weather"], told["t_us"]) == (
        "camera_front_tele_30fov", 160, "fog", 500_000,
    )  # fmt: skip
    colour, classes, instance = (
        np.asarray(Image.open(tmp_path / f"{camera['name']}{kind}.png")) for kind in ("", ".semantic", ".instance")
    )
    depth = np.load(tmp_path / f"{camera['name']}.depth.npz")["depth"]
    assert colour.shape == (90, 160, 3) and depth.shape == classes.shape == instance.shape == (90, 160)
    assert (np.isinf(depth) == (classes == told["classes"]["sky"]["code"])).mean() > 0.99
    assert told["things"] and all(
        (instance == thing["instance"]).sum() == view["pixels"]
        for thing in told["things"]
        for view in thing["cameras"].values()
    )
    assert main(["render", "--cameras", "none"]) == 2
