#include "compress/rotate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "compress/orthogonal.h"
#include "compress/tiny_model.h"
#include "compress/treat.h"
#include "host/host_model.h"
#include "model/reference_forward.h"

namespace dovetail::compress {
namespace {

using recipe::Rotation;

// The tiny model with gains that are not 1, and biases.
model::Weights with_gains(uint64_t seed, bool tied, bool bias) {
  model::Weights weights = *tiny_weights(seed, tied);
  Random random(seed + 100);
  const auto draw = [&](std::vector<float>& values, size_t count, double middle) {
    values.resize(count);
    for (float& value : values) value = static_cast<float>(middle + random.uniform() - .5);
  };
  draw(weights.final_norm, 64, 1.2);
  weights.shape.qkv_bias = bias;
  for (model::LayerWeights& layer : weights.layers) {
    draw(layer.attn_norm, 64, 1);
    draw(layer.mlp_norm, 64, .8);
    if (!bias) continue;
    draw(layer.q_bias, 64, 0);
    draw(layer.k_bias, 32, 0);
    draw(layer.v_bias, 32, .3);
  }
  return weights;
}

// Largest difference of two models' logits, both from the slow reference in double.
double largest_difference(const model::Weights& a, const model::Weights& b) {
  const std::vector<int32_t> ids = {3, 40, 17, 17, 29, 0, 49, 8};
  const auto x = model::reference_logits(a, ids);
  const auto y = model::reference_logits(b, ids);
  double largest = 0;
  for (size_t t = 0; t < x.size(); ++t)
    for (size_t i = 0; i < x[t].size(); ++i)
      largest = std::max(largest, std::fabs(x[t][i] - y[t][i]));
  return largest;
}

TEST(Rotate, KeepsWhatTheModelComputes) {
  for (const bool tied : {true, false})
    for (const bool bias : {false, true}) {
      const model::Weights weights = with_gains(1, tied, bias);
      for (const Rotation rotation : {Rotation::kNone, Rotation::kR1, Rotation::kR1R2}) {
        const model::Weights turned = rotate(weights, rotation);
        // Logits are of size 10; weights are rounded to FP32.
        EXPECT_LT(largest_difference(weights, turned), 2e-4)
            << recipe::rotation_name(rotation) << (tied ? ", tied" : "")
            << (bias ? ", biased" : "");
        EXPECT_EQ(turned.shape.tied_embedding, tied && rotation == Rotation::kNone);
      }
    }
}

TEST(Rotate, KeepsItForWidthsWithoutAHadamardMatrix) {
  model::ModelShape shape = model::tiny_shape();
  shape.hidden_size = 50;
  const model::Weights weights = model::random_weights(shape, 2);
  ASSERT_TRUE(hadamard_matrix(50).empty());
  EXPECT_LT(largest_difference(weights, rotate(weights, Rotation::kR1R2, 9)), 2e-4);
}

TEST(Rotate, KeepsItWhereHeadsAreNormed) {
  const model::Weights weights = model::random_weights(model::tiny_qwen3_shape(), 2);
  EXPECT_LT(largest_difference(weights, rotate(weights, Rotation::kR1R2, 9)), 2e-4);
}

TEST(Rotate, TurnsEveryMatrixThatItShould) {
  const model::Weights weights = with_gains(3, true, true);
  const model::Weights one = rotate(weights, Rotation::kR1);
  const model::Weights both = rotate(weights, Rotation::kR1R2);
  EXPECT_NE(one.embedding.values, weights.embedding.values);
  EXPECT_NE(one.head.values, one.embedding.values);
  for (const float gain : one.final_norm) EXPECT_EQ(gain, 1.0F);
  for (size_t i = 0; i < one.layers.size(); ++i) {
    for (const auto member :
         {&model::LayerWeights::q, &model::LayerWeights::k, &model::LayerWeights::gate,
          &model::LayerWeights::up, &model::LayerWeights::down}) {
      EXPECT_NE((one.layers[i].*member).values, (weights.layers[i].*member).values);
      EXPECT_EQ((one.layers[i].*member).values, (both.layers[i].*member).values);
    }
    EXPECT_NE(one.layers[i].v.values, both.layers[i].v.values);
    EXPECT_NE(one.layers[i].o.values, both.layers[i].o.values);
    EXPECT_EQ(one.layers[i].v_bias, weights.layers[i].v_bias);
    EXPECT_NE(both.layers[i].v_bias, weights.layers[i].v_bias);
  }
  EXPECT_NE(rotate(weights, Rotation::kR1, 2).embedding.values, one.embedding.values);
}

TEST(Rotate, SpreadsOutlierChannelsOfTheStream) {
  model::Weights weights = *tiny_weights(4);
  for (int64_t row = 0; row < weights.embedding.rows; ++row)
    weights.embedding.values[static_cast<size_t>(row * 64 + 5)] += 20;
  const auto peak = [](const model::Weights& w) {  // largest magnitude over root mean square
    double largest = 0, squares = 0;
    for (const float value : w.embedding.values) {
      largest = std::max(largest, std::fabs(static_cast<double>(value)));
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    return largest / std::sqrt(squares / static_cast<double>(w.embedding.values.size()));
  };
  EXPECT_GT(peak(weights), 7);
  EXPECT_LT(peak(rotate(weights, Rotation::kR1)), 2.5);
}

// Weights that were turned and inputs that are turned online cancel.
TEST(RotateFor, WithItsNumericsKeepsWhatTheModelComputes) {
  const auto weights = std::make_shared<const model::Weights>(with_gains(5, true, true));
  const host::TokenBatch tokens = random_tokens(2, 40, 101, 6);
  const auto reference = host::HostModel::create(weights);
  const auto want = reference->logits(reference->hidden_states(tokens).value()).value();
  for (const char* name : {"bf16+h:32", "bf16+h:16+h_down:32+r:r1r2", "bf16+qkh:16+r:r1"}) {
    const auto recipe = recipe::parse_uniform_recipe(weights->shape, name);
    ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
    auto turned = rotate_for(*weights, *recipe);
    ASSERT_TRUE(turned.has_value());
    auto model =
        host::HostModel::create(std::make_shared<const model::Weights>(std::move(*turned)));
    ASSERT_TRUE(model->set_numerics(host::numerics_of(*recipe)).has_value());
    const auto found = model->logits(model->hidden_states(tokens).value()).value();
    for (size_t i = 0; i < want.values.size(); ++i)
      ASSERT_NEAR(found.values[i], want.values[i], 1e-3) << name;
    // Without the online half it is another model.
    ASSERT_TRUE(model->set_numerics({}).has_value());
    const auto broken = model->logits(model->hidden_states(tokens).value()).value();
    double differs = 0;
    for (size_t i = 0; i < want.values.size(); ++i)
      differs =
          std::max(differs, std::fabs(static_cast<double>(broken.values[i] - want.values[i])));
    EXPECT_EQ(differs > .1, std::string(name).find("+h:") != std::string::npos) << name;
  }
}

TEST(RotateFor, RefusesRecipesOfOtherModels) {
  const auto weights = tiny_weights(7);
  recipe::Recipe recipe;
  EXPECT_EQ(rotate_for(*weights, recipe).error().message,
            "recipe has 0 layers, the model tiny has 3");
  recipe.layers.resize(3);
  recipe.layers[2].linear[3].hadamard = 64;  // 96 features
  EXPECT_FALSE(rotate_for(*weights, recipe).has_value());
}

TEST(TreatedModelWithRotations, IsWhatApplyRecipeGives) {
  const auto weights = std::make_shared<const model::Weights>(with_gains(8, true, false));
  auto treated = TreatedModel::create(weights);
  ASSERT_TRUE(treated.has_value());
  const host::TokenBatch tokens = random_tokens(1, 30, 101, 9);
  for (const char* name : {"int4_g32+r:r1r2+h:16+head:int8", "int4_g32", "int4_g32+r:r1r2+h:16",
                           "bf16", "int8+h_down:32"}) {
    const auto recipe = recipe::parse_uniform_recipe(weights->shape, name).value();
    ASSERT_TRUE(treated->apply(recipe).has_value()) << name;
    auto whole = host::HostModel::create(
        std::make_shared<const model::Weights>(apply_recipe(*weights, recipe).value()));
    ASSERT_TRUE(whole->set_numerics(host::numerics_of(recipe)).has_value());
    EXPECT_EQ(treated->model().logits(treated->model().hidden_states(tokens).value())->values,
              whole->logits(whole->hidden_states(tokens).value())->values)
        << name;
  }
}

}  // namespace
}  // namespace dovetail::compress
