#include "compress/compress_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/parallel.h"
#include "base/test_folder.h"
#include "compress/carried_error.h"
#include "compress/tiny_model.h"
#include "compress/treat.h"

namespace dovetail::compress {
namespace {

recipe::Recipe uniform(const model::Weights& weights, std::string_view name) {
  return recipe::parse_uniform_recipe(weights.shape, name).value();
}

double mean_kl(const model::Weights& reference, const model::Weights& treated,
               const host::Numerics& numerics, const host::TokenBatch& tokens) {
  const auto a = host::HostModel::create(std::make_shared<const model::Weights>(reference)).value();
  auto b = host::HostModel::create(std::make_shared<const model::Weights>(treated)).value();
  EXPECT_TRUE(b.set_numerics(numerics).has_value());
  const auto kl =
      host::kl_divergence(a, a.hidden_states(tokens).value(), b, b.hidden_states(tokens).value());
  double sum = 0;
  for (const double nats : kl->kl_nats_per_position) sum += nats;
  return sum / static_cast<double>(kl->kl_nats_per_position.size());
}

TEST(CompressModel, WithoutAlgorithmsItIsRoundingToNearest) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(1, tied);
    const auto recipe = uniform(*weights, "int4_g32+a:int8_token+kv:int8+head:int8");
    const auto made = compress_in_memory(weights, recipe, random_tokens(3, 20, 101, 2));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    const auto want = apply_recipe(*weights, recipe);
    EXPECT_EQ(model::weights_digest(made->weights), model::weights_digest(*want));
    EXPECT_EQ(made->numerics, host::numerics_of(recipe));
    EXPECT_EQ(made->reports.size(), 3U * 4 + 1);
  }
}

TEST(CompressModel, GptqLosesLessThanRoundingOnTextThatItDidNotSee) {
  const auto weights = tiny_weights(3);
  const host::TokenBatch seen = random_tokens(24, 64, 101, 4);
  const host::TokenBatch fresh = random_tokens(6, 64, 101, 5);
  for (const std::string format : {"int4_g32", "int3_asym_g32", "mxfp4", "nvfp4"}) {
    const auto nearest = uniform(*weights, format);
    const auto moved = compress_in_memory(weights, uniform(*weights, format + "_gptq"), seen);
    ASSERT_TRUE(moved.has_value()) << moved.error().message;
    const double rounded = mean_kl(*weights, apply_recipe(*weights, nearest).value(),
                                   host::numerics_of(nearest), fresh);
    EXPECT_LT(mean_kl(*weights, moved->weights, moved->numerics, fresh), .92 * rounded) << format;
    for (const SiteReport& report : moved->reports) {
      EXPECT_LE(report.error_frac, report.rounded_error_frac) << report.site;
      EXPECT_EQ(report.treatment, format + "_gptq");
      EXPECT_GT(report.damping_frac, 0);
    }
  }
}

// RMS norm of gain 1, then INT8 per token if asked: what attn_qkv of a tiny model takes.
std::vector<double> normed(const model::Matrix& hidden, double eps, bool rounded) {
  const int64_t h = hidden.cols;
  std::vector<double> x(hidden.values.begin(), hidden.values.end());
  for (int64_t row = 0; row < hidden.rows; ++row) {
    double* values = x.data() + row * h;
    double squares = 0;
    for (int64_t i = 0; i < h; ++i) squares += values[i] * values[i];
    const double norm = std::sqrt(squares / static_cast<double>(h) + eps);
    double absmax = 0;
    for (int64_t i = 0; i < h; ++i) {
      values[i] = static_cast<double>(static_cast<float>(values[i] / norm));
      absmax = std::max(absmax, std::fabs(values[i]));
    }
    if (!rounded) continue;
    for (int64_t i = 0; i < h; ++i)
      values[i] = std::nearbyint(values[i] / (absmax / 127)) * (absmax / 127);
  }
  return x;
}

// E[a b^T], (h, h).
std::vector<float> mean_outer(int64_t h, const std::vector<double>& a,
                              const std::vector<double>& b) {
  std::vector<double> sums(static_cast<size_t>(h * h));
  const int64_t rows = std::ssize(a) / h;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < h; ++j)
        sums[static_cast<size_t>(i * h + j)] += a[static_cast<size_t>(row * h + i)] *
                                                b[static_cast<size_t>(row * h + j)] /
                                                static_cast<double>(rows);
  return {sums.begin(), sums.end()};
}

int64_t num_different(const std::vector<float>& a, const std::vector<float>& b) {
  int64_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) different += a[i] != b[i] ? 1 : 0;
  return different;
}

