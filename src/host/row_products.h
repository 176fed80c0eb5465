// Products in which every row counts for itself: row r of y = x w^T depends, to the last bit, on
// row r of x and on w alone, not on how many rows there are, where r lies among them or how many
// threads run. (Those of matmul.h choose their kernel by the number of rows.)
//
// On the tile unit where there is one (amx.h), else by few_rows_matmul.h; the two differ in their
// last digits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "host/amx.h"
#include "model/model.h"

namespace dovetail::host {

// Weights made ready for them. For the tile unit a copy of 2, 4 or 6 bytes a weight.
class RowWeights {
 public:
  // w (n, k) must live as long as this does.
  explicit RowWeights(const model::Matrix& w, bool tile_unit = amx::available());

  [[nodiscard]] const model::Matrix& matrix() const { return *w_; }
  // Null where the tile unit is not used.
  [[nodiscard]] const amx::PackedLines* packed() const { return packed_ ? &*packed_ : nullptr; }

 private:
  const model::Matrix* w_;
  std::optional<amx::PackedLines> packed_;
};

// One of several products that share x.
struct RowProduct {
  const RowWeights* weights = nullptr;
  float* y = nullptr;  // (rows, n), overlaps nothing else
  bool accumulate = false;
};
// x (rows, k), over all cores. Weights are all made for the same unit.
void row_products(int64_t rows, const float* x, std::span<const RowProduct> products);

// y (rows, right.count) = x (rows, right.depth) times the lines of `right` (amx.h), on the calling
// thread within a loop.
void row_product(int64_t rows, const float* x, const amx::Lines& right, float* y,
                 bool tile_unit = amx::available());

}  // namespace dovetail::host
