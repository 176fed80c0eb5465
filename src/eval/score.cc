#include "eval/score.h"

#include <cmath>

#include <fmt/format.h>

namespace dovetail::eval {

Result<Score> mean_score(const std::vector<double>& values) {
  if (values.empty()) return invalid_argument("score: no questions, want at least 1");
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return invalid_argument(
          fmt::format("score: question {} = {}, want a finite value", i, values[i]));
    }
    sum += values[i];
  }
  Score score{.mean = sum / n,
              .std_error = std::nullopt,
              .num_questions = static_cast<int64_t>(values.size())};
  if (values.size() == 1) return score;
  double squares = 0;
  for (const double value : values) squares += (value - score.mean) * (value - score.mean);
  score.std_error = std::sqrt(squares / (n - 1) / n);
  return score;
}

Result<Score> pooled_score(const std::vector<Score>& parts) {
  if (parts.empty()) return invalid_argument("group score: no parts, want at least 1");
  Score group;
  double sum = 0;
  double squares = 0;
  for (const Score& part : parts) {
    if (part.num_questions < 1) {
      return invalid_argument("group score: a part has no questions, want at least 1");
    }
    const auto n = static_cast<double>(part.num_questions);
    group.num_questions += part.num_questions;
    sum += n * part.mean;
    if (part.std_error) squares += (n - 1) * n * *part.std_error * *part.std_error;
  }
  const auto all = static_cast<double>(group.num_questions);
  const auto freedom = all - static_cast<double>(parts.size());
  group.mean = sum / all;
  if (freedom > 0) group.std_error = std::sqrt(squares / freedom / all);
  return group;
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
