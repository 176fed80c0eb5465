#include "host/profile_pass.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/quantize.h"
#include "host/slow_model.h"

namespace dovetail::host {
namespace {

constexpr int64_t kPositions = 5;

double loss_of(const model::Weights& weights, const std::vector<int32_t>& ids,
               const std::vector<int32_t>& labels, const SlowProbe& probe) {
  const SlowRun run = slow_forward(weights, {}, ids, probe);
  double loss = 0.0;
  for (size_t t = 0; t < ids.size(); ++t) loss -= slow_log_probability(run.logits[t], labels[t]);
  return loss;
}

// Everything below comes from central differences of the slow model's loss.
struct SlowGradients {
  const model::Weights& weights;
  TokenBatch tokens;
  std::vector<int32_t> labels;

  std::vector<int32_t> ids(int64_t sequence) const {
    const auto* at = tokens.ids.data() + sequence * tokens.seq;
    return {at, at + tokens.seq};
  }
  std::vector<int32_t> labels_of(int64_t sequence) const {
    const auto* at = labels.data() + sequence * tokens.seq;
    return {at, at + tokens.seq};
  }
  // (positions, out) of one sequence
  DoubleRows delta(SlowLinear linear, int64_t layer, int64_t outputs, int64_t sequence) const {
    constexpr double kStep = 1e-4;
    DoubleRows result;
    for (int64_t t = 0; t < tokens.seq; ++t) {
      result.emplace_back();
      for (int64_t i = 0; i < outputs; ++i) {
        const double up =
            loss_of(weights, ids(sequence), labels_of(sequence), {linear, layer, t, i, kStep});
        const double down =
            loss_of(weights, ids(sequence), labels_of(sequence), {linear, layer, t, i, -kStep});
        result.back().push_back((up - down) / (2.0 * kStep));
      }
    }
    return result;
  }
};

void expect_sensitivity(const SlowGradients& slow, SlowLinear linear, int64_t layer,
                        const model::Matrix& w, const model::Matrix& s) {
  ASSERT_EQ(s.rows, w.rows);
  ASSERT_EQ(s.cols, w.cols);
  std::vector<double> expected(s.values.size());
  double largest = 0.0;
  for (int64_t b = 0; b < slow.tokens.batch; ++b) {
    const DoubleRows delta = slow.delta(linear, layer, w.rows, b);
    const SlowRun run = slow_forward(slow.weights, {}, slow.ids(b));
    const DoubleRows& x = run.inputs[static_cast<size_t>(layer * 8) + static_cast<size_t>(linear)];
    for (size_t at = 0; at < expected.size(); ++at) {
      const auto i = at / static_cast<size_t>(w.cols);
      const auto j = at % static_cast<size_t>(w.cols);
      for (size_t t = 0; t < x.size(); ++t) {
        expected[at] +=
            std::pow(delta[t][i] * x[t][j], 2) / static_cast<double>(slow.tokens.rows());
      }
      largest = std::max(largest, expected[at]);
    }
  }
  ASSERT_GT(largest, 1e-6);
  for (size_t at = 0; at < expected.size(); ++at) {
    ASSERT_NEAR(s.values[at], expected[at], 1e-3 * expected[at] + 1e-6 * largest)
        << "linear " << static_cast<int>(linear) << " of layer " << layer << ", element " << at;
  }
}

struct SlowSite {
  std::vector<SlowLinear> linears;
  std::vector<const model::Matrix*> weights;
};

double slow_activation_loss(const SlowGradients& slow, const SlowSite& site, int64_t layer,
                            formats::ActivationFormat format) {
  double loss = 0.0;
  for (int64_t b = 0; b < slow.tokens.batch; ++b) {
    const SlowRun run = slow_forward(slow.weights, {}, slow.ids(b));
    const DoubleRows& x =
        run.inputs[static_cast<size_t>(layer * 8) + static_cast<size_t>(site.linears[0])];
    DoubleRows gradient(x.size(), std::vector<double>(x[0].size()));
    for (size_t one = 0; one < site.linears.size(); ++one) {
      const model::Matrix& w = *site.weights[one];
      const DoubleRows delta = slow.delta(site.linears[one], layer, w.rows, b);
      for (size_t t = 0; t < x.size(); ++t) {
        for (size_t at = 0; at < w.values.size(); ++at) {
          gradient[t][at % static_cast<size_t>(w.cols)] +=
              delta[t][at / static_cast<size_t>(w.cols)] * static_cast<double>(w.values[at]);
        }
      }
    }
    for (size_t t = 0; t < x.size(); ++t) {
      std::vector<float> rounded(x[t].begin(), x[t].end());
      formats::quantize_activations(format, 1, static_cast<int64_t>(rounded.size()),
                                    rounded.data());
      for (size_t j = 0; j < rounded.size(); ++j) {
        loss += 0.5 * std::pow(gradient[t][j] * (x[t][j] - static_cast<double>(rounded[j])), 2);
      }
    }
  }
  return loss / static_cast<double>(slow.tokens.rows());
}

void expect_activation_loss(const SlowGradients& slow, const SlowSite& site, int64_t layer,
                            const ActivationLoss& loss) {
  const double int8 =
      slow_activation_loss(slow, site, layer, formats::ActivationFormat::kInt8Token);
  const double fp8 = slow_activation_loss(slow, site, layer, formats::ActivationFormat::kFp8Token);
  ASSERT_GT(int8, 0.0);
  EXPECT_NEAR(loss.int8_token_nats, int8, 1e-2 * int8);
  EXPECT_NEAR(loss.fp8_token_nats, fp8, 1e-2 * fp8);
}

void expect_profile_matches(const TinyModel& shape, uint64_t seed) {
  const auto weights = std::make_shared<const model::Weights>(make_tiny_weights(shape, seed));
  const auto model = HostModel::create(weights);
  ASSERT_TRUE(model.has_value());
  const TokenBatch tokens{2, kPositions, random_ids(2 * kPositions, shape.vocab, seed + 1)};
  const auto labels = profile_labels(model.value(), tokens, seed + 2);
  ASSERT_TRUE(labels.has_value());
  const auto profile = profile_pass(model.value(), tokens, seed + 2);
  ASSERT_TRUE(profile.has_value());
  EXPECT_EQ(profile->num_positions, 2 * kPositions);
  const SlowGradients slow{*weights, tokens, labels.value()};
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    const model::LayerWeights& w = weights->layers[static_cast<size_t>(layer)];
    const LayerSensitivity& s = profile->layers[static_cast<size_t>(layer)];
    expect_sensitivity(slow, SlowLinear::kQ, layer, w.q, s.q);
    expect_sensitivity(slow, SlowLinear::kK, layer, w.k, s.k);
    expect_sensitivity(slow, SlowLinear::kV, layer, w.v, s.v);
    expect_sensitivity(slow, SlowLinear::kO, layer, w.o, s.o);
    expect_sensitivity(slow, SlowLinear::kGate, layer, w.gate, s.gate);
    expect_sensitivity(slow, SlowLinear::kUp, layer, w.up, s.up);
    expect_sensitivity(slow, SlowLinear::kDown, layer, w.down, s.down);
    expect_activation_loss(slow,
                           {{SlowLinear::kQ, SlowLinear::kK, SlowLinear::kV}, {&w.q, &w.k, &w.v}},
                           layer, s.activation[0]);
    expect_activation_loss(slow, {{SlowLinear::kO}, {&w.o}}, layer, s.activation[1]);
    expect_activation_loss(slow, {{SlowLinear::kGate, SlowLinear::kUp}, {&w.gate, &w.up}}, layer,
                           s.activation[2]);
    expect_activation_loss(slow, {{SlowLinear::kDown}, {&w.down}}, layer, s.activation[3]);
  }
  expect_sensitivity(slow, SlowLinear::kHead, 0, weights->head_matrix(), profile->head);
  expect_activation_loss(slow, {{SlowLinear::kHead}, {&weights->head_matrix()}}, 0,
                         profile->head_activation);
}

TEST(ProfilePass, MatchesFiniteDifferencesTied) {
  expect_profile_matches({}, 31);
}

TEST(ProfilePass, MatchesFiniteDifferencesWithBiasesUntied) {
  expect_profile_matches({.heads = 3, .kv_heads = 3, .tied = false, .bias = true}, 41);
}

TEST(ProfilePass, MatchesFiniteDifferencesThroughTheNormsOfHeads) {
  expect_profile_matches({.heads = 3, .kv_heads = 3, .qk_norm = true, .rope_divisors = {1, 2, 8}},
                         43);
}

TEST(ProfilePass, BackwardCrossesAttentionBlocks) {
  // 384 / 6 = 64 positions a block: the gradient of v at position 0 must gather from all blocks. A
  // few elements of delta are enough: S of v sums them all, so compare whole S at one output row.
  const TinyModel shape{.num_layers = 1,
                        .hidden = 6,
                        .intermediate = 6,
                        .heads = 6,
                        .kv_heads = 1,
                        .head_dim = 2,
                        .vocab = 11};
  const auto weights = std::make_shared<const model::Weights>(make_tiny_weights(shape, 51));
  const auto model = HostModel::create(weights);
  ASSERT_TRUE(model.has_value());
  const TokenBatch tokens{1, 150, random_ids(150, shape.vocab, 52)};
  const auto labels = profile_labels(model.value(), tokens, 53);
  const auto profile = profile_pass(model.value(), tokens, 53);
  ASSERT_TRUE(labels.has_value() && profile.has_value());
  const SlowGradients slow{*weights, tokens, labels.value()};
  const model::LayerWeights& w = weights->layers[0];
  expect_sensitivity(slow, SlowLinear::kK, 0, w.k, profile->layers[0].k);
  expect_sensitivity(slow, SlowLinear::kV, 0, w.v, profile->layers[0].v);
}

TEST(ProfilePass, SameSeedSameResultAndNumericsAreRefused) {
  const TinyModel shape;
  auto model =
      HostModel::create(std::make_shared<const model::Weights>(make_tiny_weights(shape, 61)));
  ASSERT_TRUE(model.has_value());
  const TokenBatch tokens{2, kPositions, random_ids(2 * kPositions, shape.vocab, 62)};
  const auto a = profile_pass(model.value(), tokens, 1);
  const auto b = profile_pass(model.value(), tokens, 1);
  const auto c = profile_pass(model.value(), tokens, 2);
  ASSERT_TRUE(a.has_value() && b.has_value() && c.has_value());
  EXPECT_EQ(a->layers[0].q.values, b->layers[0].q.values);
  EXPECT_NE(a->layers[0].q.values, c->layers[0].q.values);
  Numerics numerics;
  numerics.head.format = formats::ActivationFormat::kInt8Token;
  ASSERT_TRUE(model->set_numerics(numerics).has_value());
  const auto refused = profile_pass(model.value(), tokens, 1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::host
