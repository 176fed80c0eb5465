#!/usr/bin/env python3
"""Writes src/checkpoint/testdata/compressed_tensors.txt: what the compressed-tensors package makes of a few
weights in every layout that Dovetail writes, and src/formats/testdata/torch.txt: codes of torch's own dtypes,
in the lines of make_format_golden.py.

Needs compressed-tensors (written with 0.20.0) and torch (2.15.0, CPU). Numbers are hexadecimal, little-endian
bytes of whole tensors:
  weight ROWS COLUMNS F32...          the weights of all formats
  format NAME LAYOUT                  Dovetail's name; what follows belongs to it
  part SUFFIX BYTES                   a stored tensor
  values F32...                       the package's fake_quantize of the weights under these scales
The largest magnitude makes NVFP4's global scale a power of two, so that both sides' products are exact.
"""
import pathlib

import compressed_tensors.compressors as compressors
import torch
from compressed_tensors.compressors.mxfp6 import base as mxfp6
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import fake_quantize

ROWS, COLUMNS, LARGEST = 6, 64, 6 * 448 / 1024
ROOT = pathlib.Path(__file__).resolve().parent.parent
INTEGERS = [(bits, symmetric) for bits in (2, 3, 4, 5, 8) for symmetric in (True, False)]


def hexed(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes().hex()


def grouped(weight, size):
    return weight.unflatten(1, (-1, size))


def integer_scales(weight, bits, symmetric, size):
    groups = grouped(weight, size)
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    if symmetric:
        scale = (torch.maximum(-low, high) / (2 ** (bits - 1) - 1)).half()
        return scale, torch.zeros_like(scale, dtype=torch.int8)
    scale = ((high - low) / (2**bits - 1)).half()
    zero = torch.round(-low / scale.float()).clamp(0, 2**bits - 1) - 2 ** (bits - 1)
    return scale, zero.to(torch.int8)


def power_scales(weight, emax):
    largest = grouped(weight, 32).abs().amax(-1)
    return 2.0 ** (torch.floor(torch.log2(largest)) - emax)


def write_format(out, name, layout, compressor, weight, args, scale, zero=None, global_scale=None):
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    state = {"weight": weight.clone(), "weight_scale": scale}
    if zero is not None:
        state["weight_zero_point"] = zero
    if global_scale is not None:
        state["weight_global_scale"] = global_scale
    made = compressor.compress(state, scheme)
    out.write(f"format {name} {layout}\n")
    for suffix, tensor in sorted(made.items()):
        out.write(f"part {suffix} {hexed(tensor)}\n")
    values = fake_quantize(weight, scale.float(), None if zero is None else zero.float(), args, global_scale=global_scale)
    out.write(f"values {hexed(values.float())}\n")


def write_layouts(path):
    torch.manual_seed(1)
    weight = torch.randn(ROWS, COLUMNS) * 0.4 + 0.1
    weight[0, 5] = -LARGEST
    assert weight.abs().max() == LARGEST
    with open(path, "w", encoding="ascii") as out:
        out.write("# made by tools/make_compressed_tensors_golden.py\n")
        out.write(f"weight {ROWS} {COLUMNS} {hexed(weight)}\n")
        for bits, symmetric in INTEGERS:
            scale, zero = integer_scales(weight, bits, symmetric, 32)
            args = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=32)
            write_format(out, f"int{bits}{'' if symmetric else '_asym'}_g32", "pack-quantized",
                         compressors.PackedQuantizationCompressor, weight, args, scale, zero)
        scale, zero = integer_scales(weight, 4, True, COLUMNS)
        write_format(out, "int4", "pack-quantized", compressors.PackedQuantizationCompressor, weight,
                     QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="channel"), scale, zero)
        scale = weight.abs().amax(1, keepdim=True) / 448
        write_format(out, "fp8_e4m3fn", "naive-quantized", compressors.NaiveQuantizationCompressor, weight,
                     QuantizationArgs(num_bits=8, type="float", symmetric=True, strategy="channel"), scale)
        for name, layout, compressor, bits, emax in (
                ("mxfp4", "mxfp4-pack-quantized", compressors.MXFP4PackedCompressor, 4, 2),
                ("mxfp6_e2m3", "mxfp6-pack-quantized", mxfp6.MXFP6PackedCompressor, 6, 2),
                ("mxfp8_e4m3fn", "mxfp8-quantized", compressors.MXFP8QuantizationCompressor, 8, 8)):
            args = QuantizationArgs(num_bits=bits, type="float", symmetric=True, strategy="group", group_size=32,
                                    scale_dtype=torch.uint8)
            write_format(out, name, layout, compressor, weight, args, power_scales(weight, emax))
        global_scale = torch.tensor([6 * 448 / LARGEST])
        scale = (grouped(weight, 16).abs().amax(-1) / 6 * global_scale).to(torch.float8_e4m3fn)
        args = QuantizationArgs(num_bits=4, type="float", symmetric=True, strategy="tensor_group", group_size=16,
                                scale_dtype=torch.float8_e4m3fn)
        write_format(out, "nvfp4", "nvfp4-pack-quantized", compressors.NVFP4PackedCompressor, weight, args,
                     scale.float(), global_scale=global_scale)


def write_elements(path):
    torch.manual_seed(2)
    with open(path, "w", encoding="ascii") as out:
        out.write("# made by tools/make_compressed_tensors_golden.py\n")
        for name, dtype, largest in (("fp8_e4m3fn", torch.float8_e4m3fn, 448), ("fp8_e5m2", torch.float8_e5m2, 57344),
                                     ("e8m0", torch.float8_e8m0fnu, None)):
            for code, value in enumerate(torch.arange(256).to(torch.uint8).view(dtype).float()):
                bits = 0x7FC00000 if value.isnan() else int(value.view(torch.int32)) & 0xFFFFFFFF
                out.write(f"decode {name} {code:02x} {bits:08x}\n")
            if largest is not None:
                drawn = (torch.randn(200) * 2.0 ** torch.randint(-12, 1, (200,)) * largest / 4).clamp(-largest, largest)
                write_codes(out, name, drawn, drawn.to(dtype).view(torch.uint8), 2)
        drawn = torch.randn(200) * 2.0 ** torch.randint(-26, 15, (200,))
        write_codes(out, "fp16", drawn, drawn.half().view(torch.int16), 4)
        write_codes(out, "bf16", drawn, drawn.bfloat16().view(torch.int16), 4)


def write_codes(out, name, values, codes, digits):
    for value, code in zip(values.view(torch.int32), codes):
        out.write(f"encode {name} {int(value) & 0xFFFFFFFF:08x} {int(code) & 16**digits - 1:0{digits}x}\n")


def main():
    write_layouts(ROOT / "src/checkpoint/testdata/compressed_tensors.txt")
    write_elements(ROOT / "src/formats/testdata/torch.txt")


if __name__ == "__main__":
    main()
