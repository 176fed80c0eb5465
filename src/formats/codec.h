// The golden codec: weights to packed codes, scales and zero points, and back. Plain scalar code
// that says what a format is; quantize.h and unpack.h are the same arithmetic made quick and are
// tested against this.
//
// Values. A group shares one scale s; x = w / s is one FP32 division; codes are to nearest with the
// named ties; decoded values are FP32 products.
//   kInt symmetric   q = clamp(round(x), -2^(b-1), 2^(b-1) - 1)    value q * s
//   kInt asymmetric  q = clamp(round(x) + z, 0, 2^b - 1)           value (q - z) * s
//   kInt, kE8m0      q = clamp(round(x), -127, 127)                value q * s (MXINT8)
//   kTernary         q = clamp(round(x), -1, 1)                    value q * s
//   floats           q = element nearest to x, saturating          value q * s
//   levels           q = level nearest to x (codebook.h)           value level * s
// Scales under the plain rule (a = max|w| of the group, 0 always inside the asymmetric range):
//   kFp16   FP16(a / top), top = 2^(b-1) - 1, 1 (ternary) or 127 (levels); asymmetric
//           FP16((max - min) / (2^b - 1)), z = clamp(round(-min / s)); within 2^-24..65504
//   kFp32   a / largest element, at least 2^-126
//   kE8m0   the power of two of the rule (rounding.h), at least 2^-127; times 2^-6 for MXINT8
//   kE4m3   E4M3((a / 6) / t), within 2^-9..448; s = that * t, t = FP32 tensor scale
//   kUint8  u = round((max - min) / (2^b - 1) / r), within 1..255; s = u * r, r = FP16(max|row| /
//   R),
//           R = 119, 111, 95 for 4, 3, 2 bits, so that (q - z) * u fits INT8 (QServe); z =
//           clamp(round(-min / ((max - min) / (2^b - 1))))
// Scales are rounded to what is stored before codes are computed. Under kMse candidates stand
// around that scale (scale_rule.h), optionally weighted by column; for symmetric integers of FP16
// scales the sign of the scale is then chosen so that the largest magnitude falls on the negative
// side, which has one code more. A group of zeros stores what ZeroBlock says, zero point 0, and
// codes of zero.
//
// Sparse formats: in every `of` elements of a row the `kept` of largest w^2 * importance stay (the
// earlier at equality), the others become zero before scales are chosen.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/codebook.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "formats/scale_rule.h"

namespace dovetail::formats {

// Largest number of elements of one packed tensor.
inline constexpr int64_t kMaxPackedElements = int64_t{1} << 40;

// The scales of a (rows, k) matrix, as stored and as they act.
struct MatrixScales {
  int64_t row_groups = 0;
  int64_t groups = 0;                 // along a row
  std::vector<uint32_t> stored = {};  // (row_groups, groups): the scale's bits
  std::vector<float> scale = {};      // (row_groups, groups): of one step of a code; 0: all zeros
  std::vector<uint8_t> zero = {};     // (row_groups, groups); empty unless asymmetric
  std::vector<uint16_t> row_scale = {};  // kUint8: FP16, one a row
  float tensor_scale = 1;                // kE4m3
  Levels levels = {};                    // kTable
  bool operator==(const MatrixScales&) const = default;
};

struct PackedRows {
  WeightFormat format;
  int64_t rows = 0;
  int64_t k = 0;
  // Codes of the kept elements in row-major order without gaps: element i occupies bits i * bits ..
  // (i + 1) * bits - 1, bit n being bit n % 8 of byte n / 8. Symmetric integers are two's
  // complement. kTernary: bytes of five, sum (code + 1) * 3^position, each row on a new byte.
  std::vector<uint8_t> payload = {};
  // Sparse: bit r * k + i says whether element i of row r is kept.
  std::vector<uint8_t> mask = {};
  // (row_groups, groups), each scale_bits / 8 bytes, little-endian.
  std::vector<uint8_t> scales = {};
  // (row_groups, groups), one byte each; empty unless asymmetric. Stored size counts `bits` of
  // each.
  std::vector<uint8_t> zeros = {};
  std::vector<uint16_t> row_scales = {};  // kUint8
  float tensor_scale = 1;                 // kE4m3
  Levels levels = {};                     // kTable
  bool operator==(const PackedRows&) const = default;
};

// w: (rows, k), finite, magnitudes below 2^126; rows, k >= 0. importance: (k), >= 0, or none: what
// an error in a column counts. The rule must be legal for the format.
[[nodiscard]] PackedRows encode_rows(const WeightFormat& format, const Rounding& rounding,
                                     int64_t rows, int64_t k, const float* w,
                                     const float* importance = nullptr);

// The two halves of encode_rows, for algorithms that hold scales and move weights.
[[nodiscard]] MatrixScales scales_of(const WeightFormat& format, const Rounding& rounding,
                                     int64_t rows, int64_t k, const float* w,
                                     const float* importance = nullptr);
[[nodiscard]] PackedRows encode_with(const WeightFormat& format, Ties ties,
                                     const MatrixScales& scales, int64_t rows, int64_t k,
                                     const float* w);

// What a sparse format leaves of w; w itself for dense ones.
[[nodiscard]] std::vector<float> sparsified(const WeightFormat& format, int64_t rows, int64_t k,
                                            const float* w, const float* importance = nullptr);

// Returns (rows, k) values. Errors: kInvalidArgument if the shape or a buffer size does not fit the
// format, or a code, mask or zero point is out of range.
[[nodiscard]] Result<std::vector<float>> decode_rows(const PackedRows& packed);

// Errors as of decode_rows, without decoding.
[[nodiscard]] Status check_packed(const PackedRows& packed);
// The scales of a checked packed matrix, as they act.
[[nodiscard]] MatrixScales unpack_scales(const PackedRows& packed);

// Codes of `bits` (1..16) to the dense stream above and back; codes wider than `bits` are masked.
[[nodiscard]] std::vector<uint8_t> pack_codes(const std::vector<uint16_t>& codes, int64_t bits);
// Errors: kInvalidArgument if the stream is not exactly as long as `count` codes need.
[[nodiscard]] Result<std::vector<uint16_t>> unpack_codes(const std::vector<uint8_t>& stream,
                                                         int64_t bits, int64_t count);

}  // namespace dovetail::formats
