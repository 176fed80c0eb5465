// Elements and scales of every format, one value at a time: code to value and value to nearest
// code.
//
//   name        bits  exponent bias  largest  smallest normal  smallest  special codes
//   fp4_e2m1       4              1        6                1       .5   none
//   fp6_e2m3       6              1      7.5                1     .125   none
//   fp6_e3m2       6              3       28              .25    .0625   none
//   fp8_e4m3fn     8              7      448             2^-6     2^-9   S.1111.111 NaN, no Inf
//   fp8_e5m2       8             15    57344            2^-14    2^-16   S.11111.00 Inf,
//   .{01,10,11}
//                                                                        NaN
//   e8m0           8            127    2^127                -   2^-127   0xFF NaN; no zero, no sign
//   fp16          16             15    65504            2^-14    2^-24   IEEE 754 binary16
//   bf16          16            127  3.39e38           2^-126   2^-133   upper half of binary32
//
// Rounding is to nearest; ties to even unless said otherwise. Elements saturate (infinities too),
// fp16 and bf16 overflow to infinity; the sign of a value that rounds to zero is kept, so there are
// two zeros. NaN encodes as NaN where there is one, else as the largest magnitude.
//
// Sources: OCP 8-bit Floating Point (OFP8) v1.0; OCP Microscaling Formats (MX) v1.0; IEEE 754-2019.
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/rounding.h"

namespace dovetail::formats {

inline constexpr float kE2m1Max = 6.0F;
inline constexpr float kFp8E4m3FnMax = 448.0F;
inline constexpr float kFp16Max = 65504.0F;
inline constexpr float kFp16Min = 0x1p-24F;        // smallest positive
inline constexpr uint8_t kE4m3LargestCode = 0x7E;  // 448
inline constexpr uint8_t kE8m0NanCode = 0xFF;

// A sign-magnitude float element. kFp4E2m1, kFp6*, kFp8* only.
struct FloatForm {
  int32_t exponent_bits = 0;
  int32_t mantissa_bits = 0;
  int32_t bias = 0;
  uint8_t largest_code = 0;  // of the magnitude
  float max = 0;
  int32_t emax = 0;  // exponent of `max`
};
[[nodiscard]] const FloatForm& float_form(Element element);
[[nodiscard]] bool is_float(Element element);

[[nodiscard]] float decode_float(Element element, uint8_t code);
[[nodiscard]] uint8_t encode_float(Element element, float value, Ties ties = Ties::kEven);

[[nodiscard]] inline float decode_e2m1(uint8_t code) {
  return decode_float(Element::kFp4E2m1, code);
}
[[nodiscard]] inline uint8_t encode_e2m1(float value) {
  return encode_float(Element::kFp4E2m1, value);
}
[[nodiscard]] inline float decode_fp8_e4m3fn(uint8_t code) {
  return decode_float(Element::kFp8E4m3Fn, code);
}
[[nodiscard]] inline uint8_t encode_fp8_e4m3fn(float value) {
  return encode_float(Element::kFp8E4m3Fn, value);
}

// 2^(code - 127). Code 0 is a subnormal of FP32 (not 0, which a shift by 23 would give).
[[nodiscard]] float decode_e8m0(uint8_t code);
// The scale code of a block whose largest magnitude is `absmax` (finite, >= 0) under an E8M0 rule
// (kMse: that of kFloor), for elements whose largest value is `max` = m * 2^emax, 1 <= m < 2, with
// `mantissa_bits`. At least 0, at most 254. A zero block has code 0.
struct ScaledElement {
  int32_t emax = 0;
  int32_t mantissa_bits = 0;
  float max = 1;
};
[[nodiscard]] uint8_t e8m0_scale(ScaleRule rule, float absmax, const ScaledElement& element);
// Of kE8m0 formats; MXINT8 counts its elements in steps of 2^-6.
[[nodiscard]] ScaledElement scaled_element(const WeightFormat& format);

[[nodiscard]] float decode_fp16(uint16_t code);
[[nodiscard]] uint16_t encode_fp16(float value);  // overflow gives infinity

[[nodiscard]] float decode_bf16(uint16_t code);
[[nodiscard]] uint16_t encode_bf16(float value);  // overflow gives infinity

}  // namespace dovetail::formats
