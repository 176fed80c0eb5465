// Tests and benchmarks only: scores of masks that look at no text, to compare mask_fisher.h with.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "compress/mask_fisher.h"
#include "model/model.h"

namespace dovetail::compress {

// Sum of the squared weights that go with a channel (rows of gate and up, column of down), a query
// head (rows of q, columns of o) or a key head (rows of k and v, and its query heads').
inline MaskScores magnitude_scores(const model::ModelShape& shape,
                                   const model::LayerWeights& layer) {
  const auto square = [](const model::Matrix& w, int64_t i) {
    const auto value = static_cast<double>(w.values[static_cast<size_t>(i)]);
    return value * value;
  };
  // `width` neighbouring rows (columns) have one mask.
  const auto add_rows = [&](const model::Matrix& w, int64_t width, std::vector<double>& scores) {
    scores.resize(static_cast<size_t>(w.rows / width));
    for (int64_t i = 0; i < w.rows * w.cols; ++i)
      scores[static_cast<size_t>(i / w.cols / width)] += square(w, i);
  };
  const auto add_columns = [&](const model::Matrix& w, int64_t width, std::vector<double>& scores) {
    for (int64_t i = 0; i < w.rows * w.cols; ++i)
      scores[static_cast<size_t>(i % w.cols / width)] += square(w, i);
  };
  MaskScores scores;
  add_rows(layer.gate, 1, scores.channels);
  add_rows(layer.up, 1, scores.channels);
  add_columns(layer.down, 1, scores.channels);
  add_rows(layer.q, shape.head_dim, scores.heads);
  add_columns(layer.o, shape.head_dim, scores.heads);
  add_rows(layer.k, shape.head_dim, scores.key_heads);
  add_rows(layer.v, shape.head_dim, scores.key_heads);
  for (int64_t head = 0; head < shape.num_heads; ++head)
    scores.key_heads[static_cast<size_t>(head / (shape.num_heads / shape.num_kv_heads))] +=
        scores.heads[static_cast<size_t>(head)];
  return scores;
}

inline MaskScores random_scores(const model::ModelShape& shape, Random& random) {
  MaskScores scores;
  for (int64_t i = 0; i < shape.intermediate_size; ++i) scores.channels.push_back(random.uniform());
  for (int64_t i = 0; i < shape.num_heads; ++i) scores.heads.push_back(random.uniform());
  for (int64_t i = 0; i < shape.num_kv_heads; ++i) scores.key_heads.push_back(random.uniform());
  return scores;
}

}  // namespace dovetail::compress
