"""Text <-> token ids: a backbone's vocabulary with trajectory and special tokens behind it, or our own small one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from cordillera.policy.vla.config import TokenIds, VlaConfig
from cordillera.types import Lateral, Longitudinal

TRAJECTORY_TOKENS = (
    "traj_history",
    "traj_future",
    "traj_history_start",
    "traj_future_start",
    "traj_history_end",
    "traj_future_end",
)
SPECIAL_TOKENS = (
    "prompt_start", "prompt_end", "image_start", "_padding_0", "image_end", "traj_history_start", "_padding_1",
    "traj_history_end", "cot_start", "cot_end", "_padding_2", "_padding_3", "traj_future_start", "_padding_4",
    "traj_future_end", "traj_history", "traj_future", "image_pad", "_padding_5", "_padding_6", "_padding_7",
    "_padding_8", "route_start", "route_pad", "route_end", "question_start", "question_end", "answer_start",
    "answer_end",
)  # fmt: skip
R1_NAMES = {
    "_padding_0": "image_pre_tkn",
    "_padding_1": "traj_history_pre_tkn",
    "_padding_2": "meta_action_start",
    "_padding_3": "meta_action_end",
    "_padding_4": "traj_future_pre_tkn",
    "_padding_5": "vectorized_wm",
    "_padding_6": "vectorized_wm_start",
    "_padding_7": "vectorized_wm_end",
    "_padding_8": "vectorized_wm_pre_tkn",
}
BACKBONE_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def special_names(family: str) -> tuple[str, ...]:
    """Model family -> its special tokens in the order in which they were added; Alpamayo 1 names some differently."""
    names = (R1_NAMES.get(name, name) if family == "alpamayo_r1" else name for name in SPECIAL_TOKENS)
    return tuple(f"<|{name}|>" for name in names)


class VlaTokenizer:
    """A tokenizer whose vocabulary holds `<i0>`.. and the special tokens; adds them where the file lacks them."""

    def __init__(self, tokenizer: Tokenizer, traj_vocab_size: int, family: str, all_special: bool = True) -> None:
        self.base = tokenizer
        tokenizer.add_tokens([AddedToken(f"<i{v}>", normalized=True) for v in range(traj_vocab_size)])
        special = special_names(family) if all_special else tuple(f"<|{name}|>" for name in TRAJECTORY_TOKENS)
        tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])

    @classmethod
    def from_file(cls, path: Path, traj_vocab_size: int, family: str, all_special: bool = True) -> VlaTokenizer:
        """A `tokenizer.json` -> the tokenizer; ValueError names the file when it cannot be read."""
        try:
            base = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ValueError(f"{path}: not a tokenizer.json of the tokenizers library: {error}") from error
        return cls(base, traj_vocab_size, family, all_special)

    def encode(self, text: str) -> list[int]:
        """Text, special tokens included -> ids."""
        return self.base.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids -> text, special tokens kept."""
        return self.base.decode(list(ids), skip_special_tokens=False)

    def id(self, token: str) -> int:
        """A token's text -> its id; ValueError if the vocabulary lacks it."""
        found = self.base.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}; the checkpoint and its tokenizer do not match")
        return found

    @property
    def size(self) -> int:
        return self.base.get_vocab_size(with_added_tokens=True)

    def token_ids(self) -> TokenIds:
        """The ids with a meaning; tokens that a vocabulary without the full special set lacks are -1."""
        find = {name: self.base.token_to_id(f"<|{name}|>") for name in SPECIAL_TOKENS}
        find = {name: -1 if number is None else number for name, number in find.items()}
        return TokenIds(
            image=self.id("<|image_pad|>"),
            vision_start=self.id("<|vision_start|>"),
            pad=self.id("<|endoftext|>"),
            eos=self.id("<|im_end|>"),
            history=self.id("<|traj_history|>"),
            future_start=self.id("<|traj_future_start|>"),
            cot_end=find["cot_end"],
            route_start=find["route_start"],
            route_end=find["route_end"],
            answer_end=find["answer_end"],
        )

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and the two small files beside it that other loaders expect."""
        folder.mkdir(parents=True, exist_ok=True)
        self.base.save(str(folder / "tokenizer.json"))
        facts = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        config = facts | {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
        (folder / "special_tokens_map.json").write_text(json.dumps(facts, indent=1))


PROMPT_PHRASES = (
    "You are a driving assistant that generates safe and accurate actions.",
    "output the chain-of-thought reasoning of the driving process, then output the future trajectory.",
    "system\n", "user\n", "assistant\n",
    *(f"frame {n} " for n in range(8)),
    "Front left camera: ", "Front camera: ", "Front right camera: ", "Rear left camera: ", "Rear camera: ",
    "Rear right camera: ", "Front telephoto camera: ",
)  # fmt: skip
TRACE_WORDS = (
    "the", "a", "to", "and", "is", "since", "because", "for", "in", "on", "at", "of", "it", "with", "its", "from",
    "ego", "lane", "lead", "vehicle", "car", "truck", "bus", "cyclist", "pedestrian", "animal", "cone", "barrier",
    "traffic light", "stop sign", "give-way sign", "crossing", "junction", "intersection", "curve", "speed limit",
    "red", "green", "amber", "ahead", "behind", "left", "right", "slower", "stopped", "crossing ahead", "merging",
    "oncoming", "parked", "blocked", "clear", "near", "far", "turn", "straight", "route", "goal", "road",
    "keep", "follow", "stop", "yield", "slow", "down", "speed", "up", "accelerate", "decelerate", "change",
    "nudge", "pass", "wait", "continue", "adapt", "maintain", "path", "gap", "priority", "right of way", "m",
)  # fmt: skip


def default_phrases() -> tuple[str, ...]:
    """The prompt's fixed sentences, the closed sets of decisions, and the words of reasoning traces."""
    decisions = [str(name) for kinds in (Longitudinal, Lateral) for name in kinds]
    words = [*decisions, *TRACE_WORDS]
    spoken = [form for word in words for form in (f" {word}", word[0].upper() + word[1:])]
    return (*PROMPT_PHRASES, *dict.fromkeys(spoken))


