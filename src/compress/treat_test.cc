#include "compress/treat.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "compress/site_matrix.h"
#include "compress/tiny_model.h"

namespace dovetail::compress {
namespace {

using model::Matrix;
using recipe::SiteKind;

recipe::Recipe uniform(const model::ModelShape& shape, const std::string& name) {
  auto recipe = recipe::parse_uniform_recipe(shape, name);
  EXPECT_TRUE(recipe.has_value()) << recipe.error().message;
  return *recipe;
}

// What a linear site and the head hold, one vector a matrix.
std::vector<std::vector<float>> values_of(const model::Weights& weights, int64_t site) {
  const recipe::Site at = recipe::site_at(weights.shape, site);
  if (at.kind == SiteKind::kHead) return {weights.head_matrix().values};
  std::vector<std::vector<float>> values;
  for (const SiteMember& member : site_members(at.kind)) {
    values.push_back((weights.layers[static_cast<size_t>(at.layer)].*member.matrix).values);
  }
  return values;
}

void expect_model_holds(const host::HostModel& model, const model::Weights& weights) {
  for (int64_t l = 0; l < weights.shape.num_layers; ++l) {
    const model::LayerWeights& want = weights.layers[static_cast<size_t>(l)];
    for (const auto matrix :
         {&model::LayerWeights::q, &model::LayerWeights::k, &model::LayerWeights::v,
          &model::LayerWeights::o, &model::LayerWeights::gate, &model::LayerWeights::up,
          &model::LayerWeights::down}) {
      EXPECT_EQ((model.layer(l).*matrix).values, (want.*matrix).values) << "layer " << l;
    }
    EXPECT_EQ(model.layer(l).attn_norm, want.attn_norm);
  }
  EXPECT_EQ(model.head().values, weights.head_matrix().values);
  EXPECT_EQ(model.embedding().values, weights.embedding.values);
}

// A recipe that treats every site in its own way.
recipe::Recipe mixed(const model::ModelShape& shape, uint64_t seed) {
  Random random(seed);
  const auto& formats = formats::all_weight_formats();
  const auto draw = [&] {
    return formats[static_cast<size_t>(random.below(static_cast<int64_t>(formats.size())))];
  };
  recipe::Recipe recipe = uniform(shape, "bf16");
  for (recipe::LayerRecipe& layer : recipe.layers) {
    for (recipe::LinearTreatment& treatment : layer.linear) treatment.weight = draw();
  }
  recipe.head.weight = draw();
  return recipe;
}

TEST(ApplyRecipe, ReferenceRecipeChangesNothing) {
  const auto weights = tiny_weights(1);
  const auto treated = apply_recipe(*weights, uniform(weights->shape, "bf16"));
  ASSERT_TRUE(treated.has_value());
  for (int64_t site = 0; site < recipe::num_sites(weights->shape); ++site) {
    EXPECT_EQ(values_of(*treated, site), values_of(*weights, site));
  }
}

TEST(ApplyRecipe, TouchesOnlyTheSiteThatIsTreated) {
  const auto weights = tiny_weights(1);
  for (int64_t target = 0; target < recipe::num_sites(weights->shape); ++target) {
    const recipe::Site site = recipe::site_at(weights->shape, target);
    if (site.kind == SiteKind::kKv) continue;
    recipe::Recipe recipe = uniform(weights->shape, "bf16");
    const recipe::LinearTreatment int4 = recipe::parse_linear_treatment("int4_g32").value();
    if (site.kind == SiteKind::kHead) {
      recipe.head = int4;
    } else {
      recipe.layers[static_cast<size_t>(site.layer)].linear[static_cast<size_t>(site.kind)] = int4;
    }
    const auto treated = apply_recipe(*weights, recipe);
    ASSERT_TRUE(treated.has_value());
    for (int64_t other = 0; other < recipe::num_sites(weights->shape); ++other) {
      const auto before = values_of(*weights, other);
      const auto after = values_of(*treated, other);
      for (size_t m = 0; m < before.size(); ++m) {
        EXPECT_EQ(before[m] != after[m], other == target) << "site " << other << ", matrix " << m;
      }
    }
  }
}

// A value on the grid of its group has no error at the same scale; only a group whose most negative
// code is its largest magnitude can move to another scale.
TEST(ApplyRecipe, TreatingTwiceChangesLittle) {
  const auto weights = tiny_weights(1);
  const recipe::Recipe recipe = uniform(weights->shape, "int8_g32+head:int8_g32");
  const auto once = apply_recipe(*weights, recipe);
  const auto twice = apply_recipe(*once, recipe);
  ASSERT_TRUE(twice.has_value());
  double first_error = 0;
  double second_error = 0;
  for (int64_t site = 0; site < recipe::num_sites(weights->shape); ++site) {
    const auto a = values_of(*weights, site);
    const auto b = values_of(*once, site);
    const auto c = values_of(*twice, site);
    for (size_t m = 0; m < a.size(); ++m) {
      for (size_t i = 0; i < a[m].size(); ++i) {
        first_error += std::pow(static_cast<double>(a[m][i] - b[m][i]), 2);
        second_error += std::pow(static_cast<double>(b[m][i] - c[m][i]), 2);
      }
    }
  }
  EXPECT_GT(first_error, 0);
  EXPECT_LT(second_error, 0.1 * first_error);
}

TEST(ApplyRecipe, TiedHeadTreatsTheEmbeddingAndAnUntiedOneDoesNot) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(2, tied);
    const auto treated = apply_recipe(*weights, uniform(weights->shape, "bf16+head:int4_g32"));
    ASSERT_TRUE(treated.has_value());
    EXPECT_EQ(treated->embedding.values != weights->embedding.values, tied);
    EXPECT_NE(treated->head_matrix().values, weights->head_matrix().values);
  }
}

