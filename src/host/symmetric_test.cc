#include "host/symmetric.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace dovetail::host {
namespace {

std::vector<float> drawn(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.uniform() - .5));
  return values;
}

TEST(Gram, IsTheMeanOfOuterProductsOverAllPieces) {
  constexpr int64_t kK = 261;  // more than a tile, no multiple of it
  const std::vector<float> x = drawn(700 * kK, 1);
  Gram gram(kK);
  gram.add(601, x.data());
  gram.add(99, x.data() + 601 * kK);
  const std::vector<float> mean = gram.mean();
  EXPECT_EQ(gram.num_rows(), 700);
  for (int64_t i = 0; i < kK; i += 7)
    for (int64_t j = 0; j < kK; j += 5) {
      double want = 0;
      for (int64_t row = 0; row < 700; ++row)
        want += static_cast<double>(x[static_cast<size_t>(row * kK + i)]) *
                static_cast<double>(x[static_cast<size_t>(row * kK + j)]);
      EXPECT_NEAR(mean[static_cast<size_t>(i * kK + j)], want / 700, 1e-6) << i << " " << j;
      EXPECT_EQ(mean[static_cast<size_t>(i * kK + j)], mean[static_cast<size_t>(j * kK + i)]);
    }
}

TEST(FactorOfInverse, ItsGramIsTheInverse) {
  constexpr int64_t kK = 40;
  Gram gram(kK);
  const std::vector<float> x = drawn(200 * kK, 2);
  gram.add(200, x.data());
  const std::vector<float> h = gram.mean();
  constexpr double kShift = .01;
  const auto factor = factor_of_inverse(kK, h, kShift);
  ASSERT_TRUE(factor.has_value());
  const auto u = [&](int64_t i, int64_t j) -> double {
    return (*factor)[static_cast<size_t>(i * kK + j)];
  };
  // (h + shift I) (U^T U) = I.
  for (int64_t i = 0; i < kK; ++i)
    for (int64_t j = 0; j < kK; ++j) {
      if (j < i) {
        EXPECT_EQ(u(i, j), 0) << i << " " << j;
      }
      double sum = 0;
      for (int64_t a = 0; a < kK; ++a) {
        double inverse = 0;
        for (int64_t b = 0; b < kK; ++b) inverse += u(b, a) * u(b, j);
        sum += (static_cast<double>(h[static_cast<size_t>(i * kK + a)]) + (a == i ? kShift : 0)) *
               inverse;
      }
      EXPECT_NEAR(sum, i == j ? 1 : 0, 1e-4) << i << " " << j;
    }
}

TEST(FactorOfInverse, RefusesWhatIsNotPositiveDefinite) {
  const std::vector<float> indefinite = {1, 2, 2, 1};
  EXPECT_FALSE(factor_of_inverse(2, indefinite, 0).has_value());
  EXPECT_TRUE(factor_of_inverse(2, indefinite, 1.5).has_value());
}

}  // namespace
}  // namespace dovetail::host
