"""The page of a drive: self-contained, safe with any text, and true to the rollout."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cordillera.evaluate.metrics import all_metrics, states_of
from cordillera.loop import roll_out
from cordillera.policy.baselines import ConstantVelocity
from cordillera.policy.rule import RuleExpert
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import LightState, RoadMap, Rollout, Verdict
from cordillera.viewer.page import page_data, write_page
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


@pytest.fixture(scope="module")
def drive() -> tuple[Rollout, RoadMap]:
    scenario = make_scenario("built:four_way", seed=3, duration_s=4.0)
    world = World(scenario)
    return roll_out(scenario, world, Observer(), SafeDriver(RuleExpert())), world.map


class Elements(HTMLParser):
    """Collects tags with attributes, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def parse(path: Path) -> tuple[Elements, dict]:
    elements = Elements()
    elements.feed(path.read_text(encoding="utf-8"))
    data = next(text for attrs, text in elements.scripts if attrs.get("type") == "application/json")
    return elements, json.loads(data)


def test_the_page_needs_nothing_else(drive, tmp_path: Path):
    (tmp_path / "drive.mp4").write_bytes(b"\0\1\2")
    page = write_page(*drive, all_metrics(*drive), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "@@" not in text and not re.search(r"https?://(?!www\.w3\.org/)|@import", text)
    elements, _ = parse(page)
    addresses = [attrs[key] or "" for _, attrs in elements.tags for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert [text for attrs, text in elements.scripts if attrs.get("id") == "video-source"] == ["AAEC"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drive.mp4", "index.html"]


def test_only_the_pages_own_script_may_run(drive, tmp_path: Path):
    elements, _ = parse(write_page(*drive, (), tmp_path))
    policy = next(a["content"] for t, a in elements.tags if t == "meta" and "Security" in (a.get("http-equiv") or ""))
    run = [text for attrs, text in elements.scripts if attrs.get("type") in (None, "module", "text/javascript")]
    assert len(run) == 1 and policy
    seal = base64.b64encode(hashlib.sha256(run[0].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{seal}'" in policy


def test_a_large_video_is_linked(drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cordillera.viewer.page.EMBED_BYTES", 2)
    (tmp_path / "drive.mp4").write_bytes(b"\0\1\2")
    elements, _ = parse(write_page(*drive, (), tmp_path))
    assert [a.get("data-file") for a, _ in elements.scripts if a.get("id") == "video-source"] == ["drive.mp4"]


def test_the_data_are_those_of_the_rollout(drive):
    rollout, road_map = drive
    data = page_data(rollout, road_map, all_metrics(*drive))
    states, ego = states_of(rollout), data["ego"]
    count = len(states)
    assert len(data["t"]) == count and data["speedUnit"] == "km/h"
    assert {len(ego[name]) for name in ("x", "y", "yaw", "speed", "limit", "along", "side", "curvature")} == {count}
    for k in (0, count // 2, count - 1):
        state = states[k]
        assert ego["x"][k] + data["origin"][0] == pytest.approx(state.ego.xyz[0], abs=0.006)
        assert ego["speed"][k] == pytest.approx(state.ego.speed_mps, abs=0.006)
        near = np.hypot(*(state.agents.xyz[:, :2] - state.ego.xyz[:2]).T) < 120.0
        tracks = [a for a in data["agents"] if a["from"] <= k < a["from"] + a["count"]]
        assert {a["id"] for a in tracks} == set(state.agents.id[near & state.agents.valid].tolist())
    for name in ("longitudinal", "lateral", "verdicts"):
        edges = [(run["from"], run["to"]) for run in data[name]]
        assert edges[0][0] == 0 and edges[-1][1] == len(rollout.steps)
        assert all(a[1] == b[0] for a, b in pairwise(edges))
    for said in data["said"]:
        assert said["text"] == rollout.steps[said["to"] - 1].output.decision.reasoning.text


def test_lights_show_their_states_when_they_change(drive):
    rollout, road_map = drive
    data, states = page_data(rollout, road_map, ()), states_of(rollout)
    lights = [row for row in data["signals"] if row["kind"] == "traffic_light"]
    assert lights
    for row in lights:
        shown = [next(v for i, v in reversed(row["changes"]) if i <= k) for k in range(len(states))]
        assert shown == [LightState(int(state.signals[row["index"]])).name.lower() for state in states]


def test_text_from_outside_cannot_run(drive, tmp_path: Path):
    rollout, road_map = drive
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    rollout = replace(rollout, scenario=replace(rollout.scenario, map=evil), ended=f"error: {evil}")
    elements, _ = parse(write_page(rollout, replace(road_map, name=evil), (), tmp_path))
    plain, _ = parse(write_page(*drive, (), tmp_path))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in plain.tags]
    assert "innerHTML" not in "".join(text for _, text in elements.scripts)


def test_silent_drivers_interventions_and_miles(drive):
    rollout, road_map = drive
    scenario = replace(rollout.scenario, region="US", duration_s=0.5)
    silent = roll_out(scenario, World(scenario), Observer(), SafeDriver(ConstantVelocity()))
    hushed = [
        replace(s, output=replace(s.output, decision=replace(s.output.decision, reasoning=None))) for s in silent.steps
    ]
    clipped = [replace(s, output=replace(s.output, verdict=Verdict("clip", ("too fast",)))) for s in hushed[1:3]]
    mixed = replace(silent, steps=(hushed[0], *clipped, *hushed[3:]))
    data = page_data(mixed, road_map, ())
    assert data["speedUnit"] == "mph" and data["said"] == [] and data["longitudinal"][0]["value"] is None
    assert [(v["from"], v["to"], v["value"][0]) for v in data["verdicts"]][1] == (1, 3, "clip")


def test_one_step_is_enough_and_another_map_is_refused(drive, tmp_path: Path):
    rollout, road_map = drive
    one = replace(rollout, steps=rollout.steps[:1], final=rollout.steps[1].state)
    assert page_data(one, road_map, ())["t"] == [0.0, 0.1]
    assert write_page(one, road_map, (), tmp_path).is_file()
    with pytest.raises(ValueError, match="not on the map"):
        write_page(rollout, replace(road_map, sha256="0" * 64), (), tmp_path)
