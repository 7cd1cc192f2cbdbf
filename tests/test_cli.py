"""The command: from words on the command line to files in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cordillera.cli import main, parser
from cordillera.data.rollouts import read_rollout
from cordillera.data.video import read_frames


def test_a_drive_leaves_a_rollout_a_video_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "out"
    status = main(["drive", "--map", "built:curve", "--duration", "2", "--time", "dusk", "--output", str(folder)])
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
        (["--cameras", "front_wide"], "did you mean 'front_wide_120fov'?"),
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
