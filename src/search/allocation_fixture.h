// Test fixture: whatever an algorithm answers is judged by `verify` when the test ends.
#pragma once

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "search/allocation.h"

namespace dovetail::search {

class VerifiedAllocationTest : public ::testing::Test {
 protected:
  Allocation solve(const AllocationProblem& problem, const AllocationParams& params = {}) {
    Result<Allocation> result = solve_allocation(problem, params);
    if (!result.has_value()) {
      ADD_FAILURE() << result.error().message;
      return {};
    }
    answers_.emplace_back(problem, *result);
    return *result;
  }
  void expect_verified(const AllocationProblem& problem, const Allocation& allocation) {
    answers_.emplace_back(problem, allocation);
  }
  void TearDown() override {
    if (IsSkipped()) return;
    ASSERT_FALSE(answers_.empty());
    for (const auto& [problem, allocation] : answers_) {
      const Status status = verify(problem, allocation);
      EXPECT_TRUE(status.has_value()) << status.error().message;
    }
  }

 private:
  std::vector<std::pair<AllocationProblem, Allocation>> answers_;
};

}  // namespace dovetail::search
