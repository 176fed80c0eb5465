// One vector register of floats, as wide as the instruction set that is compiled for, and rounding
// of its lanes to the elements of the formats. Private to the fast quantiser.
//
// Every operation is one IEEE operation per lane and lanes never mix, so the width changes no
// result.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "formats/rounding.h"

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
using IntLanes = int32_t __attribute__((vector_size(kLaneBytes)));
using ByteLanes = uint8_t __attribute__((vector_size(kLanes)));
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
// Past the caches, for what is not read again soon. to: aligned to kLaneBytes; order_streams()
// before another thread reads it.
[[gnu::always_inline]] inline void stream(FloatLanes lanes, float* to) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, lanes);
#elif defined(__AVX__)
  _mm256_stream_ps(to, lanes);
#elif defined(__SSE2__)
  _mm_stream_ps(to, lanes);
#else
  store(lanes, to);
#endif
}
inline void order_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}
// Lane by lane a < b ? a : b and a > b ? a : b. g++ 12 loses this pattern when an operand is a
// constant, hence the intrinsics (masked: the plain one warns of its own header).
[[gnu::always_inline]] inline FloatLanes smaller(FloatLanes a, FloatLanes b) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(0xFFFF, a, b);
#elif defined(__AVX__)
  return _mm256_min_ps(a, b);
#elif defined(__SSE2__)
  return _mm_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
[[gnu::always_inline]] inline FloatLanes larger(FloatLanes a, FloatLanes b) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(0xFFFF, a, b);
#elif defined(__AVX__)
  return _mm256_max_ps(a, b);
#elif defined(__SSE2__)
  return _mm_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