def build_tokenizer(
    config: VlaConfig, phrases: Iterable[str] = (), others: Iterable[str] | None = None
) -> VlaTokenizer:  # fmt: skip
    """A small vocabulary: 256 bytes, so that every text can be written, and whole phrases as single tokens.

    `phrases` come before the `others`, by default `default_phrases()`; what does not fit the room that the
    configuration leaves is an error.
    """
    room = config.traj_start - len(BACKBONE_TOKENS) - 256
    rest = default_phrases() if others is None else others
    chosen = [phrase for phrase in dict.fromkeys([*phrases, *rest]) if len(phrase) > 1]
    if len(chosen) > room:
        raise ValueError(f"{len(chosen)} phrases do not fit the {room} places before <i0>; give fewer phrases")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    chosen += [f"<unused{n}>" for n in range(room - len(chosen))]
    base.add_tokens([AddedToken(phrase, normalized=False) for phrase in chosen])
    base.add_special_tokens([AddedToken(name, normalized=False) for name in BACKBONE_TOKENS])
    out = VlaTokenizer(base, config.traj_vocab_size, config.family)
    if out.token_ids() != config.ids or out.size != config.vocab_size:
        raise ValueError("the configuration's ids are not those of the small vocabulary; start from nano() or small()")
    return out


def with_tokenizer(config: VlaConfig, tokenizer: VlaTokenizer) -> VlaConfig:
    """A configuration -> the same with the ids and the size that the tokenizer has."""
    ids, size = tokenizer.token_ids(), tokenizer.size
    return replace(config, ids=ids, vocab_size=size, traj_start=tokenizer.id("<i0>"))
