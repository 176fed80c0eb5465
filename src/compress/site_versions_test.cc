#include "compress/site_versions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/profile.h"
#include "compress/site_matrix.h"
#include "compress/tiny_model.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

recipe::LinearTreatment treatment(std::string_view name) {
  return recipe::parse_linear_treatment(name).value();
}

double measured_kl(const host::HostModel& reference, const host::HostModel& treated,
                   const host::TokenBatch& tokens) {
  const auto kl = host::kl_divergence(reference, reference.hidden_states(tokens).value(), treated,
                                      treated.hidden_states(tokens).value());
  double sum = 0;
  for (const double nats : kl->kl_nats_per_position) sum += nats;
  return sum / static_cast<double>(kl->kl_nats_per_position.size());
}

class SiteVersionsTest : public testing::Test {
 protected:
  std::shared_ptr<const model::Weights> weights_ = tiny_weights(3);
  host::HostModel reference_ = host::HostModel::create(weights_).value();
  host::TokenBatch tokens_ = random_tokens(24, 48, 101, 4);
  std::vector<model::Matrix> inputs_ = reference_.layer_inputs(tokens_).value();
};

TEST_F(SiteVersionsTest, AMenuNamesEachAlgorithmOnce) {
  recipe::Menu menu;
  for (const char* name :
       {"bf16", "int4_g32", "int4_g32_gptq", "int4_g32_gptq+a:int8_token", "int3_g32_imatrix"})
    menu.linear.push_back(treatment(name));
  const auto found = calibrated_treatments(menu);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], treatment("int4_g32_gptq"));
  EXPECT_EQ(found[1], treatment("int3_g32_imatrix"));
}

// The stored version is what GPTQ writes for the moments of the model's own inputs, summed here in
// double.
TEST_F(SiteVersionsTest, AVersionIsTheAlgorithmOnTheUncompressedInputs) {
  const auto made = versions_of_layer(reference_, 1, tokens_, inputs_[1],
                                      {treatment("int3_g32_gptq"), treatment("nvfp4_imatrix")});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  ASSERT_EQ(made->versions.size(), 8U);
  for (const SiteVersion& version : made->versions) {
    EXPECT_LT(version.loss_ratio, version.treatment == "int3_g32_gptq" ? .9 : 1.1) << version.site;
    EXPECT_GT(version.loss_ratio, .05);
  }
  const auto values =
      values_of_version(made->block, recipe::SiteKind::kMlpGateUp, treatment("int3_g32_gptq"));
  ASSERT_TRUE(values.has_value()) << values.error().message;
  EXPECT_EQ(std::ssize(values->values), 2 * 96 * 64);
  EXPECT_TRUE(values->fold.empty());
  EXPECT_FALSE(
      values_of_version(made->block, recipe::SiteKind::kMlpDown, treatment("int4_g32_gptq"))
          .has_value());
}

