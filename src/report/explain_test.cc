#include "report/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <fmt/format.h>

#include "report/explain_reasons.h"
#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

using testing::HasSubstr;
using testing::Not;

Json chip_of(const std::string& name, const std::string& format_set, double rows, double sram_mib) {
  return {{"name", name},
          {"node", "n7"},
          {"clock_mhz", 1000},
          {"cores", 1},
          {"vector_lanes", 32},
          {"decoder_values_per_cycle", 256},
          {"sram_mib", sram_mib},
          {"units", {{{"rows", rows}, {"cols", 16}, {"depth", 16}, {"format_set", format_set}}}},
          {"dram", {{"kind", "lpddr5"}, {"channels", 4}}}};
}

Json front_point(const Json& chip, double area_mm2, double latency_ns) {
  return {{"kl_cap_nats", 0.1},
          {"metric", "latency"},
          {"chip", chip},
          {"limits", {{"area_mm2", area_mm2}, {"price_usd", 10}}},
          {"products",
           {{{"name", "chat"},
             {"treatments", {1, 0}},
             {"latency_ns", latency_ns},
             {"groups",
              {{"prefill", "head", 3e6, 1, 1, "compute"},
               {"prefill", "attn_o", 1e6, 1, 1, "dram"},
               {"decode", "head", 9e6, 1, 1, "dram"}}}}}}};
}

// The winner c1 (i5, 8 rows, 4 MiB) takes 100 ms; every reason is set by hand:
// another format set costs 4 % more, another array 10 %, another SRAM both; DRAM never differs.
Json known_record() {
  Json record = page_test_record();
  record["budget"] = {{"max_area_mm2", 20}, {"max_peak_power_w", 5}, {"max_price_usd", 1e9}};
  const Json winner = chip_of("c1", "i5", 8, 4);
  record["front"] = {front_point(winner, 19, 1e8),
                     front_point(chip_of("c2", "i9", 8, 4), 18, 1.04e8),
                     front_point(chip_of("c3", "i5", 4, 2), 12, 1.1e8),
                     front_point(chip_of("c4", "i9", 4, 8), 11, 1.3e8)};
  record["products"][0]["weight"] = 1.0;
  record["menu"] = {{"linear", {"bf16", "int8", "int4_g32"}}, {"kv", {"bf16", "int8"}}};
  record["loss_table"] = {{{"product", "chat"},
                           {"sites", {"layers.0.mlp_down", "layers.1.mlp_down", "head"}},
                           {"loss_nats", {{0, 0.001, 0.05}, {0, 0.002, 0.06}, {0, 0.003, 0.004}}}}};
  Json& scenario = record["scenarios"][0];
  Json& point = scenario["recommendation"];
  point["chip"] = winner;
  point["objective_value"] = 1e8;
  point["gap_frac"] = 0.0005;
  point["limits"] = {{"area_mm2", 19}, {"peak_power_mw", 4900}, {"price_usd", 10}};
  Json& product = point["products"][0];
  product["recipe"] = {{"layers.0.mlp_down", "int8"},     {"layers.1.mlp_down", "int8"},
                       {"layers.0.attn_o", "int4_g32"},   {"layers.1.attn_o", "int4_g32"},
                       {"layers.0.attn_qkv", "int4_g32"}, {"head", "int4_g32"}};
  product["cost"]["ops"] = {
      {{"phase", "prefill"}, {"op", "mlp_down"}, {"latency_ns", 3e6}, {"binding", "compute"}},
      {{"phase", "prefill"}, {"op", "head"}, {"latency_ns", 1e6}, {"binding", "dram"}},
      {{"phase", "decode"}, {"op", "mlp_down"}, {"latency_ns", 4e7}, {"binding", "dram"}},
      {{"phase", "decode"}, {"op", "rope"}, {"latency_ns", 1e7}, {"binding", "vector"}}};
  return record;
}

std::string text_of(const Json& record, const std::string& point) {
  const auto explanation = explain_point(record, point);
  // Wide lines: no break inside a sentence.
  return explanation.has_value() ? explanation_text(*explanation, 100000)
                                 : explanation.error().message;
}

