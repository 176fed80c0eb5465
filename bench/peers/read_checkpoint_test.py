"""Readers against slow packers written from the layouts: one code at a time, Python integers.

Run in the evaluator's environment: build/peers/environments/evaluator/bin/python read_checkpoint_test.py
"""

import random
import unittest

import torch

import read_checkpoint


def words_of_stream(codes, bits):
    """One row: codes laid end to end in one long integer, low bits first, cut into 32-bit words."""
    stream = 0
    for index, code in enumerate(codes):
        stream |= code << (index * bits)
    count = -(-len(codes) * bits // 32)
    words = [(stream >> (32 * i)) & 0xFFFFFFFF for i in range(count)]
    return [w - (1 << 32) if w >= 1 << 31 else w for w in words]


def random_codes(rows, cols, bits, seed):
    source = random.Random(seed)
    return [[source.randrange(1 << bits) for _ in range(cols)] for _ in range(rows)]


def transposed(matrix):
    return [list(column) for column in zip(*matrix)]


class PackQuantized(unittest.TestCase):
    def test_symmetric_and_asymmetric(self):
        for bits in (2, 3, 4, 8):
            for symmetric in (True, False):
                with self.subTest(bits=bits, symmetric=symmetric):
                    self.check(bits, symmetric)

    def check(self, bits, symmetric):
        rows, cols, group = 32, 64, 32
        codes = random_codes(rows, cols, bits, 1)
        zeros = random_codes(rows, cols // group, bits, 2)
        scale = [[0.5 + 0.25 * ((r + g) % 5) for g in range(cols // group)] for r in range(rows)]
        parts = {"weight_packed": torch.tensor([words_of_stream(row, bits) for row in codes],
                                               dtype=torch.int32),
                 "weight_scale": torch.tensor(scale),
                 "weight_shape": torch.tensor([rows, cols])}
        half = 1 << (bits - 1)
        if not symmetric:
            by_column = [words_of_stream(column, bits) for column in transposed(zeros)]
            parts["weight_zero_point"] = torch.tensor(transposed(by_column), dtype=torch.int32)
        linear = read_checkpoint.read_pack_quantized(
            parts, {"num_bits": bits, "symmetric": symmetric})
        for r in range(rows):
            for c in range(cols):
                zero = half if symmetric else zeros[r][c // group]
                self.assertEqual(linear.weight[r, c].item(),
                                 (codes[r][c] - zero) * scale[r][c // group])
        per_group = 16 if symmetric else 16 + bits
        self.assertEqual(linear.format_bits, rows * cols * (bits + per_group / group))


class Fp4(unittest.TestCase):
    VALUES = (0, 0.5, 1, 1.5, 2, 3, 4, 6)

    def value(self, code):
        return self.VALUES[code & 7] * (-1 if code & 8 else 1)

    def packed(self, codes):
        return torch.tensor([[row[2 * i] | row[2 * i + 1] << 4 for i in range(len(row) // 2)]
                             for row in codes], dtype=torch.uint8)

    def test_nvfp4_divides_by_the_global_scale(self):
        codes = random_codes(2, 32, 4, 3)
        parts = {"weight_packed": self.packed(codes),
                 "weight_scale": torch.tensor([[1.0, 2.0], [0.5, 448.0]]).to(torch.float8_e4m3fn),
                 "weight_global_scale": torch.tensor([4.0])}
        linear = read_checkpoint.read_fp4(parts, {})
        scales = [[0.25, 0.5], [0.125, 112.0]]
        for r in range(2):
            for c in range(32):
                self.assertEqual(linear.weight[r, c].item(),
                                 self.value(codes[r][c]) * scales[r][c // 16])

    def test_mxfp4_exponents(self):
        codes = random_codes(1, 64, 4, 4)
        parts = {"weight_packed": self.packed(codes),
                 "weight_scale": torch.tensor([[127, 124]], dtype=torch.uint8)}
        linear = read_checkpoint.read_fp4(parts, {})
        for c in range(64):
            self.assertEqual(linear.weight[0, c].item(),
                             self.value(codes[0][c]) * (1.0, 0.125)[c // 32])
        self.assertEqual(linear.format_bits, 64 * 4.25)


class Gptq(unittest.TestCase):
    """Both layouts, by way of a folder, with a last group that is shorter."""

    def test_layouts(self):
        for bits in (2, 3, 4):
            for layout in ("gptq", "gptq_v2"):
                for symmetric in (True, False):
                    with self.subTest(bits=bits, layout=layout, symmetric=symmetric):
                        self.check(bits, layout, symmetric)

    def check(self, bits, layout, symmetric):
        rows, cols, group = 32, 96, 64
        groups = 2
        codes = random_codes(rows, cols, bits, 5)
        half = 1 << (bits - 1)
        zeros = [[half] * rows] * groups if symmetric else random_codes(groups, rows, bits, 6)
        less = 1 if layout == "gptq" else 0
        stored = [[(z - less) % (1 << bits) for z in row] for row in zeros]
        scale = [[1.0 + 0.5 * ((r + g) % 3) for r in range(rows)] for g in range(groups)]
        modules = {"m": {
            "qweight": torch.tensor(transposed([words_of_stream(row, bits) for row in codes]),
                                    dtype=torch.int32),
            "qzeros": torch.tensor([words_of_stream(row, bits) for row in stored],
                                   dtype=torch.int32),
            "scales": torch.tensor(scale, dtype=torch.float16),
            "g_idx": torch.tensor([c // group for c in range(cols)], dtype=torch.int32)}}
        original = read_checkpoint.split_modules
        read_checkpoint.split_modules = lambda folder, marks: (modules, {})
        try:
            linears, _ = read_checkpoint.read_gptq("", {"quantization_config": {
                "bits": bits, "sym": symmetric, "checkpoint_format": layout}})
        finally:
            read_checkpoint.split_modules = original
        for r in range(rows):
            for c in range(cols):
                expected = (codes[r][c] - zeros[c // group][r]) * scale[c // group][r]
                self.assertEqual(linears["m"].weight[r, c].item(), expected)


if __name__ == "__main__":
    unittest.main()
