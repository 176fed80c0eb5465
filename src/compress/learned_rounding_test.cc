#include "compress/learned_rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/gptq.h"
#include "compress/tiny_model.h"
#include "formats/quantize.h"
#include "host/symmetric.h"

namespace dovetail::compress {
namespace {

constexpr int64_t kSeq = 24;
constexpr int64_t kLayer = 1;

std::array<formats::WeightFormat, kLayerLinears> all_in(std::string_view name) {
  std::array<formats::WeightFormat, kLayerLinears> formats;
  formats.fill(formats::parse_weight_format(name).value());
  return formats;
}

// A layer of a small model with what enters and leaves it.
struct Case {
  explicit Case(uint64_t seed, int64_t sequences = 24)
      : weights(tiny_weights(1)),
        tokens(random_tokens(sequences, kSeq, 101, seed)),
        rope(kSeq, weights->shape) {
    auto inputs = host::HostModel::create(weights)->layer_inputs(tokens).value();
    input = std::move(inputs[kLayer]);
    target = std::move(inputs[kLayer + 1]);
  }
  LayerProblem problem() const {
    return {weights->shape,      layer(), numerics, rope, tokens.batch, kSeq, input.values.data(),
            target.values.data()};
  }
  const model::LayerWeights& layer() const { return weights->layers[kLayer]; }

