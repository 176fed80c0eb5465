// Round-to-nearest quantisation of weights, activations and KV, as values that a float can hold.
//
// `quantize_rows` writes exactly what decode(encode(w)) gives: the packed codec of codec.h and this
// function are tested against each other for every format.
//
// Weights must be finite with magnitudes below 2^126. Rounding: to nearest, ties to even. A group
// of zeros gives zeros. Results depend neither on the number of threads nor on the instruction set.
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/scale_rule.h"

namespace dovetail::formats {

// w: (rows, k), k contiguous, the reduction axis. out: the same shape, may be w itself.
// Runs on all cores; small matrices on the calling thread.
void quantize_rows(const WeightFormat& format, ScaleRule rule, int64_t rows, int64_t k,
                   const float* w, float* out);

// 1/2 sum S * (w - quantised w)^2: the second-order loss of rounding a matrix to `format`.
// weight: S >= 0, (rows, k). Summed in double within a row, rows in ascending order.
[[nodiscard]] double weighted_error_rows(const WeightFormat& format, ScaleRule rule, int64_t rows,
                                         int64_t k, const float* w, const float* weight);

// The one scale of a whole tensor of `count` elements: kNvfp4 max|w| / (6 * 448), else 1.
[[nodiscard]] float tensor_scale(const WeightFormat& format, int64_t count, const float* w);

// One row on the calling thread; `tensor` is tensor_scale() of the matrix that the row belongs to.
void quantize_row(const WeightFormat& format, ScaleRule rule, float tensor, int64_t k,
                  const float* w, float* out);

// Activations: x (tokens, k) in place, one dynamic FP32 scale per token: max|x| / 127 (kInt8Token)
// or max|x| / 448 (kFp8Token). kBf16 rounds to bf16.
void quantize_activations(ActivationFormat format, int64_t tokens, int64_t k, float* x);

// KV: x (vectors, head_dim) in place, each vector as one group of the asymmetric integer format
// with the kAbsmax rule: FP16 scale, integer zero point. kBf16 rounds to bf16.
void quantize_kv(KvFormat format, int64_t vectors, int64_t head_dim, float* x);

}  // namespace dovetail::formats
