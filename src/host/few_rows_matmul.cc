#include "host/few_rows_matmul.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"
#include "host/buffer.h"
#include "host/lanes.h"
#include "host/layer_ops.h"

namespace dovetail::host {
namespace {

// Weight rows that share one pass over x: enough independent sums to hide the adder's latency.
constexpr int64_t kRowsOfW = 8;

// columns (k, 16): sixteen rows of x side by side, missing ones zero.
void pack_rows(int64_t rows, int64_t k, int64_t first, const float* x, float* columns) {
  for (int64_t lane = 0; lane < kFloatLanes; ++lane) {
    const int64_t row = first + lane;
    for (int64_t i = 0; i < k; ++i) {
      columns[i * kFloatLanes + lane] = row < rows ? x[row * k + i] : 0.0F;
    }
  }
}

// sums[j] (16 rows of x) = row j of w times the packed columns.
void multiply_full(int64_t k, const float* w, const float* columns,
                   std::array<FloatLanes, kRowsOfW>& sums) {
  FloatLanes s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{};
  for (int64_t i = 0; i < k; ++i) {
    FloatLanes x;
    load_lanes(columns + i * kFloatLanes, x);
    s0 += x * w[i];
    s1 += x * w[k + i];
    s2 += x * w[2 * k + i];
    s3 += x * w[3 * k + i];
    s4 += x * w[4 * k + i];
    s5 += x * w[5 * k + i];
    s6 += x * w[6 * k + i];
    s7 += x * w[7 * k + i];
  }
  sums = {s0, s1, s2, s3, s4, s5, s6, s7};
}

void multiply_some(int64_t k, int64_t count, const float* w, const float* columns,
                   std::array<FloatLanes, kRowsOfW>& sums) {
  for (int64_t j = 0; j < count; ++j) {
    FloatLanes sum{};
    for (int64_t i = 0; i < k; ++i) {
      FloatLanes x;
      load_lanes(columns + i * kFloatLanes, x);
      sum += x * w[j * k + i];
    }
    sums[static_cast<size_t>(j)] = sum;
  }
}

// Output features [begin, end) of one product for all rows.
void multiply_features(int64_t rows, int64_t k, int64_t begin, int64_t end, const float* columns,
                       const FewRowsProduct& product) {
  std::array<FloatLanes, kRowsOfW> sums;
  for (int64_t feature = begin; feature < end; feature += kRowsOfW) {
    const int64_t count = std::min(kRowsOfW, end - feature);
    const float* w = product.w + feature * k;
    for (int64_t first = 0; first < rows; first += kFloatLanes) {
      const float* packed = columns + first * k;
      if (count == kRowsOfW) {
        multiply_full(k, w, packed, sums);
      } else {
        multiply_some(k, count, w, packed, sums);
      }
      for (int64_t lane = 0; lane < std::min(kFloatLanes, rows - first); ++lane) {
        float* to = product.y + (first + lane) * product.n + feature;
        for (int64_t j = 0; j < count; ++j) {
          const float sum = sums[static_cast<size_t>(j)][lane];
          to[j] = product.accumulate ? to[j] + sum : sum;
        }
      }
    }
  }
}

}  // namespace

void few_rows_matmul(int64_t rows, int64_t k, const float* x,
                     std::span<const FewRowsProduct> products) {
  const int64_t blocks = (rows + kFloatLanes - 1) / kFloatLanes;
  const Buffer columns = make_buffer(blocks * kFloatLanes * k);
  for (int64_t block = 0; block < blocks; ++block) {
    pack_rows(rows, k, block * kFloatLanes, x, columns.get() + block * kFloatLanes * k);
  }
  int64_t features = 0;
  for (const FewRowsProduct& product : products) features += product.n;
  // Starting a thread costs as much as some 100,000 weights.
  constexpr int64_t kWeightsPerPiece = 100'000;
  const int64_t pieces =
      std::min(num_threads(), std::max<int64_t>(1, features * k / kWeightsPerPiece));
  // Every piece takes its share of every product.
  parallel_for(pieces, [&](int64_t piece, int64_t) {
    for (const FewRowsProduct& product : products) {
      const int64_t tiles = (product.n + kRowsOfW - 1) / kRowsOfW;
      multiply_features(rows, k, tiles * piece / pieces * kRowsOfW,
                        std::min(product.n, tiles * (piece + 1) / pieces * kRowsOfW), columns.get(),
                        product);
    }
  });
}

}  // namespace dovetail::host
