// Scores of a task and their standard errors, as lm-evaluation-harness defines them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

struct Score {
  double mean = 0;
  // Sample standard deviation (n - 1) over the square root of n. Absent for a single question:
  // nothing is known about the spread.
  std::optional<double> std_error;
  int64_t num_questions = 0;
};

// One value a question: 0 or 1, an expected pass@1, a log-likelihood.
// Errors: kInvalidArgument (no question, a value that is not finite).
[[nodiscard]] Result<Score> mean_score(const std::vector<double>& values);

// A group weighed by its parts' sizes. The standard error pools the parts' sample variances:
//   sqrt( sum (n_i - 1) n_i se_i^2 / (sum n_i - number of parts) / sum n_i )
// It leaves out the differences between the parts' means. A part of one question adds none; absent
// if every part has one.
// Source: pooled_sample_stderr of lm-evaluation-harness 0.4.13.
// Errors: kInvalidArgument (no part, a part without questions).
[[nodiscard]] Result<Score> pooled_score(const std::vector<Score>& parts);

// The unbiased estimate of the chance that at least one of k samples passes, from num_samples of
// which num_passed did: 1 - C(n - c, k) / C(n, k).
// Source: Chen et al., "Evaluating Large Language Models Trained on Code", 2021, equation 1.
// Errors: kInvalidArgument unless 1 <= k <= num_samples and 0 <= num_passed <= num_samples.
[[nodiscard]] Result<double> pass_at_k(int64_t num_samples, int64_t num_passed, int64_t k);

}  // namespace dovetail::eval
