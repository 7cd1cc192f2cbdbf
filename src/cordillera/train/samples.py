"""Windows of driving -> the arrays that training reads: pictures, ids, words, trajectory tokens, actions, and weights.

A row is a window with what is wanted of it. Words are the pieces of the grammar, one token each, in one wording; the
windows of pair kind (a) have words that the pictures do not imply, so these are read but not learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cordillera.data import layout
from cordillera.data.read import TICK_US, ClipSet, open_set
from cordillera.data.write import read_ledgers
from cordillera.geometry import quat_from_yaw, rotation_of
from cordillera.policy.vla.config import ActionSpaceConfig, VlaConfig
from cordillera.policy.vla.grammar import TextGrammar
from cordillera.policy.vla.prompt import CLOSING, Prompt, chosen, resized
from cordillera.policy.vla.targets import from_trajectory, future_to_tokens
from cordillera.policy.vla.tokenizer import PROMPT_PHRASES, VlaTokenizer, build_tokenizer
from cordillera.reasoning.grammar import following, pieces, vocabulary
from cordillera.reasoning.schema import write
from cordillera.sensors.looks import CELL_PX
from cordillera.types import Camera, Lateral, Longitudinal, Observation, ReasoningTrace, Sample, Trajectory

DRIVEN, DECISION, CAUSE, RECOVERY = "driven", "decision", "cause", "recovery"
PAIRS = {"a": DECISION, "b": CAUSE, "c": RECOVERY}
EVERY_US = 200_000
WORDS = 40  # tokens of the longest trace, its closing included; longer ones are told without their last causes
EASY = (Longitudinal.SET_SPEED, None), (Lateral.LANE_KEEPING, None)


@dataclass(frozen=True, eq=False)
class Wanted:
    """A window, of which kind it is, and where it comes from."""

    sample: Sample
    kind: str = DRIVEN
    region: str = ""
    weather: str = ""
    looks: Mapping[tuple[str, int], NDArray[np.uint8]] = field(default_factory=dict)  # by camera and time, if known


@dataclass(frozen=True, eq=False)
class Row:
    """What training reads of one window."""

    images: tuple[NDArray[np.uint8], ...]  # (H, W, 3) each, as the model reads them, in prompt order
    image_keys: tuple[tuple[str, int], ...]  # camera and time: equal ones of a clip are stored once
    looks: tuple[NDArray[np.uint8] | None, ...]  # what each picture shows, see `sensors.looks`; None: not known
    ids: NDArray[np.int32]  # (P,) the prompt
    positions: NDArray[np.int16]  # (3, P)
    next_position: int
    words: NDArray[np.int32]  # (W,) the reasoning and its closing; the closing alone where there is none
    learns: bool  # the words are wanted, and not only read
    tokens: NDArray[np.int32]  # (128,) the future as ids
    actions: NDArray[np.float32]  # (64, 2) the future, normalised
    history_xyz: NDArray[np.float32]  # (16, 3)
    history_rot: NDArray[np.float32]  # (16, 3, 3)
    future_xyz: NDArray[np.float32]  # (64, 3)
    classes: tuple[str, ...]  # decision, cause, region, weather: what is balanced
    kind: str
    clip_id: str
    easy: bool  # nothing but going on: words may be left unsaid


def own_tokenizer(config: VlaConfig) -> VlaTokenizer:
    """The small vocabulary with every piece of the reasoning grammar as one token."""
    return build_tokenizer(config, vocabulary(), PROMPT_PHRASES)


def own_grammar(tokenizer: VlaTokenizer) -> TextGrammar:
    """The reasoning grammar over that vocabulary."""
    return TextGrammar(following, tokenizer.encode, tokenizer.encode(CLOSING))


def words_of(trace: ReasoningTrace | None, tokenizer: VlaTokenizer) -> list[int]:
    """A trace -> its ids in one wording, piece by piece, with their closing; without a trace the closing alone."""
    closing = tokenizer.encode(CLOSING)
    if trace is None:
        return closing
    for count in range(len(trace.causes), -1, -1):
        said = write(replace(trace, causes=trace.causes[:count]), seed=0)
        ids = [token for piece in pieces(said) for token in tokenizer.encode(piece)]
        if len(ids) + len(closing) <= WORDS:
            return [*ids, *closing]
    raise ValueError(f"the trace {trace.text!r} needs more than {WORDS} tokens even without causes")


def encode_row(wanted: Wanted, prompt: Prompt) -> Row:
    """A window -> its row; ValueError where the future or the words do not fit the model."""
    sample, config = wanted.sample, prompt.config
    observation = chosen(sample.observation, config.prompt)
    inputs = prompt.encode(observation)
    images = [resized(f, config.vision, config.prompt) for frames in observation.images for f in frames]
    keys = [
        (camera.name, int(t))
        for camera, stamps in zip(observation.cameras, observation.image_t_us, strict=True)
        for t in stamps
    ]
    past = torch.from_numpy(inputs.history_xyz).float()[None], torch.from_numpy(inputs.history_rot).float()[None]
    ahead = torch.from_numpy(np.asarray(sample.future.xyz, np.float32))[None]
    turned = torch.from_numpy(rotation_of(sample.future.quat_xyzw).astype(np.float32))[None]
    actions = from_trajectory(*past, ahead, turned, config.action_space)[0].numpy()
    tokens = future_to_tokens(*past, ahead, turned, config.future_tokens)[0].numpy() + config.traj_start
    if not np.isfinite(actions).all():
        raise ValueError(f"clip {sample.clip_id}: the future at {observation.t_us} us has no finite actions")
    low, high = action_limits(config.action_space)
    actions = np.clip(actions, low, high)  # at walking pace the inverse finds bends that no car can take
    trace = sample.reasoning
    return Row(
        images=tuple(images),
        image_keys=tuple(keys),
        looks=tuple(fitting(wanted.looks.get(key), image) for key, image in zip(keys, images, strict=True)),
        ids=inputs.ids.astype(np.int32),
        positions=inputs.positions.astype(np.int16),
        next_position=inputs.next_position,
        words=np.array(words_of(trace, prompt.tokenizer), np.int32),
        learns=trace is not None and wanted.kind != DECISION,
        tokens=tokens.astype(np.int32),
        actions=actions.astype(np.float32),
        history_xyz=inputs.history_xyz.astype(np.float32),
        history_rot=inputs.history_rot.astype(np.float32),
        future_xyz=np.asarray(sample.future.xyz, np.float32),
        classes=classes_of(trace, wanted.region, wanted.weather),
        kind=wanted.kind,
        clip_id=sample.clip_id,
        easy=trace is not None
        and not trace.causes
        and trace.longitudinal in EASY[0]
        and trace.lateral in EASY[1]
        and wanted.kind == DRIVEN,
    )


def fitting(looks: NDArray[np.uint8] | None, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """What a picture showed as it was filmed -> the same if the picture is still of that size, else None."""
    if looks is None or tuple(n * CELL_PX for n in looks.shape[:2]) != image.shape[:2]:
        return None
    return looks


def action_limits(space: ActionSpaceConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An action space -> the lowest and highest normalised (acceleration, curvature)."""
    mean = np.array([space.accel_mean, space.curvature_mean])
    std = np.array([space.accel_std, space.curvature_std])
    low, high = zip(space.accel_bounds, space.curvature_bounds, strict=True)
    return (np.array(low) - mean) / std, (np.array(high) - mean) / std


