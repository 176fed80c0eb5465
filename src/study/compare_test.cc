#include "study/compare.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::study {
namespace {

TEST(Compare, ExactLossesLeaveNoBand) {
  const Ratio ratio =
      compare({.objective = 100, .kl_nats = 0.1, .certified_kl_nats = 0.12},
              {.objective = 110, .kl_nats = 0.1, .certified_kl_nats = 0.12}, 0.2, 0);
  EXPECT_DOUBLE_EQ(ratio.value, 1.1);
  EXPECT_NEAR(ratio.low, 1.1, 1e-12);
  EXPECT_NEAR(ratio.high, 1.1, 1e-12);
  EXPECT_EQ(ratio.verdict, "established");
}

TEST(Compare, AMarginInsideItsBandIsNotEstablished) {
  const Ratio ratio =
      compare({.objective = 100, .kl_nats = 0.1, .window_kl_nats = {0.08, 0.12}},
              {.objective = 102, .kl_nats = 0.1, .window_kl_nats = {0.12, 0.08}}, 0.2, 0);
  // Relative differences +0.4 and -0.4: standard error sqrt(0.32 / 1 / 2) = 0.4; 2 * 0.2 * 0.4.
  EXPECT_NEAR(std::log(ratio.high / ratio.value), 0.16, 1e-12);
  EXPECT_LT(ratio.low, 1.0);
  EXPECT_EQ(ratio.verdict, "not established");
}

TEST(Compare, WhatBothSidesShareCancels) {
  // Both sides find the second sequence twice as hard: that says nothing about which is cheaper.
  const Ratio ratio =
      compare({.objective = 100, .kl_nats = 0.15, .window_kl_nats = {0.1, 0.2}},
              {.objective = 102, .kl_nats = 0.15, .window_kl_nats = {0.1, 0.2}}, 0.2, 0);
  EXPECT_NEAR(ratio.low, 1.02, 1e-12);
  EXPECT_EQ(ratio.verdict, "established");
}

TEST(Compare, MoreLossOnTheThirdTextCountsAgainstTheSide) {
  // The joint side drifts to 1.5 times its selection loss, the baseline stays.
  const Ratio ratio =
      compare({.objective = 100, .kl_nats = 0.1, .certified_kl_nats = 0.15},
              {.objective = 110, .kl_nats = 0.1, .certified_kl_nats = 0.10}, 0.2, 0);
  EXPECT_NEAR(ratio.low, 1.1 * std::pow(1.5, -0.2), 1e-12);
  EXPECT_NEAR(ratio.high, 1.1, 1e-12);
}

}  // namespace
}  // namespace dovetail::study
