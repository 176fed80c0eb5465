#include "eval/floor_verdict.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::eval {
namespace {

// Chance of `wanted` or another decision at a true score, summed over every number of right ones.
double chance_of(Decision wanted, int64_t questions, double truth, const FloorParams& params) {
  double chance = 0;
  double log_choose = 0;
  for (int64_t right = 0; right <= questions; ++right) {
    if (right > 0) {
      log_choose += std::log(static_cast<double>(questions - right + 1)) -
                    std::log(static_cast<double>(right));
    }
    const auto verdict = floor_verdict(right, questions, params);
    if (verdict->decision != wanted) continue;
    chance += std::exp(log_choose + static_cast<double>(right) * std::log(truth) +
                       static_cast<double>(questions - right) * std::log1p(-truth));
  }
  return chance;
}

TEST(FloorVerdict, ErrorsOfAPopulationAreAtMostAlpha) {
  for (const int64_t questions : {10, 50, 164, 400}) {
    for (const double floor : {0.1, 0.35, 0.8}) {
      const FloorParams params{.floor_frac = floor};
      EXPECT_LE(chance_of(Decision::kPass, questions, floor - 1e-9, params), 0.05);
      EXPECT_LE(chance_of(Decision::kFail, questions, floor, params), 0.05);
    }
  }
  EXPECT_GT(chance_of(Decision::kPass, 400, 0.45, {.floor_frac = 0.35}), 0.9);
  EXPECT_GT(chance_of(Decision::kFail, 400, 0.25, {.floor_frac = 0.35}), 0.9);
}

TEST(FloorVerdict, ABenchmarkIsCounted) {
  const auto decision = [](int64_t right, int64_t asked) {
    return floor_verdict(
               right, asked,
               {.kind = VerdictKind::kBenchmark, .floor_frac = 0.3, .benchmark_questions = 10})
        ->decision;
  };
  EXPECT_EQ(decision(3, 10), Decision::kPass);
  EXPECT_EQ(decision(2, 10), Decision::kFail);
  EXPECT_EQ(decision(3, 4), Decision::kPass);
  EXPECT_EQ(decision(2, 9), Decision::kUndecided);
  EXPECT_EQ(decision(1, 9), Decision::kFail);
}

TEST(FloorVerdict, WhatCannotBeIsRefused) {
  EXPECT_FALSE(floor_verdict(0, 0, {.floor_frac = 0.5}).has_value());
  EXPECT_FALSE(floor_verdict(4, 3, {.floor_frac = 0.5}).has_value());
  EXPECT_FALSE(floor_verdict(1, 3, {.floor_frac = 0}).has_value());
  EXPECT_FALSE(floor_verdict(1, 3, {.floor_frac = 0.5, .alpha = 0.5}).has_value());
  EXPECT_FALSE(
      floor_verdict(1, 3,
                    {.kind = VerdictKind::kBenchmark, .floor_frac = 0.5, .benchmark_questions = 2})
          .has_value());
}

}  // namespace
}  // namespace dovetail::eval
