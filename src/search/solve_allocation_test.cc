#if __has_include(<coin/Cbc_C_Interface.h>)
#include <coin/Cbc_C_Interface.h>
#define DOVETAIL_HAVE_CBC 1
#endif
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "search/allocation.h"
#include "search/allocation_cases.h"
#include "search/allocation_fixture.h"

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Oracle: every choice, one after the other. Infinity if none keeps the limits.
double cost_by_enumeration(const AllocationProblem& p, size_t site = 0, double cost = 0,
                           double loss = 0, double sram = 0, double dram = 0) {
  constexpr double kRounding = 1 + 1e-12;
  if (site + 1 == p.option_begin.size()) {
    const bool kept = loss <= p.max_loss * kRounding && sram <= p.max_sram_bytes * kRounding &&
                      dram <= p.max_dram_bytes * kRounding;
    return kept ? cost : kInfinity;
  }
  double best = kInfinity;
  for (int32_t j = p.option_begin[site]; j < p.option_begin[site + 1]; ++j) {
    const auto o = static_cast<size_t>(j);
    best = std::min(best, cost_by_enumeration(p, site + 1, cost + p.cost[o], loss + p.loss[o],
                                              sram + p.sram_bytes[o], dram + p.dram_bytes[o]));
  }
  return best;
}

#ifdef DOVETAIL_HAVE_CBC
// Oracle: the same as an integer program, solved by CBC. Rows are scaled to limits of 1.
double cost_by_cbc(const AllocationProblem& p) {
  const auto num_options = static_cast<int>(p.cost.size());
  const auto num_sites = static_cast<int>(p.num_sites());
  std::vector<CoinBigIndex> start = {0};
  std::vector<int> index;
  std::vector<double> value;
  const auto push = [&](int row, double v) {
    index.push_back(row);
    value.push_back(v);
  };
  const auto scaled = [](double use, double limit) { return limit > 0 ? use / limit : use; };
  for (int s = 0; s < num_sites; ++s) {
    for (int32_t j = p.option_begin[static_cast<size_t>(s)];
         j < p.option_begin[static_cast<size_t>(s) + 1]; ++j) {
      const auto o = static_cast<size_t>(j);
      push(s, 1);
      push(num_sites, scaled(p.loss[o], p.max_loss));
      push(num_sites + 1, scaled(p.sram_bytes[o], p.max_sram_bytes));
      push(num_sites + 2, scaled(p.dram_bytes[o], p.max_dram_bytes));
      start.push_back(static_cast<CoinBigIndex>(index.size()));
    }
  }
  std::vector<double> low(static_cast<size_t>(num_sites), 1.0);
  std::vector<double> high = low;
  for (const double limit : {p.max_loss, p.max_sram_bytes, p.max_dram_bytes}) {
    low.push_back(-kInfinity);
    high.push_back(limit > 0 ? 1.0 : 0.0);
  }
  const std::vector<double> zeros(p.cost.size(), 0.0);
  const std::vector<double> ones(p.cost.size(), 1.0);
  Cbc_Model* model = Cbc_newModel();
  Cbc_loadProblem(model, num_options, num_sites + 3, start.data(), index.data(), value.data(),
                  zeros.data(), ones.data(), p.cost.data(), low.data(), high.data());
  for (int j = 0; j < num_options; ++j) Cbc_setInteger(model, j);
  Cbc_setParameter(model, "logLevel", "0");
  Cbc_setParameter(model, "ratioGap", "0");
  Cbc_setParameter(model, "allowableGap", "0");
  Cbc_solve(model);
  const double cost = Cbc_isProvenOptimal(model) ? Cbc_getObjValue(model) : kInfinity;
  Cbc_deleteModel(model);
  return cost;
}
#endif

RandomShape random_shape(Random& random, int32_t max_sites, int32_t max_options) {
  const auto share = [&] {
    const int64_t kind = random.below(10);
    if (kind == 0) return -0.1;
    if (kind == 1) return 1.1;
    if (kind == 2) return 0.0;
    return kind < 6 ? 0.02 + 0.2 * random.uniform() : 0.2 + 0.7 * random.uniform();
  };
  return {.num_sites = static_cast<int32_t>(1 + random.below(max_sites)),
          .max_options = static_cast<int32_t>(1 + random.below(max_options)),
          .loss_share = share(),
          .sram_share = share(),
          .dram_share = share(),
          .correlated = random.below(2) == 0,
          .whole_numbers = random.below(3) == 0};
}

