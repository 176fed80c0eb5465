// A candidate against its baseline on the same questions: what flipped, and how sure the difference
// is.
//
// difference = candidate - baseline, so a loss is negative. Fractions lie in 0..1, differences of
// two scores in -1..1.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

struct PairedCounts {
  int64_t both_right = 0;
  int64_t gained = 0;  // the candidate is right, the baseline wrong
  int64_t lost = 0;    // the baseline is right, the candidate wrong
  int64_t both_wrong = 0;

  [[nodiscard]] int64_t total() const { return both_right + gained + lost + both_wrong; }
  // (gained - lost) / total. Wants a question.
  [[nodiscard]] double difference_frac() const;
};

struct PairedFlips {
  PairedCounts counts;
  std::vector<int64_t> gained;  // indices of the questions, ascending
  std::vector<int64_t> lost;
};

// Errors: kInvalidArgument (lengths differ, no question).
[[nodiscard]] Result<PairedFlips> find_flips(const std::vector<bool>& baseline,
                                             const std::vector<bool>& candidate);

struct McNemarTest {
  double p_exact = 1;  // two-sided; never too small
  double p_mid = 1;    // two-sided mid-p; right on average, may be a little too small
};

// H0: a flip goes either way with equal chance. Without a flip both are 1: no evidence.
// Source: Fagerland, Lydersen, Laake, "The McNemar test for binary matched-pairs data: mid-p and
//   asymptotic are better than exact conditional", BMC Medical Research Methodology 13:91, 2013.
[[nodiscard]] McNemarTest mcnemar(int64_t gained, int64_t lost);

struct Interval {
  double lower = 0;
  double upper = 0;
  double confidence_frac = 0.95;  // two-sided
};

// Score of H0 "difference = delta" for questions that are drawn independently; standard normal
// under H0 for many of them, positive where the observed difference is larger. `delta` in (-1, 1).
// 0 where H0 leaves no variance and fits.
// Source: Tango, "Equivalence test and confidence interval for the difference in proportions for
// the
//   paired-sample design", Statistics in Medicine 17, 1998.
[[nodiscard]] double tango_score(int64_t gained, int64_t lost, int64_t total, double delta);

// Every difference that the score does not reject. Never of width zero, also where nothing flipped.
// Errors: kInvalidArgument (no question, confidence outside (0, 1)).
[[nodiscard]] Result<Interval> tango_interval(const PairedCounts& counts,
                                              double confidence_frac = 0.95);

struct PairedMean {
  double mean = 0;
  int64_t num_questions = 0;
  int64_t num_clusters = 0;  // that of the questions where each stands for itself
  // Absent for fewer than two clusters, and where the clusters' sums show no spread at all: then
  // nothing is known about the error, which is not the same as none.
  std::optional<double> std_error;
  std::optional<Interval> interval;  // Student's t, num_clusters - 1 degrees of freedom
};

// Mean of paired differences of any quantity (gold NLL, choice margin, expected pass@1, correct).
// `clusters`: one number a question; questions of a cluster (a prompt, a subject) may depend on
// each other in any way, clusters do not. Empty: each question stands for itself. The error is that
// of a ratio, G / (G - 1) sum_g (sum of residuals of g)^2 / n^2. Source: Liang and Zeger,
// "Longitudinal data analysis using generalized linear models", Biometrika
//   73, 1986, with the correction for a finite number of clusters.
// Errors: kInvalidArgument (no question, lengths differ, a value that is not finite, confidence).
[[nodiscard]] Result<PairedMean> paired_mean(const std::vector<double>& differences,
                                             const std::vector<int64_t>& clusters = {},
                                             double confidence_frac = 0.95);

}  // namespace dovetail::eval
