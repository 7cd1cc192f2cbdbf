"""Observation -> prompt: token ids, image patches, rotary positions and history, checked before any model sees them.

What is not right is either an error that names the field, or a defined mask: a camera without frames is left out of
the prompt. A history whose stamps jitter is resampled to the 10 Hz grid.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cordillera.geometry import rotation_of
from cordillera.policy.vla.actions import history_to_tokens
from cordillera.policy.vla.config import PromptConfig, VisionConfig, VlaConfig
from cordillera.policy.vla.navigation import route_words
from cordillera.policy.vla.state import plan_state
from cordillera.policy.vla.tokenizer import VlaTokenizer
from cordillera.types import Observation, Trajectory

CAMERA_NAMES = {
    "camera_cross_left_120fov": "Front left camera",
    "camera_front_wide_120fov": "Front camera",
    "camera_cross_right_120fov": "Front right camera",
    "camera_rear_left_70fov": "Rear left camera",
    "camera_rear_tele_30fov": "Rear camera",
    "camera_rear_right_70fov": "Rear right camera",
    "camera_front_tele_30fov": "Front telephoto camera",
}
SYSTEM = "You are a driving assistant that generates safe and accurate actions."
INSTRUCTION = "output the chain-of-thought reasoning of the driving process, then output the future trajectory."
CLOSING = "<|cot_end|><|traj_future_start|>"  # what follows the reasoning
STEP_US = 100_000
MAX_GAP_US = 150_000  # a history with a longer gap between poses is not interpolated
MAX_STEP_M = 10.0  # 100 m/s: a longer step between poses is a jump of the localisation
PIXEL_MEAN = PIXEL_STD = 0.5

ImageKey = tuple[str, int, int]  # camera, time in us, checksum of the pixels


class BadObservation(ValueError):  # noqa: N818 - reads as what it is
    """An observation that the model must not be asked about; the text names the field and the remedy."""


@dataclass(frozen=True, eq=False)
class Target:
    """What training wants after the prompt: the reasoning's ids with their closing tokens, and the future's poses."""

    ids: NDArray[np.int64]
    future_xyz: NDArray[np.float64]  # (64, 3) rig frame of now
    future_rot: NDArray[np.float64]  # (64, 3, 3)


@dataclass(frozen=True, eq=False)
class Inputs:
    """One prompt. Images stand in prompt order; `patches[i]` is None where the caller already knows `keys[i]`."""

    ids: NDArray[np.int64]  # (S,) history fused in
    positions: NDArray[np.int64]  # (3, S) rotary: time, height, width
    next_position: int  # of the first generated token
    grids: tuple[tuple[int, int], ...]  # patches per image: rows, columns
    patches: tuple[NDArray[np.float32] | None, ...]  # (rows * columns, values) each
    keys: tuple[ImageKey, ...]
    history_xyz: NDArray[np.float64]  # (16, 3) rig frame of now
    history_rot: NDArray[np.float64]  # (16, 3, 3)
    target: Target | None = None
    state: NDArray[np.float32] | None = None  # (S,) where the expert reads it, see `state.plan_state`


def rotary_positions(
    ids: NDArray[np.int64], grids: Sequence[tuple[int, int]], image: int, merge: int
) -> tuple[NDArray[np.int64], int]:
    """Ids (S,) and the images' grids -> positions (3, S) and the next free position.

    Text advances all three axes by one a token. An image starts at the next free position p: its tokens keep time p
    and have height p + row, width p + column; the text after it goes on at the highest position + 1 (Qwen3-VL).
    """
    positions = np.zeros((3, len(ids)), np.int64)
    at, free = 0, 0
    starts = np.flatnonzero((ids == image) & np.concatenate([[True], ids[:-1] != image]))
    if len(starts) != len(grids):
        raise ValueError(f"{len(starts)} runs of image tokens in the prompt, but {len(grids)} images")
    for start, (rows, cols) in zip(starts, grids, strict=True):
        rows, cols = rows // merge, cols // merge
        count = rows * cols
        if start + count > len(ids) or not (ids[start : start + count] == image).all():
            raise ValueError(f"an image of {rows} x {cols} tokens does not fit its place in the prompt")
        positions[:, at:start] = free + np.arange(start - at)
        free += int(start) - at
        row, col = np.divmod(np.arange(count), cols)
        positions[:, start : start + count] = free + np.stack([np.zeros_like(row), row, col])
        free += max(rows, cols)
        at = int(start) + count
    positions[:, at:] = free + np.arange(len(ids) - at)
    return positions, free + len(ids) - at


def target_size(height: int, width: int, vision: VisionConfig, prompt: PromptConfig) -> tuple[int, int]:
    """Pixels of an image -> pixels (height, width) that it is resized to: whole tokens, area within the bounds."""
    unit = vision.patch_size * vision.spatial_merge_size
    if min(height, width) < 2 or max(height, width) > 200 * min(height, width):
        raise BadObservation(f"image of {width} x {height} pixels: too small or too elongated")
    tall, wide = round(height / unit) * unit, round(width / unit) * unit
    if tall * wide > prompt.max_pixels:
        shrink = math.sqrt(height * width / prompt.max_pixels)
        tall = max(unit, math.floor(height / shrink / unit) * unit)
        wide = max(unit, math.floor(width / shrink / unit) * unit)
    elif tall * wide < prompt.min_pixels:
        grow = math.sqrt(prompt.min_pixels / (height * width))
        tall, wide = math.ceil(height * grow / unit) * unit, math.ceil(width * grow / unit) * unit
    return tall, wide


def resized(image: NDArray[np.uint8], vision: VisionConfig, prompt: PromptConfig) -> NDArray[np.uint8]:
    """Image (H, W, 3) -> the same at the size that the model reads."""
    tall, wide = target_size(image.shape[0], image.shape[1], vision, prompt)
    if image.shape[:2] == (tall, wide):
        return image
    return np.asarray(Image.fromarray(image).resize((wide, tall), Image.Resampling.BICUBIC))


def to_patches(image: NDArray[np.uint8], vision: VisionConfig, prompt: PromptConfig) -> NDArray[np.float32]:
    """Image (H, W, 3) -> patches (rows * columns, values), blocks of merge x merge together, the frame repeated.

    Each row holds channel, frame, row, column of one patch, normalised to [-1, 1].
    """
    image = resized(image, vision, prompt)
    tall, wide = image.shape[:2]
    pixels = (image.astype(np.float32) / 255.0 - PIXEL_MEAN) / PIXEL_STD
    size, merge = vision.patch_size, vision.spatial_merge_size
    blocks = pixels.reshape(tall // size // merge, merge, size, wide // size // merge, merge, size, 3)
    blocks = blocks.transpose(0, 3, 1, 4, 6, 2, 5)  # block row, block column, row, column, channel, y, x
    frames = np.repeat(blocks[:, :, :, :, :, None], vision.temporal_patch_size, axis=5)
    return np.ascontiguousarray(frames.reshape(-1, vision.patch_values))


def prompt_text(cameras: Sequence[tuple[str, Sequence[int]]], history: int, route: str, question: str = "") -> str:
    """Cameras as (label, tokens of each frame) -> the chat up to where the model goes on.

    With a question the prompt asks for an answer, without history and plan; else for reasoning and a trajectory.
    """
    parts = [f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"]
    for label, frames in cameras:
        parts.append(label)
        for number, tokens in enumerate(frames):
            parts.append(f"frame {number} " if label else "")
            parts.append(f"<|vision_start|>{'<|image_pad|>' * tokens}<|vision_end|>")
    if question:
        parts.append(f"<|question_start|>{question}<|question_end|><|im_end|>\n<|im_start|>assistant\n<|answer_start|>")
        return "".join(parts)
    parts.append(f"<|traj_history_start|>{'<|traj_history|>' * history}<|traj_history_end|>")
    parts.append(f"<|route_start|>{route}<|route_end|>" if route else "")
    parts.append(f"{INSTRUCTION}<|im_end|>\n<|im_start|>assistant\n<|cot_start|>")
    return "".join(parts)


def fuse_history(ids: NDArray[np.int64], tokens: NDArray[np.int64], config: VlaConfig) -> NDArray[np.int64]:
    """Ids with placeholders and history tokens (48,) -> ids with the history in its place."""
    places = ids == config.ids.history
    if places.sum() != len(tokens):
        raise ValueError(f"{int(places.sum())} history placeholders in the prompt for {len(tokens)} tokens")
    fused = ids.copy()
    fused[places] = tokens + config.history_start
    return fused


def without_route(inputs: Inputs, config: VlaConfig) -> Inputs:
    """A prompt -> the same without its route span, for guidance; ValueError if it has none."""
    first = np.flatnonzero(inputs.ids == config.ids.route_start)
    last = np.flatnonzero(inputs.ids == config.ids.route_end)
    if len(first) == 0 or len(last) == 0:
        raise ValueError("guidance needs a prompt with navigation text; this observation's route.text is empty")
    ids = np.concatenate([inputs.ids[: first[0]], inputs.ids[last[0] + 1 :]])
    positions, free = rotary_positions(ids, inputs.grids, config.ids.image, config.vision.spatial_merge_size)
    past = inputs.history_xyz, inputs.history_rot
    state = plan_state(ids, *past, config) if config.action_proj.state else None
    return Inputs(ids, positions, free, inputs.grids, inputs.patches, inputs.keys, *past, state=state)


def check_history(history: Trajectory, t_us: int, poses: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ego history -> positions (poses, 3) and rotations (poses, 3, 3) at 10 Hz up to now, or BadObservation."""
    name = "ego_history"
    t, xyz, quat = history.t_us, np.asarray(history.xyz, np.float64), np.asarray(history.quat_xyzw, np.float64)
    if history.frame != "rig":
        raise BadObservation(f"{name}.frame is {history.frame!r}; express the history in the rig frame of now")
    if t.shape != (len(t),) or xyz.shape != (len(t), 3) or quat.shape != (len(t), 4) or len(t) < 2:
        raise BadObservation(f"{name}: shapes {t.shape}, {xyz.shape}, {quat.shape}; need (N,), (N, 3), (N, 4), N >= 2")
    if not (np.isfinite(xyz).all() and np.isfinite(quat).all()):
        raise BadObservation(f"{name} holds NaN or infinite values; drop the observation or repair the localisation")
    if (np.abs(np.linalg.norm(quat, axis=1) - 1.0) > 1e-3).any():
        raise BadObservation(f"{name}.quat_xyzw is not of unit length")
    if (np.diff(t) <= 0).any():
        raise BadObservation(f"{name}.t_us does not increase strictly; sort the poses and remove repeated ones")
    if np.linalg.norm(xyz[-1]) > 0.5 or abs(t[-1] - t_us) > STEP_US // 2:
        raise BadObservation(f"{name} must end now at the origin; it ends {t_us - t[-1]} us ago at {xyz[-1].round(2)}")
    grid = t_us - STEP_US * np.arange(poses - 1, -1, -1)
    if len(t) != poses or np.abs(t - grid).max() > 1000:
        if np.diff(t).max() > MAX_GAP_US or t[0] > grid[0] + STEP_US // 2:
            raise BadObservation(
                f"{name} has a gap or is too short: need {poses} poses at 10 Hz, gaps of at most 150 ms"
            )
        xyz = np.stack([np.interp(grid, t, xyz[:, axis]) for axis in range(3)], axis=-1)
        sign = np.cumprod(np.where((quat[1:] * quat[:-1]).sum(1) < 0.0, -1.0, 1.0))
        quat = quat * np.concatenate([[1.0], sign])[:, None]
        quat = np.stack([np.interp(grid, t, quat[:, axis]) for axis in range(4)], axis=-1)
        quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    if np.linalg.norm(np.diff(xyz, axis=0), axis=1).max() > MAX_STEP_M:
        raise BadObservation(f"{name} jumps by more than {MAX_STEP_M} m within 0.1 s; the localisation is broken")
    return xyz, rotation_of(quat)


