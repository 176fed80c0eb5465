#include "search/whole_space_bound.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "search/block_walk.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

synthetic::Model make_model(uint64_t seed) {
  auto model =
      synthetic::make_model(synthetic::small_shape(4),
                            {.name = "chat", .prompt_tokens = 48, .output_tokens = 12, .batch = 1},
                            synthetic::small_menu(), seed);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

const std::vector<Objective>& objectives() {
  static const std::vector<Objective> all = {{Metric::kLatency, Scale::kNone},
                                             {Metric::kLatency, Scale::kArea},
                                             {Metric::kLatency, Scale::kPrice},
                                             {Metric::kEnergy, Scale::kNone},
                                             {Metric::kEnergy, Scale::kArea}};
  return all;
}

// More of everything than random_space has, unsorted, so that splitting has something to do.
Space wide_space(uint64_t seed) {
  Space space = synthetic::random_space(seed);
  space.clock_mhz = {800, 500, 1000};
  space.sram_mib = {4, 0.25, 1, 12};
  space.dram_channels = {2, 1, 4};
  space.cores = {2, 1};
  if (seed % 2 == 0) {
    space.tensor_parallel = {3, 1};
    space.link_kind = "c2c";
    space.links = 1;
  }
  return space;
}

// Chip by chip: budget, then scale times T0.
double least_by_brute_force(const Product& product, const Space& space, const Budget& budget,
                            const SweepTarget& target, ChipSolver& solver) {
  const BudgetScreen screen(*product.costs, space, budget);
  double least = kImpossible;
  std::vector<silicon::CostTable> tables;
  std::vector<double> lower;
  for (int64_t index = 0; index < num_chips(space); index += 7) {
    if (screen.classify_exactly(split_index(screen.lengths(), index)).value() != Limit::kNone) {
      continue;
    }
    const chip::Chip chip = chip_at(space, index);
    const silicon::ChipLimits limits = product.costs->limits(chip).value();
    EXPECT_TRUE(fill_bounds({product}, chip, tables).has_value());
    solver.bound(tables, lower);
    const double price = limits.die_price_usd + limits.dram_price_usd;
    least = std::min(least, scale_factor(target.scale, limits.area_mm2, price) *
                                lower[static_cast<size_t>(target.question)]);
  }
  return least;
}

TEST(WholeSpaceBound, CorrectnessIsBelowEveryChipAndRisesWithMoreBoxes) {
  const synthetic::Model model = make_model(1);
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Space space = wide_space(seed);
    const auto questions =
        joint_questions({model.product}, {{Metric::kLatency, 0.1}, {Metric::kEnergy, 0.1}});
    const auto solver = questions->make_solver();
    std::vector<SweepTarget> targets;
    for (const Objective& objective : objectives()) {
      targets.push_back({objective.metric == Metric::kLatency ? 0 : 1, objective.scale});
    }
    std::vector<double> last(targets.size(), 0.0);
    for (const int64_t boxes : {1, 20, 400, 100'000}) {
      const auto bounds =
          whole_space_bounds(*questions, space, synthetic::edge_budget(), targets, boxes);
      ASSERT_TRUE(bounds.has_value()) << bounds.error().message;
      for (size_t t = 0; t < targets.size(); ++t) {
        EXPECT_GE((*bounds)[t], last[t] * (1 - 1e-12)) << "target " << t << ", boxes " << boxes;
        last[t] = (*bounds)[t];
      }
    }
    for (size_t t = 0; t < targets.size(); ++t) {
      const double least =
          least_by_brute_force(model.product, space, synthetic::edge_budget(), targets[t], *solver);
      EXPECT_LE(last[t], least * (1 + 1e-9)) << "seed " << seed << ", target " << t;
      EXPECT_GE(last[t], 0.5 * least) << "seed " << seed << ", target " << t;  // says something
    }
  }
}

TEST(WholeSpaceBound, CorrectnessIsBelowTheExactAnswer) {
  const synthetic::Model model = make_model(2);
  for (uint64_t seed = 11; seed <= 13; ++seed) {
    const Space space = synthetic::random_space(seed);
    for (const Objective& objective : objectives()) {
      const auto exact = enumerate({model.product}, space, synthetic::edge_budget(),
                                   {{objective, 0.2}}, {.top_k = 1, .keep_front = false}, {});
      ASSERT_TRUE(exact.has_value()) << exact.error().message;
      ASSERT_TRUE(exact->scenarios[0].feasible);
      const auto questions = joint_questions({model.product}, {{objective.metric, 0.2}});
      const auto bounds = whole_space_bounds(*questions, space, synthetic::edge_budget(),
                                             {{0, objective.scale}}, 300);
      ASSERT_TRUE(bounds.has_value());
      EXPECT_LE((*bounds)[0], exact->scenarios[0].best.objective) << objective_name(objective);
    }
  }
}

TEST(WholeSpaceBound, CorrectnessNothingFitsIsInfinite) {
  const synthetic::Model model = make_model(3);
  Budget tiny = synthetic::edge_budget();
  tiny.max_area_mm2 = 0.5;
  const auto questions = joint_questions({model.product}, {{Metric::kLatency, 0.2}});
  const auto bounds =
      whole_space_bounds(*questions, synthetic::random_space(1), tiny, {{0, Scale::kNone}}, 10'000);
  ASSERT_TRUE(bounds.has_value());
  EXPECT_EQ((*bounds)[0], kImpossible);
}

}  // namespace
}  // namespace dovetail::search
