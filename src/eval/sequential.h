// A verdict that may be looked at after every question and may stop at any of them.
//
// Money is bet, at odds fair under H0, on the questions to come; whoever multiplies it by 1 / alpha
// refutes H0. Its chance to do so ever, under H0, is at most alpha (Ville's inequality), whatever
// the rule of stopping. One purse bets against "worse by the margin or more" (pass), one against
// "within the margin" (fail); each is the average of purses that bet a fixed share of the most
// that can be lost, from 1 % to 95 %.
// Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
//   Journal of the Royal Statistical Society B 86, 2024; for sampling without replacement its
//   section 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/paired.h"

namespace dovetail::eval {

enum class Decision : uint8_t { kPass, kFail, kUndecided };

[[nodiscard]] std::string to_string(Decision decision);  // "pass", "fail", "undecided"

struct SequentialParams {
  double margin_frac = 0;  // (0, 1)
  double alpha = 0.05;     // (0, 1), for each of the two errors
  // The benchmark's number of questions: the verdict is about these, asked in a random order and
  // each once. Absent: about the population that the questions are drawn from.
  std::optional<int64_t> num_benchmark_questions = {};
  int64_t max_cluster_questions = 1;  // largest cluster that may come; population only
};

// Interval of the difference that covers it at all times at once, however often it is looked at:
// wider than one for a number of questions fixed before. Independent questions of a population.
// Errors: kInvalidArgument (no question, confidence outside (0, 1)).
[[nodiscard]] Result<Interval> anytime_interval(const PairedCounts& counts,
                                                double confidence_frac = 0.95);

class SequentialTest {
 public:
  // Errors: kInvalidArgument (a parameter outside its range).
  [[nodiscard]] static Result<SequentialTest> create(const SequentialParams& params);

  // The next question's difference, candidate - baseline, in [-1, 1].
  // Errors: kInvalidArgument (outside, or more questions than the benchmark has).
  [[nodiscard]] Status add(double difference);
  // The next cluster, whose questions may depend on each other in any way. The verdict is then
  // about clusters drawn independently, weighed by their questions. Errors: kInvalidArgument
  // (empty, larger than stated, of a benchmark, a value outside [-1, 1]).
  [[nodiscard]] Status add_cluster(const std::vector<double>& differences);

  // The first decision that was reached; it stays, except that the exact difference replaces it
  // once the whole benchmark was asked.
  [[nodiscard]] Decision decision() const { return decision_; }
  // 1 / the most that each purse ever held, at most 1: p values that are valid at any time.
  [[nodiscard]] double p_pass() const;
  [[nodiscard]] double p_fail() const;
  [[nodiscard]] int64_t num_questions() const { return num_questions_; }

 private:
  explicit SequentialTest(const SequentialParams& params);
  void bet(double gain);
  void decide();

  SequentialParams params_;
  Decision decision_ = Decision::kUndecided;
  int64_t num_questions_ = 0;
  double sum_gain_ = 0;                 // of difference + margin
  std::vector<double> pass_log_money_;  // one a share
  std::vector<double> fail_log_money_;
  double most_pass_log_money_ = 0;
  double most_fail_log_money_ = 0;
};

}  // namespace dovetail::eval
