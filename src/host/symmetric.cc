#include "host/symmetric.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"
#include "host/amx.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

// Where the processor has no tile unit:
constexpr int64_t kTile = 192;          // a tile of each operand stays in the second cache
constexpr int64_t kRowsPerPiece = 512;  // summed in FP32 at once

at::Tensor view(const float* values, int64_t rows, int64_t cols, int64_t stride) {
  return at::from_blob(const_cast<float*>(values), {rows, cols}, {stride, 1},
                       at::TensorOptions(at::kFloat));
}

constexpr int64_t kFactorBlock = 192;

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
      const int64_t e = end_of(b);
      const auto [lower, failed_at] = at::linalg_cholesky_ex(part(b, e, b, e));
      if (failed_at.item<int64_t>() != 0) return false;
      part(b, e, b, e).copy_(lower);
      const at::Tensor upper = lower.t();
      for_blocks(e, [&](int64_t r, int64_t end) {
        at::Tensor panel = part(r, end, b, e);
        panel.copy_(at::linalg_solve_triangular(upper, panel, /*upper=*/true, /*left=*/false));
      });
      for_blocks(e, [&](int64_t r, int64_t end) {
        for (int64_t c = e; c <= r; c += kFactorBlock)
          part(r, end, c, end_of(c))
              .addmm_(part(r, end, b, e), part(c, end_of(c), b, e).t(), 1, -1);
      });
    }
    return true;
  }

  // L^-1 in place of L, columns from the last.
  void invert_lower() {
    std::vector<at::Tensor> columns(static_cast<size_t>((k_ + kFactorBlock - 1) / kFactorBlock));
    for (int64_t b = (k_ - 1) / kFactorBlock * kFactorBlock; b >= 0; b -= kFactorBlock) {
      const int64_t e = end_of(b);
      const at::Tensor inverse = at::linalg_solve_triangular(
          part(b, e, b, e).contiguous(), at::eye(e - b, at::TensorOptions(at::kDouble)), false);
      // All are computed before one is overwritten.
      for_blocks(e, [&](int64_t r, int64_t end) {
        columns[static_cast<size_t>(r / kFactorBlock)] =
            part(r, end, e, end).mm(part(e, end, b, e)).mm(inverse).neg_();
      });
      for (int64_t r = e; r < k_; r += kFactorBlock)
        part(r, end_of(r), b, e).copy_(columns[static_cast<size_t>(r / kFactorBlock)]);
      part(b, e, b, e).copy_(inverse);
    }
  }

 private:
  [[nodiscard]] int64_t end_of(int64_t block) const { return std::min(block + kFactorBlock, k_); }
  // Calls body(r, end) for the blocks of rows from `first`, over all cores, the longest rows first.
  template <typename Body>
  void for_blocks(int64_t first, const Body& body) {
    const int64_t count = (k_ - first + kFactorBlock - 1) / kFactorBlock;
    parallel_for(count, [&](int64_t i, int64_t) {
      const c10::NoGradGuard no_grad;  // of this thread
      const int64_t r = first + (count - 1 - i) * kFactorBlock;
      body(r, end_of(r));
    });
  }

  int64_t k_;
  at::Tensor values_;
};

}  // namespace

Gram::Gram(int64_t k) : k_(k), sum_(static_cast<size_t>(k * k)) {}

void Gram::add(int64_t rows, const float* x) {
  num_rows_ += rows;
  if (amx::available()) return amx::add_gram(rows, k_, x, sum_.data());
  std::vector<std::pair<int64_t, int64_t>> tiles;
  for (int64_t i = 0; i < k_; i += kTile)
    for (int64_t j = i; j < k_; j += kTile) tiles.emplace_back(i, j);
  parallel_for(std::ssize(tiles), [&](int64_t t, int64_t) {
    const c10::NoGradGuard no_grad;  // of this thread
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
}

std::vector<float> Gram::take_mean() && {
  const auto count = static_cast<float>(std::max<int64_t>(num_rows_, 1));
  parallel_for(k_, [&](int64_t i, int64_t) {
    for (int64_t j = i; j < k_; ++j) sum_[static_cast<size_t>(i * k_ + j)] /= count;
  });
  for (int64_t i = 0; i < k_; ++i)
    for (int64_t j = 0; j < i; ++j)
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
