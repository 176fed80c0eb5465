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

void expect_greedy_follows(const TinyModel& shape) {
  const auto weights = tiny(shape, 22);
  HostModel model = must_create(weights);
  std::vector<std::vector<int32_t>> prompts;
  for (int64_t i = 0; i < 19; ++i)
    prompts.push_back(random_ids(1 + i % 5, shape.vocab, 23 + static_cast<uint64_t>(i)));
  Numerics treated;
  treated.layers.resize(2);
  treated.layers[0].kv.keys = treated.layers[0].kv.values = formats::KvFormat::kInt8;
  for (const Numerics& numerics : {Numerics{}, treated}) {
    ASSERT_TRUE(model.set_numerics(numerics).has_value());
    const auto produced = model.generate(prompts, {.max_new_tokens = 12, .temperature = 0.0});
    ASSERT_TRUE(produced.has_value());
    for (size_t i = 0; i < prompts.size(); ++i) {
      ASSERT_EQ(produced.value()[i].size(), 12U);
      std::vector<int32_t> ids = prompts[i];
      for (const int32_t token : produced.value()[i]) {
        const auto last = slow_forward(*weights, numerics, ids).logits.back();
        const double best = *std::max_element(last.begin(), last.end());
        // Near ties may go either way; anything else is wrong.
        ASSERT_NEAR(last[static_cast<size_t>(token)], best, 1e-3) << "prompt " << i;
        ids.push_back(token);
      }
    }
  }
}

TEST(Generate, GreedyFollowsTheSlowModelForPromptsOfDifferentLengths) {
  expect_greedy_follows({.heads = 3, .kv_heads = 1, .tied = false, .bias = true});
  expect_greedy_follows({.tied = false, .qk_norm = true, .rope_divisors = {1, 2, 8}});
}

// The cache, token by token, against the emulation of the whole sequence so far.
TEST(Generate, AgreesWithTheForwardPassUnderEveryKindOfNumerics) {
  using formats::ActivationFormat;
  using formats::KvFormat;
  const TinyModel shape{.hidden = 32, .intermediate = 64, .head_dim = 16, .vocab = 29};
  HostModel model = must_create(tiny(shape, 31));
  std::vector<LayerNumerics> kinds(5);
  kinds[0].kv = {.keys = KvFormat::kInt2C32, .values = KvFormat::kInt4};
  kinds[1].kv = {.keys = KvFormat::kInt3C64, .query = ActivationFormat::kInt8Token, .hadamard = 16};
  kinds[2].kv = {.keys = KvFormat::kNvfp4, .values = KvFormat::kInt2};
  kinds[3].kv = {.keys = KvFormat::kFp8, .values = KvFormat::kFp8};
  kinds[3].linear[0] = {.format = ActivationFormat::kMxfp4, .hadamard = 32};
  kinds[4].linear[2] = {.format = ActivationFormat::kInt8Static, .static_scale = .03F};
  kinds[4].linear[3] = {.format = ActivationFormat::kInt4G32, .hadamard = 64};
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    ASSERT_TRUE(model.set_numerics({.layers = {kinds[kind], kinds[kind]}, .head = {}}).has_value());
    std::vector<int32_t> ids = random_ids(20, shape.vocab, 32);
    const auto made = model.generate({ids}, {.max_new_tokens = 80, .temperature = 0.0});
    ASSERT_TRUE(made.has_value());
    ids.insert(ids.end(), made.value()[0].begin(), made.value()[0].end());
    const TokenBatch tokens{1, static_cast<int64_t>(ids.size()), ids};
    const auto logits = model.logits(model.hidden_states(tokens).value());
    int64_t differ = 0;
    for (int64_t t = 19; t + 1 < tokens.seq; ++t) {
      const float* row = logits->values.data() + t * shape.vocab;
      const float best = *std::max_element(row, row + shape.vocab);
      const auto chosen = static_cast<size_t>(ids[static_cast<size_t>(t + 1)]);
      // Near ties may go either way, and a value near the middle of two codes too.
      differ += row[chosen] < best - 2e-3F ? 1 : 0;
    }
    EXPECT_LE(differ, 1) << "kind " << kind;
  }
}

TEST(Generate, SamplesFromTheDistribution) {
  const TinyModel shape{.vocab = 17};
  const auto weights = tiny(shape, 24);
  const HostModel model = must_create(weights);
  constexpr int64_t kDraws = 20000;
  const std::vector<std::vector<int32_t>> prompts(kDraws, {3, 5});
  for (const double temperature : {1.0, 0.5}) {
    const auto produced =
        model.generate(prompts, {.max_new_tokens = 1, .temperature = temperature, .seed = 25});
    ASSERT_TRUE(produced.has_value());
    std::vector<double> counts(17);
    for (const auto& one : produced.value()) counts[static_cast<size_t>(one[0])] += 1.0;
    auto logits = slow_forward(*weights, {}, {3, 5}).logits.back();
    for (double& x : logits) x /= temperature;
    for (int64_t i = 0; i < 17; ++i) {
      const double p = std::exp(slow_log_probability(logits, i));
      // Five standard deviations of a binomial count.
      EXPECT_NEAR(counts[static_cast<size_t>(i)], kDraws * p,
                  5.0 * std::sqrt(kDraws * p * (1.0 - p)) + 1.0);
    }
  }
}

TEST(Generate, AStreamDoesNotDependOnItsBatchAndStopsAtTheStopToken) {
  const TinyModel shape;
  const HostModel model = must_create(tiny(shape, 26));
  const std::vector<std::vector<int32_t>> prompts(20, {1});
  const GenerateParams params{.max_new_tokens = 40, .temperature = 1.0, .seed = 27};
  const auto many = model.generate(prompts, params);
  const auto few = model.generate({{1}, {1}, {1}}, params);
  ASSERT_TRUE(many.has_value() && few.has_value());
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(many.value()[i], few.value()[i]);
  EXPECT_NE(many.value()[0], many.value()[1]);
  GenerateParams stopping = params;
  stopping.stop_token = many.value()[0][5];
  const auto stopped = model.generate(prompts, stopping);
  ASSERT_TRUE(stopped.has_value());
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto& whole = many.value()[i];
    const auto end = std::find(whole.begin(), whole.end(), stopping.stop_token);
    const std::vector<int32_t> expected(whole.begin(), end == whole.end() ? end : end + 1);
    EXPECT_EQ(stopped.value()[i], expected);
  }
}

TEST(Generate, NamesWhatIsWrong) {
  const HostModel good = must_create(tiny({}, 21));
  EXPECT_FALSE(good.generate({}, {.max_new_tokens = 1}).has_value());
  EXPECT_FALSE(good.generate({{1}}, {.max_new_tokens = 0}).has_value());
  EXPECT_FALSE(good.generate({{}}, {.max_new_tokens = 1}).has_value());
  EXPECT_FALSE(good.generate({{1}}, {.max_new_tokens = 1, .temperature = -1.0}).has_value());
  EXPECT_FALSE(good.generate({{1}}, {.max_new_tokens = 1024}).has_value());
}

}  // namespace
}  // namespace dovetail::host
