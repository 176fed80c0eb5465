#include "search/core_labels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "search/allocation_cases.h"

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Oracle: every choice. Least cost plus price of what is used of the limits that are not exact,
// less the price of their limits, over the choices that keep the exact ones.
double least_by_enumeration(const CoreProblem& core, const std::vector<int>& exact,
                            const Use& prices, size_t site = 0, double cost = 0, Use use = {}) {
  if (site + 1 == core.begin.size()) {
    for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
      const bool kept = use[i] <= core.limit[i] * (1 + 1e-12);
      if (std::find(exact.begin(), exact.end(), static_cast<int>(i)) == exact.end()) {
        cost += prices[i] * (use[i] - core.limit[i]);
      } else if (!kept) {
        return kInfinity;
      }
    }
    return cost;
  }
  double best = kInfinity;
  for (auto j = static_cast<size_t>(core.begin[site]);
       j < static_cast<size_t>(core.begin[site + 1]); ++j) {
    Use next = use;
    for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) next[i] += core.use[i][j];
    best = std::min(best,
                    least_by_enumeration(core, exact, prices, site + 1, cost + core.cost[j], next));
  }
  return best;
}

TEST(CoreLabels, FindTheLeastPricedCost) {
  Random random(21);
  for (int i = 0; i < 400; ++i) {
    const AllocationProblem problem = random_problem({.num_sites = 6,
                                                      .max_options = 5,
                                                      .dram_share = i % 2 == 0 ? 0.4 : 1.1,
                                                      .correlated = i % 3 == 0,
                                                      .whole_numbers = i % 5 == 0},
                                                     random);
    const CoreProblem core = make_core(problem);
    if (core.begin.empty() || core.num_limits < 2) continue;
    const Use prices = {random.uniform(), random.uniform(), random.uniform()};
    for (const std::vector<int>& exact : {std::vector<int>{1}, std::vector<int>{0, 1}}) {
      const double least = least_by_enumeration(core, exact, prices);
      const LabelResult all =
          set_labels(core, {.exact = exact, .prices = prices, .cutoff = 10, .max_labels = 1000000});
      ASSERT_TRUE(all.complete);
      EXPECT_EQ(all.least.empty(), std::isinf(least));
      EXPECT_NEAR(all.bound, std::min(least, 10.0), 1e-9) << "problem " << i;

      // Merging and a cutoff keep the bound valid and as close as stated.
      const double tolerance = 0.01;
      const double cutoff = std::isinf(least) ? 1 : least + 0.02;
      const LabelResult merged = set_labels(core, {.exact = exact,
                                                   .prices = prices,
                                                   .cutoff = cutoff,
                                                   .tolerance = tolerance,
                                                   .max_labels = 1000000});
      EXPECT_LE(merged.bound, least + 1e-9);
      EXPECT_GE(merged.bound, std::min(least, cutoff) - tolerance - 1e-9);
    }
  }
}

TEST(CoreLabels, GiveUpWhenThereAreTooMany) {
  Random random(22);
  const CoreProblem core = make_core(random_problem({.num_sites = 12, .max_options = 8}, random));
  const LabelResult result =
      set_labels(core, {.exact = {0, 1}, .prices = {}, .cutoff = 10, .max_labels = 100});
  EXPECT_FALSE(result.complete);
}

}  // namespace
}  // namespace dovetail::search
