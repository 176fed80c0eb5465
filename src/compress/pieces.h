// How a calibration text is cut into work: pieces of whole sequences, a core each. Pieces follow
// from the text and the rows that are allowed, never from the number of cores, so neither does any
// digit.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "host/host_model.h"

namespace dovetail::compress {

// Tokens of a piece, at least one sequence: products of fewer rows are slow, more gain nothing.
inline constexpr int64_t kPieceRows = 1024;
// Tokens side by side: one piece for every core.
[[nodiscard]] int64_t default_rows_at_once();

struct Pieces {
  int64_t sequences = 0;  // of a piece; 0 without a text
  int64_t workers = 1;    // pieces side by side
};
[[nodiscard]] Pieces pieces_of(const host::TokenBatch& tokens, int64_t rows_at_once);

// Calls body(first item, items, worker) for pieces of [0, items), as many side by side as there are
// workers; worker: 0..workers - 1, for scratch. One worker leaves the cores to loops within it. The
// first error in the order of items is the answer.
[[nodiscard]] Status for_pieces(
    int64_t items, int64_t piece, int64_t workers,
    const std::function<Status(int64_t first, int64_t count, size_t worker)>& body);

}  // namespace dovetail::compress
