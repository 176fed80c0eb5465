#include "host/few_rows_matmul.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"
#include "host/lanes.h"
#include "host/layer_ops.h"

namespace dovetail::host {
namespace {

// Weight rows that share one pass over x: enough independent sums to hide the adder's latency.
constexpr int64_t kRowsOfW = 8;

// columns (k, 16): sixteen rows of x side by side, missing ones zero.
void pack_rows(const FewRowsShape& s, int64_t first, const float* x, float* columns) {
  for (int64_t lane = 0; lane < kFloatLanes; ++lane) {
    const int64_t row = first + lane;
    for (int64_t i = 0; i < s.k; ++i) {
      columns[i * kFloatLanes + lane] = row < s.rows ? x[row * s.k + i] : 0.0F;
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

// Output features [begin, end) for all rows.
void multiply_features(const FewRowsShape& s, int64_t begin, int64_t end, const float* columns,
                       const float* w, float* y, bool accumulate) {
  std::array<FloatLanes, kRowsOfW> sums;
  for (int64_t feature = begin; feature < end; feature += kRowsOfW) {
    const int64_t count = std::min(kRowsOfW, end - feature);
    for (int64_t first = 0; first < s.rows; first += kFloatLanes) {
      const float* packed = columns + first * s.k;
      if (count == kRowsOfW) {
        multiply_full(s.k, w + feature * s.k, packed, sums);
      } else {
        multiply_some(s.k, count, w + feature * s.k, packed, sums);
      }
      for (int64_t lane = 0; lane < std::min(kFloatLanes, s.rows - first); ++lane) {
        float* to = y + (first + lane) * s.n + feature;
        for (int64_t j = 0; j < count; ++j) {
          const float sum = sums[static_cast<size_t>(j)][lane];
          to[j] = accumulate ? to[j] + sum : sum;
        }
      }
    }
  }
}

}  // namespace

void few_rows_matmul(const FewRowsShape& s, const float* x, const float* w, float* y,
                     bool accumulate) {
  const int64_t blocks = (s.rows + kFloatLanes - 1) / kFloatLanes;
  const Buffer columns = make_buffer(blocks * kFloatLanes * s.k);
  for (int64_t block = 0; block < blocks; ++block) {
    pack_rows(s, block * kFloatLanes, x, columns.get() + block * kFloatLanes * s.k);
  }
  // Starting a thread costs as much as some 100,000 weights.
  constexpr int64_t kWeightsPerPiece = 100'000;
  const int64_t wanted = std::max<int64_t>(1, s.n * s.k / kWeightsPerPiece);
  const int64_t pieces = std::min(num_threads(), wanted);
  const int64_t tiles = (s.n + kRowsOfW - 1) / kRowsOfW;
  parallel_for(pieces, [&](int64_t piece, int64_t) {
    multiply_features(s, tiles * piece / pieces * kRowsOfW,
                      std::min(s.n, tiles * (piece + 1) / pieces * kRowsOfW), columns.get(), w, y,
                      accumulate);
  });
}

}  // namespace dovetail::host
