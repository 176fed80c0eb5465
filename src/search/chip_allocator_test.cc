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
                     const std::vector<double>& caps, double dram_share, uint64_t seed) {
    Random random(seed);
    const LossTable losses = case_losses(shape, random);
    const ResidencyLevels levels = residency_levels(shape);
    ChipAllocator allocator(losses, levels, caps);
    std::vector<ChipAllocation> results;
    Statistics stats;
    for (const double mib : sram_mib) {
      silicon::CostTable table = case_costs(shape, mib * 1024 * 1024, random);
      const double bytes = static_cast<double>(shape.num_block_linear_weights());
      if (dram_share > 0) table.dram_bytes = dram_share * bytes;
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

}  // namespace
}  // namespace dovetail::search
