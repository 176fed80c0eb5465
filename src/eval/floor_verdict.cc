#include "eval/floor_verdict.h"

#include <cmath>

#include <fmt/format.h>

#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

Status check(int64_t num_right, int64_t num_questions, const FloorParams& params) {
  if (num_questions < 1 || num_right < 0 || num_right > num_questions) {
    return invalid_argument(
        fmt::format("{} right of {} questions, want 0 <= right <= questions, 1 "
                    "question or more",
                    num_right, num_questions));
  }
  if (!(params.floor_frac > 0 && params.floor_frac < 1)) {
    return invalid_argument(
        fmt::format("floor_frac = {}, want a value in (0, 1)", params.floor_frac));
  }
  if (!(params.alpha > 0 && params.alpha < 0.5)) {
    return invalid_argument(fmt::format("alpha = {}, want a value in (0, 0.5)", params.alpha));
  }
  if (params.benchmark_questions.value_or(num_questions) < num_questions) {
    return invalid_argument(fmt::format("{} questions of a benchmark of {}", num_questions,
                                        *params.benchmark_questions));
  }
  return {};
}

void decide_benchmark(int64_t num_right, const FloorParams& params, FloorVerdict& verdict) {
  const int64_t all = params.benchmark_questions.value_or(verdict.num_questions);
  // The smallest number of right answers at the floor; a hair below, so that 0.3 of 10 is 3.
  const auto wanted =
      static_cast<int64_t>(std::ceil(params.floor_frac * static_cast<double>(all) - 1e-9));
  if (num_right >= wanted) {
    verdict.decision = Decision::kPass;
    verdict.p_pass = 0;
  } else if (num_right + (all - verdict.num_questions) < wanted) {
    verdict.decision = Decision::kFail;
    verdict.p_fail = 0;
  }
}

}  // namespace

Result<FloorVerdict> floor_verdict(int64_t num_right, int64_t num_questions,
                                   const FloorParams& params) {
  DOVETAIL_TRY_STATUS(check(num_right, num_questions, params));
  FloorVerdict verdict{
      .kind = params.kind,
      .score_frac = static_cast<double>(num_right) / static_cast<double>(num_questions),
      .floor_frac = params.floor_frac,
      .num_questions = num_questions};
  if (params.kind == VerdictKind::kBenchmark) {
    decide_benchmark(num_right, params, verdict);
    return verdict;
  }
  verdict.p_fail = binomial_cdf(num_right, num_questions, params.floor_frac);
  verdict.p_pass =
      num_right == 0 ? 1.0 : 1 - binomial_cdf(num_right - 1, num_questions, params.floor_frac);
  if (verdict.p_pass <= params.alpha) verdict.decision = Decision::kPass;
  if (verdict.p_fail <= params.alpha) verdict.decision = Decision::kFail;
  return verdict;
}

Json floor_verdict_to_json(const FloorVerdict& verdict) {
  return Json{{"kind", to_string(verdict.kind)},
              {"decision", to_string(verdict.decision)},
              {"score_frac", verdict.score_frac},
              {"floor_frac", verdict.floor_frac},
              {"num_questions", verdict.num_questions},
              {"p_pass", verdict.p_pass},
              {"p_fail", verdict.p_fail}};
}

}  // namespace dovetail::eval
