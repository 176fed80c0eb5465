#!/usr/bin/env python3
"""Writes the inputs that fuzzing starts from: make_seeds.py FOLDER makes FOLDER/<target>/<seed> and
FOLDER/<target>.dict.

A seed named sound_* is one that its target accepts; the replay of the seeds fails if it does not.
The writers here share no code with the readers.
"""

import hashlib
import json
import pathlib
import re
import sqlite3
import struct
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# ---- GGUF ----------------------------------------------------------------------------------------


def text(value):
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def u32(value):
    return struct.pack("<II", 4, value)


def f32(value):
    return struct.pack("<If", 6, value)


def string(value):
    return struct.pack("<I", 8) + text(value)


def array(element_type, elements):
    return struct.pack("<IIQ", 9, element_type, len(elements)) + b"".join(elements)


def gguf(values, tensors, version=3, alignment=32):
    """values: {key: bytes of type and value}; tensors: [(name, dims, ggml type, bytes)]."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, value in values.items():
        head += text(key) + value
    data = b""
    for name, dims, kind, content in tensors:
        data += b"\0" * (-len(data) % alignment)
        head += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", kind, len(data))
        data += content
    return head + b"\0" * (-len(head) % alignment) + data


# Block types: number in the file, elements and bytes of a block. Zero bytes decode to zeros.
BLOCKS = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q4_1": (3, 32, 20),
          "q5_0": (6, 32, 22), "q8_0": (8, 32, 34), "q4_k": (12, 256, 144), "q6_k": (14, 256, 210),
          "bf16": (30, 1, 2)}


def tensor(name, dims, kind="f32"):
    number, elements, size = BLOCKS[kind]
    count = 1
    for dim in dims:
        count *= dim
    return (name, dims, number, b"\0" * (count // elements * size))


def model_values(arch, hidden, inner, heads, kv_heads):
    return {"general.architecture": string(arch), f"{arch}.block_count": u32(1),
            f"{arch}.context_length": u32(8), f"{arch}.embedding_length": u32(hidden),
            f"{arch}.feed_forward_length": u32(inner), f"{arch}.attention.head_count": u32(heads),
            f"{arch}.attention.head_count_kv": u32(kv_heads), f"{arch}.rope.freq_base": f32(10000),
            f"{arch}.attention.layer_norm_rms_epsilon": f32(1e-5)}


def model_tensors(hidden, inner, kv_size, kind, biases):
    names = [("token_embd.weight", [hidden, 3]), ("blk.0.attn_q.weight", [hidden, hidden]),
             ("blk.0.attn_k.weight", [hidden, kv_size]), ("blk.0.attn_v.weight", [hidden, kv_size]),
             ("blk.0.attn_output.weight", [hidden, hidden]), ("blk.0.ffn_gate.weight", [hidden, inner]),
             ("blk.0.ffn_up.weight", [hidden, inner]), ("blk.0.ffn_down.weight", [inner, hidden])]
    tensors = [tensor(name, dims, kind) for name, dims in names]
    vectors = [("output_norm.weight", hidden), ("blk.0.attn_norm.weight", hidden),
               ("blk.0.ffn_norm.weight", hidden)]
    if biases:
        vectors += [("blk.0.attn_q.bias", hidden), ("blk.0.attn_k.bias", kv_size),
                    ("blk.0.attn_v.bias", kv_size)]
    return tensors + [tensor(name, [size]) for name, size in vectors]


def gguf_seeds():
    small = model_values("llama", 4, 4, 2, 1)
    yield "sound_llama_f32", gguf(small, model_tensors(4, 4, 2, "f32", False))
    yield "sound_llama_f16", gguf(small, model_tensors(4, 4, 2, "f16", False))
    yield "sound_qwen2_bf16", gguf(model_values("qwen2", 4, 4, 2, 1),
                                   model_tensors(4, 4, 2, "bf16", True))
    blocks = model_values("llama", 32, 32, 2, 1)
    for kind in ("q4_0", "q4_1", "q5_0", "q8_0"):
        yield f"sound_llama_{kind}", gguf(blocks, model_tensors(32, 32, 16, kind, False))
    for kind in ("q4_k", "q6_k"):
        tensors = model_tensors(4, 4, 2, "f32", False) + [tensor("more.weight", [256], kind)]
        yield f"tensor_{kind}", gguf(small, tensors)
    values = dict(small, numbers=array(5, [struct.pack("<i", 7)] * 3),
                  texts=array(8, [text("a"), text("b")]), flag=struct.pack("<IB", 7, 1),
                  wide=struct.pack("<Iq", 11, -1), real=struct.pack("<Id", 12, 0.5),
                  nested=array(9, [struct.pack("<IQ", 4, 1) + struct.pack("<I", 9)]))
    values["general.alignment"] = u32(64)
    yield "sound_all_value_types", gguf(values, model_tensors(4, 4, 2, "f32", False), 2, 64)


# ---- Tokenizers ----------------------------------------------------------------------------------


def byte_alphabet():
    """The printable stand-in of each byte, as in GPT-2's encoder."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in itself]
    return {**{byte: chr(byte) for byte in itself},
            **{byte: chr(256 + index) for index, byte in enumerate(others)}}


