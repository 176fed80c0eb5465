#include "arith/operand.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>

#include "formats/element.h"

namespace dovetail::arith {
namespace {

double value_of(const OperandType& type, const Operand& operand) {
  const double magnitude =
      std::ldexp(double{1} * operand.significand, operand.shift - fraction_bits(type));
  return operand.negative ? -magnitude : magnitude;
}

OperandType type_of(const std::string& name) {
  return *parse_operand_type(name);
}

TEST(Operand, EveryFloatCodeHasTheValueOfItsFormat) {
  for (const char* name : {"fp4_e2m1", "fp6_e2m3", "fp6_e3m2", "fp8_e4m3fn"}) {
    const OperandType type = type_of(name);
    const int32_t codes = name[2] == '4' ? 16 : name[2] == '6' ? 64 : 256;
    for (int32_t code = 0; code < codes; ++code) {
      const Operand operand = operand_of_code(type, code);
      EXPECT_LT(operand.significand, 1U << significand_bits(type));
      EXPECT_LE(operand.shift, max_shift(type));
      const float value = formats::decode_float(type.element, static_cast<uint8_t>(code));
      if (std::isnan(value)) {
        EXPECT_EQ(std::fabs(value_of(type, operand)), 480);
      } else {
        EXPECT_EQ(value_of(type, operand), value) << name << " " << code;
        EXPECT_EQ(operand.negative, std::signbit(value)) << name << " " << code;
      }
    }
  }
}

TEST(Operand, EveryBf16CodeHasItsValue) {
  const OperandType type = type_of("bf16");
  for (int32_t code = 0; code < 65536; ++code) {
    const Operand operand = operand_of_code(type, code);
    const float value = formats::decode_bf16(static_cast<uint16_t>(code));
    EXPECT_LT(operand.significand, 256U);
    if (std::isfinite(value)) {
      ASSERT_EQ(value_of(type, operand), value) << code;
    } else {
      ASSERT_EQ(operand.shift, 254) << code;
    }
  }
}

TEST(Operand, EveryIntegerOfEveryWidthHasItsValue) {
  for (int64_t bits = 2; bits <= 9; ++bits) {
    const OperandType type{.element = formats::Element::kInt, .bits = bits};
    const int32_t high = (1 << (bits - 1)) - 1;
    for (int32_t value = bits == 9 ? -high : -high - 1; value <= high; ++value) {
      const Operand operand = operand_of_code(type, value);
      EXPECT_EQ(value_of(type, operand), value);
      EXPECT_LT(operand.significand, 1U << significand_bits(type));
    }
    EXPECT_EQ(max_shift(type), 0);
  }
}

TEST(Operand, ACodeLessItsZeroPointFitsOneBitMore) {
  for (int64_t bits = 2; bits <= 8; ++bits) {
    const OperandType wider{.element = formats::Element::kInt, .bits = bits + 1};
    for (const int32_t code : {0, 1, (1 << bits) - 1}) {
      for (const int32_t zero : {0, 1, (1 << bits) - 1}) {
        const int32_t value = subtract_zero_point(code, zero, bits);
        EXPECT_EQ(value, code - zero);
        EXPECT_EQ(value_of(wider, operand_of_code(wider, value)), value);
      }
    }
  }
}

TEST(OperandError, UnknownNamesGetTheNearest) {
  const auto type = parse_operand_type("fp8_e4m3f");
  ASSERT_FALSE(type.has_value());
  EXPECT_EQ(type.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      type.error().message,
      "operand 'fp8_e4m3f', want int2..int9, fp4_e2m1, fp6_e2m3, fp6_e3m2, fp8_e4m3fn or bf16 "
      "(nearest fp8_e4m3fn)");
  EXPECT_FALSE(parse_operand_type("int10").has_value());
}

}  // namespace
}  // namespace dovetail::arith
