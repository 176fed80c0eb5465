#include "host/row_products.h"

#include <algorithm>
#include <vector>

#include "base/result.h"
#include "host/few_rows_matmul.h"

namespace dovetail::host {
namespace {

// Rows of x that stay in the second cache while all weights pass by.
constexpr int64_t kPortableRows = 256;

}  // namespace

RowWeights::RowWeights(const model::Matrix& w, bool tile_unit) : w_(&w) {
  if (tile_unit) packed_.emplace(amx::Lines{w.values.data(), w.rows, w.cols, w.cols, 1});
}

void row_products(int64_t rows, const float* x, std::span<const RowProduct> products) {
  const int64_t k = products[0].weights->matrix().cols;
  if (products[0].weights->packed() != nullptr) {
    std::vector<amx::PackedProduct> packed;
    for (const RowProduct& product : products)
      packed.push_back({product.weights->packed(), product.y, product.accumulate});
    return amx::multiply_packed({x, rows, k, k, 1}, packed);
  }
  for (int64_t first = 0; first < rows; first += kPortableRows) {
    std::vector<FewRowsProduct> few;
    for (const RowProduct& product : products) {
      const model::Matrix& w = product.weights->matrix();
      DOVETAIL_CHECK(w.cols == k);
      few.push_back(
          {w.rows, w.values.data(), product.y + first * w.rows, product.accumulate});
    }
    few_rows_matmul(std::min(kPortableRows, rows - first), k, x + first * k, few);
  }
}

void row_product(int64_t rows, const float* x, const amx::Lines& right, float* y, bool tile_unit) {
  const int64_t k = right.depth;
  if (tile_unit)
    return amx::multiply({x, rows, k, k, 1}, right, y, right.count, false, 1.0F);
  std::vector<float> w(static_cast<size_t>(right.count * k));
  for (int64_t i = 0; i < right.count; ++i) {
    for (int64_t d = 0; d < k; ++d)
      w[static_cast<size_t>(i * k + d)] =
          right.values[i * right.line_stride + d * right.depth_stride];
  }
  const FewRowsProduct product{right.count, w.data(), y, false};
  few_rows_matmul(rows, k, x, {&product, 1});
}

}  // namespace dovetail::host
