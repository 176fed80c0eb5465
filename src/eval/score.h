// Scores of answers: means, their standard errors, and those of groups of tasks.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "eval/task.h"

namespace dovetail::eval {

struct Score {
  double score_frac = 0;                   // right answers of all
  std::optional<double> stderr_frac = {};  // nothing for a single question
  int64_t num_questions = 0;
};

// Mean and its standard error by the sample's deviation (n - 1). At least one answer.
[[nodiscard]] Score score_of(const std::vector<bool>& correct);

// Wilson's interval of a score, two-sided 95 %; never of width zero.
// Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
//   1927. 0 <= num_right <= num_questions, of at least one.
struct ScoreInterval {
  double lower_frac = 0;
  double upper_frac = 0;
};
[[nodiscard]] ScoreInterval score_interval(int64_t num_right, int64_t num_questions);

// score_frac, stderr_frac (null if unknown), num_questions
[[nodiscard]] Json score_to_json(const Score& score);

// Tasks taken together, each question of equal weight. kLmEval pools the variances within the
// tasks, so the spread between tasks is not in it; kFixed takes all questions as one sample.
// At least one score.
[[nodiscard]] Score pooled_score(const std::vector<Score>& scores, ScoringMode mode);

struct PerplexityScore {
  double word_perplexity = 0;  // exp(-log-likelihood / words)
  double byte_perplexity = 0;  // exp(-log-likelihood / bytes)
  double bits_per_byte = 0;
  double nats = 0;  // log-likelihood of all texts
  int64_t num_words = 0;
  int64_t num_bytes = 0;
};

[[nodiscard]] PerplexityScore perplexity_score(double nats, int64_t num_words, int64_t num_bytes);

// The unbiased estimate of the chance that at least one of k samples passes, from num_samples of
// which num_passed did: 1 - C(n - c, k) / C(n, k).
// Source: Chen et al., "Evaluating Large Language Models Trained on Code", 2021, equation 1.
// Errors: kInvalidArgument unless 1 <= k <= num_samples and 0 <= num_passed <= num_samples.
[[nodiscard]] Result<double> pass_at_k(int64_t num_samples, int64_t num_passed, int64_t k);

}  // namespace dovetail::eval
