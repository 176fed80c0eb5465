#include "eval/kl.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/perplexity.h"
#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

host::HostModel model_of(const std::shared_ptr<const model::Weights>& weights) {
  auto model = host::HostModel::create(weights);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return *model;
}

std::shared_ptr<const model::Weights> perturbed(const model::Weights& weights, double amount) {
  model::Weights other = weights;
  Random random(99);
  for (float& value : other.layers[1].down.values) {
    value += static_cast<float>(amount * (random.uniform() - 0.5));
  }
  return std::make_shared<const model::Weights>(std::move(other));
}

TextWindows text_of(int64_t windows, int64_t length) {
  TextWindows text{.name = "random tokens", .windows = {}};
  for (int64_t i = 0; i < windows; ++i) {
    text.windows.push_back(random_tokens(1, length, 101, 10 + static_cast<uint64_t>(i)).ids);
  }
  return text;
}

// log softmax of the logits after each token of one window, in double.
std::vector<std::vector<double>> slow_log_probs(const host::HostModel& model,
                                                const std::vector<int32_t>& window) {
  const auto logits = model.logits(*model.hidden_states(
      {.batch = 1, .seq = static_cast<int64_t>(window.size()), .ids = window}));
  std::vector<std::vector<double>> rows;
  for (int64_t row = 0; row < logits->rows; ++row) {
    const auto first = logits->values.begin() + row * logits->cols;
    std::vector<double> x(first, first + logits->cols);
    double sum = 0;
    for (const double value : x) sum += std::exp(value);
    for (double& value : x) value -= std::log(sum);
    rows.push_back(x);
  }
  return rows;
}

struct SlowKl {
  std::vector<double> window_means;
  double mean = 0;
  double agree_frac = 0;
};

SlowKl slow_kl(const host::HostModel& reference, const host::HostModel& treated,
               const TextWindows& text) {
  SlowKl result;
  double count = 0;
  for (const auto& window : text.windows) {
    const auto p = slow_log_probs(reference, window);
    const auto q = slow_log_probs(treated, window);
    double window_sum = 0;
    for (size_t t = 0; t + 1 < window.size(); ++t) {
      for (size_t v = 0; v < p[t].size(); ++v)
        window_sum += std::exp(p[t][v]) * (p[t][v] - q[t][v]);
      const auto best_p = std::max_element(p[t].begin(), p[t].end()) - p[t].begin();
      const auto best_q = std::max_element(q[t].begin(), q[t].end()) - q[t].begin();
      result.agree_frac += best_p == best_q ? 1 : 0;
      count += 1;
    }
    result.mean += window_sum;
    result.window_means.push_back(window_sum / static_cast<double>(window.size() - 1));
  }
  result.mean /= count;
  result.agree_frac /= count;
  return result;
}

TEST(Kl, OfIdenticalModelsIsZero) {
  const host::HostModel model = model_of(tiny_weights(1));
  const auto stats = measure_kl(model, model, text_of(2, 16));
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_NEAR(stats->kl_nats_per_token, 0, 1e-9);
  EXPECT_EQ(stats->top1_agreement_frac, 1);
  EXPECT_EQ(stats->num_tokens, 30);
}

// With kept logits, without, and in batches of every size: the same answer as explicit softmaxes.
TEST(Kl, MatchesExplicitSoftmaxes) {
  const auto weights = tiny_weights(1, false);
  const host::HostModel reference = model_of(weights);
  const host::HostModel treated = model_of(perturbed(*weights, 0.3));
  const TextWindows text = text_of(5, 12);
  const SlowKl slow = slow_kl(reference, treated, text);
  ASSERT_GT(slow.mean, 1e-3);
  ASSERT_LT(slow.agree_frac, 1);
  double variance = 0;
  for (const double mean : slow.window_means) variance += (mean - slow.mean) * (mean - slow.mean);
  const double stderr_slow = std::sqrt(variance / 4 / 5);
  for (const KlParams& params :
       {KlParams{}, KlParams{.max_logits_bytes = 0}, KlParams{.max_rows = 24},
        KlParams{.max_rows = 1, .max_logits_bytes = 0}}) {
    const auto kept = KlReference::create(reference, text, params);
    ASSERT_TRUE(kept.has_value()) << kept.error().message;
    const auto stats = kept->measure(treated);
    ASSERT_TRUE(stats.has_value()) << stats.error().message;
    EXPECT_NEAR(stats->kl_nats_per_token, slow.mean, 1e-5 * (1 + slow.mean));
    EXPECT_NEAR(stats->top1_agreement_frac, slow.agree_frac, 1e-12);
    EXPECT_EQ(stats->num_tokens, 55);
    ASSERT_TRUE(stats->kl_stderr_nats_per_token.has_value());
    EXPECT_NEAR(*stats->kl_stderr_nats_per_token, stderr_slow, 1e-4 * stderr_slow);
  }
}

TEST(Kl, SingleWindowHasNoStandardError) {
  const host::HostModel model = model_of(tiny_weights(1));
  const auto stats = measure_kl(model, model, text_of(1, 8));
  ASSERT_TRUE(stats.has_value());
  EXPECT_FALSE(stats->kl_stderr_nats_per_token.has_value());
  EXPECT_TRUE(kl_stats_to_json(*stats)["kl_stderr_nats_per_token"].is_null());
}

TEST(Kl, LastTokenOfAWindowIsPredictedButPredictsNothing) {
  const auto weights = tiny_weights(1);
  const host::HostModel reference = model_of(weights);
  const host::HostModel treated = model_of(perturbed(*weights, 0.3));
  TextWindows text = text_of(2, 10);
  const auto before = measure_kl(reference, treated, text);
  text.windows[0].back() = (text.windows[0].back() + 1) % 101;
  const auto after = measure_kl(reference, treated, text);
  EXPECT_NEAR(before->kl_nats_per_token, after->kl_nats_per_token, 1e-9);
}

TEST(Kl, RejectsWhatCannotBeScored) {
  const host::HostModel model = model_of(tiny_weights(1));
  EXPECT_EQ(measure_kl(model, model, {.name = "t", .windows = {}}).error().message,
            "text: no windows, want 1 or more");
  EXPECT_EQ(measure_kl(model, model, {.name = "t", .windows = {{1}}}).error().message,
            "text: a window of 1 tokens, want 2 or more");
  EXPECT_EQ(measure_kl(model, model, {.name = "t", .windows = {{1, 101}}}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(Perplexity, MatchesExplicitSoftmaxes) {
  const host::HostModel model = model_of(tiny_weights(2));
  TextWindows text = text_of(3, 9);
  text.windows.push_back({1, 2, 3});
  double nll = 0;
  for (const auto& window : text.windows) {
    const auto log_probs = slow_log_probs(model, window);
    for (size_t t = 0; t + 1 < window.size(); ++t) {
      nll -= log_probs[t][static_cast<size_t>(window[t + 1])];
    }
  }
  nll /= 26;
  const auto stats = measure_perplexity(model, text, 18);
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_EQ(stats->num_tokens, 26);
  EXPECT_NEAR(stats->nll_nats_per_token, nll, 1e-5);
  EXPECT_NEAR(stats->perplexity, std::exp(nll), 1e-4 * std::exp(nll));
}

}  // namespace
}  // namespace dovetail::eval
