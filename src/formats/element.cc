#include "formats/element.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace dovetail::formats {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint32_t kFp32MantissaBits = 23;
constexpr uint32_t kFp32Bias = 127;
constexpr uint32_t kFp32Sign = 0x80000000U;
constexpr uint32_t kFp32Infinity = 0x7F800000U;

// 2^exponent, -126..127.
constexpr float power_of_two(int32_t exponent) {
  return std::bit_cast<float>((static_cast<uint32_t>(exponent) + kFp32Bias) << kFp32MantissaBits);
}

// A sign-magnitude float of `mantissa_bits` and `bias` whose special codes are not yet applied.
struct MiniFloat {
  uint32_t mantissa_bits;
  uint32_t bias;
};
constexpr MiniFloat kE2m1{.mantissa_bits = 1, .bias = 1};
constexpr MiniFloat kE4m3{.mantissa_bits = 3, .bias = 7};
constexpr MiniFloat kFp16{.mantissa_bits = 10, .bias = 15};

float decode_magnitude(MiniFloat form, uint32_t code) {
  const uint32_t exponent = code >> form.mantissa_bits;
  const uint32_t mantissa = code & ((1U << form.mantissa_bits) - 1);
  const auto first = static_cast<int32_t>(1 - form.bias);
  if (exponent == 0)
    return static_cast<float>(mantissa) *
           power_of_two(first - static_cast<int32_t>(form.mantissa_bits));
  return std::bit_cast<float>(((exponent + kFp32Bias - form.bias) << kFp32MantissaBits) |
                              (mantissa << (kFp32MantissaBits - form.mantissa_bits)));
}

// Nearest code as if the exponent had no upper end; codes grow with the value, so the caller
// saturates by taking the smaller code.
uint32_t encode_magnitude(MiniFloat form, float magnitude) {
  const auto first = static_cast<int32_t>(1 - form.bias);
  if (magnitude < power_of_two(first)) {
    const float steps = magnitude * power_of_two(static_cast<int32_t>(form.mantissa_bits) - first);
    return static_cast<uint32_t>(std::nearbyint(steps));
  }
  const uint32_t drop = kFp32MantissaBits - form.mantissa_bits;
  uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  bits += (1U << (drop - 1)) - 1 + ((bits >> drop) & 1U);  // ties to even; a carry is a next binade
  return (bits >> drop) - ((kFp32Bias - form.bias) << form.mantissa_bits);
}

float with_sign(float magnitude, bool negative) {
  return negative ? -magnitude : magnitude;
}

}  // namespace

float decode_e2m1(uint8_t code) {
  return with_sign(decode_magnitude(kE2m1, code & 7U), (code & 8U) != 0);
}

uint8_t encode_e2m1(float value) {
  const uint32_t magnitude = std::min(encode_magnitude(kE2m1, std::fabs(value)), 7U);
  return static_cast<uint8_t>(magnitude | (std::signbit(value) ? 8U : 0U));
}

float decode_fp8_e4m3fn(uint8_t code) {
  if ((code & 0x7FU) == 0x7FU) return kNan;
  return with_sign(decode_magnitude(kE4m3, code & 0x7FU), (code & 0x80U) != 0);
}

uint8_t encode_fp8_e4m3fn(float value) {
  const uint32_t sign = std::signbit(value) ? 0x80U : 0U;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | 0x7FU);
  const uint32_t magnitude = encode_magnitude(kE4m3, std::fabs(value));
  return static_cast<uint8_t>(sign | std::min<uint32_t>(magnitude, kE4m3LargestCode));
}

float decode_e8m0(uint8_t code) {
  if (code == kE8m0NanCode) return kNan;
  return code == 0 ? 0x1p-127F : power_of_two(static_cast<int32_t>(code) - 127);
}

uint8_t e8m0_floor_scale(float absmax, int32_t emax) {
  // The exponent field is floor(log2) + 127 for normals; subnormals have 0 and end at code 0 too.
  const auto exponent =
      static_cast<int32_t>(std::bit_cast<uint32_t>(absmax) >> kFp32MantissaBits & 0xFFU);
  return static_cast<uint8_t>(std::max(exponent - emax, 0));
}

float decode_fp16(uint16_t code) {
  const uint32_t magnitude = code & 0x7FFFU;
  const bool negative = (code & 0x8000U) != 0;
  if (magnitude > 0x7C00U) return kNan;
  if (magnitude == 0x7C00U) return with_sign(std::numeric_limits<float>::infinity(), negative);
  return with_sign(decode_magnitude(kFp16, magnitude), negative);
}

uint16_t encode_fp16(float value) {
  const uint32_t sign = std::signbit(value) ? 0x8000U : 0U;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00U);
  const uint32_t magnitude = encode_magnitude(kFp16, std::fabs(value));
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
