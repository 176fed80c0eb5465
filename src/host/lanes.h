// Sixteen floats or eight doubles side by side: compiles to whatever vector width the target has,
// with the same results on all of them (no reassociation, no fused multiply-add).
//
// Vectors are passed by reference: by value their calling convention would depend on the target.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace dovetail::host {

inline constexpr int64_t kFloatLanes = 16;
inline constexpr int64_t kDoubleLanes = 8;

using FloatLanes [[gnu::vector_size(64)]] = float;
using Int32Lanes [[gnu::vector_size(64)]] = int32_t;
using DoubleLanes [[gnu::vector_size(64)]] = double;
using Int64Lanes [[gnu::vector_size(64)]] = int64_t;
using HalfFloatLanes [[gnu::vector_size(32)]] = float;

inline void load_lanes(const float* from, FloatLanes& to) {
  std::memcpy(&to, from, sizeof(to));
}
inline void store_lanes(const FloatLanes& from, float* to) {
  std::memcpy(to, &from, sizeof(from));
}

// Loads `count` floats, 1..kFloatLanes, and fills the rest.
inline void load_lanes(const float* from, int64_t count, float fill, FloatLanes& to) {
  if (count >= kFloatLanes) return load_lanes(from, to);
  to = FloatLanes{} + fill;
  std::memcpy(&to, from, static_cast<size_t>(count) * sizeof(float));
}
inline void store_lanes(const FloatLanes& from, int64_t count, float* to) {
  const auto kept = static_cast<size_t>(std::min(count, kFloatLanes));
  std::memcpy(to, &from, kept * sizeof(float));
}

// Sums in lane order.
inline float sum_lanes(const FloatLanes& x) {
  float sum = 0.0F;
  for (int64_t i = 0; i < kFloatLanes; ++i) sum += x[i];
  return sum;
}
inline double sum_lanes(const DoubleLanes& x) {
  double sum = 0.0;
  for (int64_t i = 0; i < kDoubleLanes; ++i) sum += x[i];
  return sum;
}
inline float max_lanes(const FloatLanes& x) {
  float largest = x[0];
  for (int64_t i = 1; i < kFloatLanes; ++i) largest = std::max(largest, x[i]);
  return largest;
}

// e^x in place, relative error below 3e-7; x is clamped to -87..88 (normal numbers). Range
// reduction by powers of two, then the Taylor series: on |r| <= ln(2)/2 its eighth term is below
// 6e-9.
inline void exp_lanes(FloatLanes& x) {
  x = x < -87.0F ? FloatLanes{} - 87.0F : x;
  x = x > 88.0F ? FloatLanes{} + 88.0F : x;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the mantissa.
  constexpr float kRound = 12582912.0F;
  constexpr int32_t kRoundBits = 0x4B400000;
  const FloatLanes shifted = x * 1.44269504F + kRound;
  const FloatLanes power = shifted - kRound;
  // ln(2) in two parts; the first has so few bits that its product with `power` is exact.
  const FloatLanes r = (x - power * 0.693359375F) + power * 2.12194440e-4F;
  FloatLanes series = FloatLanes{} + 1.0F / 5040.0F;
  series = series * r + 1.0F / 720.0F;
  series = series * r + 1.0F / 120.0F;
  series = series * r + 1.0F / 24.0F;
  series = series * r + 1.0F / 6.0F;
  series = series * r + 0.5F;
  series = series * r * r + r + 1.0F;
  Int32Lanes bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits - (kRoundBits - 127)) << 23;
  FloatLanes scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  x = series * scale;
}

// The same in double: relative error below 1e-15, x clamped to -700..700.
inline void exp_lanes(DoubleLanes& x) {
  x = x < -700.0 ? DoubleLanes{} - 700.0 : x;
  x = x > 700.0 ? DoubleLanes{} + 700.0 : x;
  constexpr double kRound = 0x1.8p52;
  constexpr int64_t kRoundBits = 0x4338000000000000;
  const DoubleLanes shifted = x * 1.4426950408889634 + kRound;
  const DoubleLanes power = shifted - kRound;
  const DoubleLanes r = (x - power * 0x1.62e42fee00000p-1) - power * 0x1.a39ef35793c76p-33;
  constexpr double kInverseFactorials[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
                                           1.0 / 3628800.0,    1.0 / 362880.0,    1.0 / 40320.0,
                                           1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,
                                           1.0 / 24.0,         1.0 / 6.0,         0.5};
  DoubleLanes series{};
  for (const double term : kInverseFactorials) series = series * r + term;
  series = series * r * r + r + 1.0;
  Int64Lanes bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits - (kRoundBits - 1023)) << 52;
  DoubleLanes scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  x = series * scale;
}

// The lower (part 0) or upper (part 1) eight of sixteen floats as doubles.
inline void widen_lanes(const FloatLanes& x, int64_t part, DoubleLanes& to) {
  HalfFloatLanes half;
  std::memcpy(&half, reinterpret_cast<const char*>(&x) + part * 32, sizeof(half));
  to = __builtin_convertvector(half, DoubleLanes);
}

}  // namespace dovetail::host
