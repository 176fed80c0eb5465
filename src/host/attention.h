// Causal self-attention with grouped queries over whole sequences, forward and backward.
//
// Shapes: q, out (b * s, heads * d); k, v (b * s, kv_heads * d); query head i reads the key head
// i / (heads / kv_heads). Scores are scaled by 1 / sqrt(d).
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace dovetail::host {

struct AttentionShape {
  int64_t batch = 0;
  int64_t seq = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;

  [[nodiscard]] int64_t group() const { return num_heads / num_kv_heads; }
  [[nodiscard]] int64_t q_size() const { return num_heads * head_dim; }
  [[nodiscard]] int64_t kv_size() const { return num_kv_heads * head_dim; }
};

// x (n) = softmax(scale * x), in place.
void softmax_row(int64_t n, float scale, float* x);

// How attention departs from exact arithmetic.
struct AttentionNumerics {
  // Softmax rows are rounded to it before they meet the values.
  formats::ActivationFormat probabilities = formats::ActivationFormat::kBf16;
  // Keys per channel: a query reads those of groups that are unfinished at its position from
  // exact_keys (the shape of k), the others from k. Other formats: from k alone.
  formats::KvFormat keys = formats::KvFormat::kBf16;
  const float* exact_keys = nullptr;
};

void causal_attention(const AttentionShape& shape, const AttentionNumerics& numerics,
                      const float* q, const float* k, const float* v, float* out);

// Gradients at q, k, v (overwritten) given d_out at out; nothing was rounded in the forward pass.
void causal_attention_backward(const AttentionShape& shape, const float* q, const float* k,
                               const float* v, const float* out, const float* d_out, float* dq,
                               float* dk, float* dv);

}  // namespace dovetail::host
