#!/usr/bin/env python3
"""Makes the tiny models that tests need beside `tiny-chat.gguf`, with nothing but Python itself.

    make_tiny_models.py FOLDER

writes `tiny-embed.gguf` (BERT, mean pooling, 64 numbers), `tiny-rerank.gguf` (BERT with a head that gives one score) and
`mmproj-tiny-vision.gguf` (the eyes of a vision model, to be put beside `tiny-chat.gguf`). All weights are made up by a
seeded generator: the same script writes the same bytes. Texts that share words have vectors that are near, because the
layers do little and the vectors of words are all different; the scores of the ranking mean nothing.
"""

import array
import pathlib
import random
import struct
import sys

U32, I32, F32, BOOL, TEXT, LIST = 4, 5, 6, 7, 8, 9
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the a an of to and in is it on was for with as at by from that this are be not or have had they he she we you
cat dog kitten puppy animal sleeps sat mat sun warm stock market prices fell money bank river water boat fish rain snow
king queen castle bread apple green red blue small large old new good bad day night morning time year city street house
car train road walk run read write book music song play work school child friend mother father hand eye heart word""".split()
VISION_WIDTH = 128  # of a token's vector in tiny-chat.gguf


class GGUF:
    """A file as llama.cpp's gguf.h describes it, version 3."""

    def __init__(self, architecture, name):
        self.keys, self.tensors = [], []
        self.text("general.architecture", architecture)
        self.text("general.name", name)
        self.u32("general.file_type", 0)

    def text(self, key, value):
        self.keys.append((key, TEXT, _text(value)))

    def u32(self, key, value):
        self.keys.append((key, U32, struct.pack("<I", value)))

    def f32(self, key, value):
        self.keys.append((key, F32, struct.pack("<f", value)))

    def flag(self, key, value):
        self.keys.append((key, BOOL, struct.pack("<?", value)))

    def texts(self, key, values):
        self.keys.append((key, LIST, struct.pack("<IQ", TEXT, len(values)) + b"".join(map(_text, values))))

    def numbers(self, key, values, kind):
        form = {I32: "i", F32: "f"}[kind]
        self.keys.append((key, LIST, struct.pack(f"<IQ{len(values)}{form}", kind, len(values), *values)))

    def tensor(self, name, dimensions, values):
        """32-bit floats. The first dimension is the one whose elements lie side by side."""
        data = array.array("f", values)
        if sys.byteorder == "big":
            data.byteswap()
        self.raw(name, dimensions, data.tobytes())

    def raw(self, name, dimensions, data):
        """The same, as they lie in memory."""
        self.tensors.append((name, dimensions, data))

    def wordpieces(self, tokens):
        """BERT's vocabulary; words begin with U+2581."""
        self.u32("tokenizer.ggml.token_type_count", 2)
        self.text("tokenizer.ggml.model", "bert")
        self.text("tokenizer.ggml.pre", "default")
        self.texts("tokenizer.ggml.tokens", tokens)
        self.numbers("tokenizer.ggml.token_type", [3 if token in SPECIAL else 1 for token in tokens], I32)
        for key, token in (("padding", "[PAD]"), ("unknown", "[UNK]"), ("bos", "[CLS]"), ("eos", "[SEP]"),
                           ("seperator", "[SEP]"), ("mask", "[MASK]"), ("cls", "[CLS]")):
            self.u32(f"tokenizer.ggml.{key}_token_id", tokens.index(token))

    def write(self, path):
        out = [b"GGUF", struct.pack("<IQQ", 3, len(self.tensors), len(self.keys))]
        for key, kind, value in self.keys:
            out += [_text(key), struct.pack("<I", kind), value]
        offset = 0
        for name, dimensions, data in self.tensors:
            out += [_text(name), struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 0, offset)]
            offset += len(data) + -len(data) % 32
        header = b"".join(out)
        with open(path, "wb") as file:
            file.write(header + bytes(-len(header) % 32))
            for _, _, data in self.tensors:
                file.write(data + bytes(-len(data) % 32))


def _text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


class Weights:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, count, size):
        return [self.random.uniform(-size, size) for _ in range(count)]

    def norm(self, file, name, width):
        file.tensor(f"{name}.weight", [width], [1.0] * width)
        file.tensor(f"{name}.bias", [width], [0.0] * width)

    def matrix(self, file, name, width, height, size, biased=True):
        file.tensor(f"{name}.weight", [width, height], self.some(width * height, size / width**0.5))
        if biased:
            file.tensor(f"{name}.bias", [height], [0.0] * height)


