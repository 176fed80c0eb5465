// Does a candidate still meet its target? Two kinds of verdict that are never mixed:
//   benchmark:  about these questions. All asked, the difference is exact; a part of them in random
//               order is a sample without replacement.
//   population: about the questions that these were drawn from.
// What each claims and how often it is wrong: docs/verdicts.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/paired.h"
#include "eval/sequential.h"

namespace dovetail::eval {

enum class VerdictKind : uint8_t { kBenchmark, kPopulation };

[[nodiscard]] std::string to_string(VerdictKind kind);  // "benchmark", "population"

struct VerdictParams {
  double margin_frac = 0;  // (0, 1); 5 of 164 problems: 5.0 / 164
  double alpha = 0.05;     // (0, 0.5), chance of each of the two errors
  double power = 0.8;      // for questions_to_decide
};

struct Verdict {
  VerdictKind kind = VerdictKind::kPopulation;
  Decision decision = Decision::kUndecided;
  bool is_exact = false;  // a benchmark of which all was asked: no chance is involved
  std::string method;     // "exact", "exact unconditional test", ...
  PairedCounts counts;
  double difference_frac = 0;  // on the questions asked
  double margin_frac = 0;
  double alpha = 0.05;
  double p_pass = 1;  // of "worse by the margin or more"
  double p_fail = 1;  // of "within the margin"
  // Of the population's difference, at two-sided 1 - 2 alpha. Absent for a benchmark: its
  // difference is exact, or bounded by the test alone.
  std::optional<Interval> interval;
  // Only where undecided. Benchmark: all of them. Population: how many in all would decide with the
  // chance `power` if the rates observed were the true ones; absent if no number would.
  std::optional<int64_t> questions_to_decide;
};

// Paired outcomes in the order asked, at most num_questions of a benchmark. With all of them asked
// passes exactly where gained - lost >= -margin * num_questions; with a part only if
// the order was random (asking_order) and then with the errors of SequentialTest.
// Errors: kInvalidArgument (lengths, no question, more than the benchmark has, parameters).
[[nodiscard]] Result<Verdict> benchmark_verdict(const std::vector<bool>& baseline,
                                                const std::vector<bool>& candidate,
                                                int64_t num_questions, const VerdictParams& params);

// Independent questions: test_noninferiority. With `clusters` (one number a question) it must also
// pass a cluster-robust t test, and there must be kMinClusters of them, else it stays undecided.
// The number of questions must not depend on the outcomes; SequentialTest is for that.
// Errors: kInvalidArgument (lengths, no question, parameters).
[[nodiscard]] Result<Verdict> population_verdict(const std::vector<bool>& baseline,
                                                 const std::vector<bool>& candidate,
                                                 const VerdictParams& params,
                                                 const std::vector<int64_t>& clusters = {});

// With fewer clusters the t test passes too often; the simulations of verdict_test.cc start here.
inline constexpr int64_t kMinClusters = 20;

// Holm's p values of several hypotheses: the chance of any false rejection is at most the level
// that they are compared with, however they depend on each other. In the order given.
// Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
//   Statistics 6, 1979.
[[nodiscard]] std::vector<double> holm_adjusted(const std::vector<double>& p_values);

// Verdicts on several candidates with one baseline, decided together: the chance of any false pass
// is at most alpha, and so is that of any false fail. Only withdraws decisions, never adds one. A
// benchmark that was asked whole is exact and stays. p_pass and p_fail become the adjusted ones.
// Errors: kInvalidArgument (kinds or alphas mixed).
[[nodiscard]] Result<std::vector<Verdict>> decide_together(std::vector<Verdict> verdicts);

}  // namespace dovetail::eval
