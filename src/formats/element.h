// Elements and scales of every format, one value at a time: code to value and value to nearest
// code.
//
//   name        bits  exponent bias  largest  smallest normal  smallest  special codes
//   e2m1           4              1        6                1       .5    none
//   fp8_e4m3fn     8              7      448             2^-6     2^-9    S.1111.111 NaN, no Inf
//   e8m0           8            127    2^127                -   2^-127    0xFF NaN; no zero, no
//   sign fp16          16             15    65504            2^-14    2^-24    IEEE 754 binary16
//   bf16          16            127  3.39e38           2^-126   2^-133    upper half of binary32
//
// Rounding is to nearest, ties to even, everywhere. encode_e2m1 and encode_fp8_e4m3fn saturate;
// the sign of a value that rounds to zero is kept, so there are two zeros.
//
// Sources: OCP 8-bit Floating Point (OFP8) v1.0; OCP Microscaling Formats (MX) v1.0; IEEE 754-2019.
#pragma once

#include <cstdint>

namespace dovetail::formats {

inline constexpr float kE2m1Max = 6.0F;
inline constexpr float kFp8E4m3FnMax = 448.0F;
inline constexpr float kFp16Max = 65504.0F;
inline constexpr float kFp16Min = 0x1p-24F;        // smallest positive
inline constexpr uint8_t kE4m3LargestCode = 0x7E;  // 448
inline constexpr uint8_t kE8m0NanCode = 0xFF;

// Codes 0..15. NaN encodes as the largest magnitude: E2M1 has none.
[[nodiscard]] float decode_e2m1(uint8_t code);
[[nodiscard]] uint8_t encode_e2m1(float value);

[[nodiscard]] float decode_fp8_e4m3fn(uint8_t code);
[[nodiscard]] uint8_t encode_fp8_e4m3fn(float value);

// 2^(code - 127). Code 0 is a subnormal of FP32 (not 0, which a shift by 23 would give).
[[nodiscard]] float decode_e8m0(uint8_t code);
// The OCP floor rule for elements of largest exponent `emax` (E2M1: 2): the scale code of a block
// with this largest magnitude, floor(log2(absmax)) - emax, at least 0. A zero block has code 0.
[[nodiscard]] uint8_t e8m0_floor_scale(float absmax, int32_t emax);

[[nodiscard]] float decode_fp16(uint16_t code);
[[nodiscard]] uint16_t encode_fp16(float value);  // overflow gives infinity

[[nodiscard]] float decode_bf16(uint16_t code);
[[nodiscard]] uint16_t encode_bf16(float value);  // overflow gives infinity

}  // namespace dovetail::formats