  std::shared_ptr<const model::Weights> weights;
  host::TokenBatch tokens;
  host::RopeTable rope;
  host::LayerNumerics numerics;
  model::Matrix input, target;
};

// The loss by its definition, through the host model: its next layer's input is this one's output.
double loss_through_the_model(const Case& c, const RoundedLayer& linears) {
  auto model = host::HostModel::create(c.weights).value();
  auto layer = std::make_shared<model::LayerWeights>(c.layer());
  for (size_t i = 0; i < kLayerLinears; ++i)
    if (!linears[i].values.empty()) ((*layer).*layer_linears()[i]).values = linears[i].values;
  EXPECT_TRUE(model.replace_layer(kLayer, layer).has_value());
  const auto outputs = model.layer_inputs(c.tokens).value();
  const auto h = static_cast<size_t>(c.weights->shape.hidden_size);
  double loss = 0;
  for (size_t row = 0; row < static_cast<size_t>(c.tokens.rows()); ++row) {
    double error = 0;
    double size = 0;
    for (size_t i = row * h; i < (row + 1) * h; ++i) {
      const double y = c.target.values[i];
      error += std::pow(static_cast<double>(outputs[kLayer + 1].values[i]) - y, 2);
      size += y * y;
    }
    loss += error / size;
  }
  return loss / static_cast<double>(c.tokens.rows());
}

TEST(LearnedRounding, LowersTheLayersErrorAlsoOnTextThatItDidNotSee) {
  const Case seen(2, 64);
  const Case fresh(3);
  for (const char* name : {"int2_g32", "int3_asym_g32", "mxfp4"}) {
    const RoundedLayer start = nearest_layer(seen.layer(), all_in(name), {});
    const auto found =
        learn_rounding(seen.problem(), start, {.iterations = 40, .batch = 16, .start_reach = .5});
    ASSERT_TRUE(found.has_value()) << found.error().message;
    const LearnedStats& stats = found->stats;
    EXPECT_NEAR(stats.start_loss, loss_through_the_model(seen, start), 1e-3 * stats.start_loss);
    EXPECT_NEAR(stats.loss, loss_through_the_model(seen, found->linears), 1e-3 * stats.loss);
    EXPECT_LT(stats.loss, .92 * stats.start_loss) << name;
    // 34 thousand weights and 1536 tokens: where codes are coarse the gain reaches other text.
    if (std::string_view(name).starts_with("int")) {
      EXPECT_LT(loss_through_the_model(fresh, found->linears),
                .95 * loss_through_the_model(fresh, start))
          << name;
    }
    EXPECT_EQ(stats.iterations, 40);
    EXPECT_GT(stats.best_iteration, 0);
    for (size_t i = 0; i < kLayerLinears; ++i) {
      const RoundedLinear& linear = found->linears[i];
      const model::Matrix& w = seen.layer().*layer_linears()[i];
      const auto packed = formats::encode_with(linear.format, formats::Ties::kEven, linear.scales,
                                               w.rows, w.cols, linear.values.data());
      EXPECT_EQ(formats::decode_rows(packed).value(), linear.values) << name;
    }
  }
}

TEST(LearnedRounding, ImprovesWhatGptqFound) {
  const Case c(4, 64);
  RoundedLayer start = nearest_layer(c.layer(), all_in("int2_g32"), {});
  // The site whose inputs are at hand: qkv.
  std::vector<float> normed(c.input.values.size());
  host::rms_norm(c.input.rows, c.input.cols, c.input.values.data(), c.layer().attn_norm.data(),
                 c.weights->shape.rms_norm_eps, normed.data());
  host::Gram gram(c.input.cols);
  gram.add(c.input.rows, normed.data());
  const std::vector<float> moments = std::move(gram).take_mean();
  for (size_t i = 0; i < 3; ++i) {
    auto moved = gptq(start[i].format, {}, c.layer().*layer_linears()[i], moments);
    ASSERT_TRUE(moved.has_value());
    start[i] = {start[i].format, std::move(moved->values), std::move(moved->scales)};
  }
  const auto found = learn_rounding(c.problem(), start, {.iterations = 40, .batch = 16});
  ASSERT_TRUE(found.has_value()) << found.error().message;
  const auto nearest = layer_loss(c.problem(), nearest_layer(c.layer(), all_in("int2_g32"), {}));
  EXPECT_LT(found->stats.start_loss, nearest.value());
  EXPECT_LT(found->stats.loss, .95 * found->stats.start_loss);
}

TEST(LearnedRounding, KeepsTheStartWhereNothingIsBetterAndTheSameSeedGivesTheSame) {
  const Case c(5);
  const RoundedLayer start = nearest_layer(c.layer(), all_in("int8"), {});
  // Steps of eight codes make it worse at once.
  const auto wild =
      learn_rounding(c.problem(), start, {.iterations = 1, .rate = 8, .scale_rate = 0, .reach = 7});
  ASSERT_TRUE(wild.has_value());
  EXPECT_EQ(wild->stats.best_iteration, 0);
  EXPECT_EQ(wild->stats.loss, wild->stats.start_loss);
  EXPECT_EQ(wild->stats.changed_weights, 0);
  const LearnedParams params{.iterations = 7, .batch = 5, .seed = 9};
  const auto once = learn_rounding(c.problem(), start, params);
  const auto twice = learn_rounding(c.problem(), start, params);
  for (size_t i = 0; i < kLayerLinears; ++i)
    EXPECT_EQ(once->linears[i].values, twice->linears[i].values);
}

TEST(LearnedRounding, Bf16SitesStayAndActivationsAreRounded) {
  Case c(6);
  auto formats = all_in("int3_g32");
  formats[6] = formats::WeightFormat{};
  for (host::InputNumerics& input : c.numerics.linear)
    input.format = formats::ActivationFormat::kInt8Token;
  const RoundedLayer start = nearest_layer(c.layer(), formats, {});
  const auto found = learn_rounding(c.problem(), start, {.iterations = 30, .start_reach = .5});
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_TRUE(found->linears[6].values.empty());
  EXPECT_LT(found->stats.loss, .95 * found->stats.start_loss);
  // Rounded activations are in the loss: without them the same weights lose less.
  c.numerics = {};
  EXPECT_NE(layer_loss(c.problem(), found->linears).value(), found->stats.loss);
}

TEST(LearnedRoundingError, ParametersOutOfRangeAreNamed) {
  const Case c(7, 2);
  const RoundedLayer start = nearest_layer(c.layer(), all_in("int4"), {});
  const auto message = [&](const LearnedParams& params) {
    return learn_rounding(c.problem(), start, params).error().message;
  };
  EXPECT_EQ(message({.iterations = -1}), "learned rounding: iterations = -1, want 0..100000");
  EXPECT_EQ(message({.batch = 0}), "learned rounding: batch = 0, want at least 1");
  EXPECT_EQ(message({.rate = 9}), "learned rounding: rate = 9, want 0..8");
  EXPECT_EQ(message({.reach = 0}), "learned rounding: reach = 0, want above 0, below 8");
  EXPECT_EQ(message({.checks = 0}), "learned rounding: checks = 0, want at least 1");
  RoundedLayer broken = start;
  broken[3].values.clear();
  EXPECT_EQ(learn_rounding(c.problem(), broken, {}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::compress