TEST(TreatedModel, WalksFromRecipeToRecipeAsIfEachWereTheFirst) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(3, tied);
    for (const int64_t cache_bytes : {int64_t{0}, int64_t{20000}, int64_t{1} << 30}) {
      auto treated = TreatedModel::create(weights, cache_bytes);
      ASSERT_TRUE(treated.has_value()) << treated.error().message;
      for (const uint64_t seed : {1U, 2U, 1U, 3U, 2U, 1U}) {
        const recipe::Recipe recipe = mixed(weights->shape, seed);
        ASSERT_TRUE(treated->apply(recipe).has_value());
        expect_model_holds(treated->model(), *apply_recipe(*weights, recipe));
      }
      ASSERT_TRUE(treated->apply(uniform(weights->shape, "bf16")).has_value());
      expect_model_holds(treated->model(), *weights);
    }
  }
}

TEST(TreatedModel, RoundsAgainOnlyWhatChanged) {
  const auto weights = tiny_weights(3);
  auto treated = TreatedModel::create(weights);
  ASSERT_TRUE(treated.has_value());
  recipe::Recipe recipe = uniform(weights->shape, "int4_g32");
  EXPECT_EQ(treated->apply(recipe)->rounded_weights, weights->shape.num_block_linear_weights());
  EXPECT_EQ(treated->apply(recipe)->rounded_weights, 0);
  recipe.layers[1].linear[3].weight = formats::parse_weight_format("int8").value();
  const auto changed = treated->apply(recipe);
  EXPECT_EQ(changed->rounded_weights, 64 * 96);
  EXPECT_EQ(changed->reused_weights, 0);
  recipe.layers[1].linear[3].weight = formats::parse_weight_format("int4_g32").value();
  const auto back = treated->apply(recipe);
  EXPECT_EQ(back->rounded_weights, 0);
  EXPECT_EQ(back->reused_weights, 64 * 96);
}

TEST(TreatedModel, SetsTheNumerics) {
  const auto weights = tiny_weights(3);
  auto treated = TreatedModel::create(weights);
  ASSERT_TRUE(treated.has_value());
  const recipe::Recipe recipe = uniform(weights->shape, "int8+a:int8_token+kv:int4");
  ASSERT_TRUE(treated->apply(recipe).has_value());
  EXPECT_EQ(treated->model().numerics(), host::numerics_of(recipe));
}

TEST(TreatedModel, RefusesARecipeOfAnotherModel) {
  auto treated = TreatedModel::create(tiny_weights(3));
  ASSERT_TRUE(treated.has_value());
  const auto applied = treated->apply(recipe::Recipe{});
  ASSERT_FALSE(applied.has_value());
  EXPECT_EQ(applied.error().message, "recipe has 0 layers, the model tiny has 3");
  EXPECT_FALSE(apply_recipe(*tiny_weights(3), recipe::Recipe{}).has_value());
}

TEST(TreatedModel, TakesSitesWithAnAlgorithmFromTheirVersions) {
  const auto weights = tiny_weights(5);
  std::vector<int64_t> asked;
  const SiteValues versions = [&](int64_t site,
                                  const recipe::LinearTreatment& treatment) -> Result<SiteWeights> {
    EXPECT_EQ(recipe::weight_treatment_name(treatment), "int4_g32_gptq");
    asked.push_back(site);
    int64_t count = 0;
    for (const auto& values : values_of(*weights, site)) count += std::ssize(values);
    return SiteWeights{std::vector<float>(static_cast<size_t>(count), static_cast<float>(site))};
  };
  auto treated = TreatedModel::create(weights, 1 << 20, versions);
  ASSERT_TRUE(treated.has_value());
  recipe::Recipe recipe = uniform(weights->shape, "int4_g32");
  recipe.layers[1].linear[0].algorithm = recipe::Algorithm::kGptq;
  recipe.head = {.weight = recipe.layers[0].linear[0].weight,
                 .algorithm = recipe::Algorithm::kGptq};
  ASSERT_TRUE(treated->apply(recipe).has_value());
  EXPECT_EQ(asked, (std::vector<int64_t>{5, 15}));
  for (const model::Matrix* matrix :
       {&treated->model().layer(1).q, &treated->model().layer(1).k, &treated->model().layer(1).v})
    for (const float value : matrix->values) ASSERT_EQ(value, 5);
  EXPECT_EQ(treated->model().head().values[3], 15);
  // Back and forth: what is kept is not asked for again.
  ASSERT_TRUE(treated->apply(uniform(weights->shape, "int4_g32")).has_value());
  ASSERT_TRUE(treated->apply(recipe).has_value());
  EXPECT_EQ(asked.size(), 2U);
  EXPECT_EQ(treated->model().layer(1).q.values[0], 5);
}

}  // namespace
}  // namespace dovetail::compress
