// Packed matrices as GGUF blocks, code by code, and back.
//
//   format                                     GGUF type
//   int4, int5, int8 symmetric                 Q4_0, Q5_0, Q8_0   d = the FP16 scale, sign included
//   int4, int5 asymmetric                      Q4_1, Q5_1   d = scale, m = -zero * scale where FP16
//                                              holds that product exactly
//   mxfp4                                      MXFP4; codes of -0 become 0, which ggml reads alike
//
// Groups of 32 along a row, or of multiples of 32 (whole rows, blocks, tensors too): a longer
// group's scale is repeated in each of its blocks. The last group of a row must be whole blocks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/codec.h"
#include "model/tensor_blocks.h"

namespace dovetail::checkpoint {

// The type that holds every matrix of `format` with rows of k. Errors: kInvalidArgument naming
// `where`, the format and what could be written instead.
[[nodiscard]] Result<model::TensorType> gguf_type_of(const formats::WeightFormat& format, int64_t k,
                                                     const std::string& where);

// MXFP4's codes of -0 as 0; any other matrix as it is.
[[nodiscard]] formats::PackedRows without_negative_zeros(formats::PackedRows packed);

// (rows, k / block * block bytes). packed: checked, of a format that gguf_type_of accepts, without
// negative zeros. Errors: kInvalidArgument if a minimum is no FP16 number.
[[nodiscard]] Result<std::vector<uint8_t>> to_blocks(const formats::PackedRows& packed,
                                                     const std::string& where);

// The inverse. `blocks` has the size that to_blocks gives. Errors: kInvalidArgument if blocks of
// one group disagree, or a zero point is no integer of the format.
[[nodiscard]] Result<formats::PackedRows> from_blocks(const formats::WeightFormat& format,
                                                      int64_t rows, int64_t k,
                                                      std::span<const uint8_t> blocks,
                                                      const std::string& where);

}  // namespace dovetail::checkpoint
