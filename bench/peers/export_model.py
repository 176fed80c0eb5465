"""Writes the model that both sides compress, and the token ids that both sides see.

Reads the llama GGUF of Dovetail's model cache, puts its query and key rows back into the order of
Hugging Face, permutes channels exactly as src/model/off_grid.cc does with the same seed, and writes
  OUT/hf/           float32 Hugging Face folder of the permuted weights
  OUT/gguf/f32.gguf the same weights for llama.cpp
  OUT/tokens.json   token ids: "calibration" and "evaluation", windows without BOS

Needs: numpy, gguf, safetensors, tokenizers.
"""

import argparse
import json
import pathlib
import shutil

import gguf
import numpy as np
import safetensors.numpy
import tokenizers

OFF_GRID_SEED = 20260101  # kOffGridSeed of src/model/off_grid.h

OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK_NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}


class SplitMix64:
    """The generator of src/base/random.h (Steele, Lea, Flood, OOPSLA 2014)."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def below(self, count):
        return (self.next() * count) >> 64


def random_order(count, random):
    """Fisher-Yates; new[i] = old[order[i]]."""
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = random.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def order_of_heads(per_kv_head, repeats):
    order = []
    for inside in per_kv_head:
        for _ in range(repeats):
            start = len(order)
            order.extend(start + channel for channel in inside)
    return order


def permute_off_grid(weights, config, seed):
    """In place. weights: Hugging Face names -> (rows, cols) arrays."""
    random = SplitMix64(seed)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    residual = random_order(config["hidden_size"], random)
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:, residual]
    weights["model.norm.weight"] = weights["model.norm.weight"][residual]
    if "lm_head.weight" in weights:
        weights["lm_head.weight"] = weights["lm_head.weight"][:, residual]
    for layer in range(config["num_hidden_layers"]):
        intermediate = random_order(config["intermediate_size"], random)
        per_kv_head = [random_order(config["head_dim"], random) for _ in range(kv_heads)]
        value_rows = order_of_heads(per_kv_head, 1)
        output_cols = order_of_heads(per_kv_head, heads // kv_heads)
        axes = {
            "input_layernorm": (residual,),
            "self_attn.q_proj": (None, residual),
            "self_attn.k_proj": (None, residual),
            "self_attn.v_proj": (value_rows, residual),
            "self_attn.o_proj": (residual, output_cols),
            "post_attention_layernorm": (residual,),
            "mlp.gate_proj": (intermediate, residual),
            "mlp.up_proj": (intermediate, residual),
            "mlp.down_proj": (residual, intermediate),
        }
        for name, orders in axes.items():
            key = f"model.layers.{layer}.{name}.weight"
            for axis, order in enumerate(orders):
                if order is not None:
                    weights[key] = np.take(weights[key], order, axis=axis)


def halves_of_pairs(matrix, num_heads):
    """Query or key rows from llama.cpp's order (neighbours rotate together) to Hugging Face's."""
    rows, cols = matrix.shape
    return matrix.reshape(num_heads, rows // num_heads // 2, 2, cols).swapaxes(1, 2).reshape(
        rows, cols)


def pairs_of_halves(matrix, num_heads):
    rows, cols = matrix.shape
    return matrix.reshape(num_heads, 2, rows // num_heads // 2, cols).swapaxes(1, 2).reshape(
        rows, cols)


def config_of(reader):
    def field(key):
        return reader.fields["llama." + key].contents()

    hidden, heads = field("embedding_length"), field("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": field("feed_forward_length"),
        "num_hidden_layers": field("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": field("attention.head_count_kv"),
        "head_dim": hidden // heads,
        "vocab_size": field("vocab_size"),
        "max_position_embeddings": field("context_length"),
        # The file holds float32 bits; the nearest short decimal is what was meant.
        "rms_norm_eps": float(f"{field('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": field("rope.freq_base"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "output.weight" not in {t.name for t in reader.tensors},
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def hugging_face_name(name):
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    _, layer, inner = name.split(".", 2)
    return f"model.layers.{layer}.{BLOCK_NAMES[inner]}"


def gguf_heads(name, config):
    """Heads of a query or key matrix by its GGUF name, else None."""
    if name.endswith("attn_q.weight"):
        return config["num_attention_heads"]
    if name.endswith("attn_k.weight"):
        return config["num_key_value_heads"]
    return None


def read_gguf_weights(reader, config):
    """Hugging Face name -> float32 array, in the row order of Hugging Face."""
    weights = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = values.reshape(tuple(int(n) for n in reversed(tensor.shape)))
        heads = gguf_heads(tensor.name, config)
        if heads is not None:
            values = halves_of_pairs(values, heads)
        weights[hugging_face_name(tensor.name)] = values
    return weights


def write_gguf(path, reader, weights, config):
    """The same metadata and tensor order as the source, with the given weights in float32."""
    writer = gguf.GGUFWriter(str(path), "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, element)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        values = weights[hugging_face_name(tensor.name)]
        heads = gguf_heads(tensor.name, config)
        if heads is not None:
            values = pairs_of_halves(values, heads)
        writer.add_tensor(tensor.name, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def windows_of(tokenizer, path, length, count):
    """Non-overlapping windows from the start of the text, as src/eval/text.h cuts them."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    if len(ids) < length * count:
        raise SystemExit(f"{path}: {len(ids)} tokens, want {length * count} or more")
    return [ids[i * length:(i + 1) * length] for i in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--tokenizer", required=True, help="folder with tokenizer.json")
    parser.add_argument("--calibration-text", required=True)
    parser.add_argument("--calibration-sequences", type=int, default=64)
    parser.add_argument("--calibration-tokens", type=int, default=512)
    parser.add_argument("--evaluation-text", required=True)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    out = pathlib.Path(args.out)
    (out / "hf").mkdir(parents=True, exist_ok=True)
    (out / "gguf").mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(args.gguf)
    config = config_of(reader)
    weights = read_gguf_weights(reader, config)
    permute_off_grid(weights, config, OFF_GRID_SEED)
    weights = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    safetensors.numpy.save_file(weights, out / "hf/model.safetensors", metadata={"format": "pt"})
    (out / "hf/config.json").write_text(json.dumps(config, indent=2))
    source = pathlib.Path(args.tokenizer)
    shutil.copyfile(source / "tokenizer.json", out / "hf/tokenizer.json")
    (out / "hf/tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192,
                    "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    write_gguf(out / "gguf/f32.gguf", reader, weights, config)

    tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    tokens = {
        "calibration": windows_of(tokenizer, args.calibration_text, args.calibration_tokens,
                                  args.calibration_sequences),
        "evaluation": windows_of(tokenizer, args.evaluation_text, args.context, args.windows),
    }
    (out / "tokens.json").write_text(json.dumps(tokens))


if __name__ == "__main__":
    main()
