// Moves a checkpoint off the block grid of the format that it was released in, without changing the
// function: channels are permuted (residual stream, intermediate channels, value dimensions inside
// a head), so that 32-wide blocks no longer line up with the released ones. No magnitude changes.
//
// Why: SmolLM2's wheel holds Q4_1 weights; a 32-wide block with a minimum would look lossless.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace dovetail::model {

inline constexpr uint64_t kOffGridSeed = 20260101;

// Value dimensions stay inside their head, so a head of at most 32 channels would keep the blocks
// of the output projection; supported releases have 64 or 128.
//
// The permutation of one model, for those who hold a part of it at a time; in place. Memory: 8
// bytes a channel that moves. The same seed gives the same permutation.
class OffGrid {
 public:
  OffGrid(const ModelShape& shape, uint64_t seed);
  void permute_layer(int64_t index, LayerWeights& layer) const;
  void permute_rows_of_hidden(Matrix& rows) const;        // (n, hidden): embedding, head
  void permute_hidden(std::vector<float>& values) const;  // (hidden): the final norm

 private:
  using Order = std::vector<int64_t>;  // after[i] = before[order[i]]
  struct LayerOrder {
    Order intermediate;
    Order value_rows;
    Order output_cols;
  };
  Order residual_;
  std::vector<LayerOrder> layers_;
};

void permute_off_grid(Weights& weights, uint64_t seed);

}  // namespace dovetail::model
