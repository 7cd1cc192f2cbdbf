"""Model -> a folder that runs without torch: three ONNX graphs, two tables, the configuration, the tokenizer.

vision.onnx      patches of images of one grid, and the grid's tables       -> features
text.onnx        embeddings, rotary tables, mask, past keys and values      -> logits, all keys and values
action.onnx      noisy actions, time, mask, rotary tables, past              -> flow
embeddings.npy   the tokens' embeddings (V, C)
places.npy       the vision tower's learned positions (side squared, C), with the patch embedding's bias in them

The text graph serves prefill, partial prefill and decoding; the caller keeps the cache and decides by the mask which
past slots a token sees. Sampling, grammar and the flow's loop live outside (`policy.student`). Int8 quantises the
weights of the towers' matrix products, activations on the fly; what leads into and out of words and actions stays
float (`graphs.Sketch.exact`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cordillera.policy.vla.graphs import action_graph, text_graph, values, vision_graph
from cordillera.policy.vla.layout import write_config
from cordillera.policy.vla.model import VLA
from cordillera.policy.vla.tokenizer import VlaTokenizer


def export(model: VLA, tokenizer: VlaTokenizer, folder: str | Path, int8: bool = False) -> None:
    """A float32 model on the CPU -> the folder that `policy.student.Student` loads; `int8` quantises the weights."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.float()
    levels = len(model.config.vision.deepstack_visual_indexes)
    graphs = {
        "vision": vision_graph(model.vision, int8),
        "text": text_graph(model.text, levels, int8),
        "action": action_graph(model.expert, int8),
    }
    for name, graph in graphs.items():
        part = folder / f"{name}.part"
        part.write_bytes(graph.SerializeToString())
        part.replace(folder / f"{name}.onnx")
    np.save(folder / "embeddings.npy", values(model.text.embed_tokens.weight))
    np.save(folder / "places.npy", values(model.vision.pos_embed.weight) + values(model.vision.patch_embed.bias))
    write_config(model.config, folder)
    tokenizer.save(folder / "tokenizer")
    facts = {"format": 2, "int8": int8, "ids": asdict(model.config.ids)}
    (folder / "student.json").write_text(json.dumps(facts, indent=1))
