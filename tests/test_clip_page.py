"""The page of a clip: what was labelled is what it shows, and its script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_data_clips import SIZE, drive, picture

from cordillera.data.clip import Said
from cordillera.data.video import VideoWriter
from cordillera.geometry import quat_from_yaw, transform_of, transform_points
from cordillera.reasoning import label as labels
from cordillera.reasoning.counterfactual import Counterfactual
from cordillera.reasoning.label import KEPT, UNSEEN
from cordillera.reasoning.schema import write
from cordillera.types import Cause, Lateral, Longitudinal, ReasoningTrace, Trajectory
from cordillera.viewer.clip_page import ClipView, with_labels, write_clip_page
from cordillera.world.maps import load_map

LEAD = Cause("lead vehicle", "agent:3", "stopped ahead", 100_000, 12.5, "longitudinal")
LIGHT = Cause("traffic light", "signal:0", "red at the stop line ahead", 200_000, float("nan"), "longitudinal", True)


def label(t_us: int, *causes: Cause, event: str = "") -> Said:
    trace = ReasoningTrace(Longitudinal.STOP, Lateral.LANE_KEEPING, causes, "", "expert")
    verdicts = ((KEPT, 3.21), (UNSEEN, np.nan))
    tested = tuple(labels.Tested(cause, verdicts[n][0], 50.0, verdicts[n][1]) for n, cause in enumerate(causes))
    return Said(t_us, replace(trace, text=write(trace)), bool(event), event, tested)


@pytest.fixture(scope="module")
def view(tmp_path_factory) -> ClipView:
    rollout = drive(0, 2.0)
    rollout = replace(rollout, steps=rollout.steps[:15])
    film = tmp_path_factory.mktemp("film") / "front.mp4"
    with VideoWriter(film, *SIZE) as writer:
        for number in range(15):
            writer.add(picture(number, 0))
    said = (label(0, LEAD), label(500_000, LEAD, LIGHT, event="stop for </script> light"), label(1_000_000, LIGHT))
    path = Trajectory(100_000 * np.arange(1, 65), np.outer(np.arange(64), [1.0, 0.5, 0.0]),
                      quat_from_yaw(np.zeros(64)), "rig")  # fmt: skip
    other = Counterfactual(Longitudinal.SET_SPEED, None, "", path, "collision", 2.5)
    videos = (("camera_front_wide_120fov", film), ("camera_front_tele_30fov", film))
    return ClipView("four way stop", rollout, load_map(rollout.scenario.map), said, ((500_000, other),), videos,
                    (("Clip", "abc"),))  # fmt: skip


@pytest.fixture(scope="module")
def page(view, tmp_path_factory) -> Path:
    return write_clip_page(view, tmp_path_factory.mktemp("page"))


def values(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_holds_labels_tests_and_other_decisions(view, page):
    data = values(page)
    assert [k["event"] for k in data["keyframes"]] == ["stop for </script> light"] and data["keyframes"][0]["t"] == 0.5
    assert [[t["verdict"] for t in row["tested"]] for row in data["labels"]] == [["kept"], ["kept", "unseen"], ["kept"]]
    assert data["labels"][1]["tested"][1]["effect"] is None and data["labels"][0]["tested"][0]["effect"] == 3.21
    (moment,) = data["moments"]
    assert moment["t"] == 0.5 and moment["others"][0]["outcome"] == "collision"
    ego, origin = view.rollout.steps[5].state.ego, np.array(data["origin"])
    far = transform_points(transform_of(ego.xyz, ego.quat_xyzw), view.others[0][1].trajectory.xyz[::3])[-1, :2] - origin
    assert moment["others"][0]["xy"][-2:] == pytest.approx(far.tolist(), abs=0.01)
    assert [(said["from"], said["to"]) for said in data["said"]] == [(0, 5), (5, 10), (10, 15)]
    text = page.read_text("utf-8")
    assert "<h1>four way stop</h1>" in text and text.count('id="cameras-source"') == 1
    assert "drive.mp4" in {p.name for p in page.parent.iterdir()}


def test_the_driver_says_the_latest_label(view):
    spoken = with_labels(view.rollout, view.said)
    said = [step.output.decision.reasoning for step in spoken.steps]
    assert [trace.text for trace in said if trace] == [
        view.said[0].trace.text if k < 5 else view.said[1 + (k >= 10)].trace.text for k in range(15)
    ]


def test_a_browser_runs_the_page(page, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium here")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}", f"{page.as_uri()}#t=0.7"],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    assert "Other decisions at 0.5 s" in done.stdout and "collision after 2.5 s" in done.stdout
    assert "not seen" in done.stdout and "50 px" in done.stdout, "how each cause stood its tests"
    assert done.stdout.count('class="flagmark"') == 1
