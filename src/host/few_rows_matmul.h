// Products with few rows, as in generation, where every weight is read once for all of them and
// memory bandwidth, not arithmetic, is the limit. General libraries fall to a fifth of that there.
#pragma once

#include <cstdint>
#include <span>

namespace dovetail::host {

// One of several products that share x: y (rows, n) = x (rows, k) w (n, k)^T, or y += it.
struct FewRowsProduct {
  int64_t n = 0;             // output features
  const float* w = nullptr;  // (n, k)
  float* y = nullptr;        // (rows, n), overlaps nothing else
  bool accumulate = false;
};

// Each output is summed over k in ascending order, so neither the threads nor the other rows change
// it. The products run in one parallel region: starting threads costs as much as a small product.
void few_rows_matmul(int64_t rows, int64_t k, const float* x,
                     std::span<const FewRowsProduct> products);

}  // namespace dovetail::host
