#include "search/budget_screen.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

synthetic::Model make_model() {
  auto model = synthetic::make_model(synthetic::small_shape(1),
                                     {.name = "t", .prompt_tokens = 32, .output_tokens = 8},
                                     synthetic::small_menu(), 1);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

// Budgets that cut each random space in the middle, so that every limit decides for some chips.
std::vector<Budget> cutting_budgets(const silicon::CostModel& costs, const Space& space) {
  std::vector<double> areas;
  std::vector<double> powers;
  std::vector<double> densities;
  for (int64_t i = 0; i < num_chips(space); i += 7) {
    const auto limits = costs.limits(chip_at(space, i));
    if (!limits.has_value()) continue;
    areas.push_back(limits->area_mm2);
    powers.push_back(limits->peak_power_mw / 1e3);
    densities.push_back(limits->die_peak_power_mw / 1e3 / limits->area_mm2);
  }
  std::ranges::sort(areas);
  std::ranges::sort(powers);
  std::ranges::sort(densities);
  Budget by_area = synthetic::edge_budget();
  by_area.max_area_mm2 = areas[areas.size() / 2];  // exactly one chip's area
  Budget by_power = synthetic::edge_budget();
  by_power.max_peak_power_w = powers[powers.size() / 3];
  Budget by_density = synthetic::edge_budget();
  by_density.max_power_density_w_per_mm2 = densities[densities.size() / 2];
  Budget by_price = synthetic::edge_budget();
  by_price.max_price_usd =
      costs.limits(chip_at(space, num_chips(space) / 2)).value().die_price_usd + 5;
  return {synthetic::edge_budget(), by_area, by_power, by_density, by_price};
}

TEST(BudgetScreen, CorrectnessEqualsTheCostModelChipByChip) {
  const synthetic::Model model = make_model();
  std::array<int64_t, kNumLimits> seen{};
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Space space = synthetic::random_space(seed);
    space.rows = {4, 16};  // 16 x 32 accumulators do not fit 1 KiB
    space.cols = {8, 32};
    space.accumulator_kib = {1, 4, 16};
    for (const Budget& budget : cutting_budgets(*model.costs, space)) {
      const BudgetScreen screen(*model.costs, space, budget);
      ASSERT_EQ(screen.num_blocks() * screen.block_size(), num_chips(space));
      for (int64_t b = 0; b < screen.num_blocks(); ++b) {
        const auto block = screen.block(b);
        ASSERT_TRUE(block.has_value()) << block.error().message;
        EXPECT_TRUE(block->additive);
        std::array<int64_t, kNumLimits> counts{};
        double min_area = std::numeric_limits<double>::infinity();
        for (int64_t i = 0; i < screen.block_size(); ++i) {
          const AxisValues position = split_index(screen.lengths(), block->first_index + i);
          const auto limit = screen.classify_exactly(position);
          ASSERT_TRUE(limit.has_value()) << limit.error().message;
          ++counts[static_cast<size_t>(*limit)];
          ++seen[static_cast<size_t>(*limit)];
          if (*limit == Limit::kNone) {
            const auto limits = model.costs->limits(chip_of(space, position));
            min_area = std::min(min_area, limits.value().area_mm2);
          }
        }
        const auto summary = screen.summarise(*block);
        ASSERT_TRUE(summary.has_value()) << summary.error().message;
        EXPECT_EQ(summary->count, counts);
        if (counts[0] > 0) {
          EXPECT_NEAR(summary->min_area_mm2, min_area, 1e-9 * min_area);
        }
      }
    }
  }
  for (const Limit limit : {Limit::kNone, Limit::kBuffers, Limit::kArea, Limit::kPeakPower,
                            Limit::kPowerDensity, Limit::kPrice}) {
    EXPECT_GT(seen[static_cast<size_t>(limit)], 0) << limit_name(limit);
  }
}

TEST(BudgetScreen, CorrectnessBandwidthIsALimit) {
  const synthetic::Model model = make_model();
  Space space = synthetic::random_space(3);
  space.dram_channels = {1, 4};
  Budget budget = synthetic::edge_budget();
  budget.max_dram_gb_per_s = 20;
  const BudgetScreen screen(*model.costs, space, budget);
  int64_t rejected = 0;
  for (int64_t b = 0; b < screen.num_blocks(); ++b) {
    const auto summary = screen.summarise(screen.block(b).value());
    rejected += summary.value().count[static_cast<size_t>(Limit::kDramBandwidth)];
  }
  EXPECT_GT(rejected, 0);
  EXPECT_LE(rejected, num_chips(space) / 2);
}

TEST(BudgetScreen, AClockThatAUnitDoesNotReachIsALimit) {
  const synthetic::Model model = make_model();
  Space space = synthetic::random_space(3);
  space.clock_mhz = {600, 3900};
  const BudgetScreen screen(*model.costs, space, synthetic::edge_budget());
  int64_t rejected = 0;
  for (int64_t b = 0; b < screen.num_blocks(); ++b) {
    const Block block = screen.block(b).value();
    const chip::Chip chip = chip_of(space, block.position);
    const double reaches_mhz = model.costs->reaches_mhz(chip).value();
    EXPECT_GT(reaches_mhz, 600);
    const auto count = screen.summarise(block).value().count;
    const int64_t too_quick = count[static_cast<size_t>(Limit::kClock)];
    EXPECT_EQ(too_quick > 0, chip.clock_mhz > reaches_mhz &&
                                 count[static_cast<size_t>(Limit::kBuffers)] < screen.block_size());
    if (too_quick > 0) {
      EXPECT_EQ(count[static_cast<size_t>(Limit::kNone)], 0);
    }
    rejected += too_quick;
  }
  EXPECT_GT(rejected, 0);
}

TEST(BudgetScreen, ErrorNamesAnUnknownNode) {
  const synthetic::Model model = make_model();
  Space space = synthetic::random_space(1);
  space.nodes = {"n1000"};
  const BudgetScreen screen(*model.costs, space, synthetic::edge_budget());
  const auto block = screen.block(0);
  ASSERT_FALSE(block.has_value());
  EXPECT_NE(block.error().message.find("n1000"), std::string::npos) << block.error().message;
}

}  // namespace
}  // namespace dovetail::search
