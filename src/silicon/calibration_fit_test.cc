#include "silicon/calibration_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "base/random.h"

namespace dovetail::silicon {
namespace {

const std::vector<FitParameter> kParameters = {
    {.name = "base", .unit = "s", .mechanism = "start", .start = 1, .low = 0, .high = 100},
    {.name = "rate", .unit = "s", .mechanism = "per item", .start = 1, .low = 0, .high = 10},
    {.name = "wall", .unit = "s", .mechanism = "floor", .start = 5, .low = 0, .high = 200}};

// Known answer: t = max(wall, base + rate * i).
double planted(int64_t i, const std::vector<double>& x) {
  return std::max(x[2], x[0] + x[1] * static_cast<double>(i + 1));
}

std::vector<int64_t> all_of(const std::vector<double>& values) {
  std::vector<int64_t> points(values.size());
  std::iota(points.begin(), points.end(), int64_t{0});
  return points;
}

std::vector<double> measure(const std::vector<double>& truth, int64_t count) {
  std::vector<double> measured;
  for (int64_t i = 0; i < count; ++i) measured.push_back(planted(i, truth));
  return measured;
}

TEST(FitParameters, RecoversPlantedParameters) {
  const auto measured = measure({7, 0.5, 20}, 100);
  const FitResult fit = fit_parameters(kParameters, planted, measured, all_of(measured), {});
  EXPECT_NEAR(fit.values[0], 7, 1e-3);
  EXPECT_NEAR(fit.values[1], 0.5, 1e-4);
  EXPECT_NEAR(fit.values[2], 20, 1e-3);
  EXPECT_LT(fit.loss, 1e-8);
}

TEST(FitParameters, AnOutlierPullsLittleAndTheErrorBarCoversTheTruth) {
  auto measured = measure({7, 0.5, 20}, 100);
  Random random(3);
  for (double& m : measured) m *= 1 + 0.04 * (random.uniform() - 0.5);
  measured[60] *= 5;
  const FitResult fit = fit_parameters(kParameters, planted, measured, all_of(measured), {});
  EXPECT_NEAR(fit.values[1], 0.5, 0.02);
  EXPECT_NEAR(fit.values[2], 20, 0.3);
  for (size_t j = 0; j < 3; ++j) EXPECT_GT(fit.standard_errors[j], 0) << j;
  EXPECT_LT(std::abs(fit.values[1] - 0.5), 4 * fit.standard_errors[1]);
}

TEST(FitParameters, AParameterAtItsBoundSaysSo) {
  auto parameters = kParameters;
  parameters[1].high = 0.3;  // the truth lies outside
  parameters[1].start = 0.2;
  const auto measured = measure({7, 0.5, 20}, 100);
  const FitResult fit = fit_parameters(parameters, planted, measured, all_of(measured), {});
  EXPECT_TRUE(fit.at_bound[1]);
  EXPECT_EQ(fit.values[1], 0.3);
  EXPECT_FALSE(fit.at_bound[2]);
}

TEST(FitParameters, TheSameSeedGivesTheSameResult) {
  const auto measured = measure({9, 0.7, 25}, 50);
  const auto once = fit_parameters(kParameters, planted, measured, all_of(measured), {.seed = 5});
  const auto again = fit_parameters(kParameters, planted, measured, all_of(measured), {.seed = 5});
  EXPECT_EQ(once.values, again.values);
}

TEST(GroupFolds, KeepAGroupOnOneSideAndTestEveryPointOnce) {
  std::vector<std::string> groups;
  for (int i = 0; i < 40; ++i) groups.push_back("layer" + std::to_string(i % 13));
  const auto folds = group_folds(groups, 5, 1);
  ASSERT_EQ(folds.size(), 5U);
  std::vector<int> tested(groups.size(), 0);
  for (const Fold& fold : folds) {
    EXPECT_EQ(fold.test.size() + fold.train.size(), groups.size());
    std::set<std::string> inside;
    for (const int64_t i : fold.test) {
      ++tested[static_cast<size_t>(i)];
      inside.insert(groups[static_cast<size_t>(i)]);
    }
    for (const int64_t i : fold.train)
      EXPECT_FALSE(inside.contains(groups[static_cast<size_t>(i)]));
  }
  for (const int count : tested) EXPECT_EQ(count, 1);
  EXPECT_EQ(group_folds({"a", "a", "b"}, 9, 1).size(), 2U);
}

TEST(CrossValidate, PredictsEachPointWithoutHavingSeenIt) {
  // One point is wrong by a factor of three. A fit that saw it could follow a little; the fold that
  // tests it must still predict the line.
  auto measured = measure({7, 0.5, 20}, 60);
  const double truth = measured[50];
  measured[50] *= 3;
  std::vector<std::string> groups;
  for (size_t i = 0; i < measured.size(); ++i) groups.push_back(std::to_string(i));
  const auto folds = group_folds(groups, 60, 1);
  const auto cv = cross_validate(kParameters, planted, measured, folds, {});
  EXPECT_NEAR(cv.predicted[50], truth, 1e-3 * truth);
  ASSERT_EQ(cv.by_fold.size(), 60U);
  for (const double p : cv.predicted) EXPECT_GT(p, 0);
}

}  // namespace
}  // namespace dovetail::silicon
