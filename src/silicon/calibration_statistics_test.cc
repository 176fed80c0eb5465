#include "silicon/calibration_statistics.h"

#include <gtest/gtest.h>

namespace dovetail::silicon {
namespace {

TEST(ErrorStatistics, MatchesHandComputedValues) {
  // Ratios 1.1, 0.8, 1.0, 2.0, 0.5: errors 0.1, 0.2, 0, 1, 0.5; mean 0.36, median 0.2.
  // Factors 1.1, 1.25, 1, 2, 2: sorted 1, 1.1, 1.25, 2, 2; 90 % lies at place 3.6, so 2.
  // Measured ranks 1 2 3 4 5; predicted 11, 16, 30, 80, 25: ranks 1 2 4 5 3.
  // d = 0 0 1 1 -2: 1 - 6 * 6 / (5 * 24) = 0.7.
  const auto s = error_statistics({11, 16, 30, 80, 25}, {10, 20, 30, 40, 50});
  EXPECT_EQ(s.num_points, 5);
  EXPECT_NEAR(s.mape_frac, 0.36, 1e-12);
  EXPECT_NEAR(s.median_error_frac, 0.2, 1e-12);
  EXPECT_NEAR(s.p90_ratio, 2.0, 1e-12);
  EXPECT_NEAR(s.spearman, 0.7, 1e-12);
}

TEST(ErrorStatistics, TiesShareTheirMeanRank) {
  // Predicted ranks 1.5 1.5 3, measured 1 2 3: correlation 1.5 / sqrt(1.5 * 2) = 0.8660254.
  EXPECT_NEAR(error_statistics({5, 5, 9}, {1, 2, 3}).spearman, 0.8660254037844386, 1e-12);
  EXPECT_EQ(error_statistics({5, 5, 5}, {1, 2, 3}).spearman, 0);
}

TEST(ErrorStatistics, TooFastAndTooSlowCountAlikeInTheRatio) {
  EXPECT_NEAR(error_statistics({20}, {10}).p90_ratio, 2, 1e-12);
  EXPECT_NEAR(error_statistics({5}, {10}).p90_ratio, 2, 1e-12);
}

TEST(ErrorStatistics, NoPointsAreZero) {
  EXPECT_EQ(error_statistics({}, {}).num_points, 0);
  EXPECT_EQ(error_statistics({}, {}).mape_frac, 0);
}

TEST(Quantile, IsLinearBetweenOrderStatistics) {
  EXPECT_NEAR(quantile({4, 1, 3, 2}, 0.5), 2.5, 1e-12);
  EXPECT_NEAR(quantile({4, 1, 3, 2}, 0.9), 3.7, 1e-12);
  EXPECT_EQ(quantile({7}, 0.9), 7);
  EXPECT_EQ(quantile({3, 1}, 1.0), 3);
  EXPECT_EQ(quantile({}, 0.5), 0);
}

}  // namespace
}  // namespace dovetail::silicon
