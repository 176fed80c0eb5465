"""A study of a tiny random model, small enough to be run hundreds of times, and how to run it."""

import array
import json
import os
import pathlib
import random
import sqlite3
import struct
import subprocess

STUDY = """
name = "tiny"
objectives = ["latency_area"]
kl_caps_nats = [0.02]
reference_chips = ["reference_edge"]
confirmations = 3
validation_recipes = 6
[[products]]
name = "p"
model = "{folder}/model"
workload = "{folder}/workload.toml"
[text]
profile_sequences = 2
select_sequences = 2
certify_sequences = 2
sequence_tokens = 48
[menu]
weights = ["int4_g32", "int6_g32", "int8"]
activations = ["bf16", "int8_token"]
kv = ["int8"]
[budget]
max_area_mm2 = 30
max_peak_power_w = 6
max_sustained_power_w = 6
max_power_density_w_per_mm2 = 1
[space]
nodes = ["n7"]
clock_mhz = [600, 1000]
cores = [1]
rows = [1, 4]
cols = [16, 32]
depth = [16]
vector_lanes = [16]
decoder_values_per_cycle = [128]
weight_buffer_kib = [32]
activation_buffer_kib = [32]
accumulator_kib = [8]
sram_mib = [0.0625, 0.125]
dram_kinds = ["lpddr5"]
dram_channels = [1, 2]
dram_capacity_gib = 1
[[space.format_sets]]
name = "i9+bf16"
pairs = [{{ weight = "int9", activation = "int8" }}, {{ weight = "bf16", activation = "bf16" }}]
[[space.format_sets]]
name = "bf16"
pairs = [{{ weight = "bf16", activation = "bf16" }}]
"""

LAYERS, HIDDEN, INTER, HEADS, KV_HEADS, VOCAB = 3, 64, 96, 4, 2, 101


def _tensors():
    """(name, rows, cols, values) in the order of a Hugging Face file; cols 0: a vector."""
    draw = random.Random(7)

    def matrix(name, rows, cols, gain):
        sigma = gain / cols**0.5
        return name, rows, cols, array.array("f", (draw.gauss(0, sigma) for _ in range(rows * cols)))

    def ones(name):
        return name, HIDDEN, 0, array.array("f", [1.0] * HIDDEN)

    head_dim = HIDDEN // HEADS
    yield matrix("model.embed_tokens.weight", VOCAB, HIDDEN, 2.0)
    yield ones("model.norm.weight")
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        yield ones(at + "input_layernorm.weight")
        yield ones(at + "post_attention_layernorm.weight")
        yield matrix(at + "self_attn.q_proj.weight", HEADS * head_dim, HIDDEN, 1.5)
        yield matrix(at + "self_attn.k_proj.weight", KV_HEADS * head_dim, HIDDEN, 1.5)
        yield matrix(at + "self_attn.v_proj.weight", KV_HEADS * head_dim, HIDDEN, 1.0)
        yield matrix(at + "self_attn.o_proj.weight", HIDDEN, HEADS * head_dim, 0.5)
        yield matrix(at + "mlp.gate_proj.weight", INTER, HIDDEN, 1.0)
        yield matrix(at + "mlp.up_proj.weight", INTER, HIDDEN, 1.0)
        yield matrix(at + "mlp.down_proj.weight", HIDDEN, INTER, 0.5)


def _write_model(folder):
    folder.mkdir(parents=True)
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, rows, cols, values in _tensors():
        raw = values.tobytes()
        header[name] = {"dtype": "F32", "shape": [rows, cols] if cols else [rows],
                        "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INTER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCAB, "max_position_embeddings": 512, "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True}))
    write_tokenizer(folder)


def write_tokenizer(folder):
    """Single bytes as tokens, and one that ends a text: 101 in all."""
    vocab = {chr(ord("!") + i) if i < 94 else chr(0x100 + i - 94): i for i in range(100)}
    vocab["<|endoftext|>"] = 100
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": 100, "content": "<|endoftext|>", "special": True, "normalized": False,
                          "single_word": False, "lstrip": False, "rstrip": False}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": []}}))


class TinyStudy:
    """The files of the study in `folder`, and runs of it; every run has a cache of its own."""

    def __init__(self, binary, folder):
        self.binary, self.folder = str(binary), pathlib.Path(folder)
        _write_model(self.folder / "model")
        (self.folder / "workload.toml").write_text(
            'name = "short"\nprompt_tokens = 64\noutput_tokens = 32\n')
        (self.folder / "study.toml").write_text(STUDY.format(folder=self.folder))

    def start(self, out, *more, cache=None, threads=1, env=(), **options):
        environment = dict(os.environ, DOVETAIL_CACHE=str(cache or pathlib.Path(out) / "cache"),
                           DOVETAIL_THREADS=str(threads), **dict(env))
        return subprocess.Popen(
            [self.binary, "optimize", str(self.folder / "study.toml"), "--out", str(out), *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, **options)

    def run(self, out, *more, **options):
        """Exit code and standard error of a whole run."""
        process = self.start(out, *more, **options)
        _, errors = process.communicate(timeout=600)
        return process.returncode, errors

    def finish(self, out, *more, **options):
        """The canonical export; fails unless the study ends well."""
        code, errors = self.run(out, *more, **options)
        if code != 0:
            raise AssertionError(f"exit code {code}: {errors}")
        return canonical(out)


def canonical(out):
    return (pathlib.Path(out) / "canonical.json").read_bytes()


_looking_at = {}  # one connection a database: opening one takes longer than many pieces last


def query(out, sql):
    """Rows of the study's database, looked at without writing to it; none while it has no tables."""
    path = pathlib.Path(out) / "study.db"
    if not path.exists():
        return []
    if path not in _looking_at:
        stop_looking()
        _looking_at[path] = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return _looking_at[path].execute(sql).fetchall()
    except sqlite3.OperationalError:
        stop_looking()
        return []


def stop_looking():
    while _looking_at:
        _looking_at.popitem()[1].close()


def kinds_at_work(out):
    """What the workers of a study hold; of a killed one: what it was at."""
    return [kind for (kind,) in query(out, "SELECT kind FROM leases ORDER BY kind")]
