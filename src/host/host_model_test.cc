#include "host/host_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/random.h"
#include "host/slow_model.h"

namespace dovetail::host {
namespace {

std::shared_ptr<const model::Weights> tiny(const TinyModel& model, uint64_t seed) {
  return std::make_shared<const model::Weights>(make_tiny_weights(model, seed));
}

HostModel must_create(std::shared_ptr<const model::Weights> weights) {
  auto model = HostModel::create(std::move(weights));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(model).value();
}

std::vector<int32_t> sequence_of(const TokenBatch& tokens, int64_t index) {
  const auto* begin = tokens.ids.data() + index * tokens.seq;
  return {begin, begin + tokens.seq};
}

void expect_logits_match(const model::Weights& weights, const HostModel& model,
                         const TokenBatch& tokens, double tolerance) {
  const auto hidden = model.hidden_states(tokens);
  ASSERT_TRUE(hidden.has_value()) << hidden.error().message;
  const auto logits = model.logits(hidden.value());
  ASSERT_TRUE(logits.has_value());
  for (int64_t b = 0; b < tokens.batch; ++b) {
    const SlowRun slow = slow_forward(weights, model.numerics(), sequence_of(tokens, b));
    for (int64_t t = 0; t < tokens.seq; ++t) {
      for (int64_t i = 0; i < weights.shape.vocab_size; ++i) {
        ASSERT_NEAR(logits->values[static_cast<size_t>((b * tokens.seq + t) * logits->cols + i)],
                    slow.logits[static_cast<size_t>(t)][static_cast<size_t>(i)], tolerance)
            << "sequence " << b << ", position " << t << ", logit " << i;
      }
    }
  }
}

TEST(HostModel, ForwardMatchesTheSlowModel) {
  const TinyModel shapes[] = {
      {},
      {.heads = 3, .kv_heads = 3, .tied = false, .bias = true},
      {.num_layers = 3,
       .hidden = 32,
       .intermediate = 48,
       .heads = 7,
       .kv_heads = 1,
       .head_dim = 16,
       .bias = true},
      {.hidden = 32, .head_dim = 16, .tied = false, .qk_norm = true},
      {.tied = false, .rope_divisors = {1, 1.5F, 8}},
  };
  for (const TinyModel& shape : shapes) {
    const auto weights = tiny(shape, 5);
    const TokenBatch tokens{3, 9, random_ids(27, shape.vocab, 6)};
    expect_logits_match(*weights, must_create(weights), tokens, 2e-4);
  }
}

TEST(HostModel, LongSequencesCrossAttentionBlocksAndBatchesCrossRowGroups) {
  // 384 rows of scores in a block: 384 / 7 positions here; 2,048 rows at once: 5 sequences here.
  const TinyModel shape{.num_layers = 1, .heads = 7, .kv_heads = 1};
  const auto weights = tiny(shape, 7);
  const TokenBatch tokens{6, 401, random_ids(6 * 401, shape.vocab, 8)};
  expect_logits_match(*weights, must_create(weights), tokens, 5e-4);
}

TEST(HostModel, RoundsWhatTheNumericsSay) {
  using formats::ActivationFormat;
  using formats::KvFormat;
  const TinyModel shape{.hidden = 32, .intermediate = 64, .head_dim = 16};
  const auto weights = tiny(shape, 9);
  const TokenBatch tokens{1, 7, random_ids(7, shape.vocab, 10)};
  HostModel model = must_create(weights);
  const SlowRun reference = slow_forward(*weights, {}, tokens.ids);
  for (int one = 0; one < 12; ++one) {
    Numerics numerics;
    numerics.layers.resize(2);
    LayerNumerics& layer = numerics.layers[static_cast<size_t>(one % 2)];
    if (one < 4) layer.linear[static_cast<size_t>(one)].format = ActivationFormat::kInt8Token;
    if (one == 4) layer.kv.keys = layer.kv.values = KvFormat::kInt4;
    if (one == 5) layer.kv.keys = layer.kv.values = KvFormat::kInt8;
    if (one == 6) layer.kv.query = ActivationFormat::kInt8Token;
    if (one == 7) numerics.head.format = ActivationFormat::kFp8Token;
    if (one == 8) layer.linear[0] = {.format = ActivationFormat::kInt4Token, .hadamard = 16};
    if (one == 9) layer.linear[3] = {.format = ActivationFormat::kNvfp4, .hadamard = 64};
    if (one == 10)
      layer.linear[1] = {.format = ActivationFormat::kInt8Static, .static_scale = .05F};
    if (one == 11) layer.kv = {.values = KvFormat::kInt3, .hadamard = 16};
    ASSERT_TRUE(model.set_numerics(numerics).has_value());
    expect_logits_match(*weights, model, tokens, 1e-3);
    // The rounding must be visible, else the comparison above proves nothing.
    const SlowRun treated = slow_forward(*weights, numerics, tokens.ids);
    double largest = 0.0;
    for (size_t i = 0; i < 37; ++i) {
      largest = std::max(largest, std::abs(treated.logits[6][i] - reference.logits[6][i]));
    }
    EXPECT_GT(largest, 2e-3) << "case " << one;
  }
}

TEST(HostModel, QueriesSeeKeysPerChannelRoundedOnceTheirGroupIsFull) {
  using formats::KvFormat;
  const TinyModel shape{.hidden = 32, .intermediate = 64, .heads = 6, .head_dim = 16};
  const auto weights = tiny(shape, 13);
  HostModel model = must_create(weights);
  // Blocks of 128 positions (384 rows, groups of three heads), groups of 32 and 128 tokens.
  for (const auto& [keys, length] : {std::pair{KvFormat::kInt2C32, int64_t{31}},
                                     {KvFormat::kInt2C32, 32},
                                     {KvFormat::kInt2C32, 33},
                                     {KvFormat::kInt2C32, 150},
                                     {KvFormat::kInt2C128, 129},
                                     {KvFormat::kInt2C128, 300}}) {
    const TokenBatch tokens{2, length, random_ids(2 * length, shape.vocab, 14)};
    Numerics numerics;
    numerics.layers.resize(2);
    numerics.layers[1].kv = {.keys = keys, .values = KvFormat::kInt8, .hadamard = 16};
    ASSERT_TRUE(model.set_numerics(numerics).has_value());
    expect_logits_match(*weights, model, tokens, 2e-3);
  }
}

TEST(HostModel, NumericsThatDoNotFitAreRefused) {
  HostModel model = must_create(tiny({.hidden = 32, .intermediate = 48, .head_dim = 16}, 15));
  const auto refused = [&](const auto& change) {
    Numerics numerics;
    numerics.layers.resize(2);
    change(numerics);
    const Status status = model.set_numerics(numerics);
    return status.has_value() ? std::string() : status.error().message;
  };
  using formats::ActivationFormat;
  EXPECT_EQ(
      refused([](Numerics& n) { n.layers[1].linear[3].format = ActivationFormat::kFp8Static; }),
      "layers.1.mlp_down: fp8_static without a scale, want one from calibration text");
  EXPECT_EQ(refused([](Numerics& n) { n.head.format = ActivationFormat::kInt8Static; }),
            "head: int8_static without a scale, want one from calibration text");
  EXPECT_EQ(refused([](Numerics& n) { n.layers[0].linear[3].hadamard = 32; }),
            "layers.0.mlp_down: input: Hadamard block 32, want 16, 32, 64 or 128 and a divisor of "
            "48");
  EXPECT_NE(refused([](Numerics& n) { n.layers[0].kv.values = formats::KvFormat::kInt4C32; }), "");
  EXPECT_NE(refused([](Numerics& n) { n.head.hadamard = 16; }), "");
  EXPECT_EQ(refused([](Numerics& n) { n.layers[0].linear[3].hadamard = 16; }), "");
  const model::Matrix input{2, 32, std::vector<float>(64, 1.0F)};
  EXPECT_FALSE(
      model.forward_from(0, input, 1, {.linear = {}, .kv = {.values = formats::KvFormat::kInt4C32}})
          .has_value());
}

TEST(HostModel, ForwardFromALayerContinuesTheWholeForward) {
  const TinyModel shape{.num_layers = 3};
  HostModel model = must_create(tiny(shape, 11));
  const TokenBatch tokens{2, 8, random_ids(16, shape.vocab, 12)};
  const auto inputs = model.layer_inputs(tokens);
  ASSERT_TRUE(inputs.has_value());
  LayerNumerics treated;
  treated.kv.keys = treated.kv.values = formats::KvFormat::kInt4;
  for (int64_t layer = 0; layer < 3; ++layer) {
    const auto partial =
        model.forward_from(layer, inputs.value()[static_cast<size_t>(layer)], 2, treated);
    ASSERT_TRUE(partial.has_value());
    HostModel whole = model;
    Numerics numerics;
    numerics.layers.resize(3);
    numerics.layers[static_cast<size_t>(layer)] = treated;
    ASSERT_TRUE(whole.set_numerics(numerics).has_value());
    const auto expected = whole.hidden_states(tokens);
    ASSERT_TRUE(expected.has_value());
    EXPECT_EQ(partial->values, expected->values);
  }
}

TEST(HostModel, NllMatchesTheSlowModel) {
  const TinyModel shape{.tied = false};
  const auto weights = tiny(shape, 13);
  const TokenBatch tokens{3, 50, random_ids(150, shape.vocab, 14)};
  const auto nll = must_create(weights).nll(tokens);
  ASSERT_TRUE(nll.has_value());
  ASSERT_EQ(nll->size(), 3U * 49U);
  for (int64_t b = 0; b < 3; ++b) {
    const auto ids = sequence_of(tokens, b);
    const SlowRun slow = slow_forward(*weights, {}, ids);
    for (size_t t = 0; t + 1 < ids.size(); ++t) {
      ASSERT_NEAR(nll.value()[static_cast<size_t>(b) * 49 + t],
                  -slow_log_probability(slow.logits[t], ids[t + 1]), 1e-4);
    }
  }
}

TEST(HostModel, ReplacedWeightsAreUsed) {
  const TinyModel shape;
  const auto weights = tiny(shape, 18);
  const auto other = tiny(shape, 19);
  const TokenBatch tokens{1, 6, random_ids(6, shape.vocab, 20)};
  HostModel model = must_create(weights);
  ASSERT_TRUE(model.replace_layer(1, {other, &other->layers[1]}).has_value());
  ASSERT_TRUE(model.replace_head({other, &other->embedding}).has_value());
  model::Weights mixed = *weights;
  mixed.layers[1] = other->layers[1];
  mixed.embedding = other->embedding;
  expect_logits_match(mixed, model, tokens, 2e-4);
}

TEST(HostModel, NamesWhatIsWrong) {
  EXPECT_FALSE(HostModel::create(nullptr).has_value());
  auto broken = make_tiny_weights({}, 21);
  broken.layers[1].up.values.pop_back();
  const auto model = HostModel::create(std::make_shared<const model::Weights>(broken));
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(model.error().message, "layer 1: up is (20, 12) with 239 values, want (20, 12)");

  auto no_norm = make_tiny_weights({.qk_norm = true}, 21);
  no_norm.layers[0].k_norm.pop_back();
  const auto refused = HostModel::create(std::make_shared<const model::Weights>(no_norm));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "layer 0: k_norm has 5 values, want 6");

  const HostModel good = must_create(tiny({}, 21));
  const auto outside = good.hidden_states({1, 2, {0, 37}});
  ASSERT_FALSE(outside.has_value());
  EXPECT_EQ(outside.error().message, "token id 37, want 0..36");
  EXPECT_FALSE(good.hidden_states({1, 2, {0, -1}}).has_value());
  EXPECT_FALSE(good.hidden_states({1, 0, {}}).has_value());
  EXPECT_FALSE(good.hidden_states({2, 2, {0, 1, 2}}).has_value());
  EXPECT_FALSE(good.hidden_states({1, 1025, std::vector<int32_t>(1025)}).has_value());
}

}  // namespace
}  // namespace dovetail::host
