#!/usr/bin/env python3
"""llama.cpp (npm node-llama-cpp) loads Dovetail's GGUF files of every type; its greedy tokens are those that
Dovetail finds best. llama.cpp rounds activations to 8 bits where weights are quantised, so among near
equals it may take another: the logit of what it takes must lie within a small part of the best one.
Run by prepare.py: check_llama_cpp.py TOOL SCRATCH NODE_FOLDER."""
import json
import pathlib
import subprocess
import sys

PROMPT, NEW = 16, 32
EXACT = ["f32", "f16"]
ROUNDED = ["q4_0", "q4_1", "q5_0", "q8_0", "q4_k", "q6_k", "mxfp4",  # encoded from the weights
           "int4_g32", "int5_g32", "int8_g32", "int4_g64", "mxfp4+head:int8_g32",  # code by code
           "int8_g32+mlp:320+heads:2", "int8_g32+kv_heads:1"]


def write_tokenizer(folder):
    """Bytes and an end of text: ids 0..256."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(rest)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": 256, "content": "<|endoftext|>", "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": {letters[byte]: byte for byte in range(256)}, "merges": []},
    }))


def margins(what, source, tool, scratch, node):
    out = scratch / what
    subprocess.run([tool, "gguf", out, what, source], check=True)
    prompt = json.loads((out / "tokens.json").read_text())[:PROMPT]
    script = node / "generate.mjs"
    script.write_text((pathlib.Path(__file__).parent / "generate.mjs").read_text())
    words = [str(token) for token in prompt]
    made = subprocess.run(["node", script, out / "model.gguf", str(NEW), *words], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=300)
    generated = [str(token) for token in json.loads(made.stdout.splitlines()[-1])]
    assert len(generated) == NEW, f"{what}: {len(generated)} tokens"
    scored = subprocess.run([tool, "score", out / "model.gguf", str(PROMPT), *words, *generated], check=True,
                            stdout=subprocess.PIPE, text=True)
    return [float(line) for line in scored.stdout.split()]


def main():
    tool, scratch, node = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    source = scratch / "source"
    write_tokenizer(source)
    for what in EXACT + ROUNDED:
        worst = margins(what, source, tool, scratch, node)
        equal = sum(margin == 0 for margin in worst)
        print(f"{what:22} {equal} of {NEW} tokens are Dovetail's best, the others within {max(worst):.3f} "
              "deviations", flush=True)
        assert equal == NEW if what in EXACT else equal >= NEW * 3 // 4 and max(worst) < 0.3, what


if __name__ == "__main__":
    main()