// GPTQ raises the weight error, and the diagonal would call that a loss; priced by output error it
// ranks below round to nearest at every site, as the measured KL of the sites does.
TEST_F(SiteVersionsTest, GptqRanksBelowRoundToNearestAsMeasured) {
  const auto gptq_treatment = treatment("int3_g32_gptq");
  LossProfile profiled =
      profile(weights_, {.linear = {{}, treatment("int3_g32")}, .kv = {{}}},
              {.name = "t", .digest = "d", .tokens = random_tokens(6, 48, 101, 9)}, {})
          .value();
  std::vector<std::vector<SiteVersion>> versions;
  model::Weights treated = *weights_;
  model::Weights nearest = *weights_;
  for (int64_t layer = 0; layer < 3; ++layer) {
    const auto made = versions_of_layer(reference_, layer, tokens_,
                                        inputs_[static_cast<size_t>(layer)], {gptq_treatment});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    versions.push_back(made->versions);
    model::Matrix& down = treated.layers[static_cast<size_t>(layer)].down;
    down.values =
        values_of_version(made->block, recipe::SiteKind::kMlpDown, gptq_treatment)->values;
    double squares = 0;
    double nearest_squares = 0;
    const model::Matrix& original = weights_->layers[static_cast<size_t>(layer)].down;
    model::Matrix& rounded = nearest.layers[static_cast<size_t>(layer)].down;
    formats::quantize_rows(gptq_treatment.weight, {}, rounded.rows, rounded.cols,
                           original.values.data(), rounded.values.data());
    for (size_t i = 0; i < original.values.size(); ++i) {
      squares += std::pow(static_cast<double>(down.values[i] - original.values[i]), 2);
      nearest_squares += std::pow(static_cast<double>(rounded.values[i] - original.values[i]), 2);
    }
    EXPECT_GT(squares, nearest_squares);
  }
  const auto head = versions_of_head(reference_, tokens_, {gptq_treatment}, 64);
  ASSERT_TRUE(head.has_value()) << head.error().message;
  versions.push_back(head->versions);
  ASSERT_TRUE(add_versions(profiled, versions).has_value());
  ASSERT_TRUE(check_loss_profile(profiled).has_value());

  double predicted = 0;
  double predicted_nearest = 0;
  for (int64_t layer = 0; layer < 3; ++layer) {
    const LossByName& down = profiled.weight_loss[static_cast<size_t>(layer * 5 + 3)];
    EXPECT_LT(down.at("int3_g32_gptq"), down.at("int3_g32")) << layer;
    predicted += down.at("int3_g32_gptq");
    predicted_nearest += down.at("int3_g32");
  }
  const host::TokenBatch fresh = random_tokens(8, 48, 101, 10);
  const auto model_of = [](model::Weights made) {
    return host::HostModel::create(std::make_shared<const model::Weights>(std::move(made))).value();
  };
  const double kl = measured_kl(reference_, model_of(treated), fresh);
  const double kl_nearest = measured_kl(reference_, model_of(nearest), fresh);
  EXPECT_LT(kl, kl_nearest);
  // The ratio itself: within a third of what is measured.
  EXPECT_NEAR(predicted / predicted_nearest, kl / kl_nearest, .33 * kl / kl_nearest);
}

// A model with channels that are large where they enter qkv and gate_up, and its versions.
class FoldedVersionsTest : public testing::Test {
 protected:
  static std::shared_ptr<const model::Weights> with_outliers() {
    model::Weights weights = *tiny_weights(3);
    for (model::LayerWeights& layer : weights.layers) {
      for (const size_t channel : {5, 33}) {
        layer.attn_norm[channel] *= 16;
        layer.mlp_norm[channel] *= 16;
        for (model::Matrix* w : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up})
          for (int64_t row = 0; row < w->rows; ++row)
            w->values[static_cast<size_t>(row * w->cols) + channel] /= 16;
      }
    }
    return std::make_shared<const model::Weights>(std::move(weights));
  }
  void make(const std::vector<recipe::LinearTreatment>& treatments) {
    for (int64_t layer = 0; layer < 3; ++layer) {
      auto made = versions_of_layer(reference_, layer, tokens_, inputs_[static_cast<size_t>(layer)],
                                    treatments);
      ASSERT_TRUE(made.has_value()) << made.error().message;
      versions_.push_back(std::move(*made));
    }
    auto head = versions_of_head(reference_, tokens_, treatments, 64);
    ASSERT_TRUE(head.has_value()) << head.error().message;
    EXPECT_TRUE(head->versions.empty());  // a fold each
    versions_.push_back(std::move(*head));
  }
  SiteWeights version(int64_t site, const recipe::LinearTreatment& treatment) {
    const recipe::Site at = recipe::site_at(weights_->shape, site);
    return values_of_version(versions_[static_cast<size_t>(at.layer)].block, at.kind, treatment)
        .value();
  }
  recipe::Recipe uniform(const std::string& name) {
    return recipe::parse_uniform_recipe(weights_->shape, name).value();
  }
  // With the versions folded into what produces their inputs.
  host::HostModel folded_model(const std::string& name) {
    auto treated = TreatedModel::create(
        weights_, 0, [this](int64_t site, const recipe::LinearTreatment& wanted) {
          return Result<SiteWeights>(version(site, wanted));
        });
    const auto applied = treated->apply(uniform(name));
    EXPECT_TRUE(applied.has_value()) << applied.error().message;
    return treated->model();
  }

  std::shared_ptr<const model::Weights> weights_ = with_outliers();
  host::HostModel reference_ = host::HostModel::create(weights_).value();
  host::TokenBatch tokens_ = random_tokens(24, 48, 101, 4);
  std::vector<model::Matrix> inputs_ = reference_.layer_inputs(tokens_).value();
  std::vector<SiteVersions> versions_;
};

