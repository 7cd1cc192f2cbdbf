"""The released folder's config files <-> VlaConfig: config.json with its `_target_` names, and the backbone's config.

Keys that nobody here reads are named in a warning; values that this code does not implement are errors.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cordillera.policy.vla import config as shapes
from cordillera.policy.vla.config import (
    ActionProjConfig,
    ActionSpaceConfig,
    DecoderConfig,
    FutureTokens,
    HistoryTokens,
    PromptConfig,
    VisionConfig,
    VlaConfig,
)

TARGETS = {
    "traj_tokenizer_cfg": "DiscreteTrajectoryTokenizer",
    "hist_traj_tokenizer_cfg": "DeltaTrajectoryTokenizer",
    "diffusion_cfg": "FlowMatching",
    "action_space_cfg": "UnicycleAccelCurvatureActionSpace",
    "action_in_proj_cfg": "PerWaypointActionInProjV2",
    "action_out_proj_cfg": "Linear",
}
BACKBONES = {"Qwen/Qwen3-VL-8B-Instruct": shapes.ten_b, "Qwen/Qwen3-VL-2B-Instruct": shapes.edge}
KNOWN_KEYS = {
    *TARGETS, "vlm_name_or_path", "vlm_backend", "model_dtype", "attn_implementation", "traj_vocab_size", "model_type",
    "tokens_per_history_traj", "tokens_per_future_traj", "min_pixels", "max_pixels", "add_special_tokens", "vocab_size",
    "traj_token_start_idx", "traj_token_ids", "expert_cfg", "keep_same_dtype", "expert_non_causal_attention",
    "include_camera_ids", "include_frame_nums", "architectures", "dtype", "torch_dtype", "transformers_version",
    "cordillera", "_target_", "_recursive_",
}  # fmt: skip
FRAMEWORK_KEYS = {
    "return_dict", "output_hidden_states", "torchscript", "pruned_heads", "tie_word_embeddings", "is_decoder",
    "chunk_size_feed_forward", "is_encoder_decoder", "cross_attention_hidden_size", "add_cross_attention", "max_length",
    "tie_encoder_decoder", "finetuning_task", "id2label", "label2id", "task_specific_params", "problem_type",
    "tokenizer_class", "prefix", "bos_token_id", "pad_token_id", "eos_token_id", "sep_token_id", "min_length",
    "decoder_start_token_id", "do_sample", "early_stopping", "num_beams", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id",
    "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    "num_beam_groups", "diversity_penalty", "_name_or_path", "tf_legacy_loss", "use_bfloat16", "output_attentions",
    "auto_map", "use_cache", "initializer_range",
}  # fmt: skip
# What the reference assumes where config.json leaves a key out; our own defaults are the released values instead.
ABSENT_ACTION = {"accel_mean": 0.0, "accel_std": 1.0, "curvature_mean": 0.0, "curvature_std": 1.0}
ABSENT_PROJ = {"hidden_size": 1024, "num_enc_layers": 4, "num_fourier_feats": 20, "max_freq": 100.0}


class Section:
    """One JSON object: takes known keys, then names the rest."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self.values, self.where = dict(values), where

    def need(self, key: str) -> Any:
        """The value of a key that must be there."""
        if self.values.get(key) is None:
            raise ValueError(f"{self.where}: key {key!r} is missing")
        return self.values.pop(key)

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default where it is absent or null."""
        found = self.values.pop(key, None)
        return default if found is None else found

    def finish(self, known: set[str]) -> None:
        """Warn of keys that nobody read."""
        unknown = sorted(set(self.values) - known - FRAMEWORK_KEYS)
        if unknown:
            warnings.warn(f"{self.where}: unknown keys are ignored: {', '.join(unknown)}", stacklevel=3)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object on disk -> dict; ValueError names the file."""
    try:
        out = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(out, dict):
        raise ValueError(f"{path}: must hold a JSON object")
    return out


def part(top: Section, key: str) -> Section:
    """A sub-object whose `_target_` must name the class that this code implements."""
    section = Section(top.need(key), f"{top.where}: {key}")
    target = str(section.need("_target_"))
    if target.rsplit(".", 1)[-1] != TARGETS[key]:
        raise ValueError(f"{section.where}: _target_ {target!r} is not supported; only {TARGETS[key]} is")
    return section


def action_space(section: Section) -> ActionSpaceConfig:
    """action_space_cfg -> ActionSpaceConfig."""
    found: dict[str, Any] = ABSENT_ACTION | {
        key: section.values.pop(key) for key in asdict(ActionSpaceConfig()) if key in section.values
    }
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    section.finish({"_target_"})
    return ActionSpaceConfig(**fields)


