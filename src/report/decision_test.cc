#include "report/decision.h"

#include <cctype>

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(Decide, FiveSentencesFromTheNumbers) {
  const std::vector<Sentence> decision = decide(page_test_record());
  ASSERT_EQ(decision.size(), 5U);
  EXPECT_NE(decision[0].text.find(
                "the best of 12 chips, searched exactly to within 0.05 % of the optimum"),
            std::string::npos)
      << decision[0].text;
  EXPECT_NE(decision[1].text.find("\"compress first, then build\", costs 4 % more (×1.040, band "
                                  "1.010 to 1.070)"),
            std::string::npos)
      << decision[1].text;
  EXPECT_EQ(decision[1].standing, "model");
  EXPECT_NE(decision[2].text.find("chat loses 0.0990 ± 0.0080 nats per token (0.1100 on a third"),
            std::string::npos)
      << decision[2].text;
  EXPECT_NE(decision[3].text.find("67 % of the decode time waits for DRAM bandwidth"),
            std::string::npos)
      << decision[3].text;
  EXPECT_NE(decision[3].text.find("+1 MiB of shared SRAM, which lowers request latency by 2.1 %"),
            std::string::npos)
      << decision[3].text;
  EXPECT_NE(decision[4].text.find("1 of 1 technology constants"), std::string::npos);
  EXPECT_NE(decision[4].text.find("0.4 % more"), std::string::npos) << decision[4].text;
  for (const Sentence& sentence : decision) {
    EXPECT_EQ(sentence.text.find(". "), std::string::npos) << "two sentences: " << sentence.text;
    EXPECT_TRUE(sentence.text.ends_with(".")) << sentence.text;
    EXPECT_FALSE(std::islower(static_cast<unsigned char>(sentence.text[0]))) << sentence.text;
  }
}

TEST(Decide, SaysHowTheSearchWasDone) {
  Json record = page_test_record();
  record["search"] = {{"exact", false},
                      {"num_chips", 300000},
                      {"evaluations", 12000},
                      {"method", "nsga2"},
                      {"bound_gap_frac", 0.043}};
  const Sentence heuristic = decide(record)[0];
  EXPECT_EQ(heuristic.standing, "partly");
  EXPECT_NE(heuristic.text.find("the best of 12,000 evaluated among 300,000 chips (NSGA-II), at "
                                "most 4.3 % above the bound"),
            std::string::npos)
      << heuristic.text;
  record["search"] = Json::object();
  EXPECT_NE(decide(record)[0].text.find("keep the given chip in 7 nm"), std::string::npos);
}

TEST(Decide, AWinnerThatWouldNotFitAnyMoreIsSaid) {
  Json record = page_test_record();
  Json& row = record["scenarios"][0]["tornado"][0];
  row["winner_fits_high"] = false;
  row["regret_high_frac"] = nullptr;
  const Sentence overturned = decide(record)[4];
  EXPECT_EQ(overturned.standing, "open");
  EXPECT_NE(overturned.text.find("under 1 it would not meet the limits any more"),
            std::string::npos)
      << overturned.text;
}

TEST(Decide, ABandThatHoldsOneIsNotEstablished) {
  Json record = page_test_record();
  Json& baseline = record["scenarios"][0]["baselines"][0];
  baseline["verdict"] = "not established";
  baseline["ratio_low"] = 0.99;
  const std::vector<Sentence> decision = decide(record);
  EXPECT_EQ(decision[1].standing, "open");
  EXPECT_NE(decision[1].text.find("is not established"), std::string::npos);
  baseline["verdict"] = "same point";
  EXPECT_NE(decide(record)[1].text.find("gains nothing here"), std::string::npos);
  record["scenarios"][0]["baselines"] = Json::array();
  EXPECT_NE(decide(record)[1].text.find("not established: there is no baseline"),
            std::string::npos);
}

TEST(Decide, BorrowedLossesAreNotEstablished) {
  Json record = page_test_record();
  Json& product = record["scenarios"][0]["recommendation"]["products"][0];
  product.erase("measured_kl_nats");
  product["expected_kl_nats"] = 0.09;
  record["products"][0]["loss_profile"] = "borrowed from m135";
  record.erase("additivity_spearman");
  const Sentence loss = decide(record)[2];
  EXPECT_EQ(loss.standing, "open");
  EXPECT_NE(loss.text.find("Not established: the loss of chat is not measured"), std::string::npos);
  EXPECT_NE(loss.text.find("borrowed from m135"), std::string::npos);
  EXPECT_NE(loss.text.find("was not measured."), std::string::npos);
}

