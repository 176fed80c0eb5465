"""`dovetail compress` in bounded memory, by the kernel's own count of what was resident.

    test_memory.py                      models of 3 and of 12 layers take the same memory, within the plan
    test_memory.py --shape 1.5b --layers 28 --memory-gib 3 --sequences 64
                                        a model of that shape with random weights (3 GB on disk)"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from tiny_study import write_tokenizer

BINARY = os.environ.get("DOVETAIL_BINARY", "build/dovetail")
SHAPES = {  # hidden, intermediate, heads, key heads, vocabulary
    "small": (256, 1024, 4, 2, 8192),
    "1.5b": (1536, 8960, 12, 2, 151936),
}
# Bytes of a random byte that make the upper half of a bf16 of magnitude 2^-7 .. 2^-5.
UPPER = bytes((byte & 0x80) | 0x3C for byte in range(256))


def random_bf16(count):
    raw = bytearray(2 * count)
    raw[0::2] = os.urandom(count)
    raw[1::2] = os.urandom(count).translate(UPPER)
    return raw


def tensors(shape, layers):
    hidden, inter, heads, kv_heads, vocab = SHAPES[shape]
    kv = hidden // heads * kv_heads
    yield "model.embed_tokens.weight", (vocab, hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "post_attention_layernorm.weight", (hidden,)
        yield at + "self_attn.q_proj.weight", (hidden, hidden)
        yield at + "self_attn.k_proj.weight", (kv, hidden)
        yield at + "self_attn.v_proj.weight", (kv, hidden)
        yield at + "self_attn.o_proj.weight", (hidden, hidden)
        yield at + "mlp.gate_proj.weight", (inter, hidden)
        yield at + "mlp.up_proj.weight", (inter, hidden)
        yield at + "mlp.down_proj.weight", (hidden, inter)


def write_model(folder, shape, layers):
    folder.mkdir(parents=True)
    header, end = {}, 0
    for name, dims in tensors(shape, layers):
        size = 2 * dims[0] * (dims[1] if len(dims) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": list(dims), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, dims in tensors(shape, layers):
            count = dims[0] * (dims[1] if len(dims) > 1 else 1)
            file.write(struct.pack("<H", 0x3F80) * count if len(dims) == 1 else random_bf16(count))
    hidden, inter, heads, kv_heads, vocab = SHAPES[shape]
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": inter, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab,
        "max_position_embeddings": 4096, "rope_theta": 10000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": True}))
    write_tokenizer(folder)


def compress(folder, out, memory_gib, sequences, tokens):
    """(planned GiB, peak GiB of the kernel's count, seconds)"""
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog " * (sequences * tokens // 40 + 40))
    command = [BINARY, "compress", str(folder / "model"), "--treatment", "int4_g64_gptq", "--text",
               str(folder / "text.txt"), "--sequences", str(sequences), "--tokens", str(tokens), "--out", str(out),
               "--memory-gib", str(memory_gib), "--json"]
    environment = dict(os.environ, DOVETAIL_CACHE=str(folder / "cache"))
    start = time.monotonic()
    with open(folder / "printed", "w") as output, open(folder / "errors", "w") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "errors").read_text()[-2000:]
    printed = (folder / "printed").read_text()
    planned = json.loads(printed)["planned_peak_bytes"] / 2**30
    return planned, usage.ru_maxrss / 2**20, time.monotonic() - start


class Memory(unittest.TestCase):
    def test_it_is_that_of_a_layer_and_within_the_plan(self):
        peaks = {}
        with tempfile.TemporaryDirectory(prefix="dovetail_memory_") as name:
            folder = pathlib.Path(name)
            for layers in (3, 12):
                at = folder / str(layers)
                write_model(at / "model", "small", layers)
                planned, peaks[layers], _ = compress(at, at / "out", 2, 16, 128)
                self.assertLess(peaks[layers], planned, f"{layers} layers")
        # 9 layers more are 35 MB of weights in FP32; the counts of two runs differ by a few MB.
        self.assertLess(peaks[12], peaks[3] + 0.012, peaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="1.5b")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--memory-gib", type=float, default=3)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dovetail_memory_") as name:
        folder = pathlib.Path(name)
        write_model(folder / "model", options.shape, options.layers)
        planned, peak, seconds = compress(folder, folder / "out", options.memory_gib, options.sequences,
                                          options.tokens)
    print(f"{options.shape}, {options.layers} layers, {options.sequences} x {options.tokens} tokens: planned "
          f"{planned:.2f} GiB, peak {peak:.2f} GiB of {options.memory_gib} allowed, {seconds:.0f} s")
    sys.exit(0 if peak <= options.memory_gib else 1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main()
    unittest.main()
