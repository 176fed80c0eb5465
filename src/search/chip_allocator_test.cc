#include "search/chip_allocator.h"

#include <gtest/gtest.h>

#include <cmath>

#include "search/allocation_cases.h"
#include "search/allocation_fixture.h"

namespace dovetail::search {
namespace {

class ChipAllocatorTest : public VerifiedAllocationTest {
 protected:
  struct Statistics {
    int64_t count = 0;
    double sum = 0;
    double largest = 0;
    double sum_above_solver = 0;
    double largest_above_solver = 0;
    double largest_bound_loss = 0;
  };

  // The allocator's answers on random chips against the closed problem.
  Statistics compare(const model::ModelShape& shape, const std::vector<double>& sram_mib,
                     const std::vector<double>& caps, double bytes_per_weight, uint64_t seed) {
    Random random(seed);
    const LossTable losses = case_losses(shape, random);
    const ResidencyLevels levels = residency_levels(shape);
    ChipAllocator allocator(losses, levels, caps);
    std::vector<ChipAllocation> results;
    Statistics stats;
    for (const double mib : sram_mib) {
      silicon::CostTable table = case_costs(shape, mib * 1024 * 1024, random);
      const double bytes = static_cast<double>(shape.num_block_linear_weights());
      if (bytes_per_weight > 0) table.dram_bytes = bytes_per_weight * bytes;
      for (const Metric metric : {Metric::kLatency, Metric::kEnergy}) {
        allocator.allocate(table, metric, results);
        for (size_t i = 0; i < caps.size(); ++i) {
          judge(table, metric, losses, levels, caps[i], results[i], stats);
        }
      }
    }
    return stats;
  }

  void judge(const silicon::CostTable& table, Metric metric, const LossTable& losses,
             const ResidencyLevels& levels, double cap, const ChipAllocation& result,
             Statistics& stats) {
    const auto problem = make_problem(table, metric, losses, levels, cap);
    ASSERT_TRUE(problem.has_value()) << problem.error().message;
    const Allocation closed = solve(problem->problem);
    expect_verified(problem->problem, to_allocation(*problem, result));
    ASSERT_EQ(result.feasible, closed.status == AllocationStatus::kSolved);
    if (!result.feasible) return;
    EXPECT_LE(closed.gap_frac, 1e-3);
    EXPECT_GE(result.cost, closed.bound * (1 - 1e-9));
    EXPECT_LE(result.bound, closed.cost * (1 + 1e-9));
    const double gap = (result.cost - result.bound) / result.cost;
    const double above = result.cost / closed.cost - 1;
    ++stats.count;
    stats.sum += gap;
    stats.largest = std::max(stats.largest, gap);
    stats.sum_above_solver += above;
    stats.largest_above_solver = std::max(stats.largest_above_solver, above);
    stats.largest_bound_loss = std::max(stats.largest_bound_loss, 1 - result.bound / closed.bound);
  }