TEST(Decide, WhatWasNotComputedIsCalledSo) {
  Json record = page_test_record();
  record["scenarios"][0].erase("shadow_prices");
  record["scenarios"][0].erase("tornado");
  const std::vector<Sentence> decision = decide(record);
  EXPECT_EQ(decision[3].standing, "open");
  EXPECT_NE(decision[4].text.find("was not computed"), std::string::npos);
}

TEST(Decide, NothingFitsIsOneSentence) {
  Json record = page_test_record();
  record["scenarios"].erase(record["scenarios"].begin());
  EXPECT_EQ(headline_scenario(record), -1);
  const std::vector<Sentence> decision = decide(record);
  ASSERT_EQ(decision.size(), 1U);
  EXPECT_NE(decision[0].text.find("area rejected 12 chips"), std::string::npos);
}

// Two scenarios of one objective; the second keeps its accuracy.
Json record_with_accuracy(const char* decision) {
  Json record = page_test_record();
  Json scenario = record["scenarios"][0];
  record["scenarios"] = Json::array({scenario, scenario});
  record["scenarios"][1]["kl_cap_nats"] = 0.4;
  record["accuracy"] = {{"targets",
                         {{{"benchmark", "mmlu"},
                           {"margin_frac", 0.03},
                           {"floor_frac", 0.0},
                           {"verdict", "population"}},
                          {{"benchmark", "gsm8k"},
                           {"margin_frac", 0.05},
                           {"why_not", "gsm8k/test.jsonl: no such file"}}}},
                        {"answers",
                         {{{"scenario", 1},
                           {"objective", "latency"},
                           {"kl_cap_nats", 0.4},
                           {"decision", decision},
                           {"targets",
                            {{{"target", 0},
                              {"decision", decision},
                              {"num_asked", 1140},
                              {"baseline", {{"score_frac", 0.41}}},
                              {"candidate", {{"score_frac", 0.4}}},
                              {"counts", {{"lost", 40}, {"gained", 28}}}}}}}}},
                        {"recommended", {{{"objective", "latency"}, {"scenario", 1}}}}};
  return record;
}

TEST(Decide, AnAccuracyThatIsKeptLeadsThePage) {
  const Json record = record_with_accuracy("pass");
  EXPECT_EQ(headline_scenario(record), 1);
  const std::vector<Sentence> decision = decide(record);
  ASSERT_EQ(decision.size(), 6U);
  EXPECT_EQ(decision[3].topic, "Accuracy");
  EXPECT_EQ(decision[3].standing, "sure");
  EXPECT_EQ(decision[3].text,
            "It keeps every accuracy target: mmlu -1.05 points on 1,140 questions, 3 may be lost "
            "(population: pass). gsm8k could not be run: gsm8k/test.jsonl: no such file.");
}

TEST(Decide, WhatIsUndecidedOrWasNotAskedIsOpen) {
  Json record = record_with_accuracy("undecided");
  EXPECT_EQ(decide(record)[3].standing, "open");
  EXPECT_NE(decide(record)[3].text.find("undecided"), std::string::npos);
  record["accuracy"]["recommended"][0]["scenario"] = nullptr;
  EXPECT_EQ(headline_scenario(record), 0);
  EXPECT_NE(decide(record)[3].text.find("was not asked any benchmark"), std::string::npos);
  EXPECT_EQ(decide(record)[3].standing, "open");
}

TEST(HeadlineScenario, IsTheSmallestLossWhereNoAnswerKeepsItsAccuracy) {
  Json record = record_with_accuracy("undecided");
  record["accuracy"]["recommended"][0]["scenario"] = nullptr;
  Json scenario = record["scenarios"][0];
  record["scenarios"] = Json::array();
  for (const double cap : {0.4, 0.15, 0.05}) {
    scenario["kl_cap_nats"] = cap;
    record["scenarios"].push_back(scenario);
  }
  EXPECT_EQ(headline_scenario(record), 2);
}

TEST(HeadlineScenario, TakesTheMiddleCapOfTheFirstObjective) {
  Json record = page_test_record();
  Json scenario = record["scenarios"][0];
  record["scenarios"] = Json::array();
  for (const double cap : {0.4, 0.05, 0.15}) {
    scenario["kl_cap_nats"] = cap;
    record["scenarios"].push_back(scenario);
  }
  scenario["objective"] = "energy";
  record["scenarios"].push_back(scenario);
  EXPECT_EQ(headline_scenario(record), 2);
}

}  // namespace
}  // namespace dovetail::report
