#!/usr/bin/env python3
"""Blocks of GGUF types, element by element, beside the gguf package (plain numpy).

Decoding: random bytes of every type give the same floats, bit for bit. Encoding: under the rule that the
package has, MXFP4 blocks are the same bytes and Q8_0 scales too; what Dovetail writes by least squares is
decoded by the package alone and lies nearer to the weights than what the package writes, or for types that
it does not write, within what the type's step allows.
Run by prepare.py inside its environment: check_gguf.py TOOL SCRATCH."""
import pathlib
import subprocess
import sys

import gguf
import numpy as np

TOOL, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2])
BLOCKS, ROWS, COLUMNS = 3000, 24, 1024
# Where the half-precision numbers stand in a block: they must be finite.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208], "Q5_1": [0, 2],
          "Q2_K": [80, 82], "Q3_K": [108], "Q5_K": [0, 2], "MXFP4": []}
# Root mean square error over that of the weights that no sound encoder of the type exceeds: about 1.3 times
# a uniform grid over the range of a block of normal values.
WORST = {"q4_k": 0.09, "q6_k": 0.022}


def kind(name):
    return gguf.GGMLQuantizationType[name]


def tool(*words):
    subprocess.run([TOOL, *map(str, words)], check=True)


def decoded_alike(name, rng):
    size = gguf.GGML_QUANT_SIZES[kind(name)][1]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = (rng.standard_normal(BLOCKS) * 2.0 ** rng.integers(-28, 12, BLOCKS)).astype(np.float16)
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(-1, 2)
    blocks.tofile(SCRATCH / "blocks")
    tool("decode", name, SCRATCH / "blocks", SCRATCH / "values")
    ours = np.fromfile(SCRATCH / "values", np.uint32)
    theirs = gguf.quants.dequantize(blocks, kind(name)).astype(np.float32).view(np.uint32).reshape(-1)
    # NaN of E8M0 255 may carry any payload.
    both_nan = np.isnan(ours.view(np.float32)) & np.isnan(theirs.view(np.float32))
    wrong = np.flatnonzero((ours != theirs) & ~both_nan)
    assert ours.size == theirs.size and wrong.size == 0, f"{name}: {wrong.size} values differ, the first is {wrong[:1]}"
    return ours.size


def encoded(what, name, weights):
    weights.tofile(SCRATCH / "weights")
    tool("encode", what, COLUMNS, SCRATCH / "weights", SCRATCH / "blocks")
    return np.fromfile(SCRATCH / "blocks", np.uint8).reshape(-1, gguf.GGML_QUANT_SIZES[kind(name)][1])


def relative_error(blocks, name, weights):
    values = gguf.quants.dequantize(blocks, kind(name)).reshape(-1)
    return float(np.sqrt(np.mean((values - weights.reshape(-1)) ** 2) / np.mean(weights**2)))


def written_by_package(name, weights):
    return gguf.quants.quantize(weights, kind(name)).reshape(-1, gguf.GGML_QUANT_SIZES[kind(name)][1])


def main():
    np.seterr(over="ignore")  # E8M0 scales near 2^127
    rng = np.random.default_rng(7)
    for name in HALVES:
        print(f"{name:6} {decoded_alike(name, rng)} values decode alike", flush=True)
    weights = (rng.standard_normal((ROWS, COLUMNS)) * 2.0 ** rng.integers(-9, 2, (ROWS, 1))).astype(np.float32)
    assert np.array_equal(encoded("mxfp4:floor", "MXFP4", weights), written_by_package("MXFP4", weights)), "MXFP4"
    eight, theirs = encoded("int8_g32:absmax", "Q8_0", weights), written_by_package("Q8_0", weights)
    assert np.array_equal(eight[:, :2], theirs[:, :2]), "scales of Q8_0"
    # The package divides by the scale before it is rounded to half precision.
    assert np.abs(eight[:, 2:].view(np.int8).astype(int) - theirs[:, 2:].view(np.int8)).max() <= 1, "codes of Q8_0"
    for what in ("q4_0", "q4_1", "q5_0", "q8_0", "mxfp4"):
        name = what.upper()
        ours = relative_error(encoded(what, name, weights), name, weights)
        package = relative_error(written_by_package(name, weights), name, weights)
        print(f"{name:6} error {ours:.5f}, the package's {package:.5f}", flush=True)
        assert 0 < ours <= package, what
    for what, worst in WORST.items():
        error = relative_error(encoded(what, what.upper(), weights), what.upper(), weights)
        print(f"{what.upper():6} error {error:.5f}", flush=True)
        assert 0 < error < worst, what


main()