def decoder(values: dict[str, Any], where: str) -> DecoderConfig:
    """A text_config, perhaps overridden by expert_cfg -> DecoderConfig."""
    section = Section(values, where)
    rope = section.take("rope_scaling") or section.need("rope_parameters")
    kind = rope.get("rope_type", "default")
    if kind != "default" or not rope.get("mrope_interleaved", True):
        raise ValueError(f"{where}: rotary type {rope} is not supported; only the interleaved default is")
    if section.take("hidden_act", "silu") != "silu":
        raise ValueError(f"{where}: hidden_act must be silu")
    heads, hidden = section.need("num_attention_heads"), section.need("hidden_size")
    out = DecoderConfig(
        num_layers=section.need("num_hidden_layers"),
        hidden_size=hidden,
        intermediate_size=section.need("intermediate_size"),
        num_heads=heads,
        num_kv_heads=section.take("num_key_value_heads", heads),
        head_dim=section.take("head_dim", hidden // heads),
        mrope_section=tuple(rope.get("mrope_section", (24, 20, 20))),
        rope_theta=float(section.take("rope_theta", rope.get("rope_theta", 5_000_000.0))),
        rms_norm_eps=section.take("rms_norm_eps", 1e-6),
        attention_bias=section.take("attention_bias", False),
    )
    ignored = {"attention_dropout", "max_position_embeddings", "model_type", "vocab_size", "dtype", "torch_dtype"}
    section.finish(ignored | {"architectures", "attn_implementation", "_attn_implementation"})
    return out


def backbone(folder: Path, name: str) -> tuple[VisionConfig, dict[str, Any], bool]:
    """The backbone's config in `folder/name`, else of a known name -> vision, text values, tied embeddings."""
    path = folder / name / "config.json"
    if not path.is_file():
        if name not in BACKBONES:
            raise ValueError(f"{path} is missing and {name!r} is not one of {sorted(BACKBONES)}")
        known = BACKBONES[name]()
        return known.vision, text_values(known.text), known.tie_embeddings
    top = Section(read_json(path), str(path))
    vision = Section(top.need("vision_config"), f"{path}: vision_config")
    names = set(VisionConfig.__dataclass_fields__)
    fields = {key: vision.values.pop(key) for key in names if key in vision.values}
    fields["deepstack_visual_indexes"] = tuple(fields.get("deepstack_visual_indexes", ()))
    missing = {"depth", "hidden_size", "intermediate_size", "num_heads", "out_hidden_size"} - set(fields)
    if missing:
        raise ValueError(f"{vision.where}: keys are missing: {', '.join(sorted(missing))}")
    vision.finish({"model_type", "dtype", "torch_dtype"})
    text = top.need("text_config")
    tied = bool(top.take("tie_word_embeddings", False))
    ids = {"image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"}
    top.finish(ids | {"model_type", "architectures", "transformers_version", "dtype", "torch_dtype"})
    return VisionConfig(**fields), text, tied


def text_values(text: DecoderConfig) -> dict[str, Any]:
    """DecoderConfig -> the keys of a text_config."""
    return {
        "model_type": "qwen3_vl_text",
        "hidden_act": "silu",
        "num_hidden_layers": text.num_layers,
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "num_attention_heads": text.num_heads,
        "num_key_value_heads": text.num_kv_heads,
        "head_dim": text.head_dim,
        "rope_theta": text.rope_theta,
        "rope_scaling": {
            "rope_type": "default",
            "mrope_interleaved": True,
            "mrope_section": list(text.mrope_section),
        },
        "rms_norm_eps": text.rms_norm_eps,
        "attention_bias": text.attention_bias,
    }


def read_config(folder: Path) -> VlaConfig:
    """A checkpoint's folder -> its configuration. The tokenizer completes the token ids."""
    top = Section(read_json(folder / "config.json"), str(folder / "config.json"))
    name = top.need("vlm_name_or_path")
    vision, text, tied = backbone(folder, name)
    space = action_space(part(top, "action_space_cfg"))
    future, past = part(top, "traj_tokenizer_cfg"), part(top, "hist_traj_tokenizer_cfg")
    proj, flow = part(top, "action_in_proj_cfg"), part(top, "diffusion_cfg")
    part(top, "action_out_proj_cfg")
    if flow.take("int_method", "euler") != "euler":
        raise ValueError(f"{flow.where}: int_method must be euler")
    found = {key: past.values.pop(key) for key in asdict(HistoryTokens()) if key in past.values}
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in found.items()}
    history = HistoryTokens(**fields)
    proj_fields = ABSENT_PROJ | {key: proj.values.pop(key) for key in asdict(ActionProjConfig()) if key in proj.values}
    ours = top.take("cordillera", {})
    prompt = PromptConfig(**ours.get("prompt", {}))
    per_pose = 4 if history.predict_yaw else 3
    family = str(top.take("model_type", "alpamayo1_5"))
    ids = ours.get("ids") or known_ids(top.need("traj_token_ids"), Section(text, name).take("eos_token_id", -1))
    built = VlaConfig(
        vision=vision,
        text=decoder(text, f"{name}: text_config"),
        expert=decoder(text | top.take("expert_cfg", {}), f"{top.where}: expert_cfg"),
        vocab_size=top.need("vocab_size"),
        ids=shapes.TokenIds(**ids),
        traj_start=top.need("traj_token_start_idx"),
        traj_vocab_size=top.need("traj_vocab_size"),
        tie_embeddings=tied,
        action_space=space,
        action_proj=ActionProjConfig(**proj_fields),
        history_tokens=history,
        future_tokens=FutureTokens(
            dims_min=tuple(future.need("dims_min")),
            dims_max=tuple(future.need("dims_max")),
            num_bins=future.need("num_bins"),
            action_space=action_space(Section(future.need("action_space_cfg"), f"{future.where}: action_space_cfg")),
        ),
        prompt=replace(
            prompt,
            min_pixels=top.take("min_pixels", prompt.min_pixels),
            max_pixels=top.take("max_pixels", prompt.max_pixels),
            history_poses=top.take("tokens_per_history_traj", 48) // per_pose,
        ),
        flow_steps=flow.take("num_inference_steps", 10),
        family=family,
    )
    for section in (future, past, proj):
        section.finish({"_target_", "_recursive_", "load_weights"})
    flow.finish({"inference_guidance_weight", "x_dims"})
    top.finish(KNOWN_KEYS)
    return built


