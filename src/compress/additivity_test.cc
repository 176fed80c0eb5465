#include "compress/additivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "compress/profile.h"
#include "compress/tiny_model.h"

namespace dovetail::compress {
namespace {

std::vector<AdditivitySample> samples_of(const std::vector<std::pair<double, double>>& pairs) {
  std::vector<AdditivitySample> samples;
  for (const auto& [predicted, measured] : pairs) {
    samples.push_back({.name = "r",
                       .bits_per_weight = 4,
                       .predicted_nats_per_token = predicted,
                       .measured_nats_per_token = measured});
  }
  return samples;
}

TEST(AdditivityOf, ExactMultipleIsAllBias) {
  const auto stats = additivity_of(samples_of({{0.1, 0.15}, {0.4, 0.6}, {0.2, 0.3}}));
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_NEAR(stats->spearman, 1, 1e-12);
  EXPECT_NEAR(stats->r2_log, 1, 1e-12);
  EXPECT_NEAR(stats->bias_ratio, 1.5, 1e-12);
  EXPECT_NEAR(stats->bias_spread_ratio, 1, 1e-9);
  EXPECT_NEAR(stats->bias_min_ratio, 1.5, 1e-12);
  EXPECT_NEAR(stats->bias_max_ratio, 1.5, 1e-12);
}

// Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15) = 0.8.
TEST(AdditivityOf, MatchesAHandWorkedRankCorrelation) {
  const auto stats = additivity_of(samples_of({{1, 10}, {2, 30}, {3, 20}, {4, 40}}));
  ASSERT_TRUE(stats.has_value());
  EXPECT_NEAR(stats->spearman, 0.8, 1e-12);
}

// Ranks 1.5 1.5 3 against 1 2 3: covariance 1.5, variances 1.5 and 2.
TEST(AdditivityOf, TiesShareTheirMeanRank) {
  const auto stats = additivity_of(samples_of({{1, 1}, {1, 2}, {2, 3}}));
  ASSERT_TRUE(stats.has_value());
  EXPECT_NEAR(stats->spearman, 1.5 / std::sqrt(1.5 * 2), 1e-12);
}

// Ratios e and 1/e twice each: mean 1, variance of the logarithms 4/3.
TEST(AdditivityOf, SpreadIsTheGeometricDeviation) {
  const double e = std::exp(1.0);
  const auto stats = additivity_of(samples_of({{1, e}, {2, 2 / e}, {3, 3 * e}, {4, 4 / e}}));
  ASSERT_TRUE(stats.has_value());
  EXPECT_NEAR(stats->bias_ratio, 1, 1e-12);
  EXPECT_NEAR(stats->bias_spread_ratio, std::exp(std::sqrt(4.0 / 3)), 1e-12);
  EXPECT_NEAR(stats->bias_min_ratio, 1 / e, 1e-12);
  EXPECT_NEAR(stats->bias_max_ratio, e, 1e-12);
}

TEST(AdditivityOf, WantsThreeLossesAboveZero) {
  const auto stats = additivity_of(samples_of({{0, 0}, {1, 1}, {2, 2}}));
  ASSERT_FALSE(stats.has_value());
  EXPECT_EQ(stats.error().message, "additivity: 2 recipes with a loss above 0, want 3 or more");
}

// Two recipes of one class at x2, one at x8 that is half of each class: by hand.
TEST(AdditivityOf, CountsARecipeForAnAlgorithmByItsShare) {
  auto samples = samples_of({{1, 2}, {2, 4}, {1, 8}});
  samples[0].by_algorithm = {{"nearest", 1}};
  samples[1].by_algorithm = {{"nearest", 2}};
  samples[2].by_algorithm = {{"nearest", .5}, {"gptq", .5}};
  const auto stats = additivity_of(std::move(samples));
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  const AlgorithmBias& nearest = stats->by_algorithm.at("nearest");
  EXPECT_NEAR(nearest.num_recipes, 2.5, 1e-12);
  EXPECT_NEAR(nearest.bias_ratio, std::exp2((1 + 1 + .5 * 3) / 2.5), 1e-12);
  EXPECT_NEAR(std::log2(nearest.spread_ratio), std::sqrt((1 + 1 + .5 * 9) / 2.5 - 1.4 * 1.4),
              1e-12);
  EXPECT_NEAR(stats->by_algorithm.at("gptq").bias_ratio, 8, 1e-12);
  EXPECT_NEAR(stats->by_algorithm.at("gptq").spread_ratio, 1, 1e-9);
}

TEST(LossByAlgorithm, IsThePredictionOfTheLinearsInParts) {
  const auto weights = tiny_weights(4);
  const recipe::Menu menu{.linear = {{}, recipe::parse_linear_treatment("int4_g32").value()},
                          .kv = {{}, recipe::parse_kv_treatment("int8").value()}};
  LossProfile profiled =
      profile(weights, menu, {.name = "t", .digest = "d", .tokens = random_tokens(2, 32, 101, 9)},
              {})
          .value();
  for (LossByName& losses : profiled.weight_loss)
    if (!losses.empty()) losses["int4_g32_gptq"] = .25 * losses.at("int4_g32");
  recipe::Recipe recipe = recipe::parse_uniform_recipe(weights->shape, "int4_g32+kv:int8").value();
  recipe.layers[1].linear.fill(recipe::parse_linear_treatment("int4_g32_gptq").value());
  const auto parts = loss_by_algorithm(profiled, recipe);
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  ASSERT_EQ(parts->size(), 2U);
  double gptq = 0;
  for (size_t site = 5; site < 9; ++site) gptq += profiled.weight_loss[site].at("int4_g32_gptq");
  EXPECT_NEAR(parts->at("gptq"), gptq, 1e-12);
  double kv = 0;
  for (const LossByName& losses : profiled.kv_loss) kv += losses.at("int8");
  EXPECT_NEAR(parts->at("gptq") + parts->at("nearest") + kv, predict_loss(profiled, recipe).value(),
              1e-12);
}

TEST(DrawRecipes, AHeadIsNeverFolded) {
  const model::ModelShape shape = tiny_weights(1)->shape;
  recipe::Menu menu{.linear = {{}}, .kv = {{}}};
  for (const char* name : {"int4_g32_awq", "int4_g32_smooth", "int4_g32_gptq"})
    menu.linear.push_back(recipe::parse_linear_treatment(name).value());
  const auto recipes = draw_recipes(shape, menu, {});
  ASSERT_TRUE(recipes.has_value());
  for (const RandomRecipe& drawn : *recipes)
    EXPECT_TRUE(recipe::check_recipe(shape, drawn.recipe).has_value()) << drawn.name;
}

TEST(AdditivityToJson, HoldsEverySample) {
  const auto stats = additivity_of(samples_of({{0.1, 0.15}, {0.4, 0.6}, {0.2, 0.3}}));
  const Json json = additivity_to_json(*stats);
  EXPECT_EQ(json["num_recipes"], 3);
  EXPECT_EQ(json["recipes"][1]["measured_nats_per_token"], 0.6);
}

TEST(DrawRecipes, AreSeededAndSpreadOverTheBits) {
  const model::ModelShape shape = tiny_weights(1)->shape;
  const recipe::Menu menu = whole_menu();
  const auto recipes = draw_recipes(shape, menu, {});
  ASSERT_TRUE(recipes.has_value()) << recipes.error().message;
  ASSERT_EQ(recipes->size(), 24U);
  const auto again = draw_recipes(shape, menu, {});
  const auto other = draw_recipes(shape, menu, {.seed = 2});
  std::set<std::string> names;
  double least = 100;
  double most = 0;
  for (size_t i = 0; i < recipes->size(); ++i) {
    const RandomRecipe& drawn = (*recipes)[i];
    names.insert(drawn.name);
    EXPECT_EQ(drawn.recipe, (*again)[i].recipe);
    EXPECT_EQ(drawn.recipe != (*other)[i].recipe, i >= 6) << "uniform recipes come first";
    const double bits = recipe::bits_per_weight(shape, drawn.recipe);
    EXPECT_GE(bits, 3.0);
    least = std::min(least, bits);
    most = std::max(most, bits);
  }
  EXPECT_EQ(names.size(), 24U);
  EXPECT_LT(least, 3.6);
  EXPECT_GT(most, 8.0);
}

TEST(DrawRecipes, MixedOnesMixWithinTheirSpread) {
  const model::ModelShape shape = tiny_weights(1)->shape;
  const auto recipes =
      draw_recipes(shape, whole_menu(), {.num_mixed = 10, .num_uniform = 0, .spread_bits = 0.5});
  ASSERT_TRUE(recipes.has_value());
  for (const RandomRecipe& drawn : *recipes) {
    double least = 100;
    double most = 0;
    for (const recipe::LayerRecipe& layer : drawn.recipe.layers) {
      for (const recipe::LinearTreatment& treatment : layer.linear) {
        const double bits =
            static_cast<double>(formats::stored_bits_per_row(treatment.weight, 64)) / 64;
        least = std::min(least, bits);
        most = std::max(most, bits);
      }
    }
    EXPECT_LE(most - least, 1.0 + 1e-9) << drawn.name;
    EXPECT_GT(most, least) << drawn.name;
  }
}

TEST(DrawRecipes, RefusesAMenuWithNothingToDraw) {
  const auto recipes = draw_recipes(tiny_weights(1)->shape, {.linear = {{}}, .kv = {{}}}, {});
  ASSERT_FALSE(recipes.has_value());
  EXPECT_EQ(recipes.error().message,
            "menu: no treatment besides bf16 has 3 stored bits per weight or more");
}

}  // namespace
}  // namespace dovetail::compress
