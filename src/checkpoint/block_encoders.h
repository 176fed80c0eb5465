// Weights to GGUF types by least squares: what --gguf q4_k writes. The types that are formats of
// formats/ are encoded there; Q4_1, Q4_K and Q6_K, which are none, here.
//
// Q4_1: per block of 32 the affine pair (step, minimum) of least weighted squared error among fits
// from several clipped ranges, each improved by regression on its own codes until it stands still.
// Q4_K: the same per sub-block, with minima at or below zero, then both levels together: steps and
// minima as 6-bit multiples of two FP16 numbers, which are fitted to the codes in turn.
// Q6_K: per 16 a signed step, found likewise without a minimum; steps as INT8 multiples of an FP16.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/tensor_blocks.h"

namespace dovetail::checkpoint {

// "q4_0", "q4_1", "q5_0", "q8_0", "q4_k", "q6_k", "mxfp4", "f16", "f32".
// Errors: kInvalidArgument listing these.
[[nodiscard]] Result<model::TensorType> parse_gguf_type(std::string_view name);

// w: (rows, k), finite. importance: (k), >= 0, or null: what an error in a column counts.
// Errors: kInvalidArgument naming `where` if k is no multiple of the type's block, and what could
// be written instead; F16: a magnitude above 65504.
[[nodiscard]] Result<std::vector<uint8_t>> encode_blocks(model::TensorType type, int64_t rows,
                                                         int64_t k, const float* w,
                                                         const float* importance,
                                                         const std::string& where);

}  // namespace dovetail::checkpoint