def known_ids(traj_ids: dict[str, int], eos: int) -> dict[str, int]:
    """What config.json alone says of the ids; the tokenizer completes them."""
    unknown = dict.fromkeys(shapes.TokenIds.__dataclass_fields__, -1)
    return unknown | {"history": traj_ids["history"], "future_start": traj_ids["future_start"], "eos": eos}


def write_config(config: VlaConfig, folder: Path) -> None:
    """Write config.json and vlm/config.json in the released layout; what is ours alone stands under "cordillera"."""
    package = "alpamayo_r1" if config.family == "alpamayo_r1" else "alpamayo1_5"
    where = {
        "action_space_cfg": "action_space",
        "hist_traj_tokenizer_cfg": "models.delta_tokenizer",
        "traj_tokenizer_cfg": "action_space.discrete_action_space",
        "diffusion_cfg": "diffusion.flow_matching",
        "action_in_proj_cfg": "models.action_in_proj",
    }
    target = {key: {"_target_": f"{package}.{module}.{TARGETS[key]}"} for key, module in where.items()}
    space = target["action_space_cfg"] | asdict(config.action_space)
    future = asdict(config.future_tokens)
    del future["action_space"]
    future["action_space_cfg"] = target["action_space_cfg"] | asdict(config.future_tokens.action_space)
    names = {"history": config.ids.history, "future_start": config.ids.future_start}
    per_pose = 4 if config.history_tokens.predict_yaw else 3
    top = {
        "model_type": config.family,
        "vlm_name_or_path": "vlm",
        "vlm_backend": "qwenvl3",
        "vocab_size": config.vocab_size,
        "traj_token_start_idx": config.traj_start,
        "traj_vocab_size": config.traj_vocab_size,
        "traj_token_ids": names,
        "tokens_per_history_traj": config.prompt.history_poses * per_pose,
        "tokens_per_future_traj": 2 * config.action_space.n_waypoints,
        "min_pixels": config.prompt.min_pixels,
        "max_pixels": config.prompt.max_pixels,
        "add_special_tokens": True,
        "expert_non_causal_attention": True,
        "action_space_cfg": space,
        "traj_tokenizer_cfg": target["traj_tokenizer_cfg"] | future,
        "hist_traj_tokenizer_cfg": target["hist_traj_tokenizer_cfg"] | asdict(config.history_tokens),
        "diffusion_cfg": target["diffusion_cfg"] | {"int_method": "euler", "num_inference_steps": config.flow_steps},
        "action_in_proj_cfg": target["action_in_proj_cfg"] | asdict(config.action_proj),
        "action_out_proj_cfg": {"_target_": "torch.nn.Linear"},
        "expert_cfg": text_values(config.expert),
        "cordillera": {"prompt": asdict(config.prompt), "ids": asdict(config.ids)},
    }
    text = text_values(config.text) | {"vocab_size": config.vocab_size}
    vlm = {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": config.tie_embeddings,
        "vision_config": asdict(config.vision),
        "text_config": text,
    }
    (folder / "vlm").mkdir(parents=True, exist_ok=True)
    (folder / "vlm" / "config.json").write_text(json.dumps(vlm, indent=1))
    (folder / "config.json").write_text(json.dumps(top, indent=1))
