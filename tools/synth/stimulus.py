"""Operands as a trained network has them, in the form of a lane: {negative, significand, shift}.

Weights and activations are normally distributed; integers and FP8 are scaled so that the largest magnitude
of a block of 32 is the format's largest, as quantisation does; bf16 is left as it is. Facts of the elements
as in src/arith/operand.h.
"""

import math
import random

BLOCK = 32
FLOATS = {"fp4_e2m1": (2, 1, 1, 6.0), "fp6_e2m3": (2, 3, 1, 7.5), "fp6_e3m2": (3, 2, 3, 28.0),
          "fp8_e4m3fn": (4, 3, 7, 448.0), "bf16": (8, 7, 127, None)}  # exponent, mantissa, bias, largest


def significand_bits(element):
    if element in FLOATS:
        return FLOATS[element][1] + 1
    bits = int(element[3:])
    return 8 if bits == 9 else bits


def operand_of(element, value):
    """(negative, significand, shift) of a value already scaled to the format."""
    if element not in FLOATS:
        bits = int(element[3:])
        limit = (1 << (bits - 1)) - 1
        whole = max(-limit, min(limit, round(value)))
        return int(whole < 0), abs(whole), 0
    exponent_bits, mantissa, bias, _ = FLOATS[element]
    magnitude = abs(value)
    first = 1 - bias
    exponent = max(first, math.frexp(magnitude)[1] - 1 if magnitude > 0 else first)
    significand = round(math.ldexp(magnitude, mantissa - exponent))
    if significand == 1 << (mantissa + 1):
        significand, exponent = significand >> 1, exponent + 1
    return int(value < 0), significand, exponent - first


def scaled_block(rng, element, count):
    values = [rng.gauss(0, 1) for _ in range(count)]
    if element == "bf16":
        return values
    if element in FLOATS:
        largest = FLOATS[element][3]
    else:
        largest = (1 << (int(element[3:]) - 1)) - 1
    top = max(abs(value) for value in values)
    return [value / top * largest for value in values]


class OperandStreams:
    """Values for one side of an array, cycle by cycle, for `streams` independent streams."""

    def __init__(self, seed, element, slots, streams):
        self.rng = random.Random(seed)
        self.element, self.slots, self.streams = element, slots, streams

    def cycle(self):
        """[[operand of a slot for each stream] of each slot]."""
        columns = []
        for _ in range(self.streams):
            values = []
            while len(values) < self.slots:
                values += scaled_block(self.rng, self.element, BLOCK)
            columns.append([operand_of(self.element, value) for value in values[:self.slots]])
        return [[column[slot] for column in columns] for slot in range(self.slots)]


def bit_planes(numbers, width):
    """Bit b of every number, gathered into one integer, for b = 0..width - 1."""
    planes = []
    for bit in range(width):
        plane = 0
        for stream, number in enumerate(numbers):
            plane |= (number >> bit & 1) << stream
        planes.append(plane)
    return planes
