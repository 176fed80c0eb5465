#include "study/loss_budget.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::study {
namespace {

// One product, two sites, two answers; slope -0.2 a nat with a known error.
Json record_of() {
  const auto product = [](const char* weights, double kl) {
    return Json{{"name", "chat"},
                {"rotation", "none"},
                {"recipe", {{"layer0.mlp_down", weights}, {"head", "int8"}}},
                {"predicted_kl_nats", kl}};
  };
  const auto scenario = [&](double cap, const char* weights, double kl) {
    return Json{{"objective", "latency"},
                {"kl_cap_nats", cap},
                {"feasible", true},
                {"baselines", Json::array()},
                {"recommendation",
                 {{"chip", Json::object()}, {"products", Json::array({product(weights, kl)})}}}};
  };
  const auto judged = [](double kl, const char* decision, double margin) {
    return Json{{"targets", Json::array({{{"target", 0},
                                          {"decision", decision},
                                          {"certified_kl_nats", kl},
                                          {"verdict", {{"margin_frac", margin}}}}})}};
  };
  return Json{
      {"schema_version", 2},
      {"name", "s"},
      {"products", Json::array({{{"name", "chat"}}})},
      {"menu", {{"linear", {"bf16", "int8", "int4_g32"}}, {"kv", {"bf16"}}}},
      {"loss_table", Json::array({{{"product", "chat"},
                                   {"rotation", "none"},
                                   {"sites", {"layer0.mlp_down", "head"}},
                                   {"loss_nats", {{0.0, 0.01, 0.06}, {0.0, 0.02, 0.3}}}}})},
      {"budget", Json::object()},
      {"front", Json::array()},
      {"scenarios", Json::array({scenario(0.05, "int8", 0.03), scenario(0.1, "int4_g32", 0.08)})},
      {"accuracy",
       {{"targets", Json::array({{{"benchmark", "mmlu"},
                                  {"product", "chat"},
                                  {"verdict", "population"},
                                  {"margin_frac", 0.03},
                                  {"floor_frac", 0.0},
                                  {"baseline", {{"score_frac", 0.4}}},
                                  {"map",
                                   {{"slope_frac_per_nat", -0.2},
                                    {"stderr_frac_per_nat", 0.05},
                                    {"misfit", 1.0},
                                    {"num_points", 2},
                                    {"largest_kl_nats", 0.08}}}}})},
        {"answers", Json::array({judged(0.04, "pass", 0.03), judged(0.09, "undecided", 0.03)})}}}};
}

TEST(LossBudget, IsWhereTheLowerBandMeetsTheMargin) {
  const auto budgets = loss_budgets(record_of(), {});
  ASSERT_TRUE(budgets.has_value()) << budgets.error().message;
  const Json& budget = budgets->at(0);
  const double wanted = 0.03 / (0.2 + 1.6448536269514722 * 0.05);
  EXPECT_NEAR(budget.at("mapped_kl_nats").get<double>(), wanted, 1e-9);
  EXPECT_DOUBLE_EQ(budget.at("proven_kl_nats").get<double>(), 0.04);
  EXPECT_EQ(budget.at("kl_nats"), budget.at("mapped_kl_nats"));
  // Of the answer at 0.08 nats, nearest to 0.106: 0.06 and 0.02.
  ASSERT_EQ(budget.at("sites").size(), 2U);
  EXPECT_NEAR(budget.at("sites")[0].at("share_frac").get<double>(), 0.75, 1e-12);
  EXPECT_NEAR(budget.at("sites")[1].at("budget_nats").get<double>(), 0.25 * wanted, 1e-12);
}

TEST(LossBudget, WithoutABoundWhatPassedIsTheBudget) {
  Json record = record_of();
  record["accuracy"]["targets"][0]["map"]["slope_frac_per_nat"] = 0.5;
  const auto budgets = loss_budgets(record, {});
  ASSERT_TRUE(budgets.has_value());
  EXPECT_TRUE(budgets->at(0).at("mapped_kl_nats").is_null());
  EXPECT_DOUBLE_EQ(budgets->at(0).at("kl_nats").get<double>(), 0.04);
  // The share of the answer at 0.03 nats, nearest to 0.04.
  EXPECT_NEAR(budgets->at(0).at("sites")[0].at("share_frac").get<double>(), 1.0 / 3, 1e-12);
}

TEST(LossBudget, AnotherMarginIsProvenOnlyByVerdictsAtMostThatWide) {
  const auto wider = loss_budgets(record_of(), {.margin_frac = 0.035});
  ASSERT_TRUE(wider.has_value());
  EXPECT_DOUBLE_EQ(wider->at(0).at("proven_kl_nats").get<double>(), 0.04);
  const auto narrower = loss_budgets(record_of(), {.margin_frac = 0.02});
  EXPECT_TRUE(narrower->at(0).at("proven_kl_nats").is_null());
  EXPECT_LT(narrower->at(0).at("mapped_kl_nats").get<double>(),
            wider->at(0).at("mapped_kl_nats").get<double>());
}

TEST(LossBudget, AFloorLeavesWhatTheReleasedModelScoresAboveIt) {
  Json record = record_of();
  record["accuracy"]["targets"][0]["floor_frac"] = 0.38;
  EXPECT_NEAR(loss_budgets(record, {})->at(0).at("margin_frac").get<double>(), 0.02, 1e-12);
  record["accuracy"]["targets"][0]["floor_frac"] = 0.5;
  const auto none = loss_budgets(record, {});
  EXPECT_EQ(none->at(0).at("why_not"), "the released model itself does not reach the floor");
  EXPECT_TRUE(none->at(0).at("kl_nats").is_null());
}

TEST(LossBudget, WhatIsNotThereIsSaid) {
  Json without = record_of();
  without.erase("accuracy");
  EXPECT_NE(loss_budgets(without, {}).error().message.find("[[accuracy]]"), std::string::npos);
  EXPECT_FALSE(loss_budgets(record_of(), {.benchmark = "gsm8k"}).has_value());
  EXPECT_FALSE(loss_budgets(record_of(), {.margin_frac = 0.0}).has_value());
  EXPECT_FALSE(loss_budgets(record_of(), {.confidence_frac = 1.0}).has_value());
  Json unasked = record_of();
  unasked["accuracy"]["targets"][0]["why_not"] = "no such file";
  EXPECT_EQ(loss_budgets(unasked, {})->at(0).at("why_not"), "no such file");
  Json damaged = record_of();
  damaged["accuracy"]["targets"][0]["map"] = 7;
  EXPECT_FALSE(loss_budgets(damaged, {}).has_value());
}

}  // namespace
}  // namespace dovetail::study
