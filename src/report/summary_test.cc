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
