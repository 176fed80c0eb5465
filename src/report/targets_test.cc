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

const Json& row_of(const Json& targets, const std::string& quantity) {
  for (const Json& row : targets["targets"]) {
    if (row["quantity"] == quantity) return row;
  }
  return targets;
}

TEST(MakeTargets, SlackIsTheRoomToTheLimit) {
  const auto targets = make_targets(page_test_record());
  ASSERT_TRUE(targets.has_value());
  const Json& area = row_of(*targets, "area_mm2");
  EXPECT_EQ(area["limit_from"], "max_area_mm2");
  EXPECT_DOUBLE_EQ(area["slack_frac"].get<double>(), 20.0 / 14 - 1);
  const Json& loss = row_of(*targets, "kl_nats_per_token");
  EXPECT_NEAR(loss["slack_frac"].get<double>(), 0.1 / 0.099 - 1, 1e-12);
  // The closest baseline is 4 % dearer in latency, and that margin is established.
  const Json& latency = row_of(*targets, "latency_ns");
  EXPECT_EQ(latency["limit_from"], "closest baseline recipe_first");
  EXPECT_NEAR(latency["slack_frac"].get<double>(), 0.04, 1e-12);
  EXPECT_FALSE(row_of(*targets, "clock_mhz").contains("slack_frac"));
}

TEST(MakeTargets, AMarginThatIsNotEstablishedGivesNoRoom) {
  Json record = page_test_record();
  record["scenarios"][0]["baselines"][0]["verdict"] = "not established";
  const auto targets = make_targets(record);
  ASSERT_TRUE(targets.has_value());
  EXPECT_FALSE(row_of(*targets, "latency_ns").contains("limit"));
}

}  // namespace
}  // namespace dovetail::report
