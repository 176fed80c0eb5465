#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "search/enumerate.h"

namespace dovetail::search {
namespace {

TEST(Objective, CorrectnessNamesGoBothWays) {
  for (const char* name : {"latency", "latency_area", "latency_price", "energy", "energy_area"}) {
    const auto objective = parse_objective(name);
    ASSERT_TRUE(objective.has_value()) << name;
    EXPECT_EQ(objective_name(*objective), name);
  }
  EXPECT_EQ(parse_objective("latency_area")->scale, Scale::kArea);
  EXPECT_EQ(parse_objective("energy")->metric, Metric::kEnergy);
}

TEST(Objective, ErrorNamesTheNearest) {
  const auto objective = parse_objective("latncy");
  ASSERT_FALSE(objective.has_value());
  EXPECT_EQ(objective.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(objective.error().message, ::testing::HasSubstr("\"latency\""));
}

}  // namespace
}  // namespace dovetail::search