TEST(Explain, SaysWhatBindsByTheTimeOfTheOps) {
  const std::string text = text_of(known_record(), "latency@0.1");
  EXPECT_THAT(
      text,
      HasSubstr("Of the time of prefill 75 % waits for the multipliers, 25 % for DRAM bandwidth."));
  EXPECT_THAT(
      text,
      HasSubstr("Of the time of decode 80 % waits for DRAM bandwidth, 20 % for the vector unit."));
  EXPECT_THAT(text, HasSubstr("fewer bits to read make it faster"));
}

TEST(Explain, NamesTheBestPointOfTheFrontWithAnotherValueOfEachAxis) {
  const std::string text = text_of(known_record(), "latency@0.1");
  EXPECT_THAT(text, HasSubstr("format set i5: the best point of the front with another, front:1, "
                              "costs 4.0 % more (format set i5 -> i9; 18 mm2)"));
  EXPECT_THAT(text, HasSubstr("array 8x16x16: the best point of the front with another, front:2, "
                              "costs 10 % more"));
  EXPECT_THAT(text, HasSubstr("SRAM 4 MiB: the best point of the front with another, front:2, "));
  EXPECT_THAT(text, HasSubstr("DRAM 4 x lpddr5: so has every point of the front"));
}

TEST(Explain, SaysWhereTheFrontIsNoMeasureOfTheAnswer) {
  constexpr const char* kCaveat = "this chip won at measured loss and is not on it";
  Json record = known_record();
  EXPECT_THAT(text_of(record, "latency@0.1"), Not(HasSubstr(kCaveat)));
  record["scenarios"][0]["recommendation"]["chip"]["name"] = "c7";
  EXPECT_THAT(text_of(record, "latency@0.1"), HasSubstr(kCaveat));
}

TEST(Explain, SaysWhatOfTheBudgetIsTaken) {
  const std::string text = text_of(known_record(), "latency@0.1");
  EXPECT_THAT(text, HasSubstr("area 19 of 20 mm2 (95 %), peak power 4.9 of 5 W (98 %)"));
  EXPECT_THAT(text, Not(HasSubstr("1e+09")));  // nobody set that limit
}

TEST(Explain, SitesWithMoreBitsAreWeighedLossAgainstTime) {
  const std::string text = text_of(known_record(), "latency@0.1");
  // mlp_down: 0.05 + 0.06 as int4 against 0.001 + 0.002; its 40 ms of DRAM time are all at 8 bits,
  // 4 would halve them: 20 ms of the 100 ms.
  EXPECT_THAT(text, HasSubstr("most sites take int4_g32"));
  EXPECT_THAT(
      text,
      HasSubstr("mlp_down x2 (layers 0, 1) keep int8: as int4_g32 they would lose 0.1100 nats "
                "instead of 0.0030 and save about 20 ms (20 % of the request)"));
  EXPECT_THAT(text, Not(HasSubstr("head x1 keeps")));
}

TEST(Explain, WorthOfOneMoreUnitIsNamed) {
  const std::string text = text_of(known_record(), "latency@0.1");
  EXPECT_THAT(text, HasSubstr("+1 MiB of shared SRAM would save 2.1 %"));
  EXPECT_THAT(text, HasSubstr("A step of these changes nothing: die area"));
}

TEST(Explain, AlternativesAndHowSure) {
  const std::string text = text_of(known_record(), "latency@0.1");
  EXPECT_THAT(text, HasSubstr("compress first, then build: 4.0 % more (x1.040, band 1.010 to "
                              "1.070; established)"));
  EXPECT_THAT(text, HasSubstr("reaches nothing; no uniform treatment within the cap"));
  EXPECT_THAT(text, HasSubstr("Search: exact over 12 chips; at most 0.05 % from the best"));
  EXPECT_THAT(text, HasSubstr("loss 0.0990 +- 0.0080 nats per token measured"));
  EXPECT_THAT(text, HasSubstr("Another chip wins under 1 of 1 technology constants"));
  EXPECT_THAT(text, HasSubstr("area.shared (0.4 to 1 frac), where this chip costs up to 0.4 %"));
  EXPECT_THAT(text, HasSubstr("tier T1"));
}

TEST(Explain, WhatWasNotMeasuredIsCalledSo) {
  Json record = known_record();
  Json& product = record["scenarios"][0]["recommendation"]["products"][0];
  product.erase("measured_kl_nats");
  product["expected_kl_nats"] = 0.09;
  record["scenarios"][0]["tornado"] = Json::array();
  record["search"]["exact"] = false;
  const std::string text = text_of(record, "latency@0.1");
  EXPECT_THAT(text, HasSubstr("its loss was not measured"));
  EXPECT_THAT(text, HasSubstr("0.0900 nats per token are expected"));
  EXPECT_THAT(text, HasSubstr("could change the winner was not computed"));
  EXPECT_THAT(text, HasSubstr("heuristic, best found among 12"));
}

