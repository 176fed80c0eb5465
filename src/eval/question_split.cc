#include "eval/question_split.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"

namespace dovetail::eval {
namespace {

using Ranked = std::vector<std::pair<std::string, int64_t>>;  // digest of the id, index

Status check_ids(const std::vector<SplitQuestion>& questions) {
  std::set<std::string> seen;
  for (const SplitQuestion& question : questions) {
    if (!seen.insert(question.id).second) {
      return invalid_argument(
          fmt::format("question '{}' occurs twice, want every id once", question.id));
    }
  }
  return {};
}

std::string rank(const SplitQuestion& question, uint64_t seed) {
  return sha256_hex(fmt::format("{}\n{}", seed, question.id));
}

}  // namespace

Result<QuestionHalves> split_questions(const std::vector<SplitQuestion>& questions, uint64_t seed) {
  if (questions.size() < 2) {
    return invalid_argument(fmt::format("split: {} questions, want at least 2", questions.size()));
  }
  DOVETAIL_TRY_STATUS(check_ids(questions));
  std::map<std::string, Ranked> strata;
  for (size_t i = 0; i < questions.size(); ++i) {
    strata[questions[i].stratum].emplace_back(rank(questions[i], seed), static_cast<int64_t>(i));
  }
  QuestionHalves halves;
  bool selects = true;  // goes on from stratum to stratum, so that leftovers alternate
  for (auto& [name, stratum] : strata) {
    std::ranges::sort(stratum);
    for (const auto& [digest, index] : stratum) {
      (selects ? halves.selection : halves.certification).push_back(index);
      selects = !selects;
    }
  }
  std::ranges::sort(halves.selection);
  std::ranges::sort(halves.certification);
  return halves;
}

Result<std::vector<int64_t>> asking_order(const std::vector<SplitQuestion>& questions,
                                          uint64_t seed) {
  DOVETAIL_TRY_STATUS(check_ids(questions));
  Ranked ranked;
  for (size_t i = 0; i < questions.size(); ++i) {
    ranked.emplace_back(rank(questions[i], seed), static_cast<int64_t>(i));
  }
  std::ranges::sort(ranked);
  std::vector<int64_t> order;
  for (const auto& [digest, index] : ranked) order.push_back(index);
  return order;
}

}  // namespace dovetail::eval
