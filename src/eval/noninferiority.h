// Is the candidate worse than its baseline by less than a margin? An exact test for questions that
// are drawn independently from a population, its power, and how many questions decide.
//
// m = margin, d = true difference (candidate - baseline). `pass` claims d > -m, `fail` d < -m.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "eval/paired.h"

namespace dovetail::eval {

struct NonInferiorityTest {
  double p_pass = 1;  // small: d <= -m is refuted
  double p_fail = 1;  // small: d >= -m is refuted
};

// Exact and unconditional: the chance, at the least favourable rate of losses, of a Tango score at
// least as extreme as the one observed. The chance of a p below alpha at d = -m is therefore at
// most alpha for any number of questions. About 10 ms for 1,000 of them. Source: Hsueh, Liu, Chen,
// "Unconditional exact tests for equivalence or noninferiority for
//   paired binary endpoints", Biometrics 57, 2001 (the ordering and the supremum).
// Errors: kInvalidArgument (no question, margin outside (0, 1)).
[[nodiscard]] Result<NonInferiorityTest> test_noninferiority(const PairedCounts& counts,
                                                             double margin_frac);

// What is assumed about the truth when a test is planned.
struct FlipRates {
  double gained_frac = 0;  // of all questions
  double lost_frac = 0;
};

struct Power {
  int64_t num_questions = 0;
  double pass_frac = 0;  // chance of each verdict; the rest is undecided
  double fail_frac = 0;
};

// Chances of the exact test's verdicts at level alpha, summed over all outcomes. About a second for
// 2,000 questions.
// Errors: kInvalidArgument (no question, margin or alpha outside (0, 1), rates negative or with a
// sum above 1).
[[nodiscard]] Result<Power> power_of_test(int64_t num_questions, double margin_frac,
                                          const FlipRates& rates, double alpha = 0.05);

// One Power for each number of questions.
[[nodiscard]] Result<std::vector<Power>> power_curve(const std::vector<int64_t>& num_questions,
                                                     double margin_frac, const FlipRates& rates,
                                                     double alpha = 0.05);

// The smallest number of questions for which the test decides (passes where d > -m, fails where
// d < -m) with chance `power`, from the normal approximation of the score; the exact test wants a
// few percent more. None where d = -m: no number decides it.
// Errors: as power_of_test; power outside (0, 1).
[[nodiscard]] Result<std::optional<int64_t>> questions_to_decide(double margin_frac,
                                                                 const FlipRates& rates,
                                                                 double alpha = 0.05,
                                                                 double power = 0.8);

}  // namespace dovetail::eval