// Inputs of a layer, recomputed by the host model through the layers that were written before it.
TEST(CompressModel, ALayerSeesWhatTheWrittenOnesBeforeItProduce) {
  const auto weights = tiny_weights(6);
  const host::TokenBatch tokens = random_tokens(16, 48, 101, 7);
  const auto original = host::HostModel::create(weights)->layer_inputs(tokens).value();
  constexpr size_t kLayer = 2;
  const int64_t h = weights->shape.hidden_size;
  const double eps = weights->shape.rms_norm_eps;
  for (const double carried : {0.0, 0.5}) {
    auto recipe = uniform(*weights, "int3_g32_gptq+a:int8_token");
    recipe.carried_frac = carried;
    const auto made = compress_in_memory(weights, recipe, tokens);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    auto model =
        host::HostModel::create(std::make_shared<const model::Weights>(made->weights)).value();
    ASSERT_TRUE(model.set_numerics(made->numerics).has_value());
    const std::vector<double> x = normed(model.layer_inputs(tokens).value()[kLayer], eps, true);
    const std::vector<float> moments = mean_outer(h, x, x);
    model::Matrix target = weights->layers[kLayer].q;
    if (carried > 0) {
      const std::vector<float> cross = mean_outer(h, normed(original[kLayer], eps, false), x);
      target = correct_carried_error({.fraction = carried}, target, moments, cross)->target;
      // Not by a little: without the correction many codes are others.
      const auto plain = gptq(formats::parse_weight_format("int3_g32").value(), {},
                              weights->layers[kLayer].q, moments);
      EXPECT_GT(num_different(plain->values, made->weights.layers[kLayer].q.values),
                std::ssize(target.values) / 10);
    }
    const auto want = gptq(formats::parse_weight_format("int3_g32").value(), {}, target, moments);
    ASSERT_TRUE(want.has_value());
    // Moments of the uncompressed inputs would change a third of the codes.
    EXPECT_LT(num_different(want->values, made->weights.layers[kLayer].q.values),
              std::ssize(want->values) / 50)
        << carried;
  }
}

LayerParams side_by_side(int64_t rows) {
  LayerParams params;
  params.rows_at_once = rows;
  return params;
}

TEST(CompressModel, ResultsDoNotDependOnHowManySequencesRunSideBySide) {
  const auto weights = tiny_weights(8);
  const host::TokenBatch tokens = random_tokens(6, 32, 101, 9);
  const auto recipe = uniform(*weights, "int4_g32_gptq");
  const auto one = compress_in_memory(weights, recipe, tokens, side_by_side(32));
  const auto all = compress_in_memory(weights, recipe, tokens);
  ASSERT_TRUE(one.has_value() && all.has_value());
  const double a = mean_kl(*weights, one->weights, one->numerics, tokens);
  const double b = mean_kl(*weights, all->weights, all->numerics, tokens);
  EXPECT_NEAR(a, b, .05 * b);
}

TEST(CompressModel, ActivationsOnDiskGiveTheSameBits) {
  const auto weights = tiny_weights(12);
  const host::TokenBatch tokens = random_tokens(6, 32, 101, 13);
  const auto recipe = uniform(*weights, "int3_g32_gptq+a:int8_token");
  LayerParams spilling = side_by_side(64);
  spilling.spill_folder = test_folder().string();
  const auto disk = compress_in_memory(weights, recipe, tokens, spilling);
  const auto memory = compress_in_memory(weights, recipe, tokens, side_by_side(64));
  ASSERT_TRUE(disk.has_value() && memory.has_value());
  EXPECT_EQ(model::weights_digest(disk->weights), model::weights_digest(memory->weights));
}

// A head that knows its inputs is written behind the layers, and better for it.
TEST(CompressModel, AHeadWithAnAlgorithmLosesLess) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(14, tied);
    const host::TokenBatch tokens = random_tokens(24, 32, 101, 15);
    const auto nearest = uniform(*weights, "bf16+head:int3_g32");
    const auto moved =
        compress_in_memory(weights, uniform(*weights, "bf16+head:int3_g32_gptq"), tokens);
    ASSERT_TRUE(moved.has_value()) << moved.error().message;
    ASSERT_EQ(moved->reports.size(), 1U);
    EXPECT_EQ(moved->reports[0].site, "head");
    EXPECT_LT(moved->reports[0].error_frac, .9 * moved->reports[0].rounded_error_frac);
    const host::TokenBatch fresh = random_tokens(6, 32, 101, 16);
    const double rounded = mean_kl(*weights, apply_recipe(*weights, nearest).value(), {}, fresh);
    // A tied head's embedding side is not what the algorithm sees.
    EXPECT_LT(mean_kl(*weights, moved->weights, {}, fresh), (tied ? 1.2 : .95) * rounded);
  }
}

