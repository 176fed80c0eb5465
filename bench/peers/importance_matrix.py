"""llama.cpp's importance matrix from the calibration tokens: the mean square of each input channel.

Usage: importance_matrix.py JOB.json, with keys model, tokens, threads, out (an .npz that maps GGUF
tensor names to float32 vectors). Prints the seconds. Needs: torch, transformers, numpy.

The PyPI wheel of llama.cpp brings its library but not its imatrix tool; the quantity is the same one.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
import transformers

from export_model import BLOCK_NAMES


def gguf_names():
    """Hugging Face module name behind the layer -> GGUF tensor name behind the block."""
    return {inner.removesuffix(".weight"): name for name, inner in BLOCK_NAMES.items()
            if "norm" not in inner}


@torch.no_grad()
def mean_squares(model, sequences):
    sums = {}

    def add(name):
        def hook(module, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + x.square().sum(dim=0, dtype=torch.float64)
        return hook

    names = gguf_names()
    for index, layer in enumerate(model.model.layers):
        for inner, name in names.items():
            layer.get_submodule(inner).register_forward_pre_hook(add(f"blk.{index}.{name}"))
    for sequence in sequences:
        model.model(torch.tensor([sequence]))
    tokens = sum(len(s) for s in sequences)
    return {name: (total / tokens).float().numpy() for name, total in sums.items()}


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    sequences = json.loads(pathlib.Path(job["tokens"]).read_text())["calibration"]
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    start = time.perf_counter()
    squares = mean_squares(model.eval(), sequences)
    seconds = time.perf_counter() - start
    np.savez(job["out"], **squares)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
