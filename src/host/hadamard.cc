#include "host/hadamard.h"

#include <bit>
#include <cmath>

#include "base/result.h"
#include "host/layer_ops.h"

namespace dovetail::host {
namespace {

void turn_block(int64_t block, float scale, float* x) {
  for (int64_t half = 1; half < block; half *= 2) {
    for (int64_t begin = 0; begin < block; begin += 2 * half) {
      float* low = x + begin;
      float* high = low + half;
      for (int64_t i = 0; i < half; ++i) {
        const float sum = low[i] + high[i];
        high[i] = low[i] - high[i];
        low[i] = sum;
      }
    }
  }
  for (int64_t i = 0; i < block; ++i) x[i] *= scale;
}

}  // namespace

void hadamard_rows(int64_t rows, int64_t n, int64_t block, float* x) {
  if (block == 0) return;
  DOVETAIL_CHECK(block > 0 && std::has_single_bit(static_cast<uint64_t>(block)) && n % block == 0);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(block)));
  for_row_pieces(rows, 4 * n, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin * n; at < end * n; at += block) turn_block(block, scale, x + at);
  });
}

}  // namespace dovetail::host
