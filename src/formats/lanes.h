// One vector register of floats, as wide as the instruction set that is compiled for, and rounding
// of its lanes to the elements of the formats. Private to the fast quantiser.
//
// Every operation is one IEEE operation per lane and lanes never mix, so the width changes no
// result.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace dovetail::formats {

#if defined(__AVX512F__)
inline constexpr int64_t kLaneBytes = 64;
#elif defined(__AVX__)
inline constexpr int64_t kLaneBytes = 32;
#else
inline constexpr int64_t kLaneBytes = 16;
#endif
inline constexpr int64_t kLanes = kLaneBytes / 4;

using FloatLanes = float __attribute__((vector_size(kLaneBytes)));
using BitLanes = uint32_t __attribute__((vector_size(kLaneBytes)));
using LaneArray = std::array<float, static_cast<size_t>(kLanes)>;

[[gnu::always_inline]] inline FloatLanes broadcast(float value) {
  return value - FloatLanes{};
}
[[gnu::always_inline]] inline FloatLanes load(const float* from) {
  FloatLanes lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
[[gnu::always_inline]] inline void store(const FloatLanes& lanes, float* to) {
  __builtin_memcpy(to, &lanes, sizeof lanes);
}
// The first `count` < kLanes floats, the rest 0.
[[gnu::always_inline]] inline FloatLanes load_first(const float* from, int64_t count) {
  LaneArray padded{};
  for (int64_t i = 0; i < count; ++i) padded[static_cast<size_t>(i)] = from[i];
  return load(padded.data());
}
[[gnu::always_inline]] inline void store_first(const FloatLanes& lanes, float* to, int64_t count) {
  LaneArray padded;
  store(lanes, padded.data());
  for (int64_t i = 0; i < count; ++i) to[i] = padded[static_cast<size_t>(i)];
}
[[gnu::always_inline]] inline FloatLanes smaller(FloatLanes a, FloatLanes b) {
  return a < b ? a : b;
}
[[gnu::always_inline]] inline FloatLanes larger(FloatLanes a, FloatLanes b) {
  return a > b ? a : b;
}
[[gnu::always_inline]] inline FloatLanes magnitude(FloatLanes a) {
  return std::bit_cast<FloatLanes>(std::bit_cast<BitLanes>(a) & 0x7FFFFFFFU);
}
// `value` (not negative) with the sign of `sign`.
[[gnu::always_inline]] inline FloatLanes with_sign_of(FloatLanes value, FloatLanes sign) {
  return std::bit_cast<FloatLanes>(std::bit_cast<BitLanes>(magnitude(value)) |
                                   (std::bit_cast<BitLanes>(sign) & 0x80000000U));
}

// Adding and subtracting 1.5 * 2^23 rounds to whole numbers, ties to even, for |x| < 2^22.
inline constexpr float kRoundToWhole = 0x1.8p23F;

// Integers low..high, bounds given per lane.
struct IntElement {
  static constexpr bool kSigned = false;  // a negative value that rounds to 0 gives +0
  FloatLanes low;
  FloatLanes high;
  [[gnu::always_inline]] FloatLanes round(FloatLanes x) const {
    return (smaller(larger(x, low), high) + kRoundToWhole) - kRoundToWhole;
  }
};

// Sign-magnitude floats of kMantissaBits with subnormals below 2^kFirstExponent, saturating at
// kMax. The constant that rounds to the step of x's binade is built from x's own exponent.
template <int kMantissaBits, int kFirstExponent>
struct FloatElement {
  static constexpr bool kSigned = true;
  static constexpr float power(int exponent) {
    return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  }
  float max;
  [[gnu::always_inline]] FloatLanes round(FloatLanes x) const {
    const FloatLanes inside = smaller(larger(x, broadcast(-max)), broadcast(max));
    const FloatLanes normal = larger(magnitude(inside), broadcast(power(kFirstExponent)));
    const auto binade = std::bit_cast<FloatLanes>(std::bit_cast<BitLanes>(normal) & 0x7F800000U);
    const FloatLanes rounder = binade * (1.5F * power(23 - kMantissaBits));
    return (inside + rounder) - rounder;
  }
};
using E2m1Element = FloatElement<1, 0>;
using E4m3Element = FloatElement<3, -6>;
using Fp16Element = FloatElement<10, -14>;

}  // namespace dovetail::formats
