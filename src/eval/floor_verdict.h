// Does a score reach an absolute floor? For targets that no baseline stands behind.
#pragma once

#include <cstdint>
#include <optional>

#include "base/config.h"
#include "base/result.h"
#include "eval/verdict.h"

namespace dovetail::eval {

struct FloorParams {
  VerdictKind kind = VerdictKind::kPopulation;
  double floor_frac = 0;  // (0, 1)
  double alpha = 0.05;    // (0, 0.5)
  // kBenchmark: questions of the whole benchmark; absent: those that were asked are all.
  std::optional<int64_t> benchmark_questions = {};
};

struct FloorVerdict {
  VerdictKind kind = VerdictKind::kPopulation;
  Decision decision = Decision::kUndecided;
  double score_frac = 0;
  double floor_frac = 0;
  int64_t num_questions = 0;
  double p_pass = 1;  // of a score below the floor; 0 or 1 of a benchmark
  double p_fail = 1;  // of a score at the floor or above
};

// Population: the exact binomial test, each error at most alpha at a number of questions fixed
// before. Benchmark: without chance; passes as soon as the right answers suffice, fails as soon as
// the questions left cannot make them suffice.
// Errors: kInvalidArgument (no question, more right ones than questions, more questions than the
// benchmark has, parameters).
[[nodiscard]] Result<FloorVerdict> floor_verdict(int64_t num_right, int64_t num_questions,
                                                 const FloorParams& params);

[[nodiscard]] Json floor_verdict_to_json(const FloorVerdict& verdict);

}  // namespace dovetail::eval
