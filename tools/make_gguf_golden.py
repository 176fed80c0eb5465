#!/usr/bin/env python3
"""Writes tests/golden/gguf_types.gguf and gguf_types.f32: one tensor of every type that Dovetail reads,
made of random bytes (so every bit of a block takes part), and what the `gguf` package decodes them to.

The .f32 file holds the tensors of the .gguf in the order of TYPES, (2, 512) FP32 values each, little endian.

Needs: pip install gguf numpy
Usage: make_gguf_golden.py
"""
import argparse
import pathlib

import gguf
import numpy as np

TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q4_K", "Q6_K", "Q5_1", "Q2_K",
         "Q3_K", "Q5_K", "MXFP4"]
ROWS, COLS = 2, 512
# Where the half-precision scales stand in a block; they must be finite numbers.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208],
          "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q5_K": [0, 2], "MXFP4": []}


def random_tensor(kind, rng):
    """Bytes of a (ROWS, COLS) tensor, shape (ROWS, bytes of a row)."""
    if kind == "F32":
        return rng.standard_normal((ROWS, COLS)).astype(np.float32).view(np.uint8)
    if kind == "F16":
        values = np.concatenate([rng.standard_normal(1000), np.arange(24) * 2.0**-24])  # subnormals too
        return values.astype(np.float16).reshape(ROWS, COLS).view(np.uint8)
    if kind == "BF16":
        upper = rng.standard_normal((ROWS, COLS)).astype(np.float32).view(np.uint32) >> 16
        return upper.astype(np.uint16).view(np.uint8)
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = rng.integers(0, 256, (ROWS * COLS // elements, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = (rng.standard_normal(len(blocks)) * 0.01).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
    rng = np.random.default_rng(20260101)
    writer = gguf.GGUFWriter(folder / "gguf_types.gguf", "none")
    writer.add_int64("test.negative", -(2**40))
    writer.add_float64("test.float64", 0.1)
    writer.add_bool("test.yes", True)
    writer.add_array("test.texts", ["", "one", "zwölf"])
    writer.add_array("test.numbers", [1, 2, 3])
    expected = []
    for kind in TYPES:
        data = random_tensor(kind, rng)
        qtype = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(f"tensor.{kind}", data, raw_dtype=qtype)
        expected.append(np.asarray(gguf.quants.dequantize(data, qtype), dtype=np.float32).reshape(ROWS, COLS))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.stack(expected).astype("<f4").tofile(folder / "gguf_types.f32")


if __name__ == "__main__":
    main()
