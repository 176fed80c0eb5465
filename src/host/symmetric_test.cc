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
  EXPECT_EQ(gram.num_rows(), 700);
  const std::vector<float> mean = std::move(gram).take_mean();
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

// Several blocks and a part of one, in an order of its own.
TEST(FactorOfInverse, ItsGramIsTheInverseInTheOrderAsked) {
  constexpr int64_t kK = 530;
  Gram gram(kK);
  const std::vector<float> x = drawn(1600 * kK, 2);
  gram.add(1600, x.data());
  const std::vector<float> h = std::move(gram).take_mean();
  constexpr double kShift = .01;
  std::vector<int64_t> order(kK);
  for (int64_t i = 0; i < kK; ++i) order[static_cast<size_t>(i)] = (i * 7 + 3) % kK;
  const auto factor = factor_of_inverse(kK, h, order, kShift);
  ASSERT_TRUE(factor.has_value());
  const auto u = [&](int64_t i, int64_t j) -> double {
    return (*factor)[static_cast<size_t>(i * kK + j)];
  };
  for (int64_t i = 0; i < kK; ++i)
    for (int64_t j = 0; j < i; ++j) EXPECT_EQ(u(i, j), 0) << i << " " << j;
  // (h + shift I) (U^T U) = I, of some columns.
  for (const int64_t column : {0, 255, 256, 400, 529}) {
    std::vector<double> inverse(kK);
    for (int64_t b = 0; b < kK; ++b)
      for (int64_t a = 0; a < kK; ++a) inverse[static_cast<size_t>(a)] += u(b, a) * u(b, column);
    for (int64_t i = 0; i < kK; ++i) {
      double sum = 0;
      for (int64_t a = 0; a < kK; ++a) {
        const int64_t at = order[static_cast<size_t>(i)] * kK + order[static_cast<size_t>(a)];
        sum += (static_cast<double>(h[static_cast<size_t>(at)]) + (a == i ? kShift : 0)) *
               inverse[static_cast<size_t>(a)];
      }
      EXPECT_NEAR(sum, i == column ? 1 : 0, 1e-4) << i << " " << column;
    }
  }
}

TEST(FactorOfInverse, RefusesWhatIsNotPositiveDefinite) {
  const std::vector<float> indefinite = {1, 2, 2, 1};
  EXPECT_FALSE(factor_of_inverse(2, indefinite, {0, 1}, 0).has_value());
  EXPECT_TRUE(factor_of_inverse(2, indefinite, {1, 0}, 1.5).has_value());
}

}  // namespace
}  // namespace dovetail::host
