#include "eval/score.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace dovetail::eval {
namespace {

TEST(MeanScore, HandWorked) {
  const auto score = mean_score({1, 0, 1, 1});
  ASSERT_TRUE(score.has_value());
  EXPECT_DOUBLE_EQ(score->mean, 0.75);
  // Sum of squares 3 / 16 + 9 / 16 = 0.75, variance 0.75 / 3 = 0.25, over 4 questions.
  EXPECT_DOUBLE_EQ(score->std_error.value(), 0.25);
  EXPECT_EQ(score->num_questions, 4);
}

TEST(MeanScore, DefinedAtTheEdges) {
  EXPECT_EQ(mean_score({}).error().message, "score: no questions, want at least 1");
  EXPECT_EQ(mean_score({1, std::nan("")}).error().message,
            "score: question 1 = nan, want a finite value");
  const auto single = mean_score({1});
  EXPECT_DOUBLE_EQ(single->mean, 1);
  EXPECT_FALSE(single->std_error.has_value());
  EXPECT_EQ(mean_score({1, 1, 1})->std_error.value(), 0);
}

// The formula of the harness written out: variance of all parts pooled, over the size of the whole.
TEST(PooledScore, IsThePooledVarianceOfTheParts) {
  const std::vector<double> first = {1, 0, 1, 1, 0};
  const std::vector<double> second = {0, 0, 1};
  const auto group = pooled_score({*mean_score(first), *mean_score(second)});
  ASSERT_TRUE(group.has_value());
  EXPECT_DOUBLE_EQ(group->mean, 4.0 / 8);
  double squares = 0;
  for (const double value : first) squares += (value - 0.6) * (value - 0.6);
  for (const double value : second) squares += (value - 1.0 / 3) * (value - 1.0 / 3);
  EXPECT_NEAR(group->std_error.value(), std::sqrt(squares / (8 - 2) / 8), 1e-14);
}

TEST(PooledScore, DefinedAtTheEdges) {
  EXPECT_FALSE(pooled_score({}).has_value());
  EXPECT_FALSE(pooled_score({Score{}}).has_value());
  EXPECT_FALSE(pooled_score({*mean_score({1}), *mean_score({0})})->std_error.has_value());
}

// Share of all subsets of k samples in which at least one passed.
double pass_by_enumeration(int64_t n, int64_t passed, int64_t k) {
  int64_t subsets = 0;
  int64_t passing = 0;
  for (uint32_t subset = 0; subset < (1U << n); ++subset) {
    if (std::popcount(subset) != k) continue;
    ++subsets;
    if ((subset & ((1U << passed) - 1)) != 0) ++passing;
  }
  return static_cast<double>(passing) / static_cast<double>(subsets);
}

TEST(PassAtK, IsTheShareOfAllSubsets) {
  for (int64_t n = 1; n <= 9; ++n)
    for (int64_t passed = 0; passed <= n; ++passed)
      for (int64_t k = 1; k <= n; ++k)
        ASSERT_NEAR(pass_at_k(n, passed, k).value(), pass_by_enumeration(n, passed, k), 1e-12);
}

TEST(PassAtK, RejectsBadCounts) {
  EXPECT_FALSE(pass_at_k(0, 0, 1).has_value());
  EXPECT_FALSE(pass_at_k(5, 6, 1).has_value());
  EXPECT_EQ(pass_at_k(5, 1, 6).error().message,
            "pass@6 of 5 samples with 1 passed: want 1 <= k <= samples, 0 <= passed <= samples");
}

}  // namespace
}  // namespace dovetail::eval
