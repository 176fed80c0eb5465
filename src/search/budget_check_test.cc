#include "search/budget_check.h"

#include <gtest/gtest.h>

#include "search/budget_screen.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

// Against the screen that the sweep uses, limit by limit, over a whole space.
TEST(BudgetCheck, AgreesWithTheScreenOfTheSweep) {
  const auto model = synthetic::make_model(synthetic::small_shape(2),
                                           {.name = "w", .prompt_tokens = 32, .output_tokens = 4},
                                           synthetic::small_menu(), 1);
  ASSERT_TRUE(model.has_value());
  const std::vector<Product> products = {model->product};
  const Space space = synthetic::random_space(5);
  Budget budget = synthetic::edge_budget();
  budget.max_sustained_power_w = 1e9;  // a property of the recipe, which the screen does not see
  int num_fitting = 0;
  int num_broken = 0;
  for (const double area : {5.0, 9.0, 40.0}) {
    budget.max_area_mm2 = area;
    const BudgetScreen screen(*model->costs, space, budget);
    for (int64_t i = 0; i < num_chips(space); i += 7) {
      Candidate candidate;
      candidate.chip = chip_at(space, i);
      if (!chip::check_chip(candidate.chip).has_value()) continue;
      candidate.limits = model->costs->limits(candidate.chip).value();
      const auto want = screen.classify_exactly(split_index(axis_lengths(space), i));
      ASSERT_TRUE(want.has_value());
      candidate.treatments = {
          std::vector<int32_t>(static_cast<size_t>(model->product.losses.num_sites()), 0)};
      candidate.resident_frac = {std::vector<float>(candidate.treatments[0].size(), 0.0F)};
      const bool has_bf16 = candidate.chip.units[0].pairs.size() > 1;
      if (!has_bf16) continue;  // treatment 0 is bf16
      const auto broken = broken_limit(products, candidate, budget);
      ASSERT_TRUE(broken.has_value()) << broken.error().message;
      EXPECT_EQ(*broken, *want == Limit::kNone ? "" : limit_name(*want));
      (broken->empty() ? num_fitting : num_broken) += 1;
    }
  }
  EXPECT_GT(num_fitting, 10);
  EXPECT_GT(num_broken, 10);
}

TEST(BudgetCheck, SustainedPowerIsTheRecipes) {
  const auto model = synthetic::make_model(synthetic::small_shape(2),
                                           {.name = "w", .prompt_tokens = 32, .output_tokens = 4},
                                           synthetic::small_menu(), 1);
  ASSERT_TRUE(model.has_value());
  const std::vector<Product> products = {model->product};
  const Space space = synthetic::random_space(5);
  const auto found = solve_on_chip(products, chip_at(space, num_chips(space) - 1),
                                   {{Metric::kLatency, Scale::kNone}, 1.0}, 1e-2);
  ASSERT_TRUE(found.has_value());
  Budget budget = {.max_area_mm2 = 1e9,
                   .max_peak_power_w = 1e9,
                   .max_sustained_power_w = 1e9,
                   .max_power_density_w_per_mm2 = 1e9};
  EXPECT_EQ(broken_limit(products, *found, budget).value(), "");
  budget.max_sustained_power_w = 1e-3;
  EXPECT_EQ(broken_limit(products, *found, budget).value(), "sustained_power");
}

}  // namespace
}  // namespace dovetail::search
