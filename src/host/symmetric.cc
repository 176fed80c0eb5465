#include "host/symmetric.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
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

// The order of rows and columns reversed.
at::Tensor reversed(const at::Tensor& matrix) {
  return at::flip(matrix, {0, 1});
}

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

std::vector<float> Gram::mean() const {
  std::vector<float> mean(sum_.size());
  const auto count = static_cast<float>(std::max<int64_t>(num_rows_, 1));
  for (int64_t i = 0; i < k_; ++i)
    for (int64_t j = 0; j < k_; ++j) {
      const bool stored = i / kTile <= j / kTile;
      const auto from = static_cast<size_t>(stored ? i * k_ + j : j * k_ + i);
      mean[static_cast<size_t>(i * k_ + j)] = sum_[from] / count;
    }
  return mean;
}

// h = R R^T with R upper triangular is the Cholesky factorisation of h with its order reversed;
// then U = R^-1. That needs no inverse of h itself, which loses half of the digits.
Result<std::vector<float>> factor_of_inverse(int64_t k, const std::vector<float>& h, double shift) {
  const c10::NoGradGuard no_grad;
  at::Tensor matrix = view(h.data(), k, k, k).to(at::kDouble);
  matrix.diagonal().add_(shift);
  const auto [lower, failed_at] = at::linalg_cholesky_ex(reversed(matrix));
  if (failed_at.item<int64_t>() != 0) {
    return std::unexpected(
        Error{ErrorCode::kInvalidArgument,
              fmt::format("a matrix of {} x {} with {} on its diagonal is not positive definite", k,
                          k, shift)});
  }
  const at::Tensor inverse = at::linalg_solve_triangular(
      lower, at::eye(k, at::TensorOptions(at::kDouble)), /*upper=*/false);
  const at::Tensor upper = reversed(inverse).to(at::kFloat).contiguous();
  const float* values = upper.data_ptr<float>();
  return std::vector<float>(values, values + k * k);
}

}  // namespace dovetail::host
