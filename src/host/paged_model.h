// A HostModel that is fed tokens of many sequences at once, whatever their lengths, and keeps their
// keys and values in pages (kv_pages.h). For scoring and generation of benchmarks.
//
// What it computes for a position depends on the tokens before it alone, to the last bit: not on
// what else is fed with it, in which pieces, which prefixes were shared, or how many threads run.
// (With keys per channel, too.) Numbers differ from HostModel's in their last digits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "host/host_model.h"
#include "host/kv_pages.h"
#include "host/layer_ops.h"
#include "host/row_products.h"
#include "host/transformer_layer.h"

namespace dovetail::host {

// Raised whenever what follows computes other digits: part of the key of stored results.
inline constexpr int64_t kPagedKernels = 1;

// Tokens that go on where a sequence ends.
struct Segment {
  KvSequence* kv = nullptr;  // longer by the tokens afterwards; each sequence once in a pass
  std::span<const int32_t> ids = {};
  // Of how many of the last ones the final hidden states are wanted, 0..ids.size().
  int64_t wanted = 0;
  // A token that was generated: one id. Its attention runs by vectors, which is faster for one
  // position and differs in its last digits; so it belongs to the token, not to the pass.
  bool is_step = false;
};

class PagedModel {
 public:
  // Holds the weights a second time, 2, 4 or 6 bytes each (row_products.h), where there is a tile
  // unit and it may be used.
  explicit PagedModel(HostModel model, bool tile_unit = amx::available());

  [[nodiscard]] const model::ModelShape& shape() const { return model_.shape(); }
  [[nodiscard]] KvPool& pool() { return pool_; }

  // Ids must be in the vocabulary, positions in the model's (checked). Gives the wanted hidden
  // states after the last norm, segment by segment, (n, h). Memory: as LayerScratch for all rows.
  [[nodiscard]] model::Matrix feed(std::span<const Segment> segments);
  // Logits of such states, (n, v).
  [[nodiscard]] model::Matrix logits(const model::Matrix& hidden) const;

 private:
  struct Layer {
    RowWeights q, k, v, o, gate, up, down;
  };
  struct Rows;
  struct Use {
    const RowWeights& weights;
    float* y;
    bool accumulate = false;
  };
  void apply(int64_t rows, const float* x, std::initializer_list<Use> uses) const;
  void run_layer(const Rows& rows, int64_t layer, float* hidden);
  void project(const Rows& rows, int64_t layer, const LayerNumerics& numerics);
  void cache(const Rows& rows, int64_t layer, const LayerNumerics& numerics) const;
  void attend(const Rows& rows, int64_t layer, const LayerNumerics& numerics);
  void reserve(int64_t rows, int64_t positions);

  HostModel model_;
  bool tile_unit_;
  KvPool pool_;
  std::vector<Layer> layers_;
  RowWeights head_;
  int64_t positions_ = 0;  // of rope_
  std::unique_ptr<const RopeTable> rope_;
  int64_t scratch_rows_ = 0;
  std::unique_ptr<LayerScratch> scratch_;
  int64_t attention_floats_ = 0;
  Buffer attention_scratch_;
};

}  // namespace dovetail::host
