// The fixed grid of scales that kMse walks, around the scale of the plain rule.
//
// Golden and fast quantiser both read the grid here; nothing else is shared between them.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/format.h"
#include "formats/rounding.h"

namespace dovetail::formats {

// Most candidates a grid has. Errors of candidates are compared with their low kRankBits cleared,
// so that equal errors (to 2^-18) go to the earlier candidate whatever the instruction set.
inline constexpr int64_t kMaxCandidates = 32;
inline constexpr uint32_t kRankMask = kMaxCandidates - 1;

// Factors on the plain scale, in candidate order, the first is 1: FP16 and FP32 scales.
//   integers, ternary, levels   ratio^i; the fewer the bits, the deeper, since coarse codes gain
//               from clipping. 16 factors for groups along a row, 32 reaching deeper for whole
//               rows, blocks and tensors
//   floats      1 + i/16: the phase of the group in its binade; a float gains nothing from clipping
// Empty for the scales that step by codes.
[[nodiscard]] const std::vector<float>& scale_factors(const WeightFormat& format);

// Steps from the plain scale code, in candidate order, the first is 0: kE8m0 (binades), kE4m3 (an
// eighth of a binade each; +5 puts the block's largest magnitude near 4 instead of 6) and kUint8
// (integers).
[[nodiscard]] const std::vector<int32_t>& scale_code_steps(const WeightFormat& format);

}  // namespace dovetail::formats