ALL_BYTES = [byte_alphabet()[byte] for byte in range(256)]
FEW_BYTES = ["a", "b", "\u0120", "1", "\u00c3", "\u00a9"]
MERGES = [("a", "a"), ("a", "b"), ("\u0120", "a"), ("aa", "b"), ("\u00c3", "\u00a9")]


def vocabulary(letters):
    return letters + ["".join(pair) for pair in MERGES]


def gguf_tokenizer_seeds():
    for name, pre, letters, added in (("gpt2", "gpt-2", FEW_BYTES, ["<|x|>"]),
                                      ("llama3", "llama-bpe", FEW_BYTES, []),
                                      ("qwen2", "qwen2", FEW_BYTES, ["<|x|>"]),
                                      ("smollm", "smollm", ALL_BYTES, [])):
        tokens = vocabulary(letters) + added
        types = [1] * (len(tokens) - len(added)) + [3] * len(added)
        values = {"tokenizer.ggml.model": string("gpt2"), "tokenizer.ggml.pre": string(pre),
                  "tokenizer.ggml.tokens": array(8, [text(token) for token in tokens]),
                  "tokenizer.ggml.token_type": array(5, [struct.pack("<i", t) for t in types]),
                  "tokenizer.ggml.merges": array(8, [text(" ".join(pair)) for pair in MERGES]),
                  "tokenizer.ggml.eos_token_id": u32(0)}
        yield f"sound_{name}", gguf(values, []) + b"ab  a\xc3\xa9 1\n\xff<|x|> aab"


GPT2_STEP = {"type": "ByteLevel", "add_prefix_space": False}
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
                  r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def split_step(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {**GPT2_STEP, "use_regex": False}]}


def tokenizer_json_seeds():
    digits = {"type": "Sequence",
              "pretokenizers": [{"type": "Digits", "individual_digits": True}, GPT2_STEP]}
    for name, step, letters, normalizer in (
            ("gpt2", GPT2_STEP, FEW_BYTES, {"type": "NFC"}), ("smollm", digits, ALL_BYTES, None),
            ("llama3", split_step(LLAMA3_PATTERN), FEW_BYTES, None)):
        tokens = vocabulary(letters)
        merges = [list(pair) for pair in MERGES] if name == "llama3" else [" ".join(p) for p in MERGES]
        content = {"normalizer": normalizer, "pre_tokenizer": step,
                   "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)},
                             "merges": merges, "ignore_merges": name == "llama3"}}
        if name != "smollm":
            content["added_tokens"] = [
                {"id": len(tokens), "content": "<|x|>", "lstrip": True, "rstrip": True},
                {"id": len(tokens) + 1, "content": "aab", "single_word": True, "normalized": True}]
        yield f"sound_{name}", json.dumps(content, ensure_ascii=False).encode()


def tokenizer_files_seeds():
    tokens = vocabulary(FEW_BYTES) + ["<|endoftext|>"]
    files = [json.dumps({token: index for index, token in enumerate(tokens)}, ensure_ascii=False),
             "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in MERGES)]
    yield "sound_gpt2", "\0".join(files).encode()
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>",
              "added_tokens_decoder": {str(len(tokens)): {"content": "<|x|>", "lstrip": True}}}
    yield "sound_qwen2", "\0".join(files + [json.dumps(config)]).encode()


# ---- Hugging Face folders ------------------------------------------------------------------------


