#include "arith/fp32.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dovetail::arith {
namespace {

constexpr int32_t kMantissaBits = 23;
constexpr int32_t kBias = 127;
constexpr int32_t kMinExponent = 1 - kBias - kMantissaBits;  // of the last place of a subnormal
constexpr int32_t kMaxField = 255;

float canonical(float value) {
  return std::isnan(value) ? std::bit_cast<float>(0x7FC00000U) : value;
}

// magnitude >> drop to nearest even; drop >= 0.
uint64_t shift_nearest_even(uint64_t magnitude, int32_t drop) {
  if (drop == 0) return magnitude;
  if (drop > 64) return 0;
  const uint64_t half = uint64_t{1} << static_cast<uint32_t>(drop - 1);
  const uint64_t rest = magnitude & (half - 1 + half);
  const uint64_t kept = drop == 64 ? 0 : magnitude >> static_cast<uint32_t>(drop);
  return kept + (rest > half || (rest == half && (kept & 1U) != 0) ? 1 : 0);
}

}  // namespace

float fp32_of_sum(int64_t sum, int32_t exponent) {
  if (sum == 0) return 0.0F;
  const uint32_t sign = sum < 0 ? 0x80000000U : 0U;
  const uint64_t magnitude = sum < 0 ? ~static_cast<uint64_t>(sum) + 1 : static_cast<uint64_t>(sum);
  const int32_t top = 63 - std::countl_zero(magnitude);
  // Exponent of the last place that FP32 keeps.
  const int32_t last = std::max(top + exponent - kMantissaBits, kMinExponent);
  const int32_t drop = last - exponent;
  const uint64_t kept =
      drop >= 0 ? shift_nearest_even(magnitude, drop) : magnitude << static_cast<uint32_t>(-drop);
  // A significand of 2^24 after rounding carries into the exponent field, as it should; the hidden
  // bit adds 1 to the field, so a subnormal has 0.
  const int64_t field = last - kMinExponent;
  const int64_t bits = (field << kMantissaBits) + static_cast<int64_t>(kept);
  constexpr int64_t kInfinity = int64_t{kMaxField} << kMantissaBits;
  return std::bit_cast<float>(sign | static_cast<uint32_t>(std::min(bits, kInfinity)));
}

float fp32_multiply(float a, float b) {
  return canonical(a * b);
}

float fp32_add(float a, float b) {
  return canonical(a + b);
}

}  // namespace dovetail::arith
