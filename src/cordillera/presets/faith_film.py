"""A telling event -> a film of both worlds side by side: as it was, and with one thing changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cordillera.data.video import VideoWriter
from cordillera.evaluate.faith_page import PairFilm
from cordillera.evaluate.faith_report import Telling
from cordillera.evaluate.faithful_scene import DrivenOn, Scene
from cordillera.evaluate.faithful_words import Spoken, understood
from cordillera.evaluate.suite_store import plain
from cordillera.presets.faith_case import FaithTask, scene_of
from cordillera.reasoning.intervene import Changes, changed_map
from cordillera.reasoning.label import LabelConfig
from cordillera.reasoning.removal import plain_cause
from cordillera.types import Decision, Observation, ReasoningTrace
from cordillera.viewer.birdseye import BirdsEye, ViewConfig
from cordillera.viewer.hud import badge, lay

Image = NDArray[np.uint8]
VIEW = ViewConfig(640, 760, 7.0)
ABOVE = 100  # rows of the view that are cut off: its caption, for which a panel is too narrow
FILM_S, HOLD = 6.0, 10  # what is driven, and frames for which the first picture stands still
GAP = 8
PLAIN, CHANGED = (206, 214, 222), (255, 205, 90)


@dataclass(frozen=True)
class Told:
    """A policy that is given the same words at every moment."""

    policy: Spoken
    words: str

    @property
    def name(self) -> str:
        return self.policy.name

    def decide(self, observation: Observation) -> Decision:
        """The plan under the words, with the words."""
        began = time.perf_counter()
        plan = self.policy.act_on(observation, self.words)
        said = understood(self.words, self.name) or ReasoningTrace(None, None, (), self.words, self.name)
        return Decision(plan, (), said, self.name, (time.perf_counter() - began) * 1e3)


def film_pair(task: FaithTask, case: Telling, folder: Path) -> PairFilm:
    """A measured event and what is to be seen in it -> the film, written into `folder`, with a picture for it."""
    scene, k = scene_of(task), task.event.k
    changes = _changes(scene, k, case.target)
    left = scene.drive_on(k, (), FILM_S)
    if case.words and isinstance(scene.policy, Spoken):
        right, name = scene.drive_on(k, (), FILM_S, Told(scene.policy, case.words)), "Told the opposite"
    else:
        cause = plain_cause(case.target, scene.drive.world.map, scene.drive.states[k]) if changes else None
        name = f"Without the {cause.kind}" if cause else "The same again"
        right = scene.drive_on(k, changes, FILM_S)
    event = case.measured.event
    path = folder / f"{case.kind}-{plain(event.family)}-{event.seed}-{event.k}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = list(_frames(scene, left, right, name, changes))
    with VideoWriter(path, frames[0].shape[1], frames[0].shape[0]) as video:
        for frame in [frames[0]] * HOLD + frames:
            video.add(frame)
    small = cv2.resize(frames[0], (frames[0].shape[1] * 3 // 4, frames[0].shape[0] * 3 // 4),
                       interpolation=cv2.INTER_AREA)[..., ::-1]  # fmt: skip
    poster = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 78])[1].tobytes()
    said = tuple(_said(drive) for drive in (left, right))
    return PairFilm(case, path, poster, name, said[0], said[1])


def _changes(scene: Scene, k: int, target: str) -> Changes:
    """A thing -> what takes it out of the world."""
    if not target:
        return ()
    cause = plain_cause(target, scene.drive.world.map, scene.drive.states[k])
    change = scene.drive.removal(k, replace(cause, target=target), LabelConfig())
    return (change,) if change is not None else ()


def _frames(scene: Scene, left: DrivenOn, right: DrivenOn, name: str, changes: Changes) -> list[Image]:
    """Two drives from one moment -> frames of both, side by side, for as long as the longer one goes on."""
    scenario, original = scene.rollout.scenario, scene.drive.world.map
    panels = []
    for drive, title, colour, road_map in (
        (left, "As it was", PLAIN, original), (right, name, CHANGED, changed_map(original, changes)),
    ):  # fmt: skip
        view, mark = BirdsEye(scenario, road_map, VIEW), badge(title, colour)
        drawn = []
        for step in drive.steps:
            frame = view.draw(step)[ABOVE:].copy()
            lay(frame, mark, (frame.shape[1] - mark.shape[1]) // 2, 14)
            drawn.append(frame)
        panels.append(drawn)
    between = np.full((VIEW.height - ABOVE, GAP, 3), 255, dtype=np.uint8)
    count = max(len(drawn) for drawn in panels)
    return [np.hstack([panels[0][min(n, len(panels[0]) - 1)], between, panels[1][min(n, len(panels[1]) - 1)]])
            for n in range(count)]  # fmt: skip


def _said(drive: DrivenOn) -> str:
    trace = drive.steps[0].output.decision.reasoning
    return trace.text if trace else ""