def safetensors(tensors, dtype="F32", size=4):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, dims in tensors:
        count = 1
        for dim in dims:
            count *= dim
        begin = len(data)
        data += b"\0" * (count * size)
        header[name] = {"dtype": dtype, "shape": dims, "data_offsets": [begin, len(data)]}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def packed_safetensors():
    """The packed parts that the quantisation config of the fuzz target names: dtype, size and dims of each."""
    at = "model.layers.0."
    parts = [(at + "self_attn.q_proj.weight_packed", "I32", 4, [4, 1]), (at + "self_attn.q_proj.weight_shape", "I64", 8, [2]),
             (at + "self_attn.q_proj.weight_scale", "F16", 2, [4, 2]),
             (at + "self_attn.q_proj.weight_zero_point", "I32", 4, [1, 2]),
             (at + "self_attn.k_proj.weight_packed", "U8", 1, [2, 2]),
             (at + "self_attn.k_proj.weight_scale", "F8_E4M3", 1, [2, 2]),
             (at + "self_attn.k_proj.weight_global_scale", "F32", 4, [1]),
             (at + "self_attn.o_proj.weight", "I8", 1, [4, 4]), (at + "self_attn.o_proj.weight_scale", "BF16", 2, [4, 1]),
             (at + "self_attn.o_proj.weight_zero_point", "I8", 1, [4, 1]),
             (at + "mlp.up_proj.weight", "F8_E4M3", 1, [4, 4]), (at + "mlp.up_proj.weight_scale", "U8", 1, [2, 2])]
    values = {"F32": struct.pack("<f", 1), "I64": struct.pack("<q", 4)}
    header, data = {"__metadata__": {"dovetail.tensor_scale." + at + "self_attn.k_proj": "3f800000"}}, b""
    for name, dtype, size, dims in parts:
        begin = len(data)
        data += values.get(dtype, b"\1" * size) * (dims[0] * (dims[1] if len(dims) > 1 else 1))
        header[name] = {"dtype": dtype, "shape": dims, "data_offsets": [begin, len(data)]}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def safetensors_seeds():
    yield "packed", packed_safetensors()
    at = "model.layers.0."
    tensors = [("model.embed_tokens.weight", [3, 4]), ("model.norm.weight", [4]),
               (at + "input_layernorm.weight", [4]), (at + "post_attention_layernorm.weight", [4]),
               (at + "self_attn.q_proj.weight", [4, 4]), (at + "self_attn.k_proj.weight", [2, 4]),
               (at + "self_attn.v_proj.weight", [2, 4]), (at + "self_attn.o_proj.weight", [4, 4]),
               (at + "mlp.gate_proj.weight", [4, 4]), (at + "mlp.up_proj.weight", [4, 4]),
               (at + "mlp.down_proj.weight", [4, 4])]
    yield "sound_f32", safetensors(tensors)
    yield "sound_bf16", safetensors(tensors, "BF16", 2)
    yield "one_f64", safetensors([("a", [2])], "F64", 8)


def safetensors_index_seeds():
    names = {"a": "a.safetensors", "b": "b.safetensors"}
    yield "sound", json.dumps({"metadata": {"total_size": 8}, "weight_map": names}).encode()


def hf_config_seeds():
    for name in ("llama-3-8b", "llama-3-70b"):
        yield f"sound_{name}", (ROOT / "data" / "models" / name / "config.json").read_bytes()
    config = {"model_type": "qwen2", "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
              "num_attention_heads": 2, "vocab_size": 3, "head_dim": 2, "rms_norm_eps": 1e-6,
              "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "hidden_act": "silu",
              "use_sliding_window": False, "quantization_config": None}
    yield "sound_qwen2", json.dumps(config).encode()


# ---- TOML ----------------------------------------------------------------------------------------


def files_as_seeds(pattern):
    for path in sorted(ROOT.glob(pattern)):
        yield f"sound_{path.stem}", path.read_bytes()


def recipe_file_seeds():
    yield "sound_default", b'layers = ["", ""]\n'
    yield "sound_named", (b'head = "int8+a:int8_token"\nlayers = [\n'
                          b'  "attn_qkv=int4_g128+a:fp8_token attn_o=int3_asym_g32 mlp_gate_up=mxfp4 '
                          b'mlp_down=nvfp4 kv=int4+q:int8_token",\n  "kv=int8 mlp_down=fp8_e4m3fn",\n]\n')
    yield "sound_pruned", (b'mlp_width = 48\nheads = 2\nkv_heads = 1\nlayers = ["kv=int8", "attn_o=int8"]\n')


def treatment_seeds():
    for index, name in enumerate(
            ("bf16", "int4_g128+a:int8_token", "int8+q:int8_token", "int2_asym_g32",
             "int5_g64+a:fp8_token+kv:int8+q:int8_token+head:int8", "mxfp4", "nvfp4+head:fp8_e4m3fn",
             "int4_g128_gptq", "int4_g64_gptq+mlp:48+heads:1+kv_heads:1+r:r1r2")):
        yield f"name_{index}", name.encode()


# ---- Records -------------------------------------------------------------------------------------


def record_seeds():
    """The record that the report's own tests draw, and a few parts of it."""
    source = (ROOT / "src" / "report" / "page_test_record.h").read_text()
    content = json.loads(re.search(r'R"\((.*?)\)"', source, re.DOTALL).group(1))
    yield "sound_whole", json.dumps(content).encode()
    small = {key: content[key] for key in ("schema_version", "name", "products", "budget")}
    yield "sound_no_scenario", json.dumps({**small, "front": [], "scenarios": []}).encode()
    yield "sound_old", json.dumps({**content, "schema_version": 1, "front": []}).encode()


