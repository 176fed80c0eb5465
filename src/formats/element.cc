#include "formats/element.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace dovetail::formats {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kFp32MantissaBits = 23;
constexpr int32_t kFp32Bias = 127;
constexpr uint32_t kFp32Sign = 0x80000000U;
constexpr uint32_t kFp32Infinity = 0x7F800000U;

constexpr FloatForm kFp4E2m1Form{.exponent_bits = 2,
                                 .mantissa_bits = 1,
                                 .bias = 1,
                                 .largest_code = 0x7,
                                 .max = kE2m1Max,
                                 .emax = 2};
constexpr FloatForm kFp6E2m3Form{.exponent_bits = 2,
                                 .mantissa_bits = 3,
                                 .bias = 1,
                                 .largest_code = 0x1F,
                                 .max = 7.5F,
                                 .emax = 2};
constexpr FloatForm kFp6E3m2Form{.exponent_bits = 3,
                                 .mantissa_bits = 2,
                                 .bias = 3,
                                 .largest_code = 0x1F,
                                 .max = 28.0F,
                                 .emax = 4};
constexpr FloatForm kFp8E4m3FnForm{.exponent_bits = 4,
                                   .mantissa_bits = 3,
                                   .bias = 7,
                                   .largest_code = kE4m3LargestCode,
                                   .max = kFp8E4m3FnMax,
                                   .emax = 8};
constexpr FloatForm kFp8E5m2Form{.exponent_bits = 5,
                                 .mantissa_bits = 2,
                                 .bias = 15,
                                 .largest_code = 0x7B,
                                 .max = 57344.0F,
                                 .emax = 15};
constexpr FloatForm kFp16Form{.exponent_bits = 5, .mantissa_bits = 10, .bias = 15};

// 2^exponent, -126..127.
constexpr float power_of_two(int32_t exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + kFp32Bias) << kFp32MantissaBits);
}

float decode_magnitude(const FloatForm& form, uint32_t code) {
  const auto mantissa_bits = static_cast<uint32_t>(form.mantissa_bits);
  const uint32_t exponent = code >> mantissa_bits;
  const uint32_t mantissa = code & ((1U << mantissa_bits) - 1);
  if (exponent == 0)
    return static_cast<float>(mantissa) * power_of_two(1 - form.bias - form.mantissa_bits);
  return std::bit_cast<float>(
      ((exponent + static_cast<uint32_t>(kFp32Bias - form.bias)) << kFp32MantissaBits) |
      (mantissa << (kFp32MantissaBits - form.mantissa_bits)));
}

// `steps` >= 0 to a whole number.
uint32_t round_steps(float steps, Ties ties) {
  const float below = std::floor(steps);
  const float rest = steps - below;
  const auto code = static_cast<uint32_t>(below);
  const bool odd = (code & 1U) != 0;
  const bool up_at_half = ties == Ties::kAway || (ties == Ties::kEven && odd);
  return code + (rest > .5F || (rest == .5F && up_at_half) ? 1U : 0U);
}

// Nearest code as if the exponent had no upper end; codes grow with the value, so the caller
// saturates by taking the smaller code.
uint32_t encode_magnitude(const FloatForm& form, float magnitude, Ties ties) {
  const int32_t first = 1 - form.bias;
  if (magnitude < power_of_two(first))
    return round_steps(magnitude * power_of_two(form.mantissa_bits - first), ties);
  const auto drop = static_cast<uint32_t>(kFp32MantissaBits - form.mantissa_bits);
  uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  // What is added carries into the kept bits at half or above it; a carry is a next binade.
  const uint32_t half = 1U << (drop - 1);
  bits += ties == Ties::kAway   ? half
          : ties == Ties::kZero ? half - 1
                                : half - 1 + ((bits >> drop) & 1U);
  return (bits >> drop) - (static_cast<uint32_t>(kFp32Bias - form.bias)
                           << static_cast<uint32_t>(form.mantissa_bits));
}

float with_sign(float magnitude, bool negative) {
  return negative ? -magnitude : magnitude;
}

}  // namespace

bool is_float(Element element) {
  return element == Element::kFp4E2m1 || element == Element::kFp6E2m3 ||
         element == Element::kFp6E3m2 || element == Element::kFp8E4m3Fn ||
         element == Element::kFp8E5m2;
}