// Without rounded activations the folded model is the one whose weights are Q(W s) / s; coming from
// and going to recipes without folds leaves nothing behind.
TEST_F(FoldedVersionsTest, AFoldedModelIsTheOneWithItsVersionsInPlace) {
  const auto awq = treatment("int4_g32_awq_gptq");
  make({awq});
  auto treated = TreatedModel::create(weights_, int64_t{1} << 20,
                                      [this](int64_t site, const recipe::LinearTreatment& wanted) {
                                        return Result<SiteWeights>(version(site, wanted));
                                      })
                     .value();
  ASSERT_TRUE(treated.apply(uniform("int4_g32")).has_value());
  const model::Matrix plain = treated.model().hidden_states(tokens_).value();
  ASSERT_TRUE(treated.apply(uniform("int4_g32_awq_gptq")).has_value());
  const model::Matrix folded = treated.model().hidden_states(tokens_).value();

  model::Weights in_place = *weights_;
  for (size_t layer = 0; layer < 3; ++layer) {
    for (const recipe::SiteKind kind : {recipe::SiteKind::kAttnQkv, recipe::SiteKind::kAttnO,
                                        recipe::SiteKind::kMlpGateUp, recipe::SiteKind::kMlpDown}) {
      const SiteWeights at = values_of_version(versions_[layer].block, kind, awq).value();
      unstack(at.values, site_members(kind), in_place.layers[layer]);
      EXPECT_EQ(std::ssize(at.fold), recipe::linear_shape(weights_->shape, kind).k);
    }
  }
  const auto expected =
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(in_place)))
          ->hidden_states(tokens_)
          .value();
  ASSERT_EQ(folded.values.size(), expected.values.size());
  for (size_t i = 0; i < folded.values.size(); ++i)
    ASSERT_NEAR(folded.values[i], expected.values[i], 2e-3) << i;

  ASSERT_TRUE(treated.apply(uniform("int4_g32")).has_value());
  EXPECT_EQ(treated.model().hidden_states(tokens_)->values, plain.values);
}

// What the search is told of SmoothQuant is what happens: by how much it helps where activations
// are rounded, weights and activations together.
TEST_F(FoldedVersionsTest, SmoothQuantIsPricedAsItIsMeasured) {
  make({treatment("int8_g32_smooth")});
  LossProfile profiled =
      profile(weights_, {.linear = {{}, treatment("int8_g32+a:int8_token")}, .kv = {{}}},
              {.name = "t", .digest = "d", .tokens = random_tokens(6, 48, 101, 9)}, {})
          .value();
  std::vector<std::vector<SiteVersion>> versions;
  for (const SiteVersions& layer : versions_) versions.push_back(layer.versions);
  ASSERT_TRUE(add_versions(profiled, versions).has_value());
  ASSERT_TRUE(check_loss_profile(profiled).has_value());
  const auto predicted = [&](const std::string& name) {
    return predict_loss(profiled, uniform(name)).value();
  };
  const host::TokenBatch fresh = random_tokens(8, 48, 101, 10);
  const double smooth =
      measured_kl(reference_, folded_model("int8_g32_smooth+a:int8_token"), fresh);
  const double plain = measured_kl(reference_, folded_model("int8_g32+a:int8_token"), fresh);
  EXPECT_LT(smooth, .5 * plain);
  const double ratio =
      predicted("int8_g32_smooth+a:int8_token") / predicted("int8_g32+a:int8_token");
  EXPECT_NEAR(ratio, smooth / plain, .33 * smooth / plain);
  // A fold at the head may not be chosen.
  const auto table = price(profiled, {.linear = {{}, treatment("int8_g32_smooth")}, .kv = {{}}});
  ASSERT_TRUE(table.has_value()) << table.error().message;
  EXPECT_TRUE(std::isinf(table->back()[1]));
  EXPECT_TRUE(std::isfinite(table->front()[1]));
}

TEST_F(SiteVersionsTest, AddingToAProfileWithoutTheFormatIsAnError) {
  LossProfile profiled;
  profiled.num_layers = 1;
  profiled.weight_loss.resize(6);
  const std::vector<std::vector<SiteVersion>> versions = {
      {{.site = "attn_o", .treatment = "int4_g32_gptq", .loss_ratio = .5, .seconds = 0}}, {}};
  const Status added = add_versions(profiled, versions);
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().message, "attn_o: format int4_g32 was not profiled");
}

}  // namespace
}  // namespace dovetail::compress
