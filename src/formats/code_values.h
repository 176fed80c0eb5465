// The values that the codes of an element stand for, in units of the scale.
#pragma once

#include <vector>

#include "formats/codebook.h"
#include "formats/format.h"

namespace dovetail::formats {

// Ascending and distinct (the two zeros of floats are one). Asymmetric integers: before the zero
// point is taken off. fitted: MatrixScales::levels, read for kTable alone. None for bf16.
[[nodiscard]] std::vector<float> code_values(const WeightFormat& format, const Levels& fitted = {});

}  // namespace dovetail::formats
