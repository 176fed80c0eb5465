#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

// A head of zeros gives every token the same probability: the perplexity is the vocabulary.
TEST(Perplexity, OfAUniformModelIsItsVocabulary) {
  model::Weights weights = *tiny_weights(1, false);
  weights.head.values.assign(weights.head.values.size(), 0.0F);
  const auto model =
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights)));
  ASSERT_TRUE(model.has_value());
  const TextWindows text{.name = "t", .windows = {random_tokens(1, 20, 101, 3).ids}};
  const auto stats = measure_perplexity(*model, text);
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_NEAR(stats->perplexity, 101, 1e-3);
  EXPECT_EQ(stats->num_tokens, 19);
  EXPECT_EQ(perplexity_stats_to_json(*stats)["num_tokens"], 19);
}

TEST(Perplexity, RejectsWhatCannotBeScored) {
  const auto model = host::HostModel::create(tiny_weights(1));
  EXPECT_EQ(measure_perplexity(*model, {.name = "t", .windows = {}}).error().message,
            "text: no windows, want 1 or more");
  EXPECT_EQ(measure_perplexity(*model, {.name = "t", .windows = {{7}}}).error().message,
            "text: a window of 1 tokens, want 2 or more");
}

}  // namespace
}  // namespace dovetail::eval
