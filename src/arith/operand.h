// Elements as a multiplier sees them: a sign, a small unsigned significand and a shift.
//
//   element        significand bits  shift   fraction bits  values
//   int{2..8}      its bits          0       0              -2^(b-1) .. 2^(b-1) - 1
//   int9           8                 0       0              -255 .. 255: a code less its zero point
//   fp4_e2m1       2                 0..2    1              +-{0, .5, 1, 1.5, 2, 3, 4, 6}
//   fp6_e2m3       4                 0..2    3
//   fp6_e3m2       3                 0..6    4
//   fp8_e4m3fn     4                 0..14   9
//   bf16           8                 0..254  133
//
// value = (-1)^negative * significand * 2^(shift - fraction bits), subnormals included (shift 0).
// The multiplier has no NaN and no infinity: their codes are read as the next numbers of the
// format, 480 for the NaN of fp8_e4m3fn and 2^128 * 1.m for those of bf16. Quantisers make neither.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "formats/format.h"

namespace dovetail::arith {

struct OperandType {
  formats::Element element = formats::Element::kInt;  // kInt, kFp4E2m1, kFp6*, kFp8E4m3Fn, kBf16
  int64_t bits = 8;                                   // of kInt: 2..9

  bool operator==(const OperandType&) const = default;
};

// "int4", "fp8_e4m3fn", "bf16", ...: the names of chip files. Errors: kInvalidArgument with the
// nearest name.
[[nodiscard]] Result<OperandType> parse_operand_type(std::string_view name);

[[nodiscard]] int64_t significand_bits(const OperandType& type);
[[nodiscard]] int32_t max_shift(const OperandType& type);
[[nodiscard]] int32_t fraction_bits(const OperandType& type);

struct Operand {
  bool negative = false;
  uint32_t significand = 0;
  int32_t shift = 0;

  bool operator==(const Operand&) const = default;
};

// Of kInt the code is the value in two's complement, of the others the bits of the format.
[[nodiscard]] Operand operand_of_code(const OperandType& type, int32_t code);

// What the decoder forms of an asymmetric code before the multiplier: code - zero, both unsigned
// integers of `bits` bits (2..8), an int{bits + 1}.
[[nodiscard]] int32_t subtract_zero_point(int32_t code, int32_t zero, int64_t bits);

}  // namespace dovetail::arith
