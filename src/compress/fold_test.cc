#include "compress/fold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/site_matrix.h"
#include "compress/tiny_model.h"
#include "formats/quantize.h"
#include "model/reference_forward.h"

namespace dovetail::compress {
namespace {

using recipe::SiteKind;

constexpr std::array kSites = {SiteKind::kAttnQkv, SiteKind::kAttnO, SiteKind::kMlpGateUp,
                               SiteKind::kMlpDown};

// Grouped queries, and biases on q, k, v.
model::Weights biased_weights() {
  model::Weights weights = *tiny_weights(1);
  weights.shape.family = model::Family::kQwen2;
  weights.shape.qkv_bias = true;
  Random random(2);
  for (model::LayerWeights& layer : weights.layers) {
    layer.q_bias = random_values(weights.shape.q_size(), .3, random);
    layer.k_bias = random_values(weights.shape.kv_size(), .3, random);
    layer.v_bias = random_values(weights.shape.kv_size(), .3, random);
    for (float& gain : layer.attn_norm) gain += static_cast<float>(random.uniform());
  }
  return weights;
}

std::vector<float> hidden_of(const model::Weights& weights, const host::TokenBatch& tokens) {
  const auto model = host::HostModel::create(std::make_shared<const model::Weights>(weights));
  return model->hidden_states(tokens)->values;
}

// Norms of query and key heads.
model::Weights normed_weights() {
  model::ModelShape shape = model::tiny_qwen3_shape();
  shape.vocab_size = 101;
  return model::random_weights(shape, 5);
}

void expect_function_stays(const model::Weights& weights) {
  const host::TokenBatch tokens = random_tokens(2, 20, 101, 3);
  const std::vector<float> want = hidden_of(weights, tokens);
  for (const SiteKind kind : kSites) {
    const auto producer = producer_channels(weights.shape, kind).value();
    Random random(4);
    std::vector<float> of_channel;
    for (size_t j = 0; j < producer.size(); ++j)
      of_channel.push_back(static_cast<float>(std::exp(3 * random.uniform() - 1.5)));
    std::vector<float> s;
    for (const int64_t channel : producer) s.push_back(of_channel[static_cast<size_t>(channel)]);
    model::Weights folded = weights;
    ASSERT_TRUE(fold(folded.shape, kind, s, folded.layers[1]).has_value());
    for (const SiteMember& member : site_members(kind))
      EXPECT_NE((folded.layers[1].*member.matrix).values,
                (weights.layers[1].*member.matrix).values);
    const std::vector<float> found = hidden_of(folded, tokens);
    double largest = 0;
    for (const float x : want) largest = std::max(largest, std::fabs(static_cast<double>(x)));
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(found[i], want[i], 2e-5 * largest) << recipe::site_kind_name(kind);
  }
}

TEST(Fold, ScalesOfEverySiteLeaveTheFunction) {
  expect_function_stays(biased_weights());
  expect_function_stays(normed_weights());
}

struct Site {
  std::vector<model::Matrix> matrices;
  std::vector<float> x;  // (tokens, k), some channels large
  SiteInputs inputs;
  std::vector<int64_t> producer;
  std::vector<const model::Matrix*> pointers() const {
    std::vector<const model::Matrix*> all;
    for (const model::Matrix& w : matrices) all.push_back(&w);
    return all;
  }
};

Site make_site(size_t k, size_t tokens) {
  Random random(7);
  Site site;
  for (int i = 0; i < 2; ++i)
    site.matrices.push_back(random_matrix(20, static_cast<int64_t>(k), 1.0, random));
  for (size_t j = 0; j < k; ++j) site.producer.push_back(static_cast<int64_t>(j));
  site.inputs = {.moments = std::vector<float>(k * k),
                 .mean_abs = std::vector<float>(k),
                 .max_abs = std::vector<float>(k)};
  for (size_t t = 0; t < tokens; ++t)
    for (size_t j = 0; j < k; ++j)
      site.x.push_back(static_cast<float>((2 * random.uniform() - 1) * (j % 16 == 5 ? 12 : 1)));
  for (size_t t = 0; t < tokens; ++t)
    for (size_t i = 0; i < k; ++i) {
      const float x = site.x[t * k + i];
      site.inputs.mean_abs[i] += std::fabs(x) / static_cast<float>(tokens);
      site.inputs.max_abs[i] = std::max(site.inputs.max_abs[i], std::fabs(x));
      for (size_t j = 0; j < k; ++j)
        site.inputs.moments[i * k + j] += x * site.x[t * k + j] / static_cast<float>(tokens);
    }
  return site;
}

// The error of the site's outputs themselves, token by token.
double slow_error(const Site& site, const formats::WeightFormat& format,
                  const std::vector<float>& s) {
  double error = 0;
  double output = 0;
  const size_t k = s.size();
  for (const model::Matrix& w : site.matrices) {
    model::Matrix scaled = w;
    for (size_t at = 0; at < scaled.values.size(); ++at) scaled.values[at] *= s[at % k];
    std::vector<float> q(scaled.values.size());
    formats::quantize_rows(format, {}, w.rows, w.cols, scaled.values.data(), q.data());
    for (size_t t = 0; t < site.x.size() / k; ++t)
      for (size_t row = 0; row < static_cast<size_t>(w.rows); ++row) {
        double y = 0;
        double written = 0;
        for (size_t j = 0; j < k; ++j) {
          const auto x = static_cast<double>(site.x[t * k + j]);
          y += static_cast<double>(w.values[row * k + j]) * x;
          written += static_cast<double>(q[row * k + j]) * x / static_cast<double>(s[j]);
        }
        error += (y - written) * (y - written);
        output += y * y;
      }
  }
  return error / output;
}

TEST(Fold, AwqTakesTheAlphaOfLeastOutputError) {
  const Site site = make_site(48, 150);
  const auto format = formats::parse_weight_format("int3_g16").value();
  const auto found = awq_scales(format, {.grid = 8, .weigh_scales = false}, site.pointers(),
                                site.inputs, site.producer);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  double least = std::numeric_limits<double>::infinity();
  double alpha_of_least = -1;
  for (int i = 0; i <= 8; ++i) {
    std::vector<float> s;
    float low = std::numeric_limits<float>::infinity();
    float high = 0;
    for (const float size : site.inputs.mean_abs) {
      s.push_back(std::pow(size, static_cast<float>(i) / 8));
      low = std::min(low, s.back());
      high = std::max(high, s.back());
    }
    for (float& scale : s) scale /= std::sqrt(low * high);
    const double error = slow_error(site, format, s);
    if (i == 0) {
      EXPECT_NEAR(found->plain_error_frac, error, 1e-4 * error);
    }
    if (error >= least) continue;
    least = error;
    alpha_of_least = i / 8.0;
  }
  EXPECT_EQ(found->alpha, alpha_of_least);
  EXPECT_NEAR(found->error_frac, least, 1e-4 * least);
  EXPECT_LT(found->error_frac, .7 * found->plain_error_frac);
}

TEST(Fold, SmoothScalesFollowTheFormulaAndShareAValueHead) {
  Site site = make_site(8, 30);
  site.inputs.max_abs[3] = 0;
  const auto found = smooth_scales(.3, site.pointers(), site.inputs, site.producer);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  for (size_t j = 0; j < 8; ++j) {
    double largest = 0;
    for (const model::Matrix& w : site.matrices)
      for (size_t row = 0; row < 20; ++row)
        largest = std::max(largest, std::fabs(static_cast<double>(w.values[row * 8 + j])));
    const double want =
        std::pow(static_cast<double>(site.inputs.max_abs[j]), .3) / std::pow(largest, .7);
    EXPECT_NEAR((*found)[j], j == 3 ? 1 : want, 1e-5 * want);
  }
  // Two query heads of two channels on each of two value heads.
  model::ModelShape shape;
  shape.num_layers = 1;
  shape.hidden_size = shape.intermediate_size = 8;
  shape.num_heads = 4;
  shape.num_kv_heads = shape.head_dim = 2;
  const auto producer = producer_channels(shape, SiteKind::kAttnO).value();
  EXPECT_EQ(producer, (std::vector<int64_t>{0, 1, 0, 1, 2, 3, 2, 3}));
  const auto shared = smooth_scales(1, site.pointers(), site.inputs, producer).value();
  for (const size_t j : {0, 1, 4, 5}) {
    EXPECT_EQ(shared[j], shared[j + 2]);
    EXPECT_EQ(shared[j], std::max(site.inputs.max_abs[j], site.inputs.max_abs[j + 2]));
  }
}

TEST(FoldError, ImpossibleSitesAndScalesChangeNothing) {
  const model::Weights weights = biased_weights();
  model::LayerWeights layer = weights.layers[0];
  const auto message = [&](SiteKind kind, const std::vector<float>& s) {
    return fold(weights.shape, kind, s, layer).error().message;
  };
  EXPECT_EQ(message(SiteKind::kHead, {}),
            "fold: site head, want attn_qkv, attn_o, mlp_gate_up or mlp_down");
  EXPECT_EQ(message(SiteKind::kMlpDown, {1, 2}),
            "fold: 2 scales, want one for each of 96 channels");
  std::vector<float> s(64, 1.0F);
  s[16] = 2;  // head 1 reads the value head of head 0
  EXPECT_EQ(message(SiteKind::kAttnO, s),
            "fold: the scale of channel 16 is 2, want 1: both read channel 0 of the producer");
  s[16] = 0;
  EXPECT_EQ(message(SiteKind::kAttnQkv, s),
            "fold: the scale of channel 16 is 0, want a positive number");
  EXPECT_EQ(layer.o.values, weights.layers[0].o.values);
  EXPECT_EQ(layer.attn_norm, weights.layers[0].attn_norm);
}

TEST(FoldError, StatisticsOfWrongSizeOrValueAreNamed) {
  Site site = make_site(8, 30);
  const auto format = formats::parse_weight_format("int4").value();
  const auto message = [&](const AwqParams& params) {
    return awq_scales(format, params, site.pointers(), site.inputs, site.producer).error().message;
  };
  EXPECT_EQ(message({.grid = 0}), "fold: grid = 0, want 1..1000");
  site.inputs.mean_abs[2] = std::nanf("");
  EXPECT_EQ(message({}), "fold: mean_abs holds a number that is not finite");
  site.inputs.moments.pop_back();
  EXPECT_EQ(message({}), "fold: moments has 63 values, want 64");
  EXPECT_EQ(smooth_scales(2, site.pointers(), site.inputs, site.producer).error().message,
            "fold: alpha = 2, want 0..1");
  site.producer.pop_back();
  EXPECT_EQ(message({}), "fold: a matrix has 8 input channels, want 7");
}

}  // namespace
}  // namespace dovetail::compress