def check_images(observation: Observation) -> None:
    """Raise BadObservation unless every camera has its frames (T, H, W, 3) uint8, with increasing stamps."""
    cameras, images, stamps = observation.cameras, observation.images, observation.image_t_us
    if not len(cameras) == len(images) == len(stamps):
        raise BadObservation(f"{len(cameras)} cameras, {len(images)} image arrays, {len(stamps)} stamp arrays")
    for camera, frames, t in zip(cameras, images, stamps, strict=True):
        name = f"images of {camera.name}"
        if not np.issubdtype(frames.dtype, np.integer) and not np.isfinite(frames).all():
            raise BadObservation(f"{name} hold NaN or infinite values")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise BadObservation(f"{name} are {frames.dtype} {frames.shape}; need uint8 (frames, height, width, 3)")
        if t.shape != (len(frames),):
            raise BadObservation(f"{name}: {len(frames)} frames but stamps of shape {t.shape}")
        if (np.diff(t) <= 0).any() or (len(t) and t[-1] > observation.t_us):
            raise BadObservation(f"{name}: stamps must increase and lie at or before the observation's time")
    if not any(len(frames) for frames in images):
        raise BadObservation("no camera has a frame; the model does not drive blind")


def chosen(observation: Observation, config: PromptConfig) -> Observation:
    """An observation -> with only the cameras and frames that the configuration reads, and its navigation."""
    keep = [k for k, camera in enumerate(observation.cameras) if not config.cameras or camera.name in config.cameras]
    if config.cameras and len(keep) < len(config.cameras):
        missing = set(config.cameras) - {camera.name for camera in observation.cameras}
        raise BadObservation(f"this model reads {', '.join(sorted(missing))}, which the observation lacks; add cameras")
    images, stamps = [observation.images[k] for k in keep], [observation.image_t_us[k] for k in keep]
    if config.frames:
        rows = [
            np.unique(np.linspace(len(t) - 1, 0, config.frames).round().astype(int)) if len(t) else [] for t in stamps
        ]
        images, stamps = (
            [i[r] for i, r in zip(images, rows, strict=True)],
            [t[r] for t, r in zip(stamps, rows, strict=True)],
        )
    route = observation.route
    if config.navigation == "line":
        route = replace(route, text=route_words(route.xyz))
    cameras = tuple(observation.cameras[k] for k in keep)
    return replace(observation, cameras=cameras, images=tuple(images), image_t_us=tuple(stamps), route=route)


