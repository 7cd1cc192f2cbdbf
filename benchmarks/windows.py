"""Synthetic sliding observations and a grammar of short traces, for timing the models without a simulator."""

from __future__ import annotations

import numpy as np

from cordillera.policy.vla.grammar import TextGrammar
from cordillera.policy.vla.prompt import CLOSING
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.types import Camera, EgoState, Observation, Route, Trajectory

CAMERAS = ("camera_front_wide_120fov", "camera_front_tele_30fov", "camera_cross_left_120fov")


def observe(step: int, cameras: int = 2, frames: int = 4, size: tuple[int, int] = (180, 320)) -> Observation:
    """The window at a step of a drive at 8 m/s with a turn ahead; pixels depend on camera and stamp alone."""
    now = 5_000_000 + 100_000 * step
    stamps = now - 100_000 * np.arange(frames - 1, -1, -1)
    images = tuple(
        np.stack([np.random.default_rng([c, int(t)]).integers(0, 256, (*size, 3), np.uint8) for t in stamps])
        for c in range(cameras)
    )
    lens = tuple(
        Camera(name, "pinhole", size[1], size[0], size[1] / 2, size[0] / 2, (0.0, 160.0), (0.0, 0.006), np.eye(4))
        for name in CAMERAS[:cameras]
    )
    past = -np.arange(15, -1, -1)
    xyz = np.zeros((16, 3))
    xyz[:, 0] = 0.8 * past
    quat = np.tile([0.0, 0.0, 0.0, 1.0], (16, 1))
    ego = EgoState(now, np.zeros(3), quat[0], np.array([8.0, 0.0, 0.0]))
    route = Route(np.zeros((2, 3)), "left", "Turn left in 40 m", "rig")
    return Observation(
        now, lens, images, (stamps,) * cameras, Trajectory(now + 100_000 * past, xyz, quat, "rig"), ego, route
    )


ACTIONS = ("Yield to the", "Stop for the", "Keep the gap to the", "Slow down for the", "Change lane to pass the")
TARGETS = (" pedestrian", " cyclist", " lead vehicle", " parked truck", " bus", " barrier")
LINKS = (" since it is", " because it is")
REASONS = (" crossing ahead of the path", " stopped in the lane ahead", " slower ahead", " blocked and near")


def following(text: str) -> tuple[str, ...]:
    """The pieces that may follow: action, target, link, reason."""
    for pieces, after in ((ACTIONS, TARGETS), (TARGETS, LINKS), (LINKS, REASONS), (REASONS, ("",))):
        if text.endswith(pieces):
            return after
    return ACTIONS


def trace_grammar(tokenizer: VlaTokenizer) -> TextGrammar:
    """Traces of at most 16 tokens with their closing tokens, four choices each."""
    return TextGrammar(following, tokenizer.encode, tokenizer.encode(CLOSING))