TEST(Explain, OtherCapsOfTheSameObjectiveAreCompared) {
  Json record = known_record();
  Json looser = record["scenarios"][0];
  looser["kl_cap_nats"] = 0.2;
  looser["recommendation"]["objective_value"] = 0.9e8;
  record["scenarios"].push_back(looser);
  EXPECT_THAT(text_of(record, "latency@0.1"),
              HasSubstr("latency@0.2: a loss of at most 0.2 nats costs 10 % less"));
}

TEST(Explain, APointMayBeNamedInSeveralWays) {
  const Json record = known_record();
  const std::string wanted = text_of(record, "latency@0.1");
  for (const char* name : {"1", "latency 0.1", "latency@0.10", "  latency   0.1 "}) {
    EXPECT_EQ(text_of(record, name), wanted) << name;
  }
  EXPECT_EQ(text_of(record, "front:1"), text_of(record, "c2"));
  EXPECT_EQ(text_of(record, "latency 0.1 recipe_first"),
            text_of(record, "latency@0.1/recipe_first"));
  EXPECT_NE(text_of(record, "front:1"), wanted);
}

TEST(Explain, APointOfTheFrontIsComparedWithTheRecommendation) {
  const std::string text = text_of(known_record(), "front:1");
  EXPECT_THAT(text, HasSubstr("latency@0.1: 4.0 % more than the recommendation"));
  EXPECT_THAT(text, HasSubstr("format set i5 -> i9"));
  EXPECT_THAT(text, HasSubstr("Of the time of decode 100 % waits for DRAM bandwidth."));
}

TEST(Explain, ABaselineSaysWhatWasDecidedFirst) {
  EXPECT_THAT(text_of(known_record(), "latency@0.1/recipe_first"),
              HasSubstr("What was decided first: recipe of a."));
  EXPECT_THAT(text_of(known_record(), "latency@0.1/best_uniform"),
              HasSubstr("no uniform treatment within the cap"));
}

TEST(Explain, AnInfeasibleScenarioSaysWhy) {
  EXPECT_THAT(text_of(known_record(), "energy@0.1"), HasSubstr("area rejected 12 chips"));
}

TEST(Explain, ErrorsNameTheNearestAndWhatThereIs) {
  for (const char* wrong : {"latenzy@0.1", "latency@0.2", "front:4", "9", "", "latency"}) {
    const auto explanation = explain_point(known_record(), wrong);
    ASSERT_FALSE(explanation.has_value()) << wrong;
    EXPECT_EQ(explanation.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(explanation.error().message,
                HasSubstr(fmt::format("point \"{}\" is not in this study, want one of latency@0.1, "
                                      "energy@0.1, front:0 .. front:3",
                                      wrong)));
  }
  EXPECT_THAT(explain_point(known_record(), "latenzy@0.1").error().message,
              HasSubstr("did you mean latency@0.1?"));
  EXPECT_FALSE(explain_point(Json::object(), "1").has_value());
}

TEST(Explain, EveryListedPointCanBeExplained) {
  const Json record = known_record();
  const auto points = explainable_points(record);
  EXPECT_EQ(points.size(), 2 + 2 + 4u);  // scenarios, baselines, front
  for (const PointName& point : points) {
    EXPECT_TRUE(explain_point(record, point.name).has_value()) << point.name;
  }
}

TEST(Explain, LinesOfTheTerminalAreBrokenBetweenWords) {
  const auto explanation = explain_point(known_record(), "1");
  ASSERT_TRUE(explanation.has_value());
  const std::string text = explanation_text(*explanation, 60);
  for (size_t begin = text.find('\n'); begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    EXPECT_LE(end - begin, 60u) << text.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(ExplainReasons, ChangesInWords) {
  EXPECT_EQ(change_words(1.0001), "the same");
  EXPECT_EQ(change_words(1.042), "4.2 % more");
  EXPECT_EQ(change_words(0.9), "10 % less");
  EXPECT_EQ(change_words(3), "3.0 times as much");
}

}  // namespace
}  // namespace dovetail::report
