#include "compress/mask_fisher.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/test_folder.h"
#include "compress/tiny_model.h"
#include "model/reference_forward.h"

namespace dovetail::compress {
namespace {

// Mean next-token loss of one sequence, in double, token by token.
double reference_loss(const model::Weights& weights, const std::vector<int32_t>& ids) {
  const std::vector<model::Vector> logits = model::reference_logits(weights, ids);
  double sum = 0;
  for (size_t t = 0; t + 1 < ids.size(); ++t) {
    double total = 0;
    for (const double logit : logits[t]) total += std::exp(logit);
    sum += std::log(total) - logits[t][static_cast<size_t>(ids[t + 1])];
  }
  return sum / static_cast<double>(ids.size() - 1);
}

// Scores by the definition: a mask scales columns of down or o, its gradient is a central
// difference of the loss.
class SlowScores {
 public:
  SlowScores(model::Weights weights, const host::TokenBatch& tokens)
      : weights_(std::move(weights)), tokens_(tokens) {}

  double operator()(model::Matrix& w, int64_t first, int64_t width) {
    constexpr float kStep = 0x1p-8F;  // 1 + step is exact, and so are products with powers of two
    const model::Matrix before = w;
    std::vector<double> up;
    std::vector<double> down;
    for (const float scale : {1 + kStep, 1 - kStep}) {
      for (int64_t row = 0; row < w.rows; ++row)
        for (int64_t j = first; j < first + width; ++j)
          w.values[static_cast<size_t>(row * w.cols + j)] =
              scale * before.values[static_cast<size_t>(row * w.cols + j)];
      for (int64_t sequence = 0; sequence < tokens_.batch; ++sequence) {
        const auto begin = tokens_.ids.begin() + sequence * tokens_.seq;
        (scale > 1 ? up : down).push_back(reference_loss(weights_, {begin, begin + tokens_.seq}));
      }
    }
    w = before;
    double score = 0;
    for (size_t i = 0; i < up.size(); ++i) {
      const double slope = (up[i] - down[i]) / (2 * static_cast<double>(kStep));
      score += slope * slope / static_cast<double>(up.size());
    }
    return score;
  }
  model::LayerWeights& layer(size_t index) { return weights_.layers[index]; }

 private:
  model::Weights weights_;
  const host::TokenBatch& tokens_;
};

model::ModelShape small_shape(bool tied) {
  model::ModelShape shape = model::tiny_shape();
  shape.hidden_size = 24;
  shape.intermediate_size = 20;
  shape.head_dim = 6;
  shape.tied_embedding = tied;
  return shape;
}

TEST(MaskFisher, ScoresAreSquaredDifferencesOfTheLossInDouble) {
  for (const bool tied : {false, true}) {
    const model::ModelShape shape = small_shape(tied);
    const auto weights = std::make_shared<const model::Weights>(model::random_weights(shape, 3));
    const host::TokenBatch tokens = random_tokens(3, 7, shape.vocab_size, 4);
    const auto found = mask_fisher(source_of(weights), tokens);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    ASSERT_EQ(found->size(), weights->layers.size());
    SlowScores slow(*weights, tokens);
    const auto compare = [](double score, double want, const char* what, int64_t index) {
      // Slopes agree to 1e-4 of themselves and 1e-5.
      EXPECT_NEAR(std::sqrt(score), std::sqrt(want), 1e-4 * std::sqrt(want) + 1e-5)
          << what << " " << index;
      EXPECT_GT(want, 0);
    };
    for (size_t layer = 0; layer < found->size(); ++layer) {
      const MaskScores& scores = (*found)[layer];
      for (int64_t c = 0; c < shape.intermediate_size; ++c)
        compare(scores.channels[static_cast<size_t>(c)], slow(slow.layer(layer).down, c, 1),
                "channel", c);
      for (int64_t head = 0; head < shape.num_heads; ++head)
        compare(scores.heads[static_cast<size_t>(head)],
                slow(slow.layer(layer).o, head * shape.head_dim, shape.head_dim), "head", head);
      const int64_t wide = shape.q_size() / shape.num_kv_heads;
      for (int64_t head = 0; head < shape.num_kv_heads; ++head)
        compare(scores.key_heads[static_cast<size_t>(head)],
                slow(slow.layer(layer).o, head * wide, wide), "key head", head);
    }
  }
}

TEST(MaskFisher, NeitherDiskNorPiecesChangeTheScores) {
  const auto weights = tiny_weights(5);
  const host::TokenBatch tokens = random_tokens(5, 24, 101, 6);
  const auto memory = mask_fisher(source_of(weights), tokens, {.rows_at_once = 48}).value();
  const auto disk = mask_fisher(source_of(weights), tokens,
                                {.rows_at_once = 48, .spill_folder = test_folder().string()})
                        .value();
  const auto whole = mask_fisher(source_of(weights), tokens).value();
  for (size_t layer = 0; layer < memory.size(); ++layer) {
    EXPECT_EQ(memory[layer].channels, disk[layer].channels);
    EXPECT_EQ(memory[layer].heads, disk[layer].heads);
    for (size_t c = 0; c < whole[layer].channels.size(); ++c)
      EXPECT_NEAR(whole[layer].channels[c], memory[layer].channels[c],
                  1e-4 * memory[layer].channels[c] + 1e-14);
  }
}

TEST(MaskFisherError, TokensThatCannotBeScored) {
  const auto weights = tiny_weights(5);
  EXPECT_EQ(mask_fisher(source_of(weights), random_tokens(2, 1, 101, 6)).error().message,
            "calibration: sequences of 1 token, want at least 2: the loss is that of the next one");
  EXPECT_FALSE(mask_fisher(source_of(weights), random_tokens(2, 8, 500, 6)).has_value());
}

}  // namespace
}  // namespace dovetail::compress
