#!/usr/bin/env python3
"""Writes src/formats/testdata/ml_dtypes.txt: element codes as the ml_dtypes package sees them.

Needs numpy and ml_dtypes (written with numpy 2.4.6, ml_dtypes 0.6.0). One line each:
  decode NAME CODE FP32BITS      the value of a code (hexadecimal; NaN as 7fc00000)
  encode NAME FP32BITS CODE      the nearest code of a value
Values to encode: every midpoint between neighbouring codes, its FP32 neighbours, and random ones;
all stay within the format's range, since ml_dtypes turns overflow of E4M3FN into NaN where Dovetail
saturates.
"""
import sys

import ml_dtypes
import numpy as np

TYPES = {
    "fp4_e2m1": (ml_dtypes.float4_e2m1fn, 16, 6.0),
    "fp6_e2m3": (ml_dtypes.float6_e2m3fn, 64, 7.5),
    "fp6_e3m2": (ml_dtypes.float6_e3m2fn, 64, 28.0),
    "fp8_e4m3fn": (ml_dtypes.float8_e4m3fn, 256, 448.0),
    "fp8_e5m2": (ml_dtypes.float8_e5m2, 256, 57344.0),
    "e8m0": (ml_dtypes.float8_e8m0fnu, 256, None),
}


def bits_of(values):
    return np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "src/formats/testdata/ml_dtypes.txt"
    rng = np.random.default_rng(1)
    with open(path, "w", encoding="ascii") as out:
        out.write("# made by tools/make_format_golden.py\n")
        for name, (dtype, num_codes, largest) in TYPES.items():
            codes = np.arange(num_codes, dtype=np.uint8)
            values = codes.view(dtype).astype(np.float32)
            for code, bits in zip(codes, bits_of(values)):
                out.write(f"decode {name} {code:02x} {bits:08x}\n")
            if largest is None:
                continue
            grid = np.unique(values[np.isfinite(values)])
            middle = ((grid[1:].astype(np.float64) + grid[:-1]) / 2).astype(np.float32)
            below, above = np.nextafter(middle, np.float32(-1e9)), np.nextafter(middle, np.float32(1e9))
            drawn = (rng.standard_normal(200) * largest / 4).clip(-largest, largest).astype(np.float32)
            small = (rng.standard_normal(100) * largest / 2**14).astype(np.float32)
            points = np.concatenate([middle, below, above, drawn, small])
            for bits, code in zip(points.view(np.uint32), points.astype(dtype).view(np.uint8)):
                out.write(f"encode {name} {bits:08x} {code:02x}\n")
        for name, dtype in (("bf16", ml_dtypes.bfloat16), ("fp16", np.float16)):
            patterns = rng.integers(0, 2**32, 300, dtype=np.uint32).view(np.float32)
            points = patterns[np.isfinite(patterns)]
            points = np.concatenate([points, (rng.standard_normal(200) * 10.0 ** rng.integers(-8, 5, 200)).astype(np.float32)])
            with np.errstate(over="ignore"):
                coded = points.astype(dtype).view(np.uint16)
            for bits, code in zip(points.view(np.uint32), coded):
                out.write(f"encode {name} {bits:08x} {code:04x}\n")


if __name__ == "__main__":
    main()
