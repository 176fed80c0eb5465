#include "host/symmetric.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"
#include "host/amx.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

// Sides of the tiles that a core computes at a time: as wide as packing them anew allows, and small
// along the diagonal, where half of a tile is computed for nothing.
constexpr int64_t kLargestTile = 384;
constexpr int64_t kDiagonalTile = 96;
constexpr int64_t kRowsPerProduct = 512;
constexpr int64_t kRowsPerPass = 2048;  // what all tiles read stays in a cache

struct Tile {
  int64_t row = 0, col = 0, height = 0, width = 0;
};

void cut(const Tile& whole, std::vector<Tile>& tiles) {
  const int64_t down = (whole.height + kLargestTile - 1) / kLargestTile;
  const int64_t across = (whole.width + kLargestTile - 1) / kLargestTile;
  for (int64_t i = 0; i < down; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      const int64_t row = whole.height * i / down;
      const int64_t col = whole.width * j / across;
      tiles.push_back({whole.row + row, whole.col + col, whole.height * (i + 1) / down - row,
                       whole.width * (j + 1) / across - col});
    }
  }
}

// The square begin..end on the diagonal: two smaller ones and the rectangle above between them.
void cut_diagonal(int64_t begin, int64_t end, std::vector<Tile>& tiles) {
  if (end - begin <= kDiagonalTile) {
    tiles.push_back({begin, begin, end - begin, end - begin});
    return;
  }
  const int64_t middle = (begin + end) / 2;
  cut({begin, middle, middle - begin, end - middle}, tiles);
  cut_diagonal(begin, middle, tiles);
  cut_diagonal(middle, end, tiles);
}

// All on and above the diagonal, the largest first, so that the cores end together.
std::vector<Tile> upper_tiles(int64_t k) {
  std::vector<Tile> tiles;
  if (k > 0) cut_diagonal(0, k, tiles);
  std::ranges::stable_sort(tiles, std::greater{},
                           [](const Tile& tile) { return tile.height * tile.width; });
  return tiles;
}

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
  const std::vector<Tile> tiles = upper_tiles(k_);
  for (int64_t first = 0; first < rows; first += kRowsPerPass) {
    const int64_t end = std::min(first + kRowsPerPass, rows);
    parallel_for(std::ssize(tiles), [&](int64_t t, int64_t) {
      const c10::NoGradGuard no_grad;  // of this thread
      const auto [i, j, height, width] = tiles[static_cast<size_t>(t)];
      at::Tensor tile = view(sum_.data() + i * k_ + j, height, width, k_);
      for (int64_t row = first; row < end; row += kRowsPerProduct) {
        const int64_t count = std::min(kRowsPerProduct, end - row);
        tile.addmm_(view(x + row * k_ + i, count, height, k_).t(),
                    view(x + row * k_ + j, count, width, k_));
      }
    });
  }
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