def classes_of(trace: ReasoningTrace | None, region: str, weather: str) -> tuple[str, ...]:
    """What a row is counted under: decisions, first cause, region, weather."""
    if trace is None:
        return ("unsaid", "none", region, weather)
    cause = trace.causes[0].kind if trace.causes else "none"
    return (f"{trace.longitudinal} and {trace.lateral}", cause, region, weather)


def balance(classes: Sequence[Sequence[str]], power: float = 0.5, most: float = 8.0) -> NDArray[np.float64]:
    """Rows' classes, one a column -> how often to draw each row, mean 1.

    A class that is k times as frequent as another has rows that are drawn k^power times less often: power 0 leaves
    the frequencies as they are, 1 makes all classes of a column equal. No row is drawn more than `most` times the mean.
    """
    weight = np.ones(len(classes))
    for column in zip(*classes, strict=True):
        counts = Counter(column)
        weight *= np.array([(len(column) / (len(counts) * counts[name])) ** power for name in column])
    for _ in range(20):  # cutting lowers the mean, to which the cut is relative
        weight = np.minimum(weight / weight.mean(), most)
    return weight / weight.mean()


# ------------------------------------------------------------------- from clips


def windows_of(folder: Path, cameras: Sequence[str], pairs: Sequence[str] = ("a",)) -> Iterator[Wanted]:
    """A data set in a folder -> its windows at 5 Hz, and with pair kind (a) the decisions that were not taken."""
    held = open_set(folder)
    entries = {entry["clip_id"]: entry for ledger in read_ledgers(folder) for entry in ledger["clips"]}
    for clip in held.clips():
        entry = entries.get(clip, {})
        about = str(entry.get("country", "")), str(entry.get("weather", "")), held.looks(clip)
        for sample in clip_samples(held, clip, cameras):
            yield Wanted(sample, DRIVEN, *about)
        if "a" in pairs and held.has(clip, layout.COUNTERFACTUALS.name):
            for sample in other_decisions(held, clip, cameras):
                yield Wanted(sample, DECISION, *about)


