#include "eval/task.h"

#include <algorithm>

#include <fmt/format.h>

namespace dovetail::eval {

std::string_view scoring_mode_name(ScoringMode mode) {
  return mode == ScoringMode::kLmEval ? "lm_eval" : "fixed";
}

Result<int64_t> limited(int64_t size, const TaskParams& params) {
  if (!params.limit.has_value()) return size;
  if (*params.limit < 1) {
    return invalid_argument(fmt::format("limit = {}, want 1 or more", *params.limit));
  }
  return std::min(size, *params.limit);
}

Result<int64_t> fewshot_of(const std::string& task, const TaskParams& params, int64_t usual,
                           int64_t most) {
  const int64_t asked = params.num_fewshot.value_or(usual);
  if (asked < 0 || asked > most) {
    return invalid_argument(fmt::format("{}: num_fewshot = {}, want 0..{}", task, asked, most));
  }
  return asked;
}

}  // namespace dovetail::eval
