// The golden codec: weights to packed codes, scales and zero points, and back. Plain scalar code
// that says what a format is; quantize.h is the same arithmetic made quick and is tested against
// this.
//
// Values. A group shares one scale s; x = w / s is one FP32 division; codes are to nearest, ties to
// even; decoded values are FP32 products.
//   kInt symmetric   q = clamp(rne(x), -2^(b-1), 2^(b-1) - 1)      value q * s
//   kInt asymmetric  q = clamp(rne(x) + z, 0, 2^b - 1)             value (q - z) * s
//   kFp8E4m3Fn       q = E4M3(x), saturating                       value q * s
//   kMxfp4, kNvfp4   q = E2M1(x), saturating                       value q * s
// Scales under kAbsmax (a = max|w| of the group, 0 always inside the asymmetric range):
//   kInt symmetric   FP16(a / (2^(b-1) - 1)), within 2^-24..65504
//   kInt asymmetric  FP16((max - min) / (2^b - 1)), within 2^-24..65504; z = clamp(rne(-min / s))
//   kFp8E4m3Fn       FP32 a / 448, at least 2^-126
//   kMxfp4           E8M0 2^(floor(log2 a) - 2), at least 2^-127 (OCP floor rule)
//   kNvfp4           E4M3((a / 6) / t), within 2^-9..448; s = that * t, t = FP32 tensor scale
// Scales are rounded to what is stored before codes are computed. Under kMse candidates stand
// around that scale (scale_rule.h); for symmetric integers the sign of the scale is then chosen so
// that the largest magnitude falls on the negative side, which has one code more. A group of zeros
// stores scale 0 (E8M0, which has no 0: code 0), zero point 0 and codes 0.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "formats/scale_rule.h"

namespace dovetail::formats {

// Largest number of elements of one packed tensor.
inline constexpr int64_t kMaxPackedElements = int64_t{1} << 40;

struct PackedRows {
  WeightFormat format;
  int64_t rows = 0;
  int64_t k = 0;
  // Codes in row-major order without gaps: element i occupies bits i * bits .. (i + 1) * bits - 1,
  // bit n being bit n % 8 of byte n / 8. Symmetric integers are two's complement.
  std::vector<uint8_t> payload = {};
  // (rows, num_groups), each scale_bits / 8 bytes, little-endian.
  std::vector<uint8_t> scales = {};
  // (rows, num_groups), one byte each; empty unless asymmetric. Stored size counts `bits` of each.
  std::vector<uint8_t> zeros = {};
  float tensor_scale = 1;  // kNvfp4
};

// w: (rows, k), finite, magnitudes below 2^126. rows, k >= 0.
[[nodiscard]] PackedRows encode_rows(const WeightFormat& format, ScaleRule rule, int64_t rows,
                                     int64_t k, const float* w);

// Returns (rows, k) values. Errors: kInvalidArgument if the shape or a buffer size does not fit the
// format, or a zero point is out of range.
[[nodiscard]] Result<std::vector<float>> decode_rows(const PackedRows& packed);

// Codes of `bits` (1..16) to the dense stream above and back; codes wider than `bits` are masked.
[[nodiscard]] std::vector<uint8_t> pack_codes(const std::vector<uint16_t>& codes, int64_t bits);
// Errors: kInvalidArgument if the stream is not exactly as long as `count` codes need.
[[nodiscard]] Result<std::vector<uint16_t>> unpack_codes(const std::vector<uint8_t>& stream,
                                                         int64_t bits, int64_t count);

}  // namespace dovetail::formats