class Prompt:
    """Builds prompts for one configuration and vocabulary."""

    def __init__(self, config: VlaConfig, tokenizer: VlaTokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer

    def encode(
        self,
        observation: Observation,
        target: tuple[str, Trajectory] | None = None,
        question: str = "",
        known: frozenset[ImageKey] = frozenset(),
        said: str | None = None,
    ) -> Inputs:
        """An observation, and for training its reasoning and future -> Inputs; BadObservation says what is wrong.

        Images whose key is in `known` are not resized again; their patches are None. Reasoning given as `said`,
        perhaps empty, is part of the prompt, so that the expert can act on it at once.
        """
        check_images(observation)
        prompt, vision = self.config.prompt, self.config.vision
        if prompt.cameras or prompt.frames or prompt.navigation != "text":
            observation = chosen(observation, prompt)
        xyz, rotation = check_history(observation.ego_history, observation.t_us, prompt.history_poses)
        keys: list[ImageKey] = []
        grids: list[tuple[int, int]] = []
        patches: list[NDArray[np.float32] | None] = []
        cameras: list[tuple[str, list[int]]] = []
        for camera, frames, stamps in zip(observation.cameras, observation.images, observation.image_t_us, strict=True):
            if len(frames) == 0:
                continue
            tall, wide = target_size(frames.shape[1], frames.shape[2], vision, prompt)
            grid = (tall // vision.patch_size, wide // vision.patch_size)
            for frame, t in zip(frames, stamps, strict=True):
                key = (camera.name, int(t), zlib.crc32(np.ascontiguousarray(frame).data))
                keys.append(key)
                patches.append(None if key in known else to_patches(frame, vision, prompt))
            grids += [grid] * len(frames)
            tokens = grid[0] * grid[1] // vision.spatial_merge_size**2
            cameras.append((f"{CAMERA_NAMES.get(camera.name, camera.name)}: ", [tokens] * len(frames)))
        ids = self._ids(cameras, observation.route.text, question, "" if said is None else f"{said}{CLOSING}")
        if not question:
            ids = fuse_history(ids, history_to_tokens(xyz, rotation, self.config.history_tokens), self.config)
        positions, free = rotary_positions(ids, grids, self.config.ids.image, vision.spatial_merge_size)
        wanted = None if target is None else self._target(*target)
        state = plan_state(ids, xyz, rotation, self.config) if self.config.action_proj.state else None
        return Inputs(ids, positions, free, tuple(grids), tuple(patches), tuple(keys), xyz, rotation, wanted, state)

    def _ids(self, cameras: list[tuple[str, list[int]]], route: str, question: str, end: str) -> NDArray[np.int64]:
        for name, text in (("route.text", route), ("question", question)):
            if "<|" in text:
                raise BadObservation(f"{name} {text!r} contains '<|', which begins a special token")
        text = prompt_text(cameras, self.config.history_count, route, question) + end
        ids = np.array(self.tokenizer.encode(text), np.int64)
        if len(ids) > self.config.prompt.max_tokens:
            raise BadObservation(
                f"the prompt has {len(ids)} tokens, more than {self.config.prompt.max_tokens}; "
                "give fewer cameras or frames, smaller images or a shorter route text"
            )
        return ids

    def _target(self, reasoning: str, future: Trajectory) -> Target:
        count = self.config.action_space.n_waypoints
        if future.xyz.shape != (count, 3) or future.frame != "rig" or not np.isfinite(future.xyz).all():
            raise BadObservation(f"future must be {count} finite poses in the rig frame, got {future.xyz.shape}")
        ids = self.tokenizer.encode(f"{reasoning}{CLOSING}")
        return Target(np.array(ids, np.int64), future.xyz, rotation_of(future.quat_xyzw))
