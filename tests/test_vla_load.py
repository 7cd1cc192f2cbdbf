"""Checkpoints: what is saved comes back, and what does not fit is named."""

from __future__ import annotations

import json
import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from vla_fixtures import tiny  # noqa: E402

from cordillera.policy.vla.layout import read_config  # noqa: E402
from cordillera.policy.vla.load import CheckpointError, load_vla, save_vla  # noqa: E402
from cordillera.policy.vla.model import new_vla  # noqa: E402
from cordillera.policy.vla.tokenizer import build_tokenizer  # noqa: E402

PARITY = Path(__file__).resolve().parents[1].parent / "shared" / "parity"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_vla(new_vla(tiny(per_token=2)), build_tokenizer(tiny()), folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    for path in saved.rglob("*"):
        if path.is_file():
            place = tmp_path / path.relative_to(saved)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return tmp_path


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def tensors(folder, change):
    held = load_file(folder / "model.safetensors")
    change(held)
    save_file(held, folder / "model.safetensors")


def test_a_saved_model_comes_back_bit_by_bit(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, tokenizer = load_vla(saved)
    original = new_vla(tiny(per_token=2))
    assert model.config == original.config and tokenizer.size == model.config.vocab_size
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), original.state_dict().values(), strict=True)
    )
    assert model.text.lm_head.weight is model.text.embed_tokens.weight
    assert not list(saved.glob("*.part"))


def test_a_model_comes_in_the_type_asked_for(saved):
    model, _ = load_vla(saved, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_shards_hold_the_same_as_one_file(saved, tmp_path):
    model, tokenizer = load_vla(saved)
    save_vla(model, tokenizer, tmp_path, shard_bytes=40_000)
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 3
    again, _ = load_vla(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    next(tmp_path.glob("model-00002-*")).unlink()
    with pytest.raises(CheckpointError, match="not there: model-00002"):
        load_vla(tmp_path)


def test_missing_and_unexpected_tensors_are_named(copy):
    def change(held):
        held["strange.weight"] = held.pop("action_out_proj.weight")

    tensors(copy, change)
    with pytest.raises(CheckpointError, match=r"missing: action_out_proj\.weight; unexpected: strange\.weight"):
        load_vla(copy)


def test_a_misshapen_tensor_is_named_with_both_shapes(copy):
    name = "expert.layers.1.self_attn.k_proj.weight"
    tensors(copy, lambda held: held.update({name: held[name][:-1].clone()}))
    with pytest.raises(CheckpointError, match=r"k_proj\.weight has shape \(31, 24\), config\.json implies \(32, 24\)"):
        load_vla(copy)


def test_buffers_that_the_configuration_implies_are_passed_over(copy):
    tensors(copy, lambda held: held.update({"action_in_proj.sinus.0.freqs": torch.ones(1, 10)}))
    load_vla(copy)


def test_pickles_are_refused(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(CheckpointError, match="refuses pickled weights"):
        load_vla(copy)


def test_a_broken_weights_file_is_named(copy):
    (copy / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a readable"):
        load_vla(copy)


def test_unknown_keys_are_named_in_a_warning(copy):
    edit(copy / "config.json", lambda c: c.update(new_trick=3))
    edit(copy / "vlm" / "config.json", lambda c: c["text_config"].update(sliding_window=512))
    with pytest.warns(UserWarning) as caught:
        read_config(copy)
    text = " ".join(str(w.message) for w in caught)
    assert "new_trick" in text and "sliding_window" in text


BROKEN = {
    "PerWaypointActionInProjV2": lambda c: c["action_in_proj_cfg"].update(_target_="somewhere.else.Projection"),
    "'vocab_size' is missing": lambda c: c.pop("vocab_size"),
    "int_method": lambda c: c["diffusion_cfg"].update(int_method="heun"),
    "num_kv_heads must be equal": lambda c: c["expert_cfg"].update(num_key_value_heads=1),
    "neither": lambda c: c.update(vlm_name_or_path="nobody/knows"),
    "rotary type": lambda c: c["expert_cfg"].update(rope_scaling={"rope_type": "yarn"}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_configuration_that_does_not_fit_is_an_error(copy, what):
    edit(copy / "config.json", BROKEN[what])
    with pytest.raises(ValueError, match=what if what != "neither" else "is not one of"):
        read_config(copy)


def test_the_released_configurations_need_no_file_of_the_backbone(copy):
    for name, layers in (("Qwen/Qwen3-VL-8B-Instruct", 36), ("Qwen/Qwen3-VL-2B-Instruct", 28)):
        edit(copy / "config.json", lambda c, name=name: c.update(vlm_name_or_path=name, expert_cfg={"hidden_size": 64}))
        config = read_config(copy)
        assert config.text.num_layers == config.expert.num_layers == layers and config.expert.hidden_size == 64


def test_another_models_tokenizer_is_refused(copy):
    edit(copy / "config.json", lambda c: c.update(traj_token_start_idx=600))
    with pytest.raises(CheckpointError, match="another model's tokenizer"):
        load_vla(copy)
    (copy / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        load_vla(copy)


def test_a_source_that_is_neither_folder_nor_id_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="neither a folder nor a hub id"):
        load_vla(tmp_path / "nothing" / "here" / "at" / "all")


@pytest.mark.skipif(not PARITY.is_dir(), reason="the folder of parity vectors is not there")
@pytest.mark.filterwarnings("error")
def test_the_released_layout_survives_a_round_trip(tmp_path):
    model, tokenizer = load_vla(PARITY)
    assert sum(p.numel() for p in model.parameters()) == json.loads((PARITY / "vectors.json").read_text())["params"]
    save_vla(model, tokenizer, tmp_path)
    theirs, ours = load_file(PARITY / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert set(theirs) == set(ours) and all(torch.equal(theirs[name], ours[name]) for name in theirs)
    again, _ = load_vla(tmp_path)
    assert again.config == model.config


def test_alpamayo_1_differs_in_names_alone(tmp_path):
    config = replace(tiny(), family="alpamayo_r1")
    save_vla(new_vla(config), build_tokenizer(config), tmp_path)
    top = json.loads((tmp_path / "config.json").read_text())
    assert top["model_type"] == "alpamayo_r1"
    assert top["action_in_proj_cfg"]["_target_"] == "alpamayo_r1.models.action_in_proj.PerWaypointActionInProjV2"
    model, tokenizer = load_vla(tmp_path)
    assert model.config == config and tokenizer.id("<|meta_action_start|>") > 0
    with pytest.raises(ValueError, match="no token"):
        tokenizer.id("<|_padding_2|>")
