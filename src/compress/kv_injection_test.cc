#include "compress/kv_injection.h"

#include <gtest/gtest.h>

#include <numeric>

#include "compress/tiny_model.h"

namespace dovetail::compress {
namespace {

host::HostModel tiny_model() {
  auto model = host::HostModel::create(tiny_weights(1));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return *model;
}

std::vector<recipe::KvTreatment> treatments() {
  std::vector<recipe::KvTreatment> all;
  for (const char* name :
       {"bf16", "bf16+q:int8_token", "int8", "int8+q:int8_token", "int4", "int4+q:int8_token"}) {
    all.push_back(recipe::parse_kv_treatment(name).value());
  }
  return all;
}

// The slow way: the whole model with one layer's numerics, KL at every position.
double whole_model_kl(const host::HostModel& reference, const host::TokenBatch& tokens,
                      int64_t layer, const recipe::KvTreatment& treatment) {
  host::Numerics numerics;
  numerics.layers.resize(static_cast<size_t>(reference.shape().num_layers));
  numerics.layers[static_cast<size_t>(layer)].kv = treatment;
  host::HostModel treated = reference;
  EXPECT_TRUE(treated.set_numerics(numerics).has_value());
  const auto kl = host::kl_divergence(reference, *reference.hidden_states(tokens), treated,
                                      *treated.hidden_states(tokens));
  EXPECT_TRUE(kl.has_value());
  return std::accumulate(kl->kl_nats_per_position.begin(), kl->kl_nats_per_position.end(), 0.0) /
         static_cast<double>(tokens.rows());
}

TEST(InjectKv, EqualsTheWholeModelWithOneLayerTreated) {
  const host::HostModel reference = tiny_model();
  const host::TokenBatch tokens = random_tokens(2, 24, 101, 5);
  const auto losses = inject_kv(
      reference, tokens, treatments(),
      {.max_sequences = 2, .max_length = 24, .scored_positions = 48, .add_query_loss = false});
  ASSERT_TRUE(losses.has_value()) << losses.error().message;
  EXPECT_EQ(losses->num_positions, 48);
  ASSERT_EQ(losses->by_layer.size(), 3U);
  for (int64_t layer = 0; layer < 3; ++layer) {
    const LossByName& at = losses->by_layer[static_cast<size_t>(layer)];
    EXPECT_EQ(at.size(), 5U);
    EXPECT_FALSE(at.contains("bf16"));
    for (const recipe::KvTreatment& treatment : treatments()) {
      if (treatment == recipe::KvTreatment{}) continue;
      const double slow = whole_model_kl(reference, tokens, layer, treatment);
      const std::string name = recipe::treatment_name(treatment);
      EXPECT_NEAR(at.at(name), slow, 1e-6 + 1e-3 * slow) << name << " in layer " << layer;
      if (treatment.keys == formats::KvFormat::kInt4) {
        EXPECT_GT(slow, 1e-5) << "the comparison would prove nothing";
      }
    }
  }
}

TEST(InjectKv, AddsTheLossOfRoundedQueries) {
  const host::HostModel reference = tiny_model();
  const host::TokenBatch tokens = random_tokens(2, 24, 101, 5);
  KvInjectionParams params{.max_length = 24, .scored_positions = 48, .add_query_loss = true};
  const auto added = inject_kv(reference, tokens, treatments(), params);
  params.add_query_loss = false;
  const auto injected = inject_kv(reference, tokens, treatments(), params);
  ASSERT_TRUE(added.has_value() && injected.has_value());
  for (size_t layer = 0; layer < 3; ++layer) {
    const LossByName& at = added->by_layer[layer];
    EXPECT_DOUBLE_EQ(at.at("int4+q:int8_token"), at.at("int4") + at.at("bf16+q:int8_token"));
    EXPECT_EQ(at.at("int4"), injected->by_layer[layer].at("int4"));
    const double together = injected->by_layer[layer].at("int4+q:int8_token");
    EXPECT_NEAR(at.at("int4+q:int8_token") / together, 1.0, 0.3) << "layer " << layer;
  }
}

TEST(InjectKv, ScoresASubsetThatEndsWithTheLastPosition) {
  const host::HostModel reference = tiny_model();
  const host::TokenBatch tokens = random_tokens(3, 24, 101, 5);
  const auto some = inject_kv(reference, tokens, treatments(),
                              {.max_sequences = 1, .max_length = 12, .scored_positions = 1});
  ASSERT_TRUE(some.has_value());
  EXPECT_EQ(some->num_positions, 1);
  // One sequence of 12 tokens, its last position: the same from a batch that holds nothing else.
  host::TokenBatch alone{.batch = 1, .seq = 12, .ids = {}};
  alone.ids.assign(tokens.ids.begin(), tokens.ids.begin() + 12);
  const auto same = inject_kv(reference, alone, treatments(), {.scored_positions = 1});
  EXPECT_EQ(some->by_layer, same->by_layer);
}

TEST(InjectKv, ProgressRisesToOne) {
  double last = -1;
  const auto losses = inject_kv(tiny_model(), random_tokens(1, 8, 101, 5), treatments(), {},
                                [&](const Progress& progress) {
                                  EXPECT_GE(progress.done_frac, last);
                                  last = progress.done_frac;
                                });
  ASSERT_TRUE(losses.has_value());
  EXPECT_EQ(last, 1);
}

TEST(InjectKv, RejectsBadInput) {
  const host::HostModel reference = tiny_model();
  EXPECT_EQ(inject_kv(reference, {}, treatments(), {}).error().message,
            "kv text: 0 sequences of 0 tokens, want 1 or more of 2 or more");
  EXPECT_EQ(inject_kv(reference, random_tokens(1, 8, 101, 5), treatments(), {.scored_positions = 0})
                .error()
                .code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(inject_kv(reference, random_tokens(1, 8, 200, 5), treatments(), {}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::compress
