#include "eval/score.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

// Of `right` answers of `count`: the sum of squares about the mean is count p (1 - p).
std::optional<double> binary_stderr(double p, int64_t count) {
  if (count < 2) return std::nullopt;
  return std::sqrt(p * (1 - p) / static_cast<double>(count - 1));
}

}  // namespace

Score score_of(const std::vector<bool>& correct) {
  DOVETAIL_CHECK(!correct.empty());
  const auto count = std::ssize(correct);
  const auto right = static_cast<double>(std::count(correct.begin(), correct.end(), true));
  Score score{.score_frac = right / static_cast<double>(count), .num_questions = count};
  score.stderr_frac = binary_stderr(score.score_frac, count);
  return score;
}

ScoreInterval score_interval(int64_t num_right, int64_t num_questions) {
  constexpr double kZ = 1.959963984540054;  // normal quantile of 0.975
  const auto n = static_cast<double>(num_questions);
  const double p = static_cast<double>(num_right) / n;
  const double shrink = 1 + kZ * kZ / n;
  const double center = (p + kZ * kZ / (2 * n)) / shrink;
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n)) / shrink;
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

Json score_to_json(const Score& score) {
  Json json{{"score_frac", score.score_frac}, {"stderr_frac", nullptr}};
  if (score.stderr_frac.has_value()) json["stderr_frac"] = *score.stderr_frac;
  json["num_questions"] = score.num_questions;
  return json;
}

Score pooled_score(const std::vector<Score>& scores, ScoringMode mode) {
  DOVETAIL_CHECK(!scores.empty());
  Score pooled;
  double right = 0;
  double squares = 0;
  bool known = true;
  for (const Score& score : scores) {
    const auto size = static_cast<double>(score.num_questions);
    pooled.num_questions += score.num_questions;
    right += score.score_frac * size;
    known = known && score.stderr_frac.has_value();
    squares += (size - 1) * std::pow(score.stderr_frac.value_or(0), 2) * size;
  }
  const auto all = static_cast<double>(pooled.num_questions);
  pooled.score_frac = right / all;
  if (mode == ScoringMode::kFixed) {
    pooled.stderr_frac = binary_stderr(pooled.score_frac, pooled.num_questions);
  } else if (known) {
    pooled.stderr_frac = std::sqrt(squares / (all - static_cast<double>(scores.size())) / all);
  }
  return pooled;
}

PerplexityScore perplexity_score(double nats, int64_t num_words, int64_t num_bytes) {
  DOVETAIL_CHECK(num_words > 0 && num_bytes > 0);
  const double per_byte = -nats / static_cast<double>(num_bytes);
  return {.word_perplexity = std::exp(-nats / static_cast<double>(num_words)),
          .byte_perplexity = std::exp(per_byte),
          .bits_per_byte = per_byte / std::numbers::ln2,
          .nats = nats,
          .num_words = num_words,
          .num_bytes = num_bytes};
}

Result<double> pass_at_k(int64_t num_samples, int64_t num_passed, int64_t k) {
  if (k < 1 || k > num_samples || num_passed < 0 || num_passed > num_samples) {
    return invalid_argument(fmt::format(
        "pass@{} of {} samples with {} passed: want 1 <= k <= samples, 0 <= passed <= samples", k,
        num_samples, num_passed));
  }
  if (num_samples - num_passed < k) return 1.0;
  double none = 1;
  for (int64_t i = num_samples - num_passed + 1; i <= num_samples; ++i) {
    none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  }
  return 1 - none;
}

}  // namespace dovetail::eval
