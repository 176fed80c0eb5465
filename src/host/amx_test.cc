#include "host/amx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace dovetail::host::amx {
namespace {

std::vector<float> random_values(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  // Magnitudes over some powers of two, so that no part of a float is always zero.
  for (float& x : values)
    x = static_cast<float>((random.uniform() - 0.5) * std::exp2(8 * random.uniform()));
  return values;
}

// A matrix (lines, depth) as lines or as columns of what lies in memory, with room between rows.
struct Stored {
  std::vector<float> values;
  Lines lines;
};
Stored stored(int64_t count, int64_t depth, bool along_depth, uint64_t seed) {
  constexpr int64_t kRoom = 3;
  Stored made;
  const int64_t stride = (along_depth ? depth : count) + kRoom;
  made.values = random_values((along_depth ? count : depth) * stride, seed);
  made.lines = {made.values.data(), count, depth, along_depth ? stride : 1,
                along_depth ? 1 : stride};
  return made;
}

double value(const Lines& lines, int64_t line, int64_t depth) {
  return static_cast<double>(lines.values[line * lines.line_stride + depth * lines.depth_stride]);
}

// Largest error over what FP32 may do: the sum of the magnitudes times 2^-24.
double worst_error(const Lines& left, const Lines& right, const std::vector<double>& before,
                   double scale, const std::vector<float>& c, int64_t stride) {
  double worst = 0;
  for (int64_t i = 0; i < left.count; ++i) {
    for (int64_t j = 0; j < right.count; ++j) {
      const auto at = static_cast<size_t>(i * stride + j);
      double sum = before[at];
      double size = std::fabs(before[at]);
      for (int64_t d = 0; d < left.depth; ++d) {
        const double product = scale * value(left, i, d) * value(right, j, d);
        sum += product;
        size += std::fabs(product);
      }
      worst =
          std::max(worst, std::fabs(static_cast<double>(c[at]) - sum) / (size * std::exp2(-24.0)));
    }
  }
  return worst;
}

class Amx : public testing::Test {
 protected:
  void SetUp() override {
    if (!available()) GTEST_SKIP() << "this machine has no tile unit (AMX)";
  }
};

TEST_F(Amx, ProductsAreAsExactAsFp32InEveryLayoutAndSize) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{16, 16, 32},
                                {1, 1, 1},
                                {33, 47, 65},
                                {300, 70, 100},
                                {64, 64, 1300}}) {
    for (const int layout : {0, 1, 2, 3}) {
      const Stored left = stored(m, k, (layout & 1) != 0, 1);
      const Stored right = stored(n, k, (layout & 2) != 0, 2);
      for (const bool accumulate : {false, true}) {
        const int64_t stride = n + 5;
        std::vector<float> c = random_values(m * stride, 3);
        const std::vector<float> old = c;
        std::vector<double> before(c.size());
        if (accumulate) std::ranges::copy(c, before.begin());
        multiply(left.lines, right.lines, c.data(), stride, accumulate, 1.5F);
        // Rounding after every addition may cost as many units; it averages out.
        EXPECT_LT(worst_error(left.lines, right.lines, before, 1.5, c, stride),
                  2 + std::sqrt(static_cast<double>(k)))
            << m << " x " << n << " x " << k << ", layout " << layout;
        for (int64_t i = 0; i < m; ++i)  // room between rows is left alone
          for (int64_t j = n; j < stride; ++j)
            ASSERT_EQ(c[static_cast<size_t>(i * stride + j)],
                      old[static_cast<size_t>(i * stride + j)]);
      }
    }
  }
}

// The bound above would also pass two parts of three: numbers of 24 bits whose product needs all.
TEST_F(Amx, KeepsEveryBitOfTheOperands) {
  const std::vector<float> left(32, 1.0F + std::exp2(-23.0F));
  std::vector<float> right(32);
  right[5] = 3.0F;
  float c = 0;
  multiply({left.data(), 1, 32, 32, 1}, {right.data(), 1, 32, 32, 1}, &c, 1, false, 1);
  EXPECT_EQ(c, 3.0F * (1.0F + std::exp2(-23.0F)));
}

TEST_F(Amx, WhatIsNotFiniteStaysSo) {
  std::vector<float> left(32, 1.0F);
  const std::vector<float> right(32, 1.0F);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    left[7] = bad;
    float c = 0;
    multiply({left.data(), 1, 32, 32, 1}, {right.data(), 1, 32, 32, 1}, &c, 1, false, 1);
    EXPECT_FALSE(std::isfinite(c));
  }
}

TEST_F(Amx, GramIsTheProductOfTheTransposeWithItself) {
  for (const auto& [rows, k] : {std::array<int64_t, 2>{1, 1}, {40, 33}, {700, 100}, {30, 600}}) {
    const std::vector<float> x = random_values(rows * k, 4);
    std::vector<float> sum(static_cast<size_t>(k * k), 1.0F);
    add_gram(rows, k, x.data(), sum.data());
    for (int64_t i = 0; i < k; i += 1 + k / 50) {
      for (int64_t j = i; j < k; ++j) {
        double want = 1;
        double size = 1;
        for (int64_t row = 0; row < rows; ++row) {
          const double product = static_cast<double>(x[static_cast<size_t>(row * k + i)]) *
                                 static_cast<double>(x[static_cast<size_t>(row * k + j)]);
          want += product;
          size += std::fabs(product);
        }
        ASSERT_NEAR(sum[static_cast<size_t>(i * k + j)], want,
                    (2 + std::sqrt(static_cast<double>(rows))) * size * std::exp2(-24.0))
            << rows << " x " << k << " at " << i << ", " << j;
      }
    }
  }
}

}  // namespace
}  // namespace dovetail::host::amx