TEST(CompressModel, EveryAlgorithmLosesLessThanTheOneBefore) {
  const auto weights = tiny_weights(20);
  const host::TokenBatch seen = random_tokens(32, 48, 101, 21);
  const host::TokenBatch fresh = random_tokens(8, 48, 101, 22);
  const auto kl_of = [&](const std::string& name) {
    const auto recipe = uniform(*weights, name);
    if (!recipe::needs_calibration(recipe))
      return mean_kl(*weights, apply_recipe(*weights, recipe).value(), {}, fresh);
    LayerParams params;
    params.learned.iterations = 100;
    const auto made = compress_in_memory(weights, recipe, seen, params);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return mean_kl(*weights, made->weights, made->numerics, fresh);
  };
  double last = kl_of("int3_g32");
  for (const std::string algorithm : {"gptq", "gptq_cd", "signround"}) {
    const double kl = kl_of("int3_g32_" + algorithm);
    EXPECT_LT(kl, last) << algorithm;
    last = kl;
  }
}

// Channels of very different size are what folding is for.
TEST(CompressModel, FoldsHelpWhereChannelsDiffer) {
  auto uneven = std::make_shared<model::Weights>(*tiny_weights(23));
  for (model::LayerWeights& layer : uneven->layers)
    for (size_t j = 0; j < layer.attn_norm.size(); j += 9) {
      layer.attn_norm[j] = 12;
      layer.mlp_norm[j] = 12;
    }
  const host::TokenBatch seen = random_tokens(16, 48, 101, 24);
  const host::TokenBatch fresh = random_tokens(8, 48, 101, 25);
  const auto kl_of = [&](const std::string& name) {
    const auto recipe = uniform(*uneven, name);
    const auto made = compress_in_memory(uneven, recipe, seen);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return mean_kl(*uneven, made->weights, made->numerics, fresh);
  };
  EXPECT_LT(kl_of("int4_g32_awq"), .9 * kl_of("int4_g32"));
  EXPECT_LT(kl_of("int8_smooth+a:int8_token"), .9 * kl_of("int8+a:int8_token"));
  EXPECT_GT(kl_of("int4_g32_awq_gptq"), 0);
}

// Stopped behind any layer and started again from what was kept, the result is the same to the bit.
TEST(CompressModel, GoesOnBehindALayerAsIfItHadNotStopped) {
  const auto weights = tiny_weights(17);
  const host::TokenBatch tokens = random_tokens(6, 32, 101, 18);
  for (const std::string name :
       {"int3_g32_gptq+head:int8", "int3_g32_gptq+head:int4_g32_gptq", "int3_g32_signround"}) {
    const auto recipe = uniform(*weights, name);
    const auto whole = compress_in_memory(weights, recipe, tokens).value();
    for (int64_t stop = 1; stop <= 3; ++stop) {
      model::Weights made = *weights;
      std::vector<float> kept(static_cast<size_t>(tokens.rows() * 64));
      int64_t done = 0;
      bool has_head = false;
      CompressSink sink;
      sink.layer = [&](int64_t index, CompressedLayer layer,
                       const ActivationStore& hidden) -> Status {
        if (done == stop) return io_error("stopped");
        made.layers[static_cast<size_t>(index)] = std::move(layer.weights);
        ++done;
        return hidden.read(0, tokens.rows(), kept.data());
      };
      sink.head = [&](CompressedHead head) -> Status {
        made.embedding = std::move(head.values);
        has_head = true;
        return {};
      };
      const Status first = compress_model(source_of(weights), recipe, tokens, {}, sink);
      EXPECT_EQ(first.has_value(), stop == 3);
      const CompressStart start{.first_layer = done,
                                .head_is_written = has_head,
                                .load_hidden = [&](ActivationStore& hidden) {
                                  return hidden.write(0, tokens.rows(), kept.data());
                                }};
      done = -1;
      const Status rest = compress_model(source_of(weights), recipe, tokens, {}, sink, start);
      ASSERT_TRUE(rest.has_value()) << rest.error().message;
      EXPECT_EQ(model::weights_digest(made), model::weights_digest(whole.weights)) << name << stop;
    }
  }
}

TEST(CompressModelError, WrongRecipesWeightsAndTokensAreNamed) {
  const auto weights = tiny_weights(10);
  const host::TokenBatch tokens = random_tokens(2, 16, 101, 11);
  recipe::Recipe short_recipe = uniform(*weights, "int4_g32_gptq");
  short_recipe.layers.pop_back();
  EXPECT_EQ(compress_in_memory(weights, short_recipe, tokens).error().message,
            "recipe has 2 layers, the model tiny has 3");
  const auto spoilt = std::make_shared<model::Weights>(*weights);
  spoilt->layers[1].up.values[70] = std::nanf("");
  EXPECT_EQ(compress_in_memory(spoilt, uniform(*weights, "int4_g32"), tokens).error().message,
            "layers.1.mlp_gate_up: up: weight (1, 6) is nan, want a finite number");
  host::TokenBatch wrong = tokens;
  wrong.ids[3] = 5000;
  EXPECT_FALSE(compress_in_memory(weights, uniform(*weights, "int4_g32"), wrong).has_value());
}

}  // namespace
}  // namespace dovetail::compress
