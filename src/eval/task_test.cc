#include "eval/task.h"

#include <gtest/gtest.h>

namespace dovetail::eval {
namespace {

TEST(TaskParams, AreCheckedByName) {
  EXPECT_EQ(limited(10, {}).value(), 10);
  EXPECT_EQ(limited(10, {.limit = 3}).value(), 3);
  EXPECT_EQ(limited(10, {.limit = 30}).value(), 10);
  EXPECT_EQ(limited(10, {.limit = 0}).error().message, "limit = 0, want 1 or more");
  EXPECT_EQ(fewshot_of("t", {}, 5, 8).value(), 5);
  EXPECT_EQ(fewshot_of("t", {.num_fewshot = 0}, 5, 8).value(), 0);
  EXPECT_EQ(fewshot_of("t", {.num_fewshot = 9}, 5, 8).error().message,
            "t: num_fewshot = 9, want 0..8");
  EXPECT_EQ(scoring_mode_name(ScoringMode::kFixed), "fixed");
}

}  // namespace
}  // namespace dovetail::eval
