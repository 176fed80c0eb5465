#include "formats/codebook.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace dovetail::formats {
namespace {

WeightFormat weight(std::string_view name) {
  return parse_weight_format(name).value();
}

// Oracle: the quantile by bisection of the error function.
double normal_quantile(double p) {
  double low = -10;
  double high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return low;
}

TEST(NormalLevels, AreQuantilesOfTheNormalDistribution) {
  for (const int64_t bits : {3, 4}) {
    const double count = std::exp2(bits);
    const double offset = (1 - 1 / (2 * count) + 1 - 1 / (2 * (count - 1))) / 2;
    const auto half = static_cast<int>(count / 2);
    std::vector<double> levels = {0};
    for (int i = 0; i < half; ++i)
      levels.push_back(normal_quantile(offset + (.5 - offset) * i / half));
    for (int i = 0; i < half - 1; ++i)
      levels.push_back(-normal_quantile(offset + (.5 - offset) * i / (half - 1)));
    std::ranges::sort(levels);
    const double largest = levels.back();
    ASSERT_EQ(normal_levels(bits).size(), levels.size());
    for (size_t i = 0; i < levels.size(); ++i)
      EXPECT_EQ(normal_levels(bits)[i], std::lround(127 * levels[i] / largest)) << i;
  }
}

double error_under(const Levels& levels, const std::vector<float>& w, int64_t group) {
  double total = 0;
  for (size_t begin = 0; begin < w.size(); begin += static_cast<size_t>(group)) {
    double absmax = 0;
    for (size_t i = begin; i < begin + static_cast<size_t>(group); ++i)
      absmax = std::max<double>(absmax, std::fabs(w[i]));
    for (size_t i = begin; i < begin + static_cast<size_t>(group); ++i) {
      double nearest = std::numeric_limits<double>::infinity();
      for (const int8_t level : levels)
        nearest = std::min(nearest, std::fabs(static_cast<double>(w[i]) - level * absmax / 127));
      total += nearest * nearest;
    }
  }
  return total;
}

TEST(FitLevels, BeatTheNormalOnesAndCannotBeMovedToABetterPlace) {
  Random random(1);
  std::vector<float> w;
  for (int i = 0; i < 64 * 256; ++i) {
    const double sign = random.below(2) == 0 ? 1 : -1;
    w.push_back(static_cast<float>(sign * std::log(1 - random.uniform())));  // Laplace
  }
  for (const char* name : {"lut3_g64", "lut4_g64"}) {
    const WeightFormat format = weight(name);
    const Levels fitted = fit_levels(format, 64, 256, w.data());
    ASSERT_EQ(fitted.size(), size_t{1} << format.bits);
    EXPECT_TRUE(std::ranges::is_sorted(fitted));
    EXPECT_TRUE(std::ranges::adjacent_find(fitted) == fitted.end());
    EXPECT_TRUE(std::ranges::find(fitted, 0) != fitted.end());
    const double error = error_under(fitted, w, 64);
    EXPECT_LT(error, error_under(normal_levels(format.bits), w, 64)) << name;
    for (size_t i = 0; i < fitted.size(); ++i)
      for (const int step : {-4, 4}) {
        Levels moved = fitted;
        if (fitted[i] == 0 || std::abs(fitted[i] + step) > 127) continue;
        moved[i] = static_cast<int8_t>(moved[i] + step);
        EXPECT_GT(error_under(moved, w, 64), .999 * error) << name << " level " << i;
      }
  }
}

TEST(FitLevels, ZerosAndOneValueGiveDistinctLevels) {
  const std::vector<float> zeros(64, 0.0F);
  const std::vector<float> ones(64, 1.0F);
  for (const auto& w : {zeros, ones}) {
    const Levels fitted = fit_levels(weight("lut4_g16"), 1, 64, w.data());
    EXPECT_TRUE(std::ranges::is_sorted(fitted));
    EXPECT_TRUE(std::ranges::adjacent_find(fitted) == fitted.end());
  }
}

TEST(LevelThresholds, PutTiesWhereTheRuleSays) {
  const Levels levels = {-10, 0, 4, 20};
  const auto code = [&](float x, Ties ties) {
    const auto thresholds = level_thresholds(levels, ties);
    return std::ranges::count_if(thresholds, [&](float t) { return x >= t; });
  };
  // Half way between -10 and 0, 0 and 4, 4 and 20.
  EXPECT_EQ(code(-5, Ties::kEven), 0);
  EXPECT_EQ(code(2, Ties::kEven), 2);
  EXPECT_EQ(code(12, Ties::kEven), 2);
  EXPECT_EQ(code(-5, Ties::kAway), 0);
  EXPECT_EQ(code(2, Ties::kAway), 2);
  EXPECT_EQ(code(12, Ties::kAway), 3);
  EXPECT_EQ(code(-5, Ties::kZero), 1);
  EXPECT_EQ(code(2, Ties::kZero), 1);
  EXPECT_EQ(code(12, Ties::kZero), 2);
  EXPECT_EQ(code(std::nextafter(2.0F, 0.0F), Ties::kAway), 1);
  EXPECT_EQ(code(std::nextafter(12.0F, 20.0F), Ties::kZero), 3);
}

}  // namespace
}  // namespace dovetail::formats
