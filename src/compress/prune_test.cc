#include "compress/prune.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compress/compress_model.h"
#include "compress/mask_baselines.h"
#include "compress/tiny_model.h"
#include "model/reference_forward.h"

namespace dovetail::compress {
namespace {

recipe::Recipe uniform(const model::Weights& weights, std::string_view name) {
  return recipe::parse_uniform_recipe(weights.shape, name).value();
}

// 8 query heads over 4 key heads.
model::ModelShape grouped_shape() {
  model::ModelShape shape = model::tiny_shape();
  shape.num_heads = 8;
  shape.num_kv_heads = 4;
  shape.head_dim = 4;
  shape.intermediate_size = 48;
  return shape;
}

TEST(KeepBest, KeepsTheHighestScoresUnderTheShapeThatIsAsked) {
  const model::ModelShape shape = grouped_shape();
  MaskScores scores;
  for (int64_t c = 0; c < shape.intermediate_size; ++c)
    scores.channels.push_back(c % 3 == 1 ? 5 : 1);  // 16 of 5
  scores.heads = {1, 9, 7, 3, 4, 4, 2, 8};
  scores.key_heads = {3, 1, 2, 5};
  const auto kept =
      keep_best(shape, {.mlp_width = 16, .heads = 3, .kv_heads = 3}, {scores}).front();
  EXPECT_EQ(kept.channels,
            (std::vector<int64_t>{1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46}));
  EXPECT_EQ(kept.key_heads, (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(kept.heads, (std::vector<int64_t>{1, 4, 7}));  // of equal scores the first
  EXPECT_DOUBLE_EQ(kept.lost_channels_frac, 32.0 / (32 + 80));
  EXPECT_DOUBLE_EQ(kept.lost_heads_frac, 1 - 21.0 / 38);
  // Nothing asked of the heads: all of them stay.
  const auto wide = keep_best(shape, {.mlp_width = 32}, {scores}).front();
  EXPECT_EQ(wide.heads.size(), 8U);
  EXPECT_EQ(wide.channels.size(), 32U);
  EXPECT_EQ(wide.channels[15], 15);
}

// Pruned by hand: the same model whose dropped channels and heads multiply zeros.
void expect_masked_model(const model::ModelShape& shape) {
  const auto weights = std::make_shared<const model::Weights>(model::random_weights(shape, 7));
  const recipe::Recipe recipe = uniform(*weights, "bf16+mlp:16+heads:3+kv_heads:3");
  const Kept kept =
      choose_kept(source_of(weights), recipe, random_tokens(4, 12, shape.vocab_size, 8), {})
          .value();
  const model::Weights small = collect(pruned(source_of(weights), recipe.pruning, kept)).value();
  EXPECT_EQ(small.shape.intermediate_size, 16);
  EXPECT_EQ(small.shape.num_heads, 3);
  EXPECT_EQ(small.shape.num_kv_heads, 3);
  EXPECT_EQ(small.layers[0].k.rows, 3 * 4);
  EXPECT_EQ(small.layers[0].q_bias.size(), shape.qkv_bias ? 3U * 4 : 0U);
  model::Weights masked = *weights;
  for (size_t l = 0; l < masked.layers.size(); ++l) {
    const auto mask = [](model::Matrix& w, int64_t column) {
      for (int64_t row = 0; row < w.rows; ++row)
        w.values[static_cast<size_t>(row * w.cols + column)] = 0;
    };
    for (int64_t c = 0; c < shape.intermediate_size; ++c)
      if (!std::ranges::binary_search(kept.layers[l].channels, c)) mask(masked.layers[l].down, c);
    for (int64_t c = 0; c < shape.q_size(); ++c)
      if (!std::ranges::binary_search(kept.layers[l].heads, c / shape.head_dim))
        mask(masked.layers[l].o, c);
  }
  const std::vector<int32_t> ids = random_tokens(1, 15, shape.vocab_size, 9).ids;
  const auto found = model::reference_logits(small, ids);
  const auto want = model::reference_logits(masked, ids);
  for (size_t t = 0; t < ids.size(); ++t)
    for (size_t i = 0; i < want[t].size(); ++i) EXPECT_NEAR(found[t][i], want[t][i], 1e-9);
}

TEST(PruneLayer, IsTheModelWithWhatWasDroppedMaskedOut) {
  model::ModelShape shape = grouped_shape();
  expect_masked_model(shape);
  shape.family = model::Family::kQwen3;
  shape.qkv_bias = false;
  shape.qk_norm = true;
  expect_masked_model(shape);
}

TEST(Kept, JsonRoundTrips) {
  const Kept kept{.layers = {{.channels = {0, 3},
                              .heads = {1},
                              .key_heads = {0},
                              .lost_channels_frac = .125,
                              .lost_heads_frac = .5}},
                  .seconds = 2};
  const auto read = kept_from_json(to_json(kept));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->layers, kept.layers);
  EXPECT_FALSE(kept_from_json(Json::array()).has_value());
}

double mean_kl(const model::Weights& reference, const model::Weights& treated,
               const host::TokenBatch& tokens) {
  const auto a = host::HostModel::create(std::make_shared<const model::Weights>(reference)).value();
  const auto b = host::HostModel::create(std::make_shared<const model::Weights>(treated)).value();
  const auto kl =
      host::kl_divergence(a, a.hidden_states(tokens).value(), b, b.hidden_states(tokens).value());
  return std::accumulate(kl->kl_nats_per_position.begin(), kl->kl_nats_per_position.end(), 0.0) /
         static_cast<double>(kl->kl_nats_per_position.size());
}

// Channels that do more or less than they weigh: large rows of up beside small ones of gate.
TEST(Prune, FisherLosesLessThanMagnitudeAndChance) {
  auto uneven = std::make_shared<model::Weights>(*tiny_weights(11));
  Random random(12);
  for (model::LayerWeights& layer : uneven->layers) {
    for (int64_t c = 0; c < 96; ++c) {
      const auto gain = static_cast<float>(std::exp(2 * random.uniform() - 1));
      for (int64_t j = 0; j < 64; ++j) {
        layer.up.values[static_cast<size_t>(c * 64 + j)] *= gain * gain;
        layer.gate.values[static_cast<size_t>(c * 64 + j)] /= gain;
      }
    }
  }
  const host::TokenBatch seen = random_tokens(32, 48, 101, 13);
  const host::TokenBatch fresh = random_tokens(8, 48, 101, 14);
  const recipe::Recipe recipe = uniform(*uneven, "bf16+mlp:64");
  const auto kl_of = [&](const std::vector<MaskScores>& scores) {
    const Kept kept{.layers = keep_best(uneven->shape, recipe.pruning, scores), .seconds = 0};
    return mean_kl(*uneven, collect(pruned(source_of(uneven), recipe.pruning, kept)).value(),
                   fresh);
  };
  const double fisher = kl_of(mask_fisher(source_of(uneven), seen).value());
  std::vector<MaskScores> magnitudes;
  std::vector<MaskScores> chance;
  for (const model::LayerWeights& layer : uneven->layers) {
    magnitudes.push_back(magnitude_scores(uneven->shape, layer));
    chance.push_back(random_scores(uneven->shape, random));
  }
  EXPECT_LT(fisher, .9 * kl_of(magnitudes));
  EXPECT_LT(fisher, .9 * kl_of(chance));
}

TEST(Prune, ComposesWithEveryOtherPass) {
  const auto weights = tiny_weights(15);
  const host::TokenBatch tokens = random_tokens(8, 32, 101, 16);
  for (const std::string name :
       {"bf16+mlp:64", "int4_g32+mlp:80+head:int8", "int4_g32_gptq+mlp:64+heads:2+r:r1r2",
        "int8_smooth+a:int8_token+kv_heads:1", "int4_g32_gptq+mlp:64+h_down:32"}) {
    const recipe::Recipe recipe = uniform(*weights, name);
    const auto made = compress_in_memory(weights, recipe, tokens);
    ASSERT_TRUE(made.has_value()) << name << ": " << made.error().message;
    const model::ModelShape want = shape_after(weights->shape, recipe).value();
    EXPECT_EQ(made->weights.shape.intermediate_size, want.intermediate_size) << name;
    EXPECT_EQ(made->weights.shape.num_heads, want.num_heads) << name;
    auto model =
        host::HostModel::create(std::make_shared<const model::Weights>(made->weights)).value();
    ASSERT_TRUE(model.set_numerics(made->numerics).has_value()) << name;
    ASSERT_FALSE(made->reports.empty());
    EXPECT_TRUE(made->reports[0].site == "layers.0.mlp" ||
                made->reports[0].site == "layers.0.attn");
    EXPECT_GT(made->reports[0].error_frac, 0) << name;
    EXPECT_LT(made->reports[0].error_frac, .6) << name;
  }
  // All that there is: nothing is scored, nothing goes.
  const auto whole = compress_in_memory(weights, uniform(*weights, "bf16+mlp:96"), tokens);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_EQ(whole->weights.layers[1].down.values, weights->layers[1].down.values);
  EXPECT_TRUE(whole->reports.empty());
}

}  // namespace
}  // namespace dovetail::compress
