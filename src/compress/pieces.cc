#include "compress/pieces.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/parallel.h"

namespace dovetail::compress {

int64_t default_rows_at_once() {
  return kPieceRows * num_threads();
}

Pieces pieces_of(const host::TokenBatch& tokens, int64_t rows_at_once) {
  if (tokens.batch == 0) return {};
  const int64_t sequences =
      std::clamp<int64_t>(std::min(rows_at_once, kPieceRows) / tokens.seq, 1, tokens.batch);
  return {
      .sequences = sequences,
      .workers = std::clamp<int64_t>(rows_at_once / (sequences * tokens.seq), 1, num_threads())};
}

Status for_pieces(int64_t items, int64_t piece, int64_t workers,
                  const std::function<Status(int64_t, int64_t, size_t)>& body) {
  if (items == 0) return {};
  const int64_t pieces = (items + piece - 1) / piece;
  std::vector<Status> results(static_cast<size_t>(pieces));
  std::atomic<int64_t> next{0};
  parallel_for(std::min(workers, pieces), [&](int64_t worker, int64_t) {
    for (int64_t i = next++; i < pieces; i = next++)
      results[static_cast<size_t>(i)] =
          body(i * piece, std::min(piece, items - i * piece), static_cast<size_t>(worker));
  });
  for (Status& result : results)
    if (!result.has_value()) return std::move(result);
  return {};
}

}  // namespace dovetail::compress
