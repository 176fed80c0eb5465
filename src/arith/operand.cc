#include "arith/operand.h"

#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/config.h"
#include "formats/element.h"

namespace dovetail::arith {
namespace {

using formats::Element;

constexpr int64_t kMinIntBits = 2;
constexpr int64_t kMaxIntBits = 9;
constexpr int32_t kBf16MantissaBits = 7;
constexpr int32_t kBf16Bias = 127;

struct NamedElement {
  std::string_view name;
  Element element;
};
constexpr std::array<NamedElement, 5> kFloats = {{{"fp4_e2m1", Element::kFp4E2m1},
                                                  {"fp6_e2m3", Element::kFp6E2m3},
                                                  {"fp6_e3m2", Element::kFp6E3m2},
                                                  {"fp8_e4m3fn", Element::kFp8E4m3Fn},
                                                  {"bf16", Element::kBf16}}};

// Fields of a float element.
struct Fields {
  int32_t exponent_bits = 0;
  int32_t mantissa_bits = 0;
  int32_t bias = 0;
};

Fields fields_of(Element element) {
  if (element == Element::kBf16) return {8, kBf16MantissaBits, kBf16Bias};
  const formats::FloatForm& form = formats::float_form(element);
  return {form.exponent_bits, form.mantissa_bits, form.bias};
}

Operand operand_of_int(const OperandType& type, int32_t value) {
  const int32_t limit = 1 << (type.bits - 1);
  const bool is_zero_point_form = type.bits == kMaxIntBits;
  DOVETAIL_CHECK(value < limit && value >= (is_zero_point_form ? 1 - limit : -limit));
  return {.negative = value < 0, .significand = static_cast<uint32_t>(value < 0 ? -value : value)};
}

}  // namespace

Result<OperandType> parse_operand_type(std::string_view name) {
  std::vector<std::string> names;
  for (int64_t bits = kMinIntBits; bits <= kMaxIntBits; ++bits) {
    names.push_back(fmt::format("int{}", bits));
    if (name == names.back()) return OperandType{.element = Element::kInt, .bits = bits};
  }
  for (const NamedElement& one : kFloats) {
    names.emplace_back(one.name);
    if (name == one.name) return OperandType{.element = one.element, .bits = 0};
  }
  const auto nearest = nearest_name(name, names);
  return invalid_argument(
      fmt::format("operand '{}', want int2..int9, fp4_e2m1, fp6_e2m3, "
                  "fp6_e3m2, fp8_e4m3fn or bf16{}",
                  name, nearest ? fmt::format(" (nearest {})", *nearest) : ""));
}

int64_t significand_bits(const OperandType& type) {
  if (type.element == Element::kInt) return type.bits == kMaxIntBits ? 8 : type.bits;
  return fields_of(type.element).mantissa_bits + 1;
}

int32_t max_shift(const OperandType& type) {
  if (type.element == Element::kInt) return 0;
  const Fields fields = fields_of(type.element);
  // The exponent field without 0, which shares its shift with 1.
  return (1 << fields.exponent_bits) - 2;
}

int32_t fraction_bits(const OperandType& type) {
  if (type.element == Element::kInt) return 0;
  const Fields fields = fields_of(type.element);
  return fields.bias - 1 + fields.mantissa_bits;
}

Operand operand_of_code(const OperandType& type, int32_t code) {
  if (type.element == Element::kInt) return operand_of_int(type, code);
  const Fields fields = fields_of(type.element);
  const auto bits = static_cast<uint32_t>(code);
  const uint32_t mantissa = bits & ((1U << fields.mantissa_bits) - 1);
  const uint32_t exponent =
      (bits >> fields.mantissa_bits) & ((1U << static_cast<uint32_t>(fields.exponent_bits)) - 1);
  const uint32_t hidden = exponent > 0 ? 1U << fields.mantissa_bits : 0U;
  return {.negative = ((bits >> (fields.mantissa_bits + fields.exponent_bits)) & 1U) != 0,
          .significand = hidden | mantissa,
          .shift = exponent > 0 ? static_cast<int32_t>(exponent) - 1 : 0};
}

int32_t subtract_zero_point(int32_t code, int32_t zero, int64_t bits) {
  const int32_t limit = 1 << bits;
  DOVETAIL_CHECK(code >= 0 && code < limit && zero >= 0 && zero < limit);
  return code - zero;
}

}  // namespace dovetail::arith
