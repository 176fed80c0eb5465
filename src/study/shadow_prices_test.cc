#include "study/shadow_prices.h"

#include <algorithm>

#include "study/explanation_fixture.h"

namespace dovetail::study {
namespace {

using ShadowPricesTest = ExplanationTest;

TEST_P(ShadowPricesTest, BudgetRowsAreTheBestOfAllChipsUnderTheMovedLimit) {
  const auto rows = shadow_prices_to_json(state_, answer_, {});
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  const double base = answer_.joint.settled.candidate.objective;
  int num_binding = 0;
  for (const Json& row : *rows) {
    if (row.at("resource") != "die area") continue;
    search::Budget moved = state_.config.budget;
    moved.max_area_mm2 += row.at("step").get<double>();
    const double want = best_chip(state_.technology, moved).objective / base - 1.0;
    EXPECT_NEAR(row.at("objective_change_frac").get<double>(), want, kTolerance);
    num_binding += row.at("binding").get<bool>() ? 1 : 0;
  }
  EXPECT_GE(num_binding, 1);  // a tenth more area brings the chip back that was just too large
}

TEST_P(ShadowPricesTest, ChipRowsNameTheLimitThatTheChangedChipBreaks) {
  // Not a millimetre left, so one more MiB cannot fit.
  state_.config.budget.max_area_mm2 = answer_.joint.settled.candidate.limits.area_mm2;
  const auto rows = shadow_prices_to_json(state_, answer_, {});
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  const auto sram = std::ranges::find_if(
      *rows, [](const Json& row) { return row.at("resource") == "shared SRAM"; });
  ASSERT_NE(sram, rows->end());
  EXPECT_FALSE(sram->at("feasible").get<bool>());
  EXPECT_EQ(sram->at("broken_limit"), "area");
  EXPECT_FALSE(sram->at("binding").get<bool>());
}

TEST_P(ShadowPricesTest, BandwidthIsWorthSomethingWhereDramBinds) {
  const auto rows = shadow_prices_to_json(state_, answer_, {});
  ASSERT_TRUE(rows.has_value());
  const auto dram = std::ranges::find_if(
      *rows, [](const Json& row) { return row.at("resource") == "DRAM bandwidth"; });
  ASSERT_NE(dram, rows->end());
  EXPECT_LT(dram->at("objective_change_frac").get<double>(), 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ShadowPricesTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace dovetail::study
