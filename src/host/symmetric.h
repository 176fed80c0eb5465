// Sums of outer products and their inverse's factor, for algorithms that need second moments of a
// layer's inputs. With matmul.cc the only sources that include libtorch.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace dovetail::host {

// Sum of x^T x over rows that come in pieces: half the work of a product, and the same bits for
// any number of threads (tiles of a fixed size, each summed by one thread).
class Gram {
 public:
  explicit Gram(int64_t k);
  // x: (rows, k).
  void add(int64_t rows, const float* x);
  // (k, k), symmetric, divided by the number of rows. Ends this sum.
  [[nodiscard]] std::vector<float> take_mean() &&;
  [[nodiscard]] int64_t num_rows() const { return num_rows_; }

 private:
  int64_t k_;
  int64_t num_rows_ = 0;
  std::vector<float> sum_;  // (k, k); tiles on and above the diagonal
};

// The upper triangular U, (k, k), with (h + shift I)^-1 = U^T U, rows and columns in `order` (a
// permutation: row i of U stands for order[i]); computed in double and rounded at the end.
// h: (k, k), symmetric. Memory: 8 k^2 bytes beside h and U. Errors: kInvalidArgument if
// h + shift I is not positive definite.
[[nodiscard]] Result<std::vector<float>> factor_of_inverse(int64_t k, const std::vector<float>& h,
                                                           const std::vector<int64_t>& order,
                                                           double shift);

// In the order as it stands.
[[nodiscard]] Result<std::vector<float>> factor_of_inverse(int64_t k, const std::vector<float>& h,
                                                           double shift);

}  // namespace dovetail::host
