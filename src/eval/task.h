// A benchmark as questions: what the model is asked, and what its answer is worth.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "eval/prompt.h"

namespace dovetail::eval {

// kLmEval: lm-eval 0.4.13's own behaviour, its mistakes included. kFixed: without those that
// docs/evaluation.md lists. Scores of the two are never compared.
enum class ScoringMode : uint8_t { kLmEval, kFixed };
[[nodiscard]] std::string_view scoring_mode_name(ScoringMode mode);  // "lm_eval", "fixed"

enum class RequestKind : uint8_t {
  kChoice,      // log-likelihood of each continuation of the prompt
  kGeneration,  // greedy text after the prompt
  kRolling,     // log-likelihood of the prompt itself, in windows
};

struct Question {
  int64_t doc_id = 0;       // row of the subject's or task's file, from 0
  std::string prompt = {};  // exact text before tokenisation
  std::string target =
      {};  // what lm-eval writes as target: index of the choice, reference answer, program
  int64_t gold = 0;  // kChoice: index of the right continuation
};

// What a model answered.
struct Answer {
  std::vector<double> loglikelihoods =
      {};                            // [nats] kChoice: of each continuation; kRolling: of the text
  std::vector<bool> is_greedy = {};  // kChoice: each token of the continuation was the likeliest
  std::string generation = {};       // kGeneration: cut at the first stop string
};

// A generation read by one filter.
struct Reading {
  std::string filter;     // "strict-match"
  std::string text = {};  // what the filter found
  bool correct = false;
  bool in_list = false;  // lm-eval's filter gives a list of such texts
};

struct Judgement {
  bool correct = false;                // by the first filter
  std::vector<Reading> readings = {};  // kGeneration
  Json fields = {};                    // what else the question's row says
};

struct Task {
  std::string name;        // as in lm-eval: "mmlu_anatomy"
  std::string group = {};  // "stem", or "" if the task stands alone
  RequestKind kind = RequestKind::kGeneration;
  std::string metric = {};  // "acc", "exact_match", "pass@1", "word_perplexity"
  ScoringMode mode = ScoringMode::kLmEval;
  int64_t num_fewshot = 0;
  std::vector<std::string> choices = {};  // kChoice: continuations, the same for every question
  std::vector<std::string> stops = {};    // kGeneration, without the end-of-text token
  int64_t max_new_tokens = 0;             // kGeneration
  std::vector<Question> questions = {};
  // kGeneration: what an answer is worth. Errors end the evaluation.
  std::function<Result<Judgement>(const Question&, const std::string& generation)> judge = {};
  // What else the task's record says, from the verdicts of all questions in order.
  std::function<Json(const std::vector<Judgement>&)> summarize = {};
};

struct TaskParams {
  ScoringMode mode = ScoringMode::kLmEval;
  std::optional<int64_t> num_fewshot = {};  // nothing: the task's own number
  std::optional<int64_t> limit = {};  // the first so many of each subject or task, in file order
  // Instead of the first: a random sample of `limit` (benchmarks.h), by seed.
  std::optional<uint64_t> sample_seed = {};
  ChatParams chat = {};
};

// 0..limit of `size` rows. Errors: kInvalidArgument unless limit >= 1.
[[nodiscard]] Result<int64_t> limited(int64_t size, const TaskParams& params);
// The number of examples asked for. Errors: kInvalidArgument naming the task unless it is 0..most.
[[nodiscard]] Result<int64_t> fewshot_of(const std::string& task, const TaskParams& params,
                                         int64_t usual, int64_t most);

}  // namespace dovetail::eval
