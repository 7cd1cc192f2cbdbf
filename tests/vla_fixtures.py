"""A tiny model, its tokenizer and sliding observations, for the tests of the model and its export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cordillera.policy.vla.config import DecoderConfig, VisionConfig, VlaConfig, nano
from cordillera.policy.vla.grammar import TextGrammar
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.types import Camera, EgoState, Observation, Route, Trajectory

CAMERAS = ("camera_front_wide_120fov", "camera_front_tele_30fov", "camera_rear_left_70fov")


def tiny(per_token: int = 1) -> VlaConfig:
    """Nano's vocabulary around towers of a few thousand parameters."""
    text = DecoderConfig(3, 32, 64, 4, 2, 16, (4, 2, 2))
    base = nano()
    return replace(
        base,
        vision=VisionConfig(2, 24, 48, 2, 32, (0,), num_position_embeddings=64),
        text=text,
        expert=replace(text, hidden_size=24, num_heads=2, intermediate_size=32),
        action_proj=replace(base.action_proj, hidden_size=16, waypoints_per_token=per_token),
        prompt=replace(base.prompt, min_pixels=4096, max_pixels=8192, max_tokens=600),
        flow_steps=3,
    )


def camera(name: str) -> Camera:
    return Camera(name, "pinhole", 96, 64, 47.5, 31.5, (0.0, 50.0), (0.0, 0.02), np.eye(4))


def observe(step: int = 0, cameras: int = 2, frames: int = 4, text: str = "", size=(64, 96)) -> Observation:
    """The window at a step of a drive at 8 m/s: each frame's pixels depend on its camera and stamp alone."""
    now = 5_000_000 + 100_000 * step
    stamps = now - 100_000 * np.arange(frames - 1, -1, -1)
    images = tuple(
        np.stack([np.random.default_rng([c, int(t)]).integers(0, 256, (*size, 3), np.uint8) for t in stamps])
        if frames
        else np.zeros((0, *size, 3), np.uint8)
        for c in range(cameras)
    )
    past = -np.arange(15, -1, -1)
    xyz = np.stack([0.8 * past, 0.01 * past**2, np.zeros(16)], axis=-1)
    quat = np.tile([0.0, 0.0, 0.0, 1.0], (16, 1))
    ego = EgoState(now, np.zeros(3), quat[0], np.array([8.0, 0.0, 0.0]))
    history = Trajectory(now + 100_000 * past, xyz, quat, "rig")
    route = Route(np.zeros((2, 3)), "follow", text, "rig")
    return Observation(
        now, tuple(camera(n) for n in CAMERAS[:cameras]), images, (stamps,) * cameras, history, ego, route
    )


def following(text: str) -> tuple[str, ...]:
    """A small language: an action, a link, a cause."""
    tree = {
        "": ("Yield to the", "Stop", "Keep the gap to the"),
        "Yield to the": (" pedestrian", " cyclist"),
        "Stop": (" since the traffic light is red", " since the road is blocked"),
        "Keep the gap to the": (" lead vehicle", " bus"),
    }
    return tree.get(text, ("",))


def grammar(tokenizer: VlaTokenizer) -> TextGrammar:
    closing = tokenizer.encode("<|cot_end|><|traj_future_start|>")
    return TextGrammar(following, tokenizer.encode, closing)
