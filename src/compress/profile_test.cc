#include "compress/profile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "compress/additivity.h"
#include "compress/tiny_model.h"
#include "compress/treat.h"
#include "recipe/profiled_formats.h"

namespace dovetail::compress {
namespace {

// One tiny model, its profile over the whole menu, and the text of both.
struct Case {
  std::shared_ptr<const model::Weights> weights;
  std::optional<host::HostModel> reference;
  host::TokenBatch tokens;
  LossProfile losses;
};

Case make_case(bool tied) {
  Case made;
  made.weights = tiny_weights(4, tied);
  made.tokens = random_tokens(16, 96, 101, 6);
  made.reference = *host::HostModel::create(made.weights);
  auto losses =
      profile(made.weights, whole_menu(), {.name = "random", .digest = "d", .tokens = made.tokens},
              {.off_grid_seed = 5,
               .model_digest = "m",
               .kv = {.max_sequences = 16, .max_length = 96, .scored_positions = 1536}});
  EXPECT_TRUE(losses.has_value()) << losses.error().message;
  made.losses = std::move(*losses);
  return made;
}

const Case& tied_case() {
  static const Case made = make_case(true);
  return made;
}
const Case& untied_case() {
  static const Case made = make_case(false);
  return made;
}

Result<double> measured_kl(const Case& c, const host::HostModel& treated) {
  DOVETAIL_TRY(const model::Matrix p, c.reference->hidden_states(c.tokens));
  DOVETAIL_TRY(const model::Matrix q, treated.hidden_states(c.tokens));
  DOVETAIL_TRY(const host::KlResult kl, host::kl_divergence(*c.reference, p, treated, q));
  return std::accumulate(kl.kl_nats_per_position.begin(), kl.kl_nats_per_position.end(), 0.0) /
         static_cast<double>(kl.kl_nats_per_position.size());
}

double measured_kl(const Case& c, const recipe::Recipe& recipe) {
  auto treated = TreatedModel::create(c.weights);
  EXPECT_TRUE(treated->apply(recipe).has_value());
  return *measured_kl(c, treated->model());
}

double ratio_of(const Case& c, const std::string& name) {
  const auto recipe = recipe::parse_uniform_recipe(c.weights->shape, name);
  EXPECT_TRUE(recipe.has_value()) << recipe.error().message;
  const double measured = measured_kl(c, *recipe);
  EXPECT_GT(measured, 1e-6) << name << ": too small to compare";
  return measured / *predict_loss(c.losses, *recipe);
}

TEST(WholeMenu, HoldsEveryFormatAndStartsWithTheReference) {
  const recipe::Menu menu = whole_menu();
  EXPECT_EQ(menu.linear.size(), 3 * recipe::profiled_weight_formats().size());
  EXPECT_EQ(menu.kv.size(), 6U);
  EXPECT_EQ(menu.linear[0], recipe::LinearTreatment{});
  EXPECT_EQ(menu.kv[0], recipe::KvTreatment{});
}

TEST(Profile, NotesWhatItWasMadeOf) {
  const LossProfile& losses = tied_case().losses;
  EXPECT_EQ(losses.model_name, "tiny");
  EXPECT_EQ(losses.model_digest, "m");
  EXPECT_EQ(losses.text_name, "random");
  EXPECT_EQ(losses.text_digest, "d");
  EXPECT_EQ(losses.off_grid_seed, 5U);
  EXPECT_EQ(losses.num_positions, 1536);
  EXPECT_EQ(losses.num_kv_positions, 1536);
  EXPECT_EQ(losses.weight_loss[0].size() + 1, recipe::profiled_weight_formats().size());
  EXPECT_TRUE(price(losses, whole_menu()).has_value());
}

// Small perturbations: the prediction is the KL up to what the drawn labels and the chance of the
// rounding errors leave, here a few per cent.
TEST(Profile, PredictsWhatSmallWeightErrorsCost) {
  for (const char* name : {"int8_g32", "int6_g64", "int5_g32", "fp8_e4m3fn", "int6_asym_g128"}) {
    EXPECT_NEAR(ratio_of(untied_case(), name), 1.0, 0.25) << name;
  }
}

TEST(Profile, PredictsWhatRoundedActivationsCost) {
  EXPECT_NEAR(ratio_of(untied_case(), "bf16+a:int8_token"), 1.0, 0.25);
  EXPECT_NEAR(ratio_of(untied_case(), "bf16+a:fp8_token"), 1.0, 0.25);
}

TEST(Profile, PredictsWhatTheHeadCosts) {
  EXPECT_NEAR(ratio_of(untied_case(), "bf16+head:int6_g64"), 1.0, 0.25);
  EXPECT_NEAR(ratio_of(tied_case(), "bf16+head:int6_g64"), 1.0, 0.25);
  EXPECT_NEAR(ratio_of(tied_case(), "bf16+head:nvfp4"), 1.0, 0.35);
}

TEST(Profile, PredictsWhatRoundedKvCosts) {
  EXPECT_NEAR(ratio_of(untied_case(), "bf16+kv:int4"), 1.0, 0.35);
  EXPECT_NEAR(ratio_of(untied_case(), "bf16+kv:int8"), 1.0, 0.35);
}

// Every linear site on its own.
TEST(Profile, PredictsEachSite) {
  const Case& c = untied_case();
  const recipe::LinearTreatment int5 = recipe::parse_linear_treatment("int5_g32").value();
  for (size_t layer = 0; layer < 3; ++layer) {
    for (size_t kind = 0; kind < 4; ++kind) {
      recipe::Recipe recipe = *recipe::parse_uniform_recipe(c.weights->shape, "bf16");
      recipe.layers[layer].linear[kind] = int5;
      const double ratio = measured_kl(c, recipe) / *predict_loss(c.losses, recipe);
      EXPECT_GT(ratio, 0.6) << "layer " << layer << ", site kind " << kind;
      EXPECT_LT(ratio, 1.6) << "layer " << layer << ", site kind " << kind;
    }
  }
}

TEST(Profile, AddsUpOverRandomRecipes) {
  const Case& c = tied_case();
  const auto recipes = draw_recipes(c.weights->shape, whole_menu(), {.min_bits = 4});
  ASSERT_TRUE(recipes.has_value());
  ASSERT_EQ(recipes->size(), 24U);
  auto treated = TreatedModel::create(c.weights);
  const auto stats = measure_additivity(
      c.losses, *recipes, *treated, [&](const host::HostModel& m) { return measured_kl(c, m); });
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_GT(stats->spearman, 0.95);
  EXPECT_GT(stats->r2_log, 0.9);
  EXPECT_NEAR(stats->bias_ratio, 1.0, 0.3);
}

TEST(Profile, IsReproducible) {
  const Case& c = tied_case();
  const auto once = profile(c.weights, whole_menu(), {"t", "d", random_tokens(2, 16, 101, 8)}, {});
  const auto again = profile(c.weights, whole_menu(), {"t", "d", random_tokens(2, 16, 101, 8)}, {});
  ASSERT_TRUE(once.has_value() && again.has_value());
  EXPECT_EQ(once->weight_loss, again->weight_loss);
  EXPECT_EQ(once->activation_loss, again->activation_loss);
  EXPECT_EQ(once->kv_loss, again->kv_loss);
}

TEST(Profile, RejectsTokensOutOfRange) {
  const auto losses =
      profile(tied_case().weights, whole_menu(), {"t", "d", random_tokens(2, 16, 400, 8)}, {});
  ASSERT_FALSE(losses.has_value());
  EXPECT_EQ(losses.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::compress
