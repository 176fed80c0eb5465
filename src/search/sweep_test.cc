#include "search/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "search/block_walk.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

recipe::Workload short_chat() {
  return {.name = "chat", .prompt_tokens = 48, .output_tokens = 12, .batch = 1};
}

synthetic::Model make_model(uint64_t seed, const recipe::Workload& workload = short_chat()) {
  auto model =
      synthetic::make_model(synthetic::small_shape(2), workload, synthetic::small_menu(), seed);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

std::vector<float> flatten(const silicon::CostTable& table, Metric metric) {
  std::vector<float> all;
  for (const silicon::SiteCosts& site : table.sites) {
    const bool latency = metric == Metric::kLatency;
    const auto& streamed = latency ? site.latency_ns : site.energy_pj;
    const auto& resident = latency ? site.resident_latency_ns : site.resident_energy_pj;
    all.insert(all.end(), streamed.begin(), streamed.end());
    all.insert(all.end(), resident.begin(), resident.end());
  }
  all.push_back(static_cast<float>(fixed_cost(table, metric)));
  return all;
}

void expect_below(const std::vector<float>& low, const std::vector<float>& high, const char* what) {
  ASSERT_EQ(low.size(), high.size());
  for (size_t i = 0; i < low.size(); ++i) {
    ASSERT_LE(static_cast<double>(low[i]), static_cast<double>(high[i]) * (1 + 1e-6))
        << what << ", entry " << i;
  }
}

// The two facts that the walk relies on.
TEST(Sweep, CorrectnessBlockBoundsHoldForEveryChipOfTheBlock) {
  const synthetic::Model model = make_model(1);
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Space space = synthetic::random_space(seed);
    const AxisValues lengths = axis_lengths(space);
    const AxisValues largest = largest_positions(space);
    silicon::CostTable bound;
    silicon::CostTable roomy_table;
    silicon::CostTable table;
    for (int64_t index = 0; index < num_chips(space); index += 5) {
      const AxisValues position = split_index(lengths, index);
      const chip::Chip chip = chip_of(space, position);
      AxisValues roomy = position;
      for (size_t axis = kFirstMonotoneAxis; axis < kNumAxes; ++axis) roomy[axis] = largest[axis];
      AxisValues roomiest = roomy;
      for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) roomiest[axis] = largest[axis];
      if (!chip::check_chip(chip).has_value()) continue;
      ASSERT_TRUE(model.costs->fill_table(chip, table).has_value());
      ASSERT_TRUE(model.costs->fill_table(chip_of(space, roomy), roomy_table).has_value());
      ASSERT_TRUE(model.costs->fill_bound(chip_of(space, roomiest), bound).has_value());
      expect_below(flatten(roomy_table, Metric::kLatency), flatten(table, Metric::kLatency),
                   "T1 latency of the roomier chip");
      expect_below(flatten(bound, Metric::kLatency), flatten(table, Metric::kLatency),
                   "T0 latency");
      expect_below(flatten(bound, Metric::kEnergy), flatten(table, Metric::kEnergy), "T0 energy");
      EXPECT_GE(bound.sram_bytes, table.sram_bytes);
      EXPECT_GE(bound.dram_bytes, table.dram_bytes);
      EXPECT_LE(bound.fixed_dram_bytes, table.fixed_dram_bytes);
      EXPECT_GE(roomy_table.sram_bytes, table.sram_bytes);
    }
  }
}

std::vector<std::pair<int64_t, double>> values(const std::vector<SweepEntry>& entries) {
  std::vector<std::pair<int64_t, double>> result;
  for (const SweepEntry& entry : entries) result.emplace_back(entry.chip_index, entry.value());
  return result;
}

void expect_same(const SweepOutcome& a, const SweepOutcome& b) {
  ASSERT_EQ(a.targets.size(), b.targets.size());
  for (size_t t = 0; t < a.targets.size(); ++t) {
    EXPECT_EQ(values(a.targets[t].ranking), values(b.targets[t].ranking)) << "target " << t;
    EXPECT_EQ(values(a.targets[t].contenders), values(b.targets[t].contenders)) << "target " << t;
    EXPECT_FALSE(a.targets[t].ranking.empty()) << "target " << t;
  }
  ASSERT_EQ(a.fronts.size(), b.fronts.size());
  for (size_t q = 0; q < a.fronts.size(); ++q) {
    EXPECT_EQ(values(a.fronts[q]), values(b.fronts[q])) << "front " << q;
    EXPECT_FALSE(a.fronts[q].empty());
  }
}

