#include "search/allocation.h"

#include <gtest/gtest.h>

#include <limits>

namespace dovetail::search {
namespace {

// Two sites: {cheap and lossy, dear and exact} each.
AllocationProblem two_sites() {
  return {.option_begin = {0, 2, 4},
          .cost = {1, 4, 2, 6},
          .loss = {3, 0, 1, 0},
          .sram_bytes = {0, 0, 8, 0},
          .dram_bytes = {1, 2, 0, 3},
          .max_loss = 2,
          .max_sram_bytes = 8,
          .max_dram_bytes = 10};
}

Allocation dear_then_cheap() {
  Allocation answer;
  answer.status = AllocationStatus::kSolved;
  answer.choice = {1, 0};
  answer.cost = 6;
  answer.loss = 1;
  answer.sram_bytes = 8;
  answer.dram_bytes = 2;
  answer.bound = 6;
  return answer;
}

std::string message_of(const Status& status) {
  return status.has_value() ? "" : status.error().message;
}

TEST(CheckAllocation, NamesTheWrongEntry) {
  EXPECT_TRUE(check(two_sites()).has_value());
  AllocationProblem problem = two_sites();
  problem.loss[2] = -1;
  EXPECT_EQ(message_of(check(problem)), "loss[2] = -1, want a finite number >= 0");
  EXPECT_EQ(check(problem).error().code, ErrorCode::kInvalidArgument);
  problem = two_sites();
  problem.cost[3] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(message_of(check(problem)), "cost[3] = inf, want a finite number >= 0");
  problem = two_sites();
  problem.sram_bytes.pop_back();
  EXPECT_EQ(message_of(check(problem)), "sram_bytes has 3 entries, want 4 (option_begin.back())");
  problem = two_sites();
  problem.option_begin = {0, 0, 4};
  EXPECT_EQ(message_of(check(problem)),
            "option_begin[1] = 0, want more than 0 (site 0 has no option)");
  problem = two_sites();
  problem.max_dram_bytes = -2;
  EXPECT_EQ(message_of(check(problem)), "max_dram_bytes = -2, want >= 0 or infinity");
  problem = {};
  EXPECT_FALSE(check(problem).has_value());
  EXPECT_FALSE(solve_allocation(problem, {}).has_value());
  EXPECT_FALSE(solve_allocation(two_sites(), {.max_gap_frac = -1}).has_value());
}

TEST(VerifyAllocation, AcceptsARightAnswer) {
  EXPECT_EQ(message_of(verify(two_sites(), dear_then_cheap())), "");
}

TEST(VerifyAllocation, RejectsEveryKindOfWrongAnswer) {
  Allocation answer = dear_then_cheap();
  answer.choice[0] = 2;
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "choice[0] = 2, want 0..1");
  answer = dear_then_cheap();
  answer.cost = 5;
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "cost = 5, but the choice sums to 6");
  answer = dear_then_cheap();
  answer.choice = {0, 0};
  answer.cost = 3;
  answer.loss = 4;
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "loss = 4, above its limit 2");
  answer = dear_then_cheap();
  answer.bound = 7;
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "bound = 7, above the cost 6");
  answer = dear_then_cheap();
  answer.bound = 3;
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "gap_frac = 0, but cost and bound give 0.5");
  answer.bound = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(verify(two_sites(), answer).has_value());
  answer = {};
  answer.binding = "loss";
  EXPECT_EQ(message_of(verify(two_sites(), answer)), "binding = \"loss\", but 0 of 2 is reachable");
  answer.binding = "mood";
  EXPECT_FALSE(verify(two_sites(), answer).has_value());
}

}  // namespace
}  // namespace dovetail::search