def clip_samples(held: ClipSet, clip: str, cameras: Sequence[str]) -> Iterator[Sample]:
    """A clip -> its windows every fifth of a second, its pictures decoded once."""
    times = np.arange(layout.FIRST_T0_US, layout.LAST_T0_US + 1, EVERY_US)
    yield from _with_pictures(held, clip, cameras, times)


def other_decisions(held: ClipSet, clip: str, cameras: Sequence[str]) -> Iterator[Sample]:
    """A clip -> the decisions that were possible at its keyframes but not taken, each with the path under it."""
    table = held.table(clip, layout.COUNTERFACTUALS.name)
    stamps = np.asarray(table["timestamp_us"], np.int64)
    rows = [k for k, t in enumerate(stamps) if layout.FIRST_T0_US <= t <= layout.LAST_T0_US]
    if not rows:
        return
    times = np.unique(stamps[rows])
    seen = {s.observation.t_us: s for s in _with_pictures(held, clip, cameras, times)}
    for k in rows:
        sample = seen[int(stamps[k])]
        longitudinal, lateral = table["longitudinal"][k], table["lateral"][k]
        xyz = np.asarray(table["xyz_rig"][k], np.float64).reshape(-1, 3)
        future = Trajectory(sample.future.t_us, xyz, quat_from_yaw(np.asarray(table["yaw_rad"][k])), "rig")
        trace = ReasoningTrace(
            Longitudinal(longitudinal) if longitudinal else None,
            Lateral(lateral) if lateral else None,
            (),
            "",
            "counterfactual",
            table["side"][k],
        )
        yield replace(sample, future=future, reasoning=trace)


def _with_pictures(
    held: ClipSet, clip: str, cameras: Sequence[str], times: NDArray[np.int64]
) -> Iterator[Sample]:  # fmt: skip
    """Windows at the given times; all pictures of a camera are decoded in one pass."""
    due = TICK_US * np.arange(1 - layout.FRAMES, 1)
    needed = np.unique(np.add.outer(times, due))
    rig = {camera.name: camera for camera in held.rig(clip).cameras}
    missing = [name for name in cameras if name not in rig]
    if missing:
        raise ValueError(f"clip {clip}: has no camera {', '.join(missing)}; it has {', '.join(rig)}")
    shots = {name: held.frames(clip, name, needed) for name in rig if name in cameras}
    for t in times:
        sample = held.sample(clip, int(t))
        rows = np.searchsorted(needed, t + due)
        observation = _seen(sample.observation, [rig[name] for name in shots], shots, rows)
        yield replace(sample, observation=observation)


def _seen(
    observation: Observation,
    cameras: list[Camera],
    shots: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]],
    rows: NDArray[np.int64],
) -> Observation:  # fmt: skip
    """An observation without pictures -> the same with those of the given rows of each camera's shots."""
    images = tuple(shots[camera.name][0][rows] for camera in cameras)
    stamps = tuple(shots[camera.name][1][rows] for camera in cameras)
    return replace(observation, cameras=tuple(cameras), images=images, image_t_us=stamps)
