// Activation formats: facts, and the golden definition of one token's row. quantize.h has the same
// arithmetic made quick and is tested against this.
//
//   name                  element   scale of a group                        group
//   int8_token            INT8      FP32  max|x| / 127                      the token's row
//   int4_token            INT4      FP32  max|x| / 10                       the token's row
//   fp8_token             E4M3FN    FP32  max|x| / 448                      the token's row
//   int8_static           INT8      FP32, fixed beforehand                  the tensor
//   fp8_static            E4M3FN    FP32, fixed beforehand                  the tensor
//   int{8,4}_g{32,64,128} INT8/4    FP16(max|x| / top), 2^-24..65504        so many along the row
//   mxfp8 mxfp4           E4M3FN/E2M1   E8M0, rule kFloor                   32
//   nvfp4                 E2M1      E4M3((max|x| / 6) / t) * t,             16
//                                   t = FP32(max|row| / (6 * 448))
// top = 127 or 7. int4_token saturates what exceeds 7/10 of the largest magnitude: sixteen levels
// over a whole row gain more in steps than they lose in the few values at its end. Codes: x / s as
// one FP32 division, to nearest, ties to even, saturating at -128..127, -8..7 or the largest float
// element; values: code * s in FP32. FP32 scales are at least 2^-126. A group of zeros decodes to
// zeros. A shorter last group has a scale of its own. There is no search: hardware makes these
// scales as the values appear.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/format.h"

namespace dovetail::formats {

struct ActivationFacts {
  ActivationFormat format = ActivationFormat::kBf16;
  std::string_view name;
  // Element, bits, scale type and group size of a row; kInt with kFp32 exists here alone.
  WeightFormat row;
  // FP32 scales: the largest magnitude in units of the scale.
  float absmax_steps = 1;
  bool is_static = false;  // the scale comes from calibration
};
[[nodiscard]] const ActivationFacts& activation_facts(ActivationFormat format);
// bf16 first.
[[nodiscard]] std::span<const ActivationFacts> all_activation_formats();
[[nodiscard]] inline bool is_static(ActivationFormat format) {
  return activation_facts(format).is_static;
}

// Bits that the row of one token takes: elements and scales (the FP32 of nvfp4 included; a static
// scale is the tensor's and not counted).
[[nodiscard]] int64_t stored_bits_per_token(ActivationFormat format, int64_t k);

// The scale of a static format that maps `absmax` (finite, >= 0) to the largest code.
[[nodiscard]] float static_scale(ActivationFormat format, float absmax);

struct TokenCodes {
  std::vector<uint16_t> codes;   // (k): two's complement in `bits`, or the float element
  std::vector<uint32_t> stored;  // one per group: the scale's bits; none for bf16
  std::vector<float> scale;      // one per group, as it acts; 0: a group of zeros
  float token_scale = 1;         // nvfp4: t
};
// x: (k), finite. fixed_scale: > 0 for static formats, else ignored.
[[nodiscard]] TokenCodes encode_token(ActivationFormat format, float fixed_scale, int64_t k,
                                      const float* x);
[[nodiscard]] std::vector<float> decode_token(ActivationFormat format, const TokenCodes& token);

}  // namespace dovetail::formats