def study_db_seeds():
    with tempfile.TemporaryDirectory() as folder:
        for layout in (1, 2):
            path = pathlib.Path(folder) / f"{layout}.db"
            database = sqlite3.connect(path)
            database.execute("PRAGMA page_size = 512")
            database.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            column = ", sum TEXT NOT NULL" if layout == 2 else ""
            database.execute("CREATE TABLE results (kind TEXT NOT NULL, key TEXT NOT NULL, input TEXT NOT "
                             f"NULL, value TEXT NOT NULL{column}, PRIMARY KEY (kind, key))")
            if layout == 2:
                database.execute("CREATE TABLE damaged (kind TEXT NOT NULL, key TEXT NOT NULL, "
                                 "input TEXT NOT NULL, value TEXT NOT NULL)")
                database.execute("CREATE TABLE leases (kind TEXT NOT NULL, key TEXT NOT NULL, worker TEXT "
                                 "NOT NULL, deadline_ms INTEGER NOT NULL, PRIMARY KEY (kind, key))")
            database.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(layout),))
            for index in range(6):
                kind, query, value = "loss", f'{{"site":{index}}}', f'{{"nats":0.{index}}}'
                key = hashlib.sha256(query.encode()).hexdigest()
                row = [kind, key, query, value]
                if layout == 2:
                    row.append(hashlib.sha256(f"{kind}\n{key}\n{value}\n".encode()).hexdigest())
                database.execute(f"INSERT INTO results VALUES ({', '.join('?' * len(row))})", row)
            database.commit()
            database.close()
            yield f"sound_layout_{layout}", path.read_bytes()


def measurements_seeds():
    """The first byte names the kind of file."""
    header = ("target.cycle,mapping.mapping,arch.meshX,arch.mem1_depth,arch.mem2_depth,prob.C,prob.Hdilation,"
              "prob.Hstride,prob.K,prob.N,prob.P,prob.Q,prob.R,prob.S,prob.Wdilation,prob.Wstride,"
              "target.gemmini_cycle\n")
    yield "sound_conv", ("d" + header + "9216,L3[WIO] Q2 - L2[WI] N1 K16X - L1[O] K16 C16 P4 C16X - L0[W] Q2,16,784,"
                         "16704,256,1,1,256,1,4,4,1,1,1,1,17807\n").encode()
    yield "sound_matmul", ("d" + header + "4096,L3[WIO] K8 - L2[WI] N1 K16X - L1[O] C4 P8 C16X - L0[W] P16,16,256,"
                           "6912,64,1,1,128,1,128,1,1,1,1,1,8874\n").encode()
    yield "sound_gpu_matmul", b"m64, 12288, 12288, 0.1900ms, 101.7124Tflops\n"
    yield "sound_gpu_softmax", b"s4096, 32, 9.99556025250909\n"
    yield "sound_gpu_gelu", b"g1024, 0.021262214336633663\n"


SEEDS = {
    "chip": lambda: files_as_seeds("data/chips/*.toml"),
    "gguf": gguf_seeds,
    "gguf_tokenizer": gguf_tokenizer_seeds,
    "hf_config": hf_config_seeds,
    "measurements": measurements_seeds,
    "recipe_file": recipe_file_seeds,
    "record": record_seeds,
    "safetensors": safetensors_seeds,
    "safetensors_index": safetensors_index_seeds,
    "study": lambda: files_as_seeds("studies/*.toml"),
    "study_db": study_db_seeds,
    "technology": lambda: files_as_seeds("data/technology/*.toml"),
    "tokenizer_files": tokenizer_files_seeds,
    "tokenizer_json": tokenizer_json_seeds,
    "treatment": treatment_seeds,
    "workload": lambda: files_as_seeds("data/workloads/*.toml"),
    "zoo": lambda: files_as_seeds("data/models/zoo.toml"),
}


def words_of(content):
    """What looks like a key, a name or a short value: the words that a format knows."""
    return set(re.findall(rb"[A-Za-z_<|][A-Za-z0-9_.:+|<>-]{2,40}", content))


# Beside the words of the seeds.
MORE_WORDS = [b"nan", b"inf", b"-inf", b"1e999", b"9223372036854775807", b"18446744073709551616", b"-0",
              b"\\u0000", b"\\u001b", b"\\n", b"null", b"true", b"false", b"[[", b"]]", b"\"\"\"", b"_gptq", b"_asym",
              b"+head:", b"+kv:", b"+q:", b"+a:"]


def main():
    folder = pathlib.Path(sys.argv[1])
    for target, make in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        words = set(MORE_WORDS)
        for name, content in make():
            (folder / target / name).write_bytes(content)
            words |= words_of(content)
        escaped = ["".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words)[:400]]
        (folder / f"{target}.dict").write_text("".join(f'"{word}"\n' for word in escaped))


if __name__ == "__main__":
    main()
