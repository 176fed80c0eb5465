// Row-wise work on logits, (rows, v): sums over the vocabulary in double.
#pragma once

#include <cstdint>

#include "host/buffer.h"
#include "host/host_model.h"
#include "host/layer_ops.h"

namespace dovetail::host {

// Rows of logits held at once: 4 * 64 * v bytes, large enough for the product to run well.
inline constexpr int64_t kLogitRows = 64;

// logits (rows, v) = hidden (rows, h), rounded as the model's numerics ask, times the head.
void head_logits(const HostModel& model, int64_t rows, const float* hidden, float* logits);

struct RowSummary {
  int64_t best = 0;        // index of the largest logit, the first of equals
  double log_sum_exp = 0;  // log sum_i e^logit_i
};
[[nodiscard]] RowSummary summarize_row(int64_t n, const float* logits);

// KL(softmax(p) || softmax(q)) in nats, >= 0; 0 if the rows are equal.
[[nodiscard]] double row_kl(int64_t n, const float* p, const RowSummary& p_summary, const float* q,
                            const RowSummary& q_summary);

// The first index whose cumulative probability under softmax(logits / temperature) exceeds
// `uniform` in [0, 1).
[[nodiscard]] int64_t sample_row(int64_t n, const float* logits, double temperature,
                                 double uniform);

}  // namespace dovetail::host
