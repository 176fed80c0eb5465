#include "study/settle.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::study {
namespace {

// A side whose cost falls with the allowed loss and whose measured loss is `bias` times predicted.
Side smooth_side() {
  return [](double cap) -> Result<std::optional<search::Candidate>> {
    search::Candidate candidate;
    candidate.objective = 100.0 * std::pow(cap, -0.2);
    candidate.metric = cap;
    return std::optional<search::Candidate>(candidate);
  };
}
Measure biased(double bias) {
  return [bias](const search::Candidate& candidate) -> Result<std::vector<MeasuredLoss>> {
    return std::vector<MeasuredLoss>{{.kl_nats = bias * candidate.metric, .measured = true}};
  };
}

TEST(Settle, EndsJustInsideTheCapWhateverTheBias) {
  for (const double bias : {0.4, 0.9, 1.0, 1.7, 3.0}) {
    const auto settled = settle(smooth_side(), biased(bias), 0.1, {.confirmations = 4});
    ASSERT_TRUE(settled.has_value());
    ASSERT_TRUE(settled->feasible) << bias;
    EXPECT_LE(settled->losses[0].kl_nats, 0.1);
    EXPECT_GE(settled->losses[0].kl_nats, 0.095) << bias;
  }
}

TEST(Settle, AStepwiseSideKeepsItsBestPointWithin) {
  // Only three uniform treatments exist: loss 0.02, 0.08, 0.3 (measured twice the prediction).
  const Side side = [](double cap) -> Result<std::optional<search::Candidate>> {
    search::Candidate candidate;
    candidate.metric = cap >= 0.3 ? 0.3 : cap >= 0.08 ? 0.08 : 0.02;
    candidate.objective = 1.0 / candidate.metric;
    if (cap < 0.02) return std::optional<search::Candidate>();
    return std::optional<search::Candidate>(candidate);
  };
  const auto settled = settle(side, biased(2.0), 0.1, {.confirmations = 4});
  ASSERT_TRUE(settled.has_value() && settled->feasible);
  EXPECT_DOUBLE_EQ(settled->candidate.metric, 0.02);
}

TEST(Settle, ASideThatNeverFitsIsNotFeasible) {
  const Measure always_too_much =
      [](const search::Candidate&) -> Result<std::vector<MeasuredLoss>> {
    return std::vector<MeasuredLoss>{{.kl_nats = 9.0}};
  };
  const auto settled = settle(smooth_side(), always_too_much, 0.1, {.confirmations = 5});
  ASSERT_TRUE(settled.has_value());
  EXPECT_FALSE(settled->feasible);
  EXPECT_EQ(settled->steps.size(), 5U);
}

TEST(Settle, SameNumberOfMeasurementsAtMost) {
  const auto settled = settle(smooth_side(), biased(2.5), 0.1, {.confirmations = 2});
  EXPECT_LE(settled->steps.size(), 2U);
}

}  // namespace
}  // namespace dovetail::study
