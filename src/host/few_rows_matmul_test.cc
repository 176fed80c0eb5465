#include "host/few_rows_matmul.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/random.h"

namespace dovetail::host {
namespace {

std::vector<float> random_floats(int64_t count, Random& random) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(random.uniform() - 0.5));
  }
  return values;
}

// The last case is large enough to be split among threads.
TEST(FewRowsMatmul, EqualsPlainSumsInAscendingOrder) {
  Random random(3);
  constexpr std::array<std::array<int64_t, 4>, 6> kCases = {{{1, 1, 1, 2},
                                                             {3, 5, 9, 8},
                                                             {16, 64, 24, 7},
                                                             {17, 33, 40, 1},
                                                             {40, 20, 15, 3},
                                                             {16, 300, 1001, 500}}};
  for (const auto& [rows, k, n0, n1] : kCases) {
    const auto x = random_floats(rows * k, random);
    const auto w0 = random_floats(n0 * k, random);
    const auto w1 = random_floats(n1 * k, random);
    std::vector<float> y0(static_cast<size_t>(rows * n0), 7.0F);
    std::vector<float> y1(static_cast<size_t>(rows * n1), 7.0F);
    const std::array<FewRowsProduct, 2> products = {FewRowsProduct{n0, w0.data(), y0.data(), false},
                                                    FewRowsProduct{n1, w1.data(), y1.data(), true}};
    few_rows_matmul(rows, k, x.data(), products);
    const auto at = [&](int64_t i) { return static_cast<size_t>(i); };
    for (int64_t row = 0; row < rows; ++row) {
      for (const auto& [n, w, y, start] :
           {std::tuple(n0, &w0, &y0, 0.0F), std::tuple(n1, &w1, &y1, 7.0F)}) {
        for (int64_t i = 0; i < n; ++i) {
          float sum = 0.0F;
          for (int64_t j = 0; j < k; ++j) sum += x[at(row * k + j)] * (*w)[at(i * k + j)];
          ASSERT_EQ((*y)[at(row * n + i)], start + sum) << rows << " " << k << " " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace dovetail::host
