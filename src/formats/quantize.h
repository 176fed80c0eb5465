// Round-to-nearest quantisation of weights, activations and KV, as values that a float can hold.
//
// `quantize_rows` writes exactly what decode(encode(w)) gives: the packed codec of codec.h and this
// function are tested against each other for every format.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace dovetail::formats {

// How the scale of a group is chosen.
enum class ScaleRule : uint8_t {
  kAbsmax,  // the group's largest magnitude maps to the largest code (MX: OCP floor rule)
  kMse,     // the scale out of a fixed grid around kAbsmax that gives the least squared error
};

// w: (rows, k), k contiguous, the reduction axis. out: the same shape, may be w itself.
// Values must be finite. Rounding: to nearest, ties to even. A group of zeros gives zeros.
void quantize_rows(const WeightFormat& format, ScaleRule rule, int64_t rows, int64_t k,
                   const float* w, float* out);

// Activations: x (tokens, k) in place, one dynamic scale per token.
void quantize_activations(ActivationFormat format, int64_t tokens, int64_t k, float* x);

// KV: x (vectors, head_dim) in place, one scale and zero point per vector.
void quantize_kv(KvFormat format, int64_t vectors, int64_t head_dim, float* x);

}  // namespace dovetail::formats
