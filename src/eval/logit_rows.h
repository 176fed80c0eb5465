// Logits of hidden states, so many rows at a time: a pass of thousands of rows times the vocabulary
// would not fit into memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"
#include "host/paged_model.h"

namespace dovetail::eval {

// 64 MB at a vocabulary of 131,072.
inline constexpr int64_t kLogitRowsAtOnce = 128;

// Calls visit(row, logits, vocab) for every row of `hidden`, (rows, h), from several threads at
// once.
template <typename Visit>
void visit_logits(const host::PagedModel& model, const model::Matrix& hidden, const Visit& visit) {
  for (int64_t first = 0; first < hidden.rows; first += kLogitRowsAtOnce) {
    const int64_t count = std::min(kLogitRowsAtOnce, hidden.rows - first);
    const float* begin = hidden.values.data() + first * hidden.cols;
    const model::Matrix logits =
        model.logits({count, hidden.cols, {begin, begin + count * hidden.cols}});
    parallel_for(count, [&](int64_t row, int64_t) {
      visit(first + row, logits.values.data() + row * logits.cols, logits.cols);
    });
  }
}

}  // namespace dovetail::eval
