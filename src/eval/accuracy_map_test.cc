#include "eval/accuracy_map.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

TEST(AccuracyMap, FindsTheLineThatPointsLieOn) {
  const auto map = fit_accuracy_map({{0.1, -0.02, 0.01}, {0.2, -0.04, 0.01}, {0.4, -0.08, 0.02}});
  ASSERT_TRUE(map.has_value());
  EXPECT_NEAR(map->slope_frac_per_nat, -0.2, 1e-12);
  EXPECT_DOUBLE_EQ(map->misfit, 1);
  EXPECT_DOUBLE_EQ(map->largest_kl_nats, 0.4);
  const double weight = 0.01 / 1e-4 + 0.04 / 1e-4 + 0.16 / 4e-4;
  EXPECT_NEAR(map->stderr_frac_per_nat, 1 / std::sqrt(weight), 1e-12);
  const AccuracyBand band = predict_accuracy(*map, 0.3);
  EXPECT_NEAR(band.difference_frac, -0.06, 1e-12);
  EXPECT_NEAR(band.upper_frac - band.lower_frac, 2 * 1.6448536 * 0.3 / std::sqrt(weight), 1e-6);
}

// The band holds the truth as often as it says, with few and with many points.
TEST(AccuracyMap, LowerBandIsBelowTheTruthAsOftenAsPromised) {
  constexpr double kSlope = -0.15;
  constexpr int kStudies = 4000;
  for (const int num_points : {1, 3, 8}) {
    Random random(11);
    int above = 0;
    for (int study = 0; study < kStudies; ++study) {
      std::vector<AccuracyPoint> points;
      for (int i = 0; i < num_points; ++i) {
        const double kl = 0.05 * (i + 1);
        points.push_back(
            {kl, kSlope * kl + 0.01 * normal_quantile(random.uniform() + 1e-16), 0.01});
      }
      above += predict_accuracy(*fit_accuracy_map(points), 0.2).lower_frac > kSlope * 0.2 ? 1 : 0;
    }
    EXPECT_LE(above, kStudies * 0.05 + 3 * std::sqrt(kStudies * 0.05 * 0.95)) << num_points;
  }
}

TEST(AccuracyMap, PointsThatMissTheLineWidenTheBand) {
  const auto near = fit_accuracy_map({{0.1, -0.02, 0.01}, {0.2, -0.04, 0.01}});
  const auto far = fit_accuracy_map({{0.1, -0.08, 0.01}, {0.2, 0.02, 0.01}});
  EXPECT_GT(far->misfit, 10);
  EXPECT_GT(far->stderr_frac_per_nat, 3 * near->stderr_frac_per_nat);
}

TEST(AccuracyMap, TheLargestKlMeetsTheMarginAndOneBeyondItDoesNot) {
  const auto map = fit_accuracy_map({{0.1, -0.02, 0.005}, {0.3, -0.06, 0.005}});
  const auto most = largest_kl(*map, 0.03);
  ASSERT_TRUE(most.has_value());
  EXPECT_NEAR(predict_accuracy(*map, *most).lower_frac, -0.03, 1e-12);
  EXPECT_LT(predict_accuracy(*map, *most * 1.01).lower_frac, -0.03);
  EXPECT_FALSE(largest_kl(*map, 0.5).has_value()) << "far beyond the points";
  EXPECT_FALSE(largest_kl(*fit_accuracy_map({{0.1, 0.1, 0.001}}), 0.03).has_value());
}

TEST(AccuracyMap, SurvivesItsJson) {
  const auto map = fit_accuracy_map({{0.1, -0.02, 0.005}, {0.3, -0.01, 0.005}});
  const auto again = accuracy_map_from_json(accuracy_map_to_json(*map));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->slope_frac_per_nat, map->slope_frac_per_nat);
  EXPECT_EQ(again->misfit, map->misfit);
  EXPECT_FALSE(accuracy_map_from_json(Json::object()).has_value());
  EXPECT_FALSE(fit_accuracy_map({}).has_value());
  EXPECT_FALSE(fit_accuracy_map({{0, 0.1, 0.1}}).has_value());
  EXPECT_FALSE(fit_accuracy_map({{0.1, 0.1, 0}}).has_value());
}

}  // namespace
}  // namespace dovetail::eval