// Lane i of the result is lane i + kStep of `lanes`, round the end.
template <size_t kStep, typename Vector>
[[gnu::always_inline]] inline Vector rotated(Vector lanes) {
  return [&]<size_t... kLane>(std::index_sequence<kLane...>) __attribute__((always_inline)) {
    return __builtin_shufflevector(lanes, lanes, ((kLane + kStep) % kLanes)...);
  }(std::make_index_sequence<static_cast<size_t>(kLanes)>());
}
// The largest and the smallest of all lanes.
[[gnu::always_inline]] inline float largest_lane(FloatLanes a) {
  if constexpr (kLanes > 8) a = larger(a, rotated<8>(a));
  if constexpr (kLanes > 4) a = larger(a, rotated<4>(a));
  a = larger(a, rotated<2>(a));
  return larger(a, rotated<1>(a))[0];
}
[[gnu::always_inline]] inline BitLanes fewer(BitLanes a, BitLanes b) {
  return a < b ? a : b;
}
[[gnu::always_inline]] inline uint32_t smallest_lane(BitLanes a) {
  if constexpr (kLanes > 8) a = fewer(a, rotated<8>(a));
  if constexpr (kLanes > 4) a = fewer(a, rotated<4>(a));
  a = fewer(a, rotated<2>(a));
  return fewer(a, rotated<1>(a))[0];
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

// `even`: x rounded with ties to even. Where x lies exactly `half` a step from it, the neighbour
// that `kTies` wants.
template <Ties kTies>
[[gnu::always_inline]] inline FloatLanes settle_ties(FloatLanes x, FloatLanes even,
                                                     FloatLanes half) {
  if constexpr (kTies == Ties::kEven) {
    return even;
  } else {
    const FloatLanes outward = with_sign_of(half, x);
    const FloatLanes wanted = kTies == Ties::kAway ? x + outward : x - outward;
    return magnitude(x - even) == half ? wanted : even;
  }
}

// Every element has round(x), the nearest value, and code(x), that value's code: integers in two's
// complement of 32 bits, without a zero point.

// Integers low..high, bounds given per lane.
template <Ties kTies>
struct IntElement {
  static constexpr bool kSigned = false;  // a negative value that rounds to 0 gives +0
  FloatLanes low;
  FloatLanes high;
  [[gnu::always_inline]] FloatLanes round(FloatLanes x) const {
    const FloatLanes inside = smaller(larger(x, low), high);
    return settle_ties<kTies>(inside, (inside + kRoundToWhole) - kRoundToWhole, broadcast(.5F));
  }
  [[gnu::always_inline]] BitLanes code(FloatLanes x) const {
    return std::bit_cast<BitLanes>(__builtin_convertvector(round(x), IntLanes));
  }
};

// Sign-magnitude floats of kMantissaBits with subnormals below 2^kFirstExponent, saturating at
// kMax. The constant that rounds to the step of x's binade is built from x's own exponent.
template <int kMantissaBits, int kFirstExponent, Ties kTies>
struct FloatElement {
  static constexpr bool kSigned = true;
  static constexpr float power(int exponent) {
    return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  }
  float max;
  // round() of values that are not negative.
  [[gnu::always_inline]] FloatLanes round_magnitude(FloatLanes x) const {
    const FloatLanes inside = smaller(x, broadcast(max));
    return round_inside(inside, larger(inside, broadcast(power(kFirstExponent))));
  }
  [[gnu::always_inline]] FloatLanes round(FloatLanes x) const {
    const FloatLanes inside = smaller(larger(x, broadcast(-max)), broadcast(max));
    return round_inside(inside, larger(magnitude(inside), broadcast(power(kFirstExponent))));
  }
  [[gnu::always_inline]] BitLanes code(FloatLanes x) const {
    const FloatLanes size = magnitude(round(x));
    constexpr auto kRebias = static_cast<uint32_t>(kFirstExponent + 126) << kMantissaBits;
    const BitLanes normal = (std::bit_cast<BitLanes>(size) >> (23 - kMantissaBits)) - kRebias;
    const auto subnormal = std::bit_cast<BitLanes>(
        __builtin_convertvector(size * power(kMantissaBits - kFirstExponent), IntLanes));
    const BitLanes sign = std::bit_cast<BitLanes>(x) >> 31;
    return (size < power(kFirstExponent) ? subnormal : normal) | sign << sign_at(max);
  }

 private:
  // The place of the sign: above the largest code.
  static uint32_t sign_at(float largest) {
    const uint32_t code = (std::bit_cast<uint32_t>(largest) >> (23 - kMantissaBits)) -
                          (static_cast<uint32_t>(kFirstExponent + 126) << kMantissaBits);
    return static_cast<uint32_t>(std::bit_width(code));
  }
  [[gnu::always_inline]] static FloatLanes round_inside(FloatLanes inside, FloatLanes size) {
    const BitLanes binade = std::bit_cast<BitLanes>(size) & 0x7F800000U;
    // 1.5 * 2^(23 - kMantissaBits) * the binade: exponents add.
    constexpr uint32_t kFactor = (static_cast<uint32_t>(23 - kMantissaBits) << 23) | 0x400000U;
    const auto rounder = std::bit_cast<FloatLanes>(binade + kFactor);
    const auto half =
        std::bit_cast<FloatLanes>(binade - (static_cast<uint32_t>(kMantissaBits + 1) << 23));
    return settle_ties<kTies>(inside, (inside + rounder) - rounder, half);
  }
};
template <Ties kTies>
using E2m1Element = FloatElement<1, 0, kTies>;
template <Ties kTies>
using E2m3Element = FloatElement<3, 0, kTies>;
template <Ties kTies>
using E3m2Element = FloatElement<2, -2, kTies>;
template <Ties kTies>
using E4m3Element = FloatElement<3, -6, kTies>;
template <Ties kTies>
using E5m2Element = FloatElement<2, -14, kTies>;
using Fp16Element = FloatElement<10, -14, Ties::kEven>;

// Levels in ascending order; x takes one step up at each threshold that it reaches, so where ties
// go stands in the thresholds.
struct LevelElement {
  static constexpr bool kSigned = false;
  static constexpr size_t kMaxSteps = 15;
  float lowest = 0;
  size_t count = 0;
  std::array<float, kMaxSteps> threshold{};
  std::array<float, kMaxSteps> step{};
  [[gnu::always_inline]] FloatLanes round(FloatLanes x) const {
    FloatLanes level = broadcast(lowest);
    for (size_t i = 0; i < count; ++i) {
      const FloatLanes taken = level + step[i];
      level = x >= broadcast(threshold[i]) ? taken : level;
    }
    return level;
  }
  [[gnu::always_inline]] BitLanes code(FloatLanes x) const {
    BitLanes code{};
    for (size_t i = 0; i < count; ++i)
      code -= std::bit_cast<BitLanes>(x >= broadcast(threshold[i]));  // a mask is -1
    return code;
  }
};

}  // namespace dovetail::formats
