#include "host/symmetric.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

constexpr int64_t kTile = 192;          // a tile of each operand stays in the second cache
constexpr int64_t kRowsPerPiece = 512;  // summed in FP32 at once

at::Tensor view(const float* values, int64_t rows, int64_t cols, int64_t stride) {
  return at::from_blob(const_cast<float*>(values), {rows, cols}, {stride, 1},
                       at::TensorOptions(at::kFloat));
}

constexpr int64_t kFactorBlock = 256;

// A square matrix in double that is factored where it stands; blocks of rows and columns by range.
class InPlace {
 public:
  explicit InPlace(int64_t k) : k_(k), values_(at::empty({k, k}, at::TensorOptions(at::kDouble))) {}
  [[nodiscard]] double* row(int64_t i) { return values_.data_ptr<double>() + i * k_; }
  [[nodiscard]] at::Tensor part(int64_t row, int64_t end_row, int64_t col, int64_t end_col) const {
    return values_.slice(0, row, end_row).slice(1, col, end_col);
  }

  // A = L L^T; L replaces the blocks on and below the diagonal, zeros above L in those on it.
  [[nodiscard]] bool factor() {
    for (int64_t b = 0; b < k_; b += kFactorBlock) {
      const int64_t e = std::min(b + kFactorBlock, k_);
      const auto [lower, failed_at] = at::linalg_cholesky_ex(part(b, e, b, e));
      if (failed_at.item<int64_t>() != 0) return false;
      part(b, e, b, e).copy_(lower);
      if (e == k_) break;
      at::Tensor panel = part(e, k_, b, e);
      panel.copy_(at::linalg_solve_triangular(lower.t(), panel, /*upper=*/true, /*left=*/false));
      for (int64_t c = e; c < k_; c += kFactorBlock) {
        const int64_t d = std::min(c + kFactorBlock, k_);
        part(c, k_, c, d).addmm_(part(c, k_, b, e), part(c, d, b, e).t(), 1, -1);
      }
    }
    return true;
  }

  // L^-1 in place of L, columns from the last; rows of a column from the last, so that what is
  // overwritten is no longer read.
  void invert_lower() {
    const int64_t last = (k_ - 1) / kFactorBlock * kFactorBlock;
    for (int64_t b = last; b >= 0; b -= kFactorBlock) {
      const int64_t e = std::min(b + kFactorBlock, k_);
      const at::Tensor inverse = at::linalg_solve_triangular(
          part(b, e, b, e).contiguous(), at::eye(e - b, at::TensorOptions(at::kDouble)), false);
      for (int64_t r = last; r >= e; r -= kFactorBlock) {
        const int64_t end = std::min(r + kFactorBlock, k_);
        const at::Tensor sum = part(r, end, e, end).mm(part(e, end, b, e));
        part(r, end, b, e).copy_(sum.mm(inverse).neg_());
      }
      part(b, e, b, e).copy_(inverse);
    }
  }

 private:
  int64_t k_;
  at::Tensor values_;
};

}  // namespace

Gram::Gram(int64_t k) : k_(k), sum_(static_cast<size_t>(k * k)) {}

void Gram::add(int64_t rows, const float* x) {
  std::vector<std::pair<int64_t, int64_t>> tiles;
  for (int64_t i = 0; i < k_; i += kTile)
    for (int64_t j = i; j < k_; j += kTile) tiles.emplace_back(i, j);
  const SerialProducts serial;
  parallel_for(std::ssize(tiles), [&](int64_t t, int64_t) {
    const c10::NoGradGuard no_grad;
    const auto [i, j] = tiles[static_cast<size_t>(t)];
    const int64_t height = std::min(kTile, k_ - i);
    const int64_t width = std::min(kTile, k_ - j);
    at::Tensor tile = view(sum_.data() + i * k_ + j, height, width, k_);
    for (int64_t row = 0; row < rows; row += kRowsPerPiece) {
      const int64_t count = std::min(kRowsPerPiece, rows - row);
      tile.addmm_(view(x + row * k_ + i, count, height, k_).t(),
                  view(x + row * k_ + j, count, width, k_));
    }
  });
  num_rows_ += rows;
}

std::vector<float> Gram::take_mean() && {
  const auto count = static_cast<float>(std::max<int64_t>(num_rows_, 1));
  parallel_for(k_, [&](int64_t i, int64_t) {
    for (int64_t j = i / kTile * kTile; j < k_; ++j) sum_[static_cast<size_t>(i * k_ + j)] /= count;
  });
  for (int64_t i = 0; i < k_; ++i)
    for (int64_t j = 0; j < i / kTile * kTile; ++j)
      sum_[static_cast<size_t>(i * k_ + j)] = sum_[static_cast<size_t>(j * k_ + i)];
  return std::move(sum_);
}

// h = R R^T with R upper triangular is the Cholesky factorisation of h with its order reversed;
// then U = R^-1. That needs no inverse of h itself, which loses half of the digits.
Result<std::vector<float>> factor_of_inverse(int64_t k, const std::vector<float>& h,
                                             const std::vector<int64_t>& order, double shift) {
  const c10::NoGradGuard no_grad;
  InPlace matrix(k);
  for (int64_t i = 0; i < k; ++i) {
    const float* from = h.data() + order[static_cast<size_t>(k - 1 - i)] * k;
    double* to = matrix.row(i);
    for (int64_t j = 0; j < k; ++j)
      to[j] = static_cast<double>(from[order[static_cast<size_t>(k - 1 - j)]]);
    to[i] += shift;
  }
  if (!matrix.factor()) {
    return std::unexpected(
        Error{ErrorCode::kInvalidArgument,
              fmt::format("a matrix of {} x {} with {} on its diagonal is not positive definite", k,
                          k, shift)});
  }
  matrix.invert_lower();
  std::vector<float> upper(static_cast<size_t>(k * k));
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = i; j < k; ++j)
      upper[static_cast<size_t>(i * k + j)] = static_cast<float>(matrix.row(k - 1 - i)[k - 1 - j]);
  return upper;
}

Result<std::vector<float>> factor_of_inverse(int64_t k, const std::vector<float>& h, double shift) {
  std::vector<int64_t> order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), int64_t{0});
  return factor_of_inverse(k, h, order, shift);
}

}  // namespace dovetail::host
