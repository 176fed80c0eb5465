#include "compress/head_loss.h"

#include <gtest/gtest.h>

#include <numeric>

#include "compress/tiny_model.h"
#include "compress/treat.h"
#include "host/profile_pass.h"

namespace dovetail::compress {
namespace {

std::vector<formats::WeightFormat> formats_of(const std::vector<std::string>& names) {
  std::vector<formats::WeightFormat> formats;
  for (const std::string& name : names) {
    formats.push_back(formats::parse_weight_format(name).value());
  }
  return formats;
}

// The slow way: a recipe for the head alone, applied to a copy, the whole model run again.
double whole_model_kl(const std::shared_ptr<const model::Weights>& weights,
                      const host::TokenBatch& tokens, const std::string& recipe) {
  const auto reference = host::HostModel::create(weights);
  auto treated = TreatedModel::create(weights);
  EXPECT_TRUE(
      treated->apply(recipe::parse_uniform_recipe(weights->shape, recipe).value()).has_value());
  const auto kl = host::kl_divergence(*reference, *reference->hidden_states(tokens),
                                      treated->model(), *treated->model().hidden_states(tokens));
  EXPECT_TRUE(kl.has_value());
  return std::accumulate(kl->kl_nats_per_position.begin(), kl->kl_nats_per_position.end(), 0.0) /
         static_cast<double>(tokens.rows());
}

HeadLosses must_price(const std::shared_ptr<const model::Weights>& weights,
                      const host::TokenBatch& tokens, int64_t scored_positions) {
  const auto reference = host::HostModel::create(weights);
  const auto sensitivity = host::profile_pass(*reference, tokens, 1);
  EXPECT_TRUE(sensitivity.has_value());
  auto losses = price_head(*reference, tokens, formats_of({"int8_g32", "int4_g32", "mxfp4"}),
                           sensitivity->embedding, scored_positions);
  EXPECT_TRUE(losses.has_value()) << losses.error().message;
  return *losses;
}

TEST(PriceHead, EqualsTheWholeModelWhenUntied) {
  const auto weights = tiny_weights(1, false);
  const host::TokenBatch tokens = random_tokens(2, 20, 101, 3);
  const HeadLosses losses = must_price(weights, tokens, 40);
  ASSERT_EQ(losses.weight.size(), 3U);
  for (const auto& [name, loss] : losses.weight) {
    const double slow = whole_model_kl(weights, tokens, "bf16+head:" + name);
    EXPECT_GT(slow, 1e-5) << "the comparison would prove nothing";
    EXPECT_NEAR(loss, slow, 1e-3 * slow) << name;
  }
  host::Numerics numerics;
  for (const char* name : {"int8_token", "fp8_token"}) {
    numerics.head.format = formats::parse_activation_format(name).value();
    const auto reference = host::HostModel::create(weights);
    host::HostModel treated = *reference;
    ASSERT_TRUE(treated.set_numerics(numerics).has_value());
    const auto hidden = reference->hidden_states(tokens);
    const auto kl = host::kl_divergence(*reference, *hidden, treated, *hidden);
    const double slow =
        std::accumulate(kl->kl_nats_per_position.begin(), kl->kl_nats_per_position.end(), 0.0) / 40;
    EXPECT_GT(slow, 1e-6);
    EXPECT_NEAR(losses.activation.at(name), slow, 1e-3 * slow) << name;
  }
}

TEST(PriceHead, CountsTheEmbeddingWhenTied) {
  const auto weights = tiny_weights(1, true);
  const host::TokenBatch tokens = random_tokens(16, 64, 101, 3);
  const HeadLosses losses = must_price(weights, tokens, 1024);
  const double slow = whole_model_kl(weights, tokens, "bf16+head:int8_g32");
  EXPECT_NEAR(losses.weight.at("int8_g32") / slow, 1.0, 0.25);
}

// An error that all rows of the head share moves all logits alike: the softmax does not see it, and
// neither does the price. (The diagonal estimate would.)
TEST(PriceHead, IgnoresWhatAllLogitsHaveInCommon) {
  model::Weights weights = *tiny_weights(1, false);
  // int8_g32 is exact on 127, 1 and 0 with scale 1; 0.4 rounds to 0 in every row.
  for (int64_t row = 0; row < weights.head.rows; ++row) {
    float* w = weights.head.values.data() + row * weights.head.cols;
    for (int64_t i = 0; i < weights.head.cols; ++i) w[i] = i % 32 == 0 ? 127.0F : 0.0F;
    w[5] = static_cast<float>(row % 2);
    w[7] = 0.4F;
  }
  const auto shared = std::make_shared<const model::Weights>(std::move(weights));
  const auto reference = host::HostModel::create(shared);
  const auto losses =
      price_head(*reference, random_tokens(2, 20, 101, 3), formats_of({"int8_g32"}), {}, 40);
  ASSERT_TRUE(losses.has_value()) << losses.error().message;
  EXPECT_LT(losses->weight.at("int8_g32"), 1e-6);
}

TEST(PriceHead, RejectsBadInput) {
  const auto reference = host::HostModel::create(tiny_weights(1, false));
  EXPECT_EQ(price_head(*reference, random_tokens(1, 8, 101, 3), {}, {}, 0).error().message,
            "head: scored_positions = 0, want 1 or more");
  EXPECT_EQ(price_head(*reference, random_tokens(1, 8, 400, 3), {}, {}, 8).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::compress
