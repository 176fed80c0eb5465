// Moves a checkpoint off the block grid of the format that it was released in, without changing the
// function: channels are permuted (residual stream, intermediate channels, value dimensions inside
// a head), so that 32-wide blocks no longer line up with the released ones. No magnitude changes.
//
// Why: SmolLM2's wheel holds Q4_1 weights; a 32-wide block with a minimum would look lossless.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace dovetail::model {

inline constexpr uint64_t kOffGridSeed = 20260101;

// Value dimensions stay inside their head, so a head of at most 32 channels would keep the blocks
// of the output projection; supported releases have 64 or 128.
//
// Permutes in place. The same seed gives the same permutation.
void permute_off_grid(Weights& weights, uint64_t seed);

}  // namespace dovetail::model