TEST(Sweep, CorrectnessPruningChangesNoAnswer) {
  const recipe::Workload long_prompt = {
      .name = "p", .prompt_tokens = 300, .output_tokens = 4, .batch = 2};
  const synthetic::Model chat = make_model(3);
  const synthetic::Model prompt = make_model(4, long_prompt);
  int64_t pruned = 0;
  for (uint64_t seed = 11; seed <= 12; ++seed) {
    std::vector<Product> products = {chat.product};
    if (seed % 2 == 0) {
      products.push_back(prompt.product);
      products.back().weight = 0.3;
    }
    const auto questions = joint_questions(
        products, {{Metric::kLatency, 0.02}, {Metric::kLatency, 0.2}, {Metric::kEnergy, 0.2}});
    const std::vector<SweepTarget> targets = {{0, Scale::kNone},
                                              {1, Scale::kNone},
                                              {1, Scale::kArea},
                                              {2, Scale::kArea},
                                              {0, Scale::kPrice}};
    const Space space = synthetic::random_space(seed);
    const Budget budget = synthetic::edge_budget();
    for (const bool everything : {true, false}) {
      const std::vector<SweepTarget> asked = everything ? targets : std::vector{targets[2]};
      SweepParams params = {.prune = false, .top_k = 3, .keep_front = everything};
      const auto full = sweep(*questions, space, budget, asked, params, {});
      params.prune = true;
      const auto cut = sweep(*questions, space, budget, asked, params, {});
      ASSERT_TRUE(full.has_value()) << full.error().message;
      ASSERT_TRUE(cut.has_value()) << cut.error().message;
      EXPECT_EQ(full->stats.num_pruned, 0);
      EXPECT_EQ(full->stats.num_allocated, full->stats.num_in_budget);
      EXPECT_EQ(full->stats.rejected, cut->stats.rejected);
      expect_same(*full, *cut);
      pruned += cut->stats.num_pruned;
      int64_t rejected = 0;
      for (const auto& [limit, count] : cut->stats.rejected) rejected += count;
      EXPECT_EQ(rejected + cut->stats.num_in_budget, num_chips(space));
    }
  }
  EXPECT_GT(pruned, 100);
}

// Frozen recipes: bounds against closing by the general solver.
TEST(Sweep, CorrectnessFrozenRangesHoldTheClosedCost) {
  const synthetic::Model model = make_model(5);
  Random random(7);
  for (uint64_t seed = 21; seed <= 24; ++seed) {
    const Space space = synthetic::random_space(seed);
    for (int64_t index = 0; index < num_chips(space); index += 37) {
      const chip::Chip chip = chip_at(space, index);
      if (!chip::check_chip(chip).has_value()) continue;
      FrozenQuestion question;
      for (int64_t v = 0; v < 3; ++v) {
        std::vector<int32_t> choice;
        for (const auto& row : model.product.losses.loss) {
          choice.push_back(static_cast<int32_t>(random.below(std::ssize(row))));
        }
        question.variants.push_back({choice});
      }
      question.metric = index % 2 == 0 ? Metric::kLatency : Metric::kEnergy;
      const auto questions = frozen_questions({model.product}, {question});
      std::vector<silicon::CostTable> tables;
      ASSERT_TRUE(fill_tables({model.product}, chip, tables).has_value());
      std::vector<CostRange> ranges;
      questions->make_solver()->solve(tables, {1}, ranges);
      double best = kImpossible;
      for (const FrozenRecipe& recipe : question.variants) {
        const auto closed =
            close_product(tables[0], question.metric, frozen(model.product.losses, recipe[0]),
                          residency_levels(model.costs->shape()), kImpossible, 1e-6);
        ASSERT_TRUE(closed.has_value()) << closed.error().message;
        if (closed->allocation.status != AllocationStatus::kSolved) continue;
        best = std::min(best, closed->allocation.cost + fixed_cost(tables[0], question.metric));
      }
      const auto point = questions->close(tables, 0, 1e-6);
      ASSERT_TRUE(point.has_value()) << point.error().message;
      if (best == kImpossible) {
        EXPECT_EQ(point->candidate.metric, kImpossible);
        continue;
      }
      EXPECT_LE(ranges[0].lower, best);
      EXPECT_GE(ranges[0].upper, best * (1 - 1e-6));
      EXPECT_NEAR(point->candidate.metric, best, 2e-6 * best);
    }
  }
}

}  // namespace
}  // namespace dovetail::search
