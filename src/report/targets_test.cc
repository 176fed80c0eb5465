#include "report/targets.h"

#include <gtest/gtest.h>

#include <set>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(MakeTargets, EveryTeamGetsRowsWithUnitTierAndBand) {
  const auto targets = make_targets(page_test_record());
  ASSERT_TRUE(targets.has_value());
  std::set<std::string> teams;
  for (const Json& row : (*targets)["targets"]) {
    teams.insert(row["team"].get<std::string>());
    EXPECT_FALSE(row["unit"].get<std::string>().empty());
    EXPECT_FALSE(row["tier"].get<std::string>().empty());
    EXPECT_LE(row["band_low"].get<double>(), row["value"].get<double>());
    EXPECT_GE(row["band_high"].get<double>(), row["value"].get<double>());
  }
  EXPECT_EQ(teams, (std::set<std::string>{"model", "compiler", "runtime", "silicon"}));
}

TEST(MakeTargets, MeasuredLossCarriesTwoStandardErrors) {
  const auto targets = make_targets(page_test_record());
  const Json& row = (*targets)["targets"][0];
  EXPECT_EQ(row["quantity"], "kl_nats_per_token");
  EXPECT_DOUBLE_EQ(row["band_high"].get<double>(), 0.099 + 2 * 0.004);
}

}  // namespace
}  // namespace dovetail::report
