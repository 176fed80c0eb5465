#include "host/matmul.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <mutex>

#include "base/parallel.h"
#include "base/result.h"
#include "host/amx.h"
#include "host/host_model.h"

// Present where libtorch uses OpenBLAS, whose threads at::set_num_threads does not reach; null
// where it brings another library.
extern "C" void openblas_set_num_threads(int count) __attribute__((weak));

namespace dovetail::host {
namespace {

void set_blas_threads(int64_t count) {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(static_cast<int>(count));
}

// Tiles of the result that a core computes at a time: enough rows that packing the other operand
// anew for each costs little. The library's sums may depend on the size, the tile unit's do not.
constexpr int64_t kLibraryTileRows = 512;
constexpr int64_t kTileRows = 1024;  // at most
constexpr int64_t kTileCols = 1024;
constexpr int64_t kWorthAThread = int64_t{1} << 21;  // multiplications

at::Tensor as_tensor(const float* values, int64_t rows, int64_t cols, int64_t stride) {
  // from_blob wants a mutable pointer; operands are only read.
  return at::from_blob(const_cast<float*>(values), {rows, cols}, {stride, 1},
                       at::TensorOptions(at::kFloat));
}

// Worth packing for the tile unit.
constexpr int64_t kTileUnitRows = 16;
constexpr int64_t kTileUnitDepth = 32;

int64_t stride_of(const Operand& a) {
  return a.stride == 0 ? a.cols : a.stride;
}

// Rows begin..end of an operand as it is read, all columns.
amx::Lines lines_of(const Operand& a, int64_t begin, int64_t end) {
  const int64_t stride = stride_of(a);
  if (a.transposed) return {a.values + begin, end - begin, a.rows, 1, stride};
  return {a.values + begin * stride, end - begin, a.cols, stride, 1};
}

at::Tensor rows_of(const Operand& a, int64_t begin, int64_t end) {
  const int64_t stride = stride_of(a);
  if (a.transposed) return as_tensor(a.values + begin, a.rows, end - begin, stride).t();
  return as_tensor(a.values + begin * stride, end - begin, a.cols, stride);
}

}  // namespace

void configure_math_threads() {
  static std::once_flag once;
  std::call_once(once, [] {
    set_blas_threads(1);
    at::set_num_threads(1);
    try {
      at::set_num_interop_threads(1);
    } catch (const c10::Error&) {
      // Someone used libtorch's thread pool before: it keeps its size.
    }
  });
}

void matmul(const Operand& a, const Operand& b, float* c, bool accumulate, double scale) {
  const int64_t inner_a = a.transposed ? a.rows : a.cols;
  const int64_t inner_b = b.transposed ? b.cols : b.rows;
  DOVETAIL_CHECK(inner_a == inner_b);
  const int64_t rows = a.transposed ? a.cols : a.rows;
  const int64_t cols = b.transposed ? b.rows : b.cols;
  const Operand columns{b.values, b.rows, b.cols, !b.transposed, b.stride};
  const bool small = rows * cols * inner_a < kWorthAThread;
  const bool by_tile_unit = rows >= kTileUnitRows && cols >= kTileUnitRows &&
                            inner_a >= kTileUnitDepth && amx::available();
  int64_t tile_rows = kLibraryTileRows;
  int64_t tile_cols = kTileCols;
  if (small) {
    tile_rows = std::max<int64_t>(rows, 1);
    tile_cols = std::max<int64_t>(cols, 1);
  } else if (by_tile_unit) {
    const int64_t threads = threads_of_a_loop();
    tile_rows =
        threads == 1 ? kTileRows : std::clamp(rows / (2 * threads), 4 * kTileUnitRows, kTileRows);
  }
  const int64_t across = (cols + tile_cols - 1) / tile_cols;
  const int64_t down = (rows + tile_rows - 1) / tile_rows;
  parallel_for(across * down, [&](int64_t tile, int64_t) {
    const int64_t row = tile / across * tile_rows;
    const int64_t col = tile % across * tile_cols;
    const int64_t end_row = std::min(row + tile_rows, rows);
    const int64_t end_col = std::min(col + tile_cols, cols);
    if (by_tile_unit) {
      amx::multiply(lines_of(a, row, end_row), lines_of(columns, col, end_col),
                    c + row * cols + col, cols, accumulate, static_cast<float>(scale));
      return;
    }
    const c10::NoGradGuard no_grad;  // of this thread
    at::Tensor result = as_tensor(c + row * cols + col, end_row - row, end_col - col, cols);
    at::addmm_out(result, result, rows_of(a, row, end_row), rows_of(columns, col, end_col).t(),
                  accumulate ? 1.0 : 0.0, scale);
  });
}

}  // namespace dovetail::host
