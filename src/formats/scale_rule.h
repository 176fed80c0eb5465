// How the scale of a group is chosen: the named rules and the fixed grid that the search walks.
//
// Golden and fast quantiser both read the grid here; nothing else is shared between them.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/format.h"

namespace dovetail::formats {

enum class ScaleRule : uint8_t {
  kAbsmax,  // the group's largest magnitude maps to the largest code (MX: OCP floor rule)
  kMse,     // the scale out of a fixed grid around kAbsmax that gives the least squared error
};

// Most candidates a grid has. Errors of candidates are compared with their low kRankBits cleared,
// so that equal errors (to 2^-18) go to the earlier candidate whatever the instruction set.
inline constexpr int64_t kMaxCandidates = 32;
inline constexpr uint32_t kRankMask = kMaxCandidates - 1;

// Factors on the kAbsmax scale, in candidate order, the first is 1: kInt and kFp8E4m3Fn.
//   kInt        ratio^i; the fewer the bits, the deeper, since coarse codes gain from clipping.
//               16 factors where a group has a scale, 32 reaching deeper where a row has one
//   kFp8E4m3Fn  1 + i/16: the phase of the row in its binade; a float gains nothing from clipping
// Empty for the families whose scales step by codes.
[[nodiscard]] const std::vector<float>& scale_factors(const WeightFormat& format);

// Steps from the kAbsmax scale code, in candidate order, the first is 0: kMxfp4 (binades of E8M0)
// and kNvfp4 (codes of E4M3, an eighth of a binade each; +5 puts the block's largest magnitude near
// 4 instead of 6).
[[nodiscard]] const std::vector<int32_t>& scale_code_steps(const WeightFormat& format);

}  // namespace dovetail::formats
