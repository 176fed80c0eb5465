// Products with few rows, as in generation, where every weight is read once for all of them and
// memory bandwidth, not arithmetic, is the limit. General libraries fall to a fifth of that there.
#pragma once

#include <cstdint>

namespace dovetail::host {

struct FewRowsShape {
  int64_t rows = 0;  // of x and y
  int64_t k = 0;     // reduction
  int64_t n = 0;     // output features
};

// y (rows, n) = x (rows, k) w (n, k)^T, or y += ... if `accumulate`. Each output is summed over k
// in ascending order, so neither the threads nor the other rows change it.
void few_rows_matmul(const FewRowsShape& shape, const float* x, const float* w, float* y,
                     bool accumulate);

}  // namespace dovetail::host
