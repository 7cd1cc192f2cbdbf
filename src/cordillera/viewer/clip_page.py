"""A clip of a data set in; a page out that shows its videos, its map, and its labels on a timeline.

It is the page of a drive (`page.py`), whose sentences are the clip's labels, with three things more: keyframes, how
every cause stood its tests, and the other decisions that were possible, with their paths and outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cordillera.data.clip import Said
from cordillera.data.video import VideoWriter, read_frames
from cordillera.geometry import transform_of, transform_points
from cordillera.reasoning.counterfactual import Counterfactual
from cordillera.types import ReasoningTrace, RoadMap, Rollout
from cordillera.viewer.birdseye import BirdsEye
from cordillera.viewer.page import HERE, Extra, write_page
from cordillera.viewer.page_data import Json
from cordillera.viewer.record import camera_strip

STRIP_PX = 1280
CARDS = """
  <section class="card" id="labels" aria-label="Causes and their tests">
    <h2>Causes and how they stood their tests</h2>
    <div class="scroll"><table><thead><tr><th scope="col">Cause</th><th scope="col">Which</th>
      <th scope="col">Verdict</th><th scope="col" class="right">Effect</th>
      <th scope="col" class="right">Seen</th></tr></thead>
    <tbody id="tested"></tbody></table></div>
    <p class="quiet" id="notested">No cause was tested at this moment.</p>
  </section>
  <section class="card" id="alternatives" aria-label="Other decisions">
    <h2 id="othershead">Other decisions</h2>
    <ul id="others"></ul>
    <p class="quiet" id="noothers">They are listed for 6.4 s from each keyframe on; their paths show on the map.</p>
  </section>
"""


@dataclass(frozen=True, eq=False)
class ClipView:
    """What a page of a clip shows. Times of reasons and other decisions count from the start of the clip."""

    title: str
    rollout: Rollout
    road_map: RoadMap
    said: tuple[Said, ...]
    others: tuple[tuple[int, Counterfactual], ...]
    videos: tuple[tuple[str, Path], ...]  # a camera's name and its MP4
    facts: tuple[tuple[str, str], ...] = ()


def write_clip_page(view: ClipView, folder: Path) -> Path:
    """Write a clip's videos and its `index.html` into a folder; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    spoken = with_labels(view.rollout, view.said)
    _from_above(spoken, view.road_map, folder / "drive.mp4")
    if view.videos:
        _side_by_side(view.videos, folder / "cameras.mp4")
    return write_page(
        spoken, view.road_map, (), folder, "drive.mp4", "cameras.mp4" if view.videos else "", extra_of(view)
    )


def with_labels(rollout: Rollout, said: Sequence[Said]) -> Rollout:
    """A rollout and its labels, in order -> the rollout whose driver says the latest label at every step."""
    start, steps = rollout.scenario.initial.t_us, []
    for step in rollout.steps:
        given = [s for s in said if s.t_us + start <= step.state.t_us]
        trace = given[-1].trace if given else None
        decision = replace(step.output.decision, reasoning=_dated(trace, start) if trace else None)
        steps.append(replace(step, output=replace(step.output, decision=decision)))
    return replace(rollout, steps=tuple(steps))


def _dated(trace: ReasoningTrace, start: int) -> ReasoningTrace:
    return replace(trace, causes=tuple(replace(c, evidence_t_us=c.evidence_t_us + start) for c in trace.causes))


def extra_of(view: ClipView) -> Extra:
    """A clip -> its cards, and the values that they show."""
    keyframes = [
        {"t": s.t_us * 1e-6, "event": s.event or "keyframe", "text": s.trace.text} for s in view.said if s.keyframe
    ]
    labels = [
        {
            "t": s.t_us * 1e-6,
            "tested": [
                {
                    "kind": t.cause.kind, "relation": t.cause.relation, "target": t.cause.target,
                    "verdict": t.verdict, "effect": _number(t.effect_mps), "pixels": _number(t.pixels),
                }
                for t in s.tested
            ],
        }
        for s in view.said
    ]  # fmt: skip
    moments = [{"t": t_us * 1e-6, "others": list(_others(view, rows))} for t_us, rows in _by_time(view.others)]
    script, style = ((HERE / f"clip_page.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    data: Json = {"keyframes": keyframes, "labels": labels, "moments": moments}
    return Extra(CARDS, script, style, data, view.facts, view.title)


def _by_time(others: Sequence[tuple[int, Counterfactual]]) -> Iterator[tuple[int, list[tuple[int, Counterfactual]]]]:
    for t_us, rows in groupby(others, key=lambda row: row[0]):
        yield t_us, list(rows)


def _others(view: ClipView, rows: Sequence[tuple[int, Counterfactual]]) -> Iterator[Json]:
    """Other decisions of one moment, their paths in the page's metres."""
    states = [step.state for step in view.rollout.steps]
    start, origin = view.rollout.scenario.initial.t_us, np.round(states[0].ego.xyz[:2])
    for t_us, other in rows:
        ego = min(states, key=lambda s: abs(s.t_us - start - t_us)).ego
        xyz = transform_points(transform_of(ego.xyz, ego.quat_xyzw), other.trajectory.xyz)
        xy = np.vstack([ego.xyz[:2], xyz[::3, :2]]) - origin
        yield {
            "longitudinal": other.longitudinal.value if other.longitudinal else "",
            "lateral": other.lateral.value if other.lateral else "",
            "side": other.side,
            "outcome": other.outcome,
            "ended": other.ended_s,
            "xy": [round(float(v), 2) for v in xy.ravel()],
        }


def _from_above(rollout: Rollout, road_map: RoadMap, path: Path) -> None:
    """The drive seen from above, as a video."""
    view = BirdsEye(rollout.scenario, road_map)
    with VideoWriter(path, view.config.width, view.config.height) as writer:
        for step in rollout.steps:
            writer.add(view.draw(step))


def _side_by_side(videos: Sequence[tuple[str, Path]], path: Path) -> None:
    """Videos of one length -> one video of all of them beside each other, each under its name."""
    names = [name for name, _ in videos]
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        for shots in zip(*(read_frames(file) for _, file in videos), strict=True):
            images: list[NDArray[np.uint8]] = [image for _, image in shots]
            strip = camera_strip(names, images, STRIP_PX)
            if writer is None:
                writer = stack.enter_context(VideoWriter(path, strip.shape[1], strip.shape[0]))
            writer.add(strip)


def _number(value: float) -> float | None:
    """Rounded; None for what JSON cannot hold."""
    return round(float(value), 2) if np.isfinite(value) else None
