#include "report/summary.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(Summarize, NamesChipLossAndClosestBaseline) {
  const auto summary = summarize(page_test_record());
  ASSERT_TRUE(summary.has_value());
  EXPECT_NE(summary->find("8x16x16 w4a8"), std::string::npos);
  EXPECT_NE(summary->find("recipe_first x1.040 [1.010, 1.070] established"), std::string::npos);
  EXPECT_NE(summary->find("area rejected 12 chips"), std::string::npos);
}

TEST(Summarize, AccuracyIsOneLineAnAnswer) {
  Json record = page_test_record();
  record["accuracy"] = {
      {"targets", {{{"benchmark", "mmlu"}}, {{"benchmark", "ifeval"}, {"why_not", "no files"}}}},
      {"answers",
       {{{"scenario", 0},
         {"objective", "latency"},
         {"kl_cap_nats", 0.1},
         {"decision", "undecided"},
         {"targets",
          {{{"target", 0},
            {"decision", "undecided"},
            {"num_asked", 200},
            {"baseline", {{"score_frac", 0.41}}},
            {"candidate", {{"score_frac", 0.4}}},
            {"counts", {{"lost", 12}, {"gained", 10}}}}}}}}},
      {"recommended", Json::array()}};
  const auto summary = summarize(record);
  ASSERT_TRUE(summary.has_value());
  EXPECT_NE(summary->find("accuracy: request latency KL <= 0.1 undecided, mmlu undecided 40.00 % "
                          "(released 41.00), -12 +10 of 200"),
            std::string::npos)
      << *summary;
  EXPECT_NE(summary->find("accuracy: ifeval could not be run: no files"), std::string::npos);
  EXPECT_NE(summary->find("the smallest loss, its accuracy not established, for"),
            std::string::npos);
}

TEST(Summarize, SaysWhenTheSearchWasNotExact) {
  Json record = page_test_record();
  record["search"] = {
      {"num_chips", 1000000000}, {"exact", false}, {"method", "nsga2"}, {"bound_gap_frac", 0.03}};
  record["num_chips"] = 1000000000;
  EXPECT_NE(summarize(record)->find("best found among 1,000,000,000 chips by nsga2, at most 3 %"),
            std::string::npos);
}

TEST(Summarize, StaysWithinTwentyFiveLines) {
  Json record = page_test_record();
  const Json scenario = record["scenarios"][0];
  for (int i = 0; i < 60; ++i) record["scenarios"].push_back(scenario);
  const auto summary = summarize(record);
  ASSERT_TRUE(summary.has_value());
  EXPECT_LE(std::count(summary->begin(), summary->end(), '\n'), 25);
}

TEST(Summarize, FreeTextAddsNoLinesAndMovesNoCursor) {
  Json record = page_test_record();
  record["name"] = std::string(40, '\n') + "\x1b[2J";
  const auto summary = summarize(record);
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->find('\x1b'), std::string::npos);
  EXPECT_LE(std::count(summary->begin(), summary->end(), '\n'), 25);
}

}  // namespace
}  // namespace dovetail::report