const FloatForm& float_form(Element element) {
  switch (element) {
    case Element::kFp6E2m3:
      return kFp6E2m3Form;
    case Element::kFp6E3m2:
      return kFp6E3m2Form;
    case Element::kFp8E4m3Fn:
      return kFp8E4m3FnForm;
    case Element::kFp8E5m2:
      return kFp8E5m2Form;
    default:
      DOVETAIL_CHECK(element == Element::kFp4E2m1);
      return kFp4E2m1Form;
  }
}

float decode_float(Element element, uint8_t code) {
  const FloatForm& form = float_form(element);
  const auto sign_bit = 1U << static_cast<uint32_t>(form.exponent_bits + form.mantissa_bits);
  const uint32_t magnitude = code & (sign_bit - 1);
  const bool negative = (code & sign_bit) != 0;
  if (magnitude > form.largest_code) {
    const bool infinite = element == Element::kFp8E5m2 && magnitude == 0x7CU;
    return infinite ? with_sign(std::numeric_limits<float>::infinity(), negative) : kNan;
  }
  return with_sign(decode_magnitude(form, magnitude), negative);
}

uint8_t encode_float(Element element, float value, Ties ties) {
  const FloatForm& form = float_form(element);
  const auto sign_bit = 1U << static_cast<uint32_t>(form.exponent_bits + form.mantissa_bits);
  const uint32_t sign = std::signbit(value) ? sign_bit : 0U;
  const bool has_nan = form.largest_code < sign_bit - 1;
  if (std::isnan(value)) {
    return static_cast<uint8_t>(sign | (has_nan ? sign_bit - 1 : form.largest_code));
  }
  if (std::fabs(value) >= form.max) return static_cast<uint8_t>(sign | form.largest_code);
  const uint32_t magnitude = encode_magnitude(form, std::fabs(value), ties);
  return static_cast<uint8_t>(sign | std::min<uint32_t>(magnitude, form.largest_code));
}

float decode_e8m0(uint8_t code) {
  if (code == kE8m0NanCode) return kNan;
  return code == 0 ? 0x1p-127F : power_of_two(static_cast<int32_t>(code) - kFp32Bias);
}

ScaledElement scaled_element(const WeightFormat& format) {
  if (format.element == Element::kInt) return {.emax = 0, .mantissa_bits = 6, .max = 127.0F / 64};
  const FloatForm& form = float_form(format.element);
  return {.emax = form.emax, .mantissa_bits = form.mantissa_bits, .max = form.max};
}

uint8_t e8m0_scale(ScaleRule rule, float absmax, const ScaledElement& element) {
  constexpr uint32_t kMantissa = (1U << kFp32MantissaBits) - 1;
  uint32_t bits = std::bit_cast<uint32_t>(absmax);
  if (bits == 0) return 0;
  // Carries into the exponent where a, rounded to the element's mantissa, is a next binade.
  if (rule == ScaleRule::kEven)
    bits += 1U << static_cast<uint32_t>(kFp32MantissaBits - element.mantissa_bits - 1);
  // The exponent field is floor(log2) + 127 for normals; subnormals have 0 and end at code 0 too.
  int32_t code = static_cast<int32_t>(bits >> kFp32MantissaBits) - element.emax;
  if (rule == ScaleRule::kCeil && (bits & kMantissa) != 0) ++code;
  if (rule == ScaleRule::kRceil &&
      (bits & kMantissa) > (std::bit_cast<uint32_t>(element.max) & kMantissa)) {
    ++code;
  }
  return static_cast<uint8_t>(std::clamp(code, 0, kE8m0NanCode - 1));
}

float decode_fp16(uint16_t code) {
  const uint32_t magnitude = code & 0x7FFFU;
  const bool negative = (code & 0x8000U) != 0;
  if (magnitude > 0x7C00U) return kNan;
  if (magnitude == 0x7C00U) return with_sign(std::numeric_limits<float>::infinity(), negative);
  return with_sign(decode_magnitude(kFp16Form, magnitude), negative);
}

uint16_t encode_fp16(float value) {
  const uint32_t sign = std::signbit(value) ? 0x8000U : 0U;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00U);
  const uint32_t magnitude = encode_magnitude(kFp16Form, std::fabs(value), Ties::kEven);
  return static_cast<uint16_t>(sign | std::min(magnitude, 0x7C00U));
}

float decode_bf16(uint16_t code) {
  return std::bit_cast<float>(static_cast<uint32_t>(code) << 16U);
}

uint16_t encode_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & ~kFp32Sign) > kFp32Infinity) return static_cast<uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

}  // namespace dovetail::formats
