// Round-to-nearest quantisation of weights and activations, as values that a float can hold.
//
// `quantize_rows` writes exactly what decode(encode(w)) gives: the packed codec of codec.h and this
// are tested against each other for every format and every rule.
//
// Weights must be finite with magnitudes below 2^126. A group of zeros gives zeros. Results depend
// neither on the number of threads nor on the instruction set.
#pragma once

#include <cstdint>

#include "formats/codec.h"
#include "formats/format.h"
#include "formats/rounding.h"

namespace dovetail::formats {

// The scales of codec.h's scales_of. w: (rows, k), k contiguous, the reduction axis. importance:
// (k) or none, what an error in a column counts while scales are searched. Sparse formats: of what
// stays. Runs on all cores; small matrices on the calling thread.
[[nodiscard]] MatrixScales choose_scales(const WeightFormat& format, const Rounding& rounding,
                                         int64_t rows, int64_t k, const float* w,
                                         const float* importance = nullptr);

// What codes of w under these scales decode to. out: (rows, k), may be w itself. A sparse format
// keeps the largest magnitudes of w.
void round_rows(const WeightFormat& format, Ties ties, const MatrixScales& scales, int64_t rows,
                int64_t k, const float* w, float* out);

// Both: w to quantised values. out: (rows, k), may be w itself.
void quantize_rows(const WeightFormat& format, const Rounding& rounding, int64_t rows, int64_t k,
                   const float* w, float* out, const float* importance = nullptr);

// 1/2 sum S * (w - quantised w)^2: the second-order loss of rounding a matrix to `format`.
// weight: S >= 0, (rows, k). Summed in double within a row, rows in ascending order.
[[nodiscard]] double weighted_error_rows(const WeightFormat& format, const Rounding& rounding,
                                         int64_t rows, int64_t k, const float* w,
                                         const float* weight, const float* importance = nullptr);

// Activations: x (tokens, k) in place, to what activation.h says that its codes decode to. kBf16
// rounds to bf16. fixed_scale: > 0 for static formats (checked), else ignored.
void quantize_activations(ActivationFormat format, int64_t tokens, int64_t k, float* x,
                          float fixed_scale = 0);

}  // namespace dovetail::formats
