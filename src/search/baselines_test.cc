#include "search/baselines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "search/closing.h"
#include "search/synthetic_case.h"
#include "search/uniform_recipes.h"

namespace dovetail::search {
namespace {

using ::testing::HasSubstr;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

synthetic::Model make_model(uint64_t seed) {
  auto model =
      synthetic::make_model(synthetic::small_shape(2),
                            {.name = "chat", .prompt_tokens = 48, .output_tokens = 12, .batch = 1},
                            synthetic::small_menu(), seed);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

Space space_with_all_formats(uint64_t seed) {
  Space space = synthetic::random_space(seed);
  space.format_sets = {
      synthetic::make_set("i9+bf16", {{"int9", "int8"}, {"bf16", "bf16"}}),
      synthetic::make_set("i4+i9", {{"int4", "int8"}, {"int9", "int8"}}, "composed")};
  return space;
}

std::vector<chip::Chip> two_references(const Space& space) {
  std::vector<chip::Chip> chips;
  for (int64_t index = num_chips(space) - 1; index >= 0 && chips.size() < 2; index -= 101) {
    const chip::Chip chip = chip_at(space, index);
    if (chip::check_chip(chip).has_value()) chips.push_back(chip);
  }
  return chips;
}

TEST(Baselines, CorrectnessNoneBeatsTheJointAnswer) {
  const synthetic::Model model = make_model(1);
  for (uint64_t seed = 91; seed <= 92; ++seed) {
    const Space space = space_with_all_formats(seed);
    const Budget budget = synthetic::edge_budget();
    for (const Scenario& scenario : {Scenario{{Metric::kLatency, Scale::kArea}, 0.2},
                                     Scenario{{Metric::kLatency, Scale::kNone}, 0.05}}) {
      const EnumerateParams params = {.top_k = 2, .keep_front = false, .max_gap_frac = 1e-3};
      const auto joint = enumerate({model.product}, space, budget, {scenario}, params, {});
      const auto baselines = solve_baselines({model.product}, space, budget, scenario,
                                             two_references(space), params, {});
      ASSERT_TRUE(joint.has_value()) << joint.error().message;
      ASSERT_TRUE(baselines.has_value()) << baselines.error().message;
      ASSERT_EQ(baselines->size(), baseline_names().size());
      for (size_t i = 0; i < baselines->size(); ++i) {
        const BaselineResult& baseline = (*baselines)[i];
        EXPECT_EQ(baseline.name, baseline_names()[i]);
        ASSERT_TRUE(baseline.feasible) << baseline.name << ": " << baseline.why_not;
        EXPECT_FALSE(baseline.fixed_first.empty());
        EXPECT_GE(baseline.candidate.objective, joint->scenarios[0].best.objective * (1 - 1e-3))
            << baseline.name;
        EXPECT_LE(total_loss(model.product.losses, baseline.candidate.treatments[0]),
                  scenario.max_loss * (1 + 1e-9))
            << baseline.name;
        // Asked alone, the answer is the same.
        const auto alone = solve_baseline(baseline.name, {model.product}, space, budget, scenario,
                                          two_references(space), params, {});
        ASSERT_TRUE(alone.has_value());
        EXPECT_EQ(alone->candidate.chip_index, baseline.candidate.chip_index);
        EXPECT_EQ(alone->candidate.objective, baseline.candidate.objective);
      }
    }
  }
}

TEST(Baselines, CorrectnessBestUniformEqualsBruteForce) {
  const synthetic::Model model = make_model(2);
  Space space = space_with_all_formats(95);
  space.vector_lanes.resize(1);
  space.decoder_values_per_cycle.resize(1);
  space.accumulator_kib = {16};
  space.activation_buffer_kib = {32};
  space.sram_mib.resize(1);
  const Budget budget = synthetic::edge_budget();
  const Scenario scenario = {{Metric::kLatency, Scale::kArea}, 0.1};
  const auto found = solve_baseline("best_uniform", {model.product}, space, budget, scenario, {},
                                    {.max_gap_frac = 1e-3}, {});
  ASSERT_TRUE(found.has_value() && found->feasible);
  const BudgetScreen screen(*model.costs, space, budget);
  double best = kInfinity;
  for (const NamedRecipe& named : uniform_recipes({model.product}, "", scenario.max_loss)) {
    Product only = model.product;
    only.losses = frozen(only.losses, named.recipe[0]);
    for (int64_t index = 0; index < num_chips(space); ++index) {
      if (screen.classify_exactly(split_index(screen.lengths(), index)).value() != Limit::kNone) {
        continue;
      }
      const auto candidate = solve_on_chip({only}, chip_at(space, index), scenario, 1e-3);
      ASSERT_TRUE(candidate.has_value());
      if (candidate->objective < best) {
        const auto power = sustained_power_w({only}, *candidate);
        if (power.value() <= budget.max_sustained_power_w) best = candidate->objective;
      }
    }
  }
  EXPECT_NEAR(found->candidate.objective, best, 1e-3 * best);
}

// Two different models on one chip: each takes the uniform treatment that suits it, so per chip the
// best of each is added up.
TEST(Baselines, CorrectnessBestUniformOfTwoProductsEqualsBruteForce) {
  const synthetic::Model chat = make_model(3);
  auto other =
      synthetic::make_model(synthetic::small_shape(3),
                            {.name = "reader", .prompt_tokens = 96, .output_tokens = 4, .batch = 1},
                            synthetic::small_menu(), 8);
  ASSERT_TRUE(other.has_value());
  std::vector<Product> products = {chat.product, other->product};
  products[0].weight = 3;
  products[1].weight = 0.5;
  // The second model hurts more, so that it needs another treatment than the first.
  for (std::vector<double>& row : products[1].losses.loss) {
    for (double& loss : row) loss *= 6;
  }
  Space space = space_with_all_formats(96);
  space.vector_lanes.resize(1);
  space.decoder_values_per_cycle.resize(1);
  space.accumulator_kib = {16};
  space.activation_buffer_kib = {32};
  space.sram_mib.resize(1);
  const Budget budget = synthetic::edge_budget();
  const Scenario scenario = {{Metric::kLatency, Scale::kArea}, 0.1};
  const auto found = solve_baseline("best_uniform", products, space, budget, scenario, {},
                                    {.max_gap_frac = 1e-3}, {});
  ASSERT_TRUE(found.has_value() && found->feasible);
  const BudgetScreen screen(*chat.costs, space, budget);
  double best = kInfinity;
  for (int64_t index = 0; index < num_chips(space); ++index) {
    if (screen.classify_exactly(split_index(screen.lengths(), index)).value() != Limit::kNone) {
      continue;
    }
    double sum = 0;
    for (size_t p = 0; p < products.size(); ++p) {
      double least = kInfinity;
      for (const NamedRecipe& named : uniform_recipes({products[p]}, "", scenario.max_loss)) {
        Product only = products[p];
        only.losses = frozen(only.losses, named.recipe[0]);
        const auto candidate = solve_on_chip({only}, chip_at(space, index), scenario, 1e-3);
        ASSERT_TRUE(candidate.has_value());
        least = std::min(least, candidate->objective);
      }
      sum += least;
    }
    best = std::min(best, sum);
  }
  EXPECT_NEAR(found->candidate.objective, best, 1e-3 * best);
  EXPECT_NE(found->candidate.treatments[0][0], found->candidate.treatments[1][0])
      << found->fixed_first;
  for (size_t p = 0; p < products.size(); ++p) {
    EXPECT_LE(total_loss(products[p].losses, found->candidate.treatments[p]), scenario.max_loss);
  }
}

TEST(Baselines, CorrectnessUniformRecipesFollowTheRule) {
  const synthetic::Model model = make_model(3);
  const std::vector<NamedRecipe> all = uniform_recipes({model.product}, "", kInfinity);
  const recipe::Menu& menu = model.product.losses.menu;
  for (const NamedRecipe& named : all) {
    const std::vector<int32_t>& choice = named.recipe[0];
    for (int64_t s = 0; s < model.product.losses.num_sites(); ++s) {
      const auto kind = static_cast<int64_t>(site_kind(model.product.losses, s));
      if (kind < 4) {
        EXPECT_EQ(choice[static_cast<size_t>(s)], choice[0]);
      } else if (kind == 4) {
        EXPECT_EQ(choice[static_cast<size_t>(s)], choice[4]);
      }
    }
    const recipe::LinearTreatment& head = menu.linear[static_cast<size_t>(choice.back())];
    EXPECT_TRUE(choice.back() == choice[0] || choice.back() == 0 || head.weight.bits == 8);
  }
  // 8 linears, 4 kv; heads: bf16 and two 8-bit ones, and the linears' own where that is another.
  EXPECT_EQ(all.size(), 3U * 4 * 3 + 5U * 4 * 4);
  for (const NamedRecipe& named : uniform_recipes({model.product}, "int4_g128", 0.3)) {
    EXPECT_LE(total_loss(model.product.losses, named.recipe[0]), 0.3);
    EXPECT_TRUE(named.name.starts_with("int4_g128+kv:")) << named.name;
  }
}

TEST(Baselines, CorrectnessSmallestRecipeIsSmallest) {
  const synthetic::Model model = make_model(4);
  const auto smallest = smallest_recipe({model.product}, 0.3, 1e-6);
  ASSERT_TRUE(smallest.has_value() && !smallest->empty());
  EXPECT_LE(total_loss(model.product.losses, (*smallest)[0]), 0.3);
  const auto bits = [&](const FrozenRecipe& recipe) {
    return recipe::bits_per_weight(
        model.costs->shape(),
        recipe::make_recipe(model.costs->shape(), model.product.losses.menu, recipe[0]));
  };
  for (const NamedRecipe& named : uniform_recipes({model.product}, "", 0.3)) {
    if (named.recipe[0].back() == named.recipe[0].front()) {
      EXPECT_LE(bits(*smallest), bits(named.recipe));
    }
  }
  Product without_reference = model.product;
  for (auto& row : without_reference.losses.loss) row[0] = kForbidden;
  EXPECT_TRUE(smallest_recipe({without_reference}, 1e-9, 1e-3)->empty());
}

TEST(Baselines, CorrectnessWhatCannotBeRunIsNamed) {
  const synthetic::Model model = make_model(5);
  Space integers_only = space_with_all_formats(97);
  integers_only.format_sets = {synthetic::make_set("i9", {{"int9", "int8"}})};
  const auto baselines = solve_baselines({model.product}, integers_only, synthetic::edge_budget(),
                                         {{Metric::kLatency, Scale::kNone}, 0.2}, {}, {}, {});
  ASSERT_TRUE(baselines.has_value()) << baselines.error().message;
  EXPECT_FALSE((*baselines)[0].feasible);
  EXPECT_THAT((*baselines)[0].why_not, HasSubstr("reference chip"));
  EXPECT_FALSE((*baselines)[3].feasible);  // w4a16 without bf16 activations
  EXPECT_THAT((*baselines)[3].why_not, HasSubstr("no chip"));
  EXPECT_TRUE((*baselines)[4].feasible);
}

TEST(Baselines, ErrorNamesTheNearest) {
  const synthetic::Model model = make_model(6);
  const auto wrong = solve_baseline("best_unform", {model.product}, synthetic::random_space(1),
                                    synthetic::edge_budget(), {}, {}, {}, {});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("best_uniform"));
}

}  // namespace
}  // namespace dovetail::search
