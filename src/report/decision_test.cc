#include "report/decision.h"

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(Decide, FiveSentencesFromTheNumbers) {
  const std::vector<Sentence> decision = decide(page_test_record());
  ASSERT_EQ(decision.size(), 5U);
  EXPECT_NE(decision[0].text.find("searched exactly over 12 chips, within 0.05 % of the optimum"),
            std::string::npos)
      << decision[0].text;
  EXPECT_NE(decision[1].text.find("\"compress first, then build\", costs 4 % more (×1.040, band "
                                  "1.010 to 1.070)"),
            std::string::npos)
      << decision[1].text;
  EXPECT_EQ(decision[1].standing, "sure");
  EXPECT_NE(decision[2].text.find("chat loses 0.0990 ± 0.0080 nats per token, 0.1100 on a third"),
            std::string::npos)
      << decision[2].text;
  EXPECT_NE(decision[3].text.find("67 % of the decode time waits for DRAM bandwidth"),
            std::string::npos)
      << decision[3].text;
  EXPECT_NE(decision[3].text.find("+1 MiB of shared SRAM: it lowers request latency by 2.1 %"),
            std::string::npos)
      << decision[3].text;
  EXPECT_NE(decision[4].text.find("1 of 1 technology constants"), std::string::npos);
  EXPECT_NE(decision[4].text.find("0.4 % more"), std::string::npos) << decision[4].text;
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