class SolveAllocation : public VerifiedAllocationTest {};

TEST_F(SolveAllocation, IsExactOnEveryTinyProblem) {
  Random random(11);
  int num_infeasible = 0;
  for (int i = 0; i < 1500; ++i) {
    const AllocationProblem problem = random_problem(random_shape(random, 6, 5), random);
    const Allocation answer = solve(problem, {.max_gap_frac = 0});
    const double best = cost_by_enumeration(problem);
    if (best == kInfinity) {
      ++num_infeasible;
      EXPECT_EQ(answer.status, AllocationStatus::kInfeasible) << "problem " << i;
    } else {
      ASSERT_EQ(answer.status, AllocationStatus::kSolved) << "problem " << i;
      EXPECT_NEAR(answer.cost, best, 1e-8 * best) << "problem " << i;
      EXPECT_LE(answer.gap_frac, 1e-8);
    }
  }
  EXPECT_GT(num_infeasible, 100);
  EXPECT_LT(num_infeasible, 1200);
}

TEST_F(SolveAllocation, SaysWhichLimitCannotBeKept) {
  AllocationProblem problem{.option_begin = {0, 2, 3},
                            .cost = {1, 2, 1},
                            .loss = {5, 1, 1},
                            .sram_bytes = {0, 4, 3},
                            .dram_bytes = {2, 2, 2},
                            .max_loss = 1.5,
                            .max_sram_bytes = 10,
                            .max_dram_bytes = 10};
  EXPECT_EQ(solve(problem).binding, "loss");
  problem.max_loss = 2;
  problem.max_sram_bytes = 2;
  EXPECT_EQ(solve(problem).binding, "sram_bytes");
  problem.max_sram_bytes = 6;  // 3 is reachable, but not with a loss of 2
  EXPECT_EQ(solve(problem).binding, "together");
  problem.max_sram_bytes = 10;
  problem.max_dram_bytes = 3;
  EXPECT_EQ(solve(problem).binding, "dram_bytes");
}

TEST_F(SolveAllocation, RepeatsItself) {
  Random random(13);
  const AllocationProblem problem = random_problem(
      {.num_sites = 60, .max_options = 12, .correlated = true, .whole_numbers = true}, random);
  const Allocation first = solve(problem);
  const Allocation second = solve(problem);
  EXPECT_EQ(first.choice, second.choice);
  EXPECT_EQ(first.bound, second.bound);
}

TEST_F(SolveAllocation, IsHonestWhenStoppedEarly) {
  Random random(14);
  for (int i = 0; i < 40; ++i) {
    const AllocationProblem problem =
        random_problem({.num_sites = 12, .max_options = 5, .correlated = true}, random);
    const Allocation exact = solve(problem, {.max_gap_frac = 0});
    const auto stopped = solve_allocation(problem, {.max_gap_frac = 0, .max_nodes = 2});
    if (!stopped.has_value()) continue;
    expect_verified(problem, *stopped);
    if (stopped->status != AllocationStatus::kSolved) continue;
    EXPECT_LE(stopped->bound, exact.cost * (1 + 1e-9));
    EXPECT_GE(stopped->cost, exact.cost * (1 - 1e-9));
  }
}

TEST_F(SolveAllocation, AgreesWithAnIntegerProgrammingLibrary) {
#ifndef DOVETAIL_HAVE_CBC
  GTEST_SKIP() << "CBC is not installed (coinor-libcbc-dev): nothing was compared";
#else
  Random random(12);
  int num_infeasible = 0;
  for (int i = 0; i < 260; ++i) {
    const AllocationProblem problem = random_problem(random_shape(random, 24, 8), random);
    const Allocation answer = solve(problem);
    const double best = cost_by_cbc(problem);
    if (answer.status == AllocationStatus::kInfeasible) {
      ++num_infeasible;
      EXPECT_EQ(best, kInfinity) << "problem " << i << " binding " << answer.binding;
      continue;
    }
    ASSERT_LT(best, kInfinity) << "problem " << i;
    EXPECT_GE(answer.cost, best * (1 - 1e-6) - 1e-9) << "problem " << i;
    EXPECT_LE(answer.bound, best * (1 + 1e-6) + 1e-9) << "problem " << i;
    EXPECT_LE(answer.gap_frac, 1e-3) << "problem " << i;
  }
  EXPECT_GT(num_infeasible, 20);
  EXPECT_LT(num_infeasible, 200);
#endif
}

}  // namespace
}  // namespace dovetail::search