def vocabulary():
    """Whole words, and every printable character at a word's beginning and inside it, so that any English text has tokens."""
    signs = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    starts = SPECIAL + ["\u2581" + word for word in WORDS + signs if word != "a"] + ["\u2581a"]
    return list(dict.fromkeys(starts + [sign for sign in signs]))


def bert(name, pooling, seed, effect, window=128, width=64, layers=2, heads=4, inner=128):
    """- effect: how much the layers change what the words alone say."""
    file, weights, tokens = GGUF("bert", name), Weights(seed), vocabulary()
    file.u32("bert.context_length", window)
    file.u32("bert.embedding_length", width)
    file.u32("bert.block_count", layers)
    file.u32("bert.feed_forward_length", inner)
    file.u32("bert.attention.head_count", heads)
    file.f32("bert.attention.layer_norm_epsilon", 1e-12)
    file.flag("bert.attention.causal", False)
    file.u32("bert.pooling_type", pooling)
    file.wordpieces(tokens)
    file.tensor("token_embd.weight", [width, len(tokens)], weights.some(width * len(tokens), 1.0))
    file.tensor("token_types.weight", [width, 2], [0.0] * (2 * width))
    file.tensor("position_embd.weight", [width, window], weights.some(width * window, 0.05 * effect))
    weights.norm(file, "token_embd_norm", width)
    for layer in range(layers):
        block = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights.matrix(file, f"{block}.{part}", width, width, effect)
        weights.norm(file, f"{block}.attn_output_norm", width)
        weights.matrix(file, f"{block}.ffn_up", width, inner, effect)
        weights.matrix(file, f"{block}.ffn_down", inner, width, effect)
        weights.norm(file, f"{block}.layer_output_norm", width)
    return file, weights, width


def embedding():
    return bert("Tiny Embed", 1, seed=11, effect=0.1)[0]


def reranker():
    file, weights, width = bert("Tiny Rerank", 4, seed=12, effect=3.0)
    weights.matrix(file, "cls", width, width, 3.0)
    weights.matrix(file, "cls.output", width, 1, 3.0)
    return file


def projector(side=64, patch=8, merge=4, width=32, layers=1, heads=2, inner=64):
    """Eyes of Gemma's kind, which make (side / patch / merge)² tokens of an image."""
    file, weights = GGUF("clip", "Tiny Vision"), Weights(13)
    file.text("general.type", "mmproj")
    file.flag("clip.has_vision_encoder", True)
    file.text("clip.projector_type", "gemma3")
    file.flag("clip.use_gelu", True)
    for key, value in (("image_size", side), ("patch_size", patch), ("embedding_length", width), ("feed_forward_length", inner),
                       ("block_count", layers), ("attention.head_count", heads), ("projection_dim", VISION_WIDTH),
                       ("projector.scale_factor", merge)):
        file.u32(f"clip.vision.{key}", value)
    file.f32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    file.numbers("clip.vision.image_mean", [0.5] * 3, F32)
    file.numbers("clip.vision.image_std", [0.5] * 3, F32)
    file.tensor("v.patch_embd.weight", [patch, patch, 3, width], weights.some(patch * patch * 3 * width, 0.1))
    file.tensor("v.patch_embd.bias", [width], [0.0] * width)
    file.tensor("v.position_embd.weight", [width, (side // patch) ** 2], weights.some(width * (side // patch) ** 2, 0.1))
    for layer in range(layers):
        block = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            weights.matrix(file, f"{block}.{part}", width, width, 1.0)
        weights.norm(file, f"{block}.ln1", width)
        weights.norm(file, f"{block}.ln2", width)
        weights.matrix(file, f"{block}.ffn_up", width, inner, 1.0)
        weights.matrix(file, f"{block}.ffn_down", inner, width, 1.0)
    weights.norm(file, "v.post_ln", width)
    # Stored the other way round than other matrices, as Gemma's is.
    file.tensor("mm.input_projection.weight", [VISION_WIDTH, width], weights.some(VISION_WIDTH * width, 0.3))
    file.tensor("mm.soft_emb_norm.weight", [width], [1.0] * width)
    return file


MODELS = {"tiny-embed.gguf": embedding, "tiny-rerank.gguf": reranker, "mmproj-tiny-vision.gguf": projector}


def make(folder):
    """Writes all of them."""
    for name, model in MODELS.items():
        model().write(pathlib.Path(folder) / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