  void print(const char* what, const Statistics& s) {
    const double n = static_cast<double>(s.count);
    std::printf(
        "[ gap      ] %s: %ld answers, mean %.3f %%, largest %.3f %%; above solver: mean "
        "%.3f %%, largest %.3f %%; bound below solver's: at most %.3f %%\n",
        what, static_cast<long>(s.count), 100 * s.sum / n, 100 * s.largest,
        100 * s.sum_above_solver / n, 100 * s.largest_above_solver, 100 * s.largest_bound_loss);
  }
};

TEST_F(ChipAllocatorTest, BracketsTheSolverOnSmallModels) {
  const Statistics s = compare(smollm2_shape(), {0, 0.03, 0.5, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96},
                               {0.3, 0.1, 0.03}, 0, 1);
  print("smollm2", s);
  EXPECT_GE(s.count, 70);
  EXPECT_LT(s.sum / static_cast<double>(s.count), 0.005);
  EXPECT_LT(s.largest, 0.03);
}

TEST_F(ChipAllocatorTest, BracketsTheSolverOnLargeModels) {
  const Statistics s = compare(llama8b_shape(), {0, 4, 32, 128, 512, 2048}, {0.3, 0.1, 0.03}, 0, 2);
  print("llama-3-8b", s);
  EXPECT_GE(s.count, 30);
  EXPECT_LT(s.sum / static_cast<double>(s.count), 0.005);
  EXPECT_LT(s.largest, 0.03);
}

TEST_F(ChipAllocatorTest, BracketsTheSolverWhereDramIsTight) {
  // Half a byte to a byte per weight: DRAM decides beside loss and SRAM.
  for (const double bytes_per_weight : {0.45, 0.6, 0.8}) {
    const Statistics s = compare(llama8b_shape(), {0, 4, 512}, {0.3, 0.1}, bytes_per_weight, 3);
    print("tight DRAM", s);
    EXPECT_LT(s.largest, 0.03);
  }
}

// A model of one layer: few sites, large steps, compared with the exact optimum.
TEST_F(ChipAllocatorTest, StaysValidOnTinyModels) {
  model::ModelShape shape = smollm2_shape();
  shape.num_layers = 1;
  Random random(4);
  for (int i = 0; i < 60; ++i) {
    const LossTable losses = case_losses(shape, random);
    const ResidencyLevels levels = residency_levels(shape);
    const silicon::CostTable table =
        case_costs(shape, 1e5 * std::exp(6 * random.uniform()), random);
    const double cap = 1e-3 * std::exp(5 * random.uniform());
    ChipAllocator allocator(losses, levels, {cap});
    std::vector<ChipAllocation> results;
    allocator.allocate(table, Metric::kLatency, results);
    const auto problem = make_problem(table, Metric::kLatency, losses, levels, cap);
    ASSERT_TRUE(problem.has_value());
    const Allocation exact = solve(problem->problem, {.max_gap_frac = 0});
    expect_verified(problem->problem, to_allocation(*problem, results[0]));
    ASSERT_TRUE(results[0].feasible);
    EXPECT_GE(results[0].cost, exact.cost * (1 - 1e-9));
    EXPECT_LE(results[0].bound, exact.cost * (1 + 1e-9));
    EXPECT_LE(results[0].cost, exact.cost * 1.02);
    const double bound = allocator.bound(table, Metric::kLatency, cap);
    EXPECT_LE(bound, exact.cost * (1 + 1e-9));
  }
}

TEST_F(ChipAllocatorTest, AnswersDoNotDependOnEarlierChips) {
  const model::ModelShape shape = smollm2_shape();
  Random random(5);
  const LossTable losses = case_losses(shape, random);
  const ResidencyLevels levels = residency_levels(shape);
  std::vector<silicon::CostTable> tables;
  for (int i = 0; i < 12; ++i) tables.push_back(case_costs(shape, 3e6 * i, random));
  ChipAllocator used(losses, levels, {0.1, 0.02});
  std::vector<ChipAllocation> from_used;
  std::vector<ChipAllocation> from_unused;
  for (size_t i = 0; i < tables.size(); ++i) {
    used.allocate(tables[i], Metric::kLatency, from_used);
    ChipAllocator unused(losses, levels, {0.1, 0.02});
    unused.allocate(tables[i], Metric::kLatency, from_unused);
    for (size_t c = 0; c < 2; ++c) {
      EXPECT_EQ(from_used[c].cost, from_unused[c].cost);
      EXPECT_EQ(from_used[c].bound, from_unused[c].bound);
      EXPECT_EQ(from_used[c].treatments, from_unused[c].treatments);
      EXPECT_EQ(from_used[c].resident_frac, from_unused[c].resident_frac);
    }
    const auto problem = make_problem(tables[i], Metric::kLatency, losses, levels, 0.1);
    expect_verified(problem->problem, to_allocation(*problem, from_used[0]));
  }
}

TEST_F(ChipAllocatorTest, KeepsToAFrozenRecipe) {
  const model::ModelShape shape = smollm2_shape();
  Random random(6);
  LossTable losses = case_losses(shape, random);
  silicon::CostTable table = case_costs(shape, 8e6, random);
  std::vector<int32_t> choice;
  for (size_t s = 0; s < losses.loss.size(); ++s) {
    const bool is_kv = s % 5 == 4 && s + 1 < losses.loss.size();
    int32_t t = 0;
    const auto& latency = table.sites[is_kv ? 4 : 0].latency_ns;
    while (t == 0 || latency[static_cast<size_t>(t)] >= silicon::kIllegal) {
      t = static_cast<int32_t>(
          1 + random.below(is_kv ? kCaseKvTreatments - 1 : kCaseLinearTreatments - 1));
    }
    choice.push_back(t);
  }
  const LossTable only = frozen(losses, choice);
  const ResidencyLevels levels = residency_levels(shape);
  const double loss = total_loss(losses, choice);
  ChipAllocator allocator(only, levels, {loss * 1.0001, loss * 0.999});
  std::vector<ChipAllocation> results;
  allocator.allocate(table, Metric::kLatency, results);
  ASSERT_TRUE(results[0].feasible);
  EXPECT_EQ(results[0].treatments, choice);
  EXPECT_GT(results[0].sram_bytes, 0.9 * table.sram_bytes);
  const auto problem = make_problem(table, Metric::kLatency, only, levels, loss * 1.0001);
  expect_verified(problem->problem, to_allocation(*problem, results[0]));
  EXPECT_FALSE(results[1].feasible);
  EXPECT_TRUE(std::isinf(results[1].bound));
}

TEST_F(ChipAllocatorTest, ACapOfZeroLeavesTheReference) {
  const model::ModelShape shape = smollm2_shape();
  Random random(7);
  const LossTable losses = case_losses(shape, random);
  const ResidencyLevels levels = residency_levels(shape);
  silicon::CostTable table = case_costs(shape, 4e6, random);
  ChipAllocator allocator(losses, levels, {0.0});
  std::vector<ChipAllocation> results;
  allocator.allocate(table, Metric::kLatency, results);
  ASSERT_TRUE(results[0].feasible);
  EXPECT_EQ(results[0].treatments, std::vector<int32_t>(losses.loss.size(), 0));
  auto problem = make_problem(table, Metric::kLatency, losses, levels, 0.0);
  expect_verified(problem->problem, to_allocation(*problem, results[0]));
  expect_verified(problem->problem, solve(problem->problem));

  // Then DRAM is too small for it, and nothing fits.
  table.dram_bytes = 1e6;
  allocator.allocate(table, Metric::kLatency, results);
  EXPECT_FALSE(results[0].feasible);
  EXPECT_TRUE(std::isinf(results[0].bound));

  // A chip that executes no treatment of some site.
  for (float& latency : table.sites[2].latency_ns) latency = silicon::kIllegal;
  allocator.allocate(table, Metric::kLatency, results);
  EXPECT_FALSE(results[0].feasible);
  EXPECT_FALSE(make_problem(table, Metric::kLatency, losses, levels, 0.0).has_value());
}

TEST(ResidencyLevels, AreSubsetsOfASitesLinears) {
  const ResidencyLevels levels = residency_levels(llama8b_shape());
  // q : k : v = 4 : 1 : 1
  const std::vector<double> qkv = {0, 1.0 / 6, 2.0 / 6, 4.0 / 6, 5.0 / 6, 1};
  EXPECT_EQ(levels.shares[0], qkv);
  EXPECT_EQ(levels.shares[1], (std::vector<double>{0, 1}));
  EXPECT_EQ(levels.shares[2], (std::vector<double>{0, 0.5, 1}));
  EXPECT_EQ(levels.shares[5].size(), 9U);
}

}  // namespace
}  // namespace dovetail::search
