// The scale that a format can store nearest to a wanted one, for algorithms that fit scales.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace dovetail::formats {

struct StoredScale {
  uint32_t stored = 0;  // the scale's bits, as in MatrixScales::stored
  float scale = 0;      // as it acts; never 0
};

// wanted: finite, not 0; its sign counts only where has_signed_scale(format). outer: what the
// stored scale is multiplied by: MatrixScales::tensor_scale (kE4m3), the decoded row_scale
// (kUint8), else not read. Nearest in value; kE8m0: nearest in the exponent. Saturates at the ends
// of codec.h. The format must have scales.
[[nodiscard]] StoredScale nearest_scale(const WeightFormat& format, float outer, float wanted);

// Symmetric integers whose scale may be negative: one side has a code more.
[[nodiscard]] inline bool has_signed_scale(const WeightFormat& format) {
  return format.element == Element::kInt && !format.asymmetric && format.scale == ScaleType::kFp16;
}

}  // namespace dovetail::formats
