// Levels of the codebook elements: a code is the position of a level, levels are INT8 so that an
// integer multiplier can take them as they are.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/format.h"
#include "formats/rounding.h"

namespace dovetail::formats {

// The largest level is 127: a group's largest magnitude divided by it is the plain scale.
inline constexpr float kLevelMax = 127.0F;
using Levels = std::vector<int8_t>;  // 2^bits, ascending

// kNormalFloat, bits 3 and 4: quantiles of the normal distribution, an exact zero, one level more
// above zero than below, -127 and 127 at the ends, rounded to integers.
// Source: Dettmers et al., QLoRA, arXiv:2305.14314, section 3 and its appendix on NF4.
[[nodiscard]] const Levels& normal_levels(int64_t bits);

// kTable: levels that give little squared error for this tensor: Lloyd's iteration on the histogram
// of w over its group's largest magnitude, from the levels of the normal distribution. `importance`
// (k), if given, weighs columns. The levels hold 0 and are distinct where the values are.
// w: (rows, k), finite. Deterministic on any number of threads.
[[nodiscard]] Levels fit_levels(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
                                const float* importance = nullptr);

// The levels of a format: normal_levels, or `fitted` for kTable.
[[nodiscard]] const Levels& levels_of(const WeightFormat& format, const Levels& fitted);

// x (in units of the scale) belongs to level number: how many of these it reaches or passes
// (x >= threshold). Half way between two levels `ties` decides: the even code; the larger or the
// smaller magnitude.
[[nodiscard]] std::vector<float> level_thresholds(const Levels& levels, Ties ties);

}  // namespace dovetail::formats
